"""Derives the coefficient tables of retrograd.ops.special; run with Python and mpmath, prints the tables.

The approximations are those of remez.py, beside this file. Prints the body of src/retrograd/ops/special/tables.py below its class.
"""

from __future__ import annotations

import sys

import mpmath as mp
from remez import remez

S = mp.sqrt
half = mp.mpf("0.5")


def erf_excess(t):
    """erf(x)/x - 1 of t = x^2."""
    return mp.erf(S(t)) / S(t) - 1 if t > 0 else 2 / S(mp.pi) - 1


def erf_weight(t):
    """One over erf(x)/x."""
    return S(t) / mp.erf(S(t)) if t > 0 else S(mp.pi) / 2


def erfcx(x):
    """exp(x^2) erfc(x)."""
    return mp.exp(x * x) * mp.erfc(x)


def erfcx_tail(s):
    """x erfcx(x) of s = 1/x^2."""
    return erfcx(1 / S(s)) / S(s) if s > 0 else 1 / S(mp.pi)


def erf_atanh(t):
    """atanh(erf(x))/x - 1 of t = x^2."""
    return mp.atanh(mp.erf(S(t))) / S(t) - 1 if t > 0 else 2 / S(mp.pi) - 1


def erf_atanh_weight(t):
    """What a change of it does to erf, relatively."""
    x = S(t)
    return max(x * (1 - mp.erf(x) ** 2) / mp.erf(x), mp.mpf("1e-5")) if t > 0 else S(mp.pi) / 2


def erfinv_central(t):
    """erfinv(x)/x of t = x^2."""
    if t == 0:
        return S(mp.pi) / 2
    return erfcinv_log(-mp.log(1 - S(t)), mp.mpf(0.1)) / S(t)


def erfcinv_log(l, x):
    """The z with log(erfc(z)) = -l, by Newton from x."""
    for _ in range(100):
        e = mp.erfc(x)
        dx = (mp.log(e) + l) / (-2 / S(mp.pi) * mp.exp(-x * x) / e)
        x -= dx
        if abs(dx) < mp.mpf(10) ** -42 * abs(x):
            return x
    raise ArithmeticError("no convergence")


def quantile(start):
    """erfcinv(exp(-r^2)) of y = r - start."""
    return lambda y: erfcinv_log((y + start) ** 2, (y + start) * mp.mpf("0.8"))


def log_gamma(x0):
    """lgamma(x0 + y) of y."""
    return lambda y: mp.loggamma(x0 + y)


def stirling(s):
    """x times the rest of Stirling's formula, of s = 1/x^2."""
    if s == 0:
        return mp.mpf(1) / 12
    x = 1 / S(s)
    return x * (mp.loggamma(x) - ((x - half) * mp.log(x) - x + mp.log(2 * mp.pi) / 2))


ROOT = mp.findroot(mp.digamma, mp.mpf("1.46163214496836234126"))


def digamma_factor(y):
    """digamma(1 + y) without its zero."""
    x = 1 + y
    return mp.digamma(x) / (x - ROOT) if x != ROOT else mp.psi(1, x)


def digamma_tail(s):
    """x^2 (log x - 1/(2x) - digamma(x)) of s = 1/x^2."""
    if s == 0:
        return mp.mpf(1) / 12
    x = 1 / S(s)
    return x * x * (mp.log(x) - 1 / (2 * x) - mp.digamma(x))


def i_small(nu):
    """I(x)/x^nu of t = x^2."""
    return lambda t: mp.besseli(nu, S(t)) / S(t) ** nu if t > 0 else mp.mpf(1) / (1 + nu)


def i_large(nu):
    """sqrt(x) exp(-x) I(x) of 1/8 - 1/x."""

    def f(y):
        u = mp.mpf(1) / 8 - y
        return S(1 / u) * mp.exp(-1 / u) * mp.besseli(nu, 1 / u) if u > 0 else 1 / S(2 * mp.pi)

    return f


def k_large(nu):
    """sqrt(x) exp(x) K(x) of 1/x."""
    return lambda u: S(1 / u) * mp.exp(1 / u) * mp.besselk(nu, 1 / u) if u > 0 else S(mp.pi / 2)


def k0_small(t):
    """The regular part of K0, over x^2, of t = x^2."""
    return (mp.besselk(0, S(t)) + (mp.log(S(t) / 2) + mp.euler) * mp.besseli(0, S(t))) / t if t > 0 else mp.mpf(1) / 4


def k1_small(t):
    """The regular part of K1, over x, of t = x^2."""
    x = S(t)
    return (mp.besselk(1, x) - 1 / x - mp.log(x / 2) * mp.besseli(1, x)) / x if t > 0 else mp.euler / 2 - mp.mpf(1) / 4


def zero_of_j(nu):
    """The first zero of J."""
    return mp.besseljzero(nu, 1)


def j_small(nu):
    """J without its first zero, of t = x^2."""
    r = zero_of_j(nu) ** 2

    def f(t):
        if t == 0:
            return -(1 - mp.mpf(nu) / 2) / r
        return mp.besselj(nu, S(t)) / S(t) ** nu / (t - r)

    return f


def y0_small(t):
    """The regular part of Y0 of t = x^2."""
    if t == 0:
        return 2 / mp.pi * (mp.euler - mp.log(2))
    return mp.bessely(0, S(t)) - 2 / mp.pi * mp.log(S(t)) * mp.besselj(0, S(t))


def y1_small(t):
    """The regular part of Y1, over x, of t = x^2."""
    if t == 0:
        return (2 * (mp.euler - mp.log(2)) - 1) / (2 * mp.pi)
    x = S(t)
    return (mp.bessely(1, x) - 2 / mp.pi * (mp.log(x) * mp.besselj(1, x) - 1 / x)) / x


def hankel(nu, part):
    """Hankel's P, or x Q, of s = 1/x^2."""

    def f(s):
        if s == 0:
            return mp.mpf(1) if part == "P" else (mp.mpf(-1) / 8 if nu == 0 else mp.mpf(3) / 8)
        x = 1 / S(s)
        chi = x - mp.pi / 4 - nu * mp.pi / 2
        j, y, scale = mp.besselj(nu, x), mp.bessely(nu, x), S(mp.pi * x / 2)
        if part == "P":
            return scale * (j * mp.cos(chi) + y * mp.sin(chi))
        return scale * (y * mp.cos(chi) - j * mp.sin(chi)) * x

    return f


# name, what it approximates, function, a, b, degrees, weight (None: relative), what the error is relative to
TABLES = [
    ("ERF_SMALL", "erf(x)/x - 1 in x^2, |x| <= 1", erf_excess, 0, 1, 11, 0, erf_weight),
    (
        "ERF_FLOAT32",
        "atanh(erf(x))/x - 1 in x^2, |x| <= 3.92, where tanh reaches 1 in float32",
        erf_atanh,
        0,
        mp.mpf("3.92") ** 2,
        9,
        0,
        erf_atanh_weight,
    ),
    ("ERFCX_MIDDLE", "exp(x^2) erfc(x) in x - 1, 1/2 <= x <= 4", lambda y: erfcx(1 + y), -half, 3, 8, 8, None),
    ("ERFCX_LARGE", "x exp(x^2) erfc(x) in 1/x^2, x >= 4", erfcx_tail, 0, mp.mpf(1) / 16, 5, 5, None),
    (
        "ERFINV_CENTRAL",
        "erfinv(x)/x in 9/16 - x^2, |x| <= 3/4",
        lambda y: erfinv_central(mp.mpf("0.5625") - y),
        0,
        mp.mpf("0.5625"),
        7,
        7,
        None,
    ),
    (
        "ERFCINV_MIDDLE",
        "erfcinv(exp(-r^2)) in r - 1.125, 1.125 <= r <= 3.5",
        quantile(mp.mpf("1.125")),
        0,
        mp.mpf("2.375"),
        8,
        7,
        None,
    ),
    ("ERFCINV_LARGE", "erfcinv(exp(-r^2)) in r - 3.5, 3.5 <= r <= 27.5", quantile(mp.mpf("3.5")), 0, 24, 9, 8, None),
    (
        "LGAMMA_ONE",
        "lgamma(1 + y)/y in y + 1/2, |y| <= 1/2",
        lambda z: mp.loggamma(half + z) / (z - half) if z != half else -mp.euler,
        0,
        1,
        8,
        8,
        None,
    ),
    (
        "LGAMMA_TWO",
        "lgamma(2 + y)/y in y + 1/2, -1/2 <= y <= 1",
        lambda z: mp.loggamma(half + 1 + z) / (z - half) if z != half else 1 - mp.euler,
        0,
        half * 3,
        7,
        7,
        None,
    ),
    ("LGAMMA_THREE", "lgamma(3 + y) in y, 0 <= y <= 5", log_gamma(3), 0, 5, 8, 8, None),
    (
        "LGAMMA_LARGE",
        "x (lgamma(x) - Stirling's formula) in 1/x^2, x >= 8",
        stirling,
        0,
        mp.mpf(1) / 64,
        5,
        0,
        lambda s: mp.mpf(1) / 64,
    ),
    ("DIGAMMA_ONE", "digamma(1 + y)/(1 + y - root) in y, 0 <= y <= 1", digamma_factor, 0, 1, 6, 5, None),
    ("DIGAMMA_TWO", "digamma(2 + y) in y, 0 <= y <= 6", lambda y: mp.digamma(2 + y), 0, 6, 8, 8, None),
    (
        "DIGAMMA_LARGE",
        "x^2 (log(x) - 1/(2x) - digamma(x)) in 1/x^2, x >= 8",
        digamma_tail,
        0,
        mp.mpf(1) / 64,
        5,
        0,
        lambda s: mp.mpf(1) / 64,
    ),
    ("I0_SMALL", "i0(x) in x^2, |x| <= 8", i_small(0), 0, 64, 15, 0, None),
    ("I0_LARGE", "sqrt(x) exp(-x) i0(x) in 1/8 - 1/x, x >= 8", i_large(0), 0, mp.mpf(1) / 8, 10, 10, None),
    ("I1_SMALL", "i1(x)/x in x^2, |x| <= 8", i_small(1), 0, 64, 14, 0, None),
    ("I1_LARGE", "sqrt(x) exp(-x) i1(x) in 1/8 - 1/x, x >= 8", i_large(1), 0, mp.mpf(1) / 8, 10, 10, None),
    (
        "K0_SMALL",
        "(k0(x) + (log(x/2) + euler) i0(x))/x^2 in x^2, 0 < x <= 1",
        k0_small,
        0,
        1,
        6,
        0,
        lambda t: t / mp.besselk(0, S(t)) if t else mp.mpf("1e-3"),
    ),
    ("K0_LARGE", "sqrt(x) exp(x) k0(x) in 1/x, x >= 1", k_large(0), 0, 1, 9, 9, None),
    (
        "K1_SMALL",
        "(k1(x) - 1/x - log(x/2) i1(x))/x in x^2, 0 < x <= 1",
        k1_small,
        0,
        1,
        6,
        0,
        lambda t: S(t) / mp.besselk(1, S(t)) if t else mp.mpf("1e-3"),
    ),
    ("K1_LARGE", "sqrt(x) exp(x) k1(x) in 1/x, x >= 1", k_large(1), 0, 1, 9, 9, None),
    ("J0_SMALL", "j0(x)/(x^2 - root^2) in x^2, |x| <= 5", j_small(0), 0, 25, 12, 0, None),
    ("J1_SMALL", "j1(x)/(x (x^2 - root^2)) in x^2, |x| <= 5", j_small(1), 0, 25, 11, 0, None),
    ("Y0_SMALL", "y0(x) - 2/pi log(x) j0(x) in x^2, 0 < x <= 5", y0_small, 0, 25, 13, 0, lambda t: 1),
    ("Y1_SMALL", "(y1(x) - 2/pi (log(x) j1(x) - 1/x))/x in x^2, 0 < x <= 5", y1_small, 0, 25, 12, 0, lambda t: 1),
    (
        "J0_P",
        "P of Abramowitz and Stegun 9.2.5 for order 0 in 1/x^2, x >= 5",
        hankel(0, "P"),
        0,
        mp.mpf(1) / 25,
        6,
        6,
        None,
    ),
    (
        "J0_Q",
        "x Q of Abramowitz and Stegun 9.2.5 for order 0 in 1/x^2, x >= 5",
        hankel(0, "Q"),
        0,
        mp.mpf(1) / 25,
        6,
        6,
        None,
    ),
    (
        "J1_P",
        "P of Abramowitz and Stegun 9.2.5 for order 1 in 1/x^2, x >= 5",
        hankel(1, "P"),
        0,
        mp.mpf(1) / 25,
        6,
        6,
        None,
    ),
    (
        "J1_Q",
        "x Q of Abramowitz and Stegun 9.2.5 for order 1 in 1/x^2, x >= 5",
        hankel(1, "Q"),
        0,
        mp.mpf(1) / 25,
        6,
        6,
        None,
    ),
]


def text(values):
    """Numbers in lines of 110 columns."""
    lines, line = [], "   "
    for v in values:
        item = f" {float(v)!r},"
        if len(line) + len(item) > 110:
            lines.append(line)
            line = "   "
        line += item
    return "\n".join([*lines, line])


def emit(spec):
    """One table as Python source."""
    name, what, f, a, b, n, m, weight = spec
    p, q, e, level, _ = remez(f, a, b, n, m, weight=weight)
    out = f"# {what}: within {mp.nstr(e, 2)}.\n"
    if m == 0:
        return out + f"{name} = (\n{text(p)}\n)\n"
    inner = [text(part).replace("    ", "        ") for part in (p, q)]
    return out + f"{name} = Rational(\n    (\n{inner[0]}\n    ),\n    (\n{inner[1]}\n    ),\n)\n"


def gauss_legendre(count):
    """The positive nodes on [-1, 1] and their weights, by Newton's iteration."""
    nodes, weights = [], []
    for k in range(1, count // 2 + 1):
        x = mp.cos(mp.pi * (k - mp.mpf(1) / 4) / (count + half))
        for _ in range(100):
            slope = count * (x * mp.legendre(count, x) - mp.legendre(count - 1, x)) / (x * x - 1)
            step = mp.legendre(count, x) / slope
            x -= step
            if abs(step) < mp.mpf(10) ** -40:
                break
        nodes.append(x)
        weights.append(2 / ((1 - x * x) * slope**2))
    assert abs(sum(weights) - 1) < mp.mpf(10) ** -30
    return (
        "# Gauss-Legendre quadrature of 40 points on [-1, 1]: the positive nodes, and their weights.\n"
        f"GAUSS_NODES = (\n{text(nodes)}\n)\nGAUSS_WEIGHTS = (\n{text(weights)}\n)\n"
    )


if __name__ == "__main__":
    names = sys.argv[1:]
    for spec in TABLES:
        if not names or spec[0] in names:
            print(emit(spec), flush=True)
    if not names or "GAUSS" in names:
        print(gauss_legendre(40))
