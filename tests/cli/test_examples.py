"""The examples run in torch's place, and print what they should."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
RECORDED = Path(__file__).parent / "udl_figure_7_8.txt"  # PyTorch 2.13's output


def run(name, folder):
    argv = [sys.executable, "-m", "retrograd.cli", "run", str(EXAMPLES / name)]
    smoke = {**os.environ, "RETROGRAD_SMOKE": "1"}
    done = subprocess.run(argv, cwd=folder, env=smoke, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def losses(text):
    return [float(line.rpartition(" ")[2]) for line in text.splitlines()]


def test_figure_7_8_prints_pytorchs_losses(tmp_path):
    ours, theirs = losses(run("udl_figure_7_8.py", tmp_path)), losses(RECORDED.read_text())
    assert len(ours) == 100
    assert ours == pytest.approx(theirs, abs=0.001, rel=0)


def test_figure_7_7_has_the_slopes_of_the_theory(tmp_path):
    rows = re.findall(
        r"^(?:[\d.]+) +([-+.\d]+) +([-+.\d]+) +([-+.\d]+)$", run("udl_figure_7_7.py", tmp_path), re.MULTILINE
    )
    assert len(rows) == 5
    for theory, forward, backward in rows:
        assert (float(forward), float(backward)) == pytest.approx((float(theory),) * 2, abs=0.1)


def test_from_the_foundations(tmp_path):
    pytest.importorskip("sklearn", reason="its data comes with the examples extra")
    rows = re.findall(r"^  (\w+) +(.*)%$", run("from_the_foundations.py", tmp_path), re.MULTILINE)
    table = {name: [float(number) for number in numbers.split()] for name, numbers in rows}
    assert list(table) == ["naive", "glorot", "kaiming", "lsuv"]
    assert table["lsuv"][2] == pytest.approx(1.0, abs=0.01)
    assert min(numbers[-1] for numbers in table.values()) > 50
