"""torch.utils.tensorboard: event files without TensorFlow or TensorBoard."""

from __future__ import annotations

from .writer import FileWriter, SummaryWriter

__all__ = ["FileWriter", "SummaryWriter"]
