"""Event files: records framed with masked CRC-32C checksums, and the few protocol buffer encodings they hold."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np


def _table() -> list[int]:
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ 0x82F63B78 if n & 1 else n >> 1
        table.append(n)
    return table


_CRC = _table()


def crc32c(data: bytes) -> int:
    """Give the CRC-32C (Castagnoli) checksum of bytes.

    Examples
    --------
    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc = 0xFFFFFFFF
    table = _CRC
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """Give a checksum as it is stored: turned by 15 bits, plus a constant."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record(data: bytes) -> bytes:
    """Give a record: its length, the length's checksum, the bytes, their checksum."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked(crc32c(length))) + data + struct.pack("<I", masked(crc32c(data)))


# -- protocol buffers --------------------------------------------------------------------------------------------------
def varint(n: int) -> bytes:
    """Give a whole number, seven bits to a byte, the lowest first.

    Examples
    --------
    >>> varint(300)
    b'\\xac\\x02'
    """
    n &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def whole(field: int, n: int) -> bytes:
    """Give a field that holds a whole number."""
    return varint(field << 3) + varint(int(n))


def double(field: int, x: float) -> bytes:
    """Give a field that holds a float64."""
    return varint(field << 3 | 1) + struct.pack("<d", x)


def single(field: int, x: float) -> bytes:
    """Give a field that holds a float32."""
    return varint(field << 3 | 5) + np.float32(x).tobytes()


def blob(field: int, data: bytes | str) -> bytes:
    """Give a field that holds bytes, text or a message."""
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def doubles(field: int, xs: Any) -> bytes:
    """Give a packed field of float64 numbers."""
    return blob(field, np.ascontiguousarray(xs, "<f8").tobytes())


# -- messages (tensorflow/core/framework/summary.proto, util/event.proto) ------------------------------------------------
def event(
    wall_time: float, step: int | None = None, *, summary: bytes | None = None, version: str | None = None
) -> bytes:
    """Give an event: the file's version, or a summary at a step."""
    out = double(1, wall_time)
    if step:
        out += whole(2, step)
    if version is not None:
        out += blob(3, version)
    if summary is not None:
        out += blob(5, summary)
    return out


def value(tag: str, body: bytes, plugin: str = "", content: bytes = b"") -> bytes:
    """Give a summary of one value, with the plug-in that shows it."""
    metadata = blob(9, blob(1, blob(1, plugin) + (blob(2, content) if content else b""))) if plugin else b""
    return blob(1, blob(1, tag) + metadata + body)


def scalar(tag: str, x: float) -> bytes:
    """Give the summary of a number."""
    return value(tag, single(2, x))


def text(tag: str, words: str) -> bytes:
    """Give the summary of a text: a tensor of one string."""
    shape = blob(2, blob(2, whole(1, 1)))
    return value(tag + "/text_summary", blob(8, whole(1, 7) + shape + blob(8, words)), "text")


def image(tag: str, shape: tuple[int, ...], png: bytes) -> bytes:
    """Give the summary of an image of (height, width, channels)."""
    height, width, colours = shape
    return value(tag, blob(4, whole(1, height) + whole(2, width) + whole(3, colours) + blob(4, png)))


def histogram(tag: str, values: Any, limits: Any, counts: Any) -> bytes:
    """Give the summary of numbers by their least, greatest, count, sum, sum of squares, and counts between limits."""
    v = np.asarray(values, np.float64)
    body = double(1, v.min()) + double(2, v.max()) + double(3, v.size) + double(4, v.sum()) + double(5, (v * v).sum())
    return value(tag, blob(5, body + doubles(6, limits) + doubles(7, counts)))


def curve(tag: str, rows: Any) -> bytes:
    """Give the summary of a precision and recall curve: six rows of numbers by threshold."""
    a = np.asarray(rows, "<f4")
    shape = blob(2, b"".join(blob(2, whole(1, n)) for n in a.shape))
    return value(tag, blob(8, whole(1, 1) + shape + blob(5, a.tobytes())), "pr_curves", whole(2, a.shape[1]))


def hparams(settings: dict[str, Any], metrics: list[str]) -> list[bytes]:
    """Give the summaries that describe an experiment, its start with settings, and its end."""
    infos = b"".join(blob(4, blob(1, name) + whole(4, _kind(v))) for name, v in settings.items())
    wanted = b"".join(blob(5, blob(1, blob(2, name))) for name in metrics)
    start = b"".join(blob(1, blob(1, name) + blob(2, _struct_value(v))) for name, v in settings.items())
    parts = [
        ("experiment", blob(2, infos + wanted)),
        ("session_start_info", blob(3, start)),
        ("session_end_info", blob(4, whole(1, 1))),
    ]
    return [value(f"_hparams_/{name}", b"", "hparams", content) for name, content in parts]


def _kind(v: Any) -> int:
    return 2 if isinstance(v, bool) else 3 if isinstance(v, (int, float)) else 1


def _struct_value(v: Any) -> bytes:
    if isinstance(v, bool):
        return whole(4, v)
    return double(2, float(v)) if isinstance(v, (int, float)) else blob(3, str(v))
