"""What PyTorch's own optimizers share, under the names that optimizers written after them import."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from ..core.dtypes import float32, float64, get_default_dtype
from ..core.mode import set_grad_enabled
from ..core.node import Handle
from ..tensor import Tensor
from ..tensor.functions.complex_parts import view_as_real

ParamsT: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
StateDict: TypeAlias = dict[str, Any]
RemovableHandle = Handle
_foreach_supported_types = [Tensor]

_params_doc = "params (iterable): parameters, pairs of a name and a parameter, or dicts of groups"
_foreach_doc = "foreach (bool, optional): accepted and without effect"
_fused_doc = "fused (bool, optional): accepted and without effect"
_capturable_doc = "capturable (bool, optional): accepted and without effect"
_differentiable_doc = "differentiable (bool, optional): whether a step is recorded (default: False)"
_maximize_doc = "maximize (bool, optional): go up instead of down (default: False)"


def _get_foreach_kernels_supported_devices() -> list[str]:
    """Give the kinds of devices that lists of tensors may be on."""
    return ["cpu"]


def _get_fused_kernels_supported_devices() -> list[str]:
    """Give the kinds of devices that whole steps may be on."""
    return ["cpu"]


def _group_tensors_by_device_and_dtype(tensorlistlist: Any, with_indices: bool = False) -> dict[Any, Any]:
    """Give for each device and dtype (of the first list) the lists' tensors there, and their places if asked for."""
    groups: dict[Any, Any] = {}
    for place, first in enumerate(tensorlistlist[0]):
        key = (first.device, first.dtype)
        lists, places = groups.setdefault(key, ([[] for _ in tensorlistlist], []))
        for held, given in zip(lists, tensorlistlist, strict=True):
            if given:
                held.append(given[place])
        if with_indices:
            places.append(place)
    return groups


def _use_grad_for_differentiable(func: Callable[..., Any]) -> Callable[..., Any]:
    """Make a method ``step`` run with gradients on where the optimizer is ``differentiable``, else with gradients off."""

    @functools.wraps(func)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        with set_grad_enabled(bool(self.defaults.get("differentiable", False))):
            return func(self, *args, **kwargs)

    return step


def _disable_dynamo_if_unsupported(single_tensor_fn: Any = None) -> Callable[[Any], Any]:
    """Give a decorator that changes nothing."""
    return lambda func: func


def _get_value(x: Any) -> Any:
    """Give the number that a tensor of one element holds."""
    return x.item() if isinstance(x, Tensor) else x


def _to_scalar(x: Any) -> Any:
    """Give a tensor of one element without its dimensions."""
    return x.squeeze() if isinstance(x, Tensor) and x.dim() else x


def _stack_if_compiling(x: Any) -> Any:
    """Give numbers as they are."""
    return x


def _dispatch_sqrt(x: Any) -> Any:
    """Take the square root of a number or a tensor."""
    return x.sqrt() if isinstance(x, Tensor) else math.sqrt(x)


def _get_scalar_dtype(is_fused: Any = None) -> Any:
    """Give the dtype of counts of steps."""
    return float32 if is_fused else float64 if get_default_dtype() is float64 else float32


def _default_to_fused_or_foreach(params: Any, differentiable: bool, use_fused: bool = False) -> tuple[bool, bool]:
    """Tell whether to use fused or foreach forms where nothing was said: neither, as on a CPU."""
    return False, False


def _get_capturable_supported_devices(supports_xla: bool = True) -> list[str]:
    """Give the kinds of devices whose steps can be captured as graphs."""
    return ["cuda", "xpu", "hpu", "privateuseone", *(["xla"] if supports_xla else [])]


def _view_as_real(params: list[Any], *state_and_grads: list[Any]) -> None:
    """Put real views in the place of complex parameters, and of what goes with them, in lists."""
    for i, p in enumerate(params):
        if p.is_complex():
            params[i] = view_as_real(p)
            for others in state_and_grads:
                others[i] = view_as_real(others[i])


__all__ = [
    "ParamsT",
    "RemovableHandle",
    "StateDict",
    "_capturable_doc",
    "_default_to_fused_or_foreach",
    "_differentiable_doc",
    "_disable_dynamo_if_unsupported",
    "_dispatch_sqrt",
    "_foreach_doc",
    "_foreach_supported_types",
    "_fused_doc",
    "_get_capturable_supported_devices",
    "_get_foreach_kernels_supported_devices",
    "_get_fused_kernels_supported_devices",
    "_get_scalar_dtype",
    "_get_value",
    "_group_tensors_by_device_and_dtype",
    "_maximize_doc",
    "_params_doc",
    "_stack_if_compiling",
    "_to_scalar",
    "_use_grad_for_differentiable",
    "_view_as_real",
]
