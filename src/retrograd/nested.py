"""torch.nested: tensors of several lengths in one; here they are not one tensor, and the functions say what to use."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["as_nested_tensor", "nested_tensor", "nested_tensor_from_jagged", "to_padded_tensor"]


def _told(name: str) -> NoReturn:
    raise NotImplementedError(
        f"torch.nested.{name}: a tensor has one shape here; keep a list of tensors, or "
        "torch.nn.utils.rnn.pad_sequence and a mask"
    )


def nested_tensor(tensor_list: Any, **options: Any) -> NoReturn:
    """Raise NotImplementedError: a tensor has one shape."""
    _told("nested_tensor")


def as_nested_tensor(ts: Any, **options: Any) -> NoReturn:
    """Raise NotImplementedError: a tensor has one shape."""
    _told("as_nested_tensor")


def nested_tensor_from_jagged(values: Any, offsets: Any = None, **options: Any) -> NoReturn:
    """Raise NotImplementedError: a tensor has one shape."""
    _told("nested_tensor_from_jagged")


def to_padded_tensor(input: Any, padding: float, output_size: Any = None) -> NoReturn:
    """Raise RuntimeError: no tensor is nested."""
    raise RuntimeError("to_padded_tensor: a tensor that is not nested; torch.nn.utils.rnn.pad_sequence pads a list")
