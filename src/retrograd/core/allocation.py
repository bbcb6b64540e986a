"""The C allocator told to keep large blocks: fresh pages cost more than the arithmetic done in them.

glibc gives blocks of 128 KiB and more back to the system as soon as they are freed, so that each large temporary array is
zeroed and faulted in anew, page by page. Training asks for the same sizes again and again.
See docs/decisions/allocator.md; ``RETROGRAD_MALLOC=system`` leaves the allocator as it is.
"""

from __future__ import annotations

import ctypes
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
