"""The matrix calculus of layers: what each computes and what its gradients are, as equations that compute what they say."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import REGISTRY, Node
from . import rules
from .paper import Paper, Term, function, symbol, total
from .symbols import ONE, Form, attributes, name, write

Back = Callable[[Term], list[Term | None]]  # from dL/d(result) to the gradients of the operands


class Step:
    """One layer on its way into a derivation: its operands as terms, and the names it may give.

    Attributes
    ----------
    paper
        Where equations are written.
    operands
        What the layer was called with: tensors by their keys, and settings.
    number
        The number of the affine layer that the step is at or behind.
    """

    def __init__(self, derivation: Any, paper: Paper, operands: Sequence[Any], settings: Sequence[Any] = ()) -> None:
        self.derivation, self.paper = derivation, paper
        self.operands, self.settings = list(operands), list(settings)
        self.kind = ""
        self.root = False
        self.fold: Any = None

    def term(self, i: int, suggestion: str = "") -> Term:
        """Give an operand as a term; a leaf that has no symbol yet gets this one."""
        found: Term = self.derivation.term(self.operands[i], suggestion)
        return found

    def wants(self, i: int) -> bool:
        """Tell whether a gradient goes to an operand."""
        return i < len(self.operands) and bool(self.derivation.wants(self.operands[i]))

    def next_layer(self) -> int:
        """Give the number of a new affine layer."""
        self.derivation.layers += 1
        return int(self.derivation.layers)

    def fresh(self, head: str, index: Any = None) -> str:
        """Give a name that nothing has yet."""
        found: str = self.derivation.fresh(head, index)
        return found

    def result(self, text: str, right: Term, note: str = "") -> Term:
        """Write what the layer computes, under a name."""
        return self.paper.write("forward", symbol(text, right.array).form, right, note)

    def aside(self, text: str, right: Term, latex: str = "", phase: str = "forward") -> Term:
        """Write an equation for a value inside the layer."""
        return self.paper.write(phase, symbol(text, right.array, latex).form, right)

    def gradient(self, i: int, right: Term, shape: Any = None) -> Term:
        """Give the gradient of an operand: an equation of its own for a leaf, an expression for what goes on."""
        array = right.array if shape is None else right.array.reshape(shape)
        return right.shaped(array)


def ones_like(g: Term) -> bool:
    """Tell whether an upstream gradient is the number one, which is not written."""
    return g.form is ONE


def times(g: Term, other: Term) -> Term:
    """Multiply an upstream gradient in, unless it is one."""
    return other if ones_like(g) else g * other


# -- affine layers ------------------------------------------------------------------------------------------------------------------
def linear(step: Step) -> tuple[Term, Back]:
    """z = W h + b: dL/dW = delta h^T, dL/db = sum of delta over examples, dL/dh = W^T delta."""
    n = step.next_layer()
    h = step.term(0, f"h_{n - 1}")
    w = step.term(1, f"W_{n}")
    h2 = h.columns()
    z = w @ h2
    if len(step.operands) > 2 and step.operands[2] is not None:
        b = step.term(2, f"b_{n}")
        z = z + b.shaped(b.array[:, None])
    shape = (*h.array.shape[:-1], w.array.shape[0])
    out = step.result(step.fresh("z", n), z.rows(shape))
    step.kind = f"delta_{n}"

    def back(g: Term) -> list[Term | None]:
        delta = g.columns()
        found: list[Term | None] = [None] * len(step.operands)
        if step.wants(1):
            found[1] = delta @ h2.T
        if step.wants(2):
            found[2] = total(delta, 1, "n").shaped(delta.array.sum(1))
        if step.wants(0):
            found[0] = (w.T @ delta).rows(h.array.shape)
        return found

    return out, back


def patches(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """Lay the windows of (N, C, ...) out as columns: (groups, C / groups * taps, N * places)."""
    n, channels = x.shape[:2]
    spatial = len(kernel)
    padded = np.pad(x, [(0, 0), (0, 0), *padding])
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation))
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=tuple(range(2, 2 + spatial)))
    steps = tuple(slice(None, None, s) for s in stride)
    inside = tuple(slice(None, None, d) for d in dilation)
    windows = windows[(slice(None), slice(None), *steps, *inside)]
    order = (1, *range(2 + spatial, 2 + 2 * spatial), 0, *range(2, 2 + spatial))
    return windows.transpose(order).reshape(groups, channels // groups * math.prod(kernel), -1)


def unpatched(u: Any, shape: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    """Add columns up to where their windows were: the transpose of ``patches``."""
    n, channels = shape[:2]
    spatial = len(kernel)
    sizes = [s + a + b for s, (a, b) in zip(shape[2:], padding)]
    places = [(s - (k - 1) * d - 1) // t + 1 for s, k, d, t in zip(sizes, kernel, dilation, stride)]
    u = u.reshape(channels, *kernel, n, *places)
    out = np.zeros((n, channels, *sizes))
    for tap in np.ndindex(*kernel):
        at = tuple(slice(k * d, k * d + t * (p - 1) + 1, t) for k, d, t, p in zip(tap, dilation, stride, places))
        part = u[(slice(None), *tap)]
        out[(slice(None), slice(None), *at)] += np.moveaxis(part, 0, 1)
    crop = tuple(slice(a, a + s) for s, (a, _) in zip(shape[2:], padding))
    del spatial
    return out[(slice(None), slice(None), *crop)]


def conv(step: Step) -> tuple[Term, Back]:
    """z = W u + b with u the patches of h: the calculus of a linear layer, and the patches added back where they lay."""
    stride, padding, dilation, groups = step.settings
    n = step.next_layer()
    h = step.term(0, f"h_{n - 1}")
    w = step.term(1, f"W_{n}")
    kernel = w.array.shape[2:]
    spec = (kernel, stride, padding, dilation)
    cut = function("patches", r"\operatorname{patches}", lambda a: patches(a, *spec, groups))
    u = step.aside(step.fresh("u"), cut(h))
    out_channels = w.array.shape[0]
    w2 = w.shaped(w.array.reshape(groups, out_channels // groups, -1))
    z = w2 @ u
    if len(step.operands) > 2 and step.operands[2] is not None:
        b = step.term(2, f"b_{n}")
        z = z + b.shaped(b.array.reshape(groups, -1, 1))
    places = [
        (s + sum(p) - (k - 1) * d - 1) // t + 1
        for s, p, k, d, t in zip(h.array.shape[2:], padding, kernel, dilation, stride)
    ]
    shape = (h.array.shape[0], *places)
    made = np.moveaxis(z.array.reshape(out_channels, *shape), 0, 1)
    note = (
        f"the same as the correlation of {w.form.text} with {h.form.text}; each column of {u.form.text} is one window"
    )
    out = step.result(step.fresh("z", n), z.shaped(made), note)
    step.kind = f"delta_{n}"

    def back(g: Term) -> list[Term | None]:
        flat = np.moveaxis(g.array, 1, 0).reshape(groups, out_channels // groups, -1)
        delta = g.shaped(flat)
        found: list[Term | None] = [None] * len(step.operands)
        if step.wants(1):
            found[1] = step.gradient(1, delta @ u.T, w.array.shape)
        if step.wants(2):
            found[2] = total(delta, 2, "n").shaped(flat.sum(2).reshape(-1))
        if step.wants(0):
            add = function("unpatch", r"\operatorname{patches}^{\top}", lambda a: unpatched(a, h.array.shape, *spec))
            found[0] = add(w2.T @ delta)
        return found

    return out, back


def embedding(step: Step) -> tuple[Term, Back]:
    """h = E^T Y with Y the one-hot columns of the indices: dL/dE = Y delta^T, rows that were looked up get their gradients."""
    e = step.term(0, "E")
    index = step.settings[0]
    hot = np.zeros((e.array.shape[0], index.size))
    hot[index.reshape(-1), np.arange(index.size)] = 1
    y = symbol(step.fresh("Y"), hot)
    shape = (*index.shape, e.array.shape[1])
    out = step.result(
        step.fresh("h", 0), (e.T @ y).rows(shape), f"the columns of {y.form.text} are one-hot: row i of E is looked up"
    )

    def back(g: Term) -> list[Term | None]:
        return [y @ g.columns().T]

    return out, back


# -- activations -----------------------------------------------------------------------------------------------------------------------
Z = symbol("z", 0.0)


def activation(step: Step, text: str, value: Any, slope: Any, meaning: Form) -> tuple[Term, Back]:
    """h = f(z): delta = dL/dh * f'(z), element by element."""
    z = step.term(0)
    latex = rf"\mathrm{{{text}}}"
    head, _, index = z.form.text.partition("_")
    out = step.result(
        step.fresh("h", index if head == "z" and index else None), function(text, latex, lambda a: value)(z)
    )
    prime = function(f"{text}'", rf"{latex}'", lambda a: slope)(z)

    def back(g: Term) -> list[Term | None]:
        step.paper.define(text, function(f"{text}'", rf"{latex}'", lambda a: a)(Z).form, Term(meaning, 0.0).form)
        return [times(g, prime)]

    return out, back


def elementwise(step: Step, node: Node, live: Any) -> tuple[Term, Back] | None:
    """h = f(z) for any operation of one number: f' as its own row states it."""
    op: Any = node.op
    z = step.term(0)
    out = op.numpy(z.array, **node.attrs)
    slope = rules.slope_of(_double(node), 0, [z.array], out)
    found = rules.traced(node, 0, [z.array], out)
    if slope is None or found is None:
        return None
    f = write(op.name, [Z.form], node.attrs)
    forms = found.forms({"g": name("g"), "out": f, 0: Z.form})
    rule = op.rule_for(0)
    meaning = forms[found.slope] if found.slope is not None else Form(f"{rule.fn}", f"{rule.fn}")
    text = {"absolute": "abs"}.get(op.name, op.name)
    return activation(step, text, out, slope, meaning)


def _double(node: Node) -> Node:
    """Give the node as it would be in float64, so that formulas are checked without rounding."""
    return Node(node.op, node.inputs, node.attrs, node.shape, np.dtype(np.float64), True, None, (), node.types, None)


def _erf(a: Any) -> Any:
    return REGISTRY["erf"].numpy(np.asarray(a, np.float64))


def _cdf(a: Any) -> Any:
    return 0.5 * (1 + _erf(a / math.sqrt(2)))


def _density(a: Any) -> Any:
    return np.exp(-0.5 * a * a) / math.sqrt(2 * math.pi)


def _sigmoid(a: Any) -> Any:
    return 0.5 * (1 + np.tanh(0.5 * a))


def gelu(step: Step) -> tuple[Term, Back]:
    """h = z Phi(z): gelu'(z) = Phi(z) + z phi(z)."""
    z = step.term(0).array
    meaning = Form("Phi(z) + z * phi(z)", r"\Phi(z) + z \, \varphi(z)")
    return activation(step, "gelu", z * _cdf(z), _cdf(z) + z * _density(z), meaning)


def silu(step: Step) -> tuple[Term, Back]:
    """h = z sigmoid(z): silu'(z) = sigmoid(z) (1 + z (1 - sigmoid(z)))."""
    z = step.term(0).array
    s = _sigmoid(z)
    meaning = Form(
        "sigmoid(z) * (1 + z * (1 - sigmoid(z)))", r"\sigma(z) \left(1 + z \left(1 - \sigma(z)\right)\right)"
    )
    return activation(step, "silu", z * s, s * (1 + z * (1 - s)), meaning)


def elu(step: Step) -> tuple[Term, Back]:
    """h = scale (z or alpha (exp(rate z) - 1)): the slope is scale above zero and alpha scale rate exp(rate z) below."""
    alpha, scale, rate = step.settings
    z = step.term(0).array
    low = np.minimum(z, 0) * rate
    value = np.where(z > 0, z * scale, alpha * scale * np.expm1(low))
    slope = np.where(z > 0, scale, alpha * scale * rate * np.exp(low))
    above, below = f"{scale:.6g}", f"{alpha * scale * rate:.6g}"
    power = "z" if rate == 1 else f"{rate:.6g} z"
    meaning = Form(
        f"{above} where z > 0, {below} exp({power}) elsewhere",
        rf"\begin{{cases}} {above} & z > 0 \\ {below}\,e^{{{power}}} & \text{{otherwise}} \end{{cases}}",
    )
    return activation(step, "elu" if scale == 1 else "selu", value, slope, meaning)


# -- whatever else --------------------------------------------------------------------------------------------------------------------------
def generic(step: Step, node: Node, live: Any) -> tuple[Term, Back]:
    """Any operation: its own row's rule, in symbols and in numbers."""
    op: Any = node.op
    terms = [step.term(i) for i in range(len(step.operands))]
    form = write(op.name, [t.form for t in terms], attributes(node))
    xs = [live.values.get(o) if isinstance(o, Node) else o.value for o in step.operands]
    value = live.values.get(node)
    exact = value
    if op.outputs == 1 and not op.impure and callable(op.numpy):
        try:
            exact = op.numpy(*[t.array if x is not None and np.ndim(x) else x for t, x in zip(terms, xs)], **node.attrs)
        except Exception:  # an operation that is run in a way of its own keeps the value it gave
            exact = value
    if exact is None:
        raise RuntimeError(
            f"derive: the value of {node.name()} was not kept; give derive the module or function and its inputs"
        )
    if np.shape(exact) != node.shape:
        exact = value
    out = step.result(step.fresh("u"), Term(form, exact))

    def back(g: Term) -> list[Term | None]:
        found: list[Term | None] = [None] * len(terms)
        for i, operand in enumerate(step.operands):
            if not step.wants(i) or not isinstance(operand, Node):
                continue
            wide = [t.array if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x for t, x in zip(terms, xs)]
            r = rules.apply_rule(
                _as(node, op), i, _upstream(g, node, op), _fit(op, wide, xs), _out(op, out, value), _want(operand, op)
            )
            traced = rules.traced(node, i, xs, value)
            if traced is None:
                shown = Form(f"J({op.name})^T {g.form.held(4).text}", rf"J^{{\top}} {g.form.held(4).latex}")
            else:
                given: dict[Any, Form] = {"g": g.form, "out": out.form, **{k: t.form for k, t in enumerate(terms)}}
                shown = traced.forms(given)[traced.result]
            found[i] = Term(shown, r)
        return found

    return out, back


def _as(node: Node, op: Any) -> Node:
    return node if op.reverse is not None else _with_types(node)


def _with_types(node: Node) -> Node:
    return Node(
        node.op, node.inputs, node.attrs, node.shape, np.dtype(np.float64), True, None, node.saved, node.types, None
    )


def _upstream(g: Term, node: Node, op: Any) -> Any:
    return np.broadcast_to(g.array, node.shape).astype(node.dtype if op.reverse is not None else np.float64)


def _fit(op: Any, wide: list[Any], xs: list[Any]) -> list[Any]:
    return xs if op.reverse is not None else wide


def _out(op: Any, out: Term, value: Any) -> Any:
    return value if op.reverse is not None else out.array


def _want(operand: Node, op: Any) -> Any:
    from ..core import TensorType

    return TensorType(operand.shape, operand.dtype if op.reverse is not None else np.dtype(np.float64))


__all__ = [
    "Back",
    "Step",
    "activation",
    "conv",
    "elementwise",
    "elu",
    "embedding",
    "gelu",
    "generic",
    "linear",
    "ones_like",
    "silu",
    "times",
]
