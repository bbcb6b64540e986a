"""torch.fft: discrete Fourier transforms, with derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .core import apply, at, dtypes, here, show_type
from .ops import fourier as f
from .ops.elementwise import cast
from .ops.shape import pad, roll
from .tensor import Tensor
from .tensor.dispatch import tensor_operand, to_default_float, type_name, with_out, wrap_dim

_NORMS = (None, "backward", "ortho", "forward")


def _scale(norm: Any, forward: bool) -> int:
    """Give 0 for no factor, 1 for the root, 2 for the number of points."""
    if norm not in _NORMS:
        raise RuntimeError(f"Invalid normalization mode: {norm!r}: one of 'backward', 'ortho' and 'forward'")
    if norm == "ortho":
        return 1
    return 2 if (norm == "forward") == forward else 0


def _numbers(x: Any, name: str, complex: bool) -> Any:
    """Give a Tensor in a dtype that can be transformed: integers as floats, and complex where the transform wants it."""
    tensor_operand(x, name)
    if not complex and x._a.dtype.kind == "c":
        raise RuntimeError(
            f"{name} expects a real input tensor, but got {type_name(x._a.dtype)}: {show_type(x)}{at(here())}"
        )
    x = to_default_float(x)
    d = dtypes.from_numpy(x._a.dtype)
    if d.itemsize == 2:
        raise RuntimeError(
            f"Unsupported dtype {type_name(x._a.dtype)}: {name} of {show_type(x)}; convert it by .float(){at(here())}"
        )
    return cast(x, dtype=d.to_complex().numpy) if complex and not d.is_complex else x


def _axes(x: Any, s: Any, dim: Any, name: str) -> tuple[tuple[int, ...], list[int | None]]:
    """Give the dimensions to transform and the number of points along each, None for all there are."""
    ndim = x._a.ndim
    if s is not None and s.__class__ is int:
        s = (s,)
    if dim is None:
        axes = tuple(range(ndim)) if s is None else tuple(range(ndim - len(s), ndim))
        if axes and axes[0] < 0:
            raise RuntimeError(f"Got shape with {len(s)} values but input tensor only has {ndim} dimensions. ({name})")
    else:
        axes = _wrapped(dim, ndim, name)
        if len(set(axes)) != len(axes):
            raise RuntimeError(f"FFT dims must be unique: {dim} ({name})")
    if s is None:
        return axes, [None] * len(axes)
    if len(s) != len(axes):
        raise RuntimeError(f"When given, dim and shape arguments must have the same length ({name})")
    return axes, [None if n == -1 else _points(n) for n in s]


def _wrapped(dim: Any, ndim: int, name: str) -> tuple[int, ...]:
    dims = dim if isinstance(dim, (tuple, list)) else (dim,)
    if dims and not ndim:
        raise IndexError(f"Dimension specified as {dims[0]} but tensor has no dimensions ({name} of a 0-d tensor)")
    return tuple(wrap_dim(d, ndim, name) for d in dims)


def _points(n: Any) -> int:
    if n.__class__ is not int:
        n = n.__index__()
    if n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")
    return int(n)


def _resized(x: Any, axes: tuple[int, ...], lengths: list[int | None]) -> Any:
    """Cut dimensions, or fill them up with zeros."""
    shape = x._a.shape
    widths = [(0, 0)] * len(shape)
    for a, n in zip(axes, lengths, strict=True):
        have = shape[a]
        if (have if n is None else n) < 1:
            raise RuntimeError(f"Invalid number of data points ({have if n is None else n}) specified")
        if n is not None and n != have:
            widths[a] = (0, n - have)
    return apply(pad, x, widths=tuple(widths), value=0) if any(w != (0, 0) for w in widths) else x


def _between(x: Any, s: Any, dim: Any, norm: Any, forward: bool, name: str) -> Any:
    x = _numbers(x, name, True)
    axes, lengths = _axes(x, s, dim, name)
    scale = _scale(norm, forward)
    return apply(f.transform, _resized(x, axes, lengths), axes=axes, forward=forward, scale=scale)


def _from_real(x: Any, s: Any, dim: Any, norm: Any, forward: bool, name: str) -> Any:
    x = _numbers(x, name, False)
    axes, lengths = _axes(x, s, dim, name)
    if not axes:
        raise RuntimeError(f"{name} must transform at least one axis")
    return apply(f.from_real, _resized(x, axes, lengths), axes=axes, forward=forward, scale=_scale(norm, forward))


def _to_real(x: Any, s: Any, dim: Any, norm: Any, forward: bool, name: str) -> Any:
    x = _numbers(x, name, True)
    axes, lengths = _axes(x, s, dim, name)
    if not axes:
        raise RuntimeError(f"{name} must transform at least one axis")
    n = 2 * (x._a.shape[axes[-1]] - 1) if lengths[-1] is None else lengths[-1]
    _points(n)
    x = _resized(x, axes, [*lengths[:-1], n // 2 + 1])
    return apply(f.to_real, x, axes=axes, n=n, forward=forward, scale=_scale(norm, forward))


_DOC = """{meaning}.

    Parameters
    ----------
    input : Tensor
    {size} : {kind}, optional
        The number of points along each transformed dimension: the input is cut, or filled up with zeros.
    dim : {kind}, optional
        The transformed dimensions.
    norm : str, optional
        "backward": the inverse transform divides by the number of points n; "forward": the forward one does; "ortho": both
        divide by the root of n.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.fft.{name}({sample}).shape
    torch.Size({shape})
    """


def _one(name: str, meaning: str, run: Any, forward: bool, length: int) -> Callable[..., Any]:
    def fn(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
        x = _numbers(input, name, run is not _from_real)
        axes = _wrapped(dim, x._a.ndim, name)
        return run(x, None if n is None else (_points(n),), axes, norm, forward, name)

    return _finished(fn, name, meaning, "n", "int", "torch.ones(4)", [length])


def _two(name: str, meaning: str, run: Any, forward: bool, shape: list[int]) -> Callable[..., Any]:
    def fn(input: Any, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Any:
        return run(input, s, dim, norm, forward, name)

    return _finished(fn, name, meaning, "s", "tuple of int", "torch.ones(4, 4)", shape)


def _many(name: str, meaning: str, run: Any, forward: bool, shape: list[int]) -> Callable[..., Any]:
    def fn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
        return run(input, s, dim, norm, forward, name)

    return _finished(fn, name, meaning, "s", "tuple of int", "torch.ones(4, 4)", shape)


def _finished(
    fn: Any, name: str, meaning: str, size: str, kind: str, sample: str, shape: list[int]
) -> Callable[..., Any]:
    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = _DOC.format(name=name, meaning=meaning, size=size, kind=kind, sample=sample, shape=shape)
    return with_out(fn, f"fft_{name}")


fft = _one("fft", "Give the discrete Fourier transform along one dimension", _between, True, 4)
ifft = _one("ifft", "Undo ``fft``", _between, False, 4)
rfft = _one("rfft", "Give the half of the transform of a real signal that says it all", _from_real, True, 3)
irfft = _one("irfft", "Undo ``rfft``; ``n`` says how many points the signal had", _to_real, False, 6)
hfft = _one("hfft", "Give the real transform of a signal with Hermitian symmetry, from its half", _to_real, True, 6)
ihfft = _one("ihfft", "Undo ``hfft``", _from_real, False, 3)
fft2 = _two("fft2", "Give the discrete Fourier transform along two dimensions", _between, True, [4, 4])
ifft2 = _two("ifft2", "Undo ``fft2``", _between, False, [4, 4])
rfft2 = _two("rfft2", "Give the half of the transform of a real image that says it all", _from_real, True, [4, 3])
irfft2 = _two("irfft2", "Undo ``rfft2``", _to_real, False, [4, 6])
hfft2 = _two("hfft2", "Give the real transform of an image with Hermitian symmetry", _to_real, True, [4, 6])
ihfft2 = _two("ihfft2", "Undo ``hfft2``", _from_real, False, [4, 3])
fftn = _many("fftn", "Give the discrete Fourier transform along several dimensions", _between, True, [4, 4])
ifftn = _many("ifftn", "Undo ``fftn``", _between, False, [4, 4])
rfftn = _many(
    "rfftn", "Give the half of the transform of a real signal of several dimensions", _from_real, True, [4, 3]
)
irfftn = _many("irfftn", "Undo ``rfftn``", _to_real, False, [4, 6])
hfftn = _many("hfftn", "Give the real transform of a signal with Hermitian symmetry", _to_real, True, [4, 6])
ihfftn = _many("ihfftn", "Undo ``hfftn``", _from_real, False, [4, 3])


# -- frequencies and their order ----------------------------------------------------------------------------------------
def _frequencies(n: int, d: float, half: bool, named: dict[str, Any]) -> Any:
    from .tensor import FUNCTIONS

    whole = FUNCTIONS["arange"](n // 2 + 1 if half else n, **named)
    with np.errstate(all="ignore"):
        a = np.arange(n // 2 + 1) if half else (np.arange(n) + n // 2) % n - n // 2 if n else np.arange(0)
        whole._a[...] = (a / np.float64(n * d)).astype(whole._a.dtype)
    return whole


def _with_default(named: dict[str, Any]) -> dict[str, Any]:
    return {**named, "dtype": named.get("dtype") or dtypes.get_default_dtype()}


def fftfreq(n: int, d: float = 1.0, **named: Any) -> Any:
    """Give the frequencies of the terms of ``fft`` for ``n`` points that are ``d`` apart.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.fft.fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    return _frequencies(n, d, False, _with_default(named))


def rfftfreq(n: int, d: float = 1.0, **named: Any) -> Any:
    """Give the frequencies of the terms of ``rfft`` for ``n`` points that are ``d`` apart.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.fft.rfftfreq(4)
    tensor([0.0000, 0.2500, 0.5000])
    """
    return _frequencies(n, d, True, _with_default(named))


def _turned(x: Any, dim: Any, back: bool, name: str) -> Any:
    ndim = tensor_operand(x, name)._a.ndim
    axes = tuple(range(ndim)) if dim is None else _wrapped(dim, ndim, name)
    shifts = tuple((x._a.shape[a] + back) // 2 for a in axes)
    if not axes:
        raise RuntimeError(
            f"`shifts` required: {name} of {show_type(x)}, which has no dimension to shift along{at(here())}"
        )
    return apply(roll, x, shifts=shifts, axes=axes)


def fftshift(input: Any, dim: Any = None) -> Any:
    """Put the term of frequency zero in the middle.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.fft.fftshift(torch.arange(4))
    tensor([2, 3, 0, 1])
    """
    return _turned(input, dim, False, "fft_fftshift")


def ifftshift(input: Any, dim: Any = None) -> Any:
    """Undo ``fftshift``.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.fft.ifftshift(torch.arange(5))
    tensor([2, 3, 4, 0, 1])
    """
    return _turned(input, dim, True, "fft_ifftshift")


__all__ = [
    "Tensor",
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "hfft2",
    "hfftn",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "ihfft2",
    "ihfftn",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]


def __getattr__(name: str) -> object:
    from .utils._names import missing

    raise missing("torch.fft", name, __all__)
