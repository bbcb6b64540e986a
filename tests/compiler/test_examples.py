"""Examples print compiled what they print eagerly: their training steps are found, taken out of their loops, and compiled."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# and the statement that the step begins with
EXAMPLES = {"udl_figure_7_8": 35, "character_gpt": 102, "variational_autoencoder": 62}


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


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_same_numbers(name, tmp_path):
    if name == "variational_autoencoder":
        pytest.importorskip("sklearn")
    program = str(ROOT / "examples" / f"{name}.py")
    eager = run(["-m", "retrograd.cli", "run", program], tmp_path).stdout
    done = run([str(ROOT / "scripts" / "run_compiled"), program], tmp_path)
    assert eager
    assert not list(script("compare_examples").differences(done.stdout.splitlines(), eager.splitlines()))
    said = done.stderr.splitlines()[-1].split()
    assert said[:4] == ["_step_0", "at", "line", f"{EXAMPLES[name]}:"]
    assert int(said[4]) >= 1


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
