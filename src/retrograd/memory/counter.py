"""Bytes of arrays, counted exactly: an allocator for NumPy's data that keeps the present number and the highest.

NumPy asks for arrays' memory through a table of functions that may be exchanged (NEP 49). Four functions of generated code take
C's, and count. What is counted is what was allocated since, wherever in the library or the program: saved values, gradients, temporaries.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SOURCE = """
declare ptr @malloc(i64)
declare ptr @calloc(i64, i64)
declare ptr @realloc(ptr, i64)
declare void @free(ptr)
declare i64 @malloc_usable_size(ptr)

define private void @add(ptr %counts, i64 %size) {
  %old = atomicrmw add ptr %counts, i64 %size monotonic
  %new = add i64 %old, %size
  %peak = getelementptr i64, ptr %counts, i64 1
  %before = atomicrmw max ptr %peak, i64 %new monotonic
  ret void
}
define ptr @rg_counted_malloc(ptr %counts, i64 %size) {
  %p = call ptr @malloc(i64 %size)
  %none = icmp eq ptr %p, null
  br i1 %none, label %end, label %count
count:
  call void @add(ptr %counts, i64 %size)
  br label %end
end:
  ret ptr %p
}
define ptr @rg_counted_calloc(ptr %counts, i64 %items, i64 %each) {
  %p = call ptr @calloc(i64 %items, i64 %each)
  %none = icmp eq ptr %p, null
  br i1 %none, label %end, label %count
count:
  %size = mul i64 %items, %each
  call void @add(ptr %counts, i64 %size)
  br label %end
end:
  ret ptr %p
}
define ptr @rg_counted_realloc(ptr %counts, ptr %old, i64 %size) {
  %before = call i64 @malloc_usable_size(ptr %old)
  %p = call ptr @realloc(ptr %old, i64 %size)
  %none = icmp eq ptr %p, null
  br i1 %none, label %end, label %count
count:
  %after = call i64 @malloc_usable_size(ptr %p)
  %more = sub i64 %after, %before
  call void @add(ptr %counts, i64 %more)
  br label %end
end:
  ret ptr %p
}
define void @rg_counted_free(ptr %counts, ptr %p, i64 %size) {
  %none = icmp eq ptr %p, null
  br i1 %none, label %end, label %count
count:
  %less = sub i64 0, %size
  call void @add(ptr %counts, i64 %less)
  call void @free(ptr %p)
  br label %end
end:
  ret void
}
"""
SET_HANDLER = 304  # the place of PyDataMem_SetHandler in NumPy's table of functions


class _Allocator(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("ctx", "malloc", "calloc", "realloc", "free")]


class _Handler(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("allocator", _Allocator)]


class _Native:
    """The functions, their counts, and NumPy's switch between allocators; there for as long as the process."""

    def __init__(self) -> None:
        from ..compiler.runtime.jit import build, forever

        library = ctypes.CDLL(None)
        names = ("malloc", "calloc", "realloc", "free", "malloc_usable_size")
        outside = {name: int(ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0) for name in names}
        loaded = build(SOURCE, "counted memory", outside)
        self.counts = (ctypes.c_int64 * 2)()
        self.handler = _Handler(b"retrograd_counted", 1)
        allocator = self.handler.allocator
        allocator.ctx = ctypes.addressof(self.counts)
        for name in names[:4]:
            setattr(allocator, name, loaded.address(f"counted_{name}"))
        api = ctypes.pythonapi
        api.PyCapsule_New.restype, api.PyCapsule_New.argtypes = (
            ctypes.py_object,
            [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p],
        )
        api.PyCapsule_GetPointer.restype, api.PyCapsule_GetPointer.argtypes = (
            ctypes.c_void_p,
            [ctypes.py_object, ctypes.c_char_p],
        )
        from numpy._core import _multiarray_umath  # type: ignore[attr-defined]  # the table is not in its stubs

        table = api.PyCapsule_GetPointer(_multiarray_umath._ARRAY_API, None)
        address = ctypes.cast(table, ctypes.POINTER(ctypes.c_void_p))[SET_HANDLER]
        self.set = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(address)
        self.name = b"mem_handler"  # the capsule keeps the pointer, not the bytes
        self.capsule = api.PyCapsule_New(ctypes.addressof(self.handler), self.name, None)
        self.plain = self.set(self.capsule)  # what NumPy takes memory from otherwise
        self.set(self.plain)
        forever(self)
        forever(loaded)


@functools.cache
def _native() -> _Native:
    return _Native()


@contextmanager
def uncounted() -> Iterator[None]:
    """Open a block whose new arrays are not counted: what the library itself works with, such as a planner's tables.

    Examples
    --------
    >>> import numpy as np
    >>> with Counter() as counter, uncounted():
    ...     a = np.zeros(1000)
    >>> counter.peak
    0
    """
    native = _native()
    before = native.set(native.plain)
    try:
        yield
    finally:
        native.set(before)


class Counter:
    """A block in which the bytes of arrays are counted, from zero at its start; blocks nest.

    Attributes
    ----------
    current : int
        Bytes allocated since the start and not given back.
    peak : int
        The most that ``current`` has been, since the start or the last ``reset_peak()``.

    Notes
    -----
    Counted are arrays made in this thread. An array from before the block that is freed in it is not taken off, unless it was made
    in another such block.

    Examples
    --------
    >>> import retrograd as torch
    >>> with torch.memory.Counter() as counter:
    ...     a = torch.zeros(1000)
    ...     b = a + a
    ...     del a
    >>> counter.current, counter.peak
    (4000, 8000)
    """

    def __init__(self) -> None:
        self._native = _native()
        self._before: list[Any] = []
        self._start = 0
        self._highest = 0
        self._end: int | None = None

    def __enter__(self) -> Counter:
        native = self._native
        counts = native.counts
        self._before.append((native.set(native.capsule), counts[1]))
        self._start, self._end = counts[0], None
        counts[1] = counts[0]
        self._highest = 0
        return self

    def __exit__(self, *exc: Any) -> None:
        highest, self._end = self.peak, self.current
        self._highest = highest
        handler, outer = self._before.pop()
        self._native.set(handler)
        counts = self._native.counts
        counts[1] = max(outer, counts[1])

    @property
    def current(self) -> int:
        """Bytes that are held now, or were at the block's end."""
        return int(self._native.counts[0]) - self._start if self._end is None else self._end

    @property
    def peak(self) -> int:
        """The highest number of bytes held."""
        if self._end is not None:
            return self._highest
        return max(self._highest, int(self._native.counts[1]) - self._start)

    def reset_peak(self) -> int:
        """Give the peak, and look for the next from here on."""
        found, counts = self.peak, self._native.counts
        handler, outer = self._before[-1]
        self._before[-1] = handler, max(outer, counts[1])
        counts[1] = counts[0]
        self._highest = 0
        return found


__all__ = ["Counter", "uncounted"]
