"""Which results a checkpointed function keeps although the rest is computed again."""

from __future__ import annotations

import enum
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import MODE, REGISTRY, Op, wrap
from ..core.large import LARGE
from .checkpoint import CheckpointError


class CheckpointPolicy(enum.Enum):
    """What is to become of an operation's result: kept, or computed again; "prefer" leaves it to a compiler, and eager does as it says."""

    MUST_SAVE = 0
    PREFER_SAVE = 1
    MUST_RECOMPUTE = 2
    PREFER_RECOMPUTE = 3


_KEPT = (CheckpointPolicy.MUST_SAVE, CheckpointPolicy.PREFER_SAVE)


class SelectiveCheckpointContext:
    """What a policy function is told besides the operation.

    Attributes
    ----------
    is_recompute
        Whether this is the second run.
    """

    def __init__(self, *, is_recompute: bool) -> None:
        self.is_recompute = is_recompute


class _Store:
    """The results kept from one run of a function, by operation and the number of its call."""

    def __init__(self, policy: Callable[..., CheckpointPolicy], chosen: frozenset[str] | None) -> None:
        self.policy, self.chosen = policy, chosen
        self.results: dict[tuple[str, int], Any] = {}

    def writing(self, tensor: Any, value: Any) -> None:
        """Copy kept results whose memory is about to be written."""
        root = tensor._s.root
        for key, found in self.results.items():
            if isinstance(found, np.ndarray) and np.may_share_memory(found, root):
                self.results[key] = found.copy()


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
        self.context = SelectiveCheckpointContext(is_recompute=second)
        self.count: Counter[str] = Counter()

    def _names(self) -> list[str]:
        return sorted(self.store.chosen) if self.store.chosen is not None else list(REGISTRY)

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
        with _LOCK:
            for name in self._names():
                _PATCHED[name] -= 1
                if not _PATCHED[name]:
                    REGISTRY[name].numpy.end()  # type: ignore[attr-defined]

    def ask(self, op: Op, meaning: Callable[..., Any], xs: Any, attrs: dict[str, Any]) -> Any:
        """Compute a result, or give the one that was kept."""
        key = (op.name, self.count[op.name])
        self.count[op.name] += 1
        if op.view:  # shares its input's memory: nothing to keep
            return meaning(*xs, **attrs)
        if not self.second:
            r = meaning(*xs, **attrs)
            if self._says(op, xs, attrs) in _KEPT:
                self.store.results[key] = r
            return r
        if key in self.store.results:
            return self.store.results[key]
        if self.store.chosen is None and self._says(op, xs, attrs) is CheckpointPolicy.MUST_SAVE:
            raise CheckpointError(
                f"the policy keeps {op.name} when the function runs again, but did not when it ran first: give the same answer both times"
            )
        return meaning(*xs, **attrs)

    def _says(self, op: Op, xs: Any, attrs: dict[str, Any]) -> CheckpointPolicy:
        saving, MODE.saving = MODE.saving, None
        stack, _HERE.stack = _HERE.stack, ()
        try:
            shown = [wrap(x) if isinstance(x, np.ndarray) else x for x in xs]
            answer = self.store.policy(self.context, op, *shown, **attrs)
        finally:
            MODE.saving, _HERE.stack = saving, stack
        if isinstance(answer, bool):
            return CheckpointPolicy.MUST_SAVE if answer else CheckpointPolicy.PREFER_RECOMPUTE
        return answer


def _op_name(item: Any) -> str:
    name = str(item if isinstance(item, str) else getattr(item, "name", None) or getattr(item, "__name__", ""))
    aliases: dict[str, str] = {"mm": "matmul", "bmm": "matmul", "addmm": "matmul", "linear": "matmul"}
    name = name if name in REGISTRY else aliases.get(name, name)
    if name not in REGISTRY:
        raise ValueError(
            f"create_selective_checkpoint_contexts: {item!r} is no operation; give names or rows of the registry, such as 'matmul'"
        )
    return str(name)


def create_selective_checkpoint_contexts(
    policy_fn_or_list: Any, allow_cache_entry_mutation: bool = False
) -> tuple[Any, Any]:
    """Give two contexts for ``checkpoint``'s ``context_fn``: some operations' results are kept, the rest is computed again.

    Parameters
    ----------
    policy_fn_or_list : callable or list
        ``policy(ctx, op, *args, **attrs)`` gives a ``CheckpointPolicy``; or the operations to keep, by name or row of the registry.
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
    elif isinstance(policy_fn_or_list, (list, tuple)):
        store = _Store(
            lambda *args, **kwargs: CheckpointPolicy.MUST_SAVE, frozenset(_op_name(x) for x in policy_fn_or_list)
        )
    else:
        raise TypeError("policy_fn_or_list must be either a function or a list of ops.")
    return _Run(store, False), _Run(store, True)


__all__ = ["CheckpointPolicy", "SelectiveCheckpointContext", "create_selective_checkpoint_contexts"]
