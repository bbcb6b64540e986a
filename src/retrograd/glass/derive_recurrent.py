"""The matrix calculus of recurrent cells: each step of Elman's, of long short-term memory and of gated recurrent units, as one layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .derive_blocks import named, summed
from .derive_layers import Back, Step, times
from .paper import Term, constant, function, total
from .symbols import Form


def _logistic(a: Any) -> Any:
    return 0.5 * (1 + np.tanh(0.5 * a))


sigmoid = function("sigmoid", r"\sigma", _logistic)
tanh = function("tanh", r"\tanh", np.tanh)
relu = function("relu", r"\mathrm{relu}", lambda a: np.maximum(a, 0))
positive = function("step", r"\mathrm{step}", lambda a: (a > 0).astype(np.float64))
ONE = constant(1)


def _squared(x: Term) -> Term:
    return Term(Form(f"{x.form.held(5).text}**2", rf"{{{x.form.held(5).latex}}}^{{2}}"), x.array**2)


def _parts(z: Term, letters: str, width: int) -> list[Term]:
    """Name the blocks of a gate's columns: ``z_1.i``, read as the rows of z_1 that belong to i."""
    return [
        Term(Form(f"{z.form.held(5).text}[{c}]", rf"{{{z.form.held(5).latex}}}^{{[{c}]}}"), z.array[..., k * width : (k + 1) * width])
        for k, c in enumerate(letters)
    ]  # fmt: skip


def _stacked(terms: list[Term]) -> Term:
    """Write the gradients of blocks side by side."""
    text = "; ".join(t.form.text for t in terms)
    latex = r" \\ ".join(t.form.latex for t in terms)
    array = np.concatenate([t.array for t in terms], axis=-1)
    return Term(Form(f"[{text}]", rf"\begin{{bmatrix}} {latex} \end{{bmatrix}}"), array)


def _affine(w: Term, h: Term, b: Term | None = None) -> Term:
    made = w @ h.columns()
    if b is not None:
        made = made + b.shaped(b.array[:, None])
    return made.rows((*h.array.shape[:-1], w.array.shape[0]))


def _through(step: Step, delta: Term, w: Term, h: Term, found: list[Term | None]) -> None:
    """dL/dh = W^T delta, dL/dW = delta h^T, dL/db = sum of delta over examples, for the operands h, W and b from the second on."""
    columns = delta.columns()
    if step.wants(1):
        found[1] = (w.T @ columns).rows(h.array.shape)
    if step.wants(2):
        found[2] = columns @ h.columns().T
    if step.wants(3):
        found[3] = total(columns, 1, "n").shaped(columns.array.sum(1))


def elman(step: Step, slope: Callable[[Term], Term], f: Callable[..., Term]) -> tuple[Term, Back]:
    """s' = f(a + W s), a being the input's part: delta = dL/ds' * f', dL/da = delta, dL/dW = delta s^T, dL/ds = W^T delta."""
    k = step.derivation.count("cell")
    a, s, w = step.term(0), step.term(1, f"s_{k - 1}"), step.term(2, f"U_{k}")
    out = step.result(step.fresh("s", k), f(a + _affine(w, s)), "a step of a recurrence")

    def back(g: Term) -> list[Term | None]:
        delta = step.aside(step.fresh("delta_s", k), times(g, slope(out)), rf"\delta_{{s_{{{k}}}}}", "backward")
        found: list[Term | None] = [summed(delta, a.array.shape), None, None]
        _through(step, delta, w, s, found)
        return found

    return out, back


def tanh_step(step: Step) -> tuple[Term, Back]:
    """s' = tanh(a + W s): delta = dL/ds' * (1 - s'^2)."""
    return elman(step, lambda s: ONE - _squared(s), tanh)


def relu_step(step: Step) -> tuple[Term, Back]:
    """s' = relu(a + W s): delta = dL/ds' where s' > 0."""
    return elman(step, positive, relu)


def gru_step(step: Step) -> tuple[Term, Back]:
    """s' = (1 - z) n + z s with r = sigmoid(a[r] + m[r]), z = sigmoid(a[z] + m[z]), n = tanh(a[n] + r m[n]) and m = W s + b.

    With g = dL/ds': d_n = g (1 - z) (1 - n^2), d_z = g (s - n) z (1 - z), d_r = d_n m[n] r (1 - r); dL/da = [d_r; d_z; d_n],
    delta = dL/dm = [d_r; d_z; r d_n], dL/dW = delta s^T, dL/ds = z g + W^T delta.
    """
    k = step.derivation.count("cell")
    a, s, w = step.term(0), step.term(1, f"s_{k - 1}"), step.term(2, f"U_{k}")
    width = s.array.shape[-1]
    bias = step.term(3, f"b_U{k}") if len(step.operands) > 3 and step.operands[3] is not None else None
    m = step.aside(step.fresh("m", k), _affine(w, s, bias), phase="forward")
    (a_r, a_z, a_n), (m_r, m_z, m_n) = _parts(a, "rzn", width), _parts(m, "rzn", width)
    r = step.aside(step.fresh("r", k), sigmoid(a_r + m_r))
    z = step.aside(step.fresh("gate_z", k), sigmoid(a_z + m_z), f"z_{{{k}}}")
    n = step.aside(step.fresh("n", k), tanh(a_n + r * m_n))
    out = step.result(step.fresh("s", k), (ONE - z) * n + z * s, "the step of a gated recurrent unit")

    def back(g: Term) -> list[Term | None]:
        g = named(step, g, out)
        d_n = step.aside(
            step.fresh("d_n", k), g * (ONE - z) * (ONE - _squared(n)), rf"\delta^{{n}}_{{{k}}}", "backward"
        )
        d_z = step.aside(step.fresh("d_z", k), g * (s - n) * z * (ONE - z), rf"\delta^{{z}}_{{{k}}}", "backward")
        d_r = step.aside(step.fresh("d_r", k), d_n * m_n * r * (ONE - r), rf"\delta^{{r}}_{{{k}}}", "backward")
        delta = step.aside(
            step.fresh("delta_m", k), _stacked([d_r, d_z, r * d_n]), rf"\delta_{{m_{{{k}}}}}", "backward"
        )
        found: list[Term | None] = [None] * len(step.operands)
        _through(step, delta, w, s, found)
        if step.wants(0):
            found[0] = _stacked([d_r, d_z, d_n])
        if found[1] is not None:
            found[1] = z * g + found[1]
        return found

    return out, back


def lstm_cell_state(step: Step) -> tuple[Term, Back]:
    """c' = f c + i g with i, f = sigmoid(a[i], a[f]) and g = tanh(a[g]), a being the gates' sums.

    With d = dL/dc': dL/dc = f d, dL/da = [d g i (1 - i); d c f (1 - f); d i (1 - g^2); 0].
    """
    k = step.derivation.count("cell")
    a, c = step.term(0), step.term(1, f"cell_{k - 1}")
    width = c.array.shape[-1]
    a_i, a_f, a_g, a_o = _parts(a, "ifgo", width)
    i = step.aside(step.fresh("i", k), sigmoid(a_i))
    f = step.aside(step.fresh("f", k), sigmoid(a_f))
    g = step.aside(step.fresh("g", k), tanh(a_g))
    out = step.result(step.fresh("cell", k), f * c + i * g, "the state of long short-term memory")

    def back(up: Term) -> list[Term | None]:
        up = named(step, up, out)
        nothing = Term(Form("0", "0"), np.zeros_like(a_o.array))
        d_i, d_f = up * g * i * (ONE - i), up * c * f * (ONE - f)
        d_g = up * i * (ONE - _squared(g))
        return [_stacked([d_i, d_f, d_g, nothing]) if step.wants(0) else None, f * up if step.wants(1) else None]

    return out, back


def lstm_output(step: Step) -> tuple[Term, Back]:
    """s = o tanh(c) with o = sigmoid(a[o]): dL/dc = dL/ds o (1 - tanh(c)^2), dL/da = [0; 0; 0; dL/ds tanh(c) o (1 - o)]."""
    a, c = step.term(0), step.term(1)
    k = step.derivation.count("cell output")
    parts = _parts(a, "ifgo", c.array.shape[-1])
    o = step.aside(step.fresh("o", k), sigmoid(parts[3]))
    t = tanh(c)
    out = step.result(step.fresh("s", k), o * t, "what long short-term memory gives")

    def back(up: Term) -> list[Term | None]:
        up = named(step, up, out)
        nothing = [Term(Form("0", "0"), np.zeros_like(p.array)) for p in parts[:3]]
        d_o = up * t * o * (ONE - o)
        return [
            _stacked([*nothing, d_o]) if step.wants(0) else None,
            up * o * (ONE - _squared(t)) if step.wants(1) else None,
        ]

    return out, back


CELLS = {
    "tanh_step": tanh_step,
    "relu_step": relu_step,
    "gru_step": gru_step,
    "lstm_cell_state": lstm_cell_state,
    "lstm_output": lstm_output,
}

__all__ = ["CELLS", "elman", "gru_step", "lstm_cell_state", "lstm_output", "relu_step", "tanh_step"]
