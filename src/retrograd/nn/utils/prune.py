"""Pruning: weights under masks, which are chosen at random or by size, one after the other, and made for good."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import _functions as T
from .convert_parameters import parameters_to_vector
from .pruning import (
    BasePruningMethod,
    CustomFromMask,
    Identity,
    L1Unstructured,
    LnStructured,
    PruningContainer,
    RandomStructured,
    RandomUnstructured,
)

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


def identity(module: Any, name: str) -> Any:
    """Put a module's parameter under a mask of ones.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.nn.utils import prune
    >>> list(prune.identity(torch.nn.Linear(3, 2), "bias").state_dict())
    ['weight', 'bias_orig', 'bias_mask']
    """
    Identity.apply(module, name)
    return module


def random_unstructured(module: Any, name: str, amount: Any) -> Any:
    """Prune a number, or a share, of a parameter's elements at random.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.nn.utils import prune
    >>> int(prune.random_unstructured(torch.nn.Linear(3, 2), "weight", 0.5).weight_mask.sum())
    3
    """
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module: Any, name: str, amount: Any, importance_scores: Any = None) -> Any:
    """Prune a number, or a share, of a parameter's elements: those of least absolute value (or score).

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.nn.utils import prune
    >>> layer = torch.nn.Linear(3, 1)
    >>> torch.nn.Module.load_state_dict(
    ...     layer, {"weight": torch.tensor([[3.0, -1.0, 2.0]]), "bias": torch.zeros(1)}
    ... )
    <All keys matched successfully>
    >>> prune.l1_unstructured(layer, "weight", 1).weight.tolist()
    [[3.0, -0.0, 2.0]]
    """
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Any, name: str, amount: Any, dim: int) -> Any:
    """Prune a number, or a share, of a parameter's slices along a dimension at random.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.nn.utils import prune
    >>> prune.random_structured(torch.nn.Linear(3, 2), "weight", 1, 1).weight_mask.sum(1).tolist()
    [2.0, 2.0]
    """
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(module: Any, name: str, amount: Any, n: Any, dim: int, importance_scores: Any = None) -> Any:
    """Prune a number, or a share, of a parameter's slices along a dimension: those of least norm.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.nn.utils import prune
    >>> layer = torch.nn.Linear(1, 2)
    >>> layer.weight.data = torch.tensor([[3.0], [-1.0]])
    >>> prune.ln_structured(layer, "weight", 1, 2, 0).weight_mask.tolist()
    [[1.0], [0.0]]
    """
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Any, name: str, mask: Any) -> Any:
    """Prune a parameter where a mask is zero.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.nn.utils import prune
    >>> layer = prune.custom_from_mask(torch.nn.Linear(3, 2), "bias", torch.tensor([0, 1]))
    >>> bool(layer.bias[0] == 0)
    True
    """
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Any, pruning_method: Any, importance_scores: dict[Any, Any] | None = None, **kwargs: Any
) -> None:
    """Prune elements of several parameters as if they were one vector.

    Parameters
    ----------
    parameters : iterable of (Module, str)
        Modules, and names of parameters in them.
    pruning_method : type
        A method that prunes elements, such as `L1Unstructured`.
    importance_scores : dict, optional
        By (module, name), what the masks are chosen by instead of the parameters.
    **kwargs
        What the method is made with, such as ``amount``.

    Raises
    ------
    TypeError
        If the method prunes slices, or the arguments are of other kinds.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.nn.utils import prune
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 2))
    >>> weights = [(net[0], "weight"), (net[1], "weight")]
    >>> prune.global_unstructured(weights, prune.L1Unstructured, amount=4)
    >>> sum(int(m.weight_mask.sum()) for m in net)
    6
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    scores = {} if importance_scores is None else importance_scores
    if not isinstance(scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    places = [(module, name, getattr(module, name)) for module, name in parameters]
    vector = parameters_to_vector([scores.get((module, name), held) for module, name, held in places])
    before = parameters_to_vector([getattr(m, name + "_mask", T.ones_like(held)) for m, name, held in places])
    method = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. '
            f"Found method {pruning_method} of type {method.PRUNING_TYPE}"
        )
    mask = PruningContainer(method).compute_mask(vector, before)
    start = 0
    for module, name, held in places:
        custom_from_mask(module, name, mask=mask[start : start + held.numel()].view_as(held))
        start += held.numel()


def remove(module: Any, name: str) -> Any:
    """Make a pruned parameter an ordinary one, zeros and all.

    Raises ValueError if it is not pruned.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.nn.utils import prune
    >>> layer = prune.random_unstructured(torch.nn.Linear(3, 2), "weight", 2)
    >>> list(prune.remove(layer, "weight").state_dict())
    ['bias', 'weight']
    """
    for number, hook in list(module._forward_pre_hooks.items()):
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            hook.remove(module)
            del module._forward_pre_hooks[number]
            return module
    raise ValueError(f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed")


def is_pruned(module: Any) -> bool:
    """Tell whether a module, or one within it, has a pruned parameter.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.nn.utils import prune
    >>> prune.is_pruned(torch.nn.Linear(3, 2))
    False
    """
    return any(
        isinstance(hook, BasePruningMethod) for part in module.modules() for hook in part._forward_pre_hooks.values()
    )
