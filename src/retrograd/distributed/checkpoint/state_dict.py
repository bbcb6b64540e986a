"""torch.distributed.checkpoint.state_dict: states as a world of any size would read them; one process has them whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class StateDictOptions:
    """What to leave out or to change in a state."""

    full_state_dict: bool = False
    cpu_offload: bool = False
    ignore_frozen_params: bool = False
    keep_submodule_prefixes: bool = True
    strict: bool = True
    broadcast_from_rank0: bool = False
    flatten_optimizer_state_dict: bool = False


def _named(model: Any) -> dict[Any, str]:
    return {p: name for name, p in model.named_parameters()}


def get_model_state_dict(
    model: Any, *, submodules: Any = None, options: StateDictOptions | None = None
) -> dict[str, Any]:
    """Give a model's state.

    Examples
    --------
    >>> import retrograd as torch
    >>> list(get_model_state_dict(torch.nn.Linear(2, 1)))
    ['weight', 'bias']
    """
    state = model.state_dict()
    if options is not None and options.ignore_frozen_params:
        frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
        return {name: value for name, value in state.items() if name not in frozen}
    return dict(state)


def set_model_state_dict(model: Any, model_state_dict: Any, *, options: StateDictOptions | None = None) -> Any:
    """Give a model a state; the answer names what was missing and what was too many."""
    return model.load_state_dict(model_state_dict, strict=options is None or options.strict)


def get_optimizer_state_dict(
    model: Any, optimizers: Any, *, submodules: Any = None, options: StateDictOptions | None = None
) -> dict[str, Any]:
    """Give the state of a model's optimizer, with parameters by name where the optimizer has numbers."""
    names = _named(model)
    found: dict[str, Any] = {"state": {}, "param_groups": []}
    for optimizer in _listed(optimizers):
        held = optimizer.state_dict()
        order = [names[p] for group in optimizer.param_groups for p in group["params"]]
        found["state"].update({order[i]: value for i, value in held["state"].items()})
        for group in held["param_groups"]:
            found["param_groups"].append({**group, "params": [order[i] for i in group["params"]]})
    return found


def set_optimizer_state_dict(
    model: Any, optimizers: Any, optim_state_dict: Any, *, options: StateDictOptions | None = None
) -> None:
    """Give a model's optimizer a state that has parameters by name."""
    names, groups = _named(model), list(optim_state_dict["param_groups"])
    for optimizer in _listed(optimizers):
        order = [names[p] for group in optimizer.param_groups for p in group["params"]]
        number = {name: i for i, name in enumerate(order)}
        mine, groups = groups[: len(optimizer.param_groups)], groups[len(optimizer.param_groups) :]
        optimizer.load_state_dict(
            {
                "state": {number[name]: v for name, v in optim_state_dict["state"].items() if name in number},
                "param_groups": [{**group, "params": [number[name] for name in group["params"]]} for group in mine],
            }
        )


def get_state_dict(
    model: Any, optimizers: Any, *, submodules: Any = None, options: StateDictOptions | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give the states of a model and of its optimizer."""
    return get_model_state_dict(model, options=options), get_optimizer_state_dict(model, optimizers, options=options)


def set_state_dict(
    model: Any,
    optimizers: Any,
    *,
    model_state_dict: Any,
    optim_state_dict: Any,
    options: StateDictOptions | None = None,
) -> Any:
    """Give a model and its optimizer their states."""
    set_optimizer_state_dict(model, optimizers, optim_state_dict, options=options)
    return set_model_state_dict(model, model_state_dict, options=options)


def _listed(optimizers: Any) -> list[Any]:
    return list(optimizers) if isinstance(optimizers, (list, tuple, set)) else [optimizers]


__all__ = [
    "StateDictOptions",
    "get_model_state_dict",
    "get_optimizer_state_dict",
    "get_state_dict",
    "set_model_state_dict",
    "set_optimizer_state_dict",
    "set_state_dict",
]
