"""The documentation runs: every docstring's example, and every page's."""

import doctest
import importlib
from pathlib import Path

import pytest

from test_imports import modules

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").glob("*.md"))]
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.fixture(autouse=True)
def own_state():
    """Give each module's examples the same random numbers and defaults, and put them back."""
    import retrograd as torch

    kept = torch.get_default_dtype()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    torch.set_default_dtype(kept)


@pytest.mark.parametrize("name", modules())
def test_docstrings(name, capfd):
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        runner.run(test)
    assert runner.failures == 0, capfd.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_pages(page, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # pages make pictures
    failures, _ = doctest.testfile(str(page), module_relative=False, optionflags=OPTIONS, encoding="utf-8")
    assert failures == 0, capfd.readouterr().out
