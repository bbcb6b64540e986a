"""Batches shared out over devices, and put together again."""

from __future__ import annotations

from typing import Any

__all__ = ["gather", "scatter", "scatter_kwargs"]


def scatter(inputs: Any, target_gpus: Any, dim: int = 0) -> Any:
    """Share a batch out over devices: ValueError, as there are none.

    Parameters
    ----------
    inputs : object
        What would be shared out.
    target_gpus : sequence
        The devices.
    dim : int
        The dimension of the batch.
    """
    raise ValueError(f"Expected a non cpu device, but there is none to scatter to: {list(target_gpus)}")


def scatter_kwargs(inputs: Any, kwargs: Any, target_gpus: Any, dim: int = 0) -> Any:
    """Share arguments out over devices: ValueError, as there are none.

    Parameters
    ----------
    inputs, kwargs : object
        What would be shared out.
    target_gpus : sequence
        The devices.
    dim : int
        The dimension of the batch.
    """
    return scatter(inputs, target_gpus, dim)


def gather(outputs: Any, target_device: Any, dim: int = 0) -> Any:
    """Put the parts of a batch together that lie on several devices: AssertionError, as all lie on the CPU.

    Parameters
    ----------
    outputs : sequence of Tensor
        The parts.
    target_device : device
        Where to.
    dim : int
        The dimension of the batch.
    """
    raise AssertionError("Gather function not implemented for CPU tensors: join them by torch.cat(outputs, dim)")
