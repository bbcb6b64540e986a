"""Functions that reduce dimensions: sums, means, extremes, norms, and softmax, which is made of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import MODE, BaseTensor, apply, meta
from ...core import dtypes as _d
from ...core.warned import warn
from ...ops import elementwise as e
from ...ops import reduce as r
from ...ops.shape import reshape, slice_
from ..dispatch import as_dtype, function, labelled, type_name, wrap_dim, wrap_dims
from ..tensor import Tensor
from . import arithmetic, comparing
from .shaping import reshaped

EVERY = tuple(tuple(range(n)) for n in range(65))
_RENAMED = {"axis": "dim", "keepdims": "keepdim", "x": "input"}


# -- arguments ---------------------------------------------------------------------------------------------------------
def renamed(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Give arguments under torch's names where NumPy's were used; TypeError for unknown ones."""
    out = {}
    for key, value in given.items():
        if key not in _RENAMED:
            raise TypeError(f"{name}() got an unexpected keyword argument '{key}'")
        out[_RENAMED[key]] = value
    return out


def check_input(input: Any, keepdim: Any, name: str) -> None:
    """Raise TypeError unless the input is a Tensor and ``keepdim`` a bool."""
    if not isinstance(input, BaseTensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    if keepdim.__class__ is not bool:
        raise TypeError(f"{name}(): argument 'keepdim' must be bool, not {type(keepdim).__name__}")


def axes_of(dim: Any, ndim: int, name: str) -> tuple[int, ...]:
    """Give the dimensions to reduce as a tuple; None and () mean all."""
    if dim is None:
        return EVERY[ndim]
    if dim.__class__ is int and -ndim <= dim < ndim:
        return (dim + ndim if dim < 0 else dim,)
    return wrap_dims(dim, ndim, name)


def constant(op: Any, *xs: Any, **attrs: Any) -> Any:
    """Run an op as a constant: its result carries no gradient."""
    before, dual = MODE.grad, MODE.dual
    MODE.grad, MODE.dual = False, None
    try:
        return apply(op, *xs, **attrs)
    finally:
        MODE.grad, MODE.dual = before, dual


def wants_grad(*xs: Any) -> bool:
    """Tell whether an operation on these would be recorded with a slope: whole numbers have none."""
    if MODE.trace is not None or MODE.dual is not None:
        return any(isinstance(x, Tensor) and x._a.dtype.kind in "fcV" for x in xs)
    return MODE.grad and any(isinstance(x, Tensor) and x.requires_grad for x in xs)


def widened(x: Any) -> Any:
    """Cast half precisions to float32, in which longer compositions are computed."""
    return e.cast(x, dtype=np.float32) if r.is_narrow(x._a.dtype) else x


def narrowed(y: Any, x: Any) -> Any:
    """Cast a result back to the half precision of the input."""
    return e.cast(y, dtype=x._a.dtype) if r.is_narrow(x._a.dtype) and y._a.dtype != x._a.dtype else y


def number(value: float, x: Any) -> Any:
    """Give a number as an operand beside ``x``: itself, or in its dtype where NumPy has no weak numbers."""
    return value if x._a.dtype.kind != "V" else literal(np.array(value, x._a.dtype))


def literal(a: Any) -> Any:
    """Give an array that does not depend on any Tensor as a Tensor; under trace it is a constant."""
    return Tensor._wrap(a)


def untraceable(name: str, *xs: Any) -> None:
    """Ask the running trace about an operation whose result has a shape that depends on the values of ``xs``."""
    if any(map(meta.is_meta, xs)):
        raise meta.depends(name)
    if MODE.trace is not None:
        for x in xs:
            MODE.trace.asked(x, f"shape of {name}")


def check_nonempty(a: Any, dim: Any, name: str, kind: type[Exception] = RuntimeError) -> None:
    """Raise unless there is at least one element along each reduced dimension."""
    if a.size:
        return
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        tail = "" if kind is IndexError else " Specify the reduction dim with the 'dim' argument."
        raise kind(f"{name}(): Expected reduction dim to be specified for input.numel() == 0.{tail}")
    for d in dim if isinstance(dim, (tuple, list)) else (dim,):
        k = wrap_dim(d, a.ndim, name)
        if not a.shape[k]:
            raise IndexError(f"{name}(): Expected reduction dim {k} to have non-zero size.")


# -- sums and products -------------------------------------------------------------------------------------------------
@function("sum")
def sum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, **named: Any) -> Any:
    """Add up all elements, or those along some dimensions; integers and bools add up to int64.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([[1, 2], [3, 4]]).sum(0)
    tensor([4, 6])
    """
    if named:
        return sum(**{"input": input, "dim": dim, "keepdim": keepdim, "dtype": dtype, **renamed("sum", named)})
    if keepdim.__class__ is not bool or not isinstance(input, BaseTensor):
        check_input(input, keepdim, "sum")
    a = input._a
    if dtype is not None or a.dtype.kind not in "fcV":
        wanted = _d.to_numpy(dtype) if dtype is not None else r.INT64
        if wanted.kind not in "fcV":
            x = input if a.dtype.kind not in "fcV" and wanted.kind != "b" else as_dtype(input, _d.from_numpy(wanted))
            return apply(r.sum_integers, x, axis=axes_of(dim, a.ndim, "sum"), keepdims=keepdim, dtype=wanted)
        input = as_dtype(input, _d.from_numpy(wanted))
    total = apply(r.sum_, input, axis=axes_of(dim, a.ndim, "sum"), keepdims=keepdim)
    return total if dim is None or total.ndim or keepdim else labelled(total, "SumBackward1")


@function("nansum")
def nansum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, **named: Any) -> Any:
    """Add up elements, NaN counting as zero.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([1.0, float("nan")]).nansum()
    tensor(1.)
    """
    if named:
        return nansum(**{"input": input, "dim": dim, "keepdim": keepdim, "dtype": dtype, **renamed("nansum", named)})
    check_input(input, keepdim, "nansum")
    if input._a.dtype.kind == "c":
        raise RuntimeError("nansum does not support complex inputs")
    if input._a.dtype.kind in "fV":
        input = apply(e.where, apply(e.isnan, input), number(0.0, input), input)
    return sum(input, dim, keepdim, dtype=dtype)


@function("mean")
def mean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, **named: Any) -> Any:
    """Average all elements, or those along some dimensions: sum / count.

    Raises RuntimeError for integers and bools, unless a floating ``dtype`` is given.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([[1.0, 2.0], [3.0, 4.0]]).mean(dim=1, keepdim=True)
    tensor([[1.5000],
            [3.5000]])
    """
    if named:
        return mean(**{"input": input, "dim": dim, "keepdim": keepdim, "dtype": dtype, **renamed("mean", named)})
    if keepdim.__class__ is not bool or not isinstance(input, BaseTensor):
        check_input(input, keepdim, "mean")
    a = input._a
    if dtype is not None or a.dtype.kind not in "fcV":
        wanted = _d.to_numpy(dtype) if dtype is not None else a.dtype
        if wanted.kind not in "fcV":
            which = "Input" if dtype is None else "Optional"
            raise RuntimeError(
                f"mean(): could not infer output dtype. {which} dtype must be either a floating point or "
                f"complex dtype. Got: {type_name(wanted)}"
            )
        input = as_dtype(input, dtype)
    average = apply(r.mean, input, axis=axes_of(dim, a.ndim, "mean"), keepdims=keepdim)
    return average if dim is None or average.ndim or keepdim else labelled(average, "MeanBackward1")


@function("nanmean")
def nanmean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, **named: Any) -> Any:
    """Average elements, leaving NaN out."""
    if named:
        return nanmean(**{"input": input, "dim": dim, "keepdim": keepdim, "dtype": dtype, **renamed("nanmean", named)})
    check_input(input, keepdim, "nanmean")
    if input._a.dtype.kind not in "fcV":
        raise RuntimeError(
            f"nanmean(): expected input to have floating point or complex dtype but got {type_name(input._a.dtype)}"
        )
    there = sum(comparing.logical_not(comparing.isnan(input)), dim, keepdim)
    total = nansum(input, dim, keepdim, dtype=dtype)
    return arithmetic.div(total, as_dtype(there, total.dtype))


def tree(x: Any, axis: int, op: Any) -> Any:
    """Combine the elements along an axis pairwise, level by level: every derivative of ``op`` carries through."""
    lead = (slice(None),) * axis
    rest: list[Any] = []
    n = x._a.shape[axis]
    while n > 1:
        half = n // 2
        if n % 2:
            rest.append(apply(slice_, x, index=(*lead, slice(n - 1, n))))
        x = apply(
            op, apply(slice_, x, index=(*lead, slice(0, half))), apply(slice_, x, index=(*lead, slice(half, 2 * half)))
        )
        n = half
    for part in rest:
        x = apply(op, x, part)
    return x


@function("prod")
def prod(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, **named: Any) -> Any:
    """Multiply all elements, or those along a dimension; integers and bools give int64.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([2.0, 3.0, 4.0]).prod()
    tensor(24.)
    """
    if named:
        return prod(**{"input": input, "dim": dim, "keepdim": keepdim, "dtype": dtype, **renamed("prod", named)})
    check_input(input, keepdim, "prod")
    if dtype is not None:
        input = as_dtype(input, dtype)
    elif input._a.dtype.kind in "iub":
        input = as_dtype(input, _d.int64)
    a = input._a
    axes = EVERY[a.ndim] if dim is None else (wrap_dim(dim, a.ndim, "prod"),)[: a.ndim]
    if not wants_grad(input):
        return apply(r.prod, input, axis=axes, keepdims=keepdim)
    if not axes:
        return apply(e.clone, input)
    if not a.size:
        return apply(e.add, apply(r.sum_, input, axis=axes, keepdims=keepdim), 1)
    x = widened(input)
    if MODE.trace is None:
        x = apply(e.power, x, 1)  # its slopes of any order have a graph, as in torch, also where they are constant
    if dim is None:
        y = tree(reshaped(x, (a.size,)), 0, e.mul)
        y = apply(reshape, y, shape=(1,) * a.ndim if keepdim else ())
    else:
        y = tree(x, axes[0], e.mul)
        if not keepdim:
            y = apply(slice_, y, index=(*(slice(None),) * axes[0], 0))
        elif a.shape[axes[0]] == 1:
            y = apply(e.clone, y)
    return labelled(narrowed(y, input), "ProdBackward0" if dim is None else "ProdBackward1")


@function("count_nonzero")
def count_nonzero(input: Any, dim: Any = None, **named: Any) -> Any:
    """Count the elements that are not zero.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([0, 3, 0, 1]).count_nonzero()
    tensor(2)
    """
    if named:
        return count_nonzero(**{"input": input, "dim": dim, **renamed("count_nonzero", named)})
    check_input(input, False, "count_nonzero")
    there = input if input._a.dtype.kind == "b" else apply(e.ne, input, 0)
    return apply(r.sum_integers, there, axis=axes_of(dim, input._a.ndim, "count_nonzero"), keepdims=False)


def _quantifier(name: str, op: Any, doc: str) -> Any:
    def fn(input: Any, dim: Any = None, keepdim: bool = False, **named: Any) -> Any:
        if named:
            return fn(**{"input": input, "dim": dim, "keepdim": keepdim, **renamed(name, named)})
        check_input(input, keepdim, name)
        axes = (
            () if dim == () or dim == [] else axes_of(dim, input._a.ndim, name)
        )  # as in torch, no dimensions here are none
        found = apply(op, input, axis=axes, keepdims=keepdim)
        return as_dtype(found, _d.uint8) if input._a.dtype == np.uint8 else found

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name, exact=True)(fn)


any_ = _quantifier("any", r.any_, "Tell whether any element, or any along some dimensions, is not zero.")
all_ = _quantifier("all", r.all_, "Tell whether all elements, or all along some dimensions, are not zero.")


# -- spread ------------------------------------------------------------------------------------------------------------
def root(s: Any) -> Any:
    """Give the square root, with slope 0 where it is 0 (a norm's subgradient)."""
    if MODE.trace is None and (s._node is None or s._a.all()):
        return apply(e.sqrt, s)
    zero = apply(e.eq, s, 0.0)
    return apply(e.where, zero, 0.0, apply(e.sqrt, apply(e.where, zero, 1.0, s)))


def square_size(x: Any) -> Any:
    """Give |x|^2, real also for complex numbers."""
    if x._a.dtype.kind != "c":
        return apply(e.square, x)
    return apply(e.add, apply(e.square, apply(e.real_part, x)), apply(e.square, apply(e.imag_part, x)))


def _spread(
    name: str, input: Any, dim: Any, unbiased: Any, keepdim: Any, correction: Any, named: dict[str, Any]
) -> tuple[Any, Any]:
    given = renamed(name, named) if named else {}
    dim, keepdim = given.get("dim", dim), given.get("keepdim", keepdim)
    if dim.__class__ is bool:
        dim, unbiased = None, dim
    if correction is not None and unbiased is not None:
        raise TypeError(
            f"{name}() received an invalid combination of arguments: give either unbiased or correction, not both"
        )
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    check_input(input, keepdim, name)
    if input._a.dtype.kind not in "fcV":
        raise RuntimeError(
            f"std and var only support floating point and complex dtypes: {name} of {input.dtype}{list(input._a.shape)}"
        )
    x = widened(input)
    axes = axes_of(dim, x._a.ndim, name)
    freedom = math.prod([x._a.shape[i] for i in axes]) - correction
    if freedom <= 0:
        warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the reduction factor "
            "(input numel divided by output numel)."
        )
    centre = apply(r.mean, x, axis=axes, keepdims=True)
    total = apply(r.sum_, square_size(apply(e.sub, x, centre)), axis=axes, keepdims=keepdim)
    variance = apply(e.mul, total, 1 / freedom if freedom > 0 else math.inf)
    return variance, centre


@function("var", shown="VarBackward0")
def var(
    input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None, **named: Any
) -> Any:
    """Give the variance: sum (x - mean)^2 / max(0, n - correction); the correction is 1 unless said otherwise.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([1.0, 2.0, 3.0]).var()
    tensor(1.)
    """
    return narrowed(_spread("var", input, dim, unbiased, keepdim, correction, named)[0], input)


@function("std", shown="StdBackward0")
def std(
    input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None, **named: Any
) -> Any:
    """Give the standard deviation, the square root of ``var``; its slope is 0 where it is 0.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([1.0, 2.0, 3.0]).std(correction=0)
    tensor(0.8165)
    """
    return narrowed(root(_spread("std", input, dim, unbiased, keepdim, correction, named)[0]), input)


@function("var_mean", method=False)
def var_mean(
    input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None, **named: Any
) -> Any:
    """Give (variance, mean).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.var_mean(torch.tensor([1.0, 2.0, 3.0]))
    (tensor(1.), tensor(2.))
    """
    variance, centre = _spread("var_mean", input, dim, unbiased, keepdim, correction, named)
    return narrowed(variance, input), narrowed(apply(reshape, centre, shape=variance._a.shape), input)


@function("std_mean", method=False)
def std_mean(
    input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None, **named: Any
) -> Any:
    """Give (standard deviation, mean)."""
    variance, centre = _spread("std_mean", input, dim, unbiased, keepdim, correction, named)
    return narrowed(root(variance), input), narrowed(apply(reshape, centre, shape=variance._a.shape), input)
