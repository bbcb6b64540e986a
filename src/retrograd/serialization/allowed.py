"""The classes and functions that a weights-only load may use, and what they may be given."""

from __future__ import annotations

import _compat_pickle
import functools
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from pickle import UnpicklingError
from types import BuiltinFunctionType, FunctionType, TracebackType
from typing import Any

from ..core.device import device
from ..core.dtypes import dtype
from . import names, rebuild

BLOCKED = ("sys", "os", "posix", "nt")  # refused even when a user allows something of them
TEXT_ENCODINGS = ("latin1", "latin-1", "iso-8859-1", "ascii", "utf-8", "utf8")

_user: list[Any] = []


# -- what a user has allowed -------------------------------------------------------------------------------------------
def add_safe_globals(safe_globals: Iterable[Any]) -> None:
    """Allow classes and functions in weights-only loads from now on.

    An entry is a class, a function, or a pair of one and the full name under which files know it.

    Examples
    --------
    >>> import fractions
    >>> import retrograd as torch
    >>> torch.serialization.add_safe_globals([fractions.Fraction])
    >>> torch.serialization.get_safe_globals()
    [<class 'fractions.Fraction'>]
    >>> torch.serialization.clear_safe_globals()
    """
    for entry in safe_globals:
        if entry not in _user:
            _user.append(entry)


def get_safe_globals() -> list[Any]:
    """Give the classes and functions that the user has allowed in weights-only loads."""
    return list(_user)


def clear_safe_globals() -> None:
    """Forget the classes and functions that the user has allowed in weights-only loads."""
    _user.clear()


class safe_globals:
    """Allow classes and functions in weights-only loads inside a ``with`` block.

    Examples
    --------
    >>> import fractions
    >>> import retrograd as torch
    >>> with torch.serialization.safe_globals([fractions.Fraction]):
    ...     torch.serialization.get_safe_globals()
    [<class 'fractions.Fraction'>]
    """

    def __init__(self, safe_globals: Iterable[Any]) -> None:
        self.safe_globals = list(safe_globals)

    def __enter__(self) -> None:
        self.before = get_safe_globals()
        add_safe_globals(self.safe_globals)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _user[:] = [entry for entry in _user if entry in self.before or entry not in self.safe_globals]


def user_globals() -> dict[str, Any]:
    """Give what the user has allowed, by full name."""
    found = {}
    for entry in _user:
        if isinstance(entry, tuple):
            if len(entry) != 2:
                raise ValueError(f"a safe global given as a tuple is (object, full name), not {len(entry)} items")
            if type(entry[1]) is not str:
                raise TypeError(f"the full name of a safe global must be a str, not {type(entry[1]).__name__}")
            found[entry[1]] = entry[0]
        else:
            found[f"{entry.__module__}.{entry.__qualname__}"] = entry
    return found


def user_classes() -> tuple[type, ...]:
    """Give the classes that the user has allowed."""
    return tuple(entry for entry in user_globals().values() if isinstance(entry, type))


def is_instance(found: Any) -> bool:
    """Tell whether an object is of a class that the user has allowed."""
    return bool(_user) and isinstance(found, user_classes())


def is_token(found: Any) -> bool:
    """Tell whether an object is a dtype, a device or another constant of the library."""
    return isinstance(found, (dtype, device, names.StorageType))


# -- lookups by name ---------------------------------------------------------------------------------------------------
def python3_name(module: str, name: str) -> tuple[str, str]:
    """Translate Python 2's name of a class or function, which protocol 2 writes."""
    if (module, name) in _compat_pickle.NAME_MAPPING:
        return _compat_pickle.NAME_MAPPING[module, name]
    return _compat_pickle.IMPORT_MAPPING.get(module, module), name


@functools.lru_cache(maxsize=1)
def always_allowed() -> dict[str, Any]:
    """Give the table of full names that need nobody's permission."""
    table: dict[str, Any] = {f"torch.{name}": kind for name, kind in names.STORAGES.items()}
    table |= {f"torch.storage.{name}": kind for name, kind in names.STORAGES.items()}
    table |= {f"torch.{name}": found for name, found in names.constants().items()}
    table |= {f"torch._utils.{name}": function for name, function in rebuild.FUNCTIONS.items()}
    size, tensor, parameter = names.size_class(), names.tensor_class(), names.parameter_class()
    return table | {
        "torch.Size": size,
        "torch.device": device,
        "torch.Tensor": tensor,
        "torch._tensor.Tensor": tensor,
        "torch.nn.parameter.Parameter": parameter,
        "torch._tensor._rebuild_from_type_v2": rebuild.rebuild_from_type_v2,
        "torch.serialization._get_layout": names.get_layout,
        "collections.OrderedDict": OrderedDict,
        "collections.Counter": Counter,
        "_codecs.encode": encode_text,
        "builtins.bytes": bytes,
        "builtins.bytearray": bytearray,
        "builtins.set": set,
        "builtins.frozenset": frozenset,
        "builtins.complex": complex,
    }


def find(module: str, name: str) -> Any:
    """Give the class, function or constant of this name; UnpicklingError, naming it, if it is not allowed."""
    full = f"{module}.{name}"
    if module in BLOCKED:
        raise UnpicklingError(
            f"Weights only load failed: the file uses {full}, whose module {module} is blocked: loading it could run "
            "any command. Do not load this file unless you made it yourself; then use weights_only=False."
        )
    table = always_allowed()
    if full in table:
        return table[full]
    users = user_globals()
    if full in users:
        return users[full]
    if full.startswith("torch."):
        ours = names.resolve(module, name, missing=None)
        if ours is not None and any(ours is entry for entry in users.values()):
            return ours
    shown = name if module == "builtins" else full
    raise UnpicklingError(
        f"Weights only load failed. Unsupported global: GLOBAL {shown} was not an allowed global by default. "
        "If you trust the source of the file, you have two options:\n"
        f"  (1) allow it: torch.serialization.add_safe_globals([{shown}]), or load inside "
        f"`with torch.serialization.safe_globals([{shown}]):`;\n"
        "  (2) load(..., weights_only=False), which runs whatever code the file contains.\n"
        "To need neither, save tensors and plain data only: torch.save(model.state_dict(), path)."
    )


# -- calls -------------------------------------------------------------------------------------------------------------
def encode_text(text: str, encoding: str = "utf-8", errors: str = "strict") -> bytes:
    """Give the bytes that protocol 2 writes as text."""
    if type(text) is not str or encoding.lower() not in TEXT_ENCODINGS:
        raise UnpicklingError(f"Weights only load failed: bytes cannot be stored as {encoding!r} text.")
    return text.encode(encoding, errors)


def _make_bytearray(data: Any = b"", encoding: str | None = None) -> bytearray:
    if encoding is not None:
        return bytearray(encode_text(data, encoding))
    if not isinstance(data, (bytes, bytearray)):  # a number would reserve that much memory
        raise UnpicklingError("Weights only load failed: a bytearray must be made of bytes.")
    return bytearray(data)


def _make_set(items: Any = ()) -> set[Any]:
    from .restricted import check_key

    if type(items) not in (list, tuple):
        raise UnpicklingError("Weights only load failed: a set must be made of a list.")
    return {check_key(item) for item in items}


def _make_dict(items: Any = ()) -> OrderedDict[Any, Any]:
    from .restricted import check_key

    pairs = items.items() if isinstance(items, dict) else items
    return OrderedDict((check_key(key), value) for key, value in pairs)


def _make_complex(real: float = 0.0, imag: float = 0.0) -> complex:
    if type(real) not in (int, float) or type(imag) not in (int, float):
        raise UnpicklingError("Weights only load failed: a complex number must be made of two numbers.")
    return complex(real, imag)


def _make_size(sizes: Any = ()) -> Any:
    if type(sizes) not in (tuple, list) or not all(type(size) is int for size in sizes):
        raise UnpicklingError("Weights only load failed: a Size must be made of integers.")
    return names.size_class()(sizes)


def _make_counter(counts: Any = ()) -> Counter[Any]:
    return Counter(dict(_make_dict(counts)))


MAKERS: dict[Any, Callable[..., Any]] = {
    bytes: lambda data=b"": bytes(_make_bytearray(data)),
    bytearray: _make_bytearray,
    set: _make_set,
    frozenset: lambda items=(): frozenset(_make_set(items)),
    complex: _make_complex,
    OrderedDict: _make_dict,
    Counter: _make_counter,
    device: device,
    encode_text: encode_text,
    names.get_layout: names.get_layout,
    rebuild.rebuild_from_type_v2: rebuild.rebuild_from_type_v2,
    **{function: function for function in rebuild.FUNCTIONS.values()},
}


def call(function: Any, args: Any) -> Any:
    """Call an allowed function or class; UnpicklingError for any other."""
    if isinstance(args, tuple) and isinstance(function, (type, FunctionType, BuiltinFunctionType)):
        maker = _make_size if function is names.size_class() else MAKERS.get(function)
        if maker is not None:
            return maker(*args)
    if any(function is entry for entry in user_globals().values()):
        return function(*args)
    raise UnpicklingError(f"Weights only load failed: {_shown(function)} may not be called with {_shown(args)}.")


def new(cls: Any, args: Any) -> Any:
    """Make an instance of a class that the user has allowed, or a Parameter."""
    if isinstance(args, tuple) and isinstance(cls, type):
        if cls is names.parameter_class() or cls is names.size_class():
            return cls(*args) if cls is names.parameter_class() else _make_size(*args)
        if cls in user_classes():
            return cls.__new__(cls, *args)
        if cls in (OrderedDict, Counter, set, complex, bytearray):
            return call(cls, args)
    raise UnpicklingError(f"Weights only load failed: no instance of {_shown(cls)} may be made.")


def set_state(instance: Any, state: Any) -> None:
    """Give an instance its attributes, as unpickling does; UnpicklingError if its class is not allowed."""
    if type(instance) is OrderedDict:
        instance.__dict__.update(_attributes(state))
        return
    if not is_instance(instance):
        raise UnpicklingError(
            f"Weights only load failed: the attributes of a {type(instance).__name__} may not be set. Allow its class "
            f"with torch.serialization.add_safe_globals([{type(instance).__qualname__}]) if you trust the file."
        )
    if hasattr(instance, "__setstate__"):
        instance.__setstate__(state)
        return
    slots = None
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    if state:
        instance.__dict__.update(_attributes(state))
    for key, value in _attributes(slots or {}).items():
        setattr(instance, key, value)


def _attributes(state: Any) -> dict[str, Any]:
    if type(state) is not dict or not all(type(key) is str for key in state):
        raise UnpicklingError("Weights only load failed: an object's state must be a dictionary with names as keys.")
    return state


def _shown(found: Any) -> str:
    if isinstance(found, (type, FunctionType, BuiltinFunctionType)):
        return f"{found.__module__}.{found.__qualname__}"
    return f"a {type(found).__name__}"
