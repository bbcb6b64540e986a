"""How sparse tensors are written, to torch's character."""

from __future__ import annotations

from typing import Any

from ...core.dtypes import get_default_dtype
from ..printing import _silent_dtypes, array_text, with_suffixes
from .composite import Sparse


def _part(name: str, array: Any, indent: int) -> str:
    """Write one of the tensors that a sparse one is made of."""
    prefix = f"{name}=tensor("
    if array.size:
        return f"{prefix}{array_text(array, indent + len(prefix))})"
    return f"{prefix}[], size={array.shape})"


def sparse_repr(t: Sparse) -> str:
    """Write a sparse tensor: its parts, its size, how many values it has, and its layout."""
    indent = len("tensor(")
    parts = t.parts()
    body = f",\n{' ' * indent}".join(_part(name, part._a, indent) for name, part in parts)
    suffixes = [f"size={tuple(t.shape)}", f"nnz={t._nnz()}"]
    if str(t.dtype) not in _silent_dtypes(str(get_default_dtype())):
        suffixes.append(f"dtype={t.dtype}")
    suffixes.append(f"layout={t.layout}")
    node = t.grad_fn
    if node is not None:
        suffixes.append(f"grad_fn=<{node.name().rpartition('::')[2]}>")
    elif t.requires_grad:
        suffixes.append("requires_grad=True")
    return with_suffixes("tensor(" + body, suffixes, indent, own_line=t.is_sparse)


__all__ = ["sparse_repr"]
