"""The largest and smallest elements, and where they are."""

from __future__ import annotations

import math
from typing import Any

from ...core import MODE, BaseTensor, apply
from ...ops import elementwise as e
from ...ops import reduce as r
from ...ops.index import gather
from ...ops.shape import reshape
from .. import return_types
from ..dispatch import function, labelled, type_name, wrap_dim
from . import arithmetic, comparing
from .reductions import EVERY, axes_of, check_input, check_nonempty, number, renamed, wants_grad
from .reductions import sum as _sum


def _no_complex(input: Any, name: str) -> None:
    if input._a.dtype.kind == "c":
        raise NotImplementedError(
            f"\"{name}\" not implemented for '{type_name(input._a.dtype)}': complex numbers have no order"
        )


def _extreme(name: str, op: Any, doc: str) -> Any:
    def fn(input: Any, dim: Any = None, keepdim: bool = False, **named: Any) -> Any:
        if named:
            return fn(**{"input": input, "dim": dim, "keepdim": keepdim, **renamed(name, named)})
        check_input(input, keepdim, name)
        _no_complex(input, name)
        check_nonempty(input._a, dim, name)
        return apply(op, input, axis=axes_of(dim, input._a.ndim, name), keepdims=keepdim)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name, exact=True)(fn)


amax = _extreme("amax", r.amax, "Give the largest element along some dimensions; equal ones share the gradient.")
amin = _extreme("amin", r.amin, "Give the smallest element along some dimensions; equal ones share the gradient.")


def take_one(input: Any, indices: Any, axis: int, keepdim: bool, result: Any) -> Any:
    """Give (values, indices) for indices that keep the reduced dimension at length 1."""
    values = apply(gather, input, indices, axis=axis)
    if not keepdim:
        shape = (*input._a.shape[:axis], *input._a.shape[axis + 1 :])
        values, indices = apply(reshape, values, shape=shape), apply(reshape, indices, shape=shape)
    return chosen(result, values, indices)


def chosen(result: Any, values: Any, indices: Any) -> Any:
    """Give (values, indices), the values with the name that torch prints for their history."""
    node = values._node
    if node is not None and node.op is not None:
        second = "median" in result.__name__  # the first is the median of all elements
        node.label = f"{result.__name__.capitalize()}Backward{int(second)}"
    return result(values, indices)


def share_evenly(input: Any, where: Any, value: Any) -> Any:
    """Give ``value``, which the elements where ``where`` holds have, so that they share its gradient evenly."""
    if not wants_grad(input):
        return value
    if value._a.ndim == 0 and MODE.trace is None and comparing.isnan(value):
        missing = apply(e.isnan, input)
        return arithmetic.div(_sum(apply(e.where, missing, input, number(0.0, input))), _sum(missing).item())
    return amax(apply(e.where, where, input, number(-math.inf, input)))


def _max_or_min(name: str, op: Any, arg: Any, pair: Any, result: Any, doc: str) -> Any:
    shown = f"{name.capitalize()}Backward1"

    def fn(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None, **named: Any) -> Any:
        if named:
            return fn(**{"input": input, "dim": dim, "keepdim": keepdim, "other": other, **renamed(name, named)})
        if other is not None or isinstance(dim, BaseTensor):
            return pair(input, dim if other is None else other)
        check_input(input, keepdim, name)
        a = input._a
        _no_complex(input, name)
        check_nonempty(a, dim, name)
        if dim is None:
            found = apply(op, input, axis=EVERY[a.ndim], keepdims=False)
            if found._node is not None and MODE.trace is None and found._a != found._a:
                return share_evenly(input, None, found)
            return labelled(found, shown)
        axis = wrap_dim(dim, a.ndim, name)
        if not a.ndim:
            return result(apply(e.clone, input), apply(arg, input, axis=None, keepdims=False))
        return take_one(input, apply(arg, input, axis=axis, keepdims=True), axis, keepdim, result)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name)(fn)


max = _max_or_min(
    "max",
    r.amax,
    r.argmax,
    comparing.maximum,
    return_types.max,
    "Give the largest element; along a dimension, (values, indices) of the first largest; of two Tensors, the "
    "larger of each pair.",
)
min = _max_or_min(
    "min",
    r.amin,
    r.argmin,
    comparing.minimum,
    return_types.min,
    "Give the smallest element; along a dimension, (values, indices) of the first smallest; of two Tensors, the "
    "smaller of each pair.",
)


def _arg(name: str, op: Any, doc: str) -> Any:
    def fn(input: Any, dim: Any = None, keepdim: bool = False, **named: Any) -> Any:
        if named:
            return fn(**{"input": input, "dim": dim, "keepdim": keepdim, **renamed(name, named)})
        check_input(input, keepdim, name)
        a = input._a
        if a.dtype.kind in "bc":
            raise RuntimeError(f"{name}(): does not support {'bool' if a.dtype.kind == 'b' else 'complex'} input")
        check_nonempty(a, dim, name, IndexError)
        axis = None if dim is None else wrap_dim(dim, a.ndim, name)
        return apply(op, input, axis=axis if a.ndim else None, keepdims=keepdim)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name, exact=True)(fn)


argmax = _arg(
    "argmax",
    r.argmax,
    "Give the index of the first largest element, of all (flattened) or along a dimension; NaN is largest.",
)
argmin = _arg(
    "argmin",
    r.argmin,
    "Give the index of the first smallest element, of all (flattened) or along a dimension; NaN is smallest.",
)


@function("aminmax")
def aminmax(input: Any, *, dim: Any = None, keepdim: bool = False) -> Any:
    """Give the smallest and the largest element, of all or along a dimension.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([3.0, 1.0, 2.0]).aminmax().max
    tensor(3.)
    """
    check_input(input, keepdim, "aminmax")
    if dim is not None:
        check_nonempty(input._a, dim, "aminmax")
    elif not input._a.size:
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."
        )
    return return_types.aminmax(amin(input, dim, keepdim), amax(input, dim, keepdim))
