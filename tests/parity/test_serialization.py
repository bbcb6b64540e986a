"""Files go both ways: what PyTorch saves is loaded here, and what is saved here PyTorch loads."""

import collections
import contextlib
import io
import pickle
import warnings
import zipfile

import numpy as np
import pytest

import retrograd
from retrograd.serialization.archive import ArchiveReader

torch = pytest.importorskip("torch")

DTYPES = [
    "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8",
    "uint8", "uint16", "uint32", "uint64", "bool", "complex64", "complex128",
]  # fmt: skip


def carry(obj, source, target, **options):
    """Save with one library and load with the other."""
    file = io.BytesIO()
    source.save(obj, file, **{k: v for k, v in options.items() if k.startswith("_") or k == "pickle_protocol"})
    file.seek(0)
    return target.load(file, **{k: v for k, v in options.items() if k in ("weights_only", "map_location")})


WAYS = pytest.mark.parametrize(
    ("source", "target"), [(torch, retrograd), (retrograd, torch)], ids=["from torch", "to torch"]
)


def show(found):
    if isinstance(found, (retrograd.Tensor, torch.Tensor)):
        parameter = isinstance(found, (retrograd.nn.Parameter, torch.nn.Parameter))
        values = found.detach().tolist()
        layout = tuple(found.stride()), found.storage_offset()
        return str(found.dtype), tuple(found.shape), layout, values, found.requires_grad, parameter
    if isinstance(found, (retrograd.Size, torch.Size)):
        return "Size", tuple(found)
    if isinstance(found, (retrograd.dtype, torch.dtype, retrograd.device, torch.device)):
        return repr(found)
    if isinstance(found, dict):
        return (
            type(found).__name__,
            [(show(k), show(v)) for k, v in found.items()],
            show(getattr(found, "_metadata", 0)),
        )
    if isinstance(found, (list, tuple, set)):
        return type(found).__name__, [show(item) for item in found]
    return type(found).__name__, found


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old format"])
@pytest.mark.parametrize("name", DTYPES)
@WAYS
def test_dtypes(source, target, name, zipped):
    x = source.tensor([[0, 1, 2], [3, 4, 5]]).to(getattr(source, name))
    if not zipped and name in ("uint16", "uint32", "uint64"):
        pytest.skip("the old format has no such storages")
    for obj in (x, x.t(), x[:, 1:], x[1, 1], x[:0]):
        found = carry(obj, source, target, _use_new_zipfile_serialization=zipped)
        ours, theirs = show(found), show(obj)
        if obj.numel():
            assert ours == theirs
        else:
            assert (ours[0], ours[1]) == (theirs[0], theirs[1])


def objects(t):
    base = t.arange(24.0)
    model = t.nn.Sequential(t.nn.Linear(3, 4), t.nn.BatchNorm1d(4), t.nn.Linear(4, 2))
    optimizers = [
        t.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        t.optim.Adam(model.parameters()),
        t.optim.RMSprop([{"params": model[0].parameters(), "lr": 0.5}, {"params": model[2].parameters()}]),
    ]
    model(t.ones(5, 3)).sum().backward()
    for optimizer in optimizers:
        optimizer.step()
    ordered = collections.OrderedDict(z=base, a=base[3:])
    ordered._metadata = {"": {"version": 2}}
    return {
        "views": {"base": base, "part": base[4:10:2], "square": base.view(4, 6).t(), "wide": base[:1].expand(3)},
        "ordered": ordered,
        "state": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "parameters": list(model.parameters()),
        "plain": [None, True, 1, -1, 2**70, 1.5, "ä", b"\x00\xff", bytearray(b"x"), 1j, (1, (2,)), {3}, {}],
        "words": [t.Size([1, 2]), t.float16, t.bfloat16, t.device("cpu"), t.device("cuda:1")],
        "grad": t.ones(2, requires_grad=True),
        "frozen": t.nn.Parameter(t.ones(2), requires_grad=False),
        "long": list(range(1000)),
        "counter": collections.Counter("abca"),
    }


@pytest.mark.parametrize("weights_only", [True, False], ids=["weights only", "any"])
@pytest.mark.parametrize("name", objects(torch))
@WAYS
def test_objects(source, target, name, weights_only):
    source.manual_seed(0)
    obj = objects(source)[name]
    assert show(carry(obj, source, target, weights_only=weights_only)) == show(obj)


@WAYS
def test_sharing(source, target):
    found = carry(objects(source)["views"], source, target)
    found["base"][4] = -1.0
    assert found["part"][0].item() == -1 and found["square"][4, 0].item() == -1
    p = source.nn.Parameter(source.ones(2))
    found = carry([p, p, p.detach()], source, target)
    assert found[0] is found[1] and found[0].data_ptr() == found[2].data_ptr()


@pytest.mark.parametrize("weights_only", [True, False], ids=["weights only", "any"])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old format"])
@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
@WAYS
def test_storages(source, target, zipped, weights_only):
    x = source.arange(4.0)
    objects = [x, x.storage(), source.FloatStorage(3).fill_(10), x[1:]]
    y, of_y, alone, part = carry(
        objects, source, target, _use_new_zipfile_serialization=zipped, weights_only=weights_only
    )
    assert isinstance(of_y, target.FloatStorage)
    assert isinstance(alone, target.storage.TypedStorage)
    assert alone.tolist() == [10.0] * 3
    of_y[1] = 7.0
    assert (y[1].item(), part[0].item()) == (7.0, 7.0), "they share memory in the file, and here"


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2"])
@WAYS
def test_narrow_dtypes(source, target, name):
    found = carry(source.tensor([0.5, -2.0]).to(getattr(source, name)), source, target)
    assert str(found.dtype) == f"torch.{name}"
    assert found.float().tolist() == [0.5, -2.0]


@pytest.mark.parametrize("flags", ["", "NO_", "both"])
@WAYS
def test_what_the_environment_forces(source, target, flags, monkeypatch):
    file = io.BytesIO()
    source.save(range(3), file)
    for flag in ("", "NO_"):
        if flags in (flag, "both"):
            monkeypatch.setenv(f"TORCH_FORCE_{flag}WEIGHTS_ONLY_LOAD", "1")

    def outcome(library, **options):
        file.seek(0)
        try:
            return library.load(file, **options)
        except Exception as error:
            return type(error)

    with pytest.warns() if flags == "NO_" and target is torch else contextlib.nullcontext():
        found = outcome(target), outcome(target, weights_only=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert found == (outcome(torch), outcome(torch, weights_only=False))


@pytest.mark.parametrize("protocol", [3, 4, 5])
@WAYS
def test_protocols(source, target, protocol):
    obj = {"x": source.ones(2), "p": source.nn.Parameter(source.ones(1)), "s": source.Size([1]), "d": source.int8}
    assert show(carry(obj, source, target, pickle_protocol=protocol, weights_only=False)) == show(obj)
    assert show(carry(obj, source, retrograd, pickle_protocol=protocol)) == show(obj)


def test_models_go_on_alike(tmp_path):
    def make(t):
        model = t.nn.Sequential(t.nn.Linear(3, 8), t.nn.Tanh(), t.nn.Linear(8, 1))
        return model, t.optim.Adam(model.parameters(), lr=0.01)

    def steps(t, model, optimizer):
        losses = []
        for i in range(3):
            optimizer.zero_grad()
            loss = (model(t.full((4, 3), float(i))) - 1).pow(2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    torch.manual_seed(0)
    model, optimizer = make(torch)
    steps(torch, model, optimizer)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "x.pt")
    ours, our_optimizer = make(retrograd)
    found = retrograd.load(tmp_path / "x.pt", map_location="cpu", mmap=True)
    ours.load_state_dict(found["model"])
    our_optimizer.load_state_dict(found["optimizer"])
    expected = steps(torch, model, optimizer)
    assert steps(retrograd, ours, our_optimizer) == pytest.approx(expected, rel=1e-5)

    retrograd.save({"model": ours.state_dict(), "optimizer": our_optimizer.state_dict()}, tmp_path / "y.pt")
    back, back_optimizer = make(torch)
    found = torch.load(tmp_path / "y.pt", mmap=True)
    back.load_state_dict(found["model"])
    back_optimizer.load_state_dict(found["optimizer"])
    assert steps(torch, back, back_optimizer) == pytest.approx(steps(torch, model, optimizer), rel=1e-5)


def test_the_container_is_torchs_but_for_its_identifier():
    def saved(t):
        file = io.BytesIO()
        t.save({"a": t.arange(5), "b": t.zeros(0), "c": t.nn.Parameter(t.ones(2, 3))}, file)
        return file

    ours, theirs = saved(retrograd), saved(torch)
    identifier = ".data/serialization_id"
    with zipfile.ZipFile(ours) as a, zipfile.ZipFile(theirs) as b:
        assert a.namelist() == b.namelist()
        for x, y in zip(a.infolist(), b.infolist(), strict=True):
            assert (x.header_offset, x.file_size, x.flag_bits, x.extra) == (
                y.header_offset,
                y.file_size,
                y.flag_bits,
                y.extra,
            )
            if identifier not in x.filename:
                assert a.read(x) == b.read(y)
    start = ArchiveReader(ours).offset(identifier)
    assert ours.getvalue()[:start] == theirs.getvalue()[:start]


def test_whole_modules_from_torch():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match="torch.nn.modules.container.Sequential"):
        retrograd.load(file)
    file.seek(0)
    found = retrograd.load(file, weights_only=False)
    assert isinstance(found, retrograd.nn.Sequential)
    x = np.ones((2, 3), "f4")
    expected = model(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found(retrograd.from_numpy(x)).detach().numpy(), expected, rtol=1e-6)


class Own:
    pass


REFUSED = {
    "own class": lambda t: Own(),
    "numpy scalar": lambda t: np.float32(1),
    "numpy array": lambda t: np.ones(2),
    "function": lambda t: print,
    "class": lambda t: int,
    "slice": lambda t: slice(1),
    "range": lambda t: range(2),
    "default dict": lambda t: collections.defaultdict(list),
    "module": lambda t: t.nn.Linear(1, 1),
}


@pytest.mark.parametrize("name", REFUSED)
@WAYS
def test_what_weights_only_refuses(source, target, name):
    obj = REFUSED[name](source)
    file = io.BytesIO()
    source.save(obj, file)
    unsafe = []
    for library in (retrograd, torch):
        file.seek(0)
        with pytest.raises(pickle.UnpicklingError):
            library.load(file)
        file.seek(0)
        unsafe.append(sorted(library.serialization.get_unsafe_globals_in_checkpoint(file)))
    if name != "module":
        assert unsafe[0] == unsafe[1]


def test_numpy_values_when_allowed():
    file = io.BytesIO()
    torch.save({"lr": np.float64(0.5), "x": np.arange(3)}, file)
    allowed = [np._core.multiarray.scalar, np._core.multiarray._reconstruct, np.ndarray, np.dtype]
    allowed += [type(np.dtype("f8")), type(np.dtype("i8"))]
    for library in (retrograd, torch):
        file.seek(0)
        with library.serialization.safe_globals(allowed):
            found = library.load(file)
        assert found["lr"] == 0.5 and found["x"].tolist() == [0, 1, 2]
        file.seek(0)
        assert library.load(file, weights_only=False)["lr"] == 0.5


def test_files_without_checksums():
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        assert carry(torch.ones(2), torch, retrograd).tolist() == [1, 1]
    finally:
        torch.serialization.set_crc32_options(before)


def test_attributes_and_subclasses():
    x = torch.ones(2)
    x.note = "kept"
    assert carry(x, torch, retrograd).note == "kept"
    y = retrograd.ones(2)
    y.note = "kept"
    assert carry(y, retrograd, torch).note == "kept"


@pytest.mark.parametrize("way", ["ours", "torchs"])
def test_safetensors(tmp_path, way):
    library = pytest.importorskip("safetensors.torch")
    path = tmp_path / "x.safetensors"
    t = retrograd if way == "ours" else torch
    tensors = {name: t.arange(6).reshape(2, 3).to(getattr(t, name)) for name in DTYPES if name != "complex128"}
    if way == "ours":
        retrograd.save(tensors, path)
        found = torch.load(path)
    else:
        library.save_file(tensors, path)
        found = retrograd.load(path)
    assert {k: show(v) for k, v in found.items()} == {k: show(v) for k, v in tensors.items()}


ERRORS = {
    "no such directory": lambda t, path: t.save(1, path / "none" / "x.pt"),
    "no such file": lambda t, path: t.load(path / "none.pt"),
    "no file to write": lambda t, path: t.save(1, 5),
    "no file to read": lambda t, path: t.load(5),
    "empty": lambda t, path: t.load(io.BytesIO()),
    "only a signature": lambda t, path: t.load(io.BytesIO(b"PK\x03\x04")),
    "mmap of a buffer": lambda t, path: (t.save(1, file := io.BytesIO()), file.seek(0), t.load(file, mmap=True)),
    "two dtypes": lambda t, path: t.save([x := t.ones(2), x.view(t.int32)], io.BytesIO()),
    "local class": lambda t, path: t.save(type("Local", (), {})(), io.BytesIO()),
    "generator": lambda t, path: t.save(iter([].append, 0), io.BytesIO()) or t.save((i for i in []), io.BytesIO()),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name, tmp_path):
    kinds = []
    for library in (retrograd, torch):
        with pytest.raises(Exception) as caught:
            ERRORS[name](library, tmp_path)
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]
