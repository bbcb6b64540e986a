"""Results lie in memory as torch's do: strides say so, and draws in the order of memory, such as dropout's, depend on it."""

import warnings

import pytest

import retrograd

torch = pytest.importorskip("torch")
BOTH = (torch, retrograd)

ORDERS = {
    "plain": lambda T: T.arange(2 * 4 * 6 * 6.0).reshape(2, 4, 6, 6),
    "channels last": lambda T: T.arange(2 * 4 * 6 * 6.0).reshape(2, 6, 6, 4).permute(0, 3, 1, 2),
    "last two": lambda T: T.arange(2 * 4 * 6 * 6.0).reshape(2, 4, 6, 6).transpose(2, 3),
    "first two": lambda T: T.arange(2 * 4 * 6 * 6.0).reshape(4, 2, 6, 6).transpose(0, 1),
    "some channels": lambda T: T.arange(2 * 8 * 6 * 6.0).reshape(2, 6, 6, 8).permute(0, 3, 1, 2)[:, :4],
    "every other": lambda T: T.arange(2 * 4 * 12 * 6.0).reshape(2, 4, 12, 6)[:, :, ::2],
    "expanded": lambda T: T.arange(2 * 6 * 6.0).reshape(2, 1, 6, 6).expand(2, 4, 6, 6),
}
SEQUENCES = {
    "plain": lambda T: T.arange(48.0).reshape(2, 6, 4),
    "last two": lambda T: T.arange(48.0).reshape(2, 4, 6).transpose(1, 2),
    "first two": lambda T: T.arange(48.0).reshape(6, 2, 4).transpose(0, 1),
    "reversed": lambda T: T.arange(48.0).reshape(4, 6, 2).permute(2, 1, 0),
    "expanded": lambda T: T.arange(24.0).reshape(1, 6, 4).expand(2, 6, 4),
}


def row(T):
    return T.arange(4.0)[:, None, None]


ON_BOTH = {
    "gelu": lambda T, x: T.nn.functional.gelu(x),
    "silu": lambda T, x: T.nn.functional.silu(x),
    "sigmoid": lambda T, x: x.sigmoid(),
    "erf": lambda T, x: x.erf(),
    "lgamma": lambda T, x: x.lgamma(),
    "times two": lambda T, x: x * 2,
    "times its copy": lambda T, x: x * x.contiguous(),
    "its copy times it": lambda T, x: x.contiguous() * x,
    "plus its first": lambda T, x: x + x[:1],
    "its first plus it": lambda T, x: x[:1] + x,
    "plus a row of doubles": lambda T, x: x + T.ones(1, *x.shape[1:], dtype=T.float64),
    "greater": lambda T, x: x.contiguous() > x,
    "maximum": lambda T, x: T.maximum(x, x.contiguous()),
    "where": lambda T, x: T.where(x.contiguous() > 0, x, x.contiguous()),
    "where, by it": lambda T, x: T.where(x > 0, x.contiguous(), 0.0),
    "addcmul": lambda T, x: T.addcmul(x, x.contiguous(), x),
    "mse_loss": lambda T, x: T.nn.functional.mse_loss(x, x.contiguous(), reduction="none"),
    "masked_fill": lambda T, x: x.masked_fill(x > 1, 0.0),
    "index_add": lambda T, x: x.index_add(1, T.tensor([0]), x[:, :1]),
    "softmax": lambda T, x: x.softmax(1),
    "layer_norm": lambda T, x: T.nn.functional.layer_norm(x, x.shape[-1:]),
    "cumsum": lambda T, x: x.cumsum(1),
    "flip": lambda T, x: x.flip(1),
    "zeros_like": lambda T, x: T.zeros_like(x),
    "rand_like": lambda T, x: T.rand_like(x),
    "randint_like": lambda T, x: T.randint_like(x, 9),
    "dropout": lambda T, x: T.nn.functional.dropout(x),
    "linear": lambda T, x: T.nn.functional.linear(x, T.ones(3, x.shape[-1])),
    "cat": lambda T, x: T.cat([x, x], 1),
    "mixed cat": lambda T, x: T.cat([x, x.contiguous()], 1),
}
OF_IMAGES = {
    "conv": lambda T, x: T.nn.functional.conv2d(x, T.ones(8, 4, 3, 3), padding=1),
    "conv, strided": lambda T, x: T.nn.functional.conv2d(x, T.ones(8, 4, 3, 3), T.ones(8), stride=2),
    "depthwise": lambda T, x: T.nn.functional.conv2d(x, T.ones(4, 1, 3, 3), groups=4),
    "conv_transpose": lambda T, x: T.nn.functional.conv_transpose2d(x, T.ones(4, 5, 2, 2), stride=2),
    "batch_norm": lambda T, x: T.nn.functional.batch_norm(x, None, None, training=True),
    "frozen batch_norm": lambda T, x: T.nn.functional.batch_norm(x, T.zeros(4), T.ones(4), T.ones(4), T.ones(4)),
    "max_pool": lambda T, x: T.nn.functional.max_pool2d(x, 2),
    "avg_pool": lambda T, x: T.nn.functional.avg_pool2d(x, 2),
    "adaptive_avg_pool": lambda T, x: T.nn.functional.adaptive_avg_pool2d(x, 2),
    "by channel": lambda T, x: x * row(T),
    "a row by channel": lambda T, x: row(T) * x,
    "squeezed and excited": lambda T, x: x * x.mean((2, 3), keepdim=True),
}
CASES = [(f, o, ON_BOTH[f], ORDERS[o]) for f in ON_BOTH for o in ORDERS]
CASES += [(f, o, ON_BOTH[f], SEQUENCES[o]) for f in ON_BOTH for o in SEQUENCES]
CASES += [(f, o, OF_IMAGES[f], ORDERS[o]) for f in OF_IMAGES for o in ORDERS]


def steps(t):
    """Strides of the dimensions that have any."""
    return [s for n, s in zip(t.shape, t.stride(), strict=True) if n > 1]


@pytest.mark.parametrize(("name", "order", "make", "given"), CASES, ids=lambda x: x if isinstance(x, str) else "")
def test_a_result_has_torchs_strides(name, order, make, given):
    wanted = make(torch, given(torch))
    for _ in range(4):  # composed functions run otherwise when they are warm
        found = make(retrograd, given(retrograd))
        assert steps(found) == steps(wanted)


def test_large_results_have_torchs_strides_too():
    for name in ("gelu", "times its copy", "plus its first", "where", "dropout"):
        for order in (lambda x: x.transpose(1, 2), lambda x: x.transpose(0, 1)):
            wanted = steps(ON_BOTH[name](torch, order(torch.ones(2, 300, 200))))
            for _ in range(4):
                assert steps(ON_BOTH[name](retrograd, order(retrograd.ones(2, 300, 200)))) == wanted


def patches(T):
    """Embed patches as a transformer of images does: the tokens are a transposed view, and a table of places is added."""
    conv, places, out = T.nn.Conv2d(3, 8, 2, 2), T.nn.Parameter(T.randn(1, 16, 8)), T.nn.Linear(8, 2)
    model = T.nn.ModuleList([conv, out])
    model.places = places

    def run(x):
        tokens = conv(x).flatten(2).transpose(1, 2) + places
        return out(T.nn.functional.dropout(tokens, 0.3))

    return model, run, T.randn(2, 3, 8, 8)


def mixed(T):
    """Convolve tokens as images in the middle of a feedforward block."""
    model = T.nn.ModuleList([T.nn.Linear(8, 16), T.nn.Conv2d(16, 16, 3, 1, 1, groups=16), T.nn.BatchNorm2d(16)])

    def run(x):
        b, n, _ = x.shape
        y = model[0](x).transpose(1, 2).view(b, 16, 4, n // 4)
        y = model[2](model[1](y)).flatten(2).transpose(1, 2)
        return T.nn.functional.dropout(T.nn.functional.gelu(y), 0.3)

    return model, run, T.randn(2, 16, 8)


def sequence_of_layers(T):
    """Run a Sequential on images whose channels lie last."""
    model = T.nn.Sequential(
        T.nn.Conv2d(8, 16, 3, 1, 1),
        T.nn.BatchNorm2d(16),
        T.nn.ReLU(),
        T.nn.Conv2d(16, 8, 1),
        T.nn.GELU(),
        T.nn.Dropout(0.2),
    )
    return model, lambda x: model(x.permute(0, 2, 1).reshape(2, 8, 4, 4)), T.randn(2, 16, 8)


def heads(T):
    """Drop weights, values and sums of heads that are views of one product."""
    model, drop = T.nn.Linear(8, 24), T.nn.Dropout(0.3)

    def run(x):
        q, k, v = model(x).view(2, 16, 3, 2, 4).permute(2, 0, 3, 1, 4)
        y = drop((q @ k.transpose(-2, -1)).softmax(-1)) @ v
        return drop(y.transpose(1, 2) + v.transpose(1, 2)).reshape(2, 16, 8) + drop(v * q).mean() + T.rand_like(v).sum()

    return model, run, T.randn(2, 16, 8)


def sampled(T):
    """Draw softmax samples of a transposed tensor, which torch draws row by row."""
    model = T.nn.Linear(8, 4)
    return model, lambda x: T.nn.functional.gumbel_softmax(model(x).transpose(1, 2), dim=1), T.randn(2, 16, 8)


def losses(T, make, compiled):
    T.manual_seed(3)
    model, run, x = make(T)
    optimizer = T.optim.SGD(model.parameters(), lr=0.05)

    def step(x):
        optimizer.zero_grad()
        loss = run(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    if compiled:
        step = T.compile(step)
    return [step(x).item() for _ in range(6)]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("make", [patches, mixed, sequence_of_layers, heads, sampled], ids=lambda f: f.__name__)
def test_the_same_elements_are_dropped(make, compiled):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert losses(retrograd, make, compiled) == pytest.approx(losses(torch, make, False), rel=1e-4)
