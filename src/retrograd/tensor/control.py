"""Branches and loops as functions, and torch's arithmetic on sizes that may be symbols: here they are plain numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..core import BaseTensor
from .dispatch import function


def _truth(pred: Any, name: str) -> bool:
    if isinstance(pred, BaseTensor):
        if pred.numel() != 1:
            raise RuntimeError(f"Expected pred to be bool or single-element tensor, but got {pred}. ({name})")
        return bool(pred.item())
    if not isinstance(pred, (bool, int, float)):
        raise RuntimeError(f"Expected pred to be bool or tensor, but got {pred}. ({name})")
    return bool(pred)


@function("cond", method=False, out=False)
def cond(pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Any = ()) -> Any:
    """Call one of two functions with the operands: ``true_fn`` where ``pred`` holds, else ``false_fn``.

    ``pred`` is a bool or a tensor of one element; RuntimeError for anything else.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.tensor(3.0)
    >>> torch.cond(x > 2, lambda x: x + 1, lambda x: x - 1, (x,))
    tensor(4.)
    """
    if not isinstance(operands, (tuple, list)):
        raise RuntimeError(
            f"Expect operands to be a tuple of possibly nested dict/list/tuple of tensors, got {operands}."
        )
    if not callable(true_fn) or not callable(false_fn):
        raise TypeError(f"cond: both branches must be callable, not {true_fn!r} and {false_fn!r}")
    return (true_fn if _truth(pred, "cond") else false_fn)(*operands)


@function("while_loop", method=False, out=False)
def while_loop(cond_fn: Callable[..., Any], body_fn: Callable[..., Any], carried_inputs: Any) -> Any:
    """Call ``body_fn`` on what it gave last as long as ``cond_fn`` of that holds; give the last.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.while_loop(
    ...     lambda i, x: i < 3, lambda i, x: (i + 1, 2 * x), (torch.tensor(0), torch.tensor(1.0))
    ... )
    (tensor(3), tensor(8.))
    """
    if not callable(cond_fn) or not callable(body_fn):
        raise RuntimeError(f"while_loop: cond_fn and body_fn must be callable, not {cond_fn!r} and {body_fn!r}")
    if not isinstance(carried_inputs, (tuple, list)):
        raise RuntimeError(f"Expect carried_inputs to be a tuple of tensors, got {carried_inputs}")
    carried = tuple(carried_inputs)
    single = False
    while _truth(cond_fn(*carried), "while_loop"):
        found = body_fn(*carried)
        single = not isinstance(found, (tuple, list))
        carried = (found,) if single else tuple(found)
        if len(carried) != len(carried_inputs):
            raise RuntimeError(
                f"while_loop: body_fn should give {len(carried_inputs)} elements, as carried_inputs, but gave {len(carried)}"
            )
    return carried[0] if single else carried


@function("sym_int", method=False, out=False)
def sym_int(a: Any) -> int:
    """Give a number's whole part as an int."""
    whole: int = math.trunc(a)
    return whole


@function("sym_float", method=False, out=False)
def sym_float(a: Any) -> float:
    """Give a number as a float."""
    return float(a)


@function("sym_not", method=False, out=False)
def sym_not(a: Any) -> bool:
    """Give the opposite truth."""
    return not a


@function("sym_max", method=False, out=False)
def sym_max(a: Any, b: Any) -> Any:
    """Give the larger number, as a float if either is one."""
    found = max(a, b)
    return float(found) if isinstance(a, float) or isinstance(b, float) else found


@function("sym_min", method=False, out=False)
def sym_min(a: Any, b: Any) -> Any:
    """Give the smaller number, as a float if either is one."""
    found = min(a, b)
    return float(found) if isinstance(a, float) or isinstance(b, float) else found


@function("sym_ite", method=False, out=False)
def sym_ite(b: Any, t: Any, f: Any) -> Any:
    """Give ``t`` where ``b`` holds, else ``f``."""
    return t if b else f


@function("sym_sum", method=False, out=False)
def sym_sum(*args: Any) -> Any:
    """Give the sum of numbers, passed one by one or as one sequence."""
    return sum(args[0]) if len(args) == 1 and isinstance(args[0], (tuple, list)) else sum(args)


@function("sym_sqrt", method=False, out=False)
def sym_sqrt(a: Any) -> float:
    """Give a number's square root."""
    return math.sqrt(a)


@function("sym_fresh_size", method=False, out=False)
def sym_fresh_size(expr: Any) -> Any:
    """Give the size itself: there are no symbols here."""
    return expr


def _checked_range(size: Any, *, min: int | None = None, max: int | None = None) -> None:
    """Raise RuntimeError for a number outside of a range."""
    if (min is not None and size < min) or (max is not None and size > max):
        raise RuntimeError(f"Invalid value range for {size} between [{min}, {max}].")


function("sym_constrain_range", "sym_constrain_range_for_size", method=False, out=False)(_checked_range)
