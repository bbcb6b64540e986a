"""A traced program as a list of Nodes, which can be changed, checked, printed, and written down as Python."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from .naming import Names, snake
from .node import Node, map_arg
from .writing import PythonCode, written


class _Nodes:
    """The Nodes of a Graph in their order; a Node may be erased or moved while one goes through them."""

    def __init__(self, root: Node, backward: bool = False) -> None:
        self._root, self._backward = root, backward

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Node]:
        node = self._root._prev if self._backward else self._root._next
        while node is not self._root:
            if not node._erased:
                yield node
            node = node._prev if self._backward else node._next

    def __reversed__(self) -> _Nodes:
        return _Nodes(self._root, not self._backward)


class Graph:
    """A program: Nodes in the order in which they run.

    Examples
    --------
    >>> import retrograd as torch
    >>> graph = torch.fx.Graph()
    >>> x = graph.placeholder("x")
    >>> y = graph.call_function(torch.relu, (x,))
    >>> _ = graph.output(y)
    >>> print(graph)
    graph():
        %x : [num_users=1] = placeholder[target=x]
        %relu : [num_users=1] = call_function[target=torch.relu](args = (%x,), kwargs = {})
        return relu
    """

    def __init__(self, owning_module: Any = None, tracer_cls: Any = None, tracer_extras: Any = None) -> None:
        self._root = Node(self, "", "root", "", (), {})
        self._names = Names()
        self._insert: Callable[[Node], None] = self._root.prepend
        self.owning_module, self._tracer_cls, self._tracer_extras = owning_module, tracer_cls, tracer_extras

    @property
    def nodes(self) -> _Nodes:
        """The Nodes in the order in which they run."""
        return _Nodes(self._root)

    def find_nodes(self, *, op: str, target: Any = None, sort: bool = True) -> list[Node]:
        """Give the Nodes of one kind, with one target where it is given."""
        return [node for node in self.nodes if node.op == op and (target is None or node.target == target)]

    def output_node(self) -> Node:
        """Give the Node that returns."""
        return self.find_nodes(op="output")[-1]

    # -- making Nodes ----------------------------------------------------------------------------------------------------------------
    def create_node(
        self,
        op: str,
        target: Any,
        args: Any = None,
        kwargs: Any = None,
        name: str | None = None,
        type_expr: Any = None,
    ) -> Node:
        """Add a Node at the place where Nodes are inserted now."""
        args, kwargs = () if args is None else args, {} if kwargs is None else kwargs
        if not isinstance(args, tuple) or not isinstance(kwargs, dict):
            raise AssertionError("args must be a tuple and kwargs a dict")
        given = self._names.give(name if name is not None else self._wish(op, target))
        node = Node(self, given, op, target, args, kwargs, type_expr)
        if self.owning_module is not None:
            for hook in getattr(self.owning_module, "_create_node_hooks", ()):
                hook(node)
        self._insert(node)
        return node

    @staticmethod
    def _wish(op: str, target: Any) -> str:
        if callable(target):
            wish = str(getattr(target, "__name__", type(target).__name__))
        elif op == "output":
            wish = "output"
        else:
            wish = str(target).lstrip("*") if op == "placeholder" else str(target)
            if op == "placeholder" and target.startswith("*"):
                wish = f"_{wish}"
        if wish.startswith("__") and wish.endswith("__") and len(wish) > 4:
            wish = wish[2:-2]
        return snake(wish)

    def placeholder(self, name: str, type_expr: Any = None, default_value: Any = ...) -> Node:
        """Add an argument of the program."""
        args = () if default_value is ... else (default_value,)
        return self.create_node("placeholder", name, args, type_expr=type_expr)

    def get_attr(self, qualified_name: str, type_expr: Any = None) -> Node:
        """Add the reading of an attribute of the module that owns the program."""
        return self.create_node("get_attr", qualified_name, type_expr=type_expr)

    def call_module(self, module_name: str, args: Any = None, kwargs: Any = None, type_expr: Any = None) -> Node:
        """Add the call of a module at a dotted path."""
        return self.create_node("call_module", module_name, args, kwargs, type_expr=type_expr)

    def call_method(self, method_name: str, args: Any = None, kwargs: Any = None, type_expr: Any = None) -> Node:
        """Add the call of a method of the first argument."""
        return self.create_node("call_method", method_name, args, kwargs, type_expr=type_expr)

    def call_function(
        self, the_function: Any, args: Any = None, kwargs: Any = None, type_expr: Any = None, name: Any = None
    ) -> Node:
        """Add the call of a function."""
        return self.create_node("call_function", the_function, args, kwargs, name=name, type_expr=type_expr)

    def output(self, result: Any, type_expr: Any = None) -> Node:
        """Add what the program returns."""
        return self.create_node("output", "output", (result,), type_expr=type_expr)

    def node_copy(self, node: Node, arg_transform: Callable[[Node], Any] = lambda x: x) -> Node:
        """Add a copy of another Graph's Node, its Nodes among the arguments replaced by what the function gives for each."""
        args, kwargs = map_arg(node.args, arg_transform), map_arg(node.kwargs, arg_transform)
        made = self.create_node(node.op, node.target, args, dict(kwargs), node.name, node.type)
        made.meta = dict(node.meta)
        return made

    def graph_copy(self, g: Graph, val_map: dict[Node, Node], return_output_node: bool = False) -> Any:
        """Add copies of another Graph's Nodes; what that one returns is given back, not returned here."""
        for node in g.nodes:
            if node in val_map:
                continue
            if node.op == "output":
                found = map_arg(node.args[0], lambda n: val_map[n])
                return (found, node) if return_output_node else found
            val_map[node] = self.node_copy(node, lambda n: val_map[n])
        return None

    def __deepcopy__(self, memo: Any = None) -> Graph:
        made = Graph(tracer_cls=self._tracer_cls)
        output = made.graph_copy(self, {}, return_output_node=True)
        if output is not None:
            result, old = output
            new = made.output(result, type_expr=old.type)
            new.meta = dict(old.meta)
        return made

    # -- changing ----------------------------------------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def _inserting(self, insert: Callable[[Node], None]) -> Iterator[None]:
        before, self._insert = self._insert, insert
        try:
            yield
        finally:
            self._insert = before

    def inserting_before(self, n: Node | None = None) -> Any:
        """Give a block in which new Nodes come before one; without one, at the program's start."""
        if n is None:
            return self._inserting(self._root.append)
        if n.graph is not self:
            raise AssertionError("Node to insert before is not in graph.")
        return self._inserting(n.prepend)

    def inserting_after(self, n: Node | None = None) -> Any:
        """Give a block in which new Nodes come after one; without one, at the program's end."""
        if n is None:
            return self._inserting(self._root.prepend)
        if n.graph is not self:
            raise AssertionError("Node to insert after is not in graph.")
        at = n

        def insert(node: Node) -> None:
            nonlocal at
            at.append(node)
            at = node

        return self._inserting(insert)

    def erase_node(self, to_erase: Node) -> None:
        """Take a Node out that nobody uses."""
        if to_erase.users:
            raise RuntimeError(
                f"Tried to erase Node {to_erase} but it still had {len(to_erase.users)} users in the graph: {to_erase.users}!"
            )
        if to_erase.graph is not self:
            raise RuntimeError(f"Attempting to remove {to_erase} from wrong graph!")
        if to_erase._erased:
            return
        to_erase._remove_from_list()
        to_erase._erased = True
        to_erase._set((), {})

    def eliminate_dead_code(self, is_impure_node: Callable[[Node], bool] | None = None) -> bool:
        """Erase the Nodes whose values nobody uses and that do nothing else; tell whether there were any."""
        self.lint()
        impure = is_impure_node or Node.is_impure
        changed = False
        for node in reversed(self.nodes):
            if not node.users and not impure(node):
                self.erase_node(node)
                changed = True
        return changed

    # -- checking and showing -----------------------------------------------------------------------------------------------------------
    def lint(self) -> None:
        """Check the program: each Node's arguments come before it and are this Graph's, and names are given once."""
        seen: set[Node] = set()
        names: set[str] = set()
        for node in self.nodes:
            if node.graph is not self:
                raise RuntimeError(f"Node '{node}' does not belong to this Graph!")
            for arg in node.all_input_nodes:
                if arg.graph is not self:
                    raise RuntimeError(
                        f"Argument '{arg}' of Node '{node}' does not belong to this Graph, but was used!"
                    )
                if arg not in seen:
                    raise RuntimeError(
                        f"Argument '{arg}' of Node '{node}' was used before it has been defined! Please check that Nodes in "
                        f"the graph are topologically ordered\n{self}"
                    )
            if node.name in names:
                raise RuntimeError(f"Node redefined name {node.name}!")
            seen.add(node)
            names.add(node.name)
            if self.owning_module is not None and node.op in ("get_attr", "call_module"):
                self._lint_path(node)

    def _lint_path(self, node: Node) -> None:
        held: Any = self.owning_module
        for part in node.target.split("."):
            if not hasattr(held, part):
                raise RuntimeError(
                    f"Node {node} target {node.target} references nonexistent attribute {part} of {node.target}"
                )
            held = getattr(held, part)

    def print_tabular(self) -> None:
        """Print the Nodes as a table."""
        rows = [(n.op, n.name, str(n.target), str(n.args), str(n.kwargs)) for n in self.nodes]
        heads = ("opcode", "name", "target", "args", "kwargs")
        widths = [max(len(head) + 2, *map(len, column)) for head, *column in zip(heads, *rows, strict=True)]
        for row in (heads, tuple("-" * width for width in widths), *rows):
            line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
            print(line.rstrip())  # noqa: T201  printing is what it is for

    def __str__(self) -> str:
        lines = [node.format_node() for node in self.nodes]
        return "graph():" + "".join(f"\n    {line}" for line in lines)

    def python_code(self, root_module: str = "self", *, verbose: bool = False, **ignored: Any) -> PythonCode:
        """Write the program as a Python function ``forward``, with what its names mean."""
        return written(self, root_module)

    def set_codegen(self, codegen: Any) -> None:
        """Raise NotImplementedError: programs are written one way here."""
        raise NotImplementedError("Graph.set_codegen: traced programs are written one way in retrograd")


__all__ = ["Graph", "PythonCode"]
