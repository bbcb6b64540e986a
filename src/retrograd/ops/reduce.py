"""Reductions: what is named as their accumulator, and how their gradients spread."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core import Op, TensorType
from . import batching
from .derive import general, linear, plain
from .elementwise import like, mul, where
from .shape import expand, flip, reshape
from .sums import is_narrow, rows, sum_array, sums_plainly


def _reduced(x: TensorType, axis: Any, keepdims: bool) -> tuple[int, ...]:
    axes = {a % max(x.shape.__len__(), 1) for a in (axis if isinstance(axis, tuple) else (axis,))}
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    return tuple(n for i, n in enumerate(x.shape) if i not in axes)


def reduced_type(x: TensorType, *, axis: Any, keepdims: bool = False) -> TensorType:
    """Type rule of a reduction that keeps the dtype."""
    return TensorType(_reduced(x, axis, keepdims), x.dtype)


def spread(g: Any, x_type: TensorType, axis: Any, keepdims: bool) -> Any:
    """Give a reduction's cotangent the shape of what was reduced."""
    if not keepdims:
        axes = {a % max(len(x_type.shape), 1) for a in axis}
        g = reshape(g, shape=tuple(1 if i in axes else n for i, n in enumerate(x_type.shape)))
    return expand(g, shape=x_type.shape)


REDUCTIONS = (
    {"shapes": ((3, 4),), "attrs": {"axis": (0, 1), "keepdims": False}},
    {"shapes": ((3, 4),), "attrs": {"axis": (1,), "keepdims": True}},
    {"shapes": ((2, 3, 4),), "attrs": {"axis": (0, 2), "keepdims": False}},
)


def _sum(x: Any, *, axis: Any, keepdims: bool = False) -> Any:
    return x.copy() if axis == () else rows(sum_array(x, axis=axis, keepdims=keepdims))


sum_ = linear(
    "sum",
    _sum,
    type=reduced_type,
    transpose=lambda g, *, x_type, axis, keepdims: spread(g, x_type, axis, keepdims),
    batch=batching.axes,
    samples=REDUCTIONS,
    shown=lambda node: _shown(node, "Sum"),
)


def _shown(node: Any, name: str) -> str:
    """Give torch's name, which tells a reduction of some dimensions from one of all."""
    return f"{name}Backward{int(len(node.attrs['axis']) < len(node.inputs[0].shape))}"


def _count(x_type: TensorType, axis: tuple[int, ...]) -> int:
    return math.prod(x_type.shape[a] for a in axis)


def _mean(x: Any, *, axis: tuple[int, ...], keepdims: bool = False) -> Any:
    n = math.prod([x.shape[a] for a in axis])
    if is_narrow(x.dtype):
        total: Any = np.add.reduce(x, axis=axis, keepdims=keepdims, dtype=np.float32)  # type: ignore[call-overload]
        return rows((total / float(n)).astype(x.dtype))
    return rows(sum_array(x, axis=axis, keepdims=keepdims)) / float(n)


mean = linear(
    "mean",
    _mean,
    type=reduced_type,
    transpose=lambda g, *, x_type, axis, keepdims: spread(g / _count(x_type, axis), x_type, axis, keepdims),
    batch=batching.axes,
    samples=REDUCTIONS,
    shown=lambda node: _shown(node, "Mean"),
)


def _extreme_back(g: Any, *, out: Any, x: Any, x_type: TensorType, axis: Any, keepdims: bool) -> Any:
    # equal winners share the gradient evenly, as torch's amax does
    won = like((x == spread(out, x_type, axis, keepdims)), x)
    return spread(g, x_type, axis, keepdims) * (won / sum_(won, axis=axis, keepdims=True))


def _extreme_push(t: Any, *, out: Any, x: Any, x_type: TensorType, axis: Any, keepdims: bool) -> Any:
    won = like((x == spread(out, x_type, axis, keepdims)), x)
    return sum_(t * (won / sum_(won, axis=axis, keepdims=True)), axis=axis, keepdims=keepdims)


amax = general(
    "amax",
    lambda x, *, axis, keepdims: rows(np.maximum.reduce(x, axis=axis, keepdims=keepdims)) if axis != () else x.copy(),
    type=reduced_type,
    vjp=[_extreme_back],
    jvp=[_extreme_push],
    batch=batching.axes,
    samples=REDUCTIONS,
)
amin = general(
    "amin",
    lambda x, *, axis, keepdims: rows(np.minimum.reduce(x, axis=axis, keepdims=keepdims)) if axis != () else x.copy(),
    type=reduced_type,
    vjp=[_extreme_back],
    jvp=[_extreme_push],
    batch=batching.axes,
    samples=REDUCTIONS,
)
INT64 = np.dtype(np.int64)
BOOL = np.dtype(np.bool_)


def _index_type(x: TensorType, *, axis: Any, keepdims: bool = False) -> TensorType:
    if axis is None:
        return TensorType((1,) * len(x.shape) if keepdims else (), INT64)
    return TensorType(_reduced(x, axis, keepdims), INT64)


_ARG = (
    {"shapes": ((3, 4),), "attrs": {"axis": 1, "keepdims": False}},
    {"shapes": ((3, 4),), "attrs": {"axis": None, "keepdims": False}},
)


def _sum_integers(x: Any, *, axis: Any, keepdims: bool, dtype: Any = INT64) -> Any:
    if x.dtype.kind == "b" and len(axis) == x.ndim and not keepdims and dtype.kind != "b":
        return np.asarray(np.count_nonzero(x), dtype)
    return rows(np.add.reduce(x, axis=axis, keepdims=keepdims, dtype=dtype))  # type: ignore[call-overload]


sum_integers = plain(
    "sum_integers",
    _sum_integers,
    type=lambda x, *, axis, keepdims, dtype=INT64: TensorType(_reduced(x, axis, keepdims), np.dtype(dtype)),
    batch=batching.axes,
    samples=tuple({**c, "dtype": "int64"} for c in REDUCTIONS),
)
argmax = plain(
    "argmax",
    lambda x, *, axis, keepdims: x.argmax(axis, keepdims=keepdims),
    type=_index_type,
    batch=batching.over_all,
    samples=_ARG,
)
argmin = plain(
    "argmin",
    lambda x, *, axis, keepdims: x.argmin(axis, keepdims=keepdims),
    type=_index_type,
    batch=batching.over_all,
    samples=_ARG,
)
any_ = plain(
    "any",
    lambda x, *, axis, keepdims: rows(np.any(x if x.dtype.kind != "V" else x != 0, axis=axis, keepdims=keepdims)),
    type=lambda x, *, axis, keepdims: TensorType(_reduced(x, axis, keepdims), BOOL),
    batch=batching.axes,
    samples=REDUCTIONS,
)
all_ = plain(
    "all",
    lambda x, *, axis, keepdims: rows(np.all(x if x.dtype.kind != "V" else x != 0, axis=axis, keepdims=keepdims)),
    type=lambda x, *, axis, keepdims: TensorType(_reduced(x, axis, keepdims), BOOL),
    batch=batching.axes,
    samples=REDUCTIONS,
)
prod = plain(
    "prod_value",
    lambda x, *, axis, keepdims: np.multiply.reduce(
        x, axis=axis, keepdims=keepdims, dtype=np.float32 if is_narrow(x.dtype) else x.dtype
    ).astype(x.dtype),
    type=reduced_type,
    batch=batching.axes,
    samples=REDUCTIONS,
)

# -- scans -------------------------------------------------------------------------------------------------------------
_SCAN = ({"shapes": ((3, 4),), "attrs": {"axis": 1}}, {"shapes": ((3, 4),), "attrs": {"axis": 0}})


def _scan(ufunc: Any) -> Any:
    def run(x: Any, *, axis: int) -> Any:
        return (
            rows(ufunc.accumulate(x, axis=axis, dtype=np.float32).astype(x.dtype))
            if is_narrow(x.dtype)
            else rows(ufunc.accumulate(x, axis=axis, dtype=x.dtype))
        )

    return run


cumsum: Op = linear(
    "cumsum",
    _scan(np.add),
    type=lambda x, *, axis: x,
    transpose=lambda g, *, axis: flip(cumsum(flip(g, axes=(axis,)), axis=axis), axes=(axis,)),
    batch=batching.axes,
    samples=_SCAN,
)
cumprod_value = plain(
    "cumprod_value", _scan(np.multiply), type=lambda x, *, axis: x, batch=batching.axes, samples=_SCAN
)
logcumsumexp_value = plain(
    "logcumsumexp_value",
    lambda x, *, axis: np.logaddexp.accumulate(x, axis=axis),
    type=lambda x, *, axis: x,
    batch=batching.axes,
    samples=_SCAN,
)


def _last_extreme(ufunc: Any, at_least: Any) -> Any:
    def run(x: Any, *, axis: int) -> Any:
        if not x.ndim:
            return np.zeros((), INT64)
        reached = at_least(x, ufunc.accumulate(x, axis=axis)) | (x != x)
        places = np.arange(x.shape[axis]).reshape((-1,) + (1,) * (x.ndim - 1 - axis))
        return np.maximum.accumulate(np.where(reached, places, 0), axis=axis)

    return run


def _scan_index_type(x: TensorType, *, axis: int) -> TensorType:
    return TensorType(x.shape, INT64)


cummax_index = plain(
    "cummax_index",
    _last_extreme(np.maximum, np.greater_equal),
    type=_scan_index_type,
    batch=batching.axes,
    samples=_SCAN,
)
cummin_index = plain(
    "cummin_index", _last_extreme(np.minimum, np.less_equal), type=_scan_index_type, batch=batching.axes, samples=_SCAN
)

__all__ = [
    "all_",
    "amax",
    "amin",
    "any_",
    "argmax",
    "argmin",
    "cummax_index",
    "cummin_index",
    "cumprod_value",
    "cumsum",
    "is_narrow",
    "logcumsumexp_value",
    "mean",
    "mul",
    "prod",
    "sum_",
    "sum_array",
    "sum_integers",
    "where",
]


def _whole(kind: TensorType, attrs: dict[str, Any]) -> str:
    """Write the axes of a sum, None where it is over all of them."""
    return "None" if len(attrs["axis"]) == len(kind.shape) and not attrs["keepdims"] else repr(attrs["axis"])


sum_.inline = lambda types, attrs: (
    f"add_up({{0}}, {_whole(types[0], attrs)}, None, None, {attrs['keepdims']})"
    if sums_plainly(types[0], attrs["axis"])
    else None
)
mean.inline = lambda types, attrs: (
    f"add_up({{0}}, {_whole(types[0], attrs)}, None, None, {attrs['keepdims']})"
    f" / {float(_count(types[0], attrs['axis']))!r}"
    if sums_plainly(types[0], attrs["axis"])
    else None
)
amax.inline = lambda types, attrs: (
    f"maximum({{0}}, {attrs['axis']!r}, None, None, {attrs['keepdims']})" if attrs["axis"] else None
)
