"""Derivatives checked against finite differences, first and second order, both modes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import BaseTensor, enable_grad, show_type, wrap
from ..tensor.backward import grad
from ..tensor.transforms import jvp


class GradcheckError(RuntimeError):
    """A derivative differs from its finite differences."""


def _tuple(x: Any) -> tuple[Any, ...]:
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def _outputs(func: Callable[..., Any], inputs: Sequence[Any]) -> list[Any]:
    return [o for o in _tuple(func(*inputs)) if isinstance(o, BaseTensor) and o._a.dtype.kind in "fcV"]


def _numerical(func: Callable[..., Any], inputs: Sequence[Any], which: int, eps: float) -> list[Any]:
    """Central differences of every output with respect to every element of one input."""
    x = inputs[which]
    a = x._a
    columns: list[list[Any]] = []
    steps = (eps, eps * 1j) if a.dtype.kind == "c" else (eps,)
    with enable_grad():  # the function may ask for gradients itself, or register hooks
        plain = [(o._a.shape, o._a.dtype) for o in _outputs(func, inputs)]
        for k in np.ndindex(a.shape):
            saved = a[k].copy()
            parts = []
            for step in steps:
                found = []
                for sign in (1, -1):
                    a[k] = saved + sign * step
                    found.append([o._a.copy() for o in _outputs(func, inputs)])
                    if [(o.shape, o.dtype) for o in found[-1]] != plain:
                        a[k] = saved
                        what = "shape" if [o.shape for o in found[-1]] != [s for s, _ in plain] else "dtype"
                        raise AssertionError(
                            f"Expected `func` to return outputs with the same {what} when inputs are perturbed on entry {k} by "
                            f"{sign * step}, but got: {[getattr(o, what) for o in found[-1]]} instead of {plain}"
                        )
                a[k] = saved
                parts.append([(p - m) / (2 * eps) for p, m in zip(*found, strict=True)])
            columns.append(parts[0] if len(parts) == 1 else [(d, e) for d, e in zip(*parts, strict=True)])
    if not columns:
        return [np.zeros((0, o._a.size), o._a.dtype) for o in _outputs(func, inputs)]
    if a.dtype.kind == "c":
        # torch's convention: the gradient of a real L is dL/dRe + i dL/dIm; a cotangent g gives conj(dRe)·g + i conj(dIm)·g
        return [np.array([(np.ravel(c[i][0]), np.ravel(c[i][1])) for c in columns]) for i in range(len(columns[0]))]
    return [np.stack([np.ravel(c[i]) for c in columns]) for i in range(len(columns[0]))]


def _expected(numerical: Any, cotangent: Any, x: Any) -> Any:
    """The gradient that a cotangent should give, from numerical partials."""
    g = np.ravel(cotangent)
    if x._a.dtype.kind == "c":
        real = (np.conj(numerical[:, 0]) @ g).real
        imag = (np.conj(numerical[:, 1]) @ g).real
        return (real + 1j * imag).reshape(x._a.shape)
    r = np.conj(numerical) @ g
    return (r.real if np.iscomplexobj(r) else r).reshape(x._a.shape)


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Check the gradients of a function against central finite differences.

    Parameters
    ----------
    func : callable
        Takes Tensors, gives a Tensor or a tuple of them.
    inputs : Tensor or tuple
        Those that require grad are checked; they should be float64.
    eps, atol, rtol : float
        The step of the differences, and the tolerances.
    raise_exception : bool
        Raise GradcheckError on a mismatch instead of giving False.
    nondet_tol : float
        How far two walks with the same upstream gradient may lie apart.
    check_forward_ad, check_backward_ad : bool
        Which modes are checked.
    check_batched_grad : bool
        Compare gradients of several upstream gradients at once, too.

    Raises
    ------
    AssertionError
        When neither mode is to be checked, or the type of a result depends on the inputs' values.
    RuntimeError
        For inputs whose elements share memory.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.rand(3, dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradcheck(torch.exp, x)
    True
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    if check_batched_grad and not check_backward_ad:
        raise AssertionError("Setting check_batched_grad=True requires check_backward_ad to be True")
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError("Setting check_batched_forward_grad=True requires check_forward_ad to be True")
    xs = _tuple(inputs)
    checked = [i for i, x in enumerate(xs) if isinstance(x, BaseTensor) and x.requires_grad]
    if not checked:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the them have requires_grad=True."
        )
    for i in checked:
        if not xs[i]._composite and any(step == 0 < n - 1 for step, n in zip(xs[i].stride(), xs[i].shape, strict=True)):
            raise RuntimeError(
                f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs that are non-overlapping to be able to "
                "compute the numerical gradients correctly. You should call .contiguous on the input before passing it to gradcheck."
            )
        if xs[i]._a.dtype.itemsize < 8 or xs[i]._a.dtype == np.complex64:
            import warnings

            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point or complex. This check will likely fail if all the inputs are not of double precision floating point or complex.",
                stacklevel=2,
            )
    try:
        outputs = _check(func, xs, checked, eps, atol, rtol, check_backward_ad, check_forward_ad, nondet_tol)
        if check_batched_grad and outputs:
            _check_batched(outputs, [xs[i] for i in checked], atol, rtol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _compare(got: Any, want: Any, atol: float, rtol: float, mode: str, j: int, i: int, place: str) -> None:
    bad = ~np.isclose(got, want, rtol=rtol, atol=atol, equal_nan=True)
    if bad.any():
        where = tuple(int(v) for v in np.argwhere(bad)[0])
        kind = "Jacobian computed with forward mode mismatch" if mode == "forward" else "Jacobian mismatch"
        raise GradcheckError(
            f"{kind} for output {j} with respect to input {i},\nnumerical:{want}\nanalytical:{got}\n"
            f"({place}; first at element {where}: {np.asarray(want)[where]!r} and {np.asarray(got)[where]!r})"
        )


def _check_repeats(o: Any, xs: list[Any], g: Any, first: Sequence[Any], tolerance: float) -> None:
    """Raise where the same walk gives another gradient the second time."""
    second = grad(o, xs, wrap(g), retain_graph=True, allow_unused=True)
    for a, b in zip(first, second, strict=True):
        if a is None or b is None or not a._a.size:
            continue
        last_bits = (
            16 * np.finfo(a._a.dtype).eps * np.abs(a._a)
        )  # a later walk may be the first that runs as one kernel
        if not np.all((np.abs(a._a - b._a) <= tolerance + last_bits) | np.isnan(a._a) | np.isinf(a._a)):
            raise GradcheckError(
                "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times gives different "
                "values, although analytical gradient matches numerical gradient."
                f"The tolerance for nondeterminism was {tolerance}."
            )


def _check_batched(outputs: list[Any], xs: list[Any], atol: float, rtol: float) -> None:
    """Compare the gradients of several upstream gradients at once with those of one at a time."""
    rng = np.random.default_rng(0)
    for o in outputs:
        gs = [rng.uniform(-1, 1, o._a.shape).astype(o._a.dtype) for _ in range(2)]
        alone = [grad(o, xs, wrap(g), retain_graph=True, allow_unused=True) for g in gs]
        rows = wrap(np.stack(gs))
        try:
            together = grad(o, xs, rows, retain_graph=True, allow_unused=True, is_grads_batched=True)
        except RuntimeError as error:
            raise GradcheckError(f"While computing batched gradients, got: {error}") from error
        for k, r in enumerate(together):
            for row, one in enumerate(alone):
                if one[k] is not None and not np.allclose(r._a[row], one[k]._a, rtol=rtol, atol=atol, equal_nan=True):
                    raise GradcheckError(
                        f"gradcheck or gradgradcheck failed while testing batched gradient computation: for input {k}, expected "
                        f"{one[k]._a}, got {r._a[row]}"
                    )


def _check(
    func: Any,
    xs: Any,
    checked: list[int],
    eps: float,
    atol: float,
    rtol: float,
    backward: bool,
    forward: bool,
    nondet_tol: float,
) -> list[Any]:
    """Compare both modes' derivatives with numerical ones; give the results that have a history."""
    with enable_grad():
        outputs = _outputs(func, xs)
    if not outputs:
        return []
    numerical = {i: _numerical(func, xs, i, eps) for i in checked}
    for j, o in enumerate(outputs):
        if backward and not o.requires_grad:
            for i in checked:
                if np.any(np.abs(numerical[i][j]) > atol):
                    raise GradcheckError(
                        f"Numerical gradient for function expected to be zero: output {j} does not require grad, but its numerical "
                        f"gradient with respect to input {i} is not zero"
                    )
            continue
        if backward:
            for k in np.ndindex(o._a.shape):
                for unit in (1.0, 1j) if o._a.dtype.kind == "c" else (1.0,):
                    g = np.zeros(o._a.shape, o._a.dtype)
                    g[k] = unit
                    found = grad(o, [xs[i] for i in checked], wrap(g), retain_graph=True, allow_unused=True)
                    for i, r in zip(checked, found, strict=True):
                        if r is not None and (r._a.shape != xs[i]._a.shape or r._a.dtype != xs[i]._a.dtype):
                            raise GradcheckError(
                                f"the gradient of input {i} is {show_type(r)}, the input is {show_type(xs[i])}"
                            )
                        got = np.zeros(xs[i]._a.shape) if r is None else r._a
                        _compare(
                            got,
                            _expected(numerical[i][j], g, xs[i]),
                            atol,
                            rtol,
                            "backward",
                            j,
                            i,
                            f"backward, cotangent at {k}",
                        )
            if o._a.size:
                _check_repeats(o, [xs[i] for i in checked], g, found, nondet_tol)
    if forward:
        for i in checked:
            for n, k in enumerate(np.ndindex(xs[i]._a.shape)):
                if xs[i]._a.dtype.kind == "c":
                    continue
                t = np.zeros(xs[i]._a.shape, xs[i]._a.dtype)
                t[k] = 1

                def partial(x: Any, i: int = i) -> Any:
                    return tuple(_outputs(func, [*xs[:i], x, *xs[i + 1 :]]))

                _, pushed = jvp(partial, (xs[i].detach(),), (wrap(t),))
                for j, p in enumerate(_tuple(pushed)):
                    _compare(
                        np.ravel(p._a),
                        numerical[i][j][n],
                        atol,
                        rtol,
                        "forward",
                        j,
                        i,
                        f"tangent at {k}",
                    )
    return [o for o in outputs if o.requires_grad]


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Check the gradients of the gradients against finite differences of the gradients.

    Parameters are those of ``gradcheck``; ``grad_outputs`` are the upstream gradients (random if left out).

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.rand(3, dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradgradcheck(torch.exp, x)
    True
    """
    xs = _tuple(inputs)
    outputs = _outputs(func, xs)
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        gs = tuple(wrap(rng.uniform(-1, 1, o._a.shape).astype(o._a.dtype)).requires_grad_() for o in outputs)
    else:
        gs = _tuple(grad_outputs)
    count = len(xs)

    def first(*args: Any) -> Any:
        values, upstream = args[:count], args[count:]
        made = _outputs(func, values)
        wanted = [v for v in values if isinstance(v, BaseTensor) and v.requires_grad]
        with enable_grad():
            live = [(o, g) for o, g in zip(made, upstream, strict=True) if o.requires_grad]
            return grad([o for o, _ in live], wanted, [g for _, g in live], create_graph=True, materialize_grads=True)

    def guarded(*args: Any) -> Any:
        with enable_grad():
            return first(*args)

    return gradcheck(
        guarded,
        (*xs, *gs),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_batched_grad=check_batched_grad,
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
    )
