"""A derivation: the equations of a network's gradients, printed, typeset and checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from .paper import Equation
from .symbols import escaped

NOISE = 1e-6


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
            lines.append("with " + ", ".join(f"{k} = {v}" for k, v in self.legend.items()))
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
            lines.append(f"    {where + str(e):{width}}  {f'[{shape}]' if shape else ''}{note}".rstrip())
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
            lines.append(rf"{e.left_latex} &= {e.right_latex}{note} \\")
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
