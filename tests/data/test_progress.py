"""Progress bars around loaders."""

import io

import pytest

import retrograd as torch
from retrograd.data.progress import progress
from retrograd.utils.data import DataLoader, TensorDataset


def loader():
    return DataLoader(TensorDataset(torch.arange(6)), 2)


def test_tqdm():
    pytest.importorskip("tqdm")
    shown = io.StringIO()
    assert len(list(progress(loader(), "epoch 1", "tqdm", file=shown))) == 3
    assert "epoch 1" in shown.getvalue() and "3/3" in shown.getvalue()
    assert list(progress(iter([1, 2]), kind="tqdm", file=shown)) == [1, 2]


def test_rich():
    console = pytest.importorskip("rich.console")
    shown = io.StringIO()
    bar = progress(loader(), "epoch 1", "rich", console=console.Console(file=shown, force_terminal=True))
    assert len(list(bar)) == 3 and "epoch 1" in shown.getvalue()


def test_kinds():
    with pytest.raises(ValueError, match="tqdm"):
        progress([], kind="dots")
