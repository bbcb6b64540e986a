"""What all data sets of pictures share: a root folder, transforms, and how they are shown."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ...data import Dataset


class VisionDataset(Dataset[Any]):
    """Samples that lie in a folder and pass through transforms.

    Parameters
    ----------
    root : str or path, optional
        The folder.
    transforms : callable, optional
        Takes a sample and its target, gives both. Either this or the next two; both raise ValueError.
    transform : callable, optional
        Takes a sample.
    target_transform : callable, optional
        Takes a target.
    """

    _repr_indent = 4

    def __init__(
        self,
        root: Any = None,
        transforms: Callable[..., Any] | None = None,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
    ) -> None:
        self.root = os.path.expanduser(root) if isinstance(root, str) else root
        if transforms is not None and (transform is not None or target_transform is not None):
            raise ValueError("Only transforms or transform/target_transform can be passed as argument")
        self.transform = transform
        self.target_transform = target_transform
        if transform is not None or target_transform is not None:
            transforms = StandardTransform(transform, target_transform)
        self.transforms = transforms

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} does not define __len__")

    def __repr__(self) -> str:
        body = [f"Number of datapoints: {len(self)}"]
        if self.root is not None:
            body.append(f"Root location: {self.root}")
        body += self.extra_repr().splitlines()
        if getattr(self, "transforms", None) is not None:
            body.append(repr(self.transforms))
        return "\n".join([f"Dataset {type(self).__name__}", *(" " * self._repr_indent + line for line in body)])

    def extra_repr(self) -> str:
        """Give further lines for the printed form."""
        return ""

    def _transformed(self, sample: Any, target: Any) -> tuple[Any, Any]:
        if self.transform is not None:
            sample = self.transform(sample)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return sample, target


class StandardTransform:
    """A transform of the sample and one of the target, called as one with both.

    Parameters
    ----------
    transform : callable, optional
        Takes a sample.
    target_transform : callable, optional
        Takes a target.

    Examples
    --------
    >>> StandardTransform(abs)(-1, -2)
    (1, -2)
    """

    def __init__(
        self, transform: Callable[..., Any] | None = None, target_transform: Callable[..., Any] | None = None
    ) -> None:
        self.transform = transform
        self.target_transform = target_transform

    def __call__(self, input: Any, target: Any) -> tuple[Any, Any]:
        if self.transform is not None:
            input = self.transform(input)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return input, target

    def __repr__(self) -> str:
        body = [type(self).__name__]
        for head, shown in (("Transform: ", self.transform), ("Target transform: ", self.target_transform)):
            if shown is not None:
                first, *rest = repr(shown).splitlines()
                body += [head + first, *(" " * len(head) + line for line in rest)]
        return "\n".join(body)


__all__ = ["StandardTransform", "VisionDataset"]
