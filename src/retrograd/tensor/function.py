"""autograd.Function: operations whose derivatives the user writes."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..core import FREED, MODE, BaseTensor, Node, Op, TensorType, attach_outputs, check_writable, here, modified, no_grad, refresh, wrap


class FunctionCtx:
    """What a Function's forward keeps for its backward."""

    def __init__(self) -> None:
        self.needs_input_grad: tuple[bool, ...] = ()
        self.materialize_grads = True
        self._saved: list[Any] = []
        self._forward: list[Any] = []
        self._dirty: tuple[Any, ...] = ()
        self._plain: tuple[Any, ...] = ()
        self._freed = False

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors (or None) for ``backward``, which finds them in ``ctx.saved_tensors``."""
        for t in tensors:
            if t is not None and not isinstance(t, BaseTensor):
                raise TypeError(f"save_for_backward can only save variables, but argument {tensors.index(t)} is of type {type(t).__name__}")
        self._saved = [None if t is None else (t, t._s.version) for t in tensors]

    def save_for_forward(self, *tensors: Any) -> None:
        """Keep tensors for ``jvp``, which finds them in ``ctx.saved_tensors`` too."""
        self._forward = [None if t is None else (t, t._s.version) for t in tensors]

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
        if self._freed:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). "
                "Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the graph a second time."
            )
        return tuple(self._unpack(e) for e in (self._saved or self._forward))

    def _unpack(self, entry: Any) -> Any:
        if entry is None:
            return None
        if len(entry) == 2:
            t, version = entry
            if t._s.version != version:
                node = t._node if t._node is not None else self._node()
                raise modified(node, (t._a, t._s, version), "a saved tensor")
            return t
        a, storage, version, i = entry
        node = self._node()
        if storage.version != version:
            raise modified(node, (a, storage, version), f"output {i}")
        found = wrap(a, storage)
        if node is not None:
            found._node = node if self._count == 1 else _picked(node, i, self._count, found)
        return found

    def _node(self) -> Any:
        return self._owner() if self._owner is not None else None

    _owner: Any = None
    _count = 1


def _picked(node: Node, i: int, count: int, t: Any) -> Node:
    from ..core import PICK

    return Node(PICK, (node,), {"index": i, "count": count}, t._a.shape, t._a.dtype, True, node.place, (), None, None)


def _reverse(node: Node, g: Any, needs: list[bool], as_tensors: bool) -> list[Any]:
    ctx: FunctionCtx = node.attrs["ctx"]
    cls = node.attrs["cls"]
    given = g if g.__class__ is list else [g]
    if node.saved is FREED:
        ctx._freed = True
    grads = []
    for k, kind in zip(given, node.types, strict=True):
        if k is None:
            grads.append(wrap(np.zeros(kind.shape, kind.dtype)) if ctx.materialize_grads else None)
        else:
            grads.append(k if as_tensors else wrap(k))
    ctx._grad_recorded = as_tensors and MODE.grad  # type: ignore[attr-defined]
    backward = cls.backward if cls.backward is not Function.backward else cls.vjp
    results = backward(ctx, *grads)
    if not isinstance(results, tuple):
        results = tuple(results) if isinstance(results, list) else (results,)
    n = len(node.inputs)
    if len(results) > n and any(r is not None for r in results[n:]) or len(results) < n:
        raise RuntimeError(f"function {cls.__name__}Backward returned an incorrect number of gradients (expected {n}, got {len(results)})")
    out = []
    for i, (r, need, src) in enumerate(zip(results[:n], needs, node.inputs, strict=True)):
        if r is None or not need:
            if r is not None and src is None and not node.attrs["tensors"][i]:
                raise RuntimeError(f"function {cls.__name__}Backward returned a gradient different from None at position {i + 1}, but the corresponding forward input was not a Variable")
            out.append(None)
            continue
        if not isinstance(r, BaseTensor):
            raise TypeError(f"expected Variable or None (got {type(r).__name__})")
        if r._a.shape != src.shape:
            try:
                fits = np.broadcast_shapes(r._a.shape, src.shape) == r._a.shape
            except ValueError:
                fits = False
            if not fits:
                raise RuntimeError(
                    f"Function {cls.__name__}Backward returned an invalid gradient at index {i} - got {list(r._a.shape)} but expected shape compatible with {list(src.shape)}"
                )
            from ..ops.shape import sum_to

            r = sum_to(r, shape=src.shape)
        out.append(r if as_tensors else r._a)
    return out


def _forward(node: Node, tangents: list[Any], values: Any, out: Any) -> Any:
    ctx: FunctionCtx = node.attrs["ctx"]
    cls = node.attrs["cls"]
    if cls.jvp is Function.jvp:
        raise RuntimeError(f"forward-mode: {cls.__name__} has no jvp: write a static method jvp(ctx, *tangents)")
    return cls.jvp(ctx, *tangents)


FUNCTION = Op("function", lambda *xs, **attrs: xs, type=lambda *types, **attrs: types[0], names=(), outputs=0)
FUNCTION.vjp, FUNCTION.jvp = [], None
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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        import warnings

        warnings.warn(f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you should invoke them on the class itself.", DeprecationWarning, stacklevel=2)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd function with static forward method.")

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
        raise NotImplementedError("You must implement either the backward or vjp method for your custom autograd.Function to use it with backward mode AD.")

    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """Give the tangent of each result from those of the inputs."""
        raise NotImplementedError("You must implement the jvp function for custom autograd.Function to use it with forward mode AD.")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run the operation."""
        import weakref

        ctx = type(f"{cls.__name__}Backward", (FunctionCtx,), {})()
        for x in args:
            if isinstance(x, BaseTensor) and x._base is not None and x._base._node is not x._seen:
                refresh(x)
        flags = tuple(isinstance(x, BaseTensor) and x._node is not None and x._node.requires_grad for x in args)
        ctx.needs_input_grad = flags
        wanted = MODE.grad and any(flags)
        with no_grad():
            if cls.setup_context is not Function.setup_context:
                output = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, output)
            else:
                output = cls.forward(ctx, *args, **kwargs)
        results = list(output) if isinstance(output, tuple) else [output]
        inputs = {id(x): x for x in args if isinstance(x, BaseTensor)}
        for i, r in enumerate(results):
            if isinstance(r, BaseTensor) and id(r) in inputs and not any(r is d for d in ctx._dirty):
                results[i] = wrap(r._a, r._s)
            elif isinstance(r, BaseTensor) and r._base is not None and not any(r is d for d in ctx._dirty):
                results[i] = r.detach()
        if wanted:
            for d in ctx._dirty:
                check_writable(d, cls.__name__)
                if not any(d is r for r in results):
                    raise RuntimeError("a tensor marked dirty must be returned as an output of the function")
            tensors = [r if isinstance(r, BaseTensor) else None for r in results]
            kinds = [None if r is None else TensorType(r._a.shape, r._a.dtype) for r in tensors]
            nodes = tuple(x._node if f else None for x, f in zip(args, flags, strict=True))
            first = next((k for k in kinds if k is not None), TensorType((), np.dtype(np.float32)))
            attrs = {"ctx": ctx, "cls": cls, "tensors": [isinstance(x, BaseTensor) for x in args]}
            node = Node(FUNCTION, nodes, attrs, first.shape, first.dtype, True, here(), (), kinds, None)
            ctx._saved = [_detached(e, output if isinstance(output, tuple) else (output,), results) for e in ctx._saved]
            ctx._owner, ctx._count = weakref.ref(node), len(results)
            for d in ctx._dirty:
                d._s.written = (cls.__name__, node.place)
            marked = [None if r is None or any(r is p for p in ctx._plain) else r for r in tensors]
            if len(results) == 1 and marked[0] is not None:
                if marked[0]._a.dtype.kind in "fcV":
                    marked[0]._node = node
            else:
                attach_outputs(node, marked)
        return tuple(results) if isinstance(output, tuple) else results[0]


def _detached(entry: Any, before: Any, results: list[Any]) -> Any:
    """Keep a saved result by its array, not by the tensor that will hold the node that holds it."""
    if entry is None or len(entry) != 2:
        return entry
    t, version = entry
    for i, (b, r) in enumerate(zip(before, results, strict=True)):
        if t is b or t is r:
            return (r._a, r._s, version, i)
    return entry


def once_differentiable(fn: Any) -> Any:
    """Mark a ``backward`` whose result must not be differentiated again.

    Raises RuntimeError when a second derivative is asked for through it.
    """

    @functools.wraps(fn)
    def wrapper(ctx: Any, *grads: Any) -> Any:
        recorded = getattr(ctx, "_grad_recorded", False)
        with no_grad():
            results = fn(ctx, *grads)
        if not recorded:
            return results
        many = isinstance(results, tuple)
        return tuple(_refusing(r) for r in results) if many else _refusing(results)

    return wrapper


def _refusing(r: Any) -> Any:
    if not isinstance(r, BaseTensor):
        return r
    t = wrap(r._a, r._s)
    leaf = Node(None, (), {}, r._a.shape, r._a.dtype, True, None, (), None, None)
    t._node = Node(REFUSES, (leaf,), {}, r._a.shape, r._a.dtype, True, here(), (), None, None)
    return t


def _refuse(node: Node, g: Any, needs: list[bool], as_tensors: bool) -> list[Any]:
    raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")


REFUSES = Op("once_differentiable", lambda x: x, type=lambda x: x)
REFUSES.vjp = []
REFUSES.reverse = _refuse
