"""What a page shows, gathered from what the library's objects say of themselves, and written as one file."""

from __future__ import annotations

import os
import pathlib
import re
from typing import Any

from .model import plain
from .page import page
from .recording.files import write_whole

MOST_KERNELS = 4  # named at a node
PRODUCTS = {"linear": "matmul"}  # what a kernel calls an operation that is another one in it
_PLACE = re.compile(r"^(.*):(\d+)(,|$)")


def gather(
    explanation: Any = None,
    record: Any = None,
    findings: Any = None,
    summary: Any = None,
    compiled: Any = None,
) -> dict[str, Any]:
    """Give a page's data: the sections of all that is given, as :func:`retrograd.glass.page.page` reads them.

    Parameters
    ----------
    explanation : Explanation or Graph, optional
        What ``glass.explain`` gave: the section with the graph.
    record : Record, optional
        What ``glass.record`` kept; it may bring findings, a summary and a graph of its own.
    findings : sequence of Finding, optional
        What ``glass.doctor`` found.
    summary : Summary, optional
        What ``glass.summary`` gave.
    compiled : callable, optional
        A function or module that ``compile`` made: its kernels and its memory, linked to the graph's nodes by the lines of
        the program that they come from.

    Returns
    -------
    dict
        Dictionaries, lists, strings and finite numbers only.

    Raises
    ------
    TypeError
        If something is given that has nothing to show.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd import glass
    >>> from retrograd.glass.report import gather
    >>> sorted(gather(glass.explain(torch.ones(2, requires_grad=True).sum())))
    ['graph']
    """
    data: dict[str, Any] = {}
    if record is not None:
        data.update(_said(record, "record", "to_page"))
    if summary is not None:
        data["summary"] = _said(summary, "summary", "to_page")
    if findings is not None:
        data["findings"] = [_said(found, "findings", "to_dict") for found in findings]
    if explanation is not None:
        data["graph"] = _said(explanation, "explanation", "to_dict")
    if compiled is not None:
        data.update(kernels_of(compiled, data.get("graph")))
    return dict(plain(data))


def _said(thing: Any, name: str, method: str) -> Any:
    say = getattr(thing, method, None)
    if say is None:
        raise TypeError(
            f"report: {name} must be what retrograd.glass gives (with {method}()), not {type(thing).__name__}"
        )
    return say()


def kernels_of(function: Any, graph: dict[str, Any] | None) -> dict[str, Any]:
    """Give the kernels and the memory of the last program that a compiled function has; nodes of the graph get the times of theirs."""
    explain = getattr(function, "explain", None)
    if explain is None:
        raise TypeError(f"report: compiled must be what compile() gave, not {type(function).__name__}")
    programs = explain().data["programs"]
    if not programs:
        return {"kernels": []}
    by_line: dict[str, list[int]] = {}
    for node in (graph or {}).get("nodes", []):
        found = _PLACE.match(node.get("place", ""))
        if found:
            by_line.setdefault(f"{os.path.abspath(found[1])}:{found[2]}", []).append(node["id"])
    kernels, timeline = [], []
    for part in programs[-1]["parts"]:
        for kernel in part["kernels"]:
            lines = kernel["lines"]
            kernels.append(
                {
                    "name": kernel["label"],
                    "kind": kernel["kind"],
                    "loops": f"{kernel['kind']} over {' x '.join(map(str, kernel.get('domain', ())))}, {kernel['runs']} runs",
                    "statements": kernel.get("statements", []),
                    "lines": lines,
                    "nodes": sorted({node for line in lines for node in by_line.get(_whole(line), ())}),
                    "us": 1e6 * kernel["seconds_all"] if kernel.get("seconds_all") is not None else None,
                    "flops": kernel.get("flops"),
                    "bytes": kernel.get("bytes_read", 0) + kernel.get("bytes_written", 0),
                }
            )
        timeline += part["memory"]["live_bytes"]
        memory = part["memory"]
    for node in (graph or {}).get("nodes", []):
        own = [k for k in kernels if node["id"] in k["nodes"] and k["us"] is not None]
        named = [k for k in own if PRODUCTS.get(node["op"], node["op"]) in re.split(r"[+ ]", k["name"])] or own
        if named:
            shown = [f"{k['name']} {k['us']:.1f} us" for k in named[:MOST_KERNELS]]
            node.setdefault("attributes", {})["kernels"] = ", ".join(shown)
    rows = [["temporary values, at the peak", memory["peak_bytes"]], ["the arena they share", memory["arena_bytes"]]]
    rows += [["inputs", memory["input_bytes"]], ["results", memory["output_bytes"]]]
    return {"kernels": kernels, "memory": {"timeline": timeline, "rows": rows}}


def _whole(place: str) -> str:
    """Give ``file:line`` with the file's whole path."""
    file, _, line = place.rpartition(":")
    return f"{os.path.abspath(file)}:{line}"


def write(path: str | os.PathLike[str], text: str) -> pathlib.Path:
    """Write a page whole or not at all; directories are made."""
    target = pathlib.Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, text.encode("utf-8"))
    return target


def report(
    path: str | os.PathLike[str] = "report.html",
    explanation: Any = None,
    *,
    record: Any = None,
    findings: Any = None,
    summary: Any = None,
    compiled: Any = None,
    title: str | None = None,
) -> pathlib.Path:
    """Write a page of everything that is given: one HTML file that works offline, on a phone, and needs nothing else.

    Parameters
    ----------
    path : str or path, default "report.html"
        Where to; directories are made, and a file that stands there is replaced when the new one is complete.
    explanation, record, findings, summary, compiled
        What to show, as for :func:`gather`.
    title : str, optional
        The page's heading; that of the graph or the record by default.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    TypeError
        If something is given that has nothing to show, or nothing at all is given.

    Examples
    --------
    >>> import retrograd as torch, tempfile, pathlib
    >>> from retrograd import glass
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = glass.report(pathlib.Path(folder) / "square.html", glass.explain((w * w).sum()))
    ...     file.read_text(encoding="utf-8")[:15]
    '<!doctype html>'
    """
    data = gather(explanation, record, findings, summary, compiled)
    if not data:
        raise TypeError(
            "report: give it something to show: an explanation, a record, findings, a summary or a compiled function"
        )
    heading = title or data.get("title") or (data.get("graph") or {}).get("title") or "retrograd"
    return write(path, page(data, title=str(heading)))
