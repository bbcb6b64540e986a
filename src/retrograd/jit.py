"""torch.jit: scripted and traced functions are the functions themselves, run eagerly.

>>> import retrograd as torch
>>> @torch.jit.script
... def double(x):
...     return 2 * x
>>> double(torch.tensor(2.0))
tensor(4.)
"""

from __future__ import annotations

from typing import Any


def script(obj: Any = None, **options: Any) -> Any:
    """Give a function, class or module unchanged; without one, a decorator."""
    return (lambda fn: fn) if obj is None else obj


def trace(func: Any = None, example_inputs: Any = None, **options: Any) -> Any:
    """Give a function or module unchanged, called with no example; without one, a decorator."""
    return (lambda fn: fn) if func is None else func


def trace_module(mod: Any, inputs: Any = None, **options: Any) -> Any:
    """Give a module unchanged."""
    return mod


def freeze(mod: Any, **options: Any) -> Any:
    """Give a module unchanged."""
    return mod


optimize_for_inference = freeze


def ignore(drop: Any = False, **options: Any) -> Any:
    """Give a method unchanged."""
    return drop if callable(drop) else (lambda fn: fn)


def export(fn: Any) -> Any:
    """Give a method unchanged."""
    return fn


unused = export
interface = export


def is_scripting() -> bool:
    """Tell that this is plain Python: False."""
    return False


is_tracing = is_scripting


def annotate(the_type: Any, the_value: Any) -> Any:
    """Give the value."""
    return the_value


def isinstance(obj: Any, target_type: Any) -> bool:
    """Tell whether a value is of a type."""
    import builtins

    return builtins.isinstance(obj, target_type)


def save(m: Any, f: Any, **options: Any) -> None:
    """Raise RuntimeError: there is no TorchScript program to save."""
    raise RuntimeError(
        "torch.jit.save: functions run eagerly here, so there is no program to save; save m.state_dict() with torch.save"
    )


def load(f: Any, **options: Any) -> Any:
    """Raise RuntimeError: TorchScript programs cannot be run."""
    raise RuntimeError(
        "torch.jit.load: TorchScript programs cannot be run here; export the state_dict and build the module in Python"
    )


__all__ = [
    "annotate",
    "export",
    "freeze",
    "ignore",
    "interface",
    "is_scripting",
    "is_tracing",
    "isinstance",
    "load",
    "optimize_for_inference",
    "save",
    "script",
    "trace",
    "trace_module",
    "unused",
]
