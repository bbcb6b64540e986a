"""Functions for the tests of generated code: an expression on lanes becomes a function of arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from retrograd.compiler.codegen.emit import Module
from retrograd.compiler.codegen.kinds import KINDS
from retrograd.compiler.codegen.lanes import Lanes
from retrograd.compiler.runtime import jit

DTYPES = {
    "f32": np.float32, "f64": np.float64, "f16": np.float16, "bool": np.bool_,
    **{f"{c}{8 * n}": np.dtype(f"{c}{n}") for c in "iu" for n in (1, 2, 4, 8)},
}  # fmt: skip


class Row:
    """An expression: from lanes of ``kind`` (as many operands as it takes) to lanes of ``out``."""

    def __init__(self, kind: str, width: int, expression: Callable[..., str], inputs: int = 1, out: str = "") -> None:
        self.kind, self.width, self.expression, self.inputs, self.out = kind, width, expression, inputs, out or kind


def compile_rows(rows: Mapping[str, Row], features: frozenset[str] = frozenset()) -> dict[str, Callable[..., Any]]:
    """Compile all rows as one module, every other one masked; each becomes a function of equally long arrays."""
    module = Module(features)
    for place, (name, row) in enumerate(rows.items()):
        operands = [("ptr", f"x{k}") for k in range(row.inputs)]
        f = module.function(name, [*operands, ("ptr", "y"), ("i64", "n")])
        lanes = Lanes(f, row.kind, row.width)
        with f.loop(0, f.n, row.width) as i:
            mask = lanes.tail(f.sub(f.n, i)) if place % 2 else None
            values = [lanes.load(f"%x{k}", i, mask=mask) for k in range(row.inputs)]
            lanes.of(row.out).store(row.expression(lanes, *values), f.y, i, mask=mask)
        f.ret()
    loaded = jit.build(module.text(), "the test's rows")
    return {name: _caller(loaded, name, row, place % 2 == 1) for place, (name, row) in enumerate(rows.items())}


def _caller(loaded: jit.Loaded, name: str, row: Row, masked: bool) -> Callable[..., Any]:
    function = loaded.function(name, None, *[ctypes.c_void_p] * (row.inputs + 1), ctypes.c_int64)

    def call(*arrays: Any) -> Any:
        size = arrays[0].size
        behind = 0 if masked else -size % row.width  # without masks, whole vectors
        padded = [np.concatenate([a, np.ones(behind, a.dtype)]) if behind else a for a in arrays]
        padded = [np.ascontiguousarray(a, DTYPES[row.kind]) for a in padded]
        guard = np.zeros(size + behind + 64, DTYPES[row.out])
        function(*[a.ctypes.data for a in padded], guard.ctypes.data, size)
        assert not guard[size + behind :].any(), "wrote behind the end"
        return guard[:size]

    return call


def widths(kind: str) -> tuple[int, ...]:
    """One lane, and this machine's own number."""
    return (1, jit.host().lanes(max(4, KINDS[kind].size)))
