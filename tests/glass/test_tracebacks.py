"""A program's error shows the program and the library, recorded or not, and never the recorder."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from contextlib import nullcontext as nothing

import pytest

import retrograd as torch
from retrograd import glass
from retrograd.glass.recording.doors import OURS

nn = torch.nn


class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, x):
        try:
            return self.layer(x)
        except RuntimeError as error:
            raise ValueError("told in other words") from error


def compiled():
    net = nn.Linear(3, 4)
    step = torch.compile(lambda x: net(x).sum())
    for size in (3, 3, 3, 5):
        step(torch.ones(2, size))


FAILING = {
    "forward": lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(5, 1))(torch.ones(2, 3)),
    "backward": lambda: nn.Linear(3, 4)(torch.ones(2, 3)).backward(),
    "a cause": lambda: Deep()(torch.ones(2, 5)),
    "compiled": compiled,
}


@pytest.mark.parametrize("kind", list(FAILING))
def test_no_frame_of_the_recorder_is_shown(kind):
    shown = []
    for recorded in (False, True):
        with pytest.raises((RuntimeError, ValueError)) as caught, glass.record(every=1) if recorded else nothing():
            FAILING[kind]()
        lines = traceback.format_exception(caught.value)
        assert OURS not in "".join(lines)
        shown.append([line for line in lines if __file__ not in line])
    assert shown[0] == shown[1]


def test_a_program_s_traceback_is_that_without_a_recorder(tmp_path):
    program = """
import torch
net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 1))
for size in (3, 5):
    net(torch.ones(2, size)).sum().backward()
"""
    (tmp_path / "train.py").write_text(program)
    errors = []
    for words in ([], ["--glass-dir", "out"]):
        done = subprocess.run(
            [sys.executable, "-m", "retrograd", "run", *words, "train.py"],
            cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert done.returncode == 1
        errors.append(done.stderr)
    plain, recorded = errors
    assert recorded.startswith(plain) and recorded[len(plain) :].startswith("retrograd run --glass: ")
