"""Several modules of one kind as one: their parameters stacked, and batch norms without the state that stacking cannot share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...tensor.functions.joining import stack
from ..modules.batchnorm import _BatchNorm

__all__ = ["replace_all_batch_norm_modules_", "stack_module_state"]


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Stack the parameters and the buffers of modules, for ``vmap`` over them with ``functional_call``.

    Parameters
    ----------
    models : sequence of Module
        Of one class, and all in training or all in evaluation mode.

    Returns
    -------
    (dict, dict)
        Parameters (new leaves that require grad) and buffers, by name, with one more dimension 0.

    Examples
    --------
    >>> import retrograd as torch
    >>> models = [torch.nn.Linear(2, 1) for _ in range(3)]
    >>> params, buffers = torch.func.stack_module_state(models)
    >>> call = lambda p, b, x: torch.func.functional_call(models[0], (p, b), (x,))
    >>> torch.func.vmap(call, (0, 0, None))(params, buffers, torch.ones(4, 2)).shape
    torch.Size([3, 4, 1])
    """
    if not len(models):
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if not (all(m.training for m in models) or all(not m.training for m in models)):
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if any(type(m) is not type(models[0]) for m in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    return (
        _stacked([dict(m.named_parameters()) for m in models]),
        _stacked([dict(m.named_buffers()) for m in models]),
    )


def _stacked(tables: list[dict[str, Any]]) -> dict[str, Any]:
    made = {}
    for name in tables[0]:
        parts = [t[name] for t in tables]
        wanted = {p.requires_grad for p in parts}
        if len(wanted) > 1:
            raise RuntimeError(
                f"Expected {name} from each model to have the same .requires_grad: freeze it in all of them or in none"
            )
        whole = stack([p.detach() for p in parts], 0) if parts[0].is_leaf else stack(parts, 0)
        made[name] = whole.requires_grad_() if wanted == {True} and parts[0].is_leaf else whole
    return made


def replace_all_batch_norm_modules_(root: Any) -> Any:
    """Let every batch norm in a module do without running statistics, in place; give the module.

    Under ``vmap`` the statistics of all items would be written into one buffer, which is an error.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.func.replace_all_batch_norm_modules_(torch.nn.BatchNorm1d(2)).running_mean is None
    True
    """
    for module in root.modules():
        if isinstance(module, _BatchNorm) and module.track_running_stats:
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root
