"""The graph that is explained, as Nodes of its own: composed functions unfolded, values found, nothing of the user's changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autodiff import pullback
from ..core import FREED, PICK, BaseTensor, Node, Storage, describe, quiet_off, quiet_on, reachable
from ..core.door import _quiet
from ..tensor.composed import unfold
from .names import Candidate, Names, literal
from .watch import Held, watch


class Constant:
    """An operand that no gradient goes to: a Python number, data, or something that was not kept."""

    __slots__ = ("kept", "label", "shape", "tensor", "value")

    def __init__(self, value: Any, label: str = "", shape: tuple[int, ...] | None = None, tensor: Any = None) -> None:
        self.value, self.label, self.tensor = value, label, tensor
        self.kept: Any = None  # what keeps the identity that it is known by its own
        self.shape = tuple(np.shape(value)) if value is not None else shape


class Live:
    """A copy of a history that can be walked, asked and unfolded without touching the original.

    Attributes
    ----------
    order
        The nodes, inputs first.
    operands
        For each node its operands in the order of the operation's inputs: a Node or a Constant.
    values
        Arrays of the nodes whose values are known.
    """

    def __init__(self, root: Node, output: Any, names: Names, watched: watch | None) -> None:
        self.names, self.watched = names, watched
        self.order: list[Node] = []
        self.origin: dict[Node, Node] = {}  # the user's node that a copy stands for
        self.twin: dict[Node, Node] = {}  # the copy that stands for a user's node
        self.owners: dict[Node, Any] = {}
        self.titles: dict[Node, str] = {}  # names that torch prints for a composed function's last node
        self.hooked: list[Node] = []
        self.operands: dict[Node, list[Any]] = {}
        self.values: dict[Node, Any] = {}
        for node in reachable([root]):
            if node.requires_grad:
                self._copy(node)
        self.root = self.twin[root]
        self.values[self.root] = output._a
        self._constants: dict[Any, Constant] = {}
        self._values_kept()
        for node in self.order:
            self._find(node)
        self._look_back()

    # -- the copy ---------------------------------------------------------------------------------------------------------
    def _copy(self, node: Node) -> None:
        if node.saved is FREED:
            raise RuntimeError(
                f"explain: what {node.name()} (called at {describe(node.place)}) had kept is freed, because backward() has run. "
                "Explain the result before backward(), call backward(retain_graph=True), or give explain the function and its "
                "arguments instead of the result."
            )
        hooks = node.hooks
        if hooks is not None and (hooks.tensor or hooks.pre or hooks.post):
            self.hooked.append(node)
        if node.op is not None and node.op.family == "composed":
            inner = unfold(node)
            if inner is not None:
                self._copy_inside(node, *inner)
                return
        self.twin[node] = self._made(node, tuple(None if i is None else self.twin.get(i) for i in node.inputs))

    def _made(self, node: Node, inputs: tuple[Any, ...]) -> Node:
        made = Node(
            node.op, inputs, node.attrs, node.shape, node.dtype, True, node.place, node.saved, node.types, node.out
        )
        made.label = node.label
        self.order.append(made)
        self.origin[made] = node
        if node.op is None and node.hooks is not None and node.hooks.owner is not None:
            self.owners[made] = node.hooks.owner()
        return made

    def _copy_inside(self, node: Node, root: Node, aliases: dict[int, Node]) -> None:
        """Copy the nodes that a composed function's node stands for."""
        inside: dict[Node, Any] = {a: self.twin[node.inputs[i]] for i, a in aliases.items()}
        stop = set(aliases.values())
        seen: set[Node] = set()
        todo = [root]
        while todo:
            n = todo.pop()
            if n not in seen and n not in stop:
                seen.add(n)
                todo.extend(i for i in n.inputs if i is not None)
        for n in sorted(seen, key=lambda n: n.seq):
            inside[n] = self._made(n, tuple(None if i is None else inside[i] for i in n.inputs))
        self.twin[node] = inside[root]
        self.origin[inside[root]] = node
        self.titles[inside[root]] = node.name()

    # -- values -----------------------------------------------------------------------------------------------------------
    def _values_kept(self) -> None:
        """Take values from whoever holds them: leaves, the watch, the caller's variables, and what nodes saved."""
        values = self.values
        for tensor, *_ in self.watched.made.values() if self.watched is not None else ():
            twin = self.twin.get(tensor._node)  # a custom Function's result had no history when it was computed
            if twin is not None:
                _note(values, twin, tensor._a)
        for node in self.order:
            if node.op is None:
                owner = self.owners.get(node)
                if owner is not None:
                    values[node] = owner._a
                continue
            user = self.origin[node]
            if self.watched is not None and user in self.watched.values:
                _note(values, node, self.watched.values[user].get())
            tensor = self.names.tensors.get(user)
            if tensor is not None and tensor._a.shape == node.shape:
                _note(values, node, tensor._a)
            if is_entry(node.out):
                _note(values, node, _current(node.out))
            for source, entry in zip(node.inputs, saved_of(node), strict=False):
                if source is not None and is_entry(entry):
                    _note(values, source, _current(entry))

    def _find(self, node: Node) -> None:
        """Find a node's operands, and compute its value if nobody kept it but all operands are known."""
        if node.op is None:
            return
        saved = saved_of(node)
        seen: Any = self.watched.operands.get(self.origin[node]) if self.watched is not None else None
        found: list[Any] = []
        for i, source in enumerate(node.inputs):
            if source is not None:
                found.append(source)
                continue
            entry: Any = saved[i] if i < len(saved) else None
            if seen is not None and i < len(seen) and len(seen) == len(node.inputs):
                found.append(self._watched_constant(seen[i]))
            elif is_entry(entry):
                found.append(self._constant(_current(entry), entry[1], entry[0], entry[2]))
            elif entry is not None and entry.__class__ is not tuple:
                found.append(Constant(entry))
            else:
                found.append(self._unsaved(node, i))
        self.operands[node] = found
        if node not in self.values and node.op is not PICK and not node.op.impure:
            self._compute(node)

    def _compute(self, node: Node) -> None:
        xs = [self.values.get(o) if isinstance(o, Node) else o.value for o in self.operands[node]]
        op: Any = node.op
        if any(x is None for x in xs) or not callable(getattr(op, "numpy", None)) or op.outputs != 1:
            return
        token = quiet_on(_quiet)
        try:
            r = op.numpy(*xs, **node.attrs)
        except (
            Exception
        ):  # an operation that is run in a way of its own, such as a custom Function: its value stays open
            return
        finally:
            quiet_off(token)
        if np.shape(r) == node.shape:
            self.values[node] = np.asarray(r)

    def _watched_constant(self, entry: Any) -> Constant:
        tensor, held = entry
        if tensor is None:
            return Constant(held[()] if not held.ndim else held)
        value = held.get() if isinstance(held, Held) else held
        version = held.version if isinstance(held, Held) else tensor._s.version
        return self._constant(value, tensor._s, tensor._a, version, tensor)

    def _constant(self, value: Any, storage: Any, memory: Any, version: int, tensor: Any = None) -> Constant:
        """Give the one constant for an array, however often it is used: parts of one memory, and what was written to it later, are others."""
        at = memory.__array_interface__["data"][0] if isinstance(memory, np.ndarray) else None
        key = (id(storage), at, version, None if value is None else (value.shape, memory.strides))
        found = self._constants.get(key)
        if found is None:
            name = self.names.of_storage(storage, tensor, value)
            self._constants[key] = found = Constant(value, name, tensor=tensor)
            found.kept = storage
        return found

    def _unsaved(self, node: Node, i: int) -> Constant:
        """Give an operand that the backward pass does not need: as it stands in the user's source line, if it is a number there."""
        kind = node.types[i] if node.types is not None and i < len(node.types) else None
        value, label = literal(node, i, self.names)
        if isinstance(value, Candidate):
            value = self._confirmed(node, i, value.value)
        return Constant(value, label, None if kind is None else kind.shape)

    def _confirmed(self, node: Node, i: int, candidate: Any) -> Any:
        """Give what a variable holds now, if it makes the value that is known; None otherwise."""
        other = self.values.get(node.inputs[1 - i]) if len(node.inputs) == 2 else None
        known = self.values.get(node)
        if candidate is None or other is None or known is None or node.op is None:
            return None
        with np.errstate(all="ignore"):
            r = node.op.numpy(*((candidate, other) if i == 0 else (other, candidate)), **node.attrs)
        same = np.shape(r) == known.shape and np.allclose(r, known, rtol=1e-5, atol=1e-6, equal_nan=True)
        return candidate if same else None

    def _look_back(self) -> None:
        """Find the number that was added, where both the sum and the other summand are known."""
        for node in reversed(self.order):
            if node.op is None or node.op.name not in ("add", "sub"):
                continue
            for i, o in enumerate(self.operands[node]):
                other = self.operands[node][1 - i]
                known = self.values.get(other) if isinstance(other, Node) else other.value
                if not isinstance(o, Constant) or o.value is not None or known is None or node not in self.values:
                    continue
                total = np.asarray(self.values[node], np.float64)
                rest = total - known if node.op.name == "add" else (total + known if i == 0 else known - total)
                if rest.size and float(np.ptp(rest)) <= 1e-5 * max(1.0, float(np.abs(total).max())):
                    o.value = float(f"{float(np.mean(rest)):.5g}")
                    o.shape = ()

    # -- the walk ---------------------------------------------------------------------------------------------------------
    def pull(self, seed: Any) -> tuple[dict[Node, Any], dict[tuple[Node, int], Any], list[Node]]:
        """Run the backward pass on the copy: gradients of nodes, of their inputs by slot, and the order of visits.

        A gradient that a hook was shown is not the walk's to write into, so that the arrays stay what they are.
        """
        upstream: dict[Node, Any] = {}
        downstream: dict[tuple[Node, int], Any] = {}
        visits: list[Node] = []

        def before(node: Node) -> Any:
            def hook(given: Any) -> None:
                visits.append(node)
                upstream[node] = [_array(g) for g in given] if len(given) > 1 else _array(given[0])

            return hook

        def after(node: Node) -> Any:
            def hook(results: Any, given: Any) -> None:
                for i, r in enumerate(results):
                    downstream[node, i] = _array(r)

            return hook

        for node in self.order:
            node.hooks = None
            node.register_prehook(before(node))
            if node.op is not None and node.op is not PICK:
                node.register_hook(after(node))
        leaves = [n for n in self.order if n.op is None]
        try:
            # nothing is done with a leaf's gradient, but its hook sees it
            pullback([self.root], [seed], retain=True, as_tensors=False, wanted=leaves, leaf=lambda *_: None)
        finally:
            for node in self.order:
                node.hooks = None
        for node in self.order:
            if node.op is PICK and node in upstream:
                downstream[node, 0] = upstream[node]
        return upstream, downstream, visits


def is_entry(entry: Any) -> bool:
    """Tell whether something is an array with its Storage and version, as rules' operands are saved."""
    return entry.__class__ is tuple and len(entry) == 3 and isinstance(entry[1], Storage)


def saved_of(node: Node) -> list[Any]:
    """Give what a node saved of each input; nothing for an operation that saves in a way of its own."""
    return node.saved if isinstance(node.saved, list) and node.op is not None and node.op.reverse is None else []


def _note(values: dict[Node, Any], node: Node, value: Any) -> None:
    if value is not None and node not in values and getattr(value, "shape", None) == node.shape:
        values[node] = value


def _current(entry: Any) -> Any:
    a, storage, version = entry
    return a if storage.version == version else None


def _array(g: Any) -> Any:
    if g is None:
        return None
    return g._a if isinstance(g, BaseTensor) and not g._composite else g.to_dense()._a


__all__ = ["Constant", "Live", "is_entry", "saved_of"]
