"""Data sets against torchvision's, from the same files."""

import numpy as np
import pytest

import retrograd
from parity.vision_peer import peer
from retrograd.torchvision import datasets as ours
from retrograd.torchvision import transforms as our_transforms
from vision.files import patch, write_cifar, write_mnist

peer()
torch = pytest.importorskip("torch")
theirs = pytest.importorskip("torchvision.datasets")
their_transforms = pytest.importorskip("torchvision.transforms")


def pipeline(T):
    return T.Compose([T.RandomCrop(12, padding=2), T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize((0.5,), (0.5,))])


def same_samples(a, b):
    assert repr(a) == repr(b)
    assert len(a) == len(b)
    torch.manual_seed(0), retrograd.manual_seed(0)
    for i in range(len(a)):
        (x, y), (u, v) = a[i], b[i]
        assert y == v and type(y) is type(v)
        np.testing.assert_allclose(u.numpy(), x.numpy(), atol=1e-6)


def test_fake_data():
    a = theirs.FakeData(4, (3, 20, 24), 5, transform=pipeline(their_transforms), random_offset=3)
    b = ours.FakeData(4, (3, 20, 24), 5, transform=pipeline(our_transforms), random_offset=3)
    same_samples(a, b)


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
@pytest.mark.parametrize("train", [True, False])
def test_mnist(tmp_path, name, train):
    write_mnist(tmp_path, name)
    kinds = ((theirs, their_transforms), (ours, our_transforms))
    a, b = (getattr(D, name)(str(tmp_path), train=train, transform=pipeline(T), target_transform=abs) for D, T in kinds)
    same_samples(a, b)
    np.testing.assert_array_equal(a.data.numpy(), b.data.numpy())
    assert a.classes == b.classes and a.class_to_idx == b.class_to_idx
    assert getattr(theirs, name).resources == getattr(ours, name).resources


@pytest.mark.parametrize("name", ["CIFAR10", "CIFAR100"])
def test_cifar(tmp_path, monkeypatch, name):
    for attribute in ("train_list", "test_list", "meta", "url", "filename", "tgz_md5", "base_folder"):
        assert getattr(getattr(theirs, name), attribute) == getattr(getattr(ours, name), attribute)
    _, tables = write_cifar(tmp_path, getattr(ours, name))
    patch(monkeypatch, getattr(theirs, name), tables)
    patch(monkeypatch, getattr(ours, name), tables)
    kinds = ((theirs, their_transforms), (ours, our_transforms))
    a, b = (getattr(D, name)(str(tmp_path), transform=pipeline(T)) for D, T in kinds)
    same_samples(a, b)
    np.testing.assert_array_equal(a.data, b.data)
    assert a.targets == b.targets and a.classes == b.classes


def test_published_facts():
    assert theirs.EMNIST.classes_split_dict == ours.EMNIST.classes_split_dict
    assert theirs.EMNIST.md5 == ours.EMNIST.md5
    assert theirs.QMNIST.resources == ours.QMNIST.resources
    for name in ("SVHN", "USPS"):
        assert getattr(theirs, name).split_list == getattr(ours, name).split_list
    assert theirs.STL10.train_list == ours.STL10.train_list
    assert theirs.STL10.test_list == ours.STL10.test_list


def test_image_folder(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for i, name in enumerate(("b/2.png", "a/x/1.png", "a/3.jpg", "b/1.png", "a/note.txt")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("txt"):
            (tmp_path / name).write_text("")
        else:
            image.fromarray(np.full((16, 18, 3), 20 * i, np.uint8)).save(tmp_path / name)
    a = theirs.ImageFolder(str(tmp_path), transform=pipeline(their_transforms))
    b = ours.ImageFolder(str(tmp_path), transform=pipeline(our_transforms))
    assert a.samples == b.samples
    same_samples(a, b)
