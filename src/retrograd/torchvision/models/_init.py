"""What several models do to their layers once they stand: initial weights by kind of layer, and rounded channel counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import retrograd as torch

nn = torch.nn
NORMS = (nn.BatchNorm2d, nn.GroupNorm)


def fill(module: Any, conv: Callable[[Any], Any], linear: Callable[[Any], Any] | None = None) -> None:
    """Initialise every layer below a module, in the modules' order.

    ``conv`` draws a convolution's weight, ``linear`` a linear layer's (which stays as it is for None); their biases become
    zero, and norms one and zero.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            conv(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, NORMS):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Linear) and linear is not None:
            linear(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def fan_out(weight: Any) -> Any:
    """He's normal initialisation for the backward pass."""
    return nn.init.kaiming_normal_(weight, mode="fan_out")


def fan_out_relu(weight: Any) -> Any:
    """He's normal initialisation for the backward pass through rectifiers."""
    return nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")


def small(weight: Any) -> Any:
    """Normal, with a standard deviation of 0.01."""
    return nn.init.normal_(weight, 0, 0.01)


def divisible(value: float, divisor: int, least: int | None = None) -> int:
    """Round a number of channels to a multiple of ``divisor``, but not down by more than a tenth.

    Examples
    --------
    >>> divisible(32 * 0.35, 8), divisible(32 * 1.2, 8)
    (16, 40)
    """
    rounded = max(least or divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded
