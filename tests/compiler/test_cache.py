"""The cache on disk: what it holds is checked, and nothing that goes wrong with it stops a program."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from retrograd.compiler.codegen.emit import Module
from retrograd.compiler.runtime import cache, jit


def text(number: int = 1) -> str:
    """A kernel that adds a number."""
    module = Module()
    f = module.function("plus", [("i64", "n")], "i64")
    f.ret("i64", f.op(f"add i64 {f.n}, {number}"))
    return module.text()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, and a process that has forgotten all code."""
    monkeypatch.setenv("RETROGRAD_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("RETROGRAD_CACHE", raising=False)
    monkeypatch.setattr(cache, "_stores", {})
    monkeypatch.setattr(cache, "_loaded", type(cache._loaded)())
    return tmp_path / "cache"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what was compiled, as opposed to found."""
    names: list[str] = []
    assemble = jit.assemble

    def counting(text: str, name: str = "kernel", passes: bool = False) -> bytes:
        if name == "plus":
            names.append(name)
        return assemble(text, name, passes)

    monkeypatch.setattr(jit, "assemble", counting)
    return names


def plus(number: int = 1) -> int:
    """Get the kernel afresh and call it."""
    cache._loaded.clear()
    return cache.native(text(number), "plus").function("plus", ctypes.c_int64, ctypes.c_int64)(41)


def entries(home: Path) -> list[Path]:
    """The files in the cache."""
    return sorted(home.iterdir()) if home.is_dir() else []


def test_the_second_time_nothing_is_compiled(home: Path, compiled: list[str]) -> None:
    assert plus() == 42 and plus() == 42
    assert compiled == ["plus"]
    (entry,) = entries(home)
    assert entry.name == cache.key(text()) and entry.read_bytes().startswith(cache.MAGIC)
    if os.name == "posix":
        assert stat.S_IMODE(home.stat().st_mode) == 0o700 and stat.S_IMODE(entry.stat().st_mode) == 0o600


def test_one_process_keeps_one_copy(home: Path) -> None:
    first = cache.native(text())
    assert cache.native(text()) is first
    assert cache.native(text(2)) is not first


def test_the_key_is_of_all_that_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    here, keys = jit.host(), {cache.key(text()), cache.key(text(2))}
    for change in ({"cpu": "other"}, {"features": "+other"}, {"versions": "other"}, {"triple": "other"}):
        other = dataclasses.replace(here, **change)
        monkeypatch.setattr(jit, "host", lambda other=other: other)
        keys.add(cache.key(text()))
    monkeypatch.setattr(jit, "host", lambda: here)
    monkeypatch.setattr("retrograd.__version__", "other")
    keys.add(cache.key(text()))
    assert len(keys) == 7


def _truncate(entry: Path) -> None:
    entry.write_bytes(entry.read_bytes()[:-7])


def _empty(entry: Path) -> None:
    entry.write_bytes(b"")


def _flip(entry: Path) -> None:
    content = bytearray(entry.read_bytes())
    content[-100] ^= 4
    entry.write_bytes(content)


def _foreign(entry: Path) -> None:
    """Another kernel's valid entry under this one's name."""
    kept = cache.Store(entry.parent)
    other = "0" * 64
    kept.put(other, jit.assemble(text(1000)))
    (entry.parent / other).replace(entry)


def _header_only(entry: Path) -> None:
    entry.write_bytes(cache.MAGIC)


def _unreadable(entry: Path) -> None:
    entry.unlink()
    entry.mkdir()


def _link(entry: Path) -> None:
    """A link to an entry that is elsewhere."""
    entry.rename(entry.parent.parent / "elsewhere")
    entry.symlink_to(entry.parent.parent / "elsewhere")


def _loose(entry: Path) -> None:
    """An entry that everybody might have written."""
    entry.chmod(0o666)


def _pipe(entry: Path) -> None:
    """A file whose reading would wait for ever."""
    entry.unlink()
    os.mkfifo(entry)


def _not_an_object(entry: Path) -> None:
    """A valid entry that is no machine code: what a broken compiler might have left."""
    image = b"\0" * 64
    entry.write_bytes(cache.MAGIC + cache._digest(entry.name, image) + image)


HARMS = [_truncate, _empty, _flip, _foreign, _header_only, _unreadable, _link, _loose, _pipe, _not_an_object]


@pytest.mark.skipif(os.name != "posix", reason="files of these kinds are POSIX's")
@pytest.mark.parametrize("harm", HARMS)
def test_a_bad_entry_is_compiled_again(harm, home: Path, compiled: list[str]) -> None:
    assert plus() == 42
    (entry,) = entries(home)
    harm(entry)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a directory in an entry's place cannot be replaced
        assert plus() == 42
    assert compiled == ["plus"] * 2
    if harm is not _unreadable:
        assert plus() == 42
        assert compiled == ["plus"] * 2, "the good entry has taken the bad one's place"


@pytest.mark.skipif(os.name != "posix", reason="owners and modes are POSIX's")
def test_a_directory_others_may_write_to_is_refused(home: Path, compiled: list[str]) -> None:
    plus()
    home.chmod(0o777)
    with pytest.warns(RuntimeWarning, match="other users may write to it"):
        assert plus() == 42
    assert plus() == 42
    assert compiled == ["plus"] * 3


@pytest.mark.skipif(os.name != "posix", reason="owners and modes are POSIX's")
def test_a_directory_of_somebody_else_is_refused(
    home: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plus()
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with pytest.warns(RuntimeWarning, match="belongs to another user"):
        assert plus() == 42
    assert compiled == ["plus"] * 2


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_disk_that_takes_nothing_gives_one_warning(
    number: int, home: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.warns(RuntimeWarning, match=os.strerror(number)) as caught:
        assert (plus(), plus(2)) == (42, 43)
    assert len(caught) == 1 and compiled == ["plus"] * 2
    assert entries(home) == [], "no draft is left"


def test_a_directory_that_cannot_be_made(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RETROGRAD_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.warns(RuntimeWarning, match="compiled code is not kept"):
        assert plus() == 42
    assert plus() == 42


def test_off_is_off(home: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETROGRAD_CACHE", "off")
    assert plus() == 42 and plus() == 42
    assert compiled == ["plus"] * 2 and entries(home) == []


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RETROGRAD_CACHE", "RETROGRAD_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert str(cache.place()).startswith(str(Path.home()))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert str(cache.place()).startswith(str(Path.home()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.place() == tmp_path / "retrograd"
    monkeypatch.setenv("RETROGRAD_CACHE_DIR", str(tmp_path / "mine"))
    assert cache.place() == tmp_path / "mine"


def test_what_was_not_used_for_longest_leaves_first(tmp_path: Path) -> None:
    kept = cache.Store(tmp_path / "cache", limit=10_000)
    names = [f"{k:064x}" for k in range(12)]
    for age, name in enumerate(names[:-1]):
        kept.put(name, b"x" * 1000)
        os.utime(tmp_path / "cache" / name, (1_000_000 + age, 1_000_000 + age))
    assert kept.get(names[0]) is not None  # used now
    draft, fresh = tmp_path / "cache/.old.tmp", tmp_path / "cache/.new.tmp"
    draft.write_text("")
    fresh.write_text("")
    os.utime(draft, (1, 1))
    kept._writes = 0
    kept.put(names[-1], b"x" * 1000)
    left = {entry.name for entry in entries(tmp_path / "cache")}
    assert names[0] in left and names[-1] in left and names[1] not in left
    assert ".old.tmp" not in left and ".new.tmp" in left
    assert sum(entry.stat().st_size for entry in entries(tmp_path / "cache")) <= 7_500


PROGRAM = """
import ctypes, sys
sys.path.insert(0, {tests!r})
from compiler.test_cache import text
from retrograd.compiler.runtime import cache
for number in range(12):
    f = cache.native(text(number), "plus").function("plus", ctypes.c_int64, ctypes.c_int64)
    assert f(1) == number + 1
"""


def test_processes_share_a_cache(home: Path) -> None:
    program = PROGRAM.format(tests=str(Path(__file__).parents[1]))
    crew = [subprocess.Popen([sys.executable, "-W", "error", "-c", program], stderr=subprocess.PIPE) for _ in range(2)]
    for process in crew:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    names = {entry.name for entry in entries(home)}
    assert {cache.key(text(number)) for number in range(12)} <= names
    assert not any(name.endswith(".tmp") for name in names)


STEP = """
import os, signal, sys
import retrograd as torch
from retrograd.compiler.passes import kept
from retrograd.compiler.runtime import jit
kept.LEAST = 1
if sys.argv[1:]:
    calls = iter(range(100))
    def dying(real):
        def replacement(*args, **kwargs):
            if next(calls) == int(sys.argv[2]):
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)
        return replacement
    if sys.argv[1] == "compiling":
        jit.assemble = dying(jit.assemble)
    else:
        os.replace = dying(os.replace)
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
@torch.compile(fullgraph=True)
def step(x):
    optimizer.zero_grad()
    loss = net(x).square().mean()
    loss.backward()
    optimizer.step()
    return loss
x = torch.randn(6, 4)
print([step(x).item() for _ in range(6)], step.made)
"""


def started(*words: str) -> subprocess.Popen[bytes]:
    """A process that compiles a training step."""
    command = [sys.executable, "-W", "error", "-c", STEP, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_processes_compile_one_step_at_once(home: Path) -> None:
    crew = [started() for _ in range(2)]
    said = set()
    for process in crew:
        printed, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
        said.add(printed)
    (one,) = said
    assert one.strip().endswith(b"1")
    assert not any(entry.name.endswith(".tmp") for entry in entries(home))


@pytest.mark.skipif(os.name != "posix", reason="there is no such signal elsewhere")
@pytest.mark.parametrize("place", [("compiling", "1"), ("writing", "2")])
def test_a_process_that_is_killed_while_it_compiles(place: tuple[str, str], home: Path) -> None:
    """The next one finds whole entries or none, and does the rest."""
    process = started(*place)
    process.communicate(timeout=120)
    assert process.returncode == -9
    drafts = [entry for entry in entries(home) if entry.name.endswith(".tmp")]
    assert len(drafts) == (place[0] == "writing")
    process = started()
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors.decode()
    assert printed.strip().endswith(b"1")
