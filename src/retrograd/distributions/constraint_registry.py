"""Maps from unconstrained numbers to the values that satisfy a constraint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import constraints, transforms


class ConstraintRegistry:
    """A table from constraints to functions that make a transform of unconstrained numbers.

    Examples
    --------
    >>> import retrograd as torch
    >>> D = torch.distributions
    >>> D.transform_to(D.constraints.positive)(torch.tensor(0.0))
    tensor(1.)
    """

    def __init__(self) -> None:
        self._table: dict[type | str, Callable[[Any], Any]] = {}

    @staticmethod
    def _key(constraint: Any) -> Any:
        return constraint if isinstance(constraint, type) else type(constraint)

    def register(self, constraint: Any, factory: Any = None) -> Any:
        """Register a factory for a constraint or a class of constraints."""
        if factory is None:
            return lambda fn: self.register(constraint, fn)
        if not isinstance(constraint, constraints.Constraint) and not (
            isinstance(constraint, type) and issubclass(constraint, constraints.Constraint)
        ):
            raise TypeError(
                f"Expected constraint to be either a Constraint subclass or instance, but got {constraint!r}"
            )
        self._table[self._key(constraint)] = factory
        return factory

    def __call__(self, constraint: Any) -> Any:
        """Make the transform for a constraint; NotImplementedError where none is registered."""
        factory = self._table.get(self._key(constraint))
        if factory is None:
            raise NotImplementedError(f"Cannot transform {type(constraint).__name__} constraints")
        return factory(constraint)


biject_to = ConstraintRegistry()
transform_to = ConstraintRegistry()


def _between(c: Any) -> Any:
    low, high = c.lower_bound, c.upper_bound
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and (low, high) == (0, 1):
        return transforms.SigmoidTransform()
    return transforms.ComposeTransform([transforms.SigmoidTransform(), transforms.AffineTransform(low, high - low)])


def _above(c: Any) -> Any:
    low = c.lower_bound
    if isinstance(low, (int, float)) and low == 0:
        return transforms.ExpTransform()
    return transforms.ComposeTransform([transforms.ExpTransform(), transforms.AffineTransform(low, 1)])


def _joined(c: Any, registry: Any) -> Any:
    parts = [registry(p) for p in c.cseq]
    if c._stacked:
        return transforms.StackTransform(parts, c.dim)
    return transforms.CatTransform(parts, c.dim, c.lengths)


for _registry in (biject_to, transform_to):
    _registry.register(constraints.real, lambda c: transforms.identity_transform)
    for _kind in (constraints.GreaterThan, constraints.GreaterThanEq):
        _registry.register(_kind, _above)
    _registry.register(
        constraints.LessThan,
        lambda c: transforms.ComposeTransform(
            [transforms.ExpTransform(), transforms.AffineTransform(c.upper_bound, -1)]
        ),
    )
    for _bounded in (constraints.Interval, constraints.HalfOpenInterval):
        _registry.register(_bounded, _between)
    _registry.register(constraints.lower_cholesky, lambda c: transforms.LowerCholeskyTransform())
    _registry.register(constraints.positive_definite, lambda c: transforms.PositiveDefiniteTransform())
    _registry.register(
        constraints.independent,
        lambda c, registry=_registry: transforms.IndependentTransform(
            registry(c.base_constraint), c.reinterpreted_batch_ndims
        ),
    )
    _registry.register(constraints.corr_cholesky, lambda c: transforms.CorrCholeskyTransform())
    _registry.register(constraints.Joined, lambda c, registry=_registry: _joined(c, registry))
biject_to.register(constraints.simplex, lambda c: transforms.StickBreakingTransform())
transform_to.register(constraints.simplex, lambda c: transforms.SoftmaxTransform())

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]
