"""torch.distributed.algorithms.join: processes that run out of data wait for the others; one process has nobody to wait for."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any


class JoinHook:
    """What a process that is done does at each step of the others, and at the end."""

    def main_hook(self) -> None:
        """Stand in for a step."""

    def post_hook(self, is_last_joiner: bool) -> None:
        """Do what is to be done when all have joined."""


class Joinable:
    """Something that takes part, such as an optimizer or a model of several processes."""

    def join_hook(self, **kwargs: Any) -> JoinHook:
        """Give its hook."""
        return JoinHook()


class Join:
    """A block in which uneven shares of the data are trained on; with one process they are even.

    Examples
    --------
    >>> from retrograd.distributed.algorithms.join import Join
    >>> with Join([]) as join:
    ...     pass
    """

    def __init__(
        self,
        joinables: Iterable[Any],
        enable: bool = True,
        throw_on_early_termination: bool = False,
        **kwargs: Any,
    ) -> None:
        self._hooks = [j.join_hook(**kwargs) for j in joinables] if enable else []

    def __enter__(self) -> Join:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for hook in self._hooks if kind is None else ():
            hook.post_hook(True)

    @staticmethod
    def notify_join_context(joinable: Any) -> None:
        """Tell the others that this process is still there; there are none."""


__all__ = ["Join", "JoinHook", "Joinable"]
