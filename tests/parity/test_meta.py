"""The meta device: shapes, dtypes, strides and errors of tensors without values, as PyTorch has them."""

from __future__ import annotations

import copy
import gc
import resource
import warnings

import pytest

import retrograd

torch = pytest.importorskip("torch")

EXPRESSIONS = """
x.sum().item() | bool(x.sum()) | float(x.sum()) | x.tolist() | x.numpy() | x.cpu() | x.to("cpu") | t.ones(2, 3).copy_(x) | x.__array__()
x.copy_(t.ones(2, 3)) | x + t.ones(()) | x + 1 | 1 / x | x @ x.T | t.cat([x, x]) | t.stack([x, x]).mean(0) | x.nonzero() | x[x > 0]
t.masked_select(x, x > 0) | t.where(x > 0) | x.data_ptr() | x.untyped_storage().data_ptr() | x.untyped_storage().nbytes()
x.untyped_storage().device.type | repr(x.half()) | str(x) | repr(t.nn.Parameter(x)) | len(x) | list(x)[0] | x[0, 0] | x[0] | x[:, 1:] | x.T
x[t.tensor([0, 1, 1], device="meta")] | x[None] | x.is_contiguous() | x.T.is_contiguous() | x.is_meta | x.is_cpu | x.is_leaf | x.device
m.to("cpu") | m.to("meta").weight | t.nn.Linear(2, 2).to("meta").weight | m.to_empty(device="cpu").weight.device | m.half().weight
t.tensor([1.0, 2.0], device="meta") | t.as_tensor([1, 2], device="meta") | t.arange(3, device="meta") | t.arange(0, 1, 0.25, device="meta")
t.linspace(0, 1, 5, device="meta") | t.eye(3, device="meta") | t.full((2,), 3, device="meta") | t.zeros(2, dtype=t.int8, device="meta")
t.empty_like(x, device="cpu").device | t.zeros_like(t.ones(2), device="meta") | t.rand_like(x) | t.full_like(x, 2.0) | t.randint(3, (2,), device="meta")
t.empty_strided((2, 3), (1, 2), device="meta") | x.new_zeros(3) | x.new_ones((2, 2)) | t.ones(2).new_zeros(2, device="meta") | t.hann_window(4, device="meta")
t.randn(2, device="meta") | t.rand(2, 2, device="meta", dtype=t.float64) | t.randperm(4, device="meta") | copy.deepcopy(m).weight | x.to(t.bfloat16)
t.isfinite(x).all() | x.max(0) | x.max() | x.topk(2) | x.sort(descending=True) | x.argmax(-1) | x.view(3, 3) | x @ x | x.view(3, 2) | x.reshape(-1)
t.zeros(10**12, device="meta").shape | t.dropout(x, 0.5, True) | [v.shape for v in t.linalg.svd(x)] | t.linalg.norm(x) | t.fft.rfft(x) | t.einsum("ij,kj->ik", x, x)
F.scaled_dot_product_attention(x[None], x[None], x[None], is_causal=True) | F.layer_norm(x, (3,)) | F.softmax(x, -1) | F.gelu(x) | F.pad(x, (1, 1))
F.cross_entropy(x, t.zeros(2, dtype=t.long, device="meta")) | F.embedding(t.tensor([1, 2], device="meta"), x) | F.mse_loss(x, x)
t.nn.Conv2d(3, 4, 3, padding=1, stride=2, device="meta")(p).detach() | t.nn.BatchNorm2d(3, device="meta")(p).detach() | F.max_pool2d(p, 2) | F.avg_pool2d(p, 2)
F.adaptive_avg_pool2d(p, 1) | F.interpolate(p, scale_factor=2, mode="bilinear") | t.nn.LSTM(3, 4, device="meta")(x[None])[0].detach()
t.nn.TransformerEncoderLayer(4, 2, 8, device="meta")(t.empty(3, 2, 4, device="meta")).detach() | t.nn.GRU(3, 4, device="meta")(x[None])[1].detach()
x.add_(1) | x[0].zero_() | x.normal_() | x.uniform_(0, 1).mul_(2) | t.nn.init.xavier_uniform_(x) | t.nn.init.trunc_normal_(x) | t.nn.init.orthogonal_(x)
t.where(x > 0, x, 0) | x.cumsum(0) | x.repeat(2, 2) | x.std() | x.clamp(0, 1).unsqueeze(0).flip(0) | t.outer(x[0], x[1]) | x.masked_fill(x > 0, 1.0)
F.one_hot(t.zeros(3, dtype=t.long, device="meta"), 4) | t.tril(x) | x.scatter_(0, t.zeros(2, 3, dtype=t.long, device="meta"), 1.0) | x.roll(1, 0)
x.gather(0, t.zeros(1, 3, dtype=t.long, device="meta")) | x.unfold(1, 2, 1) | x.expand(4, 2, 3) | t.bmm(x[None], x.T[None]) | x.unique() | t.get_default_device()
t.nn.utils.skip_init(t.nn.Linear, 2, 3).weight.shape | t.load if 0 else t.empty(0, device="meta") | x.sum(dtype=t.float64) | (x > 0) & (x < 1) | ~(x > 0) | -x
""".replace("\n", "|").split("|")


def shown(x):
    """Give what can be compared of a result: everything but values."""
    if hasattr(x, "untyped_storage"):
        return str(x.device), tuple(x.shape), str(x.dtype), x.stride(), x.requires_grad
    if isinstance(x, (tuple, list)):
        return [shown(v) for v in x]
    return str(x)


def evaluated(t, text):
    names = {"t": t, "F": t.nn.functional, "copy": copy, "x": t.ones(2, 3, device="meta")}
    names |= {"m": t.nn.Linear(2, 2, device="meta"), "p": t.empty(2, 3, 8, 8, device="meta")}
    try:
        return shown(eval(text, names))
    except Exception as error:
        return type(error).__name__


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("text", [text.strip() for text in EXPRESSIONS if text.strip()])
def test_what_a_shape_answers(text):
    assert evaluated(retrograd, text) == evaluated(torch, text)


def blocks(t):
    """Where tensors are made: in blocks of a device, and by default."""
    seen = []
    with t.device("meta"):
        seen += [t.nn.Linear(3, 3).weight, t.zeros(2), t.tensor([1.0]), t.arange(3), t.rand(2, device="cpu")]
        seen.append(t.get_default_device())
        with t.device("cpu"):
            seen.append(t.ones(2))
        seen.append(t.ones(2))
    seen.append(t.ones(2))
    t.set_default_device("meta")
    try:
        seen += [t.ones(2), t.get_default_device()]
    finally:
        t.set_default_device(None)
    return [*seen, t.ones(2)]


def gradients(t):
    """A backward pass without values, and a step."""
    net = t.nn.Sequential(t.nn.Linear(4, 2), t.nn.ReLU(), t.nn.LayerNorm(2)).to("meta")
    net(t.empty(5, 4, device="meta")).sum().backward()
    x = t.empty(2, 2, device="meta", requires_grad=True)
    (g,) = t.autograd.grad((x * x).sum(), x)
    optimizer = t.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    optimizer.step()
    return [p.grad for p in net.parameters()], g, list(net.parameters())


def loading(t):
    """A model without memory that is given its weights."""
    weights = t.nn.Linear(2, 2).state_dict()
    net = t.nn.Linear(2, 2, device="meta")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net.load_state_dict(weights)
    first = net.weight.device.type, len(caught), "assign=True" in str(caught[0].message)
    net.load_state_dict(weights, assign=True)
    return first, net.weight, net(t.ones(1, 2)), isinstance(net.weight, t.nn.Parameter)


def draws(t):
    """What is not drawn leaves the generator as it was."""
    t.manual_seed(0)
    t.nn.Linear(5, 5, device="meta")
    t.randn(3, device="meta")
    t.empty(3, device="meta").uniform_()
    return round(t.rand(1).item(), 5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("run", [blocks, gradients, loading, draws], ids=lambda run: run.__name__)
def test_program(run):
    assert shown(run(retrograd)) == shown(run(torch))


def test_more_than_an_address_space_holds():
    x = retrograd.rand(2**10, 3, 2**16, 2**16, device="meta")
    y = retrograd.nn.Conv2d(3, 5, 2, device="meta")(x)
    assert (y.shape, y.grad_fn.name()) == ((2**10, 5, 2**16 - 1, 2**16 - 1), "ConvolutionBackward0")
    assert y.stride() == torch.empty(y.shape, device="meta").stride()
    y.sum().backward()
    assert (y[:, 1].T * 2).shape == (2**16 - 1, 2**16 - 1, 2**10)


def test_nothing_is_computed_and_no_memory_is_taken():
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    layer = retrograd.nn.TransformerEncoderLayer(8192, 64, 65536, device="meta", batch_first=True)
    y = layer(retrograd.empty(64, 2048, 8192, device="meta")).relu().sum()  # tens of terabytes of work otherwise
    y.backward()
    assert sum(p.numel() for p in layer.parameters()) > 1e9
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10


def test_the_same_types_on_the_processor_after_composed_functions_are_warm():
    F = retrograd.nn.functional
    x = retrograd.randn(4, 5)
    for _ in range(5):
        y = F.softmax(F.layer_norm(x, (5,)), -1)
    z = F.softmax(F.layer_norm(x.to("meta"), (5,)), -1)
    assert z.is_meta and z.shape == y.shape and not F.softmax(x, -1).is_meta
