"""More divergences: of continuous Bernoulli, Gumbel, Pareto, uniform and low-rank normal distributions."""

from __future__ import annotations

import math
from typing import Any

from ..nn import _functions as T
from .beta import Beta
from .continuous_bernoulli import ContinuousBernoulli
from .exponential import Exponential
from .gamma import Gamma
from .gumbel import Gumbel, Pareto
from .kl import _cross, _mean_exponential, _never_inside, register_kl
from .laplace import Laplace
from .lowrank_multivariate_normal import LowRankMultivariateNormal, distance, log_det
from .multivariate_normal import MultivariateNormal, half_log_det, solve_lower, squared_length
from .normal import Normal
from .uniform import Uniform


def _to_continuous_bernoulli(p: Any, q: Any) -> Any:
    """Give -H(p) - E[log q] from p's mean."""
    return -p.entropy() - p.mean * q.logits - T.log1p(-q.probs) - q._log_norm()


register_kl(Beta, ContinuousBernoulli)(_to_continuous_bernoulli)
register_kl(ContinuousBernoulli, Exponential)(_mean_exponential)
for _kind in (Exponential, Gamma, Gumbel, Laplace, Normal, Pareto):
    register_kl(_kind, ContinuousBernoulli)(_never_inside)
register_kl(ContinuousBernoulli, Pareto)(_never_inside)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoulli(p: Any, q: Any) -> Any:
    own = p._log_norm() + T.log1p(-p.probs)
    return p.mean * (p.logits - q.logits) + own - T.log1p(-q.probs) - q._log_norm()


@register_kl(ContinuousBernoulli, Normal)
def _continuous_bernoulli_normal(p: Any, q: Any) -> Any:
    return _cross(p, p.mean, p.variance + p.mean.pow(2), q)


@register_kl(ContinuousBernoulli, Uniform)
def _continuous_bernoulli_uniform(p: Any, q: Any) -> Any:
    outside = (q.low >= 0) | (q.high <= 1)  # torch counts a bound at the edge of the support as outside
    return T.where(outside, math.inf, -p.entropy() + (q.high - q.low).log())


@register_kl(Uniform, ContinuousBernoulli)
def _uniform_continuous_bernoulli(p: Any, q: Any) -> Any:
    outside = (p.high >= 1) | (p.low <= 0)
    return T.where(outside, math.inf, _to_continuous_bernoulli(p, q))


# -- to a Gamma, from the means of x and log x ---------------------------------------------------------------------------------
def _to_gamma(p: Any, q: Any, mean_log: Any) -> Any:
    a, b = q.concentration, q.rate
    return -p.entropy() + T.lgamma(a) - a * b.log() - (a - 1) * mean_log + b * p.mean


@register_kl(Beta, Gamma)
def _beta_gamma(p: Any, q: Any) -> Any:
    both = p.concentration1 + p.concentration0
    return _to_gamma(p, q, T.digamma(p.concentration1) - T.digamma(both))


@register_kl(Pareto, Gamma)
def _pareto_gamma(p: Any, q: Any) -> Any:
    return T.where(p.alpha <= 1, math.inf, _to_gamma(p, q, p.scale.log() + p.alpha.reciprocal()))


@register_kl(Uniform, Gamma)
def _uniform_gamma(p: Any, q: Any) -> Any:
    return T.where(p.low < 0, math.inf, _to_gamma(p, q, _mean_log(p.low, p.high)))


def _mean_log(low: Any, high: Any) -> Any:
    """Give E[log x] of a uniform x."""
    return (T.xlogy(high, high) - T.xlogy(low, low)) / (high - low) - 1


@register_kl(Uniform, Beta)
def _uniform_beta(p: Any, q: Any) -> Any:
    a, b = q.concentration1, q.concentration0
    norm = T.lgamma(a) + T.lgamma(b) - T.lgamma(a + b)
    found = norm - p.entropy() - (a - 1) * _mean_log(p.low, p.high) - (b - 1) * _mean_log(1 - p.high, 1 - p.low)
    return T.where((p.high > 1) | (p.low < 0), math.inf, found)


@register_kl(Uniform, Pareto)
def _uniform_pareto(p: Any, q: Any) -> Any:
    found = -p.entropy() - q.alpha.log() - q.alpha * q.scale.log() + (q.alpha + 1) * _mean_log(p.low, p.high)
    return T.where(p.low < q.scale, math.inf, found)


@register_kl(Pareto, Normal)
def _pareto_normal(p: Any, q: Any) -> Any:
    return T.where(p.alpha <= 2, math.inf, _cross(p, p.mean, p.variance + p.mean.pow(2), q))


# -- to a Gumbel, from the means of x and exp(-(x - loc) / scale) ----------------------------------------------------------------
def _to_gumbel(p: Any, q: Any, mean_exp: Any) -> Any:
    return -p.entropy() + q.scale.log() + (p.mean - q.loc) / q.scale + mean_exp


@register_kl(Exponential, Gumbel)
def _exponential_gumbel(p: Any, q: Any) -> Any:
    product = p.rate * q.scale
    return _to_gumbel(p, q, T.exp(q.loc / q.scale) * product / (product + 1))


@register_kl(Gamma, Gumbel)
def _gamma_gumbel(p: Any, q: Any) -> Any:
    return _to_gumbel(p, q, T.exp(q.loc / q.scale) * (1 + (p.rate * q.scale).reciprocal()).pow(-p.concentration))


@register_kl(Normal, Gumbel)
def _normal_gumbel(p: Any, q: Any) -> Any:
    return _to_gumbel(p, q, T.exp((q.loc - p.loc) / q.scale + 0.5 * (p.scale / q.scale).pow(2)))


@register_kl(Uniform, Gumbel)
def _uniform_gumbel(p: Any, q: Any) -> Any:
    low, high = T.exp((q.loc - p.low) / q.scale), T.exp((q.loc - p.high) / q.scale)
    return _to_gumbel(p, q, q.scale * (low - high) / (p.high - p.low))


# -- normals of few factors ------------------------------------------------------------------------------------------------------
def _same_events(p: Any, q: Any) -> None:
    if p.event_shape != q.event_shape:
        raise ValueError(
            "KL-divergence between two (Low Rank) Multivariate Normals with different event shapes cannot be computed"
        )


def _log_det(d: Any) -> Any:
    if isinstance(d, LowRankMultivariateNormal):
        return log_det(d._unbroadcasted_cov_diag, d._capacitance_tril)
    return 2 * half_log_det(d._unbroadcasted_scale_tril)


def _squares(m: Any) -> Any:
    return m.pow(2).sum((-2, -1))


@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
@register_kl(MultivariateNormal, LowRankMultivariateNormal)
def _to_low_rank(p: Any, q: Any) -> Any:
    _same_events(p, q)
    w, d, low = q._unbroadcasted_cov_factor, q._unbroadcasted_cov_diag, q._capacitance_tril
    inner = solve_lower(low, w.mT / d.unsqueeze(-2))  # the precision is D^-1 - inner^T inner
    if isinstance(p, LowRankMultivariateNormal):
        roots: tuple[Any, ...] = (p._unbroadcasted_cov_factor, T.diag_embed(p._unbroadcasted_cov_diag.sqrt()))
    else:
        roots = (p._unbroadcasted_scale_tril,)
    trace: Any = 0.0
    for root in roots:
        trace = trace + _squares(root / d.sqrt().unsqueeze(-1)) - _squares(inner @ root)
    return 0.5 * (_log_det(q) - _log_det(p) + trace + distance(w, d, q.loc - p.loc, low) - p.event_shape[0])


@register_kl(LowRankMultivariateNormal, MultivariateNormal)
def _low_rank_full(p: Any, q: Any) -> Any:
    _same_events(p, q)
    low = q._unbroadcasted_scale_tril
    trace = _squares(solve_lower(low, p._unbroadcasted_cov_factor))
    trace = trace + _squares(solve_lower(low, T.diag_embed(p._unbroadcasted_cov_diag.sqrt())))
    return 0.5 * (_log_det(q) - _log_det(p) + trace + squared_length(low, q.loc - p.loc) - p.event_shape[0])


__all__: list[str] = []
