"""Derive the gradients of a network as one would on paper: layer by layer, forward and back, and check them against the library's."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import numpy as np

from ..core import MODE, BaseTensor, Node, enable_grad
from . import derive_layers as layers
from .derivation import Derivation
from .derive_calls import Call, Recorder
from .derive_windows import POOLS, pooling
from .live import Constant, Live
from .names import Names
from .paper import Paper, Term, gradient_of, symbol
from .symbols import ONE, number


def derive(
    target: Any,
    *inputs: Any,
    loss: Any = None,
    target_values: Any = None,
    gradient: Any = None,
    names: dict[str, Any] | None = None,
    **options: Any,
) -> Derivation:
    r"""Derive every gradient of a network or a function, layer by layer, as equations between matrices.

    For a multilayer perceptron these are delta_l = (W_{l+1}^T delta_{l+1}) * f'(z_l), dL/dW_l = delta_l h_{l-1}^T and
    dL/db_l = sum_n delta_l, each example being a column. Linear and convolutional layers (transposed ones, too), pooling, activations,
    embeddings, batch, layer, group and RMS normalisation, recurrent cells, softmax with cross entropy, squared error and attention have
    their own calculus; whatever else is used is derived operation by operation from the rules of the library. Every equation is computed as it is written, in float64,
    and ``check()`` compares all gradients with those of the backward pass.

    Parameters
    ----------
    target : Module or callable
        What is derived.
    *inputs
        What it is called with; made up for a module whose first layer says what it takes.
    loss : callable, optional
        Called with the result and ``target_values``; without it the upstream gradient dL/d(result) is given, not derived.
    target_values : Tensor, optional
        Classes or values for the loss.
    gradient : Tensor, optional
        The upstream gradient's numbers, where there is no loss; fixed random ones by default.
    names : dict, optional
        Names of tensors.
    **options
        Keyword arguments of the call.

    Returns
    -------
    Derivation
        ``print`` it, ``to_latex()`` it, ``check()`` it.

    Raises
    ------
    RuntimeError
        If nothing in it wants a gradient.
    TypeError
        If it gives something else than one Tensor, or takes inputs that cannot be guessed.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd import glass, nn
    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> paper = glass.derive(
    ...     net, torch.randn(4, 2), loss=nn.CrossEntropyLoss(), target_values=torch.tensor([0, 1, 1, 0])
    ... )
    >>> print(*paper.lines("backward"), sep="\n")
    delta_2 = (p - y) / N
    delta_1 = (W_2^T delta_2) * relu'(z_1)
    >>> max(paper.check().values()) < 1e-5
    True
    """
    frame = sys._getframe(1)
    module = target if hasattr(target, "named_parameters") else None
    if not inputs and not options and module is not None:
        from .examples import example_inputs

        inputs = example_inputs(module)
    given = dict(names or {})
    for text, value in _arguments(target, inputs, options).items():
        given.setdefault(text, value)
    before = MODE.observers
    try:
        with enable_grad(), Recorder(module) as seen:
            result = target(*inputs, **options)
            if isinstance(result, tuple) and result and isinstance(result[0], BaseTensor):
                result = result[0]
            if not isinstance(result, BaseTensor):
                raise TypeError(f"derive: {_name(target)} gave a {type(result).__name__}; it should give one Tensor")
            if loss is not None:
                result = loss(result, target_values) if target_values is not None else loss(result)
        if result._node is None:
            raise RuntimeError(f"derive: nothing that {_name(target)} computes with wants a gradient")
        MODE.observers = ()
        MODE.settle()
        live = Live(result._node, result, Names(given, module, frame), seen)
        return Deriver(live, seen, _seed(result, gradient)).run(_name(target))
    finally:
        MODE.observers = before
        MODE.settle()
        del frame


def _name(target: Any) -> str:
    return getattr(target, "__name__", None) or type(target).__name__


def _arguments(target: Any, inputs: Any, options: Any) -> dict[str, Any]:
    try:
        bound = inspect.signature(getattr(target, "forward", target)).bind(*inputs, **options).arguments
    except (TypeError, ValueError):
        return {}
    return {k: v for k, v in bound.items() if isinstance(v, BaseTensor)}


def _seed(result: Any, gradient: Any) -> Any:
    if gradient is not None:
        return np.broadcast_to(getattr(gradient, "_a", gradient), result._a.shape).astype(result._a.dtype)
    if result._a.size == 1:
        return np.ones(result._a.shape, result._a.dtype)
    return np.random.default_rng(0).standard_normal(result._a.shape).astype(result._a.dtype)


class Deriver:
    """Walks the layers forward, writing what they compute, and back, writing what follows."""

    def __init__(self, live: Live, seen: Recorder, seed: Any) -> None:
        self.live, self.seen, self.seed = live, seen, seed
        self.paper = Paper()
        self.terms: dict[Any, Term] = {}
        self.taken: set[str] = set()
        self.counts: dict[str, int] = {}
        self.layers = 0
        self.legend: dict[str, str] = {}
        self.steps: list[tuple[layers.Step, Any, Node, layers.Back]] = []
        self.given: dict[Any, Constant] = {}
        self.inside: dict[int, list[Node]] = {}  # operations of known layers, until their results are reached

    # -- what steps ask for -----------------------------------------------------------------------------------------------
    def wants(self, key: Any) -> bool:
        """Tell whether a gradient goes to a value."""
        return isinstance(key, Node)

    def count(self, kind: str) -> int:
        """Number the things of a kind."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return self.counts[kind]

    def fresh(self, head: str, index: Any = None) -> str:
        """Give a name that nothing has: ``z_2`` if it is free, else the next number."""
        if index is not None and f"{head}_{index}" not in self.taken:
            found = f"{head}_{index}"
        else:
            k = 1
            while f"{head}_{k}" in self.taken:
                k += 1
            found = f"{head}_{k}"
            if head in ("p", "y", "E", "Y", "s") and head not in self.taken:
                found = head
        self.taken.add(found)
        return found

    def term(self, key: Any, suggestion: str = "") -> Term:
        """Give a value as a term; a leaf or a constant is named when it is first met."""
        if key in self.terms:
            return self.terms[key]
        if isinstance(key, Node):
            owner = self.live.owners.get(key)
            known = self.live.names.of(self.live.origin[key], owner)
            array = self.live.values[key]
        else:
            known, array = key.label, key.value
            if array is not None and np.size(array) == 1 and not known and not suggestion:
                self.terms[key] = Term(number(np.asarray(array).item(), 6), array)
                return self.terms[key]
        text = suggestion if suggestion and suggestion not in self.taken else known
        text = text if text and text not in self.taken else self.fresh("c")
        self.taken.add(text)
        if known and known != text:
            self.legend[text] = known
        self.terms[key] = symbol(text, array)
        return self.terms[key]

    # -- the way there and back --------------------------------------------------------------------------------------------
    def run(self, title: str) -> Derivation:
        """Give the derivation."""
        upstream, _, _ = self.live.pull(self.seed)
        for node in self.live.order:
            if node.op is not None:
                self._forward(node)
        gradients = self._backward()
        expected = {
            name: upstream[node] for name, (node, _) in gradients.items() if not isinstance(upstream.get(node), list)
        }
        found = {name: term.array for name, (_, term) in gradients.items()}
        return Derivation(title, self.paper.equations, self.legend, found, expected)

    def _operand(self, entry: Any) -> Any:
        """Give the key of what a known layer was called with."""
        if entry is None:
            return None
        tensor, node, array = entry
        twin = self.live.twin.get(node) if node is not None else None
        if twin is not None:
            return twin
        found = self.given.get(id(tensor))
        if found is None:
            label = self.live.names.by_id.get(id(tensor), "")
            found = self.given[id(tensor)] = Constant(array, label, tensor=tensor)
        return found

    def _forward(self, node: Node) -> None:
        user = self.live.origin[node]
        call = self.seen.calls.get(user)
        if call is not None and call.result is not None:
            if call.result is not user:
                self.inside.setdefault(id(call), []).append(node)  # of a layer that is derived as a whole
            elif not self._whole(call, node, user):
                for inner in [*self.inside.get(id(call), ()), node]:
                    self._single(inner)
            return
        self._single(node)

    def _whole(self, call: Call, node: Node, user: Node) -> bool:
        """Derive a known layer; False, with nothing written, where its calculus does not give the value that it gave."""
        kept = (
            len(self.paper.equations),
            dict(self.terms),
            set(self.taken),
            dict(self.counts),
            self.layers,
            dict(self.legend),
        )
        step = layers.Step(self, self.paper, [self._operand(o) for o in call.operands], call.settings)
        self.paper.layer = self.seen.titles.get(user) or call.title
        step.root = node is self.live.root
        term, back = call.derive(step)
        wanted = self.live.values.get(node)
        same = wanted is None or (
            term.array.shape == wanted.shape and np.allclose(term.array, wanted, rtol=1e-3, atol=1e-4, equal_nan=True)
        )
        if not same:
            del self.paper.equations[kept[0] :]
            _, self.terms, self.taken, self.counts, self.layers, self.legend = kept
            return False
        self.terms[node] = self._rounded(node, term)
        self.steps.append((step, self.paper.layer, node, back))
        return True

    def _single(self, node: Node) -> None:
        """Derive one operation."""
        step = layers.Step(self, self.paper, [self._same(o) for o in self.live.operands[node]])
        self.paper.layer = self.seen.titles.get(self.live.origin[node], "")
        step.root = node is self.live.root
        term, back = self._operation(step, node)
        self.terms[node] = self._rounded(node, term)
        self.steps.append((step, self.paper.layer, node, back))

    def _rounded(self, node: Node, term: Term) -> Term:
        """Give a term the number that the network went on with, where that is the equation's but for rounding.

        At a corner, as where two elements of a window are next to equal, the last digit says where the gradient goes.
        """
        kept = self.live.values.get(node)
        if kept is None or kept.dtype.kind != "f" or kept.shape != term.array.shape or not np.isfinite(kept).all():
            return term
        wide = kept.astype(np.float64)
        near = float(np.finfo(kept.dtype).eps) ** 0.5 * np.abs(wide).max(initial=0.0)
        return Term(term.form, wide) if np.abs(term.array - wide).max(initial=0.0) <= near else term

    def _same(self, operand: Any) -> Any:
        """Give one constant for one tensor, whether an operation or a whole layer reads it."""
        if isinstance(operand, Constant) and operand.tensor is not None:
            return self.given.setdefault(id(operand.tensor), operand)
        return operand

    def _operation(self, step: layers.Step, node: Node) -> tuple[Term, layers.Back]:
        op: Any = node.op
        if op.name == "linear":
            return layers.linear(step)
        if op.name in POOLS:
            return pooling(step, node)
        if op.family == "elementwise" and len(step.operands) == 1 and node.dtype.kind == "f" and op.name not in INLINE:
            made = layers.elementwise(step, node, self.live)
            if made is not None:
                return made
        return layers.generic(step, node, self.live)

    def _backward(self) -> dict[str, tuple[Node, Term]]:
        """Pass gradients back through the layers, in the order of the backward pass."""
        arrived: dict[Node, list[Term]] = {}
        root = self.terms[self.live.root]
        if self.seed.size == 1 and (self.seed == 1).all():
            arrived[self.live.root] = [Term(ONE, self.seed)]
        else:
            arrived[self.live.root] = [Term(gradient_of(root), self.seed)]
        for step, layer, node, back in reversed(self.steps):
            parts = arrived.pop(node, None)
            if parts is None:
                continue
            self.paper.layer = layer
            found = back(self._upstream(step, node, parts))
            for key, part in zip(step.operands, found):
                if part is not None and isinstance(key, Node):
                    arrived.setdefault(key, []).append(part)
            for key in dict.fromkeys(step.operands):
                if isinstance(key, Node) and key.op is None and key in arrived and self._complete(key, step):
                    self._leaf(key, arrived[key])
        gradients: dict[str, tuple[Node, Term]] = {}
        for key, parts in arrived.items():
            name = self.live.names.of(self.live.origin[key], self.live.owners.get(key)) or self.terms[key].form.text
            gradients[name] = (key, _sum(parts))
        return gradients

    def _complete(self, key: Node, step: layers.Step) -> bool:
        """Tell whether a leaf has all its gradients: no layer before this one uses it."""
        for other, _, _, _ in self.steps:
            if other is step:
                return True
            if any(o is key for o in other.operands):
                return False
        return True

    def _leaf(self, key: Node, parts: list[Term]) -> None:
        term = self.terms[key]
        right = _sum(parts)
        self.paper.write(
            "gradient", gradient_of(term), right, parameter=self.legend.get(term.form.text, term.form.text)
        )

    def _upstream(self, step: layers.Step, node: Node, parts: list[Term]) -> Term:
        """Give what arrives at a layer: a delta for an affine one, a name for a sum or a long expression, else as it is."""
        right = _sum(parts)
        right = right.shaped(np.broadcast_to(right.array, node.shape)) if right.array.shape != node.shape else right
        if step.kind:
            left = symbol(step.kind, right.array).form
            return self.paper.write("backward", left, right, f"dL/d{self.terms[node].form.text}")
        if len(parts) > 1 or len(right.form.text) > LONG:
            return self.paper.write("backward", gradient_of(self.terms[node]), right)
        return right


INLINE = ("neg", "positive", "square", "reciprocal", "clone", "cast")
LONG = 64


def _sum(parts: list[Term]) -> Term:
    right = parts[0]
    for part in parts[1:]:
        right = right + part
    return right


__all__ = ["derive"]
