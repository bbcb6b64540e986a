"""Convolutions in one, two and three dimensions, their transposes, and sliding blocks as columns."""

from __future__ import annotations

from collections.abc import Iterable
from operator import index
from typing import Any

from ...ops import conv as ops
from ...tensor.dispatch import labelled
from .padding import pad

Ints = tuple[int, ...]


def _sizes(value: Any, dims: int, name: str) -> Ints:
    """Give one number for each dimension; RuntimeError for another count, TypeError for what is no whole number."""
    if not isinstance(value, Iterable):
        return (index(value),) * dims
    sizes = tuple(map(index, value))
    if len(sizes) == 1:
        return sizes * dims
    if len(sizes) != dims:
        raise RuntimeError(
            f"expected {name} to be a single integer value or a list of {dims} values to match the convolution "
            f"dimensions, but got {name}={list(sizes)}"
        )
    return sizes


def _paddings(padding: Any, kernel: Ints, stride: Ints, dilation: Ints) -> tuple[tuple[int, int], ...]:
    """Give the padding before and after, for each dimension; "same" puts an odd one after."""
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * len(kernel)
        if padding != "same":
            raise RuntimeError(f"Invalid padding string: '{padding}'")
        if any(s != 1 for s in stride):
            raise RuntimeError("padding='same' is not supported for strided convolutions")
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    sizes = _sizes(padding, len(kernel), "padding")
    if min(sizes) < 0:
        raise RuntimeError("negative padding is not supported")
    return tuple((n, n) for n in sizes)


def _check_operands(input: Any, weight: Any, bias: Any, dims: int, name: str, channels: int) -> None:
    if weight.dim() != dims + 2 or input.dim() not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input to {name}, but got input of size: "
            f"{list(input.shape)} and weight of size: {list(weight.shape)}"
        )
    for what, other in (("weight", weight), ("bias", bias)):
        if other is not None and other.dtype != input.dtype:
            raise RuntimeError(
                f"{name}: Input type ({input.dtype}) and {what} type ({other.dtype}) should be the same; "
                "convert one with .to(dtype)"
            )
    if bias is not None and (bias.dim() != 1 or bias.shape[0] != channels):
        raise RuntimeError(
            f"Given weight of size {list(weight.shape)}, expected bias to be 1-dimensional with {channels} elements, "
            f"but got bias of size {list(bias.shape)} instead"
        )


def _is_empty(input: Any, dims: int) -> bool:
    """Tell whether an input is a batch of nothing, of which torch looks at less."""
    return bool(input.dim() == dims + 2 and not input.shape[0])


def _of_one_type(input: Any, weight: Any, dims: int) -> tuple[Any, Any]:
    """Give the operands; of an empty batch with the dtype that its result has, as torch takes any weight there."""
    if not _is_empty(input, dims) or weight.dtype == input.dtype:
        return input, weight
    dtype = input.dtype if input.dtype.is_floating_point or input.dtype.is_complex else weight.dtype
    return input.to(dtype), weight.to(dtype)


def _check_kernel(weight: Any, input: Any, dims: int, name: str, channels: int) -> None:
    """Raise for a kernel of no elements or no result channels, and for an image of no pixels; IndexError for an empty batch, as torch."""
    empty = _is_empty(input, dims)
    if 0 in weight.shape[-dims:] or (name.startswith("conv_transpose") and not channels):
        kind = IndexError if empty else RuntimeError
        raise kind(f"{name}: the kernel has no elements: weight of size {list(weight.shape)}")
    if 0 in input.shape[-dims:] and not empty and input.shape[-dims - 1]:
        raise RuntimeError(
            f"{name}: Only zero batch or zero channel inputs are supported, but got input of size {list(input.shape)}"
        )


def _conv(dims: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    steps, spread = _sizes(stride, dims, "stride"), _sizes(dilation, dims, "dilation")
    channels = weight.shape[0] if weight.dim() else 0
    input, weight = _of_one_type(input, weight, dims)
    _check_operands(input, weight, bias, dims, f"conv{dims}d", channels)
    _check_kernel(weight, input, dims, f"conv{dims}d", channels)
    around = _paddings(padding, tuple(weight.shape[2:]), steps, spread)
    single = input.dim() == dims + 1
    if single:
        input = input.unsqueeze(0)
    result = ops.conv(input, weight, stride=steps, padding=around, dilation=spread, groups=groups)
    if bias is not None:
        result = labelled(result + bias.reshape(1, -1, *[1] * dims), "ConvolutionBackward0", (input, weight, bias))
    return result.squeeze(0) if single else result


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Cross-correlation along one dimension: y[n, o, i] = b[o] + sum_{c, k} w[o, c, k] x[n, c, s i + d k - p].

    Shapes: input (N, C, L) or (C, L); weight (O, C / groups, K); bias (O). ``padding`` is a number, "valid" or "same".
    RuntimeError for shapes or dtypes that do not fit.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.conv1d(torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[[-1.0, 1.0]]]))
    tensor([[1., 2.]])
    """
    return _conv(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Cross-correlation over two dimensions; shapes (N, C, H, W), weight (O, C / groups, KH, KW), bias (O).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2)).shape
    torch.Size([1, 1, 2, 2])
    """
    return _conv(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Cross-correlation over three dimensions; shapes (N, C, D, H, W), weight (O, C / groups, KD, KH, KW), bias (O).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.conv3d(torch.ones(1, 1, 2, 2, 2), torch.ones(1, 1, 2, 2, 2)).item()
    8.0
    """
    return _conv(3, input, weight, bias, stride, padding, dilation, groups)


def _conv_transpose(
    dims: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Any:
    """Transpose of a convolution: the map that its gradient applies, with the input's size chosen by the paddings."""
    steps, spread = _sizes(stride, dims, "stride"), _sizes(dilation, dims, "dilation")
    before, extra = _sizes(padding, dims, "padding"), _sizes(output_padding, dims, "output_padding")
    channels = weight.shape[1] * groups if weight.dim() > 1 else 0
    input, weight = _of_one_type(input, weight, dims)
    _check_operands(input, weight, bias, dims, f"conv_transpose{dims}d", channels)
    if input.shape[-dims - 1] != weight.shape[0]:
        raise RuntimeError(
            f"Given transposed=1, weight of size {list(weight.shape)}, expected input{list(input.shape)} to have "
            f"{weight.shape[0]} channels, but got {input.shape[-dims - 1]} channels instead (conv_transpose{dims}d)"
        )
    _check_kernel(weight, input, dims, f"conv_transpose{dims}d", channels)
    for what, given in (("padding", before), ("output_padding", extra)):
        if min(given) < 0:
            raise RuntimeError(f"negative {what} is not supported")
    for e, s, d in zip(extra, steps, spread, strict=True):
        if e >= max(s, d):
            raise RuntimeError(
                f"output padding must be smaller than either stride or dilation, but got output_padding={list(extra)}, "
                f"stride={list(steps)}, dilation={list(spread)}"
            )
    single = input.dim() == dims + 1
    batch = input.unsqueeze(0) if single else input
    # what lies behind the last window: padding not taken away, and zeros where that does not suffice
    after = tuple(max(p - e, 0) for p, e in zip(before, extra, strict=True))
    zeros = tuple(max(e - p, 0) for p, e in zip(before, extra, strict=True))
    reach = [d * (k - 1) + 1 for k, d in zip(weight.shape[2:], spread, strict=True)]
    sizes = [
        (n - 1) * s + r - p - a for n, s, r, p, a in zip(batch.shape[2:], steps, reach, before, after, strict=True)
    ]
    if min(n + z for n, z in zip(sizes, zeros, strict=True)) < 1:
        raise RuntimeError(f"conv_transpose{dims}d: the calculated output size {sizes} is too small")
    result = ops.conv_input_grad(
        batch,
        weight,
        x_shape=(batch.shape[0], channels, *sizes),
        stride=steps,
        padding=tuple(zip(before, after, strict=True)),
        dilation=spread,
        groups=groups,
    )
    if any(zeros):
        result = pad(result, [side for z in reversed(zeros) for side in (0, z)])
    if bias is not None:
        result = labelled(result + bias.reshape(1, -1, *[1] * dims), "ConvolutionBackward0", (batch, weight, bias))
    return result.squeeze(0) if single else result


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Transposed convolution along one dimension; shapes (N, C, L), weight (C, O / groups, K), bias (O).

    The result's size is (L - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.conv_transpose1d(torch.tensor([[1.0, 2.0]]), torch.ones(1, 1, 2))
    tensor([[1., 3., 2.]])
    """
    return _conv_transpose(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Transposed convolution over two dimensions; shapes (N, C, H, W), weight (C, O / groups, KH, KW), bias (O).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.conv_transpose2d(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2), stride=2).shape
    torch.Size([1, 1, 4, 4])
    """
    return _conv_transpose(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Transposed convolution over three dimensions; shapes (N, C, D, H, W), weight (C, O / groups, KD, KH, KW).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.conv_transpose3d(
    ...     torch.ones(1, 1, 1, 1, 1), torch.ones(1, 1, 2, 2, 2)
    ... ).sum().item()
    8.0
    """
    return _conv_transpose(3, input, weight, bias, stride, padding, output_padding, groups, dilation)


def _block_sizes(**named: Any) -> dict[str, Ints]:
    return {name: _sizes(value, 2, name) for name, value in named.items()}


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Give every sliding block of an image as a column: (N, C, H, W) -> (N, C * KH * KW, blocks).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.unfold(torch.arange(4.0).reshape(1, 1, 2, 2), (1, 2))
    tensor([[[0., 2.],
             [1., 3.]]])
    """
    if input.dim() not in (3, 4):
        raise RuntimeError(f"Expected 3D or 4D (batch mode) tensor for unfold, but got input{list(input.shape)}")
    sizes = _block_sizes(kernel=kernel_size, dilation=dilation, padding=padding, stride=stride)
    around = tuple((n, n) for n in sizes.pop("padding"))
    single = input.dim() == 3
    result = ops.unfold(input.unsqueeze(0) if single else input, padding=around, **sizes)
    return result.squeeze(0) if single else result


def fold(input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Add columns up as sliding blocks of an image, the transpose of `unfold`: (N, C KH KW, blocks) -> (N, C, H, W).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.fold(torch.ones(1, 2, 2), (1, 3), (1, 2))
    tensor([[[[1., 2., 1.]]]])
    """
    if input.dim() not in (2, 3):
        raise RuntimeError(f"Expected 2D or 3D (batch mode) tensor for fold, but got input{list(input.shape)}")
    sizes = _block_sizes(size=output_size, kernel=kernel_size, dilation=dilation, padding=padding, stride=stride)
    around = tuple((n, n) for n in sizes.pop("padding"))
    single = input.dim() == 2
    result = ops.fold(input.unsqueeze(0) if single else input, padding=around, **sizes)
    return result.squeeze(0) if single else result
