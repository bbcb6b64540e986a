"""torch.utils.cpp_extension: extensions in C++ and CUDA are written against PyTorch's own library, so none can be built here.

Programs import this module before they know whether they will build; most have a form in Python that they fall back to.
"""

from __future__ import annotations

from typing import Any, NoReturn

CUDA_HOME = ROCM_HOME = CUDNN_HOME = None
IS_HIP_EXTENSION = False


def _refuse(what: str, name: Any) -> NoReturn:
    raise RuntimeError(
        f"torch.utils.cpp_extension.{what}({name!r}): extensions are compiled against PyTorch's C++ library, which is not here; "
        "use the program's form in Python, and torch.compile for its speed"
    )


def load(name: str, sources: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Refuse with RuntimeError.

    Examples
    --------
    >>> try:
    ...     load("fused", ["fused.cpp"])
    ... except RuntimeError as error:
    ...     print(str(error)[:43])
    torch.utils.cpp_extension.load('fused'): ex
    """
    _refuse("load", name)


def load_inline(name: str, *args: Any, **kwargs: Any) -> NoReturn:
    """Refuse with RuntimeError."""
    _refuse("load_inline", name)


def CppExtension(name: str, sources: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Refuse with RuntimeError."""
    _refuse("CppExtension", name)


def CUDAExtension(name: str, sources: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Refuse with RuntimeError."""
    _refuse("CUDAExtension", name)


class BuildExtension:
    """The build step of extensions; not to be made here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse("BuildExtension", "build_ext")

    @classmethod
    def with_options(cls, **options: Any) -> type[BuildExtension]:
        """Give the class."""
        return cls


def include_paths(device_type: str = "cpu", torch_include_dirs: bool = True) -> list[str]:
    """Give the folders of PyTorch's C++ headers: none."""
    return []


def is_ninja_available() -> bool:
    """Tell whether the ninja build tool is to be used: no."""
    return False


def verify_ninja_availability() -> NoReturn:
    """Refuse with RuntimeError."""
    raise RuntimeError("Ninja is required to load C++ extensions, and none can be loaded here")


__all__ = [
    "CUDA_HOME",
    "BuildExtension",
    "CUDAExtension",
    "CppExtension",
    "include_paths",
    "is_ninja_available",
    "load",
    "load_inline",
    "verify_ninja_availability",
]
