"""Modules that hold modules: Sequential, ModuleList, ModuleDict, and the parameters' own containers."""

from __future__ import annotations

import operator
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, TypeVar

from . import fused
from .module import Module
from .parameter_container import ParameterDict, ParameterList
from .utils import pairs_of

__all__ = ["Container", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]

List = TypeVar("List", bound="_Numbered")


class Container(Module):
    """Modules under the names they are given by; torch's oldest container, and a FutureWarning."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__()
        warnings.warn("`nn.Container` is deprecated: subclass nn.Module instead", FutureWarning, stacklevel=2)
        for name, module in kwargs.items():
            self.add_module(name, module)


class _Numbered(Module):
    """Children under the names "0", "1", ...: what Sequential and ModuleList share."""

    def _key(self, index: Any) -> str:
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range")
        return list(self._modules)[int(index)]

    def _renumber(self, modules: Iterable[Any]) -> None:
        self._modules = {str(i): module for i, module in enumerate(modules)}

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __setitem__(self, index: Any, module: Any) -> None:
        setattr(self, self._key(index), module)

    def __delitem__(self, index: Any) -> None:
        keys = list(self._modules)[index] if isinstance(index, slice) else [self._key(index)]
        for key in keys:
            delattr(self, key)
        self._renumber(self._modules.values())

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.isdigit()]

    def append(self: List, module: Any) -> List:
        """Add a module at the end.

        Examples
        --------
        >>> from retrograd import nn
        >>> len(nn.Sequential(nn.ReLU()).append(nn.Tanh()))
        2
        """
        self.add_module(str(len(self)), module)
        return self

    def pop(self, key: Any) -> Any:
        """Take the module with this number out and give it."""
        module = self[key]
        del self[key]
        return module

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError


class Sequential(_Numbered):
    """Modules applied one after the other: y = f_n(... f_2(f_1(x))).

    Takes the modules as arguments, or one OrderedDict that names them.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd import nn
    >>> net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> net(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    >>> net[1:]
    Sequential(
      (1): ReLU()
      (2): Linear(in_features=4, out_features=2, bias=True)
    )
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        named = args[0].items() if len(args) == 1 and isinstance(args[0], OrderedDict) else enumerate(args)
        for name, module in named:
            self.add_module(str(name), module)

    def forward(self, input: Any) -> Any:
        """Apply the modules in order."""
        modules: Any = self._modules
        if len(modules) > 1:
            found = fused.run(modules, self, input)
            if found is not None:
                return found
        for module in modules.values():
            input = module(input)
        return input

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))
        return self._modules[self._key(index)]

    def __add__(self, other: Any) -> Sequential:
        if not isinstance(other, Sequential):
            raise ValueError(f"add operator supports only objects of Sequential class, but {type(other)} is given.")
        return Sequential(*self, *other)

    def __iadd__(self, other: Any) -> Sequential:
        if not isinstance(other, Sequential):
            raise ValueError(f"add operator supports only objects of Sequential class, but {type(other)} is given.")
        self.extend(other)
        return self

    def _check_factor(self, times: Any) -> int:
        if not isinstance(times, int):
            raise TypeError(f"unsupported operand type(s) for *: {type(self)} and {type(times)}")
        if times <= 0:
            raise ValueError(f"Non-positive multiplication factor {times} for {type(self)}")
        return times

    def __mul__(self, times: Any) -> Sequential:
        return Sequential(*list(self) * self._check_factor(times))

    def __rmul__(self, times: Any) -> Sequential:
        return self.__mul__(times)

    def __imul__(self, times: Any) -> Sequential:
        self.extend(list(self) * (self._check_factor(times) - 1))
        return self

    def insert(self, index: Any, module: Any) -> Sequential:
        """Put a module before the one with this number."""
        if not isinstance(module, Module):
            raise AssertionError(f"module should be of type: {Module}")
        count = len(self)
        if not -count <= index <= count:
            raise IndexError(f"Index out of range: {index}")
        position = operator.index(index)
        modules = list(self)
        modules.insert(position, module)
        self._renumber(modules)
        return self

    def extend(self, sequential: Iterable[Any]) -> Sequential:
        """Add modules at the end."""
        for module in list(sequential):
            self.append(module)
        return self


class ModuleList(_Numbered):
    """A list of modules that the parent's ``parameters()`` and ``state_dict()`` see; it has no ``forward``.

    Examples
    --------
    >>> from retrograd import nn
    >>> nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
    ModuleList(
      (0-2): 3 x Linear(in_features=2, out_features=2, bias=True)
    )
    """

    def __init__(self, modules: Iterable[Any] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self._modules.values())[index])
        return self._modules[self._key(index)]

    def __add__(self, other: Iterable[Any]) -> ModuleList:
        return ModuleList(chain(self, other))

    def __iadd__(self, modules: Iterable[Any]) -> ModuleList:
        return self.extend(modules)

    def insert(self, index: int, module: Any) -> None:
        """Put a module before the one with this number."""
        modules = list(self)
        modules.insert(index, module)
        self._renumber(modules)

    def extend(self, modules: Any) -> ModuleList:
        """Add modules at the end; TypeError unless they come from an iterable."""
        if not isinstance(modules, Iterable):
            found = type(modules).__name__
            raise TypeError(f"ModuleList.extend should be called with an iterable, but got {found}")
        for module in list(modules):
            self.append(module)
        return self

    def __repr__(self) -> str:
        runs: list[list[Any]] = []  # [first, last, text] of equal neighbours
        for i, text in enumerate(map(repr, self)):
            if runs and runs[-1][2] == text:
                runs[-1][1] = i
            else:
                runs.append([i, i, text])
        if not runs:
            return f"{self._get_name()}()"
        lines = [
            f"({first}): {text}" if first == last else f"({first}-{last}): {last - first + 1} x {text}"
            for first, last, text in runs
        ]
        return "\n  ".join([f"{self._get_name()}(", *(line.replace("\n", "\n  ") for line in lines)]) + "\n)"


class ModuleDict(Module):
    """A dictionary of modules that the parent's ``parameters()`` and ``state_dict()`` see.

    Takes a mapping or pairs (name, module).

    Examples
    --------
    >>> from retrograd import nn
    >>> choices = nn.ModuleDict({"relu": nn.ReLU(), "tanh": nn.Tanh()})
    >>> choices["tanh"]
    Tanh()
    """

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Any) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Take every module out."""
        self._modules.clear()

    def pop(self, key: str) -> Any:
        """Take the module with this name out and give it."""
        return self._modules.pop(key)

    def keys(self) -> Any:
        """Give the names."""
        return self._modules.keys()

    def items(self) -> Any:
        """Give the pairs (name, module)."""
        return self._modules.items()

    def values(self) -> Any:
        """Give the modules."""
        return self._modules.values()

    def update(self, modules: Any) -> None:
        """Take in a mapping or pairs (name, module), replacing those of equal name."""
        for key, module in pairs_of(modules, "ModuleDict"):
            self[key] = module
