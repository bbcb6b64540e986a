"""A module called with other parameters and buffers than its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = ["functional_call", "replaced"]


def functional_call(
    module: Any,
    parameters_and_buffer_dicts: dict[str, Any] | Sequence[dict[str, Any]],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call a module as if its parameters and buffers were the Tensors given by name.

    Parameters
    ----------
    module : Module
        What is called.
    parameters_and_buffer_dicts : dict or sequence of dicts
        Tensors by their full names; names that are left out keep the module's own.
    args, kwargs
        The call's arguments; a single argument need be no tuple.
    tie_weights : bool
        Tensors that the module holds under several names are replaced under all of them.
    strict : bool
        Raise RuntimeError unless every parameter and buffer is given, and nothing else.

    Examples
    --------
    >>> import retrograd as torch
    >>> layer = torch.nn.Linear(2, 1, bias=False)
    >>> torch.func.functional_call(layer, {"weight": torch.ones(1, 2)}, torch.ones(2))
    tensor([2.])
    """
    if isinstance(parameters_and_buffer_dicts, dict):
        given = dict(parameters_and_buffer_dicts)
    elif isinstance(parameters_and_buffer_dicts, (list, tuple)):
        given = {}
        for part in parameters_and_buffer_dicts:
            twice = given.keys() & part.keys()
            if twice:
                raise ValueError(
                    f"{sorted(twice)} appeared in multiple dictionaries; behavior of functional call is ambiguous"
                )
            given.update(part)
    else:
        raise ValueError(
            f"Expected parameters_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got {type(parameters_and_buffer_dicts)}"
        )
    positional = () if args is None else args if isinstance(args, tuple) else (args,)
    with replaced(module, given, tie_weights, strict):
        return module(*positional, **(kwargs or {}))


def _places(module: Any) -> dict[str, tuple[dict[str, Any], str]]:
    """Give, for each full name, the table that holds it and its name there."""
    found = {}
    for prefix, part in module.named_modules(remove_duplicate=False):
        for table in (part._parameters, part._buffers):
            for name in table:
                found[f"{prefix}.{name}" if prefix else name] = (table, name)
    return found


@contextmanager
def replaced(module: Any, given: dict[str, Any], tie: bool, strict: bool) -> Iterator[None]:
    """Put the Tensors given by name in place of a module's own within the block."""
    places = _places(module)
    unknown = [name for name in given if name not in places]
    missing = [name for name, (table, key) in places.items() if name not in given and table[key] is not None]
    if strict and (unknown or missing):
        raise RuntimeError(
            f"Unexpected key(s): {', '.join(unknown)}." if unknown else f"Missing key(s): {', '.join(missing)}."
        )
    if unknown:
        raise KeyError(f"{module._get_name()} has no parameter or buffer named {unknown[0]!r}")
    new = dict(given)
    if tie:
        twins: dict[int, list[str]] = {}
        for name, (table, key) in places.items():
            if table[key] is not None:
                twins.setdefault(id(table[key]), []).append(name)
        for names in twins.values():
            values = {id(given[n]): given[n] for n in names if n in given}
            if len(values) > 1:
                raise ValueError(
                    f"functional_call got multiple values for keys {sorted(names)}, which are tied. Consider using tie_weights=False"
                )
            for n in names:
                new.update(dict.fromkeys([n] if values else [], next(iter(values.values()), None)))
    before = [(table, key, table[key]) for table, key in (places[name] for name in new)]
    try:
        for name, value in new.items():
            table, key = places[name]
            table[key] = value
        yield
    finally:
        for table, key, value in before:
            table[key] = value
