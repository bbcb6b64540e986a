"""Tensors on the meta device: a shape, strides and a dtype, and no bytes. Operations on them run their type rules alone.

The array of such a tensor is a MetaArray, which lies in a reservation of address space that is never backed by memory: views of
it are real views. From the first one made in a process on, the door, and what calls operations on arrays, look for them and run
an operation's type rule in place of its NumPy function; until then nothing is looked for. What no rule covers, such as a check of
indices, reads zeros.
"""

from __future__ import annotations

import mmap
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from .op import Op
from .rows import SparseOperand
from .types import TensorType

_LOCK = threading.Lock()
_LEAST = 1 << 26
_MOST = 1 << 44  # bytes reserved at most: an eighth of the address space of a process
_held: Any = b""


def _region(count: int) -> Any:
    """Give at least a number of bytes of address space that reads as zeros and cannot be written to."""
    global _held
    if len(_held) < count:
        with _LOCK:
            if len(_held) < count:
                size = max(count, min(2 * len(_held), _MOST), _LEAST)
                flags = getattr(mmap, "MAP_PRIVATE", None)
                if flags is None:  # Windows
                    _held = mmap.mmap(-1, size, access=mmap.ACCESS_READ)
                else:
                    flags |= mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
                    _held = mmap.mmap(-1, size, flags=flags, prot=mmap.PROT_READ)
    return _held


def _wide(shape: tuple[int, ...], dtype: Any) -> Any:
    """Give an array larger than what can be reserved: its shape and its steps are right, and it must not be read."""
    steps = [dtype.itemsize] * len(shape)
    for d in range(len(shape) - 2, -1, -1):
        steps[d] = steps[d + 1] * max(shape[d + 1], 1)
    start = np.frombuffer(_region(_LEAST), dtype, 1)
    return np.lib.stride_tricks.as_strided(start, shape, steps, writeable=False).view(MetaArray)


class MetaArray(np.ndarray):
    """An array whose elements are nowhere: reads give zeros, writes are dropped."""

    def __setitem__(self, index: Any, value: Any) -> None:
        pass

    def fill(self, value: Any) -> None:
        """Do nothing: there is nothing to fill."""

    def copy(self, order: Any = "C") -> Any:
        """Give another one of this shape and dtype."""
        return blank(self.shape, self.dtype)

    def reshape(self, *shape: Any, order: Any = "C", **options: Any) -> Any:
        """Give a view of another shape where the strides allow one."""
        try:
            view = np.ndarray.reshape(self.view(np.ndarray), *shape, order=order, copy=False)
            return view.view(MetaArray)
        except (TypeError, ValueError):
            pass
        given = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        given = tuple(given) if isinstance(given, (tuple, list)) else (given,)
        known = 1
        for size in given:
            known *= size if size >= 0 else 1
        if given.count(-1) == 1 and known and not self.size % known:
            given = tuple(self.size // known if size < 0 else size for size in given)
        elif known != self.size or min(given, default=0) < 0:
            raise ValueError(f"cannot reshape array of size {self.size} into shape {given}")
        return blank(given, self.dtype)

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    def astype(self, dtype: Any, *args: Any, **options: Any) -> Any:
        """Give one of this shape and another dtype."""
        return blank(self.shape, np.dtype(dtype))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        """Give what a function of elements would: its shape and dtype."""
        if method == "at":
            return None
        if out is not None and all(isinstance(o, MetaArray) for o in out):
            return out[0] if len(out) == 1 else out
        if method == "__call__" and ufunc.signature is None and ufunc.nout == 1 and out is None:
            kinds = [x.dtype if isinstance(x, (np.ndarray, np.generic)) else type(x) for x in inputs]
            try:
                dtype = ufunc.resolve_dtypes((*kinds, None))[-1]
            except TypeError:
                pass
            else:
                shape = np.broadcast_shapes(*[np.shape(x) for x in inputs])
                return blank(shape, options.get("dtype") or dtype)
        inputs = tuple([x.view(np.ndarray) if isinstance(x, MetaArray) else x for x in inputs])
        if out is not None:
            options["out"] = tuple([np.empty(o.shape, o.dtype) if isinstance(o, MetaArray) else o for o in out])
        r = getattr(ufunc, method)(*inputs, **options)
        return r.view(MetaArray) if isinstance(r, np.ndarray) else r

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Run NumPy's function, but for those that only copy or fill."""
        if func is np.copyto:
            if isinstance(args[0], MetaArray):
                return None
            raise no_data()
        if func in _LIKES:
            a = args[0]
            dtype, shape = kwargs.get("dtype"), kwargs.get("shape")
            return blank(a.shape if shape is None else shape, np.dtype(a.dtype if dtype is None else dtype))
        return super().__array_function__(func, types, args, kwargs)


_LIKES = frozenset((np.zeros_like, np.ones_like, np.empty_like, np.full_like))


def no_data(remedy: str = "") -> NotImplementedError:
    """Make the error for values that are asked for."""
    return NotImplementedError(f"Cannot copy out of meta tensor; no data!{remedy}")


def depends(name: str) -> NotImplementedError:
    """Make the error for a result whose shape depends on values."""
    return NotImplementedError(f"{name}: the shape of its result depends on values, which meta tensors have not")


def blank(shape: Any, dtype: Any) -> Any:
    """Give an array without elements of a shape and dtype."""
    if not INSTALLED:
        install()
    count = dtype.itemsize
    for size in shape:
        count *= size
    if count > _MOST:
        return _wide(tuple(shape), dtype)
    return MetaArray(tuple(shape), dtype, buffer=_region(count))


# -- operations -------------------------------------------------------------------------------------------------------------
_SHADOWS: dict[Op, Op] = {}
DEPENDS_ON_VALUES: set[str] = {"nonzero", "masked_select", "unique", "bincount"}
INSTALLED: list[Any] = []
LATER: list[Callable[[], None]] = []  # called at the first one made: what floors above have to do then


def shadow(op: Op) -> Op:
    """Give an operation's other form: all that it is, but for its NumPy function, in whose place its type rule is asked."""
    found = _SHADOWS.get(op)
    if found is None:
        found = object.__new__(Op)
        found.__dict__.update(op.__dict__)
        found.numpy = _inferred(op)
        found.large = found.quick_door = found.layout = None
        _SHADOWS[op] = found
    return found


def _inferred(op: Op) -> Callable[..., Any]:
    def run(*xs: Any, **attrs: Any) -> Any:
        if op.view:
            return op.numpy(*xs, **attrs).view(MetaArray)
        if op.name in DEPENDS_ON_VALUES:
            raise depends(op.name)
        types = [TensorType(x.shape, x.dtype) if isinstance(x, np.ndarray) else None for x in xs]
        try:
            found: Any = op.type(*types, **attrs)
        except TypeError as error:
            if any(kind is not None and kind.dtype.kind == "b" for kind in types[1:]):  # indexed by a mask
                raise depends(op.name) from None
            raise error
        if op.outputs != 1:
            return tuple(blank(part.shape, part.dtype) for part in found)
        return blank(found.shape, found.dtype)

    return run


def is_meta(x: Any) -> bool:
    """Tell whether an array, or a tensor, is one of these."""
    if not isinstance(x, np.ndarray):
        try:
            x = getattr(x, "_a", None)
        except (ValueError, SparseOperand):  # a tensor that has no array, or none yet
            return False
    return x.__class__ is MetaArray


def guard(fn: Any, otherwise: Callable[..., Any]) -> Any:
    """Let a function object call ``otherwise(original, *args, **kwargs)`` from now on; give the original.

    Whoever holds the function holds the guarded one.
    """
    original = type(fn)(fn.__code__, fn.__globals__, fn.__name__, fn.__defaults__, fn.__closure__)
    original.__kwdefaults__ = fn.__kwdefaults__
    scope: dict[str, Any] = {}
    exec(compile("def guard(*a, **k):\n    return __otherwise__(__original__, *a, **k)\n", __file__, "exec"), scope)
    code = scope["guard"].__code__
    key = f"_meta_{fn.__name__}"
    names = {"__otherwise__": key, "__original__": f"{key}_original"}
    fn.__globals__[key], fn.__globals__[f"{key}_original"] = otherwise, original
    fn.__defaults__ = fn.__kwdefaults__ = None
    fn.__code__ = code.replace(
        co_name=fn.__name__,
        co_qualname=fn.__qualname__,
        co_names=tuple(names.get(name, name) for name in code.co_names),
        co_freevars=fn.__code__.co_freevars,
    )
    return original


def _apply(original: Any, op: Op, /, *xs: Any, **attrs: Any) -> Any:
    for x in xs:
        if getattr(x, "_a", None).__class__ is MetaArray:
            return original(shadow(op), *xs, **attrs)
    return original(op, *xs, **attrs)


def _call(original: Any, op: Op, /, *xs: Any, **attrs: Any) -> Any:
    for x in xs:
        if x.__class__ is MetaArray:
            return shadow(op).numpy(*xs, **attrs)
    return original(op, *xs, **attrs)


def install() -> None:
    """Let operations look for these arrays, once in a process."""
    from . import door

    with _LOCK:
        if INSTALLED:
            return
        INSTALLED.append(True)
    guard(door.apply, _apply)
    guard(Op.__call__, _call)
    for then in LATER:
        then()


__all__ = ["LATER", "MetaArray", "blank", "guard", "is_meta", "no_data"]
