"""The unpickler of ``load(..., weights_only=False)``: Python's own, with torch's names meaning this library's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import names
from .allowed import always_allowed


def make_unpickler(module: Any, file: Any, find_storage: Callable[[Any], Any], options: dict[str, Any]) -> Any:
    """Give an unpickler of ``module`` that reads ``file``, finds storages and translates torch's names."""

    class Unpickler(module.Unpickler):  # type: ignore[misc]
        def find_class(self, module_name: str, name: str) -> Any:
            """Give the class or function of this name."""
            found = translate(module_name, name)
            return super().find_class(module_name, name) if found is None else found

        def persistent_load(self, identifier: Any) -> Any:
            """Give the storage of this identifier."""
            return find_storage(identifier)

    return Unpickler(file, **options)


def translate(module: str, name: str) -> Any:
    """Give what stands for torch's ``module.name`` here; None for names that are not torch's."""
    if module != "torch" and not module.startswith("torch."):
        return None
    module = "torch._tensor" if module == "torch.tensor" else module  # its name in old files
    found = always_allowed().get(f"{module}.{name}")
    return names.resolve(module, name) if found is None else found
