"""Compressed tensors, by rows or by columns: where each row's values start, the other index of each, and the values."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import apply, check_device, wrap
from ...ops import index as ix
from ..creation import as_tensor
from ..sizes import sparse_bsc, sparse_bsr, sparse_coo, sparse_csc, sparse_csr
from .composite import Sparse, _new, as_size, named
from .coo import CooTensor, coo, flat, to_sparse


class CompressedTensor(Sparse):
    """A sparse matrix by rows (csr) or by columns (csc): ``_c`` the starts, ``_p`` the other indices, ``_v`` the values."""

    __slots__ = ("_c", "_l", "_p")
    _c: Any
    _l: Any
    _p: Any
    is_sparse = False

    @property
    def _backend(self) -> str:  # type: ignore[override]
        return "SparseCsr"

    @property
    def is_sparse_csr(self) -> bool:  # type: ignore[override]
        """Whether it is compressed by rows."""
        return self._l is sparse_csr

    @property
    def layout(self) -> Any:
        """The memory layout: sparse_csr or sparse_csc."""
        return self._l

    def _with(self, values: Any) -> CompressedTensor:
        return compressed(self._c, self._p, values, self._size, self._l)

    def parts(self) -> list[tuple[str, Any]]:
        """Give the tensors that it is made of, by name."""
        names = ("crow_indices", "col_indices") if self._l is sparse_csr else ("ccol_indices", "row_indices")
        return [(names[0], self._c), (names[1], self._p), ("values", self._v)]

    def _nnz(self) -> int:
        return int(self._p._a.shape[-1])

    def sparse_dim(self) -> int:
        """Give the number of compressed dimensions: two."""
        return 2

    def dense_dim(self) -> int:
        """Give how many dimensions each value has."""
        return self.ndim - 2

    def _part(self, name: str) -> Any:
        for known, part in self.parts():
            if known == name:
                return part
        raise RuntimeError(
            f"{name} expected sparse {'row' if 'row' in name[:4] else 'column'} compressed tensor layout but got {self._l}"
        )

    def crow_indices(self) -> Any:
        """Give where each row's values start."""
        return self._part("crow_indices")

    def col_indices(self) -> Any:
        """Give each value's column."""
        return self._part("col_indices")

    def ccol_indices(self) -> Any:
        """Give where each column's values start."""
        return self._part("ccol_indices")

    def row_indices(self) -> Any:
        """Give each value's row."""
        return self._part("row_indices")

    def values(self) -> Any:
        """Give the values."""
        return named(self._v.view_as(self._v), "ValuesBackward0")

    def coalesce(self) -> Any:
        """Raise RuntimeError: only coordinate tensors are coalesced or not."""
        raise RuntimeError(f"coalesce expected sparse coordinate tensor layout but got {self._l}")

    def indices(self) -> Any:
        """Raise RuntimeError: only coordinate tensors have indices of all dimensions."""
        raise RuntimeError(f"indices expected sparse coordinate tensor layout but got {self._l}: use crow_indices()")

    _indices = indices

    def is_coalesced(self) -> bool:
        """Raise RuntimeError: only coordinate tensors are coalesced or not."""
        raise RuntimeError(f"is_coalesced expected sparse coordinate tensor layout but got {self._l}")

    def rows(self) -> Any:
        """Give the index that is compressed, one for each value."""
        starts = self._c._a
        return np.repeat(np.arange(len(starts) - 1), np.diff(starts))

    def to_coo(self) -> CooTensor:
        """Give the tensor by coordinates."""
        pair = (self.rows(), self._p._a) if self._l is sparse_csr else (self._p._a, self.rows())
        where = np.stack(pair).astype(np.int64, copy=False)
        return coo(wrap(where), named(self._v.view_as(self._v), "ToSparseBackward0"), self._size, self._l is sparse_csr)

    def to_dense(self, dtype: Any = None, *, masked_grad: bool | None = None) -> Any:
        """Give all the elements."""
        return self.to_coo().to_dense(dtype)

    def to_sparse(self, sparse_dim: Any = None, *, layout: Any = None, **options: Any) -> Any:
        """Give the tensor by coordinates, or in another sparse layout."""
        if sparse_dim is not None and not isinstance(sparse_dim, int):
            layout = sparse_dim
        if layout in (None, sparse_coo):
            return self.to_coo()
        return to_compressed(self, layout)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuild, (self._c, self._p, self._v.detach(), tuple(self._size), self._l, self.requires_grad)


def _rebuild(starts: Any, places: Any, values: Any, size: Any, layout: Any, requires_grad: bool) -> Any:
    return compressed(starts, places, values, size, layout).requires_grad_(requires_grad)


def compressed(starts: Any, places: Any, values: Any, size: Any, layout: Any) -> CompressedTensor:
    """Make a compressed tensor of its parts, unchecked."""
    t: CompressedTensor = _new(CompressedTensor)
    t._c, t._p, t._v, t._size, t._l = starts, places, values, as_size(size), layout
    return t


def to_compressed(t: Any, layout: Any) -> Any:
    """Give a sparse or dense matrix in a compressed layout.

    Raises RuntimeError for what is no matrix, NotImplementedError for layouts of blocks.
    """
    if layout in (sparse_bsr, sparse_bsc):
        raise NotImplementedError(f"{layout}: layouts of blocks are not here; use sparse_csr or sparse_coo")
    if isinstance(t, CompressedTensor):
        if t._l is layout:
            return t
        t = t.to_coo()
    if not isinstance(t, CooTensor):
        t = to_sparse(t, 2) if t._a.ndim > 2 else to_sparse(t)
    if t.sparse_dim() != 2:
        raise RuntimeError(
            f"Only tensors with two sparse dimensions can be converted to the {layout} layout, got {t.sparse_dim()} "
            "(batches of matrices are not here)"
        )
    t = t.coalesce()
    where, values = t._i._a, t._v
    if layout is sparse_csc:
        order = np.argsort(flat(where[::-1], t._size[1::-1]), kind="stable")
        where, values = where[::-1][:, order], apply(ix.take_axis, values, wrap(order), axis=0)
        label = "ToSparseCscBackward0"
    else:
        values, label = values.view_as(values), "ToSparseCsrBackward0"
    n = t._size[0 if layout is sparse_csr else 1]
    starts = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(where[0], minlength=n), out=starts[1:])
    return compressed(wrap(starts), wrap(np.ascontiguousarray(where[1])), named(values, label), t._size, layout)


def _tensor(
    layout: Any, starts: Any, places: Any, values: Any, size: Any, dtype: Any, device: Any, requires_grad: bool
) -> Any:
    check_device(device)
    c, p, v = as_tensor(starts), as_tensor(places), as_tensor(values, dtype=dtype)
    for part in (c, p):
        if part._a.dtype not in (np.int64, np.int32):
            raise RuntimeError(f"compressed indices must be of dtype int32 or int64, not {part.dtype}")
        if part._a.ndim != 1:
            raise NotImplementedError("batches of compressed matrices are not here: give one-dimensional indices")
    n = len(c._a) - 1
    if size is None:
        other = int(p._a.max()) + 1 if p._a.size else 0
        size = ((n, other) if layout is sparse_csr else (other, n)) + tuple(v.shape[1:])
    size = as_size(size)
    lengths = size if layout is sparse_csr else (size[1], size[0])
    if lengths[0] != n or c._a[0] != 0 or c._a[-1] != len(p._a) or len(p._a) != v._a.shape[0]:
        raise RuntimeError(
            f"compressed indices of {n} {'rows' if layout is sparse_csr else 'columns'} and {len(p._a)} values (the last "
            f"start is {int(c._a[-1])}) do not fit a size of {list(size)} and {v._a.shape[0]} values"
        )
    if (np.diff(c._a) < 0).any() or (p._a.size and (p._a.min() < 0 or p._a.max() >= lengths[1])):
        raise RuntimeError("compressed indices must not fall, and plain indices must lie inside the size")
    if v.requires_grad and not requires_grad:
        v = named(v.view_as(v), "SparseCompressedTensorBackward0")
    else:
        v = v.detach()
    return compressed(c, p, v, size, layout).requires_grad_(requires_grad or v.requires_grad)


def sparse_csr_tensor(
    crow_indices: Any,
    col_indices: Any,
    values: Any,
    size: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> Any:
    """Make a sparse matrix by rows: where each row's values start, their columns, and the values.

    Shapes: crow_indices (rows + 1,), col_indices (count,), values (count, ...). RuntimeError for parts that do not fit.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.sparse_csr_tensor([0, 1, 2], [1, 0], [3.0, 4.0]).to_dense()
    tensor([[0., 3.],
            [4., 0.]])
    """
    return _tensor(sparse_csr, crow_indices, col_indices, values, size, dtype, device, requires_grad)


def sparse_csc_tensor(
    ccol_indices: Any,
    row_indices: Any,
    values: Any,
    size: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> Any:
    """Make a sparse matrix by columns: where each column's values start, their rows, and the values.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.sparse_csc_tensor([0, 1, 2], [1, 0], [3.0, 4.0]).to_dense()
    tensor([[0., 4.],
            [3., 0.]])
    """
    return _tensor(sparse_csc, ccol_indices, row_indices, values, size, dtype, device, requires_grad)


def sparse_compressed_tensor(
    compressed_indices: Any,
    plain_indices: Any,
    values: Any,
    size: Any = None,
    *,
    layout: Any = None,
    dtype: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> Any:
    """Make a sparse matrix in the compressed layout named: sparse_csr or sparse_csc."""
    if layout not in (sparse_csr, sparse_csc):
        raise RuntimeError(f"expected compressed sparse tensor layout (sparse_csr or sparse_csc) but got {layout}")
    return _tensor(layout, compressed_indices, plain_indices, values, size, dtype, device, requires_grad)


__all__ = [
    "CompressedTensor",
    "compressed",
    "sparse_compressed_tensor",
    "sparse_csc_tensor",
    "sparse_csr_tensor",
    "to_compressed",
]
