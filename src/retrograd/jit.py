"""torch.jit: scripted and traced functions are the functions themselves, run eagerly.

>>> import retrograd as torch
>>> @torch.jit.script
... def double(x):
...     return 2 * x
>>> double(torch.tensor(2.0))
tensor(4.)
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import typing
from types import ModuleType
from typing import Any, NamedTuple
from typing import Final as Final


def script(obj: Any = None, **options: Any) -> Any:
    """Give a function, class or module itself, a module with its ``original_name``; without one, a decorator."""
    return (lambda fn: fn) if obj is None else _named(obj)


def trace(func: Any = None, example_inputs: Any = None, **options: Any) -> Any:
    """Give a function or module itself, called with no example; without one, a decorator."""
    return (lambda fn: fn) if func is None else _named(func)


def trace_module(mod: Any, inputs: Any = None, **options: Any) -> Any:
    """Give a module itself."""
    return _named(mod)


def _named(obj: Any) -> Any:
    """Note in a module the name of its class, by which programs print it and `ScriptModule` knows it."""
    from .nn import Module

    if builtins.isinstance(obj, Module):
        obj.__dict__["original_name"] = type(obj).__name__
        if not hasattr(obj, "save"):  # what a scripted module has, unless its class has one
            obj.__dict__["save"] = functools.partial(save, obj)
    return obj


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


unused = _drop = interface = script_method = export


def _overload(fn: Any) -> Any:
    """Give a signature unchanged: the last definition is what runs."""
    return fn


_overload_method = _overload


class ScriptWarning(Warning):
    """What scripting warns of in PyTorch, by which programs silence it; here, nothing does."""


class TracingCheckError(Exception):
    """What tracing raises in PyTorch when a second run differs; here, nothing does."""


class TracerWarning(Warning):
    """What tracing warns of in PyTorch, by which programs silence it; here, nothing does."""

    @staticmethod
    def ignore_lib_warnings() -> None:
        """Silence nothing."""


def is_scripting() -> bool:
    """Tell that this is plain Python: False."""
    return False


is_tracing = is_scripting


def annotate(the_type: Any, the_value: Any) -> Any:
    """Give the value."""
    return the_value


def isinstance(obj: Any, target_type: Any) -> bool:
    """Tell whether a value is of a type."""
    return builtins.isinstance(obj, target_type)


def save(m: Any, f: Any, **options: Any) -> None:
    """Save a module whole, by pickle, with a warning: it is no TorchScript program, and `load` here is what reads it.

    Raises TypeError for what is no module.
    """
    import warnings

    from .nn import Module
    from .serialization import save as save_file

    if not builtins.isinstance(m, Module):
        raise TypeError(f"torch.jit.save: a module is expected, not {type(m).__name__}")
    warnings.warn(
        "torch.jit.save: modules run eagerly here, so the module itself is saved, not a TorchScript program; "
        "m.state_dict() with torch.save is what PyTorch reads too",
        UserWarning,
        stacklevel=2,
    )
    save_file(m, f)


def load(f: Any, map_location: Any = None, **options: Any) -> Any:
    """Load what `save` wrote; RuntimeError for a TorchScript program, which cannot be run."""
    import zipfile

    from .serialization import load as load_file

    if zipfile.is_zipfile(f):
        with zipfile.ZipFile(f) as archive:
            if any(name.endswith("constants.pkl") for name in archive.namelist()):
                raise RuntimeError(
                    "torch.jit.load: TorchScript programs cannot be run here; export the state_dict and build the module in Python"
                )
    if hasattr(f, "seek"):
        f.seek(0)
    return load_file(f, map_location=map_location, weights_only=False)


class Error(RuntimeError):
    """What scripting raises in PyTorch; here, nothing does."""


class Attribute(NamedTuple):
    """A module's attribute with the type that TorchScript should see."""

    value: Any
    type: Any


class Future:
    """The result of a `fork`, which was computed at once."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def wait(self) -> Any:
        """Give the result."""
        return self._value

    value = wait

    def done(self) -> bool:
        """Tell whether the result is there: yes."""
        return True


def fork(func: Any, *args: Any, **kwargs: Any) -> Future:
    """Run a function, at once."""
    return Future(func(*args, **kwargs))


def wait(future: Future) -> Any:
    """Give the result of a `fork`."""
    return future.wait()


class ScriptFunction:
    """The class of scripted functions in PyTorch: a name for annotations and isinstance, which holds for none here."""


class CompilationUnit:
    """Not to be made: TorchScript is not compiled here."""

    def __init__(self, *args: Any, **options: Any) -> None:
        raise NotImplementedError(
            "torch.jit.CompilationUnit: TorchScript is not compiled here; define the function in Python"
        )


def _unwrap_optional(x: Any) -> Any:
    """Give a value that is not None; AssertionError for None."""
    assert x is not None, "Unwrapping null optional"
    return x


@contextlib.contextmanager
def optimized_execution(should_optimize: Any) -> Any:
    """A block in which scripted code is, or is not, optimised in PyTorch; here it does nothing."""
    yield


fuser = optimized_execution


def run_frozen_optimizations(mod: Any, optimize_numerics: bool = True, preserved_methods: Any = None) -> None:
    """Do nothing: a frozen module is the module itself."""


def script_if_tracing(fn: Any) -> Any:
    """Give a function unchanged."""
    return fn


def set_fusion_strategy(strategy: Any) -> list[Any]:
    """Accept a strategy; nothing is fused by it."""
    return []


def enable_onednn_fusion(enabled: bool) -> None:
    """Accept the wish; there is no oneDNN."""


def onednn_fusion_enabled() -> bool:
    """Tell whether oneDNN fuses: no."""
    return False


class strict_fusion:
    """A block in which PyTorch warns of what it could not fuse; here it does nothing."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: Any) -> None:
        return None


def export_opnames(m: Any) -> list[str]:
    """Give the operations of a scripted module: none are known."""
    return []


def __getattr__(name: str) -> Any:
    if name in ("ScriptModule", "RecursiveScriptModule", "TracedModule", "TopLevelTracedModule"):
        found = globals()[name] = _script_module()
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@functools.cache
def _script_module() -> type:
    """Make the class of scripted modules: its subclasses' instances, and modules that were scripted or traced."""
    from .nn import Module

    class Scripted(type):
        def __instancecheck__(cls, instance: Any) -> bool:
            scripted = cls is ScriptModule and builtins.isinstance(instance, Module)
            return (scripted and "original_name" in vars(instance)) or super().__instancecheck__(instance)

    class ScriptModule(Module, metaclass=Scripted):
        """A module that a program wrote as TorchScript: here a module like any other."""

        @property
        def original_name(self) -> str:
            """The name of its class."""
            return type(self).__name__

    ScriptModule.__qualname__ = "ScriptModule"
    return ScriptModule


__all__ = [
    "Attribute",
    "CompilationUnit",
    "Error",
    "Future",
    "ScriptFunction",
    "ScriptWarning",
    "TracingCheckError",
    "enable_onednn_fusion",
    "export_opnames",
    "fork",
    "fuser",
    "onednn_fusion_enabled",
    "optimized_execution",
    "run_frozen_optimizations",
    "script_if_tracing",
    "script_method",
    "set_fusion_strategy",
    "strict_fusion",
    "wait",
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


def _annotations() -> ModuleType:
    """Give torch.jit.annotations: the types that scripted code was annotated with, which are typing's."""
    made = ModuleType(f"{__name__}.annotations", "torch.jit.annotations: typing's names.")
    for name in ("Any", "Callable", "Dict", "List", "Optional", "Tuple", "Union"):
        setattr(made, name, getattr(typing, name))
    return made


globals()["annotations"] = _annotations()  # over the name that `from __future__ import annotations` leaves
