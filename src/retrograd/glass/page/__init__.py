"""The page: one self-contained HTML file of a graph, a record, findings and kernels; it needs no network and runs no foreign text.

The bundle (``app.js``, ``app.css``) is built from ``web/`` by ``scripts/page`` and is part of the package. Everything that comes from
a program, such as a parameter's name, is data in a JSON block and becomes text nodes; a content security policy lets only the bundle
run, known by its digest, and lets nothing be fetched.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import json
from importlib import resources
from typing import Any

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
</head>
<body{live}>
<main id="app"><noscript>This page is drawn by JavaScript, which is switched off here.</noscript></main>
{data}<script>{script}</script>
</body>
</html>
"""


@functools.cache
def _asset(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def policy(live: bool = False) -> str:
    """Give the page's content security policy: the bundle alone may run, and only a live page may fetch, from its own server."""
    digest = base64.b64encode(hashlib.sha256(_asset("app.js").encode()).digest()).decode()
    connect = "'self'" if live else "'none'"
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; connect-src {connect}; "
        "base-uri 'none'; form-action 'none'"
    )


def as_json(data: Any) -> str:
    """Give data as JSON that can stand in an HTML file: no character of it can end the element that it is in."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("utf-8", "replace").decode("utf-8")


def page(data: dict[str, Any] | None, title: str = "retrograd", live: bool = False) -> str:
    """Give the whole page as text.

    Parameters
    ----------
    data : dict or None
        What it shows: ``graph`` (as ``Graph.to_dict`` gives it), ``findings``, ``record`` (``losses``, ``series``, ``profiles``,
        ``histograms``), ``summary`` (``columns``, ``rows``), ``memory``, ``kernels``. What is missing has no section.
    title : str
        Its heading.
    live : bool
        True for the page of a server, which fetches its data.

    Returns
    -------
    str
        An HTML file.

    Examples
    --------
    >>> from retrograd.glass.page import page
    >>> text = page({"findings": [{"severity": "warning", "title": "<script>alert(1)</script>"}]})
    >>> "<script>alert" in text
    False
    """
    block = ""
    if not live:
        shown = {"title": title, **(data or {})}
        block = f'<script type="application/json" id="data">{as_json(shown)}</script>\n'
    # `format` puts text in once, so braces in the bundle and in the data are left alone
    return _PAGE.format(
        policy=policy(live),
        title=html.escape(title),
        style=_asset("app.css"),
        live=' data-live="1"' if live else "",
        data=block,
        script=_asset("app.js"),
    )
