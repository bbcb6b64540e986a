"""Recording: not a number of the training changes, what is noted is right, and a record opens whatever happened to it."""

from __future__ import annotations

import json
import math
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import retrograd as torch
from retrograd import glass
from retrograd.cli import main
from retrograd.cli.glass import read as live
from retrograd.glass.recording import files, reader, recorder
from retrograd.glass.recording.budget import Budget
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


def clipped(net, rule, other, schedule):
    def step(x, y):
        rule.zero_grad(set_to_none=False)
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        rule.step()
        return loss

    return step


def accumulated(net, rule, other, schedule):
    def step(x, y):
        rule.zero_grad()
        for half in range(2):
            loss = F.cross_entropy(net(x[6 * half : 6 * half + 6]), y[6 * half : 6 * half + 6])
            loss.backward()
        rule.step()
        return loss

    return step


def two_updates(net, rule, other, schedule):
    def step(x, y):
        rule.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        rule.step()
        other.zero_grad()
        again = net(x).square().mean()
        again.backward()
        other.step()
        return loss

    return step


def by_hand(net, rule, other, schedule):
    def step(x, y):
        for p in net.parameters():
            p.grad = None
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        with torch.no_grad():
            for p in net.parameters():
                p -= 0.1 * p.grad
        return loss

    return step


def scheduled(net, rule, other, schedule):
    def step(x, y):
        rule.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        rule.step()
        schedule.step()
        return loss

    return step


@pytest.mark.parametrize("level", ["summary", "all"])
@pytest.mark.parametrize("make", [clipped, accumulated, two_updates, by_hand, scheduled])
def test_the_rehearsal_of_a_compiled_step_changes_no_number(make, level):
    def numbers(recorded):
        torch.manual_seed(5)
        net = busy()
        rule = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
        other = torch.optim.Adam(net.parameters(), lr=1e-3)
        schedule = torch.optim.lr_scheduler.ExponentialLR(rule, 0.9)
        x, y = torch.randn(12, 6), torch.randint(0, 3, (12,))
        step = torch.compile(make(net, rule, other, schedule))
        losses = []
        for _ in range(5):
            losses.append(step(x, y).item())
        with glass.record(net, level=level, every=2) if recorded else torch.enable_grad() as seen:
            for _ in range(9):
                losses.append(step(x, y).item())
        state = {k: v.numpy().copy() for k, v in net.state_dict().items()}
        return losses, state, torch.rand(2).tolist(), rule.param_groups[0]["lr"], seen

    plain, recorded = numbers(False), numbers(True)
    assert plain[0] == recorded[0] and plain[2:4] == recorded[2:4]
    assert all(np.array_equal(plain[1][k], recorded[1][k]) for k in plain[1])
    seen = recorded[4]
    assert seen.notes == [] and seen.steps == [0, 2, 4, 6, 8]
    line = seen.statistics[-1]
    assert all("gradient" in line["nodes"][f"{k}/linear#1"] for k in (0, 4)), "gradients of values were not seen"
    assert all(
        "gradient" in line["parameters"][n] and line["parameters"][n]["update_ratio"] > 0
        for n in ("0.weight", "4.weight")
    )


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


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(recorder, "MOST_LINES", 8)
    monkeypatch.setattr(recorder, "MOST_HELD", 10_000)
    seen = train(mlp, 60, recorder=lambda m: glass.record(m, level="all", every=1))[3]
    assert len(seen.statistics) <= 8 and seen.steps[0] == 0 and seen.steps[-1] == 59
    assert len(seen.losses) <= 64
    assert sum(a.nbytes for step in seen.held.values() for a in step.values()) <= 10_000
    assert seen.array_steps[-1] == 59


def test_a_long_run_is_bounded_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_ON_DISK", 10)
    train(mlp, 100, recorder=lambda m: glass.record(m, tmp_path / "run", every=50))
    back = glass.open_record(tmp_path / "run")
    steps = [s for s, _ in back.losses]
    assert len(steps) <= 10 and steps == sorted(steps) and steps[0] == 0 and steps[-1] == 99
    monkeypatch.setattr(reader, "MOST_LOSSES", 4)
    steps = [s for s, _ in glass.open_record(tmp_path / "run").losses]
    assert len(steps) <= 5 and steps[0] == 0 and steps[-1] == 99


def test_the_account_of_seconds():
    budget = Budget(1.5, None)
    total = looks = 0.0
    for step in range(2000):
        looked = step >= budget.next
        extra = 0.01 * (1 + step % 3) if looked else 0.0
        budget.passed(step, 0.001 + 0.0005 * looked, extra, looked)
        total, looks = total + 0.001, looks + extra + 0.0005 * looked
        if step > 200:
            assert total + looks <= 1.5 * total
    assert budget.lines > 20, "what is left over is used"
    assert [Budget(1.5, 7)._wait() for _ in range(2)] == [7, 7]


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


ODD = [
    None, True, -1, 1 << 70, 10**400, 1e308, "x", "NaN", "\ud800", "\x1b]0;owned\x07", [], {}, [[]], [None], {"a": 1}, [-1], [1 << 61, 4],
    [1] * 70, float("nan"), float("inf"),
]  # fmt: skip


def places(data, here=()):
    if here:
        yield here
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        yield from places(value, (*here, key))


@pytest.mark.parametrize("name", ["record.json", "statistics.jsonl", "losses.jsonl"])
def test_whatever_stands_in_a_record_s_place_it_is_refused_or_shown(tmp_path, name):
    train(mlp, 6, recorder=lambda m: glass.record(m, tmp_path / "run", every=1, arrays=[2]))
    path = tmp_path / "run" / name
    whole = path.read_text()
    lines = [json.loads(line) for line in whole.splitlines()]
    kinds = {}  # one place of each kind: of many nodes the first is as good as any
    for place in places(lines):
        kinds.setdefault(tuple(k for k in place if isinstance(k, str)) + (len(place),), place)
    for place in kinds.values():
        for odd in ODD:
            changed = json.loads(json.dumps(lines))
            at = changed
            for key in place[:-1]:
                at = at[key]
            at[place[-1]] = odd
            path.write_text("".join(json.dumps(line) + "\n" for line in changed))
            try:
                back = glass.open_record(tmp_path / "run")
            except ValueError as error:
                assert str(error).startswith("open_record")  # noqa: PT017 - either is right
                continue
            shown = f"{back} {back._repr_html_()}"
            assert "\x1b" not in shown and shown.encode()
            json.dumps(gather(record=back), allow_nan=False).encode()
    path.write_text(whole)


def test_the_live_page_says_why_a_record_is_not_shown(tmp_path):
    assert live(tmp_path) == {}
    (tmp_path / "record.json").write_text('{"format": 99}')
    (found,) = live(tmp_path)["findings"]
    assert found["severity"] == "error" and "format 99" in json.dumps(found)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 7,
        (1 << 62).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (80).to_bytes(8, "little")
        + b'{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}'.ljust(80),
        (80).to_bytes(8, "little")
        + b'{"a":{"dtype":"<script>","shape":[1],"data_offsets":[0,4]}}'.ljust(80)
        + b"\x00" * 4,
    ],
)
def test_a_file_of_arrays_that_lies_is_refused(tmp_path, data):
    train(mlp, 4, recorder=lambda m: glass.record(m, tmp_path / "run", every=1, arrays=[2]))
    next((tmp_path / "run/arrays").iterdir()).write_bytes(data)
    back = glass.open_record(tmp_path / "run")
    with pytest.raises(ValueError, match="the arrays of step 2 cannot be read"):
        back.arrays(2)
    assert gather(record=back)["record"]["histograms"] == []


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
