"""The `retrograd` command: one file per subcommand, imported when it is asked for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

__all__ = ["main"]

# Each names a module of this package with `configure(parser)` and `execute(arguments) -> exit status`.
COMMANDS = {
    "run": "run a program or notebook written for PyTorch, with this library in torch's place",
    "explain": "every value and gradient of an expression, and how each came to be",
    "glass": "show a recorded training run: as a page, live, or in words",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        The words after ``retrograd``; those of the process by default.

    Returns
    -------
    int
        0 for success, 1 for an error of the program that ran, 2 for a command that cannot be carried out.

    Examples
    --------
    >>> main([])  # doctest: +ELLIPSIS
    usage: retrograd [-h] [--version] COMMAND ...
    ...
    2
    """
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="retrograd", description="Automatic differentiation with PyTorch's interface."
    )
    parser.add_argument("--version", action="version", version=f"retrograd {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    asked = next((word for word in words if not word.startswith("-")), None)
    for name, meaning in COMMANDS.items():
        command = commands.add_parser(name, help=meaning, formatter_class=argparse.RawDescriptionHelpFormatter)
        if name == asked:
            module = import_module(f"{__name__}.{name}")
            command.description = module.__doc__
            module.configure(command)
            command.set_defaults(execute=module.execute)
    arguments = parser.parse_args(words)
    if arguments.command is None:
        parser.print_help()
        return 2
    return int(arguments.execute(arguments))


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("retrograd")
    except PackageNotFoundError:
        return "(run from its sources, not installed)"
