"""torch.distributed.optim: optimizers whose state processes share; in a world of one each is the optimizer itself."""

from __future__ import annotations

from typing import Any

from ..optim import Optimizer

__all__ = ["ZeroRedundancyOptimizer"]


class ZeroRedundancyOptimizer(Optimizer):
    """Keep an optimizer's state on the processes by parts: one process keeps it whole.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.distributed.optim import ZeroRedundancyOptimizer
    >>> w = torch.nn.Parameter(torch.ones(2))
    >>> optimizer = ZeroRedundancyOptimizer([w], optimizer_class=torch.optim.SGD, lr=0.5)
    >>> w.sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([0.5000, 0.5000])
    """

    def __init__(
        self,
        params: Any,
        optimizer_class: Any,
        process_group: Any = None,
        parameters_as_bucket_view: bool = False,
        overlap_with_ddp: bool = False,
        **defaults: Any,
    ) -> None:
        self.optim = optimizer_class(params, **defaults)
        self.__dict__.update(self.optim.__dict__)  # one state and one list of groups for both

    def step(self, closure: Any = None, **options: Any) -> Any:
        """Move the parameters by the inner optimizer."""
        return self.optim.step(closure, **options)

    def add_param_group(self, param_group: Any) -> None:
        """Let the optimizer move further parameters."""
        self.optim.add_param_group(param_group)

    def load_state_dict(self, state_dict: Any) -> None:
        """Take over a state."""
        self.optim.load_state_dict(state_dict)
        self.__dict__.update(self.optim.__dict__)

    def consolidate_state_dict(self, to: int = 0) -> None:
        """Bring the parts of the state to one process: they are there."""
