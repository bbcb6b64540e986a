"""Findings about what a loss is given: probabilities where it takes logits, anything but log-probabilities where it takes those, classes that are none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import BaseTensor
from .finding import Finding
from .look import Call, Look, LossRefuses

ONE = 1e-3  # how near to one a row of probabilities sums
RANGES = {"sigmoid": (0, 1), "tanh": (-1, 1)}  # what squashing functions give
MOVES = ("view", "reshape", "transpose", "permute", "movedim", "squeeze", "unsqueeze", "clone", "contiguous", "cast")
PICKED = {"neg", "mean", "sum", "mul", "div", "view", "cast", "where", "ne", "eq", "expand", "index", "gather"}


def given(found: Look) -> list[Finding]:
    """Find a loss that is given something else than it takes."""
    calls = found.calls[found.in_loss :]
    out = _first_tensor(found.output)
    if out is None or out._a.dtype.kind != "f" or out._a.ndim < 1:
        return []
    for call in calls:
        if not any(_is(x, out) for x in call.inputs):
            continue
        name = call.op.name
        if name == "amax":
            return _softmax_twice(call) or _narrowed(found, out, call)
        if name == "softplus" or (name == "neg" and _next_is(calls, call, "softplus")):
            return _sigmoid_twice(found, out, call) or _rectified(found, out, call)
        if name == "gather":
            return _not_logarithms(calls, call)
    return []


def _first_tensor(out: Any) -> Any:
    if isinstance(out, (list, tuple)) and out:
        out = out[0]
    return out if isinstance(out, BaseTensor) else None


def _is(x: Any, out: Any) -> bool:
    """Tell whether an operand is a tensor, or a whole view of it."""
    return isinstance(x, BaseTensor) and (x is out or (x._s is out._s and x._a.size == out._a.size))


def _next_is(calls: list[Call], call: Call, name: str) -> bool:
    return any(c.op.name == name and any(x is call.out for x in c.inputs) for c in calls)


def _axis(call: Call) -> int | None:
    axis = call.attrs.get("axis")
    axis = axis[0] if isinstance(axis, tuple) and len(axis) == 1 else axis
    return axis if isinstance(axis, int) else None


def _are_probabilities(a: Any, axis: int) -> bool:
    return bool(a.shape[axis] > 1 and a.min() >= 0 and np.abs(a.sum(axis=axis) - 1).max() < ONE)


def _softmax_twice(call: Call) -> list[Finding]:
    a, axis = np.asarray(call.inputs[0]._a, dtype=np.float64), _axis(call)
    if axis is None or not a.size or not np.isfinite(a).all() or not _are_probabilities(a, axis):
        return []
    classes = a.shape[axis]
    least = math.log(1 + (classes - 1) / math.e)
    return [
        Finding(
            "loss",
            "error",
            "a softmax stands before a loss that has its own",
            "The loss takes logits and makes probabilities of them; it is given probabilities, which lie between 0 and 1, so it can tell right "
            f"from wrong by little: it never gets below {least:.3g}, and its gradients are small.",
            f"every row of the output is between {a.min():.3g} and {a.max():.3g} and sums to 1",
            "leave the softmax out of the model, and use it where probabilities are read; or take log_softmax in the model and nll_loss",
            place=call.line,
        )
    ]


def _made_by(found: Look, out: Any) -> Call | None:
    """Give the operation that made the numbers of the output, behind those that only moved them."""
    by_out = {id(c.out): c for c in found.calls[: found.in_loss]}
    at = by_out.get(id(out))
    while at is not None and (at.op.name in MOVES or at.op.view):
        at = by_out.get(id(at.inputs[0]))
    return at


def _mistaken(at: Call, call: Call, title: str, text: str, evidence: str, remedy: str) -> list[Finding]:
    """Give the finding, in its words, that an operation should not stand before a loss."""
    place = at.line or call.line
    return [Finding("loss", "error", title, text, evidence, remedy, module=at.module, place=place)]


def _narrowed(found: Look, out: Any, call: Call) -> list[Finding]:
    """Logits that a squashing function has left too near to each other for a softmax to be sure of anything, or a rectifier cut off."""
    at, axis = _made_by(found, out), _axis(call)
    if at is None or axis is None or at.op.name not in RANGES:
        return _rectified(found, out, call)
    a, low, high = out._a, *RANGES[at.op.name]
    classes = a.shape[axis]
    if classes < 2:
        return []
    share, least = 1 / (1 + (classes - 1) * math.exp(low - high)), math.log(1 + (classes - 1) * math.exp(low - high))
    return _mistaken(
        at,
        call,
        f"a {at.op.name} stands before a loss that takes logits",
        f"The loss makes probabilities of numbers of any size; between {low} and {high} the largest probability of {classes} classes is "
        f"{share:.2g}, so it never gets below {least:.3g}.",
        f"the output is between {float(a.min()):.3g} and {float(a.max()):.3g}",
        f"leave the {at.op.name} out of the model",
    )


def _rectified(found: Look, out: Any, call: Call) -> list[Finding]:
    at = _made_by(found, out)
    if at is None or at.op.name != "relu":
        return []
    a = out._a
    return _mistaken(
        at,
        call,
        "a relu stands before a loss that takes logits",
        "Logits say no by being negative, which these cannot be; and where one is zero no gradient passes, so a class whose number is zero for "
        "every sample is never learnt.",
        f"{float((a == 0).mean()):.0%} of the output is zero, nothing is below",
        "leave the relu out of the model: the last layer's numbers are the logits",
    )


def _sigmoid_twice(found: Look, out: Any, call: Call) -> list[Finding]:
    at = _made_by(found, out)
    if at is None or at.op.name != "sigmoid":
        return []
    a = out._a
    return _mistaken(
        at,
        call,
        "a sigmoid stands before a loss that has its own",
        "The loss takes logits and applies a sigmoid; it is given what one gave already, so its probabilities lie between 0.5 and 0.73 and "
        "no output can say no.",
        f"the output is between {float(a.min()):.3g} and {float(a.max()):.3g}",
        "leave the sigmoid out of the model, or use binary_cross_entropy (BCELoss), which takes probabilities",
    )


def _not_logarithms(calls: list[Call], call: Call) -> list[Finding]:
    """A negative log-likelihood picks one number a row and adds; that is right for log-probabilities only."""
    if not {c.op.name for c in calls} <= PICKED or not any(c.op.name == "neg" for c in calls):
        return []
    a, axis = np.asarray(call.inputs[0]._a, dtype=np.float64), _axis(call)
    if axis is None or a.ndim < 2 or not a.size or not np.isfinite(a).all() or a.shape[axis] < 2:
        return []

    def total(i: int) -> Any:
        top = a.max(axis=i, keepdims=True)
        return np.log(np.exp(a - top).sum(axis=i)) + top.squeeze(i)

    if np.abs(total(axis)).max() < ONE:
        return []
    other = next((i for i in range(a.ndim) if i != axis and np.abs(total(i)).max() < ONE), None)
    if other is not None:
        what, mend = (
            f"log-probabilities over dimension {other}, which is not the classes'",
            f"use log_softmax over dimension {axis}",
        )
    elif _are_probabilities(a, axis):
        what, mend = "probabilities, not their logarithms", "use log_softmax in the model, or cross_entropy on logits"
    else:
        what, mend = (
            "numbers that are no log-probabilities",
            "use cross_entropy, which takes logits, or log_softmax in the model",
        )
    sums = np.exp(np.minimum(total(axis), 700.0))
    return [
        Finding(
            "loss",
            "error",
            f"nll_loss is given {what}",
            "It only picks the target's number of each row and changes its sign; where a row's exponentials do not sum to 1, it has no least value "
            "at the right answer: it falls without end as the numbers grow.",
            f"the exponentials of a row sum to between {sums.min():.3g} and {sums.max():.3g}",
            mend,
            place=call.line,
        )
    ]


def refused(error: LossRefuses) -> list[Finding]:
    """Find class numbers beyond those that an output has."""
    out, target = _first_tensor(error.output), error.target
    if out is None or not isinstance(target, BaseTensor) or target._a.dtype.kind not in "iu" or not target._a.size:
        return []
    a = target._a[target._a != (error.ignored if isinstance(error.ignored, int) else -100)]
    if not a.size or target._a.ndim != max(out._a.ndim - 1, 0):
        return []
    classes = out._a.shape[1] if out._a.ndim > 1 else out._a.shape[0]
    low, high = int(a.min()), int(a.max())
    if 0 <= low and high < classes:
        return []
    shifted = low == 1 and high == classes
    return [
        Finding(
            "labels",
            "error",
            f"the target has class {high if high >= classes else low}, and the output has {classes} classes, 0 to {classes - 1}",
            "A class number picks one of the output's numbers, and there is none for it.",
            f"class numbers from {low} to {high}; output {list(out._a.shape)}",
            "count classes from 0: subtract 1 from the target"
            if shifted
            else f"correct the target, or give the last layer {max(high + 1, classes)} outputs",
        )
    ]


__all__ = ["given", "refused"]
