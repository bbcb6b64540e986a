"""Products of vectors, matrices and batches beside torch, and einsum with generated equations."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import retrograd
from retrograd.tensor.dispatch import FUNCTIONS, METHODS
from retrograd.tensor.functions import products

torch = pytest.importorskip("torch")

from parity.tables import check_forward, compare, outcome  # noqa: E402  (below the check for torch)

RNG = np.random.default_rng(11)


def n(*shape: int) -> Any:
    return RNG.normal(size=shape)


def multi_dot(t: Any, tensors: Any) -> Any:
    """torch.linalg.multi_dot, here where it is defined."""
    return torch.linalg.multi_dot(tensors) if t is torch else products.multi_dot(tensors)


SHAPES = (
    (),
    (3,),
    (4,),
    (0,),
    (1,),
    (3, 4),
    (4, 3),
    (4, 0),
    (0, 3),
    (1, 4),
    (2, 3, 4),
    (2, 4, 3),
    (5, 1, 3, 4),
    (1, 2, 4, 3),
    (0, 3, 4),
)
PAIRS = [(a, b) for a in SHAPES for b in SHAPES]
TWO: dict[str, Any] = {
    "matmul": lambda t, x, y: t.matmul(x, y),
    "@": lambda t, x, y: x @ y,
    "spmm": lambda t, x, y: t.spmm(x, y) if x.dim() == y.dim() == 2 and t is retrograd else t.mm(x, y),
    "mm": lambda t, x, y: t.mm(x, y),
    "bmm": lambda t, x, y: x.bmm(y),
    "mv": lambda t, x, y: t.mv(x, y),
    "dot": lambda t, x, y: x.dot(y),
    "vdot": lambda t, x, y: t.vdot(x, y),
    "inner": lambda t, x, y: t.inner(x, y),
    "outer": lambda t, x, y: t.outer(x, y),
    "ger": lambda t, x, y: x.ger(y),
    "kron": lambda t, x, y: t.kron(x, y),
    "tensordot": lambda t, x, y: t.tensordot(x, y, 1),
    "tensordot(0)": lambda t, x, y: t.tensordot(x, y, dims=0),
    "tensordot(dims)": lambda t, x, y: t.tensordot(x, y, dims=([-1], [0])),
    "linear": lambda t, x, y: t.nn.functional.linear(x, y),
    "chain_matmul": lambda t, x, y: t.chain_matmul(x, y, x),
    "multi_dot": lambda t, x, y: multi_dot(t, [x, y, x]),
    "cross": lambda t, x, y: t.cross(x, y, dim=-1),
}
MORE: dict[str, Any] = {
    "addmm": (lambda t, x, y, z: t.addmm(x, y, z, beta=0.5, alpha=2), (2, 4), (2, 3), (3, 4)),
    "addmm broadcast": (lambda t, x, y, z: x.addmm(y, z), (4,), (2, 3), (3, 4)),
    "addmm beta=0": (lambda t, x, y, z: t.addmm(x, y, z, beta=0), (2, 4), (2, 3), (3, 4)),
    "addmm misfit": (lambda t, x, y, z: t.addmm(x, y, z), (2, 4), (2, 3), (4, 4)),
    "addmv": (lambda t, x, y, z: t.addmv(x, y, z, alpha=3), (2,), (2, 3), (3,)),
    "addr": (lambda t, x, y, z: t.addr(x, y, z, beta=2), (2, 3), (2,), (3,)),
    "baddbmm": (lambda t, x, y, z: t.baddbmm(x, y, z, beta=0.5), (5, 2, 4), (5, 2, 3), (5, 3, 4)),
    "addbmm": (lambda t, x, y, z: t.addbmm(x, y, z, alpha=0.5), (2, 4), (5, 2, 3), (5, 3, 4)),
    "multi_dot vectors": (lambda t, x, y, z: multi_dot(t, [x, y, z]), (2,), (2, 3), (3,)),
    "tensordot two": (lambda t, x, y, z: t.tensordot(x, y, dims=([0, 1], [1, 0])) + z, (2, 3, 4), (3, 2, 5), (4, 5)),
    "tensordot misfit": (lambda t, x, y, z: t.tensordot(x, y, dims=([0], [0])), (2, 3), (3, 2), (1,)),
    "tensordot negative": (lambda t, x, y, z: t.tensordot(x, y, dims=-1), (2, 3), (3, 2), (1,)),
    "cross": (lambda t, x, y, z: t.cross(x, y, dim=1) * z, (2, 3), (2, 3), (2, 1)),
    "cross misfit": (lambda t, x, y, z: x.cross(y, dim=0), (2, 3), (2, 3), (1,)),
    "linear bias": (lambda t, x, y, z: t.nn.functional.linear(x, y, z), (2, 5, 3), (4, 3), (4,)),
    "linear bias vector": (lambda t, x, y, z: t.nn.functional.linear(x, y, z), (3,), (4, 3), (4,)),
    "linear misfit": (lambda t, x, y, z: t.nn.functional.linear(x, y, z), (2, 4), (4, 3), (4,)),
    "trace": (lambda t, x, y, z: t.trace(x) + y.trace() + z, (3, 3), (2, 4), ()),
    "trace of a cube": (lambda t, x, y, z: t.trace(x), (3, 3, 3), (1,), (1,)),
    "addmm_": (lambda t, x, y, z: (x * 1).addmm_(y, z), (2, 4), (2, 3), (3, 4)),
}
FAMILY = ("products", "einsum")


def test_every_name_has_a_case() -> None:
    source = inspect.getsource(inspect.getmodule(test_every_name_has_a_case))  # type: ignore[arg-type]
    for name, fn in {**FUNCTIONS, **METHODS}.items():
        if inspect.unwrap(fn).__module__.rpartition(".")[2] in FAMILY and name not in ("dsmm", "hspmm"):
            assert any(f"{k}.{name}(" in source for k in ("t", "x", "y")), name


@pytest.mark.parametrize("name", TWO)
def test_all_ranks(name: str) -> None:
    for a, b in PAIRS:
        x, y = n(*a), n(*b)
        try:
            compare(TWO[name], x, y, grad=True)
        except AssertionError as error:
            raise AssertionError(f"{name} of {a} and {b}: {error}") from None


@pytest.mark.parametrize("name", TWO)
def test_layouts_and_dtypes(name: str) -> None:
    for a, b in (((3,), (3,)), ((3, 3), (3, 3)), ((2, 3, 3), (2, 3, 3)), ((3, 3), (3,))):
        x, y = n(*a), n(*b)
        for layout in (
            ("turned", "stepped", "expanded") if name != "kron" else ("stepped",)
        ):  # torch's kron fails on views
            compare(TWO[name], (x, "float64", layout), (y, "float64", layout), grad=False)
        for dtype in ("float32", "float16", "bfloat16", "int64", "complex64"):
            tolerance = {"float16": 2e-2, "bfloat16": 1e-1}.get(dtype, 1e-4)
            compare(TWO[name], (np.round(x * 2), dtype), (np.round(y * 2), dtype), tolerance=tolerance)
        compare(TWO[name], (x, "float32"), (y, "float64"))


@pytest.mark.parametrize("name", MORE)
def test_three(name: str) -> None:
    fn, *shapes = MORE[name]
    xs = [n(*s) for s in shapes]
    compare(fn, *xs, grad=name != "addmm beta=0")  # here the gradient of what is not read is None
    if not isinstance(outcome(retrograd, fn, *xs), Exception):
        check_forward(fn, *xs)
        compare(fn, *((x, "float32") for x in xs), tolerance=1e-4)


@pytest.mark.parametrize("name", TWO)
def test_forward_mode(name: str) -> None:
    for a, b in (((3,), (3,)), ((3, 3), (3, 3)), ((2, 3, 3), (2, 3, 3)), ((3, 3), (3,))):
        x, y = n(*a), n(*b)
        if not isinstance(outcome(retrograd, TWO[name], x, y), Exception):
            check_forward(TWO[name], x, y)


def test_out() -> None:
    for fn in (
        lambda t, x: t.matmul(x, x, out=t.empty(0)),
        lambda t, x: t.mm(x, x, out=t.zeros(3, 3)),
        lambda t, x: t.mv(x, x[0], out=t.zeros(3)),
        lambda t, x: t.outer(x[0], x[1], out=t.zeros(3, 3)),
        lambda t, x: t.addmm(x, x, x, out=t.zeros(3, 3)),
    ):
        compare(fn, (n(3, 3), "float32"), tolerance=1e-4)


def test_half_precision_sums_in_single() -> None:
    for fn in (lambda t, x: x @ x, lambda t, x: x[None] @ x[:, None], lambda t, x: t.einsum("i,i->", x, x)):
        for dtype in ("float16", "bfloat16"):
            compare(fn, (np.ones(4096), dtype), tolerance=0)


EQUATIONS = (
    ("ij,jk->ik", (3, 4), (4, 5)),
    ("ij,jk", (3, 4), (4, 5)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("iji->j", (3, 4, 3)),
    ("ij->ji", (3, 4)),
    ("ij->", (3, 4)),
    ("i,j->ij", (3,), (4,)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    ("...ij,...jk->...ik", (2, 3, 4), (1, 4, 5)),
    ("...ij,jk", (2, 3, 4), (4, 5)),
    ("i...->...", (3, 4)),
    ("b...,b->...", (3, 4), (3,)),
    ("ij,ij->ij", (3, 4), (3, 4)),
    ("ij,ij->", (3, 4), (3, 4)),
    ("i,ij,j->", (3,), (3, 4), (4,)),
    ("bn,anm,bm->ba", (2, 3), (5, 3, 4), (2, 4)),
    ("ij,kj->ikj", (3, 4), (2, 4)),
    ("ij , jk -> ki", (3, 4), (4, 5)),
    ("abc,cba->b", (2, 3, 4), (4, 3, 2)),
    ("i,i,i->i", (3,), (3,), (3,)),
    ("ij,j->ij", (3, 1), (4,)),
    (",->", (), ()),
    ("i,->i", (3,), ()),
    ("Ab,bC->AC", (2, 3), (3, 4)),
    ("ij,jk->ik", (0, 4), (4, 5)),
    ("ij,jk->ik", (3, 0), (0, 5)),
    ("ij->k", (3, 4)),
    ("ij,jk->ik", (3, 4), (5, 6)),
    ("ij", (3,)),
    ("ij,jk->ik", (3, 4)),
    ("i1->i", (3, 4)),
    ("ii->ii", (3, 3)),
    ("ii->i", (3, 4)),
    ("i...j->...", (3, 4)),
    ("...,...", (3, 4), (4,)),
    ("->", ()),
    ("ij->i...", (3, 4)),
    ("i->>i", (3,)),
)


@pytest.mark.parametrize("case", EQUATIONS, ids=lambda c: c[0])
def test_einsum(case: Any) -> None:
    equation, *shapes = case
    fn = lambda t, *xs: t.einsum(equation, *xs)
    compare(fn, *(n(*s) for s in shapes), grad=True)
    if not isinstance(outcome(retrograd, fn, *(n(*s) for s in shapes)), Exception):
        check_forward(fn, *(n(*s) for s in shapes))


def test_einsum_in_other_forms() -> None:
    x, y = n(3, 4), n(4, 5)
    compare(lambda t, x, y: t.einsum(x, [0, 1], y, [1, 2], [0, 2]), x, y)
    compare(lambda t, x, y: t.einsum(x, [0, 1], y, [1, 2]), x, y)
    compare(lambda t, x, y: t.einsum(x, [..., 1], y, [1, 2], [..., 2]), x, y)
    compare(lambda t, x, y: t.einsum("ij,jk->ik", [x, y]), x, y)
    compare(lambda t, x, y: t.einsum("ij,jk->ik"), x, y)
    compare(lambda t, x, y: t.einsum("ij,jk->ik", x, y), (x, "float32"), (y, "float64"))
    compare(lambda t, x, y: t.einsum("ij,jk->ik", x, y), (np.round(x), "int64"), (np.round(y), "int64"))
    for equation in ("ij,kl->ijkl", "ij,kj->ikj", "ij,kl->", "ij,kl->j", "ij,ij->ij"):  # nothing is summed over both
        for kinds in (("int64", "float32"), ("float32", "float64"), ("bool", "float32"), ("float16", "float32")):
            held = [
                (np.round(v[:2, :2]) if "int" in kind else v[:2, :2], kind)
                for v, kind in zip((x, y), kinds, strict=True)
            ]
            compare(lambda t, x, y, equation=equation: t.einsum(equation, x, y), *held)


@st.composite
def equations(draw: Any) -> Any:
    letters = "abcd"
    sizes = {ch: draw(st.integers(1, 3)) for ch in letters}
    terms = draw(st.lists(st.lists(st.sampled_from(letters), max_size=3), min_size=1, max_size=3))
    used = sorted({ch for term in terms for ch in term})
    out = draw(st.permutations(used)) if used else []
    out = out[: draw(st.integers(0, len(out)))]
    dots = draw(st.integers(0, 2))
    arrow = draw(st.booleans())
    texts, shapes = [], []
    for term in terms:
        where = draw(st.integers(0, len(term))) if dots else None
        lead = draw(st.integers(0, dots)) if dots else 0
        shape = [sizes[ch] if draw(st.integers(0, 5)) else 1 for ch in term]
        for ch in set(term):  # a repeated letter has one length within a term
            for i, other in enumerate(term):
                if other == ch:
                    shape[i] = shape[term.index(ch)]
        if where is None:
            texts.append("".join(term))
        else:
            texts.append("".join(term[:where]) + "..." + "".join(term[where:]))
            shape[where:where] = [2 + i for i in range(dots)][dots - lead :]
        shapes.append(tuple(shape))
    right = ("..." if dots else "") + "".join(out)
    return ",".join(texts) + ("->" + right if arrow else ""), shapes


@settings(max_examples=150, deadline=None, derandomize=True)
@given(equations())
def test_generated_equations(case: Any) -> None:
    equation, shapes = case
    compare(lambda t, *xs: t.einsum(equation, *xs), *(n(*s) for s in shapes), grad=True)
