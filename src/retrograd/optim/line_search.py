"""A line search that ends where the strong Wolfe conditions hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class Point(NamedTuple):
    """A place on the line: the step, and there the loss, the gradient and the slope along the line."""

    t: float
    loss: float
    gradient: Any
    slope: float


def cubic_minimum(a: Point, b: Point, bounds: tuple[float, float] | None = None) -> float:
    """Give the step at which the cubic through two points with their slopes is least, within bounds.

    Where there is no such minimum, the middle of the bounds is given.
    """
    if a.t > b.t:
        a, b = b, a
    low, high = bounds or (a.t, b.t)
    middle = (low + high) / 2
    if a.t == b.t:
        return middle
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not 0 <= square < math.inf:
        return middle
    d2 = math.sqrt(square)
    divisor = b.slope - a.slope + 2 * d2
    if divisor == 0:
        return middle
    return min(max(b.t - (b.t - a.t) * ((b.slope + d2 - d1) / divisor), low), high)


def strong_wolfe(
    evaluate: Callable[[float], Point],
    start: Point,
    t: float,
    size: float,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance: float = 1e-9,
    limit: int = 25,
) -> tuple[Point, int]:
    """Find a step whose loss is below start.loss + c1 t slope, and its slope at most c2 times the first in size.

    Parameters
    ----------
    evaluate : callable
        Gives the point at a step.
    start : Point
        The point at step 0, with a negative slope.
    t : float
        The first step to try.
    size : float
        Largest absolute element of the direction; the search ends when the bracket times it is below ``tolerance``.
    c1, c2, tolerance : float
    limit : int
        Most evaluations after the first.

    Returns
    -------
    Point, int
        The best point found and the number of evaluations.

    References
    ----------
    Nocedal and Wright, "Numerical optimization", 2006, algorithms 3.5 and 3.6; interpolation after Schmidt's minFunc.

    Examples
    --------
    >>> def parabola(t):
    ...     return Point(t, (t - 1) ** 2, None, 2 * (t - 1))
    >>> found, evaluations = strong_wolfe(parabola, parabola(0.0), 4.0, 1.0)
    >>> found.t, evaluations
    (1.0, 2)
    """

    def too_high(point: Point) -> bool:
        return point.loss > start.loss + c1 * point.t * start.slope

    def flat(point: Point) -> bool:
        return abs(point.slope) <= -c2 * start.slope

    before, now = start, evaluate(t)
    used = 0
    while used < limit:
        if too_high(now) or (used > 1 and now.loss >= before.loss):
            break
        if flat(now):
            return now, used + 1
        if now.slope >= 0:
            break
        t = cubic_minimum(before, now, (now.t + 0.01 * (now.t - before.t), now.t * 10))
        before, now = now, evaluate(t)
        used += 1
    else:
        before = start
    low, high = (before, now) if before.loss <= now.loss else (now, before)
    stuck = False
    while used < limit and abs(high.t - low.t) * size >= tolerance:
        left, right = min(low.t, high.t), max(low.t, high.t)
        t, stuck = _away_from_ends(cubic_minimum(low, high), left, right, stuck)
        now = evaluate(t)
        used += 1
        if too_high(now) or now.loss >= low.loss:
            low, high = (low, now) if low.loss <= now.loss else (now, low)
            continue
        if flat(now):
            return now, used + 1
        if now.slope * (high.t - low.t) >= 0:
            high = low
        low = now
    return low, used + 1


def _away_from_ends(t: float, left: float, right: float, stuck: bool) -> tuple[float, bool]:
    """Move a step that is close to an end of the bracket for the second time, or outside it, a tenth of the way in."""
    margin = 0.1 * (right - left)
    if min(right - t, t - left) >= margin:
        return t, False
    if not (stuck or t >= right or t <= left):
        return t, True
    return (right - margin if abs(t - right) < abs(t - left) else left + margin), False
