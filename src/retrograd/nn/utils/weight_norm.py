"""Weight normalisation by a hook that computes the weight before each forward, which parametrizations do better."""

from __future__ import annotations

import warnings
from typing import Any

from ...tensor import Parameter
from .. import _functions as T
from ..parameter import is_lazy

__all__ = ["WeightNorm", "remove_weight_norm", "weight_norm"]


class WeightNorm:
    """A forward pre-hook that sets a weight to g v / |v|.

    Parameters
    ----------
    name : str
        The weight's name; g and v are the parameters ``<name>_g`` and ``<name>_v``.
    dim : int, optional
        The dimension whose entries have a length each; None for one length.
    """

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = -1 if dim is None else dim

    def compute_weight(self, module: Any) -> Any:
        """Give the weight of the present g and v."""
        return T._weight_norm(getattr(module, self.name + "_v"), getattr(module, self.name + "_g"), self.dim)

    @staticmethod
    def apply(module: Any, name: str, dim: int | None) -> WeightNorm:
        """Split a module's weight and hang the hook on the module; RuntimeError if that was done before."""
        if any(isinstance(h, WeightNorm) and h.name == name for h in module._forward_pre_hooks.values()):
            raise RuntimeError(f"Cannot register two weight_norm hooks on the same parameter {name}")
        hook, weight = WeightNorm(name, dim), getattr(module, name)
        if is_lazy(weight):
            raise ValueError(
                "The module passed to `WeightNorm` can't have uninitialized parameters: call it once with a batch first"
            )
        del module._parameters[name]
        length = T.norm_except_dim(weight, 2, hook.dim)
        module.register_parameter(name + "_g", Parameter(length.data))
        module.register_parameter(name + "_v", Parameter(weight.data))
        setattr(module, name, hook.compute_weight(module))
        module.register_forward_pre_hook(hook)
        return hook

    def remove(self, module: Any) -> None:
        """Make the present weight an ordinary parameter."""
        weight = self.compute_weight(module)
        delattr(module, self.name)
        del module._parameters[self.name + "_g"], module._parameters[self.name + "_v"]
        setattr(module, self.name, Parameter(weight.data))

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Split a weight into lengths and directions, both trained; `parametrizations.weight_norm` is the newer form.

    Parameters
    ----------
    module : Module
        Whose weight it is.
    name : str
        The weight's name; lengths and directions are ``<name>_g`` and ``<name>_v``.
    dim : int, optional
        The dimension whose entries have a length each; None for one length.
    """
    warnings.warn(
        "`torch.nn.utils.weight_norm` is deprecated in favor of `torch.nn.utils.parametrizations.weight_norm`.",
        FutureWarning,
        stacklevel=2,
    )
    WeightNorm.apply(module, name, dim)
    return module


def remove_weight_norm(module: Any, name: str = "weight") -> Any:
    """Make a weight that `weight_norm` has split an ordinary parameter again.

    Parameters
    ----------
    module : Module
        Whose weight it is.
    name : str
        The weight's name.

    Raises
    ------
    ValueError
        If it was not split.
    """
    for number, hook in list(module._forward_pre_hooks.items()):
        if isinstance(hook, WeightNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[number]
            return module
    raise ValueError(f"weight_norm of '{name}' not found in {module}")
