"""What a convolution and its two Jacobian products have in common: positions that are affine in an output's and a tap's index."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]
DIMENSIONS = 3  # spatial; fewer are padded in front with dimensions of length one


@dataclass(frozen=True)
class Axis:
    """One spatial dimension of a part: which results it makes, and where in the source it looks for them.

    Result number m lies at ``start + m * step``; its tap number t reads the source at ``m * stride + first + t * spread``
    and the kernel at ``tap + t * tap_step``.
    """

    start: int
    step: int
    count: int
    stride: int
    first: int
    spread: int
    taps: int
    tap: int = 0
    tap_step: int = 1

    @property
    def low(self) -> int:
        """The lowest position of the source that result 0 reads."""
        return self.first + min(0, (self.taps - 1) * self.spread)

    @property
    def high(self) -> int:
        """The highest position of the source that the last result reads."""
        return (self.count - 1) * self.stride + self.first + max(0, (self.taps - 1) * self.spread)


Part = tuple[Axis, Axis, Axis]


@dataclass(frozen=True)
class Correlation:
    """``result[n, q, o] = sum over r, t of kernel[q, r, t] * source[n, r, position(o, t)]``, group by group; 0 outside the source.

    Attributes
    ----------
    groups, into, out : int
        Groups, and channels of the source and of the result in each.
    length, result : tuple of int
        The three spatial sizes of the source and of the result.
    kernel : tuple of int
        The three spatial sizes of the kernel.
    q_step, r_step : int
        Steps in the kernel's memory from one result channel, and one source channel, to the next.
    parts : tuple of Part
        They make different results: one for a convolution, one per residue of the stride for its transpose. A part that has
        no taps makes zeros.
    """

    groups: int
    into: int
    out: int
    length: Ints
    result: Ints
    kernel: Ints
    q_step: int
    r_step: int
    parts: tuple[Part, ...]

    @property
    def taps(self) -> int:
        """Taps of the whole kernel."""
        return math.prod(self.kernel)

    @property
    def group_step(self) -> int:
        """From one group's kernels to the next's."""
        return self.into * self.out * self.taps

    @property
    def pixels(self) -> int:
        """Results of a channel."""
        return math.prod(self.result)

    @property
    def work(self) -> int:
        """Multiplications for one image."""
        each = sum(math.prod(a.count * a.taps for a in part) for part in self.parts)
        return self.groups * self.into * self.out * each

    @property
    def low(self) -> Ints:
        """The lowest position of the source that is read for result 0, in each dimension."""
        return tuple(min(p[d].low for p in self.live) for d in range(DIMENSIONS))

    @property
    def skips(self) -> Ints:
        """In each dimension, how far apart the positions are that are read at all: the stride, where there is one tap."""
        if len(self.parts) > 1:
            return (1,) * DIMENSIONS
        return tuple(a.stride if a.taps == 1 and a.count > 1 else 1 for a in self.parts[0])

    @property
    def live(self) -> tuple[Part, ...]:
        """The parts that have taps."""
        return tuple(p for p in self.parts if all(a.taps for a in p))


def part_taps(part: Part) -> int:
    """Count the taps of a part."""
    return math.prod(a.taps for a in part)


def taps_inside(axis: Axis, length: int, first: int, last: int) -> tuple[int, int]:
    """Give which taps meet a source of that length for some of the results whose first taps lie between two positions."""
    begin = min(-(-max(0, -last) // axis.spread), axis.taps)
    return begin, max(begin, min(max(0, length - 1 + axis.spread - first) // axis.spread, axis.taps))


def met(c: Correlation, part: Part, d: int, together: int) -> float:
    """Give how many taps along a dimension meet the source, in the middle of all results, so many of which go together."""
    axis = part[d]
    if axis.taps < 2 or not axis.count:
        return axis.taps
    total = 0
    for n in range(0, axis.count, together):
        results = min(together, axis.count - n)
        start = n * axis.stride + axis.first
        begin, end = taps_inside(axis, c.length[d], start, start + (results - 1) * axis.stride)
        total += results * (end - begin)
    return total / axis.count


def spread(values: Ints, fill: int) -> Ints:
    """Give one value for each of the three dimensions."""
    return (fill,) * (DIMENSIONS - len(values)) + tuple(values)


def forward(
    into: int,
    out: int,
    length: Ints,
    kernel: Ints,
    result: Ints,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
) -> Correlation:
    """Describe a convolution; ``into`` and ``out`` are channels per group."""
    length, kernel, result = spread(length, 1), spread(kernel, 1), spread(result, 1)
    stride, dilation, before = spread(stride, 1), spread(dilation, 1), spread(tuple(p[0] for p in padding), 0)
    axes = [Axis(0, 1, o, s, -p, d, k) for o, s, p, d, k in zip(result, stride, before, dilation, kernel, strict=True)]
    taps = math.prod(kernel)
    part = (axes[0], axes[1], axes[2])
    return Correlation(groups, into, out, length, result, kernel, into * taps, taps, (part,))


def transposed(
    into: int,
    out: int,
    length: Ints,
    kernel: Ints,
    result: Ints,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
) -> Correlation:
    """Describe the input gradient of the convolution that has these sizes: a correlation of the output's gradient.

    The positions of each residue modulo the stride are a part of their own, so that no product with a zero is formed.
    """
    length, kernel, result = spread(length, 1), spread(kernel, 1), spread(result, 1)
    stride, dilation, before = spread(stride, 1), spread(dilation, 1), spread(tuple(p[0] for p in padding), 0)
    axes = [residues(n, k, s, p, d) for n, k, s, p, d in zip(length, kernel, stride, before, dilation, strict=True)]
    taps = math.prod(kernel)
    parts = tuple((a, b, c) for a, b, c in product(*axes))
    return Correlation(groups, out, into, result, length, kernel, taps, into * taps, parts)


def residues(length: int, kernel: int, stride: int, before: int, dilation: int) -> tuple[Axis, ...]:
    """Split a transposed convolution of one dimension by the residue of a position modulo the stride.

    Position h receives ``w[i] * g[o]`` from every tap with ``h + before = o * stride + i * dilation``. With h's residue
    fixed, the taps that fit are every `step`-th, and o moves back by ``dilation / gcd`` from one to the next.
    """
    common = math.gcd(stride, dilation)
    step, back = stride // common, dilation // common
    axes = []
    for start in range(min(stride, length)):
        residue = (start + before) % stride
        count = -(-(length - start) // stride)
        tap = next((i for i in range(min(step, kernel)) if (i * dilation - residue) % stride == 0), None)
        if tap is None:
            axes.append(Axis(start, stride, count, 1, 0, 1, 0))
            continue
        taps = -(-(kernel - tap) // step)
        position = (start + before - tap * dilation) // stride  # the output that the first tap carries to `start`
        last = tap + (taps - 1) * step
        axes.append(Axis(start, stride, count, 1, position - (taps - 1) * back, back, taps, last, -step))
    return tuple(axes)
