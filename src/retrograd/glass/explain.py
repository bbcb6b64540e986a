"""Explain a result: its graph with every value, gradient, local derivative and product, read off the nodes and the real backward walk."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

from ..core import MODE, BaseTensor, enable_grad
from .builder import Builder
from .explanation import Explanation
from .live import Live
from .names import Names
from .numbers import FULL
from .watch import watch


def explain(
    target: Any,
    *inputs: Any,
    gradient: Any = None,
    module: Any = None,
    names: dict[str, Any] | None = None,
    watched: watch | None = None,
    full: int = FULL,
    **options: Any,
) -> Explanation:
    r"""Explain how a result came to be, and how its gradient goes back to every value that it was computed from.

    For every edge of the graph, upstream x local = downstream, dL/dx = dL/dy dy/dx; where a value was used several times its
    downstream gradients add up, and each has its share.

    Parameters
    ----------
    target : Tensor, Module or callable
        A result that has a history, before ``backward()`` has freed it. Or what computes one: it is called with ``inputs``, and
        then every value is known, sums and constants too.
    *inputs
        What a Module or function is called with.
    gradient : Tensor, optional
        dL/d(result), of the result's shape; ones by default, which explains the sum of the result's elements.
    module : Module, optional
        Names parameters and paths; found among the caller's variables where there is one only.
    names : dict, optional
        Names of tensors, before those of the caller's variables.
    watched : watch, optional
        What was seen while the result was computed.
    full : int
        Up to how many elements a tensor is shown whole; statistics and a heat map otherwise.
    **options
        Keyword arguments of the call.

    Returns
    -------
    Explanation
        Plain data (``to_dict()``), with methods to print it, step through it, fold parts of it, and see it in forward mode.

    Raises
    ------
    RuntimeError
        If the result has no history, or ``backward()`` has freed what it kept.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd import glass
    >>> w, x = torch.tensor(2.0, requires_grad=True), torch.tensor(-1.0, requires_grad=True)
    >>> seen = glass.explain(torch.sigmoid(w * x))
    >>> node = seen.node("w*x")
    >>> node.pattern, round(node.gradient.number, 6)
    ('mul: swap multiplier', 0.104994)
    >>> print(seen.edge("w", "w*x").rule)
    dL/dw = dL/dv2 * x
    """
    frame = sys._getframe(1)
    before = MODE.observers
    try:
        if not isinstance(target, BaseTensor):
            target, names, watched, module = _called(target, inputs, options, names, module)
            inputs = ()
        MODE.observers = ()
        MODE.settle()
        return _explained(target, inputs, gradient, module, names, watched, full, frame)
    finally:
        MODE.observers = before
        MODE.settle()
        del frame


def _called(target: Any, inputs: Any, options: Any, names: Any, module: Any) -> Any:
    """Run what computes the result under a watch; give the result, the names of its arguments, and what was seen."""
    if not callable(target):
        raise TypeError(f"explain takes a Tensor, a Module or a function, not {type(target).__name__}")
    if module is None and hasattr(target, "named_parameters"):
        module = target
    found = dict(names or {})
    for text, value in _arguments(getattr(target, "forward", target), inputs, options).items():
        if isinstance(value, BaseTensor) and all(value is not v for v in found.values()):
            found.setdefault(text, value)
    with enable_grad(), watch(module) as seen:
        result = target(*inputs, **options)
    if not isinstance(result, BaseTensor):
        raise TypeError(
            f"explain: {getattr(target, '__name__', type(target).__name__)} gave a {type(result).__name__}; "
            "explain a function that returns one Tensor, such as lambda: model(x).sum()"
        )
    return result, found, seen, module


def _arguments(function: Callable[..., Any], inputs: Any, options: Any) -> dict[str, Any]:
    try:
        bound = inspect.signature(function).bind(*inputs, **options).arguments
    except (TypeError, ValueError):
        return {}
    found: dict[str, Any] = {}
    for text, value in bound.items():
        if isinstance(value, tuple):
            found.update({f"{text}{i}": v for i, v in enumerate(value)})
        elif isinstance(value, dict):
            found.update(value)
        else:
            found[text] = value
    return found


def _explained(
    output: Any, inputs: Any, gradient: Any, module: Any, names: Any, watched: Any, full: int, frame: FrameType
) -> Explanation:
    if inputs:
        raise TypeError(
            "explain takes inputs only with a Module or a function to call; a Tensor has its history with it"
        )
    node = output._node
    if node is None or not node.requires_grad:
        raise RuntimeError(
            "explain: this tensor has no history. Compute it from tensors with requires_grad=True, with grad mode on, or give "
            "explain the function and its inputs"
        )
    if gradient is None:
        seed = np.ones(output._a.shape, output._a.dtype)
    else:
        seed = np.asarray(gradient._a if isinstance(gradient, BaseTensor) else gradient).astype(output._a.dtype)
        if seed.shape != output._a.shape:
            raise RuntimeError(
                f"explain: gradient has shape {list(seed.shape)}, the result has {list(output._a.shape)}; they must be equal"
            )
    live = Live(node, output, Names(names, module, frame), watched)
    return Builder(live, seed, full).build()


__all__ = ["explain"]
