"""retrograd: backpropagation you can see, at compiler speed, under PyTorch's names.

>>> import retrograd as torch
>>> x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> (x**2).sum().backward()
>>> x.grad
tensor([2., 4., 6.])
"""

from __future__ import annotations

from . import cpu as _cpu  # isort: skip  # before anything that loads NumPy

import importlib
import math as _math
from typing import Any

from . import random as random
from . import tensor as _tensor
from .core import device as device
from .core import dtype as dtype
from .core import dtypes as _dtypes
from .core import (
    enable_grad,
    finfo,
    get_default_dtype,
    iinfo,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_default_dtype,
    set_grad_enabled,
)
from .settings import (
    are_deterministic_algorithms_enabled,
    channels_last,
    channels_last_3d,
    compile,
    contiguous_format,
    get_default_device,
    get_deterministic_debug_mode,
    get_float32_matmul_precision,
    get_num_interop_threads,
    get_num_threads,
    is_deterministic_algorithms_warn_only_enabled,
    is_storage,
    is_warn_always_enabled,
    memory_format,
    overrides_is_tensor_like,
    preserve_format,
    set_default_device,
    set_default_tensor_type,
    set_deterministic_debug_mode,
    set_float32_matmul_precision,
    set_flush_denormal,
    set_num_interop_threads,
    set_num_threads,
    set_warn_always,
    use_deterministic_algorithms,
)
from .tensor import Size, Tensor, as_tensor, asarray, from_dlpack, from_numpy, frombuffer, tensor
from .tensor.printing import set_printoptions
from .tensor.random_functions import (
    Generator,
    default_generator,
    fork_rng,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from .tensor.tensor import Layout as layout
from .tensor.tensor import jagged, sparse_bsc, sparse_bsr, sparse_coo, sparse_csc, sparse_csr, strided
from .version import __version__

float32, float64, float16, bfloat16 = _dtypes.float32, _dtypes.float64, _dtypes.float16, _dtypes.bfloat16
complex32, complex64, complex128 = _dtypes.complex32, _dtypes.complex64, _dtypes.complex128
uint8, int8, int16, int32, int64 = _dtypes.uint8, _dtypes.int8, _dtypes.int16, _dtypes.int32, _dtypes.int64
uint16, uint32, uint64 = _dtypes.uint16, _dtypes.uint32, _dtypes.uint64
globals().update({**_dtypes.ALIASES, "bool": _dtypes.bool_, **{d.name: d for d in _dtypes.FLOAT8}})

inf, nan, pi, e, newaxis = _math.inf, _math.nan, _math.pi, _math.e, None

globals().update(_tensor.FUNCTIONS)
for _name in ("manual_seed", "seed", "initial_seed", "get_rng_state", "set_rng_state", "fork_rng"):
    setattr(random, _name, globals()[_name])

_SUBMODULES = (
    "_C",
    "__config__",
    "__future__",
    "_tensor_str",
    "_dynamo",
    "_functorch",
    "_inductor",
    "_jit_internal",
    "_logging",
    "_subclasses",
    "_utils",
    "accelerator",
    "amp",
    "autograd",
    "backends",
    "compiler",
    "cuda",
    "data",
    "distributed",
    "distributions",
    "export",
    "fft",
    "func",
    "functional",
    "futures",
    "fx",
    "glass",
    "hub",
    "jit",
    "library",
    "linalg",
    "masked",
    "memory",
    "mps",
    "multiprocessing",
    "nested",
    "nn",
    "onnx",
    "optim",
    "overrides",
    "package",
    "profiler",
    "quasirandom",
    "serialization",
    "settings",
    "signal",
    "sparse",
    "special",
    "storage",
    "testing",
    "torch_version",
    "torchvision",
    "types",
    "utils",
    "version",
    "xpu",
)
_FROM = {
    "save": "serialization",
    "load": "serialization",
    "autocast": "amp",
    "GradScaler": "amp",
    "Future": "futures",
    **dict.fromkeys(("SymInt", "SymFloat", "SymBool"), "types"),
    "PyTorchFileReader": "_C",
    "ScriptFunction": "jit",
    "ScriptModule": "jit",
    **dict.fromkeys(
        (
            *("is_autocast_enabled", "set_autocast_enabled", "get_autocast_dtype", "set_autocast_dtype"),
            *("is_autocast_cache_enabled", "set_autocast_cache_enabled", "clear_autocast_cache"),
            *("autocast_increment_nesting", "autocast_decrement_nesting"),
            *(
                "is_autocast_cpu_enabled",
                "set_autocast_cpu_enabled",
                "get_autocast_cpu_dtype",
                "set_autocast_cpu_dtype",
            ),
            *(
                "set_autocast_gpu_dtype",
                "get_autocast_gpu_dtype",
                "is_autocast_xla_enabled",
                "set_autocast_xla_enabled",
            ),
            *(
                "get_autocast_xla_dtype",
                "set_autocast_xla_dtype",
                "is_autocast_ipu_enabled",
                "set_autocast_ipu_enabled",
            ),
            *("get_autocast_ipu_dtype", "set_autocast_ipu_dtype"),
        ),
        "amp",
    ),
    "vmap": "func",
    **dict.fromkeys(
        (
            *("_check", "_check_index", "_check_value", "_check_type", "_check_not_implemented", "_check_with"),
            *("_check_is_size", "_check_tensor_all", "_assert_async"),
        ),
        "utils._checks",
    ),
    "is_anomaly_enabled": "autograd",
    "Stream": "cuda",
    "Event": "cuda",
    **dict.fromkeys(
        (
            *("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
            *("avg_pool1d", "max_pool1d", "max_pool2d", "max_pool3d", "adaptive_avg_pool1d"),
            *("celu", "selu", "rrelu", "prelu", "threshold", "hardshrink", "celu_", "selu_", "rrelu_", "threshold_"),
            *("bilinear", "cosine_similarity", "pairwise_distance", "rms_norm"),
            *("conv_tbc", "max_pool1d_with_indices", "native_channel_shuffle"),
            *("pixel_shuffle", "pixel_unshuffle", "channel_shuffle"),
        ),
        "nn.functional",
    ),
    **dict.fromkeys(("TypedStorage", "UntypedStorage", *_tensor.storage.CLASSES), "tensor.storage"),
    **dict.fromkeys(
        (
            *("batch_norm", "instance_norm", "layer_norm", "group_norm"),
            *("native_batch_norm", "native_layer_norm", "native_group_norm", "native_dropout"),
            *("embedding", "embedding_renorm_", "embedding_bag", "ctc_loss", "kl_div", "margin_ranking_loss"),
            *("hinge_embedding_loss", "triplet_margin_loss", "cosine_embedding_loss", "poisson_nll_loss"),
            *("binary_cross_entropy_with_logits", "dropout", "dropout_", "alpha_dropout", "alpha_dropout_"),
            *("feature_dropout", "feature_dropout_", "feature_alpha_dropout", "feature_alpha_dropout_"),
            *("convolution", "adaptive_max_pool1d", "grid_sampler", "grid_sampler_2d", "grid_sampler_3d"),
            *("affine_grid_generator", "lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell"),
            *("rnn_tanh_cell", "rnn_relu_cell", "cudnn_is_acceptable"),
        ),
        "nn.native",
    ),
}


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        try:
            return importlib.import_module(f"{__package__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__package__}.{name}":
                raise
    elif name in _FROM:
        try:
            found = getattr(importlib.import_module(f"{__package__}.{_FROM[name]}"), name)
        except AttributeError:
            pass
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith(__package__):
                raise
        else:
            globals()[name] = found
            return found
    elif name.endswith("Tensor"):
        from .tensor.legacy import LEGACY

        if name in LEGACY:
            return LEGACY[name]
    elif name == "torch":  # torch holds itself by its name, and libraries write torch.torch
        return importlib.import_module(__package__)
    from .utils._names import missing

    raise missing("torch", name, __dir__())


def __dir__() -> list[str]:
    from importlib.util import find_spec

    there = {name for name in _SUBMODULES if find_spec(f"{__package__}.{name}") is not None}
    lazy = {name for name, home in _FROM.items() if home.partition(".")[0] in there}
    return sorted({n for n in globals() if not n.startswith("_")} | there | lazy | {"FloatTensor", "LongTensor"})


from . import autograd, nn, optim  # noqa: E402  the faces below need the names above

__all__ = [
    "Generator",
    "Size",
    "Tensor",
    "__version__",
    "are_deterministic_algorithms_enabled",
    "asarray",
    "autograd",
    "channels_last",
    "channels_last_3d",
    "compile",
    "contiguous_format",
    "default_generator",
    "device",
    "dtype",
    "enable_grad",
    "finfo",
    "from_dlpack",
    "from_numpy",
    "frombuffer",
    "get_default_device",
    "get_default_dtype",
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "get_num_threads",
    "iinfo",
    "inference_mode",
    "is_deterministic_algorithms_warn_only_enabled",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "is_storage",
    "jagged",
    "layout",
    "manual_seed",
    "memory_format",
    "nn",
    "no_grad",
    "optim",
    "overrides_is_tensor_like",
    "preserve_format",
    "random",
    "set_default_device",
    "set_default_dtype",
    "set_default_tensor_type",
    "set_deterministic_debug_mode",
    "set_float32_matmul_precision",
    "set_flush_denormal",
    "set_grad_enabled",
    "set_num_interop_threads",
    "set_num_threads",
    "set_printoptions",
    "sparse_bsc",
    "sparse_bsr",
    "sparse_coo",
    "sparse_csc",
    "sparse_csr",
    "strided",
    "tensor",
    "use_deterministic_algorithms",
]
