"""The walk over a graph one node at a time: forward, where values are made, then backward, where gradients are passed on."""

from __future__ import annotations

from collections.abc import Iterator

from .model import Edge, ExplainedNode, Graph, Step
from .numbers import brief


def steps(graph: Graph) -> Iterator[Step]:
    """Give the steps of the forward pass, then those of the backward pass, in the order they happen.

    Parameters
    ----------
    graph : Graph

    Yields
    ------
    Step
    """
    count = 0
    for node in graph.nodes:
        if node.kind == "constant":
            continue
        yield Step(count, "forward", node.id, list(node.edges), _forward(graph, node))
        count += 1
    if graph.mode == "forward":
        return
    for k in graph.backward:
        node = graph.nodes[k]
        passed = [e for e in node.edges if graph.edges[e].downstream is not None]
        yield Step(count, "backward", k, passed, _backward(graph, node, passed))
        count += 1


def _forward(graph: Graph, node: ExplainedNode) -> str:
    value = brief(node.value)
    if node.kind in ("operation", "fold"):
        said = f"compute {node.label}: {node.rule} = {value}"
        if graph.mode == "forward" and node.tangent is not None:
            parts = [graph.edges[e] for e in node.edges if graph.edges[e].tangent is not None]
            said += f"; tangent {' + '.join(brief(e.tangent) for e in parts)} = {brief(node.tangent)}"
        elif node.kept:
            said += f"; keep {' and '.join(node.kept)} for the backward pass ({node.kept_bytes} bytes)"
        return said
    said = f"take {node.kind} {node.label} = {value}"
    if graph.mode == "forward" and node.tangent is not None:
        said += f" with tangent {brief(node.tangent)}"
    return said


def _backward(graph: Graph, node: ExplainedNode, passed: list[int]) -> str:
    arrived = [graph.edges[e] for e in node.uses if graph.edges[e].downstream is not None]
    arrived.sort(key=lambda e: (graph.nodes[e.target].backward or 0, e.slot))
    if node.id == graph.output:
        said = f"start at {node.label} with upstream {brief(node.gradient)}"
    elif len(arrived) > 1:
        total = " + ".join(f"({brief(e.downstream)})" for e in arrived)
        said = f"{len(arrived)} gradients meet at {node.label}: {total} = {brief(node.gradient)}"
    else:
        said = f"upstream {brief(node.gradient)} arrives at {node.label}"
    if not node.edges:
        return f"{said}: this is its gradient"
    moves = "; ".join(_move(graph, graph.edges[e]) for e in passed)
    return f"{said}; {node.pattern} -> {moves}" if moves else f"{said}; nothing is passed on"


def _move(graph: Graph, edge: Edge) -> str:
    source = graph.nodes[edge.source].label
    if edge.local is not None and edge.local.number is not None and edge.upstream is not None:
        return f"to {source}: {brief(edge.upstream)} x {_bracketed(brief(edge.local))} = {brief(edge.downstream)}"
    return f"to {source}: {edge.rule or 'upstream x local'} = {brief(edge.downstream)}"


def _bracketed(text: str) -> str:
    return f"({text})" if text.startswith("-") else text


__all__ = ["steps"]
