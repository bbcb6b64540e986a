"""Modules that hold parameters: ParameterList and ParameterDict."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...tensor import Parameter, Tensor
from .module import Module
from .utils import pairs_of


def _as_parameter(value: Any) -> Any:
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value


def _line(key: str, value: Any, type_of: Any) -> str:
    if not isinstance(value, Tensor):
        return f"  ({key}): Object of type: {type(value).__name__}"
    kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
    size = "x".join(str(n) for n in value.shape)
    return f"  ({key}): {kind} containing: [{type_of(value)} of size {size}]"


class ParameterList(Module):
    """A list of parameters that the parent sees; tensors put into it become Parameters, other objects stay as they are.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.ParameterList([torch.ones(2, 3)])
    ParameterList(  (0): Parameter containing: [torch.float32 of size 2x3])
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def _key(self, index: Any) -> str:
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range")
        return str(index % len(self))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(self[i] for i in range(*index.indices(len(self))))
        return getattr(self, self._key(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        setattr(self, self._key(index), _as_parameter(value))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return iter([self[i] for i in range(len(self))])

    def __iadd__(self, values: Iterable[Any]) -> ParameterList:
        return self.extend(values)

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.isdigit()]

    def append(self, value: Any) -> ParameterList:
        """Add a value at the end."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values: Any) -> ParameterList:
        """Add values at the end; TypeError unless they come from an iterable that is no tensor."""
        if not isinstance(values, Iterable) or isinstance(values, Tensor):
            found = type(values).__name__
            raise TypeError(f"ParameterList.extend should be called with an iterable, but got {found}")
        for value in list(values):
            self.append(value)
        return self

    def extra_repr(self) -> str:
        """List the entries, one to a line."""
        return "\n".join(_line(str(i), value, lambda v: v.dtype) for i, value in enumerate(self))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("ParameterList should not be called.")


class ParameterDict(Module):
    """A dictionary of parameters that the parent sees; tensors put into it become Parameters.

    Examples
    --------
    >>> import retrograd as torch
    >>> scales = torch.nn.ParameterDict({"left": torch.ones(2)})
    >>> type(scales["left"]).__name__
    'Parameter'
    """

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def _attribute(self, key: Any) -> str:
        if not isinstance(key, str):
            wanted = "Index given to ParameterDict cannot be used as a key as it is not a string"
            raise TypeError(
                f"{wanted} (type is '{type(key).__name__}'). Open an issue on github if you need non-string keys."
            )
        return key

    def __getitem__(self, key: str) -> Any:
        return getattr(self, self._attribute(key))

    def __setitem__(self, key: str, value: Any) -> None:
        self._keys[key] = None
        setattr(self, self._attribute(key), _as_parameter(value))

    def __delitem__(self, key: str) -> None:
        del self._keys[key]
        delattr(self, self._attribute(key))

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self._keys))

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __or__(self, other: ParameterDict) -> ParameterDict:
        joined = self.copy()
        joined.update(other)
        return joined

    def __ror__(self, other: ParameterDict) -> ParameterDict:
        joined = other.copy()
        joined.update(self)
        return joined

    def __ior__(self, other: ParameterDict) -> ParameterDict:
        self.update(other)
        return self

    def copy(self) -> ParameterDict:
        """Give another dictionary with the same parameters."""
        return ParameterDict(self.items())

    def clear(self) -> None:
        """Take everything out."""
        for key in list(self._keys):
            del self[key]

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Give the entry, which becomes ``default`` if there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: str) -> Any:
        """Take the entry out and give it."""
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take the last entry out and give it with its name."""
        key = list(self._keys)[-1]
        return key, self.pop(key)

    def get(self, key: str, default: Any = None) -> Any:
        """Give the entry, or ``default`` if there is none."""
        return self[key] if key in self else default  # noqa: SIM401 - this is that method

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """Give a new dictionary with ``default`` under every key."""
        return ParameterDict([(key, default) for key in keys])

    def keys(self) -> Any:
        """Give the names."""
        return self._keys.keys()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Give the pairs (name, value)."""
        return ((key, self[key]) for key in self._keys)

    def values(self) -> Iterable[Any]:
        """Give the values."""
        return (self[key] for key in self._keys)

    def update(self, parameters: Any) -> None:
        """Take in a mapping or pairs (name, value), replacing those of equal name."""
        if isinstance(parameters, Mapping) and not isinstance(parameters, OrderedDict):
            pairs = sorted(parameters.items())  # as torch does, whose dictionaries once had no order
        else:
            pairs = pairs_of(parameters, "ParametersDict")
        for key, value in pairs:
            self[key] = value

    def extra_repr(self) -> str:
        """List the entries, one to a line."""
        return "\n".join(_line(key, value, lambda v: v.type()) for key, value in self.items())

    def __call__(self, input: Any) -> Any:
        raise RuntimeError("ParameterDict should not be called.")
