"""Padding layers: a constant, or the input's own values reflected, repeated or taken round in a circle."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .module import Module
from .utils import _ntuple


class _PadNd(Module):
    """The sizes of a padding: one number, or (before, after) for each dimension, the last one first."""

    _dims = 0
    _mode = "constant"
    value: Any = None

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = _ntuple(2 * self._dims)(padding)

    def forward(self, input: Any) -> Any:
        """Pad."""
        return F.pad(input, self.padding, self._mode, self.value)

    def extra_repr(self) -> str:
        """Give the sizes."""
        return f"{self.padding}"


class _ConstantPadNd(_PadNd):
    """The value of a constant padding."""

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        """Give the sizes and the value."""
        return f"padding={self.padding}, value={self.value}"


class _ZeroPadNd(_ConstantPadNd):
    """A constant padding with zeros."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """Give the sizes."""
        return f"{self.padding}"


class ConstantPad1d(_ConstantPadNd):
    """Surround (N, C, L) or (C, L) with a constant.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.ConstantPad1d(1, 3.5)(torch.ones(1, 3)).shape
    torch.Size([1, 5])
    """

    _dims = 1


class ConstantPad2d(_ConstantPadNd):
    """Surround (N, C, H, W) or (C, H, W) with a constant.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.ConstantPad2d(1, 3.5)(torch.ones(1, 3, 3)).shape
    torch.Size([1, 5, 5])
    """

    _dims = 2


class ConstantPad3d(_ConstantPadNd):
    """Surround (N, C, D, H, W) or (C, D, H, W) with a constant.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.ConstantPad3d(1, 3.5)(torch.ones(1, 3, 3, 3)).shape
    torch.Size([1, 5, 5, 5])
    """

    _dims = 3


class ZeroPad1d(_ZeroPadNd, ConstantPad1d):
    """Surround (N, C, L) or (C, L) with zeros.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.ZeroPad1d(1)(torch.ones(1, 3)).shape
    torch.Size([1, 5])
    """

    _dims = 1


class ZeroPad2d(_ZeroPadNd, ConstantPad2d):
    """Surround (N, C, H, W) or (C, H, W) with zeros.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.ZeroPad2d(1)(torch.ones(1, 3, 3)).shape
    torch.Size([1, 5, 5])
    """

    _dims = 2


class ZeroPad3d(_ZeroPadNd, ConstantPad3d):
    """Surround (N, C, D, H, W) or (C, D, H, W) with zeros.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.ZeroPad3d(1)(torch.ones(1, 3, 3, 3)).shape
    torch.Size([1, 5, 5, 5])
    """

    _dims = 3


class _ReflectionPadNd(_PadNd):
    """Pad with the values mirrored at the edge."""


class ReflectionPad1d(_ReflectionPadNd):
    """Surround (N, C, L) or (C, L) with its own values, reflected at the edge.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.ReflectionPad1d(1)(torch.ones(1, 3)).shape
    torch.Size([1, 5])
    """

    _dims = 1
    _mode = "reflect"


class ReflectionPad2d(_ReflectionPadNd):
    """Surround (N, C, H, W) or (C, H, W) with its own values, reflected at the edge.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.ReflectionPad2d(1)(torch.ones(1, 3, 3)).shape
    torch.Size([1, 5, 5])
    """

    _dims = 2
    _mode = "reflect"


class ReflectionPad3d(_ReflectionPadNd):
    """Surround (N, C, D, H, W) or (C, D, H, W) with its own values, reflected at the edge.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.ReflectionPad3d(1)(torch.ones(1, 3, 3, 3)).shape
    torch.Size([1, 5, 5, 5])
    """

    _dims = 3
    _mode = "reflect"


class _ReplicationPadNd(_PadNd):
    """Pad with the value at the edge."""


class ReplicationPad1d(_ReplicationPadNd):
    """Surround (N, C, L) or (C, L) with the values at its edge.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.ReplicationPad1d(1)(torch.ones(1, 3)).shape
    torch.Size([1, 5])
    """

    _dims = 1
    _mode = "replicate"


class ReplicationPad2d(_ReplicationPadNd):
    """Surround (N, C, H, W) or (C, H, W) with the values at its edge.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.ReplicationPad2d(1)(torch.ones(1, 3, 3)).shape
    torch.Size([1, 5, 5])
    """

    _dims = 2
    _mode = "replicate"


class ReplicationPad3d(_ReplicationPadNd):
    """Surround (N, C, D, H, W) or (C, D, H, W) with the values at its edge.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.ReplicationPad3d(1)(torch.ones(1, 3, 3, 3)).shape
    torch.Size([1, 5, 5, 5])
    """

    _dims = 3
    _mode = "replicate"


class _CircularPadNd(_PadNd):
    """Pad with the values at the opposite edge."""


class CircularPad1d(_CircularPadNd):
    """Surround (N, C, L) or (C, L) with its own values, taken round in a circle.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.CircularPad1d(1)(torch.ones(1, 3)).shape
    torch.Size([1, 5])
    """

    _dims = 1
    _mode = "circular"


class CircularPad2d(_CircularPadNd):
    """Surround (N, C, H, W) or (C, H, W) with its own values, taken round in a circle.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.CircularPad2d(1)(torch.ones(1, 3, 3)).shape
    torch.Size([1, 5, 5])
    """

    _dims = 2
    _mode = "circular"


class CircularPad3d(_CircularPadNd):
    """Surround (N, C, D, H, W) or (C, D, H, W) with its own values, taken round in a circle.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.CircularPad3d(1)(torch.ones(1, 3, 3, 3)).shape
    torch.Size([1, 5, 5, 5])
    """

    _dims = 3
    _mode = "circular"
