"""torch.signal.windows: weights that fade a piece of a signal out at its ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..core import check_device
from ..core import dtypes as _d
from ..core.dtypes import to_numpy
from ..ops import special
from ..tensor import Tensor

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]


def _made(
    name: str,
    M: int,
    sym: bool,
    dtype: Any,
    layout: Any,
    device: Any,
    requires_grad: bool,
    weights: Callable[[Any, int], Any],
) -> Any:
    """Make a window of the weights at places 0, 1, ... of ``n``: M, or M + 1 where the window is one period."""
    check_device(device)
    if layout is not None and str(layout) != "torch.strided":
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
    d = _d.get_default_dtype() if dtype is None else dtype
    if d not in (_d.float32, _d.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {d}")
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    n = M if sym else M + 1
    a = np.ones(M) if M <= 1 else np.asarray(weights(np.arange(M, dtype=np.float64), n))
    result: Any = Tensor._wrap(a.astype(to_numpy(d)))
    return result.requires_grad_() if requires_grad else result


def _positive(name: str, what: str, value: float) -> None:
    if value <= 0:
        raise ValueError(f"{what} must be positive, got: {value} instead ({name})")


def exponential(
    M: int,
    *,
    center: float | None = None,
    tau: float = 1.0,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Exponential (Poisson) window: w[n] = exp(-abs(n - center) / tau).

    ``center`` is the middle unless given, which a window that is not ``sym``metric allows. ValueError for a tau of 0 or
    less.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.signal.windows.exponential(3, tau=1.0)
    tensor([0.3679, 1.0000, 0.3679])
    """
    _positive("exponential", "Tau", tau)
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")

    def weights(k: Any, n: int) -> Any:
        return np.exp(-np.abs(k - ((n - 1) / 2 if center is None else center)) / tau)

    return _made("exponential", M, sym, dtype, layout, device, requires_grad, weights)


def cosine(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """Half of a sine wave: w[n] = sin(pi (n + 1/2) / M).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.signal.windows.cosine(3)
    tensor([0.5000, 1.0000, 0.5000])
    """

    def weights(k: Any, n: int) -> Any:
        return np.sin(np.pi * (k + 0.5) / n)

    return _made("cosine", M, sym, dtype, layout, device, requires_grad, weights)


def gaussian(
    M: int,
    *,
    std: float = 1.0,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Gaussian window: w[n] = exp(-(n - middle)^2 / (2 std^2)).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.signal.windows.gaussian(3, std=1.0)
    tensor([0.6065, 1.0000, 0.6065])
    """
    _positive("gaussian", "Standard deviation", std)

    def weights(k: Any, n: int) -> Any:
        return np.exp(-(((k - (n - 1) / 2) / std) ** 2) / 2)

    return _made("gaussian", M, sym, dtype, layout, device, requires_grad, weights)


def kaiser(
    M: int,
    *,
    beta: float = 12.0,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Kaiser's window: w[n] = I0(beta sqrt(1 - ((n - N) / N)^2)) / I0(beta), N = (M - 1) / 2.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.signal.windows.kaiser(3, beta=2.0)
    tensor([0.4387, 1.0000, 0.4387])
    """
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")

    def weights(k: Any, n: int) -> Any:
        place = 2 * k / (n - 1) - 1
        return special.i0(beta * np.sqrt(np.clip(1 - place**2, 0, None))) / special.i0(np.asarray(float(beta)))

    return _made("kaiser", M, sym, dtype, layout, device, requires_grad, weights)


def bartlett(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """Bartlett's window, a triangle: w[n] = 1 - abs(2 n / (M - 1) - 1).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.signal.windows.bartlett(5)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """

    def weights(k: Any, n: int) -> Any:
        return 1 - np.abs(2 * k / (n - 1) - 1)

    return _made("bartlett", M, sym, dtype, layout, device, requires_grad, weights)


def _cosines(
    name: str, M: int, a: tuple[float, ...], sym: bool, dtype: Any, layout: Any, device: Any, requires_grad: bool
) -> Any:
    def weights(k: Any, n: int) -> Any:
        angle = 2 * np.pi * k / (n - 1)
        return sum((-1) ** i * share * np.cos(i * angle) for i, share in enumerate(a))

    return _made(name, M, sym, dtype, layout, device, requires_grad, weights)


def general_cosine(
    M: int,
    *,
    a: Iterable[float],
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Sum of cosines: w[n] = sum_i (-1)^i a_i cos(2 pi i n / (M - 1)).

    Raises TypeError for coefficients that are no sequence, ValueError for none.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.signal.windows.general_cosine(3, a=[0.5, 0.5])
    tensor([0., 1., 0.])
    """
    if not isinstance(a, Iterable):
        raise TypeError("Coefficients must be a list/tuple")
    shares = tuple(a)
    if not shares:
        raise ValueError("Coefficients cannot be empty")
    return _cosines("general_cosine", M, shares, sym, dtype, layout, device, requires_grad)


def general_hamming(
    M: int,
    *,
    alpha: float = 0.54,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Hamming's window with any share of the constant: w[n] = alpha - (1 - alpha) cos(2 pi n / (M - 1)).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.signal.windows.general_hamming(3, alpha=0.5)
    tensor([0., 1., 0.])
    """
    return _cosines("general_hamming", M, (alpha, 1 - alpha), sym, dtype, layout, device, requires_grad)


def hamming(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """Hamming's window: w[n] = 0.54 - 0.46 cos(2 pi n / (M - 1)).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.signal.windows.hamming(3)
    tensor([0.0800, 1.0000, 0.0800])
    """
    return _cosines("hamming", M, (0.54, 0.46), sym, dtype, layout, device, requires_grad)


def hann(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """Hann's window: w[n] = (1 - cos(2 pi n / (M - 1))) / 2.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.signal.windows.hann(4, sym=False)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return _cosines("hann", M, (0.5, 0.5), sym, dtype, layout, device, requires_grad)


def blackman(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """Blackman's window: w[n] = 0.42 - 0.5 cos(2 pi n / (M - 1)) + 0.08 cos(4 pi n / (M - 1)).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.signal.windows.blackman(3)[1]
    tensor(1.)
    """
    return _cosines("blackman", M, (0.42, 0.5, 0.08), sym, dtype, layout, device, requires_grad)


def nuttall(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """Nuttall's window of four terms: 0.3635819, 0.4891775, 0.1365995, 0.0106411.

    Source: Nuttall 1981, Some windows with very good sidelobe behavior.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.signal.windows.nuttall(3)[1]
    tensor(1.)
    """
    shares = (0.3635819, 0.4891775, 0.1365995, 0.0106411)
    return _cosines("nuttall", M, shares, sym, dtype, layout, device, requires_grad)
