"""Compiled functions: which program serves a call, and what becomes of a call that none serves yet."""

from __future__ import annotations

import contextlib
import functools
import gc
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from ..core import MODE, BaseTensor
from ..tensor.tree import flatten, unflatten
from .apart import Apart, unserved
from .capture import Captured
from .changes import contents_of, lines_of_changes
from .entry import Entry, Unkept
from .fast import MISSED
from .guards import PLAIN, Guards, Unguardable, name_of
from .later import Later
from .numbers import Promotion, as_inputs, settle
from .reasons import Opaque
from .stores import Stores
from .watch import Watch

MOST_PROGRAMS = 8  # for the same objects among the arguments
MOST_IN_ALL = 64
MOST_WATCHED = 256  # kinds of calls whose watched calls are kept, with the objects that they were given
MOST_BOUNDS = 4  # on the memory of one function, for which programs are kept
MOST_TRIALS = 2  # of whole numbers among the arguments as inputs, for one kind of call
MOST_LOOKS = 3  # at calls that change something outside
MOST_FRUITLESS = 64  # kinds of calls of which none came twice
MOST_EAGER = 4096  # kinds of calls of which it is noted that they run eagerly
MANY = "it was compiled"
STRICT = False  # tests: raise the compiler's own errors
WARMING = 1  # eager calls of one kind before a run is traced: optimizers make their state in the first


class Compiled:
    """A function that runs as machine code once it is warm.

    Parameters
    ----------
    fn : callable
    fullgraph : bool
        Raise RuntimeError where a call cannot be compiled, instead of running it eagerly with a warning.
    name : str
        What messages call it.
    """

    is_compiled = True

    def __init__(self, fn: Callable[..., Any], fullgraph: bool = False, name: str = "") -> None:
        self.fn, self.fullgraph = fn, fullgraph
        self.name = name or getattr(fn, "__qualname__", type(fn).__name__)
        self.entries: dict[Any, list[Entry]] = {}
        self.watches: dict[Any, list[Watch]] = {}
        self.eager: dict[Any, str] = {}
        self.kin: dict[Any, Any] = {}  # the last call of a kind that was compiled, by all but its whole numbers
        self.trials: dict[Any, int] = {}  # how often another whole number was tried as an input, to no avail
        self.made = 0
        self.counts: dict[Any, int] = {}  # of programs, by the functions, modules and other objects among the arguments
        self.lock = threading.RLock()
        self.warned = False
        self.quick: Any = None  # the way into the program that served the last call
        self.epochs: list[dict[str, Any]] = []  # what the last ones came to
        self.fit: Any = None  # gives a graph the form in which it keeps a bound on its memory
        self.tree: Any = None  # the function's text, where no file has it
        self.apart: Any = None  # how calls run that no program serves
        self._outline: Any = None
        self.fruitless = 0  # new kinds of calls since a program was made
        self.around: Any = contextlib.nullcontext  # the block in which calls run that no program serves
        self.bounds: dict[Any, Compiled] = {}  # this function within bounds on its memory
        functools.update_wrapper(self, fn, updated=())

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self if owner is None else functools.partial(self, owner)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        mode = MODE
        quick = self.quick
        if (
            quick is not None
            and not kwargs
            and not mode.special
            and mode.grad is quick.grad
            and len(args) == quick.given
        ):
            with self.lock:
                try:
                    result = quick.call(args)
                except Exception:
                    return self._failed(quick.entry, args, kwargs)
            if result is not MISSED:
                for ending in quick.entry.endings:
                    ending()
                return result
        if mode.special:  # inside another trace, an observer, forward or anomaly mode
            if mode.saving is not None and mode.trace is None:
                return mode.saving.compiled(self, args, kwargs)
            return self.fn(*args, **kwargs)
        if self.apart is not None and not self.made:
            with self.around():
                return self.apart(*args, **kwargs)
        leaves, structure = flatten((args, kwargs))
        given = [x for x in leaves if isinstance(x, BaseTensor)]
        key = self._key(leaves, structure)
        if key is None or key in self.eager:
            with self.around():
                return self._eager(args, kwargs)
        with self.lock:
            for entry in self.serving(key):
                if not entry.takes(leaves):
                    continue
                fast = entry.fast
                is_armed = fast is not None and fast.armed and len(given) == fast.given and entry.ledger is None
                if is_armed or entry.fits(given):
                    try:
                        result = fast.call(given) if fast is not None and is_armed else MISSED
                        if result is MISSED:
                            if is_armed and not entry.fits(given):
                                continue
                            result = entry.run(given)
                            is_armed = False
                    except Exception:
                        return self._failed(entry, args, kwargs)
                    if fast is not None and not is_armed:
                        fast.arm()
                        flat = structure[2][0][2] == [None] * len(args) and len(given) == len(leaves) and not kwargs
                        self.quick = fast if flat else None
                    for ending in entry.endings:  # behind the arming, so that the next call sees what they change
                        ending()
                    return result
            with unserved():
                return self._new(key, leaves, structure, given, args, kwargs)

    def _eager(self, args: Any, kwargs: Any) -> Any:
        """Run a call that no program serves: in pieces, where it can be."""
        return self.fn(*args, **kwargs) if self.apart is None else self.apart(*args, **kwargs)

    def serving(self, key: Any) -> list[Entry]:
        """Give the programs that may serve calls of a kind: its own, and those to which whole numbers are inputs."""
        own = self.entries.get(key, [])
        alike = _but_whole_numbers(key)
        return own if alike is key else [*own, *self.entries.get(alike, ())]

    # whatever a program raises, such as an index out of range, is left to the eager function to raise in its own words
    def _failed(self, entry: Entry, args: Any, kwargs: Any) -> Any:
        """Raise what the eager function raises, by running it, if the program has changed nothing yet."""
        if entry.program.repeatable:
            return self.fn(*args, **kwargs)
        raise

    def _key(self, leaves: list[Any], structure: Any) -> Any:
        """Give what tells calls of different programs apart, or None for a call that has to run as it is."""
        key: list[Any] = [MODE.grad, repr(structure)]
        seen: dict[int, int] = {}  # the same tensor, or tensors of one memory, in two places are a case of their own
        for x in leaves:
            if isinstance(x, BaseTensor):
                a = x._a
                node = x._node
                for part in (x, x._s.root):
                    if seen.setdefault(id(part), len(key)) != len(key):
                        key.append(("again", seen[id(part)]))
                key.append(
                    (
                        a.shape,
                        a.dtype.str,
                        type(x),
                        node is not None and node.requires_grad,
                        node is None or node.op is None,
                    )
                )
            elif type(x) is float:
                key.append(float)  # what it is, each program knows
            elif isinstance(x, PLAIN):
                key.append((type(x), x))
            else:
                key.append((type(x), id(x)))
        try:
            hash(made := tuple(key))
        except TypeError:
            return None
        return made

    # -- a call that no program serves yet ---------------------------------------------------------------------------------
    def _new(self, key: Any, leaves: list[Any], structure: Any, given: list[Any], args: Any, kwargs: Any) -> Any:
        if callable(sys.getprofile()):  # somebody else watches every call; compile when they are done
            return self.fn(*args, **kwargs)
        watches = self.watches.setdefault(key, [])
        while len(self.watches) > MOST_WATCHED:
            del self.watches[next(iter(self.watches))]
        alike, place = _but_whole_numbers(key), key
        related = None  # a call with other whole numbers, which perhaps can be inputs
        if not watches and alike is not key:
            related = self.kin.get(alike)
            tried = self.trials.get(alike, 0) >= MOST_TRIALS and self.serving(related)
            related = None if tried or not self.watches.get(related) else related
        objects = tuple([id(x) for x in leaves if not isinstance(x, (BaseTensor, *PLAIN))])
        code = self.outline().code
        if self.counts.get(objects, 0) >= MOST_PROGRAMS:
            self._give_up(
                key,
                f"{MANY} {MOST_PROGRAMS} times already, for different shapes or values",
                self._lines_of_changes(key),
            )
            return self.fn(*args, **kwargs)
        if self.made >= MOST_IN_ALL:
            self._give_up(key, f"{MANY} {MOST_IN_ALL} times already, for different arguments")
            return self.fn(*args, **kwargs)
        if related is None and len(watches) < WARMING:
            self.fruitless += 1
            most = MOST_FRUITLESS if self.tree is None else MOST_FRUITLESS // 8
            if self.fruitless > most:
                self._give_up(key, f"none of its last {most} calls was like another: their arguments are new objects")
                return self.fn(*args, **kwargs)
            watch = Watch(code)
            with self.around(), _aside(), watch:
                result = self.fn(*args, **kwargs)
            watches.append(watch)
            if alike is not key and not self.watches.get(self.kin.get(alike)):
                self.kin[alike] = key
            return result
        watch = watches[0] if related is None else self.watches[related][0]
        try:
            guards = Guards(watch, [self.fn, *[x for x in leaves if not isinstance(x, BaseTensor)]])
        except Unguardable as error:
            self._give_up(key, str(error), self.outline().named(error.name))
            return self.fn(*args, **kwargs)
        parameters: dict[int, Any] = {id(t): t for t in given if t.requires_grad and t.is_leaf}
        for module in guards.modules:
            for p in module.__dict__.get("_parameters", {}).values():
                if p is not None:
                    parameters[id(p)] = p
        for optimizer in guards.optimizers:
            for group in optimizer.param_groups:
                parameters.update({id(p): p for p in group["params"]})
        second = Watch(code)
        formers = self.serving(key if related is None else related)
        promotion = Promotion(formers, leaves) if formers else None
        later = Later(guards.schedulers, guards.names)
        fn, lines = self.fn, set()
        if len(watches) > MOST_LOOKS and code is not None:

            def fn(*args: Any, **kwargs: Any) -> Any:
                result, found = lines_of_changes(code, guards, (args, kwargs), lambda: self.fn(*args, **kwargs))
                lines.update(found)
                return result

        before = contents_of((args, kwargs))
        with promotion or contextlib.nullcontext(), later, _aside(), second:
            if promotion:
                args, kwargs = unflatten(promotion.ledger.arguments, structure)
            captured = Captured(
                fn,
                args,
                kwargs,
                given,
                list(parameters.values()),
                guards.optimizers,
                Stores(guards, second),
                {*guards.seen, *[id(x) for x in leaves]},
                code,
            )
        reason = captured.reason or next(iter(watch.impure + second.impure), None)
        reason = reason or later.reason
        done = lines | watch.impure.lines | second.impure.lines
        lines |= captured.lines | done
        changed = guards.changed()
        if changed is None and not promotion and contents_of((args, kwargs)) != before:
            changed = "an argument"
        later.run()
        fresh = second.imported or not second.codes.keys() <= watch.codes.keys()
        if related is not None:
            steady = reason is None and not fresh and changed is None and not second.flattened
            if steady and promotion and promotion.succeeds(captured.graph):
                place, self.trials[alike] = alike, 0
            elif formers or not steady:
                self.trials[alike] = self.trials.get(alike, 0) + 1
                watches.append(second)
                return captured.result
        if reason is None and (fresh or changed is not None):
            watch.update(second)  # it took another way, or made something that it keeps: look once more
            if len(watches) > MOST_LOOKS:
                reason = f"{changed} was changed during the call" if changed else "its course differs from call to call"
            else:
                watches.append(watch)
                return captured.result
        if reason is not None:
            self._give_up(key, reason, lines, captured.lines - done)
            return captured.result
        numbers: Any = []
        raw = captured.graph
        compared = promotion.ledger.constants if promotion else None
        if promotion and not second.flattened and promotion.succeeds(raw):
            promotion.release(guards)
            numbers = captured.promote(as_inputs)
        else:
            promotion = None
            settle(raw)
            captured.settle()
        endings = later.release(guards)
        collects = gc.isenabled()
        gc.disable()  # thousands of nodes are made, none of them garbage yet
        try:
            entry = Entry(captured, guards, given, self.fit)
        except Unkept as error:
            self._give_up(key, str(error))
            return captured.result
        except Exception as error:
            if STRICT or getattr(error, "final", False):
                raise
            self._give_up(key, f"the compiler failed ({type(error).__name__}: {error}); please report it")
            return captured.result
        finally:
            if collects:
                gc.enable()
        entry.lock, entry.raw, entry.compared = self.lock, raw, compared
        entry.endings = endings
        entry.scalars = {i: x for i, x in enumerate(leaves) if type(x) in (float, int)}
        if promotion:
            for _, holder, i, _ in promotion.released():
                if holder is promotion.ledger.arguments:
                    del entry.scalars[i]
            entry.ledger, entry.numbers = promotion.ledger, numbers
            for entries in self.entries.values():
                # whose numbers this program takes too
                entries[:] = [e for e in entries if e not in promotion.alike]
            self.counts[objects] = self.counts.get(objects, 0) - len(promotion.alike)
        self.entries.setdefault(place, []).insert(0, entry)
        if alike is not key and place is key:
            watches[:] = watches or [watch]
            self.kin[alike] = key
        self.made += 1
        self.fruitless = 0
        self.counts[objects] = self.counts.get(objects, 0) + 1
        result, captured.result = captured.result, None
        return result

    def _lines_of_changes(self, key: Any) -> set[int]:
        """Give the lines in which stands what was different at each call of a kind, so that no program served two of them."""
        names = {name for entry in self.serving(key) if (name := entry.guards.changed()) is not None}
        lines = [self.outline().named(name_of(name)) for name in names]
        return set().union(*lines) if len(self.serving(key)) >= MOST_PROGRAMS // 2 else set()

    def within(self, bound: Any, fit: Any) -> Compiled:
        """Give this function in a form of its own for a bound on memory: ``fit`` gives its graphs theirs."""
        found = self.bounds.get(bound)
        if found is None:
            while len(self.bounds) >= MOST_BOUNDS:
                del self.bounds[next(iter(self.bounds))]
            found = self.bounds[bound] = Compiled(self.fn, self.fullgraph, self.name)
            found.fit = fit
        return found

    def epoch(self, data: Any, **options: Any) -> Any:
        """Run over all batches of a loader: see :func:`retrograd.compiler.epochs.epoch`."""
        from .epochs import epoch

        return epoch(self, data, **options)

    def explain(
        self, *, graph: bool = False, guards: bool = False, ir: bool = False, assembly: bool = False, rounds: int = 20
    ) -> Any:
        """Tell what the function has become: see :func:`retrograd.compiler.explain.explain`."""
        from .explain import explain

        return explain(self, graph=graph, guards=guards, ir=ir, assembly=assembly, rounds=rounds)

    def outline(self) -> Apart:
        """Give what is known of the function's text."""
        made: Apart = self._outline or Apart(self.fn, self._part, self.name, self.tree)
        self._outline = made
        return made

    def _part(self, fn: Any, tree: Any, name: str) -> Any:
        """Give the compiled form of a part of this function."""
        made = Compiled(fn, name=name)
        made.tree, made.warned = tree, True
        return made

    def _give_up(self, key: Any, reason: str, lines: Any = (), asked: Any = frozenset()) -> None:
        if len(self.eager) < MOST_EAGER:
            self.eager[key] = reason
        message = f"{self.name} runs eagerly, not compiled: {reason}"
        if self.fullgraph and not isinstance(reason, Opaque):
            raise RuntimeError(message)
        if self.fit is None and (lines or not reason.startswith(MANY)):
            outline = self.outline()
            if outline.split(set(lines), asked):
                message = f"{self.name} is compiled in pieces, not as a whole: {reason}"
            self.apart = outline
        if not self.warned:
            self.warned = True
            warnings.warn(message, UserWarning, stacklevel=4)


@contextlib.contextmanager
def _aside() -> Iterator[None]:
    """Compile nothing for eager mode in calls that come before the program: it has all that they compute."""
    before, MODE.aside = MODE.aside, True
    try:
        yield
    finally:
        MODE.aside = before


def compile_function(fn: Callable[..., Any], fullgraph: bool = False) -> Compiled:
    """Give the compiled form of a function."""
    return Compiled(fn, fullgraph)


__all__ = ["Compiled", "compile_function"]


def _but_whole_numbers(key: Any) -> Any:
    """Give a key that is the same for all whole numbers among the arguments; the very same key where there are none."""
    if not any(k.__class__ is tuple and k[0] is int for k in key):
        return key
    return tuple([int if k.__class__ is tuple and k[0] is int else k for k in key])
