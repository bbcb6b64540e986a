"""Invertible maps of random variables, with the logarithm of how much they stretch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..core import BaseTensor
from ..nn import _functions as T
from ..tensor import Size, as_tensor
from . import constraints
from .utils import limits, sum_rightmost


class Transform:
    """A map y = f(x); a subclass gives ``_call``, ``_inverse`` and ``log_abs_det_jacobian``.

    With ``cache_size=1`` the last pair (x, y) is kept, so that ``inv`` gives back the very x.

    Examples
    --------
    >>> import retrograd as torch
    >>> f = torch.distributions.transforms.ExpTransform()
    >>> f.inv(f(torch.tensor(2.0)))
    tensor(2.)
    """

    bijective: Any = False
    domain: Any
    codomain: Any

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise ValueError("cache_size must be 0 or 1")
        self._cache_size = cache_size
        self._cached: Any = (None, None)

    @property
    def event_dim(self) -> int:
        """How many of the last dimensions are mapped together."""
        if self.domain.event_dim == self.codomain.event_dim:
            return int(self.domain.event_dim)
        raise ValueError("Please use either .domain.event_dim or .codomain.event_dim")

    @property
    def inv(self) -> Any:
        """The inverse map."""
        return _Inverse(self)

    @property
    def sign(self) -> Any:
        """The sign of the slope of a monotonic map of numbers."""
        raise NotImplementedError(f"{type(self).__name__} has no sign: it is not a monotonic map of numbers")

    def with_cache(self, cache_size: int = 1) -> Any:
        """Give the map with a cache of this size."""
        if self._cache_size == cache_size:
            return self
        new = type(self).__new__(type(self))
        new.__dict__.update(self.__dict__, _cache_size=cache_size, _cached=(None, None))
        return new

    def __call__(self, x: Any) -> Any:
        if self._cache_size and x is self._cached[0]:
            return self._cached[1]
        y = self._call(x)
        if self._cache_size:
            self._cached = x, y
        return y

    def _inv_call(self, y: Any) -> Any:
        if self._cache_size and y is self._cached[1]:
            return self._cached[0]
        x = self._inverse(y)
        if self._cache_size:
            self._cached = x, y
        return x

    def _call(self, x: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward map")

    def _inverse(self, y: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no inverse")

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """Give log |dy/dx|."""
        raise NotImplementedError(f"{type(self).__name__} has no log_abs_det_jacobian")

    def forward_shape(self, shape: Any) -> Any:
        """Give the shape of f(x)."""
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        """Give the shape of the x that f maps to a shape."""
        return shape

    def __eq__(self, other: Any) -> bool:
        return self is other or (type(self) is type(other) and self._parts() == other._parts())

    __hash__ = object.__hash__

    def _parts(self) -> Any:
        """Give what makes two maps of one class the same."""
        return ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Inverse(Transform):
    """The inverse of a map."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner._cache_size)
        self._inv = inner

    @property
    def domain(self) -> Any:
        """What it takes: what the map gives."""
        return self._inv.codomain

    @property
    def codomain(self) -> Any:
        """What it gives: what the map takes."""
        return self._inv.domain

    @property
    def bijective(self) -> Any:
        """Whether it has an inverse."""
        return self._inv.bijective

    @property
    def sign(self) -> Any:
        return self._inv.sign

    @property
    def inv(self) -> Any:
        return self._inv

    def with_cache(self, cache_size: int = 1) -> Any:
        return self._inv.with_cache(cache_size).inv

    def __call__(self, x: Any) -> Any:
        return self._inv._inv_call(x)

    def _inv_call(self, y: Any) -> Any:
        return self._inv(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -self._inv.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Any) -> Any:
        return self._inv.inverse_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self._inv.forward_shape(shape)

    def _parts(self) -> Any:
        return (self._inv,)

    def __repr__(self) -> str:
        return f"_InverseTransform({self._inv!r})"


class ComposeTransform(Transform):
    """Several maps, one after another."""

    def __init__(self, parts: Sequence[Any], cache_size: int = 0) -> None:
        self.parts = [p.with_cache(cache_size) for p in parts] if cache_size else list(parts)
        super().__init__(cache_size)

    @property
    def domain(self) -> Any:
        """What the first map takes, over as many dimensions as the parts need."""
        if not self.parts:
            return constraints.real
        domain = self.parts[0].domain
        need = self.parts[-1].codomain.event_dim
        for part in reversed(self.parts):
            need = max(need + part.domain.event_dim - part.codomain.event_dim, part.domain.event_dim)
        return constraints.independent(domain, need - domain.event_dim) if need > domain.event_dim else domain

    @property
    def codomain(self) -> Any:
        """What the last map gives, over as many dimensions as the parts need."""
        if not self.parts:
            return constraints.real
        codomain = self.parts[-1].codomain
        need = self.parts[0].domain.event_dim
        for part in self.parts:
            need = max(need + part.codomain.event_dim - part.domain.event_dim, part.codomain.event_dim)
        return constraints.independent(codomain, need - codomain.event_dim) if need > codomain.event_dim else codomain

    @property
    def bijective(self) -> Any:
        """Whether all parts have an inverse."""
        return all(p.bijective for p in self.parts)

    @property
    def sign(self) -> Any:
        product: Any = 1
        for p in self.parts:
            product = product * p.sign
        return product

    @property
    def inv(self) -> Any:
        return ComposeTransform([p.inv for p in reversed(self.parts)])

    def with_cache(self, cache_size: int = 1) -> Any:
        return self if self._cache_size == cache_size else ComposeTransform(self.parts, cache_size)

    def __call__(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return x

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        total: Any = T.zeros_like(x)
        first = True
        event = self.domain.event_dim
        for part in self.parts:
            z = part(x)
            term = sum_rightmost(part.log_abs_det_jacobian(x, z), event - part.domain.event_dim)
            total, first = (term, False) if first else (total + term, False)
            event += part.codomain.event_dim - part.domain.event_dim
            x = z
        return total

    def forward_shape(self, shape: Any) -> Any:
        for part in self.parts:
            shape = part.forward_shape(shape)
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        for part in reversed(self.parts):
            shape = part.inverse_shape(shape)
        return shape

    def _parts(self) -> Any:
        return self.parts

    def __repr__(self) -> str:
        return "ComposeTransform(\n    " + ",\n    ".join(map(repr, self.parts)) + "\n)"


identity_transform = ComposeTransform([])


class IndependentTransform(Transform):
    """A map whose last batch dimensions are taken as one event."""

    def __init__(self, base_transform: Any, reinterpreted_batch_ndims: int, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.base_transform, self.reinterpreted_batch_ndims = (
            base_transform.with_cache(cache_size),
            reinterpreted_batch_ndims,
        )

    @property
    def domain(self) -> Any:
        """What the map takes."""
        return constraints.independent(self.base_transform.domain, self.reinterpreted_batch_ndims)

    @property
    def codomain(self) -> Any:
        """What the map gives."""
        return constraints.independent(self.base_transform.codomain, self.reinterpreted_batch_ndims)

    @property
    def bijective(self) -> Any:
        """Whether it has an inverse."""
        return self.base_transform.bijective

    @property
    def sign(self) -> Any:
        return self.base_transform.sign

    def _call(self, x: Any) -> Any:
        if x.dim() < self.domain.event_dim:
            raise ValueError("Too few dimensions on input")
        return self.base_transform(x)

    def _inverse(self, y: Any) -> Any:
        if y.dim() < self.codomain.event_dim:
            raise ValueError("Too few dimensions on input")
        return self.base_transform.inv(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return sum_rightmost(self.base_transform.log_abs_det_jacobian(x, y), self.reinterpreted_batch_ndims)

    def __repr__(self) -> str:
        return f"IndependentTransform({self.base_transform!r}, {self.reinterpreted_batch_ndims})"


class ReshapeTransform(Transform):
    """Give the last dimensions another shape."""

    bijective = True

    def __init__(self, in_shape: Any, out_shape: Any, cache_size: int = 0) -> None:
        self.in_shape, self.out_shape = Size(in_shape), Size(out_shape)
        if math.prod(self.in_shape) != math.prod(self.out_shape):
            raise ValueError(
                f"in_shape {tuple(in_shape)} and out_shape {tuple(out_shape)} have different numbers of elements"
            )
        super().__init__(cache_size)

    @property
    def domain(self) -> Any:
        """Real tensors of the one shape."""
        return constraints.independent(constraints.real, len(self.in_shape))

    @property
    def codomain(self) -> Any:
        """Real tensors of the other shape."""
        return constraints.independent(constraints.real, len(self.out_shape))

    def _call(self, x: Any) -> Any:
        return x.reshape((*x.shape[: x.dim() - len(self.in_shape)], *self.out_shape))

    def _inverse(self, y: Any) -> Any:
        return y.reshape((*y.shape[: y.dim() - len(self.out_shape)], *self.in_shape))

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return T.zeros(tuple(x.shape[: x.dim() - len(self.in_shape)]), dtype=x.dtype)

    def _exchanged(self, shape: Any, old: Any, new: Any) -> Any:
        cut = len(shape) - len(old)
        if cut < 0 or tuple(shape[cut:]) != tuple(old):
            raise ValueError(f"Shape mismatch: expected {tuple(shape)} to end in {tuple(old)}")
        return Size((*shape[:cut], *new))

    def forward_shape(self, shape: Any) -> Any:
        return self._exchanged(shape, self.in_shape, self.out_shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self._exchanged(shape, self.out_shape, self.in_shape)


class ExpTransform(Transform):
    """y = exp(x)."""

    domain, codomain, bijective, sign = constraints.real, constraints.positive, True, +1

    def _call(self, x: Any) -> Any:
        return x.exp()

    def _inverse(self, y: Any) -> Any:
        return y.log()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return x


class PowerTransform(Transform):
    """y = x^exponent, for positive x."""

    domain, codomain, bijective = constraints.positive, constraints.positive, True

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.exponent: Any = exponent if isinstance(exponent, BaseTensor) else as_tensor(exponent)

    @property
    def sign(self) -> Any:
        return self.exponent.sign()

    def _call(self, x: Any) -> Any:
        return x.pow(self.exponent)

    def _inverse(self, y: Any) -> Any:
        return y.pow(1 / self.exponent)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return (self.exponent * y / x).abs().log()

    def forward_shape(self, shape: Any) -> Any:
        return T.broadcast_shapes(tuple(shape), tuple(self.exponent.shape))

    inverse_shape = forward_shape

    def _parts(self) -> Any:
        return self.exponent.tolist()


class SigmoidTransform(Transform):
    """y = 1 / (1 + exp(-x)); results stay off 0 and 1."""

    domain, codomain, bijective, sign = constraints.real, constraints.unit_interval, True, +1

    def _call(self, x: Any) -> Any:
        return T.sigmoid(x).clamp(min=limits(x).tiny, max=1.0 - limits(x).eps)

    def _inverse(self, y: Any) -> Any:
        y = y.clamp(min=limits(y).tiny, max=1.0 - limits(y).eps)
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        zero = T.zeros_like(x)
        return -T.logaddexp(-x, zero) - T.logaddexp(x, zero)


class SoftplusTransform(Transform):
    """y = log(1 + exp(x))."""

    domain, codomain, bijective, sign = constraints.real, constraints.positive, True, +1

    def _call(self, x: Any) -> Any:
        return T.where(x > 20, x, T.logaddexp(x, T.zeros_like(x)))

    def _inverse(self, y: Any) -> Any:
        return (-y).expm1().neg().log() + y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -T.logaddexp(-x, T.zeros_like(x))


class TanhTransform(Transform):
    """y = tanh(x)."""

    domain, codomain, bijective, sign = constraints.real, constraints.interval(-1.0, 1.0), True, +1

    def _call(self, x: Any) -> Any:
        return x.tanh()

    def _inverse(self, y: Any) -> Any:
        return T.atanh(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        # log(1 - tanh(x)^2), without cancellation
        return 2.0 * (math.log(2.0) - x - T.logaddexp(-2.0 * x, T.zeros_like(x)))


class AbsTransform(Transform):
    """y = |x|; its inverse gives the positive x."""

    domain, codomain = constraints.real, constraints.positive

    def _call(self, x: Any) -> Any:
        return x.abs()

    def _inverse(self, y: Any) -> Any:
        return y


class AffineTransform(Transform):
    """y = loc + scale x."""

    bijective = True

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale, self._event_dim = loc, scale, event_dim

    @property
    def event_dim(self) -> int:
        return self._event_dim

    @property
    def domain(self) -> Any:
        """Real numbers."""
        return constraints.independent(constraints.real, self.event_dim) if self.event_dim else constraints.real

    codomain = domain

    @property
    def sign(self) -> Any:
        if isinstance(self.scale, BaseTensor):
            return self.scale.sign()
        return int(self.scale > 0) - int(self.scale < 0)

    def _call(self, x: Any) -> Any:
        return self.loc + self.scale * x

    def _inverse(self, y: Any) -> Any:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        shape, scale = tuple(x.shape), self.scale
        if isinstance(scale, BaseTensor):
            found = T.log(T.abs(scale))
        else:
            found = T.full_like(x, math.log(abs(scale)))
        if self.event_dim:
            found = found.expand((*found.shape[: found.dim() - self.event_dim], *shape[len(shape) - self.event_dim :]))
            found = sum_rightmost(found, self.event_dim)
            shape = shape[: len(shape) - self.event_dim]
        return found.expand(shape)

    def forward_shape(self, shape: Any) -> Any:
        return T.broadcast_shapes(
            tuple(shape), tuple(getattr(self.loc, "shape", ())), tuple(getattr(self.scale, "shape", ()))
        )

    inverse_shape = forward_shape

    def _parts(self) -> Any:
        return [v.tolist() if isinstance(v, BaseTensor) else v for v in (self.loc, self.scale)]


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


class CumulativeDistributionTransform(Transform):
    """y = the cumulative probability of x under a distribution."""

    bijective, codomain, sign = True, constraints.unit_interval, +1

    def __init__(self, distribution: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.distribution = distribution

    @property
    def domain(self) -> Any:
        """The distribution's support."""
        return self.distribution.support

    def _call(self, x: Any) -> Any:
        return self.distribution.cdf(x)

    def _inverse(self, y: Any) -> Any:
        return self.distribution.icdf(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return self.distribution.log_prob(x)


from .structured_transforms import CatTransform, CorrCholeskyTransform, StackTransform  # noqa: E402  they need Transform

__all__ = [
    "AbsTransform",
    "AffineTransform",
    "CatTransform",
    "ComposeTransform",
    "CorrCholeskyTransform",
    "CumulativeDistributionTransform",
    "ExpTransform",
    "IndependentTransform",
    "LowerCholeskyTransform",
    "PositiveDefiniteTransform",
    "PowerTransform",
    "ReshapeTransform",
    "SigmoidTransform",
    "SoftmaxTransform",
    "SoftplusTransform",
    "StackTransform",
    "StickBreakingTransform",
    "TanhTransform",
    "Transform",
    "identity_transform",
]
