"""The kinds of numbers that generated code computes with, and the text of their constants."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of number: its type in registers, its type in memory, its bytes there, and how it is signed.

    ``sort`` is "f" (floating), "s" (signed), "u" (unsigned) or "b" (true and false).
    """

    name: str
    type: str
    memory: str
    size: int
    sort: str


KINDS = {
    kind.name: kind
    for kind in (
        Kind("f32", "float", "float", 4, "f"),
        Kind("f64", "double", "double", 8, "f"),
        Kind(
            "f16", "float", "half", 2, "f"
        ),  # half and bfloat16 are computed in float32, and rounded where they are kept
        Kind("bf16", "float", "i16", 2, "f"),
        Kind("bool", "i1", "i8", 1, "b"),
        *(Kind(f"i{8 * n}", f"i{8 * n}", f"i{8 * n}", n, "s") for n in (1, 2, 4, 8)),
        *(Kind(f"u{8 * n}", f"i{8 * n}", f"i{8 * n}", n, "u") for n in (1, 2, 4, 8)),
        Kind("i128", "i128", "i128", 16, "s"),  # two words that are moved as one
    )
}
PREDICATES = {
    "f": {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une"},
    "s": {"lt": "slt", "le": "sle", "gt": "sgt", "ge": "sge", "eq": "eq", "ne": "ne"},
    "u": {"lt": "ult", "le": "ule", "gt": "ugt", "ge": "uge", "eq": "eq", "ne": "ne"},
}
PREDICATES["b"] = PREDICATES["u"]


def literal(kind: str, value: float | int | bool) -> str:
    """Give the exact text of a number of that kind; a float is rounded to the kind's type first.

    Examples
    --------
    >>> from retrograd.compiler.codegen.kinds import literal
    >>> literal("f64", 1.5), literal("u8", 255), literal("bool", True)
    ('0x3FF8000000000000', '-1', 'true')
    """
    row = KINDS[kind]
    if row.sort == "b":
        return "true" if value else "false"
    if row.sort != "f":
        half = 1 << (8 * row.size - 1)
        return str((int(value) + half) % (2 * half) - half)
    number = float(value)
    if row.type == "float" and math.isfinite(number):
        try:
            number = struct.unpack("<f", struct.pack("<f", number))[0]
        except OverflowError:
            number = math.copysign(math.inf, number)
    return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"
