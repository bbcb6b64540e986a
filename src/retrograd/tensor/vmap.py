"""vmap: one run of a function on the first item, traced, then run again on the whole batch by the operations' batching rules."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autodiff.trace import Trace, replay
from ..core import MODE, PICK, BaseTensor, Node, apply, assign, check_writable, leaf_node, wrap
from ..ops.batching import grown, move
from ..ops.shape import reshape, slice_
from ..random.generator import Generator
from .dispatch import wrap_dim
from .functions.joining import cat
from .tree import flatten, tree_map, unflatten

_DRAW = (
    "vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' randomness "
    "flags on vmap or perform the randomness operation out of vmap"
)
_WRITE = (
    "vmap: inplace arithmetic(self, *extra_args) is not possible because there exists a Tensor `other` in extra_args that has "
    "more elements than `self`. This happened due to `other` being vmapped over but `self` not being vmapped over in a vmap. "
    "Please try to use out-of-place operators instead of inplace arithmetic. If said operator is being called inside the "
    "PyTorch framework, please file a bug report instead."
)


def _refusal(what: str) -> str:
    if what == "bool":
        return (
            "vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow. We don't support that "
            "yet: its items may answer differently. Use torch.where(condition, a, b), which takes from both."
        )
    if what == "mask":
        return (
            "vmap: We do not support batching operators that can support dynamic shape. Attempting to batch over indexing with a "
            "boolean mask. Use torch.where(mask, ...) instead, whose shape does not depend on the mask."
        )
    if what.startswith("shape of "):
        return (
            f"vmap: We do not support batching operators that can output dynamic shape. Attempted to vmap over aten::{what[9:]}, "
            "whose result may have another shape for each item. Call it outside of vmap, or use torch.where and masks."
        )
    if what.startswith("parts of "):
        return f"vmap: {what[9:]} has no batching rule: part of its result is found outside of any operation"
    return (
        f"vmap: It looks like you're calling .{what} on a Tensor. We don't support vmap over calling .{what} on a Tensor, please "
        "try to rewrite what you're doing with other operations: its items may have different values."
    )


class Rehearsal(Trace):
    """The trace of one item's run: it refuses what the items could differ in, and puts back what the run changed outside."""

    def __init__(self, items: Sequence[Any], randomness: str) -> None:
        super().__init__(items)
        self.randomness = randomness
        self.own: set[Node] = set()  # nodes that depend on this batch
        self.deep: set[Node] = set()  # and on those of enclosing calls
        self.stores: dict[int, Any] = {}  # storages from outside, as they were before the first write
        self.generators: dict[int, Any] = {}
        self.dual: Any = None

    def __enter__(self) -> Rehearsal:
        self.dual, MODE.dual = MODE.dual, None
        super().__enter__()
        for tensor in self.arguments:
            self.own.add(tensor._node)
            self.deep.add(tensor._node)
        return self

    def __exit__(self, kind: Any = None, *exc: Any) -> None:
        MODE.dual = self.dual
        super().__exit__(kind, *exc)
        for storage, values, version, notes in self.stores.values():
            storage.root[...] = values
            storage.version, storage.notes = version, notes
        for generator, state in self.generators.values():
            Generator.set_state(generator, state)

    def node_of(self, tensor: Any) -> Node:
        """Give the node that stands for a tensor, and learn whether it depends on an enclosing batch."""
        old, count = tensor._node, len(self.inputs)
        node = super().node_of(tensor)
        if len(self.inputs) > count and isinstance(self.parent, Rehearsal) and old in self.parent.deep:
            self.deep.add(node)
        return node

    def add(self, node: Node, tensor: Any) -> None:
        """Note a node, and whether it depends on a batch."""
        super().add(node, tensor)
        if any(i in self.own for i in node.inputs):
            self.own.add(node)
        if any(i in self.deep for i in node.inputs):
            self.deep.add(node)

    def varies(self, tensor: Any) -> bool:
        """Tell whether a tensor's value differs between the items of this batch."""
        return isinstance(tensor, BaseTensor) and self.node_of(tensor) in self.own

    def asked(self, tensor: Any, what: str) -> None:
        """Refuse to give a value that stands for many."""
        if self.node_of(tensor) in self.deep:
            raise RuntimeError(_refusal(what))

    def drawing(self, generator: Any) -> None:
        """Keep a generator's state: the draws of the run do not count."""
        if self.randomness == "error":
            raise RuntimeError(_DRAW)
        if id(generator) not in self.generators:
            self.generators[id(generator)] = (generator, np.array(Generator.get_state(generator)))

    def writing(self, tensor: Any, value: Any) -> None:
        """Refuse to write many values in the place of one; keep what a tensor from outside held."""
        owner = tensor if tensor._base is None else tensor._base
        storage = tensor._s
        if not any(t._s is storage for t, _ in self.inputs):
            return
        if self.varies(value) and not self.varies(owner):
            raise RuntimeError(_WRITE)
        if id(storage) not in self.stores:
            self.stores[id(storage)] = (storage, storage.root.copy(), storage.version, storage.notes)

    def custom(self, cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Refuse a Function that does not say how it maps over a batch; run one with a ``vmap`` of its own unseen."""
        from .function import Function
        from .function_maps import unseen

        if not any(self.varies(x) for x in args):
            return None
        if cls.setup_context is Function.setup_context:
            raise RuntimeError(
                "In order to use an autograd.Function with functorch transforms (vmap, grad, jvp, jacrev, ...), it must override "
                f"the setup_context staticmethod ({cls.__name__}: move what forward does with ctx there)"
            )
        has_rule = cls.vmap is not Function.vmap
        if cls.generate_vmap_rule and has_rule:
            raise RuntimeError(
                f"You tried to vmap over {cls.__name__}, but it has both generate_vmap_rule=True and an overridden vmap "
                "staticmethod. Please set generate_vmap_rule=False or delete the overridden vmap staticmethod to avoid ambiguity."
            )
        if not cls.generate_vmap_rule and not has_rule:
            raise RuntimeError(
                f"You tried to vmap over {cls.__name__}, but it does not have vmap support. Please override and implement the "
                "vmap staticmethod or set generate_vmap_rule=True."
            )
        return unseen(cls, args, kwargs) if has_rule else None


# -- running the graph on the batch -------------------------------------------------------------------------------------------
class _Batch:
    """Runs a rehearsed graph again; a value is a pair of a Tensor and whether it has the batch as dimension 0."""

    def __init__(self, record: Rehearsal, size: int) -> None:
        self.record, self.size = record, size

    def step(self, node: Node, values: list[Any]) -> Any:
        """Compute one node."""
        op: Any = node.op
        xs, flags = [v for v, _ in values], [f for _, f in values]
        if op is PICK:
            return xs[0][node.attrs["index"]], flags[0]
        MODE.grad = node not in self.record.silent
        if op.impure:
            return self._draw(op, xs, flags, node.attrs)
        if not op.outputs:  # a Function: it is called again, whatever depends on the batch
            return op.batch(op, xs, flags, self.size, {**node.attrs, "randomness": self.record.randomness}), any(flags)
        if not any(flags):
            return apply(op, *xs, **node.attrs), False
        if op.batch is None:
            raise RuntimeError(
                f"vmap: the operation {op.name} has no batching rule, so it cannot be mapped over a batch: call it outside of vmap"
            )
        r = op.batch(op, xs, flags, self.size, node.attrs)
        if r._a.shape != (self.size, *node.shape):
            raise RuntimeError(
                f"vmap: {op.name} gives {list(node.shape)} for an item, and {list(r._a.shape)} for a batch of {self.size}: its "
                "shape depends on the values of the items"
            )
        return r, True

    def _draw(self, op: Any, xs: list[Any], flags: list[bool], attrs: dict[str, Any]) -> Any:
        """Draw once for all, or for each item."""
        if MODE.trace is not None:
            MODE.trace.drawing(attrs["generator"])
        if self.record.randomness == "same":
            if any(flags):
                raise RuntimeError(
                    "Vmap does not currently support same randomness with a batched tensor input: use randomness='different'"
                )
            return apply(op, *xs, **attrs), False
        return op.batch(op, xs, flags, self.size, attrs), True

    def run(self, graph: Any, values: Sequence[Any]) -> list[Any]:
        """Give the graph's outputs as pairs."""
        graph.constants = {n: (wrap(v) if isinstance(v, np.ndarray) else v, False) for n, v in graph.constants.items()}
        before = MODE.grad
        try:
            return replay(graph, values, self.step)
        finally:
            MODE.grad = before


def _item(x: Any, owner: Any) -> Any:
    """Give the first item of a batch as a tensor of its own, which wants a gradient where the batch does."""
    a = x._a
    t = wrap(np.array(a[0], order="C") if len(a) else np.zeros(a.shape[1:], a.dtype))
    if x.requires_grad:
        if owner.is_leaf:
            t._node = leaf_node(t)
        else:
            t._node = Node(None, (), {"stands": True}, t._a.shape, t._a.dtype, True, None, (), None, None)
    return t


def _run(
    func: Callable[..., Any],
    name: str,
    leaves: list[Any],
    spec: Any,
    dims: list[Any],
    size: int,
    out_dims: Any,
    randomness: str,
    kwargs: dict[str, Any],
) -> Any:
    """Rehearse, run on the batch, and put the batch where ``out_dims`` wants it."""
    given = list(leaves)
    batches: dict[int, tuple[Any, Any, int]] = {}
    for i, (x, d) in enumerate(zip(leaves, dims, strict=True)):
        if d is not None:
            whole = move(x, d, 0)
            given[i] = item = _item(whole, x)
            batches[id(item)] = whole, x, d
    items = [t for t in given if id(t) in batches]
    record = Rehearsal(items, randomness)
    with record:
        result = func(*unflatten(given, spec), **kwargs)
        outputs, out_spec = flatten(result)
        places = _out_places(name, out_dims, out_spec, outputs)
        tensors = [o for o in outputs if isinstance(o, BaseTensor)]
        graph, inputs, written = record.finish(tensors)
    values = [(batches[id(t)][0], True) if id(t) in batches else (t, False) for t in inputs]
    found = _Batch(record, size).run(graph, values)
    for t, (v, flag) in zip(written, found[len(tensors) :], strict=True):
        _write_back(t, v, flag, batches, size)
    rest = iter(found)
    made = []
    for o, d in zip(outputs, places, strict=True):
        if isinstance(o, BaseTensor):
            value, flag = next(rest)
            o = _placed(value, flag, d, size, name)
        made.append(o)
    return unflatten(made, out_spec)


def _write_back(t: Any, v: Any, flag: bool, batches: dict[int, Any], size: int) -> None:
    """Write a new value into the tensor from outside that the function wrote to."""
    if id(t) in batches:
        _, t, d = batches[id(t)]
        v = move(grown(v, flag, size), 0, d)
    check_writable(t, "vmap")
    assign(t, v, "vmap")


def _placed(v: Any, flag: bool, d: int | None, size: int, name: str) -> Any:
    if d is None:
        if flag:
            raise ValueError(f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is None")
        return v
    d = wrap_dim(d, v._a.ndim + (not flag))
    v = grown(v, flag, size)
    return move(v, 0, d) if d else apply(reshape, v, shape=v._a.shape) if v._node is None or v.is_leaf else v


# -- arguments ----------------------------------------------------------------------------------------------------------------
def _count(spec: Any) -> int:
    return 1 if spec is None else sum(_count(p) for p in spec[2])


def spread_dims(dims: Any, spec: Any) -> list[Any] | None:
    """Give one dimension per leaf from a tree that is the leaves' or a beginning of it; None where it is neither."""
    if not isinstance(dims, (tuple, list, dict)):
        return [dims] * _count(spec)
    if spec is None:
        return None
    kind, keys, parts = spec
    if type(dims) is not kind or len(dims) != len(parts) or (keys is not None and set(keys) != set(dims)):
        return None
    made: list[Any] = []
    for d, p in zip([dims[k] for k in keys] if keys is not None else dims, parts, strict=True):
        below = spread_dims(d, p)
        if below is None:
            return None
        made += below
    return made


def _structure(tree: Any) -> str:
    return str(tree_map(lambda _: "*", tree)).replace("'*'", "*")


def _in_places(name: str, in_dims: Any, args: tuple[Any, ...], leaves: list[Any], spec: Any) -> tuple[list[Any], int]:
    """Give the batch dimension of each leaf (None: it has none), and the size of the batch."""
    where = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): "
    if not isinstance(in_dims, (int, tuple)):
        raise ValueError(
            where
            + "expected `in_dims` to be int or a (potentially nested) tuple matching the structure of inputs, got: "
            f"{type(in_dims)}."
        )
    if not args:
        raise ValueError(
            f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying to vmap over a function "
            "with no inputs. The latter is unsupported."
        )
    dims = spread_dims(in_dims, spec)
    if dims is None:
        raise ValueError(
            where + "in_dims is not compatible with the structure of `inputs`. "
            f"in_dims has structure {_structure(in_dims)} but inputs has structure {_structure(args)}."
        )
    for i, (x, d) in enumerate(zip(leaves, dims, strict=True)):
        if d is None:
            continue
        if not isinstance(d, int):
            raise ValueError(
                where + f"Got in_dim={d} for an input but in_dim must be either an integer dimension or None."
            )
        if not isinstance(x, BaseTensor):
            raise ValueError(
                where
                + f"Got in_dim={d} for an input but the input is of type {type(x)}. We cannot vmap over non-Tensor "
                "arguments, please use None as the respective in_dim"
            )
        n = x._a.ndim
        if not -n <= d < n:
            raise ValueError(
                where
                + f"Got in_dim={d} for some input, but that input is a Tensor of dimensionality {n} so expected in_dim to "
                f"satisfy -{n} <= in_dim < {n}."
            )
        dims[i] = d % n
    sizes = [x._a.shape[d] for x, d in zip(leaves, dims, strict=True) if d is not None]
    if not sizes:
        raise ValueError(
            "vmap: Expected at least one Tensor to vmap over, but every in_dim is None: call the function itself"
        )
    if any(n != sizes[0] for n in sizes):
        raise ValueError(
            f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {sizes} for the mapped dimension"
        )
    return dims, sizes[0]


def _out_places(name: str, out_dims: Any, spec: Any, outputs: list[Any]) -> list[Any]:
    """Give the place of the batch in each output."""
    for d in flatten(out_dims)[0]:
        if d is not None and not isinstance(d, int):
            raise ValueError(
                f"vmap({name}, ..., out_dims={out_dims}): `out_dims` must be an int, None or a python collection of ints "
                "representing where in the outputs the vmapped dimension should appear."
            )
    dims = spread_dims(out_dims, spec)
    if dims is None and isinstance(out_dims, tuple) and len(out_dims) == 1 and spec is None:
        dims = list(out_dims)  # a tuple of one for a single result
    if dims is None:
        raise ValueError(
            f"vmap({name}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with the structure of `outputs`. "
            f"out_dims has structure {_structure(out_dims)} but outputs has structure "
            f"{_structure(unflatten(list(outputs), spec))}."
        )
    for o, d in zip(outputs, dims, strict=True):
        if d is not None and not isinstance(o, BaseTensor):
            raise ValueError(
                f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(o)}. Did you mean to set out_dims= to None "
                "for output?"
            )
    return dims


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """Give a function that applies ``func`` to every item of a batch at once.

    ``func`` is run on the first item only, to see which operations it is made of; these then run on the whole batch. What does
    not depend on the batch is computed once. The result is differentiable, and ``vmap`` nests with itself and with ``grad``.

    Parameters
    ----------
    func : callable
        Takes Tensors or nested containers of them, and gives such.
    in_dims : int or nested tuple
        Which dimension of each input is the batch; None for inputs that all items share.
    out_dims : int or nested containers
        Where the batch goes in each output; None for outputs that do not depend on it.
    randomness : {"error", "different", "same"}
        Whether random draws are refused, differ between the items, or are shared by them.
    chunk_size : int, optional
        Run so many items at a time; all of them if left out.

    Raises
    ------
    ValueError
        ``in_dims`` or ``out_dims`` do not fit the inputs or outputs, or the batches differ in size.
    RuntimeError
        ``func`` asks for something that differs between the items: a number (``.item()``), a branch, a shape.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.func.vmap(torch.dot)(torch.ones(3, 2), torch.arange(6.0).view(3, 2))
    tensor([1., 5., 9.])

    The gradient of each sample of a batch:

    >>> loss = lambda w, x: (w * x).sum() ** 2
    >>> torch.func.vmap(torch.func.grad(loss), (None, 0))(torch.ones(2), torch.eye(2))
    tensor([[2., 0.],
            [0., 2.]])
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")
    name = getattr(func, "__name__", None) or repr(func)

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        leaves, spec = flatten(args)
        dims, size = _in_places(name, in_dims, args, leaves, spec)
        if chunk_size is None or size <= chunk_size:
            return _run(func, name, leaves, spec, dims, size, out_dims, randomness, kwargs)
        parts = []
        states: dict[int, Any] = {}
        for start in range(0, size, chunk_size):
            stop = min(start + chunk_size, size)
            part = [
                x if d is None else slice_(x, index=(*(slice(None),) * d, slice(start, stop)))
                for x, d in zip(leaves, dims, strict=True)
            ]
            if randomness == "same":
                _same_start(states)
            parts.append(_run(func, name, part, spec, dims, stop - start, out_dims, randomness, kwargs))
        return _together(parts, out_dims)

    return wrapped


def _same_start(states: dict[int, Any]) -> None:
    """Let every chunk draw what the first drew."""
    from .random_functions import default_generator

    if not states:
        states[0] = np.array(Generator.get_state(default_generator))
    Generator.set_state(default_generator, states[0])


def _together(parts: list[Any], out_dims: Any) -> Any:
    """Join the results of the chunks."""
    flat = [flatten(p) for p in parts]
    spec = flat[0][1]
    dims = spread_dims(out_dims, spec)
    assert dims is not None
    columns = zip(*(leaves for leaves, _ in flat), strict=True)
    return unflatten([c[0] if d is None else cat(list(c), d) for c, d in zip(columns, dims, strict=True)], spec)


__all__ = ["Rehearsal", "spread_dims", "vmap"]
