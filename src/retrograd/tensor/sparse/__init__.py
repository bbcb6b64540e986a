"""Sparse tensors: two ordinary tensors, of places and of values, and a size; every function of them is a composition."""

from __future__ import annotations

from . import elementwise, products, shapes
from .composite import HANDLERS, Sparse, call
from .compressed import (
    CompressedTensor,
    sparse_compressed_tensor,
    sparse_csc_tensor,
    sparse_csr_tensor,
    to_compressed,
)
from .coo import CooTensor, coo, from_raw, sparse_coo_tensor, sparse_mask, to_sparse
from .methods import attach

attach()

__all__ = [
    "HANDLERS",
    "CompressedTensor",
    "CooTensor",
    "Sparse",
    "call",
    "coo",
    "elementwise",
    "from_raw",
    "products",
    "shapes",
    "sparse_compressed_tensor",
    "sparse_coo_tensor",
    "sparse_csc_tensor",
    "sparse_csr_tensor",
    "sparse_mask",
    "to_compressed",
    "to_sparse",
]
