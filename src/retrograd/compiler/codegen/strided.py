"""Elements that lie a few places apart, as whole vectors: neighbours are loaded together and sorted out by shuffles."""

from __future__ import annotations

from collections.abc import Callable

from .conversion import narrow, widen
from .emit import Count, Value, mangled
from .lanes import Lanes

MOST = 4  # places apart: beyond, a gather is cheaper
Allowed = Callable[[int], "Value | None"]  # the mask of the elements from that one on, one for each lane


def shuffled(lanes: Lanes, parts: list[Value], wanted: list[tuple[int, int]]) -> Value:
    """Give, for each lane, lane ``wanted[lane][1]`` of part ``wanted[lane][0]``, two parts at a time."""
    n, memory, f = lanes.width, lanes.memory, lanes.f
    held, value = [(0, lane) for lane in range(n)], parts[0]
    for k in range(1 if len(parts) > 1 else 0, max(len(parts), 1)):
        order = []
        for lane, (part, place) in enumerate(wanted):
            if part == k and k:
                order.append(n + place)
            else:
                order.append(place if part == 0 and k <= 1 else lane)
        other = parts[k] if k else "poison"
        mask = ", ".join(f"i32 {i}" for i in order)
        value = f.op(f"shufflevector {memory} {value}, {memory} {other}, <{n} x i32> <{mask}>")
    return value if wanted != held or len(parts) > 1 else parts[0]


def load(lanes: Lanes, base: Value, index: Count, stride: int, allowed: Allowed | None = None) -> Value:
    """Load base[index * stride], base[(index + 1) * stride], ...; 2 <= stride <= MOST, or stride == -1.

    Without ``allowed`` nothing in front of the first of them or behind the last is touched. With it, the elements from the
    first on are touched where its masks hold; lanes elsewhere are 0.
    """
    f, n = lanes.f, lanes.width
    if stride == -1:
        start = f.element(lanes.row.memory, base, f.sub(f.sub(0, index), n - 1))
        backwards = [(0, n - 1 - lane) for lane in range(n)]
        return widen(lanes, shuffled(lanes, [_part(lanes, start, None)], backwards))
    first = f.element(lanes.row.memory, base, f.mul(index, stride))
    starts = [k * n for k in range(stride)]
    if allowed is None:
        starts[-1] = stride * (n - 1) - (n - 1)
    parts = [_part(lanes, f.element(lanes.row.memory, first, at), allowed and allowed(at)) for at in starts]
    wanted = []
    for lane in range(n):
        k = lane * stride // n
        wanted.append((k, lane * stride - starts[k]))
    return widen(lanes, shuffled(lanes, parts, wanted))


def _part(lanes: Lanes, address: Value, mask: Value | None) -> Value:
    if mask is None:
        return lanes.f.load(lanes.memory, address, lanes.row.size)
    name = f"llvm.masked.load.{mangled(lanes.memory)}.p0"
    callee = lanes.f.module.declare(name, lanes.memory, ["ptr", "i32", lanes.mask, lanes.memory])
    zeros = f"{lanes.memory} zeroinitializer"
    return lanes.f.op(
        f"call {lanes.memory} {callee}(ptr {address}, i32 {lanes.row.size}, {lanes.mask} {mask}, {zeros})"
    )


def weave(lanes: Lanes, values: list[Value], base: Value, index: Count, allowed: Allowed | None = None) -> None:
    """Store ``values[k]`` to base[(index + lane) * len(values) + k]: vectors side by side, where ``allowed`` masks hold."""
    f, n, s = lanes.f, lanes.width, len(values)
    kept = [narrow(lanes, v) for v in values]
    first = f.element(lanes.row.memory, base, f.mul(index, s))
    for k in range(s):
        wanted = [((k * n + lane) % s, (k * n + lane) // s) for lane in range(n)]
        value = shuffled(lanes, kept, wanted)
        address = f.element(lanes.row.memory, first, k * n)
        mask = allowed(k * n) if allowed else None
        if mask is None:
            f.store(lanes.memory, value, address, lanes.row.size)
            continue
        name = f"llvm.masked.store.{mangled(lanes.memory)}.p0"
        callee = f.module.declare(name, "void", [lanes.memory, "ptr", "i32", lanes.mask])
        f.do(f"call void {callee}({lanes.memory} {value}, ptr {address}, i32 {lanes.row.size}, {lanes.mask} {mask})")
