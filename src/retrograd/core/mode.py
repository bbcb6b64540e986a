"""The thread's modes: is history recorded, is a trace running, who watches."""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
import warnings
from collections.abc import Iterator
from typing import Any


class Mode(threading.local):
    """One thread's switches; a class attribute is the value a new thread starts with."""

    grad = True
    inference = False
    trace: Any = None  # the running trace, which wants a Node for every operation
    keep_inputs = False  # forward mode will want what jvp rules read
    special = False  # any of the above or below is on: the door takes its slower path (see `settle`)
    straight: Any = (
        True  # False: the door alone makes results; None: others may, and tell those who hear of finished operations
    )
    anomaly: Any = None  # settings of detect_anomaly while it is on
    observers: tuple[Any, ...] = ()  # called with (op, inputs, attrs, result) after each operation
    autocast: Any = None  # the dtype that an autocast block casts to, while one is on
    autocast_cache = True  # whether a leaf's cast is kept to the end of the outermost block
    casts: Any = None  # the casts that are kept
    backward: int = 0  # how many backward walks are running
    walk: Any = (
        None  # the innermost of them: its roots, the nodes on its way (None for all), and whether it is recorded
    )
    saving: Any = None  # the Keeper that is handed what nodes save
    endings: tuple[Any, ...] = ()  # called once, when the running backward walk has ended
    ending = False  # they are being called
    mixing: Any = None  # told (name, input) where a function reads all rows of a batch together
    target: Any = None  # memory that the operation about to run may write its result to: its own operand's, overwritten next anyway
    aside = False  # what runs leaves no mark on later calls: kinds of calls are not counted, and nothing is compiled for them
    beside: int = (
        0  # while aside: the call from which a kind of calls has kernels of its own, which no other calls use; 0: none
    )
    dual: Any = None  # the level of eager forward mode, which wants to see every operation and write

    def settle(self) -> None:
        """Work out ``special`` after one of the switches changed."""
        closed = bool(
            self.inference
            or self.trace is not None
            or self.keep_inputs
            or self.anomaly is not None
            or self.dual is not None
            or self.autocast is not None
        )
        self.special = bool(closed or self.observers or self.saving is not None)
        self.straight = False if closed else None if self.special else True


MODE = Mode()


@contextlib.contextmanager
def heard_by(observers: tuple[Any, ...] = (), saving: Any = None) -> Iterator[None]:
    """Let these hear of what is run inside, and no others; nobody by default: what a kernel is made of is no part of a program."""
    before = MODE.observers, MODE.saving
    if before == ((), None) == (observers, saving):
        yield
        return
    MODE.observers, MODE.saving = observers, saving
    MODE.settle()
    try:
        yield
    finally:
        MODE.observers, MODE.saving = before
        MODE.settle()


def mode() -> Mode:
    """Give the calling thread's modes."""
    return MODE


class _Switch:
    """A context manager that is also a decorator for functions and generators."""

    def __call__(self, fn: Any) -> Any:
        if inspect.isclass(fn):
            warnings.warn(
                f"Decorating classes is deprecated: {type(self).__name__} makes a function of the class {fn.__name__}, under which "
                "instances are made; decorate functions or methods",
                FutureWarning,
                stacklevel=2,
            )
            return functools.partial(self.__call__(_made_by), fn)
        if inspect.isgeneratorfunction(fn):

            @functools.wraps(fn)
            def generator(*args: Any, **kwargs: Any) -> Any:
                return (yield from _stepped(fn(*args, **kwargs), self._clone))

            return generator

        @functools.wraps(fn)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self._clone():
                return fn(*args, **kwargs)

        return wrapped

    def _clone(self) -> Any:
        return type(self)()

    def __enter__(self) -> Any:
        raise NotImplementedError

    def __exit__(self, *exc: Any) -> None:
        raise NotImplementedError


def _made_by(cls: Any, *args: Any, **kwargs: Any) -> Any:
    """Make an instance of a class."""
    return cls(*args, **kwargs)


def _stepped(steps: Any, switch: Any) -> Any:
    """Run each step of a generator under the switch, and the caller's code between the steps outside it."""
    resume: Any = lambda: next(steps)
    while True:
        try:
            with switch():
                item = resume()
        except StopIteration as stop:
            return stop.value
        try:
            sent = yield item
        except GeneratorExit:
            with switch():
                steps.close()
            raise
        except BaseException as error:
            resume = functools.partial(steps.throw, error)
        else:
            resume = functools.partial(steps.send, sent)


class no_grad(_Switch):
    """Record no history inside: results need no gradient.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    def __new__(cls, fn: Any = None) -> Any:
        made = super().__new__(cls)
        return made if fn is None else made(fn)

    def __enter__(self) -> None:
        self.before = MODE.grad
        MODE.grad = False

    def __exit__(self, *exc: Any) -> None:
        MODE.grad = self.before


class enable_grad(_Switch):
    """Record history inside, also within ``no_grad``.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.no_grad(), torch.enable_grad():
    ...     (x * 2).requires_grad
    True
    """

    def __new__(cls, fn: Any = None) -> Any:
        made = super().__new__(cls)
        return made if fn is None else made(fn)

    def __enter__(self) -> None:
        self.before = MODE.grad
        MODE.grad = not MODE.inference

    def __exit__(self, *exc: Any) -> None:
        MODE.grad = self.before


class set_grad_enabled(_Switch):
    """Switch the recording of history on or off: at once, for a ``with`` block, or for a function.

    Examples
    --------
    >>> import retrograd as torch
    >>> with torch.set_grad_enabled(False):
    ...     torch.is_grad_enabled()
    False
    """

    def __init__(self, mode: bool) -> None:
        self.before = MODE.grad
        self.wanted = bool(mode)
        MODE.grad = self.wanted and not MODE.inference

    def __call__(self, fn: Any) -> Any:
        MODE.grad = self.before
        return super().__call__(fn)

    def _clone(self) -> Any:
        return set_grad_enabled(self.wanted)

    def __enter__(self) -> None:
        MODE.grad = self.wanted and not MODE.inference

    def __exit__(self, *exc: Any) -> None:
        MODE.grad = self.before


class inference_mode(_Switch):
    """Record no history inside, and mark results as unfit for later use with gradients.

    Examples
    --------
    >>> import retrograd as torch
    >>> with torch.inference_mode():
    ...     torch.ones(2).is_inference()
    True
    """

    def __new__(cls, mode: Any = True) -> Any:
        made = super().__new__(cls)
        if callable(mode):
            made.wanted = True
            return made(mode)
        return made

    def __init__(self, mode: bool = True) -> None:
        self.wanted = bool(mode)

    def _clone(self) -> Any:
        return inference_mode(self.wanted)

    def __enter__(self) -> None:
        self.before = MODE.grad, MODE.inference
        MODE.inference = self.wanted
        MODE.grad = not self.wanted
        MODE.settle()

    def __exit__(self, *exc: Any) -> None:
        MODE.grad, MODE.inference = self.before
        MODE.settle()


def is_grad_enabled() -> bool:
    """Tell whether history is being recorded in this thread."""
    return MODE.grad


def is_inference_mode_enabled() -> bool:
    """Tell whether inference mode is on in this thread."""
    return MODE.inference
