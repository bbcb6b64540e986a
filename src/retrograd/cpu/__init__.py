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


def is_available() -> bool:
    """Tell whether the CPU can be used: yes."""
    return True


def is_initialized() -> bool:
    """Tell whether the CPU is ready: yes."""
    return True


def device_count() -> int:
    """Give the number of CPUs as devices: one."""
    return 1


def current_device() -> str:
    """Give the current device's name."""
    return "cpu"


def set_device(device: object) -> None:
    """Do nothing: there is one."""


def synchronize(device: object = None) -> None:
    """Do nothing: every operation is done when it returns."""


class Stream:
    """A queue of work, of which the CPU needs none."""

    def __init__(self, priority: int = -1) -> None:
        self.priority = priority

    def wait_stream(self, stream: object) -> None:
        """Do nothing."""

    def record_event(self) -> None:
        """Do nothing."""

    def wait_event(self, event: object) -> None:
        """Do nothing."""


class Event:
    """A mark in a queue of work; on the CPU it has always been reached."""

    def __init__(self, enable_timing: bool = False) -> None:
        self.enable_timing = enable_timing

    def query(self) -> bool:
        """Tell whether it has been reached: yes."""
        return True

    def record(self, stream: object = None) -> None:
        """Do nothing."""

    def synchronize(self) -> None:
        """Do nothing."""

    def wait(self, stream: object = None) -> None:
        """Do nothing."""


_stream = Stream()


def current_stream(device: object = None) -> Stream:
    """Give the one queue."""
    return _stream


class StreamContext:
    """A block on a queue of work; it does nothing."""

    def __init__(self, stream: object) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        return None


def stream(stream: object) -> StreamContext:
    """Give a block on a queue of work, which does nothing."""
    return StreamContext(stream)


def __getattr__(name: str) -> object:
    if name == "amp":
        import importlib

        return importlib.import_module(f"{__name__}.amp")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
