"""torch.linalg against real torch: values, dtypes, gradients, exceptions; second derivatives against differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import retrograd
from parity.tables import compare, outcome, same_value
from retrograd.testing.gradcheck import gradcheck, gradgradcheck

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(5)
INF = math.inf


def draw(*shape: int, complex: bool = False) -> Any:
    """Give numbers, real or complex."""
    a = RNG.normal(size=shape)
    return a + 1j * RNG.normal(size=shape) if complex else a


def hermitian(a: Any) -> Any:
    """Make square matrices Hermitian."""
    return a + np.conj(a.swapaxes(-1, -2))


def definite(a: Any) -> Any:
    """Make square matrices positive-definite."""
    return a @ np.conj(a.swapaxes(-1, -2)) + np.eye(a.shape[-1])


def size(x: Any) -> Any:
    """Give |x|^2: vectors of a decomposition are compared by what does not depend on their phase."""
    return (x * x.conj()).real if x.is_complex() else x * x


SQUARES: dict[str, Any] = {
    "square": draw(3, 3),
    "batch": draw(2, 3, 3),
    "complex": draw(3, 3, complex=True),
    "complex batch": draw(2, 1, 2, 2, complex=True),
    "one": draw(1, 1),
    "turned": draw(3, 3, 2).transpose(2, 1, 0),
    "empty": np.zeros((0, 0)),
    "no batch": np.zeros((0, 3, 3)),
}
TALL = {
    "tall": draw(4, 2),
    "wide": draw(2, 4),
    "batch of wide": draw(2, 2, 3),
    "complex tall": draw(3, 2, complex=True),
    "complex wide": draw(2, 3, complex=True),
}
HERMITIAN = {k: hermitian(a) for k, a in SQUARES.items()}
DEFINITE = {k: definite(a) for k, a in SQUARES.items()}
BAD: dict[str, Any] = {
    "vector": draw(3),
    "scalar": np.array(1.0),
    "not square": draw(2, 3),
    "integers": np.ones((2, 2), np.int64),
    "singular": np.ones((2, 2)),
    "one singular": np.stack([np.eye(2), np.ones((2, 2))]),
    "zero": np.zeros((3, 3)),
    "negative": -np.eye(2),
}


def table(names: str, **more: Any) -> dict[str, Any]:
    """Give calls of functions of torch.linalg with one matrix."""
    return {n: lambda t, x, n=n: getattr(t.linalg, n)(x, **more) for n in names.split()}


ORDERS = ("fro", "nuc", 1, -1, 2, -2, INF, -INF)
SQUARE_CALLS: dict[str, Any] = {
    **table("inv det slogdet matrix_exp svdvals cond matrix_rank pinv inv_ex vector_norm matrix_norm"),
    **{
        f"torch.{n}": lambda t, x, n=n: getattr(t, n)(x)
        for n in ["inverse", "det", "slogdet", "pinverse", "matrix_exp", "logdet"]
    },
    **{
        f"Tensor.{n}": lambda t, x, n=n: getattr(x, n)()
        for n in ["inverse", "det", "slogdet", "pinverse", "logdet", "matrix_exp"]
    },
    **{
        f"matrix_power {n}": lambda t, x, n=n: t.linalg.matrix_power(x if n else x.detach(), n)
        for n in (-3, -1, 0, 1, 2, 5)
    },
    **{f"matrix_norm {o}": lambda t, x, o=o: t.linalg.matrix_norm(x, o) for o in ORDERS},
    **{f"cond {o}": lambda t, x, o=o: t.linalg.cond(x.detach(), o) for o in ORDERS},  # torch's own backward fails
    "matrix_norm keepdim": lambda t, x: t.linalg.matrix_norm(x, "nuc", keepdim=True),
    "matrix_norm dims": lambda t, x: t.linalg.matrix_norm(x, 1, dim=(-1, -2)),
    "matrix_norm order": lambda t, x: t.linalg.matrix_norm(x, 3),
    "norm": lambda t, x: t.linalg.norm(x),
    "norm nuc": lambda t, x: t.linalg.norm(x, "nuc"),
    "norm 3": lambda t, x: t.linalg.norm(x, 3, dim=-1),
    "torch.norm nuc": lambda t, x: t.norm(x, "nuc"),
    "vector_norm 3": lambda t, x: t.linalg.vector_norm(x, 3, dim=0, keepdim=True),
    "solve": lambda t, x: t.linalg.solve(x, x.detach()[..., :2] + 1),
    "solve vector": lambda t, x: t.linalg.solve(x, x.detach()[..., 0] + 1),
    "solve right": lambda t, x: t.linalg.solve(x, x.detach() + 1, left=False),
    "solve_ex": lambda t, x: t.linalg.solve_ex(x, x.detach() + 1),
    "triangular": lambda t, x: t.linalg.solve_triangular(x, x * 2 + 1, upper=True),
    "triangular lower": lambda t, x: t.linalg.solve_triangular(x, x * 2 + 1, upper=False, unitriangular=True),
    "triangular right": lambda t, x: t.linalg.solve_triangular(x, x * 2 + 1, upper=False, left=False),
    "triangular_solve": lambda t, x: t.triangular_solve(x * 2 + 1, x, transpose=True)[0],
    "lu": lambda t, x: t.linalg.lu(x),
    "lu_factor": lambda t, x: t.linalg.lu_factor(x),
    "lu_factor_ex": lambda t, x: t.linalg.lu_factor_ex(x),
    "torch.lu": lambda t, x: t.lu(x),
    "lu_solve": lambda t, x: t.linalg.lu_solve(*t.linalg.lu_factor(x), x * x + 1),
    "lu_solve right": lambda t, x: t.linalg.lu_solve(*t.linalg.lu_factor(x), x * x + 1, left=False),
    "lu_solve adjoint": lambda t, x: t.linalg.lu_solve(*t.linalg.lu_factor(x), x * x + 1, adjoint=True),
    "pinv tolerance": lambda t, x: t.linalg.pinv(x, rtol=0.1),
    "rank tolerance": lambda t, x: t.linalg.matrix_rank(x, atol=1.0),
    "diagonal": lambda t, x: t.linalg.diagonal(x, offset=1),
    "vander": lambda t, x: t.linalg.vander(x, N=3),
    "vecdot": lambda t, x: t.linalg.vecdot(x, x * 2 + 1, dim=-2),
    "cross": lambda t, x: t.linalg.cross(x, x * x + 1),
    "multi_dot": lambda t, x: t.linalg.multi_dot([x, x + 1, x * 2]),
    "matmul": lambda t, x: t.linalg.matmul(x, x),
    "qr": lambda t, x: t.linalg.qr(x),
    "qr complete": lambda t, x: t.linalg.qr(x.detach() if x.shape[-2] > x.shape[-1] else x, mode="complete"),
    "qr of another kind": lambda t, x: t.linalg.qr(x, mode="raw"),
    "torch.qr": lambda t, x: t.qr(x),
    "householder": lambda t, x: t.linalg.householder_product(
        *((x, x[..., 0] * 0.5) if x.numel() else (x.detach(), x.detach()[..., 0]))
    ),
    "ormqr": lambda t, x: t.ormqr(x, x[..., 0] * 0.5, x + 1, True, True),
    "svd": lambda t, x: (lambda u, s, vh: (size(u), s, (u * s.to(u.dtype)[..., None, :]) @ vh))(*t.linalg.svd(x)),
    "torch.svd": lambda t, x: (lambda u, s, v: (size(v), s))(*t.svd(x)),
    "svd values": lambda t, x: t.svd(x, compute_uv=False)[1],
}
HERMITIAN_CALLS: dict[str, Any] = {
    "eigh": lambda t, x: (lambda w, v: (w, size(v)))(*t.linalg.eigh(x)),
    "eigh U": lambda t, x: t.linalg.eigh(x, "U")[0],
    "eigh X": lambda t, x: t.linalg.eigh(x, "X")[0],
    "eigvalsh": lambda t, x: t.linalg.eigvalsh(x),
    "eigvalsh U": lambda t, x: t.linalg.eigvalsh(x, UPLO="U"),
    "pinv hermitian": lambda t, x: t.linalg.pinv(x, hermitian=True),
    "rank hermitian": lambda t, x: t.linalg.matrix_rank(x, hermitian=True),
    "eigvals": lambda t, x: (lambda w: (w.sum(-1), (w * w).sum(-1)))(t.linalg.eigvals(x)),
}
DEFINITE_CALLS: dict[str, Any] = {
    "cholesky": lambda t, x: t.linalg.cholesky(x),
    "cholesky upper": lambda t, x: t.linalg.cholesky(x, upper=True),
    "cholesky_ex": lambda t, x: tuple(t.linalg.cholesky_ex(x)),
    "torch.cholesky": lambda t, x: t.cholesky(x),
    "Tensor.cholesky": lambda t, x: x.cholesky(True),
    "cholesky_solve": lambda t, x: t.cholesky_solve(x * x + 1, t.linalg.cholesky(x)),
    "cholesky_solve upper": lambda t, x: t.cholesky_solve(x * x + 1, t.linalg.cholesky(x, upper=True), True),
    "cholesky_inverse": lambda t, x: t.cholesky_inverse(t.linalg.cholesky(x)),
    "logdet": lambda t, x: t.logdet(x),
}
TALL_CALLS: dict[str, Any] = {
    **{
        n: SQUARE_CALLS[n]
        for n in (
            "svdvals",
            "cond",
            "matrix_rank",
            "pinv",
            "qr",
            "torch.qr",
            "lu",
            "lu_factor",
            "svd",
            "svd values",
            "torch.svd",
            "pinv tolerance",
            "diagonal",
            "qr complete",
            "inv",
            "det",
        )
    },
    **{f"matrix_norm {o}": SQUARE_CALLS[f"matrix_norm {o}"] for o in ORDERS},
    "qr r": lambda t, x: t.linalg.qr(x.detach(), mode="r"),
    "lstsq": lambda t, x: t.linalg.lstsq(x, x * x + 1)[0],
    "lstsq gelsd": lambda t, x: tuple(p.detach() for p in t.linalg.lstsq(x, x * x + 1, driver="gelsd")),
    "lstsq gels": lambda t, x: tuple(p.detach() for p in t.linalg.lstsq(x, x * x + 1, driver="gels")),
    "lstsq gelsy": lambda t, x: tuple(p.detach() for p in t.linalg.lstsq(x, x * x + 1)),
    "lstsq vector": lambda t, x: t.linalg.lstsq(x, (x * x + 1)[..., 0].detach())[0],
    "lstsq driver": lambda t, x: t.linalg.lstsq(x, x, driver="x"),
}


def every() -> Any:
    """Give each call with each matrix it is for."""
    for calls, inputs in (
        (SQUARE_CALLS, SQUARES),
        (HERMITIAN_CALLS, HERMITIAN),
        (DEFINITE_CALLS, DEFINITE),
        (TALL_CALLS, TALL),
    ):
        for call, fn in calls.items():
            for which, a in inputs.items():
                yield pytest.param(fn, a, id=f"{call}-{which}")


@pytest.mark.parametrize(("fn", "a"), list(every()))
def test_values_and_gradients(fn, a):
    compare(fn, a, grad=True, tolerance=1e-7)


@pytest.mark.parametrize("which", BAD)
@pytest.mark.parametrize("call", [*SQUARE_CALLS, *HERMITIAN_CALLS, *DEFINITE_CALLS])
def test_bad_matrices(call, which):
    """The exceptions, by type; where torch gives something in spite of all, its finite values."""
    fn = {**SQUARE_CALLS, **HERMITIAN_CALLS, **DEFINITE_CALLS}[call]
    theirs, ours = (outcome(t, fn, BAD[which]) for t in (torch, retrograd))
    if isinstance(theirs, Exception):
        assert isinstance(ours, Exception), (theirs, ours)
        want = retrograd.linalg.LinAlgError if isinstance(theirs, torch.linalg.LinAlgError) else type(theirs)
        assert type(ours) is want, (repr(theirs), repr(ours))
        return
    assert not isinstance(ours, Exception), (theirs, ours)
    if call in ("inv_ex", "solve_ex", "cholesky_ex"):
        same_value(ours[0][1], theirs[0][1])
    elif not any(
        call.startswith(n)
        for n in ("eigh", "svd", "torch.svd", "qr", "torch.qr", "lu_solve", "lu", "torch.lu", "cond", "triangular")
    ):
        same_value(ours[0], theirs[0], 1e-6)


@pytest.mark.parametrize("dtype", ["float32", "complex64", "float16", "bfloat16"])
@pytest.mark.parametrize("call", [*SQUARE_CALLS, *DEFINITE_CALLS])
def test_dtypes(call, dtype):
    fn = {**SQUARE_CALLS, **DEFINITE_CALLS}[call]
    if "matrix_exp" in call and dtype.endswith("float16"):
        return  # torch's own series, in half precision, is far from the value
    compare(fn, (DEFINITE["square"], dtype), tolerance=3e-3)


CHECKED: dict[str, Any] = {
    "inv": (lambda t, x: t.linalg.inv(x), "square"),
    "det": (lambda t, x: t.linalg.det(x), "square"),
    "slogdet": (lambda t, x: t.linalg.slogdet(x), "square"),
    "solve": (lambda t, x: t.linalg.solve(x, x * x + 1), "square"),
    "triangular": (lambda t, x: t.linalg.solve_triangular(x, x * x + 1, upper=False), "square"),
    "matrix_exp": (lambda t, x: t.linalg.matrix_exp(x), "square"),
    "matrix_power": (lambda t, x: t.linalg.matrix_power(x, -2), "square"),
    "lu": (lambda t, x: t.linalg.lu(x)[1:], "square"),
    "lu_solve": (lambda t, x: t.linalg.lu_solve(*t.linalg.lu_factor(x), x * x + 1, left=False), "square"),
    "cholesky": (lambda t, x: t.linalg.cholesky(x + x.mH), "definite"),
    "cholesky_ex": (lambda t, x: t.linalg.cholesky_ex(x + x.mH, upper=True)[0], "definite"),
    "cholesky_inverse": (lambda t, x: t.cholesky_inverse(t.linalg.cholesky(x + x.mH)), "definite"),
    "eigh": (lambda t, x: (lambda w, v: (w, size(v)))(*t.linalg.eigh(x + x.mH)), "square"),
    "eigvalsh": (lambda t, x: t.linalg.eigvalsh(x + x.mH), "square"),
    "eig": (lambda t, x: (lambda w, v: (w, size(v)))(*t.linalg.eig(x)), "square"),
    "svd": (lambda t, x: (lambda u, s, vh: (size(u), s, size(vh)))(*t.linalg.svd(x, full_matrices=False)), "any"),
    "svd product": (lambda t, x: (lambda u, s, vh: u @ vh)(*t.linalg.svd(x, full_matrices=False)), "any"),
    "svdvals": (lambda t, x: t.linalg.svdvals(x), "any"),
    "nuc": (lambda t, x: t.linalg.matrix_norm(x, "nuc"), "any"),
    "cond": (lambda t, x: t.linalg.cond(x), "any"),
    "pinv": (lambda t, x: t.linalg.pinv(x), "any"),
    "lstsq": (lambda t, x: t.linalg.lstsq(x, x * x + 1)[0], "any"),
    "qr": (lambda t, x: t.linalg.qr(x), "any"),
    "householder": (lambda t, x: t.linalg.householder_product(x, x[..., 0] * 0.5), "square"),
}
SHAPES = {
    "square": [draw(2, 2), draw(2, 2, 2), draw(2, 2, complex=True)],
    "definite": [definite(draw(3, 3)), definite(draw(2, 2, complex=True))],
    "any": [
        draw(2, 2),
        draw(3, 2),
        draw(2, 3),
        draw(2, 2, complex=True),
        draw(3, 2, complex=True),
        draw(2, 3, complex=True),
    ],
}


def checked() -> Any:
    """Give each function with a matrix of each kind it takes."""
    for name, (fn, kind) in CHECKED.items():
        for k, a in enumerate(SHAPES[kind]):
            yield pytest.param(fn, a, id=f"{name}-{k}")


@pytest.mark.parametrize(("fn", "a"), list(checked()))
def test_derivatives_of_derivatives(fn, a):
    x = retrograd.tensor(a, requires_grad=True)
    call = lambda x: fn(retrograd, x)
    assert gradcheck(call, x, check_forward_ad=True)
    assert gradgradcheck(call, x)


def test_both_sides_of_an_equation_have_gradients():
    for a, b in (((3, 3), (3, 2)), ((2, 3, 3), (3, 1)), ((3, 3), (2, 3, 2)), ((3, 3), (3,)), ((2, 3, 3), (2, 3))):
        compare(lambda t, x, y: t.linalg.solve(x, y), draw(*a) + 3 * np.eye(3), draw(*b), grad=True)
        if len(b) > 1 and b[-1] < 3:
            compare(
                lambda t, x, y: t.linalg.solve_triangular(x, y, upper=True),
                draw(*a) + 3 * np.eye(3),
                draw(*b),
                grad=True,
            )


@pytest.mark.parametrize(("a", "b"), [((3, 3), (2, 2)), ((2, 3, 3), (4, 3, 1)), ((3, 3), ()), ((3, 3), (4,))])
def test_sides_that_do_not_fit(a, b):
    for fn in (
        lambda t, x, y: t.linalg.solve(x, y),
        lambda t, x, y: t.linalg.solve_triangular(x, y, upper=True),
        lambda t, x, y: t.linalg.lstsq(x, y),
        lambda t, x, y: t.cholesky_solve(y, x),
    ):
        compare(fn, draw(*a), draw(*b))
    compare(lambda t, x, y: t.linalg.solve(x, y), draw(2, 2), (draw(2, 2), "float32"))


def test_large_triangles_are_split():
    a = np.tril(draw(150, 150)) * 0.1 + 2 * np.eye(150)
    for m, upper in ((a, False), (a.T.copy(), True), (np.stack([a, a + np.eye(150)]), False)):
        compare(lambda t, x, y, upper=upper: t.linalg.solve_triangular(x, y, upper=upper), m, draw(150, 3), grad=True)


def test_gradients_where_singular_values_are_equal():
    """The determinant of a singular matrix, and functions of eigenvalues alone where they coincide."""
    x = retrograd.tensor([[1.0, 2.0], [2.0, 4.0]], requires_grad=True)
    retrograd.linalg.det(x).backward()
    np.testing.assert_allclose(
        x.grad.numpy(), [[4.0, -2.0], [-2.0, 1.0]], atol=1e-6
    )  # its cofactors; torch gives zeros
    compare(lambda t, x: t.linalg.eigvalsh(x), np.eye(3), grad=True)
    compare(lambda t, x: t.linalg.svdvals(x), np.eye(3), grad=True)
    compare(lambda t, x: t.linalg.matrix_norm(x, "nuc"), np.eye(3), grad=True)


def test_named_results_and_out():
    x = retrograd.tensor(DEFINITE["square"])
    assert retrograd.linalg.svd(x)._fields == ("U", "S", "Vh")
    assert retrograd.linalg.eigh(x)._fields == ("eigenvalues", "eigenvectors")
    out = retrograd.empty(0, dtype=retrograd.float64)
    assert retrograd.linalg.inv(x, out=out) is out
    np.testing.assert_allclose((out @ x).numpy(), np.eye(3), atol=1e-9)
    values, vectors = retrograd.empty(0, dtype=retrograd.float64), retrograd.empty(0, dtype=retrograd.float64)
    retrograd.linalg.eigh(x, out=(values, vectors))
    np.testing.assert_allclose((vectors * values @ vectors.T).numpy(), DEFINITE["square"])
    assert issubclass(retrograd.linalg.LinAlgError, RuntimeError)


def test_tensor_equations():
    a = draw(2, 3, 6)
    compare(lambda t, x: t.linalg.tensorinv(x, ind=2), a, grad=True)
    compare(lambda t, x, y: t.linalg.tensorsolve(x, y), a, draw(2, 3), grad=True)
    compare(lambda t, x, y: t.linalg.tensorsolve(x, y, dims=(0, 2)), draw(3, 6, 2), draw(6), grad=True)
    compare(lambda t, x: t.linalg.tensorinv(x, ind=0), a)
    compare(lambda t, x: t.linalg.tensorinv(x, ind=1), a)


def test_multi_dot():
    compare(lambda t, *m: t.linalg.multi_dot(m), draw(3), draw(3, 4), draw(4, 2), draw(2), grad=True)
    compare(lambda t, *m: t.linalg.multi_dot(m), draw(2, 3))


def test_names():
    public = [n for n in dir(torch.linalg) if n[0] != "_" and not n.endswith("_notes") and n != "Tensor"]
    missing = [n for n in public if not hasattr(retrograd.linalg, n)]
    assert not missing, missing
