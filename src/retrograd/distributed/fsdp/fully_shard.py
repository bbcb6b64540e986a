"""Models whose parameters are spread over processes, changed in place: one process has them all, so nothing moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...nn import Module


@dataclass(frozen=True)
class MixedPrecisionPolicy:
    """The dtypes to compute and to join gradients in; None for the parameters' own, which is all there is here."""

    param_dtype: Any = None
    reduce_dtype: Any = None
    output_dtype: Any = None
    cast_forward_inputs: bool = True


class OffloadPolicy:
    """Where parameters wait: in this process."""


@dataclass
class CPUOffloadPolicy(OffloadPolicy):
    """Parameters wait in the CPU's memory, where they are."""

    pin_memory: bool = True


class FSDPModule:
    """What a class of models is too once `fully_shard` has had one: these calls find everything in place."""

    def reshard(self) -> None:
        """Keep this process's part of the parameters: all of them."""

    def unshard(self, async_op: bool = False) -> None:
        """Fetch the other processes' parts: there are none."""

    def set_requires_gradient_sync(self, requires_gradient_sync: bool, *, recurse: bool = True) -> None:
        """Say whether gradients are joined over the processes."""

    def set_is_last_backward(self, is_last_backward: bool) -> None:
        """Say whether another backward follows."""

    def set_reshard_after_backward(self, reshard_after_backward: bool, *, recurse: bool = True) -> None:
        """Say whether parts are let go after a backward."""


_classes: dict[type, type] = {}


def fully_shard(module: Any, *, mesh: Any = None, mp_policy: Any = None, **options: Any) -> Any:
    """Spread a model's parameters over the processes and give it back: one process keeps all of them.

    The model's class becomes a subclass that is an `FSDPModule`. NotImplementedError for a policy of other dtypes.
    """
    if mp_policy is not None and (mp_policy.param_dtype or mp_policy.reduce_dtype or mp_policy.output_dtype):
        raise NotImplementedError("fully_shard: a policy of other dtypes; use torch.autocast, or module.to(dtype)")
    for one in module if isinstance(module, (list, tuple)) else [module]:
        kind = type(one)
        if not isinstance(one, Module):
            raise ValueError(f"fully_shard expects a module, not {kind.__name__}")
        if not isinstance(one, FSDPModule):
            if kind not in _classes:
                _classes[kind] = type(f"FSDP{kind.__name__}", (FSDPModule, kind), {})
            one.__class__ = _classes[kind]
    return module


__all__ = ["CPUOffloadPolicy", "FSDPModule", "MixedPrecisionPolicy", "OffloadPolicy", "fully_shard"]
