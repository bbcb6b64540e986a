"""Sequences of plain modules run as one composed function: one Node, straight-line NumPy, no call per module."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from ...core import MODE, BaseTensor
from ...tensor.composed import Table
from .. import functional as F
from . import handles

MOST_BYTES = (
    16 << 20
)  # beyond this, overhead is small, and letting activations go one by one during backward saves memory
NONE: tuple[Any, ...] = ()

# how a module of exactly this type is a function of its input, parameters and settings
Plain = tuple[Callable[[Any], tuple[Any, ...] | None], tuple[str, ...], Callable[..., Any]]
PLAIN: dict[type, Plain] = {}
_GLOBAL = (
    handles._global_forward_hooks,
    handles._global_forward_pre_hooks,
    handles._global_backward_hooks,
    handles._global_backward_pre_hooks,
)
_tables: weakref.WeakKeyDictionary[Any, dict[Any, Any]] = weakref.WeakKeyDictionary()


def plain(
    module: type,
    parameters: tuple[str, ...],
    settings: Callable[[Any], tuple[Any, ...] | None],
    apply: Callable[..., Any],
) -> None:
    """Say that a module's forward is ``apply(x, *parameters, *settings)`` and nothing else; settings of None say it is not."""
    PLAIN[module] = (settings, parameters, apply)


def run(modules: dict[str, Any], owner: Any, x: Any) -> Any:
    """Run modules as one function, or give None where they have to be called one by one."""
    if MODE.special or not isinstance(x, BaseTensor) or _GLOBAL[0] or _GLOBAL[1] or _GLOBAL[2] or _GLOBAL[3]:
        return None
    shape: list[Any] = []
    xs: list[Any] = [x]
    for module in modules.values():
        kind = PLAIN.get(module.__class__)
        own = module.__dict__
        if (
            kind is None
            or own["_forward_hooks"]
            or own["_forward_pre_hooks"]
            or own["_backward_hooks"]
            or own["_backward_pre_hooks"]
            or "forward" in own
        ):
            return None
        held = own["_parameters"]
        for name in kind[1]:
            if name not in held:
                return None
            xs.append(held[name])
        shape.append(kind)
        settings = kind[0]
        setting = NONE if settings is _nothing else settings(module)
        if setting is None:
            return None
        shape.append(setting)
    key = tuple(shape)
    tables = _tables.get(owner)
    if tables is None:
        tables = _tables[owner] = {}
    table = tables.get(key)
    if table is None:
        table = tables[key] = Table(_function(key), MOST_BYTES)
    given = tuple(xs)
    program, mask = table.find(given)
    return None if program is None else program.run(given, mask)


def _function(key: tuple[Any, ...]) -> Callable[..., Any]:
    """Give the function of input and parameters that a sequence of modules is."""
    steps = list(zip(key[::2], key[1::2], strict=True))

    def sequential(x: Any, *parameters: Any) -> Any:
        rest = iter(parameters)
        for (_, names, apply), settings in steps:
            x = apply(x, *[next(rest) for _ in names], *settings)
        return x

    return sequential


def _nothing(module: Any) -> tuple[Any, ...]:
    return NONE


def _register() -> None:
    from . import activation, flatten, linear

    plain(linear.Linear, ("weight", "bias"), _nothing, F.linear)
    plain(linear.Identity, (), _nothing, lambda x: x[...])
    plain(activation.ReLU, (), lambda m: None if m.inplace else NONE, F.relu)
    plain(activation.Tanh, (), _nothing, F.tanh)
    plain(activation.Sigmoid, (), _nothing, F.sigmoid)
    plain(activation.GELU, (), lambda m: (m.approximate,), lambda x, how: F.gelu(x, approximate=how))
    plain(flatten.Flatten, (), lambda m: (m.start_dim, m.end_dim), lambda x, a, b: x.flatten(a, b))


_register()
