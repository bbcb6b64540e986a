"""What is saved is loaded: values, types, layouts in memory, sharing."""

import collections
import copy
import fractions
import io
import os
import pickle
import types
import zipfile

import numpy as np
import pytest

import retrograd as torch
from retrograd.serialization import archive

DTYPES = [
    "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8",
    "uint8", "uint16", "uint32", "uint64", "bool", "complex64", "complex128",
]  # fmt: skip


def again(obj, **options):
    file = io.BytesIO()
    torch.save(obj, file)
    file.seek(0)
    return torch.load(file, **options)


def example(name):
    return torch.tensor([[0, 1, 2], [3, 4, 5]]).to(getattr(torch, name))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype(name, weights_only, zipped):
    x = example(name)
    file = io.BytesIO()
    if not zipped and name in ("uint16", "uint32", "uint64"):
        with pytest.raises(RuntimeError, match=name):
            torch.save(x, file, _use_new_zipfile_serialization=zipped)
        return
    torch.save(x, file, _use_new_zipfile_serialization=zipped)
    file.seek(0)
    y = torch.load(file, weights_only=weights_only)
    assert y.dtype == x.dtype and y.shape == x.shape and y.tolist() == x.tolist()


PLAIN = {
    "none": None,
    "bools": [True, False],
    "ints": [0, 1, -1, 255, 256, 65535, 65536, -(2**31), 2**31, 2**70, -(2**70)],
    "floats": [0.0, -0.5, float("inf")],
    "complex": 1 - 2j,
    "texts": ["", "a", "ä€😀", "x" * 300, "\udcff"],
    "bytes": [b"", b"\x00\xff", bytearray(b"abc")],
    "nested": {"a": [1, (2, {3: (4,)})], "b": ((), [], {}, set())},
    "set": {1, 2.5, "x", (1, "y")},
    "counter": collections.Counter("aab"),
    "ordered": collections.OrderedDict(z=1, a=2),
    "size": torch.Size([2, 3]),
    "dtype": torch.float16,
    "device": torch.device("cpu"),
    "gpu": torch.device("cuda", 1),
    "empty": (),
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", PLAIN)
def test_plain_data(name, protocol):
    file = io.BytesIO()
    torch.save(PLAIN[name], file, pickle_protocol=protocol)
    file.seek(0)
    found = torch.load(file)
    assert found == PLAIN[name] and type(found) is type(PLAIN[name])


def test_views_are_stored_once_and_shared_again(tmp_path):
    base = torch.arange(1000.0)
    saved = {"base": base, "slice": base[10:20:2], "matrix": base.view(10, 100).t(), "again": base}
    torch.save(saved, tmp_path / "x.pt")
    assert os.path.getsize(tmp_path / "x.pt") < 6000
    for mmap in (False, True):
        found = torch.load(tmp_path / "x.pt", mmap=mmap)
        assert found["again"] is found["base"]
        assert found["slice"].storage_offset() == 10 and found["slice"].stride() == (2,)
        assert found["matrix"].stride() == (1, 100)
        found["base"][12] = -1.0
        assert found["slice"][1] == -1.0 and found["matrix"][12, 0] == -1.0
        assert torch.load(tmp_path / "x.pt")["base"][12] == 12.0


def test_a_slice_keeps_its_storage():
    found = again(torch.arange(100)[40:42])
    assert found.tolist() == [40, 41] and found.storage_offset() == 40


@pytest.mark.parametrize(
    "array",
    [np.arange(6.0)[::-1], np.asfortranarray(np.arange(6).reshape(2, 3)), np.arange(6, dtype=">i4"), np.float64(3.0)],
    ids=["reversed", "fortran", "big-endian", "0-d"],
)
def test_arrays_of_any_layout(array):
    x = torch.Tensor._wrap(np.asarray(array))
    assert again(x).tolist() == np.asarray(array).tolist()


def test_shapes():
    for x in (torch.zeros(()), torch.zeros(0), torch.zeros(2, 0, 3), torch.zeros(1, 1), torch.zeros(2).expand(3, 2)):
        assert again(x).shape == x.shape
    assert again(torch.zeros(2).expand(3, 2)).stride() == (0, 1)


def test_gradients_and_parameters():
    x = torch.ones(2, requires_grad=True)
    p = torch.nn.Parameter(torch.ones(3), requires_grad=False)
    q = torch.nn.Parameter(torch.ones(3))
    q.note = "mine"
    found = again([x, p, q, (x * 2)])
    assert [t.requires_grad for t in found] == [True, False, True, True]
    assert all(t.is_leaf for t in found)
    assert [type(t) for t in found] == [torch.Tensor, torch.nn.Parameter, torch.nn.Parameter, torch.Tensor]
    assert found[2].note == "mine"
    (found[0] * found[2][:2]).sum().backward()
    assert found[0].grad.tolist() == [1, 1] and found[2].grad.tolist() == [1, 1, 0]


def test_tied_parameters_stay_tied():
    p = torch.nn.Parameter(torch.ones(3))
    found = again({"a": p, "b": p, "c": p.data})
    assert found["a"] is found["b"]
    with torch.no_grad():
        found["a"].zero_()
    assert found["c"].tolist() == [0, 0, 0]


def test_two_dtypes_on_one_storage_are_refused():
    x = torch.ones(2)
    with pytest.raises(RuntimeError, match="view the same data as different types"):
        torch.save([x, x.view(torch.int32)], io.BytesIO())


def test_training_goes_on(tmp_path):
    def make():
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
        return model, torch.optim.Adam(model.parameters(), lr=0.1)

    def step(model, optimizer):
        optimizer.zero_grad()
        loss = model(torch.ones(2, 3)).pow(2).sum()
        loss.backward()
        optimizer.step()
        return loss.item()

    model, optimizer = make()
    step(model, optimizer)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 1}, tmp_path / "x.pt")
    expected = [step(model, optimizer) for _ in range(3)]

    other, other_optimizer = make()
    found = torch.load(tmp_path / "x.pt")
    assert found["model"]._metadata == model.state_dict()._metadata
    other.load_state_dict(found["model"])
    other_optimizer.load_state_dict(found["optimizer"])
    assert [step(other, other_optimizer) for _ in range(3)] == expected


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)
        self.register_buffer("scale", torch.tensor(3.0))

    def forward(self, x):
        return self.layer(x) * self.scale


def test_whole_modules():
    net, x = Net(), torch.ones(1, 2)
    with pytest.raises(pickle.UnpicklingError, match="Net was not an allowed global"):
        again(net)
    found = again(net, weights_only=False)
    assert type(found) is Net and torch.equal(found(x), net(x))
    assert found.layer.weight.requires_grad


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
def test_tensors_can_be_copied_and_pickled(clone):
    for x in (torch.tensor(3.0), torch.ones(2, 3, dtype=torch.bfloat16), torch.ones(2, requires_grad=True)):
        y = clone(x)
        assert y.shape == x.shape and y.dtype == x.dtype and y.tolist() == x.tolist()
        assert y.requires_grad == x.requires_grad and y.data_ptr() != x.data_ptr()
    assert isinstance(clone(torch.nn.Parameter(torch.ones(1))), torch.nn.Parameter)


def test_the_container():
    file = io.BytesIO()
    torch.save({"a": torch.ones(3), "b": torch.zeros(0)}, file)
    with zipfile.ZipFile(file) as container:
        assert container.testzip() is None
        names = [entry.removeprefix("archive/") for entry in container.namelist()]
        assert container.read("archive/byteorder") == b"little" and container.read("archive/version") == b"3\n"
    ends = ["version", ".data/serialization_id"]
    assert names == ["data.pkl", ".format_version", ".storage_alignment", "byteorder", "data/0", "data/1", *ends]
    reader = archive.ArchiveReader(file)
    assert all(reader.offset(f"data/{i}") % 64 == 0 for i in range(2))
    again_file = io.BytesIO()
    torch.save({"a": torch.ones(3), "b": torch.zeros(0)}, again_file)
    assert again_file.getvalue() == file.getvalue()


def test_more_than_four_gigabytes(monkeypatch):
    monkeypatch.setattr(archive, "LIMIT", 300)  # beyond which the 64-bit fields are used
    file = io.BytesIO()
    torch.save({"a": torch.arange(100), "b": torch.ones(3)}, file)
    with zipfile.ZipFile(file) as container:
        assert container.testzip() is None
    file.seek(0)
    assert torch.load(file)["a"].tolist() == list(range(100))


def test_big_endian_files():
    file = io.BytesIO()
    values = {"f4": torch.tensor([1.5, -2.0]), "c8": torch.tensor([1 + 2j]), "b": torch.tensor([True])}
    torch.save(values, file)
    old = archive.ArchiveReader(file)
    swapped = io.BytesIO()
    writer = archive.ArchiveWriter(swapped, "archive")
    writer.write("data.pkl", old.read("data.pkl"))
    writer.write("byteorder", b"big")
    for i, width in enumerate((4, 4, 1)):
        writer.write(f"data/{i}", old.read(f"data/{i}").view(f"u{width}").byteswap())
    writer.close()
    swapped.seek(0)
    assert {k: v.tolist() for k, v in torch.load(swapped).items()} == {k: v.tolist() for k, v in values.items()}


class Stream(io.RawIOBase):
    """A file that can only be written, front to back."""

    def __init__(self):
        self.parts = []

    def writable(self):
        return True

    def write(self, data):
        self.parts.append(bytes(data))
        return len(data)


def test_file_objects():
    stream = Stream()
    torch.save(torch.ones(2), stream)
    assert torch.load(io.BytesIO(b"".join(stream.parts))).tolist() == [1, 1]
    with pytest.raises(AttributeError, match="write"):
        torch.save(1, 5)
    with pytest.raises(AttributeError, match="seek"):
        torch.load(stream)
    with pytest.raises(AttributeError):
        torch.load(5)


def test_map_location():
    file = io.BytesIO()
    torch.save({"x": torch.ones(2)}, file)
    raw = file.getvalue()
    program = archive.ArchiveReader(file).read("data.pkl").tobytes()
    writer = archive.ArchiveWriter(gpu := io.BytesIO(), "archive")
    writer.write("data.pkl", program.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"))
    writer.write("data/0", archive.ArchiveReader(file).read("data/0"))
    writer.close()

    def load(data, map_location=None):
        return torch.load(io.BytesIO(data), map_location=map_location)["x"].tolist()

    with pytest.raises(RuntimeError, match="map_location=torch.device"):
        load(gpu.getvalue())
    seen = []
    for where in (
        "cpu",
        torch.device("cpu"),
        {"cuda:0": "cpu"},
        lambda storage, place: seen.append((place, storage.size())) or storage,
    ):
        assert load(gpu.getvalue(), where) == [1, 1]
    assert seen == [("cuda:0", 2)]
    with pytest.raises(RuntimeError):
        load(raw, "cuda")
    with pytest.raises(TypeError):
        load(raw, lambda storage, place: 3)


def test_what_may_be_loaded_is_named_and_can_be_allowed():
    half = fractions.Fraction(1, 2)
    with pytest.raises(pickle.UnpicklingError, match=r"add_safe_globals\(\[fractions.Fraction\]\)"):
        again(half)
    assert again(half, weights_only=False) == half
    with torch.serialization.safe_globals([fractions.Fraction]):
        assert again(half) == half
        assert torch.serialization.get_safe_globals() == [fractions.Fraction]
    assert torch.serialization.get_safe_globals() == []
    array = np.arange(3.0)
    with pytest.raises(pickle.UnpicklingError, match="numpy"):
        again(array)
    allowed = [np._core.multiarray._reconstruct, np.ndarray, np.dtype, type(array.dtype)]
    with torch.serialization.safe_globals(allowed):
        assert again(array).tolist() == array.tolist()
    file = io.BytesIO()
    torch.save([half, torch.ones(2), array], file)
    unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    assert unsafe == ["fractions.Fraction", "numpy._core.multiarray._reconstruct", "numpy.ndarray", "numpy.dtype"]


def test_torchs_names_without_this_librarys_counterpart():
    program = b"\x80\x02ctorch.distributed.pipeline\nPipe\n."
    writer = archive.ArchiveWriter(file := io.BytesIO(), "archive")
    writer.write("data.pkl", program)
    writer.close()
    file.seek(0)
    with pytest.raises(AttributeError, match="torch.distributed.pipeline.Pipe"):
        torch.load(file, weights_only=False)
    with pytest.raises(RuntimeError, match="pickle_module"):
        torch.load(file, weights_only=True, pickle_module=pickle)


def test_another_module_s_pickler_writes_what_it_can():
    """As cloudpickle does: a pickler in C with ways of its own, which functions without a name need."""

    class Own(pickle.Pickler):
        def reducer_override(self, obj):
            return (eval, (obj.text,)) if hasattr(obj, "text") else NotImplemented

    own = types.SimpleNamespace(__name__="own", Pickler=Own)
    double = eval(text := "lambda x: x * 2")
    double.text = text
    for zipped in (True, False):
        file = io.BytesIO()
        w = torch.ones(2)
        torch.save(
            {"fn": double, "w": w, "same": w[1:], "kind": torch.float16, "net": torch.nn.Linear(2, 1)},
            file,
            pickle_module=own,
            _use_new_zipfile_serialization=zipped,
        )
        file.seek(0)
        found = torch.load(file, weights_only=False)
        assert found["fn"](4) == 8 and found["w"].tolist() == [1, 1] and found["kind"] is torch.float16
        assert found["same"].untyped_storage() == found["w"].untyped_storage() and found["net"].in_features == 2
    with pytest.raises(ValueError, match="no class Pickler"):
        torch.save(1, io.BytesIO(), pickle_module=types.SimpleNamespace(__name__="none"))


def test_what_other_modules_put_into_python_s_table_is_not_used():
    """dill, once imported, replaces the table's ways of saving dictionaries and functions."""
    before = pickle._Pickler.dispatch[dict]
    pickle._Pickler.dispatch[dict] = lambda *_: 1 / 0
    try:
        assert again({"w": torch.ones(1)})["w"].tolist() == [1]
    finally:
        pickle._Pickler.dispatch[dict] = before
