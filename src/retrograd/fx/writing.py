"""A Graph written down as a Python function."""

from __future__ import annotations

import enum
import operator
import types
import typing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from .naming import GIVEN, Names, is_builtin, of_torch, qualified
from .node import Node, map_arg, type_text

if TYPE_CHECKING:
    from .graph import Graph

BETWEEN = {
    **{getattr(operator, name): sign for name, sign in (("add", "+"), ("sub", "-"), ("mul", "*"), ("truediv", "/"))},
    **{
        getattr(operator, name): sign
        for name, sign in (("floordiv", "//"), ("mod", "%"), ("pow", "**"), ("matmul", "@"))
    },
    **{
        getattr(operator, name): sign
        for name, sign in (("lshift", "<<"), ("rshift", ">>"), ("and_", "&"), ("or_", "|"))
    },
    **{getattr(operator, name): sign for name, sign in (("xor", "^"), ("lt", "<"), ("le", "<="), ("eq", "=="))},
    **{getattr(operator, name): sign for name, sign in (("ne", "!="), ("gt", ">"), ("ge", ">="))},
}
BEFORE = {operator.neg: "-", operator.pos: "+", operator.invert: "~"}
IN_PLACE = {
    getattr(operator, f"i{name}"): f"{sign}="
    for name, sign in (
        *(("add", "+"), ("sub", "-"), ("mul", "*"), ("truediv", "/"), ("floordiv", "//"), ("mod", "%"), ("pow", "**")),
        *(("matmul", "@"), ("lshift", "<<"), ("rshift", ">>"), ("and", "&"), ("or", "|"), ("xor", "^")),
    )
}


@dataclass
class PythonCode:
    """The text of a program, and the values of the names in it that it does not make itself."""

    src: str
    globals: dict[str, Any] = field(repr=False)


def path(base: str, target: str) -> str:
    """Write the way from a module to what lies at a dotted path; what is no identifier is asked for by ``getattr``."""
    for part in target.split("."):
        base = f"{base}.{part}" if part.isidentifier() else f'getattr({base}, "{part}")'
    return base


class _Writer:
    """What is written, and the names it uses, while a Graph is gone through once."""

    def __init__(self, graph: Graph) -> None:
        self.names = Names()
        for node in graph.nodes:
            self.names.taken.add(node.name)
        self.globals: dict[str, Any] = dict(GIVEN)
        self.wrapped: dict[str, None] = {}
        self.held: dict[int, str] = {}
        self.free: list[str] = []
        self.lines: list[str] = []
        self.returns = ""

    def known(self, value: Any) -> str:
        """Give the text by which a program names a function, class or other value of Python's."""
        name = of_torch(value)
        if name is not None and _resolves(name, value):
            return name
        if is_builtin(value):
            return str(value.__name__)
        if id(value) not in self.held:
            text = self.names.give(qualified(value).replace(".", "_"))
            self.held[id(value)] = text
            self.globals[text] = value
        return self.held[id(value)]

    def annotation(self, kind: Any) -> str:
        """Write the type of a value."""
        if kind is None or kind is type(None):
            return "None"
        if kind is Ellipsis:
            return "..."
        args = typing.get_args(kind)
        if args:
            return f"{self._generic(kind)}[{','.join('NoneType' if a is type(None) else self.annotation(a) for a in args)}]"
        if isinstance(kind, str):
            return repr(kind)
        return self.known(kind) if isinstance(kind, type) or callable(kind) else type_text(kind)

    def _generic(self, kind: Any) -> str:
        home = typing.get_origin(kind)
        if isinstance(kind, types.GenericAlias):
            return self.annotation(home)
        name = (
            "Union" if home in (typing.Union, types.UnionType) else str(kind).partition("[")[0].removeprefix("typing.")
        )
        self.globals[f"typing_{name}"] = getattr(typing, name, typing.Any)
        return f"typing_{name}"

    def value(self, a: Any) -> str:
        """Write an argument."""
        if isinstance(a, Node):
            return a.name
        if isinstance(a, tuple) and hasattr(a, "_fields"):
            return f"{self.known(type(a))}({', '.join(map(self.value, a))})"
        if isinstance(a, tuple):
            return f"({', '.join(map(self.value, a))}{',' if len(a) == 1 else ''})"
        if isinstance(a, list):
            return f"[{', '.join(map(self.value, a))}]"
        if isinstance(a, dict):
            return f"{{{', '.join(f'{self.value(k)}: {self.value(v)}' for k, v in a.items())}}}"
        if isinstance(a, slice):
            return f"slice({self.value(a.start)}, {self.value(a.stop)}, {self.value(a.step)})"
        if isinstance(a, enum.Enum):
            return f"{self.known(type(a))}.{a.name}"
        if isinstance(a, (type, types.FunctionType, types.BuiltinFunctionType)):
            return self.known(a)
        return repr(a)

    def call(self, args: Any, kwargs: Any) -> str:
        """Write what stands between a call's parentheses."""
        return ", ".join([*map(self.value, args), *(f"{k} = {self.value(v)}" for k, v in kwargs.items())])

    # -- one Node ---------------------------------------------------------------------------------------------------------------
    def node(self, node: Node, root: str) -> str:
        """Write a Node's statement; nothing of one that only is an argument's name."""
        kind = "" if node.type is None else f" : {self.annotation(node.type)}"
        if node.op == "placeholder":
            default = f" = {self.value(node.args[0])}" if node.args else ""
            self.free.append(f"{node.target}{kind}{default}")
            raw = node.target.replace("*", "")
            return "" if raw == node.name else f"{node.name} = {raw}\n"
        if node.op == "output":
            self.returns = "" if node.type is None else f" -> {self.annotation(node.type)}"
            return f"return {self.value(node.args[0])}"
        return f"{node.name}{kind} = {self.expression(node, root)}"

    def expression(self, node: Node, root: str) -> str:
        """Write what a Node's value is."""
        args, kwargs = node.args, node.kwargs
        if node.op == "get_attr":
            return path(root, node.target)
        if node.op == "call_module":
            return f"{path(root, node.target)}({self.call(args, kwargs)})"
        if node.op == "call_method":
            return f"{path(self.value(args[0]), node.target)}({self.call(args[1:], kwargs)})"
        target = node.target
        if not kwargs:
            if target in BETWEEN and len(args) == 2:
                return f"{self.value(args[0])} {BETWEEN[target]} {self.value(args[1])}"
            if target in BEFORE and len(args) == 1:
                return f"{BEFORE[target]}{self.value(args[0])}"
            if target in IN_PLACE and len(args) == 2:
                return f"{self.value(args[0])};  {node.name} {IN_PLACE[target]} {self.value(args[1])}"
            if target is operator.getitem and len(args) == 2:
                return f"{self.value(args[0])}[{self.value(args[1])}]"
            if target is getattr and len(args) == 2 and isinstance(args[1], str) and args[1].isidentifier():
                return f"{self.value(args[0])}.{args[1]}"
        name = self.known(target)
        if node.meta.get("is_wrapped"):
            self.wrapped.setdefault(name)
        return f"{name}({self.call(args, kwargs)})"


def _resolves(name: str, value: Any) -> bool:
    held: Any = GIVEN["torch"]
    for part in name.split(".")[1:]:
        held = getattr(held, part, None)
    return held is value


def _last_uses(graph: Graph) -> dict[Node, list[Node]]:
    """Tell, by Node, which values are used there for the last time."""
    last: dict[Node, Node] = {}
    found: dict[Node, list[Node]] = {}

    def used(arg: Node, user: Node) -> Node:
        if arg not in last:
            last[arg] = user
            found.setdefault(user, []).append(arg)
        return arg

    for node in reversed(graph.nodes):
        map_arg((node.args, node.kwargs), partial(used, user=node))
    return found


def written(graph: Graph, root: str = "self") -> PythonCode:
    """Write a Graph as a function ``forward`` whose first argument is named ``root``."""
    writer, last = _Writer(graph), _last_uses(graph)
    body = ""
    for node in graph.nodes:
        line = writer.node(node, root)
        if node.op in ("placeholder", "output"):
            body += line
            continue
        gone = [arg.name for arg in last.get(node, ())] + ([] if node.users else [node.name])
        body += line + (f";  {' = '.join(gone)} = None\n" if gone else "\n")
    wraps = "\n".join(f'torch.fx._symbolic_trace.wrap("{name}")' for name in writer.wrapped)
    text = "\n".join(f"    {line}" for line in (body or "pass\n").split("\n"))
    if not text.endswith("\n    "):
        text += "\n    "
    free = writer.free
    if not free or not free[0].startswith(root):
        free = [root, *free]
    return PythonCode(f"\n{wraps}\n\ndef forward({', '.join(free)}){writer.returns}:\n{text}", writer.globals)
