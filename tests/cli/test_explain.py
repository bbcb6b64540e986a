"""`retrograd explain`: the textbook's circuit from the command line, and expressions made to attack."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from retrograd.cli import main

CIRCUIT = json.loads((Path(__file__).parents[1] / "glass" / "circuit.json").read_text())
EXPRESSION = "1/(1+exp(-(w0*x0+w1*x1+w2)))"
VALUES = [f"{k}={v}" for k, v in CIRCUIT["inputs"].items()]


def explained(capsys, *words):
    assert main(["explain", *words]) == 0
    return capsys.readouterr().out


def test_every_node_of_the_circuit(capsys):
    data = json.loads(explained(capsys, EXPRESSION, *VALUES, "--json"))
    nodes = {n["label"]: n for n in data["nodes"]}
    for row in CIRCUIT["nodes"]:
        node = nodes[row["node"]]
        assert node["value"]["full"] == pytest.approx(row["value"], abs=1e-7)
        assert node["gradient"]["full"] == pytest.approx(row["upstream"], abs=1e-7)
        edges = [data["edges"][e] for e in node["edges"] if data["edges"][e]["local"]]
        if "local" in row:
            assert edges[0]["local"]["full"] == pytest.approx(row["local"], abs=1e-7)
        if "pattern" in row:
            assert node["pattern"] == row["pattern"]
    for name, gradient in CIRCUIT["gradients"].items():
        assert nodes[name]["gradient"]["full"] == pytest.approx(gradient, abs=1e-7)


def test_the_sigmoid_folded(capsys):
    data = json.loads(explained(capsys, EXPRESSION, *VALUES, "--fold", "sigmoid=1/(1+exp(-z))", "--json"))
    node = data["nodes"][data["output"]]
    edge = data["edges"][node["edges"][0]]
    wanted = CIRCUIT["as_one_sigmoid"]
    assert node["value"]["full"] == pytest.approx(wanted["value"], abs=1e-7)
    assert edge["upstream"]["full"] == pytest.approx(wanted["upstream"], abs=1e-7)
    assert edge["local"]["full"] == pytest.approx(wanted["local"], abs=1e-7)


def test_the_tables_show_eight_digits(capsys):
    shown = explained(capsys, EXPRESSION, *VALUES)
    for number in ("0.73105858", "-0.53444665", "0.36787944", "-0.19661193", "0.39322387", "-0.5898358"):
        assert number in shown
    assert "\x1b" not in shown


def test_options_may_stand_anywhere(capsys):
    words = ["--steps", EXPRESSION, VALUES[0], "--jacobians", *VALUES[1:], "--plain"]
    shown = explained(capsys, *words)
    assert "start at 1 / (...) with upstream 1" in shown
    assert "numerator layout" not in shown  # there are only numbers


@pytest.mark.parametrize(
    "words",
    [["-x*y"], ["--", "-x*y"], ["--plain", "-x*y"], ["--gradient", "-1", "x*y"], ["--gradient=-1", "--", "x*y"]],
)
def test_an_expression_may_begin_with_a_minus(capsys, words):
    data = json.loads(explained(capsys, "--json", *words, "x=2", "y=3"))
    assert [n["gradient"]["full"] for n in data["nodes"] if n["label"] == "x"] == [-3.0]


def test_an_error_names_no_line_of_the_programs_own(capsys):
    assert main(["explain", "x@y", "x=[[1,2]]", "y=[1,2,3]"]) == 2
    assert ".py" not in capsys.readouterr().err


def test_one_step_at_a_time(capsys, monkeypatch):
    answers = iter(["", "", "q"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda: next(answers))
    shown = explained(capsys, "x*x", "x=3", "--step")
    assert [line.split()[:2] for line in shown.splitlines()] == [["0", "forward"], ["1", "forward"], ["2", "backward"]]


def test_relu_of_a_list(capsys):
    shown = explained(capsys, "relu(x)", "x=[1,-2,3,-1]", "--jacobians")
    assert "diagonal" in shown
    assert "[ 0 0 1 0 ]" in shown


def test_forward_mode(capsys):
    data = json.loads(explained(capsys, EXPRESSION, *VALUES, "--forward", "w1", "--json"))
    assert data["mode"] == "forward"
    tangent = data["nodes"][data["output"]]["tangent"]["full"]
    assert tangent == pytest.approx(CIRCUIT["gradients"]["w1"], abs=1e-7)


def test_latex_and_gradient_and_dtype(capsys):
    assert r"\frac{\partial L}{\partial w}" in explained(capsys, "w*w", "w=3", "--latex")
    data = json.loads(explained(capsys, "w*w", "w=3", "--gradient", "10", "--dtype", "float32", "--json"))
    assert data["nodes"][0]["gradient"]["full"] == 60
    assert data["nodes"][0]["dtype"] == "float32"


def test_files(capsys, tmp_path):
    pytest.importorskip("matplotlib", reason="pictures come with the plots extra")
    for kind in ("svg", "png", "html"):
        path = tmp_path / f"circuit.{kind}"
        assert explained(capsys, EXPRESSION, *VALUES, f"--{kind}", str(path)) == ""
        assert path.stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["x.__class__", "x=1"], "attributes are not part of expressions"),
        (["__import__('os').system('touch /tmp/x')", "x=1"], "not part of expressions"),
        (["(" * 100_000, "x=1"], "at most 10000 are read"),
        (["(" * 5_000 + "x", "x=1"], "nested more than 60 deep"),
        (["x**" * 3000 + "2", "x=1"], "nested more than 60 deep"),
        (["x", "x=" + "[" * 1000], "nested more than 60 deep"),
        (["x", "x=" + "9" * 9000], "too large"),
        (["x*y", "x=1"], "there is no value for y; add y=..."),
        (["x", "x=1", "y=2"], "y is not in the expression, which has x"),
        (["x", "x=1", "x=2"], "x is given twice"),
        (["x", "<script>=1"], "'<script>=1' is not NAME=VALUE"),
        (["1 + 2"], "the expression has no inputs"),
        (["x", "x=1", "--fold", "../a=z+1"], "'../a=z+1' is not NAME=FORM"),
        (["x*x", "x=1", "--fold", "f=tanh(z)"], "no part of"),
        (["x*x", "x=1", "--forward", "y"], "there is no node 'y'"),
        (["x@x", "x=1"], "matmul"),
        (["x*y", "x=[1,2]", "y=[1,2,3]"], "size of tensor"),
        (["x*x", "x=1", "--html", "a.svg"], "should end with .html"),
    ],
)
def test_what_is_refused(capsys, words, why):
    start = time.perf_counter()
    assert main(["explain", *words]) == 2
    taken = time.perf_counter() - start
    captured = capsys.readouterr()
    assert why in captured.err
    assert captured.err.startswith("retrograd explain: ")
    assert "Traceback" not in captured.err
    assert taken < 2


@pytest.mark.parametrize("expression", ["x**1e300", "exp(exp(exp(exp(x))))", "x/0*0", "9**9**9**9*x", "log(-x)"])
def test_huge_exponents_and_what_is_undefined_are_shown(capsys, expression):
    data = json.loads(explained(capsys, expression, "x=10", "--json"))
    assert data["nodes"][data["output"]]["value"]["full"] in ("Infinity", "NaN")


def test_a_folder_that_is_not_there(capsys, tmp_path):
    pytest.importorskip("matplotlib", reason="pictures come with the plots extra")
    assert main(["explain", "x*x", "x=1", "--png", str(tmp_path / "no" / "a.png")]) == 1
    assert "No such file" in capsys.readouterr().err


def test_as_a_program_whose_reader_leaves():
    command = f"{sys.executable} -m retrograd.cli explain '{EXPRESSION}' {' '.join(VALUES)} --steps | head -c 10"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("1 / (1 + e")
    assert "Traceback" not in done.stderr


def test_help_names_every_option(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["explain", "-h"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"--{name}" in shown for name in ("fold", "json", "latex", "svg", "png", "forward", "steps"))
