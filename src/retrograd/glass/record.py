"""Recording training steps: statistics of every value and gradient, at a cost that is chosen, and without changing a number."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from .recording.reader import Record, open_record
from .recording.recorder import Recorder


def record(
    model: Any = None,
    directory: str | os.PathLike[str] | None = None,
    *,
    level: str = "summary",
    cost: float | None = None,
    every: int | None = None,
    arrays: Iterable[int] = (),
) -> Recorder:
    """Record the training steps inside a ``with`` block.

    At each step the loss is noted. At some, chosen so that the time stays below ``cost`` times that of plain training, everything is
    looked at: of each operation's value and gradient the mean, variance, extremes, norm, share of zeros, and how many are NaN or
    infinite; its time, arithmetic, module and line; of each rectifier the share of dead units; of each parameter its value, its
    gradient and |update| / |weight|. Looking is done on a shadow: the real step runs as it would without a recorder, compiled
    or not, and a copy of the model runs beside it on the same input, with the same random draws and the gradient that really arrived. So
    no number of the training changes. A compiled function that is a whole step is rehearsed instead: it runs once before its call, up to the
    update, with everything put back.

    From the moment when the first look is paid for, the whole run takes at most ``cost`` times what it would take without. Memory is
    bounded: of many lines every other one is left out, and of arrays the oldest go first; a directory keeps all statistics and arrays.

    Parameters
    ----------
    model : Module, optional
        What to look into; by default every module with parameters that is called from outside of a module.
    directory : str or path, optional
        Where to keep the record, as JSON lines and safetensors, readable at any moment and after a kill; in memory by default.
    level : {"summary", "all"}
        "all" keeps the arrays themselves of each step that is looked at.
    cost : float, optional
        The most that training may take, over what it takes without recording; 1.4, or 3 with level "all".
    every : int, optional
        Look at each so many steps, whatever it costs.
    arrays : iterable of int
        Steps whose arrays are kept in any case.

    Returns
    -------
    Recorder
        A context manager, and the :class:`Record`: ``losses``, ``statistics``, ``of``, ``modules``, ``arrays``, ``findings``.

    Raises
    ------
    FileExistsError
        If the directory has a record already.
    ValueError
        If a level, a cost or a number of steps makes no sense.
    RuntimeError
        If another recorder is running.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd import glass
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> with glass.record(net, every=5) as seen:
    ...     for _ in range(11):
    ...         loss = net(torch.ones(2, 4)).square().mean()
    ...         optimizer.zero_grad()
    ...         loss.backward()
    ...         optimizer.step()
    >>> seen.steps, len(seen.losses), [node["op"] for node in seen.nodes]
    ([0, 5, 10], 11, ['linear', 'relu', 'linear'])
    """
    return Recorder(model, directory, level=level, cost=cost, every=every, arrays=arrays)


__all__ = ["Record", "Recorder", "open_record", "record"]
