"""What is known of a loop nest before its text is written: its loops, its sweeps over a row, what is kept between them, its chunks."""

from __future__ import annotations

import math
from typing import Any

from ...core import Node
from ..lowering.kernel import CHUNK, FULL, MOST_CHUNKS, ROW, TAIL, Loops, Statement
from ..lowering.maps import Affine
from .rows import HEAVY
from .strided import MOST

MOST_HELD = 6  # registers of sums along a row that are kept for all rows
STASH = 32768  # bytes of a row's values that may be kept between sweeps on the stack
ERROR = "error"  # the word of a module that is not 0 once an index was out of range
ADDING = ("index_add_zeros", "flat_add")  # sums at places that are values
IDENTITY = ("sum", "amax", "amin", *ADDING)


def _adds_up_everything(nest: Loops) -> bool:
    """Tell whether all that a nest adds into memory are single numbers, so that its elements may go in any rows."""
    tails = [s for s in nest.statements if s.level == TAIL]
    if nest.split is not None or any(s.level == ROW for s in nest.statements):
        return False
    return all(s.store is not None and s.node.op.name in IDENTITY and not any(s.store[1][1]) for s in tails)  # type: ignore[union-attr]


class Analysis:
    """What has to be known of a nest before its text is written: its loops, sweeps, and what is kept between them."""

    def __init__(self, nest: Loops, constants: dict[Node, Any], lanes: int) -> None:
        self.nest, self.constants, self.lanes = nest, constants, lanes
        live = nest.live
        tails = any(s.level == TAIL for s in nest.statements)
        if nest.split is not None:
            rows, cols = [d for d in live if d not in nest.split], [d for d in live if d in nest.split]
        else:
            looked_up = any(s.node.op.name == "index_select" for s in nest.statements)  # type: ignore[union-attr]
            by_row = looked_up or (tails and not _adds_up_everything(nest))
            rows, cols = (live[:-1], live[-1:]) if by_row else ([], live)
        self.tails = tails
        self.bounded = {(o.node, o.address) for s in nest.statements for o in s.operands if o.bounds}
        self.bounded |= {s.store for s in nest.statements if s.store is not None and s.bounds}
        self.addresses: list[Affine] = [a for s in nest.statements for a in self._addresses(s)]
        self.limits = list(
            dict.fromkeys(
                [b for s in nest.statements for o in s.operands for b in o.bounds]
                + [b for s in nest.statements for b in s.bounds]
            )
        )
        self.rows, self.cols = self._collapse(rows), self._collapse_cols(cols)
        if nest.product is not None and nest.product.node.op.name == "matmul":
            self.rows, self.cols = [(nest.domain[0], 0)], [(nest.domain[1], 1)]
        elif nest.product is not None:  # a convolution's: an image, a channel, and pixels
            pixels = self._collapse([d for d in live if d > 1]) or [(1, len(nest.domain) - 1)]
            self.rows = [(nest.domain[0], 0), (nest.domain[1], 1), *pixels[:-1]]
            self.cols = pixels[-1:]
        self.woven = self._side_by_side() if self.cols else []
        self.stage: dict[Node, int] = {}
        self._number_sweeps()
        self.stashed: set[Node] = set()
        self._keep()
        inner = self.inner = self.cols[-1][0] if self.cols else 1
        bytes_ = [self._size(s) for s in nest.statements]
        width = lanes if min(bytes_, default=4) <= 4 else max(1, lanes // 2)
        self.flat = self._is_flat()
        if max(bytes_, default=4) > 8:
            width = 1
        while width > 1 and width // 2 >= inner and not self.flat:
            width //= 2
        if nest.lanes is not None and max(bytes_, default=4) <= 8:
            width = nest.lanes[0]
        self.width = width
        self.ways = 4 if inner >= 8 * width and len(nest.statements) <= 24 else 1  # registers of each sum along a row
        if nest.lanes is not None:
            self.ways = nest.lanes[1]
        self.chunks, self.per = self._split_work()
        self.held, self.held_from = self._in_all_rows()

    @staticmethod
    def _size(s: Statement) -> int:
        return int(s.node.dtype.itemsize)

    def _addresses(self, s: Statement) -> list[Affine]:
        out = [o.address for o in s.operands if o.kind == "load"]
        out += [index for o in s.operands for index, _ in o.bounds]
        out += [index for index, _ in s.bounds]
        if s.store is not None:
            out.append(s.store[1])
        if s.node.op.name == "iota":  # type: ignore[union-attr]
            out.append(s.home[s.node.attrs["axis"]])
        return out

    def _collapse(self, dims: list[int]) -> list[tuple[int, int]]:
        """Join neighbouring dimensions that every address walks as one; give (length, dimension whose steps count)."""
        domain = self.nest.domain
        out: list[tuple[int, int]] = []
        for d in dims:
            if out:
                length, before = out[-1]
                if all(c[before] == c[d] * domain[d] for _, c in self.addresses):
                    out[-1] = (length * domain[d], d)
                    continue
            out.append((domain[d], d))
        return out

    def _collapse_cols(self, dims: list[int]) -> list[tuple[int, int]]:
        """Join neighbouring dimensions along the row, up to the length over which sums have to be added up at once, if that is settled."""
        if self.nest.lanes is not None:
            at, length = len(dims), 1
            while at and length < self.nest.lanes[2]:
                at -= 1
                length *= self.nest.domain[dims[at]]
            if length == self.nest.lanes[2]:
                return self._collapse(dims[:at]) + self._collapse(dims[at:])
        return self._collapse(dims)

    def _side_by_side(self) -> list[list[Statement]]:
        """Gather statements whose stores, each every second place or third, lie side by side and fill them all."""
        inner = self.cols[-1][1]
        kinds: dict[Any, dict[int, Statement]] = {}
        for s in self.nest.statements:
            if s.level == FULL and s.store is not None and 2 <= s.store[1][1][inner] <= MOST:
                node, (constant, coefs) = s.store
                kinds.setdefault((node, coefs), {}).setdefault(constant, s)
        found = []
        for (_, coefs), places in kinds.items():
            count = coefs[inner]
            while places:
                first = min(places)
                s = places.pop(first)
                group = [s, *[places[first + k] for k in range(1, count) if first + k in places]]
                if len(group) == count and all(self._follows(s, other, k, inner) for k, other in enumerate(group)):
                    found.append(group)
                    for k in range(1, count):
                        del places[first + k]
        return found

    @staticmethod
    def _follows(s: Statement, other: Statement, k: int, inner: int) -> bool:
        """Tell whether another statement's bounds are a statement's, k places on along the innermost loop."""
        stride = s.store[1][1][inner]  # type: ignore[index]
        moved = []
        for (constant, coefs), size in s.bounds:
            if coefs[inner] not in (0, stride):
                return False
            moved.append(((constant + k if coefs[inner] else constant, coefs), size))
        return tuple(moved) == other.bounds

    def _number_sweeps(self) -> None:
        """Give every statement the sweep it runs in (full, tail) or the sweep it must come before (row)."""
        for s in self.nest.statements:
            before = [self.stage[o.node] for o in s.operands if o.kind == "value"]
            stage = max(before, default=0)
            if s.level == ROW and s.node.op.name in IDENTITY:  # type: ignore[union-attr]
                stage += 1
            self.stage[s.node] = stage
        self.sweeps = 1 + max([self.stage[s.node] for s in self.nest.statements if s.level != ROW], default=-1)
        for s in self.nest.statements:
            if s.level == ROW and s.node.op.name in IDENTITY:  # type: ignore[union-attr]
                self.sweeps = max(self.sweeps, self.stage[s.node])

    def in_registers(self, s: Statement) -> bool:
        """Tell whether a statement adds up along the row before its sum goes anywhere."""
        if s.node.op.name not in IDENTITY or s.reads != FULL or s.node.op.name in ADDING:  # type: ignore[union-attr]
            return False
        if s.level == ROW:
            return True
        assert s.store is not None
        still = not any(s.store[1][1][d] for _, d in self.cols)
        return still and (self.nest.split is not None or not any(s.store[1][1]))

    def adds_runs(self, s: Statement) -> bool:
        """Tell whether a tail adds one value for each run of the innermost loop."""
        if s.level != TAIL or s.reads != FULL or s.node.op.name in ADDING or self.in_registers(s):  # type: ignore[union-attr]
            return False
        assert s.store is not None
        return bool(self.cols) and self.cols[-1][0] > 1 and not s.store[1][1][self.cols[-1][1]]

    def _in_all_rows(self) -> tuple[list[Statement], int]:
        """Give the tails whose sums along a short innermost loop stay in registers, and at which of the loops around it they begin.

        They are added up from there on: all loops further in have nothing to do with where the sums go.
        """
        around = [*self.rows, *self.cols[:-1]]
        if self.nest.product is not None or self.flat or not self.cols or (self.chunks > 1 and not self.rows):
            return [], 0
        length, inner = self.cols[-1]
        found, level = [], 0
        for s in self.nest.statements:
            if s.level != TAIL or s.reads != FULL or s.node.op.name not in IDENTITY or s.node.op.name in ADDING:  # type: ignore[union-attr]
                continue
            if self.in_registers(s) or self.adds_runs(s) or s.store is None:
                continue
            coefs = s.store[1][1]
            own = max([k + 1 for k, (_, d) in enumerate(around) if coefs[d]], default=0)
            if coefs[inner] == 1 and own < len(around) and own <= len(self.rows):
                found.append(s)
                level = max(level, own)
        return (found, level) if len(found) * -(-length // self.width) <= MOST_HELD else ([], 0)

    def covers(self, s: Statement) -> bool:
        """Tell whether a held sum is whole where it leaves its registers: no later turn of the loops around adds to it."""
        return s in self.held and all(s.store[1][1][d] for _, d in self.rows[: self.held_from])  # type: ignore[index]

    def adds_rows(self, s: Statement) -> bool:
        """Tell whether a tail adds one value for each row."""
        return s.level == TAIL and s.reads != FULL

    def _keep(self) -> None:
        """Choose which values of an earlier sweep are kept for a later one: what is costly to compute again."""
        heavy: dict[Node, int] = {}
        for s in self.nest.statements:
            if s.level == FULL:
                own = 8 if s.node.op.name in HEAVY else 2 if s.node.op.name in ("div", "sqrt", "rsqrt") else 1  # type: ignore[union-attr]
                heavy[s.node] = own + sum(heavy.get(o.node, 0) for o in s.operands if o.kind == "value")
        row_bytes = math.prod(n for n, _ in self.cols) if self.cols else 1
        for s in self.nest.statements:
            if s.level == ROW and s.node.op.name not in IDENTITY:  # type: ignore[union-attr]
                continue
            sweep = self.stage[s.node] - (s.level == ROW)
            todo, seen = [o.node for o in s.operands if o.kind == "value"], set()
            while todo:
                n = todo.pop()
                if n in seen:
                    continue
                seen.add(n)
                other = self.nest.by_node[n]
                if other.level != FULL or self.stage[n] >= sweep or n in self.stashed or other.store is not None:
                    if other.level == FULL and self.stage[n] >= sweep:
                        todo.extend(o.node for o in other.operands if o.kind == "value")
                    continue
                if heavy[n] >= 6 and row_bytes * n.dtype.itemsize <= STASH:
                    self.stashed.add(n)
                else:
                    todo.extend(o.node for o in other.operands if o.kind == "value")

    def _is_flat(self) -> bool:
        """Tell whether the nest is one plain loop, whose length is then an argument: one kernel serves every length."""
        if (
            self.nest.split is not None
            or (self.tails and not _adds_up_everything(self.nest))
            or self.rows
            or len(self.cols) != 1
            or self.nest.product is not None
        ):
            return False
        if self.bounded or any(
            s.node.op.name in ("iota", "index_select", "flat_read", "check_index", *ADDING)  # type: ignore[union-attr]
            for s in self.nest.statements
        ):
            return False
        d = self.cols[0][1]
        return all(coefs[d] in (0, 1) for _, coefs in self.addresses)

    @property
    def flat_streams(self) -> int:
        """Count what is read and written where a product's elements lie, row behind row; 0 if something lies otherwise.

        Single numbers may be read besides.
        """
        nest = self.nest
        if self.tails or self.bounded or any(s.level != FULL or s.node.op.name == "iota" for s in nest.statements):  # type: ignore[union-attr]
            return 0
        across = nest.domain[1]
        found = [coefs[1] for _, coefs in self.addresses if coefs[0] == across * coefs[1] and coefs[1] in (0, 1)]
        return sum(found) if len(found) == len(self.addresses) else 0

    def shape(self) -> Any:
        """Give what the text depends on besides the statements."""
        begun = tuple([k for k, s in enumerate(self.nest.statements) if s.level == TAIL and s.node in self.nest.begun])
        settled = tuple([self.nest.orders.get(s.node) for s in self.nest.statements]) if self.nest.orders else ()
        if self.flat:
            return ("flat", self.width, self.ways, self.chunks > 1, begun, settled)
        split = None if self.nest.split is None else tuple(sorted(self.nest.split))
        order = {s: k for k, s in enumerate(self.nest.statements)}
        woven = tuple([tuple([order[s] for s in group]) for group in self.woven])
        apart = tuple([order[s] for s in self.nest.statements if s.store is not None and self.is_apart(s.store[0])])
        return (self.nest.domain, split, self.chunks, self.per, woven, apart, begun, settled)

    def is_apart(self, node: Node) -> bool:
        """Tell whether a value has a part for each chunk."""
        return any(node is parts for parts in self.nest.apart.values())

    def _split_work(self) -> tuple[int, int]:
        """Say how many chunks the outermost loop is cut into, and how many of its turns each has."""
        most = self.nest.parts if self.tails else MOST_CHUNKS
        work, cut = self.nest.work, self.nest.cut if self.tails else None
        if most < 2 or (work < 2 * CHUNK and cut is None) or (self.nest.split is not None and not self.rows):
            return 1, 0
        outer = (self.rows or self.cols)[0][0]
        if cut is not None and cut[0] > 1 and cut[1] % (self.nest.size // outer) == 0:
            return cut[0], cut[1] // (self.nest.size // outer)
        chunks = min(most, work // CHUNK, outer)
        per = -(-outer // chunks)
        if not self.rows and len(self.cols) == 1:
            per = -(-per // (4 * self.width)) * 4 * self.width
        chunks = -(-outer // per)
        return (chunks, per) if chunks > 1 else (1, 0)
