"""torch.distributed.nn: collectives that gradients pass through; in a world of one each gives its tensor back."""

from __future__ import annotations

import sys
from typing import Any

from . import ReduceOp, _group


def all_reduce(tensor: Any, op: Any = ReduceOp.SUM, group: Any = None) -> Any:
    """Join the processes' tensors."""
    _group()
    return tensor.clone()


def all_gather(tensor: Any, group: Any = None) -> tuple[Any, ...]:
    """Give every process's tensor."""
    _group()
    return (tensor.clone(),)


def broadcast(tensor: Any, src: int, group: Any = None) -> Any:
    """Give one process's tensor."""
    _group()
    return tensor.clone()


def reduce(tensor: Any, dst: int, op: Any = ReduceOp.SUM, group: Any = None) -> Any:
    """Join the processes' tensors in one of them."""
    _group()
    return tensor.clone()


functional = sys.modules[__name__]  # PyTorch has them below another name too
