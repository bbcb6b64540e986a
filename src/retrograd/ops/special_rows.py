"""Special functions as rows: the error function's relatives, Bessel functions, incomplete gamma, entropy terms."""

from __future__ import annotations

import math
from typing import Any

from . import batching, special
from .derive import elementwise, plain
from .elementwise import cos, exp, lgamma, like, log, log1p, sign, sin, where
from .special import implicit

SQRT_PI = math.sqrt(math.pi)
SQRT_2PI = math.sqrt(2 * math.pi)
PROBABILITY = (0.05, 0.95)
ROOT_FREE = (0.5, 3.0)

# -- the error function's family ---------------------------------------------------------------------------------------
erfcx = elementwise("erfcx", special.erfcx, partials=[lambda out, x: 2 * x * out - 2 / SQRT_PI])
ndtr = elementwise("ndtr", special.ndtr, partials=[lambda x: exp(-0.5 * (x * x)) * (1 / SQRT_2PI)])
ndtri = elementwise(
    "ndtri", special.ndtri, partials=[lambda out: exp(0.5 * (out * out)) * SQRT_2PI], domain=PROBABILITY
)
log_ndtr = elementwise(
    "log_ndtr", special.log_ndtr, partials=[lambda x: math.sqrt(2 / math.pi) / erfcx(x * (-1 / math.sqrt(2)))]
)

# -- modified Bessel functions -----------------------------------------------------------------------------------------


def _over(x: Any, limit: float, value: Any) -> Any:
    """Give value / x, and a limit at 0."""
    return where(x == 0, limit, value / where(x == 0, 1.0, x))


i0 = elementwise("i0", special.i0, partials=[lambda x: i1(x)])
i0e = elementwise("i0e", special.i0e, partials=[lambda out, x: i1e(x) - sign(x) * out], domain=ROOT_FREE)
i1 = elementwise("i1", special.i1, partials=[lambda out, x: i0(x) - _over(x, 0.5, out)], domain=ROOT_FREE)
i1e = elementwise(
    "i1e", special.i1e, partials=[lambda out, x: i0e(x) - out * sign(x) - _over(x, 0.5, out)], domain=ROOT_FREE
)
k0 = elementwise("modified_bessel_k0", special.modified_bessel_k0, partials=[lambda x: -k1(x)], domain=ROOT_FREE)
k1 = elementwise(
    "modified_bessel_k1", special.modified_bessel_k1, partials=[lambda out, x: -k0(x) - out / x], domain=ROOT_FREE
)
k0e = elementwise(
    "scaled_modified_bessel_k0",
    special.scaled_modified_bessel_k0,
    partials=[lambda out, x: out - k1e(x)],
    domain=ROOT_FREE,
)
k1e = elementwise(
    "scaled_modified_bessel_k1",
    special.scaled_modified_bessel_k1,
    partials=[lambda out, x: out - k0e(x) - out / x],
    domain=ROOT_FREE,
)

# -- Bessel functions --------------------------------------------------------------------------------------------------
j0 = elementwise("bessel_j0", special.bessel_j0, partials=[lambda x: -j1(x)])
j1 = elementwise("bessel_j1", special.bessel_j1, partials=[lambda out, x: j0(x) - _over(x, 0.5, out)], domain=ROOT_FREE)
y0 = elementwise("bessel_y0", special.bessel_y0, partials=[lambda x: -y1(x)], domain=ROOT_FREE)
y1 = elementwise("bessel_y1", special.bessel_y1, partials=[lambda out, x: y0(x) - out / x], domain=ROOT_FREE)


def _spherical_slope(x: Any) -> Any:
    safe = where(x == 0, 1.0, x)
    return where(x == 0, 0.0, (safe * cos(safe) - sin(safe)) / (safe * safe))


spherical_j0 = elementwise(
    "spherical_bessel_j0", special.spherical_bessel_j0, partials=[_spherical_slope], domain=ROOT_FREE
)

# -- entropy terms -----------------------------------------------------------------------------------------------------
entr = elementwise("entr", special.entr, partials=[lambda x: -log(x) - 1], domain=(0.1, 4.0))


def _log1p_beside(x: Any, y: Any) -> Any:
    """Give log(1 + y), and 0 where it is infinite or no number beside an x of 0."""
    return where(like(x == 0, x) * like(y <= -1, x), 0.0, log1p(y))


xlog1py = elementwise(
    "xlog1py",
    special.xlog1py,
    partials=[lambda x, y: _log1p_beside(x, y), lambda x, y: x / (y + 1)],
    domain=(0.1, 4.0),
)

# -- gamma's relatives -------------------------------------------------------------------------------------------------
# The slope by the shape is itself without a derivative, so samples that are differentiated twice hold it fixed.
_FIXED_SHAPE: tuple[dict[str, Any], ...] = (
    {"shapes": ((3, 4), (3, 4)), "dtypes": ("int64", None), "domain": (0.5, 4.0)},
    {"shapes": ((), (2,)), "dtypes": ("int64", None), "domain": (0.5, 4.0)},
)


gamma_slope = plain(
    "gamma_slope",
    implicit.gamma_slope,
    type=lambda x, y: y,
    names=("x", "y"),
    batch=batching.spread,
    samples=({"shapes": ((3, 4), (3, 4)), "domain": (0.5, 4.0)},),
)
dirichlet_slope = plain(
    "dirichlet_slope",
    implicit.dirichlet_slope,
    type=lambda x, y, z: x,
    names=("x", "y", "z"),
    batch=batching.spread,
    samples=({"shapes": ((3, 4), (3, 4), (3, 4)), "domain": ((0.1, 0.9), (0.5, 2.0), (3.0, 5.0))},),
)


def _shape_slope(x: Any, y: Any) -> Any:
    return -gamma_slope(x, y) * _density(x, y)


def _no_slope(what: str) -> Any:
    def rule(x: Any) -> Any:
        raise RuntimeError(f"the derivative of {what} is not implemented")

    return rule


def _density(x: Any, y: Any) -> Any:
    a = like(x, y)
    return exp((a - 1) * log(y) - y - lgamma(a))


gammainc = elementwise("igamma", special.gammainc, partials=[_shape_slope, _density], samples=_FIXED_SHAPE)
gammaincc = elementwise(
    "igammac",
    special.gammaincc,
    partials=[lambda x, y: -_shape_slope(x, y), lambda x, y: -_density(x, y)],
    samples=_FIXED_SHAPE,
)
zeta = elementwise(
    "zeta",
    lambda x, y: special.zeta(x.astype(y.dtype) if x.dtype.kind in "iu" else x, y),
    partials=[_no_slope("zeta by its first argument"), lambda x, y: -like(x, y) * zeta(x + 1, y)],
    samples=({"shapes": ((1,), (3, 4)), "dtypes": ("int64", None), "domain": (0.5, 4.0)},),
)
airy_ai = elementwise("special_airy_ai", special.airy_ai, partials=None)
