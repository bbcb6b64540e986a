"""From Python into generated code: builtins made of addresses, checks of arrays in generated code, and the interpreter lock."""

from __future__ import annotations

import ctypes
import functools
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..codegen.emit import Function, Module, Value, symbol
from . import cache, jit

FASTCALL, NOARGS, ONE = 0x80, 0x04, 0x08  # how CPython calls a builtin: (self, args, n), (self, null), (self, arg)
CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400  # NumPy's flags

# Where CPython and NumPy keep what generated code reads; believed only after `readable` has compared them with Python's view.
TYPE, DATA, NDIM, SHAPE, STRIDES, DTYPE, FLAGS = 8, 16, 24, 32, 40, 56, 64


class _MethodDef(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("meth", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p)]


class _Holder:
    """What a builtin calls ``self``: it keeps its definition and its machine code alive."""

    __slots__ = ("definition", "owner")

    def __init__(self, definition: _MethodDef, owner: object) -> None:
        self.definition, self.owner = definition, owner


def builtin(address: int, owner: object, name: str, flags: int = FASTCALL, state: Any = None) -> Callable[..., Any]:
    """Make a function of Python's own kind from machine code; a call of it takes about 15 ns.

    Parameters
    ----------
    address : int
        Of code for ``PyObject *(PyObject *self, PyObject **args, Py_ssize_t n)``, or as the flags say. It is called with
        the interpreter lock held and returns a new reference, or null with an exception set.
    owner : object
        What keeps the code in memory, as :class:`~retrograd.compiler.runtime.jit.Loaded`.
    name : str
        The function's ``__name__``.
    flags : int
        FASTCALL, NOARGS or ONE.
    state : object, optional
        What the code is given as ``self``; the definition and the code are then kept until the process ends.
    """
    definition = _MethodDef(name.encode(), address, flags, None)
    if state is not None:
        jit.forever(_Holder(definition, owner))
        return _new_function()(ctypes.addressof(definition), state, None)  # type: ignore[no-any-return]
    return _new_function()(ctypes.addressof(definition), _Holder(definition, owner), None)  # type: ignore[no-any-return]


@functools.cache
def _new_function() -> Any:
    make = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.py_object)
    name = "PyCFunction_NewEx" if hasattr(ctypes.pythonapi, "PyCFunction_NewEx") else "PyCFunction_New"
    if name == "PyCFunction_New":
        short = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object)((name, ctypes.pythonapi))
        return lambda definition, self, module: short(definition, self)
    return make((name, ctypes.pythonapi))


@functools.cache
def readable() -> bool:
    """Tell whether arrays are laid out in memory as generated code supposes; compared on arrays of several kinds."""
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return False
    if ctypes.sizeof(ctypes.c_void_p) != 8 or hasattr(sys, "getobjects"):  # a debug build has more in front of objects
        return False
    base = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    frozen = base[0].copy()
    frozen.flags.writeable = False
    trials = (base, base[1, :, ::2], base.T, np.array(3, np.int64), np.zeros((0, 5), np.bool_), frozen)
    return all(_agrees(array) for array in trials)


def _agrees(array: np.ndarray[Any, Any]) -> bool:
    start = id(array)

    def word(offset: int) -> int:
        return ctypes.c_uint64.from_address(start + offset).value

    if word(TYPE) != id(type(array)) or word(DATA) != array.ctypes.data or word(DTYPE) != id(array.dtype):
        return False
    if ctypes.c_int32.from_address(start + NDIM).value != array.ndim:
        return False
    if array.ndim:
        numbers = ctypes.c_int64 * array.ndim
        if tuple(numbers.from_address(word(SHAPE))) != array.shape:
            return False
        if tuple(numbers.from_address(word(STRIDES))) != array.strides:
            return False
    flags, told = ctypes.c_int32.from_address(start + FLAGS).value, array.flags
    wanted = (told.c_contiguous, told.aligned, told.writeable)
    return tuple(bool(flags & bit) for bit in (CONTIGUOUS, ALIGNED, WRITEABLE)) == wanted


def _dtype_names() -> dict[str, np.dtype[Any]]:
    integers = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    names = ["bool", *integers, "float16", "float32", "float64", "complex64", "complex128"]
    found = {name: np.dtype(name) for name in names}
    if "ml_dtypes" in sys.modules:
        found["bfloat16"] = np.dtype(sys.modules["ml_dtypes"].bfloat16)
    return found


@functools.cache
def objects() -> dict[str, int]:
    """Give the addresses of Python's objects that generated code compares with: the array type, and NumPy's dtypes."""
    dtypes = _dtype_names()
    for dtype in dtypes.values():
        jit.forever(dtype)
    return {"rg_object_ndarray": id(np.ndarray)} | {f"rg_object_{name}": id(dtype) for name, dtype in dtypes.items()}


# checks in generated code


@dataclass(frozen=True)
class Argument:
    """An array that code was generated for.

    Attributes
    ----------
    dtype : str
        NumPy's name of the type.
    shape : tuple of int or None
        None where the code does not depend on a size, or not on the shape at all.
    strides : tuple of int, optional
        In bytes; without, the array must be C-contiguous.
    writable : bool
        The code writes to it.
    """

    dtype: str
    shape: tuple[int | None, ...] | None
    strides: tuple[int, ...] | None = None
    writable: bool = False

    def accepts(self, value: object) -> bool:
        """Tell, in Python, what ``emit_check`` tells in generated code."""
        if type(value) is not np.ndarray or value.dtype is not np.dtype(_dtype_names()[self.dtype]):
            return False
        flags = value.flags
        if not flags.aligned or (self.writable and not flags.writeable):
            return False
        if self.strides is None and not flags.c_contiguous:
            return False
        if self.strides is not None and value.strides != self.strides:
            return False
        if self.shape is None:
            return True
        sizes = zip(self.shape, value.shape)
        return value.ndim == len(self.shape) and all(wanted in (None, size) for wanted, size in sizes)


def emit_check(f: Function, value: Value, argument: Argument, miss: str) -> None:
    """Write: go to the block ``miss`` unless the object is such an array."""

    def need(condition: Value) -> None:
        passed = f.label("ok")
        f.branch(condition, passed, miss)
        f.block(passed)

    def field(offset: int, type: str) -> Value:
        return f.load(type, f.byte(value, offset))

    need(f.op(f"icmp eq ptr {field(TYPE, 'ptr')}, {f.module.external('rg_object_ndarray')}"))
    need(f.op(f"icmp eq ptr {field(DTYPE, 'ptr')}, {f.module.external(f'rg_object_{argument.dtype}')}"))
    bits = ALIGNED | (WRITEABLE if argument.writable else 0) | (CONTIGUOUS if argument.strides is None else 0)
    held = f.op(f"and i32 {field(FLAGS, 'i32')}, {bits}")
    need(f.op(f"icmp eq i32 {held}, {bits}"))
    if argument.shape is None and argument.strides is None:
        return
    rows = [(SHAPE, argument.shape), (STRIDES, argument.strides)]
    need(f.op(f"icmp eq i32 {field(NDIM, 'i32')}, {len(argument.shape or argument.strides or ())}"))
    for offset, wanted in rows:
        if wanted and any(number is not None for number in wanted):
            numbers = field(offset, "ptr")
            for axis, number in enumerate(wanted):
                if number is not None:
                    need(f.op(f"icmp eq i64 {f.load('i64', f.element('i64', numbers, axis))}, {number}"))


def checking(f: Function, descriptor: Value, other: str) -> tuple[Callable[..., Value], Callable[[Value], None]]:
    """Give how a gate reads a word of its descriptor, and how it goes to ``other`` unless a condition holds."""

    def part(k: int, type: str = "i64") -> Value:
        return f.load(type, f.element("i64", descriptor, k))

    def need(condition: Value) -> None:
        passed = f.label("ok")
        f.branch(condition, passed, other)
        f.block(passed)

    return part, need


def emit_data(f: Function, value: Value) -> Value:
    """Write: the address of an array's first element."""
    return f.load("ptr", f.byte(value, DATA))


def emit_release(f: Function) -> Value:
    """Write: let other threads of Python run; gives what ``emit_acquire`` wants."""
    return f.call(f.module.declare("PyEval_SaveThread", "ptr"), "ptr")


def emit_acquire(f: Function, state: Value) -> None:
    """Write: take the interpreter lock again."""
    f.call(f.module.declare("PyEval_RestoreThread", "void", ["ptr"]), arguments=[("ptr", state)])


def emit_return(f: Function, name: str) -> None:
    """Write: return a new reference to None, True or False."""
    value = f.module.external(f"_Py_{name}Struct")
    f.call(f.module.declare("Py_IncRef", "void", ["ptr"]), arguments=[("ptr", value)])
    f.ret("ptr", value)


def emit_entry(module: Module, kernel: str, arguments: Sequence[Argument], release: bool = False) -> None:
    """Write rg_<kernel>_entry, a builtin's code: check the arguments, call rg_<kernel> with their data, say True.

    When the arguments are not such arrays, nothing is run and it says False. ``release``: run without the interpreter lock.
    """
    f = module.function(f"{kernel}_entry", [("ptr", "self"), ("ptr", "args"), ("i64", "n")], "ptr")
    miss, right = f.label("miss"), f.label("right")
    f.branch(f.op(f"icmp eq i64 {f.n}, {len(arguments)}"), right, miss)
    f.block(right)
    pointers = []
    for place, argument in enumerate(arguments):
        value = f.load("ptr", f.element("ptr", f.args, place))
        emit_check(f, value, argument, miss)
        pointers.append(("ptr", emit_data(f, value)))
    state = emit_release(f) if release else ""
    f.call(f"@{symbol(kernel)}", arguments=pointers)
    if release:
        emit_acquire(f, state)
    emit_return(f, "True")
    f.block(miss)
    emit_return(f, "False")


def caller(loaded: jit.Loaded, kernel: str, arguments: Sequence[Argument]) -> Callable[..., bool]:
    """Give a kernel, for which ``emit_entry`` was written, as a function of arrays that says whether it ran.

    Where arrays cannot be read by generated code, Python checks them and ctypes makes the call.
    """
    if readable():
        return builtin(loaded.address(f"{kernel}_entry"), loaded, kernel)
    function = loaded.function(kernel, None, *[ctypes.c_void_p] * len(arguments))

    def call(*values: Any) -> bool:
        if len(values) != len(arguments) or not all(a.accepts(v) for a, v in zip(arguments, values)):
            return False
        function(*[value.ctypes.data for value in values])
        return True

    return call


@functools.cache
def pointers() -> Callable[[np.ndarray[Any, Any]], int]:
    """Give the function that tells an ndarray's address, the fastest there is here; its argument is not checked."""
    if not readable():
        return lambda array: array.ctypes.data
    module = Module()
    f = module.function("pointer", [("ptr", "self"), ("ptr", "array")], "ptr")
    number = f.module.declare("PyLong_FromVoidPtr", "ptr", ["ptr"])
    f.ret("ptr", f.call(number, "ptr", [("ptr", emit_data(f, f.array))]))
    loaded = cache.native(module.text(), "pointer")
    return builtin(loaded.address("pointer"), loaded, "pointer", ONE)


def pointer(array: np.ndarray[Any, Any]) -> int:
    """Give the address of an array's first element."""
    return pointers()(array)
