"""Linear and bilinear layers, the linear one that learns its input's size, and the one that does nothing."""

from __future__ import annotations

import math
from typing import Any

from ...core.mode import no_grad
from .. import _functions as T
from .. import functional as F
from .. import init
from ..init.fans import _calculate_fan_in_and_fan_out
from ..parameter import Parameter, UninitializedParameter
from .lazy import LazyModuleMixin
from .module import Module


class Identity(Module):
    """Give the input back, whatever the arguments of the constructor.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Identity(54)(torch.ones(2))
    tensor([1., 1.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        """Give the input back."""
        return input


class Linear(Module):
    """Affine map of the last dimension: y = x W^T + b.

    Shapes: (..., in_features) -> (..., out_features); weight (out_features, in_features), bias (out_features).
    Weight and bias start uniform in +-1 / sqrt(in_features), a sixth of He's variance.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Linear(3, 2)(torch.zeros(4, 3)).shape
    torch.Size([4, 2])
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(T.empty((out_features, in_features), device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(T.empty(out_features, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        # a = sqrt(5) makes the bound sqrt(6 / ((1 + 5) fan_in)) = 1 / sqrt(fan_in)
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = _calculate_fan_in_and_fan_out(self.weight)
            bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Any) -> Any:
        """Apply the map."""
        held = self._parameters
        try:
            return F.linear(input, held["weight"], held["bias"])
        except KeyError:  # a parametrised weight is an attribute of another kind
            return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Give the sizes."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"

    def _brief_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}"


class NonDynamicallyQuantizableLinear(Linear):
    """Linear, under the name that torch gives to attention's output layer."""


class Bilinear(Module):
    """Bilinear map: y_k = x1^T W_k x2 + b_k.

    Shapes: (..., in1_features), (..., in2_features) -> (..., out_features). Weight and bias start uniform in
    +-1 / sqrt(in1_features).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.Bilinear(2, 3, 4)(torch.ones(5, 2), torch.ones(5, 3)).shape
    torch.Size([5, 4])
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if in1_features <= 0:
            raise ValueError(f"in1_features must be > 0, but got {in1_features}")
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = Parameter(T.empty((out_features, in1_features, in2_features), device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(T.empty(out_features, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        bound = 1 / math.sqrt(self.weight.size(1))
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Any, input2: Any) -> Any:
        """Apply the map."""
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Give the sizes."""
        sizes = f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"


class LazyLinear(LazyModuleMixin, Linear):
    """`Linear` that takes ``in_features`` from the last dimension of its first input, and is a Linear from then on.

    Examples
    --------
    >>> import retrograd as torch
    >>> layer = torch.nn.LazyLinear(2)
    >>> layer(torch.zeros(4, 3)).shape
    torch.Size([4, 2])
    >>> layer
    Linear(in_features=3, out_features=2, bias=True)
    """

    cls_to_become = Linear

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(0, 0, False)
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_features = out_features
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, once they have their shapes."""
        if not self.has_uninitialized_params() and self.in_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input: Any) -> None:
        """Take ``in_features`` from the input, and draw weight and bias unless they were loaded."""
        if self.has_uninitialized_params():
            with no_grad():
                self.in_features = input.shape[-1]
                self.weight.materialize((self.out_features, self.in_features))
                if self.bias is not None:
                    self.bias.materialize((self.out_features,))
                self.reset_parameters()
        if self.in_features == 0:
            if input.shape[-1] != self.weight.shape[-1]:
                raise AssertionError(
                    f"The in_features inferred from input: {input.shape[-1]} is not equal to in_features from "
                    f"self.weight: {self.weight.shape[-1]}"
                )
            self.in_features = input.shape[-1]
