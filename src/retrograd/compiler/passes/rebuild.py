"""The walk that every pass shares: a graph is built anew from its inputs on, equal nodes once."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ...core import REGISTRY, Graph, Node, Op

Rule = Callable[["Builder", Node, tuple[Node, ...]], "Node | None"]


class Builder:
    """Makes nodes: an application of a pure op to the same inputs with the same attributes is the same node.

    Parameters
    ----------
    constants : dict
        Values of nodes without an op; Python scalars stay Python scalars.
    keeps : bool
        Whether a node that stays as it is may be the old node itself, but for draws, which have to stay in their order.

    Attributes
    ----------
    made : list of Node
        All nodes in the order in which they came.
    """

    def __init__(self, constants: dict[Node, Any], keeps: bool = False) -> None:
        self.constants = dict(constants)
        self.known: dict[Any, Node] = {}
        self.scalars: dict[Any, Node] = {}
        self.keeps = keeps
        self.made: list[Node] = []

    def make(
        self,
        op: Op,
        inputs: tuple[Node, ...],
        attrs: dict[str, Any],
        shape: tuple[int, ...],
        dtype: Any,
        like: Node | None = None,
    ) -> Node:
        """Give the node of this application, an old one where there is one."""
        key = None
        if not op.impure:
            key = (op, inputs, frozen(attrs) if attrs else (), shape, dtype)
            found = self.known.get(key)
            if found is not None:
                return found
        if self.keeps and key is not None and like is not None and _is(like, op, inputs, attrs, shape, dtype):
            node = like
        else:
            node = Node(op, inputs, attrs, shape, dtype, False, None if like is None else like.place, (), None, None)
        self.made.append(node)
        if key is not None:
            self.known[key] = node
        return node

    def call(self, name: str, *inputs: Node, like: Node | None = None, **attrs: Any) -> Node:
        """Apply an op by name; its type rule gives the result's type."""
        op = REGISTRY[name]
        found = op.type(*[None if self.is_scalar(i) else i.type for i in inputs], **attrs)
        return self.make(op, inputs, attrs, tuple(found.shape), np.dtype(found.dtype), like)

    def scalar(self, value: Any, like: Node | None = None) -> Node:
        """Give the node of a Python scalar: ``like``, if there is none yet."""
        key = (type(value), value, str(value))
        found = self.scalars.get(key)
        if found is None:
            found = like or Node(None, (), {}, (), np.asarray(value).dtype, False, None, (), None, None)
            self.scalars[key] = found
            self.constants[found] = value
            self.made.append(found)
        return found

    def array(self, value: np.ndarray[Any, Any]) -> Node:
        """Give a node for a constant array."""
        node = Node(None, (), {}, value.shape, value.dtype, False, None, (), None, None)
        self.constants[node] = value
        self.made.append(node)
        return node

    def is_scalar(self, node: Node) -> bool:
        """Tell whether a node is a Python scalar, which takes its dtype from the other operands."""
        return node.op is None and node in self.constants and not isinstance(self.constants[node], np.ndarray)


def _is(
    node: Node, op: Op, inputs: tuple[Node, ...], attrs: dict[str, Any], shape: tuple[int, ...], dtype: Any
) -> bool:
    same = node.op is op and node.attrs is attrs and node.shape == shape and node.dtype == dtype
    return same and len(inputs) == len(node.inputs) and all(map(_same, inputs, node.inputs))


_same = operator.is_
FROZEN: dict[int, tuple[Any, Any]] = {}  # attributes by identity, while a pipeline runs: dicts that nobody changes


def frozen(attrs: dict[str, Any]) -> Any:
    """Give attributes as something hashable, once for each dict."""
    found = FROZEN.get(id(attrs))
    if found is None:
        found = FROZEN[id(attrs)] = attrs, freeze(attrs)
    return found[1]


def freeze(value: Any) -> Any:
    """Give attributes as something hashable."""
    if value is None or value.__class__ is str:
        return value
    if value.__class__ is tuple and all(v.__class__ is int for v in value):
        return ("ints", value)
    if isinstance(value, dict):
        return tuple([(k, freeze(v)) for k, v in value.items()])
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, *[freeze(v) for v in value])
    if isinstance(value, slice):
        return ("slice", freeze(value.start), freeze(value.stop), freeze(value.step))
    if isinstance(value, np.ndarray):
        return ("array", value.shape, value.dtype.str, value.tobytes())
    if isinstance(value, float):
        return ("float", value.hex())  # 0.0 and -0.0, and NaN, are told apart
    if isinstance(value, (bool, int)):
        return (type(value).__name__, value)
    return value


def rebuild(graph: Graph, rule: Rule) -> Graph:
    """Build a graph anew; ``rule(builder, node, inputs)`` gives what takes a node's place, or None for the same op again.

    Nodes of a graph that was built here and that stay as they are, are the same nodes in both.
    """
    builder = Builder(graph.constants, graph.order is not None)
    new: dict[Node, Node] = {}
    given = set(graph.inputs)
    for node in graph.nodes:
        if node.op is None:
            value = graph.constants.get(node)
            shared = node in graph.constants and not isinstance(value, np.ndarray) and node not in given
            if shared:
                new[node] = builder.scalar(value, node if builder.keeps else None)
            else:
                new[node] = node
                builder.made.append(node)
            continue
        inputs = tuple([new[i] for i in node.inputs])
        found = rule(builder, node, inputs)
        if found is None:
            found = builder.make(node.op, inputs, node.attrs, node.shape, node.dtype, node)
        new[node] = found
    outputs = tuple(new[o] for o in graph.outputs)
    made = Graph(graph.inputs, outputs, {})
    used = set(made.nodes)
    made.order = [n for n in builder.made if n in used]
    if len(made.order) != len(used):  # a rule made nodes past the builder
        made.order = None
    made.checked = graph.checked & used
    made.constants = {n: builder.constants[n] for n in made.nodes if n in builder.constants}
    return made
