"""Clipping of gradients: by their norm taken together, or value by value."""

from __future__ import annotations

import types
import warnings
from typing import Any

from ...core.mode import no_grad
from ...tensor import Tensor, tensor
from .. import _functions as T


def _listed(tensors: Any) -> list[Any]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def get_total_norm(
    tensors: Any, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Any:
    """Norm of all elements of the tensors together: the norm of the tensors' norms.

    Raises RuntimeError for a norm that is not finite, if asked to.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.utils.get_total_norm([torch.tensor([3.0]), torch.tensor([4.0])])
    tensor(5.)
    """
    norm_type = float(norm_type)
    with no_grad():
        norms = [T.norm(t, norm_type) for t in _listed(tensors)]
        if not norms:
            return tensor(0.0)
        total = T.norm(T.stack(norms), norm_type)
    if error_if_nonfinite and not bool(T.isfinite(total)):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be "
            "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`"
        )
    return total


def clip_grads_with_norm_(parameters: Any, max_norm: float, total_norm: Any, foreach: bool | None = None) -> None:
    """Scale the gradients, in place, by min(1, max_norm / (total_norm + 1e-6)).

    Examples
    --------
    >>> import retrograd as torch
    >>> p = torch.zeros(1, requires_grad=True)
    >>> p.grad = torch.tensor([4.0])
    >>> torch.nn.utils.clip_grads_with_norm_(p, 2.0, torch.tensor(4.0))
    >>> p.grad
    tensor([2.0000])
    """
    gradients = [p.grad for p in _listed(parameters) if p.grad is not None]
    if not gradients:
        return
    with no_grad():
        factor = T.clamp(float(max_norm) / (total_norm + 1e-6), max=1.0)
        for gradient in gradients:
            gradient.mul_(factor)


def clip_grad_norm_(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    """Scale the gradients, in place, so that the norm of all of them together is at most ``max_norm``.

    Returns the norm as it was. RuntimeError for a norm that is not finite, if asked to.

    Source: Pascanu et al. 2012, https://arxiv.org/abs/1211.5063.

    Examples
    --------
    >>> import retrograd as torch
    >>> p = torch.zeros(2, requires_grad=True)
    >>> p.grad = torch.tensor([3.0, 4.0])
    >>> torch.nn.utils.clip_grad_norm_(p, 1.0)
    tensor(5.)
    """
    listed = _listed(parameters)
    if isinstance(parameters, types.GeneratorType) and not listed:
        warnings.warn("`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=2)
    gradients = [p.grad for p in listed if p.grad is not None]
    total = get_total_norm(gradients, norm_type, error_if_nonfinite)
    clip_grads_with_norm_(listed, max_norm, total)
    return total


def clip_grad_norm(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    """Do what `clip_grad_norm_` does, under its deprecated name."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def clip_grad_value_(parameters: Any, clip_value: float, foreach: bool | None = None) -> None:
    """Clip every element of the gradients, in place, to [-clip_value, clip_value].

    Examples
    --------
    >>> import retrograd as torch
    >>> p = torch.zeros(2, requires_grad=True)
    >>> p.grad = torch.tensor([3.0, -0.5])
    >>> torch.nn.utils.clip_grad_value_(p, 1.0)
    >>> p.grad
    tensor([ 1.0000, -0.5000])
    """
    bound = float(clip_value)
    with no_grad():
        for p in _listed(parameters):
            if p.grad is not None:
                p.grad.clamp_(min=-bound, max=bound)
