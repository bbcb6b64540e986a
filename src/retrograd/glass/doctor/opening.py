"""Weights that begin at zero: a model is looked at as it is once they have moved, and those that cannot move are found."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .finding import Finding
from .look import Look

ROUNDS = 8  # of weights that wait for one another, as a zero gate before a zero head does
OPEN = 1e-3  # the size, over that of a usual weight, that a first step gives to what began at zero
EQUAL = 1e-5  # of the largest: rows of a gradient that differ by rounding only


def opened(found: Look, again: Callable[[Any], Look]) -> Look:
    """Give the look at a model whose weights that are zero and get a gradient have moved, as they do at the first step.

    A branch whose last weight, scale or gate is zero (Fixup, ReZero, adaLN-Zero, zero_init_residual) passes no gradient on yet; that is
    meant, and over after a step. So what such a model's variances say of its depth is asked of the model with small numbers there.

    Parameters
    ----------
    found : Look
        A look at the model as it is. Its copy of the model is changed.
    again : callable
        Looks at a model in the same way.
    """
    began: set[str] = set()
    for _ in range(ROUNDS):
        if not any(layer.backward == -math.inf or layer.forward == -math.inf for layer in found.layers):
            break
        moving = [n for n, g in found.gradients.items() if g is not None and _zero(found.parameters[n]) and g._a.any()]
        if not moving:
            break
        rng = np.random.default_rng(0)
        for name in moving:
            p = found.parameters[name]
            fan = math.prod(p._a.shape[1:]) if p._a.ndim > 1 else 1
            p._write(rng.standard_normal(p._a.shape) * OPEN / math.sqrt(max(fan, 1)))
        began.update(moving)
        found = again(found.model)
        found.began_zero = began
    return found


def _zero(p: Any) -> bool:
    return p._a.dtype.kind == "f" and p._a.size > 0 and not p._a.any()


def _alike(rows: Any) -> bool:
    a = np.asarray(rows, dtype=np.float64).reshape(rows.shape[0], -1)
    return bool(np.isfinite(a).all() and np.abs(a - a[:1]).max() <= EQUAL * np.abs(a).max())


def symmetric(found: Look) -> list[Finding]:
    """Find layers whose units are all the same and get the same gradient, so that they stay the same: weights that are a constant, such as zero."""
    same = []
    for layer in found.layers:
        name = next((n for n, p in found.parameters.items() if p is layer.weight), None)
        g = found.gradients.get(name) if name is not None else None
        if g is None or g._a.ndim < 2 or len(g._a) < 2 or g._a.size < 4 or getattr(g, "_composite", False):
            continue
        if _alike(layer.weight._a) and _alike(g._a):
            same.append(layer)
    if not same:
        return []
    values = sorted({f"{float(layer.weight._a.flat[0]):.3g}" for layer in same})
    paths = list(dict.fromkeys(layer.path for layer in same))
    return [
        Finding(
            "initialisation",
            "error",
            f"all units are the same in {len(paths)} layer{'s' if len(paths) > 1 else ''}, and stay so",
            "Every unit of such a layer has the same weights and gets the same gradient, so they learn the same thing, if anything: "
            "the layer is as good as one unit.",
            f"weights: {', '.join(values[:4])} throughout; rows of the gradient are equal",
            "draw the weights at random (torch.nn.init.kaiming_normal_), as the layers' constructors do; only biases may begin at zero",
            module=paths[0],
            layers=paths,
        )
    ]


__all__ = ["opened", "symmetric"]
