"""An explanation as text: a table of nodes and one of edges, in colour where rich is installed, plain otherwise."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from .model import Edge, ExplainedNode, Graph
from .numbers import brief, short

GREEN, RED = "green", "red"
Row = Sequence[str]


def amount(count: float) -> str:
    """Write bytes with their unit.

    Examples
    --------
    >>> amount(12), amount(3 * 1024**2)
    ('12 B', '3 MiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{short(count, 4)} {unit}"
        count /= 1024
    return ""


def node_rows(graph: Graph) -> list[Row]:
    """Give the table of nodes: one row each, in forward order."""
    rows: list[Row] = []
    for node in graph.nodes:
        back = "" if node.backward is None else str(node.backward)
        shape = "x".join(map(str, node.shape))
        row = [str(node.id), node.symbol, node.label, shape, brief(node.value)]
        row.append(
            brief(node.tangent) if graph.mode == "forward" else ("" if node.gradient is None else brief(node.gradient))
        )
        rows.append([*row, back, node.pattern or node.kind, amount(node.new_bytes) if node.new_bytes else ""])
    return rows


def node_head(graph: Graph) -> Row:
    """Give the titles of the table of nodes."""
    return [
        "#",
        "name",
        "node",
        "shape",
        "value",
        "tangent" if graph.mode == "forward" else "gradient",
        "back",
        "pattern",
        "kept",
    ]


def share_of(edge: Edge) -> str:
    """Write an edge's part of its source's gradient, in per cent."""
    return "" if edge.share is None else f"{short(100 * edge.share, 4)}%"


def edge_rows(graph: Graph) -> list[Row]:
    """Give the table of edges, in the order the backward pass takes them: upstream x local = downstream."""
    rows: list[Row] = []
    for edge in in_order(graph):
        source, target = graph.nodes[edge.source], graph.nodes[edge.target]
        local = brief(edge.local) if edge.local is not None else _structure(edge)
        if graph.mode == "forward":
            rows.append([source.label, target.label, brief(source.tangent), local, brief(edge.tangent)])
            continue
        rows.append(
            [
                target.label,
                source.label,
                brief(edge.upstream),
                local,
                brief(edge.downstream),
                share_of(edge),
                edge.filled or edge.rule,
            ]
        )
    return rows


def edge_head(graph: Graph) -> Row:
    """Give the titles of the table of edges."""
    if graph.mode == "forward":
        return ["from", "to", "tangent", "local", "tangent it adds"]
    return ["from", "to", "upstream", "local", "downstream", "share", "rule"]


def in_order(graph: Graph) -> Iterable[Edge]:
    """Give the edges that carry a gradient (or a tangent) in the order they are taken."""
    if graph.mode == "forward":
        return [e for e in graph.edges if e.tangent is not None]
    found: list[Edge] = []
    for k in graph.backward:
        found += [graph.edges[e] for e in graph.nodes[k].edges if graph.edges[e].downstream is not None]
    return found


def _structure(edge: Edge) -> str:
    j = edge.jacobian
    return "" if j is None else f"{j.rows}x{j.columns} {j.structure}"


def jacobian_rows(graph: Graph) -> list[Row]:
    """Give the table of Jacobians of tensors: structure, what forming each would cost, what the implicit product costs."""
    rows: list[Row] = []
    for edge in in_order(graph):
        j = edge.jacobian
        if j is None or j.rows * j.columns <= 1:
            continue
        source, target = graph.nodes[edge.source], graph.nodes[edge.target]
        name = f"d {target.symbol} / d {source.symbol}"
        size = f"{j.rows} x {j.columns}"
        rows.append(
            [name, size, j.structure, amount(j.formed_bytes), f"{j.formed_flops:,}", f"{j.implicit_flops:,}", j.note]
        )
    return rows


JACOBIAN_HEAD = ["Jacobian", "size", "structure", "if formed", "flops formed", "flops implicit", "why"]


def summary(graph: Graph) -> str:
    """Give one line on the whole graph."""
    operations = sum(n.kind in ("operation", "fold") for n in graph.nodes)
    leaves = sum(n.kind in ("input", "parameter") for n in graph.nodes)
    kept = f"; {amount(graph.kept_bytes)} kept for the backward pass" if graph.mode == "reverse" else ""
    counted = f"{operations} operation{'' if operations == 1 else 's'}, {leaves} {'leaf' if leaves == 1 else 'leaves'}"
    return f"{graph.title} = {brief(graph.nodes[graph.output].value)}: {counted}{kept}"


def matrices(graph: Graph, most: int = 8) -> list[str]:
    """Write the Jacobians that are small enough to be read, first in backward order first."""
    found: list[str] = []
    for edge in in_order(graph):
        j = edge.jacobian
        if j is None or j.matrix is None or not 1 < j.rows * j.columns <= 64 or len(found) >= most:
            continue
        source, target = graph.nodes[edge.source], graph.nodes[edge.target]
        cells = [[short(v, 4) for v in row] for row in j.matrix]
        width = max(len(c) for row in cells for c in row)
        lines = "\n".join("  [ " + " ".join(c.rjust(width) for c in row) + " ]" for row in cells)
        found.append(f"d {target.label} / d {source.label} ({j.structure}, {j.rows} x {j.columns}):\n{lines}")
    return found


def text(graph: Graph, detail: bool = True, most: int | None = None) -> str:
    """Write an explanation as plain text.

    Parameters
    ----------
    graph : Graph
    detail : bool
        Jacobians too.
    most : int, optional
        Rows of a table, after which it says how many there are.

    Returns
    -------
    str
    """
    parts = [
        summary(graph),
        "",
        _table(node_head(graph), node_rows(graph), most),
        "",
        _table(edge_head(graph), edge_rows(graph), most),
    ]
    jacobians = jacobian_rows(graph)
    if jacobians and detail:
        parts += [
            "",
            _table(JACOBIAN_HEAD, jacobians, most),
            *(f"\n{m}" for m in matrices(graph)),
            "",
            graph.convention,
        ]
    parts += ["", *graph.notes] if graph.notes else []
    return "\n".join(parts)


MOST = 56  # letters of a cell


def _table(head: Row, rows: list[Row], most: int | None = None) -> str:
    cells = [[_cut(c) for c in row] for row in [head, *rows[:most]]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in cells]
    lines.insert(1, "  ".join("-" * w for w in widths))
    if most is not None and len(rows) > most:
        lines.append(f"... and {len(rows) - most} rows more, in text(), to_dict() and save()")
    return "\n".join(lines)


def _cut(cell: str) -> str:
    cell = "".join(c if c.isprintable() else " " for c in cell)
    return cell if len(cell) <= MOST else cell[: MOST - 3] + "..."


def step_lines(graph: Graph) -> list[str]:
    """Write the steps of both passes, one line each."""
    return [f"{s.number:4d} {s.phase:8s} {s.text}" for s in graph.steps()]


# -- in colour --------------------------------------------------------------------------------------------------------------------
def show(graph: Graph, detail: bool = False, steps: bool = False, color: bool | None = None) -> None:
    """Print an explanation, in colour by rich where it is installed and the output is a terminal.

    Parameters
    ----------
    graph : Graph
    detail : bool
        Jacobians too.
    steps : bool
        The steps of both passes too.
    color : bool, optional
        Say so either way.
    """
    rich = _rich() if color or (color is None and sys.stdout.isatty()) else None
    if rich is None:
        print(text(graph, detail))  # noqa: T201 - showing is what it is for
        if steps:
            print("\n".join(["", *step_lines(graph)]))  # noqa: T201 - the same
        return
    console, table = rich
    out = console(
        width=max(shutil.get_terminal_size().columns, 100), force_terminal=True if color else None, highlight=False
    )
    out.print(summary(graph), markup=False, style="bold")
    out.print(_colored(table, node_head(graph), node_rows(graph), {4: GREEN, 5: RED}))
    styles = {2: RED, 4: RED} if graph.mode == "reverse" else {2: "blue", 4: "blue"}
    out.print(_colored(table, edge_head(graph), edge_rows(graph), styles))
    if detail:
        rows = jacobian_rows(graph)
        if rows:
            out.print(_colored(table, JACOBIAN_HEAD, rows, {}))
        for matrix in matrices(graph):
            out.print(matrix, markup=False)
        out.print(graph.convention, markup=False, style="dim")
    for note in graph.notes:
        out.print(note, markup=False, style="yellow")
    for line in step_lines(graph) if steps else []:
        out.print(line, markup=False)


def _rich() -> Any:
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        return None
    return Console, Table


def _colored(table: Any, head: Row, rows: list[Row], styles: dict[int, str]) -> Any:
    from rich.text import Text

    made = table(show_edge=False, pad_edge=False, header_style="bold")
    for i, title in enumerate(head):
        made.add_column(Text(title), style=styles.get(i), overflow="fold")
    for row in rows:
        made.add_row(
            *[Text("".join(c if c.isprintable() else " " for c in cell)) for cell in row]
        )  # text, never markup
    return made


def tree(graph: Graph) -> str:
    """Draw the graph as an indented tree from the result down, each value once."""
    lines: list[str] = []
    seen: set[int] = set()
    stack: list[tuple[int, int]] = [(graph.output, 0)]
    while stack:
        k, depth = stack.pop()
        node: ExplainedNode = graph.nodes[k]
        again = k in seen and bool(node.inputs)
        mark = " (above)" if again else ""
        lines.append(
            f"{'  ' * min(depth, 40)}{node.label}  value {brief(node.value)}  gradient {brief(node.gradient)}{mark}"
        )
        if not again:
            seen.add(k)
            stack.extend((i, depth + 1) for i in reversed(node.inputs))
    return "\n".join(lines)


__all__ = [
    "amount",
    "edge_head",
    "edge_rows",
    "in_order",
    "jacobian_rows",
    "node_head",
    "node_rows",
    "share_of",
    "show",
    "step_lines",
    "summary",
    "text",
    "tree",
]
