"""What a record shows to be wrong with a training run."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..doctor.depth import bad, steady
from ..doctor.finding import Finding, ordered
from ..doctor.training import LARGEST, SMALLEST
from ..doctor.values import too_many_dead
from .files import number


def findings(record: Any) -> list[Finding]:
    """Give what is wrong, worst first; at least a few steps must have been looked at for what is of training."""
    bad = _not_finite(record)
    if bad:
        return bad
    others = [*(_depth(record) or _dead(record)), *_idle(record)]
    rate = [
        f for f in _updates(record) if not (others and f.title.endswith("small"))
    ]  # where no gradient comes, none is too small
    return ordered([*rate, *others, *_diverging(record)])


def _not_finite(record: Any) -> list[Finding]:
    losses = dict(record.losses)
    for line in record.statistics:
        if not _spoilt(line, losses.get(line["step"], line.get("loss"))):
            continue
        for which in ("value", "gradient"):
            nodes = record.nodes if which == "value" else list(reversed(record.nodes))
            for node in nodes:
                values = (line["nodes"].get(node["key"]) or {}).get(which)
                if values and len(values) == 8 and (number(values[6]) or number(values[7])):
                    kind = "forward" if which == "value" else "on the way back"
                    return [
                        Finding(
                            "not-finite", "error", f"{node['op']} is not finite {kind} from step {line['step']} on",
                            "It is the first operation in the order of that pass whose numbers are not finite.",
                            f"{number(values[6]):.0f} NaN and {number(values[7]):.0f} infinite of {math.prod(node['shape'])} elements",
                            "lower the learning rate, clip the gradients, or look at the operation's inputs (glass.doctor names them)",
                            module=node["module"], place=node["place"], node=record.nodes.index(node),
                        )
                    ]  # fmt: skip
    for step, loss in record.losses:
        if not math.isfinite(loss):
            return [
                Finding(
                    "not-finite",
                    "error",
                    f"the loss is {loss} from step {step} on",
                    "Nothing is learnt from there on.",
                    f"loss {loss}",
                    "lower the learning rate or clip the gradients",
                )
            ]
    return []


def _spoilt(line: dict[str, Any], loss: Any) -> bool:
    """Tell whether something went wrong at a step; infinities that nothing comes of, as in a mask before a softmax, are meant."""
    if loss is not None and not math.isfinite(number(loss)):
        return True
    entries = [*line["nodes"].values(), *(line.get("parameters") or {}).values()]
    for entry in entries:
        value, gradient = entry.get("value"), entry.get("gradient")
        if (value and number(value[6])) or (gradient and (number(gradient[6]) or number(gradient[7]))):
            return True
    return False


def _first(record: Any, name: str) -> Any:
    """Give the first update of a parameter over its size; None where it was zero before."""
    return next(
        (e.get("update_ratio") for l in record.statistics if (e := (l.get("parameters") or {}).get(name))), None
    )


def _judged(entry: dict[str, Any], shape: Any) -> float:
    """Give |update| / |weight|, the weight being at least as large as one drawn with a variance of 1 / (3 fan_in), PyTorch's default.

    What is far smaller than that still grows from next to nothing, and each step is a large multiple of it whatever the rate.
    """
    ratio, norm = number(entry["update_ratio"]), number(entry["value"][4])
    if not isinstance(shape, list) or len(shape) < 2:
        return ratio
    usual = math.sqrt(number(shape[0]) / 3)  # of shape[0] * fan_in elements
    before = norm / (1 + ratio)  # at least: |new| <= |old| + |update|
    return ratio * min(1.0, before / usual) if usual > 0 else ratio


def _updates(record: Any) -> list[Finding]:
    ratios: dict[str, list[float]] = {}
    shapes = record.meta.get("parameters")
    shapes = shapes if isinstance(shapes, dict) else {}
    lines = record.statistics[len(record.statistics) // 2 :]
    for line in lines:
        for name, entry in (line.get("parameters") or {}).items():
            if entry.get("update_ratio") is not None and len(entry.get("value") or ()) == 8:
                ratios.setdefault(name, []).append(_judged(entry, shapes.get(name)))
    # of what begins at zero, as a bias does, or the last weight of a branch, every step is a large multiple
    grown = {n for n in ratios if _first(record, n) is None}
    ratios = {n: r for n, r in ratios.items() if n not in grown}
    weights = {n: r for n, r in ratios.items() if len(shapes.get(n) or ()) > 1}  # a vector has no usual size
    finite = [m for r in weights.values() if math.isfinite(m := float(np.median(r)))]
    if len(record.statistics) < 3 or not finite:
        return []
    median = float(np.median(finite))
    if SMALLEST <= median <= LARGEST:
        return []
    size = "large" if median > LARGEST else "small"
    return [
        Finding(
            "learning-rate", "warning", f"the learning rate is too {size}",
            "Steps change the weights by more than they can know is right." if size == "large" else "Steps hardly change the weights.",
            f"median of |update| / |weight| {median:.2g} over {len(finite)} parameters; about 1e-3 is usual",
            f"make it {'smaller' if size == 'large' else 'larger'}, by a factor of about {max(median / 1e-3, 1e-3 / max(median, 1e-30)):.0e}",
        )
    ]  # fmt: skip


def _depth(record: Any) -> list[Finding]:
    if not record.statistics:
        return []
    last = record.latest()["nodes"]
    everything = [n for n in record.nodes if n["op"] in ("linear", "conv", "matmul") and n["module"]]
    roots = [r for r in record.meta.get("roots") or [] if isinstance(r, str) and r] or [""]
    for root in roots:  # models that are trained side by side are looked at one by one
        found = _depth_of(record, last, [n for n in everything if not root or f"{n['module']}.".startswith(f"{root}.")])
        if found:
            return found
    return []


def _depth_of(record: Any, last: dict[str, Any], layers: list[dict[str, Any]]) -> list[Finding]:
    for which, name in (("gradient", "gradients"), ("value", "values")):
        points: list[tuple[str, float]] = []
        for node in layers[:-1]:
            values = (last.get(node["key"]) or {}).get(which)
            if values and number(values[1]) > 0:
                points.append((node["module"], math.log10(number(values[1]))))
        grown = steady([(i, v) for i, (_, v) in enumerate(points)])
        if grown is None or not bad(grown) or (grown.change > 0) != (which == "value"):
            largest: dict[str, float] = {}  # of a layer that is used at many times, which is what trains it
            for module, v in points:
                largest[module] = max(v, largest.get(module, v))
            grown = steady(list(enumerate(largest.values())))
            if grown is None or not bad(grown):
                continue
        slope, change = grown.slope, grown.change
        shrinks = (change > 0) if which == "gradient" else (change < 0)
        kind = "vanishing" if shrinks else "exploding"
        return [
            Finding(
                kind, "error", f"{name} {'vanish' if shrinks else 'explode'} with depth",
                f"Their variance changes by {abs(change):.1f} decades over {len(points)} layers.",
                f"{abs(slope):.2f} decades a layer at step {record.statistics[-1]['step']}",
                "choose the weights' variance so that a layer keeps its signal's, or add normalisation or residual connections",
                layers=[n["module"] for n in layers[:-1]],
            )
        ]  # fmt: skip
    return []


def _dead(record: Any) -> list[Finding]:
    found = []
    for node in record.nodes:
        entries = [entry for line in record.statistics[-5:] if "dead" in (entry := line["nodes"].get(node["key"], {}))]
        shares = [number(entry["dead"]) for entry in entries]
        if len(shares) >= 3 and all(_dead_now(entry, node) for entry in entries):
            found.append(
                Finding(
                    "dead-units", "warning", f"{min(shares):.0%} of the rectified units are dead in {node['module'] or 'the model'}",
                    "They gave zero for every sample of each of the last steps that were looked at.",
                    f"shares {', '.join(f'{s:.0%}' for s in shares)}",
                    "lower the learning rate, initialise the layer before it anew, or use LeakyReLU or GELU",
                    module=node["module"], place=node["place"], node=record.nodes.index(node),
                )
            )  # fmt: skip
    return found


def _dead_now(entry: dict[str, Any], node: dict[str, Any]) -> bool:
    """Tell whether too many of a layer's units are dead at a step that was looked at."""
    units = max(int(number(node.get("units", 0)) or 0), 1) if node.get("units") else 1000
    dead, always = (number(entry.get(k, 0.0)) * units for k in ("dead", "always"))
    return math.isfinite(dead + always) and too_many_dead(round(dead), round(always), units)


def _idle(record: Any) -> list[Finding]:
    lines = [line.get("parameters") or {} for line in record.statistics]
    names = set().union(*lines) if lines else set()
    idle = sorted(n for n in names if len(lines) >= 3 and all("gradient" not in line.get(n, {}) for line in lines))
    if not idle or len(idle) == len(names):
        return []
    return [
        Finding(
            "no-gradient", "warning", f"{len(idle)} of {len(names)} parameters got no gradient",
            f"Nothing that the loss depends on was computed from {', '.join(idle[:6])}{' and more' if len(idle) > 6 else ''}.",
            f"grad is None at all {len(lines)} steps that were looked at",
            "use them in forward, or set requires_grad=False if they are meant to stay",
            module=idle[0].rpartition(".")[0],
        )
    ]  # fmt: skip


def _diverging(record: Any) -> list[Finding]:
    losses = [loss for _, loss in record.losses]
    if len(losses) < 20:
        return []
    first, last = float(np.median(losses[:5])), float(np.median(losses[-5:]))
    if not (first > 0 and last > 10 * first):
        return []
    return [
        Finding(
            "learning-rate", "error", "the loss grows",
            "It is more than ten times what it was at the start.", f"{first:.4g} at the start, {last:.4g} at the end",
            "lower the learning rate, or clip the gradients",
        )
    ]  # fmt: skip
