"""Derivations on paper: every equation computed as written gives the gradient of the backward pass."""

from __future__ import annotations

import numpy as np
import pytest

import retrograd as torch
from retrograd import glass, nn

F = nn.functional


@pytest.fixture(autouse=True)
def exact():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        return x + self.two(F.relu(self.one(x)))


class Attention(nn.Module):
    def __init__(self, causal=False, mask=None):
        super().__init__()
        self.ln, self.e = nn.LayerNorm(8), nn.Embedding(5, 8)
        self.q, self.k, self.v = (nn.Linear(8, 8) for _ in range(3))
        self.causal, self.mask = causal, mask

    def forward(self, i):
        h = self.ln(self.e(i))
        return F.scaled_dot_product_attention(
            self.q(h), self.k(h), self.v(h), attn_mask=self.mask, is_causal=self.causal
        )


class Unrolled(nn.Module):
    """A cell along a sequence, and all of its last state."""

    def __init__(self, kind):
        super().__init__()
        self.cell = kind(3, 2)

    def forward(self, x):
        state = None
        for part in x:
            state = self.cell(part, state)
        return torch.cat(state, -1) if isinstance(state, tuple) else state


def tokens():
    return torch.tensor([[0, 1, 2], [3, 4, 0]])


def images(channels=2, size=7):
    return torch.randn(2, channels, size, size)


NETWORKS = {
    "mlp": (lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), lambda: torch.randn(6, 3)),
    "no bias": (lambda: nn.Sequential(nn.Linear(3, 4, bias=False), nn.Sigmoid()), lambda: torch.randn(6, 3)),
    "three dimensions": (lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh()), lambda: torch.randn(2, 5, 3)),
    "one example": (lambda: nn.Sequential(nn.Linear(3, 4), nn.Softplus()), lambda: torch.randn(3)),
    "gelu": (lambda: nn.Sequential(nn.Linear(3, 4), nn.GELU()), lambda: torch.randn(6, 3)),
    "gelu by tanh": (lambda: nn.Sequential(nn.Linear(3, 4), nn.GELU(approximate="tanh")), lambda: torch.randn(6, 3)),
    "silu": (lambda: nn.Sequential(nn.Linear(3, 4), nn.SiLU()), lambda: torch.randn(6, 3)),
    "elu": (lambda: nn.Sequential(nn.Linear(3, 4), nn.ELU(0.7)), lambda: torch.randn(6, 3)),
    "selu": (lambda: nn.Sequential(nn.Linear(3, 4), nn.SELU()), lambda: torch.randn(6, 3)),
    "celu": (lambda: nn.Sequential(nn.Linear(3, 4), nn.CELU(0.7)), lambda: torch.randn(6, 3)),
    "leaky relu": (lambda: nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(0.1)), lambda: torch.randn(6, 3)),
    "prelu": (lambda: nn.Sequential(nn.Linear(3, 4), nn.PReLU()), lambda: torch.randn(6, 3)),
    "softmax": (lambda: nn.Sequential(nn.Linear(3, 4), nn.Softmax(-1)), lambda: torch.randn(6, 3)),
    "log softmax": (lambda: nn.Sequential(nn.Linear(3, 4), nn.LogSoftmax(-1)), lambda: torch.randn(6, 3)),
    "layer norm": (lambda: nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)), lambda: torch.randn(6, 3)),
    "layer norm, plain": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4, elementwise_affine=False)),
        lambda: torch.randn(6, 3),
    ),
    "batch norm": (lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), lambda: torch.randn(6, 3)),
    "batch norm, evaluated": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).eval(),
        lambda: torch.randn(6, 3),
    ),
    "group norm": (lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4)), images),
    "rms norm": (lambda: nn.Sequential(nn.Linear(3, 4), nn.RMSNorm(4)), lambda: torch.randn(6, 3)),
    "instance norm": (lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.InstanceNorm2d(4, affine=True)), images),
    "convolution": (lambda: nn.Conv2d(2, 3, 3), images),
    "convolution, strided": (lambda: nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2)), images),
    "convolution in groups": (lambda: nn.Conv2d(4, 6, 3, groups=2, bias=False), lambda: images(4)),
    "convolution of lines": (lambda: nn.Conv1d(2, 3, 3, padding=1), lambda: torch.randn(2, 2, 9)),
    "convolution of volumes": (lambda: nn.Conv3d(1, 2, 2), lambda: torch.randn(1, 1, 4, 3, 3)),
    "convolution, reflected": (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), images),
    "transposed convolution": (lambda: nn.ConvTranspose2d(2, 3, 3, stride=2), images),
    "transposed convolution, padded": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3),
            nn.ConvTranspose2d(
                4, 6, (3, 2), stride=(2, 3), padding=1, output_padding=(1, 0), groups=2, dilation=(1, 2)
            ),
        ),
        images,
    ),
    "transposed convolution of lines": (
        lambda: nn.Sequential(nn.Conv1d(2, 3, 3), nn.ConvTranspose1d(3, 2, 4, stride=4, bias=False)),
        lambda: torch.randn(2, 2, 9),
    ),
    "transposed convolution of one image": (
        lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.ConvTranspose2d(3, 2, 3)),
        lambda: torch.randn(2, 6, 6),
    ),
    "pooling that overlaps": (
        lambda: nn.Sequential(nn.Conv2d(2, 3, 2), nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(3, 1, 1)),
        lambda: images(2, 9),
    ),
    "pooling, dilated": (lambda: nn.Sequential(nn.Conv2d(2, 3, 2), nn.MaxPool2d(2, 1, 1, dilation=2)), images),
    "pooling, rounded up": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 3, 2), nn.MaxPool2d(3, 2, ceil_mode=True), nn.AvgPool2d(2, 2, 1, ceil_mode=True)
        ),
        lambda: images(2, 11),
    ),
    "pooling without the border": (
        lambda: nn.Sequential(nn.Conv2d(2, 3, 2), nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
        images,
    ),
    "pooling, divided": (lambda: nn.Sequential(nn.Conv2d(2, 3, 2), nn.AvgPool2d(2, divisor_override=3)), images),
    "pooling, adaptive": (
        lambda: nn.Sequential(nn.Conv2d(2, 3, 2), nn.AdaptiveMaxPool2d((5, 4)), nn.AdaptiveAvgPool2d((3, 2))),
        images,
    ),
    "pooling of lines": (
        lambda: nn.Sequential(nn.Conv1d(2, 3, 2), nn.MaxPool1d(2), nn.AvgPool1d(2)),
        lambda: torch.randn(2, 2, 9),
    ),
    "pooling of volumes": (
        lambda: nn.Sequential(nn.Conv3d(1, 2, 2), nn.MaxPool3d(2), nn.AvgPool3d((1, 1, 2))),
        lambda: torch.randn(1, 1, 5, 5, 7),
    ),
    "lenet": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 4, 3),
            nn.Tanh(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(16, 3),
        ),
        lambda: images(1, 14),
    ),
    "residual": (Residual, lambda: torch.randn(6, 4)),
    "attention": (Attention, tokens),
    "causal attention": (lambda: Attention(causal=True), tokens),
    "masked attention": (lambda: Attention(mask=torch.tensor([[True, False, True]] * 3)), tokens),
    "encoder layer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0), lambda: torch.randn(3, 2, 8)),
    "lstm": (lambda: nn.LSTM(3, 2), lambda: torch.randn(4, 2, 3)),
    "lstm, projected": (lambda: nn.LSTM(3, 4, proj_size=2), lambda: torch.randn(3, 2, 3)),
    "gru": (lambda: nn.GRU(3, 2, num_layers=2), lambda: torch.randn(4, 2, 3)),
    "elman": (lambda: nn.RNN(3, 2, bidirectional=True), lambda: torch.randn(4, 2, 3)),
    "cell": (lambda: Unrolled(nn.RNNCell), lambda: torch.randn(3, 2, 3)),
    "cell, rectified": (
        lambda: Unrolled(lambda n, m: nn.RNNCell(n, m, nonlinearity="relu")),
        lambda: torch.randn(3, 2, 3),
    ),
    "cell, no bias": (lambda: Unrolled(lambda n, m: nn.GRUCell(n, m, bias=False)), lambda: torch.randn(3, 2, 3)),
    "gru cell": (lambda: Unrolled(nn.GRUCell), lambda: torch.randn(3, 2, 3)),
    "lstm cell": (lambda: Unrolled(nn.LSTMCell), lambda: torch.randn(3, 2, 3)),
    "lstm cell, one example": (lambda: Unrolled(nn.LSTMCell), lambda: torch.randn(3, 3)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients(name):
    make, batch = NETWORKS[name]
    paper = glass.derive(make(), batch())
    wrong = {k: v for k, v in paper.check().items() if not v < 1e-8}
    assert not wrong
    assert paper.check()
    assert str(paper)
    assert paper.to_latex(document=True).count(r"\begin{align*}") == paper.to_latex().count(r"\end{align*}")


LOSSES = {
    "cross entropy": (nn.CrossEntropyLoss(), lambda: torch.tensor([0, 1, 2, 0, 1, 2])),
    "cross entropy, summed": (nn.CrossEntropyLoss(reduction="sum"), lambda: torch.tensor([0, 1, 2, 0, 1, 2])),
    "cross entropy, smoothed": (nn.CrossEntropyLoss(label_smoothing=0.1), lambda: torch.tensor([0, 1, 2, 0, 1, 2])),
    "squares": (nn.MSELoss(), lambda: torch.randn(6, 3)),
    "distances": (nn.L1Loss(), lambda: torch.randn(6, 3)),
    "logits": (nn.BCEWithLogitsLoss(), lambda: torch.rand(6, 3)),
    "a function": (lambda y, t: ((y - t) ** 2).sum(), lambda: torch.randn(6, 3)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name):
    loss, target = LOSSES[name]
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3))
    paper = glass.derive(net, torch.randn(6, 3), loss=loss, target_values=target())
    assert max(paper.check().values()) < 1e-8


CORNERS = {
    "a window of equals": lambda x: F.max_pool1d(x + 1e4, 2),
    "a slope at zero": lambda x: torch.relu((x + 1e4) - 1e4),
    "behind a layer": lambda x: F.max_pool1d(
        F.linear(x, torch.eye(2, dtype=x.dtype), torch.full((2,), 1e4, dtype=x.dtype)), 2
    ),
}


@pytest.mark.parametrize("name", CORNERS)
def test_at_a_corner_the_gradient_goes_where_it_went(name):
    x = torch.tensor(
        [[[1e-5, 2e-5]]], dtype=torch.float32, requires_grad=True
    )  # 1e4 more, and float32 has no difference between them
    assert max(glass.derive(CORNERS[name], x).check().values()) < 1e-6


def test_long_equations_go_on_below():
    weights = [torch.randn(4) for _ in range(20)]
    paper = glass.derive(lambda x: torch.cat([torch.tanh(x * w) for w in weights]), torch.randn(4, requires_grad=True))
    longest = max((str(e) for e in paper.equations), key=len)
    text, latex = str(paper).splitlines(), paper.to_latex().splitlines()
    assert len(longest) > 200
    assert all(len(line) < 160 for line in text)
    assert all(len(line) < 450 for line in latex)
    assert any(line.startswith("  &\\quad + ") for line in latex)
    assert longest.replace(" ", "") in "".join(text).replace(" ", "")


def test_the_perceptron_reads_as_in_the_textbook():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    target = torch.tensor([0, 1, 1, 0])
    paper = glass.derive(net, torch.randn(4, 3), loss=nn.CrossEntropyLoss(), target_values=target)
    assert paper.lines("forward") == [
        "z_1 = W_1 h_0 + b_1",
        "h_1 = relu(z_1)",
        "z_2 = W_2 h_1 + b_2",
        "h_2 = relu(z_2)",
        "z_3 = W_3 h_2 + b_3",
        "p = softmax(z_3)",
        "L = mean_n(-sum_i y * log(p))",
    ]
    assert paper.lines("backward") == [
        "delta_3 = (p - y) / N",
        "delta_2 = (W_3^T delta_3) * relu'(z_2)",
        "delta_1 = (W_2^T delta_2) * relu'(z_1)",
    ]
    assert paper.lines("gradient")[:2] == ["dL/dW_3 = delta_3 h_2^T", "dL/db_3 = sum_n delta_3"]
    assert paper.legend["W_1"] == "0.weight"
    assert (
        r"\delta_{1} &= \left({W_{2}}^{\top} \, \delta_{2}\right) \odot \mathrm{relu}'\left(z_{1}\right)"
        in paper.to_latex()
    )


def test_every_delta_has_its_numbers():
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    x = torch.randn(5, 3)
    hidden = net[0](x)
    out = net[2](torch.tanh(hidden))
    g = torch.randn(5, 2)
    wanted = torch.autograd.grad(out, hidden, g)[0]
    paper = glass.derive(net, x, gradient=g)
    delta = next(e for e in paper.equations if e.left == "delta_1")
    np.testing.assert_allclose(delta.value, wanted.numpy(), atol=1e-12)


READ = {
    "elman": (
        lambda: nn.RNNCell(3, 2),
        lambda: torch.randn(4, 3),
        ["s_1 = tanh(z_1 + U_1 s_0)", "delta_s_1 = dL/ds_1 * (1 - s_1**2)", "dL/dU_1 = delta_s_1 s_0^T"],
    ),
    "lstm": (
        lambda: nn.LSTMCell(3, 2),
        lambda: torch.randn(4, 3),
        [
            "cell_1 = f_1 * h_1 + i_1 * g_1",
            "s_1 = o_1 * tanh(cell_1)",
            "dL/dcell_1 = (dL/ds_1 * o_1) * (1 - tanh(cell_1)**2)",
        ],
    ),
    "gru": (
        lambda: nn.GRUCell(3, 2),
        lambda: torch.randn(4, 3),
        ["n_1 = tanh(z_1[n] + r_1 * m_1[n])", "delta_m_1 = [d_r_1; d_z_1; r_1 * d_n_1]", "dL/dU_1 = delta_m_1 s_0^T"],
    ),
    "max pooling": (
        lambda: nn.Sequential(nn.Conv2d(1, 1, 2), nn.MaxPool2d(2)),
        lambda: images(1, 5),
        ["u_2 = windows(z_1)", "h_1 = max_i u_2", "E = onehot(argmax_i u_2)", "delta_1 = windows^T(E * dL/dh_1)"],
    ),
    "mean pooling": (
        lambda: nn.Sequential(nn.Conv2d(1, 1, 2), nn.AvgPool2d(2)),
        lambda: images(1, 5),
        ["h_1 = (sum_i u_2) / K", "delta_1 = windows^T(dL/dh_1 / K)"],
    ),
    "transposed convolution": (
        lambda: nn.Sequential(nn.Conv2d(1, 2, 2), nn.ConvTranspose2d(2, 1, 3)),
        lambda: images(1, 5),
        [
            "u_2 = W_2^T z_1",
            "z_2 = patches^T(u_2) + b_2",
            "v_1 = patches(delta_2)",
            "dL/dW_2 = z_1 v_1^T",
            "delta_1 = W_2 v_1",
        ],
    ),
}


@pytest.mark.parametrize("name", READ)
def test_layers_read_as_on_paper(name):
    make, batch, wanted = READ[name]
    paper = glass.derive(make(), batch())
    written = [str(e) for e in paper.equations]
    assert [e for e in wanted if e not in written] == [], written


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["Tanh", "Sigmoid", "Softplus", "ReLU", "ELU", "Hardswish"])
def test_a_slope_is_written_in_symbols_in_every_precision(kind, dtype):
    net = nn.Sequential(nn.Linear(2, 3), getattr(nn, kind)()).to(dtype)
    paper = glass.derive(net, torch.randn(4, 2, dtype=dtype))
    assert not [e for e in paper.lines("definition") if "function" in e or "lambda" in e]
    assert max(paper.check().values()) < 1e-5


def test_attention_reads_as_on_paper():
    paper = glass.derive(nn.MultiheadAttention(8, 2, batch_first=True), *[torch.randn(2, 3, 8)] * 3)
    assert "dL/dS_1 = A_1 * (dL/dA_1 - sum_j dL/dA_1 * A_1)" in paper.lines("backward")
    assert "S_1 = (Q_1 K_1^T) / sqrt(d)" in paper.lines("forward")
    assert max(paper.check().values()) < 1e-8


def test_attention_with_a_mask_that_the_paper_does_not_know_is_derived_operation_by_operation():
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    mask = torch.triu(torch.ones(3, 3, dtype=torch.bool), 1)
    x = torch.randn(2, 3, 8)
    paper = glass.derive(lambda x: attention(x, x, x, attn_mask=mask)[0], x, names={"mask": mask})
    assert not [e for e in paper.lines("forward") if e.startswith("Q_1 =")]
    assert max(paper.check().values()) < 1e-8


def test_a_function_is_derived_from_the_rules_of_its_operations():
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    paper = glass.derive(lambda w: (w * w).sum() / w.amax(), w)
    assert paper.check() == {"w": 0.0}


def test_inputs_are_made_up_where_the_first_layer_tells():
    for net in (nn.Linear(3, 2), nn.Sequential(nn.Conv2d(1, 2, 5), nn.ReLU()), nn.Embedding(4, 3), nn.BatchNorm1d(3)):
        kept = {k: v.clone() for k, v in net.state_dict().items()}
        paper = glass.derive(net)
        assert max(paper.check().values()) < 1e-8
        assert isinstance(net, nn.BatchNorm1d) or all((net.state_dict()[k] == v).all() for k, v in kept.items())
    with pytest.raises(TypeError, match="give ReLU its inputs"):
        glass.derive(nn.ReLU())


def test_the_network_is_left_as_it_was():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    x = torch.randn(2, 3)
    before = net(x)
    glass.derive(net, x)
    assert all(p.grad is None for p in net.parameters())
    assert torch.equal(net(x), before)


def test_data_form():
    paper = glass.derive(nn.Linear(2, 1), torch.randn(3, 2))
    data = paper.to_dict()
    assert data["equations"][0]["left"] == "z_1"
    assert data["check"].keys() == {"weight", "bias"}
    assert "<pre>" in paper._repr_html_()
