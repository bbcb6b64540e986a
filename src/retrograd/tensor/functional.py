"""torch.autograd.functional: the older calls for Jacobians, Hessians and products."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autodiff import on_the_way
from ..core import MODE, BaseTensor, enable_grad, show_type, wrap
from . import jacobians
from . import transforms as t
from .backward import grad
from .tree import flatten, tree_map

Function = Callable[..., Any]


def _tuple(x: Any, what: str, name: str) -> tuple[Any, ...]:
    """Give a Tensor or a tuple of Tensors as a tuple; TypeError for anything else."""
    xs = tuple(x) if isinstance(x, (tuple, list)) else (x,)
    for i, v in enumerate(xs):
        if not isinstance(v, BaseTensor):
            found = f"value at index {i} has type" if isinstance(x, (tuple, list)) else "given value has type"
            raise TypeError(
                f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but the {found} {type(v)}."
            )
    return xs


def _watched(func: Function, name: str, strict: bool, scalar: bool = False) -> Function:
    """Give the function with its results checked."""

    def call(*xs: Any) -> Any:
        result = func(*xs)
        outputs = _tuple(result, "outputs of the user-provided function", name)
        if scalar and (len(outputs) != 1 or isinstance(result, (tuple, list))):
            raise RuntimeError(f"The function given to {name} should return a single Tensor")
        if scalar and outputs[0]._a.size != 1:
            raise RuntimeError(
                f"The Tensor returned by the function given to {name} should contain a single element, not {show_type(outputs[0])}"
            )
        if strict:
            _check_dependence(outputs, xs, name)
        if scalar:
            return outputs[0].reshape(())
        return tuple(result) if isinstance(result, list) else result

    return call


def _check_dependence(outputs: tuple[Any, ...], xs: tuple[Any, ...], name: str) -> None:
    for i, o in enumerate(outputs):
        if not o.requires_grad:
            raise RuntimeError(
                f"Output {i} of the user-provided function does not require gradients ({name}). The outputs must be computed in a "
                "differentiable manner from the input when running in strict mode."
            )
        for j, x in enumerate(xs):
            if x._node not in on_the_way([o._node], [x._node]):
                which = f"Output {i}" if name == "jacobian" else "The output"
                raise RuntimeError(
                    f"{which} of the user-provided function is independent of input {j}. This is not allowed in strict mode ({name})."
                )


def _check_result(found: Any, xs: tuple[Any, ...], name: str) -> Any:
    """Check, in strict mode with a graph, that a derivative depends on each input that asks for a gradient."""
    for r in flatten(found)[0]:
        for j, x in enumerate(xs):
            if x.requires_grad and (not r.requires_grad or x._node not in on_the_way([r._node], [x._node])):
                raise RuntimeError(
                    f"The jacobian of the user-provided function is independent of input {j}. This is not allowed in strict mode "
                    f"when create_graph=True ({name})."
                )
    return found


def _check_slopes(func: Function, xs: tuple[Any, ...], name: str) -> None:
    """Check, in strict mode, that the first derivatives depend on the inputs."""
    with enable_grad():
        live = [x.detach().requires_grad_() for x in xs]
        slopes = grad(func(*live), live, create_graph=True, allow_unused=True)
    for i, g in enumerate(slopes):
        for j, x in enumerate(live):
            if g is None or not g.requires_grad or x._node not in on_the_way([g._node], [x._node]):
                raise RuntimeError(
                    f"The jacobian of the user-provided function with respect to input {i} is independent of input {j}. This is not "
                    f"allowed in strict mode ({name})."
                )


def _recorded(call: Function) -> Function:
    """Let a call that is asked for the graph of its result record it under ``no_grad`` too."""

    @functools.wraps(call)
    def run(*args: Any, **kwargs: Any) -> Any:
        if MODE.grad or not signature.bind(*args, **kwargs).arguments.get("create_graph"):
            return call(*args, **kwargs)
        with enable_grad():
            return call(*args, **kwargs)

    signature = inspect.signature(call)
    return run


def _keep(x: Any, create_graph: bool) -> Any:
    return x if create_graph else tree_map(lambda v: v.detach() if isinstance(v, BaseTensor) else v, x)


def _numbers(inputs: Any, xs: tuple[Any, ...]) -> Any:
    return tuple(range(len(xs))) if isinstance(inputs, (tuple, list)) else 0


def _vectors(v: Any, like: tuple[Any, ...], single: bool, what: str, name: str) -> tuple[Any, ...]:
    """Give the vector of a product, by default 1 for a single element; RuntimeError unless it has the shapes of ``like``."""
    if v is None:
        if not single or like[0]._a.size != 1:
            raise RuntimeError(
                f"The vector v can only be None if {what} is a single Tensor with a single element ({name})."
            )
        return (wrap(np.ones(like[0]._a.shape, like[0]._a.dtype)),)
    vs = _tuple(v, "v", name)
    if single and len(vs) != 1:
        raise RuntimeError(f"The given v should contain a single Tensor. ({name})")
    if len(vs) != len(like):
        raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got {len(vs)} ({name}).")
    for i, (a, b) in enumerate(zip(vs, like, strict=True)):
        if a._a.shape != b._a.shape:
            where = "v" if single else f"Entry {i} in v"
            raise RuntimeError(
                f"{where} has invalid size: should be {list(b._a.shape)} but got {list(a._a.shape)} ({name})."
            )
    return vs


@_recorded
def jacobian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """Give the Jacobian of ``func`` at ``inputs``; for tuples of inputs or outputs, nested tuples of blocks.

    Parameters
    ----------
    func : callable
        Gives a Tensor or a tuple of Tensors.
    inputs : Tensor or tuple of Tensor
        Where the Jacobian is taken.
    create_graph : bool
        Keep the history of the result.
    strict : bool
        Raise RuntimeError where an output does not depend on an input.
    vectorize : bool
        Accepted for torch's sake: all rows are computed at once in any case.
    strategy : str
        "reverse-mode" or "forward-mode".

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.autograd.functional.jacobian(torch.exp, torch.zeros(1))
    tensor([[1.]])
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise AssertionError(f'Expected strategy to be either "forward-mode" or "reverse-mode", got {strategy!r}')
    if strategy == "forward-mode" and create_graph:
        raise NotImplementedError(
            "torch.autograd.functional.jacobian: `create_graph=True` and `strategy='forward-mode'` are not supported together: use torch.func.jacfwd"
        )
    if strict and vectorize:
        raise RuntimeError(
            "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not supported together. Please either set "
            "`strict=False` or `vectorize=False`."
        )
    xs = _tuple(inputs, "inputs", "jacobian")
    make = jacobians.jacrev if strategy == "reverse-mode" else jacobians.jacfwd
    found = make(_watched(func, "jacobian", strict), _numbers(inputs, xs))(*xs)
    if strict and create_graph:
        _check_result(found, xs, "jacobian")
    return _keep(found, create_graph)


@_recorded
def hessian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """Give the Hessian of a scalar function.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.autograd.functional.hessian(lambda x: (x**3).sum(), torch.ones(1))
    tensor([[6.]])
    """
    xs = _tuple(inputs, "inputs", "hessian")
    if strict:
        _check_slopes(_watched(func, "hessian", strict, scalar=True), xs, "hessian")
    numbers = _numbers(inputs, xs)
    outer = jacobians.jacrev if outer_jacobian_strategy == "reverse-mode" else jacobians.jacfwd
    return _keep(
        outer(jacobians.jacrev(_watched(func, "hessian", strict, scalar=True), numbers), numbers)(*xs), create_graph
    )


@_recorded
def vjp(func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """Give ``func(inputs)`` and the vector-Jacobian product with ``v``.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.autograd.functional.vjp(torch.exp, torch.zeros(1), torch.ones(1))
    (tensor([1.]), tensor([1.]))
    """
    xs = _tuple(inputs, "inputs", "vjp")
    out, pull = t.vjp(_watched(func, "vjp", strict), *xs)
    outputs = _tuple(out, "outputs of the user-provided function", "vjp")
    vs = _vectors(v, outputs, not isinstance(out, tuple), "the user-provided function returns", "vjp")
    found = pull(vs if isinstance(out, tuple) else vs[0])
    if strict and create_graph:
        _check_result(found, xs, "vjp")
    return _keep(out, create_graph), _keep(found if isinstance(inputs, (tuple, list)) else found[0], create_graph)


@_recorded
def jvp(func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """Give ``func(inputs)`` and the Jacobian-vector product with ``v``.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.autograd.functional.jvp(torch.exp, torch.zeros(2), torch.ones(2))
    (tensor([1., 1.]), tensor([1., 1.]))
    """
    xs = _tuple(inputs, "inputs", "jvp")
    vs = _vectors(v, xs, not isinstance(inputs, (tuple, list)), "the input to the user-provided function", "jvp")
    out, pushed = t.jvp(_watched(func, "jvp", strict), xs, vs)
    if strict and create_graph:
        _check_result(pushed, xs, "jvp")
    return _keep(out, create_graph), _keep(pushed, create_graph)


@_recorded
def hvp(func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """Give ``func(inputs)`` and the product of its Hessian with ``v``.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.autograd.functional.hvp(lambda x: (x**3).sum(), torch.ones(2), torch.ones(2))
    (tensor(2.), tensor([6., 6.]))
    """
    return _second(func, inputs, v, create_graph, strict, "hvp")


@_recorded
def vhp(func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """Give ``func(inputs)`` and the product of ``v`` with its Hessian, which is symmetric.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.autograd.functional.vhp(lambda x: (x**3).sum(), torch.ones(2), torch.ones(2))
    (tensor(2.), tensor([6., 6.]))
    """
    return _second(func, inputs, v, create_graph, strict, "vhp")


def _second(func: Function, inputs: Any, v: Any, create_graph: bool, strict: bool, name: str) -> Any:
    xs = _tuple(inputs, "inputs", name)
    vs = _vectors(v, xs, not isinstance(inputs, (tuple, list)), "the input to the user-provided function", name)
    if strict:
        _check_slopes(_watched(func, name, strict, scalar=True), xs, name)
    value, found = jacobians.hvp(_watched(func, name, strict, scalar=True), xs, vs)
    many = isinstance(inputs, (tuple, list))
    found = found if many or not isinstance(found, tuple) else found[0]
    if many and not isinstance(found, tuple):
        found = (found,)
    return _keep(value, create_graph), _keep(found, create_graph)


__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]
