"""What nodes save, handed to hooks: torch's saved-tensor hooks, values kept on disk, and writes to saved values allowed."""

from __future__ import annotations

import contextlib
import functools
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..autodiff import will_reach
from ..core import MODE, BaseTensor, Handle, Held, Keeper, Node, Storage, at, here
from ..core.packing import packed
from ..tensor.edges import GradientEdge, get_gradient_edge


class Installed:
    """A ``with`` block in which a keeper takes what nodes save."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.before: list[Any] = []

    def __enter__(self) -> Any:
        if _DISABLED.messages:
            raise RuntimeError(_DISABLED.messages[-1])
        self.before.append(MODE.saving)
        MODE.saving = self.keeper
        MODE.settle()
        return self.keeper

    def __exit__(self, *exc: Any) -> None:
        MODE.saving = self.before.pop()
        MODE.settle()


class _Disabled(threading.local):
    messages: tuple[str, ...] = ()  # of the disabling blocks that are open


_DISABLED = _Disabled()


class _UserHooks(Keeper):
    def __init__(self, pack: Callable[[Any], Any], unpack: Callable[[Any], Any]) -> None:
        self.pack, self.unpack = pack, unpack

    def keep(self, tensor: Any, node: Node, i: int) -> Any:
        return packed(self.pack, self.unpack, tensor, node, i < 0)


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
        if MODE.saving is not None:
            raise RuntimeError(self.message)
        _DISABLED.messages += (self.message,)

    def __exit__(self, *exc: Any) -> None:
        _DISABLED.messages = _DISABLED.messages[:-1]

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


@contextlib.contextmanager
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
        "all": called with the list of gradients as soon as the last of those that the walk comes to is there, None standing for a
        tensor that it does not come to. "any": called with the first gradient.
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
    if mode == "any":
        return _first_of(tensors, fn)
    for i, t in enumerate(tensors):
        if not t.requires_grad:
            raise AssertionError(f"register_multi_grad_hook: tensor {i} does not require a gradient{at(here())}")
    nodes = [get_gradient_edge(t).node for t in tensors]
    walks: dict[int, Any] = {}

    def hook(i: int, grad: Any) -> None:
        found = _of_this_walk(walks, lambda: _Gathered(will_reach(nodes), len(nodes)))
        found.grads[i] = grad
        found.missing -= 1
        if not found.missing:
            fn(found.grads)

    return _MultiHandle([t.register_hook(functools.partial(hook, i)) for i, t in enumerate(tensors)])


class _Gathered:
    """The gradients of one walk, and how many are still to come."""

    def __init__(self, missing: int, count: int) -> None:
        self.missing = missing
        self.grads: list[Any] = [None] * count


def _of_this_walk(walks: dict[int, Any], make: Callable[[], Any]) -> Any:
    """Give what belongs to the walk that is running, made at first and forgotten at its end."""
    if MODE.walk is None:
        raise AssertionError("expected this hook to be called inside a backward call")
    key = id(MODE.walk)
    if key not in walks:
        walks[key] = MODE.walk, make()  # held, so that no other walk has its id
        MODE.endings += (functools.partial(walks.pop, key),)
    return walks[key][1]


def _first_of(tensors: Sequence[Any], fn: Callable[..., Any]) -> _MultiHandle:
    walks: dict[int, Any] = {}

    def hook(grad: Any) -> None:
        done = _of_this_walk(walks, list)
        if not done:
            done.append(True)
            fn(grad)

    return _MultiHandle([t.register_hook(hook) for t in tensors if t.requires_grad])


def region_activation_memory_budget(budget: float) -> Any:
    """Give a block within compiled code that says which fraction of its activations to keep.

    Of no effect on what is computed: values in compiled code are planned as a whole; ``memory_budget`` bounds them in bytes.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.autograd.graph.region_activation_memory_budget(2.0)
    Traceback (most recent call last):
    ValueError: torch.autograd.graph.region_activation_memory_budget: must be in [0, 1], got 2.0
    """
    if not 0 <= budget <= 1:
        raise ValueError(f"torch.autograd.graph.region_activation_memory_budget: must be in [0, 1], got {budget}")
    if MODE.trace is None:
        raise RuntimeError(
            "torch.autograd.graph.region_activation_memory_budget can only be used inside a torch.compile region; it has no effect in eager "
            f"mode: use retrograd.memory.memory_budget{at(here())}"
        )
    return contextlib.nullcontext()


def set_warn_on_accumulate_grad_stream_mismatch(enabled: bool) -> None:
    """Take torch's switch for streams of devices, of which there are none here."""


def set_override_stale_capture_stream(enabled: bool) -> None:
    """Take torch's switch for streams of devices, of which there are none here."""


__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "region_activation_memory_budget",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
    "set_override_stale_capture_stream",
    "set_warn_on_accumulate_grad_stream_mismatch",
]
