"""Checkpoints in directories: each library reads what the other wrote."""

from __future__ import annotations

import pickle

import pytest

import retrograd

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore")


def states(t, fill):
    t.manual_seed(fill)
    net = t.nn.Sequential(t.nn.Linear(3, 2), t.nn.BatchNorm1d(2))
    optimizer = t.optim.Adam(net.parameters())
    net(t.randn(4, 3)).sum().backward()
    optimizer.step()
    narrow = t.arange(4.0).to(t.bfloat16)[1:3] * fill
    return {
        "net": net.state_dict(),
        "optimizer": optimizer.state_dict()["state"],
        "epoch": fill,
        "parts": [narrow, {"name": f"run {fill}"}],
    }


def shown(state):
    if isinstance(state, dict):
        return {k: shown(v) for k, v in state.items()}
    if isinstance(state, (list, tuple)):
        return [shown(v) for v in state]
    return state.tolist() if hasattr(state, "tolist") else state


@pytest.mark.parametrize("writer", [retrograd, torch], ids=["written here", "written by torch"])
@pytest.mark.parametrize("reader", [retrograd, torch], ids=["read here", "read by torch"])
def test_written_and_read(writer, reader, tmp_path):
    for t in (writer, reader):
        __import__(f"{t.__name__}.distributed.checkpoint")
    kept, found = states(writer, 3), states(reader, 5)
    assert shown(kept) != shown(found)
    writer.distributed.checkpoint.save(kept, checkpoint_id=tmp_path)
    reader.distributed.checkpoint.load(found, checkpoint_id=tmp_path)
    assert shown(found) == shown(kept)


def test_objects_with_a_state_and_errors(tmp_path):
    dcp = retrograd.distributed.checkpoint
    net, other = retrograd.nn.Linear(2, 2), retrograd.nn.Linear(2, 2)
    dcp.save({"net": net}, storage_writer=dcp.FileSystemWriter(tmp_path))
    dcp.load({"net": other}, storage_reader=dcp.FileSystemReader(tmp_path))
    assert retrograd.equal(net.weight, other.weight)
    assert dcp.async_save({"w": net.weight}, checkpoint_id=tmp_path / "later").result().version == "1.0.0"
    with pytest.raises(RuntimeError, match="Missing key in checkpoint state_dict: absent"):
        dcp.load({"absent": retrograd.ones(1)}, checkpoint_id=tmp_path)
    with pytest.raises(ValueError, match="Size mismatch"):
        dcp.load({"net": {"weight": retrograd.ones(3)}}, checkpoint_id=tmp_path)
    with pytest.raises(RuntimeError, match="checkpoint_id"):
        dcp.save({})
    (tmp_path / ".metadata").write_bytes(pickle.dumps(print))
    with pytest.raises(pickle.UnpicklingError, match="may not hold"):
        dcp.load({"net": other}, checkpoint_id=tmp_path)


def test_files_of_safetensors(tmp_path):
    dcp = retrograd.distributed.checkpoint
    net, other = retrograd.nn.Linear(2, 2), retrograd.nn.Linear(2, 2)
    dcp.save(net.state_dict(), storage_writer=dcp.HuggingFaceStorageWriter(path=tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]
    dcp.load(other.state_dict(), storage_reader=dcp.HuggingFaceStorageReader(path=tmp_path))
    assert retrograd.equal(net.weight, other.weight)
    with pytest.raises(TypeError, match="flat dictionary"):
        dcp.save({"epoch": 1}, storage_writer=dcp.HuggingFaceStorageWriter(tmp_path))
