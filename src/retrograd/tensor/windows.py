"""Windows for the analysis of signals: Hann, Hamming, Blackman, Bartlett, Kaiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import dtypes as _d
from ..core import elsewhere
from ..core.dtypes import to_numpy
from ..ops import special
from .creation import _finish
from .dispatch import function


def _window(
    name: str, doc: str, shape: Callable[..., Any], defaults: tuple[float, ...] = (), names: tuple[str, ...] = ()
) -> Any:
    """Make a window function: ``shape`` gives the weights at places between 0 and 1."""

    def fn(
        window_length: int,
        periodic: bool = True,
        *more: float,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        pin_memory: bool = False,
        requires_grad: bool = False,
        **named: float,
    ) -> Any:
        elsewhere(device)
        d = to_numpy(_d.get_default_dtype() if dtype is None else dtype)
        if d.kind not in "fV":
            raise RuntimeError(f"{name} expects floating point dtypes, got: {dtype}")
        if window_length < 0:
            raise RuntimeError(f"{name} requires non-negative window_length, got window_length={window_length}")
        numbers = dict(zip(names, defaults, strict=True)) | dict(zip(names, more, strict=False)) | named
        if set(numbers) != set(names):
            raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(set(numbers) - set(names)))}'")
        if window_length == 1:
            return _finish(np.ones(1, d), requires_grad, device)
        places = np.arange(window_length) / max(window_length if periodic else window_length - 1, 1)
        return _finish(np.asarray(shape(places, *numbers.values())).astype(d), requires_grad, device)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name, method=False, out=False)(fn)


def _cosines(places: Any, *weights: float) -> Any:
    return sum((-1) ** k * w * np.cos(2 * np.pi * k * places) for k, w in enumerate(weights))


def _kaiser(places: Any, beta: float) -> Any:
    return special.i0(beta * np.sqrt(np.clip(1 - (2 * places - 1) ** 2, 0, None))) / special.i0(np.asarray(float(beta)))


hann_window = _window("hann_window", "Make Hann's window: (1 - cos(2 pi n / N)) / 2.", lambda p: _cosines(p, 0.5, 0.5))
hamming_window = _window(
    "hamming_window", "Make Hamming's window: alpha - beta cos(2 pi n / N).", _cosines, (0.54, 0.46), ("alpha", "beta")
)
blackman_window = _window(
    "blackman_window",
    "Make Blackman's window: 0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N).",
    lambda p: _cosines(p, 0.42, 0.5, 0.08),
)
bartlett_window = _window("bartlett_window", "Make Bartlett's window: a triangle.", lambda p: 1 - np.abs(2 * p - 1))
kaiser_window = _window(
    "kaiser_window",
    "Make Kaiser's window: I0(beta sqrt(1 - (2n / N - 1)^2)) / I0(beta).",
    _kaiser,
    (12.0,),
    ("beta",),
)
