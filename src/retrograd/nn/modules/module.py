"""Module: parameters, buffers and child modules under one name, with a ``forward`` that uses them."""

from __future__ import annotations

from collections import OrderedDict
from types import FunctionType
from typing import Any, TypeVar

from . import calls, handles
from .blame import blame, misplaced
from .convert import Convertible
from .handles import (
    RemovableHandle,
    add_hook,
    register_module_backward_hook,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from .registry import Registry
from .state import _EXTRA_STATE_KEY_SUFFIX, Stateful, _IncompatibleKeys

__all__ = [
    "Module",
    "RemovableHandle",
    "_EXTRA_STATE_KEY_SUFFIX",
    "_IncompatibleKeys",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]

Self = TypeVar("Self", bound="Module")

_TABLES = (
    "_backward_pre_hooks",
    "_backward_hooks",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)
_global_before, _global_after = handles._global_forward_pre_hooks, handles._global_forward_hooks
_global_serving = handles._global_serving
_global_back_before, _global_back = handles._global_backward_pre_hooks, handles._global_backward_hooks


def _addindent(s_: str, numSpaces: int) -> str:
    """Indent all lines of a text but the first."""
    return s_.replace("\n", "\n" + " " * numSpaces)


class Module(Registry, Stateful, Convertible):
    """The base of every layer and network: subclass it, assign parameters and children, define ``forward``.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd import nn
    >>> class Affine(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.scale = nn.Parameter(torch.ones(3))
    ...         self.inner = nn.Linear(3, 2)
    ...
    ...     def forward(self, x):
    ...         return self.inner(self.scale * x)
    >>> [name for name, _ in Affine().named_parameters()]
    ['scale', 'inner.weight', 'inner.bias']
    """

    training: bool
    _is_full_backward_hook: bool | None
    dump_patches = False
    call_super_init = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init:
            if kwargs:
                found = f"got an unexpected keyword argument '{next(iter(kwargs))}'"
                raise TypeError(f"{type(self).__name__}.__init__() {found}")
            if args:
                found = f"takes 1 positional argument but {len(args) + 1} were given"
                raise TypeError(f"{type(self).__name__}.__init__() {found}")
        own = self.__dict__
        own["training"] = True
        own["_parameters"] = {}
        own["_buffers"] = {}
        own["_non_persistent_buffers_set"] = set()
        own["_is_full_backward_hook"] = None
        own.update((table, OrderedDict()) for table in _TABLES)
        own["_modules"] = {}
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def forward(self, *input: Any) -> Any:
        """Compute the output; every subclass defines this. NotImplementedError here."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        own = self.__dict__
        try:
            if (
                own["_forward_hooks"]
                or own["_forward_pre_hooks"]
                or own["_backward_hooks"]
                or own["_backward_pre_hooks"]
                or _global_before
                or _global_after
                or _global_back
                or _global_back_before
                or _global_serving
            ):
                return calls.call_with_hooks(self, args, kwargs)
            return self.forward(*args, **kwargs)
        except Exception as error:
            wrong = misplaced(self, error, args)
            blame(self, wrong or error)
            if wrong is None:
                raise
        raise wrong

    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        return Module.__call__(self, *args, **kwargs)

    def register_forward_pre_hook(
        self, hook: Any, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before forward; it may return other arguments (a single one need be no tuple).

        With ``with_kwargs`` the call is ``hook(module, args, kwargs)``, and it may return ``(args, kwargs)``.

        Examples
        --------
        >>> import retrograd as torch
        >>> layer = torch.nn.ReLU()
        >>> handle = layer.register_forward_pre_hook(lambda module, args: args[0] + 1)
        >>> layer(torch.zeros(1)).item()
        1.0
        """
        marks = [self._forward_pre_hooks_with_kwargs] * with_kwargs
        return add_hook(self._forward_pre_hooks, hook, *marks, prepend=prepend)

    def register_forward_hook(
        self, hook: Any, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after forward; it may return another output.

        With ``with_kwargs`` the call is ``hook(module, args, kwargs, output)``; with ``always_call`` it comes even when
        forward raised (``output`` is then None).

        Examples
        --------
        >>> import retrograd as torch
        >>> layer = torch.nn.Linear(3, 2)
        >>> handle = layer.register_forward_hook(lambda module, args, output: print(output.shape))
        >>> _ = layer(torch.zeros(4, 3))
        torch.Size([4, 2])
        """
        marks = [self._forward_hooks_with_kwargs] * with_kwargs + [self._forward_hooks_always_called] * always_call
        return add_hook(self._forward_hooks, hook, *marks, prepend=prepend)

    def register_full_backward_pre_hook(self, hook: Any, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` before the module's backward; it may return another ``grad_output``."""
        return add_hook(self._backward_pre_hooks, hook, prepend=prepend)

    def register_full_backward_hook(self, hook: Any, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` once the gradients of the module's inputs are known.

        Both are tuples with one entry per positional argument or output, None where there is no gradient; the hook may
        return another ``grad_input``. In-place operations in and after the module do not disturb it.

        Examples
        --------
        >>> import retrograd as torch
        >>> layer = torch.nn.ReLU(inplace=True)
        >>> handle = layer.register_full_backward_hook(
        ...     lambda module, grad_input, grad_output: print(grad_input[0])
        ... )
        >>> x = torch.tensor([-1.0, 2.0], requires_grad=True)
        >>> layer(x * 1).sum().backward()
        tensor([0., 1.])
        """
        if self._is_full_backward_hook is False:
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a "
                "single Module. Please use only one of them."
            )
        self._is_full_backward_hook = True
        return add_hook(self._backward_hooks, hook, prepend=prepend)

    def register_backward_hook(self, hook: Any) -> RemovableHandle:
        """Do what `register_full_backward_hook` does, under the older name."""
        if self._is_full_backward_hook is True:
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a "
                "single Module. Please use only one of them."
            )
        self._is_full_backward_hook = False
        return add_hook(self._backward_hooks, hook)

    def train(self: Self, mode: bool = True) -> Self:
        """Put the module and its descendants in training mode, which Dropout and batch norms heed.

        Examples
        --------
        >>> from retrograd import nn
        >>> nn.Sequential(nn.Dropout()).train(False)[0].training
        False
        """
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self: Self) -> Self:
        """Put the module and its descendants in evaluation mode."""
        return self.train(False)

    def compile(self: Self, *args: Any, **kwargs: Any) -> Self:
        """Give the module itself, which runs eagerly."""
        return self

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """Give what stands between the brackets when the module is printed; define it in a subclass."""
        return ""

    def _brief_repr(self) -> str:
        """Give the sizes that name the module in an error."""
        return self.extra_repr()

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): {_addindent(repr(child), 2)}" for name, child in self._modules.items()]
        if not children and len(lines) <= 1:
            return f"{self._get_name()}({extra})"
        return f"{self._get_name()}(\n  " + "\n  ".join(lines + children) + "\n)"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__.copy()

    def __setstate__(self, state: dict[str, Any]) -> None:
        own = self.__dict__
        own.update(state)
        for table in _TABLES:
            own.setdefault(table, OrderedDict())
        own.setdefault("_non_persistent_buffers_set", set())
        own.setdefault("_is_full_backward_hook", None)


for _base in (Registry, Stateful, Convertible):  # a module's reader knows them as Module's own
    for _method in vars(_base).values():
        if isinstance(_method, FunctionType):
            _method.__qualname__ = f"Module.{_method.__name__}"
