"""Generated convolutions beside NumPy's in float64: every geometry, both gradients, threads, odd values, and what is left to NumPy."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import retrograd as torch
from retrograd.compiler.codegen.emit import Module
from retrograd.compiler.contractions import (
    conv,
    conv_channels,
    conv_groups,
    conv_inner,
    conv_pixels,
    conv_products,
    conv_taps,
    conv_weights,
    conv_winograd,
)
from retrograd.compiler.runtime import jit
from retrograd.core.threads import set_threads, threads
from retrograd.ops import conv_kernels
from retrograd.ops.columns import output_size

Attrs = dict[str, Any]
NAMES = ("conv", "conv_input_grad", "conv_weight_grad")


def operands(name: str, x: Any, w: Any, attrs: Attrs, rng: Any) -> tuple[Any, Any, Attrs, int]:
    """Give both operands of a product and its attributes for a convolution of these, and how many terms its sums have."""
    pixels = output_size(x.shape[2:], w.shape[2:], attrs["stride"], attrs["padding"], attrs["dilation"])
    if name == "conv":
        return x, w, attrs, math.prod(w.shape[1:])
    g = rng.standard_normal((x.shape[0], w.shape[0], *pixels)).astype(x.dtype)
    if name == "conv_input_grad":
        return g, w, {**attrs, "x_shape": x.shape}, w.shape[0] * math.prod(w.shape[2:])
    return g, x, {**attrs, "w_shape": w.shape}, x.shape[0] * math.prod(pixels)


def check(name: str, x: Any, w: Any, attrs: Attrs, rng: Any) -> conv.Plan | None:
    """Compare a product with NumPy's in float64; give the plan that was followed."""
    first, second, attrs, terms = operands(name, x, w, attrs, rng)
    made = getattr(conv, name)(first, second, **attrs)
    kind = conv.KINDS[x.dtype.name]
    job = conv.describe(name, first.shape, second.shape, kind, attrs)
    assert (made is None) == (job is None)
    if made is None:
        return None
    expected = getattr(conv_kernels, name)(first.astype(np.float64), second.astype(np.float64), **attrs)
    bound = (1e-5 if kind == "f32" else 1e-13) * math.sqrt(terms)
    assert made.dtype == x.dtype
    assert made.shape == expected.shape
    np.testing.assert_allclose(made, expected, rtol=0, atol=bound, err_msg=f"{job.plan}")
    return job.plan


def geometry(rng: Any) -> tuple[Any, Any, Attrs] | None:
    """Draw a convolution of one to three dimensions, any strides, dilations, groups, and paddings that may cut."""
    n = int(rng.integers(1, 4))
    length = rng.integers(1, {1: 40, 2: 20, 3: 9}[n], n)
    kernel = rng.integers(1, 5, n)
    attrs = {
        "stride": tuple(map(int, rng.integers(1, 4, n))),
        "padding": tuple((int(a), int(b)) for a, b in rng.integers(-1, 3, (n, 2))),
        "dilation": tuple(map(int, rng.integers(1, 3, n))),
        "groups": int(rng.choice([1, 1, 2, 3])),
    }
    into, out = int(rng.integers(1, 20)), int(rng.integers(1, rng.choice([5, 40])))
    images, groups = int(rng.integers(1, 4)), attrs["groups"]
    if min(output_size(tuple(length), tuple(kernel), attrs["stride"], attrs["padding"], attrs["dilation"])) < 1:
        return None
    dtype = rng.choice(["float32", "float64"])
    x = rng.standard_normal((images, groups * into, *length)).astype(dtype)
    w = rng.standard_normal((groups * out, into, *kernel)).astype(dtype)
    return x, w, attrs


@pytest.mark.parametrize("seed", range(150))
def test_any_geometry(seed: int) -> None:
    """The input's gradient is a transposed convolution: so those are drawn, too."""
    rng = np.random.default_rng(seed)
    drawn = None
    while drawn is None:
        drawn = geometry(rng)
    product = NAMES[seed % 3]
    check(product, *drawn, rng)
    first, second, attrs, _ = operands(product, *drawn, rng)
    assert len(set(by_threads(product, first, second, attrs, (1, 2)))) == 1


def by_threads(product: str, first: Any, second: Any, attrs: Attrs, counts: tuple[int, ...]) -> list[bytes]:
    """Give a product's bits for several numbers of threads."""
    before, made = threads(), []
    try:
        for count in counts:
            set_threads(count)
            found = getattr(conv, product)(first, second, **attrs)
            made.append(b"" if found is None else found.tobytes())
    finally:
        set_threads(before)
    return made


def plain(n: int = 2, stride: int = 1, padding: int = 1, dilation: int = 1, groups: int = 1) -> Attrs:
    """Give attributes that are alike in all dimensions."""
    return {
        "stride": (stride,) * n,
        "padding": ((padding, padding),) * n,
        "dilation": (dilation,) * n,
        "groups": groups,
    }


# input, kernel, attributes: those of known networks, large enough for several blocks, panels and shares
NETWORKS: dict[str, tuple[tuple[int, ...], tuple[int, ...], Attrs]] = {
    "many channels": ((3, 40, 13, 13), (100, 40, 3, 3), plain()),
    "first layer": ((2, 3, 64, 64), (64, 3, 11, 11), plain(stride=4, padding=2)),
    "large image": ((1, 20, 90, 70), (33, 20, 3, 3), plain()),
    "strided": ((2, 64, 29, 31), (48, 64, 3, 3), plain(stride=2)),
    "strided far": ((2, 5, 40, 140), (3, 5, 3, 3), plain(stride=2)),
    "pointwise": ((2, 64, 20, 20), (70, 64, 1, 1), plain(padding=0)),
    "pointwise, strided": ((2, 64, 21, 21), (70, 64, 1, 1), plain(stride=2, padding=0)),
    "depthwise": ((2, 24, 30, 33), (24, 1, 3, 3), plain(groups=24)),
    "depthwise, strided": ((2, 24, 31, 134), (24, 1, 3, 3), plain(stride=2, groups=24)),
    "depthwise, multiplied": ((2, 8, 30, 33), (24, 1, 3, 3), plain(groups=8)),
    "grouped": ((2, 64, 14, 14), (64, 16, 3, 3), plain(groups=4)),
    "odd tiles": ((5, 33, 7, 9), (40, 33, 3, 3), plain()),
    "tiles of several blocks": ((1, 130, 33, 60), (64, 130, 3, 3), plain(padding=0)),
    "small planes": ((9, 48, 4, 4), (64, 48, 3, 3), plain()),
    "one dimension": ((20, 15, 20), (20, 15, 3), plain(1)),
    "three dimensions": ((2, 8, 12, 14, 13), (20, 8, 3, 3, 3), plain(3)),
    "three dimensions, strided": ((1, 8, 12, 40, 40), (20, 8, 3, 3, 3), plain(3, stride=2)),
    "dilated": ((2, 30, 25, 25), (40, 30, 3, 3), plain(padding=4, dilation=4)),
    "five by five": ((8, 40, 19, 17), (70, 40, 5, 5), plain(padding=2)),
    "five by five, narrowing": ((4, 64, 27, 26), (160, 64, 5, 5), plain(padding=2)),
    "three by six": ((4, 48, 30, 31), (128, 48, 3, 6), plain(padding=1)),
    "one result": ((5, 24, 4, 5), (40, 24, 4, 5), plain(padding=0)),
    "one result, grouped": ((3, 64, 4, 4), (96, 32, 4, 4), plain(padding=0, groups=2)),
    "pointwise, many weights": ((1, 300, 6, 7), (500, 300, 1, 1), plain(padding=0)),
    "pointwise, grouped": ((2, 256, 12, 12), (224, 128, 1, 1), plain(padding=0, groups=2)),
    "every third": ((2, 40, 3, 23, 25), (50, 40, 1, 1, 1), plain(3, stride=3, padding=0)),
    "every second row": ((2, 40, 23, 25), (50, 40, 1, 3), plain(stride=2)),
    "rows outside": ((2, 32, 9, 11), (40, 32, 3, 3), plain(padding=12, dilation=12)),
    "planes outside": ((2, 20, 7, 9, 8), (24, 20, 3, 5, 3), plain(3, padding=2)),
    "nothing but zeros": ((2, 20, 6, 3), (40, 20, 3, 3), {**plain(dilation=2), "padding": ((1, 1), (-9, 14))}),
    "many groups": ((3, 40, 9, 11), (60, 2, 3, 4), plain(groups=20)),
    "many groups, strided far": ((2, 34, 17, 70), (68, 1, 5, 5), plain(stride=3, padding=2, groups=34)),
    "many groups, many rows": ((1, 20, 70, 66), (20, 1, 7, 7), plain(padding=9, dilation=3, groups=20)),
    "many groups in three dimensions": ((2, 17, 9, 10, 11), (17, 1, 3, 3, 3), plain(3, groups=17)),
    "many groups, planes apart": ((1, 16, 20, 40, 44), (16, 1, 3, 3, 3), plain(3, stride=2, groups=16)),
    "many groups, long rows": ((2, 33, 300), (33, 1, 9), plain(1, padding=4, groups=33)),
    "many groups, few taps": ((3, 24, 5, 5), (24, 1, 1, 2), plain(stride=3, padding=0, groups=24)),
    "large sums": ((1, 300, 6, 6), (300, 300, 3, 3), plain()),
    "columns outside": ((2, 70, 20, 35), (40, 70, 3, 3), plain(padding=12, dilation=12)),
    "far taps in several blocks": ((1, 260, 40, 50), (40, 260, 3, 3), plain(padding=9, dilation=9)),
    "far taps, strided": ((2, 40, 31, 33), (48, 40, 3, 3), plain(stride=2, padding=6, dilation=6)),
    "far taps in three dimensions": ((2, 20, 9, 10, 11), (36, 20, 3, 3, 3), plain(3, padding=4, dilation=4)),
}


def network(name: str, dtype: Any = np.float32) -> tuple[Any, Any, Attrs, Any]:
    """Give a table entry's arrays."""
    rng = np.random.default_rng(0)
    x, w, attrs = NETWORKS[name]
    return rng.standard_normal(x).astype(dtype), rng.standard_normal(w).astype(dtype), attrs, rng


@pytest.mark.parametrize("product", NAMES)
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str, product: str) -> None:
    x, w, attrs, rng = network(name)
    check(product, x, w, attrs, rng)


def test_each_way_of_computing_is_taken() -> None:
    taken = {
        (name, product): check(product, *network(name))
        for name, product in [
            ("first layer", "conv"),
            ("tiles of several blocks", "conv"),
            ("five by five, narrowing", "conv"),
            ("three by six", "conv_input_grad"),
            ("depthwise", "conv"),
            ("depthwise, strided", "conv_input_grad"),
            ("many channels", "conv_weight_grad"),
            ("depthwise", "conv_weight_grad"),
            ("pointwise, many weights", "conv"),
            ("pointwise, grouped", "conv_input_grad"),
            ("one result", "conv_weight_grad"),
            ("columns outside", "conv_weight_grad"),
            ("many groups, many rows", "conv"),
        ]
    }
    direct = [conv_channels.Plan, *[conv_winograd.Plan] * 3, conv_pixels.Plan, conv_pixels.Plan]
    weights, products = [conv_weights.Plan, conv_inner.Plan], [conv_products.Plan] * 3
    others = [*weights, *products, conv_taps.Plan, conv_groups.Plan]
    assert [type(plan) for plan in taken.values()] == [*direct, *others]


@pytest.fixture
def preferred(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Groups go along vectors wherever they can."""
    real = conv_groups.cost
    monkeypatch.setattr(conv_groups, "cost", lambda *sizes: real(*sizes) * 1e-3)
    for cached in (conv._described, conv.planned):
        cached.cache_clear()
    yield
    for cached in (conv._described, conv.planned):
        cached.cache_clear()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("product", NAMES[:2])
@pytest.mark.parametrize("name", [name for name, (_, _, attrs) in NETWORKS.items() if 2 < attrs["groups"]])
@pytest.mark.usefixtures("preferred")
def test_groups_along_vectors(name: str, product: str, dtype: Any) -> None:
    x, w, attrs, rng = network(name, dtype)
    assert isinstance(check(product, x, w, attrs, rng), conv_groups.Plan)
    first, second, attrs, _ = operands(product, x, w, attrs, rng)
    assert len(set(by_threads(product, first, second, attrs, (1, 2, 3)))) == 1


@pytest.mark.parametrize("product", NAMES)
@pytest.mark.parametrize(
    "name",
    [
        *("many channels", "strided", "depthwise, strided", "five by five, narrowing", "large sums", "small planes"),
        *("one result", "pointwise, many weights", "rows outside", "planes outside"),
        *("columns outside", "far taps in several blocks"),
    ],
)
def test_threads_do_not_change_a_bit(name: str, product: str) -> None:
    x, w, attrs, rng = network(name)
    first, second, attrs, _ = operands(product, x, w, attrs, rng)
    assert len(set(by_threads(product, first, second, attrs, (1, 2, 3)))) == 1


@pytest.mark.parametrize("product", NAMES)
@pytest.mark.parametrize("name", ["many channels", "depthwise"])
def test_a_kernel_serves_every_batch(name: str, product: str) -> None:
    x, w, attrs, rng = network(name)
    job = None
    for images in (8, 9, 13, 31):
        many = rng.standard_normal((images, *x.shape[1:])).astype(np.float32)
        check(product, many, w, attrs, rng)
        first, second, own, _ = operands(product, many, w, attrs, rng)
        described = conv.describe(product, first.shape, second.shape, "f32", own)
        assert described is not None
        assert job is None or described.plan == job.plan
        job = described


@pytest.mark.parametrize("product", NAMES)
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["many channels", "strided", "five by five", "depthwise, strided", "strided far"])
def test_odd_values_stay_where_they_belong(name: str, value: float, product: str) -> None:
    x, w, attrs, rng = network(name)
    first, second, attrs, _ = operands(product, x, w, attrs, rng)
    first[0, -1, ..., -1] = second[-1, 0, ..., 0] = 0
    clean = getattr(conv_kernels, product)(first.astype(np.float64), second.astype(np.float64), **attrs)
    first[0, -1, ..., -1] = second[-1, 0, ..., 0] = value
    made = getattr(conv, product)(first, second, **attrs)
    with np.errstate(invalid="ignore"):
        expected = getattr(conv_kernels, product)(first.astype(np.float64), second.astype(np.float64), **attrs)
    finite = np.isfinite(expected)
    assert finite.any()
    assert not finite.all()
    job = conv.describe(product, first.shape, second.shape, "f32", attrs)
    assert job is not None
    if isinstance(job.plan, conv_winograd.Plan):  # a tile is as odd as its oddest number: their neighbours may be too
        assert not np.isfinite(made[~finite]).any()
        odd = ~finite
        for axis in (2, 3) * (2 if len(job.plan.squares) > 1 else 1):  # with zeros at the kernel's edges, the next ones
            odd = odd | np.roll(odd, 1, axis) | np.roll(odd, -1, axis)
        finite = ~odd
        assert np.isfinite(made[finite]).all()
    elif isinstance(job.plan, conv_taps.Plan):  # products with the zeros outside are left out
        assert np.isfinite(made[finite]).all()
        assert not np.isfinite(made).all()
        left = np.isfinite(made) & ~finite
        np.testing.assert_allclose(made[left], clean[left], atol=1e-2)
    else:
        assert np.array_equal(np.isfinite(made), finite)
    np.testing.assert_allclose(made[finite], expected[finite], atol=1e-2)


@pytest.mark.parametrize("product", NAMES)
def test_operands_of_any_layout(product: str) -> None:
    x, w, attrs, rng = network("many channels")
    first, second, attrs, _ = operands(product, x, w, attrs, rng)
    straight = getattr(conv, product)(first, second, **attrs)
    turned = np.ascontiguousarray(first.transpose(3, 1, 0, 2)).transpose(2, 1, 3, 0)
    shifted = np.empty(second.size + 1, second.dtype)[1:].reshape(second.shape)
    shifted[...] = second
    assert np.array_equal(getattr(conv, product)(turned, shifted, **attrs), straight)
    same = np.broadcast_to(first[:1, :1, :1, :1], first.shape)
    expected = getattr(conv_kernels, product)(same.astype(np.float64), second.astype(np.float64), **attrs)
    np.testing.assert_allclose(getattr(conv, product)(same, second, **attrs), expected, atol=1e-3)


def test_what_is_left_to_numpy() -> None:
    x, w, attrs = np.ones((2, 3, 5, 5)), np.ones((4, 3, 3, 3)), plain()
    assert conv.conv(x.astype(np.int64), w.astype(np.int64), **attrs) is None
    assert conv.conv(x.astype(np.float16), w.astype(np.float16), **attrs) is None
    assert conv.conv(x, w.astype(np.float32), **attrs) is None
    assert conv.conv(x[:0], w, **attrs) is None
    assert conv.conv(x[:, :0], w[:, :0], **attrs) is None
    g = np.ones((1, 1, 1))
    no_tap = {"x_shape": (1, 1, 1), "stride": (3,), "padding": ((-2, 5),), "dilation": (1,), "groups": 1}
    assert conv.conv_input_grad(g, np.ones((1, 1, 1)), **no_tap) is None


@pytest.mark.parametrize(
    "name", ["strided", "depthwise", "three dimensions", "many groups, many rows", "columns outside", "many groups"]
)
@pytest.mark.parametrize(("width", "registers"), [(8, 12)])
def test_narrower_machines(name: str, width: int, registers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conv, "registers", lambda: registers)
    monkeypatch.setattr(jit.Host, "lanes", lambda self, size: max(1, width * 4 // size))
    for cached in (conv._described, conv.planned, conv._compiled, conv._runner):
        cached.cache_clear()
    try:
        for product in NAMES:
            plan = check(product, *network(name))
            assert plan is not None
            assert plan.width == width
    finally:
        for cached in (conv._described, conv.planned, conv._compiled, conv._runner):
            cached.cache_clear()


def test_two_callers_at_once() -> None:
    x, w, attrs, rng = network("many channels")
    first, second, attrs, _ = operands("conv_weight_grad", x, w, attrs, rng)
    expected = conv.conv_weight_grad(first, second, **attrs)
    wrong = []

    def call() -> None:
        for _ in range(20):
            if not np.array_equal(conv.conv_weight_grad(first, second, **attrs), expected):
                wrong.append(1)

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def test_eager_mode_asks_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = conv.run
    monkeypatch.setattr(conv, "run", lambda job, *rest: asked.append(job) or real(job, *rest))
    x, w, attrs, _ = network("many channels")
    a, b = (torch.tensor(v, requires_grad=True) for v in (x, w))
    out = torch.nn.functional.conv2d(a, b, padding=1)
    out.square().sum().backward()
    assert len(asked) == 3
    expected = conv_kernels.conv(x.astype(np.float64), w.astype(np.float64), **attrs)
    np.testing.assert_allclose(out.detach().numpy(), expected, atol=1e-3)
    small = torch.nn.functional.conv2d(a[:1, :, :3, :3], b, padding=1)
    assert small.shape == (1, 100, 3, 3)
    assert len(asked) == 3


def test_programs_hold_them() -> None:
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 20, 3, stride=2), torch.nn.ReLU(), torch.nn.Conv2d(20, 10, 3, padding=1, groups=5)]
    model, eager = torch.nn.Sequential(*layers), torch.nn.Sequential(*layers)
    x = torch.randn(4, 3, 17, 19, requires_grad=True)

    def step(net: Any) -> list[Any]:
        loss = net(x).square().mean()
        return [loss, *torch.autograd.grad(loss, [x, *net.parameters()])]

    compiled = torch.compile(step)
    for _ in range(3):
        made = compiled(model)
    for a, b in zip(made, step(eager), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), atol=1e-5)
    data = compiled.explain(rounds=0).data["programs"][0]["parts"][0]
    kinds = [k["kind"] for k in data["kernels"]]
    assert kinds.count("convolution") + sum(k.get("convolution") is not None for k in data["kernels"]) == 6
    assert "numpy" not in kinds
    assert "conv_weight_grad" in str(compiled.explain(rounds=0))


def test_the_text_is_accepted_for_portable_machines() -> None:
    x, w, attrs = NETWORKS["many channels"]
    job = conv.describe("conv", x, w, "f32", attrs)
    assert job is not None
    module = Module()
    conv.write(job, module, "portable")
    assert jit.assemble(module.text())
