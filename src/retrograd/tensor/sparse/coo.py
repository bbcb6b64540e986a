"""Coordinate tensors: a column of indices for each value, and the ways there and back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import BaseTensor, apply, check_device, wrap
from ...core.rows import SparseArray
from ...ops import index as ix
from ..creation import as_tensor
from ..sizes import Size, sparse_coo
from .composite import Sparse, _new, as_size, handles, named, numpy_dtype


class CooTensor(Sparse):
    """A sparse tensor in coordinate format: ``_i`` (sparse dimensions x count) and ``_v`` (count x dense dimensions)."""

    __slots__ = ("_coalesced", "_i")
    _coalesced: bool
    _i: Any
    is_sparse = True
    is_sparse_csr = False

    def _with(self, values: Any) -> CooTensor:
        return coo(self._i, values, self._size, self._coalesced)

    @property
    def layout(self) -> Any:
        """The memory layout: sparse_coo."""
        return sparse_coo

    def sparse_dim(self) -> int:
        """Give how many of the first dimensions are indexed."""
        return int(self._i._a.shape[0])

    def dense_dim(self) -> int:
        """Give how many dimensions each value has."""
        return self.ndim - int(self._i._a.shape[0])

    def _nnz(self) -> int:
        return int(self._i._a.shape[1])

    def is_coalesced(self) -> bool:
        """Tell whether the indices are sorted and no two are equal."""
        return bool(self._coalesced)

    def _coalesced_(self, coalesced: bool) -> CooTensor:
        self._coalesced = coalesced
        return self

    def parts(self) -> list[tuple[str, Any]]:
        """Give the tensors that it is made of, by name."""
        return [("indices", self._i), ("values", self._v)]

    def _indices(self) -> Any:
        return self._i

    def _values(self) -> Any:
        return self._v.detach()

    def indices(self) -> Any:
        """Give the indices of a coalesced tensor, a column each."""
        self._need_coalesced("indices")
        return self._i

    def values(self) -> Any:
        """Give the values of a coalesced tensor."""
        self._need_coalesced("values")
        return named(self._v.view_as(self._v), "ValuesBackward0")

    def _need_coalesced(self, what: str) -> None:
        if not self._coalesced:
            raise RuntimeError(
                f"Cannot get {what} on an uncoalesced tensor, please call .coalesce() first (or _{what}(), which gives "
                "them as they are)"
            )

    def coalesce(self) -> CooTensor:
        """Sort the indices, and add the values up that have one index."""
        if self._coalesced:
            return self
        count = self._nnz()
        if count < 2:
            return coo(self._i, named(self._v.view_as(self._v), "CoalesceBackward0"), self._size, True)
        places, group, firsts, order = groups(flat(self._i._a, self._size))
        if order is None and len(firsts) == count:
            values, where = self._v.view_as(self._v), self._i
        else:
            index = np.empty(count, np.int64)
            index[slice(None) if order is None else order] = group
            shape = (len(firsts), *self._v._a.shape[1:])
            values = apply(ix.add_axis, self._v, wrap(index), axis=0, shape=shape)
            where = wrap(unflat(places[firsts], self._size[: self.sparse_dim()]))
        return coo(where, named(values, "CoalesceBackward0"), self._size, True)

    def to_dense(self, dtype: Any = None, *, masked_grad: bool | None = None) -> Any:
        """Give all the elements; RuntimeError for a dtype."""
        if dtype is not None:
            raise RuntimeError("dtype argument is not supported by sparse_to_dense: convert by .to(dtype) first")
        k = self.sparse_dim()
        shape = (math.prod(self._size[:k]), *self._v._a.shape[1:])
        flat_sum = apply(ix.add_axis, self._v, wrap(flat(self._i._a, self._size)), axis=0, shape=shape)
        return named(flat_sum.reshape(self._size), "ToDenseBackward0")

    def to_sparse(self, sparse_dim: Any = None, *, layout: Any = None, **options: Any) -> Any:
        """Give itself, or the tensor in another sparse layout."""
        if isinstance(sparse_dim, type(sparse_coo)):
            layout = sparse_dim
        if layout in (None, sparse_coo):
            return self
        from .compressed import to_compressed

        return to_compressed(self, layout)

    def raw(self) -> SparseArray:
        """Give what a walk on arrays carries."""
        return SparseArray(self._i._a, self._v._a, tuple(self._size))

    def crow_indices(self) -> Any:
        """Raise RuntimeError: the tensor is not compressed."""
        raise RuntimeError(
            "crow_indices expected sparse row compressed tensor layout but got SparseCoo: use to_sparse_csr()"
        )

    def ccol_indices(self) -> Any:
        """Raise RuntimeError: the tensor is not compressed."""
        raise RuntimeError("ccol_indices expected sparse column compressed tensor layout but got SparseCoo")

    col_indices, row_indices = crow_indices, ccol_indices

    def zero_(self) -> Any:
        """Forget all values, in place."""
        return self._take(empty(self._size, self.sparse_dim(), self._v._a.dtype))

    def sparse_resize_(self, size: Any, sparse_dim: int, dense_dim: int) -> Any:
        """Give the tensor another size, in place."""
        if sparse_dim != self.sparse_dim() or dense_dim != self.dense_dim():
            raise RuntimeError(
                "changing the number of sparse or dense dimensions of a non-empty tensor is not supported"
            )
        self._size = as_size(size)
        return self

    def sparse_resize_and_clear_(self, size: Any, sparse_dim: int, dense_dim: int) -> Any:
        """Give the tensor another size and no values, in place."""
        return self._take(empty(as_size(size), sparse_dim, self._v._a.dtype))

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuild, (self._i, self._v.detach(), tuple(self._size), self._coalesced, self.requires_grad)


def _rebuild(indices: Any, values: Any, size: Any, coalesced: bool, requires_grad: bool) -> CooTensor:
    return coo(indices, values, as_size(size), coalesced).requires_grad_(requires_grad)  # type: ignore[no-any-return]


def coo(indices: Any, values: Any, size: Any, coalesced: bool = False) -> CooTensor:
    """Make a coordinate tensor of its parts, unchecked."""
    t: CooTensor = _new(CooTensor)
    t._i, t._v, t._size = indices, values, size if isinstance(size, Size) else as_size(size)
    t._coalesced = coalesced or indices._a.shape[1] < 2
    return t


def empty(size: Any, sparse_dim: int, dtype: Any) -> CooTensor:
    """Make a coordinate tensor without values."""
    values = np.zeros((0, *size[sparse_dim:]), dtype)
    return coo(wrap(np.zeros((sparse_dim, 0), np.int64)), wrap(values), size, True)


def flat(indices: Any, size: Any) -> Any:
    """Give each column's place among the elements of the sparse dimensions."""
    places = np.zeros(indices.shape[1], np.int64)
    for row, n in zip(indices, size, strict=False):
        places = places * n + row
    return places


def unflat(places: Any, size: Any) -> Any:
    """Give the columns of indices of places."""
    if not size:
        return np.zeros((0, len(places)), np.int64)
    return np.stack(np.unravel_index(places, size)).astype(np.int64, copy=False)


def groups(places: Any) -> tuple[Any, Any, Any, Any]:
    """Sort places; give them, each one's group, where the groups start, and the order (None if they were sorted)."""
    order = None
    if np.any(places[1:] < places[:-1]):
        order = np.argsort(places, kind="stable")
        places = places[order]
    first = np.ones(len(places), np.bool_)
    np.not_equal(places[1:], places[:-1], out=first[1:])
    return places, np.cumsum(first) - 1, np.flatnonzero(first), order


# -- making them ---------------------------------------------------------------------------------------------------------
def sparse_coo_tensor(
    indices: Any = None,
    values: Any = None,
    size: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
    is_coalesced: bool | None = None,
) -> Any:
    """Make a sparse tensor: values at given indices, a column each; those at one place add up.

    Shapes: indices (sparse dimensions, count), values (count, *dense dimensions); size by default the smallest that holds
    the indices. A gradient reaches ``values``.

    Raises RuntimeError for indices that are no matrix, are negative or lie outside ``size``, and for parts that do not fit.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0], (2, 3)).to_dense()
    tensor([[0., 0., 3.],
            [4., 0., 0.]])
    """
    check_device(device)
    if values is None:
        shape = as_size(size if indices is None else indices)
        made = empty(shape, len(shape), numpy_dtype(dtype) or as_tensor(0.0)._a.dtype)
        return made.requires_grad_(requires_grad)
    where = _index_tensor(indices)
    held = as_tensor(values, dtype=dtype)
    if held._a.ndim == 0:
        held = held.reshape(1)
    k, count = where._a.shape
    if held._a.shape[0] != count:
        raise RuntimeError(
            f"indices and values must have same nnz, but got nnz from indices: {count}, nnz from values: {held._a.shape[0]}"
        )
    if size is None:
        if not count:
            lengths: tuple[int, ...] = (0,) * k
        else:
            if (where._a < 0).any():
                raise RuntimeError(f"found negative index {int(where._a.min())} (sparse_coo_tensor)")
            lengths = tuple(int(n) + 1 for n in where._a.max(1))
        shape = as_size((*lengths, *held._a.shape[1:]))
    else:
        shape = as_size(size)
    _check(where._a, held._a, shape)
    if is_coalesced and len(groups(flat(where._a, shape))[2]) != count:
        raise RuntimeError("cannot set is_coalesced to true if indices correspond to uncoalesced COO tensor")
    if held.requires_grad and not requires_grad:
        held = named(held.view_as(held), "SparseCooTensorWithDimsAndTensorsBackward0")
    else:
        held = held.detach()
    return coo(where, held, shape, bool(is_coalesced)).requires_grad_(requires_grad or held.requires_grad)


def _index_tensor(indices: Any) -> Any:
    where = as_tensor(indices)
    if where._a.ndim != 2:
        if where._a.size == 0:
            where = where.reshape(max(where._a.shape[0] if where._a.ndim else 0, 0), 0)
        else:
            raise RuntimeError(
                f"indices must be sparse_dim x nnz, but got: {list(where._a.shape)} (sparse_coo_tensor: a column for each value)"
            )
    if where._a.dtype.kind not in "iu" and where._a.size:
        raise RuntimeError(f"indices must be an int64 tensor, not {where.dtype} (sparse_coo_tensor)")
    return where.detach() if where._a.dtype == np.int64 else wrap(where._a.astype(np.int64))


def _check(where: Any, held: Any, size: Any) -> None:
    """Check that indices and values fit a size."""
    k = where.shape[0]
    if len(size) != k + held.ndim - 1:
        raise RuntimeError(
            f"number of dimensions must be sparse_dim ({k}) + dense_dim ({held.ndim - 1}), but got {len(size)}"
        )
    if tuple(size[k:]) != held.shape[1:]:
        raise RuntimeError(
            f"values has incorrect size, expected {[held.shape[0], *size[k:]]}, got {list(held.shape)} (sparse_coo_tensor)"
        )
    if where.shape[1]:
        low, high = where.min(1), where.max(1)
        for d in range(k):
            if low[d] < 0:
                raise RuntimeError(f"found negative index {int(low[d])} for dim {d}")
            if high[d] >= size[d]:
                raise RuntimeError(
                    f"size is inconsistent with indices: for dim {d}, size is {size[d]} but found index {int(high[d])}"
                )


@handles("to_sparse", "to_sparse_coo")
def to_sparse(input: Any, sparse_dim: Any = None, *, layout: Any = None, **options: Any) -> Any:
    """Give the elements that are not zero, by their indices; only the first ``sparse_dim`` dimensions are indexed.

    With ``layout`` another sparse layout. Raises RuntimeError for a ``sparse_dim`` that the tensor has not.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.eye(2).to_sparse().indices()
    tensor([[0, 1],
            [0, 1]])
    """
    if isinstance(input, Sparse):
        return input.to_sparse(sparse_dim, layout=layout, **options)
    if sparse_dim is not None and not isinstance(sparse_dim, int):
        layout, sparse_dim = sparse_dim, None
    if layout is not None and layout is not sparse_coo:
        from .compressed import to_compressed

        return to_compressed(to_sparse(input), layout)
    a = input._a
    k = a.ndim if sparse_dim is None else sparse_dim
    if not (0 < k <= a.ndim or k == a.ndim == 0):
        raise RuntimeError(f"sparse_dim must be in range [1, {a.ndim}], got {k} (to_sparse)")
    there = a != 0
    if k < a.ndim:
        there = there.any(tuple(range(k, a.ndim)))
    where = np.stack(np.nonzero(there)) if k else np.zeros((0, int(bool(a))), np.int64)
    return gathered(input, where, k, "ToSparseBackward0")


def gathered(dense: Any, where: Any, k: int, label: str, coalesced: bool = True) -> CooTensor:
    """Take a dense tensor's elements at columns of indices."""
    shape = dense._a.shape
    rows = dense.reshape(math.prod(shape[:k]), *shape[k:])
    values = apply(ix.take_axis, rows, wrap(flat(where, shape)), axis=0)
    return coo(wrap(where), named(values, label), shape, coalesced)


@handles("sparse_mask")
def sparse_mask(input: Any, mask: Any) -> Any:
    """Give the elements of a tensor at the places where a sparse one has values.

    Raises RuntimeError for a mask of another size or a dense one.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.ones(2, 2).sparse_mask(torch.eye(2).to_sparse()).values()
    tensor([1., 1.])
    """
    if not isinstance(mask, Sparse):
        raise NotImplementedError("Could not run 'aten::sparse_mask' with a dense mask: make it sparse by .to_sparse()")
    if tuple(input.shape) != tuple(mask.shape):
        raise RuntimeError(
            f"sparse_mask(): operands have incompatible sizes; self has size {list(input.shape)} but mask has size "
            f"{list(mask.shape)}"
        )
    if isinstance(input, Sparse):
        input = input.to_dense()
    if not isinstance(mask, CooTensor):
        return mask._with(sparse_mask(input, mask.to_sparse())._v)
    return gathered(input, mask._i._a, mask.sparse_dim(), "SparseMaskBackward0", mask._coalesced)


def from_raw(raw: SparseArray) -> CooTensor:
    """Make the tensor of what a walk on arrays carried."""
    return coo(wrap(raw.places), wrap(raw.values), raw.shape, False)


def is_sparse(x: Any) -> bool:
    """Tell whether an argument is a sparse tensor."""
    return isinstance(x, BaseTensor) and isinstance(x, Sparse)


__all__ = ["CooTensor", "coo", "empty", "flat", "from_raw", "groups", "sparse_coo_tensor", "sparse_mask"]
