"""The transforms of v2: a sample of any form goes in, and all its pictures, masks and boxes change together."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import retrograd as torch

from ..._pillow import is_pil
from ...tv_tensors import BoundingBoxes, Image, Mask, TVTensor, Video
from ..functional._common import max_value

SHOWN = (bool, int, float, str, tuple, list, enum.Enum)


def leaves(sample: Any) -> list[Any]:
    """List what is in tuples, lists and dictionaries, in their order."""
    if isinstance(sample, (tuple, list)):
        return [one for part in sample for one in leaves(part)]
    if isinstance(sample, dict):
        return [one for part in sample.values() for one in leaves(part)]
    return [sample]


def rebuilt(sample: Any, values: Any) -> Any:
    """Give the same tuples, lists and dictionaries around the next of ``values``."""
    if isinstance(sample, (tuple, list)):
        parts = [rebuilt(part, values) for part in sample]
        return type(sample)(*parts) if hasattr(sample, "_fields") else type(sample)(parts)
    if isinstance(sample, dict):
        return type(sample)({key: rebuilt(part, values) for key, part in sample.items()})
    return next(values)


def _as_it_is(value: Any) -> Any:
    return value


class Transform(torch.nn.Module):
    """What the transforms of v2 share.

    Pictures (of Pillow's, or ``tv_tensors.Image``) change; where there are none, the first plain tensor is the picture.
    Masks and boxes change where the transform moves pixels. Everything else passes. All of one sample see the same
    random numbers. A subclass defines ``transform(inpt, params)``.
    """

    _moves = False  # whether pixels move, and masks and boxes with them
    _names: tuple[str, ...] | None = None  # the attributes that are printed, all public ones where None
    _shows: ClassVar[dict[str, Callable[[Any], Any]]] = {}  # how some of them are printed

    def _takes(self, sample: list[Any]) -> list[int]:
        """Give the places of what is changed."""
        pictures = [i for i, one in enumerate(sample) if is_pil(one) or isinstance(one, (Image, Video))]
        if not pictures:
            plain = (
                i for i, one in enumerate(sample) if isinstance(one, torch.Tensor) and not isinstance(one, TVTensor)
            )
            pictures = [i for _, i in zip(range(1), plain)]
        if self._moves:
            pictures += [i for i, one in enumerate(sample) if isinstance(one, (Mask, BoundingBoxes))]
        return pictures

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw what the change needs; nothing, unless a subclass does."""
        return {}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Change one picture, mask or box tensor."""
        raise NotImplementedError(f"{type(self).__name__} does not define transform(inpt, params)")

    def _apply_all(self, chosen: list[Any]) -> list[Any]:
        params = self.make_params(chosen)
        return [self.transform(one, params) for one in chosen]

    def forward(self, *inputs: Any) -> Any:
        """Change a sample: one object, or several."""
        sample = inputs if len(inputs) > 1 else inputs[0]
        flat = leaves(sample)
        places = self._takes(flat)
        for i, result in zip(places, self._apply_all([flat[i] for i in places])):
            keeps = isinstance(flat[i], TVTensor) and type(result) is torch.Tensor
            flat[i] = flat[i]._like(result) if keeps else result
        return rebuilt(sample, iter(flat))

    def extra_repr(self) -> str:
        """Give the arguments."""
        names = (
            self._names if self._names is not None else [n for n in self.__dict__ if n[0] != "_" and n != "training"]
        )
        pairs = [(name, self._shows.get(name, _as_it_is)(getattr(self, name))) for name in names]
        return ", ".join(
            f"{name}={value.value if isinstance(value, enum.Enum) else value}"
            for name, value in pairs
            if isinstance(value, SHOWN)
        )


def joint(base: Any, names: str, moves: bool = False, **shows: Callable[[Any], Any]) -> Any:
    """Make the transform of v2 from the first version's, printing these attributes, some of them changed."""

    def _apply_all(self: Any, chosen: list[Any]) -> list[Any]:
        kept = torch.default_generator.get_state() if len(chosen) > 1 else None
        results: list[Any] = []
        for one in chosen:
            if results:
                torch.default_generator.set_state(kept)  # all of a sample see the same numbers
            results.append(_first(self, one))
        return results

    first: Callable[..., Any] = base.forward if hasattr(base, "forward") else base.__call__

    def _first(self: Any, one: Any) -> Any:
        return first(self, one)

    bases = (Transform, base) if issubclass(base, torch.nn.Module) else (Transform,)
    made: dict[str, Any] = {
        "_apply_all": _apply_all,
        "_moves": moves,
        "_names": tuple(names.split()),
        "_shows": shows,
        "__module__": __name__.rpartition(".")[0],
        "__doc__": (base.__doc__ or "").partition("\n\n")[0].strip()
        + "\n\n    Takes what `transforms` takes by this name.",
        "__repr__": torch.nn.Module.__repr__,
    }
    if hasattr(base, "_coin"):
        made |= _augmenting(base)
    return type(base.__name__, bases, made)


def _augmenting(base: Any) -> dict[str, Any]:
    """Give what the augmentations of v2 do otherwise: signs are drawn in another way, Solarize is a part of the bright."""
    alone = isinstance(inspect.getattr_static(base, "_augmentation_space"), staticmethod)

    def _augmentation_space(self: Any, num_bins: int, *size: Any) -> Any:
        space = base._augmentation_space(num_bins, *size) if alone else base._augmentation_space(self, num_bins, *size)
        return {**space, "Solarize": (torch.linspace(1.0, 0.0, num_bins), False)}

    def _change(self: Any, img: Any, name: str, magnitude: float, fill: Any) -> Any:
        if name == "Solarize":
            magnitude *= max_value(img.dtype) if isinstance(img, torch.Tensor) else 255.0
        return base._change(self, img, name, magnitude, fill)

    coin = staticmethod(lambda: bool(torch.rand(()) <= 0.5))
    return {"_coin": coin, "_change": _change, "_augmentation_space": _augmentation_space}


__all__ = ["Transform", "joint", "leaves", "rebuilt"]
