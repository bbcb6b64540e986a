"""What a compiled function has become, told on request: guards, graph, passes, kernels with their times, memory, code."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import Graph, Node
from ..core.place import describe
from ..core.threads import threads
from .kernels import describe_steps
from .measure import measure
from .passes import PIPELINE
from .program import Program
from .report import report
from .runtime import blas, jit

if TYPE_CHECKING:
    from .compiled import Compiled
    from .entry import Entry

WHAT = {
    "dict": "attributes, globals and entries of dicts",
    "item": "items of lists",
    "cell": "variables of enclosing functions",
    "attribute": "attributes of classes and slots",
    "length": "lengths of containers",
    "set": "sets",
    "number": "types of numbers that are inputs",
    "zero": "whether an optimizer's number is zero",
    "zeros": "whether an optimizer's number is zero",
}


class Explanation:
    """What ``explain`` found: printed, it is a page to read; its ``data`` is for programs.

    Attributes
    ----------
    text : str
    data : dict
        Dicts, lists, strings and numbers only, as ``json.dumps`` takes them.
    """

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    @property
    def text(self) -> str:
        """The page."""
        return report(self.data)

    @property
    def graph_count(self) -> int:
        """How many graphs there are: programs, and those of the parts where a function is compiled in pieces."""
        return len(self.data["programs"]) + sum(len(part["programs"]) for part in self.data["pieces"])

    @property
    def break_reasons(self) -> list[str]:
        """Why calls run eagerly, or in pieces."""
        return [one["reason"] for one in self.data["eager"]]

    @property
    def graph_break_count(self) -> int:
        """How many reasons keep the function from being one program."""
        return len(self.break_reasons)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text


def explain(
    compiled: Compiled,
    *,
    graph: bool = False,
    guards: bool = False,
    ir: bool = False,
    assembly: bool = False,
    rounds: int = 20,
) -> Explanation:
    """Tell what a compiled function has become.

    Its programs are run on copies of the tensors that they were made with, under the function's lock; no tensor, gradient
    or generator of the user's changes.

    Parameters
    ----------
    compiled : Compiled
    graph : bool
        Show the traced graph however long it is.
    guards : bool
        List every guard.
    ir : bool
        Give each kernel's LLVM text.
    assembly : bool
        Give each kernel's machine code in assembly language.
    rounds : int
        How often each step is run to find its least time; 0 measures nothing.

    Examples
    --------
    >>> import retrograd as torch
    >>> softmax = torch.compile(lambda x: torch.softmax(x, -1))
    >>> for _ in range(2):
    ...     result = softmax(torch.ones(6, 10))
    >>> part = softmax.explain().data["programs"][0]["parts"][0]
    >>> [(k["kind"], k["rows"], k["columns"], k["sweeps"]) for k in part["kernels"]]
    [('loops', [6], [10], 3)]
    """
    apart = compiled.apart
    regions = [] if apart is None or apart.pieces is None else apart.pieces.regions
    parts = [] if apart is None else list(apart.parts.values())
    shown = {"graph": graph, "guards": guards, "ir": ir, "assembly": assembly}
    pieces = [
        explain(part, **shown, rounds=rounds).data for part in (*regions, *parts) if isinstance(part, type(compiled))
    ]
    with compiled.lock:
        eager = [{"reason": reason, "arguments": _arguments(key)} for key, reason in compiled.eager.items()]
        warm = [
            _arguments(key) for key in compiled.watches if key not in compiled.entries and key not in compiled.eager
        ]
        programs = []
        every = (compiled, *compiled.bounds.values())  # within bounds on memory too
        for key, entries in [pair for function in every for pair in function.entries.items()]:
            for entry in entries:
                programs.append({"arguments": _arguments(key), **_entry(entry, rounds, ir, assembly)})
        return Explanation(
            {
                "name": compiled.name,
                "fullgraph": compiled.fullgraph,
                "eager": eager,
                "warming": warm,
                "programs": programs,
                "pieces": pieces,
                "epochs": [dict(note) for note in compiled.epochs],
                "machine": _machine(),
                "show": shown,
            }
        )


def _machine() -> dict[str, Any]:
    host = jit.host()
    return {
        "cpu": host.cpu,
        "vector_bits": host.vector_bits,
        "threads": threads(),
        "blas": blas.core_name(),
        "versions": host.versions,
    }


def _arguments(key: Any) -> list[str]:
    """Write the types of a call's tensors, and its other arguments."""
    out = []
    for x in key[2:]:
        if isinstance(x, type):  # a number, whichever it is
            out.append(x.__name__)
        elif len(x) == 5:
            shape, dtype, _, wants, _ = x
            out.append(f"{np.dtype(dtype).name}[{','.join(map(str, shape))}]" + (" requires grad" if wants else ""))
        else:
            out.append(repr(x[1]) if isinstance(x[1], (bool, int, float, str, type(None))) else x[0].__name__)
    return out


def _entry(entry: Entry, rounds: int, ir: bool, assembly: bool) -> dict[str, Any]:
    captured = entry.captured
    traced = captured.graph
    if captured.gradients:
        traced = Graph(traced.inputs, (*traced.outputs, *captured.gradients), traced.constants)
    values = [
        t._a if t._a.shape == n.shape and t._a.dtype == n.dtype else np.zeros(n.shape, n.dtype)
        for t, n in zip(captured.inputs, entry.program.graph.inputs, strict=True)
    ]
    ways = Counter(kind for kind, _ in entry.sources)
    size: Counter[str] = Counter()
    for (kind, _), v in zip(entry.sources, values, strict=True):
        size[kind] += v.nbytes
    parts: list[dict[str, Any]] = []
    saved: list[Any] = []
    for name, program in _parts(entry):
        if name == "backward":
            ups = [np.ones(n.shape, n.dtype) for n in program.graph.inputs[: len(captured.upstream)]]
            values = [*ups, *saved, *[values[k] for k in entry.kept]]
        found = measure(program, values, rounds) if rounds or len(_parts(entry)) > 1 else None
        if entry.halves is not None and name == "forward" and found is not None:
            saved = found.results[len(found.results) - len(entry.halves.saved) :]
        parts.append(_part(name, program, found if rounds else None, ir, assembly))
    return {
        "inputs": {
            "given": ways["given"],
            "held": ways["held"],
            "gradients": ways["grad"],
            "written": sum(isinstance(k, int) for k in entry.targets),
            "new_gradients": len(captured.new_grads),
            "given_bytes": size["given"],
            "held_bytes": size["held"],
            "gradient_bytes": size["grad"],
        },
        "short_way": entry.fast is not None,
        "guards": _guards(entry),
        "graph": _graph(traced),
        "passes": _passes(traced),
        "between": _between(entry),
        "parts": parts,
    }


def _parts(entry: Entry) -> list[tuple[str, Program]]:
    if entry.halves is None:
        return [("program", entry.program)]
    return [("forward", entry.program), ("backward", entry.backward)]


def _between(entry: Entry) -> dict[str, Any] | None:
    """Give what a forward part hands to its backward part, what that reads again, and what is computed twice."""
    halves = entry.halves
    if halves is None:
        return None
    return {
        "handed": [{"value": _value(n), "bytes": n.type.nbytes} for n in halves.saved],
        "read_again": [{"value": _value(n), "bytes": n.type.nbytes} for n in halves.kept],
        "computed_again": [
            {"value": _value(n), "bytes": n.type.nbytes, "line": "" if n.place is None else describe(n.place)}
            for n in halves.again
        ],
    }


def _value(n: Node) -> str:
    return f"{n.op.name if n.op is not None else 'input'} {n.type}"


def _guards(entry: Entry) -> dict[str, Any]:
    guards = entry.guards
    by_kind = Counter(WHAT.get(kind, kind) for kind, *_ in guards.entries)
    by_kind["contents of small NumPy arrays"] = len(guards.arrays)
    by_kind["states of random generators outside"] = len(guards.generators)
    by_kind["types of the tensors it holds"] = sum(kind == "held" for kind, _ in entry.sources)
    by_kind["whether a gradient is there"] = len(entry.grads_were)
    listed = [
        {"what": WHAT.get(kind, kind), "name": name, "value": _short(value)}
        for kind, _, _, value, name in guards.entries
    ]
    listed += [{"what": "contents of small NumPy arrays", "name": name, "value": ""} for _, _, name in guards.arrays]
    return {"count": sum(by_kind.values()), "by_kind": {k: n for k, n in by_kind.items() if n}, "list": listed}


def _short(value: Any) -> str:
    if isinstance(value, (bool, int, float, complex, str, bytes, type(None), tuple, frozenset)):
        text = repr(value)
        return text if len(text) <= 60 else text[:57] + "..."
    return f"this {type(value).__name__}"


def ops_of(graph: Graph) -> Counter[str]:
    """Count a graph's nodes by their ops."""
    return Counter(n.op.name for n in graph.nodes if n.op is not None)


def _graph(graph: Graph) -> dict[str, Any]:
    ops = ops_of(graph)
    places: dict[str, None] = {}
    for node in graph.nodes:
        if node.op is not None and node.place is not None:
            places.setdefault(describe(node.place))
    return {
        "inputs": len(graph.inputs),
        "outputs": len(graph.outputs),
        "nodes": sum(ops.values()),
        "ops": dict(ops.most_common()),
        "lines": list(places),
        "text": str(graph),
    }


def _passes(graph: Graph) -> list[dict[str, Any]]:
    """Run the pipeline again, and note what each pass did."""
    out = []
    for step in PIPELINE:
        before = ops_of(graph)
        graph = step(graph)
        after = ops_of(graph)
        out.append(
            {
                "name": step.__name__,
                "does": (step.__doc__ or "").partition("\n")[0],
                "before": sum(before.values()),
                "after": sum(after.values()),
                "removed": dict((before - after).most_common()),
                "added": dict((after - before).most_common()),
            }
        )
    return out


def _part(name: str, program: Program, found: Any, ir: bool, assembly: bool) -> dict[str, Any]:
    kernels = describe_steps(program, None if found is None else found.seconds)
    texts = {}
    if ir:
        texts["ir"] = _functions(program.module.text(), r"^define [^@\n]*@{}\(.*?^\}}", [k["symbol"] for k in kernels])
    if assembly:
        text = jit.assembly(program.module.text())
        texts["assembly"] = _functions(
            text, r"^_?{}:.*?(?=^\.?L?func_end|^\.Lfunc_end|^\s*\.size)", [k["symbol"] for k in kernels]
        )
    for kernel in kernels:
        for kind, of in texts.items():
            if kernel["symbol"]:
                kernel[kind] = of.get(kernel["symbol"], "")
    return {
        "name": name,
        "steps": len(program.steps),
        "together": [
            {"symbol": program.steps[g.first].name, "steps": g.count, "chunks": g.chunks} for g in program.groups
        ],
        "numpy_calls": sum(s.call is not None for s in program.steps),
        "late_copies": len(program.late),
        "seconds": None if found is None else found.whole,
        "rounds": 0 if found is None else found.rounds,
        "flops": sum(k["flops"] * k["runs"] for k in kernels),
        "kernels": kernels,
        "memory": plan_of(program),
        "compile": {
            "python_seconds": program.python_seconds,
            "llvm_seconds": program.llvm_seconds,
            "code_from": program.code_from,
            "code_characters": len(program.text),
        },
    }


def _functions(text: str, pattern: str, symbols: list[str]) -> dict[str, str]:
    """Cut the functions of these names out of a module's text."""
    out = {}
    for symbol in dict.fromkeys(s for s in symbols if s):
        found = re.search(pattern.format(re.escape(symbol)), text, re.MULTILINE | re.DOTALL)
        out[symbol] = found.group(0).rstrip() if found else ""
    return out


def plan_of(program: Program) -> dict[str, Any]:
    """Give the plan: what lies in the arena, from which step to which, and what lies outside."""
    first: dict[Node, int] = {}
    last: dict[Node, int] = {}
    for i, s in enumerate(program.steps):
        for n in s.writes:
            first.setdefault(n, i)
        for n in (*s.writes, *s.reads):
            last[n] = i
    blocks: list[dict[str, Any]] = [
        {
            "value": _value(n),
            "bytes": n.type.nbytes,
            "offset": offset,
            "first": first[n],
            "last": last[n],
        }
        for n, offset in program.offset.items()
    ]
    live = [sum(b["bytes"] for b in blocks if b["first"] <= i <= b["last"]) for i in range(len(program.steps))]
    written = {k for k in program.targets if isinstance(k, int)}
    return {
        "arena_bytes": program.arena_bytes,
        "peak_bytes": max(live, default=0),
        "sum_bytes": sum(b["bytes"] for b in blocks),
        "input_bytes": sum(n.type.nbytes for n in program.graph.inputs),
        "written_bytes": sum(program.graph.inputs[k].type.nbytes for k in written),
        "output_bytes": sum(
            n.type.nbytes for n, t in zip(program.graph.outputs, program.targets, strict=True) if t is None
        ),
        "table_bytes": program.table.nbytes + program.records.nbytes,
        "constant_bytes": sum(math.prod(v.shape) * v.itemsize for v in program.fixed.values()),
        "live_bytes": live,
        "blocks": sorted(blocks, key=lambda b: (-b["bytes"], b["first"])),
    }
