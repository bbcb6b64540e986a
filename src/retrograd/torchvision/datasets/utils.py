"""Files from the network: checked by their MD5, fetched under a temporary name, unpacked inside their folder."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from typing import Any

_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def calculate_md5(fpath: Any, chunk_size: int = 1 << 20) -> str:
    """Give the MD5 of a file's bytes in hexadecimal.

    Parameters
    ----------
    fpath : str or path
        The file.
    chunk_size : int
        How many bytes are read at a time.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    digest = hashlib.md5(usedforsecurity=False)
    with open(fpath, "rb") as file:
        while chunk := file.read(chunk_size):
            digest.update(chunk)
    return digest.hexdigest()


def check_md5(fpath: Any, md5: str, **kwargs: Any) -> bool:
    """Say whether a file has this MD5."""
    return md5 == calculate_md5(fpath, **kwargs)


def check_integrity(fpath: Any, md5: str | None = None) -> bool:
    """Say whether a file is there and, where an MD5 is given, has it.

    Examples
    --------
    >>> check_integrity("no/such/file")
    False
    """
    return os.path.isfile(fpath) and (md5 is None or check_md5(fpath, md5))


def _fetch(url: str, path: str, md5: str | None) -> None:
    """Download to a temporary name beside ``path``, check, rename: ``path`` never holds half a file."""
    from urllib.request import Request, urlopen

    handle, part = tempfile.mkstemp(prefix=os.path.basename(path) + ".", suffix=".part", dir=os.path.dirname(path))
    try:
        request = Request(url, headers={"User-Agent": "retrograd"})
        with os.fdopen(handle, "wb") as file, urlopen(request, timeout=60) as answer:
            shutil.copyfileobj(answer, file, 1 << 20)
        if md5 is not None and not check_md5(part, md5):
            raise RuntimeError(f"File not found or corrupted: {url} has the MD5 {calculate_md5(part)}, not {md5}")
        os.chmod(part, 0o644)
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.remove(part)


def download_url(
    url: str | Iterable[str], root: Any, filename: Any = None, md5: str | None = None, max_redirect_hops: int = 3
) -> None:
    """Download a file into a folder, unless it is there and right.

    Parameters
    ----------
    url : str or iterable of str
        Where the file is; of several addresses the first that answers is taken.
    root : str or path
        The folder, which is made if need be.
    filename : str, optional
        The name it is kept under; the last part of the address by default.
    md5 : str, optional
        What the file's MD5 must be.
    max_redirect_hops : int
        Kept for torchvision's signature.

    Raises
    ------
    RuntimeError
        Where no address answers with the right file: it names the path where the file is expected, and the addresses.
    """
    urls = [url] if isinstance(url, str) else list(url)
    root = os.path.expanduser(os.fspath(root))
    path = os.path.join(root, filename or os.path.basename(urls[0]))
    if check_integrity(path, md5):
        return
    os.makedirs(root, exist_ok=True)
    failures = []
    for one in urls:
        try:
            _fetch(one, path, md5)
        except (OSError, ValueError, RuntimeError) as error:
            failures.append(f"  {one}: {error}")
        else:
            return
    told = f" (its MD5 is {md5})" if md5 else ""
    raise RuntimeError(
        f"Error downloading {os.path.basename(path)}: the file is expected at {os.path.abspath(path)}{told} and could "
        "not be fetched from\n" + "\n".join(failures) + "\nFetch it on a machine with a network and put it there."
    )


def extract_archive(from_path: Any, to_path: Any = None, remove_finished: bool = False) -> str:
    """Unpack an archive, or decompress a single file.

    Parameters
    ----------
    from_path : str or path
        A .zip, .tar (also compressed), .gz, .bz2 or .xz file.
    to_path : str or path, optional
        The folder (of an archive) or file that is made; beside the archive by default.
    remove_finished : bool
        Whether the archive is deleted afterwards.

    Returns
    -------
    str
        The folder or file.
    """
    source: str = os.fspath(from_path)
    target: str
    stem, suffix = os.path.splitext(source)
    if suffix == ".zip" or suffix in (".tar", ".tgz", ".tbz2", ".tbz") or stem.endswith(".tar"):
        target = os.path.dirname(source) if to_path is None else os.fspath(to_path)
        _unpack(source, target)
    elif suffix in _OPENERS:
        target = stem if to_path is None else os.fspath(to_path)
        _write_atomically(target, _OPENERS[suffix], source)
    else:
        raise RuntimeError(f"{source} is no archive of a known kind (.zip, .tar, .tgz, .gz, .bz2, .xz)")
    if remove_finished:
        os.remove(source)
    return target


def _unpack(source: str, target: str) -> None:
    if source.endswith(".zip"):
        with zipfile.ZipFile(source) as archive:
            archive.extractall(target)
    else:
        with tarfile.open(source) as archive:
            archive.extractall(target, filter="data")  # nothing outside the folder, no links out of it


def _write_atomically(target: str, opener: Callable[..., Any], source: str) -> None:
    part = f"{target}.{os.getpid()}.part"
    try:
        with opener(source, "rb") as packed, open(part, "wb") as file:
            shutil.copyfileobj(packed, file, 1 << 20)
        os.replace(part, target)
    finally:
        if os.path.exists(part):
            os.remove(part)


def download_and_extract_archive(
    url: str | Iterable[str],
    download_root: Any,
    extract_root: Any = None,
    filename: Any = None,
    md5: str | None = None,
    remove_finished: bool = False,
) -> None:
    """Download an archive, unless it is there, and unpack it.

    Parameters
    ----------
    url : str or iterable of str
        Where it is.
    download_root : str or path
        The folder for the archive.
    extract_root : str or path, optional
        The folder for what is in it; the same by default.
    filename : str, optional
        The archive's name there.
    md5 : str, optional
        What its MD5 must be.
    remove_finished : bool
        Whether the archive is deleted afterwards.
    """
    first = url if isinstance(url, str) else next(iter(url))
    root = os.path.expanduser(os.fspath(download_root))
    name = filename or os.path.basename(first)
    download_url(url, root, name, md5)
    archive = os.path.join(root, name)
    if archive.endswith((".gz", ".bz2", ".xz")) and ".tar" not in name:
        target: Any = os.path.join(root if extract_root is None else extract_root, os.path.splitext(name)[0])
    else:
        target = root if extract_root is None else extract_root
    extract_archive(archive, target, remove_finished)


def verify_str_arg(value: Any, arg: str | None = None, valid_values: Any = None, custom_msg: str | None = None) -> str:
    """Give a string argument back; ValueError where it is not a string or not one of the valid ones."""
    name = f" for argument {arg}" if arg else ""
    if not isinstance(value, str):
        raise ValueError(f"Expected type str{name}, but got type {type(value)}.")
    if valid_values is not None and value not in valid_values:
        listed = ", ".join(repr(one) for one in valid_values)
        raise ValueError(custom_msg or f"Unknown value '{value}'{name}. Valid values are {{{listed}}}.")
    return value


__all__ = [
    "calculate_md5",
    "check_integrity",
    "check_md5",
    "download_and_extract_archive",
    "download_url",
    "extract_archive",
    "verify_str_arg",
]
