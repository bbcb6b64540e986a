"""Fourier transforms of short pieces of a signal, and the signal put together from them again."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import BaseTensor, apply, show_type, wrap
from ...core import dtypes as _d
from ...core.warned import warn
from ...ops import fourier as f
from ...ops.elementwise import cast
from ...ops.index import add_axis, take_axis
from ...ops.shape import pad
from ..dispatch import function, type_name
from .complex_parts import view_as_real


def _checked(input: Any, n_fft: int, hop_length: int | None, win_length: int | None, window: Any, name: str) -> Any:
    """Check what both directions share; give the step, the window's length, and the window as long as a piece."""
    hop = n_fft // 4 if hop_length is None else int(hop_length)
    length = n_fft if win_length is None else int(win_length)
    shown = f"{name}({show_type(input)}, n_fft={n_fft}, hop_length={hop}, win_length={length})"
    if hop <= 0:
        raise RuntimeError(f"{shown}: expected hop_length > 0, but got hop_length={hop}")
    if not 0 < length <= n_fft:
        raise RuntimeError(f"{shown}: expected 0 < win_length <= n_fft, but got win_length={length}")
    if window is not None and tuple(window.shape) != (length,):
        raise RuntimeError(
            f"{shown}: expected a 1D window tensor of size equal to win_length={length}, but got window with size "
            f"{list(window.shape)}"
        )
    if length < n_fft:
        left = (n_fft - length) // 2
        if window is None:
            window = wrap(np.ones(length, _real_dtype(input)))
        window = apply(pad, window, widths=((left, n_fft - length - left),), value=0)
    return hop, length, window


def _real_dtype(x: Any) -> Any:
    return _d.from_numpy(x._a.dtype).to_real().numpy


def _pad_signal(x: Any, before: int, after: int, mode: str) -> Any:
    """Lengthen the last dimension at both ends."""
    if mode == "constant":
        return apply(pad, x, widths=((0, 0), (before, after)), value=0)
    n = x.shape[-1]
    places = np.arange(-before, n + after)
    if mode == "reflect":
        if max(before, after) >= n:
            raise RuntimeError(
                f"stft: Padding size should be less than the corresponding input dimension, but got: padding "
                f"({before}, {after}) at dimension 2 of input {list(x.shape)}"
            )
        places = (n - 1) - np.abs((n - 1) - np.abs(places))
    elif mode == "replicate":
        places = np.clip(places, 0, n - 1)
    elif mode == "circular":
        if max(before, after) > n:
            raise RuntimeError("stft: Padding value causes wrapping around more than once.")
        places = places % n
    else:
        raise NotImplementedError(f"stft: Unrecognised padding mode {mode}")
    return take_axis(x, wrap(places), axis=1)


@function("stft", out=False)
def stft(
    input: Any,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Any:
    """Fourier transforms of pieces of a signal, ``hop_length`` apart: X[k, m] = sum_t w[t] x[m hop + t] e^(-2 pi i k t / n).

    Shapes: input (T) or (B, T) -> (B, n_fft // 2 + 1, pieces), or n_fft frequencies of a complex signal and without
    ``onesided``. ``window`` (win_length) weighs each piece; ``center`` lengthens the signal so that piece m is centred at
    m hop; ``normalized`` divides by the root of n_fft. RuntimeError for sizes that do not fit.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.stft(torch.ones(8), 4, window=torch.ones(4), return_complex=True).shape
    torch.Size([3, 9])
    """
    n_fft = int(n_fft)
    is_complex = input._a.dtype.kind == "c" or (isinstance(window, BaseTensor) and window._a.dtype.kind == "c")
    if align_to_window is not None and center:
        raise RuntimeError("stft only supports align_to_window for center = False.")
    if window is None:
        warn(
            "A window was not provided. A rectangular window will be applied, which is known to cause spectral leakage. "
            "Other windows such as torch.hann_window or torch.hamming_window are recommended to reduce spectral leakage."
        )
    if return_complex is None:
        if not is_complex:
            raise RuntimeError("stft requires the return_complex parameter be given for real inputs.")
        return_complex = True
    if input._a.dtype.kind not in "fcV" or input.dim() not in (1, 2):
        raise RuntimeError(
            f"stft: expected a 1D or 2D tensor of floating point or complex values, not {show_type(input)}"
        )
    single = input.dim() == 1
    x = input.unsqueeze(0) if single else input
    hop, length, weights = _checked(x, n_fft, hop_length, win_length, window, "stft")
    if center:
        x = _pad_signal(x, n_fft // 2, n_fft // 2, pad_mode)
    elif align_to_window:
        left = (n_fft - length) // 2
        x = _pad_signal(x, left, n_fft - length - left, "constant")
    n = x.shape[1]
    if not 0 < n_fft <= n:
        raise RuntimeError(f"stft({show_type(input)}, n_fft={n_fft}): expected 0 < n_fft <= {n}, but got n_fft={n_fft}")
    pieces = (n - n_fft) // hop + 1
    x = take_axis(x, wrap(np.arange(pieces)[:, None] * hop + np.arange(n_fft)), axis=1)
    if weights is not None:
        x = x * weights
    if x._a.dtype.itemsize == 2:
        raise RuntimeError(f"stft: there is no transform of {type_name(x._a.dtype)}: {show_type(input)}; use .float()")
    half = not is_complex if onesided is None else onesided
    if is_complex and half:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    scale = 1 if normalized else 0
    if half:
        found = apply(f.from_real, x, axes=(2,), forward=True, scale=scale)
    else:
        wide = x if x._a.dtype.kind == "c" else cast(x, dtype=_d.from_numpy(x._a.dtype).to_complex().numpy)
        found = apply(f.transform, wide, axes=(2,), forward=True, scale=scale)
    found = found.transpose(1, 2)
    if single:
        found = found.squeeze(0)
    if return_complex:
        return found
    warn(
        "stft with return_complex=False is deprecated. In a future pytorch release, stft will return complex tensors for "
        "all inputs, and return_complex=False will raise an error.\nNote: you can still call torch.view_as_real on the "
        "complex output to recover the old return format."
    )
    return view_as_real(found)


@function("istft", out=False)
def istft(
    input: Any,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Any:
    """Undo ``stft``: the pieces' inverse transforms, weighed, added up, and divided by the sum of the squared window.

    Shapes: input (B, frequencies, pieces) or without B -> (B, T); ``length`` is T where the pieces do not say it.
    RuntimeError where the window leaves a place without weight, or sizes do not fit.

    Source: Griffin and Lim 1984, Signal estimation from modified short-time Fourier transform.

    Examples
    --------
    >>> import retrograd as torch
    >>> w = torch.hann_window(4)
    >>> pieces = torch.stft(torch.arange(8.0), 4, window=w, return_complex=True)
    >>> torch.istft(pieces, 4, window=w, length=8).round().abs()
    tensor([0., 1., 2., 3., 4., 5., 6., 7.])
    """
    n_fft = int(n_fft)
    shown = f"istft({show_type(input)}, n_fft={n_fft})"
    if input._a.dtype.kind != "c":
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with return_complex=True."
        )
    if not input.numel():
        raise RuntimeError(f"{shown}: input tensor cannot be empty.")
    if input.dim() not in (2, 3):
        raise RuntimeError(f"{shown}: expected a tensor with 2 or 3 dimensions, but got {input.dim()}")
    single = input.dim() == 2
    x = input.unsqueeze(0) if single else input
    frequencies, pieces = x.shape[1:]
    half = frequencies != n_fft if onesided is None else onesided
    if frequencies != (n_fft // 2 + 1 if half else n_fft):
        raise RuntimeError(
            f"{shown}: expected the frequency dimension (3rd to the last) of the input tensor to match n_fft"
            f"{' / 2 + 1' if half else ''} when onesided={half}, but got {frequencies}"
        )
    hop, size, weights = _checked(x, n_fft, hop_length, win_length, window, "istft")
    if hop > size:
        raise RuntimeError(f"{shown}: expected hop_length <= win_length, but got hop_length={hop}, win_length={size}")
    if return_complex and half:
        raise RuntimeError(f"{shown}: cannot have onesided output if window or input is complex")
    if weights is not None and weights._a.dtype.kind == "c" and not return_complex:
        raise RuntimeError("Complex windows are incompatible with return_complex=False")
    if weights is None:
        weights = wrap(np.ones(n_fft, _real_dtype(x)))
    x = x.transpose(1, 2)
    scale = 1 if normalized else 2
    if return_complex:
        x = apply(f.transform, x, axes=(2,), forward=False, scale=scale)
    else:
        x = apply(f.to_real, x[..., : n_fft // 2 + 1], axes=(2,), n=n_fft, forward=False, scale=scale)
    whole = n_fft + hop * (pieces - 1)
    places = wrap(np.arange(pieces)[:, None] * hop + np.arange(n_fft))
    signal = add_axis(x * weights, places, axis=1, shape=(x.shape[0], whole))
    envelope = add_axis((weights * weights).expand(pieces, n_fft).contiguous(), places, axis=0, shape=(whole,))
    start = n_fft // 2 if center else 0
    end = start + length if length is not None else whole - n_fft // 2 if center else whole
    signal, envelope = signal[:, start:end], envelope[start:end]
    if np.abs(envelope._a).min(initial=np.inf) <= 1e-11:
        raise RuntimeError(
            f"{shown}: window overlap add min: {np.abs(envelope._a).min():g}: the window leaves a place without weight; use "
            "a smaller hop_length or another window"
        )
    signal = signal / envelope
    missing = (end - start) - signal.shape[1]
    if missing > 0:
        warn(
            "The length of signal is shorter than the length parameter. Result is being padded with zeros in the tail. "
            "Please check your center and hop_length settings."
        )
        signal = apply(pad, signal, widths=((0, 0), (0, missing)), value=0)
    return signal.squeeze(0) if single else signal
