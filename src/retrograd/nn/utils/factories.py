"""The keywords of layers that say where and in which dtype their tensors are made."""

from __future__ import annotations

from typing import Any

__all__ = ["factory_kwargs"]

_FACTORY = ("device", "dtype", "memory_format")


def factory_kwargs(kwargs: dict[str, Any] | None) -> dict[str, Any]:
    """Check the keywords that a layer was given for making its tensors, and give them as one dictionary.

    A dictionary under "factory_kwargs" is taken apart, so that a layer may have a ``dtype`` of its own.

    Parameters
    ----------
    kwargs : dict, optional
        May hold "device", "dtype", "memory_format" and "factory_kwargs".

    Raises
    ------
    TypeError
        For another keyword, or for one that is given twice.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.factory_kwargs({"factory_kwargs": {"dtype": torch.float64}})
    {'dtype': torch.float64}
    """
    given = {} if kwargs is None else dict(kwargs)
    made = dict(given.pop("factory_kwargs", {}))
    unknown = given.keys() - set(_FACTORY)
    if unknown:
        raise TypeError(f"unexpected kwargs {unknown}: layers make tensors with {', '.join(_FACTORY)}")
    for name, value in given.items():
        if name in made:
            raise TypeError(f"{name} specified twice, in **kwargs and in factory_kwargs")
        made[name] = value
    return made
