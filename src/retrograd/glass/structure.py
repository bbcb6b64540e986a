"""The structure of local Jacobians: which entries may differ from zero, what forming the matrix would cost, and what is done instead."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import Op, TensorType
from .model import Jacobian

Found = tuple[
    str, int, int, str
]  # structure, entries that may differ from zero, operations of the implicit product, why


def _identity(out: TensorType, x: TensorType, why: str) -> Found:
    return "identity", out.size, 0, why


def _moved(why: str) -> Callable[..., Found]:
    return lambda op, out, x, types, slot, attrs: ("permutation", out.size, 0, why)


def _same(why: str) -> Callable[..., Found]:
    return lambda op, out, x, types, slot, attrs: ("identity", out.size, 0, why)


def _selected(why: str) -> Callable[..., Found]:
    return lambda op, out, x, types, slot, attrs: ("selection", min(out.size, x.size * max(out.size, 1)), 0, why)


def _elementwise(op: Op, out: TensorType, x: TensorType, types: Any, slot: int, attrs: Any) -> Found:
    rule = op.rule_for(slot) if op.vjp is not None else None
    slope = rule.fn if rule is not None and rule.form == "number" else None
    if x.shape != out.shape and x.size != out.size:
        added = max(out.size - x.size, 0)
        products = 0 if slope in (1, 1.0) else out.size
        return "broadcast", out.size, products + added, "one number meets several elements: its gradients are added"
    if slope in (1, 1.0):
        return _identity(out, x, "element i depends on element i, with slope 1")
    if slope is not None:
        return "scaled identity", out.size, out.size, f"element i depends on element i, with slope {slope:g}"
    return "diagonal", out.size, out.size, "element i depends on element i alone"


def _expand(op: Op, out: TensorType, x: TensorType, types: Any, slot: int, attrs: Any) -> Found:
    return (
        "broadcast",
        out.size,
        max(out.size - x.size, 0),
        "each number is used several times: its gradients are added",
    )


def _reduced(op: Op, out: TensorType, x: TensorType, types: Any, slot: int, attrs: Any) -> Found:
    products = x.size if op.name == "mean" else 0
    return "summation", x.size, products, "each result adds up elements: all get its gradient"


def _router(op: Op, out: TensorType, x: TensorType, types: Any, slot: int, attrs: Any) -> Found:
    shares = op.name in ("amax", "amin")
    why = "only the winner gets the gradient; equal ones share it" if shares else "only the winner gets the gradient"
    return "selection", x.size if shares else out.size, out.size, why


def _masked(op: Op, out: TensorType, x: TensorType, types: Any, slot: int, attrs: Any) -> Found:
    if x.size != out.size:
        return _expand(op, out, x, types, slot, attrs)
    return "diagonal", out.size, out.size, "an element is passed on or not"


def _cumulative(op: Op, out: TensorType, x: TensorType, types: Any, slot: int, attrs: Any) -> Found:
    n = x.shape[attrs["axis"]] if x.shape else 1
    count = x.size // max(n, 1) * (n * (n + 1) // 2)
    alone = x.size == n
    return (
        "triangular" if alone else "sparse",
        count,
        x.size,
        "each result depends on the elements before it; the product is a running sum",
    )


def _matmul(op: Op, out: TensorType, x: TensorType, types: Any, slot: int, attrs: Any) -> Found:
    k = types[0].shape[-1] if types[0] is not None else (x.shape[-2] if slot == 1 else x.shape[-1])
    count = out.size * k
    if count == out.size * x.size:
        return "dense", count, 2 * count, "a vector times a matrix: the Jacobian is the matrix"
    what = "row" if slot == 0 else "column"
    blocks = x.size // k if k else 0
    return (
        "block diagonal",
        count,
        2 * count,
        f"{blocks} equal blocks, one for each {what}" + ("" if slot == 0 else " (after a permutation)"),
    )


def _linear(op: Op, out: TensorType, x: TensorType, types: Any, slot: int, attrs: Any) -> Found:
    features = out.shape[-1]
    rows = out.size // features if features else 0
    if slot == 2:
        return "broadcast" if rows != 1 else "identity", out.size, max(out.size - x.size, 0), "the bias joins every row"
    if slot == 0:
        inside = x.shape[-1]
        count = out.size * inside
        kind = "dense" if rows == 1 else "block diagonal"
        return kind, count, 2 * count, f"{rows} blocks, each of them the weight: {features} x {inside}"
    inside = x.shape[-1]
    count = out.size * inside
    kind = "dense" if features == 1 else "block diagonal"
    return kind, count, 2 * count, f"{features} blocks, each of them the input (rows of the result permuted)"


def _conv(op: Op, out: TensorType, x: TensorType, types: Any, slot: int, attrs: Any) -> Found:
    kernel = types[1].shape if types[1] is not None else x.shape
    taps = math.prod(kernel[1:])
    if slot == 1:
        count = out.size * math.prod(x.shape[1:])
        return "sparse", count, 2 * count, "each weight meets every position of its channel"
    count = out.size * taps
    return "sparse", count, 2 * count, f"banded: the same {taps} weights at every position"


def _whole(op: Op, out: TensorType, x: TensorType, types: Any, slot: int, attrs: Any) -> Found:
    count = out.size * x.size
    return "dense", count, 2 * count, "nothing is known of its structure"


def _matrices(op: Op, out: TensorType, x: TensorType, types: Any, slot: int, attrs: Any) -> Found:
    blocks = math.prod(x.shape[:-2]) if len(x.shape) > 2 else 1
    count = out.size * x.size // max(blocks, 1)
    return (
        "dense" if blocks <= 1 else "block diagonal",
        count,
        2 * count,
        "every entry of the result depends on the whole matrix",
    )


def _windows(op: Op, out: TensorType, x: TensorType, types: Any, slot: int, attrs: Any) -> Found:
    window = math.prod(w.kernel or -(-w.size // w.outputs) + 1 for w in attrs["windows"])  # adaptive ones vary by one
    if op.name == "avg_pool":
        return "sparse", out.size * window, out.size * window, "each result is the mean over its window"
    return "sparse", x.size * window, x.size * window, "each element is spread over its window"


def _lines(op: Op, out: TensorType, x: TensorType, types: Any, slot: int, attrs: Any) -> Found:
    count = out.size * x.size
    work = int(5 * max(x.size, out.size) * max(1.0, math.log2(max(x.size, 2))))
    return "dense", count, work, "each result is a sum over a whole line; the product is another transform"


TABLE: dict[str, Callable[..., Found]] = {
    **dict.fromkeys(("view", "clone", "alias", "after", "cast", "positive", "view_as_real", "view_as_complex"), _same("the same numbers in order")),
    **dict.fromkeys(("permute", "transpose", "flip", "roll"), _moved("the numbers change places")),
    **dict.fromkeys(
        ("slice", "diagonal", "as_strided", "unfold_view", "unfold", "real", "imag", "pick", "gather", "index_select", "index", "index2", "take_rows", "pool_gather"),
        _selected("each result is one of the elements"),
    ),
    **dict.fromkeys(
        ("embed", "constant_pad", "cat", "stack", "assemble", "straight", "index_put", "index_put2", "view_write"),
        lambda op, out, x, types, slot, attrs: ("selection", x.size, 0, "each element goes to one place of the result"),
    ),
    **dict.fromkeys(("index_add_zeros", "scatter_add_zeros", "index_put_zeros", "index_put_zeros2", "pool_scatter", "scatter"),
        lambda op, out, x, types, slot, attrs: ("selection", x.size, 0, "each element goes to one place; those that meet there are added")),
    **dict.fromkeys(("fold",), lambda op, out, x, types, slot, attrs: ("summation", x.size, x.size, "overlapping windows are added")),
    **dict.fromkeys(("sum", "mean", "sum_to"), _reduced),
    **dict.fromkeys(("amax", "amin", "max_pool"), _router),
    **dict.fromkeys(("where", "tril", "triu"), _masked),
    **dict.fromkeys(("abs", "sgn"), lambda op, out, x, types, slot, attrs: ("diagonal", out.size, out.size, "element i depends on element i alone")),
    **dict.fromkeys(("avg_pool", "avg_pool_grad"), _windows),
    **dict.fromkeys(("fft", "rfft", "irfft"), _lines),
    "expand": _expand,
    "cumsum": _cumulative,
    "matmul": _matmul,
    "linear": _linear,
    "conv": _conv,
}  # fmt: skip


def found_for(op: Op, out: TensorType, x: TensorType, types: Sequence[Any], slot: int, attrs: dict[str, Any]) -> Found:
    """Give structure, non-zeros, work and reason for one input of an operation."""
    rule = op.rule_for(slot) if op.vjp is not None and not (isinstance(op.vjp, list) and slot >= len(op.vjp)) else None
    if rule is not None and rule.form == "number" and not rule.fn:
        return "zero", 0, 0, "a step function: its slope is zero"
    known = TABLE.get(op.name)
    if known is None and op.family == "elementwise":
        known = _elementwise
    if known is None and op.name.startswith("linalg_"):
        known = _matrices
    return (known or _whole)(op, out, x, types, slot, attrs)


def jacobian_of(
    op: Op, out: TensorType, x: TensorType, types: Sequence[Any], slot: int, attrs: dict[str, Any], matrix: Any = None
) -> Jacobian:
    """Describe the Jacobian of an operation's result by one of its inputs.

    Parameters
    ----------
    op : Op
    out, x : TensorType
        Of the result and of the input.
    types : sequence
        Of all inputs; None where not known.
    slot : int
        The number of the input.
    attrs : dict
        The operation's attributes.
    matrix : array, optional
        The matrix, where it was formed.

    Returns
    -------
    Jacobian

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.core import REGISTRY, TensorType
    >>> four = TensorType((4,), np.dtype("float32"))
    >>> jacobian_of(REGISTRY["relu"], four, four, [four], 0, {}).structure
    'diagonal'
    """
    name, count, work, why = found_for(op, out, x, types, slot, attrs)
    rows, columns = out.size, x.size
    count = min(count, rows * columns)
    return Jacobian(
        structure=name,
        rows=rows,
        columns=columns,
        nonzeros=count,
        formed_bytes=rows * columns * out.dtype.itemsize,
        formed_flops=2 * rows * columns,
        implicit_flops=work,
        matrix=None if matrix is None else np.asarray(matrix).tolist(),
        note=why,
    )


def classify(matrix: Any) -> str:
    """Name the structure that the numbers of a matrix show.

    Examples
    --------
    >>> import numpy as np
    >>> classify(np.diag([1.0, 0.0, 1.0, 0.0]))
    'diagonal'
    """
    m = np.asarray(matrix)
    marks = m != 0
    if not marks.any():
        return "zero"
    rows, columns = m.shape
    if rows == columns and not (marks & ~np.eye(rows, dtype=bool)).any():
        diagonal = np.diag(m)
        if (diagonal == diagonal[0]).all():
            return "identity" if diagonal[0] == 1 else "scaled identity"
        return "diagonal"
    per_row, per_column = marks.sum(1), marks.sum(0)
    ones = bool((m[marks] == 1).all())
    if rows == columns and ones and (per_row == 1).all() and (per_column == 1).all():
        return "permutation"
    if ones and (per_row <= 1).all():
        return "broadcast" if (per_row == 1).all() and per_column.max() > 1 else "selection"
    if ones and (per_column <= 1).all():
        return "summation"
    if rows == columns and not np.triu(marks, 1).any():
        return "triangular"
    if marks.all():
        return "dense"
    return "block diagonal" if _blocks(marks) else "sparse"


def _blocks(marks: Any) -> bool:
    """Tell whether rows that share a column have all their columns in common."""
    groups: dict[bytes, Any] = {}
    for row in marks:
        if row.any():
            groups[row.tobytes()] = row
    return bool((np.sum(list(groups.values()), axis=0) <= 1).all())


__all__ = ["classify", "found_for", "jacobian_of"]
