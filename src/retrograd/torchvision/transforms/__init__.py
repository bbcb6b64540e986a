"""torchvision.transforms: changes of pictures and tensors, as objects, composed; random ones draw torch's numbers."""

from __future__ import annotations

from typing import Any

from . import functional
from .autoaugment import AugMix, AutoAugment, AutoAugmentPolicy, RandAugment, TrivialAugmentWide
from .transforms import *  # noqa: F403 - the list of names is transforms.__all__
from .transforms import __all__ as _first


def __getattr__(name: str) -> Any:
    if name == "v2":
        import importlib

        return importlib.import_module(f"{__name__}.v2")
    from retrograd.utils._names import missing

    raise missing(__name__, name, __all__)


__all__ = ["AugMix", "AutoAugment", "AutoAugmentPolicy", "RandAugment", "TrivialAugmentWide", *_first]
