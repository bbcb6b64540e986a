"""torch.distributed.checkpoint: states of models and optimizers; the files of many processes are not written here."""

from __future__ import annotations

from typing import Any, NoReturn

from . import state_dict as state_dict


def save(state_dict: Any, **options: Any) -> NoReturn:
    """Raise NotImplementedError: one process writes one file, with ``torch.save``."""
    raise NotImplementedError("torch.distributed.checkpoint.save: one process writes one file, with torch.save")


def load(state_dict: Any, **options: Any) -> NoReturn:
    """Raise NotImplementedError: one process reads one file, with ``torch.load``."""
    raise NotImplementedError("torch.distributed.checkpoint.load: one process reads one file, with torch.load")


__all__ = ["load", "save", "state_dict"]
