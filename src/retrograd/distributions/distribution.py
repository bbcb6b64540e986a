"""The base of all distributions: shapes, checks, and what follows from a subclass's few formulas."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

from ..core import MODE, BaseTensor, no_grad
from ..nn import _functions as T
from ..tensor import Size
from . import constraints
from .utils import lazy_property


def _captured() -> bool:
    """Tell whether this is a run that a compiled function is made of: a program does not ask for values, nor complain of them."""
    return getattr(MODE.trace, "compiling", False)


class Distribution:
    """A probability distribution over events of ``event_shape``, ``batch_shape`` of them side by side.

    A subclass gives ``rsample`` (draws with a gradient) or ``sample``, ``log_prob``, and what else has a closed form;
    its ``parameters`` say how many of each parameter's last dimensions belong to one event.
    """

    has_rsample: Any = False
    has_enumerate_support: Any = False
    arg_constraints: Any = {}
    support: Any
    parameters: ClassVar[dict[str, int]] = {}
    _validate_args: bool = __debug__

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Set whether new distributions check their arguments; ValueError for anything but True and False."""
        if value not in (True, False):
            raise ValueError(f"set_default_validate_args expects True or False, got {value!r}")
        Distribution._validate_args = value

    def __init__(self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args and not _captured():
            self._check_parameters()
        super().__init__()  # the next class of a program's own

    def _check_parameters(self) -> None:
        for name, constraint in self.arg_constraints.items():
            if constraints.is_dependent(constraint):
                continue
            if name not in self.__dict__ and isinstance(getattr(type(self), name, None), lazy_property):
                continue
            value = getattr(self, name)
            inside = constraint.check(value)
            if not bool(inside.all()):
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution {self!r} "
                    f"to satisfy the constraint {constraint!r}, but found invalid values:\n{value}"
                )

    @property
    def batch_shape(self) -> Any:
        """The shape of the parameters: how many distributions stand side by side."""
        return self._batch_shape

    @property
    def event_shape(self) -> Any:
        """The shape of one draw from one of them."""
        return self._event_shape

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """Give the distribution with its parameters repeated to another batch shape."""
        new = self._get_checked_instance(Distribution, _instance)
        shape = Size(batch_shape)
        self._expand_into(new, shape)
        Distribution.__init__(new, shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        """Give what an ``expand`` of one's own fills: the object that a subclass's handed down, or a new one."""
        return type(self).__new__(type(self)) if _instance is None else _instance

    def _expand_into(self, new: Any, shape: Any) -> None:
        for name, dims in self.parameters.items():
            value = self.__dict__.get(name)
            if isinstance(value, Distribution):
                new.__dict__[name] = value.expand((*shape, *value.batch_shape[len(value.batch_shape) - dims :]))
            elif isinstance(value, BaseTensor):
                tail = value.shape[value.dim() - dims :] if dims else ()
                new.__dict__[name] = value.expand((*shape, *tail))

    @property
    def mean(self) -> Any:
        """The mean."""
        raise NotImplementedError(f"{type(self).__name__} has no mean in closed form")

    @property
    def mode(self) -> Any:
        """The likeliest value."""
        raise NotImplementedError(f"{type(self).__name__} does not implement mode")

    @property
    def variance(self) -> Any:
        """The variance."""
        raise NotImplementedError(f"{type(self).__name__} has no variance in closed form")

    @property
    def stddev(self) -> Any:
        """The standard deviation."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Any = ()) -> Any:
        """Draw values without a gradient: shape ``sample_shape + batch_shape + event_shape``."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Draw values whose gradient reaches the parameters."""
        raise NotImplementedError(f"{type(self).__name__} draws have no gradient: use sample() and log_prob()")

    def sample_n(self, n: int) -> Any:
        """Draw n values."""
        warnings.warn("sample_n(n) will be deprecated. Use .sample((n,)) instead.", UserWarning, stacklevel=2)
        return self.sample((n,))

    def log_prob(self, value: Any) -> Any:
        """Give the logarithm of the density or probability of values."""
        raise NotImplementedError(f"{type(self).__name__} has no log_prob in closed form")

    def cdf(self, value: Any) -> Any:
        """Give the probability of values up to this one."""
        raise NotImplementedError(f"{type(self).__name__} has no cdf in closed form")

    def icdf(self, value: Any) -> Any:
        """Give the value up to which a probability lies."""
        raise NotImplementedError(f"{type(self).__name__} has no icdf in closed form")

    def enumerate_support(self, expand: bool = True) -> Any:
        """Give all values of a discrete distribution along a new first dimension."""
        raise NotImplementedError(f"the support of {type(self).__name__} cannot be enumerated")

    def entropy(self) -> Any:
        """Give the entropy, in nats."""
        raise NotImplementedError(f"{type(self).__name__} has no entropy in closed form")

    def perplexity(self) -> Any:
        """Give exp(entropy)."""
        return T.exp(self.entropy())

    def _extended_shape(self, sample_shape: Any = ()) -> Any:
        return Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def _enumerated(self, values: Any, expand: bool) -> Any:
        """Lay values along a new first dimension before the batch's."""
        values = values.reshape((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values

    def _validate_sample(self, value: Any) -> None:
        if not isinstance(value, BaseTensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        shape, event = tuple(value.shape), tuple(self._event_shape)
        start = len(shape) - len(event)
        if shape[max(start, 0) :] != event:
            raise ValueError(
                f"The right-most size of value must match event_shape: {shape} vs {event} ({type(self).__name__})"
            )
        expected = (*self._batch_shape, *event)
        for i, j in zip(reversed(shape), reversed(expected)):
            if i != 1 and j != 1 and i != j:
                raise ValueError(
                    f"Value is not broadcastable with batch_shape+event_shape: {list(shape)} vs {list(expected)} "
                    f"({type(self).__name__})"
                )
        try:
            support = self.support
        except NotImplementedError:
            warnings.warn(f"{type(self)} does not define `support` to enable sample validation.", stacklevel=2)
            return
        if not _captured() and not bool(support.check(value).all()):
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {shape}) to be within the support ({support!r}) "
                f"of the distribution {self!r}, but found invalid values:\n{value}"
            )

    def __repr__(self) -> str:
        shown = []
        for name in self.arg_constraints:
            value = self.__dict__.get(name)
            if value is not None:
                shown.append(f"{name}: {value if value.numel() == 1 else value.size()}")
        return f"{type(self).__name__}({', '.join(shown)})"


class ExponentialFamily(Distribution):
    """A distribution of the exponential family; a name to test for."""
