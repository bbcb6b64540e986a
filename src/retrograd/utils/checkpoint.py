"""torch.utils.checkpoint: parts of a model whose values are computed again on the way back instead of kept."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from ..core import MODE, BaseTensor, enable_grad
from ..memory.checkpoint import SETTINGS, CheckpointError, GraphExecGroup, noop_context_fn, run
from ..memory.segments import sequential
from ..memory.selective import (
    SAC_IGNORED_OPS,
    CheckpointPolicy,
    SelectiveCheckpointContext,
    create_selective_checkpoint_contexts,
)
from ..nn.modules.container import Sequential
from ..random.generator import default_generator
from ..random.snapshot import Snapshot
from ..tensor.backward import backward_many
from ..tensor.function import Function


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Give the inputs without their history, each wanting a gradient where it did."""
    if not isinstance(inputs, tuple):
        raise RuntimeError(f"Only tuple of tensors is supported. Got Unsupported input type: {type(inputs).__name__}")
    return tuple(
        x.detach().requires_grad_(x.requires_grad) if isinstance(x, BaseTensor) and x.requires_grad else x
        for x in inputs
    )


class DefaultDeviceType:
    """The kind of device that is meant where no argument says so: kept for programs that set it.

    Examples
    --------
    >>> from retrograd.utils.checkpoint import DefaultDeviceType
    >>> DefaultDeviceType.get_device_type()
    'cuda'
    """

    _device_type = "cuda"

    @staticmethod
    def set_device_type(device: str = "cuda") -> None:
        """Set it."""
        DefaultDeviceType._device_type = device

    @staticmethod
    def get_device_type() -> str:
        """Give it."""
        return DefaultDeviceType._device_type


def get_device_states(*args: Any) -> tuple[list[int], list[Any]]:
    """Give the other devices that hold arguments, and the states of their random numbers: none."""
    return [], []


def set_device_states(devices: Any, states: Any, *, device_type: str | None = None) -> None:
    """Put back the states of random numbers of other devices: none."""


def check_backward_validity(inputs: Any) -> None:
    """Warn where no input of a reentrant checkpoint wants a gradient: none can come out of it."""
    if not any(isinstance(x, BaseTensor) and x.requires_grad for x in inputs):
        warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2)


class CheckpointFunction(Function):
    """Runs a function without recording, and again with recording when its gradient is asked for."""

    @staticmethod
    def forward(ctx: Any, run_function: Callable[..., Any], preserve_rng_state: bool, *args: Any) -> Any:
        """Run it, and keep the inputs only."""
        check_backward_validity(args)
        ctx.run_function = run_function
        ctx.autocast = MODE.autocast, MODE.autocast_cache
        ctx.random = Snapshot(default_generator) if preserve_rng_state else None
        ctx.places = [i for i, x in enumerate(args) if isinstance(x, BaseTensor)]
        ctx.others = [None if isinstance(x, BaseTensor) else x for x in args]
        ctx.save_for_backward(*(args[i] for i in ctx.places))
        return run_function(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Run it again, and walk back."""
        if MODE.walk is not None and MODE.walk[1] is not None:
            raise RuntimeError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or passing an `inputs` parameter to "
                ".backward(): the function's own parameters would get gradients all the same. Use use_reentrant=False, or call "
                ".backward() without `inputs`."
            )
        args = list(ctx.others)
        for place, x in zip(ctx.places, ctx.saved_tensors, strict=True):
            args[place] = x
        inputs = detach_variable(tuple(args))
        now = Snapshot(default_generator)
        try:
            if ctx.random is not None:
                ctx.random.go_back()
            before = MODE.autocast, MODE.autocast_cache, MODE.casts
            (MODE.autocast, MODE.autocast_cache), MODE.casts = ctx.autocast, None
            MODE.settle()
            try:
                with enable_grad():
                    outputs = ctx.run_function(*inputs)
            finally:
                MODE.autocast, MODE.autocast_cache, MODE.casts = before
                MODE.settle()
        finally:
            if ctx.random is not None:
                now.go_back()
        if isinstance(outputs, BaseTensor):
            outputs = (outputs,)
        pairs = [(y, g) for y, g in zip(outputs, grads, strict=True) if isinstance(y, BaseTensor) and y.requires_grad]
        if not pairs:
            raise RuntimeError(
                "none of output has requires_grad=True, this checkpoint() is not necessary: call the function itself"
            )
        backward_many([y for y, _ in pairs], [g for _, g in pairs], None, False, None)
        return (None, None, *(x.grad if isinstance(x, BaseTensor) else None for x in inputs))


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
    """Call a function without keeping what its backward walk needs: the walk calls the function again.

    The second run draws the same random numbers, under the same autocast, and ends as soon as all that is wanted is there. It is
    compared with the first by a few elements of each value.

    Parameters
    ----------
    function : callable
    *args
        Its arguments; a tensor among them that the function writes to is copied first.
    use_reentrant : bool, optional
        True: the call is one node, which walks its own graph on the way back; only gradients of arguments and of leaves come out.
        False (recommended): the graph is the ordinary one, and everything that works without a checkpoint works with it.
    context_fn : callable
        Gives two contexts, for the two runs; see ``create_selective_checkpoint_contexts``.
    determinism_check : str
        "default", or "none" to compare nothing.
    debug : bool
        An error lists all that the two runs saved.
    early_stop : bool
        Whether the second run may end early.
    **kwargs
        Keyword arguments of the function, and ``preserve_rng_state`` (True): whether the second run draws the same numbers.

    Raises
    ------
    CheckpointError
        On the way back, when the second run saved other values than the first; it names them, and parameters written since.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.utils.checkpoint import checkpoint
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> checkpoint(lambda x: (x * x).sum(), x, use_reentrant=False).backward()
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
        if (
            MODE.trace is None
        ):  # compiled code has one graph: the function's nodes are in it, and are run again as a part of it
            return CheckpointFunction.apply(function, preserve, *args)
    return run(
        function,
        args,
        kwargs,
        preserve_rng_state=preserve,
        context_fn=context_fn,
        determinism_check=determinism_check,
        debug=debug,
        early_stop=early_stop,
    )


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """Run modules one after another, in this many parts that are checkpointed; the last part is not.

    The first call has parts of equal numbers of modules, and counts the bytes that each saves; later calls with inputs of that
    shape have parts of equal bytes.

    Parameters
    ----------
    functions : Sequential or list of callables
    segments : int
    input : Tensor
    use_reentrant : bool, optional
        As for ``checkpoint``.
    **kwargs
        ``preserve_rng_state``.

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
    layers = list(functions.children()) if isinstance(functions, Sequential) else list(functions)

    def part(fn: Callable[..., Any], x: Any) -> Any:
        return checkpoint(fn, x, use_reentrant=use_reentrant, preserve_rng_state=preserve)

    return sequential(layers, segments, input, functions, part)


@contextlib.contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """Say, for checkpoints made in the block, whether second runs end as soon as all that is wanted is there.

    Examples
    --------
    >>> import retrograd as torch
    >>> with torch.utils.checkpoint.set_checkpoint_early_stop(False):
    ...     pass
    """
    before, SETTINGS.early_stop = SETTINGS.early_stop, enable
    try:
        yield
    finally:
        SETTINGS.early_stop = before


@contextlib.contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Iterator[None]:
    """Say, for checkpoints made in the block, whether errors list all that both runs saved; None leaves it to the calls.

    Examples
    --------
    >>> import retrograd as torch
    >>> with torch.utils.checkpoint.set_checkpoint_debug_enabled(True):
    ...     pass
    """
    before, SETTINGS.debug = SETTINGS.debug, enabled
    try:
        yield
    finally:
        SETTINGS.debug = before


__all__ = [
    "SAC_IGNORED_OPS",
    "CheckpointError",
    "CheckpointFunction",
    "CheckpointPolicy",
    "DefaultDeviceType",
    "GraphExecGroup",
    "SelectiveCheckpointContext",
    "check_backward_validity",
    "checkpoint",
    "checkpoint_sequential",
    "create_selective_checkpoint_contexts",
    "detach_variable",
    "get_device_states",
    "noop_context_fn",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
    "set_device_states",
]
