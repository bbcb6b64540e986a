"""The rarer distributions and transforms against torch: densities, moments, draws under one seed, gradients, divergences."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest

import retrograd

torch = pytest.importorskip("torch")

LIBRARIES = (retrograd, torch)
REAL, POSITIVE = [-1.0, 0.25, 2.0], [0.5, 1.5, 3.0]
PROBS = [0.1, 0.5003, 0.8]
MATRIX = [[2.0, 0.3, 0.1], [0.3, 1.0, 0.2], [0.1, 0.2, 1.5]]
FACTOR = [[1.2, 0.0, 0.0], [0.3, 0.8, 0.0], [-0.2, 0.1, 1.1]]
CORRELATED = [[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.48, 0.64, 0.6]]

# name -> parameters, and values of which the density is asked
CASES: dict[str, Any] = {
    "VonMises": ({"loc": REAL, "concentration": [0.3, 4.0, 20.0]}, REAL),
    "Kumaraswamy": ({"concentration1": POSITIVE, "concentration0": [2.0, 1.2, 0.7]}, [0.1, 0.5, 0.8]),
    "LKJCholesky": ({"dim": 3, "concentration": [0.5, 1.0, 3.0]}, CORRELATED),
    "LKJCholesky-one": ({"dim": 3, "concentration": 1.5}, CORRELATED),
    "Wishart": ({"df": [3.5, 5.0], "covariance_matrix": MATRIX}, MATRIX),
    "Wishart-tril": ({"df": 4.0, "scale_tril": FACTOR}, MATRIX),
    "Wishart-precision": ({"df": [4.0], "precision_matrix": [MATRIX, MATRIX]}, MATRIX),
    "LowRankMultivariateNormal": (
        {"loc": REAL, "cov_factor": [[1.0, 0.2], [0.5, -0.3], [0.0, 0.7]], "cov_diag": POSITIVE},
        [[0.0, 1.0, -2.0], [1.0, 1.0, 0.5]],
    ),
    "LowRankMultivariateNormal-batch": (
        {"loc": [REAL, POSITIVE], "cov_factor": [[1.0], [0.5], [0.0]], "cov_diag": [POSITIVE, [1.0, 2.0, 3.0]]},
        [0.0, 1.0, -2.0],
    ),
    "ContinuousBernoulli": ({"probs": PROBS}, [0.1, 0.5, 0.9]),
    "ContinuousBernoulli-logits": ({"logits": [-2.0, 0.001, 1.0]}, [0.1, 0.5, 0.9]),
    "GeneralizedPareto": ({"loc": REAL, "scale": POSITIVE, "concentration": [-0.4, 0.0, 0.3]}, [-0.8, 1.0, 5.0]),
    "GeneralizedPareto-heavy": ({"loc": 0.0, "scale": POSITIVE, "concentration": [0.6, 1.0, 1.5]}, [0.5, 1.0, 5.0]),
}


def make(t: Any, case: str, dtype: str = "float64", grad: bool = False) -> Any:
    if case.startswith("GeneralizedPareto"):
        dtype = "float32"  # torch compares the concentration with a float32 zero
    parameters, value = CASES[case]
    made: dict[str, Any] = {}
    for name, v in parameters.items():
        if isinstance(v, list):
            v = t.tensor(v, dtype=getattr(t, dtype))
            v = v.requires_grad_() if grad else v
        made[name] = v
    d = getattr(t.distributions, case.partition("-")[0])(**made)
    return d, t.tensor(value, dtype=getattr(t, dtype)), [v for v in made.values() if hasattr(v, "grad")]


def outcome(t: Any, run: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return run(t)
        except Exception as error:
            return error


def agree(run: Any, tolerance: float = 1e-8) -> None:
    ours, theirs = outcome(retrograd, run), outcome(torch, run)
    if isinstance(theirs, Exception):
        assert type(ours) is type(theirs), (ours, theirs)
        return
    if isinstance(ours, Exception):
        raise ours
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None), (a, b)
        if b is None:
            continue
        if not hasattr(b, "shape"):
            assert a == b
            continue
        assert tuple(a.shape) == tuple(b.shape) and str(a.dtype) == str(b.dtype)
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("case", CASES)
def test_log_prob_and_its_gradients(case: str) -> None:
    def run(t: Any) -> Any:
        d, value, leaves = make(t, case, grad=True)
        value = value.requires_grad_()
        out = d.log_prob(value)
        if out.requires_grad:
            (out * t.arange(1.0, out.numel() + 1, dtype=out.dtype).reshape(out.shape)).sum().backward()
        # above the diagonal of a factor, which is not read, torch gives numbers all the same
        grads = [leaf.grad.tril() if case == "Wishart-tril" else leaf.grad for leaf in leaves]
        return [out, *grads, *([] if "Wishart" in case else [value.grad])]

    agree(run, 1e-5 if case.startswith("Generalized") else 1e-7)


@pytest.mark.parametrize(
    "what", ["mean", "mode", "variance", "stddev", "entropy", "perplexity", "support", "has_rsample"]
)
@pytest.mark.parametrize("case", CASES)
def test_facts(case: str, what: str) -> None:
    if (case, what) == ("Kumaraswamy", "mode"):
        pytest.skip(
            "torch gives NaN: it takes the logarithm of 1 - a where a > 1; see tests/distributions for the mode"
        )

    def run(t: Any) -> Any:
        found = getattr(make(t, case)[0], what)
        found = found() if what in ("entropy", "perplexity") else found
        return [found if hasattr(found, "shape") or isinstance(found, bool) else type(found).__name__ != ""]

    agree(run, 1e-5 if case.startswith("Generalized") else 1e-8)


@pytest.mark.parametrize("case", CASES)
def test_cdf_and_icdf(case: str) -> None:
    agree(lambda t: [make(t, case)[0].cdf(make(t, case)[1])], 1e-5 if case.startswith("Generalized") else 1e-8)
    kind = "float32" if case.startswith("Generalized") else "float64"
    agree(lambda t: [make(t, case)[0].icdf(t.tensor([0.2, 0.5, 0.9], dtype=getattr(t, kind)))], 1e-6)
    if case.startswith("GeneralizedPareto"):
        agree(
            lambda t: [
                make(t, case)[0].log_cdf(make(t, case)[1]),
                make(t, case)[0].log_survival_function(make(t, case)[1]),
            ],
            1e-5,
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_draws_under_one_seed(case: str, dtype: str) -> None:
    def run(t: Any) -> Any:
        d = make(t, case, dtype)[0]
        t.manual_seed(3)
        return [d.sample(), d.sample((5,)), d.sample((2, 3)), t.rand(1)]

    agree(run, 2e-4 if dtype == "float32" else 1e-7)


@pytest.mark.parametrize("case", CASES)
def test_gradients_of_draws(case: str) -> None:
    if "Wishart" in case:
        pytest.skip("torch writes over its own draw and raises; see tests/distributions for these")

    def run(t: Any) -> Any:
        d, _, leaves = make(t, case, grad=True)
        t.manual_seed(5)
        out = d.rsample((4,))
        (out * t.arange(1.0, out.numel() + 1, dtype=out.dtype).reshape(out.shape)).sum().backward()
        return [out, *(leaf.grad for leaf in leaves)]

    agree(run, 1e-4 if case.startswith("Generalized") else 1e-6)


@pytest.mark.parametrize("case", CASES)
def test_expansion(case: str) -> None:
    def run(t: Any) -> Any:
        d, value, _ = make(t, case)
        wide = d.expand((2, *d.batch_shape))
        t.manual_seed(1)
        return [tuple(wide.batch_shape), tuple(wide.event_shape), wide.log_prob(value), wide.sample((2,)), wide.mean]

    agree(run, 1e-4 if case.startswith("Generalized") else 1e-7)


@pytest.mark.parametrize("case", CASES)
def test_repr(case: str) -> None:
    if "Wishart" in case:
        pytest.skip("torch prints the parameters in another order in each version")
    agree(lambda t: [repr(make(t, case, "float32")[0])])


WRONG = [
    "D.VonMises(0.0, -1.0)",
    "D.Kumaraswamy(-1.0, 1.0)",
    "D.LKJCholesky(1)",
    "D.LKJCholesky(3, -1.0)",
    "D.Wishart(torch.tensor(1.5), torch.eye(3))",
    "D.Wishart(torch.tensor(4.0))",
    "D.Wishart(torch.tensor(4.0), torch.eye(3), torch.eye(3))",
    "D.Wishart(torch.tensor(4.0), torch.ones(3))",
    "D.Wishart(torch.tensor(4.0), -torch.eye(3))",
    "D.LowRankMultivariateNormal(torch.zeros(3), torch.ones(2, 1), torch.ones(3))",
    "D.LowRankMultivariateNormal(torch.zeros(3), torch.ones(3, 1), torch.ones(2))",
    "D.LowRankMultivariateNormal(torch.zeros(3), torch.ones(3, 1), -torch.ones(3))",
    "D.LowRankMultivariateNormal(torch.tensor(0.0), torch.ones(3, 1), torch.ones(3))",
    "D.LowRankMultivariateNormal(torch.zeros(3), torch.ones(3), torch.ones(3))",
    "D.ContinuousBernoulli()",
    "D.ContinuousBernoulli(0.5, 0.1)",
    "D.ContinuousBernoulli(torch.tensor(1.5), validate_args=True)",
    "D.GeneralizedPareto(0.0, -1.0, 0.0)",
    "D.GeneralizedPareto(0.0, 1.0, -0.5).log_prob(torch.tensor(5.0))",
    "D.ContinuousBernoulli(0.3).log_prob(torch.tensor(1.5))",
    "D.LKJCholesky(3, 1.0).log_prob(torch.ones(3, 3))",
    "D.kl_divergence(D.VonMises(0.0, 1.0), D.Normal(0.0, 1.0))",
    "D.VonMises(0.0, 1.0).rsample()",
    "D.VonMises(0.0, 1.0).entropy()",
]


@pytest.mark.parametrize("text", WRONG)
def test_refusals(text: str) -> None:
    found = []
    for t in LIBRARIES:
        with pytest.raises(Exception) as caught:
            eval(text, {"D": t.distributions, "torch": t})
        found.append(caught.type)
    assert found[0].__name__.strip("_") == found[1].__name__.strip("_")


# -- divergences -----------------------------------------------------------------------------------------------------------
def _family(t: Any) -> dict[str, Any]:
    def f(*xs: float) -> Any:
        return t.tensor(xs, dtype=t.float64).requires_grad_()

    D = t.distributions
    low = (t.tensor([[1.0, 0.2], [0.5, -0.3], [0.0, 0.7]]).double(), t.tensor(POSITIVE).double())
    other = (t.tensor([[0.3], [0.1], [-0.4]]).double(), t.tensor([1.0, 2.0, 0.5]).double())
    return {
        "Beta": D.Beta(f(0.6, 2.0, 3.0), f(1.5, 0.8, 2.0)),
        "ContinuousBernoulli": D.ContinuousBernoulli(f(0.2, 0.5003, 0.9)),
        "ContinuousBernoulli-2": D.ContinuousBernoulli(f(0.7, 0.3, 0.4995)),
        "Exponential": D.Exponential(f(0.5, 1.5, 3.0)),
        "Gamma": D.Gamma(f(0.5, 1.5, 3.0), f(1.0, 2.0, 0.5)),
        "Gumbel": D.Gumbel(f(-1.0, 0.2, 2.0), f(0.5, 1.0, 2.0)),
        "Laplace": D.Laplace(f(-1.0, 0.2, 2.0), f(0.5, 1.0, 2.0)),
        "Normal": D.Normal(f(-1.0, 0.2, 2.0), f(0.5, 1.0, 2.0)),
        "Pareto": D.Pareto(f(0.5, 1.0, 2.0), f(0.8, 1.7, 4.0)),
        "Uniform": D.Uniform(f(0.1, 0.2, 0.3), f(0.5, 0.9, 0.99)),
        "Uniform-wide": D.Uniform(f(-1.0, 0.5, 0.0), f(2.0, 3.0, 1.0)),
        "LowRankMultivariateNormal": D.LowRankMultivariateNormal(t.zeros(3).double(), *low),
        "LowRankMultivariateNormal-2": D.LowRankMultivariateNormal(t.ones(3).double(), *other),
        "MultivariateNormal": D.MultivariateNormal(t.ones(2, 3).double(), t.tensor(MATRIX).double()),
    }


NAMES = list(_family(retrograd))
MULTIVARIATE = [n for n in NAMES if "Multi" in n]
PAIRS = [pair for pair in itertools.product(NAMES, NAMES) if (pair[0] in MULTIVARIATE) == (pair[1] in MULTIVARIATE)]


@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_divergences(p: str, q: str) -> None:
    def run(t: Any) -> Any:
        family = _family(t)
        return [t.distributions.kl_divergence(family[p], family[q])]

    agree(run, 1e-6)


# -- transforms ----------------------------------------------------------------------------------------------------------------
TRANSFORMS = {
    "D.CorrCholeskyTransform()": (3,),
    "D.CatTransform([D.ExpTransform(), D.AffineTransform(1.0, 2.0)], dim=0, lengths=[2, 3])": (5, 2),
    "D.CatTransform([D.ExpTransform(), D.TanhTransform()], dim=-1)": (4, 2),
    "D.CatTransform([D.ExpTransform(), D.StickBreakingTransform()], dim=0, lengths=[1, 2])": (3, 2),
    "D.StackTransform([D.ExpTransform(), D.AffineTransform(1.0, 2.0)], dim=1)": (3, 2),
    "D.biject_to(D.constraints.corr_cholesky)": (6,),
    "D.transform_to(D.constraints.cat([D.constraints.positive, D.constraints.real], 0, [2, 1]))": (3,),
    "D.biject_to(D.constraints.stack([D.constraints.positive, D.constraints.unit_interval], 0))": (2, 3),
}


@pytest.mark.parametrize("text", TRANSFORMS)
def test_transforms(text: str) -> None:
    def run(t: Any) -> Any:
        f = eval(text, {"D": t.distributions})
        shape = TRANSFORMS[text]
        n = int(np.prod(shape))
        x = (t.linspace(-1.2, 1.5, n, dtype=t.float64).reshape(shape)).requires_grad_()
        y = f(x)
        slope = None
        if "StickBreaking" not in text:
            slope = f.log_abs_det_jacobian(x, y)
            (y.sum() + slope.sum()).backward()
        return [
            y,
            f.inv(y) if "StickBreaking" not in text else None,
            slope,
            x.grad,
            bool(f.bijective),
            f.codomain.check(y),
        ]

    agree(run, 1e-7)


def test_shapes_of_correlation_factors() -> None:
    for shape in [(3,), (2, 6), (4,), ()]:
        agree(lambda t, shape=shape: [tuple(t.distributions.CorrCholeskyTransform().forward_shape(shape))])
    for shape in [(3, 3), (2, 4, 4), (3, 4), (3,)]:
        agree(lambda t, shape=shape: [tuple(t.distributions.CorrCholeskyTransform().inverse_shape(shape))])
