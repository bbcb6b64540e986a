"""Mending what a change of initialisation mends, and showing the diagnosis before and after."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import no_grad
from ..nn import init
from .doctor import Diagnosis
from .doctor.look import Look, look
from .doctor.theory import Field, Root, Theory, fans


@dataclass
class Repair:
    """What was done, and the diagnoses before and after.

    Attributes
    ----------
    changed
        For each weight that was initialised anew its path, its standard deviation before, and after.
    before, after
        The diagnoses.
    """

    changed: list[tuple[str, float, float]]
    before: Diagnosis
    after: Diagnosis

    def __str__(self) -> str:
        rows = [f"  {path}: weights' standard deviation {old:.3g} -> {new:.3g}" for path, old, new in self.changed]
        left = ", ".join(self.after.kinds) or "nothing"
        return "\n".join(
            [
                f"initialised {len(self.changed)} layers anew",
                *rows,
                f"found before: {', '.join(self.before.kinds)}",
                f"found after: {left}",
            ]
        )


def repair(findings: Diagnosis, *, generator: Any = None) -> Repair:
    r"""Initialise anew the layers that findings name, so that each keeps its signal's variance; biases become zero.

    Weights are drawn from N(0, 1 / (n_in E[phi(z)^2])) for z ~ N(0, 1), where phi is what the program does between the layer
    before and this one: He's variance 2 / n_in for ReLU, LeCun's 1 / n_in for SELU. A last layer whose logits are too large is
    scaled down instead.

    Parameters
    ----------
    findings : Diagnosis
        What :func:`retrograd.glass.doctor` gave. Findings that no initialisation mends are left.
    generator : Generator, optional
        Where the weights are drawn from.

    Returns
    -------
    Repair
        What was changed, and the diagnosis before and after.

    Raises
    ------
    TypeError
        If it is given anything else.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd import glass
    >>> _ = torch.manual_seed(0)
    >>> layers = [m for _ in range(20) for m in (torch.nn.Linear(64, 64), torch.nn.ReLU())]
    >>> net = torch.nn.Sequential(*layers, torch.nn.Linear(64, 10))
    >>> batch = torch.randn(32, 64), torch.randint(0, 10, (32,))
    >>> found = glass.doctor(net, batch, torch.nn.functional.cross_entropy)
    >>> mended = glass.repair(found)
    >>> mended.before.kinds, mended.after.kinds
    (['initialisation'], [])
    """
    if not isinstance(findings, Diagnosis) or findings.again is None:
        raise TypeError(f"repair wants the Diagnosis that glass.doctor gave, not {type(findings).__name__}")
    model, changed = findings.model, []
    for found in findings:
        if found.kind == "first-loss":
            changed += [_scaled(model, path) for path in found.layers]
        elif found.layers:
            changed += _initialised(findings, found.layers, generator)
    return Repair(changed, findings, findings.again(model))


def _weight(model: Any, path: str) -> tuple[Any, Any]:
    module = model.get_submodule(path)
    return module.weight, getattr(module, "bias", None)


def _scaled(model: Any, path: str) -> tuple[str, float, float]:
    weight, bias = _weight(model, path)
    before = float(np.std(weight._a))
    with no_grad():
        weight.mul_(0.1 * min(1.0, 1.0 / (before * math.sqrt(weight._a[0].size)))).detach()
        if bias is not None:
            bias.zero_()
    return path, before, float(np.std(weight._a))


def _initialised(findings: Diagnosis, paths: list[str], generator: Any) -> list[tuple[str, float, float]]:
    model = findings.model
    scales = wanted(look(model, findings.batch, findings.loss, double=True), paths)
    changed = []
    for path in paths:
        if not hasattr(model.get_submodule(path), "weight") or path not in scales:
            continue  # several weights of one module, as attention has
        weight, bias = _weight(model, path)
        before = float(np.std(np.asarray(weight._a, dtype=np.float64)))
        init.normal_(weight, 0.0, scales[path], generator=generator)
        if bias is not None:
            init.zeros_(bias)
        changed.append((path, before, scales[path]))
    return changed


def wanted(found: Look, paths: list[str]) -> dict[str, float]:
    """Give the standard deviation of each layer's weights that keeps a variance of one, for what the program does before it."""
    theory = _Unit(found)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        theory.run()
    result = {}
    for layer in found.layers:
        if layer.path in paths:
            second = theory.seconds.get(id(layer.call), 1.0)
            result[layer.path] = 1 / math.sqrt(fans(layer.call)[0] * (second if second > 1e-12 else 1.0))
    return result


class _Unit(Theory):
    """The theory of a network whose layers all give z ~ N(0, 1)."""

    def __init__(self, found: Look) -> None:
        super().__init__(found)
        self.seconds: dict[int, float] = {}

    def _root(self, mean: float, variance: float, **more: Any) -> Root:
        more.pop("spread", None)
        return super()._root(0.0, 1.0, **more)

    def _mix(self, call: Any, layer: Any) -> None:
        source: Field | None = self._of(call.inputs[0])
        if source is not None and not source.constant:
            self.seconds[id(call)] = source.second_moment()
        kept = layer.predicted_forward, layer.predicted_backward, layer.gain, layer.covered
        super()._mix(call, layer)
        layer.predicted_forward, layer.predicted_backward, layer.gain, layer.covered = kept

    def _backward(self) -> None:
        return


__all__ = ["Repair", "repair", "wanted"]
