"""Storage, Node and BaseTensor: the bytes, the history, and what a user holds."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .dtypes import from_numpy
from .mode import MODE
from .place import Place, describe
from .types import TensorType

if TYPE_CHECKING:
    from .op import Op

next_seq = count(1).__next__


class GradientType(NamedTuple):
    """Shape and dtype of a gradient that comes to a node."""

    shape: tuple[int, ...]
    dtype: Any
    is_nested_tensor: bool = False
    is_tensor_subclass: bool = False


class Storage:
    """The bytes that views share, and how often they were written in place."""

    __slots__ = ("__weakref__", "notes", "root", "version")

    def __init__(self, root: np.ndarray[Any, Any]) -> None:
        self.root = root
        self.version = 0
        self.notes: dict[str, Any] | None = None  # seldom needed: who wrote last, and whether inference mode made it

    @property
    def written(self) -> tuple[str, Place | None] | None:
        """The operation that wrote in place last, and where."""
        return self.notes.get("written") if self.notes else None

    @written.setter
    def written(self, by: tuple[str, Place | None]) -> None:
        self.notes = {**(self.notes or {}), "written": by}

    @property
    def inference(self) -> bool:
        """Whether inference mode made it."""
        return bool(self.notes) and bool(self.notes.get("inference"))  # type: ignore[union-attr]

    @inference.setter
    def inference(self, flag: bool) -> None:
        self.notes = {**(self.notes or {}), "inference": flag}


class Freed:
    """Stands where a node's saved values were, once a backward walk has used them."""

    __slots__ = ()


FREED: Any = Freed()


class Node:
    """One application of an Op: what it was given, what it saved, and where in the user's code it was.

    A Node without an Op is a leaf or a trace's input. Nodes are numbered in the order they are made, so an input's
    number is always below its user's: sorting by ``seq`` is a topological order.
    """

    __slots__ = (
        "__weakref__",
        "attrs",
        "dtype",
        "hooks",
        "inputs",
        "label",
        "op",
        "out",
        "place",
        "requires_grad",
        "saved",
        "seq",
        "shape",
        "types",
    )

    def __init__(
        self,
        op: Op | None,
        inputs: tuple[Any, ...],
        attrs: dict[str, Any],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        requires_grad: bool,
        place: Place | None,
        saved: Any,
        types: Any,
        out: Any,
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.attrs = attrs
        self.shape = shape
        self.dtype = dtype
        self.requires_grad = requires_grad
        self.place = place
        self.saved = saved
        self.types = types
        self.out = out
        self.hooks: Any = None
        self.label: str | None = None  # the name to print, where it is not the op's
        self.seq = next_seq()

    @property
    def type(self) -> TensorType:
        """Shape and dtype of the value."""
        return TensorType(self.shape, self.dtype)

    # -- the face torch gives to grad_fn -------------------------------------------------------------------------
    def name(self) -> str:
        """Give torch's name for this kind of node, such as ``AddBackward0``."""
        return backward_name(self)

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes that this one's gradients go to, with output numbers."""
        label = self.label
        if label.__class__ is Label:
            return label.edges(self)
        if self.op is not None and self.op.operands is not None:
            return tuple(_edge(self.inputs[i]) for i in self.op.operands if i < len(self.inputs))
        return tuple(_edge(n) for n in self.inputs)

    @property
    def variable(self) -> Any:
        """The leaf that this node accumulates into."""
        if self.op is not None or self.hooks is None or self.hooks.owner is None:
            raise AttributeError(f"{self.name()} has no attribute 'variable': only the node of a leaf has one")
        return self.hooks.owner()

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("_saved_", "_raw_saved_")):
            from .kept import attribute

            return attribute(self, name)
        # what a custom Function's forward put on its ctx is found on its grad_fn, as in torch
        attrs = object.__getattribute__(self, "attrs") if name != "attrs" else {}
        if "ctx" in attrs and not name.startswith("__"):
            return getattr(attrs["ctx"], name)
        raise AttributeError(f"{type(self).__name__!r} object ({self.name()}) has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        from .kept import listed

        return sorted({*object.__dir__(self), *listed(self)})

    def _sequence_nr(self) -> int:
        return self.seq

    @property
    def _input_metadata(self) -> list[GradientType]:
        """The types of the gradients that come to this node, one for each of its results."""
        kinds = self.types if "cls" in self.attrs else None
        return [GradientType(k.shape, from_numpy(k.dtype)) for k in kinds or (self,) if k is not None]

    @property
    def metadata(self) -> dict[str, Any]:
        """A dictionary for the user's own notes."""
        notes: dict[str, Any] = self.hook_table().metadata
        return notes

    def hook_table(self) -> Any:
        """Give this node's hooks, made on first use."""
        if self.hooks is None:
            self.hooks = Hooks()
        return self.hooks

    def register_hook(self, hook: Any) -> Any:
        """Call ``hook(grad_inputs, grad_outputs)`` after this node's backward; it may return new grad_inputs."""
        return self.hook_table().add("post", hook)

    def register_prehook(self, hook: Any) -> Any:
        """Call ``hook(grad_outputs)`` before this node's backward; it may return new grad_outputs."""
        return self.hook_table().add("pre", hook)

    def __repr__(self) -> str:
        name = self.name().rpartition("::")[2]
        return f"<{name} at {describe(self.place)}>" if self.place else f"<{name} object at {id(self):#x}>"


class Label(str):
    """A name to print for a node, and where its edges lead, where those are not its operation's own.

    Of a composition they lead to what it was given, past its steps.
    """

    given: tuple[Any, ...] | None = None  # the nodes of the composition's arguments
    operands: tuple[int, ...] = ()  # the numbers of the operation's inputs that they lead to

    def edges(self, node: Node) -> tuple[tuple[Any, int], ...]:
        """Give the edges of the node that has this label."""
        found = [node.inputs[i] for i in self.operands] if self.given is None else self.given
        return tuple(_edge(n) for n in found)


def composition(name: str, args: Iterable[Any]) -> Label:
    """Make the label of a composition's last node; its edges lead to those of the arguments that are tensors."""
    label = Label(name)
    label.given = tuple([x._node for x in args if isinstance(x, BaseTensor)])
    return label


class Hooks:
    """The hooks of one node, in the order they run: tensor hooks, retained gradients, pre and post hooks."""

    __slots__ = ("accumulated", "metadata", "owner", "post", "pre", "retain", "tensor")
    changes = 0  # how often hooks were added or removed anywhere

    def __init__(self) -> None:
        self.tensor: dict[int, Any] = {}
        self.pre: dict[int, Any] = {}
        self.post: dict[int, Any] = {}
        self.accumulated: dict[int, Any] = {}  # run with the leaf once its .grad is up to date
        self.retain: Any = None  # weak reference to the tensor whose .grad keeps what passes here
        self.owner: Any = None  # weak reference to the leaf tensor
        self.metadata: dict[str, Any] = {}

    @property
    def quiet(self) -> bool:
        """Whether nobody has to be told before the whole gradient has arrived."""
        return not (self.tensor or self.pre or self.post or self.accumulated or self.retain)

    @property
    def registered(self) -> tuple[int, ...]:
        """The numbers of everything registered here."""
        return (*self.tensor, *self.pre, *self.post, *self.accumulated)

    def add(self, kind: str, hook: Any) -> Handle:
        """Register a hook and give the handle that removes it."""
        table = getattr(self, kind)
        handle = Handle(table)
        table[handle.id] = hook
        Hooks.changes += 1
        return handle


class Handle:
    """Removes a hook, by ``remove()`` or at the end of a ``with`` block."""

    _ids = count()

    def __init__(self, table: dict[int, Any]) -> None:
        self.table = table
        self.id = next(Handle._ids)

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        Hooks.changes += 1
        self.table.pop(self.id, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.remove()


def _edge(node: Node | None) -> tuple[Node | None, int]:
    """Give where a gradient goes: the node that made a value, and which of its results the value is."""
    if node is None or not node.requires_grad:
        return None, 0
    if node.op is not None and node.op.name == "pick":
        return shown(node.inputs[0]), node.attrs["index"]
    return shown(node), 0


def shown(node: Node) -> Node:
    """Give a node to the user: its class has the name that torch's has, such as ``AddBackward0``."""
    if type(node) is Node:
        node.__class__ = _named(backward_name(node).rpartition("::")[2])
    return node


@functools.cache
def _named(name: str) -> type[Node]:
    return type(name, (Node,), {"__slots__": (), "__module__": __name__})


def backward_name(node: Node) -> str:
    """Give the name torch would print for a node's grad_fn."""
    if node.label is not None:
        return node.label
    if node.op is None:
        return "torch::autograd::AccumulateGrad"
    if "cls" in node.attrs:
        return f"{node.attrs['cls'].__name__}Backward"
    shown = node.op.shown(node) if callable(node.op.shown) else node.op.shown
    shown = shown or "".join(part.capitalize() for part in node.op.name.strip("_").split("_"))
    return (
        shown
        if shown.endswith(("Backward", "Backwards", "Backward0", "Backward1", "Backward2"))
        or shown.startswith("torch::")
        else f"{shown}Backward0"
    )


class BaseTensor:
    """Storage, a view of it, and the Node that made it. The methods are added one floor up, by ``Tensor``."""

    __slots__ = ("__dict__", "__weakref__", "_a", "_base", "_grad", "_node", "_s", "_seen", "_steps")

    _a: Any
    _s: Storage
    _node: Node | None
    _base: Any  # the tensor this one is a differentiable view of
    _steps: tuple[Any, ...]  # the view operations that lead here from the base
    _seen: Node | None  # the base's node when this view's node was derived from it
    _grad: Any

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


_TENSOR: Any = BaseTensor
_new = object.__new__


def register_tensor(cls: type) -> None:
    """Tell this floor which class results are made of."""
    global _TENSOR
    _TENSOR = cls


def tensor_class() -> Any:
    """Give the class that results are made of."""
    return _TENSOR


def wrap(a: np.ndarray[Any, Any], storage: Storage | None = None, node: Node | None = None) -> Any:
    """Make a tensor of an array, sharing its memory; under a trace, one of a new storage is a constant."""
    t = _new(_TENSOR)
    t._a = a
    t._s = Storage(a) if storage is None else storage
    t._node = node
    t._base = None
    t._grad = None
    if storage is None and MODE.trace is not None:
        MODE.trace.made(t)
    return t


def leaf_node(tensor: Any) -> Node:
    """Make the Node of a leaf that requires grad."""
    import weakref

    a = tensor._a
    node = Node(None, (), {}, a.shape, a.dtype, True, None, (), None, None)
    node.hook_table().owner = weakref.ref(tensor)
    return node
