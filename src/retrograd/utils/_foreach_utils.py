"""torch.utils._foreach_utils: lists of tensors in groups of one device and dtype."""

from __future__ import annotations

from typing import Any


def _get_foreach_kernels_supported_devices() -> list[str]:
    return ["cpu"]


def _get_fused_kernels_supported_devices() -> list[str]:
    return ["cpu"]


def _group_tensors_by_device_and_dtype(tensorlistlist: Any, with_indices: bool = False) -> dict[Any, Any]:
    """Give for each device and dtype (of the first list) the lists' tensors there, and their places if asked for."""
    groups: dict[Any, Any] = {}
    for place, first in enumerate(tensorlistlist[0]):
        key = (first.device, first.dtype)
        lists, places = groups.setdefault(key, ([[] for _ in tensorlistlist], []))
        for held, given in zip(lists, tensorlistlist, strict=True):
            if given:
                held.append(given[place])
        if with_indices:
            places.append(place)
    return groups


def _device_has_foreach_support(device: Any) -> bool:
    return True


def _has_foreach_support(tensors: Any, device: Any) -> bool:
    return True
