"""Jacobians and Hessians of plain functions: many walks at once, and products that form neither."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import apply, wrap
from ..ops.shape import reshape
from .transforms import Argnums, Recorded, choose, grad_and_value, jvp
from .tree import unflatten


def _directions(xs: Sequence[Any], number: int) -> list[Any]:
    """Give the unit vectors of one of several tensors, one for each of its elements, with zeros for the others."""
    n = xs[number]._a.size
    made = []
    for i, x in enumerate(xs):
        a = x._a
        e = np.zeros((n, *a.shape), a.dtype)
        if i == number:
            e.reshape(n, n)[range(n), range(n)] = 1
        made.append(wrap(e))
    return made


def _along(
    walk: Callable[[list[Any]], list[Any]], directions: list[Any], chunk_size: int | None, randomness: str = "error"
) -> list[Any]:
    """Walk along many directions at once; give what the walks give, stacked."""
    from .vmap import vmap

    if directions[0]._a.shape[0] == 1:
        return [apply(reshape, r, shape=(1, *r._a.shape)) for r in walk([d[0] for d in directions])]
    mapped = vmap(lambda *ds: walk(list(ds)), randomness=randomness, chunk_size=chunk_size)
    found: list[Any] = mapped(*directions)
    return found


def jacrev(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:
    """Give a function that computes the Jacobian in reverse mode: the backward walks of all elements of the result at once.

    The result has the shape (output shape..., input shape...).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.func.jacrev(lambda x: x**2)(torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        run = Recorded(func, args, kwargs, choose(args, argnums, "jacrev"), has_aux, "jacrev")
        blocks = []
        for i, o in enumerate(run.outputs):
            rows = _along(run.pull, _directions(run.outputs, i), chunk_size) if o._a.size else None
            per_input = []
            for j, x in enumerate(run.inputs):
                shape = (*o._a.shape, *x._a.shape)
                per_input.append(rows[j].reshape(shape) if rows else wrap(np.zeros(shape, x._a.dtype)))
            blocks.append(run.grouped(per_input, argnums))
        found = unflatten(blocks, run.out_spec)
        return (found, run.aux) if has_aux else found

    return wrapper


def jacfwd(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """Give a function that computes the Jacobian in forward mode: the forward walks of all elements of the input at once.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.func.jacfwd(torch.sin)(torch.tensor([0.0]))
    tensor([[1.]])
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        run = Recorded(func, args, kwargs, choose(args, argnums, "jacfwd"), has_aux, "jacfwd", forward=True)
        columns: list[list[Any]] = [[] for _ in run.outputs]
        for j, x in enumerate(run.inputs):
            pushed = _along(run.push, _directions(run.inputs, j), chunk_size, randomness) if x._a.size else None
            for i, o in enumerate(run.outputs):
                shape = (*o._a.shape, *x._a.shape)
                columns[i].append(
                    pushed[i].movedim(0, -1).reshape(shape) if pushed else wrap(np.zeros(shape, o._a.dtype))
                )
        found = unflatten([run.grouped(c, argnums) for c in columns], run.out_spec)
        return (found, run.aux) if has_aux else found

    return wrapper


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Give a function that computes the Hessian, forward over reverse.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.func.hessian(lambda x: (x**3).sum())(torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)


def hvp(func: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    """Give the value of a scalar function and the product of its Hessian with ``tangents``, without forming the Hessian.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.func.hvp(lambda x: (x**3).sum(), (torch.tensor([1.0, 2.0]),), (torch.ones(2),))
    (tensor(9.), tensor([ 6., 12.]))
    """
    numbers = tuple(range(len(primals)))
    first = grad_and_value(func, numbers)
    (_, value), (pushed, _) = jvp(first, primals, tangents)
    return value, pushed[0] if len(primals) == 1 else pushed
