"""Muon: momentum made orthogonal, for the matrices of hidden layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core import dtypes
from .optimizer import Optimizer
from .options import check, check_lr
from .rules import maximum, sqrt, zeros_like

__all__ = ["Muon"]

_ADJUSTMENTS = (None, "original", "match_rms_adamw")


class Muon(Optimizer):
    """Descends along the orthogonal matrix that is nearest to the momentum, found by Newton and Schulz's iteration.

    B <- B + (1 - momentum) * (g - B);  X = g + momentum * (B - g) with ``nesterov``, else B;  X <- X / |X|;
    X <- a X + (b X X^T + c (X X^T)^2) X, ``ns_steps`` times, rounded to bfloat16 as torch does;
    p <- p * (1 - lr * weight_decay) - lr * r * X,  r = sqrt(max(1, rows / columns))

    Parameters
    ----------
    params : iterable
        Matrices, or groups of them; biases and embeddings are for another optimizer.
    lr : float
        Step size, not negative.
    weight_decay, momentum : float
        Not negative.
    nesterov : bool
        Look ahead along the momentum.
    ns_coefficients : (float, float, float)
        a, b and c.
    eps : float
        The least norm that is divided by.
    ns_steps : int
        Iterations, fewer than 100.
    adjust_lr_fn : {"original", "match_rms_adamw"}, optional
        r as above, or 0.2 * sqrt(max(rows, columns)).

    Raises
    ------
    ValueError
        For an option out of its range, or a parameter that is no matrix.

    References
    ----------
    Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024. Liu et al., "Muon is scalable for
    LLM training", 2025 (match_rms_adamw).

    Examples
    --------
    >>> import retrograd as torch
    >>> w = torch.eye(2).requires_grad_()
    >>> optimizer = torch.optim.Muon([w], lr=0.1)
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().diagonal().max() < 0.95)
    True
    """

    elementwise = False

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check_lr(lr)
        check(0.0 <= momentum, f"momentum should be >= 0 but is: {momentum}")
        check(0.0 <= weight_decay, f"weight decay should be >= 0 but is: {weight_decay}")
        check(adjust_lr_fn in _ADJUSTMENTS, f"Adjust learning rate function {adjust_lr_fn} is not supported")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                check(
                    p.ndim == 2, f"Muon only supports 2D parameters whereas we found a parameter with size: {p.shape}"
                )

    def initial(self, p: Any, h: Any) -> dict[str, Any] | None:
        if p.dtype.kind == "c" if isinstance(p, np.ndarray) else p.is_complex():
            raise RuntimeError("Muon does not support complex parameters")
        return {"momentum_buffer": zeros_like(p)}

    def update(self, p: Any, g: Any, state: dict[str, Any], h: Any) -> tuple[Any, dict[str, Any]]:
        buffer = state["momentum_buffer"] + (1 - h.momentum) * (g - state["momentum_buffer"])
        direction = g + h.momentum * (buffer - g) if h.nesterov else buffer
        rows, columns = p.shape
        if h.adjust_lr_fn == "match_rms_adamw":
            ratio = 0.2 * math.sqrt(max(rows, columns))
        else:
            ratio = math.sqrt(max(1, rows / columns))
        moved = p * (1 - h.lr * h.weight_decay)
        return moved - h.lr * ratio * _orthogonal(direction, h), {"momentum_buffer": buffer}


def _rounded(x: Any) -> Any:
    """Round to bfloat16, keeping the dtype."""
    if isinstance(x, float):  # the sum over a float64 array is one of these too
        x = np.float64(x)
    if isinstance(x, (np.ndarray, np.generic)):
        return x.astype(dtypes.to_numpy(dtypes.bfloat16)).astype(x.dtype)
    return x.bfloat16().to(x.dtype)


def _orthogonal(x: Any, h: Any) -> Any:
    """Give the nearly orthogonal matrix that the iteration makes of ``x``: singular values near 1 in place of its own."""
    a, b, c = h.ns_coefficients
    steps = int(h.ns_steps)
    check(steps < 100, "Number of steps must be less than 100 for computational efficiency")
    tall = x.shape[0] > x.shape[1]
    x = _rounded(x.T if tall else x)
    x = _rounded(x / maximum(_rounded(sqrt((x * x).sum())), h.eps))
    for _ in range(steps):
        gram = _rounded(x @ x.T)
        x = _rounded(a * x + _rounded(b * gram + c * (gram @ gram)) @ x)
    return x.T if tall else x
