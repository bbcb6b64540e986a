"""Losses, as functions and as layers, against torch: values, gradients, dtypes, warnings, kinds of exceptions."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from parity.nn_helpers import drawn, same

X, Y = drawn((4, 5), 1), drawn((4, 5), 2)
P, Q = drawn((4, 5), 3, 0.05, 0.95), drawn((4, 5), 4, 0.05, 0.95)
ONE_HOT = (drawn((4, 5), 5) > 0).astype(np.float64)
SIGNS = np.where(drawn((4, 5), 6) > 0, 1.0, -1.0)
CLASSES = np.array([0, 4, 2, 2])
W5, W45 = drawn((5,), 7, 0.1, 2.0), drawn((4, 5), 8, 0.1, 2.0)
IMAGE, LABELS = drawn((2, 5, 3, 4), 9), np.random.default_rng(10).integers(0, 5, (2, 3, 4))
SOFT = P / P.sum(1, keepdims=True)
REDUCTIONS = ("mean", "sum", "none")

PAIRS = {
    "mse": (lambda F, x, y, **k: F.mse_loss(x, y, **k), X, Y),
    "l1": (lambda F, x, y, **k: F.l1_loss(x, y, **k), X, Y),
    "smooth_l1": (lambda F, x, y, **k: F.smooth_l1_loss(x, y, **k), X, Y),
    "smooth_l1(0.3)": (lambda F, x, y, **k: F.smooth_l1_loss(x, y, beta=0.3, **k), X, Y),
    "smooth_l1(0)": (lambda F, x, y, **k: F.smooth_l1_loss(x, y, beta=0, **k), X, Y),
    "huber": (lambda F, x, y, **k: F.huber_loss(x, y, **k), X, Y),
    "huber(0.3)": (lambda F, x, y, **k: F.huber_loss(x, y, delta=0.3, **k), X, Y),
    "mse weight": (lambda F, x, y, w, **k: F.mse_loss(x, y, weight=w.detach(), **k), X, Y, W45),
    "l1 weight": (lambda F, x, y, w, **k: F.l1_loss(x, y, weight=w.detach(), **k), X, Y, W45),
    "huber weight": (lambda F, x, y, w, **k: F.huber_loss(x, y, weight=w.detach(), **k), X, Y, W45),
    "mse broadcast": (lambda F, x, y, **k: F.mse_loss(x, y[0], **k), X, Y),
    "l1 broadcast": (lambda F, x, y, **k: F.l1_loss(x[:, :1], y, **k), X, Y),
    "poisson": (lambda F, x, y, **k: F.poisson_nll_loss(x, y, **k), X, P),
    "poisson full": (lambda F, x, y, **k: F.poisson_nll_loss(x, y.detach() * 5, full=True, **k), X, P),
    "poisson rate": (lambda F, x, y, **k: F.poisson_nll_loss(x, y, log_input=False, **k), Q, P),
    "gaussian": (lambda F, x, y, v, **k: F.gaussian_nll_loss(x, y, v, **k), X, Y, W45),
    "gaussian full": (lambda F, x, y, v, **k: F.gaussian_nll_loss(x, y, v, full=True, **k), X, Y, W45),
    "gaussian one variance": (lambda F, x, y, v, **k: F.gaussian_nll_loss(x, y, v[:, 0], **k), X, Y, W45),
    "gaussian floor": (lambda F, x, y, v, **k: F.gaussian_nll_loss(x, y, v, eps=1.0, **k), X, Y, W45),
    "bce": (lambda F, x, y, **k: F.binary_cross_entropy(x, y.detach(), **k), P, Q),
    "bce hard": (lambda F, x, y, **k: F.binary_cross_entropy(x, y.detach(), **k), P, ONE_HOT),
    "bce weight": (lambda F, x, y, w, **k: F.binary_cross_entropy(x, y.detach(), w.detach(), **k), P, Q, W5),
    "bce target": (lambda F, x, y, **k: F.binary_cross_entropy(x, y, **k), P, Q),
    "bce edges": (lambda F, x, y, **k: F.binary_cross_entropy(x, y.detach(), **k), ONE_HOT, Q),
    "bce edges hard": (lambda F, x, y, **k: F.binary_cross_entropy(x, y.detach(), **k), ONE_HOT, ONE_HOT[::-1].copy()),
    "logits": (lambda F, x, y, **k: F.binary_cross_entropy_with_logits(x, y, **k), X, Q),
    "logits far": (lambda F, x, y, **k: F.binary_cross_entropy_with_logits(x * 300, y.detach(), **k), X, ONE_HOT),
    "logits weight": (lambda F, x, y, w, **k: F.binary_cross_entropy_with_logits(x, y, w.detach(), **k), X, Q, W45),
    "logits pos_weight": (
        lambda F, x, y, w, **k: F.binary_cross_entropy_with_logits(x, y, pos_weight=w.detach(), **k), X, Q, W5,
    ),
    "kl": (lambda F, x, y, **k: F.kl_div(x, y, **k), X, P),
    "kl zero": (lambda F, x, y, **k: F.kl_div(x, y.detach(), **k), X, ONE_HOT),
    "kl log": (lambda F, x, y, **k: F.kl_div(x, y, log_target=True, **k), X, Y),
    "soft margin": (lambda F, x, y, **k: F.soft_margin_loss(x, y.detach(), **k), X, SIGNS),
    "hinge": (lambda F, x, y, **k: F.hinge_embedding_loss(x, y.detach(), **k), X, SIGNS),
    "hinge(2)": (lambda F, x, y, **k: F.hinge_embedding_loss(x, y.detach(), margin=2.0, **k), X, SIGNS),
    "ranking": (lambda F, x, y, s, **k: F.margin_ranking_loss(x, y, s.detach(), margin=0.3, **k), X, Y, SIGNS),
    "cosine": (lambda F, x, y, s, **k: F.cosine_embedding_loss(x, y, s.detach()[:, 0], 0.1, **k), X, Y, SIGNS),
    "triplet": (lambda F, x, y, z, **k: F.triplet_margin_loss(x, y, z, **k), X, Y, W45),
    "triplet swap": (lambda F, x, y, z, **k: F.triplet_margin_loss(x, y, z, 2.0, p=3, swap=True, **k), X, Y, W45),
    "triplet distance": (lambda F, x, y, z, **k: F.triplet_margin_with_distance_loss(x, y, z, **k), X, Y, W45),
    "multilabel soft": (lambda F, x, y, **k: F.multilabel_soft_margin_loss(x, y, **k), X, ONE_HOT),
    "multilabel soft weight": (
        lambda F, x, y, w, **k: F.multilabel_soft_margin_loss(x, y, w.detach(), **k), X, ONE_HOT, W5,
    ),
    "cross entropy": (lambda F, x, y, **k: F.cross_entropy(x, y, **k), X, CLASSES),
    "cross entropy far": (lambda F, x, y, **k: F.cross_entropy(x * 10000, y, **k), X, CLASSES),
    "cross entropy bytes": (lambda F, x, y, **k: F.cross_entropy(x, y.byte(), **k), X, CLASSES),
    "cross entropy weight": (lambda F, x, y, w, **k: F.cross_entropy(x, y, w.detach(), **k), X, CLASSES, W5),
    "cross entropy ignore": (lambda F, x, y, **k: F.cross_entropy(x, y, ignore_index=2, **k), X, CLASSES),
    "cross entropy -100": (
        lambda F, x, y, **k: F.cross_entropy(x, y, **k), X, np.array([0, -100, 2, -100]),
    ),
    "cross entropy all ignored": (lambda F, x, y, **k: F.cross_entropy(x, y, **k), X, np.full(4, -100)),
    "cross entropy weight ignore": (
        lambda F, x, y, w, **k: F.cross_entropy(x, y, w.detach(), ignore_index=4, **k), X, CLASSES, W5,
    ),
    "cross entropy smooth": (lambda F, x, y, **k: F.cross_entropy(x, y, label_smoothing=0.2, **k), X, CLASSES),
    "cross entropy smooth weight": (
        lambda F, x, y, w, **k: F.cross_entropy(x, y, w.detach(), label_smoothing=0.2, **k), X, CLASSES, W5,
    ),
    "cross entropy smooth all": (
        lambda F, x, y, w, **k: F.cross_entropy(x, y, w.detach(), ignore_index=2, label_smoothing=0.3, **k),
        X, CLASSES, W5,
    ),
    "cross entropy smooth ignore": (
        lambda F, x, y, **k: F.cross_entropy(x, y, ignore_index=2, label_smoothing=0.3, **k), X, CLASSES,
    ),
    "cross entropy soft": (lambda F, x, y, **k: F.cross_entropy(x, y, **k), X, SOFT),
    "cross entropy soft weight": (lambda F, x, y, w, **k: F.cross_entropy(x, y, w.detach(), **k), X, SOFT, W5),
    "cross entropy soft smooth": (
        lambda F, x, y, w, **k: F.cross_entropy(x, y, w.detach(), label_smoothing=0.2, **k), X, SOFT, W5,
    ),
    "cross entropy image": (lambda F, x, y, **k: F.cross_entropy(x, y, **k), IMAGE, LABELS),
    "cross entropy image all": (
        lambda F, x, y, w, **k: F.cross_entropy(x, y, w.detach(), ignore_index=1, label_smoothing=0.1, **k),
        IMAGE, LABELS, W5,
    ),
    "cross entropy image soft": (
        lambda F, x, y, w, **k: F.cross_entropy(x, y.softmax(1), w.detach(), **k), IMAGE, IMAGE[::-1].copy(), W5,
    ),
    "cross entropy one": (lambda F, x, y, **k: F.cross_entropy(x[0], y[1], **k), X, CLASSES),
    "cross entropy one soft": (lambda F, x, y, **k: F.cross_entropy(x[0], y[1], **k), X, SOFT),
    "nll": (lambda F, x, y, **k: F.nll_loss(x, y, **k), X, CLASSES),
    "nll weight": (lambda F, x, y, w, **k: F.nll_loss(x, y, w.detach(), **k), X, CLASSES, W5),
    "nll ignore": (lambda F, x, y, w, **k: F.nll_loss(x, y, w.detach(), ignore_index=2, **k), X, CLASSES, W5),
    "nll image": (lambda F, x, y, w, **k: F.nll_loss(x, y, w.detach(), **k), IMAGE, LABELS, W5),
    "nll one": (lambda F, x, y, **k: F.nll_loss(x[0], y[1], **k), X, CLASSES),
    "multi margin": (lambda F, x, y, **k: F.multi_margin_loss(x, y, **k), X, CLASSES),
    "multi margin 2": (lambda F, x, y, w, **k: F.multi_margin_loss(x, y, 2, 0.5, w.detach(), **k), X, CLASSES, W5),
    "multilabel": (
        lambda F, x, y, **k: F.multilabel_margin_loss(x, y, **k),
        X, np.array([[0, 3, -1, 1, 2], [4, -1, 0, 0, 0], [-1, 1, 1, 1, 1], [0, 1, 2, 3, 4]]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", PAIRS)
def test_functions(name, reduction):
    call, *arrays = PAIRS[name]
    # torch's bound on the slope at the edges, 1e-12, is a float32 whatever the dtype
    tolerance = 1e-8 if "edges" in name else None
    same(lambda T, *xs: call(T.nn.functional, *xs, reduction=reduction), *arrays, tolerance=tolerance)


@pytest.mark.parametrize("name", PAIRS)
def test_float32(name):
    call, *arrays = PAIRS[name]
    same(lambda T, *xs: call(T.nn.functional, *xs), *arrays, dtype="float32", tolerance=1e-4 if "far" in name else None)


@pytest.mark.parametrize("name", ["mse", "l1", "huber", "cross entropy", "nll", "logits"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_dtypes(name, dtype):
    call, *arrays = PAIRS[name]
    same(lambda T, *xs: call(T.nn.functional, *xs), *arrays, dtype=dtype)


ODD = {
    "kl batchmean": lambda T, x, p: T.nn.functional.kl_div(x, p, reduction="batchmean"),
    "mse old": lambda T, x, p: T.nn.functional.mse_loss(x, p, size_average=False),
    "mse old none": lambda T, x, p: T.nn.functional.mse_loss(x, p, reduce=False),
    "mse old mean": lambda T, x, p: T.nn.functional.mse_loss(x, p, True, True),
    "mse of integers": lambda T, x, p: T.nn.functional.mse_loss(x.long(), p.long()),
    "mse float and integers": lambda T, x, p: T.nn.functional.mse_loss(x, (p * 5).long()),
    "mse of doubles and floats": lambda T, x, p: T.nn.functional.mse_loss(x, p.float()),
    "mse shapes": lambda T, x, p: T.nn.functional.mse_loss(x, p[0, :3]),
    "mse reduction": lambda T, x, p: T.nn.functional.mse_loss(x, p, reduction="average"),
    "mse weight shape": lambda T, x, p: T.nn.functional.mse_loss(x, p, weight=p[0]),
    "l1 of integers": lambda T, x, p: T.nn.functional.l1_loss(x.long(), p.long()),
    "smooth_l1 of integers": lambda T, x, p: T.nn.functional.smooth_l1_loss(x.long(), p.long()),
    "smooth_l1 negative": lambda T, x, p: T.nn.functional.smooth_l1_loss(x, p, beta=-1),
    "huber of integers": lambda T, x, p: T.nn.functional.huber_loss(x.long(), p.long()),
    "huber 0": lambda T, x, p: T.nn.functional.huber_loss(x, p, delta=0),
    "ce out of range": lambda T, x, p: T.nn.functional.cross_entropy(x, T.tensor([0, 1, 2, 9])),
    "ce negative": lambda T, x, p: T.nn.functional.cross_entropy(x, T.tensor([0, 1, 2, -1])),
    "ce batch": lambda T, x, p: T.nn.functional.cross_entropy(x, T.tensor([0, 1])),
    "ce float classes": lambda T, x, p: T.nn.functional.cross_entropy(x, T.tensor([0.0, 1.0, 2.0, 3.0])),
    "ce int32": lambda T, x, p: T.nn.functional.cross_entropy(x, T.tensor([0, 1, 2, 3], dtype=T.int32)),
    "ce integers like the input": lambda T, x, p: T.nn.functional.cross_entropy(x, p.long()),
    "ce 2-d classes": lambda T, x, p: T.nn.functional.cross_entropy(x, T.tensor([[0], [1], [2], [3]])),
    "ce weight": lambda T, x, p: T.nn.functional.cross_entropy(x, T.tensor([0, 1, 2, 3]), weight=p[0, :3]),
    "ce weight soft": lambda T, x, p: T.nn.functional.cross_entropy(x, p, weight=p[0, :3]),
    "ce smoothing": lambda T, x, p: T.nn.functional.cross_entropy(x, T.tensor([0, 1, 2, 3]), label_smoothing=2.0),
    "ce reduction": lambda T, x, p: T.nn.functional.cross_entropy(x, T.tensor([0, 1, 2, 3]), reduction="q"),
    "ce of integers": lambda T, x, p: T.nn.functional.cross_entropy(x.long(), T.tensor([0, 1, 2, 3])),
    "ce soft ignore": lambda T, x, p: T.nn.functional.cross_entropy(x, p, ignore_index=1),
    "ce no batch": lambda T, x, p: T.nn.functional.cross_entropy(x[:0], T.tensor([], dtype=T.long)),
    "ce spatial": lambda T, x, p: T.nn.functional.cross_entropy(x.reshape(1, 4, 5), T.zeros(1, 6, dtype=T.long)),
    "nll float classes": lambda T, x, p: T.nn.functional.nll_loss(x, T.tensor([0.0, 1.0, 2.0, 3.0])),
    "nll batch": lambda T, x, p: T.nn.functional.nll_loss(x, T.tensor([0, 1])),
    "nll out of range": lambda T, x, p: T.nn.functional.nll_loss(x, T.tensor([0, 1, 2, 5])),
    "nll 0-d": lambda T, x, p: T.nn.functional.nll_loss(x.sum(), T.tensor(0)),
    "nll like the input": lambda T, x, p: T.nn.functional.nll_loss(x, x),
    "bce range": lambda T, x, p: T.nn.functional.binary_cross_entropy(x, p),
    "bce target range": lambda T, x, p: T.nn.functional.binary_cross_entropy(p, x),
    "bce shape": lambda T, x, p: T.nn.functional.binary_cross_entropy(p, p[0]),
    "bce dtype": lambda T, x, p: T.nn.functional.binary_cross_entropy(p, p.float()),
    "bce integers": lambda T, x, p: T.nn.functional.binary_cross_entropy(p, (p > 0.5).long()),
    "bce reduction": lambda T, x, p: T.nn.functional.binary_cross_entropy(p, p, reduction="q"),
    "logits shape": lambda T, x, p: T.nn.functional.binary_cross_entropy_with_logits(x, p[0]),
    "logits integers": lambda T, x, p: T.nn.functional.binary_cross_entropy_with_logits(x, (p > 0.5).long()),
    "logits pos_weight": lambda T, x, p: T.nn.functional.binary_cross_entropy_with_logits(x, p, pos_weight=p[0, :3]),
    "kl of integers": lambda T, x, p: T.nn.functional.kl_div(x.long(), p.long()),
    "kl reduction": lambda T, x, p: T.nn.functional.kl_div(x, p, reduction="q"),
    "gaussian negative": lambda T, x, p: T.nn.functional.gaussian_nll_loss(x, p, -p),
    "gaussian size": lambda T, x, p: T.nn.functional.gaussian_nll_loss(x, p, p[0, :3]),
    "gaussian reduction": lambda T, x, p: T.nn.functional.gaussian_nll_loss(x, p, p, reduction="q"),
    "ranking dims": lambda T, x, p: T.nn.functional.margin_ranking_loss(x, p, p[0]),
    "cosine dims": lambda T, x, p: T.nn.functional.cosine_embedding_loss(x[0], p[0], p[0]),
    "cosine shapes": lambda T, x, p: T.nn.functional.cosine_embedding_loss(x, p, p[0]),
    "triplet dims": lambda T, x, p: T.nn.functional.triplet_margin_loss(x, p, p[0]),
    "triplet margin": lambda T, x, p: T.nn.functional.triplet_margin_loss(x, p, p, margin=-1.0),
    "multi margin p": lambda T, x, p: T.nn.functional.multi_margin_loss(x, T.tensor([0, 1, 2, 3]), p=3),
    "multi margin range": lambda T, x, p: T.nn.functional.multi_margin_loss(x, T.tensor([0, 1, 2, 9])),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_warnings_and_exceptions(name):
    same(ODD[name], X, P)


LAYERS = {
    "L1Loss": (lambda nn, **k: nn.L1Loss(**k), X, Y),
    "MSELoss": (lambda nn, **k: nn.MSELoss(**k), X, Y),
    "SmoothL1Loss": (lambda nn, **k: nn.SmoothL1Loss(beta=0.5, **k), X, Y),
    "HuberLoss": (lambda nn, **k: nn.HuberLoss(delta=0.5, **k), X, Y),
    "BCELoss": (lambda nn, **k: nn.BCELoss(**k), P, Q),
    "BCEWithLogitsLoss": (lambda nn, **k: nn.BCEWithLogitsLoss(**k), X, Q),
    "KLDivLoss": (lambda nn, **k: nn.KLDivLoss(log_target=True, **k), X, Y),
    "CrossEntropyLoss": (lambda nn, **k: nn.CrossEntropyLoss(ignore_index=2, label_smoothing=0.1, **k), X, CLASSES),
    "NLLLoss": (lambda nn, **k: nn.NLLLoss(ignore_index=2, **k), X, CLASSES),
    "PoissonNLLLoss": (lambda nn, **k: nn.PoissonNLLLoss(full=True, **k), X, ONE_HOT),
    "GaussianNLLLoss": (lambda nn, **k: nn.GaussianNLLLoss(**k), X, Y, W45),
    "SoftMarginLoss": (lambda nn, **k: nn.SoftMarginLoss(**k), X, SIGNS),
    "HingeEmbeddingLoss": (lambda nn, **k: nn.HingeEmbeddingLoss(0.5, **k), X, SIGNS),
    "CosineEmbeddingLoss": (lambda nn, **k: nn.CosineEmbeddingLoss(0.2, **k), X, Y, np.sign(X[:, 0]).copy()),
    "MarginRankingLoss": (lambda nn, **k: nn.MarginRankingLoss(0.2, **k), X, Y, SIGNS),
    "MultiMarginLoss": (lambda nn, **k: nn.MultiMarginLoss(2, 0.5, **k), X, CLASSES),
    "MultiLabelMarginLoss": (lambda nn, **k: nn.MultiLabelMarginLoss(**k), X, np.full((4, 5), 2)),
    "MultiLabelSoftMarginLoss": (lambda nn, **k: nn.MultiLabelSoftMarginLoss(**k), X, ONE_HOT),
    "TripletMarginLoss": (lambda nn, **k: nn.TripletMarginLoss(2.0, **k), X, Y, W45),
    "TripletMarginWithDistanceLoss": (lambda nn, **k: nn.TripletMarginWithDistanceLoss(margin=2.0, **k), X, Y, W45),
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, reduction):
    make, x, *rest = LAYERS[name]

    def call(T, x, *rest):
        layer = make(T.nn, reduction=reduction)
        return layer(x, *[r.detach() for r in rest]), repr(layer), list(layer.state_dict()), layer.reduction

    same(call, x, *rest)


def test_weights_of_loss_layers_are_buffers():
    def call(T, x, w):
        layers = [
            T.nn.CrossEntropyLoss(w),
            T.nn.NLLLoss(w),
            T.nn.BCEWithLogitsLoss(pos_weight=w),
            T.nn.MultiMarginLoss(weight=w),
        ]
        y = T.tensor([0, 4, 2, 2])
        outs = [layers[0](x, y), layers[1](x, y), layers[2](x, x.sigmoid().detach()), layers[3](x, y)]
        return [*outs, [list(layer.state_dict()) for layer in layers]]

    same(lambda T, x, w: call(T, x, w.detach()), X, W5)
