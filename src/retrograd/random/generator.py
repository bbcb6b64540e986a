"""The generator behind every draw: PyTorch's CPU MT19937 and its state, over NumPy's bit generator of the same name."""

from __future__ import annotations

import os
import struct
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

DEFAULT_SEED = 67280421310721
"""The seed of a generator that was given none."""

_WORDS = 624
_PREFIX = struct.Struct("<QiiQ")  # seed, words left, seeded, next word
_SUFFIX = struct.Struct("<dddi4xf?3x")  # x, y, rho, y is valid; then the float32 sample and whether it is valid
_KEY_END = _PREFIX.size + 8 * _WORDS
STATE_BYTES = _KEY_END + _SUFFIX.size


class _Unseeded(np.random.bit_generator.ISeedSequence):
    """The seed of a bit generator that is seeded again at once: NumPy's own mixes its words and takes longer."""

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> NDArray[Any]:
        """Return zeros."""
        return np.zeros(n_words, dtype)


class Generator:
    """
    A stream of random words whose order and state are those of PyTorch's CPU generator.

    Parameters
    ----------
    device : object, optional
        The device the numbers are drawn on; only ``"cpu"`` holds data.

    Raises
    ------
    RuntimeError
        If the device is not the CPU.

    Notes
    -----
    The words are those of MT19937 (Matsumoto and Nishimura, 1998) with the seeding of 2002, which NumPy calls legacy
    seeding. Beyond the words the state holds one standard normal number: draws of fewer than 16 normals make them in
    pairs and keep the second of the last pair for the next such draw.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.random import Generator, uniform
    >>> uniform((2,), np.float32, generator=Generator().manual_seed(0))
    array([0.4962566, 0.7682218], dtype=float32)
    """

    __slots__ = ("__weakref__", "_address", "_bits", "_legacy", "_seed", "_single", "kept", "lock")

    def __init__(self, device: Any = "cpu") -> None:
        kind = str(device).partition(":")[0]
        if kind != "cpu":
            raise RuntimeError(f"Generator: device {str(device)!r} holds no generator here; use device='cpu'")
        seed: Any = _Unseeded()  # NumPy takes any ISeedSequence; its stubs name only its own
        self._bits = np.random.MT19937(seed)
        self._legacy = np.random.RandomState(self._bits)
        self._address = 0
        self._single: float | None = None
        self.kept = np.zeros(2)  # a normal number, and whether there is one: generated code finds them here
        self.lock = threading.RLock()
        self._reseed(DEFAULT_SEED)

    @property
    def device(self) -> str:
        """The device of the stream, always ``"cpu"``."""
        return "cpu"

    @property
    def address(self) -> int:
        """Where NumPy keeps the 624 words and the position, as long as the generator lives (library use)."""
        if not self._address:
            bits: Any = self._bits
            self._address = int(bits.ctypes.state_address)
        return self._address

    @property
    def sample(self) -> float | None:
        """The normal number that is kept for the next draw of a few, or None."""
        return float(self.kept[0]) if self.kept[1] else None

    @sample.setter
    def sample(self, value: float | None) -> None:
        self.kept[:] = (0.0, 0.0) if value is None else (value, 1.0)

    def _reseed(self, seed: int) -> None:
        with self.lock:
            self._seed = seed
            self._legacy.seed(seed & 0xFFFFFFFF)
            self.sample = self._single = None

    def manual_seed(self, seed: int) -> Generator:
        """
        Start the stream that belongs to `seed`, and return the generator.

        Only the low 32 bits choose the stream; a negative seed counts down from 2**64.

        Raises
        ------
        RuntimeError
            If the seed is not an integer.
        ValueError
            If the seed is outside [-2**63, 2**64).

        Examples
        --------
        >>> from retrograd.random import Generator
        >>> Generator().manual_seed(-1).initial_seed() == 2**64 - 1
        True
        """
        if isinstance(seed, (bool, np.bool_)) or not isinstance(seed, (int, np.integer)):
            raise RuntimeError(f"manual_seed expected an integer, but got {type(seed).__name__}; pass int(seed)")
        value = int(seed)
        if not -(1 << 63) <= value < 1 << 64:
            raise ValueError(f"manual_seed: seed {value} overflows; choose one in [-2**63, 2**64)")
        self._reseed(value & 0xFFFFFFFFFFFFFFFF)
        return self

    def seed(self) -> int:
        """Draw a seed from the operating system, start its stream and return it."""
        value = int.from_bytes(os.urandom(8), "little")
        self._reseed(value)
        return value

    def initial_seed(self) -> int:
        """Return the seed that started the stream."""
        return self._seed

    def words(self, n: int) -> NDArray[np.uint64]:
        """Return the next `n` words of 32 bits, one to an unsigned integer of 64."""
        with self.lock:
            drawn: NDArray[np.uint64] = self._bits.random_raw(n)
        return drawn

    def word(self) -> int:
        """Return the next word of 32 bits."""
        with self.lock:
            return int(self._bits.random_raw())

    def get_state(self) -> NDArray[np.uint8]:
        """
        Return the whole state as 5056 bytes, in the layout of PyTorch's CPU generator.

        Examples
        --------
        >>> from retrograd.random import Generator
        >>> Generator().get_state().shape
        (5056,)
        """
        with self.lock:
            state: Any = self._bits.state["state"]
            key, position = state["key"], int(state["pos"])
            # A stream without draws says "next word 0", a block used up says "next word 624"; both refill next.
            unused = position == _WORDS and int(key[0]) == self._seed & 0xFFFFFFFF
            prefix = _PREFIX.pack(self._seed, 1 + _WORDS - position, 1, 0 if unused else position)
            single, sample = self._single, self.sample
        suffix = _SUFFIX.pack(
            0.0, sample or 0.0, 0.0, sample is not None, 0.0 if single is None else single, single is not None
        )
        return np.frombuffer(prefix + key.astype("<u8").tobytes() + suffix, np.uint8).copy()

    def set_state(self, new_state: Any) -> Generator:
        """
        Continue the stream from `new_state`, the bytes of `get_state` of this class or of PyTorch's.

        Raises
        ------
        TypeError
            If the state is not an array of uint8.
        RuntimeError
            If it has another length, or is not the state of an MT19937.
        """
        if not isinstance(new_state, np.ndarray) or new_state.dtype != np.uint8:
            kind = getattr(new_state, "dtype", type(new_state).__name__)
            raise TypeError(f"set_state expected an array of uint8 (a ByteTensor), but got {kind}")
        if new_state.size != STATE_BYTES:
            raise RuntimeError(f"set_state expected a state of {STATE_BYTES} bytes, but got {new_state.size}")
        data = new_state.tobytes()
        seed, left, seeded, following = _PREFIX.unpack_from(data)
        x, y, rho, valid, single, single_valid = _SUFFIX.unpack_from(data, _KEY_END)
        if seeded != 1 or not 0 < left <= _WORDS or following > _WORDS:
            raise RuntimeError("set_state: the bytes are not the state of an MT19937; pass what get_state returned")
        key = np.frombuffer(data, "<u8", _WORDS, _PREFIX.size).astype(np.uint32)
        position = _WORDS if left == 1 else following
        with self.lock:
            self._bits.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": position}}
            self._seed = seed
            self.sample = y if valid else None
            self._single = single if single_valid else None
        return self

    def mark(self) -> Any:
        """
        Give the place in the stream for `back_to`: for what the library does and a program is not to notice.

        Examples
        --------
        >>> from retrograd.random import Generator
        >>> g = Generator()
        >>> here, before = g.mark(), g.get_state()
        >>> g.back_to(here)
        >>> bool((g.get_state() == before).all())
        True
        """
        with self.lock:
            return self._bits.state, self._seed, self.sample, self._single

    def back_to(self, mark: Any) -> None:
        """Go on from a place that `mark` gave."""
        with self.lock:
            self._bits.state, self._seed, self.sample, self._single = mark

    def clone_state(self) -> Generator:
        """Return another generator at the same point of the same stream."""
        return Generator().set_state(self.get_state())

    def get_offset(self) -> int:
        """Raise RuntimeError: a CPU generator has no offset."""
        raise RuntimeError("CPU Generator does not use offset; use get_state")

    def set_offset(self, offset: int) -> Generator:
        """Raise RuntimeError: a CPU generator has no offset."""
        raise RuntimeError("CPU Generator does not use offset; use set_state")

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.get_state(),)

    def __repr__(self) -> str:
        return f"<retrograd Generator device='cpu' initial_seed={self._seed}>"


def _restore(state: NDArray[np.uint8]) -> Generator:
    return Generator().set_state(state)


default_generator = Generator()
"""The generator of every draw that names none."""
default_generator.seed()
if hasattr(os, "register_at_fork"):  # a thread that was drawing when a child was made is not there to let go
    os.register_at_fork(after_in_child=lambda: default_generator.lock._at_fork_reinit())  # type: ignore[attr-defined]
