"""What stands for a value while a program is traced: every operation on it becomes a Node."""

from __future__ import annotations

import dis
import enum
import inspect
import operator
import sys
from typing import Any

from ..core import BaseTensor
from ..core import device as device_type
from ..core import dtype as dtype_type
from ..tensor import Tensor, protocol
from . import naming
from .graph import Graph
from .node import Node, map_aggregate


class TraceError(ValueError):
    """A program asked for what only a value knows."""


class ParameterProxy:
    """A name of PyTorch's: parameters are Nodes that read an attribute here."""


BASE_TYPES = (str, int, float, bool, complex, type(None), type(...), BaseTensor, dtype_type, device_type, enum.Enum)


class TracerBase:
    """How Proxies are made, and what becomes of a call's arguments; `Tracer` goes through a module or function with it."""

    graph: Graph
    trace_asserts = False
    proxy_buffer_attributes = False
    record_stack_traces = False

    def create_node(
        self, kind: str, target: Any, args: Any, kwargs: Any, name: Any = None, type_expr: Any = None
    ) -> Node:
        """Add a Node; a tracer of one's own may give it more."""
        return self.graph.create_node(kind, target, args, kwargs, name, type_expr)

    def proxy(self, node: Node) -> Proxy:
        """Make what stands for a Node's value."""
        return Proxy(node, self)

    def create_proxy(
        self,
        kind: str,
        target: Any,
        args: Any,
        kwargs: Any,
        name: str | None = None,
        type_expr: Any = None,
        proxy_factory_fn: Any = None,
    ) -> Any:
        """Add a Node for a call with Proxies among its arguments, and give what stands for its value."""
        args_, kwargs_ = self.create_arg(args), self.create_arg(kwargs)
        node = self.create_node(kind, target, tuple(args_), dict(kwargs_), name, type_expr)
        return self.proxy(node) if proxy_factory_fn is None else proxy_factory_fn(node)

    def create_arg(self, a: Any) -> Any:
        """Give an argument as a Node holds it."""
        if isinstance(a, Proxy):
            return a.node
        if isinstance(a, tuple):
            held = [self.create_arg(x) for x in a]
            return type(a)(*held) if hasattr(a, "_fields") else tuple(held)
        if isinstance(a, list):
            return [self.create_arg(x) for x in a]
        if isinstance(a, dict):
            return {self._key(k): self.create_arg(v) for k, v in a.items()}
        if isinstance(a, slice):
            return slice(self.create_arg(a.start), self.create_arg(a.stop), self.create_arg(a.step))
        if isinstance(a, range):
            return range(self.create_arg(a.start), self.create_arg(a.stop), self.create_arg(a.step))
        if isinstance(a, (Node, *BASE_TYPES, type)) or naming.of_torch(a) is not None:
            return a
        if type(a).__module__.startswith("retrograd.core"):  # memory formats, layouts
            return a
        raise NotImplementedError(f"argument of type: {type(a)}")

    def _key(self, key: Any) -> Any:
        if isinstance(key, Proxy):
            raise RuntimeError(
                f"Keys for dictionaries used as an argument cannot contain a Node. Got key: {key.node.name}"
            )
        return key

    def to_bool(self, obj: Proxy) -> bool:
        """Answer a condition on a Proxy: nothing knows."""
        raise TraceError("symbolically traced variables cannot be used as inputs to control flow")

    def iter(self, obj: Any) -> Any:
        """Answer a loop over a Proxy: only an unpacking says how many items there are."""
        frame: Any = sys._getframe(2)
        steps = list(dis.get_instructions(frame.f_code))
        at = next((i for i, step in enumerate(steps) if step.offset == frame.f_lasti), None)
        step = steps[at] if at is not None else None
        if step is not None and step.opname == "UNPACK_SEQUENCE":
            return (obj[i] for i in range(step.argval))
        raise TraceError(
            "Proxy object cannot be iterated. This can be attempted when the Proxy is used in a loop or as a *args or "
            "**kwargs function argument. See the torch.fx docs on pytorch.org for a more detailed explanation of what "
            "types of control flow can be traced, and check out the Proxy docstring for help troubleshooting Proxy "
            "iteration errors"
        )

    def keys(self, obj: Proxy) -> Any:
        """Answer ``proxy.keys()``."""
        return Attribute(obj, "keys")()


class GraphAppendingTracer(TracerBase):
    """A tracer that adds Nodes to a Graph that is there."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph


class Proxy:
    """What stands for a value: operators, methods, attributes and torch's functions of it are Nodes of the traced program.

    Examples
    --------
    >>> import retrograd as torch
    >>> graph = torch.fx.Graph()
    >>> x = torch.fx.Proxy(graph.placeholder("x"))
    >>> torch.relu(x) * 2
    Proxy(mul)
    """

    def __init__(self, node: Node, tracer: TracerBase | None = None) -> None:
        self.tracer = tracer if tracer is not None else GraphAppendingTracer(node.graph)
        self.node = node
        protocol.install()

    def __repr__(self) -> str:
        return f"Proxy({self.node.name})"

    def __getattr__(self, k: str) -> Any:
        return Attribute(self, k)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    def __setstate__(self, d: dict[str, Any]) -> None:
        self.__dict__ = d

    def __deepcopy__(self, memo: Any) -> Proxy:
        return Proxy(self.node, self.tracer)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_method", "__call__", (self, *args), kwargs)

    def __iter__(self) -> Any:
        return self.tracer.iter(self)

    def __abs__(self) -> Any:
        return self.tracer.create_proxy("call_function", operator.abs, (self,), {})

    def __bool__(self) -> bool:
        return self.tracer.to_bool(self)

    def keys(self) -> Any:
        """Give what stands for the keys of a mapping."""
        return self.tracer.keys(self)

    def __len__(self) -> int:
        raise RuntimeError(
            "'len' is not supported in symbolic tracing by default. If you want this call to be recorded, please call "
            "torch.fx.wrap('len') at module scope"
        )

    @classmethod
    def __torch_function__(cls, orig_method: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Make a call of one of torch's functions a Node."""
        kwargs = kwargs or {}
        tracers: dict[Any, None] = {}

        def find(a: Any) -> Any:
            if isinstance(a, Proxy):
                tracers.setdefault(a.tracer)
            return a

        map_aggregate((args, kwargs), find)
        if len(tracers) > 1:
            raise RuntimeError(
                f"Found multiple different tracers {list(tracers)} while trying to trace operations {orig_method}"
            )
        tracer = next(iter(tracers))
        name = naming.torch_names().get(orig_method)
        if name is None and (method := _method_name(orig_method)) is not None:
            return tracer.create_proxy("call_method", method, args, kwargs)
        if name is not None and name.startswith("torch.nn.functional."):
            args, kwargs = _by_name(orig_method, args, kwargs)
        return tracer.create_proxy("call_function", orig_method, args, kwargs)


def _method_name(fn: Any) -> str | None:
    """Give the name of a Tensor's method; None of other functions."""
    if isinstance(getattr(fn, "__self__", None), property):
        return None
    name = getattr(fn, "__name__", "")
    held = getattr(Tensor, name, None)
    return name if held is fn or getattr(held, "__wrapped__", None) is fn else None


def _by_name(fn: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Give every argument that has a default by its name, defaults too, as PyTorch's functions written in Python do."""
    signature = inspect.signature(fn)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError:
        return args, kwargs
    bound.apply_defaults()
    placed: list[Any] = []
    named: dict[str, Any] = {}
    for name, held in bound.arguments.items():
        kind = signature.parameters[name]
        if kind.kind is kind.VAR_POSITIONAL:
            placed.extend(held)
        elif kind.kind is kind.VAR_KEYWORD:
            named.update(held)
        elif kind.default is kind.empty and kind.kind is not kind.KEYWORD_ONLY:
            placed.append(held)
        else:
            named[name] = held
    return tuple(placed), named


class Attribute(Proxy):
    """An attribute of a Proxy: a method when it is called, else a Node that reads it once it is used."""

    def __init__(self, root: Proxy, attr: str) -> None:
        self.root, self.attr, self.tracer = root, attr, root.tracer
        self._node: Node | None = None

    @property
    def node(self) -> Node:  # type: ignore[override]
        """The Node that reads the attribute: made when it is first asked for, because a method's would not be used."""
        if self._node is None:
            self._node = self.tracer.create_proxy("call_function", getattr, (self.root, self.attr), {}).node
        return self._node

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_method", self.attr, (self.root, *args), kwargs)


def _operators() -> None:
    names = (
        "add",
        "sub",
        "mul",
        "truediv",
        "floordiv",
        "mod",
        "pow",
        "matmul",
        "lshift",
        "rshift",
        "and_",
        "or_",
        "xor",
    )
    for name in (*names, "lt", "le", "eq", "ne", "gt", "ge", "getitem", "neg", "pos", "invert"):
        fn = getattr(operator, name)

        def forward(*args: Any, fn: Any = fn) -> Any:
            tracer = args[0].tracer
            return tracer.create_proxy("call_function", fn, args, {})

        setattr(Proxy, f"__{name.rstrip('_')}__", forward)
    for name in names:
        fn = getattr(operator, name)

        def backward(self: Any, other: Any, fn: Any = fn) -> Any:
            return self.tracer.create_proxy("call_function", fn, (other, self), {})

        setattr(Proxy, f"__r{name.rstrip('_')}__", backward)
    Proxy.__hash__ = object.__hash__  # type: ignore[method-assign]


_operators()
__all__ = ["Attribute", "GraphAppendingTracer", "ParameterProxy", "Proxy", "TraceError", "TracerBase"]
