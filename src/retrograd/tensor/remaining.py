"""Methods of Tensor that few programs call: a Python function over all elements, and what torch keeps of its old names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import assign, check_writable, wrap
from ..core.warned import warn
from .dispatch import FUNCTIONS, METHODS, function


def _over(name: str, self: Any, others: tuple[Any, ...], fn: Callable[..., Any]) -> Any:
    """Write a Python function of the elements of some tensors into the first."""
    if self.requires_grad or any(o.requires_grad for o in others):
        raise RuntimeError(f"Can't call {name}() on Variable that requires grad. Use var.detach().{name}() instead.")
    check_writable(self, name)
    shape = self._a.shape
    for other in others:
        if other._a.dtype != self._a.dtype:
            raise TypeError(f"{name}: expected tensors of {self.dtype}, but got one of {other.dtype}")
    given = [np.broadcast_to(o._a, shape).tolist() if o._a.dtype.kind != "V" else o.tolist() for o in others]
    lists = [np.asarray(x, object).reshape(-1) for x in ([self.tolist()], *given)]
    found = [fn(*values) for values in zip(*lists, strict=True)]
    for value in found:
        if not isinstance(value, (int, float, complex, np.number)):
            raise TypeError(f"{name}: must be real number, not {type(value).__name__}")
    return assign(self, wrap(np.array(found).reshape(shape).astype(self._a.dtype)), name)


def apply_(self: Any, callable: Callable[[Any], Any]) -> Any:
    """Write ``callable`` of each element into it; slow, a call of Python for each."""
    return _over("apply_", self, (), callable)


def map_(self: Any, tensor: Any, callable: Callable[[Any, Any], Any]) -> Any:
    """Write ``callable`` of each element and another tensor's into it."""
    return _over("map_", self, (_fitted(tensor, self),), callable)


def map2_(self: Any, x: Any, y: Any, callable: Callable[[Any, Any, Any], Any]) -> Any:
    """Write ``callable`` of each element and two other tensors' into it."""
    return _over("map2_", self, (_fitted(x, self), _fitted(y, self)), callable)


def _fitted(other: Any, self: Any) -> Any:
    return other if other.shape == self.shape else other.expand(self.shape)


def _resized(self: Any, sizes: tuple[int, ...], name: str) -> Any:
    warn(f"non-inplace {name} is deprecated")
    if self.numel() != int(np.prod(sizes)):
        raise RuntimeError(
            f"requested resize to {'x'.join(map(str, sizes))} ({int(np.prod(sizes))} elements in total), but the given tensor "
            f"has a size of {'x'.join(map(str, self.shape))} ({self.numel()} elements). autograd's resize can only change the "
            "shape of a given tensor, while preserving the number of elements. "
        )
    return self.contiguous().view(*sizes)


def resize(self: Any, *sizes: Any) -> Any:
    """Give another shape of the same elements; `reshape` says it without a warning."""
    return _resized(self, tuple(sizes[0]) if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes, "resize")


def resize_as(self: Any, tensor: Any) -> Any:
    """Give another tensor's shape to the same elements; `reshape_as` says it without a warning."""
    return _resized(self, tuple(tensor.shape), "resize_as")


def module_load(self: Any, other: Any, assign: bool = False) -> Any:
    """Give what a module keeps of ``other`` when it loads it in this tensor's place."""
    return other.detach() if assign else self.copy_(other).detach()


def reinforce(self: Any, reward: Any) -> Any:
    """Raise RuntimeError: distributions have ``log_prob`` for this."""
    raise RuntimeError(
        "reinforce() was removed. Use torch.distributions instead: m = Categorical(probs); action = m.sample(); "
        "loss = -m.log_prob(action) * reward; loss.backward()"
    )


def record_stream(self: Any, s: Any) -> None:
    """Do nothing: the CPU has no streams."""


def const_data_ptr(self: Any) -> int:
    """Give the address of the first element."""
    address: int = self.data_ptr()
    return address


for _fn in (apply_, map_, map2_, resize, resize_as, module_load, reinforce, record_stream, const_data_ptr):
    METHODS[_fn.__name__] = _fn


def _other_device(name: str, error: type[Exception], message: str) -> None:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise error(message)

    method.__name__ = name
    method.__doc__ = f"Raise {error.__name__}: there is no such device here."
    METHODS[name] = method


_other_device("ipu", RuntimeError, "PyTorch is not linked with support for ipu devices: retrograd computes on the CPU")
_other_device("xpu", AssertionError, "Torch not compiled with XPU enabled: retrograd computes on the CPU")
_other_device("mtia", AssertionError, "Torch not compiled with MTIA enabled: retrograd computes on the CPU")


def _removed(name: str, instead: str) -> None:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"This function was deprecated since version 1.9 and is now removed. Use {instead} instead.")

    method.__name__ = name
    method.__doc__ = f"Raise RuntimeError: `{instead}` has taken its place."
    METHODS[name] = method


for _name, _instead in {
    "solve": "torch.linalg.solve",
    "lstsq": "torch.linalg.lstsq",
    "eig": "torch.linalg.eig",
    "symeig": "torch.linalg.eigh",
}.items():
    _removed(_name, _instead)


def _removed_function(name: str, instead: str) -> None:
    def fn(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"This function was deprecated since version 1.9 and is now removed. Use {instead} instead.")

    fn.__name__ = name
    fn.__doc__ = f"Raise RuntimeError: `{instead}` has taken its place."
    FUNCTIONS[name] = fn


for _name, _instead in {
    "solve": "torch.linalg.solve",
    "lstsq": "torch.linalg.lstsq",
    "eig": "torch.linalg.eig",
    "symeig": "torch.linalg.eigh",
    "matrix_rank": "torch.linalg.matrix_rank",
}.items():
    _removed_function(_name, _instead)


@function("to_dlpack", method=False, out=False)
def to_dlpack(tensor: Any) -> Any:
    """Give the capsule by which other libraries take over the tensor's memory."""
    return tensor.__dlpack__()


def attach(cls: Any) -> None:
    """Give the Tensor class the flags of devices and layouts that it never has."""
    for name in ("is_ipu", "is_maia", "is_mtia", "is_vulkan", "is_xla", "volatile"):
        if name not in cls.__dict__:
            setattr(cls, name, property(lambda self: False, doc="Never."))
    if "name" not in cls.__dict__:
        cls.name = property(lambda self: None, doc="Tensors have no names here: None.")
    if "grad_dtype" not in cls.__dict__:
        cls.grad_dtype = property(lambda self: self.dtype, doc="The dtype of the gradient: the tensor's own.")
