"""Arithmetic of sparse tensors: on the values where zero stays zero, and by places where two tensors meet."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import BaseTensor, apply, wrap
from ...core.rows import SparseOperand
from ...ops import index as ix
from ..dispatch import METHODS, scalar
from ..functions import pointwise as p
from .composite import HANDLERS, Sparse, handles, named
from .compressed import CompressedTensor, to_compressed
from .coo import CooTensor, coo, empty, flat, gathered
from .products import as_coo

LINEAR = ("neg", "negative", "positive", "conj_physical", "deg2rad", "rad2deg")  # need no coalesced tensor
ZERO_STAYS = (
    *("abs", "asin", "arcsin", "asinh", "arcsinh", "atan", "arctan", "atanh", "arctanh", "ceil", "erf", "erfinv"),
    *("expm1", "floor", "frac", "log1p", "round", "sgn", "sign", "signbit", "isinf", "isnan", "isposinf", "isneginf"),
    *("sin", "sinh", "sqrt", "square", "tan", "tanh", "trunc", "fix", "relu", "angle", "nan_to_num", "absolute"),
)


def _values(name: str, coalesce: bool) -> None:
    def fn(input: Any, *args: Any, **options: Any) -> Any:
        t = input.coalesce() if coalesce and isinstance(input, CooTensor) else input
        return t._with(METHODS[name](t._v, *args, **options))

    fn.__name__, fn.__doc__ = name, f"Give ``{name}`` of each value; zero stays zero."
    handles(name)(fn)
    if f"{name}_" in METHODS:
        handles(f"{name}_")(lambda input, *args, **options: input._take(fn(input, *args, **options)))


for _name in (*LINEAR, *ZERO_STAYS):
    if _name in METHODS:
        _values(_name, _name not in LINEAR)


def _number(x: Any) -> bool:
    return scalar(x) is not None or (isinstance(x, BaseTensor) and not isinstance(x, Sparse) and x._a.ndim == 0)


def _back(t: CooTensor, like: Any) -> Any:
    """Give a result in the layout of an operand."""
    return to_compressed(t, like._l) if isinstance(like, CompressedTensor) else t


def _same_size(x: Any, y: Any, name: str) -> None:
    if tuple(x.shape) != tuple(y.shape):
        raise RuntimeError(
            f"{name}: expected sizes of 'self' and 'other' to match, but {list(x.shape)} != {list(y.shape)}"
        )


# -- sums ------------------------------------------------------------------------------------------------------------------
@handles("add")
def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """Add two sparse tensors, or a sparse tensor to a dense one.

    RuntimeError for a dense tensor or a number added to a sparse one.
    """
    if isinstance(input, Sparse) and isinstance(other, Sparse):
        return _sum(input, other, alpha, "AddBackward0")
    if isinstance(input, Sparse):
        if isinstance(input, CompressedTensor) and isinstance(other, BaseTensor) and other._a.ndim:
            return p.add(other if alpha == 1 else p.mul(other, alpha), input.to_dense())
        raise RuntimeError("add(sparse, dense) is not supported. Use add(dense, sparse) instead.")
    if not isinstance(input, BaseTensor):
        raise RuntimeError("add(sparse, dense) is not supported. Use add(dense, sparse) instead.")
    if len(input.shape) < other.dim() or (tuple(input.shape) != tuple(other.shape)):
        raise RuntimeError(
            f"add: expected 'self' and 'other' to have same size, but self has size {list(input.shape)} while other has "
            f"size {list(other.shape)} (FYI: dense-sparse addition does not currently support broadcasting)"
        )
    dense = other.to_dense()
    return p.add(input, dense if alpha == 1 else p.mul(dense, alpha))


def _sum(x: Any, y: Any, alpha: Any, label: str) -> Any:
    a, b = as_coo(x), as_coo(y)
    _same_size(a, b, "add")
    if a.sparse_dim() != b.sparse_dim():
        raise RuntimeError(
            f"add: expected 'self' and 'other' to have same number of sparse dimensions, but {a.sparse_dim()} != {b.sparse_dim()}"
        )
    second = b._v if alpha == 1 else p.mul(b._v, alpha)
    if a._v.dtype is not second.dtype:
        d = p.add(a._v[:0], second[:0]).dtype
        first, second = a._v.to(d), second.to(d)
    else:
        first = a._v
    from ..functions.joining import cat

    if np.array_equal(a._i._a, b._i._a):
        both = coo(a._i, named(p.add(first, second), label), a._size, a._coalesced and b._coalesced)
        return _back(both, x)
    where = np.concatenate([a._i._a, b._i._a], 1)
    r = coo(wrap(where), cat([first, second]), a._size, False)
    if all(t._coalesced or bool(np.all(np.diff(flat(t._i._a, t._size)) > 0)) for t in (a, b)):
        r = r.coalesce()
        r._coalesced = a._coalesced and b._coalesced
    named(r._v, label)
    return _back(r, x)


@handles("sub", "subtract")
def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """Subtract a sparse tensor from a sparse or a dense one."""
    if isinstance(input, Sparse) and isinstance(other, Sparse):
        return _sum(input, other, -alpha, "SubBackward0")
    if not isinstance(input, Sparse) and isinstance(input, BaseTensor):
        return p.sub(input, other.to_dense(), alpha=alpha)
    return add(input, other, alpha=-alpha)


# -- products ----------------------------------------------------------------------------------------------------------------
@handles("mul", "multiply")
def mul(input: Any, other: Any) -> Any:
    """Multiply elementwise; the result has values where both operands may have them."""
    if not isinstance(input, Sparse):
        input, other = other, input
    if _number(other):
        return input._with(p.mul(input._v, other))
    if isinstance(other, Sparse):
        return _product(input, other)
    t = as_coo(input)
    shape = np.broadcast_shapes(tuple(t.shape), tuple(other.shape))
    if shape != tuple(t.shape):
        raise RuntimeError(
            f"mul: a dense tensor of size {list(other.shape)} does not broadcast to the sparse {list(t.shape)}"
        )
    picked = gathered(other.expand(shape), t._i._a, t.sparse_dim(), "MulBackward0")
    r = t._with(p.mul(t._v, picked._v))
    return _back(r, input)


def _product(x: Any, y: Any) -> Any:
    a, b = as_coo(x).coalesce(), as_coo(y).coalesce()
    _same_size(a, b, "mul")
    mine, theirs = flat(a._i._a, a._size), flat(b._i._a, b._size)
    _, left, right = np.intersect1d(mine, theirs, assume_unique=True, return_indices=True)
    values = p.mul(apply(ix.take_axis, a._v, wrap(left), axis=0), apply(ix.take_axis, b._v, wrap(right), axis=0))
    return _back(coo(wrap(a._i._a[:, left]), values, a._size, True), x)


@handles("div", "divide", "true_divide")
def div(input: Any, other: Any, *, rounding_mode: Any = None) -> Any:
    """Divide a sparse tensor by a number; RuntimeError for a tensor."""
    if not isinstance(input, Sparse) or not _number(other):
        raise RuntimeError(
            "Sparse division requires a scalar or zero-dim dense tensor divisor "
            f"(got shape {list(getattr(other, 'shape', ()))} for divisor)"
        )
    return input._with(p.div(input._v, other, rounding_mode=rounding_mode))


@handles("floor_divide")
def floor_divide(input: Any, other: Any) -> Any:
    """Divide a sparse tensor by a number and round down."""
    return div(input, other, rounding_mode="floor")


@handles("pow")
def pow(input: Any, exponent: Any) -> Any:
    """Raise the values to a positive power."""
    if not isinstance(input, Sparse) or not _number(exponent):
        raise SparseOperand("pow: a sparse tensor can be raised to a number only; use .to_dense() first")
    if float(exponent) <= 0:
        raise RuntimeError("cannot raise to zeroth power on sparse tensor; it would make the result tensor dense")
    t = input.coalesce() if isinstance(input, CooTensor) else input
    return t._with(p.pow(t._v, exponent))


@handles("any")
def any_(input: Any) -> Any:
    """Tell whether a value is not zero."""
    return as_coo(input).coalesce()._v.any()


@handles("is_same_size")
def is_same_size(input: Any, other: Any) -> bool:
    """Tell whether two tensors have one size."""
    return tuple(input.shape) == tuple(other.shape)


@handles("copy_")
def copy_(self: Any, src: Any, non_blocking: bool = False) -> Any:
    """Write another sparse tensor's values into this one, or a sparse tensor's elements into a dense one."""
    if not isinstance(self, Sparse):
        raise RuntimeError("copy_() between dense and sparse Tensors is not implemented! Use .to_dense() on the source")
    if not isinstance(src, Sparse):
        raise RuntimeError("copy_() between dense and sparse Tensors is not implemented! Found self type = sparse")
    return self._take(src.to(self.dtype).clone())


def _in_place(name: str) -> None:
    handles(f"{name}_")(lambda input, *args, **options: _write(name, input, *args, **options))


def _write(name: str, self: Any, *args: Any, **options: Any) -> Any:
    r = HANDLERS[name](self, *args, **options)
    if isinstance(self, Sparse):
        return self._take(r)
    from ...core import check_writable
    from ..dispatch import finish_in_place

    check_writable(self, f"{name}_")
    return finish_in_place(self, r, f"{name}_")


for _name in (
    "add",
    "sub",
    "subtract",
    "mul",
    "multiply",
    "div",
    "divide",
    "true_divide",
    "floor_divide",
    "pow",
    "addmm",
):
    _in_place(_name)


@handles("zeros_like", "empty_like")
def zeros_like(input: Any, *, dtype: Any = None, **options: Any) -> Any:
    """Give a sparse tensor of the same size without values."""
    from ...core.dtypes import to_numpy

    t = as_coo(input)
    made = empty(t._size, t.sparse_dim(), t._v._a.dtype if dtype is None else to_numpy(dtype))
    return _back(made, input)


__all__ = ["add", "div", "mul", "pow", "sub"]
