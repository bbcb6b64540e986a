"""torch.utils._foreach_utils: lists of tensors in groups of one device and dtype."""

from __future__ import annotations

from typing import Any

from ..optim.shared import (
    _get_foreach_kernels_supported_devices,
    _get_fused_kernels_supported_devices,
    _group_tensors_by_device_and_dtype,
)


def _device_has_foreach_support(device: Any) -> bool:
    return True


def _has_foreach_support(tensors: Any, device: Any) -> bool:
    return True


__all__ = [
    "_device_has_foreach_support",
    "_get_foreach_kernels_supported_devices",
    "_get_fused_kernels_supported_devices",
    "_group_tensors_by_device_and_dtype",
    "_has_foreach_support",
]
