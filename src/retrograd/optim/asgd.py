"""ASGD: gradient descent that also keeps the average of where it has been."""

from __future__ import annotations

from typing import Any

from .forms import functional
from .optimizer import Optimizer
from .options import check, check_lr
from .rules import maximum, where, zeros_like

__all__ = ["ASGD", "asgd"]


class ASGD(Optimizer):
    """Descends with a decaying rate and keeps a running average of the parameter in its state.

    p <- p * (1 - lambd * eta) - eta * g;  ax <- ax + mu * (p - ax), or p while mu is 1;
    eta = lr / (1 + lambd * lr * t)^alpha;  mu = 1 / max(1, t - t0)

    Parameters
    ----------
    params : iterable
        Parameters or parameter groups.
    lr, lambd, alpha, t0, weight_decay : float
        Rate, its decay and the decay's power, the step at which averaging starts, and g <- g + weight_decay * p.
    foreach, maximize, differentiable, capturable : bool, optional
        ``maximize`` ascends; the others are as for Adam.

    Raises
    ------
    ValueError
        For a negative lr or weight_decay.

    References
    ----------
    Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992.

    Examples
    --------
    >>> import retrograd as torch
    >>> w = torch.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = torch.optim.ASGD([w], lr=0.1)
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.8000, -1.6000])
    """

    scalars = ("step", "eta", "mu")

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check(0.0 <= weight_decay, f"Invalid weight_decay value: {weight_decay}")
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def initial(self, p: Any, h: Any) -> dict[str, Any] | None:
        return {"step": 0.0, "eta": float(h.lr), "mu": 1.0, "ax": zeros_like(p)}

    def update(self, p: Any, g: Any, state: dict[str, Any], h: Any) -> tuple[Any, dict[str, Any]]:
        t, eta, mu, average = state["step"] + 1, state["eta"], state["mu"], state["ax"]
        if h.maximize:
            g = -g
        if h.weight_decay:
            g = g + h.weight_decay * p
        p = p * (1 - h.lambd * eta) - eta * g
        average = where(mu < 1, average + mu * (p - average), p)
        eta = h.lr / (1 + h.lambd * h.lr * t) ** h.alpha
        return p, {"step": t, "eta": eta, "mu": 1 / maximum(1.0, t - h.t0), "ax": average}


asgd = functional(ASGD, axs="ax", mus="mu", etas="eta", state_steps="step")
