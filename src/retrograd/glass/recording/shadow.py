"""A model's call, done once more beside the real one with every operation seen; nothing of the real one changes by a bit."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

from ... import random as _random
from ...core import BaseTensor, enable_grad
from ...nn.modules.module import Module
from ...nn.parameter import Parameter
from ..twins import is_the_models, tensors_of, without_histories
from .tape import Seen, Tape

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
PLAIN = (int, float, complex, str, bytes, bool, type(None))


def twin_of(model: Any) -> Any:
    """Copy a model, its state in Python too; parameters share the original's memory, buffers and all else are copies."""
    memo = without_histories(model, {})
    for p in model.parameters():
        memo[id(p)] = Parameter(p.detach(), requires_grad=p.requires_grad)
        # deepcopy looks what it holds alive for up in the memo, too
        memo.setdefault(id(memo), []).append(p)
    parts = [m for m in model.modules() if _is_plain(type(m))]
    for m in parts:  # each is known before any is filled, since they may name each other
        memo[id(m)] = object.__new__(type(m))
        memo.setdefault(id(memo), []).append(m)
    for m in parts:
        state = memo[id(m)].__dict__
        for name, value in m.__getstate__().items():
            state[name] = value if isinstance(value, PLAIN) else _kept(value) if name in HOOKS else _copied(value, memo)
    twin = copy.deepcopy(model, memo)
    for module in twin.modules():
        for name in HOOKS:
            module.__dict__[name] = _kept(module.__dict__[name])
    return twin


def _is_plain(kind: type) -> bool:
    """Tell whether modules of a class are copied by what they hold: it says nothing else of how to copy them."""
    own = ("__deepcopy__", "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__slots__", "__copy__")
    return not any(n in c.__dict__ for c in kind.__mro__ if c is not object and c is not Module for n in own)


def _kept(table: Any) -> Any:
    """Leave out the program's own hooks, which may do anything, and keep those that compute a weight."""
    return type(table)((k, hook) for k, hook in table.items() if is_the_models(hook))


def _copied(value: Any, memo: dict[int, Any]) -> Any:
    """Copy what a module holds; most of it is empty tables and settings, which need no search."""
    if type(value) in (dict, OrderedDict, set, list) and not value:
        return type(value)()
    if type(value) is tuple and all(isinstance(v, PLAIN) for v in value):
        return value
    return copy.deepcopy(value, memo)


class Shadow:
    """One call of a model at a step that is recorded: the real result is given back, and a copy is run under the tape."""

    def __init__(self, model: Any, keep: bool) -> None:
        self.model, self.keep = model, keep
        self.twin = twin_of(model)
        self.before = _random.default_generator.get_state()
        self.tape: Tape | None = None
        self.outputs: list[Any] = []
        self.upstream: list[Any] = []
        self.root = ""

    def follow(self, args: Any, kwargs: Any, result: Any) -> None:
        """Run the copy on what the real call was given, with the same random draws, and wait for the real gradients."""
        after = _random.default_generator.get_state()
        real = tensors_of(result)
        try:
            _random.default_generator.set_state(self.before)
            with enable_grad(), Tape(self.twin, self.keep) as self.tape:
                run = self.twin if self.twin._forward_pre_hooks else self.twin.forward
                again = run(*_detached(args), **_detached(kwargs))
        finally:
            _random.default_generator.set_state(after)
        self.outputs = tensors_of(again)
        self.upstream = [None] * len(self.outputs)
        for i, (mine, theirs) in enumerate(zip(self.outputs, real, strict=False)):
            if theirs.requires_grad and mine.requires_grad:
                theirs.register_hook(self._arrived(i))

    def _arrived(self, i: int) -> Any:
        def hook(g: Any) -> None:
            if i >= len(self.upstream):  # a second backward pass of the step
                return
            held = self.upstream[i]
            self.upstream[i] = g.detach().clone() if held is None else held + g.detach()

        return hook

    @property
    def arrived(self) -> bool:
        """Whether real gradients have come that were not walked back yet."""
        return any(g is not None for g in self.upstream)

    @property
    def expects(self) -> bool:
        """Whether results of this step wait for a backward pass."""
        return bool(self.outputs)

    @property
    def seen(self) -> list[Seen]:
        """What was seen."""
        return self.tape.seen if self.tape is not None else []

    def go_back(self) -> None:
        """Walk back with the gradients that arrived; once, so of several backward passes of a step the first counts."""
        if self.tape is not None:
            self.tape.go_back(self.outputs, self.upstream)
            self.tape.forget()
        self.outputs, self.upstream = [], []


def _detached(thing: Any) -> Any:
    if isinstance(thing, BaseTensor):
        x: Any = thing
        return x.detach().requires_grad_(x.requires_grad) if x._a.dtype.kind in "fc" else x
    if isinstance(thing, dict):
        return {k: _detached(v) for k, v in thing.items()}
    if isinstance(thing, (list, tuple)):
        parts = [_detached(v) for v in thing]
        return type(thing)(*parts) if hasattr(thing, "_fields") else type(thing)(parts)
    return thing
