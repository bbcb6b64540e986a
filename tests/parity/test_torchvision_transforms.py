"""Transforms against torchvision's: the same pictures, tensors and random numbers from the same seed."""

import pickle
import random

import numpy as np
import pytest

import retrograd
from parity.vision_peer import peer
from retrograd.torchvision import transforms as ours

torchvision = peer()
pytestmark = pytest.mark.filterwarnings("ignore:.*antialias")
torch = pytest.importorskip("torch")
Image = pytest.importorskip("PIL.Image")
theirs = pytest.importorskip("torchvision.transforms")

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (24, 31, 3), np.uint8)
SMOOTH = np.clip(np.add.outer(np.arange(24) * 4, np.arange(31) * 5)[:, :, None] + np.array([0, 20, 40]), 0, 255).astype(
    np.uint8
)
GRAY = np.ascontiguousarray(RGB[:, :, 0])


def kinds(channels=3):
    """One picture in each of the forms that a transform takes."""
    rgb = SMOOTH if channels == 3 else GRAY[:, :, None]
    plane = np.ascontiguousarray(rgb.transpose(2, 0, 1))
    yield "picture", Image.fromarray(rgb[:, :, 0] if channels == 1 else rgb), None
    yield "bytes", plane, np.uint8
    yield "floats", plane.astype(np.float32) / 255, np.float32


def both(image):
    if isinstance(image, np.ndarray):
        return torch.from_numpy(image.copy()), retrograd.from_numpy(image.copy())
    return image, image


def flat(result):
    return [one for part in result for one in flat(part)] if isinstance(result, (tuple, list)) else [result]


def close(expected, got, kind, steps=1):
    """Equal pictures and bytes (a rounding in floats may move one by a step), floats to float32's accuracy."""
    for e, g in zip(flat(expected), flat(got), strict=True):
        if isinstance(e, torch.Tensor):
            assert tuple(e.shape) == tuple(g.shape)
            assert str(e.dtype) == str(g.dtype)
            if e.is_floating_point():
                np.testing.assert_allclose(g.numpy(), e.numpy(), rtol=1e-4, atol=2e-5)
            else:
                far = np.abs(g.numpy().astype(int) - e.numpy().astype(int)) > steps
                assert far.mean() <= (
                    0.005 if steps else 0
                )  # half way between two pixels a rounding chooses the nearest
        elif hasattr(e, "getbands"):
            assert (e.mode, e.size) == (g.mode, g.size)
            limit = steps if kind == "through tensors" else 0
            assert np.abs(np.asarray(g).astype(int) - np.asarray(e).astype(int)).max(initial=0) <= limit
        else:
            assert e == g


MODE = ("NEAREST", "BILINEAR", "BICUBIC")
TRANSFORMS = {
    "resize": lambda T: T.Resize(11),
    "resize_up": lambda T: T.Resize((40, 33)),
    "resize_max": lambda T: T.Resize(20, max_size=22),
    "resize_nearest": lambda T: T.Resize((13, 40), T.InterpolationMode.NEAREST),
    "resize_exact": lambda T: T.Resize((13, 40), T.InterpolationMode.NEAREST_EXACT),
    "resize_bicubic": lambda T: T.Resize((13, 40), T.InterpolationMode.BICUBIC),
    "resize_plain": lambda T: T.Resize((9, 11), antialias=False),
    "resize_int": lambda T: T.Resize((9, 11), 2),
    "center_crop": lambda T: T.CenterCrop(15),
    "center_crop_wider": lambda T: T.CenterCrop((10, 40)),
    "center_crop_larger": lambda T: T.CenterCrop((29, 40)),
    "pad": lambda T: T.Pad(3),
    "pad_fill": lambda T: T.Pad((1, 2, 3, 4), fill=7),
    "pad_edge": lambda T: T.Pad((1, 2), padding_mode="edge"),
    "pad_reflect": lambda T: T.Pad((1, 2, 3, 4), padding_mode="reflect"),
    "pad_symmetric": lambda T: T.Pad([1, 2, 3, 4], padding_mode="symmetric"),
    "pad_negative": lambda T: T.Pad((-1, 2, 3, -4)),
    "random_crop": lambda T: T.RandomCrop(20),
    "random_crop_padded": lambda T: T.RandomCrop((24, 31), padding=4, padding_mode="reflect"),
    "random_crop_needed": lambda T: T.RandomCrop(40, pad_if_needed=True, fill=3),
    "random_crop_same": lambda T: T.RandomCrop((24, 31)),
    "hflip": lambda T: T.RandomHorizontalFlip(),
    "vflip": lambda T: T.RandomVerticalFlip(0.7),
    "resized_crop": lambda T: T.RandomResizedCrop(16),
    "resized_crop_narrow": lambda T: T.RandomResizedCrop((8, 24), scale=(0.9, 1.0), ratio=(5.0, 6.0)),
    "five_crop": lambda T: T.FiveCrop(11),
    "ten_crop": lambda T: T.TenCrop((11, 12), vertical_flip=True),
    "grayscale": lambda T: T.Grayscale(),
    "grayscale3": lambda T: T.Grayscale(3),
    "random_grayscale": lambda T: T.RandomGrayscale(0.5),
    "jitter": lambda T: T.ColorJitter(0.4, 0.4, 0.4, 0.2),
    "jitter_hue": lambda T: T.ColorJitter(hue=(-0.5, 0.5)),
    "jitter_ranges": lambda T: T.ColorJitter(brightness=(0.5, 2.0), contrast=(1.5, 2.0)),
    "rotation": lambda T: T.RandomRotation(40),
    "rotation_expand": lambda T: T.RandomRotation((30, 60), T.InterpolationMode.BILINEAR, expand=True),
    "rotation_center": lambda T: T.RandomRotation(90, center=(3, 4), fill=9),
    "affine": lambda T: T.RandomAffine(20, (0.1, 0.2), (0.8, 1.2), 10),
    "affine_shears": lambda T: T.RandomAffine((5, 9), shear=(1, 5, 2, 6), interpolation=T.InterpolationMode.BILINEAR),
    "affine_center": lambda T: T.RandomAffine(30, fill=5, center=(2, 3)),
    "perspective": lambda T: T.RandomPerspective(p=0.8, fill=4),
    "perspective_nearest": lambda T: T.RandomPerspective(0.3, 1.0, T.InterpolationMode.NEAREST),
    "invert": lambda T: T.RandomInvert(),
    "sharpness": lambda T: T.RandomAdjustSharpness(2.0, 0.9),
    "smoothness": lambda T: T.RandomAdjustSharpness(0.3, 0.9),
    "autocontrast": lambda T: T.RandomAutocontrast(),
    "apply": lambda T: T.RandomApply([T.RandomCrop(20), T.RandomHorizontalFlip()], p=0.6),
    "choice": lambda T: T.RandomChoice([T.RandomCrop(20), T.RandomVerticalFlip(1.0), T.CenterCrop(5)], p=[1, 2, 3]),
    "order": lambda T: T.RandomOrder([T.RandomCrop(20), T.Pad(2), T.RandomVerticalFlip()]),
    "compose": lambda T: T.Compose([T.RandomCrop(20), T.Compose([T.RandomHorizontalFlip()])]),
}
# Bytes only, or pictures that pass through tensors on their way.
BYTES = {
    "posterize": lambda T: T.RandomPosterize(3),
    "equalize": lambda T: T.RandomEqualize(0.9),
    "solarize": lambda T: T.RandomSolarize(120, 0.9),
    "rand_augment": lambda T: T.RandAugment(3, 12),
    "rand_augment_fill": lambda T: T.RandAugment(fill=[1, 2, 3]),
    "auto_augment": lambda T: T.AutoAugment(),
    "auto_augment_cifar": lambda T: T.AutoAugment(T.AutoAugmentPolicy.CIFAR10),
    "auto_augment_svhn": lambda T: T.AutoAugment(T.AutoAugmentPolicy.SVHN, T.InterpolationMode.BILINEAR, 3),
    "trivial_augment": lambda T: T.TrivialAugmentWide(),
}
THROUGH_TENSORS = {
    "blur": lambda T: T.GaussianBlur(5),
    "blur_wide": lambda T: T.GaussianBlur((3, 7), sigma=1.3),
    "elastic": lambda T: T.ElasticTransform(alpha=20.0, sigma=3.0),
}


def compare(make, image, kind, seeds):
    a, b = make(theirs), make(ours)
    assert repr(a) == repr(b)
    for seed in seeds:
        x, y = both(image)
        torch.manual_seed(seed), retrograd.manual_seed(seed)
        random.seed(seed)
        expected = a(x)
        random.seed(seed)
        got = b(y)
        close(expected, got, kind)
        assert torch.rand(1).item() == retrograd.rand(1).item(), "another count of random numbers was drawn"


@pytest.mark.parametrize("name", [*TRANSFORMS, *BYTES, *THROUGH_TENSORS])
def test_transform(name):
    make = {**TRANSFORMS, **BYTES, **THROUGH_TENSORS}[name]
    for kind, image, dtype in kinds():
        if name in BYTES and dtype is np.float32:
            continue
        compare(make, image, "through tensors" if name in THROUGH_TENSORS else kind, range(6))


@pytest.mark.parametrize(
    "name", ["resize", "random_crop_padded", "jitter", "rotation", "affine", "grayscale3", "invert"]
)
def test_one_channel(name):
    for kind, image, _ in kinds(channels=1):
        compare(TRANSFORMS[name], image, kind, range(3))


def test_a_batch_of_tensors():
    batch = RNG.random((2, 3, 12, 14), np.float32)
    for name in ("resize", "affine", "rotation", "jitter", "perspective", "hflip", "sharpness", "autocontrast"):
        compare(TRANSFORMS[name], batch, "floats", range(2))
    whole = (batch * 255).astype(np.uint8)
    for name in ("equalize", "posterize"):
        compare(BYTES[name], whole, "bytes", range(3))


@pytest.mark.parametrize(
    "make",
    [
        lambda T: T.RandomErasing(),
        lambda T: T.RandomErasing(1.0, value="random"),
        lambda T: T.RandomErasing(1.0, value=(1.0, 2.0, 3.0), scale=(0.2, 0.9)),
        lambda T: T.RandomErasing(1.0, scale=(1.0, 1.0), ratio=(1.0, 1.0)),
        lambda T: T.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)),
        lambda T: T.Normalize([0.5], [0.5]),
    ],
)
def test_tensors_only(make):
    image = RGB.transpose(2, 0, 1).astype(np.float32) / 255
    compare(make, image, "floats", range(5))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "1", "I", "F", "I;16", "LA", "CMYK", "YCbCr"])
def test_pictures_and_tensors(mode):
    if mode == "I;16":
        image = Image.fromarray(RNG.integers(0, 1 << 15, (5, 6)).astype(np.uint16))
    else:
        image = Image.fromarray(RGB).convert(
            "RGB" if mode in ("CMYK", "YCbCr") else "L" if mode in ("I", "F") else mode
        )
        image = image.convert(mode)
    for T in ("to_tensor", "pil_to_tensor"):
        expected, got = (getattr(lib.functional, T)(image) for lib in (theirs, ours))
        close(expected, got, "tensor", 0)
    if mode not in ("1", "I;16"):
        x, y = (lib.functional.pil_to_tensor(image) for lib in (theirs, ours))
        close(theirs.ToPILImage(mode)(x), ours.ToPILImage(mode)(y), "picture")


@pytest.mark.parametrize("shape", [(4, 5), (1, 4, 5), (2, 4, 5), (3, 4, 5), (4, 4, 5)])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "int16", "int32"])
def test_to_pil_image(shape, dtype):
    if len(shape) == 3 and shape[0] > 1 and dtype in ("int16", "int32"):
        with pytest.raises(TypeError):
            ours.ToPILImage()(retrograd.zeros(shape, dtype=getattr(retrograd, dtype)))
        return
    x = RNG.integers(0, 200, shape).astype(dtype) if dtype != "float32" else RNG.random(shape, np.float32)
    close(theirs.ToPILImage()(torch.from_numpy(x)), ours.ToPILImage()(retrograd.from_numpy(x)), "picture")
    array = x if x.ndim == 2 else x.transpose(1, 2, 0)
    close(theirs.ToPILImage()(array), ours.ToPILImage()(array), "picture")


DTYPES = ["uint8", "int8", "int16", "int32", "int64", "float32", "float64"]


@pytest.mark.parametrize("start", DTYPES)
@pytest.mark.parametrize("end", DTYPES)
def test_convert_image_dtype(start, end):
    x = torch.linspace(0, 1, 7, dtype=torch.float64)
    x = x.to(getattr(torch, start)) if "float" in start else (x * 127).to(getattr(torch, start))
    y = retrograd.from_numpy(x.numpy())
    try:
        expected = theirs.functional.convert_image_dtype(x, getattr(torch, end))
    except RuntimeError:
        with pytest.raises(RuntimeError):
            ours.functional.convert_image_dtype(y, getattr(retrograd, end))
        return
    close(expected, ours.functional.convert_image_dtype(y, getattr(retrograd, end)), "", 0)


ERRORS = {
    "crop_too_large": lambda T, x: T.RandomCrop(99)(x),
    "size": lambda T, x: T.CenterCrop((1, 2, 3)),
    "pad": lambda T, x: T.Pad((1, 2, 3)),
    "pad_type": lambda T, x: T.Pad("three"),
    "pad_mode": lambda T, x: T.Pad(1, padding_mode="no"),
    "jitter": lambda T, x: T.ColorJitter(-1),
    "jitter_type": lambda T, x: T.ColorJitter("a"),
    "hue": lambda T, x: T.ColorJitter(hue=0.7),
    "rotation": lambda T, x: T.RandomRotation(-3),
    "affine": lambda T, x: T.RandomAffine(3, translate=(2, 3)),
    "five": lambda T, x: T.FiveCrop(99)(x),
    "normalize": lambda T, x: T.Normalize([0.5], [0.0])(x),
    "tensor": lambda T, x: T.ToTensor()(3),
    "tensor_dim": lambda T, x: T.ToTensor()(np.zeros(3)),
    "pil": lambda T, x: T.ToPILImage()(np.zeros((2, 2, 5), np.uint8)),
    "lambda": lambda T, x: T.Lambda(3),
    "resize": lambda T, x: T.Resize(3.5),
    "resize_max": lambda T, x: T.Resize((3, 4), max_size=9)(x),
    "posterize": lambda T, x: T.functional.posterize(x, 3),
    "blur": lambda T, x: T.GaussianBlur(4),
    "not_an_image": lambda T, x: T.functional.hflip(np.zeros((3, 4))),
    "erasing": lambda T, x: T.RandomErasing(value="no"),
    "order": lambda T, x: T.RandomOrder(3),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    with pytest.raises(Exception) as expected:
        ERRORS[name](theirs, torch.rand(3, 8, 9))
    with pytest.raises(type(expected.value)):
        ERRORS[name](ours, retrograd.rand(3, 8, 9))


def test_functional_numbers():
    x = RNG.random((3, 9, 11), np.float32)
    f, g = theirs.functional, ours.functional
    t, r = torch.from_numpy(x), retrograd.from_numpy(x)
    for name, *args in (
        ("adjust_gamma", 0.7, 1.2),
        ("adjust_hue", -0.31),
        ("adjust_saturation", 1.7),
        ("crop", -2, -3, 9, 20),
        ("crop", 5, 6, 20, 20),
        ("solarize", 0.4),
        ("resized_crop", 1, 2, 5, 6, [7, 8]),
        ("gaussian_blur", [3, 5]),
        ("rgb_to_grayscale", 3),
    ):
        close(getattr(f, name)(t, *args), getattr(g, name)(r, *args), "floats")
    picture = Image.fromarray(RGB)
    for name, *args in (("adjust_gamma", 0.7, 1.2), ("adjust_hue", -0.31), ("crop", -2, -3, 9, 20), ("solarize", 40)):
        close(getattr(f, name)(picture, *args), getattr(g, name)(picture, *args), "picture")
    assert f.get_image_size(t) == g.get_image_size(r)
    assert f.get_dimensions(picture) == g.get_dimensions(picture)


def test_a_transform_is_pickled():
    transform = ours.Compose([ours.RandomCrop(3), ours.Resize(4), ours.Normalize((0.5,), (0.5,))])
    assert repr(pickle.loads(pickle.dumps(transform))) == repr(transform)
