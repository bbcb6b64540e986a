"""Anomaly detection: the first NaN (or infinity, if asked) in a backward walk named with its operation and place."""

from __future__ import annotations

import sys
import weakref
from typing import Any

import numpy as np

from ..core import MODE, describe


def module_around() -> str:
    """Name the module whose forward is running, by the calls on the stack: `` in Sequential.2: Linear(10, 40)``, or nothing."""
    found: list[Any] = []
    frame: Any = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__call__" and code.co_varnames[:1] == ("self",):
            module = frame.f_locals.get("self")
            if hasattr(module, "_modules") and hasattr(module, "_get_name"):
                found.append(module)
        frame = frame.f_back
    if not found:
        return ""
    path = found[-1]._get_name()
    for parent, child in zip(reversed(found), reversed(found[:-1]), strict=False):
        name = next((n for n, m in parent.named_modules() if m is child and n), None)
        path = f"{path}.{name}" if name is not None else child._get_name()
    inner = found[0]
    sizes = inner._brief_repr() if not inner._modules else ""
    return f" in {path}: {inner._get_name()}({sizes})" if len(found) > 1 else f" in {inner._get_name()}({sizes})"


class Anomaly:
    """What is looked for while detection is on."""

    def __init__(self, check_nan: bool, check_inf: bool, check_forward: bool) -> None:
        self.check_nan, self.check_inf, self.check_forward = check_nan, check_inf, check_forward
        self.modules: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()

    def bad(self, a: Any) -> str | None:
        """Give "nan" or "inf" if the array has one that is looked for."""
        if a.dtype.kind not in "fcV":
            return None
        if self.check_nan and np.isnan(a).any():
            return "nan"
        return "inf" if self.check_inf and np.isinf(a).any() else None

    def recorded(self, node: Any, xs: Any, a: Any) -> None:
        """Note in which module an operation ran; look at its result, if forward checks were asked for."""
        around = module_around()
        if around:
            self.modules[node] = around
        if self.check_forward:
            found = self.bad(a)
            if found and not any(self.bad(x._a) for x in xs if hasattr(x, "_a")):
                first = tuple(int(i) for i in np.argwhere(~np.isfinite(a))[0])
                raise RuntimeError(
                    f"{node.op.name} gave {found} at index {list(first)} from finite inputs, at {describe(node.place)}"
                )

    def walked(self, node: Any, i: int, r: Any) -> None:
        """Look at a gradient as a rule gives it."""
        if not self.check_nan and not self.check_inf:
            return
        a = getattr(r, "_a", r)
        found = self.bad(a)
        if found:
            first = tuple(int(k) for k in np.argwhere(np.isnan(a) if found == "nan" else np.isinf(a))[0])
            raise RuntimeError(
                f"Function '{node.name()}' returned {found} values in its {i}th output. (The gradient of input {i} of {node.op.name} is {found} first at index {list(first)}; "
                f"the operation was called{self.modules.get(node, '')} at {describe(node.place)})"
            )


class detect_anomaly:
    """Raise RuntimeError where a backward walk first meets a NaN, naming the operation and its line.

    Parameters
    ----------
    check_nan : bool
        Look for NaN in gradients.
    check_inf : bool
        Look for infinities too.
    check_forward : bool
        Look at results as they are made: an operation that gives NaN (or infinity) from finite inputs is an error.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.tensor(0.0, requires_grad=True)
    >>> with torch.autograd.detect_anomaly():
    ...     try:
    ...         (0 * torch.sqrt(x)).backward()
    ...     except RuntimeError as error:
    ...         print(str(error)[:48])
    Function 'SqrtBackward0' returned nan values in
    """

    def __init__(self, check_nan: bool = True, check_inf: bool = False, check_forward: bool = False) -> None:
        self.settings = Anomaly(check_nan, check_inf, check_forward)

    def __enter__(self) -> None:
        self.before = MODE.anomaly
        MODE.anomaly = self.settings
        MODE.settle()

    def __exit__(self, *exc: Any) -> None:
        MODE.anomaly = self.before
        MODE.settle()


class set_detect_anomaly(detect_anomaly):
    """Switch anomaly detection on or off: at once, or for a ``with`` block."""

    def __init__(
        self, mode: bool, check_nan: bool = True, check_inf: bool = False, check_forward: bool = False
    ) -> None:
        super().__init__(check_nan, check_inf, check_forward)
        self.before = MODE.anomaly
        MODE.anomaly = self.settings if mode else None
        MODE.settle()

    def __enter__(self) -> None:
        return None


def is_anomaly_enabled() -> bool:
    """Tell whether anomaly detection is on."""
    return MODE.anomaly is not None
