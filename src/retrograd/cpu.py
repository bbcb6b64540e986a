"""The processor as BLAS should see it, settled before NumPy loads its own.

OpenBLAS chooses its kernels by the processor's name, and takes those without AVX-512 for names that it does not know, which halves
the speed of a product. Where the flags say AVX-512 on such a processor, and NumPy is not loaded yet, the kernels are named here.
"""

from __future__ import annotations

import os
import sys

WANTED = {"avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512cd"}


def name_kernels() -> str | None:
    """Set ``OPENBLAS_CORETYPE`` where OpenBLAS would overlook AVX-512; give what was set."""
    if "numpy" in sys.modules or "OPENBLAS_CORETYPE" in os.environ or not sys.platform.startswith("linux"):
        return None
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            head = file.read(4096)
    except OSError:
        return None
    fields = dict(line.partition(":")[::2] for line in head.split("\n\n")[0].splitlines())
    named = {key.strip(): value.strip() for key, value in fields.items()}
    if named.get("vendor_id") != "AuthenticAMD" or not WANTED <= set(named.get("flags", "").split()):
        return None
    os.environ["OPENBLAS_CORETYPE"] = "SKYLAKEX"
    return "SKYLAKEX"


name_kernels()
