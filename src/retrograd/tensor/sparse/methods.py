"""The methods and operators of sparse tensors: a handler's, or a refusal that names what was asked."""

from __future__ import annotations

from typing import Any

from ..dispatch import METHODS
from .composite import HANDLERS, Sparse, call, refused


def _method(name: str) -> Any:
    def method(self: Any, *args: Any, **options: Any) -> Any:
        fn = HANDLERS.get(name)
        if fn is None:
            raise refused(name, self._backend)
        return fn(self, *args, **options)

    method.__name__, method.__doc__ = name, f"Give what ``{name}`` is for sparse tensors."
    return method


def _operators() -> dict[str, Any]:
    """Give Python's operators in terms of the handlers."""
    made: dict[str, Any] = {}

    def forward(name: str) -> Any:
        return lambda self, other: call(name, (self, other), {})

    def backward(name: str) -> Any:
        return lambda self, other: call(name, (other, self), {})

    def inplace(name: str) -> Any:
        return lambda self, other: self._take(call(name, (self, other), {}))

    for sign, name in {
        "add": "add",
        "sub": "sub",
        "mul": "mul",
        "truediv": "div",
        "floordiv": "floor_divide",
        "mod": "remainder",
        "pow": "pow",
        "matmul": "matmul",
        "and": "bitwise_and",
        "or": "bitwise_or",
        "xor": "bitwise_xor",
    }.items():
        made[f"__{sign}__"], made[f"__r{sign}__"], made[f"__i{sign}__"] = forward(name), backward(name), inplace(name)
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        made[f"__{name}__"] = forward(name)
    for sign, name in {"neg": "neg", "pos": "positive", "abs": "abs", "invert": "bitwise_not"}.items():
        made[f"__{sign}__"] = _method(name)
    made["__getitem__"] = lambda self, index: call("getitem", (self, index), {})
    made["__setitem__"] = lambda self, index, value: call("index_put_", (self, index, value), {})
    return made


def attach() -> None:
    """Give sparse tensors every method that dense ones have: a handler's, or a refusal that names it."""
    own = set(Sparse.__dict__)
    for name in {*METHODS, *HANDLERS}:
        if name not in own:
            setattr(Sparse, name, _method(name))
    for name, fn in _operators().items():
        setattr(Sparse, name, fn)
    for name, handler in {"T": "T", "mT": "mT", "H": "H", "mH": "mH", "real": "real", "imag": "imag"}.items():
        setattr(Sparse, name, property(_method(handler)))


__all__ = ["attach"]
