"""The input of a correlation laid out as a matrix, a chunk at a time, in whichever order is cheapest to copy.

The matrix (the *columns*) has a row for each channel and tap of the kernel, and a column for each output pixel. It is
made a chunk at a time, so that it is still in the cache when a matrix product reads it, and in whichever of three
orders makes the longest runs of contiguous memory (:func:`make_plan` holds the cost model, a function of shapes only).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

Array = NDArray[Any]
Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]

PIXELS, PATCHES, CHANNELS = "pixels", "patches", "channels"  # which index of the columns runs fastest
CHUNK_BYTES = 4 << 20  # columns made at a time: well inside the last level cache, long enough for the matrix product
CHUNK_BYTES_MAX = 64 << 20  # where a long sum must not be cut into many (weight gradients)
SCRATCH_BYTES = 16 << 20  # a buffer larger than this is not kept between calls


class _Scratch(threading.local):
    """One growing byte buffer per role and thread; a buffer is taken out while it is used."""

    def __init__(self) -> None:
        self.free: dict[str, Array] = {}

    @contextmanager
    def borrow(self, role: str, size: int) -> Iterator[Array]:
        """Lend at least `size` bytes for the length of a `with` block."""
        buffer = self.free.pop(role, None)
        if buffer is None or buffer.size < size:
            buffer = np.empty(size, np.uint8)
        try:
            yield buffer
        finally:
            if buffer.size <= SCRATCH_BYTES:
                self.free[role] = buffer


scratch = _Scratch()


def carve(buffer: Array, shape: Ints, dtype: np.dtype[Any]) -> Array:
    """The first bytes of `buffer` as an array."""
    return buffer[: math.prod(shape) * dtype.itemsize].view(dtype).reshape(shape)


class Geometry(NamedTuple):
    """Everything about a correlation but its numbers: sizes, and the steps by which it reads its input."""

    images: int
    groups: int
    in_channels: int  # per group
    out_channels: int  # per group
    length: Ints  # the input's spatial sizes
    kernel: Ints
    pixels: Ints  # the output's spatial sizes
    stride: Ints
    offset: Ints  # input position = output position * stride + tap * dilation - offset; zero outside the input
    dilation: Ints

    @property
    def extent(self) -> Ints:
        """The spatial sizes of the part of the zero-extended input that is read."""
        steps = zip(self.pixels, self.kernel, self.stride, self.dilation, strict=True)
        return tuple((o - 1) * s + (k - 1) * d + 1 for o, k, s, d in steps)


class Plan(NamedTuple):
    """How a correlation is cut: the columns' order, and how many images and rows of output make one chunk."""

    order: str
    images: int
    rows: int


def output_size(length: Ints, kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> Ints:
    """Spatial sizes of a convolution's output: ``floor((L + lo + hi - dilation*(k-1) - 1) / stride) + 1``."""
    dims = zip(length, kernel, stride, padding, dilation, strict=True)
    return tuple((n + lo + hi - d * (k - 1) - 1) // s + 1 for n, k, s, (lo, hi), d in dims)


def _copy_cost(geometry: Geometry, order: str, itemsize: int) -> float:
    """Nanoseconds, roughly, to make all columns in one order: so much per contiguous run, byte, and stray element."""
    geo = geometry
    columns = geo.images * geo.groups * geo.in_channels * math.prod(geo.kernel) * math.prod(geo.pixels)
    source = geo.images * geo.groups * geo.in_channels * math.prod(geo.extent)
    whole = geo.extent == geo.length and not any(geo.offset)
    if order == PIXELS:
        unit = geo.stride[-1] == 1
        runs = columns / (geo.pixels[-1] if unit else 1)
        return runs * (4.0 if unit else 0.3) + 0.03 * itemsize * columns + (0.0 if whole else 0.15 * source)
    run = geo.in_channels if order == CHANNELS else 1
    for k, d, extent in zip(reversed(geo.kernel), reversed(geo.dilation), reversed(geo.extent), strict=True):
        run *= k if d == 1 else 1
        if d != 1 or k != extent:
            break
    prepare = 0.6 * source if order == CHANNELS else 0.0 if whole else 0.15 * source
    return columns / max(run, 1) * 4.0 + 0.03 * itemsize * columns + prepare


@lru_cache(maxsize=1024)
def make_plan(geometry: Geometry, itemsize: int, least_pixels: int) -> Plan:
    """Choose the columns' order and the chunk; a chunk spans `least_pixels` output pixels where memory allows."""
    geo = geometry
    order = min((PIXELS, PATCHES, CHANNELS), key=lambda kind: _copy_cost(geo, kind, itemsize))
    taps = geo.groups * geo.in_channels * math.prod(geo.kernel) * itemsize
    pixels = math.prod(geo.pixels)
    budget = min(max(CHUNK_BYTES, taps * least_pixels), CHUNK_BYTES_MAX)
    if taps * pixels > 2 * budget:
        return Plan(order, 1, max(1, budget // (taps * math.prod(geo.pixels[1:]))))
    return Plan(order, min(geo.images, max(1, budget // (taps * pixels))), geo.pixels[0])


class Chunk(NamedTuple):
    """A block of output pixels: images `first` to `last`, rows `top` to `bottom` of the first spatial dimension."""

    first: int
    last: int
    top: int
    bottom: int

    def of(self, array: Array, groups: int) -> Array:
        """This block of an output-shaped array, as ``(groups, channels, images, rows, ...)``."""
        block = array[self.first : self.last, :, self.top : self.bottom]
        block = block.reshape(block.shape[0], groups, -1, *block.shape[2:])
        return block.transpose(1, 2, 0, *range(3, block.ndim))


def chunks(geometry: Geometry, plan: Plan) -> Iterator[Chunk]:
    """Cut the output as planned."""
    for first in range(0, geometry.images, plan.images):
        for top in range(0, geometry.pixels[0], plan.rows):
            yield Chunk(
                first,
                min(first + plan.images, geometry.images),
                top,
                min(top + plan.rows, geometry.pixels[0]),
            )


def slab_of(x: Array, geometry: Geometry, order: str, chunk: Chunk, buffer: Array) -> Array:
    """The part of the zero-extended input that one chunk reads, as ``(images, groups, channels, *extent)``.

    A view of `x` where nothing lies outside and the order allows it; else a copy in `buffer`, channels last for
    ``CHANNELS``.
    """
    geo = geometry
    images = chunk.last - chunk.first
    start = (chunk.top * geo.stride[0] - geo.offset[0], *(-o for o in geo.offset[1:]))
    extent = (
        (chunk.bottom - chunk.top - 1) * geo.stride[0] + (geo.kernel[0] - 1) * geo.dilation[0] + 1,
        *geo.extent[1:],
    )
    inside = tuple(
        slice(max(a, 0), max(min(a + m, n), a, 0)) for a, m, n in zip(start, extent, geo.length, strict=True)
    )
    part = x[(slice(chunk.first, chunk.last), slice(None), *inside)]
    part = part.reshape(images, geo.groups, geo.in_channels, *part.shape[2:])
    if order != CHANNELS and part.shape[3:] == extent:
        return part
    spatial = tuple(range(2, 2 + len(extent)))
    if order == CHANNELS:
        slab = carve(buffer, (geo.groups, images, *extent, geo.in_channels), x.dtype)
        slab = slab.transpose(1, 0, len(extent) + 2, *spatial)
    else:
        slab = carve(buffer, (images, geo.groups, geo.in_channels, *extent), x.dtype)
    if part.shape[3:] != extent:
        slab[...] = 0
    place = tuple(slice(s.start - a, s.stop - a) for s, a in zip(inside, start, strict=True))
    slab[(slice(None), slice(None), slice(None), *place)] = part
    return slab


def columns_of(slab: Array, geometry: Geometry, order: str, buffer: Array) -> Array:
    """The columns of one slab, as ``(groups, channels x taps, images x pixels)``; taps x channels for ``CHANNELS``."""
    geo = geometry
    images, step = slab.shape[0], slab.strides[3:]
    rows = (slab.shape[3] - (geo.kernel[0] - 1) * geo.dilation[0] - 1) // geo.stride[0] + 1
    group, channel, image = (geo.groups, slab.strides[1]), (geo.in_channels, slab.strides[2]), (images, slab.strides[0])
    taps = [(k, b * d) for k, b, d in zip(geo.kernel, step, geo.dilation, strict=True)]
    pixels = [(o, b * s) for o, b, s in zip((rows, *geo.pixels[1:]), step, geo.stride, strict=True)]
    if order == PIXELS:
        axes = [group, channel, *taps, image, *pixels]
    elif order == PATCHES:
        axes = [group, image, *pixels, channel, *taps]
    else:
        axes = [group, image, *pixels, *taps, channel]
    shape, strides = tuple(n for n, _ in axes), tuple(b for _, b in axes)
    columns = carve(buffer, shape, slab.dtype)
    np.copyto(columns, as_strided(slab, shape, strides))
    height = geo.in_channels * math.prod(geo.kernel)
    if order == PIXELS:
        return columns.reshape(geo.groups, height, -1)
    return columns.reshape(geo.groups, -1, height).transpose(0, 2, 1)


def buffer_sizes(geometry: Geometry, plan: Plan, itemsize: int) -> tuple[int, int]:
    """Sizes of the slab's and the columns' buffers for the largest chunk."""
    geo = geometry
    channels = plan.images * geo.groups * geo.in_channels * itemsize
    height = (plan.rows - 1) * geo.stride[0] + (geo.kernel[0] - 1) * geo.dilation[0] + 1
    pixels = plan.rows * math.prod(geo.pixels[1:])
    return channels * height * math.prod(geo.extent[1:]), channels * math.prod(geo.kernel) * pixels


def column_chunks(x: Array, geometry: Geometry, plan: Plan) -> Iterator[tuple[Chunk, Array]]:
    """Give each chunk of the output with the columns it needs, which the next one overwrites."""
    slab_bytes, column_bytes = buffer_sizes(geometry, plan, x.itemsize)
    with scratch.borrow("slab", slab_bytes) as slab_buffer, scratch.borrow("columns", column_bytes) as column_buffer:
        for chunk in chunks(geometry, plan):
            slab = slab_of(x, geometry, plan.order, chunk, slab_buffer)
            yield chunk, columns_of(slab, geometry, plan.order, column_buffer)
