"""What the functions share: reductions of losses, the old reduction arguments, and the in-place forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...core import dtypes
from ...core.warned import warn


def in_place(function: Callable[[Any], Any], input: Any) -> Any:
    """Write ``function(input)`` into ``input``, with history.

    The function is given a copy, so what it saves for the backward pass is not what is overwritten.
    """
    return input.copy_(function(input.clone()))


def reduction_of(reduction: str, size_average: bool | None = None, reduce: bool | None = None) -> str:
    """Give the reduction's name, which the two old arguments decide (with a warning) when they are used."""
    if size_average is None and reduce is None:
        if reduction not in ("mean", "sum", "none", "batchmean"):
            raise ValueError(f"{reduction} is not a valid value for reduction: it is mean, sum or none")
        return reduction
    wanted = "none" if reduce is False else "sum" if size_average is False else "mean"
    warn(f"size_average and reduce args will be deprecated, please use reduction='{wanted}' instead.")
    return wanted


def reduced(loss: Any, reduction: str) -> Any:
    """Reduce a loss by its name: "mean", "sum" or "none"; ValueError for another name."""
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ValueError(f"{reduction} is not a valid value for reduction")


def require_floats(name: str, input: Any) -> None:
    """Raise NotImplementedError for integers and bools, as torch does where it has no such kernel."""
    if input._a.dtype.kind in "iub":
        raise NotImplementedError(f'"{name}" not implemented for {input.dtype}: convert the input with .float()')


def pair_of_dtypes(name: str, input: Any, *others: Any) -> None:
    """Raise RuntimeError unless the others (None apart) have the input's dtype, or float32 beside a narrower float."""
    for other in others:
        if other is None or other.dtype == input.dtype:
            continue
        if input.dtype in (dtypes.float16, dtypes.bfloat16) and other.dtype is dtypes.float32:
            continue
        raise RuntimeError(
            f"{name}: mixed dtype: expect parameters and statistics to have the input's dtype {input.dtype}, "
            f"but got {other.dtype}; convert the module or the input with .to(dtype)"
        )
