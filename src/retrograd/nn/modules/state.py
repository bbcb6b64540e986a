"""The part of a module that gives its state as a dictionary and takes one back."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

from ...core.mode import no_grad
from ...tensor import Parameter, Tensor
from ...tensor.swapping import swap_tensors
from ..parameter import is_lazy
from .convert import EXCHANGE
from .handles import RemovableHandle, Table, add_hook

_EXTRA_STATE_KEY_SUFFIX = "_extra_state"


class _IncompatibleKeys(NamedTuple):
    """The keys that a state dictionary lacked, and those it had too many."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class _Bound:
    """A hook that is given its module first; it can be pickled, unlike a closure, and does not hold the module."""

    def __init__(self, hook: Any) -> None:
        self.hook = hook


class Stateful:
    """Saving and loading of parameters, persistent buffers and extra state, with hooks around both."""

    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    _modules: dict[str, Any]
    _non_persistent_buffers_set: set[str]
    _state_dict_hooks: Table
    _state_dict_pre_hooks: Table
    _load_state_dict_pre_hooks: Table
    _load_state_dict_post_hooks: Table
    _version = 1

    def get_extra_state(self) -> Any:
        """Give further state for ``state_dict()``; define it together with ``set_extra_state`` in a subclass."""
        raise RuntimeError(f"{type(self).__name__} has no extra state: define get_extra_state() to give it some.")

    def set_extra_state(self, state: Any) -> None:
        """Take back what ``get_extra_state`` gave; define it in a subclass."""
        raise RuntimeError(f"{type(self).__name__} takes no extra state: define set_extra_state() to receive it.")

    def _overrides(self, name: str) -> bool:
        return getattr(type(self), name) is not getattr(Stateful, name)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Put this module's own state, without its children's, into ``destination``."""
        for name, held in (*self._parameters.items(), *self._buffers.items()):
            if held is not None and name not in self._non_persistent_buffers_set:
                destination[prefix + name] = held if keep_vars else held.detach()
        if self._overrides("get_extra_state"):
            destination[prefix + _EXTRA_STATE_KEY_SUFFIX] = self.get_extra_state()

    def state_dict(self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        """Give an ordered dictionary of all parameters and persistent buffers by dotted name.

        The tensors share memory with the module's; ``keep_vars`` gives the Parameters themselves. The dictionary's
        ``_metadata`` holds each module's version.

        Examples
        --------
        >>> from retrograd import nn
        >>> list(nn.Sequential(nn.Linear(2, 2), nn.ReLU()).state_dict())
        ['0.weight', '0.bias']
        """
        if args:
            warnings.warn(
                "Positional args are being deprecated, use kwargs instead. Refer to "
                "https://pytorch.org/docs/main/generated/torch.nn.Module.html#torch.nn.Module.state_dict for details.",
                FutureWarning,
                stacklevel=2,
            )
            names = dict(zip(("destination", "prefix", "keep_vars"), args, strict=False))
            destination = names.get("destination", destination)
            prefix = names.get("prefix", prefix)
            keep_vars = names.get("keep_vars", keep_vars)
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        metadata: dict[str, Any] = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, child in self._modules.items():
            if child is not None:
                child.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in self._state_dict_hooks.values():
            replaced = hook(self, destination, prefix, metadata)
            if getattr(hook, "_from_public_api", False):
                if replaced is not None:
                    raise RuntimeError("state_dict post-hook must return None")
            elif replaced is not None:
                destination = replaced
        return destination

    def _register_state_dict_hook(self, hook: Any) -> RemovableHandle:
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError(
                "Cannot register the same function as the state dict post hook that was "
                "previously registered via register_state_dict_post_hook"
            )
        return add_hook(self._state_dict_hooks, hook)

    def register_state_dict_post_hook(self, hook: Any) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata)`` after ``state_dict()``; it may change that."""
        hook._from_public_api = True
        return add_hook(self._state_dict_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Any) -> RemovableHandle:
        """Call ``hook(module, prefix, keep_vars)`` before ``state_dict()``."""
        return add_hook(self._state_dict_pre_hooks, hook)

    def _register_load_state_dict_pre_hook(self, hook: Any, with_module: bool = False) -> RemovableHandle:
        return add_hook(self._load_state_dict_pre_hooks, _Bound(hook) if with_module else hook)

    def register_load_state_dict_pre_hook(self, hook: Any) -> RemovableHandle:
        """Call ``hook`` before this module's own state is read.

        Its arguments are ``(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys,
        error_msgs)``; it may change the dictionary and the lists.
        """
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def register_load_state_dict_post_hook(self, hook: Any) -> RemovableHandle:
        """Call ``hook(module, incompatible_keys)`` after loading; it may change the two lists of keys."""
        return add_hook(self._load_state_dict_post_hooks, hook)

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Copy this module's own state, without its children's, out of ``state_dict``."""
        given = (state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        for hook in self._load_state_dict_pre_hooks.values():
            hook.hook(self, *given) if isinstance(hook, _Bound) else hook(*given)
        assign = local_metadata.get("assign_to_params_buffers", False)
        local = {
            name: held
            for name, held in (*self._parameters.items(), *self._buffers.items())
            if held is not None and name not in self._non_persistent_buffers_set
        }
        for name, held in local.items():
            if prefix + name in state_dict:
                error = self._load_one(name, held, prefix + name, state_dict[prefix + name], assign)
                if error is not None:
                    error_msgs.append(error)
            elif strict:
                missing_keys.append(prefix + name)
        extra = prefix + _EXTRA_STATE_KEY_SUFFIX
        if self._overrides("set_extra_state"):
            if extra in state_dict:
                self.set_extra_state(state_dict[extra])
            elif strict:
                missing_keys.append(extra)
        elif strict and extra in state_dict:
            unexpected_keys.append(extra)
        if strict:
            unexpected_keys.extend(key for key in state_dict if self._is_unexpected(key, prefix, local))

    def _is_unexpected(self, key: str, prefix: str, local: dict[str, Any]) -> bool:
        if not key.startswith(prefix) or key == prefix + _EXTRA_STATE_KEY_SUFFIX:
            return False
        name, dot, _ = key[len(prefix) :].partition(".")
        return name not in (self._modules if dot else local)

    def _load_one(self, name: str, held: Any, key: str, given: Any, assign: bool) -> str | None:
        """Copy (or assign) one tensor; give the message of what went wrong, if anything did."""
        if not isinstance(given, Tensor):
            return (
                f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object '
                f"from checkpoint but received {type(given)}"
            )
        if is_lazy(held):
            if not is_lazy(given):
                held.materialize(given.shape)
        elif held.ndim == 0 and given.shape == (1,):
            given = given.reshape(())
        elif given.shape != held.shape:
            return (
                f"size mismatch for {key}: copying a param with shape {given.shape} from checkpoint, "
                f"the shape in current model is {held.shape}."
            )
        try:
            with no_grad():
                if EXCHANGE["swap"] and isinstance(held, Parameter):
                    made = held.module_load(given, assign=assign)
                    if not isinstance(made, Parameter):
                        made = Parameter(made, requires_grad=held.requires_grad)
                    swap_tensors(held, made)
                elif not assign:
                    if held.is_meta and not given.is_meta:
                        warnings.warn(
                            f"for {key}: copying from a non-meta parameter in the checkpoint to a meta parameter in the current "
                            "model, which is a no-op. (Did you mean to pass `assign=True` to assign items in the state "
                            "dictionary to their corresponding key in the module instead of copying them in place?)",
                            stacklevel=4,
                        )
                    held.copy_(given)
                elif isinstance(held, Parameter) and not isinstance(given, Parameter):
                    setattr(self, name, Parameter(given, requires_grad=held.requires_grad))
                else:
                    setattr(
                        self, name, given.requires_grad_(held.requires_grad) if isinstance(held, Parameter) else given
                    )
        except Exception as error:
            return (
                f'While copying the parameter named "{key}", whose dimensions in the model are {held.size()} and '
                f"whose dimensions in the checkpoint are {given.size()}, an exception occurred : {error.args}."
            )
        return None

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Copy parameters and buffers out of a dictionary such as ``state_dict()`` gives.

        Returns ``(missing_keys, unexpected_keys)``. With ``strict`` (the default) either is an error, and so is,
        always, a tensor of another shape: RuntimeError lists every key. With ``assign`` the module takes the
        dictionary's tensors instead of copying out of them.

        Examples
        --------
        >>> from retrograd import nn
        >>> one, other = nn.Linear(2, 2), nn.Linear(2, 2)
        >>> one.load_state_dict(other.state_dict())
        <All keys matched successfully>
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        metadata = getattr(state_dict, "_metadata", None)
        copied: Any = OrderedDict(state_dict)
        if metadata is not None:
            copied._metadata = metadata
        missing: list[str] = []
        unexpected: list[str] = []
        errors: list[str] = []
        keys = _IncompatibleKeys(missing, unexpected)
        _load(self, copied, "", metadata, assign, keys, errors)
        if strict:
            for title, names in (("Unexpected", unexpected), ("Missing", missing)):
                if names:
                    errors.insert(
                        0, f"{title} key(s) in state_dict: " + ", ".join(f'"{name}"' for name in names) + ". "
                    )
        if errors:
            listed = "\n\t".join(errors)
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t{listed}")
        return keys


def _load(
    module: Any, state: Any, prefix: str, metadata: Any, assign: bool, keys: _IncompatibleKeys, errors: list[str]
) -> None:
    """Load a module and then its children, each from the keys that start with its prefix."""
    local = {} if metadata is None else metadata.get(prefix[:-1], {})
    if assign:
        local = {**local, "assign_to_params_buffers": True}
    module._load_from_state_dict(state, prefix, local, True, keys.missing_keys, keys.unexpected_keys, errors)
    for name, child in module._modules.items():
        if child is not None:
            below = f"{prefix}{name}."
            own = OrderedDict((key, value) for key, value in state.items() if key.startswith(below))
            _load(child, own, below, metadata, assign, keys, errors)
    for hook in module._load_state_dict_post_hooks.values():
        if hook(module, keys) is not None:
            raise AssertionError(
                "Hooks registered with ``register_load_state_dict_post_hook`` are not expected to return new values, "
                "if incompatible_keys need to be modified, it should be done inplace."
            )
