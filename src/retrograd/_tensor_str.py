"""torch._tensor_str: how a tensor is written, by the names that other libraries import."""

from __future__ import annotations

from typing import Any

from .tensor.printing import PRINT_OPTIONS, array_text, get_printoptions, printoptions, set_printoptions, with_suffixes

__all__ = ["PRINT_OPTS", "get_printoptions", "printoptions", "set_printoptions"]

PRINT_OPTS = PRINT_OPTIONS


def _str(tensor: Any, *, tensor_contents: str | None = None) -> str:
    """Give the text that `repr` gives, or with other contents."""
    if tensor_contents is None:
        return repr(tensor)
    return _add_suffixes(tensor_contents, [], len(tensor_contents.partition("(")[0]) + 1, False)


_str_intern = _str


def _tensor_str(tensor: Any, indent: int) -> str:
    """Give the bracketed elements, for a first line that starts at a column."""
    return array_text(tensor.detach().cpu().numpy(), indent)


def _add_suffixes(tensor_str: str, suffixes: list[str], indent: int, force_newline: bool) -> str:
    """Close a text by its suffixes."""
    return with_suffixes(tensor_str, suffixes, indent, force_newline)
