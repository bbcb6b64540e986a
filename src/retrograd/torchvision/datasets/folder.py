"""A data set of one's own: a folder for each class, with its samples below it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from .._pillow import pillow
from .vision import VisionDataset

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def has_file_allowed_extension(filename: str, extensions: str | tuple[str, ...]) -> bool:
    """Say whether a file's name ends in one of these, in any case.

    Examples
    --------
    >>> has_file_allowed_extension("cat.PNG", (".png", ".jpg"))
    True
    """
    return filename.lower().endswith(extensions if isinstance(extensions, str) else tuple(extensions))


def is_image_file(filename: str) -> bool:
    """Say whether a file's name ends as a picture's."""
    return has_file_allowed_extension(filename, IMG_EXTENSIONS)


def find_classes(directory: Any) -> tuple[list[str], dict[str, int]]:
    """Give the names of the folders in a folder, sorted, and their numbers; FileNotFoundError where there is none."""
    classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    if not classes:
        raise FileNotFoundError(f"Couldn't find any class folder in {directory}.")
    return classes, {name: i for i, name in enumerate(classes)}


def make_dataset(
    directory: Any,
    class_to_idx: dict[str, int] | None = None,
    extensions: str | tuple[str, ...] | None = None,
    is_valid_file: Callable[[str], bool] | None = None,
    allow_empty: bool = False,
) -> list[tuple[str, int]]:
    """List the samples below a folder of class folders.

    Parameters
    ----------
    directory : str or path
        The folder.
    class_to_idx : dict, optional
        The classes' numbers by their names; those `find_classes` gives by default.
    extensions : str or tuple of str, optional
        How the samples' names end. Either this or the next.
    is_valid_file : callable, optional
        Takes a path, says whether it is a sample.
    allow_empty : bool
        Whether a class may have no samples; FileNotFoundError otherwise.

    Returns
    -------
    list of (str, int)
        Paths and class numbers: classes in alphabetical order, in each folders and then files by their names.
    """
    directory = os.path.expanduser(directory)
    if class_to_idx is None:
        class_to_idx = find_classes(directory)[1]
    elif not class_to_idx:
        raise ValueError("'class_to_index' must have at least one entry to collect any samples.")
    if (extensions is None) == (is_valid_file is None):
        raise ValueError("Both extensions and is_valid_file cannot be None or not None at the same time")
    valid = is_valid_file or (lambda path: has_file_allowed_extension(path, extensions or ()))
    samples: list[tuple[str, int]] = []
    empty = []
    for name in sorted(class_to_idx):
        before = len(samples)
        for folder, _, files in sorted(os.walk(os.path.join(directory, name), followlinks=True)):
            paths = (os.path.join(folder, file) for file in sorted(files))
            samples += [(path, class_to_idx[name]) for path in paths if valid(path)]
        if len(samples) == before:
            empty.append(name)
    if empty and not allow_empty:
        text = f"Found no valid file for the classes {', '.join(sorted(empty))}. "
        if extensions is not None:
            text += f"Supported extensions are: {extensions if isinstance(extensions, str) else ', '.join(extensions)}"
        raise FileNotFoundError(text)
    return samples


def pil_loader(path: Any) -> Any:
    """Open a picture with Pillow, in mode "RGB"."""
    with open(path, "rb") as file:
        return pillow().open(file).convert("RGB")


def accimage_loader(path: Any) -> Any:
    """Open a picture; Pillow does it here."""
    return pil_loader(path)


def default_loader(path: Any) -> Any:
    """Open a picture with the backend that is set, which is Pillow here."""
    return pil_loader(path)


class DatasetFolder(VisionDataset):
    """Samples in a folder for each class: ``root/cat/1.ext``, ``root/cat/more/2.ext``, ``root/dog/1.ext``.

    Parameters
    ----------
    root : str or path
        The folder of the class folders.
    loader : callable
        Takes a path, gives the sample.
    extensions : tuple of str, optional
        How the samples' names end. Either this or ``is_valid_file``.
    transform : callable, optional
        Takes the sample.
    target_transform : callable, optional
        Takes the class's number.
    is_valid_file : callable, optional
        Takes a path, says whether it is a sample.
    allow_empty : bool
        Whether a class may have no samples; FileNotFoundError otherwise.

    Attributes
    ----------
    classes : list of str
        The classes' names, sorted.
    class_to_idx : dict
        Each class's number by its name.
    samples : list of (str, int)
        Paths and class numbers.
    targets : list of int
        The class numbers.
    """

    def __init__(
        self,
        root: Any,
        loader: Callable[[str], Any],
        extensions: tuple[str, ...] | None = None,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.classes, self.class_to_idx = self.find_classes(self.root)
        self.loader = loader
        self.extensions = extensions
        self.samples = self.make_dataset(self.root, self.class_to_idx, extensions, is_valid_file, allow_empty)
        self.targets = [target for _, target in self.samples]

    @staticmethod
    def make_dataset(
        directory: Any,
        class_to_idx: dict[str, int],
        extensions: tuple[str, ...] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> list[tuple[str, int]]:
        """List the samples; a subclass may have its own way."""
        if class_to_idx is None:
            raise ValueError("The class_to_idx parameter cannot be None.")
        return make_dataset(directory, class_to_idx, extensions, is_valid_file, allow_empty)

    def find_classes(self, directory: Any) -> tuple[list[str], dict[str, int]]:
        """Find the classes; a subclass may have its own way."""
        return find_classes(directory)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        path, target = self.samples[index]
        return self._transformed(self.loader(path), target)

    def __len__(self) -> int:
        return len(self.samples)


class ImageFolder(DatasetFolder):
    """Pictures in a folder for each class: ``root/cat/1.png``, ``root/dog/1.jpg``.

    Parameters
    ----------
    root : str or path
        The folder of the class folders.
    transform : callable, optional
        Takes the picture.
    target_transform : callable, optional
        Takes the class's number.
    loader : callable
        Takes a path, gives the picture; Pillow, in mode "RGB", by default.
    is_valid_file : callable, optional
        Takes a path, says whether it is a sample; by its ending by default.
    allow_empty : bool
        Whether a class may have no pictures; FileNotFoundError otherwise.
    """

    def __init__(
        self,
        root: Any,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        loader: Callable[[str], Any] = default_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        extensions = IMG_EXTENSIONS if is_valid_file is None else None
        super().__init__(root, loader, extensions, transform, target_transform, is_valid_file, allow_empty)
        self.imgs = self.samples


__all__ = [
    "IMG_EXTENSIONS",
    "DatasetFolder",
    "ImageFolder",
    "accimage_loader",
    "default_loader",
    "find_classes",
    "has_file_allowed_extension",
    "is_image_file",
    "make_dataset",
    "pil_loader",
]
