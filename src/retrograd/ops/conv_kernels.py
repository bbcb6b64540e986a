"""Convolution and its two transposes on NumPy arrays, in any number of spatial dimensions, as chunked matrix products.

The three maps are one trilinear form, ``sum g[n,k,o] w[k,c,i] x[n,c, o*stride + i*dilation - padding]``, solved for
each of its arguments. They gather columns and multiply, or multiply and scatter, whichever moves less memory.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .columns import (
    CHANNELS,
    CHUNK_BYTES,
    PIXELS,
    Array,
    Geometry,
    Ints,
    Pairs,
    Plan,
    carve,
    chunks,
    column_chunks,
    make_plan,
    output_size,
    scratch,
)

POINTWISE_PIXELS = 64  # below it a 1x1 convolution gains from gathering several images into one product
LONG_SUM = 2048  # output pixels that one product of a weight gradient should span
FEW_ROWS = 32  # a result of so few rows is faster made transposed
SCATTER_COST = 3  # adding a product's element where it belongs, in units of copying an element into the columns


def _matrix(w: Array, geometry: Geometry, order: str) -> Array:
    """The kernel as ``(groups, out_channels, height of the columns)``."""
    blocks = w.reshape(geometry.groups, geometry.out_channels, geometry.in_channels, *geometry.kernel)
    if order == CHANNELS:
        blocks = np.moveaxis(blocks, 2, -1)
    return np.ascontiguousarray(blocks.reshape(geometry.groups, geometry.out_channels, -1))


def _correlate(x: Array, w: Array, out: Array, geometry: Geometry) -> None:
    """Write ``out[n,k,o] = sum_{c,i} w[k,c,i] x[n,c, o*stride + i*dilation - offset]``; `out` may be a strided view."""
    geo = geometry
    if not out.size or not w.size:
        out[...] = 0
        return
    pointwise = math.prod(geo.kernel) == 1 and geo.pixels == geo.length and not any(geo.offset)
    if pointwise and math.prod(geo.pixels) >= POINTWISE_PIXELS and out.flags.c_contiguous:
        source = x.reshape(geo.images, geo.groups, geo.in_channels, -1)
        target = out.reshape(geo.images, geo.groups, geo.out_channels, -1)
        np.matmul(_matrix(w, geo, PIXELS), source, out=target)
        return
    plan = make_plan(geo, x.itemsize, 0)
    matrix = _matrix(w, geo, plan.order)
    across = plan.order != PIXELS and geo.out_channels <= FEW_ROWS
    result_bytes = plan.images * geo.groups * geo.out_channels * plan.rows * math.prod(geo.pixels[1:]) * x.itemsize
    with scratch.borrow("result", result_bytes) as buffer:
        for chunk, columns in column_chunks(x, geo, plan):
            width = columns.shape[2]
            if across:
                result = carve(buffer, (geo.groups, width, geo.out_channels), x.dtype)
                np.matmul(columns.transpose(0, 2, 1), matrix.transpose(0, 2, 1), out=result)
                result = result.transpose(0, 2, 1)
            else:
                result = carve(buffer, (geo.groups, geo.out_channels, width), x.dtype)
                np.matmul(matrix, columns, out=result)
            target = chunk.of(out, geo.groups)
            np.copyto(target, result.reshape(target.shape))


def _correlate_weights(x: Array, g: Array, geometry: Geometry) -> Array:
    """Give ``sum_{n,o} g[n,k,o] x[n,c, o*stride + i*dilation - offset]``, of the kernel's shape."""
    geo = geometry
    shape = (geo.groups * geo.out_channels, geo.in_channels, *geo.kernel)
    if not g.size or not math.prod(shape):
        return np.zeros(shape, x.dtype)
    plan = make_plan(geo, x.itemsize, LONG_SUM)
    gradient_bytes = plan.images * geo.groups * geo.out_channels * plan.rows * math.prod(geo.pixels[1:]) * x.itemsize
    total: Array | None = None
    with scratch.borrow("result", gradient_bytes) as buffer:
        for chunk, columns in column_chunks(x, geo, plan):
            source = chunk.of(g, geo.groups)
            gradient = carve(buffer, source.shape, x.dtype)
            np.copyto(gradient, source)
            part = np.matmul(gradient.reshape(geo.groups, geo.out_channels, -1), columns.transpose(0, 2, 1))
            total = part if total is None else np.add(total, part, out=total)
    assert total is not None
    if plan.order != CHANNELS:
        return total.reshape(shape)
    blocks = total.reshape(geo.groups, geo.out_channels, *geo.kernel, geo.in_channels)
    return np.ascontiguousarray(np.moveaxis(blocks, -1, 2)).reshape(shape)


@lru_cache(maxsize=4096)
def _places(size: int, count: int, tap: int, stride: int, offset: int, dilation: int) -> tuple[slice, slice]:
    """Which of `count` outputs have a tap inside ``[0, size)``, and where: ``o * stride + tap * dilation - offset``."""
    shift = tap * dilation - offset
    first = max(0, -(shift // stride))
    last = min(count, (size - 1 - shift) // stride + 1)
    if last <= first:
        return slice(0, 0), slice(0, 0)
    begin = first * stride + shift
    return slice(first, last), slice(begin, begin + (last - first - 1) * stride + 1, stride)


def _add_taps(out: Array, columns: Array, geometry: Geometry) -> None:
    """Add columns ``(..., *taps, *pixels)`` to ``(..., *length)``, each tap of each pixel where it belongs."""
    geo = geometry
    for tap in product(*map(range, geo.kernel)):
        dims = zip(out.shape[-len(tap) :], geo.pixels, tap, geo.stride, geo.offset, geo.dilation, strict=True)
        parts, places = zip(*(_places(*dim) for dim in dims), strict=True)
        target = out[(..., *places)]
        np.add(target, columns[(slice(None),) * (out.ndim - len(tap)) + tap + parts], out=target)


def _scatter(g: Array, w: Array, out: Array, geometry: Geometry) -> None:
    """Write ``out[n,c,h] = sum_{k,o,i} w[k,c,i] g[n,k,o]`` over ``h = o*stride + i*dilation - offset``.

    It multiplies, then adds up. `geometry` is that of the correlation whose transpose this is: `out` is its input, and
    `g` has its output's shape.
    """
    geo = geometry
    pixels, height = math.prod(geo.pixels), geo.in_channels * math.prod(geo.kernel)
    blocks = w.reshape(geo.groups, geo.out_channels, height).transpose(0, 2, 1)
    images = max(1, min(geo.images, CHUNK_BYTES // max(1, geo.groups * height * pixels * g.itemsize)))
    target = out.reshape(geo.images, geo.groups, geo.in_channels, *geo.length)
    target[...] = 0
    with (
        scratch.borrow("columns", images * geo.groups * height * pixels * g.itemsize) as column_buffer,
        scratch.borrow("result", images * geo.groups * geo.out_channels * pixels * g.itemsize) as gradient_buffer,
    ):
        for chunk in chunks(geo, Plan(PIXELS, images, geo.pixels[0])):
            source = chunk.of(g, geo.groups)
            gradient = carve(gradient_buffer, source.shape, g.dtype)
            np.copyto(gradient, source)
            columns = carve(column_buffer, (geo.groups, height, source[0, 0].size), g.dtype)
            np.matmul(blocks, gradient.reshape(geo.groups, geo.out_channels, -1), out=columns)
            columns = columns.reshape(geo.groups, geo.in_channels, *geo.kernel, -1, *geo.pixels)
            columns = np.moveaxis(columns, 2 + len(geo.kernel), 0)
            _add_taps(target[chunk.first : chunk.last], columns, geo)


def _working(*arrays: Array) -> tuple[Array, ...]:
    """The operands in the type they are summed in: float32 for the 16-bit floats, their own otherwise."""
    dtype = arrays[0].dtype
    if dtype.kind in "iufc" and not (dtype.kind == "f" and dtype.itemsize < 4):
        return arrays
    return tuple(a.astype(np.float32) for a in arrays)


def conv(x: Array, w: Array, *, stride: Ints, padding: Pairs, dilation: Ints, groups: int) -> Array:
    """Cross-correlation of a batch with a kernel, without bias.

    .. math:: out[n,k,o] = \\sum_{c,i} w[k,c,i]\\, x[n, c, o \\cdot stride + i \\cdot dilation - padding]

    `x` is ``(N, C, *L)``, `w` is ``(K, C / groups, *k)``; `padding` holds a (before, after) pair per spatial dimension,
    and a negative one cuts. Sums are in the operands' type, in float32 for the 16-bit floats.

    >>> conv(
    ...     np.ones((1, 1, 4)), np.ones((1, 1, 2)), stride=(2,), padding=((1, 1),), dilation=(1,), groups=1
    ... )
    array([[[1., 2., 1.]]])
    """
    pixels = output_size(x.shape[2:], w.shape[2:], stride, padding, dilation)
    dtype = x.dtype
    x, w = _working(x, w)
    out = np.empty((x.shape[0], w.shape[0], *pixels), x.dtype)
    offset = tuple(lo for lo, _ in padding)
    into, each = w.shape[1], w.shape[0] // groups
    spatial = (x.shape[2:], w.shape[2:], pixels, stride, offset, dilation)
    if math.prod(w.shape[2:]) > 1 and set(stride) == {1} and each * SCATTER_COST <= into:
        _scatter(x, _flipped(w, groups), out, _flipped_geometry(Geometry(x.shape[0], groups, into, each, *spatial)))
    else:
        _correlate(x, w, out, Geometry(x.shape[0], groups, into, each, *spatial))
    return out.astype(dtype, copy=False)


def _flipped(w: Array, groups: int) -> Array:
    """The kernel with its taps in reverse, and its two channels exchanged."""
    blocks = w.reshape(groups, w.shape[0] // groups, *w.shape[1:]).swapaxes(1, 2)
    blocks = np.flip(blocks, tuple(range(3, blocks.ndim)))
    return blocks.reshape(groups * w.shape[1], w.shape[0] // groups, *w.shape[2:])


def _flipped_geometry(geometry: Geometry) -> Geometry:
    """The geometry of the correlation with stride one whose transpose is the given one, with the flipped kernel."""
    geo = geometry
    offset = tuple((k - 1) * d - o for k, d, o in zip(geo.kernel, geo.dilation, geo.offset, strict=True))
    return geo._replace(
        in_channels=geo.out_channels, out_channels=geo.in_channels, length=geo.pixels, pixels=geo.length, offset=offset
    )


def conv_weight_grad(
    g: Array, x: Array, *, w_shape: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Array:
    """The cotangent of a convolution's kernel: the transpose of :func:`conv` in its second argument.

    .. math:: out[k,c,i] = \\sum_{n,o} g[n,k,o]\\, x[n, c, o \\cdot stride + i \\cdot dilation - padding]

    >>> g, x = np.ones((1, 1, 3)), np.arange(4.0).reshape(1, 1, 4)
    >>> conv_weight_grad(g, x, w_shape=(1, 1, 2), stride=(1,), padding=((0, 0),), dilation=(1,), groups=1)
    array([[[3., 6.]]])
    """
    dtype = x.dtype
    g, x = _working(g, x)
    offset = tuple(lo for lo, _ in padding)
    per_group = (w_shape[1], w_shape[0] // groups)
    geometry = Geometry(x.shape[0], groups, *per_group, x.shape[2:], w_shape[2:], g.shape[2:], stride, offset, dilation)
    return _correlate_weights(x, g, geometry).astype(dtype, copy=False)


class Phase(NamedTuple):
    """One residue of the input positions modulo the stride, along one dimension: a correlation with stride one.

    Positions ``start, start + stride, ...`` read the taps ``first, first + step, ...`` in reverse, `dilation` apart.
    """

    start: int
    length: int
    first: int
    step: int
    taps: int
    offset: int
    dilation: int


@lru_cache(maxsize=1024)
def _phases(length: int, kernel: int, stride: int, before: int, dilation: int) -> tuple[Phase, ...]:
    """Split a transposed convolution of one dimension by residue; a residue that no tap reaches has ``taps == 0``.

    Position h receives ``w[i] g[o]`` from every tap with ``h + before = o * stride + i * dilation``. With h's residue
    fixed, the taps that fit are every `step`-th, and o moves back by ``dilation / gcd`` from one to the next.
    """
    common = math.gcd(stride, dilation)
    step, spread = stride // common, dilation // common
    phases = []
    for start in range(min(stride, length)):
        residue = (start + before) % stride
        first = next((i for i in range(min(step, kernel)) if (i * dilation - residue) % stride == 0), None)
        count = -(-(length - start) // stride)
        if first is None:
            phases.append(Phase(start, count, 0, step, 0, 0, spread))
            continue
        taps = -(-(kernel - first) // step)
        position = (start + before - first * dilation) // stride  # the output that the first tap carries to `start`
        phases.append(Phase(start, count, first, step, taps, (taps - 1) * spread - position, spread))
    return tuple(phases)


def conv_input_grad(
    g: Array, w: Array, *, x_shape: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Array:
    """The cotangent of a convolution's input: :func:`conv` transposed in its first argument, a transposed convolution.

    .. math:: out[n,c,h] = \\sum_{k,o,i:\\; o \\cdot stride + i \\cdot dilation - padding = h} g[n,k,o]\\, w[k,c,i]

    With a stride, the positions h of each residue modulo the stride form a correlation with stride one of their own, so
    no product is formed that is zero, and nothing is scattered; but where the result has few channels, products are
    made first and scattered, which moves less memory.

    >>> g, w = np.ones((1, 1, 2)), np.array([[[1.0, 2.0]]])
    >>> conv_input_grad(g, w, x_shape=(1, 1, 5), stride=(2,), padding=((0, 0),), dilation=(1,), groups=1)
    array([[[1., 2., 1., 2., 0.]]])
    """
    dtype = g.dtype
    g, w = _working(g, w)
    out = np.empty(x_shape, g.dtype)
    if not out.size or not w.size:
        out[...] = 0
        return out.astype(dtype, copy=False)
    into, each = w.shape[1], w.shape[0] // groups
    if into * SCATTER_COST <= each:
        offset = tuple(lo for lo, _ in padding)
        spatial = (x_shape[2:], w.shape[2:], g.shape[2:], stride, offset, dilation)
        _scatter(g, w, out, Geometry(g.shape[0], groups, into, each, *spatial))
        return out.astype(dtype, copy=False)
    dims = zip(x_shape[2:], w.shape[2:], stride, padding, dilation, strict=True)
    for phases in product(*(_phases(n, k, s, lo, d) for n, k, s, (lo, _), d in dims)):
        places: Any = tuple(slice(p.start, None, s) for p, s in zip(phases, stride, strict=True))
        _write_phase(g, w, out[(..., *places)], phases, groups)
    return out.astype(dtype, copy=False)


def _write_phase(g: Array, w: Array, out: Array, phases: tuple[Phase, ...], groups: int) -> None:
    """Write the positions of one residue in each dimension: a correlation with some of the taps, reversed."""
    if not all(p.taps for p in phases):
        out[...] = 0
        return
    into, each = w.shape[1], w.shape[0] // groups
    some: Any = tuple(slice(p.first, None, p.step) for p in phases)
    kernel = tuple(p.taps for p in phases)
    spatial = (
        g.shape[2:],
        kernel,
        tuple(p.length for p in phases),
        (1,) * len(phases),
        tuple(p.offset for p in phases),
        tuple(p.dilation for p in phases),
    )
    _correlate(g, _flipped(w[(..., *some)], groups), out, Geometry(g.shape[0], groups, each, into, *spatial))


def unfold(x: Array, *, kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> Array:
    """Sliding blocks as columns: ``(N, C, *L)`` to ``(N, C * prod(kernel), blocks)``.

    >>> unfold(np.arange(3.0).reshape(1, 1, 3), kernel=(2,), stride=(1,), padding=((0, 0),), dilation=(1,))
    array([[[0., 1.],
            [1., 2.]]])
    """
    blocks = output_size(x.shape[2:], kernel, stride, padding, dilation)
    before, after = tuple(max(lo, 0) for lo, _ in padding), tuple(max(hi, 0) for _, hi in padding)
    wide = np.pad(x, ((0, 0), (0, 0), *zip(before, after, strict=True))) if any(before + after) else x
    kept: Any = tuple(slice(max(-lo, 0), n - max(-hi, 0)) for (lo, hi), n in zip(padding, wide.shape[2:], strict=True))
    wide = wide[(..., *kept)]
    step = wide.strides[2:]
    taps = tuple(b * d for b, d in zip(step, dilation, strict=True))
    strides = (*wide.strides[:2], *taps, *(b * s for b, s in zip(step, stride, strict=True)))
    columns = as_strided(wide, (*x.shape[:2], *kernel, *blocks), strides).copy()
    return columns.reshape(x.shape[0], x.shape[1] * math.prod(kernel), math.prod(blocks))


def fold(x: Array, *, size: Ints, kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> Array:
    """Sum columns back to where they came from: the transpose of :func:`unfold`.

    >>> fold(np.ones((1, 2, 2)), size=(3,), kernel=(2,), stride=(1,), padding=((0, 0),), dilation=(1,))
    array([[[1., 2., 1.]]])
    """
    blocks = output_size(size, kernel, stride, padding, dilation)
    (columns,), dtype = _working(x), x.dtype
    columns = columns.reshape(x.shape[0], x.shape[1] // math.prod(kernel), *kernel, *blocks)
    out = np.zeros((*columns.shape[:2], *size), columns.dtype)
    offset = tuple(lo for lo, _ in padding)
    _add_taps(out, columns, Geometry(x.shape[0], 1, 1, 1, size, kernel, blocks, stride, offset, dilation))
    return out.astype(dtype, copy=False)
