"""Connectionist temporal classification: the loss of a labelling whose place in the sequence is not known."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import BaseTensor, show_type, wrap
from ...tensor.dispatch import labelled
from ...tensor.functions.linear_algebra import depends_on_values
from .. import _functions as T

_NEVER = -1e30  # the logarithm that stands for probability 0: finite, so that no difference of two of them is NaN


def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """Negative log probability of a labelling, summed over every way to stretch it with repeats and blanks.

    .. math:: -\\log \\sum_{\\pi} \\prod_t p_t(\\pi_t)

    over the paths that become the labelling when repeats are merged and then blanks dropped. Shapes: log_probs (T, N, C),
    or (T, C) for one sequence, the logarithms of distributions over C labels; targets (N, S), or all of them one after
    the other (sum of target_lengths); both lengths (N). "mean" divides each loss by the target's length first.
    ``zero_infinity`` makes losses of labellings that do not fit, and their gradients, zero. As in torch, the gradient is
    that of log probabilities which came out of a log_softmax.

    Raises RuntimeError for lengths, labels or shapes that do not fit, NotImplementedError for half precision.

    Source: Graves et al. 2006, https://www.cs.toronto.edu/~graves/icml_2006.pdf.

    Examples
    --------
    >>> import retrograd as torch
    >>> log_probs = torch.full((2, 1, 2), 0.5).log()
    >>> torch.nn.functional.ctc_loss(log_probs, torch.tensor([[1]]), (2,), (1,))
    tensor(0.2877)
    """
    batched = log_probs.dim() == 3
    if not batched:
        if log_probs.dim() != 2:
            raise RuntimeError(f"ctc_loss expects log_probs of 2 or 3 dimensions, not {show_type(log_probs)}")
        log_probs = log_probs.unsqueeze(1)
    if log_probs._a.dtype.kind != "f" or log_probs._a.dtype.itemsize < 4:
        raise NotImplementedError(f'"ctc_loss_cpu" not implemented for {log_probs.dtype}: use float32 or float64')
    if isinstance(input_lengths, BaseTensor) != isinstance(target_lengths, BaseTensor):
        raise TypeError("ctc_loss(): input_lengths and target_lengths must both be Tensors, or both tuples of ints")
    if not log_probs.numel():
        raise RuntimeError("log_probs tensor must not be empty")
    given = (log_probs, targets, input_lengths, target_lengths)
    depends_on_values("ctc_loss", *[v for v in given if isinstance(v, BaseTensor)])
    steps = _lengths(input_lengths, "input_lengths", log_probs)
    sizes = _lengths(target_lengths, "target_lengths", log_probs)
    _check(log_probs, targets, steps, sizes, blank)
    loss = _negative_log_likelihood(log_probs, _extended(targets, sizes, blank), steps, sizes)
    if log_probs.requires_grad:
        loss = _with_gradient_of_logits(loss, log_probs, steps, zero_infinity)
    elif zero_infinity:
        loss = T.where(wrap(np.isinf(loss._a)), 0.0, loss)
    if reduction == "mean":
        loss = (loss / wrap(np.maximum(sizes, 1).astype(loss._a.dtype))).mean()
    elif reduction == "sum":
        loss = loss.sum()
    elif reduction != "none":
        raise ValueError(f"{reduction} is not a valid value for reduction")
    elif not batched:
        loss = loss.squeeze(0)
    return labelled(loss, "CtcLossBackward0")


def _lengths(given: Any, name: str, log_probs: Any) -> Any:
    """Give lengths as an int64 array, one for each sequence."""
    a = given._a if isinstance(given, BaseTensor) else np.asarray(given)
    if a.size and a.dtype.kind not in "iu":
        raise RuntimeError(f"{name} must be integral")
    a = a.reshape(-1).astype(np.int64)
    if len(a) != log_probs.shape[1]:
        raise RuntimeError(
            f"{name} must be of size batch_size, but there are {len(a)} of them for log_probs {list(log_probs.shape)}"
        )
    if (a < 0).any():
        raise RuntimeError(f"{name} must be non-negative, but got {a.tolist()}")
    return a


def _check(log_probs: Any, targets: Any, steps: Any, sizes: Any, blank: int) -> None:
    time, batch, labels = log_probs.shape
    if targets._a.dtype not in (np.int64, np.int32):
        raise RuntimeError(f"ctc_loss: targets must be of int64 or int32, not {targets.dtype}; use .long()")
    if not 0 <= blank < labels:
        raise RuntimeError(f"blank must be in label range, but got blank={blank} for {labels} labels")
    if batch and steps.max() > time:
        raise RuntimeError(f"Expected input_lengths to have value at most {time}, but got value {int(steps.max())}")
    if targets.dim() == 1:
        if targets.shape[0] != sizes.sum():
            raise RuntimeError(
                f"Expected targets of size {int(sizes.sum())}, the sum of target_lengths, but got {targets.shape[0]}"
            )
    elif targets.dim() != 2 or targets.shape[0] != batch:
        raise RuntimeError(f"Expected targets (batch {batch}, S), or one after the other, not {show_type(targets)}")
    elif batch and sizes.max() > targets.shape[1]:
        raise RuntimeError(
            f"Expected target_lengths to have value at most {targets.shape[1]}, but got value {int(sizes.max())}"
        )


def _extended(targets: Any, sizes: Any, blank: int) -> Any:
    """Give each target with blanks between, before and behind its labels, (N, 2 S + 1), filled up with blanks."""
    a, longest = targets._a, int(sizes.max(initial=0))
    there = np.arange(longest) < sizes[:, None]
    table = np.full((len(sizes), longest), blank, np.int64)
    table[there] = a if a.ndim == 1 else a[:, :longest][there]
    found = np.full((len(sizes), 2 * longest + 1), blank, np.int64)
    found[:, 1::2] = table
    return found


def _negative_log_likelihood(log_probs: Any, path: Any, steps: Any, sizes: Any) -> Any:
    """Walk the forward variables along time: alpha_t(s) is the log probability of having reached place s of the path."""
    kind = log_probs._a.dtype
    time, batch, labels = log_probs.shape
    width = path.shape[1]
    if ((path < 0) | (path >= labels)).any():
        raise RuntimeError(f"ctc_loss: a target is outside of the {labels} labels 0 to {labels - 1}")
    logs = T.clamp(log_probs, min=_NEVER)
    seen = T.gather(logs, 2, wrap(np.broadcast_to(path, (time, batch, width))))
    skips = np.zeros((batch, width), np.bool_)  # from label to label, over a blank, unless the labels are equal
    skips[:, 2:] = (path[:, 2:] != path[:, :-2]) & (np.arange(2, width) % 2 == 1)
    barrier = wrap(np.where(skips, 0.0, _NEVER).astype(kind))
    margin = wrap(np.full((batch, 2), _NEVER, kind))
    start = np.where(np.arange(width) < np.where(sizes > 0, 2, 1)[:, None], 0.0, _NEVER).astype(kind)
    alpha = wrap(start) + seen[0] if time else wrap(start)
    active = np.arange(time)[:, None, None] < steps[None, :, None]
    for t in range(1, int(steps.max(initial=0))):
        before = T.cat([margin, alpha], 1)
        reached = T.logsumexp(T.stack([alpha, before[:, 1:-1], before[:, :-2] + barrier]), 0) + seen[t]
        alpha = reached if active[t].all() else T.where(wrap(active[t]), reached, alpha)
    last = np.stack([2 * sizes, np.maximum(2 * sizes - 1, 0)], 1)
    ends = T.gather(alpha, 1, wrap(last)) + wrap(
        np.where(np.arange(2) < np.where(sizes > 0, 2, 1)[:, None], 0.0, _NEVER).astype(kind)
    )
    loss = -T.logsumexp(ends, 1)
    unreachable = loss._a > -_NEVER / 2
    if unreachable.any():
        loss = T.where(wrap(unreachable), float("inf"), loss)
    if (steps == 0).any():
        loss = T.where(wrap(steps == 0), wrap(np.where(sizes > 0, np.inf, 0.0).astype(kind)), loss)
    return loss


def _with_gradient_of_logits(loss: Any, log_probs: Any, steps: Any, zero_infinity: bool) -> Any:
    """Add zero, with the probabilities as its gradient; give a loss that is infinite the gradient NaN, or none.

    They are what a log_softmax before would take away again: with them the gradient of the log probabilities is already
    that of the logits, and it is what torch gives.
    """
    active = np.arange(log_probs.shape[0])[:, None, None] < steps[None, :, None]
    total = T.where(wrap(active), log_probs.exp(), 0.0).sum((0, 2))
    infinite = np.isinf(loss._a)
    result = loss + (total - total.detach())
    if not infinite.any():
        return result
    if zero_infinity:
        return T.where(wrap(infinite), 0.0, result)
    return T.where(wrap(infinite), -T.log(T.where(wrap(infinite), total * 0.0, 1.0)), result)
