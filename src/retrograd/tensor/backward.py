"""What the user asks of the walk: `backward`, and gradients of chosen inputs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autodiff import pullback
from ..autodiff.carriers import as_tensor
from ..core import (
    MODE,
    BaseTensor,
    MetaArray,
    Node,
    TensorType,
    at,
    blank,
    describe,
    here,
    leaf_node,
    no_grad,
    show_type,
    wrap,
)
from ..core.large import add_into
from ..core.warned import warn
from ..core.writes import assign
from ..ops.elementwise import add
from .edges import GradientEdge

_ADDING = threading.Lock()


def _seed(output: Any, gradient: Any, i: int = 0) -> Any:
    """Check the upstream gradient of a root, or make it."""
    if isinstance(output, GradientEdge):
        return _seed(output.stand_in(), gradient, i)
    if output._composite:
        return output.seed(gradient)
    a = output._a
    if gradient is None:
        if a.size != 1:
            raise RuntimeError(
                f"grad can be implicitly created only for scalar outputs, not for {show_type(output)} "
                f"(made by {describe(output._node.place) if output._node is not None else 'the user'}): "
                f"reduce it first, such as by .sum() or .mean(), or pass gradient=..."
            )
        if a.dtype.kind not in "fV":
            raise RuntimeError(
                f"grad can be implicitly created only for real scalar outputs but got {show_type(output)}: "
                f"take .real or .abs(), or pass gradient=..."
            )
        return wrap((blank if a.__class__ is MetaArray else np.ones)(a.shape, a.dtype))
    if not isinstance(gradient, BaseTensor):
        raise TypeError(f"gradients can be either Tensors or None, but got {type(gradient).__name__}")
    if gradient._a.shape != a.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{i}] has a shape of {_size(gradient)} and output[{i}] has a shape of {_size(output)}. "
            f"(backward from {show_type(output)} with gradient {show_type(gradient)}: they must be equal){at(here())}"
        )
    if (gradient._a.dtype.kind == "c") != (a.dtype.kind == "c"):
        raise RuntimeError(
            f"For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in dtype: grad_output[{i}] "
            f"is {show_type(gradient)} and output[{i}] is {show_type(output)}.{at(here())}"
        )
    if gradient._a.dtype != a.dtype:
        from ..ops.elementwise import cast

        gradient = cast(gradient, dtype=a.dtype)
    return gradient


def _size(t: Any) -> str:
    return f"torch.Size({list(t._a.shape)})"


def _root(output: Any, i: int = 0) -> Node:
    if isinstance(output, GradientEdge):
        return output.root()
    if not output.requires_grad:
        raise RuntimeError(
            f"element {i} of tensors does not require grad and does not have a grad_fn: {show_type(output)} has no history. "
            f"Was it made from tensors that require grad, outside torch.no_grad(), without detach() or .data?{at(here())}"
        )
    node: Node = output._node
    return node


def _accumulate(node: Node, g: Any, owned: bool) -> None:
    """Add a gradient to the .grad of a leaf (raw arrays)."""
    owner = node.hooks.owner()
    if owner is None or owner._node is None:  # gone, or asked for no gradient since
        return
    with _ADDING:  # two threads may walk back to one leaf
        old = owner._grad
        if g.__class__ is not np.ndarray or (old is not None and old._composite):
            owner._grad = _with_sparse(old, g)
        elif old is None:
            owner._grad = wrap(g if owned else g.copy())
        elif old._node is not None:
            owner._grad = add(old, wrap(g))
        else:
            add_into(old._a, g)
            old._s.version += 1
    if node.hooks.accumulated:
        _tell(node, owner)


def _tell(node: Node, owner: Any) -> None:
    """Call the hooks that run with a leaf once its gradient is up to date."""
    for hook in list(node.hooks.accumulated.values()):
        if hook(owner) is not None:
            raise RuntimeError(
                f"Tensor post accumulate grad hooks should return None. ({getattr(hook, '__name__', hook)})"
            )


def _with_sparse(old: Any, g: Any) -> Any:
    """Add up gradients of which one at least is sparse."""
    new = as_tensor(g.copy())
    return new if old is None else new + old if old._composite and not new._composite else old + new


def _accumulate_tensors(node: Node, g: Any, owned: bool) -> None:
    """Add a gradient to the .grad of a leaf, recorded."""
    if node.hooks is None:  # stands for a tensor that came into a trace with a history
        MODE.trace.beyond(node, g, _accumulate_tensors)
        return
    owner = node.hooks.owner()
    if owner is None or owner._node is None:  # gone, or asked for no gradient since
        return
    with _ADDING:
        old = owner._grad
        in_place = old is not None and not MODE.grad and getattr(MODE.trace, "compiling", False) and not old._composite
        if in_place and not old.requires_grad:  # as raw arrays are: who holds the gradient sees the sum
            assign(old, add(old, g), "add_")
        else:
            owner._grad = g if old is None else add(old, g)
    if node.hooks.accumulated:
        _tell(node, owner)


def backward(
    output: Any, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None
) -> None:
    """Walk back from one output and accumulate into leaves."""
    backward_many([output], [gradient], retain_graph, create_graph, inputs)


def backward_many(
    outputs: Sequence[Any], gradients: Sequence[Any], retain_graph: bool | None, create_graph: bool, inputs: Any
) -> None:
    """Walk back from several outputs together."""
    roots = [_root(o, i) for i, o in enumerate(outputs)]
    seeds = [_seed(o, g, i) for i, (o, g) in enumerate(zip(outputs, gradients, strict=True))]
    retain = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        _walk(roots, seeds, retain, create_graph, None, accumulate=True)
        return
    chosen = _listed(inputs)
    wanted = _wanted(chosen, "`inputs` argument to `backward()` cannot be empty.")
    found = _walk(roots, seeds, retain, create_graph, wanted, accumulate=True)
    for t, node, g in zip(chosen, wanted, found, strict=True):
        if node.op is not None and g is not None and not isinstance(t, GradientEdge):
            t._grad = g if t._grad is None else add(t._grad, g)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """Give the gradients of the sum of ``outputs`` with respect to ``inputs``, touching no ``.grad``.

    Parameters
    ----------
    outputs, inputs
        A Tensor or a sequence of them.
    grad_outputs
        The upstream gradients, one per output; None for single elements.
    retain_graph, create_graph
        As for ``Tensor.backward``.
    only_inputs
        Kept for old programs: gradients never go elsewhere.
    allow_unused
        Give None for an input that the outputs do not depend on, instead of raising RuntimeError.
    materialize_grads
        Give zeros instead of None.

    Returns
    -------
    tuple of Tensor

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> torch.autograd.grad(x**2, x)
    (tensor(6.),)
    """
    if not only_inputs:
        warn("only_inputs argument is deprecated and is ignored now (defaults to True)", FutureWarning)
    outs, ins = _listed(outputs), _listed(inputs)
    given = [None] * len(outs) if grad_outputs is None else _listed(grad_outputs)
    if len(given) != len(outs):
        raise RuntimeError(f"got {len(outs)} tensors and {len(given)} gradients")
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    if is_grads_batched:
        found = _batched(outs, ins, given, create_graph)
    else:
        wanted = _wanted(ins, "`inputs` argument to `grad()` cannot be empty.")
        roots = [_root(o, i) for i, o in enumerate(outs)]
        seeds = [_seed(o, g, i) for i, (o, g) in enumerate(zip(outs, given, strict=True))]
        retain = create_graph if retain_graph is None else retain_graph
        found = _walk(roots, seeds, retain, create_graph, wanted, numbers=_numbers(ins))
    for i, g in enumerate(found):
        if g is not None:
            if not isinstance(ins[i], GradientEdge) and ins[i]._composite:
                found[i] = ins[i]._with(g)
        else:
            if materialize_grads:
                x = ins[i].stand_in() if isinstance(ins[i], GradientEdge) else ins[i]
                found[i] = wrap(np.zeros(x._a.shape, x._a.dtype))
                if create_graph:
                    found[i].requires_grad_()
            elif not allow_unused:
                raise RuntimeError(
                    "One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True "
                    f"if this is the desired behavior. (input {i}, {_shown(ins[i])}){at(here())}"
                )
    return tuple(found)


def _listed(x: Any) -> list[Any]:
    return [x] if isinstance(x, (BaseTensor, GradientEdge)) else list(x)


def _wanted(chosen: list[Any], empty: str) -> list[Any]:
    """Give the nodes of the tensors whose gradients are asked for."""
    if not chosen:
        raise RuntimeError(empty)
    for i, t in enumerate(chosen):
        if isinstance(t, GradientEdge):
            continue
        if not isinstance(t, BaseTensor):
            raise RuntimeError(f"all inputs have to be Tensors or GradientEdges, but got {type(t).__name__}")
        if not t.requires_grad:
            raise RuntimeError(
                f"One of the differentiated Tensors does not require grad (input {i}, {show_type(t)}): call requires_grad_() "
                f"on it before it is used{at(here())}"
            )
    return [t.node if isinstance(t, GradientEdge) else t._node for t in chosen]


def _numbers(chosen: list[Any]) -> list[int] | None:
    """Give which result each edge's gradient is of, where there are edges."""
    if not any(isinstance(t, GradientEdge) for t in chosen):
        return None
    return [t.output_nr if isinstance(t, GradientEdge) else 0 for t in chosen]


def _shown(x: Any) -> str:
    return str(x) if isinstance(x, GradientEdge) else show_type(x)


def _walk(
    roots: list[Any],
    seeds: list[Any],
    retain: bool,
    create_graph: bool,
    wanted: list[Any] | None,
    accumulate: bool = False,
    numbers: list[int] | None = None,
) -> list[Any]:
    """Walk back, on Tensors if the walk itself is to be recorded; give the gradients of the wanted nodes as Tensors."""
    before = MODE.grad
    MODE.grad = create_graph
    try:
        if MODE.trace is not None:
            MODE.trace.walking()
        if create_graph or MODE.trace is not None or MODE.dual is not None:
            leaf = _accumulate_tensors if accumulate else None
            found = pullback(roots, seeds, retain=retain, as_tensors=True, wanted=wanted, leaf=leaf)
            return (
                [g[n] if g.__class__ is list else g for g, n in zip(found, numbers, strict=True)] if numbers else found
            )
        arrays = [s._a for s in seeds]
        leaf = _accumulate if accumulate else None
        found = pullback(roots, arrays, retain=retain, as_tensors=False, wanted=wanted, leaf=leaf)
        if numbers:
            found = [g[n] if g.__class__ is list else g for g, n in zip(found, numbers, strict=True)]
        return [None if g is None else as_tensor(g) for g in found]
    finally:
        MODE.grad = before


def _batched(outs: list[Any], ins: list[Any], given: list[Any], create_graph: bool) -> list[Any]:
    """Walk for all rows of the upstream gradients at once."""
    from .vmap import vmap

    lengths = {len(g) for g in given if g is not None}
    if len(lengths) != 1:
        raise RuntimeError(
            f"grad: is_grads_batched=True needs grad_outputs with one first dimension, got {sorted(lengths)}"
        )
    present: list[int] = []

    def walk(*rows: Any) -> list[Any]:
        rest = iter(rows)
        row = [None if g is None else next(rest) for g in given]
        found = grad(outs, ins, row, retain_graph=True, create_graph=create_graph, allow_unused=True)
        present[:] = [i for i, r in enumerate(found) if r is not None]
        return [found[i] for i in present]

    found = vmap(walk)(*[g for g in given if g is not None])
    results: list[Any] = [None] * len(ins)
    for i, r in zip(present, found, strict=True):
        results[i] = r
    return results


__all__ = ["TensorType", "backward", "backward_many", "grad", "leaf_node", "no_grad"]
