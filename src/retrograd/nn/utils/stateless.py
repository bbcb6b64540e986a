"""torch's older place for a module called with other parameters than its own."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..modules.data_parallel import DataParallel
from .functional_call import functional_call as _call
from .functional_call import replaced

__all__ = ["functional_call"]


@contextmanager
def _reparametrize_module(
    module: Any, parameters_and_buffers: dict[str, Any], tie_weights: bool = False, strict: bool = False
) -> Iterator[None]:
    with replaced(module, parameters_and_buffers, tie_weights, strict):
        yield


def functional_call(
    module: Any,
    parameters_and_buffers: dict[str, Any],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call a module as if its parameters and buffers were others: `torch.func.functional_call`, and a FutureWarning.

    Parameters
    ----------
    module : Module
        What is called; a DataParallel is a RuntimeError.
    parameters_and_buffers : dict
        Tensors by name.
    args : object or tuple
        The module's arguments.
    kwargs : dict, optional
        Its named arguments.
    tie_weights : bool
        Give what is one parameter under two names one value.
    strict : bool
        Ask for exactly the module's names.
    """
    warnings.warn(
        "`torch.nn.utils.stateless.functional_call` is deprecated: use `torch.func.functional_call`, which does the same",
        FutureWarning,
        stacklevel=2,
    )
    if isinstance(module, DataParallel):
        raise RuntimeError("The stateless API can't be used with nn.DataParallel module")
    return _call(module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights, strict=strict)
