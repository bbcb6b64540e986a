"""Products of matrices on arrays: what eager mode calls. Each kind of call is planned once, by shapes and strides alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...core import MODE
from ...ops.contract import WORTH
from ..codegen.kinds import KINDS
from ..runtime import entry, jit
from . import split, streams
from .blocking import near
from .description import Contraction, Operand, Result
from .prepared import Prepared, prepare
from .streams import MOST, PAST, Stream

# of each kind of numbers, that of its sums
SUMS = {"float32": "f32", "float64": "f64", "float16": "f32", "bfloat16": "f32"}
SOURCES = {"float16": "f16", "bfloat16": "bf16"}
PLANS = 4096  # kinds of calls that are remembered
LONG = 1 << 28  # multiply-adds that are worth kernels although nothing of their kind may come again

Strides = tuple[int, ...]
_plans: dict[Any, Callable[..., Any] | None] = {}


def matmul(x: Any, y: Any) -> Any:
    """Multiply matrices, with any leading batch that broadcasts; None where NumPy is to do it.

    Parameters
    ----------
    x, y : ndarray
        Of one dtype, with two dimensions or more.
    """
    key = (x.shape, x.strides, y.shape, y.strides, x.dtype, y.dtype)
    try:
        run = _plans[key]
    except KeyError:
        run = _planned(key, x, y)
    return None if run is None else run(x, y)


def linear(x: Any, w: Any, b: Any = None) -> Any:
    """Compute ``x W^T + b``, or None where NumPy is to do it.

    Parameters
    ----------
    x, w : ndarray
        (..., in) and (out, in).
    b : ndarray, optional
        (out).
    """
    if b is None:
        return matmul(x, w.T) if x.ndim > 1 else _row(matmul(x[None], w.T))
    if x.ndim == 1:
        return _row(linear(x[None], w, b))
    key = ("linear", x.shape, x.strides, w.shape, w.strides, x.dtype, w.dtype, b.shape, b.strides, b.dtype)
    try:
        run = _plans[key]
    except KeyError:
        run = _planned(key, x, w.T, b)
    return None if run is None else run(x, w.T, b)


def followed(name: str, operands: Any, steps: tuple[str, ...], others: Any) -> Any:
    """Compute a product and what follows it, element by element, in one pass with the same bits; None where that cannot be.

    Parameters
    ----------
    name : str
        "matmul" or "linear".
    operands : sequence of ndarray
        The product's.
    steps : tuple of str
        "relu", or "add" of the next array of ``others``.
    others : sequence of ndarray
        Contiguous, of the result's shape.
    """
    x, y, *bias = operands
    key = (name, steps, *[(a.shape, a.strides, a.dtype) for a in operands])
    try:
        run = _plans[key]
    except KeyError:
        if MODE.aside:
            return None
        run = _plans[key] = _with_steps(name, operands, steps)
    if run is None:
        return None
    shape = run.made[1]  # type: ignore[attr-defined]
    for o in others:
        if o.__class__ is not np.ndarray or o.shape != shape or o.dtype != x.dtype or not o.flags.c_contiguous:
            return None
    return run(x, y.T if name == "linear" else y, *bias, *others)


def _with_steps(name: str, operands: Any, steps: tuple[str, ...]) -> Callable[..., Any] | None:
    """Give the function of a product's operands and of what its epilogue reads; None unless the product by itself is such a contraction."""
    x, y, *bias = operands
    if x.ndim < 2 or y.ndim < 2 or len(bias) > (name == "linear") or (name == "linear" and y.ndim > 2):
        return None
    y = y.T if name == "linear" else y
    if x.shape[-1] != y.shape[-2] or x.size * y.shape[-1] < WORTH:
        return None
    made = getattr(planned(x, y, bias[0] if bias else None), "made", None)
    if made is None or made[0].contraction.source:  # half precisions are rounded before what follows
        return None
    ready, shape = made
    contraction = ready.contraction
    return _runner(prepare(replace(contraction, epilogue=(*contraction.epilogue, *steps))), shape, x.dtype)


def plan(
    x: tuple[int, ...], y: tuple[int, ...], dtype: Any = np.float32, x_strides: Any = None, y_strides: Any = None
) -> str:
    """Say how these kernels compute a product of arrays of those shapes on this machine, and why; eager mode leaves tiny ones to NumPy.

    Parameters
    ----------
    x, y : tuple of int
        Their shapes.
    dtype : dtype
    x_strides, y_strides : tuple of int, optional
        In bytes; contiguous where not given.

    Examples
    --------
    >>> from retrograd.compiler.contractions import plan
    >>> print(plan((1, 4096), (4096, 4096)))
    1x4096x4096: B is read once, straight through, in sweeps: at most 4 vectors...
    """
    dtype = np.dtype(dtype)
    given = [s or np.empty(shape, dtype).strides for shape, s in ((x, x_strides), (y, y_strides))]
    what = describe(dtype, x, given[0], y, given[1])
    if what is None:
        return f"NumPy: there are no kernels for {dtype} or these strides"
    contraction = what[0]
    found = streamed(contraction)
    if found is None and split.is_long(contraction):
        sizes = f"{contraction.m}x{contraction.k}x{contraction.n}"
        return f"{sizes}: {split.PARTS} parts of the sum are computed side by side and added in their order"
    if found is None and by_library(contraction):
        return f"NumPy: its library has kernels for vectors of {jit.host().vector_bits} bits that large operands profit from"
    if found is None:
        return str(prepare(contraction))
    sizes = f"{contraction.m}x{contraction.k}x{contraction.n}"
    stream, _, turned = found
    if stream.how == "outer":
        past = ", past the caches, for it is larger" if stream.past else ""
        return f"{sizes}: the outer product is written{past}"
    return f"{sizes}: {'B' if turned else 'A'} is read once, straight through, in {stream.how}: at most {MOST} vectors are multiplied"


def _row(result: Any) -> Any:
    return None if result is None else result[0]


def _planned(key: Any, x: Any, y: Any, bias: Any = None) -> Callable[..., Any] | None:
    if MODE.aside and not MODE.beside and x.dtype.char in "fd" and x.size * y.shape[-1] < LONG:
        return None
    if len(_plans) >= PLANS:
        _plans.clear()
    found = _plans[key] = planned(x, y, bias)
    return found


def planned(x: Any, y: Any, bias: Any) -> Callable[..., Any] | None:
    """Give a function of arrays like these that multiplies them; its ``made`` are the contraction and the result's shape, if it is one.

    None where NumPy is to do it.
    """
    what = describe(x.dtype, x.shape, x.strides, y.shape, y.strides)
    if what is None or y.dtype != x.dtype:
        return None
    contraction, shape = what
    if bias is not None and (bias.shape != shape[-1:] or bias.strides != (bias.itemsize,) or bias.dtype != x.dtype):
        return None
    stream = streamed(contraction)
    if stream is not None:
        return _streaming(stream, contraction, shape, x.dtype)
    if split.is_long(contraction):
        return split.runner(contraction, shape, x.dtype)
    if by_library(contraction):
        return None
    if bias is not None:
        contraction = replace(contraction, epilogue=("bias_columns",))
    return _runner(prepare(contraction), shape, x.dtype)


def by_library(what: Contraction) -> bool:
    """Tell whether a library's product is taken: large ones, on processors whose vectors have fewer than 512 bits.

    There its kernels are written for each processor by hand; with 512 bits these here are as fast or faster (docs/decisions/0009).
    """
    if what.batch or what.source or jit.host().vector_bits == 512:
        return False
    return not near(what.kind, what.m, what.n, what.k)


Found = tuple[Stream, dict[str, int], bool]


def streamed(what: Contraction) -> Found | None:
    """Give the kernel that reads the larger operand straight through, its numbers, and whether that is B, where there is one.

    Its operand M is B, transposed, where A has few rows; it is A where B has few columns.
    """
    if what.batch or what.epilogue or what.source or not (what.m and what.n and what.k):
        return None
    (m, a_row), (n, b_column) = what.a.free[0], what.b.free[0]
    (k, a_sum), (_, b_sum) = what.a.sum[0], what.b.sum[0]
    if m <= MOST:
        numbers = {"rows": n, "k": k, "y_vector": n, "y_step": 1, "x_vector": a_row, "x_step": a_sum}
        if b_sum == 1 or k == 1:
            return Stream(what.kind, "sums", m), {**numbers, "m_step": b_column}, True
        if b_column == 1 or n == 1:
            return Stream(what.kind, "sweeps", m), {**numbers, "m_step": b_sum}, True
    if n <= MOST:
        numbers = {"rows": m, "k": k, "y_vector": 1, "y_step": n, "x_vector": b_column, "x_step": b_sum}
        if a_sum == 1 or k == 1:
            return Stream(what.kind, "sums", n), {**numbers, "m_step": a_row}, False
        if a_row == 1 and n == 1:
            return Stream(what.kind, "sweeps", n), {**numbers, "m_step": a_sum}, False
    if k == 1 and b_column == 1 and min(m, n) > MOST:
        size = m * n * KINDS[what.kind].size
        numbers = {"rows": m, "x_step": a_row, "y_step": n, "m_step": n}
        return Stream(what.kind, "outer", 1, size > PAST), numbers, False
    return None


def _streaming(found: Found, what: Contraction, shape: tuple[int, ...], dtype: Any) -> Callable[..., Any]:
    stream, numbers, turned = found
    at, empty = entry.pointers(), np.empty
    # "sums" read X along k by vectors
    gathered = stream.how == "sums" and numbers["x_step"] != 1 and what.k > 1
    if gathered:
        numbers = {**numbers, "x_vector": what.k, "x_step": 1}
    call = streams.prepare(stream, dtype.itemsize, numbers)

    def run(x: Any, y: Any, bias: Any = None) -> Any:
        out = empty(shape, dtype)
        matrix, vectors = (y, x) if turned else (x, y)
        if gathered:
            vectors = np.array(vectors.reshape(-1, what.k) if turned else vectors.T, order="C")
        call(at(matrix), at(vectors), at(out))
        if bias is not None:
            out += bias
        return out

    return run


def _runner(ready: Prepared, shape: tuple[int, ...], dtype: Any) -> Callable[..., Any]:
    call, empty = ready.caller(), np.empty

    def run(*operands: Any) -> Any:
        x, y, *bias = operands
        out = empty(shape, dtype)
        call(x, y, out, *bias)
        return out

    def pair(x: Any, y: Any) -> Any:
        out = empty(shape, dtype)
        call(x, y, out)
        return out

    found: Any = run if ready.contraction.epilogue else pair
    found.made = ready, shape
    return found  # type: ignore[no-any-return]


def describe(
    dtype: Any, x: tuple[int, ...], x_strides: Strides, y: tuple[int, ...], y_strides: Strides
) -> tuple[Contraction, tuple[int, ...]] | None:
    """Describe ``x @ y`` of arrays with those shapes and strides (in bytes) as a contraction with a new contiguous result.

    None for dtypes and strides that the kernels do not read. Gives the result's shape too.
    """
    kind, size = SUMS.get(dtype.name), dtype.itemsize
    if kind is None or any(s % size for s in (*x_strides, *y_strides)):
        return None
    xs, ys = [s // size for s in x_strides], [s // size for s in y_strides]
    lead = np.broadcast_shapes(x[:-2], y[:-2])
    shape = (*lead, x[-2], y[-1])
    steps = _spread(lead, x[:-2], xs[:-2]), _spread(lead, y[:-2], ys[:-2])
    found = contraction_of(kind, lead, (x[-2], x[-1], y[-1]), (*steps[0], *xs[-2:]), (*steps[1], *ys[-2:]))
    return replace(found, source=SOURCES.get(dtype.name, "")), shape


def contraction_of(
    kind: str, lead: tuple[int, ...], sizes: tuple[int, int, int], a: Strides, b: Strides
) -> Contraction:
    """Describe products of matrices, of (m, k, n), for all items of a batch, with a contiguous result.

    ``a`` and ``b`` are strides in elements, of the batch's dimensions first.
    """
    m, k, n = sizes
    count, step = m, a[-2]
    batch: list[tuple[int, ...]] = []
    for d in reversed(range(len(lead))):
        if lead[d] == 1:
            continue
        # dimensions that only A has are rows as well, as long as they have one stride with those below
        if not batch and b[d] == 0 and (count == 1 or a[d] == step * count):
            count, step = lead[d] * count, a[d] if count == 1 else step
        else:
            batch.insert(0, (lead[d], a[d], b[d], math.prod(lead[d + 1 :]) * m * n))
    return Contraction(
        kind,
        Operand(((count, step),), ((k, a[-1]),)),
        Operand(((n, b[-1]),), ((k, b[-2]),)),
        Result(((count, n),), ((n, 1),)),
        tuple(batch),
    )


def _spread(lead: tuple[int, ...], shape: tuple[int, ...], strides: list[int]) -> list[int]:
    """Give the strides of dimensions as they broadcast: 0 where there is one item for all."""
    missing = len(lead) - len(shape)
    return [0] * missing + [0 if n == 1 else s for n, s in zip(shape, strides, strict=True)]
