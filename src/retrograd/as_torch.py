"""Import this module and `torch` means this library, for the rest of the process and in its worker processes.

``import torch``, ``from torch import nn`` and ``from torch.utils.data import DataLoader`` then give this library's own
modules: ``torch.nn is retrograd.nn``, so nothing exists twice, and pickles name `retrograd`. In the same way
``torchvision`` is ``retrograd.torchvision``, and ``functorch`` ``retrograd.functorch``, loaded when they are asked for.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import retrograd
from retrograd.torch_version import TorchVersion
from retrograd.utils._names import missing_module

__all__ = ["TorchVersion", "install"]

ROOMS = {"torch": "retrograd", "torchvision": "retrograd.torchvision", "functorch": "retrograd.functorch"}
STAND_IN = str(Path(__file__).parent / "cli" / "stand_in")


class _Twin(importlib.abc.Loader):
    """Gives the import of a torch name this library's own module, as it is."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.spec = getattr(module, "__spec__", None)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Any:
        if "__path__" not in self.module.__dict__:
            self.module.__path__ = []  # so that what torch has below it is looked for here too, as attributes
        return self.module

    def exec_module(self, module: Any) -> None:
        module.__spec__ = self.spec  # the import system has just set torch's: the module stays what it was


class _Finder(importlib.abc.MetaPathFinder):
    """Finds `torch`, `torchvision` and what is below them in this library."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        room = ROOMS.get(fullname.partition(".")[0])
        if room is None:
            return None
        module = _resolve(room + fullname[len(fullname.partition(".")[0]) :])
        if module is not None:
            return importlib.machinery.ModuleSpec(fullname, _Twin(module), is_package=hasattr(module, "__path__"))
        if _asked_by_name_only():
            return None
        parent = fullname.rpartition(".")[0]
        raise missing_module(fullname, [f"{parent}.{leaf}" for leaf in _modules_of(parent)])


def _resolve(name: str) -> ModuleType | None:
    """Import one of this library's modules, or take the namespace its parent holds by that name; None if neither."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name + ".").startswith(error.name + "."):
            raise  # the module is there, and something that it needs is not
    parent, _, leaf = name.rpartition(".")
    found = getattr(sys.modules.get(parent), leaf, None)
    return found if isinstance(found, ModuleType) else None


def _modules_of(parent: str) -> Iterator[str]:
    """The public modules below one that has been imported by torch's name."""
    for place in pkgutil.iter_modules(getattr(sys.modules.get(parent), "__path__", None) or []):
        yield place.name


def _asked_by_name_only() -> bool:
    """True inside `importlib.util.find_spec`, which asks whether a module exists and wants None for no."""
    frame = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__") == "importlib._bootstrap":
        frame = frame.f_back  # type: ignore[assignment]
    return frame is not None and frame.f_globals.get("__name__") == "importlib.util"


def install() -> None:
    """Make `torch` mean this library from now on; done once by importing this module.

    Raises
    ------
    ImportError
        When the real PyTorch is already imported in this process.

    Examples
    --------
    ``import retrograd.as_torch`` is the usual spelling. Called again, it changes nothing.
    """
    real = sys.modules.get("torch")
    if real is not None and real is not retrograd:
        place = getattr(real, "__file__", None) or "an unknown place"
        raise ImportError(
            f"PyTorch is already imported in this process (from {place}), so `torch` cannot mean retrograd here: "
            "put `import retrograd.as_torch` before the first import of torch, "
            "or run the program with `retrograd run`",
            name="torch",
        )
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    for name, module in list(sys.modules.items()):
        parent, _, leaf = name.rpartition(".")
        if name.startswith("retrograd.") and getattr(sys.modules.get(parent), leaf, module) is not module:
            # known beforehand: importing it would put the module in the place of what has its name, such as a function
            sys.modules["torch" + name[len("retrograd") :]] = module
    if STAND_IN not in sys.path:
        # Worker processes that start afresh are given this path before they import the program: their `import torch`
        # finds the stand-in there, ahead of an installed PyTorch, and the stand-in imports this module.
        sys.path.insert(1, STAND_IN)
    retrograd.__dict__["__name__"] = "torch"  # programs recognise the module they were given by it
    retrograd.__dict__["__version__"] = TorchVersion(retrograd.__version__)


install()
