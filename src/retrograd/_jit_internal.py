"""torch._jit_internal: the names by which layers in public repositories choose between forms of one function.

>>> pick = boolean_dispatch(
...     "both", 1, False, if_true=lambda x, both=False: (x, x), if_false=lambda x, both=False: x
... )
>>> pick(3), pick(3, True)
(3, (3, 3))
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Final, List, Optional, Tuple, Union  # noqa: F401, UP035  (they are this module's names)

from .futures import Future
from .jit import _drop, _overload, _overload_method, export, ignore, is_scripting, unused
from .jit import isinstance as _isinstance


class BroadcastingListCls:
    """What ``BroadcastingList2[int]`` is made of: an annotation for a list, or one number for all of it."""

    def __getitem__(self, types: Any) -> None:
        return None


BroadcastingList1 = BroadcastingListCls()
BroadcastingList2 = BroadcastingList3 = BroadcastingList4 = BroadcastingList1
BroadcastingList5 = BroadcastingList6 = BroadcastingList1


def boolean_dispatch(
    arg_name: str,
    arg_index: int,
    default: bool,
    if_true: Callable[..., Any],
    if_false: Callable[..., Any],
    module_name: str | None = None,
    func_name: str | None = None,
) -> Callable[..., Any]:
    """Give the function that calls one of two, as an argument of it says.

    Parameters
    ----------
    arg_name, arg_index, default : str, int, bool
        The argument: by keyword, by place, and where it is not given.
    if_true, if_false : callable
        The two; the one that has a docstring gives it.
    module_name, func_name : str, optional
        What the function is to be called.
    """

    def fn(*args: Any, **kwargs: Any) -> Any:
        chosen = kwargs[arg_name] if arg_name in kwargs else args[arg_index] if arg_index < len(args) else default
        return if_true(*args, **kwargs) if chosen else if_false(*args, **kwargs)

    fn.__doc__ = if_false.__doc__ or if_true.__doc__
    if module_name is not None:
        fn.__module__ = module_name
    if func_name is not None:
        fn.__name__ = func_name
    return fn


def _copy_to_script_wrapper(fn: Any) -> Any:
    """Give a method unchanged."""
    return fn


__all__ = [
    "BroadcastingList1",
    "BroadcastingList2",
    "BroadcastingList3",
    "BroadcastingList4",
    "BroadcastingList5",
    "BroadcastingList6",
    "BroadcastingListCls",
    "Future",
    "_copy_to_script_wrapper",
    "_drop",
    "_isinstance",
    "_overload",
    "_overload_method",
    "boolean_dispatch",
    "export",
    "ignore",
    "is_scripting",
    "unused",
]
