"""Event files, read back by a reader of the formats' own specification that shares nothing with the writer."""

import struct
import zlib

import numpy as np
import pytest

import retrograd
from retrograd.utils.tensorboard import SummaryWriter


def checksum(data):
    """CRC-32C bit by bit, by polynomial division."""
    crc = 0xFFFFFFFF
    for byte in data:
        for k in range(8):
            bit = (byte >> k & 1) ^ (crc & 1)
            crc = (crc >> 1) ^ (0x82F63B78 if bit else 0)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32


def records(path):
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        head = data[at : at + 8]
        (length,) = struct.unpack("<Q", head)
        assert struct.unpack("<I", data[at + 8 : at + 12])[0] == checksum(head)
        body = data[at + 12 : at + 12 + length]
        assert len(body) == length
        assert struct.unpack("<I", data[at + 12 + length : at + 16 + length])[0] == checksum(body)
        found.append(body)
        at += 16 + length
    return found


def fields(data):
    """A protocol buffer message as {field: [values]}."""
    out, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = number()
        kind = key & 7
        if kind == 0:
            value = number()
        else:
            size = {1: 8, 5: 4}.get(kind) or number()
            value = data[at : at + size]
            assert len(value) == size
            at += size
            value = struct.unpack("<d" if kind == 1 else "<f", value)[0] if kind in (1, 5) else value
        out.setdefault(key >> 3, []).append(value)
    return out


def events(folder):
    paths = sorted(folder.glob("events.out.tfevents.*"))
    assert len(paths) == 1
    first, *rest = [fields(r) for r in records(paths[0])]
    assert first[3] == [b"brain.Event:2"]
    found = []
    for e in rest:
        (value,) = fields(e[5][0])[1]
        value = fields(value)
        found.append((value[1][0].decode(), e.get(2, [0])[0], value))
    return found


def test_scalars(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar("loss", retrograd.tensor(0.25), 0)
        writer.add_scalar("loss", 1.5, 300, walltime=7.0)
        writer.add_scalars("both", {"a": 1.0, "b": np.float32(2.0)}, 1)
    assert [(t, s, v[2][0]) for t, s, v in events(tmp_path)] == [("loss", 0, 0.25), ("loss", 300, 1.5)]
    assert [v[2][0] for _, _, v in events(tmp_path / "both_b")] == [2.0]


def test_histogram(tmp_path):
    values = np.random.default_rng(0).normal(size=1000)
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("weights", retrograd.tensor(values), 3)
        writer.add_histogram("few", values, 3, bins=5)
        with pytest.raises(ValueError, match="no element"):
            writer.add_histogram("none", np.zeros(0), 3)
    for _, _, value in events(tmp_path):
        h = fields(value[5][0])
        limits, counts = (np.frombuffer(h[k][0]) for k in (6, 7))
        assert len(limits) == len(counts)
        assert (np.diff(limits) > 0).all()
        np.testing.assert_allclose(
            [h[k][0] for k in range(1, 6)], [values.min(), values.max(), 1000, values.sum(), (values**2).sum()]
        )
        np.testing.assert_array_equal(np.cumsum(counts)[:-1], [(values < x).sum() for x in limits[:-1]])


def test_text(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_text("note", "größer", 2)
    ((tag, step, value),) = events(tmp_path)
    tensor = fields(value[8][0])
    assert (tag, step, tensor[1][0], tensor[8][0].decode()) == ("note/text_summary", 2, 7, "größer")
    assert fields(fields(value[9][0])[1][0])[1] == [b"text"]


def test_precision_and_recall(tmp_path):
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 50), rng.random(50).astype(np.float32)
    with SummaryWriter(tmp_path) as writer:
        writer.add_pr_curve("curve", retrograd.tensor(labels), retrograd.tensor(scores), 4, num_thresholds=11)
    ((tag, step, value),) = events(tmp_path)
    tensor = fields(value[8][0])
    rows = np.frombuffer(tensor[5][0], "<f4").reshape(6, 11)
    sizes = [fields(d)[1][0] for d in fields(tensor[2][0])[2]]
    metadata = fields(fields(value[9][0])[1][0])
    assert (tag, step, tensor[1][0], sizes) == ("curve", 4, 1, [6, 11])
    assert (metadata[1], fields(metadata[2][0])[2]) == ([b"pr_curves"], [11])
    for k in range(11):
        said = np.floor(scores * 10) >= k
        counts = [(said & (labels == 1)).sum(), (said & (labels == 0)).sum()]
        counts += [(~said & (labels == 0)).sum(), (~said & (labels == 1)).sum()]
        found, wrong, _, missed = counts
        expected = [*counts, found / max(found + wrong, 1e-7), found / max(found + missed, 1e-7)]
        np.testing.assert_allclose(rows[:, k], expected, rtol=1e-6)


def test_embedding(tmp_path):
    points, images = np.arange(6.0).reshape(3, 2), np.random.default_rng(0).random((3, 1, 2, 2))
    with SummaryWriter(tmp_path) as writer:
        writer.add_embedding(retrograd.tensor(points), ["a", "b", "c"], retrograd.tensor(images), 7, tag="my points")
        writer.add_embedding(points, [("a", 1), ("b", 2), ("c", 3)], metadata_header=["name", "number"])
        for wrong in ({"metadata": ["a"]}, {"label_img": images[:1]}):
            with pytest.raises(AssertionError, match="should equal"):
                writer.add_embedding(points, **wrong)
    place = tmp_path / "00007" / "my%20points"
    assert (place / "tensors.tsv").read_text() == "0.0\t1.0\n2.0\t3.0\n4.0\t5.0\n"
    assert (place / "metadata.tsv").read_text() == "a\nb\nc\n"
    sheet = pixels((place / "sprite.png").read_bytes())
    np.testing.assert_array_equal(sheet[2:, :2, 0], (images[2, 0] * 255).astype(np.uint8))
    assert sheet.shape == (4, 4, 3) and not sheet[2:, 2:].any()
    assert (tmp_path / "00000" / "default" / "metadata.tsv").read_text().startswith("name\tnumber\na\t1\n")
    config = (tmp_path / "projector_config.pbtxt").read_text()
    assert config.count("embeddings {") == 2 and 'tensor_name: "my points:00007"' in config
    assert 'tensor_path: "00007/my%20points/tensors.tsv"' in config and "single_image_dim: 2" in config


def pixels(png):
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + size]
        assert struct.unpack(">I", png[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + data)
        chunks[kind] = data
        at += 12 + size
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (depth, colour) == (8, 2)
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + 3 * width)
    assert (rows[:, 0] == 0).all()
    return rows[:, 1:].reshape(height, width, 3)


def test_images(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (3, 4, 5), np.uint8)
    with SummaryWriter(tmp_path) as writer:
        writer.add_image("bytes", colours, 0)
        writer.add_image("floats", retrograd.ones(4, 5) / 2, 0, dataformats="HW")
        writer.add_images("four", retrograd.tensor(np.stack([colours] * 4)), 0)
        with pytest.raises(AssertionError, match="format"):
            writer.add_image("wrong", colours[0])
    first, second, third = (fields(v[4][0]) for _, _, v in events(tmp_path))
    assert (first[1], first[2], first[3]) == ([4], [5], [3])
    np.testing.assert_array_equal(pixels(first[4][0]), colours.transpose(1, 2, 0))
    assert (pixels(second[4][0]) == 127).all()
    assert pixels(third[4][0]).shape == (8, 10, 3)


def test_figure(tmp_path):
    matplotlib = pytest.importorskip("matplotlib.figure")
    figure = matplotlib.Figure(figsize=(1, 1), dpi=20)
    with SummaryWriter(tmp_path) as writer:
        writer.add_figure("plot", figure, close=False)
    ((_, _, value),) = events(tmp_path)
    assert pixels(fields(value[4][0])[4][0]).shape == (20, 20, 3)


def test_settings_and_results(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_graph(retrograd.nn.Linear(1, 1))
        writer.add_hparams({"lr": 0.1, "name": "sgd", "nesterov": True}, {"accuracy": 0.9}, run_name="one")
    found = events(tmp_path / "one")
    assert [t for t, _, _ in found] == [
        "_hparams_/experiment",
        "_hparams_/session_start_info",
        "_hparams_/session_end_info",
        "accuracy",
    ]
    content = fields(fields(fields(found[1][2][9][0])[1][0])[2][0])
    named = {fields(e)[1][0].decode(): fields(fields(e)[2][0]) for e in fields(content[3][0])[1]}
    assert named == {"lr": {2: [0.1]}, "name": {3: [b"sgd"]}, "nesterov": {4: [1]}}


def test_a_closed_writer_opens_a_new_file(tmp_path):
    writer = SummaryWriter(tmp_path / "run")
    writer.close()
    writer.add_scalar("x", 1.0)
    writer.close()
    assert len(list((tmp_path / "run").iterdir())) == 2


def test_directory_and_errors(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    writer = SummaryWriter(comment="_mine")
    assert writer.get_logdir().startswith("runs")
    assert writer.log_dir.endswith("_mine")
    with pytest.raises(AssertionError, match="0D"):
        writer.add_scalar("x", [1.0, 2.0])
    writer.flush()
    writer.close()
