"""The version of torchvision whose names this package answers to."""

from __future__ import annotations

__version__ = "0.28.0"
git_version = "retrograd"
cuda = None

__all__ = ["__version__", "cuda", "git_version"]
