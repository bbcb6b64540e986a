"""Distributions of transformed variables."""

from __future__ import annotations

from typing import Any

from ..core import no_grad
from . import constraints
from .distribution import Distribution
from .independent import Independent
from .transforms import ComposeTransform, Transform
from .utils import sum_rightmost


class TransformedDistribution(Distribution):
    """The distribution of f(x), x from a base distribution: log p(y) = log p(x) - log |dy/dx|.

    Examples
    --------
    >>> import retrograd as torch
    >>> D = torch.distributions
    >>> D.TransformedDistribution(D.Normal(0.0, 1.0), [D.ExpTransform()]).log_prob(torch.tensor(1.0))
    tensor(-0.9189)
    """

    arg_constraints: Any = {}

    def __init__(self, base_distribution: Any, transforms: Any, validate_args: bool | None = None) -> None:
        given = [transforms] if isinstance(transforms, Transform) else transforms
        if not isinstance(given, list) or not all(isinstance(t, Transform) for t in given):
            raise ValueError(f"transforms must be a Transform or a list of Transforms, but was {transforms!r}")
        self.transforms = given
        base = base_distribution
        whole = ComposeTransform(given)
        shape = base.batch_shape + base.event_shape
        if len(shape) < whole.domain.event_dim:
            raise ValueError(
                f"base_distribution needs to have shape with size at least {whole.domain.event_dim}, but got {tuple(shape)}"
            )
        moved = whole.forward_shape(shape)
        wide = whole.inverse_shape(moved)
        if tuple(wide) != tuple(shape):
            base = base.expand(wide[: len(wide) - len(base.event_shape)])
        more = whole.domain.event_dim - len(base.event_shape)
        self.base_dist: Any = Independent(base, more) if more > 0 else base
        events = whole.codomain.event_dim + max(len(base.event_shape) - whole.domain.event_dim, 0)
        cut = len(moved) - events
        super().__init__(moved[:cut], moved[cut:], validate_args=validate_args)

    def _expand_into(self, new: Any, shape: Any) -> None:
        whole = ComposeTransform(self.transforms)
        inner = whole.inverse_shape((*shape, *self.event_shape))
        new.base_dist = self.base_dist.expand(inner[: len(inner) - len(self.base_dist.event_shape)])
        new.transforms = self.transforms

    @property
    def has_rsample(self) -> Any:
        """Whether draws have a gradient."""
        return self.base_dist.has_rsample

    @constraints.dependent_property
    def support(self) -> Any:
        if not self.transforms:
            return self.base_dist.support
        support = self.transforms[-1].codomain
        more = len(self.event_shape) - support.event_dim
        return constraints.independent(support, more) if more > 0 else support

    def _forward(self, x: Any) -> Any:
        for transform in self.transforms:
            x = transform(x)
        return x

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            return self._forward(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self._forward(self.base_dist.rsample(sample_shape))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        event, total, y = len(self.event_shape), 0.0, value
        for transform in reversed(self.transforms):
            x = transform.inv(y)
            event += transform.domain.event_dim - transform.codomain.event_dim
            total = total - sum_rightmost(transform.log_abs_det_jacobian(x, y), event - transform.domain.event_dim)
            y = x
        return total + sum_rightmost(self.base_dist.log_prob(y), event - len(self.base_dist.event_shape))

    def _falling(self) -> Any:
        """Give the sign of the whole map."""
        sign: Any = 1
        for transform in self.transforms:
            sign = sign * transform.sign
        return sign

    def _along(self, sign: Any, probability: Any) -> Any:
        """Give a probability, or its complement where the map falls."""
        if isinstance(sign, int) and sign == 1:
            return probability
        return sign * (probability - 0.5) + 0.5

    def cdf(self, value: Any) -> Any:
        if self._validate_args and self.base_dist._validate_args:
            self._validate_sample(value)
        sign = self._falling()
        for transform in reversed(self.transforms):
            value = transform.inv(value)
        return self._along(sign, self.base_dist.cdf(value))

    def icdf(self, value: Any) -> Any:
        return self._forward(self.base_dist.icdf(self._along(self._falling(), value)))
