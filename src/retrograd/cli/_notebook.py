"""A notebook as plain Python: its code cells, less the lines that are meant for a shell or for IPython."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable

__all__ = ["Shell", "display", "execute", "python", "read"]

# A line that only IPython takes: !shell, %magic, name = !shell, ?help, help?, and a bare pip or conda.
LINE = re.compile(r"\s*([!%?]|[\w., ]+=\s*[!%]|(pip3?|conda|mamba)\s+\w|.*\?\s*$)")
# A magic whose cell, or whose rest of the line, is Python to be run all the same.
RUNS_PYTHON = re.compile(r"\s*%{1,2}(time|timeit|prun|capture)\b(?:\s+(?:-[nrpl]\s*\d+|--?[\w-]+))*\s*")


def read(path: str) -> list[str]:
    """Read the sources of a notebook's code cells, in order.

    Raises
    ------
    ValueError
        When the file is no notebook, or one whose language is not Python.
    """
    with open(path, encoding="utf-8") as file:
        try:
            book = json.load(file)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is not a notebook: {error}") from None
    if not isinstance(book, dict) or not ("cells" in book or "worksheets" in book):
        raise ValueError(f"{path} is not a notebook: it has no cells")
    language = book.get("metadata", {}).get("language_info", {}).get("name", "python")
    if not str(language).lower().startswith(("python", "ipython")):
        raise ValueError(f"{path} is a notebook in {language}, and only Python can be run")
    sheets = [book] if "cells" in book else book["worksheets"]  # format 3 kept its cells in worksheets
    cells = [cell for sheet in sheets for cell in sheet.get("cells", []) if cell.get("cell_type") == "code"]
    sources = [cell.get("source", cell.get("input", "")) for cell in cells]
    return [source if isinstance(source, str) else "".join(source) for source in sources]


def python(cell: str) -> tuple[str, list[str]]:
    """Turn a cell into Python of as many lines, and tell which lines were skipped.

    A line is only skipped where it does not parse: ``% n`` may continue an expression, ``!`` may stand in a string.

    Examples
    --------
    >>> python("!pip install torch\\nimport math")
    ('pass\\nimport math', ['!pip install torch'])
    """
    lines = cell.split("\n")
    start = next((number for number, line in enumerate(lines) if line.strip()), 0)
    if lines[start].lstrip().startswith("%%"):
        if not RUNS_PYTHON.match(lines[start]):
            return "", [lines[start] + " ..."] if len(lines) > 1 else [lines[start]]
        lines[start] = ""
    skipped: list[str] = []
    for _ in range(len(lines)):
        wrong = _first_wrong_line("\n".join(lines))
        if wrong is None or not LINE.match(lines[wrong]):
            break
        _skip(lines, wrong, skipped)
    return "\n".join(lines), skipped


def _first_wrong_line(source: str) -> int | None:
    try:
        ast.parse(source)
    except SyntaxError as error:
        lines = source.count("\n") + 1
        return min(max((error.lineno or 1) - 1, 0), lines - 1)
    except ValueError:  # a null byte: the run itself will say so
        return None
    return None


def _skip(lines: list[str], number: int, skipped: list[str]) -> None:
    """Put `pass` in the line's place, or the Python behind a magic, and nothing in place of its continuation lines."""
    line = lines[number]
    indent = line[: len(line) - len(line.lstrip())]
    magic = RUNS_PYTHON.match(line)
    if magic and line[magic.end() :].strip():
        lines[number] = indent + line[magic.end() :]
        return
    skipped.append(line.strip())
    lines[number] = indent + "pass"
    while line.endswith("\\") and number + 1 < len(lines):
        number += 1
        line, lines[number] = lines[number], ""


def execute(source: str, place: str, namespace: dict[str, object]) -> None:
    """Run a cell; the value of a last line that is an expression is shown, unless a semicolon ends it."""
    import sys

    tree = ast.parse(source, place)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, place, "exec", dont_inherit=True), namespace)
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), place, "eval", dont_inherit=True), namespace)
        if not source.rstrip().endswith(";"):
            sys.displayhook(value)


def display(*values: object) -> None:
    """Show values as a notebook's ``display`` does, one a line."""
    for value in values:
        print(repr(value))


class Shell:
    """What ``get_ipython()`` gives a program here: its magics and shell commands are skipped, and said so."""

    def __init__(self, skipped: Callable[[str], None]) -> None:
        self._skipped = skipped

    def __repr__(self) -> str:
        return "<retrograd run: no IPython shell>"

    def system(self, command: str) -> None:
        """Skip a shell command."""
        self._skipped(f"!{command}")

    def run_line_magic(self, name: str, line: str, *_: object) -> None:
        """Skip a magic."""
        self._skipped(f"%{name} {line}".rstrip())

    def magic(self, line: str) -> None:
        """Skip a magic."""
        self._skipped(f"%{line}")

    def run_cell_magic(self, name: str, line: str, cell: str) -> None:
        """Skip a cell's magic and the cell."""
        self._skipped(f"%%{name} {line}".rstrip() + " ...")

    getoutput = system
