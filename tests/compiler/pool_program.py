"""Programs that use the pool, run by test_pool.py in processes of their own: `python pool_program.py case ...`."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

import numpy as np

from retrograd.compiler.codegen.emit import Module
from retrograd.compiler.runtime import pool
from retrograd.compiler.runtime.cache import native


def module() -> str:
    """Jobs that count, and rounds of them that check every count after every join."""
    m = Module()
    f = m.function("count", [("ptr", "a"), ("i64", "chunk")])
    place = f.element("i64", f.a, f.op("shl i64 %chunk, 3"))
    f.store("i64", f.op(f"add i64 {f.load('i64', place)}, 1"), place)
    f.ret()
    f = m.function("rounds", [("ptr", "a"), ("i64", "n"), ("i64", "chunks"), ("i1", "wake")], "i64")
    with f.loop_carry(0, f.n, 1, [("i64", "0")]) as turns:
        with f.if_(f.wake):
            pool.emit_parallel(f, "@rg_count", f.a, f.chunks)
        with f.if_(f.op("xor i1 %wake, true")):
            pool.emit_parallel(f, "@rg_count", f.a, f.chunks, wake=False)
        with f.loop_carry(0, f.chunks, 1, [("i64", turns.values[0])]) as counts:
            number = f.load("i64", f.element("i64", f.a, f.op(f"shl i64 {counts.i}, 3")))
            wrong = f.op(f"icmp ne i64 {number}, {f.add(turns.i, 1)}")
            wrong = f.op(f"zext i1 {wrong} to i64")
            counts.set(f.op(f"add i64 {counts.values[0]}, {wrong}"))
        turns.set(counts.results[0])
    f.ret("i64", turns.results[0])
    # slow chunks, which write down the thread that ran them; nested ones, which are jobs themselves
    f = m.function("slow", [("ptr", "a"), ("i64", "chunk")])
    with f.loop(0, 2_000_000) as _:
        f.call(f.module.declare("llvm.donothing", "void"))
    thread = f.call(m.declare("gettid", "i32"), "i32")
    f.store("i64", f.op(f"sext i32 {thread} to i64"), f.element("i64", f.a, f.chunk))
    f.ret()
    f = m.function("spread", [("ptr", "a"), ("i64", "chunks")])
    pool.emit_parallel(f, "@rg_slow", f.a, f.chunks)
    f.ret()
    f = m.function("inner", [("ptr", "a"), ("i64", "chunk")])
    pool.emit_parallel(f, "@rg_count", f.element("i64", f.a, f.op("mul i64 %chunk, 64")), "8")
    f.ret()
    f = m.function("nested", [("ptr", "a")])
    pool.emit_parallel(f, "@rg_inner", f.a, "5")
    f.ret()
    return m.text()


def _address(name: str) -> int:
    return ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value or 0


code = native(module(), "pool's test", {"gettid": _address("gettid")} if sys.platform == "linux" else {"gettid": 0})


def rounds(n: int, chunks: int, wake: bool = True) -> None:
    """Run n jobs; every chunk must have been run once in each."""
    a = np.zeros(8 * chunks + 8, np.int64)
    function = code.function("rounds", ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_bool)
    assert function(a.ctypes.data, n, chunks, wake) == 0
    assert (a[: 8 * chunks : 8] == n).all()


def threads_of(chunks: int) -> set[int]:
    """Run slow chunks and give the threads that ran them."""
    a = np.zeros(chunks, np.int64)
    code.function("spread", None, ctypes.c_void_p, ctypes.c_int64)(a.ctypes.data, chunks)
    assert (a > 0).all()
    return set(a.tolist())


def many_rounds() -> None:
    """Every chunk of every job, spinning, parked, more threads than processors, and more chunks than a ticket holds."""
    rounds(5, 3)  # before there are workers
    for threads in (2, 5, 3):
        pool.ensure(threads)
        for chunks in (1, 2, 7, 64):
            rounds(150, chunks)
            rounds(150, chunks, wake=False)
    for _ in range(20):
        time.sleep(0.003)  # long enough to fall asleep
        rounds(2, 8)
    rounds(1, pool.MOST_CHUNKS + 1)


def sharing() -> None:
    """Workers do take part, and no more of them than were asked for."""
    pool.ensure(2)
    assert any(len(threads_of(64)) == 2 for _ in range(20))
    pool.ensure(1)
    assert all(len(threads_of(8)) == 1 for _ in range(5))
    pool.ensure(4)
    assert any(len(threads_of(64)) >= 2 for _ in range(20))


def nested() -> None:
    """A job in a job, and jobs of several threads at once."""
    pool.ensure(3)
    a = np.zeros(5 * 64, np.int64)
    for _ in range(500):
        code.function("nested", None, ctypes.c_void_p)(a.ctypes.data)
    assert (a[::8] == 500).all()
    crew = [threading.Thread(target=rounds, args=(2000, 4)) for _ in range(4)]
    for thread in crew:
        thread.start()
    rounds(2000, 4)
    for thread in crew:
        thread.join()


def forks() -> None:
    """A child has no workers until it asks, whether the parent's were busy or not; the parent goes on."""
    pool.ensure(3)
    rounds(100, 8)
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            rounds(200, 8)

    thread = threading.Thread(target=busy)
    thread.start()
    children = []
    for number in range(6):
        child = os.fork()
        if child == 0:
            rounds(100, 8)
            if number % 2:
                pool.ensure(2)
                rounds(2000, 8)
            os._exit(7)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    stop.set()
    thread.join()
    assert codes == [7] * 6, codes
    rounds(1000, 8)


def signals() -> None:
    """Signals arrive at the main thread between calls, thousands of them, and a keyboard's interrupt is an exception."""
    pool.ensure(3)
    seen = []
    signal.signal(signal.SIGALRM, lambda *_: seen.append(threading.current_thread() is threading.main_thread()))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0005)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        rounds(300, 8)
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert len(seen) > 20 and all(seen)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is started with it ignored
    try:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        while True:
            rounds(300, 8)
    except KeyboardInterrupt:
        pass
    rounds(300, 8)


def end_by_exception() -> None:
    """The process ends with the exception's status, its workers asleep."""
    pool.ensure(4)
    rounds(100, 8)
    time.sleep(0.01)
    raise SystemError("the end")


def end_with_a_thread() -> None:
    """The process waits for its own thread, which uses the pool, and ends with the status given."""
    pool.ensure(4)
    threading.Thread(target=lambda: (time.sleep(0.1), rounds(100, 8))).start()
    sys.exit(5)


def end_at_once() -> None:
    """No cleaning up at all."""
    pool.ensure(4)
    rounds(100, 8)
    os._exit(3)


def without_futex() -> None:
    """Where there is no futex, the caller does all of it."""
    assert not pool.supported()
    before = threading.active_count()
    pool.ensure(4)
    rounds(100, 8)
    assert threading.active_count() == before


if __name__ == "__main__":
    for case in sys.argv[1:]:
        globals()[case]()
