"""torch.backends: flags that can be set and read, and change nothing here."""

from __future__ import annotations

from typing import Any


class _Flags:
    """A namespace of flags."""

    _name: str

    def __init__(self, name: str, **flags: Any) -> None:
        self.__dict__.update(flags, _name=name)

    def is_available(self) -> bool:
        """Tell whether this backend is present."""
        return bool(self.__dict__.get("available", False))

    is_built = is_available

    def version(self) -> None:
        """Give the backend's version: None."""

    def flags(self, **settings: Any) -> Any:
        """Give a context in which the flags hold; they change nothing."""
        from contextlib import nullcontext

        return nullcontext()

    def __repr__(self) -> str:
        return f"<torch.backends.{self._name}>"


cudnn: Any = _Flags("cudnn", enabled=False, benchmark=False, deterministic=False, allow_tf32=False, benchmark_limit=10)
cuda: Any = _Flags(
    "cuda", matmul=_Flags("cuda.matmul", allow_tf32=False, allow_fp16_reduced_precision_reduction=False), enabled=False
)
mps: Any = _Flags("mps")
mkl: Any = _Flags("mkl")
mkldnn: Any = _Flags("mkldnn", enabled=False)
openmp: Any = _Flags("openmp")
xnnpack: Any = _Flags("xnnpack", enabled=False)
quantized: Any = _Flags("quantized", engine="none", supported_engines=["none"])
opt_einsum: Any = _Flags("opt_einsum", enabled=False, strategy=None)
cpu: Any = _Flags("cpu", available=True)
