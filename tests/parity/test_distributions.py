"""Distributions against torch: densities, moments, entropies, draws under one seed, gradients, divergences, errors."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import retrograd

torch = pytest.importorskip("torch")

POSITIVE = [0.5, 1.5, 3.0]
REAL = [-1.0, 0.25, 2.0]
PROBS = [0.1, 0.5, 0.8]
ROWS = [[0.2, 0.3, 0.5], [0.1, 0.6, 0.3]]
MATRIX = [[2.0, 0.3, 0.1], [0.3, 1.0, 0.2], [0.1, 0.2, 1.5]]
FACTOR = [[1.2, 0.0, 0.0], [0.3, 0.8, 0.0], [-0.2, 0.1, 1.1]]

# name -> parameters, and values of which the density is asked
CASES = {
    "Normal": ({"loc": REAL, "scale": POSITIVE}, REAL),
    "LogNormal": ({"loc": REAL, "scale": [0.5, 0.7, 1.0]}, POSITIVE),
    "Uniform": ({"low": [0.0, -1.0, 0.0], "high": [4.0, 5.0, 6.0]}, POSITIVE),
    "Categorical": ({"probs": ROWS}, [0, 2]),
    "Categorical-logits": ({"logits": ROWS}, [0, 2]),
    "OneHotCategorical": ({"probs": ROWS}, [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]),
    "Bernoulli": ({"probs": PROBS}, [0.0, 1.0, 1.0]),
    "Bernoulli-logits": ({"logits": REAL}, [0.0, 1.0, 1.0]),
    "Binomial": ({"total_count": 5, "probs": PROBS}, [0.0, 3.0, 5.0]),
    "NegativeBinomial": ({"total_count": 5.0, "probs": PROBS}, [0.0, 3.0, 5.0]),
    "Multinomial": ({"total_count": 4, "probs": ROWS}, [[1.0, 1.0, 2.0], [0.0, 3.0, 1.0]]),
    "Beta": ({"concentration1": POSITIVE, "concentration0": [2.0, 1.0, 0.7]}, PROBS),
    "Gamma": ({"concentration": POSITIVE, "rate": [1.0, 2.0, 0.5]}, POSITIVE),
    "Chi2": ({"df": POSITIVE}, POSITIVE),
    "Dirichlet": ({"concentration": [[0.5, 1.5, 2.0], [3.0, 1.0, 0.8]]}, ROWS),
    "Exponential": ({"rate": POSITIVE}, POSITIVE),
    "Laplace": ({"loc": REAL, "scale": POSITIVE}, [0.0, 1.0, -2.0]),
    "Cauchy": ({"loc": REAL, "scale": POSITIVE}, [0.0, 1.0, -2.0]),
    "HalfNormal": ({"scale": POSITIVE}, POSITIVE),
    "HalfCauchy": ({"scale": POSITIVE}, POSITIVE),
    "Geometric": ({"probs": PROBS}, [0.0, 2.0, 4.0]),
    "Poisson": ({"rate": POSITIVE}, [0.0, 2.0, 4.0]),
    "StudentT": ({"df": [1.5, 3.0, 6.0], "loc": REAL, "scale": POSITIVE}, [0.0, 1.0, -2.0]),
    "FisherSnedecor": ({"df1": [3.0, 4.0, 5.0], "df2": [5.0, 6.0, 7.0]}, POSITIVE),
    "Gumbel": ({"loc": REAL, "scale": POSITIVE}, [0.0, 1.0, -2.0]),
    "Pareto": ({"scale": [0.2, 0.3, 0.5], "alpha": [2.5, 3.0, 4.0]}, POSITIVE),
    "Weibull": ({"scale": POSITIVE, "concentration": [1.5, 2.0, 0.7]}, POSITIVE),
    "InverseGamma": ({"concentration": [2.5, 3.0, 4.0], "rate": POSITIVE}, POSITIVE),
    "LogisticNormal": ({"loc": [0.1, -0.2], "scale": [0.5, 1.0]}, [0.2, 0.3, 0.5]),
    "MultivariateNormal": ({"loc": REAL, "covariance_matrix": MATRIX}, [0.0, 1.0, -2.0]),
    "MultivariateNormal-precision": ({"loc": REAL, "precision_matrix": MATRIX}, [[0.0, 1.0, -2.0], [1.0, 1.0, 0.5]]),
    "MultivariateNormal-tril": ({"loc": [REAL, POSITIVE], "scale_tril": FACTOR}, [0.0, 1.0, -2.0]),
    "MultivariateNormal-batch": ({"loc": REAL, "scale_tril": [FACTOR, np.tril(MATRIX).tolist()]}, [0.0, 1.0, -2.0]),
    "RelaxedBernoulli": ({"temperature": 0.7, "probs": PROBS}, PROBS),
    "RelaxedOneHotCategorical": ({"temperature": 0.7, "probs": ROWS}, ROWS),
}
WHOLE = {"total_count"}
# Draws that pass through a libm that differs in the last bit from the other library's are compared to this many digits.
DIGITS = 1e-5


def make(t, case, dtype="float64", grad=False):
    parameters, value = CASES[case]
    made = {}
    for name, v in parameters.items():
        if isinstance(v, list) or name == "temperature":
            v = t.tensor(v, dtype=getattr(t, dtype))
            v = v.requires_grad_() if grad else v
        made[name] = v
    d = getattr(t.distributions, case.partition("-")[0])(**made)
    value = t.tensor(value) if case.startswith("Categorical") else t.tensor(value, dtype=getattr(t, dtype))
    return d, value, [v for v in made.values() if hasattr(v, "grad")]


def numbers(x):
    return np.asarray(x.detach().numpy() if hasattr(x, "detach") else x)


def outcome(t, run):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return run(t)
        except Exception as error:
            return error


def agree(run, tolerance=1e-9):
    ours, theirs = outcome(retrograd, run), outcome(torch, run)
    if isinstance(theirs, Exception):
        assert type(ours) is type(theirs), (ours, theirs)
        return
    if isinstance(ours, Exception):
        raise ours
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None), (a, b)
        if b is not None:
            assert tuple(getattr(a, "shape", ())) == tuple(getattr(b, "shape", ()))
            assert str(getattr(a, "dtype", "")) == str(getattr(b, "dtype", ""))
            np.testing.assert_allclose(numbers(a), numbers(b), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("case", CASES)
def test_log_prob_and_its_gradients(case):
    def run(t):
        d, value, leaves = make(t, case, grad=True)
        out = d.log_prob(value)
        if out.requires_grad:
            (out * t.arange(1.0, out.numel() + 1, dtype=out.dtype).reshape(out.shape)).sum().backward()
        return [out] + [leaf.grad for leaf in leaves]

    agree(run, 1e-7)


@pytest.mark.parametrize("what", ["mean", "mode", "variance", "stddev"])
@pytest.mark.parametrize("case", CASES)
def test_moments(case, what):
    agree(lambda t: [getattr(make(t, case)[0], what)])


@pytest.mark.parametrize("case", CASES)
def test_entropy_and_perplexity(case):
    def run(t):
        d, _, leaves = make(t, case, grad=True)
        out = d.entropy()
        if out.requires_grad:
            out.sum().backward()
        return [out, d.perplexity()] + [leaf.grad for leaf in leaves]

    agree(run, 1e-6 if case == "Multinomial" else 1e-8)  # torch takes a logarithm of its total_count in float32


@pytest.mark.parametrize("case", CASES)
def test_cdf_and_icdf(case):
    if case == "Gamma":  # torch keeps its own digits here
        agree(lambda t: [make(t, case)[0].cdf(make(t, case)[1])], 1e-7)
        return
    agree(lambda t: [make(t, case)[0].cdf(make(t, case)[1])], 1e-9)
    agree(lambda t: [make(t, case)[0].icdf(t.tensor([0.2, 0.5, 0.9], dtype=t.float64))], 1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_draws_under_one_seed(case, dtype):
    def run(t):
        d = make(t, case, dtype)[0]
        t.manual_seed(3)
        return [d.sample(), d.sample((5,)), d.sample((2, 3)), t.rand(1)]

    agree(run, DIGITS if dtype == "float64" else 1e-4)


# Torch approximates the slopes of gamma and beta draws to about three digits.
ROUGH = {"Gamma", "Chi2", "Beta", "Dirichlet", "StudentT", "FisherSnedecor", "InverseGamma"}


@pytest.mark.parametrize("case", CASES)
def test_gradients_of_draws(case):
    def run(t):
        d, _, leaves = make(t, case, grad=True)
        t.manual_seed(5)
        out = d.rsample((4,))
        (out * t.linspace(0.5, 1.5, out.numel(), dtype=out.dtype).reshape(out.shape)).sum().backward()
        return [out] + [leaf.grad for leaf in leaves]

    agree(run, 5e-3 if case in ROUGH else 1e-6)


@pytest.mark.parametrize("case", CASES)
def test_expand_and_repr(case):
    def run(t):
        d, value, _ = make(t, case)
        wide = d.expand((4, *d.batch_shape))
        t.manual_seed(1)
        return [
            t.tensor(tuple(wide.batch_shape)),
            t.tensor(tuple(wide.event_shape)),
            wide.log_prob(value),
            wide.sample(),
        ]

    agree(run, 1e-5)
    assert repr(make(retrograd, case)[0]).replace("retrograd", "torch") == repr(make(torch, case)[0])


@pytest.mark.parametrize("case", CASES)
def test_supports_agree(case):
    def run(t):
        d, value, _ = make(t, case)
        return [d.support.check(value), t.tensor(d.support.event_dim), t.tensor(bool(d.support.is_discrete))]

    agree(run)


@pytest.mark.parametrize("case", ["Categorical", "OneHotCategorical", "Bernoulli", "Binomial", "Normal"])
def test_enumerate_support(case):
    agree(lambda t: [make(t, case)[0].enumerate_support(), make(t, case)[0].enumerate_support(expand=False)])


KL = [(c, c) for c in CASES if not c.startswith("Relaxed")]
KL += [
    (p, q)
    for p in (
        "Exponential",
        "Gamma",
        "Beta",
        "Gumbel",
        "Laplace",
        "Normal",
        "Pareto",
        "Uniform",
        "Poisson",
        "Bernoulli",
    )
    for q in ("Normal", "Exponential", "Gamma", "Uniform", "Pareto", "Beta", "Laplace", "Poisson")
    if p != q
]
OTHER = {"MultivariateNormal": "MultivariateNormal-tril", "Categorical": "Categorical-logits"}
MISSING = {
    ("Beta", "Gamma"),
    ("Gumbel", "Gamma"),
    ("Pareto", "Gamma"),
    ("Pareto", "Normal"),
    ("Uniform", "Beta"),
    ("Uniform", "Gamma"),
    ("Uniform", "Pareto"),
    ("Normal", "Gamma"),
}


@pytest.mark.parametrize(("p", "q"), KL, ids=lambda v: v)
def test_divergences(p, q):
    if (p, q) in MISSING:
        return
    agree(lambda t: [t.distributions.kl_divergence(make(t, p)[0], make(t, OTHER.get(q, q))[0])], 1e-8)


def test_independent_mixture_and_transforms():
    def run(t):
        D = t.distributions
        n = D.Normal(t.tensor([[0.0, 1.0], [2.0, -1.0]]), t.tensor([[1.0, 0.5], [2.0, 1.0]]))
        i = D.Independent(n, 1)
        x = t.tensor([0.3, -0.2])
        t.manual_seed(0)
        mix = D.MixtureSameFamily(D.Categorical(t.tensor([0.3, 0.7])), i)
        flow = D.TransformedDistribution(
            n, [D.SigmoidTransform(), D.AffineTransform(1.0, t.tensor([2.0, -3.0])), D.ExpTransform()]
        )
        y = flow.rsample()
        return [
            i.log_prob(x),
            i.entropy(),
            D.kl_divergence(i, i),
            mix.log_prob(x),
            mix.mean,
            mix.variance,
            mix.sample((4,)),
            y,
            flow.log_prob(y),
            flow.expand((3, 2, 2)).log_prob(y),
        ]

    agree(run, 1e-5)


TRANSFORMS = {
    "exp": lambda D, t: D.ExpTransform(),
    "power": lambda D, t: D.PowerTransform(t.tensor(2.5)),
    "sigmoid": lambda D, t: D.SigmoidTransform(),
    "tanh": lambda D, t: D.TanhTransform(),
    "softplus": lambda D, t: D.SoftplusTransform(),
    "affine": lambda D, t: D.AffineTransform(1.0, -2.0),
    "affine-events": lambda D, t: D.AffineTransform(t.zeros(3), t.tensor([1.0, 2.0, 3.0]), event_dim=1),
    "stick": lambda D, t: D.StickBreakingTransform(),
    "compose": lambda D, t: D.ComposeTransform([D.AffineTransform(0.0, 2.0), D.StickBreakingTransform()]),
    "independent": lambda D, t: D.IndependentTransform(D.ExpTransform(), 1),
    "reshape": lambda D, t: D.ReshapeTransform((3,), (3, 1)),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name):
    def run(t):
        f = TRANSFORMS[name](t.distributions, t)
        x = t.tensor([[0.3, 0.5, 0.9], [1.2, 0.1, 0.4]])
        y = f(x)
        shapes = [t.tensor(tuple(f.forward_shape(x.shape))), t.tensor(tuple(f.inverse_shape(y.shape)))]
        return [y, f.inv(y), f.log_abs_det_jacobian(x, y), f.inv.log_abs_det_jacobian(y, x), *shapes]

    agree(run, 1e-5)


ERRORS = {
    "negative scale": lambda D, t: D.Normal(0.0, -1.0),
    "nan loc": lambda D, t: D.Normal(float("nan"), 1.0),
    "not a number": lambda D, t: D.Normal("a", 1.0),
    "shapes": lambda D, t: D.Normal(t.zeros(2), t.ones(3)),
    "both": lambda D, t: D.Bernoulli(probs=t.tensor(0.5), logits=t.tensor(0.5)),
    "neither": lambda D, t: D.Categorical(),
    "scalar probs": lambda D, t: D.Categorical(t.tensor(0.5)),
    "probs above 1": lambda D, t: D.Bernoulli(t.tensor(1.5)),
    "low above high": lambda D, t: D.Uniform(1.0, 0.0),
    "outside support": lambda D, t: D.Uniform(0.0, 1.0).log_prob(t.tensor(2.0)),
    "no tensor": lambda D, t: D.Normal(0.0, 1.0).log_prob(0.5),
    "value shape": lambda D, t: D.Normal(t.zeros(3), 1.0).log_prob(t.zeros(2)),
    "event shape": lambda D, t: D.Dirichlet(t.ones(3)).log_prob(t.tensor([0.5, 0.5])),
    "class out of range": lambda D, t: D.Categorical(t.ones(3)).log_prob(t.tensor(3)),
    "no rsample": lambda D, t: D.Bernoulli(t.tensor(0.5)).rsample(),
    "no cdf": lambda D, t: D.Beta(1.0, 1.0).cdf(t.tensor(0.5)),
    "no kl": lambda D, t: D.kl_divergence(D.StudentT(1.0), D.Normal(0.0, 1.0)),
    "register": lambda D, t: D.register_kl(3, D.Normal),
    "not definite": lambda D, t: D.MultivariateNormal(t.zeros(2), t.tensor([[1.0, 2.0], [2.0, 1.0]])),
    "no matrix": lambda D, t: D.MultivariateNormal(t.zeros(2)),
    "independent": lambda D, t: D.Independent(D.Normal(0.0, 1.0), 1),
    "mixture": lambda D, t: D.MixtureSameFamily(D.Normal(0.0, 1.0), D.Normal(t.zeros(2), 1.0)),
    "transforms": lambda D, t: D.TransformedDistribution(D.Normal(0.0, 1.0), 3),
    "default": lambda D, t: D.Distribution.set_default_validate_args("yes"),
    "cache": lambda D, t: D.ExpTransform(cache_size=2),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    ours, theirs = (outcome(t, lambda t: ERRORS[name](t.distributions, t)) for t in (retrograd, torch))
    assert isinstance(theirs, Exception)
    assert type(ours) is type(theirs), (ours, theirs)


def test_constraints_map_to_transforms():
    def run(t):
        D, c = t.distributions, t.distributions.constraints
        x = t.tensor([[0.3, -0.5], [1.2, 0.1]])
        kinds = [
            c.real,
            c.positive,
            c.greater_than(2.0),
            c.less_than(1.0),
            c.unit_interval,
            c.interval(-1.0, 3.0),
            c.simplex,
        ]
        return [D.transform_to(k)(x) for k in [*kinds, c.lower_cholesky]] + [D.biject_to(k)(x) for k in kinds]

    agree(run, 1e-6)
