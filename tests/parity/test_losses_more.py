"""CTC, embedding bags, adaptive softmax and linear cross entropy beside torch: values, gradients, errors, prints."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd  # noqa: E402  (below the check for torch)
from parity.nn_helpers import compare, outcome  # noqa: E402

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(7, 3, 5))
TARGETS = RNG.integers(1, 5, (3, 3))
LENGTHS = [((7, 5, 4), (3, 2, 0)), ((7, 2, 3), (3, 3, 3)), ((0, 7, 7), (0, 3, 1)), ((0, 7, 7), (1, 3, 1))]


def same(call, *arrays, dtype="float64", tolerance=1e-9, seed=0):
    compare(
        outcome(retrograd, call, arrays, dtype, True, seed), outcome(torch, call, arrays, dtype, True, seed), tolerance
    )


@pytest.mark.parametrize("softmax", [True, False], ids=["of logits", "as given"])
@pytest.mark.parametrize("zero_infinity", [False, True])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_ctc(lengths, reduction, zero_infinity, softmax):
    steps, sizes = lengths

    def call(t, x, y):
        x = x.log_softmax(-1) if softmax else x
        return t.nn.functional.ctc_loss(x, y, steps, sizes, reduction=reduction, zero_infinity=zero_infinity)

    same(call, SCORES, TARGETS)
    same(call, SCORES, np.concatenate([TARGETS[i, : sizes[i]] for i in range(3)]))


@pytest.mark.parametrize("zero_infinity", [False, True])
def test_ctc_of_impossible_labels(zero_infinity):
    x = SCORES.copy()
    x[2, :, 1] = x[3, 1, 2] = -np.inf  # torch gives these the gradient NaN, where 0 is the limit
    same(
        lambda t, x: t.nn.functional.ctc_loss(
            x.detach(), t.tensor(TARGETS), (7, 7, 3), (3, 3, 3), reduction="none", zero_infinity=zero_infinity
        ),
        x,
    )


def test_ctc_of_repeats_and_another_blank():
    def call(t, x):
        return t.nn.functional.ctc_loss(
            x.log_softmax(-1), t.tensor([[1, 1, 2]] * 3), t.tensor([7] * 3), t.tensor([3] * 3), blank=3
        )

    same(call, SCORES)
    same(call, SCORES, dtype="float32", tolerance=2e-5)


def test_ctc_of_one_sequence():
    same(
        lambda t, x: t.nn.functional.ctc_loss(
            x.log_softmax(-1), t.tensor([1, 1, 2]), t.tensor(7), t.tensor(3), reduction="none"
        ),
        SCORES[:, 0],
    )


BAD_CTC = [
    {"blank": 5},
    {"blank": -1},
    {"input_lengths": (8, 7, 7)},
    {"input_lengths": (7, 7)},
    {"target_lengths": (4, 3, 3)},
    {"target_lengths": (-1, 3, 3)},
    {"reduction": "x"},
]


@pytest.mark.parametrize("bad", BAD_CTC, ids=str)
def test_ctc_errors(bad):
    arguments = {"input_lengths": (7, 7, 7), "target_lengths": (3, 3, 3), **bad}
    same(lambda t, x: t.nn.functional.ctc_loss(x.log_softmax(-1), t.tensor(TARGETS), **arguments), SCORES)


def test_ctc_twice_differentiated():
    x = retrograd.tensor(SCORES, requires_grad=True)

    def loss(x):
        return retrograd.nn.functional.ctc_loss(
            x.log_softmax(-1), retrograd.tensor(TARGETS), (7, 5, 6), (3, 2, 1), reduction="sum"
        )

    assert retrograd.autograd.gradgradcheck(loss, (x,), atol=1e-4)


TABLE, NUMBERS, OFFSETS = RNG.normal(size=(6, 4)), np.array([0, 1, 1, 5, 2, 2, 2, 3]), np.array([0, 3, 3, 6])
WEIGHTS = RNG.normal(size=8)


@pytest.mark.parametrize("padding_idx", [None, 2, -1, 1])
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bag(mode, padding_idx):
    def call(t, w, i, o, p=None):
        return t.nn.functional.embedding_bag(i, w, o, mode=mode, padding_idx=padding_idx, per_sample_weights=p)

    same(call, TABLE, NUMBERS, OFFSETS)
    same(call, TABLE, NUMBERS, OFFSETS, WEIGHTS)
    same(
        lambda t, w, i: t.nn.functional.embedding_bag(i.view(2, 4), w, mode=mode, padding_idx=padding_idx),
        TABLE,
        NUMBERS,
    )
    same(
        lambda t, w, i, o: t.nn.functional.embedding_bag(i, w, o, mode=mode, include_last_offset=True),
        TABLE,
        NUMBERS,
        np.array([0, 3, 3, 6, 8]),
    )
    same(lambda t, w, i, o: t.nn.functional.embedding_bag(i[:0], w, o * 0, mode=mode), TABLE, NUMBERS, OFFSETS)
    same(
        lambda t, w, i, o: t.nn.functional.embedding_bag(i, w.detach().clone(), o, mode=mode, max_norm=1.0),
        TABLE,
        NUMBERS,
        OFFSETS,
    )


def test_embedding_bag_by_frequency_follows_the_words_of_the_documentation():
    """Each row's gradient is divided by how often its number occurs; torch divides some rows by another's count."""
    w = retrograd.tensor(np.ones((6, 1)), requires_grad=True)
    i, o = retrograd.tensor(NUMBERS), retrograd.tensor(OFFSETS)
    retrograd.nn.functional.embedding_bag(i, w, o, mode="sum", scale_grad_by_freq=True).sum().backward()
    assert w.grad.flatten().tolist() == [1, 1, 1, 1, 0, 1]


BAD_BAGS = [
    (np.array([9]), np.array([0])),
    (np.array([-1]), np.array([0])),
    (np.array([1]), np.array([1])),
    (np.array([1]), np.array([0, 2])),
    (np.array([1]), np.array([[0]])),
    (np.array([1], np.int32), np.array([0])),
]


@pytest.mark.parametrize(("numbers", "offsets"), BAD_BAGS)
def test_embedding_bag_errors(numbers, offsets):
    same(lambda t, w, i, o: t.nn.functional.embedding_bag(i, w, o), TABLE, numbers, offsets)


def layer(make, *arrays, dtype="float32"):
    """Compare a layer's parameters, results, gradients, print and names."""

    def call(t, *xs):
        module = make(t)
        results = module(*xs)
        results = list(results) if isinstance(results, tuple) else [results]
        total = sum(r.sum() for r in results if r.is_floating_point())
        if total.requires_grad:
            total.backward()
        parameters = list(module.parameters())
        shown = [repr(module), list(module.state_dict())]
        return [
            *(r.detach() for r in results),
            *(p.detach() for p in parameters),
            *(p.grad for p in parameters),
            *shown,
        ]

    same(call, *arrays, dtype=dtype, tolerance=2e-5)


X = RNG.normal(size=(6, 16))
LAYERS = {
    "adaptive": (
        lambda t: t.nn.AdaptiveLogSoftmaxWithLoss(16, 20, [5, 10, 15], head_bias=True),
        X,
        [0, 7, 19, 12, 4, 4],
    ),
    "adaptive, one": (lambda t: t.nn.AdaptiveLogSoftmaxWithLoss(16, 20, [5], div_value=2.0), X[0], 7),
    "adaptive, outside": (lambda t: t.nn.AdaptiveLogSoftmaxWithLoss(16, 20, [5]), X[:1], [20]),
    "ctc": (lambda t: t.nn.CTCLoss(), SCORES[:, :2], [[1, 2], [3, 3]], [7, 7], [2, 2]),
    "linear": (
        lambda t: t.nn.LinearCrossEntropyLoss(16, 5, out_features=(2,), bias=True),
        X,
        [[1, 2], [3, 3], [0, 1], [4, 4], [0, 0], [1, 1]],
    ),
    "bag": (lambda t: t.nn.EmbeddingBag(10, 3, max_norm=1, padding_idx=-1, mode="max"), [[1, 2], [9, 9]]),
    "bag, mean": (lambda t: t.nn.EmbeddingBag(10, 3), [[1, 2], [9, 3]]),
}


@pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)
def test_layers(case):
    make, *arrays = case
    layer(make, *(np.asarray(a) for a in arrays))


@pytest.mark.parametrize("method", ["log_prob", "predict"])
def test_adaptive_softmax_of_all_classes(method):
    x = RNG.normal(size=(60, 16)) * 3
    same(
        lambda t, x: getattr(t.nn.AdaptiveLogSoftmaxWithLoss(16, 20, [5, 10, 15]), method)(x),
        x,
        dtype="float32",
        tolerance=2e-5,
    )


@pytest.mark.parametrize("cutoffs", [[], [0, 3], [3, 3], [5, 2], [20], [1.5]], ids=str)
def test_adaptive_softmax_errors(cutoffs):
    same(lambda t: t.nn.AdaptiveLogSoftmaxWithLoss(16, 20, cutoffs) and 1)


def test_linear_cross_entropy():
    x, w, b = RNG.normal(size=(3, 4)), RNG.normal(size=(5, 4)), RNG.normal(size=5)
    same(lambda t, x, w, b: t.nn.functional.linear_cross_entropy(x, w, t.tensor([1, 2, 0]), linear_bias=b), x, w, b)
    same(
        lambda t, x, w: t.nn.functional.linear_cross_entropy(
            x, w, t.tensor([[1, 2], [2, 0], [0, 1]]), label_smoothing=0.1, reduction="none"
        ),
        x,
        RNG.normal(size=(5, 2, 4)),
    )
    same(
        lambda t, x, w: t.nn.functional.linear_cross_entropy(
            x, w, t.tensor([1, 2, 0]), reduction="sum", options=t.nn.LinearCrossEntropyOptions(batch_chunk_size=2)
        ),
        x,
        w,
    )
    for bad in ({"target": [1, 2]}, {"linear_bias": [1.0]}, {"ignore_index": 1, "target": np.ones((3, 5))}):
        arguments = {"target": [1, 2, 0], **bad}
        same(
            lambda t, x, w, k=arguments: t.nn.functional.linear_cross_entropy(
                x, w, **{n: t.tensor(v) if not isinstance(v, int) else v for n, v in k.items()}
            ),
            x,
            w,
        )
