"""torch.nn.attention: which ways of computing attention are permitted; here there is one, and it is exact."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator
from typing import Any

from ..functional.attention import PERMITTED

__all__ = ["SDPBackend", "WARN_FOR_UNFUSED_KERNELS", "sdpa_kernel"]

WARN_FOR_UNFUSED_KERNELS = False


class SDPBackend(enum.Enum):
    """The ways in which torch computes `scaled_dot_product_attention`; on the CPU it has the first two."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4

    def __int__(self) -> int:
        return int(self.value)

    __index__ = __int__


_NAMES = {
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
    "mem_efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
    "overrideable": SDPBackend.OVERRIDEABLE,
}


def _cur_sdpa_kernel_backends(with_priority: bool = False) -> list[SDPBackend]:
    return [backend for name, backend in _NAMES.items() if PERMITTED[name]]


@contextlib.contextmanager
def sdpa_kernel(backends: Any, set_priority: bool = False) -> Iterator[dict[str, Any]]:
    """Permit only some ways of computing attention within the block.

    All of them give the same values here. Without MATH and FLASH_ATTENTION, attention on the CPU is a RuntimeError.

    Parameters
    ----------
    backends : SDPBackend or list of SDPBackend
        What is permitted.
    set_priority : bool
        Whether the list is in order of preference; it makes no difference here.

    Raises
    ------
    AssertionError
        For anything else than an SDPBackend or a list.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd.nn.attention import SDPBackend, sdpa_kernel
    >>> q = torch.zeros(1, 2, 4)
    >>> with sdpa_kernel(SDPBackend.MATH):
    ...     torch.nn.functional.scaled_dot_product_attention(q, q, q).shape
    torch.Size([1, 2, 4])
    """
    if not isinstance(backends, (list, SDPBackend)):
        raise AssertionError(
            "Backend must be an instance of SDPBackend or a list of SDPBackend instances, "
            f"got {type(backends).__name__}"
        )
    wanted = backends if isinstance(backends, list) else [backends]
    before = dict(PERMITTED)
    PERMITTED.update((name, backend in wanted) for name, backend in _NAMES.items())
    try:
        yield {}
    finally:
        PERMITTED.update(before)


def __getattr__(name: str) -> Any:
    if name in ("bias", "flex_attention"):
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    from ...utils._names import missing

    raise missing(__name__, name, globals())
