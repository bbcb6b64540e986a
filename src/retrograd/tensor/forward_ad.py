"""Eager forward mode: dual tensors, whose tangents move along with every operation and every write."""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple

import numpy as np

from ..autodiff.forward import tangent_of
from ..core import MODE, VIEW_WRITE, BaseTensor, Node, TensorType, at, here, show_type, wrap
from ..core.mode import _Switch
from .function import Function

FLAT = ("histc",)  # operations of floating-point results that do not change with their inputs


class UnpackedDualTensor(NamedTuple):
    """The value of a dual tensor, and its tangent (None if it has none)."""

    primal: Any
    tangent: Any


class _Entry:
    """The tangent of one array; for a view, the base's tangent that it was taken from."""

    __slots__ = ("array", "source", "tangent")

    def __init__(self, array: Any, tangent: Any, source: Any) -> None:
        self.array, self.tangent, self.source = array, tangent, source


class Level:
    """The tangents that are alive between entering and leaving a level; the door tells it of operations and writes.

    A tangent belongs to an array, not to a Tensor, so that the values that nodes have saved keep theirs: a backward walk over
    dual tensors gives dual gradients.
    """

    def __init__(self) -> None:
        self.table: dict[int, _Entry] = {}

    # -- the table --------------------------------------------------------------------------------------------------------------
    def get(self, x: Any) -> Any:
        """Give a tensor's tangent, or None; a view's is the same view of its base's."""
        a = x._a
        entry = self.table.get(id(a))
        if entry is not None and entry.array() is not a:
            entry = None
        base = x._base
        if base is None:
            return None if entry is None else entry.tangent
        whole = self.get(base)
        if whole is None or (entry is not None and entry.source is whole):
            return None if entry is None else entry.tangent
        t = whole
        with _Off():
            for op, attrs in x._steps:
                if op.jvp is None:
                    return None
                t = op(t, **attrs)
        self.put(x, t, whole)
        return t

    def put(self, x: Any, tangent: Any, source: Any = None) -> None:
        """Give a tensor a tangent."""
        a = x._a
        table, key = self.table, id(a)

        def forget(dead: Any) -> None:
            entry = table.get(key)
            if entry is not None and entry.array is dead:
                del table[key]

        table[key] = _Entry(weakref.ref(a, forget), tangent, source)

    # -- what the door tells ------------------------------------------------------------------------------------------------------
    def applied(self, op: Any, xs: tuple[Any, ...], attrs: dict[str, Any], t: Any) -> None:
        """Move the tangents of an operation's inputs to its result."""
        ts = [self.get(x) if isinstance(x, BaseTensor) else None for x in xs]
        if all(v is None for v in ts) or t._a.dtype.kind not in "fcV" or (op.view and op.jvp is None):
            return  # a view without a tangent rule is `detach`
        if op.view and t._base is not None and self.get(t) is not None:
            return  # derived from the base's
        if op.family == "plain" and not op.impure and op.name not in FLAT:
            raise NotImplementedError(
                f"Trying to use forward AD with {op.name} that does not support it because it has no tangent rule{at(here())}"
            )
        types = [TensorType(x._a.shape, x._a.dtype) if isinstance(x, BaseTensor) else None for x in xs]
        node = Node(op, (None,) * len(xs), attrs, t._a.shape, t._a.dtype, False, None, (), types, None)
        with _Off():
            found = tangent_of(node, ts, xs, t)
        if found is not None:
            self.put(t, found)

    def written(self, x: Any, r: Any) -> None:
        """Move a tangent with a value that is written in place."""
        new, base = self.get(r), x._base
        old = self.get(x if base is None else base)
        if new is None and old is None:
            return
        with _Off():
            if new is None:
                new = _zeros(x)
            if base is None:
                self.put(x, new)
                return
            whole = old if old is not None else _zeros(base)
            whole = VIEW_WRITE(whole, new, steps=x._steps)
        self.put(base, whole)

    def custom(self, cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a Function with tangents: its ``jvp`` gives those of the results."""
        tangents = [self.get(x) if isinstance(x, BaseTensor) else None for x in args]
        if all(t is None for t in tangents):
            return None
        if cls.jvp is Function.jvp:
            raise NotImplementedError(
                f"You must implement the jvp function for custom autograd.Function to use it with forward mode AD. ({cls.__name__})"
            )
        ctx = cls._ctx_class()
        with _Off():
            output = cls._call(args, kwargs, ctx)
            given = [
                _zeros(x) if t is None and isinstance(x, BaseTensor) and ctx.materialize_grads else t
                for t, x in zip(tangents, args, strict=True)
            ]
            pushed = cls.jvp(ctx, *given)
        outputs = output if isinstance(output, tuple) else (output,)
        for r, t in zip(outputs, pushed if isinstance(pushed, tuple) else (pushed,), strict=True):
            if t is not None and isinstance(r, BaseTensor):
                self.put(r, t)
        return output


def _zeros(x: Any) -> Any:
    return wrap(np.zeros(x._a.shape, x._a.dtype))


class _Off:
    """Tangents are computed without tangents of their own."""

    def __enter__(self) -> None:
        self.level, MODE.dual = MODE.dual, None
        MODE.settle()

    def __exit__(self, *exc: Any) -> None:
        MODE.dual = self.level
        MODE.settle()


# -- what users call --------------------------------------------------------------------------------------------------------------
def enter_dual_level() -> int:
    """Begin a level of forward mode; give its number.

    Raises RuntimeError within another one: levels do not nest (``func.jvp`` does).

    Examples
    --------
    >>> import retrograd as torch
    >>> level = torch.autograd.forward_ad.enter_dual_level()
    >>> torch.autograd.forward_ad.exit_dual_level()
    """
    if MODE.dual is not None:
        raise RuntimeError(
            f"Nested forward mode AD is not supported at the moment: use func.jvp, which nests{at(here())}"
        )
    MODE.dual = Level()
    MODE.settle()
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """End the level; its tangents are gone."""
    if MODE.dual is None:
        raise RuntimeError("Dual level must be a positive number: no level has been entered")
    if level not in (None, 0):
        raise RuntimeError(f"Trying to exit a forward AD level that was not the last one that was created: {level}")
    MODE.dual = None
    MODE.settle()


class dual_level(_Switch):
    """A block, or a decorated function, in which tensors may carry tangents.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.autograd import forward_ad
    >>> with forward_ad.dual_level():
    ...     x = forward_ad.make_dual(torch.tensor(2.0), torch.tensor(1.0))
    ...     forward_ad.unpack_dual(x**3).tangent
    tensor(12.)
    """

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *exc: Any) -> None:
        exit_dual_level()


def make_dual(tensor: Any, tangent: Any, *, level: int | None = None) -> Any:
    """Give a view of a tensor that carries a tangent; both keep their histories.

    Parameters
    ----------
    tensor, tangent : Tensor
        Of one shape; the tangent is the direction along which results are differentiated.
    level : int, optional
        The level that ``enter_dual_level`` gave.

    Raises
    ------
    RuntimeError
        There is no level, or the shapes differ, or the tensor has a tangent already.
    ValueError
        The dtype carries no derivative.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.autograd import forward_ad
    >>> with forward_ad.dual_level():
    ...     dual = forward_ad.make_dual(torch.tensor(0.0), torch.tensor(5.0))
    ...     forward_ad.unpack_dual(dual.sin())
    UnpackedDualTensor(primal=tensor(0.), tangent=tensor(5.))
    """
    current = MODE.dual
    if current is None:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first."
        )
    if level not in (None, 0):
        raise RuntimeError("Invalid level given to _make_dual: the one open level is 0")
    for x, which in ((tensor, "primal"), (tangent, "tangent")):
        if x._a.dtype.kind not in "fcV":
            raise ValueError(f"Expected {which} to be floating point or complex, but got: {x.dtype}")
    if tensor._a.shape != tangent._a.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original Tensor, this is not supported. "
            f"Tensor is of size {list(tensor._a.shape)} while the given forward gradient is of size {list(tangent._a.shape)}."
        )
    if current.get(tensor) is not None:
        raise RuntimeError(
            "Making a dual Tensor based on a Tensor that already has a forward gradient at the same level 0 is not supported: "
            f"unpack_dual({show_type(tensor)}) gives its value alone"
        )
    with _Off():
        dual = tensor.view_as(tensor)
        seen = tangent if tangent._a.dtype == tensor._a.dtype else tangent.to(tensor.dtype)
    dual._base = None if not tensor.requires_grad else dual._base
    current.put(dual, seen, current.get(dual._base) if dual._base is not None else None)
    return dual


def unpack_dual(tensor: Any, *, level: int | None = None) -> UnpackedDualTensor:
    """Give a tensor's value, without tangent, and its tangent.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.autograd.forward_ad.unpack_dual(torch.tensor(1.0))
    UnpackedDualTensor(primal=tensor(1.), tangent=None)
    """
    current = MODE.dual
    if current is None:
        return UnpackedDualTensor(tensor, None)
    tangent = current.get(tensor)
    if tangent is None:
        return UnpackedDualTensor(tensor, None)
    with _Off():
        primal = tensor.view_as(tensor)
        primal._base = None
    return UnpackedDualTensor(primal, tangent)


def __getattr__(name: str) -> Any:
    if name == "_current_level":  # torch's variable; there is one level here
        return -1 if MODE.dual is None else 0
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]
