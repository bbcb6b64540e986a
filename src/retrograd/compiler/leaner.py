"""A program's records again, with kernels that leave out the stores of values that the next run would write over unseen."""

from __future__ import annotations

import copy
from typing import Any

from ..core import Node
from .codegen.emit import Module
from .lowering.kernel import FULL, Loops
from .program import Program
from .runtime import jit
from .runtime.cache import native
from .together import run_records


def without_stores(program: Program, nodes: set[Node]) -> tuple[Any, Any] | None:
    """Give the records of a program that does not store some results, and what its code lives in; None where nothing changes.

    Every other number is the same: kernels compute what they computed, in the order in which they did.

    Parameters
    ----------
    program : Program
        Its table serves both.
    nodes : set of Node
        Those that other steps read are stored all the same.
    """
    nodes = nodes - {n for s in program.steps for n in s.reads}
    writer = copy.copy(program.writer)
    writer.module, writer.functions, writer.kernels = Module(jit.host().enabled), {}, {}
    names: dict[int, str] = {}
    sources = program.schedule.steps  # copies at the end have no source
    for k, source in enumerate(sources):
        if isinstance(source, Loops) and _may(source, nodes):
            names[k] = writer.unstored(source, nodes).name
    if not names:
        return None
    loaded = native(writer.module.text(), "program without stores")
    single = program.single_records.copy()
    place = 0
    for k, step in enumerate(program.steps):
        if k in names:
            single[3 * place] = loaded.address(names[k])
        place += step.call is None
    whole = [g for g in program.groups if len({names.get(k) for k in range(g.first, g.first + g.count)}) == 1]
    records, heads = run_records(program.steps, whole, single, program.loaded)
    return records, (loaded, heads)


def _may(nest: Loops, nodes: set[Node]) -> bool:
    """Tell whether a nest stores some of these values, and something else."""
    stores = [s.store[0] for s in nest.statements if s.store is not None and s.level == FULL]
    others = [s for s in nest.statements if s.store is not None and s.store[0] not in nodes]
    checks = any(s.node.op.name == "check_index" for s in nest.statements)  # type: ignore[union-attr]
    return bool(others) and not checks and any(n in nodes for n in stores)


__all__ = ["without_stores"]
