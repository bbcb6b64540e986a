"""Large products and convolutions whose elements are gone on with: each tile of finished sums, while it is in a cache, by statements.

The kernels are those of all products and convolutions; what follows is one short function of the program, which they call by its address.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..codegen.emit import Function, Module, Value
from ..codegen.following import Behind
from ..codegen.kinds import KINDS
from ..codegen.lanes import Lanes
from ..codegen.products import Product
from ..codegen.rows import kind_of
from ..runtime import jit
from . import conv_products
from .blocking import shape
from .conv_blocks import BEHIND as FOLLOWS
from .conv_blocks import WORDS as GIVEN
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


class Planes(Behind):
    """Writes what follows a convolution: its results of some channels and pixels of an image are gone on with.

    The function is what ``conv_blocks.go_on`` says; the addresses of the nest's buffers stand behind the convolution's own arguments.
    """

    def __init__(self, plan: Any, module: Module, name: str, buffers: Any) -> None:
        super().__init__(plan, module, name, buffers, None)

    def _open(self, module: Module, name: str) -> Function:
        numbers = [("i64", n) for n in ("step", "image", "channel", "channels", "pixel", "pixels")]
        f = module.function(name, [("ptr", "arguments"), ("ptr noalias", "values"), *numbers])
        f.params["arguments"] = f.element("ptr", f.params["arguments"], GIVEN)
        f.params["chunk"] = "0"
        return f

    def _nest(self) -> None:
        f, plan = self.f, self.plan
        self._begin()
        node = self.nest.product.node
        number, lanes = KINDS[kind_of(node.dtype) or ""].type, self.lanes(node.dtype, plan.width)
        length, rows = plan.cols[-1][0], plan.rows[2:]
        pixel, pixels = f.params["pixel"], f.params["pixels"]
        with f.loop(0, f.params["channels"]) as k:
            values = f.element(number, f.params["values"], f.mul(k, f.params["step"]))
            index = {0: f.params["image"], 1: f.add(f.params["channel"], k)}
            if not rows:  # all pixels lie side by side, wherever anything is read or written
                self._run(index, values, lanes, pixel, pixels)
            else:
                end = f.add(pixel, pixels)
                last = f.op(f"udiv i64 {f.add(end, length - 1)}, {length}")
                with f.loop(f.op(f"udiv i64 {pixel}, {length}"), last) as row:
                    start = f.mul(row, length)
                    low, high = f.max(pixel, start), f.min(end, f.add(start, length))
                    left: Any = row
                    for size, d in reversed(rows):
                        index[d] = f.op(f"urem i64 {left}, {size}")
                        left = f.op(f"udiv i64 {left}, {size}")
                    here = f.element(number, values, f.sub(low, pixel))
                    self._run(index, here, lanes, f.sub(low, start), f.sub(high, low))

    def _run(self, index: dict[int, Any], values: Value, lanes: Lanes, first: Any, count: Any) -> None:
        """Go on with elements side by side, ``count`` of them from ``first`` on."""
        f, width = self.f, lanes.width
        self.row_index = dict(index)
        self._open_row()
        whole = f.round_down(count, width)
        with f.loop(0, whole, width) as at:
            self._vector(f.add(first, at), lanes.load(values, at), None)
        if width > 1:
            with f.if_(f.op(f"icmp slt i64 {whole}, {count}")):
                mask = lanes.tail(str(f.sub(count, whole)))
                self._vector(f.add(first, whole), lanes.load(values, whole), mask)


def write_convolution(module: Module, name: str, kernel: Value, planes: Value, words: int) -> None:
    """Write ``void(ptr arguments, i64 chunk)``: a convolution that something follows, whose arguments are the table's, then so many words."""
    f = module.function(name, [("ptr", "arguments"), ("i64", "chunk")])
    mine = f.alloca(f"[{GIVEN + words} x i64]")
    copy = f.module.declare("llvm.memcpy.p0.p0.i64", "void", ["ptr", "ptr", "i64", "i1"])
    f.call(copy, "void", [("ptr", mine), ("ptr", f.arguments), ("i64", 8 * (GIVEN + words)), ("i1", "false")])
    f.store("ptr", planes, f.element("i64", mine, FOLLOWS), 8)
    f.call(kernel, arguments=[("ptr", mine), ("i64", 0)])
    f.ret()


def write_contraction(module: Module, name: str, planes: Value, plan: conv_products.Plan) -> None:
    """Write ``void(ptr arguments, i64 chunk)``: a convolution that is a contraction; its tiles are handed on image by image."""
    tile = shape(plan.kind)
    f = module.function(f"{name}_tiles", [("ptr", "frame"), ("ptr", "tile"), ("i64", "rows")])
    arguments = get(f, f.params["frame"], "extras", "ptr")
    channel, column, columns = (get(f, f.params["frame"], field) for field in ("i", "j", "columns"))
    end, pixels = f.add(column, columns), plan.pixels
    last = f.op(f"udiv i64 {f.add(end, pixels - 1)}, {pixels}")
    with f.loop(f.op(f"udiv i64 {column}, {pixels}"), last) as image:
        start = f.mul(image, pixels)
        low, high = f.max(column, start), f.min(end, f.add(start, pixels))
        values = f.element(KINDS[plan.kind].type, f.params["tile"], f.sub(low, column))
        numbers = (tile.vectors * tile.lanes, image, channel, f.params["rows"], f.sub(low, start), f.sub(high, low))
        f.call(planes, arguments=[("ptr", arguments), ("ptr", values), *[("i64", n) for n in numbers]])
    f.ret()
    f = module.function(f"{name}_ahead", [("ptr", "frame"), ("i64", "rows")])
    f.ret()
    write_step(module, name, f"@rg_{name}_tiles", f"@rg_{name}_ahead", 0)


def partial(ready: Prepared) -> int:
    """Give the bytes that sums lie in which are not whole yet: none where the sum is not cut."""
    what = ready.contraction
    cut = ready.blocks.depth_at_once < what.k
    return what.m * what.n * KINDS[what.kind].size if cut else 0


__all__ = ["Planes", "Tiles", "of_product", "partial", "write_contraction", "write_convolution", "write_step"]
