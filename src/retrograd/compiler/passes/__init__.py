"""The passes, and the pipeline: a list that can be read aloud."""

from __future__ import annotations

from ...core import Graph
from .algebra import simplify
from .assembly import assemble_parts
from .constants import fold
from .places import to_places
from .pools import to_windows
from .products import to_products
from .rebuild import FROZEN
from .selection import select_by_comparison
from .stable import stable_forms
from .sums import join_terms
from .together import join_products, turn_once
from .writes import remove_copies

PIPELINE = (
    remove_copies,
    stable_forms,
    fold,
    to_products,
    simplify,
    join_terms,
    join_products,
    turn_once,
    assemble_parts,
    to_windows,
    to_places,
    select_by_comparison,
    simplify,
    fold,
)


def optimise(graph: Graph) -> Graph:
    """Run the pipeline, checking the graph's types after each pass."""
    try:
        for step in PIPELINE:
            graph = step(graph)
            graph.check()
    finally:
        FROZEN.clear()
    return graph


__all__ = ["PIPELINE", "optimise"]
