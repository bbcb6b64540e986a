"""Process-wide settings under torch's names: threads, determinism, precision, memory formats, and `compile`."""

from __future__ import annotations

import sys
from typing import Any

from .core import BaseTensor, elsewhere, set_default_dtype
from .core import dtypes as _d
from .core.threads import set_threads, threads
from .tensor import placing
from .tensor.creation import CONSPICUOUS


class memory_format:
    """The order of dimensions in memory: a name that calls accept; results lie as their operands do (`core/strides.py`)."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")

_state: dict[str, Any] = {
    "interop": 1,
    "deterministic": False,
    "warn_only": False,
    "fill": True,
    "precision": "highest",
}


def _checked(n: Any, name: str) -> int:
    if not isinstance(n, int) or isinstance(n, bool):
        raise TypeError(f"{name} expects an int, but got {type(n).__name__}")
    if n <= 0:
        raise RuntimeError(f"{name} expects a positive integer, got {n}")
    return n


def set_num_threads(n: int) -> None:
    """Set how many threads generated kernels use, and the libraries for matrices that NumPy and SciPy have loaded.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.set_num_threads(1)
    >>> torch.get_num_threads()
    1
    """
    set_threads(_checked(n, "set_num_threads"))
    pool = sys.modules.get(f"{__package__}.compiler.runtime.pool")
    if pool is not None:
        pool.ensure(n)


def get_num_threads() -> int:
    """Give how many threads kernels use."""
    return threads()


def set_num_interop_threads(n: int) -> None:
    """Accept a number of threads between operations; they run one after another."""
    _state["interop"] = _checked(n, "set_num_interop_threads")


def get_num_interop_threads() -> int:
    """Give the number set by ``set_num_interop_threads``."""
    return int(_state["interop"])


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for deterministic algorithms; all of this library's are."""
    for name, flag in (("mode", mode), ("warn_only", warn_only)):
        if not isinstance(flag, bool):
            raise TypeError(
                f"_set_deterministic_algorithms(): argument '{name}' must be bool, not {type(flag).__name__}"
            )
    _state["deterministic"], _state["warn_only"] = mode, warn_only
    _settle_empty()


def fill_uninitialized_memory(wanted: bool) -> None:
    """Say whether ``empty`` and its like fill memory with NaN, or the largest number, while deterministic algorithms are asked for."""
    _state["fill"] = bool(wanted)
    _settle_empty()


def fills_uninitialized_memory() -> bool:
    """Give what ``fill_uninitialized_memory`` was given: it is wanted at first."""
    return bool(_state["fill"])


def _settle_empty() -> None:
    if _state["deterministic"] and _state["fill"]:
        CONSPICUOUS.add("deterministic")
    else:
        CONSPICUOUS.discard("deterministic")


def are_deterministic_algorithms_enabled() -> bool:
    """Tell whether deterministic algorithms were asked for."""
    return bool(_state["deterministic"])


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Tell whether they were asked for with warnings only."""
    return bool(_state["warn_only"])


def set_deterministic_debug_mode(debug_mode: Any) -> None:
    """Accept a debug mode ("default", "warn", "error"); nothing here is nondeterministic."""
    kinds = {0: 0, 1: 1, 2: 2, "default": 0, "warn": 1, "error": 2}
    if not isinstance(debug_mode, (int, str)):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode)}")
    if debug_mode not in kinds:
        raise RuntimeError(
            f"invalid value of debug_mode, expected one of `default`, `warn`, `error`, or 0, 1, 2, but got {debug_mode}"
        )
    use_deterministic_algorithms(kinds[debug_mode] > 0, warn_only=kinds[debug_mode] == 1)


def get_deterministic_debug_mode() -> int:
    """Give the debug mode's number: 0 for "default", 1 for "warn", 2 for "error"."""
    if not _state["deterministic"]:
        return 0
    return 1 if _state["warn_only"] else 2


def set_warn_always(mode: bool) -> None:
    """Accept whether warnings that PyTorch gives once should be given always."""
    _state["warn_always"] = bool(mode)


def is_warn_always_enabled() -> bool:
    """Give what ``set_warn_always`` was given."""
    return bool(_state.get("warn_always", False))


def set_float32_matmul_precision(precision: str) -> None:
    """Accept "highest", "high" or "medium"; products are always computed in full precision."""
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(f"float32_matmul_precision must be one of 'highest', 'high', 'medium', got {precision!r}")
    _state["precision"] = precision


def get_float32_matmul_precision() -> str:
    """Give what ``set_float32_matmul_precision`` was given."""
    return str(_state["precision"])


def set_flush_denormal(mode: bool) -> bool:
    """Tell that denormal numbers cannot be switched off (False): NumPy keeps them, and vanishing gradients show in them."""
    return False


def set_default_device(wanted: Any) -> None:
    """Set the default device: the CPU, or the meta device, on which tensors have no values."""
    elsewhere(wanted)
    placing.set_default(wanted)


def get_default_device() -> Any:
    """Give the device on which tensors are made where none is named: the CPU, unless that was changed."""
    return placing.default()


def set_default_tensor_type(t: Any) -> None:
    """Set the default floating dtype by a tensor type or its name, such as "torch.DoubleTensor"."""
    names = {
        "FloatTensor": _d.float32,
        "DoubleTensor": _d.float64,
        "HalfTensor": _d.float16,
        "BFloat16Tensor": _d.bfloat16,
    }
    name = (t if isinstance(t, str) else t.__name__).split(".")[-1]
    if name not in names:
        raise TypeError(f"only floating-point types are supported as the default type, got {t!r}")
    set_default_dtype(names[name])


def is_storage(obj: Any) -> bool:
    """Tell whether an object is a storage."""
    from .tensor.storage import is_storage as known

    return known(obj)


def overrides_is_tensor_like(obj: Any) -> bool:
    """Tell whether an object is a Tensor."""
    return isinstance(obj, BaseTensor)


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "retrograd",
    mode: str | None = None,
    options: Any = None,
    disable: bool = False,
) -> Any:
    """Compile a function, a module or a whole training step to machine code.

    The first call of a kind (types, settings) runs as it is; the second is recorded, as a real run, and becomes a program: forward,
    backward and update in one. What the run read besides its arguments (numbers of closures, globals, modules) is compared before
    each later call, and a change leads to another program. A call that a program cannot do again runs eagerly, with one warning
    that says why.

    Parameters
    ----------
    model : callable
        A function of tensors, a module, or a step with ``backward()`` and ``optimizer.step()`` in it. Left out: gives a decorator.
    fullgraph : bool
        Raise RuntimeError where a call would run eagerly.
    dynamic, backend, mode, options
        PyTorch's; there is one compiler here, and a program for each shape.
    disable : bool
        Give the function as it is.

    Returns
    -------
    callable
        For a module, a module with the same state.

    Raises
    ------
    RuntimeError
        For something that cannot be called, or an unknown mode or backend.

    Examples
    --------
    >>> import retrograd as torch
    >>> @torch.compile
    ... def double(x):
    ...     return 2 * x
    >>> [double(torch.tensor(float(i))).item() for i in range(4)]
    [0.0, 2.0, 4.0, 6.0]
    """
    from .compiler.optimized import compile as build

    return build(
        model, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode, options=options, disable=disable
    )
