"""Continuous relaxations of Bernoulli and categorical draws, whose gradients reach the probabilities."""

from __future__ import annotations

import math
from typing import Any

from ..nn import _functions as T
from ..tensor import as_tensor
from . import constraints
from .bernoulli import Binary
from .categorical import Categorical
from .one_hot_categorical import OverCategorical
from .transformed_distribution import TransformedDistribution
from .transforms import ExpTransform, SigmoidTransform
from .utils import broadcast_all, clamp_probs


class LogitRelaxedBernoulli(Binary):
    """The log odds of a relaxed Bernoulli draw: (logits + logistic noise) / temperature.

    Source: Maddison et al. 2016, https://arxiv.org/abs/1611.00712.
    """

    support = constraints.real
    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self.temperature = temperature
        (given,) = self._set(probs, logits)
        super().__init__(given.shape, validate_args=validate_args)

    def _expand_into(self, new: Any, shape: Any) -> None:
        new.temperature = self.temperature
        super()._expand_into(new, shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        p = clamp_probs(self.probs.expand(shape))
        u = clamp_probs(T.rand(tuple(shape), dtype=p.dtype))
        return (u.log() - (-u).log1p() + p.log() - (-p).log1p()) / self.temperature

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        gap = logits - value.mul(self.temperature)
        return T.log(as_tensor(self.temperature, dtype=gap.dtype)) + gap - 2 * gap.exp().log1p()


class RelaxedBernoulli(TransformedDistribution):
    """Relaxed Bernoulli distribution on (0, 1): sigmoid((logits + logistic noise) / temperature).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.RelaxedBernoulli(torch.tensor(0.5), torch.tensor([0.3, 0.7])).rsample().shape
    torch.Size([2])
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(
            LogitRelaxedBernoulli(temperature, probs, logits), SigmoidTransform(), validate_args=validate_args
        )

    @property
    def temperature(self) -> Any:
        """How soft the draws are."""
        return self.base_dist.temperature

    @property
    def logits(self) -> Any:
        """The log odds."""
        return self.base_dist.logits

    @property
    def probs(self) -> Any:
        """The probability of a success."""
        return self.base_dist.probs


class ExpRelaxedCategorical(OverCategorical):
    """The logarithms of a relaxed categorical draw: log_softmax((logits + Gumbel noise) / temperature).

    Source: Maddison et al. 2016, https://arxiv.org/abs/1611.00712.
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._categorical = Categorical(probs, logits)
        self.temperature = temperature
        super().__init__(self._categorical.batch_shape, self._categorical.param_shape[-1:], validate_args=validate_args)

    def _expand_into(self, new: Any, shape: Any) -> None:
        new.temperature = self.temperature
        super()._expand_into(new, shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        u = clamp_probs(T.rand(tuple(self._extended_shape(sample_shape)), dtype=self.logits.dtype))
        scores = (self.logits - (-(u.log())).log()) / self.temperature
        return scores - scores.logsumexp(-1, keepdim=True)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        k = self._categorical._num_events
        logits, value = broadcast_all(self.logits, value)
        t = as_tensor(self.temperature, dtype=value.dtype)
        score = logits - value.mul(t)
        score = (score - score.logsumexp(-1, keepdim=True)).sum(-1)
        return score + math.lgamma(k) + (k - 1) * t.log()


class RelaxedOneHotCategorical(TransformedDistribution):
    """Relaxed one-hot draws: softmax((logits + Gumbel noise) / temperature).

    Examples
    --------
    >>> import retrograd as torch
    >>> d = torch.distributions.RelaxedOneHotCategorical(torch.tensor(0.5), torch.tensor([0.3, 0.7]))
    >>> torch.allclose(d.rsample().sum(), torch.tensor(1.0))
    True
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.simplex
    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args=validate_args)
        super().__init__(base, ExpTransform(), validate_args=validate_args)

    @property
    def temperature(self) -> Any:
        """How soft the draws are."""
        return self.base_dist.temperature

    @property
    def logits(self) -> Any:
        """The logarithms of the probabilities."""
        return self.base_dist.logits

    @property
    def probs(self) -> Any:
        """The probabilities."""
        return self.base_dist.probs
