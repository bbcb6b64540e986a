"""Gradients of elementwise operations on large arrays: a rule as one kernel, instead of one pass over memory for each operation in it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import Graph, Rule
from .codegen.rows import HEAVY
from .eager import LENGTH, Unsuitable, graph_of_function
from .eager_ops import LIGHT, WARM, Pointwise
from .passes import optimise

UNKNOWN = ("node", "xs", "types", "i")  # what a rule may read that a kernel does not
_ndarray = np.ndarray


class RuleKernel(Pointwise):
    """A rule that reads the gradient, and of its op's result and operands arrays of the gradient's shape or of no dimensions."""

    def __init__(self, rule: Rule) -> None:
        warm = 1 if rule.op.name in HEAVY else WARM
        super().__init__(f"the gradient of {rule.op.name}", self._graph, warm=warm)
        self.rule = rule
        self.names: list[str] = []
        self.attrs: list[str] = []
        self.known = True
        for name, parameter in inspect.signature(rule.fn).parameters.items():
            if name == "g" or name == "out" or name in rule.op.names:
                self.names += [name] if name != "g" else []
            elif parameter.kind is inspect.Parameter.VAR_KEYWORD or name in UNKNOWN or name.endswith("_type"):
                self.known = False
            else:
                self.attrs.append(name)
        self.places = [-1 if n == "out" else rule.op.names.index(n) for n in self.names]

    def __call__(self, g: Any, node: Any, xs: Any, out: Any) -> Any:
        """Give the gradient, or None where NumPy is to compute it."""
        if not self.known or g.size < LIGHT:
            return None
        shape = g.shape
        operands = [g]
        for k in self.places:
            x = out if k < 0 else xs[k]
            if x.__class__ is not _ndarray or (x.shape != shape and x.ndim):
                return None
            operands.append(x)
        if not any(g.strides):  # the gradient of a sum: one number, spread
            operands[0] = g[(0,) * g.ndim + (...,)]
            if all(not x.ndim for x in operands):
                return None
        given = node.attrs
        return self.run(shape, operands, {name: given[name] for name in self.attrs if name in given})

    def _graph(self, xs: Any, attrs: dict[str, Any]) -> tuple[Graph, list[Any]]:
        rule, names = self.rule, self.names
        keyword = {
            n
            for n, p in inspect.signature(rule.fn).parameters.items()
            if p.kind is inspect.Parameter.KEYWORD_ONLY and n not in self.attrs
        }
        order = [n for n in inspect.signature(rule.fn).parameters if n not in self.attrs and n not in keyword]

        def gradient(g: Any, *reads: Any) -> Any:
            held = {"g": g, **dict(zip(names, reads, strict=True))}
            named = {n: held[n] for n in keyword}
            partial = rule.fn(*[held[n] for n in order], **named, **attrs)
            return g * partial if rule.form == "scale" else partial

        trial = [np.ones((LENGTH,) if x.ndim else (), x.dtype) for x in xs]
        graph = optimise(graph_of_function(gradient, trial, {}))
        if graph.outputs[0].shape != (LENGTH,) or graph.outputs[0].op is None:
            raise Unsuitable("it is not computed element by element")
        return graph, [x.dtype for x in xs]


def rule(rule: Rule) -> Callable[..., Any]:
    """Give what computes a rule on large arrays."""
    return RuleKernel(rule)


__all__ = ["RuleKernel", "rule"]
