"""Functions of layers and losses under the signatures of the module torch, beside torch: values, draws, gradients."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd  # noqa: E402  (below the check for torch)
from parity.nn_helpers import compare, outcome  # noqa: E402

RNG = np.random.default_rng(0)


def r(*shape):
    return RNG.normal(size=shape)


def same(call, *arrays, dtype="float64", tolerance=1e-9, seed=0):
    compare(
        outcome(retrograd, call, arrays, dtype, True, seed), outcome(torch, call, arrays, dtype, True, seed), tolerance
    )


LABELS = [1, -1, 1]
CASES = {
    "batch_norm": (
        lambda t, x, w, b: t.batch_norm(x, w, b, None, None, True, 0.1, 1e-5, False),
        r(4, 3, 5),
        r(3),
        r(3),
    ),
    "instance_norm": (
        lambda t, x, w, b: t.instance_norm(x, w, b, None, None, True, 0.1, 1e-5, False),
        r(4, 3, 5),
        r(3),
        r(3),
    ),
    "layer_norm": (lambda t, x, w, b: t.layer_norm(x, (5,), w, b, 1e-5, False), r(4, 3, 5), r(5), r(5)),
    "group_norm": (lambda t, x, w, b: t.group_norm(x, 2, w, b, 1e-5, False), r(4, 6, 5), r(6), r(6)),
    "native_layer_norm": (lambda t, x, w, b: t.native_layer_norm(x, (5,), w, b, 1e-5), r(4, 3, 5), r(5), r(5)),
    "native_batch_norm": (
        lambda t, x, w, b: t.native_batch_norm(x, w, b, None, None, True, 0.1, 1e-5),
        r(4, 3, 5),
        r(3),
        r(3),
    ),
    "native_batch_norm, evaluation": (
        lambda t, x, w, b: t.native_batch_norm(x, w, b, t.zeros(3).double(), t.ones(3).double(), False, 0.1, 1e-5),
        r(4, 3, 5),
        r(3),
        r(3),
    ),
    "native_group_norm": (
        lambda t, x, w, b: t.native_group_norm(x, w, b, 4, 6, 5, 2, 1e-5),
        r(4, 6, 5),
        r(6),
        r(6),
    ),
    "embedding": (lambda t, w: t.embedding(w, t.tensor([1, 2, 1]), 1), r(4, 3)),
    "embedding, by frequency": (lambda t, w: t.embedding(w, t.tensor([1, 2, 1]), scale_grad_by_freq=True), r(4, 3)),
    "embedding_renorm_": (lambda t, w: t.embedding_renorm_(w.detach(), t.tensor([1, 2]), 0.5, 2.0), r(4, 3)),
    "embedding_bag": (
        lambda t, w: t.embedding_bag(w, t.tensor([1, 2, 1, 3]), t.tensor([0, 1, 1]), False, 1, False, None, False, 2)[
            0
        ],
        r(4, 3),
    ),
    "convolution": (
        lambda t, x, w, b: t.convolution(x, w, b, [2, 2], [1, 0], [1, 1], False, [0, 0], 2),
        r(2, 4, 7, 8),
        r(6, 2, 3, 3),
        r(6),
    ),
    "convolution, transposed": (
        lambda t, x, w, b: t.convolution(x, w, b, [2], [1], [1], True, [1], 1),
        r(2, 4, 7),
        r(4, 2, 3),
        r(2),
    ),
    "adaptive_max_pool1d": (lambda t, x: t.adaptive_max_pool1d(x, 3), r(2, 4, 7)),
    "max_pool1d_with_indices": (lambda t, x: t.max_pool1d_with_indices(x, 3, 2), r(2, 4, 7)),
    "grid_sampler": (lambda t, x, g: t.grid_sampler(x, g, 0, 1, False), r(2, 4, 7, 6), r(2, 3, 3, 2)),
    "grid_sampler_2d": (lambda t, x, g: t.grid_sampler_2d(x, g, 2, 0, True), r(2, 4, 7, 6), r(2, 3, 3, 2)),
    "grid_sampler_3d": (lambda t, x, g: t.grid_sampler_3d(x, g, 0, 2, False), r(1, 2, 3, 4, 5), r(1, 2, 2, 2, 3)),
    "affine_grid_generator": (lambda t, x: t.affine_grid_generator(x, (2, 1, 3, 4), False), r(2, 2, 3)),
    "native_channel_shuffle": (lambda t, x: t.native_channel_shuffle(x.detach(), 2), r(2, 4, 3)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_functions(case):
    same(*case)


LOSSES = {
    "ctc_loss": (
        lambda t, k, x: t.ctc_loss(x.log_softmax(-1), t.tensor([[1, 2], [1, 1]]), (6, 6), (2, 2), 0, k),
        r(6, 2, 4),
    ),
    "kl_div": (lambda t, k, x, y: t.kl_div(x, y, k), r(3, 4), abs(r(3, 4))),
    "kl_div, logarithms": (lambda t, k, x, y: t.kl_div(x, y, k, log_target=True), r(3, 4), r(3, 4)),
    "margin_ranking_loss": (lambda t, k, x, y: t.margin_ranking_loss(x, y, t.tensor(LABELS), 0.1, k), r(3), r(3)),
    "hinge_embedding_loss": (lambda t, k, x: t.hinge_embedding_loss(x, t.tensor(LABELS), 0.1, k), r(3)),
    "triplet_margin_loss": (
        lambda t, k, x, y, z: t.triplet_margin_loss(x, y, z, reduction=k),
        r(3, 2),
        r(3, 2),
        r(3, 2),
    ),
    "cosine_embedding_loss": (
        lambda t, k, x, y: t.cosine_embedding_loss(x, y, t.tensor(LABELS), 0.1, k),
        r(3, 2),
        r(3, 2),
    ),
    "poisson_nll_loss": (lambda t, k, x, y: t.poisson_nll_loss(x, y, True, True, 1e-8, k), r(3, 2), abs(r(3, 2))),
    "binary_cross_entropy_with_logits": (
        lambda t, k, x, y: t.binary_cross_entropy_with_logits(x, y, None, t.tensor(2.0).double(), k),
        r(3, 2),
        abs(r(3, 2)),
    ),
}


@pytest.mark.parametrize("reduction", [0, 1, 2])
@pytest.mark.parametrize("case", LOSSES.values(), ids=LOSSES)
def test_losses(case, reduction):
    loss, *arrays = case
    same(lambda t, *xs: loss(t, reduction, *xs), *arrays)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0, 1.5])
@pytest.mark.parametrize("name", ["dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout"])
def test_dropouts(name, p):
    x = r(3, 4, 5)
    for train in (True, False):
        same(lambda t, x, train=train: getattr(t, name)(x, p=p, train=train), x)
        same(lambda t, x, train=train: getattr(t, f"{name}_")(x.clone(), p, train), x)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_native_dropout(p):
    for train in (True, False):
        same(lambda t, x, train=train: t.native_dropout(x, p, train), r(3, 4, 5))


WIDTH, SIZE, LAYERS = 3, 4, 2


def weights(t, gates, directions, projected=0, biased=True):
    """The weights of both layers, equal in both libraries."""
    rng, found = np.random.default_rng(1), []
    for layer in range(LAYERS):
        for _ in range(directions):
            columns = WIDTH if layer == 0 else (projected or SIZE) * directions
            shapes = [(gates * SIZE, columns), (gates * SIZE, projected or SIZE)]
            shapes += [(gates * SIZE,)] * 2 if biased else []
            shapes += [(projected, SIZE)] if projected else []
            found += [t.tensor(rng.normal(size=s)) for s in shapes]
    return found


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("directions", [1, 2])
def test_recurrent_functions(directions, biased):
    both, x, h = directions == 2, r(5, 5, WIDTH), r(LAYERS * directions, 5, SIZE)
    for first in (True, False):
        for projected in (0, 2):
            held = r(LAYERS * directions, 5, projected or SIZE)
            same(
                lambda t, x, h, c, f=first, p=projected: t.lstm(
                    x, (h, c), weights(t, 4, directions, p, biased), biased, LAYERS, 0.0, True, both, f
                ),
                x,
                held,
                h,
            )
    for name, gates in (("gru", 3), ("rnn_tanh", 1), ("rnn_relu", 1)):
        same(
            lambda t, x, h, n=name, g=gates: getattr(t, n)(
                x, h, weights(t, g, directions, 0, biased), biased, LAYERS, 0.0, True, both, True
            ),
            x,
            h,
        )
        same(
            lambda t, x, h, n=name, g=gates: getattr(t, n)(
                x, t.tensor([3, 2, 1]), h, weights(t, g, directions, 0, biased), biased, LAYERS, 0.0, True, both
            ),
            r(6, WIDTH),
            r(LAYERS * directions, 3, SIZE),
        )


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize(
    ("name", "gates"), [("lstm_cell", 4), ("gru_cell", 3), ("rnn_tanh_cell", 1), ("rnn_relu_cell", 1)]
)
def test_cells(name, gates, biased):
    arrays = [r(2, WIDTH), r(2, SIZE), r(2, SIZE), r(gates * SIZE, WIDTH), r(gates * SIZE, SIZE)]
    arrays += [r(gates * SIZE), r(gates * SIZE)] if biased else []

    def call(t, x, h, c, *held):
        return getattr(t, name)(x, (h, c) if name == "lstm_cell" else h, *held)

    same(call, *arrays)
