"""torch.fft against real torch: values, dtypes, gradients, exceptions; second derivatives against differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd
from parity.tables import compare, outcome, same_outcome, same_value
from retrograd.testing.gradcheck import gradcheck, gradgradcheck

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(11)
REAL, ODD, CUBE = RNG.normal(size=(3, 4)), RNG.normal(size=5), RNG.normal(size=(2, 3, 4))
COMPLEX = RNG.normal(size=(3, 4)) + 1j * RNG.normal(size=(3, 4))
INPUTS: dict[str, Any] = {
    "real": REAL,
    "odd": ODD,
    "cube": CUBE,
    "complex": COMPLEX,
    "scalar": np.array(1.0),
    "none": np.zeros((0, 4)),
    "no points": np.zeros((3, 0)),
}
NORMS = (None, "backward", "ortho", "forward", "other")
ONE = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
TWO = ("fft2", "ifft2", "rfft2", "irfft2", "hfft2", "ihfft2")
MANY = ("fftn", "ifftn", "rfftn", "irfftn", "hfftn", "ihfftn")
DTYPES = ("float32", "float64", "complex64", "complex128", "int64", "bool", "float16", "bfloat16", "int32")


def calls() -> dict[str, Any]:
    """Give every way of calling each transform."""
    table = {}
    for name in (*ONE, *TWO, *MANY):
        for norm in NORMS:
            table[f"{name} {norm}"] = lambda t, x, name=name, norm=norm: getattr(t.fft, name)(x, norm=norm)
    for name in ONE:
        for n in (3, 4, 6, 1, 0, -1):
            table[f"{name} n={n}"] = lambda t, x, name=name, n=n: getattr(t.fft, name)(x, n)
        for dim in (0, -2, 1, 3):
            table[f"{name} dim={dim}"] = lambda t, x, name=name, dim=dim: getattr(t.fft, name)(x, dim=dim, norm="ortho")
    for name in (*TWO, *MANY):
        for s, dim in (
            ((3, 5), (0, 1)),
            ((4, 2), (-1, 0)),
            ((2, -1), (0, 1)),
            ((3,), (0, 1)),
            ((3, 3), (0, 0)),
            ((0, 2), (0, 1)),
        ):
            table[f"{name} {s} {dim}"] = lambda t, x, name=name, s=s, dim=dim: getattr(t.fft, name)(x, s, dim)
    for name in MANY:
        table[f"{name} s"] = lambda t, x, name=name: getattr(t.fft, name)(x, s=(3, 6))
        table[f"{name} one"] = lambda t, x, name=name: getattr(t.fft, name)(x, dim=0)
    for name in ("fftshift", "ifftshift"):
        for dim in (None, 0, (0, -1), 4):
            table[f"{name} {dim}"] = lambda t, x, name=name, dim=dim: getattr(t.fft, name)(x, dim)
    return table


CALLS = calls()


@pytest.mark.parametrize("which", INPUTS)
@pytest.mark.parametrize("call", CALLS)
def test_values_gradients_and_exceptions(call, which):
    theirs = outcome(torch, CALLS[call], INPUTS[which], grad=True)
    ours = outcome(retrograd, CALLS[call], INPUTS[which], grad=True)
    if "MKL" in str(theirs):  # one of torch's two libraries refuses tensors without elements, the other gives them
        assert not isinstance(ours, Exception)
        return
    same_outcome(ours, theirs)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*ONE, *TWO, *MANY])
def test_dtypes(name, dtype):
    compare(lambda t, x: getattr(t.fft, name)(x), (np.abs(REAL) + 1, dtype))


@pytest.mark.parametrize("n", [0, 1, 2, 5, 8])
def test_frequencies(n):
    for name in ("fftfreq", "rfftfreq"):
        for named in ({}, {"d": 0.25}, {"dtype": "float64"}):
            given = [
                {k: getattr(t, v) if isinstance(v, str) else v for k, v in named.items()} for t in (retrograd, torch)
            ]
            same_value(getattr(retrograd.fft, name)(n, **given[0]), getattr(torch.fft, name)(n, **given[1]))


@pytest.mark.parametrize("name", [*ONE, *TWO, *MANY])
@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
def test_derivatives_of_derivatives(name, norm):
    real = (name.lstrip("i").startswith("r") and not name.startswith("irfft")) or name.startswith("ihfft")
    a = REAL if real else COMPLEX
    x = retrograd.tensor(a[:2, :3], requires_grad=True)
    fn = lambda x: getattr(retrograd.fft, name)(x, norm=norm)
    assert gradcheck(fn, x, check_forward_ad=True)
    assert gradgradcheck(fn, x)


def test_out_and_inverse():
    x = retrograd.tensor(CUBE)
    out = retrograd.empty(0, dtype=retrograd.complex128)
    assert retrograd.fft.fftn(x, out=out) is out
    np.testing.assert_allclose(retrograd.fft.ifftn(out).real.numpy(), CUBE)
    np.testing.assert_allclose(retrograd.fft.irfftn(retrograd.fft.rfftn(x), s=x.shape).numpy(), CUBE)


def test_a_spectrum_is_fitted():
    """A filter learned in the frequency domain: what signal processing asks of the gradient."""
    retrograd.manual_seed(0)
    signal = retrograd.randn(64, dtype=retrograd.float64)
    wanted = retrograd.fft.irfft(retrograd.fft.rfft(signal) * retrograd.linspace(1, 0, 33, dtype=retrograd.float64), 64)
    gain = retrograd.zeros(33, dtype=retrograd.float64, requires_grad=True)
    for _ in range(200):
        loss = ((retrograd.fft.irfft(retrograd.fft.rfft(signal) * gain, 64) - wanted) ** 2).sum()
        (g,) = retrograd.autograd.grad(loss, gain)
        with retrograd.no_grad():
            gain -= 0.1 * g
    assert loss.item() < 0.2 * (wanted**2).sum().item()
