"""SummaryWriter: what a training run reports, into event files that TensorBoard reads."""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections import Counter
from typing import Any

import numpy as np

from . import png, records

_FILES: Counter[str] = Counter()  # by directory, so that two writers of one second do not share a file


class FileWriter:
    """One event file, opened at once; what is written is on disk after ``flush``."""

    def __init__(self, log_dir: Any, max_queue: int = 10, flush_secs: int = 120, filename_suffix: str = "") -> None:
        self._directory: str = os.fspath(log_dir)
        os.makedirs(self._directory, exist_ok=True)
        now = time.time()
        number = _FILES[self._directory]
        _FILES[self._directory] += 1
        name = f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{os.getpid()}.{number}{filename_suffix}"
        self._path = os.path.join(self._directory, name)
        self._file = open(self._path, "ab")  # noqa: SIM115  open until close()
        self._lock = threading.Lock()
        self._waiting, self._max_queue, self._flush_secs, self._flushed = 0, max_queue, flush_secs, now
        self.add(records.event(now, version="brain.Event:2"))
        self.flush()

    def get_logdir(self) -> str:
        """Give the directory."""
        return self._directory

    def add(self, event: bytes) -> None:
        """Write one event; after ``max_queue`` of them, or ``flush_secs``, all are put on disk."""
        with self._lock:
            self._file.write(records.record(event))
            self._waiting += 1
            if self._waiting >= self._max_queue or time.time() - self._flushed > self._flush_secs:
                self._put()

    def _put(self) -> None:
        self._file.flush()
        self._waiting, self._flushed = 0, time.time()

    def flush(self) -> None:
        """Put on disk what was written."""
        with self._lock:
            if not self._file.closed:
                self._put()

    def close(self) -> None:
        """Flush and close the file."""
        self.flush()
        self._file.close()


def numbers(x: Any) -> Any:
    """Give a tensor, array, list or number as an array."""
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        x = x.float() if x.dtype.itemsize == 2 and x.dtype.is_floating_point else x
        return np.asarray(x.numpy())
    return np.asarray(x)


def _buckets() -> Any:
    up = 1e-12 * 1.1 ** np.arange(775)
    return np.concatenate([-up[::-1], [0.0], up])


class SummaryWriter:
    """Write scalars, histograms, images, figures and text for TensorBoard, into event files in ``log_dir``.

    Parameters
    ----------
    log_dir : str or None
        The directory; ``runs/<date>_<host><comment>`` if none is given.
    comment : str
        The end of that directory's name.
    purge_step : int or None
        Accepted; readers drop what an earlier run wrote from this step on.
    max_queue, flush_secs : int
        After so many events, or seconds, all are put on disk.
    filename_suffix : str
        The end of the files' names.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place, SummaryWriter(place) as writer:
    ...     writer.add_scalar("loss", 0.5, 0)
    """

    def __init__(
        self,
        log_dir: Any = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        if not log_dir:
            log_dir = os.path.join("runs", time.strftime("%b%d_%H-%M-%S") + "_" + socket.gethostname() + comment)
        self.log_dir: str = os.fspath(log_dir)
        self.purge_step = purge_step
        self._options = {"max_queue": max_queue, "flush_secs": flush_secs, "filename_suffix": filename_suffix}
        self.file_writer: Any = FileWriter(self.log_dir, **self._options)  # type: ignore[arg-type]
        self.all_writers: dict[str, Any] = {self.log_dir: self.file_writer}

    def get_logdir(self) -> str:
        """Give the directory."""
        return self.log_dir

    def _add(self, summary: bytes, step: Any, walltime: Any, writer: Any = None) -> None:
        if self.file_writer is None:  # after close(), as in torch: a new file
            self.file_writer = FileWriter(self.log_dir, **self._options)  # type: ignore[arg-type]
            self.all_writers = {self.log_dir: self.file_writer}
        when = time.time() if walltime is None else walltime
        step = None if step is None else int(step)
        (writer or self.file_writer).add(records.event(when, step, summary=summary))

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: Any = None,
        walltime: Any = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """Write a number."""
        value = numbers(scalar_value)
        if value.size != 1:
            raise AssertionError(
                f"scalar should be 0D: add_scalar({tag!r}) was given shape {value.shape}; use add_histogram"
            )
        self._add(records.scalar(tag, float(value.reshape(()))), global_step, walltime)

    def add_scalars(self, main_tag: str, tag_scalar_dict: Any, global_step: Any = None, walltime: Any = None) -> None:
        """Write several numbers that are shown in one plot; each has a directory of its own."""
        for tag, scalar_value in tag_scalar_dict.items():
            place = os.path.join(self.log_dir, main_tag.replace("/", "_") + "_" + tag)
            if place not in self.all_writers:
                self.all_writers[place] = FileWriter(place, **self._options)  # type: ignore[arg-type]
            value = float(numbers(scalar_value).reshape(()))
            self._add(records.scalar(main_tag, value), global_step, walltime, self.all_writers[place])

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: Any = None,
        bins: Any = "tensorflow",
        walltime: Any = None,
        max_bins: Any = None,
    ) -> None:
        """Write how often numbers fall between limits."""
        v = numbers(values).reshape(-1).astype(np.float64)
        if v.size == 0:
            raise ValueError(f"The input has no element: add_histogram({tag!r}) needs one at least")
        counts, limits = np.histogram(v, bins=_buckets() if isinstance(bins, str) and bins == "tensorflow" else bins)
        used = np.flatnonzero(counts)
        first, last = (used[0], used[-1] + 1) if used.size else (0, 0)
        # one empty bucket at the left end, so that the first has a lower limit
        counts = np.concatenate([[0], counts[first:last]])
        limits = limits[first : last + 1]
        self._add(records.histogram(tag, v, limits, counts), global_step, walltime)

    def add_text(self, tag: str, text_string: str, global_step: Any = None, walltime: Any = None) -> None:
        """Write text, which is shown as Markdown."""
        self._add(records.text(tag, text_string), global_step, walltime)

    def add_image(
        self, tag: str, img_tensor: Any, global_step: Any = None, walltime: Any = None, dataformats: str = "CHW"
    ) -> None:
        """Write an image: bytes, or floats from 0 to 1; ``dataformats`` names the dimensions."""
        pixels = _laid_out(numbers(img_tensor), dataformats)
        self._add(records.image(tag, pixels.shape, png.encode(pixels)), global_step, walltime)

    def add_images(
        self, tag: str, img_tensor: Any, global_step: Any = None, walltime: Any = None, dataformats: str = "NCHW"
    ) -> None:
        """Write a batch of images side by side."""
        images = numbers(img_tensor)
        at = dataformats.upper().index("N")
        rest = dataformats.upper().replace("N", "")
        tiles = [_laid_out(images.take(i, at), rest) for i in range(images.shape[at])]
        pixels = _grid(tiles)
        self._add(records.image(tag, pixels.shape, png.encode(pixels)), global_step, walltime)

    def add_figure(
        self, tag: str, figure: Any, global_step: Any = None, close: bool = True, walltime: Any = None
    ) -> None:
        """Write one or several matplotlib figures as an image, and close them."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        tiles = []
        for one in figure if isinstance(figure, list) else [figure]:
            canvas: Any = FigureCanvasAgg(one)
            canvas.draw()
            tiles.append(np.array(canvas.buffer_rgba())[..., :3])
            if close:
                import matplotlib.pyplot as plt

                plt.close(one)
        pixels = _grid(tiles)
        self._add(records.image(tag, pixels.shape, png.encode(pixels)), global_step, walltime)

    def add_pr_curve(
        self,
        tag: str,
        labels: Any,
        predictions: Any,
        global_step: Any = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: Any = None,
    ) -> None:
        """Write precision and recall of predictions from 0 to 1, by the threshold from which on one counts as positive."""
        truth, scores = numbers(labels).reshape(-1).astype(np.float64), numbers(predictions).reshape(-1)
        weight = np.ones_like(truth) if weights is None else numbers(weights).reshape(-1)
        count = min(num_thresholds, 127)
        bins = np.clip(np.floor(scores * (count - 1)).astype(np.int64), 0, count - 1)
        positive, negative = (
            np.bincount(bins, part * weight, minlength=count)[::-1].cumsum()[::-1] for part in (truth, 1 - truth)
        )
        missed, passed = positive[0] - positive, negative[0] - negative
        precision = positive / np.maximum(1e-7, positive + negative)
        recall = positive / np.maximum(1e-7, positive + missed)
        self._add(
            records.curve(tag, np.stack([positive, negative, passed, missed, precision, recall])), global_step, walltime
        )

    def add_embedding(
        self,
        mat: Any,
        metadata: Any = None,
        label_img: Any = None,
        global_step: Any = None,
        tag: str = "default",
        metadata_header: Any = None,
    ) -> None:
        """Write points for the projector: a row each, with labels and small pictures of them.

        ValueError where there are more or fewer labels or pictures than points.
        """
        points = numbers(mat)
        if points.ndim != 2:
            raise AssertionError("mat should be 2D, where mat.size(0) is the number of data points")
        step = 0 if global_step is None else int(global_step)
        below = os.path.join(f"{step:05d}", "".join(c if c.isalnum() or c in "-_" else f"%{ord(c):02x}" for c in tag))
        place = os.path.join(self.log_dir, below)
        os.makedirs(place, exist_ok=True)
        lines = [
            "embeddings {",
            f'tensor_name: "{tag}:{step:05d}"',
            f'tensor_path: "{os.path.join(below, "tensors.tsv")}"',
        ]
        if metadata is not None:
            if len(metadata) != len(points):
                raise AssertionError("#labels should equal with #data points")
            rows = [metadata_header, *metadata] if metadata_header else list(metadata)
            text = ["\t".join(map(str, row)) if metadata_header else str(row) for row in rows]
            with open(os.path.join(place, "metadata.tsv"), "w", encoding="utf-8") as file:
                file.write("\n".join(text) + "\n")
            lines.append(f'metadata_path: "{os.path.join(below, "metadata.tsv")}"')
        if label_img is not None:
            images = numbers(label_img)
            if len(images) != len(points):
                raise AssertionError("#images should equal with #data points")
            tiles = [_laid_out(one, "CHW") for one in images]
            side = math.ceil(math.sqrt(len(tiles)))
            height, width, channels = tiles[0].shape
            sheet = np.zeros((side * height, side * width, channels), np.uint8)
            for i, tile in enumerate(tiles):
                y, x = divmod(i, side)
                sheet[y * height : (y + 1) * height, x * width : (x + 1) * width] = tile
            with open(os.path.join(place, "sprite.png"), "wb") as picture:
                picture.write(png.encode(sheet))
            path = os.path.join(below, "sprite.png")
            lines += [
                "sprite {",
                f'image_path: "{path}"',
                f"single_image_dim: {width}",
                f"single_image_dim: {height}",
                "}",
            ]
        with open(os.path.join(place, "tensors.tsv"), "w", encoding="utf-8") as file:
            file.writelines("\t".join(str(float(v)) for v in row) + "\n" for row in points)
        with open(os.path.join(self.log_dir, "projector_config.pbtxt"), "a", encoding="utf-8") as file:
            file.write("\n".join([*lines, "}"]) + "\n")

    def add_graph(
        self, model: Any, input_to_model: Any = None, verbose: bool = False, use_strict_trace: bool = True
    ) -> None:
        """Accept a model; its graph is not written."""

    def add_hparams(
        self,
        hparam_dict: Any,
        metric_dict: Any,
        hparam_domain_discrete: Any = None,
        run_name: Any = None,
        global_step: Any = None,
    ) -> None:
        """Write settings and the results they gave, in a run of their own."""
        if not isinstance(hparam_dict, dict) or not isinstance(metric_dict, dict):
            raise TypeError("hparam_dict and metric_dict should be dictionary.")
        place = os.path.join(self.log_dir, run_name or str(time.time()))
        with SummaryWriter(place) as writer:
            for summary in records.hparams(hparam_dict, list(metric_dict)):
                writer._add(summary, None, None)
            for name, result in metric_dict.items():
                writer.add_scalar(name, result, global_step)

    def flush(self) -> None:
        """Put on disk what was written."""
        for writer in self.all_writers.values():
            writer.flush()

    def close(self) -> None:
        """Flush and close all files."""
        for writer in self.all_writers.values():
            writer.close()
        self.file_writer, self.all_writers = None, {}

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def _laid_out(a: Any, dataformats: str) -> Any:
    """Give an image as bytes of (height, width, channels)."""
    order = dataformats.upper()
    if len(order) != a.ndim:
        raise AssertionError(
            f"size of input tensor and input format are different: shape {a.shape}, format {dataformats}"
        )
    a = a.transpose([order.index(k) for k in "HWC" if k in order])
    a = a[..., None] if a.ndim == 2 else a
    a = np.repeat(a, 3, axis=2) if a.shape[2] == 1 else a
    return a if a.dtype == np.uint8 else (a.astype(np.float32) * 255.0).clip(0, 255).astype(np.uint8)


def _grid(tiles: list[Any]) -> Any:
    """Lay images of one size in rows, as square as can be."""
    height, width, channels = tiles[0].shape
    across = int(np.ceil(np.sqrt(len(tiles))))
    down = -(-len(tiles) // across)
    out = np.zeros((down, across, height, width, channels), np.uint8)
    out.reshape(-1, height, width, channels)[: len(tiles)] = tiles
    return out.swapaxes(1, 2).reshape(down * height, across * width, channels)
