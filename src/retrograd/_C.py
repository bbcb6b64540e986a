"""torch._C: the few names of PyTorch's compiled half that Python programs ask for."""

from __future__ import annotations

import zipfile
from types import SimpleNamespace
from typing import Any

from .core import MODE
from .core import device as device
from .core import dtype as dtype
from .linalg import LinAlgError as _LinAlgError  # noqa: F401  the name that programs catch
from .nn import functional as _functional
from .nn.modules.convert import parse_to
from .random import Generator as Generator
from .settings import fills_uninitialized_memory
from .tensor import Size as Size
from .tensor import Tensor as TensorBase
from .tensor import protocol as _protocol

__all__ = ["Generator", "PyTorchFileReader", "Size", "TensorBase", "device", "dtype"]


def is_grad_enabled() -> bool:
    """Tell whether history is being recorded in this thread."""
    return MODE.grad


def _current_graph_task_id() -> int:
    """Give a number for the backward walk that runs in this thread, -1 outside of one."""
    return id(MODE.walk) if MODE.backward else -1


def _get_deterministic_fill_uninitialized_memory() -> bool:
    """Tell whether memory that is handed out without values would be filled under deterministic algorithms."""
    return fills_uninitialized_memory()


def _log_api_usage_once(event: str) -> None:
    """Count nothing: what a program uses is nobody else's business."""


def _get_tracing_state() -> None:
    """Give the TorchScript program that is being traced: none is."""


def _parse_to(*args: Any, **kwargs: Any) -> tuple[Any, Any, bool, Any]:
    """Give the device, dtype, non_blocking and memory format that a call of ``to`` asks for."""
    non_blocking, memory_format = kwargs.get("non_blocking", False), kwargs.pop("memory_format", None)
    return *parse_to(*args, **kwargs), bool(non_blocking), memory_format


class PyTorchFileReader:
    """The records of a file that ``save`` wrote, by their names below its one folder."""

    def __init__(self, file: Any) -> None:
        self._archive = zipfile.ZipFile(file)
        self._folder = self._archive.namelist()[0].partition("/")[0]

    def get_all_records(self) -> list[str]:
        """Give the records' names."""
        return [name.partition("/")[2] for name in self._archive.namelist()]

    def has_record(self, name: str) -> bool:
        """Tell whether there is a record of that name."""
        return name in self.get_all_records()

    def get_record(self, name: str) -> bytes:
        """Give a record's bytes."""
        return self._archive.read(f"{self._folder}/{name}")


DisableTorchFunctionSubclass, DisableTorchFunction = _protocol.Off, _protocol.AllOff
_disabled_torch_function_impl = _protocol.disabled


def _are_functorch_transforms_active() -> bool:
    """Tell whether this runs within vmap, or another trace of a function that is not compiled."""
    return MODE.trace is not None and not getattr(MODE.trace, "compiling", False)


def _is_torch_function_enabled() -> bool:
    """Tell whether instances' ``__torch_function__`` is called in this thread now."""
    return not _protocol.STATE.off


class Value:
    """A value of a TorchScript program, for annotations and isinstance: there are none here."""


_NATIVE: tuple[str, ...] = (
    "avg_pool2d",
    "avg_pool3d",
    "gelu",
    "linear",
    "logsigmoid",
    "one_hot",
    "scaled_dot_product_attention",
)
_NATIVE += ("softplus", "softshrink")
_nn = SimpleNamespace(_parse_to=_parse_to, **{name: getattr(_functional, name) for name in _NATIVE})
_TensorBase = TensorBase
_TensorMeta = type(TensorBase)


def __getattr__(name: str) -> Any:
    from .utils._names import missing

    raise missing(__name__, name, __all__)
