"""A program run with its training recorded: where the record goes, and the page of it at the end."""

from __future__ import annotations

import os
import pathlib
import re
import sys

from retrograd.cli import _program

__all__ = ["fresh", "run"]


GRACE = 2.0  # seconds: so much is looked at whatever it costs, that a program of seconds has a record, too


def fresh(name: str) -> pathlib.Path:
    """Name a directory that is not there yet, after the program: glass/NAME-1, glass/NAME-2, ..."""
    stem = re.sub(r"[^\w.-]+", "-", name).strip(".-") or "program"
    number = 1
    while (folder := pathlib.Path("glass") / f"{stem}-{number}").exists():
        number += 1
    return folder


def run(body: _program.Body, folder: str | os.PathLike[str], name: str) -> int:
    """Run the program under a recorder and write its page, however the program ends."""
    from retrograd import glass

    folder = pathlib.Path(folder).absolute()  # the program may go elsewhere
    recorder = glass.record(directory=folder)
    recorder.budget.grace = GRACE
    try:
        with recorder:
            return _program.run(lambda: _hidden(body))
    finally:
        _tell(recorder, folder, name)


def _hidden(body: _program.Body) -> None:
    """Run the program; what it raises is shown as without a recorder."""
    from retrograd.glass.recording import doors

    try:
        body()
    except BaseException as error:
        doors.hide(error)
        raise


def _tell(recorder: object, folder: pathlib.Path, name: str) -> None:
    from retrograd import glass

    if os.getpid() != recorder.process:  # type: ignore[attr-defined]
        return  # forked off by the program
    if not recorder.losses and not recorder.statistics:  # type: ignore[attr-defined]
        print(f"retrograd run --glass: {name} made no training step that could be seen", file=sys.stderr)
        return
    try:
        page = glass.report(folder / "report.html", record=recorder, title=name)
    except OSError as error:
        print(f"retrograd run --glass: the page could not be written: {error}", file=sys.stderr)
        return
    steps, looked = recorder.step, len(recorder.steps)  # type: ignore[attr-defined]
    print(f"retrograd run --glass: {steps} steps, {looked} of them looked at; the page is {page}", file=sys.stderr)
