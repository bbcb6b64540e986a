"""Reading and writing by masks and by places in the whole: masked_*, index_put, take, put, nonzero."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import MODE, BaseTensor, apply, at, here, shapes_error, wrap
from ...ops import elementwise as e
from ...ops import index as ix
from ...ops import order as od
from ...ops.shape import expand, reshape
from ..dispatch import function, type_name, wrap_dim
from ..interop import asked
from . import arithmetic, comparing
from .gathering import INDEX_TYPES, check_index, gather, number_like
from .indexing import ask_masks, chosen, explained, fitted, mask_or_place, places_shape
from .reductions import check_input, untraceable
from .shaping import reshaped


# -- places in full ----------------------------------------------------------------------------------------------------
@function("index_put", inplace=True)
def index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """Write (or add) ``values`` to ``input[indices]``, a tuple of index tensors and masks.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.zeros(3).index_put((torch.tensor([1]),), torch.ones(1))
    tensor([0., 1., 0.])
    """
    check_input(input, False, "index_put")
    arrays = []
    for k, i in enumerate(indices):
        if not isinstance(i, BaseTensor):
            raise TypeError(f"expected Tensor as element {k} in argument 0, but got {type(i).__name__}")
        arrays.append(i if i._a.dtype in INDEX_TYPES else mask_or_place(i))
    if values._a.dtype != input._a.dtype:
        raise RuntimeError(
            f"Index put requires the source and destination dtypes match, got {type_name(input._a.dtype)} for "
            f"the destination and {type_name(values._a.dtype)} for the source."
        )
    spec = (ix.ARRAY,) * len(arrays)
    try:
        shape = places_shape(input._a.shape, spec, arrays)
        if MODE.trace is not None:
            if len(arrays) == 1 and arrays[0]._a.dtype.kind == "b" and values._a.size == 1 and not accumulate:
                return chosen(input, spec, arrays[0], values)
            ask_masks(arrays)
        return apply(
            ix.indexing(len(arrays)).put,
            input,
            fitted(values, shape, input._a.dtype),
            *arrays,
            spec=spec,
            accumulate=bool(accumulate),
        )
    except IndexError as error:
        raise explained(error, input) from None


@function("take")
def take(input: Any, index: Any) -> Any:
    """Give the elements of the flattened input that the indices name, in the shape of the index.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([[1, 2], [3, 4]]).take(torch.tensor([0, 3]))
    tensor([1, 4])
    """
    check_input(input, False, "take")
    check_index(index, "take", "int64")
    _check_flat(index, input._a.size)
    return apply(ix.take_axis, reshaped(input, (input._a.size,)), index, axis=0)


def _check_flat(index: Any, n: int) -> None:
    i = index._a
    if i.size and (int(i.min()) < -n or int(i.max()) >= n):
        bad = int(i.max()) if int(i.max()) >= n else int(i.min())
        raise IndexError(f"out of range: tried to access index {bad} on a tensor of {n} elements.{at(here())}")


@function("put", inplace=True)
def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """Write (or add) ``source`` to the places of the flattened input that the indices name."""
    check_input(input, False, "put")
    check_index(index, "put_", "int64")
    if index._a.size != source._a.size:
        raise IndexError(
            "put_(): Expected source and index to have the same number of elements, but got source.numel() = "
            f"{source._a.size}, index.numel() = {index._a.size}"
        )
    if input._a.dtype != source._a.dtype:
        raise RuntimeError(
            f"put_(): self ({type_name(input._a.dtype)}) and source ({type_name(source._a.dtype)}) must have "
            "the same scalar type"
        )
    _check_flat(index, input._a.size)
    x = reshaped(input, (input._a.size,))
    n = index._a.size
    flat = apply(
        ix.put,
        x,
        reshaped(source, (n,)),
        reshaped(index, (n,)),
        spec=(ix.ARRAY,),
        accumulate=bool(accumulate),
    )
    return apply(reshape, flat, shape=input._a.shape)


@function("take_along_dim")
def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """Give ``gather`` of input and indices, broadcast against each other in all dimensions but ``dim``.

    Without ``dim`` both are flattened.
    """
    check_input(input, False, "take_along_dim")
    if dim is None:
        return gather(reshaped(input, (input._a.size,)), 0, reshaped(indices, (indices._a.size,)))
    a, i = input._a, indices._a
    if a.ndim != i.ndim:
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, but got "
            f"{a.ndim} dimensions for input, and {i.ndim} dimensions for indices"
        )
    if i.dtype != np.int64:
        raise RuntimeError(f"torch.take_along_dim(): dtype of indices should be Long but got {type_name(i.dtype)}")
    axis = wrap_dim(dim, a.ndim, "take_along_dim")
    shape = np.broadcast_shapes((*a.shape[:axis], 1, *a.shape[axis + 1 :]), (*i.shape[:axis], 1, *i.shape[axis + 1 :]))
    x = apply(expand, input, shape=(*shape[:axis], a.shape[axis], *shape[axis + 1 :]))
    if MODE.trace is not None or (i.size and i.min() < 0):  # counted from the end
        indices = comparing.where(comparing.lt(indices, 0), arithmetic.add(indices, a.shape[axis]), indices)
    return gather(x, axis, apply(expand, indices, shape=(*shape[:axis], i.shape[axis], *shape[axis + 1 :])))


# -- masks -------------------------------------------------------------------------------------------------------------
@function("masked_fill", inplace=True, shown="MaskedFillBackward0")
def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """Write a number where the mask holds.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.ones(3).masked_fill(torch.tensor([True, False, True]), 0.0)
    tensor([0., 1., 0.])
    """
    check_input(input, False, "masked_fill")
    if mask._a.dtype.kind != "b":
        raise RuntimeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype}: compare it first, "
            "such as mask != 0"
        )
    if not input._a.flags.c_contiguous:
        input = input.contiguous()
    if value.__class__ is float and input._a.dtype.kind == "f" and (abs(value) < 60000 or abs(value) == math.inf):
        r = apply(e.where, mask, value, input)
    else:
        r = apply(e.where, mask, number_like(value, input, "masked_fill", on_axis=True), input)
    return r if r._a.flags.c_contiguous else r.contiguous()


@function("masked_select", shown="MaskedSelectBackward0")
def masked_select(input: Any, mask: Any) -> Any:
    """Give the elements where the mask holds, in one dimension.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([1, 2, 3]).masked_select(torch.tensor([True, False, True]))
    tensor([1, 3])
    """
    check_input(input, False, "masked_select")
    if mask._a.dtype.kind != "b":
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    asked(mask, "mask")
    try:
        shape = np.broadcast_shapes(input._a.shape, mask._a.shape)
    except ValueError:
        raise shapes_error("masked_select", (input, mask), here()) from None
    x = input if input._a.shape == shape else apply(expand, input, shape=shape)
    m = mask if mask._a.shape == shape else apply(expand, mask, shape=shape)
    if not shape:
        x, m = reshaped(x, (1,)), reshaped(m, (1,))
    return apply(ix.index, x, m, spec=(ix.ARRAY,))


@function("masked_scatter", inplace=True)
def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """Write the elements of ``source``, in order, where the mask holds."""
    check_input(input, False, "masked_scatter")
    if mask._a.dtype.kind != "b":
        raise RuntimeError(f"masked_scatter_ only supports boolean masks, but got mask with dtype {mask.dtype}")
    if input._a.dtype != source._a.dtype:
        raise RuntimeError(
            f"masked_scatter: expected self and source to have same dtypes but got {type_name(input._a.dtype)} "
            f"and {type_name(source._a.dtype)}"
        )
    try:
        shape = np.broadcast_shapes(input._a.shape, mask._a.shape)
    except ValueError:
        raise shapes_error("masked_scatter", (input, mask), here()) from None
    m = np.broadcast_to(mask._a, shape)
    if np.count_nonzero(m) > source._a.size:
        raise RuntimeError(
            "Number of elements of source < number of ones in mask: "
            f"masked_scatter of {source._a.size} to {np.count_nonzero(m)} places"
        )
    if not source._a.size:
        return apply(e.clone, input)
    wide = mask if mask._a.shape == shape else apply(expand, mask, shape=shape)
    places = apply(od.masked_places, wide, source)
    values = apply(ix.take_axis, reshaped(source, (source._a.size,)), places, axis=0)
    return apply(e.where, mask, values, input)


# -- where things are --------------------------------------------------------------------------------------------------
@function("nonzero")
def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """Give the indices of the elements that are not zero: one row each, or (``as_tuple``) one Tensor per dimension.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.tensor([0, 5, 6]).nonzero()
    tensor([[1],
            [2]])
    """
    check_input(input, False, "nonzero")
    untraceable("nonzero", input)
    a = input._a
    found = np.nonzero(np.atleast_1d(a) if a.dtype.kind != "V" else np.atleast_1d(a) != 0)
    if as_tuple:
        return tuple(wrap(i) for i in found)
    return wrap(np.stack(found, 1) if a.ndim else np.zeros((len(found[0]), 0), np.int64))


@function("argwhere")
def argwhere(input: Any) -> Any:
    """Give the indices of the elements that are not zero, one row each."""
    return nonzero(input)
