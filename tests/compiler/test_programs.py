"""A compiled graph gives what the interpreter gives: every row of the registry, and random programs."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest
from ml_dtypes import bfloat16

import retrograd as torch
from compiler.random_programs import Maker
from ops.test_registry import arrays
from retrograd.autodiff.trace import Trace, interpret
from retrograd.compiler.program import Program
from retrograd.core import REGISTRY, apply, typeof, wrap


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
    choices = random.Random(seed)
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
        picked = [v for v in some if choices.random() < 0.3] + some[-2:] + values[:1] * (choices.random() < 0.1)
        return picked

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


@pytest.mark.parametrize("seed", range(120))
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
