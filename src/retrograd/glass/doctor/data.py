"""Findings about data and loss: inputs out of scale, a validation set normalised by itself, a first loss that is too high, shapes that broadcast."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import BaseTensor
from .finding import Finding
from .look import Call, Look

LARGE, SMALL = 10.0, 0.01  # standard deviations and means of inputs beyond which scaling pays
UNEVEN = 1000.0  # between the largest and the smallest deviation of an input's features
EXACT = 2e-3  # how near to 0 and 1 the statistics of a set come if they were taken from that very set
LOSS_MARGIN = 2.0  # how far over log(classes) a first loss may lie: in nats, and as a multiple; a head of a few logits near 3 passes in tens of steps


def inputs(found: Look) -> list[Finding]:
    """Find inputs whose scale is far from one."""
    findings = []
    for i, x in enumerate(found.inputs):
        if not isinstance(x, BaseTensor) or x._a.dtype.kind != "f" or x._a.size < 16 or not np.isfinite(x._a).all():
            continue
        a = np.asarray(x._a, dtype=np.float64)
        std, mean = float(a.std()), float(a.mean())
        name = f"input {i}" if len(found.inputs) > 1 else "input"
        evidence = f"mean {mean:.4g}, standard deviation {std:.4g}, from {a.min():.4g} to {a.max():.4g}"
        uneven = 1.0
        if a.ndim == 2 and a.shape[0] >= 8 and a.shape[1] > 1:
            deviations = a.std(axis=0)
            positive = deviations[deviations > 0]
            uneven = float(positive.max() / positive.min()) if positive.size > 1 else 1.0
        if std > LARGE or abs(mean) > LARGE * max(std, 1.0):
            text = "Its numbers are large, so the first layer's results are, too, and the first steps are wild."
        elif 0 < std < SMALL:
            text = "Its numbers hardly differ, so the first layer passes on little more than its bias."
        elif uneven > UNEVEN and std > 1:
            text = f"Its features differ in scale by a factor of {uneven:.3g}: no learning rate suits them all."
        else:
            continue
        findings.append(
            Finding(
                "inputs",
                "warning",
                f"the {name} is not normalised",
                text,
                evidence,
                "subtract the training set's mean and divide by its standard deviation, feature by feature (images: by 255, then by channel)",
            )
        )
    return findings


def validation(train: Any, other: Any) -> list[Finding]:
    """Find a validation set that has been normalised with its own statistics, which no later input can be."""
    a, b = _features(train), _features(other)
    if a is None or b is None or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 8:
        return []
    varying = (a.std(axis=0) > 0) & (b.std(axis=0) > 0)
    if not varying.any():
        return []
    for per_feature in (True, False):
        one, two = (_statistics(v[:, varying], per_feature) for v in (a, b))
        if max(one) < EXACT and max(two) < EXACT:
            how = "each feature" if per_feature else "all of it"
            return [
                Finding(
                    "validation",
                    "warning",
                    "the validation set is normalised with its own statistics",
                    "It has mean 0 and deviation 1 as exactly as the training set has, which another sample of the same data would not: "
                    "the model is tested on data that are shifted and scaled otherwise than those that it will meet.",
                    f"of {how}: means within {two[0]:.1e} of 0, deviations within {two[1]:.1e} of 1, for {len(b)} samples "
                    f"(chance would leave about {1 / math.sqrt(len(b)):.1e})",
                    "normalise it with the training set's mean and standard deviation",
                )
            ]
    return []


def _features(x: Any) -> Any:
    if isinstance(x, (list, tuple)):
        x = x[0] if x else None
    a = np.asarray(x._a if isinstance(x, BaseTensor) else x) if x is not None else None
    if a is None or a.dtype.kind != "f" or a.ndim < 2 or not np.isfinite(a).all():
        return None
    return a.reshape(a.shape[0], -1).astype(np.float64)


def _statistics(a: Any, per_feature: bool) -> tuple[float, float]:
    """Give how far means are from 0 and deviations (either kind) from 1."""
    axis = 0 if per_feature else None
    mean = np.abs(a.mean(axis=axis)).max()
    off = min(float(np.abs(a.std(axis=axis, ddof=ddof) - 1).max()) for ddof in (0, 1))
    return float(mean), off


def first_loss(found: Look) -> list[Finding]:
    """Find a cross entropy that starts far above log(classes), which is what knowing nothing costs."""
    loss, target, logits = found.loss, found.target, _logits(found)
    if logits is None or loss._a.size != 1 or not np.isfinite(loss._a).all():
        return []
    if (
        not isinstance(target, BaseTensor)
        or target._a.dtype.kind not in "iu"
        or "log" not in {c.op.name for c in found.calls[found.in_loss :]}
    ):
        return []
    classes = _classes(found, logits)
    chance, value = math.log(max(classes, 2)), float(loss._a)
    if value < chance + LOSS_MARGIN * max(1.0, chance):
        return []
    spread = float(np.asarray(logits._a, dtype=np.float64).std())
    return [
        Finding(
            "first-loss",
            "warning",
            f"the loss starts at {value:.3g}, far above log({classes}) = {chance:.3g}",
            "The model is sure of wrong answers before it has learnt anything; the first steps only undo that.",
            f"the logits have a standard deviation of {spread:.3g}; a model that knows nothing gives nearly equal ones",
            "make the last layer's weights smaller (multiply them by 0.01 to 0.1) and its biases zero",
            layers=[found.layers[-1].path] if found.layers else [],
        )
    ]


def _classes(found: Look, logits: Any) -> int:
    """Give how many numbers the loss's softmax is taken over."""
    for call in found.calls[found.in_loss :]:
        if call.op.name == "amax" and isinstance(call.attrs.get("axis"), tuple) and len(call.attrs["axis"]) == 1:
            return int(call.inputs[0]._a.shape[call.attrs["axis"][0]])
    return int(logits._a.shape[1] if logits._a.ndim > 1 else logits._a.shape[0])


def _logits(found: Look) -> Any:
    out = found.output
    if isinstance(out, (list, tuple)) and out:
        out = out[0]
    return out if isinstance(out, BaseTensor) and out._a.ndim >= 1 else None


def broadcast(found: Look) -> list[Finding]:
    """Find an operation of the loss in which output and target spread each other, as (N, 1) against (N,) gives (N, N)."""
    if not isinstance(found.target, BaseTensor):
        return []
    from_target, from_output = {id(found.target)}, {id(t) for t in _tensors(found.output)}
    for call in found.calls[found.in_loss :]:
        kinds = []
        for x in call.inputs:
            kinds.append(("t" if id(x) in from_target else "") + ("o" if id(x) in from_output else ""))
        out = call.out._a
        shapes = [x._a.shape for x in call.inputs if isinstance(x, BaseTensor)]
        if (
            (
                call.op.family == "elementwise"
                and len(shapes) == 2
                and "t" in kinds[0] + kinds[1]
                and "o" in kinds[0] + kinds[1]
            )
            and out.size > max(math.prod(s) for s in shapes)
            and not ("t" in kinds[0] and "o" in kinds[0])
        ):
            return [_broadcast_finding(call, shapes, out.shape)]
        if any("t" in k for k in kinds):
            from_target.add(id(call.out))
        if any("o" in k for k in kinds):
            from_output.add(id(call.out))
    return []


def _tensors(thing: Any) -> list[Any]:
    if isinstance(thing, BaseTensor):
        return [thing]
    if isinstance(thing, dict):
        thing = list(thing.values())
    return [t for part in thing for t in _tensors(part)] if isinstance(thing, (list, tuple)) else []


def _broadcast_finding(call: Call, shapes: list[Any], result: Any) -> Finding:
    one, two = (list(s) for s in shapes)
    return Finding(
        "broadcast",
        "error",
        f"output {one} and target {two} broadcast to {list(result)} in the loss",
        "Every output is compared with every target, so the loss has its least value where all outputs are the targets' mean.",
        f"{call.op.name} of {one} and {two} gives {list(result)}: {math.prod(result)} differences instead of {max(math.prod(s) for s in shapes)}",
        "give both one shape: output.squeeze(1), or target.unsqueeze(1)",
        place=call.line,
    )
