"""A derivation: the equations of a network's gradients, printed, typeset and checked."""

from __future__ import annotations

import itertools
import textwrap
from typing import Any

import numpy as np

from .paper import Equation
from .symbols import escaped

NOISE = 1e-6
WIDTH = 110  # of a printed equation; a longer one goes on below itself
MARKUP = 3  # characters of LaTeX to one that is seen, about


def broken(text: str, width: int) -> list[str]:
    """Break a long equation's side into lines: before a plus or minus outside of all brackets, or else behind a comma within one.

    Parameters
    ----------
    text : str
        Plain text or LaTeX.
    width : int
        How long a line may be; a term that is longer by itself is left whole.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from retrograd.glass.derivation import broken
    >>> broken("f(a + b) + c + d", 12)
    ['f(a + b) + c', '+ d']
    """
    if len(text) <= width:
        return [text]
    depth, terms, commas = 0, [], []
    for i, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if depth == 0 and text[i : i + 3] in (" + ", " - "):
            terms.append(i + 1)
        elif depth == 1 and text[i : i + 2] == ", ":
            commas.append(i + 2)
    lines, start = [], 0
    ends = [*(terms or commas), len(text)]
    for end, after in itertools.pairwise(ends):
        if len(text[start:after].rstrip()) > width:
            lines.append(text[start:end].rstrip())
            start = end
    return [*lines, text[start:]]


class Derivation:
    """Equations in the order they are derived.

    Attributes
    ----------
    title
        What is derived.
    equations
        Forward ones first, then backward ones with the gradients of parameters where they are found.
    legend
        What symbols stand for: ``{"W_1": "0.weight"}``.
    gradients, expected
        By the name of each leaf, the derived gradient's numbers and those of the backward pass.
    """

    def __init__(
        self,
        title: str,
        equations: list[Equation],
        legend: dict[str, str],
        gradients: dict[str, Any],
        expected: dict[str, Any],
    ) -> None:
        self.title, self.equations, self.legend = title, equations, legend
        self.gradients, self.expected = gradients, expected

    def lines(self, phase: str) -> list[str]:
        """Give the equations of one phase: "forward", "backward", "gradient" or "definition".

        Parameters
        ----------
        phase : str

        Returns
        -------
        list of str
        """
        return [str(e) for e in self.equations if e.phase == phase]

    def check(self) -> dict[str, float]:
        """Compare every derived gradient with that of the backward pass.

        Returns
        -------
        dict of str to float
            By leaf, the largest difference, relative to the largest element of the gradient (or, for a gradient that is next to
            nothing, to a millionth of the largest element of any).
        """
        largest = max((float(np.abs(w).max()) for w in self.expected.values() if np.size(w)), default=0.0)
        found = {}
        for name, wanted in self.expected.items():
            got = np.asarray(self.gradients[name], np.float64)
            wide = np.asarray(wanted, np.float64)
            if got.shape != wide.shape:
                found[name] = float("inf")
                continue
            scale = float(np.abs(wide).max()) if wide.size else 0.0
            scale = max(scale, NOISE * largest)  # a gradient that is zero is found up to the rounding of what cancels
            found[name] = float(np.abs(got - wide).max()) / (scale or 1.0) if wide.size else 0.0
        return found

    def to_dict(self) -> dict[str, Any]:
        """Give the equations as dictionaries, lists and strings."""
        keys = ("phase", "layer", "left", "right", "left_latex", "right_latex", "note", "parameter")
        rows = [{**{k: getattr(e, k) for k in keys}, "shape": list(e.shape)} for e in self.equations]
        return {"title": self.title, "equations": rows, "legend": dict(self.legend), "check": self.check()}

    def __str__(self) -> str:
        width = max((len(str(e)) for e in self.equations), default=0)
        width = min(width, 76)
        lines = [f"{self.title}: each example is a column; L is what the gradient is of"]
        if self.legend:
            known = ", ".join(f"{k}\0=\0{v}" for k, v in self.legend.items())  # an entry is not torn apart
            found = textwrap.wrap(known, WIDTH, break_long_words=False, break_on_hyphens=False)
            lines += [f"{'     ' if i else 'with '}{line}".replace("\0", " ") for i, line in enumerate(found)]
        phase = layer = None
        for e in self.equations:
            heading = "forward" if e.phase == "forward" else "backward"
            if heading != phase:
                lines += ["", heading.capitalize()]
                phase, layer = heading, None
            if e.layer != layer:
                layer = e.layer
                lines.append(f"  {layer}" if layer else "  -")
            shape = "x".join(map(str, e.shape))
            note = f"  {e.note}" if e.note else ""
            where = "where " if e.phase == "definition" else ""
            *above, last = broken(where + str(e), WIDTH)
            indent = " " * (len(where) + len(e.left) + 3)
            lines += [f"    {indent if i else ''}{line}" for i, line in enumerate(above)]
            last = f"{indent if above else ''}{last}"
            lines.append(f"    {last:{width}}  {f'[{shape}]' if shape else ''}{note}".rstrip())
        return "\n".join(lines)

    __repr__ = __str__

    def to_latex(self, document: bool = False) -> str:
        """Give the derivation as LaTeX, for the package amsmath.

        Parameters
        ----------
        document : bool
            With a preamble, ready to be typeset.

        Returns
        -------
        str
        """
        lines: list[str] = []
        opened = ""
        layer = None
        for e in self.equations:
            heading = "Forward" if e.phase == "forward" else "Backward"
            if heading != opened or e.layer != layer:
                if opened:
                    lines.append(r"\end{align*}")
                if heading != opened:
                    lines.append(rf"\section*{{{heading}}}")
                lines += [rf"\paragraph{{{escaped(e.layer)}}}", r"\begin{align*}"]
                opened, layer = heading, e.layer
            note = rf" && \text{{{escaped(e.note)}}}" if e.note else ""
            right = " \\\\\n  &\\quad ".join(broken(e.right_latex, MARKUP * WIDTH))
            lines.append(rf"{e.left_latex} &= {right}{note} \\")
        if opened:
            lines.append(r"\end{align*}")
        body = "\n".join(lines)
        if not document:
            return body
        head = "\\documentclass{article}\n\\usepackage{amsmath}\n\\usepackage[landscape,margin=15mm]{geometry}\n\\begin{document}\n"
        return f"{head}{body}\n\\end{{document}}\n"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"


__all__ = ["Derivation"]
