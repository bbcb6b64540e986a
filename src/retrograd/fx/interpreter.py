"""Running a Graph Node by Node, each kind by a method of its own; and making another Graph so."""

from __future__ import annotations

from typing import Any

from ._symbolic_trace import Tracer
from .graph import Graph
from .graph_module import GraphModule
from .node import Node, map_aggregate, map_arg
from .proxy import Proxy


class Interpreter:
    """A run of a GraphModule, Node by Node: subclasses see and change what each does.

    Examples
    --------
    >>> import retrograd as torch
    >>> class Loud(torch.fx.Interpreter):
    ...     def call_function(self, target, args, kwargs):
    ...         print(target.__name__)
    ...         return super().call_function(target, args, kwargs)
    >>> Loud(torch.fx.symbolic_trace(lambda x: torch.relu(x) + 1)).run(torch.zeros(1))
    relu
    add
    tensor([1.])
    """

    def __init__(self, module: Any, garbage_collect_values: bool = True, graph: Graph | None = None) -> None:
        self.module: Any = module
        self.graph = graph if graph is not None else module.graph
        self.submodules = dict(module.named_modules())
        self.garbage_collect_values = garbage_collect_values
        self.env: dict[Node, Any] = {}
        self.name = "Interpreter"
        self.extra_traceback = True
        last: dict[Node, Node] = {}
        self.user_to_last_uses: dict[Node, list[Node]] = {}
        for node in reversed(self.graph.nodes):
            for arg in node.all_input_nodes:
                if arg not in last:
                    last[arg] = node
                    self.user_to_last_uses.setdefault(node, []).append(arg)

    def run(self, *args: Any, initial_env: dict[Node, Any] | None = None, enable_io_processing: bool = True) -> Any:
        """Run the program on arguments and give its result."""
        self.env = dict(initial_env) if initial_env is not None else {}
        self.args_iter = iter(args)
        for node in self.graph.nodes:
            if node in self.env:
                continue
            try:
                self.env[node] = self.run_node(node)
            except Exception as error:
                if self.extra_traceback:
                    error.add_note(f"While executing {node.format_node()}")
                raise
            if node.op == "output":
                return self.env[node]
            if self.garbage_collect_values:
                for gone in self.user_to_last_uses.get(node, ()):
                    del self.env[gone]
        return None

    def boxed_run(self, args_list: list[Any]) -> Any:
        """Run the program on arguments taken out of a list."""
        args = list(args_list)
        args_list.clear()
        return self.run(*args)

    def run_node(self, n: Node) -> Any:
        """Run one Node."""
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        return getattr(self, n.op)(n.target, args, kwargs)

    def placeholder(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Take the next argument of the program, or its default."""
        if target.startswith("*"):
            return list(self.args_iter)
        for held in self.args_iter:
            return held
        if args:
            return args[0]
        raise RuntimeError(f"Expected positional argument for parameter {target}, but one was not passed in!")

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Read an attribute of the module."""
        return self.fetch_attr(target)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Call a function."""
        return target(*args, **kwargs)

    def call_method(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Call a method of the first argument."""
        owner, *rest = args
        return getattr(owner, target)(*rest, **kwargs)

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Call a module."""
        return self.fetch_attr(target)(*args, **kwargs)

    def output(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Give the result."""
        return args[0]

    def fetch_attr(self, target: str) -> Any:
        """Give what lies at a dotted path of the module."""
        held: Any = self.module
        for i, part in enumerate(target.split(".")):
            if not hasattr(held, part):
                raise RuntimeError(f"Node referenced nonexistent target {'.'.join(target.split('.')[: i + 1])}")
            held = getattr(held, part)
        return held

    def fetch_args_kwargs_from_env(self, n: Node) -> tuple[Any, Any]:
        """Give a Node's arguments with values in place of Nodes."""
        return self.map_nodes_to_values(n.args, n), self.map_nodes_to_values(n.kwargs, n)

    def map_nodes_to_values(self, args: Any, n: Node) -> Any:
        """Put values in place of Nodes."""

        def value(arg: Node) -> Any:
            if arg not in self.env:
                raise RuntimeError(
                    f"Node {n} referenced nonexistent value {arg}! Run Graph.lint() to diagnose such issues"
                )
            return self.env[arg]

        found = map_arg(args, value)
        return _plain(found)


def _plain(a: Any) -> Any:
    """Give lists and dicts that may be changed."""
    if isinstance(a, tuple):
        held = [_plain(x) for x in a]
        return type(a)(*held) if hasattr(a, "_fields") else tuple(held)
    if isinstance(a, list):
        return [_plain(x) for x in a]
    if isinstance(a, dict):
        return {k: _plain(v) for k, v in a.items()}
    return a


class _WholeTracer(Tracer):
    def __init__(self, graph: Graph, root: Any) -> None:
        super().__init__()
        self.graph, self.root = graph, root

    def is_leaf_module(self, m: Any, module_qualified_name: str) -> bool:
        return True


class Transformer(Interpreter):
    """An Interpreter that runs on Proxies: what its methods do becomes another GraphModule.

    Examples
    --------
    >>> import retrograd as torch
    >>> class Smooth(torch.fx.Transformer):
    ...     def call_function(self, target, args, kwargs):
    ...         return super().call_function(
    ...             torch.sigmoid if target is torch.relu else target, args, kwargs
    ...         )
    >>> print(Smooth(torch.fx.symbolic_trace(lambda x: torch.relu(x))).transform().code.strip())
    def forward(self, x):
        sigmoid = torch.sigmoid(x);  x = None
        return sigmoid
    """

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self.new_graph = Graph(tracer_cls=module.graph._tracer_cls)
        self.tracer = _WholeTracer(self.new_graph, module)

    def placeholder(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Make an argument of the new program."""
        default = args[0] if args else ...
        return Proxy(self.new_graph.placeholder(target, default_value=default), self.tracer)

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Make the reading of an attribute."""
        return self.tracer.create_proxy("get_attr", target, args, kwargs)

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Make the call of a module, whole."""
        module = self.fetch_attr(target)
        return self.tracer.call_module(module, module.forward, args, kwargs)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Make the call of a function."""
        return self.tracer.create_proxy("call_function", target, args, kwargs)

    def transform(self) -> GraphModule:
        """Give the new program."""
        result = super().run()
        if result is not None:
            new = map_aggregate(result, lambda a: a.node if isinstance(a, Proxy) else a)
            self.new_graph.output(new, type_expr=self.graph.output_node().type)
        return GraphModule(self.module, self.new_graph)


__all__ = ["Interpreter", "Transformer"]
