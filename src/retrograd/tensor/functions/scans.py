"""Running sums, products and extremes along a dimension, and differences."""

from __future__ import annotations

from typing import Any

from ...core import apply, show_type
from ...core import dtypes as _d
from ...ops import elementwise as e
from ...ops import reduce as r
from ...ops.index import gather
from ...ops.shape import cat, slice_
from .. import return_types
from ..dispatch import as_dtype, function, type_name, wrap_dim
from . import arithmetic
from .extremes import chosen
from .joining import cat as joined
from .reductions import check_input, narrowed, renamed, wants_grad, widened
from .reductions import sum as _sum


def _scanned(input: Any, dim: Any, dtype: Any, name: str) -> tuple[Any, int]:
    check_input(input, False, name)
    if dtype is not None:
        input = as_dtype(input, dtype)
    elif input._a.dtype.kind in "iub":
        input = as_dtype(input, _d.int64)
    return input, wrap_dim(dim, input._a.ndim, name)


def doubling(x: Any, axis: int, op: Any) -> Any:
    """Scan along an axis by steps of 1, 2, 4, ...: every derivative of ``op`` carries through.

    Source: Hillis and Steele, "Data parallel algorithms", 1986.
    """
    lead = (slice(None),) * axis
    n, step = x._a.shape[axis], 1
    while step < n:
        first = apply(slice_, x, index=(*lead, slice(0, step)))
        later = apply(
            op, apply(slice_, x, index=(*lead, slice(step, n))), apply(slice_, x, index=(*lead, slice(0, n - step)))
        )
        x = apply(cat, first, later, axis=axis)
        step *= 2
    return x


@function("cumsum", inplace=True)
def cumsum(input: Any, dim: Any, *, dtype: Any = None, **named: Any) -> Any:
    """Give the running sums along a dimension; integers and bools give int64.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([1.0, 2.0, 3.0]).cumsum(0)
    tensor([1., 3., 6.])
    """
    if named:
        return cumsum(**{"input": input, "dim": dim, "dtype": dtype, **renamed("cumsum", named)})
    x, axis = _scanned(input, dim, dtype, "cumsum")
    return apply(r.cumsum, x, axis=axis) if x._a.ndim else apply(e.clone, x)


@function("cumprod", inplace=True)
def cumprod(input: Any, dim: Any, *, dtype: Any = None, **named: Any) -> Any:
    """Give the running products along a dimension; integers and bools give int64.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([1.0, 2.0, 3.0]).cumprod(0)
    tensor([1., 2., 6.])
    """
    if named:
        return cumprod(**{"input": input, "dim": dim, "dtype": dtype, **renamed("cumprod", named)})
    x, axis = _scanned(input, dim, dtype, "cumprod")
    if not x._a.ndim or x._a.shape[axis] == 1:
        return apply(e.clone, x)
    if not wants_grad(x):
        return apply(r.cumprod_value, x, axis=axis)
    # of a copy: the products' rules read slices of it, and cumprod_ writes over x
    return narrowed(doubling(widened(apply(e.clone, x)), axis, e.mul), x)


@function("logcumsumexp")
def logcumsumexp(input: Any, dim: Any) -> Any:
    """Give the logarithms of the running sums of exponentials along a dimension.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.zeros(2).logcumsumexp(0)
    tensor([0.0000, 0.6931])
    """
    check_input(input, False, "logcumsumexp")
    axis = wrap_dim(dim, input._a.ndim, "logcumsumexp")
    if input._a.dtype.kind not in "fV":
        raise NotImplementedError(
            f"\"logcumsumexp\" not implemented for '{type_name(input._a.dtype)}': convert the input to a floating dtype"
        )
    x = widened(input)
    if not x._a.ndim or x._a.shape[axis] == 1:
        return apply(e.clone, input)
    if not wants_grad(x):
        return narrowed(apply(r.logcumsumexp_value, x, axis=axis), input)
    return narrowed(doubling(x, axis, e.logaddexp), input)


def _running(name: str, op: Any, result: Any, doc: str) -> Any:
    def fn(input: Any, dim: Any) -> Any:
        check_input(input, False, name)
        axis = wrap_dim(dim, input._a.ndim, name)
        if input._a.dtype.kind == "c":
            raise NotImplementedError(
                f"\"{name}\" not implemented for '{type_name(input._a.dtype)}': complex numbers have no order"
            )
        indices = apply(op, input, axis=axis)
        values = apply(gather, input, indices, axis=axis) if input._a.ndim else apply(e.clone, input)
        return chosen(result, values, indices)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name)(fn)


cummax = _running(
    "cummax",
    r.cummax_index,
    return_types.cummax,
    "Give the running maxima along a dimension and where they are; of equal ones the last.",
)
cummin = _running(
    "cummin",
    r.cummin_index,
    return_types.cummin,
    "Give the running minima along a dimension and where they are; of equal ones the last.",
)


# -- differences and integrals -----------------------------------------------------------------------------------------
@function("diff")
def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Give the differences of neighbours along a dimension, ``n`` times over.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([1.0, 4.0, 9.0]).diff()
    tensor([3., 5.])
    """
    check_input(input, False, "diff")
    if not input._a.ndim:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    axis = wrap_dim(dim, input._a.ndim, "diff")
    if n == 0:
        return apply(e.clone, input)
    for x in (prepend, append):
        if x is not None and x._a.ndim != input._a.ndim:
            raise RuntimeError(
                f"diff expects prepend or append to be the same dimension as input: {show_type(x)} beside {show_type(input)}"
            )
        if x is not None and any(
            a != b for k, (a, b) in enumerate(zip(x.shape, input.shape, strict=True)) if k != axis
        ):
            raise RuntimeError(
                "diff expects the shape of tensor to prepend or append to match that of input except along the differencing "
                f"dimension: {show_type(x)} beside {show_type(input)}, along dimension {axis}"
            )
    parts = [x for x in (prepend, input, append) if x is not None]
    x = joined(parts, axis) if len(parts) > 1 else input
    lead = (slice(None),) * axis
    op = e.logical_xor if x._a.dtype.kind == "b" else e.sub
    for _ in range(min(n, x._a.shape[axis])):
        size = x._a.shape[axis]
        x = apply(
            op,
            apply(slice_, x, index=(*lead, slice(1, size))),
            apply(slice_, x, index=(*lead, slice(0, max(size - 1, 0)))),
        )
    return x


def _pieces(y: Any, x: Any, dx: Any, dim: int, name: str) -> Any:
    """Give the areas between neighbours."""
    check_input(y, False, name)
    if y._a.dtype.kind == "b" or (x is not None and x._a.dtype.kind == "b"):
        raise RuntimeError(f"{name}: received a bool input, but bool is not supported")
    axis = wrap_dim(dim, y._a.ndim, name)
    lead = (slice(None),) * axis
    n = y._a.shape[axis]
    pairs = arithmetic.add(
        apply(slice_, y, index=(*lead, slice(1, n))), apply(slice_, y, index=(*lead, slice(0, max(n - 1, 0))))
    )
    if x is None:
        return arithmetic.mul(pairs, arithmetic.div(dx, 2) if hasattr(dx, "_a") else dx / 2.0), axis
    if x._a.ndim == 1:
        if x._a.shape[0] != n:
            raise RuntimeError(f"{name}(): There must be one `x` value for each sample point")
        width = diff(x)
        width = width.reshape(width._a.shape + (1,) * (y._a.ndim - 1 - axis))
    else:
        width = diff(x, dim=axis - y._a.ndim)
    return arithmetic.div(arithmetic.mul(pairs, width), 2.0), axis


@function("trapezoid", "trapz", method=False)
def trapezoid(y: Any, x: Any = None, *, dx: Any = 1, dim: int = -1) -> Any:
    """Integrate along a dimension by the trapezoidal rule, over points ``x`` or steps ``dx``.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.trapezoid(torch.tensor([0.0, 1.0, 2.0]))
    tensor(2.)
    """
    areas, axis = _pieces(y, x, dx, dim, "trapezoid")
    return _sum(areas, axis)


@function("cumulative_trapezoid", method=False)
def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = 1, dim: int = -1) -> Any:
    """Give the running integrals along a dimension by the trapezoidal rule."""
    areas, axis = _pieces(y, x, dx, dim, "cumulative_trapezoid")
    return cumsum(areas, axis)


__all__ = ["cummax", "cummin", "cumprod", "cumsum", "diff", "logcumsumexp", "trapezoid"]
