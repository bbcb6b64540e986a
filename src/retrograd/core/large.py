"""Operations on large arrays: an op named here has an executor besides its NumPy function, asked from ``LARGE`` elements on.

An executor is called like the NumPy function, computes the same, and falls back on it where it has nothing better. It is made of the op by a
function of the compiler's, imported at the first call that is large enough (see ``executors``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import executors

LARGE = 1 << 15  # elements of an operand
ELEMENTARY = (
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "tanh", "sigmoid", "erf", "erfc", "sin", "cos", "tan"),
    *("sinh", "cosh", "asinh", "acosh", "atanh", "asin", "acos", "atan", "atan2", "hypot"),
)  # elementwise functions of many instructions each
KINDS: dict[str, tuple[str, ...]] = {
    "elementwise": (
        *(
            "add",
            "sub",
            "mul",
            "div",
            "neg",
            "abs",
            "square",
            "reciprocal",
            "sqrt",
            "rsqrt",
            "pow",
            "maximum",
            "minimum",
        ),
        *(
            "fmax",
            "fmin",
            "relu",
            "step",
            "clamp",
            "floor",
            "ceil",
            "trunc",
            "frac",
            "round",
            "sgn",
            "copysign",
            "where",
        ),
        *ELEMENTARY,
        *("softplus", "cast"),
        *("eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite"),
    ),
    "reduction": ("sum", "mean", "amax", "amin"),
    "summed": ("sum_to",),
    "copy": ("clone",),
}
_kind_of = {name: kind for kind, names in KINDS.items() for name in names}
_FILES = {"rule": "eager_rules", "copy": "eager_copy"}
for _kind in (*KINDS, "rule", "add_into"):
    _file = _FILES.get(_kind, "eager_ops")
    executors.register(f"large {_kind}", f"{__package__.partition('.')[0]}.compiler.{_file}:{_kind}")


def attach(op: Any) -> None:
    """Give an op that is named here its ``large``."""
    kind = _kind_of.get(op.name)
    if kind is None:
        return

    def first(*xs: Any, **attrs: Any) -> Any:
        make = executors.find(f"large {kind}")
        op.large = None if make is None else make(op)
        return (op.large or op.numpy)(*xs, **attrs)

    op.large = first


def large_rule(rule: Any) -> Any:
    """Give what computes an elementwise op's gradient on large arrays, made when it is first asked: ``(g, node, xs, out)`` to an array or None."""
    made: list[Any] = []

    def call(g: Any, node: Any, xs: Any, out: Any) -> Any:
        if not made:
            make = executors.find("large rule")
            made.append(None if make is None else make(rule))
        return None if made[0] is None else made[0](g, node, xs, out)

    return call


def add_into(a: Any, b: Any) -> None:
    """Add an array into another, in place."""
    if a.size >= LARGE and a.__class__ is np.ndarray:
        add = executors.find("large add_into")
        if add is not None and add(a, b):
            return
    np.add(a, b, out=a)


__all__ = ["LARGE", "add_into", "attach", "large_rule"]
