"""What can go wrong around a compiled function ends in a right result or a clear error: inputs, disk, and the code generator."""

from __future__ import annotations

import errno
import os
import warnings
from pathlib import Path

import numpy as np
import pytest

import retrograd as torch
from retrograd.compiler import compiled
from retrograd.compiler.runtime import cache, jit

nn, F = torch.nn, torch.nn.functional


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A cache of its own, and a process that has forgotten all code."""
    monkeypatch.setenv("RETROGRAD_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("RETROGRAD_CACHE", raising=False)
    monkeypatch.setattr(cache, "_stores", {})
    monkeypatch.setattr(cache, "_loaded", type(cache._loaded)())
    return tmp_path / "cache"


def step_of(seed=0):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(3, 5), nn.GELU(), nn.Linear(5, 2))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)

    def step(x):
        optimizer.zero_grad()
        loss = net(x).pow(2).mean()
        loss.backward()
        optimizer.step()
        return loss

    return step


def course(step, batches):
    return [step(x).item() for x in batches]


def batches(*sizes):
    return [torch.linspace(-1, 1, 3 * n).reshape(n, 3) for n in sizes]


def test_shapes_change_in_the_middle():
    sizes = (4, 4, 4, 7, 4, 7, 7, 7, 1, 4, 1, 1, 1, 4)
    np.testing.assert_allclose(
        course(torch.compile(step_of()), batches(*sizes)), course(step_of(), batches(*sizes)), rtol=1e-4
    )


def test_a_shape_that_does_not_fit_is_eagers_error():
    f, fn = torch.compile(step_of()), step_of()
    for x in batches(4, 4, 4):
        f(x)
    wrong = torch.ones(4, 2)
    with pytest.raises(RuntimeError) as theirs:
        fn(wrong)
    with pytest.raises(RuntimeError) as ours:
        f(wrong)
    assert str(ours.value).partition("\n")[0] == str(theirs.value).partition("\n")[0]
    assert np.isfinite(f(*batches(4)).item())


@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_is_no_number_goes_where_it_goes_eagerly():
    bad = torch.ones(4, 3)
    bad[1, 2] = float("nan")
    for value in (bad, bad.nan_to_num(nan=float("inf"))):
        rows = [*batches(4, 4, 4), value, *batches(4)]
        np.testing.assert_allclose(course(torch.compile(step_of()), rows), course(step_of(), rows), rtol=1e-4)


def test_dtypes_change_in_the_middle():
    f = torch.compile(lambda x: (x * 2).sum(0))
    for dtype in (torch.float32, torch.float64, torch.int32, torch.float32, torch.float16, torch.float32) * 3:
        x = torch.arange(6).reshape(3, 2).to(dtype)
        assert torch.equal(f(x), (x * 2).sum(0))
        assert f(x).dtype == (x * 2).sum(0).dtype


def walks_by_value(x):
    while x.norm() > 1:
        x = x / 2
    return x


def untraceable(x):
    return torch.tensor(np.sort(x.numpy()))


@pytest.mark.parametrize("fn", [walks_by_value, untraceable], ids=lambda f: f.__name__)
def test_a_function_that_cannot_be_traced(fn):
    f = torch.compile(fn)
    rows = [torch.tensor([3.0, -1.0 * k, 2.0]) for k in range(5)]
    with pytest.warns(
        UserWarning,
        match=r"(runs eagerly, not compiled|is compiled in pieces, not as a whole): .*test_bad_input\.py:\d+",
    ) as caught:
        found = [f(x) for x in rows]
    assert all(torch.equal(a, fn(x)) for a, x in zip(found, rows, strict=True))
    assert len(caught) == 1
    strict = torch.compile(fn, fullgraph=True)
    strict(torch.ones(3))
    with pytest.raises(RuntimeError, match="runs eagerly, not compiled"):
        strict(torch.ones(3))


def _as_file(home: Path, monkeypatch) -> None:
    """The directory's parent is a file."""
    home.parent.joinpath("file").write_text("")
    monkeypatch.setenv("RETROGRAD_CACHE_DIR", str(home.parent / "file" / "cache"))


def _refuses(number):
    def harm(home, monkeypatch) -> None:
        def fail(descriptor: int) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", fail)

    return harm


DISKS = {
    "no directory": _as_file,
    "full": _refuses(errno.ENOSPC),
    "read-only": _refuses(errno.EROFS),
}


@pytest.mark.parametrize("name", DISKS)
def test_a_disk_that_takes_nothing(name, home, monkeypatch):
    DISKS[name](home, monkeypatch)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        f = torch.compile(step_of(), fullgraph=True)
        np.testing.assert_allclose(course(f, batches(4, 4, 4, 4)), course(step_of(), batches(4, 4, 4, 4)), rtol=1e-4)
    assert [w.category for w in caught] == [RuntimeWarning]
    assert f.made == 1


def test_files_that_were_cut_short(home):
    course(torch.compile(step_of(), fullgraph=True), batches(4, 4, 4))
    kept = sorted(home.iterdir())
    assert kept
    for entry in kept:
        entry.write_bytes(entry.read_bytes()[:-9])
    cache._loaded.clear()
    f = torch.compile(step_of(), fullgraph=True)
    np.testing.assert_allclose(course(f, batches(4, 4, 4, 4)), course(step_of(), batches(4, 4, 4, 4)), rtol=1e-4)


def test_llvms_refusal_is_told_and_the_call_runs_eagerly(home, monkeypatch):

    def refuse(text, name="kernel", passes=False):
        raise jit.CompileError(f"{name}: LLVM refused the generated code: no", text)

    monkeypatch.setattr(jit, "assemble", refuse)
    f = torch.compile(step_of())
    with pytest.warns(UserWarning, match="runs eagerly, not compiled: the compiler failed") as caught:
        np.testing.assert_allclose(course(f, batches(4, 4, 4, 4)), course(step_of(), batches(4, 4, 4, 4)), rtol=1e-6)
    assert len(caught) == 1
    strict = torch.compile(step_of(), fullgraph=True)
    strict(*batches(4))
    with pytest.raises(RuntimeError, match="please report it"):
        strict(*batches(4))


@pytest.mark.parametrize("word", ["parse_assembly", "create_target_data"])
def test_no_error_of_the_binding_is_bare(word, home, monkeypatch):
    def refuse(*_):
        raise RuntimeError("LLVM ERROR: unknown")

    monkeypatch.setattr(jit._binding(), word, refuse, raising=False)
    f = torch.compile(step_of())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        np.testing.assert_allclose(course(f, batches(4, 4, 4)), course(step_of(), batches(4, 4, 4)), rtol=1e-4)
    assert all("runs eagerly, not compiled: the compiler failed" in str(w.message) for w in caught)


def test_a_compiler_that_fails_leaves_the_capturing_call_as_it_was(monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(compiled, "Entry", fail)
    f = torch.compile(step_of())
    with pytest.warns(UserWarning, match=r"the compiler failed \(ZeroDivisionError: a bug\)"):
        np.testing.assert_allclose(course(f, batches(4, 4, 4, 4)), course(step_of(), batches(4, 4, 4, 4)), rtol=1e-6)
