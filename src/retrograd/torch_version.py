"""torch.torch_version: the version of PyTorch that is stood in for, compared by number."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["TorchVersion"]


class TorchVersion(str):
    """The version of PyTorch that is stood in for, which compares by number and not by spelling.

    Examples
    --------
    >>> from retrograd.torch_version import TorchVersion
    >>> TorchVersion("2.13.0+retrograd") > "2.4"
    True
    >>> TorchVersion("2.13.0+retrograd") >= (2, 13)
    True
    """

    __slots__ = ()

    @staticmethod
    def _release(version: Any) -> tuple[int, ...]:
        parts = re.findall(r"\d+", version.partition("+")[0]) if isinstance(version, str) else version
        release = [int(part) for part in parts]
        while release and release[-1] == 0:  # 2.13 and 2.13.0 are one version
            release.pop()
        return tuple(release)

    def __lt__(self, other: object) -> bool:
        return self._release(self) < self._release(other)

    def __le__(self, other: object) -> bool:
        return self._release(self) <= self._release(other)

    def __gt__(self, other: object) -> bool:
        return self._release(self) > self._release(other)

    def __ge__(self, other: object) -> bool:
        return self._release(self) >= self._release(other)
