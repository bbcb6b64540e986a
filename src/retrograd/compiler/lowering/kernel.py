"""What a graph is lowered to: steps in order, each a loop nest, a product of matrices, a fill, or a call of NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...core import Node
from .maps import Affine, Map

Bounds = tuple[tuple[Affine, int], ...]  # each: an index that must not be negative, and must be below the number
CHUNK = 32768  # elements that are worth a thread
MOST_CHUNKS = 8
FULL, ROW, TAIL = "full", "row", "tail"  # a statement runs at every element, once a row, or adds into memory


def identity_of(node: Node) -> Any:
    """Give what a reduction begins with."""
    name, dtype = node.op.name, node.dtype  # type: ignore[union-attr]
    if name not in ("amax", "amin"):
        return 0.0 if dtype.kind == "f" else 0
    if dtype.kind == "b":
        return name == "amin"
    if dtype.kind in "iu":
        return int(np.iinfo(dtype).min if name == "amax" else np.iinfo(dtype).max)
    return -math.inf if name == "amax" else math.inf


@dataclass(eq=False)
class Operand:
    """Where a statement's operand comes from: a number, another statement, a scalar of the prelude, or memory at an address."""

    kind: str  # "number", "value", "scalar", "load"
    node: Any  # the number, or the node whose value it is
    address: Affine = (0, ())
    bounds: Bounds = ()  # where an address may lie outside, what must hold for it to be read


@dataclass(eq=False)
class Statement:
    """One node's work inside a loop nest."""

    node: Node
    level: str
    home: Map  # from the nest's counters to the node's own index
    operands: list[Operand]
    store: tuple[Node, Affine] | None = None  # the buffer's node and where in it
    reads: str = FULL  # the level of what a reduction reduces
    bounds: Bounds = ()  # what must hold for the value to be stored


@dataclass(frozen=True)
class Order:
    """In which order a sum was added up, so that a nest elsewhere gives it the same bits.

    Attributes
    ----------
    cut : tuple of int, optional
        How many chunks have sums of their own, and elements of the domain that each goes over; None where chunks do not share the sum.
    lanes : tuple of int, optional
        Lanes of the registers that it is added up in along the innermost loop, how many registers, and that loop's length; None where it is
        added to row by row.
    fused : bool
        Whether products are added without being rounded.
    """

    cut: tuple[int, int] | None
    lanes: tuple[int, int, int] | None
    fused: bool


@dataclass(eq=False)
class Loops:
    """A loop nest over a domain: statements that run together.

    ``split`` holds the dimensions that rows are reduced along; the others tell rows apart. Without it every dimension is alike.
    """

    time: float
    domain: tuple[int, ...]
    statements: list[Statement] = field(default_factory=list)
    split: frozenset[int] | None = None
    prelude: dict[Node, None] = field(default_factory=dict)  # 0-d nodes computed once, before the loops
    by_node: dict[Node, Statement] = field(default_factory=dict)
    product: Any = (
        None  # the call of the matrix product whose elements the nest goes on with, while they are in registers
    )

    parts: int = 1  # into how many chunks it is cut although it adds into memory: each has sums of its own
    apart: dict[Node, Node] = field(default_factory=dict)  # by the sum, what holds every chunk's
    begun: set[Node] = field(default_factory=set)  # sums whose memory the nest itself sets to what they begin with
    orders: dict[Node, Order] = field(default_factory=dict)  # of sums that are to be added up as they were elsewhere

    @property
    def size(self) -> int:
        """Elements of the domain."""
        return math.prod(self.domain)

    @property
    def cut(self) -> tuple[int, int] | None:
        """How its sums have to be cut, if that is settled."""
        return next((o.cut for o in self.orders.values() if o.cut is not None), None)

    @property
    def lanes(self) -> tuple[int, int, int] | None:
        """In which registers its sums have to be added up, if that is settled."""
        return next((o.lanes for o in self.orders.values() if o.lanes is not None), None)

    @property
    def product_cut(self) -> tuple[int, int]:
        """How the product is cut that the nest goes on with: by rows."""
        parts, (rows, columns) = self.product.parts, self.domain
        return (parts, -(-rows // parts) * columns) if parts > 1 else (1, 0)

    def keeps(self, orders: Iterable[Order]) -> bool:
        """Tell whether sums that have to be added up in some orders may be added up here."""
        for o in orders:
            if (
                o.cut is not None
                and self.product is not None
                and self.product.continues == 1
                and o.cut != self.product_cut
            ):
                return False
            if (o.cut is not None and self.cut not in (None, o.cut)) or (
                o.lanes is not None and self.lanes not in (None, o.lanes)
            ):
                return False
        return True

    @property
    def work(self) -> int:
        """Elements of the domain, times as many as what is read and written for each is of a plain sum's three values."""
        read = {o.node for s in self.statements for o in s.operands if o.kind == "load" and math.prod(o.node.shape) > 1}
        written = sum(s.store is not None for s in self.statements)
        return self.size * max(3, len(read) + written) // 3

    @property
    def live(self) -> list[int]:
        """The dimensions longer than one."""
        return [d for d, n in enumerate(self.domain) if n != 1]

    @property
    def rows(self) -> int:
        """How many rows the split leaves."""
        return math.prod(n for d, n in enumerate(self.domain) if self.split is None or d not in self.split)


@dataclass(eq=False)
class Call:
    """One node computed by its op's NumPy function, or by a library's matrix product."""

    time: float
    node: Node
    operands: list[
        tuple[Any, int, tuple[int, ...]] | None
    ]  # (buffer's node, offset, strides) of each, or None for a number
    continues: int = 0  # whether loops go on with its elements: 1 and add columns up, 3 tile by tile
    parts: int = 1  # into how many chunks it is cut, each with sums of its own
    behind: frozenset[Node] = frozenset()  # what those do that go on tile by tile


@dataclass(eq=False)
class Joined:
    """A sum put together from those of its nest's chunks, in their order."""

    time: float
    node: Node
    parts: Node


@dataclass(eq=False)
class Fill:
    """A buffer set to one value before parts or sums go into it."""

    time: float
    node: Node
    value: Any
