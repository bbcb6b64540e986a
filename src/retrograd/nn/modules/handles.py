"""Handles that take a hook out of its table again, and the hooks that watch every module."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from typing import Any

Table = OrderedDict[int, Any]


class RemovableHandle:
    """What registering a hook returns: ``remove()`` (or leaving a ``with`` block) takes the hook away.

    Examples
    --------
    >>> from retrograd import nn
    >>> layer = nn.Linear(2, 2)
    >>> with layer.register_forward_hook(lambda module, args, output: None):
    ...     len(layer._forward_hooks)
    1
    >>> len(layer._forward_hooks)
    0
    """

    id: int
    next_id = 0

    def __init__(self, hooks_dict: Any, *, extra_dict: Any = None) -> None:
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        extras = () if extra_dict is None else extra_dict if isinstance(extra_dict, (list, tuple)) else (extra_dict,)
        self.extra_dict_ref: tuple[Any, ...] = tuple(weakref.ref(extra) for extra in extras)

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        for ref in (self.hooks_dict_ref, *self.extra_dict_ref):
            table = ref()
            if table is not None:
                table.pop(self.id, None)

    def __getstate__(self) -> tuple[Any, ...]:
        return self.hooks_dict_ref(), self.id, tuple(ref() for ref in self.extra_dict_ref)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        table, self.id, extras = state
        self.hooks_dict_ref = weakref.ref(OrderedDict() if table is None else table)
        self.extra_dict_ref = tuple(weakref.ref(OrderedDict() if extra is None else extra) for extra in extras)
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class _Server(threading.local):
    """Who gives what runs in place of a module's ``forward`` in this thread: the compiler, where a call is not one program."""

    present: Any = None


SERVER = _Server()
_global_serving: list[Any] = []  # as many as there are in all threads: where it is empty, nobody asks


def forward_of(module: Any) -> Any:
    """Give what is called as a module's ``forward`` while some thread is served."""
    server = SERVER.present
    return module.forward if server is None else server.forward_of(module)


_global_forward_pre_hooks: Table = OrderedDict()
_global_forward_hooks: Table = OrderedDict()
_global_forward_hooks_with_kwargs: Table = OrderedDict()
_global_forward_hooks_always_called: Table = OrderedDict()
_global_backward_pre_hooks: Table = OrderedDict()
_global_backward_hooks: Table = OrderedDict()
_global_buffer_registration_hooks: Table = OrderedDict()
_global_module_registration_hooks: Table = OrderedDict()
_global_parameter_registration_hooks: Table = OrderedDict()


def add_hook(table: Table, hook: Any, *marks: Table, prepend: bool = False) -> RemovableHandle:
    """Enter a hook into a table (first when ``prepend``) and its number into each table of marks."""
    handle = RemovableHandle(table, extra_dict=list(marks))
    table[handle.id] = hook
    if prepend:
        table.move_to_end(handle.id, last=False)
    for mark in marks:
        mark[handle.id] = True
    return handle


def register_module_forward_pre_hook(hook: Any) -> RemovableHandle:
    """Call ``hook(module, args)`` before every module's forward; it may return other arguments.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd import nn
    >>> with nn.modules.module.register_module_forward_pre_hook(
    ...     lambda module, args: print(type(module).__name__)
    ... ):
    ...     _ = nn.ReLU()(torch.ones(1))
    ReLU
    """
    return add_hook(_global_forward_pre_hooks, hook)


def register_module_forward_hook(hook: Any, *, with_kwargs: bool = False, always_call: bool = False) -> RemovableHandle:
    """Call ``hook(module, args, output)`` after every module's forward; it may return another output.

    With ``with_kwargs`` the call is ``hook(module, args, kwargs, output)``; with ``always_call`` it also comes
    when forward raised.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd import nn
    >>> with nn.modules.module.register_module_forward_hook(lambda module, args, output: output + 1):
    ...     nn.ReLU()(torch.zeros(1)).item()
    1.0
    """
    marks = [_global_forward_hooks_with_kwargs] * with_kwargs + [_global_forward_hooks_always_called] * always_call
    return add_hook(_global_forward_hooks, hook, *marks)


def register_module_full_backward_pre_hook(hook: Any) -> RemovableHandle:
    """Call ``hook(module, grad_output)`` before the backward of every module; it may return other gradients.

    Examples
    --------
    >>> from retrograd import nn
    >>> handle = nn.modules.module.register_module_full_backward_pre_hook(lambda module, grad_output: None)
    >>> handle.remove()
    """
    return add_hook(_global_backward_pre_hooks, hook)


def register_module_full_backward_hook(hook: Any) -> RemovableHandle:
    """Call ``hook(module, grad_input, grad_output)`` after the backward of every module; it may return other gradients.

    Examples
    --------
    >>> from retrograd import nn
    >>> handle = nn.modules.module.register_module_full_backward_hook(
    ...     lambda module, grad_input, grad_output: None
    ... )
    >>> handle.remove()
    """
    return add_hook(_global_backward_hooks, hook)


def register_module_backward_hook(hook: Any) -> RemovableHandle:
    """Do what `register_module_full_backward_hook` does, under the older name.

    Examples
    --------
    >>> from retrograd import nn
    >>> nn.modules.module.register_module_backward_hook(
    ...     lambda module, grad_input, grad_output: None
    ... ).remove()
    """
    return register_module_full_backward_hook(hook)


def register_module_buffer_registration_hook(hook: Any) -> RemovableHandle:
    """Call ``hook(module, name, buffer)`` whenever a buffer is registered; it may return another buffer.

    Examples
    --------
    >>> from retrograd import nn
    >>> nn.modules.module.register_module_buffer_registration_hook(
    ...     lambda module, name, buffer: None
    ... ).remove()
    """
    return add_hook(_global_buffer_registration_hooks, hook)


def register_module_module_registration_hook(hook: Any) -> RemovableHandle:
    """Call ``hook(module, name, child)`` whenever a child is registered; it may return another child.

    Examples
    --------
    >>> from retrograd import nn
    >>> nn.modules.module.register_module_module_registration_hook(
    ...     lambda module, name, child: None
    ... ).remove()
    """
    return add_hook(_global_module_registration_hooks, hook)


def register_module_parameter_registration_hook(hook: Any) -> RemovableHandle:
    """Call ``hook(module, name, parameter)`` whenever a parameter is registered; it may return another parameter.

    Examples
    --------
    >>> from retrograd import nn
    >>> nn.modules.module.register_module_parameter_registration_hook(
    ...     lambda module, name, parameter: None
    ... ).remove()
    """
    return add_hook(_global_parameter_registration_hooks, hook)
