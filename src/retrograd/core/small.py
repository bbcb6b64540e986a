"""Operations on small arrays: once they come often, the door hands an op named here to a builtin in generated code.

The builtin, ``op.quick_door``, takes the operands and gives the result as a tensor, or None where it is not for it (see
``compiler/eager_small.py``). Until it is made, a counter stands in its place.
"""

from __future__ import annotations

import sys
from typing import Any

from . import executors
from .mode import MODE

# calls of operations named here: from then on the compiler's import and the builtins have paid for themselves
PATIENCE = 8192
NAMES = frozenset(
    ("add", "sub", "mul", "div", "neg", "abs", "square", "reciprocal", "sqrt", "maximum", "minimum", "relu", "step")
    + ("eq", "ne", "lt", "le", "gt", "ge", "matmul", "linear")
)
_calls = [0]
executors.register("small door", f"{__package__.partition('.')[0]}.compiler.eager_small:door")


def attach(op: Any) -> None:
    """Give an op that is named here its counter."""
    if op.name not in NAMES:
        return

    def counted(*_: Any) -> None:
        _calls[0] += 1
        if _calls[0] >= PATIENCE and not (MODE.straight is False or MODE.aside or sys.getprofile()):
            make = executors.find("small door")
            op.quick_door = None if make is None else make(op)

    op.quick_door = counted


__all__ = ["attach"]
