"""Adam: momentum, scaled by a running root mean square of the gradient."""

from __future__ import annotations

from typing import Any

from .forms import functional
from .optimizer import Optimizer
from .options import check, check_betas, check_kind, check_lr, check_tensors
from .rules import maximum, sqrt, zeros_like

__all__ = ["Adam", "adam"]


class Adam(Optimizer):
    """Descends along the mean gradient over its root mean square, both running and freed of their bias towards zero.

    m <- b1 * m + (1 - b1) * g;  v <- b2 * v + (1 - b2) * g^2;
    p <- p - lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)

    Before that g <- g + weight_decay * p, or, decoupled, p <- p * (1 - lr * weight_decay). With ``amsgrad`` the
    largest v so far stands for v in the last line.

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
    amsgrad : bool
        Scale by the largest v so far.
    foreach, maximize, capturable, differentiable, fused : bool, optional
        ``maximize`` ascends, and a step of a ``differentiable`` one is recorded for gradients; the others are accepted
        for torch's sake and change nothing.
    decoupled_weight_decay : bool
        Shrink p itself.

    Raises
    ------
    ValueError
        For an option out of its range.

    References
    ----------
    Kingma and Ba, "Adam: a method for stochastic optimization", 2015. Reddi, Kale and Kumar, "On the
    convergence of Adam and beyond", 2018 (amsgrad).

    Examples
    --------
    >>> import retrograd as torch
    >>> w = torch.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = torch.optim.Adam([w], lr=0.1)
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.9000, -1.9000])
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: Any = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_lr(lr)
        check(0.0 <= eps, f"Invalid epsilon value: {eps}")
        check_betas(betas)
        check(0.0 <= weight_decay, f"Invalid weight_decay value: {weight_decay}")
        check_tensors(lr, betas, foreach, capturable)
        check(
            isinstance(betas[0], float) == isinstance(betas[1], float),
            "betas must be either both floats or both Tensors",
        )
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
        check_kind(fused, foreach, differentiable, self.param_groups)

    def initial(self, p: Any, h: Any) -> dict[str, Any] | None:
        state = {"step": 0.0, "exp_avg": zeros_like(p), "exp_avg_sq": zeros_like(p)}
        return state | {"max_exp_avg_sq": zeros_like(p)} if h.amsgrad else state

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
        after = {"step": t, "exp_avg": m, "exp_avg_sq": v}
        if h.amsgrad:
            v = after["max_exp_avg_sq"] = maximum(state["max_exp_avg_sq"], v)
        scale = sqrt(v) / sqrt(1 - beta2**t) + h.eps
        return p - h.lr / (1 - beta1**t) * m / scale, after


adam = functional(
    Adam, exp_avgs="exp_avg", exp_avg_sqs="exp_avg_sq", max_exp_avg_sqs="max_exp_avg_sq", state_steps="step"
)
