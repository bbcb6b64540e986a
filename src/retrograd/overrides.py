"""torch.overrides: what tells whether a value takes part in torch's functions."""

from __future__ import annotations

from typing import Any

from .core import BaseTensor


def is_tensor_like(inp: Any) -> bool:
    """Tell whether a value is a Tensor, or has ``__torch_function__``.

    Examples
    --------
    >>> is_tensor_like(3.0)
    False
    """
    return isinstance(inp, BaseTensor) or hasattr(type(inp), "__torch_function__")


def has_torch_function(relevant_args: Any) -> bool:
    """Tell whether a value other than a plain Tensor wants to handle calls itself."""
    return any(not isinstance(v, BaseTensor) and hasattr(type(v), "__torch_function__") for v in relevant_args)


def is_tensor_method_or_property(func: Any) -> bool:
    """Tell whether a function is a Tensor's method."""
    from .tensor import METHODS

    return func in METHODS.values()


class TorchFunctionMode:
    """A block whose calls of torch's functions would pass through its ``__torch_function__``.

    It can be subclassed and made; to enter it is a NotImplementedError, for functions here do not look for modes.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function."""
        return func(*args, **(kwargs or {}))

    def __enter__(self) -> Any:
        raise NotImplementedError(
            f"{type(self).__name__}: functions do not pass through a TorchFunctionMode here; call what it should do "
            "in the place where the function is called"
        )

    def __exit__(self, *error: Any) -> None:
        return None


__all__ = ["TorchFunctionMode", "has_torch_function", "is_tensor_like", "is_tensor_method_or_property"]
