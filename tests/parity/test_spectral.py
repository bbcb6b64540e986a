"""Short-time Fourier transforms and windows beside torch: values, gradients, errors, warnings."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd  # noqa: E402  (below the check for torch)
from parity.nn_helpers import compare, outcome  # noqa: E402

RNG = np.random.default_rng(0)
SIGNAL, EIGHT, FIVE = RNG.normal(size=(2, 40)), abs(RNG.normal(size=8)) + 0.1, abs(RNG.normal(size=5)) + 0.1


def same(call, *arrays, dtype="float64", tolerance=1e-9):
    results = [outcome(library, call, arrays, dtype) for library in (retrograd, torch)]
    # torch warns once in a process that there is no window, or that the result is not complex
    compare(*((*r[:3], []) for r in results), tolerance)


def pieces(t, x, *args, **named):
    return t.view_as_real(t.stft(x, *args, return_complex=True, **named))


@pytest.mark.parametrize("onesided", [None, True, False])
@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("center", [True, False])
def test_stft(center, normalized, onesided):
    named = {"center": center, "normalized": normalized, "onesided": onesided}
    for mode in ("reflect", "constant", "replicate", "circular"):
        same(lambda t, x, w, m=mode: pieces(t, x, 8, 3, window=w, pad_mode=m, **named), SIGNAL, EIGHT)
    same(lambda t, x, w: pieces(t, x, 8, 3, 5, window=w, **named), SIGNAL, FIVE)
    same(lambda t, x, w: pieces(t, x[0], 8, window=w, **named), SIGNAL, EIGHT)


@pytest.mark.parametrize("length", [None, 30, 60])
@pytest.mark.parametrize("onesided", [None, False])
@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("center", [True, False])
def test_istft(center, normalized, onesided, length):
    def call(t, x, w):
        found = t.stft(x, 8, 3, 5, window=w, normalized=normalized, onesided=onesided, return_complex=True)
        return t.istft(found, 8, 3, 5, w, center=center, normalized=normalized, onesided=onesided, length=length)

    same(call, SIGNAL, FIVE)


@pytest.mark.parametrize("win_length", [5, 4, None])
@pytest.mark.parametrize("align", [True, False, None])
def test_windows_aligned(align, win_length):
    same(lambda t, x: pieces(t, x, 8, 3, win_length, center=False, align_to_window=align), SIGNAL)


OTHERS = {
    "without a window": lambda t, x: t.stft(x, 8, return_complex=False),
    "without a word on complex": lambda t, x: t.stft(x, 8),
    "complex": lambda t, x: pieces(t, t.complex(x, x), 8),
    "complex, one side": lambda t, x: pieces(t, t.complex(x, x), 8, onesided=True),
    "complex and back": lambda t, x: t.view_as_real(
        t.istft(t.stft(t.complex(x, x), 8), 8, onesided=False, return_complex=True)
    ),
    "complex to real": lambda t, x: t.istft(t.stft(t.complex(x, x), 8), 8, onesided=False),
    "complex window": lambda t, x: pieces(t, x, 8, window=t.complex(x[0, :8], x[1, :8])),
    "aligned and centred": lambda t, x: pieces(t, x, 8, align_to_window=True),
    "no signal": lambda t, x: t.istft(x, 8),
    "sizes": lambda t, x: t.istft(t.complex(x, x), 8),
    "no weight": lambda t, x: t.istft(t.complex(x[:, :5].T, x[:, :5].T), 8, window=t.zeros(8).double()),
    "too long a window": lambda t, x: t.istft(t.complex(x[:, :5].T, x[:, :5].T), 8, 9),
    "three dimensions": lambda t, x: pieces(t, x[None], 8),
    **{
        str(bad): lambda t, x, k=bad: pieces(t, x, **k)
        for bad in (
            {"n_fft": 0},
            {"n_fft": 100},
            {"n_fft": 8, "hop_length": 0},
            {"n_fft": 8, "win_length": 9},
            {"n_fft": 8, "pad_mode": "x"},
            {"n_fft": 8, "center": False, "hop_length": 100},
        )
    },
}


@pytest.mark.parametrize("call", OTHERS.values(), ids=OTHERS)
def test_other_calls(call):
    same(call, SIGNAL)


def windows(t):
    return importlib.import_module(f"{t.__name__}.signal.windows")


@pytest.mark.parametrize("name", windows(torch).__all__)
def test_windows(name):
    named = {"a": [0.3, 0.5, 0.2]} if name == "general_cosine" else {}
    for length in (0, 1, 2, 5, 8, -1):
        for sym in (True, False):
            for dtype in ("float32", "float64", "float16"):
                same(
                    lambda t, n=length, s=sym, d=dtype: getattr(windows(t), name)(
                        n, sym=s, dtype=getattr(t, d), **named
                    ),
                    tolerance=1e-6,
                )


WINDOWS = {
    "centre": lambda w: w.exponential(5, center=1.0, tau=2.0, sym=False),
    "centre of a symmetric one": lambda w: w.exponential(5, center=1.0),
    "tau": lambda w: w.exponential(5, tau=-1.0),
    "std": lambda w: w.gaussian(5, std=-1.0),
    "beta": lambda w: w.kaiser(5, beta=-1.0),
    "beta 0": lambda w: w.kaiser(5, beta=0.0),
    "no coefficient": lambda w: w.general_cosine(5, a=[]),
    "a number": lambda w: w.general_cosine(5, a=1.0),
}


@pytest.mark.parametrize("call", WINDOWS.values(), ids=WINDOWS)
def test_window_arguments(call):
    same(lambda t: call(windows(t)), tolerance=1e-6)
