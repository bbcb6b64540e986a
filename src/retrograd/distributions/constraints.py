"""Constraints: which values a parameter or a draw may have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core import dtypes as _d
from ..nn import _functions as T
from ..tensor import as_tensor


class Constraint:
    """A set of values; ``check`` tells for every event whether it is in the set.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.distributions.constraints.positive.check(torch.tensor([1.0, -1.0]))
    tensor([ True, False])
    """

    is_discrete: Any = False
    event_dim: Any = 0

    def check(self, value: Any) -> Any:
        """Tell for every event whether it satisfies the constraint."""
        raise NotImplementedError

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v}" for k, v in self.__dict__.items() if not k.startswith("_"))
        return f"{type(self).__name__}({shown})"


class Test(Constraint):
    """A constraint that is one function of the value; each is the one object of a class of its own."""

    _test: Callable[[Any], Any]

    def check(self, value: Any) -> Any:
        return self._test(value)

    def __repr__(self) -> str:
        return f"{type(self).__name__[1:]}()"


def _constraint(name: str, test: Callable[[Any], Any], event_dim: int = 0, is_discrete: bool = False) -> Any:
    """Make a constraint of one function, and its class, which programs derive from and register by."""
    facts = {
        "__doc__": f"The constraint {name.lower()}.",
        "__module__": __name__,
        "_test": staticmethod(test),
        "event_dim": event_dim,
        "is_discrete": is_discrete,
    }
    kind = globals()[f"_{name}"] = type(f"_{name}", (Test,), facts)
    return kind()


class Dependent(Constraint):
    """A support that depends on the distribution's parameters, or on nothing known yet."""

    def __init__(self, *, is_discrete: Any = NotImplemented, event_dim: Any = NotImplemented) -> None:
        self._is_discrete, self._event_dim = is_discrete, event_dim

    @property
    def is_discrete(self) -> bool:
        """Whether the set is countable; NotImplementedError where that is not known."""
        if self._is_discrete is NotImplemented:
            raise NotImplementedError(".is_discrete cannot be determined statically")
        return bool(self._is_discrete)

    @property
    def event_dim(self) -> int:
        """How many of the last dimensions make one event; NotImplementedError where that is not known."""
        if self._event_dim is NotImplemented:
            raise NotImplementedError(".event_dim cannot be determined statically")
        return int(self._event_dim)

    def __call__(self, *, is_discrete: Any = NotImplemented, event_dim: Any = NotImplemented) -> Dependent:
        """Give one with further facts."""
        return Dependent(
            is_discrete=self._is_discrete if is_discrete is NotImplemented else is_discrete,
            event_dim=self._event_dim if event_dim is NotImplemented else event_dim,
        )

    def check(self, value: Any) -> Any:
        raise ValueError("Cannot determine validity of dependent constraint")


class dependent_property(property, Dependent):
    """A property whose value is the support, which depends on the parameters."""

    def __init__(self, fn: Any = None, *, is_discrete: Any = NotImplemented, event_dim: Any = NotImplemented) -> None:
        property.__init__(self, fn)
        self._is_discrete, self._event_dim = is_discrete, event_dim

    def __call__(self, fn: Any) -> Any:  # type: ignore[override]
        """Decorate a method."""
        return dependent_property(fn, is_discrete=self._is_discrete, event_dim=self._event_dim)


class _Bounds(Constraint):
    """Numbers between two bounds, each in or out of the set, or absent."""

    low_open = high_open = False

    def check(self, value: Any) -> Any:
        inside = value == value
        low, high = self.__dict__.get("lower_bound"), self.__dict__.get("upper_bound")
        if low is not None:
            inside = inside & (value > low if self.low_open else low <= value)
        if high is not None:
            inside = inside & (value < high if self.high_open else value <= high)
        return inside & (value % 1 == 0) if self.is_discrete else inside


class GreaterThan(_Bounds):
    """The numbers above a bound."""

    low_open = True

    def __init__(self, lower_bound: Any) -> None:
        self.lower_bound = lower_bound


class GreaterThanEq(_Bounds):
    """The numbers from a bound on."""

    def __init__(self, lower_bound: Any) -> None:
        self.lower_bound = lower_bound


class LessThan(_Bounds):
    """The numbers below a bound."""

    high_open = True

    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound


class Interval(_Bounds):
    """The numbers from one bound to another, both in the set."""

    def __init__(self, lower_bound: Any, upper_bound: Any) -> None:
        self.lower_bound, self.upper_bound = lower_bound, upper_bound


class HalfOpenInterval(Interval):
    """The numbers from one bound to another, the upper one left out."""

    high_open = True


class IntegerInterval(Interval):
    """The whole numbers from one bound to another."""

    is_discrete = True


class IntegerGreaterThan(GreaterThanEq):
    """The whole numbers from a bound on."""

    is_discrete = True


class IndependentConstraint(Constraint):
    """A constraint that holds for all of the last dimensions together."""

    def __init__(self, base_constraint: Any, reinterpreted_batch_ndims: int) -> None:
        self.base_constraint, self.reinterpreted_batch_ndims = base_constraint, reinterpreted_batch_ndims

    @property
    def event_dim(self) -> int:
        """How many of the last dimensions make one event."""
        return int(self.base_constraint.event_dim + self.reinterpreted_batch_ndims)

    @property
    def is_discrete(self) -> bool:
        """Whether the set is countable."""
        return bool(self.base_constraint.is_discrete)

    def check(self, value: Any) -> Any:
        inside = self.base_constraint.check(value)
        n = self.reinterpreted_batch_ndims
        if inside.dim() < n:
            raise ValueError(
                f"Expected value.dim() >= {self.event_dim} but got {value.dim()}: the last {self.event_dim} dimensions are one event"
            )
        return inside.reshape((*inside.shape[: inside.dim() - n], -1)).all(-1)


class Multinomial(Constraint):
    """Counts that sum to at most an upper bound."""

    is_discrete, event_dim = True, 1

    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound

    def check(self, value: Any) -> Any:
        return (value >= 0).all(-1) & (value.sum(-1) <= self.upper_bound)


class Joined(Constraint):
    """Constraints of the parts of a tensor, side by side or stacked along a dimension."""

    def __init__(self, parts: Any, dim: int, lengths: Any, stacked: bool) -> None:
        self.cseq, self.dim, self.lengths, self._stacked = list(parts), dim, lengths, stacked

    @property
    def event_dim(self) -> int:
        """How many of the last dimensions make one event."""
        largest: int = max(c.event_dim for c in self.cseq)
        return largest + 1 if self._stacked and self.dim + largest < 0 else largest

    @property
    def is_discrete(self) -> bool:
        """Whether one of the sets is countable."""
        return any(c.is_discrete for c in self.cseq)

    def check(self, value: Any) -> Any:
        if self._stacked:
            parts = [value.select(self.dim, i) for i in range(value.shape[self.dim])]
            return T.stack([c.check(v) for c, v in zip(self.cseq, parts)], self.dim)
        parts = T.split(value, self.lengths, self.dim)
        return T.cat([c.check(v) for c, v in zip(self.cseq, parts)], self.dim)


def cat(cseq: Any, dim: int = 0, lengths: Any = None) -> Constraint:
    """Join constraints of the parts of a tensor along a dimension."""
    cseq = list(cseq)
    return Joined(cseq, dim, [1] * len(cseq) if lengths is None else list(lengths), False)


def stack(cseq: Any, dim: int = 0) -> Constraint:
    """Stack constraints along a dimension."""
    return Joined(cseq, dim, None, True)


def is_dependent(constraint: Any) -> bool:
    """Tell whether a constraint depends on parameters."""
    return isinstance(constraint, Dependent)


def _simplex(v: Any) -> Any:
    return (v >= 0).all(-1) & ((v.sum(-1) - 1).abs() < 1e-6)


def _lower_cholesky(v: Any) -> Any:
    return _lower_triangular(v) & (T.diagonal(v, 0, -2, -1) > 0).all(-1)


def _lower_triangular(v: Any) -> Any:
    return (v.tril() == v).reshape((*v.shape[:-2], -1)).all(-1)


def _corr_cholesky(v: Any) -> Any:
    tolerance = _d.finfo(v.dtype).eps * v.shape[-1] * 10
    return _lower_cholesky(v) & ((v.square().sum(-1).sqrt() - 1).abs() < tolerance).all(-1)


def _square(v: Any) -> Any:
    return T.full(v.shape[:-2], v.shape[-2] == v.shape[-1], dtype=(v == v).dtype)


def _symmetric(v: Any) -> Any:
    same = T.isclose(v, v.transpose(-2, -1), atol=1e-6)
    return _square(v) & same.reshape((*v.shape[:-2], -1)).all(-1)


def _definite(strict: bool) -> Callable[[Any], Any]:
    def check(v: Any) -> Any:
        import numpy as np

        symmetric = _symmetric(v)
        if not bool(symmetric.all()):
            return symmetric
        smallest = np.linalg.eigvalsh(v.detach().double().numpy()).min(-1)
        return symmetric & as_tensor(np.asarray(smallest > 0 if strict else smallest >= -1e-7))

    return check


dependent = Dependent()
independent = IndependentConstraint
boolean = _constraint("Boolean", lambda v: (v == 0) | (v == 1), is_discrete=True)
one_hot = _constraint("OneHot", lambda v: ((v == 0) | (v == 1)).all(-1) & (v.sum(-1) == 1), 1, True)
real = _constraint("Real", lambda v: v == v)
real_vector = independent(real, 1)
nonnegative_integer = IntegerGreaterThan(0)
positive_integer = IntegerGreaterThan(1)
integer_interval = IntegerInterval
positive = GreaterThan(0.0)
nonnegative = GreaterThanEq(0.0)
greater_than = GreaterThan
greater_than_eq = GreaterThanEq
less_than = LessThan
interval = Interval
half_open_interval = HalfOpenInterval
unit_interval = Interval(0.0, 1.0)
multinomial = Multinomial
simplex = _constraint("Simplex", _simplex, 1)
lower_triangular = _constraint("LowerTriangular", _lower_triangular, 2)
lower_cholesky = _constraint("LowerCholesky", _lower_cholesky, 2)
corr_cholesky = _constraint("CorrCholesky", _corr_cholesky, 2)
square = _constraint("Square", _square, 2)
symmetric = _constraint("Symmetric", _symmetric, 2)
positive_semidefinite = _constraint("PositiveSemidefinite", _definite(False), 2)
positive_definite = _constraint("PositiveDefinite", _definite(True), 2)

for _kind in (Dependent, GreaterThan, GreaterThanEq, LessThan, Interval, HalfOpenInterval, IntegerInterval):
    globals()[f"_{_kind.__name__}"] = _kind  # by these names other libraries ask for the classes
_IntegerGreaterThan, _IndependentConstraint, _Multinomial = IntegerGreaterThan, IndependentConstraint, Multinomial
_DependentProperty, _Cat, _Stack = dependent_property, Joined, Joined

__all__ = [
    "Constraint",
    "boolean",
    "cat",
    "corr_cholesky",
    "dependent",
    "dependent_property",
    "greater_than",
    "greater_than_eq",
    "half_open_interval",
    "independent",
    "integer_interval",
    "interval",
    "is_dependent",
    "less_than",
    "lower_cholesky",
    "lower_triangular",
    "multinomial",
    "nonnegative",
    "nonnegative_integer",
    "one_hot",
    "positive",
    "positive_definite",
    "positive_integer",
    "positive_semidefinite",
    "real",
    "real_vector",
    "simplex",
    "square",
    "stack",
    "symmetric",
    "unit_interval",
]
