"""One look at a model at work: a forward and a backward pass on a copy, with every operation, its module and its line noted."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ... import random as _random
from ...core import BaseTensor, enable_grad
from ...core.place import describe, here
from ...tensor.backward import grad as gradients_of
from ..observing import Observing
from ..twins import twin as copied

LAYERS = {"linear", "conv", "conv_transpose", "conv_input_grad"}  # operations that mix units with a weight


@dataclass(eq=False)
class Call:
    """One operation: what it was given, what it gave, and where in the program and in the model that was."""

    op: Any
    inputs: tuple[Any, ...]
    attrs: dict[str, Any]
    out: Any
    module: str
    place: Any

    @property
    def line(self) -> str:
        """The user's line, as ``file:line, in function: source``."""
        return describe(self.place) if self.place is not None else ""

    @property
    def name(self) -> str:
        """The operation and its module."""
        return f"{self.op.name} in {self.module}" if self.module else str(self.op.name)


@dataclass(eq=False)
class Layer:
    """An operation with a weight, and what was measured at it."""

    call: Call
    path: str
    weight: Any
    bias: Any
    forward: float = np.nan  # log10 of the variance of its result
    backward: float = np.nan  # log10 of the mean square of the loss's gradient with respect to its result
    predicted_forward: float = np.nan
    predicted_backward: float = np.nan
    gain: float = (
        np.nan
    )  # by what theory says its weights multiply the variance of the layer before, the activation included
    covered: bool = False  # whether a prediction was made, from the layer before


@dataclass(eq=False)
class Look:
    """What one forward and backward pass showed."""

    model: Any
    inputs: tuple[Any, ...]
    target: Any
    output: Any
    loss: Any
    calls: list[Call]
    parameters: dict[str, Any]
    gradients: dict[str, Any]  # by the parameter's name; None where none came
    layers: list[Layer] = field(default_factory=list)
    in_loss: int = 0  # the first call of the loss
    upstream: dict[int, Any] = field(default_factory=dict)  # gradients of the calls' results, by id of the result
    began_zero: set[str] = field(default_factory=set)  # parameters that were moved from zero for this look


class LossRefuses(Exception):
    """A loss raised an error, its cause, for an output and a target."""

    def __init__(self, output: Any, target: Any, ignored: Any) -> None:
        super().__init__("the loss cannot be computed")
        self.output, self.target, self.ignored = output, target, ignored


def log_variance(a: Any, *, about_zero: bool = False) -> float:
    """Give log10 of an array's variance, or mean square, without overflow or underflow on the way; -inf for a constant."""
    a = np.asarray(a, dtype=np.float64)
    if a.size == 0 or not np.isfinite(a).all():
        return float("nan")
    scale = float(np.abs(a).max())
    if scale == 0:
        return float("-inf")
    a = a / scale
    variance = float(np.mean(a * a) if about_zero else np.var(a))
    return 2 * float(np.log10(scale)) + float(np.log10(variance)) if variance > 0 else float("-inf")


class _Tape(Observing):
    """Notes every operation while it is on."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.calls: list[Call] = []

    def _seen(self, op: Any, xs: Any, attrs: dict[str, Any], result: Any) -> None:
        place = here()
        for out in result if isinstance(result, tuple) else (result,):
            if out is not None:
                self.calls.append(Call(op, tuple(xs), dict(attrs), out, self.module, place))


def _copied(thing: Any, double: bool) -> Any:
    """Copy tensors in nested data, without their history; floating point ones in float64 if asked."""
    if isinstance(thing, BaseTensor):
        x: Any = thing
        x = x.detach().clone()
        return x.double() if double and x.is_floating_point() else x
    if isinstance(thing, dict):
        return type(thing)((k, _copied(v, double)) for k, v in thing.items())
    if isinstance(thing, (list, tuple)):
        parts = [_copied(v, double) for v in thing]
        return type(thing)(*parts) if hasattr(thing, "_fields") else type(thing)(parts)
    return thing


def split(batch: Any, loss: Any) -> tuple[tuple[Any, ...], Any]:
    """Give the model's arguments and the target: the last of a batch's parts, where there is a loss to hand it to."""
    if isinstance(batch, (list, tuple)):
        parts = tuple(batch)
        return (parts[:-1], parts[-1]) if loss is not None and len(parts) > 1 else (parts, None)
    return (batch,), None


def _scalar(value: Any) -> Any:
    """Find the tensor that ``backward`` starts from in what a model gave."""
    if isinstance(value, BaseTensor):
        return value
    if isinstance(value, dict):
        return _scalar(value.get("loss", next(iter(value.values()), None)))
    if hasattr(value, "loss"):
        return _scalar(value.loss)
    if isinstance(value, (list, tuple)) and value:
        return _scalar(value[0])
    raise TypeError(
        f"doctor: the model gave a {type(value).__name__}, which has no tensor to go back from; give it a loss"
    )


def look(
    model: Any, batch: Any, loss: Callable[..., Any] | None, *, double: bool = False, backward: bool = True
) -> Look:
    """Run a copy of a model once, forward and backward; the model, its mode, its gradients and the generators stay."""
    state = _random.default_generator.get_state()
    try:
        twin = copied(model)
        if double and hasattr(twin, "double"):
            twin = twin.double()
        inputs, target = split(_copied(batch, double), loss)
        with enable_grad(), _Tape(twin) as tape:
            output = twin(*inputs)
            in_loss = len(tape.calls)
            if loss is None:
                end = _scalar(output)
            else:
                criterion = copy.deepcopy(loss) if hasattr(loss, "named_modules") else loss
                if double and hasattr(criterion, "double"):
                    criterion = criterion.double()
                try:
                    end = criterion(output) if target is None else criterion(output, target)
                except (IndexError, RuntimeError, ValueError) as error:
                    raise LossRefuses(output, target, getattr(criterion, "ignore_index", None)) from error
        parameters = dict(twin.named_parameters()) if hasattr(twin, "named_parameters") else {}
        wanted = {n: p for n, p in parameters.items() if p.requires_grad}
        found = Look(twin, inputs, target, output, end, tape.calls, parameters, {}, in_loss=in_loss)
        if backward:
            _backward(found, wanted)
        _measure(found)
        return found
    finally:
        _random.default_generator.set_state(state)


def _backward(found: Look, wanted: dict[str, Any]) -> None:
    end = found.loss
    if end.requires_grad:
        inner = [c.out for c in found.calls if c.out.requires_grad and c.out is not end and c.op.family != "plain"]
        seen: dict[int, Any] = {id(t): t for t in inner}
        asked = [*wanted.values(), *seen.values()]
        total = end if end.numel() == 1 else end.sum()
        got: Sequence[Any] = gradients_of(total, asked, allow_unused=True) if asked else ()
        found.gradients = dict(zip(wanted, got, strict=False))
        found.upstream = {k: g for k, g in zip(seen, got[len(wanted) :], strict=True) if g is not None}
    else:
        found.gradients = dict.fromkeys(wanted)


def _measure(found: Look) -> None:
    names = {id(p): n for n, p in found.parameters.items()}
    for call in found.calls[: found.in_loss]:
        if call.op.name not in LAYERS or len(call.inputs) < 2 or id(call.inputs[1]) not in names:
            continue
        name = names[id(call.inputs[1])]
        bias = call.inputs[2] if len(call.inputs) > 2 and isinstance(call.inputs[2], BaseTensor) else None
        layer = Layer(call, name.rpartition(".")[0] or name, call.inputs[1], bias)
        layer.forward = log_variance(call.out._a)
        if id(call.out) in found.upstream:
            layer.backward = log_variance(found.upstream[id(call.out)]._a, about_zero=True)
        found.layers.append(layer)
