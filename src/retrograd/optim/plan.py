"""Turns an update rule, recorded once, into straight-line in-place array code and one function of the numbers in it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .rules import Recording, Symbol, signs

NUMBERS = {
    "add": "{} + {}",
    "subtract": "{} - {}",
    "multiply": "{} * {}",
    "divide": "{} / {}",
    "power": "{} ** {}",
    "negative": "-{}",
    "positive": "{}",
    "sqrt": "sqrt({})",
    "absolute": "abs({})",
    "sign": "copysign(1.0, {0}) if {0} else 0.0",
    "maximum": "max({}, {})",
    "minimum": "min({}, {})",
    "greater": "{} > {}",
    "less": "{} < {}",
    "where": "{1} if {0} else {2}",
}
ALWAYS = math.inf


class Plan:
    """The code of one rule for one choice of flags.

    ``body(g, p, *states, *temporaries, *coefficients)`` writes the new parameter and states in place; the arrays may be
    whole parameters or equal slices of them. ``gathered(gs, ps, pieces, g, p, *states, *temporaries, *coefficients)``
    does it for many parameters at once, in flat arrays. ``numbers(*hyper, *scalars)`` gives the coefficients and the
    new scalar states.
    """

    def __init__(
        self, p: Symbol, g: Symbol, states: dict[str, Symbol], inputs: list[str], result: Any, after: dict[str, Any]
    ) -> None:
        self.recording = p.recording
        self.p, self.g, self.inputs = p, g, inputs
        self.scalars = [name for name, symbol in states.items() if not symbol.array]
        self.outputs: dict[str, Any] = {}
        self.outputs["p"] = self._own(result, p)
        self.scalar_outputs = [after.get(name, states[name]) for name in self.scalars]
        for name, value in after.items():
            if name not in self.scalars and value is not states.get(name):
                self.outputs[name] = self._own(value, None)
        live = self._live()
        used = {s.name for s in states.values() if s.array and s in live}
        self.created = [name for name in self.outputs if name != "p" and name not in states]
        self.states = [name for name in dict.fromkeys((*states, *self.created)) if name in used or name in self.outputs]
        self.instructions = [s for s in self.recording.symbols if s.array and s in live]
        self.coefficients: list[Any] = []
        self.temporaries: list[str] = []
        self.kernels: dict[Any, Any] = {}  # by dtype: the compiled body, None, or how many elements it has gone over
        self.root = self._root()
        self.gathers_p = self.outputs["p"] is p or any(p in s.inputs for s in self.instructions if s is not self.root)
        lines, epilogue = self._allocate()
        self.source = self._write(lines, epilogue)
        namespace: dict[str, Any] = {"sqrt": math.sqrt, "copysign": math.copysign, "inf": math.inf, "nan": math.nan}
        namespace |= {name: getattr(np, name) for name in (*NUMBERS, "copyto", "concatenate") if name != "where"}
        namespace |= {"sqrt_number": math.sqrt, "sign": signs}
        exec(compile(self.source, f"<update rule: {', '.join(self.states)}>", "exec"), namespace)
        self.body, self.gathered, self.numbers = namespace["body"], namespace["gathered"], namespace["numbers"]

    def _own(self, value: Any, unchanged: Symbol | None) -> Any:
        """Make sure that an output is the result of an operation on arrays, and no other output."""
        made = isinstance(value, Symbol) and value.array and value.op != "input"
        if value is unchanged or (made and all(value is not other for other in self.outputs.values())):
            return value
        copied = Symbol(self.recording, "positive", (value,), True)
        self.recording.symbols.append(copied)
        return copied

    def _live(self) -> set[Symbol]:
        """Find everything that the outputs depend on."""
        waiting = [s for s in (*self.outputs.values(), *self.scalar_outputs) if isinstance(s, Symbol)]
        live: set[Symbol] = set()
        while waiting:
            symbol = waiting.pop()
            if symbol not in live:
                live.add(symbol)
                waiting.extend(x for x in symbol.inputs if isinstance(x, Symbol))
        return live

    def _root(self) -> Symbol | None:
        """The last operation on the parameter, where it is an addition or subtraction that nothing else reads."""
        last = self.outputs["p"]
        if (
            last.op not in ("add", "subtract")
            or last.inputs[0] is not self.p
            or not getattr(last.inputs[1], "array", False)
        ):
            return None
        return None if last.inputs[1] is self.p or any(last in s.inputs for s in self.recording.symbols) else last

    # -- memory ------------------------------------------------------------------------------------------------------
    def _allocate(self) -> tuple[list[tuple[Symbol, str]], list[tuple[str, str]]]:
        """Choose where each instruction writes: the state it renews, an operand that dies there, or a temporary."""
        last_use: dict[Symbol, float] = {}
        for i, symbol in enumerate(self.instructions):
            last_use.update((x, i) for x in symbol.inputs if isinstance(x, Symbol) and x.array)
        wanted = {symbol: ("p" if name == "p" else f"s_{name}") for name, symbol in self.outputs.items()}
        self.place: dict[Symbol, str] = {self.p: "p", self.g: "g"}
        for x in last_use:
            if x.op == "input" and x not in self.place:
                self.place[x] = f"s_{x.name}"
        holder = {place: x for x, place in self.place.items()}
        free: list[str] = []
        lines: list[tuple[Symbol, str]] = []
        epilogue: list[tuple[str, str]] = []
        for i, symbol in enumerate(self.instructions):
            dying = {self.place[x] for x in symbol.inputs if isinstance(x, Symbol) and x.array and last_use[x] <= i}
            forbidden = self._forbidden(symbol)
            place = wanted.get(symbol, "")
            if place and (place in forbidden or (place in holder and last_use.get(holder[place], -1) > i)):
                place = ""
            scratch = sorted(d for d in dying if d.startswith("t"))
            if not place:
                kind = "b" if symbol.boolean else "f"
                fit = [t for t in (*scratch, *free) if self.temporaries[int(t[1:])] == kind and t not in forbidden]
                if fit:
                    place = fit[0]
                else:
                    place = f"t{len(self.temporaries)}"
                    self.temporaries.append(kind)
                if symbol in wanted:
                    epilogue.append((wanted[symbol], place))
                    last_use[symbol] = ALWAYS
            free = [t for t in dict.fromkeys((*free, *scratch)) if t != place]
            self.place[symbol] = place
            holder[place] = symbol
            lines.append((symbol, place))
        return lines, epilogue

    def _forbidden(self, symbol: Symbol) -> set[str]:
        """Give the places that an instruction must not write to because it still reads them afterwards."""
        if symbol.op != "where" or not getattr(symbol.inputs[0], "array", False):
            return set()
        return {self.place[x] for x in symbol.inputs[:2] if isinstance(x, Symbol) and x.array}

    # -- text --------------------------------------------------------------------------------------------------------
    def _operand(self, x: Any, flag: bool = False) -> str:
        if isinstance(x, Symbol) and x.array:
            return self.place[x]
        key = (x, flag)
        for k, known in enumerate(self.coefficients):
            if known == key:
                return f"c{k}"
        self.coefficients.append(key)
        return f"c{len(self.coefficients) - 1}"

    def _statement(self, symbol: Symbol, place: str) -> list[str]:
        if symbol.op == "where":
            condition, x, y = symbol.inputs
            if isinstance(condition, Symbol) and condition.array:
                first = [] if self._operand(y) == place else [f"copyto({place}, {self._operand(y)})"]
                return [*first, f"copyto({place}, {self._operand(x)}, where={self._operand(condition)})"]
            return [f"copyto({place}, {self._operand(x)} if {self._operand(condition, True)} else {self._operand(y)})"]
        out = (
            f"out={place}" if symbol.op in ("maximum", "minimum") else place
        )  # NumPy deprecates the positional way for these two
        return [f"{symbol.op}({', '.join([*map(self._operand, symbol.inputs), out])})"]

    def _write(self, lines: list[tuple[Symbol, str]], epilogue: list[tuple[str, str]]) -> str:
        body = [text for symbol, place in lines for text in self._statement(symbol, place)]
        copies = [f"copyto({to}, {source})" for to, source in epilogue]
        arrays = ["g", "p", *(f"s_{name}" for name in self.states), *(f"t{k}" for k in range(len(self.temporaries)))]
        gathered = ["concatenate(gs, None, g)"] + ["concatenate(ps, None, p)"] * self.gathers_p
        if self.root is None:
            self.scattered = "p"
            gathered += [*body, *copies, "for a, b in zip(ps, pieces):", "    copyto(a, b)"]
        else:
            self.scattered = self.place[self.root.inputs[1]]
            loop = ["for a, b in zip(ps, pieces):", f"    {self.root.op}(a, b, a)"]
            for symbol, place in lines:
                gathered += loop if symbol is self.root else self._statement(symbol, place)
            gathered += copies
        coefficients = [f"c{k}" for k in range(len(self.coefficients))]
        return "\n".join(
            [
                _function("body", [*arrays, *coefficients], [*body, *copies]),
                _function("gathered", ["gs", "ps", "pieces", *arrays, *coefficients], gathered),
                self._write_numbers(),
            ]
        )

    def _write_numbers(self) -> str:
        names: dict[Symbol, str] = {}

        def text(x: Any) -> str:
            if isinstance(x, Symbol):
                return x.name if x.op == "input" else names[x]
            return repr(x) if x >= 0 else f"({x!r})"

        lines = []
        live = self._live()
        for k, symbol in enumerate(s for s in self.recording.symbols if not s.array and s in live):
            names[symbol] = f"n{k}"
            formula = NUMBERS[symbol.op].replace("sqrt", "sqrt_number").format(*map(text, symbol.inputs))
            lines.append(f"n{k} = {formula}")
        given = "".join(f"{text(x)}, " for x, _ in self.coefficients)
        after = "".join(f"{text(x)}, " for x in self.scalar_outputs)
        return _function(
            "numbers", [*self.inputs, *(f"s_{name}" for name in self.scalars)], [*lines, f"return ({given}), ({after})"]
        )


def _function(name: str, parameters: list[str], lines: list[str]) -> str:
    return f"def {name}({', '.join(parameters)}):\n" + "".join(f"    {line}\n" for line in lines or ["pass"])


class Hyper:
    """A group's hyper-parameters by name, as a rule reads them."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the parameter group has no hyper-parameter {name!r}")


def is_number(value: Any) -> bool:
    """Tell whether a hyper-parameter is a number that may change, rather than a flag."""
    return not isinstance(value, (bool, str, type(None))) and hasattr(value, "__float__")


def record(optimizer: Any, values: dict[str, Any], arrays: tuple[str, ...], scalars: tuple[str, ...]) -> Plan:
    """Run an optimizer's rule on symbols and make the plan of it.

    ``values`` are the hyper-parameters; only flags and whether a number is zero enter the plan.
    """
    recording = Recording()
    inputs: list[str] = []

    def stand_in(name: str, value: Any) -> Any:
        if isinstance(value, (tuple, list)):
            return tuple(stand_in(f"{name}_{i}", v) for i, v in enumerate(value))
        if not is_number(value):
            return value
        inputs.append(f"h_{name}")
        return recording.input(f"h_{name}", False, bool(float(value) != 0))

    hyper = Hyper({name: stand_in(name, value) for name, value in values.items()})
    p, g = recording.input("p", True), recording.input("g", True)
    states = {name: recording.input(name, True) for name in arrays} | {
        name: recording.input(f"s_{name}", False) for name in scalars
    }
    result, after = optimizer.update(p, g, dict(states), hyper)
    return Plan(p, g, states, inputs, result, after)


def flatten(values: dict[str, Any]) -> tuple[list[float], tuple[Any, ...]]:
    """Split hyper-parameters into the numbers, in the order `record` names them, and the key of the plan they need."""
    numbers: list[float] = []
    key: list[Any] = []
    for value in values.values():
        for v in value if isinstance(value, (tuple, list)) else (value,):
            if is_number(v):
                numbers.append(float(v))
                key.append(numbers[-1] != 0)
            else:
                key.append((type(v), v))
    return numbers, tuple(key)
