"""Adadelta: steps in the parameter's own units."""

from __future__ import annotations

from typing import Any

from .forms import functional
from .optimizer import Optimizer
from .options import check, check_lr
from .rules import sqrt, zeros_like

__all__ = ["Adadelta", "adadelta"]


class Adadelta(Optimizer):
    """Descends along the gradient times the ratio of two running root mean squares: of steps, and of gradients.

    v <- rho * v + (1 - rho) * g^2;  d = sqrt(u + eps) / sqrt(v + eps) * g;  u <- rho * u + (1 - rho) * d^2;
    p <- p - lr * d

    Parameters
    ----------
    params : iterable
        Parameters or parameter groups.
    lr : float
        Not negative.
    rho : float
        Decay rate of both means, in [0, 1].
    eps, weight_decay : float
        Not negative; g <- g + weight_decay * p.
    foreach, capturable, maximize, differentiable : bool, optional
        ``maximize`` ascends; the others are as for Adam.

    Raises
    ------
    ValueError
        For an option out of its range.

    References
    ----------
    Zeiler, "ADADELTA: an adaptive learning rate method", 2012.

    Examples
    --------
    >>> import retrograd as torch
    >>> w = torch.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = torch.optim.Adadelta([w])
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.9968, -1.9968])
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check(0.0 <= rho <= 1.0, f"Invalid rho value: {rho}")
        check(0.0 <= eps, f"Invalid epsilon value: {eps}")
        check(0.0 <= weight_decay, f"Invalid weight_decay value: {weight_decay}")
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def initial(self, p: Any, h: Any) -> dict[str, Any] | None:
        return {"step": 0.0, "square_avg": zeros_like(p), "acc_delta": zeros_like(p)}

    def update(self, p: Any, g: Any, state: dict[str, Any], h: Any) -> tuple[Any, dict[str, Any]]:
        if h.maximize:
            g = -g
        if h.weight_decay:
            g = g + h.weight_decay * p
        v = h.rho * state["square_avg"] + (1 - h.rho) * g * g
        delta = sqrt(state["acc_delta"] + h.eps) / sqrt(v + h.eps) * g
        u = h.rho * state["acc_delta"] + (1 - h.rho) * delta * delta
        return p - h.lr * delta, {"step": state["step"] + 1, "square_avg": v, "acc_delta": u}


adadelta = functional(Adadelta, square_avgs="square_avg", acc_deltas="acc_delta", state_steps="step")
