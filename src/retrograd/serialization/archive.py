"""PyTorch's checkpoint container: a zip file of uncompressed records whose contents start at multiples of 64 bytes."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from typing import Any

import numpy as np

ALIGNMENT = 64
VERSION = b"3\n"
CHUNK = 1 << 24
LIMIT = 0xFFFFFFFF  # sizes and offsets from here on need the 64-bit fields
WIDE = 0xFFFFFFFF  # stands in a 32-bit field whose value is in the 64-bit one
LOCAL = struct.Struct("<IHHHHHIIIHH")
CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
REASON = "The file is cut short or damaged (or is no checkpoint); save or download it again."


def flags(size: int) -> int:
    """Say of a record what PyTorch's writer says: its name is UTF-8, and its sizes follow its data, if there is any."""
    return 0x0808 if size else 0x0800


class ArchiveWriter:
    """Write records to a stream, front to back without seeking, in the layout that PyTorch's own writer gives.

    ``prefix`` is the directory inside the archive that all records lie in.
    """

    def __init__(self, file: Any, prefix: str) -> None:
        self.file = file
        self.prefix = prefix
        self.position = 0
        self.entries: list[tuple[bytes, int, int, int]] = []  # name, checksum, size, where its header starts

    def write(self, name: str, data: Any) -> None:
        """Append a record of contiguous bytes."""
        view = memoryview(data).cast("B")
        encoded = f"{self.prefix}/{name}".encode()
        header, size = self.position, view.nbytes
        wide = struct.pack("<HHQQ", 1, 16, size, size) if size >= LIMIT or header >= LIMIT else b""
        filled = header + LOCAL.size + len(encoded) + len(wide) + 4
        padding = -filled % ALIGNMENT
        extra = wide + struct.pack("<HH", 0x4246, padding) + b"Z" * padding
        sizes = WIDE if wide else 0
        self._put(LOCAL.pack(0x04034B50, 0, flags(size), 0, 0, 0, 0, sizes, sizes, len(encoded), len(extra)))
        self._put(encoded + extra)
        checksum = 0
        for start in range(0, size, CHUNK):
            piece = view[start : start + CHUNK]
            checksum = zlib.crc32(piece, checksum)
            self._put(piece)
        if size:
            self._put(struct.pack("<IIQQ" if wide else "<IIII", 0x08074B50, checksum, size, size))
        self.entries.append((encoded, checksum, size, header))

    def close(self) -> None:
        """Append the version, an identifier of the contents, and the directory."""
        self.write("version", VERSION)
        digest = "".join(f"{zlib.crc32(repr(self.entries).encode(), salt):010d}" for salt in range(4))
        self.write(".data/serialization_id", digest.encode())
        start = self.position
        for encoded, checksum, size, header in self.entries:
            wide = size >= LIMIT or header >= LIMIT
            extra = struct.pack("<HHQQQ", 1, 24, size, size, header) if wide else b""
            shown, at = (WIDE, WIDE) if wide else (size, header)
            fields = (
                0x02014B50,
                0,
                0,
                flags(size),
                0,
                0,
                0,
                checksum,
                shown,
                shown,
                len(encoded),
                len(extra),
                0,
                0,
                0,
                0,
                at,
            )
            self._put(CENTRAL.pack(*fields) + encoded + extra)
        self._end(len(self.entries), start, self.position - start)

    def _end(self, count: int, start: int, length: int) -> None:
        end = self.position
        self._put(struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 0x031E, 45, 0, 0, count, count, length, start))
        self._put(struct.pack("<IIQI", 0x07064B50, 0, end, 1))
        few = min(count, 0xFFFF)
        shown = WIDE if start >= LIMIT else start
        self._put(struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, few, few, min(length, WIDE), shown, 0))

    def _put(self, data: Any) -> None:
        self.file.write(data)
        self.position += len(data)


class ArchiveReader:
    """Read records of a checkpoint, trusting nothing that the file says about itself.

    No record is taken to be larger than the file that holds it, and none is decompressed, so that the memory used is
    bounded by the size of the file. Names are only compared, never used as paths.

    Raises RuntimeError if the container is damaged.
    """

    def __init__(self, file: Any) -> None:
        self.file = file
        file.seek(0, io.SEEK_END)
        self.length = file.tell()
        try:
            with zipfile.ZipFile(file) as container:
                entries = container.infolist()
        except MemoryError:
            raise
        except Exception as error:  # zipfile lets many kinds through on hostile input
            raise RuntimeError(f"failed reading zip archive: {error}. {REASON}") from None
        self.records = {entry.filename: entry for entry in entries}
        self._check(entries)
        self.prefix = entries[0].filename.partition("/")[0]
        self.taken = 0
        if self.has("constants.pkl"):
            raise RuntimeError(
                "The file is a TorchScript archive (a compiled program), not a checkpoint. Load it with PyTorch's "
                "torch.jit.load there, and save its state_dict() with torch.save."
            )

    def _check(self, entries: list[zipfile.ZipInfo]) -> None:
        if not entries:
            raise RuntimeError(f"failed reading zip archive: it holds no records. {REASON}")
        if len(self.records) != len(entries):
            raise RuntimeError(f"failed reading zip archive: two records have the same name. {REASON}")
        ordered = sorted(entries, key=lambda entry: entry.header_offset)
        ends = [entry.header_offset for entry in ordered[1:]] + [self.length]
        for entry, end in zip(ordered, ends, strict=True):
            if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
                raise RuntimeError(
                    f"failed reading zip archive: record {entry.filename!r} is compressed or encrypted. PyTorch stores "
                    "records as they are; unpack the archive and zip it with compression off (zip -0)."
                )
            if entry.header_offset < 0 or entry.header_offset + LOCAL.size + entry.file_size > end:
                raise RuntimeError(f"failed reading zip archive: record {entry.filename!r} overlaps the next. {REASON}")

    def has(self, name: str) -> bool:
        """Tell whether there is such a record."""
        return f"{self.prefix}/{name}" in self.records

    def size(self, name: str) -> int:
        """Give a record's number of bytes; RuntimeError if there is no such record."""
        return self._entry(name).file_size

    def offset(self, name: str) -> int:
        """Find where a record's contents start in the file."""
        entry = self._entry(name)
        self.file.seek(entry.header_offset)
        header = self.file.read(LOCAL.size)
        if len(header) == LOCAL.size:
            signature, *_, name_length, extra_length = LOCAL.unpack(header)
            start = entry.header_offset + LOCAL.size + name_length + extra_length
            if signature == 0x04034B50 and start + entry.file_size <= self.length:
                return int(start)
        raise RuntimeError(f"failed reading record {name!r}: its header is damaged. {REASON}")

    def read(self, name: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Give a copy of a record's bytes; RuntimeError if they do not match the checksum."""
        entry, start = self._entry(name), self.offset(name)
        self.taken += entry.file_size
        if self.taken > self.length:
            raise RuntimeError(f"failed reading record {name!r}: records overlap. {REASON}")
        out = np.empty(entry.file_size, np.uint8)
        self.file.seek(start)
        fill(self.file, out)
        # 0 is what PyTorch writes when its checksums are switched off (set_crc32_options)
        if entry.CRC and zlib.crc32(out.data) != entry.CRC:
            raise RuntimeError(f"failed reading record {name!r}: its bytes do not match their checksum. {REASON}")
        return out

    def _entry(self, name: str) -> zipfile.ZipInfo:
        entry = self.records.get(f"{self.prefix}/{name}")
        if entry is None:
            raise RuntimeError(f"failed finding record {name!r} in the archive. {REASON}")
        return entry


def fill(file: Any, out: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    """Read exactly as many bytes as ``out`` holds; RuntimeError if the file ends before."""
    view, done = out.data, 0
    readinto = getattr(file, "readinto", None)
    while done < len(view):
        if readinto is not None:
            count = readinto(view[done : done + CHUNK])
        else:
            piece = file.read(min(CHUNK, len(view) - done))
            count = len(piece)
            view[done : done + count] = piece
        if not count:
            raise RuntimeError(f"failed reading the file: it ended {len(view) - done} bytes early. {REASON}")
        done += count


def is_archive(file: Any) -> bool:
    """Tell whether a zip file starts at the stream's position, which is kept."""
    start = file.tell()
    head = file.read(4)
    file.seek(start)
    return bool(head == b"PK\x03\x04")


def archive_name(path: str) -> str:
    """Give the directory that PyTorch uses inside an archive written to ``path``."""
    stem = os.path.basename(path).rpartition(".")[0] or os.path.basename(path)
    return stem if stem.isascii() and stem else "archive"
