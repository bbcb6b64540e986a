"""Convolution and pooling rows against torch: values, gradients, gradients of gradients, and exceptions."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd  # noqa: E402  (below the check for torch)
from retrograd.ops import conv as conv_rows  # noqa: E402
from retrograd.ops import pool as pool_rows  # noqa: E402
from retrograd.tensor import Tensor, grad  # noqa: E402

F = torch.nn.functional
CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVG_POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
ADAPTIVE_AVG = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}
ADAPTIVE_MAX = {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Keep torch's threads from waiting on NumPy's: the arrays here are small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def drawn(shape, seed=0, dtype="f8"):
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(dtype)


def ours(array, requires_grad=True):
    tensor = Tensor._wrap(array.copy())
    tensor.requires_grad = requires_grad
    return tensor


def theirs(array, requires_grad=True):
    return torch.tensor(array, requires_grad=requires_grad)


def close(mine, expected, tolerance):
    assert tuple(mine.shape) == tuple(expected.shape)
    np.testing.assert_allclose(mine._a, expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    assert mine._a.dtype == expected.detach().numpy().dtype


def same_to_second_order(my_function, their_function, arrays, tolerance=1e-10):
    """Compare value, gradients, and the gradients of those with respect to all inputs and the upstream gradient."""
    mine, expected = [ours(a) for a in arrays], [theirs(a) for a in arrays]
    out, out_expected = my_function(*mine), their_function(*expected)
    close(out, out_expected, tolerance)
    upstream = drawn(tuple(out_expected.shape), 1, arrays[0].dtype)
    g, g_expected = ours(upstream), theirs(upstream)
    first = grad(out, mine, g, create_graph=True)
    first_expected = torch.autograd.grad(out_expected, expected, g_expected, create_graph=True)
    for a, b in zip(first, first_expected, strict=True):
        close(a, b, tolerance)
    seeds = [drawn(tuple(a.shape), 2, arrays[0].dtype) for a in first_expected]
    second = grad(first, [*mine, g], [ours(a, False) for a in seeds], allow_unused=True)
    second_expected = torch.autograd.grad(
        first_expected, [*expected, g_expected], [theirs(a, False) for a in seeds], allow_unused=True
    )
    for a, b in zip(second, second_expected, strict=True):
        if a is None or b is None:
            assert all(t is None or not np.any(np.asarray(t.detach())) for t in (a, b))
        else:
            close(a, b, tolerance)


def conv_table():
    """(input, weight, stride, padding, dilation, groups)."""
    for kernel, stride, padding, dilation, groups in product((1, 3), (1, 2, 3), (0, 2), (1, 2), (1, 2)):
        yield (2, 4, 8), (6, 4 // groups, kernel), (stride,), (padding,), (dilation,), groups
    strides, paddings, dilations = ((1, 1), (2, 2), (2, 3)), ((0, 0), (1, 1), (2, 0)), ((1, 1), (2, 1))
    for kernel, stride, padding, dilation, groups in product(
        ((1, 1), (3, 3), (2, 4)), strides, paddings, dilations, (1, 2, 6)
    ):
        yield (2, 6, 7, 6), (12 if groups == 6 else 4, 6 // groups, *kernel), stride, padding, dilation, groups
    for kernel, stride, padding, groups in product(
        ((1, 1, 1), (2, 3, 1)), ((1, 1, 1), (2, 1, 3)), ((0, 0, 0), (1, 1, 0)), (1, 2)
    ):
        yield (1, 2, 4, 5, 4), (2, 2 // groups, *kernel), stride, padding, (1, 1, 2), groups
    yield (2, 1, 28, 28), (16, 1, 5, 5), (1, 1), (2, 2), (1, 1), 1
    yield (2, 16, 14, 14), (3, 16, 5, 5), (1, 1), (2, 2), (1, 1), 1
    yield (1, 3, 32, 32), (16, 3, 11, 11), (4, 4), (2, 2), (1, 1), 1
    yield (2, 3, 16, 16), (24, 3, 8, 8), (8, 8), (0, 0), (1, 1), 1
    yield (2, 32, 9, 9), (8, 32, 1, 1), (1, 1), (0, 0), (1, 1), 1
    yield (2, 32, 9, 9), (32, 1, 3, 3), (2, 2), (1, 1), (1, 1), 32


CONV_CASES = list(conv_table())


def test_the_table_is_long_enough():
    assert len(CONV_CASES) >= 150


def geometry(stride, padding, dilation, groups):
    return {"stride": stride, "padding": tuple((p, p) for p in padding), "dilation": dilation, "groups": groups}


@pytest.mark.parametrize("case", CONV_CASES, ids=str)
def test_conv(case):
    x, w, *rest = case
    attrs = geometry(*rest)
    same_to_second_order(
        lambda x, w: conv_rows.conv(x, w, **attrs),
        lambda x, w: CONV[len(rest[0])](x, w, None, *rest),
        [drawn(x), drawn(w, 3)],
    )


@pytest.mark.parametrize("case", CONV_CASES[::4], ids=str)
def test_conv_in_float32(case):
    x, w, *rest = case
    attrs = geometry(*rest)
    same_to_second_order(
        lambda x, w: conv_rows.conv(x, w, **attrs),
        lambda x, w: CONV[len(rest[0])](x, w, None, *rest),
        [drawn(x, 0, "f4"), drawn(w, 3, "f4")],
        tolerance=2e-4,  # sums of up to 400 terms of size one, in another order
    )


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("case", CONV_CASES[::3], ids=str)
def test_transposed_conv(case, more):
    _, w, stride, padding, dilation, groups = case
    extra = tuple(more if max(s, d) > 1 else 0 for s, d in zip(stride, dilation, strict=True))
    length = (6,) * len(stride)
    dims = zip(length, w[2:], stride, padding, dilation, extra, strict=True)
    size = tuple((n - 1) * s - 2 * p + d * (k - 1) + e + 1 for n, k, s, p, d, e in dims)
    attrs = {
        "x_shape": (2, w[1] * groups, *size),
        "stride": stride,
        "padding": tuple(
            (p, p - e) for p, e in zip(padding, extra, strict=True)
        ),  # what is added at the end is padding not taken off
        "dilation": dilation,
        "groups": groups,
    }
    same_to_second_order(
        lambda x, w: conv_rows.conv_input_grad(x, w, **attrs),
        lambda x, w: TRANSPOSED[len(stride)](x, w, None, stride, padding, extra, groups, dilation),
        [drawn((2, w[0], *length)), drawn(w, 3)],
    )


def pool_table():
    """(size, kernel, stride, padding, dilation, ceil_mode)."""
    for kernel, stride, padding, dilation, ceil in product((2, 3), (1, 2, 3), (0, 1), (1, 2), (False, True)):
        yield (9,), (kernel,), (stride,), (padding,), (dilation,), ceil
    for kernel, stride, padding, dilation, ceil in product(
        ((2, 2), (3, 2)), ((1, 1), (2, 2), (3, 2)), ((0, 0), (1, 1)), ((1, 1), (1, 2)), (False, True)
    ):
        yield (8, 7), kernel, stride, padding, dilation, ceil
    for kernel, stride, padding, ceil in product(
        ((2, 2, 2), (1, 3, 2)), ((1, 2, 1), (2, 2, 2)), ((0, 0, 0), (0, 1, 1)), (False, True)
    ):
        yield (4, 5, 6), kernel, stride, padding, (1, 1, 1), ceil


POOL_CASES = list(pool_table())


def planes(size, lead=(2, 3), seed=0):
    """Whole numbers, so that there are ties."""
    return np.random.default_rng(seed).integers(-9, 10, (*lead, *size)).astype(float)


@pytest.mark.parametrize("case", POOL_CASES, ids=str)
def test_max_pool(case):
    size, kernel, stride, padding, dilation, ceil = case
    windows = pool_rows.strided_windows(*case)
    x = planes(size)
    pool = MAX_POOL[len(size)]
    same_to_second_order(
        lambda x: pool_rows.max_pool(x, windows=windows),
        lambda x: pool(x, kernel, stride, padding, dilation, ceil),
        [x],
    )
    x[np.random.default_rng(1).random(x.shape) < 0.1] = np.nan
    out, index = pool(torch.tensor(x), kernel, stride, padding, dilation, ceil, True)
    mine = pool_rows.max_pool(x, windows=windows)
    np.testing.assert_array_equal(mine, out.numpy())
    np.testing.assert_array_equal(pool_rows.max_pool_index(x, mine, windows=windows), index.numpy())


@pytest.mark.parametrize("include_padding", [True, False])
@pytest.mark.parametrize("case", [c for c in POOL_CASES if max(c[4]) == 1], ids=str)
def test_avg_pool(case, include_padding):
    size, kernel, stride, padding, _, ceil = case
    windows = pool_rows.strided_windows(*case)
    for divisor in (None, 5)[: len(size)]:
        attrs = (include_padding, divisor)[: min(len(size), 2)]
        same_to_second_order(
            lambda x, d=divisor: pool_rows.avg_pool(x, windows=windows, include_padding=include_padding, divisor=d),
            lambda x, a=attrs: AVG_POOL[len(size)](x, kernel, stride, padding, ceil, *a),
            [drawn((2, 3, *size))],
        )


ADAPTIVE = [
    ((9,), (3,)),
    ((9,), (4,)),
    ((3,), (7,)),
    ((6, 8), (3, 2)),
    ((7, 5), (3, 2)),
    ((3, 5), (5, 5)),
    ((5, 4), (1, 1)),
    ((5, 4, 7), (2, 3, 4)),
    ((4, 4, 6), (2, 4, 3)),
]


@pytest.mark.parametrize("case", ADAPTIVE, ids=str)
def test_adaptive_pools(case):
    size, count = case
    windows = pool_rows.adaptive_windows(*case)
    same_to_second_order(
        lambda x: pool_rows.avg_pool(x, windows=windows),
        lambda x: ADAPTIVE_AVG[len(size)](x, count),
        [drawn((2, 3, *size))],
    )
    x = planes(size)
    same_to_second_order(
        lambda x: pool_rows.max_pool(x, windows=windows), lambda x: ADAPTIVE_MAX[len(size)](x, count), [x]
    )
    out, index = ADAPTIVE_MAX[len(size)](torch.tensor(x), count, True)
    np.testing.assert_array_equal(pool_rows.max_pool_index(x, out.numpy(), windows=windows), index.numpy())


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    [(2, 1, 0, 1), ((2, 3), (2, 1), (1, 0), (1, 2)), (3, 3, 2, 1), ((1, 2), 2, 0, (1, 3))],
)
def test_unfold_and_fold(kernel, stride, padding, dilation):
    def pair(value):
        return value if isinstance(value, tuple) else (value, value)

    attrs = {
        "kernel": pair(kernel),
        "stride": pair(stride),
        "padding": tuple((p, p) for p in pair(padding)),
        "dilation": pair(dilation),
    }
    x = drawn((2, 3, 6, 7))
    same_to_second_order(
        lambda x: conv_rows.unfold(x, **attrs), lambda x: F.unfold(x, kernel, dilation, padding, stride), [x]
    )
    columns = F.unfold(torch.tensor(x), kernel, dilation, padding, stride).numpy()
    same_to_second_order(
        lambda x: conv_rows.fold(x, size=(6, 7), **attrs),
        lambda x: F.fold(x, (6, 7), kernel, dilation, padding, stride),
        [columns],
    )


def test_whole_numbers():
    x = np.arange(2 * 2 * 6 * 6).reshape(2, 2, 6, 6)
    w = np.arange(3 * 2 * 3 * 3).reshape(3, 2, 3, 3) - 20
    attrs = geometry((1, 1), (1, 1), (1, 1), 1)
    for dtype in ("i8", "i4", "u1"):
        a, b = x.astype(dtype), w.astype(dtype)
        np.testing.assert_array_equal(
            conv_rows.conv(a, b, **attrs), F.conv2d(torch.tensor(a), torch.tensor(b), padding=1).numpy()
        )
        windows = pool_rows.strided_windows((6, 6), (3, 3), (2, 2), (1, 1), (1, 1))
        np.testing.assert_array_equal(
            pool_rows.max_pool(a, windows=windows), F.max_pool2d(torch.tensor(a), 3, 2, 1).numpy()
        )
    mean = pool_rows.avg_pool(w, windows=pool_rows.strided_windows((3, 3), (2, 2), (1, 1), (0, 0), (1, 1)))
    np.testing.assert_array_equal(mean, F.avg_pool2d(torch.tensor(w), 2, 1).numpy())


def test_complex_numbers():
    x, w = (drawn(shape) + 1j * drawn(shape, 5) for shape in ((2, 4, 6, 5), (6, 2, 3, 2)))
    rest = (2, 1), (1, 0), (1, 2), 2
    mine, expected = [ours(a) for a in (x, w)], [theirs(a) for a in (x, w)]
    out, out_expected = conv_rows.conv(*mine, **geometry(*rest)), F.conv2d(*expected, None, *rest)
    close(out, out_expected, 1e-10)
    upstream = drawn(tuple(out.shape)) + 1j * drawn(tuple(out.shape), 6)
    first = grad(out, mine, ours(upstream, False))
    for a, b in zip(first, torch.autograd.grad(out_expected, expected, theirs(upstream, False)), strict=True):
        close(a, b, 1e-10)


WRONG = [
    ((1, 1, 4, 4), (1, 1, 7, 7), {}),
    ((1, 1, 4, 4), (1, 2, 2, 2), {}),
    ((1, 2, 4, 4), (3, 1, 2, 2), {"groups": 2}),
    ((1, 1, 4, 4), (1, 1, 2, 2), {"stride": (0, 0)}),
    ((1, 1, 4, 4), (1, 1, 2, 2), {"dilation": (0, 0)}),
    ((1, 1, 4, 4), (1, 1, 2, 2), {"groups": 0}),
    ((1, 1, 4, 4), (0, 1, 2, 2), {}),
    ((1, 1, 4, 0), (1, 1, 2, 2), {}),
    ((4, 4), (1, 1, 2, 2), {}),
]


@pytest.mark.parametrize(("x", "w", "changed"), WRONG)
def test_conv_refuses_what_torch_refuses(x, w, changed):
    attrs = {**geometry((1, 1), (0, 0), (1, 1), 1), **changed}
    with pytest.raises(RuntimeError) as expected:
        F.conv2d(torch.ones(x), torch.ones(w), None, attrs["stride"], 0, attrs["dilation"], attrs["groups"])
    with pytest.raises(RuntimeError) as found:
        conv_rows.conv(Tensor._wrap(np.ones(x, "f4")), Tensor._wrap(np.ones(w, "f4")), **attrs)
    assert str(expected.value)[:30] in str(found.value)


def test_conv_refuses_mixed_dtypes():
    with pytest.raises(RuntimeError, match="should be the same"):
        conv_rows.conv(np.ones((1, 1, 4), "f4"), np.ones((1, 1, 2), "f8"), **geometry((1,), (0,), (1,), 1))


ODD = [  # function, input, weight, options
    ("conv1d", (2, 4, 7), (4, 4, 0), {}),
    ("conv2d", (0, 4, 7, 7), (4, 4, 3, 0), {}),
    ("conv2d", (0, 4, 7, 7), (4, 4, 3, 3), {}),
    ("conv2d", (0, 4, 7, 7), (4, 5, 3, 3), {}),
    ("conv3d", (2, 4, 7, 7, 2), (4, 4, 3, 3, 3), {}),
    ("conv1d", (2, 4, 7), (4, 4, 9), {"padding": 1}),
    ("conv1d", (2, 4, 7), (4, 4, 9), {"padding": 2}),
    ("conv2d", (2, 4, 7, 7), (4, 4, 3, 3), {"padding": -1}),
    ("conv2d", (2, 4, 7, 7), (4, 4, 3, 3), {"padding": (1, 1, 1)}),
    ("conv2d", (2, 4, 7, 7), (4, 4, 3, 3), {"stride": 1.5}),
    ("conv2d", (2, 4, 7, 7), (4, 4, 3, 3), {"groups": -1}),
    ("conv2d", (2, 4, 7, 7), (6, 2, 3, 3), {"groups": 3}),
    ("conv2d", (2, 4, 7, 7), (6, 2, 3, 3), {"groups": 2}),
    ("conv2d", (2, 4, 7, 7), (4, 4, 3, 3), {"padding": "same", "stride": 2}),
    ("conv2d", (2, 4, 7, 7), (4, 4, 3, 3), {"padding": "around"}),
    ("conv3d", (4, 7, 7, 7), (4, 4, 3, 3, 3), {"dilation": 4}),
    ("conv2d", (2, 4, 0, 0), (4, 4, 3, 3), {"padding": 2}),
    ("conv2d", (0, 4, 0, 0), (4, 4, 3, 3), {"padding": 2}),
    ("conv_transpose2d", (2, 4, 7, 7), (4, 0, 3, 3), {}),
    ("conv_transpose2d", (0, 4, 7, 7), (4, 0, 3, 3), {}),
    ("conv_transpose1d", (2, 4, 0), (4, 2, 3), {}),
    ("conv_transpose1d", (2, 4, 7), (4, 4, 0), {}),
    ("conv_transpose1d", (0, 4, 7), (4, 4, 3), {}),
    ("conv_transpose1d", (2, 4, 7), (4, 2, 3), {"padding": -1}),
    ("conv_transpose1d", (2, 4, 7), (4, 2, 3), {"padding": 5}),
    ("conv_transpose1d", (2, 4, 7), (4, 2, 3), {"padding": "same"}),
    ("conv_transpose2d", (2, 4, 7, 7), (4, 2, 3, 3), {"output_padding": -1}),
    ("conv_transpose2d", (2, 4, 7, 7), (4, 2, 3, 3), {"output_padding": 1}),
    ("conv_transpose2d", (2, 4, 7, 7), (4, 2, 3, 3), {"output_padding": 1, "stride": 2}),
    ("conv_transpose2d", (2, 5, 7, 7), (4, 2, 3, 3), {}),
    ("conv_transpose3d", (2, 4, 7, 7, 7), (4, 2, 3, 3, 3), {"stride": 0}),
    ("conv_transpose3d", (4, 3, 3, 3), (4, 2, 3, 3, 3), {"groups": 2}),
]


@pytest.mark.parametrize(("name", "x", "w", "options"), ODD)
def test_empty_and_impossible_convolutions(name, x, w, options):
    """The kind of exception, or the shape and what the gradients add up to."""

    def outcome(namespace):
        leaves = [namespace.ones(x, requires_grad=True), namespace.ones(w, requires_grad=True)]
        try:
            out = getattr(namespace.nn.functional, name)(*leaves, **options)
        except Exception as error:
            return type(error).__name__
        out.sum().backward()
        return tuple(out.shape), [(tuple(leaf.grad.shape), leaf.grad.sum().item()) for leaf in leaves]

    assert outcome(retrograd) == outcome(torch)


@pytest.mark.parametrize("images", [0, 2])
@pytest.mark.parametrize(
    "types", [("float32", "float64"), ("float64", "float32"), ("int64", "float32"), ("float32", "int64")]
)
@pytest.mark.parametrize("name", ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d"])
def test_operands_of_two_dtypes(name, types, images):
    """An empty batch may meet a kernel of any dtype."""

    def outcome(namespace):
        dims = int(name[-2])
        x = namespace.ones((images, 4, *(7,) * dims), dtype=getattr(namespace, types[0]))
        w = namespace.ones((4, 4, *(3,) * dims), dtype=getattr(namespace, types[1]))
        try:
            out = getattr(namespace.nn.functional, name)(x, w)
        except Exception as error:
            return type(error).__name__
        return tuple(out.shape), str(out.dtype)

    assert outcome(retrograd) == outcome(torch)
