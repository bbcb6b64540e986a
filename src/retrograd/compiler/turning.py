"""Turning: a matrix that a product in chunks reads by columns is turned once, by all threads, instead of by each of its chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..core import Node
from .codegen.emit import Module
from .codegen.lanes import Lanes
from .codegen.panels import turn
from .codegen.products import Product, share
from .codegen.small import PAGE, turns_panels
from .lowering.kernel import Call, Loops

SIZES = {"f32": 4, "f64": 8}


@dataclass(eq=False)
class Turn:
    """A matrix of ``product.k`` rows by ``product.n`` columns, which lie apart, written with its rows side by side, a little padded."""

    time: float
    node: Node
    matrix: Node
    offset: int
    product: Product

    @property
    def row(self) -> int:
        """From row to row of what is written, in elements."""
        return int(self.node.shape[1])


def turned_before(
    steps: Iterable[Any], product_of: Callable[[Call], Product | None], lanes: Callable[[int], int]
) -> list[Any]:
    """Give the steps with a :class:`Turn` before each product that is to read what it wrote; those products' operands are changed."""
    found: list[Any] = []
    for step in steps:
        call = step.product if isinstance(step, Loops) else step
        product = product_of(call) if isinstance(call, Call) and call.node.op.name == "matmul" else None  # type: ignore[union-attr]
        if product is not None and product.chunks > 1 and not product.batch:
            size = SIZES[product.kind]
            width = lanes(size)
            if turns_panels(product, width):
                row = -(-product.n // width) * width
                row += width if row * size % PAGE == 0 else 0
                base, offset, _ = call.operands[1]
                node = Node(None, (), {}, (product.k, row), call.node.dtype, False, call.node.place, (), None, None)
                found.append(Turn(step.time - 0.5, node, base, offset, product))
                call.operands[1] = (node, 0, (row, 1))
        found.append(step)
    return found


def chunks_of(t: Turn, width: int) -> int:
    """Say into how many parts the turning is cut."""
    return min(t.product.chunks, -(-t.product.n // width))


def write_turn(t: Turn, module: Module, name: str, width: int) -> None:
    """Write ``void(ptr arguments, i64 chunk)``; the arguments are the addresses of the matrix and of what is written."""
    f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
    source, goal = (f.load("ptr", f.element("ptr", f.arguments, i), 8) for i in range(2))
    p, lanes = t.product, Lanes(f, t.product.kind, width)
    apart, whole = p.b[-1], p.n // width * width
    start, stop = share(f, p.n, chunks_of(t, width), width)

    def panel(j: Any, columns: int) -> None:
        at = f.element(lanes.item, source, f.mul(j, apart))
        turn(f, lanes, at, apart, columns, p.k, f.element(lanes.item, goal, j), t.row)

    with f.loop(start, f.min(stop, whole), width) as j:
        panel(j, width)
    if whole < p.n:
        last = f.op(f"icmp sgt i64 {stop}, {whole}")
        own = f.op(f"icmp sle i64 {start}, {whole}")  # a chunk behind the last column has none
        with f.if_(f.op(f"and i1 {last}, {own}")):
            panel(whole, p.n - whole)
    f.ret()


__all__ = ["Turn", "chunks_of", "turned_before", "write_turn"]
