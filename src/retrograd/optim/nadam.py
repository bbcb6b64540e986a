"""NAdam: Adam with Nesterov's look ahead."""

from __future__ import annotations

from typing import Any

from .forms import functional
from .optimizer import Optimizer
from .options import check, check_betas, check_lr
from .rules import sqrt, zeros_like

__all__ = ["NAdam", "nadam"]


class NAdam(Optimizer):
    """Adam that looks ahead: the gradient and the coming momentum both enter the step.

    mu_t = b1 * (1 - 0.96^(t * momentum_decay) / 2);  M <- M * mu_t;  m and v as in Adam; s = sqrt(v / (1 - b2^t)) +
    eps;  p <- p - lr * (1 - mu_t) / (1 - M) * g / s - lr * mu_(t+1) / (1 - M * mu_(t+1)) * m / s

    Parameters
    ----------
    params : iterable
        Parameters or parameter groups.
    lr : float
        Step size.
    betas : (float, float)
        Decay rates of m and v, in [0, 1).
    eps, weight_decay, momentum_decay : float
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
    Dozat, "Incorporating Nesterov momentum into Adam", 2016.

    Examples
    --------
    >>> import retrograd as torch
    >>> w = torch.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = torch.optim.NAdam([w], lr=0.1)
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.8944, -1.8944])
    """

    scalars = ("step", "mu_product")

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: Any = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
        check(0.0 <= momentum_decay, f"Invalid momentum_decay value: {momentum_decay}")
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def initial(self, p: Any, h: Any) -> dict[str, Any] | None:
        return {"step": 0.0, "mu_product": 1.0, "exp_avg": zeros_like(p), "exp_avg_sq": zeros_like(p)}

    def update(self, p: Any, g: Any, state: dict[str, Any], h: Any) -> tuple[Any, dict[str, Any]]:
        beta1, beta2 = h.betas
        t = state["step"] + 1
        if h.maximize:
            g = -g
        if h.weight_decay and h.decoupled_weight_decay:
            p = p * (1 - h.lr * h.weight_decay)
        elif h.weight_decay:
            g = g + h.weight_decay * p
        mu = beta1 * (1 - 0.5 * 0.96 ** (t * h.momentum_decay))
        mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * h.momentum_decay))
        mu_product = state["mu_product"] * mu
        m = state["exp_avg"] + (1 - beta1) * (g - state["exp_avg"])
        v = beta2 * state["exp_avg_sq"] + (1 - beta2) * g * g
        scale = sqrt(v / (1 - beta2**t)) + h.eps
        p = p - h.lr * (1 - mu) / (1 - mu_product) * g / scale
        p = p - h.lr * mu_next / (1 - mu_product * mu_next) * m / scale
        return p, {"step": t, "mu_product": mu_product, "exp_avg": m, "exp_avg_sq": v}


nadam = functional(NAdam, exp_avgs="exp_avg", exp_avg_sqs="exp_avg_sq", mu_products="mu_product", state_steps="step")
