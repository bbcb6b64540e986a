"""How one fact about an operation gives both directions of its derivative, its type rule and its tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import Op, TensorType, strides
from ..core.op import INPUTS
from . import batching

BOOL = np.dtype(np.bool_)
ANY = (-2.0, 2.0)
POSITIVE = (0.1, 4.0)
UNIT = (-0.9, 0.9)
CASES: dict[int, tuple[dict[str, Any], ...]] = {
    1: tuple({"shapes": s} for s in (((3, 4),), ((),), ((0, 2),))),
    2: tuple({"shapes": s} for s in (((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((), (2,)), ((0, 2), (1, 2)))),
    3: tuple({"shapes": s} for s in (((3, 4), (3, 4), (3, 4)), ((3, 1), (4,), ()))),
}
_REAL = {np.dtype(np.complex64): np.dtype(np.float32), np.dtype(np.complex128): np.dtype(np.float64)}


def broadcast(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Give the shape that these broadcast to."""
    return np.broadcast_shapes(*shapes)


def elementwise(
    name: str,
    numpy: Callable[..., Any],
    *,
    partials: Sequence[Any] | None,
    names: Sequence[str] | None = None,
    result: str = "same",
    domain: Any = ANY,
    lower: Any = None,
    samples: Any = None,
    shown: str | Callable[[Any], str] = "",
    attrs: dict[str, Any] | None = None,
) -> Op:
    """Make an op whose Jacobian is diagonal: one partial per input gives both modes.

    A partial is a function of (out, the inputs by name, attributes), a number, or None where there is no slope; ``partials=None`` makes
    an op without derivative. ``result`` is the result's dtype: "same" as the operands', "bool", or "real" (of complex operands).
    """
    count = len(partials) if partials is not None else len(names or "x")
    names = tuple(names or INPUTS[:count])

    def type_rule(*types: TensorType | None, **attrs: Any) -> TensorType:
        known = [t for t in types if t is not None]
        found: Any = known[-1].dtype
        if result == "bool":
            found = BOOL
        elif result == "real":
            found = _REAL.get(found, found)
        return TensorType(broadcast([t.shape for t in known]), found)

    extra = {"attrs": attrs} if attrs else {}
    cases = samples if samples is not None else tuple({**c, **extra} for c in CASES[count])
    op = Op(
        name,
        numpy,
        type=type_rule,
        names=names,
        vjp=partials,
        jvp=partials,
        vjp_form="scale",
        jvp_form="scale",
        broadcasts=True,
        family="elementwise",
        domain=domain,
        lower=lower,
        samples=cases,
        shown=shown,
        cost=lambda *types, **attrs: type_rule(*types, **attrs).size,
        batch=batching.spread,
    )
    if count > 1 or not isinstance(numpy, np.ufunc):  # NumPy's own functions of one operand keep its order
        op.layout = strides.as_operands
    return op


def linear(
    name: str,
    numpy: Callable[..., Any],
    *,
    type: Callable[..., TensorType],
    transpose: Callable[..., Any],
    view: bool = False,
    samples: Any,
    lower: Any = None,
    shown: str | Callable[[Any], str] = "",
    names: Sequence[str] = ("x",),
    batch: Any = None,
) -> Op:
    """Make an op linear in its first array: its tangent is itself, its cotangent is ``transpose``.

    Further inputs (index arrays, masks) are named in ``names`` and carry no derivative.
    """

    def push(t: Any, xs: Any, node: Any) -> Any:
        return op(t, *xs[1:], **node.attrs)

    def push_alone(t: Any, node: Any) -> Any:
        return op(t, **node.attrs)

    rest: list[Any] = [None] * (len(names) - 1)
    op = Op(
        name,
        numpy,
        type=type,
        names=names,
        vjp=[transpose, *rest],
        jvp=[push_alone if len(names) == 1 else push, *rest],
        view=view,
        family="linear",
        samples=samples,
        lower=lower,
        shown=shown,
        domain=ANY,
        batch=batch,
    )
    return op


def many_linear(
    name: str,
    numpy: Callable[..., Any],
    *,
    type: Callable[..., TensorType],
    transpose: Callable[..., Any],
    samples: Any,
    shown: str | Callable[[Any], str] = "",
    batch: Any = batching.joined,
) -> Op:
    """Make an op of any number of arrays, linear in all of them together, such as concatenation.

    ``transpose(g, *, i, types, ...)`` gives the cotangent of input ``i``; tangents of constants are zeros.
    """

    def forward(node: Any, tangents: Any, values: Any, out: Any) -> Any:
        return op(*tangents, **node.attrs)

    op = Op(
        name,
        numpy,
        type=type,
        names=(),
        vjp=transpose,
        jvp=None,
        family="linear",
        samples=samples,
        shown=shown,
        domain=ANY,
        batch=batch,
    )
    op.forward = forward
    return op


def bilinear(
    name: str,
    numpy: Callable[..., Any],
    *,
    type: Callable[..., TensorType],
    transposes: Sequence[Any],
    samples: Any,
    lower: Any = None,
    shown: str | Callable[[Any], str] = "",
    cost: Any = None,
    batch: Any = None,
) -> Op:
    """Make an op linear in each of two arrays: the product rule gives its tangent."""

    def push_x(t: Any, y: Any, node: Any) -> Any:
        return op(t, y, **node.attrs)

    def push_y(t: Any, x: Any, node: Any) -> Any:
        return op(x, t, **node.attrs)

    op = Op(
        name,
        numpy,
        type=type,
        names=("x", "y"),
        vjp=list(transposes),
        jvp=[push_x, push_y],
        family="bilinear",
        samples=samples,
        lower=lower,
        shown=shown,
        cost=cost,
        domain=ANY,
        batch=batch,
    )
    return op


def general(
    name: str,
    numpy: Callable[..., Any],
    *,
    type: Callable[..., TensorType],
    vjp: Any,
    jvp: Any,
    names: Sequence[str] = ("x",),
    samples: Any,
    domain: Any = ANY,
    broadcasts: bool = False,
    shown: str | Callable[[Any], str] = "",
    batch: Any = None,
) -> Op:
    """Make an op whose reverse and forward rules are both written out."""
    return Op(
        name,
        numpy,
        type=type,
        names=names,
        vjp=vjp,
        jvp=jvp,
        family="general",
        samples=samples,
        domain=domain,
        broadcasts=broadcasts,
        shown=shown,
        batch=batch,
    )


def plain(
    name: str,
    numpy: Callable[..., Any],
    *,
    type: Callable[..., TensorType],
    names: Sequence[str] = ("x",),
    samples: Any = (),
    impure: bool = False,
    batch: Any = None,
) -> Op:
    """Make an op without derivative."""
    return Op(
        name, numpy, type=type, names=names, family="plain", samples=samples, impure=impure, domain=ANY, batch=batch
    )
