"""Sums of products of elements named by letters."""

from __future__ import annotations

import math
from typing import Any

from ...core import apply, at, here, promote_types, show_type, to_numpy
from ...ops import contract as c
from ...ops import shape as s
from ...ops.elementwise import mul as mul_op
from ...ops.reduce import sum_, sum_integers
from ..dispatch import function, meet
from .shaping import reshaped


def _parse(equation: str, ranks: list[int]) -> tuple[list[list[str]], list[str]]:
    """Give each operand's letters and the output's; the dimensions of an ellipsis are named '0', '1', ... from the right."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise RuntimeError(
            f"einsum(): {'fewer' if len(terms) > len(ranks) else 'more'} operands were provided than specified "
            f"in the equation: {equation!r} and {len(ranks)} operands"
        )
    wide = 0
    subs = []
    for term, rank in zip(terms, ranks, strict=True):
        letters = term.replace("...", "")
        if not all(ch.isalpha() for ch in letters):
            raise RuntimeError(f"einsum(): invalid subscript given in {term!r}: subscripts must be in [a-zA-Z]")
        if "..." in term:
            extra = rank - len(letters)
            if extra < 0:
                raise RuntimeError(
                    f"einsum(): the number of subscripts in the equation ({len(letters)}) is more than the "
                    f"number of dimensions ({rank}) for operand {term!r}"
                )
            wide = max(wide, extra)
            before, _, after = term.partition("...")
            subs.append([*before, *(str(i) for i in range(extra - 1, -1, -1)), *after])
        else:
            if len(letters) != rank:
                raise RuntimeError(
                    f"einsum(): the number of subscripts in the equation ({len(letters)}) does not match the "
                    f"number of dimensions ({rank}) for operand {term!r} and no ellipsis was given"
                )
            subs.append(list(letters))
    dots = [str(i) for i in range(wide - 1, -1, -1)]
    if arrow:
        before, found, after = right.partition("...")
        out = [*before, *(dots if found else []), *after]
        if len(set(out)) != len(out):
            raise RuntimeError(f"einsum(): output subscript appears more than once in the output: {right!r}")
        known = {ch for sub in subs for ch in sub}
        for ch in out:
            if ch not in known and ch not in dots:
                raise RuntimeError(
                    f"einsum(): output subscript {ch} does not appear in the equation for any input operand"
                )
    else:
        everything = [ch for sub in subs for ch in sub]
        out = dots + sorted(ch for ch in set(everything) if ch.isalpha() and everything.count(ch) == 1)
    return subs, out


def _from_sublists(args: tuple[Any, ...]) -> tuple[str, list[Any]]:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # in the order in which they sort, as numbers do

    def text(sub: Any) -> str:
        return "".join("..." if k is Ellipsis else letters[k] for k in sub)

    operands = list(args[0 : len(args) - len(args) % 2 : 2])
    equation = ",".join(text(sub) for sub in args[1 : len(args) - len(args) % 2 : 2])
    if len(args) % 2:
        equation += "->" + text(args[-1])
    return equation, operands


def _one(x: Any, sub: list[str]) -> tuple[Any, list[str]]:
    """Take diagonals where a letter is repeated."""
    sub = list(sub)
    for ch in set(sub):
        while sub.count(ch) > 1:
            i = sub.index(ch)
            j = sub.index(ch, i + 1)
            x = apply(s.diagonal, x, offset=0, a=i, b=j)
            sub = [v for k, v in enumerate(sub) if k not in (i, j)] + [ch]
    return x, sub


def _sum_out(x: Any, sub: list[str], keep: set[str]) -> tuple[Any, list[str]]:
    axes = tuple(i for i, ch in enumerate(sub) if ch not in keep)
    if axes:
        x = apply(sum_integers if x._a.dtype.kind in "iub" else sum_, x, axis=axes, keepdims=False)
    return x, [ch for ch in sub if ch in keep]


def _contract(x: Any, xs: list[str], y: Any, ys: list[str], keep: set[str]) -> tuple[Any, list[str]]:
    """Contract two operands by one batched matrix product; letters in ``keep`` stay."""
    size: dict[str, int] = {}
    for t, sub in ((x, xs), (y, ys)):
        for ch, n in zip(sub, t._a.shape, strict=True):
            size[ch] = max(size.get(ch, 1), n) if n != 0 and size.get(ch, 1) != 0 else 0
    x, xs = _sum_out(x, xs, keep | set(ys))
    y, ys = _sum_out(y, ys, keep | set(xs))
    both = [ch for ch in xs if ch in ys]
    # a length of 1 against n broadcasts: it is summed or kept by the other side
    batch = [ch for ch in both if ch in keep]
    inner_ = [ch for ch in both if ch not in keep]
    left, right = [ch for ch in xs if ch not in both], [ch for ch in ys if ch not in both]
    if x._a.dtype != y._a.dtype:  # products of elements promote, sums of them are matrix products and do not
        if any(size[ch] != 1 for ch in inner_):
            raise RuntimeError(
                f"einsum(): operands that are summed over {', '.join(inner_)} must have one dtype, but got "
                f"{show_type(x)} and {show_type(y)}; convert one of them with .to(dtype){at(here())}"
            )
        x, y = meet(to_numpy(promote_types(x.dtype, y.dtype)), x, y)

    def arranged(t: Any, sub: list[str], first: list[str], second: list[str], fixed: list[str]) -> Any:
        t = apply(s.permute, t, axes=tuple(sub.index(ch) for ch in (*batch, *first, *second)))
        lengths = t._a.shape
        want = tuple(size[ch] if ch in fixed else n for ch, n in zip((*batch, *first, *second), lengths, strict=True))
        if want != lengths:
            t = apply(s.expand, t, shape=want)
        nb = len(batch)
        rows, cols = math.prod(want[nb : nb + len(first)]), math.prod(want[nb + len(first) :])
        return reshaped(t, (*want[:nb], rows, cols))

    fixed = both
    a = arranged(x, xs, left, inner_, fixed)
    b = arranged(y, ys, inner_, right, fixed)
    if not inner_ and (not left or not right):
        r = apply(mul_op, a, b)
    else:
        r = apply(c.matmul, a, b)
    out = [*batch, *left, *right]
    return reshaped(r, tuple(size[ch] for ch in out)), out


@function("einsum", method=False)
def einsum(*args: Any) -> Any:
    """Sum products of elements named by letters: ``einsum("ij,jk->ik", a, b)`` is the matrix product.

    Ellipses, repeated letters, implicit output and the sublist form are torch's. Operands are contracted from the left.
    """
    if isinstance(args[0], str):
        equation, operands = args[0], list(args[1:])
        if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
            operands = list(operands[0])
    else:
        equation, operands = _from_sublists(args)
    if not operands:
        kind = ValueError if len(args) < 2 else RuntimeError
        raise kind(
            "einsum(): must specify the equation string and at least one operand, or at least one operand and "
            "its subscripts list"
        )
    subs, out = _parse(equation, [x._a.ndim for x in operands])
    size: dict[str, int] = {}
    for x, sub in zip(operands, subs, strict=True):
        for ch, n in zip(sub, x._a.shape, strict=True):
            if ch in size and size[ch] != n and 1 not in (size[ch], n):
                raise RuntimeError(
                    f"einsum(): subscript {ch} has size {n} for an operand which does not broadcast with "
                    f"previously seen size {size[ch]}: {equation!r} of "
                    f"{', '.join(map(show_type, operands))}{at(here())}"
                )
            size[ch] = n if size.get(ch, 1) == 1 else size[ch]
    pairs = [_one(x, sub) for x, sub in zip(operands, subs, strict=True)]
    x, xs = pairs[0]
    for k in range(1, len(pairs)):
        keep = set(out).union(*(sub for _, sub in pairs[k + 1 :]))
        x, xs = _contract(x, xs, *pairs[k], keep)
    x, xs = _sum_out(x, xs, set(out))
    if xs != out:
        missing = [ch for ch in out if ch not in xs]
        x = apply(s.permute, x, axes=tuple(xs.index(ch) for ch in out if ch in xs))
        if missing:
            x = reshaped(
                x, tuple(1 if ch in missing else x._a.shape[[o for o in out if o in xs].index(ch)] for ch in out)
            )
    return x
