"""torchvision's names over this library: data sets, transforms, models, boxes and pictures; loaded as they are asked for.

>>> from retrograd.torchvision.models import squeezenet1_1
>>> sum(p.numel() for p in squeezenet1_1().parameters())
1235496
"""

from __future__ import annotations

import importlib
from typing import Any

from .version import __version__

_SUBMODULES = ("datasets", "io", "models", "ops", "transforms", "tv_tensors", "utils", "version")
_BACKENDS = {"image": "PIL", "video": "pyav"}


def set_image_backend(backend: str) -> None:
    """Name the package that opens image files.

    Parameters
    ----------
    backend : str
        "PIL", the one there is here. "accimage" is accepted and PIL opens the files; any other raises ValueError.
    """
    if backend not in ("PIL", "accimage"):
        raise ValueError(f"Invalid backend '{backend}'. Options are 'PIL' and 'accimage'")
    _BACKENDS["image"] = backend


def get_image_backend() -> str:
    """Give the name that `set_image_backend` was given last.

    Examples
    --------
    >>> get_image_backend()
    'PIL'
    """
    return _BACKENDS["image"]


def set_video_backend(backend: str) -> None:
    """Name the package that reads video files, which this library does not; an unknown name raises ValueError."""
    if backend not in ("pyav", "video_reader", "cuda"):
        raise ValueError(f"Invalid video backend '{backend}'. Options are 'pyav', 'video_reader' and 'cuda'")
    if backend == "cuda":
        raise RuntimeError("cuda video backend is not available: this library computes on the CPU")
    _BACKENDS["video"] = backend


def get_video_backend() -> str:
    """Give the name that `set_video_backend` was given last."""
    return _BACKENDS["video"]


def disable_beta_transforms_warning() -> None:
    """Do nothing: transforms.v2 gives no such warning here."""


def _is_tracing() -> bool:
    """Tell that no TorchScript program is being traced: False."""
    return False


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    from retrograd.utils._names import missing

    raise missing(__name__, name, __dir__())


def __dir__() -> list[str]:
    return sorted({name for name in globals() if not name.startswith("_")} | {*_SUBMODULES, "__version__"})


__all__ = [
    "__version__",
    "disable_beta_transforms_warning",
    "get_image_backend",
    "get_video_backend",
    "set_image_backend",
    "set_video_backend",
]
