"""Graph: inputs, outputs and the nodes between, with a text form, a type check and an interpreter's order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from .node import Node


def reachable(roots: Iterable[Node | None]) -> list[Node]:
    """Give every node that the roots depend on, inputs before users, without recursion."""
    seen: set[Any] = {None}
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack += node.inputs  # type: ignore[union-attr]
    seen.discard(None)
    return sorted(seen, key=_number)


_number = attrgetter("seq")


@dataclass
class Graph:
    """A program: what goes in, what comes out, and which inputs are written back.

    Attributes
    ----------
    inputs
        Nodes without an op that the caller gives values for.
    outputs
        Nodes whose values are the results.
    constants
        Values of nodes without an op that are not inputs.
    order
        All nodes, if whoever made the graph knows them; it stays as it is.
    checked
        Nodes whose types were found right.
    sums
        How some nodes are to be added up, if that was settled before: what a compiler notes for graphs that stand for others.
    """

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    constants: dict[Node, Any] = field(default_factory=dict)
    order: list[Node] | None = field(default=None, repr=False, compare=False)
    checked: set[Node] = field(default_factory=set, repr=False, compare=False)
    sums: dict[Node, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def nodes(self) -> list[Node]:
        """Every node, inputs before users: as ``order`` has them, or as they were made."""
        return reachable((*self.inputs, *self.outputs)) if self.order is None else self.order

    def rewrite(self, rule: Callable[[Node, tuple[Node, ...]], Node]) -> Graph:
        """Rebuild the graph from its inputs on; ``rule(node, inputs)`` gives the node that takes a node's place."""
        new: dict[Node, Node] = {}
        for node in self.nodes:
            new[node] = node if node.op is None else rule(node, tuple(new[i] for i in node.inputs))
        return Graph(self.inputs, tuple(new[o] for o in self.outputs), self.constants)

    def check(self) -> None:
        """Raise TypeError unless each node's type is what its op's type rule gives for its inputs."""
        for node in self.nodes:
            if node.op is None or node in self.checked:
                continue
            found = node.op.type(
                *(
                    i.type if i.op is not None or i not in self.constants else _typed(i, self.constants[i])
                    for i in node.inputs
                ),
                **node.attrs,
            )
            if found is not None and tuple(found) != (node.shape, node.dtype):
                raise TypeError(
                    f"{node.op.name} in this graph is marked {node.type}, its inputs and attributes give {found}"
                )
            self.checked.add(node)

    def __str__(self) -> str:
        names: dict[Node, str] = {}
        for n in self.inputs:
            names[n] = f"%{len(names)}"
        lines = []
        for n in self.nodes:
            if n in names:
                continue
            names[n] = f"%{len(names)}"
            if n.op is None:
                shown = repr(self.constants.get(n)) if not n.shape else "..."
                lines.append(f"  {names[n]}: {n.type} = constant {shown}")
            else:
                attrs = "".join(f", {k}={v!r}" for k, v in n.attrs.items())
                lines.append(f"  {names[n]}: {n.type} = {n.op.name}({', '.join(names[i] for i in n.inputs)}{attrs})")
        head = ", ".join(f"{names[n]}: {n.type}" for n in self.inputs)
        return "\n".join([f"graph({head}) {{", *lines, f"  return {', '.join(names[o] for o in self.outputs)}", "}"])


def _typed(node: Node, value: Any) -> Any:
    return node.type if hasattr(value, "shape") else None
