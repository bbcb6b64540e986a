"""The floors, and what must stay small: lines per file, and rooms that import only downwards."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "retrograd"
FILES = sorted(SOURCE.rglob("*.py"))
NAMES = [str(path.relative_to(SOURCE)) for path in FILES]
LINES = 700  # over about 400 it is probably two files, which scripts/check reports; over this it is two


def contract():
    """The floors as pyproject.toml has them, top first: one place, read by import-linter and by this file."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        layers = tomllib.load(file)["tool"]["importlinter"]["contracts"][0]["layers"]
    return [[room.strip().strip("()") for room in floor.replace(":", "|").split("|")] for floor in layers]


def imported(path):
    """Every retrograd module that a file imports, as the dotted names it writes, relative ones made whole."""
    package = ["retrograd", *path.relative_to(SOURCE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


FLOORS = contract()
LEVEL = {room: level for level, rooms in enumerate(reversed(FLOORS), 1) for room in rooms}
FACES = set(max(FLOORS, key=len))


def test_import_linter_keeps_the_floors():
    linter = pytest.importorskip("importlinter.cli", reason="import-linter comes with the dev extra")
    assert linter.lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_imports_point_down(path):
    """The same law by reading the text alone, so that it holds wherever the tests run."""
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    assert room in LEVEL, f"{room} stands on no floor: give it one in pyproject.toml"
    for name in imported(path):
        package, _, rest = name.partition(".")
        other = rest.partition(".")[0]
        if package != "retrograd" or other == room or name.startswith("retrograd.utils._names"):
            continue
        if not rest:
            assert room in FACES | {"__main__", "cli", "as_torch"}, f"{room} imports the whole package"
        elif other in LEVEL:
            both_faces = room in FACES and other in FACES
            assert LEVEL[other] < LEVEL[room] or both_faces, f"{room} (floor {LEVEL[room]}) imports {name}"
        else:
            assert not (SOURCE / other).exists(), f"{other} stands on no floor"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_file_opens_with_a_sentence_and_stays_short(path):
    text = path.read_text(encoding="utf-8")
    summary = (ast.get_docstring(ast.parse(text)) or "").partition("\n\n")[0]
    assert summary.rstrip().endswith((".", "!", "?")), "say in one sentence what the file holds"
    assert text.count("\n") <= LINES, f"{text.count(chr(10))} lines: it is two files"


def test_llvmlite_is_imported_by_the_compilers_last_stages_alone():
    users = {name for name, path in zip(NAMES, FILES) if any(n.partition(".")[0] == "llvmlite" for n in imported(path))}
    assert users
    assert not [name for name in users if not name.startswith(("compiler/codegen/", "compiler/runtime/"))]


def test_every_room_has_its_floor_in_the_architecture_page():
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
    assert not [room for room in sorted(rooms) if f"`{room}/`" not in page]
