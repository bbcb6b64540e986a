"""The doctor over records of the examples, whose networks train: it has nothing to say."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
# by name, the steps between two looks, so that short runs are looked at enough and long ones not too often
TRAINED = {
    "adversarial_digits": 8,
    "character_gpt": 4,
    "from_the_foundations": 60,
    "lstm_parity": 2,
    "momentum_residual": 5,
    "neural_turing_machine": 4,
    "policy_gradient": 1,
    "residual_digits": 3,
    "ten_thousand_layers": 2,
    "udl_figure_7_8": 200,
    "variational_autoencoder": 20,
}
PROGRAM = """
import contextlib, io, runpy, sys
import retrograd.as_torch
from retrograd import glass

path, every = sys.argv[1:]
sys.argv = [path]
sys.path.insert(0, path.rpartition("/")[0])
with contextlib.redirect_stdout(io.StringIO()), glass.record(every=int(every)) as seen:
    runpy.run_path(path, run_name="__main__")
assert len(seen.steps) >= 3 and seen.statistics[-1]["parameters"], (seen.steps, seen.notes)
assert all("within a memory budget" in note for note in seen.notes), seen.notes
found = glass.doctor(seen)
print("; ".join(str(f) for f in found))
"""


@pytest.mark.parametrize("name", list(TRAINED))
def test_a_network_of_the_examples_has_no_finding(name, tmp_path):
    text = (EXAMPLES / f"{name}.py").read_text()
    for needed in ("sklearn", "matplotlib", "scipy"):
        if f"import {needed}" in text or f"from {needed}" in text:
            pytest.importorskip(needed)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(EXAMPLES / f"{name}.py"), str(TRAINED[name])],
        env={**os.environ, "RETROGRAD_SMOKE": "1", "MPLBACKEND": "Agg"}, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
