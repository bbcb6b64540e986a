"""DistributedDataParallel: a module whose gradients are averaged over a group of processes, which is this one alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from ..modules.module import Module
from ..parameter import is_lazy
from ..world import process_group as default_group

__all__ = ["DistributedDataParallel"]


class DistributedDataParallel(Module):
    """Hold a module under ``module`` and call it; in a group of one process its gradients are the average already.

    The names in ``state_dict()`` begin with "module.", as in torch.

    Parameters
    ----------
    module : Module
        One that has a parameter that wants a gradient.
    device_ids, output_device : optional
        None on the CPU.
    dim : int
        The dimension of the batch.
    broadcast_buffers, init_sync, process_group, bucket_cap_mb, find_unused_parameters, check_reduction
        Change nothing in a group of one process.
    gradient_as_bucket_view, static_graph, delay_all_reduce_named_params, param_to_hook_all_reduce, mixed_precision
        Change nothing in a group of one process.
    device_mesh, skip_all_reduce_unused_params, bucket_cap_mb_list, batched_grad_copy, forward_sync_buffers
        Change nothing in a group of one process.

    Raises
    ------
    ValueError
        Where no process group was made, or devices are named.
    RuntimeError
        For a module without trained parameters, or with parameters that have no shape yet.

    Examples
    --------
    >>> import retrograd as torch
    >>> isinstance(torch.nn.ReLU(), torch.nn.parallel.DistributedDataParallel)
    False
    """

    def __init__(
        self,
        module: Any,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool | None = None,
        init_sync: bool = True,
        process_group: Any = None,
        bucket_cap_mb: Any = None,
        find_unused_parameters: bool = False,
        check_reduction: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
        delay_all_reduce_named_params: Any = None,
        param_to_hook_all_reduce: Any = None,
        mixed_precision: Any = None,
        device_mesh: Any = None,
        skip_all_reduce_unused_params: bool = False,
        bucket_cap_mb_list: Any = None,
        batched_grad_copy: bool = False,
        forward_sync_buffers: bool | None = None,
    ) -> None:
        super().__init__()
        self.process_group = default_group() if process_group is None else process_group
        if self.process_group is None:
            raise ValueError(
                "Default process group has not been initialized, please make sure to call init_process_group."
            )
        parameters = list(module.parameters())
        if not any(p.requires_grad for p in parameters):
            raise RuntimeError(
                "DistributedDataParallel is not needed when a module doesn't have any parameter that requires a gradient."
            )
        if device_ids or output_device is not None:
            raise ValueError(
                "DistributedDataParallel device_ids and output_device arguments only work with modules on GPUs; "
                f"leave them out on the CPU, not device_ids {device_ids}, output_device {output_device}"
            )
        if any(is_lazy(p) for p in parameters):
            raise RuntimeError(
                "Modules with uninitialized parameters can't be used with `DistributedDataParallel`: call the module "
                "once with a batch first"
            )
        self.module = module
        self.device = parameters[0].device
        self.device_type = self.device.type
        self.device_ids = self.output_device = None
        self.dim = dim
        self.broadcast_buffers = broadcast_buffers is not False
        self.find_unused_parameters, self.static_graph = find_unused_parameters, static_graph
        self.gradient_as_bucket_view, self.mixed_precision = gradient_as_bucket_view, mixed_precision
        self.require_backward_grad_sync = self.require_forward_param_sync = True

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Call the module."""
        return self.module(*inputs, **kwargs)

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """Let gradients add up within the block without averaging them over the processes."""
        before, self.require_backward_grad_sync = self.require_backward_grad_sync, False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    @contextlib.contextmanager
    def join(
        self, divide_by_initial_world_size: bool = True, enable: bool = True, throw_on_early_termination: bool = False
    ) -> Iterator[None]:
        """Let processes have different numbers of batches within the block."""
        yield

    def register_comm_hook(self, state: object, hook: Callable[..., Any]) -> None:
        """Take a function that would share the gradients; with one process it is never called."""
        if not callable(hook):
            raise TypeError("Communication hook must be callable.")

    def will_sync_module_buffers(self) -> bool:
        """Tell whether a forward would send the buffers to the other processes."""
        return self.require_forward_param_sync and self.broadcast_buffers and any(True for _ in self.module.buffers())
