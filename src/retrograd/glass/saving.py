"""An explanation written to a file, in the form that the file's suffix names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .model import Graph

SUFFIXES = (".svg", ".png", ".pdf", ".json", ".tex", ".html", ".txt")


def to_json(graph: Graph) -> str:
    """Give the data as JSON text that every reader of JSON takes: NaN and infinities are strings."""
    return json.dumps(graph.to_dict(), allow_nan=False, ensure_ascii=True)


def save(graph: Graph, path: str | os.PathLike[str], **options: Any) -> None:
    """Write an explanation; see ``Explanation.save``.

    Parameters
    ----------
    graph : Graph
    path : path
    **options
        For pictures: ``dpi`` and ``heat``.

    Raises
    ------
    ValueError
        For a suffix that is not known.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"save: {target.name!r} ends with none of {', '.join(SUFFIXES)}")
    if suffix in (".svg", ".png", ".pdf"):
        from .render_picture import save as draw

        draw(graph, target, suffix[1:], **options)
        return
    if suffix == ".json":
        content = to_json(graph)
    elif suffix == ".tex":
        from .render_latex import latex

        content = latex(graph, document=True)
    elif suffix == ".html":
        from .render_html import html

        content = f"<!doctype html><meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>explained</title>{html(graph)}"
    else:
        from .render_text import step_lines, text

        content = "\n".join([text(graph), "", *step_lines(graph), ""])
    target.write_text(content, encoding="utf-8")


__all__ = ["save", "to_json"]
