"""Matrix products in generated code: loops over the batch around a library's ``gemm``, whose address is an argument."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from .emit import Count, Module, Value

ROW_MAJOR, PLAIN, TURNED = 101, 111, 112


@dataclass(frozen=True)
class Product:
    """C[batch] = A[batch] @ B[batch] + beta C: lengths and the strides, in elements, of each operand's dimensions."""

    kind: str  # f32 or f64
    batch: tuple[int, ...]
    m: int
    n: int
    k: int
    a: tuple[int, ...]
    b: tuple[int, ...]
    c: tuple[int, ...]
    beta: float = 0.0
    chunks: int = 1  # along the batch, or along the longer side of the result

    @property
    def work(self) -> int:
        """Multiply-adds."""
        return math.prod(self.batch) * self.m * self.n * self.k


def turned(strides: tuple[int, ...], rows: int, cols: int) -> tuple[bool, int] | None:
    """Say whether a matrix lies transposed in memory, and its leading dimension; None if a library cannot read it."""
    down, right = strides
    if right == 1 or cols == 1:
        lead = down if rows > 1 else cols
        if lead >= max(cols, 1):
            return False, max(lead, 1)
    if down == 1 or rows == 1:
        lead = right if cols > 1 else rows
        if lead >= max(rows, 1):
            return True, max(lead, 1)
    return None


def share(f: Any, total: int, chunks: int, unit: int = 1) -> tuple[Count, Count]:
    """Give the part of a range that is this chunk's: equal parts, in whole units."""
    units = -(-total // unit)
    per = -(-units // chunks) * unit
    start = f.min(f.mul(f.chunk, per), total)
    return start, f.min(f.add(start, per), total)


def write_product(p: Product, module: Module, name: str) -> None:
    """Write ``void(ptr arguments, i64 chunk)``; the arguments are the addresses of A, B, C and of the library's function."""
    f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
    number = "float" if p.kind == "f32" else "double"
    a, b, c, gemm = (f.load("ptr", f.element("ptr", f.arguments, i), 8) for i in range(4))
    ta, lda = turned(p.a[-2:], p.m, p.k) or (False, 0)
    tb, ldb = turned(p.b[-2:], p.k, p.n) or (False, 0)
    one, beta = ("1.0", repr(float(p.beta)))

    by_rows = p.chunks > 1 and math.prod(p.batch) == 1 and p.m >= p.n
    by_columns = p.chunks > 1 and math.prod(p.batch) == 1 and not by_rows
    rows: Count = p.m
    columns: Count = p.n
    if by_rows or by_columns:
        first, last = share(f, p.m if by_rows else p.n, p.chunks, 16)
        count = f.sub(last, first)
        a = f.element(number, a, f.mul(first, p.a[-2])) if by_rows else a
        b = f.element(number, b, f.mul(first, p.b[-1])) if by_columns else b
        c = f.element(number, c, f.mul(first, p.c[-2] if by_rows else 1))
        rows, columns = (count, p.n) if by_rows else (p.m, count)

    def call(pa: Value, pb: Value, pc: Value) -> None:
        arguments: list[tuple[str, Any]] = [
            ("i32", ROW_MAJOR),
            ("i32", TURNED if ta else PLAIN),
            ("i32", TURNED if tb else PLAIN),
        ]
        arguments += [("i64", rows), ("i64", columns), ("i64", p.k), (number, one), ("ptr", pa), ("i64", lda)]
        arguments += [
            ("ptr", pb),
            ("i64", ldb),
            (number, beta),
            ("ptr", pc),
            ("i64", max(p.c[-2] if p.m > 1 else p.n, 1)),
        ]
        f.call(gemm, "void", arguments)

    def nest(level: int, offsets: tuple[Count, Count, Count]) -> None:
        if level == len(p.batch):
            call(*[f.element(number, base, o) for base, o in zip((a, b, c), offsets, strict=True)])
            return
        if p.batch[level] == 1:
            nest(level + 1, offsets)
            return
        start: Count = 0
        stop: Count = p.batch[level]
        if p.chunks > 1 and math.prod(p.batch[:level]) == 1:
            start, stop = share(f, p.batch[level], p.chunks)
        with f.loop(start, stop) as i:
            steps = (p.a[level], p.b[level], p.c[level])
            nest(level + 1, tuple([f.add(o, f.mul(i, s)) for o, s in zip(offsets, steps, strict=True)]))  # type: ignore[arg-type]

    nest(0, (0, 0, 0))
    f.ret()
