"""Names of the types that layers annotate their sizes with: one number for every axis, or one number each."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

Element = TypeVar("Element")
T = TypeVar("T")

_scalar_or_tuple_any_t: TypeAlias = Element | tuple[Element, ...]
_scalar_or_tuple_1_t: TypeAlias = Element | tuple[Element]
_scalar_or_tuple_2_t: TypeAlias = Element | tuple[Element, Element]
_scalar_or_tuple_3_t: TypeAlias = Element | tuple[Element, Element, Element]
_scalar_or_tuple_4_t: TypeAlias = Element | tuple[Element, Element, Element, Element]
_scalar_or_tuple_5_t: TypeAlias = Element | tuple[Element, Element, Element, Element, Element]
_scalar_or_tuple_6_t: TypeAlias = Element | tuple[Element, Element, Element, Element, Element, Element]

_size_any_t = int | tuple[int, ...]
_size_1_t = int | tuple[int]
_size_2_t = int | tuple[int, int]
_size_3_t = int | tuple[int, int, int]
_size_4_t = int | tuple[int, int, int, int]
_size_5_t = int | tuple[int, int, int, int, int]
_size_6_t = int | tuple[int, int, int, int, int, int]

_size_any_opt_t = int | None | tuple[int | None, ...]
_size_2_opt_t = int | None | tuple[int | None, int | None]
_size_3_opt_t = int | None | tuple[int | None, int | None, int | None]

_ratio_any_t = float | tuple[float, ...]
_ratio_2_t = float | tuple[float, float]
_ratio_3_t = float | tuple[float, float, float]

_tensor_list_t = Any
_maybe_indices_t = Any
