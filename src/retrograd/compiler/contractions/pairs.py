"""Products of bfloat16 by instructions that multiply two pairs of numbers and add both products to a float32."""

from __future__ import annotations

from dataclasses import replace

from ..runtime import jit
from .description import Contraction, Operand, merged


def paired(what: Contraction) -> Contraction | None:
    """Describe a product with its sum taken two by two; None where the machine, or how the operands lie, does not have it so."""
    here = jit.host()
    if what.source != "bf16" or what.pairs or what.k % 2 or "avx512bf16" not in here.enabled or here.lanes(4) != 16:
        return None
    a, b = _operand(what.a), _operand(what.b)
    if a is None or b is None:
        return None
    batch = []
    for length, *steps in what.batch:
        for place, (_, how) in enumerate((a, b)):
            if how == "words":
                if steps[place] % 2:
                    return None
                steps[place] //= 2
        batch.append((length, *steps))
    return replace(what, a=a[0], b=b[0], batch=tuple(batch), pairs=(a[1], b[1]))


def _operand(x: Operand) -> tuple[Operand, str] | None:
    free, sums = merged(x.free), merged(x.sum)
    if len(free) > 1 or len(sums) > 1 or x.bounds or not sums:
        return None
    (count, step), (length, apart) = sums[0], free[0] if free else (1, 0)
    if step == 1 and apart % 2 == 0 and x.offset % 2 == 0:
        return Operand(((length, apart // 2),), ((count // 2, 1),), x.offset // 2), "words"
    if not free or apart == 1:
        return Operand(((length, 1),), ((count // 2, 2 * step),), x.offset), "rows"
    return None
