"""Stable forms: quotients and logarithms of exponentials, in the forms that neither overflow nor lose all digits; and their gradients.

``1 / (1 + exp(-x))`` is recognised as a sigmoid, ``log(1 + exp(x))`` as a softplus, ``log(softmax(x))`` as a difference, and so on. What
eager mode recorded behind them, the gradient, has the same exponentials in other products, where infinity meets zero; so every product
is looked at as a list of factors, and what is positive by its nature (an exponential, a sum of them) and stands above and below the
line is taken out before it is computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...core import Graph, Node
from .factors import Factors, broadcast, cancelled, exponential, number_in, outside, repeated, sigmoid
from .factors import like as repeat
from .rebuild import Builder, rebuild

MOST = 24  # factors of a product that is looked into
TOTALS = {"sum", "mean"}
MOVES = {"expand", "view", "permute", "transpose", "slice"}
# operations that choose elements, with those that put gradients back to where they were chosen
CHOOSING = {
    "gather": "scatter_add_zeros",
    "index": "index_put_zeros",
    "index2": "index_put_zeros2",
    "index_select": "index_add_zeros",
}


def stable_forms(graph: Graph) -> Graph:
    """Rewrite products and logarithms that have exponentials in them."""
    if not any(n.op is not None and n.op.name in ("exp", "sigmoid") for n in graph.nodes):
        return graph
    return rebuild(graph, _Stable())


class _Stable:
    """The rule, and what it knows of the new graph's nodes."""

    def __init__(self) -> None:
        self.known: dict[Node, Factors] = {}  # a node as a product
        self.seen: set[Node] = set()
        self.positive: set[Node] = set()
        self.pairs: dict[Node, Any] = {}  # sums of two exponentials
        self.around: dict[Node, Any] = {}  # sums of exponentials, taken around the largest
        self.quotients: dict[tuple[Node, Node], Node] = {}

    def __call__(self, builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
        if node.dtype.kind != "f" or node.dtype.itemsize < 4:
            return None
        op: Any = node.op
        rule = RULES.get(op.name)
        found: Node | None = rule(self, builder, node, inputs) if rule is not None else None
        made = found or builder.make(op, inputs, node.attrs, node.shape, node.dtype, node)
        if made not in self.seen and made.op is not None:
            self.seen.add(made)
            self._look(builder, made)
        return made

    # -- what a new node is --------------------------------------------------------------------------------------------------
    def _look(self, builder: Builder, node: Node) -> None:
        """Note a node's factors, and whether it is positive by its nature."""
        factors = self.known.get(node)
        if factors is None:
            factors = self._factors_of(builder, node)
            if factors is not None and len(factors.parts) <= MOST:
                self.known[node] = factors
        name, xs = node.op.name, node.inputs  # type: ignore[union-attr]
        if name in ("exp", "sigmoid", "softplus") or (factors is not None and factors.only()[0][0] == "sigmoid"):
            self.positive.add(node)
        elif name in ("add", "mul", "div"):
            if all(self._above_zero(builder, x) for x in xs):
                self.positive.add(node)
        elif (name in TOTALS or name in MOVES or name in CHOOSING) and xs[0] in self.positive:
            self.positive.add(node)

    def _above_zero(self, builder: Builder, x: Node) -> bool:
        return x in self.positive or (number_in(builder, x) or 0) > 0

    def _factors(self, builder: Builder, x: Node, shape: tuple[int, ...]) -> Factors:
        """Give a value as a product, each factor broadcast to a shape."""
        number = number_in(builder, x)
        if number:
            return Factors(float(number), [])
        found = self.known.get(x) or Factors(1.0, [(("node", x), 1)])
        return (
            found
            if x.shape == shape or builder.is_scalar(x)
            else self._moved(found, lambda n: broadcast(builder, n, shape))
        )

    def _moved(self, factors: Factors, move: Callable[[Node], Node]) -> Factors:
        """Give a product whose factors all go through a view."""
        parts = []
        for key, power in factors.parts:
            new = move(key[1])
            if key[0] == "node" and key[1] in self.positive:
                self.positive.add(new)
            parts.append(((key[0], new, *key[2:]), power))
        return Factors(factors.number, parts)

    def _factors_of(self, builder: Builder, node: Node) -> Factors | None:
        name, xs, shape = node.op.name, node.inputs, node.shape  # type: ignore[union-attr]
        if name == "exp":
            return Factors(1.0, [exponential(xs[0])])
        if name == "sigmoid":
            return Factors(1.0, [(sigmoid(xs[0]), 1)])
        if name == "add":
            return self._pair(builder, node)
        if name == "sub" and number_in(builder, xs[0]) == 1:
            key, power = self._factors(builder, xs[1], shape).only()
            return Factors(1.0, [(("sigmoid", key[1], -key[2]), 1)]) if key[0] == "sigmoid" and power == 1 else None
        if name == "mul":
            return self._factors(builder, xs[0], shape).times(self._factors(builder, xs[1], shape))
        if name == "div":
            return self._factors(builder, xs[0], shape).times(self._factors(builder, xs[1], shape).power(-1))
        if name == "reciprocal":
            return self._factors(builder, xs[0], shape).power(-1)
        if name == "square":
            return self._factors(builder, xs[0], shape).power(2)
        if name == "neg":
            return self._factors(builder, xs[0], shape).times(Factors(-1.0, []))
        if name == "expand":
            return self._factors(builder, xs[0], shape)
        if (
            name in ("view", "slice", "embed")
            and xs[0] in self.known
            and (name == "view" or repeated(node) is repeated(xs[0]))
        ):
            return self._moved(self.known[xs[0]], lambda n: builder.call("view", n, shape=shape))
        if name in ("sum", "sum_to"):
            return self._taken_out(builder, node)
        if name in CHOOSING.values():
            return self._put_back(builder, node)
        return None

    def _pair(self, builder: Builder, node: Node) -> Factors | None:
        """Give ``1 + exp(w)`` as one over ``sigmoid(-w)``, and note ``exp(a) + exp(b)``."""
        terms: list[tuple[Node, int] | None] = []
        for x in node.inputs:
            if number_in(builder, x) == 1:
                terms.append(None)
                continue
            key, power = self._factors(builder, x, node.shape).only()
            if key[0] != "exp" or abs(power) != 1:
                return None
            terms.append((key[1], power))
        a, b = terms
        if a is not None and b is not None:
            self.pairs[node] = (a, b)
            return None
        one = a or b
        return None if one is None else Factors(1.0, [(("sigmoid", one[0], -one[1]), -1)])

    def _taken_out(self, builder: Builder, node: Node) -> Factors | None:
        """Take positive factors below the line that all terms of a sum have out of it."""
        x = node.inputs[0]
        found = self.known.get(x)
        if found is None:
            return None
        kept, taken = [], []
        for key, power in found.parts:
            inner = (
                outside(builder, node, key[1]) if key[0] == "node" and key[1] in self.positive and power < 0 else None
            )
            if inner is None:
                kept.append((key, power))
            else:
                self.positive.add(inner)
                taken.append((("node", inner), power))
        if not taken:
            return None
        rest = self._compose(builder, Factors(found.number, kept), x)
        total = builder.make(node.op, (rest,), node.attrs, node.shape, node.dtype, node)  # type: ignore[arg-type]
        return Factors(1.0, [(("node", total), 1), *taken])

    def _put_back(self, builder: Builder, node: Node) -> Factors | None:
        """Give what was divided by chosen elements of a positive value, and put back, as divided by the value itself."""
        g, *places = node.inputs
        found = self.known.get(g)
        for i, (key, power) in enumerate(found.parts if found is not None else ()):
            chosen = key[1]
            if key[0] != "node" or power != -1 or chosen not in self.positive or chosen.op is None:
                continue
            source = chosen.inputs[0]
            if (
                CHOOSING.get(chosen.op.name) == node.op.name  # type: ignore[union-attr]
                and list(chosen.inputs[1:]) == places
                and source.shape == node.shape
                and all(chosen.attrs.get(k) == v for k, v in node.attrs.items() if k != "shape")
            ):
                assert found is not None
                rest = self._compose(builder, Factors(found.number, found.parts[:i] + found.parts[i + 1 :]), g)
                put = builder.make(node.op, (rest, *places), node.attrs, node.shape, node.dtype, node)  # type: ignore[arg-type]
                return Factors(1.0, [(("node", put), 1)]).times(self._factors(builder, source, node.shape).power(-1))
        return None

    # -- products ------------------------------------------------------------------------------------------------------------
    def product(self, builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
        """Rewrite a product or a quotient whose factors meet others that they go out with."""
        plain = builder.make(node.op, inputs, node.attrs, node.shape, node.dtype, node)  # type: ignore[arg-type]
        whole = self._factors_of(builder, plain)
        if whole is None or len(whole.parts) > MOST:
            return None
        if not any(key[0] != "node" or key[1] in self.positive for key, _ in whole.parts):
            self.known[plain] = whole
            return None
        found, changed = self._simplest(builder, whole)
        divisor = self.known.get(inputs[-1])
        if node.op.name != "mul" and divisor is not None:  # type: ignore[union-attr]
            changed = changed or any(key[0] == "sigmoid" and p < 0 for key, p in divisor.parts)
        if changed:
            made = self._compose(builder, found, node)
            self.known[made] = found
            if found.number > 0 and all(key[0] != "node" or key[1] in self.positive for key, _ in found.parts):
                self.positive.add(made)
            return made
        self.known[plain] = whole
        if node.op.name == "div" and not any(builder.is_scalar(x) for x in inputs):  # type: ignore[union-attr]
            self.quotients.setdefault((inputs[0], broadcast(builder, inputs[1], node.shape)), plain)
        return self._multiplied_out(builder, node, whole) if node.op.name == "mul" else None  # type: ignore[union-attr]

    def _simplest(self, builder: Builder, whole: Factors) -> tuple[Factors, bool]:
        """Cancel, after sums of exponentials below the line of one of them have been taken around the largest."""
        parts = list(whole.parts)
        changed = False
        for i, (key, power) in enumerate(parts):
            if key[0] != "node" or power != -1:
                continue
            pair = self.pairs.get(key[1])
            total = repeated(key[1])
            if pair is None and not self._overflows(total):
                continue
            for j, (other, up) in enumerate(parts):
                if other[0] != "exp" or abs(up) != 1:
                    continue
                term = (other[1], up)
                if pair is not None and term in pair:
                    second = pair[1] if term == pair[0] else pair[0]
                    parts[i], parts[j] = (sigmoid(self._difference(builder, term, second)), 1), (("node", key[1]), 0)
                    changed = True
                    break
                if pair is None and exponential(total.inputs[0].inputs[0]) == (other, up):
                    v, small, _ = self._centred(builder, total)
                    wide = repeat(builder, small, key[1], total)
                    self.positive.add(wide)
                    parts[i], parts[j] = (("node", wide), -1), (("exp", v), 1)
                    changed = True
                    break
        found, gone = cancelled(Factors(whole.number, [(k, p) for k, p in parts if p]), self.positive)
        return found, changed or gone

    def _difference(self, builder: Builder, a: tuple[Node, int], b: tuple[Node, int]) -> Node:
        (u, s), (v, t) = a, b
        left = u if s > 0 else builder.call("neg", u)
        return builder.call("sub", left, v) if t > 0 else builder.call("add", left, v)

    def _multiplied_out(self, builder: Builder, node: Node, whole: Factors) -> Node | None:
        """Multiply a sum out, where an exponential goes out with what is below the line of a term."""
        for i, (key, power) in enumerate(whole.parts):
            total = key[1]
            if key[0] != "node" or power != 1 or total.op is None or total.op.name not in ("add", "sub"):
                continue
            rest = Factors(whole.number, whole.parts[:i] + whole.parts[i + 1 :])
            terms, gained = [], False
            for x in total.inputs:
                term, changed = self._simplest(builder, self._factors(builder, x, total.shape).times(rest))
                gained = gained or changed
                terms.append(term)
            if gained:
                made = [self._compose(builder, t, node) for t in terms]
                return builder.call(total.op.name, *made, like=node)
        return None

    def _compose(self, builder: Builder, factors: Factors, like: Node) -> Node:
        """Build a product."""
        above: list[Node] = []
        below: list[Node] = []
        for key, power in factors.parts:
            (above if power > 0 else below).extend([self._value(builder, key, like)] * abs(power))
        made: Node | None = None
        for x in above:
            for y in below:
                if (quotient := self.quotients.get((x, y))) is not None:
                    below.remove(y)
                    x = quotient
                    break
            made = x if made is None else builder.call("mul", made, x, like=like)
        number = factors.number
        if made is None:
            one = builder.scalar(number)
            made = (
                builder.call("div", one, below.pop(), like=like)
                if below
                else builder.array(np.asarray(number, like.dtype))
            )
        elif number == -1:
            made = builder.call("neg", made, like=like)
        elif number != 1:
            made = builder.call("mul", made, builder.scalar(number), like=like)
        for y in below:
            made = builder.call("div", made, y, like=like)
        if builder.is_scalar(made):
            made = builder.array(np.asarray(builder.constants[made], like.dtype))
        return made if made.shape == like.shape else builder.call("expand", made, shape=like.shape)

    def _value(self, builder: Builder, key: Any, like: Node) -> Node:
        w: Node = key[1]
        if key[0] == "node":
            return w
        if key[0] == "sigmoid" and key[2] < 0:
            w = builder.call("neg", w, like=like)
        made = builder.call(key[0], w, like=like)
        self.known.setdefault(made, Factors(1.0, [(key, 1)]))
        self.positive.add(made)
        return made

    # -- sums of exponentials ------------------------------------------------------------------------------------------------
    def _overflows(self, total: Node) -> bool:
        """Tell whether a node is a sum of exponentials whose largest has not been taken out."""
        if total.op is None or total.op.name not in TOTALS:
            return False
        e = total.inputs[0]
        return e.op is not None and e.op.name == "exp" and not _has_largest(e.inputs[0])

    def _centred(self, builder: Builder, total: Node) -> tuple[Node, Node, Node]:
        """Give ``v - top``, ``sum(exp(v - top))`` and top, the largest of v, for ``sum(exp(v))``."""
        found = self.around.get(total)
        if found is None:
            v = total.inputs[0].inputs[0]
            top = builder.call("amax", v, axis=total.attrs["axis"], keepdims=True, like=total)
            top = builder.call("where", builder.call("isfinite", top), top, builder.scalar(0.0), like=total)
            centred = builder.call("sub", v, top, like=total)
            e = self._value(builder, ("exp", centred), total)
            small = builder.make(total.op, (e,), total.attrs, total.shape, total.dtype, total)  # type: ignore[arg-type]
            self.positive.add(small)
            found = self.around[total] = (centred, small, top)
        return found

    # -- logarithms ----------------------------------------------------------------------------------------------------------
    def log(self, builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
        """Rewrite the logarithm of a product of exponentials, also of chosen elements of one."""
        x = inputs[0]
        if x.op is not None and x.op.name in CHOOSING:
            whole = self._logarithm(builder, x.inputs[0], node)
            if whole is not None:
                return builder.make(x.op, (whole, *x.inputs[1:]), x.attrs, x.shape, x.dtype, node)
        return self._logarithm(builder, x, node)

    def log1p(self, builder: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
        """Rewrite ``log1p(exp(w))``."""
        x = inputs[0]
        return builder.call("softplus", x.inputs[0], like=node) if x.op is not None and x.op.name == "exp" else None

    def _logarithm(self, builder: Builder, x: Node, like: Node) -> Node | None:
        """Give the logarithm of a product as a sum, where that gains something; None elsewhere."""
        whole = self._factors(builder, x, x.shape)
        nodes = [key[1] for key, _ in whole.parts if key[0] == "node"]
        if whole.number <= 0 or not all(n in self.positive for n in nodes):
            return None
        if len(nodes) == len(whole.parts) and not any(n in self.pairs or self._overflows(repeated(n)) for n in nodes):
            return None
        total: Node | None = None
        for key, power in whole.parts:
            term, sign = self._log_of(builder, key, like)
            sign *= power
            if abs(power) != 1:
                term = builder.call("mul", term, builder.scalar(float(abs(power))), like=like)
            if total is None:
                total = term if sign > 0 else builder.call("neg", term, like=like)
            else:
                total = builder.call("add" if sign > 0 else "sub", total, term, like=like)
        if total is not None and whole.number != 1:
            total = builder.call("add", total, builder.scalar(math.log(whole.number)), like=like)
        return total

    def _log_of(self, builder: Builder, key: Any, like: Node) -> tuple[Node, int]:
        """Give a factor's logarithm, or minus that: the node, and which of the two."""
        n = key[1]
        if key[0] == "exp":
            return n, 1
        if key[0] == "sigmoid":
            return builder.call("softplus", builder.call("neg", n, like=like) if key[2] > 0 else n, like=like), -1
        if n in self.pairs:
            a, b = self.pairs[n]
            second = b[0] if b[1] > 0 else builder.call("neg", b[0], like=like)
            rest = builder.call("softplus", self._difference(builder, a, b), like=like)
            return builder.call("add", second, rest, like=like), 1
        total = repeated(n)
        if not self._overflows(total):
            made = builder.call("log", total, like=like)
        else:
            _, small, top = self._centred(builder, total)
            level = top if top.shape == small.shape else builder.call("view", top, shape=small.shape)
            made = builder.call("add", builder.call("log", small, like=like), level, like=like)
        return repeat(builder, made, n, total), 1


def _has_largest(v: Node) -> bool:
    """Tell whether a largest element has been taken from a value."""
    if v.op is None or v.op.name != "sub":
        return False
    y = v.inputs[1]
    while y.op is not None and y.op.name in ("expand", "view", "where"):
        y = y.inputs[1 if y.op.name == "where" else 0]
    return y.op is not None and y.op.name == "amax"


RULES: dict[str, Any] = {
    "mul": _Stable.product,
    "div": _Stable.product,
    "reciprocal": _Stable.product,
    "log": _Stable.log,
    "log1p": _Stable.log1p,
}
