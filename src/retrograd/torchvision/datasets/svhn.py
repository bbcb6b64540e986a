"""House numbers in street view pictures (MATLAB files), the postal digits of USPS (text) and STL10 (bytes)."""

from __future__ import annotations

import bz2
import os
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .._pillow import picture
from .utils import check_integrity, download_and_extract_archive, download_url, verify_str_arg
from .vision import VisionDataset


def _need(path: str, md5: str) -> str:
    if not check_integrity(path, md5):
        raise RuntimeError(
            "Dataset not found or corrupted. You can use download=True to download it. "
            f"The file is expected at {os.path.abspath(path)}, with the MD5 {md5}"
        )
    return path


class SVHN(VisionDataset):
    """Digits from house numbers, 32 x 32 in colour, in ten classes; read with SciPy.

    Parameters
    ----------
    root : str or path
        The folder of the .mat files.
    split : str
        "train", "test" or "extra".
    transform : callable, optional
        Takes the picture.
    target_transform : callable, optional
        Takes the label.
    download : bool
        Whether a missing file is fetched.

    Attributes
    ----------
    data : ndarray
        uint8, (N, 3, 32, 32).
    labels : ndarray
        int64, (N,); the digit zero, which the files call ten, is 0.
    """

    split_list: ClassVar[dict[str, list[str]]] = {
        split: [f"http://ufldl.stanford.edu/housenumbers/{split}_32x32.mat", f"{split}_32x32.mat", md5]
        for split, md5 in {
            "train": "e26dedcc434d2e4c54c9b2d4a06d8373",
            "test": "eb5a983be6a315427106f1b164d9cef3",
            "extra": "a93ce644f1a588dc4d68dda5feec44a7",
        }.items()
    }

    def __init__(
        self,
        root: Any,
        split: str = "train",
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = verify_str_arg(split, "split", tuple(self.split_list))
        self.url, self.filename, self.file_md5 = self.split_list[split]
        if download:
            self.download()
        path = _need(os.path.join(self.root, self.filename), self.file_md5)
        from scipy.io import loadmat

        found = loadmat(path)
        self.labels = found["y"].astype(np.int64).squeeze()
        np.place(self.labels, self.labels == 10, 0)
        self.data = np.transpose(found["X"], (3, 2, 0, 1))

    def download(self) -> None:
        """Fetch the file unless it is there."""
        download_url(self.url, self.root, self.filename, self.file_md5)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        image = np.ascontiguousarray(self.data[index].transpose(1, 2, 0))
        return self._transformed(picture(image), int(self.labels[index]))

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        """Give the split."""
        return f"Split: {self.split}"


class USPS(VisionDataset):
    """9,298 digits from envelopes, 16 x 16 in grey, in ten classes.

    Parameters
    ----------
    root : str or path
        The folder of the .bz2 files.
    train : bool
        The 7,291 for training or the 2,007 for testing.
    transform : callable, optional
        Takes the picture.
    target_transform : callable, optional
        Takes the label.
    download : bool
        Whether a missing file is fetched.
    """

    _address = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"
    split_list: ClassVar[dict[str, list[str]]] = {
        "train": [_address + "usps.bz2", "usps.bz2", "ec16c51db3855ca6c91edd34d0e9b197"],
        "test": [_address + "usps.t.bz2", "usps.t.bz2", "8ea070ee2aca1ac39742fdd1ef5ed118"],
    }

    def __init__(
        self,
        root: Any,
        train: bool = True,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        url, name, md5 = self.split_list["train" if train else "test"]
        if download:
            download_url(url, self.root, name, md5)
        with bz2.open(_need(os.path.join(self.root, name), md5), "rt") as file:
            # A line is a label from 1 to 10, then `place:value` pairs with values from -1 to 1.
            rows = np.array([[part.rpartition(":")[2] for part in line.split()] for line in file], np.float64)
        self.data = ((rows[:, 1:].reshape(-1, 16, 16) + 1) / 2 * 255).astype(np.uint8)
        self.targets = [int(label) - 1 for label in rows[:, 0]]

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        return self._transformed(picture(self.data[index]), int(self.targets[index]))

    def __len__(self) -> int:
        return len(self.data)


class STL10(VisionDataset):
    """Colour pictures, 96 x 96, in ten classes, and 100,000 without labels.

    Parameters
    ----------
    root : str or path
        The folder above ``stl10_binary``.
    split : str
        "train", "test", "unlabeled" or "train+unlabeled".
    folds : int, optional
        One of the ten folds of the training set, by its number from 0.
    transform : callable, optional
        Takes the picture.
    target_transform : callable, optional
        Takes the label.
    download : bool
        Whether missing files are fetched.
    """

    base_folder = "stl10_binary"
    url = "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz"
    filename = "stl10_binary.tar.gz"
    tgz_md5 = "91f7769df0f17e558f3565bffb0c7dfb"
    class_names_file = "class_names.txt"
    folds_list_file = "fold_indices.txt"
    train_list: Any = [
        ["train_X.bin", "918c2871b30a85fa023e0c44e0bee87f"],
        ["train_y.bin", "5a34089d4802c674881badbb80307741"],
        ["unlabeled_X.bin", "5242ba1fed5e4be9e1e742405eb56ca4"],
    ]
    test_list: Any = [
        ["test_X.bin", "7f263ba9f9e0b06b93213547f721ac82"],
        ["test_y.bin", "36f9794fa4beb8a2c72628de14fa638e"],
    ]
    splits = ("train", "train+unlabeled", "unlabeled", "test")

    def __init__(
        self,
        root: Any,
        split: str = "train",
        folds: int | None = None,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = verify_str_arg(split, "split", self.splits)
        if folds is not None and not (isinstance(folds, int) and 0 <= folds < 10):
            raise ValueError(f"Value for argument folds should be in the range [0, 10), but got {folds}")
        self.folds = folds
        if download:
            self.download()
        for name, md5 in [*self.train_list, *self.test_list]:
            _need(self._path(name), md5)
        self.data, self.labels = self._load(split)
        if folds is not None and split.startswith("train"):
            with open(self._path(self.folds_list_file), encoding="utf-8") as file:
                kept = np.fromstring(file.read().splitlines()[folds], dtype=np.int64, sep=" ")
            self.data, self.labels = self.data[kept], self.labels[kept]
        self.classes: list[str] = []
        if os.path.isfile(self._path(self.class_names_file)):
            with open(self._path(self.class_names_file), encoding="utf-8") as file:
                self.classes = file.read().splitlines()

    def _path(self, name: str) -> str:
        return os.path.join(self.root, self.base_folder, name)

    def _load(self, split: str) -> tuple[Any, Any]:
        if "+" in split:
            parts = [self._load(part) for part in split.split("+")]
            return np.concatenate([data for data, _ in parts]), np.concatenate([labels for _, labels in parts])
        # A picture is stored by columns, colour after colour.
        data = np.fromfile(self._path(f"{split}_X.bin"), np.uint8).reshape(-1, 3, 96, 96).transpose(0, 1, 3, 2)
        if split == "unlabeled":
            return data, np.full(len(data), -1)
        return data, np.fromfile(self._path(f"{split}_y.bin"), np.uint8) - 1

    def download(self) -> None:
        """Fetch the archive where files are missing, and unpack it."""
        files = [*self.train_list, *self.test_list]
        if not all(check_integrity(self._path(name), md5) for name, md5 in files):
            download_and_extract_archive(self.url, self.root, filename=self.filename, md5=self.tgz_md5)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        image = np.ascontiguousarray(self.data[index].transpose(1, 2, 0))
        return self._transformed(picture(image), int(self.labels[index]))

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        """Give the split."""
        return f"Split: {self.split}"


__all__ = ["STL10", "SVHN", "USPS"]
