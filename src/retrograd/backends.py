"""torch.backends: flags that can be set and read, and change nothing here."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from .nn.functional.attention import PERMITTED


class _Flags(ModuleType):
    """A namespace of flags, which is a module: `import torch.backends.cudnn` gives it."""

    _name: str

    def __init__(self, name: str, *, available: bool = False, **flags: Any) -> None:
        super().__init__(f"{__name__}.{name}")
        self.__dict__.update(flags, _name=name, _available=available)

    def is_available(self) -> bool:
        """Tell whether this backend is present."""
        return bool(self.__dict__["_available"])

    is_built = is_available

    def version(self) -> None:
        """Give the backend's version: None."""

    def set_flags(self, **settings: Any) -> tuple[Any, ...]:
        """Set flags; give what they were."""
        known = {k.removeprefix("_"): v for k, v in settings.items() if v is not None}
        before = tuple(self.__dict__.get(k) for k in known)
        self.__dict__.update(known)
        return before

    @contextlib.contextmanager
    def flags(self, **settings: Any) -> Iterator[None]:
        """Give a block in which the flags hold."""
        before = {k: self.__dict__[k] for k in settings if k in self.__dict__}
        self.__dict__.update(settings)
        try:
            yield
        finally:
            self.__dict__.update(before)

    def __repr__(self) -> str:
        return f"<torch.backends.{self._name}>"


def _switch(flags: _Flags, name: str) -> None:
    """Give flags the pair of functions ``<name>_sdp_enabled`` and ``enable_<name>_sdp``, over what nn.attention permits."""
    flags.__dict__[f"{name}_sdp_enabled"] = lambda: PERMITTED[name]
    flags.__dict__[f"enable_{name}_sdp"] = lambda enabled: PERMITTED.update({name: bool(enabled)})


@contextlib.contextmanager
def _verbose(level: Any = 0) -> Iterator[None]:
    """Run a block as it is: no library of these names computes anything that could be told of."""
    yield


fp32_precision = "none"
cudnn: Any = _Flags(
    "cudnn",
    enabled=True,
    benchmark=False,
    benchmark_limit=10,
    deterministic=False,
    allow_tf32=True,
    fp32_precision="none",
    is_acceptable=lambda tensor: False,
)
_matmul: dict[str, Any] = {
    "allow_tf32": False,
    "allow_fp16_reduced_precision_reduction": True,
    "allow_bf16_reduced_precision_reduction": True,
    "allow_fp16_accumulation": False,
    "fp32_precision": "none",
}
cuda: Any = _Flags("cuda", matmul=_Flags("cuda.matmul", **_matmul), cufft_plan_cache=_Flags("cuda.cufft_plan_cache"))
for _name in PERMITTED:
    _switch(cuda, _name)
mps: Any = _Flags("mps", is_macos_or_newer=lambda *version: False, is_macos13_or_newer=lambda *version: False)
mkl: Any = _Flags("mkl", VERBOSE_OFF=0, VERBOSE_ON=1, verbose=_verbose)
mkldnn: Any = _Flags(
    "mkldnn",
    VERBOSE_OFF=0,
    VERBOSE_ON=1,
    VERBOSE_ON_CREATION=2,
    verbose=_verbose,
    enabled=False,
    deterministic=False,
    allow_tf32=True,
    fp32_precision="none",
)
openmp: Any = _Flags("openmp")
nnpack: Any = _Flags("nnpack")
cusparselt: Any = _Flags("cusparselt")
miopen: Any = _Flags("miopen", immediate=False)
xnnpack: Any = _Flags("xnnpack", enabled=False)
quantized: Any = _Flags("quantized", engine="none", supported_engines=["none"])
opt_einsum: Any = _Flags("opt_einsum", enabled=False, strategy=None)
cpu: Any = _Flags("cpu", available=True, get_cpu_capability=lambda: "DEFAULT")
mha: Any = _Flags("mha", available=True)
mha.get_fastpath_enabled = lambda: mha.__dict__.get("fastpath", True)
mha.set_fastpath_enabled = lambda value: mha.__dict__.update(fastpath=bool(value))


def _sdp_kernel(
    enable_flash: bool = True, enable_math: bool = True, enable_mem_efficient: bool = True, enable_cudnn: bool = True
) -> Any:
    """Give a block in which attention may use these kernels; there is one here, which it always uses."""
    return contextlib.nullcontext({"enable_flash": enable_flash, "enable_math": enable_math})


cuda.sdp_kernel = _sdp_kernel
cuda.preferred_linalg_library = cuda.preferred_blas_library = lambda backend=None: "default"
for _each in (
    cudnn,
    cuda,
    cuda.matmul,
    mps,
    mkl,
    mkldnn,
    openmp,
    nnpack,
    cusparselt,
    miopen,
    xnnpack,
    quantized,
    opt_einsum,
    cpu,
    mha,
):
    sys.modules[_each.__name__] = _each


def flags_frozen() -> bool:
    """Tell whether the flags are frozen: no."""
    return False


def disable_global_flags() -> None:
    """Accept that the flags should be frozen; they change nothing."""
