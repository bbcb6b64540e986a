"""torch._dynamo: what programs ask of it (reset, settings, the class of compiled modules), over `retrograd.compiler`."""

from __future__ import annotations

import contextlib
import importlib
from types import ModuleType
from typing import Any

from .compiler import (
    allow_in_graph,
    assume_constant_result,
    disable,
    is_compiling,
    list_backends,
    reset,
    substitute_in_graph,
)
from .utils._settings import Settings

__all__ = [
    "allow_in_graph",
    "assume_constant_result",
    "config",
    "disable",
    "explain",
    "graph_break",
    "is_compiling",
    "list_backends",
    "mark_dynamic",
    "mark_static",
    "mark_static_address",
    "maybe_mark_dynamic",
    "optimize",
    "reset",
    "substitute_in_graph",
]

config = Settings(
    f"{__name__}.config",
    {
        "accumulated_recompile_limit": 256,
        "allow_rnn": False,
        "cache_size_limit": 8,
        "capture_dynamic_output_shape_ops": False,
        "capture_func_transforms": True,
        "compiled_autograd": False,
        "dynamic_shapes": True,
        "error_on_recompile": False,
        "fail_on_recompile_limit_hit": False,
        "force_parameter_static_shapes": True,
        "log_level": 30,
        "recompile_limit": 8,
        "report_guard_failures": True,
        "skip_nnmodule_hook_guards": True,
        "specialize_float": False,
        "specialize_int": False,
        "suppress_errors": False,
        "verbose": False,
        "capture_scalar_outputs": False,
        "automatic_dynamic_shapes": True,
        "assume_static_by_default": True,
        "optimize_ddp": True,
        "guard_nn_modules": True,
        "inline_inbuilt_nn_modules": True,
        "allow_unspec_int_on_nn_module": False,
    },
)


def optimize(backend: Any = "inductor", **options: Any) -> Any:
    """Give the decorator that compiles a function or module.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch._dynamo.optimize("eager")(lambda x: x + 1)(torch.tensor(1.0))
    tensor(2.)
    """
    from . import compile

    return lambda model: compile(model, backend=backend)


def explain(f: Any, *extra_args: Any, **extra_kwargs: Any) -> Any:
    """Give a function of example arguments that compiles ``f`` and tells what became of it."""
    from . import compile

    made = compile(f)

    def told(*args: Any, **kwargs: Any) -> Any:
        for _ in range(3):  # the first call is watched, the second captured
            made(*args, **kwargs)
        return made.explain()

    return told(*extra_args, **extra_kwargs) if extra_args or extra_kwargs else told


def graph_break(msg: str = "") -> None:
    """Do nothing: a program is compiled whole, or runs eagerly."""


def mark_dynamic(t: Any, index: Any, **options: Any) -> None:
    """Do nothing: each size has a program of its own."""


maybe_mark_dynamic = mark_static = mark_static_address = mark_dynamic


def __getattr__(name: str) -> Any:
    if name == "OptimizedModule":
        return importlib.import_module(".compiler.optimized", __package__).OptimizedModule
    if name == "eval_frame":
        made = ModuleType(f"{__name__}.eval_frame", "torch._dynamo.eval_frame: the class of compiled modules.")
        made.OptimizedModule = __getattr__("OptimizedModule")  # type: ignore[attr-defined]
        return made
    if name == "_trace_wrapped_higher_order_op":
        made = ModuleType(f"{__name__}.{name}", "Indexing by a mapped number, which vmap takes as it is.")
        made.TransformGetItemToIndex = contextlib.nullcontext  # type: ignore[attr-defined]
        return made
    from .utils._names import missing

    raise missing(__name__, name, __all__)
