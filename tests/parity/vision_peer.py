"""The peer of the vision tests: torchvision, also where its compiled half was built for another PyTorch."""

import sys
from types import ModuleType

import pytest


def peer():
    """Import torchvision, or skip. The tests compare with its Python half, which needs nothing of the compiled one."""
    pytest.importorskip("torch")
    try:
        return pytest.importorskip("torchvision")
    except RuntimeError:  # its compiled operations did not load, and this module describes them to PyTorch
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        sys.modules["torchvision._meta_registrations"] = ModuleType("torchvision._meta_registrations")
        return pytest.importorskip("torchvision")
