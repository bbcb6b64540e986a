"""Layers joined: linear cross entropy, products of groups of matrices, convolution of sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...core import dtypes
from ...core.warned import warn
from ...tensor.functions.linear_algebra import depends_on_values
from .. import _functions as T
from .classification import cross_entropy
from .convolution import conv1d
from .linear import linear

_POLICIES = ("auto", "accurate", "balanced", "compact")
_ACCUMULATORS = (None, dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64)


@dataclass(slots=True, frozen=True)
class LinearCrossEntropyOptions:
    """How torch's chunked linear cross entropy is to spend memory; checked, and without effect on the numbers here.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.LinearCrossEntropyOptions(batch_chunk_size=4).batch_chunk_size
    4
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: Literal["accurate", "balanced", "compact", "auto"] = "auto"
    acc_dtype: Any = None

    def __post_init__(self) -> None:
        if self.acc_policy not in _POLICIES:
            raise ValueError(f"invalid acc_policy: {self.acc_policy!r}; one of {', '.join(_POLICIES)} is expected")
        if self.chunking_method not in (None, "auto"):
            name, _, factor = str(self.chunking_method).partition(":")
            bad = ":" in str(self.chunking_method) and not (factor.isdigit() and int(factor) > 0)
            if name != "aspect_ratio" or bad:
                raise ValueError(f"invalid chunking_method: {self.chunking_method!r}")
        size = self.batch_chunk_size
        if size is not None and not (isinstance(size, int) and size > 0):
            raise ValueError(f"batch_chunk_size must be positive int or None, got {size!r}")
        if self.acc_dtype not in _ACCUMULATORS:
            raise ValueError(f"acc_dtype must be None or a floating-point dtype, got {self.acc_dtype!r}")


def linear_cross_entropy(
    input: Any,
    linear_weight: Any,
    target: Any,
    *,
    linear_bias: Any = None,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: LinearCrossEntropyOptions | None = None,
) -> Any:
    """Cross entropy of an affine map: cross_entropy(x W^T + b, target).

    Shapes: input (N, in) or (in), linear_weight (C, in) or (C, d1, ..., in), target as in `cross_entropy` for scores
    (N, C, d1, ...). ``options`` say how torch saves memory and change no number. RuntimeError for shapes that do not fit,
    or an ``ignore_index`` beside probabilities.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.linear_cross_entropy(torch.ones(2, 3), torch.zeros(4, 3), torch.tensor([1, 3]))
    tensor(1.3863)
    """
    if input.dim() not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.dim()}")
    if linear_weight.dim() < 2:
        raise RuntimeError(f"expected linear_weight with dimensionality at least 2, got {linear_weight.dim()}")
    features, classes, more = input.shape[-1], linear_weight.shape[0], tuple(linear_weight.shape[1:-1])
    if features != linear_weight.shape[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), "
            f"got {features} and {linear_weight.shape[-1]}, respectively"
        )
    if linear_bias is not None and tuple(linear_bias.shape) != (classes, *more):
        raise RuntimeError(f"expected linear_bias shape {(classes, *more)}, got {tuple(linear_bias.shape)}")
    if more and input.dim() == 1:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} requires batched input, "
            f"(N, {features}), got unbatched input with shape {tuple(input.shape)}"
        )
    shape = (*input.shape[:-1], classes, *more)
    if tuple(target.shape) == shape and ignore_index is not None:
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    if options is not None and (
        more or reduction not in ("mean", "sum", "none") or label_smoothing or target.dtype is not dtypes.int64
    ):
        warn(
            "linear_cross_entropy: ``options`` ignored; chunked path needs reduction in {'mean','sum','none'}, "
            f"label_smoothing == 0, target.dtype == int64, out_features == (). Got reduction={reduction!r}, "
            f"label_smoothing={label_smoothing}, target.dtype={target.dtype}, out_features={more}."
        )
    scores = linear(
        input, linear_weight.reshape(-1, features), None if linear_bias is None else linear_bias.reshape(-1)
    ).reshape(shape)
    return cross_entropy(
        scores,
        target,
        weight=weight,
        reduction=reduction,
        ignore_index=-100 if ignore_index is None else ignore_index,
        label_smoothing=label_smoothing,
    )


def grouped_mm(mat_a: Any, mat_b: Any, *, offs: Any = None, bias: Any = None, out_dtype: Any = None) -> Any:
    """Matrix products of groups: each group of rows (or columns) of one matrix with its own matrix.

    Shapes, with G groups that end at ``offs`` (G): (M, K) x (G, K, N) -> (M, N), rows grouped; (G, M, K) x (K, N) ->
    (M, N), columns grouped; (M, K) x (K, N) -> (G, M, N), the inner dimension grouped; (G, M, K) x (G, K, N) ->
    (G, M, N) without ``offs``. Rows beyond the last end are zero. RuntimeError for shapes or dtypes that do not fit.

    Examples
    --------
    >>> import retrograd as torch
    >>> a, b = torch.ones(4, 4), torch.ones(2, 4, 4)
    >>> torch.nn.functional.grouped_mm(a, b, offs=torch.tensor([2, 4], dtype=torch.int32)).sum()
    tensor(64.)
    """
    _check_groups(mat_a, mat_b, offs, bias)
    if mat_a.dim() == 3 and mat_b.dim() == 3:
        result = mat_a @ mat_b
    else:
        depends_on_values("grouped_mm", offs)
        ends = offs._a.astype(np.int64)
        sizes = np.diff(ends, prepend=0).tolist()
        used = int(ends[-1]) if len(ends) else 0
        if mat_a.dim() == 2 and mat_b.dim() == 2:
            parts = zip(mat_a[:, :used].split(sizes, 1), mat_b[:used].split(sizes, 0), strict=True)
            result = T.stack([a @ b for a, b in parts])
        elif mat_a.dim() == 2:
            rows = [a @ b for a, b in zip(mat_a[:used].split(sizes, 0), mat_b.unbind(0), strict=True)]
            result = T.cat([*rows, mat_a.new_zeros(mat_a.shape[0] - used, mat_b.shape[2])], 0)
        else:
            columns = [a @ b for a, b in zip(mat_a.unbind(0), mat_b[:, :used].split(sizes, 1), strict=True)]
            result = T.cat([*columns, mat_a.new_zeros(mat_a.shape[1], mat_b.shape[1] - used)], 1)
    return result if out_dtype is None else result.to(out_dtype)


def _check_groups(a: Any, b: Any, offs: Any, bias: Any) -> None:
    shapes = f"{list(a.shape)} and {list(b.shape)}"
    if a.dtype != b.dtype or not a.is_floating_point():
        raise RuntimeError(f"grouped_mm expects two matrices of one floating-point dtype, not {a.dtype} and {b.dtype}")
    if a.dim() not in (2, 3) or b.dim() not in (2, 3):
        raise RuntimeError(f"grouped_mm expects matrices of 2 or 3 dimensions, but got {shapes}")
    if a.shape[-1] != b.shape[-2]:
        raise RuntimeError(f"contraction dimension of mat_a and mat_b must match, but they are {shapes}")
    if a.dim() == 3 and b.dim() == 3:
        if offs is not None:
            raise RuntimeError("grouped_mm has no offsets where both matrices have 3 dimensions")
        if a.shape[0] != b.shape[0]:
            raise RuntimeError(f"batched dimension has to match, but the matrices are {shapes}")
    elif offs is None:
        raise RuntimeError("grouped_mm needs the groups' ends, offs, where a matrix has 2 dimensions")
    elif offs.dim() != 1 or offs.dtype is not dtypes.int32:
        raise RuntimeError(f"offs has to be 1D and of int32, not {offs.dtype} of {offs.dim()} dimensions")
    else:
        groups = a.shape[0] if a.dim() == 3 else b.shape[0] if b.dim() == 3 else len(offs)
        if groups != offs.shape[0]:
            raise RuntimeError(f"there are {groups} matrices, but offs names the ends of {offs.shape[0]} groups")
    if bias is not None:
        raise RuntimeError("bias is not supported yet by grouped_mm: add it to the result")


def conv_tbc(input: Any, weight: Any, bias: Any, pad: int = 0) -> Any:
    """Convolution along time of (T, B, C): y_t = sum_k x_(t + k - pad) W_k + b.

    Shapes: input (T, B, in), weight (K, in, out), bias (out) -> (T + 2 pad - K + 1, B, out). RuntimeError otherwise.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.conv_tbc(torch.ones(3, 1, 2), torch.ones(2, 2, 1), torch.zeros(1)).flatten()
    tensor([4., 4.])
    """
    if input.dim() != 3 or weight.dim() != 3 or bias.dim() != 1:
        raise RuntimeError("conv_tbc: Input must have 3 dims: time, batch, in_channel; weight 3, and bias 1")
    if input.shape[2] != weight.shape[1]:
        raise RuntimeError(
            "Input dim 2 (input channels) is not == dim 1 in the weight tensor: "
            f"{list(input.shape)} and {list(weight.shape)}"
        )
    if weight.shape[2] != bias.shape[0]:
        raise RuntimeError("Bias size must equal dim 2 in the weight tensor (output channels).")
    moved = conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=int(pad))
    return moved.permute(2, 0, 1).contiguous()
