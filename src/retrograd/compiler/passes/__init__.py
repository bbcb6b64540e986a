"""The passes, and the pipeline: a list that can be read aloud."""

from __future__ import annotations

from ...core import Graph
from .algebra import simplify
from .assembly import assemble_parts
from .constants import fold
from .products import to_products
from .selection import select_by_comparison
from .sums import join_terms
from .writes import remove_copies

PIPELINE = (
    remove_copies,
    fold,
    to_products,
    simplify,
    join_terms,
    assemble_parts,
    select_by_comparison,
    simplify,
    fold,
)


def optimise(graph: Graph) -> Graph:
    """Run the pipeline, checking the graph's types after each pass."""
    for step in PIPELINE:
        graph = step(graph)
        graph.check()
    return graph


__all__ = ["PIPELINE", "optimise"]
