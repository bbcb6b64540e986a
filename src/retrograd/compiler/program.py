"""Program: a Graph lowered to native segments and NumPy calls in order, with its memory."""

from __future__ import annotations

import ctypes
import math
import time
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from ..core import Graph, Node, quiet_off, quiet_on
from ..core.door import _quiet
from ..core.threads import threads
from .codegen.emit import Function, Module, Value, symbol
from .codegen.loops import ERROR, Analysis, Behind, Writer
from .codegen.products import Product, turned, write_product
from .codegen.rows import computes, kind_of
from .codegen.small import is_small, write_small, write_tiles
from .lowering.kernel import TAIL, Call, Fill, Loops
from .lowering.maps import Affine, strides_of
from .lowering.memory import pack
from .lowering.schedule import Schedule
from .passes import optimise
from .runtime import blas, jit, pool
from .runtime.cache import native
from .runtime.pool import emit_parallel

HIDDEN: Any = object()


@dataclass(frozen=True)
class Goal:
    """Stands for the memory that an output is handed over in."""

    output: int


@dataclass
class Step:
    """One entry of a program: a native function with its table row, or a call of NumPy."""

    name: str = ""  # the native function's symbol, or empty
    arguments: tuple[Any, ...] = ()  # nodes whose addresses it takes (or ints)
    offsets: tuple[int, ...] = ()  # bytes added to each
    chunks: int = 1
    call: Call | None = None
    reads: tuple[Node, ...] = ()
    writes: tuple[Node, ...] = ()
    label: str = ""
    long: bool = False  # worth waking a sleeping thread for


class Program:
    """Runs a graph on arrays.

    Parameters
    ----------
    graph : Graph
        Traced; it is optimised here.
    targets : sequence of int or None
        For each output, the input whose memory it is written back to, None for a result of its own, or HIDDEN for what is only
        to be done, such as a draw that nothing uses.
    """

    def __init__(self, graph: Graph, targets: Any = None, optimised: bool = False) -> None:
        self.targets = list(targets) if targets is not None else [None] * len(graph.outputs)
        began = time.perf_counter()
        self.graph = graph = graph if optimised else optimise(graph)
        self.schedule = Schedule(graph, lambda node: computes(node, graph.constants), self._continues)
        self.module = Module(jit.host().enabled)
        self.functions: dict[Any, str] = {}
        self.kernels: dict[str, int] = {}
        self.plans: dict[Loops, Analysis] = {}
        self.work = sum(n.type.nbytes for n in graph.nodes) // 4
        self._lower()
        self._plan_memory()
        self._load()
        self.python_seconds = time.perf_counter() - began - self.llvm_seconds

    # -- steps -----------------------------------------------------------------------------------------------------------
    def _lower(self) -> None:
        steps: list[Step] = []
        for s in self.schedule.steps:
            if isinstance(s, Loops):
                steps.append(self._loops(s))
            elif isinstance(s, Fill):
                steps.append(self._fill(s))
            else:
                steps.append(self._call(s))
        self.steps = steps
        self._outputs()

    def _function(self, key: Any, write: Any, label: str) -> str:
        name = self.functions.get(key)
        if name is None:
            name = self.functions[key] = f"k{len(self.functions)}"
            write(name)
            self.kernels[f"rg_{name}"] = 0
        self.kernels[f"rg_{name}"] += 1
        return f"rg_{name}"

    def _loops(self, nest: Loops) -> Step:
        buffers: dict[
            tuple[Node, int], int
        ] = {}  # a value and a place in it: kernels that differ in places alone are one
        number: dict[Node, int] = {}

        def buffer(node: Node, address: Affine = (0, ())) -> tuple[int, tuple[int, ...]]:
            return buffers.setdefault((node, address[0]), len(buffers)), address[1]

        plan = self.plans[nest] = Analysis(nest, self.graph.constants, jit.host().lanes(4))
        reads, writes = [], []
        lines: list[Any] = [plan.shape()]
        for node in nest.prelude:
            number[node] = len(number)
            if node not in self.schedule.lazy:
                reads.append(node)
                lines.append(("leaf", buffer(node), node.dtype.str))
            else:
                known = tuple(
                    [number[i] if i in number else ("number", repr(self.schedule.number(i))) for i in node.inputs]
                )
                lines.append((node.op.name, known, repr(node.attrs), node.dtype.str))  # type: ignore[union-attr]
        for s in nest.statements:
            refs: list[Any] = []
            for o in s.operands:
                if o.kind == "number":
                    refs.append(("number", type(o.node).__name__, repr(o.node)))
                elif o.kind == "load":
                    reads.append(o.node)
                    refs.append(("load", buffer(o.node, o.address), o.node.dtype.str))
                else:
                    refs.append((o.kind, number[o.node]))
            store = None
            if s.store is not None:
                writes.append(s.store[0])
                if s.level == TAIL:
                    reads.append(s.store[0])
                store = buffer(*s.store)
            number[s.node] = len(number)
            attrs = {k: v for k, v in s.node.attrs.items() if k not in ("shape", "order")}
            kinds = tuple(i.dtype.str for i in s.node.inputs)
            op: Any = s.node.op
            lines.append(
                (
                    op.name,
                    s.level,
                    s.reads,
                    tuple(refs),
                    store,
                    repr(attrs),
                    s.node.dtype.str,
                    kinds,
                    s.home if op.name == "iota" else None,
                )
            )
        label = "+".join(dict.fromkeys(s.node.op.name for s in nest.statements))  # type: ignore[union-attr]
        if nest.product is not None:
            return self._behind(nest, plan, buffers, lines, reads, writes, label)
        name = self._function(("loops", repr(lines)), lambda name: Writer(plan, self.module, name, buffers), label)
        return Step(
            name,
            (*[node for node, _ in buffers], *((nest.size, plan.per) if plan.flat else ())),
            (*[at * node.dtype.itemsize for node, at in buffers], *((0, 0) if plan.flat else ())),
            plan.chunks,
            None,
            tuple(dict.fromkeys(reads)),
            tuple(dict.fromkeys(writes)),
            f"{label} {list(nest.domain)}",
            nest.size > LONG // 8,
        )

    def _continues(self, call: Call) -> int:
        """Tell whether loops go on with a product's elements: where it is small, and more than a row or a column."""
        product = self._as_product(call)
        if product is None or product.batch or min(product.m, product.n) < 2:
            return 0
        lanes = jit.host().lanes(call.node.dtype.itemsize)
        if not is_small(product, lanes):
            return 0
        return 1 if _chunks(product) > 1 else 2

    def _behind(
        self,
        nest: Loops,
        plan: Analysis,
        buffers: Any,
        lines: list[Any],
        reads: list[Any],
        writes: list[Any],
        label: str,
    ) -> Step:
        call = nest.product
        product = self._as_product(call)
        assert product is not None
        product = replace(product, chunks=1 if plan.tails else _chunks(product))
        size = call.node.dtype.itemsize
        lanes = jit.host().lanes(size)
        plan.width = lanes

        def tiles(f: Any, a: Any, b: Any, put: Any) -> None:
            write_tiles(f, product, a, b, lanes, put)

        name = self._function(
            ("behind", product, repr(lines[1:])), lambda name: Behind(plan, self.module, name, buffers, tiles), label
        )
        x, y = call.operands
        return Step(
            name,
            (*[node for node, _ in buffers], x[0], y[0]),
            (*[at * node.dtype.itemsize for node, at in buffers], x[1] * size, y[1] * size),
            product.chunks,
            None,
            tuple(dict.fromkeys([*reads, x[0], y[0]])),
            tuple(dict.fromkeys(writes)),
            f"{label} {product.m}x{product.k}x{product.n}",
            product.work > LONG,
        )

    def _fill(self, fill: Fill) -> Step:
        node = fill.node
        count = math.prod(node.shape)

        def write(name: str) -> None:
            from .codegen.lanes import Lanes

            f = self.module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
            kind = kind_of(node.dtype)
            assert kind is not None
            pointer = f.load("ptr", f.element("ptr", f.arguments, 0), 8)
            width = jit.host().lanes(node.dtype.itemsize)
            total = f.load("i64", f.element("i64", f.arguments, 1), 8)
            whole = f.round_down(total, width)
            for lanes, start, stop in ((Lanes(f, kind, width), 0, whole), (Lanes(f, kind, 1), whole, total)):
                with f.loop(start, stop, lanes.width) as i:
                    lanes.store(lanes.const(fill.value), pointer, i)
            f.ret()

        name = self._function(("fill", node.dtype.str, repr(fill.value)), write, "fill")
        return Step(name, (node, count), (0, 0), 1, None, (), (node,), f"fill {list(node.shape)}")

    def _call(self, call: Call) -> Step:
        node = call.node
        product = self._as_product(call)
        reads = tuple(dict.fromkeys(o[0] for o in call.operands if o is not None))
        if product is not None:
            product = replace(product, chunks=_chunks(product))
            lanes = jit.host().lanes(node.dtype.itemsize)
            small = is_small(product, lanes)

            def write(name: str) -> None:
                if small:
                    write_small(product, self.module, name, lanes)
                else:
                    write_product(product, self.module, name)

            name = self._function(("product", product), write, "matmul")
            x, y = cast(Any, call.operands)
            size = node.dtype.itemsize
            arguments = (x[0], y[0], node, 0 if small else blas.gemm(product.kind))
            label = f"matmul {list(product.batch)} {product.m}x{product.k}x{product.n}"
            return Step(
                name,
                arguments,
                (x[1] * size, y[1] * size, 0, 0),
                product.chunks,
                None,
                reads,
                (node,),
                label,
                product.work > LONG,
            )
        return Step(call=call, reads=reads, writes=(node,), label=f"numpy {node.op.name} {list(node.shape)}")  # type: ignore[union-attr]

    def _as_product(self, call: Call) -> Product | None:
        node = call.node
        kind = {"float32": "f32", "float64": "f64"}.get(node.dtype.name)
        if node.op.name != "matmul" or kind is None or not blas.gemm(kind) or 0 in node.shape:  # type: ignore[union-attr]
            return None
        (_, _, sa), (_, _, sb) = call.operands  # type: ignore[misc]
        x, y = node.inputs
        if 0 in x.shape:
            return None
        batch = node.shape[:-2]
        if turned(sa[-2:], *x.shape[-2:]) is None or turned(sb[-2:], *y.shape[-2:]) is None:
            return None

        def spread(strides: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
            lead = len(batch) - (len(shape) - 2)
            inner = [0 if n == 1 else s for n, s in zip(shape[:-2], strides[:-2], strict=True)]
            return (0,) * lead + tuple(inner) + strides[-2:]

        return Product(
            kind,
            batch,
            node.shape[-2],
            node.shape[-1],
            x.shape[-1],
            spread(sa, x.shape),
            spread(sb, y.shape),
            strides_of(node.shape),
        )

    # -- outputs and memory ------------------------------------------------------------------------------------------------
    def _outputs(self) -> None:
        """Choose where each output's base value lives: in its target, in a fresh array, or copied there at the end."""
        self.home: dict[Node, Any] = {}  # node -> ("input", k) or ("output", k)
        self.copies: list[tuple[Any, Any]] = []  # (output number, node) copied by NumPy at the end
        made = {w for s in self.steps for w in s.writes}
        inputs = {n: k for k, n in enumerate(self.graph.inputs)}
        for k, (node, target) in enumerate(zip(self.graph.outputs, self.targets, strict=True)):
            if target is HIDDEN:
                continue
            own = node in made and node not in self.home and node not in inputs
            if target is None:
                if own:
                    self.home[node] = ("output", k)
                else:
                    self.copies.append((k, node))
            elif own and self._may_overwrite(node, self.graph.inputs[target]):
                self.home[node] = ("input", target)
            elif node is not self.graph.inputs[target]:
                self.copies.append((k, node))

    def _may_overwrite(self, node: Node, old: Node) -> bool:
        if node.shape != old.shape or node.dtype != old.dtype:
            return False
        first = min(i for i, s in enumerate(self.steps) if node in s.writes)
        readers = [i for i, s in enumerate(self.steps) if old in s.reads]
        if any(old is n for n in self.graph.outputs) or (readers and readers[-1] > first):
            return False
        if not readers or readers[-1] < first:
            return True
        step = self.schedule.steps[first]
        if not isinstance(step, Loops) or self.plans[step].sweeps != 1:
            return False
        if step.product is not None and any(o is not None and o[0] is old for o in step.product.operands):
            return False
        stores = [s.store[1] for s in step.statements if s.store is not None and s.store[0] is node]
        loads = [o.address for s in step.statements for o in s.operands if o.kind == "load" and o.node is old]
        tails = any(s.level == TAIL for s in step.statements if s.store is not None and s.store[0] is node)
        return not tails and old not in step.prelude and len(stores) == 1 and all(a == stores[0] for a in loads)

    def _base(self, node: Node) -> tuple[Node, int, tuple[int, ...]] | None:
        from .lowering.maps import identity, linear

        base, index, address = self.schedule.source(node, identity(node.shape), node.shape)
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
        sizes = [math.prod(n.shape) * n.dtype.itemsize + 64 for n in nodes]
        offsets, self.arena_bytes = pack([(first[n], last[n], size) for n, size in zip(nodes, sizes, strict=True)])
        self.offset = dict(zip(nodes, offsets, strict=True))

    def _copy_natively(self) -> None:
        """Turn copies of whole values at the end into steps."""
        rest = []
        for k, base, offset, strides in self.late:
            node = self.graph.outputs[k]
            if strides != strides_of(node.shape) or 0 in node.shape:
                rest.append((k, base, offset, strides))
                continue
            size = node.type.nbytes

            def write(name: str, size: int = size) -> None:
                f = self.module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
                source, goal = (f.load("ptr", f.element("ptr", f.arguments, i), 8) for i in range(2))
                copy = self.module.declare("memcpy", "ptr", ["ptr", "ptr", "i64"])
                f.call(copy, "ptr", [("ptr", goal), ("ptr", source), ("i64", size)])
                f.ret()

            name = self._function(("copy", size), write, "copy")
            arguments = (base, Goal(k))
            self.steps.append(
                Step(
                    name, arguments, (offset * node.dtype.itemsize, 0), 1, None, (base,), (), f"copy {list(node.shape)}"
                )
            )
        self.late = rest

    def _load(self) -> None:
        """Assemble the kernels, and lay out the table of addresses."""
        self.arena = np.zeros(self.arena_bytes + 64, np.uint8)
        start = -self.arena.ctypes.data % 64
        self.arena_at = self.arena.ctypes.data + start
        self.arena_start = start
        _write_driver(self.module)
        self.text = self.module.text()
        assembling = time.perf_counter()
        self.loaded = native(self.text, "program")
        self.llvm_seconds, self.code_from = time.perf_counter() - assembling, self.loaded.origin
        pool.ensure(threads())
        inputs = {n: k for k, n in enumerate(self.graph.inputs)}
        self.fixed = {n: np.ascontiguousarray(v) for n, v in self.graph.constants.items() if isinstance(v, np.ndarray)}
        self.inputs = inputs
        table: list[int] = []
        self.input_slots: list[list[tuple[int, int]]] = [[] for _ in inputs]
        self.output_slots: list[list[tuple[int, int]]] = [[] for _ in self.graph.outputs]
        records: list[int] = []
        rows = []
        for s in self.steps:
            rows.append(len(table))
            if s.call is not None:
                continue
            for node, extra in zip(s.arguments, s.offsets, strict=True):
                at = len(table)
                if isinstance(node, int):
                    table.append(node)
                elif isinstance(node, Goal):
                    target = self.targets[node.output]
                    slots = self.output_slots[node.output] if target is None else self.input_slots[target]
                    slots.append((at, extra))
                    table.append(0)
                elif node in self.fixed:
                    table.append(self.fixed[node].ctypes.data + extra)
                elif node in inputs:
                    self.input_slots[inputs[node]].append((at, extra))
                    table.append(0)
                elif node in self.home:
                    kind, k = self.home[node]
                    (self.input_slots if kind == "input" else self.output_slots)[k].append((at, extra))
                    table.append(0)
                else:
                    table.append(self.arena_at + self.offset[node] + extra)
        self.table = np.array(table or [0], np.uint64)
        for s, row in zip(self.steps, rows, strict=True):
            if s.call is None:
                records += [
                    self.loaded.address(s.name),
                    self.table.ctypes.data + 8 * row,
                    s.chunks + (WAKING if s.long else 0),
                ]
        self.records = np.array(records or [0], np.uint64)
        self.segments: list[Any] = []
        at = 0
        for s in self.steps:
            if s.call is not None:
                self.segments.append(s)
                continue
            if self.segments and isinstance(self.segments[-1], list):
                self.segments[-1][1] += 1
            else:
                self.segments.append([self.records.ctypes.data + 24 * at, 1])
            at += 1
        self.drive = self.loaded.function("rg_drive", None, ctypes.c_void_p, ctypes.c_int64)
        checks = self.module.has(ERROR)
        self.error = ctypes.c_int64.from_address(self.loaded.address(symbol(ERROR))) if checks else None
        self.repeatable = self._is_repeatable()

    # -- running -----------------------------------------------------------------------------------------------------------
    def __call__(self, values: Any) -> list[Any]:
        """Run on arrays, one per input, contiguous; targets are written in place; gives the other outputs."""
        results: list[Any] = [None] * len(self.graph.outputs)
        for k, node in enumerate(self.graph.outputs):
            if self.targets[k] is None:
                results[k] = np.empty(node.shape, node.dtype)
        for tables, arrays in ((self.input_slots, values), (self.output_slots, results)):
            for slots, a in zip(tables, arrays, strict=True):
                if slots:
                    pointer = a.ctypes.data
                    for at, extra in slots:
                        self.table[at] = pointer + extra
        self.execute(values, results)
        return [r for r, t in zip(results, self.targets, strict=True) if t is None]

    def complain(self) -> None:
        """Raise IndexError if generated code met an index that does not exist."""
        if self.error is not None and self.error.value:
            size, self.error.value = self.error.value, 0
            raise IndexError(f"an index is out of bounds for a dimension with size {size} (in a compiled function)")

    def _is_repeatable(self) -> bool:
        """Tell whether what can fail comes before the first write of what lives outside, and nothing is drawn."""
        first, last = len(self.steps), -1
        for i, s in enumerate(self.steps):
            if s.call is not None or "check_index" in s.label:
                last = i
            outside = [a for a in s.arguments if isinstance(a, Goal) and self.targets[a.output] is not None]
            if outside or any(self.home.get(n, ("",))[0] == "input" for n in s.writes):
                first = min(first, i)
        return last < first and not any(n.op is not None and n.op.impure for n in self.graph.nodes)

    def execute(self, values: Any, results: Any) -> None:
        """Run the steps; the table holds the addresses of the arrays already."""
        token = quiet_on(_quiet)
        try:
            for segment in self.segments:
                if isinstance(segment, list):
                    self.drive(*segment)
                    self.complain()
                else:
                    self._run_call(segment, values, results)
            for k, base, offset, strides in self.late:
                node = self.graph.outputs[k]
                goal = results[k] if self.targets[k] is None else values[self.targets[k]]
                np.copyto(goal, self._array(base, values, results, offset, strides, node.shape))
        finally:
            quiet_off(token)

    def _array(self, node: Node, values: Any, results: Any, offset: int, strides: Any, shape: Any) -> Any:
        """Give a value in memory as an array."""
        inputs = self.inputs
        size = node.dtype.itemsize
        if node in self.fixed:
            base = self.fixed[node]
        elif node in inputs:
            base = values[inputs[node]]
        elif node in self.home:
            kind, k = self.home[node]
            base = values[k] if kind == "input" else results[k]
        else:
            start = self.arena_start + self.offset[node]
            count = math.prod(node.shape) * size
            base = self.arena[start : start + count].view(node.dtype)
        flat = base.reshape(-1)
        return np.lib.stride_tricks.as_strided(flat[offset:], shape, tuple(s * size for s in strides))

    def _run_call(self, step: Step, values: Any, results: Any) -> None:
        call: Any = step.call
        node = call.node
        arguments = []
        for i, o in zip(node.inputs, call.operands, strict=True):
            if o is None:
                arguments.append(self.graph.constants[i])
            else:
                arguments.append(self._array(o[0], values, results, o[1], o[2], i.shape))
        found = node.op.numpy(*arguments, **node.attrs)
        np.copyto(self._array(node, values, results, 0, strides_of(node.shape), node.shape), found)


SHARED = 1 << 18  # multiply-adds of a product that two threads share
WAKING = 1 << 32  # added to a step's number of chunks: sleeping threads are woken for it
LONG = 1 << 19  # and from which a sleeping thread is woken for it: one that is awake costs nothing to tell


def _chunks(p: Product) -> int:
    """Say into how many parts a product is cut: a matter of its sizes alone, so that results do not depend on threads."""
    if p.work < SHARED:
        return 1
    batch = next((n for n in p.batch if n != 1), 0)
    if batch:
        return min(batch, 4)
    return min(4, max(p.m, p.n) // 16) or 1


def _write_driver(module: Module) -> None:
    """Write the loop that calls kernels one after another: records of (function, its arguments, chunks)."""
    f = module.function("drive", [("ptr", "records"), ("i64", "count")])
    with f.loop(0, f.count) as i:
        if module.has(ERROR):  # an index was out of range: nothing more is done
            with f.if_(f.op(f"icmp eq i64 {f.load('i64', module.variable(ERROR, 'i64'))}, 0")):
                write_record(f, i)
        else:
            write_record(f, i)
    f.ret()


def write_record(f: Function, i: Value) -> None:
    """Write the call of one record's kernel, in as many chunks as it says."""
    at = f.mul(i, 3)
    function = f.load("ptr", f.element("ptr", f.records, at), 8)
    arguments = f.load("ptr", f.element("ptr", f.records, f.add(at, 1)), 8)
    chunks = f.load("i64", f.element("i64", f.records, f.add(at, 2)), 8)
    alone, shared, after = f.label("alone"), f.label("shared"), f.label("after")
    f.branch(f.op(f"icmp sle i64 {chunks}, 1"), alone, shared)
    f.block(alone)
    f.call(function, "void", [("ptr", arguments), ("i64", 0)])
    f.jump(after)
    f.block(shared)
    wakes = f.op(f"icmp uge i64 {chunks}, {WAKING}")
    count = f.op(f"and i64 {chunks}, {WAKING - 1}")

    def shared_out(wake: bool) -> tuple[Value, ...]:
        emit_parallel(f, function, arguments, count, wake)
        return ()

    f.choose(wakes, (), lambda: shared_out(True), lambda: shared_out(False))
    f.jump(after)
    f.block(after)
