"""Equations as one writes them on paper, each side computed as it is written: a term is a form and its numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .symbols import ATOM, POWER, PRODUCT, SUM, UNARY, Form


class Term:
    """An expression and its value. What is written and what is computed come from the same operation, so they cannot differ.

    Parameters
    ----------
    form : Form
    array : array
        In float64.
    """

    __slots__ = ("array", "form")

    def __init__(self, form: Form, array: Any) -> None:
        self.form, self.array = form, np.asarray(array)
        if self.array.dtype.kind == "f" and self.array.dtype != np.float64:
            self.array = self.array.astype(np.float64)

    @property
    def T(self) -> Term:
        """The transpose of the last two dimensions."""
        x = self.form.held(ATOM)
        if x.text.startswith("dL/d"):
            x = Form(f"({x.text})", rf"\left({x.latex}\right)")
        return Term(Form(f"{x.text}^T", f"{{{x.latex}}}^{{\\top}}", POWER), np.swapaxes(self.array, -1, -2))

    def __matmul__(self, other: Term) -> Term:
        x, y = self.form.held(PRODUCT), other.form.held(POWER)
        return Term(Form(f"{x.text} {y.text}", rf"{x.latex} \, {y.latex}", PRODUCT), self.array @ other.array)

    def __mul__(self, other: Term | float) -> Term:
        """Multiply element by element; a number stands in front."""
        if not isinstance(other, Term):
            return scaled(other, self)
        x, y = _factor(self.form), _factor(other.form)
        return Term(Form(f"{x.text} * {y.text}", rf"{x.latex} \odot {y.latex}", PRODUCT), self.array * other.array)

    def __rmul__(self, other: float) -> Term:
        return scaled(other, self)

    def __add__(self, other: Term) -> Term:
        x, y = self.form.held(SUM), other.form.held(SUM)
        return Term(Form(f"{x.text} + {y.text}", f"{x.latex} + {y.latex}", SUM), self.array + other.array)

    def __sub__(self, other: Term) -> Term:
        x, y = self.form.held(SUM), other.form.held(PRODUCT)
        return Term(Form(f"{x.text} - {y.text}", f"{x.latex} - {y.latex}", SUM), self.array - other.array)

    def __neg__(self) -> Term:
        x = self.form.held(PRODUCT)
        return Term(Form(f"-{x.text}", f"-{x.latex}", UNARY), -self.array)

    def __truediv__(self, other: Term | float) -> Term:
        other = other if isinstance(other, Term) else constant(other)
        x, y = _factor(self.form), other.form.held(POWER)
        return Term(
            Form(f"{x.text} / {y.text}", rf"\frac{{{self.form.latex}}}{{{other.form.latex}}}", PRODUCT),
            self.array / other.array,
        )

    def shaped(self, array: Any) -> Term:
        """Give the same expression with its numbers laid out in another way."""
        return Term(self.form, array)

    def columns(self) -> Term:
        """Lay examples out as columns: (..., features) becomes (features, examples)."""
        return self.shaped(self.array.reshape(-1, self.array.shape[-1]).T)

    def rows(self, shape: Sequence[int]) -> Term:
        """Lay columns out as the program does: (features, examples) becomes (..., features)."""
        return self.shaped(self.array.T.reshape(tuple(shape)))


def _factor(form: Form) -> Form:
    """Hold a factor of an element-by-element product: a matrix product beside it is bracketed, a number in front is not."""
    return form.held(POWER)


def scaled(number: float, term: Term) -> Term:
    """Write a number before a term."""
    if number == 1:
        return term
    text = f"{number:.6g}"
    x = term.form.held(PRODUCT)
    return Term(Form(f"{text} {x.text}", rf"{text} \, {x.latex}", PRODUCT), number * term.array)


def constant(value: float) -> Term:
    """Write a number."""
    text = f"{value:.6g}"
    return Term(Form(text, text), np.float64(value))


def symbol(text: str, array: Any, latex: str = "") -> Term:
    """Name a value: ``delta_1``, ``W_2``, ``x_hat``.

    Examples
    --------
    >>> symbol("delta_12", 0.0).form.latex
    '\\\\delta_{12}'
    """
    return Term(Form(text, latex or latex_of(text)), array)


HEADS = {
    "delta": r"\delta",
    "gamma": r"\gamma",
    "beta": r"\beta",
    "mu": r"\mu",
    "sigma": r"\sigma",
    "xhat": r"\hat{x}",
    "Phi": r"\Phi",
}


def latex_of(text: str) -> str:
    """Write a symbol with an index in LaTeX; a name that has none stands upright."""
    from .symbols import escaped

    head, _, index = text.partition("_")
    if head in HEADS or len(head) == 1:
        return HEADS.get(head, head) + (f"_{{{escaped(index)}}}" if index else "")
    return rf"\mathrm{{{escaped(text)}}}"


def function(text: str, latex: str, compute: Callable[..., Any]) -> Callable[..., Term]:
    """Make a function of terms that is written with brackets."""

    def call(*terms: Term) -> Term:
        inside, written = ", ".join(t.form.text for t in terms), ", ".join(t.form.latex for t in terms)
        return Term(Form(f"{text}({inside})", rf"{latex}\left({written}\right)"), compute(*[t.array for t in terms]))

    return call


def total(term: Term, axis: Any, over: str, keep: bool = True) -> Term:
    """Sum over some dimensions, named ``over``."""
    x = term.form.held(PRODUCT)
    made = term.array.sum(axis=axis, keepdims=keep)
    return Term(Form(f"sum_{over} {x.text}", rf"\textstyle\sum_{{{over}}} {x.latex}", PRODUCT), made)


def average(term: Term, axis: Any) -> Term:
    """Take the mean over some dimensions."""
    made = term.array.mean(axis=axis, keepdims=True)
    return Term(Form(f"mean({term.form.text})", rf"\overline{{{term.form.latex}}}"), made)


@dataclass
class Equation:
    """One line of a derivation.

    Attributes
    ----------
    phase
        "forward", "backward", "gradient" (of a parameter or an input) or "definition".
    layer
        What it belongs to, such as ``0: Linear(3, 4)``.
    left, right, left_latex, right_latex
        The two sides.
    shape
        Of the value.
    note
        A remark in words.
    value
        The numbers of the right side, computed as it is written.
    parameter
        The name of the tensor whose gradient it is.
    """

    phase: str
    layer: str
    left: str
    right: str
    left_latex: str
    right_latex: str
    shape: tuple[int, ...] = ()
    note: str = ""
    value: Any = field(default=None, repr=False)
    parameter: str = ""

    def __str__(self) -> str:
        return f"{self.left} = {self.right}"


class Paper:
    """Takes down equations, and gives each named value back as a term."""

    def __init__(self) -> None:
        self.equations: list[Equation] = []
        self.layer = ""
        self.defined: set[str] = set()

    def write(self, phase: str, left: Form, right: Term, note: str = "", parameter: str = "") -> Term:
        """Write ``left = right`` and give the left side as a term."""
        self.equations.append(
            Equation(
                phase,
                self.layer,
                left.text,
                right.form.text,
                left.latex,
                right.form.latex,
                tuple(right.array.shape),
                note,
                right.array,
                parameter,
            )
        )
        return Term(left, right.array)

    def define(self, name: str, left: Form, right: Form, note: str = "") -> None:
        """Write what a function means, once."""
        if name not in self.defined:
            self.defined.add(name)
            self.equations.append(
                Equation("definition", self.layer, left.text, right.text, left.latex, right.latex, (), note)
            )


def gradient_of(term: Term) -> Form:
    """Write dL/d(term)."""
    return Form(f"dL/d{term.form.text}", rf"\frac{{\partial L}}{{\partial {term.form.latex}}}")


__all__ = [
    "Equation",
    "Paper",
    "Term",
    "average",
    "constant",
    "function",
    "gradient_of",
    "latex_of",
    "scaled",
    "symbol",
    "total",
]
