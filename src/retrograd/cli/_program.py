"""A program is run as `python` would run it: as `__main__`, with its own argv, path, tracebacks and exit status."""

from __future__ import annotations

import builtins
import importlib.abc
import importlib.machinery
import importlib.util
import linecache
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from types import ModuleType, TracebackType

__all__ = ["module", "notebook", "run", "script", "standard_input"]

Body = Callable[[], None]
OURS = os.path.dirname(os.path.abspath(__file__))


def run(body: Body) -> int:
    """Put this library in torch's place, run the body, and return its exit status.

    An exception that nobody caught is shown by `sys.excepthook` without this command's own frames; the status is then
    1, or 130 for Ctrl-C, as a shell has it. SystemExit passes through.
    """
    import retrograd.as_torch  # noqa: F401  (importing it is what it does)

    try:
        body()
    except SystemExit:
        raise
    except BaseException as error:  # whatever ends the program is shown as Python would show it
        error.__traceback__ = _from_the_program(error.__traceback__)
        sys.excepthook(type(error), error, error.__traceback__)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


def script(path: str, words: Sequence[str]) -> Body:
    """Prepare a Python file; worker processes that start afresh find it by its ``__file__``."""

    def body() -> None:
        full = os.path.abspath(path)
        namespace = _become_main([path, *words], os.path.dirname(os.path.realpath(path)))
        loader = importlib.machinery.SourceFileLoader("__main__", full)
        namespace.update(__file__=full, __cached__=None, __loader__=loader)
        exec(compile(loader.get_data(full), full, "exec", dont_inherit=True), namespace)

    return body


def module(name: str, words: Sequence[str]) -> Body:
    """Prepare an importable module, or a package's ``__main__``; worker processes find it by its ``__spec__``."""

    def body() -> None:
        namespace = _become_main(["-m", *words], os.getcwd())
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(name + ".__main__")
        code = (
            spec.loader.get_code(spec.name) if spec and isinstance(spec.loader, importlib.abc.InspectLoader) else None
        )
        if spec is None or code is None:
            raise ModuleNotFoundError(
                f"there is no module {name!r} to run (a package needs a __main__ file)", name=name
            )
        sys.argv[0] = spec.origin or name
        namespace.update(
            __file__=spec.origin,
            __cached__=spec.cached,
            __loader__=spec.loader,
            __package__=spec.parent,
            __spec__=spec,
        )
        exec(code, namespace)

    return body


def standard_input(words: Sequence[str]) -> Body:
    """Prepare the program that arrives on standard input."""

    def body() -> None:
        namespace = _become_main(["-", *words], "")
        source = sys.stdin.read()
        remember_lines("<stdin>", source)
        exec(compile(source, "<stdin>", "exec", dont_inherit=True), namespace)

    return body


def notebook(path: str, words: Sequence[str]) -> Body:
    """Prepare a notebook: its code cells in order, in its own folder, the value of a cell's last line shown."""

    def body() -> None:
        from retrograd.cli import _notebook

        cells = _notebook.read(path)
        folder, name = os.path.split(os.path.abspath(path))
        namespace = _become_main([path, *words], folder)
        os.chdir(folder)  # as Jupyter does, so that a notebook finds the files beside it
        namespace["display"] = _notebook.display
        place = name

        def skip(line: str) -> None:
            print(f"retrograd run: {place}: skipped {line!r}", file=sys.stderr)

        shell = _notebook.Shell(skip)
        namespace["get_ipython"] = lambda: shell
        for number, cell in enumerate(cells, 1):
            place = f"{name}, cell {number}"
            source, skipped = _notebook.python(cell)
            for line in skipped:
                skip(line)
            remember_lines(place, source)
            _notebook.execute(source, place, namespace)

    return body


def remember_lines(place: str, source: str) -> None:
    """Let tracebacks, and this library's own errors, quote the lines of a source that is no file."""
    lines = [line + "\n" for line in source.splitlines()]
    linecache.cache[place] = (len(source), None, lines, place)
    if sys.excepthook is sys.__excepthook__:  # which, before Python 3.13, reads files only
        sys.excepthook = traceback.print_exception


def _become_main(argv: list[str], folder: str) -> dict[str, object]:
    """Make a fresh `__main__` that has this process's argv and first place to look; return its namespace."""
    main = ModuleType("__main__")
    sys.modules["__main__"] = main
    sys.argv[:] = argv
    if not sys.flags.safe_path:
        sys.path[0] = folder
    namespace = main.__dict__
    namespace["__builtins__"] = builtins
    return namespace


def _from_the_program(frames: TracebackType | None) -> TracebackType | None:
    """Drop the frames that led into the program: this command's, and the import system's."""
    while frames is not None:
        file = frames.tb_frame.f_code.co_filename
        if os.path.dirname(file) != OURS and not file.startswith("<frozen "):
            break
        frames = frames.tb_next
    return frames
