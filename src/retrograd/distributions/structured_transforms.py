"""Transforms of tensors with structure: parts side by side, vectors that sum to one, and matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..nn import _functions as T
from ..nn.functional import pad
from ..tensor import Size
from . import constraints
from .transform import Transform
from .utils import limits, sum_rightmost


def _below(size: int, offset: int) -> Any:
    """Give the places of a matrix's elements below a diagonal in the flattened matrix."""
    rows, columns = T.tril_indices(size, size, offset)
    return rows * size + columns


def _from_triangle(x: Any) -> Any:
    """Lay a vector out below the diagonal of a matrix."""
    n = x.shape[-1]
    size = round((0.25 + 2 * n) ** 0.5 + 0.5)
    flat = T.zeros((*x.shape[:-1], size * size), dtype=x.dtype)
    return flat.index_copy(-1, _below(size, -1), x).reshape((*x.shape[:-1], size, size))


def _to_triangle(m: Any, offset: int) -> Any:
    """Give the elements below a diagonal as a vector."""
    size = m.shape[-1]
    return m.reshape((*m.shape[:-2], size * size)).index_select(-1, _below(size, offset))


class CorrCholeskyTransform(Transform):
    """The Cholesky factor of a correlation matrix from as many real numbers as it has correlations.

    Each number, through tanh, is a partial correlation; a row is broken off a stick of length one.
    """

    domain, codomain, bijective = constraints.real_vector, constraints.corr_cholesky, True

    def _call(self, x: Any) -> Any:
        eps = limits(x).eps
        r = _from_triangle(T.tanh(x).clamp(min=-1 + eps, max=1 - eps))
        left = (1 - r**2).sqrt().cumprod(-1)
        return (r + T.eye(r.shape[-1], dtype=r.dtype)) * pad(left[..., :-1], (1, 0), value=1.0)

    def _inverse(self, y: Any) -> Any:
        left = pad((1 - (y * y).cumsum(-1))[..., :-1], (1, 0), value=1.0)
        t = _to_triangle(y, -1) / _to_triangle(left, -1).sqrt()
        return (t.log1p() - (-t).log1p()) / 2

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        left = _to_triangle(1 - (y * y).cumsum(-1), -2)
        slope = -2 * (x + T.logaddexp(-2 * x, T.zeros_like(x)) - math.log(2.0))
        return 0.5 * left.log().sum(-1) + slope.sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        if len(shape) < 1:
            raise ValueError("Too few dimensions on input")
        n = shape[-1]
        size = round((0.25 + 2 * n) ** 0.5 + 0.5)
        if size * (size - 1) // 2 != n:
            raise ValueError("Input is not a flattened lower-diagonal number")
        return Size((*shape[:-1], size, size))

    def inverse_shape(self, shape: Any) -> Any:
        if len(shape) < 2:
            raise ValueError("Too few dimensions on input")
        if shape[-2] != shape[-1]:
            raise ValueError("Input is not square")
        return Size((*shape[:-2], shape[-1] * (shape[-1] - 1) // 2))


class CatTransform(Transform):
    """Several transforms of parts that lie side by side along a dimension."""

    def __init__(self, tseq: Sequence[Any], dim: int = 0, lengths: Any = None, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.transforms = [t.with_cache(cache_size) for t in tseq] if cache_size else list(tseq)
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        if len(self.lengths) != len(self.transforms):
            raise AssertionError("lengths must have the same length as transforms")
        self.dim = dim

    @property
    def event_dim(self) -> int:
        return max(int(t.event_dim) for t in self.transforms)

    @property
    def length(self) -> int:
        """The length of all the parts together."""
        return sum(self.lengths)

    def with_cache(self, cache_size: int = 1) -> Any:
        if self._cache_size == cache_size:
            return self
        return CatTransform(self.transforms, self.dim, self.lengths, cache_size)

    def _split(self, x: Any) -> Any:
        if not -x.dim() <= self.dim < x.dim():
            raise AssertionError(f"dim {self.dim} out of range for tensor with {x.dim()} dimensions")
        if x.shape[self.dim] != self.length:
            raise AssertionError(f"x.size({self.dim})={x.shape[self.dim]} must equal length={self.length}")
        return x.split(self.lengths, self.dim)

    def _call(self, x: Any) -> Any:
        return T.cat([t(v) for t, v in zip(self.transforms, self._split(x), strict=True)], self.dim)

    def _inverse(self, y: Any) -> Any:
        return T.cat([t.inv(v) for t, v in zip(self.transforms, self._split(y), strict=True)], self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        parts = zip(self.transforms, self._split(x), self._split(y), strict=True)
        found = [sum_rightmost(t.log_abs_det_jacobian(v, w), self.event_dim - t.event_dim) for t, v, w in parts]
        dim = self.dim if self.dim < 0 else self.dim - x.dim()
        dim += self.event_dim
        if dim < 0:
            return T.cat(found, dim)
        total = found[0]
        for each in found[1:]:
            total = total + each
        return total

    @property
    def bijective(self) -> Any:
        """Whether all parts have an inverse."""
        return all(t.bijective for t in self.transforms)

    @property
    def domain(self) -> Any:
        """What the parts take, side by side."""
        return constraints.cat([t.domain for t in self.transforms], self.dim, self.lengths)

    @property
    def codomain(self) -> Any:
        """What the parts give, side by side."""
        return constraints.cat([t.codomain for t in self.transforms], self.dim, self.lengths)


class StackTransform(Transform):
    """Several transforms of the slices along a dimension, one for each."""

    def __init__(self, tseq: Sequence[Any], dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.transforms = [t.with_cache(cache_size) for t in tseq] if cache_size else list(tseq)
        self.dim = dim

    def with_cache(self, cache_size: int = 1) -> Any:
        return self if self._cache_size == cache_size else StackTransform(self.transforms, self.dim, cache_size)

    def _slices(self, x: Any) -> Any:
        if not -x.dim() <= self.dim < x.dim():
            raise AssertionError(f"dim {self.dim} out of range for tensor with {x.dim()} dimensions")
        if x.shape[self.dim] != len(self.transforms):
            raise AssertionError(f"x.size({self.dim})={x.shape[self.dim]} must equal {len(self.transforms)}")
        return x.unbind(self.dim)

    def _call(self, x: Any) -> Any:
        return T.stack([t(v) for t, v in zip(self.transforms, self._slices(x), strict=True)], self.dim)

    def _inverse(self, y: Any) -> Any:
        return T.stack([t.inv(v) for t, v in zip(self.transforms, self._slices(y), strict=True)], self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        parts = zip(self.transforms, self._slices(x), self._slices(y), strict=True)
        return T.stack([t.log_abs_det_jacobian(v, w) for t, v, w in parts], self.dim)

    @property
    def bijective(self) -> Any:
        """Whether all parts have an inverse."""
        return all(t.bijective for t in self.transforms)

    @property
    def domain(self) -> Any:
        """What the parts take, slice by slice."""
        return constraints.stack([t.domain for t in self.transforms], self.dim)

    @property
    def codomain(self) -> Any:
        """What the parts give, slice by slice."""
        return constraints.stack([t.codomain for t in self.transforms], self.dim)


class SoftmaxTransform(Transform):
    """y = softmax(x) along the last dimension; many x give one y."""

    domain, codomain = constraints.real_vector, constraints.simplex

    def _call(self, x: Any) -> Any:
        return T.softmax(x, -1)

    def _inverse(self, y: Any) -> Any:
        return y.log()


class StickBreakingTransform(Transform):
    """Points of the simplex from one number fewer: each takes its share of what the earlier ones left."""

    domain, codomain, bijective = constraints.real_vector, constraints.simplex, True

    @staticmethod
    def _offset(x: Any) -> Any:
        n = x.shape[-1]
        return (n + 1 - T.arange(1, n + 1, dtype=x.dtype)).log()

    def _call(self, x: Any) -> Any:
        z = T.sigmoid(x - self._offset(x)).clamp(min=limits(x).tiny, max=1.0 - limits(x).eps)
        one = T.ones_like(z[..., :1])
        return T.cat([z, one], -1) * T.cat([one, (1 - z).cumprod(-1)], -1)

    def _inverse(self, y: Any) -> Any:
        left = (1 - y[..., :-1].cumsum(-1)).clamp(min=limits(y).tiny)
        return y[..., :-1].log() - left.log() + self._offset(y[..., :-1])

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        x = x - self._offset(x)
        return (y[..., :-1].log() - T.logaddexp(x, T.zeros_like(x))).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        return Size((*shape[:-1], shape[-1] + 1))

    def inverse_shape(self, shape: Any) -> Any:
        return Size((*shape[:-1], shape[-1] - 1))


class LowerCholeskyTransform(Transform):
    """A lower triangular matrix with a positive diagonal from any matrix."""

    domain, codomain = constraints.independent(constraints.real, 2), constraints.lower_cholesky

    def _call(self, x: Any) -> Any:
        return x.tril(-1) + T.diag_embed(T.diagonal(x, 0, -2, -1).exp())

    def _inverse(self, y: Any) -> Any:
        return y.tril(-1) + T.diag_embed(T.diagonal(y, 0, -2, -1).log())


class PositiveDefiniteTransform(Transform):
    """A positive definite matrix L L^T from any matrix, by ``LowerCholeskyTransform``."""

    domain, codomain = constraints.independent(constraints.real, 2), constraints.positive_definite

    def _call(self, x: Any) -> Any:
        low = LowerCholeskyTransform()(x)
        return low @ low.mT

    def _inverse(self, y: Any) -> Any:
        return LowerCholeskyTransform().inv(T.cholesky(y))
