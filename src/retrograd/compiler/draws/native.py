"""Kernels of draws: made when they are first asked for, called by eager mode and by steps of programs."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..codegen.emit import Module
from ..runtime import cache, jit
from ..runtime.jit import forever
from . import clib, inverse, normal, uniform
from .words import POSITION, WORDS, write_seek, write_words

WRITERS: dict[str, Callable[[Module, str, int, str], None]] = {
    "uniform": uniform.write_uniform,
    "coins": uniform.write_coins,
    "chances": uniform.write_chances,
    "integers": uniform.write_integers,
    "long integers": uniform.write_long_integers,
    "permutation": uniform.write_permutation,
    "normal": normal.write_normal,
    "pairs": normal.write_pairs,
    "log normal": normal.write_log_normal,
    "exponential": inverse.write_exponential,
    "geometric": inverse.write_geometric,
    "cauchy": inverse.write_cauchy,
}
KINDS = {
    "float32": "f32",
    "float64": "f64",
    "float16": "f16",
    "bfloat16": "bf16",
    "bool": "bool",
    **{f"{sign}int{bits}": f"{short}{bits}" for sign, short in (("", "i"), ("u", "u")) for bits in (8, 16, 32, 64)},
}


class Code:
    """One kernel in memory.

    Attributes
    ----------
    address : int
        Of ``void(ptr arguments, i64 chunk)``, whose arguments are told in ``frame``.
    """

    def __init__(self, draw: str, kind: str) -> None:
        module = Module(jit.host().enabled)
        lanes = max(jit.host().lanes(4), 4)
        write_words(module, lanes)
        WRITERS[draw](module, "draw", lanes, kind)
        loaded = cache.native(module.text(), f"draws: {draw} {kind}", clib.symbols())
        forever(loaded)
        self.address = loaded.address("draw")


@functools.cache
def code(draw: str, dtype: str) -> Code | None:
    """Give the kernel of a kind of draw for a dtype, or None where there can be none."""
    if draw not in WRITERS or dtype not in KINDS or not is_as_supposed():
        return None
    return Code(draw, KINDS[dtype])


@functools.cache
def seek() -> int:
    """Give the address of what makes a state go on or back: ``void(ptr state, i64 words)``."""
    module = Module(jit.host().enabled)
    lanes = max(jit.host().lanes(4), 4)
    write_words(module, lanes)
    write_seek(module, lanes)
    loaded = cache.native(module.text(), "draws: seek", clib.symbols())
    forever(loaded)
    return int(loaded.address("seek"))


@functools.cache
def is_as_supposed() -> bool:
    """Tell whether a state lies in memory as words and a position: NumPy does not promise it."""
    bits = np.random.MT19937(5)
    at = int(bits.ctypes.state_address)
    for _ in range(2):
        state: Any = bits.state["state"]
        words = np.ctypeslib.as_array((ctypes.c_uint32 * WORDS).from_address(at))
        if not np.array_equal(words, state["key"]):
            return False
        if ctypes.c_int32.from_address(at + POSITION).value != state["pos"]:
            return False
        bits.random_raw(700)
    return True


def words_of(*values: Any) -> list[int]:
    """Give a kernel's arguments as numbers of 64 bits."""
    found = []
    for value in values:
        if isinstance(value, np.ndarray):
            found.append(int(value.ctypes.data))
        elif isinstance(value, float):
            found.append(int(np.float64(value).view(np.uint64)))
        else:
            found.append(int(value) & (2**64 - 1))
    return found


__all__ = ["Code", "code", "seek", "words_of"]
