"""A file is replaced at once or not at all, and nothing is left beside it."""

import os
import random
import signal
import stat
import time
import warnings

import pytest

import retrograd as torch
from retrograd.serialization.atomic import atomic_write

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and signals")


def leftovers(directory):
    return [name for name in os.listdir(directory) if name != "model.pt"]


@posix
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_killed_at_any_moment(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    size = 200_000
    torch.save({"x": torch.full((size,), 0.0)}, path)
    clock = random.Random(0)
    interrupted, last = 0, 0.0
    for _ in range(50 if suffix == ".pt" else 10):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # fork beside NumPy's threads, which are made for it
            child = os.fork()
        if not child:
            number = last
            while True:
                number += 1
                torch.save({"x": torch.full((size,), number)}, path)
        before, end = os.stat(path).st_ino, time.monotonic() + 10
        while (
            os.stat(path).st_ino == before and time.monotonic() < end
        ):  # until one is written, however busy the machine
            time.sleep(0.001)
        time.sleep(clock.uniform(0.0, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        interrupted += len(os.listdir(tmp_path)) > 1
        found = torch.load(path)["x"]
        assert found.shape == (size,) and (found == found[0]).all()
        assert found[0] >= last
        last = found[0].item()
    assert last > 0
    assert interrupted  # some kills fell into a write
    torch.save({"x": torch.ones(1)}, path)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "model.pt"
    torch.save(torch.ones(2), path)

    class Bad:
        def __reduce__(self):
            raise error

    with pytest.raises(error):
        torch.save([torch.ones(3), Bad()], path)
    assert torch.load(path).tolist() == [1, 1]
    assert leftovers(tmp_path) == []


def test_a_living_writers_file_is_left_alone(tmp_path):
    path = tmp_path / "model.pt"
    with atomic_write(path) as file:
        file.write(b"one")
        with atomic_write(path) as other:
            other.write(b"two")
        assert path.read_bytes() == b"two"
        assert len(leftovers(tmp_path)) == 1
    assert path.read_bytes() == b"one"
    assert leftovers(tmp_path) == []


@posix
def test_permissions_links_and_devices(tmp_path):
    path = tmp_path / "model.pt"
    before = os.umask(0o027)
    try:
        torch.save(1, path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o604)
    torch.save(2, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o604

    link = tmp_path / "link.pt"
    link.symlink_to(path)
    torch.save(3, link)
    assert link.is_symlink() and torch.load(path) == 3
    torch.save(4, os.devnull)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_paths(tmp_path):
    for name in ("ä ö.pt", "no_suffix", "x" * 200 + ".pt"):
        torch.save([1], tmp_path / name)
        assert torch.load(str(tmp_path / name)) == [1]
        assert torch.load(os.fsencode(tmp_path / name)) == [1]
    with pytest.raises(RuntimeError, match="Parent directory .* does not exist"):
        torch.save(1, tmp_path / "none" / "x.pt")
    with pytest.raises(FileNotFoundError):
        torch.load(tmp_path / "none.pt")
    with pytest.raises(IsADirectoryError):
        torch.save(1, tmp_path)
