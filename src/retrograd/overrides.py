"""torch.overrides: ``__torch_function__``, by which classes handle torch's functions themselves, and modes that see every call."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from .core import BaseTensor
from .tensor import protocol as _p


def is_tensor_like(inp: Any) -> bool:
    """Tell whether a value is a Tensor, or has ``__torch_function__``.

    Examples
    --------
    >>> is_tensor_like(3.0)
    False
    """
    return isinstance(inp, BaseTensor) or hasattr(type(inp), "__torch_function__")


def has_torch_function(relevant_args: Any) -> bool:
    """Tell whether one of some values, or a mode, wants to handle calls itself."""
    state = _p.STATE
    if state.modes and not state.all_off:
        return True
    return not state.off and bool(_p.overloaded(list(relevant_args)))


def has_torch_function_unary(x: Any) -> bool:
    """Tell of one value what ``has_torch_function`` tells of several."""
    return has_torch_function((x,))


def has_torch_function_variadic(*args: Any) -> bool:
    """Tell of its arguments what ``has_torch_function`` tells of a tuple."""
    return has_torch_function(args)


def handle_torch_function(public_api: Any, relevant_args: Any, *args: Any, **kwargs: Any) -> Any:
    """Let the mode or the arguments that have ``__torch_function__`` handle a call.

    Parameters
    ----------
    public_api : callable
        The function that was called.
    relevant_args : iterable
        The arguments among which handlers are looked for.
    *args
        The arguments of the call.
    **kwargs
        Its keywords.

    Returns
    -------
    object
        What the first handler that does not decline gives.
    """
    return _p.handle(public_api, [] if _p.STATE.off else _p.overloaded(list(relevant_args)), args, kwargs)


def wrap_torch_function(dispatcher: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function one that ``__torch_function__`` can handle.

    Parameters
    ----------
    dispatcher : callable
        Gives, of the function's arguments, those among which handlers are looked for.

    Returns
    -------
    callable
        A decorator.
    """

    def decorate(func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return func(*args, **kwargs)

        return wrapped

    return decorate


def is_tensor_method_or_property(func: Any) -> bool:
    """Tell whether a function is a Tensor's method, or reads or writes a property."""
    from .tensor import METHODS

    return getattr(func, "__name__", "") in ("__get__", "__set__", "__delete__") or func in METHODS.values()


@functools.cache
def _names() -> dict[Any, str]:
    from . import fft, functional, linalg, nn, special
    from .tensor import FUNCTIONS, Tensor

    found: dict[Any, str] = {}
    rooms: list[tuple[str, Any]] = [("torch.nn.functional", vars(nn.functional))]
    rooms += [(f"torch.{m.__name__.rpartition('.')[2]}", vars(m)) for m in (linalg, fft, special, functional)]
    for prefix, names in [("torch", FUNCTIONS), *rooms, ("torch.Tensor", {n: getattr(Tensor, n) for n in dir(Tensor)})]:
        for name, fn in names.items():
            if isinstance(fn, property):
                found.setdefault(fn.__get__, f"{prefix}.{name}.__get__")
            elif callable(fn) and not isinstance(fn, type) and (prefix == "torch.Tensor" or not name.startswith("_")):
                found.setdefault(fn, f"{prefix}.{name}")
    return found


def resolve_name(f: Any) -> str | None:
    """Give the name by which a function that ``__torch_function__`` was given is known; None of others.

    Examples
    --------
    >>> import retrograd as torch
    >>> resolve_name(torch.relu)
    'torch.relu'
    """
    return f if isinstance(f, str) else _names().get(f)


def _homes() -> dict[Any, dict[str, Any]]:
    """Give torch's namespaces and what is in each that ``__torch_function__`` is asked about."""
    import retrograd

    from . import fft, functional, linalg, nn, special
    from .tensor import FUNCTIONS, Tensor

    found: dict[Any, dict[str, Any]] = {retrograd: FUNCTIONS}
    for home in (functional, nn.functional, linalg, fft, special):
        found[home] = {name: getattr(home, name, None) for name in getattr(home, "__all__", vars(home))}
    found[Tensor] = {name: getattr(Tensor, name) for name in dir(Tensor)}
    return found


@functools.cache
def get_ignored_functions() -> set[Any]:
    """Give the functions that are run as they are whatever their arguments' classes.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.is_tensor in get_ignored_functions()
    True
    """
    import retrograd

    from .tensor import Tensor

    names = sorted(_p.LEFT_ALONE | _p.MODES_ONLY)
    makers = (
        "arange",
        "empty",
        "eye",
        "full",
        "linspace",
        "logspace",
        "ones",
        "rand",
        "randint",
        "randn",
        "randperm",
        "zeros",
    )
    places = [getattr(home, name, None) for name in (*names, *makers) for home in (retrograd, Tensor)]
    return {fn for fn in places if fn is not None}


@functools.cache
def get_overridable_functions() -> dict[Any, list[Any]]:
    """Give the functions that ``__torch_function__`` is asked about, by the namespace they are in.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.relu in get_overridable_functions()[torch.nn.functional]
    True
    """
    ignored = get_ignored_functions()
    found: dict[Any, list[Any]] = {}
    for home, names in _homes().items():
        held = found[home] = []
        for name, fn in names.items():
            if isinstance(fn, property):
                held.append(fn.__get__)
            elif isinstance(fn, type) or not callable(fn) or fn in ignored:
                continue
            elif not name.startswith("_") or name in _p.DUNDERS:
                held.append(fn)
    return found


@functools.cache
def get_testing_overrides() -> dict[Any, Callable[..., Any]]:
    """Give, for each function that can be overridden, one of its signature that gives -1.

    Examples
    --------
    >>> import retrograd as torch
    >>> get_testing_overrides()[torch.relu](torch.ones(2))
    -1
    """
    found: dict[Any, Callable[..., Any]] = {}
    for fns in get_overridable_functions().values():
        for fn in fns:
            try:
                signature = inspect.signature(fn)
            except (TypeError, ValueError):
                continue

            def dummy(*args: Any, **kwargs: Any) -> int:
                return -1

            dummy.__signature__ = signature  # type: ignore[attr-defined]
            found[fn] = dummy
    return found


def get_default_nowrap_functions() -> set[Any]:
    """Give the properties whose values Tensor's own ``__torch_function__`` gives as they are."""
    return _p.NOWRAP


def _get_current_function_mode() -> Any:
    """Give the mode entered last in this thread, or None."""
    return _p.STATE.modes[-1] if _p.STATE.modes else None


def _get_current_function_mode_stack() -> list[Any]:
    """Give the modes entered in this thread, the first one first."""
    return list(_p.STATE.modes)


def _len_torch_function_stack() -> int:
    """Give how many modes are entered in this thread."""
    return len(_p.STATE.modes)


class TorchFunctionMode:
    """A block whose calls of torch's functions pass through its ``__torch_function__``.

    Within that, the mode itself is not asked again, and those entered before it are.

    Examples
    --------
    >>> import retrograd as torch
    >>> class Count(TorchFunctionMode):
    ...     calls = 0
    ...
    ...     def __torch_function__(self, func, types, args=(), kwargs=None):
    ...         self.calls += 1
    ...         return func(*args, **(kwargs or {}))
    >>> with Count() as count:
    ...     y = torch.ones(2) + 1
    >>> count.calls
    2
    """

    inner: Any = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Handle a call: what it gives is the call's result."""
        raise NotImplementedError

    def __enter__(self) -> Any:
        _p.install()
        _names.cache_clear()
        _p.push(self)
        return self

    def __exit__(self, *error: Any) -> None:
        _p.pop()

    @classmethod
    def push(cls, *args: Any, **kwargs: Any) -> Any:
        """Make one, to be entered."""
        return cls(*args, **kwargs)


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that calls the function."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function."""
        return func(*args, **(kwargs or {}))


__all__ = [
    "BaseTorchFunctionMode",
    "TorchFunctionMode",
    "get_default_nowrap_functions",
    "get_ignored_functions",
    "get_overridable_functions",
    "get_testing_overrides",
    "handle_torch_function",
    "has_torch_function",
    "has_torch_function_unary",
    "has_torch_function_variadic",
    "is_tensor_like",
    "is_tensor_method_or_property",
    "resolve_name",
    "wrap_torch_function",
]
