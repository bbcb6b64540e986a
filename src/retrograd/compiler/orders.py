"""In which order a lowered graph's sums are added up: what graphs that stand for it are to keep, so that their sums have the same bits."""

from __future__ import annotations

from typing import Any

from ..core import Graph, Node
from .codegen.analysis import ADDING
from .codegen.rows import summed_products
from .lowering.ending import shares
from .lowering.kernel import TAIL, Loops, Order
from .steps import StepWriter


def orders_of(graph: Graph) -> dict[Node, Order]:
    """Give the order of every sum of floating-point numbers that loops add up in a graph as it is lowered."""
    return orders_in(StepWriter(graph))


def orders_in(writer: StepWriter) -> dict[Node, Order]:
    """Give the same from what has written the graph's kernels."""
    found: dict[Node, Order] = {}
    for nest, plan in writer.plans.items():
        summed = summed_products(nest.statements)
        for s in nest.statements:
            if s.node.op.name not in ("sum", *ADDING) or s.node.dtype.kind in "iub":  # type: ignore[union-attr]
                continue
            cut = _cut(nest, plan) if s.level == TAIL and shares(nest, s) else None
            registers = nest.product is None and (plan.in_registers(s) or plan.adds_runs(s))
            fused = any(o.kind == "value" and o.node in summed for o in s.operands)
            found[s.node] = Order(cut, (plan.width, plan.ways, plan.inner) if registers else None, fused)
    return found


def _cut(nest: Loops, plan: Any) -> tuple[int, int]:
    """Give into how many chunks a nest is cut, and how many elements each has."""
    if nest.product is not None:
        return nest.product_cut
    if plan.chunks == 1:
        return 1, 0
    return plan.chunks, plan.per * (nest.size // (plan.rows or plan.cols)[0][0])


__all__ = ["orders_in", "orders_of"]
