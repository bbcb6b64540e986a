"""An explanation as a picture, drawn by matplotlib: values in green above the line, gradients in red below it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from .layout import arrange
from .model import Edge, ExplainedNode, Graph, Numbers
from .numbers import brief, short

GREEN, RED, INK, LINE, PAPER = "#1a7f37", "#c1121f", "#1f2328", "#8c959f", "#ffffff"
FILLS = {"input": "#eef4fb", "parameter": "#eef4fb", "constant": "#f4f4f4", "operation": "#ffffff", "fold": "#fff8e5"}
WIDE, HIGH = 2.35, 1.05  # inches from layer to layer, and from node to node
MOST = 400  # nodes of a picture; a larger graph is for the page, where modules fold


def picture(graph: Graph, *, heat: bool = False, title: bool = True) -> Any:
    """Draw the graph.

    Parameters
    ----------
    graph : Graph
    heat : bool
        Draw heat maps of large tensors' values and gradients.
    title : bool
        Write what is explained above.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If there are more nodes than a picture can show.
    """
    if len(graph.nodes) > MOST:
        raise ValueError(
            f"a picture of {len(graph.nodes)} nodes could not be read (at most {MOST}); fold parts of the graph, or save it as .html"
        )
    from matplotlib.figure import Figure

    layout = arrange(graph)
    place = layout.place
    heights = [y for _, y in place.values()] + [y for way in layout.ways.values() for _, y in way]
    wide = max((x for x, _ in place.values()), default=0.0) + 1
    high = max(heights, default=0.0) + 1
    figure = Figure(figsize=(wide * WIDE + 0.3, high * HIGH + 0.85), facecolor=PAPER)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(-WIDE / 2 - 0.15, (wide - 0.5) * WIDE + 0.15)
    axes.set_ylim((high - 0.5) * HIGH + 0.25, -HIGH / 2 - 0.6)
    axes.set_axis_off()
    at = {k: (x * WIDE, y * HIGH) for k, (x, y) in place.items()}
    way = {e: [(x * WIDE, y * HIGH) for x, y in points] for e, points in layout.ways.items()}
    starts, ends = _ports(graph, at, way)
    for edge in graph.edges:
        _draw_edge(axes, graph, edge, [starts[edge.id], *way[edge.id], ends[edge.id]])
    for node in graph.nodes:
        _draw_node(axes, graph, node, at[node.id], heat)
    if title:
        _legend(axes, graph)
    return figure


def _text(axes: Any, x: float, y: float, text: str, **style: Any) -> None:
    """Write plain text: a dollar sign is a dollar sign."""
    axes.text(x, y, "".join(c if c.isprintable() else " " for c in text), parse_math=False, **style)


def _shortened(text: str, most: int = 24) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def _few(numbers: Numbers | None) -> str:
    """Write an array so that it fits into a box."""
    if numbers is None:
        return "?"
    if numbers.number is not None:
        return short(numbers.number, 5)
    if numbers.full is not None and numbers.size <= 4:
        return _shortened(brief(numbers, 3), 26)
    shape = "x".join(map(str, numbers.shape))
    return f"[{shape}] |.| {short(numbers.norm, 3)}" if numbers.norm is not None else f"[{shape}]"


def _draw_node(axes: Any, graph: Graph, node: ExplainedNode, at: tuple[float, float], heat: bool) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = at
    w, h = 1.72, 0.66
    box = FancyBboxPatch(
        (x - w / 2, y - h / 2),
        w,
        h,
        boxstyle="round,pad=0,rounding_size=0.08",
        facecolor=FILLS[node.kind],
        edgecolor=INK if node.id == graph.output else LINE,
        linewidth=1.6 if node.id == graph.output else 0.9,
        zorder=3,
    )
    axes.add_patch(box)
    style = {"ha": "center", "va": "center", "zorder": 5}
    _text(axes, x, y - 0.2, _shortened(node.label), fontsize=8.5, color=INK, fontweight="bold", **style)
    _text(axes, x, y + 0.02, _few(node.value), fontsize=8.5, color=GREEN, **style)
    below = node.tangent if graph.mode == "forward" else node.gradient
    if below is not None:
        _text(axes, x, y + 0.215, _few(below), fontsize=8.5, color=RED, **style)
    if heat:
        _heat(axes, node.value, (x - w / 2 - 0.02, y + h / 2 + 0.02), "viridis")
        _heat(axes, below, (x + w / 2 - 0.3, y + h / 2 + 0.02), "PuOr")


def _heat(axes: Any, numbers: Numbers | None, at: tuple[float, float], colors: str) -> None:
    """Draw a coarse picture of an array below its box."""
    if numbers is None or numbers.heat is None:
        return
    import numpy as np

    grid = np.asarray(numbers.heat, float)
    scale = float(np.nanmax(np.abs(grid))) if np.isfinite(grid).any() else 1.0
    limits = {"vmin": -scale, "vmax": scale} if colors == "PuOr" else {}
    x, y = at
    axes.imshow(
        grid, cmap=colors, extent=(x, x + 0.3, y + 0.3, y), aspect="auto", zorder=4, interpolation="nearest", **limits
    )


def _ports(graph: Graph, at: Any, way: Any) -> tuple[dict[int, Any], dict[int, Any]]:
    """Tell where edges leave and reach boxes: in the order of where they go and come from, so that they do not cross."""
    starts: dict[int, Any] = {}
    ends: dict[int, Any] = {}
    for node in graph.nodes:
        x, y = at[node.id]
        for edges, side, far, found in ((node.uses, 0.86, 0, starts), (node.edges, -0.88, -1, ends)):
            heights = {}
            for e in edges:
                other = graph.edges[e].target if side > 0 else graph.edges[e].source
                heights[e] = (way[e][far] if way[e] else at[other])[1]
            order = sorted(edges, key=lambda e: (heights[e], e))
            for i, e in enumerate(order):
                found[e] = (x + side, y + (0.0 if len(order) == 1 else (i / (len(order) - 1) - 0.5) * 0.36))
    return starts, ends


def _draw_edge(axes: Any, graph: Graph, edge: Edge, points: list[tuple[float, float]]) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    spots, codes = [points[0]], [Path.MOVETO]
    for i, ((x0, y0), (x1, y1)) in enumerate(pairwise(points)):
        inner = i < len(points) - 2
        reach = 0.45 * (x1 - x0)
        if not inner and len(points) == 2:  # a straight line between neighbours
            spots.append((x1, y1))
            codes.append(Path.LINETO)
            continue
        spots += [(x0 + reach, y0), (x1 - reach, y1), (x1, y1)]
        codes += [Path.CURVE4] * 3
    arrow = FancyArrowPatch(
        path=Path(spots, codes), arrowstyle="-|>", mutation_scale=9, color=LINE, linewidth=0.9, zorder=2
    )
    axes.add_patch(arrow)
    shown = _edge_text(graph, edge)
    if shown:
        (x0, y0), (x1, y1) = points[-2:]
        middle = 0.5 if len(points) == 2 else 0.7
        style = {"fontsize": 7, "color": INK, "ha": "center", "va": "center", "zorder": 6}
        box = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.6, "alpha": 0.85}
        x, y = x0 + (x1 - x0) * middle, y0 + (y1 - y0) * middle
        _text(axes, x, y - 0.1, shown, bbox=box, **style)


def _edge_text(graph: Graph, edge: Edge) -> str:
    """Write the local derivative of an edge, and its share where gradients meet."""
    if edge.downstream is None and edge.tangent is None:
        return ""
    local = edge.local.number if edge.local is not None else None
    text = f"×{short(local, 4)}" if local is not None else ""
    meets = sum(graph.edges[e].downstream is not None for e in graph.nodes[edge.source].uses) > 1
    if meets and edge.share is not None:
        text = f"{text} {short(100 * edge.share, 3)}%".strip()
    return text


def _legend(axes: Any, graph: Graph) -> None:
    left, top = axes.get_xlim()[0] + 0.15, axes.get_ylim()[1] + 0.18
    style = {"va": "center", "ha": "left", "zorder": 6}
    _text(axes, left, top, _shortened(graph.title, 90), fontsize=10, color=INK, fontweight="bold", **style)
    below = "tangent (pushed forward)" if graph.mode == "forward" else "gradient (upstream)"
    _text(axes, left, top + 0.2, "value", fontsize=8, color=GREEN, **style)
    _text(axes, left + 0.45, top + 0.2, below, fontsize=8, color=RED, **style)
    _text(axes, left + 2.1, top + 0.2, "×local derivative, share% where gradients meet", fontsize=8, color=INK, **style)


def save(graph: Graph, path: Any, kind: str, dpi: int = 150, heat: bool = False) -> None:
    """Write the picture to a file or a binary stream, as ``svg``, ``png`` or ``pdf``; the same graph gives the same bytes."""
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "retrograd", "svg.fonttype": "path"}):
        metadata = {"Date": None} if kind == "svg" else {"CreationDate": None} if kind == "pdf" else {}
        picture(graph, heat=heat).savefig(path, format=kind, dpi=dpi, metadata=metadata)


__all__ = ["picture", "save"]
