"""torch.library.opcheck: whether an operator of one's own does what its schema and its registrations say."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from ..tensor import Tensor
from ._pytree import tree_leaves, tree_map_only

__all__ = ["OpCheckError", "opcheck"]

ALL = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")


class OpCheckError(Exception):
    """An operator is not what it was registered as."""


def _copied(given: Any) -> Any:
    return tree_map_only(Tensor, lambda x: x.detach().clone().requires_grad_(x.requires_grad), given)


def _tensors(given: Any) -> list[Any]:
    return [x for x in tree_leaves(given) if isinstance(x, Tensor)]


def _same(a: Any, b: Any) -> bool:
    return bool(a.detach().isclose(b.detach(), rtol=0, atol=0, equal_nan=True).all())


def _schema(op: Any, args: Any, kwargs: Any, close: Any) -> None:
    """Only what the schema says is written, and no result lies in an argument's memory."""
    before = _copied((args, kwargs))
    inputs, keywords = op.schema.bind(op.name(), args, kwargs)
    found = op(*args, **kwargs)
    written = {id(x) for x in op.schema.written(inputs, keywords)}
    for x, old in zip(_tensors((args, kwargs)), _tensors(before), strict=True):
        if id(x) not in written and not _same(x, old):
            raise OpCheckError(
                f"test_schema failed: an argument of {op.name()} is not defined as mutable but was mutated"
            )
    memory = {x.untyped_storage().data_ptr() for x in _tensors((args, kwargs)) if x.numel()}
    if any(r.numel() and r.untyped_storage().data_ptr() in memory for r in _tensors(found)):
        raise OpCheckError(f"test_schema failed: a result of {op.name()} is not defined to alias an argument but does")


def _registration(op: Any, args: Any, kwargs: Any, close: Any) -> None:
    """It can be called with tensors that require a gradient."""
    op(*args, **kwargs)


def _fake(op: Any, args: Any, kwargs: Any, close: Any) -> None:
    """What is registered for tensors without values gives shapes, steps and dtypes as the operator does."""
    found = _tensors(op(*_copied(args), **_copied(kwargs)))
    if not found:
        return
    if op._fake is None:
        raise OpCheckError(f"test_faketensor failed: there is no fake implementation of {op.name()}: use register_fake")
    known = _tensors(op._fake(*tree_map_only(Tensor, lambda x: x.detach().to("meta"), args), **kwargs))
    if len(known) != len(found):
        raise OpCheckError(f"test_faketensor failed: {op.name()} gives {len(found)} tensors, its fake {len(known)}")
    for real, fake in zip(found, known, strict=True):
        for what in ("shape", "dtype", "stride"):
            a, b = (getattr(x, what) for x in (real, fake))
            a, b = (a(), b()) if callable(a) else (a, b)
            if a != b:
                raise OpCheckError(
                    f"test_faketensor failed: found mismatched tensor metadata: {op.name()} gives {what} {a}, its fake {b}"
                )


def _compiled(op: Any, args: Any, kwargs: Any, close: Any) -> None:
    """A compiled function that calls it gives the same results and gradients."""
    from ..compiler.optimized import compile as compiled

    run = compiled(lambda *xs, **ks: op(*xs, **ks))
    outcomes = []
    for call in (op, run, run, run):
        xs, ks = _copied((args, kwargs))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = _tensors(call(*xs, **ks))
        sloped = [r for r in found if r.requires_grad]
        if sloped and op._backward is not None:
            sum((r.sum() for r in sloped[1:]), sloped[0].sum()).backward()
        outcomes.append([*found, *_tensors((xs, ks)), *[x.grad for x in _tensors((xs, ks)) if x.grad is not None]])
    for other in outcomes[1:]:
        if len(other) != len(outcomes[0]) or not all(close(a, b) for a, b in zip(outcomes[0], other, strict=True)):
            raise OpCheckError(f"test_aot_dispatch_dynamic failed: {op.name()} gives other values when it is compiled")


_CHECKS: dict[str, Callable[..., None]] = dict(zip(ALL, (_schema, _registration, _fake, _compiled), strict=True))


def opcheck(
    op: Any,
    args: Sequence[Any],
    kwargs: dict[str, Any] | None = None,
    *,
    test_utils: str | Sequence[str] = ALL,
    raise_exception: bool = True,
    atol: float | None = None,
    rtol: float | None = None,
) -> dict[str, Any]:
    """Check an operator of one's own with sample arguments; its gradient is for `torch.autograd.gradcheck` to check.

    Parameters
    ----------
    op : CustomOpDef
        What ``custom_op`` made, or ``torch.ops.<namespace>.<name>``.
    args, kwargs
        The arguments; with tensors that require a gradient where it has one.
    test_utils : str or sequence of str
        Which checks: the schema, the call with a gradient, the fake, the compiled call.
    raise_exception : bool
        Whether a check that fails raises, or is given with the rest.

    Raises
    ------
    OpCheckError
        A check failed.

    Examples
    --------
    >>> import retrograd as torch
    >>> @torch.library.custom_op("examples::doubled", mutates_args=())
    ... def doubled(x: torch.Tensor) -> torch.Tensor:
    ...     return x * 2
    >>> _ = doubled.register_fake(torch.empty_like)
    >>> torch.library.opcheck(doubled, (torch.ones(2),))["test_faketensor"]
    'SUCCESS'
    """
    from ..library import _found

    made = _found(op)
    names = (test_utils,) if isinstance(test_utils, str) else tuple(test_utils)
    if unknown := set(names) - set(ALL):
        raise ValueError(f"opcheck: there is no check {sorted(unknown)}; there are {list(ALL)}")
    tolerance = {"rtol": 1e-5 if rtol is None else rtol, "atol": 1e-8 if atol is None else atol, "equal_nan": True}

    def close(a: Any, b: Any) -> bool:
        return bool(a.shape == b.shape and a.detach().isclose(b.detach(), **tolerance).all())

    outcome: dict[str, Any] = {}
    for name in names:
        try:
            _CHECKS[name](made, *_copied((tuple(args), dict(kwargs or {}))), close)
            outcome[name] = "SUCCESS"
        except Exception as error:
            if raise_exception:
                raise error if isinstance(error, OpCheckError) else OpCheckError(f"{name} failed: {error}") from error
            outcome[name] = error
    return outcome
