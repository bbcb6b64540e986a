"""The multivariate normal distribution whose covariance is a diagonal and a few factors."""

from __future__ import annotations

import math
from typing import Any

from ..nn import _functions as T
from . import constraints
from .distribution import Distribution
from .multivariate_normal import half_log_det, solve_lower, squared_length
from .utils import lazy_property, standard_normal


def capacitance(factor: Any, diagonal: Any) -> Any:
    """Give the Cholesky factor of I + W^T D^-1 W."""
    inner = (factor.mT / diagonal.unsqueeze(-2)) @ factor
    return T.cholesky(inner + T.eye(factor.shape[-1], dtype=factor.dtype))


def log_det(diagonal: Any, low: Any) -> Any:
    """Give log det(W W^T + D), by the matrix determinant lemma."""
    return 2 * half_log_det(low) + diagonal.log().sum(-1)


def distance(factor: Any, diagonal: Any, x: Any, low: Any) -> Any:
    """Give x^T (W W^T + D)^-1 x, by the Woodbury identity."""
    projected = ((factor.mT / diagonal.unsqueeze(-2)) @ x.unsqueeze(-1)).squeeze(-1)
    return (x.pow(2) / diagonal).sum(-1) - squared_length(low, projected)


class LowRankMultivariateNormal(Distribution):
    """Multivariate normal distribution with covariance W W^T + D, W = cov_factor and D = cov_diag.

    Examples
    --------
    >>> import retrograd as torch
    >>> d = torch.distributions.LowRankMultivariateNormal(
    ...     torch.zeros(2), torch.tensor([[1.0], [0.0]]), torch.ones(2)
    ... )
    >>> d.covariance_matrix
    tensor([[2., 0.],
            [0., 1.]])
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True
    parameters = {
        "loc": 1,
        "cov_factor": 2,
        "cov_diag": 1,
        "_unbroadcasted_cov_factor": 2,
        "_unbroadcasted_cov_diag": 1,
        "_capacitance_tril": 2,
    }

    def __init__(self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: bool | None = None) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        n = loc.shape[-1]
        if cov_factor.dim() < 2:
            raise ValueError("cov_factor must be at least two-dimensional, with optional leading batch dimensions")
        if cov_factor.shape[-2] != n:
            raise ValueError(f"cov_factor must be a batch of matrices with shape {n} x m")
        if cov_diag.shape[-1] != n:
            raise ValueError(f"cov_diag must be a batch of vectors with shape ({n},)")
        try:
            batch = tuple(
                T.broadcast_shapes(tuple(loc.shape[:-1]), tuple(cov_diag.shape[:-1]), tuple(cov_factor.shape[:-2]))
            )
        except RuntimeError as error:
            raise ValueError(
                f"Incompatible batch shapes: loc {tuple(loc.shape)}, cov_factor {tuple(cov_factor.shape)}, "
                f"cov_diag {tuple(cov_diag.shape)}"
            ) from error
        self.loc, self.cov_diag = loc.expand((*batch, n)), cov_diag.expand((*batch, n))
        self.cov_factor = cov_factor.expand((*batch, *cov_factor.shape[-2:]))
        self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag = cov_factor, cov_diag
        self._capacitance_tril = capacitance(cov_factor, cov_diag)
        super().__init__(batch, (n,), validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @lazy_property
    def variance(self) -> Any:
        """The diagonal of the covariance."""
        found = self._unbroadcasted_cov_factor.pow(2).sum(-1) + self._unbroadcasted_cov_diag
        return found.expand(self._batch_shape + self._event_shape)

    @lazy_property
    def covariance_matrix(self) -> Any:
        """W W^T + D."""
        w, d = self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag
        return (w @ w.mT + T.diag_embed(d)).expand(self._batch_shape + self._event_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Any:
        """The Cholesky factor of the covariance."""
        w, d = self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag
        root = d.sqrt().unsqueeze(-1)
        scaled = w / root  # the covariance is root (I + scaled scaled^T) root
        low = T.cholesky(scaled @ scaled.mT + T.eye(w.shape[-2], dtype=w.dtype))
        return (root * low).expand(self._batch_shape + self._event_shape + self._event_shape)

    @lazy_property
    def precision_matrix(self) -> Any:
        """The inverse of the covariance."""
        d = self._unbroadcasted_cov_diag
        solved = solve_lower(self._capacitance_tril, self._unbroadcasted_cov_factor.mT / d.unsqueeze(-2))
        found = T.diag_embed(d.reciprocal()) - solved.mT @ solved
        return found.expand(self._batch_shape + self._event_shape + self._event_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        few = standard_normal((*shape[:-1], self.cov_factor.shape[-1]), self.loc)
        each = standard_normal(shape, self.loc)
        moved = (self._unbroadcasted_cov_factor @ few.unsqueeze(-1)).squeeze(-1)
        return self.loc + moved + self._unbroadcasted_cov_diag.sqrt() * each

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        w, d, low = self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag, self._capacitance_tril
        constant = self._event_shape[0] * math.log(2 * math.pi) + log_det(d, low)
        return -0.5 * (constant + distance(w, d, value - self.loc, low))

    def entropy(self) -> Any:
        n = self._event_shape[0]
        found = 0.5 * (
            n * (1.0 + math.log(2 * math.pi)) + log_det(self._unbroadcasted_cov_diag, self._capacitance_tril)
        )
        return found.expand(self._batch_shape) if self._batch_shape else found
