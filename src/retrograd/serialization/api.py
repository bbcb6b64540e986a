"""``save`` and ``load``: objects with tensors to and from files, in PyTorch's format or in safetensors'."""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections.abc import Callable
from typing import Any

DEFAULT_PROTOCOL = 2


def save(
    obj: Any,
    f: Any,
    pickle_module: Any = pickle,
    pickle_protocol: int = DEFAULT_PROTOCOL,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Write an object with all the tensors in it to a file that PyTorch reads too.

    ``f`` is a path or a binary file object. A path that ends in ``.safetensors`` takes a flat dictionary of tensors
    and writes that format. A path is written atomically: a process killed while it saves leaves the old file or the
    new one, each whole. Tensors that share memory are stored once and share memory when loaded.

    Raises RuntimeError if the parent directory does not exist, or for tensors that view the same memory as different
    dtypes; AttributeError if ``f`` is neither a path nor a file; PicklingError for objects that cannot be pickled.

    Examples
    --------
    >>> import io
    >>> import retrograd as torch
    >>> file = io.BytesIO()
    >>> torch.save({"weight": torch.ones(2), "epoch": 3}, file)
    >>> _ = file.seek(0)
    >>> torch.load(file)
    {'weight': tensor([1., 1.]), 'epoch': 3}
    """
    if not _is_path(f) and not hasattr(f, "write"):
        raise AttributeError(
            f"expected 'f' to be string, path, or a file-like object with a 'write' attribute, not {type(f).__name__}"
        )
    if not _is_path(f):
        _write(
            obj, f, "archive", pickle_module, pickle_protocol, _use_new_zipfile_serialization, _disable_byteorder_record
        )
        return
    from .archive import archive_name
    from .atomic import atomic_write

    path = os.fspath(f)
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if path.endswith(".safetensors"):
        from .safe import dump

        data = dump(obj)
        with atomic_write(path) as file:
            file.write(data)
        return
    with atomic_write(path) as file:
        name = archive_name(path)
        _write(
            obj, file, name, pickle_module, pickle_protocol, _use_new_zipfile_serialization, _disable_byteorder_record
        )


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Read an object that ``save``, or PyTorch's, wrote.

    ``f`` is a path or a seekable binary file object; a path that ends in ``.safetensors`` is read in that format.
    By default (``weights_only``) nothing but tensors, plain data and what ``add_safe_globals`` allows is built, and no
    code in the file runs. ``weights_only=False`` unpickles anything, which runs whatever the file says: only for files
    you trust. ``map_location`` says where storages go (``"cpu"`` for files saved on a GPU): a device, its name, a
    dictionary of locations, or a function of a storage and its location. ``mmap=True`` maps the file instead of
    reading it; tensors are read from the disk when used, and writing to them does not change the file.

    Raises UnpicklingError, naming it, for anything that is not weights; RuntimeError for a damaged file, and for
    tensors on devices that are not here; FileNotFoundError; AttributeError if ``f`` is no file.

    Examples
    --------
    >>> import io
    >>> import retrograd as torch
    >>> file = io.BytesIO()
    >>> torch.save(torch.nn.Linear(2, 1).state_dict(), file)
    >>> _ = file.seek(0)
    >>> list(torch.load(file))
    ['weight', 'bias']
    """
    safe, unsafe = (
        os.environ.get(f"TORCH_FORCE_{which}WEIGHTS_ONLY_LOAD", "0") in ("1", "y", "yes", "true")
        for which in ("", "NO_")
    )
    if safe and unsafe:
        raise RuntimeError(
            "Only one of `TORCH_FORCE_WEIGHTS_ONLY_LOAD` or `TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD` should be set, but both were set."
        )
    if safe:
        weights_only = True
    elif weights_only is None:
        weights_only = pickle_module is None and not unsafe
    if weights_only and pickle_module is not None:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    encoding = pickle_load_args.setdefault("encoding", "utf-8")
    path = os.fspath(f) if _is_path(f) else None
    if mmap and path is None:
        raise ValueError("f must be a file path in order to use the mmap argument")
    if path is not None:
        if os.fsdecode(path).endswith(".safetensors"):
            from .safe import read

            return read(os.fsdecode(path), map_location)
        with open(path, "rb") as file:
            return _read(file, path if mmap else None, map_location, weights_only, pickle_module, pickle_load_args)
    _check_readable(f)
    return _read(f, None, map_location, weights_only, pickle_module, {**pickle_load_args, "encoding": encoding})


def get_unsafe_globals_in_checkpoint(f: Any) -> list[str]:
    """Give the full names of the classes and functions in a file that a weights-only load would refuse.

    Examples
    --------
    >>> import fractions, io
    >>> import retrograd as torch
    >>> file = io.BytesIO()
    >>> torch.save(fractions.Fraction(1, 2), file)
    >>> torch.serialization.get_unsafe_globals_in_checkpoint(file)
    ['fractions.Fraction']
    """
    from . import allowed
    from .archive import ArchiveReader
    from .scan import globals_of

    if _is_path(f):
        with open(f, "rb") as file:
            program = ArchiveReader(file).read("data.pkl").tobytes()
    else:
        program = ArchiveReader(f).read("data.pkl").tobytes()
    safe = {**allowed.always_allowed(), **allowed.user_globals()}
    return [name for name in globals_of(program) if name not in safe]


def _is_path(f: Any) -> bool:
    return isinstance(f, (str, bytes, os.PathLike))


def _check_readable(f: Any) -> None:
    try:
        f.seek(f.tell())
    except (io.UnsupportedOperation, AttributeError) as error:
        raise AttributeError(
            f"{error}. You can only load from a file that is seekable. Please pre-load the data into a buffer like "
            "io.BytesIO and try to load from it instead."
        ) from None


def _write(obj: Any, file: Any, name: str, module: Any, protocol: int, zipped: bool, no_byteorder: bool) -> None:
    from .archive import ALIGNMENT, ArchiveWriter
    from .pickler import pickler_class

    if not zipped:
        from . import legacy

        legacy.write(obj, file, module, protocol)
        return
    program = io.BytesIO()
    pickler = pickler_class(module)(program, protocol)
    pickler.dump(obj)
    archive = ArchiveWriter(file, name)
    archive.write("data.pkl", program.getbuffer())
    archive.write(".format_version", b"1")
    archive.write(".storage_alignment", str(ALIGNMENT).encode())
    if not no_byteorder:
        archive.write("byteorder", sys.byteorder.encode())
    for storage in pickler.storages.values():
        archive.write(f"data/{storage.key}", storage.data)
    archive.close()


def _read(file: Any, mapped: Any, map_location: Any, weights_only: bool, module: Any, options: dict[str, Any]) -> Any:
    from .archive import ArchiveReader, is_archive

    if not is_archive(file):
        from . import legacy

        if mapped:
            raise RuntimeError(
                "mmap can only be used with files saved with torch.save(_use_new_zipfile_serialization=True), "
                "please torch.save your checkpoint with this option in order to use mmap."
            )
        return legacy.read(file, map_location, weights_only, module, options)
    from .storages import ArchiveStorages

    archive = ArchiveReader(file)
    storages = ArchiveStorages(archive, map_location, mapped)
    program = archive.read("data.pkl")
    return unpickle(io.BytesIO(program.data), program.data, storages.find, weights_only, module, options)[0]


def unpickle(
    file: Any,
    program: Any,
    find_storage: Callable[[Any], Any],
    weights_only: bool,
    module: Any,
    options: dict[str, Any],
) -> tuple[Any, int]:
    """Run one pickle program and give its object and the position after it.

    ``file`` is read for programs that may do anything, ``program`` for those that may only build weights.
    """
    if weights_only:
        from .restricted import WeightsUnpickler

        unpickler = WeightsUnpickler(program, find_storage, options["encoding"])
        return unpickler.load(), unpickler.position
    from .unrestricted import make_unpickler

    result = make_unpickler(module or pickle, file, find_storage, options).load()
    return result, file.tell()
