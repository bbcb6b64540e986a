"""GradScaler: losses multiplied so that narrow gradients do not underflow."""

from __future__ import annotations

import warnings
from collections import defaultdict
from enum import Enum
from typing import Any

import numpy as np

from ..core import BaseTensor, no_grad


class OptState(Enum):
    """How far an optimizer has come since the last update of the scale."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


def _refresh_per_optimizer_state() -> dict[str, Any]:
    """Give the state of an optimizer at which nothing was done since the last update."""
    return {"stage": OptState.READY, "found_inf_per_device": {}}


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
        self._per_optimizer_states: dict[int, dict[str, Any]] = defaultdict(_refresh_per_optimizer_state)

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
        state = self._per_optimizer_states[id(optimizer)]
        if state["stage"] is OptState.STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        if state["stage"] is OptState.UNSCALED:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        finite = True
        with no_grad():
            for group in optimizer.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p.grad.mul_(1.0 / self._scale)
                        held = p.grad._v if p.grad._composite else p.grad
                        finite = finite and bool(np.isfinite(held._a).all())
        state["found_inf_per_device"] = {"cpu": float(not finite)}
        state["stage"] = OptState.UNSCALED

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """Divide the gradients if that is to be done, and let the optimizer step if they are finite."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        state = self._per_optimizer_states[id(optimizer)]
        if state["stage"] is OptState.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if state["stage"] is OptState.READY:
            self.unscale_(optimizer)
        state["stage"] = OptState.STEPPED
        return None if any(state["found_inf_per_device"].values()) else optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Reduce the scale if a gradient was infinite; raise it after ``growth_interval`` steps that were fine."""
        if not self._enabled:
            return
        found = [v for state in self._per_optimizer_states.values() for v in state["found_inf_per_device"].values()]
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not found:
            raise AssertionError("No inf checks were recorded prior to update.")
        elif any(found):
            self._scale, self._tracker = self._scale * self._backoff, 0
        else:
            self._tracker += 1
            if self._tracker == self._interval:
                self._scale, self._tracker = self._scale * self._growth, 0
        self._per_optimizer_states.clear()

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


__all__ = ["GradScaler", "OptState"]
