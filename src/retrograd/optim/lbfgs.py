"""LBFGS: quasi-Newton steps from a memory of recent ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.door import _quiet, quiet_off, quiet_on
from ..core.mode import enable_grad
from ..tensor import Tensor
from .hooks import hooked
from .line_search import Point, strong_wolfe
from .optimizer import Optimizer
from .options import check, check_lr
from .units import real_view

__all__ = ["LBFGS"]


class Memory:
    """The last pairs of steps s and gradient changes y, from which the inverse Hessian is estimated."""

    def __init__(self, state: dict[str, Any], size: int) -> None:
        self.size = size
        self.ys = [y._a for y in state.get("old_dirs") or []]
        self.ss = [s._a for s in state.get("old_stps") or []]
        self.rhos = [float(rho) for rho in state.get("ro") or []]
        self.scale = float(state.get("H_diag") or 1)
        self.factors: list[Any] = [None if a is None else float(a) for a in state.get("al") or []]

    def add(self, y: Any, s: Any) -> None:
        """Remember a pair, unless the curvature along it is not positive."""
        ys = float(y @ s)
        if ys <= 1e-10:
            return
        if len(self.ys) == self.size:
            del self.ys[0], self.ss[0], self.rhos[0]
        self.ys.append(y)
        self.ss.append(s)
        self.rhos.append(1 / ys)
        self.scale = ys / float(y @ y)

    def direction(self, gradient: Any) -> Any:
        """Give minus the estimated inverse Hessian times the gradient: the two-loop recursion."""
        q = -gradient
        factors = []
        for y, s, rho in zip(reversed(self.ys), reversed(self.ss), reversed(self.rhos), strict=True):
            factors.append(float(s @ q) * rho)
            q = q - factors[-1] * y
        self.factors[: len(factors)] = reversed(factors)
        q = q * self.scale
        for y, s, rho, factor in zip(self.ys, self.ss, self.rhos, reversed(factors), strict=True):
            q = q + (factor - float(y @ q) * rho) * s
        return q

    def save(self, state: dict[str, Any], d: Any, t: float) -> None:
        """Write the memory, and the last direction and step, into an optimizer's state, under torch's names."""
        dtype = d.dtype
        if state["n_iter"] > 1:
            rest: list[Any] = [None] * (self.size - len(self.factors))
            state["al"] = [a if a is None else Tensor._wrap(np.array(a, dtype)) for a in self.factors] + rest
        state |= {"d": Tensor._wrap(d), "t": t}
        state["old_dirs"] = [Tensor._wrap(y) for y in self.ys]
        state["old_stps"] = [Tensor._wrap(s) for s in self.ss]
        state["ro"] = [Tensor._wrap(np.array(rho, dtype)) for rho in self.rhos]
        state["H_diag"] = Tensor._wrap(np.array(self.scale, dtype)) if self.ys else 1


def _number(loss: Any) -> float:
    """Give a closure's loss, a Tensor or a number, as a float."""
    return float(loss.detach()) if hasattr(loss, "detach") else float(loss)


class LBFGS(Optimizer):
    """Newton's steps with an inverse Hessian estimated from the last few steps, several to each call.

    p <- p + t * d,  d = -H g, where H comes from the pairs s = t d and y = change of g by the two-loop recursion;
    t is ``lr``, at first lr * min(1, 1 / sum of absolute g), or found by a line search.

    Parameters
    ----------
    params : iterable
        Parameters; there is one group only.
    lr : float
        Not negative.
    max_iter : int
        Most steps in a call of ``step``.
    max_eval : int, optional
        Most evaluations of the closure in a call; 1.25 * max_iter unless given.
    tolerance_grad, tolerance_change : float
        End when no element of the gradient, or no element of the step, or the loss's change, exceeds these.
    history_size : int
        Pairs remembered.
    line_search_fn : str, optional
        "strong_wolfe" or None.

    Raises
    ------
    ValueError
        For a negative lr, or more than one group.
    RuntimeError
        At the first step, for another line search.

    References
    ----------
    Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", 1989.

    Examples
    --------
    >>> import retrograd as torch
    >>> w = torch.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = torch.optim.LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((w - 3) ** 4).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item()
    641.0
    >>> closure().item() < 1e-6
    True
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_lr(lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        check(len(self.param_groups) == 1, "LBFGS doesn't support per-parameter options (parameter groups)")

    @property
    def _params(self) -> list[Any]:
        return self.param_groups[0]["params"]  # type: ignore[no-any-return]

    def _gradient(self) -> Any:
        """Give all gradients in one vector."""
        parts = [np.zeros_like(p._a) if p.grad is None else p.grad._a for p in self._params]
        return np.concatenate([real_view(part) for part in parts], None)

    def _move(self, t: float, d: Any) -> None:
        """Go t times d."""
        offset = 0
        for p in self._params:
            a = real_view(p._a)
            a += t * d[offset : offset + a.size].reshape(a.shape)
            offset += a.size
            p._s.version += 1

    def _evaluate(self, closure: Any, before: list[Any], t: float, d: Any) -> Point:
        """Give the point at a step along d, and come back."""
        self._move(t, d)
        loss = _number(closure())
        gradient = self._gradient()
        for p, a in zip(self._params, before, strict=True):
            np.copyto(p._a, a)
            p._s.version += 1
        return Point(t, loss, gradient, float(gradient @ d))

    @hooked
    def step(self, closure: Any = None) -> Any:
        """Go up to ``max_iter`` steps; ``closure`` computes the loss and its gradients anew. Gives the first loss."""
        if closure is None:
            raise TypeError(
                "LBFGS.step() needs a closure: a function that clears the gradients, computes the loss, "
                "calls backward() and returns the loss"
            )
        token = quiet_on(_quiet)
        try:
            with enable_grad():
                return self._steps(closure)
        finally:
            quiet_off(token)

    def _steps(self, closure: Any) -> Any:
        if len(self.param_groups) != 1:
            raise AssertionError(f"Expected exactly one param_group, but got {len(self.param_groups)}")
        group = self.param_groups[0]
        lr = float(group["lr"]) if isinstance(group["lr"], Tensor) else group["lr"]
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first_loss = closure()
        loss, gradient = _number(first_loss), self._gradient()
        state["func_evals"] += 1
        evaluations = 1
        if abs(gradient).max() <= group["tolerance_grad"]:
            return first_loss
        memory = Memory(state, group["history_size"])
        d, t = (state[name]._a if isinstance(state.get(name), Tensor) else state.get(name) for name in ("d", "t"))
        previous = state["prev_flat_grad"]._a if state.get("prev_flat_grad") is not None else gradient
        previous_loss = state.get("prev_loss")
        for i in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            if state["n_iter"] > 1:
                memory.add(gradient - previous, d * t)
            d = memory.direction(gradient)
            t = lr if state["n_iter"] > 1 else min(1.0, 1.0 / float(abs(gradient).sum())) * lr
            previous, previous_loss = gradient, loss
            slope = float(gradient @ d)
            if slope > -group["tolerance_change"]:
                break
            used = 0
            if group["line_search_fn"] is not None:
                if group["line_search_fn"] != "strong_wolfe":
                    raise RuntimeError("only 'strong_wolfe' is supported")
                before = [p._a.copy() for p in self._params]
                here, along = Point(0.0, loss, gradient, slope), d
                found, used = strong_wolfe(
                    lambda step, before=before, along=along: self._evaluate(closure, before, step, along),  # type: ignore[misc]
                    here,
                    t,
                    float(abs(d).max()),
                    limit=group["max_eval"] - evaluations,
                )
                t, loss, gradient = found.t, found.loss, found.gradient
                self._move(t, d)
            else:
                self._move(t, d)
                if i < group["max_iter"]:
                    loss, gradient, used = _number(closure()), self._gradient(), 1
            evaluations += used
            state["func_evals"] += used
            if (
                i == group["max_iter"]
                or evaluations >= group["max_eval"]
                or abs(gradient).max() <= group["tolerance_grad"]
                or abs(d * t).max() <= group["tolerance_change"]
                or abs(loss - previous_loss) < group["tolerance_change"]
            ):
                break
        memory.save(state, d, t)
        state |= {"prev_flat_grad": Tensor._wrap(previous), "prev_loss": previous_loss}
        return first_loss
