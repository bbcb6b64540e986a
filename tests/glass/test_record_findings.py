"""The doctor over records: each sick training has its one finding, a healthy one has none; parameters keep their names."""

from __future__ import annotations

import gc
import json
import math
import os
import subprocess
import sys
import weakref

import pytest

import retrograd as torch
from retrograd import glass
from retrograd.glass.recording.names import held

nn = torch.nn
F = nn.functional


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def mlp(depth=3, variance=None, bias=0.0):
    layers = []
    for _ in range(depth):
        layer = nn.Linear(32, 32)
        nn.init.normal_(layer.weight, std=math.sqrt(variance or 2 / 32))
        nn.init.constant_(layer.bias, bias)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(32, 10))


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused = mlp(), nn.Linear(32, 10)

    def forward(self, x):
        return self.used(x)


class Branches(nn.Module):
    """Residual branches whose last weights begin at zero."""

    def __init__(self, count=8):
        super().__init__()
        self.inner = nn.ModuleList([nn.Linear(32, 32) for _ in range(count)])
        self.last = nn.ModuleList([nn.Linear(32, 32) for _ in range(count)])
        self.out = nn.Linear(32, 10)
        for layer in [*self.last, self.out]:
            nn.init.zeros_(layer.weight)

    def forward(self, x):
        for inner, last in zip(self.inner, self.last, strict=True):
            x = x + last(torch.relu(inner(x)))
        return self.out(x)


def trained(net, rate=1e-2, steps=25, kind=torch.optim.SGD, every=1, directory=None):
    optimizer = kind(net.parameters(), lr=rate)
    x, y = torch.randn(64, 32), torch.randint(0, 10, (64,))
    with glass.record(net, directory, every=every) as seen:
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
    return seen


class Still(torch.optim.SGD):
    """Changes each weight by a thousandth of itself, whatever the gradient is."""

    def step(self, closure=None):
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    p.mul_(0.999)


class Wild(torch.optim.SGD):
    """Changes each weight by half of its size in a random direction."""

    def step(self, closure=None):
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    change = torch.randn_like(p)
                    p.add_(change * (0.5 * p.norm() / change.norm()))


class Growing(torch.optim.SGD):
    """Makes each weight larger by a twelfth."""

    def step(self, closure=None):
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    p.mul_(1.08)


SICK = {
    "vanishing": lambda: trained(mlp(20, 0.005)),
    "exploding": lambda: trained(mlp(20, 0.3), kind=Still),
    "dead-units": lambda: trained(mlp(1, bias=-20.0)),
    "no-gradient": lambda: trained(Unused()),
    "learning-rate, small": lambda: trained(mlp(), 1e-9),
    "learning-rate, large": lambda: trained(mlp(), kind=Wild, steps=6),
    "learning-rate, diverging": lambda: trained(mlp(), kind=Growing),
    "not-finite": lambda: trained(mlp(), 1e6),
}


@pytest.mark.parametrize("kind", list(SICK))
def test_each_sick_training_has_its_finding_and_no_other(kind):
    seen = SICK[kind]()
    assert {f.kind for f in glass.doctor(seen)} == {kind.partition(",")[0]}, [str(f) for f in seen.findings()]


@pytest.mark.parametrize("make", [mlp, Branches, lambda: mlp(20)])
@pytest.mark.parametrize("every", [1, 7])
def test_a_healthy_training_has_none(make, every, tmp_path):
    seen = trained(make(), 0.05, 60, every=every, directory=tmp_path / "run")
    assert list(glass.doctor(seen)) == []
    assert list(glass.doctor(glass.open_record(tmp_path / "run"))) == []


@pytest.mark.parametrize("first", [0, 3])
def test_weights_that_grow_from_zero_say_nothing_of_the_rate(first):
    seen = trained(Branches(), 0.05, 30)
    del seen.statistics[:first]  # as where the steps at which they were zero were not looked at
    ratios = [
        e["update_ratio"] for n, e in seen.statistics[4]["parameters"].items() if n.startswith("last") and "weight" in n
    ]
    assert max(ratios) > 0.1
    assert seen.findings() == []


def test_a_weight_far_below_its_usual_size_says_nothing_of_the_rate():
    net = nn.Linear(32, 10)
    nn.init.zeros_(net.weight)
    seen = trained(net, 1e-3, 8)
    del seen.statistics[:2]
    assert min(seen.of("parameters", "weight", "update_ratio")[1]) > 0.1
    assert seen.findings() == []


def test_a_name_is_the_tensor_s_and_not_its_id_s():
    gone, new = torch.zeros(1), torch.zeros(1)
    assert held({id(new): (weakref.ref(gone), "old")}, new) is None
    assert held({id(new): (weakref.ref(new), "new")}, new) == "new"


def test_names_of_a_model_that_is_gone_are_not_given_to_the_next():
    def step(net, x):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        net(x).square().mean().backward()
        optimizer.step()

    with glass.record(every=1) as seen:
        for size in (3, 4, 5):
            step(nn.Sequential(nn.Linear(size, 2), nn.Linear(2, 1)), torch.ones(2, size))
            gc.collect()
        step(nn.Linear(6, 1), torch.ones(2, 6))
    sizes = seen.meta["parameters"]
    assert [sizes[n] for n in ("0.weight", "0.weight (2)", "0.weight (3)", "weight")] == [
        [2, 3],
        [2, 4],
        [2, 5],
        [1, 6],
    ]
    assert not [n for n in sizes if n.startswith("parameter ")]


def test_a_module_s_result_is_what_the_gradient_comes_back_through():
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))
    with glass.record(net, every=1) as seen:
        net(torch.randn(16, 4)).square().mean().backward()
    assert seen.modules()["1"]["value"][1] == pytest.approx(
        1, abs=0.05
    )  # not the running statistics, which are computed after it
    assert all("gradient" in entry for entry in seen.modules().values())
    json.dumps(seen.to_page(), allow_nan=False)


def test_two_models_of_one_step_are_told_apart():
    one, two = nn.Linear(3, 3), nn.Linear(3, 1)
    optimizers = [torch.optim.SGD(m.parameters(), lr=0.1) for m in (one, two)]
    with glass.record(every=1) as seen:
        for _ in range(3):
            for optimizer in optimizers:
                optimizer.zero_grad()
                two(one(torch.ones(2, 3))).square().mean().backward()
                optimizer.step()
    assert seen.meta["parameters"] == {
        "one.weight": [3, 3],
        "one.bias": [3],
        "two.weight": [1, 3],
        "two.bias": [1],
    }
    assert seen.meta["model"] == "one: Linear, two: Linear"
    assert [n["module"] for n in seen.nodes] == ["one", "two"] and seen.nodes[1]["inputs"] == []


def test_a_run_within_a_memory_budget_names_its_parameters_and_says_what_is_missing():
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with glass.record(every=1) as seen:
        for _ in range(4):
            with torch.memory.memory_budget("10MB"):
                optimizer.zero_grad()
                net(torch.ones(2, 32)).square().mean().backward()
            optimizer.step()
    assert set(seen.statistics[-1]["parameters"]) == {n for n, _ in net.named_parameters()}
    assert any("memory budget" in note for note in seen.notes)


def test_raw_tensors_have_steps_operations_and_names():
    x, y = torch.randn(50, 3), torch.randn(50)
    w, b = torch.randn(3, requires_grad=True), torch.zeros(1, requires_grad=True)
    with glass.record(every=2) as seen:
        for _ in range(7):
            (x @ w + b - y).square().mean().backward()
            with torch.no_grad():
                for p in (w, b):
                    p -= 0.1 * p.grad
                    p.grad.zero_()
    assert seen.steps == [0, 2, 4, 6] and len(seen.losses) == 7
    assert [n["op"] for n in seen.nodes if n["op"] != "view"] == ["matmul", "add", "sub", "square", "mean"]
    assert seen.meta["parameters"] == {"w": [3], "b": [1]}
    assert all(e["update_ratio"] > 0 and e["gradient"][4] > 0 for e in [seen.statistics[1]["parameters"]["w"]])
    assert "update / weight" in str(seen) and seen.findings() == []


def test_gradients_are_gathered_and_two_optimizers_update_in_one_step():
    encoder, decoder = nn.Linear(6, 2), nn.Linear(2, 6)
    rules = [torch.optim.SGD(m.parameters(), lr=0.01) for m in (encoder, decoder)]
    with glass.record(every=1) as seen:
        for _ in range(4):
            for _ in range(3):
                decoder(encoder(torch.randn(5, 6))).square().mean().backward()
            for rule in rules:
                rule.step()
                rule.zero_grad()
    assert seen.steps == [0, 1, 2, 3] and list(seen.meta["classes"]) == ["encoder", "decoder"]
    assert all(
        len(line["parameters"]) == 4 and "gradient" in line["parameters"]["decoder.weight"] for line in seen.statistics
    )


def test_an_optimizer_that_calls_for_the_loss_makes_one_step_of_it():
    net, x = nn.Sequential(nn.Linear(1, 5), nn.Tanh(), nn.Linear(5, 1)), torch.randn(8, 1)
    rule = torch.optim.LBFGS(net.parameters(), max_iter=3)

    def closure():
        rule.zero_grad()
        loss = (net(x) - x.sin()).square().mean()
        loss.backward()
        return loss

    with glass.record(net, every=1) as seen:
        for _ in range(3):
            rule.step(closure)
    assert seen.steps == [0, 1, 2] and all(len(line["parameters"]) == 4 for line in seen.statistics)


def test_modules_have_their_classes_and_a_compiled_step_its_kernels():
    net = mlp()
    rule = torch.optim.Adam(net.parameters(), lr=1e-3)

    @torch.compile
    def step(x, y):
        rule.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        rule.step()
        return loss

    with glass.record(net, every=2) as seen:
        for _ in range(8):
            step(torch.randn(12, 32), torch.randint(0, 10, (12,)))
    page = seen.to_page()
    assert page["graph"]["classes"]["0"] == "Linear"
    assert page["kernels"] and "matmul" in page["graph"]["nodes"][0]["attributes"]["kernels"]


def test_weights_that_a_hook_computes_are_seen():
    with pytest.warns(FutureWarning):
        net = nn.Sequential(nn.utils.weight_norm(nn.Linear(6, 8)), nn.ReLU(), nn.utils.spectral_norm(nn.Linear(8, 1)))
    rule = torch.optim.SGD(net.parameters(), lr=0.01)
    with glass.record(net, every=1) as seen:
        for _ in range(4):
            rule.zero_grad()
            net(torch.randn(5, 6)).square().mean().backward()
            rule.step()
    assert seen.notes == [] and seen.steps == [0, 1, 2, 3]
    assert {"0", "1", "2"} <= set(seen.modules())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_forked_process_leaves_the_record_alone(tmp_path):
    program = """
import os, sys
import torch
net = torch.nn.Linear(3, 1)
rule = torch.optim.SGD(net.parameters(), lr=0.01)
for i in range(9):
    rule.zero_grad()
    net(torch.ones(2, 3)).square().mean().backward()
    rule.step()
    if i == 4:
        child = os.fork()
        if not child:
            sys.exit()
        os.waitpid(child, 0)
"""
    (tmp_path / "train.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "-m", "retrograd", "run", "--glass-dir", "out", "train.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stderr.count("9 steps") == 1 and "5 steps" not in done.stderr, done.stderr
    assert [step for step, _ in glass.open_record(tmp_path / "out").losses] == list(range(9))
