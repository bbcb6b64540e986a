"""Op: everything the library knows about one operation, and the rules that give its derivatives."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import small
from .large import LARGE, attach, large_rule
from .node import BaseTensor
from .types import TensorType

REGISTRY: dict[str, Op] = {}
INPUTS = ("x", "y", "z", "w")


class Rule:
    """A derivative rule whose parameter names say what it reads.

    ``g``/``t``: the cotangent or tangent; ``out``: the result; an input's name: its value; ``x_type``, ``out_type``: types;
    ``types``: all input types; ``i``: the number of the input the rule is asked for; anything else: an attribute.
    ``form`` says what is done with it: "call" (the function's result), "scale" (times g), or "number" (a constant times g).
    """

    __slots__ = ("_call", "call", "fn", "form", "op", "reads_out", "type_reads", "value_reads")

    def __init__(self, op: Op, fn: Any, form: str) -> None:
        self.op, self.fn, self.form = op, fn, form
        self.value_reads: tuple[str, ...] = ()
        self.type_reads: tuple[str, ...] = ()
        self.reads_out = False
        arguments: list[str] = []
        if callable(fn):
            for name, parameter in inspect.signature(fn).parameters.items():
                if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                    arguments.append("**node.attrs")
                    continue
                keyword = f"{name}=" if parameter.kind is inspect.Parameter.KEYWORD_ONLY else ""
                arguments.append(keyword + self._source(name, parameter))
        self._call = f"fn({', '.join(arguments)})"
        self.call: Callable[..., Any] = self._first_call

    def _source(self, name: str, parameter: inspect.Parameter) -> str:
        if name in ("g", "t"):
            return "g"
        if name == "out":
            self.reads_out = True
            return "out"
        if name == "i":
            return "i"
        if name == "node":
            return "node"
        if name == "types":
            self.type_reads = tuple(self.op.names) or ("*",)
            return "node.types"
        if name == "out_type":
            return "node.type"
        if name == "xs":
            self.value_reads = ("*",)
            return "xs"
        if name in self.op.names:
            self.value_reads += (name,)
            return f"xs[{self.op.names.index(name)}]"
        if name.endswith("_type") and name[:-5] in self.op.names:
            self.type_reads += (name[:-5],)
            return f"node.types[{self.op.names.index(name[:-5])}]"
        if parameter.default is not inspect.Parameter.empty:
            return f"node.attrs.get({name!r}, defaults[{name!r}])"
        return f"node.attrs[{name!r}]"

    def _first_call(self, g: Any, node: Any, xs: Any, out: Any, i: int) -> Any:
        body = {"call": self._call, "scale": f"g * {self._call}", "number": f"g * {self.fn!r}"}[self.form]
        if self.form == "number" and self.fn in (1, 1.0):
            body = "g"
        elif self.form == "number" and self.fn in (-1, -1.0):
            body = "-g"
        defaults = {}
        if callable(self.fn):
            defaults = {n: p.default for n, p in inspect.signature(self.fn).parameters.items()}
        scope: dict[str, Any] = {"fn": self.fn, "defaults": defaults}
        text = f"    return {body}\n"
        if self.op.broadcasts and self.form != "number":  # one pass over memory instead of one for each operation in it
            scope |= {"large": large_rule(self), "ndarray": np.ndarray, "LARGE": LARGE}
            text = (
                "    if g.__class__ is ndarray and g.size >= LARGE:\n        r = large(g, node, xs, out)\n"
                f"        if r is not None:\n            return r\n{text}"
            )
        exec(compile(f"def rule(g, node, xs, out, i):\n{text}", f"<retrograd rule of {self.op.name}>", "exec"), scope)
        self.call = scope["rule"]
        return self.call(g, node, xs, out, i)


class Plan:
    """What a node saves when the inputs in ``mask`` want gradients."""

    __slots__ = ("out", "types", "values")

    def __init__(self, op: Op, mask: int, forward: bool, count: int) -> None:
        rules = [op.rule_for(i) for i in range(count) if mask >> i & 1]
        if forward:
            rules += [op.tangent_for(i) for i in range(count) if mask >> i & 1]
        kept = [r for r in rules if r is not None]
        reads = {n for r in kept for n in r.value_reads}
        types = {n for r in kept for n in r.type_reads}
        everything = tuple(range(count))
        self.values = everything if "*" in reads else tuple(i for i, n in enumerate(op.names) if n in reads)
        self.types = everything if "*" in types else tuple(i for i, n in enumerate(op.names) if n in types)
        self.out = any(r.reads_out for r in kept)


class Op:
    """One operation: meaning, type rule, derivatives, lowering, cost, test domain and samples, in one record.

    Parameters
    ----------
    name
        Its name in the registry.
    numpy
        Its meaning: arrays (and Python scalars) by position, attributes by keyword; gives an array.
    type
        From the inputs' types and the attributes to the result's.
    vjp, jvp
        One rule per input (or one for all, for ops of any number of inputs); None where there is no slope. See ``Rule``.
    view
        The result shares the first input's memory.
    broadcasts
        Inputs broadcast against each other; the walks undo that.
    family
        Which constructor made it: elementwise, linear, bilinear, general, plain.
    batch
        Its rule on a whole batch: ``(op, inputs, which of them have the batch as dimension 0, size, attributes) -> result``.
    """

    batch: Any = None
    large: Any = None  # computes what ``numpy`` does, asked where an array is large: see core/large.py
    quick_door: Any = (
        None  # takes the operands, where they are small, and gives the resulting tensor or None: see core/small.py
    )
    operands: Any = None  # the inputs' numbers in the order that torch's function has them, where that is another
    layout: Any = None  # (result, *arrays) -> the result as torch lays it out; asked where an operand is no plain rows

    def __init__(
        self,
        name: str,
        numpy: Callable[..., Any],
        *,
        type: Callable[..., TensorType],
        names: Sequence[str] = ("x",),
        vjp: Any = None,
        jvp: Any = None,
        vjp_form: str = "call",
        jvp_form: str = "call",
        view: bool = False,
        broadcasts: bool = False,
        family: str = "plain",
        outputs: int = 1,
        impure: bool = False,
        lower: Any = None,
        cost: Any = None,
        domain: Any = None,
        samples: Any = (),
        shown: Any = "",
        batch: Any = None,
    ) -> None:
        if name in REGISTRY:
            raise ValueError(f"an op named {name!r} is already registered")
        self.name, self.numpy, self.type, self.names = name, numpy, type, tuple(names)
        self.view, self.broadcasts, self.family, self.outputs, self.impure = view, broadcasts, family, outputs, impure
        self.lower, self.cost, self.domain, self.samples, self.shown = lower, cost, domain, samples, shown
        self.batch = batch
        self.conjugates = family in ("elementwise", "linear", "bilinear")
        self.vjp = self._rules(vjp, vjp_form)
        self.jvp = self._rules(jvp, jvp_form)
        self.leaves_kind = True  # the result may be of integers or bools although the inputs are not
        self.plans: dict[int, Plan] = {}
        # the plans of ops with named inputs by mask alone; None where one is still to be made
        self.quick: list[Plan | None] = [None] * (1 << len(self.names)) if len(self.names) <= 3 else []
        self.add_into: Any = (
            None  # (buffer, g, arrays, attrs): add the first input's gradient into an array of its shape
        )
        self.inline: Any = (
            None  # (types, attrs) -> a NumPy expression of {0}, {1}, ..., or None: the same meaning with fewer calls
        )
        self.fresh: Any = None  # for each gradient that ``reverse`` gives, whether the array is the walk's to keep
        self.reverse: Any = None  # replaces the rules: (node, g, wanted, as_tensors) -> list of gradients
        self.forward: Any = None  # replaces the tangent rules: (node, tangents, values, out) -> tangent
        REGISTRY[name] = self
        attach(self)
        small.attach(self)

    def _rules(self, given: Any, form: str) -> Any:
        if given is None:
            return None
        if callable(given):
            return Rule(self, given, form)
        return [None if r is None else Rule(self, r, form if callable(r) else "number") for r in given]

    def rule_for(self, i: int) -> Rule | None:
        """Give the reverse rule for input ``i``."""
        rules = self.vjp
        found: Rule | None = rules[i] if isinstance(rules, list) else rules
        return found

    def tangent_for(self, i: int) -> Rule | None:
        """Give the forward rule for input ``i``."""
        rules = self.jvp
        found: Rule | None = rules[i] if isinstance(rules, list) else rules
        return found

    def plan(self, mask: int, forward: bool, count: int) -> Plan:
        """Say what is saved when the inputs in ``mask`` want gradients."""
        key = (mask << 1 | forward) << 24 | count
        found = self.plans.get(key)
        if found is None:
            found = self.plans[key] = Plan(self, mask, forward, count)
            if self.quick and not forward and count == len(self.names):
                self.quick[mask] = found
        return found

    def __call__(self, *xs: Any, **attrs: Any) -> Any:
        if not xs or xs[0].__class__ is not np.ndarray:
            for x in xs:
                if isinstance(x, BaseTensor):
                    return door(self, *xs, **attrs)
        run = self.numpy
        if self.large is not None:
            for x in xs:
                if x.__class__ is np.ndarray and x.size >= LARGE:
                    run = self.large
                    break
        r = run(*xs, **attrs)
        return r if isinstance(r, (np.ndarray, tuple)) else np.asarray(r)

    def __repr__(self) -> str:
        return f"Op({self.name})"


door: Any = None  # core.door.apply, set there
