"""Floor 1: the words every other room uses."""

from __future__ import annotations

from .allocation import keep_large_blocks, look_for_cycles_less_often
from .device import CPU, META, check_device, device, elsewhere
from .door import PICK, apply, attach_outputs, modified, quiet_off, quiet_on, refresh, with_history
from .dtypes import dtype, finfo, from_numpy, get_default_dtype, iinfo, promote_types, set_default_dtype, to_numpy
from .errors import at, shapes_error, show_call, show_type
from .graph import Graph, reachable
from .meta import MetaArray, blank, is_meta, no_data
from .mode import (
    MODE,
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    mode,
    no_grad,
    set_grad_enabled,
)
from .node import FREED, BaseTensor, Handle, Hooks, Node, Storage, leaf_node, register_tensor, tensor_class, wrap
from .op import REGISTRY, Op, Rule
from .place import Place, describe, here, line_of
from .saving import Held, Keeper
from .types import TensorType, typeof
from .writes import STRAIGHT, VIEW_WRITE, assign, check_writable

keep_large_blocks()
look_for_cycles_less_often()

__all__ = [
    "CPU",
    "FREED",
    "MODE",
    "PICK",
    "REGISTRY",
    "STRAIGHT",
    "VIEW_WRITE",
    "BaseTensor",
    "Graph",
    "Handle",
    "Held",
    "Hooks",
    "Keeper",
    "Node",
    "Op",
    "Place",
    "Rule",
    "Storage",
    "TensorType",
    "apply",
    "assign",
    "at",
    "attach_outputs",
    "META",
    "MetaArray",
    "blank",
    "check_device",
    "elsewhere",
    "is_meta",
    "no_data",
    "check_writable",
    "describe",
    "device",
    "dtype",
    "enable_grad",
    "finfo",
    "from_numpy",
    "get_default_dtype",
    "here",
    "iinfo",
    "inference_mode",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "leaf_node",
    "line_of",
    "mode",
    "modified",
    "no_grad",
    "promote_types",
    "quiet_off",
    "quiet_on",
    "reachable",
    "refresh",
    "register_tensor",
    "set_default_dtype",
    "set_grad_enabled",
    "shapes_error",
    "show_call",
    "show_type",
    "tensor_class",
    "to_numpy",
    "typeof",
    "with_history",
    "wrap",
]
