"""torch.utils.checkpoint: parts of a model whose values are computed again on the way back instead of kept."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from ..core import BaseTensor, enable_grad
from ..tensor.backward import backward_many
from ..tensor.function import Function
from ..tensor.random_functions import fork_rng, get_rng_state, set_rng_state


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Give the inputs without their history, each wanting a gradient where it did."""
    if not isinstance(inputs, tuple):
        raise RuntimeError(f"Only tuple of tensors is supported. Got Unsupported input type: {type(inputs).__name__}")
    return tuple(
        x.detach().requires_grad_(x.requires_grad) if isinstance(x, BaseTensor) and x.requires_grad else x
        for x in inputs
    )


class CheckpointFunction(Function):
    """Runs a function without recording, and again with recording when its gradient is asked for."""

    @staticmethod
    def forward(ctx: Any, run_function: Callable[..., Any], preserve_rng_state: bool, *args: Any) -> Any:
        """Run it, and keep the inputs only."""
        ctx.run_function = run_function
        ctx.random = get_rng_state() if preserve_rng_state else None
        ctx.places = [i for i, x in enumerate(args) if isinstance(x, BaseTensor)]
        ctx.others = [None if isinstance(x, BaseTensor) else x for x in args]
        ctx.save_for_backward(*(args[i] for i in ctx.places))
        return run_function(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Run it again, and walk back."""
        args = list(ctx.others)
        for place, x in zip(ctx.places, ctx.saved_tensors, strict=True):
            args[place] = x
        inputs = detach_variable(tuple(args))
        with fork_rng(enabled=ctx.random is not None):
            if ctx.random is not None:
                set_rng_state(ctx.random)
            with enable_grad():
                outputs = ctx.run_function(*inputs)
        if isinstance(outputs, BaseTensor):
            outputs = (outputs,)
        pairs = [(y, g) for y, g in zip(outputs, grads, strict=True) if isinstance(y, BaseTensor) and y.requires_grad]
        if not pairs:
            raise RuntimeError(
                "none of output has requires_grad=True, this checkpoint() is not necessary: call the function itself"
            )
        backward_many([y for y, _ in pairs], [g for _, g in pairs], None, False, None)
        return (None, None, *(x.grad if isinstance(x, BaseTensor) else None for x in inputs))


def noop_context_fn() -> tuple[Any, Any]:
    """Give two contexts that do nothing: for the first run and the second."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[Any, Any]] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """Call a function whose values need not be kept until the backward walk.

    With ``use_reentrant=True`` they are not: the function runs again on the way back, with the same random numbers.
    With False the call is an ordinary one, and what it computes is kept; results and gradients are the same.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.utils.checkpoint import checkpoint
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> checkpoint(lambda x: (x * x).sum(), x, use_reentrant=True).backward()
    >>> x.grad
    tensor([2., 4.])
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly; use_reentrant=False is "
            "recommended, and True is what is used without it",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug:
            raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        return CheckpointFunction.apply(function, preserve, *args)
    with context_fn()[0]:
        return function(*args, **kwargs)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """Run modules one after another, in this many parts that are checkpointed; the last part is not.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.utils.checkpoint import checkpoint_sequential
    >>> layers = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Tanh(), torch.nn.ReLU())
    >>> checkpoint_sequential(layers, 2, torch.zeros(1, requires_grad=True), use_reentrant=False)
    tensor([0.], grad_fn=<ReluBackward0>)
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint.checkpoint_sequential: the use_reentrant parameter should be passed explicitly",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    layers = list(functions.children()) if hasattr(functions, "children") else list(functions)

    def part(some: Iterable[Any]) -> Callable[[Any], Any]:
        def run(x: Any) -> Any:
            for layer in some:
                x = layer(x)
            return x

        return run

    size = len(layers) // segments
    end = 0
    for _ in range(segments - 1):
        input = checkpoint(
            part(layers[end : end + size]), input, use_reentrant=use_reentrant, preserve_rng_state=preserve
        )
        end += size
    return part(layers[end:])(input)


@contextlib.contextmanager
def set_checkpoint_early_stop(enable: bool) -> Any:
    """Accept torch's setting of how far a second run goes; here it goes to its end."""
    yield


@contextlib.contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Any:
    """Accept torch's setting of whether a second run is compared with the first."""
    yield


__all__ = [
    "CheckpointFunction",
    "checkpoint",
    "checkpoint_sequential",
    "detach_variable",
    "noop_context_fn",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
]
