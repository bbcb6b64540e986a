"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .forms import functional
from .optimizer import Optimizer
from .options import check, check_kind, check_lr

__all__ = ["SGD", "sgd"]


class SGD(Optimizer):
    """Descends along the gradient, or along its running sum.

    g <- g + weight_decay * p;  v <- momentum * v + (1 - dampening) * g;  p <- p - lr * v

    With ``nesterov``, p <- p - lr * (g + momentum * v). The first v is g itself.

    Parameters
    ----------
    params : iterable
        Parameters or parameter groups.
    lr, momentum, dampening, weight_decay : float
        Not negative.
    nesterov, maximize : bool
        Look ahead along v; ascend instead.
    foreach, differentiable, fused : bool, optional
        Accepted for torch's sake; only ``differentiable`` changes anything: the step is then recorded for gradients.

    Raises
    ------
    ValueError
        For a negative option, or nesterov without momentum or with dampening.

    References
    ----------
    Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013.

    Examples
    --------
    >>> import retrograd as torch
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.9)
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([0.8000, 1.6000])
    """

    scalars = ()

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: Any = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check(momentum >= 0.0, f"Invalid momentum value: {momentum}")
        check(weight_decay >= 0.0, f"Invalid weight_decay value: {weight_decay}")
        check(
            not nesterov or (momentum > 0 and dampening == 0),
            "Nesterov momentum requires a momentum and zero dampening",
        )
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_kind(fused, foreach, differentiable, self.param_groups)

    def initial(self, p: Any, h: Any) -> dict[str, Any] | None:
        return {} if h.momentum else None

    def update(self, p: Any, g: Any, state: dict[str, Any], h: Any) -> tuple[Any, dict[str, Any]]:
        if h.maximize:
            g = -g
        if h.weight_decay:
            g = g + h.weight_decay * p
        if not h.momentum:
            return p - h.lr * g, {}
        v = state.get("momentum_buffer")
        if v is None:
            v = g.detach() if isinstance(g, Tensor) and g.requires_grad else g  # torch's first v has no history
        else:
            v = h.momentum * v + ((1 - h.dampening) * g if h.dampening else g)
        if h.nesterov:
            g = g + h.momentum * v
        return p - h.lr * (g if h.nesterov else v), {"momentum_buffer": v}


sgd = functional(SGD, momentum_buffer_list="momentum_buffer")
