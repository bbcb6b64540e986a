"""torch's special functions: the error function's relatives, Bessel functions, incomplete gamma, orthogonal polynomials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...core import BaseTensor, dtypes, wrap
from ...ops import special_rows as s
from ..dispatch import FLOATS, as_dtype, binary, function, refused, result_type, tensor_operand, unary
from .comparing import where
from .linear_algebra import depends_on_values

_WITH_HALVES = ("entr", "i0", "i0e", "i1", "i1e", "ndtr")


def _no_halves(name: str, *operands: Any) -> None:
    """Raise NotImplementedError for numbers of two bytes, where torch has no kernel for them."""
    for x in operands:
        if isinstance(x, BaseTensor) and x._a.dtype.itemsize == 2 and x._a.dtype.kind in "fV":
            raise refused(name, x.dtype)


def _unary(name: str, op: Any, doc: str, torch: bool = False) -> Any:
    def fn(input: Any) -> Any:
        if name not in _WITH_HALVES:
            _no_halves(name, input)
        return unary(op, input, name, True, FLOATS)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name, inplace=True)(fn) if torch else fn


def _binary(name: str, op: Any, doc: str) -> Any:
    def fn(input: Any, other: Any) -> Any:
        if not isinstance(input, BaseTensor) and not isinstance(other, BaseTensor):
            tensor_operand(input, name)
        if name == "zeta":
            _no_halves(name, input, other)
        return binary(op, input, other, name, floating=True, kinds=FLOATS)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return fn


erfcx = _unary("erfcx", s.erfcx, "Give exp(x^2) erfc(x), which does not underflow.")
ndtr = _unary("ndtr", s.ndtr, "Give the normal distribution's cumulative probability.")
ndtri = _unary("ndtri", s.ndtri, "Give the inverse of ndtr.")
log_ndtr = _unary("log_ndtr", s.log_ndtr, "Give the logarithm of ndtr, exact in the lower tail.")
entr = _unary("entr", s.entr, "Give -x log(x), 0 at 0 and minus infinity below.")
i0 = _unary("i0", s.i0, "Give the modified Bessel function of the first kind and order 0.", torch=True)
i0e = _unary("i0e", s.i0e, "Give exp(-|x|) i0(x).")
i1 = _unary("i1", s.i1, "Give the modified Bessel function of the first kind and order 1.")
i1e = _unary("i1e", s.i1e, "Give exp(-|x|) i1(x).")
modified_bessel_k0 = _unary(
    "modified_bessel_k0", s.k0, "Give the modified Bessel function of the second kind and order 0."
)
modified_bessel_k1 = _unary(
    "modified_bessel_k1", s.k1, "Give the modified Bessel function of the second kind and order 1."
)
scaled_modified_bessel_k0 = _unary("scaled_modified_bessel_k0", s.k0e, "Give exp(x) modified_bessel_k0(x).")
scaled_modified_bessel_k1 = _unary("scaled_modified_bessel_k1", s.k1e, "Give exp(x) modified_bessel_k1(x).")
bessel_j0 = _unary("bessel_j0", s.j0, "Give the Bessel function of the first kind and order 0.")
bessel_j1 = _unary("bessel_j1", s.j1, "Give the Bessel function of the first kind and order 1.")
bessel_y0 = _unary("bessel_y0", s.y0, "Give the Bessel function of the second kind and order 0.")
bessel_y1 = _unary("bessel_y1", s.y1, "Give the Bessel function of the second kind and order 1.")
spherical_bessel_j0 = _unary(
    "spherical_bessel_j0", s.spherical_j0, "Give sin(x) / x, the spherical Bessel function of order 0."
)


def airy_ai(input: Any) -> Any:
    """Give Airy's function of the first kind; it has no derivative, as in torch."""
    _no_halves("airy_ai", input)
    return unary(s.airy_ai, input, "airy_ai", True, "f")


xlog1py = _binary("xlog1py", s.xlog1py, "Give x log(1 + y), 0 where x is 0 (unless y is NaN).")
zeta = _binary("zeta", s.zeta, "Give Hurwitz's zeta function, the sum of (k + q)^-x over k from 0 on.")


def _incomplete(name: str, op: Any, doc: str) -> Any:
    def fn(input: Any, other: Any) -> Any:
        return binary(op, input, other, name, kinds=FLOATS, tensors=True)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name, inplace=True)(fn)


igamma = _incomplete("igamma", s.gammainc, "Give the regularised lower incomplete gamma function P(input, other).")
igammac = _incomplete("igammac", s.gammaincc, "Give the regularised upper incomplete gamma function Q(input, other).")


LARGEST_DEGREE = 1 << 16  # beyond, only what has converged, grown beyond all bounds or become NaN is known


def polynomials(
    name: str,
    first: Callable[[Any], Any],
    step: Callable[[int, Any, Any, Any], Any],
    place: Callable[[Any], Any] = lambda x: x,
) -> Callable[[Any, Any], Any]:
    """Make a family of polynomials by its recurrence: p0 = 1, p1 = first(x), p(k + 1) = step(k, x, p(k), p(k - 1)).

    ``place`` is where the recurrence is taken, of the argument.
    """

    def family(input: Any, n: Any) -> Any:
        if not isinstance(input, BaseTensor) and not isinstance(n, BaseTensor):
            tensor_operand(input, name)
        _no_halves(name, input, n)
        d = result_type(input, n)
        if d.category < dtypes.FLOATING:
            d = dtypes.get_default_dtype()
        if d.is_complex or d.itemsize == 2:
            raise refused(name, d)
        x = place(as_dtype(input, d) if isinstance(input, BaseTensor) else wrap(np.asarray(input, d.numpy)))
        if not isinstance(n, BaseTensor) or not n._a.ndim:
            return _of_degree(x, int(n))
        depends_on_values(name, n)
        with np.errstate(all="ignore"):
            degrees = np.trunc(np.nan_to_num(n._a.astype(np.float64), nan=-1.0))
        degrees = np.clip(degrees, -1, LARGEST_DEGREE).astype(np.int64)
        x, shown = x.broadcast_to(np.broadcast_shapes(x._a.shape, degrees.shape)), int(degrees.max(initial=-1))
        found = x * 0.0
        before, now = found + 1, first(x)
        for k in range(shown + 1):
            found = where(wrap(degrees == k), before, found)
            before, now = now, step(k + 1, x, now, before)
        return found

    def _of_degree(x: Any, degree: int) -> Any:
        if degree < 0:
            return x * 0
        before, now = x * 0 + 1, first(x)
        if degree == 0:
            return before
        for k in range(1, min(degree, LARGEST_DEGREE)):
            before, now = now, step(k, x, now, before)
        return now

    return family


def _next_chebyshev(k: int, x: Any, p: Any, q: Any) -> Any:
    return 2 * x * p - q


def _shift(x: Any) -> Any:
    return 2 * x - 1


_CHEBYSHEV = {
    "t": lambda x: x,
    "u": lambda x: 2 * x,
    "v": lambda x: 2 * x - 1,
    "w": lambda x: 2 * x + 1,
}
for _kind, _first in _CHEBYSHEV.items():
    _name = f"chebyshev_polynomial_{_kind}"
    globals()[_name] = polynomials(_name, _first, _next_chebyshev)
    globals()[f"shifted_{_name}"] = polynomials(f"shifted_{_name}", _first, _next_chebyshev, _shift)
hermite_polynomial_h = polynomials("hermite_polynomial_h", lambda x: 2 * x, lambda k, x, p, q: 2 * x * p - 2 * k * q)
hermite_polynomial_he = polynomials("hermite_polynomial_he", lambda x: x, lambda k, x, p, q: x * p - k * q)
laguerre_polynomial_l = polynomials(
    "laguerre_polynomial_l", lambda x: 1 - x, lambda k, x, p, q: ((2 * k + 1 - x) * p - k * q) / (k + 1)
)
legendre_polynomial_p = polynomials(
    "legendre_polynomial_p", lambda x: x, lambda k, x, p, q: ((2 * k + 1) * x * p - k * q) / (k + 1)
)
