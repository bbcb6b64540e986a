"""Adafactor: a second moment kept as row means and column means."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor
from .optimizer import Optimizer
from .options import check
from .rules import maximum, minimum, sqrt, zeros_like

__all__ = ["Adafactor"]


class Adafactor(Optimizer):
    """Scales the gradient by an estimate of its second moment that takes a row and a column of memory, not a matrix.

    w = t^beta2_decay;  R <- R + w * (mean of g^2 over columns - R);  C <- C + w * (mean of g^2 over rows - C);
    V = R C / max(mean R, eps1);  u = g / max(sqrt(V), eps1);  u <- u / max(1, rms(u) / d);
    p <- p * (1 - lr * weight_decay) - max(eps2, rms(p)) * min(lr, 1 / sqrt(t)) * u

    For vectors V itself is kept, as ``variance``.

    Parameters
    ----------
    params : iterable
        Real parameters or parameter groups.
    lr : float
        The largest relative step, not negative.
    beta2_decay : float
        Not positive.
    eps : (float or None, float)
        eps1, by default the dtype's own, and eps2.
    d : float
        Clipping threshold, at least 1.
    weight_decay : float
        Not negative.
    foreach, maximize : bool, optional
        ``maximize`` ascends.

    Raises
    ------
    ValueError
        For an option out of its range.

    References
    ----------
    Shazeer and Stern, "Adafactor: adaptive learning rates with sublinear memory cost", 2018.

    Examples
    --------
    >>> import retrograd as torch
    >>> w = torch.tensor([[1.0, -2.0]], requires_grad=True)
    >>> optimizer = torch.optim.Adafactor([w], lr=0.1)
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([[ 0.8419, -1.8419]])
    """

    elementwise = False

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check(not isinstance(lr, Tensor) or lr.numel() == 1, "Tensor lr must be 1-element")
        check(0.0 <= lr, f"Learning rate should be >= 0 but is: {lr}")
        check(0.0 >= beta2_decay, f"beta2_decay should be <= 0 but is: {beta2_decay}")
        check(eps[0] is None or 0.0 <= eps[0], f"epsilon1 should be >= 0 but is: {eps[0]}")
        check(0.0 <= eps[1], f"epsilon2 should be >= 0 but is: {eps[1]}")
        check(1.0 <= d, f"Clipping threshold d should be >= 1 but is: {d}")
        check(0.0 <= weight_decay, f"weight_decay should be >= 0 but is: {weight_decay}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def initial(self, p: Any, h: Any) -> dict[str, Any] | None:
        if p.dtype.kind == "c" if isinstance(p, np.ndarray) else p.is_complex():
            raise RuntimeError("Adafactor does not support complex parameters")
        if p.ndim < 2:
            return {"step": 0.0, "variance": zeros_like(p)}
        return {"step": 0.0, "row_var": zeros_like(p[..., :1]), "col_var": zeros_like(p[..., :1, :])}

    def update(self, p: Any, g: Any, state: dict[str, Any], h: Any) -> tuple[Any, dict[str, Any]]:
        t = state["step"] + 1
        eps1 = 2.0 ** (-23 if p.dtype.itemsize == 4 else -52) if h.eps[0] is None else h.eps[0]
        weight = t**h.beta2_decay
        if h.maximize:
            g = -g
        rate = maximum(_rms(p), h.eps[1]) * minimum(h.lr, 1 / t**0.5)
        if h.weight_decay:
            p = p * (1 - h.lr * h.weight_decay)
        after = {"step": t}
        if p.ndim < 2:
            estimate = after["variance"] = state["variance"] + weight * (g * g - state["variance"])
        else:
            rows = after["row_var"] = state["row_var"] + weight * ((g * g).mean(-1)[..., None] - state["row_var"])
            columns = after["col_var"] = state["col_var"] + weight * ((g * g).mean(-2)[..., None, :] - state["col_var"])
            estimate = rows @ columns / maximum(rows.mean(-2)[..., None, :], eps1)
        u = g / sqrt(maximum(estimate, eps1 * eps1))
        return p - rate / maximum(_rms(u) / h.d, 1.0) * u, after


def _rms(x: Any) -> Any:
    """Give the root mean square over all elements."""
    return sqrt((x * x).mean())
