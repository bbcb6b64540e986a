"""The values that a node keeps, under the names torch gives them: ``grad_fn._saved_self``, ``grad_fn._raw_saved_result``."""

from __future__ import annotations

from typing import Any

import numpy as np

from .node import FREED, Node, backward_name, wrap
from .place import describe
from .saving import Held, SavedInputs, SavedResult

SAVED, RAW = "_saved_", "_raw_saved_"

# what is not called self, other and result: (input, "out" or attribute) -> torch's name
_OWN: dict[str, dict[str, str]] = {
    "matmul": {"y": "mat2"},
    "linear": {"x": "mat1", "w": "mat2"},
    "where": {"cond": "condition"},
    "square": {"x": "self"},
    "pow": {"y": "exponent"},
    "linalg_inv": {"out": "inverse"},
    "linalg_cholesky": {"out": "L"},
    "linalg_solve": {"x": "A", "y": "B"},
    "linalg_det": {"x": "A"},
    "conv": {"x": "input", "y": "weight", "w": "weight"},
}
_ATTRS = {
    "sum": {"axis": "dim", "keepdims": "keepdim"},
    "mean": {"axis": "dim", "keepdims": "keepdim"},
    "amax": {"axis": "dim", "keepdims": "keepdim"},
    "amin": {"axis": "dim", "keepdims": "keepdim"},
    "cumsum": {"axis": "dim"},
    "gather": {"axis": "dim"},
    "index_select": {"axis": "dim"},
    "cat": {"axis": "dim"},
    "stack": {"axis": "dim"},
    "transpose": {"a": "dim0", "b": "dim1"},
    "permute": {"axes": "dims"},
    "flip": {"axes": "dims"},
    "roll": {"shifts": "shifts", "axes": "dims"},
    "tril": {"diagonal": "diagonal"},
    "triu": {"diagonal": "diagonal"},
    "diagonal": {"offset": "offset", "a": "dim1", "b": "dim2"},
    "clamp": {"min": "min", "max": "max"},
}
_SIZED = frozenset(("sum", "mean", "view", "expand", "slice", "index", "index_select", "diagonal", "amax", "amin"))
_COMMON = {"x": "self", "y": "other", "z": "third", "w": "weight", "out": "result"}


# labels of functions that are one operation, with another name than its own
_ONE_STEP = {
    *("BmmBackward0", "MaxBackward1", "MinBackward1", "RsubBackward0", "RsubBackward1", "RollBackward0"),
    *("SqueezeBackward0", "SqueezeBackward1", "SqueezeBackward2", "UnsqueezeBackward0"),
    *(
        "SumBackward1",
        "MeanBackward1",
        "PermuteBackward0",
        "EmbeddingBackward0",
        "ConstantPadNdBackward0",
        "MaskedFillBackward0",
    ),
}


def _torch_name(op: Any, name: str) -> str:
    return _OWN.get(op.name, _COMMON).get(name) or _COMMON.get(name, name)


def names(node: Node) -> dict[str, Any]:
    """Give, for each saved value's name, where it is: an input's number, -1 for the result, (attribute,), or "sizes"."""
    op = node.op
    if op is None or "cls" in node.attrs:
        return {}
    found: dict[str, Any] = {}
    # of a composition only the last step is here
    if node.label is None or node.label in _ONE_STEP or node.label == backward_name_of(op, node):
        saved = node.saved
        reads = {i for plan in op.plans.values() for i in plan.values}
        for i, name in enumerate(op.names):
            if i in reads and (saved is FREED or saved):
                found[_torch_name(op, name)] = i
        found |= {shown: (name,) for name, shown in _ATTRS.get(op.name, {}).items() if name in node.attrs}
        if op.name == "square":
            found["exponent"] = None
        if op.name in _SIZED and node.inputs and node.inputs[0] is not None:
            found["self_sym_sizes"] = "sizes"
    if node.out is not None or (node.saved is FREED and any(p.out for p in op.plans.values())):
        found[_torch_name(op, "out")] = -1
    return found


def backward_name_of(op: Any, node: Node) -> str:
    """Give the name that a node has without a label of its own."""
    label, node.label = node.label, None
    try:
        return backward_name(node)
    finally:
        node.label = label


def attribute(node: Node, name: str) -> Any:
    """Give ``node._saved_...`` or ``node._raw_saved_...``; AttributeError where the operation keeps no such value."""
    if name == RAW + "tensors" and "ctx" in node.attrs:
        return tuple(SavedTensor(node, i) for i in range(len(_entries(node))))
    raw = name.startswith(RAW)
    key = name[len(RAW if raw else SAVED) :]
    known = names(node)
    if key not in known:
        listed = ", ".join(SAVED + k for k in known) or "nothing"
        raise AttributeError(f"{node.name()} keeps no {name} (it keeps {listed}; made at {describe(node.place)})")
    place = known[key]
    if place is None:
        return 2
    if place == "sizes":
        return tuple(node.inputs[0].shape)
    if isinstance(place, tuple):
        return node.attrs[place[0]]
    kept = SavedTensor(node, place)
    if not raw:
        found = kept.unpack()
        return found.t() if key == "mat2" and node.op is not None and node.op.name == "linear" else found
    if place >= 0 and not _is_tensor(_entries(node)[place]):
        raise AttributeError(f"{node.name()} keeps {name} as a number: see {SAVED}{key}")
    return kept


def listed(node: Node) -> list[str]:
    """Give the names for ``dir()``."""
    if "ctx" in node.attrs:
        return [RAW + "tensors"]
    found = names(node)
    tensors = [k for k, place in found.items() if isinstance(place, int)]
    return [SAVED + k for k in found] + [RAW + k for k in tensors]


def freed(node: Node) -> RuntimeError:
    """Say that a walk has let go of what a node saved."""
    return RuntimeError(
        "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). "
        "Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if you "
        f"need to backward through the graph a second time or if you need to access saved tensors after calling backward. "
        f"({node.name()}, called at {describe(node.place)})"
    )


def _entries(node: Node) -> Any:
    saved = node.saved
    if saved is FREED:
        raise freed(node)
    return saved.entries if isinstance(saved, SavedInputs) else saved


def _is_tensor(entry: Any) -> bool:
    return isinstance(entry, (tuple, Held)) or entry is None


class SavedTensor:
    """A place where a node keeps a value: what is there, and hooks that keep it in another form.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.tensor([3.0], requires_grad=True)
    >>> y = x.exp()
    >>> y.grad_fn._raw_saved_result.register_hooks(lambda t: t.item(), lambda v: torch.tensor([v]))
    >>> y.backward()
    >>> x.grad
    tensor([20.0855])
    """

    def __init__(self, node: Node | None = None, place: int = 0) -> None:
        if node is None:
            raise RuntimeError("Trying to create a SavedTensor object from Python is forbidden.")
        self._node, self._place = node, place

    def _entry(self) -> Any:
        entries = _entries(self._node)
        if self._place >= 0:
            return entries[self._place]
        out = self._node.out
        return out.entry if isinstance(out, SavedResult) else out

    @property
    def data(self) -> Any:
        """What is kept: the value itself, or what a pack hook gave in its place."""
        entry = self._entry()
        return getattr(entry, "payload", None) if isinstance(entry, Held) else self.unpack()

    @property
    def unpack_hook(self) -> Any:
        """What makes a tensor of what is kept; None where no hooks are."""
        entry = self._entry()
        return getattr(entry[0] if isinstance(entry, tuple) else entry, "unpack", None)

    def unpack(self) -> Any:
        """Give the value as a tensor, checked to be as it was when it was kept; None where none is."""
        from .door import modified

        node, entry = self._node, self._entry()
        if "ctx" in node.attrs:
            return node.attrs["ctx"]._unpack(entry, node)
        if entry is None:
            return None
        source = node if self._place < 0 else node.inputs[self._place]
        if isinstance(entry, Held):
            a, storage, _ = entry.fetch()
            return wrap(a, storage, source)
        if not isinstance(entry, tuple):
            if isinstance(entry, (bool, int, float, complex)) and node.op is not None and node.op.name != "pow":
                return wrap(np.asarray(entry))  # a number beside a tensor
            return entry
        a, storage, version = entry
        if storage.version != version:
            raise modified(node, entry, "output 0" if self._place < 0 else f"input {self._place}")
        owner = source.hooks.owner() if source is not None and source.hooks is not None and source.hooks.owner else None
        return owner if owner is not None and owner._a is a else wrap(a, storage, source)

    def register_hooks(self, pack_hook: Any, unpack_hook: Any) -> None:
        """Keep what ``pack_hook(tensor)`` gives, and give the walk what ``unpack_hook`` makes of it; RuntimeError the second time.

        Parameters
        ----------
        pack_hook, unpack_hook : callable
            As for ``saved_tensors_hooks``; the first is called at once.
        """
        from .packing import packed

        node, entry = self._node, self._entry()
        if entry is None:
            raise RuntimeError("Calling register_hooks on a saved tensor with value None is forbidden")
        first = entry[0] if isinstance(entry, tuple) and "ctx" in node.attrs else entry
        if isinstance(first, Held):
            raise RuntimeError(
                "Calling register_hooks on a saved tensor whose hooks have already been set. Hint: only one pair of hooks is allowed at a time."
            )
        if "ctx" in node.attrs:
            held = packed(pack_hook, unpack_hook, node.attrs["ctx"]._unpack(entry, node), node)
            new: Any = (held, entry[0]._node, None, False) if len(entry) == 2 else (held, None, entry[3], entry[4])
        else:
            new = held = packed(pack_hook, unpack_hook, self.unpack(), node)
        if self._place < 0:
            node.out = SavedResult(held)
            return
        entries = list(_entries(node))
        entries[self._place] = new
        node.saved = entries if "ctx" in node.attrs else SavedInputs(entries)

    def __repr__(self) -> str:
        return f"<SavedTensor of {self._node.name()}>"


__all__ = ["SavedTensor", "attribute", "freed", "listed", "names"]
