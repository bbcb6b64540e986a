"""A table of functions that the tests of vmap and of forward mode share: ``(function of a library and Tensors, kinds of inputs)``.

A kind is a shape of float64 numbers, or a pair of a shape and what it holds: "+" (positive), "unit" (in -0.9 to 0.9),
"bool", "int:n" (below n), "spd" (a positive definite matrix), "low" (a lower triangle), "prob" (in 0.05 to 0.95).
"""

from __future__ import annotations

from typing import Any

import numpy as np

M, V, S = (3, 4), (4,), ()
TABLE: dict[str, tuple[Any, tuple[Any, ...]]] = {}


def case(name: str, fn: Any, *kinds: Any) -> None:
    """Enter a row."""
    assert name not in TABLE, name
    TABLE[name] = (fn, kinds)


def named(names: str, *kinds: Any) -> None:
    """Enter functions of torch by name."""
    for name in names.split():
        case(name, (lambda n: lambda t, *xs: getattr(t, n)(*xs))(name), *kinds)


def functional(names: str, *kinds: Any) -> None:
    """Enter functions of torch.nn.functional by name."""
    for name in names.split():
        case(f"F.{name}", (lambda n: lambda t, *xs: getattr(t.nn.functional, n)(*xs))(name), *kinds)


def inputs(kinds: tuple[Any, ...], seed: int = 0, batch: int | None = None) -> list[Any]:
    """Give arrays of the kinds; with ``batch``, that many of each, stacked."""
    if batch is not None:
        items = [inputs(kinds, seed + 10 * k + 1) for k in range(batch)]
        return [np.stack(parts) for parts in zip(*items, strict=True)]
    rng = np.random.default_rng(seed)
    made = []
    for kind in kinds:
        shape, what = kind if kind and isinstance(kind[-1], str) else (kind, "")
        x: Any = rng.standard_normal(shape)
        if what == "+":
            x = np.abs(x) + 0.5
        elif what == "unit":
            x = rng.uniform(-0.9, 0.9, shape)
        elif what == "prob":
            x = rng.uniform(0.05, 0.95, shape)
        elif what == "bool":
            x = rng.integers(0, 2, shape).astype(bool)
        elif what.startswith("int:"):
            x = rng.integers(0, int(what[4:]), shape)
        elif what == "spd":
            x = x @ np.swapaxes(x, -1, -2) + 3 * np.eye(shape[-1])
        elif what == "low":
            x = np.tril(x) + 3 * np.eye(shape[-1])
        made.append(np.asarray(x))
    return made


# -- pointwise ----------------------------------------------------------------------------------------------------------------
named(
    "abs neg exp exp2 expm1 sin cos tan sinh cosh tanh asinh atan sigmoid square sgn sign erf erfc sinc floor ceil round trunc frac "
    "relu selu celu positive deg2rad rad2deg isnan isinf isfinite signbit logical_not nan_to_num isposinf isneginf",
    M,
)
named("log log2 log10 log1p sqrt rsqrt reciprocal lgamma digamma i0", (M, "+"))
named("asin acos atanh erfinv", (M, "unit"))
case("logit", lambda t, x: t.logit(x), (M, "prob"))
case("acosh", lambda t, x: t.acosh(x + 1), (M, "+"))
case("polygamma", lambda t, x: t.polygamma(2, x), (M, "+"))
named(
    "add sub mul maximum minimum fmax fmin atan2 hypot logaddexp logaddexp2 copysign eq ne lt le gt ge logical_and logical_or "
    "logical_xor heaviside dist",
    M,
    M,
)
named("div true_divide fmod remainder floor_divide pow float_power xlogy nextafter", (M, "+"), (M, "+"))
named("bitwise_and bitwise_or bitwise_xor gcd lcm", (M, "int:9"), (M, "int:9"))
case("bitwise_not", lambda t, x: ~x, (M, "int:9"))
case("shifts", lambda t, x: (x << 2, x >> 1), (M, "int:9"))
case("broadcast", lambda t, x, y: x + y * 2 - 1, M, V)
case("broadcast a number", lambda t, x, y: x * y, S, M)
case("clamp", lambda t, x: x.clamp(-0.5, 0.5), M)
case("clamp by tensors", lambda t, x, y: t.clamp(x, max=y), M, V)
case("where", lambda t, c, x, y: t.where(c, x, y), (M, "bool"), M, V)
case("where numbers", lambda t, x: t.where(x > 0, x, 0.0), M)
case("lerp", lambda t, x, y, w: t.lerp(x, y, w), M, M, M)
case("addcmul", lambda t, x, y, z: t.addcmul(x, y, z, value=0.5), M, M, V)
case("addcdiv", lambda t, x, y, z: t.addcdiv(x, y, z, value=0.5), M, M, (V, "+"))
case("pow number", lambda t, x: x**3 + 2**x + x**2, M)
case("isclose", lambda t, x, y: t.isclose(x, y), M, M)
case("cast", lambda t, x: (x.float().double(), x.to(t.int64), x.bool()), M)
case("type promotion", lambda t, x, i: x * i + (i > 1), M, (M, "int:4"))
case("ldexp", lambda t, x, i: t.ldexp(x, i), M, (M, "int:4"))
case("frexp", lambda t, x: t.frexp(x), M)
case("mvlgamma", lambda t, x: t.mvlgamma(x + 2, 2), (M, "+"))
case("complex", lambda t, x, y: t.view_as_real(t.complex(x, y).exp()), M, M)
case("polar", lambda t, x, y: t.polar(x, y).abs(), (M, "+"), M)
case("complex parts", lambda t, x, y: (t.complex(x, y).conj() * t.complex(y, x)).imag, M, M)
case("angle", lambda t, x, y: t.complex(x, y).angle(), M, M)

# -- reductions ---------------------------------------------------------------------------------------------------------------
named(
    "sum mean prod amax amin logsumexp_all var std norm aminmax max min argmax argmin any all median nansum nanmean count_nonzero".replace(
        "logsumexp_all ", ""
    ),
    M,
)
for _n in (
    "sum",
    "mean",
    "prod",
    "amax",
    "amin",
    "var",
    "std",
    "logsumexp",
    "argmax",
    "argmin",
    "any",
    "all",
    "max",
    "min",
    "median",
    "nansum",
    "nanmean",
    "mode",
    "nanmedian",
    "count_nonzero",
):
    case(f"{_n} along", (lambda n: lambda t, x: getattr(t, n)(x, 1))(_n), M)
    if _n != "count_nonzero":
        case(f"{_n} kept", (lambda n: lambda t, x: getattr(t, n)(x, -2, keepdim=True))(_n), M)
case("sum of numbers", lambda t, x: (x.sum(), x.mean(), x.amax(), x.argmax()), S)
case("sum of several", lambda t, x: x.sum((0, -1)), (2, 3, 4))
case("sum of integers", lambda t, x: (x.sum(), x.sum(0), x.prod(1)), (M, "int:5"))
case("var_mean", lambda t, x: t.var_mean(x, 0), M)
case("std of all", lambda t, x: t.std(x, correction=0), M)
case("norm p", lambda t, x: (t.norm(x, 1), t.norm(x, 3, 1), x.norm(float("inf"))), M)
case("cumulative", lambda t, x: (x.cumsum(0), x.cumsum(-1)), M)
case("cumprod", lambda t, x: x.cumprod(1), M)
case("logcumsumexp", lambda t, x: x.logcumsumexp(0), M)
case("cummax", lambda t, x: x.cummax(1), M)
case("cummin", lambda t, x: x.cummin(0), M)
case("quantile", lambda t, x: t.quantile(x, 0.3, dim=1), M)
case("quantile of all", lambda t, x: x.quantile(0.6), M)
case("diff", lambda t, x: x.diff(dim=1), M)
case("trapezoid", lambda t, x: t.trapezoid(x, dx=0.5), M)
case("cov", lambda t, x: x.cov(), M)
case("corrcoef", lambda t, x: x.corrcoef(), M)
case("histc", lambda t, x: t.histc(x, 4, -1, 1), M)
case("renorm", lambda t, x: x.renorm(2, 0, 0.5), M)

# -- order --------------------------------------------------------------------------------------------------------------------
case("sort", lambda t, x: x.sort(1), M)
case("sort down", lambda t, x: x.sort(0, descending=True).values, M)
case("argsort", lambda t, x: x.argsort(-1), M)
case("topk", lambda t, x: x.topk(2), M)
case("kthvalue", lambda t, x: x.kthvalue(2, 0), M)
case("msort", lambda t, x: t.msort(x), M)
case("searchsorted", lambda t, s, v: t.searchsorted(s.cumsum(0), v), ((5,), "+"), (2, 3))
case("searchsorted rows", lambda t, s, v: t.searchsorted(s.cumsum(-1), v), ((2, 5), "+"), (2, 3))
case("bucketize", lambda t, s, v: t.bucketize(v, s.cumsum(0)), ((5,), "+"), (2, 3))
case("isin", lambda t, x, y: t.isin(x, y), (M, "int:9"), ((3,), "int:9"))

# -- shapes -------------------------------------------------------------------------------------------------------------------
case("reshape", lambda t, x: (x.reshape(4, 3), x.view(-1), x.flatten(), x.unflatten(1, (2, 2))), M)
case("transpose", lambda t, x: (x.t(), x.transpose(0, 1), x.mT, x.permute(1, 0), x.T), M)
case("movedim", lambda t, x: (x.movedim(0, -1), x.swapaxes(1, 2)), (2, 3, 4))
case("squeeze", lambda t, x: (x.squeeze(), x.squeeze(0), x.unsqueeze(-1), x[None]), (1, 3))
case("expand", lambda t, x: (x.expand(3, 2, 4), x.broadcast_to((2, 4)), t.atleast_3d(x)), (1, 4))
case("expand a number", lambda t, x: (x.expand(3), x.reshape(1, 1), x.unsqueeze(0)), S)
case("flip", lambda t, x: (x.flip(0), x.fliplr(), x.rot90(), x.flipud()), M)
case("roll", lambda t, x: (x.roll(1), x.roll((1, 2), (0, 1))), M)
case("repeat", lambda t, x: (x.repeat(2, 1, 1), x.tile(2), x.repeat_interleave(2, 1)), M)
case("slices", lambda t, x: (x[1], x[:, 1:3], x[..., ::2], x[-1, None, 2]), M)
case("narrow", lambda t, x: (x.narrow(1, 1, 2), x.select(0, 1), x.index_select(1, t.tensor([0, 3]))), M)
case("split", lambda t, x: (*x.split(2, 1), *x.chunk(3), *x.unbind(1), *x.tensor_split(2)), M)
case("cat", lambda t, x, y: (t.cat([x, y]), t.cat([x, y], -1), t.stack([x, y], 1), t.hstack([x, y])), M, M)
case("join constants", lambda t, x: t.cat([x, t.ones(2, 4, dtype=x.dtype)]), M)
case("diagonal", lambda t, x: (x.diagonal(), x.diag(1), x[0].diag(), x.diagonal(-1, 0, 1)), M)
case("diag_embed", lambda t, x: (t.diag_embed(x), t.diag_embed(x, 1, 0, 2)), M)
case("tril", lambda t, x: (x.tril(), x.triu(1)), M)
case("trace", lambda t, x: x.trace(), M)
case("unfold", lambda t, x: x.unfold(1, 2, 1), M)
case("as_strided", lambda t, x: x.contiguous().as_strided((2, 2), (4, 1), 1), M)
case("meshgrid", lambda t, x, y: t.meshgrid(x, y, indexing="ij"), V, (3,))
case("cartesian_prod", lambda t, x, y: t.cartesian_prod(x, y), V, (3,))
case("block_diag", lambda t, x, y: t.block_diag(x, y), M, (2, 2))
case("pad", lambda t, x: (t.nn.functional.pad(x, (1, 2)), t.nn.functional.pad(x, (-1, 1, 0, 1), value=2.0)), M)
case("pad reflect", lambda t, x: t.nn.functional.pad(x, (1, 2), mode="reflect"), (2, 3, 4))
case("pad replicate", lambda t, x: t.nn.functional.pad(x, (1, 2), mode="replicate"), (2, 3, 4))
case("pad circular", lambda t, x: t.nn.functional.pad(x, (1, 2), mode="circular"), (2, 3, 4))
case("zeros_like", lambda t, x: (t.zeros_like(x) + x, t.full_like(x, 2.0) * x, x.new_ones(2), t.ones(4) * x), M)
case("vander", lambda t, x: t.vander(x), V)
case("combinations", lambda t, x: t.combinations(x), V)

# -- indices ------------------------------------------------------------------------------------------------------------------
case("index by tensors", lambda t, x, i: (x[i], x[:, i], x[i, i]), (4, 4), ((3,), "int:4"))
case(
    "index apart", lambda t, x, i, j: (x[i, :, j], x[:, i, j], x[i, 1:, j]), (3, 4, 5), ((2,), "int:3"), ((2,), "int:3")
)
case("index broadcast", lambda t, x, i, j: x[i[:, None], j], (3, 4, 5), ((2,), "int:3"), ((3,), "int:4"))
case(
    "index by constants",
    lambda t, x: (x[t.tensor([0, 2])], x[:, t.tensor([[1, -1]])], x[t.tensor([True, False, True])]),
    M,
)
case("index by number", lambda t, x, i: x[i], M, (S, "int:3"))
case("gather", lambda t, x, i: t.gather(x, 1, i), M, ((3, 2), "int:4"))
case("gather numbers", lambda t, x, i: t.gather(x, 0, i), V, (S, "int:4"))
case("take", lambda t, x, i: (t.take(x, i), t.take_along_dim(x, i[:, None], 1)), M, ((3,), "int:4"))
case("index_select", lambda t, x, i: (x.index_select(0, i), x.index_select(1, i)), M, ((2,), "int:3"))
case("scatter", lambda t, x, i, y: (x.scatter(1, i, y), x.scatter_add(1, i, y)), M, ((3, 2), "int:4"), (3, 2))
case("scatter number", lambda t, x, i: x.scatter(1, i[:, :1], 2.0), M, ((3, 2), "int:4"))
case(
    "scatter_reduce",
    lambda t, x, i, y: (x.scatter_reduce(1, i, y, "amax"), x.scatter_reduce(1, i, y, "mean")),
    M,
    (M, "int:4"),
    M,
)
case("index_add", lambda t, x, i, y: x.index_add(0, i, y), M, ((2,), "int:3"), (2, 4))
case("index_copy", lambda t, x, y: x.index_copy(0, t.tensor([2, 0]), y), M, (2, 4))
case("index_fill", lambda t, x: x.index_fill(1, t.tensor([0, 2]), 1.5), M)
case("index_put", lambda t, x, i, y: x.index_put((i,), y, accumulate=True), M, ((2,), "int:3"), (2, 4))
case("index_put apart", lambda t, x, i, y: x.index_put((t.tensor([0, 2]), i), y), M, ((2,), "int:4"), (2,))
case("masked_fill", lambda t, x, m: x.masked_fill(m, 2.0), M, (M, "bool"))
case("masked_scatter", lambda t, x, y: x.masked_scatter(t.tensor([True, False, True, True]), y), M, M)
case("select_scatter", lambda t, x, y: (x.select_scatter(y, 0, 1), x.slice_scatter(y[None], 0, 1, 2)), M, V)
case("diagonal_scatter", lambda t, x, y: x.diagonal_scatter(y), (3, 3), (3,))
case("embedding", lambda t, i, w: t.nn.functional.embedding(i, w), ((2, 3), "int:5"), (5, 4))
case("one_hot", lambda t, i: t.nn.functional.one_hot(i, 5), ((3,), "int:5"))

# -- products -----------------------------------------------------------------------------------------------------------------
named("matmul mm", M, (4, 2))
named("dot inner", V, V)
named("mv", M, V)
case("outer", lambda t, x, y: t.outer(x, y), V, (3,))
named("bmm", (2, 3, 4), (2, 4, 2))
case("matmul of vectors", lambda t, x, y: (x @ y, y @ y, x.T.T @ y), M, V)
case("matmul batches", lambda t, x, y: x @ y, (2, 1, 3, 4), (3, 4, 2))
case("addmm", lambda t, b, x, y: t.addmm(b, x, y, beta=0.5, alpha=2.0), (2,), M, (4, 2))
case("baddbmm", lambda t, b, x, y: t.baddbmm(b, x, y), (2, 3, 2), (2, 3, 4), (2, 4, 2))
case(
    "einsum", lambda t, x, y: (t.einsum("ij,jk->ik", x, y), t.einsum("ij,jk->", x, y), t.einsum("ij->j", x)), M, (4, 2)
)
case("einsum diagonal", lambda t, x: t.einsum("ii->i", x), (3, 3))
case("tensordot", lambda t, x, y: t.tensordot(x, y, dims=([1], [0])), M, (4, 2))
case("kron", lambda t, x, y: t.kron(x, y), (2, 2), (2, 3))
case("cross", lambda t, x, y: t.cross(x, y, dim=-1), (2, 3), (2, 3))
case("cdist", lambda t, x, y: t.cdist(x, y), (3, 4), (2, 4))
case("cosine", lambda t, x, y: t.nn.functional.cosine_similarity(x, y), M, M)
case("chain_matmul", lambda t, x, y, z: t.linalg.multi_dot([x, y, z]), (2, 3), (3, 4), (4, 2))
case("matrix_power", lambda t, x: t.linalg.matrix_power(x, 3), (3, 3))
case("vecdot", lambda t, x, y: t.linalg.vecdot(x, y), M, M)

# -- linear algebra -----------------------------------------------------------------------------------------------------------
for _n in ("inv", "det", "slogdet", "cholesky", "matrix_exp", "eigvalsh"):
    case(f"linalg.{_n}", (lambda n: lambda t, x: getattr(t.linalg, n)(x))(_n), ((3, 3), "spd"))
case("linalg.eigh", lambda t, x: t.linalg.eigh(x).eigenvalues, ((3, 3), "spd"))
case("linalg.svd", lambda t, x: t.linalg.svd(x).S, M)
case("linalg.svdvals", lambda t, x: t.linalg.svdvals(x), M)
case("linalg.qr", lambda t, x: t.linalg.qr(x).R.abs(), (4, 3))
case("linalg.solve", lambda t, x, y: t.linalg.solve(x, y), ((3, 3), "spd"), (3, 2))
case("linalg.solve a vector", lambda t, x, y: t.linalg.solve(x, y), ((3, 3), "spd"), (3,))
case("linalg.solve_triangular", lambda t, x, y: t.linalg.solve_triangular(x, y, upper=False), ((3, 3), "low"), (3, 2))
case("cholesky_solve", lambda t, y, x: t.cholesky_solve(y, x), (3, 2), ((3, 3), "low"))
case("cholesky_inverse", lambda t, x: t.cholesky_inverse(x), ((3, 3), "low"))
case("linalg.pinv", lambda t, x: t.linalg.pinv(x), M)
case("linalg.lu", lambda t, x: t.linalg.lu(x), ((3, 3), "spd"))
case("linalg.lu_factor", lambda t, x: t.linalg.lu_factor(x).LU, ((3, 3), "spd"))
case("linalg.lstsq", lambda t, x, y: t.linalg.lstsq(x, y).solution, (4, 3), (4, 2))
case(
    "linalg.norms",
    lambda t, x: (t.linalg.norm(x), t.linalg.vector_norm(x, 3), t.linalg.matrix_norm(x), t.linalg.matrix_norm(x, 1)),
    M,
)
case("linalg.nuclear", lambda t, x: t.linalg.matrix_norm(x, "nuc"), M)
case("linalg.matrix_rank", lambda t, x: t.linalg.matrix_rank(x), M)
case("linalg.cond", lambda t, x: t.linalg.cond(x), ((3, 3), "spd"))
case("logdet", lambda t, x: t.logdet(x), ((3, 3), "spd"))
case("linalg.householder", lambda t, x, y: t.linalg.householder_product(x, y), (4, 2), (2,))
case("fft", lambda t, x: (t.view_as_real(t.fft.fft(x)), t.view_as_real(t.fft.rfft(x, dim=0)), t.fft.fftshift(x)), M)
case("irfft", lambda t, x: (t.fft.irfft(t.fft.rfft2(x), dim=-2), t.fft.irfftn(t.fft.rfftn(x))), M)
case("stft", lambda t, x, w: t.view_as_real(t.stft(x, 4, window=w, return_complex=True)), (12,), V)

# -- special functions --------------------------------------------------------------------------------------------------------
for _n in (
    "entr",
    "erfcx",
    "i0e",
    "i1",
    "i1e",
    "ndtr",
    "log_ndtr",
    "bessel_j0",
    "bessel_j1",
    "gammaln",
    "psi",
    "expit",
    "log1p",
    "xlog1py1",
):
    if _n != "xlog1py1":
        case(f"special.{_n}", (lambda n: lambda t, x: getattr(t.special, n)(x))(_n), (M, "+"))
case("special.ndtri", lambda t, x: t.special.ndtri(x), (M, "prob"))
case("special.xlog1py", lambda t, x, y: t.special.xlog1py(x, y), (M, "+"), (M, "+"))
case("special.zeta", lambda t, x, y: t.special.zeta(x + 1, y), (M, "+"), (M, "+"))

# -- neural networks ----------------------------------------------------------------------------------------------------------
functional(
    "relu6 elu selu celu gelu silu mish softplus softsign tanhshrink hardtanh hardsigmoid hardswish leaky_relu logsigmoid "
    "hardshrink softshrink tanh sigmoid normalize",
    M,
)
case("F.softmax", lambda t, x: (t.softmax(x, 0), t.log_softmax(x, -1), t.nn.functional.softmin(x, 1)), M)
case("F.glu", lambda t, x: t.nn.functional.glu(x), M)
case("F.prelu", lambda t, x, w: t.nn.functional.prelu(x, w), M, V)
case("F.threshold", lambda t, x: t.nn.functional.threshold(x, 0.1, 2.0), M)
case("F.linear", lambda t, x, w, b: t.nn.functional.linear(x, w, b), M, (5, 4), (5,))
case("F.linear of a vector", lambda t, x, w: t.nn.functional.linear(x, w), V, (5, 4))
case("F.linear of batches", lambda t, x, w, b: t.nn.functional.linear(x, w, b), (2, 3, 4), (5, 4), (5,))
case("F.bilinear", lambda t, x, y, w: t.nn.functional.bilinear(x, y, w), (3, 2), (3, 4), (5, 2, 4))
for _n, _d in (("conv1d", 1), ("conv2d", 2), ("conv3d", 3)):
    case(
        f"F.{_n}",
        (lambda n: lambda t, x, w, b: getattr(t.nn.functional, n)(x, w, b, padding=1))(_n),
        (2, 2, *(5, 4, 3)[:_d]),
        (4, 2, *(3, 2, 2)[:_d]),
        (4,),
    )
case("F.conv2d in groups", lambda t, x, w: t.nn.functional.conv2d(x, w, stride=2, groups=2), (2, 4, 5, 5), (4, 2, 2, 2))
case("F.conv2d of one", lambda t, x, w: t.nn.functional.conv2d(x, w), (2, 5, 5), (3, 2, 2, 2))
case("F.conv_transpose2d", lambda t, x, w: t.nn.functional.conv_transpose2d(x, w, stride=2), (2, 2, 3, 3), (2, 3, 2, 2))
case("F.max_pool2d", lambda t, x: t.nn.functional.max_pool2d(x, 2), (2, 2, 4, 6))
case("F.max_pool2d of one", lambda t, x: t.nn.functional.max_pool2d(x, 3, 2, 1), (2, 5, 5))
case("F.max_pool1d with places", lambda t, x: t.nn.functional.max_pool1d(x, 2, return_indices=True), (2, 2, 6))
case("F.avg_pool2d", lambda t, x: t.nn.functional.avg_pool2d(x, 2, padding=1), (2, 2, 4, 6))
case(
    "F.adaptive",
    lambda t, x: (t.nn.functional.adaptive_avg_pool2d(x, (3, 2)), t.nn.functional.adaptive_max_pool2d(x, 2)),
    (1, 2, 5, 5),
)
case("F.lp_pool1d", lambda t, x: t.nn.functional.lp_pool1d(x, 2, 2), ((1, 2, 6), "+"))
case("F.unfold", lambda t, x: t.nn.functional.unfold(x, 2), (1, 2, 4, 4))
case("F.fold", lambda t, x: t.nn.functional.fold(x, (4, 4), 2, stride=2), (1, 8, 4))
case(
    "F.interpolate",
    lambda t, x: (
        t.nn.functional.interpolate(x, scale_factor=2),
        t.nn.functional.interpolate(x, size=(5, 3), mode="bilinear"),
    ),
    (1, 2, 3, 4),
)
case("F.pixel_shuffle", lambda t, x: t.nn.functional.pixel_shuffle(x, 2), (1, 4, 2, 3))
case("F.layer_norm", lambda t, x, w, b: t.nn.functional.layer_norm(x, (4,), w, b), M, V, V)
case("F.group_norm", lambda t, x: t.nn.functional.group_norm(x, 2), (2, 4, 3))
case("F.instance_norm", lambda t, x: t.nn.functional.instance_norm(x), (2, 3, 4))
case("F.batch_norm", lambda t, x: t.nn.functional.batch_norm(x, None, None, training=True), M)
case("F.batch_norm evaluated", lambda t, x, m, v: t.nn.functional.batch_norm(x, m, v), M, V, (V, "+"))
case("F.rms_norm", lambda t, x: t.nn.functional.rms_norm(x, (4,)), M)
case("F.local_response_norm", lambda t, x: t.nn.functional.local_response_norm(x, 2), (2, 4, 3))
for _n in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "soft_margin_loss"):
    case(f"F.{_n}", (lambda n: lambda t, x, y: getattr(t.nn.functional, n)(x, y))(_n), M, M)
case("F.cross_entropy", lambda t, x, y: t.nn.functional.cross_entropy(x, y), M, ((3,), "int:4"))
case("F.cross_entropy of one", lambda t, x, y: t.nn.functional.cross_entropy(x, y), V, (S, "int:4"))
case(
    "F.cross_entropy smooth",
    lambda t, x, y: t.nn.functional.cross_entropy(x, y, label_smoothing=0.1, reduction="sum"),
    M,
    ((3,), "int:4"),
)
case("F.nll_loss", lambda t, x, y: t.nn.functional.nll_loss(x.log_softmax(1), y, reduction="none"), M, ((3,), "int:4"))
case("F.kl_div", lambda t, x, y: t.nn.functional.kl_div(x.log_softmax(1), y.softmax(1), reduction="batchmean"), M, M)
case("F.binary_cross_entropy", lambda t, x, y: t.nn.functional.binary_cross_entropy(x, y), (M, "prob"), (M, "prob"))
case("F.bce_with_logits", lambda t, x, y: t.nn.functional.binary_cross_entropy_with_logits(x, y), M, (M, "prob"))
case("F.hinge", lambda t, x: t.nn.functional.hinge_embedding_loss(x, t.ones(3, 4)), M)
case("F.triplet", lambda t, x, y, z: t.nn.functional.triplet_margin_loss(x, y, z), M, M, M)
case("F.gaussian_nll", lambda t, x, y, v: t.nn.functional.gaussian_nll_loss(x, y, v), M, M, (M, "+"))
case("F.poisson_nll", lambda t, x, y: t.nn.functional.poisson_nll_loss(x, y), M, (M, "+"))
case("F.margin", lambda t, x, y: t.nn.functional.multi_margin_loss(x, y), M, ((3,), "int:4"))
case("F.pairwise_distance", lambda t, x, y: t.nn.functional.pairwise_distance(x, y), M, M)
case(
    "F.attention",
    lambda t, q, k, v: t.nn.functional.scaled_dot_product_attention(q, k, v),
    (2, 3, 4),
    (2, 5, 4),
    (2, 5, 4),
)
case(
    "F.attention causal",
    lambda t, q, k, v: t.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True),
    (1, 2, 3, 4),
    (1, 2, 3, 4),
    (1, 2, 3, 4),
)
case(
    "F.grid_sample",
    lambda t, x, g: t.nn.functional.grid_sample(x, g, align_corners=False),
    (1, 2, 3, 4),
    ((1, 2, 2, 2), "unit"),
)


# -- writes in place ----------------------------------------------------------------------------------------------------------
def _writes(t: Any, x: Any, y: Any) -> Any:
    z = x * 1
    z[0] = y
    z[:, 1].mul_(3)
    z.t()[2].add_(y[:3])
    z[z > 1] = 0.5
    z += 1
    return z.clamp_(min=-1).sqrt_() if False else z


def _fills(t: Any, x: Any, i: Any) -> Any:
    z = x.clone()
    z[i] = 2.0
    z[:, i] += 1.0
    z.index_fill_(1, t.tensor([0]), 5.0)
    z.diagonal().zero_()
    return z


case("writes", _writes, M, V)
case("fills", _fills, (4, 4), ((2,), "int:4"))
case("writes with a mask", lambda t, x: x.clone().masked_fill_(x > 0, 1.0), M)
