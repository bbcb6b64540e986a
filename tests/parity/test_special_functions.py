"""Special functions against real torch: values over their domains, special values, dtypes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from retrograd.ops import special

torch = pytest.importorskip("torch")

Array = np.ndarray[Any, Any]
INF, NAN = float("inf"), float("nan")


def torch_of(name: str) -> Callable[..., Any]:
    """Torch's function of that name, wherever it keeps it."""
    functional = torch.nn.functional
    elsewhere = {"lgamma": torch.lgamma, "log_sigmoid": functional.logsigmoid, "softplus": functional.softplus}
    return elsewhere.get(name) or getattr(torch.special, name, None) or getattr(torch, name)


# name -> ends of the interval to sample, ends of the magnitudes (powers of ten) to sample besides. Torch loses digits
# by cancellation left of ndtr's -3, and in log_ndtr right of 5, where 1 - Phi is no longer seen.
DOMAINS: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "erf": ((-7, 7), (-30, 3)),
    "erfc": ((-7, 9), (-30, 0.9)),
    "erfcx": ((-9, 30), (-30, 10)),
    "erfinv": ((-1, 1), (-30, 0)),
    "ndtr": ((-3, 9), (-30, 1)),
    "ndtri": ((0, 1), (-30, 0)),
    "log_ndtr": ((-30, 5), (-30, 0.5)),
    "lgamma": ((0.01, 30), (-30, 30)),
    "digamma": ((0.01, 30), (-30, 30)),
    "i0": ((-30, 30), (-30, 1.8)),
    "i0e": ((-30, 30), (-30, 5)),
    "i1": ((-30, 30), (-30, 1.8)),
    "i1e": ((-30, 30), (-30, 5)),
    "modified_bessel_k0": ((0, 30), (-30, 1.8)),
    "modified_bessel_k1": ((0, 30), (-30, 1.8)),
    "scaled_modified_bessel_k0": ((0, 30), (-30, 5)),
    "scaled_modified_bessel_k1": ((0, 30), (-30, 5)),
    "bessel_j0": ((-30, 30), (-30, 2)),
    "bessel_j1": ((-30, 30), (-30, 2)),
    "bessel_y0": ((0, 30), (-30, 2)),
    "bessel_y1": ((0, 30), (-30, 2)),
    "spherical_bessel_j0": ((-30, 30), (-30, 2)),
    "sinc": ((-3, 3), (-30, 1)),
    "sigmoid": ((-80, 30), (-30, 1)),
    "log_sigmoid": ((-80, 30), (-30, 1)),
    "softplus": ((-80, 30), (-30, 1)),
    "logit": ((0, 1), (-30, 0)),
    "entr": ((0, 10), (-30, 30)),
}
SPECIAL = [0.0, -0.0, INF, -INF, NAN, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 1.5, -1.5, 20.0, -20.0, 50.0, -50.0, 1e30, -1e30]
# Where torch answers NaN or a rounding residue and the limit is plain, the limit stands; zeros' signs are not compared.
BETTER: dict[str, set[float]] = {
    "i0": {INF, -INF},
    "i1": {INF, -INF},
    "sinc": {1.0, -1.0, 2.0, -2.0, 20.0, -20.0, 50.0, -50.0, 1e30, -1e30},
    "ndtr": {-20.0, -50.0},
    # sin(1e30) needs 100 bits of pi
    "bessel_j0": {1e30, -1e30},
    "bessel_j1": {1e30, -1e30},
    "bessel_y0": {1e30},
    "bessel_y1": {1e30},
}
# Torch's own error is absolute: near the zeros of these functions, in float32 polynomials, in 1 + erf.
ABSOLUTE = {"lgamma", "digamma", "log_ndtr", "i1", "logit", "entr", "erfcx", "ndtr", "sinc", "spherical_bessel_j0"}
TOLERANCE = {"float32": 4e-6, "float64": 4e-13}


def arrays_of(name: str, dtype: str) -> Array:
    """Arguments that fill the function's domain."""
    (low, high), (small, large) = DOMAINS[name]
    rng = np.random.default_rng(7)
    magnitudes = 10.0 ** rng.uniform(small, large, 500)
    signs = np.where(rng.random(500) < (0.5 if low < 0 else 0.0), -1.0, 1.0)
    if name in ("ndtr", "log_ndtr"):
        signs[magnitudes > 1] = 1.0
    return np.concatenate([rng.uniform(low, high, 2000), magnitudes * signs]).astype(dtype)


def assert_close(got: Array, expected: Array, x: Any, dtype: str) -> None:
    """Equal to the dtype's tolerance, relative, with infinities and NaN in the same places."""
    assert got.dtype == expected.dtype
    tiny = float(np.finfo(expected.dtype).tiny)
    np.testing.assert_allclose(got, expected, rtol=TOLERANCE[dtype], atol=tiny * 2, err_msg=f"at {x}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(DOMAINS))
def test_values(name: str, dtype: str) -> None:
    x = arrays_of(name, dtype)
    expected = torch_of(name)(torch.from_numpy(x)).numpy()
    got = getattr(special, name)(x)
    if name.startswith("bessel"):
        # torch's float64 Bessel functions are wrong by up to 8e-7 (by mpmath's values; ours by 4e-15)
        np.testing.assert_allclose(got, expected, rtol=2e-6, atol=2e-6)
    elif name in ABSOLUTE:
        np.testing.assert_allclose(got, expected, rtol=TOLERANCE[dtype] * 8, atol=TOLERANCE[dtype])
    else:
        assert_close(got, expected, "random", dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(DOMAINS))
def test_special_values(name: str, dtype: str) -> None:
    values = [value for value in SPECIAL if value not in BETTER.get(name, ())]
    x = np.array(values, dtype)
    expected = torch_of(name)(torch.from_numpy(x)).numpy()
    for value, ours, theirs in zip(values, getattr(special, name)(x), expected):
        if np.isfinite(theirs) and theirs != 0:
            assert abs(ours - theirs) <= 1e-5 * abs(theirs), (value, ours, theirs)
        else:
            assert np.array_equal(ours, theirs, equal_nan=True), (value, ours, theirs)


@pytest.mark.parametrize("name", sorted(DOMAINS))
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_dtypes(name: str, dtype: str) -> None:
    x = np.random.default_rng(3).uniform(0.05, 0.95, 200).astype(np.float32)
    narrow = x.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    tensor = torch.from_numpy(narrow.astype(np.float32)).to(getattr(torch, dtype))
    try:
        expected = torch_of(name)(tensor)
    except (RuntimeError, NotImplementedError):  # not in torch for this dtype
        return
    assert expected.dtype == tensor.dtype
    got = getattr(special, name)(narrow)
    assert got.dtype == narrow.dtype
    # two units in the last place; torch rounds logit's x/(1 - x), which is near 1, before it takes the logarithm
    unit = 2.0**-10 if dtype == "float16" else 2.0**-7
    atol = unit if name == "logit" else unit / 4
    np.testing.assert_allclose(got.astype(np.float32), expected.float().numpy(), rtol=2 * unit, atol=atol)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 7])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_polygamma(n: int, dtype: str) -> None:
    rng = np.random.default_rng(n)
    # torch's digits for negative arguments are few
    x = np.concatenate([rng.uniform(0.05, 30, 500), rng.uniform(-5, -0.05, 100) if n > 1 else []]).astype(dtype)
    expected = torch.polygamma(n, torch.from_numpy(x)).numpy()
    got = special.polygamma(n, x)
    assert got.dtype == expected.dtype
    # torch's trigamma has five terms of its series, whatever the dtype
    scale = 3e-5 if dtype == "float32" else 1e-8 if n == 1 else 1e-11
    np.testing.assert_allclose(got, expected, rtol=scale, atol=scale * 0.1)


def test_polygamma_refuses_what_torch_refuses() -> None:
    with pytest.raises(RuntimeError):
        torch.polygamma(-1, torch.ones(1))
    with pytest.raises(RuntimeError):
        special.polygamma(-1, np.ones(1))


@pytest.mark.parametrize("p", [1, 2, 5])
def test_multigammaln(p: int) -> None:
    x = np.random.default_rng(p).uniform(3, 20, 200)
    np.testing.assert_allclose(
        special.multigammaln(x, p), torch.special.multigammaln(torch.from_numpy(x), p).numpy(), rtol=1e-13
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_zeta(dtype: str) -> None:
    rng = np.random.default_rng(0)
    s, q = rng.uniform(1.01, 30, 2000).astype(dtype), rng.uniform(0.05, 30, 2000).astype(dtype)
    expected = torch.special.zeta(torch.from_numpy(s), torch.from_numpy(q)).numpy()
    np.testing.assert_allclose(
        special.zeta(s, q), expected, rtol={"float32": 1e-5, "float64": 1e-13}[dtype], atol=1e-40
    )
    edges = [1.0, 0.5, -2.0, 2.0, 3.0, 2.5]
    s, q = (part.reshape(-1).astype(dtype) for part in np.meshgrid(edges, [0.0, -1.0, -3.0, -0.5, -2.25, 1.0, NAN]))
    expected = torch.special.zeta(torch.from_numpy(s), torch.from_numpy(q)).numpy()
    np.testing.assert_allclose(special.zeta(s, q), expected, rtol={"float32": 1e-5, "float64": 1e-13}[dtype])


@pytest.mark.parametrize("name", ["gammainc", "gammaincc"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_incomplete_gamma(name: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    a = np.concatenate([rng.uniform(0, 30, 1000), rng.uniform(30, 1000, 500), 10.0 ** rng.uniform(-3, 0, 300)])
    x = np.concatenate([a * rng.uniform(0.2, 3, a.size), a * rng.uniform(0.9, 1.1, a.size)])
    a, x = np.tile(a, 2).astype(dtype), x.astype(dtype)
    expected = torch_of(name)(torch.from_numpy(a), torch.from_numpy(x)).numpy()
    got = getattr(special, name)(a, x)
    assert got.dtype == expected.dtype
    # torch's own error: some 2e-9 in float64, and the cancellation of logarithms in float32
    np.testing.assert_allclose(got, expected, rtol={"float32": 2e-3, "float64": 1e-8}[dtype], atol=1e-30)
    edges = [0.0, 1.0, INF, -1.0]
    a, x = (part.reshape(-1).astype(dtype) for part in np.meshgrid(edges, edges))
    expected = torch_of(name)(torch.from_numpy(a), torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(getattr(special, name)(a, x), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["xlogy", "xlog1py"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_with_a_logarithm(name: str, dtype: str) -> None:
    edges = [0.0, -0.0, 1.0, -1.0, 2.0, -0.5, INF, -INF, NAN, 1e-20, 1e20]
    x, y = (part.reshape(-1).astype(dtype) for part in np.meshgrid(edges, edges))
    expected = torch_of(name)(torch.from_numpy(x), torch.from_numpy(y)).numpy()
    np.testing.assert_allclose(getattr(special, name)(x, y), expected, rtol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softplus_with_sharpness_and_threshold(dtype: str) -> None:
    x = np.random.default_rng(0).uniform(-30, 30, 1000).astype(dtype)
    for beta, threshold in ((2.0, 20.0), (0.5, 3.0), (-1.0, 20.0), (1.0, 0.0)):
        expected = torch.nn.functional.softplus(torch.from_numpy(x), beta, threshold).numpy()
        got = special.softplus(x, beta=beta, threshold=threshold)
        np.testing.assert_allclose(got, expected, rtol=TOLERANCE[dtype], atol=1e-30)


@pytest.mark.parametrize("eps", [None, 1e-6, 0.2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logit_with_clamp(eps: float | None, dtype: str) -> None:
    x = np.concatenate([np.linspace(-0.5, 1.5, 401), [NAN, 0.0, 1.0]]).astype(dtype)
    expected = torch.logit(torch.from_numpy(x), eps).numpy()
    np.testing.assert_allclose(special.logit(x, eps), expected, rtol=4 * TOLERANCE[dtype], atol=TOLERANCE[dtype])


def test_sigmoid_of_complex_numbers() -> None:
    z = np.random.default_rng(0).standard_normal((50, 2)) @ np.array([1, 1j])
    np.testing.assert_allclose(special.sigmoid(z), torch.sigmoid(torch.from_numpy(z)).numpy(), rtol=1e-13)
