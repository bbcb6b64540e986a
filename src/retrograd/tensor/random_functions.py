"""Random tensors, drawn from PyTorch's CPU streams."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import random as streams
from ..core import MODE, BaseTensor, apply, blank, device, elsewhere, here, is_meta, shapes_error, show_type, wrap
from ..core import dtypes as _d
from ..ops.shape import view_as_complex
from .creation import _checked
from .dispatch import METHODS, function, sizes, write_out
from .draw import KINDS, draw, draw_like, drawn_with, take


class Generator(streams.Generator):
    """A stream of random numbers with a seed of its own; it gives PyTorch's CPU draws.

    Examples
    --------
    >>> import retrograd as torch
    >>> g = torch.Generator().manual_seed(0)
    >>> torch.rand(2, generator=g)
    tensor([0.4963, 0.7682])
    """

    __slots__ = ()

    @property
    def device(self) -> Any:
        """Where it draws: always the CPU."""
        return device("cpu")

    def get_state(self) -> Any:
        """Give the state as a tensor of bytes, in PyTorch's layout."""
        return wrap(np.asarray(super().get_state()))

    def set_state(self, new_state: Any) -> Any:
        """Go on from a state that ``get_state`` gave."""
        super().set_state(_state_array(new_state))
        return self

    def clone_state(self) -> Any:
        """Give another generator in the same state."""
        return type(self)().set_state(self.get_state())

    def __reduce__(self) -> Any:
        return _restore, (np.asarray(super().get_state()),)


def _restore(state: Any) -> Any:
    return Generator().set_state(wrap(state))


def _state_array(state: Any) -> Any:
    if not isinstance(state, BaseTensor) or state._a.dtype != np.uint8:
        raise TypeError(
            "RNG state must be a torch.ByteTensor, not "
            f"{show_type(state) if isinstance(state, BaseTensor) else type(state).__name__}"
        )
    return state._a


# the one default generator of the streams gains the tensor-level methods
streams.default_generator.__class__ = Generator
default_generator: Any = streams.default_generator


def manual_seed(seed: int) -> Any:
    """Seed the default generator; give it.

    Examples
    --------
    >>> import retrograd as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.randn(2)
    tensor([ 1.5410, -0.2934])
    """
    return default_generator.manual_seed(int(seed))


def seed() -> int:
    """Seed the default generator from the system's randomness; give the seed."""
    return int(default_generator.seed())


def initial_seed() -> int:
    """Give the seed that the default generator was last given."""
    return int(default_generator.initial_seed())


def get_rng_state() -> Any:
    """Give the default generator's state as a tensor of bytes."""
    return default_generator.get_state()


def set_rng_state(new_state: Any) -> None:
    """Set the default generator's state."""
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(devices: Any = (), enabled: bool = True, **ignored: Any) -> Iterator[None]:
    """Put the default generator's state back when the block ends."""
    state = default_generator.get_state() if enabled else None
    try:
        yield
    finally:
        if state is not None:
            default_generator.set_state(state)


def drawn(kind: str, shape: tuple[int, ...], dtype: Any, generator: Any, **parameters: Any) -> Any:
    """Give a new tensor of draws (library use)."""
    generator = default_generator if generator is None else generator
    if MODE.trace is not None:
        return take(draw, kind=kind, shape=shape, dtype=dtype, parameters=parameters, generator=generator)
    return wrap(np.asarray(KINDS[kind](shape=shape, dtype=dtype, generator=generator, **parameters)))


def _floating(dtype: Any, name: str) -> Any:
    d = _d.get_default_dtype() if dtype is None else _d.from_numpy(_d.to_numpy(dtype))
    if not d.is_floating_point and not d.is_complex:
        raise NotImplementedError(
            f"\"{name}\" not implemented for '{d.name.capitalize()}': draw floating-point numbers and convert them"
        )
    return d


def _maker(name: str, kind: str, doc: str, low_level: dict[str, Any]) -> Any:
    def fn(
        *size: Any,
        generator: Any = None,
        names: Any = None,
        out: Any = None,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        **named: Any,
    ) -> Any:
        there = device is not None and elsewhere(device)
        if "size" in named:
            size = (named.pop("size"),)
        if named:
            raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(named))}'")
        shape = _checked(sizes(size, name))
        if out is not None:
            return _draw_out(out, shape, kind, name, generator)
        if there:
            t = wrap(blank(shape, _floating(dtype, name).numpy))
            return t.requires_grad_() if requires_grad else t
        t = _drawn_number(kind, shape, _floating(dtype, name), generator, low_level)
        return t.requires_grad_() if requires_grad else t

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name, method=False, out=False)(fn)


def _drawn_number(kind: str, shape: tuple[int, ...], d: _d.dtype, generator: Any, parameters: dict[str, Any]) -> Any:
    if not d.is_complex or kind == "normal":
        return drawn(kind, shape, d.numpy, generator, **parameters)
    return apply(view_as_complex, drawn(kind, (*shape, 2), d.to_real().numpy, generator, **parameters))


def _draw_out(out: Any, shape: tuple[int, ...], kind: str, name: str, generator: Any) -> Any:
    """Draw into a given tensor, in its dtype and in the order of its memory."""
    if out._a.shape != shape:
        write_out(out, wrap(np.empty(shape, out._a.dtype)), name)
    return METHODS[f"{kind}_"](out, generator=generator)


rand = _maker("rand", "uniform", "Draw from the uniform distribution on [0, 1).", {})
randn = _maker("randn", "normal", "Draw from the standard normal distribution.", {})


@function("randint", method=False, out=False)
def randint(
    low: Any = 0,
    high: Any = None,
    size: Any = None,
    *,
    generator: Any = None,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """Draw integers from low (0) up to, not including, high."""
    there = device is not None and elsewhere(device)
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if size is None:
        raise TypeError("randint() needs a size, such as randint(10, (3,))")
    d = np.dtype(np.int64) if dtype is None else _d.to_numpy(dtype)
    shape = _checked(sizes((size,), "randint"))
    if there:
        return wrap(blank(shape, d))
    t = drawn("randint", shape, d, generator, low=int(low), high=int(high))
    if out is not None:
        return write_out(out, t, "randint")
    return t.requires_grad_() if requires_grad else t


@function("randperm", method=False, out=False)
def randperm(
    n: int,
    *,
    generator: Any = None,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """Draw a permutation of 0 to n - 1."""
    d = np.dtype(np.int64) if dtype is None else _d.to_numpy(dtype)
    if device is not None and elsewhere(device):
        return wrap(blank((int(n),), d))
    t = drawn("randperm", (int(n),), d, generator)
    return t if out is None else write_out(out, t, "randperm")


def _like_maker(name: str, kind: str, doc: str) -> Any:
    def fn(
        input: Any,
        *,
        generator: Any = None,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        memory_format: Any = None,
    ) -> Any:
        d = _floating(_d.from_numpy(input._a.dtype) if dtype is None else dtype, name)
        if elsewhere(device) or (device is None and is_meta(input)):
            t = wrap(blank(input._a.shape, d.numpy))
            return t.requires_grad_() if requires_grad else t
        if input._a.flags.c_contiguous or 0 in input._a.strides:
            t = _drawn_number(kind, input._a.shape, d, generator, {})
        else:
            t = METHODS[f"{kind}_"](wrap(np.empty_like(input._a, d.numpy)), generator=generator)
        return t.requires_grad_() if requires_grad else t

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name, method=False, out=False)(fn)


rand_like = _like_maker("rand_like", "uniform", "Draw from [0, 1) in another tensor's shape and dtype.")
randn_like = _like_maker("randn_like", "normal", "Draw standard normals in another tensor's shape and dtype.")


@function("randint_like", method=False, out=False)
def randint_like(
    input: Any,
    low: Any,
    high: Any = None,
    *,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Any:
    """Draw integers in another tensor's shape and dtype."""
    if high is None:
        low, high = 0, low
    d = input._a.dtype if dtype is None else _d.to_numpy(dtype)
    if elsewhere(device) or (device is None and is_meta(input)):
        return wrap(blank(input._a.shape, d))
    if input._a.flags.c_contiguous or 0 in input._a.strides:
        return drawn("randint", input._a.shape, d, generator, low=int(low), high=int(high))
    return METHODS["random_"](wrap(np.empty_like(input._a, d)), int(low), int(high), generator=generator)


@function("normal", method=False)
def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Draw from normal distributions with given means and standard deviations (numbers or tensors)."""
    if isinstance(mean, BaseTensor) or isinstance(std, BaseTensor):
        like = mean if isinstance(mean, BaseTensor) else std
        given = [v for v in (mean, std) if isinstance(v, BaseTensor)]
        try:
            shape = np.broadcast_shapes(*(v._a.shape for v in given))
        except ValueError:
            raise shapes_error("normal", tuple(given), here()) from None
        if isinstance(std, BaseTensor) and (std._a < 0).any():
            raise RuntimeError("normal expects all elements of std >= 0.0")
        if not isinstance(std, BaseTensor) and std < 0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
        z = drawn("normal", shape, like._a.dtype, generator)
        mean, std = (v if isinstance(v, BaseTensor) else wrap(np.asarray(v, like._a.dtype)) for v in (mean, std))
        return _with(mean, std, z * std.detach() + mean.detach())
    if size is None:
        raise TypeError("normal() of two numbers needs a size")
    d = _floating(dtype, "normal")
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    t = drawn("normal", _checked(sizes((size,), "normal")), d.numpy, generator, mean=float(mean), std=float(std))
    return t.requires_grad_() if requires_grad else t


def _with(*parameters_and_draw: Any) -> Any:
    """Give a draw the history that PyTorch gives it: its parameters' gradients are zero."""
    *parameters, result = parameters_and_draw
    for p in parameters:
        if p.requires_grad and p._a.dtype == result._a.dtype:
            result = apply(drawn_with, p, result)
    return result


@function("bernoulli")
def bernoulli(input: Any, p: Any = None, *, generator: Any = None) -> Any:
    """Draw ones with the probabilities given by the elements (or by ``p``)."""
    g = default_generator if generator is None else generator
    if p is not None:
        return drawn("bernoulli", input._a.shape, input._a.dtype, generator, p=float(p))
    if input._a.dtype.kind in "iub":
        raise NotImplementedError(
            "\"bernoulli_tensor_cpu_p_\" not implemented for 'Long': probabilities are floating-point numbers"
        )
    return _with(input, take(draw_like, input.detach(), kind="bernoulli", generator=g))


@function("poisson", method=False)
def poisson(input: Any, generator: Any = None) -> Any:
    """Draw Poisson counts with the rates given by the elements."""
    g = default_generator if generator is None else generator
    return _with(input, take(draw_like, input.detach(), kind="poisson", generator=g))


@function("binomial", method=False)
def binomial(count: Any, prob: Any, generator: Any = None) -> Any:
    """Draw numbers of successes in ``count`` trials of probability ``prob``."""
    return wrap(np.asarray(streams.binomial(count._a, prob._a, default_generator if generator is None else generator)))


@function("multinomial")
def multinomial(input: Any, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Any:
    """Draw indices with probabilities in proportion to the elements of a row."""
    g = default_generator if generator is None else generator
    return take(
        draw_like, input.detach(), kind="multinomial", generator=g, num_samples=num_samples, replacement=replacement
    )
