"""Recording: not a number of the training changes, what is noted is right, and a record opens whatever happened to it."""

from __future__ import annotations

import json
import math
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import retrograd as torch
from retrograd import glass
from retrograd.cli import main
from retrograd.glass.recording.statistics import NAMES, statistics
from retrograd.glass.report import gather

nn = torch.nn
F = torch.nn.functional


def mlp():
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def busy():
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.GELU(), nn.Dropout(0.3), nn.Linear(16, 3))


class Counting(nn.Module):
    """A model with state in Python."""

    def __init__(self):
        super().__init__()
        self.layer, self.calls = nn.Linear(6, 3), 0

    def forward(self, x):
        self.calls += 1
        return self.layer(x) / math.sqrt(self.calls)


def train(make, steps, compiled=False, optimizer=torch.optim.Adam, recorder=None, whole=True):
    torch.manual_seed(3)
    model = make()
    rule = optimizer(model.parameters(), lr=1e-2)
    x, y = torch.randn(12, 6), torch.randint(0, 3, (12,))

    def step(x, y):
        rule.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        rule.step()
        return loss

    if compiled and whole:
        step = torch.compile(step)
    elif compiled:
        model = torch.compile(model)
    losses = []
    with recorder(model) if recorder is not None else torch.enable_grad() as seen:
        for _ in range(steps):
            losses.append(step(x, y).item())
    state = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    return losses, state, torch.rand(3).tolist(), seen, getattr(model, "calls", 0)


@pytest.mark.parametrize("level", ["summary", "all"])
@pytest.mark.parametrize("way", ["eager", "compiled step", "compiled model"])
@pytest.mark.parametrize("make", [mlp, busy, Counting])
def test_recording_changes_no_number(make, way, level):
    options = {"compiled": way != "eager", "whole": way == "compiled step"}
    if make is Counting and options["compiled"]:
        options["compiled"] = False
    plain = train(make, 12, **options)
    recorded = train(make, 12, **options, recorder=lambda m: glass.record(m, level=level, every=2))
    assert plain[0] == recorded[0]
    assert all(np.array_equal(v, recorded[1][k]) for k, v in plain[1].items())
    assert plain[2] == recorded[2] and plain[4] == recorded[4]
    seen = recorded[3]
    assert seen.notes == [] and len(seen.steps) >= 3
    assert [loss for _, loss in seen.losses] == pytest.approx(recorded[0])
    assert seen.modules(), "nothing was seen of the modules"


def test_the_model_is_found_where_none_is_named():
    for way in (False, True):
        seen = train(mlp, 9, compiled=way, recorder=lambda m: glass.record(every=2))[3]
        assert set(seen.modules()) == {"0", "1", "2"}


def test_statistics_are_those_of_numpy():
    rng = np.random.default_rng(0)
    for a in (
        rng.normal(3, 2, (50, 40)),
        rng.normal(0, 1e-20, 999).astype(np.float32),
        np.full(7, 5.0),
        rng.integers(0, 5, 30),
    ):
        found = dict(zip(NAMES, statistics(a), strict=True))
        b = np.asarray(a, dtype=np.float64)
        expected = [b.mean(), b.var(), b.min(), b.max(), np.linalg.norm(b), (b == 0).mean(), 0, 0]
        assert list(found.values()) == pytest.approx(expected, rel=1e-4, abs=1e-45)
    odd = statistics(np.array([1.0, np.nan, np.inf, -3.0]))
    assert odd[2:4] == [-3.0, 1.0] and odd[6:] == [1.0, 1.0]
    assert statistics(np.array([])) == [0.0] * 8


def test_values_and_gradients_are_the_real_ones():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1))
    x = torch.randn(8, 4)
    with glass.record(model, level="all", every=1) as seen:
        loss = model(x).square().mean()
        loss.backward()
        torch.optim.SGD(model.parameters(), lr=0.0).step()
    arrays = seen.arrays(0)
    h = model[0](x).detach().requires_grad_(True)
    t = torch.tanh(h)
    t.retain_grad()
    model[2](t).square().mean().backward()
    assert np.allclose(arrays["value:0/linear#1"], h.detach().numpy(), atol=1e-6)
    assert np.allclose(arrays["gradient:0/linear#1"], h.grad.numpy(), atol=1e-6)
    assert np.allclose(arrays["gradient:1/tanh#1"], t.grad.numpy(), atol=1e-6)
    ratio = seen.of("parameters", "0.weight", "update_ratio")[1]
    assert ratio == [0.0]


def test_update_ratio_and_learning_rate():
    w = nn.Linear(3, 2, bias=False)
    x = torch.ones(1, 3)
    rule = torch.optim.SGD(w.parameters(), lr=0.25)
    before = w.weight.detach().clone()
    with glass.record(w, every=1) as seen:
        w(x).sum().backward()
        rule.step()
    change = (w.weight.detach() - before).norm() / before.norm()
    assert seen.of("parameters", "weight", "update_ratio")[1][0] == pytest.approx(change.item(), rel=1e-5)
    assert seen.of("parameters", "weight", "lr")[1] == [0.25]
    assert seen.of("parameters", "weight", "gradient", "norm")[1][0] == pytest.approx(math.sqrt(6))


def test_a_loop_without_an_optimizer_is_seen():
    w = nn.Linear(3, 1)
    with glass.record(w, every=1) as seen:
        for _ in range(4):
            w.zero_grad()
            w(torch.ones(2, 3)).square().mean().backward()
            with torch.no_grad():
                for p in w.parameters():
                    p -= 0.1 * p.grad
    assert len(seen.losses) == 4 and seen.steps == [0, 1, 2, 3]
    assert all("gradient" in line["nodes"]["linear#1"] for line in seen.statistics)


def test_the_cost_decides_how_often_it_looks():
    many = train(mlp, 60, recorder=lambda m: glass.record(m, every=1))[3]
    few = train(mlp, 60, recorder=lambda m: glass.record(m, cost=1.05))[3]
    assert len(many.steps) == 60 and 1 <= len(few.steps) < 30
    assert len(few.losses) == 60


def test_memory_is_bounded():
    seen = train(Counting, 30, recorder=lambda m: glass.record(m, every=1))[3]
    from retrograd.glass.recording import recorder

    assert recorder.MOST_LINES >= 100
    line = seen.statistics[0]
    seen.statistics.extend([line] * (recorder.MOST_LINES + 5 - len(seen.statistics)))
    with pytest.raises(FileNotFoundError):
        glass.open_record("nowhere-at-all")


def test_a_directory_is_read_back(tmp_path):
    seen = train(busy, 10, recorder=lambda m: glass.record(m, tmp_path / "run", every=3, arrays=[4]))[3]
    back = glass.open_record(tmp_path / "run")
    assert back.losses == seen.losses and back.steps == seen.steps == [0, 3, 4, 6, 9]
    assert back.array_steps == [4] and back.arrays(4).keys() and back.nodes == seen.nodes
    assert back.modules().keys() == seen.modules().keys()
    with pytest.raises(KeyError, match="no arrays were kept at step 3"):
        back.arrays(3)
    with pytest.raises(KeyError, match="was not looked at"):
        back.modules(5)
    with pytest.raises(FileExistsError, match="has a record already"):
        glass.record(mlp(), tmp_path / "run")
    data = gather(record=back)
    assert data["graph"]["nodes"] and data["record"]["profiles"] and data["record"]["histograms"]
    json.dumps(data, allow_nan=False)
    assert str(back) and back._repr_html_()


@pytest.mark.parametrize("options", [{"level": "some"}, {"every": 0}, {"cost": 1.0}])
def test_settings_that_make_no_sense(options):
    with pytest.raises(ValueError, match="record: "):
        glass.record(mlp(), **options)


def test_one_recorder_at_a_time():
    with glass.record(mlp()), pytest.raises(RuntimeError, match="another recorder"), glass.record(mlp()):
        pass


def test_an_error_in_the_program_ends_the_recording():
    with pytest.raises(ZeroDivisionError), glass.record(mlp(), every=1):
        raise ZeroDivisionError
    assert nn.Module.__call__.__module__ == "retrograd.nn.modules.module"


PROGRAM = """
import sys, torch
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(6, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
rule = torch.optim.SGD(model.parameters(), lr=0.01)
x = torch.randn(16, 6)
for i in range(int(sys.argv[1])):
    rule.zero_grad()
    loss = model(x).square().mean()
    loss.backward()
    rule.step()
    if i == 3:
        print("running", flush=True)
"""


def test_a_record_killed_at_any_moment_opens(tmp_path):
    program = tmp_path / "train.py"
    program.write_text(PROGRAM)
    rng = random.Random(0)
    command = [sys.executable, "-m", "retrograd.cli", "run", "--glass-dir"]
    kills = int(os.environ.get("RETROGRAD_KILLS", "3"))  # scripts/kill_records makes it 20
    for i in range(kills):
        folder = tmp_path / f"run-{i}"
        running = subprocess.Popen([*command, str(folder), str(program), "1000000"], stdout=subprocess.PIPE, text=True)
        assert running.stdout.readline() == "running\n"
        time.sleep(rng.uniform(0.0, 0.6))
        running.send_signal(signal.SIGKILL)
        running.wait()
        running.stdout.close()
        back = glass.open_record(folder)
        assert back.steps and back.nodes
        assert [s for s, _ in back.losses] == list(range(len(back.losses)))
        gather(record=back)


@pytest.mark.parametrize("cut", [2, 7, 40, 200])
def test_a_line_cut_short_is_left_out(tmp_path, cut):
    train(mlp, 8, recorder=lambda m: glass.record(m, tmp_path / "run", every=2))
    whole = glass.open_record(tmp_path / "run")
    for name in ("losses.jsonl", "statistics.jsonl"):
        path = tmp_path / "run" / name
        path.write_bytes(path.read_bytes()[:-cut])
    back = glass.open_record(tmp_path / "run")
    assert len(whole.losses) - 8 <= len(back.losses) < len(whole.losses)
    assert len(back.steps) == len(whole.steps) - 1


HOSTILE = [
    b"", b"{", b"[]", b"null", b'{"format": 99}', b'{"format": "1"}', b"[" * 100_000,
    b'{"format": 1, "nodes": [{"key": 1}]}',
    b'{"format": 1, "nodes": [{"key":"k","op":"<script>","module":"../../etc","place":"","dtype":"x","shape":[1e99],"inputs":[0],"forward":0,"backward":0,"bytes":0}]}',
    b'{"format": 1, "model": "</script><script>alert(1)</script>", "nodes": [{"key":"k","op":"<script>","module":"../../etc/passwd","place":"","dtype":"float32","shape":[2],"inputs":[99,-1],"forward":0,"backward":0,"bytes":0}]}',
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_a_foreign_record_is_refused_or_shown_as_text(tmp_path, text):
    (tmp_path / "record.json").write_bytes(text)
    (tmp_path / "losses.jsonl").write_bytes(
        b'{"step": 0, "loss": "NaN"}\n{"step": "x"}\n[1]\n\xff\xfe\n{"step": 1, "loss": 1e400}\n'
    )
    (tmp_path / "statistics.jsonl").write_bytes(
        b'{"step": 0, "nodes": {"k": {"value": [1]}}, "parameters": {"../x": {"update_ratio": "1e999999999"}}}\n'
    )
    try:
        back = glass.open_record(tmp_path)
    except ValueError as error:
        assert str(error).startswith("open_record")  # noqa: PT017 - either is right
        return
    page = glass.report(tmp_path / "report.html", record=back).read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "losses.jsonl",
        "record.json",
        "report.html",
        "statistics.jsonl",
    ]


def test_the_commands(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("train.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "retrograd.cli", "run", "--glass", "train.py", "20"], capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout == "running\n", done.stderr
    assert "20 steps" in done.stderr and (tmp_path / "glass/train-1/report.html").is_file()
    assert main(["glass", "show", "glass/train-1"]) == 0
    assert "20 losses" in capsys.readouterr().out
    assert main(["glass", "report", "glass/train-1", "-o", "page.html"]) == 0
    assert pathlib.Path("page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert main(["glass", "show", "elsewhere"]) == 2
    assert "is not a record" in capsys.readouterr().err


def test_findings_of_a_record():
    def sick(rate):
        torch.manual_seed(0)
        model = mlp()
        rule = torch.optim.SGD(model.parameters(), lr=rate)
        x = torch.randn(32, 6)
        with glass.record(model, every=1) as seen:
            for _ in range(25):
                rule.zero_grad()
                (model(x) - 1).square().mean().backward()
                rule.step()
        return [f.kind for f in seen.findings()]

    assert sick(1e-2) == []
    assert "not-finite" in sick(1e3)
    assert sick(1e-9) == ["learning-rate"]
