"""The gradients of convolutions with respect to input and weight, as functions of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.mode import enable_grad
from . import _functions as T
from . import functional as F
from . import native

__all__ = ["conv1d_input", "conv1d_weight", "conv2d_input", "conv2d_weight", "conv3d_input", "conv3d_weight"]


def _pulled_back(
    convolve: Callable[..., Any], input: Any, weight: Any, wanted: int, grad_output: Any, *geometry: Any
) -> Any:
    """Walk back through a convolution; it is bilinear, so the value at which the derivative is taken does not matter."""
    from ..tensor.backward import grad

    with enable_grad():
        leaf = T.zeros(tuple((input, weight)[wanted]), dtype=grad_output.dtype).requires_grad_()
        result = convolve(leaf, weight, None, *geometry) if wanted == 0 else convolve(input, leaf, None, *geometry)
    create = grad_output.requires_grad or (weight if wanted == 0 else input).requires_grad
    return grad(result, leaf, grad_output, create_graph=create)[0]


def conv1d_input(
    input_size: Any,
    weight: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Give the gradient of `conv1d` with respect to its input.

    Parameters
    ----------
    input_size : tuple of int
        The input's shape.
    weight, grad_output : Tensor
        The weight, and the gradient of the result.
    stride, padding, dilation, groups
        As for the convolution.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.grad.conv1d_input((1, 1, 3), torch.ones(1, 1, 2), torch.ones(1, 1, 2))
    tensor([[[1., 2., 1.]]])
    """
    return _pulled_back(F.conv1d, input_size, weight, 0, grad_output, stride, padding, dilation, groups)


def conv1d_weight(
    input: Any,
    weight_size: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Give the gradient of `conv1d` with respect to its weight.

    Parameters
    ----------
    input : Tensor
        The input.
    weight_size : tuple of int
        The weight's shape.
    grad_output : Tensor
        The gradient of the result.
    stride, padding, dilation, groups
        As for the convolution.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.grad.conv1d_weight(torch.ones(1, 1, 3), (1, 1, 2), torch.ones(1, 1, 2))
    tensor([[[2., 2.]]])
    """
    return _pulled_back(F.conv1d, input, weight_size, 1, grad_output, stride, padding, dilation, groups)


def conv2d_input(
    input_size: Any,
    weight: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Give the gradient of `conv2d` with respect to its input; see `conv1d_input`.

    Examples
    --------
    >>> import retrograd as torch
    >>> w, g = torch.ones(4, 3, 2, 2), torch.ones(1, 4, 4, 4)
    >>> torch.nn.grad.conv2d_input((1, 3, 5, 5), w, g).shape
    torch.Size([1, 3, 5, 5])
    """
    return _pulled_back(F.conv2d, input_size, weight, 0, grad_output, stride, padding, dilation, groups)


def conv2d_weight(
    input: Any,
    weight_size: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Give the gradient of `conv2d` with respect to its weight; see `conv1d_weight`.

    Examples
    --------
    >>> import retrograd as torch
    >>> x, g = torch.ones(1, 3, 5, 5), torch.ones(1, 4, 4, 4)
    >>> torch.nn.grad.conv2d_weight(x, (4, 3, 2, 2), g).shape
    torch.Size([4, 3, 2, 2])
    """
    return _pulled_back(F.conv2d, input, weight_size, 1, grad_output, stride, padding, dilation, groups)


def conv3d_input(
    input_size: Any,
    weight: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Give the gradient of `conv3d` with respect to its input; see `conv1d_input`.

    Examples
    --------
    >>> import retrograd as torch
    >>> w, g = torch.ones(2, 1, 2, 2, 2), torch.ones(1, 2, 2, 2, 2)
    >>> torch.nn.grad.conv3d_input((1, 1, 3, 3, 3), w, g).shape
    torch.Size([1, 1, 3, 3, 3])
    """
    return _pulled_back(F.conv3d, input_size, weight, 0, grad_output, stride, padding, dilation, groups)


def conv3d_weight(
    input: Any,
    weight_size: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Give the gradient of `conv3d` with respect to its weight; see `conv1d_weight`.

    Examples
    --------
    >>> import retrograd as torch
    >>> x, g = torch.ones(1, 1, 3, 3, 3), torch.ones(1, 2, 2, 2, 2)
    >>> torch.nn.grad.conv3d_weight(x, (2, 1, 2, 2, 2), g).shape
    torch.Size([2, 1, 2, 2, 2])
    """
    return _pulled_back(F.conv3d, input, weight_size, 1, grad_output, stride, padding, dilation, groups)


def convolution_backward(
    grad_output: Any,
    input: Any,
    weight: Any,
    bias_sizes: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    output_mask: Any,
) -> tuple[Any, Any, Any]:
    """Give the gradients of a convolution of any number of dimensions, as ``torch.ops.aten.convolution_backward``.

    Parameters
    ----------
    grad_output, input, weight : Tensor
        The gradient of the result, and the operands; the values of one whose gradient alone is wanted are not read.
    bias_sizes : list of int, optional
        The bias's shape: not needed.
    stride, padding, dilation, transposed, output_padding, groups
        As for ``torch.convolution``.
    output_mask : sequence of bool
        Which gradients are wanted: the input's, the weight's, the bias's; None stands for the others.

    Examples
    --------
    >>> import retrograd as torch
    >>> g, x, w = torch.ones(1, 1, 2), torch.ones(1, 1, 3), torch.ones(1, 1, 2)
    >>> torch.ops.aten.convolution_backward(
    ...     g, x, w, [1], (1,), (0,), (1,), False, (0,), 1, [True, False, True]
    ... )
    (tensor([[[1., 2., 1.]]]), None, tensor([2.]))
    """

    def convolve(x: Any, w: Any, bias: None) -> Any:
        return native.convolution(x, w, bias, stride, padding, dilation, transposed, output_padding, groups)

    found = [
        _pulled_back(convolve, *((x.shape, weight) if i == 0 else (input, x.shape)), i, grad_output) if wanted else None
        for i, (x, wanted) in enumerate(zip((input, weight), output_mask[:2], strict=True))
    ]
    bias = grad_output.sum([d for d in range(grad_output.ndim) if d != 1]) if output_mask[2] else None
    return found[0], found[1], bias
