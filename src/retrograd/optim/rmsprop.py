"""RMSprop: the gradient over its running root mean square."""

from __future__ import annotations

from typing import Any

from .forms import functional
from .optimizer import Optimizer
from .options import check, check_lr
from .rules import sqrt, zeros_like

__all__ = ["RMSprop", "rmsprop"]


class RMSprop(Optimizer):
    """Descends along the gradient over its running root mean square.

    v <- alpha * v + (1 - alpha) * g^2;  s = sqrt(v) + eps, or, centered, a <- alpha * a + (1 - alpha) * g and
    s = sqrt(v - a^2) + eps;  p <- p - lr * g / s, or, with momentum, b <- momentum * b + g / s and p <- p - lr * b

    Parameters
    ----------
    params : iterable
        Parameters or parameter groups.
    lr, alpha, eps, weight_decay, momentum : float
        Not negative; g <- g + weight_decay * p.
    centered : bool
        Scale by the standard deviation instead.
    capturable, foreach, maximize, differentiable : bool, optional
        ``maximize`` ascends; the others are as for Adam.

    Raises
    ------
    ValueError
        For an option out of its range.

    References
    ----------
    Tieleman and Hinton, "Lecture 6.5: rmsprop", 2012. Graves, "Generating sequences with
    recurrent neural networks", 2013 (centered).

    Examples
    --------
    >>> import retrograd as torch
    >>> w = torch.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = torch.optim.RMSprop([w], lr=0.01)
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.9000, -1.9000])
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check(0.0 <= eps, f"Invalid epsilon value: {eps}")
        check(0.0 <= momentum, f"Invalid momentum value: {momentum}")
        check(0.0 <= weight_decay, f"Invalid weight_decay value: {weight_decay}")
        check(0.0 <= alpha, f"Invalid alpha value: {alpha}")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def initial(self, p: Any, h: Any) -> dict[str, Any] | None:
        names = ["square_avg"] + ["momentum_buffer"] * bool(h.momentum) + ["grad_avg"] * bool(h.centered)
        return {"step": 0.0} | {name: zeros_like(p) for name in names}

    def update(self, p: Any, g: Any, state: dict[str, Any], h: Any) -> tuple[Any, dict[str, Any]]:
        if h.maximize:
            g = -g
        if h.weight_decay:
            g = g + h.weight_decay * p
        v = h.alpha * state["square_avg"] + (1 - h.alpha) * g * g
        after = {"step": state["step"] + 1, "square_avg": v}
        if h.centered:
            mean = after["grad_avg"] = state["grad_avg"] + (1 - h.alpha) * (g - state["grad_avg"])
            v = v - mean * mean
        scale = sqrt(v) + h.eps
        if not h.momentum:
            return p - h.lr * g / scale, after
        after["momentum_buffer"] = h.momentum * state["momentum_buffer"] + g / scale
        return p - h.lr * after["momentum_buffer"], after


rmsprop = functional(
    RMSprop, square_avgs="square_avg", grad_avgs="grad_avg", momentum_buffer_list="momentum_buffer", state_steps="step"
)
