"""`import retrograd.as_torch` makes torch's names mean this library's modules, and says what it lacks."""

import subprocess
import sys

import pytest


@pytest.fixture
def python(tmp_path):
    """Run a few lines in a fresh process, warnings as errors, and give what they print; stderr must stay empty."""

    def lines(source, path=tmp_path):
        argv = [sys.executable, "-W", "error", "-c", source]
        done = subprocess.run(argv, cwd=path, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.strip()

    return lines


def test_every_spelling_gives_the_same_module(python):
    assert (
        python("""
import retrograd.as_torch, sys
import torch
import torch.nn.functional as F
import torch.optim.lr_scheduler
import torch.utils.data
from torch import nn, optim
from torch.nn import functional
from torch.utils.data import DataLoader
import retrograd
assert torch is retrograd and nn is retrograd.nn and F is functional is retrograd.nn.functional
assert torch.optim.lr_scheduler is retrograd.optim.lr_scheduler
assert DataLoader is retrograd.utils.data.DataLoader
names = [name for name in sys.modules if name.startswith("torch.")]
twice = [name for name in names if sys.modules[name] is not sys.modules["retrograd" + name[5:]]]
assert not twice, twice
assert nn.__spec__.name == nn.__name__ == "retrograd.nn" and nn.__package__ == "retrograd.nn"
import importlib
assert importlib.import_module("torch.nn") is nn and importlib.util.find_spec("torch").name == "retrograd"
print("same")
""")
        == "same"
    )


def test_a_submodule_that_is_not_there_is_named_with_its_neighbours(python):
    said = python("""
import retrograd.as_torch
try:
    import torch.optin
except ModuleNotFoundError as error:
    print(error.name, "|", error)
""")
    assert said.startswith("torch.optin | No module named 'torch.optin' in retrograd; the nearest name is torch.optim.")
    assert "issues" in said


def test_asking_whether_a_submodule_exists_is_no_error(python):
    source = """
import retrograd.as_torch
from importlib.util import find_spec
print(find_spec("torch.absent"), find_spec("torch.nn").name)
"""
    assert python(source) == "None torch.nn"


def test_a_real_torch_in_the_process_is_refused(python, tmp_path):
    (tmp_path / "torch.py").write_text("__version__ = '1'")
    said = python("""
import torch
try:
    import retrograd.as_torch
except ImportError as error:
    print(error)
""")
    assert str(tmp_path / "torch.py") in said and "before the first import of torch" in said


def test_an_installed_torch_is_not_touched(python, tmp_path):
    (tmp_path / "torch.py").write_text("raise SystemExit('the real torch was imported')")
    assert python("import retrograd.as_torch, torch\nprint(torch.__name__, torch.__package__)") == "torch retrograd"


def test_a_missing_dependency_keeps_its_own_name(python, tmp_path):
    source = """
import retrograd.as_torch, sys
sys.modules["retrograd.nn.made_up"] = None
try:
    import torch.nn.made_up
except ModuleNotFoundError as error:
    print(error.name)
"""
    assert python(source) in ("torch.nn.made_up", "retrograd.nn.made_up")


def test_version_compares_by_number(python):
    source = """
import retrograd.as_torch, torch
v = torch.__version__
print(v, v > "2.4", v >= (2, 13), v < "2.13.1", v <= (2, 13, 0), v == "2.13.0+retrograd", v.split(".")[0], v < "10.0")
"""
    assert python(source) == "2.13.0+retrograd True True True True True 2 True"


def test_worker_processes_of_a_program_that_imports_it(tmp_path):
    (tmp_path / "library.py").write_text("import torch\ndef double(x):\n    return 2 * x, torch.__package__\n")
    (tmp_path / "program.py").write_text("""
import multiprocessing
if __name__ == "__main__":
    import retrograd.as_torch
    import library
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(library.double, [4]))
""")
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout == "[(8, 'retrograd')]\n", done.stderr
