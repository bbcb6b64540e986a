"""Steps on sparse gradients: only the rows that have a gradient move, and only their states."""

from __future__ import annotations

import math
from typing import Any

from ..core.mode import no_grad
from ..core.rows import SparseArray
from ..tensor import Tensor
from .hooks import hooked
from .optimizer import Optimizer
from .options import check
from .units import as_state

__all__ = ["SparseAdam"]


class SparseAdam(Optimizer):
    """Adam for sparse gradients: only the rows of a table that a gradient names, and their running means, are renewed.

    For those rows m <- b1 * m + (1 - b1) * g;  v <- b2 * v + (1 - b2) * g^2;
    p <- p - lr * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + eps)

    Parameters
    ----------
    params : iterable
        Parameters or parameter groups.
    lr : float
        Step size, above zero.
    betas : (float, float)
        Decay rates of m and v, in [0, 1).
    eps : float
        Above zero.
    maximize : bool
        Ascend.

    Raises
    ------
    ValueError
        For an option out of its range, or a sparse parameter.
    RuntimeError
        At a step with a dense gradient.

    Examples
    --------
    >>> import retrograd as torch
    >>> table = torch.nn.Embedding(10, 2, sparse=True)
    >>> optimizer = torch.optim.SparseAdam(table.parameters(), lr=0.1)
    >>> table(torch.tensor([3])).sum().backward()
    >>> optimizer.step()
    >>> optimizer.state[table.weight]["exp_avg"].nonzero().tolist()
    [[3, 0], [3, 1]]
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: Any = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        check(not isinstance(lr, Tensor) or lr.numel() == 1, "Tensor lr must be 1-element")
        check(0.0 < lr, f"Invalid learning rate: {lr}")
        check(0.0 < eps, f"Invalid epsilon value: {eps}")
        for i in (0, 1):
            check(0.0 <= betas[i] < 1.0, f"Invalid beta parameter at index {i}: {betas[i]}")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        places = [([i, k], p) for i, g in enumerate(self.param_groups) for k, p in enumerate(g["params"])]
        layouts, kinds = [at for at, p in places if p.is_sparse], [at for at, p in places if p.is_complex()]
        check(not layouts, f"Sparse params at indices {layouts}: SparseAdam requires dense parameter tensors")
        check(not kinds, f"Complex params at indices {kinds}: SparseAdam does not support complex parameters")

    @hooked
    def step(self, closure: Any = None) -> Any:
        """Update the rows that have a gradient."""
        from ..core.mode import enable_grad

        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    if not p.grad.is_sparse:
                        raise RuntimeError("SparseAdam does not support dense gradients, please consider Adam instead")
                    self._renew(p, p.grad.coalesce(), group)
        return loss

    def _renew(self, p: Any, grad: Any, group: dict[str, Any]) -> None:
        state = self.state[p]
        if not state:
            state["step"] = 0
            state["exp_avg"], state["exp_avg_sq"] = Tensor._wrap(p._a * 0), Tensor._wrap(p._a * 0)
        state["step"] += 1
        t, (beta1, beta2) = state["step"], group["betas"]
        if not grad._nnz():
            return
        rows, g = tuple(grad.indices()._a), grad._values()._a
        if group["maximize"]:
            g = -g
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m._a[rows] += (1 - beta1) * (g - m._a[rows])
        v._a[rows] += (1 - beta2) * (g * g - v._a[rows])
        size = float(group["lr"]) * math.sqrt(1 - beta2**t) / (1 - beta1**t)
        p._a[rows] -= (size * (m._a[rows] / (v._a[rows] ** 0.5 + group["eps"]))).astype(p._a.dtype)
        for tensor in (m, v, p):
            tensor._s.version += 1


def sgd(optimizer: Any, p: Any, grad: Any, group: dict[str, Any]) -> None:
    """Step down a sparse gradient, with momentum if there is some."""
    if group["maximize"]:
        grad = -grad
    if group["weight_decay"]:
        grad = grad.add(p, alpha=group["weight_decay"])  # which is refused, in the words of the sum
    if group["momentum"]:
        state = optimizer.state[p]
        v = state.get("momentum_buffer")
        if v is None:
            v = state["momentum_buffer"] = grad.detach().clone()
        else:
            v.mul_(group["momentum"]).add_(grad, alpha=1 - group["dampening"])
        grad = grad.add(v, alpha=group["momentum"]) if group["nesterov"] else v
    _subtract(p, grad, float(group["lr"]))


def _subtract(p: Any, grad: Any, rate: float) -> None:
    """Subtract a sparse tensor, times a rate, from a dense one in place."""
    grad = grad.coalesce()
    p._a[tuple(grad.indices()._a)] -= (rate * grad._values()._a).astype(p._a.dtype)
    p._s.version += 1


def adagrad(optimizer: Any, p: Any, grad: Any, group: dict[str, Any]) -> None:
    """Step down a sparse gradient over the root of the sum of its squares."""
    if group["weight_decay"]:
        raise RuntimeError("weight_decay option is not compatible with sparse gradients")
    state = optimizer.state[p]
    step = float(state["step"]) + 1
    state["step"] = as_state(step)
    grad = (-grad if group["maximize"] else grad).coalesce()
    rows, g, total = tuple(grad.indices()._a), grad._values()._a, state["sum"]
    total._a[rows] += g * g
    total._s.version += 1
    moved = grad._with(Tensor._wrap(g / (total._a[rows] ** 0.5 + group["eps"])))
    _subtract(p, moved, float(group["lr"]) / (1 + (step - 1) * group["lr_decay"]))


RULES = {"SGD": sgd, "Adagrad": adagrad}
MESSAGES = {"Adam": "Adam does not support sparse gradients, please consider SparseAdam instead"}


def take_sparse(optimizer: Any, group: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Step on a group's sparse gradients; give them with their parameters, which the rest of the step is not to see.

    Raises RuntimeError where the optimizer has no rule for them.
    """
    found = [(p, p._grad) for p in group["params"] if p._grad is not None and p._grad._composite]
    if found and group.get("fused"):
        raise RuntimeError("`fused` does not support sparse gradients")
    for p, grad in found:
        kind = next((k.__name__ for k in type(optimizer).__mro__ if k.__name__ in RULES), None)
        if kind is None:
            name = "Adam" if type(optimizer).__name__ == "AdamW" else type(optimizer).__name__
            raise RuntimeError(MESSAGES.get(name, f"{name} does not support sparse gradients"))
        with no_grad():
            RULES[kind](optimizer, p, grad.detach(), group)
        p._grad = None
    return found


def give_back(found: list[tuple[Any, Any]]) -> None:
    """Put the sparse gradients back in their places."""
    for p, grad in found:
        p._grad = grad


__all__ += ["SparseArray", "give_back", "take_sparse"]
