"""An explanation as HTML for a notebook: the same tables, every text escaped, no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from .model import Graph, Numbers
from .render_text import (
    JACOBIAN_HEAD,
    edge_head,
    edge_rows,
    jacobian_rows,
    matrices,
    node_head,
    node_rows,
    step_lines,
    summary,
)

STYLE = """
.rg-glass{font:13px/1.45 system-ui,sans-serif;color:inherit;max-width:100%;overflow-x:auto}
.rg-glass table{border-collapse:collapse;margin:.5em 0;font-variant-numeric:tabular-nums}
.rg-glass th,.rg-glass td{text-align:left;padding:.15em .6em;border-bottom:1px solid rgba(128,128,128,.35);vertical-align:top}
.rg-glass .v{color:#1a7f37}.rg-glass .g{color:#c1121f}.rg-glass pre{margin:.4em 0}
.rg-glass i{display:inline-block;width:4px;height:4px}.rg-glass .h{line-height:4px;white-space:nowrap;margin-top:2px}
@media (prefers-color-scheme:dark){.rg-glass .v{color:#56d364}.rg-glass .g{color:#ff7b72}}
"""
MOST = 300  # rows of a table in a notebook


def _table(
    head: Sequence[str], rows: list[Any], classes: dict[int, str], extra: dict[tuple[int, int], str] | None = None
) -> str:
    heads = "".join(f"<th scope='col'>{escape(h)}</th>" for h in head)
    lines = []
    for r, row in enumerate(rows[:MOST]):
        cells = []
        for i, cell in enumerate(row):
            style = f" class='{classes[i]}'" if i in classes else ""
            cells.append(f"<td{style}>{escape(cell)}{(extra or {}).get((r, i), '')}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    more = f"<p>and {len(rows) - MOST} rows more</p>" if len(rows) > MOST else ""
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>{more}"


def heat(numbers: Numbers | None, signed: bool) -> str:
    """Draw the coarse picture of a large array as small coloured boxes: blue below zero, orange above; or light to dark."""
    if numbers is None or numbers.heat is None:
        return ""
    known = [v for row in numbers.heat for v in row if v == v and abs(v) != float("inf")]
    top = max((abs(v) for v in known), default=0.0) or 1.0
    low, high = min(known, default=0.0), max(known, default=1.0)
    lines = []
    for row in numbers.heat:
        boxes = []
        for v in row:
            if v != v or abs(v) == float("inf"):
                color = "#ff00ff"
            elif signed:
                color = f"rgba({'230,97,1' if v > 0 else '94,60,153'},{abs(v) / top:.2f})"
            else:
                color = f"rgba(26,127,55,{0.08 + 0.92 * (v - low) / ((high - low) or 1):.2f})"
            boxes.append(f"<i style='background:{color}'></i>")
        lines.append("".join(boxes))
    return f"<div class='h' role='img' aria-label='heat map'>{'<br>'.join(lines)}</div>"


def html(graph: Graph) -> str:
    """Give the tables of nodes, edges and Jacobians, heat maps of large tensors, and the steps to unfold.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    str
        HTML that loads nothing and runs nothing.
    """
    pictures: dict[tuple[int, int], str] = {}
    for r, node in enumerate(graph.nodes[:MOST]):
        below = node.tangent if graph.mode == "forward" else node.gradient
        pictures[r, 4], pictures[r, 5] = heat(node.value, False), heat(below, True)
    parts = [
        f"<style>{STYLE}</style><div class='rg-glass'><p><b>{escape(summary(graph))}</b></p>",
        _table(node_head(graph), node_rows(graph), {4: "v", 5: "g"}, pictures),
        _table(edge_head(graph), edge_rows(graph), {2: "g", 4: "g"} if graph.mode == "reverse" else {}),
    ]
    rows = jacobian_rows(graph)
    if rows:
        shown = "".join(f"<pre>{escape(m)}</pre>" for m in matrices(graph))
        table = _table(JACOBIAN_HEAD, rows, {})
        parts.append(f"<details><summary>Jacobians</summary>{table}{shown}<p>{escape(graph.convention)}</p></details>")
    steps = "\n".join(step_lines(graph)[: 2 * MOST])
    parts.append(f"<details><summary>Steps</summary><pre>{escape(steps)}</pre></details>")
    parts += [f"<p>{escape(note)}</p>" for note in graph.notes]
    return "".join([*parts, "</div>"])


__all__ = ["heat", "html"]
