"""torch.distributions: probability distributions, their transforms and divergences."""

from __future__ import annotations

from types import ModuleType

from . import constraints, kl_more, relaxed, transforms
from .bernoulli import Bernoulli
from .beta import Beta
from .binomial import Binomial
from .categorical import Categorical
from .cauchy import Cauchy
from .chi2 import Chi2
from .constraint_registry import biject_to, transform_to
from .continuous_bernoulli import ContinuousBernoulli
from .dirichlet import Dirichlet
from .distribution import Distribution, ExponentialFamily
from .exponential import Exponential
from .fishersnedecor import FisherSnedecor
from .gamma import Gamma
from .generalized_pareto import GeneralizedPareto
from .geometric import Geometric
from .gumbel import Gumbel, InverseGamma, LogisticNormal, Pareto, Weibull
from .half_normal import HalfCauchy, HalfNormal
from .independent import Independent
from .kl import kl_divergence, register_kl
from .kumaraswamy import Kumaraswamy
from .laplace import Laplace
from .lkj_cholesky import LKJCholesky
from .log_normal import LogNormal
from .lowrank_multivariate_normal import LowRankMultivariateNormal
from .mixture_same_family import MixtureSameFamily
from .multinomial import Multinomial
from .multivariate_normal import MultivariateNormal
from .negative_binomial import NegativeBinomial
from .normal import Normal
from .one_hot_categorical import OneHotCategorical, OneHotCategoricalStraightThrough
from .poisson import Poisson
from .relaxed import RelaxedBernoulli, RelaxedOneHotCategorical
from .studentT import StudentT
from .transformed_distribution import TransformedDistribution
from .transforms import *  # noqa: F403  the transforms' own list of names
from .uniform import Uniform
from .von_mises import VonMises
from .wishart import Wishart

__all__ = [
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Chi2",
    "ContinuousBernoulli",
    "Dirichlet",
    "Distribution",
    "Exponential",
    "ExponentialFamily",
    "FisherSnedecor",
    "Gamma",
    "GeneralizedPareto",
    "Geometric",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "Independent",
    "InverseGamma",
    "Kumaraswamy",
    "LKJCholesky",
    "Laplace",
    "LogNormal",
    "LogisticNormal",
    "LowRankMultivariateNormal",
    "MixtureSameFamily",
    "Multinomial",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "Pareto",
    "Poisson",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
    "StudentT",
    "TransformedDistribution",
    "Uniform",
    "VonMises",
    "Weibull",
    "Wishart",
    "biject_to",
    "constraints",
    "kl_divergence",
    "register_kl",
    "transform_to",
    "transforms",
    *transforms.__all__,
]

# torch's modules for classes that lie together in a file here, by the names under which programs import them
_together: dict[str, dict[str, type]] = {
    "exp_family": {"ExponentialFamily": ExponentialFamily},
    "half_cauchy": {"HalfCauchy": HalfCauchy},
    "inverse_gamma": {"InverseGamma": InverseGamma},
    "logistic_normal": {"LogisticNormal": LogisticNormal},
    "pareto": {"Pareto": Pareto},
    "relaxed_bernoulli": {
        "LogitRelaxedBernoulli": relaxed.LogitRelaxedBernoulli,
        "RelaxedBernoulli": RelaxedBernoulli,
    },
    "relaxed_categorical": {
        "ExpRelaxedCategorical": relaxed.ExpRelaxedCategorical,
        "RelaxedOneHotCategorical": RelaxedOneHotCategorical,
    },
    "weibull": {"Weibull": Weibull},
}
for _name, _held in _together.items():
    globals()[_name] = _module = ModuleType(f"{__name__}.{_name}", f"torch.distributions.{_name}")
    _module.__dict__.update(_held, __all__=list(_held))
