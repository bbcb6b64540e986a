"""The short way into a program: arguments and guards are compared, and the program run, in one call of generated code."""

from __future__ import annotations

from sys import getrefcount
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import MODE, wrap
from ..core.node import Hooks
from .eager_door import wrapper
from .history import attach, spent
from .runtime import gate as g

if TYPE_CHECKING:
    from .entry import Entry

LONG = 50_000  # multiply-adds and elements from which other threads of Python may run meanwhile
MISSED: Any = object()
RAN = g.RAN
_empty = np.empty


class Fast:
    """A program behind the gate.

    Parameters
    ----------
    entry : Entry
    """

    watched: list[tuple[str, Any, Any]]
    armed = False
    rest: Any  # compares what memory alone does not show, or None

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.gate = entry.program.held.guarding(g.gate())
        self.grad = MODE.grad
        places = g.layout()
        assert places is not None
        self.places = places
        captured, program = entry.captured, entry.program
        self.descriptor = g.Descriptor()
        self.words = self.descriptor.words
        table = program.table.ctypes.data
        count = len(captured.outputs)
        # results, and what the forward part hands over to the backward part
        saved = range(len(entry.targets), len(program.graph.outputs))
        self.places_of_outputs = [*range(count), *saved]
        self.makes = [(n.shape, n.dtype) for n in (program.graph.outputs[k] for k in self.places_of_outputs)]
        self.count = count
        self.nodes: list[Any] = [
            spent(t._a) if requires and not is_open else None
            for t, requires, is_open in zip(captured.outputs, captured.requires, captured.open, strict=True)
        ]
        # tensors that are handed over at each call
        rows: list[int] = []
        order = {place: k for k, (kind, place) in enumerate(entry.sources) if kind == "given"}
        self.given = len(entry.given)

        def row(a: Any, node: Any, slots: Any) -> None:
            numbers = [n for at, extra in slots for n in (table + 8 * at, extra)]
            dims = self.descriptor.array(list(a.shape))
            rows.extend([id(a.dtype), a.ndim, dims, id(node), self.descriptor.array(numbers), len(slots)])
            self.descriptor.kept += [a.dtype, node]

        for i in range(self.given):
            t = entry.given[i]
            row(t._a, t._node, program.input_slots[order[i]] if i in order else [])
        # gradients that are read: of other calls, they are other tensors, handed over like arguments
        self.read = [(k, source) for k, (kind, source) in enumerate(entry.sources) if kind == "grad"]
        self.readers = [t for _, t in self.read]
        for k, _ in self.read:
            row(captured.inputs[k]._a, None, program.input_slots[k])
        self.written = [n for n, (k, _) in enumerate(self.read) if k in entry.targeted]
        outs: list[int] = []
        for k in self.places_of_outputs:
            slots = program.output_slots[k]
            outs += [self.descriptor.array([n for at, extra in slots for n in (table + 8 * at, extra)]), len(slots)]
        self.grads: list[tuple[Any, Any]] = []
        for t, _ in captured.new_grads:
            self.grads.append((t, None))  # the memory that gradients are made in is that of the first ones
        self.cleared_inside = [was for _, was in entry.grads_were]
        self.given_back = [k for k, was in enumerate(self.cleared_inside) if not was]
        self.storages = [captured.inputs[k]._s for k in entry.targeted if entry.sources[k][0] != "grad"]
        self.held = [(t, k) for k, (kind, t) in enumerate(entry.sources) if kind == "held"]
        # one native segment is run by the gate itself; several, with NumPy's calls between them, by the program
        self.several = (
            bool(program.late) or len(program.segments) > 1 or not isinstance(next(iter(program.segments), []), list)
        )
        segment = [0, 0] if self.several or not program.segments else program.segments[0]
        tensors = self.given + len(self.read)
        self.words[g.COUNT] = 1 + tensors + len(self.makes)
        self.words[g.TENSORS], self.words[g.OUTPUTS] = tensors, len(self.makes)
        self.words[g.RECORDS], self.words[g.RECORD_COUNT] = segment
        self.words[g.DRIVE] = program.loaded.address("rg_drive")
        self.words[g.RELEASE] = int(program.work > LONG)
        self.words[g.TENSOR_TABLE], self.words[g.OUTPUT_TABLE] = (
            self.descriptor.array(rows),
            self.descriptor.array(outs),
        )
        forbidden = [id(s) for s in self.storages]
        self.words[g.FORBIDDEN], self.words[g.FORBIDDEN_COUNT] = self.descriptor.array(forbidden), len(forbidden)
        self.pairs = np.zeros(0, np.uint64)
        self.error = program.error
        self.made = wrapper() or _made
        self.plain = (
            captured.structure is None
            and count == 1
            and not captured.cleared
            and not captured.views
            and not captured.places
        )
        self.simple = self.plain and entry.halves is None
        # a function of its arguments alone, with one result: nothing is to be done around the run
        around = self.several or self.readers or self.storages or self.given_back or self.error is not None
        self.direct = self.makes[0] if self.simple and not around and len(self.makes) == 1 else None

    def arm(self) -> None:
        """Note what memory holds now, when everything is known to be as it was."""
        self.armed = True
        entry, places = self.entry, self.places
        program = entry.program
        numbers: list[int] = []
        self.owners: list[Any] = []
        self.alive: list[Any] = []
        self.stored: list[int] = []  # the dicts in which the program keeps tensors
        kept = {id(p.holder) for p in entry.captured.places if p.kind == "dict"}

        def pair(address: int, expected: int, owner: Any = None) -> None:
            numbers.extend((address, expected))
            self.owners.append(owner)

        for sort, holder, entries in self.watched:
            if sort == "dict":
                if id(holder) in kept:
                    self.stored.append(len(self.owners))
                pair(id(holder) + g.DICT_VERSION, g.word(id(holder) + g.DICT_VERSION), entries)
            elif sort == "cell":
                value = holder.cell_contents
                self.alive.append(value)
                pair(id(holder) + g.CELL, id(value), entries)
            else:
                pair(id(holder) + g.LIST_SIZE, len(holder))
                items = g.word(id(holder) + g.LIST_ITEMS)
                pair(id(holder) + g.LIST_ITEMS, items)
                for e in entries:
                    if e[0] != "length":
                        key = e[2] if e[0] == "item" else e[2][1]
                        self.alive.append(holder[key])
                        pair(items + 8 * key, id(holder[key]), [e])
        for t, k in self.held:
            self.alive += [t._a, t._node]
            pair(id(t) + places["_a"], id(t._a))
            pair(id(t) + places["_node"], id(t._node))
            data = t._a.ctypes.data
            for at, extra in program.input_slots[k]:
                program.table[at] = data + extra
        for k, (t, made) in enumerate(self.grads):
            if t._grad is not made:
                if is_only_gradient(t):
                    made = t._grad
                else:
                    if made is None or g.word(id(made)) > 3 or g.word(id(made._a)) > 2:
                        # somebody keeps it: the next step needs memory of its own
                        made = wrap(np.empty(t._grad._a.shape, t._grad._a.dtype))
                    np.copyto(made._a, t._grad._a)
                    t._grad = made
                self.grads[k] = (t, made)
            data = made._a.ctypes.data
            for at, extra in program.output_slots[k + self.count]:
                program.table[at] = data + extra
        for t, _ in entry.looked_at:
            pair(id(t) + places["_grad"], id(None))
        for (t, made), was in zip(self.grads, self.cleared_inside, strict=True):
            # what the step clears itself may be there before; else it must not, and is put there after the run
            pair(id(t) + places["_grad"], id(made) if was else id(None))
            pair(id(made), g.word(id(made)) - (1 if was else 2))  # their counts of references, without this loop's
            pair(id(made._a), g.word(id(made._a)))
        self.pairs = np.array(numbers or [0], np.uint64)
        self.words[g.PAIRS], self.words[g.PAIR_COUNT] = self.pairs.ctypes.data, len(self.owners)

    def call(self, given: Any) -> Any:
        """Run, and give the result, or MISSED where something is not as it was."""
        if Hooks.changes != self.entry.hooks or (self.rest is not None and not self.rest()):
            return MISSED
        if self.direct is not None:
            a = _empty(*self.direct)
            if self.gate(self.words, *given, a) == RAN:
                return self.made(a, self.nodes[0])
        outs = [_empty(shape, dtype) for shape, dtype in self.makes]
        grads: Any = ()
        if self.readers:
            grads = [t._grad for t in self.readers]
            if self.written and self.entry.overlap([grads[n] for n in self.written], given):
                return MISSED
        found = self.gate(self.words, *given, *grads, *outs)
        while found != g.RAN:
            if found == g.OTHER_ARGUMENTS or not self._settle(found):
                return MISSED
            found = self.gate(self.words, *given, *grads, *outs)
        if self.error is not None and self.error.value:
            self.entry.program.complain()
        if self.several:
            self._execute(given, grads, outs)
        for s in self.storages:
            s.version += 1
        for n in self.written:
            grads[n]._s.version += 1
        for k in self.given_back:
            t, made = self.grads[k]
            t._grad = made
        if self.simple:  # one result, and no backward part
            return self.made(outs[0], self.nodes[0])
        outputs = []
        for a, node in zip(outs[: self.count], self.nodes, strict=True):
            outputs.append(self.made(a, node))
        if self.entry.halves is not None:
            holders = self._holders(given, grads)
            attach(self.entry, outputs, outs[self.count :], holders, [t._a for t in holders])
        return outputs[0] if self.plain else self._results(outputs, given, grads)

    def _holders(self, given: Any, grads: Any) -> list[Any]:
        found = [given[source] if kind == "given" else source for kind, source in self.entry.sources]
        for (k, _), t in zip(self.read, grads, strict=True):
            found[k] = t
        return found

    def _execute(self, given: Any, grads: Any, outs: list[Any]) -> None:
        entry = self.entry
        values = [t._a for t in self._holders(given, grads)]
        results: list[Any] = [None] * len(entry.program.graph.outputs)
        for k, a in zip(self.places_of_outputs, outs, strict=True):
            results[k] = a
        results[self.count : self.count + len(self.grads)] = [made._a for _, made in self.grads]
        entry.program.execute(values, results)

    def _settle(self, k: int) -> bool:
        """Something was written since: look whether what counts in it is as it was, and take its numbers anew."""
        entries = self.owners[k]
        if entries is None or not self.entry.guards.holds(entries):
            return False
        if self.entry.ledger is not None and not self.entry.ledger.holds():
            return False
        self.entry.refresh()
        address = int(self.pairs[2 * k])
        self.alive.append([_held(e) for e in entries])
        if len(self.alive) > 4096:
            return False  # the long way arms the gate anew
        self.pairs[2 * k + 1] = g.word(address)
        return True

    def _results(self, outputs: list[Any], given: Any, grads: Any) -> Any:
        captured = self.entry.captured
        for t in captured.cleared:
            t._grad = None
        stand = {
            id(t): given[i] for t, (kind, i) in zip(captured.inputs, self.entry.sources, strict=True) if kind == "given"
        }
        stand.update({id(captured.inputs[k]): t for (k, _), t in zip(self.read, grads, strict=True)})
        for value, t in zip(captured.outputs, outputs, strict=True):
            stand[id(value)] = t
        result = captured.deliver(stand)
        for k in self.stored:  # written by ourselves, when all else was as it was
            self.pairs[2 * k + 1] = g.word(int(self.pairs[2 * k]))
        return result


def _made(a: Any, node: Any) -> Any:
    t = wrap(a)
    t._node = node
    return t


def is_only_gradient(t: Any) -> bool:
    """Tell whether a tensor's gradient is there, fills its memory, and is held by nobody else: it may be written over."""
    made = t._grad
    if made is None or made._base is not None or made._a is not made._s.root or not made._a.flags.c_contiguous:
        return False
    # besides who asks, the tensor holds the gradient, and that its array and storage, and the storage the array
    return getrefcount(made) <= 3 and getrefcount(made._s) <= 2 and getrefcount(made._a) <= 3


def _held(e: Any) -> Any:
    """Give what an entry's place holds, to be kept alive while its address is compared."""
    kind, holder, key = e[:3]
    if kind == "number":
        kind, key = key
    if kind == "cell":
        return holder.cell_contents
    return holder[key] if kind == "item" else None


def fast(entry: Entry) -> Fast | None:
    """Give a program's short way, or None where it has to take the long one."""
    if len({id(t) for t in entry.given}) != len(entry.given):  # one tensor in two places
        return None
    if g.gate() is None:
        return None
    if any(kind == "place" for kind, _ in entry.sources) or any(entry.sources[k][0] == "given" for k in entry.targeted):
        return None
    read = {id(t) for kind, t in entry.sources if kind == "grad"}
    if any(id(t) in read for t, _ in entry.captured.new_grads):  # added to what is there
        return None
    if any(kind == "grad" and isinstance(t, int) for kind, t in entry.sources):
        return None
    if entry.twins or any(was or isinstance(t, int) for t, was in entry.looked_at):
        return None
    if any(not t._a.flags.c_contiguous or t._base is not None for kind, t in entry.sources if kind == "held"):
        return None
    if any(place is not None for place in entry.grads_given) or any(
        id(t) in entry.position for t in entry.captured.cleared
    ):
        return None
    if entry.guards.arrays or entry.guards.generators:
        return None
    watched, rest = entry.guards.watched()
    made = Fast(entry)
    made.rest = entry.guards.check(rest) if rest else None
    made.watched = watched
    return made


__all__ = ["MISSED", "Fast", "fast"]
