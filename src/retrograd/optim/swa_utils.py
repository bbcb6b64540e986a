"""Averages of a model's parameters over training, and the schedule that goes with them."""

from __future__ import annotations

import math
from copy import deepcopy
from itertools import chain
from typing import Any

from ..core.mode import no_grad
from ..nn import Module
from ..tensor import tensor
from .lr_scheduler.base import LRScheduler, per_group

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


def get_ema_avg_fn(decay: float = 0.999) -> Any:
    """Make the exponential moving average of one parameter: decay * average + (1 - decay) * current.

    Examples
    --------
    >>> import retrograd as torch
    >>> average = torch.optim.swa_utils.get_ema_avg_fn(0.75)
    >>> average(torch.tensor(0.0), torch.tensor(4.0), 1)
    tensor(1.)
    """

    def average(averaged: Any, current: Any, num_averaged: Any) -> Any:
        with no_grad():
            return decay * averaged + (1 - decay) * current

    _check_decay(decay)
    return average


def get_swa_avg_fn() -> Any:
    """Make the equal average of one parameter: average + (current - average) / (number averaged + 1).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.optim.swa_utils.get_swa_avg_fn()(torch.tensor(0.0), torch.tensor(4.0), 1)
    tensor(2.)
    """

    def average(averaged: Any, current: Any, num_averaged: Any) -> Any:
        with no_grad():
            return averaged + (current - averaged) / (num_averaged + 1)

    return average


def get_ema_multi_avg_fn(decay: float = 0.999) -> Any:
    """Make the exponential moving average of a list of parameters, written into the list's tensors.

    Examples
    --------
    >>> import retrograd as torch
    >>> averaged = [torch.tensor(0.0)]
    >>> torch.optim.swa_utils.get_ema_multi_avg_fn(0.75)(averaged, [torch.tensor(4.0)], 1)
    >>> averaged
    [tensor(1.)]
    """
    return _for_each(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> Any:
    """Make the equal average of a list of parameters, written into the list's tensors.

    Examples
    --------
    >>> import retrograd as torch
    >>> averaged = [torch.tensor(0.0)]
    >>> torch.optim.swa_utils.get_swa_multi_avg_fn()(averaged, [torch.tensor(4.0)], 1)
    >>> averaged
    [tensor(2.)]
    """
    return _for_each(get_swa_avg_fn())


def _for_each(average: Any) -> Any:
    def update(averaged: Any, current: Any, num_averaged: Any) -> None:
        with no_grad():
            for mean, value in zip(averaged, current, strict=True):
                mean.copy_(average(mean, value, num_averaged))

    return update


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


class AveragedModel(Module):
    """A copy of a model whose parameters are averages of the model's own over time.

    The first ``update_parameters`` copies; each further one averages, equally unless a function is given.

    Parameters
    ----------
    model : Module
    device : device, optional
        Where to keep the averages.
    avg_fn : callable, optional
        Gives the new average from (average, current value, number averaged).
    multi_avg_fn : callable, optional
        The same for lists, writing into the averages; not both of them (AssertionError).
    use_buffers : bool
        Average the buffers too; otherwise they are copied.

    References
    ----------
    Izmailov et al., "Averaging weights leads to wider optima and better generalization", 2018.

    Examples
    --------
    >>> import retrograd as torch
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> averaged = torch.optim.swa_utils.AveragedModel(model)
    >>> for value in (1.0, 2.0):
    ...     _ = torch.nn.init.constant_(model.weight, value)
    ...     averaged.update_parameters(model)
    >>> averaged(torch.ones(1)).item()
    1.5
    """

    n_averaged: Any

    def __init__(
        self, model: Any, device: Any = None, avg_fn: Any = None, multi_avg_fn: Any = None, use_buffers: bool = False
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the averaged model."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Any) -> None:
        """Take a model's present parameters into the average."""
        pairs = list(zip(self._averaged(self.module), self._averaged(model), strict=True))
        with no_grad():
            if int(self.n_averaged) == 0:
                for mean, value in pairs:
                    mean.copy_(value)
            elif self.multi_avg_fn is not None:
                self.multi_avg_fn([mean for mean, _ in pairs], [value for _, value in pairs], self.n_averaged)
            else:
                average = self.avg_fn or get_swa_avg_fn()
                for mean, value in pairs:
                    mean.copy_(average(mean, value, self.n_averaged))
            if not self.use_buffers:
                for mean, value in zip(self.module.buffers(), model.buffers(), strict=True):
                    mean.copy_(value)
            self.n_averaged += 1

    def _averaged(self, model: Any) -> Any:
        """Give what of a model is averaged, without history."""
        return (p.detach() for p in chain(model.parameters(), model.buffers() if self.use_buffers else ()))


def update_bn(loader: Any, model: Any, device: Any = None) -> None:
    """Compute the statistics of a model's batch norms anew, as means over one pass of the data.

    Parameters
    ----------
    loader : iterable
        Gives batches, or tuples whose first entry is the batch.
    model : Module
        Left in the mode, training or not, that it was in.
    device : device, optional
        Where to put the batches.

    Examples
    --------
    >>> import retrograd as torch
    >>> model = torch.nn.BatchNorm1d(1)
    >>> torch.optim.swa_utils.update_bn([torch.tensor([[1.0], [3.0]])], model)
    >>> model.running_mean
    tensor([2.])
    """
    from ..nn.modules.batchnorm import _BatchNorm

    momenta = {module: module.momentum for module in model.modules() if isinstance(module, _BatchNorm)}
    if not momenta:
        return
    was_training = model.training
    model.train()
    for module in momenta:
        module.reset_running_stats()
        module.momentum = None
    with no_grad():
        for batch in loader:
            x = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(x if device is None else x.to(device))
    for module, momentum in momenta.items():
        module.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """Leads the rates to constant ones, ``swa_lr``, in ``anneal_epochs`` epochs, for averaging.

    Parameters
    ----------
    optimizer : Optimizer
    swa_lr : float or list of float
    anneal_epochs : int
    anneal_strategy : {"cos", "linear"}
    last_epoch : int

    Raises
    ------
    ValueError
        For another strategy or a negative number of epochs.

    Examples
    --------
    >>> import retrograd as torch
    >>> optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = torch.optim.swa_utils.SWALR(
    ...     optimizer, swa_lr=0.5, anneal_epochs=2, anneal_strategy="linear"
    ... )
    >>> optimizer.step()
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.75]
    """

    def __init__(
        self, optimizer: Any, swa_lr: Any, anneal_epochs: int = 10, anneal_strategy: str = "cos", last_epoch: int = -1
    ) -> None:
        for lr, group in zip(per_group("swa_lr", optimizer, swa_lr), optimizer.param_groups, strict=True):
            group["swa_lr"] = lr
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def anneal_func(self, t: float) -> float:
        """Give how much of the way is done after a part t of the epochs."""
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def get_lr(self) -> list[Any]:
        """Give the rates for this step: the rate before is taken back to where it started, and then led on."""
        self._warn_outside_step()
        step = max(1, self._step_count - 1) if self.anneal_epochs == 0 else self._step_count - 1
        before, now = (self.anneal_func(max(0, min(1, s / max(1, self.anneal_epochs)))) for s in (step - 1, step))
        rates = []
        for group in self.optimizer.param_groups:
            start = group["swa_lr"] if before == 1 else (group["lr"] - before * group["swa_lr"]) / (1 - before)
            rates.append(group["swa_lr"] * now + start * (1 - now))
        return rates
