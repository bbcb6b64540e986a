"""What a statement computes before it asks for a value: ``if (y - x).norm() > 1`` computes a comparison, and only then asks.

Such an expression may be computed ahead of the statement, together with what stands before it, where everything that Python would have
looked at earlier is a name, a constant or something computed ahead itself.
"""

from __future__ import annotations

import ast
import builtins
from typing import Any

ASKING = {"item", "tolist"}  # methods that ask their object, and nothing else, for its value
CONVERTING = {"float", "int", "bool"}
PURE_CALLS = {"abs", "isinstance", "getattr", "hasattr", "len"}  # of builtins, besides those of tensors
DISPLAYS = (ast.Tuple, ast.List, ast.Set)
BUILTINS = frozenset(dir(builtins)) - PURE_CALLS
NOT_PLAIN: tuple[type[ast.AST], ...] = (
    ast.NamedExpr,
    ast.Await,
    ast.Yield,
    ast.YieldFrom,
    ast.Lambda,
    ast.BoolOp,
    ast.IfExp,
    ast.JoinedStr,
)
NOT_PLAIN += (ast.Starred, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
NOT_PLAIN += (ast.Not, ast.In, ast.NotIn, ast.Is, ast.IsNot)
WORK = (ast.Call, ast.BinOp)


class Ahead:
    """Takes out of statements what may be computed ahead of them.

    Parameters
    ----------
    local : set of str
        The function's variables; those made here are added.
    """

    def __init__(self, local: set[str]) -> None:
        self.local = local
        self.count = 0

    def of(self, s: Any) -> tuple[list[Any], Any]:
        """Give assignments that may stand before a statement, and the statement that is left; ([], s) where there are none."""
        self.found: list[Any] = []
        if isinstance(s, (ast.If, ast.Assert)):
            made: Any = type(s)(**{k: getattr(s, k) for k in s._fields})
            made.test = self._asked(s.test)
        elif isinstance(s, (ast.Expr, ast.Return)) and s.value is not None:
            made = type(s)(self._pure(s.value)[0])
        elif isinstance(s, (ast.Assign, ast.AnnAssign, ast.AugAssign)) and s.value is not None:
            if isinstance(s, ast.AugAssign) and not isinstance(s.target, ast.Name):
                return [], s
            made = type(s)(**{k: getattr(s, k) for k in s._fields})
            made.value = self._pure(s.value)[0]
        else:
            return [], s
        if not self.found:
            return [], s
        for value in [made, *self.found]:
            ast.fix_missing_locations(ast.copy_location(value, s))
        return self.found, made

    def _asked(self, test: Any) -> Any:
        """Take out what a condition asks first."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return ast.copy_location(ast.UnaryOp(test.op, self._asked(test.operand)), test)
        if isinstance(test, ast.BoolOp):
            return ast.copy_location(ast.BoolOp(test.op, [self._asked(test.values[0]), *test.values[1:]]), test)
        if _is_plain(test):
            return self._take(test)
        return self._pure(test)[0]

    def _pure(self, e: Any) -> tuple[Any, bool]:
        """Give an expression without what was taken out, and whether all of it may be passed over on the way to the next."""
        if isinstance(e, (ast.Name, ast.Constant)):
            return e, True
        if isinstance(e, ast.Attribute):
            value, is_pure = self._pure(e.value)
            return ast.copy_location(ast.Attribute(value, e.attr, e.ctx), e), is_pure
        if isinstance(e, ast.Call):
            return self._call(e)
        if isinstance(e, ast.BinOp):
            left, is_pure = self._pure(e.left)
            right = e.right
            if is_pure:
                right, is_pure = self._pure(e.right)
            return ast.copy_location(ast.BinOp(left, e.op, right), e), is_pure
        if isinstance(e, ast.UnaryOp) and not isinstance(e.op, ast.Not):
            value, is_pure = self._pure(e.operand)
            return ast.copy_location(ast.UnaryOp(e.op, value), e), is_pure
        if isinstance(e, ast.Compare):
            left, is_pure = self._pure(e.left)
            return ast.copy_location(ast.Compare(left, e.ops, e.comparators), e), False
        if isinstance(e, (*DISPLAYS, ast.JoinedStr)):
            name = "values" if isinstance(e, ast.JoinedStr) else "elts"
            parts, is_pure = self._in_turn(getattr(e, name))
            made = type(e)(**{k: getattr(e, k) for k in e._fields})
            setattr(made, name, parts)
            return ast.copy_location(made, e), is_pure
        if isinstance(e, ast.FormattedValue):
            value, is_pure = self._pure(e.value)
            return ast.copy_location(ast.FormattedValue(value, e.conversion, e.format_spec), e), is_pure
        if isinstance(e, ast.Dict) and all(isinstance(k, ast.Constant) for k in e.keys):
            parts, is_pure = self._in_turn(e.values)
            return ast.copy_location(ast.Dict(e.keys, parts), e), is_pure
        return e, False

    def _in_turn(self, parts: list[Any]) -> tuple[list[Any], bool]:
        made, is_pure = [], True
        for p in parts:
            if is_pure:
                p, is_pure = self._pure(p)
            made.append(p)
        return made, is_pure

    def _call(self, e: Any) -> tuple[Any, bool]:
        f = e.func
        if isinstance(f, ast.Attribute) and f.attr in ASKING and not e.args and not e.keywords:
            if _is_plain(f.value):
                return _call(e, ast.Attribute(self._take(f.value), f.attr, f.ctx), []), True
            value, is_pure = self._pure(f.value)
            return _call(e, ast.Attribute(value, f.attr, f.ctx), []), is_pure
        if isinstance(f, ast.Name) and f.id in CONVERTING and len(e.args) == 1 and not e.keywords:
            if _is_plain(e.args[0]):
                return _call(e, f, [self._take(e.args[0])]), True
            value, is_pure = self._pure(e.args[0])
            return _call(e, f, [value]), is_pure
        function, is_pure = self._pure(f)
        arguments = e.args
        if is_pure:
            arguments, _ = self._in_turn(e.args)
        return _call(e, function, arguments), False  # what it does comes before all else

    def _take(self, e: Any) -> Any:
        if not any(isinstance(n, WORK) for n in ast.walk(e)):
            return e
        name = f"_ahead_{self.count}_"
        self.count += 1
        self.local.add(name)
        self.found.append(ast.Assign([ast.Name(name, ast.Store())], e))
        return ast.copy_location(ast.Name(name, ast.Load()), e)


def _call(e: Any, function: Any, arguments: list[Any]) -> Any:
    return ast.copy_location(ast.Call(ast.copy_location(function, e.func), arguments, e.keywords), e)


def _is_plain(e: Any) -> bool:
    """Tell whether an expression, by its text, asks for no value and does nothing but compute."""
    for n in ast.walk(e):
        if isinstance(n, NOT_PLAIN) or (isinstance(n, ast.Compare) and len(n.ops) > 1):
            return False
        if isinstance(n, ast.Call):
            f = n.func
            if (isinstance(f, ast.Attribute) and f.attr in ASKING) or (isinstance(f, ast.Name) and f.id in BUILTINS):
                return False
    return True


__all__ = ["Ahead"]
