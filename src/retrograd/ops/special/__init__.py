"""Special functions of arrays, in NumPy alone: the error, gamma and Bessel families, and the logistic functions.

Every function takes arrays of any floating dtype and returns arrays of that dtype; float16 and bfloat16 are computed in
float32 or wider. Floating-point warnings are silent.
"""

from __future__ import annotations

from .airy import airy_ai
from .bessel import (
    i0,
    i0e,
    i1,
    i1e,
    modified_bessel_k0,
    modified_bessel_k1,
    scaled_modified_bessel_k0,
    scaled_modified_bessel_k1,
)
from .error import erf, erfc, erfcx, erfinv, log_ndtr, ndtr, ndtri
from .gamma import digamma, lgamma, multigammaln, polygamma, zeta
from .incomplete import gammainc, gammaincc
from .logistic import entr, expit, log_sigmoid, logit, sigmoid, sinc, softplus, xlog1py, xlogy
from .oscillating import bessel_j0, bessel_j1, bessel_y0, bessel_y1, spherical_bessel_j0

__all__ = [
    "airy_ai",
    "bessel_j0",
    "bessel_j1",
    "bessel_y0",
    "bessel_y1",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "expit",
    "gammainc",
    "gammaincc",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "lgamma",
    "log_ndtr",
    "log_sigmoid",
    "logit",
    "modified_bessel_k0",
    "modified_bessel_k1",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1",
    "sigmoid",
    "sinc",
    "softplus",
    "spherical_bessel_j0",
    "xlog1py",
    "xlogy",
    "zeta",
]
