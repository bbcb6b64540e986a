"""Recurrent layers and attention by their own laws: definitions, packing, gradients, nodes per step, learning."""

from __future__ import annotations

import pytest

import retrograd as torch
from retrograd import nn
from retrograd.nn.utils.rnn import pack_sequence, pad_packed_sequence, pad_sequence, unpack_sequence
from retrograd.testing import assert_close, gradcheck, gradgradcheck

KINDS = ("RNN", "LSTM", "GRU")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def made(kind, *sizes, **settings):
    return getattr(nn, kind)(*sizes, dtype=torch.float64, **settings)


def last_of(result):
    """The last hidden state of any of the three."""
    return result[1][0] if isinstance(result[1], tuple) else result[1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_is_its_cell_step_by_step(kind):
    layer, cell = made(kind, 3, 4), made(kind + "Cell", 3, 4)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    state, outputs = None, []
    for step in x:
        state = cell(step, state)
        outputs.append(state[0] if kind == "LSTM" else state)
    for _ in range(4):
        output, _ = layer(x)
        assert_close(output, torch.stack(outputs))


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_batch_is_its_sequences_one_by_one(kind, bidirectional):
    layer = made(kind, 3, 4, num_layers=2, bidirectional=bidirectional)
    sequences = [torch.randn(n, 3, dtype=torch.float64) for n in (2, 5, 1, 3)]
    for _ in range(4):
        packed, last = layer(pack_sequence(sequences, enforce_sorted=False))
        last = last[0] if kind == "LSTM" else last
        for i, (sequence, output) in enumerate(zip(sequences, unpack_sequence(packed), strict=True)):
            alone = layer(sequence)
            assert_close(output, alone[0])
            assert_close(last[:, i], last_of(alone))


@pytest.mark.parametrize("settings", [{}, {"num_layers": 2, "bidirectional": True}])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind, settings):
    layer = made(kind, 2, 3, **settings)
    names = [name for name, _ in layer.named_parameters()]

    def run(x, *parameters):
        output, last = torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))
        return (output, *last) if kind == "LSTM" else (output, last)

    x = torch.randn(4, 2, 2, dtype=torch.float64, requires_grad=True)
    own = [p.detach().requires_grad_() for p in layer.parameters()]
    for _ in range(3):  # the third call's steps are written as programs
        assert gradcheck(run, (x, *own))
    if not settings:
        assert gradgradcheck(run, (x, *own))


def nodes(root):
    """The nodes behind a tensor, by name."""
    found, todo = {}, [root.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None and node not in found:
            found[node] = node.name()
            todo.extend(n for n, _ in node.next_functions)
    return list(found.values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_one_node(kind):
    """A further step costs two nodes: its part of the input's projection, and the step."""
    layer = made(kind, 3, 4)
    counts = []
    for length in (5, 6):
        x = torch.randn(length, 2, 3, dtype=torch.float64)
        for _ in range(4):
            output, _ = layer(x)
        counts.append(len(nodes(output)))
    assert counts[1] - counts[0] == 2


def test_the_dropout_between_layers_is_not_after_the_last():
    layer = nn.GRU(3, 4, num_layers=2, dropout=1.0)
    output, _ = layer(torch.randn(5, 2, 3))
    assert (output != 0).all()
    layer.eval()
    assert torch.equal(layer(torch.ones(5, 2, 3))[0], layer(torch.ones(5, 2, 3))[0])


def test_padding_has_no_gradient():
    sequences = [torch.ones(2, 1, requires_grad=True), torch.ones(3, 1, requires_grad=True)]
    pad_sequence(sequences, padding_value=7.0).sum().backward()
    assert [s.grad.tolist() for s in sequences] == [[[1.0]] * 2, [[1.0]] * 3]
    padded, lengths = pad_packed_sequence(pack_sequence(sequences[::-1]), padding_value=7.0)
    assert padded[:, 1, 0].tolist() == [1.0, 1.0, 7.0] and lengths.tolist() == [3, 2]


def test_errors_name_the_layer_and_the_shapes():
    with pytest.raises(RuntimeError, match=r"LSTM: .*Expected 3, got 4"):
        nn.LSTM(3, 4)(torch.ones(5, 2, 4))
    with pytest.raises(RuntimeError, match=r"GRU: .*\(1, 2, 4\), got \[1, 3, 4\]"):
        nn.GRU(3, 4)(torch.ones(5, 2, 3), torch.ones(1, 3, 4))
    with pytest.raises(ValueError, match=r"RNN: .*input\.to\(torch\.float32\)"):
        nn.RNN(3, 4)(torch.ones(5, 2, 3, dtype=torch.float64))


def test_an_lstm_learns_to_remember():
    """The sign of the first number, asked for after seven others."""
    layer, head = nn.LSTM(1, 8, batch_first=True), nn.Linear(8, 1)
    optimizer = torch.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.05)
    x = torch.randn(64, 8, 1)
    wanted = (x[:, 0] > 0).float()
    for _ in range(60):
        loss = nn.functional.binary_cross_entropy_with_logits(head(layer(x)[0][:, -1]), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


@pytest.mark.parametrize("need_weights", [False, True])
def test_gradients_of_attention(need_weights):
    layer = nn.MultiheadAttention(4, 2, add_bias_kv=True, dtype=torch.float64)
    mask = torch.ones(3, 5).triu(1).bool()

    def run(q, k):
        return layer(q, k, k, attn_mask=mask, need_weights=need_weights)[0]

    q, k = (torch.randn(n, 2, 4, dtype=torch.float64, requires_grad=True) for n in (3, 5))
    for _ in range(3):
        assert gradcheck(run, (q, k))
    assert gradgradcheck(run, (q, k))


def test_a_causal_transformer_does_not_see_what_comes_later():
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    net = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    x = torch.randn(2, 5, 4)
    before = net(x, mask)
    x[:, 3:] = 0
    assert_close(net(x, mask)[:, :3], before[:, :3])
    assert not torch.equal(net(x)[:, :3], before[:, :3])


def test_the_layers_of_a_stack_are_copies():
    net = nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8), 2)
    first, second = net.layers
    assert torch.equal(first.linear1.weight, second.linear1.weight)
    assert first.linear1.weight is not second.linear1.weight
