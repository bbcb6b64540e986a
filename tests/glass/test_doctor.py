"""The doctor: each sick model has its one finding, healthy ones have none, and theory predicts what is measured."""

from __future__ import annotations

import contextlib
import json
import math
import pathlib

import numpy as np
import pytest

import retrograd as torch
from retrograd import glass
from retrograd.glass.doctor.look import log_variance, look
from retrograd.glass.doctor.theory import predict
from retrograd.glass.report import gather

nn = torch.nn
F = torch.nn.functional


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def normal(variance):
    def draw(layer):
        nn.init.normal_(layer.weight, std=math.sqrt(variance))
        nn.init.zeros_(layer.bias)

    return draw


def he(layer):
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)


def as_made(layer):
    """PyTorch's default stays."""


def mlp(activation=nn.ReLU, initialise=he, depth=3, width=64, out=10, dtype=torch.float32):
    layers = []
    for _ in range(depth):
        layer = nn.Linear(width, width, dtype=dtype)
        initialise(layer)
        layers += [layer, activation()]
    return nn.Sequential(*layers, nn.Linear(width, out, dtype=dtype))


def batch(count=64):
    return torch.randn(count, 64), torch.randint(0, 10, (count,))


def dead(layer):
    he(layer)
    nn.init.constant_(layer.bias, -5.0)


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.Linear(64, 10), nn.Linear(64, 10)

    def forward(self, x):
        return self.used(x)


class Cut(Unused):
    def forward(self, x):
        return self.used(x).detach()


class Log(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x):
        return torch.log(self.layer(x))


class RootOfZero(Log):
    def forward(self, x):
        return torch.sqrt(torch.relu(self.layer(x)))


def sure():
    net = mlp(depth=1)
    nn.init.normal_(net[-1].weight, std=5.0)
    return net


def with_nan():
    net = mlp()
    net[2].weight.data[3, 4] = float("nan")
    return net


def constant(layer):
    nn.init.constant_(layer.weight, 0.05)
    nn.init.zeros_(layer.bias)


def zero(layer):
    nn.init.zeros_(layer.weight)


def labelled(low, high):
    return torch.randn(64, 64), torch.randint(low, high, (64,))


class Detached(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x):
        return self.last(F.relu(self.first(x)).detach())


def own_statistics(a):
    return (a - a.mean(0)) / a.std(0)


def rated(rate, kind=torch.optim.SGD):
    net = mlp()
    return net, {"optimizer": kind(net.parameters(), lr=rate)}


def sick():
    x, y = batch()
    ce, mse = F.cross_entropy, F.mse_loss
    train, other = own_statistics(torch.randn(500, 64)), own_statistics(torch.randn(200, 64) * 1.3 + 0.2)
    labels = torch.randint(0, 10, (500,))
    large, small = rated(100.0), rated(1e-9, torch.optim.Adam)
    holed = x.clone()
    holed[5, 7] = float("inf")
    return {
        "vanishing": [(mlp(initialise=normal(0.005), depth=20), (x, y), ce, {})],
        "exploding": [
            (mlp(initialise=normal(0.3), depth=20), (x, y), ce, {}),
            (mlp(initialise=normal(3.0), depth=60), (x, y), ce, {}),
        ],
        "initialisation": [
            (mlp(initialise=as_made, depth=20), (x, y), ce, {}),
            (mlp(initialise=constant), (x, y), ce, {}),
            (mlp(initialise=zero, depth=6), (x, y), ce, {}),
        ],
        "dead-units": [(mlp(initialise=dead, depth=1), (x, y), ce, {})],
        "labels": [(mlp(), labelled(1, 11), ce, {}), (mlp(), labelled(-1, 9), nn.CrossEntropyLoss(), {})],
        "loss": [
            (nn.Sequential(mlp(), nn.Softmax(1)), (x, y), ce, {}),
            (nn.Sequential(mlp(out=1), nn.Sigmoid()), (x, (y[:, None] > 4).float()), nn.BCEWithLogitsLoss(), {}),
            (nn.Sequential(mlp(), nn.ReLU()), (x, y), ce, {}),
            (nn.Sequential(mlp(), nn.Unflatten(1, (10, 1)), nn.ReLU(), nn.Flatten()), (x, y), ce, {}),
            (nn.Sequential(mlp(out=1), nn.ReLU()), (x, (y[:, None] > 4).float()), nn.BCEWithLogitsLoss(), {}),
            (nn.Sequential(mlp(), nn.Sigmoid()), (x, y), ce, {}),
            (nn.Sequential(mlp(), nn.Tanh()), (x, y), ce, {}),
            (mlp(), (x, y), F.nll_loss, {}),
            (nn.Sequential(mlp(), nn.Softmax(1)), (x, y), F.nll_loss, {}),
            (nn.Sequential(mlp(), nn.LogSoftmax(0)), (x, y), F.nll_loss, {}),
        ],
        "saturation": [
            (mlp(nn.Sigmoid, normal(4.0), 1), (x, y), ce, {}),
            (mlp(nn.Tanh, normal(1.0), 1), (x, y), ce, {}),
        ],
        "inputs": [(mlp(), (torch.rand(64, 64) * 255, y), ce, {}), (mlp(), (x * 1e-4, y), ce, {})],
        "validation": [(mlp(), (train, labels), ce, {"validation": other})],
        "first-loss": [(sure(), (x, y), ce, {})],
        "broadcast": [(mlp(out=1), (x, torch.randn(64)), mse, {}), (mlp(out=1), (x, torch.randn(64)), nn.L1Loss(), {})],
        "no-gradient": [(Unused(), (x, y), ce, {}), (Cut(), (x, y), ce, {}), (Detached(), (x, y), ce, {})],
        "learning-rate": [(large[0], (x, y), ce, large[1]), (small[0], (x, y), ce, small[1])],
        "not-finite": [
            (Log(), (x, y), ce, {}),
            (RootOfZero(), (x, y), ce, {}),
            (with_nan(), (x, y), ce, {}),
            (mlp(), (holed, y), ce, {}),
        ],
    }


@pytest.mark.parametrize("kind", list(sick()))
def test_each_sick_model_has_its_finding_and_no_other(kind):
    for model, data, loss, more in sick()[kind]:
        found = glass.doctor(model, data, loss, **more)
        assert set(found.kinds) == {kind}, str(found)
        text = str(found)
        assert found[0].title in text and found[0].repair in text and found[0].evidence in text
        json.dumps(found.to_dict()["findings"])


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.memory, self.out = kind(8, 32, 2, batch_first=True), nn.Linear(32, 10)

    def forward(self, x):
        return self.out(self.memory(x)[0][:, -1])


class Residual(nn.Module):
    def __init__(self, width=64, depth=8):
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(depth)])
        self.layers = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.out = nn.Linear(width, 10)

    def forward(self, x):
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = x + F.gelu(layer(norm(x)))
        return self.out(x)


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(64, 16), nn.Linear(8, 64)

    def forward(self, x):
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        return F.mse_loss(self.decoder(z), x) - 0.5 * (1 + log_variance - mean**2 - log_variance.exp()).mean()


def image_net():
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 10)),
    )


def transformer():
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
    return nn.Sequential(nn.TransformerEncoder(layer, 4), nn.Flatten(), nn.Linear(320, 10))


class Branches(nn.Module):
    """A residual network whose branches begin at zero: by their last weight, by a scale, or by a small one."""

    def __init__(self, kind, depth=10, width=64):
        super().__init__()
        self.kind, self.first, self.out = kind, nn.Linear(64, width), nn.Linear(width, 10)
        self.one, self.two = (nn.ModuleList([nn.Linear(width, width) for _ in range(depth)]) for _ in range(2))
        self.scale = nn.Parameter(torch.full((depth, width), {"rezero": 0.0, "layerscale": 1e-6}.get(kind, 1.0)))
        for a, b in zip(self.one, self.two, strict=True):
            nn.init.kaiming_normal_(a.weight)
            if kind == "fixup":
                nn.init.zeros_(b.weight)
                nn.init.zeros_(b.bias)
        if kind == "fixup":
            nn.init.zeros_(self.out.weight)

    def forward(self, x):
        x = self.first(x)
        for a, b, scale in zip(self.one, self.two, self.scale, strict=True):
            x = x + scale * b(F.relu(a(x)))
        return self.out(x)


class Gated(nn.Module):
    """Blocks with a gate from a condition that begins at zero (adaLN-Zero), and a head that does, too."""

    def __init__(self, depth=5):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(64, 64) for _ in range(depth)])
        self.gates = nn.ModuleList([nn.Linear(64, 128) for _ in range(depth)])
        self.norm, self.out = nn.LayerNorm(64, elementwise_affine=False), nn.Linear(64, 10)
        for layer in [*self.gates, self.out]:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        condition = F.silu(x)
        for layer, gate in zip(self.layers, self.gates, strict=True):
            scale, g = gate(condition).chunk(2, dim=1)
            x = x + g * layer(self.norm(x) * (1 + scale))
        return self.out(self.norm(x))


class Causal(nn.Module):
    """A decoder with a mask of -inf and a head that is the embedding."""

    def __init__(self):
        super().__init__()
        self.tokens, self.out = nn.Embedding(40, 32, padding_idx=0), nn.Linear(32, 40, bias=False)
        self.layers = nn.ModuleList(
            [nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True) for _ in range(3)]
        )
        nn.init.normal_(self.tokens.weight, std=0.02)
        self.out.weight = self.tokens.weight

    def forward(self, i):
        x, mask = self.tokens(i), nn.Transformer.generate_square_subsequent_mask(i.shape[1])
        for layer in self.layers:
            x = layer(x, src_mask=mask, is_causal=True)
        return self.out(x).transpose(1, 2)


def narrow():
    return nn.Sequential(
        *[m for a, b in ((784, 64), (64, 12), (12, 3), (3, 12), (12, 784)) for m in (nn.Linear(a, b), nn.ReLU())][:-1]
    )


def normed(kind):
    with pytest.warns(FutureWarning) if kind is nn.utils.weight_norm else contextlib.nullcontext():
        return nn.Sequential(kind(nn.Linear(64, 64)), nn.ReLU(), kind(nn.Linear(64, 10)))


def healthy():
    x, y = batch()
    images, tokens = torch.rand(32, 784), torch.randint(0, 40, (8, 12))
    frozen = image_net()
    for p in frozen[:6].parameters():
        p.requires_grad_(False)
    ce = F.cross_entropy
    return {
        **{f"residual, {kind}": (Branches(kind), (x, y), ce) for kind in ("fixup", "rezero", "layerscale")},
        "gates of zero": (Gated(), (x, y), ce),
        "a mask of -inf": (Causal(), (tokens, tokens), ce),
        "narrow": (narrow(), (images, images), F.mse_loss),
        "weight norm": (normed(nn.utils.weight_norm), (x, y), ce),
        "spectral norm": (normed(nn.utils.spectral_norm), (x, y), ce),
        "frozen, evaluating": (frozen.eval(), (torch.rand(32, 1, 12, 12), y[:32]), ce),
        "rnn": (Recurrent(nn.RNN), (torch.randn(16, 50, 8), y[:16]), ce),
        "wide": (mlp(width=64, initialise=he, depth=2), (x, y), ce),
        "he": (mlp(depth=20), (x, y), ce),
        "default, shallow": (mlp(initialise=as_made), (x, y), ce),
        "glorot tanh": (mlp(nn.Tanh, lambda layer: nn.init.xavier_normal_(layer.weight), 6), (x, y), ce),
        "selu": (mlp(nn.SELU, normal(1 / 64), 20), (x, y), ce),
        "residual": (Residual(), (x, y), ce),
        "lstm": (Recurrent(nn.LSTM), (torch.randn(16, 20, 8), y[:16]), ce),
        "gru": (Recurrent(nn.GRU), (torch.randn(16, 20, 8), y[:16]), ce),
        "images": (image_net(), (torch.rand(32, 1, 12, 12), y[:32]), ce),
        "transformer": (transformer(), (torch.randn(16, 10, 32), y[:16]), ce),
        "regression": (mlp(out=1), (x, torch.randn(64, 1)), F.mse_loss),
        "autoencoder": (Autoencoder(), (torch.rand(32, 64),), None),
        "alexnet": (
            pytest.importorskip("retrograd.torchvision").models.alexnet(num_classes=10),
            (torch.randn(8, 3, 64, 64), y[:8]),
            ce,
        ),
    }


@pytest.mark.parametrize("name", list(healthy()))
def test_healthy_models_have_no_finding(name):
    model, data, loss = healthy()[name]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    found = glass.doctor(model, data, loss, optimizer=optimizer)
    assert found.kinds == [], str(found)


def test_the_first_bad_element_is_named_with_its_module_and_line():
    x, y = batch()
    found = glass.doctor(Log(), (x, y), F.cross_entropy)[0]
    assert "log gives nan in the forward pass" in found.title
    assert "torch.log(self.layer(x))" in found.place and pathlib.Path(__file__).name in found.place
    back = glass.doctor(RootOfZero(), (x, y), F.cross_entropy)[0]
    assert "on its way back through sqrt" in back.title and "torch.sqrt(torch.relu" in back.place


def slope(values):
    return float(np.polyfit(np.arange(len(values)), np.asarray(values), 1)[0])


class Block(nn.Module):
    def __init__(self, width, activation, initialise, residual):
        super().__init__()
        self.layer, self.activation, self.residual = nn.Linear(width, width, dtype=torch.float64), activation, residual
        initialise(self.layer)

    def forward(self, x):
        y = self.layer(self.activation(x))
        return x + y if self.residual else y


def orthogonal(gain):
    def draw(layer):
        nn.init.orthogonal_(layer.weight, gain=gain)
        nn.init.zeros_(layer.bias)

    return draw


COURSES = {
    **{f"figure 7.7, {v}": (torch.relu, normal(v), False) for v in (0.001, 0.01, 0.02, 0.1, 1.0)},
    "tanh, ordered": (torch.tanh, normal(0.01), False),
    "tanh, chaotic": (torch.tanh, normal(0.03), False),
    "gelu": (F.gelu, normal(0.01), False),
    "gelu, he": (F.gelu, normal(0.02), False),
    "gelu, large": (F.gelu, normal(0.05), False),
    "selu": (F.selu, normal(0.01), False),
    "silu": (F.silu, normal(0.02), False),
    "sigmoid": (torch.sigmoid, normal(0.01), False),
    "residual": (torch.relu, normal(0.02), True),
    "orthogonal relu": (torch.relu, orthogonal(math.sqrt(2)), False),
    "orthogonal tanh": (torch.tanh, orthogonal(1.0), False),
}


@pytest.mark.parametrize("name", list(COURSES))
def test_predicted_slopes_are_within_a_tenth_of_a_decade(name):
    activation, initialise, residual = COURSES[name]
    first, last = nn.Linear(100, 100, dtype=torch.float64), nn.Linear(100, 1, dtype=torch.float64)
    initialise(first)
    if "orthogonal" not in name:
        initialise(last)
    blocks = [Block(100, activation, initialise, residual) for _ in range(50)]
    found = look(
        nn.Sequential(first, *blocks, last),
        (torch.randn(100, 100, dtype=torch.float64), torch.zeros(100, 1, dtype=torch.float64)),
        F.mse_loss,
    )
    predict(found)
    layers = found.layers[:-1]
    for which in ("forward", "backward"):
        measured, predicted = ([getattr(layer, p + which) for layer in layers] for p in ("", "predicted_"))
        assert slope(predicted) == pytest.approx(slope(measured), abs=0.1)


def test_variances_beyond_float64_range_are_measured():
    assert log_variance(np.array([1e200, -1e200, 3e200])) == pytest.approx(400 + math.log10(np.var([1, -1, 3])))
    assert log_variance(np.array([1e-200, -1e-200])) == pytest.approx(-400)
    assert log_variance(np.ones(3)) == -math.inf
    assert math.isnan(log_variance(np.array([1.0, np.inf])))


def test_a_look_changes_nothing():
    model = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.Dropout(0.5), nn.Linear(32, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, y = batch()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    glass.doctor(model, (x, y), F.cross_entropy, optimizer=optimizer)
    glass.summary(model, x)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in model.parameters()) and not optimizer.state
    assert model.training


@pytest.mark.parametrize("kind", ["vanishing", "exploding", "initialisation", "dead-units", "saturation", "first-loss"])
def test_repair_mends_what_initialisation_can(kind):
    model, data, loss, more = sick()[kind][0]
    mended = glass.repair(glass.doctor(model, data, loss, **more))
    assert set(mended.before.kinds) == {kind} and mended.changed
    assert mended.after.kinds == [], str(mended.after)
    assert "found after: nothing" in str(mended)


def test_repair_leaves_what_it_cannot_mend():
    x, y = batch()
    mended = glass.repair(glass.doctor(Unused(), (x, y), F.cross_entropy))
    assert mended.changed == [] and mended.after.kinds == ["no-gradient"]
    with pytest.raises(TypeError, match="wants the Diagnosis"):
        glass.repair([])


def test_the_repaired_variance_is_that_of_the_textbooks():
    model, data, loss, more = sick()["vanishing"][0]
    changed = {path: new for path, _, new in glass.repair(glass.doctor(model, data, loss, **more)).changed}
    assert changed["2"] == pytest.approx(math.sqrt(2 / 64), rel=1e-3)  # He: behind a ReLU
    assert changed["0"] == pytest.approx(math.sqrt(1 / 64), rel=0.05)  # the input has a variance of one


def test_a_diagnosis_is_shown():
    model, data, loss, more = sick()["initialisation"][0]
    found = glass.doctor(model, data, loss, **more)
    assert "PyTorch's default" in found[0].title
    assert "predicted" in found.table() and "<b" in found._repr_html_()
    page = found.to_page()
    assert len(page["record"]["profiles"][0]["values"][0]) == 21
    assert gather(findings=found)["findings"][0]["kind"] == "initialisation"


def test_summary_counts():
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5))
    table = glass.summary(net, torch.randn(2, 3, 6, 6))
    conv, relu, flat, linear = table.rows[1:]
    assert (conv.shape, linear.shape) == ((2, 8, 6, 6), (2, 5))
    assert (conv.parameters, linear.parameters) == (3 * 8 * 9 + 8, 8 * 36 * 5 + 5)
    products = 2 * (2 * 8 * 36) * 27
    assert conv.forward == products + 2 * 8 * 36  # and the bias
    assert conv.backward == products + 2 * (2 * 8 * 36)  # the image wants no gradient; the sum has two ways back
    assert linear.forward == 2 * 10 * 288 + 10 and linear.backward == 2 * (2 * 10 * 288 + 10)
    assert (conv.fan_in, conv.fan_out, linear.fan_in) == (27, 72, 288)
    assert linear.wanted == pytest.approx(math.sqrt(2 / 288), rel=0.2)
    assert "PyTorch's default" in linear.initialised
    assert relu.kept == 2 * 8 * 36 * 4 and flat.kept == 0
    assert table.forward == sum(r.forward for r in table.rows[1:])
    assert "Conv2d" in str(table) and "<table>" in table._repr_html_()
    json.dumps(table.to_page())


def test_running_statistics_are_not_a_module_s_result():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    assert [r.shape for r in glass.summary(net, torch.randn(2, 3, 6, 6)).rows] == [(2, 8, 4, 4)] * 4
    for p in net.parameters():
        p.requires_grad_(False)
    assert glass.summary(net, torch.randn(2, 3, 6, 6)).rows[0].shape == (2, 8, 4, 4)


def test_summary_wants_a_batch():
    with pytest.raises(TypeError, match="wants a batch"):
        glass.summary(nn.Linear(2, 2))
