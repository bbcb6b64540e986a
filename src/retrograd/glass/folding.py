"""Folding: a part of an explained graph made one node, with the local derivative that the chain rule gives it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import REGISTRY, TensorType
from . import rules
from .model import Edge, ExplainedNode, Jacobian
from .numbers import numbers_of
from .patterns import pattern_of
from .symbols import PRODUCT, Form, call, gradient_form, name, number, write

if TYPE_CHECKING:
    from .explanation import Explanation


def fold(graph: Explanation, title: str, what: str | Sequence[int | str]) -> Explanation:
    """Fold every part of the form ``what``, or the named nodes, into one node called ``title``; see ``Explanation.fold``."""
    if isinstance(what, str):
        from .matching import matches

        found = matches(graph, what)
        if not found:
            raise ValueError(f"fold: no part of {graph.title!r} has the form {what!r}")
    else:
        found = [{graph.node(k).id for k in what}]
    made = graph
    while found:
        made, moved = _folded(made, title, found[0])
        found = [{moved[k] for k in m} for m in found[1:]]
    return made


def _folded(graph: Explanation, title: str, members: set[int]) -> tuple[Explanation, dict[int, int]]:
    """Fold one part; give the new graph, and the numbers that the nodes outside have in it."""
    top = _result(graph, title, members)
    members = members | _own_constants(graph, members)
    made = graph.copy()
    inputs: list[int] = []
    for k in sorted(members):
        for e in graph.nodes[k].edges:
            source = graph.edges[e].source
            if source not in members and source not in inputs:
                inputs.append(source)
    inputs.sort()
    node, edges = _node(graph, title, members, top, inputs)
    gone = {e.id for e in graph.edges if e.target in members}
    made.nodes = [node if n.id == top else n for n in made.nodes if n.id not in members or n.id == top]
    made.edges = [e for e in made.edges if e.id not in gone] + edges
    visited = [k for k in graph.backward if k not in members]
    first = next((i for i, k in enumerate(graph.backward) if k == top), None)
    if first is not None:
        visited.insert(sum(k not in members for k in graph.backward[:first]), top)
    made.backward = visited
    return renumbered(made)


def _result(graph: Explanation, title: str, members: set[int]) -> int:
    """Give the one member whose value is used outside."""
    if any(graph.nodes[k].kind not in ("operation", "fold", "constant") for k in members):
        raise ValueError(
            f"fold: {title!r} would hold a leaf; fold operations only, so that its gradient stays in sight"
        )
    outside = [
        k
        for k in sorted(members)
        if k == graph.output or any(graph.edges[e].target not in members for e in graph.nodes[k].uses)
    ]
    outside = [k for k in outside if graph.nodes[k].kind != "constant"]
    if len(outside) != 1:
        shown = ", ".join(graph.nodes[k].label for k in outside)
        raise ValueError(f"fold: {title!r} would have {len(outside)} results ({shown}); a node has one")
    top = outside[0]
    for k in members:  # no way out of the part and back into it
        if k != top and graph.nodes[k].kind != "constant" and not graph.nodes[k].uses:
            raise ValueError(f"fold: {graph.nodes[k].label!r} does not lead to the result of {title!r}")
    for n in graph.nodes:
        if n.id not in members and top > n.id and _reaches(graph, members, n):
            raise ValueError(f"fold: {n.label!r} lies between nodes of {title!r}; fold it too")
    return top


def _reaches(graph: Explanation, members: set[int], node: ExplainedNode) -> bool:
    """Tell whether a node outside depends on a member and a member depends on it."""
    if not any(graph.edges[e].target in members for e in node.uses):
        return False
    seen: set[int] = set()
    todo = [node.id]
    while todo:
        k = todo.pop()
        for i in graph.nodes[k].inputs:
            if i in members and graph.nodes[i].kind != "constant":
                return True
            if i not in seen:
                seen.add(i)
                todo.append(i)
    return False


def _own_constants(graph: Explanation, members: set[int]) -> set[int]:
    return {
        n.id
        for n in graph.nodes
        if n.kind == "constant" and n.uses and all(graph.edges[e].target in members for e in n.uses)
    }


def _node(
    graph: Explanation, title: str, members: set[int], top: int, inputs: list[int]
) -> tuple[ExplainedNode, list[Edge]]:
    """Make the node of a fold, and its edges."""
    old = graph.nodes[top]
    live = [k for k in inputs if graph.nodes[k].kind != "constant"]
    symbols = {k: _symbol(graph.nodes[k]) for k in inputs}
    shown = call(title, [symbols[k] for k in inputs])
    label = call(title, [name(graph.nodes[k].label if len(graph.nodes[k].label) <= 12 else "...") for k in inputs])
    whole = call(title, [Form(graph.nodes[k].expression, graph.nodes[k].latex) for k in inputs])
    out = _symbol(old)
    node = ExplainedNode(
        id=top,
        kind="fold",
        op=title,
        label=label.text,
        expression=whole.text,
        symbol=old.symbol,
        symbol_latex=old.symbol_latex,
        latex=whole.latex,
        module=old.module,
        place=old.place,
        shape=old.shape,
        dtype=old.dtype,
        value=old.value,
        gradient=old.gradient,
        tangent=old.tangent,
        inputs=inputs,
        uses=list(old.uses),
        pattern=f"{title}: folded",
        advice=f"stands for {len([k for k in members if graph.nodes[k].kind != 'constant'])} operations",
        rule=f"{out.text} = {shown.text}",
        rule_latex=f"{out.latex} = {shown.latex}",
        kept=sorted({r for k in members for r in graph.nodes[k].kept}),
        kept_bytes=sum(graph.nodes[k].kept_bytes for k in members),
        new_bytes=sum(graph.nodes[k].new_bytes for k in members),
        members=sorted({m for k in members for m in (graph.nodes[k].members or [k])}),
        name=title,
    )
    known = _known(graph, title, inputs, old)
    if known is not None:
        node.pattern, node.advice = known.pattern, f"{known.advice}; {node.advice}"
    locals_ = _chain(graph, members, top)
    edges = []
    for slot, k in enumerate(inputs):
        edge = Edge(len(graph.edges) + slot, k, top, slot, f"x{slot}" if len(inputs) > 1 else "x")
        edges.append(edge)
        if k not in live or old.gradient is None:
            continue
        edge.upstream = old.gradient
        inside = [e for e in graph.edges if e.source == k and e.target in members]
        edge.downstream = _sum([e.downstream for e in inside])
        shares = [e.share for e in inside if e.share is not None]
        edge.share = sum(shares) if shares else None
        tangents = [e.tangent for e in inside if e.tangent is not None]
        edge.tangent = old.tangent if len(live) == 1 and tangents else None
        _local(edge, graph, old, k, locals_.get(k))
        _symbols(edge, known.rules[slot] if known is not None else None, symbols[k], out)
    node.edges = [e.id for e in edges]
    return node, edges


def _symbol(node: ExplainedNode) -> Form:
    return Form(node.symbol, node.symbol_latex)


def _sum(parts: list[Any]) -> Any:
    known = [p for p in parts if p is not None]
    if len(known) == 1:
        return known[0]
    if not known or any(p.full is None for p in known):
        return None
    return numbers_of(np.sum([np.asarray(p.full, p.dtype) for p in known], axis=0))


def _chain(graph: Explanation, members: set[int], top: int) -> dict[int, Any]:
    """Multiply the local derivatives inside, last first, and add up where paths meet: d(result)/d(each value), as matrices."""
    rows = int(np.prod(graph.nodes[top].shape, dtype=int))
    found: dict[int, Any] = {top: np.eye(rows) if rows <= rules.MOST_ROWS else None}
    for k in sorted(members, reverse=True):
        if k not in found:
            continue
        for e in graph.nodes[k].edges:
            edge = graph.edges[e]
            if edge.jacobian is None:
                continue
            matrix, outer = edge.jacobian.matrix, found[k]
            part = None if matrix is None or outer is None else outer @ np.asarray(matrix, np.float64)
            if edge.source not in found:
                found[edge.source] = part
            else:
                before = found[edge.source]
                found[edge.source] = None if part is None or before is None else before + part
    return found


def _local(edge: Edge, graph: Explanation, old: ExplainedNode, k: int, matrix: Any) -> None:
    rows = int(np.prod(old.shape, dtype=int))
    columns = int(np.prod(graph.nodes[k].shape, dtype=int))
    size = np.dtype(old.dtype).itemsize if old.dtype and old.dtype != "bfloat16" else 2
    structure, count = "dense", rows * columns
    if matrix is not None:
        from .structure import classify

        structure, count = classify(matrix), int(np.count_nonzero(matrix))
        if rows == columns and structure in ("diagonal", "scaled identity", "identity"):
            edge.local = numbers_of(np.diag(matrix).reshape(old.shape))
        elif matrix.size == 1:
            edge.local = numbers_of(matrix.reshape(()))
    edge.jacobian = Jacobian(
        structure,
        rows,
        columns,
        count,
        rows * columns * size,
        2 * rows * columns,
        2 * count,
        None if matrix is None else matrix.tolist(),
        "the product of the Jacobians inside",
    )


class _Known:
    """A registered operation that computes what a fold computes."""

    def __init__(self, pattern: tuple[str, str], found: list[Any]) -> None:
        self.pattern, self.advice = pattern
        self.rules = found


def _known(graph: Explanation, title: str, inputs: list[int], old: ExplainedNode) -> _Known | None:
    """Find the operation of this name, if it gives the same value for the same inputs."""
    op = REGISTRY.get(title)
    values = [graph.nodes[k].value for k in inputs]
    if op is None or op.vjp is None or op.reverse is not None or len(op.names) != len(inputs) or old.value is None:
        return None
    if any(v is None or v.full is None for v in values) or old.value.full is None:
        return None
    arrays = [np.asarray(v.full, v.dtype) for v in values if v is not None]
    try:
        with np.errstate(all="ignore"):
            r = np.asarray(op.numpy(*arrays))
    except Exception:  # it takes other operands or attributes: the fold only shares its name
        return None
    if r.shape != old.shape or not np.allclose(r, np.asarray(old.value.full), rtol=1e-5, atol=1e-7, equal_nan=True):
        return None
    from ..core import Node

    node = Node(
        op,
        (None,) * len(inputs),
        {},
        r.shape,
        r.dtype,
        True,
        None,
        (),
        [TensorType(a.shape, a.dtype) for a in arrays],
        None,
    )
    return _Known(pattern_of(op), [rules.traced(node, i, arrays, r) for i in range(len(inputs))])


def _symbols(edge: Edge, found: Any, x: Form, y: Form) -> None:
    """Write the fold's rule: that of the operation it is known to be, or the derivative as a name."""
    left, g = gradient_form(x), gradient_form(y)
    if found is None:
        derivative = Form(f"d{y.text}/d{x.text}", rf"\frac{{\partial {y.latex}}}{{\partial {x.latex}}}")
        rule = write("mul", [g, derivative], {})
    else:
        forms = found.forms({"g": g, "out": y, 0: x})
        rule = forms[found.result]
        if found.slope is not None:
            slope = forms[found.slope]
            edge.derivative = f"d{y.text}/d{x.text} = {slope.text}"
            edge.derivative_latex = rf"\frac{{\partial {y.latex}}}{{\partial {x.latex}}} = {slope.latex}"
    edge.rule, edge.rule_latex = f"{left.text} = {rule.text}", f"{left.latex} = {rule.latex}"
    numbers = [n.number if n is not None else None for n in (edge.upstream, edge.local, edge.downstream)]
    if all(n is not None for n in numbers):
        a, b, c = (number(n) for n in numbers)
        filled = write("mul", [a.held(PRODUCT), b], {})
        edge.filled = f"{left.text} = {filled.text} = {c.text}"
        edge.filled_latex = f"{left.latex} = {filled.latex} = {c.latex}"


def renumbered(graph: Explanation) -> tuple[Explanation, dict[int, int]]:
    """Number nodes and edges by their places again; give the new numbers of nodes by the old ones too."""
    nodes = {n.id: i for i, n in enumerate(graph.nodes)}
    edges = {e.id: i for i, e in enumerate(graph.edges)}
    computed = 0
    for n in graph.nodes:
        n.inputs = [nodes[i] for i in n.inputs]
        n.edges = [edges[e] for e in n.edges if e in edges]
        n.id = nodes[n.id]
        if n.kind in ("operation", "fold"):
            n.forward, computed = computed, computed + 1
    for e in graph.edges:
        e.id, e.source, e.target = edges[e.id], nodes[e.source], nodes[e.target]
    for n in graph.nodes:
        n.uses = [e.id for e in graph.edges if e.source == n.id]
        n.edges = [e.id for e in graph.edges if e.target == n.id]
        n.backward = None
    graph.backward = [nodes[k] for k in graph.backward]
    for i, k in enumerate(graph.backward):
        graph.nodes[k].backward = i
    graph.output = nodes[graph.output]
    graph.ids = {key: nodes[v] for key, v in graph.ids.items() if v in nodes}
    graph.title = graph.nodes[graph.output].expression
    return graph, nodes


__all__ = ["fold", "renumbered"]
