"""A generator's point in its stream, taken and gone back to without making a state of bytes in PyTorch's layout."""

from __future__ import annotations

import ctypes
from typing import Any

from .generator import Generator

BYTES = 4 * 624 + 4  # NumPy's MT19937: 624 words and a position


class Snapshot:
    """Where a generator was.

    Examples
    --------
    >>> from retrograd.random import Generator
    >>> g = Generator()
    >>> before = Snapshot(g)
    >>> first = g.word()
    >>> before.moved(), before.go_back(), before.moved(), g.word() == first
    (True, None, False, True)
    """

    __slots__ = ("_generator", "_held")

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._held = self._now()

    def _now(self) -> tuple[bytes, Any, Any, Any]:
        generator = self._generator
        with generator.lock:
            bits = ctypes.string_at(generator.address, BYTES)
            return bits, generator._seed, generator._single, generator.sample

    def go_back(self) -> None:
        """Let the generator go on from here."""
        generator = self._generator
        with generator.lock:
            bits, generator._seed, generator._single, generator.sample = self._held
            ctypes.memmove(generator.address, bits, BYTES)

    def moved(self) -> bool:
        """Tell whether the generator is elsewhere now."""
        return self._now() != self._held


__all__ = ["Snapshot"]
