"""Recurrent layers, their cells and packed sequences against torch: start, values, gradients, state, repr, errors."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd  # noqa: E402  (below the check for torch)
from parity.nn_helpers import drawn, same  # noqa: E402

B, U = (6, 3, 5), (6, 5)  # a batch of sequences, a sequence
KINDS = ("RNN", "LSTM", "GRU")


def tensors(result):
    """The tensors in nested tuples, packed sequences among them, in order; None stays."""
    if isinstance(result, (tuple, list)):
        return [t for part in result for t in tensors(part)]
    return [result]


def seen(T, layer, x, *more, seed=7):
    """Everything that can be seen of a layer: outputs (twice), gradients, state and repr."""
    start = [p.detach().clone() for p in layer.parameters()]
    layer = layer.to(x.dtype if x.dtype in (T.float32, T.float64) else T.float64)
    found = []
    for _ in range(4):  # the third call's composed steps are written, the fourth's are run
        T.manual_seed(seed)
        found = tensors(layer(x, *more))
    later = [t.detach() for t in tensors(layer(x, *more))]
    total = sum((t * t).sum() for t in found if t.requires_grad)
    gradients = T.autograd.grad(total, list(layer.parameters()), retain_graph=True) if layer.bias is not None else []
    names = [list(layer.state_dict()), [name for name, _ in layer.named_parameters()], repr(layer)]
    return [*found, *later, *start, *gradients, *names]


SETTINGS = {
    "plain": {},
    "no bias": {"bias": False},
    "two layers": {"num_layers": 2},
    "bidirectional": {"bidirectional": True},
    "batch first": {"batch_first": True},
    "dropout": {"num_layers": 3, "dropout": 0.4},
    "dropout 1": {"num_layers": 2, "dropout": 1},
    "all": {"num_layers": 2, "dropout": 0.3, "bidirectional": True, "batch_first": True, "bias": False},
    "useless dropout": {"dropout": 0.5},
    "projection": {"proj_size": 2},
    "projection all": {"proj_size": 2, "num_layers": 2, "bidirectional": True, "dropout": 0.5},
    "relu": {"nonlinearity": "relu"},
    "swish": {"nonlinearity": "swish"},
    "dropout 2": {"dropout": 2.0},
    "dropout True": {"dropout": True},
    "bias 1": {"bias": 1},
    "batch first 1": {"batch_first": 1},
    "no layers": {"num_layers": 0},
    "projection large": {"proj_size": 4},
    "projection negative": {"proj_size": -1},
    "unknown": {"color": 1},
}


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_layers(kind, settings):
    def call(T, x):
        return seen(T, getattr(T.nn, kind)(5, 4, **SETTINGS[settings]), x)

    same(call, drawn(B), tolerance=1e-9)


@pytest.mark.parametrize("settings", ["plain", "all"])
@pytest.mark.parametrize("kind", KINDS)
def test_float32(kind, settings):
    def call(T, x):
        return seen(T, getattr(T.nn, kind)(5, 4, **SETTINGS[settings]), x)

    same(call, drawn(B), dtype="float32", tolerance=2e-4)


def states(T, kind, lead, width=4, hidden=4):
    """Starting states of shape (*lead, width), the cell's with the width ``hidden``."""
    h = T.tensor(drawn((*lead, width), 5)).requires_grad_()
    return (h, T.tensor(drawn((*lead, hidden), 6)).requires_grad_()) if kind == "LSTM" else h


WITH_STATES = {
    "batch": (B, {}, (1, 3)),
    "batch all": (B, {"num_layers": 2, "bidirectional": True, "batch_first": True}, (4, 6)),
    "one": (U, {}, (1,)),
    "one all": (U, {"num_layers": 2, "bidirectional": True, "batch_first": True}, (4,)),
    "no batch": ((6, 0, 5), {}, (1, 0)),
    "wrong batch": (B, {}, (1, 2)),
    "wrong layers": (B, {}, (2, 3)),
    "batch for one": (U, {}, (1, 3)),
    "one for batch": (B, {}, (1,)),
    "no steps": ((0, 3, 5), {}, (1, 3)),
    "features": ((6, 3, 4), {}, (1, 3)),
    "dims": ((6, 3, 5, 1), {}, (1, 3)),
    "vector": ((5,), {}, (1, 3)),
}


@pytest.mark.parametrize("case", WITH_STATES)
@pytest.mark.parametrize("kind", KINDS)
def test_starting_states(kind, case):
    shape, settings, lead = WITH_STATES[case]

    def call(T, x):
        hx = states(T, kind, lead)
        found = seen(T, getattr(T.nn, kind)(5, 4, **settings), x, hx)
        total = sum((t * t).sum() for t in found[: 3 if kind == "LSTM" else 2])
        return [*found, *T.autograd.grad(total, tensors(hx), retain_graph=True)]

    same(call, drawn(shape), tolerance=1e-9)


@pytest.mark.parametrize("shape", [B, U])
@pytest.mark.parametrize("kind", KINDS)
def test_without_a_state(kind, shape):
    same(lambda T, x: seen(T, getattr(T.nn, kind)(5, 4, batch_first=True), x), drawn(shape), tolerance=1e-9)


def test_projected_states():
    def call(T, x):
        return seen(T, T.nn.LSTM(5, 4, proj_size=2), x, states(T, "LSTM", (1, 3), 2, 4))

    same(call, drawn(B), tolerance=1e-9)
    same(lambda T, x: T.nn.LSTM(5, 4, proj_size=2).double()(x, states(T, "LSTM", (1, 3))), drawn(B))


@pytest.mark.parametrize("kind", KINDS)
def test_dtypes_must_fit(kind):
    same(lambda T, x: getattr(T.nn, kind)(5, 4)(x), drawn(B))
    same(lambda T, x: getattr(T.nn, kind)(5, 4)(x.long()), drawn(B))


LENGTHS = {"sorted": [6, 4, 4, 1], "unsorted": [2, 6, 1, 4], "equal": [3, 3, 3, 3], "one": [1, 1, 1, 1]}


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("settings", ["plain", "all", "bidirectional"])
@pytest.mark.parametrize("kind", KINDS)
def test_packed(kind, settings, lengths):
    settings = {**SETTINGS[settings], "batch_first": False}
    lead = settings.get("num_layers", 1) * (2 if settings.get("bidirectional") else 1)

    def call(T, x):
        layer = getattr(T.nn, kind)(5, 4, **settings).double()
        packed = T.nn.utils.rnn.pack_padded_sequence(x, LENGTHS[lengths], enforce_sorted=lengths != "unsorted")
        given = states(T, kind, (lead, 4))
        found = []
        for hx in (None, given) * 4:
            T.manual_seed(3)
            output, last = layer(packed, hx)
            found = [*tensors(T.nn.utils.rnn.pad_packed_sequence(output)), *tensors(last), *output]
        total = sum((t * t).sum() for t in found if t is not None and t.requires_grad)
        return [*found, *T.autograd.grad(total, [*tensors(given), *layer.parameters()], retain_graph=True)]

    same(call, drawn((6, 4, 5)), tolerance=1e-9)


CELLS = {
    "plain": ({}, (3, 5)),
    "no bias": ({"bias": False}, (3, 5)),
    "one": ({}, (5,)),
    "features": ({}, (3, 4)),
    "dims": ({}, (2, 3, 5)),
}


@pytest.mark.parametrize("case", CELLS)
@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
def test_cells(kind, case):
    settings, shape = CELLS[case]
    hx = lambda T, lead: states(T, kind[:-4], lead)

    def make(T):
        return getattr(T.nn, kind)(5, 4, **settings)

    same(lambda T, x: seen(T, make(T), x), drawn(shape), tolerance=1e-9)
    same(lambda T, x: seen(T, make(T), x, hx(T, shape[:-1])), drawn(shape), tolerance=1e-9)
    same(lambda T, x: make(T).double()(x, hx(T, (2, *shape[:-1]))), drawn(shape))
    same(lambda T, x: make(T).double()(x, hx(T, (7,) * (len(shape) - 1))), drawn((7, *shape[1:])[-len(shape) :]))


def test_relu_cell():
    same(lambda T, x: seen(T, T.nn.RNNCell(5, 4, nonlinearity="relu"), x), drawn((3, 5)))
    same(lambda T, x: T.nn.RNNCell(5, 4, nonlinearity="swish").double()(x), drawn((3, 5)))


def test_second_derivatives():
    def call(T, x):
        layer = T.nn.LSTM(5, 4).double()
        total = 0
        for _ in range(4):
            output, _ = layer(x)
            (g,) = T.autograd.grad((output**2).sum(), x, create_graph=True)
            total = (g**2).sum()
        return T.autograd.grad(total, [x, *layer.parameters()], retain_graph=True)

    same(call, drawn(B), tolerance=1e-9)


X = (4, 3, 2)
PACKING = {
    "pack": lambda R, T, x: R.pack_padded_sequence(x, [4, 3, 1]),
    "pack tensor": lambda R, T, x: R.pack_padded_sequence(x, T.tensor([4, 3, 1])),
    "pack int32": lambda R, T, x: R.pack_padded_sequence(x, T.tensor([4, 3, 1], dtype=T.int32)),
    "pack array": lambda R, T, x: R.pack_padded_sequence(x, np.array([4, 3, 1])),
    "pack batch first": lambda R, T, x: R.pack_padded_sequence(x, [3, 2, 2, 1], batch_first=True),
    "pack unsorted": lambda R, T, x: R.pack_padded_sequence(x, [1, 4, 2], enforce_sorted=False),
    "pack shorter": lambda R, T, x: R.pack_padded_sequence(x, [2, 1, 1]),
    "pack vectors": lambda R, T, x: R.pack_padded_sequence(x[..., 0], [4, 3, 1]),
    "pack order": lambda R, T, x: R.pack_padded_sequence(x, [1, 4, 2]),
    "pack zero": lambda R, T, x: R.pack_padded_sequence(x, [4, 1, 0]),
    "pack count": lambda R, T, x: R.pack_padded_sequence(x, [4, 1]),
    "pack long": lambda R, T, x: R.pack_padded_sequence(x, [5, 1, 1]),
    "pack empty": lambda R, T, x: R.pack_padded_sequence(x[:0], [1, 1, 1]),
    "sequences": lambda R, T, x: R.pack_sequence([x[:, 0], x[:2, 1]]),
    "sequences unsorted": lambda R, T, x: R.pack_sequence([x[:1, 0], x[:3, 1], x[:, 2]], enforce_sorted=False),
    "sequences order": lambda R, T, x: R.pack_sequence([x[:1, 0], x[:3, 1]]),
    "round": lambda R, T, x: R.pad_packed_sequence(R.pack_padded_sequence(x, [4, 2, 2])),
    "round back": lambda R, T, x: R.pad_packed_sequence(
        R.pack_padded_sequence(x, [1, 4, 2], enforce_sorted=False), True, -1.5, 6
    ),
    "total": lambda R, T, x: R.pad_packed_sequence(R.pack_padded_sequence(x, [4, 2, 2]), total_length=3),
    "unpack": lambda R, T, x: R.unpack_sequence(R.pack_sequence([x[:1, 0], x[:3, 1]], enforce_sorted=False)),
    "made": lambda R, T, x: R.PackedSequence(x[0], T.tensor([2, 1]), T.tensor([1, 2, 0])),
    "made of a pair": lambda R, T, x: R.PackedSequence((x[0], T.tensor([2, 1]))),
    "made of nothing": lambda R, T, x: R.PackedSequence(x[0]),
    "inverse": lambda R, T, x: [R.invert_permutation(T.tensor([2, 0, 1])), R.invert_permutation(None)],
    "to": lambda R, T, x: [*R.pack_sequence([x[:, 0]]).to(T.float32), *R.pack_sequence([x[:, 0]]).half().float()],
    "pad of dtypes": lambda R, T, x: R.pad_sequence([x[:, 0], x[:2, 1].float()]),
    "pad empty": lambda R, T, x: R.pad_sequence([x[:, 0], x[:0, 1]], padding_value=2.0),
    "pad number": lambda R, T, x: R.pad_sequence(3),
}  # fmt: skip


@pytest.mark.parametrize("name", PACKING)
def test_packing(name):
    same(lambda T, x: PACKING[name](T.nn.utils.rnn, T, x), drawn(X))


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_dict_from_torch(kind):
    theirs = getattr(torch.nn, kind)(5, 4, 2, bidirectional=True)
    mine = getattr(retrograd.nn, kind)(5, 4, 2, bidirectional=True)
    mine.load_state_dict({name: retrograd.tensor(value.numpy()) for name, value in theirs.state_dict().items()})
    for layer in (mine, copy.deepcopy(mine), pickle.loads(pickle.dumps(mine))):
        output = layer(retrograd.tensor(drawn(B)).float())[0].detach().numpy()
        np.testing.assert_allclose(output, theirs(torch.tensor(drawn(B)).float())[0].detach().numpy(), atol=1e-5)


def test_saved_whole():
    buffer = io.BytesIO()
    layer = retrograd.nn.GRU(2, 3)
    retrograd.save(layer, buffer)
    buffer.seek(0)
    again = retrograd.load(buffer, weights_only=False)
    assert repr(again) == repr(layer)
    assert [w.shape for ws in again.all_weights for w in ws] == [w.shape for ws in layer.all_weights for w in ws]
