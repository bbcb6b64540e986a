"""Steps: a schedule's nests, products and fills as functions of generated code, each with what it is called on."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from typing import Any, cast

import numpy as np

from ..core import Graph, Node
from .codegen.emit import Module
from .codegen.following import write_joined
from .codegen.loops import Analysis, Writer
from .codegen.products import Product, turned, write_product
from .codegen.rows import computes, kind_of, moved_as
from .codegen.scans import SCANS, write_scan
from .codegen.small import is_small, write_small
from .contractions import behind
from .contractions import conv as convolutions
from .contractions import native as contractions
from .contractions.prepared import Prepared
from .draws import steps as draws
from .draws.again import AGAIN, Streams
from .followed import step_behind
from .lowering.kernel import CHUNK, FULL, Call, Fill, Joined, Loops
from .lowering.maps import strides_of
from .lowering.schedule import Schedule
from .runtime import blas, jit
from .step import LONG, SHARED, Step, chunks_of_product, scratch
from .text import text_of
from .together import bring_together
from .turning import Turn, chunks_of, turned_before, write_turn


class StepWriter:
    """Writes the kernels of a graph, and lists the steps that call them.

    Parameters
    ----------
    graph : Graph
        Optimised.

    Attributes
    ----------
    schedule : Schedule
    module : Module
        The text of all kernels.
    kernels : dict of str to int
        How many steps call each.
    plans : dict
        How each loop nest is written.
    steps : list of Step
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.schedule = Schedule(graph, lambda node: computes(node, graph.constants), self._continues)
        self.module = Module(jit.host().enabled)
        self.functions: dict[Any, str] = {}
        self.kernels: dict[str, int] = {}
        self.plans: dict[Loops, Analysis] = {}
        self.steps: list[Step] = []
        self.held: list[Prepared] = []  # whose templates generated code reads
        self.streams = Streams()
        self.schedule.steps = turned_before(self.schedule.steps, self._cut_product, jit.host().lanes)
        for s in self.schedule.steps:
            if isinstance(s, Turn):
                self.steps.append(self._turn(s))
            elif isinstance(s, Loops):
                self.steps.append(self._loops(s))
            elif isinstance(s, Fill):
                self.steps.append(self._fill(s))
            elif isinstance(s, Joined):
                self.steps.append(self._joined(s))
            else:
                self.steps.append(self._call(s))
        bring_together(self.steps, self.schedule.steps)

    def function(self, key: Any, write: Any) -> str:
        """Give the symbol of the kernel of this key; ``write`` is called with its name if there is none yet."""
        name = self.functions.get(key)
        if name is None:
            name = self.functions[key] = f"k{len(self.functions)}"
            write(name)
            self.kernels[f"rg_{name}"] = 0
        self.kernels[f"rg_{name}"] += 1
        return f"rg_{name}"

    def unstored(self, nest: Loops, nodes: set[Node]) -> Step:
        """Write a nest's kernel once more, without the stores of some values; it takes what the other takes."""
        kept = [
            replace(s, store=None) if s.level == FULL and s.store is not None and s.store[0] in nodes else s
            for s in nest.statements
        ]
        return self._loops(nest, replace(nest, statements=kept, by_node={s.node: s for s in kept}))

    def _loops(self, nest: Loops, instead: Loops | None = None) -> Step:
        plan = Analysis(instead or nest, self.graph.constants, jit.host().lanes(4))
        if instead is None:
            self.plans[nest] = plan
        text = text_of(nest, plan, self.schedule.lazy, self.schedule.number)
        if nest.product is not None:
            return step_behind(self, nest.product, text)
        name = self.function(("loops", text.key), lambda name: Writer(plan, self.module, name, text.buffers))
        return Step(
            name,
            (*text.arguments, *((nest.size, plan.per) if plan.flat else ())),
            (*text.offsets, *((0, 0) if plan.flat else ())),
            plan.chunks,
            None,
            text.read(),
            text.written(),
            f"{text.label} {list(nest.domain)}",
            nest.work > LONG // 8,
            alike=plan.chunks == 1,
            worth=nest.work / (2 * CHUNK),
        )

    def _continues(self, call: Call) -> int:
        """Tell whether loops go on with a product's elements: where it is small, and more than a row or a column."""
        if convolutions.of_call(call, behind=True) is not None:
            return 3
        product = self.product_of(call)
        if product is None or product.batch or min(product.m, product.n) < 2:
            return 0
        lanes = jit.host().lanes(call.node.dtype.itemsize)
        if not is_small(product, lanes):
            return 3 if behind.of_product(product) is not None else 0
        call.parts = chunks_of_product(product)
        return 1

    def convolved(self, job: convolutions.Job) -> str:
        """Give the symbol of a convolution's kernel."""
        return self.function(("convolution", job), lambda name: convolutions.write(job, self.module, name))

    def _fill(self, fill: Fill) -> Step:
        node = fill.node
        count = math.prod(node.shape)

        def write(name: str) -> None:
            from .codegen.lanes import Lanes

            f = self.module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
            kind, value = moved_as(node.dtype), fill.value
            if kind_of(node.dtype) is None:
                value = int.from_bytes(np.asarray(value, node.dtype).tobytes(), sys.byteorder)
            pointer = f.load("ptr", f.element("ptr", f.arguments, 0), 8)
            width = jit.host().lanes(node.dtype.itemsize)
            total = f.load("i64", f.element("i64", f.arguments, 1), 8)
            whole = f.round_down(total, width)
            for lanes, start, stop in ((Lanes(f, kind, width), 0, whole), (Lanes(f, kind, 1), whole, total)):
                with f.loop(start, stop, lanes.width) as i:
                    lanes.store(lanes.const(value), pointer, i)
            f.ret()

        name = self.function(("fill", node.dtype.str, repr(fill.value)), write)
        return Step(name, (node, count), (0, 0), 1, None, (), (node,), f"fill {list(node.shape)}", alike=True)

    def _convolution(self, call: Call, reads: tuple[Node, ...]) -> Step | None:
        job = convolutions.of_call(call)
        if job is None:
            return None
        node, (x, y) = call.node, cast(Any, call.operands)
        product = convolutions.of_product(job)
        if product is not None:
            ready, how = product
            first, second = (y, x) if how.exchanged else (x, y)
            return self._contracted(node, (first, second), ready, reads, f"{node.op.name} {job.label}")  # type: ignore[union-attr]
        name = self.convolved(job)
        memory = scratch(job.scratch)
        size = node.dtype.itemsize
        arguments = (x[0], y[0], node, memory, job.images, job.chunks, 0)
        offsets = (x[1] * size, y[1] * size, 0, 0, 0, 0, 0)
        return Step(name, arguments, offsets, 1, None, reads, (node, memory), f"{node.op.name} {job.label}")  # type: ignore[union-attr]

    def _draw(self, call: Call) -> Step | None:
        node = call.node
        if node.op is AGAIN:
            return self._draw_again(node)
        if node.op.impure:  # type: ignore[union-attr]
            self.streams.drawn(node)
        given = draws.arguments(node)
        if given is None:
            return None
        name = self.function("draw", lambda name: draws.write_step(self.module, name))
        before, after = given
        taken = (*before, node, math.prod(node.shape), *after)
        return Step(name, taken, (0,) * len(taken), 1, None, (), (node,), draws.label(node))

    def _draw_again(self, node: Node) -> Step:
        name = self.function("draw again", lambda name: draws.write_step_again(self.module, name))
        state, before, behind = self.streams.arguments(node)
        taken = (*before, state, node, math.prod(node.shape), *behind)
        label = f"{draws.label(node.attrs['of'])} again"
        return Step(name, taken, (0,) * len(taken), 1, None, (state,), (node, state), label)

    def _contraction(self, call: Call, product: Product, ready: Prepared, reads: tuple[Node, ...]) -> Step:
        """A product of the contraction kernels: one step, which shares its own work among threads."""
        label = f"matmul {list(product.batch)} {product.m}x{product.k}x{product.n}"
        return self._contracted(call.node, call.operands, ready, reads, label)

    def _contracted(self, node: Node, operands: Any, ready: Prepared, reads: tuple[Node, ...], label: str) -> Step:
        name = self.function(("contraction", label), lambda name: contractions.write_step(self.module, name))
        self.held.append(ready)
        memory = scratch(ready.bytes)
        (x, y), size = operands, node.dtype.itemsize
        arguments = (x[0], y[0], node, contractions.address(), ready.template.ctypes.data, memory)
        return Step(name, arguments, (x[1] * size, y[1] * size, 0, 0, 0, 0), 1, None, reads, (node, memory), label)

    def _cut_product(self, call: Call) -> Product | None:
        """Give a matrix product, with its number of chunks."""
        product = self.product_of(call)
        return None if product is None else replace(product, chunks=chunks_of_product(product))

    def _turn(self, t: Turn) -> Step:
        lanes = jit.host().lanes(t.node.dtype.itemsize)
        key = ("turn", t.product.kind, t.product.k, t.product.n, t.product.b, t.product.chunks, t.row)
        name = self.function(key, lambda name: write_turn(t, self.module, name, lanes))
        label = f"turned {t.product.k}x{t.product.n}"
        offsets = (t.offset * t.node.dtype.itemsize, 0)
        return Step(name, (t.matrix, t.node), offsets, chunks_of(t, lanes), None, (t.matrix,), (t.node,), label)

    def _joined(self, join: Joined) -> Step:
        node, parts = join.node, join.parts
        size, count = math.prod(node.shape), parts.shape[0]
        name = self.function(
            ("joined", node.dtype.str, node.op.name, count),  # type: ignore[union-attr]
            lambda name: write_joined(self.module, name, node, count, jit.host().lanes(node.dtype.itemsize)),
        )
        label = f"joined {node.op.name} {list(node.shape)} of {count}"  # type: ignore[union-attr]
        return Step(name, (parts, node, size), (0, 0, 0), 1, None, (parts,), (node,), label)

    def _call(self, call: Call) -> Step:
        node = call.node
        product = self.product_of(call)
        reads = tuple(dict.fromkeys(o[0] for o in call.operands if o is not None))
        made = self._convolution(call, reads) or self._draw(call)
        if made is not None:
            return made
        if product is not None:
            product = replace(product, chunks=chunks_of_product(product))
            lanes = jit.host().lanes(node.dtype.itemsize)
            small = is_small(product, lanes)
            ready = None if small else contractions.of_product(product)
            if ready is not None:
                return self._contraction(call, product, ready, reads)

            def write(name: str) -> None:
                if small:
                    write_small(product, self.module, name, lanes)
                else:
                    write_product(product, self.module, name)

            name = self.function(("product", product), write)
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
                alike=product.chunks == 1 and small,
                worth=product.work / SHARED,
            )
        scan = self._scan(call, reads)
        if scan is not None:
            return scan
        return Step(call=call, reads=reads, writes=(node,), label=f"numpy {node.op.name} {list(node.shape)}")  # type: ignore[union-attr]

    def _scan(self, call: Call, reads: tuple[Node, ...]) -> Step | None:
        """Give the native step of a running sum or product, or None."""
        node: Any = call.node
        kind = kind_of(node.dtype)
        if node.op.name not in SCANS or kind not in ("f32", "f64", "i32", "i64") or 0 in node.shape or not node.shape:
            return None
        ((base, offset, strides),) = cast(Any, call.operands)
        if base.dtype != node.dtype:
            return None
        axis = node.attrs["axis"] % len(node.shape)
        size, width = node.dtype.itemsize, jit.host().lanes(node.dtype.itemsize)
        shared = [n for d, n in enumerate(node.shape) if d != axis and n != 1]
        chunks = min(shared[0], 4) if shared and math.prod(node.shape) >= 2 * CHUNK else 1
        key = ("scan", node.op.name, kind, node.shape, strides, axis, chunks)
        name = self.function(
            key,
            lambda name: write_scan(self.module, name, node.op.name, kind, node.shape, strides, axis, width, chunks),
        )
        label = f"{node.op.name} {list(node.shape)} along {axis}"
        return Step(name, (base, node), (offset * size, 0), chunks, None, reads, (node,), label)

    def product_of(self, call: Call) -> Product | None:
        """Give a matrix product that is computed natively, or None."""
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
