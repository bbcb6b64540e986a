"""torchvision.datasets: pictures and their labels, from files."""

from __future__ import annotations

from . import utils
from .cifar import CIFAR10, CIFAR100
from .fakedata import FakeData
from .folder import DatasetFolder, ImageFolder
from .mnist import EMNIST, KMNIST, MNIST, QMNIST, FashionMNIST
from .svhn import STL10, SVHN, USPS
from .vision import VisionDataset


def __getattr__(name: str) -> object:
    from retrograd.utils._names import missing

    raise missing(__name__, name, __all__)


__all__ = [
    "CIFAR10",
    "CIFAR100",
    "EMNIST",
    "KMNIST",
    "MNIST",
    "QMNIST",
    "STL10",
    "SVHN",
    "USPS",
    "DatasetFolder",
    "FakeData",
    "FashionMNIST",
    "ImageFolder",
    "VisionDataset",
]
