"""Large products whose elements are gone on with: each tile of finished sums, while it is in the first cache, by statements of its own.

The micro-kernels are those of all products; what follows is one short function of the program, which they call through the frame.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..codegen.emit import Function, Module, Value
from ..codegen.kinds import KINDS
from ..codegen.lanes import Lanes
from ..codegen.loops import Behind
from ..codegen.products import Product
from ..runtime import jit
from .blocking import shape
from .frame import FIELDS, WORDS, get
from .native import plain
from .prepared import Prepared, prepare
from .products import by_library
from .tile import BEHIND, LINE


def of_product(p: Product) -> Prepared | None:
    """Make a product ready that statements follow; None where it has a batch, or is a library's."""
    what = plain(p)
    if what is None or what.batch or by_library(what):
        return None
    return prepare(replace(what, epilogue=(BEHIND,)))


class Tiles(Behind):
    """Writes ``void(ptr frame, ptr tile, i64 rows)``: what follows the sums of one tile, which lie at ``tile``."""

    def __init__(self, plan: Any, module: Module, name: str, buffers: Any, product: Product) -> None:
        self.product = product
        super().__init__(plan, module, name, buffers, self._tiles)

    def _open(self, module: Module, name: str) -> Function:
        f = module.function(name, [("ptr", "frame"), ("ptr noalias", "tile"), ("i64", "rows")])
        f.params["arguments"] = get(f, f.params["frame"], "extras", "ptr")
        f.params["chunk"] = "0"
        return f

    def _tiles(self, f: Function, *_: Any) -> None:
        kind, p = self.product.kind, self.product
        width = jit.host().lanes(KINDS[kind].size)
        lanes = Lanes(f, kind, width, contract=True)
        across = shape(kind).vectors * width
        first, column, columns = (get(f, f.params["frame"], name) for name in ("i", "j", "columns"))
        with f.loop(0, f.params["rows"]) as r:
            values = f.element(KINDS[kind].type, f.params["tile"], f.mul(r, across))
            row = str(f.add(first, r))
            self._begin_row(row, lanes)
            whole = f.round_down(columns, width)
            with f.loop(0, whole, width) as at:
                self._put(row, f.add(column, at), lanes, lanes.load(values, at), None)
            if p.n % width:
                with f.if_(f.op(f"icmp slt i64 {whole}, {columns}")):
                    mask = lanes.tail(str(f.sub(columns, whole)))
                    self._put(row, f.add(column, whole), lanes, lanes.load(values, whole), mask)


def write_ahead(module: Module, name: str, plan: Any, buffers: Any, kind: str) -> None:
    """Write ``void(ptr frame, i64 rows)``: ask for what is read and written where a tile lies, so that it is there after the sums."""
    f = module.function(name, [("ptr", "frame"), ("i64", "rows")])
    arguments, first, column = (get(f, f.frame, name, t) for name, t in (("extras", "ptr"), ("i", "i64"), ("j", "i64")))
    places: dict[Any, bool] = {}  # (value, address): whether it is written
    for s in plan.nest.statements:
        for o in s.operands:
            if o.kind == "load":
                places.setdefault((o.node, o.address), False)
        if s.store is not None:
            places[s.store] = True
    call = module.declare("llvm.prefetch.p0", "void", ["ptr", "i32", "i32", "i32"])
    width = shape(kind).vectors * jit.host().lanes(KINDS[kind].size)
    for (node, (offset, coefs)), written in places.items():
        if coefs[1] != 1 or not coefs[0]:
            continue
        item, size = f"[{node.dtype.itemsize} x i8]", node.dtype.itemsize
        base = f.load("ptr", f.element("ptr", arguments, buffers[node, offset]), 8)
        with f.loop(0, f.rows) as r:
            row = f.element(item, base, f.add(f.mul(f.add(first, r), coefs[0]), column))
            for at in range(0, width * size, LINE):
                f.do(f"call void {call}(ptr {f.byte(row, at)}, i32 {int(written)}, i32 3, i32 1)")
    f.ret()


def write_step(module: Module, name: str, behind: Value, ahead: Value, place: int) -> None:
    """Write ``void(ptr arguments, i64 chunk)``; at ``place`` are the addresses of A, B, the driver, the template, working memory, C.

    The template is copied, so that the address of the function behind can be written into it; that function reads the arguments too.
    """
    f = module.function(name, [("ptr", "arguments"), ("i64", "chunk")])
    a, b, run, template, work, c = (f.load("ptr", f.element("ptr", f.arguments, place + i), 8) for i in range(6))
    mine = f.alloca(f"[{WORDS} x i64]")
    copy = f.module.declare("llvm.memcpy.p0.p0.i64", "void", ["ptr", "ptr", "i64", "i1"])
    f.call(copy, "void", [("ptr", mine), ("ptr", template), ("i64", 8 * WORDS), ("i1", "false")])
    f.store("ptr", behind, f.element("i64", mine, FIELDS[BEHIND]), 8)
    f.store("ptr", ahead, f.element("i64", mine, FIELDS["ahead"]), 8)
    f.call(run, arguments=[("ptr", value) for value in (mine, a, b, c, work, f.arguments)])
    f.ret()


def partial(ready: Prepared) -> int:
    """Give the bytes that sums lie in which are not whole yet: none where the sum is not cut."""
    what = ready.contraction
    cut = ready.blocks.depth_at_once < what.k
    return what.m * what.n * KINDS[what.kind].size if cut else 0


__all__ = ["Tiles", "of_product", "partial", "write_step"]
