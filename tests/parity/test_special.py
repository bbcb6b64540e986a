"""torch.special against torch: values, gradients, dtypes, out=, kinds of errors."""

from __future__ import annotations

import numpy as np
import pytest

import retrograd
from parity.tables import check_forward, compare

torch = pytest.importorskip("torch")

REAL = np.array([[-2.3, -1.0, -0.4, 0.3], [0.7, 1.1, 2.6, 4.0]])
POSITIVE = np.abs(REAL) + 0.1
UNIT = np.linspace(0.05, 0.95, 8).reshape(2, 4)

UNARY = {
    "erf": REAL, "erfc": REAL, "erfcx": REAL, "erfinv": UNIT, "expit": REAL, "expm1": REAL, "exp2": REAL, "gammaln": POSITIVE,
    "digamma": POSITIVE, "psi": POSITIVE, "i0": REAL, "i0e": REAL, "i1": REAL, "i1e": REAL, "ndtr": REAL, "ndtri": UNIT,
    "log_ndtr": REAL, "logit": UNIT, "log1p": POSITIVE, "sinc": REAL, "entr": POSITIVE, "bessel_j0": REAL, "bessel_j1": REAL,
    "bessel_y0": POSITIVE, "bessel_y1": POSITIVE, "modified_bessel_i0": REAL, "modified_bessel_i1": REAL,
    "modified_bessel_k0": POSITIVE, "modified_bessel_k1": POSITIVE, "scaled_modified_bessel_k0": POSITIVE,
    "scaled_modified_bessel_k1": POSITIVE, "spherical_bessel_j0": POSITIVE, "round": REAL,
}  # fmt: skip
# Torch has no derivative of these; here forward mode is checked against differences all the same.
NO_SLOPE = {n for n in UNARY if "bessel" in n}


@pytest.mark.parametrize("name", UNARY)
def test_values_and_gradients(name):
    compare(lambda t, x: getattr(t.special, name)(x), UNARY[name], grad=name not in NO_SLOPE, tolerance=1e-8)
    check_forward(lambda t, x: getattr(t.special, name)(x), UNARY[name])


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
@pytest.mark.parametrize("name", UNARY)
def test_dtypes(name, dtype):
    if name == "round" and dtype != "float32":
        return  # rounding whole numbers gives them back here, which torch.special refuses
    compare(lambda t, x: getattr(t.special, name)(x), (np.round(POSITIVE), dtype), tolerance=2e-5)


@pytest.mark.parametrize("name", UNARY)
def test_out_and_scalars_and_empty(name):
    compare(lambda t, x: getattr(t.special, name)(x, out=t.empty(2, 4, dtype=t.float64)), UNARY[name], tolerance=1e-8)
    compare(lambda t, x: getattr(t.special, name)(x), np.zeros((0, 3)))
    compare(lambda t, x: getattr(t.special, name)(x), np.array(0.5), tolerance=1e-8)


BINARY = {
    "xlogy": (REAL, POSITIVE),
    "xlog1py": (REAL, POSITIVE),
    "zeta": (POSITIVE + 1, POSITIVE),
    "gammainc": (POSITIVE, POSITIVE[:1]),
    "gammaincc": (POSITIVE, POSITIVE[:1]),
}


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two(name):
    x, y = BINARY[name]
    compare(lambda t, a, b: getattr(t.special, name)(a, b), x, y, tolerance=1e-8)
    compare(lambda t, a, b: getattr(t.special, name)(t.as_tensor(x), b), x, y, grad=True, tolerance=1e-8)
    compare(lambda t, a, b: getattr(t.special, name)(a, b), x.astype(np.float32), y, tolerance=1e-5)


@pytest.mark.parametrize("x", [0.0, 1.0])
@pytest.mark.parametrize("y", [0.0, 2.0, float("nan"), float("inf"), -1.0])
def test_products_with_logarithms_at_the_edges(x, y):
    compare(lambda t, a, b: t.special.xlogy(a, b), np.array(x), np.array(y))
    compare(lambda t, a, b: t.special.xlog1py(a, b), np.array(x), np.array(y))


def test_the_incomplete_gamma_function_has_a_slope_by_its_shape():
    a = retrograd.tensor(POSITIVE, requires_grad=True)
    retrograd.special.gammainc(a, retrograd.tensor(POSITIVE + 0.3)).sum().backward()
    h = 1e-6
    up, down = (
        retrograd.special.gammainc(retrograd.tensor(POSITIVE + s), retrograd.tensor(POSITIVE + 0.3)) for s in (h, -h)
    )
    np.testing.assert_allclose(a.grad.numpy(), ((up - down) / (2 * h)).numpy(), rtol=1e-6, atol=1e-8)


OTHER = {
    "polygamma": lambda t, x: t.special.polygamma(2, x),
    "multigammaln": lambda t, x: t.special.multigammaln(x + 2, 3),
    "logsumexp": lambda t, x: t.special.logsumexp(x, 1),
    "softmax": lambda t, x: t.special.softmax(x, 0),
    "log_softmax": lambda t, x: t.special.log_softmax(x, 1),
    "logit with eps": lambda t, x: t.special.logit(x / 5, eps=0.1),
    "round to decimals": lambda t, x: t.special.round(x, decimals=1),
    "igamma": lambda t, x: t.igamma(x.detach(), x),
    "i0 in place": lambda t, x: x.clone().i0_(),
}
POLYNOMIALS = [
    *(f"{shift}chebyshev_polynomial_{k}" for shift in ("", "shifted_") for k in "tuvw"),
    "hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l", "legendre_polynomial_p",
]  # fmt: skip


@pytest.mark.parametrize("name", OTHER)
def test_others(name):
    compare(OTHER[name], POSITIVE, grad=True, tolerance=1e-8)


@pytest.mark.parametrize("n", [0, 1, 2, 5])
@pytest.mark.parametrize("name", POLYNOMIALS)
def test_polynomials(name, n):
    compare(lambda t, x: getattr(t.special, name)(x, n), UNIT, tolerance=1e-8)


ERRORS = {
    "not a tensor": lambda t, x: t.special.erfcx(3.0),
    "complex": lambda t, x: t.special.ndtr(t.tensor(1j)),
    "two numbers": lambda t, x: t.special.zeta(1.0, 2.0),
    "shapes": lambda t, x: t.special.xlog1py(t.ones(2), t.ones(3)),
    "negative order": lambda t, x: t.special.polygamma(-1, x),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    compare(ERRORS[name], POSITIVE)


def test_every_public_name_is_there():
    assert set(torch.special.__all__) - set(retrograd.special.__all__) == set()
