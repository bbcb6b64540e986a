"""Index maps: which element of a value a loop's counters stand for, as affine functions of the counters.

A map has one entry per dimension of the value: (constant, coefficients), one coefficient per dimension of the iteration domain.
"""

from __future__ import annotations

import itertools
from typing import Any

Affine = tuple[int, tuple[int, ...]]
Map = tuple[Affine, ...]


def strides_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Give the strides, in elements, of a contiguous array of this shape."""
    out = [1] * len(shape)
    for d in range(len(shape) - 2, -1, -1):
        out[d] = out[d + 1] * shape[d + 1]
    return tuple(out)


def identity(domain: tuple[int, ...]) -> Map:
    """Give the map of a value that has the domain's own shape."""
    n = len(domain)
    return tuple([(0, tuple([int(i == d and domain[d] != 1) for i in range(n)])) for d in range(n)])


def linear(index: Map, strides: tuple[int, ...], n: int) -> Affine:
    """Give the sum of a map's entries times strides: an address."""
    constant = 0
    coefs = [0] * n
    for (c, ks), stride in zip(index, strides, strict=True):
        constant += c * stride
        for i, k in enumerate(ks):
            if k:
                coefs[i] += k * stride
    return constant, tuple(coefs)


def split(address: Affine, shape: tuple[int, ...], domain: tuple[int, ...]) -> Map | None:
    """Take a row-major address apart into the indices of a shape; None where they are not affine."""
    constant, coefs = address
    steps = strides_of(shape)
    n = len(domain)
    if 0 in shape or 0 in domain:  # there is nothing to find
        return tuple([(0, (0,) * n) for _ in shape])
    constants, rows = [], []
    for d, step in enumerate(steps):
        constants.append(constant // step if shape[d] != 1 else 0)
        constant -= constants[-1] * step
        rows.append([0] * n)
    if constant:
        return None
    live = [d for d, size in enumerate(shape) if size != 1]
    for i, k in enumerate(coefs):
        if not k or domain[i] == 1:
            continue
        for d in live:
            if k % steps[d] == 0 and (len(live) == 1 or 0 <= k * domain[i] <= steps[d] * shape[d]):
                rows[d][i] += k // steps[d]
                break
        else:
            return None
    for d in live:
        low = constants[d] + sum(min(k, 0) * (e - 1) for k, e in zip(rows[d], domain, strict=True))
        high = constants[d] + sum(max(k, 0) * (e - 1) for k, e in zip(rows[d], domain, strict=True))
        if low < 0 or high >= shape[d]:
            return None
    return tuple([(c, tuple(r)) for c, r in zip(constants, rows, strict=True)])


def refined(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """Give a shape with the cuts of two shapes of one size; the first where there is none.

    Examples
    --------
    >>> from retrograd.compiler.lowering.maps import refined
    >>> refined((32, 8, 25088), (32, 64, 56, 56))
    (32, 8, 8, 56, 56)
    """
    cuts = set()
    for shape in (a, b):
        total = 1
        for n in reversed(shape):
            cuts.add(total)
            total *= n
        cuts.add(total)
    steps = sorted(cuts)
    if any(high % low for low, high in itertools.pairwise(steps)):
        return a
    lengths = tuple([high // low for low, high in itertools.pairwise(steps)][::-1])
    return lengths if len(lengths) > len([n for n in a if n != 1]) else a


def reshaped(index: Map, old: tuple[int, ...], new: tuple[int, ...], domain: tuple[int, ...]) -> Map | None:
    """Give the map of a value from the map of its reshaped form (``old`` is that form's shape, ``new`` the value's)."""
    return split(linear(index, strides_of(old), len(domain)), new, domain)


def _permuted(node: Any, index: Map) -> Map:
    back: list[Any] = [None] * len(index)
    for i, a in enumerate(node.attrs["axes"]):
        back[a] = index[i]
    return tuple(back)


def _transposed(node: Any, index: Map) -> Map:
    out = list(index)
    a, b = node.attrs["a"], node.attrs["b"]
    out[a], out[b] = out[b], out[a]
    return tuple(out)


def _expanded(node: Any, index: Map) -> Map:
    inner = node.inputs[0].shape
    lead = len(index) - len(inner)
    n = len(index[0][1]) if index else 0
    return tuple([(0, (0,) * n) if size == 1 else index[lead + d] for d, size in enumerate(inner)])


def parts(index: Any, shape: tuple[int, ...]) -> list[Any] | None:
    """Give a basic index as one entry per dimension of ``shape`` and per new axis: int, (start, step), or None for a new axis."""
    entries = list(index) if isinstance(index, tuple) else [index]
    taken = sum(e is not None and e is not Ellipsis for e in entries)
    if Ellipsis in entries:
        at = entries.index(Ellipsis)
        entries[at : at + 1] = [slice(None)] * (len(shape) - taken)
    else:
        entries += [slice(None)] * (len(shape) - taken)
    out: list[Any] = []
    d = 0
    for e in entries:
        if e is None:
            out.append(None)
            continue
        if isinstance(e, slice):
            start, _, step = e.indices(shape[d])
            out.append((start, step))
        elif hasattr(e, "__index__") and not isinstance(e, bool):
            out.append(int(e) % shape[d] if shape[d] else 0)
        else:
            return None
        d += 1
    return out


def _sliced(node: Any, index: Map, n: int) -> Map | None:
    found = parts(node.attrs["index"], node.inputs[0].shape)
    if found is None:
        return None
    out: list[Affine] = []
    d = 0
    for e in found:
        if e is None:
            d += 1
        elif isinstance(e, tuple):
            constant, coefs = index[d]
            out.append((e[0] + constant * e[1], tuple([k * e[1] for k in coefs])))
            d += 1
        else:
            out.append((e, (0,) * n))
    return tuple(out)


def _flipped(node: Any, index: Map) -> Map:
    shape = node.shape
    out = list(index)
    for a in node.attrs["axes"]:
        constant, coefs = out[a]
        out[a] = (shape[a] - 1 - constant, tuple([-k for k in coefs]))
    return tuple(out)


VIEWS = {"view", "expand", "permute", "transpose", "slice", "flip", "after"}


def through(node: Any, index: Map, domain: tuple[int, ...]) -> Map | None:
    """Give the map of a view's source from the map of the view, or None where it is not affine."""
    name = node.op.name
    if name == "after":
        return index
    if name == "view":
        return reshaped(index, node.shape, node.inputs[0].shape, domain)
    if name == "expand":
        return _expanded(node, index) if index else tuple([(0, (0,) * len(domain)) for _ in node.inputs[0].shape])
    if name == "permute":
        return _permuted(node, index)
    if name == "transpose":
        return _transposed(node, index)
    if name == "slice":
        return _sliced(node, index, len(domain))
    if name == "flip":
        return _flipped(node, index)
    return None


def source(node: Any, index: Map, domain: tuple[int, ...]) -> tuple[Any, Map] | None:
    """Follow views down to what has memory or is computed; give it with its map, or None where a view is not affine."""
    while node.op is not None and node.op.name in VIEWS:
        found = through(node, index, domain)
        if found is None:
            return None
        node, index = node.inputs[0], found
    return node, index
