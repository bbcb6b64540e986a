"""The Wishart distribution of positive definite matrices."""

from __future__ import annotations

import math
import warnings
from typing import Any

from ..nn import _functions as T
from ..tensor import tensor
from . import constraints
from .chi2 import Chi2
from .distribution import ExponentialFamily
from .multivariate_normal import MultivariateNormal, half_log_det, solve_lower
from .utils import is_number, lazy_property, limits


def multidigamma(x: Any, p: int) -> Any:
    """Give the derivative of the logarithm of the multivariate gamma function."""
    return T.digamma(x.unsqueeze(-1) - T.arange(p, dtype=x.dtype) / 2).sum(-1)


class Wishart(ExponentialFamily):
    """Wishart distribution: X = sum of df outer products of normal vectors, df not necessarily whole.

    p(X) is proportional to det(X)^((df - p - 1) / 2) exp(-tr(V^-1 X) / 2), with V given by ``covariance_matrix``, its inverse
    ``precision_matrix`` or its factor ``scale_tril``. Draws are by Bartlett's decomposition.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.Wishart(torch.tensor(3.0), torch.eye(2)).mean
    tensor([[3., 0.],
            [0., 3.]])
    """

    support = constraints.positive_definite
    has_rsample = True
    parameters = {
        "df": 0,
        "covariance_matrix": 2,
        "precision_matrix": 2,
        "scale_tril": 2,
        "_unbroadcasted_scale_tril": 2,
    }

    @property
    def arg_constraints(self) -> Any:
        """What the parameters satisfy; df must exceed the size less one."""
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self.event_shape[-1] - 1),
        }

    def __init__(
        self,
        df: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        forms = {"covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix, "scale_tril": scale_tril}
        given = {name: m for name, m in forms.items() if m is not None}
        if len(given) != 1:
            raise AssertionError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        ((name, matrix),) = given.items()
        if matrix.dim() < 2:
            raise ValueError("scale_tril must be at least two-dimensional, with optional leading batch dimensions")
        event = tuple(matrix.shape[-2:])
        if is_number(df):
            batch = tuple(matrix.shape[:-2])
            self.df: Any = tensor(df, dtype=matrix.dtype)
        else:
            batch = tuple(T.broadcast_shapes(tuple(matrix.shape[:-2]), tuple(df.shape)))
            self.df = df.expand(batch)
        if bool((self.df <= event[-1] - 1).any()):
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {event[-1] - 1}.")
        self.__dict__[name] = matrix.expand((*batch, *event))
        if bool((self.df < event[-1]).any()):
            warnings.warn(
                "Low df values detected. Singular samples are highly likely to occur for ndim - 1 < df < ndim.",
                stacklevel=2,
            )
        super().__init__(batch, event, validate_args=validate_args)
        self._unbroadcasted_scale_tril = MultivariateNormal._factor(name, matrix)
        self._squares = self._chi2()

    def _chi2(self) -> Any:
        """Give the distributions of the squares on the factor's diagonal."""
        n = self._unbroadcasted_scale_tril.shape[-1]
        return Chi2(
            self.df.unsqueeze(-1) - T.arange(n, dtype=self._unbroadcasted_scale_tril.dtype), validate_args=False
        )

    def _check_parameters(self) -> None:
        """Check those that were given; df's bound needs the size."""
        for name, constraint in self.arg_constraints.items():
            if name in self.__dict__ and not bool(constraint.check(self.__dict__[name]).all()):
                raise ValueError(f"Expected parameter {name} of Wishart to satisfy the constraint {constraint!r}")

    def _expand_into(self, new: Any, shape: Any) -> None:
        super()._expand_into(new, shape)
        new._squares = new._chi2()

    @lazy_property
    def scale_tril(self) -> Any:
        """The lower Cholesky factor of V."""
        return self._unbroadcasted_scale_tril.expand(self._batch_shape + self._event_shape)

    @lazy_property
    def covariance_matrix(self) -> Any:
        """V itself."""
        low = self._unbroadcasted_scale_tril
        return (low @ low.mT).expand(self._batch_shape + self._event_shape)

    @lazy_property
    def precision_matrix(self) -> Any:
        """The inverse of V."""
        low = self._unbroadcasted_scale_tril
        inverse = solve_lower(low, T.eye(low.shape[-1], dtype=low.dtype))
        return (inverse.mT @ inverse).expand(self._batch_shape + self._event_shape)

    def _df(self) -> Any:
        return self.df.reshape((*self._batch_shape, 1, 1))

    @property
    def mean(self) -> Any:
        return self._df() * self.covariance_matrix

    @property
    def mode(self) -> Any:
        factor = self.df - self.covariance_matrix.shape[-1] - 1
        factor = T.where(factor <= 0, T.full_like(factor, math.nan), factor)
        return factor.reshape((*self._batch_shape, 1, 1)) * self.covariance_matrix

    @property
    def variance(self) -> Any:
        v = self.covariance_matrix
        diagonal = T.diagonal(v, 0, -2, -1)
        return self._df() * (v.pow(2) + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2))

    def _draw(self, sample_shape: Any) -> Any:
        n = self._event_shape[-1]
        noise = T.diag_embed(self._squares.rsample(sample_shape).sqrt().clamp(min=limits(self.df).eps))
        rows, columns = T.tril_indices(n, n, -1)
        shape = (*sample_shape, *self._batch_shape, n * (n - 1) // 2)
        below = T.randn(shape, dtype=noise.dtype)
        flat = T.zeros((*shape[:-1], n * n), dtype=noise.dtype).index_copy(-1, rows * n + columns, below)
        low = self._unbroadcasted_scale_tril @ (noise + flat.reshape((*shape[:-1], n, n)))
        return low @ low.mT

    def rsample(self, sample_shape: Any = (), max_try_correction: int | None = None) -> Any:
        """Draw matrices with a gradient; singular ones are drawn anew, up to ``max_try_correction`` times (10).

        As in PyTorch, whose stream of random numbers this follows, a first draw of each matrix is thrown away.
        """
        shape = tuple(sample_shape)
        self._draw(shape)
        found = self._draw((math.prod(shape),))
        for _ in range(10 if max_try_correction is None else max_try_correction):
            singular = ~self.support.check(found)
            if not bool(singular.any()):
                break
            warnings.warn("Singular sample detected.", stacklevel=2)
            found = T.where(singular.unsqueeze(-1).unsqueeze(-1), self._draw((math.prod(shape),)), found)
        return found.reshape((*shape, *self._batch_shape, *self._event_shape))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        n, p, low = self.df, self._event_shape[-1], self._unbroadcasted_scale_tril
        solved = T.cholesky_solve(
            value, low.expand((*T.broadcast_shapes(tuple(low.shape[:-2]), tuple(value.shape[:-2])), p, p))
        )
        trace = T.diagonal(solved, 0, -2, -1).sum(-1)
        log_det = T.slogdet(value)[1]
        norm = n * p / 2 * math.log(2) + n * half_log_det(low) + T.mvlgamma(n / 2, p)
        return -norm + (n - p - 1) / 2 * log_det - trace / 2

    def entropy(self) -> Any:
        n, p, low = self.df, self._event_shape[-1], self._unbroadcasted_scale_tril
        found = (p + 1) * (p / 2 * math.log(2) + half_log_det(low)) + T.mvlgamma(n / 2, p)
        return found - (n - p - 1) / 2 * multidigamma(n / 2, p) + n * p / 2
