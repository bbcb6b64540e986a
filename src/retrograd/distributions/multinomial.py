"""The multinomial distribution."""

from __future__ import annotations

from typing import Any

from ..core import no_grad
from ..nn import _functions as T
from ..tensor import Size
from . import constraints
from .binomial import Binomial
from .categorical import Categorical
from .one_hot_categorical import OverCategorical


class Multinomial(OverCategorical):
    """Multinomial distribution: how often each index came in total_count draws.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.Multinomial(4, torch.tensor([0.25, 0.75])).mean
    tensor([1., 3.])
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}

    def __init__(
        self, total_count: int = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        self._categorical = Categorical(probs, logits)
        super().__init__(self._categorical.batch_shape, self._categorical.param_shape[-1:], validate_args=validate_args)

    def _expand_into(self, new: Any, shape: Any) -> None:
        new.total_count = self.total_count
        super()._expand_into(new, shape)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Any:
        return self.probs * self.total_count

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            drawn = self._categorical.sample((self.total_count, *Size(sample_shape))).movedim(0, -1)
            blank = T.zeros(tuple(self._extended_shape(sample_shape)), dtype=self.probs.dtype)
            return blank.scatter_add(-1, drawn, T.ones_like(drawn).to(blank.dtype))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = T.broadcast_tensors(self.logits, value)
        logits = T.where((value == 0) & (logits == -float("inf")), 0.0, logits)
        return T.lgamma(value.sum(-1) + 1) - T.lgamma(value + 1).sum(-1) + (logits * value).sum(-1)

    def entropy(self) -> Any:
        n = T.full((), float(self.total_count), dtype=self.probs.dtype)
        support = Binomial(self.total_count, self.probs).enumerate_support(False)[1:]
        counts = Binomial(self.total_count, self.probs)
        weights = T.exp(counts.log_prob(support))
        return n * self._categorical.entropy() - T.lgamma(n + 1) + (weights * T.lgamma(support + 1)).sum([0, -1])
