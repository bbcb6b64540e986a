"""Embedding bags: rows of a table looked up by number, and each bag of them reduced to one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import dtypes, wrap
from ...core.mode import mode as current_mode
from ...core.warned import warn
from ...ops.index import add_axis, take_axis
from ...ops.rows import take_rows
from ...tensor.dispatch import shown_as
from ...tensor.functions.linear_algebra import depends_on_values
from .. import _functions as T
from .linear import _renormalise

MODES = ("sum", "mean", "max")


@shown_as("EmbeddingBagBackward0")
def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """Look rows up by number and reduce each bag of them: y_b = sum (mean, max) over i in bag b of W[x_i].

    Shapes: input (B, n), B bags of n, or (M) with ``offsets`` (B), where each bag begins (``include_last_offset``: and
    where the last ends); weight (rows, width); the result (B, width). An empty bag gives zeros. ``per_sample_weights``,
    like the input, multiply the rows of a "sum"; rows ``padding_idx`` do not count; ``max_norm`` and
    ``scale_grad_by_freq`` are as in `embedding`.

    Raises ValueError for shapes and modes that do not fit, RuntimeError for dtypes and for numbers outside the table.

    Examples
    --------
    >>> import retrograd as torch
    >>> table = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> torch.nn.functional.embedding_bag(torch.tensor([0, 1, 1]), table, torch.tensor([0, 2]))
    tensor([[2., 3.],
            [3., 4.]])
    """
    if weight.dtype is dtypes.int64 and input.is_floating_point():
        warn(
            "Argument order of nn.functional.embedding_bag was changed. "
            "Usage `embedding_bag(weight, input, ...)` is deprecated, "
            "and should now be `embedding_bag(input, weight, ...)`."
        )
        weight, input = input, weight
    if per_sample_weights is not None and input.shape != per_sample_weights.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({list(per_sample_weights.shape)}) is not None, then it must have the "
            f"same shape as the input ({list(input.shape)})"
        )
    if weight.dim() != 2:
        raise ValueError(f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.dim()}")
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length "
                f"sequences. However, found offsets of type {type(offsets).__name__}"
            )
        offsets = wrap(np.arange(input.shape[0]).astype(input._a.dtype) * input.shape[1])
        include_last_offset = False
        input = input.reshape(-1)
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights.reshape(-1)
    elif input.dim() != 1:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}")
    elif offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    elif offsets.dim() != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    if mode not in MODES:
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and (scale_grad_by_freq or sparse):
        what = "scaling the gradient by the frequency" if scale_grad_by_freq else "sparse weights"
        raise ValueError(f"max mode does not support {what}")
    if max_norm is not None:
        _renormalise(input, weight, max_norm, norm_type)
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' "
            f"(got mode='{mode}')."
        )
    return bags(
        weight,
        input,
        offsets,
        scale_grad_by_freq,
        MODES.index(mode),
        per_sample_weights,
        include_last_offset,
        padding_idx,
        sparse,
    )[0]


def bags(
    weight: Any,
    indices: Any,
    offsets: Any,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
    sparse: bool = False,
) -> tuple[Any, Any, Any, Any]:
    """Give the bags' rows, each number's bag, the bags' sizes, and which numbers gave the maxima (library use)."""
    numbers, begins = _checked(weight, indices, offsets, per_sample_weights, include_last_offset)
    rows = weight.shape[0]
    if padding_idx is not None:
        if not -rows <= padding_idx < rows:
            raise RuntimeError("padding_idx must be within the number of embeddings")
        padding_idx %= rows
    ends = begins[1:] if include_last_offset else np.append(begins[1:], len(numbers))
    begins = begins[:-1] if include_last_offset else begins
    count = len(begins)
    bag = np.repeat(np.arange(count), ends - begins)
    used = np.arange(len(bag)) + (begins[0] if count else 0)
    if padding_idx is not None:
        kept = numbers[used] != padding_idx
        bag, used = bag[kept], used[kept]
    lengths = np.bincount(bag, minlength=count)
    chosen = numbers[used]
    if sparse and weight.requires_grad and current_mode().trace is None:
        taken = take_rows(weight, index=chosen, skip=None)
    else:
        taken = take_axis(weight, wrap(chosen), axis=0)
    if scale_grad_by_freq and taken.requires_grad:
        share = (1.0 / np.bincount(chosen, minlength=rows)[chosen])[:, None].astype(weight._a.dtype)
        taken.register_hook(lambda g: g * wrap(share))
    where_max = np.zeros(0, np.int64)
    if mode == 2:
        result, where_max = _largest(taken, chosen, bag, lengths)
    else:
        if per_sample_weights is not None:
            taken = taken * take_axis(per_sample_weights, wrap(used), axis=0).unsqueeze(1)
        result = add_axis(taken, wrap(bag), axis=0, shape=(count, weight.shape[1]))
        if mode == 1:
            result = result / wrap(np.maximum(lengths, 1)[:, None].astype(weight._a.dtype))
    kind = indices._a.dtype
    return result, wrap(bag.astype(kind)), wrap(lengths.astype(kind)), wrap(where_max.astype(kind))


def _checked(weight: Any, indices: Any, offsets: Any, per_sample_weights: Any, last: bool) -> tuple[Any, Any]:
    for name, given in (("indices", indices), ("offsets", offsets)):
        if given.dtype not in (dtypes.int64, dtypes.int32):
            raise RuntimeError(
                f"Expected tensor for argument '{name}' to have one of the following scalar types: Long, Int; but got "
                f"{given.dtype} instead (while checking arguments for embedding_bag: use .long())"
            )
    if per_sample_weights is not None and per_sample_weights.dtype != weight.dtype:
        raise RuntimeError(
            f"expected scalar type {weight.dtype} of per_sample_weights, as of weight, but found "
            f"{per_sample_weights.dtype}"
        )
    depends_on_values("embedding_bag", indices, offsets)
    numbers, begins = indices._a.astype(np.int64), offsets._a.astype(np.int64)
    if last and not len(begins):
        raise RuntimeError("include_last_offset: number of offsets should be at least 1")
    if len(begins) and begins[0] != 0:
        raise RuntimeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0."
        )
    if len(begins) and begins[-1] > len(numbers):
        raise RuntimeError(f"offsets[-1] can not be greater than input's length({len(numbers)})")
    if (np.diff(begins) < 0).any():
        raise RuntimeError("offsets must not decrease: each bag begins where the one before ends")
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < weight.shape[0]:
        raise RuntimeError(
            f"embedding_bag: Expected idx >= 0 && idx < num_embeddings but found idx to be "
            f"{int(numbers.min() if numbers.min() < 0 else numbers.max())}"
        )
    return numbers, begins


def _largest(taken: Any, chosen: Any, bag: Any, lengths: Any) -> tuple[Any, Any]:
    """Give each bag's largest elements, the first of equals, and the rows of the table they came from."""
    depends_on_values("embedding_bag with mode='max'", taken)
    a = taken._a
    filled = lengths > 0
    places = np.zeros((len(lengths), a.shape[1]), np.int64)
    if len(bag):
        begins = (np.cumsum(lengths) - lengths)[filled]
        largest = np.maximum.reduceat(a, begins, axis=0)
        order = np.cumsum(filled) - 1
        top = (a == largest[order[bag]]) | (a != a)
        numbers = np.where(top, np.arange(len(bag))[:, None], len(bag))
        places[filled] = np.minimum(np.minimum.reduceat(numbers, begins, axis=0), len(bag) - 1)
        result = T.gather(taken, 0, wrap(places))
        rows = np.where(filled[:, None], chosen[places], -1)
    else:
        result, rows = add_axis(taken, wrap(bag), axis=0, shape=places.shape), np.full(places.shape, -1)
    if not filled.all():
        result = T.where(wrap(filled[:, None]), result, 0.0)
    return result, rows
