"""Draws that are made a second time: from a copy of the generator's state, which goes back to where it was.

A value that was drawn and is read again much later need not be kept: the stream can be gone through backwards. What is drawn again is a
node of its own behind a gate, which says of which draw it is; the program's steps know at which of its words the stream is.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import REGISTRY, Graph, Node, Op, TensorType
from ...random.plans import plan
from ...random.snapshot import BYTES
from ..step import scratch
from .native import seek
from .steps import arguments, generator_of

TWICE = ("exponential", "geometric", "cauchy", "coins", "long integers")  # kernels that take two words for an element


def _op() -> Op:
    """Make the op: programs alone have it, and it is computed by a draw's kernel."""
    op = Op.__new__(Op)
    op.name, op.view, op.broadcasts, op.family, op.outputs, op.impure = "draw_again", False, False, "plain", 1, False
    op.names, op.shown, op.vjp, op.jvp, op.conjugates = ("x",), "", None, None, False
    op.plans, op.quick, op.add_into, op.inline, op.fresh = {}, [], None, None, None
    op.reverse, op.forward = None, None
    op.type = lambda x, *, of: TensorType(of.shape, of.dtype)
    return op


AGAIN = _op()


def words_drawn(node: Node) -> int | None:
    """Say how many words of its generator's stream a draw takes; None where that depends on what was drawn before, or NumPy draws."""
    if arguments(node) is None:
        return None
    attrs = node.attrs
    asked: Any = plan(attrs["kind"], tuple(attrs["shape"]), attrs["dtype"], attrs["parameters"], generator_of(node))
    n, wide = math.prod(node.shape), asked.dtype == np.float64
    if asked.draw in TWICE:
        return 2 * n
    if asked.draw == "uniform":
        return 2 * n if wide else n
    if asked.draw == "integers":
        return n
    if asked.draw == "permutation":
        return n - 1
    if asked.draw == "normal":
        whole, rest = n // 16 * 16, n % 16
        if wide:
            return 2 * whole + (2 * rest + 32 if rest else 0)
        return whole + ((rest if asked.dtype == np.float32 else 0) + 16 if rest else 0)
    return None


def repeatable(nodes: list[Node]) -> set[Node]:
    """Give the draws among a graph's nodes that can be made again: of generators whose every draw takes known words."""
    words = {n: words_drawn(n) for n in nodes if n.op is not None and n.op.impure}
    unknown = {id(generator_of(n)) for n, count in words.items() if count is None}
    return {n for n in words if id(generator_of(n)) not in unknown}


def again(draw: Node, gate: Node, token: Node) -> Node:
    """Give the node that makes a draw again when it was made and a gate is there; the token is any constant."""
    behind = token
    for awaited in (draw, gate):
        inputs = (behind, awaited)
        behind = Node(REGISTRY["after"], inputs, {}, token.shape, token.dtype, False, draw.place, (), None, None)
    return Node(AGAIN, (behind,), {"of": draw}, draw.shape, draw.dtype, False, draw.place, (), None, None)


def make_token(constants: dict[Node, Any]) -> Node:
    """Give a constant to wait with."""
    value = np.zeros(())
    token = Node(None, (), {}, (), value.dtype, False, None, (), None, None)
    constants[token] = value
    return token


def draw_again(graph: Graph) -> Graph:
    """Make draws that are read behind a gate again there, instead of keeping them from the first time."""
    nodes = graph.nodes
    waiting = [n for n in nodes if n.op is REGISTRY["after"] and (i := n.inputs[0]).op is not None and i.op.impure]
    able = repeatable(nodes) if waiting else set()
    stands = {n for n in waiting if n.inputs[0] in able}
    if not stands:
        return graph
    constants = dict(graph.constants)
    token = make_token(constants)
    made: dict[Any, Node] = {}

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node:
        if node in stands:
            return made.setdefault(inputs, again(inputs[0], inputs[1], token))
        if all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
            return node
        return Node(node.op, inputs, node.attrs, node.shape, node.dtype, False, node.place, (), None, None)

    found = graph.rewrite(rule)
    found.constants = constants
    found.order = None
    return found


class Streams:
    """Where generators are in their streams, step by step, while a program's steps are written.

    Every generator whose draws are made again has a copy of its state in the arena, which is made when the first one is.
    """

    def __init__(self) -> None:
        self.now: dict[int, int | None] = {}  # by generator, words drawn so far
        self.before: dict[Node, int | None] = {}  # by draw, those drawn when it is made
        self.copies: dict[int, tuple[Node, int]] = {}  # by generator, the copy and its place in the stream

    def drawn(self, node: Node) -> None:
        """Note that a draw is made."""
        generator = id(generator_of(node))
        now, more = self.now.get(generator, 0), words_drawn(node)
        self.before[node] = now
        self.now[generator] = None if now is None or more is None else now + more

    def arguments(self, node: Node) -> tuple[Node, list[int], list[int]]:
        """Give the copy of the state that a draw is made again from, and what its step takes before that and behind the result."""
        draw = node.attrs["of"]
        generator, given = generator_of(draw), arguments(draw)
        goal, words = self.before.get(draw), words_drawn(draw)
        assert given is not None and goal is not None and words is not None
        (code, _), behind = given
        copy, at = self.copies.get(id(generator), (None, None))
        source = 0
        if copy is None:
            copy, at, source = scratch(BYTES), self.now[id(generator)], generator.address
        self.copies[id(generator)] = copy, goal + words
        moved = goal - at  # type: ignore[operator]
        return copy, [source, moved & (2**64 - 1), seek(), code], behind


__all__ = ["AGAIN", "Streams", "again", "draw_again", "make_token", "repeatable", "words_drawn"]
