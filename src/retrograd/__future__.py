"""torch.__future__: how modules exchange their parameters when they are converted or loaded."""

from __future__ import annotations

from .nn.modules.convert import EXCHANGE

__all__ = [
    "get_overwrite_module_params_on_conversion",
    "get_swap_module_params_on_conversion",
    "set_overwrite_module_params_on_conversion",
    "set_swap_module_params_on_conversion",
]


def set_overwrite_module_params_on_conversion(value: bool) -> None:
    """Let conversions such as ``module.double()`` make new Parameters, where they change the old ones' values otherwise."""
    EXCHANGE["overwrite"] = value


def get_overwrite_module_params_on_conversion() -> bool:
    """Tell whether conversions make new Parameters."""
    return EXCHANGE["overwrite"]


def set_swap_module_params_on_conversion(value: bool) -> None:
    """Let conversions and ``load_state_dict`` exchange Parameters by ``torch.utils.swap_tensors``.

    Loading then asks ``parameter.module_load(given)`` for the new value, which a subclass of Tensor may answer.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.__future__.set_swap_module_params_on_conversion(True)
    >>> layer = torch.nn.Linear(1, 1)
    >>> weight = layer.weight
    >>> layer.double().weight is weight, weight.dtype
    (True, torch.float64)
    >>> torch.__future__.set_swap_module_params_on_conversion(False)
    """
    EXCHANGE["swap"] = value


def get_swap_module_params_on_conversion() -> bool:
    """Tell whether Parameters are exchanged."""
    return EXCHANGE["swap"]
