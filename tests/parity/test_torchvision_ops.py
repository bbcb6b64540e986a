"""Boxes, losses, blocks and picture tools against torchvision's."""

import numpy as np
import pytest

import retrograd
from parity.vision_peer import peer
from retrograd.torchvision import io, ops, utils

peer()
torch = pytest.importorskip("torch")
their_ops = pytest.importorskip("torchvision.ops")
their_utils = pytest.importorskip("torchvision.utils")

RNG = np.random.default_rng(0)
CORNERS = np.sort(RNG.random((2, 12, 2)) * 20, axis=0).transpose(1, 0, 2).reshape(12, 4).astype(np.float32)
MORE = np.sort(RNG.random((2, 12, 2)) * 20, axis=0).transpose(1, 0, 2).reshape(12, 4).astype(np.float32)


def two(*arrays):
    return [torch.from_numpy(one.copy()) for one in arrays], [retrograd.from_numpy(one.copy()) for one in arrays]


def same(expected, got, rtol=1e-5):
    assert str(expected.dtype) == str(got.dtype) and tuple(expected.shape) == tuple(got.shape)
    np.testing.assert_allclose(got.detach().numpy(), expected.detach().numpy(), rtol=rtol, atol=1e-5)


@pytest.mark.parametrize("name", ["box_iou", "generalized_box_iou", "distance_box_iou", "complete_box_iou"])
def test_overlaps(name):
    a, b = two(CORNERS, MORE[:5])
    same(getattr(their_ops, name)(*a), getattr(ops, name)(*b))


@pytest.mark.parametrize("name", ["generalized_box_iou_loss", "distance_box_iou_loss", "complete_box_iou_loss"])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_overlap_losses(name, reduction):
    a, b = two(CORNERS, MORE)
    a[0].requires_grad_(), b[0].requires_grad_()
    expected, got = getattr(their_ops, name)(*a, reduction=reduction), getattr(ops, name)(*b, reduction=reduction)
    same(expected, got)
    expected.sum().backward(), got.sum().backward()
    same(a[0].grad, b[0].grad, 1e-3)


@pytest.mark.parametrize("start", ["xyxy", "xywh", "cxcywh"])
@pytest.mark.parametrize("end", ["xyxy", "xywh", "cxcywh"])
def test_box_formats(start, end):
    (a,), (b,) = two(CORNERS)
    same(their_ops.box_convert(a, start, end), ops.box_convert(b, start, end))
    same(their_ops.box_area(a, start), ops.box_area(b, start))
    same(their_ops.box_iou(a, a, start), ops.box_iou(b, b, start))


def test_boxes():
    (a,), (b,) = two(CORNERS)
    same(their_ops.clip_boxes_to_image(a, (9, 12)), ops.clip_boxes_to_image(b, (9, 12)))
    same(their_ops.remove_small_boxes(a, 5.0), ops.remove_small_boxes(b, 5.0))
    masks = RNG.random((4, 9, 8)) > 0.9
    masks[:, 4, 4] = True
    same(their_ops.masks_to_boxes(torch.from_numpy(masks)), ops.masks_to_boxes(retrograd.from_numpy(masks)))
    same(their_ops.box_area(a.int()), ops.box_area(b.int()))


def greedy(boxes, scores, threshold):
    """The definition: the best that is left is kept, and what it overlaps is dropped."""
    kept, left = [], list(np.argsort(-scores, kind="stable"))
    iou = their_ops.box_iou(torch.from_numpy(boxes), torch.from_numpy(boxes)).numpy()
    while left:
        best = left.pop(0)
        kept.append(int(best))
        left = [one for one in left if not iou[best, one] > threshold]
    return kept


@pytest.mark.parametrize("count", [0, 1, 30, 400])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 1.0])
def test_nms(count, threshold):
    corner = RNG.random((count, 2)) * 30
    boxes = np.concatenate([corner, corner + RNG.random((count, 2)) * 10], 1).astype(np.float32)
    scores = RNG.integers(0, 50, count).astype(np.float32)
    got = ops.nms(retrograd.from_numpy(boxes), retrograd.from_numpy(scores), threshold)
    assert got.dtype == retrograd.int64 and got.tolist() == greedy(boxes, scores, threshold)
    classes = RNG.integers(0, 3, count)
    kept = ops.batched_nms(*(retrograd.from_numpy(one) for one in (boxes, scores, classes)), threshold).tolist()
    expected = {
        int(i)
        for c in range(3)
        for i in np.flatnonzero(classes == c)[greedy(boxes[classes == c], scores[classes == c], threshold)]
    }
    assert set(kept) == expected


@pytest.mark.parametrize("alpha", [0.25, -1])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_focal_loss(alpha, reduction):
    x, y = RNG.standard_normal((4, 5)).astype(np.float32), RNG.integers(0, 2, (4, 5)).astype(np.float32)
    a, b = two(x, y)
    same(
        their_ops.sigmoid_focal_loss(*a, alpha=alpha, reduction=reduction),
        ops.sigmoid_focal_loss(*b, alpha=alpha, reduction=reduction),
    )


BLOCKS = {
    "conv": lambda O, nn: O.Conv2dNormActivation(3, 6, 5, 2, dilation=2, groups=3),
    "conv_pair": lambda O, nn: O.Conv2dNormActivation(
        3, 6, (3, 5), norm_layer=None, activation_layer=nn.GELU, inplace=None
    ),
    "squeeze": lambda O, nn: O.SqueezeExcitation(3, 2, scale_activation=nn.Hardsigmoid),
    "frozen": lambda O, nn: O.FrozenBatchNorm2d(3),
    "depth": lambda O, nn: O.StochasticDepth(0.4, "row"),
    "depth_batch": lambda O, nn: O.StochasticDepth(0.4, "batch"),
    "permute": lambda O, nn: O.Permute([0, 2, 3, 1]),
    "mlp": lambda O, nn: O.MLP(7, [5, 4], nn.LayerNorm, nn.GELU, dropout=0.3),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks(name):
    torch.manual_seed(1), retrograd.manual_seed(1)
    a, b = BLOCKS[name](their_ops, torch.nn), BLOCKS[name](ops, retrograd.nn)
    assert repr(a) == repr(b)
    assert list(a.state_dict()) == list(b.state_dict())
    (x,), (y,) = two(RNG.random((4, 3, 6, 7)).astype(np.float32))
    for _ in range(3):
        same(a(x), b(y), 1e-4)


def test_a_frozen_norm_takes_the_place_of_a_batch_norm():
    frozen = ops.FrozenBatchNorm2d(3)
    frozen.load_state_dict(retrograd.nn.BatchNorm2d(3).state_dict())


GRIDS = [
    {},
    {"nrow": 3, "padding": 1, "pad_value": 0.5},
    {"normalize": True},
    {"normalize": True, "scale_each": True},
    {"normalize": True, "value_range": (-1, 1), "nrow": 2},
]


@pytest.mark.parametrize("options", GRIDS)
@pytest.mark.parametrize("shape", [(5, 3, 4, 6), (5, 1, 4, 6), (1, 3, 4, 6), (3, 4, 6), (4, 6)])
def test_make_grid(shape, options):
    (x,), (y,) = two(RNG.standard_normal(shape).astype(np.float32))
    same(their_utils.make_grid(x, **options), utils.make_grid(y, **options))
    if len(shape) == 4:
        same(their_utils.make_grid(list(x), **options), utils.make_grid(list(y), **options))


def test_save_image(tmp_path):
    image = pytest.importorskip("PIL.Image")
    (x,), (y,) = two(RNG.random((5, 3, 6, 7)).astype(np.float32))
    their_utils.save_image(x, tmp_path / "a.png", nrow=3)
    utils.save_image(y, tmp_path / "b.png", nrow=3)
    np.testing.assert_array_equal(*(np.asarray(image.open(tmp_path / name)) for name in ("a.png", "b.png")))
    read = io.read_image(str(tmp_path / "b.png"))
    assert read.dtype == retrograd.uint8 and read.shape == (3, 18, 29)


def test_drawing():
    pytest.importorskip("PIL")
    image = RNG.integers(0, 256, (3, 40, 50), np.uint8)
    boxes = np.array([[2, 3, 20, 30], [10, 10, 45, 35]], np.float32)
    (x, b), (y, c) = two(image, boxes)
    for options in ({}, {"colors": "red", "width": 3}, {"colors": ["blue", (1, 2, 3)], "fill": True}):
        same(their_utils.draw_bounding_boxes(x, b, **options), utils.draw_bounding_boxes(y, c, **options))
    masks = np.zeros((2, 40, 50), bool)
    masks[0, :20, :20] = masks[1, 30:, 30:] = True
    (m,), (n,) = two(masks)
    for options in ({}, {"colors": ["red", "green"], "alpha": 0.4}):
        expected, got = (
            their_utils.draw_segmentation_masks(x, m, **options),
            utils.draw_segmentation_masks(y, n, **options),
        )
        assert np.abs(expected.numpy().astype(int) - got.numpy().astype(int)).max() <= 1
