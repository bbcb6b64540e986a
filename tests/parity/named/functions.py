"""Cases for torch.<name> and for the methods of tensors that are called alike."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from .cases import AT, C3, C4, INDEX, Args, B, Case, D, I, J, K, N, P, Q, R, S, U, V, W, X, Y, Z, same, words

BITS = np.array([1, 5, 3, 3, 1, 7])
TOSSES = np.array([0.2, 0.5, 0.3])
OVER = np.array([[1, 0, 2, 1]])
STEPPED = np.array([1.0, 1.0, 2.0, 3.0, 3.0])
NEAR = Y.copy()
NEAR[0] = X[0]

UNARY: dict[str, Any] = {
    **same(
        "abs absolute neg negative positive square sgn sign exp exp2 expm1 erf erfc sin cos tan sinc sinh cosh tanh",
        Args(X),
    ),
    **same(
        "asinh arcsinh atan arctan ceil floor round trunc fix frac relu sigmoid deg2rad rad2deg nan_to_num selu",
        Args(X),
    ),
    **same("asin arcsin acos arccos atanh arctanh erfinv", Args(U * 2 - 1)),
    **same("acosh arccosh", Args(P + 1)),
    **same("log log2 log10 log1p sqrt rsqrt reciprocal lgamma digamma i0", Args(P)),
    **same(
        "angle real imag conj conj_physical resolve_conj resolve_neg view_as_real is_complex is_conj is_neg", Args(K)
    ),
    **same("isfinite isinf isnan isneginf isposinf isreal signbit logical_not is_floating_point", Args(X)),
    **same("bitwise_not", Args(I)),
    "logit": Args(U),
    "polygamma": Case(lambda t, x: t.polygamma(1, x), P, tolerance=1e-7),
    "mvlgamma": Args(P + 2, 2),
    "view_as_complex": Args(np.stack([X, Y], -1)),
    "is_nonzero": Case(lambda t: (t.is_nonzero(t.tensor(2.0)), t.is_nonzero(t.tensor(0)))),
    "is_signed": Args(I),
    "is_same_size": Args(X, Y),
    "is_tensor": Args(X),
    "is_storage": Args(X),
    "is_inference": Args(X),
    "numel": Args(X),
}
BINARY: dict[str, Any] = {
    **same(
        "add sub subtract mul multiply div divide true_divide atan2 arctan2 hypot maximum minimum fmax fmin", Args(X, Y)
    ),
    **same("logaddexp logaddexp2 copysign rsub", Args(X, Y)),
    **{
        name: Case(lambda t, x, y, name=name: getattr(t, name)(x.detach(), y.detach()), X, Y)
        for name in ("heaviside", "nextafter")
    },
    **same("floor_divide remainder fmod pow float_power xlogy", Args(P, Q)),
    **same("eq ne not_equal lt less le less_equal gt greater ge greater_equal isclose", Args(X, NEAR)),
    **same("bitwise_and bitwise_or bitwise_xor gcd lcm", Args(I, J)),
    **same("bitwise_left_shift bitwise_right_shift", Args(J, J)),
    **same("logical_and logical_or logical_xor", Args(B, N)),
    "equal": Args(X, X),
    "allclose": Args(X, X + 1e-9),
    "ldexp": Args(X, J),
    "lerp": Args(X, Y, 0.3),
    "where": Case(lambda t, b, x, y: t.where(b, x, y), B, X, Y),
    "clamp": Args(X, -0.5, 0.5),
    "clip": Args(X, max=0.4),
    "clamp_min": Args(X, 0.1),
    "clamp_max": Args(X, 0.1),
    "addcmul": Args(X, Y, Z, value=0.5),
    "addcdiv": Args(X, Y, P, value=2),
    "complex": Args(X, Y),
    "polar": Args(P, X),
    "cosine_similarity": Args(X, Y),
    "pairwise_distance": Args(X, Y),
    "pdist": Args(X),
    "dist": Args(X, Y, 3),
    "cdist": Args(X, Y),
    "threshold": Args(X, 0.1, 5.0),
    "isin": Case(lambda t, x: t.isin(x, t.tensor([1, 2, 5])), I),
    "gradient": Args(P),
}
REDUCED: dict[str, Any] = {
    **same(
        "sum mean prod std var max min amax amin median nanmedian nansum nanmean argmax argmin norm all any", Args(X)
    ),
    **same(
        "logsumexp softmax log_softmax cumsum cumprod cummax cummin logcumsumexp sort argsort diff mode", Args(X, 1)
    ),
    **same("std_mean var_mean count_nonzero aminmax unique msort trapz trapezoid cumulative_trapezoid", Args(X)),
    "aminmax": Args(X, dim=1),
    "diff": Args(X),
    "topk": Args(X, 2),
    "kthvalue": Args(X, 2),
    "quantile": Args(X, 0.3, 1),
    "nanquantile": Args(X, 0.3, 1),
    "histc": Args(X, 5),
    "histogram": Case(lambda t, x: t.histogram(x.detach(), 4), X),
    "bincount": Args(BITS),
    "unique": Args(BITS),
    "unique_consecutive": Args(BITS),
    "searchsorted": Case(lambda t, s, x: t.searchsorted(s, x), STEPPED, P),
    "bucketize": Args(P, STEPPED),
    "cov": Args(X),
    "corrcoef": Args(X),
    "renorm": Args(X, 2, 0, 0.5),
    "trace": Args(S),
    "mode": Args(I, 1),
    "any": Args(B, 1),
    "all": Args(B, 0),
    "normal": Case(lambda t, m, s: t.normal(m, s), X, P),
}
SHAPED: dict[str, Any] = {
    **same(
        "flatten ravel squeeze fliplr flipud atleast_1d atleast_2d atleast_3d t adjoint detach clone nonzero argwhere",
        Args(X),
    ),
    **same("tril triu diagonal diag", Args(S, 1)),
    **same("diag_embed diagflat", Args(V)),
    "vander": Case(lambda t, x: t.vander(x.detach()), V),
    **same("cat concat concatenate stack hstack vstack dstack column_stack row_stack", Args([X, Y])),
    **same("transpose swapaxes swapdims moveaxis movedim", Args(C3, 0, 2)),
    "reshape": Args(X, (2, 6)),
    "unflatten": Args(X, 1, (2, 2)),
    "unsqueeze": Args(X, 1),
    "permute": Args(C3, (2, 0, 1)),
    "split": Args(X, 2),
    "chunk": Args(X, 2, 1),
    "tensor_split": Args(X, 3, 1),
    "split_with_sizes": Args(X, [1, 2]),
    "hsplit": Args(X, 2),
    "vsplit": Args(X, [1]),
    "dsplit": Args(C3, 2),
    "unbind": Args(X),
    "tile": Args(X, (2, 1)),
    "repeat_interleave": Args(X, 2, 0),
    "roll": Args(X, 1, 0),
    "flip": Args(X, (0, 1)),
    "rot90": Args(X),
    "broadcast_to": Args(V, (3, 4)),
    "broadcast_tensors": Args(X, V),
    "block_diag": Args(X, Y),
    "gather": Args(X, 0, INDEX),
    "scatter": Args(X, 0, INDEX, Y[:2]),
    "scatter_add": Args(X, 0, INDEX, Y[:2]),
    "scatter_reduce": Args(X, 0, INDEX, Y[:2], "prod"),
    "index_select": Args(X, 0, AT),
    "index_add": Args(X, 0, AT, Y[:2]),
    "index_copy": Args(X, 0, AT, Y[:2]),
    "index_fill": Args(X, 0, AT, 2.0),
    "index_put": Args(X, (AT,), Y[:2]),
    "index_reduce": Args(X, 0, AT, Y[:2], "amax"),
    "masked_select": Args(X, B),
    "masked_fill": Args(X, B, 2.0),
    "masked_scatter": Args(X, B, Y),
    "take": Args(X, AT),
    "take_along_dim": Args(X, INDEX[:, :3].T, 1),
    "put": Args(X, AT, W[:2]),
    "narrow": Args(X, 1, 1, 2),
    "select": Args(X, 0, 1),
    "as_strided": Args(X, (2, 2), (1, 2)),
    "diagonal_scatter": Args(S, V),
    "select_scatter": Args(X, V, 0, 1),
    "slice_scatter": Args(X, Y[:1], 0, 1, 2),
    "meshgrid": Case(lambda t, x, y: t.meshgrid(x, y, indexing="ij"), V, W),
    "cartesian_prod": Args(V, W),
    "combinations": Args(V, 2),
    "broadcast_shapes": Args((3, 1), (4,)),
    "unravel_index": Case(lambda t, x: t.unravel_index(x, (3, 4)), AT),
    "pixel_shuffle": Args(C3.reshape(1, 4, 2, 3), 2),
    "pixel_unshuffle": Args(C3.reshape(1, 1, 4, 6), 2),
    "channel_shuffle": Args(C3.reshape(1, 4, 2, 3), 2),
}
PRODUCTS: dict[str, Any] = {
    **same("mm matmul inner", Args(S, R)),
    **same("dot vdot outer ger", Args(V, W)),
    **same("det logdet slogdet inverse pinverse matrix_exp", Args(D)),
    "spmm": Case(lambda t, x, y: t.mm(x, y) if t.__name__ == "torch" else t.spmm(x, y), S, R),
    "mv": Args(S, V),
    "bmm": Args(C3, C4),
    "addmm": Args(X, X, S),
    "addmv": Args(V, S, W),
    "addr": Args(S, V, W),
    "addbmm": Args(X[:, :3], C3, C4),
    "baddbmm": Args(C3[:, :, :3], C3, C4),
    "chain_matmul": Args(X, S, R),
    "kron": Args(X, Y),
    "cross": Args(X[:, :3], Y[:, :3]),
    "tensordot": Args(X, Y, 2),
    "einsum": Args("ij,kj->ik", X, Y),
    "matrix_power": Args(S, 3),
    "cholesky": Case(lambda t, x: t.cholesky(x + x.mT), D),
    "cholesky_inverse": Case(lambda t, x: t.cholesky_inverse(x.tril()), np.linalg.cholesky(D)),
    "cholesky_solve": Case(lambda t, b, x: t.cholesky_solve(b, x.tril()), X.T, np.linalg.cholesky(D)),
    "qr": Args(S),
    "svd": Case(lambda t, x: t.svd(x)[1], X),
    "bilinear": Args(X, Y, C3.repeat(2, 1)[:, :4], None),
    "triangular_solve": Case(lambda t, b, a: t.triangular_solve(b, a.triu()), X.T, S),
    "lu_solve": Case(lambda t, b, a: t.lu_solve(b, *t.linalg.lu_factor(a)), X.T, D),
}


def saved(t: Any, x: Any) -> Any:
    file = io.BytesIO()
    t.save({"x": x.detach(), "n": 3}, file)
    file.seek(0)
    return t.load(file)


def seeded(*draws: str) -> Case:
    return Case(lambda t: [eval(draw, {"t": t}) for draw in draws])


MADE: dict[str, Any] = {
    **same("zeros ones rand randn", Args((2, 3))),
    **same("zeros_like ones_like rand_like randn_like", Args(X)),
    "empty": Case(lambda t: t.empty(2, 3).shape),
    "empty_like": Case(lambda t, x: (t.empty_like(x).shape, t.empty_like(x).dtype), X),
    "empty_strided": Case(lambda t: t.empty_strided((2, 3), (1, 2)).stride()),
    "full": Args((2, 3), 1.5),
    "full_like": Args(X, 2.5),
    "tensor": Case(lambda t: (t.tensor([1, 2]), t.tensor([[1.0], [2.0]]), t.tensor(True))),
    "as_tensor": Args([1.0, 2.0]),
    "asarray": Args([1, 2]),
    "scalar_tensor": Args(2.5),
    "from_numpy": Case(lambda t: t.from_numpy(np.arange(3))),
    "frombuffer": Case(lambda t: t.frombuffer(bytearray(b"abcd"), dtype=t.uint8)),
    "arange": Args(1, 7, 2),
    "range": Args(1, 4),
    "linspace": Args(-1, 1, 5),
    "logspace": Args(0, 2, 5),
    "eye": Args(3, 4),
    "tril_indices": Args(3, 4),
    "triu_indices": Args(3, 4, 1),
    **same("hann_window hamming_window blackman_window bartlett_window kaiser_window", Args(7)),
    "randint": Args(0, 9, (3, 4)),
    "randint_like": Args(X, 9),
    "randperm": Args(9),
    "multinomial": Case(lambda t: t.multinomial(t.tensor(TOSSES), 2)),
    "bernoulli": Args(U),
    "poisson": Args(P),
    "Size": Case(lambda t: tuple(t.Size([2, 3]))),
    "Tensor": Case(lambda t: (t.Tensor([1, 2]), t.Tensor(2, 3).shape, isinstance(t.ones(2), t.Tensor))),
    "sparse_coo_tensor": Case(
        lambda t: t.sparse_coo_tensor(t.tensor([[0, 1], [2, 0]]), t.tensor([3.0, 4.0]), (2, 3)).to_dense()
    ),
    **{
        f"{kind}Tensor": Case(lambda t, kind=kind: getattr(t, f"{kind}Tensor")([1, 0]))
        for kind in ("Float", "Double", "Half", "BFloat16", "Int", "Long", "Short", "Char", "Byte", "Bool")
    },
    **{
        kind: Case(lambda t, kind=kind: t.ones(2, dtype=getattr(t, kind)) + 1)
        for kind in words(
            "float16 float32 float64 bfloat16 half float double int8 int16 int32 int64 uint8 char short int long bool complex64 complex128 cfloat cdouble"
        )
        if kind != "char"
    },
}
STATE: dict[str, Any] = {
    "manual_seed": Case(lambda t: (t.manual_seed(3), t.rand(3))[1]),
    "seed": Case(lambda t: type(t.seed()).__name__),
    "initial_seed": Case(lambda t: t.initial_seed()),
    "Generator": Case(lambda t: t.rand(3, generator=t.Generator().manual_seed(2))),
    "get_rng_state": Case(lambda t: t.get_rng_state()),
    "set_rng_state": Case(lambda t: (t.set_rng_state(t.get_rng_state()), t.rand(2))[1]),
    "default_generator": Case(lambda t: t.default_generator.initial_seed()),
    "no_grad": Case(lambda t, x: _under(t.no_grad(), x), X),
    "enable_grad": Case(lambda t, x: _under(t.enable_grad(), x), X),
    "inference_mode": Case(lambda t, x: _under(t.inference_mode(), x), X),
    "set_grad_enabled": Case(lambda t, x: _under(t.set_grad_enabled(False), x), X),
    "is_grad_enabled": Args(),
    "is_inference_mode_enabled": Args(),
    "save": Case(saved, X),
    "load": Case(saved, X),
    "device": Case(lambda t: (str(t.device("cpu")), t.device("cuda:1").index, t.ones(1).device == t.device("cpu"))),
    "set_printoptions": Case(
        lambda t: (
            t.set_printoptions(precision=2),
            str(t.tensor([1.23456, 2.0])),
            t.set_printoptions(profile="default"),
        )[1]
    ),
    "compile": Case(lambda t: callable(t.compile)),
    "dtype": Case(lambda t: isinstance(t.float32, t.dtype)),
    "use_deterministic_algorithms": Case(
        lambda t: (
            t.use_deterministic_algorithms(True),
            t.are_deterministic_algorithms_enabled(),
            t.use_deterministic_algorithms(False),
        )[1]
    ),
    "are_deterministic_algorithms_enabled": Args(),
    "set_default_dtype": Case(
        lambda t: (t.set_default_dtype(t.float64), t.tensor(1.0).dtype, t.set_default_dtype(t.float32))[1]
    ),
    "get_default_dtype": Args(),
    "set_default_device": Case(
        lambda t: (t.set_default_device("cpu"), t.ones(1).device, t.set_default_device(None))[1]
    ),
    "get_default_device": Args(),
    "can_cast": Case(lambda t: (t.can_cast(t.int64, t.float32), t.can_cast(t.float32, t.int64))),
    "promote_types": Case(lambda t: t.promote_types(t.int64, t.float16)),
    "result_type": Case(lambda t: t.result_type(t.ones(1, dtype=t.int32), 1.5)),
    "finfo": Case(lambda t: (t.finfo(t.float32).eps, t.finfo(t.float16).max, t.finfo(t.float64).tiny)),
    "iinfo": Case(lambda t: (t.iinfo(t.int8).min, t.iinfo(t.int64).max)),
    "amp.autocast": Case(lambda t, x: _cast(t, t.amp.autocast, x), X, tolerance=1e-2),
    "autocast": Case(lambda t, x: _cast(t, t.autocast, x), X, tolerance=1e-2),
    "amp.GradScaler": Case(lambda t: t.amp.GradScaler("cpu").get_scale()),
    "accelerator.is_available": Args(),
    "accelerator.current_accelerator": Args(),
    "accelerator.device_count": Args(),
    "accelerator.set_device_index": Case(lambda t: callable(t.accelerator.set_device_index)),
    "cuda.is_available": Args(),
    "cuda.device_count": Args(),
    "cuda.manual_seed": Args(0),
    "cuda.manual_seed_all": Args(0),
    "cuda.empty_cache": Args(),
    "backends.cudnn.benchmark": Case(lambda t: setattr(t.backends.cudnn, "benchmark", False)),
    "backends.cudnn.deterministic": Case(lambda t: setattr(t.backends.cudnn, "deterministic", True)),
    "backends.mps.is_available": Args(),
    "set_num_threads": Case(lambda t: callable(t.set_num_threads)),
    "get_num_threads": Case(lambda t: type(t.get_num_threads()).__name__),
    "is_distributed": Args(X),
}


def _under(mode: Any, x: Any) -> Any:
    with mode:
        return (x * 2).requires_grad


def _cast(t: Any, autocast: Any, x: Any) -> Any:
    with autocast("cpu", dtype=t.bfloat16):
        return (x.detach().float() @ x.detach().float().T).float()  # here the product stays in float32


TORCH: dict[str, Any] = {**UNARY, **BINARY, **REDUCED, **SHAPED, **PRODUCTS, **MADE, **STATE}
COPIES = (
    "as_strided diagonal narrow permute select split split_with_sizes squeeze t transpose unbind unsqueeze view_as_real"
)
MORE: dict[str, Any] = {
    **{f"{name}_copy": TORCH[name] for name in words(COPIES)},
    "alias_copy": Args(X),
    "detach_copy": Case(lambda t, x: t.detach_copy(x.detach()), X),
    "view_as_complex_copy": Case(lambda t, x: t.view_as_complex_copy(x.detach()), np.stack([X, Y], -1)),
    "expand_copy": Args(V, (3, 4)),
    "view_copy": Args(X, (2, 6)),
    "unfold_copy": Args(X, 1, 2, 1),
    "slice_copy": Args(X, 0, 0, 2),
    "unsafe_chunk": TORCH["chunk"],
    "unsafe_split": TORCH["split"],
    "unsafe_split_with_sizes": TORCH["split_with_sizes"],
    # its gradient by PyTorch leaves out elements that are passed on (2.13), so only values are compared
    "as_strided_scatter": Case(
        lambda t, x, y: t.as_strided_scatter(x.detach(), y.detach(), (2, 2), (4, 1)), X, Y[:2, :2]
    ),
    "frexp": Args(X),
    "vmap": Case(lambda t, x: t.vmap(lambda row: row.sin().sum())(x.detach()), X),
    "stft": Case(lambda t, x: t.stft(x.detach(), 8, window=t.ones(8, dtype=x.dtype), return_complex=True), X.ravel()),
    "istft": Case(
        lambda t, x: t.istft(
            t.stft(x, 8, window=t.ones(8, dtype=x.dtype), return_complex=True), 8, window=t.ones(8, dtype=x.dtype)
        ),
        X.ravel(),
    ),
    **same(
        "igamma igammac",
        Case(lambda t, x, y: t.igamma(x.detach(), y.detach()) + t.igammac(x.detach(), y.detach()), P, Q),
    ),
    "binomial": Case(lambda t: t.binomial(t.full((5,), 9.0), t.full((5,), 0.3))),
    **{name: Case(lambda t, name=name: getattr(t, name)) for name in ("e", "pi", "nan", "inf", "newaxis")},
    **{name: Case(lambda t, name=name: t.ones(2, dtype=getattr(t, name))) for name in ("uint16", "uint32", "uint64")},
    "typename": Case(lambda t: t.typename(t.ones(2))),
    "frobenius_norm": Args(X, (0, 1)),
    "nuclear_norm": Args(X),
    "lu_unpack": Case(lambda t, x: t.lu_unpack(*t.linalg.lu_factor(x)), D),
    "geqrf": Case(lambda t, x: [each.abs() for each in t.geqrf(x.detach())], X),
    "orgqr": Case(lambda t, x: t.orgqr(*t.geqrf(x.detach())), X.T),
    "ormqr": Case(lambda t, x, y: t.ormqr(*t.geqrf(x.detach()), y.detach()), X.T, S),
    "nonzero_static": Case(lambda t, x: t.nonzero_static(x > 0, size=4), X),
    "empty_permuted": Case(lambda t: t.empty_permuted((2, 3), (1, 0)).stride()),
    "get_device": Args(X),
    "is_anomaly_enabled": Args(),
    "get_float32_matmul_precision": Args(),
    "set_float32_matmul_precision": Args("highest"),
    "set_flush_denormal": Case(lambda t: callable(t.set_flush_denormal)),
    "is_autocast_enabled": Args("cpu"),
    "get_autocast_dtype": Args("cpu"),
    "set_default_tensor_type": Case(lambda t: t.set_default_tensor_type("torch.FloatTensor")),
    "native_channel_shuffle": Args(C3.reshape(1, 4, 2, 3), 2),
    "constant_pad_nd": Args(X, (1, 2), 3.0),
    "layout": Case(lambda t: isinstance(t.strided, t.layout)),
    "memory_format": Case(lambda t: isinstance(t.contiguous_format, t.memory_format)),
    "UntypedStorage": Case(lambda t: t.ones(3).untyped_storage().nbytes()),
}
TORCH |= MORE
