"""Products of vectors and matrices, and the linear layer."""

from __future__ import annotations

import math
from typing import Any

from ...core import BaseTensor, apply, at, here, show_type, with_history
from ...core.rows import SparseOperand
from ...ops import contract as c
from ...ops import shape as s
from ...ops.elementwise import add as add_op
from ...ops.reduce import sum_, sum_integers
from ..dispatch import function, labelled, result_type, tensor_operand, type_name, with_sparse, wrap_dim
from ..early import numbers_last
from . import pointwise as p
from .joining import stack
from .shaping import reshaped


def _pair(x: Any, y: Any, name: str) -> None:
    tensor_operand(x, name)
    tensor_operand(y, name, "other")
    if x._a.dtype != y._a.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {x.dtype} != {y.dtype} ({name} of "
            f"{show_type(x)} and {show_type(y)}: cast one of them){at(here())}"
        )


def _misfit(x: Any, y: Any, name: str) -> RuntimeError:
    a, b = x._a.shape, y._a.shape
    return RuntimeError(
        f"mat1 and mat2 shapes cannot be multiplied ({_by(a)} and {_by(b)}): {name} of {show_type(x)} and "
        f"{show_type(y)} needs the last length of the first "
        f"({a[-1]}) to equal the {'last but one' if len(b) > 1 else 'only'} length of the second "
        f"({b[-2] if len(b) > 1 else b[-1]}){at(here())}"
    )


def _by(shape: tuple[int, ...]) -> str:
    if len(shape) < 2:
        return f"{shape[0]}"
    return f"{math.prod(shape[:-1])}x{shape[-1]}" if len(shape) > 2 else "x".join(map(str, shape))


@function("matmul")
def matmul(input: Any, other: Any) -> Any:
    """Multiply matrices, with vectors and broadcasting batches by torch's rules."""
    quick = c.matmul.quick_door
    if quick is not None:
        t = quick(input, other)
        if t is not None:
            return t if t._node is None else with_history(c.matmul, (input, other), t)
    if not isinstance(other, BaseTensor) or not isinstance(input, BaseTensor):
        raise TypeError(
            "matmul(): argument 'other' (position 2) must be Tensor, not "
            f"{type(other if isinstance(input, BaseTensor) else input).__name__}"
        )
    try:
        x, y = input._a, other._a
    except SparseOperand:
        return with_sparse("matmul", (input, other), {})
    n, m = x.ndim, y.ndim
    if x.dtype != y.dtype:
        _pair(input, other, "matmul")
    if n >= 2 and m >= 2:
        if x.shape[-1] != y.shape[-2]:
            raise _misfit(input, other, "matmul")
        return apply(c.matmul, input, other)
    if not n or not m:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {n}D and {m}D: {show_type(input)} "
            f"and {show_type(other)}"
        )
    if n == 1 and m == 1:
        return dot(input, other)
    if n == 1:
        if x.shape[0] != y.shape[-2]:
            raise _misfit(input, other, "matmul")
        r = apply(c.matmul, apply(s.reshape, input, shape=(1, x.shape[0])), other)
        r = apply(s.reshape, r, shape=(*r._a.shape[:-2], r._a.shape[-1]))
        return labelled(r, "SqueezeBackward4" if m == 2 else "UnsafeViewBackward0", (input, other))
    if x.shape[-1] != y.shape[0]:
        raise RuntimeError(
            f"size mismatch, got input ({x.shape[-2]}), mat ({_by(x.shape)}), vec ({y.shape[0]}): matmul of "
            f"{show_type(input)} and {show_type(other)}{at(here())}"
        )
    r = apply(c.matmul, input, apply(s.reshape, other, shape=(y.shape[0], 1)))
    r = apply(s.reshape, r, shape=r._a.shape[:-1])
    return labelled(r, "MvBackward0" if n == 2 else "UnsafeViewBackward0", (input, other))


def _need(x: Any, ndim: int, name: str, which: str) -> None:
    if x._a.ndim != ndim:
        raise RuntimeError(
            f"{name}: {which} must be a {['scalar', 'vector', 'matrix', 'batch of matrices (3D)'][ndim]}, got "
            f"{show_type(x)}{at(here())}"
        )


@function("mm")
def mm(input: Any, mat2: Any) -> Any:
    """Multiply two matrices."""
    quick = c.matmul.quick_door
    if quick is not None:
        t = quick(input, mat2)
        if t is not None:
            return t if t._node is None else with_history(c.matmul, (input, mat2), t)
    try:
        _pair(input, mat2, "mm")
    except SparseOperand:
        return with_sparse("mm", (input, mat2), {})
    _need(input, 2, "mm", "self")
    _need(mat2, 2, "mm", "mat2")
    if input._a.shape[1] != mat2._a.shape[0]:
        raise _misfit(input, mat2, "mm")
    return apply(c.matmul, input, mat2)


@function("spmm", "dsmm", method=False)
def spmm(input: Any, mat2: Any) -> Any:
    """Multiply two matrices, the first of which may be sparse."""
    return mm(input, mat2)


@function("bmm", shown="BmmBackward0")
def bmm(input: Any, mat2: Any) -> Any:
    """Multiply matrices pairwise along the first dimension."""
    _pair(input, mat2, "bmm")
    _need(input, 3, "bmm", "batch1")
    _need(mat2, 3, "bmm", "batch2")
    a, b = input._a.shape, mat2._a.shape
    if a[0] != b[0] or a[2] != b[1]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{a[0]}, {a[2]}] but got: "
            f"[{b[0]}, {b[1]}].{at(here())}"
        )
    return apply(c.matmul, input, mat2)


@function("mv", shown="MvBackward0")
def mv(input: Any, vec: Any) -> Any:
    """Multiply a matrix with a vector."""
    _pair(input, vec, "mv")
    if not input._a.ndim:
        raise IndexError(
            f"Dimension specified as 0 but tensor has no dimensions: mv of {show_type(input)} and "
            f"{show_type(vec)}{at(here())}"
        )
    if input._a.ndim != 2 or vec._a.ndim != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got 1, {input._a.ndim}, {vec._a.ndim}")
    return matmul(input, vec)


@function("dot", shown="DotBackward0")
def dot(input: Any, tensor: Any) -> Any:
    """Give the inner product of two vectors."""
    if not isinstance(tensor, BaseTensor) or input._a.ndim != 1 or tensor._a.ndim != 1:
        raise RuntimeError(
            f"1D tensors expected, but got {getattr(getattr(input, '_a', None), 'ndim', '?')}D and "
            f"{getattr(getattr(tensor, '_a', None), 'ndim', '?')}D tensors"
        )
    if input._a.dtype != tensor._a.dtype:
        raise RuntimeError(
            f"dot : expected both vectors to have same dtype, but found {input.dtype} and {tensor.dtype}"
        )
    if input._a.shape != tensor._a.shape:
        raise RuntimeError(
            f"dot : inconsistent tensor size, expected tensor [{input._a.size}] and src [{tensor._a.size}] to "
            f"have the same number of elements, but got {input._a.size} and {tensor._a.size} elements respectively"
        )
    n = input._a.size
    r = apply(c.matmul, apply(s.reshape, input, shape=(1, n)), apply(s.reshape, tensor, shape=(n, 1)))
    return apply(s.reshape, r, shape=())


@function("vdot")
def vdot(input: Any, other: Any) -> Any:
    """Give the inner product of two vectors, the first conjugated."""
    return dot(input.conj(), other)


@function("inner")
def inner(input: Any, other: Any) -> Any:
    """Give the inner products over the last dimensions."""
    if not input._a.ndim or not other._a.ndim:
        return p.mul(input, other)
    if input._a.shape[-1] != other._a.shape[-1]:
        raise RuntimeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(input._a.shape)} and {list(other._a.shape)}{at(here())}"
        )
    if input._a.dtype.kind == "b":
        raise NotImplementedError(f"\"dot\" not implemented for 'Bool': convert by .to(torch.int64){at(here())}")
    return tensordot(input, other, dims=([-1], [-1]))


@function("outer", "ger")
def outer(input: Any, vec2: Any) -> Any:
    """Give the products of all pairs of two vectors' elements."""
    if input._a.ndim != 1 or vec2._a.ndim != 1:
        raise RuntimeError(
            f"outer: Expected 1-D argument {'self' if input._a.ndim != 1 else 'vec2'}, but got "
            f"{(input if input._a.ndim != 1 else vec2)._a.ndim}-D"
        )
    return p.mul(apply(s.reshape, input, shape=(input._a.size, 1)), vec2)


def _scaled(x: Any, factor: Any) -> Any:
    return x if factor == 1 else p.mul(x, factor)


def _plus(name: str, beta: Any, x: Any, product: Any, alpha: Any) -> Any:
    d = product._a.dtype
    if x._a.dtype != d:
        raise RuntimeError(
            f"self and mat2 must have the same dtype, but got {type_name(x._a.dtype)} and {type_name(d)}: {name} of "
            f"{show_type(x)} and a product of {type_name(d)}; convert by .to()"
        )
    return _weighted(beta, x, product, alpha, d)


def _weighted(beta: Any, x: Any, product: Any, alpha: Any, d: Any) -> Any:
    if d.kind != "c" and (isinstance(beta, complex) or isinstance(alpha, complex)):
        raise RuntimeError(
            f"value cannot be converted to type {type_name(d)} without overflow: beta={beta} and alpha={alpha} weigh "
            f"results of {type_name(d)}"
        )
    if d.kind in "iub":  # the factors are numbers of the result's kind
        kind = bool if d.kind == "b" else int
        beta, alpha = (f if isinstance(f, (bool, int)) and kind is int else kind(f) for f in (beta, alpha))
    r = _scaled(product, alpha)
    return r if beta == 0 else p.add(_scaled(x, beta), r)


@function("addmm", inplace=True, shown="AddmmBackward0")
@numbers_last
def addmm(input: Any, mat1: Any, mat2: Any, *early: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    """Give beta * input + alpha * (mat1 @ mat2)."""
    if early:
        return addmm.reordered(input, mat1, mat2, *early)  # type: ignore[attr-defined]
    return _plus("addmm", beta, input, mm(mat1, mat2), alpha)


@function("addmv", inplace=True, shown="AddmvBackward0")
@numbers_last
def addmv(input: Any, mat: Any, vec: Any, *early: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    """Give beta * input + alpha * (mat @ vec)."""
    if early:
        return addmv.reordered(input, mat, vec, *early)  # type: ignore[attr-defined]
    return _plus("addmv", beta, input, mv(mat, vec), alpha)


@function("addr", inplace=True)
@numbers_last
def addr(input: Any, vec1: Any, vec2: Any, *early: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    """Give beta * input + alpha * outer(vec1, vec2)."""
    if early:
        return addr.reordered(input, vec1, vec2, *early)  # type: ignore[attr-defined]
    product = outer(vec1, vec2)
    d = result_type(input, product).numpy
    for factor, name in ((beta, "beta"), (alpha, "alpha")):
        if d.kind in "iub" and isinstance(factor, float):
            raise RuntimeError(
                f"For integral input tensors, argument {name} must not be a floating point number: addr of {show_type(input)}"
            )
    return _weighted(beta, input, product, alpha, d)


@function("baddbmm", inplace=True, shown="BaddbmmBackward0")
@numbers_last
def baddbmm(input: Any, batch1: Any, batch2: Any, *early: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    """Give beta * input + alpha * bmm(batch1, batch2)."""
    if early:
        return baddbmm.reordered(input, batch1, batch2, *early)  # type: ignore[attr-defined]
    return _plus("baddbmm", beta, input, bmm(batch1, batch2), alpha)


@function("addbmm", inplace=True)
@numbers_last
def addbmm(input: Any, batch1: Any, batch2: Any, *early: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    """Give beta * input + alpha * the sum of bmm(batch1, batch2) over the batch."""
    if early:
        return addbmm.reordered(input, batch1, batch2, *early)  # type: ignore[attr-defined]
    product = bmm(batch1, batch2)
    summed: Any = {"dtype": product._a.dtype} if product._a.dtype.kind in "iub" else {}
    product = apply(sum_integers if summed else sum_, product, axis=(0,), keepdims=False, **summed)
    return _plus("addbmm", beta, input, product, alpha)


@function("chain_matmul", method=False)
def chain_matmul(*matrices: Any) -> Any:
    """Multiply matrices one after another, in the cheapest order."""
    for x in matrices:
        if x._a.ndim != 2:
            raise RuntimeError(
                f"Tensor dimension is {x._a.ndim}, expected 2 instead: chain_matmul of {show_type(x)}{at(here())}"
            )
    return matrices[0] if len(matrices) == 1 else multi_dot(matrices)


def multi_dot(tensors: Any) -> Any:
    """Multiply two or more matrices in the order that takes the fewest operations.

    The first and last may be vectors. RuntimeError for fewer than two.
    """
    parts = list(tensors)
    if len(parts) < 2:
        raise RuntimeError("multi_dot(): expected at least 2 tensors but got " + str(len(parts)))
    for i, x in enumerate(parts):
        if x._a.ndim != 2 and (x._a.ndim != 1 or 0 < i < len(parts) - 1):
            raise RuntimeError(
                f"multi_dot(): tensor {i} must be 2D (the first and last may be 1D) but got {show_type(x)}{at(here())}"
            )
    first, last = parts[0]._a.ndim == 1, parts[-1]._a.ndim == 1
    if first:
        parts[0] = reshaped(parts[0], (1, parts[0]._a.size))
    if last:
        parts[-1] = reshaped(parts[-1], (parts[-1]._a.size, 1))
    dims = [m._a.shape[0] for m in parts] + [parts[-1]._a.shape[1]]
    n = len(parts)
    cost = [[0.0] * n for _ in range(n)]
    cut = [[0] * n for _ in range(n)]
    for width in range(1, n):
        for i in range(n - width):
            j = i + width
            best = min(((cost[i][k] + cost[k + 1][j] + dims[i] * dims[k + 1] * dims[j + 1]), k) for k in range(i, j))
            cost[i][j], cut[i][j] = best

    def build(i: int, j: int) -> Any:
        return parts[i] if i == j else mm(build(i, cut[i][j]), build(cut[i][j] + 1, j))

    r = build(0, n - 1)
    shape = r._a.shape
    if first or last:
        r = reshaped(r, shape[1 if first else 0 : 1 if last else 2])
    return r


def _summed(x: Any, axis: int) -> Any:
    """Sum along a dimension that stays, in the tensor's own dtype."""
    if x._a.dtype.kind in "iub":
        return apply(sum_integers, x, axis=(axis,), keepdims=True, dtype=x._a.dtype)
    return apply(sum_, x, axis=(axis,), keepdims=True)


@function("tensordot", method=False)
def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Sum the products over pairs of dimensions."""
    if isinstance(dims, BaseTensor):
        dims = dims.tolist()
    if a._a.dtype != b._a.dtype:
        raise RuntimeError(
            f"both inputs should have same dtype: tensordot of {show_type(a)} and {show_type(b)}{at(here())}"
        )
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a._a.ndim, b._a.ndim):
            raise RuntimeError(
                f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}: {show_type(a)} and "
                f"{show_type(b)}{at(here())}"
            )
        da, db = list(range(a._a.ndim - dims, a._a.ndim)), list(range(dims))
    else:
        da, db = ([d] if isinstance(d, int) else list(d) for d in dims)
    da, db = [wrap_dim(d, a._a.ndim, "tensordot") for d in da], [wrap_dim(d, b._a.ndim, "tensordot") for d in db]
    if len(da) != len(db):
        raise RuntimeError(
            f"both dimension lists should have same length, got {len(da)} and {len(db)} (tensordot){at(here())}"
        )
    for i, j in zip(da, db, strict=True):  # a length of 1 meets any other: the other is summed
        if a._a.shape[i] == 1 != b._a.shape[j]:
            b = _summed(b, j)
        elif b._a.shape[j] == 1 != a._a.shape[i]:
            a = _summed(a, i)
    if [a._a.shape[i] for i in da] != [b._a.shape[j] for j in db]:
        raise RuntimeError(
            f"contracted dimensions need to match, but first has sizes {[a._a.shape[i] for i in da]} and "
            f"second {[b._a.shape[j] for j in db]} (tensordot)"
        )
    fa, fb = [i for i in range(a._a.ndim) if i not in da], [j for j in range(b._a.ndim) if j not in db]
    k = math.prod(a._a.shape[i] for i in da)
    left = reshaped(apply(s.permute, a, axes=(*fa, *da)), (math.prod(a._a.shape[i] for i in fa), k))
    right = reshaped(apply(s.permute, b, axes=(*db, *fb)), (k, math.prod(b._a.shape[j] for j in fb)))
    return reshaped(apply(c.matmul, left, right), (*(a._a.shape[i] for i in fa), *(b._a.shape[j] for j in fb)))


@function("kron")
def kron(input: Any, other: Any) -> Any:
    """Give the Kronecker product."""
    n = max(input._a.ndim, other._a.ndim)
    a = (1,) * (n - input._a.ndim) + input._a.shape
    b = (1,) * (n - other._a.ndim) + other._a.shape
    x = reshaped(input, tuple(v for d in a for v in (d, 1)))
    y = reshaped(other, tuple(v for d in b for v in (1, d)))
    return reshaped(p.mul(x, y), tuple(i * j for i, j in zip(a, b, strict=True)))


@function("trace", shown="TraceBackward0")
def trace(input: Any) -> Any:
    """Sum a matrix's diagonal."""
    if input._a.ndim != 2:
        raise RuntimeError("trace: expected a matrix, but got tensor with dim " + str(input._a.ndim))
    return input.diagonal().sum()


@function("cross")
def cross(input: Any, other: Any, dim: int | None = None) -> Any:
    """Give the vector product along a dimension of length 3."""
    if input._a.ndim != other._a.ndim:
        raise RuntimeError(
            f"linalg.cross: inputs must have the same number of dimensions: {show_type(input)} and "
            f"{show_type(other)}{at(here())}"
        )
    _pair(input, other, "cross")
    if dim is None:
        dims = [i for i, n in enumerate(input._a.shape) if n == 3]
        if not dims:
            raise RuntimeError("no dimension of size 3 in input")
        dim = dims[0]
    d = wrap_dim(dim, input._a.ndim, "cross")
    if input._a.shape[d] != 3 or other._a.shape[d - input._a.ndim] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {input._a.shape[d]} and "
            f"{other._a.shape[d - input._a.ndim]}"
        )
    a, b = input.unbind(d - input._a.ndim), other.unbind(d - input._a.ndim)
    return stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]], d - input._a.ndim)


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """Give ``x W^T + b``.

    Parameters
    ----------
    input : Tensor of shape (*, in_features)
    weight : Tensor of shape (out_features, in_features) or (in_features,)
    bias : Tensor of shape (out_features,), optional
    """
    try:
        x, w = input._a, weight._a
    except SparseOperand:
        return with_sparse("linear", (input, weight, bias), {})
    if w.ndim == 2 and x.ndim > 1 and x.dtype is w.dtype and x.shape[-1] == w.shape[1]:
        if bias is None:
            return apply(c.linear_layer, input, weight)
        b = bias._a
        if b.ndim == 1 and b.shape[0] == w.shape[0] and b.dtype is w.dtype:
            return apply(c.linear_layer, input, weight, bias)
    if x.dtype != w.dtype:
        raise RuntimeError(
            f"mat1 and mat2 must have the same dtype, but got {input.dtype} and {weight.dtype}: linear of "
            f"{show_type(input)} with weight {show_type(weight)}; cast the input by .to(weight.dtype){at(here())}"
        )
    if w.ndim == 1:
        r = matmul(input, weight)
    else:
        if not x.ndim:
            raise RuntimeError("both arguments to linear need to be at least 1D, but they are 0D and 2D")
        if w.ndim != 2 or x.shape[-1] != w.shape[1]:
            raise RuntimeError(
                f"mat1 and mat2 shapes cannot be multiplied ({_by(x.shape)} and {_by(w.T.shape)}): linear of "
                f"{show_type(input)} with weight {show_type(weight)} needs inputs of "
                f"{w.shape[-1]} features, got {x.shape[-1]}{at(here())}"
            )
        rows = input if x.ndim > 1 else apply(s.reshape, input, shape=(1, x.shape[0]))
        r = apply(c.linear_layer, rows, weight)
        if x.ndim == 1:
            r = apply(s.reshape, r, shape=(w.shape[0],))
    return r if bias is None else apply(add_op, r, bias)
