"""torch.__config__: how this library was built, which is not at all: it is Python over NumPy."""

from __future__ import annotations

from .version import __version__


def show() -> str:
    """Give what there is to say of the build.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.__config__.show().splitlines()[0]
    'PyTorch built with:'
    """
    import numpy

    return f"PyTorch built with:\n  - retrograd {__version__} in Python, over NumPy {numpy.__version__}\n  - CPU only\n"


def parallel_info() -> str:
    """Give how many threads work at once."""
    from .settings import get_num_threads

    return f"ATen/Parallel:\n\tat::get_num_threads() : {get_num_threads()}\n"
