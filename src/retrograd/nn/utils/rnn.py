"""Sequences of different lengths: padded into one tensor, packed without the padding, and taken apart again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ...core import dtypes
from ...tensor import Tensor
from .. import _functions as T

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence_(NamedTuple):
    """The four parts of a packed batch of sequences."""

    data: Any
    batch_sizes: Any
    sorted_indices: Any
    unsorted_indices: Any


class PackedSequence(PackedSequence_):
    """A batch of sequences of different lengths without padding, as recurrent layers take and give it.

    ``data`` (sum of lengths, *) holds all first steps, then all second steps, and so on, the longest sequence always
    first; ``batch_sizes`` (longest) says how many sequences have each step. ``sorted_indices`` sorted the batch, and
    ``unsorted_indices`` puts it back (both None if it came sorted). `pack_sequence` and `pack_padded_sequence` make it.

    Examples
    --------
    >>> import retrograd as torch
    >>> packed = torch.nn.utils.rnn.pack_sequence([torch.tensor([1, 2, 3]), torch.tensor([4, 5])])
    >>> packed.data, packed.batch_sizes
    (tensor([1, 4, 2, 5, 3]), tensor([2, 2, 1]))
    """

    def __new__(
        cls, data: Any, batch_sizes: Any = None, sorted_indices: Any = None, unsorted_indices: Any = None
    ) -> PackedSequence:
        """Make it from its parts, ``data`` being perhaps the pair of data and batch sizes."""
        if batch_sizes is None:
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise AssertionError("PackedSequence: without batch_sizes, data has to be a pair (data, batch_sizes)")
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Convert the data as `Tensor.to` does; gives itself where nothing changes."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        return type(self)(data, self.batch_sizes, self.sorted_indices, self.unsorted_indices)

    def cpu(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Give itself, which is on the CPU."""
        return self.to(*args, **{"device": "cpu", **kwargs})

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Raise RuntimeError: there is no such device."""
        return self.to(*args, **{"device": "cuda", **kwargs})

    def double(self) -> PackedSequence:
        """Convert the data to float64."""
        return self.to(dtypes.float64)

    def float(self) -> PackedSequence:
        """Convert the data to float32."""
        return self.to(dtypes.float32)

    def half(self) -> PackedSequence:
        """Convert the data to float16."""
        return self.to(dtypes.float16)

    def long(self) -> PackedSequence:
        """Convert the data to int64."""
        return self.to(dtypes.int64)

    def int(self) -> PackedSequence:
        """Convert the data to int32."""
        return self.to(dtypes.int32)

    def short(self) -> PackedSequence:
        """Convert the data to int16."""
        return self.to(dtypes.int16)

    def char(self) -> PackedSequence:
        """Convert the data to int8."""
        return self.to(dtypes.int8)

    def byte(self) -> PackedSequence:
        """Convert the data to uint8."""
        return self.to(dtypes.uint8)

    @property
    def is_cuda(self) -> bool:
        """False: the data is on the CPU."""
        return False

    def is_pinned(self) -> bool:
        """Tell whether the data is in pinned memory: it never is."""
        return False

    def pin_memory(self) -> PackedSequence:
        """Give itself."""
        return self


def invert_permutation(permutation: Any) -> Any:
    """Give the permutation that undoes one; None for None.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.utils.rnn.invert_permutation(torch.tensor([2, 0, 1]))
    tensor([1, 2, 0])
    """
    return None if permutation is None else Tensor._wrap(np.argsort(permutation._a))


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Drop the padding from (L, N, *), or (N, L, *) with ``batch_first``, given each sequence's length.

    The sequences come longest first, unless ``enforce_sorted`` is off: then they are sorted here, and
    `pad_packed_sequence` puts them back. Raises RuntimeError for lengths that are not positive, not as many as the
    sequences, or not in order; IndexError for one beyond the padding.

    Examples
    --------
    >>> import retrograd as torch
    >>> padded = torch.tensor([[1, 2, 0], [3, 4, 5]])
    >>> torch.nn.utils.rnn.pack_padded_sequence(padded, [2, 3], batch_first=True, enforce_sorted=False).data
    tensor([3, 1, 4, 2, 5])
    """
    sizes = np.asarray(lengths._a if isinstance(lengths, Tensor) else lengths).astype(np.int64)
    order = None
    if not enforce_sorted:
        order = np.argsort(-sizes, kind="stable")
        sizes = sizes[order]
    steps = input.transpose(0, 1) if batch_first else input
    longest, batch = steps.shape[:2]
    if input.numel() == 0:
        raise RuntimeError(f"pack_padded_sequence: Cannot pack empty tensors, got one of shape {list(input.shape)}.")
    if sizes.shape != (batch,):
        raise RuntimeError(
            f"pack_padded_sequence: Expected `len(lengths)` to be equal to batch_size, but got {sizes.size} for a batch "
            f"of {batch}."
        )
    if sizes.min() <= 0:
        raise RuntimeError("pack_padded_sequence: Length of all samples has to be greater than 0, but found one of 0.")
    if (np.diff(sizes) > 0).any():
        raise RuntimeError(
            "pack_padded_sequence: `lengths` array must be sorted in decreasing order when `enforce_sorted` is True; "
            "pass enforce_sorted=False to have it sorted."
        )
    if sizes[0] > longest:
        raise IndexError(
            f"pack_padded_sequence: Expected lengths up to the padded length {longest}, but found {sizes[0]}."
        )
    there = np.arange(sizes[0])[:, None] < sizes
    time, place = np.nonzero(there)
    rows = time * batch + (place if order is None else order[place])
    data = steps.flatten(0, 1).index_select(0, Tensor._wrap(rows))
    return PackedSequence(data, Tensor._wrap(there.sum(1)), None if order is None else Tensor._wrap(order))


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Any, Any]:
    """Pad a packed batch to (L, N, *), or (N, L, *) with ``batch_first``; gives that and the lengths (N).

    ``total_length`` is L if it should be more than the longest sequence's; ValueError if it is less.

    Examples
    --------
    >>> import retrograd as torch
    >>> packed = torch.nn.utils.rnn.pack_sequence([torch.tensor([1, 2, 3]), torch.tensor([4, 5])])
    >>> torch.nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
    (tensor([[1, 2, 3],
            [4, 5, 0]]), tensor([3, 2]))
    """
    data, sizes = sequence.data, sequence.batch_sizes._a
    steps = len(sizes) if total_length is None else total_length
    if steps < len(sizes):
        raise ValueError(
            f"Expected total_length to be at least the length of the longest sequence in input, but got "
            f"total_length={total_length} and max sequence length being {len(sizes)}"
        )
    there = np.arange(int(sizes[0])) < sizes[:, None]
    lengths = there.sum(0)
    rows = np.full((steps, len(lengths)), len(data), np.int64)
    rows[: len(sizes)][there] = np.arange(len(data))
    if sequence.unsorted_indices is not None:
        order = sequence.unsorted_indices._a
        rows, lengths = rows[:, order], lengths[order]
    padded = _filled(data, rows, padding_value)
    return padded.transpose(0, 1) if batch_first else padded, Tensor._wrap(lengths)


def _filled(data: Any, rows: Any, value: float) -> Any:
    """Arrange the rows of ``data`` by an array of their numbers, where the number after the last is a row of values."""
    further = data.shape[1:]
    padding = T.full((1, *further), value, dtype=data.dtype)
    return T.cat([data, padding]).index_select(0, Tensor._wrap(rows.reshape(-1))).reshape(*rows.shape, *further)


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
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}"
        )
    parts = tuple(sequences)
    if not parts or not all(isinstance(part, Tensor) for part in parts):
        raise RuntimeError("pad_sequence: Expected iterable for input sequences of tensors, but received none")
    lengths = np.array([part.shape[0] for part in parts])
    further, kind = parts[0].shape[1:], parts[0].dtype
    fitted = [p if p.shape[1:] == further else p.expand(p.shape[0], *further) for p in parts]
    data = T.cat([p if p.dtype == kind else p.to(kind) for p in fitted])
    longest = int(lengths.max())
    rows = np.full((len(parts), longest), len(data), np.int64)
    side = np.arange(longest) if padding_side == "right" else np.arange(longest)[::-1]
    rows[side < lengths[:, None]] = np.arange(len(data))
    return _filled(data, rows if batch_first else rows.T, padding_value)


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


def pack_sequence(sequences: Any, enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of sequences (L_i, *), the longest first unless ``enforce_sorted`` is off.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.utils.rnn.pack_sequence([torch.ones(2), torch.zeros(1)]).data
    tensor([1., 0., 1.])
    """
    lengths = [sequence.shape[0] for sequence in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """Give back the list of sequences that `pack_sequence` packed.

    Examples
    --------
    >>> import retrograd as torch
    >>> packed = torch.nn.utils.rnn.pack_sequence([torch.ones(2), torch.zeros(1)])
    >>> torch.nn.utils.rnn.unpack_sequence(packed)
    [tensor([1., 1.]), tensor([0.])]
    """
    return unpad_sequence(*pad_packed_sequence(packed_sequences, batch_first=True), batch_first=True)
