"""Files that are damaged, or made to do harm, are refused with a reason, at no cost."""

import io
import pickle
import random
import struct
import tracemalloc
import zipfile

import pytest

import retrograd as torch
from retrograd.serialization.archive import ArchiveReader, ArchiveWriter

REFUSED = (RuntimeError, pickle.UnpicklingError, EOFError)


def good():
    file = io.BytesIO()
    model = torch.nn.Linear(3, 2)
    extra = [1, 2**70, {3}, b"abc", 1j, torch.float16, torch.Size([1]), (1, (2, (3,)))]
    torch.save({"model": model.state_dict(), "extra": extra, "weight": model.weight}, file)
    return file.getvalue()


def archive(program, storages=(), names=None):
    file = io.BytesIO()
    writer = ArchiveWriter(file, "archive")
    writer.write("data.pkl", program)
    for i, data in enumerate(storages):
        writer.write(f"data/{i}", data)
    writer.close()
    file.seek(0)
    return file


def mutated(data, clock, tail=0):
    """Change, remove, repeat or insert a few bytes."""
    data = bytearray(data)
    for _ in range(clock.choice([1, 1, 2, 5])):
        at = clock.randrange(max(0, len(data) - tail) if tail and clock.random() < 0.5 else 0, len(data))
        how = clock.random()
        if how < 0.5:
            data[at] = clock.randrange(256)
        elif how < 0.7 and len(data) > 40:
            del data[at : at + clock.randrange(1, 20)]
        else:
            source = clock.randrange(len(data))
            data[at:at] = data[source : source + clock.randrange(1, 40)]
    return bytes(data)


def outcome(file):
    try:
        torch.load(file)
    except REFUSED as error:
        return type(error)
    return None


def test_cut_short():
    data = good()
    for length in range(0, len(data), 7):
        with pytest.raises(REFUSED):
            torch.load(io.BytesIO(data[:length]))


def test_damaged_anywhere():
    data, clock = good(), random.Random(0)
    seen = [outcome(io.BytesIO(mutated(data, clock, tail=1500))) for _ in range(2000)]
    assert seen.count(RuntimeError) > 1000


def test_damaged_pickles():
    reader, clock = ArchiveReader(io.BytesIO(good())), random.Random(0)
    program = reader.read("data.pkl").tobytes()
    storages = [reader.read(f"data/{i}") for i in range(2)]
    seen = [outcome(archive(mutated(program, clock), storages)) for _ in range(2000)]
    assert seen.count(pickle.UnpicklingError) > 1000


def test_every_damaged_byte_of_the_values_is_noticed():
    data = good()
    reader = ArchiveReader(io.BytesIO(data))
    start = reader.offset("data/0")
    for at in range(start, start + reader.size("data/0")):
        with pytest.raises(RuntimeError, match="checksum"):
            torch.load(io.BytesIO(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]))


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value):
    return pickle.dumps(value, 2)[2:-1]


def storage(kind="FloatStorage", key="0", count=4, location="cpu"):
    return (
        b"("
        + text("storage")
        + b"ctorch\n"
        + kind.encode()
        + b"\n"
        + text(key)
        + text(location)
        + number(count)
        + b"tQ"
    )


def tensor(offset=0, size=(2, 2), stride=(2, 1), source=None, grad=b"\x89"):
    view = number(offset) + number(size) + number(stride) + grad + b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + (source or storage()) + view + b"tR"


PROGRAMS = {
    "os.system": b"cos\nsystem\n(" + text("true") + b"tR",
    "posix.system": b"cposix\nsystem\n(" + text("true") + b"tR",
    "nt.system": b"cnt\nsystem\n(" + text("true") + b"tR",
    "builtins.eval": b"cbuiltins\neval\n(" + text("1") + b"tR",
    "eval as Python 2 names it": b"c__builtin__\neval\n(" + text("1") + b"tR",
    "getattr": b"cbuiltins\ngetattr\n.",
    "a method by a dotted name": b"ctorch\nTensor.backward\n",
    "a module": b"ctorch\nserialization\n",
    "a private helper": b"ctorch._utils\n_import_dotted_name\n",
    "stack global": text("os") + text("system") + b"\x93",
    "stack global of numbers": b"K\x01K\x02\x93",
    "Tensor of a size": b"ctorch\nTensor\n" + number((10**12,)) + b"R",
    "bytearray of a length": b"cbuiltins\nbytearray\n" + number((10**12,)) + b"R",
    "set of a range": b"cbuiltins\nset\n" + number((5,)) + b"R",
    "codecs": b"c_codecs\nencode\n(" + text("x") + text("zip") + b"tR",
    "state of a class": b"ctorch\nTensor\n}" + text("backward") + b"K\x01sb",
    "state of a function": b"ctorch._utils\n_rebuild_tensor\n}" + text("__code__") + b"K\x01sb",
    "call of a tensor": tensor() + b")R",
    "items of a tensor": tensor() + b"K\x00K\x01s",
    "Parameter of a text": b"ctorch._utils\n_rebuild_parameter\n(" + text("x") + b"\x88NtR",
    "tensor of no storage": tensor(source=b"N"),
    "tensor of a class": tensor(source=b"ctorch\nTensor\n"),
    "size beyond the storage": tensor(size=(3, 2)),
    "enormous size": tensor(size=(2**40, 2**40), stride=(2**40, 1)),
    "size that overflows": tensor(size=(2**62, 4), stride=(4, 1)),
    "negative stride": tensor(stride=(-2, 1)),
    "negative offset": tensor(offset=-1),
    "offset beyond the storage": tensor(offset=2**70),
    "stride of floats": tensor(stride=(2.0, 1.0)),
    "fewer strides than sizes": tensor(stride=(1,)),
    "too many dimensions": tensor(size=(1,) * 100, stride=(1,) * 100),
    "gradient of integers": tensor(source=storage("LongStorage", count=2), size=(1, 2), grad=b"\x88"),
    "storage larger than its record": tensor(source=storage(count=5)),
    "enormous storage": tensor(source=storage(count=2**60)),
    "negative storage": tensor(source=storage(count=-1)),
    "storage that is not there": tensor(source=storage(key="7")),
    "storage outside of the archive": tensor(source=storage(key="../../../etc/passwd")),
    "storage of an unknown kind": tensor(source=storage("QInt8Storage")),
    "identifier of another kind": b"(" + text("module") + b"K\x01tQ",
    "identifier that is no tuple": b"K\x01Q",
    "very long text": b"X\xff\xff\xff\xffabc",
    "very long bytes": b"\x8e" + struct.pack("<Q", 2**62) + b"abc",
    "negative length": b"T" + struct.pack("<i", -5) + b"abc",
    "memo that is not there": b"j\xff\xff\xff\xff",
    "nothing to pop": b"a",
    "no mark": b"t",
    "a mark in the way": b"](K\x01a",
    "unhashable key": b"}]K\x01s",
    "keys nested so deep that hashing takes for ever": b"}K\x01" + b"q\x00h\x00\x86" * 200 + b"K\x01s",
    "keys nested so deep that hashing overflows": b"}K\x01" + b"\x85" * 100_000 + b"K\x01s",
    "persistent text": b"Pstorage\n",
    "extension": b"\x82\x01",
    "no end": b"}" * 100,
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_that_are_refused(name):
    program = b"\x80\x02" + PROGRAMS[name] + (b"" if name == "no end" else b".")
    tracemalloc.start()
    try:
        with pytest.raises(REFUSED):
            torch.load(archive(program, [struct.pack("<4f", 1, 2, 3, 4)]))
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()


def test_the_programs_are_refused_for_their_fault():
    found = torch.load(archive(b"\x80\x02" + tensor() + b".", [struct.pack("<4f", 1, 2, 3, 4)]))
    assert found.tolist() == [[1, 2], [3, 4]]


def test_copying_again_and_again_is_refused():
    many = b"](" + b"K\x01" * 100_000 + b"eq\x00"
    program = b"\x80\x02(" + many + b"cbuiltins\nset\nq\x01" + b"h\x01h\x00\x85R" * 10_000 + b"t."
    with pytest.raises(pickle.UnpicklingError, match="too often"):
        torch.load(archive(program))


def rezipped(compression=zipfile.ZIP_STORED, change=None):
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good())) as old, zipfile.ZipFile(file, "w", compression) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
        if change:
            change(new)
    file.seek(0)
    return file


def test_a_checkpoint_zipped_by_others_loads():
    assert torch.load(rezipped())["model"]["weight"].shape == (2, 3)


def doubled(container):
    with pytest.warns(UserWarning, match="Duplicate"):
        container.writestr("archive/data.pkl", b"N.")


CONTAINERS = {
    "compressed": lambda: rezipped(zipfile.ZIP_DEFLATED),
    "a name twice": lambda: rezipped(change=doubled),
    "TorchScript": lambda: rezipped(change=lambda container: container.writestr("archive/constants.pkl", b"")),
    "empty zip": lambda: io.BytesIO(b"PK\x05\x06" + bytes(18)),
    "only a signature": lambda: io.BytesIO(b"PK\x03\x04"),
    "no pickle": lambda: _without("data.pkl"),
    "no storage": lambda: _without("data/0"),
    "unknown byte order": lambda: _with("byteorder", b"middle"),
    "empty": io.BytesIO,
    "text": lambda: io.BytesIO(b"hello, world\n" * 100),
    "zeros": lambda: io.BytesIO(bytes(1000)),
    "safetensors in disguise": lambda: io.BytesIO(struct.pack("<Q", 2) + b"{}"),
    "another pickle": lambda: io.BytesIO(pickle.dumps({"a": 1}, 2)),
    "any pickle": lambda: io.BytesIO(pickle.dumps(print)),
}


def _without(name):
    reader = ArchiveReader(io.BytesIO(good()))
    file = io.BytesIO()
    writer = ArchiveWriter(file, "archive")
    for kept in ("data.pkl", "byteorder", "data/0", "data/1"):
        if kept != name:
            writer.write(kept, reader.read(kept))
    writer.close()
    file.seek(0)
    return file


def _with(name, data):
    file = io.BytesIO()
    writer = ArchiveWriter(file, "archive")
    writer.write("data.pkl", b"\x80\x02N.")
    writer.write(name, data)
    writer.close()
    file.seek(0)
    return file


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers_that_are_refused(name):
    with pytest.raises((*REFUSED, ValueError)):
        torch.load(CONTAINERS[name]())


def test_overlapping_records():
    reader = ArchiveReader(io.BytesIO(good()))
    file = io.BytesIO()
    writer = ArchiveWriter(file, "archive")
    writer.write("data.pkl", reader.read("data.pkl"))
    writer.write("data/0", bytes(1000))
    name, checksum, size, start = writer.entries[-1]
    writer.entries.append((name.replace(b"0", b"1"), checksum, size, start))
    writer.close()
    file.seek(0)
    with pytest.raises(RuntimeError, match="overlap"):
        torch.load(file)


def test_the_old_format(tmp_path):
    file = io.BytesIO()
    x = torch.arange(6.0)
    torch.save({"x": x, "y": x[2:]}, file, _use_new_zipfile_serialization=False)
    data = file.getvalue()
    found = torch.load(io.BytesIO(data))
    found["x"][2] = 9
    assert found["y"].tolist() == [9, 3, 4, 5]
    for length in range(0, len(data), 3):
        with pytest.raises(REFUSED):
            torch.load(io.BytesIO(data[:length]))
    clock = random.Random(0)
    assert all(outcome(io.BytesIO(mutated(data, clock))) in (*REFUSED, None) for _ in range(1000))
    (tmp_path / "x.pt").write_bytes(data)
    with pytest.raises(RuntimeError, match="mmap"):
        torch.load(tmp_path / "x.pt", mmap=True)
