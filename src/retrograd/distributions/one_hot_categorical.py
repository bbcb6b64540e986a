"""The categorical distribution over one-hot vectors."""

from __future__ import annotations

from typing import Any

from ..core import no_grad
from ..nn import _functions as T
from . import constraints
from .categorical import Categorical
from .distribution import Distribution


class OverCategorical(Distribution):
    """A distribution whose parameters are those of a categorical one, over vectors as long as it."""

    parameters = {"_categorical": 0}
    _categorical: Any

    @property
    def probs(self) -> Any:
        """The probabilities."""
        return self._categorical.probs

    @property
    def logits(self) -> Any:
        """The logarithms of the probabilities."""
        return self._categorical.logits

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter that was given."""
        return self._categorical.param_shape


class OneHotCategorical(OverCategorical):
    """Categorical distribution whose draws are one-hot vectors.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.OneHotCategorical(torch.tensor([0.0, 1.0])).sample()
    tensor([0., 1.])
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.one_hot
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._categorical = Categorical(probs, logits)
        super().__init__(self._categorical.batch_shape, self._categorical.param_shape[-1:], validate_args=validate_args)

    def _one_hot(self, indices: Any) -> Any:
        blank = T.zeros((*indices.shape, self._categorical._num_events), dtype=self.probs.dtype)
        return blank.scatter(-1, indices.unsqueeze(-1), 1.0)

    @property
    def mean(self) -> Any:
        return self.probs

    @property
    def mode(self) -> Any:
        return self._one_hot(self.probs.argmax(-1))

    @property
    def variance(self) -> Any:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            return self._one_hot(self._categorical.sample(sample_shape))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        return self._categorical.log_prob(value.max(-1)[1])

    def entropy(self) -> Any:
        return self._categorical.entropy()

    def enumerate_support(self, expand: bool = True) -> Any:
        n = int(self.event_shape[0])
        values = T.eye(n, dtype=self.probs.dtype).reshape((n,) + (1,) * len(self.batch_shape) + (n,))
        return values.expand((n, *self.batch_shape, n)) if expand else values


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """One-hot draws that pass their gradient to the probabilities as they are.

    Source: Bengio et al. 2013, https://arxiv.org/abs/1308.3432.
    """

    has_rsample = True

    def rsample(self, sample_shape: Any = ()) -> Any:
        drawn = self.sample(sample_shape)
        return drawn + (self.probs - self.probs.detach())
