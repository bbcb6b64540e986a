"""torch.fx: programs as Graphs that can be read, changed and written down as Python again."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from . import _symbolic_trace, graph, graph_module, interpreter, node, passes, proxy, subgraph_rewriter
from ._symbolic_trace import PH as PH
from ._symbolic_trace import PHBase as PHBase
from ._symbolic_trace import Tracer as Tracer
from ._symbolic_trace import symbolic_trace as symbolic_trace
from ._symbolic_trace import wrap as wrap
from .graph import Graph as Graph
from .graph_module import GraphModule as GraphModule
from .interpreter import Interpreter as Interpreter
from .interpreter import Transformer as Transformer
from .node import Node as Node
from .node import has_side_effect as has_side_effect
from .node import map_arg as map_arg
from .proxy import Proxy as Proxy
from .subgraph_rewriter import replace_pattern as replace_pattern


def __getattr__(name: str) -> Any:
    from ..utils._names import missing

    raise missing(__name__, name, __all__)


# what libraries ask of a trace by values: there is none
experimental = ModuleType(f"{__name__}.experimental", "torch.fx.experimental")
proxy_tensor = ModuleType(f"{__name__}.experimental.proxy_tensor", "torch.fx.experimental.proxy_tensor")
experimental.__dict__["proxy_tensor"] = proxy_tensor
proxy_tensor.__dict__["get_proxy_mode"] = lambda: None
sys.modules.setdefault(experimental.__name__, experimental)
sys.modules.setdefault(proxy_tensor.__name__, proxy_tensor)

__all__ = [
    "Graph",
    "GraphModule",
    "Interpreter",
    "Node",
    "PH",
    "Proxy",
    "Tracer",
    "Transformer",
    "has_side_effect",
    "map_arg",
    "replace_pattern",
    "symbolic_trace",
    "wrap",
]
