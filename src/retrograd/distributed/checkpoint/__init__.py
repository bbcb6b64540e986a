"""torch.distributed.checkpoint: states of models and optimizers in directories, which PyTorch reads too."""

from __future__ import annotations

from typing import Any

from . import filesystem as filesystem
from . import metadata as metadata
from . import state_dict as state_dict
from .filesystem import FileSystemReader, FileSystemWriter
from .hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from .metadata import Metadata


def _place(checkpoint_id: Any, storage: Any, name: str) -> Any:
    place = storage.path if hasattr(storage, "path") else checkpoint_id if storage is None else storage
    if place is None:
        raise RuntimeError(f"torch.distributed.checkpoint.{name} needs a directory: give checkpoint_id=...")
    return place


def save(
    state_dict: Any, *, checkpoint_id: Any = None, storage_writer: Any = None, planner: Any = None, **options: Any
) -> Metadata:
    """Write a dictionary of tensors, other values and objects that have a ``state_dict`` into a directory.

    Examples
    --------
    >>> import tempfile
    >>> import retrograd as torch
    >>> net, other = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = save({"net": net.state_dict(), "epoch": 3}, checkpoint_id=folder)
    ...     state = {"net": other.state_dict(), "epoch": 0}
    ...     load(state, checkpoint_id=folder)
    >>> state["epoch"], torch.equal(net.weight, other.weight)
    (3, True)
    """
    if isinstance(storage_writer, HuggingFaceStorageWriter):
        storage_writer.write(state_dict)
        return Metadata({})
    return filesystem.write(state_dict, _place(checkpoint_id, storage_writer, "save"))


def async_save(state_dict: Any, **options: Any) -> Any:
    """Do what ``save`` does, at once, and give a future that has its result."""
    from concurrent.futures import Future

    future: Any = Future()
    future.set_result(save(state_dict, **options))
    return future


def load(
    state_dict: Any, *, checkpoint_id: Any = None, storage_reader: Any = None, planner: Any = None, **options: Any
) -> None:
    """Read into a dictionary of states: tensors in place; other values are put into it.

    Raises RuntimeError for a name that the checkpoint has not, ValueError for a tensor of another size.
    """
    if isinstance(storage_reader, HuggingFaceStorageReader):
        storage_reader.read(state_dict)
        return
    filesystem.read(state_dict, _place(checkpoint_id, storage_reader, "load"), getattr(planner, "strict", True))


save_state_dict, load_state_dict = save, load

__all__ = [
    "FileSystemReader",
    "FileSystemWriter",
    "HuggingFaceStorageReader",
    "HuggingFaceStorageWriter",
    "Metadata",
    "async_save",
    "load",
    "load_state_dict",
    "save",
    "save_state_dict",
    "state_dict",
]
