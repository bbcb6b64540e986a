"""Checkpoints as directories in PyTorch's format: a file of states, and one that says where each lies in it."""

from __future__ import annotations

import io
import os
import pathlib
import pickle
import uuid
from collections.abc import Iterator
from typing import Any

from ...core.mode import no_grad
from ...serialization import load as load_file
from ...serialization import save as save_file
from ...serialization.allowed import always_allowed
from ...serialization.atomic import atomic_write
from ...serialization.pickler import StoragePickler
from ...tensor import Size, Tensor
from . import metadata as m

FILE = "__0_0.distcp"


class FileSystemWriter:
    """Where a checkpoint is written: a directory, made where it is not there."""

    def __init__(self, path: Any, *args: Any, **options: Any) -> None:
        self.path = pathlib.Path(path)


class FileSystemReader:
    """Where a checkpoint is read: a directory that this library or PyTorch wrote."""

    def __init__(self, path: Any, *args: Any, **options: Any) -> None:
        self.path = pathlib.Path(path)

    def read_metadata(self) -> m.Metadata:
        """Give what the checkpoint holds; no code in the file runs."""
        with open(self.path / ".metadata", "rb") as file:
            found: m.Metadata = _Reader(file).load()
        return found


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = m.NAMES.get(module, {}).get(name) or always_allowed().get(f"{module}.{name}")
        if found is None and module == "pathlib" and name in ("PosixPath", "WindowsPath", "PurePosixPath", "Path"):
            return pathlib.PurePath
        if found is None:
            raise pickle.UnpicklingError(f"a checkpoint's .metadata may not hold {module}.{name}")
        return found


def flattened(state: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Give what is in nested dictionaries and lists, each with the way to it."""
    inner = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, (list, tuple)) else None
    if inner is None or (path and not state):
        yield path, state
        return
    for key, value in inner:
        yield from flattened(value, (*path, key))


def _plain(state: Any) -> Any:
    """Give the dictionary of states in which objects that have a state of their own are replaced by it."""
    return {
        k: v.state_dict() if hasattr(v, "load_state_dict") and hasattr(v, "state_dict") else v for k, v in state.items()
    }


def write(state_dict: Any, path: Any) -> m.Metadata:
    """Write a dictionary of states into a directory."""
    path = pathlib.Path(path)
    path.mkdir(parents=True, exist_ok=True)
    kinds: dict[str, Any] = {}
    ways: dict[str, Any] = {}
    places: dict[Any, Any] = {}
    with atomic_write(path / FILE) as file:
        at = 0
        for way, value in flattened(_plain(state_dict)):
            name = ".".join(map(str, way))
            if name in kinds:
                raise ValueError(f"two states have the name {name!r} in a checkpoint")
            held = io.BytesIO()
            if isinstance(value, Tensor):
                value = value.detach()
                size = Size(value.shape)
                kinds[name] = m.TensorStorageMetadata(
                    m.TensorProperties(value.dtype), size, [m.ChunkStorageMetadata(Size([0] * value.ndim), size)]
                )
                index = m.MetadataIndex(name, [0] * value.ndim, 0)
                whole = value.numel() * value.element_size() == value.untyped_storage().nbytes()
                save_file(value if whole else value.clone(), held)
            else:
                kinds[name], index = m.BytesStorageMetadata(), m.MetadataIndex(name)
                save_file(value, held)
            data = held.getvalue()
            file.write(data)
            ways[name], places[index] = way, m._StorageInfo(FILE, at, len(data))
            at += len(data)
    about = m.Metadata(kinds, ways, places, m.StorageMeta(str(path), str(uuid.uuid4())), "1.0.0")
    with atomic_write(path / ".metadata") as file:
        pickler = StoragePickler(file, 4)
        pickler.names = pickler.names | {
            cls: (module, name) for module, classes in m.NAMES.items() for name, cls in classes.items()
        }
        pickler.dump(about)
    return about


def read(state_dict: Any, path: Any, strict: bool = True) -> None:
    """Read a checkpoint into a dictionary of states: tensors in place, other values in their dictionaries."""
    reader = FileSystemReader(path)
    about = reader.read_metadata()
    places: dict[str, list[Any]] = {}
    for index, place in about.storage_data.items():
        places.setdefault(index.fqn, []).append((index, place))
    own = {k: v for k, v in state_dict.items() if hasattr(v, "load_state_dict") and hasattr(v, "state_dict")}
    states = _plain(state_dict)
    for way, value in list(flattened(states)):
        name = ".".join(map(str, way))
        kind = about.state_dict_metadata.get(name)
        if kind is None:
            if not strict:
                continue
            raise RuntimeError(
                f"Missing key in checkpoint state_dict: {name}. It holds {sorted(about.state_dict_metadata)}"
            )
        if isinstance(value, Tensor) != isinstance(kind, m.TensorStorageMetadata):
            raise RuntimeError(
                f"{name} in the checkpoint at {path} is a {type(kind).__name__}, and here {type(value).__name__}"
            )
        if isinstance(value, Tensor):
            if tuple(kind.size) != tuple(value.shape):
                raise ValueError(
                    f"Size mismatch between saved {tuple(kind.size)} and current: {tuple(value.shape)} for {name}"
                )
            with no_grad():
                for index, place in places[name]:
                    part = value.detach()
                    found = _load(reader.path, place, weights_only=True)
                    for d, (start, size) in enumerate(zip(index.offset or (), found.shape, strict=False)):
                        part = part.narrow(d, start, size)
                    part.copy_(found)
        else:
            found = _load(reader.path, places[name][0][1], weights_only=False)
            home: Any = states
            for key in way[:-1]:
                home = home[key]
            home[way[-1]] = found
    for key, value in states.items():
        if key in own:
            own[key].load_state_dict(value)
        else:
            state_dict[key] = value


def _load(path: pathlib.Path, place: Any, weights_only: bool) -> Any:
    if getattr(place, "transform_descriptors", None):
        raise NotImplementedError(
            f"a checkpoint with transformed files ({place.transform_descriptors}) is not read here"
        )
    if os.path.basename(place.relative_path) != place.relative_path:
        raise pickle.UnpicklingError(f"a checkpoint's file lies outside of it: {place.relative_path!r}")
    with open(path / place.relative_path, "rb") as file:
        file.seek(place.offset)
        data = io.BytesIO(file.read(place.length))
    return load_file(data, map_location="cpu", weights_only=weights_only)


__all__ = ["FileSystemReader", "FileSystemWriter"]
