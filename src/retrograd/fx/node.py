"""A node of a traced program: one call, one attribute that is read, one argument or the result."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .naming import qualified, shown

if TYPE_CHECKING:
    from .graph import Graph

KINDS = ("placeholder", "call_method", "call_module", "call_function", "get_attr", "output", "root")


def map_aggregate(a: Any, fn: Callable[[Any], Any]) -> Any:
    """Apply a function to what tuples, lists, dicts and slices hold, and build the same again of what it gives.

    Examples
    --------
    >>> map_aggregate([1, (2, {"a": 3})], lambda x: x + 1 if isinstance(x, int) else x)
    [2, (3, {'a': 4})]
    """
    if isinstance(a, tuple):
        held = [map_aggregate(x, fn) for x in a]
        return type(a)(*held) if hasattr(a, "_fields") else tuple(held)
    if isinstance(a, list):
        return immutable_list(map_aggregate(x, fn) for x in a)
    if isinstance(a, dict):
        return immutable_dict((k, map_aggregate(v, fn)) for k, v in a.items())
    if isinstance(a, slice):
        return slice(*(map_aggregate(x, fn) for x in (a.start, a.stop, a.step)))
    return fn(a)


def map_arg(a: Any, fn: Callable[[Any], Any]) -> Any:
    """Apply a function to the Nodes among arguments, and leave the rest as it is."""
    return map_aggregate(a, lambda x: fn(x) if isinstance(x, Node) else x)


def _fixed(self: Any, *args: Any, **kwargs: Any) -> Any:
    raise NotImplementedError(
        f"'{type(self).__name__}' object does not support mutation. If you are attempting to modify the kwargs or args of a "
        "torch.fx.Node object,\ninstead create a new copy of it and assign the copy to the node:\n    new_args = ...  # copy "
        "and mutate args\n    node.args = new_args"
    )


class immutable_list(list[Any]):
    """A list among a Node's arguments: not to be changed in place, because the Node's users are counted."""

    __slots__ = ()
    for _name in ("append", "extend", "insert", "pop", "remove", "reverse", "sort", "clear"):
        locals()[_name] = _fixed
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _fixed
    del _name

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self))

    def __reduce__(self) -> Any:
        return immutable_list, (tuple(self),)


class immutable_dict(dict[Any, Any]):
    """A dict among a Node's arguments: not to be changed in place, because the Node's users are counted."""

    __slots__ = ()
    for _name in ("pop", "popitem", "update", "setdefault", "clear"):
        locals()[_name] = _fixed
    __setitem__ = __delitem__ = __ior__ = _fixed
    del _name

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> Any:
        return immutable_dict, (tuple(self.items()),)


class Node:
    """One step of a traced program.

    ``op`` says what it does: ``placeholder`` takes an argument of the program, named ``target``, with its default in ``args``;
    ``get_attr`` reads the attribute at the dotted path ``target``; ``call_function`` calls the function ``target``;
    ``call_method`` the method of that name of the first argument; ``call_module`` the module at that path; ``output`` returns
    ``args[0]``. Arguments are Nodes and what Python writes down: numbers, strings, lists, tuples, dicts, slices.
    """

    def __init__(
        self, graph: Graph, name: str, op: str, target: Any, args: Any, kwargs: Any, return_type: Any = None
    ) -> None:
        if op not in KINDS:
            raise AssertionError(f"op must be one of {KINDS}, got {op}")
        if op == "call_function" and not callable(target):
            raise ValueError(
                f"Node [graph = {graph}, name = '{name}'] target {target} has type {type(target)} but a Callable is expected"
            )
        if op not in ("call_function", "root") and not isinstance(target, str):
            raise ValueError(
                f"Node [graph = {graph}, name = '{name}'] target {target} has type {type(target)} but a str is expected"
            )
        self.graph, self.name, self.op, self.target, self.type = graph, name, op, target, return_type
        self.users: dict[Node, None] = {}
        self.meta: dict[str, Any] = {}
        self._input_nodes: dict[Node, None] = {}
        self._args: Any = ()
        self._kwargs: Any = {}
        self._erased = False
        self._prev = self._next = self
        self._repr_fn: Callable[[Node], str] | None = None
        self._set(tuple(args), dict(kwargs))

    # -- arguments, and the nodes among them --------------------------------------------------------------------------------
    def _set(self, args: Any, kwargs: Any) -> None:
        for node in self._input_nodes:
            node.users.pop(self, None)
        self._input_nodes = {}

        def seen(node: Node) -> Node:
            self._input_nodes.setdefault(node)
            node.users.setdefault(self)
            return node

        self._args, self._kwargs = map_arg(args, seen), map_arg(kwargs, seen)

    @property
    def args(self) -> Any:
        """The arguments by place."""
        return self._args

    @args.setter
    def args(self, a: Any) -> None:
        self._set(tuple(a), self._kwargs)

    @property
    def kwargs(self) -> Any:
        """The arguments by name."""
        return self._kwargs

    @kwargs.setter
    def kwargs(self, k: Any) -> None:
        self._set(self._args, dict(k))

    @property
    def all_input_nodes(self) -> list[Node]:
        """The Nodes among the arguments, each once, in their order."""
        return list(self._input_nodes)

    def update_arg(self, idx: int, arg: Any) -> None:
        """Put another argument at a place."""
        args = list(self.args)
        args[idx] = arg
        self.args = tuple(args)

    def insert_arg(self, idx: int, arg: Any) -> None:
        """Put an argument before the one at a place."""
        self.args = (*self.args[:idx], arg, *self.args[idx:])

    def update_kwarg(self, key: str, arg: Any) -> None:
        """Put another argument at a name."""
        self.kwargs = {**self.kwargs, key: arg}

    def replace_input_with(self, old_input: Node, new_input: Node) -> None:
        """Take another Node wherever this one's arguments have the old."""

        def other(node: Node) -> Node:
            return new_input if node is old_input else node

        self._set(map_arg(self.args, other), map_arg(self.kwargs, other))

    def replace_all_uses_with(
        self,
        replace_with: Node,
        delete_user_cb: Callable[[Node], bool] = lambda user: True,
        *,
        propagate_meta: bool = False,
    ) -> list[Node]:
        """Let every user of this Node take another in its stead; the users are given back."""
        if propagate_meta:
            replace_with.meta.update(self.meta)
        changed = []
        for user in list(self.users):
            if delete_user_cb(user):
                user.replace_input_with(self, replace_with)
                changed.append(user)
        return changed

    # -- places in the program ------------------------------------------------------------------------------------------------
    @property
    def next(self) -> Node:
        """The Node after this one."""
        return self._next

    @property
    def prev(self) -> Node:
        """The Node before this one."""
        return self._prev

    def prepend(self, x: Node) -> None:
        """Move a Node to before this one."""
        if self.graph is not x.graph:
            raise AssertionError("Attempting to move a Node into a different Graph")
        if self is x:
            return
        x._remove_from_list()
        before = self._prev
        before._next, x._prev, x._next, self._prev = x, before, self, x

    def append(self, x: Node) -> None:
        """Move a Node to after this one."""
        self._next.prepend(x)

    def _remove_from_list(self) -> None:
        self._prev._next, self._next._prev = self._next, self._prev

    def is_impure(self, impure_random: bool = True) -> bool:
        """Tell whether the Node does more than give a value, and so stays when nobody uses it."""
        if self.op in ("placeholder", "output"):
            return True
        if self.op == "call_function":
            name = qualified(self.target)
            return name in ("torch._assert", "_operator.setitem") or self.target in SIDE_EFFECTS
        if self.op == "call_module":
            from ..nn import Dropout

            module = self.graph.owning_module and self.graph.owning_module.get_submodule(self.target)
            return bool(impure_random and isinstance(module, Dropout) and module.training)
        return False

    # -- text --------------------------------------------------------------------------------------------------------------------
    def __repr__(self) -> str:
        return self._repr_fn(self) if self._repr_fn is not None else self.name

    def __lt__(self, other: Any) -> bool:
        if self.graph is not other.graph:
            return NotImplemented
        order = {node: i for i, node in enumerate(self.graph.nodes)}
        return order[self] < order[other]

    def _pretty_print_target(self, target: Any) -> str:
        return shown(target)

    def format_node(self, *ignored: Any, **options: Any) -> str:
        """Give the line that the printed graph has for this Node."""
        kind = f" : {type_text(self.type)}" if self.type is not None else ""
        counted = f"%{self.name} :{kind[2:]} [num_users={len(self.users)}] = {self.op}[target={shown(self.target)}]"
        if self.op == "placeholder":
            return counted + (f"(default={self.args[0]})" if self.args else "")
        if self.op == "get_attr":
            return counted
        if self.op == "output":
            return f"return {self.args[0]}"
        return f"{counted}(args = {graph_text(self.args)}, kwargs = {graph_text(self.kwargs)})"


def graph_text(a: Any) -> str:
    """Write an argument as printed graphs have it: a Node as its name after a percent sign."""
    if isinstance(a, Node):
        return f"%{a.name}"
    if isinstance(a, list):
        return f"[{', '.join(map(graph_text, a))}]"
    if isinstance(a, tuple):
        return f"({', '.join(map(graph_text, a))}{',' if len(a) == 1 else ''})"
    if isinstance(a, dict):
        return f"{{{', '.join(f'{k}: {graph_text(v)}' for k, v in a.items())}}}"
    return str(a)


def type_text(kind: Any) -> str:
    """Write an annotation as a program does."""
    if isinstance(kind, types.GenericAlias) or not isinstance(kind, type):
        return str(kind).replace("retrograd.", "torch.")
    return qualified(kind)


SIDE_EFFECTS: set[Any] = set()


def has_side_effect(fn: Any) -> Any:
    """Mark a function as one whose calls stay though nobody uses their results."""
    SIDE_EFFECTS.add(fn)
    return fn


Argument = Any
Target = Any
