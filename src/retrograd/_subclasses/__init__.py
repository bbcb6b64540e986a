"""torch._subclasses: the names by which libraries ask whether a tensor is a fake one; none is here."""

from __future__ import annotations

from . import fake_tensor as fake_tensor
from .fake_tensor import FakeTensor, FakeTensorMode

__all__ = ["FakeTensor", "FakeTensorMode", "fake_tensor"]
