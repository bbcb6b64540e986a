"""The part of a module that changes all its tensors at once: dtype, device, requires_grad, gradients."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from ...core import dtypes
from ...core.device import check_device
from ...core.device import device as Device
from ...core.meta import is_meta, no_data
from ...core.mode import no_grad
from ...tensor import Parameter, Tensor
from ...tensor.swapping import swap_tensors
from .. import _functions as T

Self = TypeVar("Self", bound="Convertible")
EXCHANGE = {"swap": False, "overwrite": False}  # what torch.__future__ sets

_COMPLEX = (
    "Complex modules are a new feature under active development whose design may change, and some modules might not "
    "work as expected when using complex tensors as parameters or buffers."
)


def parse_to(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """Read the arguments of ``to``: (device, dtype), (dtype,), (tensor,), by position or by name.

    Returns (device, dtype), each None when it was not asked for. Raises TypeError for anything else.
    """
    allowed = {"device", "dtype", "non_blocking", "copy", "memory_format", "tensor", "other"}
    if unknown := set(kwargs) - allowed:
        raise TypeError(f"to() received an invalid combination of arguments: got unexpected {sorted(unknown)}")
    wanted_device, wanted_dtype = kwargs.get("device"), kwargs.get("dtype")
    other = kwargs.get("tensor", kwargs.get("other"))
    for position, given in enumerate(args):
        if isinstance(given, Tensor):
            other = given
        elif isinstance(given, dtypes.dtype):
            wanted_dtype = given
        elif isinstance(given, type) and given in dtypes.PYTHON_TYPES:
            wanted_dtype = dtypes.PYTHON_TYPES[given]
        elif isinstance(given, (str, Device)) or (type(given) is int and position == 0):
            wanted_device = given
        elif given is not None and not isinstance(given, bool):
            found = ", ".join(type(a).__name__ for a in args)
            raise TypeError(
                f"to() received an invalid combination of arguments - got ({found}): give a device, a dtype or a tensor"
            )
    if other is not None:
        return other.device, other.dtype
    return None if wanted_device is None else Device(wanted_device), wanted_dtype


def _refuse(kind: str, device: Any) -> None:
    check_device(kind if device is None else device)


class Convertible:
    """Changes that reach every parameter and buffer of a module and its descendants."""

    _parameters: dict[str, Any]
    _buffers: dict[str, Any]

    def children(self) -> Iterator[Any]:
        """Iterate over the direct children."""
        raise NotImplementedError

    def parameters(self, recurse: bool = True) -> Iterator[Any]:
        """Iterate over the parameters."""
        raise NotImplementedError

    def _apply(self: Self, fn: Callable[[Any], Any], recurse: bool = True) -> Self:
        """Replace the value of every parameter, gradient and buffer by ``fn`` of it; Parameters stay themselves."""
        if recurse:
            for child in self.children():
                child._apply(fn)
        for name, parameter in self._parameters.items():
            if parameter is None:
                continue
            gradient = parameter.grad
            with no_grad():
                converted = fn(parameter)
                converted_gradient = None if gradient is None else fn(gradient)
            if EXCHANGE["swap"] or EXCHANGE["overwrite"]:
                self._exchange(name, parameter, converted, converted_gradient)
                continue
            parameter.grad = None
            parameter.data = converted
            if gradient is not None:
                gradient.data = converted_gradient
                parameter.grad = gradient
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def _exchange(self, name: str, parameter: Any, converted: Any, gradient: Any) -> None:
        """Put a converted value in a Parameter's place, as a new one or exchanged for the old one's content."""
        if converted is parameter:
            return
        made = converted if isinstance(converted, Parameter) else Parameter(converted, parameter.requires_grad)
        if gradient is not None:
            made.grad = gradient
        if EXCHANGE["swap"]:
            swap_tensors(parameter, made)
        else:
            self._parameters[name] = made

    def apply(self: Self, fn: Callable[[Any], None]) -> Self:
        """Call ``fn`` on every descendant, children first, and then on the module itself.

        Examples
        --------
        >>> from retrograd import nn
        >>> net = nn.Sequential(nn.Linear(2, 2)).apply(lambda module: print(type(module).__name__))
        Linear
        Sequential
        """
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def to(self: Self, *args: Any, **kwargs: Any) -> Self:
        """Move to a device and a dtype: ``to(device)``, ``to(dtype)``, ``to(device, dtype)`` or ``to(tensor)``.

        Integer tensors keep their dtype. Raises TypeError for a dtype that is neither floating-point nor complex.

        Examples
        --------
        >>> import retrograd as torch
        >>> torch.nn.Linear(2, 2).to(torch.float64).weight.dtype
        torch.float64
        """
        device, dtype = parse_to(*args, **kwargs)
        if dtype is not None:
            if not (dtype.is_floating_point or dtype.is_complex):
                wanted = f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}"
                raise TypeError(wanted)
            if dtype.is_complex:
                warnings.warn(_COMPLEX, stacklevel=2)
        extra = {} if device is None else {"device": device}

        def convert(tensor: Any) -> Any:
            if device is not None and device.type != "meta" and is_meta(tensor):
                raise no_data(
                    " Please use torch.nn.Module.to_empty() instead of torch.nn.Module.to() when moving module from meta "
                    "to a different device."
                )
            floats = tensor.is_floating_point() or tensor.is_complex()
            return (
                tensor.to(**extra, dtype=dtype)
                if dtype is not None and floats
                else tensor.to(**extra)
                if extra
                else tensor
            )

        return self._apply(convert)

    def to_empty(self: Self, *, device: Any, recurse: bool = True) -> Self:
        """Move to a device without keeping the values."""
        return self._apply(lambda tensor: T.empty_like(tensor, device=device), recurse)

    def _to_floating(self: Self, dtype: Any) -> Self:
        return self._apply(lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)

    def float(self: Self) -> Self:
        """Turn every floating-point parameter and buffer into float32."""
        return self._to_floating(dtypes.float32)

    def double(self: Self) -> Self:
        """Turn every floating-point parameter and buffer into float64."""
        return self._to_floating(dtypes.float64)

    def half(self: Self) -> Self:
        """Turn every floating-point parameter and buffer into float16."""
        return self._to_floating(dtypes.float16)

    def bfloat16(self: Self) -> Self:
        """Turn every floating-point parameter and buffer into bfloat16."""
        return self._to_floating(dtypes.bfloat16)

    def type(self: Self, dst_type: Any) -> Self:
        """Turn every parameter and buffer into this type."""
        return self._apply(lambda tensor: tensor.type(dst_type))

    def cpu(self: Self) -> Self:
        """Move to the CPU."""
        return self._apply(lambda tensor: tensor.cpu())

    def cuda(self: Self, device: Any = None) -> Self:
        """Raise RuntimeError: there is no CUDA device."""
        return self._apply(lambda tensor: tensor.cuda(device))

    def xpu(self: Self, device: Any = None) -> Self:
        """Raise an error: there is no XPU device."""
        return self._apply(lambda tensor: _refuse("xpu", device))

    def mtia(self: Self, device: Any = None) -> Self:
        """Raise an error: there is no MTIA device."""
        return self._apply(lambda tensor: _refuse("mtia", device))

    def ipu(self: Self, device: Any = None) -> Self:
        """Raise an error: there is no IPU device."""
        return self._apply(lambda tensor: _refuse("ipu", device))

    def share_memory(self: Self) -> Self:
        """Move the tensors into memory that other processes share."""
        return self._apply(lambda tensor: tensor.share_memory_())

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Say of every parameter whether it wants a gradient.

        Examples
        --------
        >>> from retrograd import nn
        >>> nn.Linear(2, 2).requires_grad_(False).weight.requires_grad
        False
        """
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget every parameter's gradient, or fill it with zeros.

        Examples
        --------
        >>> import retrograd as torch
        >>> layer = torch.nn.Linear(2, 1)
        >>> layer(torch.ones(2)).backward()
        >>> layer.zero_grad()
        >>> layer.weight.grad is None
        True
        """
        for parameter in self.parameters():
            if parameter.grad is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:
                gradient = parameter.grad
                if gradient.grad_fn is not None:
                    gradient.detach_()
                else:
                    gradient.requires_grad_(False)
                gradient.zero_()
