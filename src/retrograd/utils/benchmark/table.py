"""Compare: measurements as tables, one for each label, with a row for each sub-label and a column for each description."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from typing import Any

from .measurement import Measurement, ordered_unique, select_unit, trim_sigfig, unit_to_english

_BOLD, _END = "\033[1m", "\033[0m"
_BEST, _GOOD, _BAD, _WORST = "\033[92m", "\033[34m", "\033[2m\033[91m", "\033[31m"


class Colorize(enum.Enum):
    """Within what the times of a table are coloured."""

    NONE = "none"
    COLUMNWISE = "columnwise"
    ROWWISE = "rowwise"


def _coloured(text: str, value: float, best: float) -> str:
    if value <= max(best * 1.01, best + 100e-9):
        return _BEST + _BOLD + text + _END * 2
    if value <= best * 1.1:
        return _GOOD + _BOLD + text + _END * 2
    if value >= best * 5:
        return _WORST + _BOLD + text + _END * 2
    return _BAD + text + _END * 2 if value >= best * 2 else text


class _Table:
    """One label's measurements: ``cells[row][column]``, where a row is (threads, environment, name)."""

    def __init__(self, results: list[Measurement], colorize: Colorize, trimmed: bool, warned: bool) -> None:
        self.label, self.colorize, self.trimmed = results[0].label, colorize, trimmed
        self.warned = warned and any(r.has_warnings for r in results)
        self.unit, self.scale = select_unit(min(r.median for r in results))
        rows = ordered_unique((r.num_threads, r.env, r.as_row_name) for r in results)
        self.rows = sorted(rows, key=lambda row: row[:2])
        self.columns = ordered_unique(r.description for r in results)
        found = {(r.num_threads, r.env, r.as_row_name, r.description): r for r in results}
        self.cells = [[found.get((*row, column)) for column in self.columns] for row in self.rows]

    def _written(self, column: int) -> list[str]:
        """Give a column's numbers, all with as many decimals."""
        cells = [row[column] for row in self.cells]
        known = [(m, math.ceil(math.log10(m.median / self.scale))) for m in cells if m is not None]
        decimals = min(max(m.significant_figures - digits, 0) for m, digits in known) if self.trimmed else 1
        width = max(digits for _, digits in known) + decimals + bool(decimals)
        shows_spread = self.warned and any(m.has_warnings for m, _ in known)
        texts = []
        for m in cells:
            value = 0.0 if m is None else m.median / self.scale
            if m is not None and self.trimmed:
                value = trim_sigfig(value, m.significant_figures)
            text = f"{value:>{width}.{decimals}f}"
            if shows_spread:
                text += f"{f' (! {m.iqr / m.median * 100:.0f}%)' if m is not None and m.has_warnings else '':>7}"
            texts.append(" " * len(text) if m is None else text)
        return texts

    def _names(self) -> list[str]:
        """Give the rows' names, with the environment where it changes."""
        environments = ordered_unique(env for _, env, _ in self.rows)
        width = max(map(len, environments)) if len(environments) > 1 else 0
        names, before = [], None
        for threads, env, name in self.rows:
            shown = f"({env})" if width and (threads, env) != before else ""
            before = (threads, env)
            names.append(f"  {shown.ljust(width + 4)}{name}")
        return names

    def _best(self, row: int, column: int) -> float:
        if self.colorize is Colorize.ROWWISE:
            others: list[Measurement | None] = self.cells[row]
        else:
            threads = self.rows[row][0]
            others = [cells[column] for key, cells in zip(self.rows, self.cells, strict=True) if key[0] == threads]
        return min(m.median for m in others if m is not None)

    def render(self) -> str:
        """Write the table."""
        written = [self._names(), *(self._written(i) for i in range(len(self.columns)))]
        heads = ["", *((name or "") for name in self.columns)]
        widths = [max(map(len, [head, *texts])) for head, texts in zip(heads, written, strict=True)]
        lines = ["  |  ".join(head.center(width) for head, width in zip(heads, widths, strict=True))]
        whole, threads = len(lines[0]), None
        for i, row in enumerate(self.rows):
            if row[0] != threads:
                threads = row[0]
                lines.append(f"{threads} threads: ".ljust(whole, "-"))
            parts = [written[0][i].ljust(widths[0])]
            for j, m in enumerate(self.cells[i]):
                text = written[j + 1][i].center(widths[j + 1])
                if m is not None and self.colorize is not Colorize.NONE:
                    text = _coloured(text, m.median, self._best(i, j))
                parts.append(text)
            lines.append("  |  ".join(parts))
        title = f" {self.label or ''} ".center(whole - 2, "-")
        notes = f"Times are in {unit_to_english(self.unit)}s ({self.unit}).\n"
        if self.warned:
            notes += "(! XX%) Measurement has high variance, where XX is the IQR / median * 100.\n"
        return "\n".join([f"[{title}]", *lines, "", notes])


class Compare:
    """Shows measurements side by side, as a table for each label; ``str`` of it, or ``print()``.

    Examples
    --------
    >>> from retrograd.utils.benchmark import Compare, Measurement, TaskSpec
    >>> def taken(name, time):
    ...     return Measurement(
    ...         1, [time], TaskSpec("f(x)", "", label="f", sub_label="(64,)", description=name)
    ...     )
    >>> print(str(Compare([taken("eager", 2e-6), taken("compiled", 1e-6)])).split("Times")[0].rstrip())
    [-------------- f ---------------]
                 |  eager  |  compiled
    1 threads: -----------------------
          (64,)  |   2.0   |    1.0
    """

    def __init__(self, results: Iterable[Measurement]) -> None:
        self._results: list[Measurement] = []
        self._trimmed = self._warned = False
        self._colorize = Colorize.NONE
        self.extend_results(results)

    def extend_results(self, results: Iterable[Measurement]) -> None:
        """Add measurements."""
        for r in results:
            if not isinstance(r, Measurement):
                raise ValueError(f"Expected an instance of `Measurement`, got {type(r)} instead.")
            self._results.append(r)

    def trim_significant_figures(self) -> None:
        """Show no more figures than can be trusted."""
        self._trimmed = True

    def colorize(self, rowwise: bool = False) -> None:
        """Colour the times, against the best of the column, or of the row."""
        self._colorize = Colorize.ROWWISE if rowwise else Colorize.COLUMNWISE

    def highlight_warnings(self) -> None:
        """Show the spread of the times that vary much."""
        self._warned = True

    def __str__(self) -> str:
        groups: dict[Any, list[Measurement]] = {}
        for m in Measurement.merge(self._results):
            groups.setdefault(m.label, []).append(m)
        return "\n".join(
            _Table(group, self._colorize, self._trimmed, self._warned).render() for group in groups.values()
        )

    def print(self) -> None:
        """Print the tables."""
        print(str(self))  # noqa: T201  what the method is for
