"""Threads for generated code: workers parked inside it, who share a job's chunks by taking tickets.

A job is a function and a number of chunks. Whoever calls it posts a ticket (job's stamp, chunks, next chunk) in one 64-bit
word; workers and the caller take chunks by adding 1 to it, and the job is done when all *chunks* are, so that a worker who
comes late, or never, costs nothing. Waiting is spinning for about half a millisecond, giving the processor away now and
then, and sleeping on a futex after that. A call from inside a job, or from a second thread, runs its chunks by itself.

Workers are daemon threads of Python that stay in generated code and need no interpreter lock there. They are started when
first asked for, receive no signals, and are let go at exit; a forked child has none until it asks. Where there is no futex
(other systems than Linux), every job runs in its caller.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from ..codegen.emit import Function, Module, Value
from . import cache, jit

NEXT_BITS = 20  # of the ticket: the next chunk; as many for their number, and what is left for the stamp
MOST_CHUNKS = 1 << (NEXT_BITS - 1)  # leaves room for workers who take a ticket too many
MOST_WORKERS = 1024
SPIN_SECONDS = 0.5e-3
YIELD_EVERY = 64  # pauses between two offers of the processor: the worker may be waiting for this very one
FUTEX = {"x86_64": 202, "aarch64": 98}
PAUSE = {"x86_64": ("llvm.x86.sse2.pause", ""), "aarch64": ("llvm.aarch64.hint", "i32 1")}
SET_AFFINITY = {"x86_64": 203, "aarch64": 122}
PLACED = 4  # so many workers are moved by whoever wakes them; among more, the system finds free processors by itself
MASK_BYTES = 128  # of a set of processors: 1024, as in glibc's cpu_set_t
WAIT, WAKE = 128, 129  # futex operations, private to the process
EVERYONE = 2**31 - 1

# Fields, each that is written often in a cache line of its own
TICKET, DONE, BUSY, ASLEEP, WAITING, JOB, ARGUMENT, HERE, SPIN, THREADS, STOP, TIDS, HOME, SIZE = (
    *(0, 64, 128, 192, 256),
    *(320, 328, 336, 384, 388, 448, 512),
    *(576, 576 + MASK_BYTES),
)


def supported() -> bool:
    """Tell whether jobs can be shared on this system."""
    return sys.platform == "linux" and platform.machine() in FUTEX and sys.maxsize > 2**32


class _Writer:
    """Shorthand for the pool's functions: fields of the state, atomic operations on them, waiting."""

    def __init__(self, f: Function) -> None:
        self.f = f

    def at(self, field: int) -> Value:
        return self.f.byte("@rg_pool_state", field)

    def read(self, field: int, order: str = "seq_cst", type: str = "i32") -> Value:
        return self.f.op(f"load atomic {type}, ptr {self.at(field)} {order}, align {4 if type == 'i32' else 8}")

    def write(self, field: int, value: Value, order: str = "seq_cst") -> None:
        self.f.do(f"store atomic i32 {value}, ptr {self.at(field)} {order}, align 4")

    def change(self, op: str, field: int, value: Value, type: str = "i32") -> Value:
        return self.f.op(f"atomicrmw {op} ptr {self.at(field)}, {type} {value} seq_cst")

    def futex(self, field: int, operation: int, value: Value) -> None:
        call = self.f.module.declare("syscall", "i64", ["i64", "..."])
        number = FUTEX[platform.machine()]
        rest = f"ptr {self.at(field)}, i64 {operation}, i64 {value}, ptr null, ptr null, i64 0"
        self.f.op(f"call i64 (i64, ...) {call}(i64 {number}, {rest})")

    def processor(self) -> Value:
        """Number of the processor that runs this."""
        return self.f.op(f"call i32 {self.f.module.declare('sched_getcpu', 'i32')}()")

    def keep_off(self, thread: Value, processor: Value) -> None:
        """Let a thread (0: this one) run on every processor that is the pool's, but that one."""
        f = self.f
        mask = f.alloca("i64", MASK_BYTES // 8)
        copy = f.module.declare("llvm.memcpy.p0.p0.i64", "void", ["ptr", "ptr", "i64", "i1"])
        f.do(f"call void {copy}(ptr {mask}, ptr {self.at(HOME)}, i64 {MASK_BYTES}, i1 false)")
        number = f.op(f"zext i32 {f.op(f'and i32 {processor}, {8 * MASK_BYTES - 1}')} to i64")
        word = f.element("i64", mask, f.op(f"lshr i64 {number}, 6"))
        bit = f.op(f"shl i64 1, {f.op(f'and i64 {number}, 63')}")
        f.store("i64", f.op(f"and i64 {f.load('i64', word, 8)}, {f.op(f'xor i64 {bit}, -1')}"), word)
        call = f.module.declare("syscall", "i64", ["i64", "..."])
        wide = f.op(f"zext i32 {thread} to i64")
        rest = f"i64 {wide}, i64 {MASK_BYTES}, ptr {mask}"
        f.op(f"call i64 (i64, ...) {call}(i64 {SET_AFFINITY[platform.machine()]}, {rest})")  # an empty set is refused

    def pause(self) -> None:
        name, argument = PAUSE[platform.machine()]
        self.f.do(f"call void {self.f.module.declare(name, 'void', argument.split()[:1])}({argument})")

    def spin(self, ready: Callable[[], Value], yes: str, no: str) -> None:
        """Wait for a condition: to ``yes`` when it holds, to ``no`` after the usual patience."""
        f = self.f
        most = f.load("i32", self.at(SPIN))
        look, rest, offer, turn = (f.label(name) for name in ("look", "rest", "offer", "turn"))
        count = f.alloca("i32")
        f.store("i32", "0", count)
        f.jump(look)
        f.block(look)
        f.branch(ready(), yes, rest)
        f.block(rest)
        self.pause()
        done = f.op(f"add i32 {f.load('i32', count)}, 1")
        f.store("i32", done, count)
        now = f.op(f"icmp eq i32 {f.op(f'and i32 {done}, {YIELD_EVERY - 1}')}, 0")
        f.branch(now, offer, turn)
        f.block(offer)
        f.op(f"call i32 {f.module.declare('sched_yield', 'i32')}()")
        f.jump(turn)
        f.block(turn)
        f.branch(f.op(f"icmp slt i32 {done}, {most}"), look, no)

    def take_chunks(self, after: str) -> Value:
        """Run chunks of the posted job until there are none, go to ``after``; gives the stamp of the last ticket seen."""
        f = self.f
        take, work, last, wake = (f.label(name) for name in ("take", "work", "last", "wake"))
        f.jump(take)
        f.block(take)
        ticket = self.change("add", TICKET, "1", "i64")
        mask = (1 << NEXT_BITS) - 1
        chunk = f.op(f"and i64 {ticket}, {mask}")
        chunks = f.op(f"and i64 {f.op(f'lshr i64 {ticket}, {NEXT_BITS}')}, {mask}")
        stamp = f.op(f"trunc i64 {f.op(f'lshr i64 {ticket}, 32')} to i32")
        f.branch(f.op(f"icmp ult i64 {chunk}, {chunks}"), work, after)
        f.block(work)
        job, argument = f.load("ptr", self.at(JOB)), f.load("ptr", self.at(ARGUMENT))
        f.call(job, arguments=[("ptr", argument), ("i64", chunk)])
        done = f.op(f"zext i32 {self.change('add', DONE, '1')} to i64")
        f.branch(f.op(f"icmp eq i64 {f.op(f'add i64 {done}, 1')}, {chunks}"), last, take)
        f.block(last)
        f.branch(f.op(f"icmp ne i32 {self.read(WAITING)}, 0"), wake, take)
        f.block(wake)
        self.futex(DONE, WAKE, "1")
        f.jump(take)
        return stamp


def _worker(module: Module) -> None:
    """A worker's life: wait for a stamp that is new, take chunks, wait again."""
    f = module.function("pool_worker", [("i64", "id")])
    w = _Writer(f)
    top, awake, park, doze, sleep, woken, mine, quit = (
        f.label(name) for name in ("top", "awake", "park", "doze", "sleep", "woken", "mine", "quit")
    )
    seen = f.alloca("i32")
    f.store("i32", "0", seen)
    stamp = TICKET + 4

    def fresh() -> Value:
        return f.op(f"icmp ne i32 {w.read(stamp)}, {f.load('i32', seen)}")

    f.jump(top)
    f.block(top)
    w.spin(fresh, awake, park)
    f.block(park)
    w.change("add", ASLEEP, "1")
    f.jump(doze)
    f.block(doze)
    f.branch(fresh(), woken, sleep)
    f.block(sleep)
    w.futex(stamp, WAIT, f.op(f"zext i32 {f.load('i32', seen)} to i64"))
    f.jump(doze)
    f.block(woken)
    w.change("sub", ASLEEP, "1")
    f.jump(awake)
    f.block(awake)
    allowed, skip = f.label("allowed"), f.label("skip")
    f.store("i32", w.read(stamp), seen)
    f.branch(f.op(f"icmp ne i32 {w.read(STOP)}, 0"), quit, allowed)
    f.block(allowed)
    number = f.op("trunc i64 %id to i32")
    f.branch(f.op(f"icmp slt i32 {number}, {w.read(THREADS)}"), mine, top)
    f.block(mine)
    same, ready = f.label("same"), f.label("ready")
    here = f.load("i32", w.at(HERE))
    f.branch(f.op(f"icmp eq i32 {w.processor()}, {here}"), same, ready)
    f.block(same)
    w.keep_off("0", here)
    f.jump(ready)
    f.block(ready)
    last = w.take_chunks(skip)
    f.block(skip)
    f.store("i32", last, seen)
    f.jump(top)
    f.block(quit)
    f.ret()


def _share(module: Module, name: str, wake: bool) -> None:
    """Run a job with whoever is there; with ``wake``, sleeping workers are called too."""
    f = module.function(name, [("ptr", "job"), ("ptr", "argument"), ("i64", "chunks")], attributes="nounwind noinline")
    w = _Writer(f)
    alone, ask, post, call, begin, join, wait, doze, sleep, up, over, end = (
        f.label(name)
        for name in ("alone", "ask", "post", "call", "begin", "join", "wait", "doze", "sleep", "up", "over", "end")
    )
    few = f.op("icmp sle i64 %chunks, 1")
    many = f.op(f"icmp sgt i64 %chunks, {MOST_CHUNKS}")
    single = f.op(f"icmp slt i32 {w.read(THREADS, 'monotonic')}, 2")
    f.branch(f.op(f"or i1 {single}, {f.op(f'or i1 {few}, {many}')}"), alone, ask)
    f.block(ask)
    pair = f.op(f"cmpxchg ptr {w.at(BUSY)}, i32 0, i32 1 seq_cst seq_cst")
    f.branch(f.op(f"extractvalue {{i32, i1}} {pair}, 1"), post, alone)
    f.block(alone)
    _inline(f)
    f.jump(end)
    f.block(post)
    f.store("ptr", f.job, w.at(JOB))
    f.store("ptr", f.argument, w.at(ARGUMENT))
    here = w.processor()
    f.store("i32", here, w.at(HERE))
    w.write(DONE, "0")
    old = w.read(TICKET, "monotonic", "i64")
    stamp = f.op(f"add i64 {f.op(f'lshr i64 {old}, {2 * NEXT_BITS}')}, 1")
    count = f.op(f"shl i64 %chunks, {NEXT_BITS}")
    w.change("xchg", TICKET, f.op(f"or i64 {f.op(f'shl i64 {stamp}, {2 * NEXT_BITS}')}, {count}"), "i64")
    if wake:
        f.branch(f.op(f"icmp sgt i32 {w.read(ASLEEP)}, 0"), call, begin)
        f.block(call)
        for worker in range(PLACED):
            move, next = f.label("move"), f.label("next")
            thread = f.load("i32", w.at(TIDS + 4 * worker))
            f.branch(f.op(f"icmp ne i32 {thread}, 0"), move, next)
            f.block(move)
            w.keep_off(thread, here)
            f.jump(next)
            f.block(next)
        w.futex(TICKET + 4, WAKE, str(EVERYONE))
    f.jump(begin)
    f.block(begin)
    w.take_chunks(join)
    f.block(join)
    total = f.op("trunc i64 %chunks to i32")

    def finished() -> Value:
        return f.op(f"icmp eq i32 {w.read(DONE)}, {total}")

    w.spin(finished, over, wait)
    f.block(wait)
    w.write(WAITING, "1")
    f.jump(doze)
    f.block(doze)
    done = w.read(DONE)
    f.branch(f.op(f"icmp eq i32 {done}, {total}"), up, sleep)
    f.block(sleep)
    w.futex(DONE, WAIT, f.op(f"zext i32 {done} to i64"))
    f.jump(doze)
    f.block(up)
    w.write(WAITING, "0")
    f.jump(over)
    f.block(over)
    w.write(BUSY, "0")
    f.jump(end)
    f.block(end)
    f.ret()


def _inline(f: Function) -> None:
    """Run all chunks here, in order."""
    with f.loop(0, f.chunks) as chunk:
        f.call(f.job, arguments=[("ptr", f.argument), ("i64", chunk)])


def text() -> str:
    """Give the pool's module: rg_parallel, rg_parallel_awake, and what the workers run."""
    module = Module()
    if not supported():
        for name in ("parallel", "parallel_awake"):
            f = module.function(name, [("ptr", "job"), ("ptr", "argument"), ("i64", "chunks")])
            _inline(f)
            f.ret()
        return module.text()
    module.variable("pool_state", f"[{SIZE} x i8]", align=64)
    _share(module, "parallel", wake=True)
    _share(module, "parallel_awake", wake=False)
    _worker(module)
    stop = module.function("pool_stop")
    w = _Writer(stop)
    w.write(STOP, "1")
    w.change("add", TICKET, str(1 << 2 * NEXT_BITS), "i64")
    w.futex(TICKET + 4, WAKE, str(EVERYONE))
    stop.ret()
    patience = module.function("pool_spin")
    w = _Writer(patience)
    never = patience.label("never")
    w.spin(lambda: patience.op("icmp eq i32 1, 0"), never, never)
    patience.block(never)
    patience.ret()
    return module.text()


class _Pool:
    """The one pool of the process, made when it is first needed."""

    def __init__(self) -> None:
        self.code = cache.native(text(), "the thread pool")
        jit.forever(self.code)  # workers may be in it until the process is gone
        self.symbols = {f"rg_{name}": self.code.address(name) for name in ("parallel", "parallel_awake")}
        self.workers: list[threading.Thread] = []
        self.shared = supported()
        if self.shared:
            self.state = self.code.address("pool_state")
            self._enter = self.code.function("pool_worker", None, ctypes.c_int64)
            self._stop = self.code.function("pool_stop")
            self._patience = self._measure()
            self._set(SPIN, self._patience)
            atexit.register(self.stop)
            os.register_at_fork(after_in_child=self._forget)

    def _set(self, field: int, value: int) -> None:
        ctypes.c_int32.from_address(self.state + field).value = value

    def _measure(self) -> int:
        """Find how many pauses make the time to spin."""
        spin, trial = self.code.function("pool_spin"), 2000
        self._set(SPIN, trial)
        shortest = min(_timed(spin) for _ in range(3))
        return max(YIELD_EVERY, min(int(trial * SPIN_SECONDS / shortest), 10**6))

    def ensure(self, threads: int) -> None:
        if not self.shared or sys.is_finalizing():
            return
        threads = max(1, min(threads, MOST_WORKERS))
        if len(self.workers) < threads - 1:
            self._start(threads - 1)
        self._set(THREADS, threads)

    def _start(self, number: int) -> None:
        home = sum(1 << cpu for cpu in os.sched_getaffinity(0) if cpu < 8 * MASK_BYTES)
        ctypes.memmove(self.state + HOME, home.to_bytes(MASK_BYTES, sys.byteorder), MASK_BYTES)
        with _no_signals():
            while len(self.workers) < number:
                name = f"retrograd-{len(self.workers) + 1}"
                worker = threading.Thread(target=self._enter, args=(len(self.workers) + 1,), name=name, daemon=True)
                try:
                    worker.start()
                except RuntimeError:  # no more threads are to be had: those who are there will do
                    return
                if len(self.workers) < PLACED:
                    self._set(TIDS + 4 * len(self.workers), worker.native_id or 0)
                self.workers.append(worker)

    def stop(self) -> None:
        if self.workers:
            self._set(THREADS, 1)
            ctypes.memset(self.state + TIDS, 0, 4 * PLACED)
            self._stop()
            for worker in self.workers:
                worker.join(timeout=1.0)
            self.workers.clear()

    def _forget(self) -> None:
        """In a forked child: nobody is working, whatever the parent's threads were at."""
        self.workers.clear()
        ctypes.memset(self.state, 0, SIZE)
        self._set(SPIN, self._patience)


@contextlib.contextmanager
def _no_signals() -> Any:
    """Threads started inside inherit a mask that leaves every signal to the others."""
    every = signal.valid_signals() - {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, every)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _timed(function: Callable[[], None]) -> float:
    start = time.perf_counter()
    function()
    return max(time.perf_counter() - start, 1e-9)


_pool: _Pool | None = None
_lock = threading.RLock()


def _the() -> _Pool:
    global _pool
    with _lock:
        if _pool is None:
            _pool = _Pool()
        return _pool


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_lock._at_fork_reinit)  # type: ignore[attr-defined]


def available() -> int:
    """Count the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ensure(threads: int | None = None) -> None:
    """Let jobs be shared by that many threads, the caller among them; starts those that are missing.

    Call it before a kernel that has jobs; it costs a fraction of a microsecond when nothing is to be done.
    """
    wanted = available() if threads is None else threads
    pool = _pool
    if pool is not None and pool.shared and ctypes.c_int32.from_address(pool.state + THREADS).value == wanted:
        return
    with _lock:
        _the().ensure(wanted)


def counted() -> tuple[int, int]:
    """Give the address of the number of threads that share jobs, an i32, and that number."""
    at = _the().state + THREADS
    return at, ctypes.c_int32.from_address(at).value


def symbols() -> dict[str, int]:
    """Give the addresses of rg_parallel and rg_parallel_awake: void (job, argument, i64 chunks), job void (argument, chunk).

    The second leaves sleeping workers asleep: for jobs that are done (about 30 us) before one would be up.
    """
    return _the().symbols


def emit_parallel(f: Function, job: Value, argument: Value, chunks: Value, wake: bool = True) -> None:
    """Write a call of the pool."""
    callee = f.module.declare("rg_parallel" if wake else "rg_parallel_awake", "void", ["ptr", "ptr", "i64"])
    f.call(callee, arguments=[("ptr", job), ("ptr", argument), ("i64", chunks)])
