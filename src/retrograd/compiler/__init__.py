"""The compiler: captured programs become machine code (built late, never at `import retrograd`).

Its face has the names of torch.compiler, which ask about a compiled run or keep something out of one; a program that runs
eagerly is told so.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from ..core import MODE


def is_compiling() -> bool:
    """Tell whether this code is being captured for torch.compile."""
    return MODE.trace is not None and getattr(MODE.trace, "compiling", False)


is_dynamo_compiling = is_exporting = is_compiling


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """Keep a function out of compiled ones: a compiled function that calls it runs eagerly.

    Examples
    --------
    >>> from retrograd.compiler import disable
    >>> disable(max)(1, 2)
    2
    """
    if fn is None:
        return lambda f: disable(f, recursive, reason=reason)

    @functools.wraps(fn, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        if is_compiling():
            MODE.trace.reasons.append(f"{getattr(fn, '__name__', fn)} is kept out by torch.compiler.disable")
        return fn(*args, **kwargs)

    return call


def opaque(fn: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Let a function be one step, whatever it is made of: compiled functions call it between their parts, ``fullgraph`` ones too."""
    from .reasons import Opaque

    @functools.wraps(fn, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        if not is_compiling():
            return fn(*args, **kwargs)
        trace = MODE.trace
        trace.reasons.append(Opaque(f"{name} is an operator of the program's own"))
        MODE.trace = None
        MODE.settle()
        try:
            return fn(*args, **kwargs)
        finally:
            MODE.trace = trace
            MODE.settle()

    return call


def allow_in_graph(fn: Any) -> Any:
    """Give the function (or functions) as it is."""
    return fn


def assume_constant_result(fn: Any) -> Any:
    """Give the function as it is."""
    return fn


def substitute_in_graph(original_fn: Any, **options: Any) -> Callable[[Any], Any]:
    """Give a decorator that changes nothing."""
    return lambda fn: fn


def wrap_numpy(fn: Any) -> Callable[..., Any]:
    """Make a function of NumPy arrays one of tensors; its results' memory is shared with them.

    Examples
    --------
    >>> import numpy as np
    >>> import retrograd as torch
    >>> torch.compiler.wrap_numpy(np.sqrt)(torch.tensor([4.0, 9.0]))
    tensor([2., 3.])
    """
    import numpy as np

    from ..tensor import Tensor, as_tensor

    def given(x: Any) -> Any:
        return x.numpy() if isinstance(x, Tensor) else x

    def made(x: Any) -> Any:
        if isinstance(x, (tuple, list)):
            return type(x)(map(made, x))
        return as_tensor(x) if isinstance(x, (np.ndarray, np.generic)) else x

    @functools.wraps(fn)
    def call(*args: Any, **options: Any) -> Any:
        return made(fn(*map(given, args), **{name: given(x) for name, x in options.items()}))

    return call


def epoch(step: Any, data: Any, **options: Any) -> Any:
    """Run a step over all batches of a loader, natively from one batch to the next.

    A method of compiled functions too; its arguments and what it gives are told by :func:`retrograd.compiler.epochs.epoch`.

    Examples
    --------
    >>> import retrograd as torch
    >>> total = torch.zeros(())
    >>> def step(x):
    ...     total.add_(x.sum())
    ...     return total.clone()
    >>> torch.compiler.epoch(step, (torch.arange(6.0),), batch_size=2)
    tensor([ 1.,  6., 15.])
    """
    from .epochs import epoch as run

    return run(step, data, **options)


def reset() -> None:
    """Forget what was compiled."""


def cudagraph_mark_step_begin() -> None:
    """Say that a new step begins, which matters to no CPU."""


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """Give the names that torch.compile takes as ``backend``."""
    return ["retrograd"]


@contextlib.contextmanager
def set_stance(stance: str = "default", **options: Any) -> Iterator[None]:
    """Accept how torch.compile should act within a context."""
    yield


def compile(*args: Any, **options: Any) -> Any:
    """Do what ``torch.compile`` does."""
    import sys

    return sys.modules["retrograd"].compile(*args, **options)
