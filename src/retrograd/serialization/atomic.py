"""Write a file so that a crash at any moment leaves the old content or the new, never a mixture."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows has no flock: left-over temporary files are then kept
    fcntl = None  # type: ignore[assignment]

SUFFIX = ".retrograd-tmp"


def temporary_prefix(path: str) -> str:
    """Give what the names of ``path``'s temporary files start with."""
    return f".{os.path.basename(path).encode(errors='surrogateescape')[:128].decode(errors='ignore')}."


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of ``path`` when the block ends well.

    The bytes go to a temporary file in the same directory, are synced to the disk, and the file is then renamed; the
    directory is synced too. If the block raises, the temporary file is removed and ``path`` is as it was. Temporary
    files of killed writers are removed by the next write to the same path (a living writer holds a lock on its own).
    A path that names a pipe or a device is written directly.

    Raises RuntimeError if the parent directory does not exist, OSError as ``open`` does.
    """
    target = os.path.realpath(os.fspath(path))
    mode = _mode_of(target)
    if mode is not None and not stat.S_ISREG(mode):
        with open(target, "wb") as direct:
            yield direct
        return
    directory = os.path.dirname(target) or "."
    if not os.path.isdir(directory):
        raise RuntimeError(f"Parent directory {directory} does not exist.")
    _remove_abandoned(directory, temporary_prefix(target))
    temporary, descriptor = _create(directory, temporary_prefix(target))
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), stat.S_IMODE(mode))
            os.fsync(file.fileno())
            if fcntl is not None:
                os.replace(temporary, target)  # while the lock is held: nobody can take it for abandoned
        if fcntl is None:
            os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_directory(directory)


def _mode_of(path: str) -> int | None:
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return None


def _create(directory: str, prefix: str) -> tuple[str, int]:
    """Create and lock a new temporary file; the kernel applies the umask, as it does for ``open``."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    while True:
        name = os.path.join(directory, f"{prefix}{secrets.token_hex(8)}{SUFFIX}")
        try:
            descriptor = os.open(name, flags, 0o666)
        except FileExistsError:
            continue
        if fcntl is None:
            return name, descriptor
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:  # not removed by another writer between creation and lock
            return name, descriptor
        os.close(descriptor)


def _remove_abandoned(directory: str, prefix: str) -> None:
    """Remove temporary files that no living process holds the lock of."""
    if fcntl is None:
        return
    with contextlib.suppress(OSError):
        for name in os.listdir(directory):
            if name.startswith(prefix) and name.endswith(SUFFIX):
                _remove_if_unlocked(os.path.join(directory, name))


def _remove_if_unlocked(path: str) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
        finally:
            os.close(descriptor)


def _sync_directory(directory: str) -> None:
    flags: Any = getattr(os, "O_DIRECTORY", None)
    if flags is None:
        return
    with contextlib.suppress(OSError):  # some file systems cannot sync a directory
        descriptor = os.open(directory, os.O_RDONLY | flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
