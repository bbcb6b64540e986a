"""Draws in place: a tensor's elements, in the order of its memory, from PyTorch's CPU streams."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .. import random as streams
from ..core import MODE, BaseTensor, MetaArray, apply, assign, check_writable, wrap
from ..ops.shape import permute
from .dispatch import METHODS
from .draw import KINDS
from .random_functions import default_generator, drawn


def _in_place(name: str, doc: str, make: Any) -> None:
    def method(self: Any, *args: Any, generator: Any = None, **kwargs: Any) -> Any:
        check_writable(self, name)
        kind, parameters = make(self, *args, **kwargs)
        if not self._a.size and kind in ("normal", "log_normal", "exponential", "geometric"):
            return self
        if kind == "coins":
            return _coins(self, parameters["p"], generator, name)
        return _drawn_into(self, kind, parameters, generator, name)

    method.__name__ = name
    method.__doc__ = doc
    METHODS[name] = method


def _drawn_into(x: Any, kind: str, parameters: dict[str, Any], generator: Any, name: str) -> Any:
    """Fill a tensor in the order of its memory."""
    a = x._a
    if a.__class__ is MetaArray:
        x._s.version += 1
        return x
    if MODE.trace is None and MODE.dual is None and not (MODE.grad and x.requires_grad):
        g = default_generator if generator is None else generator
        if a.flags.c_contiguous:
            KINDS[kind](shape=a.shape, dtype=a.dtype, generator=g, out=a, **parameters)
        else:
            if kind == "normal":
                parameters["contiguous"] = False
            streams.place(
                np.asarray(KINDS[kind](shape=(a.size,), dtype=a.dtype, generator=g, **parameters)).reshape(-1), a
            )
        x._s.version += 1
        return x
    if a.flags.c_contiguous:
        return assign(x, drawn(kind, a.shape, a.dtype, generator, **parameters), name, keep_old=True)
    if kind == "normal":
        parameters["contiguous"] = False
    order = sorted(range(a.ndim), key=lambda axis: -a.strides[axis])
    made = drawn(kind, tuple([a.shape[k] for k in order]), a.dtype, generator, **parameters)
    back = tuple([order.index(k) for k in range(a.ndim)])
    return assign(x, apply(permute, made, axes=back), name, keep_old=True)


def dropout_mask(x: Any, p: float) -> Any:
    """Fill with 1 / p where a coin of probability p shows heads, else with zeros: ``bernoulli_(p).div_(p)`` at once (library use)."""
    if not x.is_floating_point():
        return x.bernoulli_(p).div_(p)
    return _drawn_into(x, "bernoulli", {"p": p, "scale": _one_over(p, x._a.dtype)}, None, "bernoulli_")


@functools.lru_cache(64)
def _one_over(p: float, dtype: Any) -> float:
    """Divide as tensors of a dtype do: 16-bit ones in float32."""
    kind = np.dtype(np.float32) if dtype.itemsize == 2 else dtype
    return float((np.ones((), kind) / np.array(p, kind)).astype(dtype))


def _coins(x: Any, p: Any, generator: Any, name: str) -> Any:
    """Draw ones with a probability for each element, in the order of the memory that takes them."""
    if x._a.__class__ is MetaArray:
        x._s.version += 1
        return x
    chances = np.empty_like(x._a, p._a.dtype)
    chances[...] = p._a
    order = sorted(range(chances.ndim), key=lambda axis: -chances.strides[axis])
    r = np.empty_like(x._a)
    streams.place(
        streams.bernoulli(chances.transpose(order), default_generator if generator is None else generator).reshape(-1),
        r,
    )
    return assign(x, wrap(r), name, keep_old=True)


def _needs_float(x: Any, name: str) -> None:
    if x._a.dtype.kind not in "fcV":
        raise NotImplementedError(
            f"\"{name}\" not implemented for '{x.dtype.name.capitalize()}': it draws floating-point numbers; "
            "use a floating dtype"
        )


def _normal(x: Any, mean: float = 0, std: float = 1) -> Any:
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    if x._a.size:
        _needs_float(x, "normal_kernel_cpu")
    return "normal", {"mean": float(mean), "std": float(std)}


def _uniform(x: Any, from_: float = 0, to: float = 1, **named: float) -> Any:
    _needs_float(x, "check_uniform_bounds")
    low, high = named.get("from", named.get("a", from_)), named.get("b", to)
    if low > high:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={low} > to={high}")
    return "uniform", {"low": float(low), "high": float(high)}


_OPEN: Any = object()  # stands for an upper end that was not said; None says that it is the dtype's largest number


def _random(x: Any, from_: int | None = None, to: Any = _OPEN, **named: int) -> Any:
    low = named.get("from", from_)
    if low is not None and to is _OPEN:
        low, to = 0, low
    elif low is not None and to is None:
        to = _largest(x._a.dtype) + 1
    elif to is _OPEN:
        to = None
    if to is None:
        return "random", {}
    if low is None:
        low = 0
    if low >= to:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={to}")
    return "randint", {"low": int(low), "high": int(to)}


def _largest(kind: Any) -> int:
    """Give the largest number that a draw may be: of integers all, of floats those that follow each other in steps of 1."""
    if kind.kind in "iu":
        return int(np.iinfo(kind).max)
    return {"b": 1, "f": 1 << np.finfo(kind).nmant + 1 if kind.kind == "f" else 0, "V": 1 << 8}[kind.kind]


def _bernoulli(x: Any, p: Any = 0.5) -> Any:
    if isinstance(p, BaseTensor):
        return "coins", {"p": p}
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
    return "bernoulli", {"p": float(p)}


def _exponential(x: Any, lambd: float = 1) -> Any:
    if lambd <= 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
    if x._a.size and x._a.dtype.kind not in "fV":
        raise RuntimeError(
            "Exponential distribution is a continuous probability distribution. dtype must be a floating "
            f"point but you specified {x.dtype}"
        )
    return "exponential", {"rate": float(lambd)}


def _geometric(x: Any, p: float) -> Any:
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    return "geometric", {"p": float(p)}


_in_place("normal_", "Fill with draws from a normal distribution.", _normal)
_in_place("uniform_", "Fill with draws from the uniform distribution on [from, to).", _uniform)
_in_place("random_", "Fill with integers drawn from [from, to), or from the dtype's range.", _random)
_in_place("bernoulli_", "Fill with ones drawn with probability p, and zeros.", _bernoulli)
_in_place("exponential_", "Fill with draws from an exponential distribution of rate lambd.", _exponential)
_in_place("geometric_", "Fill with draws from a geometric distribution.", _geometric)
_in_place(
    "cauchy_",
    "Fill with draws from a Cauchy distribution.",
    lambda x, median=0, sigma=1: ("cauchy", {"median": float(median), "sigma": float(sigma)}),
)
_in_place(
    "log_normal_",
    "Fill with exponentials of normal draws.",
    lambda x, mean=1, std=2: ("log_normal", {"mean": float(mean), "std": float(std)}),
)
