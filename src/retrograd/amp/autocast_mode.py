"""Autocast: blocks in which products are computed in a narrow dtype, and the state behind them.

>>> import retrograd as torch
>>> with torch.autocast("cpu", dtype=torch.bfloat16):
...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
torch.bfloat16
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any

from ..core import MODE, BaseTensor
from ..core import dtypes as _d

_DEVICES = ("cpu", "cuda", "mps", "xpu", "hpu", "mtia", "maia", "xla", "ipu", "privateuseone", "meta")
_NARROW = (_d.bfloat16, _d.float16)


class _State(threading.local):
    def __init__(self) -> None:
        self.enabled: dict[str, bool] = {}
        self.dtype: dict[str, Any] = {}
        self.depth = 0


_STATE = _State()


def _check(device_type: Any) -> None:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if device_type not in _DEVICES:
        raise RuntimeError(
            f"Expected one of {', '.join(_DEVICES)} device type at start of device string: {device_type}: "
            f"unsupported autocast device_type '{device_type}'"
        )


def is_autocast_available(device_type: str) -> bool:
    """Tell whether autocast may be asked for on a device."""
    return device_type in _DEVICES


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Tell whether an autocast block is on."""
    _check(device_type)
    return _STATE.enabled.get(device_type, False)


def set_autocast_enabled(device_type: Any, enabled: bool | None = None) -> None:
    """Switch autocast on or off outside of blocks."""
    if enabled is None:
        device_type, enabled = "cuda", device_type
    _check(device_type)
    _STATE.enabled[device_type] = bool(enabled)
    _settle()


def get_autocast_dtype(device_type: str) -> Any:
    """Give the dtype that autocast was given for a device, or its default."""
    _check(device_type)
    return _STATE.dtype.get(device_type, _d.bfloat16 if device_type == "cpu" else _d.float16)


def set_autocast_dtype(device_type: str, dtype: Any) -> None:
    """Set the dtype that autocast casts to."""
    _check(device_type)
    _STATE.dtype[device_type] = dtype
    _settle()


def is_autocast_cache_enabled() -> bool:
    """Tell whether a leaf's cast is kept to the end of the outermost block."""
    return bool(MODE.autocast_cache)


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Say whether a leaf's cast is kept to the end of the outermost block."""
    MODE.autocast_cache = bool(enabled)


def clear_autocast_cache() -> None:
    """Forget the casts that are kept."""
    MODE.casts = None


def autocast_increment_nesting() -> int:
    """Count one block more; give how many there are."""
    _STATE.depth += 1
    return _STATE.depth


def autocast_decrement_nesting() -> int:
    """Count one block less; give how many there are."""
    _STATE.depth -= 1
    return _STATE.depth


def _settle() -> None:
    """Tell the thread's mode what autocast casts to: the functions' guards look there."""
    on = _STATE.enabled.get("cpu", False) and get_autocast_dtype("cpu") in _NARROW
    if on:
        from ..nn.autocasting import install

        install()
    MODE.autocast = get_autocast_dtype("cpu").numpy if on else None
    MODE.settle()


def _old(name: str, device: str, fn: Callable[..., Any], remedy: str) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        warnings.warn(
            f"torch.{name}() is deprecated. Please use torch.{remedy} instead.", DeprecationWarning, stacklevel=2
        )
        return fn(device, *args)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"``{remedy}`` under an old name."
    return call


for _short, _kind in {"cpu": "cpu", "gpu": "cuda", "xla": "xla", "ipu": "ipu"}.items():
    for _name, _fn, _new in (
        (f"is_autocast_{_short}_enabled", is_autocast_enabled, f"is_autocast_enabled('{_kind}')"),
        (f"set_autocast_{_short}_enabled", set_autocast_enabled, f"set_autocast_enabled('{_kind}', enabled)"),
        (f"get_autocast_{_short}_dtype", get_autocast_dtype, f"get_autocast_dtype('{_kind}')"),
        (f"set_autocast_{_short}_dtype", set_autocast_dtype, f"set_autocast_dtype('{_kind}', dtype)"),
    ):
        globals()[_name] = _old(_name, _kind, _fn, _new)


class autocast:
    """A block, or a decorator, in which products are computed in a narrow dtype, and losses in float32.

    Matrix products, linear layers, convolutions, attention and plain recurrent layers cast their float32 (and narrower)
    tensors to ``dtype``; losses, factorisations, transforms and some poolings cast narrow ones to float32; everything else
    takes what it is given. Parameters stay as they are, and their gradients have their dtype.

    Parameters
    ----------
    device_type : str
        "cpu", or the name of a device that is not there, which switches the block off with a warning.
    dtype : dtype or None
        bfloat16 (the CPU's default) or float16; another one switches the block off with a warning.
    enabled : bool
        Whether the block does anything; False switches autocast off inside a block that is on.
    cache_enabled : bool or None
        Whether the cast of a parameter is made once for the outermost block.

    Raises
    ------
    RuntimeError
        For a device type that torch does not know.
    """

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        _check(device_type)
        if dtype is not None and not isinstance(dtype, _d.dtype):
            raise ValueError(f"Expected `dtype` of type `torch.dtype`, got: `{type(dtype)}`")
        self.device = device_type
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        self._cache_enabled = is_autocast_cache_enabled() if cache_enabled is None else cache_enabled
        if enabled and device_type != "cpu":
            reason = "CUDA is not available or torch_xla is imported. Disabling autocast."
            if device_type != "cuda":
                reason = f"User provided device_type of '{device_type}', but {device_type.upper()} is not available. Disabling"
            warnings.warn(reason, UserWarning, stacklevel=2)
            enabled = False
        if enabled and self.fast_dtype not in _NARROW:
            warnings.warn(
                "In CPU autocast, but the target dtype is not supported. Disabling autocast.\n"
                "CPU Autocast only supports dtypes of torch.bfloat16, torch.float16 currently.",
                UserWarning,
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled
        self._before: list[Any] = []

    def __enter__(self) -> autocast:
        device = self.device
        self._before.append((is_autocast_enabled(device), get_autocast_dtype(device), MODE.autocast_cache))
        _STATE.enabled[device], _STATE.dtype[device] = self._enabled, self.fast_dtype
        MODE.autocast_cache = self._cache_enabled
        autocast_increment_nesting()
        _settle()
        return self

    def __exit__(self, *error: Any) -> None:
        if autocast_decrement_nesting() == 0:
            clear_autocast_cache()
        _STATE.enabled[self.device], _STATE.dtype[self.device], MODE.autocast_cache = self._before.pop()
        _settle()

    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self:
                return fn(*args, **kwargs)

        return wrapped


def _cast_among(x: Any, dtype: Any) -> Any:
    """Cast the floating tensors, other than float64, in arguments."""
    if isinstance(x, BaseTensor):
        t: Any = x
        return t.to(dtype) if t.is_floating_point() and t.dtype is not _d.float64 else t
    if isinstance(x, dict):
        return {_cast_among(k, dtype): _cast_among(v, dtype) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x)([_cast_among(v, dtype) for v in x])
    return x


def custom_fwd(fwd: Any = None, *, device_type: str, cast_inputs: Any = None) -> Any:
    """Decorate an autograd.Function's forward, so that its backward runs under the autocast state of its forward.

    With ``cast_inputs``, a call under autocast casts the floating tensors among its arguments to that dtype and runs with
    autocast off. Raises ValueError for a device type that is no string.
    """
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        ctx._dtype = get_autocast_dtype(device_type)
        on = is_autocast_enabled(device_type)
        if cast_inputs is None:
            ctx._fwd_used_autocast = on
            return fwd(ctx, *args, **kwargs)
        ctx._fwd_used_autocast = False
        if not on:
            return fwd(ctx, *args, **kwargs)
        with autocast(device_type, enabled=False):
            return fwd(ctx, *_cast_among(args, cast_inputs), **_cast_among(kwargs, cast_inputs))

    return decorated


def custom_bwd(bwd: Any = None, *, device_type: str) -> Any:
    """Decorate an autograd.Function's backward: it runs under the autocast state that ``custom_fwd`` noted."""
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, enabled=ctx._fwd_used_autocast, dtype=ctx._dtype):
            return bwd(ctx, *args, **kwargs)

    return decorated


__all__ = [
    "autocast",
    "autocast_decrement_nesting",
    "autocast_increment_nesting",
    "clear_autocast_cache",
    "custom_bwd",
    "custom_fwd",
    "get_autocast_dtype",
    "is_autocast_available",
    "is_autocast_cache_enabled",
    "is_autocast_enabled",
    "set_autocast_cache_enabled",
    "set_autocast_dtype",
    "set_autocast_enabled",
]
