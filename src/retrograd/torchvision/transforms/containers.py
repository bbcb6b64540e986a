"""Transforms made of transforms, and those between pictures and tensors."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import retrograd as torch

from . import functional as F

Module = torch.nn.Module


def listed(name: str, transforms: Any, end: str = "") -> str:
    """Give the printed form of a transform that holds others, one to a line."""
    return "\n".join([name + "(", *(f"    {one}" for one in transforms), ")" + end])


class Compose:
    """Apply transforms one after the other.

    Parameters
    ----------
    transforms : sequence of callable
        Each takes what the one before gives.

    Examples
    --------
    >>> Compose([abs, float])(-2)
    2.0
    """

    def __init__(self, transforms: Any) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return listed(type(self).__name__, self.transforms)


class ToTensor:
    """Turn a picture, or an ndarray (H, W, C), into a tensor (C, H, W); uint8 becomes a float in [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> ToTensor()(np.zeros((4, 5, 3), np.uint8)).shape
    torch.Size([3, 4, 5])
    """

    def __call__(self, pic: Any) -> Any:
        return F.to_tensor(pic)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class PILToTensor:
    """Turn a picture into a tensor (C, H, W) of its own type, uint8 for most."""

    def __call__(self, pic: Any) -> Any:
        return F.pil_to_tensor(pic)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class ToPILImage:
    """Turn a tensor (C, H, W) or an ndarray (H, W, C) into a picture.

    Parameters
    ----------
    mode : str, optional
        Pillow's mode; by default what the channels and the type say.
    """

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        return F.to_pil_image(pic, self.mode)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'' if self.mode is None else f'mode={self.mode}'})"


class ConvertImageDtype(Module):
    """Convert a tensor to another type, full brightness to full brightness.

    Parameters
    ----------
    dtype : dtype
        What it is to be.
    """

    def __init__(self, dtype: Any) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, image: Any) -> Any:
        """Convert."""
        return F.convert_image_dtype(image, self.dtype)


class Normalize(Module):
    """Subtract each channel's mean and divide by its standard deviation.

    Parameters
    ----------
    mean : sequence of float
        One for each channel.
    std : sequence of float
        The same.
    inplace : bool
        Whether the tensor itself is changed.

    Examples
    --------
    >>> import retrograd as torch
    >>> Normalize((0.5,), (0.5,))(torch.ones(1, 1, 2))
    tensor([[[1., 1.]]])
    """

    def __init__(self, mean: Any, std: Any, inplace: bool = False) -> None:
        super().__init__()
        self.mean, self.std, self.inplace = mean, std, inplace

    def forward(self, tensor: Any) -> Any:
        """Normalise."""
        return F.normalize(tensor, self.mean, self.std, self.inplace)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mean={self.mean}, std={self.std})"


class Lambda:
    """Apply a function of one's own.

    Parameters
    ----------
    lambd : callable
        The function.
    """

    def __init__(self, lambd: Callable[..., Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class LinearTransformation(Module):
    """Multiply a flattened tensor, less a mean, by a matrix: whitening.

    Parameters
    ----------
    transformation_matrix : Tensor
        (D, D) for D = C * H * W; ValueError where it is not square.
    mean_vector : Tensor
        (D,); ValueError where it does not fit.
    """

    def __init__(self, transformation_matrix: Any, mean_vector: Any) -> None:
        super().__init__()
        if transformation_matrix.size(0) != transformation_matrix.size(1):
            raise ValueError(
                f"transformation_matrix should be square. Got {tuple(transformation_matrix.size())} rectangular matrix."
            )
        if mean_vector.size(0) != transformation_matrix.size(0):
            raise ValueError(
                f"mean_vector should have the same length {mean_vector.size(0)} as any one of the dimensions of the "
                f"transformation_matrix [{tuple(transformation_matrix.size())}]"
            )
        self.transformation_matrix, self.mean_vector = transformation_matrix, mean_vector

    def forward(self, tensor: Any) -> Any:
        """Transform."""
        count = tensor.shape[-3] * tensor.shape[-2] * tensor.shape[-1]
        if count != self.transformation_matrix.shape[0]:
            raise ValueError(
                "Input tensor and transformation matrix have incompatible shape."
                f"[{tensor.shape[-3]} x {tensor.shape[-2]} x {tensor.shape[-1]}] != "
                f"{self.transformation_matrix.shape[0]}"
            )
        flat = tensor.reshape(-1, count) - self.mean_vector
        return torch.mm(flat, self.transformation_matrix).reshape(tensor.shape)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(transformation_matrix={self.transformation_matrix.tolist()}, "
            f"mean_vector={self.mean_vector.tolist()})"
        )


class RandomTransforms:
    """What the random choices among transforms share.

    Parameters
    ----------
    transforms : sequence of callable
        TypeError for anything but a sequence.
    """

    def __init__(self, transforms: Any) -> None:
        if not isinstance(transforms, Sequence):
            raise TypeError("Argument transforms should be a sequence")
        self.transforms = transforms

    def __repr__(self) -> str:
        return listed(type(self).__name__, self.transforms)


class RandomApply(Module):
    """Apply all of some transforms, or none.

    Parameters
    ----------
    transforms : sequence of callable
        Applied one after the other.
    p : float
        How probably.
    """

    def __init__(self, transforms: Any, p: float = 0.5) -> None:
        super().__init__()
        self.transforms, self.p = transforms, p

    def forward(self, img: Any) -> Any:
        """Apply."""
        if self.p < torch.rand(1):
            return img
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return "\n".join([type(self).__name__ + "(", f"    p={self.p}", *(f"    {t}" for t in self.transforms), ")"])


class RandomOrder(RandomTransforms):
    """Apply transforms in a random order, which Python's ``random`` draws."""

    def __call__(self, img: Any) -> Any:
        order = list(range(len(self.transforms)))
        random.shuffle(order)
        for i in order:
            img = self.transforms[i](img)
        return img


class RandomChoice(RandomTransforms):
    """Apply one of some transforms, which Python's ``random`` draws.

    Parameters
    ----------
    transforms : sequence of callable
        One of them is applied.
    p : sequence of float, optional
        Their weights.
    """

    def __init__(self, transforms: Any, p: Any = None) -> None:
        super().__init__(transforms)
        if p is not None and not isinstance(p, Sequence):
            raise TypeError("Argument p should be a sequence")
        self.p = p

    def __call__(self, *args: Any) -> Any:
        return random.choices(self.transforms, weights=self.p)[0](*args)

    def __repr__(self) -> str:
        return f"{super().__repr__()}(p={self.p})"


__all__ = [
    "Compose",
    "ConvertImageDtype",
    "Lambda",
    "LinearTransformation",
    "Normalize",
    "PILToTensor",
    "RandomApply",
    "RandomChoice",
    "RandomOrder",
    "RandomTransforms",
    "ToPILImage",
    "ToTensor",
]
