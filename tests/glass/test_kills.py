"""A recorded run that is killed, at whatever moment, leaves a record that opens."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from retrograd import glass
from retrograd.glass.report import gather

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and a signal that cannot be caught")

PROGRAM = """
import os, sys
import retrograd as torch
from retrograd import glass
from retrograd.glass.recording import files

files.MOST_ON_DISK = 30  # so that the file of losses is written anew all the time

def train(way, folder):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = torch.nn.Sequential(torch.nn.Linear(6, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
    rule = torch.optim.Adam(model.parameters(), lr=0.01)
    x = torch.randn(16, 6)

    def step(x):
        rule.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        rule.step()
        return loss

    if way == "compiled":
        step = torch.compile(step)
    options = {"level": "all", "every": 2} if way == "arrays" else {"every": 1}
    with glass.record(model, folder, **options):
        for i in range(10**9):
            step(x)
            if i == 8:
                os.write(1, b"%d\\n" % os.getpid())

children = []
for folder in sys.argv[2:]:  # one process begins them all, since beginning takes longer than all else
    child = os.fork()
    if child == 0:
        try:
            train(sys.argv[1], folder)
        finally:
            os._exit(1)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
"""

COMMAND = """
import os, torch
model = torch.nn.Sequential(torch.nn.Linear(6, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
rule = torch.optim.SGD(model.parameters(), lr=0.01)
for i in range(10**9):
    rule.zero_grad()
    model(torch.randn(16, 6)).square().mean().backward()
    rule.step()
    if i == 8:
        os.write(1, b"%d\\n" % os.getpid())
"""


@pytest.mark.parametrize(("way", "count"), [("eager", 7), ("compiled", 6), ("arrays", 6), ("command", 1)])
def test_a_record_killed_at_any_moment_opens(tmp_path, way, count):
    program = tmp_path / "train.py"
    program.write_text(COMMAND if way == "command" else PROGRAM)
    folders = [tmp_path / f"run-{i}" for i in range(count)]
    arguments = [str(program), way, *map(str, folders)]
    if way == "command":
        arguments = ["-m", "retrograd.cli", "run", "--glass-dir", str(folders[0]), str(program)]
    rng = random.Random(way)
    session = {"stdout": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen([sys.executable, *arguments], **session) as running:
        try:
            for _ in range(count):
                child = int(running.stdout.readline())
                time.sleep(rng.uniform(0.0, 0.1))
                os.kill(child, signal.SIGKILL)
        finally:
            os.killpg(running.pid, signal.SIGKILL)
    for folder in folders:
        opens(folder, way)


def opens(folder, way):
    back = glass.open_record(folder)
    assert back.steps and back.nodes
    for path in folder.glob("*.jsonl"):
        assert path.read_bytes()[:1] in (b"{", b"")
    numbers = [s for s, _ in back.losses]
    assert numbers == sorted(set(numbers)), "a step is there twice, or in another's place"
    for line in back.statistics:
        assert line["nodes"] and line["parameters"]
    for step in back.array_steps:  # each file is there whole or not at all
        arrays = back.arrays(step)
        assert arrays and all(np.isfinite(a).all() for a in arrays.values())
    assert (way == "arrays") == bool(back.array_steps)
    assert back.findings() is not None
    data = gather(record=back)
    assert data["graph"]["nodes"] and data["record"]["series"]
