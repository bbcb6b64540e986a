"""The group of processes that this one belongs to, if the program made one."""

from __future__ import annotations

import sys
from typing import Any


def process_group() -> Any:
    """Give the default process group, or None.

    Groups are made above this floor, by the module that is torch.distributed; where it was not loaded there is none.
    """
    made = sys.modules.get(f"{__name__.partition('.')[0]}.distributed")
    return made.group.WORLD if made is not None and made.is_initialized() else None
