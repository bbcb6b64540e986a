"""torch.nn._reduction: a loss's ``reduction`` as a number, and from the flags that came before it."""

from __future__ import annotations

import warnings

NUMBERS = {"none": 0, "mean": 1, "elementwise_mean": 1, "sum": 2}


def get_enum(reduction: str) -> int:
    """Give the number of a reduction; ValueError for an unknown one.

    Examples
    --------
    >>> get_enum("mean")
    1
    """
    if reduction == "elementwise_mean":
        warnings.warn(
            "reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.",
            stacklevel=2,
        )
    if reduction not in NUMBERS:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return NUMBERS[reduction]


def legacy_get_string(size_average: bool | None, reduce: bool | None, emit_warning: bool = True) -> str:
    """Give the reduction that two flags mean, each True where it is None.

    Examples
    --------
    >>> legacy_get_string(False, None, emit_warning=False)
    'sum'
    """
    whole = reduce is None or reduce
    found = "none" if not whole else "mean" if size_average is None or size_average else "sum"
    if emit_warning:
        warnings.warn(
            f"size_average and reduce args will be deprecated, please use reduction='{found}' instead.",
            stacklevel=2,
        )
    return found


def legacy_get_enum(size_average: bool | None, reduce: bool | None, emit_warning: bool = True) -> int:
    """Give the number of the reduction that two flags mean."""
    return get_enum(legacy_get_string(size_average, reduce, emit_warning))


__all__ = ["get_enum", "legacy_get_enum", "legacy_get_string"]
