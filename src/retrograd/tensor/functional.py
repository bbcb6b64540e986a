"""torch.autograd.functional: the older calls for Jacobians, Hessians and products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core import BaseTensor, wrap
from . import transforms as t


def _tuple(x: Any) -> tuple[Any, ...]:
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def _keep(x: Any, create_graph: bool) -> Any:
    return x if create_graph else t.tree_map(lambda v: v.detach() if isinstance(v, BaseTensor) else v, x)


def jacobian(func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False, strategy: str = "reverse-mode") -> Any:
    """Give the Jacobian of ``func`` at ``inputs``; for tuples of inputs or outputs, nested tuples of blocks.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.autograd.functional.jacobian(torch.exp, torch.zeros(1))
    tensor([[1.]])
    """
    many = isinstance(inputs, (tuple, list))
    xs = _tuple(inputs)
    make = t.jacrev if strategy == "reverse-mode" else t.jacfwd
    found = make(func, tuple(range(len(xs))) if many else 0)(*xs)
    return _keep(found, create_graph)


def hessian(func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False, outer_jacobian_strategy: str = "reverse-mode") -> Any:
    """Give the Hessian of a scalar function.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.autograd.functional.hessian(lambda x: (x**3).sum(), torch.ones(1))
    tensor([[6.]])
    """
    many = isinstance(inputs, (tuple, list))
    xs = _tuple(inputs)
    numbers: Any = tuple(range(len(xs))) if many else 0
    return _keep(t.jacrev(t.jacrev(func, numbers), numbers)(*xs), create_graph)


def vjp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """Give ``func(inputs)`` and the vector-Jacobian product with ``v``."""
    xs = _tuple(inputs)
    out, pull = t.vjp(func, *xs)
    found = pull(*(_tuple(v) if v is not None else (wrap(out._a * 0 + 1),)))
    return _keep(out, create_graph), _keep(found if isinstance(inputs, (tuple, list)) else found[0], create_graph)


def jvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """Give ``func(inputs)`` and the Jacobian-vector product with ``v``."""
    xs = _tuple(inputs)
    vs = _tuple(v) if v is not None else tuple(wrap(x._a * 0 + 1) for x in xs)
    out, pushed = t.jvp(func, xs, vs)
    return _keep(out, create_graph), _keep(pushed, create_graph)


def hvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """Give ``func(inputs)`` and the product of its Hessian with ``v``."""
    xs = _tuple(inputs)
    vs = _tuple(v) if v is not None else tuple(wrap(x._a * 0 + 1) for x in xs)
    value, found = t.hvp(func, xs, vs)
    return _keep(value, create_graph), _keep(found, create_graph)


def vhp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """Give ``func(inputs)`` and the product of ``v`` with its Hessian, which is symmetric."""
    return hvp(func, inputs, v, create_graph, strict)
