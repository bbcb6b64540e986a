"""Autocast: which functions compute in a narrow dtype, which in full precision, and how they come to know.

PyTorch's dispatcher puts casts before a list of functions. Here the functions themselves are given a guard in front, the first
time that autocast is switched on in a process: until then they are as they were written, and autocast costs nothing. Whoever
holds one of them, under whatever name, holds the guarded one from then on. A guard looks at its thread's mode, casts the tensors
among the arguments as the function's policy says, and runs the function with autocast off, so that what the function calls is
not cast again. A cast is an operation like any other: gradients pass it, and arrive in the parameter's dtype.
"""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import MODE, BaseTensor
from ..core import dtypes as _d
from ..ops.elementwise import cast
from ..tensor.protocol import below

FULL = np.dtype(np.float32)
ELIGIBLE = tuple(d.numpy for d in (_d.float32, _d.float16, _d.bfloat16))


def narrowed(x: Any) -> Any:
    """Cast a floating tensor, other than float64, to the dtype that autocast was given; a leaf's cast is kept for the block."""
    if not isinstance(x, BaseTensor):
        return x
    if x._composite:
        return x._with(narrowed(x._v))
    if x._a.dtype not in ELIGIBLE:
        return x
    d = MODE.autocast
    if x._a.dtype == d:
        return x
    node = x._node
    if node is None or node.op is not None or not node.requires_grad or x._a.dtype != FULL or not MODE.autocast_cache:
        return cast(x, dtype=d)
    kept = MODE.casts
    if kept is None:
        kept = MODE.casts = {}
    found = kept.get(id(x))
    if (
        found is None
        or found[0] is not x
        or found[1] != x._s.version
        or found[2]._a.dtype != d
        or (MODE.grad and found[2]._node is None)
    ):
        found = kept[id(x)] = (x, x._s.version, cast(x, dtype=d))
    return found[2]


def widened(x: Any) -> Any:
    """Cast a tensor of a narrow dtype to float32."""
    if isinstance(x, BaseTensor) and not x._composite and x._a.dtype in ELIGIBLE and x._a.dtype != FULL:
        return cast(x, dtype=FULL)
    return x


def _among(change: Callable[[Any], Any], x: Any) -> Any:
    """Change the tensors in lists and tuples."""
    if isinstance(x, BaseTensor):
        return change(x)
    if x.__class__ is list or x.__class__ is tuple:
        return x.__class__([_among(change, v) for v in x])
    return x


def _same(x: Any) -> Any:
    return x


def _widest(args: Any) -> Callable[[Any], Any]:
    """Give the cast to the widest dtype among the arguments."""
    tensors = [x for x in args if isinstance(x, BaseTensor) and not x._composite and x._a.dtype in ELIGIBLE]
    if len({x._a.dtype for x in tensors}) < 2:
        return _same
    if any(x._a.dtype == FULL for x in tensors):
        return widened
    return lambda x: cast(x, dtype=FULL) if any(x is t for t in tensors) else x


F, T, S = "retrograd.nn.functional.", "retrograd.tensor.functions.", "retrograd.tensor.sparse.products"
NARROW = {
    T + "products": ("matmul", "mm", "bmm", "addmm", "addbmm", "baddbmm", "linear", "inner", "tensordot"),
    T + "linear_algebra": ("matrix_power",),
    "retrograd.linalg": ("_vecdot",),
    T + "einsum": ("einsum",),
    S: ("matmul", "mm", "bmm", "addmm", "_addmm", "sparse_dense", "sparse_sparse"),
    F + "linear": ("linear",),
    F + "convolution": ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    F + "attention": ("scaled_dot_product_attention",),
    F + "piecewise": ("prelu",),
    "retrograd.nn.modules.recurrence": ("tanh_step", "relu_step"),
}
WIDE = {
    T + "reductions": ("prod",),
    T + "statistics": ("cdist",),
    T + "sorting": ("quantile", "nanquantile"),
    T + "products": ("trace",),
    T + "complex_parts": ("polar", "view_as_complex"),
    T + "spectral": ("stft",),
    T + "linear_algebra": ("inv", "solve"),
    T + "matrix_norms": ("matrix_rank", "lstsq", "cond"),
    T + "factors": ("cholesky", "top_cholesky", "cholesky_solve", "cholesky_inverse"),
    T + "decompositions": (
        *("eigh", "eigvalsh", "eig", "eigvals", "linalg_svd", "svdvals", "svd", "linalg_qr", "qr", "geqrf"),
        *("householder_product", "ormqr"),
    ),
    "retrograd.fft": ("_numbers",),
    F + "regression": ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "poisson_nll_loss"),
    F + "classification": (
        "cross_entropy",
        "nll_loss",
        "binary_cross_entropy",
        "binary_cross_entropy_with_logits",
        "kl_div",
    ),
    F + "distance": ("cosine_embedding_loss", "margin_ranking_loss", "hinge_embedding_loss", "triplet_margin_loss"),
    F + "margin": ("soft_margin_loss", "multi_margin_loss", "multilabel_margin_loss"),
    F + "alignment": ("ctc_loss",),
    F + "pooling": ("avg_pool3d", "max_pool3d", "adaptive_avg_pool3d", "adaptive_max_pool3d"),
    F + "unpooling": ("max_unpool2d", "max_unpool3d"),
    F + "fractional": ("fractional_max_pool2d", "fractional_max_pool3d"),
    F + "sampling": ("grid_sample",),
    "retrograd.nn.modules.recurrence": ("gru_step", "lstm_cell_state", "lstm_output"),
}
AS_GIVEN = {
    S: ("mv",),
    T + "products": ("mv", "dot", "vdot", "addmv", "outer", "addr", "kron"),
    F + "linear": ("bilinear",),
    F + "resize": ("interpolate",),
}
WIDEST: dict[str, tuple[str, ...]] = {T + "gathering": ("index_copy",)}


def _plan(policy: str, name: str, args: Any) -> Callable[[Any], Any]:
    """Give what is done with each tensor among a function's arguments."""
    if policy == "narrow":
        return narrowed
    if policy == "wide":
        return widened
    if policy == "widest":
        return _widest(args)
    if policy == "layers":
        return _same if args[0] == "GRU" else narrowed
    if policy == "padding":
        mode = args[2] if len(args) > 2 else "constant"
        return widened if mode in ("reflect", "replicate") else _same
    return _same


def run(policy: str, original: Any, args: Any, options: dict[str, Any]) -> Any:
    """Run a guarded function: as it is where the thread has autocast off, else on cast arguments and with autocast off."""
    d = MODE.autocast
    if d is None:
        return original(*args, **options)
    given = (
        (*args, *options.values())
        if policy != "padding"
        else (*args[:2], options.get("mode", *args[2:3] or ("constant",)))
    )
    change = _plan(policy, original.__name__, given)
    args = [_among(change, x) for x in args]
    options = {name: _among(change, x) for name, x in options.items()}
    MODE.autocast = None
    MODE.settle()
    try:
        return original(*args, **options)
    finally:
        MODE.autocast = d
        MODE.settle()


def _guard(fn: Any, policy: str) -> None:
    """Put a guard in front of a function, in the function object itself."""
    signature = inspect.signature(fn)
    original = types.FunctionType(fn.__code__, fn.__globals__, fn.__name__, fn.__defaults__, fn.__closure__)
    original.__kwdefaults__ = fn.__kwdefaults__
    key = f"_before_{fn.__name__}"
    scope: dict[str, Any] = {}
    text = f"def {fn.__name__}(*args, **options):\n    return {key}(args, options)\n"
    exec(compile(text, "<retrograd autocast>", "exec"), scope)
    fn.__globals__[key] = lambda args, options: run(policy, original, args, options)
    fn.__signature__ = signature
    fn.__defaults__ = fn.__kwdefaults__ = None
    fn.__code__ = scope[fn.__name__].__code__.replace(co_freevars=fn.__code__.co_freevars)


_INSTALLED = False


def install() -> None:
    """Guard the functions, once in a process."""
    global _INSTALLED
    if _INSTALLED:
        return
    _INSTALLED = True
    tables: dict[str, dict[str, tuple[str, ...]]] = {
        "narrow": NARROW,
        "wide": WIDE,
        "widest": WIDEST,
        "as given": AS_GIVEN,
    }
    tables["layers"] = {"retrograd.nn.modules.recurrence": ("run_layers",)}
    tables["padding"] = {F + "padding": ("pad",)}
    for policy, table in tables.items():
        for home, names in table.items():
            module = importlib.import_module(home)
            for name in names:
                _guard(below(getattr(module, name)), policy)


__all__ = ["install", "narrowed", "run", "widened"]
