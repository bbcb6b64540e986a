"""The LKJ distribution of correlation matrices, by their Cholesky factors."""

from __future__ import annotations

import math
from typing import Any

from ..core import no_grad
from ..nn import _functions as T
from . import constraints
from .beta import Beta
from .distribution import Distribution
from .utils import broadcast_all, limits


class LKJCholesky(Distribution):
    """Cholesky factors L of correlation matrices M = L L^T with p(M) proportional to det(M)^(concentration - 1).

    Draws are by the onion method (Lewandowski, Kurowicka and Joe 2009, section 3): row after row a point on a sphere, at a
    radius from a beta distribution.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.LKJCholesky(2, 1.0).log_prob(torch.eye(2))
    tensor(-0.6931)
    """

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky
    parameters = {"concentration": 0}

    def __init__(self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None) -> None:
        if dim < 2:
            raise ValueError(f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}.")
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        super().__init__(self.concentration.shape, (dim, dim), validate_args=validate_args)
        self._radii = self._radius()

    def _radius(self) -> Any:
        """Give the distributions of the rows' squared radii."""
        rows = T.arange(self.dim - 1, dtype=self.concentration.dtype)
        offset = T.cat([rows.new_zeros((1,)), rows])
        rest = (self.concentration + 0.5 * (self.dim - 2)).unsqueeze(-1) - 0.5 * offset
        return Beta(offset + 0.5, rest, validate_args=False)

    def _expand_into(self, new: Any, shape: Any) -> None:
        new.dim, new.concentration = self.dim, self.concentration.expand(shape)
        new._radii = new._radius()

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            squares = self._radii.sample(sample_shape).unsqueeze(-1)
            points = T.randn(self._extended_shape(sample_shape), dtype=squares.dtype).tril(-1)
            lengths = T.norm(points, dim=-1, keepdim=True)
            sphere = T.where(lengths > 0, points / lengths, T.zeros_like(points))
            low = squares.sqrt() * sphere
            diagonal = T.clamp(1 - (low**2).sum(-1), min=limits(low).tiny).sqrt()
            return low + T.diag_embed(diagonal)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        d = self.dim - 1
        powers = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - T.arange(2, self.dim + 1)
        density = (powers * T.diagonal(value, 0, -1, -2)[..., 1:].log()).sum(-1)
        alpha = self.concentration + 0.5 * d
        return density - (0.5 * d * math.log(math.pi) + T.mvlgamma(alpha - 0.5, d) - T.lgamma(alpha) * d)
