"""Reading and adding at places behind the compiler, and sums that threads share: values, errors, no call of NumPy, the same bits."""

from __future__ import annotations

import numpy as np
import pytest

import retrograd as torch
from compiler.test_programs import agree, traced
from compiler.test_windows import calls, gradient
from retrograd.compiler.program import Program
from retrograd.core import wrap

F = torch.nn.functional
RNG = np.random.default_rng(0)


def indices(shape, size, negative=False):
    return RNG.integers(-size if negative else 0, size, shape)


I1 = wrap(indices((6,), 9))
I2 = wrap(indices((6, 5), 9))
ROWS, COLUMNS = wrap(indices((4, 3), 9, True)), wrap(indices((3,), 33, True))
LONG = wrap(indices((9, 1), 6000))
SOME = wrap(indices((9, 3), 33))
PLACES = wrap(indices((9, 33), 9))
LAYERS = wrap(indices((2, 4), 3))

READING = {
    "rows": (lambda x: x[I1], (9, 33)),
    "columns": (lambda x: x[:, COLUMNS], (9, 33)),
    "a table of rows": (lambda x: x[I2], (9, 33)),
    "one of each pair": (lambda x: x[ROWS, COLUMNS], (9, 33)),
    "among slices": (lambda x: x[:, ROWS, 1:9:3], (2, 9, 10)),
    "apart": (lambda x: x[LAYERS[0, 0:1], :, COLUMNS], (3, 7, 33)),
    "of a view": (lambda x: x.transpose(0, 1)[COLUMNS], (9, 33)),
    "of a reversed view": (lambda x: x.flip(0)[I1], (9, 33)),
    "embedding of one column": (lambda x: F.embedding(I2, x), (9, 1)),
    "gather": (lambda x: x.gather(1, SOME), (9, 33)),
    "gather of a product": (lambda x: (x * 2 + x.exp()).gather(0, PLACES[:2]), (9, 33)),
    "gather in long rows": (lambda x: x.gather(1, LONG), (9, 6000)),
    "gather of a softmax": (lambda x: x.log_softmax(1).gather(1, LONG), (9, 6000)),
    "take_along_dim": (lambda x: torch.take_along_dim(x, PLACES, 0), (9, 33)),
    "repeat_interleave": (lambda x: x.repeat_interleave(3, 1), (9, 33)),
    "scatter_add": (lambda x: torch.zeros(9, 33).scatter_add(0, PLACES, x), (9, 33)),
    "scatter_add of a part": (lambda x: torch.zeros(9, 40).scatter_add(1, SOME, x), (9, 33)),
    "index_add": (lambda x: torch.zeros(9, 33).index_add(0, I1, x[:6]), (9, 33)),
    "reflected": (lambda x: F.pad(x[None, None], (2, 3, 1, 2), "reflect"), (9, 33)),
    "replicated": (lambda x: F.pad(x[None, None], (2, 3, 1, 2), "replicate"), (9, 33)),
    "nearest": (lambda x: F.interpolate(x[None, None], scale_factor=2), (9, 33)),
    "unpooled": (lambda x: F.max_unpool1d(*F.max_pool1d(x[None], 3, return_indices=True), 3), (9, 33)),
    "cross entropy of many": (lambda x: F.cross_entropy(x, LONG[:, 0], reduction="none"), (9, 6000)),
    "with weights": (lambda x: F.cross_entropy(x, LONG[:, 0] % 33, torch.arange(33.0)), (9, 33)),
}


@pytest.mark.parametrize("name", READING)
def test_reading_and_adding(name):
    fn, shape = READING[name]
    values = RNG.standard_normal(shape).astype(np.float32)
    agree(gradient(fn), [values])
    found = [c.split()[1] for c in calls(gradient(fn), values)]
    assert set(found) <= {"scatter"}  # writing, not adding, at places


SHAPES = [(4, 8), (5, 3, 7), (300, 300), (2, 7, 60, 33)]


@pytest.mark.parametrize("shape", SHAPES)
def test_running_sums_and_products(shape):
    values = RNG.standard_normal(shape).astype(np.float32)
    for axis in range(len(shape)):
        agree(gradient(lambda x, d=axis: x.cumsum(d)), [values])
        agree(
            lambda x, d=axis: [(x / 9 + 1).cumprod(d), x.transpose(0, 1).cumsum(d), (x * 9).long().cumsum(d)], [values]
        )
        assert calls(gradient(lambda x, d=axis: x.cumsum(d)), values) == []


def test_products_of_views_that_libraries_cannot_read():
    """A matrix that stands still, or runs backwards, is copied, and the product stays native."""
    values = RNG.standard_normal((8, 8)).astype(np.float32)

    def fn(x):
        return [x.flip(0) @ x.flip(1), x[:1, :1].expand(8, 8) @ x, x[:, :1].expand(8, 8).T @ x]

    agree(fn, [values])
    assert calls(fn, values) == []


def steps_in_place(x):
    out = torch.zeros(9, 33)
    for k in range(9):
        out[k] = x[k] * k
        out[:, 3 * k : 3 * k + 2] += 1
    out[2:5, 7:9] = x[:3, :2]
    out[..., -1] = 0
    out[1, 2] = 5
    return out


def through_views(x):
    out = torch.zeros(33, 9)
    out.T.copy_(x)
    out.view(-1).mul_(2)
    out.view(3, 11, 9).permute(2, 0, 1).add_(1)
    return out * x.T


@pytest.mark.parametrize(
    "fn",
    [steps_in_place, through_views, lambda x: torch.where(x > 0, x, 0).index_fill(0, torch.tensor([1]), 2) * x],
)
def test_writing_into_slices(fn):
    values = RNG.standard_normal((9, 33)).astype(np.float32)
    agree(gradient(fn), [values])
    assert not any("view_write" in c for c in calls(gradient(fn), values))


def test_losses_of_many_classes_are_one_pass_over_memory():
    """What is large is read once and its gradient written once: nothing of its size lies between."""
    values = RNG.standard_normal((40, 5000)).astype(np.float32)
    target = wrap(indices((40,), 5000))

    def fn(x):
        y = x.detach().requires_grad_()
        loss = F.cross_entropy(y, target)
        return [loss.detach(), *torch.autograd.grad(loss, y)]

    agree(fn, [values])
    graph, _, targets = traced(fn, [wrap(values)])
    program = Program(graph, targets)
    assert program.arena_bytes < values.nbytes // 10
    assert all(s.call is None for s in program.steps)


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_normalisation_over_groups_follows_the_channels(groups):
    values = RNG.standard_normal((4, 8, 30, 30)).astype(np.float32)
    weight = RNG.standard_normal(8).astype(np.float32)

    def fn(x, w):
        y, v = x.detach().requires_grad_(), w.detach().requires_grad_()
        out = F.group_norm(y, groups, v, v)
        return [out.detach(), *torch.autograd.grad((out * out * out).sum(), (y, v))]

    agree(fn, [values, weight])
    assert calls(fn, values, weight) == []


def test_equal_loops_over_one_value_are_one_nest():
    """Sums over the same elements read them once, though one was asked for long before the other."""
    values = RNG.standard_normal((8, 16, 20, 20)).astype(np.float32)

    def fn(x):
        first = x.sum((0, 2, 3))
        scaled = (x[:1, :, 0, 0] * 3).exp().sum()
        return [first, scaled, (x * x).sum((0, 2, 3))]

    agree(fn, [values])
    graph, _, targets = traced(fn, [wrap(values)])
    loops = [s for s in Program(graph, targets).steps if "[8, 16, 20, 20]" in s.label]
    assert len(loops) == 1


EXTREMES = {
    "argmax": lambda x: [x.argmax(1), x.argmax(0), x.argmax(), x.argmin(1, keepdim=True)],
    "max": lambda x: [*x.max(1), *x.min(0)],
    "truth": lambda x: [(x > 0).any(1), (x > -3).all(0), (x > 9).any(), x.any(1, keepdim=True)],
    "counts": lambda x: [(x > 0).sum(1), (x > 0).sum(), (x * 3).long().sum(0), (x.argmax(1) == 0).sum()],
    "extremes of whole numbers": lambda x: [(x * 9).int().amax(0), (x * 9).long().amin(1), (x > 0).amax(0)],
}


@pytest.mark.parametrize("name", EXTREMES)
@pytest.mark.parametrize("shape", [(9, 33), (40, 7), (300, 300)])
def test_extremes_truth_and_counts(name, shape):
    values = RNG.integers(-2, 3, shape).astype(np.float32)
    agree(EXTREMES[name], [values])
    assert calls(EXTREMES[name], values) == []


def test_the_first_of_nans_is_the_largest():
    values = np.array([[1, np.nan, 3, np.nan], [-np.inf] * 4, [2, 2, 1, 2]], np.float32)
    agree(lambda x: [x.argmax(1), x.argmin(1), x.argmax(0)], [values])


@pytest.mark.parametrize(
    "fn",
    [lambda x, i: x.gather(1, i), lambda x, i: x[i[:, 0]], lambda x, i: torch.zeros(4, 3).scatter_add(1, i, x)],
)
def test_places_that_do_not_exist(fn):
    values = RNG.standard_normal((4, 3)).astype(np.float32)
    f = torch.compile(fn, fullgraph=True)
    for _ in range(3):
        f(wrap(values), wrap(np.array([[1], [2], [0], [2]])))
    with pytest.raises((IndexError, RuntimeError), match="out of bounds|out of range"):
        f(wrap(values), wrap(np.array([[1], [2], [7], [2]])))


SUMS = {
    "all": lambda x: [x.sum(), x.exp().mean(), x.amax(), x.amin()],
    "columns": lambda x: [x.sum(0), x.amax(0), (x * x).sum(0)],
    "rows and columns": lambda x: [x.softmax(1).sum(0), x.sum(1)],
    "variance": lambda x: [x.var(), x.std(0)],
    "at places": lambda x: [torch.zeros(16, x.shape[1]).index_add(0, torch.arange(x.shape[0]) % 16, x)],
    "flat": lambda x: [torch.zeros(64).scatter_add(0, (torch.arange(x.numel()) * 7) % 64, x.flatten())],
}


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize("shape", [(513, 257), (70001, 2), (2, 70001), (131101, 1)])
def test_sums_that_threads_share(name, shape):
    """Whatever the number of threads, the bits are the same; and each chunk's part is counted once."""
    values = RNG.standard_normal(shape).astype(np.float32)
    agree(SUMS[name], [values])
    if name not in ("all", "columns") or shape == (2, 70001):
        return
    graph, _, targets = traced(SUMS[name], [wrap(values)])
    program = Program(graph, targets)
    assert max(s.chunks for s in program.steps) > 1
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found.append([a.tobytes() for a in program([values])])
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("shape", [(4, 6, 9, 9), (3, 200, 20), (64, 5, 40, 40)])
@pytest.mark.parametrize("training", [True, False])
def test_normalisation_over_batches(shape, training):
    values = RNG.standard_normal(shape).astype(np.float32)
    weight = RNG.standard_normal(shape[1]).astype(np.float32)

    def fn(x, w):
        mean, var = torch.zeros(shape[1]), torch.ones(shape[1])
        y, v = x.detach().requires_grad_(), w.detach().requires_grad_()
        out = F.batch_norm(y, mean, var, v, v, training)
        return [out.detach(), *torch.autograd.grad((out * out * out).sum(), (y, v)), mean, var]

    agree(fn, [values, weight])
    assert calls(fn, values, weight) == []
