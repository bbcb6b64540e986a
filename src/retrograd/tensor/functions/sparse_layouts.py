"""The ways into sparse tensors, whose room is loaded with the first of them."""

from __future__ import annotations

import inspect
from typing import Any

from ...core import BaseTensor
from ..dispatch import METHODS, function


def _entry(name: str, doc: str, home: str = "", method: bool = True, torch: bool = True, handler: str = "") -> None:
    def fn(*args: Any, **options: Any) -> Any:
        from .. import sparse

        found = sparse.HANDLERS[handler or name] if not home else getattr(getattr(sparse, home, sparse), name)
        return found(*args, **options)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    fn.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
            inspect.Parameter("options", inspect.Parameter.VAR_KEYWORD),
        ]
    )
    function(name, method=method, torch=torch, out=False)(fn)


for _name, _doc in {
    "sparse_coo_tensor": "Make a sparse tensor of indices, a column each, and values; see `torch.sparse`.",
    "sparse_csr_tensor": "Make a sparse matrix by rows: their starts, the columns, the values; see `torch.sparse`.",
    "sparse_csc_tensor": "Make a sparse matrix by columns: their starts, the rows, the values; see `torch.sparse`.",
    "sparse_compressed_tensor": "Make a sparse matrix in the compressed layout named; see `torch.sparse`.",
}.items():
    _entry(_name, _doc, home="sparse", method=False)
for _name, _doc in {
    "to_sparse": "Give the elements that are not zero as a sparse tensor.",
    "to_sparse_coo": "Give the elements that are not zero as a sparse tensor.",
    "to_sparse_csr": "Give a matrix as a sparse one, compressed by rows.",
    "to_sparse_csc": "Give a matrix as a sparse one, compressed by columns.",
    "sparse_mask": "Give the elements at the places where a sparse tensor has values.",
}.items():
    _entry(_name, _doc, torch=False)
for _name, _doc in {
    "smm": "Multiply a sparse and a dense matrix; the result is sparse.",
    "hspmm": "Multiply a sparse and a dense matrix; the result has one sparse dimension.",
    "sspaddmm": "Give beta * input + alpha * (mat1 @ mat2) for sparse input and mat1.",
}.items():
    _entry(_name, _doc, method=_name != "hspmm")


def _to_dense(self: Any, dtype: Any = None, *, masked_grad: bool | None = None) -> Any:
    """Give the tensor: it is dense already."""
    return self if dtype is None else self.to(dtype)


METHODS["to_dense"] = _to_dense


def _only_sparse(name: str, layout: str = "sparse coordinate tensor") -> Any:
    def method(self: Any) -> Any:
        raise RuntimeError(f"{name.strip('_')} expected {layout} layout but got Strided: make one by .to_sparse()")

    method.__name__, method.__doc__ = name, "Raise RuntimeError: the tensor is dense."
    return method


for _name in ("coalesce", "is_coalesced", "indices", "_indices", "values", "_values"):
    METHODS[_name] = _only_sparse(_name)
for _name in ("crow_indices", "col_indices", "ccol_indices", "row_indices"):
    METHODS[_name] = _only_sparse(_name, "sparse row or column compressed tensor")


def _nnz(self: BaseTensor) -> int:
    """Raise NotImplementedError: the tensor is dense."""
    raise NotImplementedError("Could not run 'aten::_nnz' with arguments from the 'CPU' backend: the tensor is dense")


METHODS["_nnz"] = _nnz


def _sparse_dim(self: BaseTensor) -> int:
    """Give how many dimensions are indexed: none."""
    return 0


def _dense_dim(self: BaseTensor) -> int:
    """Give how many dimensions are dense: all."""
    return int(self._a.ndim)


METHODS["sparse_dim"], METHODS["dense_dim"] = _sparse_dim, _dense_dim
