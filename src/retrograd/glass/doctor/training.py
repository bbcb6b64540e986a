"""Findings about training: parameters that get no gradient, and a learning rate that does not suit the weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..twins import array_of
from .finding import Finding
from .look import Look

LARGEST, SMALLEST = 0.1, 1e-6  # norm of an update over norm of its weight; about 1e-3 is usual
STEPS = 8  # that a copy of the optimizer makes before one is measured
MOST_TRIED = 1 << 16  # elements of a weight


def no_gradient(found: Look) -> list[Finding]:
    """Find parameters that want a gradient and get none: they are not on a way to the loss."""
    if not found.loss.requires_grad:
        wanted = [n for n, p in found.parameters.items() if p.requires_grad]
        if not wanted:
            return []
        return [
            Finding(
                "no-gradient",
                "error",
                "no parameter gets a gradient: the loss has no history",
                "Somewhere between the parameters and the loss the history is cut.",
                f"loss.requires_grad is False; {len(wanted)} parameters want a gradient",
                "look for detach(), .data, .item(), numpy(), torch.tensor(...) of a tensor, or torch.no_grad() on the way to the loss",
            )
        ]
    without = [n for n, g in found.gradients.items() if g is None]
    # what a frozen or an unused input leaves without a way is the model's own business if the gradient is zero by arithmetic
    if not without:
        return []
    shown = ", ".join(without[:6]) + (f" and {len(without) - 6} more" if len(without) > 6 else "")
    return [
        Finding(
            "no-gradient",
            "warning",
            f"{len(without)} of {len(found.gradients)} parameters get no gradient",
            f"Nothing that the loss depends on was computed from {shown}: the optimizer leaves them as they are.",
            "their gradient is None after backward()",
            "use them in forward, look for detach() or no_grad() on the way, or set requires_grad=False if they are meant to stay",
            module=without[0].rpartition(".")[0],
        )
    ]


def learning_rate(found: Look, optimizer: Any, model: Any) -> list[Finding]:
    """Take one step on copies and compare the size of each update with the size of its weight."""
    if optimizer is None:
        return []
    ratios = update_ratios(found, optimizer, model)
    if not ratios:
        return []
    middle = float(np.median(list(ratios.values())))
    rates = sorted({float(group["lr"]) for group in optimizer.param_groups})
    rate = ", ".join(f"{r:.3g}" for r in rates)
    largest = max(ratios, key=lambda n: ratios[n])
    evidence = f"median of |update| / |weight| {middle:.2g} over {len(ratios)} weights, largest {ratios[largest]:.2g} ({largest}); about 1e-3 is usual"
    if middle > LARGEST:
        advice = f"lower it, to about {rates[-1] * 1e-2 / middle:.1g}"
        return [
            _rate(
                "large",
                rate,
                "A step changes the weights by more than it can know is right: the loss jumps or diverges.",
                evidence,
                advice,
            )
        ]
    if middle < SMALLEST:
        advice = f"raise it, to about {rates[-1] * 1e-3 / middle:.1g}" if middle > 0 else "raise it"
        return [
            _rate(
                "small",
                rate,
                "A step leaves the weights as they are, to within rounding: nothing will be learnt in any reasonable time.",
                evidence,
                advice,
            )
        ]
    return []


def _rate(size: str, rate: str, text: str, evidence: str, advice: str) -> Finding:
    return Finding("learning-rate", "warning", f"the learning rate {rate} is too {size}", text, evidence, advice)


def update_ratios(found: Look, optimizer: Any, model: Any) -> dict[str, float]:
    """Give |update| / |weight| of each weight (two dimensions or more) for a step of a copy of the optimizer, once it has made a few.

    The copy is given the batch's gradient with signs drawn anew for each step, which is what gradients of batches look like where noise
    prevails. A first step would say little: that of Adam or RMSprop is its largest, that of SGD with momentum its smallest. Of large weights
    the first rows stand for all.
    """
    names = {id(p): n for n, p in model.named_parameters()}
    pairs: dict[str, Any] = {}
    arrived: dict[str, Any] = {}
    groups = []
    for group in optimizer.param_groups:
        own = []
        for p in group["params"]:
            name = names.get(id(p))
            g = None if name is None else found.gradients.get(name)
            if name is None or g is None or not (a := array_of(g)).any():  # behind a weight that begins at zero
                continue
            rows = slice(0, max(1, MOST_TRIED // max(math.prod(p.shape[1:]), 1))) if a.ndim else ()
            weight = found.parameters[name].detach()
            pairs[name] = weight[rows].clone().requires_grad_(True)
            arrived[name] = a[rows]
            own.append(pairs[name])
        if own:
            groups.append({**{k: v for k, v in group.items() if k != "params"}, "params": own})
    if not pairs:
        return {}
    defaults = {k: v for k, v in optimizer.defaults.items() if k in _accepted(type(optimizer))}
    rng = np.random.default_rng(0)
    try:
        twin = type(optimizer)(groups, **defaults)
        sizes = {n: float(np.linalg.norm(p._a.astype(np.float64))) for n, p in pairs.items()}
        for _ in range(STEPS):
            before = {n: p._a.astype(np.float64) for n, p in pairs.items()}
            for n, p in pairs.items():
                signs = rng.integers(0, 2, arrived[n].shape, dtype=np.int8) * 2 - 1
                p.grad = p.new_tensor(arrived[n] * signs)
            twin.step()
    except (RuntimeError, TypeError, ValueError):  # an optimizer that wants a closure, or more than its settings
        return {}
    ratios = {}
    for name, p in pairs.items():
        norm = sizes[name]
        if p._a.ndim > 1:  # what is far smaller than PyTorch would draw it grows by a large multiple whatever the rate
            norm = max(norm, math.sqrt(len(p._a) / 3)) if norm > 0 else norm
        if p._a.ndim >= 2 and norm > 0 and math.isfinite(norm):
            ratios[name] = float(np.linalg.norm(p._a.astype(np.float64) - before[name])) / norm
    return ratios


def _accepted(kind: type) -> set[str]:
    import inspect

    return set(inspect.signature(kind).parameters) - {"params"}
