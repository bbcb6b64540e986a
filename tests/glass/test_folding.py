"""Parts folded into one node, and the forward-mode view: the same gradients, by another way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import retrograd as torch
from retrograd import glass

CIRCUIT = json.loads((Path(__file__).parent / "circuit.json").read_text())
SIGMOID = "1 / (1 + exp(-z))"


def explained():
    names = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in CIRCUIT["inputs"].items()}
    w0, x0, w1, x1, w2 = names.values()
    return glass.explain(1 / (1 + torch.exp(-(w0 * x0 + w1 * x1 + w2))), names=names)


@pytest.fixture
def folded():
    return explained().fold("sigmoid", SIGMOID)


def test_the_sigmoid_folded(folded):
    node = folded.nodes[folded.output]
    edge = folded.edges[node.edges[0]]
    wanted = CIRCUIT["as_one_sigmoid"]
    assert node.kind == "fold"
    assert node.value.number == pytest.approx(wanted["value"], abs=1e-8)
    assert edge.upstream.number == wanted["upstream"]
    assert edge.local.number == pytest.approx(wanted["local"], abs=1e-8)
    assert len(node.members) == 6  # four operations and their two constants
    for name, value in CIRCUIT["gradients"].items():
        assert folded.node(name).gradient.number == pytest.approx(value, abs=1e-7)


def test_a_fold_that_is_a_known_operation_shows_its_rule(folded):
    edge = folded.edges[folded.nodes[folded.output].edges[0]]
    assert edge.derivative == "dv14/dv8 = v14 * (1 - v14)"
    assert edge.filled == "dL/dv8 = 1 * 0.19661193 = 0.19661193"
    assert folded.nodes[folded.output].pattern == "sigmoid: gradient scaler"


def test_a_fold_named_like_an_operation_that_it_is_not_does_not_show_its_rule():
    seen = explained().fold("tanh", SIGMOID)
    edge = seen.edges[seen.nodes[seen.output].edges[0]]
    assert edge.rule == "dL/dv8 = dL/dv14 * dv14/dv8"
    assert edge.local.number == pytest.approx(0.19661193, abs=1e-8)


def test_a_folded_graph_is_a_graph(folded):
    assert [n.id for n in folded.nodes] == list(range(len(folded.nodes)))
    assert [e.id for e in folded.edges] == list(range(len(folded.edges)))
    assert folded.backward[0] == folded.output
    assert all(folded.edges[e].target == n.id for n in folded.nodes for e in n.edges)
    assert all(folded.edges[e].source == n.id for n in folded.nodes for e in n.uses)
    assert folded.to_dict() == glass.Explanation.from_dict(folded.to_dict()).to_dict()
    assert "sigmoid" in str(folded)
    assert list(folded.steps())


def test_every_part_of_the_form_is_folded():
    x = torch.tensor([0.3, -1.0], dtype=torch.float64, requires_grad=True)
    once = 1 / (1 + torch.exp(-x))
    seen = glass.explain((1 / (1 + torch.exp(-once))).sum()).fold("sigmoid", SIGMOID)
    assert [n.label for n in seen.nodes if n.kind == "fold"] == ["sigmoid(x)", "sigmoid(sigmoid(x))"]
    local = seen.edges[next(n for n in seen.nodes if n.kind == "fold").edges[0]]
    s = torch.sigmoid(x).detach().numpy()
    np.testing.assert_allclose(local.local.full, s * (1 - s), rtol=1e-12)
    assert local.jacobian.structure == "diagonal"


def test_a_value_used_twice_inside_is_one_input_with_both_paths_added():
    x = torch.tensor(3.0, requires_grad=True)
    seen = glass.explain((x * x + x) * 2).fold("f", "z * z + z")
    edge = seen.edge("x", "f(x)")
    assert edge.local.number == 7.0
    assert edge.downstream.number == 14.0
    assert edge.share == pytest.approx(1)


def test_nodes_by_name_are_folded():
    x, y = torch.tensor(3.0, requires_grad=True), torch.tensor(2.0, requires_grad=True)
    seen = glass.explain((x * y + y).exp()).fold("affine", ["x*y", "x*y + y"])
    assert seen.edge("x", "affine(x, y)").local.number == 2.0
    assert seen.edge("y", "affine(x, y)").local.number == 4.0


def test_tensors_fold_by_the_product_of_their_jacobians():
    x = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64, requires_grad=True)
    seen = glass.explain((x.exp() / x.exp().sum()).log().sum())
    part = [n.id for n in seen.nodes if n.op in ("exp", "sum", "div") and n.id != seen.output]
    folded = seen.fold("softmax", part)
    edge = folded.edges[next(n for n in folded.nodes if n.kind == "fold").edges[0]]
    p = torch.softmax(x, 0).detach().numpy()
    np.testing.assert_allclose(edge.jacobian.matrix, np.diag(p) - np.outer(p, p), atol=1e-12)


def test_modules_are_folded_by_their_paths():
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4), torch.nn.Sequential(torch.nn.Linear(4, 2)))
    seen = glass.explain(net, torch.ones(5, 3))
    folded = seen.fold_module("1").fold_module("2")
    assert [n.op for n in folded.nodes if n.kind in ("operation", "fold")] == ["linear", "1", "2"]
    for name in ("0.weight", "1.bias", "2.0.weight"):
        assert folded.node(name).gradient == seen.node(name).gradient
    with pytest.raises(ValueError, match="no operation is in '7'; there are 0, 1, 2.0"):
        seen.fold_module("7")


def test_what_cannot_be_folded_says_why():
    seen = explained()
    with pytest.raises(ValueError, match="no part of .* has the form 'tanh"):
        seen.fold("t", "tanh(z)")
    with pytest.raises(ValueError, match="names a value"):
        seen.fold("t", "z")
    with pytest.raises(ValueError, match="would hold a leaf"):
        seen.fold("t", ["w0", "w0*x0"])
    with pytest.raises(ValueError, match="2 results"):
        seen.fold("t", ["w0*x0", "w1*x1"])
    x = torch.tensor(3.0, requires_grad=True)
    between = glass.explain((x * 2).exp() + x * 2)
    with pytest.raises(ValueError, match="results|between"):
        between.fold("t", [between.nodes[between.output].id, "x*2"])


# -- forward mode -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", CIRCUIT["gradients"])
def test_forward_mode_gives_the_same_derivative(name):
    seen = explained().forward(name)
    assert seen.mode == "forward"
    assert seen.nodes[seen.output].tangent.number == pytest.approx(CIRCUIT["gradients"][name], abs=1e-7)
    assert seen.direction == {name: 1.0}
    assert "tangent" in str(seen)
    assert r"\dot{" in seen.to_latex()
    assert all(s.phase == "forward" for s in seen.steps())


def test_a_direction_is_the_gradient_times_it():
    seen = explained()
    direction = {"w0": 0.5, "x1": -2.0}
    pushed = seen.forward(direction)
    wanted = sum(CIRCUIT["gradients"][k] * v for k, v in direction.items())
    assert pushed.nodes[pushed.output].tangent.number == pytest.approx(wanted, abs=1e-7)
    meeting = pushed.node("w0*x0 + w1*x1")
    assert meeting.tangent.number == sum(pushed.edges[e].tangent.number for e in meeting.edges)


def test_forward_mode_of_tensors_is_a_column_of_the_jacobian():
    torch.manual_seed(0)
    x, w = torch.randn(3, dtype=torch.float64, requires_grad=True), torch.randn(2, 3, dtype=torch.float64)
    seen = glass.explain(lambda x: torch.tanh(w @ x), x)
    direction = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    pushed = seen.forward({"x": direction})
    jacobian = torch.func.jacrev(lambda x: torch.tanh(w @ x))(x.detach())
    np.testing.assert_allclose(pushed.nodes[pushed.output].tangent.full, jacobian[:, 1].numpy(), rtol=1e-12)


def test_forward_mode_then_a_fold():
    seen = explained().forward("x0").fold("sigmoid", SIGMOID)
    assert seen.nodes[seen.output].tangent.number == pytest.approx(CIRCUIT["gradients"]["x0"], abs=1e-7)


def test_what_has_no_forward_mode_says_why():
    seen = explained()
    with pytest.raises(ValueError, match="is not an input"):
        seen.forward("exp(...)")
    with pytest.raises(RuntimeError, match="before folding"):
        seen.fold("s", SIGMOID).forward("w0")
    with pytest.raises(RuntimeError, match="read from a file"):
        glass.Explanation.from_dict(seen.to_dict()).forward()
    with pytest.raises(RuntimeError, match="has shape"):
        seen.forward({"w0": [1.0, 2.0]})
