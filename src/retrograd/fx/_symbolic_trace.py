"""Going through a module's forward, or a function, with Proxies in place of its arguments."""

from __future__ import annotations

import builtins
import inspect
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FunctionType
from typing import Any

import retrograd

from ..core import BaseTensor
from ..nn import Module, Parameter, Sequential
from ..tensor import protocol
from .graph import Graph
from .graph_module import GraphModule
from .node import map_aggregate
from .proxy import Proxy, TracerBase

# functions that a trace takes whole: the namespace that has them, and the name there
_wrapped: dict[tuple[int, str], dict[str, Any]] = {}
_wrapped_methods: list[tuple[Any, str]] = []
_HERE = object()


class PHBase:
    """What ``concrete_args`` has where an argument is to stay one."""

    def __repr__(self) -> str:
        return "PH"


PH = PHBase()


def wrap(fn_or_name: Any) -> Any:
    """Mark a function of the calling module as one that traces take whole: its call is a Node when a Proxy is among its arguments.

    Called at a module's own level, as a decorator or with the name of a function used there (of a builtin too).

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
    frame = sys._getframe(1)
    if isinstance(fn_or_name, str):
        name = fn_or_name
    else:
        name = fn_or_name.__name__
    if frame.f_code.co_name != "<module>":
        raise NotImplementedError("wrap must be called at the top level of a module")
    _wrapped[id(frame.f_globals), name] = frame.f_globals
    return fn_or_name


def _found(args: Any) -> Proxy | None:
    found: list[Proxy] = []

    def look(a: Any) -> Any:
        if isinstance(a, Proxy):
            found.append(a)
        return a

    map_aggregate(args, look)
    return found[0] if found else None


def _whole(fn: Any) -> Any:
    """Give a function that makes its call a Node when a Proxy is among its arguments."""

    def called(*args: Any, **kwargs: Any) -> Any:
        proxy = _found((args, kwargs))
        if proxy is None:
            return fn(*args, **kwargs)
        made = proxy.tracer.create_proxy("call_function", fn, args, kwargs)
        made.node.meta["is_wrapped"] = True
        return made

    called.__wrapped__ = fn  # type: ignore[attr-defined]
    called.__name__ = getattr(fn, "__name__", "called")
    return called


@contextmanager
def _replaced(place: Any, name: str, value: Any) -> Iterator[None]:
    """Put something into a namespace, and back what was there."""
    names = place if isinstance(place, dict) else None
    before = names.get(name, _HERE) if names is not None else place.__dict__.get(name, _HERE)
    if names is not None:
        names[name] = value
    else:
        setattr(place, name, value)
    try:
        yield
    finally:
        if names is not None and before is _HERE:
            del names[name]
        elif names is not None:
            names[name] = before
        elif before is _HERE:
            delattr(place, name)
        else:
            setattr(place, name, before)


class Tracer(TracerBase):
    """A trace of a module or function into a Graph.

    What a subclass may change: ``is_leaf_module`` says which modules are taken whole; ``call_module``, ``create_node``,
    ``create_arg``, ``create_proxy``, ``proxy``, ``to_bool``, ``iter`` and ``keys`` what becomes of calls, arguments and questions.

    Examples
    --------
    >>> import retrograd as torch
    >>> print(torch.fx.Tracer().trace(torch.nn.Sequential(torch.nn.ReLU())))
    graph():
        %input_1 : [num_users=1] = placeholder[target=input]
        %_0 : [num_users=1] = call_module[target=0](args = (%input_1,), kwargs = {})
        return _0
    """

    def __init__(
        self,
        autowrap_modules: Any = (math,),
        autowrap_functions: Any = (),
        param_shapes_constant: bool = False,
    ) -> None:
        self._whole_modules, self._whole_functions = tuple(autowrap_modules), tuple(autowrap_functions)
        self.param_shapes_constant = param_shapes_constant
        self.submodule_paths: dict[Module, str] | None = None
        self.tensor_attrs: dict[int, str] = {}
        self.root: Any = None

    def is_leaf_module(self, m: Module, module_qualified_name: str) -> bool:
        """Tell whether a module is one Node: those of ``torch.nn`` are, except Sequential."""
        return type(m).__module__.startswith(("retrograd.nn", "torch.nn")) and not isinstance(m, Sequential)

    def path_of_module(self, mod: Module) -> str:
        """Give the dotted path of a module below the root."""
        paths = self.submodule_paths or {}
        if mod in paths:
            return paths[mod]
        for name, held in self.root.named_modules():
            if held is mod:
                return str(name)
        raise NameError("module is not installed as a submodule")

    def call_module(self, m: Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Call a module: as one Node, or through its forward."""
        name = self.path_of_module(m)
        if self.is_leaf_module(m, name):
            return self.create_proxy("call_module", name, args, kwargs)
        return forward(*args, **kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """Answer the reading of a module's attribute during the trace: a parameter is a Node, the same at each reading."""
        if not isinstance(attr_val, Parameter) and not (
            self.proxy_buffer_attributes and isinstance(attr_val, BaseTensor)
        ):
            return attr_val
        for name, held in (*self.root.named_parameters(), *self.root.named_buffers()):
            if held is attr_val:
                if name not in parameter_proxy_cache:
                    parameter_proxy_cache[name] = self.create_proxy("get_attr", name, (), {})
                return parameter_proxy_cache[name]
        return attr_val

    def get_fresh_qualname(self, prefix: str) -> str:
        """Give a name beginning so that the root has not."""
        i = 0
        while hasattr(self.root, f"{prefix}{i}"):
            i += 1
        return f"{prefix}{i}"

    def create_arg(self, a: Any) -> Any:
        """Give an argument as a Node holds it: tensors and modules are read as the root's attributes."""
        if isinstance(a, Parameter):
            for name, held in self.root.named_parameters():
                if held is a:
                    return self.create_node("get_attr", name, (), {})
            if id(a) not in self.tensor_attrs:
                return self._constant(a, "_param_constant")
        if isinstance(a, BaseTensor):
            for name, held in self.root.named_buffers():
                if held is a:
                    return self.create_node("get_attr", name, (), {})
            return self._constant(a, "_tensor_constant")
        if isinstance(a, Module):
            return self.create_node("get_attr", self.path_of_module(a), (), {})
        if isinstance(a, tuple) and hasattr(a, "_fields"):
            return self.create_node("call_function", type(a), tuple(self.create_arg(x) for x in a), {})
        return super().create_arg(a)

    def _constant(self, a: Any, prefix: str) -> Any:
        name = self.tensor_attrs.get(id(a))
        if name is None:
            name = self.get_fresh_qualname(prefix)
            self.tensor_attrs[id(a)] = name
            setattr(self.root, name, a)
        return self.create_node("get_attr", name, (), {})

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> tuple[Any, list[Any]]:
        """Give the function to run and Proxies for its arguments, each a placeholder; the module stands first."""
        fn = inspect.unwrap(root_fn)
        code = fn.__code__
        total = code.co_argcount + code.co_kwonlyargcount
        names = list(code.co_varnames)
        args: list[Any] = [self.root] if is_module else []
        parameters = inspect.signature(fn).parameters
        if is_module and not total:
            raise RuntimeError("``self`` argument cannot be part of *args expansion!")
        given = concrete_args if concrete_args is not None else {}
        if isinstance(given, tuple):
            given = dict(zip(names[len(args) : total], given, strict=False))
        for count, name in enumerate(names[len(args) : total]):
            args.append(self._argument(name, parameters.get(name), given, count, fn))
        rest = total
        if code.co_flags & inspect.CO_VARARGS:
            args.append(self.create_proxy("placeholder", f"*{names[rest]}", (), {}))
            rest += 1
        if code.co_flags & inspect.CO_VARKEYWORDS:
            args.append(self.create_proxy("placeholder", f"**{names[rest]}", (), {}))
        if not code.co_kwonlyargcount and not code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS):
            return root_fn, args
        placed, named = args[: code.co_argcount], args[code.co_argcount : total]
        named_args = dict(zip(names[code.co_argcount : total], named, strict=True))

        def run(*given: Any) -> Any:
            extra = list(given[total:])
            proxy = extra.pop(0) if code.co_flags & inspect.CO_VARARGS else None
            if proxy is None and not extra:
                return root_fn(*placed, **named_args)
            # what *args and **kwargs are bound to has to be the Proxies themselves, not tuples of them
            flags = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
            plain = fn.__code__.replace(
                co_flags=code.co_flags & ~flags,
                co_argcount=code.co_argcount,
                co_kwonlyargcount=code.co_kwonlyargcount + bool(proxy is not None) + len(extra),
            )
            made = FunctionType(plain, fn.__globals__, fn.__name__, None, fn.__closure__)
            loose = ([proxy] if proxy is not None else []) + extra
            return made(*placed, **named_args, **dict(zip(names[total:], loose, strict=False)))

        return run, args

    def _argument(self, name: str, parameter: Any, given: Any, count: int, fn: Any) -> Any:
        empty = inspect.Parameter.empty
        default = () if parameter is None or parameter.default is empty else (parameter.default,)
        kind = _annotations(fn).get(name)
        if name not in given or isinstance(given[name], PHBase):
            return self.create_proxy("placeholder", name, default, {}, type_expr=kind)
        held = given[name]
        proxy = self.create_proxy("placeholder", f"{name}_{count}", default, {})
        if isinstance(held, (bool, int, float, str)):
            said = f"{name} has been specialized to have value {held} but got another value"
            self.create_proxy("call_function", retrograd._assert, (proxy == held, said), {})
        return held

    @contextmanager
    def _patched(self, fn: Any) -> Iterator[None]:
        """Let modules be called by `call_module`, and functions that are taken whole make Nodes."""
        called = Module.__call__
        active: dict[str, Any] = {}

        def call(module: Any, *args: Any, **kwargs: Any) -> Any:
            def forward(*args: Any, **kwargs: Any) -> Any:
                return called(module, *args, **kwargs)

            return self.call_module(module, forward, args, kwargs)

        read: Any = Module.__getattr__

        def look(module: Any, name: str) -> Any:
            return self.getattr(name, read(module, name), active)

        with ExitStack() as stack:
            stack.enter_context(_replaced(Module, "__call__", call))
            stack.enter_context(_replaced(Module, "__getattr__", look))
            for (_, name), scope in list(_wrapped.items()):
                held = scope.get(name, getattr(builtins, name, None))
                if held is not None:
                    stack.enter_context(_replaced(scope, name, _whole(held)))
            for cls, name in _wrapped_methods:
                stack.enter_context(_replaced(cls, name, _method(name, getattr(cls, name))))
            self._wrap_modules(stack, getattr(fn, "__globals__", {}))
            yield

    def _wrap_modules(self, stack: ExitStack, scope: dict[str, Any]) -> None:
        whole = {id(f): f for f in self._whole_functions}
        for module in self._whole_modules:
            for name, held in list(vars(module).items()):
                if callable(held) and not name.startswith("_"):
                    whole[id(held)] = held
                    stack.enter_context(_replaced(module, name, _whole(held)))
        for name, held in list(scope.items()):
            if id(held) in whole and callable(held):
                stack.enter_context(_replaced(scope, name, _whole(held)))

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> Graph:
        """Go through a module's forward or a function, and give the Graph of what it did."""
        protocol.install()
        if isinstance(root, Module):
            self.root, fn = root, type(root).forward
            self.submodule_paths = {module: name for name, module in root.named_modules()}
        else:
            self.root, fn = Module(), root
            self.submodule_paths = None
        self.graph = Graph(tracer_cls=type(self))
        self.tensor_attrs = {}
        for path, module in self.root.named_modules():
            for name, held in vars(module).items():
                if isinstance(held, BaseTensor):
                    self.tensor_attrs[id(held)] = f"{path}.{name}" if path else name
        run, args = self.create_args_for_root(fn, isinstance(root, Module), concrete_args)
        with self._patched(fn):
            result = run(*args)
        kind = _annotations(inspect.unwrap(fn)).get("return")
        self.create_node("output", "output", (self.create_arg(result),), {}, type_expr=kind)
        return self.graph


def _annotations(fn: Any) -> dict[str, Any]:
    """Give a function's annotations; the library's own are not a program's."""
    own = (getattr(fn, "__module__", None) or "").startswith("retrograd.")
    return {} if own else getattr(fn, "__annotations__", {})


def _method(name: str, held: Any) -> Any:
    def called(*args: Any, **kwargs: Any) -> Any:
        proxy = _found((args, kwargs))
        if proxy is None:
            return held(*args, **kwargs)
        return proxy.tracer.create_proxy("call_method", name, args, kwargs)

    return called


def symbolic_trace(root: Any, concrete_args: dict[str, Any] | None = None) -> GraphModule:
    """Give a module that does what a module or function does, with the Graph of it.

    The function runs once, with Proxies in place of its arguments: a condition on a value raises `TraceError`; one on an
    argument named in ``concrete_args`` is decided by what that has.

    Examples
    --------
    >>> import retrograd as torch
    >>> print(torch.fx.symbolic_trace(lambda x, y: torch.relu(x) + y).code.strip())
    def forward(self, x, y):
        relu = torch.relu(x);  x = None
        add = relu + y;  relu = y = None
        return add
    """
    tracer = Tracer()
    graph = tracer.trace(root, concrete_args)
    name = type(root).__name__ if isinstance(root, Module) else root.__name__
    return GraphModule(tracer.root, graph, name)


__all__ = ["PH", "PHBase", "Tracer", "symbolic_trace", "wrap"]
