"""An unmodified program prints the same under PyTorch and in its place."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

EXAMPLES = Path(__file__).parents[2] / "examples"
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]\d+)?")


def output(folder, *words):
    smoke = {**os.environ, "RETROGRAD_SMOKE": "1", "OMP_NUM_THREADS": "1"}  # PyTorch's threads wait for busy cores
    done = subprocess.run([sys.executable, *words], cwd=folder, env=smoke, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["udl_figure_7_8.py", "udl_figure_7_7.py"])
def test_the_same_lines(tmp_path, name):
    program = str(EXAMPLES / name)
    theirs = output(tmp_path, program).splitlines()
    ours = output(tmp_path, "-m", "retrograd.cli", "run", program).splitlines()
    assert [NUMBER.sub("#", line) for line in ours] == [NUMBER.sub("#", line) for line in theirs]
    for one, other in zip(ours, theirs):
        numbers, expected = (list(map(float, NUMBER.findall(line))) for line in (one, other))
        assert numbers == pytest.approx(expected, abs=0.001, rel=0)
