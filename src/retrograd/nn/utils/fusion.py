"""A convolution or linear layer and the batch normalisation after it as one layer, for evaluation."""

from __future__ import annotations

import copy
from typing import Any

from ...tensor import Parameter
from .. import _functions as T

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]


def _check(layer: Any, bn: Any) -> None:
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")


def _fused(
    weight: Any, bias: Any, mean: Any, var: Any, eps: float, scale: Any, shift: Any, shape: list[int]
) -> tuple[Parameter, Parameter]:
    """Give weight and bias of the one layer: W s, (b - mean) s + shift, s = scale / sqrt(var + eps)."""
    bias_dtype = weight.dtype if bias is None else bias.dtype
    wanted = weight.requires_grad, bias is not None and bias.requires_grad
    bias = T.zeros_like(mean) if bias is None else bias
    factor = T.rsqrt(var + eps) * (T.ones_like(mean) if scale is None else scale)
    moved = (bias - mean) * factor + (T.zeros_like(mean) if shift is None else shift)
    scaled = (weight * factor.reshape(shape)).to(dtype=weight.dtype)
    return Parameter(scaled, wanted[0]), Parameter(moved.to(dtype=bias_dtype), wanted[1])


def fuse_conv_bn_weights(
    conv_w: Any,
    conv_b: Any,
    bn_rm: Any,
    bn_rv: Any,
    bn_eps: float,
    bn_w: Any,
    bn_b: Any,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Give weight and bias of the convolution that does what a convolution and a batch normalisation do.

    Parameters
    ----------
    conv_w, conv_b : Tensor
        The convolution's weight and bias, which may be None.
    bn_rm, bn_rv, bn_eps
        The normalisation's running mean and variance, and what is added to the latter.
    bn_w, bn_b : Tensor
        Its weight and bias, which may be None.
    transpose : bool
        Whether the convolution is a transposed one.
    """
    rest = [1] * (conv_w.dim() - 2)
    shape = [1, -1, *rest] if transpose else [-1, 1, *rest]
    return _fused(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, shape)


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """Give one convolution that does what a convolution and then a batch normalisation do in evaluation.

    Parameters
    ----------
    conv, bn : Module
        Both in evaluation mode; they stay as they are.
    transpose : bool
        Whether the convolution is a transposed one.

    Raises
    ------
    AssertionError
        In training mode, or without running statistics.

    Examples
    --------
    >>> import retrograd as torch
    >>> conv, bn = torch.nn.Conv2d(3, 4, 3).eval(), torch.nn.BatchNorm2d(4).eval()
    >>> torch.nn.utils.fuse_conv_bn_eval(conv, bn)
    Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1))
    """
    _check(conv, bn)
    made = copy.deepcopy(conv)
    made.weight, made.bias = fuse_conv_bn_weights(
        made.weight, made.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    return made


def fuse_linear_bn_weights(
    linear_w: Any, linear_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any
) -> tuple[Parameter, Parameter]:
    """Give weight and bias of the linear layer that does what a linear layer and a batch normalisation do.

    Parameters
    ----------
    linear_w, linear_b : Tensor
        The layer's weight and bias, which may be None.
    bn_rm, bn_rv, bn_eps
        The normalisation's running mean and variance, and what is added to the latter.
    bn_w, bn_b : Tensor
        Its weight and bias.
    """
    return _fused(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, [-1, 1])


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """Give one linear layer that does what a linear layer and then a batch normalisation do in evaluation.

    Parameters
    ----------
    linear, bn : Module
        Both in evaluation mode; they stay as they are.

    Raises
    ------
    AssertionError
        In training mode, without running statistics, or if the normalisation has neither one feature nor as many as
        the layer has outputs.

    Examples
    --------
    >>> import retrograd as torch
    >>> linear, bn = torch.nn.Linear(3, 4).eval(), torch.nn.BatchNorm1d(4).eval()
    >>> torch.nn.utils.fuse_linear_bn_eval(linear, bn)
    Linear(in_features=3, out_features=4, bias=True)
    """
    _check(linear, bn)
    if bn.num_features not in (1, linear.out_features):
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
            f"linear.out_features={linear.out_features} and bn.num_features={bn.num_features}"
        )
    made = copy.deepcopy(linear)
    made.weight, made.bias = fuse_linear_bn_weights(
        made.weight, made.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return made
