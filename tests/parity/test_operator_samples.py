"""Calls on which other libraries' operator tests once told the two libraries apart: values, dtypes, gradients, exceptions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from .tables import same_value

torch = pytest.importorskip("torch")

import retrograd  # noqa: E402  (below the check for torch)

NAN, INF = float("nan"), float("inf")


def slopes(t: Any, fn: Any, *arrays: Any, dtype: str = "float64", times: int = 1) -> Any:
    """Give the results and the gradients of a function of leaves, weighed element by element, after some runs."""
    for _ in range(times):
        xs = [t.tensor(np.asarray(a)).to(getattr(t, dtype)).requires_grad_() for a in arrays]
        y = fn(*xs)
        weights = t.arange(1, y.numel() + 1).reshape(tuple(y.shape)).to(y.dtype)
        (y * weights).sum().abs().backward()
    return y.detach(), *[x.grad for x in xs]


def picture(t: Any, *shape: int) -> Any:
    return t.tensor(np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8))


def resized(mode: str, size: tuple[int, int], **settings: Any) -> Any:
    return lambda t: t.nn.functional.interpolate(picture(t, 2, 3, 13, 9), size, mode=mode, **settings)


def whole(t: Any, *shape: int, dtype: str = "int64") -> Any:
    return t.full(shape, 3).to(getattr(t, dtype))


HALF = np.array([[1.0, 1.0, 1.0], [2.0, 3.0, 4.0]])
Z = np.array([1 + 3j, 1 - 3j, 0.2 + 2j])
BASE, EXPONENT = np.array(-4.3 - 2.4j), np.array(-8.5 - 1.8j)
DOUBLE = np.ones((2, 2))

CASES = {
    # factors of whole numbers are whole
    **{
        f"{name} {dtype}": lambda t, name=name, shapes=shapes, dtype=dtype: getattr(t, name)(
            *[whole(t, *s, dtype=dtype) for s in shapes], beta=1.6, alpha=2.7
        )
        for name, shapes in {
            "addmm": ((2, 2), (2, 3), (3, 2)),
            "addmv": ((2,), (2, 3), (3,)),
            "addbmm": ((2, 2), (4, 2, 3), (4, 3, 2)),
            "baddbmm": ((4, 2, 2), (4, 2, 3), (4, 3, 2)),
            "addr": ((2, 3), (2,), (3,)),
        }.items()
        for dtype in ("int64", "int32", "uint8")
    },
    "addr of bools": lambda t: t.addr(t.ones(2, 2).bool(), t.ones(2).bool(), t.zeros(2).bool(), beta=3, alpha=2),
    "addmm of two dtypes": lambda t: t.addmm(t.ones(2, 2).double(), t.ones(2, 2), t.ones(2, 2)),
    "addmm by a complex number": lambda t: t.addmm(t.ones(2, 2), t.ones(2, 2), t.ones(2, 2), beta=1j),
    # lengths and dtypes
    **{
        f"arange {args} {dtype}": lambda t, args=args, dtype=dtype: t.arange(*args, dtype=getattr(t, dtype))
        for args in ((0, -8.000001, -4), (3.1,), (0, 5, 0.5), (0.5, 3.9, 1), (5, 0))
        for dtype in ("int64", "int32", "uint8", "float32")
    },
    "sum_to_size of one": lambda t: t.ones((), dtype=t.uint8).sum_to_size(()),
    **{
        f"einsum {equation} {dtype}": lambda t, equation=equation, shapes=shapes, dtype=dtype: t.einsum(
            equation, *[whole(t, *s, dtype=dtype) for s in shapes]
        )
        for equation, shapes in {
            "i->": ((3,),),
            "ij->i": ((3, 2),),
            "ii->": ((3, 3),),
            "i,j->j": ((3,), (2,)),
            "ij,jk->ik": ((2, 3), (3, 2)),
            "ii,j->": ((2, 2), (3,)),
        }.items()
        for dtype in ("uint8", "int32", "int64", "int8")
    },
    "tensordot by one": lambda t: t.tensordot(
        whole(t, 1, 1, 1, dtype="int32"), whole(t, 2, 1, 2, dtype="int32"), dims=[[0, 1], [2, 0]]
    ),
    "unravel_index": lambda t: t.unravel_index(t.tensor([3, 5], dtype=t.uint8), (2, 3)),
    "unfold of a number": lambda t: (t.tensor(3.0).unfold(0, 1, 1), t.tensor(3.0).unfold(0, 0, 1)),
    "unique of a number": lambda t: t.unique(t.tensor(1.0), return_inverse=True, return_counts=True),
    "unique_consecutive of a number": lambda t: t.unique_consecutive(t.tensor(1.0), True, True),
    "logsumexp of a number": lambda t: (t.logsumexp(t.tensor(3.0), [0], True), t.logsumexp(t.tensor(3.0), 0)),
    "powers of whole numbers": lambda t: (
        t.tensor([1, -1, 2]) ** t.tensor(-3),
        t.tensor(2) ** t.tensor(-8),
        2 ** t.tensor(-8),
        t.tensor(-8).__rpow__(t.tensor(2)),
    ),
    "gradient by default": lambda t: t.gradient(t.arange(5.0), dim=None, spacing=None, edge_order=1),
    "take_along_dim from the end": lambda t: t.take_along_dim(t.arange(6.0).view(2, 3), t.tensor([[-1, 0]]), 1),
    "cdist counts": lambda t: t.cdist(t.tensor([[NAN, 1], [0, 1]]), t.tensor([[0.0, 1], [1, 2]]), p=0),
    # normalisation
    "group_norm of no samples": lambda t: t.nn.functional.group_norm(t.ones(0, 2, 3), 1),
    "batch_norm of no samples": lambda t: [
        t.nn.functional.batch_norm(t.ones(0, 2, 3), m := t.ones(2), v := t.ones(2), training=True),
        m,
        v,
    ],
    "fractional_max_pool3d of no samples": lambda t: t.nn.functional.fractional_max_pool3d(
        t.ones(0, 1, 4, 5, 4), (2, 2, 1), output_size=(2, 3, 2)
    ),
    "grid_sample of halves": lambda t: [
        t.nn.functional.grid_sample(
            t.arange(9.0).view(1, 1, 3, 3).bfloat16(),
            t.tensor([[[[-0.8, -0.5], [0.0, 0.2]]]]).bfloat16(),
            padding_mode=mode,
            align_corners=False,
        )
        for mode in ("zeros", "border", "reflection")
    ],
    # gradients
    "index_fill with an index twice": lambda t: slopes(
        t, lambda x, v: t.index_fill(x, 0, t.tensor([1, 1, 2]), v), np.arange(3.0), np.array(2.0)
    ),
    "nextafter": lambda t: slopes(t, lambda x, y: t.nextafter(x, y * 1.0), np.array([1.0, 2]), np.array([2.0, 2]))[:2],
    "cdist p=0": lambda t: slopes(t, lambda x: t.cdist(x, 2 * x, p=0), DOUBLE),
    "complex logsumexp": lambda t: slopes(t, lambda x: t.logsumexp(x, 0), Z, dtype="complex128"),
    "powers of complex numbers": lambda t: slopes(t, lambda x, y: x**y, BASE, EXPONENT, dtype="complex128"),
    "powers of complex numbers in a vector": lambda t: slopes(
        t, lambda x, y: x**y, BASE[None], EXPONENT[None], dtype="complex128"
    ),
    "index_reduce_ of a number": lambda t: slopes(
        t, lambda x, s: x.clone().index_reduce_(0, t.tensor([0]), s, "prod"), np.array(4.5), np.array(2.0)
    ),
    **{
        f"circular pad {pads}": lambda t, pads=pads: slopes(
            t, lambda x: t.nn.functional.pad(x, pads, "circular"), np.arange(16.0).reshape(1, 1, 4, 4)
        )
        for pads in ((-1, 1, -2, 1), (2, -1, 0, 0), (-1, 3, 1, 1))
    },
    "eval batch_norm of one channel, the third time": lambda t: slopes(
        t,
        lambda x, w, b: t.nn.functional.batch_norm(x, t.zeros(1).double(), t.ones(1).double(), w, b),
        np.array([[1.0], [2.0]]),
        np.array([2.0]),
        np.array([3.0]),
        times=4,
    ),
    **{
        f"float16 {name}": lambda t, fn=fn: slopes(t, lambda x: fn(t.nn.functional, x), HALF, dtype="float16", times=4)
        for name, fn in {
            "layer_norm": lambda f, x: f.layer_norm(x, (3,)),
            "group_norm": lambda f, x: f.group_norm(x, 1),
            "batch_norm": lambda f, x: f.batch_norm(x, None, None, training=True),
            "instance_norm": lambda f, x: f.instance_norm(x[None]),
            "rms_norm": lambda f, x: f.rms_norm(300 * x, (3,), eps=0.5),
            "binary_cross_entropy": lambda f, x: f.binary_cross_entropy(x / 4, x.detach() / 5, reduction="none"),
        }.items()
    },
    # pictures
    **{
        f"{mode} {size} {settings}": resized(mode, size, **settings)
        for mode in ("bilinear", "bicubic")
        for size in ((5, 4), (26, 9), (7, 20))
        for settings in ({}, {"align_corners": True}, {"antialias": True})
    },
    # what is refused
    **{
        f"refused: {line}": lambda t, line=line: eval(line, {"t": t, "F": t.nn.functional})
        for line in (
            "t.eq(2, t.ones(1))",
            "t.lt(2, 3)",
            "t.pow(2, 3)",
            "t.float_power(2, 3)",
            "t.remainder(2, 3)",
            "t.fmod(3, t.ones(1))",
            "t.copysign(3, t.ones(1))",
            "t.rsub(3, t.ones(1))",
            "t.xlogy(2, 3)",
            "t.bitwise_or(2, 3)",
            "t.isclose(t.ones(1), 1.0)",
            "t.isclose(1.0, t.ones(1))",
            "t.linspace(0, 3, 1.0)",
            "t.logspace(0, 3, 1.0)",
            "t.narrow(t.ones(3), 0, t.tensor([1]), 2)",
            "t.narrow(t.ones(3), 0, t.tensor(True), 2)",
            "t.hstack([])",
            "t.vstack([])",
            "t.dstack([])",
            "t.column_stack([])",
            "t.gradient(t.ones(3, 3), dim=[1, 1])",
            "t.cov(t.ones(5), fweights=t.ones(5, 5))",
            "t.cov(t.ones(5), fweights=t.ones(5))",
            "t.cov(t.ones(5), aweights=t.ones(5).long())",
            "t.cov(t.ones(5), fweights=-t.ones(5).long())",
            "t.cov(t.ones(5), aweights=t.ones(4))",
            "t.ones(2).long().masked_fill(t.tensor(True), t.tensor(1j))",
            "t.take(t.arange(3.0), t.tensor([0, 1]), out=t.zeros(1).expand(2))",
            "F.rrelu(t.ones(5), lower=0.3, upper=0.1)",
            "F.multi_margin_loss(t.ones(5, 4), t.ones(5), reduction='abc')",
            "F.batch_norm(t.ones(2, 2), None, None, training=True, eps=0.0)",
            "t.arange(0, 5, 0.5, dtype=t.int64)",
            "F.nll_loss(t.zeros(2, 3), t.tensor([0, 1]), t.ones(3).half())",
            "F.cross_entropy(t.zeros(2, 3), t.tensor([0, 1]), t.ones(3).double(), label_smoothing=0.1)",
            "t.nn.HuberLoss(delta=1j)",
            "t.tensor([1 + 2j]).abs_()",
            "t.tensor([1 + 2j]).absolute_()",
            "F.adaptive_avg_pool2d(t.ones(2, 2), (2, 2))",
            "F.adaptive_max_pool3d(t.ones(2, 2, 2), (2, None, 2))",
            "F.adaptive_avg_pool2d(t.ones(2, 2), 2)",
            *(
                f"t.{call}, out=t.zeros({shape}).double())"
                for call, shape in (
                    ("mm(t.ones(2, 2), t.ones(2, 2)", "2, 2"),
                    ("matmul(t.ones(2, 2), t.ones(2, 2)", "2, 2"),
                    ("gather(t.arange(3.0), 0, t.tensor([0, 1])", "2"),
                    ("linalg.inv(t.eye(2)", "2, 2"),
                    ("masked_select(t.ones(2), t.ones(2) > 0", "2"),
                    ("norm(t.ones(2), 2, 0", "()"),
                    ("nonzero(t.ones(2)", "2, 1"),
                    ("tensordot(t.ones(2), t.ones(2), 1", "()"),
                )
            ),
        )
    },
}


def outcome(t: Any, fn: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return fn(t)
        except Exception as error:
            return error


@pytest.mark.parametrize("name", CASES)
def test_sample(name: str) -> None:
    ours, theirs = outcome(retrograd, CASES[name]), outcome(torch, CASES[name])
    if isinstance(theirs, Exception):
        assert type(ours) is type(theirs), f"torch: {theirs!r}; here: {ours!r}"
        return
    assert not isinstance(ours, Exception), repr(ours)
    # half precisions: torch sums their slopes in another order
    same_value(ours, theirs, 0.03 if name.startswith("float16") else None)


def test_the_slope_of_a_second_run_is_that_of_the_first() -> None:
    def run() -> Any:
        x = retrograd.tensor([[1.0], [2.0]], requires_grad=True)
        y = retrograd.nn.functional.batch_norm(x, retrograd.zeros(1), retrograd.ones(1), retrograd.ones(1))
        return retrograd.autograd.grad(y.sum(), x)[0]

    first = run()
    assert all(retrograd.equal(run(), first) for _ in range(5))
