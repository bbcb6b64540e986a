"""Big batches in small parts: gradients add up in place, and are the whole batch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core import BaseTensor, no_grad, show_type
from ..tensor.dispatch import FUNCTIONS


def accumulate(
    loss_fn: Callable[..., Any], *batch: Any, rows: int, reduction: str = "mean", backward: Any = None
) -> Any:
    """Walk back from the loss of a batch in parts, so that only one part's activations are there at a time.

    The gradients of the parts add up in ``.grad``: with L = (1/N) sum over all rows, part k of n_k rows adds n_k/N times the gradient of
    its mean, which is the whole batch's gradient, up to the rounding of sums.

    Parameters
    ----------
    loss_fn : callable
        Gives the loss of one part, a single number, from that part's tensors.
    *batch : Tensor
        Tensors whose first dimension is the batch's; anything else is passed on as it is.
    rows : int
        At most so many rows at a time.
    reduction : str
        What ``loss_fn`` does over its rows: "mean" or "sum".
    backward : callable, optional
        Called with each part's weighted loss in place of its ``backward()``, as a gradient scaler's would be.

    Returns
    -------
    Tensor
        The whole batch's loss, without history.

    Raises
    ------
    ValueError
        For tensors of different lengths, or another reduction.

    Notes
    -----
    It is not exact where rows of a batch know of each other, as in batch normalisation, or where parts draw random numbers.

    Examples
    --------
    >>> import retrograd as torch
    >>> net = torch.nn.Linear(3, 1)
    >>> x, y = torch.randn(10, 3), torch.randn(10, 1)
    >>> loss = torch.memory.accumulate(lambda x, y: ((net(x) - y) ** 2).mean(), x, y, rows=4)
    >>> bool(abs(loss - ((net(x) - y) ** 2).mean()) < 1e-5)
    True
    """
    if reduction not in ("mean", "sum"):
        raise ValueError(f"accumulate: reduction is 'mean' or 'sum', as loss_fn's own, not {reduction!r}")
    if rows < 1:
        raise ValueError(f"accumulate: rows has to be at least 1, not {rows}")
    tensors: list[Any] = [x for x in batch if isinstance(x, BaseTensor)]
    lengths = {len(x) for x in tensors}
    if len(lengths) != 1:
        raise ValueError(
            f"accumulate: the batch's tensors need one first dimension, got {', '.join(map(show_type, tensors)) or 'no tensors'}"
        )
    count = lengths.pop()
    total: Any = None
    for start in range(0, count, rows):
        part = [_rows(x, start, start + rows) for x in batch]
        loss = loss_fn(*part)
        if reduction == "mean":
            loss = loss * (min(rows, count - start) / count)
        if backward is None:
            loss.backward()
        else:
            backward(loss)
        with no_grad():
            total = loss.detach() if total is None else total + loss.detach()
        del loss, part
    return FUNCTIONS["zeros"](()) if total is None else total


def _rows(x: Any, start: int, end: int) -> Any:
    tensor: Any = x  # indexing is given to Tensor one floor up
    return tensor[start:end] if isinstance(x, BaseTensor) else x


__all__ = ["accumulate"]
