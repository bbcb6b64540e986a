"""Adamax: Adam scaled by a running maximum instead of a root mean square."""

from __future__ import annotations

from typing import Any

from .forms import functional
from .optimizer import Optimizer
from .options import check, check_betas, check_lr
from .rules import absolute, maximum, zeros_like

__all__ = ["Adamax", "adamax"]


class Adamax(Optimizer):
    """Descends along the mean gradient over a decaying maximum of its size.

    m <- b1 * m + (1 - b1) * g;  u <- max(b2 * u, |g| + eps);  p <- p - lr / (1 - b1^t) * m / u

    Parameters
    ----------
    params : iterable
        Parameters or parameter groups.
    lr : float
        Step size.
    betas : (float, float)
        Decay rates of m and u, in [0, 1).
    eps, weight_decay : float
        Not negative; g <- g + weight_decay * p.
    foreach, maximize, differentiable, capturable : bool, optional
        ``maximize`` ascends; the others are as for Adam.

    Raises
    ------
    ValueError
        For an option out of its range.

    References
    ----------
    Kingma and Ba, "Adam: a method for stochastic optimization", 2015, section 7.1.

    Examples
    --------
    >>> import retrograd as torch
    >>> w = torch.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = torch.optim.Adamax([w], lr=0.1)
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.9000, -1.9000])
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: Any = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check(0.0 <= eps, f"Invalid epsilon value: {eps}")
        check_betas(betas)
        check(0.0 <= weight_decay, f"Invalid weight_decay value: {weight_decay}")
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def initial(self, p: Any, h: Any) -> dict[str, Any] | None:
        return {"step": 0.0, "exp_avg": zeros_like(p), "exp_inf": zeros_like(p)}

    def update(self, p: Any, g: Any, state: dict[str, Any], h: Any) -> tuple[Any, dict[str, Any]]:
        beta1, beta2 = h.betas
        t = state["step"] + 1
        if h.maximize:
            g = -g
        if h.weight_decay:
            g = g + h.weight_decay * p
        m = state["exp_avg"] + (1 - beta1) * (g - state["exp_avg"])
        u = maximum(beta2 * state["exp_inf"], absolute(g) + h.eps)
        return p - h.lr / (1 - beta1**t) * m / u, {"step": t, "exp_avg": m, "exp_inf": u}


adamax = functional(Adamax, exp_avgs="exp_avg", exp_infs="exp_inf", state_steps="step")
