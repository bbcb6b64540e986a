"""Linear and bilinear maps, embeddings and one-hot vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import apply, dtypes, show_type, wrap
from ...core.mode import mode, no_grad
from ...core.rows import SparseOperand
from ...ops.assemble import check_index
from ...ops.contract import linear_layer
from ...ops.index import take_axis
from ...ops.rows import take_rows
from ...tensor.dispatch import labelled, with_sparse
from .. import _functions as T


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """Affine map of the last dimension: y = x W^T + b.

    Shapes: input (..., in), weight (out, in) or (in), bias (out) or (); the result (..., out) or (...).
    RuntimeError for sizes that do not fit or two dtypes.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.linear(torch.ones(2), torch.tensor([[1.0, 2.0]]), torch.ones(1))
    tensor([4.])
    """
    try:
        x, w = input._a, weight._a
    except SparseOperand:
        return with_sparse("linear", (input, weight, bias), {})
    if w.ndim == 2 and x.ndim > 1 and x.dtype is w.dtype and x.shape[-1] == w.shape[1]:
        if bias is None:
            return apply(linear_layer, input, weight)
        b = bias._a
        if b.ndim == 1 and b.dtype is w.dtype and b.size == w.shape[0]:
            return apply(linear_layer, input, weight, bias)
    return _other_linear(input, weight, bias)


def _other_linear(input: Any, weight: Any, bias: Any) -> Any:
    """Handle a vector, a weight vector, and a bias that broadcasts; raise the error for what does not fit."""
    if input.dim() == 1 and weight.dim() == 2 and input.shape[0] == weight.shape[1]:
        return linear(input.unsqueeze(0), weight, bias).squeeze(0)
    if input.dim() == 0 or weight.dim() == 0:
        raise RuntimeError(
            f"both arguments to linear need to be at least 1D, but they are {input.dim()}D and {weight.dim()}D"
        )
    if input.dtype != weight.dtype:
        raise RuntimeError(
            f"linear: expected input and weight to have the same dtype, but got: {input.dtype} != {weight.dtype}; "
            "convert one with .to(dtype)"
        )
    if input.shape[-1] != weight.shape[-1] or weight.dim() > 2:
        rows = input.numel() // input.shape[-1] if input.shape[-1] else 0
        shape = "x".join(map(str, reversed(weight.shape)))
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{input.shape[-1]} and {shape}): linear of an input "
            f"{list(input.shape)} with a weight {list(weight.shape)} wants "
            f"{weight.shape[-1]} features in the input's last dimension"
        )
    result = (input * weight).sum(-1) if weight.dim() == 1 else linear_layer(input, weight)
    if bias is None:
        return result
    if bias.dtype != weight.dtype:
        raise RuntimeError(
            f"linear: expected bias and weight to have the same dtype, but got: {bias.dtype} != {weight.dtype}"
        )
    width = result.dim()
    if bias.dim() > width or any(
        b not in (1, n) for b, n in zip(reversed(bias.shape), reversed(result.shape), strict=False)
    ):
        raise RuntimeError(
            f"The expanded size of the tensor {list(result.shape)} must match the existing size {list(bias.shape)}: "
            f"linear wants a bias of {weight.shape[0] if weight.dim() == 2 else 1} elements"
        )
    return result + bias


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """Bilinear map: y_k = x1^T W_k x2 + b_k.

    Shapes: (..., in1), (..., in2), weight (out, in1, in2), bias (out); the result (..., out). RuntimeError otherwise.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.bilinear(torch.ones(1, 2), torch.ones(1, 3), torch.ones(4, 2, 3))
    tensor([[6., 6., 6., 6.]])
    """
    if input1.dim() != input2.dim():
        raise RuntimeError(f"bilinear(): input dimensions do not match: got {input1.dim()} and {input2.dim()}")
    for dim, (a, b) in enumerate(zip(input1.shape[:-1], input2.shape[:-1], strict=True)):
        if a != b:
            raise RuntimeError(f"bilinear(): input batch dimensions do not match at dim {dim}: got {a} and {b}")
    for number, (given, wanted) in enumerate(zip((input1, input2), weight.shape[1:], strict=True), 1):
        if given.shape[-1] != wanted:
            raise RuntimeError(
                f"bilinear(): input{number} size does not match weight size: "
                f"got {given.shape[-1]} but expected {wanted}: {show_type(input1)}, {show_type(input2)} "
                f"and a weight of {show_type(weight)}"
            )
    if bias is not None and bias.shape[0] != weight.shape[0]:
        raise RuntimeError(
            f"bilinear(): bias size does not match weight size: got {bias.shape[0]} but expected {weight.shape[0]}"
        )
    out, in1, in2 = weight.shape
    mixed = linear_layer(input1.reshape(-1, in1), weight.permute(0, 2, 1).reshape(out * in2, in1))
    result = (mixed.reshape(-1, out, in2) * input2.reshape(-1, 1, in2)).sum(-1, dtype=weight.dtype)
    result = result.reshape(*input1.shape[:-1], out)
    return result if bias is None else result + bias


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """Look rows up by number: y_i = W[x_i].

    Shapes: input any, of int64 or int32; weight (rows, width); the result (*input, width). The row ``padding_idx`` gets
    no gradient; with ``max_norm`` the rows looked up are first scaled down, in place, to that norm;
    ``scale_grad_by_freq`` divides a row's gradient by how often it was looked up; with ``sparse`` a leaf weight's
    gradient is a sparse tensor of the rows looked up.

    Raises IndexError for a row that does not exist, RuntimeError for another dtype or a weight that is not 2-D.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.embedding(torch.tensor([1, 1]), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [3., 4.]])
    """
    if input.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; "
            f"but got {input.type()} instead (while checking arguments for embedding of {show_type(input)}: use .long())"
        )
    if weight.dim() != 2:
        raise RuntimeError(f"'weight' must be 2-D, but embedding was given a weight of {list(weight.shape)}")
    rows = weight.shape[0]
    if padding_idx is not None:
        if not -rows <= padding_idx < rows:
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx %= rows
    if getattr(mode().trace, "compiling", False):
        input = apply(check_index, input, size=rows, low=0)
    elif mode().trace is None:
        numbers = input._a
        if numbers.size and numbers.view(f"u{numbers.itemsize}").max() >= rows:
            wrong = numbers[(numbers < 0) | (numbers >= rows)].flat[0]
            raise IndexError(f"index out of range in self: embedding of row {wrong} in a weight of {rows} rows")
    if max_norm is not None:
        _renormalise(input, weight, max_norm, norm_type)
    if sparse and weight.requires_grad and mode().trace is None:
        if scale_grad_by_freq:
            raise RuntimeError("embedding_backward: scale_grad_by_freq not supported with sparse gradients")
        return take_rows(weight, index=input._a, skip=padding_idx)
    result = labelled(take_axis(weight, input, axis=0), "EmbeddingBackward0")
    if not weight.requires_grad:
        return result
    if padding_idx is not None:
        result = T.where((input == padding_idx).unsqueeze(-1), result.detach(), result)
    if scale_grad_by_freq and result.requires_grad:
        share = wrap((1.0 / np.bincount(input._a.ravel(), minlength=rows)[input._a])[..., None].astype(weight._a.dtype))
        result.register_hook(lambda g: g * share)
    return result


def _renormalise(input: Any, weight: Any, max_norm: float, norm_type: float) -> None:
    """Scale the rows looked up down to a norm of at most ``max_norm``, in place."""
    with no_grad():
        used = input.detach().unique()
        rows = weight.detach()[used]
        norms = T.norm(rows, norm_type, 1, keepdim=True)
        weight[used] = T.where(norms > max_norm, rows * (max_norm / (norms + 1e-7)), rows)


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """Give int64 vectors with a 1 in the place each number names; the largest number decides the length by default.

    Raises RuntimeError for another dtype than int64, a negative number or one beyond ``num_classes``.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.one_hot(torch.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    if tensor.dtype is not dtypes.int64:
        raise RuntimeError(f"one_hot is only applicable to index tensor of type LongTensor, not {tensor.dtype}.")
    if tensor.numel() == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        return T.empty(*tensor.shape, num_classes, dtype=dtypes.int64)
    if num_classes > 0 and (mode().trace is not None or tensor.is_meta):
        return (tensor.unsqueeze(-1) == T.arange(num_classes)).long()
    if int(tensor.min()) < 0:
        raise RuntimeError(f"Class values must be non-negative: one_hot of {int(tensor.min())}")
    highest = int(tensor.max())
    if num_classes == -1:
        num_classes = highest + 1
    elif highest >= num_classes:
        raise RuntimeError(
            f"Class values must be smaller than num_classes: one_hot of {highest} with {num_classes} classes"
        )
    return (tensor.unsqueeze(-1) == T.arange(num_classes)).long()
