"""torch.utils.deterministic: whether memory that is handed out without values is filled all the same."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from ..settings import fill_uninitialized_memory as _fill
from ..settings import fills_uninitialized_memory as _fills


class _Deterministic(ModuleType):
    """Setting ``fill_uninitialized_memory`` sets what ``empty`` does under ``use_deterministic_algorithms(True)``."""

    @property
    def fill_uninitialized_memory(self) -> Any:
        """Whether memory without values is filled with NaN, or the largest number of its dtype."""
        return _fills()

    @fill_uninitialized_memory.setter
    def fill_uninitialized_memory(self, wanted: bool) -> None:
        if not isinstance(wanted, bool):
            raise RuntimeError(f"expected a bool, but got {type(wanted).__name__}")
        _fill(wanted)


sys.modules[__name__].__class__ = _Deterministic
