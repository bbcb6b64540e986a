"""torchvision.io: picture files as tensors and back, by Pillow."""

from __future__ import annotations

import enum
import io as _io
import os
from typing import Any

import numpy as np

import retrograd as torch

from ._pillow import pillow


class ImageReadMode(enum.Enum):
    """What a file's colours become."""

    UNCHANGED = 0
    GRAY = 1
    GRAY_ALPHA = 2
    RGB = 3
    RGB_ALPHA = 4
    RGBA = RGB_ALPHA


_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def read_file(path: Any) -> Any:
    """Give a file's bytes as a uint8 tensor."""
    with open(os.path.expanduser(os.fspath(path)), "rb") as file:
        return torch.from_numpy(np.frombuffer(file.read(), np.uint8).copy())


def write_file(filename: Any, data: Any) -> None:
    """Write a uint8 tensor's bytes to a file."""
    with open(os.path.expanduser(os.fspath(filename)), "wb") as file:
        file.write(data.numpy().tobytes())


def decode_image(input: Any, mode: Any = ImageReadMode.UNCHANGED, apply_exif_orientation: bool = False) -> Any:
    """Decode a picture.

    Parameters
    ----------
    input : Tensor, str or path
        The file's bytes, uint8 (N,), or the file's path.
    mode : ImageReadMode or str
        What its colours become.
    apply_exif_orientation : bool
        Whether a picture that says how it was held is turned upright.

    Returns
    -------
    Tensor
        uint8, (C, H, W).

    Raises
    ------
    RuntimeError
        Where the bytes are no picture that Pillow knows.
    """
    data = input if isinstance(input, torch.Tensor) else read_file(input)
    wanted = ImageReadMode[mode.upper()] if isinstance(mode, str) else mode
    image_module = pillow()
    try:
        picture = image_module.open(_io.BytesIO(data.numpy().tobytes()))
        picture.load()
    except (OSError, SyntaxError) as error:
        raise RuntimeError(f"decode_image: the bytes are no picture that Pillow can read ({error})") from error
    if apply_exif_orientation:
        picture = pillow("ImageOps").exif_transpose(picture)
    if wanted is not ImageReadMode.UNCHANGED:
        picture = picture.convert(_MODES[wanted.value])
    elif picture.mode in ("P", "1"):
        picture = picture.convert("RGB" if picture.mode == "P" else "L")
    array = np.array(picture)
    array = array[:, :, None] if array.ndim == 2 else array
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))


def read_image(path: Any, mode: Any = ImageReadMode.UNCHANGED, apply_exif_orientation: bool = False) -> Any:
    """Read a picture file as a tensor.

    Parameters
    ----------
    path : str or path
        The file.
    mode : ImageReadMode or str
        What its colours become.
    apply_exif_orientation : bool
        Whether a picture that says how it was held is turned upright.

    Returns
    -------
    Tensor
        uint8, (C, H, W).
    """
    return decode_image(read_file(path), mode, apply_exif_orientation)


def decode_png(input: Any, mode: Any = ImageReadMode.UNCHANGED, apply_exif_orientation: bool = False) -> Any:
    """Decode a PNG's bytes; see `decode_image`."""
    return decode_image(input, mode, apply_exif_orientation)


def decode_jpeg(
    input: Any, mode: Any = ImageReadMode.UNCHANGED, device: Any = "cpu", apply_exif_orientation: bool = False
) -> Any:
    """Decode a JPEG's bytes, or those of each in a list; see `decode_image`."""
    if isinstance(input, list):
        return [decode_image(one, mode, apply_exif_orientation) for one in input]
    return decode_image(input, mode, apply_exif_orientation)


def _encode(input: Any, **options: Any) -> Any:
    if input.dtype != torch.uint8 or input.ndim != 3 or input.shape[0] not in (1, 3):
        raise RuntimeError(
            f"a picture to encode is uint8 with 1 or 3 channels, (C, H, W); got {input.dtype} {tuple(input.shape)}"
        )
    from .transforms.functional import to_pil_image

    target = _io.BytesIO()
    to_pil_image(input).save(target, **options)
    return torch.from_numpy(np.frombuffer(target.getvalue(), np.uint8).copy())


def encode_png(input: Any, compression_level: int = 6) -> Any:
    """Give the bytes of a PNG as a uint8 tensor.

    Parameters
    ----------
    input : Tensor
        uint8, (1 or 3, H, W).
    compression_level : int
        From 0 to 9.

    Returns
    -------
    Tensor
        uint8, (N,).
    """
    return _encode(input, format="PNG", compress_level=compression_level)


def encode_jpeg(input: Any, quality: int = 75) -> Any:
    """Give the bytes of a JPEG as a uint8 tensor.

    Parameters
    ----------
    input : Tensor
        uint8, (1 or 3, H, W).
    quality : int
        From 1 to 100.

    Returns
    -------
    Tensor
        uint8, (N,).
    """
    return _encode(input, format="JPEG", quality=quality)


def write_png(input: Any, filename: Any, compression_level: int = 6) -> None:
    """Write a uint8 tensor (C, H, W) as a PNG file."""
    write_file(filename, encode_png(input, compression_level))


def write_jpeg(input: Any, filename: Any, quality: int = 75) -> None:
    """Write a uint8 tensor (C, H, W) as a JPEG file."""
    write_file(filename, encode_jpeg(input, quality))


def __getattr__(name: str) -> Any:
    from retrograd.utils._names import missing

    raise missing(__name__, name, __all__)


__all__ = [
    "ImageReadMode",
    "decode_image",
    "decode_jpeg",
    "decode_png",
    "encode_jpeg",
    "encode_png",
    "read_file",
    "read_image",
    "write_file",
    "write_jpeg",
    "write_png",
]
