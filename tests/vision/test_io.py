"""Picture files as tensors and back."""

import numpy as np
import pytest

import retrograd as torch
from retrograd.torchvision import io

pytest.importorskip("PIL")
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_there_and_back(tmp_path, channels):
    x = torch.from_numpy(RNG.integers(0, 256, (channels, 5, 6), np.uint8))
    io.write_png(x, tmp_path / "a.png")
    assert (io.read_image(tmp_path / "a.png") == x).all()
    assert (io.decode_png(io.encode_png(x, 0)) == x).all()


@pytest.mark.parametrize(
    ("mode", "channels"), [("GRAY", 1), ("GRAY_ALPHA", 2), ("RGB", 3), ("RGB_ALPHA", 4), ("RGBA", 4)]
)
def test_modes(tmp_path, mode, channels):
    io.write_png(torch.zeros(3, 4, 5, dtype=torch.uint8), tmp_path / "a.png")
    for one in (mode, io.ImageReadMode[mode]):
        assert io.read_image(str(tmp_path / "a.png"), one).shape == (channels, 4, 5)


def test_jpeg(tmp_path):
    x = torch.full((3, 16, 16), 100, dtype=torch.uint8)
    io.write_jpeg(x, tmp_path / "a.jpg", quality=95)
    found = io.decode_jpeg(io.read_file(tmp_path / "a.jpg"))
    assert (found.int() - x.int()).abs().max() <= 2


def test_errors(tmp_path):
    with pytest.raises(RuntimeError, match="no picture"):
        io.decode_image(torch.zeros(9, dtype=torch.uint8))
    with pytest.raises(RuntimeError, match="uint8"):
        io.encode_png(torch.zeros(3, 4, 4))
