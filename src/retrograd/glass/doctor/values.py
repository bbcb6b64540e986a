"""Findings about numbers: what is not finite, units that are dead, functions that are saturated."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import BaseTensor
from .finding import Finding
from .look import Call, Look

DEAD_SHARE = 0.6  # of a layer's units that give zero for every sample
ALIKE = 4.0  # times as many units that are always off as are always on, at least
CHANCE = 1e-3  # how likely so many dead units of a layer may be where each is dead or not as a coin falls
FEWEST_SAMPLES = 16  # with fewer, a unit that is zero for all of them may be chance
SATURATED_SHARE = 0.5  # of a layer's values, where the slope is below FLAT of the steepest
FLAT = 0.05


def not_finite(found: Look) -> list[Finding]:
    """Find the first operation, forward and then backward, that makes NaN or infinity of finite numbers."""
    for name, x in _data(found):
        if not np.isfinite(x._a).all():
            at, value = _first_bad(x._a)
            return [
                Finding(
                    "not-finite",
                    "error",
                    f"the {name} has {value} in it",
                    f"The first element that is not finite is at {at}; everything computed from it is lost.",
                    f"{int((~np.isfinite(x._a)).sum())} of {x._a.size} elements are not finite",
                    "clean the data: drop or fill those samples (torch.nan_to_num), and look for a division by a zero deviation",
                )
            ]
    for name, p in found.parameters.items():
        if p._a.dtype.kind == "f" and not np.isfinite(p._a).all():
            at, value = _first_bad(p._a)
            return [
                Finding(
                    "not-finite",
                    "error",
                    f"parameter {name} has {value} in it",
                    f"The first element that is not finite is at {at}: an earlier step, or its initialisation, put it there.",
                    f"{int((~np.isfinite(p._a)).sum())} of {p._a.size} elements are not finite",
                    "initialise it anew, or go back to a checkpoint before it happened, with a smaller learning rate or clipped gradients",
                    module=name.rpartition(".")[0],
                )
            ]
    if np.isfinite(found.loss._a).all():  # infinities that nothing comes of, as in a mask before a softmax, are meant
        return _backward_finding(found)
    return _forward_findings(found)


def _forward_findings(found: Look) -> list[Finding]:
    """Find the operation at which the loss's way begins to be spoilt.

    An infinity that the program wrote itself, as a mask's -inf is, stays what it is through operations that pass it on; the first to make NaN
    of it, or something else that is not finite of finite numbers, is where it happened.
    """
    meant: set[int] = set()
    first = None
    for call in found.calls:
        if not _bad(call.out):
            continue
        spoilt = [x for x in call.inputs if _bad(x) and id(x) not in meant]
        given = any(id(x) in meant or (isinstance(x, float) and np.isinf(x)) for x in call.inputs)
        if not spoilt and given and not np.isnan(call.out._a).any():
            meant.add(id(call.out))
            first = first or call
        elif not spoilt:
            return [_forward_finding(found, call)]
    return [_forward_finding(found, first)] if first is not None else []


def _data(found: Look) -> list[tuple[str, Any]]:
    named: list[tuple[str, Any]] = [(f"input {i}" if i else "input", x) for i, x in enumerate(found.inputs)]
    named.append(("target", found.target))
    return [(n, x) for n, x in named if isinstance(x, BaseTensor) and x._a.dtype.kind in "fc"]


def _bad(x: Any) -> bool:
    return isinstance(x, BaseTensor) and x._a.dtype.kind in "fc" and not np.isfinite(x._a).all()


def _first_bad(a: Any) -> tuple[str, str]:
    at = np.argwhere(~np.isfinite(np.atleast_1d(a)))[0]
    value = np.atleast_1d(a)[tuple(at)]
    return f"[{', '.join(map(str, at))}]", str(value)


def _shown(x: Any, at: str) -> str:
    """Describe an operand of the operation that went wrong."""
    if not isinstance(x, BaseTensor):
        return repr(x)
    a = x._a
    if a.size == 0 or a.dtype.kind not in "fiu":
        return f"{a.dtype}{list(a.shape)}"
    return f"{a.dtype}{list(a.shape)} between {a.min():.4g} and {a.max():.4g}"


def _forward_finding(found: Look, call: Call) -> Finding:
    at, value = _first_bad(call.out._a)
    given = "; ".join(_shown(x, at) for x in call.inputs)
    which = "loss" if call in found.calls[found.in_loss :] else "forward pass"
    return Finding(
        "not-finite",
        "error",
        f"{call.op.name} gives {value} in the {which}",
        f"All that it was given is finite; its result at {at} is {value}.",
        f"given {given}",
        _remedy(call.op.name, value),
        module=call.module,
        place=call.line,
    )


def _remedy(name: str, value: str) -> str:
    if name in ("log", "log2", "log10", "log1p", "xlog1py"):
        return "keep its argument above zero (clamp(min=eps)), or use a function that takes logits (log_softmax, binary_cross_entropy_with_logits)"
    if name in ("exp", "expm1", "exp2", "cosh", "sinh"):
        return "subtract the maximum first, or use softmax, logsumexp or softplus, which do"
    if name in ("div", "reciprocal", "rsqrt"):
        return "add a small number to the denominator, or choose with where before dividing"
    if name in ("sqrt", "pow"):
        return "keep its argument positive, with a small number added: its slope at zero is infinite, too"
    return "look at the size of what it is given: scale the inputs, the weights or the learning rate down"


def _backward_finding(found: Look) -> list[Finding]:
    """The gradient that is not finite and nearest the loss."""
    for call in reversed(found.calls):
        arriving = found.upstream.get(id(call.out))
        if call.out is found.loss or arriving is None or not _bad(arriving):
            continue
        users = [c for c in found.calls if any(x is call.out for x in c.inputs)]
        at, value = _first_bad(arriving._a)
        through = users[0] if users else call
        return [
            Finding(
                "not-finite",
                "error",
                f"the gradient becomes {value} on its way back through {through.op.name}",
                f"Forward everything is finite. The gradient of the loss with respect to what {through.op.name} was given is {value} at {at}.",
                f"{through.op.name} was given {'; '.join(_shown(x, at) for x in through.inputs)}",
                _remedy(through.op.name, value) + "; a where() behind it does not help, since 0 * inf is NaN",
                module=through.module,
                place=through.line,
            )
        ]
    for name, g in found.gradients.items():
        if g is not None and _bad(g):
            at, value = _first_bad(g._a)
            return [
                Finding(
                    "not-finite",
                    "error",
                    f"the gradient of {name} has {value} in it",
                    f"Its first such element is at {at}.",
                    "forward everything is finite",
                    "scale the loss or the inputs down",
                    module=name.rpartition(".")[0],
                )
            ]
    return []


def dead_units(found: Look) -> list[Finding]:
    """Find layers most of whose rectified units give zero for every sample of the batch, so that no gradient passes."""
    findings = []
    for call in found.calls[: found.in_loss]:
        if call.op.name not in ("relu", "clamp", "maximum"):
            continue
        a = call.out._a
        if a.ndim < 2 or a.shape[0] < FEWEST_SAMPLES or a.dtype.kind != "f" or not np.isfinite(a).all():
            continue
        if call.op.name == "clamp" and call.attrs.get("min") != 0.0:
            continue
        axis = 1 if a.ndim > 2 and _is_image(found, call) else a.ndim - 1
        zero = (a == 0).all(axis=tuple(i for i in range(a.ndim) if i != axis))
        dead, always = int(zero.sum()), int((a != 0).all(axis=tuple(i for i in range(a.ndim) if i != axis)).sum())
        if zero.size < 4 or not too_many_dead(dead, always, zero.size):
            continue
        findings.append(
            Finding(
                "dead-units",
                "error" if dead == zero.size else "warning",
                f"{dead} of {zero.size} rectified units are dead" + (f" in {call.module}" if call.module else ""),
                f"They give zero for all {a.shape[0]} samples, so no gradient reaches the weights before them and they cannot come back.",
                f"share of dead units {zero.mean():.0%}; share of zeros {float((a == 0).mean()):.0%}",
                "initialise the layer before it anew (He's variance, biases zero), lower the learning rate, or use LeakyReLU or GELU",
                module=call.module,
                place=call.line,
                layers=_layer_before(found, call),
            )
        )
    return findings


def too_many_dead(dead: int, always: int, units: int) -> bool:
    """Tell whether so many of a layer's units being zero for every sample is a finding.

    Samples that are much alike, which is what a narrow layer or data without a mean of zero makes of them, drive a unit either always or
    never, as a coin falls: where as many are always on as are dead, nothing is wrong. So dead units must be far more than those that are
    always on, and more than chance leaves; or all of them.

    Examples
    --------
    >>> from retrograd.glass.doctor.values import too_many_dead
    >>> (
    ...     too_many_dead(8, 4, 12),
    ...     too_many_dead(12, 0, 12),
    ...     too_many_dead(50, 2, 64),
    ...     too_many_dead(46, 18, 64),
    ... )
    (False, True, True, False)
    """
    if dead == units:
        return True
    if dead < DEAD_SHARE * units or dead < ALIKE * always:
        return False
    steady = dead + always
    return steady > 200 or sum(math.comb(steady, k) for k in range(dead, steady + 1)) < CHANCE * 2**steady


def _is_image(found: Look, call: Call) -> bool:
    return any(c.op.name.startswith("conv") and c.out._a.ndim == call.out._a.ndim for c in found.calls)


def _layer_before(found: Look, call: Call) -> list[str]:
    """Give the layer whose result an operation reads, looking through a few operations."""
    by_out = {id(c.out): c for c in found.calls}
    layers = {id(layer.call): layer.path for layer in found.layers}
    at: Call | None = call
    for _ in range(12):
        if at is None:
            return []
        if id(at) in layers:
            return [layers[id(at)]]
        at = next((by_out[id(x)] for x in at.inputs if isinstance(x, BaseTensor) and id(x) in by_out), None)
    return []


def saturation(found: Look) -> list[Finding]:
    """Find sigmoids and tanhs most of whose values lie where their slope is nearly zero."""
    findings = []
    for call in found.calls[: found.in_loss]:
        name = call.op.name
        if name not in ("sigmoid", "tanh"):
            continue
        a = np.asarray(call.out._a, dtype=np.float64)
        if a.ndim < 2 or a.size < 64 or not np.isfinite(a).all():
            continue
        slope = 4 * a * (1 - a) if name == "sigmoid" else 1 - a * a
        flat = float((slope < FLAT).mean())
        if flat < SATURATED_SHARE:
            continue
        z = call.inputs[0]._a
        findings.append(
            Finding(
                "saturation",
                "warning",
                f"{name} is saturated" + (f" in {call.module}" if call.module else ""),
                f"{flat:.0%} of its values lie where its slope is less than {FLAT:.0%} of the steepest: hardly any gradient passes.",
                f"what it is given has a standard deviation of {float(np.std(z)):.3g} and a mean of {float(np.mean(z)):.3g}",
                "make the weights before it smaller (Glorot's variance), normalise what it is given, or use ReLU or GELU",
                module=call.module,
                place=call.line,
                layers=_layer_before(found, call),
            )
        )
    return findings
