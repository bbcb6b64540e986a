"""A function that no graph can hold, in pieces: what stands between the statements that break it is compiled.

The statements in whose lines values were asked for, or something outside was changed, stay as they are. Each run of others becomes a
function of the variables that it reads, which gives those that are read later. All of it is the user's own text, with its line numbers.
"""

from __future__ import annotations
import __future__ as futures

import ast
import copy
import functools
import inspect
import operator
import textwrap
import types
from typing import Any

from ..nn import Module
from .ahead import Ahead
from .names import Flow, always, stores
from .watch import whose

MOST_REGIONS = 32
FUTURES = functools.reduce(operator.or_, [getattr(futures, n).compiler_flag for n in futures.all_feature_names])
FORBIDDEN = {"super", "locals", "vars", "exec", "eval", "dir", "globals", "__class__", "breakpoint"}
LEAVES = (ast.Return, ast.Yield, ast.YieldFrom, ast.Await, ast.Delete, ast.Global, ast.Nonlocal)
NESTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.AsyncFor, ast.AsyncWith)
NEVER = (
    *LEAVES,
    *NESTED,
    *([ast.Match] if hasattr(ast, "Match") else []),
    *([ast.TryStar] if hasattr(ast, "TryStar") else []),
)
LIGHT = {
    "len",
    "range",
    "isinstance",
    "getattr",
    "hasattr",
    "int",
    "float",
    "bool",
    "str",
    "list",
    "dict",
    "tuple",
    "zip",
    "print",
}
WORK = (ast.Call, ast.BinOp, ast.Subscript, ast.Attribute)


def target(fn: Any) -> tuple[Any, tuple[Any, ...]]:
    """Give the user's function that a call of ``fn`` runs, and the arguments that come before the call's; (None, ()) if there is none."""
    if isinstance(fn, functools.partial) and not fn.keywords:
        found, before = target(fn.func)
        return found, (*before, *fn.args)
    if isinstance(fn, types.MethodType):
        found, before = fn.__func__, (fn.__self__,)
    elif isinstance(fn, Module):
        plain = "forward" not in fn.__dict__ and type(fn).__call__ is Module.__call__
        found, before = (type(fn).forward if plain else None), (fn,)
    elif isinstance(fn, types.FunctionType):
        found, before = fn, ()
    else:
        found, before = inspect.getattr_static(type(fn), "__call__", None), (fn,)
    if not isinstance(found, types.FunctionType) or whose(found.__code__.co_filename, found.__module__ or "") != "user":
        return None, ()
    return found, before


def lines_with(tree: Any, name: str) -> set[int]:
    """Give the lines of the statements of a function in which a name stands."""
    found = set()
    for n in ast.walk(tree):
        if (isinstance(n, ast.Name) and n.id == name) or (isinstance(n, ast.Attribute) and n.attr == name):
            found.add(n.lineno)
    return found


def text_of(function: Any) -> Any:
    """Give a function's definition as a tree with the file's line numbers, if that is what was compiled; else None."""
    code = function.__code__
    try:
        lines, first = inspect.getsourcelines(code)
        tree: Any = ast.parse(textwrap.dedent("".join(lines))).body[0]
    except (OSError, SyntaxError, TypeError, IndexError, ValueError):
        return None
    if not isinstance(tree, ast.FunctionDef):
        return None
    ast.increment_lineno(tree, first - 1)
    tree.decorator_list = []
    return tree if _seal(_codes([tree], code)[0], tree.lineno) == _seal(code, tree.lineno) else None


def _seal(code: Any, head: int) -> Any:
    """Give what tells a function from one whose text was changed since, or that is of a class, which changes names.

    Up to line ``head``, where the ``def`` stands, there may be decorators, at the first of which the code begins.
    """
    constants = [repr(c) for c in code.co_consts if not isinstance(c, types.CodeType)]
    return code.co_names, code.co_varnames, constants, {n for _, _, n in code.co_lines() if n is not None and n > head}


def _codes(functions: list[Any], like: Any, more: tuple[str, ...] = ()) -> list[Any]:
    """Compile functions that stand where one with the free variables of ``like`` stood, and give their code."""
    free = [*like.co_freevars, *more]
    outer: Any = ast.parse("def outer(): pass").body[0]
    outer.args = ast.arguments([], [ast.arg(n) for n in free], None, [], [], None, [])
    outer.body = [*functions, ast.Pass()]
    module = ast.fix_missing_locations(ast.Module([outer], []))
    made = compile(module, like.co_filename, "exec", like.co_flags & FUTURES, dont_inherit=True)
    inner = next(c for c in made.co_consts if isinstance(c, types.CodeType))
    found = {c.co_name: c for c in inner.co_consts if isinstance(c, types.CodeType)}
    return [found[f.name] for f in functions]


def _function(code: Any, like: Any, cells: dict[str, Any]) -> Any:
    made = types.FunctionType(code, like.__globals__, like.__name__, None, tuple(cells[n] for n in code.co_freevars))
    made.__qualname__, made.__module__ = like.__qualname__, like.__module__
    return made


class Splitter:
    """Takes the regions out of a function's tree.

    Parameters
    ----------
    tree : ast.FunctionDef
    lines : set of int
        Of the statements that stay as they are.
    asked : set of int
        Those of them in which a value was asked for, and nothing else done.
    local : set of str
        The function's own variables.
    declared : dict
        Of other names that it assigns: the statement that says whose they are.
    """

    def __init__(self, tree: Any, lines: set[int], asked: set[int], local: set[str], declared: dict[str, Any]) -> None:
        self.lines, self.asked, self.local, self.declared = lines, asked, local, declared
        self.ahead = Ahead(local)
        self.regions: list[Any] = []
        self.tree = copy.deepcopy(tree)
        for n in ast.walk(self.tree):
            if isinstance(n, ast.Return) and n.value is not None:
                n.plain = not any(isinstance(m, WORK) for m in ast.walk(n.value))  # type: ignore[attr-defined]
        self.all = list(ast.walk(self.tree))
        self.shared = {
            k for n in self.all if isinstance(n, ast.Nonlocal) for k in n.names
        } & local  # nested functions write them
        bound = {a.arg for a in (*self.tree.args.posonlyargs, *self.tree.args.args, *self.tree.args.kwonlyargs)}
        bound |= {a.arg for a in (self.tree.args.vararg, self.tree.args.kwarg) if a is not None}
        self.tree.body, _ = self.split(self.tree.body, bound, False)

    def split(self, body: list[Any], bound: set[str], loops: bool) -> tuple[list[Any], set[str]]:
        """Give a list of statements with its regions taken out, and what is surely assigned behind it."""
        made: list[Any] = []
        run: list[Any] = []

        def close() -> None:
            nonlocal bound
            if run:
                found = self.region(run, bound, loops)
                if found is None:  # something smaller perhaps
                    within = bound
                    for s in run:
                        self.inside(s, within, loops)
                        within = always([s], within)
                made.extend(run if found is None else found)
                bound = always(run, bound)
                run.clear()

        for s in self._returns_apart(body):
            if self.fits(s):
                run.append(s)
                continue
            if run:
                s = self._without(s, run)
            close()
            self.inside(s, bound, loops)
            made.append(s)
            bound = always([s], bound)
        close()
        return made, bound

    def _without(self, s: Any, run: list[Any]) -> Any:
        """Let what a statement computes before it asks for a value be part of the region that ends before it."""
        last: Any = s.test.end_lineno if isinstance(s, ast.If) else s.end_lineno
        if not {k for k in self.lines if s.lineno <= k <= last} <= self.asked:
            return s
        made, left = self.ahead.of(s)
        if any(isinstance(n, ast.Name) and n.id in FORBIDDEN for a in made for n in ast.walk(a)):
            return s
        run += made
        self.all += [ast.Name(a.targets[0].id, ast.Load()) for a in made]
        return left

    def _returns_apart(self, body: list[Any]) -> list[Any]:
        """Let what a ``return`` computes be a statement of its own."""
        found: list[Any] = []
        for s in body:
            if isinstance(s, ast.Return) and not getattr(s, "plain", True) and not self.breaks(s):
                name, value = "_result_", s.value
                assert value is not None
                self.local.add(name)
                found.append(ast.copy_location(ast.Assign([ast.Name(name, ast.Store())], value), s))
                self.all.append(ast.Name(name, ast.Load()))
                s = ast.copy_location(ast.Return(ast.Name(name, ast.Load())), s)
            found.append(ast.fix_missing_locations(s))
        return found

    def breaks(self, s: Any) -> bool:
        """Tell whether a statement has a line that breaks the graph."""
        return any(s.lineno <= k <= s.end_lineno for k in self.lines)

    def fits(self, s: Any) -> bool:
        """Tell whether a statement may be part of a region."""
        if self.breaks(s):
            return False
        waiting = [(s, False)]
        while waiting:
            n, in_loop = waiting.pop()
            if isinstance(n, NEVER) or (isinstance(n, ast.Name) and n.id in FORBIDDEN):
                return False
            if isinstance(n, (ast.Break, ast.Continue)) and not in_loop:
                return False
            in_loop = in_loop or isinstance(n, (ast.For, ast.While))
            waiting += [(c, in_loop) for c in ast.iter_child_nodes(n)]
        return True

    def inside(self, s: Any, bound: set[str], loops: bool) -> None:
        """Take regions out of the parts of a statement that stays."""
        if isinstance(s, (ast.For, ast.While)):
            targets = stores([s.target]) if isinstance(s, ast.For) else set()
            s.body, _ = self.split(s.body, bound | targets, True)
            s.orelse, _ = self.split(s.orelse, bound, loops)
        elif isinstance(s, ast.If):
            s.body, _ = self.split(s.body, bound, loops)
            s.orelse, _ = self.split(s.orelse, bound, loops)
        elif isinstance(s, ast.With):
            targets = stores([i.optional_vars for i in s.items if i.optional_vars is not None])
            s.body, _ = self.split(s.body, bound | targets, loops)
        elif isinstance(s, ast.Try):
            s.body, _ = self.split(s.body, bound, loops)
            for h in s.handlers:
                h.body, _ = self.split(h.body, bound | ({h.name} if h.name else set()), loops)

    def region(self, run: list[Any], bound: set[str], loops: bool) -> list[Any] | None:
        """Give what stands for a region, or None where it has to stay as it is."""
        if not _is_worth(run) or len(self.regions) >= MOST_REGIONS:
            return None
        flow = Flow(self.local)
        assigned = flow.through(run, set())
        given = flow.needed
        own = {id(n) for s in run for n in ast.walk(s)}
        others = [n for n in self.all if id(n) not in own]
        later = {n.id for n in others if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        later |= {n.target.id for n in others if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name)}
        later |= given if loops else set()
        results = stores(run) & self.local & later
        given = given | (results - assigned)  # what only one way through it assigns
        if not given <= bound or (given | stores(run)) & self.shared:
            return None
        number = len(self.regions)
        names, gives, title = sorted(given), sorted(results), f"{self.tree.name}_{number}"
        head = [copy.deepcopy(self.declared[n]) for n in sorted(stores(run) & set(self.declared))]
        give = ast.Return(ast.Tuple([ast.Name(n, ast.Load()) for n in gives], ast.Load()))
        function = ast.parse(f"def {title}(): pass").body[0]
        function.args = ast.arguments([], [ast.arg(n) for n in names], None, [], [], None, [])  # type: ignore[attr-defined]
        function.body = [*head, *run, give]  # type: ignore[attr-defined]
        ast.copy_location(function, run[0])
        ast.copy_location(give, run[-1])
        self.regions.append((function, run[0].lineno, run[-1].end_lineno))
        call: Any = ast.Call(ast.Name(f"_{title}_", ast.Load()), [ast.Name(n, ast.Load()) for n in names], [])
        made: Any = ast.Expr(call)
        if gives:
            made = ast.Assign([ast.Tuple([ast.Name(n, ast.Store()) for n in gives], ast.Store())], call)
        return [ast.fix_missing_locations(ast.copy_location(made, run[0]))]


def _is_worth(run: list[Any]) -> bool:
    """Tell whether statements may be more than one operation on tensors."""
    nodes = [n for s in run for n in ast.walk(s)]
    calls = [n for n in nodes if isinstance(n, ast.Call) and not (isinstance(n.func, ast.Name) and n.func.id in LIGHT)]
    return bool(calls) or sum(isinstance(n, ast.BinOp) for n in nodes) > 1


class Pieces:
    """A function with compiled regions.

    Parameters
    ----------
    function : function
        The user's.
    before : tuple
        Arguments that come before those of a call.
    tree : ast.FunctionDef
        Its text.
    lines, asked : set of int
        Those of the statements that stay, and those of them in which a value was asked for and nothing else done.
    compiled : callable
        ``compiled(function, tree, name)`` gives a region's compiled form.

    Attributes
    ----------
    regions : list
        The compiled regions; empty where nothing could be taken out.
    """

    def __init__(
        self,
        function: Any,
        before: tuple[Any, ...],
        tree: Any,
        lines: set[int],
        compiled: Any,
        name: str,
        asked: Any = frozenset(),
    ) -> None:
        code = function.__code__
        declared = {
            n: type(s)([n]) for s in ast.walk(tree) if isinstance(s, (ast.Global, ast.Nonlocal)) for n in s.names
        }
        splitter = Splitter(tree, lines, asked, {*code.co_varnames, *code.co_cellvars} - set(declared), declared)
        self.before, self.regions = before, []
        self.plain: Any = None
        if not splitter.regions or code.co_flags & (
            inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
        ):
            return
        functions = [f for f, _, _ in splitter.regions]
        names = tuple(f"_{f.name}_" for f in functions)
        try:
            codes = _codes([splitter.tree, *functions], code, names)
        except SyntaxError:  # such as a nested function that declares a variable of this one nonlocal
            return
        cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        cells.update({n: types.CellType() for n in names})
        for made, n, (tree, first, last) in zip(codes[1:], names, splitter.regions, strict=True):
            where = f"{name}, line {first}" if first == last else f"{name}, lines {first} to {last}"
            region = compiled(_function(made, function, cells), tree, where)
            cells[n].cell_contents = region
            self.regions.append(region)
        self.plain = _function(codes[0], function, cells)
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.plain.__defaults__, self.plain.__kwdefaults__ = self.function.__defaults__, self.function.__kwdefaults__
        return self.plain(*self.before, *args, **kwargs)


__all__ = ["Pieces", "lines_with", "target", "text_of"]
