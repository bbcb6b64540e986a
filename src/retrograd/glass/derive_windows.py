"""The matrix calculus of layers that work on windows: pooling by the largest and by the mean, and transposed convolution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core import Node
from .derive_layers import Back, Step, patches, unpatched
from .paper import Term, function, symbol, total
from .symbols import Form


def _places(windows: Any) -> tuple[Any, Any]:
    """Give for each window the flat index of each of its elements, and which are inside the image rather than padding."""
    sizes = [w.size for w in windows]
    index = np.zeros((1, 1), np.intp)
    inside = np.ones((1, 1), bool)
    for w, size in zip(windows, sizes):
        at, here = _along(w)
        index = (index[:, None, :, None] * size + np.where(here, at, 0)[None, :, None, :]).reshape(
            len(index) * len(at), -1
        )
        inside = (inside[:, None, :, None] & here[None, :, None, :]).reshape(index.shape)
    return index, inside


def _along(w: Any) -> tuple[Any, Any]:
    """Give (outputs, taps) of one dimension: positions, and which of them count."""
    outputs = np.arange(w.outputs)
    if w.kernel == 0:  # adaptive: from floor(i n / m) to ceil((i + 1) n / m)
        first, last = outputs * w.size // w.outputs, -(-(outputs + 1) * w.size // w.outputs)
        at = first[:, None] + np.arange(int((last - first).max()))
        return at, at < last[:, None]
    at = outputs[:, None] * w.stride - w.padding + np.arange(w.kernel) * w.dilation
    return at, (at >= 0) & (at < w.size)


def pooling(step: Step, node: Node) -> tuple[Term, Back]:
    """u = windows(x), h = max_i u or sum_i u / K: a maximum gives its gradient to the largest element of its window, a mean an equal share to each.

    dL/dx = windows^T(E * g) with E the one-hot of each window's largest element, or windows^T(g / K); the transpose adds where windows overlap.
    """
    op: Any = node.op
    largest = op.name == "max_pool"
    windows = node.attrs["windows"]
    x = step.term(0)
    lead = x.array.shape[: x.array.ndim - len(windows)]
    index, inside = _places(windows)
    fill = -np.inf if largest else 0.0
    flat = (math.prod(lead), math.prod(x.array.shape[len(lead) :]))

    def cut(a: Any) -> Any:
        return np.where(inside, a.reshape(flat)[:, index], fill)

    def add(a: Any) -> Any:
        made: Any = np.zeros(flat)
        at: Any = (slice(None), index)
        spread = np.where(inside, np.broadcast_to(a, (flat[0], *index.shape)), 0.0)
        np.add.at(made, at, spread)
        return made.reshape(x.array.shape)

    u = step.aside(step.fresh("u"), function("windows", r"\operatorname{windows}", cut)(x))
    unpool = function("windows^T", r"\operatorname{windows}^{\top}", add)
    column = (flat[0], len(index), 1)
    if largest:
        made = Term(Form(f"max_i {u.form.text}", rf"\max_{{i}} {u.form.latex}"), u.array.max(-1).reshape(node.shape))
        out = step.result(step.fresh("h"), made, f"each row of {u.form.text} is one window")
        hot = np.zeros(u.array.shape)
        np.put_along_axis(hot, u.array.argmax(-1)[..., None], 1.0, axis=-1)

        def route(g: Term) -> list[Term | None]:
            form = Form(f"onehot(argmax_i {u.form.text})", rf"\operatorname{{onehot}}(\arg\max_{{i}} {u.form.latex})")
            e = step.aside(step.fresh("E"), Term(form, hot), phase="backward")
            return [unpool(e * g.shaped(g.array.reshape(column)))]

        return out, route
    counted = op.numpy(np.ones(x.array.shape), **node.attrs).reshape(
        column
    )  # of windows of ones: how many of them count, over the divisor
    count = symbol("K", np.broadcast_to(inside.sum(-1)[:, None], column) / counted)
    summed = total(u, -1, "i")
    quotient = summed / count
    out = step.result(
        step.fresh("h"), quotient.shaped(quotient.array.reshape(node.shape)), f"each row of {u.form.text} is one window; K elements count"
    )  # fmt: skip

    def share(g: Term) -> list[Term | None]:
        return [unpool(g.shaped(g.array.reshape(column)) / count)]

    return out, share


def conv_transpose(step: Step) -> tuple[Term, Back]:
    """z = patches^T(W^T h) + b, which is a convolution's way back: dL/dh = W u, dL/dW = h u^T with u = patches(delta), dL/db = sum of delta."""
    stride, padding, dilation, groups, sizes = step.settings
    n = step.next_layer()
    h = step.term(0, f"h_{n - 1}")
    w = step.term(1, f"W_{n}")
    kernel = w.array.shape[2:]
    examples, channels = h.array.shape[:2]
    outputs = w.array.shape[1] * groups
    shape = (examples, outputs, *sizes)
    spec = (kernel, stride, padding, dilation)
    columns = h.shaped(np.moveaxis(h.array, 1, 0).reshape(groups, channels // groups, -1))
    w2 = w.shaped(w.array.reshape(groups, channels // groups, -1))
    u = step.aside(step.fresh("u"), w2.T @ columns)
    z = function("patches^T", r"\operatorname{patches}^{\top}", lambda a: unpatched(a, shape, *spec))(u)
    if len(step.operands) > 2 and step.operands[2] is not None:
        b = step.term(2, f"b_{n}")
        z = z + b.shaped(b.array.reshape(-1, *(1,) * len(kernel)))
    note = f"each column of {u.form.text} is a patch, added where it lies: the transpose of a convolution with {w.form.text}"
    out = step.result(step.fresh("z", n), z, note)
    step.kind = f"delta_{n}"

    def back(g: Term) -> list[Term | None]:
        found: list[Term | None] = [None] * len(step.operands)
        cut = function("patches", r"\operatorname{patches}", lambda a: patches(a, *spec, groups))
        v = step.aside(step.fresh("v"), cut(g), phase="backward")
        if step.wants(1):
            found[1] = step.gradient(1, columns @ v.T, w.array.shape)
        if step.wants(2):
            axes = (0, *range(2, g.array.ndim))
            found[2] = total(g, axes, "n").shaped(g.array.sum(axis=axes))
        if step.wants(0):
            made = w2 @ v
            found[0] = made.shaped(np.moveaxis(made.array.reshape(channels, examples, *h.array.shape[2:]), 0, 1))
        return found

    return out, back


POOLS = ("max_pool", "avg_pool")

__all__ = ["POOLS", "conv_transpose", "pooling"]
