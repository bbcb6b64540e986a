"""How a custom Function maps over a batch: by its own ``vmap``, or by mapping its ``forward`` and its ``backward``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core import MODE, BaseTensor, Node, TensorType, apply, attach_outputs, here, no_grad, wrap
from ..ops.batching import grown, move
from ..ops.reduce import sum_
from .function import FUNCTION, Function
from .tree import flatten
from .vmap import spread_dims, vmap


class VmapInfo(NamedTuple):
    """What a Function's ``vmap`` is told: the size of the batch, and how random draws differ."""

    batch_size: int
    randomness: str


def special_call(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Let the running trace, or eager forward mode, take over a call; None leaves it to run as always."""
    if MODE.trace is not None:
        return MODE.trace.custom(cls, args, kwargs)
    if MODE.dual is not None:
        return MODE.dual.custom(cls, args, kwargs)
    return None


def unseen(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a Function's forward without tracing it, and record the call as one operation."""
    trace = MODE.trace
    ctx = cls._ctx_class()
    tensors = [x for x in args if isinstance(x, BaseTensor)]
    nodes = [trace.node_of(x) for x in tensors]
    ctx.needs_input_grad = tuple(isinstance(x, BaseTensor) and x.requires_grad for x in args)
    MODE.trace = None
    MODE.settle()
    try:
        with no_grad():
            output = cls.forward(*[wrap(x._a) if isinstance(x, BaseTensor) else x for x in args], **kwargs)
    finally:
        MODE.trace = trace
        MODE.settle()
    many = isinstance(output, tuple)
    results = [wrap(r._a) for r in (output if many else (output,))]
    _record(cls, ctx, args, nodes, results)
    cls.setup_context(ctx, args, tuple(results) if many else results[0])
    for r in ctx._plain:
        r._node.requires_grad = False
    return tuple(results) if many else results[0]


def _record(cls: Any, ctx: Any, args: tuple[Any, ...], nodes: list[Any], results: list[Any]) -> None:
    trace = MODE.trace
    kinds = [TensorType(r._a.shape, r._a.dtype) for r in results]
    places = iter(range(len(nodes)))
    attrs = {
        "ctx": ctx,
        "cls": cls,
        "positions": tuple(next(places) if isinstance(x, BaseTensor) else None for x in args),
        "kinds": [TensorType(x._a.shape, x._a.dtype) if isinstance(x, BaseTensor) else None for x in args],
        "given": tuple(None if isinstance(x, BaseTensor) else x for x in args),
        "unseen": True,
    }
    wanted = MODE.grad and any(ctx.needs_input_grad)
    first = kinds[0]
    node = Node(FUNCTION, tuple(nodes), attrs, first.shape, first.dtype, wanted, here(), (), kinds, None)
    ctx._count = len(results)
    if len(results) == 1:
        results[0]._node = node
        trace.add(node, results[0])
    else:
        attach_outputs(node, results)


def batched(op: Any, xs: Sequence[Any], flags: Sequence[bool], size: int, attrs: dict[str, Any]) -> Any:
    """The batching rule: ``xs`` are the Tensor arguments, and, where forward was traced, the results for the whole batch."""
    cls, positions, given = attrs["cls"], attrs["positions"], attrs["given"]
    count = sum(p is not None for p in positions)
    args = [g if p is None else xs[p] for p, g in zip(positions, given, strict=True)]
    if not any(flags):
        return cls.apply(*args)
    if "unseen" in attrs:
        in_dims = tuple(None if p is None or not flags[p] else 0 for p in positions)
        output, out_dims = cls.vmap(VmapInfo(size, attrs["randomness"]), in_dims, *args)
        leaves, spec = flatten(output)
        dims = spread_dims(out_dims, spec)
        if dims is None:
            raise RuntimeError(f"{cls.__name__}.vmap: out_dims {out_dims} do not fit the outputs that it gives")
        made = [
            grown(v, False, size) if d is None else move(v, d % v._a.ndim, 0) for v, d in zip(leaves, dims, strict=True)
        ]
        return tuple(made) if isinstance(output, tuple) else made[0]
    results = [grown(r, f, size) for r, f in zip(xs[count:], flags[count:], strict=True)]
    return _mapped(cls, args, [p is not None and flags[p] for p in positions], size).apply(*xs[:count], *results)


def _mapped(cls: Any, args: list[Any], flags: list[bool], size: int) -> Any:
    """Make the Function of the whole batch: its results are known, its derivatives are ``cls``'s, mapped over the batch."""
    tensors = [i for i, x in enumerate(args) if isinstance(x, BaseTensor)]
    count = len(tensors)

    def context(given: Sequence[Any], outputs: Sequence[Any], needs: tuple[bool, ...]) -> Any:
        whole = list(args)
        for i, v in zip(tensors, given, strict=True):
            whole[i] = v
        ctx = cls._ctx_class()
        ctx.needs_input_grad = needs
        ctx._count = len(outputs)
        cls.setup_context(ctx, tuple(whole), outputs[0] if len(outputs) == 1 else tuple(outputs))
        return ctx

    class Mapped(Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(*xs: Any) -> Any:
            made = xs[count:]
            return made[0] if len(made) == 1 else tuple(made)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)
            needs = iter(ctx.needs_input_grad[:count])
            ctx.needs = tuple(next(needs) if i in tensors else False for i in range(len(args)))

        @staticmethod
        def backward(ctx: Any, *gs: Any) -> Any:
            saved = ctx.saved_tensors
            present: list[int] = []

            def item(*values: Any) -> Any:
                inner = context(values[:count], values[count : len(saved)], ctx.needs)
                found = cls._backward_rule()(inner, *values[len(saved) :])
                found = found if isinstance(found, tuple) else (found,)
                wanted = [found[i] for i in tensors]
                present[:] = [k for k, r in enumerate(wanted) if r is not None]
                return tuple(wanted[k] for k in present)

            own = [0 if flags[i] else None for i in tensors]
            dims = (*own, *(0,) * (len(saved) - count), *(0,) * len(gs))
            found = vmap(item, in_dims=dims)(*saved, *gs)
            out: list[Any] = [None] * len(saved)
            for k, r in zip(present, found, strict=True):
                out[k] = r if flags[tensors[k]] else apply(sum_, r, axis=(0,), keepdims=False)
            return tuple(out)

        @staticmethod
        def jvp(ctx: Any, *ts: Any) -> Any:
            saved = ctx.saved_tensors
            pushed = [
                wrap(np.zeros(x._a.shape, x._a.dtype)) if t is None else t for t, x in zip(ts, saved, strict=True)
            ][:count]

            def item(*values: Any) -> Any:
                inner = context(values[:count], values[count : len(saved)], ctx.needs)
                whole: list[Any] = [None] * len(args)
                for i, t in zip(tensors, values[len(saved) :], strict=True):
                    whole[i] = t
                return cls.jvp(inner, *whole)

            own = [0 if flags[i] else None for i in tensors]
            return vmap(item, in_dims=(*own, *(0,) * (len(saved) - count), *own))(*saved, *pushed)

    Mapped.__name__ = Mapped.__qualname__ = f"Vmapped{cls.__name__}"
    return Mapped


__all__ = ["VmapInfo"]
