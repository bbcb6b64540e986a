"""Which variables statements read and assign, in the order in which they run."""

from __future__ import annotations

import ast
from typing import Any

SCOPES = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda, ast.FunctionDef, ast.AsyncFunctionDef)


def _names(node: Any, kind: Any, hidden: frozenset[str] = frozenset()) -> set[str]:
    """Give the names that are read (ast.Load) or assigned (ast.Store) in a node, but for those of inner scopes' own."""
    found: set[str] = set()
    waiting: list[tuple[Any, frozenset[str]]] = [(node, hidden)]
    while waiting:
        n, hidden = waiting.pop()
        if isinstance(n, ast.Name):
            if isinstance(n.ctx, kind) and n.id not in hidden:
                found.add(n.id)
            continue
        if isinstance(n, ast.NamedExpr) and kind is ast.Store:  # belongs to the function, even in a comprehension
            found.add(n.target.id)
        if isinstance(n, SCOPES):
            own = _own(n)
            if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)) and kind is ast.Store:
                found.add(n.name)
                continue
            hidden = hidden | own
            if kind is ast.Store:
                waiting.extend((v, hidden) for v in ast.walk(n) if isinstance(v, ast.NamedExpr))
                continue
        if isinstance(n, ast.ExceptHandler) and n.name and kind is ast.Store:
            found.add(n.name)
        if isinstance(n, (ast.Import, ast.ImportFrom)) and kind is ast.Store:
            found.update((a.asname or a.name).partition(".")[0] for a in n.names)
        if isinstance(n, ast.ClassDef) and kind is ast.Store:
            found.add(n.name)
            continue
        waiting.extend((c, hidden) for c in ast.iter_child_nodes(n))
    return found


def _own(n: Any) -> frozenset[str]:
    if isinstance(n, (ast.Lambda, ast.FunctionDef, ast.AsyncFunctionDef)):
        a = n.args
        own = {x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg) if x is not None}
        return frozenset(own)  # a nested function's own variables may also be ours: then they count as read
    return frozenset().union(*[_names(g.target, ast.Store) for g in n.generators])


def reads(nodes: Any) -> set[str]:
    """Give the names that nodes read."""
    found: set[str] = set()
    for n in nodes:
        found |= _names(n, ast.Load)
        found |= {a.target.id for a in ast.walk(n) if isinstance(a, ast.AugAssign) and isinstance(a.target, ast.Name)}
    return found


def stores(nodes: Any) -> set[str]:
    """Give the names that nodes assign."""
    return set().union(*[_names(n, ast.Store) for n in nodes])


class Flow:
    """Walks through statements and notes what of some variables is read before it is surely assigned.

    Parameters
    ----------
    local : set of str
        The variables that count.

    Attributes
    ----------
    needed : set of str
    """

    def __init__(self, local: set[str]) -> None:
        self.local = local
        self.needed: set[str] = set()

    def _read(self, nodes: Any, assigned: set[str]) -> None:
        self.needed |= (reads([n for n in nodes if n is not None]) & self.local) - assigned

    def through(self, body: list[Any], assigned: set[str]) -> set[str]:
        """Give what is surely assigned behind statements."""
        for s in body:
            assigned = self._one(s, assigned)
        return assigned

    def _one(self, s: Any, assigned: set[str]) -> set[str]:
        if isinstance(s, ast.If):
            self._read([s.test], assigned)
            assigned = assigned | _sure([s.test])
            return self.through(s.body, assigned) & self.through(s.orelse, assigned)
        if isinstance(s, ast.For):
            self._read([s.iter], assigned)
            self.through(s.body, assigned | stores([s.target]))
            self.through(s.orelse, assigned)
            return assigned
        if isinstance(s, ast.While):
            self._read([s.test], assigned)
            self.through(s.body, assigned | _sure([s.test]))
            self.through(s.orelse, assigned)
            return assigned
        if isinstance(s, ast.With):
            for item in s.items:
                self._read([item.context_expr], assigned)
                assigned = assigned | (stores([item.optional_vars]) if item.optional_vars is not None else set())
            return self.through(s.body, assigned)
        if isinstance(s, ast.Try):
            inner = self.through(s.body, assigned)
            self.through(s.orelse, inner)
            for h in s.handlers:
                self._read([h.type], assigned)
                self.through(h.body, assigned | ({h.name} if h.name else set()))
            return self.through(s.finalbody, assigned)
        if isinstance(s, ast.Assign):
            self._read([s.value], assigned)
            assigned = assigned | _sure([s.value])
            self._read(s.targets, assigned)
            return assigned | stores(s.targets)
        self._read([s], assigned)
        if isinstance(s, ast.AnnAssign) and s.value is None:
            return assigned
        return assigned | (
            stores([s]) if not isinstance(s, (ast.Expr, ast.Assert, ast.Raise, ast.Return)) else _sure([s])
        )


def _sure(nodes: Any) -> set[str]:
    """Give what an expression surely assigns: none of what stands behind ``and``, ``or`` or ``if`` is looked for."""
    return {n.target.id for n in nodes if isinstance(n, ast.NamedExpr)}


def always(body: list[Any], assigned: set[str]) -> set[str]:
    """Give what is surely assigned behind statements, with all that was before."""
    return Flow(set()).through(body, assigned)


__all__ = ["Flow", "always", "reads", "stores"]
