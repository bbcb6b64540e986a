"""Pooling: maxima with their places, averages, and the description of windows that they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import TensorType, executors, strides
from . import batching
from . import pool_kernels as kernels
from .columns import Ints
from .derive import general, linear, plain
from .windows import Window, Windows

INDEX = np.dtype(np.int64)
WORTH = 1 << 8  # elements from which the library's own kernels are asked; for few of them those take their time
_NAMES = ("max_pool", "max_pool_index", "max_pool_gradient", "avg_pool", "avg_pool_grad", "pool_gather", "pool_scatter")
for _name in _NAMES:
    executors.register(_name, f"{__package__.partition('.')[0]}.compiler.eager_pools:{_name}")


def _computed(name: str, *xs: Any, **attrs: Any) -> Any:
    """Run a checked op: by the library's own kernel where arrays are large and there is one, else by NumPy."""
    if max(x.size for x in xs) >= WORTH:
        run = executors.find(name)
        if run is not None:
            return run(*xs, **attrs)
    return getattr(kernels, name)(*xs, **attrs)


# -- the description of windows ----------------------------------------------------------------------------------------


def _size_text(sizes: Sequence[int]) -> str:
    return "x".join(map(str, (1, *sizes)))


def strided_windows(
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool = False,
) -> Windows:
    """Describe the windows of a pooling layer, one per spatial dimension.

    .. math:: outputs = (size + 2 \\cdot padding - dilation \\cdot (kernel - 1) - 1) / stride + 1

    rounded down, or up in ``ceil_mode``, where a last window that would start beyond the input and its left padding is
    dropped.

    Raises
    ------
    RuntimeError
        A kernel, stride or dilation below one, a padding above half the window, or a size for which no window fits.

    >>> strided_windows((5,), (2,), (2,), (0,), (1,), ceil_mode=True)
    (Window(size=5, outputs=3, kernel=2, stride=2, padding=0, dilation=1),)
    """
    if min(stride) < 1:
        raise RuntimeError(
            f"stride should not be zero, but got stride={tuple(stride)}; leave it out to use the kernel's size"
        )
    if min(kernel) < 1:
        raise RuntimeError(f"kernel size should be greater than zero, but got kernel_size={tuple(kernel)}")
    if min(dilation) < 1:
        raise RuntimeError(f"dilation should be greater than zero, but got dilation={tuple(dilation)}")
    windows = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if p > ((k - 1) * d + 1) // 2:
            raise RuntimeError(
                f"pad should be at most half of effective kernel size, but got pad={p}, kernel_size={k} "
                f"and dilation={d}"
            )
        count = (n + 2 * p - d * (k - 1) - 1 + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (count - 1) * s >= n + p:
            count -= 1
        windows.append(Window(n, count, k, s, p, d))
    counts = [w.outputs for w in windows]
    if min(counts) < 1:
        raise RuntimeError(
            f"Given input size: ({_size_text(size)}). Calculated output size: "
            f"({_size_text([max(c, 0) for c in counts])}). Output size is too small; "
            f"use a smaller kernel, or pad the input"
        )
    return tuple(windows)


def adaptive_windows(size: Sequence[int], output_size: Sequence[int | None]) -> Windows:
    """Describe windows that share out each dimension: output o reads ``floor(o*L/out)`` to ``ceil((o+1)*L/out)``.

    A size of None is the input's. RuntimeError for a negative one, or an empty input.

    >>> adaptive_windows((5,), (2,))
    (Window(size=5, outputs=2, kernel=0, stride=1, padding=0, dilation=1),)
    """
    counts = [n if count is None else count for n, count in zip(size, output_size, strict=True)]
    if min(counts) < 0:
        raise RuntimeError(f"elements of output_size must be greater than or equal to 0 but received {counts}")
    if 0 in size:
        raise RuntimeError(
            f"Expected input to have non-zero size for non-batch dimensions, but input has sizes {list(size)}"
        )
    return tuple(
        Window(n, count, n // count, n // count) if count and n % count == 0 else Window(n, count, 0)
        for n, count in zip(size, counts, strict=True)
    )


def _pooled(x: TensorType, windows: Windows) -> Ints:
    """Give the result's shape; RuntimeError if the windows were made for another size."""
    lead = len(x.shape) - len(windows)
    if lead < 0 or x.shape[lead:] != tuple(w.size for w in windows):
        raise RuntimeError(
            f"pooling windows for a plane of {[w.size for w in windows]} do not fit input{list(x.shape)}"
        )
    return (*x.shape[:lead], *(w.outputs for w in windows))


# -- maxima ------------------------------------------------------------------------------------------------------------

_PLANE: dict[str, Any] = {"windows": (Window(5, 3, 3, 2, 1), Window(4, 2, 2, 2))}
_CASES: tuple[dict[str, Any], ...] = (
    {"shapes": ((2, 3, 5, 4),), "attrs": _PLANE},
    {"shapes": ((3, 7),), "attrs": {"windows": (Window(7, 3, 3, 2, 1, 2),)}},
    {"shapes": ((2, 5, 7),), "attrs": {"windows": (Window(5, 3, 0), Window(7, 2, 0))}},
    {"shapes": ((0, 3, 5, 4),), "attrs": _PLANE},
)


def _pool_type(x: TensorType, *, windows: Windows, **rest: Any) -> TensorType:
    return TensorType(_pooled(x, windows), x.dtype)


def _max_pool(x: Any, *, windows: Windows) -> Any:
    _pooled(x, windows)
    if x.dtype.kind == "b":
        raise NotImplementedError("max_pool is not implemented for 'Bool'; convert the input with .to(torch.uint8)")
    return _computed("max_pool", x, windows=windows)


def _max_pool_index(x: Any, y: Any, *, windows: Windows) -> Any:
    return _computed("max_pool_index", x, y, windows=windows)


# The maxima are found again rather than read from the result: an activation in place often follows a pool.
def _max_pool_to_input(g: Any, x: Any, *, windows: Windows) -> Any:
    if g.__class__ is np.ndarray and x.__class__ is np.ndarray and x.size >= WORTH:
        run = executors.find("max_pool_gradient")
        if run is not None:
            return run(g, x, windows=windows)
    index = max_pool_index(x, max_pool(x, windows=windows), windows=windows)
    return pool_scatter(g, index, size=tuple(w.size for w in windows))


def _max_pool_tangent(t: Any, x: Any, *, windows: Windows) -> Any:
    return pool_gather(t, max_pool_index(x, max_pool(x, windows=windows), windows=windows), dims=len(windows))


max_pool = general(
    "max_pool",
    _max_pool,
    type=_pool_type,
    vjp=[_max_pool_to_input],
    jvp=[_max_pool_tangent],
    batch=batching.leading,
    samples=_CASES,
    shown="MaxPool2DWithIndicesBackward0",
)
max_pool_index = plain(
    "max_pool_index",
    _max_pool_index,
    type=lambda x, y, *, windows: TensorType(_pooled(x, windows), INDEX),
    names=("x", "y"),
    batch=batching.leading,
    samples=({"shapes": ((2, 3, 5, 4), (2, 3, 3, 2)), "attrs": _PLANE},),
)


def _gather_type(x: TensorType, y: TensorType, *, dims: int) -> TensorType:
    lead = x.shape[: len(x.shape) - dims]
    if y.shape[: len(y.shape) - dims] != lead:
        raise RuntimeError(f"the leading dimensions of input{list(x.shape)} and indices{list(y.shape)} must be equal")
    return TensorType(y.shape, x.dtype)


def _scatter_type(x: TensorType, y: TensorType, *, size: Ints) -> TensorType:
    if x.shape != y.shape:
        raise RuntimeError(
            f"Expected shape of indices to be same as that of the input tensor {list(x.shape)}, but got {list(y.shape)}"
        )
    return TensorType((*x.shape[: len(x.shape) - len(size)], *size), x.dtype)


def _gather_transpose(g: Any, y: Any, *, x_type: TensorType, dims: int) -> Any:
    return pool_scatter(g, y, size=x_type.shape[len(x_type.shape) - dims :])


def _scatter_transpose(g: Any, y: Any, *, size: Ints) -> Any:
    return pool_gather(g, y, dims=len(size))


def _pool_gather(x: Any, y: Any, *, dims: int) -> Any:
    return _computed("pool_gather", x, y, dims=dims)


def _pool_scatter(g: Any, y: Any, *, size: Ints) -> Any:
    return _computed("pool_scatter", g, y, size=size)


pool_gather = linear(
    "pool_gather",
    _pool_gather,
    type=_gather_type,
    names=("x", "y"),
    transpose=_gather_transpose,
    batch=batching.leading,
    samples=({"shapes": ((2, 3, 4), (2, 2, 2)), "dtypes": (None, "index"), "high": 12, "attrs": {"dims": 2}},),
    shown="GatherBackward0",
)
pool_scatter = linear(
    "pool_scatter",
    _pool_scatter,
    type=_scatter_type,
    names=("x", "y"),
    transpose=_scatter_transpose,
    batch=batching.leading,
    samples=({"shapes": ((2, 2, 2), (2, 2, 2)), "dtypes": (None, "index"), "high": 12, "attrs": {"size": (3, 4)}},),
    shown="MaxPool2DWithIndicesBackwardBackward0",
)

# -- averages ----------------------------------------------------------------------------------------------------------


def _avg_pool(x: Any, *, windows: Windows, include_padding: bool = True, divisor: int | None = None) -> Any:
    _pooled(x, windows)
    if x.dtype.kind == "b":
        raise NotImplementedError("avg_pool is not implemented for 'Bool'; convert the input with .to(torch.uint8)")
    return _computed("avg_pool", x, windows=windows, include_padding=include_padding, divisor=divisor)


def _avg_pool_transpose(g: Any, *, windows: Windows, include_padding: bool = True, divisor: int | None = None) -> Any:
    return avg_pool_grad(g, windows=windows, include_padding=include_padding, divisor=divisor)


def _avg_pool_grad(x: Any, *, windows: Windows, include_padding: bool = True, divisor: int | None = None) -> Any:
    return _computed("avg_pool_grad", x, windows=windows, include_padding=include_padding, divisor=divisor)


def _avg_pool_grad_transpose(
    g: Any, *, windows: Windows, include_padding: bool = True, divisor: int | None = None
) -> Any:
    return avg_pool(g, windows=windows, include_padding=include_padding, divisor=divisor)


def _spread_type(x: TensorType, *, windows: Windows, **rest: Any) -> TensorType:
    return TensorType((*x.shape[: len(x.shape) - len(windows)], *(w.size for w in windows)), x.dtype)


avg_pool = linear(
    "avg_pool",
    _avg_pool,
    type=_pool_type,
    transpose=_avg_pool_transpose,
    batch=batching.leading,
    samples=(
        *_CASES,
        {"shapes": ((2, 5, 4),), "attrs": {**_PLANE, "include_padding": False}},
        {"shapes": ((2, 5, 4),), "attrs": {**_PLANE, "divisor": 3}},
    ),
    shown="AvgPool2DBackward0",
)
max_pool.layout = avg_pool.layout = strides.as_images
avg_pool_grad = linear(
    "avg_pool_grad",
    _avg_pool_grad,
    type=_spread_type,
    transpose=_avg_pool_grad_transpose,
    batch=batching.leading,
    samples=(
        {"shapes": ((2, 3, 2),), "attrs": _PLANE},
        {"shapes": ((2, 3, 2),), "attrs": {**_PLANE, "include_padding": False}},
        {"shapes": ((2, 3, 2),), "attrs": {"windows": (Window(5, 3, 0), Window(7, 2, 0))}},
    ),
    shown="AvgPool2DBackwardBackward0",
)
