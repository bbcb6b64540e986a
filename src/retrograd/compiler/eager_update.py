"""An optimizer's rule as one pass over memory: parameter, gradient and states of any length, updated in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import REGISTRY, Graph, Node
from .eager import LENGTH, Kernel, compiling, flat, leaf

OPS = {  # each rounded once, by itself, so that a rule gives NumPy's bits; a power is not, and leaves the rule to NumPy
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "div",
    "negative": "neg",
    "positive": "clone",
    "sqrt": "sqrt",
    "absolute": "abs",
    "sign": "sgn",
    "maximum": "maximum",
    "minimum": "minimum",
    "greater": "gt",
    "less": "lt",
    "where": "where",
}


def update(plan: Any, dtype: Any) -> Kernel | None:
    """Compile a plan's body for ``into([p, g, *states, *coefficients], [])``, or give None where that cannot be.

    Parameters
    ----------
    plan : Plan
        A rule as it was recorded: its instructions, what they make of the parameter and the states, its coefficients.
    dtype : dtype
        Of the arrays; flags among the coefficients are bools.
    """
    made: Kernel | None = compiling("an update rule", lambda: flat(*_graph(plan, np.dtype(dtype))))
    return made


def _graph(plan: Any, dtype: Any) -> tuple[Graph, list[int]]:
    """Give the graph of a rule, and which input each output is written to."""
    arrays = {plan.p: leaf((LENGTH,), dtype), plan.g: leaf((LENGTH,), dtype)}
    names = {name: leaf((LENGTH,), dtype) for name in plan.states}
    coefficients = [leaf((), np.bool_ if flag else dtype) for _, flag in plan.coefficients]
    inputs = (arrays[plan.p], arrays[plan.g], *names.values(), *coefficients)

    def operand(x: Any, flag: bool = False) -> Any:
        if getattr(x, "array", False):
            if x in arrays:
                return arrays[x]
            return names[x.name]
        return coefficients[plan.coefficients.index((x, flag))]

    for symbol in plan.instructions:
        op = REGISTRY[OPS[symbol.op]]
        given = [operand(x, symbol.op == "where" and k == 0) for k, x in enumerate(symbol.inputs)]
        found = op.type(*[n.type for n in given])
        arrays[symbol] = Node(op, tuple(given), {}, (LENGTH,), found.dtype, False, None, (), None, None)
    outputs, targets = [], []
    for name, symbol in plan.outputs.items():
        if symbol is not plan.p:
            outputs.append(arrays[symbol])
            targets.append(0 if name == "p" else 2 + plan.states.index(name))
    return Graph(inputs, tuple(outputs), {}), targets


__all__ = ["update"]
