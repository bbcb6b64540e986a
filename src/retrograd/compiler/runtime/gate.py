"""The gate: one builtin, in generated code, that checks a call against what a program was made for, and runs the program.

It reads Python's objects where CPython keeps their parts, at offsets that are found and proved at first use; where they cannot be,
there is no gate, and Python does the same checks.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import numpy as np

from ...core import BaseTensor, Storage, tensor_class, wrap
from ..codegen.emit import Function, Module, Value
from . import cache, entry
from .jit import forever

# words of a program's descriptor
COUNT, TENSORS, OUTPUTS, PAIRS, PAIR_COUNT, RECORDS, RECORD_COUNT, DRIVE, RELEASE = range(9)
TENSOR_TABLE, OUTPUT_TABLE, FORBIDDEN, FORBIDDEN_COUNT, WORDS = range(9, 14)
TENSOR_WORDS = 6  # dtype, dimensions, address of their lengths, node, address of slots, count of slots
OUTPUT_WORDS = 2  # address of slots, count of slots
RAN, OTHER_ARGUMENTS = -1, -2  # what the gate says; else the number of the pair that differs
DICT_VERSION, LIST_SIZE, LIST_ITEMS, CELL = 24, 16, 24, 16


def word(address: int) -> int:
    """Read eight bytes of this process."""
    return ctypes.c_uint64.from_address(address).value


@functools.cache
def layout() -> dict[str, int] | None:
    """Find where tensors keep their parts, and prove that dicts, lists and cells are as supposed; None if they are not."""
    if not entry.readable():
        return None
    try:
        found = _tensor_layout()
        proved = found is not None and _dicts() and _lists() and _cells()
    except (ValueError, TypeError):
        return None
    return found if proved else None


def _tensor_layout() -> dict[str, int] | None:
    t = wrap(np.zeros(3, np.float32))
    marks: dict[str, Any] = {
        "_a": t._a,
        "_s": t._s,
        "_node": object(),
        "_base": object(),
        "_grad": object(),
        "_seen": object(),
    }
    for name, mark in marks.items():
        setattr(t, name, mark)
    out = {}
    size = type(t).__basicsize__
    for name, mark in marks.items():
        places = [k for k in range(0, size, 8) if word(id(t) + k) == id(mark)]
        if len(places) != 1:
            return None
        out[name] = places[0]
    t._node = t._base = t._grad = t._seen = None
    return out


def _dicts() -> bool:
    d: dict[str, int] = {"a": 1}
    tags = [word(id(d) + DICT_VERSION)]
    for change in (lambda: d.update(a=1000), lambda: d.update(b=2), lambda: d.pop("b"), lambda: d.clear()):
        change()
        tags.append(word(id(d) + DICT_VERSION))
    thing = _Thing()
    table = thing.__dict__
    for i in range(64):  # often enough for the interpreter to take its quick way
        thing.number = i
        tags.append(word(id(table) + DICT_VERSION))
    before = word(id(d) + DICT_VERSION)
    d.get("a")
    len(d)
    return len(set(tags)) == len(tags) and before == word(id(d) + DICT_VERSION)


class _Thing:
    number = 0


def _lists() -> bool:
    items = [object(), object()]
    at = word(id(items) + LIST_ITEMS)
    return word(id(items) + LIST_SIZE) == 2 and word(at) == id(items[0]) and word(at + 8) == id(items[1])


def _cells() -> bool:
    value = object()

    def inner() -> object:
        return value

    cell = inner.__closure__[0]  # type: ignore[index]
    return word(id(cell) + CELL) == id(value)


@functools.cache
def gate() -> Any:
    """Give the builtin ``gate(descriptor, *tensors, *outputs) -> int``, or None where there can be none."""
    places = layout()
    if places is None:
        return None
    module = Module()
    _write(module, places)
    loaded = cache.native(module.text(), "gate", {"rg_tensor_type": id(tensor_class())})
    forever(loaded)
    return entry.builtin(loaded.address("gate"), loaded, "gate")


def _write(module: Module, places: dict[str, int]) -> None:
    f = module.function("gate", [("ptr", "self"), ("ptr", "args"), ("i64", "n")], "ptr")
    none = module.external("_Py_NoneStruct")
    tensor_type = module.external("rg_tensor_type")
    descriptor = entry.emit_data(f, f.load("ptr", f.args))
    other = f.label("other")
    answer = f.alloca("i64")

    part, need = entry.checking(f, descriptor, other)
    need(f.op(f"icmp eq i64 {f.n}, {part(COUNT)}"))
    tensors, outputs = part(TENSORS), part(OUTPUTS)
    table = part(TENSOR_TABLE, "ptr")
    with f.loop(0, tensors) as i:
        t = f.load("ptr", f.element("ptr", f.args, f.add(i, 1)))
        row = f.element("i64", table, f.mul(i, TENSOR_WORDS))
        need(f.op(f"icmp eq ptr {f.load('ptr', f.byte(t, entry.TYPE))}, {tensor_type}"))
        a = f.load("ptr", f.byte(t, places["_a"]))
        need(f.op(f"icmp eq ptr {f.load('ptr', f.byte(a, entry.TYPE))}, {module.external('rg_object_ndarray')}"))
        need(f.op(f"icmp eq i64 {f.load('i64', f.byte(a, entry.DTYPE))}, {f.load('i64', row)}"))
        bits = entry.ALIGNED | entry.CONTIGUOUS
        held = f.op(f"and i32 {f.load('i32', f.byte(a, entry.FLAGS))}, {bits}")
        need(f.op(f"icmp eq i32 {held}, {bits}"))
        dims = f.op(f"sext i32 {f.load('i32', f.byte(a, entry.NDIM))} to i64")
        need(f.op(f"icmp eq i64 {dims}, {f.load('i64', f.element('i64', row, 1))}"))
        shape = f.load("ptr", f.byte(a, entry.SHAPE))
        wanted = f.load("ptr", f.element("i64", row, 2))
        with f.loop(0, dims) as d:
            one, two = f.load("i64", f.element("i64", shape, d)), f.load("i64", f.element("i64", wanted, d))
            need(f.op(f"icmp eq i64 {one}, {two}"))
        node = f.load("i64", f.byte(t, places["_node"]))
        need(f.op(f"icmp eq i64 {node}, {f.load('i64', f.element('i64', row, 3))}"))
        base = f.load("ptr", f.byte(t, places["_base"]))
        with f.if_(f.op(f"icmp ne ptr {base}, {none}")):  # a view of what was not written since
            now, seen = f.load("ptr", f.byte(base, places["_node"])), f.load("ptr", f.byte(t, places["_seen"]))
            need(f.op(f"icmp eq ptr {now}, {seen}"))
        storage = f.load("i64", f.byte(t, places["_s"]))
        forbidden = part(FORBIDDEN, "ptr")
        with f.loop(0, part(FORBIDDEN_COUNT)) as k:
            need(f.op(f"icmp ne i64 {storage}, {f.load('i64', f.element('i64', forbidden, k))}"))
        _fill(f, row, 4, entry.emit_data(f, a))
    rows = part(OUTPUT_TABLE, "ptr")
    with f.loop(0, outputs) as i:
        a = f.load("ptr", f.element("ptr", f.args, f.add(f.add(i, 1), tensors)))
        _fill(f, f.element("i64", rows, f.mul(i, OUTPUT_WORDS)), 0, entry.emit_data(f, a))
    pairs = part(PAIRS, "ptr")
    done = f.label("done")
    with f.loop(0, part(PAIR_COUNT)) as i:
        at = f.mul(i, 2)
        address = f.load("ptr", f.element("i64", pairs, at))
        same, differs = f.label("same"), f.label("differs")
        value = f.load("i64", f.element("i64", pairs, f.add(at, 1)))
        f.branch(f.op(f"icmp eq i64 {f.load('i64', address)}, {value}"), same, differs)
        f.block(differs)
        f.store("i64", str(i), answer)
        f.jump(done)
        f.block(same)
    drive = part(DRIVE, "ptr")
    records, count = part(RECORDS, "ptr"), part(RECORD_COUNT)
    with f.if_(f.op(f"icmp sgt i64 {count}, 0")):
        state = f.alloca("ptr")
        f.store("ptr", "null", state)
        release = f.op(f"icmp ne i64 {part(RELEASE)}, 0")
        with f.if_(release):
            f.store("ptr", entry.emit_release(f), state)
        f.call(drive, arguments=[("ptr", records), ("i64", count)])
        with f.if_(release):
            entry.emit_acquire(f, f.load("ptr", state))
    f.store("i64", str(RAN), answer)
    f.jump(done)
    f.block(other)
    f.store("i64", str(OTHER_ARGUMENTS), answer)
    f.jump(done)
    f.block(done)
    number = module.declare("PyLong_FromLongLong", "ptr", ["i64"])
    f.ret("ptr", f.call(number, "ptr", [("i64", f.load("i64", answer))]))


def _fill(f: Function, row: Value, at: int, data: Value) -> None:
    """Write an address, moved by its extra bytes, into each of its slots."""
    slots = f.load("ptr", f.element("i64", row, at))
    with f.loop(0, f.load("i64", f.element("i64", row, at + 1))) as k:
        where = f.load("ptr", f.element("i64", slots, f.mul(k, 2)))
        extra = f.load("i64", f.element("i64", slots, f.add(f.mul(k, 2), 1)))
        f.store("ptr", f.byte(data, extra), where)


class Descriptor:
    """A program's side of the gate: what its tensors must be, where addresses go, and what must not have changed."""

    def __init__(self) -> None:
        self.words = np.zeros(WORDS, np.uint64)
        self.kept: list[Any] = []  # arrays whose addresses are in the words, objects whose addresses are compared

    def array(self, numbers: list[int]) -> int:
        """Keep numbers in memory and give their address."""
        made = np.array([n & (2**64 - 1) for n in numbers] or [0], np.uint64)
        self.kept.append(made)
        return int(made.ctypes.data)


__all__ = ["BaseTensor", "Descriptor", "Storage", "gate", "layout", "word"]
