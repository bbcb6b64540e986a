"""The order in which convolutions' weights lie in memory, which is rows first here whatever is asked for."""

from __future__ import annotations

from typing import Any

from ..modules.conv import Conv2d, Conv3d, ConvTranspose2d, ConvTranspose3d

__all__ = ["convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format"]


def _convert(module: Any, memory_format: Any, kinds: Any) -> Any:
    for part in module.modules():
        if isinstance(part, kinds):
            part.weight.data = part.weight.detach().clone(memory_format=memory_format)
    return module


def convert_conv2d_weight_memory_format(module: Any, memory_format: Any) -> Any:
    """Copy the weights of all two-dimensional convolutions in a module in another order of memory.

    Parameters
    ----------
    module : Module
        Whose weights they are.
    memory_format : memory_format
        Such as ``torch.channels_last``; the values are the same.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.utils.convert_conv2d_weight_memory_format(torch.nn.Conv2d(3, 4, 3), torch.channels_last)
    Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1))
    """
    return _convert(module, memory_format, (Conv2d, ConvTranspose2d))


def convert_conv3d_weight_memory_format(module: Any, memory_format: Any) -> Any:
    """Copy the weights of all three-dimensional convolutions in a module in another order of memory.

    Parameters
    ----------
    module : Module
        Whose weights they are.
    memory_format : memory_format
        Such as ``torch.channels_last_3d``; the values are the same.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.utils.convert_conv3d_weight_memory_format(torch.nn.Conv3d(3, 4, 3), torch.channels_last_3d)
    Conv3d(3, 4, kernel_size=(3, 3, 3), stride=(1, 1, 1))
    """
    return _convert(module, memory_format, (Conv3d, ConvTranspose3d))
