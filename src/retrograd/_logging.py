"""torch._logging: which of PyTorch's compiler logs are to be shown; there are none here, and the wish is accepted."""

from __future__ import annotations

import functools
import logging
from typing import Any


def set_logs(*, modules: dict[str, Any] | None = None, **levels: Any) -> None:
    """Accept levels; this library tells what was compiled by ``explain()`` and by warnings."""


def getArtifactLogger(module_qname: str, artifact_name: str) -> logging.Logger:
    """Give the standard library's logger for one kind of message.

    Examples
    --------
    >>> getArtifactLogger("mine", "graph").name
    'mine.__graph'
    """
    return logging.getLogger(f"{module_qname}.__{artifact_name}")


@functools.cache
def warning_once(logger_obj: Any, *args: Any, **kwargs: Any) -> None:
    """Warn through a logger, once for equal arguments."""
    logger_obj.warning(*args, **kwargs)


__all__ = ["getArtifactLogger", "set_logs", "warning_once"]
