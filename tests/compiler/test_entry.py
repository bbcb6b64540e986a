"""Calls from Python into generated code."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import time
import weakref

import numpy as np
import pytest

from retrograd.compiler.codegen.emit import Module
from retrograd.compiler.codegen.lanes import Lanes
from retrograd.compiler.runtime import entry, jit
from retrograd.compiler.runtime.cache import native


def increment(arguments: list[entry.Argument], release: bool = False) -> jit.Loaded:
    """A kernel that adds 1 to twelve float32, and its entry."""
    module = Module()
    f = module.function("increment", [("ptr", f"x{k}") for k in range(len(arguments))])
    lanes = Lanes(f, "f32", 4)
    with f.loop(0, 12, 4) as i:
        lanes.store(lanes.add(lanes.load(f.x0, i), lanes.const(1)), f.x0, i)
    f.ret()
    entry.emit_entry(module, "increment", arguments, release)
    return native(module.text(), "increment")


@pytest.fixture(params=["builtin", "ctypes"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to call: the fast one, and that of interpreters whose objects look different."""
    if request.param == "ctypes":
        monkeypatch.setattr(entry, "readable", lambda: False)
    elif not entry.readable():
        pytest.skip("this interpreter's objects look different")
    return request.param


def test_arrays_that_fit_are_worked_on_and_others_refused(way: str) -> None:
    arguments = [entry.Argument("float32", (3, 4), writable=True)]
    call = entry.caller(increment(arguments), "increment", arguments)
    x = np.zeros((3, 4), np.float32)
    assert call(x) is True and call(x) is True
    np.testing.assert_array_equal(x, 2)
    frozen = np.zeros((3, 4), np.float32)
    frozen.flags.writeable = False
    wide = np.zeros((3, 8), np.float32)
    odd = np.frombuffer(bytearray(49), np.uint8)[1:].view(np.float32).reshape(3, 4)
    refused = [
        np.zeros((3, 4)), np.zeros((4, 3), np.float32), np.zeros(12, np.float32), wide[:, ::2], np.asfortranarray(x), frozen, odd,
        x.astype(">f4"), [1.0], None, x.view(type("Sub", (np.ndarray,), {})),
    ]  # fmt: skip
    for value in refused:
        assert call(value) is False
    assert call() is False and call(x, x) is False
    np.testing.assert_array_equal(x, 2)


def test_strides_and_free_sizes_may_be_asked_for(way: str) -> None:
    arguments = [entry.Argument("float32", (None,), writable=True), entry.Argument("int64", (2, 3), (8, 16))]
    call = entry.caller(increment(arguments), "increment", arguments)
    x, y = np.zeros(12, np.float32), np.zeros((3, 2), np.int64)
    assert call(x, y.T) is True and call(np.zeros(20, np.float32), y.T) is True
    assert call(x, y) is False and call(x, np.zeros((2, 3), np.int64)) is False and call(x[:, None], y.T) is False
    arguments = [entry.Argument("float32", None)]
    call = entry.caller(increment(arguments), "increment", arguments)
    assert call(np.zeros((2, 2, 3), np.float32)) is True


def test_a_builtin_keeps_its_code_and_itself(way: str) -> None:
    arguments = [entry.Argument("float32", (12,), writable=True)]
    loaded = increment(arguments)
    alive, call = weakref.ref(loaded), entry.caller(loaded, "increment", arguments)
    del loaded
    gc.collect()
    assert alive() is not None
    x = np.zeros(12, np.float32)
    before = sys.getrefcount(x), sys.getrefcount(True)
    assert all(call(x) for _ in range(1000))
    assert sys.getrefcount(x) == before[0] and abs(sys.getrefcount(True) - before[1]) < 100
    del call
    gc.collect()
    assert alive() is None


def test_addresses() -> None:
    array = np.zeros((4, 5))
    for x in (array, array[2:, 1:], array[0, 0], np.array(3.0)):
        x = np.asarray(x)
        assert entry.pointer(x) == x.ctypes.data


def test_the_interpreter_runs_on_while_code_does() -> None:
    module = Module()
    f = module.function("wait", [("ptr", "self"), ("ptr", "flag")], "ptr")
    state = entry.emit_release(f)
    again, done = f.label("again"), f.label("done")
    flag = f.op(f"load ptr, ptr {f.byte('@rg_flag', 0)}")
    f.jump(again)
    f.block(again)
    value = f.op(f"load atomic i32, ptr {flag} seq_cst, align 4")
    f.branch(f.op(f"icmp ne i32 {value}, 0"), done, again)
    f.block(done)
    entry.emit_acquire(f, state)
    entry.emit_return(f, "None")
    module.variable("flag", "ptr", "null", align=8)
    loaded = native(module.text(), "wait")
    word = ctypes.c_int32(0)
    ctypes.c_void_p.from_address(loaded.address("flag")).value = ctypes.addressof(word)
    wait = entry.builtin(loaded.address("wait"), loaded, "wait", entry.ONE)
    assert wait.__name__ == "wait"
    thread = threading.Thread(target=wait, args=(None,))
    thread.start()
    time.sleep(0.01)
    assert thread.is_alive()
    word.value = 1
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_an_error_of_generated_code_is_pythons() -> None:
    module = Module()
    f = module.function("fail", [("ptr", "self"), ("ptr", "nothing")], "ptr")
    kind = f.load("ptr", module.external("PyExc_ValueError"))
    message = module.constant("[9 x i8]", 'c"no luck!\\00"')
    f.call(module.declare("PyErr_SetString", "void", ["ptr", "ptr"]), arguments=[("ptr", kind), ("ptr", message)])
    f.ret("ptr", "null")
    loaded = native(module.text(), "fail")
    with pytest.raises(ValueError, match="no luck!"):
        entry.builtin(loaded.address("fail"), loaded, "fail", entry.NOARGS)()
