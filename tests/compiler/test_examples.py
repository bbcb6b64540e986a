"""Programs print compiled what they print eagerly: their training steps are found, taken out of their loops, and compiled.

All of the examples are compared by ``scripts/compare_examples --compiled``.
"""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def script(name):
    path = str(ROOT / "scripts" / name)
    loader = importlib.machinery.SourceFileLoader(name, path)
    spec = importlib.util.spec_from_loader(name, loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def run(words, folder):
    environment = {**os.environ, "MPLBACKEND": "Agg", "RETROGRAD_SMOKE": "1"}
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )


def test_the_same_numbers(tmp_path):
    program = str(ROOT / "examples" / "udl_figure_7_8.py")
    eager = run(["-m", "retrograd.cli", "run", program], tmp_path).stdout
    done = run([str(ROOT / "scripts" / "run_compiled"), program], tmp_path)
    assert eager
    assert not list(script("compare_examples").differences(done.stdout.splitlines(), eager.splitlines()))
    assert done.stderr.splitlines()[-1] == "step at line 35: 1 programs"


FIRST = {
    "x = 1; y = x": "assigned",
    "y = x; x = 1": "read",
    "x += 1": "read",
    "y = 1": None,
    "with a: x = 1": "assigned",
    "with a(x): x = 1": "read",
    "if a: x = 1": None,
    "if a:\n  x = 1\nelse:\n  x = 2": "assigned",
    "if a:\n  x = 1\nelse:\n  y = x": "read",
    "if a: x = 1\ny = x": "read",
    "for i in a: x = 1": None,
    "for x in a: y = x": None,
    "for i in x: y = 1": "read",
    "for i in a:\n  x = 1\n  y = x": None,
    "while a: y = x": "read",
    "x[0] = 1": "read",
    "x, y = 1, 2": "assigned",
}


@pytest.mark.parametrize("text", FIRST)
def test_what_becomes_of_a_variable_first(text):
    """A step is given what it reads before it assigns it, and no more: it may not be there yet."""
    assert script("run_compiled").first_use("x", ast.parse(text).body) == FIRST[text]


PROGRAM = """
import torch
torch.manual_seed(0)
net = torch.nn.Linear(3, 1)
sgd = torch.optim.SGD(net.parameters(), lr=0.1)
total = 0.0
for k in range(6):
    x = torch.randn(4, 3)
    loss = net(x).pow(2).mean()
    sgd.zero_grad()
    loss.backward()
    sgd.step()
    total += loss.item()
print(f"{total:.6f} {float(net.weight.sum()):.6f}")
"""


def test_a_program_without_functions(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = run([str(ROOT / "scripts" / "run_compiled"), str(program)], tmp_path)
    assert done.stdout == run(["-m", "retrograd.cli", "run", str(program)], tmp_path).stdout
    assert "1 programs" in done.stderr


TRAINING = """
def step(x):
    loss = net(x).sum()
    loss.backward()
def train(rows):
    for x in rows:
        loss = net(x).sum()
        loss.backward()
        sgd.step()
for k in range(3):
    train(rows)
for x in rows:
    step(x)
    sgd.step()
"""


def test_a_step_is_no_whole_training():
    tree = ast.parse(TRAINING)
    steps = script("run_compiled").Steps(tree)
    steps.visit(tree)
    assert [ast.unparse(f.body[0]) for f in steps.made] == ["loss = net(x).sum()", "step(x)"]
