"""torch.distributed.checkpoint.hf_storage: files of many processes in Hugging Face's format; one process writes no such."""

from __future__ import annotations

from typing import Any


class HuggingFaceStorageWriter:
    """Not to be made: one process writes one file, with ``safetensors.numpy`` or ``torch.save``."""

    def __init__(self, *args: Any, **options: Any) -> None:
        raise NotImplementedError(f"{type(self).__name__}: there is one process, whose files are torch.save's")


class HuggingFaceStorageReader(HuggingFaceStorageWriter):
    """Not to be made: one process reads one file, with ``safetensors.numpy`` or ``torch.load``."""


__all__ = ["HuggingFaceStorageReader", "HuggingFaceStorageWriter"]
