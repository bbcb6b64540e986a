"""Modules that learn the sizes of their parameters from the first input they see."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from ...core.mode import no_grad
from ..parameter import is_lazy

__all__ = ["LazyModuleMixin"]

if TYPE_CHECKING:
    from .module import Module as _Base
else:
    _Base = object


class LazyModuleMixin(_Base):
    """Put before a module's class, it has parameters without shapes get them at the first call.

    The class defines ``initialize_parameters(*args, **kwargs)``, which is given the arguments of that call and
    materialises the parameters, and may name in ``cls_to_become`` the class that the module is of from then on.
    State can be loaded before the first call; its tensors then say the shapes.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd import nn
    >>> class Scale(nn.modules.lazy.LazyModuleMixin, nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.weight = nn.UninitializedParameter()
    ...
    ...     def initialize_parameters(self, x):
    ...         if self.has_uninitialized_params():
    ...             self.weight.materialize(x.shape[-1:])
    ...             nn.init.ones_(self.weight)
    ...
    ...     def forward(self, x):
    ...         return x * self.weight
    >>> Scale()(torch.tensor([1.0, 2.0])).tolist()
    [1.0, 2.0]
    """

    cls_to_become: type[Any] | None = None
    _load_hook: Any
    _initialize_hook: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._load_hook = self._register_load_state_dict_pre_hook(self._lazy_load_hook)
        self._initialize_hook = self.register_forward_pre_hook(self._infer_parameters, with_kwargs=True)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        for name, held in (*self._parameters.items(), *self._buffers.items()):
            if held is not None and name not in self._non_persistent_buffers_set:
                destination[prefix + name] = held if keep_vars or is_lazy(held) else held.detach()

    def _lazy_load_hook(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        """Give what has no shape yet the shape of what is about to be loaded."""
        for name, held in chain(self._parameters.items(), self._buffers.items()):
            given = state_dict.get(prefix + name)
            if is_lazy(held) and given is not None and not is_lazy(given):
                with no_grad():
                    held.materialize(given.shape)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Materialise the parameters by the arguments of the first call; every lazy class defines this."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def has_uninitialized_params(self) -> bool:
        """Tell whether a parameter or buffer of this module has no shape yet."""
        return any(is_lazy(held) for held in chain(self._parameters.values(), self._buffers.values()))

    def _infer_parameters(self, module: Any, args: tuple[Any, ...], kwargs: Any = None) -> None:
        """Before the first forward: get the shapes, take the hooks away, and be of the class to become."""
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise RuntimeError(f"module {self._get_name()} has not been fully initialized")
        module._initialize_hook.remove()
        module._load_hook.remove()
        del module._initialize_hook, module._load_hook
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become

    def _replicate_for_data_parallel(self) -> Any:
        raise RuntimeError(
            "Modules with uninitialized parameters can't be used with `DataParallel`: call the module once first"
        )
