"""``__torch_function__``: classes that handle torch's functions themselves, and the guards that find their instances.

Functions are as they were written until the first class that wants the protocol is defined, or the first mode entered. Then a
guard is put into each function object, as autocast does: whoever holds the function holds the guarded one. A guard looks for an
argument (also in a list or tuple) whose class has its own ``__torch_function__`` or is a subclass of Tensor made outside of
the library, and calls that with the function; within the default one, the guards of this thread let everything pass.
"""

from __future__ import annotations

import importlib
import inspect
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

from ..core import MODE, BaseTensor, tensor_class

NAME = "__torch_function__"


class _Disabled:
    """What a class has as its ``__torch_function__`` that wants functions to run as they are."""

    def __call__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with Off():
            return func(*args, **(kwargs or {}))


disabled = _Disabled()


class _State(threading.local):
    off = False  # whether instances are left alone
    all_off = False  # whether modes are too
    modes: Any = ()


STATE = _State()
LOCK = threading.Lock()
ENTERED = [0]  # how many modes all threads have entered: none, and guards need not ask their thread


class Off:
    """A block in which this thread's functions run as they are; with modes, ``DisableTorchFunction``."""

    modes = False

    def __enter__(self) -> None:
        self.before = STATE.off, STATE.all_off
        STATE.off = True
        STATE.all_off = STATE.all_off or self.modes

    def __exit__(self, *error: Any) -> None:
        STATE.off, STATE.all_off = self.before


class AllOff(Off):
    """A block in which neither instances nor modes are called."""

    modes = True


def _wanted(cls: type) -> bool:
    """Tell whether a class handles functions: by its own handler, or as a subclass of Tensor that is not the library's."""
    plain = tensor_class()
    for base in cls.__mro__:
        own = base.__dict__.get(NAME)
        if own is disabled:
            return False
        if base is plain:
            return cls is not plain
        if own is not None:
            return True
        if issubclass(base, BaseTensor) and base.__module__.startswith("retrograd."):
            return False
    return False


class _Wants(dict[type, int]):
    """By type: 1 for those that handle functions, 2 for what may hold such, 0 for the rest."""

    def __missing__(self, cls: type) -> int:
        self[cls] = found = 1 if _wanted(cls) else 2 if issubclass(cls, (list, tuple)) else 0
        return found


WANTS = _Wants()


def overloaded(values: Any) -> list[Any]:
    """Give the arguments that handle functions, one of each type, subclasses before their bases."""
    found: list[Any] = []
    for x in _looked_at(values):
        cls = type(x)
        if WANTS[cls] == 1 and all(type(other) is not cls for other in found):
            place = next((i for i, other in enumerate(found) if issubclass(cls, type(other))), len(found))
            found.insert(place, x)
    return found


def _looked_at(values: Any) -> Iterator[Any]:
    for x in values:
        if WANTS[type(x)] == 2:
            yield from x
        else:
            yield x


def push(mode: Any) -> None:
    """Enter a mode in this thread."""
    STATE.modes = (*STATE.modes, mode)
    with LOCK:
        ENTERED[0] += 1


def pop() -> Any:
    """Leave the mode of this thread that was entered last, and give it."""
    *rest, mode = STATE.modes
    STATE.modes = tuple(rest)
    with LOCK:
        ENTERED[0] -= 1
    return mode


def handle(func: Any, found: list[Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """Ask the mode, then the arguments, to handle a call; TypeError where all decline."""
    kinds = tuple(type(x) for x in found)
    modes = STATE.modes
    if modes and not STATE.all_off:
        mode, STATE.modes = modes[-1], modes[:-1]
        try:
            r = mode.__torch_function__(func, kinds, args, kwargs)
        finally:
            STATE.modes = modes
        if r is not NotImplemented:
            return r
    for x in found:
        r = x.__torch_function__(func, kinds, args, kwargs)
        if r is not NotImplemented:
            return r
    name = getattr(func, "__name__", repr(func))
    raise TypeError(
        f"Multiple dispatch failed for 'torch.{name}'; all __torch_function__ handlers returned NotImplemented:\n\n"
        + "\n".join(f"  - tensor subclass {kind}" for kind in kinds)
    )


def _convert(r: Any, cls: type) -> Any:
    """Make the tensors in a result instances of a class."""
    plain = tensor_class()
    if cls is plain:
        return r
    if isinstance(r, BaseTensor):
        if isinstance(r, cls) or r._composite:
            return r
        node = r._node
        if node is not None and node.op is None and node.requires_grad and not MODE.grad:
            r = r.view_as(r)  # a leaf stays the one that its gradient is for
        if getattr(MODE.trace, "compiling", False):  # a program gives plain tensors: such a call runs as it is
            MODE.trace.asked(r, f"shape of an instance of {cls.__name__}")
        return r.as_subclass(cls)
    if isinstance(r, (tuple, list)):
        made = [_convert(x, cls) for x in r]
        if all(a is b for a, b in zip(made, r, strict=True)):
            return r
        return type(r)(*made) if hasattr(r, "_fields") else type(r)(made)
    return r


def default(cls: type, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """Run a function as it is and make what it gives instances of the class: what Tensor's own ``__torch_function__`` does."""
    if not all(issubclass(cls, kind) for kind in types):
        return NotImplemented
    with Off():
        r = func(*args, **(kwargs or {}))
        return r if func in NOWRAP else _convert(r, cls)


# -- guards ----------------------------------------------------------------------------------------------------------------
NOWRAP: set[Any] = set()  # what gives a tensor that is kept, and must stay the same object


def _before(
    original: Any, public: Callable[[], Any], binary: bool = False, modes_only: bool = False
) -> Callable[[Any, Any], Any]:
    """Give what a guard does; ``binary`` for operators, whose TypeErrors let the other operand try."""

    def before(args: Any, kwargs: Any) -> Any:
        if not ENTERED[0]:
            for x in args:
                if WANTS[type(x)]:
                    break
            else:
                if not kwargs:
                    return original(*args)
                for x in kwargs.values():
                    if WANTS[type(x)]:
                        break
                else:
                    return original(*args, **kwargs)
        found = [] if STATE.off or modes_only else overloaded((*args, *kwargs.values()) if kwargs else args)
        if not found and (STATE.all_off or not STATE.modes):
            return original(*args, **kwargs)
        if not binary:
            return handle(public(), found, args, kwargs)
        try:
            return handle(public(), found, args, kwargs)
        except TypeError:
            return NotImplemented

    return before


def _guard(fn: Any, public: Any = None, binary: bool = False) -> None:
    """Put a guard into a function object."""
    if id(fn) in _GUARDED:
        return
    signature = inspect.signature(fn)
    original = types.FunctionType(fn.__code__, fn.__globals__, fn.__name__, fn.__defaults__, fn.__closure__)
    original.__kwdefaults__ = fn.__kwdefaults__
    original.__qualname__, original.__module__ = fn.__qualname__, fn.__module__
    original.__signature__ = signature  # type: ignore[attr-defined]
    _GUARDED[id(fn)] = fn, original
    before = _before(original, public or (lambda: fn), binary, fn.__name__ in MODES_ONLY)
    scope: dict[str, Any] = {}
    exec(compile("def guard(*args, **options):\n    return __before__(args, options)\n", __file__, "exec"), scope)
    code = scope["guard"].__code__
    key = f"_torch_function_{len(_GUARDED)}"
    fn.__globals__[key] = before
    fn.__signature__ = signature
    fn.__defaults__ = fn.__kwdefaults__ = None
    fn.__code__ = code.replace(
        co_name=fn.__name__,
        co_qualname=fn.__qualname__,
        co_names=tuple(key if name == "__before__" else name for name in code.co_names),
        co_freevars=fn.__code__.co_freevars,
    )


_GUARDED: dict[int, tuple[Any, Any]] = {}


def below(fn: Any) -> Any:
    """Give the function that a guard here stands before; itself where there is none."""
    return _GUARDED.get(id(fn), (fn, fn))[1]


def _guarded_property(cls: type, name: str, held: property) -> None:
    """Replace a property by one whose reading, writing and deleting are guarded."""
    parts: list[Any] = []
    for fn, way in ((held.fget, "__get__"), (held.fset, "__set__"), (held.fdel, "__delete__")):
        if fn is None:
            parts.append(None)
            continue
        before = _before(fn, lambda way=way: getattr(made, way))  # type: ignore[misc]
        parts.append(lambda *args, before=before: before(args, {}))
    get, put, remove = parts
    made: Any = property(get, put, remove, held.__doc__)
    setattr(cls, name, made)
    if name in ("grad", "_base", "_grad"):
        NOWRAP.add(made.__get__)


# what operators are handed on as: a Tensor's method of that name
OPERATORS = {
    **{f"__{side}{name}__": name for name in ("add", "mul") for side in ("", "r")},
    "__sub__": "sub",
    "__truediv__": "div",
    "__mod__": "remainder",
    "__matmul__": "matmul",
    "__pow__": "pow",
    "__iadd__": "add_",
    "__isub__": "sub_",
    "__imul__": "mul_",
    "__itruediv__": "div_",
    "__ipow__": "pow_",
    "__imod__": "remainder_",
    "__ifloordiv__": "floor_divide_",
    **{f"__{name}__": name for name in ("lt", "le", "gt", "ge", "ne")},
    **{f"__r{name}__": f"bitwise_{name}" for name in ("and", "or", "xor")},
}
ANONYMOUS = {"method", "getitem", "setitem", "_inverted"} | {
    f"bitwise_{name}_" for name in ("and", "or", "xor", "left_shift", "right_shift")
}
DUNDERS = set(OPERATORS) | {
    *("__eq__", "__rsub__", "__rtruediv__", "__floordiv__", "__rfloordiv__", "__rmod__", "__rpow__", "__rmatmul__"),
    *("__and__", "__or__", "__xor__", "__lshift__", "__rshift__", "__rlshift__", "__rrshift__"),
    *("__iand__", "__ior__", "__ixor__", "__ilshift__", "__irshift__", "__invert__"),
    *("__getitem__", "__setitem__", "__deepcopy__", "__reduce_ex__", "__array__", "__bool__", "__int__", "__float__"),
    *("__complex__", "__index__", "__len__", "__contains__", "__repr__", "__format__"),
}
BINARY = {name for name in DUNDERS if name in OPERATORS or name.strip("_")[:1] in "rfaolix"} - {
    *("__repr__", "__reduce_ex__", "__len__", "__index__", "__int__", "__float__", "__format__", "__array__"),
    "__invert__",
}
# what PyTorch runs as it is, whatever its arguments are
LEFT_ALONE = {
    *("as_subclass", "is_tensor", "from_numpy", "frombuffer", "from_dlpack"),
    *("result_type", "promote_types", "can_cast", "typename", "is_storage", "manual_seed", "set_printoptions"),
    *("broadcast_shapes", "is_grad_enabled", "set_grad_enabled", "vmap", "compile"),
}
MODES_ONLY = {"tensor", "as_tensor", "asarray"}  # what asks modes, and no arguments
MODULES = ("nn.functional", "linalg", "fft", "special", "functional", "nn.native")


def _own(fn: Any) -> bool:
    """Tell whether a function was written here: those that programs put into the class are left as they are."""
    return isinstance(fn, types.FunctionType) and fn.__globals__.get("__name__", "").startswith("retrograd.")


def _guard_methods(plain: Any) -> None:
    for cls in plain.__mro__:
        if cls in (object, BaseTensor):
            continue
        for name, held in list(vars(cls).items()):
            if name in LEFT_ALONE or (name.startswith("_") and name not in DUNDERS and not isinstance(held, property)):
                continue
            if isinstance(held, property):
                if all(_own(fn) for fn in (held.fget, held.fset) if isinstance(fn, types.FunctionType)):
                    _guarded_property(cls, name, held)
            elif _own(held):
                if name.startswith("__") and name not in OPERATORS and held.__name__ in ANONYMOUS:
                    held.__name__, held.__qualname__ = name, f"Tensor.{name}"
                shown = OPERATORS.get(name)
                public = None if shown is None else (lambda shown=shown: getattr(plain, shown))
                _guard(held, public, name in BINARY)


def install() -> None:
    """Guard torch's functions, once in a process."""
    if _GUARDED:
        return
    from . import creation
    from .dispatch import FUNCTIONS

    plain = tensor_class()
    _guard_methods(plain)
    found: list[Any] = [fn for name, fn in FUNCTIONS.items() if name not in LEFT_ALONE]
    found += [getattr(creation, name) for name in MODES_ONLY]
    for home in MODULES:
        module = importlib.import_module(f"retrograd.{home}")
        names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
        found += [getattr(module, name, None) for name in names if name not in LEFT_ALONE]
    found.append(importlib.import_module("retrograd.autograd").grad)
    for fn in found:
        if isinstance(fn, types.FunctionType):
            _guard(fn)


def met(values: Any) -> bool:
    """Tell, of a call that failed, whether an argument handles functions and no guard was there to see it; there is now."""
    if _GUARDED or not overloaded(values):
        return False
    install()
    return True


def defined(cls: type) -> None:
    """See a new subclass of Tensor."""
    if not _GUARDED and not cls.__module__.startswith("retrograd.") and _wanted(cls):
        install()


__all__ = [
    "AllOff",
    "ENTERED",
    "Off",
    "STATE",
    "WANTS",
    "below",
    "default",
    "defined",
    "disabled",
    "handle",
    "install",
    "met",
    "overloaded",
    "pop",
    "push",
]
