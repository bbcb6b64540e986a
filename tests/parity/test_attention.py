"""Attention and Transformers against torch: start, values, gradients, masks, random streams, state, repr, errors."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd  # noqa: E402  (below the check for torch)
from parity.nn_helpers import drawn, same  # noqa: E402

Q, K, V = (2, 4, 5, 6), (2, 4, 7, 6), (2, 4, 7, 3)  # (batch, heads, places, features)


def hidden(T, *shape, seed=1):
    """A bool mask, True with probability 1/3, that hides no row completely."""
    made = np.random.default_rng((seed, *shape)).random(shape) < 1 / 3
    made[..., 0] = False
    return T.tensor(made)


def added(T, *shape, dtype="float64"):
    """A mask that is added, -inf in places."""
    made = drawn(shape, 3)
    made[made > 1] = -np.inf
    made[..., 0] = 0.5
    return T.tensor(made).to(getattr(T, dtype))


def one_dead(T):
    mask = T.ones(5, 7, dtype=T.bool)
    mask[2] = False
    return mask


ATTENTION = {
    "plain": lambda A, T, q, k, v: A(q, k, v),
    "three": lambda A, T, q, k, v: A(q[0], k[0], v[0]),
    "two": lambda A, T, q, k, v: A(q[0, 0], k[0, 0], v[0, 0]),
    "scale": lambda A, T, q, k, v: A(q, k, v, scale=0.3),
    "causal": lambda A, T, q, k, v: A(q, k, v, is_causal=True),
    "causal long": lambda A, T, q, k, v: A(k, q, q, is_causal=True),
    "bool mask": lambda A, T, q, k, v: A(q, k, v, ~hidden(T, 5, 7)),
    "bool mask of heads": lambda A, T, q, k, v: A(q, k, v, ~hidden(T, 2, 4, 5, 7)),
    "bool mask of batches": lambda A, T, q, k, v: A(q, k, v, ~hidden(T, 2, 1, 1, 7)),
    "added mask": lambda A, T, q, k, v: A(q, k, v, added(T, 5, 7)),
    "added mask of heads": lambda A, T, q, k, v: A(q, k, v, attn_mask=added(T, 2, 4, 5, 7)),
    "learned mask": lambda A, T, q, k, v: A(q, k, v, q[..., :1] * k[..., 0].unsqueeze(-2)),
    "row without keys": lambda A, T, q, k, v: A(q, k, v, one_dead(T)),
    "row without keys added": lambda A, T, q, k, v: A(
        q, k, v, T.zeros(5, 7).double().masked_fill(~one_dead(T), -np.inf)
    ),
    "dropout": lambda A, T, q, k, v: A(q, k, v, dropout_p=0.4),
    "dropout causal": lambda A, T, q, k, v: A(q, k, v, None, 0.4, True),
    "dropout 1": lambda A, T, q, k, v: A(q, k, v, dropout_p=1.0),
    "groups": lambda A, T, q, k, v: A(q, k[:, :2], v[:, :2], enable_gqa=True),
    "one group": lambda A, T, q, k, v: A(q, k[:, :1], v[:, :1], enable_gqa=True),
    "groups of three": lambda A, T, q, k, v: A(q, k[:, :3], v[:, :3], enable_gqa=True),
    "broadcast": lambda A, T, q, k, v: A(q, k[:1], v[:1]),
    "both masks": lambda A, T, q, k, v: A(q, k, v, hidden(T, 5, 7), is_causal=True),
    "integer mask": lambda A, T, q, k, v: A(q, k, v, hidden(T, 5, 7).long()),
    "dtypes": lambda A, T, q, k, v: A(q, k.float(), v),
    "features": lambda A, T, q, k, v: A(q, k[..., :4], v),
    "places": lambda A, T, q, k, v: A(q, k[..., :4, :], v),
    "vectors": lambda A, T, q, k, v: A(q[0, 0, 0], k[0, 0, 0], v[0, 0, 0]),
    "heads": lambda A, T, q, k, v: A(q, k[:, :2], v[:, :2]),
    "mask shape": lambda A, T, q, k, v: A(q, k, v, hidden(T, 5, 6)),
    "dropout 2": lambda A, T, q, k, v: A(q, k, v, dropout_p=2.0),
}


@pytest.mark.parametrize("name", ATTENTION)
def test_scaled_dot_product_attention(name):
    def call(T, q, k, v):
        for _ in range(3):  # so that the composed function's program is written
            T.manual_seed(4)
            result = ATTENTION[name](T.nn.functional.scaled_dot_product_attention, T, q, k, v)
        return result

    same(call, drawn(Q), drawn(K), drawn(V), tolerance=1e-9)


@pytest.mark.parametrize("name", ["plain", "causal", "bool mask"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_dtypes(name, dtype):
    def call(T, q, k, v):
        return ATTENTION[name](T.nn.functional.scaled_dot_product_attention, T, q, k, v)

    same(call, drawn(Q), drawn(K), drawn(V), dtype=dtype, tolerance=0.05 if dtype == "bfloat16" else 2e-4)


def everything(T, layer, call, *inputs):
    """Outputs, gradients of the parameters, state and repr of a layer."""
    start = [p.detach().clone() for p in layer.parameters()]
    layer = layer.double()
    for _ in range(4):
        T.manual_seed(6)
        result = call(layer, *inputs)
        found = [t for t in (result if isinstance(result, tuple) else [result]) if t is not None]
    total = sum((t * t).sum() for t in found)
    gradients = T.autograd.grad(total, list(layer.parameters()), retain_graph=True)
    names = [list(layer.state_dict()), [n for n, _ in layer.named_parameters()], [n for n, _ in layer.named_modules()]]
    return [*found, *start, *gradients, *names, repr(layer)]


HEADS = {
    "plain": ({}, {}),
    "no bias": ({"bias": False}, {}),
    "extra": ({"add_bias_kv": True}, {}),
    "zero": ({"add_zero_attn": True}, {}),
    "extra zero masks": (
        {"add_bias_kv": True, "add_zero_attn": True},
        {"attn_mask": lambda T: hidden(T, 5, 7), "key_padding_mask": lambda T: hidden(T, 2, 7)},
    ),
    "sizes": ({"kdim": 8, "vdim": 8, "batch_first": False}, {}),
    "dropout": ({"dropout": 0.3}, {"key_padding_mask": lambda T: hidden(T, 2, 7)}),
    "each head": ({}, {"average_attn_weights": lambda T: False}),
    "mask": ({}, {"attn_mask": lambda T: hidden(T, 5, 7)}),
    "mask of heads": ({}, {"attn_mask": lambda T: hidden(T, 8, 5, 7)}),
    "mask added": ({}, {"attn_mask": lambda T: added(T, 5, 7), "key_padding_mask": lambda T: added(T, 2, 7)}),
    "masks mixed": ({}, {"attn_mask": lambda T: added(T, 5, 7), "key_padding_mask": lambda T: hidden(T, 2, 7)}),
    "causal": ({}, {"attn_mask": lambda T: T.ones(5, 7).triu(1).bool(), "is_causal": lambda T: True}),
    "causal without mask": ({}, {"is_causal": lambda T: True}),
    "mask shape": ({}, {"attn_mask": lambda T: hidden(T, 5, 5)}),
    "mask of heads shape": ({}, {"attn_mask": lambda T: hidden(T, 2, 5, 7)}),
    "mask dims": ({}, {"attn_mask": lambda T: hidden(T, 7)}),
    "padding shape": ({}, {"key_padding_mask": lambda T: hidden(T, 2, 6)}),
    "padding dims": ({}, {"key_padding_mask": lambda T: hidden(T, 7)}),
    "integer mask": ({}, {"attn_mask": lambda T: hidden(T, 5, 7).long()}),
    "divisible": ({"num_heads": 3}, {}),
    "no heads": ({"num_heads": 0}, {}),
    "embedding": ({"embed_dim": 4}, {}),
}


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("name", HEADS)
def test_multihead_attention(name, batch_first, need_weights):
    settings, given = HEADS[name]

    def call(T, q, k):
        layer = T.nn.MultiheadAttention(**{"embed_dim": 8, "num_heads": 4, "batch_first": batch_first, **settings})
        if layer.batch_first:
            q, k = q.transpose(0, 1), k.transpose(0, 1)
        more = {key: make(T) for key, make in given.items()}
        return everything(T, layer, lambda layer, q, k: layer(q, k, k, need_weights=need_weights, **more), q, k)

    same(call, drawn((5, 2, 8)), drawn((7, 2, 8)), tolerance=1e-9)


@pytest.mark.parametrize("need_weights", [True, False])
def test_other_inputs_of_multihead_attention(need_weights):
    x, y, z = drawn((5, 2, 8)), drawn((7, 2, 3)), drawn((7, 2, 6))

    def of(call, **settings):
        def run(T, *inputs):
            layer = T.nn.MultiheadAttention(8, 2, **settings)
            return everything(T, layer, lambda layer, *xs: call(layer, T, *xs, need_weights=need_weights), *inputs)

        return run

    same(of(lambda m, T, x, y, z, **w: m(x, y, z, **w), kdim=3, vdim=6), x, y, z, tolerance=1e-9)
    same(of(lambda m, T, x, y, z, **w: m(x, y, z, **w), kdim=3, vdim=6, bias=False), x, y, z, tolerance=1e-9)
    same(of(lambda m, T, x, **w: m(x, x, x, **w)), x, tolerance=1e-9)
    same(of(lambda m, T, x, **w: m(x, x * 2, x * 3, **w)), x, tolerance=1e-9)
    same(of(lambda m, T, x, **w: m(x[:, 0], x[:, 0], x[:, 1], **w)), x, tolerance=1e-9)
    alone = of(lambda m, T, x, **w: m(x, x, x, attn_mask=hidden(T, 2, 5, 5), key_padding_mask=hidden(T, 5), **w))
    same(alone, x[:, 0], tolerance=1e-9)
    same(of(lambda m, T, x, **w: m(x[0, 0], x[0, 0], x[0, 0], **w)), x)
    same(of(lambda m, T, x, **w: m(x, x[0], x[0], **w)), x)
    same(of(lambda m, T, x, **w: m(x, x, x[:3], **w)), x)
    same(lambda T, x: T.nn.MultiheadAttention(8, 2)(x, x, x, need_weights=need_weights), x)


def test_keys_given_to_the_function():
    def call(T, x, k, v):
        w = T.eye(8).double()
        return T.nn.functional.multi_head_attention_forward(
            x, x, x, 8, 2, T.cat([w, w, w]), None, None, None, False, 0.0, w, None, static_k=k, static_v=v
        )

    same(call, drawn((5, 2, 8)), drawn((4, 6, 4)), drawn((4, 6, 4)), tolerance=1e-9)
    same(call, drawn((5, 2, 8)), drawn((3, 6, 4)), drawn((4, 6, 4)))
    same(call, drawn((5, 2, 8)), drawn((4, 6, 4)), drawn((4, 6, 3)))


LAYERS = {
    "plain": {},
    "batch first": {"batch_first": True},
    "norm first": {"norm_first": True},
    "gelu": {"activation": "gelu", "dropout": 0.0},
    "no bias": {"bias": False},
    "eps": {"layer_norm_eps": 0.1},
    "swish": {"activation": "swish"},
    "heads": {"nhead": 3},
}
MASKS = {
    "none": lambda T, decoder: {},
    "causal": lambda T, decoder: {"tgt_mask" if decoder else "src_mask": T.ones(5, 5).triu(1).bool()},
    "padding": lambda T, decoder: {
        "tgt_key_padding_mask" if decoder else "src_key_padding_mask": T.tensor([[False] * 5, [False] * 3 + [True] * 2])
    },
}  # fmt: skip
SIZES = {"d_model": 8, "nhead": 2, "dim_feedforward": 12}


def turned(layer, *xs):
    """The inputs with the batch first where the layer wants them so."""
    return [x.transpose(0, 1) if layer.self_attn.batch_first else x for x in xs]


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("name", LAYERS)
def test_encoder_layer(name, masks):
    def call(T, x):
        layer = T.nn.TransformerEncoderLayer(**{**SIZES, **LAYERS[name]})
        return everything(T, layer, lambda m, x: m(x, **MASKS[masks](T, False)), *turned(layer, x))

    same(call, drawn((5, 2, 8)), tolerance=1e-9)


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("name", LAYERS)
def test_decoder_layer(name, masks):
    def call(T, x, y):
        layer = T.nn.TransformerDecoderLayer(**{**SIZES, **LAYERS[name]})
        return everything(T, layer, lambda m, x, y: m(x, y, **MASKS[masks](T, True)), *turned(layer, x, y))

    same(call, drawn((5, 2, 8)), drawn((7, 2, 8)), tolerance=1e-9)


def test_activations_given_as_functions():
    for make in (lambda T: T.nn.functional.gelu, lambda T: T.tanh, lambda T: T.nn.ReLU(), lambda T: T.nn.SiLU()):

        def call(T, x, make=make):
            layer = T.nn.TransformerEncoderLayer(**SIZES, activation=make(T))
            return [*everything(T, layer, lambda m, x: m(x), x), layer.activation_relu_or_gelu]

        same(call, drawn((5, 2, 8)), tolerance=1e-9)


STACKS = {
    "batch first": ({"batch_first": True}, {}),
    "sequence first": ({}, {}),
    "quiet": ({}, {"enable_nested_tensor": False}),
    "norm first": ({"batch_first": True, "norm_first": True}, {}),
    "odd": ({"batch_first": True, "nhead": 1}, {}),
    "tanh": ({"batch_first": True, "activation": lambda x: x.tanh()}, {}),
}


@pytest.fixture(autouse=True, scope="module")
def _prototypes():
    """Have torch say outside the comparisons what it says once in a process: that its nested tensors are a prototype."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.nested.nested_tensor([torch.ones(1)])


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("name", STACKS)
def test_encoder(name, masks):
    settings, more = STACKS[name]

    def call(T, x):
        layer = T.nn.TransformerEncoderLayer(**{**SIZES, **settings})
        stack = T.nn.TransformerEncoder(layer, 2, T.nn.LayerNorm(8), **more)
        given = {key.removeprefix("src_") if key == "src_mask" else key: m for key, m in MASKS[masks](T, False).items()}
        (x,) = turned(layer, x)
        found = everything(T, stack, lambda m, x: m(x, **given), x)
        found = [entry for entry in found if not (isinstance(entry, str) and "<lambda>" in entry)]
        stack.eval()
        with T.no_grad():  # padding is left out
            return [*found, stack(x, **given), stack(x[0], is_causal=False)]

    same(call, drawn((5, 2, 8)), tolerance=1e-9)


@pytest.mark.parametrize("mask_check", [True, False])
def test_padding_inside_a_sequence(mask_check):
    def call(T, x):
        layer = T.nn.TransformerEncoderLayer(**SIZES, batch_first=True)
        stack = T.nn.TransformerEncoder(layer, 1, mask_check=mask_check).double().eval()
        padding = T.tensor([[False, True, False, False, False], [False] * 3 + [True] * 2])
        return stack(x, src_key_padding_mask=padding)

    with torch.no_grad(), retrograd.no_grad():
        if mask_check:
            same(call, drawn((2, 5, 8)), tolerance=1e-9, grads=False)
    same(call, drawn((2, 5, 8)), tolerance=1e-9)


WHOLE = {
    "plain": {},
    "all": {"batch_first": True, "norm_first": True, "activation": "gelu", "bias": False},
    "no dropout": {"dropout": 0.0},
}


@pytest.mark.parametrize("name", WHOLE)
def test_transformer(name):
    def call(T, x, y):
        model = T.nn.Transformer(8, 2, 2, 1, 12, **WHOLE[name])
        mask = model.generate_square_subsequent_mask(5, dtype=T.float64)
        assert T.equal(mask, T.nn.Transformer.generate_square_subsequent_mask(5).double())
        if model.batch_first:
            x, y = x.transpose(0, 1), y.transpose(0, 1)
        padding = T.tensor([[False] * 7, [False] * 4 + [True] * 3])
        given = {"tgt_mask": mask, "src_key_padding_mask": padding, "memory_key_padding_mask": padding}
        return everything(T, model, lambda m, x, y: m(x, y, **given), x, y)

    same(call, drawn((7, 2, 8)), drawn((5, 2, 8)), tolerance=1e-9)


def test_transformer_of_one_sequence_and_its_errors():
    def call(T, x, y):
        return T.nn.Transformer(8, 2, 1, 1, 12).double().eval()(x, y)

    same(call, drawn((7, 8)), drawn((5, 8)), tolerance=1e-9)
    same(call, drawn((7, 2, 8)), drawn((5, 3, 8)))
    same(call, drawn((7, 2, 6)), drawn((5, 2, 6)))
