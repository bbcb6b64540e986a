"""What a graph is lowered to: steps in order, each a loop nest, a product of matrices, a fill, or a call of NumPy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from ...core import Node
from .maps import Affine, Map

FULL, ROW, TAIL = "full", "row", "tail"  # a statement runs at every element, once a row, or adds into memory


@dataclass(eq=False)
class Operand:
    """Where a statement's operand comes from: a number, another statement, a scalar of the prelude, or memory at an address."""

    kind: str  # "number", "value", "scalar", "load"
    node: Any  # the number, or the node whose value it is
    address: Affine = (0, ())


@dataclass(eq=False)
class Statement:
    """One node's work inside a loop nest."""

    node: Node
    level: str
    home: Map  # from the nest's counters to the node's own index
    operands: list[Operand]
    store: tuple[Node, Affine] | None = None  # the buffer's node and where in it
    reads: str = FULL  # the level of what a reduction reduces


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

    @property
    def size(self) -> int:
        """Elements of the domain."""
        return math.prod(self.domain)

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
    continues: int = 0  # whether loops go on with its elements: 1 by element, 2 and add columns up


@dataclass(eq=False)
class Fill:
    """A buffer set to one value before parts or sums go into it."""

    time: float
    node: Node
    value: Any
