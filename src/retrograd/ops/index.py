"""Indexing by arrays: reading, writing, and the adding write that is reading's transpose."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import BaseTensor, Op, TensorType, wrap
from . import batching_index
from .derive import ANY, general, linear, plain
from .elementwise import where
from .sums import rows

INT64 = np.dtype(np.int64)


def zeros_for(g: Any, kind: TensorType) -> Any:
    """Give zeros of a type: an array beside an array, a Tensor beside a Tensor."""
    zero = np.zeros(kind.shape, kind.dtype)
    return wrap(zero) if isinstance(g, BaseTensor) else zero


def _positive(index: Any, n: int) -> Any:
    return np.where(index < 0, index + n, index)


def add_along(buffer: Any, axis: int, index: Any, g: Any) -> None:
    """Add ``g`` to the places ``index`` of one axis, equal indices adding up, in place."""
    shape = g.shape
    index = _positive(index.reshape(-1), buffer.shape[axis])
    g = g.reshape(*shape[:axis], index.size, *buffer.shape[axis + 1 :])
    if not g.size:
        return
    if g.size == index.size and buffer.flags.c_contiguous:
        np.add.at(buffer.reshape(-1), index, g.reshape(-1))
        return
    lead = (slice(None),) * axis
    order = np.argsort(index, kind="stable")
    found = index[order]
    first = np.empty(len(found), np.bool_)
    first[0] = True
    np.not_equal(found[1:], found[:-1], out=first[1:])
    starts = np.flatnonzero(first)
    if len(starts) == len(index):
        buffer[(*lead, index)] += g
    else:
        buffer[(*lead, found[starts])] += np.add.reduceat(g.take(order, axis), starts, axis=axis, dtype=g.dtype)


# -- one axis: embedding, index_select ---------------------------------------------------------------------------------
def _select_type(x: TensorType, index: TensorType, *, axis: int) -> TensorType:
    return TensorType((*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]), x.dtype)


def _add_selected(buffer: Any, g: Any, xs: Any, attrs: dict[str, Any]) -> None:
    add_along(buffer, attrs["axis"], xs[1], g)


def _unselect(g: Any, index: Any, *, axis: int, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, g.dtype)
    add_along(out, axis, index, g)
    return out


take_axis: Op = linear(
    "index_select",
    lambda x, index, *, axis: x.take(index, axis),
    names=("x", "index"),
    type=_select_type,
    transpose=lambda g, index, *, x_type, axis: add_axis(g, index, axis=axis, shape=x_type.shape),
    batch=batching_index.take_axis,
    samples=(
        {"shapes": ((5, 3), (4,)), "dtypes": (None, "index"), "high": 5, "attrs": {"axis": 0}},
        {"shapes": ((3, 5), (2, 2)), "dtypes": (None, "index"), "high": 5, "attrs": {"axis": 1}},
    ),
)
take_axis.add_into = _add_selected
add_axis: Op = linear(
    "index_add_zeros",
    _unselect,
    names=("x", "index"),
    type=lambda x, index, *, axis, shape: TensorType(tuple(shape), x.dtype),
    transpose=lambda g, index, *, axis: take_axis(g, index, axis=axis),
    batch=batching_index.add_axis,
    samples=({"shapes": ((4, 3), (4,)), "dtypes": (None, "index"), "high": 5, "attrs": {"axis": 0, "shape": (5, 3)}},),
)


# -- gather and scatter ------------------------------------------------------------------------------------------------
@functools.lru_cache(512)
def _grids(shape: tuple[int, ...]) -> tuple[Any, ...]:
    n = len(shape)
    return tuple(np.arange(s).reshape((1,) * i + (s,) + (1,) * (n - i - 1)) for i, s in enumerate(shape))


def open_mesh(index: Any, axis: int) -> tuple[Any, ...]:
    """Give the index arrays that take ``index`` along ``axis`` and every other axis at its own place."""
    grids = _grids(index.shape)
    return (*grids[:axis], index, *grids[axis + 1 :])


def flat_mesh(index: Any, axis: int, shape: tuple[int, ...]) -> Any:
    """Give the places of ``open_mesh`` in the flattened array of this shape."""
    flat, step = np.zeros((), np.int64), 1
    mesh = open_mesh(index, axis)
    for i in reversed(range(index.ndim)):
        flat = flat + (mesh[i] if step == 1 else mesh[i] * step)
        step *= shape[i]
    return flat


def _gather(x: Any, index: Any, *, axis: int) -> Any:
    return x[open_mesh(index, axis)] if index.ndim and x.ndim else x.reshape(-1)[index]


def _add_gathered(buffer: Any, g: Any, xs: Any, attrs: dict[str, Any]) -> None:
    index = xs[1]
    if not index.ndim or not buffer.ndim:
        np.add.at(buffer.reshape(-1), index, g)
    elif buffer.flags.c_contiguous:
        np.add.at(buffer.reshape(-1), flat_mesh(index, attrs["axis"], buffer.shape).reshape(-1), g.reshape(-1))
    else:
        np.add.at(buffer, open_mesh(index, attrs["axis"]), g)


def _scatter_zeros(g: Any, index: Any, *, axis: int, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, g.dtype)
    if index.ndim and out.ndim and index.shape[axis] == 1:  # one place in each line: nothing to add up
        out[open_mesh(index, axis)] = g
    else:
        _add_gathered(out, g, (None, index), {"axis": axis})
    return out


_INDEXED: dict[str, Any] = {"dtypes": (None, "index"), "high": 4}
_GATHER = (
    {"shapes": ((4, 5), (4, 2)), **_INDEXED, "attrs": {"axis": 1}},
    {"shapes": ((4, 5), (2, 5)), **_INDEXED, "attrs": {"axis": 0}},
)
gather: Op = linear(
    "gather",
    _gather,
    names=("x", "index"),
    type=lambda x, index, *, axis: TensorType(index.shape, x.dtype),
    transpose=lambda g, index, *, x_type, axis: scatter_zeros(g, index, axis=axis, shape=x_type.shape),
    batch=batching_index.along,
    samples=_GATHER,
)
gather.add_into = _add_gathered
scatter_zeros: Op = linear(
    "scatter_add_zeros",
    _scatter_zeros,
    names=("x", "index"),
    type=lambda x, index, *, axis, shape: TensorType(tuple(shape), x.dtype),
    transpose=lambda g, index, *, axis: gather(g, index, axis=axis),
    batch=batching_index.along,
    samples=({"shapes": ((4, 2), (4, 2)), **_INDEXED, "attrs": {"axis": 1, "shape": (4, 5)}},),
)


def _scatter(x: Any, y: Any, index: Any, *, axis: int) -> Any:
    out = x.copy()
    if index.ndim and out.ndim:
        out[open_mesh(index, axis)] = y
    else:
        out.reshape(-1)[index] = y
    return out


scatter: Op = general(
    "scatter",
    _scatter,
    names=("x", "y", "index"),
    type=lambda x, y, index, *, axis: x,
    vjp=[
        lambda g, index, *, y_type, axis: scatter(g, zeros_for(g, y_type), index, axis=axis),
        lambda g, index, *, axis: gather(g, index, axis=axis),
        None,
    ],
    jvp=[
        lambda t, index, *, y_type, axis: scatter(t, zeros_for(t, y_type), index, axis=axis),
        lambda t, index, *, x_type, axis: scatter(zeros_for(t, x_type), t, index, axis=axis),
        None,
    ],
    batch=batching_index.along,
    samples=({"shapes": ((4, 5), (1, 5), (1, 5)), "dtypes": (None, None, "index"), "high": 4, "attrs": {"axis": 0}},),
)

_COMBINE = {"sum": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}
_START: dict[str, Callable[[Any], Any]] = {
    "sum": lambda d: 0,
    "prod": lambda d: 1,
    "amax": lambda d: -math.inf if d.kind in "fV" else np.iinfo(d).min if d.kind != "b" else False,
    "amin": lambda d: math.inf if d.kind in "fV" else np.iinfo(d).max if d.kind != "b" else True,
}


def _scatter_combined(x: Any, y: Any, index: Any, *, axis: int, reduce: str, include_self: bool = True) -> Any:
    out = x.reshape(-1).copy()
    flat = flat_mesh(index, axis, x.shape).reshape(-1) if index.ndim and x.ndim else index.reshape(-1)
    if not include_self:
        out[flat] = np.asarray(_START[reduce](x.dtype)).astype(x.dtype)
    _COMBINE[reduce].at(out, flat, y.reshape(-1))
    return out.reshape(x.shape)


scatter_combined = plain(
    "scatter_combined",
    _scatter_combined,
    names=("x", "y", "index"),
    type=lambda x, y, index, **attrs: x,
    batch=batching_index.along,
    samples=(
        {
            "shapes": ((4, 5), (4, 2), (4, 2)),
            "dtypes": (None, None, "index"),
            "high": 5,
            "attrs": {"axis": 1, "reduce": "amax"},
        },
    ),
)

# -- indexing in full: arrays mixed with slices ------------------------------------------------------------------------
ARRAY = "array"  # stands in a spec where the next index array goes


def full_index(spec: tuple[Any, ...], arrays: Any) -> tuple[Any, ...]:
    """Put the index arrays into their places among slices, ints, None and Ellipsis."""
    rest = iter(arrays)
    return tuple(next(rest) if s is ARRAY or s == ARRAY else s for s in spec)


def _index(x: Any, *arrays: Any, spec: tuple[Any, ...]) -> Any:
    if len(spec) == 1 and arrays[0].dtype.kind != "b":
        return x.take(arrays[0], 0)
    return rows(x[full_index(spec, arrays)])


def _indexed_type(x: TensorType, *arrays: TensorType, spec: tuple[Any, ...]) -> TensorType:
    if any(a.dtype.kind == "b" for a in arrays):
        raise TypeError("the shape of a tensor indexed by a mask depends on the mask's values")
    places = [np.broadcast_to(np.zeros((), np.int64), a.shape) for a in arrays]
    used = [s for s in spec if s is not None]
    sizes = tuple(max(n, 1) if d < len(used) and used[d] == ARRAY else n for d, n in enumerate(x.shape))
    return TensorType(np.broadcast_to(np.zeros((), np.bool_), sizes)[full_index(spec, places)].shape, x.dtype)


def _add_indexed(buffer: Any, g: Any, xs: Any, attrs: dict[str, Any]) -> None:
    spec, arrays = attrs["spec"], xs[1:]
    if len(arrays) == 1:
        if arrays[0].dtype.kind == "b":
            buffer[full_index(spec, arrays)] += g
            return
        axis = len(spec) - 1
        if spec[axis] is ARRAY and all(s == slice(None) for s in spec[:axis]):
            add_along(buffer, axis, arrays[0], g)
            return
    elif (
        len(spec) == len(arrays) == buffer.ndim
        and buffer.flags.c_contiguous
        and all(a.dtype.kind != "b" for a in arrays)
    ):
        flat = (
            np.ravel_multi_index(np.broadcast_arrays(*arrays), buffer.shape, mode="wrap")
            if g.size
            else np.zeros(0, np.int64)
        )
        np.add.at(buffer.reshape(-1), flat.reshape(-1), g.reshape(-1))
        return
    np.add.at(buffer, full_index(spec, arrays), g)


def _add_at(g: Any, *arrays: Any, spec: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, g.dtype)
    _add_indexed(out, g, (None, *arrays), {"spec": spec})
    return out


def _put(x: Any, y: Any, *arrays: Any, spec: tuple[Any, ...], accumulate: bool) -> Any:
    out = x.copy()
    if accumulate:
        np.add.at(out, full_index(spec, arrays), y)
    else:
        out[full_index(spec, arrays)] = y
    return out


class Indexing:
    """The ops that read and write by a number of index arrays: one row per number, made when first needed.

    Attributes
    ----------
    read
        ``x[spec with arrays]``.
    add
        Zeros of ``shape``, with ``g`` added at the places: the transpose of ``read``.
    put
        A copy of ``x`` with ``y`` written at the places, or added if ``accumulate``.
    """

    _made: dict[int, Indexing] = {}

    def __init__(self, count: int) -> None:
        self.arrays = tuple(f"i{k}" for k in range(count))
        mark = "" if count == 1 else str(count)
        read, add, put, named = self._read, self._add, self._put, self._named
        self.read: Op = self._op(
            f"index{mark}",
            _index,
            _indexed_type,
            ("x",),
            [named(add)],
            [named(read)],
            _READ.get(count, ()),
            batching_index.read,
            "Index",
        )
        self.read.add_into = _add_indexed
        self.add: Op = self._op(
            f"index_put_zeros{mark}",
            _add_at,
            _added_type,
            ("x",),
            [named(read)],
            [named(self._add_again)],
            _ADD.get(count, ()),
            batching_index.add,
            "IndexPutImpl",
        )
        self.put: Op = self._op(
            f"index_put{mark}",
            _put,
            lambda x, *rest, **attrs: x,
            ("x", "y"),
            [named(put), named(read)],
            [named(put), named(self._put_into_zeros)],
            _PUT.get(count, ()),
            batching_index.put,
            "IndexPut",
        )

    def _op(
        self,
        name: str,
        fn: Any,
        type_rule: Any,
        first: tuple[str, ...],
        vjp: list[Any],
        jvp: list[Any],
        samples: Any,
        batch: Any,
        shown: str,
    ) -> Op:
        rest = [None] * len(self.arrays)
        return Op(
            name,
            fn,
            type=type_rule,
            names=(*first, *self.arrays),
            vjp=[*vjp, *rest],
            jvp=[*jvp, *rest],
            family="linear",
            samples=samples,
            domain=ANY,
            batch=batch,
            shown=shown,
        )

    def _named(self, rule: Any) -> Any:
        """Give a rule the parameters ``g, i0, i1, ...`` that say which index arrays it reads."""

        def call(*args: Any, **kwargs: Any) -> Any:
            return rule(*args, **kwargs)

        own = [p for p in inspect.signature(rule).parameters.values() if p.kind is not inspect.Parameter.VAR_POSITIONAL]
        arrays = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in self.arrays]
        call.__signature__ = inspect.Signature([own[0], *arrays, *own[1:]])  # type: ignore[attr-defined]
        return call

    def _read(self, g: Any, *arrays: Any, spec: Any) -> Any:
        return self.read(g, *arrays, spec=spec)

    def _add(self, g: Any, *arrays: Any, x_type: TensorType, spec: Any) -> Any:
        return self.add(g, *arrays, spec=spec, shape=x_type.shape)

    def _add_again(self, t: Any, *arrays: Any, spec: Any, shape: Any) -> Any:
        return self.add(t, *arrays, spec=spec, shape=shape)

    def _put(self, g: Any, *arrays: Any, y_type: TensorType, spec: Any, accumulate: bool) -> Any:
        return g if accumulate else self.put(g, zeros_for(g, y_type), *arrays, spec=spec, accumulate=False)

    def _put_into_zeros(self, t: Any, *arrays: Any, x_type: TensorType, spec: Any, accumulate: bool) -> Any:
        return self.put(zeros_for(t, x_type), t, *arrays, spec=spec, accumulate=accumulate)


def _added_type(g: TensorType, *arrays: TensorType, spec: Any, shape: Any) -> TensorType:
    return TensorType(tuple(shape), g.dtype)


_ONE: dict[str, Any] = {"dtypes": (None, "index"), "high": 3}
_TWO: dict[str, Any] = {"dtypes": (None, "index", "index"), "high": 3}
_BETWEEN = (slice(None), slice(1, 4), ARRAY)
_READ = {
    1: (
        {"shapes": ((5, 3), (4,)), **_ONE, "attrs": {"spec": (ARRAY,)}},
        {"shapes": ((2, 5, 3), (4,)), **_ONE, "attrs": {"spec": _BETWEEN}},
    ),
    2: ({"shapes": ((5, 3), (4,), (4,)), **_TWO, "attrs": {"spec": (ARRAY, ARRAY)}},),
}
_ADD = {1: ({"shapes": ((4, 3), (4,)), **_ONE, "attrs": {"spec": (ARRAY,), "shape": (5, 3)}},)}
_PUT = {
    1: (
        {
            "shapes": ((5, 3), (1, 3), (1,)),
            "dtypes": (None, None, "index"),
            "high": 5,
            "attrs": {"spec": (ARRAY,), "accumulate": False},
        },
        {
            "shapes": ((5, 3), (4, 3), (4,)),
            "dtypes": (None, None, "index"),
            "high": 5,
            "attrs": {"spec": (ARRAY,), "accumulate": True},
        },
    )
}


def indexing(count: int) -> Indexing:
    """Give the ops for this number of index arrays."""
    found = Indexing._made.get(count)
    if found is None:
        found = Indexing._made[count] = Indexing(count)
    return found


index, add_at, put = indexing(1).read, indexing(1).add, indexing(1).put
indexing(2)


__all__ = [
    "ARRAY",
    "add_at",
    "add_axis",
    "full_index",
    "gather",
    "index",
    "indexing",
    "put",
    "scatter",
    "scatter_zeros",
    "take_axis",
    "where",
]
