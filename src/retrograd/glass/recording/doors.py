"""Where a recorder comes in: calls of modules and compiled functions, and backward passes, go through it while it runs."""

from __future__ import annotations

import functools
import os
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ...compiler.compiled import Compiled
from ...nn.modules.module import Module
from ...tensor import Tensor

if TYPE_CHECKING:
    from .recorder import Recorder

OURS = os.path.dirname(os.path.abspath(__file__))
_running: list[Recorder] = []
_real_call, _real_backward, _real_compiled = Module.__call__, Tensor.backward, Compiled.__call__


def enter(recorder: Recorder) -> None:
    """Let everything go through a recorder; only one can run."""
    if _running:
        raise RuntimeError("record: another recorder is running; leave it first")
    _running.append(recorder)
    Module.__call__ = _call  # type: ignore[method-assign]
    Tensor.backward = _backward  # type: ignore[method-assign]
    Compiled.__call__ = _compiled_call  # type: ignore[method-assign]


def leave() -> None:
    """Put everything back as it was."""
    Module.__call__ = _real_call  # type: ignore[method-assign]
    Tensor.backward = _real_backward  # type: ignore[method-assign]
    Compiled.__call__ = _real_compiled  # type: ignore[method-assign]
    _running.clear()


def call_compiled(compiled: Any, args: Any, kwargs: Any) -> Any:
    """Call a compiled function as without a recorder."""
    return _real_compiled(compiled, *args, **kwargs)


def _forked() -> None:
    """Let go of a record in a process that was forked off: it is the other one's."""
    for recorder in _running:
        recorder.store.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def hide(error: BaseException | None) -> None:
    """Take the recorder's frames out of an exception's traceback, and of those that led to it: it is the program's own."""
    waiting, seen = [error], set()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        each.__traceback__ = _without_ours(each.__traceback__)
        waiting += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]


def _without_ours(first: TracebackType | None) -> TracebackType | None:
    kept = []
    while first is not None:
        if os.path.dirname(first.tb_frame.f_code.co_filename) != OURS:
            kept.append(first)
        first = first.tb_next
    for frame, after in zip(kept, [*kept[1:], None], strict=True):
        frame.tb_next = after
    return kept[0] if kept else None


def running() -> Recorder | None:
    """Give the recorder that looks at this thread and is not at work itself, or None."""
    return _running[0] if _running and _running[0].is_mine() else None


def _call(self: Any, *args: Any, **kwargs: Any) -> Any:
    recorder = running()
    if recorder is None or not _wanted(recorder, self):
        return _real_call(self, *args, **kwargs)
    return recorder.called(self, functools.partial(_real_call, self), args, kwargs)


def _wanted(recorder: Recorder, module: Any) -> bool:
    """Tell whether a module that is called from outside is what is recorded: the one that was named, or one with parameters."""
    original = getattr(module, "_orig_mod", module)
    if recorder.model is not None:
        return original is recorder.model or original is getattr(recorder.model, "_orig_mod", None)
    return next(iter(original.parameters()), None) is not None


def _backward(self: Any, *args: Any, **kwargs: Any) -> Any:
    recorder = running()
    if recorder is not None:
        recorder.goes_back(self, kwargs.get("gradient", args[0] if args else None))
    result = _real_backward(self, *args, **kwargs)
    if recorder is not None:
        recorder.went_back(self)
    return result


def _compiled_call(self: Any, *args: Any, **kwargs: Any) -> Any:
    recorder = running()
    if recorder is None:
        return _real_compiled(self, *args, **kwargs)
    if isinstance(self.fn, Module):
        if not _wanted(recorder, self.fn):
            return _real_compiled(self, *args, **kwargs)
        return recorder.called(self.fn, functools.partial(_real_compiled, self), args, kwargs)
    return recorder.compiled(self, args, kwargs)
