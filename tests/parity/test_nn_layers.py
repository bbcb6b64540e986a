"""Layers with weights or geometry against torch: their start, values, gradients, state, repr, kinds of exceptions."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from parity.nn_helpers import drawn, same

V, S, I, C = (4, 6), (3, 6, 7), (2, 6, 8, 7), (2, 4, 5, 4, 6)  # vectors, sequences, images, cubes
INDEX = np.array([[1, 0, 4], [4, 4, 2]])


def layers():
    """(name, constructor, shape of the input or the input itself)."""
    return {
        "Identity": (lambda nn: nn.Identity(3, a=4), V),
        "Linear": (lambda nn: nn.Linear(6, 5), V),
        "Linear no bias": (lambda nn: nn.Linear(6, 5, bias=False), S[:1] + (2, 6)),
        "Linear vector": (lambda nn: nn.Linear(6, 1), (6,)),
        "Linear empty": (lambda nn: nn.Linear(6, 5), (0, 6)),
        "Linear wrong": (lambda nn: nn.Linear(5, 5), V),
        "Linear 0-d": (lambda nn: nn.Linear(5, 5), ()),
        "Flatten": (lambda nn: nn.Flatten(), I),
        "Flatten(0)": (lambda nn: nn.Flatten(0), I),
        "Flatten(2, 3)": (lambda nn: nn.Flatten(2, 3), I),
        "Flatten 0-d": (lambda nn: nn.Flatten(), ()),
        "Unflatten": (lambda nn: nn.Unflatten(1, (2, 3)), V),
        "Unflatten wrong": (lambda nn: nn.Unflatten(1, (2, 2)), V),
        "Unflatten type": (lambda nn: nn.Unflatten(1, 2.0), V),
        "Embedding": (lambda nn: nn.Embedding(5, 3), INDEX),
        "Embedding padding": (lambda nn: nn.Embedding(5, 3, padding_idx=4), INDEX),
        "Embedding padding -2": (lambda nn: nn.Embedding(5, 3, padding_idx=-1), INDEX),
        "Embedding max_norm": (lambda nn: nn.Embedding(5, 3, max_norm=0.5), INDEX),
        "Embedding max_norm 1": (lambda nn: nn.Embedding(5, 3, max_norm=0.5, norm_type=1.0), INDEX),
        "Embedding freq": (lambda nn: nn.Embedding(5, 3, scale_grad_by_freq=True), INDEX),
        "Embedding beyond": (lambda nn: nn.Embedding(4, 3), INDEX),
        "Embedding negative": (lambda nn: nn.Embedding(4, 3), np.array([-1])),
        "Embedding floats": (lambda nn: nn.Embedding(4, 3), V),
        "Embedding int32": (lambda nn: nn.Embedding(5, 3), INDEX.astype(np.int32)),
        "Embedding bytes": (lambda nn: nn.Embedding(5, 3), INDEX.astype(np.uint8)),
        "Embedding padding wrong": (lambda nn: nn.Embedding(5, 3, padding_idx=5), INDEX),
        "LayerNorm": (lambda nn: nn.LayerNorm(7), S),
        "LayerNorm 2": (lambda nn: nn.LayerNorm((6, 7), eps=0.1), S),
        "LayerNorm no bias": (lambda nn: nn.LayerNorm(7, bias=False), S),
        "LayerNorm plain": (lambda nn: nn.LayerNorm(7, elementwise_affine=False), S),
        "LayerNorm wrong": (lambda nn: nn.LayerNorm(5), S),
        "LayerNorm nothing": (lambda nn: nn.LayerNorm([]), S),
        "RMSNorm": (lambda nn: nn.RMSNorm(7), S),
        "RMSNorm eps": (lambda nn: nn.RMSNorm((6, 7), eps=0.1, elementwise_affine=False), S),
        "RMSNorm wrong": (lambda nn: nn.RMSNorm(5), S),
        "GroupNorm": (lambda nn: nn.GroupNorm(3, 6), I),
        "GroupNorm(1)": (lambda nn: nn.GroupNorm(1, 6, affine=False), V),
        "GroupNorm no bias": (lambda nn: nn.GroupNorm(2, 6, bias=False), S),
        "GroupNorm wrong": (lambda nn: nn.GroupNorm(3, 9), I),
        "GroupNorm one": (lambda nn: nn.GroupNorm(6, 6), (1, 6)),
        "GroupNorm constructor": (lambda nn: nn.GroupNorm(4, 6), I),
        "LocalResponseNorm": (lambda nn: nn.LocalResponseNorm(2, 0.5, 0.6, 2.0), I),
        "LocalResponseNorm 3": (lambda nn: nn.LocalResponseNorm(3, 0.5), S),
        "LocalResponseNorm 2-d": (lambda nn: nn.LocalResponseNorm(3), V),
        "InstanceNorm1d": (lambda nn: nn.InstanceNorm1d(6), S),
        "InstanceNorm1d one": (lambda nn: nn.InstanceNorm1d(3, affine=True), S[:2]),
        "InstanceNorm2d": (lambda nn: nn.InstanceNorm2d(6, affine=True), I),
        "InstanceNorm2d track": (lambda nn: nn.InstanceNorm2d(6, track_running_stats=True), I),
        "InstanceNorm2d eval": (lambda nn: nn.InstanceNorm2d(6, track_running_stats=True).eval(), I),
        "InstanceNorm3d": (lambda nn: nn.InstanceNorm3d(4, eps=0.1), C),
        "InstanceNorm2d dims": (lambda nn: nn.InstanceNorm2d(6), V),
        "InstanceNorm2d features": (lambda nn: nn.InstanceNorm2d(5, affine=True), I),
        "InstanceNorm2d unused": (lambda nn: nn.InstanceNorm2d(5), I),
        "InstanceNorm1d short": (lambda nn: nn.InstanceNorm1d(6), (3, 6, 1)),
        "BatchNorm1d": (lambda nn: nn.BatchNorm1d(6), V),
        "BatchNorm1d 3-d": (lambda nn: nn.BatchNorm1d(6, eps=0.1, momentum=0.3), S),
        "BatchNorm1d eval": (lambda nn: nn.BatchNorm1d(6).eval(), V),
        "BatchNorm2d": (lambda nn: nn.BatchNorm2d(6), I),
        "BatchNorm2d eval": (lambda nn: nn.BatchNorm2d(6).eval(), I),
        "BatchNorm2d plain": (lambda nn: nn.BatchNorm2d(6, affine=False), I),
        "BatchNorm2d no bias": (lambda nn: nn.BatchNorm2d(6, bias=False), I),
        "BatchNorm2d untracked": (lambda nn: nn.BatchNorm2d(6, track_running_stats=False), I),
        "BatchNorm2d untracked eval": (lambda nn: nn.BatchNorm2d(6, track_running_stats=False).eval(), I),
        "BatchNorm2d cumulative": (lambda nn: nn.BatchNorm2d(6, momentum=None), I),
        "BatchNorm3d": (lambda nn: nn.BatchNorm3d(4), C),
        "BatchNorm1d one value": (lambda nn: nn.BatchNorm1d(6), (1, 6)),
        "BatchNorm1d dims": (lambda nn: nn.BatchNorm1d(6), I),
        "BatchNorm2d features": (lambda nn: nn.BatchNorm2d(5), I),
        "BatchNorm2d dims": (lambda nn: nn.BatchNorm2d(6), S),
        "Conv1d": (lambda nn: nn.Conv1d(6, 4, 3), S),
        "Conv1d all": (lambda nn: nn.Conv1d(6, 4, 3, stride=2, padding=2, dilation=2, groups=2, bias=False), S),
        "Conv1d one": (lambda nn: nn.Conv1d(3, 4, 2), S[:2]),
        "Conv2d": (lambda nn: nn.Conv2d(6, 4, 3), I),
        "Conv2d all": (lambda nn: nn.Conv2d(6, 4, (3, 2), (2, 1), (1, 2), (2, 1), groups=2), I),
        "Conv2d same": (lambda nn: nn.Conv2d(6, 4, (4, 3), padding="same", dilation=(1, 2)), I),
        "Conv2d valid": (lambda nn: nn.Conv2d(6, 4, 3, padding="valid"), I),
        "Conv2d depthwise": (lambda nn: nn.Conv2d(6, 12, 3, groups=6), I),
        "Conv2d reflect": (lambda nn: nn.Conv2d(6, 4, 3, padding=(1, 2), padding_mode="reflect"), I),
        "Conv2d replicate": (lambda nn: nn.Conv2d(6, 4, 3, padding=1, padding_mode="replicate"), I),
        "Conv2d circular": (lambda nn: nn.Conv2d(6, 4, 3, padding="same", padding_mode="circular"), I),
        "Conv2d one": (lambda nn: nn.Conv2d(2, 4, 3), I[:1] + I[2:]),
        "Conv3d": (lambda nn: nn.Conv3d(4, 3, 2, padding=1, stride=(1, 2, 1)), C),
        "Conv2d channels": (lambda nn: nn.Conv2d(5, 4, 3), I),
        "Conv2d dims": (lambda nn: nn.Conv2d(6, 4, 3), V),
        "Conv2d too small": (lambda nn: nn.Conv2d(6, 4, 9), I),
        "Conv2d groups": (lambda nn: nn.Conv2d(6, 4, 3, groups=4), I),
        "Conv2d no groups": (lambda nn: nn.Conv2d(6, 4, 3, groups=0), I),
        "Conv2d mode": (lambda nn: nn.Conv2d(6, 4, 3, padding_mode="mirror"), I),
        "Conv2d string": (lambda nn: nn.Conv2d(6, 4, 3, padding="full"), I),
        "Conv2d same stride": (lambda nn: nn.Conv2d(6, 4, 3, 2, padding="same"), I),
        "ConvTranspose1d": (lambda nn: nn.ConvTranspose1d(6, 4, 3, stride=2, output_padding=1), S),
        "ConvTranspose2d": (lambda nn: nn.ConvTranspose2d(6, 4, 3), I),
        "ConvTranspose2d all": (
            lambda nn: nn.ConvTranspose2d(6, 4, (3, 2), (3, 2), (2, 0), (2, 1), 2, False, (1, 2)),
            I,
        ),
        "ConvTranspose2d dilated": (lambda nn: nn.ConvTranspose2d(6, 4, 2, 1, 0, 1, dilation=3), I),
        "ConvTranspose3d": (lambda nn: nn.ConvTranspose3d(4, 2, 2, padding=1), C),
        "ConvTranspose2d output padding": (lambda nn: nn.ConvTranspose2d(6, 4, 3, output_padding=1), I),
        "ConvTranspose2d channels": (lambda nn: nn.ConvTranspose2d(5, 4, 3), I),
        "ConvTranspose2d mode": (lambda nn: nn.ConvTranspose2d(6, 4, 3, padding_mode="reflect"), I),
        "MaxPool1d": (lambda nn: nn.MaxPool1d(2), S),
        "MaxPool2d": (lambda nn: nn.MaxPool2d(2), I),
        "MaxPool2d all": (lambda nn: nn.MaxPool2d((3, 2), (2, 1), (1, 1), (1, 2), ceil_mode=True), I),
        "MaxPool2d indices": (lambda nn: nn.MaxPool2d(2, return_indices=True), I),
        "MaxPool3d": (lambda nn: nn.MaxPool3d(2, 1), C),
        "MaxPool2d padding": (lambda nn: nn.MaxPool2d(2, padding=2), I),
        "MaxPool2d stride 0": (lambda nn: nn.MaxPool2d(2, stride=0), I),
        "MaxPool2d large": (lambda nn: nn.MaxPool2d(20), I),
        "MaxPool2d dims": (lambda nn: nn.MaxPool2d(2), V),
        "AvgPool1d": (lambda nn: nn.AvgPool1d(3, 2, 1), S),
        "AvgPool2d": (lambda nn: nn.AvgPool2d(2), I),
        "AvgPool2d all": (lambda nn: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), I),
        "AvgPool2d divisor": (lambda nn: nn.AvgPool2d(3, divisor_override=2), I),
        "AvgPool3d": (lambda nn: nn.AvgPool3d(2), C),
        "AvgPool2d divisor 0": (lambda nn: nn.AvgPool2d(3, divisor_override=0), I),
        "AvgPool2d padding": (lambda nn: nn.AvgPool2d(3, padding=2), I),
        "AdaptiveAvgPool1d": (lambda nn: nn.AdaptiveAvgPool1d(3), S),
        "AdaptiveAvgPool2d": (lambda nn: nn.AdaptiveAvgPool2d((3, None)), I),
        "AdaptiveAvgPool2d(1)": (lambda nn: nn.AdaptiveAvgPool2d(1), I),
        "AdaptiveAvgPool3d": (lambda nn: nn.AdaptiveAvgPool3d(2), C),
        "AdaptiveMaxPool1d": (lambda nn: nn.AdaptiveMaxPool1d(3), S),
        "AdaptiveMaxPool2d": (lambda nn: nn.AdaptiveMaxPool2d((3, 2), return_indices=True), I),
        "AdaptiveMaxPool3d": (lambda nn: nn.AdaptiveMaxPool3d(2), C),
        "LPPool1d": (lambda nn: nn.LPPool1d(2, 3), S),
        "LPPool2d": (lambda nn: nn.LPPool2d(2, (2, 3), stride=1), I),
        "LPPool3d": (lambda nn: nn.LPPool3d(2, 2), C),
        "PixelShuffle": (lambda nn: nn.PixelShuffle(2), (2, 8, 3, 2)),
        "PixelShuffle wrong": (lambda nn: nn.PixelShuffle(2), I),
        "PixelUnshuffle": (lambda nn: nn.PixelUnshuffle(2), (2, 3, 4, 6)),
        "PixelUnshuffle wrong": (lambda nn: nn.PixelUnshuffle(2), I),
        "ChannelShuffle": (lambda nn: nn.ChannelShuffle(3), I),
        "ChannelShuffle wrong": (lambda nn: nn.ChannelShuffle(4), I),
        "Unfold": (lambda nn: nn.Unfold((2, 3), 1, (1, 0), 2), I),
        "Fold": (lambda nn: nn.Fold((4, 5), 2), (2, 8, 12)),
        "Fold wrong": (lambda nn: nn.Fold((4, 5), 2), (2, 8, 11)),
        "Upsample": (lambda nn: nn.Upsample(scale_factor=2), I),
        "Upsample size": (lambda nn: nn.Upsample((5, 9)), I),
        "Upsample exact": (lambda nn: nn.Upsample((5, 9), mode="nearest-exact"), I),
        "Upsample linear": (lambda nn: nn.Upsample(5, mode="linear"), S),
        "Upsample bilinear": (lambda nn: nn.Upsample(scale_factor=(1.5, 0.7), mode="bilinear"), I),
        "Upsample recompute": (
            lambda nn: nn.Upsample(scale_factor=(1.5, 0.7), mode="bilinear", recompute_scale_factor=True),
            I,
        ),
        "Upsample aligned": (lambda nn: nn.Upsample((5, 9), mode="bilinear", align_corners=True), I),
        "Upsample bicubic": (lambda nn: nn.Upsample((5, 9), mode="bicubic"), I),
        "Upsample bicubic aligned": (lambda nn: nn.Upsample((5, 9), mode="bicubic", align_corners=True), I),
        "Upsample trilinear": (lambda nn: nn.Upsample(scale_factor=2, mode="trilinear"), C),
        "Upsample mode": (lambda nn: nn.Upsample(5, mode="bilinear"), S),
        "UpsamplingNearest2d": (lambda nn: nn.UpsamplingNearest2d(scale_factor=2), I),
        "UpsamplingBilinear2d": (lambda nn: nn.UpsamplingBilinear2d(size=(3, 4)), I),
        "ConstantPad1d": (lambda nn: nn.ConstantPad1d((1, 2), 3.5), S),
        "ConstantPad2d": (lambda nn: nn.ConstantPad2d((1, -2, 0, 3), 3.5), I),
        "ConstantPad3d": (lambda nn: nn.ConstantPad3d(1, 3.5), C),
        "ZeroPad1d": (lambda nn: nn.ZeroPad1d(2), S),
        "ZeroPad2d": (lambda nn: nn.ZeroPad2d((1, 0, 2, 0)), I),
        "ZeroPad3d": (lambda nn: nn.ZeroPad3d(1), C),
        "ReflectionPad1d": (lambda nn: nn.ReflectionPad1d((3, 1)), S),
        "ReflectionPad2d": (lambda nn: nn.ReflectionPad2d((3, 1, 2, 7)), I),
        "ReflectionPad3d": (lambda nn: nn.ReflectionPad3d(1), C),
        "ReflectionPad1d wide": (lambda nn: nn.ReflectionPad1d(7), S),
        "ReplicationPad1d": (lambda nn: nn.ReplicationPad1d((9, 1)), S),
        "ReplicationPad2d": (lambda nn: nn.ReplicationPad2d(3), I[1:]),
        "ReplicationPad3d": (lambda nn: nn.ReplicationPad3d(1), C),
        "CircularPad1d": (lambda nn: nn.CircularPad1d((7, 1)), S),
        "CircularPad2d": (lambda nn: nn.CircularPad2d((3, 1, 2, 4)), I),
        "CircularPad3d": (lambda nn: nn.CircularPad3d(1), C),
        "CircularPad1d wide": (lambda nn: nn.CircularPad1d(8), S),
        "Dropout": (lambda nn: nn.Dropout(0.3), I),
        "Dropout eval": (lambda nn: nn.Dropout(0.3).eval(), I),
        "Dropout inplace": (lambda nn: nn.Sequential(nn.ReLU(), nn.Dropout(0.3, inplace=True)), I),
        "Dropout 1": (lambda nn: nn.Dropout(1.0), V),
        "Dropout 0": (lambda nn: nn.Dropout(0.0), V),
        "Dropout wrong": (lambda nn: nn.Dropout(1.5), V),
        "Dropout1d": (lambda nn: nn.Dropout1d(0.5), S),
        "Dropout1d 2-d": (lambda nn: nn.Dropout1d(0.5), S[1:]),
        "Dropout1d 4-d": (lambda nn: nn.Dropout1d(0.5), I),
        "Dropout2d": (lambda nn: nn.Dropout2d(0.5), I),
        "Dropout2d 3-d": (lambda nn: nn.Dropout2d(0.5), S),
        "Dropout2d 2-d": (lambda nn: nn.Dropout2d(0.5), V),
        "Dropout3d": (lambda nn: nn.Dropout3d(0.5), C),
        "Dropout3d 4-d": (lambda nn: nn.Dropout3d(0.5), I),
        "AlphaDropout": (lambda nn: nn.AlphaDropout(0.3), I),
        "FeatureAlphaDropout": (lambda nn: nn.FeatureAlphaDropout(0.3), I),
        "Sequential": (
            lambda nn: nn.Sequential(nn.Conv2d(6, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(24, 3)),
            I,
        ),
    }


LAYERS = layers()


def run(make, dtype):
    """Make the layer from the seed, run it twice, and give everything that can be seen of it."""

    def call(T, x):
        layer = make(T.nn)
        start = [p.detach().clone() for p in layer.parameters()]  # in float32, as drawn
        layer = layer.to(getattr(T, dtype))
        first = layer(x)
        second = layer(x)
        outputs = list(first) if isinstance(first, tuple) else [first]
        total = sum((o * o).sum() for o in outputs if o.requires_grad)
        parameters = list(layer.parameters())
        if parameters and not isinstance(total, int):
            gradients = T.autograd.grad(total, parameters, retain_graph=True)
        else:
            gradients = ()
        state = layer.state_dict()
        described = repr(layer), list(state), [name for name, _ in layer.named_modules()]
        second = second[0] if isinstance(second, tuple) else second
        return [*outputs, second.detach(), *start, *gradients, *state.values(), *described]

    return call


@pytest.mark.parametrize("name", LAYERS)
def test_float64(name):
    make, x = LAYERS[name]
    x = drawn(x) if isinstance(x, tuple) else x
    # torch computes the places of bilinear and bicubic points in float32
    tolerance = 1e-5 if "Upsampl" in name else 1e-9
    same(run(make, "float64"), x, tolerance=tolerance)


@pytest.mark.parametrize(
    "name", [n for n in LAYERS if n.split()[0] in ("Linear", "Conv2d", "BatchNorm2d", "Sequential")]
)
def test_float32(name):
    make, x = LAYERS[name]
    same(run(make, "float32"), drawn(x), dtype="float32", tolerance=2e-4)


@pytest.mark.parametrize("name", ["Linear", "LayerNorm", "BatchNorm2d", "Conv2d", "GroupNorm", "RMSNorm", "AvgPool2d"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_dtypes(name, dtype):
    make, x = LAYERS[name]

    def call(T, x):
        return make(T.nn).to(getattr(T, dtype))(x)

    same(call, drawn(x), dtype=dtype, tolerance=0.1)


@pytest.mark.parametrize("name", ["BatchNorm2d", "BatchNorm2d eval", "LayerNorm"])
def test_float_parameters_with_a_narrow_input(name):
    make, x = LAYERS[name]
    same(lambda T, x: make(T.nn)(x), drawn(x), dtype="bfloat16", tolerance=0.1)


MIXED = {
    "Linear": (lambda T, x: T.nn.Linear(6, 5)(x), V),
    "Linear of integers": (lambda T, x: T.nn.Linear(6, 5)(x.long()), V),
    "Conv2d": (lambda T, x: T.nn.Conv2d(6, 4, 3)(x), I),
    "BatchNorm2d": (lambda T, x: T.nn.BatchNorm2d(6)(x), I),
    "BatchNorm2d eval": (lambda T, x: T.nn.BatchNorm2d(6).eval()(x), I),
    "LayerNorm": (lambda T, x: T.nn.LayerNorm(7)(x), S),
    "LayerNorm of integers": (lambda T, x: T.nn.LayerNorm(7)(x.long()), S),
    "BatchNorm2d of integers": (lambda T, x: T.nn.BatchNorm2d(6)(x.long()), I),
}


@pytest.mark.parametrize("name", MIXED)
def test_mixed_dtypes(name):
    call, shape = MIXED[name]
    same(call, drawn(shape))


TWO = {
    "Bilinear": (lambda T, x, y: T.nn.Bilinear(6, 4, 5).double()(x, y), (3, 6), (3, 4)),
    "Bilinear no bias": (lambda T, x, y: T.nn.Bilinear(6, 4, 5, bias=False).double()(x, y), (2, 3, 6), (2, 3, 4)),
    "Bilinear sizes": (lambda T, x, y: T.nn.Bilinear(6, 5, 5).double()(x, y), (3, 6), (3, 4)),
    "Bilinear batches": (lambda T, x, y: T.nn.Bilinear(6, 4, 5).double()(x, y), (3, 6), (2, 4)),
    "CosineSimilarity": (lambda T, x, y: T.nn.CosineSimilarity()(x, y), (3, 6), (3, 6)),
    "CosineSimilarity(0)": (lambda T, x, y: T.nn.CosineSimilarity(0, eps=1.0)(x, y), (3, 6), (1, 6)),
    "PairwiseDistance": (lambda T, x, y: T.nn.PairwiseDistance()(x, y), (3, 6), (3, 6)),
    "PairwiseDistance(1)": (lambda T, x, y: T.nn.PairwiseDistance(1.0, keepdim=True)(x, y), (3, 6), (6,)),
}


@pytest.mark.parametrize("name", TWO)
def test_two_inputs(name):
    call, *shapes = TWO[name]
    same(call, *[drawn(shape, i) for i, shape in enumerate(shapes)])


def test_output_size_of_a_transposed_convolution():
    for size in ((16, 13), (2, 4, 17, 14), (20, 20), (1, 2, 3)):
        same(lambda T, x, size=size: T.nn.ConvTranspose2d(6, 4, 3, 2, 1).double()(x, output_size=size), drawn(I))


def test_from_pretrained():
    def call(T, w):
        layer = T.nn.Embedding.from_pretrained(w.detach(), padding_idx=1)
        free = T.nn.Embedding.from_pretrained(w.detach(), freeze=False)
        return layer(T.tensor([1, 2])), free(T.tensor([1, 2])), layer.weight.requires_grad, repr(layer)

    same(call, drawn((5, 3)))
    same(lambda T, w: T.nn.Embedding.from_pretrained(w.detach()), drawn((5,)))


def test_a_whole_network_starts_as_torch_does():
    """The parameters of a network made after one seed are torch's, bit for bit."""
    import torch

    import retrograd

    def network(nn):
        block = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.PReLU(8), nn.Conv2d(8, 4, 1, bias=False))
        return nn.Sequential(
            nn.Embedding(10, 7), nn.Linear(7, 33), block, nn.Bilinear(3, 4, 5), nn.ConvTranspose2d(4, 6, 2),
            nn.LayerNorm(5), nn.Conv1d(5, 2, 5), nn.Linear(1, 1), nn.Linear(9, 200), nn.Embedding(3, 2, padding_idx=0),
        )  # fmt: skip

    torch.manual_seed(5)
    retrograd.manual_seed(5)
    theirs, mine = network(torch.nn), network(retrograd.nn)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        assert np.array_equal(mine.state_dict()[name].numpy(), value.numpy()), name
    assert repr(mine) == repr(theirs)
