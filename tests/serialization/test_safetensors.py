"""The safetensors format, for flat dictionaries of tensors."""

import io

import pytest

import retrograd as torch

safetensors = pytest.importorskip("safetensors.numpy")


@pytest.mark.parametrize(
    "name",
    ["float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "uint16", "bool"],
)
def test_round_trip(name, tmp_path):
    path = tmp_path / "x.safetensors"
    x = torch.tensor([[0, 1, 2], [3, 4, 5]]).to(getattr(torch, name))
    torch.save({"x": x, "turned": x.t(), "part": x[1], "one": x[0, 1], "none": x[:0]}, path)
    found = torch.load(path)
    assert {k: (v.dtype, v.tolist()) for k, v in found.items()} == {
        "x": (x.dtype, x.tolist()),
        "turned": (x.dtype, x.t().tolist()),
        "part": (x.dtype, x[1].tolist()),
        "one": (x.dtype, x[0, 1].item()),
        "none": (x.dtype, []),
    }
    found["x"][0, 0] = 1
    if name != "bfloat16":
        assert safetensors.load_file(path)["turned"].tolist() == x.t().tolist()


def test_modules_and_map_location(tmp_path):
    path = tmp_path / "x.safetensors"
    model = torch.nn.Linear(2, 3)
    torch.save(model.state_dict(), path)
    for where in (None, "cpu", torch.device("cpu")):
        other = torch.nn.Linear(2, 3)
        other.load_state_dict(torch.load(path, map_location=where))
        assert torch.equal(other.weight, model.weight)
    for where in ("cuda", {"cuda": "cpu"}, lambda storage, place: storage):
        with pytest.raises(RuntimeError):
            torch.load(path, map_location=where)


@pytest.mark.parametrize("bad", [[1], {"a": 1}, {1: torch.ones(1)}, {"a": {"b": torch.ones(1)}}, torch.ones(1)])
def test_only_flat_dictionaries(bad, tmp_path):
    with pytest.raises(TypeError, match="flat dictionary"):
        torch.save(bad, tmp_path / "x.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_damaged(tmp_path):
    path = tmp_path / "x.safetensors"
    torch.save({"x": torch.ones(2), "y": torch.zeros(3)}, path)
    data = path.read_bytes()
    for length in range(0, len(data), 5):
        path.write_bytes(data[:length])
        with pytest.raises(RuntimeError, match="damaged"):
            torch.load(path)


def test_by_path_only():
    file = io.BytesIO()
    torch.save({"x": torch.ones(1)}, file)
    assert file.getvalue()[:2] == b"PK"
