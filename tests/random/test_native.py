"""Draws in generated code against NumPy's: the same bits, and the same state afterwards, for every kind, dtype and size."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
from typing import Any

import ml_dtypes
import numpy as np
import pytest

R = importlib.import_module("retrograd.random")
native = importlib.import_module("retrograd.random.native")
executors = importlib.import_module("retrograd.core.executors")
FLOATS = (np.float32, np.float64, np.float16, ml_dtypes.bfloat16)
INTEGERS = (np.int64, np.int32, np.int16, np.int8, np.uint8)
# around the 16 of a group, the widths of vectors, the 624 words of a block, the 2048 that are made at a time
SIZES = (0, 1, 2, 7, 15, 16, 17, 31, 32, 33, 311, 312, 313, 623, 624, 625, 1024, 2047, 2048, 2049, 5003)

# draw: (arguments after the generator, the dtypes)
DRAWS: dict[str, tuple[Any, Any]] = {
    "uniform": (lambda g, n, d: R.uniform(n, d, generator=g), (*FLOATS, np.complex64)),
    "uniform between": (lambda g, n, d: R.uniform(n, d, -3.3, 7.1, g), FLOATS),
    "normal": (lambda g, n, d: R.normal(n, d, generator=g), (*FLOATS, np.complex64, np.complex128)),
    "normal about": (lambda g, n, d: R.normal(n, d, 1.5, 0.3, g), FLOATS),
    "normal strided": (lambda g, n, d: R.normal(n, d, 1.5, 0.3, g, contiguous=False), FLOATS),
    "log normal": (lambda g, n, d: R.log_normal(n, d, 0.5, 0.7, g), FLOATS),
    "exponential": (lambda g, n, d: R.exponential(n, d, 1.7, g), FLOATS),
    "geometric": (lambda g, n, d: R.geometric(n, d, 0.3, g), (*FLOATS, *INTEGERS)),
    "geometric, rare": (lambda g, n, d: R.geometric(n, d, 1e-9, g), (np.float32, np.int64)),
    "cauchy": (lambda g, n, d: R.cauchy(n, d, 0.5, 2.0, g), FLOATS),
    "coins": (lambda g, n, d: R.bernoulli_scalar(0.3, n, d, g), (*FLOATS, *INTEGERS, np.bool_)),
    "coins, never": (lambda g, n, d: R.bernoulli_scalar(0.0, n, d, g), (np.float32,)),
    "coins, always": (lambda g, n, d: R.bernoulli_scalar(1.0, n, d, g), (np.float32, np.int8)),
    "coins of two": (lambda g, n, d: R.bernoulli_scalar(0.5, n, d, g, scale=2.0), (*FLOATS, np.int64)),
    "chances": (lambda g, n, d: R.bernoulli((np.arange(n) % 9 / 8).astype(d), g), FLOATS),
    "randint": (lambda g, n, d: R.randint(3, 100, n, d, g), (*FLOATS, *INTEGERS, np.uint16, np.uint32, np.uint64)),
    "randint, power": (lambda g, n, d: R.randint(-8, 8, n, d, g), INTEGERS[:-1]),
    "randint, wide": (lambda g, n, d: R.randint(-5, 2**28 - 6, n, d, g), (np.int64, np.int32, np.float64)),
    "randint, wider": (lambda g, n, d: R.randint(-5, 2**62 + 12345, n, d, g), (np.int64, np.float64)),
    "random": (lambda g, n, d: R.random_(n, d, g), (*FLOATS, *INTEGERS, np.bool_)),
    "random, 64 bits": (lambda g, n, d: R.random_(n, d, g, -(1 << 63)), (np.int64, np.float64, np.float32)),
    "randperm": (lambda g, n, d: R.randperm(min(n, 120), d, g), (np.int64, np.int8, np.float32)),
    "randperm, long": (lambda g, n, d: R.randperm(n * 20, d, g), (np.int64,)),
    "multinomial": (lambda g, n, d: R.multinomial(np.arange(1, n + 2).astype(d), 1, False, g), FLOATS),
}
ROWS = [(name, dtype) for name, (_, dtypes) in DRAWS.items() for dtype in dtypes]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code is made for a kind when it is first drawn."""
    monkeypatch.setattr(native, "WORTH", 0)
    monkeypatch.setattr(native, "_addresses", {})


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "WORTH", 1 << 60)
    monkeypatch.setattr(native, "_addresses", {})


def started(seed: int) -> Any:
    """A generator somewhere in a block, which keeps a normal number for odd seeds."""
    g = R.Generator().manual_seed(seed)
    g.words(17 * seed % 700)
    R.normal(seed % 2, np.float64, generator=g)
    return g


def run(name: str, dtype: Any) -> list[bytes]:
    found = []
    for seed, n in enumerate(SIZES):
        g = started(seed)
        drawn = DRAWS[name][0](g, n, np.dtype(dtype))
        found += [drawn.tobytes(), g.get_state().tobytes()]
    return found


@pytest.fixture(scope="module")
def expected() -> dict[Any, list[bytes]]:
    """What NumPy draws."""
    held = native.WORTH, native._addresses
    native.WORTH, native._addresses = 1 << 60, {}
    try:
        return {(name, dtype): run(name, dtype) for name, dtype in ROWS}
    finally:
        native.WORTH, native._addresses = held


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.usefixtures("at_once")
def test_the_same_bits(name: str, expected: dict[Any, list[bytes]]) -> None:
    for dtype in DRAWS[name][1]:
        assert run(name, dtype) == expected[name, dtype], dtype
    assert all(native._addresses.values()), "some were NumPy's"


def untempered(words: Any) -> Any:
    """Give what is tempered into these words."""
    y = words.astype(np.uint32)
    y ^= y >> np.uint32(18)
    y ^= (y << np.uint32(15)) & np.uint32(0xEFC60000)
    t = y
    for _ in range(4):
        t = y ^ ((t << np.uint32(7)) & np.uint32(0x9D2C5680))
    y = t
    for _ in range(2):
        t = y ^ (t >> np.uint32(11))
    return t


def test_logarithm_and_circle_over_their_whole_range(at_once: None) -> None:
    """Generators whose next words are chosen: the 24 bits that normals are made of, at their ends, seams and between."""
    seams = [0, 1, 2, 3, 1 << 23, (1 << 24) - 1, round(2**24 * (1 - 0.5**0.5)), *[k << 21 for k in range(8)]]
    near = np.array([s + k for s in seams for k in range(-40, 40)]) % (1 << 24)
    numbers = np.concatenate([near, np.arange(0, 1 << 24, 1237)])
    numbers = numbers[: numbers.size // 304 * 304].reshape(-1, 38, 8)
    drawn = []
    for worth in (0, 1 << 60):
        native.WORTH, native._addresses = worth, {}
        g, made = R.Generator(), []
        for first in numbers:
            state = g.get_state()
            words = np.concatenate([first, first[::-1, ::-1]], axis=1)
            state[32 : 32 + 8 * 608] = untempered(words.reshape(-1)).astype("<u8").view(np.uint8)
            state[8:24] = np.array([624, 1, 1, 0], "<i4").view(np.uint8)
            made.append(R.normal(608, np.float32, generator=g.set_state(state)))
        drawn.append(np.array(made))
    assert drawn[0].tobytes() == drawn[1].tobytes()


@pytest.mark.parametrize("name", ["exponential", "geometric"])
def test_the_c_library_is_asked_in_doubt(
    name: str, expected: dict[Any, list[bytes]], at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Doubts are rare; here there are many, and hardly a vector without one."""
    kernels = importlib.import_module("retrograd.compiler.draws.native")
    inverse = importlib.import_module("retrograd.compiler.draws.inverse")
    monkeypatch.setattr(inverse, "DOUBT", 2.0**-22)
    kernels.code.cache_clear()
    try:
        for dtype in DRAWS[name][1]:
            assert run(name, dtype) == expected[name, dtype], dtype
    finally:
        kernels.code.cache_clear()


def test_a_state_that_lies_otherwise_is_numpys(at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = importlib.import_module("retrograd.compiler.draws.native")
    monkeypatch.setattr(kernels, "POSITION", 4 * 623)
    kernels.is_as_supposed.cache_clear()
    kernels.code.cache_clear()
    try:
        assert kernels.code("uniform", "float32") is None
        assert R.uniform(3, np.float32, generator=started(2)).dtype == np.float32
        assert not any(native._addresses.values())
    finally:
        kernels.is_as_supposed.cache_clear()
        kernels.code.cache_clear()


@pytest.mark.usefixtures("at_once")
def test_into_memory_that_is_there() -> None:
    for draw, arguments in ((R.uniform, (np.float32,)), (R.normal, (np.float64,)), (R.random_, (np.int32,))):
        room = np.zeros((7, 100), arguments[0])
        given = draw((5, 100), *arguments, generator=started(3), out=room[1:6])
        assert np.shares_memory(given, room) and not room[0].any() and not room[6].any()
        assert np.array_equal(room[1:6], draw((5, 100), *arguments, generator=started(3)))


@pytest.mark.usefixtures("at_once")
def test_memory_that_is_read_only_is_left_alone() -> None:
    room = np.zeros(50, np.float32)
    room.flags.writeable = False
    g = started(2)
    before = g.get_state().tobytes()
    for draw in (R.uniform, R.normal, R.exponential):
        with pytest.raises(ValueError, match="read-only"):
            draw(50, np.float32, generator=g, out=room)
    assert not room.any() and g.get_state().tobytes() == before


def test_code_is_made_when_it_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_addresses", {})
    monkeypatch.setattr(native, "_spent", {})
    g = R.Generator().manual_seed(1)
    R.uniform(native.WORTH - 5000, np.float32, generator=g)
    assert not native._addresses
    parts = [R.uniform(3000, np.float32, generator=g) for _ in range(3)]
    assert all(native._addresses.values()) and len(native._addresses) == 1
    whole = R.uniform(native.WORTH + 4000, np.float32, generator=R.Generator().manual_seed(1))
    assert np.array_equal(np.concatenate(parts), whole[native.WORTH - 5000 :])


def test_states_are_exchanged_between_two_draws(at_once: None) -> None:
    g = R.Generator().manual_seed(4)
    R.normal(1, np.float32, generator=g)
    state = g.get_state()
    first = R.normal(700, np.float32, generator=g), R.normal(3, np.float32, generator=g)
    for other in (R.Generator().set_state(state), g.set_state(state), g.set_state(state).clone_state()):
        again = R.normal(700, np.float32, generator=other), R.normal(3, np.float32, generator=other)
        assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    g.manual_seed(4)
    R.normal(1, np.float32, generator=g)
    assert g.get_state().tobytes() == state.tobytes()


def test_threads_share_a_stream_without_loss(at_once: None) -> None:
    g, drawn = R.Generator().manual_seed(2), []

    def draw(n: int) -> None:
        for _ in range(20):
            drawn.append(R.uniform(n, np.float64, generator=g))

    threads = [threading.Thread(target=draw, args=(n,)) for n in (100, 40_000, 70_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    g_alone = R.Generator().manual_seed(2)
    expected = R.uniform(sum(map(len, drawn)), np.float64, generator=g_alone)
    assert np.array_equal(np.sort(np.concatenate(drawn)), np.sort(expected))
    assert g.get_state().tobytes() == g_alone.get_state().tobytes()


def test_errors_come_before_a_word_is_drawn(at_once: None) -> None:
    g = R.Generator().manual_seed(1)
    before = g.get_state().tobytes()
    for bad in (
        lambda: R.uniform(3, np.float32, 2.0, 1.0, g),
        lambda: R.uniform(3, np.int64, 0.0, 1.0, g),
        lambda: R.normal(3, np.float32, 0.0, -1.0, g),
        lambda: R.bernoulli(np.array([0.5, 1.0 + 2**-20]), g),
        lambda: R.bernoulli(np.array([0.5, np.nan], np.float32), g),
        lambda: R.bernoulli(np.array([-1e-30, 0.5], np.float32), g),
        lambda: R.randint(5, 5, 3, np.int64, g),
        lambda: R.randint(0, 300, 3, np.int8, g),
        lambda: R.exponential(3, np.float32, 0.0, g),
    ):
        with pytest.raises((RuntimeError, NotImplementedError)):
            bad()
    assert g.get_state().tobytes() == before
    assert R.bernoulli(np.array([-0.0, 1.0], np.float32), g).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("setting", ["off", "on"])
def test_the_environment_switches_it_off(setting: str) -> None:
    program = (
        "import importlib, sys, numpy as np; R = importlib.import_module('retrograd.random'); g = R.Generator().manual_seed(0); "
        "x = R.normal(1 << 21, np.float32, generator=g); print(float(x[-1]), 'llvmlite' in sys.modules)"
    )
    import os

    environment = {**os.environ, "RETROGRAD_NATIVE": setting}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    value, loaded = done.stdout.split()
    assert loaded == str(setting == "on")
    assert float(value) == float(R.normal(1 << 21, np.float32, generator=R.Generator().manual_seed(0))[-1])
