"""What a record says: losses, statistics by node, module and parameter, arrays, and what the doctor makes of it."""

from __future__ import annotations

import html
import math
import os
import pathlib
from typing import Any

import numpy as np

from . import foreign
from .files import ARRAYS, LOSSES, STATISTICS, number, read_lines, read_meta
from .statistics import NAMES

MOST_POINTS = 2000  # of a curve on the page
MOST_LOSSES, MOST_STATISTICS = 200_000, 2000  # lines that are held; of more, evenly spaced ones
MOST_NODES = 6000  # of a graph on the page
RECENT = 8  # steps that were looked at, of which each node's last numbers are shown
SHOWN = 24  # parameters in the text of a record without modules


class Record:
    """A training run as it was recorded.

    Attributes
    ----------
    losses
        Pairs (step, loss).
    statistics
        One dictionary for each step that was looked at: ``step``, ``loss``, ``parameters`` and ``nodes``.
    meta
        The level, the cost, the model's class, and for each node its operation, module, line, shape and arithmetic.
    notes
        What could not be recorded, and why.
    directory
        Where it is; None if it is in memory only.
    """

    def __init__(self) -> None:
        self.losses: list[tuple[int, float]] = []
        self.statistics: list[dict[str, Any]] = []
        self.meta: dict[str, Any] = {}
        self.notes: list[str] = []
        self.directory: pathlib.Path | None = None
        self.held: dict[int, dict[str, Any]] = {}

    @property
    def steps(self) -> list[int]:
        """The steps that were looked at."""
        return [line["step"] for line in self.statistics]

    @property
    def nodes(self) -> list[dict[str, Any]]:
        """The operations of a step in forward order: key, op, module, place, shape, dtype, inputs, forward, backward, bytes."""
        return list(self.meta.get("nodes") or [])

    def of(self, kind: str, name: str, what: str = "value", which: str = "mean") -> tuple[list[int], list[float]]:
        """Give how a number went over the steps.

        Parameters
        ----------
        kind : str
            "parameters" or "nodes".
        name : str
            The parameter's name, or the node's key.
        what : str
            "value", "gradient", or a single number such as "update_ratio", "lr", "seconds" or "dead".
        which : str
            For values and gradients: mean, var, min, max, norm, zeros, nan or inf.

        Returns
        -------
        tuple of list
            Steps and numbers.
        """
        steps, values = [], []
        for line in self.statistics:
            found = (line.get(kind) or {}).get(name) or {}
            value = found.get(what)
            if isinstance(value, list):
                value = value[NAMES.index(which)] if len(value) == len(NAMES) else None
            if value is not None:
                steps.append(line["step"])
                values.append(number(value))
        return steps, values

    def modules(self, step: int | None = None) -> dict[str, dict[str, Any]]:
        """Give each module's last result at a step (the last one by default): its statistics, arithmetic, time and bytes."""
        line = self._line(step)
        found: dict[str, dict[str, Any]] = {}
        for node in self.nodes:
            here = (line.get("nodes") or {}).get(node["key"])
            if here is None or not node["module"]:
                continue
            entry = found.setdefault(node["module"], {"seconds": 0.0, "forward": 0, "backward": 0, "bytes": 0})
            if (
                "gradient" in here or "gradient" not in entry
            ):  # what comes after it without one, such as running statistics, is no result
                entry.update({k: here[k] for k in ("value", "gradient", "dead") if k in here})
            entry["seconds"] += number(here.get("seconds", 0.0))
            for k in ("forward", "backward", "bytes"):
                entry[k] += int(number(node.get(k, 0)))
        return found

    def latest(self) -> dict[str, Any]:
        """Give what is known of each node and parameter from the last steps that were looked at: not every step need have all of them."""
        found: dict[str, Any] = {}
        for line in self.statistics[-RECENT:]:
            nodes, parameters = ({**found.get(k, {}), **(line.get(k) or {})} for k in ("nodes", "parameters"))
            found = {**line, "nodes": nodes, "parameters": parameters}
        return found

    def _line(self, step: int | None) -> dict[str, Any]:
        if not self.statistics:
            return {}
        if step is None:
            return self.latest()
        for line in self.statistics:
            if line["step"] == step:
                return line
        raise KeyError(
            f"step {step} was not looked at; these were: {self.steps[:20]}{' ...' if len(self.steps) > 20 else ''}"
        )

    def arrays(self, step: int) -> dict[str, Any]:
        """Give the arrays that were kept at a step, by ``value:KEY`` and ``gradient:KEY``; KeyError if there are none, ValueError if the file is damaged."""
        if step in self.held:
            return self.held[step]
        path = None if self.directory is None else self.directory / ARRAYS / f"step-{step:09d}.safetensors"
        if path is None or not path.is_file():
            raise KeyError(f"no arrays were kept at step {step}; ask for them with level='all' or arrays=[{step}]")
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            return dict(load_file(path))
        except (SafetensorError, ValueError, TypeError, KeyError, OSError) as error:
            raise ValueError(f"the arrays of step {step} cannot be read: {path.name}: {str(error)[:200]}") from None

    @property
    def array_steps(self) -> list[int]:
        """The steps whose arrays were kept."""
        found = set(self.held)
        if self.directory is not None and (self.directory / ARRAYS).is_dir():
            for path in (self.directory / ARRAYS).glob("step-*.safetensors"):
                digits = path.stem.removeprefix("step-")
                if digits.isdigit():
                    found.add(int(digits))
        return sorted(found)

    # -- faces --------------------------------------------------------------------------------------------------------------
    def findings(self) -> list[Any]:
        """Give what is wrong by the record, worst first."""
        from .signs import findings

        return findings(self)

    def __str__(self) -> str:
        first = f"{self.meta.get('model') or 'training'}: {len(self.losses)} losses, {len(self.steps)} step{'' if len(self.steps) == 1 else 's'} looked at"
        lines = [first]
        if self.losses:
            lines.append(
                f"loss {self.losses[0][1]:.4g} at step {self.losses[0][0]}, {self.losses[-1][1]:.4g} at step {self.losses[-1][0]}"
            )
        table: list[tuple[str, ...]] = [("module", "value std", "gradient std", "zeros", "time")]
        for name, entry in self.modules().items():
            value, gradient = entry.get("value"), entry.get("gradient")
            std = [f"{math.sqrt(number(v[1])):.3g}" if v else "" for v in (value, gradient)]
            table.append((name, *std, f"{number(value[5]):.0%}" if value else "", f"{1e6 * entry['seconds']:.0f} us"))
        if len(table) > 1:
            widths = [max(len(row[i]) for row in table) for i in range(5)]
            lines += [
                "  ".join(
                    c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
                )
                for row in table
            ]
        else:
            lines += self._parameters_table()
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)

    def _parameters_table(self) -> list[str]:
        """Give the parameters line by line, for a program without modules."""
        rows = [("parameter", "norm", "gradient norm", "update / weight")]
        for name, entry in list(self.latest().get("parameters", {}).items())[:SHOWN]:
            value, gradient, ratio = entry.get("value"), entry.get("gradient"), entry.get("update_ratio")
            norms = [f"{number(v[4]):.3g}" if v else "" for v in (value, gradient)]
            rows.append((name, *norms, "" if ratio is None else f"{number(ratio):.1e}"))
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        shown = [
            "  ".join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True)))
            for r in rows
        ]
        return shown if len(rows) > 1 else []

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>" + "".join(
            f"<p>{html.escape(str(f))}</p>" for f in self.findings()
        )

    def to_page(self) -> dict[str, Any]:
        """Give the page's sections: losses, curves, profiles over depth, findings and the graph."""
        data: dict[str, Any] = {
            "record": {
                "losses": _thinned([[step, loss] for step, loss in self.losses]),
                "series": self._series(),
                "profiles": self._profiles(),
                "histograms": self._histograms(),
            },
            "findings": [f.to_dict() for f in self.findings()],
        }
        if self.meta.get("model"):
            data["title"] = str(self.meta["model"])
        graph = self.graph()
        if graph is not None:
            data["graph"] = graph
        return data

    def _series(self) -> list[dict[str, Any]]:
        names = list(dict.fromkeys(n for line in self.statistics[-50:] for n in line.get("parameters") or {}))[:400]
        kinds = (
            ("update / weight", "update_ratio", ""),
            ("gradient norm", "gradient", "norm"),
            ("weight norm", "value", "norm"),
        )
        found = []
        for group, what, which in kinds:
            for name in names:
                steps, values = self.of("parameters", name, what, which or "mean")
                if steps:
                    points = _thinned([[a, b] for a, b in zip(steps, values, strict=True)])
                    found.append(
                        {"group": group, "name": name, "x": [p[0] for p in points], "y": [p[1] for p in points]}
                    )
        return found

    def _profiles(self) -> list[dict[str, Any]]:
        if not self.statistics:
            return []
        count = len(self.statistics)
        chosen = sorted({self.statistics[i]["step"] for i in (0, count // 3, 2 * count // 3, count - 1)})
        layers = list(self.modules(chosen[-1]))
        found = []
        for name, what in (
            ("standard deviation of each module's result", "value"),
            ("standard deviation of its gradient", "gradient"),
        ):
            values = []
            for step in chosen:
                modules = self.modules(step)
                row = [modules.get(layer, {}).get(what) for layer in layers]
                values.append([math.sqrt(max(number(v[1]), 0.0)) if v else None for v in row])
            if any(v is not None for row in values for v in row):
                found.append({"name": name, "layers": layers, "steps": chosen, "values": values, "log": True})
        return found

    def _histograms(self) -> list[dict[str, Any]]:
        steps = self.array_steps
        if not steps:
            return []
        found = []
        try:
            arrays = self.arrays(steps[-1])
        except ValueError:
            return []
        for key, a in list(arrays.items())[:40]:
            flat = np.asarray(a, dtype=np.float64).reshape(-1)
            flat = flat[np.isfinite(flat)]
            if flat.size:
                counts, edges = np.histogram(flat, bins=40)
                found.append({"name": key, "step": steps[-1], "edges": edges.tolist(), "counts": counts.tolist()})
        return found

    def graph(self) -> dict[str, Any] | None:
        """Give the graph of the recorded operations with the last step's statistics, as the page draws it."""
        from ..model import Edge, ExplainedNode, Graph, Numbers

        nodes = self.nodes
        if not nodes or len(nodes) > MOST_NODES:
            return None
        line = self._line(None).get("nodes") or {}

        def numbers(values: Any, node: dict[str, Any]) -> Any:
            if not values or len(values) != len(NAMES):
                return None
            mean, variance, low, high, norm, zeros, nan, inf = map(number, values)
            shape = tuple(node["shape"])
            return Numbers(
                shape, str(node["dtype"]), mean=mean, std=math.sqrt(max(variance, 0.0)), min=low, max=high, norm=norm,
                zeros=round(zeros * math.prod(shape)), nan=int(nan), inf=int(inf),
            )  # fmt: skip

        made: list[ExplainedNode] = []
        edges: list[Edge] = []
        for i, node in enumerate(nodes):
            here = line.get(node["key"]) or {}
            sources = [int(s) for s in node["inputs"] if 0 <= int(s) < i]
            n = ExplainedNode(
                i, "operation", str(node["op"]), str(node["op"]), module=str(node["module"]), place=str(node["place"]),
                shape=tuple(node["shape"]), dtype=str(node["dtype"]), value=numbers(here.get("value"), node),
                gradient=numbers(here.get("gradient"), node), inputs=sources, forward=i, kept_bytes=0,
            )  # fmt: skip
            n.attributes = {
                "time": f"{1e6 * number(here.get('seconds', 0.0)):.1f} us",
                "arithmetic": f"{node['forward']} forward, {node['backward']} backward",
                "bytes": str(node["bytes"]),
            }
            for slot, source in enumerate(sources):
                n.edges.append(len(edges))
                made[source].uses.append(len(edges))
                edges.append(
                    Edge(
                        len(edges),
                        source,
                        i,
                        slot,
                        "",
                        upstream=n.gradient,
                        downstream=made[source].gradient if len(made[source].uses) == 1 else None,
                    )
                )
            made.append(n)
        title = str(self.meta.get("model") or "recorded step")
        classes = self.meta.get("classes")
        graph = Graph(
            title, made, edges, len(made) - 1, convention="", notes=["Statistics of the last step that was looked at."]
        ).to_dict()
        if isinstance(classes, dict):
            graph["classes"] = {str(path): str(kind) for path, kind in classes.items() if path}
        return graph


def _thinned(points: list[Any]) -> list[Any]:
    step = -(-len(points) // MOST_POINTS)
    return points[::step] if step > 1 else points


def open_record(directory: str | os.PathLike[str]) -> Record:
    """Open a record that a run wrote, or is still writing, or was killed while writing.

    Parameters
    ----------
    directory : str or path
        Where it is.

    Returns
    -------
    Record
        Everything that had reached the disk; a last line that was cut short is left out.

    Raises
    ------
    FileNotFoundError
        If the directory is no record.
    ValueError
        If it was written by a newer version, or its description is damaged.

    Examples
    --------
    >>> from retrograd import glass
    >>> glass.open_record("/nowhere")
    Traceback (most recent call last):
    ...
    FileNotFoundError: open_record: /nowhere is not a record: it has no record.json
    """
    folder = pathlib.Path(directory)
    record = Record()
    record.directory = folder
    record.meta = foreign.description(read_meta(folder))
    record.notes = list(record.meta["notes"])
    record.losses = [(line["step"], number(line.get("loss"))) for line in read_lines(folder / LOSSES, MOST_LOSSES)]
    record.statistics = [
        foreign.line(line)
        for line in read_lines(folder / STATISTICS, MOST_STATISTICS)
        if isinstance(line.get("nodes"), dict)
    ]
    return record
