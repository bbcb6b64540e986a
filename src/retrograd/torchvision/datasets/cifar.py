"""CIFAR-10 and CIFAR-100: small colour pictures in Python's own pickles, read by an unpickler that runs nothing."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from .._pillow import picture
from .utils import check_integrity, download_and_extract_archive
from .vision import VisionDataset

# What an array needs to come back, in the names of NumPy 1 and 2: no other class or function may be named in a file.
_ALLOWED = {
    *(("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct")),
    *(("numpy.core.numeric", "_frombuffer"), ("numpy._core.numeric", "_frombuffer")),
    *(("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"), ("collections", "OrderedDict")),
}


class ArrayUnpickler(pickle.Unpickler):
    """Reads arrays and plain data; a file that names any other class or function raises UnpicklingError."""

    def find_class(self, module: str, name: str) -> Any:
        """Look up one of the few that are allowed."""
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of arrays, and is not loaded")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _unpickle(path: str) -> dict[str, Any]:
    with open(path, "rb") as file:
        found = ArrayUnpickler(file, encoding="latin1").load()
    if not isinstance(found, dict):
        raise pickle.UnpicklingError(f"{path} holds a {type(found).__name__}, not a dictionary")
    return found


class CIFAR10(VisionDataset):
    """60,000 colour pictures, 32 x 32, in ten classes.

    The files are looked for in ``root/cifar-10-batches-py``. A sample is a picture of Pillow's in mode "RGB" (the
    (32, 32, 3) uint8 array where Pillow is not installed) and an int.

    Parameters
    ----------
    root : str or path
        The folder above.
    train : bool
        The 50,000 for training or the 10,000 for testing.
    transform : callable, optional
        Takes the picture.
    target_transform : callable, optional
        Takes the label.
    download : bool
        Whether files that are missing are fetched.

    Attributes
    ----------
    data : ndarray
        uint8, (N, 32, 32, 3).
    targets : list of int
        The labels.
    classes : list of str
        The classes' names.
    class_to_idx : dict
        Each class's number by its name.

    Raises
    ------
    RuntimeError
        Where files are missing or not right, with the path where they are expected.
    """

    base_folder = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename = "cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    train_list: Any = [
        ["data_batch_1", "c99cafc152244af753f735de768cd75f"],
        ["data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"],
        ["data_batch_3", "54ebc095f3ab1f0389bbae665268c751"],
        ["data_batch_4", "634d18415352ddfa80567beed471001a"],
        ["data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"],
    ]
    test_list: Any = [["test_batch", "40351d587109b95175f43aff81a1287e"]]
    meta: Any = {"filename": "batches.meta", "key": "label_names", "md5": "5ff9c542aee3614f3951f8cda6e48888"}

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
        if wrong := self._wrong():
            raise RuntimeError(
                "Dataset not found or corrupted. You can use download=True to download it. "
                f"Missing, or with another MD5 than expected: {', '.join(wrong)}"
            )
        rows, self.targets = [], []
        for name, _ in self.train_list if train else self.test_list:
            entry = _unpickle(self._path(name))
            rows.append(entry["data"])
            self.targets.extend(entry["labels"] if "labels" in entry else entry["fine_labels"])
        # A row is all of red, then green, then blue; pictures hold a pixel's colours together.
        self.data = np.ascontiguousarray(np.vstack(rows).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        self.classes = list(_unpickle(self._path(self.meta["filename"]))[self.meta["key"]])
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}

    def _path(self, name: str) -> str:
        return os.path.join(self.root, self.base_folder, name)

    def _wrong(self) -> list[str]:
        """Give the paths of the files that are missing or damaged."""
        files = [*self.train_list, *self.test_list, [self.meta["filename"], self.meta["md5"]]]
        return [os.path.abspath(self._path(name)) for name, md5 in files if not check_integrity(self._path(name), md5)]

    def download(self) -> None:
        """Fetch the archive where files are missing, and unpack it."""
        if self._wrong():
            download_and_extract_archive(self.url, self.root, filename=self.filename, md5=self.tgz_md5)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        return self._transformed(picture(self.data[index]), self.targets[index])

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        """Give the split."""
        return f"Split: {'Train' if self.train is True else 'Test'}"


class CIFAR100(CIFAR10):
    """60,000 colour pictures, 32 x 32, in a hundred classes, with CIFAR10's arguments; in ``root/cifar-100-python``."""

    base_folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    train_list = [["train", "16019d7e3df5f24257cddd939b257f8d"]]
    test_list = [["test", "f0ef6b0ae62326f3e7ffdfab6717acfc"]]
    meta = {"filename": "meta", "key": "fine_label_names", "md5": "7973b15100ade9c7d40fb424638fde48"}


__all__ = ["CIFAR10", "CIFAR100", "ArrayUnpickler"]
