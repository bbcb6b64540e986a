"""Handwritten and other small grey pictures in the idx format: MNIST and the sets made in its likeness."""

from __future__ import annotations

import bz2
import glob
import gzip
import lzma
import os
import shutil
import string
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

import retrograd as torch

from .._pillow import picture
from .utils import check_integrity, download_and_extract_archive, download_url, extract_archive, verify_str_arg
from .vision import VisionDataset

_IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def read_idx(path: str) -> np.ndarray[Any, Any]:
    """Read an array in the idx format: two zero bytes, a type, the number of dimensions, the sizes, the numbers.

    Parameters
    ----------
    path : str
        The file, as it is or compressed (by its suffix).

    Returns
    -------
    ndarray
        The numbers in the machine's byte order.

    Raises
    ------
    ValueError
        Where the header or the length is not right.
    """
    opener = _OPENERS.get(os.path.splitext(path)[1], open)
    with opener(path, "rb") as file:
        data = file.read()
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _IDX_TYPES:
        raise ValueError(f"{path} is not in the idx format: it begins with {data[:4]!r}")
    kind, dims = np.dtype(_IDX_TYPES[data[2]]), data[3]
    sizes = np.frombuffer(data, ">i4", dims, 4).tolist()
    count = int(np.prod(sizes, dtype=np.int64))
    if len(data) != 4 + 4 * dims + count * kind.itemsize:
        raise ValueError(
            f"{path} has {len(data)} bytes, which is not an idx array of {tuple(sizes)} {kind.name} numbers"
        )
    return np.frombuffer(data, kind, count, 4 + 4 * dims).reshape(sizes).astype(kind.newbyteorder("="))


def read_image_file(path: str) -> Any:
    """Read an idx file of pictures as a uint8 tensor (N, H, W)."""
    x = read_idx(path)
    if x.dtype != np.uint8 or x.ndim != 3:
        raise ValueError(f"{path} does not hold pictures: expected (N, H, W) uint8, got {x.shape} {x.dtype}")
    return torch.from_numpy(x)


def read_label_file(path: str) -> Any:
    """Read an idx file of labels as an int64 tensor (N,)."""
    x = read_idx(path)
    if x.dtype != np.uint8 or x.ndim != 1:
        raise ValueError(f"{path} does not hold labels: expected (N,) uint8, got {x.shape} {x.dtype}")
    return torch.from_numpy(x.astype(np.int64))


class MNIST(VisionDataset):
    """70,000 handwritten digits, 28 x 28, in ten classes.

    The files are looked for in ``root/MNIST/raw``, as they are or gzipped. A sample is a picture of Pillow's in mode "L"
    (the (28, 28) uint8 array where Pillow is not installed, which ``ToTensor`` takes as well) and an int.

    Parameters
    ----------
    root : str or path
        The folder above ``MNIST``.
    train : bool
        The 60,000 for training or the 10,000 for testing.
    transform : callable, optional
        Takes the picture.
    target_transform : callable, optional
        Takes the label.
    download : bool
        Whether files that are missing are fetched.

    Attributes
    ----------
    data : Tensor
        uint8, (N, 28, 28).
    targets : Tensor
        int64, (N,).
    classes : list of str
        The classes' names.

    Raises
    ------
    RuntimeError
        Where files are missing or not right, with the path where they are expected.
    """

    mirrors: ClassVar[list[str]] = [
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ]
    resources: Any = [
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ]
    training_file = "training.pt"
    test_file = "test.pt"
    classes: Any = [
        *("0 - zero", "1 - one", "2 - two", "3 - three", "4 - four"),
        *("5 - five", "6 - six", "7 - seven", "8 - eight", "9 - nine"),
    ]

    def __init__(
        self,
        root: Any,
        train: bool = True,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        if not self._check_exists():
            raise RuntimeError(
                "Dataset not found. You can use download=True to download it. The files are expected in "
                f"{os.path.abspath(self.raw_folder)}: {', '.join(self._names())} (as they are or with .gz)"
            )
        self.data, self.targets = self._load_data()

    @property
    def raw_folder(self) -> str:
        """The folder of the files as they come."""
        return os.path.join(self.root, type(self).__name__, "raw")

    @property
    def processed_folder(self) -> str:
        """The folder where older versions of torchvision kept tensors."""
        return os.path.join(self.root, type(self).__name__, "processed")

    @property
    def class_to_idx(self) -> dict[str, int]:
        """Each class's number by its name."""
        return {name: i for i, name in enumerate(self.classes)}

    @property
    def train_labels(self) -> Any:
        """The targets, by an old name."""
        return self._renamed("train_labels", "targets")

    @property
    def test_labels(self) -> Any:
        """The targets, by an old name."""
        return self._renamed("test_labels", "targets")

    @property
    def train_data(self) -> Any:
        """The data, by an old name."""
        return self._renamed("train_data", "data")

    @property
    def test_data(self) -> Any:
        """The data, by an old name."""
        return self._renamed("test_data", "data")

    def _renamed(self, old: str, new: str) -> Any:
        warnings.warn(f"{old} has been renamed {new}")
        return getattr(self, new)

    def _names(self) -> list[str]:
        """Give the names of all the files, without .gz."""
        return [os.path.splitext(os.path.basename(name))[0] for name, _ in self.resources]

    def _find(self, name: str) -> str | None:
        """Give the path of a file as it is or gzipped; None where it is neither."""
        path = os.path.join(self.raw_folder, name)
        md5s = {os.path.splitext(os.path.basename(one))[0]: md5 for one, md5 in self.resources}
        if check_integrity(path):
            return path
        return path + ".gz" if check_integrity(path + ".gz", md5s.get(name)) else None

    def _check_exists(self) -> bool:
        return all(self._find(name) is not None for name in self._names())

    def _load_data(self) -> tuple[Any, Any]:
        stem = "train" if self.train else "t10k"
        images, labels = (self._find(f"{stem}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
        assert images is not None and labels is not None
        return read_image_file(images), read_label_file(labels)

    def download(self) -> None:
        """Fetch the files that are missing, and unpack them."""
        if all(check_integrity(os.path.join(self.raw_folder, name)) for name in self._names()):
            return
        os.makedirs(self.raw_folder, exist_ok=True)
        for name, md5 in self.resources:
            download_url([mirror + name for mirror in self.mirrors], self.raw_folder, name, md5)
            extract_archive(os.path.join(self.raw_folder, name))

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        return self._transformed(picture(self.data[index].numpy()), int(self.targets[index]))

    def extra_repr(self) -> str:
        """Give the split."""
        return f"Split: {'Train' if self.train is True else 'Test'}"


class FashionMNIST(MNIST):
    """70,000 pictures of clothes, 28 x 28, in ten classes, with MNIST's arguments and layout."""

    mirrors = ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ]
    classes = [
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ]


class KMNIST(MNIST):
    """70,000 cursive Japanese characters, 28 x 28, in ten classes, with MNIST's arguments and layout."""

    mirrors = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
        ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
        ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
        ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
    ]
    classes = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]


class EMNIST(MNIST):
    """Handwritten letters and digits, 28 x 28, as they come: transposed.

    Parameters
    ----------
    root : str or path
        The folder above ``EMNIST``.
    split : str
        "byclass", "bymerge", "balanced", "letters", "digits" or "mnist".
    **kwargs
        MNIST's further arguments.
    """

    url = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
    md5 = "58c8d27c78d21e728a6bc7b3cc06412e"
    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    _merged_classes = set("cijklmopsuvwxyz")  # lower case letters that look like their capitals
    _all_classes = set(string.digits + string.ascii_letters)
    classes_split_dict: ClassVar[dict[str, list[str]]] = {
        "byclass": sorted(_all_classes),
        "bymerge": sorted(_all_classes - _merged_classes),
        "balanced": sorted(_all_classes - _merged_classes),
        "letters": ["N/A", *string.ascii_lowercase],
        "digits": list(string.digits),
        "mnist": list(string.digits),
    }

    def __init__(self, root: Any, split: str, **kwargs: Any) -> None:
        self.split = verify_str_arg(split, "split", self.splits)
        self.training_file, self.test_file = f"training_{split}.pt", f"test_{split}.pt"
        super().__init__(root, **kwargs)
        self.classes = self.classes_split_dict[self.split]

    def _file(self, kind: str) -> str:
        return f"emnist-{self.split}-{'train' if self.train else 'test'}-{kind}-ubyte"

    def _names(self) -> list[str]:
        return [self._file("images-idx3"), self._file("labels-idx1")]

    def _find(self, name: str) -> str | None:
        path = os.path.join(self.raw_folder, name)
        return path if os.path.isfile(path) else path + ".gz" if os.path.isfile(path + ".gz") else None

    def _load_data(self) -> tuple[Any, Any]:
        images, labels = (self._find(name) for name in self._names())
        assert images is not None and labels is not None
        return read_image_file(images), read_label_file(labels)

    def download(self) -> None:
        """Fetch the archive where files are missing, and unpack it."""
        if self._check_exists():
            return
        os.makedirs(self.raw_folder, exist_ok=True)
        download_and_extract_archive(self.url, self.raw_folder, md5=self.md5)
        folder = os.path.join(self.raw_folder, "gzip")
        for packed in glob.glob(os.path.join(folder, "*.gz")):
            extract_archive(packed, os.path.join(self.raw_folder, os.path.splitext(os.path.basename(packed))[0]))
        shutil.rmtree(folder, ignore_errors=True)


class QMNIST(MNIST):
    """MNIST with its lost 50,000 test digits and where each digit came from.

    Parameters
    ----------
    root : str or path
        The folder above ``QMNIST``.
    what : str, optional
        "train", "test", "test10k", "test50k" or "nist"; by default what ``train`` says.
    compat : bool
        Whether a target is the class alone, as in MNIST, or the row of eight numbers.
    train : bool
        Which of "train" and "test" is the default of ``what``.
    **kwargs
        MNIST's further arguments.
    """

    subsets: ClassVar[dict[str, str]] = {
        "train": "train",
        "test": "test",
        "test10k": "test",
        "test50k": "test",
        "nist": "nist",
    }
    _address = "https://raw.githubusercontent.com/facebookresearch/qmnist/master/"
    resources = {
        "train": [
            (_address + "qmnist-train-images-idx3-ubyte.gz", "ed72d4157d28c017586c42bc6afe6370"),
            (_address + "qmnist-train-labels-idx2-int.gz", "0058f8dd561b90ffdd0f734c6a30e5e4"),
        ],
        "test": [
            (_address + "qmnist-test-images-idx3-ubyte.gz", "1394631089c404de565df7b7aeaf9412"),
            (_address + "qmnist-test-labels-idx2-int.gz", "5b5b05890a5e13444e108efe57b788aa"),
        ],
        "nist": [
            (_address + "xnist-images-idx3-ubyte.xz", "7f124b3b8ab81486c9d8c2749c17f834"),
            (_address + "xnist-labels-idx2-int.xz", "5ed0e788978e45d4a8bd4b7caec3d79d"),
        ],
    }

    def __init__(
        self, root: Any, what: str | None = None, compat: bool = True, train: bool = True, **kwargs: Any
    ) -> None:
        self.what = verify_str_arg(what or ("train" if train else "test"), "what", tuple(self.subsets))
        self.compat = compat
        self.data_file = self.training_file = self.test_file = self.what + ".pt"
        super().__init__(root, train, **kwargs)

    def _split(self) -> list[tuple[str, str]]:
        split: list[tuple[str, str]] = self.resources[self.subsets[self.what]]
        return split

    def _names(self) -> list[str]:
        return [os.path.splitext(os.path.basename(url))[0] for url, _ in self._split()]

    def _find(self, name: str) -> str | None:
        path = os.path.join(self.raw_folder, name)
        found = [one for one in (path, path + ".gz", path + ".xz") if os.path.isfile(one)]
        return found[0] if found else None

    def _load_data(self) -> tuple[Any, Any]:
        images, labels = (self._find(name) for name in self._names())
        assert images is not None and labels is not None
        data, targets = read_image_file(images), read_idx(labels)
        if targets.ndim != 2:
            raise ValueError(f"{labels} holds an array of {targets.ndim} dimensions, not 2")
        part = {"test10k": slice(0, 10000), "test50k": slice(10000, None)}.get(self.what, slice(None))
        return data[part].clone(), torch.from_numpy(targets[part].astype(np.int64))

    def download(self) -> None:
        """Fetch the files that are missing, and unpack them."""
        if self._check_exists():
            return
        os.makedirs(self.raw_folder, exist_ok=True)
        for url, md5 in self._split():
            download_and_extract_archive(url, self.raw_folder, md5=md5)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        target = int(self.targets[index][0]) if self.compat else self.targets[index]
        return self._transformed(picture(self.data[index].numpy()), target)

    def extra_repr(self) -> str:
        """Give the split."""
        return f"Split: {self.what}"


__all__ = ["EMNIST", "KMNIST", "MNIST", "QMNIST", "FashionMNIST", "read_idx", "read_image_file", "read_label_file"]
