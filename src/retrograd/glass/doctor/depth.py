"""Findings about depth: variances that vanish or explode from layer to layer, and initialisations that do not fit the activation."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .finding import Finding
from .look import Layer, Look
from .theory import fans

DECADES = 7.0  # over which a variance may change through a network before it is called vanishing or exploding
FEWEST_LAYERS = 4
STEP = 0.12  # decades a layer, at least: what changes more slowly is drift
MISFIT = 1.6  # a factor: the variance that a layer should have over what it has


@dataclass
class Course:
    """How a variance runs over depth: decades a layer, and decades in all."""

    slope: float
    change: float


def steady(points: list[tuple[int, float]]) -> Course | None:
    """Give the slope that half of all pairs of points lie below, and what it comes to between the ends.

    The slope is Theil's (1950) and Sen's (1968); the change is less where the ends themselves differ by less. What vanishes or explodes
    changes from layer to layer. The ends of a residual network, which lie off the level of its branches, or a few
    layers of another kind do not turn this slope, as they turn that of least squares.

    Examples
    --------
    >>> from retrograd.glass.doctor.depth import steady
    >>> course = steady([(0, 12.0), (1, 0.0), (2, 0.1), (3, 0.0), (4, 0.1)])
    >>> round(course.slope, 2), round(course.change, 1)
    (-0.05, -0.2)
    """
    if len(points) < FEWEST_LAYERS:
        return None
    x, y = np.array([p[0] for p in points], dtype=float), np.array([p[1] for p in points])
    i, j = np.triu_indices(len(points), 1)
    slope = float(np.median((y[j] - y[i]) / (x[j] - x[i])))
    along, ends = slope * float(x[-1] - x[0]), float(y[-1] - y[0])
    return Course(slope, along if abs(along) < abs(ends) or along * ends < 0 else ends)


def course(layers: list[Layer], which: str) -> Course | None:
    """Give how log10 of the variances runs against depth; None if there are too few. A layer whose variance is zero has no part in it."""
    found = [(i, getattr(layer, which)) for i, layer in enumerate(layers)]
    return steady([(i, v) for i, v in found if math.isfinite(v)])


def bad(c: Course | None) -> bool:
    """Tell whether a course is one that vanishes or explodes."""
    return c is not None and abs(c.slope) >= STEP and abs(c.change) >= DECADES


def _once(layers: list[Layer]) -> list[Layer]:
    """Give one layer for each weight: of one that is used at many times its largest variances, since those are what trains it."""
    found: dict[int, Layer] = {}
    for layer in layers:
        known = found.get(id(layer.weight))
        found[id(layer.weight)] = (
            layer
            if known is None
            else replace(
                known, forward=np.fmax(known.forward, layer.forward), backward=np.fmax(known.backward, layer.backward)
            )
        )
    return list(found.values())


def _grows(forward: Course | None, backward: Course | None) -> bool:
    return (bad(forward) and forward is not None and forward.change > 0) or (
        bad(backward) and backward is not None and backward.change < 0
    )


def depth(found: Look) -> list[Finding]:
    """Find what vanishes or explodes over the layers, and say whether the initialisation is why."""
    inner = found.layers[:-1] if len(found.layers) > FEWEST_LAYERS else found.layers
    forward, backward = course(inner, "forward"), course(inner, "backward")
    if not _grows(forward, backward):
        inner = _once(inner)
        forward, backward = course(inner, "forward"), course(inner, "backward")
    if not (bad(forward) or bad(backward)):
        return []
    zero = [layer for layer in inner if any(found.parameters[n] is layer.weight for n in found.began_zero)]
    if 2 * len(zero) >= len(inner):
        return [_all_zero(zero)]
    schemes = [scheme(layer) for layer in found.layers[:-1]]
    named = max(set(schemes), key=schemes.count) if schemes else ""
    misfit = [layer for layer in found.layers[:-1] if _misfit(layer)]
    shown = _shown(forward, backward)
    if named and misfit and len(misfit) >= 0.5 * len(found.layers[:-1]):
        layer = misfit[0]
        fan_in, _ = fans(layer.call)
        has, wants = _variance(layer), _wanted(layer)
        return [
            Finding(
                "initialisation",
                "error",
                f"the initialisation does not fit: {named}",
                f"{'Values and gradients' if bad(forward) and bad(backward) else 'Values' if bad(forward) else 'Gradients'} "
                f"{'vanish' if has < wants else 'explode'} with depth: the weights of {len(misfit)} layers have a variance that makes "
                f"their signals {'shrink' if has < wants else 'grow'} from layer to layer: {has:.3g}, where {wants:.3g} would keep it (fan_in {fan_in:.0f}).",
                shown,
                "initialise with the variance that keeps the signal's (He for ReLU: torch.nn.init.kaiming_normal_(w, nonlinearity='relu'), "
                "biases zero), or add normalisation or residual connections",
                module=layer.path,
                layers=[x.path for x in misfit],
            )
        ]
    shrinks = (forward.change if bad(forward) and forward else 0.0) < 0 or (
        not bad(forward) and backward is not None and backward.change > 0
    )
    kind = "vanishing" if shrinks else "exploding"
    what = "values and gradients" if bad(forward) and bad(backward) else "values" if bad(forward) else "gradients"
    return [
        Finding(
            kind,
            "error",
            f"{what} {'vanish' if shrinks else 'explode'} with depth",
            f"From layer to layer their variance is multiplied by about the same factor, which over {len(inner)} layers "
            f"{'leaves next to nothing' if shrinks else 'leaves next to no precision'} at the far end.",
            shown,
            "choose the weights' variance so that a layer keeps its signal's (glass.repair does it), or add normalisation or residual connections",
            layers=[x.path for x in found.layers[:-1]],
        )
    ]


def _all_zero(zero: list[Layer]) -> Finding:
    paths = [layer.path for layer in zero]
    return Finding(
        "initialisation",
        "error",
        f"the weights of {len(zero)} layers are zero",
        "Nothing of the input passes them, and no gradient: they begin to learn one after another, from the loss back, each from next to nothing.",
        f"all weights are 0 in {', '.join(paths[:6])}{' and more' if len(paths) > 6 else ''}",
        "draw the weights at random (torch.nn.init.kaiming_normal_), as the layers' constructors do; only biases may begin at zero",
        module=paths[0],
        layers=paths,
    )


def _shown(forward: Course | None, backward: Course | None) -> str:
    parts = []
    if forward is not None:
        parts.append(f"forward {forward.slope:+.2f} decades a layer, {forward.change:+.1f} in all")
    if backward is not None:
        parts.append(f"backward, towards the input, {-backward.slope:+.2f} a layer, {-backward.change:+.1f} in all")
    return "log10 of the variance: " + "; ".join(parts)


def _variance(layer: Layer) -> float:
    return float(np.mean(np.square(np.asarray(layer.weight._a, dtype=np.float64))))


def _wanted(layer: Layer) -> float:
    return _variance(layer) / layer.gain if layer.gain > 0 else float("nan")


def _misfit(layer: Layer) -> bool:
    return layer.covered and layer.gain > 0 and abs(math.log(layer.gain)) > math.log(MISFIT)


def scheme(layer: Layer) -> str:
    """Name the well-known initialisation that a weight was drawn from, by its distribution; empty if it is none of them."""
    w = np.asarray(layer.weight._a, dtype=np.float64)
    if w.size < 64:
        return ""
    shape = w.shape
    receptive = math.prod(shape[2:])
    fan_in, fan_out = shape[1] * receptive, shape[0] * receptive
    variance = float(w.var())
    bound = float(np.abs(w).max())
    uniform = abs(bound / math.sqrt(3 * variance) - 1) < 0.06 if variance > 0 else False
    tolerance = 6 * math.sqrt(2 / w.size)
    for name, expected, flat in (
        ("PyTorch's default, kaiming_uniform_(a=sqrt(5)), a sixth of He's variance", 1 / (3 * fan_in), True),
        ("Glorot's (Xavier), for tanh", 2 / (fan_in + fan_out), None),
        ("LeCun's, for SELU", 1 / fan_in, None),
        ("He's (Kaiming), for ReLU", 2 / fan_in, None),
    ):
        if abs(variance / expected - 1) < tolerance and (flat is None or flat == uniform):
            return name
    return ""
