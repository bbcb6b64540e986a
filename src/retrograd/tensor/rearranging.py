"""rearrange: dimensions reordered, split and merged by a pattern of names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..core import BaseTensor, apply
from ..ops.shape import expand, permute, reshape
from .functions.joining import stack

DOTS = "..."


def _parsed(side: str, pattern: str) -> list[list[str]]:
    """Give the groups of a side of a pattern; a name alone is a group of one."""
    groups: list[list[str]] = []
    open_group: list[str] | None = None
    for word in side.replace("(", " ( ").replace(")", " ) ").replace("...", " ... ").split():
        if word == "(":
            if open_group is not None:
                raise ValueError(f"rearrange: brackets within brackets in {pattern!r}")
            open_group = []
        elif word == ")":
            if open_group is None:
                raise ValueError(f"rearrange: a closing bracket without its opening one in {pattern!r}")
            groups.append(open_group)
            open_group = None
        elif open_group is not None:
            open_group.append(word)
        else:
            groups.append([word] if word != "1" else [])
    if open_group is not None:
        raise ValueError(f"rearrange: a bracket is not closed in {pattern!r}")
    names = [n for g in groups for n in g]
    for n in names:
        if n != DOTS and n != "1" and not n.isidentifier():
            raise ValueError(f"rearrange: {n!r} in {pattern!r} is no name of a dimension")
        if n != "1" and names.count(n) > 1:
            raise ValueError(f"rearrange: {n!r} stands twice on one side of {pattern!r}")
    return [[n for n in g if n != "1"] for g in groups]


def rearrange(tensor: Any, pattern: str, **axes_lengths: int) -> Any:
    """Reorder, split and merge dimensions by a pattern such as ``"b (h w) c -> b c h w"``.

    Parameters
    ----------
    tensor : Tensor or sequence of Tensor
        A sequence is stacked first.
    pattern : str
        Names of the dimensions before and after; brackets hold dimensions that are one; ``...`` stands for any number.
    **axes_lengths : int
        Lengths of dimensions that the brackets leave open.

    Raises
    ------
    ValueError
        The pattern is malformed, or does not fit the tensor.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.func.rearrange(torch.arange(6), "(a b) -> b a", a=2)
    tensor([[0, 3],
            [1, 4],
            [2, 5]])
    """
    if not isinstance(tensor, BaseTensor):
        if not isinstance(tensor, Sequence):
            raise TypeError(f"rearrange: expected a Tensor or a sequence of them, not {type(tensor).__name__}")
        tensor = stack(list(tensor), 0)
    if pattern.count("->") != 1:
        raise ValueError(f"rearrange: {pattern!r} needs one -> between its sides")
    left, right = (_parsed(side, pattern) for side in pattern.split("->"))
    shape = tensor._a.shape
    found: dict[str, tuple[int, ...]] = {}
    free = len(shape) - sum(1 for g in left if g != [DOTS])
    if free < 0 or (free and [DOTS] not in left):
        raise ValueError(f"rearrange: {pattern!r} does not fit a tensor of {len(shape)} dimensions")
    names: list[str] = []
    d = 0
    for group in left:
        if group == [DOTS]:
            found[DOTS] = shape[d : d + free]
            names.append(DOTS)
            d += free
            continue
        _fill(group, shape[d], axes_lengths, found, pattern)
        names += group
        d += 1
    wanted = [n for g in right for n in g]
    missing = set(names) ^ set(wanted)
    if missing - {n for n in wanted if n in axes_lengths and n not in names}:
        raise ValueError(f"rearrange: {sorted(missing)} of {pattern!r} is on one side only")
    split = apply(reshape, tensor, shape=tuple(n for k in names for n in found[k]))
    places: dict[str, list[int]] = {}
    at = 0
    for k in names:
        places[k] = list(range(at, at + len(found[k])))
        at += len(found[k])
    new = [n for n in wanted if n not in names]
    turned = apply(permute, split, axes=tuple(p for k in wanted if k in places for p in places[k]))
    if new:  # dimensions that only the right side has repeat what there is
        ones = tuple(n for k in wanted for n in ((1,) if k in new else found[k]))
        turned = apply(reshape, turned, shape=ones)
        found.update({k: (axes_lengths[k],) for k in new})
        turned = apply(expand, turned, shape=tuple(n for k in wanted for n in found[k]))
    final: list[int] = []
    for group in right:
        final += found[DOTS] if group == [DOTS] else [math.prod(n for k in group for n in found[k])]
    return apply(reshape, turned, shape=tuple(final))


def _fill(
    group: list[str], length: int, given: dict[str, int], found: dict[str, tuple[int, ...]], pattern: str
) -> None:
    """Work out the lengths of the dimensions that one is made of."""
    known = math.prod(given.get(n, 1) for n in group)
    unknown = [n for n in group if n not in given]
    if len(unknown) > 1 or (not unknown and known != length) or (known and length % known):
        raise ValueError(
            f"rearrange: a dimension of length {length} does not split into {group} of {pattern!r} with {given}"
        )
    for n in group:
        found[n] = (given[n] if n in given else length // known,)


__all__ = ["rearrange"]
