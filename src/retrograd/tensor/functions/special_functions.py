"""torch's special functions: the error function's relatives, Bessel functions, incomplete gamma, orthogonal polynomials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...core import BaseTensor
from ...ops import special_rows as s
from ..dispatch import FLOATS, binary, function, tensor_operand, unary


def _unary(name: str, op: Any, doc: str, torch: bool = False) -> Any:
    def fn(input: Any) -> Any:
        return unary(op, input, name, True, FLOATS)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name, inplace=True)(fn) if torch else fn


def _binary(name: str, op: Any, doc: str) -> Any:
    def fn(input: Any, other: Any) -> Any:
        if not isinstance(input, BaseTensor) and not isinstance(other, BaseTensor):
            tensor_operand(input, name)
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
xlog1py = _binary("xlog1py", s.xlog1py, "Give x log(1 + y), 0 where x is 0 (unless y is NaN).")
zeta = _binary("zeta", s.zeta, "Give Hurwitz's zeta function, the sum of (k + q)^-x over k from 0 on.")


def _incomplete(name: str, op: Any, doc: str) -> Any:
    def fn(input: Any, other: Any) -> Any:
        return binary(op, input, other, name, floating=True, kinds=FLOATS, tensors=True)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return function(name, inplace=True)(fn)


igamma = _incomplete("igamma", s.gammainc, "Give the regularised lower incomplete gamma function P(input, other).")
igammac = _incomplete("igammac", s.gammaincc, "Give the regularised upper incomplete gamma function Q(input, other).")


def polynomials(first: Callable[[Any], Any], step: Callable[[int, Any, Any, Any], Any]) -> Callable[[Any, int], Any]:
    """Make a family of polynomials by its recurrence: p0 = 1, p1 = first(x), p(k + 1) = step(k, x, p(k), p(k - 1))."""

    def family(input: Any, n: Any) -> Any:
        degree = int(n.item()) if isinstance(n, BaseTensor) else int(n)
        x = input if input.dtype.is_floating_point else input.float()
        if degree < 0:
            return x * 0
        before, now = x * 0 + 1, first(x)
        if degree == 0:
            return before
        for k in range(1, degree):
            before, now = now, step(k, x, now, before)
        return now

    return family


def _next_chebyshev(k: int, x: Any, p: Any, q: Any) -> Any:
    return 2 * x * p - q


def _shifted(family: Callable[[Any, int], Any]) -> Callable[[Any, int], Any]:
    return lambda input, n: family(2 * input - 1, n)


chebyshev_polynomial_t = polynomials(lambda x: x, _next_chebyshev)
chebyshev_polynomial_u = polynomials(lambda x: 2 * x, _next_chebyshev)
chebyshev_polynomial_v = polynomials(lambda x: 2 * x - 1, _next_chebyshev)
chebyshev_polynomial_w = polynomials(lambda x: 2 * x + 1, _next_chebyshev)
shifted_chebyshev_polynomial_t = _shifted(chebyshev_polynomial_t)
shifted_chebyshev_polynomial_u = _shifted(chebyshev_polynomial_u)
shifted_chebyshev_polynomial_v = _shifted(chebyshev_polynomial_v)
shifted_chebyshev_polynomial_w = _shifted(chebyshev_polynomial_w)
hermite_polynomial_h = polynomials(lambda x: 2 * x, lambda k, x, p, q: 2 * x * p - 2 * k * q)
hermite_polynomial_he = polynomials(lambda x: x, lambda k, x, p, q: x * p - k * q)
laguerre_polynomial_l = polynomials(lambda x: 1 - x, lambda k, x, p, q: ((2 * k + 1 - x) * p - k * q) / (k + 1))
legendre_polynomial_p = polynomials(lambda x: x, lambda k, x, p, q: ((2 * k + 1) * x * p - k * q) / (k + 1))
