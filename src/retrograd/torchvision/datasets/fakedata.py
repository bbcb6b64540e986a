"""Random pictures and labels, the same ones each time, for a program that wants any data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import retrograd as torch

from .vision import VisionDataset


class FakeData(VisionDataset):
    """Normally distributed noise as pictures, with random labels.

    Parameters
    ----------
    size : int
        How many samples.
    image_size : tuple of int
        (C, H, W).
    num_classes : int
        Labels are below this.
    transform : callable, optional
        Takes the picture.
    target_transform : callable, optional
        Takes the label.
    random_offset : int
        Added to the index to make a sample's seed.

    Examples
    --------
    >>> len(FakeData(size=20, image_size=(3, 8, 8)))
    20
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(transform=transform, target_transform=target_transform)
        self.size = size
        self.num_classes = num_classes
        self.image_size = image_size
        self.random_offset = random_offset

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        from ..transforms.functional import to_pil_image

        if index >= len(self):
            raise IndexError(f"{type(self).__name__} index out of range")
        generator = torch.Generator()
        generator.manual_seed(index + self.random_offset)
        image = torch.randn(*self.image_size, generator=generator)
        target = torch.randint(0, self.num_classes, (1,), generator=generator)[0]
        image, target = self._transformed(to_pil_image(image), target)
        return image, target.item() if isinstance(target, torch.Tensor) else target

    def __len__(self) -> int:
        return self.size


__all__ = ["FakeData"]
