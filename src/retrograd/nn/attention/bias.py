"""Masks of attention that hide what comes later, for queries and keys of different numbers."""

from __future__ import annotations

import enum
import warnings
from typing import Any

from ...tensor import Tensor
from .. import _functions as T

__all__ = ["CausalBias", "CausalVariant", "causal_lower_right", "causal_upper_left"]


class CausalVariant(enum.IntEnum):
    """Which corner of the mask its diagonal goes through."""

    UPPER_LEFT = 1
    LOWER_RIGHT = 2


class CausalBias(Tensor):  # numpydoc ignore=PR02
    """A mask in which each query sees one key more than the one before it; pass it as ``attn_mask``.

    Parameters
    ----------
    variant : CausalVariant
        Whether the first query sees the first key alone, or the last query sees all keys.
    seq_len_q, seq_len_kv : int
        The numbers of queries and keys.

    Raises
    ------
    AssertionError
        For a variant of another type.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.nn.attention.bias import causal_lower_right
    >>> causal_lower_right(2, 3)
    tensor([[ True,  True, False],
            [ True,  True,  True]])
    """

    __slots__ = ()

    def __new__(cls, variant: CausalVariant, seq_len_q: int, seq_len_kv: int) -> Any:
        if not isinstance(variant, CausalVariant):
            raise AssertionError(f"variant must be a CausalVariant, got {type(variant).__name__}")
        lower = variant is CausalVariant.LOWER_RIGHT
        if lower and seq_len_q > seq_len_kv:
            warnings.warn(
                "Lower right causal bias will produce NaNs in the output when seq_len_q > seq_len_kv!", stacklevel=3
            )
        from ...core.dtypes import bool_

        every = T.ones(seq_len_q, seq_len_kv, dtype=bool_)
        made = every.tril(seq_len_kv - seq_len_q if lower else 0).as_subclass(cls)
        made.variant, made.seq_len_q, made.seq_len_kv = variant, seq_len_q, seq_len_kv
        return made

    def _materialize(self, device: Any = None) -> Any:
        """Give the mask as a plain tensor."""
        return Tensor._wrap(self._a)


def _of_two(size: tuple[int, ...], name: str) -> tuple[int, int]:
    if len(size) != 2:
        raise AssertionError(f"{name} only supports 2D tensors")
    return size[0], size[1]


def causal_upper_left(*size: int) -> CausalBias:
    """Give the mask in which the i-th query sees the first i keys, counted from the upper left corner.

    Parameters
    ----------
    *size : int
        The numbers of queries and keys.

    Examples
    --------
    >>> from retrograd.nn.attention.bias import causal_upper_left
    >>> causal_upper_left(2, 3)
    tensor([[ True, False, False],
            [ True,  True, False]])
    """
    made: CausalBias = CausalBias(CausalVariant.UPPER_LEFT, *_of_two(size, "causal_upper_left"))
    return made


def causal_lower_right(*size: int) -> CausalBias:
    """Give the mask in which the last query sees all keys, and each query before it one less.

    Parameters
    ----------
    *size : int
        The numbers of queries and keys.

    Examples
    --------
    >>> from retrograd.nn.attention.bias import causal_lower_right
    >>> causal_lower_right(1, 3)
    tensor([[True, True, True]])
    """
    made: CausalBias = CausalBias(CausalVariant.LOWER_RIGHT, *_of_two(size, "causal_lower_right"))
    return made
