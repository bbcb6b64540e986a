"""Reductions and normalisations of the elements that a mask lets through: each fills the others with what changes nothing."""

from __future__ import annotations

import math
from typing import Any

from ..core import dtypes as _d
from .dispatch import FUNCTIONS


def _call(name: str, *args: Any, **kwargs: Any) -> Any:
    return FUNCTIONS[name](*args, **kwargs)


def _dims(dim: Any, ndim: int) -> tuple[int, ...]:
    """Give the dimensions to go over as ascending numbers: all of them for None and for ()."""
    if dim is None or dim == ():
        return tuple(range(ndim))
    size = max(ndim, 1)
    found: list[int] = []
    for d in (dim,) if isinstance(dim, int) else dim:
        if d in found:
            raise RuntimeError(f"dim={d} appears multiple times in the list of dims")
        if not -size <= d < size:
            raise IndexError(f"Dimension out of range (expected to be in range of [{-size}, {size - 1}], but got {d})")
        found.append(d % size)
    return tuple(sorted(found))


def _dense(name: str, *tensors: Any) -> None:
    for x in tensors:
        if str(x.layout) != "torch.strided":
            raise ValueError(f"masked {name} expects strided tensor (got {x.layout} tensor); use .to_dense() first")


def _mask_of(x: Any, mask: Any) -> Any:
    """Give a mask as truth values of a tensor's shape."""
    if tuple(mask.shape) != tuple(x.shape):
        if mask.ndim > x.ndim:
            raise IndexError(
                f"masked operations need a mask that broadcasts to the input, but the mask is {list(mask.shape)} and the "
                f"input {list(x.shape)}"
            )
        mask = _call("broadcast_to", mask, tuple(x.shape))
    return mask.to(_d.bool_)


def _ordered(x: Any, what: str) -> None:
    if x.dtype.is_complex:
        raise TypeError(f"a masked {what} needs numbers that have an order, but got {x.dtype}; take .real or .abs()")
    if x.dtype is _d.bool_:
        raise NotImplementedError(f"identity of a {what} on {x.dtype} input; convert it to a real dtype")


def _lowest(x: Any) -> Any:
    """Give what is below every number of a dtype."""
    if x.dtype.is_floating_point:
        return -math.inf
    _ordered(x, "maximum")
    return _d.iinfo(x.dtype).min


def _highest(x: Any) -> Any:
    """Give what is above every number of a dtype."""
    if x.dtype.is_floating_point:
        return math.inf
    _ordered(x, "minimum")
    return _d.iinfo(x.dtype).max


def _filled(name: str, x: Any, mask: Any, value: Any) -> Any:
    """Put a value where the mask is False; without a mask, the tensor as it is."""
    _dense(name, x)
    if mask is None:
        return x
    value = value(x) if callable(value) else value
    return _call("where", _mask_of(x, mask), x, _call("full", (), value, dtype=x.dtype))


def _summed(x: Any) -> Any:
    """Give the dtype that sums and products of a tensor have."""
    return x.dtype if x.dtype.is_floating_point or x.dtype.is_complex else _d.int64


def sum(input: Any, dim: Any = None, *, keepdim: bool | None = False, dtype: Any = None, mask: Any = None) -> Any:
    """Add up the elements that a mask lets through; 0 where it lets none.

    Parameters
    ----------
    input : Tensor
        Of any shape.
    dim : int or tuple of int, optional
        What to go over; everything if not given.
    keepdim : bool
        Keep those dimensions with size 1.
    dtype : dtype, optional
        Of the result.
    mask : Tensor, optional
        Truth values that broadcast to the input's shape: True for the elements that count.

    Returns
    -------
    Tensor
        The sums.

    Raises
    ------
    IndexError
        If the mask has more dimensions than the input.
    ValueError
        For a sparse tensor.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> torch.masked.sum(x, 1, mask=torch.tensor([[True, False], [True, True]]))
    tensor([1., 7.])
    """
    x = _filled("sum", input, mask, 0)
    return _call("sum", x, _dims(dim, x.ndim), bool(keepdim), dtype=dtype or _summed(input))


def prod(input: Any, dim: Any = None, *, keepdim: bool | None = False, dtype: Any = None, mask: Any = None) -> Any:
    """Multiply the elements that a mask lets through; 1 where it lets none.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.masked.prod(torch.tensor([2.0, 3.0, 5.0]), mask=torch.tensor([True, False, True]))
    tensor(10.)
    """
    x = _filled("prod", input, mask, 1).to(dtype or _summed(input))
    for d in reversed(_dims(dim, x.ndim)):
        x = _call("prod", x, d, bool(keepdim))
    return x


def cumsum(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """Add up along a dimension, elements that a mask holds back counting as 0.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.masked.cumsum(torch.tensor([2.0, 3.0, 5.0]), 0, mask=torch.tensor([True, False, True]))
    tensor([2., 2., 7.])
    """
    dtype = dtype or input.dtype
    return _call("cumsum", _filled("cumsum", input, mask, 0), _dims(dim, input.ndim)[0], dtype=dtype)


def cumprod(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """Multiply along a dimension, elements that a mask holds back counting as 1.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.masked.cumprod(torch.tensor([2.0, 3.0, 5.0]), 0, mask=torch.tensor([True, False, True]))
    tensor([ 2.,  2., 10.])
    """
    dtype = dtype or input.dtype
    return _call("cumprod", _filled("cumprod", input, mask, 1), _dims(dim, input.ndim)[0], dtype=dtype)


def amax(input: Any, dim: Any = None, *, keepdim: bool | None = False, dtype: Any = None, mask: Any = None) -> Any:
    """Find the largest of the elements that a mask lets through; a dtype's lowest number where it lets none.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.masked.amax(torch.tensor([2.0, 7.0, 5.0]), mask=torch.tensor([True, False, True]))
    tensor(5.)
    """
    x = _filled("amax", input, mask, _lowest)
    return _call("amax", x, _dims(dim, x.ndim), bool(keepdim)).to(dtype or input.dtype)


def amin(input: Any, dim: Any = None, *, keepdim: bool | None = False, dtype: Any = None, mask: Any = None) -> Any:
    """Find the smallest of the elements that a mask lets through; a dtype's highest number where it lets none.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.masked.amin(torch.tensor([2.0, 1.0, 5.0]), mask=torch.tensor([True, False, True]))
    tensor(2.)
    """
    x = _filled("amin", input, mask, _highest)
    return _call("amin", x, _dims(dim, x.ndim), bool(keepdim)).to(dtype or input.dtype)


def argmax(
    input: Any, dim: int | None = None, *, keepdim: bool | None = False, dtype: Any = None, mask: Any = None
) -> Any:
    """Say where the largest of the elements is that a mask lets through, in the input's dtype unless ``dtype`` is given.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.masked.argmax(torch.tensor([2, 7, 5]), mask=torch.tensor([True, False, True]))
    tensor(2)
    """
    place = _call("argmax", _filled("argmax", input, mask, _lowest), dim, bool(keepdim))
    return place.to(dtype or input.dtype)


def argmin(
    input: Any, dim: int | None = None, *, keepdim: bool | None = False, dtype: Any = None, mask: Any = None
) -> Any:
    """Say where the smallest of the elements is that a mask lets through, in the input's dtype unless ``dtype`` is given.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.masked.argmin(torch.tensor([2, 1, 5]), mask=torch.tensor([True, False, True]))
    tensor(0)
    """
    place = _call("argmin", _filled("argmin", input, mask, _highest), dim, bool(keepdim))
    return place.to(dtype or input.dtype)


def _count(input: Any, mask: Any, dim: Any, keepdim: bool) -> Any:
    """Say how many elements a mask lets through."""
    if mask is None:
        mask = _call("ones", tuple(input.shape), dtype=_d.bool_)
    return _call("sum", mask, _dims(dim, input.ndim), keepdim)


def mean(input: Any, dim: Any = None, *, keepdim: bool | None = False, dtype: Any = None, mask: Any = None) -> Any:
    """Average the elements that a mask lets through; NaN where it lets none.

    Raises
    ------
    ValueError
        For whole numbers, or a sparse tensor.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.masked.mean(torch.tensor([2.0, 7.0, 5.0]), mask=torch.tensor([True, False, True]))
    tensor(3.5000)
    """
    kind = dtype or input.dtype
    if not (kind.is_floating_point or kind.is_complex):
        raise ValueError(
            f"mean(): Could not infer output dtype. {'Optional' if dtype else 'Input'} dtype must be either a floating "
            f"point or complex dtype. Got: {kind}"
        )
    _dense("mean", input)
    mask = None if mask is None else _mask_of(input, mask)
    total = sum(input, dim, keepdim=keepdim, dtype=kind, mask=mask)
    return total / _count(input, mask, dim, bool(keepdim))


def median(input: Any, dim: int = -1, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """Find the median, the lower one of two, of the elements that a mask lets through; NaN where it lets none.

    Raises
    ------
    ValueError
        For whole numbers where the mask lets none through, or a sparse tensor.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.masked.median(torch.tensor([2.0, 7.0, 5.0]), mask=torch.tensor([True, False, True]))
    tensor(2.)
    """
    floating = input.dtype.is_floating_point
    x = input if floating else input.to(_d.float32)
    found = _call("nanmedian", _filled("median", x, mask, math.nan), _dims(dim, input.ndim)[0], keepdim).values
    if floating:
        return found
    if _call("isnan", found).any():
        raise ValueError("masked median expects no fully masked out rows if dtype is not floating point")
    return found.to(dtype or input.dtype)


def logsumexp(input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """Give log(sum(exp(x))) over the elements that a mask lets through.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.masked.logsumexp(torch.tensor([0.0, 9.0, 0.0]), mask=torch.tensor([True, False, True]))
    tensor(0.6931)
    """
    lowest: Any = complex(-math.inf, 0) if input.dtype.is_complex else _lowest
    x = _filled("logsumexp", input, mask, lowest)
    return _call("logsumexp", x, _dims(dim, x.ndim), keepdim=keepdim).to(dtype or input.dtype)


def logaddexp(input: Any, other: Any, *, dtype: Any = None, input_mask: Any = None, other_mask: Any = None) -> Any:
    """Give log(exp(x) + exp(y)), masked elements of either counting as minus infinity.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.masked.logaddexp(torch.tensor([1.0]), torch.tensor([5.0]), other_mask=torch.tensor([False]))
    tensor([1.])
    """
    x, y = _filled("logaddexp", input, input_mask, _lowest), _filled("logaddexp", other, other_mask, _lowest)
    return _call("logaddexp", x, y).to(dtype or input.dtype)


def norm(
    input: Any,
    ord: float | None = 2.0,
    dim: Any = None,
    *,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Any = None,
) -> Any:
    """Give the norm of the elements that a mask lets through, as a vector.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.masked.norm(torch.tensor([3.0, 9.0, 4.0]), mask=torch.tensor([True, False, True]))
    tensor(5.)
    """
    from .functions.matrix_norms import vector_norm

    x = _filled("norm", input, mask, math.inf if ord == -math.inf else 0)
    return vector_norm(x, ord, _dims(dim, x.ndim), bool(keepdim), dtype=dtype or input.dtype)


def _variance(
    input: Any, dim: Any, unbiased: bool | None, correction: float | None, keepdim: bool, dtype: Any, mask: Any
) -> Any:
    if unbiased is not None and correction is not None:
        raise AssertionError("Only one of unbiased and correction may be given")
    less = float(correction) if correction is not None else 0.0 if unbiased is False else 1.0
    kind = dtype or (input.dtype if input.dtype.is_floating_point or input.dtype.is_complex else _d.float32)
    made = kind if kind.is_floating_point or kind.is_complex else _d.float32
    _dense("std/var", input)
    mask = None if mask is None else _mask_of(input, mask)
    center = sum(input, dim, keepdim=True, dtype=kind, mask=mask) / _count(input, mask, dim, True)
    apart = input - center
    squares = apart * _call("conj", apart)
    total = sum(squares, dim, keepdim=keepdim, dtype=made, mask=mask)
    count = _count(input, mask, dim, keepdim)
    if less:
        count = _call("clamp", count.to(made.to_real()) - less, min=0)
    return (total / count).to(kind)


def var(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Any = None,
) -> Any:
    """Give the variance of the elements that a mask lets through.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.masked.var(torch.tensor([1.0, 9.0, 3.0]), mask=torch.tensor([True, False, True]))
    tensor(2.)
    """
    return _variance(input, dim, unbiased, correction, bool(keepdim), dtype, mask)


def std(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Any = None,
) -> Any:
    """Give the standard deviation of the elements that a mask lets through.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.masked.std(
    ...     torch.tensor([1.0, 9.0, 3.0]), unbiased=False, mask=torch.tensor([True, False, True])
    ... )
    tensor(1.)
    """
    return _call("sqrt", _variance(input, dim, unbiased, correction, bool(keepdim), dtype, mask))


def softmax(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """Share 1 out among the elements that a mask lets through, by the exponential of each.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.masked.softmax(torch.tensor([1.0, 9.0, 1.0]), 0, mask=torch.tensor([True, False, True]))
    tensor([0.5000, 0.0000, 0.5000])
    """
    x = _filled("softmax", input, mask, _lowest)
    return _call("softmax", x, _dims(dim, x.ndim)[0], dtype=dtype or input.dtype)


def log_softmax(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """Give the logarithm of ``softmax``.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.masked.log_softmax(torch.tensor([1.0, 9.0, 1.0]), 0, mask=torch.tensor([True, False, True]))
    tensor([-0.6931,    -inf, -0.6931])
    """
    x = _filled("log_softmax", input, mask, _lowest)
    return _call("log_softmax", x, _dims(dim, x.ndim)[0], dtype=dtype or input.dtype)


def softmin(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """Share 1 out among the elements that a mask lets through, by the exponential of minus each.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.masked.softmin(torch.tensor([1.0, -9.0, 1.0]), 0, mask=torch.tensor([True, False, True]))
    tensor([0.5000, 0.0000, 0.5000])
    """
    x = _filled("softmin", input, mask, _highest)
    return _call("softmax", -x, _dims(dim, x.ndim)[0], dtype=dtype or input.dtype)


def normalize(input: Any, ord: float, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Any = None) -> Any:
    """Divide the elements that a mask lets through by their norm, or by ``eps`` if that is larger; the others are 0.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.masked.normalize(
    ...     torch.tensor([3.0, 9.0, 4.0]), 2.0, 0, mask=torch.tensor([True, False, True])
    ... )
    tensor([0.6000, 0.0000, 0.8000])
    """
    x = _filled("normalize", input, mask, 0)
    size = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return x / _call("maximum", size, _call("full", (), eps, dtype=size.dtype))
