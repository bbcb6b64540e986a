"""`import retrograd` is light and quiet, every module imports by itself, and every exported name exists."""

import importlib
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "retrograd"
# Importing `cli.__main__` is running it, `as_torch` changes what torch means, and the stand-in is for worker processes.
APART = {
    "retrograd.as_torch",
    "retrograd.cli.__main__",
    "retrograd.cli.stand_in.torch",
    "retrograd.cli.stand_in.torchvision",
}
HEAVY = [
    "llvmlite",
    "scipy",
    "matplotlib",
    "multiprocessing",
    "tqdm",
    "rich",
    "unittest",
    "torch",
    "sklearn",
    "safetensors",
    "PIL",
]
BUDGET = 0.25  # seconds beyond numpy's own import


def modules():
    paths = [path.relative_to(SOURCE.parent).with_suffix("") for path in sorted(SOURCE.rglob("*.py"))]
    names = [".".join(path.parts).removesuffix(".__init__") for path in paths]
    return [name for name in names if name not in APART]


def python(source, *flags, environment=None):
    argv = [sys.executable, *flags, "-c", source]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", modules())
def test_exported_names_exist(name):
    module = importlib.import_module(name)
    assert not [one for one in getattr(module, "__all__", []) if not hasattr(module, one)]


def test_import_is_light_and_quiet():
    source = "import sys, json; import numpy; before = set(sys.modules); import retrograd; "
    source += "print(json.dumps(sorted({name.partition('.')[0] for name in set(sys.modules) - before})))"
    loaded = json.loads(python(source, "-W", "error"))
    assert not set(loaded) & set(HEAVY)


def test_import_costs_little_beyond_numpy(tmp_path):
    source = "import time, numpy; began = time.process_time(); import retrograd; print(time.process_time() - began)"
    # As it is after a first import anywhere: compiled to bytecode, whatever this machine says about writing that.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    python(source, environment=environment)
    took = []
    # Processor time, and the least of several: a wall clock would measure what else runs on the machine.
    while len(took) < 12 and min(took, default=1.0) > BUDGET:
        took.append(float(python(source, environment=environment)))
    assert min(took) <= BUDGET, f"it took {min(took):.3f} s at least, {statistics.median(took):.3f} s at the median"


@pytest.mark.parametrize(
    "first", ["retrograd.core", "retrograd.tensor", "retrograd.nn", "retrograd.optim", "retrograd.data"]
)
def test_any_room_may_be_imported_first(first):
    assert python(f"import {first}; print('fine')", "-W", "error") == "fine\n"
