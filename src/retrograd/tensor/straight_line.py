"""The two functions of a composed function, forward and backward, written from its graph as straight-line Python over NumPy."""

from __future__ import annotations

from operator import iadd
from typing import Any

import numpy as np

from ..core import Node, reachable


def write(program: Any) -> tuple[Any, Any]:
    """Write the forward and the backward function of a program as straight-line Python."""
    writer = Writer(program)
    place = dict(zip(program.given, program.tensors, strict=True))
    program.sources = [place.get(n) for n in program.saved]
    program.reads_out = program.out in program.saved
    results = [program.out, *program.asides, *program.saved]
    early = [n for n in reachable(results) if n.op is not None]
    forward = writer.function("forward", program.given, early, results, set(results))
    if program.upstream is None:
        return forward, None
    grads = [g for g in program.grads if g is not None]
    stop = {*program.saved, program.upstream}
    late = [n for n in _until(grads, stop) if n.op is not None and n not in stop]
    backward = writer.function("backward", [program.upstream, *program.saved], late, program.grads, set(grads))
    fresh = dict(zip(program.wanted, writer.fresh, strict=True))
    program.op.fresh = tuple(fresh.get(i, False) for i in range(max(program.tensors, default=-1) + 1))
    return forward, backward


def _until(roots: list[Node], stop: set[Any]) -> list[Node]:
    seen: set[Node] = set()
    todo = list(roots)
    while todo:
        n = todo.pop()
        if n in seen:
            continue
        seen.add(n)
        if n not in stop:
            todo.extend(n.inputs)
    return sorted(seen, key=lambda n: n.seq)


class Writer:
    """Turns lists of nodes into Python source."""

    def __init__(self, program: Any) -> None:
        self.program = program
        self.scope: dict[str, Any] = {
            "asarray": np.asarray,
            "dot": np.dot,
            "add_up": np.add.reduce,
            "maximum": np.maximum.reduce,
            "add_to": iadd,
            "nan": float("nan"),
            "inf": float("inf"),
        }
        self.names: dict[Node, str] = {}

    def name(self, n: Node) -> str:
        """Give the variable that holds a node's value."""
        constants = self.program.constants
        if n in constants:
            value = constants[n]
            if isinstance(value, np.ndarray):
                key = f"c{n.seq}"
                self.scope[key] = value
                return key
            return repr(value) if isinstance(value, (int, bool)) or np.isfinite(value) else f"float('{value}')"
        return f"v{n.seq}"

    def function(self, name: str, parameters: list[Any], body: list[Node], results: list[Any], kept: set[Node]) -> Any:
        """Write a function that computes ``body`` from ``parameters`` and returns ``results``."""
        skip = self._broadcasts_by_itself(body, kept)
        last: dict[Node, int] = {}
        for k, n in enumerate(body):
            for i in n.inputs:
                last[skip.get(i, i)] = k
        fresh: set[Node] = set()
        lines = [f"def {name}({', '.join(self.name(p) for p in parameters)}):"]
        for k, n in enumerate(body):
            if n in skip:
                continue
            inputs = [skip.get(i, i) for i in n.inputs]
            args = [self.name(i) for i in inputs]
            op: Any = n.op
            text = op.inline([i.type for i in n.inputs], n.attrs) if op.inline is not None else None
            if text is not None:
                lines.append(f"    {self.name(n)} = {text.format(*args)}")
                if not op.view and n.shape != ():
                    fresh.add(n)
                continue
            fn = f"f{n.seq}"
            self.scope[fn] = op.numpy
            for key, value in n.attrs.items():
                constant = f"a{n.seq}_{key}"
                self.scope[constant] = value
                args.append(f"{key}={constant}")
            if isinstance(op.numpy, np.ufunc):
                for i in inputs:
                    if i in fresh and last[i] == k and i not in kept and i.shape == n.shape and i.dtype == n.dtype:
                        args.append(f"out={self.name(i)}")
                        break
            lines.append(f"    {self.name(n)} = {fn}({', '.join(args)})")
            if not op.view and n.shape != ():
                fresh.add(n)
        shown = [
            "None" if r is None else f"asarray({self.name(r)})" if r in body and r.shape == () else self.name(r)
            for r in results
        ]
        self.fresh = tuple(r in fresh and results.count(r) == 1 for r in results)
        lines.append(f"    return ({', '.join(shown)},)")
        exec(compile("\n".join(lines), f"<retrograd composed {self.program.name}>", "exec"), self.scope)
        return self.scope[name]

    def _broadcasts_by_itself(self, body: list[Node], kept: set[Node]) -> dict[Node, Node]:
        """Leave out expansions (and reshapes of single elements) that NumPy's own broadcasting does where they are used."""
        users: dict[Node, list[Node]] = {}
        for n in body:
            for i in n.inputs:
                users.setdefault(i, []).append(n)
        skip: dict[Node, Node] = {}
        for n in body:
            op: Any = n.op
            expands = op.name == "expand"
            single = op.name == "view" and all(d == 1 for d in n.shape)
            if n in kept or not (expands or single):
                continue
            source = skip.get(n.inputs[0], n.inputs[0])
            if all(self._fills(u, n, source, skip) for u in users.get(n, [])):
                skip[n] = source
        return skip

    @staticmethod
    def _fills(user: Node, n: Node, source: Node, skip: dict[Node, Node]) -> bool:
        """Tell whether a user's result has its shape with ``source`` in this operand's place."""
        op: Any = user.op
        if len(source.shape) > len(user.shape):
            return False
        if op.name == "expand":
            return True
        if op.family != "elementwise" and op.name not in ("where",):
            return False
        others = [skip.get(i, i) for i in user.inputs if i is not n]
        return any(o.shape == user.shape for o in others)
