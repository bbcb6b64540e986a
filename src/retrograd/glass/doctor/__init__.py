"""The doctor: looks at a model, a batch and a loss before training, and says in words what is wrong and what mends it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from . import data, losses, training, values
from .depth import depth
from .finding import Diagnosis, Finding, Profile, ordered
from .look import Look, LossRefuses, look
from .opening import opened, symmetric
from .theory import activation_moments, fans, predict


def doctor(
    model: Any,
    batch: Any = None,
    loss: Callable[..., Any] | None = None,
    *,
    optimizer: Any = None,
    validation: Any = None,
) -> Diagnosis:
    r"""Look at a model at work on one batch and say what is wrong, if anything is.

    A copy of the model runs forward and backward once; the model, its gradients and statistics, the optimizer and the random
    generators are left as they are. What is looked for: values that are not finite, variances that vanish or explode over depth
    and initialisations that do not fit the activation, dead rectified units, saturated sigmoids and tanhs, inputs that are not
    normalised, a validation set normalised with its own statistics, a first loss far above log(classes), an output and a target
    that broadcast, class numbers that the output does not have, probabilities where the loss takes logits, parameters without a gradient, and, if the optimizer is given, a learning rate that does not suit the weights.

    The variances are set beside what mean-field theory predicts from the weights: forward q' = n_in E[w^2] E[phi(z)^2] + Var[b],
    backward p = n_out E[w^2] E[phi'(z)^2] p' (He et al. 2015; Poole et al. 2016; Schoenholz et al. 2017). They are measured in
    float64 where float32 does not hold them.

    Parameters
    ----------
    model : Module or Record
        The model, as it will be trained; or a training run as :func:`retrograd.glass.record` or ``open_record`` gives it, which is all that is
        needed then.
    batch : Tensor or sequence
        What the model is called with; with a ``loss``, the last part of a sequence is its target.
    loss : callable, optional
        Called with the model's output and the target. Without it, the model's (first) result is the loss.
    optimizer : Optimizer, optional
        Its step is tried on copies.
    validation : Tensor or sequence, optional
        Validation inputs, to be compared with the batch's, if both are whole sets.

    Returns
    -------
    Diagnosis
        A sequence of findings, worst first, with the variances of every layer.

    Raises
    ------
    TypeError
        If there is no loss and the model's result has no tensor, or if a model comes without a batch.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd import glass
    >>> _ = torch.manual_seed(0)
    >>> layers = [m for _ in range(20) for m in (torch.nn.Linear(64, 64), torch.nn.ReLU())]
    >>> net = torch.nn.Sequential(*layers, torch.nn.Linear(64, 10))
    >>> batch = torch.randn(32, 64), torch.randint(0, 10, (32,))
    >>> found = glass.doctor(net, batch, torch.nn.functional.cross_entropy)
    >>> found.kinds
    ['initialisation']
    """
    from ..recording.reader import Record  # which names findings by what this package defines

    if isinstance(model, Record):
        return Diagnosis(model.findings(), [], None, str(model.meta.get("model") or "training"))
    if batch is None:
        raise TypeError(f"doctor: give it a batch for the {type(model).__name__}, or a record of its training")
    title = type(model).__name__

    def again(mended: Any) -> Diagnosis:
        return doctor(mended, batch, loss, optimizer=optimizer, validation=validation)

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            found = look(model, batch, loss)
        except LossRefuses as error:
            refused = losses.refused(error)
            if not refused and error.__cause__ is not None:
                raise error.__cause__ from None
            return Diagnosis(ordered(refused), [], model, title, batch, loss, again)
        findings = values.not_finite(found)
        if findings:
            double = (
                _profile_of(model, batch, loss) if findings[0].kind == "not-finite" and not _data_bad(found) else None
            )
            explained = depth(double) if double is not None else []
            return Diagnosis(
                ordered(explained or findings), _profile(double) if double else [], model, title, batch, loss, again
            )
        double_wanted = _beyond_float32(found)
        measured = look(model, batch, loss, double=True) if double_wanted else found
        predict(measured)
        moved = opened(measured, lambda m: look(m, batch, loss, double=double_wanted))
        if moved is not measured:
            predict(moved)
        findings += _findings(found, moved, optimizer, model)
        if validation is not None:
            findings += data.validation(found.inputs[0] if found.inputs else None, validation)
    return Diagnosis(ordered(findings), _profile(measured), model, title, batch, loss, again)


def _findings(found: Look, measured: Look, optimizer: Any, model: Any) -> list[Finding]:
    """Collect the findings; what another one explains is left out."""
    mistaken = losses.given(found)
    out = data.broadcast(found) + mistaken + training.no_gradient(found)
    scale = data.inputs(found)
    out += scale
    deep = symmetric(measured) or ([] if scale else depth(measured))
    out += deep
    if not deep:
        units = values.dead_units(found)
        out += units
        saturated = values.saturation(found) if not (scale or units) else []
        out += saturated
        if not scale and not units and not saturated and not mistaken:
            out += data.first_loss(found)
    if not out:
        out += training.learning_rate(found, optimizer, model)
    return out


def _beyond_float32(found: Look) -> bool:
    """Tell whether a variance or a gradient is near the end of what the model's dtype holds."""
    for layer in found.layers:
        for v in (layer.forward, layer.backward):
            if v == -math.inf or math.isnan(v) or abs(v) > 60:
                return True
    return False


def _data_bad(found: Look) -> bool:
    return any(
        isinstance(x._a, np.ndarray) and x._a.dtype.kind == "f" and not np.isfinite(x._a).all()
        for x in found.inputs
        if hasattr(x, "_a")
    )


def _profile_of(model: Any, batch: Any, loss: Any) -> Look | None:
    """Look in float64, where what overflowed in the model's own dtype may still be finite."""
    try:
        found = look(model, batch, loss, double=True)
    except (RuntimeError, TypeError):
        return None
    if not found.layers or not all(np.isfinite(layer.call.out._a).all() for layer in found.layers):
        return None
    predict(found)
    return found


def _profile(found: Look) -> list[Profile]:
    return [
        Profile(
            layer.path,
            layer.call.op.name,
            fans(layer.call)[0],
            float(np.std(np.asarray(layer.weight._a, dtype=np.float64))),
            layer.forward,
            layer.predicted_forward,
            layer.backward,
            layer.predicted_backward,
        )
        for layer in found.layers
    ]


__all__ = ["Diagnosis", "Finding", "Profile", "activation_moments", "doctor"]
