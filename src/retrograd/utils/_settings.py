"""The module of settings that `torch._dynamo`, `torch._inductor` and `torch._functorch` have under the name ``config``."""

from __future__ import annotations

import contextlib
from types import ModuleType, SimpleNamespace
from typing import Any

__all__ = ["Settings"]


class Settings(ModuleType):
    """Settings that are kept for those who read them again: there is nothing in this library that they set.

    Parameters
    ----------
    name : str
        The module's name.
    defaults : dict
        Names and values; a name with a dot in it, such as ``"triton.cudagraphs"``, is one of a group.

    Examples
    --------
    >>> config = Settings("config", {"debug": False, "triton.cudagraphs": False})
    >>> config.triton.cudagraphs = True
    >>> with config.patch(debug=True):
    ...     print(config.debug)
    True
    >>> config.get_config_copy()
    {'debug': False, 'triton.cudagraphs': True}
    """

    def __init__(self, name: str, defaults: dict[str, Any]) -> None:
        super().__init__(name, "Settings, which programs may set and read.")
        for key, value in defaults.items():
            self._put(key, value)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{self.__name__}.{name} does not exist")

    def __setattr__(self, name: str, value: Any) -> None:
        group, dot, leaf = name.partition(".")  # importing a module writes to it what the import system wants there
        setattr(vars(self)[group], leaf, value) if dot else super().__setattr__(name, value)

    def _put(self, name: str, value: Any) -> None:
        group, dot, _ = name.partition(".")
        if dot and group not in vars(self):
            super().__setattr__(group, SimpleNamespace())
        setattr(self, name, value)

    def _get(self, name: str) -> Any:
        group, dot, leaf = name.partition(".")
        return getattr(getattr(self, group), leaf) if dot else getattr(self, group)

    def patch(self, arg1: Any = None, arg2: Any = None, **kwargs: Any) -> Any:
        """Give a block, or a decorator, in which settings have other values.

        Parameters
        ----------
        arg1 : str or dict, optional
            A name, whose value is ``arg2``, or a dictionary of names and values.
        arg2 : object, optional
            The value.
        **kwargs : object
            Names and values.
        """
        changes = dict(arg1) if isinstance(arg1, dict) else {arg1: arg2} if arg1 is not None else kwargs
        return self._patched(changes)

    @contextlib.contextmanager
    def _patched(self, changes: dict[str, Any]) -> Any:
        before = {name: self._get(name) for name in changes}
        try:
            for name, value in changes.items():
                self._put(name, value)
            yield
        finally:
            for name, value in before.items():
                self._put(name, value)

    def get_config_copy(self) -> dict[str, Any]:
        """Give a dictionary of all settings, those of groups by their dotted names."""
        found: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, SimpleNamespace):
                found |= {f"{name}.{leaf}": one for leaf, one in vars(value).items()}
            elif not name.startswith("__"):
                found[name] = value
        return found

    shallow_copy_dict = to_dict = get_config_copy

    def load_config(self, config: dict[str, Any]) -> None:
        """Set what `get_config_copy` gave."""
        for name, value in config.items():
            self._put(name, value)
