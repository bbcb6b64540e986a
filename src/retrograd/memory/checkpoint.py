"""Parts of a model whose values are computed again on the way back instead of kept."""

from __future__ import annotations

import contextlib
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..core import MODE, BaseTensor, Held, Keeper, Storage, describe, enable_grad, here, show_type, wrap
from ..random.generator import default_generator
from ..random.snapshot import Snapshot
from .saving import Installed

CHECKS = ("default", "none")
SAMPLE = 16  # elements of each value that are compared with the first run's


class CheckpointError(RuntimeError):
    """A function gave other values the second time."""


class _Stop(BaseException):
    """Ends a second run once all that is needed has been computed; not an Exception, so that the function cannot catch it by chance."""


class _Settings(threading.local):
    early_stop: bool | None = None
    debug: bool | None = None
    group: GraphExecGroup | None = None


SETTINGS = _Settings()


def sample(a: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Give a few elements, spread evenly: another run's values differ there almost surely."""
    if a.size <= SAMPLE:
        return a.flatten()
    return np.asarray(a.flat[np.linspace(0, a.size - 1, SAMPLE).astype(np.intp)])


def agree(now: np.ndarray[Any, Any], before: np.ndarray[Any, Any]) -> bool:
    """Tell whether two samples are of one value: of floating-point numbers, up to the difference between two kernels for one operation."""
    if now.tobytes() == before.tobytes():
        return True
    if now.dtype.kind not in "fcV":
        return False
    least = 1e-2 if now.dtype.itemsize == 2 else 1e-9 if now.dtype in (np.float64, np.complex128) else 1e-4
    a, b = (x.astype(np.complex128 if x.dtype.kind == "c" else np.float64) for x in (now, before))
    finite = b[np.isfinite(b)]
    size = float(np.abs(finite).max()) if len(finite) else 0.0
    return bool(np.allclose(a, b, rtol=0, atol=least * size, equal_nan=True))


class _Mark:
    """What is remembered of a value of the first run: its type, a sample, and who saved it."""

    __slots__ = ("dtype", "place", "sample", "shape", "which")

    def __init__(self, a: np.ndarray[Any, Any], node: Any, i: int, check: bool) -> None:
        self.shape, self.dtype = a.shape, a.dtype
        self.sample: Any = sample(a) if check else None
        self.place = node.place if node is not None else here()
        self.which = (
            "an argument of an inner checkpoint"
            if node is None
            else f"{'the result' if i < 0 else f'input {i}'} of {node.op.name}"
        )

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}, {self.which}, at {describe(self.place)}"

    def same(self, other: _Mark) -> bool:
        """Tell whether two runs gave values of one type."""
        return bool(self.shape == other.shape and self.dtype == other.dtype)


class _Slot(Held):
    """A value that the first run let go."""

    __slots__ = ("__weakref__", "frame", "group", "value")

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.value: tuple[Any, Storage, int] | None = None
        self.group: GraphExecGroup | None = None  # in which it was read

    def fetch(self) -> tuple[Any, Storage, int]:
        group = SETTINGS.group
        if group is not None:
            if self.group is group:
                raise CheckpointError(
                    "torch.utils.checkpoint: Unpack is being triggered for a tensor that was already unpacked once. Performing two "
                    "backward calls that overlap (i.e. require the same saved activation in order to compute gradients) is not "
                    "allowed while under the torch.utils.checkpoint.GraphExecGroup context. Walk them outside of it, or together."
                )
            self.group = group
        if self.value is None:
            self.frame.recompute()
        value, self.value = self.value, None
        if value is None:
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the original forward and recomputation."
            )
        return value


class GraphExecGroup:
    """A block of walks over different parts of one graph: each checkpointed function in it runs again at most once.

    Two walks in the block may not read the same saved value, even with ``retain_graph=True``.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.utils.checkpoint import GraphExecGroup, checkpoint
    >>> x = torch.ones(2, requires_grad=True)
    >>> y, z = checkpoint(lambda x: (x.exp(), x.exp().exp()), x, use_reentrant=False)
    >>> with GraphExecGroup():
    ...     y.sum().backward()
    ...     z.sum().backward()
    """

    def __enter__(self) -> GraphExecGroup:
        if SETTINGS.group is not None:
            raise RuntimeError(f"GraphExecGroup contexts cannot be nested. Already inside group {SETTINGS.group}")
        SETTINGS.group = self
        return self

    def __exit__(self, *exc: object) -> None:
        SETTINGS.group = None


class _Argument:
    """A tensor that the function was given, as it was."""

    __slots__ = ("copied", "held", "leaf", "node", "plain", "value")

    def __init__(self, t: Any, outer: Keeper | None) -> None:
        node = t._node
        self.node = node
        self.leaf = t if node is not None and node.op is None else None
        self.copied = False  # the function writes to it: each run is given its own copy
        self.held = outer.keep(t, None, 0) if outer is not None and self.leaf is None else None  # type: ignore[arg-type]
        self.value = None if self.held is not None or self.leaf is not None else (t._a, t._s, t._s.version)
        # without a history, each run is given the tensor itself
        self.plain = t if node is None and self.value is not None else None

    def spare(self) -> None:
        """Keep a copy of a value that is about to be written by the function itself."""
        if self.value is not None and not self.copied:
            kept = self.value[0].copy()
            self.value, self.copied = (kept, Storage(kept), 0), True

    def tensor(self) -> Any:
        """Give the tensor for another run."""
        if self.leaf is not None:
            return self.leaf
        a, storage, version = self.held.fetch() if self.held is not None else self.value  # type: ignore[misc]
        if storage.version != version:
            by = storage.written
            raise CheckpointError(
                f"torch.utils.checkpoint: an argument of the function, {show_type(a)}, was written in place since the function ran"
                f"{f', by {by[0]} at {describe(by[1])}' if by else ''}: its values cannot be computed again. clone() it before the write."
            )
        if self.copied:
            return wrap(a.copy(), None, self.node)
        return self.plain if self.plain is not None and self.plain._a is a else wrap(a, storage, self.node)


class _Run(Keeper):
    """One of the two runs of a function."""

    def __init__(self, frame: Frame, given: list[Any]) -> None:
        self.frame = frame
        self.watchers: list[Any] = []
        self.given = {
            id(t._a): (t, t._s.version)
            for argument, t in zip(frame.arguments, given, strict=True)
            if argument.value is not None
        }

    def at_hand(self, t: Any) -> bool:
        """Tell whether a tensor is an argument, unwritten: the call holds it in any case."""
        found = self.given.get(id(t._a))
        return found is not None and found[0]._a is t._a and found[1] == t._s.version

    def writing(self, tensor: Any, value: Any) -> None:
        for watcher in self.watchers:
            watcher.writing(tensor, value)


class _FirstRun(_Run):
    """Lets go of what the nodes of the first run would save."""

    def __init__(self, frame: Frame, given: list[Any]) -> None:
        super().__init__(frame, given)
        self.kept_bytes = 0
        self._last: Any = None

    def keep(self, tensor: Any, node: Any, i: int) -> Any:
        made_by = tensor._node
        if made_by is not None and made_by.op is None:
            self.frame.leaves.setdefault(id(tensor._s), (weakref.ref(tensor._s), tensor._s.version, show_type(tensor)))
            return None
        if tensor._a is not self._last:
            self.kept_bytes += tensor._a.nbytes
            self._last = tensor._a
        if self.at_hand(tensor):
            return None
        frame = self.frame
        slot = _Slot(frame)
        frame.slots.append(weakref.ref(slot))
        frame.marks.append(_Mark(tensor._a, node, i, frame.check))
        return slot

    def recorded(self, node: Any, xs: Any, t: Any) -> None:
        for x in xs:
            if isinstance(x, BaseTensor) and x._node is not None and x._node.op is None:
                self.frame.leaves.setdefault(id(x._s), (weakref.ref(x._s), x._s.version, show_type(x)))
        if self.frame.debug:
            self.frame.log.append(f"{node.op.name}, at {describe(node.place)}")
        super().recorded(node, xs, t)

    def writing(self, tensor: Any, value: Any) -> None:
        for argument in self.frame.arguments:
            if argument.value is not None and argument.value[1] is tensor._s:
                argument.spare()
        super().writing(tensor, value)


class _SecondRun(_Run):
    """Fills the slots of the first run in the order in which values are saved; its own nodes save as they always do, for walks within it."""

    def __init__(self, frame: Frame, given: list[Any], stop: bool) -> None:
        super().__init__(frame, given)
        self.count = 0
        alive = [k for k, s in enumerate(frame.slots) if s() is not None]
        self.last = alive[-1] if stop and alive else -1
        self.log: list[str] = []
        self.wrong: list[tuple[int, _Mark, str]] = []

    def recorded(self, node: Any, xs: Any, t: Any) -> None:
        if self.frame.debug:
            self.log.append(f"{node.op.name}, at {describe(node.place)}")
        super().recorded(node, xs, t)

    def keep(self, tensor: Any, node: Any, i: int) -> Any:
        if (tensor._node is not None and tensor._node.op is None) or self.at_hand(tensor):
            return None
        frame, k = self.frame, self.count
        self.count += 1
        if k < len(frame.slots):
            a, before = tensor._a, frame.marks[k]
            if frame.check:
                now = _Mark(a, node, i, True)
                if not now.same(before):
                    self.wrong.append((k, now, "metadata"))
                elif not agree(now.sample, before.sample) or (
                    frame.changed() and now.sample.tobytes() != before.sample.tobytes()
                ):
                    self.wrong.append((k, now, "values"))
            slot = frame.slots[k]()
            if slot is not None:
                slot.value = (a, tensor._s, tensor._s.version)
            if k == self.last:
                raise _Stop
        return None


class Frame:
    """One call of a checkpointed function: how to make it again, and the places of the values it let go."""

    def __init__(
        self, fn: Callable[..., Any], args: Any, kwargs: dict[str, Any], contexts: Any, options: dict[str, Any]
    ) -> None:
        outer = MODE.saving
        self.fn, self.contexts = fn, contexts
        self.check, self.debug, self.early_stop = options["check"], options["debug"], options["early_stop"]
        self.arguments: list[_Argument] = []

        def put(x: Any) -> Any:
            if not _plain(x):
                return x
            self.arguments.append(_Argument(x, outer))
            return self.arguments[-1]

        self.args = [put(x) for x in args]
        self.kwargs = {k: put(x) for k, x in kwargs.items()}
        self.random = Snapshot(default_generator) if options["preserve_rng_state"] else None
        self.autocast = (MODE.autocast, MODE.autocast_cache)
        self.slots: list[weakref.ref[_Slot]] = []
        self.marks: list[_Mark] = []
        self.log: list[str] = []  # what was recorded, for `debug`
        self.leaves: dict[int, Any] = {}
        self.place = here()
        self.running = True  # whether the first run is still going on: a walk within it may ask for another one
        self.drew = False  # whether it drew numbers that are not to be replayed

    def recompute(self) -> None:
        """Run the function again, and give every slot that is still wanted its value."""
        args = [x.tensor() if isinstance(x, _Argument) else x for x in self.args]
        kwargs = {k: x.tensor() if isinstance(x, _Argument) else x for k, x in self.kwargs.items()}
        run = _SecondRun(self, _tensors(args, kwargs), self.early_stop)
        stopped = False
        with self._as_it_was(), Installed(run), self.contexts[1] as watcher, enable_grad():
            if hasattr(watcher, "writing"):
                run.watchers.append(watcher)
            try:
                self.fn(*args, **kwargs)
            except _Stop:
                stopped = True
        if run.wrong and self.drew and all(what == "values" for _, _, what in run.wrong):
            warnings.warn(
                f"torch.utils.checkpoint: {self._name()}, called at {describe(self.place)}, drew other random numbers when it ran again, as "
                "preserve_rng_state=False lets it: its gradients are not those of what it gave",
                stacklevel=2,
            )
        elif run.wrong:
            raise CheckpointError(self._difference(run))
        if not stopped and not self.running and self.check and run.count != len(self.slots):
            what = (
                "A different number of tensors was saved during the original forward and recomputation."
                if run.count < len(self.slots)
                else "trying to save more tensors during recomputation than during the original forward pass."
            )
            raise CheckpointError(
                f"torch.utils.checkpoint: {what}\n"
                f"Number of tensors saved during forward: {len(self.slots)}\nNumber of tensors saved during recomputation: {run.count}"
                f"{self._reasons()}{self._listing(run)}"
            )

    @contextlib.contextmanager
    def _as_it_was(self) -> Iterator[None]:
        """Set the modes and the random state of the first run."""
        before = MODE.autocast, MODE.autocast_cache, MODE.casts, MODE.inference, MODE.anomaly
        now = Snapshot(default_generator) if self.random is not None else None
        MODE.autocast, MODE.autocast_cache = self.autocast
        MODE.casts, MODE.inference, MODE.anomaly = None, False, None
        if self.random is not None:
            self.random.go_back()
        MODE.settle()
        try:
            yield
        finally:
            MODE.autocast, MODE.autocast_cache, MODE.casts, MODE.inference, MODE.anomaly = before
            if now is not None:
                now.go_back()
            MODE.settle()

    def _difference(self, run: _SecondRun) -> str:
        what = run.wrong[0][2]
        shown = [f"tensor at position {k}:\n  saved: {self.marks[k]}\n  now:   {now}" for k, now, _ in run.wrong[:5]]
        more = f"\n... and {len(run.wrong) - 5} more" if len(run.wrong) > 5 else ""
        return (
            f"torch.utils.checkpoint: Recomputed values for the following tensors have different {what} than during the forward pass.\n"
            + "\n".join(shown)
            + more
            + self._reasons()
            + self._listing(run)
        )

    def changed(self) -> list[str]:
        """List the parameters that were written since the first run, and by whom."""
        found = []
        for reference, version, shown in self.leaves.values():
            storage = reference()
            if storage is not None and storage.version != version:
                by = storage.written
                found.append(f"{shown}{f', by {by[0]} at {describe(by[1])}' if by else ''}")
        return found

    def _name(self) -> str:
        return getattr(self.fn, "__qualname__", None) or type(self.fn).__name__

    def _reasons(self) -> str:
        """Say what may have changed between the runs, and by whom."""
        changed = self.changed()
        name = self._name()
        if changed:
            return (
                f"\n{name}, called at {describe(self.place)}, reads parameters that were written since it ran: "
                f"{'; '.join(changed[:5])}. Walk back before the optimizer steps."
            )
        state = " (preserve_rng_state=False)" if self.random is None else ""
        return (
            f"\n{name}, called at {describe(self.place)}, is not a function of its arguments and the default generator{state}: does it draw "
            "from another generator, keep a count, or read something that has changed since?"
        )

    def _listing(self, run: _SecondRun) -> str:
        if not self.debug:
            return ""
        saved = "\n".join(f"  {k}: {m}" for k, m in enumerate(self.marks))
        first, second = ("\n".join(f"  {line}" for line in log) for log in (self.log, run.log))
        return (
            "\nYou are seeing this error because you passed `debug=True` to checkpoint.\n"
            f"Operations executed during the original forward:\n{first}\nOperations executed during recomputation:\n{second}\n"
            f"Saved by the first run:\n{saved}"
        )


def _plain(x: Any) -> bool:
    return isinstance(x, BaseTensor) and not x._composite


def _tensors(args: Any, kwargs: dict[str, Any]) -> list[Any]:
    """List the tensors among arguments."""
    return [x for x in (*args, *kwargs.values()) if _plain(x)]


def noop_context_fn() -> tuple[Any, Any]:
    """Give two contexts that do nothing: for the first run and the second."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def run(
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    preserve_rng_state: bool = True,
    context_fn: Callable[[], tuple[Any, Any]] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
) -> Any:
    """Call a function, letting go of what its nodes save; the walk calls it again."""
    if determinism_check not in CHECKS:
        raise ValueError(f"determinism_check should be one of {list(CHECKS)}, but got {determinism_check}")
    debug = debug if SETTINGS.debug is None else SETTINGS.debug
    if debug and context_fn is not noop_context_fn:
        raise ValueError("debug=True is incompatible with non-default context_fn")
    contexts = forward, _ = context_fn()
    if not MODE.grad:  # nothing is saved
        return fn(*args, **kwargs)
    if MODE.trace is not None:  # all is in the graph
        with forward:
            return MODE.trace.checkpointed(lambda: fn(*args, **kwargs))
    options = {
        "check": determinism_check == "default",
        "debug": debug,
        "early_stop": early_stop if SETTINGS.early_stop is None else SETTINGS.early_stop,
        "preserve_rng_state": preserve_rng_state,
    }
    frame = Frame(fn, args, kwargs, contexts, options)
    first = _FirstRun(frame, _tensors(args, kwargs))
    drawn = None if preserve_rng_state else Snapshot(default_generator)
    done = False
    with Installed(first), forward as watcher:
        if hasattr(watcher, "writing"):
            first.watchers.append(watcher)
        result = fn(*args, **kwargs)
        done = True
    if not done:
        raise RuntimeError(
            "torch.utils.checkpoint: the forward context provided by context_fn suppressed an exception raised during the "
            "checkpointed forward. This is not supported because checkpoint cannot return a value for a failed forward."
        )
    frame.running, frame.drew = False, drawn is not None and drawn.moved()
    return result


class CountedRun:
    """Tells how many bytes the innermost checkpointed run has let go so far."""

    @staticmethod
    def now() -> int:
        """Give the number."""
        keeper = MODE.saving
        return keeper.kept_bytes if isinstance(keeper, _FirstRun) else 0


__all__ = ["SETTINGS", "CheckpointError", "CountedRun", "Frame", "GraphExecGroup", "sample", "noop_context_fn", "run"]
