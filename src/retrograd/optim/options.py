"""Checks of the options that optimizers are made with."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor


def check_lr(lr: Any) -> None:
    """Raise ValueError unless a learning rate is one number, zero or above."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    check(0.0 <= lr, f"Invalid learning rate: {lr}")


def check(holds: Any, message: str) -> None:
    """Raise ValueError with a message unless a condition on an option holds."""
    if not holds:
        raise ValueError(message)


def check_betas(betas: Any) -> None:
    """Raise ValueError unless both decay rates are in [0, 1)."""
    for i in (0, 1):
        check(0.0 <= betas[i] < 1.0, f"Invalid beta parameter at index {i}: {betas[i]}")


def check_kind(fused: Any, foreach: Any, differentiable: bool, groups: Any) -> None:
    """Raise RuntimeError for ways of computing that exclude each other or a parameter; here all are the same one."""
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
    if fused and not all(p.is_floating_point() for group in groups for p in group["params"]):
        raise RuntimeError("`fused=True` requires all the params to be floating point Tensors of supported devices")


def check_tensors(lr: Any, betas: Any, foreach: Any, capturable: bool) -> None:
    """Raise ValueError for rates in Tensors where torch's way over lists of tensors, asked for by name, refuses them."""
    if foreach and not capturable:
        for name, value in (("lr", lr), ("betas[0]", betas[0]), ("betas[1]", betas[1])):
            check(
                not isinstance(value, Tensor),
                f"{name} as a Tensor is not supported for capturable=False and foreach=True",
            )


def typename(x: Any) -> str:
    """Name an object's type as torch does in its errors."""
    if isinstance(x, Tensor):
        return str(x.type())
    kind = type(x)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
