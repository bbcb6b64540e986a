"""The multivariate normal distribution."""

from __future__ import annotations

import math
from typing import Any

from ..nn import _functions as T
from . import constraints
from .distribution import Distribution
from .utils import HALF_LOG_2PI, lazy_property, standard_normal


def solve_lower(low: Any, b: Any) -> Any:
    """Solve L x = b for a lower triangular L; both broadcast."""
    shape = T.broadcast_shapes(tuple(low.shape[:-2]), tuple(b.shape[:-2]))
    return T.triangular_solve(b.expand((*shape, *b.shape[-2:])), low.expand((*shape, *low.shape[-2:])), upper=False)[0]


def squared_length(low: Any, x: Any) -> Any:
    """Give x^T (L L^T)^-1 x for vectors x along the last dimension."""
    shape = T.broadcast_shapes(tuple(low.shape[:-2]), tuple(x.shape[:-1]))
    batch, n = tuple(low.shape[:-2]), x.shape[-1]
    if not batch:  # one matrix: the vectors are the columns of one right-hand side
        return solve_lower(low, x.reshape(-1, n).mT).square().sum(-2).reshape(shape)
    return solve_lower(low, x.expand((*shape, n)).unsqueeze(-1)).square().sum((-2, -1))


def half_log_det(low: Any) -> Any:
    """Give half the logarithm of det(L L^T)."""
    return T.diagonal(low, 0, -2, -1).log().sum(-1)


class MultivariateNormal(Distribution):
    """Multivariate normal distribution, by its covariance, its precision, or the covariance's Cholesky factor.

    p(x) = exp(-(x - loc)^T S^-1 (x - loc) / 2) / sqrt(det(2 pi S)).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2)).log_prob(torch.zeros(2))
    tensor(-1.8379)
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True
    parameters = {
        "loc": 1,
        "covariance_matrix": 2,
        "precision_matrix": 2,
        "scale_tril": 2,
        "_unbroadcasted_scale_tril": 2,
    }

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        forms = {"covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix, "scale_tril": scale_tril}
        given = {name: m for name, m in forms.items() if m is not None}
        if len(given) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        ((name, matrix),) = given.items()
        if matrix.dim() < 2:
            raise ValueError(f"{name} must be at least two-dimensional, with optional leading batch dimensions")
        batch = T.broadcast_shapes(tuple(matrix.shape[:-2]), tuple(loc.shape[:-1]))
        self.__dict__[name] = matrix.expand((*batch, *matrix.shape[-2:]))
        self.loc = loc.expand((*batch, loc.shape[-1]))
        super().__init__(batch, self.loc.shape[-1:], validate_args=validate_args)
        self._unbroadcasted_scale_tril = self._factor(name, matrix)

    @staticmethod
    def _factor(name: str, matrix: Any) -> Any:
        if name == "scale_tril":
            return matrix
        if name == "covariance_matrix":
            return T.cholesky(matrix)
        # P = U^T U with the rows and columns turned round gives L^-1 = turned U
        turned = T.cholesky(T.flip(matrix, (-2, -1)))
        inverse = T.flip(turned, (-2, -1)).mT
        return solve_lower(inverse, T.eye(matrix.shape[-1], dtype=matrix.dtype))

    @lazy_property
    def scale_tril(self) -> Any:
        """The lower Cholesky factor of the covariance."""
        return self._unbroadcasted_scale_tril.expand(self._batch_shape + self._event_shape + self._event_shape)

    @lazy_property
    def covariance_matrix(self) -> Any:
        """The covariance."""
        low = self._unbroadcasted_scale_tril
        return (low @ low.mT).expand(self._batch_shape + self._event_shape + self._event_shape)

    @lazy_property
    def precision_matrix(self) -> Any:
        """The inverse of the covariance."""
        low = self._unbroadcasted_scale_tril
        inverse = solve_lower(low, T.eye(low.shape[-1], dtype=low.dtype))
        return (inverse.mT @ inverse).expand(self._batch_shape + self._event_shape + self._event_shape)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return self._unbroadcasted_scale_tril.pow(2).sum(-1).expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        eps = standard_normal(self._extended_shape(sample_shape), self.loc)
        return self.loc + (self._unbroadcasted_scale_tril @ eps.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        low = self._unbroadcasted_scale_tril
        n = self._event_shape[0]
        return -0.5 * squared_length(low, value - self.loc) - n * HALF_LOG_2PI - half_log_det(low)

    def entropy(self) -> Any:
        n = self._event_shape[0]
        found = 0.5 * n * (1.0 + math.log(2 * math.pi)) + half_log_det(self._unbroadcasted_scale_tril)
        return found.expand(self._batch_shape)
