"""From samples to batches: tensors, arrays and numbers are stacked, containers are kept."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from ..core.dtypes import float64
from ..tensor import FUNCTIONS, Tensor, as_tensor, tensor

CollateMap = dict[Any, Callable[..., Any]]


def _refuse(kind: Any) -> TypeError:
    return TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {kind}. Pass your own collate_fn for other samples."
    )


def collate_tensor_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Stack tensors along a new first dimension."""
    return FUNCTIONS["stack"](batch, 0)


def collate_numpy_array_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Stack arrays to a tensor; TypeError for arrays of strings and objects."""
    if batch[0].dtype.kind in "SUO":
        raise _refuse(batch[0].dtype)
    return collate([as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Make a tensor of NumPy scalars, of their dtype."""
    return as_tensor(np.asarray(batch))


def collate_float_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Make a float64 tensor of Python floats."""
    return tensor(batch, dtype=float64)


def collate_int_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Make a tensor of Python integers or bools."""
    return tensor(batch)


def collate_str_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Leave strings and bytes as they are."""
    return batch


default_collate_fn_map: CollateMap = {
    Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def collate(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Make one batch of samples, by the functions that ``collate_fn_map`` has for types of samples.

    A type without a function of its own takes the first whose type it is a subclass of. Mappings and sequences are
    collated entry by entry.

    Raises TypeError for samples of other types, RuntimeError for sequences of unequal lengths.

    Examples
    --------
    >>> from retrograd.utils.data._utils.collate import collate
    >>> collate([1, 2], collate_fn_map={int: lambda batch, collate_fn_map: sum(batch)})
    3
    """
    sample = batch[0]
    if collate_fn_map is not None:
        function = collate_fn_map.get(type(sample))
        if function is None:
            function = next((f for kind, f in collate_fn_map.items() if isinstance(sample, kind)), None)
        if function is not None:
            return function(batch, collate_fn_map=collate_fn_map)

    def column(samples: Sequence[Any]) -> Any:
        return collate(samples, collate_fn_map=collate_fn_map)

    if isinstance(sample, Mapping):
        return _like_mapping(sample, {key: column([entry[key] for entry in batch]) for key in sample})
    if isinstance(sample, tuple) and hasattr(sample, "_fields"):
        return type(sample)(*(column(samples) for samples in zip(*batch, strict=False)))
    if isinstance(sample, Sequence):
        if any(len(entry) != len(sample) for entry in batch):
            lengths = sorted({len(entry) for entry in batch})
            raise RuntimeError(f"each element in list of batch should be of equal size, but the sizes are {lengths}")
        columns = [column(samples) for samples in zip(*batch, strict=True)]
        return columns if isinstance(sample, tuple) else _like_sequence(sample, columns)
    raise _refuse(type(sample))


def _like_mapping(example: Any, entries: dict[Any, Any]) -> Any:
    """Give the entries in a mapping of the example's type, or in a dict where that type cannot be made."""
    try:
        if isinstance(example, MutableMapping):
            clone = copy.copy(example)
            clone.update(entries)
            return clone
        return type(example)(entries)
    except TypeError:
        return entries


def _like_sequence(example: Any, items: list[Any]) -> Any:
    """Give the items in a sequence of the example's type, or in a list where that type cannot be made."""
    try:
        if isinstance(example, MutableSequence):
            clone = copy.copy(example)
            for i, item in enumerate(items):
                clone[i] = item
            return clone
        return type(example)(items)
    except TypeError:
        return items


def default_collate(batch: Sequence[Any]) -> Any:
    """Make one batch of samples: what is stacked gains a first dimension of the batch's length.

    Tensors and NumPy arrays are stacked, ints and floats become tensors (floats float64), strings stay. Mappings,
    named tuples and lists are collated entry by entry; tuples become lists.

    Raises TypeError for samples of other types, RuntimeError for sequences of unequal lengths.

    Examples
    --------
    >>> from retrograd.utils.data import default_collate
    >>> default_collate([{"x": 1.0, "y": "a"}, {"x": 2.0, "y": "b"}])
    {'x': tensor([1., 2.], dtype=torch.float64), 'y': ['a', 'b']}
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def default_convert(data: Any) -> Any:
    """Turn the NumPy arrays and scalars in a sample into tensors and leave the rest.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.utils.data import default_convert
    >>> default_convert([np.array([0, 1]), "text", 3])
    [tensor([0, 1]), 'text', 3]
    """
    if isinstance(data, Tensor):
        return data
    if isinstance(data, (np.ndarray, np.generic)):
        return data if data.dtype.kind in "SUO" else as_tensor(data)
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, tuple):
        converted: Iterable[Any] = [default_convert(item) for item in data]
        return type(data)(*converted) if hasattr(data, "_fields") else converted
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like_sequence(data, [default_convert(item) for item in data])
    return data
