"""Eager forward mode against PyTorch: a table of functions, both orders of the two modes, writes and views, errors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import retrograd

torch = pytest.importorskip("torch")

from parity.mapped import TABLE, inputs  # noqa: E402  (below the check for torch)

LEFT_OUT = {
    "nextafter": "torch passes the first tangent on, although the next number moves by whole units",
    "special.bessel_j0": "torch takes the slope for 0",
    "special.bessel_j1": "torch takes the slope for 0",
    "linalg.cholesky": "of a symmetric direction below",
    "cholesky_solve": "of a triangular direction below",
    "cholesky_inverse": "of a triangular direction below",
}
# what torch has no forward rule for is compared with differences
DIFFERENCES = {
    "cdist",
    "F.soft_margin_loss",
    "F.margin",
    "F.attention causal",
    "F.grid_sample",
    "F.batch_norm evaluated",
    "special.bessel_j0",
    "special.bessel_j1",
}
NO_RULE = {"heaviside", "floor_divide", "special.zeta"}


def leaves(out: Any) -> list[Any]:
    """Give the tensors of nested sequences."""
    return [v for part in out for v in leaves(part)] if isinstance(out, (tuple, list)) else [out]


def setting(name: str) -> tuple[Any, list[Any], list[int], list[Any]]:
    """Give a row's function, inputs, which of them move, and their directions."""
    fn, kinds = TABLE[name]
    xs = inputs(kinds, 0)
    which = [i for i, x in enumerate(xs) if x.dtype.kind == "f"]
    rng = np.random.default_rng(5)
    return fn, xs, which, [rng.standard_normal(xs[i].shape) for i in which]


def duals(fn: Any, xs: list[Any], which: list[int], ts: list[Any]) -> list[Any]:
    """Give (value, tangent) of each result."""
    level = retrograd.autograd.forward_ad
    with level.dual_level():
        given = [retrograd.tensor(x) for x in xs]
        for i, t in zip(which, ts, strict=True):
            given[i] = level.make_dual(given[i], retrograd.tensor(t))
        return [level.unpack_dual(o) for o in leaves(fn(retrograd, *given))]


def arrays(found: list[Any]) -> list[Any]:
    return [np.zeros(p.shape) if t is None else t.numpy() for p, t in found]


@pytest.mark.parametrize("name", [n for n in TABLE if n not in {*LEFT_OUT, *DIFFERENCES, *NO_RULE}])
def test_tangents(name: str) -> None:
    fn, xs, which, ts = setting(name)
    if not which:
        return

    def theirs(*moving: Any) -> Any:
        whole = [torch.tensor(x) for x in xs]
        for i, v in zip(which, moving, strict=True):
            whole[i] = v
        return tuple(o.clone() for o in leaves(fn(torch, *whole)))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values, want = torch.func.jvp(
            theirs, tuple(torch.tensor(xs[i]) for i in which), tuple(torch.tensor(t) for t in ts)
        )
        found = duals(fn, xs, which, ts)
    for (primal, tangent), v, w in zip(found, values, want, strict=True):
        np.testing.assert_allclose(primal.numpy(), v.numpy(), rtol=1e-7, atol=1e-9)
        if not v.dtype.is_floating_point and not v.dtype.is_complex:
            assert tangent is None
            continue
        got = np.zeros(v.shape) if tangent is None else tangent.numpy()
        np.testing.assert_allclose(got, w.numpy(), rtol=1e-6, atol=1e-8)


def directed(name: str) -> tuple[Any, list[Any], list[int], list[Any]]:
    """Give a row's setting with the direction that its kind of matrix allows."""
    fn, xs, which, ts = setting(name)
    if name == "linalg.cholesky":
        ts = [ts[0] + ts[0].T]
    elif name.startswith("cholesky"):
        ts[-1] = np.tril(ts[-1])
    return fn, xs, which, ts


@pytest.mark.parametrize("name", sorted(DIFFERENCES | {"linalg.cholesky", "cholesky_solve", "cholesky_inverse"}))
def test_tangents_are_differences(name: str) -> None:
    fn, xs, which, ts = directed(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = arrays(duals(fn, xs, which, ts))
        sides = []
        for step in (1e-6, -1e-6):
            moved = list(xs)
            for i, t in zip(which, ts, strict=True):
                moved[i] = xs[i] + step * t
            sides.append([o.numpy() for o in leaves(fn(retrograd, *map(retrograd.tensor, moved)))])
    for g, up, down in zip(got, *sides, strict=True):
        np.testing.assert_allclose(g, (up - down) / 2e-6, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [n for n in TABLE if n not in {*LEFT_OUT, *NO_RULE, "special.zeta", "histc"}])
def test_reverse_over_forward_and_forward_over_reverse(name: str) -> None:
    fn, xs, which, ts = setting(name)
    if not which:
        return
    ad = retrograd.autograd.forward_ad

    def total(outs: list[Any]) -> Any:
        s: Any = 0
        for o in outs:
            if o.dtype.is_floating_point:
                s = s + (o * (retrograd.arange(o.numel(), dtype=o.dtype).reshape(o.shape) + 1).cos()).sum()
        return s

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with ad.dual_level():
            given = [retrograd.tensor(x) for x in xs]
            moving = [given[i].requires_grad_() for i in which]
            for i, t in zip(which, ts, strict=True):
                given[i] = ad.make_dual(given[i], retrograd.tensor(t))
            out = total(leaves(fn(retrograd, *given)))
            if isinstance(out, int) or not out.requires_grad:
                return
            tangent = ad.unpack_dual(out).tangent
            first = (
                retrograd.autograd.grad(tangent, moving, retain_graph=True, allow_unused=True)
                if tangent is not None and tangent.requires_grad
                else [None] * len(which)
            )
            second = retrograd.autograd.grad(out, moving, allow_unused=True)
            second = [None if g is None else ad.unpack_dual(g).tangent for g in second]
    for a, b, x in zip(first, second, moving, strict=True):
        zero = np.zeros(tuple(x.shape))
        a, b = (zero if v is None else v.detach().numpy() for v in (a, b))
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


PROGRAMS: dict[str, Any] = {
    "no_grad does not stop tangents": lambda t, d, ad: _without(t, d),
    "detach does": lambda t, d, ad: d.detach() * d,
    "a write into part": lambda t, d, ad: _written(t, d),
    "a write through a view": lambda t, d, ad: _through_a_view(t, d),
    "a view of what is written later": lambda t, d, ad: _seen_later(t, d),
    "a constant written over": lambda t, d, ad: d.clone().fill_(2.0) * d,
    "in place": lambda t, d, ad: d.clone().mul_(d).add_(1).sqrt_(),
    "copy_": lambda t, d, ad: t.zeros(3, dtype=d.dtype).copy_(d) * 2,
    "integers": lambda t, d, ad: (d > 0).to(d.dtype) * d,
    "halves": lambda t, d, ad: (d.float() * 2).double(),
    "out of one, into many": lambda t, d, ad: t.cat([d, d.sin(), t.ones(2, dtype=d.dtype)]),
}


def _without(t: Any, d: Any) -> Any:
    with t.no_grad():
        return d.sin() * d


def _written(t: Any, d: Any) -> Any:
    z = t.zeros(2, 3, dtype=d.dtype)
    z[0] = d
    z[1, :2] = d[1:] * 2
    return z * z


def _through_a_view(t: Any, d: Any) -> Any:
    z = d.clone()
    z[1:].mul_(d[:2])
    z.view(3, 1)[0].zero_()
    return z


def _seen_later(t: Any, d: Any) -> Any:
    z = d.clone()
    part = z[:2]
    z.mul_(3)
    return part * part


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str) -> None:
    x, v = np.array([0.5, 1.5, 2.5]), np.array([1.0, -2.0, 3.0])
    found = []
    for t in (retrograd, torch):
        ad = t.autograd.forward_ad
        with ad.dual_level():
            out = PROGRAMS[name](t, ad.make_dual(t.tensor(x), t.tensor(v)), ad)
            primal, tangent = ad.unpack_dual(out)
            found.append((primal.numpy(), np.zeros(out.shape) if tangent is None else tangent.numpy()))
    for g, w in zip(*found, strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-6)


ERRORS: dict[str, Any] = {
    "no level": lambda t, ad, x: ad.make_dual(x, x),
    "nested": lambda t, ad, x: _level(ad, ad.enter_dual_level),
    "other shape": lambda t, ad, x: _level(ad, lambda: ad.make_dual(x, x[0])),
    "integers": lambda t, ad, x: _level(ad, lambda: ad.make_dual(x.long(), x.long())),
    "an integer tangent": lambda t, ad, x: _level(ad, lambda: ad.make_dual(x, x.long())),
    "another level": lambda t, ad, x: _level(ad, lambda: ad.make_dual(x, x, level=3)),
    "a dual of a dual": lambda t, ad, x: _level(ad, lambda: ad.make_dual(ad.make_dual(x, x), x)),
    "left twice": lambda t, ad, x: ad.exit_dual_level(),
    "a number": lambda t, ad, x: _level(ad, lambda: ad.make_dual(1, x)),
}


def _level(ad: Any, body: Any) -> Any:
    with ad.dual_level():
        return body()


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    found = []
    for t in (retrograd, torch):
        with pytest.raises(Exception) as caught:
            ERRORS[name](t, t.autograd.forward_ad, t.ones(2))
        found.append(caught.value)
    assert type(found[0]) is type(found[1]), found
    assert str(found[0])[:30] == str(found[1])[:30]


def test_functions_with_a_jvp() -> None:
    def run(t: Any) -> Any:
        class Cube(t.autograd.Function):
            @staticmethod
            def forward(x: Any) -> Any:
                return x**3

            @staticmethod
            def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
                ctx.save_for_backward(*inputs)
                ctx.save_for_forward(*inputs)

            @staticmethod
            def backward(ctx: Any, g: Any) -> Any:
                return 3 * ctx.saved_tensors[0] ** 2 * g

            @staticmethod
            def jvp(ctx: Any, v: Any) -> Any:
                return 3 * ctx.saved_tensors[0] ** 2 * v

        ad = t.autograd.forward_ad
        x = t.tensor([1.0, 2.0], requires_grad=True)
        with ad.dual_level():
            out = Cube.apply(ad.make_dual(x, t.tensor([1.0, -1.0])))
            tangent = ad.unpack_dual(out).tangent
            return tangent.detach().numpy(), t.autograd.grad(out.sum(), x)[0].numpy()

    for g, w in zip(run(retrograd), run(torch), strict=True):
        np.testing.assert_allclose(g, w)
    ad = retrograd.autograd.forward_ad

    class Plain(retrograd.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

    with ad.dual_level(), pytest.raises(NotImplementedError, match="jvp"):
        Plain.apply(ad.make_dual(retrograd.ones(2), retrograd.ones(2)))
