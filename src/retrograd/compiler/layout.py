"""Layout: where each value of a program lives: in its target, in a result, or at an offset of the one arena."""

from __future__ import annotations

import math
from typing import Any

from ..core import Node
from .lowering.joining import ADDING
from .lowering.kernel import FULL, TAIL, Loops
from .lowering.maps import identity, linear, strides_of
from .lowering.memory import pack
from .sooner import read_sooner
from .step import Goal, Step
from .steps import StepWriter

HIDDEN: Any = object()
ELSEWHERE = ("index_select", "flat_read", "reach", *ADDING)  # that read at other places than where they are
SMALL = 1 << 16  # bytes of values that are rather copied at the end than written before all indices are checked


def may_fail(step: Step) -> bool:
    """Tell whether a step may raise: it looks at indices, or is NumPy's."""
    return step.call is not None or "check_index" in step.label


class Layout:
    """The places of a program's values.

    Parameters
    ----------
    writer : StepWriter
        Copies of whole values at the end are added to its steps.
    targets : list
        As :class:`~retrograd.compiler.program.Program` has them.

    Attributes
    ----------
    home : dict of Node to (str, int)
        ("input", k) or ("output", k): whose memory a value is made in.
    offset : dict of Node to int
        Where in the arena the others lie.
    arena_bytes : int
    late : list
        Outputs that NumPy copies at the end: (number, base, offset, strides).
    """

    def __init__(self, writer: StepWriter, targets: list[Any]) -> None:
        self.writer, self.targets, self.graph = writer, targets, writer.graph
        self.steps = writer.steps
        outputs = [(n, t) for n, t in zip(self.graph.outputs, targets, strict=True) if t is not HIDDEN]
        written = {n for n, t in outputs if t is not None}
        read_sooner(self.steps, writer.schedule.steps, {n for n, _ in outputs} | set(self.graph.inputs), written)
        self._outputs()
        self._plan_memory()

    def _outputs(self) -> None:
        """Choose where each output's base value lives: in its target, in a fresh array, or copied there at the end."""
        self.home: dict[Node, Any] = {}  # node -> ("input", k) or ("output", k)
        self.copies: list[tuple[Any, Any]] = []  # (output number, node) copied by NumPy at the end
        made = {w for s in self.steps for w in s.writes}
        inputs = {n: k for k, n in enumerate(self.graph.inputs)}
        fails = max((i for i, s in enumerate(self.steps) if may_fail(s)), default=-1)
        for k, (node, target) in enumerate(zip(self.graph.outputs, self.targets, strict=True)):
            if target is HIDDEN:
                continue
            own = node in made and node not in self.home and node not in inputs
            if target is None:
                whole = node if own else self._reshaped(node)
                if own or (whole in made and whole not in self.home and whole not in inputs):
                    self.home[whole] = ("output", k)
                else:
                    self.copies.append((k, node))
            elif own and not self._too_early(node, fails) and self._may_overwrite(node, self.graph.inputs[target]):
                self.home[node] = ("input", target)
            elif node is not self.graph.inputs[target]:
                self.copies.append((k, node))

    def _reshaped(self, node: Node) -> Any:
        """Give the value that an output is only another shape of, in the same memory; None where it is not."""
        if node.op is None or 0 in node.shape:
            return None
        found = self._base(node)
        if found is None or found[1] != 0 or found[0].type.nbytes != node.type.nbytes:
            return None
        straight = [s for s, n in zip(found[2], node.shape, strict=True) if n != 1]
        whole = [s for s, n in zip(strides_of(node.shape), node.shape, strict=True) if n != 1]
        return found[0] if straight == whole and found[0] not in self.graph.outputs else None

    def _too_early(self, node: Node, fails: int) -> bool:
        """Tell whether a small value would be in its target before the last step that may fail, which then could not be undone."""
        return node.type.nbytes <= SMALL and any(node in s.writes for s in self.steps[: fails + 1])

    def _may_overwrite(self, node: Node, old: Node) -> bool:
        if node.shape != old.shape or node.dtype != old.dtype:
            return False
        first = min(i for i, s in enumerate(self.steps) if node in s.writes)
        readers = [i for i, s in enumerate(self.steps) if old in s.reads]
        if any(old is n for n in self.graph.outputs) or (readers and readers[-1] > first):
            return False
        if not readers or readers[-1] < first:
            return True
        step = self.writer.schedule.steps[first]
        if not isinstance(step, Loops) or self.writer.plans[step].sweeps != 1:
            return False
        if step.product is not None and any(o is not None and o[0] is old for o in step.product.operands):
            return False
        stores = [s.store[1] for s in step.statements if s.store is not None and s.store[0] is node]
        loads = [o.address for s in step.statements for o in s.operands if o.kind == "load" and o.node is old]
        tails = any(s.level == TAIL for s in step.statements if s.store is not None and s.store[0] is node)
        return not tails and old not in step.prelude and len(stores) == 1 and all(a == stores[0] for a in loads)

    def _base(self, node: Node) -> tuple[Node, int, tuple[int, ...]] | None:
        base, index, address = self.writer.schedule.source(node, identity(node.shape), node.shape)
        if index is None:
            return None if address is None else (base, address[0], address[1])
        offset, strides = linear(index, strides_of(base.shape), len(node.shape))
        return base, offset, strides

    def _plan_memory(self) -> None:
        first: dict[Node, int] = {}
        last: dict[Node, int] = {}
        for i, s in enumerate(self.steps):
            for n in s.writes:
                first.setdefault(n, i)
                last[n] = i
            for n in s.reads:
                last[n] = i
        self.late: list[tuple[int, Node, int, tuple[int, ...]]] = []
        for k, node in self.copies:
            found = self._base(node)
            assert found is not None
            self.late.append((k, *found))
            if found[0] in first:
                last[found[0]] = len(self.steps)
        self._copy_natively()
        inputs = set(self.graph.inputs)
        nodes = [n for n in first if n not in self.home and n not in inputs]
        self.over = self._overwritten(set(nodes), first, last)
        block = {n: self._block(n) for n in nodes}
        until = {n: last[n] for n in nodes}
        for n in nodes:
            until[block[n]] = max(until[block[n]], last[n])
        blocks = [n for n in nodes if block[n] is n]
        sizes = [math.prod(n.shape) * n.dtype.itemsize + 64 for n in blocks]
        offsets, self.arena_bytes = pack([(first[n], until[n], size) for n, size in zip(blocks, sizes, strict=True)])
        at = dict(zip(blocks, offsets, strict=True))
        self.offset = {n: at[block[n]] for n in nodes}

    def _block(self, node: Node) -> Node:
        """Give the value whose place in the arena a value has."""
        while node in self.over:
            node = self.over[node]
        return node

    def _overwritten(self, nodes: set[Node], first: dict[Node, int], last: dict[Node, int]) -> dict[Node, Node]:
        """Find values that loops write element by element where they have read another for the last time."""
        found: dict[Node, Node] = {}
        taken: set[Node] = set()
        for i, nest in enumerate(self.writer.schedule.steps):
            if not isinstance(nest, Loops) or nest.product is not None or self.writer.plans[nest].sweeps != 1:
                continue
            ending = {n for n in self.steps[i].reads if n in nodes and last[n] == i and first[n] < i} - taken
            ending -= set(nest.prelude)
            if not ending:
                continue
            places: dict[Node, set[Any]] = {}
            for s in nest.statements:
                for o in s.operands:
                    if o.kind == "load":
                        plain = s.node.op.name not in ELSEWHERE and not o.bounds  # type: ignore[union-attr]
                        places.setdefault(o.node, set()).add(o.address if plain else None)
            for s in nest.statements:
                w = s.node
                if (
                    s.store is None
                    or s.store[0] is not w
                    or s.level != FULL
                    or s.bounds
                    or w not in nodes
                    or first[w] != i
                ):
                    continue
                size = w.type.nbytes, w.dtype.itemsize
                for n in self.steps[i].reads:
                    if n in ending and (n.type.nbytes, n.dtype.itemsize) == size and places.get(n) == {s.store[1]}:
                        found[w] = n
                        taken.add(n)
                        ending.discard(n)
                        break
        return found

    def _copy_natively(self) -> None:
        """Turn copies of whole values at the end into steps."""
        module, rest = self.writer.module, []
        for k, base, offset, strides in self.late:
            node = self.graph.outputs[k]
            if strides != strides_of(node.shape) or 0 in node.shape:
                rest.append((k, base, offset, strides))
                continue
            size = node.type.nbytes

            def write(name: str, size: int = size) -> None:
                f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
                source, goal = (f.load("ptr", f.element("ptr", f.arguments, i), 8) for i in range(2))
                copy = module.declare("memcpy", "ptr", ["ptr", "ptr", "i64"])
                f.call(copy, "ptr", [("ptr", goal), ("ptr", source), ("i64", size)])
                f.ret()

            name = self.writer.function(("copy", size), write)
            arguments = (base, Goal(k))
            self.steps.append(
                Step(
                    name, arguments, (offset * node.dtype.itemsize, 0), 1, None, (base,), (), f"copy {list(node.shape)}"
                )
            )
        self.late = rest
