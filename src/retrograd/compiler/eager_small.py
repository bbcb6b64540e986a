"""The door for small arrays: what is done for each kind of operands of an op, which :mod:`.eager_door` looks up and does."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..core import MODE, BaseTensor
from . import eager_products
from .eager import compiling
from .eager_door import (
    COUNT,
    DOOR_WORDS,
    FLOAT,
    HOW,
    INT,
    KINDS,
    KINDS_OF_PRODUCTS,
    LEARN,
    LEARN_PRODUCT,
    LINEAR,
    MOST,
    PLAN_COUNT,
    PLAN_WORDS,
    PLANS,
    POINTWISE,
    PRODUCT,
    RECORDED,
    REFUSED,
    RESULT,
    RUNS,
    SIZE,
    code,
)
from .eager_gate import LENGTHS, Unsuitable
from .eager_ops import Pointwise
from .runtime import blas, entry
from .runtime.jit import forever


class _Plans:
    """What one op's door knows: a plan for each kind of operands."""

    def __init__(self, op: Any) -> None:
        self.op = op
        self.rows = np.zeros((MOST, PLAN_WORDS), np.uint64)
        self.words = np.zeros(DOOR_WORDS, np.uint64)
        self.words[PLANS] = self.rows.ctypes.data
        self.learn = self._learn  # one object, whose address is kept
        self.words[LEARN] = id(self.learn)
        self.kept: list[Any] = []
        self.pointwise = None if op.name in ("matmul", "linear") else Pointwise(op.name, _pointwise(op).make, warm=1)
        if self.pointwise is None:
            self.products = eager_products.Kinds(op.name)
            self.words[KINDS_OF_PRODUCTS] = self.products.rows.ctypes.data
            self.words[LEARN_PRODUCT] = id(self.products.learn)

    def _learn(self, *xs: Any) -> None:
        """Make the plan for operands like these."""
        count = int(self.words[PLAN_COUNT])
        if count == MOST or MODE.aside or MODE.straight is False:
            return
        row = self.rows[count]
        arrays = [x._a if isinstance(x, BaseTensor) else x for x in xs]
        row[:] = 0
        row[COUNT] = len(xs)
        for i, x in enumerate(arrays):
            row[KINDS + i] = id(x.dtype) if isinstance(x, np.ndarray) else (FLOAT if x.__class__ is float else INT)
        self.kept += [x.dtype for x in arrays if isinstance(x, np.ndarray)]
        made = compiling(self.op.name, lambda: self._planned(arrays))
        row[HOW] = REFUSED
        if made is not None:
            how, runs, dtype = made
            row[HOW], row[RUNS], row[RESULT], row[SIZE] = how, runs, id(dtype), _size(arrays)
            row[RECORDED] = self.op.vjp is not None and dtype.kind in "fc"
            self.kept.append(dtype)
        self.words[PLAN_COUNT] = count + 1

    def _planned(self, arrays: Any) -> tuple[int, int, Any]:
        dtypes = {x.dtype for x in arrays if isinstance(x, np.ndarray)}
        if len(dtypes) != 1 or (dtype := next(iter(dtypes))).char not in "fd":
            raise Unsuitable("numbers of another kind")
        if self.pointwise is None:
            if not all(isinstance(x, np.ndarray) for x in arrays) or len(arrays) < 2:
                raise Unsuitable("no product")
            return LINEAR if self.op.name == "linear" else PRODUCT, _gemm(dtype.char), dtype
        if any(isinstance(x, np.ndarray) and not x.ndim for x in arrays):
            raise Unsuitable("arrays of no dimensions")
        given = [np.zeros(x.shape, x.dtype) if isinstance(x, np.ndarray) else x for x in arrays]
        kernel, result, _ = self.pointwise._compiled(given, {})
        if kernel.given != len(arrays) or kernel.error is not None or not kernel.words[LENGTHS]:
            raise Unsuitable("a kernel of another form")
        self.kept.append(kernel)
        return POINTWISE, int(kernel.words.ctypes.data), result


def _pointwise(op: Any) -> Any:
    from .eager_ops import Elementwise

    return Elementwise(op)


def _size(arrays: Any) -> int:
    return int(next(x.dtype.itemsize for x in arrays if isinstance(x, np.ndarray)))


@functools.cache
def _gemm(char: str) -> int:
    """Give the address of NumPy's own product of matrices, or 0 where it has another library."""
    return blas.numpys({"f": "f32", "d": "f64"}[char])


def door(op: Any) -> Any:
    """Give an op's door for small arrays, or None where there can be none."""
    made = compiling("the door of small arrays", code)
    if made is None:
        return None
    plans = _Plans(op)
    forever(plans)
    return entry.builtin(made.address("small_door"), made, f"small_{op.name}", state=plans.words)


__all__ = ["door"]
