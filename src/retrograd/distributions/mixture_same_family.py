"""Mixtures of distributions of one family."""

from __future__ import annotations

from typing import Any

from ..core import no_grad
from ..nn import _functions as T
from . import constraints
from .categorical import Categorical
from .distribution import Distribution


class MixtureSameFamily(Distribution):
    """A mixture: a component is drawn from a categorical distribution, then a value from that component.

    The components are the last batch dimension of ``component_distribution``.

    Examples
    --------
    >>> import retrograd as torch
    >>> D = torch.distributions
    >>> mix = D.Categorical(torch.ones(2))
    >>> D.MixtureSameFamily(mix, D.Normal(torch.tensor([-1.0, 1.0]), torch.ones(2))).mean
    tensor(0.)
    """

    arg_constraints: Any = {}
    has_rsample = False

    def __init__(
        self, mixture_distribution: Any, component_distribution: Any, validate_args: bool | None = None
    ) -> None:
        mix, parts = mixture_distribution, component_distribution
        if not isinstance(mix, Categorical):
            raise ValueError(
                f"The Mixture distribution needs to be an instance of Categorical, not {type(mix).__name__}"
            )
        if not isinstance(parts, Distribution):
            raise ValueError(f"The Component distribution needs to be a Distribution, not {type(parts).__name__}")
        inner = parts.batch_shape[:-1]
        for a, b in zip(reversed(mix.batch_shape), reversed(inner)):
            if a != 1 and b != 1 and a != b:
                raise ValueError(
                    f"`mixture_distribution.batch_shape` ({tuple(mix.batch_shape)}) is not compatible with "
                    f"`component_distribution.batch_shape` ({tuple(parts.batch_shape)})"
                )
        if mix.logits.shape[-1] != parts.batch_shape[-1]:
            raise ValueError(
                f"`mixture_distribution` has {mix.logits.shape[-1]} components, `component_distribution` {parts.batch_shape[-1]}"
            )
        self._mixture_distribution, self._component_distribution = mix, parts
        super().__init__(inner, parts.event_shape, validate_args=validate_args)

    def _expand_into(self, new: Any, shape: Any) -> None:
        n = self._component_distribution.batch_shape[-1]
        new._component_distribution = self._component_distribution.expand((*shape, n))
        new._mixture_distribution = self._mixture_distribution.expand(shape)

    @property
    def mixture_distribution(self) -> Any:
        """The distribution of the component's number."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Any:
        """The components."""
        return self._component_distribution

    @constraints.dependent_property
    def support(self) -> Any:
        return MixtureSupport(self._component_distribution.support, len(self._event_shape))

    def _padded(self, weights: Any) -> Any:
        return weights.reshape((*weights.shape, *(1,) * len(self._event_shape)))

    def _axis(self) -> int:
        return -1 - len(self._event_shape)

    @property
    def mean(self) -> Any:
        return (self._padded(self._mixture_distribution.probs) * self._component_distribution.mean).sum(self._axis())

    @property
    def variance(self) -> Any:
        weights, axis = self._padded(self._mixture_distribution.probs), self._axis()
        parts = self._component_distribution
        within = (weights * parts.variance).sum(axis)
        return within + (weights * (parts.mean - self.mean.unsqueeze(axis)).pow(2.0)).sum(axis)

    def cdf(self, x: Any) -> Any:
        return (self._component_distribution.cdf(x.unsqueeze(self._axis())) * self._mixture_distribution.probs).sum(-1)

    def log_prob(self, x: Any) -> Any:
        if self._validate_args:
            self._validate_sample(x)
        each = self._component_distribution.log_prob(x.unsqueeze(self._axis()))
        return T.logsumexp(each + T.log_softmax(self._mixture_distribution.logits, -1), -1)

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            chosen = self._mixture_distribution.sample(sample_shape)
            drawn = self._component_distribution.sample(sample_shape)
            axis = drawn.dim() + self._axis()
            index = self._padded(chosen.unsqueeze(-1)).expand((*drawn.shape[:axis], 1, *self._event_shape))
            return drawn.gather(axis, index).squeeze(axis)

    def __repr__(self) -> str:
        return f"MixtureSameFamily(\n  {self._mixture_distribution},\n  {self._component_distribution})"


class MixtureSupport(constraints.Constraint):
    """The support of a mixture: values that each component can give."""

    def __init__(self, base: Any, event_dim: int) -> None:
        self.base_constraint, self._event_dim = base, event_dim

    @property
    def event_dim(self) -> int:
        """How many of the last dimensions make one event."""
        return int(self.base_constraint.event_dim)

    @property
    def is_discrete(self) -> bool:
        """Whether the set is countable."""
        return bool(self.base_constraint.is_discrete)

    def check(self, value: Any) -> Any:
        return self.base_constraint.check(value.unsqueeze(-1 - self._event_dim)).all(-1)
