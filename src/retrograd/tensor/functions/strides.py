"""Views by strides, views in place, and the copying forms of views."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import apply, at, here, show_type, wrap
from ...ops import shape as s
from ...ops.elementwise import cast
from ...ops.elementwise import clone as clone_op
from ..dispatch import FUNCTIONS, METHODS, function, sizes, wrap_dim, write_out
from ..numpy_names import taking_both
from .shaping import expand, permute, reshape, squeeze, t, transpose, unfold, unsqueeze


@function("as_strided", out=False)
def as_strided(input: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    """View the storage with given sizes and strides (in elements), from an offset that is by default the tensor's own."""
    size, stride = tuple(size), tuple(stride)
    if len(size) != len(stride):
        raise RuntimeError(f"mismatch in length of strides and shape: {list(size)} and {list(stride)}")
    if any(step < 0 for step in stride):
        raise RuntimeError(f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}")
    offset = input.storage_offset() if storage_offset is None else storage_offset
    leaf = input._node is not None and input._node.op is None
    whole = input if input._base is None or leaf else input._base
    root = input._s.root
    need = offset + 1 + sum(step * (n - 1) for n, step in zip(size, stride, strict=True)) if all(size) else 0
    if need > root.size:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and itemsize "
            f"{root.itemsize} requiring a storage "
            f"size of {need * root.itemsize} are out of bounds for storage of size {root.nbytes}: as_strided "
            f"of {show_type(input)}{at(here())}"
        )
    a = whole._a
    if not a.flags.c_contiguous:  # where another order of the dimensions is that of the memory, take it
        axes = tuple(sorted(range(a.ndim), key=lambda d: -a.strides[d]))
        if a.transpose(axes).flags.c_contiguous:
            whole = apply(s.permute, whole, axes=axes)
    if whole._a.flags.c_contiguous and whole._a.size == root.size and whole._a.dtype == input._a.dtype:
        return apply(s.as_strided, whole, size=size, stride=stride, offset=offset)
    own = input.storage_offset()
    if (
        input._a.flags.c_contiguous and own <= offset and need <= own + input._a.size
    ):  # it stays within the tensor itself
        return apply(s.as_strided, input, size=size, stride=stride, offset=offset - own)
    if input.requires_grad:
        raise RuntimeError(
            f"as_strided of {show_type(input)}, whose storage has gaps or another order, has no gradient here: "
            f"clone it first{at(here())}"
        )
    flat = root.ravel(order="K")  # a view: the storage's bytes in their own order
    step = root.itemsize
    return wrap(np.lib.stride_tricks.as_strided(flat[offset:], size, tuple(k * step for k in stride)), input._s)


def _in_place_view(name: str, fn: Any) -> None:
    """Make the form that changes the tensor's own shape: t_, transpose_, squeeze_, unsqueeze_."""

    view = taking_both(fn, "retrograd", f"Tensor.{name[:-1]}")

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        r = view(self, *args, **kwargs)
        self._a, self._node = r._a, r._node
        if self._base is not None and r._base is not None:
            self._steps = r._steps
        return self

    method.__name__ = name
    method.__doc__ = f"Give this tensor the shape that ``{name[:-1]}`` gives, in place."
    METHODS[name] = method


for _name, _fn in {
    "t_": t,
    "transpose_": transpose,
    "squeeze_": squeeze,
    "unsqueeze_": unsqueeze,
    "swapaxes_": transpose,
    "swapdims_": transpose,
    "as_strided_": as_strided,
}.items():
    _in_place_view(_name, _fn)
FUNCTIONS["as_strided_"] = METHODS["as_strided_"]


@function("sum_to_size", torch=False)
def sum_to_size(input: Any, *size: Any) -> Any:
    """Sum over what broadcasting from these sizes would have added."""
    want, have = sizes(size, "sum_to_size"), input._a.shape
    lead = len(have) - len(want)
    if lead < 0 or any(n not in (1, m) for n, m in zip(want, have[lead:], strict=True)):
        raise RuntimeError(
            f"size {list(want)} is not expandable to size {list(have)}: sum_to_size of {show_type(input)}{at(here())}"
        )
    x = (
        apply(cast, input, dtype=np.dtype(np.int64))
        if input._a.dtype.kind in "iub" and (want != have or not want)
        else input
    )
    return apply(s.sum_to, x, shape=want)


@function("as_strided_scatter")
def as_strided_scatter(input: Any, src: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    """Give a copy in which what ``as_strided`` shows is replaced by ``src``."""
    r = apply(clone_op, input, order="C")
    part = as_strided(r, size, stride, storage_offset)
    if part._a.shape != src._a.shape:
        raise RuntimeError(
            f"expected src to have a size equal to the slice of self. src size = {list(src._a.shape)}, slice "
            f"size = {list(part._a.shape)}"
        )
    part.copy_(src)
    return r


# -- the same, copied --------------------------------------------------------------------------------------------------------
def slice_copy(input: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Any:
    """Give a slice of one dimension, copied."""
    lead = (slice(None),) * wrap_dim(dim, input._a.ndim, "slice_copy")
    return apply(clone_op, input[(*lead, slice(start, end, step))], order="C")


def copied(fn: Any, name: str) -> Any:
    """Give the form of a view function that copies (library use)."""

    def copy(input: Any, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        r = fn(input, *args, **kwargs)
        if isinstance(r, tuple) and out is not None:
            write_out(tuple(out), r, name)
            return None
        r = tuple(apply(clone_op, v, order="C") for v in r) if isinstance(r, tuple) else apply(clone_op, r, order="C")
        return r if out is None else write_out(out, r, name)

    copy.__name__ = copy.__qualname__ = name
    copy.__doc__ = f"Give what ``{name.removesuffix('_copy')}`` gives, copied."
    return function(name, method=False, out=False)(copy)


function("slice_copy", method=False, out=False)(slice_copy)
for _name, _fn in {
    "alias": lambda x: x,
    "detach": lambda x: x.detach(),
    "view": reshape,
    "transpose": transpose,
    "t": t,
    "permute": permute,
    "expand": expand,
    "squeeze": squeeze,
    "unsqueeze": unsqueeze,
    "unfold": unfold,
    "as_strided": as_strided,
}.items():
    copied(_fn, f"{_name}_copy")
