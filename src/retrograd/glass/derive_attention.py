"""The matrix calculus of attention, one head and several, as equations that compute what they say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .derive_blocks import named, softmax_of, summed
from .derive_layers import Back, Step
from .paper import Term, function, symbol, total
from .symbols import Form


def attention(step: Step) -> tuple[Term, Back]:
    """O = A V with A = softmax(S), S = Q K^T / sqrt(d), rows being tokens.

    dL/dV = A^T g; dL/dA = g V^T; dL/dS = A * (dL/dA - sum(dL/dA * A)); dL/dQ = dL/dS K / sqrt(d); dL/dK = (dL/dS)^T Q / sqrt(d).
    """
    mask, dead, factor, causal = step.settings
    q, k, v = step.term(0, "Q"), step.term(1, "K"), step.term(2, "V")
    d = q.array.shape[-1]
    scale = _scale(factor, d)
    scores = (q @ k.T) / scale if scale is not None else factor * (q @ k.T)
    if causal or mask is not None:
        m = symbol("M", _mask(mask, causal, scores.array.shape))
        scores = scores + m
    c = step.derivation.count("attention")
    s = step.aside(f"S_{c}", scores)
    a = step.aside(f"A_{c}", function("softmax", r"\operatorname{softmax}", lambda x: _rows(x, dead))(s))
    out = step.result(
        f"O_{c}",
        a @ v,
        "rows are tokens; a mask M holds 0 where a token is seen and -inf where it is not"
        if mask is not None or causal
        else "rows are tokens",
    )

    def back(g: Term) -> list[Term | None]:
        g = named(step, g, out)
        found: list[Term | None] = [None, None, None]
        if step.wants(2):
            found[2] = summed(a.T @ g, v.array.shape)
        if step.wants(0) or step.wants(1):
            da = step.paper.write("backward", _d(a), g @ v.T)
            ds = step.paper.write("backward", _d(s), a * (da - total(da * a, -1, "j")))
            for i, right in ((0, ds @ k), (1, ds.T @ q)):
                if step.wants(i):
                    grown = right / scale if scale is not None else factor * right
                    found[i] = summed(grown, (q, k)[i].array.shape)
        return found

    return out, back


def _d(term: Term) -> Form:
    return Form(f"dL/d{term.form.text}", rf"\frac{{\partial L}}{{\partial {term.form.latex}}}")


def _scale(factor: float, d: int) -> Term | None:
    if abs(factor * math.sqrt(d) - 1) < 1e-12:
        return Term(Form("sqrt(d)", r"\sqrt{d}"), np.float64(math.sqrt(d)))
    return None


def _mask(mask: Any, causal: bool, shape: Any) -> Any:
    found = np.zeros(shape[-2:]) if mask is None else np.asarray(mask)
    if found.dtype.kind == "b":
        found = np.where(found, 0.0, -np.inf)
    if causal:
        found = found + np.where(np.triu(np.ones(shape[-2:], bool), 1), -np.inf, 0.0)
    return np.broadcast_to(found, shape).astype(np.float64)


def _rows(x: Any, dead: Any) -> Any:
    if dead is not None:
        x = np.where(dead, 0.0, x)
    p = softmax_of(x, -1)
    return np.where(dead, 0.0, p) if dead is not None else p


def _heads(term: Term, heads: int) -> Term:
    """Part the columns of (N, tokens, E) into heads: (N, heads, tokens, E / heads)."""
    n, tokens, width = term.array.shape
    return term.shaped(term.array.reshape(n, tokens, heads, width // heads).swapaxes(1, 2))


def _joined(term: Term) -> Term:
    """Put the heads side by side again."""
    n, heads, tokens, width = term.array.shape
    return term.shaped(term.array.swapaxes(1, 2).reshape(n, tokens, heads * width))


def _flat(term: Term) -> Term:
    """Lay all tokens of all examples below each other."""
    return term.shaped(term.array.reshape(-1, term.array.shape[-1]))


def multihead(step: Step) -> tuple[Term, Back]:
    """Attention with projections: Q = X W_Q^T + b_Q and so on, each head by itself, the heads joined and projected.

    With D the upstream gradient: dL/dW_O = D^T C, dL/dC = D W_O; through each head as in ``attention``; then
    dL/dW_Q = (dL/dQ)^T X, and dL/dX the sum of dL/dQ W_Q, dL/dK W_K and dL/dV W_V where the three are of one X.
    """
    heads, batch_first = step.settings
    given = [step.term(i, "X") for i in range(3)]
    x = [t if batch_first else t.shaped(t.array.swapaxes(0, 1)) for t in given]
    packed = step.term(3)
    width = packed.array.shape[1]
    c = step.derivation.count("attention")
    w, b = [], []
    for i, letter in enumerate("QKV"):
        part = slice(i * width, (i + 1) * width)
        w.append(_part("W", letter, c, packed.array[part]))
        if step.operands[4] is not None:
            b.append(_part("b", letter, c, step.term(4).array[part]))
    made = []
    for i, letter in enumerate("QKV"):
        product = x[i] @ w[i].T
        made.append(step.aside(f"{letter}_{c}", product + b[i] if b else product))
    q, k, v = (_heads(m, heads) for m in made)
    scale = Term(Form("sqrt(d)", r"\sqrt{d}"), np.float64(math.sqrt(q.array.shape[-1])))
    s = step.aside(f"S_{c}", (q @ k.T) / scale)
    a = step.aside(f"A_{c}", function("softmax", r"\operatorname{softmax}", lambda z: softmax_of(z, -1))(s))
    context = _joined(step.aside(f"C_{c}", a @ v))
    w_out = step.term(5, f"W_O{c}")
    result = context @ w_out.T
    if step.operands[6] is not None:
        result = result + step.term(6, f"b_O{c}")
    note = f"rows are tokens; S, A and C head by head ({heads} heads), C with its heads side by side"
    out = step.result(f"O_{c}", result if batch_first else result.shaped(result.array.swapaxes(0, 1)), note)

    def back(g: Term) -> list[Term | None]:
        g = named(step, g, out)
        g = g if batch_first else g.shaped(g.array.swapaxes(0, 1))
        found: list[Term | None] = [None] * 7
        found[5] = _flat(g).T @ _flat(context)
        found[6] = total(g, (), "n").shaped(g.array.sum((0, 1)))
        gc = _heads(step.paper.write("backward", _d(Term(Form(f"C_{c}", f"C_{{{c}}}"), 0.0)), g @ w_out), heads)
        da = step.paper.write("backward", _d(a), gc @ v.T)
        ds = step.paper.write("backward", _d(s), a * (da - total(da * a, -1, "j")))
        parts = []
        for m, right in zip(made, ((ds @ k) / scale, (ds.T @ q) / scale, a.T @ gc)):
            parts.append(_joined(step.paper.write("backward", _d(m), right)))
        found[3] = _stacked([_flat(p).T @ _flat(y) for p, y in zip(parts, x)])
        found[4] = _stacked([total(p, (), "n").shaped(p.array.sum((0, 1))) for p in parts])
        for i in range(3):
            right = parts[i] @ w[i]
            found[i] = right if batch_first else right.shaped(right.array.swapaxes(0, 1))
        return [f if step.wants(i) else None for i, f in enumerate(found)]

    return out, back


def _part(head: str, letter: str, c: int, array: Any) -> Term:
    return Term(Form(f"{head}_{letter}{c}", f"{head}_{{{letter}{c}}}"), array)


def _stacked(terms: list[Term]) -> Term:
    """Write blocks below each other."""
    text = "; ".join(t.form.text for t in terms)
    latex = r" \\ ".join(t.form.latex for t in terms)
    return Term(
        Form(f"[{text}]", rf"\begin{{bmatrix}} {latex} \end{{bmatrix}}"), np.concatenate([t.array for t in terms])
    )


__all__ = ["attention", "multihead"]
