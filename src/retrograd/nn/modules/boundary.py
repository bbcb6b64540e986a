"""The boundary around a module where backward hooks see the gradients of its outputs and inputs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...core import PICK, Node, Op, typeof, wrap
from ...core.mode import mode
from ...core.place import here
from ...tensor import Tensor

_NO_INPUT = (
    "Full backward hook is firing when gradients are computed with respect to module outputs since no inputs require "
    "gradients. See https://docs.pytorch.org/docs/main/generated/torch.nn.Module.html"
    "#torch.nn.Module.register_full_backward_hook for more details."
)


def _cross(node: Any, gradients: Any, needs: Any, as_tensors: bool) -> list[Any]:
    """Show the gradients that cross the boundary to the hooks; pass on what these return."""
    shown = tuple(g if g is None or as_tensors else wrap(g) for g in gradients)
    returned = node.attrs["watch"](shown)
    return [r if r is None or as_tensors else r._a for r in returned]


BOUNDARY = Op("module_boundary", lambda *xs: xs, type=lambda *types: types[0], names=(), outputs=0)
BOUNDARY.reverse = _cross
BOUNDARY.forward = lambda node, tangents, xs, out: tangents


def _through(tensors: Sequence[Any], watch: Callable[[Any], Any]) -> list[Any]:
    """Give views of the tensors whose gradients all pass one node, which calls ``watch``.

    They are views, so that writing to them in place writes to what the module was given, as it would without hooks.
    """
    inputs = tuple(t._node for t in tensors)
    node = Node(BOUNDARY, inputs, {"watch": watch}, (), np.dtype(np.float32), True, here(), (), None, None)
    views = []
    for i, tensor in enumerate(tensors):
        view, a = tensor.view_as(tensor), tensor._a
        picked = {"index": i, "count": len(inputs)}
        view._node = Node(PICK, (node,), picked, a.shape, a.dtype, True, node.place, (), None, None)
        views.append(view)
    return views


class Boundary:
    """The hooks of one call of a module, and the gradients that have crossed so far."""

    def __init__(self, module: Any, hooks: list[Any], pre_hooks: list[Any]) -> None:
        self.module, self.hooks, self.pre_hooks = module, hooks, pre_hooks
        self.grad_output: Any = None
        self.inputs: list[int] = []  # positions that want gradients
        self.blanks: list[Any] = []  # for each argument, the type of its gradient; None for what is no tensor
        self.outputs: list[int] = []
        self.output_count = 0

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Put the boundary's near side around the arguments."""
        self.blanks = [typeof(arg) if isinstance(arg, Tensor) else None for arg in args]
        self.inputs, passed = self._wrap(args, self._leaving)
        return tuple(passed)

    def leave(self, result: Any) -> Any:
        """Put the boundary's far side around the results."""
        results = result if isinstance(result, tuple) else (result,)
        self.output_count = len(results)
        self.outputs, passed = self._wrap(results, self._arriving)
        if not isinstance(result, tuple):
            return passed[0]
        return tuple(passed) if type(result) is tuple else type(result)(*passed)

    def _wrap(self, things: Sequence[Any], watch: Callable[[Any], Any]) -> tuple[list[int], list[Any]]:
        passed = list(things)
        if not mode().grad or mode().trace is not None:
            return [], passed
        places = [i for i, thing in enumerate(things) if isinstance(thing, Tensor) and thing.requires_grad]
        if places:
            for i, view in zip(places, _through([things[i] for i in places], watch), strict=True):
                passed[i] = view
        return places, passed

    def _arriving(self, gradients: tuple[Any, ...]) -> Any:
        """Receive the gradients of the outputs, which the pre-hooks may replace."""
        full: Any = _spread(gradients, self.outputs, self.output_count)
        for hook in self.pre_hooks:
            replaced = hook(self.module, full)
            if replaced is None:
                continue
            replaced = _as_tuple(replaced)
            if len(replaced) != self.output_count:
                raise RuntimeError(
                    "Backward pre hook returned an invalid number of grad_output, "
                    f"got {len(replaced)}, but expected {self.output_count}"
                )
            full = replaced
        if self.inputs:
            self.grad_output = full
        elif self.hooks:
            self._without_inputs(full)
        return [full[i] for i in self.outputs]

    def _without_inputs(self, grad_output: Any) -> None:
        warnings.warn(_NO_INPUT, stacklevel=2)
        for hook in self.hooks:
            returned = hook(self.module, (None,) * len(self.blanks), grad_output)
            if returned is not None and not (isinstance(returned, tuple) and all(r is None for r in returned)):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient "
                    "should always return None or None for all gradients."
                )

    def _leaving(self, gradients: tuple[Any, ...]) -> Any:
        """Receive the gradients of the inputs, show them to the hooks with those of the outputs."""
        if self.grad_output is None:  # they did not come through the module's outputs
            return gradients
        full: Any = tuple(
            wrap(np.zeros(blank.shape, blank.dtype)) if g is None and blank is not None else g
            for g, blank in zip(_spread(gradients, self.inputs, len(self.blanks)), self.blanks, strict=True)
        )
        for hook in self.hooks:
            replaced = hook(self.module, full, self.grad_output)
            if replaced is None:
                continue
            replaced = _as_tuple(replaced)
            if len(replaced) != len(self.blanks):
                raise RuntimeError(
                    "Backward hook returned an invalid number of grad_input, "
                    f"got {len(replaced)}, but expected {len(self.blanks)}"
                )
            full = replaced
        self.grad_output = None
        return [full[i] for i in self.inputs]


def _as_tuple(replaced: Any) -> Any:
    return (replaced,) if isinstance(replaced, Tensor) else replaced


def _spread(values: Sequence[Any], places: list[int], count: int) -> tuple[Any, ...]:
    """Put values at their places among ``count``, with None elsewhere."""
    spread: list[Any] = [None] * count
    for place, value in zip(places, values, strict=True):
        spread[place] = value
    return tuple(spread)
