"""The transforms of v2 against torchvision's: whole samples, from the same seed."""

import numpy as np
import pytest

import retrograd
from parity.vision_peer import peer
from retrograd.torchvision import tv_tensors as our_tensors
from retrograd.torchvision.transforms import v2 as ours

peer()
torch = pytest.importorskip("torch")
Image = pytest.importorskip("PIL.Image")
theirs = pytest.importorskip("torchvision.transforms.v2")
their_tensors = pytest.importorskip("torchvision.tv_tensors")

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (24, 31, 3), np.uint8)
MASK = RNG.integers(0, 5, (24, 31), np.uint8)
BOXES = np.array([[2, 3, 10, 20], [5, 1, 30, 24]], np.float32)

MOVES = {
    "resize": lambda T: T.Resize([12, 16]),
    "resize_short": lambda T: T.Resize(12),
    "center_crop": lambda T: T.CenterCrop(15),
    "pad": lambda T: T.Pad((1, 2, 3, 4)),
    "random_crop": lambda T: T.RandomCrop(20),
    "random_crop_padded": lambda T: T.RandomCrop(20, padding=3),
    "hflip": lambda T: T.RandomHorizontalFlip(),
    "vflip": lambda T: T.RandomVerticalFlip(),
    "resized_crop": lambda T: T.RandomResizedCrop(16),
}
PICTURES = {
    "rotation": lambda T: T.RandomRotation(40),
    "affine": lambda T: T.RandomAffine(20, (0.1, 0.2), (0.8, 1.2), 10),
    "perspective": lambda T: T.RandomPerspective(p=0.7),
}
COLOURS = {
    "jitter": lambda T: T.ColorJitter(0.3, 0.3, 0.3, 0.1),
    "grayscale": lambda T: T.Grayscale(),
    "random_grayscale": lambda T: T.RandomGrayscale(0.5),
    "invert": lambda T: T.RandomInvert(),
    "posterize": lambda T: T.RandomPosterize(3),
    "solarize": lambda T: T.RandomSolarize(100),
    "sharpness": lambda T: T.RandomAdjustSharpness(2.0),
    "autocontrast": lambda T: T.RandomAutocontrast(),
    "equalize": lambda T: T.RandomEqualize(),
}
AUGMENTS = {
    "rand_augment": lambda T: T.RandAugment(),
    "auto_augment": lambda T: T.AutoAugment(),
    "trivial_augment": lambda T: T.TrivialAugmentWide(),
}
CONTAINERS = {
    "compose": lambda T: T.Compose([T.RandomCrop(20), T.RandomHorizontalFlip()]),
    "apply": lambda T: T.RandomApply([T.RandomCrop(20), T.Identity()], p=0.6),
    "choice": lambda T: T.RandomChoice([T.RandomCrop(20), T.CenterCrop(3)]),
    "choice_weights": lambda T: T.RandomChoice([T.RandomCrop(20), T.CenterCrop(3)], p=[1.0, 3.0]),
    "order": lambda T: T.RandomOrder([T.RandomCrop(20), T.RandomVerticalFlip(), T.Pad(2)]),
}


def samples(lib, tensors, kind):
    if kind == "picture":
        return Image.fromarray(PICTURE)
    plane = np.ascontiguousarray(PICTURE.transpose(2, 0, 1))
    return tensors.Image(lib.from_numpy(plane.copy()))


def compare(make, wrap, kind, seeds=range(5), steps=1):
    a, b = make(theirs), make(ours)
    assert repr(a) == repr(b)
    for seed in seeds:
        torch.manual_seed(seed), retrograd.manual_seed(seed)
        expected = a(wrap(torch, their_tensors, samples(torch, their_tensors, kind)))
        got = b(wrap(retrograd, our_tensors, samples(retrograd, our_tensors, kind)))
        same(expected, got, steps)
        assert torch.rand(1).item() == retrograd.rand(1).item(), "another count of random numbers was drawn"


def same(expected, got, steps):
    if isinstance(expected, (tuple, list)):
        assert len(expected) == len(got)
        for e, g in zip(expected, got):
            same(e, g, steps)
    elif isinstance(expected, dict):
        assert list(expected) == list(got)
        same(list(expected.values()), list(got.values()), steps)
    elif isinstance(expected, torch.Tensor):
        assert type(expected).__name__ == type(got).__name__
        assert tuple(expected.shape) == tuple(got.shape) and str(expected.dtype) == str(got.dtype)
        difference = np.abs(expected.numpy().astype(float) - got.numpy().astype(float))
        limit = 1e-4 if expected.is_floating_point() else 0 if type(expected) is their_tensors.Mask else steps
        assert difference.max(initial=0) <= limit
        if isinstance(expected, their_tensors.BoundingBoxes):
            assert expected.canvas_size == got.canvas_size and expected.format.value == got.format.value
    elif hasattr(expected, "getbands"):
        assert (expected.mode, expected.size) == (got.mode, got.size)
        np.testing.assert_array_equal(np.asarray(expected), np.asarray(got))
    else:
        assert expected == got


@pytest.mark.parametrize("kind", ["picture", "bytes"])
@pytest.mark.parametrize("name", [*MOVES, *PICTURES, *COLOURS, *CONTAINERS])
def test_pictures(name, kind):
    make = {**MOVES, **PICTURES, **COLOURS, **CONTAINERS}[name]
    compare(make, lambda lib, tensors, image: (image, 3), kind)


@pytest.mark.parametrize("name", AUGMENTS)
def test_augments_of_pictures(name):
    compare(AUGMENTS[name], lambda lib, tensors, image: {"image": image, "label": "cat"}, "picture", range(12))


@pytest.mark.parametrize("name", [*MOVES, *CONTAINERS])
@pytest.mark.parametrize("form", ["XYXY", "XYWH", "CXCYWH"])
def test_pictures_masks_and_boxes_move_together(name, form):
    def wrap(lib, tensors, image):
        boxes = lib.from_numpy(BOXES.copy())
        sizes = boxes.clone()
        sizes[:, 2:] -= sizes[:, :2]
        boxes = boxes if form == "XYXY" else sizes
        target = {
            "boxes": tensors.BoundingBoxes(boxes, format=form, canvas_size=(24, 31)),
            "masks": tensors.Mask(lib.from_numpy(MASK.copy())),
            "labels": lib.tensor([1, 2]),
        }
        return image, target

    compare({**MOVES, **CONTAINERS}[name], wrap, "bytes", range(3))


@pytest.mark.parametrize("name", PICTURES)
def test_masks_are_not_mixed(name):
    compare(
        PICTURES[name],
        lambda lib, tensors, image: [image, tensors.Mask(lib.from_numpy(MASK.copy()))],
        "bytes",
        range(3),
    )


def test_the_usual_pipeline():
    def make(T):
        lib = torch if T is theirs else retrograd
        return T.Compose(
            [
                T.ToImage(),
                T.RandomResizedCrop(16),
                T.RandomHorizontalFlip(),
                T.ToDtype(lib.float32, scale=True),
                T.Normalize([0.5], [0.25]),
            ]
        )

    a, b = make(theirs), make(ours)
    assert repr(a) == repr(b)
    for seed in range(3):
        torch.manual_seed(seed), retrograd.manual_seed(seed)
        x, y = a(PICTURE), b(PICTURE)
        np.testing.assert_allclose(y.numpy(), x.numpy(), atol=0.02)  # a step of 255, rounded the other way


def test_plain_tensors():
    x = RNG.random((3, 8, 9), np.float32)
    a, b = theirs.RandomHorizontalFlip(1.0), ours.RandomHorizontalFlip(1.0)
    same(a((torch.from_numpy(x), torch.ones(2))), b((retrograd.from_numpy(x), retrograd.ones(2))), 0)
    same(
        theirs.ToPureTensor()(their_tensors.Image(torch.from_numpy(x))),
        ours.ToPureTensor()(our_tensors.Image(retrograd.from_numpy(x))),
        0,
    )
    assert repr(ours.Lambda(abs)) == repr(theirs.Lambda(abs))


def test_mixtures():
    """The proportion is drawn from another stream; what is done with it is checked by itself."""
    x, y = retrograd.rand(4, 3, 6, 6), retrograd.tensor([0, 1, 2, 1])
    mixed, target = ours.MixUp(num_classes=3)(x, y)
    share = target[0, 0].item()
    np.testing.assert_allclose(mixed[0].numpy(), (share * x[0] + (1 - share) * x[3]).numpy(), rtol=1e-5)
    mixed, target = ours.CutMix(num_classes=3)({"image": x, "label": y}).values()
    kept = (mixed[0] == x[0]).all(0).float().mean().item()
    np.testing.assert_allclose(target[0, 0].item(), kept, atol=1e-6)
    with pytest.raises(ValueError, match="num_classes"):
        ours.MixUp()(x, y)


def test_what_keeps_its_meaning():
    def kinds(t, tv):
        x = tv.Image(t.zeros(3, 2, 2))
        boxes = tv.BoundingBoxes([[0, 0, 1, 1]], format="XYXY", canvas_size=(2, 2))
        found = [x + 1, x.clone(), x.to(t.float64), x.detach(), x[0], x.requires_grad_(), boxes.clone(), boxes * 2]
        with tv.set_return_type("TVTensor"):
            found += [x + 1, x.mean(0), t.relu(x), boxes * 2, t.stack([x, x])]
        found += [x + 1, (boxes.clone()).canvas_size]
        return [type(v).__name__ for v in found]

    assert kinds(retrograd, our_tensors) == kinds(torch, their_tensors)
