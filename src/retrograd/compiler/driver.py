"""The driver: the loop in generated code that calls a program's kernels one after another."""

from __future__ import annotations

from .codegen.emit import Function, Module, Value
from .codegen.loops import ERROR
from .runtime.pool import emit_parallel

WAKING = 1 << 32  # added to a step's number of chunks: sleeping threads are woken for it


def write_driver(module: Module) -> None:
    """Write the loop that calls kernels one after another: records of (function, its arguments, chunks)."""
    f = module.function("drive", [("ptr", "records"), ("i64", "count")])
    with f.loop(0, f.count) as i:
        if module.has(ERROR):  # an index was out of range: nothing more is done
            with f.if_(f.op(f"icmp eq i64 {f.load('i64', module.variable(ERROR, 'i64'))}, 0")):
                write_record(f, i)
        else:
            write_record(f, i)
    f.ret()


def write_record(f: Function, i: Value) -> None:
    """Write the call of one record's kernel, in as many chunks as it says."""
    at = f.mul(i, 3)
    function = f.load("ptr", f.element("ptr", f.records, at), 8)
    arguments = f.load("ptr", f.element("ptr", f.records, f.add(at, 1)), 8)
    chunks = f.load("i64", f.element("i64", f.records, f.add(at, 2)), 8)
    alone, shared, after = f.label("alone"), f.label("shared"), f.label("after")
    f.branch(f.op(f"icmp sle i64 {chunks}, 1"), alone, shared)
    f.block(alone)
    f.call(function, "void", [("ptr", arguments), ("i64", 0)])
    f.jump(after)
    f.block(shared)
    wakes = f.op(f"icmp uge i64 {chunks}, {WAKING}")
    count = f.op(f"and i64 {chunks}, {WAKING - 1}")

    def shared_out(wake: bool) -> tuple[Value, ...]:
        emit_parallel(f, function, arguments, count, wake)
        return ()

    f.choose(wakes, (), lambda: shared_out(True), lambda: shared_out(False))
    f.jump(after)
    f.block(after)
