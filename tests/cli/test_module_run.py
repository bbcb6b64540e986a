"""``python -m retrograd`` is the ``retrograd`` command."""

from __future__ import annotations

import subprocess
import sys


def test_the_module_runs_a_program(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import sys, torch\nprint(torch.ones(2).sum().item(), sys.argv[1:])\nsys.exit(3)\n")
    done = subprocess.run(
        [sys.executable, "-m", "retrograd", "run", str(program), "--rate", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("2.0 ['--rate', '1']\n", 3)
