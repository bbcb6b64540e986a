"""Pillow, imported when a picture is wanted, and the question whether something is one of its pictures."""

from __future__ import annotations

import sys
from typing import Any


def pillow(name: str = "Image") -> Any:
    """Give a module of Pillow; ImportError with the remedy where it is not installed."""
    import importlib

    try:
        return importlib.import_module(f"PIL.{name}")
    except ModuleNotFoundError as error:
        raise ImportError(
            'pictures need Pillow: pip install "retrograd[vision]", or pip install pillow', name="PIL"
        ) from error


def is_pil(image: Any) -> bool:
    """Say whether this is one of Pillow's pictures, without importing Pillow for it."""
    module: Any = sys.modules.get("PIL.Image")
    return module is not None and isinstance(image, module.Image)


def picture(array: Any) -> Any:
    """Give an (H, W) or (H, W, 3) uint8 array as a picture; as the array itself where there is no Pillow."""
    try:
        return pillow().fromarray(array)
    except ImportError:
        return array
