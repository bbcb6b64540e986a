"""What answers a torch name that this library does not have: the name, its nearest neighbours, where to look."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["missing", "missing_module", "nearest", "torch_name"]

WHERE = (
    "CHANGELOG.md in the project lists what each version has; "
    "please ask for the name in the project's issues, with the program that needs it"
)


def torch_name(module: str) -> str:
    """Name a module of this library as a PyTorch program does.

    Parameters
    ----------
    module : str
        A dotted module name, such as ``retrograd.nn.functional``.

    Returns
    -------
    str
        The same name under ``torch``.

    Examples
    --------
    >>> torch_name("retrograd.nn.functional")
    'torch.nn.functional'
    """
    head, dot, rest = module.partition(".")
    if rest.partition(".")[0] == "torchvision":
        return rest
    return "torch" + dot + rest if head == "retrograd" else module


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Find the public names that read most like the one given, best first.

    Parameters
    ----------
    name : str
        The name that was asked for.
    known : iterable of str
        The names there are; those with a leading underscore are left out.
    count : int
        At most so many are returned.

    Returns
    -------
    list of str
        The nearest names, which may be none.

    Examples
    --------
    >>> nearest("Linaer", ["Linear", "LayerNorm", "ReLU"])
    ['Linear']
    """
    import difflib

    by_spelling: dict[str, str] = {}
    for one in known:
        if not one.startswith("_"):
            by_spelling.setdefault(one.lower(), one)
    return [by_spelling[found] for found in difflib.get_close_matches(name.lower(), by_spelling, count, 0.6)]


def missing(module: str, name: str, known: Iterable[str]) -> AttributeError:
    """Make the error for a name that a module does not have; the caller raises it.

    Parameters
    ----------
    module : str
        The module's ``__name__``.
    name : str
        The name that was asked for.
    known : iterable of str
        The names the module has.

    Returns
    -------
    AttributeError
        Says the torch name, the nearest names there are, and where to look.

    Examples
    --------
    A module's ``__getattr__`` is two lines:

    >>> def __getattr__(name):
    ...     raise missing("retrograd.nn", name, ["Linear", "ReLU"])
    >>> __getattr__("Linaer")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    AttributeError: torch.nn.Linaer is not in retrograd; the nearest name is torch.nn.Linear. ...
    """
    place = torch_name(module)
    if name.startswith("__"):  # Python's own protocols ask often, and nobody reads the answer
        return AttributeError(f"module {place!r} has no attribute {name!r}", name=name)
    near = [f"{place}.{one}" for one in nearest(name, known)]
    return AttributeError(f"{place}.{name} is not in retrograd{_hint(near)}. {WHERE}.", name=name)


def missing_module(module: str, known: Iterable[str]) -> ModuleNotFoundError:
    """Make the error for a module that is imported by torch's name and is not there.

    Parameters
    ----------
    module : str
        The module's full name, such as ``torch.optim.lr_schedule``.
    known : iterable of str
        The full names of its neighbours.

    Returns
    -------
    ModuleNotFoundError
        Says the torch name, the nearest modules there are, and where to look.

    Examples
    --------
    >>> missing_module("torch.optin", ["torch.optim"]).name
    'torch.optin'
    """
    leaves = {one.rpartition(".")[2]: one for one in known}
    near = [leaves[one] for one in nearest(module.rpartition(".")[2], leaves)]
    return ModuleNotFoundError(f"No module named {module!r} in retrograd{_hint(near)}. {WHERE}.", name=module)


def _hint(near: list[str]) -> str:
    if not near:
        return ""
    return f"; the nearest name is {near[0]}" if len(near) == 1 else f"; the nearest names are {', '.join(near)}"
