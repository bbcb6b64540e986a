"""DataParallel, which without several devices is the module that it holds."""

from __future__ import annotations

from typing import Any

from ..modules.data_parallel import DataParallel

__all__ = ["DataParallel", "data_parallel"]


def data_parallel(
    module: Any,
    inputs: Any,
    device_ids: Any = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: Any = None,
) -> Any:
    """Share a batch out over devices: RuntimeError, as there are none.

    Parameters
    ----------
    module : Module
        What would be called.
    inputs : Tensor or tuple
        What would be shared out.
    device_ids, output_device
        The devices.
    dim : int
        The dimension of the batch.
    module_kwargs : dict, optional
        Further arguments of the module.
    """
    raise RuntimeError("device type could not be determined: there is no device beside the CPU; call the module itself")
