"""Sequences of different lengths, padded into one tensor and taken apart again."""

from __future__ import annotations

from typing import Any

from ...tensor import Tensor
from .. import _functions as T


def pad_sequence(
    sequences: Any, batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Any:
    """Stack sequences (L_i, *) into (L, N, *), or (N, L, *) with ``batch_first``, filling up to the longest, L.

    Raises RuntimeError unless there are tensors whose further dimensions are the first one's.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.utils.rnn.pad_sequence([torch.ones(2), torch.ones(1)], batch_first=True)
    tensor([[1., 1.],
            [1., 0.]])
    """
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"Expected padding_side to be one of left or right, but got {padding_side}.")
    rows = list(sequences.unbind(0)) if isinstance(sequences, Tensor) else list(sequences)
    if not rows or not all(isinstance(row, Tensor) for row in rows):
        raise RuntimeError("pad_sequence: Expected iterable for input sequences of tensors, but received none")
    longest = max(row.shape[0] for row in rows)
    padded = []
    for row in rows:
        if row.shape[1:] != rows[0].shape[1:]:
            row = row.expand(row.shape[0], *rows[0].shape[1:])
        missing = longest - row.shape[0]
        if missing:
            fill = T.full((missing, *row.shape[1:]), padding_value, dtype=row.dtype)
            row = T.cat([fill, row] if padding_side == "left" else [row, fill])
        padded.append(row)
    return T.stack(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """Take padded sequences apart, each with its length: the inverse of `pad_sequence`.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.utils.rnn.unpad_sequence(torch.ones(2, 2), torch.tensor([2, 1]))
    [tensor([1., 1.]), tensor([1.])]
    """
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [row[: int(length)] for row, length in zip(rows, lengths, strict=True)]
