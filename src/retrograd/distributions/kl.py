"""Kullback-Leibler divergences: a table by the two distributions' types."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from ..nn import _functions as T
from .bernoulli import Bernoulli
from .beta import Beta
from .binomial import Binomial
from .categorical import Categorical
from .cauchy import Cauchy
from .dirichlet import Dirichlet
from .exponential import Exponential
from .gamma import Gamma
from .geometric import Geometric
from .gumbel import Gumbel, Pareto
from .half_normal import HalfNormal
from .independent import Independent
from .laplace import Laplace
from .multivariate_normal import MultivariateNormal, half_log_det, solve_lower, squared_length
from .normal import Normal
from .one_hot_categorical import OneHotCategorical
from .poisson import Poisson
from .transformed_distribution import TransformedDistribution
from .uniform import Uniform
from .utils import HALF_LOG_2PI, euler_constant, sum_rightmost

_TABLE: dict[tuple[type, type], Callable[[Any, Any], Any]] = {}
_FOUND: dict[tuple[type, type], Any] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Any], Any]:
    """Register a function as the divergence of two types of distributions, subclasses included.

    TypeError for what is no distribution.
    """
    for kind in (type_p, type_q):
        if not isinstance(kind, type):  # any class: other libraries' distributions need not be subclasses
            raise TypeError(f"Expected type_p and type_q to be Distribution subclasses but got {kind}")

    def register(fn: Any) -> Any:
        _TABLE[type_p, type_q] = fn
        _FOUND.clear()
        return fn

    return register


def _dispatch(p: type, q: type) -> Any:
    fits = [pair for pair in _TABLE if issubclass(p, pair[0]) and issubclass(q, pair[1])]
    if not fits:
        return None
    left = min(fits, key=lambda pair: (p.__mro__.index(pair[0]), q.__mro__.index(pair[1])))
    right = min(fits, key=lambda pair: (q.__mro__.index(pair[1]), p.__mro__.index(pair[0])))
    if _TABLE[left] is not _TABLE[right]:
        names = [f"({a.__name__}, {b.__name__})" for a, b in (left, right)]
        warnings.warn(
            f"Ambiguous kl_divergence({p.__name__}, {q.__name__}). Please register_kl({left[0].__name__}, {right[1].__name__}): "
            f"{' and '.join(names)} both fit",
            RuntimeWarning,
            stacklevel=3,
        )
    return _TABLE[left]


def kl_divergence(p: Any, q: Any) -> Any:
    """Give KL(p || q) = E_p[log p(x) - log q(x)]; NotImplementedError where it has no registered form.

    Examples
    --------
    >>> import retrograd as torch
    >>> D = torch.distributions
    >>> D.kl_divergence(D.Normal(1.0, 1.0), D.Normal(0.0, 1.0))
    tensor(0.5000)
    """
    pair = type(p), type(q)
    if pair not in _FOUND:
        _FOUND[pair] = _dispatch(*pair)
    fn = _FOUND[pair]
    if fn is None:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {pair[0].__name__} and q type {pair[1].__name__}: give one with register_kl"
        )
    return fn(p, q)


def _infinite(like: Any) -> Any:
    return T.full_like(like, math.inf)


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Any, q: Any) -> Any:
    a, b = p.probs, q.probs
    first = a * (T.log(a) - T.log(b))
    first = T.where(a == 0, 0.0, T.where(b == 0, math.inf, first))
    second = (1 - a) * (T.log1p(-a) - T.log1p(-b))
    return first + T.where(a == 1, 0.0, T.where(b == 1, math.inf, second))


@register_kl(Beta, Beta)
def _beta(p: Any, q: Any) -> Any:
    a, b, c, d = p.concentration1, p.concentration0, q.concentration1, q.concentration0
    norm = T.lgamma(c) + T.lgamma(d) + T.lgamma(a + b) - T.lgamma(c + d) - T.lgamma(a) - T.lgamma(b)
    return norm + (a - c) * T.digamma(a) + (b - d) * T.digamma(b) + (c + d - a - b) * T.digamma(a + b)


@register_kl(Binomial, Binomial)
def _binomial(p: Any, q: Any) -> Any:
    if bool((p.total_count < q.total_count).any()):
        raise NotImplementedError("KL between Binomials where q.total_count > p.total_count is not implemented")
    found = p.total_count * (p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p())
    return T.where(p.total_count > q.total_count, math.inf, found)


@register_kl(Categorical, Categorical)
def _categorical(p: Any, q: Any) -> Any:
    terms = p.probs * (p.logits - q.logits)
    return T.where(p.probs == 0, 0.0, T.where(q.probs == 0, math.inf, terms)).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(p: Any, q: Any) -> Any:
    return _categorical(p._categorical, q._categorical)


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Any, q: Any) -> Any:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    norms = T.lgamma(total) - T.lgamma(b.sum(-1)) - (T.lgamma(a) - T.lgamma(b)).sum(-1)
    return norms + ((a - b) * (T.digamma(a) - T.digamma(total).unsqueeze(-1))).sum(-1)


@register_kl(Exponential, Exponential)
def _exponential(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return -ratio.log() + ratio - 1


@register_kl(Gamma, Gamma)
def _gamma(p: Any, q: Any) -> Any:
    a, b = p.concentration, q.concentration
    return (
        b * (p.rate / q.rate).log()
        + T.lgamma(b)
        - T.lgamma(a)
        + (a - b) * T.digamma(a)
        + (q.rate - p.rate) * (a / p.rate)
    )


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Any, q: Any) -> Any:
    ratio, b = q.rate / p.rate, q.concentration
    return -b * T.log(ratio) + ratio + T.lgamma(b) + b * euler_constant - (1 + euler_constant)


@register_kl(Gamma, Exponential)
def _gamma_exponential(p: Any, q: Any) -> Any:
    return -p.entropy() - q.rate.log() + q.rate * p.concentration / p.rate


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Any, q: Any) -> Any:
    ratio, moved = p.scale / q.scale, (p.loc - q.loc) / q.scale
    return -ratio.log() + euler_constant * (ratio - 1.0) + T.exp(-moved + (1 + ratio).lgamma()) + moved - 1


@register_kl(Geometric, Geometric)
def _geometric(p: Any, q: Any) -> Any:
    return -p.entropy() - T.log1p(-q.probs) / p.probs - q.logits


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: Any, q: Any) -> Any:
    return _normal(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _laplace(p: Any, q: Any) -> Any:
    ratio, apart = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + apart / q.scale + ratio * T.exp(-apart / p.scale) - 1


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate_normal(p: Any, q: Any) -> Any:
    if p.event_shape != q.event_shape:
        raise ValueError(
            f"KL-divergence between two Multivariate Normals with different event shapes cannot be computed: "
            f"{tuple(p.event_shape)} and {tuple(q.event_shape)}"
        )
    low_p, low_q, n = p._unbroadcasted_scale_tril, q._unbroadcasted_scale_tril, p.event_shape[0]
    trace = solve_lower(low_q, low_p).pow(2).sum((-2, -1))
    return half_log_det(low_q) - half_log_det(low_p) + 0.5 * (trace + squared_length(low_q, q.loc - p.loc) - n)


@register_kl(Normal, Normal)
def _normal(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale).pow(2)
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())


@register_kl(Pareto, Pareto)
def _pareto(p: Any, q: Any) -> Any:
    ratio, alpha = p.scale / q.scale, q.alpha / p.alpha
    return T.where(p.scale < q.scale, math.inf, q.alpha * ratio.log() - alpha.log() + alpha - 1)


@register_kl(Poisson, Poisson)
def _poisson(p: Any, q: Any) -> Any:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Uniform, Uniform)
def _uniform(p: Any, q: Any) -> Any:
    outside = (q.low > p.low) | (q.high < p.high)
    return T.where(outside, math.inf, ((q.high - q.low) / (p.high - p.low)).log())


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Any, q: Any) -> Any:
    return ((p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)).log() - (4 * p.scale * q.scale).log()


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: Any, q: Any) -> Any:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError(f"no KL between {type(p).__name__} and {type(q).__name__} with different transforms")
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Independent, Independent)
def _independent(p: Any, q: Any) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("no KL between Independents with different reinterpreted_batch_ndims")
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


def _cross(p: Any, mean: Any, square: Any, q: Any) -> Any:
    """Give KL(p || normal q) from p's entropy and first two moments."""
    z = (square - 2 * mean * q.loc + q.loc.pow(2)) / (2 * q.scale.pow(2))
    return -p.entropy() + z + q.scale.log() + HALF_LOG_2PI


@register_kl(Exponential, Normal)
@register_kl(Gamma, Normal)
@register_kl(Beta, Normal)
@register_kl(Gumbel, Normal)
@register_kl(Laplace, Normal)
@register_kl(Uniform, Normal)
def _any_normal(p: Any, q: Any) -> Any:
    return _cross(p, p.mean, p.variance + p.mean.pow(2), q)


@register_kl(Beta, Exponential)
@register_kl(Pareto, Exponential)
def _mean_exponential(p: Any, q: Any) -> Any:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


@register_kl(Uniform, Exponential)
def _uniform_exponential(p: Any, q: Any) -> Any:
    return T.where(p.low < 0, math.inf, _mean_exponential(p, q))


@register_kl(Normal, Laplace)
def _normal_laplace(p: Any, q: Any) -> Any:
    z = (p.loc - q.loc) / p.scale
    mean = p.scale * (math.sqrt(2 / math.pi) * T.exp(-0.5 * z.pow(2)) + z * T.erf(z * math.sqrt(0.5)))
    return -p.entropy() + (2 * q.scale).log() + mean / q.scale


@register_kl(Beta, Uniform)
def _beta_uniform(p: Any, q: Any) -> Any:
    return T.where((q.high < 1) | (q.low > 0), math.inf, -p.entropy() + (q.high - q.low).log())


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Any, q: Any) -> Any:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Poisson, Bernoulli)
@register_kl(Poisson, Binomial)
def _poisson_bounded(p: Any, q: Any) -> Any:
    return _infinite(p.rate)


def _never_inside(p: Any, q: Any) -> Any:
    return _infinite(p.mean)


for _pair in (
    [(Exponential, k) for k in (Beta, Uniform, Pareto)]
    + [(Gamma, k) for k in (Beta, Uniform, Pareto)]
    + [(k, j) for k in (Normal, Laplace, Gumbel) for j in (Beta, Uniform, Pareto, Exponential, Gamma)]
    + [(Pareto, Beta), (Pareto, Uniform), (Beta, Pareto)]
):
    register_kl(*_pair)(_never_inside)

__all__ = ["kl_divergence", "register_kl"]
