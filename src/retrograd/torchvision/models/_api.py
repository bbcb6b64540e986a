"""How models are found by name, and weights by model: the registry, the enumerations, and the files' place."""

from __future__ import annotations

import enum
import fnmatch
import functools
import inspect
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import retrograd as torch

from ..transforms._presets import ImageClassification
from ..transforms.functional import InterpolationMode
from ._table import TABLE

ADDRESS = "https://download.pytorch.org/models/"
Builder = TypeVar("Builder", bound=Callable[..., Any])
_BUILDERS: dict[str, Callable[..., Any]] = {}


@dataclass
class Weights:
    """One file of weights: where it is, how its pictures are prepared, and what is known of it."""

    url: str
    transforms: Callable[..., Any]
    meta: dict[str, Any] = field(default_factory=dict)


class WeightsEnum(enum.Enum):
    """The weights that were published for one model; a member's value is its `Weights`."""

    @classmethod
    def verify(cls, obj: Any) -> Any:
        """Give a member for itself or its name, None for None; TypeError for other models' weights."""
        if obj is None or isinstance(obj, cls):
            return obj
        if isinstance(obj, str):
            return cls[obj.removeprefix(cls.__name__ + ".")]
        raise TypeError(f"Invalid Weight class provided; expected {cls.__name__} but received {type(obj).__name__}.")

    def get_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Load the file from torch.hub's folder; RuntimeError, with path and address, where it is not there."""
        return torch.hub.load_state_dict_from_url(self.url, *args, **kwargs)

    @property
    def url(self) -> str:
        """Where the file is published."""
        return str(self.value.url)

    @property
    def transforms(self) -> Any:
        """What makes the transform of the pictures that the weights were learned on."""
        return self.value.transforms

    @property
    def meta(self) -> dict[str, Any]:
        """What is known: num_params, min_size, and the accuracy on ImageNet; the classes' names are not kept here."""
        found: dict[str, Any] = self.value.meta
        return found

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self._name_}"


def _weights_of(row: str) -> tuple[str, str, str, Weights]:
    """Read one row of the table: model, enumeration, name, weights."""
    model, kind, name, file, crop, resize, how, count, least, top1, top5, *moments = row.split()
    options: dict[str, Any] = {"crop_size": int(crop), "resize_size": int(resize)}
    options["interpolation"] = InterpolationMode(how)
    for key, numbers in zip(("mean", "std"), moments):
        options[key] = tuple(float(one) for one in numbers.split(","))
    meta: dict[str, Any] = {"num_params": int(count), "min_size": (int(least), int(least)), "num_classes": 1000}
    if top1 != "-":
        meta["_metrics"] = {"ImageNet-1K": {"acc@1": float(top1), "acc@5": float(top5)}}
    return model, kind, name, Weights(ADDRESS + file, functools.partial(ImageClassification, **options), meta)


def _enumerations() -> dict[str, Any]:
    """Make every model's enumeration, by the model's name."""
    members: dict[str, list[tuple[str, Weights]]] = {}
    kinds: dict[str, str] = {}
    for row in TABLE.strip().splitlines():
        model, kind, name, weights = _weights_of(row)
        kinds[model] = kind
        members.setdefault(model, []).append((name.rstrip("*"), weights))
        if name.endswith("*"):
            members[model].append(("DEFAULT", weights))
    make: Any = WeightsEnum
    return {
        model: make(kinds[model], rows, module=__name__.rpartition(".")[0], qualname=kinds[model])
        for model, rows in members.items()
    }


WEIGHTS = _enumerations()
ENUMERATIONS = {one.__name__: one for one in WEIGHTS.values()}


def register_model(
    name: str | None = None, prepare: Callable[[Any, dict[str, Any]], None] | None = None
) -> Callable[[Builder], Builder]:
    """Make a function that builds a model known by a name, its own by default, and able to load published weights.

    Parameters
    ----------
    name : str, optional
        The name for `get_model`.
    prepare : callable, optional
        Takes the weights that will be loaded, and the model's arguments, which it may change.

    Returns
    -------
    callable
        The decorator; what it gives takes ``weights`` (or the older ``pretrained``) and ``progress``, and hands the other
        arguments on.
    """

    def decorate(make: Builder) -> Builder:
        called = name or make.__name__

        @functools.wraps(make)
        def build(*args: Any, weights: Any = None, progress: bool = True, **kwargs: Any) -> Any:
            kind = WEIGHTS.get(called)
            pretrained = args[0] if args else kwargs.pop("pretrained", None)
            if pretrained is not None:
                if isinstance(pretrained, bool):
                    warnings.warn("The parameter 'pretrained' is deprecated, please use 'weights' instead.")
                    weights = (kind or {})["IMAGENET1K_V1"] if pretrained else None
                else:
                    weights = pretrained
            weights = kind.verify(weights) if kind is not None else weights
            if weights is None:
                return make(**kwargs)
            if prepare is not None:
                prepare(weights, kwargs)
            return _filled(make, weights, progress, kwargs)

        build.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter("weights", inspect.Parameter.KEYWORD_ONLY, default=None),
                inspect.Parameter("progress", inspect.Parameter.KEYWORD_ONLY, default=True),
                inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
            ]
        )
        if called in _BUILDERS:
            raise ValueError(f"An entry is already registered under the name '{called}'.")
        _BUILDERS[called] = build
        return build  # type: ignore[return-value]

    return decorate


def _filled(make: Callable[..., Any], weights: WeightsEnum, progress: bool, kwargs: dict[str, Any]) -> Any:
    """Build a model and load its weights; the file is read first, so that one that is missing costs nothing."""
    state = weights.get_state_dict(progress=progress, check_hash=True)
    classes = weights.meta["num_classes"]
    if kwargs.setdefault("num_classes", classes) != classes:
        raise ValueError(
            f"The parameter 'num_classes' expected value {classes} but got {kwargs['num_classes']} instead."
        )
    model = make(**kwargs)
    rename = getattr(model, "_renamed", None)
    model.load_state_dict(state if rename is None else rename(state))
    return model


def list_models(
    module: Any = None, include: Iterable[str] | str | None = None, exclude: Iterable[str] | str | None = None
) -> list[str]:
    """List the names of the models, sorted.

    Parameters
    ----------
    module : module, optional
        Those of this module only.
    include : str or iterable of str, optional
        Patterns such as "resnet*", of which one must match.
    exclude : str or iterable of str, optional
        Patterns of which none may match.

    Returns
    -------
    list of str
        Names for `get_model`.

    Examples
    --------
    >>> from retrograd.torchvision import models
    >>> models.list_models(include="vgg*", exclude="*_bn")
    ['vgg11', 'vgg13', 'vgg16', 'vgg19']
    """
    names = set(_BUILDERS)
    if module is not None:
        names = {one for one in names if getattr(module, one, None) is _BUILDERS[one]}
    wanted = [include] if isinstance(include, str) else list(include or ["*"])
    unwanted = [exclude] if isinstance(exclude, str) else list(exclude or [])
    found = {one for pattern in wanted for one in fnmatch.filter(names, pattern)}
    return sorted(found - {one for pattern in unwanted for one in fnmatch.filter(names, pattern)})


def get_model_builder(name: str) -> Callable[..., Any]:
    """Give the function that builds the model of this name; ValueError where there is none."""
    try:
        return _BUILDERS[name.lower()]
    except KeyError as error:
        from retrograd.utils._names import nearest

        near = ", ".join(nearest(name, _BUILDERS)) or "list_models() lists all"
        raise ValueError(f"Unknown model {name}; the nearest names: {near}") from error


def get_model(name: str, **config: Any) -> Any:
    """Build a model by its name.

    Parameters
    ----------
    name : str
        One of `list_models`; ValueError for others.
    **config
        The builder's arguments.

    Returns
    -------
    Module
        The model.
    """
    return get_model_builder(name)(**config)


def get_model_weights(name: Any) -> Any:
    """Give the enumeration of the weights of a model, by the model's name or its builder."""
    builder = get_model_builder(name) if isinstance(name, str) else name
    return WEIGHTS[next(one for one, known in _BUILDERS.items() if known is builder)]


def get_weight(name: str) -> Any:
    """Give weights by their full name, such as "ResNet50_Weights.IMAGENET1K_V2"; ValueError where there are none."""
    kind, _, member = name.partition(".")
    if kind not in ENUMERATIONS or not member:
        raise ValueError(f"Invalid weight name provided: '{name}'; a full name is like ResNet50_Weights.IMAGENET1K_V2")
    return ENUMERATIONS[kind][member]


__all__ = [
    "Weights",
    "WeightsEnum",
    "get_model",
    "get_model_builder",
    "get_model_weights",
    "get_weight",
    "list_models",
    "register_model",
]
