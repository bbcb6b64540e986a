"""Anomaly detection: the first NaN (or infinity, if asked) in a backward walk named with its operation and place."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import MODE, describe


class Anomaly:
    """What is looked for while detection is on."""

    def __init__(self, check_nan: bool, check_inf: bool, check_forward: bool) -> None:
        self.check_nan, self.check_inf, self.check_forward = check_nan, check_inf, check_forward

    def bad(self, a: Any) -> str | None:
        """Give "nan" or "inf" if the array has one that is looked for."""
        if a.dtype.kind not in "fcV":
            return None
        if self.check_nan and np.isnan(a).any():
            return "nan"
        return "inf" if self.check_inf and np.isinf(a).any() else None

    def recorded(self, node: Any, xs: Any, a: Any) -> None:
        """Look at a result as it is made, if forward checks were asked for."""
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
                f"the operation was called at {describe(node.place)})"
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
