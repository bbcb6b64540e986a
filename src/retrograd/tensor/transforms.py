"""Derivatives of plain functions: grad, vjp, jvp and linearize, nested to any depth."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autodiff import pushforward
from ..core import MODE, BaseTensor, Node, apply, enable_grad, leaf_node, no_grad, reachable, show_type, wrap
from ..ops.elementwise import cast
from ..ops.shape import reshape
from .backward import grad as _grad
from .tree import flatten, tree_map, unflatten

Argnums = int | tuple[int, ...]


class _Running(threading.local):
    """The leaves of the transforms whose functions are running in this thread, outermost first."""

    def __init__(self) -> None:
        self.leaves: list[set[Any]] = []


_RUNNING = _Running()


def _tracked(x: Any) -> Any:
    """Give an input its own node: a fresh leaf, or, where it has history, a node that stays connected to it."""
    if x.requires_grad:
        return apply(reshape, x, shape=x._a.shape)
    if MODE.trace is not None:  # connected in the trace, but to no history
        t = apply(reshape, x, shape=x._a.shape)
        t._node.requires_grad = True
        t._base = None
        return t
    t = wrap(x._a, x._s)
    t._node = leaf_node(t)
    t._node.attrs["bound"] = True  # the transform's own variable: nobody outside asks for its gradient
    return t


def _foreign(roots: Sequence[Any], own: Sequence[Any]) -> bool:
    """Tell whether results depend on leaves outside: then derivatives must stay differentiable.

    Leaves outside are the user's own, and those of transforms that enclose this one; leaves of transforms that have ended are not.
    """
    mine = {t._node for t in own}
    todo = [r._node for r in roots if r._node is not None and r._node.requires_grad]
    for node in reachable(todo):
        if not node.requires_grad or node in mine:
            continue
        if (node.op is None and "bound" not in node.attrs) or any(node in leaves for leaves in _RUNNING.leaves):
            return True
    return False


def choose(args: tuple[Any, ...], argnums: Argnums, name: str) -> tuple[int, ...]:
    """Give the numbers of the arguments to differentiate by, from 0 on; refuse what is none."""
    if not isinstance(argnums, (int, tuple)) or (
        isinstance(argnums, tuple) and not all(isinstance(n, int) for n in argnums)
    ):
        raise RuntimeError(f"{name}: argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    numbers = (argnums,) if isinstance(argnums, int) else argnums
    if not numbers:
        raise RuntimeError(f"{name}: argnums must be non-empty")
    for n in numbers:
        if not -len(args) <= n < len(args):
            raise RuntimeError(f"{name}: Got argnum={n}, but only {len(args)} positional inputs")
    chosen = tuple(n % len(args) for n in numbers)
    if len(set(chosen)) != len(chosen):
        raise RuntimeError(f"{name}: argnums elements must be unique, got {argnums}")
    return chosen


def _check_input(v: Any, n: int, name: str) -> None:
    if not isinstance(v, BaseTensor):
        kind = RuntimeError if name in ("jvp", "linearize", "jacfwd") else ValueError
        raise kind(f"{name}: Thing passed to transform API must be Tensor, got {type(v)} in argument {n}")
    if v._a.dtype.kind not in "fcV":
        raise RuntimeError(
            f"{name}: only Tensors of floating point dtype can require gradients, argument {n} is {show_type(v)}: cast it first, such as by .float()"
        )


class Recorded:
    """One run of a function with its chosen arguments tracked."""

    def __init__(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        numbers: tuple[int, ...],
        has_aux: bool,
        name: str,
        forward: bool = False,
    ) -> None:
        self.outer = MODE.grad
        keep = MODE.keep_inputs
        given = list(args)
        self.specs = []
        self.inputs: list[Any] = []
        with enable_grad():
            if forward:
                MODE.keep_inputs = True
                MODE.settle()
            try:
                for n in numbers:
                    leaves, spec = flatten(args[n])
                    for v in leaves:
                        _check_input(v, n, name)
                    tracked = [_tracked(v) for v in leaves]
                    self.specs.append((spec, len(tracked)))
                    self.inputs += tracked
                    given[n] = unflatten(tracked, spec)
                _RUNNING.leaves.append({t._node for t in self.inputs})
                try:
                    result = fn(*given, **kwargs)
                finally:
                    _RUNNING.leaves.pop()
            finally:
                MODE.keep_inputs = keep
                MODE.settle()
        self.aux = None
        if has_aux:
            if not isinstance(result, tuple) or len(result) != 2:
                raise RuntimeError(
                    f"{name}(f)(*args): output of function f should be a tuple: (output, aux) if has_aux is True"
                )
            result, self.aux = result
        self.outputs, self.out_spec = flatten(result)
        for o in self.outputs:
            if not isinstance(o, BaseTensor):
                raise RuntimeError(
                    f"{name}(f)(*args): expected f(*args) to return only tensors, got {type(o).__name__}"
                )
        self.differentiable = [o for o in self.outputs if o.requires_grad]
        self.linked = self.outer and _foreign(self.differentiable, self.inputs)
        if has_aux:
            self.aux = tree_map(self._auxiliary, self.aux)

    def _auxiliary(self, v: Any) -> Any:
        if not isinstance(v, BaseTensor):
            raise RuntimeError(
                f"Expected tensors, got unsupported type {type(v)}: aux is a tensor or nested containers of tensors"
            )
        return v if self.outer and _foreign([v], self.inputs) else v.detach()

    def primal(self) -> Any:
        """The function's value, with history only where it has one outside."""
        return unflatten([o if self.linked else o.detach() for o in self.outputs], self.out_spec)

    def grouped(self, values: list[Any], argnums: Argnums) -> Any:
        """Put per-leaf values into the structure of the chosen arguments."""
        groups, start = [], 0
        for spec, count in self.specs:
            groups.append(unflatten(values[start : start + count], spec))
            start += count
        return groups[0] if isinstance(argnums, int) else tuple(groups)

    def pull(self, cotangents: list[Any], linked: bool | None = None) -> list[Any]:
        """Gradients of the inputs for cotangents of the outputs."""
        pairs = [(o, c) for o, c in zip(self.outputs, cotangents, strict=True) if o.requires_grad]
        if not pairs:
            return [wrap(np.zeros(t._a.shape, t._a.dtype)) for t in self.inputs]
        link = (self.linked if linked is None else linked) or (self.outer and any(c.requires_grad for _, c in pairs))
        with enable_grad() if link else no_grad():
            usable = [t for t in self.inputs if t.requires_grad]
            found = _grad(
                [o for o, _ in pairs],
                usable,
                [c for _, c in pairs],
                retain_graph=True,
                create_graph=link,
                materialize_grads=True,
            )
        rest = iter(found)
        return [next(rest) if t.requires_grad else wrap(np.zeros(t._a.shape, t._a.dtype)) for t in self.inputs]

    def push(self, tangents: list[Any]) -> list[Any]:
        """Tangents of the outputs for tangents of the inputs."""
        link = self.linked or (self.outer and any(t.requires_grad for t in tangents))
        with enable_grad() if link else no_grad():
            roots = [o._node for o in self.outputs if o.requires_grad]
            used = [(x._node, t) for x, t in zip(self.inputs, tangents, strict=True) if x.requires_grad]
            nodes: list[Node] = [n for n, _ in used if n is not None]
            found = iter(pushforward(roots, nodes, [t for _, t in used]))
            made = [next(found) if o.requires_grad else None for o in self.outputs]
            return [
                wrap(np.zeros(o._a.shape, o._a.dtype)) if t is None else t
                for o, t in zip(self.outputs, made, strict=True)
            ]


def grad_and_value(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """Give a function that computes the gradient of ``func`` and its value: ``(gradient, value)`` or ``(gradient, (value, aux))``.

    Raises RuntimeError unless ``func`` gives a scalar Tensor.
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        run = Recorded(func, args, kwargs, choose(args, argnums, "grad"), has_aux, "grad")
        if len(run.outputs) != 1 or run.out_spec is not None:
            raise RuntimeError(
                "grad_and_value(f)(*args): Expected f(*args) to return a tensor, got a container of them"
            )
        out = run.outputs[0]
        if out._a.ndim:
            raise RuntimeError(
                f"grad_and_value(f)(*args): Expected f(*args) to return a scalar tensor, got tensor with {out._a.ndim} dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
            )
        found = run.grouped(run.pull([wrap(np.ones((), out._a.dtype))]), argnums)
        value = run.primal()
        return (found, (value, run.aux)) if has_aux else (found, value)

    return wrapper


def grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """Give a function that computes the gradient of a scalar function.

    Parameters
    ----------
    func : callable
        Gives a scalar Tensor (or ``(scalar, aux)`` with ``has_aux``).
    argnums : int or tuple of int
        The arguments to differentiate; each may be a Tensor or nested containers of Tensors.
    has_aux : bool
        Also give ``aux``.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.func.grad(torch.func.grad(lambda x: x**3))(torch.tensor(2.0))
    tensor(12.)
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return wrapper


def value_and_grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """Give a function that computes the value and the gradient of ``func``, in this order.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.func.value_and_grad(lambda x: x**2)(torch.tensor(3.0))
    (tensor(9.), tensor(6.))
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        found, value = both(*args, **kwargs)
        return value, found

    return wrapper


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """Give the value of ``func(*primals)`` and the function from cotangents to gradients of the primals.

    Examples
    --------
    >>> import retrograd as torch
    >>> value, pull = torch.func.vjp(torch.sin, torch.tensor(0.0))
    >>> pull(torch.tensor(2.0))
    (tensor(2.),)
    """
    if not primals:
        raise RuntimeError("vjp(f, *primals): Expected at least one primal")
    run = Recorded(func, primals, {}, tuple(range(len(primals))), has_aux, "vjp")

    def pull(*cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        given, spec = flatten(cotangents[0] if len(cotangents) == 1 else cotangents)
        if len(given) != len(run.outputs):
            raise RuntimeError(
                f"Expected pytree structure of cotangents to be the same as pytree structure of outputs to the function. cotangents: {len(given)} leaves, primal output: {len(run.outputs)} leaves"
            )
        return run.grouped(run.pull(list(given), create_graph), tuple(range(len(primals))))

    return (run.primal(), pull, run.aux) if has_aux else (run.primal(), pull)


def _check_tangents(primals: Any, tangents: Any, name: str) -> list[Any]:
    p, ps = flatten(primals)
    t, ts = flatten(tangents)
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise RuntimeError(
            f"{name}: Expected primals and tangents to be tuples of Tensors. E.g. it should be valid to call f(*primals)."
        )
    if len(p) != len(t):
        raise RuntimeError(
            f"{name}(f, primals, tangents): Expected primals and tangents to have the same python structure, got {len(p)} and {len(t)} leaves"
        )
    made = []
    for i, (x, v) in enumerate(zip(p, t, strict=True)):
        for what, one in (("primals", x), ("tangents", v)):
            if not isinstance(one, BaseTensor):
                raise RuntimeError(
                    f"{name}(f, primals, tangents): Expected {what} to only contain Tensors, got {type(one)}"
                )
        if x._a.shape != v._a.shape:
            raise RuntimeError(
                f"{name}: Expected tangent {i} to have the shape of its primal: {show_type(v)} and {show_type(x)}"
            )
        made.append(v if v._a.dtype == x._a.dtype else cast(v, dtype=x._a.dtype))
    return made


def jvp(
    func: Callable[..., Any],
    primals: tuple[Any, ...],
    tangents: tuple[Any, ...],
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> Any:
    """Give the value of ``func(*primals)`` and its directional derivative along ``tangents``, in forward mode.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.func.jvp(torch.sin, (torch.tensor(0.0),), (torch.tensor(1.0),))
    (tensor(0.), tensor(1.))
    """
    given = _check_tangents(primals, tangents, "jvp")
    run = Recorded(func, primals, {}, tuple(range(len(primals))), has_aux, "jvp", forward=True)
    pushed = unflatten(run.push(given), run.out_spec)
    return (run.primal(), pushed, run.aux) if has_aux else (run.primal(), pushed)


def linearize(func: Callable[..., Any], *primals: Any) -> Any:
    """Give the value of ``func(*primals)`` and the function from tangents to directional derivatives there.

    Examples
    --------
    >>> import retrograd as torch
    >>> value, push = torch.func.linearize(torch.exp, torch.tensor(0.0))
    >>> push(torch.tensor(3.0))
    tensor(3.)
    """
    run = Recorded(func, primals, {}, tuple(range(len(primals))), False, "linearize", forward=True)

    def push(*tangents: Any) -> Any:
        return unflatten(run.push(_check_tangents(primals, tangents, "linearize")), run.out_spec)

    return run.primal(), push


def functionalize(func: Callable[..., Any], *, remove: str = "mutations") -> Callable[..., Any]:
    """Give the function itself: a trace of it here has no in-place writes, which it records as operations on values.

    Raises RuntimeError unless ``remove`` is "mutations" or "mutations_and_views".

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.func.functionalize(lambda x: x.clone().add_(1))(torch.zeros(2))
    tensor([1., 1.])
    """
    if remove not in ("mutations", "mutations_and_views"):
        raise RuntimeError(
            f"functionalize(f, remove='mutations'): received invalid argument for remove={remove}. Valid options are: "
            "remove='mutations' and remove='mutations_and_views'"
        )

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return wrapper


def debug_unwrap(tensor: Any, *, recurse: bool = True) -> Any:
    """Give the tensor itself: under ``vmap`` and ``grad`` a tensor here is an ordinary one, of the first item's values.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.func.debug_unwrap(torch.ones(2))
    tensor([1., 1.])
    """
    if not isinstance(tensor, BaseTensor):
        raise TypeError(f"debug_unwrap(): argument 'tensor' must be Tensor, not {type(tensor).__name__}")
    return tensor
