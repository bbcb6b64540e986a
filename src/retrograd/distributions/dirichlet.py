"""The Dirichlet distribution."""

from __future__ import annotations

from typing import Any

from ..nn import _functions as T
from . import constraints
from .distribution import ExponentialFamily
from .implicit import standard_dirichlet
from .utils import xlogy


class Dirichlet(ExponentialFamily):
    """Dirichlet distribution on the simplex: p(x) = Gamma(sum a) / prod Gamma(a_i) prod x_i^(a_i - 1).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.Dirichlet(torch.tensor([1.0, 3.0])).mean
    tensor([0.2500, 0.7500])
    """

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True
    parameters = {"concentration": 1}

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        if concentration.dim() < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self) -> Any:
        a = (self.concentration - 1).clamp(min=0.0)
        found = a / a.sum(-1, True)
        below = (self.concentration < 1).all(-1)
        largest = self.concentration.argmax(-1, keepdim=True)
        corner = T.zeros_like(found).scatter(-1, largest, 1.0)
        return T.where(below.unsqueeze(-1), corner, found)

    @property
    def variance(self) -> Any:
        total = self.concentration.sum(-1, True)
        return self.concentration * (total - self.concentration) / (total.pow(2) * (total + 1))

    def rsample(self, sample_shape: Any = ()) -> Any:
        return standard_dirichlet(self.concentration.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        a = self.concentration
        return xlogy(a - 1.0, value).sum(-1) + T.lgamma(a.sum(-1)) - T.lgamma(a).sum(-1)

    def entropy(self) -> Any:
        a = self.concentration
        k, total = a.size(-1), a.sum(-1)
        return (
            T.lgamma(a).sum(-1) - T.lgamma(total) - (k - total) * T.digamma(total) - ((a - 1.0) * T.digamma(a)).sum(-1)
        )
