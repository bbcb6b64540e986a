"""LLVM at run time: this machine's target, text to object bytes, and object bytes to callable addresses."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import os
import re
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DEFINED = re.compile(r"^(?:define [^@\n]*|)@(rg_\w+)(?:\(| = global )", re.MULTILINE)

# What LLVM or our own text may call in C's library; loaded objects are given those that exist here.
LIBRARY = (
    "memcpy", "memmove", "memset", "bzero", "fma", "fmaf", "fmod", "fmodf", "sin", "cos", "tan", "sincos", "sinf",
    "cosf", "exp", "log", "pow", "ldexp", "ldexpf", "floor", "floorf", "ceil", "ceilf", "trunc", "truncf", "rint",
    "rintf", "sqrt", "sqrtf", "__bzero", "syscall", "sched_yield",
)  # fmt: skip
PYTHON = (
    "PyEval_SaveThread", "PyEval_RestoreThread", "PyErr_SetString", "PyErr_Occurred", "PyErr_CheckSignals",
    "PyFloat_FromDouble", "PyFloat_AsDouble", "PyLong_FromLongLong", "PyLong_FromVoidPtr", "PyLong_AsLongLong",
    "PyBool_FromLong", "PyTuple_New", "PyTuple_SetItem", "Py_IncRef", "Py_DecRef",
)  # fmt: skip
# Objects, whose address the symbol is, and the places where Python keeps its kinds of exceptions.
PYTHON_DATA = (
    "_Py_NoneStruct", "_Py_TrueStruct", "_Py_FalseStruct", "PyExc_TypeError", "PyExc_ValueError", "PyExc_RuntimeError",
    "PyExc_SystemError",
)  # fmt: skip


class CompileError(RuntimeError):
    """LLVM would not take a kernel; ``text`` is what it was given, for the report of the bug."""

    def __init__(self, message: str, text: str = "") -> None:
        super().__init__(message)
        self.text = text


@dataclass(frozen=True)
class Host:
    """This machine as the code generator sees it."""

    triple: str
    cpu: str
    features: str  # "+avx2,-avx512f,...": LLVM's own spelling
    versions: str  # of llvmlite and of LLVM
    layout: str  # the target's data layout

    @functools.cached_property
    def enabled(self) -> frozenset[str]:
        """The features this machine has, by name; :class:`Module` takes them."""
        return frozenset(item[1:] for item in self.features.split(",") if item.startswith("+"))

    @functools.cached_property
    def vector_bits(self) -> int:
        """The width of the widest vector that is computed in one instruction."""
        if "avx512f" in self.enabled:
            return 512
        return 256 if "avx2" in self.enabled else 128

    def lanes(self, size: int) -> int:
        """How many numbers of that many bytes are in one vector."""
        return self.vector_bits // (8 * size)


@functools.cache
def _binding() -> Any:
    """Give llvmlite's binding, its native target set up."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    if hasattr(os, "register_at_fork"):
        # A child forked while another thread is inside LLVM would find the binding's lock held for ever.
        with contextlib.suppress(AttributeError):
            os.register_at_fork(after_in_child=llvm.ffi.lib._lock._lock._at_fork_reinit)
    return llvm


@functools.cache
def host() -> Host:
    """Describe this machine, once."""
    llvm = _binding()
    import llvmlite

    try:
        features = llvm.get_host_cpu_features().flatten()
    except RuntimeError:  # a machine that LLVM cannot ask
        features = ""
    triple, cpu = llvm.get_process_triple(), llvm.get_host_cpu_name()
    version = ".".join(map(str, llvm.llvm_version_info))
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, features=features, opt=2, jit=True)
    return Host(triple, cpu, features, f"llvmlite {llvmlite.__version__} LLVM {version}", str(machine.target_data))


_local = threading.local()
_names = itertools.count()


def _machine() -> Any:
    """Give this thread's target machine (LLVM's are not for two threads at once)."""
    if not hasattr(_local, "machine"):
        here = host()
        target = _binding().Target.from_triple(here.triple)
        _local.machine = target.create_target_machine(cpu=here.cpu, features=here.features, opt=2, jit=True)
    return _local.machine


@functools.cache
def _linker() -> Any:
    """Give the one linker of the process; it is never freed, because threads may be in its code until the very end."""
    linker = _binding().create_lljit_compiler(_machine(), use_jit_link=True)
    forever(linker)
    return linker


def forever(owner: object) -> None:
    """Keep an object until the process ends, whatever the interpreter does at its exit."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(owner))


@functools.cache
def symbols() -> Mapping[str, int]:
    """Give the addresses of what generated code may name outside itself."""
    found: dict[str, int] = {}
    for library in _c_libraries():
        for name in LIBRARY:
            with contextlib.suppress(AttributeError):
                found.setdefault(name, _address(getattr(library, name)))
    for name in PYTHON:
        found[name] = _address(getattr(ctypes.pythonapi, name))
    for name in PYTHON_DATA:
        found[name] = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, name))
    return found


def _c_libraries() -> list[ctypes.CDLL]:
    if sys.platform == "win32":
        return [ctypes.CDLL("ucrtbase"), ctypes.CDLL("vcruntime140")]
    libraries = [ctypes.CDLL(None)]
    with contextlib.suppress(OSError):
        libraries.append(ctypes.CDLL("libm.so.6" if sys.platform == "linux" else "libm.dylib"))
    return libraries


def _address(function: Any) -> int:
    return int(ctypes.cast(function, ctypes.c_void_p).value or 0)


def assemble(text: str, name: str = "kernel", passes: bool = False) -> bytes:
    """Translate a module's text to the bytes of an object file.

    Parameters
    ----------
    text : str
        LLVM IR without target lines.
    name : str
        What the kernel is called in an error.
    passes : bool
        Run LLVM's own optimizations (its level 2) first; our text is written so that it does not need them.

    Raises
    ------
    CompileError
        When LLVM refuses the text.
    """
    llvm = _binding()
    machine, here = _machine(), host()
    try:
        header = f'target triple = "{here.triple}"\ntarget datalayout = "{here.layout}"\n'
        module = llvm.parse_assembly(header + text)
        if passes:
            module.verify()
            builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
            builder.getModulePassManager().run(module, builder)
        return bytes(machine.emit_object(module))
    except RuntimeError as error:
        raise CompileError(f"{name}: LLVM refused the generated code: {str(error).strip()}", text) from None


def assembly(text: str) -> str:
    """Translate a module's text to this machine's assembly language, to be read."""
    here = host()
    header = f'target triple = "{here.triple}"\ntarget datalayout = "{here.layout}"\n'
    return str(_machine().emit_assembly(_binding().parse_assembly(header + text)))


class Loaded:
    """Machine code in memory; it stays there as long as this object is held."""

    def __init__(self, name: str, tracker: Any, addresses: dict[str, int]) -> None:
        self.name = name
        self.origin = "LLVM"  # or the disk cache, or this process, where the same text was loaded before
        self._tracker = tracker
        self._addresses = addresses

    def address(self, symbol: str) -> int:
        """Give the address of one of the object's own symbols (with or without its prefix)."""
        for name in (symbol, f"rg_{symbol}"):
            if name in self._addresses:
                return self._addresses[name]
        raise KeyError(f"{self.name} has no symbol {symbol}; it has {', '.join(sorted(self._addresses))}")

    def function(self, symbol: str, returns: Any = None, *arguments: Any) -> Any:
        """Give one of the object's functions as a callable of ctypes, which lets other threads run meanwhile."""
        function = ctypes.CFUNCTYPE(returns, *arguments)(self.address(symbol))
        function._owner = self  # type: ignore[attr-defined]
        return function


def defined(text: str) -> list[str]:
    """List our own symbols that a text defines for the outside."""
    return DEFINED.findall(text)


def load(image: bytes, exports: list[str], name: str = "kernel", outside: Mapping[str, int] | None = None) -> Loaded:
    """Place an object in memory and resolve what it needs.

    Parameters
    ----------
    image : bytes
        Of :func:`assemble`.
    exports : list of str
        The symbols to find in it, as :func:`defined` lists them.
    name : str
        What the kernel is called in an error.
    outside : mapping of str to int
        Addresses of symbols that are neither C's nor Python's, as those of other loaded objects.

    Raises
    ------
    CompileError
        When the object cannot be linked.
    """
    llvm = _binding()
    builder = llvm.JITLibraryBuilder().add_object_img(image)
    for symbol, address in {**symbols(), **(outside or {})}.items():
        builder.import_symbol(symbol, address)
    for symbol in exports:
        builder.export_symbol(symbol)
    try:
        tracker = builder.link(_linker(), f"{name}.{next(_names)}")
    except RuntimeError as error:
        raise CompileError(f"{name}: the generated code could not be linked: {str(error).strip()}") from None
    return Loaded(name, tracker, {symbol: int(tracker[symbol]) for symbol in exports})


def build(text: str, name: str = "kernel", outside: Mapping[str, int] | None = None) -> Loaded:
    """Assemble and load a text, past every cache."""
    return load(assemble(text, name), defined(text), name, outside)
