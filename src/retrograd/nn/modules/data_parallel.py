"""DataParallel, which without several devices is the module that it holds."""

from __future__ import annotations

from typing import Any

from .module import Module


class DataParallel(Module):
    """Hold a module under ``module`` and call it: there is one device, so nothing is shared out.

    The names in ``state_dict()`` begin with "module.", as in torch.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.DataParallel(torch.nn.ReLU())(torch.tensor([-1.0]))
    tensor([0.])
    """

    def __init__(self, module: Any, device_ids: Any = None, output_device: Any = None, dim: int = 0) -> None:
        super().__init__()
        self.module = module
        self.device_ids: list[int] = []

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Call the module."""
        return self.module(*inputs, **kwargs)

    def replicate(self, module: Any, device_ids: Any) -> Any:
        """Copy the module to devices, of which there are none."""
        from ..parallel.replicate import replicate

        return replicate(module, device_ids)

    def scatter(self, inputs: Any, kwargs: Any, device_ids: Any) -> Any:
        """Share arguments out over devices, of which there are none."""
        from ..parallel.scatter_gather import scatter_kwargs

        return scatter_kwargs(inputs, kwargs, device_ids, 0)

    def parallel_apply(self, replicas: Any, inputs: Any, kwargs: Any) -> Any:
        """Call the copies on devices, of which there are none."""
        from ..parallel.parallel_apply import parallel_apply

        return parallel_apply(replicas, inputs, kwargs)

    def gather(self, outputs: Any, output_device: Any) -> Any:
        """Put together what devices gave, of which there are none."""
        from ..parallel.scatter_gather import gather

        return gather(outputs, output_device, 0)
