"""Data sets of pictures from tiny files in the original formats: contents, checks, downloads and what is said of errors."""

import gzip
import pickle
import shutil
import struct

import numpy as np
import pytest

import retrograd as torch
from retrograd.torchvision import datasets, transforms
from retrograd.torchvision.datasets import utils
from retrograd.torchvision.datasets.cifar import ArrayUnpickler
from retrograd.torchvision.datasets.mnist import read_idx
from vision.files import idx, md5, mnist_sums, pack, patch, write_cifar, write_mnist

MNISTS = [datasets.MNIST, datasets.FashionMNIST, datasets.KMNIST]


@pytest.fixture
def no_network(monkeypatch):
    """Any use of the network fails the test."""

    def refused(*args, **kwargs):
        raise AssertionError("the network was touched")

    monkeypatch.setattr("urllib.request.urlopen", refused)


@pytest.fixture
def offline(monkeypatch):
    """The network is not there."""

    def unreachable(*args, **kwargs):
        raise OSError("Network is unreachable")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)


@pytest.mark.parametrize("cls", MNISTS)
@pytest.mark.parametrize("packed", [False, True])
def test_mnist_from_files(tmp_path, monkeypatch, no_network, cls, packed):
    content = write_mnist(tmp_path, cls.__name__, packed)
    if packed:
        patch(monkeypatch, cls, {"resources": mnist_sums(tmp_path, cls)})
    for train, stem in ((True, "train"), (False, "t10k")):
        images, labels = content[stem]
        found = cls(tmp_path, train=train, download=train)
        assert len(found) == len(images)
        assert found.data.dtype == torch.uint8 and found.targets.dtype == torch.int64
        np.testing.assert_array_equal(found.data.numpy(), images)
        np.testing.assert_array_equal(found.targets.numpy(), labels)
        picture, target = found[1]
        np.testing.assert_array_equal(np.asarray(picture), images[1])
        assert isinstance(target, int) and target == labels[1]
        assert len(found.classes) == 10 and found.class_to_idx[found.classes[3]] == 3
        split = "Train" if train else "Test"
        shown = f"Dataset {cls.__name__}\n    Number of datapoints: {len(images)}\n    Root location: {tmp_path}\n"
        assert repr(found) == shown + f"    Split: {split}"


def test_transforms_are_applied_and_shown(tmp_path):
    write_mnist(tmp_path)
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    found = datasets.MNIST(str(tmp_path), transform=transform, target_transform=lambda y: y + 100)
    x, y = found[0]
    np.testing.assert_allclose(x.numpy()[0], (found.data[0].numpy() / 255.0 - 0.5) / 0.5, atol=1e-6)
    assert y == found.targets[0] + 100
    lines = repr(found).splitlines()
    assert lines[4:8] == [
        "    StandardTransform",
        "Transform: Compose(",
        "               ToTensor()",
        "               Normalize(mean=(0.5,), std=(0.5,))",
    ]
    loader = torch.utils.data.DataLoader(found, batch_size=4)
    assert [tuple(x.shape) for x, _ in loader] == [(4, 1, 28, 28), (3, 1, 28, 28)]


def test_without_pillow_a_sample_is_an_array(tmp_path, monkeypatch):
    write_mnist(tmp_path)
    import sys

    monkeypatch.setitem(sys.modules, "PIL", None)
    for name in [name for name in sys.modules if name.startswith("PIL.")]:
        monkeypatch.setitem(sys.modules, name, None)
    found = datasets.MNIST(tmp_path, transform=transforms.ToTensor())
    assert found[0][0].shape == (1, 28, 28)
    with pytest.raises(ImportError, match="pip install"):
        transforms.ToPILImage()(torch.zeros(3, 4, 4))


def test_missing_files_are_named(tmp_path, offline):
    with pytest.raises(RuntimeError, match="Dataset not found. You can use download=True") as error:
        datasets.MNIST(tmp_path)
    assert str(tmp_path / "MNIST" / "raw") in str(error.value)
    with pytest.raises(RuntimeError, match="could not be fetched") as error:
        datasets.MNIST(tmp_path, download=True)
    assert str(tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte.gz") in str(error.value)
    assert "https://ossci-datasets" in str(error.value) and "unreachable" in str(error.value)
    assert not list((tmp_path / "MNIST" / "raw").iterdir()), "something half written is left"


def test_mnist_is_downloaded_checked_and_unpacked(tmp_path, monkeypatch):
    there = tmp_path / "there"
    content = write_mnist(there, packed=True)
    patch(monkeypatch, datasets.MNIST, {"resources": mnist_sums(there, datasets.MNIST)})
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["file:///nowhere/", (there / "MNIST" / "raw").as_uri() + "/"])
    found = datasets.MNIST(tmp_path / "here", download=True)
    np.testing.assert_array_equal(found.data.numpy(), content["train"][0])
    names = {path.name for path in (tmp_path / "here" / "MNIST" / "raw").iterdir()}
    assert names == {name + end for name in found._names() for end in ("", ".gz")}
    shutil.rmtree(there)
    assert len(datasets.MNIST(tmp_path / "here", download=True)) == 7  # nothing is fetched again


def test_a_download_with_another_sum_is_thrown_away(tmp_path, monkeypatch):
    there = tmp_path / "there"
    write_mnist(there, packed=True)
    monkeypatch.setattr(datasets.MNIST, "mirrors", [(there / "MNIST" / "raw").as_uri() + "/"])
    with pytest.raises(RuntimeError, match="MD5"):
        datasets.MNIST(tmp_path / "here", download=True)
    assert not list((tmp_path / "here" / "MNIST" / "raw").iterdir())


def test_a_damaged_packed_file_is_not_read(tmp_path, monkeypatch):
    write_mnist(tmp_path, packed=True)
    patch(monkeypatch, datasets.MNIST, {"resources": mnist_sums(tmp_path, datasets.MNIST)})
    path = tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(RuntimeError, match="not found"):
        datasets.MNIST(tmp_path)


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "i4", "f4", "f8"])
def test_idx(tmp_path, kind):
    array = np.arange(24).reshape(2, 3, 4).astype(kind)
    (tmp_path / "file").write_bytes(idx(array))
    found = read_idx(str(tmp_path / "file"))
    assert found.dtype == array.dtype and found.dtype.isnative
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("data", [b"", b"no", b"\0\0\x07\x01", b"\0\0\x08\x01" + struct.pack(">i", 9) + b"short"])
def test_damaged_idx(tmp_path, data):
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(ValueError, match="idx"):
        read_idx(str(tmp_path / "file"))


@pytest.mark.parametrize("split", ["letters", "balanced", "mnist"])
def test_emnist(tmp_path, split):
    folder = tmp_path / "EMNIST" / "raw"
    folder.mkdir(parents=True)
    images, labels = np.arange(2 * 784, dtype=np.uint8).reshape(2, 28, 28), np.array([1, 2], np.uint8)
    (folder / f"emnist-{split}-train-images-idx3-ubyte").write_bytes(idx(images))
    (folder / f"emnist-{split}-train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    found = datasets.EMNIST(tmp_path, split)
    np.testing.assert_array_equal(found.data.numpy(), images)
    assert len(found.classes) == {"letters": 27, "balanced": 47, "mnist": 10}[split]
    with pytest.raises(RuntimeError, match="not found"):
        datasets.EMNIST(tmp_path, split, train=False)
    with pytest.raises(ValueError, match="Unknown value 'all' for argument split"):
        datasets.EMNIST(tmp_path, "all")


def test_qmnist(tmp_path):
    folder = tmp_path / "QMNIST" / "raw"
    folder.mkdir(parents=True)
    (folder / "qmnist-test-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(np.ones((3, 28, 28), np.uint8))))
    rows = np.arange(24, dtype=np.int32).reshape(3, 8)
    (folder / "qmnist-test-labels-idx2-int").write_bytes(idx(rows))
    assert datasets.QMNIST(tmp_path, train=False)[1][1] == 8
    whole = datasets.QMNIST(tmp_path, what="test10k", compat=False)
    np.testing.assert_array_equal(whole[1][1].numpy(), rows[1])
    assert "Split: test10k" in repr(whole)


@pytest.mark.parametrize("cls", [datasets.CIFAR10, datasets.CIFAR100])
@pytest.mark.parametrize("protocol", [1, 2, 4, 5])
def test_cifar(tmp_path, monkeypatch, no_network, cls, protocol):
    content, tables = write_cifar(tmp_path, cls, protocol)
    patch(monkeypatch, cls, tables)
    for train, table in ((True, "train_list"), (False, "test_list")):
        found = cls(str(tmp_path), train=train, download=True)
        rows = np.concatenate([content[name][0] for name, _ in tables[table]])
        labels = [label for name, _ in tables[table] for label in content[name][1]]
        assert isinstance(found.data, np.ndarray) and found.data.shape == (len(rows), 32, 32, 3)
        np.testing.assert_array_equal(found.data[2, :, :, 1], rows[2].reshape(3, 32, 32)[1])
        assert found.targets == labels
        picture, target = found[2]
        np.testing.assert_array_equal(np.asarray(picture), found.data[2])
        assert target == labels[2]
        assert found.classes[7] == "class 7" and found.class_to_idx["class 7"] == 7


def test_cifar_is_downloaded(tmp_path, monkeypatch):
    there = tmp_path / "there"
    _, tables = write_cifar(there, datasets.CIFAR10)
    archive = there / datasets.CIFAR10.filename
    tables |= {"tgz_md5": pack(there / datasets.CIFAR10.base_folder, archive), "url": archive.as_uri()}
    patch(monkeypatch, datasets.CIFAR10, tables)
    assert len(datasets.CIFAR10(tmp_path / "here", download=True)) == 20


def test_cifar_with_a_damaged_file(tmp_path, monkeypatch, offline):
    _, tables = write_cifar(tmp_path, datasets.CIFAR10)
    patch(monkeypatch, datasets.CIFAR10, tables)
    path = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RuntimeError, match="not found or corrupted") as error:
        datasets.CIFAR10(tmp_path)
    assert str(path) in str(error.value) and "data_batch_2" not in str(error.value)
    with pytest.raises(RuntimeError, match="cifar-10-python.tar.gz is there|expected at .*cifar-10-python.tar.gz"):
        datasets.CIFAR10(tmp_path, download=True)


class _Evil:
    def __reduce__(self):
        return (print, ("ran",))


def test_a_pickle_of_something_else_is_not_run(tmp_path, capsys):
    (tmp_path / "file").write_bytes(pickle.dumps({"data": _Evil()}))
    with open(tmp_path / "file", "rb") as file, pytest.raises(pickle.UnpicklingError, match="builtins.print"):
        ArrayUnpickler(file).load()
    assert capsys.readouterr().out == ""


def test_svhn(tmp_path, monkeypatch):
    savemat = pytest.importorskip("scipy.io").savemat
    x = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 5), np.uint8)
    savemat(tmp_path / "test_32x32.mat", {"X": x, "y": np.array([[1], [10], [3], [10], [9]], np.uint8)})
    row = [*datasets.SVHN.split_list["test"][:2], md5(tmp_path / "test_32x32.mat")]
    monkeypatch.setitem(datasets.SVHN.split_list, "test", row)
    found = datasets.SVHN(tmp_path, split="test")
    assert found.labels.tolist() == [1, 0, 3, 0, 9] and found.data.shape == (5, 3, 32, 32)
    np.testing.assert_array_equal(np.asarray(found[3][0]), x[:, :, :, 3])
    assert "Split: test" in repr(found)
    with pytest.raises(RuntimeError, match="expected at"):
        datasets.SVHN(tmp_path)


def test_usps(tmp_path, monkeypatch):
    import bz2

    row = " ".join(f"{i + 1}:{i / 127.5 - 1:.6f}" for i in range(256))
    (tmp_path / "usps.bz2").write_bytes(bz2.compress(f"7 {row}\n10 {row}\n".encode()))
    entry = [*datasets.USPS.split_list["train"][:2], md5(tmp_path / "usps.bz2")]
    monkeypatch.setitem(datasets.USPS.split_list, "train", entry)
    found = datasets.USPS(tmp_path)
    assert found.targets == [6, 9] and found.data.shape == (2, 16, 16)
    assert abs(int(found.data[0, 0, 9]) - 9) <= 1


def test_stl10(tmp_path, monkeypatch):
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    rng = np.random.default_rng(0)
    tables = {"train_list": [], "test_list": []}
    content = {}
    for table in tables:
        for name, _ in getattr(datasets.STL10, table):
            x = (
                rng.integers(0, 256, (3, 3, 96, 96), np.uint8)
                if name.endswith("X.bin")
                else np.array([1, 2, 10], np.uint8)
            )
            content[name] = x
            (folder / name).write_bytes(x.tobytes())
            tables[table].append([name, md5(folder / name)])
    (folder / "class_names.txt").write_text("airplane\nbird\n")
    (folder / "fold_indices.txt").write_text("0 2 \n1 \n")
    patch(monkeypatch, datasets.STL10, tables)
    found = datasets.STL10(tmp_path, folds=0)
    assert found.labels.tolist() == [0, 9] and found.classes == ["airplane", "bird"]
    np.testing.assert_array_equal(np.asarray(found[1][0])[:, :, 0], content["train_X.bin"][2, 0].T)
    both = datasets.STL10(tmp_path, split="train+unlabeled")
    assert both.labels.tolist() == [0, 1, 9, -1, -1, -1]


@pytest.fixture
def pictures(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for i, name in enumerate(("dog/1.png", "cat/b.PNG", "cat/a.bmp", "cat/more/c.ppm", "cat/readme.txt")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("no picture")
        else:
            image.fromarray(np.full((3, 4), 10 * i, np.uint8)).save(path)
    return tmp_path


def test_image_folder(pictures):
    found = datasets.ImageFolder(str(pictures), transform=transforms.ToTensor())
    assert found.classes == ["cat", "dog"] and found.class_to_idx == {"cat": 0, "dog": 1}
    assert [path[len(str(pictures)) + 1 :] for path, _ in found.samples] == [
        "cat/a.bmp",
        "cat/b.PNG",
        "cat/more/c.ppm",
        "dog/1.png",
    ]
    assert found.targets == [0, 0, 0, 1] and found.imgs is found.samples
    x, y = found[0]
    assert x.shape == (3, 3, 4) and y == 0
    assert len(datasets.ImageFolder(pictures, is_valid_file=lambda path: path.endswith("txt"), allow_empty=True)) == 1
    (pictures / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="Found no valid file for the classes empty"):
        datasets.ImageFolder(pictures)
    assert len(datasets.ImageFolder(pictures, allow_empty=True)) == 4
    with pytest.raises(FileNotFoundError, match="Couldn't find any class folder"):
        datasets.ImageFolder(pictures / "dog")


def test_dataset_folder(tmp_path):
    (tmp_path / "a").mkdir()
    np.save(tmp_path / "a" / "1.npy", np.arange(3))
    found = datasets.DatasetFolder(tmp_path, loader=np.load, extensions=(".npy",))
    assert found[0][0].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="at the same time"):
        datasets.DatasetFolder(tmp_path, loader=np.load)


def test_fake_data():
    found = datasets.FakeData(3, (3, 4, 5), 7, transform=transforms.ToTensor())
    x, y = found[1]
    assert x.shape == (3, 4, 5) and 0 <= y < 7
    assert (found[1][0] == x).all()
    with pytest.raises(IndexError):
        found[3]


def test_archives(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("inside/b.txt", "hello")
    utils.extract_archive(tmp_path / "a.zip", tmp_path / "out")
    assert (tmp_path / "out" / "inside" / "b.txt").read_text() == "hello"
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(b"packed"))
    assert utils.extract_archive(str(tmp_path / "c.txt.gz"), remove_finished=True) == str(tmp_path / "c.txt")
    assert (tmp_path / "c.txt").read_bytes() == b"packed" and not (tmp_path / "c.txt.gz").exists()
    with pytest.raises(RuntimeError, match="no archive"):
        utils.extract_archive(tmp_path / "c.txt")
