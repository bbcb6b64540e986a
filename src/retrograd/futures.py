"""torch.futures: a value that is there later, waited for by threads of this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

__all__ = ["Future", "collect_all", "wait_all"]

T = TypeVar("T")


class Future(Generic[T]):
    """A value, or an error, that is set once, by whoever makes it.

    Examples
    --------
    >>> import retrograd as torch
    >>> later = torch.futures.Future()
    >>> doubled = later.then(lambda f: 2 * f.wait())
    >>> later.set_result(torch.tensor(3.0))
    >>> doubled.wait()
    tensor(6.)
    """

    def __init__(self, *, devices: Sequence[Any] | None = None) -> None:
        from .core import device

        if any(device(one).type != "cpu" for one in devices or ()):
            raise RuntimeError("Future: its value would be on another device than 'cpu', and there is none here")
        self._changed = threading.Condition()
        self._done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Future[T]], Any]] = []

    def done(self) -> bool:
        """Tell whether the value or the error is there."""
        return self._done

    def wait(self) -> T:
        """Wait for the value and give it; an error that was set instead is raised."""
        with self._changed:
            self._changed.wait_for(self.done)
        return self.value()

    def value(self) -> T:
        """Give the value, which must be there; an error that was set instead is raised."""
        if not self._done:
            raise RuntimeError("Future: value() before it is there; wait() waits for it")
        if self._error is not None:
            raise self._error
        result: T = self._value
        return result

    def set_result(self, result: T) -> None:
        """Set the value, wake who waits, and call what was added."""
        self._complete(result, None)

    def set_exception(self, result: BaseException) -> None:
        """Set the error that ``wait`` and ``value`` raise."""
        if not isinstance(result, BaseException):
            raise AssertionError(f"{result} is of type {type(result)}, not an Exception.")
        self._complete(None, result)

    def then(self, callback: Callable[[Future[T]], Any]) -> Future[Any]:
        """Give a future of what ``callback(self)`` returns, called when this one is there."""
        following: Future[Any] = Future()

        def call(done: Future[T]) -> None:
            try:
                following.set_result(callback(done))
            except Exception as error:
                following.set_exception(error)

        self._add(call)
        return following

    def add_done_callback(self, callback: Callable[[Future[T]], None]) -> None:
        """Call ``callback(self)`` when the value is there; an error in it is shown and goes no further."""

        def call(done: Future[T]) -> None:
            try:
                callback(done)
            except Exception:
                import traceback

                traceback.print_exc()

        self._add(call)

    def _add(self, call: Callable[[Future[T]], None]) -> None:
        with self._changed:
            if not self._done:
                self._callbacks.append(call)
                return
        call(self)

    def _complete(self, value: Any, error: BaseException | None) -> None:
        with self._changed:
            if self._done:
                raise RuntimeError(
                    "Attempting to mark a completed Future as complete again. Note that a Future can only be marked "
                    "completed once."
                )
            self._value, self._error, self._done = value, error, True
            calls, self._callbacks = self._callbacks, []
            self._changed.notify_all()
        for call in calls:
            call(self)


def collect_all(futures: Sequence[Future[Any]]) -> Future[list[Future[Any]]]:
    """Give a future of the list itself, which is there when all of them are; the first error is its error."""
    every: Future[list[Future[Any]]] = Future()
    futures = list(futures)
    missing = len(futures)  # 0 too once an error has settled it
    lock = threading.Lock()
    if not futures:
        every.set_result([])

    def count(done: Future[Any]) -> None:
        nonlocal missing
        with lock:
            if not missing:
                return
            missing = missing - 1 if done._error is None else 0
            if missing:
                return
        if done._error is not None:
            every.set_exception(done._error)
        else:
            every.set_result(futures)

    for future in futures:
        future._add(count)
    return every


def wait_all(futures: Sequence[Future[Any]]) -> list[Any]:
    """Wait for all of them and give their values; the first error is raised."""
    return [future.wait() for future in collect_all(futures).wait()]
