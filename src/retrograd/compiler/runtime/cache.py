"""Machine code on disk: compiled once per machine and text, checked before it is loaded, never trusted to be there."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import stat
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path

from . import jit

MAGIC = b"retrograd object 1\n"
DIGEST = hashlib.sha256().digest_size
LIMIT = 256 << 20  # bytes that the directory may hold; the entries used longest ago leave first
LARGEST = 64 << 20  # bytes of one entry
STALE = 3600.0  # seconds after which a temporary file belongs to nobody
BETWEEN = 64  # writes from one look at the directory's size to the next
POSIX = os.name == "posix"

_counter = itertools.count()


def key(text: str, passes: bool = False) -> str:
    """Name what a text becomes here: a digest of it, of this library, of LLVM and its passes, and of this machine."""
    here = jit.host()
    version = getattr(sys.modules["retrograd"], "__version__", "")
    parts = (text, str(passes), version, here.versions, here.triple, here.cpu, here.features)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def place() -> Path | None:
    """Give the directory that the environment asks for: RETROGRAD_CACHE_DIR, XDG_CACHE_HOME/retrograd, or the home's.

    None when RETROGRAD_CACHE is "off", or there is no home.
    """
    if os.environ.get("RETROGRAD_CACHE", "").lower() in ("off", "0", "false", "no"):
        return None
    if chosen := os.environ.get("RETROGRAD_CACHE_DIR"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # the XDG specification has relative ones ignored
        return Path(base) / "retrograd"
    with contextlib.suppress(RuntimeError):
        home = Path.home()
        return home / ("AppData/Local/retrograd" if sys.platform == "win32" else ".cache/retrograd")
    return None


class Store:
    """A directory of objects.

    An entry is a file named by its key: a line of magic, the SHA-256 of key and object, the object. It is written under
    another name, synced, and renamed, so that readers see all of it or nothing. Whatever is wrong with an entry, it is
    as if it was not there; whatever is wrong with the directory, there is one warning, and the process goes on without.

    Parameters
    ----------
    directory : Path
        Made when it is first written to, for this user alone. A directory that is another user's, or that others may
        write to, is not used: what is in it would be run.
    limit : int
        Bytes to keep.
    """

    def __init__(self, directory: Path, limit: int = LIMIT) -> None:
        self.directory = directory
        self.limit = limit
        self.readable = self.writable = True
        self._writes = 0

    # the directory

    def _give_up(self, why: str, reading: bool = False) -> None:
        if self.writable:
            warnings.warn(
                f"retrograd: compiled code is not kept in {self.directory}: {why}. Programs run, but compile again in every "
                "process. Set RETROGRAD_CACHE_DIR to a directory of your own, or RETROGRAD_CACHE=off.",
                RuntimeWarning,
            )
        self.writable = False
        self.readable = self.readable and not reading

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int | None]:
        """Open the directory and check whose it is; what follows is done relative to it, so that it cannot be exchanged."""
        if not POSIX:
            yield None
            return
        handle = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            facts = os.fstat(handle)
            if facts.st_uid != os.geteuid():
                raise _Refused("it belongs to another user")
            if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise _Refused("other users may write to it")
            yield handle
        finally:
            os.close(handle)

    def _path(self, name: str, handle: int | None) -> str:
        return name if handle is not None else str(self.directory / name)

    # entries

    def get(self, name: str) -> bytes | None:
        """Give the object kept under a key, or None."""
        if not self.readable:
            return None
        try:
            with self._opened() as handle:
                return self._read(name, handle)
        except _Refused as refused:
            self._give_up(str(refused), reading=True)
        except OSError:  # not there, not a directory, not readable: compiled again
            pass
        return None

    def _read(self, name: str, handle: int | None) -> bytes | None:
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        entry = os.open(self._path(name, handle), flags, dir_fd=handle)
        try:
            facts = os.fstat(entry)
            if not stat.S_ISREG(facts.st_mode) or facts.st_size > LARGEST:
                return None
            if POSIX and (facts.st_uid != os.geteuid() or facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
                return None
            with open(entry, "rb", closefd=False) as file:
                content = file.read(facts.st_size)
            image = content[len(MAGIC) + DIGEST :]
            if not image or content[: len(MAGIC)] != MAGIC:
                return None
            if content[len(MAGIC) : len(MAGIC) + DIGEST] != _digest(name, image):
                return None
            with contextlib.suppress(OSError, NotImplementedError):
                os.utime(entry if POSIX else self._path(name, handle))  # used just now
            return image
        finally:
            os.close(entry)

    def put(self, name: str, image: bytes) -> None:
        """Keep an object under a key."""
        if not self.writable:
            return
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._opened() as handle:
                self._write(name, image, handle)
                if self._writes % BETWEEN == 0:
                    self._evict(handle)
                self._writes += 1
        except _Refused as refused:
            self._give_up(str(refused), reading=True)
        except OSError as error:
            self._give_up(error.strerror or type(error).__name__)

    def _write(self, name: str, image: bytes, handle: int | None) -> None:
        draft = f".{name[:16]}.{os.getpid()}.{threading.get_ident():x}.{next(_counter)}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        entry = os.open(self._path(draft, handle), flags, 0o600, dir_fd=handle)
        try:
            try:
                with open(entry, "wb", closefd=False) as file:
                    file.write(MAGIC + _digest(name, image) + image)
                os.fsync(entry)
            finally:
                os.close(entry)
            os.replace(self._path(draft, handle), self._path(name, handle), src_dir_fd=handle, dst_dir_fd=handle)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(self._path(draft, handle), dir_fd=handle)
            raise

    def drop(self, name: str) -> None:
        """Remove an entry, if it is there."""
        with contextlib.suppress(OSError, _Refused), self._opened() as handle:
            os.unlink(self._path(name, handle), dir_fd=handle)

    def _evict(self, handle: int | None) -> None:
        """Remove drafts that nobody finished, and the entries used longest ago until three quarters of the limit are left."""
        now, kept = time.time(), []
        for item in os.scandir(handle if handle is not None and os.scandir in os.supports_fd else self.directory):
            with contextlib.suppress(OSError):
                facts = item.stat(follow_symlinks=False)
                if item.name.endswith(".tmp"):
                    if now - facts.st_mtime > STALE:
                        os.unlink(self._path(item.name, handle), dir_fd=handle)
                elif len(item.name) == 2 * DIGEST:
                    kept.append((facts.st_mtime, facts.st_size, item.name))
        total = sum(size for _, size, _ in kept)
        if total <= self.limit:
            return
        for _, size, name in sorted(kept):
            with contextlib.suppress(OSError):
                os.unlink(self._path(name, handle), dir_fd=handle)
            total -= size
            if total <= self.limit * 3 // 4:
                return


class _Refused(Exception):
    """A directory that is not safe to load code from."""


def _digest(name: str, image: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\0" + image).digest()


_stores: dict[Path, Store] = {}
_loaded: weakref.WeakValueDictionary[tuple[str, tuple[tuple[str, int], ...]], jit.Loaded] = (
    weakref.WeakValueDictionary()
)
_lock = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_lock._at_fork_reinit)  # type: ignore[attr-defined]


def store() -> Store | None:
    """Give the store of the directory that the environment asks for now, or None."""
    directory = place()
    if directory is None:
        return None
    with _lock:
        return _stores.setdefault(directory, Store(directory))


def native(
    text: str,
    name: str = "kernel",
    outside: Mapping[str, int] | None = None,
    passes: bool = False,
    own: bool = False,
) -> jit.Loaded:
    """Give a text's machine code in memory: from this process, from disk, or compiled now.

    Parameters
    ----------
    text : str
        A module's text. It must not hold addresses of this process; those are named in ``outside``.
    name : str
        What the kernel is called in errors.
    outside : mapping of str to int, optional
        Addresses of symbols that are neither C's nor Python's. The pool's and the entries' own are added where the text
        names them.
    passes : bool
        Run LLVM's own optimizations first.
    own : bool
        Give code of the caller's own, whose variables nobody else in the process has.
    """
    found = {**_own_symbols(text), **(outside or {})}
    digest = key(text, passes)
    identity = (digest, tuple(sorted(found.items())))
    if not own and (known := _loaded.get(identity)) is not None:
        known.origin = "this process"
        return known
    kept, exports = store(), jit.defined(text)
    image = kept.get(digest) if kept else None
    if image is not None and kept is not None:
        try:
            loaded = jit.load(image, exports, name, found)
            loaded.origin = "the disk cache"
        except jit.CompileError:
            kept.drop(digest)
            image = None
    if image is None:
        image = jit.assemble(text, name, passes)
        loaded = jit.load(image, exports, name, found)
        if kept is not None:
            kept.put(digest, image)
    return loaded if own else _loaded.setdefault(identity, loaded)


def _own_symbols(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    if "@rg_parallel" in text and "define void @rg_parallel(" not in text:
        from . import pool

        found |= pool.symbols()
    if "@rg_object_" in text:
        from . import entry

        found |= entry.objects()
    return found
