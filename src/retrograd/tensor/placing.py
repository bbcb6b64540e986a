"""The device that tensors are made on where none is named: blocks of a device, and the default."""

from __future__ import annotations

import threading
from typing import Any

from ..core import CPU, device
from ..core.device import ENTERED, LEFT
from . import protocol

MAKERS = frozenset(
    [
        "empty",
        "empty_strided",
        "empty_permuted",
        "ones",
        "zeros",
        "full",
        "rand",
        "randn",
        "randint",
        "randperm",
        "eye",
        "arange",
        "range",
        "linspace",
        "logspace",
        "tensor",
        "as_tensor",
        "asarray",
        "scalar_tensor",
        "fftfreq",
        "rfftfreq",
        "tril_indices",
        "triu_indices",
        "bartlett_window",
        "blackman_window",
        "hamming_window",
        "hann_window",
        "kaiser_window",
    ]
)


class DeviceContext:
    """A mode in which tensors that name no device are made on this one."""

    def __init__(self, wanted: Any) -> None:
        self.device = device(wanted)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Name the device in calls that make a tensor."""
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in MAKERS and kwargs.get("device") is None:
            kwargs = {**kwargs, "device": self.device}
        return func(*args, **kwargs)

    def __enter__(self) -> DeviceContext:
        protocol.install()
        protocol.push(self)
        return self

    def __exit__(self, *error: Any) -> None:
        protocol.pop()


class _State(threading.local):
    blocks: Any = ()  # what the blocks entered in this thread pushed, the last one last
    default: Any = CPU
    context: Any = None


STATE = _State()


def entered(wanted: Any) -> None:
    """Begin a block of a device."""
    pushed = wanted.type != "cpu" or bool(protocol.STATE.modes)  # the CPU is where tensors are made anyway
    if pushed:
        DeviceContext(wanted).__enter__()
    STATE.blocks = (*STATE.blocks, pushed)


def left(wanted: Any) -> None:
    """End it."""
    *rest, pushed = STATE.blocks
    STATE.blocks = tuple(rest)
    if pushed:
        protocol.pop()


def default() -> Any:
    """Give the device on which tensors are made in this thread, here."""
    found = [mode.device for mode in protocol.STATE.modes if isinstance(mode, DeviceContext)]
    return found[-1] if found else CPU


def set_default(wanted: Any) -> None:
    """Make tensors on a device from now on where none is named."""
    if STATE.context is not None:
        protocol.STATE.modes = tuple(mode for mode in protocol.STATE.modes if mode is not STATE.context)
        with protocol.LOCK:
            protocol.ENTERED[0] -= 1
        STATE.context = None
    if wanted is not None and device(wanted).type != "cpu":
        protocol.install()
        STATE.context = DeviceContext(wanted)
        protocol.STATE.modes = (STATE.context, *protocol.STATE.modes)
        with protocol.LOCK:
            protocol.ENTERED[0] += 1


ENTERED[0], LEFT[0] = entered, left

__all__ = ["DeviceContext", "default", "set_default"]
