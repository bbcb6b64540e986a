"""What ``compile`` gives: compiled functions, and modules that keep the face of the module they were made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..nn import Module
from .compiled import Compiled

BACKENDS = (
    "retrograd",
    "inductor",
    "eager",
    "aot_eager",
    "aot_eager_decomp_partition",
    "cudagraphs",
    "onnxrt",
    "openxla",
    "tvm",
)
MODES = (None, "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")


class OptimizedModule(Module):
    """A module whose calls run compiled; its state, its names and its children are those of the module it was made of.

    Examples
    --------
    >>> import retrograd as torch
    >>> net = torch.compile(torch.nn.Linear(2, 1))
    >>> sorted(net.state_dict())
    ['_orig_mod.bias', '_orig_mod.weight']
    """

    def __init__(self, module: Module, fullgraph: bool = False) -> None:
        super().__init__()
        self._orig_mod = module
        self.__dict__["_compiled"] = Compiled(module, fullgraph, type(module).__name__)
        self.training = module.training

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._compiled(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the compiled module."""
        return self._compiled(*args, **kwargs)

    def explain(self, **options: Any) -> Any:
        """Tell what the module's calls have become: see :func:`retrograd.compiler.explain.explain`."""
        return self._compiled.explain(**options)

    def train(self, mode: bool = True) -> Any:
        """Put the module in training mode."""
        super().train(mode)
        return self

    def __getattr__(self, name: str) -> Any:
        if name in ("_orig_mod", "_modules"):
            return super().__getattr__(name)
        return getattr(self._orig_mod, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("_orig_mod", "training") or "_compiled" not in self.__dict__:
            super().__setattr__(name, value)
            if name == "training" and "_orig_mod" in self.__dict__.get("_modules", {}):
                self._orig_mod.training = value
        else:
            setattr(self._orig_mod, name, value)

    def __dir__(self) -> Any:
        return sorted({*super().__dir__(), *dir(self._orig_mod)})

    def __len__(self) -> int:
        return len(self._orig_mod)

    def __iter__(self) -> Any:
        return iter(self._orig_mod)

    def __getitem__(self, key: Any) -> Any:
        return self._orig_mod[key]  # type: ignore[index]

    def __repr__(self) -> str:
        return f"OptimizedModule(\n  (_orig_mod): {repr(self._orig_mod).replace(chr(10), chr(10) + '  ')}\n)"

    def __deepcopy__(self, memo: Any) -> Any:
        import copy

        return OptimizedModule(copy.deepcopy(self._orig_mod, memo), self._compiled.fullgraph)

    def __reduce__(self) -> Any:
        return OptimizedModule, (self._orig_mod, self._compiled.fullgraph)


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "retrograd",
    mode: str | None = None,
    options: Any = None,
    disable: bool = False,
) -> Any:
    """See ``retrograd.compile``."""
    if model is None:

        def decorate(fn: Callable[..., Any]) -> Any:
            return compile(
                fn, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode, options=options, disable=disable
            )

        return decorate
    if not callable(model):
        raise RuntimeError(f"compile expects a function or a module, got {type(model).__name__}")
    if mode is not None and options is not None:
        raise RuntimeError("Either mode or options can be specified, but both can't be specified at the same time.")
    if mode not in MODES:
        raise RuntimeError(f"Unrecognized mode={mode}, should be one of: {', '.join(str(m) for m in MODES[1:])}")
    if isinstance(backend, str) and backend not in BACKENDS:
        raise RuntimeError(f"Invalid backend: {backend!r}; this library has one compiler: leave backend out")
    if disable or backend == "eager" or isinstance(model, (Compiled, OptimizedModule)):
        return model
    if isinstance(model, Module):
        return OptimizedModule(model, fullgraph)
    if isinstance(model, type):
        raise RuntimeError(
            f"compile expects a function or a module, got the class {model.__name__}: compile an instance of it"
        )
    return Compiled(model, fullgraph)
