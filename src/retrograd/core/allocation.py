"""What the process does with memory: the C allocator keeps large blocks, and the cycle collector looks less often.

glibc gives blocks of 128 KiB and more back to the system as soon as they are freed, so that each large temporary array is
zeroed and faulted in anew, page by page. Training asks for the same sizes again and again.
A graph is thousands of small objects that die by reference count, without cycles; looking through them for cycles at every 700th
is a twentieth of a step's time. See docs/decisions/0003-allocator.md; ``RETROGRAD_MALLOC=system`` and ``RETROGRAD_GC=system`` leave
things as they are.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEEP, LARGEST = 512 << 20, 32 << 20  # bytes kept at the top of the heap; the largest threshold that glibc takes


def keep_large_blocks() -> bool:
    """Raise glibc's thresholds; tell whether that was done."""
    if not sys.platform.startswith("linux") or os.environ.get("RETROGRAD_MALLOC") == "system":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST)) and bool(mallopt(M_TRIM_THRESHOLD, KEEP))


YOUNG = 10_000  # objects made since the last look, before the next


def look_for_cycles_less_often() -> bool:
    """Raise the cycle collector's first threshold, unless it is higher already or off; tell whether that was done."""
    young, middle, old = gc.get_threshold()
    if os.environ.get("RETROGRAD_GC") == "system" or not 0 < young < YOUNG:
        return False
    gc.set_threshold(YOUNG, middle, old)
    return True
