"""Run a program written for PyTorch, unmodified, with this library in torch's place.

`retrograd run SCRIPT [ARGS...]` stands for `python SCRIPT ARGS...`, and `retrograd run -m MODULE [ARGS...]` for
`python -m MODULE ARGS...`. SCRIPT may be `-` for standard input, or a notebook (.ipynb): its code cells run from top to
bottom in the notebook's folder; shell lines and magics are skipped.
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
    parser.usage = "retrograd run [-h] SCRIPT [ARGS ...]\n       retrograd run [-h] -m MODULE [ARGS ...]"
    parser.add_argument("-m", dest="module", nargs=rest, metavar="MODULE", help="run an importable module instead")
    parser.add_argument(
        "script", nargs="?", metavar="SCRIPT", help="a Python file, a notebook, or - for standard input"
    )
    parser.add_argument("arguments", nargs=rest, metavar="ARGS", help="handed to the program in sys.argv")


def execute(arguments: argparse.Namespace) -> int:
    """Run the program and return its exit status; a program's SystemExit passes through."""
    if arguments.module:
        name, *words = arguments.module
        return _program.run(_program.module(name, words))
    script, words = arguments.script, arguments.arguments
    if script is None:
        return _refuse("say which program: retrograd run SCRIPT [ARGS ...], or retrograd run -m MODULE [ARGS ...]")
    if script == "-":
        return _program.run(_program.standard_input(words))
    if os.path.isdir(script):
        return _refuse(f"{script!r} is a folder; name the program in it, or run a package with -m")
    if not os.path.exists(script):
        return _refuse(f"there is no file {script!r} in {os.getcwd()}{_similar(script)}")
    prepare = _program.notebook if script.endswith(".ipynb") else _program.script
    return _program.run(prepare(script, words))


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
