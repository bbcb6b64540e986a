"""Which results a checkpointed function keeps although the rest is computed again."""

from __future__ import annotations

import enum
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import MODE, REGISTRY, BaseTensor, Op, wrap
from ..core.large import LARGE
from .checkpoint import CheckpointError


class CheckpointPolicy(enum.Enum):
    """What is to become of an operation's result: kept, or computed again; "prefer" leaves it to a compiler, and eager does as it says.

    What is to be offloaded is kept: it lies in the CPU's memory anyway.
    """

    MUST_SAVE = 0
    PREFER_SAVE = 1
    MUST_RECOMPUTE = 2
    PREFER_RECOMPUTE = 3
    MUST_CPU_OFFLOAD = 4
    PREFER_CPU_OFFLOAD = 5


_AGAIN = (CheckpointPolicy.MUST_RECOMPUTE, CheckpointPolicy.PREFER_RECOMPUTE)
SAC_IGNORED_OPS = {REGISTRY["detach"], REGISTRY["alias"], REGISTRY["module_boundary"]}  # no policy is asked about them

_PRODUCTS = ("matmul", "linear")
_ROWS = {  # of PyTorch's operators that have another name here
    **dict.fromkeys(("mm", "bmm", "mv", "dot", "baddbmm", "addbmm", "addmv"), _PRODUCTS),
    **dict.fromkeys(("addmm", "linear"), _PRODUCTS[::-1]),
    **dict.fromkeys(("convolution", "_convolution", "conv1d", "conv2d", "conv3d"), ("conv",)),
    **dict.fromkeys(("max_pool2d_with_indices", "max_pool3d_with_indices"), ("max_pool",)),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d", "avg_pool3d"), ("avg_pool",)),
}


def rows_of(name: str) -> tuple[str, ...]:
    """Give the rows of the registry that compute what a function of this name does; none for what is made of several.

    Examples
    --------
    >>> rows_of("sin"), rows_of("addmm"), rows_of("var_mean")
    (('sin',), ('linear', 'matmul'), ())
    """
    return _ROWS.get(name) or ((name,) if name in REGISTRY else ())


class SelectiveCheckpointContext:
    """What a policy function is told besides the operation.

    Attributes
    ----------
    is_recompute
        False: a policy is asked when the function runs first, and the second run does what it said.
    op_output
        The operation's result.
    """

    def __init__(self, *, is_recompute: bool, op_output: Any = None) -> None:
        self.is_recompute, self.op_output = is_recompute, op_output


class _Store:
    """The results kept from one run of a function, by operation and the number of its call."""

    def __init__(self, policy: Callable[..., CheckpointPolicy], chosen: frozenset[str] | None) -> None:
        self.policy, self.chosen = policy, chosen
        self.results: dict[tuple[str, int], Any] = {}
        self.met: Counter[str] = Counter()  # how often the first run came to each operation
        self.ended = False  # whether the first run has

    def writing(self, tensor: Any, value: Any) -> None:
        """Copy kept results whose memory is about to be written."""
        root = tensor._s.root
        for key, found in self.results.items():
            self.results[key] = _apart(found, root)


def _apart(found: Any, root: Any) -> Any:
    """Give a kept result that does not lie in this memory."""
    if isinstance(found, (tuple, list)):
        return type(found)(_apart(x, root) for x in found)
    a = found._a if isinstance(found, BaseTensor) else found
    if not isinstance(a, np.ndarray) or not np.may_share_memory(a, root):
        return found
    return a.copy() if a is found else wrap(a.copy())


_PATCHED: Counter[str] = Counter()
_LOCK = threading.Lock()


class _Here(threading.local):
    stack: tuple[Any, ...] = ()


_HERE = _Here()


class _Asking:
    """An operation's meaning, which asks the thread's innermost selective run first; it stands for the row's two functions."""

    def __init__(self, op: Op) -> None:
        self.op, self.numpy, self.large = op, op.numpy, op.large
        op.numpy, op.large = self, None

    def __call__(self, *xs: Any, **attrs: Any) -> Any:
        stack = _HERE.stack
        return stack[-1].ask(self.op, self.meaning, xs, attrs) if stack else self.meaning(*xs, **attrs)

    def meaning(self, *xs: Any, **attrs: Any) -> Any:
        """Compute the result as the row would."""
        if self.large is None or not any(isinstance(x, np.ndarray) and x.size >= LARGE for x in xs):
            return self.numpy(*xs, **attrs)
        r = self.large(*xs, **attrs)
        if self.op.large is not None:  # the first call has found what is to be asked from then on
            self.large, self.op.large = self.op.large, None
        return r

    def end(self) -> None:
        """Give the row its functions back."""
        self.op.numpy, self.op.large = self.numpy, self.large


class _Run:
    """A block in which the operations' results go into the store, or come from it."""

    def __init__(self, store: _Store, second: bool) -> None:
        self.store, self.second = store, second
        self.count: Counter[str] = Counter()

    def _names(self) -> list[str]:
        chosen = self.store.chosen
        return list(REGISTRY) if chosen is None else sorted(name for name in chosen if name in REGISTRY)

    def __enter__(self) -> _Store:
        self.count.clear()
        with _LOCK:
            for name in self._names():
                if not _PATCHED[name]:
                    _Asking(REGISTRY[name])
                _PATCHED[name] += 1
        _HERE.stack += (self,)
        return self.store

    def __exit__(self, *exc: Any) -> None:
        _HERE.stack = _HERE.stack[:-1]
        self.store.ended = True
        with _LOCK:
            for name in self._names():
                _PATCHED[name] -= 1
                if not _PATCHED[name]:
                    REGISTRY[name].numpy.end()  # type: ignore[attr-defined]

    def ask(self, op: Op, meaning: Callable[..., Any], xs: Any, attrs: dict[str, Any]) -> Any:
        """Compute a result, or give the one that was kept."""
        if op.view or op in SAC_IGNORED_OPS:  # shares its input's memory: nothing to keep
            return meaning(*xs, **attrs)
        return self.result(op, op.name, meaning, xs, attrs)

    def result(self, op: Any, name: str, meaning: Callable[..., Any], xs: Any, attrs: dict[str, Any]) -> Any:
        """The same, of anything that has a name."""
        store, key = self.store, (name, self.count[name])
        self.count[name] += 1
        if not self.second:
            store.met[name] += 1
            r = meaning(*xs, **attrs)
            if self._says(op, xs, attrs, r) not in _AGAIN:
                store.results[key] = r
            return r
        if key in store.results:
            return store.results[key]
        if store.ended and key[1] >= store.met[name]:
            raise CheckpointError(
                f"torch.utils.checkpoint: {name} invocation index {key[1]} encountered during backward but not found in storage: the function "
                "ran it less often the first time. Does it depend on something that has changed since?"
            )
        return meaning(*xs, **attrs)

    def _says(self, op: Any, xs: Any, attrs: dict[str, Any], r: Any) -> CheckpointPolicy:
        saving, MODE.saving = MODE.saving, None
        stack, _HERE.stack = _HERE.stack, ()
        try:
            context = SelectiveCheckpointContext(is_recompute=False, op_output=_shown(r))
            answer = self.store.policy(context, op, *map(_shown, xs), **attrs)
        finally:
            MODE.saving, _HERE.stack = saving, stack
        if isinstance(answer, bool):
            return CheckpointPolicy.MUST_SAVE if answer else CheckpointPolicy.PREFER_RECOMPUTE
        return answer


def _shown(x: Any) -> Any:
    """Give a value as a policy sees it."""
    return tuple(map(_shown, x)) if isinstance(x, tuple) else wrap(x) if isinstance(x, np.ndarray) else x


def whole(op: Any, name: str, compute: Callable[..., Any], xs: Any, attrs: dict[str, Any]) -> Any:
    """Compute an operator of the user's own: kept as a whole, or not; what it runs is nobody's business."""
    stack = _HERE.stack
    if not stack:
        return compute(*xs, **attrs)

    def meaning(*xs: Any, **attrs: Any) -> Any:
        _HERE.stack = ()
        try:
            return compute(*xs, **attrs)
        finally:
            _HERE.stack = stack

    chosen = stack[-1].store.chosen
    return (
        meaning(*xs, **attrs)
        if chosen is not None and name not in chosen
        else stack[-1].result(op, name, meaning, xs, attrs)
    )


def _names_of(item: Any) -> tuple[str, ...]:
    """Give the names of what is to be kept, for one item of a list."""
    if isinstance(item, Op):
        return (item.name,)
    rows = getattr(item, "rows", None)  # of operators in torch.ops
    if rows is not None:
        if not item.overloaded:
            raise ValueError(
                f"Expected op in `op_list` to be an OpOverload but got: {item} of type {type(item)}. Please update the "
                f"OpOverloadPacket to a specific OpOverload, such as {item}.default."
            )
        return tuple(rows)
    name = item if isinstance(item, str) else getattr(item, "__name__", "")
    if not rows_of(name):
        raise ValueError(
            f"Expected op in `op_list` to be an OpOverload but got: {item!r} of type {type(item)}, which is no operation; give operators of "
            "torch.ops, or names or rows of the registry, such as 'matmul'"
        )
    return rows_of(name)


def create_selective_checkpoint_contexts(
    policy_fn_or_list: Any, allow_cache_entry_mutation: bool = False
) -> tuple[Any, Any]:
    """Give two contexts for ``checkpoint``'s ``context_fn``: some operations' results are kept, the rest is computed again.

    Parameters
    ----------
    policy_fn_or_list : callable or list
        ``policy(ctx, op, *args, **attrs)`` gives a ``CheckpointPolicy``, where ``op`` is a row of the registry, and equal to the operators of
        ``torch.ops.aten`` that it computes; or the operations to keep: such operators, rows, or names.
    allow_cache_entry_mutation : bool
        Of no effect: a kept result is copied before it is written.

    Examples
    --------
    >>> import functools
    >>> import retrograd as torch
    >>> from retrograd.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts
    >>> keep = functools.partial(create_selective_checkpoint_contexts, ["matmul"])
    >>> x = torch.ones(2, 2, requires_grad=True)
    >>> checkpoint(lambda x: (x @ x).exp().sum(), x, use_reentrant=False, context_fn=keep).backward()
    >>> x.grad
    tensor([[29.5562, 29.5562],
            [29.5562, 29.5562]])
    """
    if callable(policy_fn_or_list):
        store = _Store(policy_fn_or_list, None)
    elif isinstance(policy_fn_or_list, list):
        store = _Store(
            lambda *args, **kwargs: CheckpointPolicy.MUST_SAVE,
            frozenset(name for x in policy_fn_or_list for name in _names_of(x)),
        )
    else:
        raise TypeError("policy_fn_or_list must be either a function or a list of ops.")
    return _Run(store, False), _Run(store, True)


__all__ = [
    "SAC_IGNORED_OPS",
    "CheckpointPolicy",
    "SelectiveCheckpointContext",
    "create_selective_checkpoint_contexts",
    "rows_of",
    "whole",
]
