"""An optimizer that works on other parameters and another state for a while."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from ..tensor import Tensor

__all__ = ["swap_in_optimizer_params_and_state"]

_NAME = "swap_in_optimizer_params_and_state requires"


def _ask(holds: Any, message: str) -> None:
    if not holds:
        raise RuntimeError(message)


def _check_group(i: int, live: dict[str, Any], given: Any) -> None:
    """Raise RuntimeError unless a group of a state dictionary goes with an optimizer's."""
    _ask(isinstance(given, dict), f"{_NAME} each optimizer param group to be a dictionary.")
    numbers = given.get("params")
    _ask(
        isinstance(numbers, list) and all(isinstance(n, int) for n in numbers),
        f"{_NAME} optimizer.state_dict()-style param_groups[*]['params'] entries, which are numbers of parameters.",
    )
    _ask(
        len(live["params"]) == len(numbers),
        f"swapin_optim_state param group {i} has a different number of params than the live optimizer param group.",
    )
    _ask(
        live.keys() == given.keys(),
        f"{_NAME} the options of group {i} to be the live group's: {sorted(live.keys() ^ given.keys())} are in one only.",
    )


def _check(optimizer: Any, count: int, given: Any) -> None:
    """Raise RuntimeError unless a state dictionary goes with an optimizer and a number of parameters."""
    _ask(optimizer.state, f"{_NAME} initialized optimizer state.")
    _ask(isinstance(given, dict), f"{_NAME} a state dictionary such as optimizer.state_dict() gives.")
    state, groups = given.get("state"), given.get("param_groups")
    _ask(isinstance(state, dict), f"{_NAME} swapin_optim_state['state'] to be a dict, got {type(state).__name__}.")
    _ask(
        not any(isinstance(key, Tensor) for key in state) and all(isinstance(v, dict) for v in state.values()),
        f"{_NAME} the states, dictionaries, by the number of the parameter.",
    )
    _ask(
        isinstance(groups, list),
        f"{_NAME} swapin_optim_state['param_groups'] to be a list of dicts, got {type(groups).__name__}.",
    )
    _ask(
        len(groups) == len(optimizer.param_groups),
        "swapin_optim_state has a different number of parameter groups than the live optimizer.",
    )
    for i, (live, group) in enumerate(zip(optimizer.param_groups, groups, strict=True)):
        _check_group(i, live, group)
    numbers = [n for group in groups for n in group["params"]]
    _ask(len(numbers) <= count, f"{_NAME} the parameters to be those of optimizer.param_groups, in their order.")
    extra = [key for key in state if key not in numbers]
    _ask(not extra, f"{_NAME} states of the groups' parameters alone; got extra keys {extra!r}.")


@contextlib.contextmanager
def swap_in_optimizer_params_and_state(
    optimizer: Any, swapin_parameters: dict[str, Any], swapin_optim_state: dict[str, Any]
) -> Iterator[None]:
    """Let an optimizer step other parameters, from another state, within the block; its own come back unchanged.

    Parameters
    ----------
    optimizer : Optimizer
        One that has a state.
    swapin_parameters : dict
        The other parameters by name, in the order of the optimizer's own.
    swapin_optim_state : dict
        A state as ``optimizer.state_dict()`` gives it.

    Raises
    ------
    RuntimeError
        Where the parameters or the state do not go with the optimizer.

    Examples
    --------
    >>> import retrograd as torch
    >>> w = torch.ones(1, requires_grad=True)
    >>> other = torch.zeros(1, requires_grad=True)
    >>> optimizer = torch.optim.SGD([w], lr=0.5, momentum=0.9)
    >>> w.grad = other.grad = torch.ones(1)
    >>> optimizer.step()
    >>> with torch.optim.swap_in_optimizer_params_and_state(
    ...     optimizer, {"w": other}, optimizer.state_dict()
    ... ):
    ...     optimizer.step()
    >>> w.item(), round(other.item(), 2)
    (0.5, -0.95)
    """
    parameters = list(swapin_parameters.values())
    _check(optimizer, len(parameters), swapin_optim_state)
    state_before, groups_before = optimizer.state, [dict(group) for group in optimizer.param_groups]
    state: defaultdict[Any, Any] = defaultdict(dict)
    rest = iter(parameters)
    try:
        for live, given in zip(optimizer.param_groups, swapin_optim_state["param_groups"], strict=True):
            live.update(given, params=[next(rest) for _ in given["params"]])
            for p, number in zip(live["params"], given["params"], strict=True):
                state[p] = dict(swapin_optim_state["state"].get(number, {}))
        optimizer.state = state
        yield
    finally:
        for group, before in zip(optimizer.param_groups, groups_before, strict=True):
            group.clear()
            group.update(before)
        optimizer.state = state_before
