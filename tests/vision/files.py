"""Tiny files in the original formats of the data sets, with their sums put into the classes' tables."""

import gzip
import hashlib
import pickle
import struct
import tarfile

import numpy as np


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def idx(array):
    """The bytes of an array in the idx format."""
    codes = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}
    head = bytes([0, 0, codes[array.dtype.str[1:]], array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_mnist(root, name="MNIST", packed=False, seed=0):
    """Write seven training and three test pictures; give what is in them."""
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    content = {}
    for stem, count in (("train", 7), ("t10k", 3)):
        images = rng.integers(0, 256, (count, 28, 28), np.uint8)
        labels = rng.integers(0, 10, count).astype(np.uint8)
        content[stem] = (images, labels)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            path = folder / f"{stem}-{kind}-ubyte{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    return content


def mnist_sums(root, cls):
    """The class's table of files, with the sums of the gzipped ones that are there."""
    folder = root / cls.__name__ / "raw"
    return [(name, md5(folder / name)) for name, _ in cls.resources]


def write_cifar(root, cls, protocol=2, count=4):
    """Write batches as Python 2 wrote them (or as close as Python 3 comes); give rows, labels and the patched tables."""
    folder = root / cls.base_folder
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    hundred = cls.base_folder == "cifar-100-python"
    content = {}
    tables = {"train_list": [], "test_list": []}
    for table in tables:
        for name, _ in getattr(cls, table):
            data = rng.integers(0, 256, (count, 3072), np.uint8)
            labels = rng.integers(0, 10, count).tolist()
            content[name] = (data, labels)
            entry = {"data": data, "fine_labels" if hundred else "labels": labels, "filenames": ["a.png"] * count}
            (folder / name).write_bytes(pickle.dumps(entry, protocol))
            tables[table].append([name, md5(folder / name)])
    names = [f"class {i}" for i in range(100 if hundred else 10)]
    meta = folder / cls.meta["filename"]
    meta.write_bytes(pickle.dumps({cls.meta["key"]: names, "num_cases_per_batch": count}, protocol))
    tables["meta"] = {**cls.meta, "md5": md5(meta)}
    return content, tables


def patch(monkeypatch, cls, tables):
    for name, value in tables.items():
        monkeypatch.setattr(cls, name, value)


def pack(folder, archive):
    """Make a .tar.gz of a folder, as CIFAR is published."""
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, folder.name)
    return md5(archive)
