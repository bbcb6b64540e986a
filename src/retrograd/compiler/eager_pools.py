"""Pools of large arrays in eager mode as kernels: what ``ops.pool`` asks for by name (see ``core.executors``)."""

from __future__ import annotations

from typing import Any

from ..core import REGISTRY
from ..ops import pool_kernels as kernels
from .eager import Native


def _gradient(g: Any, x: Any, *, windows: Any) -> Any:
    """Give the gradient of ``max_pool`` in its input, in its ops: their names are the same for arrays and for Tensors."""
    out = REGISTRY["max_pool"](x, windows=windows)
    index = REGISTRY["max_pool_index"](x, out, windows=windows)
    return REGISTRY["pool_scatter"](g, index, size=tuple(w.size for w in windows))


def _plain_gradient(g: Any, x: Any, *, windows: Any) -> Any:
    index = kernels.max_pool_index(x, kernels.max_pool(x, windows=windows), windows=windows)
    return kernels.pool_scatter(g, index, size=tuple(w.size for w in windows))


max_pool = Native(REGISTRY["max_pool"], kernels.max_pool)
max_pool_gradient = Native(_gradient, _plain_gradient)
avg_pool = Native(REGISTRY["avg_pool"], kernels.avg_pool)
avg_pool_grad = Native(REGISTRY["avg_pool_grad"], kernels.avg_pool_grad)
pool_gather = Native(REGISTRY["pool_gather"], kernels.pool_gather)
pool_scatter = Native(REGISTRY["pool_scatter"], kernels.pool_scatter)
