"""Hooks around an optimizer's step, state_dict and load_state_dict, for one optimizer or for all."""

from __future__ import annotations

import functools
from collections import OrderedDict
from typing import Any

from ..core.node import Handle

Table = OrderedDict[int, Any]
_global_optimizer_pre_hooks: Table = OrderedDict()
_global_optimizer_post_hooks: Table = OrderedDict()
TABLES = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)


def add(table: Table, hook: Any, prepend: bool = False) -> Handle:
    """Enter a hook into a table, first when ``prepend``, and give the handle that removes it."""
    handle = Handle(table)
    table[handle.id] = hook
    if prepend:
        table.move_to_end(handle.id, last=False)
    return handle


def register_optimizer_step_pre_hook(hook: Any) -> Handle:
    """Call ``hook(optimizer, args, kwargs)`` before every optimizer's step; it may return other ``(args, kwargs)``.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.optim.optimizer import register_optimizer_step_pre_hook
    >>> w = torch.ones(1, requires_grad=True)
    >>> with register_optimizer_step_pre_hook(
    ...     lambda optimizer, args, kwargs: print("before", type(optimizer).__name__)
    ... ):
    ...     torch.optim.SGD([w], lr=0.1).step()
    before SGD
    """
    return add(_global_optimizer_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Any) -> Handle:
    """Call ``hook(optimizer, args, kwargs)`` after every optimizer's step.

    Examples
    --------
    >>> from retrograd.optim.optimizer import register_optimizer_step_post_hook
    >>> register_optimizer_step_post_hook(lambda optimizer, args, kwargs: None).remove()
    """
    return add(_global_optimizer_post_hooks, hook)


def hooked(func: Any) -> Any:
    """Make a step that calls the hooks before and after it."""
    if getattr(func, "hooked", False):
        return func

    @functools.wraps(func)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        own = self.__dict__  # a subclass that wraps another optimizer may have none of these
        before, after = own.get("_optimizer_step_pre_hooks") or {}, own.get("_optimizer_step_post_hooks") or {}
        if not (before or after or _global_optimizer_pre_hooks or _global_optimizer_post_hooks):
            return func(self, *args, **kwargs)
        for hook in (*_global_optimizer_pre_hooks.values(), *before.values()):
            found = hook(self, (self, *args), kwargs)
            if found is not None:
                if not (isinstance(found, tuple) and len(found) == 2):
                    raise RuntimeError(
                        f"{func} must return None or a tuple of (new_args, new_kwargs), but got {found}."
                    )
                (self, *args), kwargs = found
        result = func(self, *args, **kwargs)
        for hook in (*after.values(), *_global_optimizer_post_hooks.values()):
            hook(self, (self, *args), kwargs)
        return result

    wrapper.hooked = True  # type: ignore[attr-defined]
    return wrapper
