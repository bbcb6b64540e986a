"""autograd.Function: operations whose derivatives the user writes."""

from __future__ import annotations

import functools
import weakref
from typing import Any

import numpy as np

from ..core import (
    FREED,
    MODE,
    PICK,
    BaseTensor,
    Held,
    Node,
    Op,
    TensorType,
    assign,
    at,
    attach_outputs,
    check_writable,
    describe,
    here,
    modified,
    no_grad,
    refresh,
    wrap,
)
from ..core.warned import warn
from ..ops.batching import same
from ..ops.shape import sum_to


class FunctionCtx:
    """What a Function's forward keeps for its backward."""

    def __init__(self) -> None:
        self.needs_input_grad: tuple[bool, ...] = ()
        self.materialize_grads = True
        self._kept_forward: tuple[Any, ...] = ()
        self._dirty: tuple[Any, ...] = ()
        self._plain: tuple[Any, ...] = ()
        self._entries: list[Any] = []  # what `saved_tensors` gives outside a recorded call
        self._owner: Any = None  # weak reference to the Node, which holds what is saved
        self._count = 1
        self._read = False  # whether what was saved has been given away, for `clear_saved_tensors_on_access`

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors (or None) for ``backward``, which finds them in ``ctx.saved_tensors``."""
        _check_saved(tensors, "save_for_backward")
        self._entries = [None if t is None else (t, t._s.version) for t in tensors]

    def save_for_forward(self, *tensors: Any) -> None:
        """Keep tensors for ``jvp``, which finds them in ``ctx.saved_tensors`` too."""
        _check_saved(tensors, "save_for_forward")
        self._kept_forward = tensors

    def mark_dirty(self, *tensors: Any) -> None:
        """Say which inputs ``forward`` wrote in place."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Say which results carry no gradient."""
        self._plain = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Say whether missing upstream gradients come as zeros (the default) or as None."""
        self.materialize_grads = value

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors kept by ``save_for_backward``."""
        node: Any = self._owner() if self._owner is not None else None
        entries = self._entries if node is None else node.saved
        if entries is FREED:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly access saved tensors after they have already been "
                "freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify "
                "retain_graph=True if you need to backward through the graph a second time. "
                f"({node.name()}, called at {describe(node.place)})"
            )
        if self._read:
            raise RuntimeError(
                "saved_tensors can only be accessed once when clear_saved_tensors_on_access=True is set on the autograd.Function. Either "
                f"access saved_tensors only once, or set clear_saved_tensors_on_access=False.{at(here())}"
            )
        if not entries and self._kept_forward:
            return self._kept_forward
        found = tuple(self._unpack(e, node) for e in entries)
        if node is not None and node.attrs["cls"].clear_saved_tensors_on_access:
            node.saved, self._read = (), True
        return found

    def _unpack(self, entry: Any, node: Any) -> Any:
        if entry is None:
            return None
        if isinstance(entry[0], Held):
            held, before, i, differentiable = entry
            a, storage, _ = held.fetch()
            if i is None:
                return wrap(a, storage, before)
            entry = (a, storage, storage.version, i, differentiable)
        if len(entry) == 2:
            t, version = entry
            if t._s.version != version:
                raise modified(node or t._node, (t._a, t._s, version), "a saved tensor")
            return t
        a, storage, version, i, differentiable = entry
        if storage.version != version:
            raise modified(node, (a, storage, version), f"output {i}")
        found = wrap(a, storage)
        if differentiable or MODE.trace is not None:
            found._node = node if self._count == 1 else _picked(node, i, self._count, found)
            if MODE.trace is not None:
                MODE.trace.add(found._node, found)
        return found


def _check_saved(tensors: tuple[Any, ...], name: str) -> None:
    for i, t in enumerate(tensors):
        if t is not None and not isinstance(t, BaseTensor):
            raise TypeError(f"{name} can only save variables, but argument {i} is of type {type(t).__name__}")


def _picked(node: Node, i: int, count: int, t: Any) -> Node:
    return Node(PICK, (node,), {"index": i, "count": count}, t._a.shape, t._a.dtype, True, node.place, (), None, None)


def _reverse(node: Node, g: Any, needs: list[bool], as_tensors: bool) -> list[Any]:
    """Run the author's ``backward`` on Tensors, and check what it gives."""
    ctx: FunctionCtx = node.attrs["ctx"]
    cls = node.attrs["cls"]
    grads = []
    for k, kind in zip(g if g.__class__ is list else [g], node.types, strict=True):
        if k is None:
            zeros = ctx.materialize_grads and kind is not None
            grads.append(wrap(np.zeros(kind.shape, kind.dtype)) if zeros else None)
        else:
            grads.append(k if as_tensors else wrap(k))
    results = cls._backward_rule()(ctx, *grads)
    if not isinstance(results, tuple):
        results = (results,)
    positions: tuple[int | None, ...] = node.attrs["positions"]
    count = len(positions)
    if len(results) < count or any(r is not None for r in results[count:]):
        raise RuntimeError(
            f"function {node.name()} returned an incorrect number of gradients (expected {count}, got {len(results)}): "
            f"one for each argument of forward, None for those without{at(node.place)}"
        )
    out: list[Any] = [None] * len(node.inputs)
    for i, (r, k) in enumerate(zip(results, positions, strict=False)):
        if r is None:
            continue
        if k is None:
            raise RuntimeError(
                f"function {node.name()} returned a gradient different from None at position {i + 1}, but the corresponding "
                f"forward input was not a Variable{at(node.place)}"
            )
        if not isinstance(r, BaseTensor):
            raise RuntimeError(
                f"expected Variable or None (got {type(r).__name__}) at position {i + 1} of {node.name()}"
            )
        source = node.inputs[k]
        if needs[k] and source is not None:
            if r._composite:
                out[k] = _sparse(r, source, as_tensors)
                continue
            r = _fit(node, r, source, i)
            out[k] = r if as_tensors else r._a
    return out


def _sparse(r: Any, source: Node, as_tensors: bool) -> Any:
    """Give a sparse gradient: the values' for a sparse variable, and as a walk carries it for a dense one."""
    if tuple(r.shape) != source.shape:
        r = r.coalesce()._v
        return r if as_tensors else r._a
    return r.to_dense() if as_tensors or source.op is not None else r.raw()


def _type(x: Any) -> TensorType:
    """Give the shape and dtype of an argument or a result."""
    return TensorType(tuple(x.shape), x.dtype.numpy) if x._composite else TensorType(x._a.shape, x._a.dtype)


def _fit(node: Node, r: Any, source: Node, i: int) -> Any:
    """Give a gradient the shape of its variable: sum over what was broadcast, refuse the rest."""
    shape, want = r._a.shape, source.shape
    if shape == want:
        return r
    try:
        fits = np.broadcast_shapes(shape, want) == shape
    except ValueError:
        fits = False
    if not fits:
        raise RuntimeError(
            f"Function {node.name()} returned an invalid gradient at index {i} - got {list(shape)} but expected shape "
            f"compatible with {list(want)}{at(node.place)}"
        )
    return sum_to(r, shape=want)


def _forward(node: Node, tangents: list[Any], values: Any, out: Any) -> Any:
    """Run the author's ``jvp`` on Tensors."""
    cls = node.attrs["cls"]
    given = [None if k is None else tangents[k] for k in node.attrs["positions"]]
    for k, t in enumerate(given):
        if t is None and node.attrs["positions"][k] is not None and node.attrs["ctx"].materialize_grads:
            kind = node.attrs["kinds"][k]
            given[k] = wrap(np.zeros(kind.shape, kind.dtype))
    found = cls.jvp(node.attrs["ctx"], *given)
    return found if node.attrs["ctx"]._count > 1 or not isinstance(found, tuple) else found[0]


def made_by(node: Any, inputs: Any) -> tuple[Any, ...]:
    """Give, of a traced call's inputs, the results that the author's ``forward`` made, None for what is no tensor."""
    made = iter(inputs[sum(p is not None for p in node.attrs["positions"]) :])
    return tuple([next(made, None) if there else None for there in node.attrs["made"]])


def _given(*xs: Any, positions: tuple[Any, ...], made: tuple[bool, ...] = (), **attrs: Any) -> Any:
    """Under a trace, what the author's ``forward`` made comes after the arguments: it is the result."""
    found = iter(xs[sum(p is not None for p in positions) :])
    results = tuple([next(found) if there else None for there in made])
    return results[0] if len(results) == 1 else results


FUNCTION = Op("function", _given, type=lambda *types, **attrs: types[0], names=(), outputs=0)
FUNCTION.vjp = []


def _batched(*args: Any) -> Any:
    """Map a call over a batch."""
    from .function_maps import batched

    return batched(*args)


FUNCTION.batch = _batched
FUNCTION.reverse, FUNCTION.forward = _reverse, _forward


class Function:
    """An operation with a hand-written derivative.

    Subclass it with static methods ``forward(ctx, *inputs)`` (or ``forward(*inputs)`` and ``setup_context(ctx, inputs, output)``),
    ``backward(ctx, *grads)``, and, for forward mode, ``jvp(ctx, *tangents)``; call it by ``apply``.

    Examples
    --------
    >>> import retrograd as torch
    >>> class Square(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return 2 * x * g
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> Square.apply(x).backward()
    >>> x.grad
    tensor(6.)
    """

    generate_vmap_rule = False
    _ctx_class: type[FunctionCtx]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you should invoke them on the "
            "class itself. Instantiating an autograd function will raise an error in a future version of PyTorch.",
            DeprecationWarning,
        )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._ctx_class = type(f"{cls.__name__}Backward", (FunctionCtx,), {})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd function with static "
            "forward method: decorate forward by @staticmethod and call the class's apply."
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the result."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Keep what ``backward`` needs, where ``forward`` takes no ctx."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Give the gradient of each input from those of the results."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with backward mode AD."
        )

    vjp = backward

    clear_saved_tensors_on_access = False  # True: they belong to who reads them, once

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """Give the tangent of each result from those of the inputs."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with forward mode AD."
        )

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> Any:
        """Give ``(output, out_dims)`` for arguments with the batch at ``in_dims``; ``info`` says its size and the randomness."""
        raise NotImplementedError(
            "To use autograd.Function with vmap, you must either override the vmap staticmethod or set generate_vmap_rule=True."
        )

    @classmethod
    def _backward_rule(cls) -> Any:
        """Give the reverse rule under the name that the author chose."""
        if cls.vjp is not Function.vjp:
            if cls.backward is not Function.backward:
                raise RuntimeError(
                    "Implementing both 'backward' and 'vjp' for a custom Function is not allowed: choose one."
                )
            return cls.vjp
        return cls.backward

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run the operation, and record it where a gradient is wanted."""
        if MODE.special:
            from .function_maps import special_call

            taken = special_call(cls, args, kwargs)
            if taken is not None:
                return taken
        return cls._call(args, kwargs, cls._ctx_class())

    @classmethod
    def _call(cls, args: tuple[Any, ...], kwargs: dict[str, Any], ctx: FunctionCtx) -> Any:
        for x in args:
            if isinstance(x, BaseTensor) and x._base is not None and x._base._node is not x._seen:
                refresh(x)
        flags = tuple([isinstance(x, BaseTensor) and x._node is not None and x._node.requires_grad for x in args])
        ctx.needs_input_grad = flags
        with no_grad():
            if cls.setup_context is not Function.setup_context:
                output = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, output)
            else:
                output = cls.forward(ctx, *args, **kwargs)
        many = isinstance(output, tuple)
        before = output if many else (output,)
        results = [_own(r, args, ctx) for r in before]
        if MODE.grad and any(flags):
            _record(cls, ctx, args, flags, before, results)
        return tuple(results) if many else results[0]


Function._ctx_class = FunctionCtx


def _own(r: Any, args: tuple[Any, ...], ctx: FunctionCtx) -> Any:
    """Give a result its own tensor where it is an input, or a view that knows another history."""
    if not isinstance(r, BaseTensor) or any(r is d for d in ctx._dirty):
        return r
    if any(r is x for x in args) or r._base is not None or getattr(r, "_seen", None) is not None:
        return wrap(r._a, r._s)
    return r


def _record(cls: Any, ctx: FunctionCtx, args: Any, flags: Any, before: Any, results: list[Any]) -> None:
    """Make the Node of a call: one for all results, with what the author saved."""
    for d in ctx._dirty:
        check_writable(d, cls.__name__)
        if not any(d is r for r in results):
            raise RuntimeError(
                f"a tensor marked dirty must be returned as an output of the function {cls.__name__}{at(here())}"
            )
    trace = MODE.trace
    kinds = [_type(r) if isinstance(r, BaseTensor) else None for r in results]
    positions: list[int | None] = []
    inputs: list[Any] = []
    for x, flag in zip(args, flags, strict=True):
        positions.append(len(inputs) if isinstance(x, BaseTensor) else None)
        if isinstance(x, BaseTensor):
            inputs.append(trace.node_of(x) if trace is not None else x._node if flag else None)
    if trace is not None:
        inputs += [trace.node_of(b) for b in before if isinstance(b, BaseTensor)]
    first = next((k for k in kinds if k is not None), TensorType((), np.dtype(np.float32)))
    attrs = {
        "ctx": ctx,
        "cls": cls,
        "positions": tuple(positions),
        "kinds": [_type(x) if isinstance(x, BaseTensor) else None for x in args],
        "given": tuple(None if isinstance(x, BaseTensor) else x for x in args),
        "made": tuple(isinstance(b, BaseTensor) for b in before),
    }
    node = Node(FUNCTION, tuple(inputs), attrs, first.shape, first.dtype, True, here(), (), kinds, None)
    ctx._count = len(results)
    ctx._owner = weakref.ref(node)
    carries = [
        k is not None and k.dtype.kind in "fcV" and not any(b is p or r is p for p in ctx._plain)
        for b, r, k in zip(before, results, kinds, strict=True)
    ]
    node.saved = [_entry(e, args, before, results, carries) for e in ctx._entries] or ()
    if MODE.saving is not None and trace is None:
        node.saved = [_handed_over(e, MODE.saving, node) for e in node.saved] or ()
    ctx._entries = []
    old = [(d, d._s.version) for d in ctx._dirty if d._base is not None]
    if len(results) == 1:
        if carries[0] or trace is not None:
            results[0]._node = node
            if trace is not None:
                trace.add(node, results[0])
    else:
        shown = [c or (trace is not None and k is not None) for c, k in zip(carries, kinds, strict=True)]
        attach_outputs(node, [r if s else None for r, s in zip(results, shown, strict=True)])
    for d, version in old:  # a view that was written: its base takes the write into its own history
        made = wrap(d._a, d._s, d._node)
        d._node = d._base._node
        refresh(d)
        assign(d, made, cls.__name__)
        d._s.version = version
    for d in ctx._dirty:
        d._s.written = (cls.__name__, node.place)
    ctx._dirty = ctx._plain = ()


def _entry(entry: Any, args: Any, before: Any, results: list[Any], carries: list[bool]) -> Any:
    """Keep a saved result by its array, not by the tensor that will hold the node that holds it; an input returned as it is stays an input."""
    if entry is None:
        return None
    t, version = entry
    for i, (b, r) in enumerate(zip(before, results, strict=True)):
        if t is r or (t is b and not any(t is x for x in args)):
            return r._a, r._s, version, i, carries[i]
    return entry


def _handed_over(entry: Any, keeper: Any, node: Node) -> Any:
    """Give what is saved to the keeper of saved values: (its Held, the value's Node, the result's number, whether it has a slope)."""
    if entry is None:
        return None
    if len(entry) == 2:
        held = keeper.keep(entry[0], node, 0)
        return entry if held is None else (held, entry[0]._node, None, False)
    a, storage, _, i, differentiable = entry
    held = keeper.keep(wrap(a, storage), node, -1)
    return entry if held is None else (held, None, i, differentiable)


def once_differentiable(fn: Any) -> Any:
    """Mark a ``backward`` whose result must not be differentiated again.

    Raises RuntimeError when a second derivative is asked for through it.

    Examples
    --------
    >>> import retrograd as torch
    >>> class Twice(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return x * 2
    ...
    ...     @staticmethod
    ...     @torch.autograd.function.once_differentiable
    ...     def backward(ctx, g):
    ...         return g * 2
    >>> x = torch.ones((), requires_grad=True)
    >>> torch.autograd.grad(Twice.apply(x), x)
    (tensor(2.),)
    """

    @functools.wraps(fn)
    def wrapper(ctx: Any, *grads: Any) -> Any:
        with no_grad():
            results = fn(ctx, *grads)
        if not MODE.grad or not any(isinstance(g, BaseTensor) and g._node is not None for g in grads):
            return results
        return tuple(map(_refusing, results)) if isinstance(results, tuple) else _refusing(results)

    return wrapper


def _refusing(r: Any) -> Any:
    if not isinstance(r, BaseTensor):
        return r
    leaf = Node(None, (), {}, r._a.shape, r._a.dtype, True, None, (), None, None)
    return wrap(r._a, r._s, Node(REFUSES, (leaf,), {}, r._a.shape, r._a.dtype, True, here(), (), None, None))


def _refuse(node: Node, g: Any, needs: list[bool], as_tensors: bool) -> list[Any]:
    raise RuntimeError(
        f"trying to differentiate twice a function that was marked with @once_differentiable{at(node.place)}"
    )


REFUSES = Op("once_differentiable", lambda x: x, type=lambda x: x, batch=same)
REFUSES.vjp = []
REFUSES.reverse = _refuse

__all__ = ["Function", "FunctionCtx", "once_differentiable"]
