"""A record on disk: JSON lines that are appended, and arrays as safetensors; whatever moment it is killed at, it opens."""

from __future__ import annotations

import json
import math
import os
import pathlib
import tempfile
import time
from typing import Any

from ..model import plain

FORMAT = 1
META, LOSSES, STATISTICS, ARRAYS = "record.json", "losses.jsonl", "statistics.jsonl", "arrays"
FLUSH_SECONDS = 1.0
MOST_ON_DISK = 200_000  # lines of losses, before every other one is left out
LONGEST_LINE = 256 << 20  # a line of a foreign file that is longer is not read


class Store:
    """Where a record is kept: lines in memory, and in a directory if there is one."""

    def __init__(self, directory: str | os.PathLike[str] | None) -> None:
        self.folder = None if directory is None else pathlib.Path(directory)
        self.files: dict[str, Any] = {}
        self.counts: dict[str, int] = {}
        self.flushed = time.monotonic()
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            if any((self.folder / name).exists() for name in (META, LOSSES, STATISTICS)):
                raise FileExistsError(
                    f"record: {self.folder} has a record already; choose another directory, or open that one with glass.open_record"
                )

    def meta(self, data: dict[str, Any]) -> None:
        """Write the description, whole or not at all."""
        if self.folder is not None:
            write_whole(self.folder / META, json.dumps({"format": FORMAT, **plain(data)}, allow_nan=False).encode())

    def append(self, name: str, line: dict[str, Any], flush: bool = False) -> None:
        """Add a line; it is handed to the system whole, at once or within a second."""
        if self.folder is None:
            return
        file = self.files.get(name)
        if file is None:
            file = self.files[name] = open(self.folder / name, "ab", buffering=1 << 16)  # noqa: SIM115 - open as long as the record
        file.write(json.dumps(plain(line), allow_nan=False, separators=(",", ":")).encode() + b"\n")
        self.counts[name] = self.counts.get(name, 0) + 1
        if name == LOSSES and self.counts[name] > MOST_ON_DISK:
            self._thin(name)
        now = time.monotonic()
        if flush or now - self.flushed > FLUSH_SECONDS:
            self.flushed = now
            for each in self.files.values():
                each.flush()

    def _thin(self, name: str) -> None:
        """Leave out every other line of a file; until the new file is whole, the old one stands."""
        assert self.folder is not None
        self.files.pop(name).close()
        path = self.folder / name
        lines = path.read_bytes().splitlines(keepends=True)[::2]
        write_whole(path, b"".join(lines))
        self.counts[name] = len(lines)
        self.files[name] = open(path, "ab", buffering=1 << 16)  # noqa: SIM115 - open as long as the record

    def arrays(self, step: int, arrays: dict[str, Any]) -> None:
        """Write a step's arrays as one safetensors file, which is there whole or not at all."""
        if self.folder is None or not arrays:
            return
        from safetensors.numpy import save

        (self.folder / ARRAYS).mkdir(exist_ok=True)
        write_whole(self.folder / ARRAYS / f"step-{step:09d}.safetensors", save(arrays))

    def abandon(self) -> None:
        """Write nothing any more, not even what waits to be written: another process has the files."""
        for file in self.files.values():
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), file.fileno())

    def close(self) -> None:
        """Hand everything to the system."""
        for file in self.files.values():
            file.close()
        self.files.clear()


def write_whole(path: pathlib.Path, data: bytes) -> None:
    """Write a file whole or not at all: what stood there stays until the new one is complete."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def read_meta(folder: pathlib.Path) -> dict[str, Any]:
    """Read a record's description; raise ValueError if it is none, or of a newer format."""
    path = folder / META
    if not path.is_file():
        raise FileNotFoundError(f"open_record: {folder} is not a record: it has no {META}")
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"open_record: {path} is not JSON: {error}") from None
    if not isinstance(data, dict) or not isinstance(data.get("format"), int):
        raise ValueError(f"open_record: {path} does not describe a record")
    if data["format"] > FORMAT:
        raise ValueError(f"open_record: {path} is of format {data['format']}; this version reads up to {FORMAT}")
    return data


def read_lines(path: pathlib.Path, most: int) -> list[dict[str, Any]]:
    """Read JSON lines; one that is cut short, which a killed process leaves at the end, or that is none, is left out.

    Of more than ``most`` lines, evenly spaced ones are given, and the last.
    """
    if not path.is_file():
        return []
    found: list[dict[str, Any]] = []
    stride, count, last = 1, 0, None
    with path.open("rb") as file:
        while line := file.readline(LONGEST_LINE):
            try:
                data = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if not isinstance(data, dict) or type(data.get("step")) is not int or abs(data["step"]) >= 1 << 53:
                continue
            last = data
            if count % stride == 0:
                found.append(data)
            count += 1
            if len(found) > most:
                found, stride = found[::2], 2 * stride
    if last is not None and found[-1] is not last:
        found.append(last)
    return found


def number(value: Any) -> float:
    """Give a number that ``plain`` wrote."""
    if isinstance(value, str):
        return float(value) if value in ("NaN", "Infinity", "-Infinity") else math.nan
    try:
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    except OverflowError:  # of an integer
        return math.inf if value > 0 else -math.inf
