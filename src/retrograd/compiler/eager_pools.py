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


def _index(x: Any, y: Any, *, windows: Any) -> Any:
    """Give the places of the maxima, which are found again on the way: the loops that compare number them."""
    return REGISTRY["max_pool_index"](x, REGISTRY["max_pool"](x, windows=windows), windows=windows)


PATIENT = 256  # calls of a small array, after which NumPy has taken as long as compiling will


def _native(fn: Any, plain: Any) -> Native:
    return Native(fn, plain, few=PATIENT)


max_pool = _native(REGISTRY["max_pool"], kernels.max_pool)
max_pool_index = _native(_index, kernels.max_pool_index)
max_pool_gradient = _native(_gradient, _plain_gradient)
avg_pool = _native(REGISTRY["avg_pool"], kernels.avg_pool)
avg_pool_grad = _native(REGISTRY["avg_pool_grad"], kernels.avg_pool_grad)
pool_gather = _native(REGISTRY["pool_gather"], kernels.pool_gather)
pool_scatter = _native(REGISTRY["pool_scatter"], kernels.pool_scatter)
