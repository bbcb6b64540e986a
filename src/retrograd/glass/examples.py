"""Inputs for a module that was given none: what its first layer says it takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import no_grad, wrap
from ..nn import modules as nn


def example_inputs(module: Any) -> tuple[Any, ...]:
    """Make up a small batch for a module, by its first layer; the same one each time.

    Parameters
    ----------
    module : Module

    Returns
    -------
    tuple of Tensor

    Raises
    ------
    TypeError
        If no layer says what it takes, or the module does not run on it.

    Examples
    --------
    >>> from retrograd import nn
    >>> example_inputs(nn.Linear(3, 2))[0].shape
    torch.Size([4, 3])
    """
    rng = np.random.default_rng(0)
    errors = []
    for shape, high in _candidates(module):
        dtype = next((p._a.dtype for p in module.parameters() if p._a.dtype.kind == "f"), np.dtype(np.float32))
        data = rng.integers(0, high, shape) if high else rng.standard_normal(shape).astype(dtype)
        x = wrap(np.asarray(data))
        before = {k: v.clone() for k, v in module.state_dict().items()}
        try:
            with no_grad():
                module(x)
        except Exception as error:  # this shape is not the one: the next candidate is tried
            errors.append(f"{list(shape)}: {str(error).splitlines()[0][:80]}")
            continue
        finally:
            module.load_state_dict(before)  # running statistics are as they were
        return (x,)
    tried = f" (tried {'; '.join(errors[:3])})" if errors else ""
    raise TypeError(f"derive: give {type(module).__name__} its inputs, which its first layer does not tell{tried}")


def _candidates(module: Any) -> Any:
    for part in module.modules():
        if isinstance(part, nn.Linear):
            yield from (((4, part.in_features), 0), ((2, 3, part.in_features), 0))
        elif isinstance(part, nn.Embedding):
            yield (2, 5), part.num_embeddings
        elif isinstance(part, nn.Conv1d):
            yield from (((2, part.in_channels, n), 0) for n in (8, 16, 32, 64))
        elif isinstance(part, nn.Conv2d):
            yield from (((2, part.in_channels, n, n), 0) for n in (8, 16, 28, 32, 64, 224))
        elif isinstance(part, nn.Conv3d):
            yield from (((2, part.in_channels, n, n, n), 0) for n in (6, 12))
        elif isinstance(part, (nn.BatchNorm1d, nn.LayerNorm, nn.RMSNorm)):
            size = getattr(part, "num_features", None) or tuple(part.normalized_shape)[-1]
            yield (4, size), 0
        elif isinstance(part, nn.MultiheadAttention):
            yield (5, 2, part.embed_dim), 0
        else:
            continue
        return


__all__ = ["example_inputs"]
