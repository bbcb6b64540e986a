"""LRScheduler: counts epochs and writes learning rates into an optimizer's groups."""

from __future__ import annotations

import functools
import types
import warnings
import weakref
from typing import Any

from ...tensor import Tensor
from ..optimizer import Optimizer

EPOCH_IS_DEPRECATED = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. Please use "
    "`scheduler.step()` to step the scheduler. If epoch is different from None, the closed form is used instead of the "
    "chainable form, where available."
)
BEFORE_OPTIMIZER = (
    "Detected call of `lr_scheduler.step()` before `optimizer.step()`. Call them in the opposite order: "
    "`optimizer.step()` before `lr_scheduler.step()`. Failure to do this will result in skipping the first value "
    "of the learning rate schedule. See https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"
)
STEP_REPLACED = (
    "Seems like `optimizer.step()` has been overridden after learning rate scheduler initialization. Please, "
    "make sure to call `optimizer.step()` before `lr_scheduler.step()`. "
    "See https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"
)


def check_optimizer(optimizer: Any) -> None:
    """Raise TypeError unless this is an optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def per_group(name: str, optimizer: Any, value: Any) -> list[Any]:
    """Give one value for each parameter group: the listed ones, or the same for all."""
    groups = optimizer.param_groups
    if not isinstance(value, (list, tuple)):
        value = [value] * len(groups)
    elif len(value) != len(groups):
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. {name} has {len(value)} values, "
            f"param_groups has {len(groups)}."
        )
    return [v.clone() if isinstance(v, Tensor) else v for v in value]


def read(optimizer: Any, name: str) -> list[Any]:
    """Give every group's value of an option; of a Tensor, a copy."""
    return [group[name].clone() if isinstance(group[name], Tensor) else group[name] for group in optimizer.param_groups]


def write(group: dict[str, Any], name: str, value: Any) -> None:
    """Set an option; a Tensor there keeps its identity."""
    if isinstance(group[name], Tensor):
        group[name].detach().fill_(float(value))
    else:
        group[name] = value


class LRScheduler:
    """Sets the learning rates of an optimizer's groups, once for each ``step``: the base of the schedules.

    A subclass gives ``get_lr()``, which reads ``last_epoch``, ``base_lrs`` (the rates at the start) and the groups'
    present rates, and may give ``_get_closed_form_lr()``, which depends on ``last_epoch`` alone.

    Parameters
    ----------
    optimizer : Optimizer
    last_epoch : int
        The last epoch that was run, when resuming; the groups then have an "initial_lr".

    Raises
    ------
    TypeError
        If ``optimizer`` is not an Optimizer.
    KeyError
        When resuming with groups that have no "initial_lr".

    Examples
    --------
    >>> import retrograd as torch
    >>> class Halving(torch.optim.lr_scheduler.LRScheduler):
    ...     def get_lr(self):
    ...         return [base * 0.5**self.last_epoch for base in self.base_lrs]
    >>> optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=8.0)
    >>> scheduler = Halving(optimizer)
    >>> optimizer.step()
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [4.0]
    """

    _get_lr_called_within_step = False
    _is_initial = False
    _last_lr: list[Any]
    _step_count: int

    def __init__(self, optimizer: Any, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                lr = group["lr"]
                group.setdefault("initial_lr", lr.clone() if isinstance(lr, Tensor) else lr)
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming scheduler with "
                    "last_epoch >= 0. Load the optimizer's state before making the scheduler, "
                    "or leave last_epoch at -1 in a fresh run."
                )
        self.base_lrs = read(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        _track_steps(optimizer)
        self._initial_step()

    def _initial_step(self) -> None:
        """Set the first rates; counts as a step."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self) -> dict[str, Any]:
        """Give everything but the optimizer."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list[Any]:
        """Give the rates that were set last, one for each group."""
        return self._last_lr

    def get_lr(self) -> list[Any]:
        """Give the rates for ``last_epoch``, one for each group."""
        raise NotImplementedError

    def step(self, epoch: int | None = None) -> None:
        """Go to the next epoch, or to a given one, and set its rates."""
        if self._step_count == 1:
            if not hasattr(self.optimizer.step, "_wrapped_by_lr_sched"):
                warnings.warn(STEP_REPLACED, UserWarning, stacklevel=2)
            elif not getattr(self.optimizer, "_opt_called", False):
                warnings.warn(BEFORE_OPTIMIZER, UserWarning, stacklevel=2)
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH_IS_DEPRECATED, UserWarning, stacklevel=2)
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        """Write the rates: by the chainable form for the next epoch, by the closed one for a given epoch."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._write(
            self._get_closed_form_lr if epoch is not None and hasattr(self, "_get_closed_form_lr") else self.get_lr
        )

    def _write(self, rates: Any) -> None:
        self._get_lr_called_within_step = True
        try:
            values = rates()
        finally:
            self._get_lr_called_within_step = False
        for group, lr in zip(self.optimizer.param_groups, values, strict=True):
            write(group, "lr", lr)
        self._last_lr = read(self.optimizer, "lr")

    def _warn_outside_step(self) -> None:
        """Warn those who call ``get_lr`` themselves: it gives the next rates, not the last."""
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )


class _LRScheduler(LRScheduler):
    """The older name of LRScheduler."""


def _track_steps(optimizer: Any) -> None:
    """Note on the optimizer that its step was called."""
    if hasattr(optimizer.step, "_wrapped_by_lr_sched"):
        return
    function = optimizer.step.__func__
    owner = weakref.ref(optimizer)

    @functools.wraps(function)
    def step(*args: Any, **kwargs: Any) -> Any:
        optimizer: Any = owner()
        optimizer._opt_called = True
        return function(optimizer, *args, **kwargs)

    step._wrapped_by_lr_sched = True  # type: ignore[attr-defined]
    optimizer.step = step


def pack_callable(fn: Any) -> Any:
    """Give what of a callable can be saved: an object's attributes, and nothing of a plain function."""
    return None if fn is None or isinstance(fn, types.FunctionType) else fn.__dict__.copy()
