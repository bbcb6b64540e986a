"""Rprop: steps whose size depends on the gradient's sign alone."""

from __future__ import annotations

from typing import Any

from .forms import functional
from .optimizer import Optimizer
from .options import check, check_lr
from .rules import full_like, maximum, minimum, sign, where, zeros_like

__all__ = ["Rprop", "rprop"]


class Rprop(Optimizer):
    """Steps against the gradient's sign, by a size of its own for each element.

    The size grows by etas[1] while the sign stays, shrinks by etas[0] where it has changed, and stays in
    ``step_sizes``; an element whose sign has changed does not move in this step.

    p <- p - sign(g) * size

    Parameters
    ----------
    params : iterable
        Parameters or parameter groups.
    lr : float
        The first size.
    etas : (float, float)
        Factors of decrease and increase, 0 < etas[0] < 1 < etas[1].
    step_sizes : (float, float)
        Smallest and largest size.
    capturable, foreach, maximize, differentiable : bool, optional
        ``maximize`` ascends; the others are as for Adam.

    Raises
    ------
    ValueError
        For an option out of its range.

    References
    ----------
    Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning: the RPROP algorithm", 1993.

    Examples
    --------
    >>> import retrograd as torch
    >>> w = torch.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = torch.optim.Rprop([w], lr=0.1)
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.9000, -1.9000])
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check(0.0 < etas[0] < 1.0 < etas[1], f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def initial(self, p: Any, h: Any) -> dict[str, Any] | None:
        return {"step": 0.0, "prev": zeros_like(p), "step_size": full_like(p, float(h.lr))}

    def update(self, p: Any, g: Any, state: dict[str, Any], h: Any) -> tuple[Any, dict[str, Any]]:
        if h.maximize:
            g = -g
        smallest, largest = h.step_sizes
        agreement = g * state["prev"]
        turned = agreement < 0
        size = state["step_size"]
        size = where(agreement > 0, size * h.etas[1], where(turned, size * h.etas[0], size))
        size = minimum(maximum(size, smallest), largest)
        g = where(turned, 0.0, g)
        return p - sign(g) * size, {"step": state["step"] + 1, "prev": g, "step_size": size}


rprop = functional(Rprop, prevs="prev", step_sizes="step_size", state_steps="step")
