"""What the kernel of a loop nest is written from: its plan, what it reads and stores, and a text that says two are one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..core import Node
from .codegen.loops import Analysis
from .lowering.kernel import TAIL, Loops, Operand, Statement
from .lowering.maps import Affine

Place = tuple[Node, int]


@dataclass
class Text:
    """What a nest's kernel is written from, and called on.

    Attributes
    ----------
    plan : Analysis
        How the nest is written.
    buffers : dict
        A value and a place in it, in the order of the kernel's arguments: kernels that differ in places alone are one.
    lines : list
        Says what is computed; nests of equal lines share a kernel.
    reads, writes : list of Node
    label : str
    """

    plan: Analysis
    label: str
    buffers: dict[Place, int] = field(default_factory=dict)
    lines: list[Any] = field(default_factory=list)
    reads: list[Node] = field(default_factory=list)
    writes: list[Node] = field(default_factory=list)

    @property
    def arguments(self) -> tuple[Node, ...]:
        """The values whose addresses the kernel takes."""
        return tuple([node for node, _ in self.buffers])

    @property
    def offsets(self) -> tuple[int, ...]:
        """The bytes added to each of the addresses."""
        return tuple([at * node.dtype.itemsize for node, at in self.buffers])

    @property
    def key(self) -> str:
        """The lines as one text."""
        return repr(self.lines)

    def read(self, *more: Node) -> tuple[Node, ...]:
        """Give what a step reads that runs this kernel and reads more."""
        return tuple(dict.fromkeys([*self.reads, *more]))

    def written(self, *more: Node) -> tuple[Node, ...]:
        """Give what a step writes that runs this kernel, and its working memory."""
        return (*dict.fromkeys(self.writes), *more)

    def buffer(self, node: Node, address: Affine = (0, ())) -> tuple[int, tuple[int, ...]]:
        """Give the number of the argument for a value and a place, and the strides from there."""
        return self.buffers.setdefault((node, address[0]), len(self.buffers)), address[1]


def text_of(nest: Loops, plan: Analysis, lazy: set[Node], number: Callable[[Node], Any]) -> Text:
    """Write down what a nest computes.

    Parameters
    ----------
    nest : Loops
    plan : Analysis
        Of the nest, or of the same with fewer stores.
    lazy : set of Node
        Numbers that the nest computes itself.
    number : callable
        Gives a node's value if it is known now, else None.
    """
    text = Text(plan, "+".join(dict.fromkeys(s.node.op.name for s in nest.statements)))  # type: ignore[union-attr]
    text.lines += [plan.shape(), tuple([s.store is None for s in plan.nest.statements])]
    place: dict[Node, int] = {}  # of a value among those computed or read ahead of the loops
    for node in nest.prelude:
        place[node] = len(place)
        if node not in lazy:
            text.reads.append(node)
            text.lines.append(("leaf", text.buffer(node), node.dtype.str))
        else:
            known = tuple([place[i] if i in place else ("number", repr(number(i))) for i in node.inputs])
            text.lines.append((node.op.name, known, repr(node.attrs), node.dtype.str))  # type: ignore[union-attr]
    for s in nest.statements:
        refs = [_operand(text, o, place) for o in s.operands]
        place[s.node] = len(place)
        text.lines.append(_statement(text, s, tuple(refs)))
    return text


def _operand(text: Text, o: Operand, place: dict[Node, int]) -> tuple[Any, ...]:
    if o.kind == "number":
        return "number", type(o.node).__name__, repr(o.node)
    if o.kind == "load":
        text.reads.append(o.node)
        return "load", text.buffer(o.node, o.address), o.node.dtype.str, o.bounds
    return o.kind, place[o.node]


def _statement(text: Text, s: Statement, refs: tuple[Any, ...]) -> tuple[Any, ...]:
    node, op, store = s.node, s.node.op, None
    assert op is not None
    if s.store is not None:
        text.writes.append(s.store[0])
        if s.level == TAIL:
            text.reads.append(s.store[0])
        store = text.buffer(*s.store)
    attrs = repr({k: v for k, v in node.attrs.items() if k not in ("shape", "order")})
    kinds = tuple([i.dtype.str for i in node.inputs])
    home = s.home if op.name == "iota" else None
    return op.name, s.level, s.reads, refs, store, s.bounds, attrs, node.dtype.str, kinds, home
