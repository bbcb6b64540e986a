"""A compiled graph gives what the interpreter gives: every row of the registry, and random programs."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ml_dtypes import bfloat16

import retrograd as torch
from compiler.random_programs import UNARY, Maker
from ops.test_registry import arrays
from retrograd.autodiff.trace import Trace, interpret
from retrograd.compiler.program import Program
from retrograd.core import REGISTRY, apply, typeof, wrap

F = torch.nn.functional


def close(got, want, what="", narrow=False):
    """Compare within what rounding in another order may do; ``narrow``: what has passed through float32."""
    assert (got.shape, got.dtype) == (want.shape, want.dtype), what
    if got.dtype.kind in "fcV" and got.size:
        size = got.dtype.itemsize // (2 if got.dtype.kind == "c" else 1)
        rel = {2: 2e-2, 4: 3e-5, 8: 3e-5 if narrow else 1e-10}[size]
        wide = np.complex128 if got.dtype.kind == "c" else np.float64
        a, b = got.astype(wide), want.astype(wide)
        finite = np.abs(b[np.isfinite(b)])
        size = float(finite.max()) if finite.size else 1.0
        np.testing.assert_allclose(a, b, rtol=rel, atol=rel * min(max(size, 1e-3), 1e4), err_msg=what)
    else:
        np.testing.assert_array_equal(got, want, err_msg=what)


def traced(fn, tensors):
    """Trace a function and give its graph, its inputs' values, and where written inputs stand."""
    record = Trace(tensors)
    with record:
        result = fn(*tensors)
        result = [t for t in result if t is not None]
        graph, inputs, written = record.finish(result)
    places = {id(t): k for k, t in enumerate(inputs)}
    return graph, inputs, [None] * len(result) + [places[id(t)] for t in written]


def agree(fn, arrays, what="", runs=2):
    """Compare a program with the interpreter, on the values it was traced with, twice."""
    tensors = [wrap(a.copy()) for a in arrays]
    graph, inputs, targets = traced(fn, tensors)
    program = Program(graph, targets)
    values = [np.ascontiguousarray(t._a) for t in inputs]
    for t, a in zip(tensors, arrays, strict=True):
        for k, u in enumerate(inputs):
            if u is t:
                values[k] = a.copy()
    for _ in range(runs):
        mine = [v.copy() for v in values]
        want = interpret(graph, [v.copy() for v in values])
        got = iter(program(mine))
        for k, (target, w) in enumerate(zip(targets, want, strict=True)):
            found = next(got) if target is None else mine[target]
            note = what if isinstance(what, str) or k >= len(what) else what[k]
            close(found, np.asarray(w), f"output {k}\n{note}", any(a.dtype == np.float32 for a in arrays))
        untouched = set(range(len(values))) - {t for t in targets if t is not None}
        for k in untouched:
            np.testing.assert_array_equal(mine[k], values[k], err_msg=f"input {k} was written\n{what}")


def drawn(seed, dtype, big=False, steps=None):
    """Draw a program; give it with its inputs."""
    choices = seed if isinstance(seed, random.Random) else random.Random(seed)
    maker = Maker(choices, np.dtype(dtype), big)
    arrays = maker.inputs(choices.choice([1, 2, 3]))
    with torch.no_grad():
        maker.build([wrap(a.copy()) for a in arrays], steps or choices.choice([2, 4, 8, 14]))
    return maker, arrays


def forward_of(maker, seed, count):
    choices = random.Random(seed)

    def forward(*xs):
        values = maker.run(xs)
        some = values[count:]
        return [v for v in some if choices.random() < 0.3] + some[-2:] + values[:1] * (choices.random() < 0.1)

    return forward


def gradient_of(maker, count):
    def gradient(*xs):
        for x in xs:
            x.requires_grad_()
        values = maker.run(xs)
        made = [v for v in values[count:] if v.requires_grad and v.is_floating_point()]
        if not made:
            return []
        loss = sum((v * 0.1).sum().to(xs[0].dtype) for v in made[-3:])
        return [loss.detach(), *torch.autograd.grad(loss, xs, allow_unused=True)]

    return gradient


def described(maker, arrays):
    return "\n".join([f"inputs {[a.shape for a in arrays]}", *maker.lines])


@pytest.mark.parametrize("seed", range(90))
def test_random_programs(seed):
    maker, arrays = drawn(seed, "float32" if seed % 3 else "float64")
    agree(forward_of(maker, seed, len(arrays)), arrays, described(maker, arrays))


# -- every row of the registry ------------------------------------------------------------------------------------------------
SKIP = {"draw", "draw_like", "pick", "function", "once_differentiable", "module_boundary"}


def samples_of(op):
    """Give an op's samples, each also with its lengths stretched where its dimensions are only broadcast."""
    yield from op.samples
    if op.family == "elementwise":
        count = len(op.samples[0]["shapes"]) if op.samples else 1
        for shapes in (((),), ((0, 3),), ((1, 1),), ((37,),), ((5, 67),), ((3, 1, 5),)):
            yield {**(op.samples[0] if op.samples else {}), "shapes": shapes * count}


NAMES = [name for name in sorted(REGISTRY) if name not in SKIP]
GROUP = 10
GROUPS = [NAMES[k : k + GROUP] for k in range(0, len(NAMES), GROUP)]
FAILURES = (TypeError, ValueError, RuntimeError, np.linalg.LinAlgError, KeyError, NotImplementedError, AttributeError)


def cases_of(names, dtype):
    """Give (op, attributes, arrays) of every sample that this kind of number is for."""
    for name in names:
        op = REGISTRY[name]
        for sample in samples_of(op):
            attrs = sample.get("attrs", {})
            if (sample.get("dtype") or sample.get("dtypes")) and dtype != "float32":
                continue
            xs = arrays(op, sample, seed=7, dtype=bfloat16 if dtype == "bfloat16" else dtype)
            try:
                with np.errstate(all="ignore"), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    found = op.numpy(*xs, **attrs)
                    made = apply(op, *[wrap(a.copy()) for a in xs], **attrs)
                    made = made if isinstance(made, tuple) else (made,)
                    wanted = op.type(*(typeof(a) for a in xs), **attrs)
            except FAILURES:
                continue  # not an operation on numbers of this kind
            if not isinstance(found, tuple) and wanted is not None and tuple(wanted) != tuple(typeof(made[0])):
                continue
            yield op, attrs, xs


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int64", "bool"])
@pytest.mark.parametrize("names", GROUPS, ids=lambda names: f"{names[0]}-{names[-1]}")
def test_every_row(names, dtype):
    cases = list(cases_of(names, dtype))
    with_gradient = dtype in ("float32", "float64")

    def run(*tensors):
        left = list(tensors)
        out = []
        notes.clear()
        for op, attrs, xs in cases:
            mine, left = left[: len(xs)], left[len(xs) :]
            differentiable = with_gradient and op.vjp is not None and all(a.dtype.kind != "c" for a in xs)
            wanted = [t for t in mine if t.is_floating_point() and differentiable]
            for t in wanted:
                t.requires_grad_()
            made = apply(op, *mine, **attrs)
            made = list(made) if isinstance(made, tuple) else [made]
            found = []
            sloped = [t for t in made if t.requires_grad]
            if sloped:
                seeds = [torch.full_like(t, 0.75) for t in sloped]
                found = [g for g in torch.autograd.grad(sloped, wanted, seeds, allow_unused=True) if g is not None]
            notes.extend([f"{op.name}{[a.shape for a in xs]} {attrs}"] * (len(made) + len(found)))
            out += [t.detach() for t in made] + found
        return out

    notes: list[str] = []
    if cases:
        agree(run, [a for _, _, xs in cases for a in xs], notes, runs=1)


# -- random programs ------------------------------------------------------------------------------------------------------------
FAST = settings(
    derandomize=True, max_examples=50, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


@FAST
@given(st.randoms(use_true_random=False), st.sampled_from(["float32", "float64"]), st.integers(0, 999))
def test_programs_that_shrink(choices, dtype, seed):
    maker, arrays = drawn(choices, dtype)
    agree(forward_of(maker, seed, len(arrays)), arrays, described(maker, arrays))


@pytest.mark.parametrize("seed", range(50))
def test_random_gradients(seed):
    maker, arrays = drawn(1000 + seed, "float64")
    agree(gradient_of(maker, len(arrays)), arrays, described(maker, arrays))


@pytest.mark.parametrize("seed", range(14))
def test_random_programs_on_many_elements(seed):
    maker, arrays = drawn(seed, "float64", big=True, steps=6)
    agree(forward_of(maker, seed, len(arrays)), arrays, described(maker, arrays), runs=1)


SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 3.4e38, -1.0, 0.5, 2.0, 88.8, -104.0, 1e-8]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(UNARY))
def test_special_values(name, dtype):
    fn = UNARY[name]
    agree(lambda x: [fn(x), fn(x).sum(), fn(x).amax(), fn(x.reshape(1, -1)).amax(1)], [np.array(SPECIAL, dtype)], name)


def test_reductions_of_special_values():
    rows = np.array([[1, np.nan, 2], [np.inf, 1, -np.inf], [-np.inf, -np.inf, -np.inf], [np.inf, 0, 1]], np.float32)

    def fn(x):
        made = [x.sum(1), x.amax(1), x.amin(1), x.mean(0), x.logsumexp(1), torch.softmax(x, 1), torch.log_softmax(x, 0)]
        return [
            *made,
            x.amax(0),
            x.max(1).values,
            F.layer_norm(x, x.shape[-1:]),
            torch.maximum(x, x.flip(0)),
            x.clamp(-1, 1),
        ]

    agree(fn, [rows])
    agree(fn, [np.tile(rows, (3, 40))])


WIDTHS = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 255, 1000, 4097]


@pytest.mark.parametrize("width", WIDTHS)
def test_rows_of_every_width(width):
    def fn(x, w):
        a = torch.softmax(x, -1)
        b = F.layer_norm(a * x, (width,), w)
        return [
            a,
            b,
            b.sum(0),
            (a * b).sum(-1),
            x.amax(-1) - a.amin(-1),
            torch.log_softmax(b, -1),
            x.T.contiguous(),
            x[:, ::2] * 2,
        ]

    rng = np.random.default_rng(width)
    for dtype in ("float32", "float64"):
        agree(fn, [rng.standard_normal((5, width)).astype(dtype), rng.standard_normal(width).astype(dtype)])


@pytest.mark.parametrize("m", [1, 5, 33])
@pytest.mark.parametrize("k", [1, 8, 40])
def test_products_of_every_form(m, k):
    def fn(x, y):
        out = []
        for n in (1, 2, 7, 16, 31):
            b = y[:k, :n]
            bt = y[:n, :k].mT
            for a in (x[:m, :k], x[:k, :m].mT, x[::2, :k][: m // 2 + 1], x[:m, 1 : k + 1]):
                out += [a @ b, a @ bt, torch.stack([a, a * 2]) @ b, torch.stack([a, a * 2]) @ torch.stack([bt, bt])]
        return out

    rng = np.random.default_rng(0)
    agree(fn, [rng.standard_normal((80, 80)), rng.standard_normal((80, 80))], runs=1)
    agree(fn, [rng.standard_normal((80, 80)).astype("f"), rng.standard_normal((80, 80)).astype("f")], runs=1)
