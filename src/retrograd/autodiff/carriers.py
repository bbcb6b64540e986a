"""What a walk carries, arrays or Tensors: how saved values are read, and a result is given its variable's type."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import FREED, MODE, BaseTensor, MetaArray, Node, describe, modified, tensor_class, wrap
from ..core.kept import freed
from ..core.rows import SparseArray
from ..ops.elementwise import cast, conj, real_part
from ..ops.shape import sum_to

_ndarray = np.ndarray


class Arrays:
    """The walk on raw arrays: fast, and adding in place into arrays that it made itself."""

    as_tensors = False

    @staticmethod
    def values(node: Node) -> tuple[Any, Any]:
        """Give what a node saved, checked to be as it was."""
        saved = node.saved
        if saved is FREED:
            raise freed(node)
        xs: Any = ()
        if saved:
            xs = []
            for i, entry in enumerate(saved):
                if entry.__class__ is tuple:
                    if entry[1].version != entry[2]:
                        raise modified(node, entry, f"input {i}")
                    xs.append(entry[0])
                else:
                    xs.append(entry)
        out = node.out
        if out is not None:
            if out[1].version != out[2]:
                raise modified(node, out, "output 0")
            out = out[0]
        return xs, out

    @staticmethod
    def fit(r: Any, want: Node, node: Node) -> Any:
        """Give a rule's result the array form, shape and dtype of the variable."""
        if r.__class__ is not _ndarray:
            if r.__class__ is SparseArray:
                return r
            if r.__class__ is not MetaArray:
                r = np.asarray(r)
        if r.dtype is not want.dtype and r.dtype != want.dtype:
            r = r.real.astype(want.dtype) if r.dtype.kind == "c" and want.dtype.kind != "c" else r.astype(want.dtype)
        if r.shape != want.shape:
            if node.op is None or not node.op.broadcasts:
                raise _misfit(node, r, want)
            r = sum_to(r, shape=want.shape)
        return r

    @staticmethod
    def conjugate(v: Any) -> Any:
        """Give the complex conjugate."""
        complex_array = isinstance(v, _ndarray) and v.dtype.kind == "c"  # an index or a mask is saved too
        if complex_array:
            return np.conjugate(v, out=np.empty_like(v))  # an array of no dimensions stays one
        return v.conjugate() if isinstance(v, (complex, np.complexfloating)) else v

    zeros = staticmethod(lambda want: np.zeros(want.shape, want.dtype))


class Tensors:
    """The walk on Tensors: every step is recorded, for derivatives of derivatives and for traces."""

    as_tensors = True

    @staticmethod
    def values(node: Node) -> tuple[Any, Any]:
        """Give what a node saved as Tensors with their history."""
        saved = node.saved
        if saved is FREED:
            raise freed(node)
        xs, trace = [], MODE.trace
        for i, entry in enumerate(saved):
            if entry.__class__ is tuple:
                a, storage, version = entry
                if storage.version != version:
                    raise modified(node, entry, f"input {i}")
                n = node.inputs[i]
                xs.append(wrap(a, storage, n))
            else:
                xs.append(entry if trace is None else trace.remembered(entry))
        out = node.out
        if out is not None:
            a, storage, version = out
            if storage.version != version:
                raise modified(node, out, "output 0")
            out = wrap(a, storage, node)
        return xs, out

    @staticmethod
    def fit(r: Any, want: Node, node: Node) -> Any:
        """Give a rule's result the shape and dtype of the variable."""
        if not isinstance(r, BaseTensor):
            r = wrap(np.asarray(r))
        a = r._a
        if a.dtype != want.dtype:
            r = cast(real_part(r) if a.dtype.kind == "c" and want.dtype.kind != "c" else r, dtype=want.dtype)
        if r._a.shape != want.shape:
            if node.op is None or not node.op.broadcasts:
                raise _misfit(node, r._a, want)
            r = sum_to(r, shape=want.shape)
        return r

    @staticmethod
    def conjugate(v: Any) -> Any:
        """Give the complex conjugate."""
        if isinstance(v, BaseTensor):  # an index or a mask is saved too, and a mask's conjugate would be a number
            return conj(v) if v._a.dtype.kind == "c" else v
        return v.conjugate() if isinstance(v, complex) else v

    zeros = staticmethod(lambda want: wrap(np.zeros(want.shape, want.dtype)))


def as_tensor(g: Any) -> Any:
    """Give a gradient of a walk on arrays as a Tensor."""
    return wrap(g) if isinstance(g, _ndarray) else tensor_class()._from_raw(g)


def as_array(t: Any) -> Any:
    """Give a gradient as a walk on arrays carries it."""
    return t.raw() if t._composite else t._a


def _misfit(node: Node, r: Any, want: Node) -> RuntimeError:
    return RuntimeError(
        f"{node.name()} returned an invalid gradient: got shape {list(r.shape)} but expected shape compatible with {list(want.shape)} "
        f"(the operation was called at {describe(node.place)})"
    )
