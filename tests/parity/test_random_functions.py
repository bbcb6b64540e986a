"""Random tensors beside torch, bit for bit: functions, like-forms, in-place draws, out=, dtypes, layouts, state, errors."""

from __future__ import annotations

import inspect
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrograd
from retrograd.tensor.dispatch import FUNCTIONS, METHODS

torch = pytest.importorskip("torch")

from parity.tables import outcome, raw, same_outcome  # noqa: E402  (below the check for torch)

CPUINFO = Path("/proc/cpuinfo")
INTEL = "Intel" in (CPUINFO.read_text() if CPUINFO.exists() else platform.processor())
VECTOR = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
pytestmark = pytest.mark.skipif(INTEL or not VECTOR, reason="PyTorch draws otherwise on this processor")
FLOATS = ("float32", "float64", "float16", "bfloat16")
SIZES = (0, 1, 7, 15, 16, 17, 64, 100)
CALLS: dict[str, Any] = {
    **{f"rand({n})": (lambda t, n=n: t.rand(n)) for n in SIZES},
    **{f"randn({n})": (lambda t, n=n: t.randn(n)) for n in SIZES},
    **{
        f"{f}({d})": (lambda t, f=f, d=d: getattr(t, f)(4, 5, dtype=getattr(t, d)))
        for f in ("rand", "randn")
        for d in (*FLOATS, "complex64", "complex128")
    },
    "rand(tuple)": lambda t: t.rand((2, 3)),
    "rand(size=)": lambda t: t.rand(size=(2, 3)),
    "rand()": lambda t: t.rand(()),
    "rand(int)": lambda t: t.rand(3, dtype=t.int64),
    "rand(negative)": lambda t: t.rand(-1),
    "rand(out)": lambda t: t.rand(5, out=t.zeros(5)),
    "rand(double out)": lambda t: t.rand(5, out=t.zeros(5, dtype=t.float64)),
    "randn(out)": lambda t: t.randn(20, out=t.zeros(0)),
    "randn(half out)": lambda t: t.randn(20, out=t.zeros(20, dtype=t.float16)),
    "rand(generator)": lambda t: (t.rand(3, generator=t.Generator().manual_seed(5)), t.rand(2)),
    "randn(requires_grad)": lambda t: t.randn(3, requires_grad=True).requires_grad,
    "randint": lambda t: t.randint(10, (3, 4)),
    "randint(low)": lambda t: t.randint(-5, 5, (20,)),
    "randint(big)": lambda t: t.randint(0, 2**40, (9,)),
    "randint(dtype)": lambda t: t.randint(0, 100, (9,), dtype=t.uint8),
    "randint(float)": lambda t: t.randint(0, 100, (9,), dtype=t.float32),
    "randint(size=)": lambda t: t.randint(high=10, size=(3,)),
    "randint(low=, high=)": lambda t: t.randint(low=2, high=10, size=(3,)),
    "randint(generator)": lambda t: t.randint(10, (3,), generator=t.Generator().manual_seed(3)),
    "randint(out)": lambda t: t.randint(10, (3,), out=t.zeros(3, dtype=t.int64)),
    "randint(float out)": lambda t: t.randint(10, (3,), out=t.zeros(3)),
    "randint(nothing)": lambda t: t.randint(5, 5, (3,)),
    "randint(beyond)": lambda t: t.randint(0, 300, (3,), dtype=t.uint8),
    "randint(no size)": lambda t: t.randint(10),
    "randperm": lambda t: t.randperm(20),
    "randperm(0)": lambda t: t.randperm(0),
    "randperm(-1)": lambda t: t.randperm(-1),
    "randperm(dtype)": lambda t: t.randperm(10, dtype=t.float32),
    "randperm(generator)": lambda t: t.randperm(10, generator=t.Generator().manual_seed(1)),
    "randperm(out)": lambda t: t.randperm(10, out=t.zeros(10, dtype=t.int64)),
    "randperm(int32)": lambda t: t.randperm(30, dtype=t.int32),
    "rand_like": lambda t: t.rand_like(t.zeros(3, 7, dtype=t.float64)),
    "rand_like(dtype)": lambda t: t.rand_like(t.zeros(3, dtype=t.int64), dtype=t.float32),
    "rand_like(int)": lambda t: t.rand_like(t.zeros(3, dtype=t.int64)),
    "rand_like(turned)": lambda t: t.rand_like(t.zeros(3, 4).t()),
    "randn_like": lambda t: t.randn_like(t.zeros(5, 5)),
    "randn_like(half)": lambda t: t.randn_like(t.zeros(5, 5, dtype=t.float16)),
    "randn_like(turned)": lambda t: t.randn_like(t.zeros(3, 8).t()),
    "randint_like": lambda t: t.randint_like(t.zeros(5), 10),
    "randint_like(low)": lambda t: t.randint_like(t.zeros(5, dtype=t.int64), 3, 10),
    "normal(numbers)": lambda t: t.normal(2.0, 3.0, (20,)),
    "normal(tensor, number)": lambda t: t.normal(t.arange(20.0), 0.5),
    "normal(number, tensor)": lambda t: t.normal(1.0, t.arange(1.0, 6.0)),
    "normal(tensors)": lambda t: t.normal(t.arange(5.0), t.arange(1.0, 6.0)),
    "normal(broadcast)": lambda t: t.normal(t.zeros(4, 1), t.ones(5)),
    "normal(double)": lambda t: t.normal(t.zeros(4, dtype=t.float64), t.ones(4, dtype=t.float64)),
    "normal(tensor)": lambda t: t.normal(t.zeros(3)),
    "normal(generator)": lambda t: t.normal(0.0, 1.0, (4,), generator=t.Generator().manual_seed(2)),
    "normal(out)": lambda t: t.normal(t.zeros(20), t.ones(20), out=t.zeros(20)),
    "normal(numbers, out)": lambda t: t.normal(0.0, 1.0, (20,), out=t.zeros(20)),
    "normal(negative)": lambda t: t.normal(0.0, -1.0, (3,)),
    "normal(negative tensor)": lambda t: t.normal(t.zeros(2), -t.ones(2)),
    "bernoulli": lambda t: t.bernoulli(t.full((20,), 0.3)),
    "bernoulli(double)": lambda t: t.bernoulli(t.full((20,), 0.3, dtype=t.float64)),
    "bernoulli(half)": lambda t: t.bernoulli(t.full((20,), 0.3, dtype=t.float16)),
    "bernoulli(turned)": lambda t: t.bernoulli(t.linspace(0, 1, 12).reshape(3, 4).t()),
    "bernoulli(p)": lambda t: t.bernoulli(t.zeros(20), 0.7),
    "bernoulli(int)": lambda t: t.bernoulli(t.ones(3, dtype=t.int64)),
    "bernoulli(beyond)": lambda t: t.bernoulli(t.full((3,), 1.5)),
    "bernoulli(generator)": lambda t: t.bernoulli(t.full((9,), 0.5), generator=t.Generator().manual_seed(4)),
    "bernoulli(out)": lambda t: t.bernoulli(t.full((9,), 0.5), out=t.zeros(9)),
    "x.bernoulli": lambda t: t.full((9,), 0.5).bernoulli(),
    "x.bernoulli(p)": lambda t: t.zeros(9, dtype=t.float64).bernoulli(0.25),
    "multinomial": lambda t: t.multinomial(t.tensor([0.1, 0.2, 0.3, 0.4]), 2),
    "multinomial(replacement)": lambda t: t.multinomial(t.tensor([[1.0, 2.0], [3.0, 1.0]]), 9, replacement=True),
    "multinomial(one)": lambda t: t.multinomial(t.arange(1.0, 9.0), 1),
    "multinomial(many)": lambda t: t.multinomial(t.ones(3), 4),
    "multinomial(negative)": lambda t: t.multinomial(t.tensor([1.0, -1.0]), 1),
    "multinomial(zeros)": lambda t: t.multinomial(t.zeros(3), 1),
    "multinomial(int)": lambda t: t.multinomial(t.ones(3, dtype=t.int64), 1),
    "multinomial(0)": lambda t: t.multinomial(t.ones(3), 0),
    "multinomial(cube)": lambda t: t.multinomial(t.ones(3, 3, 3), 1),
    "multinomial(generator)": lambda t: t.multinomial(t.ones(9), 3, generator=t.Generator().manual_seed(4)),
    "multinomial(out)": lambda t: t.multinomial(t.ones(9), 3, out=t.zeros(3, dtype=t.int64)),
    "poisson": lambda t: t.poisson(t.linspace(0.1, 20, 30)),
    "poisson(double)": lambda t: t.poisson(t.linspace(0.1, 20, 30, dtype=t.float64)),
    "poisson(generator)": lambda t: t.poisson(t.ones(5), generator=t.Generator().manual_seed(4)),
    "binomial": lambda t: t.binomial(t.full((20,), 10.0), t.linspace(0.1, 0.9, 20)),
    "seeds": lambda t: (t.initial_seed(), t.manual_seed(3).initial_seed(), t.default_generator.initial_seed()),
    "seed beyond": lambda t: t.manual_seed(2**64),
    "seed negative": lambda t: (t.manual_seed(-1), t.rand(2))[1],
    "state": lambda t: again(t),
    "state bytes": lambda t: (t.get_rng_state().dtype, t.get_rng_state().shape, t.get_rng_state()),
    "bad state": lambda t: t.set_rng_state(t.zeros(3)),
    "fork_rng": lambda t: forked(t),
    "random.manual_seed": lambda t: (t.random.manual_seed(9), t.rand(2))[1],
    "generator": lambda t: (
        t.Generator().initial_seed(),
        str(t.Generator().device),
        t.Generator().manual_seed(7).get_state(),
    ),
    "rrelu": lambda t: t.rand(1),
}
ROW = 24


def again(t: Any) -> Any:
    state = t.get_rng_state()
    a = t.randn(5)
    t.set_rng_state(state)
    return a, t.randn(5), t.rand(3)


def forked(t: Any) -> Any:
    with t.random.fork_rng():
        a = t.rand(3)
    return a, t.rand(3)


IN_PLACE: dict[str, Any] = {
    "normal_": lambda t, x: x.normal_(),
    "normal_(2, 3)": lambda t, x: x.normal_(2, 3),
    "normal_(negative)": lambda t, x: x.normal_(0, -1),
    "uniform_": lambda t, x: x.uniform_(),
    "uniform_(-1, 2)": lambda t, x: x.uniform_(-1, 2),
    "uniform_(bad)": lambda t, x: x.uniform_(2, 1),
    "random_": lambda t, x: x.random_(),
    "random_(10)": lambda t, x: x.random_(10),
    "random_(3, 9)": lambda t, x: x.random_(3, 9),
    "random_(bad)": lambda t, x: x.random_(3, 3),
    "bernoulli_": lambda t, x: x.bernoulli_(),
    "bernoulli_(0.2)": lambda t, x: x.bernoulli_(0.2),
    "bernoulli_(tensor)": lambda t, x: x.bernoulli_(t.linspace(0, 1, x.numel()).reshape(x.shape)),
    "bernoulli_(bad)": lambda t, x: x.bernoulli_(2),
    "exponential_": lambda t, x: x.exponential_(),
    "exponential_(2)": lambda t, x: x.exponential_(2),
    "exponential_(bad)": lambda t, x: x.exponential_(-1),
    "geometric_": lambda t, x: x.geometric_(0.3),
    "geometric_(bad)": lambda t, x: x.geometric_(1.5),
    "cauchy_": lambda t, x: x.cauchy_(1, 2),
    "log_normal_": lambda t, x: x.log_normal_(0.5, 0.25),
    "uniform_(generator)": lambda t, x: x.uniform_(generator=t.Generator().manual_seed(8)),
    "normal_(generator)": lambda t, x: x.normal_(generator=t.Generator().manual_seed(8)),
}
LAYOUTS: dict[str, Any] = {
    "row": lambda t, d: t.zeros(ROW, dtype=d),
    "few": lambda t, d: t.zeros(5, dtype=d),
    "scalar": lambda t, d: t.zeros((), dtype=d),
    "empty": lambda t, d: t.zeros(0, 3, dtype=d),
    "matrix": lambda t, d: t.zeros(4, 6, dtype=d),
    "turned": lambda t, d: t.zeros(4, 6, dtype=d).t(),
    "slice": lambda t, d: t.zeros(6, 8, dtype=d)[1:5, ::2],
    "column": lambda t, d: t.zeros(20, 3, dtype=d)[:, 1],
    "permuted": lambda t, d: t.zeros(2, 3, 4, dtype=d).permute(2, 0, 1),
}


def same_draws(fn: Any) -> None:
    """Compare a call and the draws that follow it, to the bit."""

    def seeded(t: Any) -> Any:
        t.manual_seed(42)
        out = fn(t)
        return out, t.rand(2)

    ours, theirs = outcome(retrograd, seeded), outcome(torch, seeded)
    same_outcome(ours, theirs, tolerance=0)


@pytest.mark.parametrize("name", CALLS)
def test_functions(name: str) -> None:
    same_draws(CALLS[name])


@pytest.mark.parametrize("dtype", [*FLOATS, "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(name: str, dtype: str) -> None:
    for layout, make in LAYOUTS.items():
        try:
            same_draws(lambda t, make=make: IN_PLACE[name](t, make(t, getattr(t, dtype))))
        except AssertionError as error:
            raise AssertionError(f"{name} of {dtype}, {layout}: {error}") from None


def test_every_name_has_a_case() -> None:
    source = inspect.getsource(inspect.getmodule(test_every_name_has_a_case))  # type: ignore[arg-type]
    for name, fn in {**FUNCTIONS, **METHODS}.items():
        if inspect.unwrap(fn).__module__.rpartition(".")[2] in ("random_functions", "random_methods"):
            assert f".{name}(" in source or any(case.startswith(name) for case in CALLS), name


def test_draws_on_leaves_and_history() -> None:
    for fn in (
        lambda t: t.zeros(3, requires_grad=True).normal_(),
        lambda t: (t.zeros(3, requires_grad=True) * 1).normal_().sum(),
        lambda t: t.zeros(1).expand(3).uniform_(),
    ):
        ours, theirs = outcome(retrograd, fn), outcome(torch, fn)
        assert isinstance(ours, Exception) == isinstance(theirs, Exception), (ours, theirs)
        if isinstance(theirs, Exception):
            assert type(ours) is type(theirs)
    for t in (retrograd, torch):
        t.manual_seed(0)
    x = retrograd.zeros(3, requires_grad=True)
    y = (x * 2).normal_()
    y.sum().backward()
    assert x.grad is not None and not raw(x.grad).any()


def test_the_streams_do_not_depend_on_numpy() -> None:
    retrograd.manual_seed(0)
    a = retrograd.rand(3)
    np.random.seed(1)  # noqa: NPY002  (that it changes nothing is the subject)
    retrograd.manual_seed(0)
    assert retrograd.equal(a, retrograd.rand(3))
