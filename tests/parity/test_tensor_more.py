"""Functions and methods of tensors that few programs call, beside torch: segments, factors, storages, float8, control."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd  # noqa: E402  (below the check for torch)
from parity.nn_helpers import compare, outcome  # noqa: E402

RNG = np.random.default_rng(0)
ROWS, POINTS = RNG.normal(size=(8, 3)), RNG.normal(size=(30, 2))


def same(call, *arrays, dtype="float64", tolerance=1e-9, seed=0):
    results = [outcome(library, call, arrays, dtype, True, seed) for library in (retrograd, torch)]
    compare(*((*r[:3], []) if r[0] == "value" else r for r in results), tolerance)


@pytest.mark.parametrize("initial", [None, 0.5])
@pytest.mark.parametrize("reduce", ["sum", "mean", "max", "min", "prod", "x"])
def test_segment_reduce(reduce, initial):
    def call(t, x, **named):
        return t.segment_reduce(x, reduce, initial=initial, **{k: t.tensor(v) for k, v in named.items()})

    same(lambda t, x: call(t, x, lengths=[3, 0, 1, 4]), ROWS)
    same(lambda t, x: call(t, x, offsets=[0, 3, 3, 8]), ROWS)
    same(lambda t, x: call(t, x, lengths=[3, 0, 1]), ROWS)
    same(
        lambda t, x: t.segment_reduce(
            x.reshape(2, 4, 3), reduce, lengths=t.tensor([[3, 1], [2, 2]]), axis=1, initial=initial
        ),
        ROWS,
    )
    same(lambda t, x: t.segment_reduce(x, reduce), ROWS)


def histogram(t, x, *args, **named):
    found = t.histogramdd(x.detach(), *args, **named)
    return [found.hist, *found.bin_edges]


HISTOGRAMS = {
    "counts": lambda t, x: histogram(t, x, [3, 4]),
    "density": lambda t, x: histogram(t, x, [3, 4], density=True),
    "range": lambda t, x: histogram(t, x, 5, range=[-1.0, 1.0, 0.0, 2.0]),
    "edges": lambda t, x: histogram(t, x, [t.tensor([-1.0, 0.0, 2.0]).double()] * 2, weight=x.detach()[:, 0].abs()),
    "too few": lambda t, x: histogram(t, x, [3]),
    "none": lambda t, x: histogram(t, x, [0, 3]),
    "half a range": lambda t, x: histogram(t, x, [2, 3], range=[1.0, 2.0]),
    "one dimension": lambda t, x: histogram(t, x[:, 0], [3]),
    "integers": lambda t, x: histogram(t, x.long(), [2, 3]),
}


@pytest.mark.parametrize("call", HISTOGRAMS.values(), ids=HISTOGRAMS)
def test_histogramdd(call):
    same(call, POINTS)


@pytest.mark.parametrize("size", [0, 2, 10, -1])
def test_nonzero_static(size):
    same(lambda t, x: (x > 0).nonzero_static(size=size, fill_value=7), ROWS)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "bool", "uint8", "float16", "bfloat16"])
def test_hash_tensor(dtype):
    for args in ((), (1,)):
        same(lambda t, a=args: t.hash_tensor(t.tensor([[1, 2], [4, 0]]).to(getattr(t, dtype)), *a).to(t.int64))


NUMBERS = [0.0, -0.0, 1.0, -3.7, 6e4, 6e-8, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_frexp(dtype):
    wide = {"float64": [1e300, 5e-324, 1e-310], "float32": [3.4e38, 1e-45, 1e-40]}.get(dtype, [])
    same(lambda t, x: t.frexp(x), np.array(NUMBERS + wide), dtype=dtype)


def test_frexp_of_integers_and_into_tensors():
    same(lambda t: t.frexp(t.tensor([1, 2])))

    def into(t, x):
        mantissa, exponent = t.empty(0, dtype=t.float64), t.empty(0, dtype=t.int32)
        t.frexp(x.detach(), out=(mantissa, exponent))
        return mantissa, exponent

    same(into, ROWS)


NORMS = {
    "frobenius": lambda t, x: t.frobenius_norm(x, [0, 1]),
    "frobenius, kept": lambda t, x: t.frobenius_norm(x, 1, True),
    "frobenius without dimensions": lambda t, x: t.frobenius_norm(x),
    "nuclear": lambda t, x: t.nuclear_norm(x),
    "nuclear, kept": lambda t, x: t.nuclear_norm(x, [0, 1], True),
    "nuclear of a batch": lambda t, x: t.nuclear_norm(x[None]),
}


@pytest.mark.parametrize("call", NORMS.values(), ids=NORMS)
def test_older_norms(call):
    same(call, ROWS)


LOW = RNG.normal(size=(9, 3)) @ RNG.normal(size=(3, 7))


@pytest.mark.parametrize("name", ["svd_lowrank", "pca_lowrank"])
def test_low_rank_factors(name):
    def call(t, x, **named):
        u, s, v = getattr(t, name)(x.detach(), **named)
        return u @ t.diag_embed(s) @ v.mT, s

    for x in (LOW, LOW.T.copy(), np.stack([LOW, 2 * LOW])):
        for named in ({"q": 4}, {"q": 3, "niter": 1}, {}):
            same(lambda t, x, k=named: call(t, x, **k), x, tolerance=1e-6)
    same(lambda t, x: t.pca_lowrank(x, q=8), LOW)
    same(lambda t, x: t.pca_lowrank(x, niter=-1), LOW)


SQUARE = RNG.normal(size=(12, 12))
DEFINITE = SQUARE @ SQUARE.T


@pytest.mark.parametrize("method", ["basic", "ortho", None])
@pytest.mark.parametrize("largest", [True, False])
def test_lobpcg(largest, method):
    same(lambda t, a: t.lobpcg(a.detach(), 2, largest=largest, method=method)[0], DEFINITE, tolerance=1e-5)
    same(
        lambda t, a, b: abs(t.lobpcg(a.detach(), 2, b.detach(), largest=largest, method=method)[1]),
        DEFINITE,
        DEFINITE @ DEFINITE.T + 5 * np.eye(12),
        tolerance=1e-2,
    )
    same(lambda t, a: t.lobpcg(a, 5)[0], DEFINITE)


@pytest.mark.parametrize("n", [0, 1, 2, 5, 20, 70])
def test_ldl(n):
    a = RNG.normal(size=(2, n, n))
    a, b = a + a.transpose(0, 2, 1), RNG.normal(size=(2, n, 2))
    same(lambda t, a: t.linalg.ldl_factor_ex(a.detach()), a, tolerance=1e-7)
    same(lambda t, a, b: t.linalg.ldl_solve(*t.linalg.ldl_factor(a.detach()), b.detach()), a, b, tolerance=1e-5)


@pytest.mark.parametrize("hermitian", [False, True])
def test_ldl_of_complex_matrices(hermitian):
    def call(t, a, b):
        z = t.complex(a, a.flip(0)).detach()
        z = z + (z.mH if hermitian else z.mT)
        factors = t.linalg.ldl_factor(z, hermitian=hermitian)
        solved = t.linalg.ldl_solve(*factors, t.complex(b, -b).detach(), hermitian=hermitian)
        return t.view_as_real(factors[0]), factors[1], t.view_as_real(solved)

    same(call, RNG.normal(size=(3, 5, 5)), RNG.normal(size=(3, 5, 2)), tolerance=1e-6)


def test_ldl_errors():
    same(lambda t: t.linalg.ldl_factor_ex(t.zeros(3, 3)))
    same(lambda t: t.linalg.ldl_factor(t.zeros(3, 3)))
    same(lambda t: t.linalg.ldl_factor(t.zeros(3, 2)))


def test_airy():
    x = np.array([-30.0, -7.5, -2.5, -2.0, -0.1, 0.0, 0.7, 2.1, 2.3, 9.0, 40.0, np.inf, np.nan])
    same(lambda t, x: t.special.airy_ai(x.detach()), x, tolerance=5e-6)  # torch's is no better near -2
    same(lambda t, x: t.special.airy_ai(x.detach()), x, dtype="float16")


POLYNOMIALS = [name for name in dir(torch.special) if "polynomial" in name]


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_polynomials_of_tensors_of_degrees(name):
    x, n = np.array([-1.5, -0.9, 0.0, 0.3, 0.99, 1.0, 3.0]), np.arange(-1, 6)

    def call(t, x, n):
        return getattr(t.special, name)(x.detach() if isinstance(x, t.Tensor) else x, n)

    for pair in ((x[:, None], n), (x, n), (0.3, n), (x, np.array(3)), (x, 2), (n, n), (x[:0], n[:0]), (0.1, 2)):
        same(call, *pair, tolerance=1e-6)
    same(call, x, 3, dtype="float16")


EIGHT = ["float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"]


@pytest.mark.parametrize("name", EIGHT)
def test_float8(name):
    def call(t):
        d = getattr(t, name)
        x = t.tensor([1.0, 2, 448, 500, -0.1, float("nan"), 1e9, -1e9]).to(d)
        shown = repr(t.tensor([1.0, 2.0]).to(d)), str(d), d.itemsize, x[0].item(), t.ones(2, dtype=d).tolist()
        floats = [y.float() for y in (x, x.clone(), t.cat([x, x]), x.reshape(2, 4).t(), t.zeros(2, dtype=d))]
        return [*floats, x.isnan(), x.double(), x.half(), x.is_floating_point(), *shown]

    same(call)
    same(lambda t: t.promote_types(getattr(t, name), t.float32))
    same(lambda t: t.ones(2, dtype=getattr(t, name)).numpy())


def grown(t):
    held = t.tensor([1.0, 2.0]).untyped_storage()
    return [held.resize_(4).nbytes(), held.tolist()]


SMALL = {
    "sym_int": lambda t: [t.sym_int(2.7), t.sym_int(-2.7), t.sym_float(3), t.sym_not(True), t.sym_sqrt(4)],
    "sym_max": lambda t: [
        t.sym_max(1, 2.0),
        t.sym_max(3, 2),
        t.sym_min(1, 2.0),
        t.sym_ite(True, 1, 2),
        t.sym_sum([1, 2]),
    ],
    "cond": lambda t: t.cond(t.tensor(True), lambda x: x + 1, lambda x: x - 1, (t.ones(2),)),
    "cond of two": lambda t: t.cond(t.tensor([True, False]), lambda: 1, lambda: 2),
    "while_loop": lambda t: t.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * 2), (t.tensor(0), t.ones(2))),
    "while_loop of one": lambda t: t.while_loop(lambda i: i < 3, lambda i: i + 1, (t.tensor(0),)),
    "apply_": lambda t: t.ones(2, 3).t().apply_(lambda v: v + 1),
    "apply_ of a leaf": lambda t: t.ones(2, requires_grad=True).apply_(lambda v: v),
    "apply_ of text": lambda t: t.ones(2).apply_(lambda v: "a"),
    "map_": lambda t: t.tensor([1.0, 2]).map_(t.tensor([3.0, 4]), lambda a, b: a + b),
    "map_ of other sizes": lambda t: t.ones(2).map_(t.ones(3), lambda a, b: a),
    "map2_": lambda t: t.tensor([1.0, 2]).map2_(t.tensor([3.0, 4]), t.tensor([1.0, 1]), lambda a, b, c: a + b + c),
    "resize": lambda t: t.ones(6).resize(2, 3),
    "resize to less": lambda t: t.ones(6).resize(2, 2),
    "resize_as_": lambda t: t.resize_as_(t.ones(6), t.ones(2, 3)),
    "reinforce": lambda t: t.ones(2).reinforce(1),
    "solve": lambda t: t.ones(2).solve(1),
    "xpu": lambda t: t.ones(2).xpu(),
    "module_load": lambda t: t.ones(2).module_load(t.zeros(2)),
    "storage": lambda t: [t.ones(2, 3)[1:].untyped_storage().size(), t.tensor([1.0, 2.0])[1:].storage().tolist()],
    "storage's elements": lambda t: [
        t.FloatStorage([1, 2]).tolist(),
        len(t.LongStorage(4)),
        t.tensor([1.0, 2]).storage()[1],
    ],
    "storage's print": lambda t: [repr(t.FloatStorage([1, 2])), repr(t.tensor([1], dtype=t.uint8).untyped_storage())],
    "storage's class": lambda t: [
        isinstance(t.FloatStorage(1), t.FloatStorage),
        isinstance(t.FloatStorage(1), t.LongStorage),
        isinstance(t.FloatStorage(1), t.TypedStorage),
        t.is_storage(t.FloatStorage(1)),
        t.tensor([1.0, 2]).storage().type(),
    ],
    "storage resized": grown,
    "set_": lambda t: t.empty(0).set_(t.FloatStorage([1, 2, 3, 4]), 1, (2,), (2,)),
    "set_ of all": lambda t: t.empty(0).set_(t.tensor([1.0, 2, 3]).untyped_storage()),
    "random_ from": lambda t: [t.zeros(5, dtype=d).random_(5, None) for d in (t.int64, t.int32, t.uint8, t.float32)],
    "no file": lambda t: t.from_file("/no/such/file", size=3),
}


@pytest.mark.parametrize("call", SMALL.values(), ids=SMALL)
def test_small_ones(call):
    same(call)


def test_from_file(tmp_path):
    def call(t):
        path = str(tmp_path / t.__name__)
        np.arange(4, dtype=np.float32).tofile(path)
        first = t.from_file(path, size=3).clone()
        t.from_file(path, shared=True, size=4)[0] = 7
        return first, t.from_file(path, size=4, dtype=t.float32).clone()

    same(call)


POWERS = {
    "square": lambda x: x**2,
    "cube": lambda x: x**3,
    "one": lambda x: x**1,
    "zero": lambda x: x**0,
    "float": lambda x: x.pow(2.0),
    "clamp": lambda x: x.clamp(-0.7, 1.0),
    "product": lambda x: x.prod(),
    "relu": lambda x: x.relu() ** 2,
}


@pytest.mark.parametrize("call", POWERS.values(), ids=POWERS)
def test_slopes_of_slopes_of_powers(call):
    """Also where a slope is constant it has the graph that torch gives it."""

    def slopes(t):
        x = t.tensor([0.5, 2.0, -1.0], dtype=t.float64, requires_grad=True)
        y, found = call(x).sum(), []
        for _ in range(3):
            (y,) = t.autograd.grad(y.sum(), x, create_graph=True)
            found += [(y + 0).detach(), y.requires_grad]
        return found

    same(slopes)
