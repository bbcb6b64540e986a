"""torch.cuda, as PyTorch's build for the CPU has it: questions are answered, and what needs a device is refused."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

default_generators: tuple[Any, ...] = ()
has_half = True
has_magma = False
_initialized = False


def is_available() -> bool:
    """Tell whether a CUDA device can be used: no."""
    return False


def device_count() -> int:
    """Give the number of CUDA devices: none."""
    return 0


def is_initialized() -> bool:
    """Tell whether CUDA was initialised: no."""
    return False


def _is_compiled() -> bool:
    """Tell whether this build knows CUDA: no."""
    return False


def _is_in_bad_fork() -> bool:
    """Tell whether this process was forked from one that had initialised CUDA: no."""
    return False


def _lazy_init() -> None:
    """Refuse, as a build without CUDA does."""
    raise AssertionError("Torch not compiled with CUDA enabled")


def _lazy_call(callable: Callable[[], Any], **options: Any) -> None:
    """Accept a call to be made once CUDA is initialised, which it never is."""


def is_bf16_supported(*args: Any, **options: Any) -> bool:
    """Tell whether a CUDA device computes in bfloat16: no."""
    return False


def is_tf32_supported() -> bool:
    """Tell whether a CUDA device computes in TF32: no."""
    return False


def get_arch_list() -> list[str]:
    """Give the architectures that there is code for: none."""
    return []


def get_gencode_flags() -> str:
    """Give the compiler's flags for them: none."""
    return ""


# -- random numbers ------------------------------------------------------------------------------------------------------
def manual_seed(seed: int) -> None:
    """Accept a seed for devices that are not there."""


def manual_seed_all(seed: int) -> None:
    """Accept a seed for devices that are not there."""


def seed() -> None:
    """Do nothing: there is no generator."""


def seed_all() -> None:
    """Do nothing: there are no generators."""


def get_rng_state_all() -> list[Any]:
    """Give the states of all devices' generators: there are none."""
    return []


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Accept a state for a device that is not there."""


def set_rng_state_all(new_states: Any) -> None:
    """Accept the states of devices that are not there."""


# -- memory --------------------------------------------------------------------------------------------------------------
def empty_cache() -> None:
    """Do nothing: there is no cache."""


def memory_allocated(device: Any = None) -> int:
    """Give the bytes used on CUDA devices: none."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_cached = max_memory_cached = memory_allocated


def memory_stats(device: Any = None) -> OrderedDict[str, Any]:
    """Give what is known of the memory: nothing."""
    return OrderedDict()


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """Give a text on the memory: that there is none."""
    return "no CUDA device, no memory"


def reset_peak_memory_stats(device: Any = None) -> None:
    """Do nothing: there is nothing to reset."""


reset_max_memory_allocated = reset_max_memory_cached = reset_accumulated_memory_stats = reset_peak_memory_stats


# -- what needs a device -----------------------------------------------------------------------------------------------------
def _refused(name: str) -> AssertionError:
    return AssertionError(
        f"Torch not compiled with CUDA enabled (torch.cuda.{name}): retrograd computes on the CPU; ask "
        "torch.cuda.is_available() first, which is False"
    )


def _needs_device(name: str) -> Callable[..., Any]:
    def fn(*args: Any, **options: Any) -> Any:
        raise _refused(name)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = "Raise AssertionError: there is no CUDA device."
    return fn


for _name in (
    *("init", "synchronize", "current_device", "current_stream", "default_stream", "current_blas_handle", "cudart"),
    *("get_device_name", "get_device_properties", "get_device_capability", "can_device_access_peer", "mem_get_info"),
    *("get_rng_state", "initial_seed", "ipc_collect", "get_sync_debug_mode", "set_sync_debug_mode"),
    *("set_per_process_memory_fraction", "get_per_process_memory_fraction", "memory_snapshot", "utilization"),
):
    globals()[_name] = _needs_device(_name)


def set_device(device: Any) -> None:
    """Raise RuntimeError for a device's number; a negative one does nothing."""
    number = getattr(device, "index", device)
    if not isinstance(number, int) or number >= 0:
        raise RuntimeError(f"torch.cuda.set_device({device!r}): there is no CUDA device; keep to torch.device('cpu')")


class Stream:
    """Not to be made: there is no CUDA device."""

    def __init__(self, *args: Any, **options: Any) -> None:
        raise RuntimeError("torch.cuda.Stream requires CUDA support")


ExternalStream = Stream


class Event:
    """Not to be made: there is no CUDA device. `time.perf_counter` measures times here."""

    def __init__(self, *args: Any, **options: Any) -> None:
        raise RuntimeError("Tried to instantiate dummy base class Event: torch.cuda.Event requires CUDA support")


class StreamContext:
    """A block on a stream; on None, as here, it does nothing."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: Any) -> None:
        return None


def stream(stream: Any) -> StreamContext:
    """Give a block on a stream, which does nothing here."""
    return StreamContext(stream)


class device:
    """A block on a device; RuntimeError where it is entered for one that is not there."""

    def __init__(self, device: Any) -> None:
        self.idx = getattr(device, "index", device)

    def __enter__(self) -> None:
        if isinstance(self.idx, int) and self.idx >= 0:
            raise RuntimeError("PyTorch was compiled without CUDA support: retrograd computes on the CPU")

    def __exit__(self, *error: Any) -> None:
        return None


class device_of(device):
    """A block on the device of a tensor; for a tensor on the CPU it does nothing."""

    def __init__(self, obj: Any) -> None:
        super().__init__(obj.get_device() if hasattr(obj, "get_device") else -1)


class CUDAGraph:
    """Not to be made: there is no CUDA device."""

    def __init__(self, *args: Any, **options: Any) -> None:
        raise RuntimeError("torch.cuda.CUDAGraph requires CUDA support")


graph = make_graphed_callables = _needs_device("graph")


@contextlib.contextmanager
def caching_allocator_disabled() -> Iterator[None]:
    """Give a block that does nothing."""
    yield


class OutOfMemoryError(RuntimeError):
    """Raised by PyTorch where a device's memory is full; here, never."""


TYPES = ("BFloat16", "Bool", "Byte", "Char", "Double", "Float", "Half", "Int", "Long", "Short")


class _Absent(type):
    """The old types of tensors on a CUDA device: no tensor is of one, and none can be made."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return False

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"type torch.cuda.{cls.__name__} not available. Torch not compiled with CUDA enabled.")


def __getattr__(name: str) -> Any:
    import importlib

    if name in ("amp", "nvtx"):
        return importlib.import_module(f"{__name__}.{name}")
    if name.removesuffix("Tensor") in TYPES and name.endswith("Tensor"):
        found = globals()[name] = _Absent(name, (), {"__module__": "torch.cuda"})
        return found
    if name in ("random", "memory", "streams"):
        return importlib.import_module(__name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
