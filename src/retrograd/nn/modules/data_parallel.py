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
        self.dim = dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Call the module."""
        return self.module(*inputs, **kwargs)
