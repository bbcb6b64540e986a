"""Big batches in small parts: gradients add up in place, and are the whole batch's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..core import MODE, BaseTensor, at, here, no_grad, show_type
from ..tensor.dispatch import FUNCTIONS

REDUCTIONS = ("mean", "sum", "none")


def accumulate(
    loss_fn: Callable[..., Any],
    *batch: Any,
    rows: int,
    reduction: str = "mean",
    weight: Callable[..., Any] | None = None,
    backward: Any = None,
    apart: bool = False,
) -> Any:
    """Walk back from the loss of a batch in parts, so that only one part's activations are there at a time.

    The gradients of the parts add up in ``.grad``: with L = (1/W) sum over all rows, part k of weight w_k adds w_k/W times the gradient of
    its mean, which is the whole batch's gradient, up to the rounding of sums; the last part may be smaller than the others.

    Parameters
    ----------
    loss_fn : callable
        Gives the loss of one part from that part's tensors.
    *batch : Tensor
        Tensors whose first dimension is the batch's; anything else is passed on as it is.
    rows : int
        At most so many rows at a time.
    reduction : str
        What ``loss_fn`` does over its rows: "mean", "sum", or "none", which gives one loss for each row; their mean is walked back
        from, and they are what is returned.
    weight : callable, optional
        Gives, from a part's tensors (and once from the batch's), the number that a mean divides by, where that is not its number of rows:
        of targets that are not ignored, or the sum of their classes' weights.
    backward : callable, optional
        Called with each part's weighted loss in place of its ``backward()``, as a gradient scaler's would be.
    apart : bool
        Whether rows may know of those in their part only. Without it, batch normalisation by the batch's own statistics is refused.

    Returns
    -------
    Tensor
        The whole batch's loss (or the rows' losses), without history.

    Raises
    ------
    ValueError
        For tensors of different lengths, or another reduction.
    RuntimeError
        When rows of the batch know of each other, and ``apart`` does not allow it; nothing has been added to a gradient then.

    Notes
    -----
    Parts draw random numbers one after another: dropout's masks are others than those of the whole batch.

    Examples
    --------
    >>> import retrograd as torch
    >>> net = torch.nn.Linear(3, 1)
    >>> x, y = torch.randn(10, 3), torch.randn(10, 1)
    >>> loss = torch.memory.accumulate(lambda x, y: ((net(x) - y) ** 2).mean(), x, y, rows=4)
    >>> bool(abs(loss - ((net(x) - y) ** 2).mean()) < 1e-5)
    True
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"accumulate: reduction is 'mean', 'sum' or 'none', as loss_fn's own, not {reduction!r}")
    if rows < 1:
        raise ValueError(f"accumulate: rows has to be at least 1, not {rows}")
    tensors: list[Any] = [x for x in batch if isinstance(x, BaseTensor)]
    lengths = {len(x) for x in tensors}
    if len(lengths) != 1:
        raise ValueError(
            f"accumulate: the batch's tensors need one first dimension, got {', '.join(map(show_type, tensors)) or 'no tensors'}"
        )
    count = lengths.pop()
    if not count:
        return FUNCTIONS["zeros"]((0,) if reduction == "none" else ())
    whole = float(count if weight is None else weight(*batch))
    told = None if apart or count <= rows else _refused
    found: list[Any] = []
    for start in range(0, count, rows):
        part = [_rows(x, start, start + rows) for x in batch]
        with _listening(told):
            loss = loss_fn(*part)
        _check(loss, reduction, min(rows, count - start))
        with no_grad():
            kept = loss.detach().clone() if reduction == "none" else loss.detach()
        if reduction == "none":
            loss = loss.sum() / whole
        elif reduction == "mean":
            share = (min(rows, count - start) if weight is None else float(weight(*part))) / whole if whole else 0.0
            if not share:  # the mean of no rows is no number
                continue
            loss, kept = loss * share, kept * share
        found.append(kept)
        if backward is None:
            loss.backward()
        else:
            backward(loss)
        del loss, part
    with no_grad():
        return FUNCTIONS["cat"](found) if reduction == "none" else sum(found[1:], found[0]) if found else _no_number()


def _no_number() -> Any:
    return FUNCTIONS["full"]((), float("nan"))


def _check(loss: Any, reduction: str, count: int) -> None:
    """Check that a loss has the form that the reduction says."""
    if not isinstance(loss, BaseTensor):
        raise TypeError(f"accumulate: loss_fn has to give a Tensor, not {type(loss).__name__}")
    fits = tuple(loss.shape) == (count,) if reduction == "none" else loss._a.size == 1
    if not fits:
        wanted = f"one loss for each of its {count} rows" if reduction == "none" else "one number"
        raise ValueError(
            f"accumulate: with reduction={reduction!r} loss_fn has to give {wanted}, not {show_type(loss)}"
        )


def _refused(name: str, x: Any) -> None:
    """Say that a function mixes the rows of a batch."""
    raise RuntimeError(
        f"accumulate: {name} of {show_type(x)} reads the whole batch's statistics, so that parts do not give the batch's gradient. Call eval() on "
        f"the module, use a normalisation of single rows (LayerNorm, GroupNorm), or allow each part its own with apart=True.{at(here())}"
    )


@contextmanager
def _listening(told: Any) -> Iterator[None]:
    before, MODE.mixing = MODE.mixing, told
    try:
        yield
    finally:
        MODE.mixing = before


def _rows(x: Any, start: int, end: int) -> Any:
    tensor: Any = x  # indexing is given to Tensor one floor up
    return tensor[start:end] if isinstance(x, BaseTensor) else x


__all__ = ["accumulate"]
