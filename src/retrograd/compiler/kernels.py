"""Each distinct kernel of a program in plain words: loops, statements, arithmetic, bytes, how often it runs and how long."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..core import Node
from ..core.place import line_of
from .codegen.loops import Analysis
from .codegen.scans import SCANS
from .codegen.small import is_small
from .contractions import conv as convolutions
from .contractions import native as contractions
from .draws.again import AGAIN
from .lowering.kernel import FULL, TAIL, Call, Fill, Joined, Loops, Operand, Statement
from .lowering.maps import Affine
from .program import Program
from .runtime import jit
from .step import Step
from .turning import Turn

# What moves or chooses numbers without computing with them; every other op counts as one operation an element.
FREE = {"cast", "clone", "where", "iota", "index_select", "index_add_zeros", "check_index", "drawn_with"}


def describe_steps(program: Program, seconds: Sequence[float] | None) -> list[dict[str, Any]]:
    """Give one dict for each distinct kernel and each call of NumPy, dearest first where they were measured."""
    sources: list[Any] = [*program.schedule.steps, *[None] * (len(program.steps) - len(program.schedule.steps))]
    kernels: dict[Any, dict[str, Any]] = {}
    for k, (step, source) in enumerate(zip(program.steps, sources, strict=True)):
        key = step.name or f"call {k}"
        known = kernels.get(key)
        if known is None:
            known = kernels[key] = {
                "symbol": step.name,
                "label": step.label,
                "runs": 0,
                "seconds_all": None if seconds is None else 0.0,
                "steps": [],
                "lines": [],
                **_kernel(program, step, source),
            }
        known["runs"] += 1
        known["steps"].append(k)
        known["lines"] = list(dict.fromkeys([*known["lines"], *_lines(source, step)]))
        if seconds is not None:
            known["seconds_all"] += seconds[k]
    whole = sum(k["seconds_all"] or 0.0 for k in kernels.values())
    for kernel in kernels.values():
        took = kernel["seconds_all"]
        kernel["seconds"] = None if took is None else took / kernel["runs"]
        kernel["share"] = None if took is None else took / whole if whole else 0.0
        rate = kernel["flops"] / kernel["seconds"] / 1e9 if kernel["seconds"] else None
        kernel["gflops"] = rate
        moved = kernel["bytes_read"] + kernel["bytes_written"]
        kernel["gbytes"] = moved / kernel["seconds"] / 1e9 if kernel["seconds"] else None
    return sorted(kernels.values(), key=lambda k: -(k["seconds_all"] or 0.0))


def _kernel(program: Program, step: Step, source: Any) -> dict[str, Any]:
    if isinstance(source, Loops):
        return _loops(program, step, source)
    if isinstance(source, Turn):
        read = source.product.k * source.product.n * source.node.dtype.itemsize
        return {**_plain("turned", step), "bytes_read": read, "bytes_written": source.node.type.nbytes}
    if isinstance(source, Joined):
        read = source.parts.type.nbytes
        return {**_plain("joined", step), "bytes_read": read, "bytes_written": source.node.type.nbytes}
    if isinstance(source, Fill):
        size = source.node.type.nbytes
        return {
            **_plain("fill", step),
            "domain": list(source.node.shape),
            "value": repr(source.value),
            "bytes_written": size,
        }
    if isinstance(source, Call) and source.node.op.name in SCANS and step.call is None:  # type: ignore[union-attr]
        size = source.node.type.nbytes
        kind = {"op": source.node.op.name, "domain": list(source.node.shape)}  # type: ignore[union-attr]
        return {**_plain("scan", step), **kind, "bytes_read": size, "bytes_written": size}
    if isinstance(source, Call) and step.call is None and (source.node.op.impure or source.node.op is AGAIN):  # type: ignore[union-attr]
        drawn = source.node.attrs.get("of", source.node)
        made = {"op": drawn.attrs["kind"], "bytes_written": source.node.type.nbytes}
        return {**_plain("draw", step), "domain": list(source.node.shape), **made}
    if isinstance(source, Call) and step.call is None:
        job = convolutions.of_call(source)
        return _product(program, step, source) if job is None else _convolution(step, source, job)
    if isinstance(source, Call):
        node = source.node
        read = sum(i.type.nbytes for i, o in zip(node.inputs, source.operands, strict=True) if o is not None)
        made = {"op": node.op.name, "bytes_read": read, "bytes_written": node.type.nbytes}  # type: ignore[union-attr]
        return {**_plain("numpy", step), "domain": list(node.shape), **made}
    size = step.reads[0].type.nbytes if step.reads else 0
    return {**_plain("copy", step), "bytes_read": size, "bytes_written": size}


def _plain(kind: str, step: Step) -> dict[str, Any]:
    return {"kind": kind, "chunks": step.chunks, "flops": 0, "bytes_read": 0, "bytes_written": 0}


def _lines(source: Any, step: Step) -> list[str]:
    """Give the lines of the user's that a step's nodes came from."""
    nodes: list[Node] = [s.node for s in source.statements] if isinstance(source, Loops) else list(step.writes)
    found = [line_of(node.place) for node in nodes]
    return [f"{name}:{line}" for name, line in filter(None, found)]


# -- loops ---------------------------------------------------------------------------------------------------------------
def _loops(program: Program, step: Step, nest: Loops) -> dict[str, Any]:
    plan = Analysis(nest, program.graph.constants, jit.host().lanes(4))
    names: dict[Node, str] = {}
    for node in nest.prelude:
        names[node] = f"s{len(names)}"
    statements, flops = [], 0
    read: dict[Any, int] = {}
    written: dict[Any, int] = {}
    for s in nest.statements:
        names[s.node] = f"v{len(names)}"
        statements.append(_statement(s, names, plan))
        flops += _flops(s, nest)
        for o in s.operands:
            if o.kind == "load":
                looked_up = s.node.op.name == "index_select" and o is s.operands[0]  # type: ignore[union-attr]
                read[o.node, o.address] = (
                    s.node.type.nbytes if looked_up else _touched(o.address, nest.domain) * o.node.dtype.itemsize
                )
        if s.store is not None:
            node, address = s.store
            size = min(_touched(address, nest.domain) * node.dtype.itemsize, node.type.nbytes)
            written[node, address] = size
            if s.level == TAIL:
                read[node, address] = size
    for node in nest.prelude:
        if node not in program.schedule.lazy:
            read[node, ()] = node.dtype.itemsize
    product = program.writer.product_of(nest.product) if nest.product is not None else None
    if product is not None:  # its elements are what the statements begin with
        for i in nest.product.node.inputs:
            read[i, ("product",)] = i.type.nbytes
        flops += 2 * product.work - math.prod(nest.domain)
    job = None
    if nest.product is not None and product is None:
        job = convolutions.of_call(nest.product, behind=True)
        assert job is not None
        for i in nest.product.node.inputs:
            read[i, ("convolution",)] = i.type.nbytes
        flops += 2 * job.work - math.prod(nest.domain)
    return {
        "kind": "loops",
        "convolution": None if job is None else f"{nest.product.node.op.name} of {job.label}",
        "product": None if product is None else [product.m, product.k, product.n],
        "goes_on": None if nest.product is None else "tile by tile" if nest.product.behind else "in registers",
        "domain": list(nest.domain),
        "rows": [n for n, _ in plan.rows],
        "columns": [n for n, _ in plan.cols],
        "sweeps": plan.sweeps,
        "vector_width": plan.width,
        "chunks": step.chunks,
        "kept_between_sweeps": len(plan.stashed),
        "statements": statements,
        "flops": flops,
        "bytes_read": sum(read.values()),
        "bytes_written": sum(written.values()),
    }


def _touched(address: Affine, domain: tuple[int, ...]) -> int:
    """Count the places that an address walks over."""
    return math.prod(n for n, k in zip(domain, address[1], strict=False) if k)


def _flops(s: Statement, nest: Loops) -> int:
    name = s.node.op.name  # type: ignore[union-attr]
    if name == "index_add_zeros":
        return nest.size
    if name in FREE:
        return 0
    if s.node.inputs and name in ("sum", "amax", "amin"):
        return int(math.prod(s.node.inputs[0].shape))
    return int(math.prod(s.node.shape))


def _statement(s: Statement, names: dict[Node, str], plan: Analysis) -> str:
    """Write a statement as ``v3: float32 = mul(v1, load w[10,40])``, with where it goes and how often it runs."""
    given = ", ".join(_operand(o, names) for o in s.operands)
    if not s.operands and s.node.inputs:
        given = ", ".join(str(i.type) for i in s.node.inputs)
    text = f"{names[s.node]}: {s.node.dtype} = {s.node.op.name}({given})"  # type: ignore[union-attr]
    if s.store is not None:
        node = s.store[0]
        text += f" -> {'added into' if s.level == TAIL else 'stored as'} {node.type}"
    level = "each element" if s.level == FULL else "each row" if s.level != TAIL else "summed over rows"
    sweep = f", sweep {plan.stage[s.node] + 1}" if plan.sweeps > 1 and s.level == FULL else ""
    return f"{text}  ({level}{sweep})"


def _operand(o: Operand, names: dict[Node, str]) -> str:
    if o.kind == "number":
        return repr(o.node)
    if o.kind == "load":
        return f"load {o.node.type}"
    return names.get(o.node, "?")


# -- products ------------------------------------------------------------------------------------------------------------
def _convolution(step: Step, call: Call, job: convolutions.Job) -> dict[str, Any]:
    node = call.node
    read = sum(i.type.nbytes for i in node.inputs)
    made = {"op": node.op.name, "sizes": job.label, "flops": 2 * job.work, "bytes_read": read}  # type: ignore[union-attr]
    return {**_plain("convolution", step), **made, "chunks": job.chunks, "bytes_written": node.type.nbytes}


def _product(program: Program, step: Step, call: Call) -> dict[str, Any]:
    node = call.node
    product = program.writer.product_of(call)
    assert product is not None
    x, y = node.inputs
    own = is_small(product, jit.host().lanes(node.dtype.itemsize))
    return {
        "kind": "product",
        "batch": list(product.batch),
        "m": product.m,
        "k": product.k,
        "n": product.n,
        "by": "own nest" if own else "library" if contractions.of_product(product) is None else "own kernel",
        "chunks": step.chunks,
        "flops": 2 * product.work,
        "bytes_read": x.type.nbytes + y.type.nbytes,
        "bytes_written": node.type.nbytes,
    }
