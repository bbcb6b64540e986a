"""The thread pool, in processes that fork, are interrupted, and end in every way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from retrograd.compiler.runtime import pool

# what a process does, the last of it being how it ends, and the status it must end with
CASES = {
    "many_rounds sharing end_by_exception": 1,
    "nested signals end_with_a_thread": 5,
    "forks end_at_once": 3,
    "without_futex": 0,
}
BARE = "import sys, platform; platform.machine = lambda: 'abacus'; sys.argv[1:] = {cases!r}; import runpy; runpy.run_path({path!r}, run_name='__main__')"


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """All programs, started at once: that the machine is busy is part of the test."""
    path = str(Path(__file__).with_name("pool_program.py"))
    cache = str(tmp_path_factory.mktemp("cache") / "objects")
    started = {}
    for case in CASES:
        program = (
            ["-c", BARE.format(cases=case.split(), path=path)] if case == "without_futex" else [path, *case.split()]
        )
        started[case] = subprocess.Popen(
            [sys.executable, "-W", "error", *program],
            stderr=subprocess.PIPE,
            env={**os.environ, "RETROGRAD_CACHE_DIR": cache},
        )
    yield started
    for process in started.values():
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="jobs are shared where there is a futex")
@pytest.mark.parametrize("case", CASES)
def test_programs(case: str, processes: dict[str, subprocess.Popen[bytes]]) -> None:
    process = processes[case]
    _, errors = process.communicate(timeout=120)
    assert process.returncode == CASES[case], errors.decode()
    assert (b"the end" in errors) == case.endswith("end_by_exception")


def test_processors_are_counted() -> None:
    assert 1 <= pool.available() <= (os.cpu_count() or 1)
