"""Explanations: the textbook's circuit, tensors, orders, shares and what is kept, against arithmetic and the backward pass."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import retrograd as torch
from retrograd import glass, nn

F = nn.functional
CIRCUIT = json.loads((Path(__file__).parent / "circuit.json").read_text())


def circuit(dtype=torch.float64):
    names = {k: torch.tensor(v, dtype=dtype, requires_grad=True) for k, v in CIRCUIT["inputs"].items()}
    w0, x0, w1, x1, w2 = names.values()
    return names, 1 / (1 + torch.exp(-(w0 * x0 + w1 * x1 + w2)))


def squeezed(text):
    return text.replace(" ", "")


@pytest.mark.parametrize("row", CIRCUIT["nodes"], ids=[row["node"] for row in CIRCUIT["nodes"]])
@pytest.mark.parametrize("how", ["result", "function"])
def test_circuit(row, how):
    names, f = circuit()
    if how == "result":
        seen = glass.explain(f, names=names)
    else:

        def function(w0, x0, w1, x1, w2):
            return 1 / (1 + torch.exp(-(w0 * x0 + w1 * x1 + w2)))

        seen = glass.explain(function, *names.values())
    node = seen.node(row["node"])
    assert node.label == row["node"]
    assert node.value.number == pytest.approx(row["value"], abs=1e-8)
    assert node.gradient.number == pytest.approx(row["upstream"], abs=1e-8)
    if "pattern" in row:
        assert node.pattern == row["pattern"]
    if "local" in row:
        inside = [seen.edges[e] for e in node.edges if seen.edges[e].local is not None]
        assert inside[0].local.number == pytest.approx(row["local"], abs=1e-8)
    for e in node.edges:
        edge = seen.edges[e]
        if edge.local is not None:
            assert edge.upstream.number == pytest.approx(row["upstream"], abs=1e-8)
            assert edge.downstream.number == pytest.approx(edge.upstream.number * edge.local.number, abs=1e-12)


@pytest.mark.parametrize("name", CIRCUIT["gradients"])
def test_circuit_leaves(name):
    names, f = circuit()
    seen = glass.explain(f, names=names)
    assert seen.node(name).gradient.number == pytest.approx(CIRCUIT["gradients"][name], abs=1e-7)
    f.backward()
    assert seen.node(name).gradient.number == names[name].grad.item()


def test_variables_of_the_caller_name_values():
    weight = torch.tensor([1.0, 2.0], requires_grad=True)
    bias = torch.tensor(0.5, requires_grad=True)
    hidden = weight * 3 + bias
    seen = glass.explain(hidden.sum())
    assert [n.label for n in seen.nodes[:2]] == ["weight", "bias"]
    assert seen.node("weight*3 + bias").value.full == [3.5, 6.5]


def test_numbers_that_nobody_kept_come_from_the_source_line():
    x = torch.tensor(2.0, requires_grad=True)
    seen = glass.explain((x + 5).exp())
    assert seen.node("x + 5").value.number == 7.0


def test_what_nobody_kept_is_said_to_be_unknown():
    x = torch.tensor(2.0, requires_grad=True)
    seen = glass.explain((x + torch.rand(())) + torch.rand(()))
    unknown = [n for n in seen.nodes if n.value is None and n.kind == "operation"]
    assert [n.symbol for n in unknown] == ["v2"]
    assert "were not kept" in seen.notes[0]
    assert "glass.watch()" in seen.notes[0]


def test_a_variable_that_changed_since_is_not_believed():
    x = torch.tensor(2.0, requires_grad=True)
    step = 3.0
    y = x + step
    step = 4.0
    seen = glass.explain(y * y)
    assert seen.node("v2").value.number == 5.0  # kept for the product
    constants = [n.value.number for n in seen.nodes if n.kind == "constant" and n.value is not None]
    assert 4.0 not in constants


def test_order_of_the_backward_pass_is_that_of_the_walk():
    _, f = circuit()
    seen = glass.explain(f)
    assert seen.backward[0] == seen.output
    for edge in seen.edges:
        if edge.downstream is not None:
            assert seen.nodes[edge.target].backward < seen.nodes[edge.source].backward
    assert [seen.nodes[k].backward for k in seen.backward] == list(range(len(seen.backward)))


def test_shares_where_gradients_meet():
    x = torch.tensor(3.0, requires_grad=True)
    seen = glass.explain(x * x + 2 * x)
    shares = {seen.nodes[e.target].label: e.share for e in (seen.edges[k] for k in seen.node("x").uses)}
    assert seen.node("x").gradient.number == 8.0
    assert shares["2*x"] == pytest.approx(2 / 8)
    assert sum(seen.edges[k].share for k in seen.node("x").uses) == pytest.approx(1)
    assert "copy: gradient adder" in seen.node("x").advice


def test_shares_of_tensors_add_up_and_may_be_negative():
    x = torch.tensor([1.0, -2.0, 0.5], requires_grad=True)
    seen = glass.explain((3 * x - x.exp()).sum())
    shares = [seen.edges[k].share for k in seen.node("x").uses]
    assert sum(shares) == pytest.approx(1)
    assert min(shares) < 0 < max(shares)


def test_relu_of_four_numbers_has_its_jacobian_shown_in_full():
    x = torch.tensor([1.0, -2.0, 3.0, -1.0], requires_grad=True)
    seen = glass.explain(torch.relu(x))
    jacobian = seen.edge("x", "relu(x)").jacobian
    assert jacobian.matrix == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert (jacobian.structure, jacobian.rows, jacobian.columns) == ("diagonal", 4, 4)
    assert jacobian.implicit_flops == 4 < jacobian.formed_flops == 32
    assert jacobian.formed_bytes == 4 * 4 * 4
    assert "numerator layout" in seen.convention


@pytest.mark.parametrize(
    ("make", "pattern"),
    [
        (lambda x: x + x, "add: gradient distributor"),
        (lambda x: x * x, "mul: swap multiplier"),
        (lambda x: torch.maximum(x, -x), "max: gradient router"),
        (lambda x: x.amax(), "max: gradient router"),
        (lambda x: x.expand(2, 3), "expand: gradient adder"),
        (lambda x: x.relu(), "relu: gradient gate"),
        (lambda x: x.reshape(3, 1), "view: gradient mover"),
        (lambda x: x[1:], "slice: gradient router"),
        (lambda x: x.exp(), "exp: gradient scaler"),
        (lambda x: x.sum(), "sum: gradient distributor"),
        (lambda x: x.floor(), "floor: gradient stop"),
    ],
)
def test_patterns(make, pattern):
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    seen = glass.explain(make(x))
    assert seen.nodes[seen.output].pattern == pattern


def test_every_value_and_gradient_of_a_network_is_that_of_the_backward_pass():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.LayerNorm(4), nn.Linear(4, 2))
    x, y = torch.randn(5, 3), torch.tensor([0, 1, 1, 0, 1])
    seen = glass.explain(lambda: F.cross_entropy(net(x), y), module=net)
    loss = F.cross_entropy(net(x), y)
    loss.backward()
    assert seen.nodes[seen.output].value.number == pytest.approx(loss.item(), rel=1e-6)
    for name, parameter in net.named_parameters():
        shown = seen.node(name)
        assert shown.kind == "parameter"
        np.testing.assert_allclose(shown.gradient.full, parameter.grad.numpy(), rtol=1e-5, atol=1e-7)
    assert all(n.value is not None for n in seen.nodes)
    assert {n.module for n in seen.nodes if n.op == "linear"} == {"0", "3"}
    assert all("test_explain.py" in n.place for n in seen.nodes if n.kind == "operation")


def test_a_composed_function_is_shown_operation_by_operation_however_often_it_ran():
    x, y = torch.randn(4, 3, requires_grad=True), torch.tensor([0, 1, 2, 0])
    for _ in range(4):
        loss = F.cross_entropy(x, y)
    assert loss._node.op.family == "composed"
    seen = glass.explain(loss)
    assert {"exp", "log", "gather", "mean"} <= {n.op for n in seen.nodes}
    assert seen.nodes[seen.output].name == "NllLossBackward0"
    (wanted,) = torch.autograd.grad(loss, x)
    np.testing.assert_allclose(seen.node("x").gradient.full, wanted.numpy(), rtol=1e-5)


def test_bytes_kept_count_each_storage_once_and_leave_leaves_out():
    x = torch.ones(100, requires_grad=True)
    y = x.exp()
    seen = glass.explain((y * y).sum())
    product = next(n for n in seen.nodes if n.op == "mul")
    assert next(n for n in seen.nodes if n.op == "exp").kept == ["out"]
    assert product.kept == ["x", "y"]
    assert product.kept_bytes == 800
    assert product.new_bytes == 0
    assert seen.kept_bytes == 400


def test_the_users_graph_and_hooks_are_left_alone():
    called = []
    x = torch.tensor(2.0, requires_grad=True)
    y = x * x
    y.register_hook(lambda g: called.append(g) or g * 10)
    seen = glass.explain(y * 1)
    assert not called
    assert seen.node("x").gradient.number == 4.0
    assert "Hooks" in seen.notes[-1]
    assert x.grad is None
    (y * 1).backward()
    assert x.grad.item() == 40.0


def test_large_tensors_are_summed_up_and_drawn():
    x = torch.arange(10_000.0).reshape(100, 100).requires_grad_()
    value = glass.explain((x * 2).sum()).node("x").value
    assert value.full is None
    assert len(value.heat) == len(value.heat[0]) == 24
    assert value.mean == pytest.approx(4999.5)
    assert value.heat[0][0] < value.heat[-1][-1]
    assert value.std == pytest.approx(x.detach().numpy().astype(float).std())


def test_statistics_of_huge_and_tiny_and_missing_numbers():
    from retrograd.glass.numbers import numbers_of

    huge = numbers_of(np.full(100, 1e169))
    assert huge.norm == pytest.approx(1e170)
    assert numbers_of(np.full(100, 1e-200)).norm == pytest.approx(1e-199)
    bad = numbers_of(np.array([1.0, np.nan, np.inf, -np.inf, 0.0] * 20))
    assert (bad.nan, bad.inf, bad.zeros, bad.max, bad.min) == (20, 40, 20, 1.0, 0.0)


def test_json_has_only_what_json_has():
    x = torch.tensor([-1.0, 0.0, 1.0], requires_grad=True)
    seen = glass.explain(torch.log(x).sum())
    text = json.dumps(seen.to_dict(), allow_nan=False)
    back = glass.Explanation.from_dict(json.loads(text))
    assert math.isnan(back.node("log(x)").value.full[0])
    assert back.node("log(x)").value.full[1] == -math.inf
    assert back.to_dict() == seen.to_dict()
    assert json.loads(text)["steps"][0]["phase"] == "forward"


def broken(data, way):
    if way == "a name":
        return {**data, "nodes": [{**data["nodes"][0], "evil": 1}]}
    if way == "no nodes":
        return {k: v for k, v in data.items() if k != "nodes"}
    if way == "an edge to nowhere":
        return {**data, "edges": [{**data["edges"][0], "target": 10**9}]}
    if way == "a circle":
        return {**data, "edges": [{**e, "source": e["target"], "target": e["source"]} for e in data["edges"]]}
    if way == "a result that is not there":
        return {**data, "output": -1}
    return {**data, "nodes": "x" * 100}


@pytest.mark.parametrize(
    "way", ["a name", "no nodes", "an edge to nowhere", "a circle", "a result that is not there", "text"]
)
def test_data_that_is_no_graph_is_refused(way):
    x = torch.tensor(1.0, requires_grad=True)
    data = glass.explain(x * x + x).to_dict()
    with pytest.raises(ValueError, match="not an explained graph"):
        glass.Explanation.from_dict(broken(data, way))


def test_a_value_that_only_an_operation_kept_is_found_there():
    x = torch.tensor(2.0, requires_grad=True)
    seen = glass.explain(torch.square(x + torch.rand(())))
    assert seen.node("v2").value.number ** 2 == pytest.approx(seen.nodes[seen.output].value.number)
    assert not seen.notes


def test_latex_of_special_characters_is_only_text():
    x = torch.tensor(2.0, requires_grad=True)
    source = glass.explain(x * x, names={r"a_b%c#d$e&f{g}\input{/etc/passwd}": x}).to_latex()
    assert r"a\_b\%c\#d\$e\&f\{g\}\backslash{}input\{/etc/passwd\}" in source
    assert r"\input" not in source


def test_a_newer_format_is_refused():
    x = torch.tensor(1.0, requires_grad=True)
    data = glass.explain(x * x).to_dict()
    with pytest.raises(ValueError, match="format 99"):
        glass.Explanation.from_dict({**data, "format": 99})


def test_steps_go_forward_and_then_back():
    names, f = circuit()
    steps = list(glass.explain(f, names=names).steps())
    phases = [s.phase for s in steps]
    assert phases == ["forward"] * phases.count("forward") + ["backward"] * phases.count("backward")
    assert [s.number for s in steps] == list(range(len(steps)))
    start = steps[phases.index("backward")]
    assert "start at 1 / (...) with upstream 1" in start.text
    assert "to 1 + exp(...): 1 x (-0.53444665) = -0.53444665" in start.text


def test_where_gradients_meet_the_step_shows_the_sum():
    x = torch.tensor(3.0, requires_grad=True)
    texts = [s.text for s in glass.explain(x * 2 + x * 5).steps()]
    assert "2 gradients meet at x: (5) + (2) = 7: this is its gradient" in texts


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.complex64])
def test_dtypes(dtype):
    x = torch.ones(2, 2, dtype=dtype, requires_grad=True)
    seen = glass.explain((x @ x).abs().sum())
    assert seen.node("x").dtype == str(dtype).split(".")[1]
    assert seen.node("x").gradient is not None


def in_place(x):
    y = x * 2
    y[0] = 0
    y.add_(1)
    return y.relu_().sum()


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, g):
        return 3 * g * ctx.saved_tensors[0] ** 2


SHAPES = {
    "in place": in_place,
    "a function of its own": lambda x: Cube.apply(x).sum(),
    "several results": lambda x: torch.linalg.svd(x)[1].sum(),
    "unbind": lambda x: sum(t * i for i, t in enumerate(x.unbind(0))).sum(),
    "indices": lambda x: x[torch.tensor([0, 0, 1])].sum(),
    "double": lambda x: torch.autograd.grad((x**3).sum(), x, create_graph=True)[0].sum(),
    "cat and prod": lambda x: torch.cat([x, x * 2]).prod(0).sum(),
    "cumsum": lambda x: x.cumsum(1).sum(),
    "pool": lambda x: F.max_pool2d(x[None, None], 2).sum(),
    "conv": lambda x: F.conv2d(x[None, None], torch.ones(2, 1, 2, 2), stride=2).sum(),
    "recurrence": lambda x: nn.LSTM(3, 2)(x)[0].sum(),
    "attention": lambda x: F.scaled_dot_product_attention(x, x, x).sum(),
    "compiled": torch.compile(lambda x: (x * x).sum()),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("how", ["result", "function"])
def test_gradients_of_all_kinds_of_graphs(name, how):
    torch.manual_seed(0)
    x = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    torch.set_default_dtype(torch.float64)
    try:
        function = SHAPES[name]
        if name == "compiled":
            for _ in range(3):
                function(x)
        torch.manual_seed(1)
        seen = glass.explain(function(x)) if how == "result" else glass.explain(function, x)
        torch.manual_seed(1)
        (wanted,) = torch.autograd.grad(function(x), x)
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_allclose(seen.node("x").gradient.full, wanted.numpy(), rtol=1e-10, atol=1e-12)
    str(seen), seen._repr_html_(), seen.to_latex(), json.dumps(seen.to_dict(), allow_nan=False)


def test_gradient_given_and_not_given():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    assert glass.explain(x * 3, gradient=torch.tensor([1.0, -1.0])).node("x").gradient.full == [3.0, -3.0]
    assert "those of their sum" in glass.explain(x * 3).notes[-1]
    with pytest.raises(RuntimeError, match=r"shape \[3\], the result has \[2\]"):
        glass.explain(x * 3, gradient=torch.ones(3))


def test_what_cannot_be_explained_says_why():
    x = torch.tensor(1.0, requires_grad=True)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match="backward\\(\\) has run"):
        glass.explain(y)
    with pytest.raises(RuntimeError, match="no history"):
        glass.explain(torch.ones(2))
    with pytest.raises(TypeError, match="gave a tuple"):
        glass.explain(lambda: (x, x))
    with pytest.raises(TypeError, match="a Tensor, a Module or a function"):
        glass.explain(3)
    with pytest.raises(TypeError, match="inputs only with"):
        glass.explain(x * 2, x)
    with pytest.raises(KeyError, match="there is no node 'q'"):
        glass.explain(x * 2).node("q")


def test_a_deep_graph_takes_no_recursion():
    x = torch.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(2000):
        y = y * 1.001
    seen = glass.explain(y)
    assert len(seen.backward) == 2001
    assert seen.node("x").gradient.number == pytest.approx(1.001**2000, rel=1e-3)


def test_names_that_attack_are_only_text():
    bad = "<script>alert(1)</script>"
    x = torch.tensor(2.0, requires_grad=True)
    seen = glass.explain(x * x, names={bad: x})
    assert bad in str(seen)
    html = seen._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert r"\textless{}script\textgreater{}" in seen.to_latex()


def test_a_watch_keeps_what_an_explanation_wants():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    with glass.watch() as watched:
        y = (x + torch.tensor([5.0, 6.0])).sum()
    seen = glass.explain(y, watched=watched)
    assert seen.nodes[2].value.full == [6.0, 8.0]
    assert not seen.notes
    z = (x + 1).sum()
    assert z._node not in watched.values


def test_transposes_say_which_dimensions_change_places():
    x = torch.ones(2, 3, 4, requires_grad=True)
    seen = glass.explain(x.transpose(0, 1).sum() + x.transpose(1, 2).sum())
    assert {n.label for n in seen.nodes if n.op == "transpose"} == {"transpose(x, 0, 1)", "x.T"}
