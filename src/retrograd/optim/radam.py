"""RAdam: Adam that waits until its second moment can be trusted."""

from __future__ import annotations

from typing import Any

from .forms import functional
from .optimizer import Optimizer
from .options import check, check_betas, check_lr
from .rules import maximum, sqrt, where, zeros_like

__all__ = ["RAdam", "radam"]


class RAdam(Optimizer):
    """Adam whose adaptive scale enters only once its variance is finite, and then in proportion.

    m and v as in Adam;  rho_inf = 2 / (1 - b2) - 1;  rho = rho_inf - 2 t b2^t / (1 - b2^t);
    r = sqrt((rho - 4)(rho - 2) rho_inf / ((rho_inf - 4)(rho_inf - 2) rho));
    p <- p - lr * m / (1 - b1^t) * (r * sqrt(1 - b2^t) / (sqrt(v) + eps) if rho > 5 else 1)

    Parameters
    ----------
    params : iterable
        Parameters or parameter groups.
    lr : float
        Step size.
    betas : (float, float)
        Decay rates of m and v, in [0, 1).
    eps, weight_decay : float
        Not negative.
    decoupled_weight_decay : bool
        Shrink p by 1 - lr * weight_decay, instead of adding weight_decay * p to g.
    foreach, maximize, capturable, differentiable : bool, optional
        ``maximize`` ascends; the others are as for Adam.

    Raises
    ------
    ValueError
        For an option out of its range.

    References
    ----------
    Liu et al., "On the variance of the adaptive learning rate and beyond", 2020.

    Examples
    --------
    >>> import retrograd as torch
    >>> w = torch.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = torch.optim.RAdam([w], lr=0.1)
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.8000, -1.6000])
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: Any = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
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
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def initial(self, p: Any, h: Any) -> dict[str, Any] | None:
        return {"step": 0.0, "exp_avg": zeros_like(p), "exp_avg_sq": zeros_like(p)}

    def update(self, p: Any, g: Any, state: dict[str, Any], h: Any) -> tuple[Any, dict[str, Any]]:
        beta1, beta2 = h.betas
        t = state["step"] + 1
        if h.maximize:
            g = -g
        if h.weight_decay and h.decoupled_weight_decay:
            p = p * (1 - h.lr * h.weight_decay)
        elif h.weight_decay:
            g = g + h.weight_decay * p
        m = state["exp_avg"] + (1 - beta1) * (g - state["exp_avg"])
        v = beta2 * state["exp_avg_sq"] + (1 - beta2) * g * g
        bias2 = 1 - beta2**t
        rho_inf = 2 / (1 - beta2) - 1
        rho = rho_inf - 2 * t * beta2**t / bias2
        trusted = rho > 5.0
        rectified = (rho - 4) * (rho - 2) * rho_inf / where(trusted, (rho_inf - 4) * (rho_inf - 2) * rho, 1.0)
        scale = where(trusted, sqrt(v) + h.eps, 1.0)
        factor = where(trusted, sqrt(maximum(rectified, 0.0)) * sqrt(bias2), 1.0)
        return p - factor * (h.lr * (m / (1 - beta1**t))) / scale, {"step": t, "exp_avg": m, "exp_avg_sq": v}


radam = functional(RAdam, exp_avgs="exp_avg", exp_avg_sqs="exp_avg_sq", state_steps="step")
