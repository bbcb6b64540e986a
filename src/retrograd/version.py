"""The version: PyTorch's whose names and numbers are followed, and this project's own."""

from __future__ import annotations

retrograd = "0.1.0"
torch = "2.13.0"
__version__ = f"{torch}+retrograd"
cuda = hip = None
debug = False
git_version = "unknown"
