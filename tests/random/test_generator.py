"""A generator's life: seeds, state, copies, threads; and what every stream keeps whatever the kind of draw."""

from __future__ import annotations

import copy
import importlib
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

R = importlib.import_module("retrograd.random")


def generator(seed: int = 7) -> Any:
    return R.Generator().manual_seed(seed)


def state(g: Any) -> bytes:
    return np.asarray(g.get_state()).tobytes()


COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "pickle": lambda g: pickle.loads(pickle.dumps(g)),
    "clone_state": lambda g: g.clone_state(),
    "set_state": lambda g: R.Generator().set_state(g.get_state()),
}


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("words", [0, 1, 623, 624, 625])
@pytest.mark.parametrize("normals", [0, 1])
def test_a_copy_continues_the_stream_and_leaves_it_alone(name: str, words: int, normals: int) -> None:
    g = generator()
    R.uniform(words, np.float32, generator=g)
    R.normal(normals, np.float32, generator=g)
    before = state(g)
    other = COPIES[name](g)
    assert state(other) == before and other.initial_seed() == 7
    drawn = R.normal(5, np.float64, generator=other)
    assert state(g) == before
    assert np.array_equal(R.normal(5, np.float64, generator=g), drawn)
    assert state(g) == state(other)


def test_the_kept_normal_is_spent_first_and_forgotten_by_seeds() -> None:
    pair = R.normal(2, np.float64, generator=generator())
    g = generator()
    assert [R.normal((), np.float64, generator=g), R.normal((), np.float64, generator=g)] == pair.tolist()
    R.normal(1, np.float64, generator=g)
    assert np.array_equal(R.normal(2, np.float64, generator=g.manual_seed(7)), pair)


def test_states_that_are_refused() -> None:
    g = generator()
    good = g.get_state()
    for bad, error in [
        (good[:-1], RuntimeError),
        (good.astype(np.float32), TypeError),
        (good.tolist(), TypeError),
        (None, TypeError),
        (np.zeros_like(good), RuntimeError),
        (np.full_like(good, 255), RuntimeError),
    ]:
        with pytest.raises(error):
            g.set_state(bad)
    assert state(g) == good.tobytes()


def test_seeds() -> None:
    g = R.Generator()
    assert g.initial_seed() == R.DEFAULT_SEED
    assert g.manual_seed(-1) is g and g.initial_seed() == 2**64 - 1
    assert g.manual_seed(np.int64(3)).initial_seed() == 3
    chosen = g.seed()
    assert g.initial_seed() == chosen and state(g) == state(generator(chosen))
    low = R.uniform(4, np.float32, generator=generator(5))
    assert np.array_equal(low, R.uniform(4, np.float32, generator=generator(5 + 2**32)))
    for bad, error in [(2**64, ValueError), (-(2**63) - 1, ValueError), (1.0, RuntimeError), (True, RuntimeError)]:
        with pytest.raises(error):
            g.manual_seed(bad)


def test_devices_and_offsets() -> None:
    assert str(R.Generator("cpu").device) == "cpu"
    with pytest.raises(RuntimeError, match="cuda"):
        R.Generator("cuda")
    with pytest.raises(RuntimeError, match="offset"):
        R.Generator().get_offset()
    with pytest.raises(RuntimeError, match="offset"):
        R.Generator().set_offset(1)


def test_the_default_generator_is_drawn_from_where_none_is_given() -> None:
    R.default_generator.manual_seed(11)
    ours = R.uniform(3, np.float32), R.normal(20, np.float32), R.randperm(9), R.bernoulli_scalar(0.5, 4)
    g = generator(11)
    expected = (
        R.uniform(3, np.float32, generator=g),
        R.normal(20, np.float32, generator=g),
        R.randperm(9, generator=g),
        R.bernoulli_scalar(0.5, 4, generator=g),
    )
    assert all(np.array_equal(a, b) for a, b in zip(ours, expected))


def test_threads_share_a_stream_without_loss() -> None:
    g, drawn = generator(), []

    def draw() -> None:
        for _ in range(200):
            drawn.append(R.normal((), np.float64, generator=g))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(drawn) == sorted(R.normal(800, np.float64, generator=generator(), contiguous=False))


DRAWS: dict[str, Callable[[Any, Any], Any]] = {
    "uniform": lambda shape, g: R.uniform(shape, np.float32, -1.0, 1.0, g),
    "normal": lambda shape, g: R.normal(shape, np.float32, generator=g),
    "normal64": lambda shape, g: R.normal(shape, np.float64, generator=g),
    "randint": lambda shape, g: R.randint(0, 9, shape, np.int64, g),
    "random_": lambda shape, g: R.random_(shape, np.int64, g),
    "bernoulli_scalar": lambda shape, g: R.bernoulli_scalar(0.5, shape, np.float32, g),
    "exponential": lambda shape, g: R.exponential(shape, np.float32, 1.0, g),
    "geometric": lambda shape, g: R.geometric(shape, np.float32, 0.5, g),
    "cauchy": lambda shape, g: R.cauchy(shape, np.float32, generator=g),
    "log_normal": lambda shape, g: R.log_normal(shape, np.float32, generator=g),
}


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3), (40000,), (5, 7, 11)])
def test_shapes_and_blocks(name: str, shape: tuple[int, ...]) -> None:
    g = generator()
    drawn = DRAWS[name](shape, g)
    assert isinstance(drawn, np.ndarray) and drawn.shape == shape and drawn.flags.c_contiguous and drawn.flags.writeable
    flat = generator()
    assert np.array_equal(drawn.reshape(-1), DRAWS[name](drawn.size, flat))
    assert state(g) == state(flat)


def moments(x: Any) -> tuple[float, float]:
    return float(np.mean(x).real), float(np.var(x))


N = 40000
MOMENTS: list[tuple[str, Callable[[Any], Any], float, float]] = [
    ("uniform", lambda g: R.uniform(N, np.float32, 2.0, 5.0, g), 3.5, 0.75),
    ("normal", lambda g: R.normal(N, np.float32, 1.0, 2.0, g), 1.0, 4.0),
    ("normal64", lambda g: R.normal(N, np.float64, 1.0, 2.0, g), 1.0, 4.0),
    ("complex", lambda g: R.normal(N, np.complex64, 0.0, 2.0, g), 0.0, 4.0),
    ("log_normal", lambda g: R.log_normal(N, np.float64, 0.0, 0.5, g), np.exp(0.125), np.expm1(0.25) * np.exp(0.25)),
    ("exponential", lambda g: R.exponential(N, np.float64, 0.5, g), 2.0, 4.0),
    ("geometric", lambda g: R.geometric(N, np.int64, 0.25, g), 4.0, 12.0),
    ("bernoulli_scalar", lambda g: R.bernoulli_scalar(0.3, N, np.float32, g), 0.3, 0.21),
    ("bernoulli", lambda g: R.bernoulli(np.full(N, 0.3), g), 0.3, 0.21),
    ("randint", lambda g: R.randint(-2, 5, N, np.int64, g), 1.0, 4.0),
    ("poisson small", lambda g: R.poisson(np.full(N, 3.0), g), 3.0, 3.0),
    ("poisson large", lambda g: R.poisson(np.full(N, 30.0), g), 30.0, 30.0),
    ("binomial small", lambda g: R.binomial(np.full(N, 8.0), np.full(N, 0.25), g), 2.0, 1.5),
    ("binomial large", lambda g: R.binomial(np.full(N, 100.0), np.full(N, 0.7), g), 70.0, 21.0),
    ("gamma", lambda g: R.standard_gamma(np.full(N // 4, 2.5), g), 2.5, 2.5),
    ("gamma below one", lambda g: R.standard_gamma(np.full(N // 4, 0.5), g), 0.5, 0.5),
    ("dirichlet", lambda g: R.dirichlet(np.full((N // 20, 3), 2.0), g), 1 / 3, 2 / 63),
    ("multinomial", lambda g: R.multinomial(np.array([1.0, 2.0, 1.0]), N, True, g), 1.0, 0.5),
    ("one of", lambda g: R.multinomial(np.tile([1.0, 2.0, 1.0], (N // 4, 1)), 1, False, g), 1.0, 0.5),
]


@pytest.mark.parametrize(("name", "draw", "mean", "variance"), MOMENTS, ids=[row[0] for row in MOMENTS])
def test_moments(name: str, draw: Callable[[Any], Any], mean: float, variance: float) -> None:
    m, v = moments(draw(generator()))
    assert m == pytest.approx(mean, abs=4 * np.sqrt(variance / (N // 20)))
    assert v == pytest.approx(variance, rel=0.15)


@pytest.mark.parametrize("n", [0, 1, 2, 10, 300, 301, 4000])
def test_permutations_are_permutations(n: int) -> None:
    assert sorted(R.randperm(n, generator=generator()).tolist()) == list(range(n))


@pytest.mark.parametrize("seed", range(8))
def test_the_vector_forms_of_the_shuffles_are_the_loops(seed: int) -> None:
    integers = importlib.import_module("retrograd.random.integers")
    n = 1 + 37 * seed
    draws = R.random_(n, np.int64, generator(seed))
    forward = np.arange(n) + draws % np.arange(n, 0, -1)
    order = list(range(n))
    for i, j in enumerate(forward):
        order[i], order[j] = order[j], order[i]
    assert integers._exchanged(forward).tolist() == order
    inside_out: list[int] = []
    for i, j in enumerate(draws % np.arange(1, n + 1)):
        inside_out.append(i)
        inside_out[i], inside_out[j] = inside_out[j], inside_out[i]
    assert integers._inside_out(draws % np.arange(1, n + 1)).tolist() == inside_out


def test_samples_without_replacement_are_distinct_and_possible() -> None:
    weights = np.array([[0.0, 1.0, 2.0, 3.0], [1.0, 1.0, 0.0, 1.0]])
    for row, drawn in zip(weights, R.multinomial(weights, 3, False, generator())):
        assert len(set(drawn)) == 3 and (row[drawn] > 0).all()


def test_c_functions_have_the_c_librarys_last_bit() -> None:
    libm = importlib.import_module("retrograd.random.libm")
    draws = R.uniform(4000, np.float64, generator=generator())
    for function, points in [
        (libm.log, 1.0 - draws),
        (libm.log1p, -draws),
        (libm.exp, 20.0 * draws - 10.0),
        (libm.sin, 6.28 * draws),
        (libm.cos, 6.28 * draws),
        (libm.tan, 3.0 * draws - 1.5),
    ]:
        assert function(points).tolist() == [function.scalar(x) for x in points.tolist()]


def test_fused_multiply_and_add() -> None:
    libm = importlib.import_module("retrograd.random.libm")
    from fractions import Fraction

    draws = R.uniform(500, np.float64, generator=generator())
    for b, c in [(0.7, 3.0), (-0.3, 0.1), (1e-3, -100.0), (0.4, 0.0), (1.0, 0.3)]:
        exact = [float(Fraction(x) * Fraction(b) + Fraction(c)) for x in draws.tolist()]
        assert libm.fma(draws, b, c).tolist() == exact
