"""Cases for tensors' own methods and attributes, and for the smaller rooms: optimizers, data, distributions, linalg, fft."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.test_distributions import CASES as DENSITIES
from parity.test_distributions import make as density
from parity.test_optim import CASES as OPTIMIZERS
from parity.test_schedulers import SINGLE as SCHEDULES

from .cases import AT, C3, RNG, Args, B, Case, D, I, K, P, R, S, U, V, W, X, Y, same, words
from .functions import INDEX


def of(call: Any, *arrays: Any) -> Case:
    """A case of one tensor, or more."""
    return Case(lambda t, *xs: call(*xs), *arrays)


def in_place(name: str, *args: Any, start: Any = X) -> Case:
    return Args(start, *args)._case(lambda t, args, _: getattr(args[0] * 1, name)(*args[1:]))


def backward(t: Any, x: Any) -> Any:
    x = x.detach().clone().requires_grad_()
    (x * x).sum().backward()
    return x.grad, x.data, x.requires_grad


METHODS: dict[str, Any] = {
    **same("backward grad data requires_grad", Case(backward, X)),
    "requires_grad_": of(lambda x: x.detach().requires_grad_().requires_grad, X),
    "is_leaf": of(lambda x: x.is_leaf, X),
    "grad_fn": of(lambda x: x.detach().grad_fn, X),
    "retain_grad": of(lambda x: (x * 2).retains_grad, X),
    "register_hook": of(lambda x: callable(x.register_hook), X),
    "detach_": of(lambda x: (x * 2).detach_(), X),
    "item": of(lambda x: x[0, 0].item(), X),
    "tolist": of(lambda x: x.tolist(), X),
    "numpy": of(lambda x: x.detach().numpy(), X),
    "cpu": of(lambda x: x.cpu(), X),
    "cuda": of(lambda x: callable(x.cuda), X),
    "size": of(lambda x: (x.size(), x.size(1)), X),
    "shape": of(lambda x: tuple(x.shape), X),
    "dim": Args(X),
    "ndim": of(lambda x: x.ndim, X),
    "ndimension": Args(X),
    "numel": Args(X),
    "nelement": Args(X),
    "stride": Args(X),
    "device": of(lambda x: x.device, X),
    "dtype": of(lambda x: x.dtype, X),
    "layout": of(lambda x: x.layout, X),
    "element_size": Args(X),
    "storage_offset": Args(X),
    "data_ptr": of(lambda x: x.data_ptr() == x.view(-1).data_ptr(), X),
    "is_contiguous": Args(X),
    "is_floating_point": Args(X),
    "is_complex": Args(K),
    "is_signed": Args(I),
    "is_cuda": of(lambda x: x.is_cuda, X),
    "itemsize": of(lambda x: x.itemsize, X),
    "nbytes": of(lambda x: x.nbytes, X),
    "to": Case(lambda t, x: (x.to(t.float32), x.to("cpu"), x.to(t.ones(1, dtype=t.int32)).dtype), X),
    "type": Case(lambda t, x: (x.type(), x.type(t.float32)), X),
    "type_as": Case(lambda t, x: x.type_as(t.ones(1)), X),
    **same("float double half bfloat16 int long short char byte bool", Args(X)),
    "cfloat": Args(X),
    "cdouble": Args(X),
    "view": Args(X, 2, 6),
    "view_as": Args(X, Y.T),
    "reshape_as": Args(X, Y.T),
    "expand": Args(V, 3, 4),
    "expand_as": Args(V, Y),
    "repeat": Args(X, 2, 1),
    "contiguous": Args(X),
    "unfold": Args(X, 1, 2, 1),
    "permute": Args(C3, 2, 0, 1),
    "reshape": Args(X, 2, 6),
    "flip": Args(X, 0, 1),
    "tile": Args(X, 2, 1),
    "sum_to_size": Args(X, 1, 4),
    "T": of(lambda x: x.T, X),
    "mT": of(lambda x: x.mT, C3),
    "H": of(lambda x: x.H, X),
    "mH": of(lambda x: x.mH, C3),
    "real": of(lambda x: x.real, K),
    "imag": of(lambda x: x.imag, K),
    "values": of(lambda x: x.max(1).values, X),
    "indices": of(lambda x: x.max(1).indices, X),
    "lerp_": in_place("lerp_", Y, 0.3),
    "copy_": in_place("copy_", Y),
    **{
        name: in_place(name, *args)
        for name, *args in (
            ("fill_", 2.0),
            ("zero_",),
            ("clamp_", -0.5, 0.5),
            ("clamp_min_", 0.1),
            ("clamp_max_", 0.1),
            ("clip_", -0.5, 0.5),
            ("add_", Y),
            ("sub_", Y),
            ("mul_", Y),
            ("div_", P),
            ("addcmul_", Y, P),
            ("addcdiv_", Y, P),
            ("relu_",),
            ("sigmoid_",),
            ("tanh_",),
            ("exp_",),
            ("neg_",),
            ("abs_",),
            ("masked_fill_", B, 1.0),
            ("index_fill_", 0, AT, 2.0),
            ("index_add_", 0, AT, Y[:2]),
            ("index_copy_", 0, AT, Y[:2]),
            ("scatter_", 0, INDEX, Y[:2]),
            ("scatter_add_", 0, INDEX, Y[:2]),
            ("tril_",),
            ("triu_",),
            ("fill_diagonal_", 3.0),
            ("squeeze_",),
            ("unsqueeze_", 0),
            ("transpose_", 0, 1),
            ("t_",),
            ("round_",),
            ("floor_",),
            ("ceil_",),
            ("trunc_",),
            ("sin_",),
            ("cos_",),
        )
    },
    **{
        name: in_place(name, *args, start=P)
        for name, *args in (
            ("pow_", 2),
            ("sqrt_",),
            ("rsqrt_",),
            ("log_",),
            ("reciprocal_",),
            ("remainder_", 2.0),
            ("fmod_", 2.0),
        )
    },
    **{
        name: Case(lambda t, name=name, args=args: getattr(t.zeros(3, 4), name)(*args))
        for name, *args in (
            ("bernoulli_", 0.4),
            ("uniform_", -1, 1),
            ("normal_", 1, 2),
            ("exponential_", 2),
            ("geometric_", 0.4),
            ("cauchy_",),
            ("log_normal_",),
            ("random_", 9),
        )
    },
    "new_full": Args(X, (2,), 3.0),
    "new_tensor": Args(X, [1.0, 2.0]),
    "new_zeros": Args(X, 2, 3),
    "new_ones": Args(X, 2),
    "new_empty": of(lambda x: x.new_empty(2, 3).shape, X),
    "softmax": Args(X, 1),
    "log_softmax": Args(X, 1),
    "histc": Args(X, 5),
    "masked_select": Args(X, B),
    "index_put_": Case(lambda t, x, y: (x * 1).index_put_((t.tensor([2, 0]),), y[:2]), X, Y),
    "__getitem__": of(lambda x: (x[1], x[:, 1:3], x[..., None]), X),
    "__setitem__": of(lambda x, y: (z := x * 1, z.__setitem__(0, y[1]))[0], X, Y),
    "__len__": of(len, X),
    "__iter__": of(list, X),
    "__contains__": of(lambda x: 2.0 in x, X),
    "__array__": of(lambda x: np.asarray(x.detach()), X),
    "__bool__": of(lambda x: bool(x.detach()[0, 0] > 0), X),
    "apply_": of(lambda x: x.detach().clone().apply_(lambda v: v * 2), X),
    "map_": of(lambda x, y: x.detach().clone().map_(y.detach(), lambda a, b: a + b), X, Y),
    "where": Args(X, B, Y),
    "std": Args(X, 1),
    "var": Args(X, 1),
    "max": Args(X, 1),
    "min": Args(X, 1),
    "mean": Args(X, 1),
    "sum": Args(X, 1),
    "norm": Args(X, 2, 1),
    "isin": None,
}
METHODS = {name: case for name, case in METHODS.items() if case is not None}


def stepped(t: Any, name: str, options: dict[str, Any]) -> Any:
    """Three steps on a sum of squares."""
    x = t.tensor(X, requires_grad=True)
    optimizer = getattr(t.optim, name)([x], **options)

    def loss() -> Any:
        optimizer.zero_grad()
        value = (x * x).sum()
        value.backward()
        return value

    losses = [optimizer.step(loss) for _ in range(3)]
    return x.detach(), [each.detach() for each in losses], list(optimizer.state_dict()["param_groups"][0])


def scheduled(t: Any, name: str, options: Any) -> Any:
    """The rates of ten epochs."""
    optimizer = t.optim.SGD([t.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9)
    lrs = t.optim.lr_scheduler
    if name in ("SequentialLR", "ChainedScheduler"):
        two = [lrs.StepLR(optimizer, 2), lrs.ExponentialLR(optimizer, 0.9)]
        schedule = lrs.SequentialLR(optimizer, two, [4]) if name == "SequentialLR" else lrs.ChainedScheduler(two)
    else:
        schedule = getattr(lrs, name)(optimizer, **options)
    rates = []
    for epoch in range(10):
        optimizer.step()
        schedule.step(*([1.0 / (1 + epoch // 4)] if name == "ReduceLROnPlateau" else []))
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def first(rows: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, options in rows:
        found.setdefault(name, options)
    return found


OPTIM: dict[str, Any] = {
    **{
        name: Case(
            lambda t, name=name, options=options: stepped(t, name, options), tolerance=1e-6 if name == "NAdam" else None
        )
        for name, options in first(OPTIMIZERS).items()
    },
    "LBFGS": Case(lambda t: stepped(t, "LBFGS", {"lr": 0.1})),
    "Optimizer": Case(lambda t: issubclass(t.optim.SGD, t.optim.Optimizer)),
}
LR = {
    name: Case(lambda t, name=name, options=options: scheduled(t, name, options))
    for name, options in {
        **first(SCHEDULES),
        "SequentialLR": None,
        "ChainedScheduler": None,
        "ReduceLROnPlateau": {"patience": 1},
        "OneCycleLR": {"max_lr": 0.3, "total_steps": 12},
        "LRScheduler": None,
    }.items()
    if name != "LRScheduler"
}
LR["LRScheduler"] = Case(lambda t: issubclass(t.optim.lr_scheduler.StepLR, t.optim.lr_scheduler.LRScheduler))


def draws(t: Any, name: str) -> Any:
    d, value, _ = density(t, name)
    facts: list[Any] = [d.log_prob(value), d.batch_shape, d.event_shape]
    return [*facts, d.sample((2,))]


def transformed(t: Any, x: Any, name: str, *options: Any) -> Any:
    made = getattr(t.distributions, name)(*options)
    y = made(x)
    return y, made.inv(y), made.log_abs_det_jacobian(x, y)


DISTRIBUTIONS: dict[str, Any] = {
    **{name: Case(lambda t, name=name: draws(t, name), tolerance=1e-5) for name in DENSITIES if "-" not in name},
    **{
        name: Case(lambda t, x, name=name, options=options: transformed(t, x, name, *options), U)
        for name, *options in (
            ("ExpTransform",),
            ("SigmoidTransform",),
            ("TanhTransform",),
            ("SoftplusTransform",),
            ("AffineTransform", 1.0, 2.0),
            ("PowerTransform", 2.0),
        )
    },
    "Independent": Case(
        lambda t, x: (lambda d: (d.log_prob(x), d.event_shape))(
            t.distributions.Independent(t.distributions.Normal(x.detach() * 0, 1.0), 1)
        ),
        X,
    ),
    "MixtureSameFamily": Case(
        lambda t, x: t.distributions.MixtureSameFamily(
            t.distributions.Categorical(t.ones(4, dtype=x.dtype)), t.distributions.Normal(x.detach()[0], 1.0)
        ).log_prob(x[:, 0]),
        X,
    ),
    "TransformedDistribution": Case(
        lambda t, x: t.distributions.TransformedDistribution(
            t.distributions.Normal(x.detach() * 0, 1.0), [t.distributions.ExpTransform()]
        ).log_prob(x),
        P,
    ),
    "kl_divergence": Case(
        lambda t, x, p: t.distributions.kl_divergence(t.distributions.Normal(x, p), t.distributions.Normal(0.0, 1.0)),
        X,
        P,
    ),
    "Distribution": Case(lambda t: issubclass(t.distributions.Normal, t.distributions.Distribution)),
    "constraints.positive": Case(lambda t, x: t.distributions.constraints.positive.check(x), X),
    "binomial.Binomial": Case(lambda t: draws(t, "Binomial"), tolerance=1e-5),
    "multivariate_normal.MultivariateNormal": Case(lambda t: draws(t, "MultivariateNormal"), tolerance=1e-5),
}


def listed(t: Any, batches: Any) -> Any:
    return [list(batch) if isinstance(batch, (list, tuple)) else batch for batch in batches]


def numbers(t: Any) -> Any:
    class Squares(t.utils.data.Dataset):
        def __len__(self) -> int:
            return 7

        def __getitem__(self, i: int) -> Any:
            return i * i

    class Stream(t.utils.data.IterableDataset):
        def __iter__(self) -> Any:
            return iter(range(5))

    return Squares(), Stream()


def data(call: Any) -> Case:
    return Case(lambda t: listed(t, call(t, t.utils.data)))


def pairs(t: Any) -> Any:
    return t.utils.data.TensorDataset(t.tensor(X), t.arange(3))


DATA: dict[str, Any] = {
    **same("DataLoader dataloader.DataLoader", data(lambda t, d: d.DataLoader(pairs(t), batch_size=2, shuffle=True))),
    "TensorDataset": data(lambda t, d: [pairs(t)[1], pairs(t)[2]]),
    "Dataset": data(lambda t, d: d.DataLoader(numbers(t)[0], 3)),
    "IterableDataset": data(lambda t, d: d.DataLoader(numbers(t)[1], 2)),
    "ConcatDataset": data(lambda t, d: d.ConcatDataset([pairs(t), pairs(t)])[4]),
    "ChainDataset": data(lambda t, d: d.ChainDataset([numbers(t)[1]])),
    "StackDataset": data(lambda t, d: d.StackDataset(numbers(t)[0], range(7))[2]),
    "Subset": data(lambda t, d: d.Subset(pairs(t), [2, 0])),
    "random_split": data(lambda t, d: [list(part) for part in d.random_split(range(9), [0.5, 0.5])]),
    "RandomSampler": data(lambda t, d: d.RandomSampler(range(9))),
    "SequentialSampler": data(lambda t, d: d.SequentialSampler(range(4))),
    "SubsetRandomSampler": data(lambda t, d: d.SubsetRandomSampler([4, 6, 8])),
    "WeightedRandomSampler": data(lambda t, d: d.WeightedRandomSampler([0.1, 0.9, 0.4], 6)),
    "BatchSampler": data(lambda t, d: d.BatchSampler(range(7), 3, False)),
    "Sampler": data(lambda t, d: [issubclass(d.RandomSampler, d.Sampler)]),
    "distributed.DistributedSampler": data(lambda t, d: d.distributed.DistributedSampler(range(9), 2, 1)),
    "DistributedSampler": data(lambda t, d: d.DistributedSampler(range(9), 2, 1)),
    "default_collate": data(
        lambda t, d: [d.default_collate([{"a": 1, "b": (2.0, "x")}, {"a": 3, "b": (4.0, "y")}])["a"]]
    ),
    "default_convert": data(lambda t, d: [d.default_convert(np.ones(2))]),
    "get_worker_info": data(lambda t, d: [d.get_worker_info()]),
}


def square_of(t: Any) -> Any:
    class Square(t.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return 2 * ctx.saved_tensors[0] * g

    x = t.tensor(X, requires_grad=True)
    Square.apply(x).sum().backward()
    return x.grad


AUTOGRAD: dict[str, Any] = {
    "grad": Case(
        lambda t, x: t.autograd.grad((x.detach().requires_grad_() ** 2).sum(), []) if False else _grad(t, x), X
    ),
    "backward": Case(lambda t, x: _back(t, x), X),
    "Function": Case(square_of),
    "Variable": Case(lambda t: t.autograd.Variable(t.ones(2), requires_grad=True).requires_grad),
    "no_grad": Case(lambda t: callable(t.autograd.no_grad)),
    "enable_grad": Case(lambda t: callable(t.autograd.enable_grad)),
    "detect_anomaly": Case(lambda t: callable(t.autograd.detect_anomaly)),
    "set_detect_anomaly": Case(lambda t: t.autograd.set_detect_anomaly(False) and None),
    "gradcheck": Case(lambda t: t.autograd.gradcheck(lambda x: x.sin(), t.tensor(X, requires_grad=True))),
    "gradgradcheck": Case(lambda t: t.autograd.gradgradcheck(lambda x: x.sin(), t.tensor(X, requires_grad=True))),
    **{
        f"functional.{name}": Case(
            lambda t, x, name=name: getattr(t.autograd.functional, name)(
                lambda y: (y.sin() * y).sum() if "hess" in name else y.sin(), x.detach()
            ),
            V,
        )
        for name in ("jacobian", "hessian")
    },
    **{
        f"functional.{name}": Case(
            lambda t, x, w, name=name: getattr(t.autograd.functional, name)(
                lambda y: (y.sin() * y).sum() if "h" in name else y.sin(), x.detach(), w.detach()
            ),
            V,
            W,
        )
        for name in ("vjp", "jvp", "hvp", "vhp")
    },
}


def _grad(t: Any, x: Any) -> Any:
    x = x.detach().requires_grad_()
    (g,) = t.autograd.grad((x**3).sum(), x, create_graph=True)
    return g.detach(), t.autograd.grad(g.sum(), x)[0]


def _back(t: Any, x: Any) -> Any:
    x = x.detach().requires_grad_()
    t.autograd.backward([(x**3).sum(), x.sum()])
    return x.grad


FUNC: dict[str, Any] = {
    **{
        name: Case(lambda t, x, name=name: getattr(t.func, name)(lambda y: (y.sin() * y).sum())(x.detach()), V)
        for name in ("grad", "grad_and_value", "hessian")
    },
    **{
        name: Case(lambda t, x, name=name: getattr(t.func, name)(lambda y: y.sin())(x.detach()), V)
        for name in ("jacrev", "jacfwd", "vmap")
    },
    "jvp": Case(lambda t, x, w: t.func.jvp(lambda y: y.sin(), (x.detach(),), (w.detach(),)), V, W),
    "vjp": Case(lambda t, x, w: t.func.vjp(lambda y: y.sin(), x.detach())[1](w.detach()), V, W),
    "linearize": Case(lambda t, x, w: t.func.linearize(lambda y: y.sin(), x.detach())[1](w.detach()), V, W),
    "functional_call": Case(lambda t, x: t.func.functional_call(t.nn.Linear(4, 2).double(), {"bias": x[0, :2]}, x), X),
}

SOLVED = Args(D, X.T)
LINALG: dict[str, Any] = {
    **same("det slogdet inv pinv matrix_exp eigvalsh matrix_rank cond inv_ex lu_factor lu qr", Args(D)),
    **same("svdvals matrix_norm norm vector_norm diagonal", Args(X)),
    **same("solve solve_ex", SOLVED),
    "matrix_power": Args(S, 3),
    "matmul": Args(S, R),
    "vecdot": Args(X, Y),
    "cross": Args(X[:, :3], Y[:, :3]),
    "multi_dot": Args([X, S, R]),
    "vander": Args(V),
    "householder_product": Args(RNG.normal(size=(4, 2)), W[:2]),
    "solve_triangular": Args(S, X.T, upper=True),
    "lstsq": Case(lambda t, a, b: t.linalg.lstsq(a, b)[0], R, X.T),
    "tensorinv": Args(D.reshape(2, 2, 4), ind=2),
    "tensorsolve": Args(D.reshape(2, 2, 4), S[:2, :2]),
    "lu_solve": Case(lambda t, a, b: t.linalg.lu_solve(*t.linalg.lu_factor(a), b), D, X.T),
    "eigh": Case(lambda t, a: t.linalg.eigh(a)[0], D),
    "eig": Case(lambda t, a: t.linalg.eig(a)[0].real.sort()[0], D),
    "eigvals": Case(lambda t, a: t.linalg.eigvals(a).real.sort()[0], D),
    "svd": Case(lambda t, a: t.linalg.svd(a, full_matrices=False)[1], X),
    **{
        name: Case(lambda t, x, name=name: getattr(t.linalg, name)(x + x.mT), D) for name in ("cholesky", "cholesky_ex")
    },
    "LinAlgError": Case(lambda t: issubclass(t.linalg.LinAlgError, RuntimeError)),
}
HERMITIAN = X + 1j * Y
FFT: dict[str, Any] = {
    **same("fft ifft rfft ihfft fft2 ifft2 rfft2 fftn ifftn rfftn ihfft2 ihfftn fftshift ifftshift", Args(X)),
    **same("irfft hfft irfft2 irfftn hfft2 hfftn", Args(HERMITIAN)),
    **same("fftfreq rfftfreq", Args(7, 0.5)),
}
BESSEL = "bessel_j0 bessel_j1 bessel_y0 bessel_y1 modified_bessel_i0 modified_bessel_i1 modified_bessel_k0 modified_bessel_k1 scaled_modified_bessel_k0 scaled_modified_bessel_k1 spherical_bessel_j0"
SPECIAL: dict[str, Any] = {
    **{
        name: Case(lambda t, x, name=name: getattr(t.special, name)(x.detach()), P) for name in words(BESSEL)
    },  # torch has no slope
    **same("erf erfc erfcx expm1 exp2 i0 i0e i1 i1e ndtr log_ndtr sinc expit round", Args(X)),
    **same("erfinv ndtri logit", Args(U)),
    **same("gammaln digamma psi log1p entr", Args(P)),
    **same("softmax log_softmax logsumexp", Args(X, 1)),
    **same("xlogy xlog1py", Args(X, P)),
    **same(
        "gammainc gammaincc",
        Case(
            lambda t, x, y: (t.special.gammainc(x.detach(), y.detach()), t.special.gammaincc(x.detach(), y.detach())),
            P,
            P[::-1].copy(),
        ),
    ),
    "zeta": Case(lambda t, x, y: t.special.zeta(x.detach() + 1, y.detach()), P, P),
    "polygamma": Case(lambda t, x: t.special.polygamma(1, x), P, tolerance=1e-7),
    "multigammaln": Args(P + 2, 2),
    **{
        f"{name}": Case(lambda t, x, name=name: getattr(t.special, name)(x.detach(), t.tensor(3)), U)
        for name in [f"{shifted}chebyshev_polynomial_{kind}" for shifted in ("", "shifted_") for kind in "tuvw"]
        + ["hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l", "legendre_polynomial_p"]
    },
}
METHODS |= {
    **{
        name: of(lambda x, name=name: getattr(x, name), X)
        for name in words(
            "is_cpu is_meta is_mps is_quantized is_sparse is_xla is_xpu is_mkldnn output_nr retains_grad name"
        )
    },
    **{
        name: of(lambda x, name=name: getattr(x, name)(), X)
        for name in words("is_pinned is_shared get_device bfloat16 short cfloat cdouble dim_order")
    },
    "multinomial": Case(lambda t, p: p.detach().multinomial(2), P),
    "bernoulli": Case(lambda t, p: p.bernoulli(), U),
    "polygamma": Case(lambda t, x: x.polygamma(1), P, tolerance=1e-7),
    "register_post_accumulate_grad_hook": of(lambda x: callable(x.register_post_accumulate_grad_hook), X),
    "share_memory_": of(lambda x: x.detach().clone().share_memory_().is_shared(), X),
    "resize_": of(lambda x: x.detach().clone().resize_(2, 2), X),
    "resize_as_": of(lambda x, y: x.detach().clone().resize_as_(y.detach()), X, S[:2]),
    "set_": of(lambda x, y: x.detach().clone().set_(y.detach()), X, S),
    "is_set_to": of(lambda x: (x.is_set_to(x), x.is_set_to(x.clone())), X),
    "new_empty_strided": of(lambda x: x.new_empty_strided((2, 3), (1, 2)).stride(), X),
    "new": of(lambda x: x.detach().new(2, 3).shape, X),
    "to_dense": of(lambda x: x.detach().to_dense(), X),
    **{
        name: of(lambda x, name=name: getattr(x.detach(), name)().to_dense(), X)
        for name in words("to_sparse to_sparse_coo to_sparse_csr to_sparse_csc")
    },
    "coalesce": of(lambda x: x.detach().to_sparse().coalesce().values(), X),
    "is_coalesced": of(lambda x: x.detach().to_sparse().is_coalesced(), X),
    "sparse_dim": of(lambda x: x.detach().to_sparse().sparse_dim(), X),
    "dense_dim": of(lambda x: x.detach().to_sparse().dense_dim(), X),
    "crow_indices": of(lambda x: x.detach().to_sparse_csr().crow_indices(), X),
    "col_indices": of(lambda x: x.detach().to_sparse_csr().col_indices(), X),
    "untyped_storage": of(lambda x: x.untyped_storage().nbytes(), X),
    "storage": of(lambda x: len(x.storage()), X),
    "pin_memory": of(lambda x: callable(x.pin_memory), X),
    "as_subclass": Case(lambda t, x: x.detach().as_subclass(t.Tensor), X),
    "is_distributed": Args(X),
    "lu_solve": Case(lambda t, a, b: b.lu_solve(*t.linalg.lu_factor(a)), D, X.T),
    "svd": of(lambda x: x.svd()[1], X),
    "mvlgamma_": in_place("mvlgamma_", 2, start=P + 2),
    "polygamma_": Case(lambda t, x: (x * 1).detach().polygamma_(1), P, tolerance=1e-7),
}
COMPARED = words("eq ne not_equal lt less le less_equal gt greater ge greater_equal")
METHODS |= {
    f"{name}_": Case(lambda t, x, y, name=name: getattr(x.detach() * 1, f"{name}_")(y.detach()), X, Y)
    for name in COMPARED
}
METHODS["as_strided_scatter"] = Case(
    lambda t, x, y: x.detach().as_strided_scatter(y.detach(), (2, 2), (4, 1)), X, Y[:2, :2]
)
METHODS["logical_not_"] = of(lambda x: (x.detach() * 1).logical_not_(), X)
AUTOGRAD |= {
    "inference_mode": Case(lambda t: callable(t.autograd.inference_mode)),
    "set_grad_enabled": Case(lambda t: callable(t.autograd.set_grad_enabled)),
}
DISTRIBUTIONS |= {
    **{
        name: Case(lambda t, x, name=name, options=options: transformed(t, x, name, *options), U)
        for name, *options in (
            ("AbsTransform",),
            ("StickBreakingTransform",),
            ("SoftmaxTransform",),
            ("ReshapeTransform", (4,), (2, 2)),
        )
        if name not in ("AbsTransform", "SoftmaxTransform")
    },
    "AbsTransform": Case(lambda t, x: t.distributions.AbsTransform()(x), X),
    "SoftmaxTransform": Case(lambda t, x: t.distributions.SoftmaxTransform()(x), X),
    "LowerCholeskyTransform": Case(lambda t, x: t.distributions.LowerCholeskyTransform()(x), S),
    "PositiveDefiniteTransform": Case(lambda t, x: t.distributions.PositiveDefiniteTransform()(x), S),
    "ComposeTransform": Case(
        lambda t, x: t.distributions.ComposeTransform(
            [t.distributions.ExpTransform(), t.distributions.TanhTransform()]
        )(x),
        U,
    ),
    "IndependentTransform": Case(
        lambda t, x: t.distributions.IndependentTransform(t.distributions.ExpTransform(), 1).log_abs_det_jacobian(
            x, x.exp()
        ),
        U,
    ),
    "identity_transform": Case(lambda t, x: t.distributions.identity_transform(x) * 1, U),
    "transform_to": Case(lambda t, x: t.distributions.transform_to(t.distributions.constraints.positive)(x), X),
    "biject_to": Case(lambda t, x: t.distributions.biject_to(t.distributions.constraints.unit_interval)(x), X),
    "register_kl": Case(lambda t: callable(t.distributions.register_kl)),
    "ExponentialFamily": Case(lambda t: issubclass(t.distributions.Normal, t.distributions.ExponentialFamily)),
    "OneHotCategoricalStraightThrough": Case(
        lambda t, x: t.distributions.OneHotCategoricalStraightThrough(x).rsample(), U
    ),
}
LINALG |= {"lu_factor_ex": Args(D)}


def stacked(t: Any) -> Any:
    parameters, _ = t.func.stack_module_state([t.nn.Linear(3, 2), t.nn.Linear(3, 2)])
    return sorted(parameters), [p.detach() for p in parameters.values()]


FUNC |= {
    "stack_module_state": Case(stacked),
    "replace_all_batch_norm_modules_": Case(
        lambda t: repr(t.func.replace_all_batch_norm_modules_(t.nn.BatchNorm2d(3)))
    ),
    "functionalize": Case(lambda t, x: t.func.functionalize(lambda y: y.clone().add_(1))(x.detach()), X),
}
OPTIM |= {
    name: Case(lambda t, name=name: issubclass(getattr(t.optim, name), t.optim.Optimizer))
    for name in ("SparseAdam", "Muon")
}
