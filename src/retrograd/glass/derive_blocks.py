"""The matrix calculus of normalisations, softmax, losses and attention, as equations that compute what they say."""

from __future__ import annotations

from typing import Any

import numpy as np

from .derive_layers import Back, Step, times
from .paper import Term, average, function, symbol, total
from .symbols import Form


def _log(a: Any) -> Any:
    return np.log(a)


def _root(a: Any) -> Any:
    return np.sqrt(a)


root = function("sqrt", r"\sqrt", _root)
EPS = Form("eps", r"\varepsilon")


# -- normalisation ----------------------------------------------------------------------------------------------------------------------
def _affine(step: Step, xhat: Term, shape: Any, k: int) -> tuple[Term, Any]:
    """Write y = gamma * xhat + beta, either being absent; give it with gamma as it is multiplied in."""
    y, gamma = xhat, None
    if len(step.operands) > 1 and step.operands[1] is not None:
        given = step.term(1, f"gamma_{k}")
        gamma = given.shaped(given.array.reshape(shape))
        y = gamma * xhat
    if len(step.operands) > 2 and step.operands[2] is not None:
        given = step.term(2, f"beta_{k}")
        y = y + given.shaped(given.array.reshape(shape))
    return y, gamma


def _parameter_gradients(step: Step, g: Term, xhat: Term, shape: Any, found: list[Term | None]) -> None:
    """dL/dgamma = sum of g * xhat, dL/dbeta = sum of g, over all that share the entry."""
    padded = (1,) * (g.array.ndim - len(shape)) + tuple(shape)
    axes = tuple(a for a, n in enumerate(padded) if n == 1)
    for i, right in ((1, g * xhat), (2, g)):
        if step.wants(i):
            summed = right.array.sum(axis=axes) if axes else right.array
            found[i] = total(right, (), "n").shaped(summed.reshape(step.term(i).array.shape))


def normalise(
    step: Step, x: Term, axes: tuple[int, ...], eps: float, shape: Any, wrap: Any = None
) -> tuple[Term, Back]:
    """xhat = (x - mu) / sigma, y = gamma * xhat + beta.

    With ghat = gamma * g: dL/dx = (ghat - mean(ghat) - xhat * mean(ghat * xhat)) / sigma, the means over what was normalised.
    """
    k = step.derivation.count("norm")
    mu = step.aside(f"mu_{k}", average(x, axes))
    centred = x - mu
    square = Term(Form(f"({centred.form.text})**2", rf"\left({centred.form.latex}\right)^{{2}}"), centred.array**2)
    variance = average(square, axes)
    sigma = step.aside(f"sigma_{k}", root(variance + Term(EPS, np.float64(eps))))
    xhat = step.aside(f"xhat_{k}", centred / sigma)
    y, gamma = _affine(step, xhat, shape, k)
    out = step.result(step.fresh("u"), y)

    def back(g: Term) -> list[Term | None]:
        found: list[Term | None] = [None] * len(step.operands)
        g = named(step, g, out)
        _parameter_gradients(step, g, xhat, shape, found)
        if step.wants(0):
            ghat = g
            if gamma is not None:
                ghat = step.aside(f"g_{k}", gamma * g, rf"\hat{{g}}_{{{k}}}", "backward")
            found[0] = (ghat - average(ghat, axes) - xhat * average(ghat * xhat, axes)) / sigma
        return found

    return out, back


def named(step: Step, g: Term, out: Term) -> Term:
    """Give an upstream gradient that is used several times a name, if it is an expression."""
    if g.form.text.startswith(("dL/d", "delta")) and " " not in g.form.text:
        return g
    left = Form(f"dL/d{out.form.text}", rf"\frac{{\partial L}}{{\partial {out.form.latex}}}")
    return step.paper.write("backward", left, g)


def layer_norm(step: Step) -> tuple[Term, Back]:
    """Normalise over the last dimensions."""
    over, eps = step.settings
    x = step.term(0)
    axes = tuple(a % x.array.ndim for a in over)
    return normalise(step, x, axes, eps, x.array.shape[min(axes) :])


def batch_norm(step: Step) -> tuple[Term, Back]:
    """Normalise each channel: over the batch in training, by running statistics (which are constants) in evaluation."""
    training, eps, mean, variance = step.settings
    x = step.term(0)
    axes = (0, *range(2, x.array.ndim))
    shape = (x.array.shape[1], *(1,) * (x.array.ndim - 2))
    if training:
        return normalise(step, x, axes, eps, shape)
    k = step.derivation.count("norm")
    mu, v = symbol(f"mu_{k}", np.reshape(mean, shape)), symbol(f"v_{k}", np.reshape(variance, shape))
    sigma = step.aside(f"sigma_{k}", root(v + Term(EPS, np.float64(eps))))
    xhat = step.aside(f"xhat_{k}", (x - mu) / sigma)
    y, gamma = _affine(step, xhat, shape, k)
    out = step.result(
        step.fresh("u"), y, f"{mu.form.text} and {v.form.text} are the running statistics, which are constants"
    )

    def back(g: Term) -> list[Term | None]:
        found: list[Term | None] = [None] * len(step.operands)
        g = named(step, g, out)
        _parameter_gradients(step, g, xhat, shape, found)
        found[0] = (g if gamma is None else gamma * g) / sigma
        return found

    return out, back


def group_norm(step: Step) -> tuple[Term, Back]:
    """Normalise each group of channels of each example."""
    groups, eps = step.settings
    given = step.term(0)
    a = given.array
    n, c = a.shape[:2]
    split = (n, groups, c // groups, *a.shape[2:])
    shape = (groups, c // groups, *(1,) * (a.ndim - 2))
    out, inner = normalise(step, given.shaped(a.reshape(split)), tuple(range(2, len(split))), eps, shape)

    def back(g: Term) -> list[Term | None]:
        found = inner(g.shaped(g.array.reshape(split)))
        return [
            None if f is None or i else f.shaped(f.array.reshape(a.shape)) for i, f in enumerate(found[:1])
        ] + found[1:]

    return out.shaped(out.array.reshape(a.shape)), back


def rms_norm(step: Step) -> tuple[Term, Back]:
    """xhat = x / r with r the root of the mean square: dL/dx = (ghat - xhat * mean(ghat * xhat)) / r."""
    dims, eps = step.settings
    x = step.term(0)
    axes = tuple(range(x.array.ndim - dims, x.array.ndim))
    k = step.derivation.count("norm")
    square = Term(Form(f"{x.form.held(5).text}**2", rf"{{{x.form.held(5).latex}}}^{{2}}"), x.array**2)
    r = step.aside(f"r_{k}", root(average(square, axes) + Term(EPS, np.float64(eps))))
    xhat = step.aside(f"xhat_{k}", x / r)
    y, gamma = _affine(step, xhat, x.array.shape[x.array.ndim - dims :], k)
    out = step.result(step.fresh("u"), y)

    def back(g: Term) -> list[Term | None]:
        found: list[Term | None] = [None] * len(step.operands)
        g = named(step, g, out)
        _parameter_gradients(step, g, xhat, x.array.shape[x.array.ndim - dims :], found)
        ghat = g if gamma is None else step.aside(f"g_{k}", gamma * g, rf"\hat{{g}}_{{{k}}}", "backward")
        found[0] = (ghat - xhat * average(ghat * xhat, axes)) / r
        return found

    return out, back


# -- softmax and losses ---------------------------------------------------------------------------------------------------------------------
def softmax_of(a: Any, axis: Any) -> Any:
    """Give exp(a) / sum exp(a) over dimensions."""
    e = np.exp(a - a.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def softmax(step: Step) -> tuple[Term, Back]:
    """p = softmax(z): dL/dz = p * (g - sum(g * p)), which is (diag(p) - p p^T) g without the matrix."""
    (axes,) = step.settings
    z = step.term(0)
    p = step.result(step.fresh("p"), function("softmax", r"\operatorname{softmax}", lambda a: softmax_of(a, axes))(z))

    def back(g: Term) -> list[Term | None]:
        g = named(step, g, p)
        return [p * (g - total(g * p, axes, "i"))]

    return p, back


def log_softmax(step: Step) -> tuple[Term, Back]:
    """l = log softmax(z): dL/dz = g - softmax(z) * sum(g)."""
    (axes,) = step.settings
    z = step.term(0)
    made = function("log softmax", r"\log\operatorname{softmax}", lambda a: _log(softmax_of(a, axes)))(z)
    out = step.result(step.fresh("l"), made)
    p = function("exp", r"\exp", np.exp)(out)

    def back(g: Term) -> list[Term | None]:
        g = named(step, g, out)
        return [g - p * total(g, axes, "i")]

    return out, back


def _one_hot(chosen: Any, shape: Any, dim: int) -> Any:
    hot = np.zeros(shape)
    np.put_along_axis(hot, np.expand_dims(chosen, dim), 1.0, axis=dim)
    return hot


def cross_entropy(step: Step, averaged: bool) -> tuple[Term, Back]:
    """L = -log p_y with p = softmax(z): dL/dz = p - y, with y the one-hot class; divided by N for the mean."""
    chosen, dim = step.settings
    z = step.term(0)
    p = step.aside(step.fresh("p"), function("softmax", r"\operatorname{softmax}", lambda a: softmax_of(a, dim))(z))
    y = symbol(step.fresh("y"), _one_hot(chosen, z.array.shape, dim))
    logs = y * function("log", r"\log", _log)(p)
    each = -total(logs, dim, "i", keep=False)
    if not averaged:
        out = step.result(step.fresh("l"), each)

        def spread(g: Term) -> list[Term | None]:
            return [times(g.shaped(np.expand_dims(g.array, dim)), p - y)]

        return out, spread
    count = each.array.size
    loss = Term(
        Form(f"mean_n({each.form.text})", rf"\frac{{1}}{{N}} \textstyle\sum_{{n}} {each.form.held(2).latex}"),
        each.array.mean(),
    )
    out = step.result("L" if step.root else step.fresh("l"), loss, f"{y.form.text} is the one-hot class, N = {count}")
    n = Term(Form("N", "N"), np.float64(count))

    def back(g: Term) -> list[Term | None]:
        return [times(g, (p - y) / n)]

    return out, back


def mean_square(step: Step) -> tuple[Term, Back]:
    """L = mean((y - t)^2): dL/dy = 2 (y - t) / n."""
    y, t = step.term(0), step.term(1, "t")
    rest = y - t
    square = Term(Form(f"({rest.form.text})**2", rf"\left({rest.form.latex}\right)^{{2}}"), rest.array**2)
    n = Term(Form("n", "n"), np.float64(rest.array.size))
    made = Term(Form(f"mean({square.form.text})", rf"\overline{{{square.form.latex}}}"), square.array.mean())
    out = step.result("L" if step.root else step.fresh("l"), made, f"n = {rest.array.size}")

    def back(g: Term) -> list[Term | None]:
        found = times(g, 2 * (rest / n))
        return [summed(found, y.array.shape), summed(-found, t.array.shape) if step.wants(1) else None]

    return out, back


def summed(term: Term, shape: Any) -> Term:
    """Undo broadcasting."""
    a = term.array
    while a.ndim > len(shape):
        a = a.sum(0)
    axes = tuple(i for i, (m, n) in enumerate(zip(a.shape, shape)) if m != n)
    return term.shaped(a.sum(axis=axes, keepdims=True) if axes else a)


def logit_losses(step: Step) -> tuple[Term, Back]:
    """l = -(t log s + (1 - t) log(1 - s)) with s = sigmoid(z): dL/dz = (s - t) * g."""
    z, t = step.term(0), step.term(1, "t")
    s = step.aside(step.fresh("s"), function("sigmoid", r"\sigma", lambda a: 0.5 * (1 + np.tanh(0.5 * a)))(z))
    form = Form(
        f"-({t.form.text} * log {s.form.text} + (1 - {t.form.text}) * log(1 - {s.form.text}))",
        rf"-\left({t.form.latex} \odot \log {s.form.latex} + (1 - {t.form.latex}) \odot \log(1 - {s.form.latex})\right)",
    )
    value = (1 - t.array) * z.array + np.logaddexp(0, -z.array)
    out = step.result(step.fresh("l"), Term(form, value))

    def back(g: Term) -> list[Term | None]:
        slope = -function("logit", r"\operatorname{logit}", lambda a: np.log(a / (1 - a)))(s)
        return [times(g, s - t), times(g, slope) if step.wants(1) else None]

    return out, back


__all__ = [
    "batch_norm",
    "cross_entropy",
    "group_norm",
    "layer_norm",
    "log_softmax",
    "logit_losses",
    "mean_square",
    "named",
    "rms_norm",
    "softmax",
    "softmax_of",
    "summed",
]
