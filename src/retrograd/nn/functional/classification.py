"""Losses of classes and probabilities: cross entropy, negative log likelihood, binary cross entropy, KL divergence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import apply, dtypes, show_type
from ...core.mode import mode
from ...core.warned import warn
from ...ops.assemble import check_index
from ...ops.elementwise import softplus
from ...tensor.composed import composed
from ...tensor.dispatch import labelled, type_name
from ...tensor.functions.reductions import narrowed, widened
from .. import _functions as T
from ._common import reduced, reduction_of

_INT64, _UINT64 = np.dtype(np.int64), np.dtype(np.uint64)


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Cross entropy of a softmax: -sum_c q_c log softmax(x)_c, q the target's distribution.

    Shapes: input (C), (N, C) or (N, C, d1, ...); target without the C (class numbers) or like the input
    (probabilities). ``weight`` holds one number for each class, and the mean is then over the targets' weights;
    targets equal to ``ignore_index`` do not count; ``label_smoothing`` e mixes q with the uniform distribution:
    (1 - e) q + e / C.

    Raises IndexError for a class number out of range, RuntimeError for a target of the wrong dtype or shape,
    ValueError for another batch size.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.cross_entropy(torch.zeros(2, 4), torch.tensor([1, 3]))
    tensor(1.3863)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if weight is None and not label_smoothing and reduction == "mean" and _all_count(input._a, target._a, ignore_index):
        return _mean_class_loss(input, target, 1)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing:g}")
    if not input.is_floating_point():
        raise NotImplementedError(
            f"cross_entropy: logits must be floating-point, not {show_type(input)}; convert them with .float()"
        )
    dim = 0 if input.dim() == 1 else 1
    if target.shape == input.shape:
        return _soft_cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing, dim)
    _check_classes("cross_entropy", input, target, weight, dim)
    chosen, counted = _counted(target, ignore_index, input.shape[dim])
    if counted is None and weight is None and not label_smoothing:
        if reduction == "mean":
            return _mean_class_loss(input, chosen, dim)
        return reduced(_class_losses(input, chosen, dim), reduction)
    shifted = input - T.amax(input.detach(), dim, keepdim=True)
    log_total = T.log(T.exp(shifted).sum(dim, keepdim=True))
    losses = log_total - T.gather(shifted, dim, chosen.unsqueeze(dim))
    shares = _shares(chosen, counted, weight, input).unsqueeze(dim)
    losses = losses * shares
    if label_smoothing:
        along = [1] * input.dim()
        along[dim] = -1
        spread = log_total - shifted if weight is None else (log_total - shifted) * weight.detach().reshape(along)
        spread = spread.sum(dim, keepdim=True)
        if counted is not None:
            spread = spread * counted.unsqueeze(dim).to(input.dtype)
        losses = losses * (1 - label_smoothing) + spread * (label_smoothing / input.shape[dim])
    return _mean_of(losses, shares) if reduction == "mean" else reduced(losses.squeeze(dim), reduction)


def _all_count(x: Any, y: Any, ignore_index: int) -> bool:
    """Tell, of the commonest call, that nothing is wrong with it: rows of floats, and one valid class for each."""
    if x.ndim != 2 or y.shape != x.shape[:1] or x.dtype.kind != "f" or y.dtype != _INT64 or mode().trace is not None:
        return False
    # seen as unsigned, a negative number is beyond every class: one pass checks both ends
    return bool(ignore_index < 0 and y.size and y.view(_UINT64).max() < x.shape[1])


def _unreduced(input: Any, chosen: Any, dim: int) -> Any:
    shifted = input - T.amax(input.detach(), dim, keepdim=True)
    return T.log(T.exp(shifted).sum(dim, keepdim=True)) - T.gather(shifted, dim, chosen.unsqueeze(dim))


@composed("NllLossBackward0", keeps=False)
def _class_losses(input: Any, chosen: Any, dim: int) -> Any:
    return _unreduced(input, chosen, dim).squeeze(dim)


@composed("NllLossBackward0", keeps=False)
def _mean_class_loss(input: Any, chosen: Any, dim: int) -> Any:
    return _unreduced(input, chosen, dim).mean()


def _soft_cross_entropy(
    input: Any, target: Any, weight: Any, ignore_index: int, reduction: str, label_smoothing: float, dim: int
) -> Any:
    """Cross entropy with a target of probabilities."""
    if not target.is_floating_point():
        raise RuntimeError(
            f"Expected floating point type for target with class probabilities, got {target.dtype} "
            "(class numbers have no dimension of classes)"
        )
    if ignore_index >= 0:
        raise RuntimeError("ignore_index is not supported for floating point target")
    classes = input.shape[dim] if input.dim() else 1
    _check_weight("cross_entropy", weight, classes)
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    terms = T.log_softmax(input, dim) * target
    if weight is not None:
        along = [1] * input.dim()
        along[dim] = -1
        terms = terms * weight.detach().reshape(along)
    if reduction == "mean":
        return labelled(-terms.sum() / (input.numel() / classes if classes else 0.0), "DivBackward1", (input, target))
    return reduced(-terms.sum(dim), reduction)


def _check_weight(name: str, weight: Any, classes: int) -> None:
    if weight is not None and (weight.dim() != 1 or weight.numel() != classes):
        raise RuntimeError(
            f"{name}: weight tensor should be defined either for all {classes} classes or no classes "
            f"but got weight tensor of shape: {list(weight.shape)}"
        )


def _check_classes(name: str, input: Any, target: Any, weight: Any, dim: int) -> None:
    """Raise torch's errors for targets that cannot be class numbers of this input."""
    if input.dim() == 0:
        raise ValueError(f"Expected 1 or more dimensions (got {input.dim()})")
    if input.dim() > 1 and (target.dim() == 0 or input.shape[0] != target.shape[0]):
        found = target.shape[0] if target.dim() else 1
        if found != input.shape[0]:
            raise ValueError(
                f"{name}: Expected input batch_size ({input.shape[0]}) to match target batch_size ({found}): "
                f"{show_type(input)} and {show_type(target)}"
            )
    if target.dtype not in (dtypes.int64, dtypes.uint8):
        raise RuntimeError(
            f"{name}: expected target dtype to be Long or Byte, but got {show_type(target)} for {show_type(input)}; "
            "class numbers are int64 (.long())"
        )
    if input.dim() == 2 and target.dim() > 1:
        raise RuntimeError(
            f"0D or 1D target tensor expected, multi-target not supported: {name} of {show_type(input)} with "
            f"{show_type(target)}"
        )
    wanted = (*input.shape[:dim], *input.shape[dim + 1 :])
    if tuple(target.shape) != wanted and not (input.dim() == 1 and tuple(target.shape) == (1,)):
        raise RuntimeError(
            f"{name}: Expected target size {list(wanted)}, got {list(target.shape)} "
            f"(size mismatch, input {list(input.shape)})"
        )
    _check_weight(name, weight, input.shape[dim])
    if weight is not None and weight.dtype != input.dtype:
        kinds = type_name(input._a.dtype), type_name(weight._a.dtype)
        raise RuntimeError(
            f"expected scalar type {kinds[0]} but found {kinds[1]}: {name} of {show_type(input)} with the weight "
            f"{show_type(weight)}; convert the weight by .to({input.dtype})"
        )


def _counted(target: Any, ignore_index: int, classes: int) -> tuple[Any, Any]:
    """Give class numbers to look up, and a mask of those that count (None when all do).

    Raises IndexError for a class that does not exist.
    """
    if target.dtype is not dtypes.int64:
        target = target.long()
    if not 0 <= ignore_index < classes and mode().trace is None:
        # seen as unsigned, a negative number is beyond every class: one pass checks both ends
        numbers = target._a
        if not numbers.size or numbers.view("uint64").max() < classes:
            return target, None
    counted = target != ignore_index
    chosen = target.masked_fill(~counted, 0)
    if getattr(mode().trace, "compiling", False):
        chosen = apply(check_index, chosen, size=classes, low=0)
    elif mode().trace is None:
        wrong = (chosen < 0) | (chosen >= classes)
        if bool(wrong.any()):
            raise IndexError(
                f"Target {int(target[wrong].flatten()[0])} is out of bounds: cross_entropy and nll_loss of {classes} "
                f"classes take class numbers from 0 to {classes - 1} (target {show_type(target)})"
            )
    return chosen, counted


def _shares(chosen: Any, counted: Any, weight: Any, input: Any) -> Any:
    """Give each target's weight: its class's, or 1; 0 where it does not count."""
    shares = T.ones(chosen.shape, dtype=input.dtype) if weight is None else weight.detach()[chosen]
    return shares if counted is None else shares * counted.to(shares.dtype)


def _mean_of(losses: Any, shares: Any) -> Any:
    """Give the mean over the shares; when nothing counts it is NaN, and its gradient 0, as torch has it."""
    total = shares.sum()
    nothing = total == 0
    return losses.sum() / total.masked_fill(nothing, 1) + T.zeros_like(total).masked_fill(nothing, math.nan)


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """Negative log likelihood of classes: -w_y x_y, whose mean is over the sum of the weights w_y.

    Shapes: input (C), (N, C) or (N, C, d1, ...) of log probabilities; target without the C. Errors as for
    `cross_entropy`.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.nll_loss(torch.tensor([[-1.0, -2.0]]), torch.tensor([1]))
    tensor(2.)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    dim = 0 if input.dim() == 1 else 1
    _check_classes("nll_loss", input, target, weight, dim)
    chosen, counted = _counted(target, ignore_index, input.shape[dim])
    losses = -T.gather(input, dim, chosen.unsqueeze(dim))
    if counted is None and weight is None:
        found = losses.mean() if reduction == "mean" else reduced(losses.squeeze(dim), reduction)
        return labelled(found, "NllLossBackward0")
    shares = _shares(chosen, counted, weight, input).unsqueeze(dim)
    losses = losses * shares
    found = _mean_of(losses, shares) if reduction == "mean" else reduced(losses.squeeze(dim), reduction)
    return labelled(found, "NllLossBackward0")


def binary_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """Cross entropy of probabilities: -w (y log p + (1 - y) log(1 - p)), the logarithms held above -100.

    Raises ValueError when the sizes differ, RuntimeError for numbers outside [0, 1] or two dtypes.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.binary_cross_entropy(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0]))
    tensor(0.6931)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(
            f"binary_cross_entropy: Using a target size ({target.size()}) that is different to the input size "
            f"({input.size()}) is deprecated. Please ensure they have the same size."
        )
    if target.dtype != input.dtype:
        raise RuntimeError(
            f"binary_cross_entropy: Found dtype {target.dtype} but expected {input.dtype}; convert the target"
        )
    p = input.detach()
    for name, values in (("input", p), ("target", target.detach())):
        if mode().trace is None and bool(((values < 0) | (values > 1)).any()):
            raise RuntimeError(
                f"binary_cross_entropy: all elements of {name} should be between 0 and 1; for numbers of any size "
                "use binary_cross_entropy_with_logits"
            )
    given, (input, target, weight) = input, [x if x is None else widened(x) for x in (input, target, weight)]
    p = input.detach()
    edge = p * (1 - p) < 1e-12
    if mode().trace is None and not bool(edge.any()):
        losses = -(target * T.log(input) + (1 - target) * T.log(1 - input))
    else:
        losses = _bce_at_edges(input, target, edge)
    loss = narrowed(reduced(losses if weight is None else losses * weight, reduction), given)
    return labelled(loss, "BinaryCrossEntropyBackward0")


def _bce_at_edges(input: Any, target: Any, edge: Any) -> Any:
    """Binary cross entropy where some p are so near 0 or 1 that torch holds slope and value within bounds."""
    p, y = input.detach(), target.detach()
    low, high = T.log(p).clamp(min=-100), T.log(1 - p).clamp(min=-100)
    slope = (p - y) * 1e12
    bounded = -(target * low + (1 - target) * high) + (input - p) * slope
    inside = T.where(edge, 0.5, input)
    return T.where(edge, bounded, -(target * T.log(inside) + (1 - target) * T.log(1 - inside)))


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """Cross entropy of sigmoid(x): w ((1 - y) x + (1 + (v - 1) y) log(1 + exp(-x))), v the ``pos_weight``.

    Raises ValueError when the sizes differ.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.binary_cross_entropy_with_logits(torch.zeros(2), torch.ones(2))
    tensor(0.6931)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(f"Target size ({target.size()}) must be the same as input size ({input.size()})")
    if not target.is_floating_point() and not target.is_complex():
        raise RuntimeError(
            f"binary_cross_entropy_with_logits: result type {input.dtype} can't be cast to the desired output type "
            f"{target.dtype}; convert the target with .float()"
        )
    if not (input.is_floating_point() or input.is_complex()):
        raise NotImplementedError(
            f"\"log_sigmoid_cpu\" not implemented for '{input.dtype}': binary_cross_entropy_with_logits takes scores; "
            "convert them with .float()"
        )
    losses = _logit_losses(input, target) if pos_weight is None else _weighed_logit_losses(input, target, pos_weight)
    return labelled(
        reduced(losses if weight is None else losses * weight, reduction), "BinaryCrossEntropyWithLogitsBackward0"
    )


@composed("BinaryCrossEntropyWithLogitsBackward0")
def _logit_losses(input: Any, target: Any) -> Any:
    return (1 - target) * input + softplus(-input)


@composed("BinaryCrossEntropyWithLogitsBackward0")
def _weighed_logit_losses(input: Any, target: Any, pos_weight: Any) -> Any:
    return (1 - target) * input + ((pos_weight - 1) * target + 1) * softplus(-input)


def kl_div(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Any:
    """Kullback-Leibler divergence y (log y - x) of log probabilities x from probabilities y.

    ``log_target``: the target is log y. ``reduction="batchmean"`` divides the sum by the first size, as the
    definition has it; "mean" divides by all sizes, and warns.

    Examples
    --------
    >>> import retrograd as torch
    >>> y = torch.tensor([[0.5, 0.5]])
    >>> torch.nn.functional.kl_div(y.log(), y, reduction="batchmean")
    tensor(0.)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if reduction == "mean":
        warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release."
        )
    if not input.is_floating_point() or not target.is_floating_point():
        raise RuntimeError("kl_div: Integral inputs not supported.")
    if log_target:
        losses = T.exp(target) * (target - input)
    else:
        present = target != 0
        safe = T.where(present, target, 1.0)
        losses = T.where(present, target * T.log(safe), 0.0) - target * input
    if reduction == "batchmean":
        return losses.sum() / input.shape[0] if input.dim() else losses.sum()
    return reduced(losses, reduction)
