"""Products as lists of factors, each with a power, and how factors go through broadcasts and out of sums."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ...core import Node
from .rebuild import Builder

# ("node", value), ("exp", w), or ("sigmoid", w, sign), of w or of -w; values and ws have the product's own shape
Key = Any


class Factors(NamedTuple):
    """A number times factors to whole powers, in the order in which they came."""

    number: float
    parts: list[tuple[Key, int]]

    def times(self, other: Factors) -> Factors:
        """Give the product of two."""
        return Factors(self.number * other.number, self.parts + other.parts)

    def power(self, k: int) -> Factors:
        """Give a whole power."""
        return Factors(self.number**k, [(key, p * k) for key, p in self.parts])

    def only(self) -> tuple[Key, int]:
        """Give the one factor of a product that has no number, or an empty key."""
        return self.parts[0] if len(self.parts) == 1 and self.number == 1 else ((None,), 0)


def exponential(w: Node) -> tuple[Key, int]:
    """Give ``exp(w)`` as a factor with a power: ``exp(-w)`` is one over ``exp(w)``."""
    if w.op is not None and w.op.name == "neg":
        return ("exp", w.inputs[0]), -1
    return ("exp", w), 1


def sigmoid(w: Node) -> Key:
    """Give ``sigmoid(w)`` as a factor."""
    if w.op is not None and w.op.name == "neg":
        return ("sigmoid", w.inputs[0], -1)
    return ("sigmoid", w, 1)


def cancelled(whole: Factors, positive: set[Node]) -> tuple[Factors, bool]:
    """Take out what is positive and stands above and below the line, and exponentials beside sigmoids; tell if there was any.

    ``exp(w) * sigmoid(-w)`` is ``sigmoid(w)``.
    """
    above: dict[Key, int] = {}
    below: dict[Key, int] = {}
    for key, p in whole.parts:
        side = above if p > 0 else below
        side[key] = side.get(key, 0) + abs(p)
    changed = False
    for key in [k for k in above if k in below and (k[0] != "node" or k[1] in positive)]:
        common = min(above[key], below[key])
        above[key] -= common
        below[key] -= common
        changed = True
    for key in [*above, *below]:
        if key[0] != "exp":
            continue
        for side, sign in ((above, -1), (below, 1)):
            old, new = ("sigmoid", key[1], sign), ("sigmoid", key[1], -sign)
            common = min(side.get(key, 0), above.get(old, 0))
            if common:
                side[key] -= common
                above[old] -= common
                above[new] = above.get(new, 0) + common
                changed = True
    parts = [(k, p) for k, p in above.items() if p] + [(k, -p) for k, p in below.items() if p]
    return Factors(whole.number, parts), changed


def number_in(builder: Builder, x: Node) -> Any:
    """Give the finite number that a node is everywhere, or None."""
    while x.op is not None and x.op.name in ("expand", "view"):
        x = x.inputs[0]
    value = builder.constants.get(x)
    if isinstance(value, np.ndarray):
        value = value.reshape(()).item() if value.size == 1 and value.dtype.kind in "fiu" else None
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return value if fits else None


def repeated(x: Node) -> Node:
    """Give what a value is a repetition of, whatever dimensions of one it has besides."""
    while x.op is not None and (x.op.name == "expand" or _sets_ones(x)):
        x = x.inputs[0]
    return x


def _sets_ones(x: Node) -> bool:
    """Tell whether a node is its input with dimensions of one put in or taken out."""
    if x.op is None or x.op.name not in ("view", "slice", "embed"):
        return False
    return [n for n in x.shape if n != 1] == [n for n in x.inputs[0].shape if n != 1]


def like(builder: Builder, made: Node, x: Node, inner: Node) -> Node:
    """Repeat ``made`` as ``x`` repeats ``inner``."""
    steps = []
    while x is not inner:
        steps.append(x)
        x = x.inputs[0]
    for step in reversed(steps):
        made = builder.call("expand" if step.op.name == "expand" else "view", made, shape=step.shape)  # type: ignore[union-attr]
    return made


def broadcast(builder: Builder, x: Node, shape: tuple[int, ...]) -> Node:
    """Give a value in a larger shape: the same node, however it was put together."""
    if x.shape == shape:
        return x
    aligned = (1,) * (len(shape) - len(x.shape)) + x.shape
    while x.op is not None and (x.op.name == "expand" or _sets_ones(x)):
        inner = x.inputs[0]
        if x.op.name == "expand":
            narrow = (1,) * (len(x.shape) - len(inner.shape)) + inner.shape
            places = iter([i for i, n in enumerate(aligned) if n != 1])
            steps = list(aligned)
            for n, m in zip(x.shape, narrow, strict=True):
                if n != 1:
                    place = next(places)
                    steps[place] = m
            aligned = tuple(steps)
        x = inner
    made = x if x.shape == aligned else builder.call("view", x, shape=aligned)
    return made if made.shape == shape else builder.call("expand", made, shape=shape)


def outside(builder: Builder, total: Node, x: Node) -> Node | None:
    """Give a factor of all that a sum adds up as a factor of the sum, or None where it differs from term to term."""
    if x.op is None or x.op.name != "expand":
        return None
    inner = x.inputs[0]
    aligned = (1,) * (len(x.shape) - len(inner.shape)) + inner.shape
    if total.op.name == "sum_to":  # type: ignore[union-attr]
        lead = len(x.shape) - len(total.shape)
        axes = {*range(lead), *[lead + i for i, n in enumerate(total.shape) if n == 1]}
        dropped = set(range(lead))
    else:
        axes = {a % len(x.shape) for a in total.attrs["axis"]}
        dropped = set() if total.attrs.get("keepdims") else axes
    if any(aligned[a] != 1 for a in axes):
        return None
    kept = tuple([n for i, n in enumerate(aligned) if i not in dropped])
    small = inner if inner.shape == kept else builder.call("view", inner, shape=kept)
    return broadcast(builder, small, total.shape)
