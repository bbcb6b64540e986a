"""Adagrad: the gradient over the root of the sum of all its squares."""

from __future__ import annotations

from typing import Any

from .forms import functional
from .optimizer import Optimizer
from .options import check, check_kind, check_lr
from .plan import Hyper
from .rules import full_like, sqrt
from .units import as_state

__all__ = ["Adagrad", "adagrad"]


class Adagrad(Optimizer):
    """Descends along the gradient over the root of the sum of its squares so far.

    s <- s + g^2;  p <- p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)

    Parameters
    ----------
    params : iterable
        Parameters or parameter groups.
    lr, lr_decay, weight_decay, initial_accumulator_value, eps : float
        Not negative; s starts at ``initial_accumulator_value``, and g <- g + weight_decay * p.
    foreach, maximize, differentiable, fused : bool, optional
        ``maximize`` ascends; the others are as for Adam.

    Raises
    ------
    ValueError
        For an option out of its range.

    References
    ----------
    Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic optimization", 2011.

    Examples
    --------
    >>> import retrograd as torch
    >>> w = torch.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = torch.optim.Adagrad([w], lr=0.1)
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.9000, -1.9000])
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check(0.0 <= lr_decay, f"Invalid lr_decay value: {lr_decay}")
        check(0.0 <= weight_decay, f"Invalid weight_decay value: {weight_decay}")
        check(0.0 <= initial_accumulator_value, f"Invalid initial_accumulator_value value: {initial_accumulator_value}")
        check(0.0 <= eps, f"Invalid epsilon value: {eps}")
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_kind(fused, foreach, differentiable, self.param_groups)
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p] = {
                    name: as_state(value) for name, value in (self.initial(p._a, Hyper(group)) or {}).items()
                }
        self.movable = True

    def initial(self, p: Any, h: Any) -> dict[str, Any] | None:
        return {"step": 0.0, "sum": full_like(p, h.initial_accumulator_value)}

    def update(self, p: Any, g: Any, state: dict[str, Any], h: Any) -> tuple[Any, dict[str, Any]]:
        t = state["step"] + 1
        if h.maximize:
            g = -g
        if h.weight_decay:
            g = g + h.weight_decay * p
        total = state["sum"] + g * g
        rate = h.lr / (1 + (t - 1) * h.lr_decay)
        return p - rate * g / (sqrt(total) + h.eps), {"step": t, "sum": total}

    def share_memory(self) -> None:
        """Do nothing: there are no processes that could share the sums."""


adagrad = functional(Adagrad, state_sums="sum", state_steps="step")
