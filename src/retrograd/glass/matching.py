"""Finding the parts of an explained graph that have the form of an expression with free variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .expression import Call, Expression, Name, Number, parse

if TYPE_CHECKING:
    from .explanation import Explanation

# Ways of writing the same operation: what the graph holds, as what the expression says.
SAME = {"reciprocal": ("div", 1.0), "square": ("pow", 2.0), "rsqrt": ("pow", -0.5)}
SWAPS = ("add", "mul", "maximum", "minimum")
PASSED = ("alias", "clone", "cast", "expand", "view")


def matches(graph: Explanation, text: str) -> list[set[int]]:
    """Give the operations of each part that has the form ``text``; parts do not overlap.

    Parameters
    ----------
    graph : Explanation
    text : str
        Names in it stand for any value, the same name for the same value.

    Returns
    -------
    list of set of int
    """
    pattern = parse(text)
    if not isinstance(pattern, Call):
        raise ValueError(
            f"fold: {text!r} names a value; write the operations that are to be one, such as 1 / (1 + exp(-z))"
        )
    found: list[set[int]] = []
    taken: set[int] = set()
    for node in reversed(graph.nodes):
        bound: dict[str, int] = {}
        members: set[int] = set()
        fits = node.kind == "operation" and _fits(graph, pattern, node.id, bound, members)
        if fits and not members & taken and _alone(graph, members, node.id):
            found.append(members)
            taken |= members
    return found[::-1]


def _alone(graph: Explanation, members: set[int], top: int) -> bool:
    return all(graph.edges[e].target in members for k in members if k != top for e in graph.nodes[k].uses)


def _fits(graph: Explanation, pattern: Expression, k: int, bound: dict[str, int], members: set[int]) -> bool:
    """Tell whether the value of node ``k`` has the form; note what names are bound to and which operations it took."""
    node = graph.nodes[k]
    if isinstance(pattern, Name):
        return bound.setdefault(pattern.text, k) == k
    if isinstance(pattern, Number):
        value = node.value.number if node.value is not None else None
        return node.kind == "constant" and value is not None and value == pattern.value
    while node.kind == "operation" and node.op in PASSED and len(node.inputs) == 1:
        members.add(k)
        k = node.inputs[0]
        node = graph.nodes[k]
    if node.kind != "operation":
        return False
    wanted, operands = pattern.op, list(pattern.operands)
    if node.op != wanted:
        other = SAME.get(node.op)
        if other is None or other[0] != wanted or len(operands) != 2:
            return False
        at = 0 if wanted == "div" else 1
        if not isinstance(operands[at], Number) or operands[at].value != other[1]:
            return False
        operands = [operands[1 - at]]
    if len(operands) != len(node.inputs):
        return False
    orders = [operands, operands[::-1]] if node.op in SWAPS and len(operands) == 2 else [operands]
    for order in orders:
        trial, inside = dict(bound), set(members) | {k}
        if all(_fits(graph, p, i, trial, inside) for p, i in zip(order, node.inputs)):
            bound.clear()
            bound.update(trial)
            members |= inside
            return True
    return False


__all__ = ["matches"]
