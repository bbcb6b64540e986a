"""torch.fx: the mark that keeps a function whole in a traced graph; graphs themselves are `retrograd.autodiff`'s."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


def wrap(fn_or_name: Any) -> Any:
    """Mark a function as one that a tracer takes whole, and give it back; nothing here traces into functions.

    Examples
    --------
    >>> import retrograd as torch
    >>> @torch.fx.wrap
    ... def area(box):
    ...     return (box[2] - box[0]) * (box[3] - box[1])
    >>> area([0, 0, 2, 3])
    6
    """
    if not isinstance(fn_or_name, str) and not callable(fn_or_name):
        raise RuntimeError("Unsupported type for global function! Must be either a callable or string name")
    return fn_or_name


class GraphModule:
    """Not to be made, nor is anything one: `retrograd.compile` traces programs, and its ``explain()`` shows the graphs."""

    def __init__(self, *args: Any, **options: Any) -> None:
        raise NotImplementedError(
            f"torch.fx.{type(self).__name__}: graphs are not taken apart as modules here; "
            "torch.compile(model).explain() shows the graph of a traced call"
        )


class Tracer(GraphModule):
    """Not to be made."""


def symbolic_trace(root: Any, concrete_args: Any = None) -> Any:
    """Raise NotImplementedError: see `GraphModule`."""
    return GraphModule(root)


def __getattr__(name: str) -> Any:
    from .utils._names import missing

    raise missing(__name__, name, __all__)


# what libraries ask of a symbolic trace: there is none
experimental = ModuleType(f"{__name__}.experimental", "torch.fx.experimental")
proxy_tensor = ModuleType(f"{__name__}.experimental.proxy_tensor", "torch.fx.experimental.proxy_tensor")
experimental.__dict__["proxy_tensor"] = proxy_tensor
proxy_tensor.__dict__["get_proxy_mode"] = lambda: None
sys.modules.setdefault(experimental.__name__, experimental)
sys.modules.setdefault(proxy_tensor.__name__, proxy_tensor)

__all__ = ["GraphModule", "Tracer", "symbolic_trace", "wrap"]
