"""torch.amp: autocast is accepted and computes in full precision; GradScaler scales losses.

On a CPU without bfloat16 units a product of bfloat16 matrices is slower and less exact than one of float32, so here
``autocast`` keeps the state that programs ask for, and results keep their float32 (or wider) dtype.

>>> import retrograd as torch
>>> with torch.autocast("cpu", dtype=torch.bfloat16):
...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
torch.float32
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .core import BaseTensor, no_grad
from .core import dtypes as _d

_DEVICES = ("cpu", "cuda", "mps", "xpu", "hpu", "mtia", "maia", "xla", "meta")
_DTYPES = {"cpu": (_d.bfloat16, _d.float16, _d.float32)}


class _State(threading.local):
    def __init__(self) -> None:
        self.enabled: dict[str, bool] = {}
        self.dtype: dict[str, Any] = {}
        self.cache = True


_STATE = _State()


def is_autocast_available(device_type: str) -> bool:
    """Tell whether autocast may be asked for on a device."""
    return device_type in _DEVICES


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Tell whether an autocast block is on."""
    return _STATE.enabled.get(device_type, False)


def get_autocast_dtype(device_type: str) -> Any:
    """Give the dtype that autocast was given for a device, or its default."""
    return _STATE.dtype.get(device_type, _d.bfloat16 if device_type == "cpu" else _d.float16)


class autocast:
    """A block, or a decorator, in which PyTorch would compute products in a narrower dtype.

    Here it is accepted and recorded; the computation stays in the tensors' own dtype.

    Parameters
    ----------
    device_type : str
        "cpu", or the name of a device that is not there, which switches the block off with a warning.
    dtype : dtype or None
        The narrower dtype; bfloat16 on the CPU if none is given.
    enabled : bool
        Whether the block does anything.
    cache_enabled : bool or None
        Accepted.
    """

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        if not is_autocast_available(device_type):
            raise RuntimeError(
                f"User specified an unsupported autocast device_type '{device_type}': it is one of {_DEVICES}"
            )
        self.device = device_type
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        self._cache_enabled = True if cache_enabled is None else cache_enabled
        if enabled and device_type != "cpu":
            warnings.warn(
                f"User provided device_type of '{device_type}', but {device_type.upper()} is not available. Disabling",
                stacklevel=2,
            )
            enabled = False
        if enabled and self.fast_dtype not in _DTYPES["cpu"]:
            warnings.warn(
                f"In CPU autocast, but the target dtype {self.fast_dtype} is not supported. Disabling autocast.",
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled
        self._before: list[Any] = []

    def __enter__(self) -> autocast:
        self._before.append((_STATE.enabled.get(self.device), _STATE.dtype.get(self.device)))
        _STATE.enabled[self.device], _STATE.dtype[self.device] = self._enabled, self.fast_dtype
        return self

    def __exit__(self, *error: Any) -> None:
        for table, old in zip((_STATE.enabled, _STATE.dtype), self._before.pop(), strict=True):
            table.pop(self.device, None)
            if old is not None:
                table[self.device] = old

    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self:
                return fn(*args, **kwargs)

        return wrapped


def custom_fwd(fwd: Any = None, *, device_type: str, cast_inputs: Any = None) -> Any:
    """Give an autograd.Function's forward unchanged."""
    return (lambda fn: fn) if fwd is None else fwd


def custom_bwd(bwd: Any = None, *, device_type: str) -> Any:
    """Give an autograd.Function's backward unchanged."""
    return (lambda fn: fn) if bwd is None else bwd


class GradScaler:
    """Multiply losses so that narrow gradients do not underflow, and divide the gradients before a step.

    A step with an infinite or NaN gradient is left out, and the scale is reduced. On a device that is not there it is
    switched off, with a warning: then every method passes its argument on.

    Examples
    --------
    >>> import retrograd as torch
    >>> scaler = torch.amp.GradScaler("cpu", enabled=False)
    >>> scaler.scale(torch.tensor(2.0))
    tensor(2.)
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if enabled and device != "cpu":
            warnings.warn(
                f"torch.{device}.amp.GradScaler is enabled, but {device.upper()} is not available.  Disabling.",
                stacklevel=2,
            )
            enabled = False
        self._enabled, self._device = enabled, device
        if enabled and growth_factor <= 1.0:
            raise AssertionError("The growth factor must be > 1.0.")
        if enabled and backoff_factor >= 1.0:
            raise AssertionError("The backoff factor must be < 1.0.")
        self._scale, self._growth, self._backoff = float(init_scale), growth_factor, backoff_factor
        self._interval, self._tracker = growth_interval, 0
        self._seen: dict[int, bool] = {}  # optimizers whose gradients are divided, and whether those are finite
        self._stepped: set[int] = set()

    def scale(self, outputs: Any) -> Any:
        """Multiply a tensor, or the tensors in lists and tuples, by the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, BaseTensor):
            return outputs * self._scale  # type: ignore[operator]
        if isinstance(outputs, (list, tuple)):
            return type(outputs)([self.scale(v) for v in outputs])
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def unscale_(self, optimizer: Any) -> None:
        """Divide an optimizer's gradients by the scale; RuntimeError where that was done since the last update."""
        if not self._enabled:
            return
        if id(optimizer) in self._stepped:
            raise RuntimeError("unscale_() is being called after step().")
        if id(optimizer) in self._seen:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        finite = True
        with no_grad():
            for group in optimizer.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p.grad.mul_(1.0 / self._scale)
                        finite = finite and bool(np.isfinite(p.grad._a).all())
        self._seen[id(optimizer)] = finite

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """Divide the gradients if that is to be done, and let the optimizer step if they are finite."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        if id(optimizer) in self._stepped:
            raise RuntimeError("step() has already been called since the last update().")
        if id(optimizer) not in self._seen:
            self.unscale_(optimizer)
        self._stepped.add(id(optimizer))
        return optimizer.step(*args, **kwargs) if self._seen[id(optimizer)] else None

    def update(self, new_scale: Any = None) -> None:
        """Reduce the scale if a gradient was infinite; raise it after ``growth_interval`` steps that were fine."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._seen:
            raise AssertionError("No inf checks were recorded prior to update.")
        elif not all(self._seen.values()):
            self._scale, self._tracker = self._scale * self._backoff, 0
        else:
            self._tracker += 1
            if self._tracker == self._interval:
                self._scale, self._tracker = self._scale * self._growth, 0
        self._seen, self._stepped = {}, set()

    def get_scale(self) -> float:
        """Give the scale; 1 where it is switched off."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """Give the factor by which the scale grows."""
        return self._growth

    def get_backoff_factor(self) -> float:
        """Give the factor by which it falls."""
        return self._backoff

    def get_growth_interval(self) -> int:
        """Give after how many steps it grows."""
        return self._interval

    def is_enabled(self) -> bool:
        """Tell whether it is on."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """Give the state; empty where it is switched off."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth,
            "backoff_factor": self._backoff,
            "growth_interval": self._interval,
            "_growth_tracker": self._tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take a state back; RuntimeError for an empty one."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler."
            )
        self._scale, self._growth = float(state_dict["scale"]), state_dict["growth_factor"]
        self._backoff, self._interval = state_dict["backoff_factor"], state_dict["growth_interval"]
        self._tracker = state_dict["_growth_tracker"]


__all__ = [
    "GradScaler",
    "autocast",
    "custom_bwd",
    "custom_fwd",
    "get_autocast_dtype",
    "is_autocast_available",
    "is_autocast_enabled",
]
