"""What nodes save, handed to hooks: torch's saved-tensor hooks, values kept on disk, and writes to saved values allowed."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from ..core import MODE, BaseTensor, Handle, Held, Keeper, Node, Storage, at, here, modified, no_grad, wrap


def own_copy(tensor: Any) -> Any:
    """Give a tensor for a hook to look at: a leaf itself; of others the value with its present history, as they may be rebound."""
    node = tensor._node
    return tensor if node is not None and node.op is None else wrap(tensor._a, tensor._s, node)


class Installed:
    """A ``with`` block in which a keeper takes what nodes save."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.before: list[Any] = []

    def __enter__(self) -> Any:
        if _DISABLED:
            raise RuntimeError(_DISABLED[-1])
        self.before.append(MODE.saving)
        MODE.saving = self.keeper
        MODE.settle()
        return self.keeper

    def __exit__(self, *exc: Any) -> None:
        MODE.saving = self.before.pop()
        MODE.settle()


_DISABLED: list[str] = []  # the messages of the disabling blocks that are open


class _Packed(Held):
    """What a user's pack hook made of a value."""

    __slots__ = ("node", "payload", "storage", "unpack", "version")

    def __init__(self, unpack: Any, payload: Any, node: Node, storage: Storage) -> None:
        self.unpack, self.payload, self.node = unpack, payload, weakref.ref(node) if node is not None else None
        self.storage, self.version = weakref.ref(storage), storage.version

    def fetch(self) -> tuple[Any, Storage, int]:
        t = self.unpack(self.payload)
        if not isinstance(t, BaseTensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of type " + type(t).__name__
            )
        if t._s is self.storage() and t._s.version != self.version:
            node: Any = self.node() if self.node is not None else None
            node = node or t._node
            raise modified(node, (t._a, t._s, self.version), "kept by a hook as it was, and")
        return t._a, t._s, t._s.version


class _UserHooks(Keeper):
    def __init__(self, pack: Callable[[Any], Any], unpack: Callable[[Any], Any]) -> None:
        self.pack, self.unpack = pack, unpack

    def keep(self, tensor: Any, node: Node, i: int) -> Any:
        storage = tensor._s
        version = storage.version
        with no_grad():
            payload = self.pack(own_copy(tensor))
        if storage.version != version:
            raise RuntimeError(
                "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook can not be modified by "
                f"in-place operations as this can lead to unexpected side-effects: write to a clone() instead.{at(here())}"
            )
        return _Packed(self.unpack, payload, node, storage)


class saved_tensors_hooks(Installed):
    """A block in which every value saved for the backward walk passes a pair of hooks.

    ``pack_hook(tensor)`` gives anything, which is kept in the tensor's place; ``unpack_hook`` makes of it a tensor of the same value
    when the walk reads it. Blocks nest, and the innermost pair is asked.

    Parameters
    ----------
    pack_hook : callable
        Run without history when a value is saved; it must not write to it.
    unpack_hook : callable
        Run when the value is read; TypeError unless it gives a Tensor.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.ones(3, requires_grad=True)
    >>> with torch.autograd.graph.saved_tensors_hooks(
    ...     lambda t: t.numpy(force=True).copy(), torch.from_numpy
    ... ):
    ...     y = (x * x).sum()
    >>> y.backward()
    >>> x.grad
    tensor([2., 2., 2.])
    """

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        super().__init__(_UserHooks(pack_hook, unpack_hook))
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self) -> None:
        super().__enter__()


class save_on_cpu(saved_tensors_hooks):
    """A block whose saved values wait in the CPU's memory, where all of this library's values are.

    Parameters
    ----------
    pin_memory : bool
        Of no effect: there is no device to copy to.
    device_type : str
        The same.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.ones(3, requires_grad=True)
    >>> with torch.autograd.graph.save_on_cpu():
    ...     y = x.exp().sum()
    >>> y.backward()
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda t: (t.device, t.cpu()), lambda packed: packed[1].to(packed[0]))


class _Switch:
    """A block, or a decorator, in which hooks of saved tensors may not be used."""

    def __init__(self, error_message: str) -> None:
        self.message = error_message

    def __enter__(self) -> None:
        _DISABLED.append(self.message)
        if MODE.saving is not None:
            _DISABLED.pop()
            raise RuntimeError(self.message)

    def __exit__(self, *exc: Any) -> None:
        _DISABLED.pop()

    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Any:
            with _Switch(self.message):
                return fn(*args, **kwargs)

        return call


def disable_saved_tensors_hooks(error_message: str) -> Any:
    """Give a block, or a decorator, in which ``saved_tensors_hooks`` raises RuntimeError with this message.

    Examples
    --------
    >>> import retrograd as torch
    >>> with torch.autograd.graph.disable_saved_tensors_hooks("no hooks here"):
    ...     try:
    ...         torch.autograd.graph.save_on_cpu().__enter__()
    ...     except RuntimeError as error:
    ...         print(error)
    no hooks here
    """
    return _Switch(error_message)


class _Spared(Held):
    """A saved value that is copied when its memory is about to be written."""

    __slots__ = ("__weakref__", "block", "value")

    def __init__(self, block: _Sparing, value: tuple[Any, Storage, int]) -> None:
        self.block, self.value = block, value

    def fetch(self) -> tuple[Any, Storage, int]:
        if not self.block.open:
            raise AssertionError(
                "Trying to backward outside of the 'allow_mutation_on_saved_tensors' context in which the graph was originally recorded."
            )
        return self.value


class _Sparing(Keeper):
    """Copies saved values before they are written over."""

    def __init__(self) -> None:
        self.open = True
        self.saved: dict[int, list[weakref.ref[_Spared]]] = {}

    def keep(self, tensor: Any, node: Node, i: int) -> Any:
        held = _Spared(self, (tensor._a, tensor._s, tensor._s.version))
        self.saved.setdefault(id(tensor._s), []).append(weakref.ref(held))
        return held

    def writing(self, tensor: Any, value: Any) -> None:
        copies: dict[int, tuple[Any, Storage, int]] = {}
        for reference in self.saved.pop(id(tensor._s), ()):
            held = reference()
            if held is not None and held.value[1] is tensor._s:
                a = held.value[0]
                if id(a) not in copies:
                    kept = a.copy()
                    copies[id(a)] = (kept, Storage(kept), 0)
                held.value = copies[id(a)]

    def clear(self) -> None:
        """Forget what was saved."""
        self.saved.clear()


@contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[Any]:
    """Open a block in which values that are saved for the backward walk may be written: they are copied first.

    The walk has to be in the block too.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.full((2,), 3.0, requires_grad=True)
    >>> with torch.autograd.graph.allow_mutation_on_saved_tensors():
    ...     y = x.clone()
    ...     z = (y**2).sum()
    ...     _ = y.mul_(0)
    ...     z.backward()
    >>> x.grad
    tensor([6., 6.])
    """
    keeper = _Sparing()
    try:
        with Installed(keeper):
            yield keeper
    finally:
        keeper.open = False
        keeper.clear()


class GradientEdge(NamedTuple):
    """Where a gradient goes: a node, and which of its results the gradient is of."""

    node: Any
    output_nr: int
    ownership_token: Any = None


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """Give the edge that a tensor's gradient travels.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> torch.autograd.graph.get_gradient_edge(x * 2).node.name()
    'MulBackward0'
    """
    if not tensor.requires_grad:
        raise RuntimeError(
            f"It is not possible to get the gradient edge for a Tensor that does not require gradients{at(here())}"
        )
    node = tensor._node
    if node.op is not None and node.op.name == "pick":
        return GradientEdge(node.inputs[0], node.attrs["index"])
    return GradientEdge(node, 0)


def increment_version(tensor: Any) -> None:
    """Say that a tensor (or each of several) was written in place, past the library.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.ones(2)
    >>> torch.autograd.graph.increment_version(x)
    >>> x._version
    1
    """
    for t in [tensor] if isinstance(tensor, BaseTensor) else tensor:
        t._s.version += 1


class _MultiHandle:
    """Removes the hooks of several tensors together."""

    def __init__(self, handles: list[Handle]) -> None:
        self.handles = tuple(handles)

    def remove(self) -> None:
        """Take them away."""
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> _MultiHandle:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.remove()


def register_multi_grad_hook(tensors: Sequence[Any], fn: Callable[..., Any], *, mode: str = "all") -> _MultiHandle:
    """Call a function with the gradients of several tensors, once for each backward walk that reaches them.

    Parameters
    ----------
    tensors : sequence of Tensor
        Each must require a gradient.
    fn : callable
        Called with the list of gradients, None for a tensor that was not reached, when the walk has ended ("all"); with the
        first gradient that is there ("any").
    mode : str
        "all" or "any".

    Examples
    --------
    >>> import retrograd as torch
    >>> a, b = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    >>> _ = torch.autograd.graph.register_multi_grad_hook((a, b), lambda grads: print(grads))
    >>> (a * 2 + b * 3).sum().backward()
    [tensor([2.]), tensor([3.])]
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    gathered: dict[int, Any] = {}

    def finish() -> None:
        grads = [gathered.get(i) for i in range(len(tensors))]
        gathered.clear()
        if mode == "all":
            fn(grads)

    def hook(i: int, grad: Any) -> None:
        if not gathered:
            MODE.endings += (finish,)
            if mode == "any":
                fn(grad)
        gathered[i] = grad if i not in gathered else gathered[i] + grad

    return _MultiHandle([t.register_hook(functools.partial(hook, i)) for i, t in enumerate(tensors)])


__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]
