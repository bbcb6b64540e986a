r"""Mean-field theory of a network's first step: the variance of every layer's values and gradients, from its weights alone.

A layer's pre-activations are sums of many terms, so they are nearly Gaussian, and what follows up to the next layer is a function of
such a number: with z ~ N(mean, q),

    forward    q' = n_in E[w^2] E[phi(z)^2] + Var[b]
    backward   p  = n_out E[w'^2] E[phi'(z)^2] p'

where p is the second moment of the loss's gradient with respect to z. E is taken over a grid of the normal distribution. The
operations between two layers are replayed on that grid as they stand in the program, so phi may be any composition of elementwise
functions, normalisations included (means over many elements are numbers), and phi' is its derivative by reverse mode. Where paths
meet, as in a residual network, they are taken as independent. Sources: He et al. 2015 (ReLU), Poole et al. 2016 and Schoenholz et
al. 2017 (mean field), Glorot and Bengio 2010.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...core import BaseTensor, enable_grad
from ...tensor import Tensor
from ...tensor.backward import grad
from .look import Call, Layer, Look, log_variance

REACH = 8.0
GROUPS = 8  # of samples, by how large they are: a function of a large one and of a small one differ
GRID = np.linspace(-REACH, REACH, 800)  # an even number: none is zero, where many functions have a corner
POINTS = GROUPS * GRID.size
WEIGHTS = np.tile(np.exp(-GRID * GRID / 2), GROUPS)
WEIGHTS /= WEIGHTS.sum()

MOVES = {
    *(
        "view",
        "reshape",
        "transpose",
        "permute",
        "slice",
        "expand",
        "broadcast_to",
        "squeeze",
        "unsqueeze",
        "clone",
        "copy",
    ),
    *("movedim", "flip", "roll", "contiguous", "cast", "detach", "assemble", "alias", "to"),
}
SUMS = {"mean": True, "sum": False}


@dataclass(eq=False)
class Root:
    """A Gaussian variable: a layer's result, an input, or a sum of independent ones."""

    mean: float
    variance: float
    spread: Any = None  # the variances of groups of samples, over their mean
    leaf: Any = None  # the grid, as a tensor that wants a gradient
    received: Any = 0.0  # second moment of the gradient that arrives, by groups of samples
    layer: Layer | None = None
    measured: bool = True  # its moments were measured here, not predicted
    drift: float = 0.0  # log10 of what was measured here over what theory says from the start
    parts: list[tuple[Field, float]] = field(default_factory=list)  # where its gradient goes on to, and times what

    def __post_init__(self) -> None:
        spread = np.ones(GROUPS) if self.spread is None else self.spread
        deviation = np.sqrt(max(self.variance, 0.0) * spread)
        with enable_grad():
            self.leaf = Tensor._wrap(self.mean + (deviation[:, None] * GRID).ravel()).requires_grad_(True)


@dataclass(eq=False)
class Field:
    """A value that is a function of one root: what it is at each point of the grid."""

    root: Root
    values: Any  # a Tensor over the grid
    constant: bool = False  # a mean of many elements: a number

    def second_moment(self) -> float:
        """Give E[v^2]."""
        return float((WEIGHTS * self.values._a**2).sum())

    def mean(self) -> float:
        """Give E[v]."""
        return float((WEIGHTS * self.values._a).sum())

    def derivative(self) -> Any:
        """Give dv/dz over the grid."""
        if self.constant or not self.values.requires_grad:
            return np.zeros(POINTS)
        with enable_grad():
            (d,) = grad(self.values.sum(), [self.root.leaf], retain_graph=True, allow_unused=True)
        return np.zeros(POINTS) if d is None else d._a

    def slope(self) -> Any:
        """Give E[(dv/dz)^2] for each group: how the second moment of a gradient changes on its way back to the root."""
        return GROUPS * (WEIGHTS * self.derivative() ** 2).reshape(GROUPS, -1).sum(1)

    def growth(self) -> float:
        """Give d E[v^2] / d log q for a root of variance q: how much of an error in q goes on."""
        return float((WEIGHTS * self.values._a * self.derivative() * (self.root.leaf._a - self.root.mean)).sum())


def identity(root: Root) -> Field:
    """Give the root's own value."""
    return Field(root, root.leaf)


def activation_moments(phi: Any, mean: float = 0.0, variance: float = 1.0) -> tuple[float, float]:
    """Give E[phi(z)^2] and E[phi'(z)^2] for z ~ N(mean, variance) and a function of tensors.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.glass.doctor.theory import activation_moments
    >>> [round(m, 3) for m in activation_moments(torch.relu)]
    [0.5, 0.5]
    """
    root = Root(mean, variance)
    with enable_grad():
        found = Field(root, phi(root.leaf))
    return found.second_moment(), float(found.slope().mean())


class Theory:
    """Walks a look's calls with moments instead of values, and writes what it predicts into the look's layers."""

    def __init__(self, found: Look) -> None:
        self.found = found
        self.fields: dict[int, Field] = {}
        self.roots: list[Root] = []
        self.layers = {id(layer.call): layer for layer in found.layers}
        self.weights = {id(p) for p in found.parameters.values()}
        self.made = {id(call.out) for call in found.calls}
        self.used_elsewhere: list[tuple[Field, Any]] = []  # values that go where the theory does not
        self.order = self._by_size()

    def _by_size(self) -> Any:
        """Give the samples in the order of how large the last layers' values are; None if there are none to tell apart."""
        for layer in reversed(self.found.layers):
            sizes = _sizes(layer.call.out._a)
            if sizes is not None and layer.call.out._a[0].size >= 8:
                return np.argsort(sizes, kind="stable")
        return None

    def run(self) -> None:
        """Predict forward, then backward."""
        for call in self.found.calls[: self.found.in_loss]:
            self._forward(call)
        self._backward()

    # forward

    def _root(self, mean: float, variance: float, **more: Any) -> Root:
        made = Root(mean, variance, **more)
        self.roots.append(made)
        return made

    def _of(self, x: Any) -> Field | None:
        """Give an operand's field: known, or measured if it is data; None for what is no tensor of numbers."""
        known = self.fields.get(id(x))
        if known is not None or not isinstance(x, BaseTensor) or id(x) in self.weights or id(x) in self.made:
            return known
        if x._a.dtype.kind != "f" or x._a.ndim < 2:
            return None
        self.fields[id(x)] = identity(self._measured(x))
        return self.fields[id(x)]

    def _measured(self, x: Any) -> Root:
        a = np.asarray(x._a, dtype=np.float64)
        if a.size == 0 or not np.isfinite(a).all():
            return self._root(0.0, 1.0)
        return self._root(float(a.mean()), float(a.var()), spread=spread_of(a, self.order))

    def _forward(self, call: Call) -> None:
        out, name = call.out, call.op.name
        if out._a.dtype.kind != "f":
            if call.op.family == "elementwise":
                self._pointwise(call)  # a comparison, whose result is chosen by
            return
        layer = self.layers.get(id(call))
        if layer is not None:
            self._mix(call, layer)
        elif name in MOVES or call.op.view:
            source = self._of(call.inputs[0])
            if source is not None:
                self.fields[id(out)] = source
        elif name in SUMS:
            self._reduce(call, name)
        elif call.op.family == "elementwise" or name == "where":
            self._pointwise(call)
        else:
            self._leave(call)

    def _mix(self, call: Call, layer: Layer) -> None:
        source = self._of(call.inputs[0])
        if source is None or source.constant:
            self._leave(call)
            return
        w = np.asarray(layer.weight._a, dtype=np.float64)
        fan_in, fan_out = fans(call)
        square = float((w * w).mean())
        second, middle = source.second_moment(), source.mean()
        variance = fan_in * (square * second - (float(w.mean()) * middle) ** 2)
        bias = np.asarray(layer.bias._a, dtype=np.float64) if layer.bias is not None else np.zeros(1)
        layer.covered = True
        layer.gain = variance / source.root.variance if source.root.variance > 0 else math.nan
        variance += float(bias.var())
        # at most all of it: a map that enlarges differences (GELU with He's variance) says nothing from far away
        growth = fan_in * square * source.growth() / variance if variance > 0 else 0.0
        carried = source.root.drift * min(max(growth, 0.0), 1.0)
        layer.predicted_forward = _log(variance) - carried
        root = self._followed(fan_in * float(w.mean()) * middle + float(bias.mean()), variance, call, carried)
        root.layer, root.measured = layer, False
        root.parts = [(source, fan_out * square)]
        self.fields[id(call.out)] = identity(root)

    def _followed(self, mean: float, variance: float, call: Call, drift: float) -> Root:
        """Make a root of what theory says and go on from what was measured.

        ``drift`` is the part of earlier differences that is in what theory says; with the new one it is kept, so that what is
        predicted further on is what theory says from the start.
        """
        measured = log_variance(call.out._a)
        said = _log(variance)
        if not (math.isfinite(measured) and math.isfinite(said)) or abs(measured) > 290:
            return self._root(mean, variance, drift=drift)
        return self._root(
            mean, 10.0**measured, drift=drift + measured - said, spread=spread_of(call.out._a, self.order)
        )

    def _reduce(self, call: Call, name: str) -> None:
        source = self._of(call.inputs[0])
        if source is None:
            return
        size = call.inputs[0]._a.size / max(call.out._a.size, 1)
        level = source.mean() * (1.0 if SUMS[name] else size)
        self.fields[id(call.out)] = Field(source.root, Tensor._wrap(np.full(POINTS, level)), constant=True)

    def _pointwise(self, call: Call) -> None:
        sources = [self._of(x) for x in call.inputs]
        fields = [s for s in sources if s is not None and not s.constant]
        if not fields:
            fields = [s for s in sources if s is not None]
        if not fields:
            if any(id(x) in self.made for x in call.inputs if isinstance(x, BaseTensor)):
                self._leave(call)
            return
        if len({id(f.root) for f in fields}) > 1:
            self._join(call, sources)
            return
        root = fields[0].root
        values: list[Any] = []
        for x, s in zip(call.inputs, sources, strict=True):
            if s is not None:
                values.append(s.values)
            elif isinstance(x, BaseTensor):
                level = _level(call.op.name, x._a)
                if level is None:
                    self._leave(call)
                    return
                values.append(Tensor._wrap(np.asarray(level, dtype=np.float64)))
            else:
                values.append(x)
        with enable_grad():
            try:
                result = call.op(*values, **call.attrs)
            except (RuntimeError, TypeError, ValueError, IndexError):
                self._leave(call)
                return
        if result._a.shape != (POINTS,):
            self._leave(call)
            return
        constant = all(s.constant for s in sources if s is not None)
        self.fields[id(call.out)] = Field(root, result, constant)

    def _join(self, call: Call, sources: list[Field | None]) -> None:
        """Two independent values meet: their sum or product is a new variable."""
        name = call.op.name
        if name not in ("add", "sub", "mul") or len(sources) != 2 or None in sources:
            self._leave(call)
            return
        a, b = sources
        assert a is not None and b is not None
        if name == "mul":
            first, second = a.second_moment(), b.second_moment()
            level = a.mean() * b.mean()
            drift = a.root.drift + b.root.drift
            root = self._followed(level, max(first * second - level * level, 0.0), call, drift)
            root.parts = [(a, second), (b, first)]
        else:
            sign = 1.0 if name == "add" else -1.0
            spreads = [max(f.second_moment() - f.mean() ** 2, 0.0) for f in (a, b)]
            spread = sum(spreads)
            drift = sum(f.root.drift * f.growth() for f in (a, b)) / spread if spread else 0.0
            root = self._followed(a.mean() + sign * b.mean(), spread, call, drift)
            root.parts = [(a, 1.0), (b, 1.0)]
        root.measured = a.root.measured and b.root.measured
        self.fields[id(call.out)] = identity(root)

    def _leave(self, call: Call) -> None:
        """The theory does not cover this operation: it goes on from what was measured behind it."""
        for x in call.inputs:
            known = self.fields.get(id(x)) if isinstance(x, BaseTensor) else None
            if known is not None and id(x) in self.found.upstream:
                self.used_elsewhere.append((known, self.found.upstream[id(x)]))
        if call.out._a.dtype.kind == "f" and call.out._a.ndim >= 1:
            self.fields[id(call.out)] = identity(self._measured(call.out))

    # backward

    def _backward(self) -> None:
        for known, upstream in self.used_elsewhere:
            self._arrive(known, self._second_moment(upstream))
        self._anchor()
        for root in reversed(self.roots):
            if root.layer is not None:
                root.layer.predicted_backward = _log(float(np.mean(root.received)))
            for source, factor in root.parts:
                self._arrive(source, factor * root.received)

    def _arrive(self, known: Field, p: Any) -> None:
        if np.any(p > 0):
            known.root.received = known.root.received + p * known.slope()

    def _second_moment(self, x: Any) -> Any:
        a = np.asarray(x._a, dtype=np.float64)
        if not a.size or not np.isfinite(a).all():
            return 0.0
        square = float((a * a).mean())
        spread = spread_of(a, self.order, around=0.0)
        return square if spread is None else square * spread

    def _anchor(self) -> None:
        """The loss's gradient with respect to what it was given is measured: the theory is of the network, not of the loss."""
        for call in self.found.calls[self.found.in_loss :]:
            for x in call.inputs:
                known = self.fields.pop(id(x), None) if isinstance(x, BaseTensor) else None
                if known is not None and id(x) in self.found.upstream:
                    self._arrive(known, self._second_moment(self.found.upstream[id(x)]))


def _sizes(a: Any, around: float | None = None) -> Any:
    """Give each sample's variance (dimension 0), up to a common factor, so that none overflows; None if there are no samples."""
    a = np.asarray(a, dtype=np.float64)
    if a.ndim < 2 or a.shape[0] < 2 or a[0].size < 1:
        return None
    scale = float(np.abs(a).max())
    if not math.isfinite(scale) or scale == 0:
        return None
    flat = (a / scale).reshape(a.shape[0], -1)
    return np.mean(flat * flat, axis=1) if around is not None or flat.shape[1] < 2 else np.var(flat, axis=1)


def spread_of(a: Any, order: Any, around: float | None = None) -> Any:
    """Give how the samples' variances differ: those of groups of samples, in a fixed order, over the mean of all."""
    sizes = _sizes(a, around)
    if sizes is None or order is None or len(order) != len(sizes):
        return None
    groups = np.array([part.mean() if part.size else np.nan for part in np.array_split(sizes[order], GROUPS)])
    filled = np.where(np.isnan(groups), np.nanmax(groups), groups)
    return filled / filled.mean() if filled.mean() > 0 else None


def _log(value: float) -> float:
    return math.log10(value) if value > 0 and math.isfinite(value) else float("-inf") if value == 0 else float("nan")


def _level(name: str, a: Any) -> float | None:
    """Give one number for an operand that is no function of the root: its root mean square as a factor, its mean as a summand."""
    a = np.asarray(a, dtype=np.float64)
    if a.size == 0 or not np.isfinite(a).all():
        return None
    first = float(a.flat[0])
    if a.size == 1 or (a == first).all():
        return first
    if name in ("mul", "div"):
        square = float((a * a).mean())
        return math.sqrt(square) if name == "mul" else None
    return float(a.mean()) if name in ("add", "sub") else None


def fans(call: Call) -> tuple[float, float]:
    """Give how many inputs one result of a layer sums, and how many results one input goes into; padding counts as nothing."""
    w = call.inputs[1]._a
    if call.op.name == "linear":
        return float(w.shape[1]), float(w.shape[0])
    x, out = call.inputs[0]._a, call.out._a
    if call.op.name == "conv":
        taps = _taps(call, w, out)
        fan_in = w.shape[1] * taps
    else:  # a transposed convolution: the weight is of the convolution that it undoes
        fan_in = (
            w.shape[0]
            / call.attrs.get("groups", 1)
            * math.prod(w.shape[2:])
            * math.prod(x.shape[2:])
            / max(math.prod(out.shape[2:]), 1)
        )
    return fan_in, fan_in * out.size / max(x.size, 1)


def _taps(call: Call, w: Any, out: Any) -> float:
    """Give how many of a kernel's taps fall on the image, on average over the results."""
    x = call.inputs[0]._a
    total = 1.0
    for i, (kernel, size) in enumerate(zip(w.shape[2:], x.shape[2:], strict=True)):
        stride, (before, _), dilation = (call.attrs[k][i] for k in ("stride", "padding", "dilation"))
        places = np.arange(out.shape[2 + i])[:, None] * stride - before + np.arange(kernel)[None, :] * dilation
        total *= float(((places >= 0) & (places < size)).sum(1).mean()) if places.size else 0.0
    return total


def predict(found: Look) -> None:
    """Fill in ``predicted_forward`` and ``predicted_backward`` of a look's layers."""
    Theory(found).run()


__all__ = ["Field", "Root", "Theory", "activation_moments", "fans", "predict"]
