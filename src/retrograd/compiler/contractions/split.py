"""Long sums of few rows and columns: cut into parts that threads compute side by side, and added up in their order.

Into how many parts is a matter of sizes alone, so that results do not depend on threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .description import Contraction, Operand, Result
from .prepared import prepare

PARTS = 8
FEW = 1 << 14  # elements of a result that leaves threads nothing to share
LONG, WORTH = 1 << 13, 1 << 24  # products of a sum, and in all
UNIT = 16  # products of a part


def is_long(what: Contraction) -> bool:
    """Tell whether a product's sums are cut."""
    plain = not (what.batch or what.source or what.epilogue or what.accumulate)
    return plain and 0 < what.m * what.n <= FEW and what.k >= LONG and what.work >= WORTH


def runner(what: Contraction, shape: tuple[int, ...], dtype: Any) -> Callable[..., Any]:
    """Give a function of two arrays, and of a vector that is added to each row, which computes the product in parts."""
    m, n = what.m, what.n
    part = what.k // (PARTS * UNIT) * UNIT
    (_, a_step), (_, b_step) = what.a.sum[0], what.b.sum[0]

    def piece(x: Operand, step: int, start: int, length: int) -> Operand:
        return Operand(x.free, ((length, step),), x.offset + start * step)

    whole = replace(
        what,
        a=piece(what.a, a_step, 0, part),
        b=piece(what.b, b_step, 0, part),
        c=Result(((m, n),), ((n, 1),)),
        batch=((PARTS, part * a_step, part * b_step, m * n),),
    )
    calls, behind = [prepare(whole).caller()], PARTS * part
    if behind < what.k:
        rest = what.k - behind
        a, b = piece(what.a, a_step, behind, rest), piece(what.b, b_step, behind, rest)
        calls.append(prepare(replace(whole, a=a, b=b, batch=(), accumulate=True)).caller())

    def run(x: Any, y: Any, bias: Any = None) -> Any:
        parts = np.empty((PARTS, m, n), dtype)
        for call in calls:
            call(x, y, parts)
        out = np.add.reduce(parts, 0).reshape(shape)
        if bias is not None:
            out += bias
        return out

    return run


__all__ = ["is_long", "runner"]
