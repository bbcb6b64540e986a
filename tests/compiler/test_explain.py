"""``explain`` tells what a compiled function became, and leaves everything of the user's as it was."""

from __future__ import annotations

import json

import numpy as np
import pytest

import retrograd as torch

pytestmark = pytest.mark.filterwarnings("ignore:.*runs eagerly")


def trained(calls=3):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 4))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    x, y = torch.randn(12, 8), torch.randint(0, 4, (12,))

    @torch.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(calls):
        step(x, y)
    return step, net, optimizer, x, y


def everything(net, optimizer):
    found = [*net.parameters()] + [p.grad for p in net.parameters()]
    found += [s["momentum_buffer"] for s in optimizer.state.values()]
    return [t.detach().numpy().copy() for t in found]


def test_before_the_first_call_it_says_what_will_happen():
    explanation = torch.compile(lambda x: x + 1).explain()
    assert "not been called yet" in str(explanation)
    assert explanation.data["programs"] == []


def test_after_the_first_call_it_is_warming():
    step, *_ = trained(1)
    assert "have run eagerly so far" in step.explain().text
    assert step.explain().data["warming"] == [["float32[12,8]", "int64[12]"]]


def test_nothing_of_the_users_changes_and_the_next_step_is_as_it_would_have_been():
    one, net, optimizer, x, y = trained()
    other, net2, optimizer2, *_ = trained()
    before, stream = everything(net, optimizer), torch.get_rng_state()
    one.explain(rounds=2)
    for a, b in zip(before, everything(net, optimizer)):
        np.testing.assert_array_equal(a, b)
    assert torch.equal(stream, torch.get_rng_state())
    for _ in range(3):
        assert one(x, y).item() == other(x, y).item()
    for a, b in zip(everything(net, optimizer), everything(net2, optimizer2)):
        np.testing.assert_array_equal(a, b)


def test_the_data_is_json_and_the_text_tells_it():
    step, *_ = trained()
    explanation = step.explain(rounds=2)
    data = json.loads(json.dumps(explanation.data))
    (program,) = data["programs"]
    (part,) = program["parts"]
    assert repr(explanation) == str(explanation) == explanation.text
    assert "product 12x8 @ 8x16" in explanation.text
    assert program["graph"]["nodes"] == program["passes"][0]["before"]
    for one, following in zip(program["passes"], program["passes"][1:]):
        assert one["after"] == following["before"]
    for one in program["passes"]:
        assert one["after"] - one["before"] == sum(one["added"].values()) - sum(one["removed"].values())
    kernels = part["kernels"]
    assert sum(k["runs"] for k in kernels) == part["steps"]
    assert sum(k["share"] for k in kernels) == pytest.approx(1.0)
    assert part["seconds"] > 0 and all(k["seconds"] >= 0 for k in kernels)
    assert part["compile"]["python_seconds"] > 0 and part["compile"]["llvm_seconds"] > 0
    assert part["compile"]["code_from"] in ("LLVM", "the disk cache", "this process")
    assert all(line.rpartition(":")[0].endswith(".py") for k in kernels for line in k["lines"])


def test_products_tell_their_sizes_and_arithmetic():
    @torch.compile
    def product(a, b):
        return a @ b

    for _ in range(2):
        product(torch.ones(5, 6), torch.ones(6, 7))
    (part,) = product.explain(rounds=1).data["programs"][0]["parts"]
    (kernel,) = part["kernels"]
    assert (kernel["m"], kernel["k"], kernel["n"], kernel["flops"]) == (5, 6, 7, 2 * 5 * 6 * 7)
    assert (kernel["bytes_read"], kernel["bytes_written"]) == (4 * (5 * 6 + 6 * 7), 4 * 5 * 7)
    assert kernel["by"] in ("own nest", "own kernel", "library")


def test_loops_tell_their_sweeps_statements_and_bytes():
    softmax = torch.compile(lambda x: torch.softmax(x, -1))
    for _ in range(2):
        softmax(torch.ones(6, 10))
    (part,) = softmax.explain(rounds=1).data["programs"][0]["parts"]
    (kernel,) = (k for k in part["kernels"] if k["kind"] == "loops")
    assert (kernel["domain"], kernel["rows"], kernel["columns"]) == ([6, 10], [6], [10])
    assert kernel["sweeps"] == 3
    assert (kernel["bytes_read"], kernel["bytes_written"]) == (240, 240)
    assert any("exp" in s for s in kernel["statements"])


def test_a_gradient_asked_for_outside_makes_two_parts():
    net = torch.nn.Linear(3, 2)
    compiled = torch.compile(net)
    for _ in range(2):
        compiled(torch.ones(4, 3)).sum().backward()
    gradient = net.weight.grad.numpy().copy()
    (program,) = compiled.explain(rounds=1).data["programs"]
    assert [p["name"] for p in program["parts"]] == ["forward", "backward"]
    np.testing.assert_array_equal(net.weight.grad.numpy(), gradient)


def test_what_crosses_and_what_is_computed_twice_is_told():
    net = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.GELU(), torch.nn.LayerNorm(64), torch.nn.Linear(64, 4))
    run, x = torch.compile(net), torch.randn(32, 8)
    for _ in range(3):
        run(x).square().sum().backward()
    page = run.explain(rounds=0)
    (program,) = page.data["programs"]
    between = program["between"]
    assert any(v["value"] == "erf float32[32,64]" for v in between["computed_again"])  # cheaper than its bytes
    assert not any(v["value"].startswith("matmul") for v in between["computed_again"])
    assert all("test_explain.py" in v["line"] for v in between["computed_again"])
    assert {"value": "input float32[32,8]", "bytes": 1024} in between["read_again"]
    forward, backward = program["parts"]
    handed = sum(v["bytes"] for v in between["handed"])
    assert 0 < handed == forward["memory"]["output_bytes"] - 4 * 32 * 4
    assert f"{len(between['computed_again'])} values of 72 KiB computed again:" in page.text
    assert "handed over" in page.text and "read again where it lies" in page.text
    whole = torch.compile(lambda x: x.exp())
    for _ in range(3):
        whole(x)
    assert whole.explain(rounds=0).data["programs"][0]["between"] is None


def test_draws_are_not_taken_from_the_users_generator():
    drop = torch.compile(lambda x: torch.nn.functional.dropout(x, 0.5))
    for _ in range(2):
        drop(torch.ones(50))
    before = torch.get_rng_state()
    text = drop.explain(rounds=3).text
    assert "draw bernoulli [50]" in text and "0 NumPy calls" in text
    assert torch.equal(before, torch.get_rng_state())


def test_the_memory_plan_adds_up():
    step, *_ = trained()
    memory = step.explain(rounds=0).data["programs"][0]["parts"][0]["memory"]
    assert memory["peak_bytes"] == max(memory["live_bytes"]) <= memory["arena_bytes"] <= memory["sum_bytes"] + 128 * 64
    parameters = 4 * (8 * 16 + 16 + 16 * 4 + 4)
    assert memory["written_bytes"] == 2 * parameters  # and their momentum
    assert memory["output_bytes"] == parameters + 4  # the gradients, and the loss


def test_reasons_for_eager_calls_are_told():
    def branch(x):
        return x + 1 if x.sum() > 0 else x

    compiled = torch.compile(branch)
    for _ in range(2):
        compiled(torch.ones(3))
    explanation = compiled.explain()
    assert "asked for a value" in explanation.data["eager"][0]["reason"]
    assert "run eagerly, because" in explanation.text


def test_code_is_given_on_request():
    softplus = torch.compile(lambda x: torch.nn.functional.softplus(x))
    for _ in range(2):
        softplus(torch.ones(40))
    plain = softplus.explain(rounds=0)
    full = softplus.explain(rounds=0, ir=True, assembly=True, graph=True, guards=True)
    kernel = full.data["programs"][0]["parts"][0]["kernels"][0]
    assert kernel["ir"].startswith("define ") and kernel["ir"].endswith("}")
    assert f"{kernel['symbol']}:" in kernel["assembly"] and "ret" in kernel["assembly"]
    assert "define " in full.text and "define " not in plain.text
    assert "graph(" in full.text


def test_guards_are_counted_and_listed():
    scale = {"by": 3}

    @torch.compile
    def scaled(x):
        return x * scale["by"]

    for _ in range(2):
        scaled(torch.ones(3))
    explanation = scaled.explain(rounds=0, guards=True)
    guards = explanation.data["programs"][0]["guards"]
    assert guards["count"] >= len(guards["list"]) > 0
    assert any("scale" in g["name"] and g["value"] == "3" for g in guards["list"])
    assert "the variable scale" in explanation.text


def test_a_compiled_function_whose_name_is_used_inside_it_is_compiled_once():
    scope = {"torch": torch}
    text = """
net = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
@torch.compile
def step(x):
    optimizer.zero_grad()
    net(x).sum().backward()
    optimizer.step()
for _ in range(5):
    step(torch.ones(3, 2))
"""
    exec(compile(text, "<a program>", "exec"), scope)
    assert len(scope["step"].explain(rounds=0).data["programs"]) == 1
