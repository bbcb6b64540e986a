"""A plan written for a reader: memory over time, what is kept, what is computed again, and at what cost."""

from __future__ import annotations

from typing import Any

from ..core import describe

BARS = " ▁▂▃▄▅▆▇█"
WIDTH = 72
MOST_LINES = 12


def bars(line: list[int], limit: float) -> str:
    """Draw a line of heights, each the highest of its share, up to a limit.

    Examples
    --------
    >>> bars([0, 4, 8], 8)
    ' ▄█'
    """
    if not line or limit <= 0:
        return ""
    width = min(WIDTH, len(line))
    parts = [
        line[len(line) * i // width : max(len(line) * (i + 1) // width, len(line) * i // width + 1)]
        for i in range(width)
    ]
    return "".join(BARS[min(round(max(part) / limit * 8), 8)] for part in parts)


def shown(plan: Any, base: int, budget: int, least: tuple[Any, int], needed: int | None = None) -> str:
    """Write a plan; ``least`` is the one that needs least, and its bytes, ``needed`` what a compiled program needs, which is known before it runs."""
    from .budget import text_of

    p, found = plan.profile, plan.simulation
    forward = sum(r.seconds for r in p.rows)
    back = sum(s.seconds for s in p.steps)
    whole = sum(p.rows[k].nbytes for k in p.kept)
    held = sum(p.rows[k].nbytes for k in plan.keep)
    events = len(found.line)
    cost = f"{plan.seconds * 1e3:.1f} ms beside {(forward + back) * 1e3:.1f} ms for the step ({plan.seconds / max(forward + back, 1e-9):+.0%}{', as estimated' if needed is not None else ''})"
    when = "forward" if found.moment < events - len(p.steps) else "on the way back"
    peak = plan.peak if needed is None else needed
    lines = [
        f"budget {text_of(budget)}: peak {text_of(base + peak)}, {when} ({text_of(base)} were there before the step)",
        f"saved without a budget {text_of(whole)}; held at the end of the forward run {text_of(held)}",
        f"computed again: {found.again} operations, {cost}",
        floor(least[0], base + least[1]),
        "",
        f"memory over the step, full height {text_of(budget - base)} beyond what was there:",
        f"  {bars(found.line, max(budget - base, 1))}",
        "",
    ]
    by_line: dict[str, list[float]] = {}
    again = set(_again(plan))
    for k in p.kept:
        entry = by_line.setdefault(describe(p.rows[k].place), [0, 0, 0, 0.0])
        entry[0] += p.rows[k].nbytes
        entry[1] += p.rows[k].nbytes if k in plan.keep else 0
    for k in again:
        entry = by_line.setdefault(describe(p.rows[k].place), [0, 0, 0, 0.0])
        entry[2] += 1
        entry[3] += p.rows[k].seconds
    lines.append(f"{'saved':>10} {'held':>10} {'again':>6} {'ms':>8}  line")
    ranked = sorted(by_line.items(), key=lambda item: -item[1][0])
    for place, (saved, kept, count, seconds) in ranked[:MOST_LINES]:
        lines.append(f"{text_of(saved):>10} {text_of(kept):>10} {int(count):>6} {seconds * 1e3:>8.2f}  {place}")
    if len(ranked) > MOST_LINES:
        lines.append(f"{'':>10} {'':>10} {'':>6} {'':>8}  ... and {len(ranked) - MOST_LINES} more lines")
    return "\n".join(lines)


def floor(plan: Any, peak: int) -> str:
    """Say what the smallest possible budget is, and where its peak is: what is read and written there cannot be computed again."""
    from .budget import text_of

    p, moment = plan.profile, plan.simulation.moment
    made = [r for r in p.rows if r.op is not None and r.owner < 0]
    if moment < len(made):
        when, place = "forward", made[moment].place
    else:
        position = p.steps[min(moment - len(made), len(p.steps) - 1)].position if p.steps else -1
        when, place = "on the way back", p.rows[position].place if 0 <= position < len(p.rows) else None
    where = f", at {describe(place)}" if place is not None else ""
    return f"smallest possible: {text_of(peak)}; its peak is {when}{where}: values that are read and written at one time there, and gradients"


def _again(plan: Any) -> list[int]:
    """List the operations that some part computes again."""
    found: list[int] = []
    todo = [plan.root] if plan.root is not None else []
    while todo:
        part = todo.pop()
        for child in part.children:
            found += child.ops
            todo.append(child)
    return found


__all__ = ["bars", "floor", "shown"]
