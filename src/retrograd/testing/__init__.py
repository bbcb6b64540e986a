"""Checks for users' own code: gradients against finite differences, tensors against each other."""

from __future__ import annotations

from .compare import assert_allclose, assert_close, make_tensor
from .gradcheck import GradcheckError, gradcheck, gradgradcheck

__all__ = ["GradcheckError", "assert_allclose", "assert_close", "gradcheck", "gradgradcheck", "make_tensor"]
