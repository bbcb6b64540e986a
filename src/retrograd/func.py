"""torch.func: derivatives of plain functions."""

from __future__ import annotations

from .tensor.transforms import grad, grad_and_value, hessian, hvp, jacfwd, jacrev, jvp, linearize, value_and_grad, vjp

__all__ = [
    "functional_call",  # noqa: F822  found by __getattr__: it stands on nn, which few users of func load
    "grad",
    "grad_and_value",
    "hessian",
    "hvp",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "value_and_grad",
    "vjp",
]


def __getattr__(name: str) -> object:
    if name == "functional_call":
        from .nn.utils.stateless import functional_call

        return functional_call
    from .utils._names import missing

    raise missing("torch.func", name, __all__)
