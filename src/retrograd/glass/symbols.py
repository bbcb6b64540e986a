"""Operations in symbols: how each is written in text and in LaTeX, given how its operands are written."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .numbers import listed, short

SUM, PRODUCT, UNARY, POWER, ATOM = 1, 2, 3, 4, 5


class Form(NamedTuple):
    """One expression, written twice, and how tightly its outermost operation binds."""

    text: str
    latex: str
    level: int = ATOM

    def held(self, level: int) -> Form:
        """Give the expression fit to stand beside an operation that binds this tightly."""
        if self.level >= level:
            return self
        return Form(f"({self.text})", rf"\left({self.latex}\right)", ATOM)


ONE = Form("1", "1")  # a factor that is not written, where it is this very one

GREEK = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu"),
    *("nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
)
_SPECIAL = {"\\": r"\backslash{}", "^": r"\hat{}", "~": r"\tilde{}", "<": r"\textless{}", ">": r"\textgreater{}"}


def escaped(text: str) -> str:
    """Write any text so that LaTeX shows it and does nothing else with it."""
    return "".join(_SPECIAL.get(c, rf"\{c}" if c in "#$%&_{}" else c if c.isprintable() else " ") for c in text)


def name(text: str) -> Form:
    """Write a variable's name: ``w0`` as w with an index, ``alpha`` as the letter, a path upright.

    Examples
    --------
    >>> name("w0").latex, name("layer1.weight").latex
    ('w_{0}', '\\\\mathrm{layer1.weight}')
    """
    text = "".join(c if c.isprintable() else "?" for c in text)  # no control characters reach a terminal
    simple = re.fullmatch(r"([A-Za-z]+?)_?(\d*)", text)
    if simple is None or (len(simple[1]) > 1 and simple[1] not in GREEK):
        return Form(text, rf"\mathrm{{{escaped(text)}}}")
    letter = simple[1] if len(simple[1]) == 1 else rf"\{simple[1]}"
    return Form(text, f"{letter}_{{{simple[2]}}}" if simple[2] else letter)


def number(value: Any, digits: int = 8) -> Form:
    """Write a number, or a small array of numbers."""
    if isinstance(value, list):
        text = listed(value, digits)
        rows = value if value and isinstance(value[0], list) else [value]
        if any(isinstance(v, list) for row in rows for v in row):
            return Form(text, rf"\mathrm{{{escaped(text)}}}")
        body = r" \\ ".join(" & ".join(_latex_number(v, digits) for v in row) for row in rows)
        return Form(text, rf"\begin{{bmatrix}} {body} \end{{bmatrix}}")
    text = short(value, digits)
    return Form(text, _latex_number(value, digits), UNARY if text.startswith("-") else ATOM)


def _latex_number(value: Any, digits: int) -> str:
    text = short(value, digits)
    if "e" in text and text[-1].isdigit():
        mantissa, _, exponent = text.partition("e")
        return rf"{mantissa} \cdot 10^{{{int(exponent)}}}"
    return {"inf": r"\infty", "-inf": r"-\infty", "nan": r"\mathrm{NaN}"}.get(text, text)


def call(function: str, operands: Sequence[Form], latex: str = "") -> Form:
    """Write a function of its operands."""
    inside = ", ".join(o.text for o in operands)
    written = latex or rf"\operatorname{{{escaped(function)}}}"
    return Form(f"{function}({inside})", rf"{written}\left({', '.join(o.latex for o in operands)}\right)")


# -- operations that are written in a way of their own ------------------------------------------------------------------------------
Writer = Callable[[Sequence[Form], dict[str, Any]], Form]


def _sum(sign: str) -> Writer:
    def write(xs: Sequence[Form], attrs: dict[str, Any]) -> Form:
        x, y = xs
        right = y.held(SUM if sign == "+" and y.level != SUM else PRODUCT)
        if y.text.startswith("-"):
            right = Form(f"({y.text})", rf"\left({y.latex}\right)")
        left = x.held(SUM)
        return Form(f"{left.text} {sign} {right.text}", f"{left.latex} {sign} {right.latex}", SUM)

    return write


def _product(xs: Sequence[Form], attrs: dict[str, Any]) -> Form:
    if xs[0] is ONE:
        return xs[1]
    x, y = xs[0].held(PRODUCT), xs[1].held(POWER)
    return Form(f"{x.text} * {y.text}", rf"{x.latex} \cdot {y.latex}", PRODUCT)


def _quotient(xs: Sequence[Form], attrs: dict[str, Any]) -> Form:
    x, y = xs[0].held(PRODUCT), xs[1].held(POWER)
    return Form(f"{x.text} / {y.text}", rf"\frac{{{xs[0].latex}}}{{{xs[1].latex}}}", PRODUCT)


def _negative(xs: Sequence[Form], attrs: dict[str, Any]) -> Form:
    x = xs[0].held(PRODUCT)
    if x.text.startswith("-"):
        x = Form(f"({x.text})", rf"\left({x.latex}\right)")
    return Form(f"-{x.text}", f"-{x.latex}", PRODUCT if x.level == PRODUCT else UNARY)


def _power(xs: Sequence[Form], attrs: dict[str, Any]) -> Form:
    x, y = xs[0].held(ATOM), xs[1].held(POWER)
    return Form(f"{x.text}**{y.text}", f"{{{x.latex}}}^{{{xs[1].latex}}}", POWER)


def _square(xs: Sequence[Form], attrs: dict[str, Any]) -> Form:
    return _power((xs[0], Form("2", "2")), attrs)


def _reciprocal(xs: Sequence[Form], attrs: dict[str, Any]) -> Form:
    return _quotient((Form("1", "1"), xs[0]), attrs)


def _matmul(xs: Sequence[Form], attrs: dict[str, Any]) -> Form:
    x, y = xs[0].held(PRODUCT), xs[1].held(POWER)
    return Form(f"{x.text} @ {y.text}", rf"{x.latex} \, {y.latex}", PRODUCT)


def _transpose(xs: Sequence[Form], attrs: dict[str, Any]) -> Form:
    if attrs:  # other dimensions than the last two
        return call("transpose", [xs[0], *(Form(str(attrs[k]), str(attrs[k])) for k in "ab")])
    x = xs[0].held(ATOM)
    return Form(f"{x.text}.T", rf"{{{x.latex}}}^{{\top}}", POWER)


def _weight_product(xs: Sequence[Form], attrs: dict[str, Any]) -> Form:
    return _matmul((_transpose(xs[:1], {}), xs[1]), {})


def _linear(xs: Sequence[Form], attrs: dict[str, Any]) -> Form:
    product = _matmul((xs[0], _transpose(xs[1:2], {})), {})
    return product if len(xs) < 3 else _sum("+")((product, xs[2]), {})


def _function(text: str, latex: str) -> Writer:
    return lambda xs, attrs: call(text, xs, latex)


def _exponential(xs: Sequence[Form], attrs: dict[str, Any]) -> Form:
    return Form(f"exp({xs[0].text})", f"e^{{{xs[0].latex}}}", ATOM)


def _root(xs: Sequence[Form], attrs: dict[str, Any]) -> Form:
    return Form(f"sqrt({xs[0].text})", rf"\sqrt{{{xs[0].latex}}}")


def _inverse_root(xs: Sequence[Form], attrs: dict[str, Any]) -> Form:
    return _quotient((Form("1", "1"), _root(xs, attrs)), attrs)


def _absolute(xs: Sequence[Form], attrs: dict[str, Any]) -> Form:
    return Form(f"|{xs[0].text}|", rf"\left|{xs[0].latex}\right|")


def _step(xs: Sequence[Form], attrs: dict[str, Any]) -> Form:
    return Form(f"[{xs[0].text} > 0]", rf"\left[{xs[0].latex} > 0\right]")


def _relation(text: str, latex: str) -> Writer:
    def write(xs: Sequence[Form], attrs: dict[str, Any]) -> Form:
        return Form(f"[{xs[0].text} {text} {xs[1].text}]", rf"\left[{xs[0].latex} {latex} {xs[1].latex}\right]")

    return write


def _as_it_is(xs: Sequence[Form], attrs: dict[str, Any]) -> Form:
    return xs[0]


def _reduction(text: str, latex: str) -> Writer:
    def write(xs: Sequence[Form], attrs: dict[str, Any]) -> Form:
        axes = tuple(attrs.get("axis") or ())
        shown = f", axis={axes[0] if len(axes) == 1 else axes}" if axes else ""
        below = f"_{{{','.join(map(str, axes))}}}" if axes else ""
        return Form(f"{text}({xs[0].text}{shown})", rf"{latex}{below}\left({xs[0].latex}\right)")

    return write


def _shaped(function: str) -> Writer:
    def write(xs: Sequence[Form], attrs: dict[str, Any]) -> Form:
        shape = "x".join(map(str, attrs["shape"])) or "scalar"
        return Form(
            f"{function}({xs[0].text}, {shape})",
            rf"\operatorname{{{escaped(function)}}}_{{{shape}}}\left({xs[0].latex}\right)",
        )

    return write


def _where(xs: Sequence[Form], attrs: dict[str, Any]) -> Form:
    c, x, y = xs
    return Form(
        f"where({c.text}, {x.text}, {y.text})",
        rf"\begin{{cases}} {x.latex} & {c.latex} \\ {y.latex} & \text{{otherwise}} \end{{cases}}",
    )


def _part(xs: Sequence[Form], attrs: dict[str, Any]) -> Form:
    parts = list(attrs["index"])
    while parts and parts[-1] is Ellipsis:
        parts.pop()
    index = ", ".join(_index(i) for i in parts)
    x = xs[0].held(ATOM)
    return Form(f"{x.text}[{index}]", rf"{{{x.latex}}}_{{[{escaped(index)}]}}")


def _index(index: Any) -> str:
    if not isinstance(index, slice):
        return "..." if index is Ellipsis else str(index)
    step = "" if index.step in (None, 1) else f":{index.step}"
    return f"{'' if index.start in (None, 0) else index.start}:{'' if index.stop is None else index.stop}{step}"


def _joined(xs: Sequence[Form], attrs: dict[str, Any]) -> Form:
    return call("cat", [*xs, Form(f"dim={attrs['axis']}", rf"\mathrm{{dim}}={attrs['axis']}")])


WRITERS: dict[str, Writer] = {
    "add": _sum("+"),
    "sub": _sum("-"),
    "mul": _product,
    "div": _quotient,
    "neg": _negative,
    "pow": _power,
    "square": _square,
    "reciprocal": _reciprocal,
    "matmul": _matmul,
    "transpose": _transpose,
    "weight_product": _weight_product,
    "linear": _linear,
    "exp": _exponential,
    "sqrt": _root,
    "rsqrt": _inverse_root,
    "abs": _absolute,
    "step": _step,
    "log": _function("log", r"\ln"),
    "sin": _function("sin", r"\sin"),
    "cos": _function("cos", r"\cos"),
    "tan": _function("tan", r"\tan"),
    "sinh": _function("sinh", r"\sinh"),
    "cosh": _function("cosh", r"\cosh"),
    "tanh": _function("tanh", r"\tanh"),
    "sigmoid": _function("sigmoid", r"\sigma"),
    "maximum": _function("max", r"\max"),
    "minimum": _function("min", r"\min"),
    "amax": _reduction("max", r"\max"),
    "amin": _reduction("min", r"\min"),
    "sum": _reduction("sum", r"\textstyle\sum"),
    "mean": _reduction("mean", r"\operatorname{mean}"),
    "where": _where,
    "slice": _part,
    "cat": _joined,
    "expand": _shaped("expand"),
    "sum_to": _shaped("sum_to"),
    "view": _shaped("reshape"),
    "gt": _relation(">", ">"),
    "lt": _relation("<", "<"),
    "ge": _relation(">=", r"\ge"),
    "le": _relation("<=", r"\le"),
    "eq": _relation("==", "="),
    "ne": _relation("!=", r"\ne"),
    **dict.fromkeys(("cast", "clone", "alias", "positive", "pick", "conj", "detach"), _as_it_is),
}


def write(op: str, operands: Sequence[Form], attrs: dict[str, Any]) -> Form:
    """Write an operation: in its own way if it has one, else as a function with its attributes.

    Parameters
    ----------
    op : str
        Its name.
    operands : sequence of Form
    attrs : dict
        Its attributes.

    Returns
    -------
    Form

    Examples
    --------
    >>> write("mul", [name("w0"), write("add", [name("x"), number(1)], {})], {}).text
    'w0 * (x + 1)'
    """
    writer = WRITERS.get(op)
    if writer is not None:
        try:
            return writer(operands, attrs)
        except (ValueError, IndexError, KeyError):
            pass  # fewer operands or other attributes than the way of writing it needs
    plain = {k: shown(v) for k, v in attrs.items() if _is_plain(v)}
    extra = [Form(f"{k}={v}", rf"\mathrm{{{escaped(f'{k}={v}')}}}") for k, v in plain.items()]
    return call(op, [*operands, *extra], "")


def _is_plain(value: Any) -> bool:
    """Tell whether an attribute says something in an expression: a number, a word, or a few numbers."""
    if isinstance(value, (tuple, list)):
        return len(value) <= 4 and all(isinstance(v, (int, float)) for v in value)
    return value is None or isinstance(value, (bool, int, float, str))


def gradient_form(symbol: Form) -> Form:
    """Write the gradient of the result with respect to a value."""
    inside = symbol.text if symbol.text.replace("_", "").replace(".", "").isalnum() else f"({symbol.text})"
    return Form(f"dL/d{inside}", rf"\frac{{\partial L}}{{\partial {symbol.latex}}}")


REDUCTIONS = ("sum", "mean", "amax", "amin")
HIDDEN = ("several", "ctx", "cls", "order", "positions")  # of the library's own concern


def attributes(node: Any) -> dict[str, Any]:
    """Give the attributes of a node that say something in an expression.

    Parameters
    ----------
    node : Node

    Returns
    -------
    dict
    """
    if node.op.name == "transpose":
        n = len(node.shape)
        if {node.attrs["a"] % n, node.attrs["b"] % n} == {n - 1, n - 2}:
            return {}
    hidden = (*HIDDEN, "axis", "keepdims") if node.op.name in REDUCTIONS and node.shape == () else HIDDEN
    return {k: v for k, v in node.attrs.items() if k not in hidden}


def shown(value: Any) -> str:
    """Write an attribute of an operation in one short line."""
    if isinstance(value, float):
        return short(value)
    text = repr(value)
    if isinstance(value, type) or hasattr(value, "itemsize"):
        text = str(value)
    text = " ".join(re.sub(r" at 0x[0-9a-f]+", "", text).split())
    return text if len(text) <= 40 else text[:37] + "..."


__all__ = [
    "ATOM",
    "attributes",
    "ONE",
    "Form",
    "POWER",
    "PRODUCT",
    "SUM",
    "UNARY",
    "call",
    "escaped",
    "gradient_form",
    "name",
    "number",
    "shown",
    "write",
]
