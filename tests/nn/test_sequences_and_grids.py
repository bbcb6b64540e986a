"""CTC against all paths, bags against single rows, grids that change nothing, and transforms that come back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import retrograd as torch
from retrograd.nn import functional as F


def merged(path, blank=0):
    """Give what a path says: repeats merged, then blanks dropped."""
    return [label for label, _ in itertools.groupby(path) if label != blank]


@pytest.mark.parametrize("target", [[], [1], [1, 2], [1, 1], [2, 1, 2]])
def test_ctc_is_the_sum_over_all_paths(target):
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), 4)
    total = sum(
        np.prod([probabilities[t, label] for t, label in enumerate(path)])
        for path in itertools.product(range(3), repeat=4)
        if merged(path) == target
    )
    loss = F.ctc_loss(
        torch.tensor(probabilities).log().unsqueeze(1),
        torch.tensor([target], dtype=torch.long),
        (4,),
        (len(target),),
        reduction="none",
    )
    assert loss.item() == pytest.approx(-np.log(total))


def test_a_labelling_that_does_not_fit_has_no_gradient_if_asked():
    x = torch.zeros(2, 1, 3, requires_grad=True)
    F.ctc_loss(x.log_softmax(-1), torch.tensor([[1, 1]]), (2,), (2,), zero_infinity=True).backward()
    assert x.grad.abs().sum() == 0


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_are_reductions_of_rows(mode):
    table, numbers = torch.randn(5, 3), torch.tensor([[0, 1, 1], [4, 2, 0]])
    rows = F.embedding(numbers, table)
    wanted = rows.max(1)[0] if mode == "max" else getattr(rows, mode)(1)
    assert torch.allclose(F.embedding_bag(numbers, table, mode=mode), wanted)


@pytest.mark.parametrize("align", [True, False])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_the_identity_samples_the_image_itself(mode, align):
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    maps = torch.eye(3, dtype=torch.float64)[:2].expand(2, 2, 3)
    grid = F.affine_grid(maps, x.shape, align)
    assert torch.allclose(F.grid_sample(x, grid, mode, "border", align), x)


def test_fractional_windows_fill_the_size_asked_for():
    x = torch.randn(2, 3, 11, 7)
    y, places = F.fractional_max_pool2d(x, 2, (6, 4), return_indices=True)
    assert y.shape == (2, 3, 6, 4)
    assert torch.equal(x.flatten(2).gather(2, places.flatten(2)).reshape(y.shape), y)


@pytest.mark.parametrize("onesided", [True, False])
@pytest.mark.parametrize("normalized", [True, False])
def test_a_signal_comes_back(normalized, onesided):
    x, w = torch.randn(2, 50, dtype=torch.float64), torch.signal.windows.hann(16, sym=False, dtype=torch.float64)
    named = {"window": w, "normalized": normalized, "onesided": onesided}
    pieces = torch.stft(x, 16, 4, return_complex=True, **named)
    assert torch.allclose(torch.istft(pieces, 16, 4, length=50, **named), x)


def test_slices_of_grouped_products():
    a, b = torch.randn(5, 3), torch.randn(2, 3, 4)
    found = F.grouped_mm(a, b, offs=torch.tensor([2, 5], dtype=torch.int32))
    assert torch.allclose(found, torch.cat([a[:2] @ b[0], a[2:] @ b[1]]))


def test_adaptive_softmax_is_a_distribution():
    layer, x = torch.nn.AdaptiveLogSoftmaxWithLoss(16, 12, [3, 8]), torch.randn(5, 16)
    whole = layer.log_prob(x)
    assert torch.allclose(whole.exp().sum(1), torch.ones(5))
    targets = torch.tensor([0, 2, 3, 7, 11])
    assert torch.allclose(layer(x, targets).output, whole.gather(1, targets[:, None]).squeeze(1), atol=1e-6)
    assert torch.equal(layer.predict(x), whole.argmax(1))


def test_a_storage_is_shared_by_views():
    x = torch.arange(6.0)
    held = x[2:].untyped_storage()
    assert held.nbytes() == 24
    assert held == x.untyped_storage()
    x.untyped_storage().fill_(0)
    assert x.sum() == 0
