"""The builtin behind the door for small arrays: it checks operands, runs the kernel and makes the resulting tensor.

What an operation of a few hundred elements takes in Python is mostly the way to NumPy and back. The builtin does what ``core.apply`` does, for
plain tensors in no mode but those that only hear of results, with the same bits: elementwise operations by the kernels that large arrays have, products by the very
function of NumPy's library. Anything else it leaves alone, and gives None.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import numpy as np

from ..core import MODE, Node, Storage, tensor_class
from ..core.large import LARGE
from ..ops.contract import WORTH
from . import eager_products
from .codegen.emit import Count, Module, Value
from .eager import compiling
from .eager_gate import BUSY, DRIVE, LENGTHS, RECORD_COUNT, RECORDS, ROW_WORDS, ROWS, STEP, cut
from .runtime import cache, entry, gate
from .runtime.jit import forever

PLANS, PLAN_COUNT, LEARN, KINDS_OF_PRODUCTS, LEARN_PRODUCT, DOOR_WORDS = range(6)  # words of an op's door
# words of a plan: what is done, of how many operands, the dtype of each (or FLOAT, INT), the result's, what does it, the bytes of
# numbers, whether the result has a history
HOW, COUNT, KINDS, RESULT, RUNS, SIZE, RECORDED, PLAN_WORDS = 0, 1, 2, 5, 6, 7, 8, 9
POINTWISE, PRODUCT, LINEAR, REFUSED = range(4)
FLOAT, INT = 1, 2  # Python's numbers among the operands
MOST = 16  # kinds of calls of one op
OPERANDS, DIMS = 3, 8
FORTRAN = 0x2  # NumPy's flag
NUMBER = 16  # where a Python float keeps its value
NEW_FROM_DESCR, NEW_SLOT = 94, 65  # places in NumPy's table of functions, and of object.__new__ in a type
EXACT = "0x4340000000000000"  # 2 to the 53rd, in LLVM's spelling
ROW_MAJOR, PLAIN, TURNED = 101, 111, 112  # CBLAS's names


@functools.cache
def _outside() -> dict[str, int] | None:
    """Give the addresses that the builtin names, or None where objects do not lie as it supposes."""
    places = gate.layout()
    if places is None or not _floats():
        return None
    api = ctypes.pythonapi
    get = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", api))
    table = get(np._core._multiarray_umath._ARRAY_API, None)  # type: ignore[attr-defined]
    slot = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_int)(("PyType_GetSlot", api))
    found = {
        name: ctypes.cast(getattr(api, name), ctypes.c_void_p).value or 0
        for name in ("PyObject_GetAttr", "PyObject_Vectorcall", "PyErr_Clear", "PyLong_AsDouble")
    }
    held: dict[str, Any] = {
        "tensor": tensor_class(),
        "parameter": _parameter(),
        "storage": Storage,
        "float": float,
        "int": int,
        "mode": MODE,
        "straight": "straight",
        "grad": "grad",
        "nothing": (),
        "zero": 0,
        "wanted": WANTED,
    }
    for thing in held.values():
        forever(thing)
    found |= {f"rg_small_{name}": id(thing) for name, thing in held.items()}
    found["rg_small_new_array"] = gate.word(table + 8 * NEW_FROM_DESCR)
    found["rg_small_new_object"] = slot(object, NEW_SLOT) or 0
    return found


class _Wanted:
    """Stands for the Node that a result is to be given."""


WANTED = _Wanted()


def _parameter() -> Any:
    from ..tensor import Parameter

    return Parameter


def _floats() -> bool:
    value = 1.25e10
    return ctypes.c_double.from_address(id(value) + NUMBER).value == value


def _slots(thing: Any, names: tuple[str, ...]) -> dict[str, int] | None:
    """Find where an object keeps its slots."""
    marks = {name: object() for name in names}
    for name, mark in marks.items():
        setattr(thing, name, mark)
    found = {}
    for name, mark in marks.items():
        places = [k for k in range(0, type(thing).__basicsize__, 8) if gate.word(id(thing) + k) == id(mark)]
        if len(places) != 1:
            return None
        found[name] = places[0]
    return found


@functools.cache
def code() -> Any:
    """Give the builtin's machine code, or None where there can be none."""
    outside, places = _outside(), gate.layout()
    storage = _slots(Storage(np.zeros(1)), ("root", "version", "notes"))
    node = _slots(Node(None, (), {}, (), np.dtype("f4"), True, None, (), None, None), ("requires_grad",))
    if outside is None or places is None or storage is None or node is None:
        return None
    module = Module()
    for writer in (_Door, _Wrap):
        writer(module, {**places, **storage, **node}).write()
    loaded = cache.native(module.text(), "the door of small arrays", outside, passes=True)
    forever(loaded)
    return loaded


class _Door:
    """The writer of ``door(*operands) -> tensor or None``, whose ``self`` is an array of an op's words."""

    def __init__(self, module: Module, places: dict[str, int], name: str = "small_door") -> None:
        self.module, self.places = module, places
        self.f = module.function(name, [("ptr", "self"), ("ptr", "args"), ("i64", "n")], "ptr")
        self.none = module.external("_Py_NoneStruct")
        self.true = module.external("_Py_TrueStruct")
        self.refused, self.failed = self.f.label("refused"), self.f.label("failed")

    def object(self, name: str) -> Value:
        return self.module.external(f"rg_small_{name}")

    def need(self, condition: Value, otherwise: str = "") -> None:
        passed = self.f.label("ok")
        self.f.branch(condition, passed, otherwise or self.refused)
        self.f.block(passed)

    def keep(self, thing: Value) -> Value:
        """Write: one reference more."""
        self.f.call(self.module.declare("Py_IncRef", "void", ["ptr"]), arguments=[("ptr", thing)])
        return thing

    def drop(self, thing: Value) -> None:
        self.f.call(self.module.declare("Py_DecRef", "void", ["ptr"]), arguments=[("ptr", thing)])

    def field(self, thing: Value, offset: int, type: str = "ptr") -> Value:
        return self.f.load(type, self.f.byte(thing, offset))

    def write(self) -> None:
        f = self.f
        self.need(f.op(f"icmp ule i64 {f.n}, {OPERANDS}"))
        self.words = entry.emit_data(f, f.self)
        self.arrays, self.kinds, self.data = (f.alloca("i64", OPERANDS) for _ in range(3))
        self.numbers = f.alloca("i64", OPERANDS)
        self.mask = f.alloca("i64")
        f.store("i64", "0", self.mask)
        with f.loop(0, f.n) as i:
            self._operand(i)
        plan = self._plan()
        how = self.field(plan, 8 * HOW, "i64")
        self.need(f.op(f"icmp ne i64 {how}, {REFUSED}"))
        dims = f.alloca("i64", DIMS)
        count = f.alloca("i32")
        pointwise, product, ready = f.label("pointwise"), f.label("product"), f.label("ready")
        kind = f.alloca("ptr")  # of a product of middle size
        f.store("ptr", "null", kind)
        is_pointwise = f.op(f"icmp eq i64 {how}, {POINTWISE}")
        f.branch(is_pointwise, pointwise, product)
        f.block(pointwise)
        self._same_shapes(dims, count)
        f.jump(ready)
        f.block(product)
        turns = f.op(f"icmp eq i64 {how}, {LINEAR}")
        small, middle = f.label("small"), f.label("middle")
        f.branch(self._is_small(turns), small, middle)
        f.block(middle)
        table, learn = (f.load("ptr", f.element("i64", self.words, w)) for w in (KINDS_OF_PRODUCTS, LEARN_PRODUCT))
        row = eager_products.find(self, table, learn)
        f.store("ptr", row, kind)
        eager_products.shape(self, row, dims, count)
        f.jump(ready)
        f.block(small)
        self.need(f.op(f"icmp ne ptr {self.field(plan, 8 * RUNS)}, null"))
        lies = self._matrices(dims, count, turns)
        f.jump(ready)
        f.block(ready)
        wanted = self._modes(plan)
        descr = self.keep(self.field(plan, 8 * RESULT))
        new = self.module.declare("rg_small_new_array", "ptr", ["ptr", "ptr", "i32", "ptr", "ptr", "ptr", "i32", "ptr"])
        ndarray = self.module.external("rg_object_ndarray")
        given = [
            ("ptr", ndarray),
            ("ptr", descr),
            ("i32", f.load("i32", count)),
            ("ptr", dims),
            ("ptr", "null"),
            ("ptr", "null"),
            ("i32", "0"),
            ("ptr", "null"),
        ]
        a = f.call(new, "ptr", given)
        self.need(f.op(f"icmp ne ptr {a}, null"), self.failed)
        run_kernel, run_product, done = f.label("kernel"), f.label("product"), f.label("done")
        run_ready, run_library = f.label("ready"), f.label("library")
        f.branch(is_pointwise, run_kernel, run_product)
        f.block(run_kernel)
        self._kernel(plan, a)
        f.jump(done)
        f.block(run_product)
        row = f.load("ptr", kind)
        f.branch(f.op(f"icmp ne ptr {row}, null"), run_ready, run_library)
        f.block(run_ready)
        eager_products.run(self, row, a)
        f.jump(done)
        f.block(run_library)
        self._gemm(plan, a, dims, lies, turns)
        f.jump(done)
        f.block(done)
        f.ret("ptr", self._tensor(a, wanted))
        f.block(self.refused)
        entry.emit_return(f, "None")
        f.block(self.failed)
        f.ret("ptr", "null")

    def _operand(self, i: Value) -> None:
        """Write: look at one operand, a tensor or a number."""
        f = self.f
        x = f.load("ptr", f.element("ptr", f.args, i))
        kind = self.field(x, entry.TYPE)
        classes = [f.op(f"icmp eq ptr {kind}, {self.object(name)}") for name in ("tensor", "parameter")]
        is_tensor = f.op(f"or i1 {classes[0]}, {classes[1]}")
        tensor, number, done = f.label("tensor"), f.label("number"), f.label("done")
        f.branch(is_tensor, tensor, number)
        f.block(tensor)
        a = self.field(x, self.places["_a"])
        self.need(f.op(f"icmp eq ptr {self.field(a, entry.TYPE)}, {self.module.external('rg_object_ndarray')}"))
        base = self.field(x, self.places["_base"])
        with f.if_(f.op(f"icmp ne ptr {base}, {self.none}")):  # a view of what was not written since
            now, seen = self.field(base, self.places["_node"]), self.field(x, self.places["_seen"])
            self.need(f.op(f"icmp eq ptr {now}, {seen}"))
        node = self.field(x, self.places["_node"])
        with f.if_(f.op(f"icmp ne ptr {node}, {self.none}")):
            wants = f.op(f"icmp eq ptr {self.field(node, self.places['requires_grad'])}, {self.true}")
            before = f.load("i64", self.mask)
            f.store("i64", f.op(f"select i1 {wants}, i64 1, i64 {before}"), self.mask)
        aligned = f.op(f"and i32 {self.field(a, entry.FLAGS, 'i32')}, {entry.ALIGNED}")
        self.need(f.op(f"icmp ne i32 {aligned}, 0"))
        f.store("ptr", a, f.element("i64", self.arrays, i))
        f.store("i64", self.field(a, entry.DTYPE, "i64"), f.element("i64", self.kinds, i))
        f.store("ptr", entry.emit_data(f, a), f.element("i64", self.data, i))
        f.jump(done)
        f.block(number)
        is_float = f.op(f"icmp eq ptr {kind}, {self.object('float')}")
        is_int = f.op(f"icmp eq ptr {kind}, {self.object('int')}")
        self.need(f.op(f"or i1 {is_float}, {is_int}"))
        f.store("ptr", "null", f.element("i64", self.arrays, i))
        f.store("i64", f.op(f"select i1 {is_float}, i64 {FLOAT}, i64 {INT}"), f.element("i64", self.kinds, i))
        at = f.element("i64", self.numbers, i)
        f.store("double", "0.0", at)
        with f.if_(is_float):
            f.store("double", self.field(x, NUMBER, "double"), at)
        with f.if_(is_int):
            value = f.call(self.module.declare("PyLong_AsDouble", "double", ["ptr"]), "double", [("ptr", x)])
            with f.if_(f.op(f"fcmp oeq double {value}, -1.0")):
                self._no_error()
            size = f.intrinsic("fabs", "double", value)
            self.need(f.op(f"fcmp olt double {size}, {EXACT}"))
            f.store("double", value, at)
        f.store("ptr", at, f.element("i64", self.data, i))
        f.jump(done)
        f.block(done)

    def _no_error(self) -> None:
        """Write: Python has no exception set; one that it has is dropped, and the call left alone."""
        f = self.f
        error = f.call(self.module.declare("PyErr_Occurred", "ptr", []), "ptr")
        wrong, right = f.label("wrong"), f.label("right")
        f.branch(f.op(f"icmp ne ptr {error}, null"), wrong, right)
        f.block(wrong)
        f.call(self.module.declare("PyErr_Clear", "void", []))
        f.jump(self.refused)
        f.block(right)

    def _plan(self) -> Value:
        """Write: find the plan for these operands; a kind of call that is new is told to ``learn``."""
        f = self.f
        rows = f.load("ptr", f.element("i64", self.words, PLANS))
        found, missing = f.label("found"), f.label("missing")
        place = f.alloca("ptr")
        with f.loop(0, f.load("i64", f.element("i64", self.words, PLAN_COUNT))) as p:
            plan = f.element("i64", rows, f.mul(p, PLAN_WORDS))
            same = f.alloca("i1")
            f.store("i1", f.op(f"icmp eq i64 {self.field(plan, 8 * COUNT, 'i64')}, {f.n}"), same)
            with f.loop(0, f.n) as i:
                one = f.load("i64", f.element("i64", plan, f.add(i, KINDS)))
                equal = f.op(f"icmp eq i64 {one}, {f.load('i64', f.element('i64', self.kinds, i))}")
                f.store("i1", f.op(f"and i1 {f.load('i1', same)}, {equal}"), same)
            f.store("ptr", plan, place)
            other = f.label("other")
            f.branch(f.load("i1", same), found, other)
            f.block(other)
        f.jump(missing)
        f.block(missing)
        self.ask(f.load("ptr", f.element("i64", self.words, LEARN)))
        f.block(found)
        return f.load("ptr", place)

    def ask(self, learn: Value) -> None:
        """Write: tell a function of Python of the operands, and leave the call alone."""
        f = self.f
        call = self.module.declare("PyObject_Vectorcall", "ptr", ["ptr", "ptr", "i64", "ptr"])
        r = f.call(call, "ptr", [("ptr", learn), ("ptr", f.args), ("i64", f.n), ("ptr", "null")])
        self.need(f.op(f"icmp ne ptr {r}, null"), self.failed)
        self.drop(r)
        f.jump(self.refused)

    def _same_shapes(self, dims: Value, count: Value) -> None:
        """Write: all arrays are plain rows of one shape, which is neither empty nor large."""
        f = self.f
        first = f.alloca("ptr")
        f.store("ptr", "null", first)
        with f.loop(0, f.n) as i:
            a = f.load("ptr", f.element("i64", self.arrays, i))
            with f.if_(f.op(f"icmp ne ptr {a}, null")):
                rows = f.op(f"and i32 {self.field(a, entry.FLAGS, 'i32')}, {entry.CONTIGUOUS}")
                self.need(f.op(f"icmp ne i32 {rows}, 0"))
                begun = f.load("ptr", first)
                none_yet = f.op(f"icmp eq ptr {begun}, null")
                reference = f.op(f"select i1 {none_yet}, ptr {a}, ptr {begun}")
                f.store("ptr", reference, first)
                mine, its = self.field(a, entry.NDIM, "i32"), self.field(reference, entry.NDIM, "i32")
                self.need(f.op(f"icmp eq i32 {mine}, {its}"))
                one, two = self.field(a, entry.SHAPE), self.field(reference, entry.SHAPE)
                with f.loop(0, f.op(f"sext i32 {mine} to i64")) as d:
                    left, right = (f.load("i64", f.element("i64", s, d)) for s in (one, two))
                    self.need(f.op(f"icmp eq i64 {left}, {right}"))
        a = f.load("ptr", first)
        self.need(f.op(f"icmp ne ptr {a}, null"))
        ndim = self.field(a, entry.NDIM, "i32")
        self.need(f.op(f"icmp sge i32 {ndim}, 1"))
        self.need(f.op(f"icmp sle i32 {ndim}, {DIMS}"))
        f.store("i32", ndim, count)
        shape = self.field(a, entry.SHAPE)
        with f.loop_carry(0, f.op(f"sext i32 {ndim} to i64"), 1, [("i64", "1")]) as loop:
            length = f.load("i64", f.element("i64", shape, loop.i))
            f.store("i64", length, f.element("i64", dims, loop.i))
            loop.set(f.op(f"mul i64 {loop.values[0]}, {length}"))
        size = loop.results[0]
        self.need(f.op(f"icmp ne i64 {size}, 0"))
        self.need(f.op(f"icmp ult i64 {size}, {LARGE}"))

    def _is_small(self, turns: Value) -> Value:
        """Write: whether a product is of matrices, and too small for the library's own kernels."""
        f = self.f
        x, y = (f.load("ptr", f.element("i64", self.arrays, i)) for i in range(2))
        small = f.alloca("i1")
        two = [f.op(f"icmp eq i32 {self.field(a, entry.NDIM, 'i32')}, 2") for a in (x, y)]
        f.store("i1", "false", small)
        with f.if_(f.op(f"and i1 {two[0]}, {two[1]}")):
            (m, k), (p, q) = [
                [f.min(f.load("i64", f.element("i64", self.field(a, entry.SHAPE), d)), WORTH) for d in range(2)]
                for a in (x, y)
            ]
            n = f.op(f"select i1 {turns}, i64 {p}, i64 {q}")
            f.store("i1", f.op(f"icmp slt i64 {f.mul(f.mul(m, k), n)}, {WORTH}"), small)
        return f.load("i1", small)

    def _matrices(self, dims: Value, count: Value, turns: Value) -> dict[str, Value]:
        """Write: two matrices that NumPy would hand to its library as they are; gives how they lie, and their lengths."""
        f = self.f
        x, y = (f.load("ptr", f.element("i64", self.arrays, i)) for i in range(2))
        for a in (x, y):
            self.need(f.op(f"icmp eq i32 {self.field(a, entry.NDIM, 'i32')}, 2"))
        shapes = [self.field(a, entry.SHAPE) for a in (x, y)]
        (m, k), (p, q) = [[f.load("i64", f.element("i64", s, d)) for d in range(2)] for s in shapes]
        inner, n = f.op(f"select i1 {turns}, i64 {q}, i64 {p}"), f.op(f"select i1 {turns}, i64 {p}, i64 {q}")
        self.need(f.op(f"icmp eq i64 {k}, {inner}"))
        for length in (m, k, n):  # a vector is another function's
            self.need(f.op(f"icmp sge i64 {length}, 2"))
            self.need(f.op(f"icmp slt i64 {length}, {WORTH}"))
        one, two = (f.load("ptr", f.element("i64", self.data, i)) for i in range(2))
        self.need(f.op(f"icmp ne ptr {one}, {two}"))  # a matrix by its own transpose is another function's
        columns = []
        for a in (x, y):
            flags = self.field(a, entry.FLAGS, "i32")
            some = f.op(f"and i32 {flags}, {entry.CONTIGUOUS | FORTRAN}")
            self.need(f.op(f"icmp ne i32 {some}, 0"))
            columns.append(f.op(f"icmp ne i32 {f.op(f'and i32 {flags}, {FORTRAN}')}, 0"))
        with f.if_(f.op(f"icmp eq i64 {f.n}, 3")):
            b = f.load("ptr", f.element("i64", self.arrays, 2))
            self.need(f.op(f"icmp eq i32 {self.field(b, entry.NDIM, 'i32')}, 1"))
            flags = f.op(f"and i32 {self.field(b, entry.FLAGS, 'i32')}, {entry.CONTIGUOUS}")
            self.need(f.op(f"icmp ne i32 {flags}, 0"))
            self.need(f.op(f"icmp eq i64 {f.load('i64', self.field(b, entry.SHAPE))}, {n}"))
        f.store("i64", m, dims)
        f.store("i64", n, f.element("i64", dims, 1))
        f.store("i32", "2", count)
        found = {"m": m, "k": k, "n": n, "x": one, "y": two, "x_turned": columns[0]}
        found["y_turned"] = f.op(f"xor i1 {columns[1]}, {turns}")
        slots = {
            name: f.alloca("i1" if name.endswith("turned") else "ptr" if name in "xy" else "i64") for name in found
        }
        for name, value in found.items():
            f.store("i1" if name.endswith("turned") else "ptr" if name in "xy" else "i64", value, slots[name])
        return slots

    def _modes(self, plan: Value) -> Value:
        """Write: the door alone need not make the result; gives whether it has a history, or somebody who is to hear of it."""
        f = self.f
        get = self.module.declare("PyObject_GetAttr", "ptr", ["ptr", "ptr"])

        def switch(name: str) -> Value:
            found: Value = f.call(get, "ptr", [("ptr", self.object("mode")), ("ptr", self.object(name))])
            self.need(f.op(f"icmp ne ptr {found}, null"), self.failed)
            self.drop(found)  # True, False and None stay
            return found

        straight = switch("straight")
        heard = f.op(f"icmp eq ptr {straight}, {self.none}")
        self.need(f.op(f"or i1 {heard}, {f.op(f'icmp eq ptr {straight}, {self.true}')}"))
        keeps = f.op(f"icmp ne i64 {self.field(plan, 8 * RECORDED, 'i64')}, 0")
        some = f.op(f"icmp ne i64 {f.load('i64', self.mask)}, 0")
        wanted = f.alloca("i1")
        f.store("i1", "false", wanted)
        with f.if_(f.op(f"and i1 {keeps}, {some}")):
            f.store("i1", f.op(f"icmp eq ptr {switch('grad')}, {self.true}"), wanted)
        is_pointwise = f.op(f"icmp eq i64 {self.field(plan, 8 * HOW, 'i64')}, {POINTWISE}")
        with f.if_(is_pointwise):  # nobody else is in the kernel
            words = self.field(plan, 8 * RUNS)
            self.need(f.op(f"icmp eq i64 {self.field(words, 8 * BUSY, 'i64')}, 0"))
        return f.op(f"or i1 {heard}, {f.load('i1', wanted)}")

    def _kernel(self, plan: Value, a: Value) -> None:
        """Write: the addresses into the kernel's table, and run it."""
        f = self.f
        words = self.field(plan, 8 * RUNS)
        rows = self.field(words, 8 * ROWS)
        narrow = f.op(f"icmp eq i64 {self.field(plan, 8 * SIZE, 'i64')}, 4")
        with f.loop(0, f.n) as i:
            is_number = f.op(f"icmp ule i64 {f.load('i64', f.element('i64', self.kinds, i))}, {INT}")
            with f.if_(f.op(f"and i1 {is_number}, {narrow}")):
                at = f.element("i64", self.numbers, i)
                f.store("float", f.op(f"fptrunc double {f.load('double', at)} to float"), at)
            self._fill(f.element("i64", rows, f.mul(i, ROW_WORDS)), f.load("ptr", f.element("i64", self.data, i)))
        self._fill(f.element("i64", rows, f.mul(f.n, ROW_WORDS)), entry.emit_data(f, a))
        records = self.field(words, 8 * RECORDS)
        cut(f, a, self.field(words, 8 * LENGTHS), records, self.field(words, 8 * STEP, "i64"))
        drive = self.field(words, 8 * DRIVE)
        f.call(drive, arguments=[("ptr", records), ("i64", self.field(words, 8 * RECORD_COUNT, "i64"))])

    def _fill(self, row: Value, data: Value) -> None:
        f = self.f
        slots = f.load("ptr", f.element("i64", row, 4))
        with f.loop(0, f.load("i64", f.element("i64", row, 5))) as k:
            where = f.load("ptr", f.element("i64", slots, f.mul(k, 2)))
            extra = f.load("i64", f.element("i64", slots, f.add(f.mul(k, 2), 1)))
            f.store("ptr", f.byte(data, extra), where)

    def _gemm(self, plan: Value, a: Value, dims: Value, lies: dict[str, Value], turns: Value) -> None:
        """Write: the product by NumPy's library, as NumPy calls it, and the bias."""
        f = self.f
        m, k, n = (str(f.load("i64", lies[name])) for name in "mkn")
        x, y = (f.load("ptr", lies[name]) for name in "xy")
        turned = [f.load("i1", lies[name]) for name in ("x_turned", "y_turned")]
        how = [f.op(f"select i1 {t}, i32 {TURNED}, i32 {PLAIN}") for t in turned]
        steps = [f.op(f"select i1 {turned[0]}, i64 {m}, i64 {k}"), f.op(f"select i1 {turned[1]}, i64 {k}, i64 {n}")]
        out = entry.emit_data(f, a)
        call = self.field(plan, 8 * RUNS)
        narrow = f.op(f"icmp eq i64 {self.field(plan, 8 * SIZE, 'i64')}, 4")

        def run(type: str) -> list[Value]:
            order: list[tuple[str, Count]] = [("i32", str(ROW_MAJOR)), *[("i32", h) for h in how]]
            given = [*order, *[("i64", v) for v in (m, n, k)], (type, "1.0"), ("ptr", x), ("i64", steps[0])]
            f.call(call, arguments=[*given, ("ptr", y), ("i64", steps[1]), (type, "0.0"), ("ptr", out), ("i64", n)])
            with f.if_(f.op(f"icmp eq i64 {f.n}, 3")):
                bias = f.load("ptr", f.element("i64", self.data, 2))
                with f.loop(0, m) as i:
                    row = f.element(type, out, f.mul(i, n))
                    with f.loop(0, n) as j:
                        at = f.element(type, row, j)
                        total = f.op(f"fadd {type} {f.load(type, at)}, {f.load(type, f.element(type, bias, j))}")
                        f.store(type, total, at)
            return []

        f.choose(narrow, [], lambda: run("float"), lambda: run("double"))

    def _tensor(self, a: Value, wanted: Value) -> Value:
        """Write: the tensor, whose Node is made above where it is to have one."""
        return self._made(a, self.f.op(f"select i1 {wanted}, ptr {self.object('wanted')}, ptr {self.none}"))

    def _made(self, a: Value, node: Value) -> Value:
        """Write: a tensor of an array, whose reference it takes, and its storage."""
        f, places = self.f, self.places
        new = self.module.declare("rg_small_new_object", "ptr", ["ptr", "ptr", "ptr"])
        made = []
        for name in ("tensor", "storage"):
            thing = f.call(new, "ptr", [("ptr", self.object(name)), ("ptr", self.object("nothing")), ("ptr", "null")])
            self.need(f.op(f"icmp ne ptr {thing}, null"), self.failed)
            made.append(thing)
        t, s = made
        for thing, name, value in (
            (s, "root", self.keep(a)),
            (s, "version", self.keep(self.object("zero"))),
            (s, "notes", self.keep(self.none)),
            (t, "_a", a),
            (t, "_s", s),
            (t, "_node", self.keep(node)),
            (t, "_base", self.keep(self.none)),
            (t, "_grad", self.keep(self.none)),
        ):
            f.store("ptr", value, f.byte(thing, places[name]))
        return t


class _Wrap(_Door):
    """The writer of ``wrap(array, node) -> tensor``, whose arguments are not looked at."""

    def __init__(self, module: Module, places: dict[str, int]) -> None:
        super().__init__(module, places, "small_wrap")

    def write(self) -> None:
        f = self.f
        a, node = (f.load("ptr", f.element("ptr", f.args, i)) for i in range(2))
        f.ret("ptr", self._made(self.keep(a), node))
        f.block(self.failed)
        f.ret("ptr", "null")
        f.block(self.refused)
        f.ret("ptr", "null")


@functools.cache
def wrapper() -> Any:
    """Give ``core.wrap(array, node=)`` as a builtin ``(array, node) -> tensor``, for use outside of traces; None where there is none."""
    made = compiling("the door of small arrays", code)
    return None if made is None else entry.builtin(made.address("small_wrap"), made, "small_wrap")


__all__ = ["WANTED", "code", "wrapper"]
