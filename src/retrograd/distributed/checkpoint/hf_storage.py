"""torch.distributed.checkpoint.hf_storage: checkpoints as safetensors files, as Hugging Face's models are."""

from __future__ import annotations

import pathlib
from typing import Any

from ...core.mode import no_grad
from ...serialization import load, save
from ...tensor import Tensor


class HuggingFaceStorageWriter:
    """A directory into which a flat dictionary of tensors is written as ``model.safetensors``."""

    def __init__(self, path: Any, *args: Any, **options: Any) -> None:
        self.path = pathlib.Path(path)

    def write(self, state_dict: dict[str, Any]) -> None:
        """Write the file; TypeError for what is no tensor, which the format does not hold."""
        for name, value in state_dict.items():
            if not isinstance(value, Tensor):
                raise TypeError(f"{name} is a {type(value).__name__}: safetensors hold a flat dictionary of tensors")
        self.path.mkdir(parents=True, exist_ok=True)
        save({name: value.detach() for name, value in state_dict.items()}, self.path / "model.safetensors")


class HuggingFaceStorageReader:
    """A directory whose safetensors files are read, however many they are."""

    def __init__(self, path: Any, *args: Any, **options: Any) -> None:
        self.path = pathlib.Path(path)

    def read(self, state_dict: dict[str, Any]) -> None:
        """Copy the tensors of a flat dictionary out of the files; RuntimeError for a name that none has."""
        held: dict[str, Any] = {}
        for file in sorted(self.path.glob("*.safetensors")):
            held |= load(file)
        with no_grad():
            for name, value in state_dict.items():
                if name not in held:
                    raise RuntimeError(f"Missing key in checkpoint state_dict: {name}. It holds {sorted(held)}")
                value.copy_(held[name])


__all__ = ["HuggingFaceStorageReader", "HuggingFaceStorageWriter"]
