"""functorch: the transforms of functions under the name of the library that they came from, and modules as functions.

>>> from retrograd import functorch, nn, ones
>>> fn, params, buffers = functorch.make_functional_with_buffers(nn.Linear(2, 1))
>>> len(params), fn(params, buffers, ones(3, 2)).shape
(2, torch.Size([3, 1]))
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from .func import functionalize, grad, grad_and_value, hessian, jacfwd, jacrev, jvp, vjp, vmap
from .nn import Module
from .nn.utils.functional_call import functional_call
from .tensor.functions.joining import stack

__all__ = [
    "FunctionalModule",
    "FunctionalModuleWithBuffers",
    "combine_state_for_ensemble",
    "functionalize",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "make_functional",
    "make_functional_with_buffers",
    "vjp",
    "vmap",
]

Tensors = tuple[Any, ...]


class FunctionalModuleWithBuffers:
    """A module's forward as a function of its parameters, its buffers and the input."""

    def __init__(self, model: Module, names: Sequence[str], buffer_names: Sequence[str]) -> None:
        self.stateless_model, self._names, self._buffer_names = model, tuple(names), tuple(buffer_names)

    def forward(self, params: Sequence[Any], buffers: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
        """Call the module with these in the places of its own."""
        held = dict(zip((*self._names, *self._buffer_names), (*params, *buffers), strict=True))
        return functional_call(self.stateless_model, held, args, kwargs)

    __call__ = forward


class FunctionalModule(FunctionalModuleWithBuffers):
    """A module's forward as a function of its parameters and the input."""

    def forward(self, params: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
        """Call the module with these in the places of its own."""
        return super().forward(params, (), *args, **kwargs)

    __call__ = forward


def _taken(model: Module, disable_autograd_tracking: bool) -> tuple[Module, list[str], Tensors, list[str], Tensors]:
    """Give a copy of a module, and the names and values of its parameters and buffers."""
    held = copy.deepcopy(model)
    params, buffers = dict(held.named_parameters()), dict(held.named_buffers())
    if disable_autograd_tracking:
        for p in params.values():
            p.requires_grad_(False)
    return held, list(params), tuple(params.values()), list(buffers), tuple(buffers.values())


def make_functional(model: Module, disable_autograd_tracking: bool = False) -> tuple[FunctionalModule, Tensors]:
    """Give a module as a function of its parameters, and these; RuntimeError for one with buffers."""
    held, names, params, buffer_names, _ = _taken(model, disable_autograd_tracking)
    if buffer_names:
        raise RuntimeError(
            "make_functional(model): `model` has buffers. Please use make_functional_with_buffers(model) instead."
        )
    return FunctionalModule(held, names, ()), params


def make_functional_with_buffers(
    model: Module, disable_autograd_tracking: bool = False
) -> tuple[FunctionalModuleWithBuffers, Tensors, Tensors]:
    """Give a module as a function of its parameters and buffers, and these."""
    held, names, params, buffer_names, buffers = _taken(model, disable_autograd_tracking)
    return FunctionalModuleWithBuffers(held, names, buffer_names), params, buffers


def combine_state_for_ensemble(
    models: Sequence[Module],
) -> tuple[FunctionalModuleWithBuffers, Tensors, Tensors]:
    """Give several modules of one kind as one function, with the parameters and buffers of all stacked, for `vmap`."""
    if not models:
        raise RuntimeError("combine_state_for_ensemble: Expected at least one model, got 0.")
    if len({model.training for model in models}) > 1:
        raise RuntimeError("combine_state_for_ensemble: Expected all models to have the same training/eval mode.")
    if any(type(model) is not type(models[0]) for model in models):
        raise RuntimeError("combine_state_for_ensemble: Expected all models to be of the same class.")
    made = [make_functional_with_buffers(model) for model in models]
    params = tuple(stack(list(ps)).detach() for ps in zip(*(m[1] for m in made), strict=True))
    buffers = tuple(stack(list(bs)).detach() for bs in zip(*(m[2] for m in made), strict=True))
    return made[0][0], params, buffers


def __getattr__(name: str) -> Any:
    from .utils._names import missing

    raise missing("functorch", name, __all__)
