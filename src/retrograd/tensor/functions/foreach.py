"""torch._foreach_add and its like: a function of tensors, for each tensor of a list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...core import BaseTensor
from ..dispatch import FUNCTIONS, METHODS

UNARY = (
    *("abs", "acos", "asin", "atan", "ceil", "cos", "cosh", "erf", "erfc", "exp", "expm1", "floor", "frac", "lgamma"),
    *("log", "log10", "log1p", "log2", "neg", "reciprocal", "round", "rsqrt", "sigmoid", "sign", "sin", "sinh", "sqrt"),
    *("tan", "tanh", "trunc"),
)
BINARY = (
    "add",
    "sub",
    "mul",
    "div",
    "pow",
    "maximum",
    "minimum",
    "clamp_min",
    "clamp_max",
    "lerp",
    "addcmul",
    "addcdiv",
)


def _rows(name: str, tensors: Any, others: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Give for each tensor its arguments: the places of the lists among them, and the others as they are."""
    columns = []
    for other in others:
        if isinstance(other, (list, tuple)):
            if len(other) != len(tensors):
                raise RuntimeError(
                    f"Tensor lists must have the same number of tensors, got {len(tensors)} and {len(other)}: _foreach_{name}"
                )
            columns.append(list(other))
        elif isinstance(other, BaseTensor) and other._a.ndim == 1 and name in ("addcmul", "addcdiv"):
            columns.append([x.item() for x in other.unbind(0)])
        else:
            columns.append([other] * len(tensors))
    return list(zip(tensors, *columns, strict=True))


def _call(name: str, row: tuple[Any, ...], words: dict[str, Any]) -> Any:
    if name in ("maximum", "minimum", "clamp_min", "clamp_max"):
        return FUNCTIONS["clamp"](row[0], **{"min" if name in ("maximum", "clamp_min") else "max": row[1]})
    if len(row) == 4:
        return FUNCTIONS[name](*row[:3], value=row[3])
    return FUNCTIONS[name](*row, **words)


def _make(name: str, inplace: bool) -> Callable[..., Any]:
    def run(self: Any, *others: Any, **words: Any) -> Any:
        named = [
            words.pop(word) for word in ("other", "others", "scalar", "scalars", "tensor1", "tensor2") if word in words
        ]
        named += [words.pop(word) for word in ("tensors1", "weight", "weights", "exponent") if word in words]
        if not isinstance(self, (list, tuple)) and isinstance(others[0], (list, tuple)):  # 2 ** each
            return [_call(name, (self, x), words) for x in others[0]]
        if not self:
            raise RuntimeError(f"Tensor list must have at least one tensor: _foreach_{name}")
        results = [_call(name, row, words) for row in _rows(name, self, (*others, *named))]
        if not inplace:
            return results
        for x, r in zip(self, results, strict=True):
            METHODS["copy_"](x, r)
        return None

    mark = "_" if inplace else ""
    run.__name__ = run.__qualname__ = f"_foreach_{name}{mark}"
    run.__doc__ = f"Do ``torch.{name}`` for each tensor of a list{', in place' if inplace else ''}."
    return run


for _name in (*UNARY, *BINARY):
    FUNCTIONS[f"_foreach_{_name}"] = _make(_name, False)
    FUNCTIONS[f"_foreach_{_name}_"] = _make(_name, True)


def _each(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(fn: Callable[..., Any]) -> Callable[..., Any]:
        FUNCTIONS[name] = fn
        return fn

    return register


@_each("_foreach_norm")
def foreach_norm(self: Any, ord: Any = 2, dtype: Any = None) -> Any:
    """Give the norm of each tensor of a list."""
    return [FUNCTIONS["norm"](x, ord, dtype=dtype) for x in self]


@_each("_foreach_powsum")
def foreach_powsum(self: Any, ord: Any = 2, dtype: Any = None) -> Any:
    """Give sum |x|^p of each tensor of a list."""
    return [FUNCTIONS["sum"](FUNCTIONS["pow"](FUNCTIONS["abs"](x), ord), dtype=dtype) for x in self]


@_each("_foreach_max")
def foreach_max(self: Any) -> Any:
    """Give the largest element of each tensor of a list."""
    return [FUNCTIONS["max"](x) for x in self]


@_each("_foreach_clone")
def foreach_clone(self: Any) -> Any:
    """Copy each tensor of a list."""
    return [FUNCTIONS["clone"](x) for x in self]


@_each("_foreach_mm")
def foreach_mm(self: Any, mat2: Any) -> Any:
    """Multiply each matrix of a list by one of another."""
    return [FUNCTIONS["mm"](x, y) for x, y in zip(self, mat2, strict=True)]


@_each("_foreach_copy_")
def foreach_copy_(self: Any, src: Any, non_blocking: bool = False) -> None:
    """Write the tensors of one list into those of another."""
    for x, y in zip(self, src, strict=True):
        METHODS["copy_"](x, y)


@_each("_foreach_zero_")
def foreach_zero_(self: Any) -> None:
    """Write zeros into each tensor of a list."""
    for x in self:
        METHODS["zero_"](x)
