"""A module's call when somebody is watching: forward hooks, and backward hooks at the module's boundary."""

from __future__ import annotations

import warnings
from typing import Any

from ...tensor import Tensor
from . import handles
from .boundary import Boundary


def call_with_hooks(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run pre-hooks, forward and hooks, global ones first; tie backward hooks to the inputs and outputs."""
    run: set[int] = set()
    state: dict[str, Any] = {"args": args, "kwargs": kwargs, "result": None}
    try:
        return _call(module, state, run)
    except Exception:
        _always_called(module, state, run)
        raise


def _call(module: Any, state: dict[str, Any], run: set[int]) -> Any:
    boundary = None
    args, kwargs = _before(module, state["args"], state["kwargs"])
    if (
        module._backward_hooks
        or module._backward_pre_hooks
        or handles._global_backward_hooks
        or handles._global_backward_pre_hooks
    ):
        boundary = Boundary(
            module,
            [*handles._global_backward_hooks.values(), *module._backward_hooks.values()],
            [*handles._global_backward_pre_hooks.values(), *module._backward_pre_hooks.values()],
        )
        args = boundary.enter(args)
    state["args"], state["kwargs"] = args, kwargs
    forward = module.forward if not handles._global_serving else handles.forward_of(module)
    result = state["result"] = forward(*args, **kwargs)
    for number, hook in (*handles._global_forward_hooks.items(), *module._forward_hooks.items()):
        run.add(number)
        replaced = _after(module, number, hook, args, kwargs, result)
        if replaced is not None:
            result = state["result"] = replaced
    if boundary is None:
        return result
    if not isinstance(result, (Tensor, tuple)):
        warnings.warn(
            "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors "
            f"but received {type(result)}",
            stacklevel=4,
        )
    return boundary.leave(result)


def _before(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """Run the pre-hooks; give the arguments they leave."""
    for number, hook in (*handles._global_forward_pre_hooks.items(), *module._forward_pre_hooks.items()):
        if number in module._forward_pre_hooks_with_kwargs:
            both = hook(module, args, kwargs)
            if both is None:
                continue
            if not (isinstance(both, tuple) and len(both) == 2):
                raise RuntimeError(
                    f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {both}."
                )
            args, kwargs = both
        else:
            replaced = hook(module, args)
            if replaced is not None:
                args = replaced if isinstance(replaced, tuple) else (replaced,)
    return args, kwargs


def _after(module: Any, number: int, hook: Any, args: Any, kwargs: Any, result: Any) -> Any:
    if number in module._forward_hooks_with_kwargs or number in handles._global_forward_hooks_with_kwargs:
        return hook(module, args, kwargs, result)
    return hook(module, args, result)


def _always_called(module: Any, state: dict[str, Any], run: set[int]) -> None:
    """After an error, run the hooks that want to be called all the same; their own errors become warnings."""
    for marks, hooks, whose in (
        (handles._global_forward_hooks_always_called, handles._global_forward_hooks, "global module"),
        (module._forward_hooks_always_called, module._forward_hooks, "module"),
    ):
        for number, hook in list(hooks.items()):
            if number not in marks or number in run:
                continue
            try:
                replaced = _after(module, number, hook, state["args"], state["kwargs"], state["result"])
                if replaced is not None:
                    state["result"] = replaced
            except Exception as error:
                warnings.warn(
                    f"{whose} forward hook with ``always_call=True`` raised an exception "
                    f"that was silenced as another error was raised in forward: {error}",
                    stacklevel=4,
                )
