"""torchvision.tv_tensors: tensors that say what they are to transforms.v2: a picture, a mask, boxes."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable
from typing import Any

import retrograd as torch

from ..tensor import protocol


class TVTensor(torch.Tensor):
    """A tensor with a meaning; what is computed from it is a plain tensor."""

    @classmethod
    def _made(cls, data: Any, dtype: Any, device: Any, requires_grad: Any) -> Any:
        from ._pillow import is_pil

        if is_pil(data):
            from .transforms.functional import pil_to_tensor

            data = pil_to_tensor(data)
        t = torch.asarray(data, dtype=dtype, device=device).as_subclass(cls)
        return t if requires_grad is None else t.requires_grad_(requires_grad)

    def __new__(cls, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool | None = None) -> Any:
        return cls._made(data, dtype, device, requires_grad)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def _like(self, data: Any) -> Any:
        """Give the same kind of tensor with other data."""
        return data.as_subclass(type(self)) if isinstance(data, torch.Tensor) else data

    def clone(self, *args: Any, **options: Any) -> Any:
        """Give a copy of the same kind."""
        return wrap(super().clone(*args, **options), like=self)  # type: ignore[misc]

    def to(self, *args: Any, **options: Any) -> Any:
        """Give it in another dtype, of the same kind."""
        return wrap(super().to(*args, **options), like=self)  # type: ignore[misc]

    def detach(self) -> Any:
        """Give it without history, of the same kind."""
        return wrap(super().detach(), like=self)

    def _told(self) -> str:
        return ""

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        name = type(self).__name__
        shown = (
            self.as_subclass(torch.Tensor)
            .__repr__(tensor_contents=tensor_contents)[len("tensor(") : -1]
            .replace("\n" + " " * 7, "\n" + " " * (len(name) + 1))
        )
        return f"{name}({shown}, {self._told()})"


class Image(TVTensor):
    """A picture, (..., C, H, W); one of (H, W) gets a channel.

    Examples
    --------
    >>> Image([[1, 2]]).shape
    torch.Size([1, 1, 2])
    """

    def __new__(cls, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool | None = None) -> Any:
        t = cls._made(data, dtype, device, requires_grad)
        if t.ndim < 2:
            raise ValueError("an Image has height and width")
        return t.unsqueeze(0).as_subclass(cls) if t.ndim == 2 else t


class Video(TVTensor):
    """Pictures one after the other, (..., T, C, H, W)."""

    def __new__(cls, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool | None = None) -> Any:
        t = cls._made(data, dtype, device, requires_grad)
        if t.ndim < 4:
            raise ValueError("a Video has time, channels, height and width")
        return t


class Mask(TVTensor):
    """What each pixel belongs to, (..., H, W): moved as the picture is, and never mixed."""

    @classmethod
    def _geometry(cls, mask: Any, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        from .transforms.functional import InterpolationMode

        names = inspect.signature(function).parameters
        given = dict(zip(list(names)[1:], args)) | kwargs
        given |= {"interpolation": InterpolationMode.NEAREST} if "interpolation" in names else {}
        given |= {"fill": 0} if "fill" in names else {}
        plain = mask.as_subclass(torch.Tensor)
        lead = plain[None] if plain.ndim == 2 else plain
        moved = function(lead, **given)
        return (moved[0] if plain.ndim == 2 else moved).as_subclass(cls)


class BoundingBoxFormat(enum.Enum):
    """What a box's four numbers are: corners, a corner and sides, or the middle and sides."""

    XYXY = "XYXY"
    XYWH = "XYWH"
    CXCYWH = "CXCYWH"


class BoundingBoxes(TVTensor):
    """Boxes on a picture, (N, 4).

    Made of a tensor or list, a ``format`` (a `BoundingBoxFormat` or its name) and a ``canvas_size``, the picture's height
    and width.
    """

    def __new__(
        cls,
        data: Any,
        *,
        format: Any,
        canvas_size: Any,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool | None = None,
    ) -> Any:
        t = cls._made(data, dtype, device, requires_grad)
        t = t.unsqueeze(0).as_subclass(cls) if t.ndim == 1 else t
        t.format = BoundingBoxFormat[format.upper()] if isinstance(format, str) else format
        t.canvas_size = tuple(canvas_size)
        return t

    def _like(self, data: Any, canvas_size: Any = None) -> Any:
        size = self.canvas_size if canvas_size is None else canvas_size
        return type(self)(data, format=self.format, canvas_size=size)

    def _told(self) -> str:
        return f"format={self.format}, canvas_size={self.canvas_size}"

    @classmethod
    def _geometry(cls, boxes: Any, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        from .transforms.v2._boxes import moved

        return moved(boxes, function.__name__, args, kwargs)


def wrap(wrappee: Any, *, like: Any, **kwargs: Any) -> Any:
    """Give a tensor the meaning of another.

    Parameters
    ----------
    wrappee : Tensor
        The tensor.
    like : TVTensor
        The other.
    **kwargs
        Of boxes, a new ``format`` or ``canvas_size``.

    Returns
    -------
    TVTensor
        The tensor with the meaning.
    """
    if isinstance(like, BoundingBoxes):
        return type(like)(wrappee, **{"format": like.format, "canvas_size": like.canvas_size, **kwargs})
    return wrappee.as_subclass(type(like))


class _Kept:
    """``__torch_function__`` of these classes while results keep their meaning."""

    def __get__(self, instance: Any, owner: type) -> Any:
        def handle(func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            with protocol.Off():
                r = func(*args, **(kwargs or {}))
                first = next(
                    (x for x in protocol.overloaded((*args, *(kwargs or {}).values())) if isinstance(x, owner)), None
                )
                return wrap(r, like=first) if type(r) is torch.Tensor and first is not None else r

        return handle


class _Returns:
    """What ``set_return_type`` gives: as a block, it puts back what was set before."""

    def __init__(self, before: bool) -> None:
        self.before = before

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: Any) -> None:
        _keep(self.before)


def _keeps() -> bool:
    return protocol.NAME in vars(Image)


def _keep(wanted: bool) -> None:
    if wanted is _keeps():
        return
    for cls in (Image, Video, Mask, BoundingBoxes):
        if wanted:
            setattr(cls, protocol.NAME, _Kept())
        else:
            delattr(cls, protocol.NAME)
    protocol.WANTS.clear()
    protocol.install()


def set_return_type(return_type: str) -> Any:
    """Let what is computed from these tensors be plain ("Tensor", as it is) or keep its meaning ("TVTensor"), for good or a block.

    Examples
    --------
    >>> with set_return_type("TVTensor"):
    ...     type(Image([[1, 2]]) + 1).__name__
    'Image'
    """
    wanted = {"tensor": False, "tvtensor": True}.get(return_type.lower())
    if wanted is None:
        raise ValueError(f"return_type must be 'Tensor' or 'TVTensor', not {return_type!r}")
    before = _keeps()
    _keep(wanted)
    return _Returns(before)


__all__ = ["BoundingBoxFormat", "BoundingBoxes", "Image", "Mask", "TVTensor", "Video", "set_return_type", "wrap"]
