"""The passes, and the pipeline: a list that can be read aloud."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...core import Graph
from .algebra import simplify
from .apart import read_apart
from .assembly import assemble_parts
from .constants import fold
from .joined import join_products, turn_once
from .kept import keeping
from .places import to_places
from .pools import to_windows
from .products import to_products
from .rebuild import FROZEN
from .selection import select_by_comparison
from .stable import stable_forms
from .sums import join_terms
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
    read_apart,
)


def optimise(graph: Graph) -> Graph:
    """Run the pipeline, checking the graph's types after each pass; what it makes of a large graph is kept on disk."""
    passes = PIPELINE
    return keeping(graph, passes, lambda graph: _run(graph, passes))


def _run(graph: Graph, passes: Sequence[Callable[[Graph], Graph]]) -> Graph:
    try:
        for step in passes:
            graph = step(graph)
            graph.check()
    finally:
        FROZEN.clear()
    return graph


__all__ = ["PIPELINE", "optimise"]
