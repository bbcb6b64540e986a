"""torch.utils._device: the mode behind ``with torch.device(...)``, for programs that make one themselves."""

from __future__ import annotations

from ..tensor.placing import DeviceContext

__all__ = ["DeviceContext"]
