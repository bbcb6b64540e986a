"""Derives the polynomials of the vector mathematics and writes them to compiler/codegen/vmath/coefficients.py.

Each row is a smooth function on an interval. It is interpolated at Chebyshev's points in many digits, which is within a
small factor of the best polynomial of its degree; the degree is the first that meets the row's bound on a fine grid.
Needs mpmath: `python scripts/derive_vector_coefficients.py`.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath as mp

mp.mp.dps = 160  # rows are differences divided by powers of small numbers
TARGET = pathlib.Path(__file__).parents[1] / "src/retrograd/compiler/codegen/vmath/coefficients.py"


@dataclass
class Row:
    """A function to approximate: its interval and, for each goal (bits of the result), the bits its polynomial must have."""

    name: str
    meaning: str
    function: Callable[[Any], Any]
    low: Any
    high: Any
    bits: dict[int, float]


def even(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Give a function of z = x^2 from one of x."""
    return lambda z: function(mp.sqrt(z))


def by_limit(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Step aside from the removable singularity at 0."""
    return lambda t: function(t if abs(t) > mp.mpf(10) ** -30 else mp.mpf(10) ** -30)


HALF_LN2 = mp.log(2) / 2 * mp.mpf("1.0001")
QUARTER = (mp.pi / 4 * mp.mpf("1.0001")) ** 2
ROOT = mp.sqrt(2)
S2 = ((ROOT - 1) / (ROOT + 1)) ** 2 * mp.mpf("1.0001")
T8 = (ROOT - 1) ** 2 * mp.mpf("1.0001")


def erfcx_of(t: Any) -> Any:
    """(1 + 2a) exp(a^2) erfc(a) at a = 4 (1 + t) / (1 - t)."""
    a = 4 * (1 + t) / (1 - t)
    return (1 + 2 * a) * mp.exp(a * a) * mp.erfc(a)


ROWS = [
    Row("EXP", "(e^r - 1 - r) / r^2, |r| <= ln(2)/2", lambda r: (mp.exp(r) - 1 - r) / r**2, -HALF_LN2, HALF_LN2, {24: 25, 34: 34, 53: 53}),
    Row("EXP2", "(2^f - 1) / f, |f| <= 1/2", lambda f: (2**f - 1) / f, mp.mpf("-0.5"), mp.mpf("0.5"), {24: 26, 34: 36, 53: 56}),
    Row("LOG", "(ln(1 + f) - f + f^2/2) / f^3, 1 + f within sqrt(2) of 1", lambda f: (mp.log1p(f) - f + f * f / 2) / f**3, 1 / ROOT - 1, ROOT - 1, {24: 23}),
    Row("ATANH", "(2 atanh(s) - 2 s) / s^3 of z = s^2", even(lambda s: (2 * mp.atanh(s) - 2 * s) / s**3), 0, S2, {34: 33, 53: 52}),
    Row("ATANH5", "(2 atanh(s) - 2 s - 2 s^3 / 3) / s^5 of z = s^2", even(lambda s: (2 * mp.atanh(s) - 2 * s - 2 * s**3 / 3) / s**5), 0, S2, {53: 56}),
    Row("TANH", "(tanh(x) - x) / x^3 of z = x^2, x <= 0.625", even(lambda x: (mp.tanh(x) - x) / x**3), 0, mp.mpf("0.625") ** 2, {24: 26}),
    Row("SIN", "(sin(r) - r) / r^3 of z = r^2, r <= pi/4", even(lambda r: (mp.sin(r) - r) / r**3), 0, QUARTER, {24: 26, 34: 36, 53: 56}),
    Row("COS", "(cos(r) - 1 + z/2) / z^2 of z = r^2, r <= pi/4", even(lambda r: (mp.cos(r) - 1 + r * r / 2) / r**4), 0, QUARTER, {24: 26, 34: 36, 53: 56}),
    Row("ASIN", "(asin(x) - x) / x^3 of z = x^2, x <= 1/2", even(lambda x: (mp.asin(x) - x) / x**3), 0, mp.mpf("0.25"), {34: 33, 53: 54}),
    Row("ATAN", "(atan(t) - t) / t^3 of z = t^2, t <= tan(pi/8)", even(lambda t: (mp.atan(t) - t) / t**3), 0, T8, {34: 33, 53: 54}),
    Row("ERF", "erf(x) / x - 1 of z = x^2, x <= 1", even(lambda x: mp.erf(x) / x - 1), 0, mp.mpf(1), {24: 27, 34: 36, 53: 57}),
    Row("ERF_FAR", "-log2(erfc(a)), 1 <= a <= 4", lambda a: -mp.log(mp.erfc(a), 2), mp.mpf(1), mp.mpf(4), {24: 23}),
    Row("ERFCX", "(1 + 2a) e^(a^2) erfc(a) of t = (a - 4) / (a + 4), 1/2 <= a <= 28 (10.5 for float32)", erfcx_of, -mp.mpf(7) / 9, mp.mpf("0.75"), {34: 34, 53: 55}),
]  # fmt: skip


def interpolate(function: Callable[[Any], Any], low: Any, high: Any, degree: int) -> list[Any]:
    """Give the coefficients, constant first, of the interpolation at Chebyshev's points."""
    middle, half = (low + high) / 2, (high - low) / 2
    points = [middle + half * mp.cos(mp.pi * (2 * k + 1) / (2 * degree + 2)) for k in range(degree + 1)]
    differences = [function(x) for x in points]
    for order in range(1, degree + 1):
        for k in range(degree, order - 1, -1):
            differences[k] = (differences[k] - differences[k - 1]) / (points[k] - points[k - order])
    coefficients = [differences[degree]]
    for k in range(degree - 1, -1, -1):  # p <- p (x - x_k) + d_k
        shifted = [mp.mpf(0), *coefficients]
        for place, c in enumerate(coefficients):
            shifted[place] -= points[k] * c
        shifted[0] += differences[k]
        coefficients = shifted
    return coefficients


def derive(row: Row, bits: float) -> tuple[list[Any], float]:
    """Give the shortest polynomial whose error on a grid is below 2^-bits, and the error's bits."""
    function = by_limit(row.function)
    low, high = mp.mpf(row.low), mp.mpf(row.high)
    grid = [low + (high - low) * k / 211 for k in range(212)]
    exact = [function(x) for x in grid]
    for degree in range(2, 40):
        coefficients = interpolate(function, low, high, degree)
        error = max(abs(mp.polyval(coefficients[::-1], x) - y) for x, y in zip(grid, exact))
        if error < mp.mpf(2) ** -bits:
            return coefficients, float(-mp.log(error, 2))
    raise ArithmeticError(f"{row.name}: no polynomial reaches {bits} bits")


def main() -> None:
    """Write the file."""
    lines = [
        '"""Polynomials of the vector mathematics, highest power first; written by scripts/derive_vector_coefficients.py."""',
        "",
        "from __future__ import annotations",
        "",
        "# name: {bits the result is meant to have: coefficients}; 34 is float64 arithmetic for a float32 result",
        "POLYNOMIALS: dict[str, dict[int, tuple[float, ...]]] = {",
    ]
    for row in ROWS:
        lines.append(f'    "{row.name}": {{  # {row.meaning}')
        for goal, bits in row.bits.items():
            coefficients, reached = derive(row, bits)
            print(f"{row.name:8} goal {goal}: degree {len(coefficients) - 1}, error 2^-{reached:.1f}")
            numbers = [repr(float(c)) for c in reversed(coefficients)]
            lines.append(f"        {goal}: (")
            lines += [f"            {number}," for number in numbers]
            lines.append("        ),")
        lines.append("    },")
    TARGET.write_text("\n".join([*lines, "}", ""]))


if __name__ == "__main__":
    main()
