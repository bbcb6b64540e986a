"""Norms and distances, log-sum-exp and softmax: compositions of reductions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import MODE, apply
from ...core import dtypes as _d
from ...ops import elementwise as e
from ...ops import reduce as r
from ...ops.shape import reshape as _reshape
from ..composed import composed
from ..dispatch import as_dtype, function, labelled, to_default_float, type_name, wrap_dim
from . import arithmetic, comparing
from .reductions import (
    axes_of,
    check_input,
    constant,
    narrowed,
    number,
    renamed,
    root,
    square_size,
    wants_grad,
    widened,
)


# -- exponentials summed -----------------------------------------------------------------------------------------------
@function("logsumexp", shown="LogsumexpBackward0")
def logsumexp(input: Any, dim: Any, keepdim: bool = False, **named: Any) -> Any:
    """Give log sum exp(x) along some dimensions, computed around the largest element.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([1000.0, 0.0]).logsumexp(0)
    tensor(1000.)
    """
    if named:
        return logsumexp(**{"input": input, "dim": dim, "keepdim": keepdim, **renamed("logsumexp", named)})
    check_input(input, keepdim, "logsumexp")
    x = widened(to_default_float(input))
    axes = axes_of(dim, x._a.ndim, "logsumexp")
    if not x._a.ndim:
        axes = ()
    if not x._a.size:
        return narrowed(apply(e.log, apply(r.sum_, apply(e.exp, x), axis=axes, keepdims=keepdim)), input)
    real = constant(e.real_part, x) if x._a.dtype.kind == "c" else x
    top = constant(r.amax, real, axis=axes, keepdims=True)
    if MODE.trace is not None or not np.isfinite(top._a).all():
        top = constant(e.where, constant(e.isfinite, top), top, 0.0)
    if real is not x:
        top = constant(e.cast, top, dtype=x._a.dtype)
    total = apply(r.sum_, apply(e.exp, apply(e.sub, x, top)), axis=axes, keepdims=keepdim)
    if not keepdim:
        top = constant(_reshape, top, shape=total._a.shape)
    return narrowed(apply(e.add, apply(e.log, total), top), input)


def _softmax_input(input: Any, dim: Any, dtype: Any, name: str) -> tuple[Any, tuple[int, ...]]:
    check_input(input, False, name)
    x = input if dtype is None else as_dtype(input, dtype)
    axis = wrap_dim(dim, x._a.ndim, name)
    if x._a.dtype.kind not in "fV":
        raise NotImplementedError(
            f"\"{name}\" not implemented for '{type_name(x._a.dtype)}': give dtype=, or convert the input to a "
            "floating dtype"
        )
    return x if x._a.flags.c_contiguous else x.contiguous(), (axis,) if x._a.ndim else ()


@function("softmax")
def softmax(input: Any, dim: Any, dtype: Any = None, **named: Any) -> Any:
    """Give exp(x) / sum exp(x) along a dimension.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([0.0, 0.0]).softmax(0)
    tensor([0.5000, 0.5000])
    """
    if named:
        return softmax(**{"input": input, "dim": dim, "dtype": dtype, **renamed("softmax", named)})
    given, axes = _softmax_input(input, dim, dtype, "softmax")
    x = widened(given)
    if not x._a.size:
        return apply(e.clone, given)
    return narrowed(_softmax(x, axes), given)


@composed("SoftmaxBackward0", keeps=False)
def _softmax(x: Any, axes: tuple[int, ...]) -> Any:
    top = constant(r.amax, x, axis=axes, keepdims=True)
    y = apply(e.exp, apply(e.sub, x, top))
    return apply(e.div, y, apply(r.sum_, y, axis=axes, keepdims=True))


@function("log_softmax")
def log_softmax(input: Any, dim: Any, dtype: Any = None, **named: Any) -> Any:
    """Give x - log sum exp(x) along a dimension.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([0.0, 0.0]).log_softmax(0)
    tensor([-0.6931, -0.6931])
    """
    if named:
        return log_softmax(**{"input": input, "dim": dim, "dtype": dtype, **renamed("log_softmax", named)})
    given, axes = _softmax_input(input, dim, dtype, "log_softmax")
    x = widened(given)
    if not x._a.size:
        return apply(e.clone, given)
    return narrowed(_log_softmax(x, axes), given)


@composed("LogSoftmaxBackward0", keeps=False)
def _log_softmax(x: Any, axes: tuple[int, ...]) -> Any:
    z = apply(e.sub, x, constant(r.amax, x, axis=axes, keepdims=True))
    total = apply(r.sum_, apply(e.exp, z), axis=axes, keepdims=True)
    return apply(e.sub, z, apply(e.log, total))


# -- norms -------------------------------------------------------------------------------------------------------------
def vector_norm(x: Any, order: float, axes: tuple[int, ...], keepdim: bool) -> Any:
    """Give (sum |x|^p)^(1/p) over dimensions; p = 0 counts, p = inf and -inf give extremes. Subgradient 0 at 0."""
    if order == 2:
        return root(apply(r.sum_, square_size(x), axis=axes, keepdims=keepdim))
    size = apply(e.absolute, x)
    if order == 1:
        return apply(r.sum_, size, axis=axes, keepdims=keepdim)
    if (math.isinf(order) or order < 0) and any(not size._a.shape[i] for i in axes):
        raise RuntimeError(
            f"linalg.vector_norm cannot compute the {order} norm on an empty tensor because the operation does "
            "not have an identity"
        )
    if math.isinf(order):
        return apply(r.amax if order > 0 else r.amin, size, axis=axes, keepdims=keepdim)
    if order == 0:
        return as_dtype(
            apply(r.sum_integers, apply(e.ne, size, 0.0), axis=axes, keepdims=keepdim), _d.from_numpy(size._a.dtype)
        )
    if not wants_grad(x):
        return apply(e.power, apply(r.sum_, apply(e.power, size, order), axis=axes, keepdims=keepdim), 1 / order)
    return _power_mean(size, order, axes, keepdim)


def _power_mean(size: Any, order: float, axes: tuple[int, ...], keepdim: bool) -> Any:
    # zeros are kept out of powers whose slope is infinite there
    zero = apply(e.eq, size, 0.0)
    powers = apply(
        e.where, zero, 0.0 if order > 0 else math.inf, apply(e.power, apply(e.where, zero, 1.0, size), order)
    )
    total = apply(r.sum_, powers, axis=axes, keepdims=keepdim)
    at_end = apply(e.eq, total, 0.0 if order > 0 else math.inf)
    return apply(e.where, at_end, 0.0, apply(e.power, apply(e.where, at_end, 1.0, total), 1 / order))


@function("norm")
def norm(input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None, **named: Any) -> Any:
    """Give the p-norm of all elements, or of those along some dimensions: (sum |x|^p)^(1/p).

    ``p`` is a number, "fro" (the 2-norm) or "nuc" (the sum of a matrix's singular values).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([3.0, 4.0]).norm()
    tensor(5.)
    """
    if named:
        return norm(
            **{"input": input, "p": p, "dim": dim, "keepdim": keepdim, "dtype": dtype, **renamed("norm", named)}
        )
    check_input(input, keepdim, "norm")
    if input._a.dtype.kind not in "fcV":
        raise RuntimeError(
            f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {type_name(input._a.dtype)}"
        )
    given = input if dtype is None else as_dtype(input, dtype)
    if p == "nuc":
        from .matrix_norms import matrix_norm

        return matrix_norm(given, "nuc", tuple(range(given._a.ndim)) if dim is None else dim, keepdim)
    order = 2.0 if p is None or p == "fro" else float(p)
    x = widened(given)
    return labelled(
        narrowed(vector_norm(x, order, axes_of(dim, x._a.ndim, "norm"), keepdim), given),
        "LinalgVectorNormBackward0",
        (given,),
    )


@function("dist", shown="DistBackward0")
def dist(input: Any, other: Any, p: Any = 2) -> Any:
    """Give the p-norm of ``input - other``.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.dist(torch.tensor([3.0, 4.0]), torch.zeros(2))
    tensor(5.)
    """
    return norm(arithmetic.sub(input, other), float(p))


@function("renorm", inplace=True)
def renorm(input: Any, p: Any, dim: int, maxnorm: Any) -> Any:
    """Scale down each slice along a dimension whose p-norm is above ``maxnorm`` to that norm."""
    check_input(input, False, "renorm")
    ndim = input._a.ndim
    if ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {ndim} dimensions")
    axis = wrap_dim(dim, ndim, "renorm")
    size = norm(input, float(p), tuple(i for i in range(ndim) if i != axis), True)
    scale = apply(
        e.where,
        comparing.gt(size, maxnorm),
        arithmetic.div(float(maxnorm), arithmetic.add(size, 1e-7)),
        number(1.0, size),
    )
    return arithmetic.mul(input, scale)
