"""torch.utils.hooks: what registering a hook gives."""

from __future__ import annotations

from ..nn.modules.handles import RemovableHandle

__all__ = ["RemovableHandle"]
