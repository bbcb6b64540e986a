"""A step of a program: what is called, on what, and how much work it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import Node
from .codegen.products import Product
from .lowering.kernel import Call

SHARED = 1 << 18  # multiply-adds of a product that two threads share
LONG = 1 << 19  # from which a sleeping thread is woken for it: one that is awake costs nothing to tell


@dataclass(frozen=True)
class Goal:
    """Stands for the memory that an output is handed over in."""

    output: int


@dataclass
class Step:
    """One entry of a program: a native function with its table row, or a call of NumPy."""

    name: str = ""  # the native function's symbol, or empty
    arguments: tuple[Any, ...] = ()  # nodes whose addresses it takes (or ints)
    offsets: tuple[int, ...] = ()  # bytes added to each
    chunks: int = 1
    call: Call | None = None
    reads: tuple[Node, ...] = ()
    writes: tuple[Node, ...] = ()
    label: str = ""
    long: bool = False  # worth waking a sleeping thread for
    alike: bool = False  # it may be one of several that one record goes over
    worth: float = 0.0  # its work, of what two threads share


def scratch(size: int) -> Node:
    """Give what stands for working memory of so many bytes."""
    return Node(None, (), {}, (max(size, 64),), np.dtype(np.uint8), False, None, (), None, None)


def chunks_of_product(p: Product) -> int:
    """Say into how many parts a product is cut: a matter of its sizes alone, so that results do not depend on threads."""
    if p.work < SHARED:
        return 1
    batch = next((n for n in p.batch if n != 1), 0)
    if batch:
        return min(batch, 4)
    return min(4, max(p.m, p.n) // 16) or 1
