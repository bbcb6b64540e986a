"""Convolution, its two transposes, and sliding blocks as columns: rows whose derivatives are each other."""

from __future__ import annotations

import math
from typing import Any

from ..core import TensorType, executors, show_call, strides
from . import batching
from . import conv_kernels as kernels
from .columns import Ints, Pairs, output_size
from .derive import bilinear, linear

WORTH = 1 << 20  # multiply-adds from which the library's own kernels are asked
for _name in ("conv", "conv_input_grad", "conv_weight_grad"):
    executors.register(_name, f"{__package__.partition('.')[0]}.compiler.contractions.conv:{_name}")


def _computed(name: str, x: Any, y: Any, work: int, attrs: dict[str, Any]) -> Any:
    """Run a checked op: by the library's own kernel where that is worth it and there is one, else by NumPy."""
    if work >= WORTH:
        run = executors.find(name)
        out = None if run is None else run(x, y, **attrs)
        if out is not None:
            return out
    return getattr(kernels, name)(x, y, **attrs)


def _times(shape: Ints) -> str:
    return " x ".join(map(str, shape))


def _out_shape(x: TensorType, w: TensorType, stride: Ints, padding: Pairs, dilation: Ints, groups: int) -> Ints:
    """Give a convolution's result shape, or raise RuntimeError that says what does not fit."""
    count = len(stride)
    if len(x.shape) != count + 2 or len(w.shape) != count + 2:
        raise RuntimeError(
            f"Expected {count + 1}D (unbatched) or {count + 2}D (batched) input to conv{count}d, but got input of "
            f"size: {list(x.shape)}, with weight of size: {list(w.shape)}; add the missing dimensions with unsqueeze"
        )
    if groups < 1:
        raise RuntimeError("non-positive groups is not supported")
    if min(stride) < 1:
        raise RuntimeError("non-positive stride is not supported")
    if min(dilation) < 1:
        raise RuntimeError(f"dilation should be greater than zero, but got {list(dilation)}")
    if w.shape[0] < groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but got weight of size "
            f"{list(w.shape)} instead"
        )
    if w.shape[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got weight of "
            f"size [{list(w.shape)}] instead"
        )
    if x.shape[1] != w.shape[1] * groups:
        raise RuntimeError(
            f"conv{count}d: Given groups={groups}, weight of size {list(w.shape)}, expected input{list(x.shape)} to have "
            f"{w.shape[1] * groups} channels, but got {x.shape[1]} channels instead"
        )
    if x.dtype != w.dtype:
        raise RuntimeError(
            f"Input type ({x.dtype}) and weight type ({w.dtype}) should be the same; convert one of them "
            f"with .to(dtype)"
        )
    if x.dtype.kind == "b":
        raise NotImplementedError(
            f"conv{count}d is not implemented for 'Bool'; convert input and weight with .to(dtype)"
        )
    pixels = output_size(x.shape[2:], w.shape[2:], stride, padding, dilation)
    padded = tuple(n + lo + hi for n, (lo, hi) in zip(x.shape[2:], padding, strict=True))
    if min(pixels) < 1 or min(padded) < 1:
        reach = tuple((k - 1) * d + 1 for k, d in zip(w.shape[2:], dilation, strict=True))
        raise RuntimeError(
            f"conv{count}d: Calculated padded input size per channel: ({_times(padded)}). Kernel size: ({_times(reach)}). "
            f"Kernel size can't be greater than actual input size; pad the input or use a smaller kernel or dilation"
        )
    return (x.shape[0], w.shape[0], *pixels)


def _conv_type(
    x: TensorType, y: TensorType, *, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> TensorType:
    return TensorType(_out_shape(x, y, stride, padding, dilation, groups), x.dtype)


def _conv(x: Any, y: Any, *, stride: Ints, padding: Pairs, dilation: Ints, groups: int) -> Any:
    shape = _out_shape(x, y, stride, padding, dilation, groups)
    attrs = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return _computed("conv", x, y, math.prod(shape) * math.prod(y.shape[1:]), attrs)


def _checked(name: str, result: TensorType, x: TensorType, w: TensorType, g: TensorType, geometry: Any) -> TensorType:
    """Give `result` if a convolution of `x` and `w` would have `g`'s shape."""
    if (x.shape[0], w.shape[0]) != g.shape[:2] or _out_shape(x, w, **geometry) != g.shape:
        raise RuntimeError(
            f"{show_call(name, ())}: a convolution of input{list(x.shape)} with weight{list(w.shape)} does not give "
            f"{list(g.shape)} with {geometry}"
        )
    return result


def _input_grad_type(x: TensorType, y: TensorType, *, x_shape: Ints, **geometry: Any) -> TensorType:
    result = TensorType(tuple(x_shape), x.dtype)
    return _checked("conv_input_grad", result, result, y, x, geometry)


def _input_grad(x: Any, y: Any, *, x_shape: Ints, **geometry: Any) -> Any:
    _input_grad_type(x, y, x_shape=x_shape, **geometry)
    work = x.size * math.prod(y.shape[1:])
    return _computed("conv_input_grad", x, y, work, {"x_shape": x_shape, **geometry})


def _weight_grad_type(x: TensorType, y: TensorType, *, w_shape: Ints, **geometry: Any) -> TensorType:
    result = TensorType(tuple(w_shape), x.dtype)
    return _checked("conv_weight_grad", result, y, result, x, geometry)


def _weight_grad(x: Any, y: Any, *, w_shape: Ints, **geometry: Any) -> Any:
    _weight_grad_type(x, y, w_shape=w_shape, **geometry)
    work = x.size * math.prod(w_shape[1:])
    return _computed("conv_weight_grad", x, y, work, {"w_shape": w_shape, **geometry})


def _flops(x: TensorType, y: TensorType, **geometry: Any) -> int:
    out = _conv_type(x, y, **geometry)
    return 2 * out.size * math.prod(y.shape[1:])


def _geometry(*dims: tuple[int, tuple[int, int], int], groups: int = 1) -> dict[str, Any]:
    """Attributes from one (stride, padding, dilation) per spatial dimension."""
    stride, padding, dilation = zip(*dims, strict=True)
    return {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


# input, kernel, output, attributes
_CASES: tuple[tuple[Ints, Ints, Ints, dict[str, Any]], ...] = (
    ((2, 3, 5), (4, 3, 2), (2, 4, 4), _geometry((1, (0, 0), 1))),
    ((2, 4, 6), (2, 2, 3), (2, 2, 3), _geometry((2, (1, 1), 1), groups=2)),
    ((1, 2, 5, 4), (3, 2, 3, 2), (1, 3, 5, 3), _geometry((1, (1, 1), 1), (1, (0, 0), 1))),
    ((2, 2, 6, 7), (4, 1, 2, 3), (2, 4, 3, 4), _geometry((2, (0, 1), 2), (2, (1, 1), 1), groups=2)),
    ((1, 1, 3, 4, 3), (2, 1, 2, 2, 1), (1, 2, 2, 2, 3), _geometry((1, (0, 0), 1), (2, (0, 0), 1), (1, (0, 0), 1))),
    ((0, 1, 4), (2, 1, 3), (0, 2, 2), _geometry((1, (0, 0), 1))),
)


def _conv_to_input(
    g: Any, y: Any, *, x_type: TensorType, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Any:
    return conv_input_grad(g, y, x_shape=x_type.shape, stride=stride, padding=padding, dilation=dilation, groups=groups)


def _conv_to_weight(
    g: Any, x: Any, *, y_type: TensorType, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Any:
    return conv_weight_grad(
        g, x, w_shape=y_type.shape, stride=stride, padding=padding, dilation=dilation, groups=groups
    )


conv = bilinear(
    "conv",
    _conv,
    type=_conv_type,
    transposes=[_conv_to_input, _conv_to_weight],
    batch=batching.conv,
    samples=tuple({"shapes": (x, w), "attrs": attrs} for x, w, _, attrs in _CASES),
    cost=_flops,
    shown="ConvolutionBackward0",
)


def _input_grad_to_output(g: Any, y: Any, *, stride: Ints, padding: Pairs, dilation: Ints, groups: int) -> Any:
    return conv(g, y, stride=stride, padding=padding, dilation=dilation, groups=groups)


def _input_grad_to_weight(
    g: Any, x: Any, *, y_type: TensorType, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Any:
    return conv_weight_grad(
        x, g, w_shape=y_type.shape, stride=stride, padding=padding, dilation=dilation, groups=groups
    )


conv_input_grad = bilinear(
    "conv_input_grad",
    _input_grad,
    type=_input_grad_type,
    transposes=[_input_grad_to_output, _input_grad_to_weight],
    batch=batching.conv_input_grad,
    samples=tuple({"shapes": (g, w), "attrs": {"x_shape": x, **attrs}} for x, w, g, attrs in _CASES),
    cost=lambda x, y, **attrs: 2 * x.size * math.prod(y.shape[1:]),
    shown="ConvolutionBackward0",
)


def _weight_grad_to_output(g: Any, y: Any, *, stride: Ints, padding: Pairs, dilation: Ints, groups: int) -> Any:
    return conv(y, g, stride=stride, padding=padding, dilation=dilation, groups=groups)


def _weight_grad_to_input(
    g: Any, x: Any, *, y_type: TensorType, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Any:
    return conv_input_grad(x, g, x_shape=y_type.shape, stride=stride, padding=padding, dilation=dilation, groups=groups)


conv.layout = conv_input_grad.layout = strides.as_images
conv_weight_grad = bilinear(
    "conv_weight_grad",
    _weight_grad,
    type=_weight_grad_type,
    transposes=[_weight_grad_to_output, _weight_grad_to_input],
    batch=batching.conv_weight_grad,
    samples=tuple({"shapes": (g, x), "attrs": {"w_shape": w, **attrs}} for x, w, g, attrs in _CASES),
    cost=lambda x, y, *, w_shape, **attrs: 2 * x.size * math.prod(w_shape[1:]),
    shown="ConvolutionBackward1",
)


# -- sliding blocks as columns, and their sum back ---------------------------------------------------------------------


def _blocks(size: Ints, kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> Ints:
    """Give how many sliding blocks fit along each dimension; RuntimeError where none does."""
    blocks = output_size(size, kernel, stride, padding, dilation)
    if min(blocks) < 1:
        raise RuntimeError(
            f"Given input with spatial size {tuple(size)}, kernel_size={kernel}, dilation={dilation}, "
            f"padding={padding}, calculated shape "
            f"of the array of sliding blocks as {blocks}, but its components must be at least one."
        )
    return blocks


def _unfold_type(x: TensorType, *, kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> TensorType:
    blocks = _blocks(x.shape[2:], kernel, stride, padding, dilation)
    return TensorType((x.shape[0], x.shape[1] * math.prod(kernel), math.prod(blocks)), x.dtype)


def _unfold(x: Any, *, kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> Any:
    _blocks(x.shape[2:], kernel, stride, padding, dilation)
    return kernels.unfold(x, kernel=kernel, stride=stride, padding=padding, dilation=dilation)


def _fold_type(x: TensorType, *, size: Ints, kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> TensorType:
    taps, blocks = math.prod(kernel), _blocks(size, kernel, stride, padding, dilation)
    if x.shape[1] % taps:
        raise RuntimeError(
            f"Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
            f"input.size(1)={x.shape[1]} and kernel_size={kernel}."
        )
    if x.shape[2] != math.prod(blocks):
        raise RuntimeError(
            f"Given output_size={tuple(size)}, kernel_size={kernel}, dilation={dilation}, padding={padding}, "
            f"stride={stride}, expected size of input's dimension 2 to match the calculated number of sliding blocks "
            f"{' * '.join(map(str, blocks))} = {math.prod(blocks)}, but got input.size(2)={x.shape[2]} (fold)."
        )
    return TensorType((x.shape[0], x.shape[1] // taps, *size), x.dtype)


def _fold(x: Any, *, size: Ints, kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> Any:
    _fold_type(x, size=size, kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    return kernels.fold(x, size=size, kernel=kernel, stride=stride, padding=padding, dilation=dilation)


def _unfold_transpose(g: Any, *, x_type: TensorType, kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> Any:
    return fold(g, size=x_type.shape[2:], kernel=kernel, stride=stride, padding=padding, dilation=dilation)


def _fold_transpose(g: Any, *, kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> Any:
    return unfold(g, kernel=kernel, stride=stride, padding=padding, dilation=dilation)


_BLOCKS: dict[str, Any] = {"kernel": (2, 3), "stride": (2, 1), "padding": ((1, 1), (0, 0)), "dilation": (1, 2)}
unfold = linear(
    "unfold",
    _unfold,
    type=_unfold_type,
    transpose=_unfold_transpose,
    batch=batching.folded,
    samples=({"shapes": ((2, 3, 4, 6),), "attrs": _BLOCKS}, {"shapes": ((0, 1, 4, 6),), "attrs": _BLOCKS}),
    shown="Im2ColBackward0",
)
fold = linear(
    "fold",
    _fold,
    type=_fold_type,
    transpose=_fold_transpose,
    batch=batching.folded,
    samples=({"shapes": ((2, 18, 6),), "attrs": {"size": (4, 6), **_BLOCKS}},),
    shown="Col2ImBackward0",
)
