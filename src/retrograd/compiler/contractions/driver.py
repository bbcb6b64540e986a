"""Loops over blocks of a contraction, in generated code: what is packed when, and who computes which tiles.

Threads are given strips of the result, and each packs for itself what it needs: what one core has packed is dear for another to
read. No sum is cut between threads, and blocks of the sum do not depend on strips, so results do not depend on threads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from ..codegen.emit import Count, Function, Module, Value
from ..runtime import cache, entry, jit, pool
from .frame import FIELDS, FINAL, WORDS, get, put

JOB = [("ptr", "argument"), ("i64", "chunk")]
EXTRAS = 8  # arrays that an epilogue may read
ITEM_WORDS = 4  # of the batch's table: offsets of a, b, c, and of vectors over the rows


def write_driver(module: Module) -> None:
    """Write ``void contract(ptr template, ptr a, ptr b, ptr c, ptr work, ptr extras)``, and what it calls."""
    _run(module)
    _strips(module)
    _blocks(module)
    _tiles(module)


def write_builtin(module: Module, name: str, release: bool) -> None:
    """Write a builtin's code: (address of the template, of working memory, ndarrays a, b, c, and of the epilogue); gives None.

    ``release``: other threads of Python run meanwhile.
    """
    f = module.function(name, [("ptr", "self"), ("ptr", "args"), ("i64", "n")], "ptr")
    number = module.declare("PyLong_AsLongLong", "i64", ["ptr"])
    given = [f.load("ptr", f.element("ptr", f.args, place)) for place in range(5)]
    template, work = (f.op(f"inttoptr i64 {f.call(number, 'i64', [('ptr', value)])} to ptr") for value in given[:2])
    a, b, c = (entry.emit_data(f, value) for value in given[2:])
    extras = f.alloca("ptr", EXTRAS)
    with f.loop(5, f.n) as i:
        data = entry.emit_data(f, f.load("ptr", f.element("ptr", f.args, i)))
        f.store("ptr", data, f.element("ptr", extras, f.sub(i, 5)))
    state = entry.emit_release(f) if release else ""
    f.call("@rg_contract", arguments=[("ptr", p) for p in (template, a, b, c, work, extras)])
    if release:
        entry.emit_acquire(f, state)
    entry.emit_return(f, "None")


@functools.cache
def builtin(release: bool) -> Callable[..., None]:
    """Give the driver as a function of Python's own kind, for machines where generated code can read arrays."""
    name = f"contract_{'released' if release else 'held'}"
    module = Module(jit.host().enabled)
    module.declare("rg_contract", "void", ["ptr"] * 6)
    write_builtin(module, name, release)
    loaded = cache.native(module.text(), name, {"rg_contract": code().address("contract")})
    return entry.builtin(loaded.address(name), loaded, name)


@functools.cache
def code() -> jit.Loaded:
    """Give the driver's machine code."""
    module = Module(jit.host().enabled)
    write_driver(module)
    return cache.native(module.text(), "contract")


def _own(f: Function, frame: Value) -> Value:
    """Copy a frame to this function's stack, so that it can be written to."""
    mine = f.alloca(f"[{WORDS} x i64]")
    f.do(f"call void @llvm.memcpy.p0.p0.i64(ptr align 8 {mine}, ptr align 8 {frame}, i64 {8 * WORDS}, i1 false)")
    f.module.declare("llvm.memcpy.p0.p0.i64", "void", ["ptr", "ptr", "i64", "i1"])
    return mine


def _share(f: Function, chunk: Count, chunks: Value, total: Value) -> tuple[Value, Value]:
    """Give the first and behind the last of a chunk's part of a range; parts differ by one at most."""
    start, stop = (f.op(f"sdiv i64 {f.mul(c, total)}, {chunks}") for c in (chunk, f.add(chunk, 1)))
    return start, stop


def _run(module: Module) -> None:
    names = ("a", "b", "c", "work", "extras")
    f = module.function("contract", [("ptr", "template"), *[("ptr", name) for name in names]])
    frame = _own(f, f.params["template"])
    for name in names:
        put(f, frame, name, f.params[name], "ptr")
    chunks = get(f, frame, "chunks")

    def alone() -> list[Value]:
        f.call("@rg_contract_strips", arguments=[("ptr", frame), ("i64", 0)])
        return []

    def several() -> list[Value]:
        def share(wake: bool) -> list[Value]:
            pool.emit_parallel(f, "@rg_contract_strips", frame, chunks, wake)
            return []

        wakes = f.op(f"icmp ne i64 {get(f, frame, 'wakes')}, 0")
        f.choose(wakes, [], lambda: share(True), lambda: share(False))
        return []

    f.choose(f.op(f"icmp sle i64 {chunks}, 1"), [], alone, several)
    f.ret()


def _strips(module: Module) -> None:
    """The strips that are this chunk's: of one item of the batch after the other."""
    f = module.function("contract_strips", JOB)
    frame = _own(f, f.argument)
    moved = f.mul(f.chunk, get(f, frame, "work_step"))
    put(f, frame, "work", f.byte(get(f, frame, "work", "ptr"), moved), "ptr")
    down, right = get(f, frame, "row_strips"), get(f, frame, "column_strips")
    strips = f.mul(down, right)
    start, stop = _share(f, f.chunk, get(f, frame, "chunks"), str(f.mul(get(f, frame, "batch"), strips)))
    table = get(f, frame, "batch_table", "ptr")
    bases = {name: get(f, frame, name, "ptr") for name in "abc"}
    sizes = {name: get(f, frame, f"{name}_size") for name in "abc"}
    row_panels, column_panels = get(f, frame, "row_panels"), get(f, frame, "column_panels")
    with f.loop(start, stop) as unit:
        item = f.op(f"sdiv i64 {unit}, {strips}")
        strip = f.sub(unit, f.mul(item, strips))
        row = f.element("i64", table, f.mul(item, ITEM_WORDS))
        for place, name in enumerate("abc"):
            offset = f.load("i64", f.element("i64", row, place), 8)
            put(f, frame, f"item_{name}", f.byte(bases[name], f.mul(offset, sizes[name])), "ptr")
        put(f, frame, "bias", f.load("i64", f.element("i64", row, 3), 8))
        high = f.op(f"sdiv i64 {strip}, {right}")
        rows = _share(f, high, down, row_panels)
        columns = _share(f, f.sub(strip, f.mul(high, right)), right, column_panels)
        ranges: list[tuple[str, Count]] = [("i64", place) for place in (*rows, *columns)]
        f.call("@rg_contract_blocks", arguments=[("ptr", frame), *ranges])
    f.ret()


def _blocks(module: Module) -> None:
    """All blocks of one strip: a range of row panels and one of column panels."""
    params = [("ptr", "frame"), *[("i64", name) for name in ("p_start", "p_stop", "q_start", "q_stop")]]
    f = module.function("contract_blocks", params)
    frame = f.frame
    depth, depth_at_once = get(f, frame, "depth"), get(f, frame, "depth_at_once")
    columns_at_once, rows_at_once = get(f, frame, "columns_at_once"), get(f, frame, "rows_at_once")
    accumulate = get(f, frame, "accumulate")
    group = get(f, frame, "group")
    packs = {name: f.op(f"icmp ne i64 {get(f, frame, f'pack_{name}')}, 0") for name in "ab"}
    with f.loop(f.q_start, f.q_stop, columns_at_once) as q:
        q_end = f.min(f.sub(f.q_stop, q), columns_at_once)
        with f.loop(0, f.max(depth, 1), depth_at_once) as k:  # a sum of nothing is 0, which is stored too
            count = f.min(f.sub(depth, k), depth_at_once)
            put(f, frame, "first_k", k)
            put(f, frame, "k", count)
            later = f.op(f"zext i1 {f.op(f'icmp sgt i64 {k}, 0')} to i64")  # as ACCUMULATE
            last = f.op(f"icmp sge i64 {f.add(k, count)}, {depth}")
            ending = f.op(f"select i1 {last}, i64 {FINAL}, i64 0")
            flags = f.op(f"or i64 {f.op(f'or i64 {later}, {accumulate}')}, {ending}")
            put(f, frame, "flags", flags)
            with f.loop(0, q_end, group) as g:
                put(f, frame, "column", f.add(q, g))
                put(f, frame, "columns_here", f.min(f.sub(q_end, g), group))
                with f.if_(packs["b"]):
                    _pack_b(f, frame)
                with f.loop(f.p_start, f.p_stop, rows_at_once) as p:
                    put(f, frame, "panel", p)
                    put(f, frame, "panels", f.min(f.sub(f.p_stop, p), rows_at_once))
                    # where there are several groups, there is one block of rows, which is packed for the first
                    first = f.op(f"icmp eq i64 {g}, 0")
                    with f.if_(f.op(f"and i1 {packs['a']}, {first}")):
                        _pack_a(f, frame)
                    f.call("@rg_contract_tiles", arguments=[("ptr", frame)])
    f.ret()


class _Rows:
    """Where panels of rows begin: the first ones are tall, the others one row less."""

    def __init__(self, f: Function, frame: Value) -> None:
        self.f = f
        self.tall, self.count = get(f, frame, "tall"), get(f, frame, "tall_count")

    def first(self, panel: Value) -> Count:
        f = self.f
        return f.sub(f.mul(panel, self.tall), f.max(f.sub(panel, self.count), 0))


def _pack(f: Function, frame: Value, name: str, target: Value, first: Count, valid: Count, step: Count) -> None:
    arguments: list[tuple[str, Count]] = [
        ("ptr", get(f, frame, f"item_{name}", "ptr")),
        ("ptr", target),
        ("ptr", f.element("i64", frame, FIELDS[f"{name}_free"])),
        *[("i64", value) for value in (first, valid, get(f, frame, "first_k"), get(f, frame, "k"), step)],
        ("i64", get(f, frame, f"{name}_panel")),
    ]
    f.call(get(f, frame, f"pack_{name}", "ptr"), arguments=arguments)


def _pack_a(f: Function, frame: Value) -> None:
    """Pack the block's panels of rows: the tall ones, and those of one row less."""
    rows = _Rows(f, frame)
    start, panels = get(f, frame, "panel"), get(f, frame, "panels")
    stop = f.add(start, panels)
    edge = f.min(f.max(rows.count, start), stop)
    work = get(f, frame, "work", "ptr")
    for first, last, height in ((start, edge, rows.tall), (edge, stop, f.sub(rows.tall, 1))):
        with f.if_(f.op(f"icmp slt i64 {first}, {last}")):
            target = f.byte(work, f.mul(f.sub(first, start), get(f, frame, "a_panel")))
            _pack(f, frame, "a", target, rows.first(str(first)), f.mul(f.sub(last, first), height), height)


def _pack_b(f: Function, frame: Value) -> None:
    """Pack the block's panels of columns."""
    width, n = get(f, frame, "width"), get(f, frame, "n")
    column = f.mul(get(f, frame, "column"), width)
    valid = f.min(f.sub(n, column), f.mul(get(f, frame, "columns_here"), width))
    _pack(f, frame, "b", f.byte(get(f, frame, "work", "ptr"), get(f, frame, "b_work")), column, valid, width)


def _tiles(module: Module) -> None:
    """The tiles of the block at hand."""
    f = module.function("contract_tiles", [("ptr", "frame")])
    frame = f.frame
    first_panel, panels = get(f, frame, "panel"), get(f, frame, "panels")
    first_column = get(f, frame, "column")
    k, n, width = get(f, frame, "first_k"), get(f, frame, "n"), get(f, frame, "width")
    work = get(f, frame, "work", "ptr")
    b_start = f.byte(work, get(f, frame, "b_work"))
    items = {name: get(f, frame, f"item_{name}", "ptr") for name in "abc"}
    sizes = {name: get(f, frame, f"{name}_size") for name in "abc"}
    rows = _Rows(f, frame)
    packed = {name: f.op(f"icmp ne i64 {get(f, frame, f'pack_{name}')}, 0") for name in "ab"}
    # where an operand is read where it lies: bytes from row to row, and those of the first product; a table counts those itself
    a_free, a_panel = f.mul(get(f, frame, "a_free"), sizes["a"]), get(f, frame, "a_panel")
    starts = {name: f.mul(f.mul(get(f, frame, f"{name}_sum"), k), sizes[name]) for name in "ab"}
    c_row = f.mul(get(f, frame, "c_row"), sizes["c"])
    scattered = f.op(f"icmp ne i64 {get(f, frame, 'c_columns')}, 0")
    narrow_width = get(f, frame, "last_width")
    b_panel = get(f, frame, "b_panel")
    kernels = {name: get(f, frame, name, "ptr") for name in ("tall_wide", "tall_narrow", "short_wide", "short_narrow")}

    def tiles(start: Count, stop: Count, kernel: Value, b: Value, c: Value) -> None:
        with f.loop(start, stop) as i:
            panel = str(f.add(first_panel, i))
            row = rows.first(panel)
            put(f, frame, "i", row)
            lies = f.add(f.mul(row, a_free), starts["a"])
            a_at = f.op(f"select i1 {packed['a']}, i64 {f.mul(i, a_panel)}, i64 {lies}")
            a_base = f.op(f"select i1 {packed['a']}, ptr {work}, ptr {items['a']}")
            a = f.byte(a_base, a_at)
            arguments = [("ptr", a), ("ptr", b), ("ptr", f.byte(c, f.mul(row, c_row))), ("ptr", frame)]
            f.call(kernel, arguments=arguments)

    tall_stop = f.min(panels, f.max(f.sub(rows.count, first_panel), 0))
    with f.loop(0, get(f, frame, "columns_here")) as i:
        column = f.mul(f.add(first_column, i), width)
        columns = f.min(f.sub(n, column), width)
        put(f, frame, "j", column)
        put(f, frame, "columns", columns)
        lies = f.add(f.mul(column, sizes["b"]), starts["b"])
        b_at = f.op(f"select i1 {packed['b']}, i64 {f.mul(i, b_panel)}, i64 {lies}")
        b = f.byte(f.op(f"select i1 {packed['b']}, ptr {b_start}, ptr {items['b']}"), b_at)
        c = f.byte(items["c"], f.op(f"select i1 {scattered}, i64 0, i64 {f.mul(column, sizes['c'])}"))
        narrow = f.op(f"icmp sle i64 {columns}, {narrow_width}")
        chosen = [
            f.op(f"select i1 {narrow}, ptr {kernels[h + '_narrow']}, ptr {kernels[h + '_wide']}")
            for h in ("tall", "short")
        ]
        tiles(0, tall_stop, chosen[0], b, c)
        tiles(tall_stop, panels, chosen[1], b, c)
    f.ret()
