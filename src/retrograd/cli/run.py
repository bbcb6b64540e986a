"""Run a program written for PyTorch, unmodified, with this library in torch's place.

`retrograd run SCRIPT [ARGS...]` stands for `python SCRIPT ARGS...`, and `retrograd run -m MODULE [ARGS...]` for
`python -m MODULE ARGS...`. SCRIPT may be `-` for standard input, or a notebook (.ipynb): its code cells run from top to
bottom in the notebook's folder; shell lines and magics are skipped.

With `--glass` the program's training is recorded as it runs, without a change to its numbers: statistics of its values and
gradients go to a directory, with a page in it (report.html) at the end; `retrograd glass serve DIRECTORY` follows it live.
"""

from __future__ import annotations

import argparse
import os
import sys

from retrograd.cli import _program

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words on its parser."""
    rest = argparse.REMAINDER  # what follows the program is the program's own, dashes included
    parser.usage = (
        "retrograd run [-h] [--glass] [--glass-dir DIRECTORY] SCRIPT [ARGS ...]\n"
        "       retrograd run [-h] [--glass] [--glass-dir DIRECTORY] -m MODULE [ARGS ...]"
    )
    parser.add_argument("--glass", action="store_true", help="record the training, and write a page of it")
    parser.add_argument(
        "--glass-dir", metavar="DIRECTORY", help="where to (implies --glass); a new directory by default"
    )
    parser.add_argument("-m", dest="module", nargs=rest, metavar="MODULE", help="run an importable module instead")
    parser.add_argument(
        "script", nargs="?", metavar="SCRIPT", help="a Python file, a notebook, or - for standard input"
    )
    parser.add_argument("arguments", nargs=rest, metavar="ARGS", help="handed to the program in sys.argv")


def execute(arguments: argparse.Namespace) -> int:
    """Run the program and return its exit status; a program's SystemExit passes through."""
    if arguments.module:
        name, *words = arguments.module
        return _run(_program.module(name, words), name, arguments)
    script, words = arguments.script, arguments.arguments
    if script is None:
        return _refuse("say which program: retrograd run SCRIPT [ARGS ...], or retrograd run -m MODULE [ARGS ...]")
    if script == "-":
        return _run(_program.standard_input(words), "program", arguments)
    if os.path.isdir(script):
        return _refuse(f"{script!r} is a folder; name the program in it, or run a package with -m")
    if not os.path.exists(script):
        return _refuse(f"there is no file {script!r} in {os.getcwd()}{_similar(script)}")
    prepare = _program.notebook if script.endswith(".ipynb") else _program.script
    return _run(prepare(script, words), os.path.splitext(os.path.basename(script))[0], arguments)


def _run(body: _program.Body, name: str, arguments: argparse.Namespace) -> int:
    """Run the program, recorded if that is asked for."""
    if not (arguments.glass or arguments.glass_dir):
        return _program.run(body)
    from retrograd.cli import _recorded

    folder = arguments.glass_dir or _recorded.fresh(name)
    try:
        return _recorded.run(body, folder, name)
    except FileExistsError as error:
        return _refuse(str(error))


def _refuse(reason: str) -> int:
    print(f"retrograd run: {reason}", file=sys.stderr)
    return 2


def _similar(script: str) -> str:
    import difflib

    folder, name = os.path.split(script)
    try:
        near = difflib.get_close_matches(name, os.listdir(folder or "."), 1)
    except OSError:
        return f" (nor a folder {folder!r})"
    return f"; did you mean {os.path.join(folder, near[0])!r}?" if near else ""
