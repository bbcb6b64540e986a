"""Optimizers as functions of lists: parameters, gradients and states by position, hyper-parameters by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["functional"]

_WAYS = {
    "capturable",
    "differentiable",
    "foreach",
    "found_inf",
    "fused",
    "grad_scale",
    "has_complex",
    "has_sparse_grad",
}  # how torch computes; here there is one way
_PAIRS = (
    ("betas", "beta1", "beta2"),
    ("etas", "etaminus", "etaplus"),
    ("step_sizes", "step_size_min", "step_size_max"),
)


def functional(optimizer: Any, **states: str) -> Callable[..., None]:
    """Make the function that torch has beside an optimizer's class, such as ``adam`` beside ``Adam``.

    It takes lists of parameters, of gradients and of each state, which it moves in place, and the hyper-parameters by
    name, pairs of them apart (``beta1``, ``beta2``). A list of states that is not needed is empty, and a state that is
    None is put into its list.

    Parameters
    ----------
    optimizer : type
        The class, which has the rule.
    **states : str
        By the name of each list, in order, the name of the state it holds.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.optim.sgd import sgd
    >>> w = torch.zeros(2)
    >>> sgd([w], [torch.ones(2)], [None], lr=0.5, momentum=0.0, weight_decay=0.0, dampening=0.0)
    >>> w
    tensor([-0.5000, -0.5000])
    """

    def step(params: list[Any], grads: list[Any], *lists: list[Any], **options: Any) -> None:
        given = dict(zip(states, lists, strict=False))
        given |= {name: options.pop(name) for name in states if name in options}
        missing = [name for name in states if name not in given]
        if missing:
            raise TypeError(f"{optimizer.__name__.lower()}() is missing the lists {', '.join(missing)}")
        settings = {name: value for name, value in options.items() if name not in _WAYS}
        for pair, one, other in _PAIRS:
            if one in settings:
                settings[pair] = (settings.pop(one), settings.pop(other))
        made = optimizer(params, **settings) if params else None
        if made is None:
            return
        before = [p.grad for p in params]
        try:
            for i, (p, g) in enumerate(zip(params, grads, strict=True)):
                held = {states[name]: values[i] for name, values in given.items() if values and values[i] is not None}
                if held:
                    made.state[p] = held
                p.grad = g
            made.step()
            for name, values in given.items():
                for i, p in enumerate(params if values else ()):
                    values[i] = made.state[p].get(states[name])
        finally:
            for p, g in zip(params, before, strict=True):
                p.grad = g

    step.__name__ = step.__qualname__ = optimizer.__name__.lower()
    step.__doc__ = f"Move parameters, and the states in the lists, by one step of `{optimizer.__name__}`."
    return step
