"""List the classes and functions that a pickle program refers to, without running it."""

from __future__ import annotations

import pickletools
from pickle import UnpicklingError
from typing import Any

from .allowed import python3_name

TEXT = ("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE")


def globals_of(program: bytes) -> list[str]:
    """Give the full names of all globals in a program, each once, in the order they are met.

    Raises UnpicklingError if the program is damaged.
    """
    found: dict[str, None] = {}
    memo: dict[int, Any] = {}
    texts: list[Any] = [None, None]  # the two objects pushed last, where they are texts
    try:
        opcode: Any
        value: Any
        for opcode, value, _ in pickletools.genops(program):
            name = opcode.name
            if name == "GLOBAL":
                module, _, attribute = value.partition(" ")
                found[".".join(python3_name(module, attribute))] = None
            elif name == "STACK_GLOBAL":
                found[f"{texts[-2]}.{texts[-1]}"] = None
            if name in TEXT:
                texts.append(value)
            elif name == "MEMOIZE":
                memo[len(memo)] = texts[-1]
            elif name in ("BINPUT", "LONG_BINPUT"):
                memo[value] = texts[-1]
            elif name in ("BINGET", "LONG_BINGET"):
                texts.append(memo.get(value))
            else:
                texts.append(None)
    except (ValueError, IndexError, KeyError, UnicodeDecodeError) as error:
        raise UnpicklingError(f"the pickle data is damaged: {error}") from None
    return list(found)
