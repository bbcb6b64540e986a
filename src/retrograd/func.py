"""torch.func: derivatives of plain functions."""

from __future__ import annotations

from .tensor.jacobians import hessian, hvp, jacfwd, jacrev
from .tensor.rearranging import rearrange
from .tensor.transforms import debug_unwrap, functionalize, grad, grad_and_value, jvp, linearize, value_and_grad, vjp
from .tensor.vmap import vmap

__all__ = [
    "debug_unwrap",
    "functional_call",  # noqa: F822  these three are found by __getattr__: they stand on nn, which few users of func load
    "functionalize",
    "grad",
    "grad_and_value",
    "hessian",
    "hvp",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "rearrange",
    "replace_all_batch_norm_modules_",  # noqa: F822
    "stack_module_state",  # noqa: F822
    "value_and_grad",
    "vjp",
    "vmap",
]


def __getattr__(name: str) -> object:
    if name == "functional_call":
        from .nn.utils.functional_call import functional_call

        return functional_call
    if name in ("stack_module_state", "replace_all_batch_norm_modules_"):
        from .nn.utils import ensembles

        return getattr(ensembles, name)
    from .utils._names import missing

    raise missing("torch.func", name, __all__)
