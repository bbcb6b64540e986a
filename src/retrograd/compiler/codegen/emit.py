"""Text of LLVM functions: modules, functions, blocks, loops with carried values, and branches that give values."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

PREFIX = "rg_"  # every symbol of ours, so that none can stand in the way of a C library's
LOOPED = "i64"  # the type of every loop's counter
UNLIKELY = '!{!"branch_weights", i32 1, i32 4000}'
PAST = "!nontemporal !1"  # behind a store of a whole aligned vector: past the caches

Value = str  # an operand without its type: "%t3", "7", "splat (float 0x3FF0000000000000)"
Count = str | int  # an i64: an operand or a number that is known now


def symbol(name: str) -> str:
    """Give the symbol of one of our own functions or constants: its name, prefixed once."""
    return name if name.startswith(PREFIX) else PREFIX + name


class Module:
    """A module's text while it is being written.

    Parameters
    ----------
    features : iterable of str
        What the machine has beyond the portable minimum ("avx512f"): code may then use those instructions by name. It is
        part of the text, so that text made for one machine is never taken for another's.
    """

    def __init__(self, features: Iterable[str] = ()) -> None:
        self.features = frozenset(features)
        self._declared: dict[str, str] = {}
        self._globals: dict[str, str] = {}
        self._constants: dict[str, str] = {}
        self._functions: dict[str, Function] = {}

    def function(
        self, name: str, params: Sequence[tuple[str, str]] = (), returns: str = "void", attributes: str = "nounwind"
    ) -> Function:
        """Open a function; ``params`` are pairs (type with attributes, name), as ("ptr noalias", "x")."""
        return Function(self, name, params, returns, attributes)

    def declare(self, name: str, returns: str, params: Sequence[str] = (), attributes: str = "") -> Value:
        """Declare a symbol from outside under its own name, once, and give it as an operand.

        Examples
        --------
        >>> from retrograd.compiler.codegen.emit import Module
        >>> Module().declare("llvm.fma.f32", "float", ["float"] * 3)
        '@llvm.fma.f32'
        """
        line = f"declare {returns} @{name}({', '.join(params)}) {attributes}".rstrip()
        known = self._declared.setdefault(name, line)
        if known != line:
            raise ValueError(f"@{name} is declared twice, as `{known}` and as `{line}`")
        return f"@{name}"

    def constant(self, type: str, text: str, align: int = 0) -> Value:
        """Keep a constant of that type, once for equal texts, and give its address."""
        key = f"{type} {text}, align {align}" if align else f"{type} {text}"
        return self._constants.setdefault(key, f"@{PREFIX}constant{len(self._constants)}")

    def variable(self, name: str, type: str, initial: str = "zeroinitializer", align: int = 64) -> Value:
        """Define a variable with external linkage, whose address :meth:`Loaded.address` gives."""
        self._globals[symbol(name)] = f"@{symbol(name)} = global {type} {initial}, align {align}"
        return f"@{symbol(name)}"

    def has(self, name: str) -> bool:
        """Tell whether a variable of that name was defined."""
        return symbol(name) in self._globals

    def defines(self, name: str) -> bool:
        """Tell whether a function of that name was opened."""
        return symbol(name) in self._functions

    def external(self, name: str) -> Value:
        """Name an object from outside, whose address the symbol is."""
        self._globals[name] = f"@{name} = external global i8"
        return f"@{name}"

    def text(self) -> str:
        """Give the module's text, without target lines."""
        lines = [f"; features: {' '.join(sorted(self.features))}"] if self.features else []
        lines += [f"{name} = private unnamed_addr constant {key}" for key, name in self._constants.items()]
        lines += self._globals.values()
        lines += [line for name, line in self._declared.items() if name not in self._functions]
        lines += [function.text() for function in self._functions.values()]
        return "\n".join([*lines, f"!0 = {UNLIKELY}", "!1 = !{i32 1}", ""])


class Carried:
    """A loop's counter and the values it carries: read ``values`` in the body, end it with ``set``; then ``results``."""

    def __init__(self, i: Value, values: list[Value]) -> None:
        self.i = i
        self.values = values
        self.results: list[Value] = []
        self._next: list[Value] | None = None

    def set(self, *values: Value) -> None:
        """Say what the carried values are in the next turn, and after the last."""
        if len(values) != len(self.values):
            raise ValueError(f"a loop that carries {len(self.values)} values was given {len(values)}")
        self._next = list(values)


class Function:
    """One function's text while it is being written; operands are strings without their types.

    Examples
    --------
    >>> from retrograd.compiler.codegen.emit import Module
    >>> module = Module()
    >>> f = module.function("total", [("ptr", "x"), ("i64", "n")], "i64")
    >>> with f.loop_carry(0, f.n, 1, [("i64", "0")]) as loop:
    ...     item = f.op(f"load i64, ptr {f.element('i64', f.x, loop.i)}")
    ...     loop.set(f.op(f"add i64 {loop.values[0]}, {item}"))
    >>> f.ret("i64", loop.results[0])
    >>> "define i64 @rg_total(ptr %x, i64 %n) nounwind {" in module.text()
    True
    """

    def __init__(
        self,
        module: Module,
        name: str,
        params: Sequence[tuple[str, str]] = (),
        returns: str = "void",
        attributes: str = "nounwind",
    ) -> None:
        self.module = module
        self.name = symbol(name)
        self.params = {name: f"%{name}" for _, name in params}
        self.types = [type.split()[0] for type, _ in params]
        self.returns = returns
        self._open = f"define {returns} @{self.name}({', '.join(f'{t} %{n}' for t, n in params)}) {attributes} {{"
        self._lines: list[str] = []
        self._allocas: list[str] = []
        self._count = 0
        self.here = "entry"
        if self.name in module._functions:
            raise ValueError(f"the module has a function {self.name} already")
        module._functions[self.name] = self

    def __getattr__(self, name: str) -> Value:
        params: dict[str, Value] = self.__dict__.get("params", {})
        if name in params:
            return params[name]
        raise AttributeError(f"function {self.__dict__.get('name')} has no parameter {name!r}")

    @property
    def address(self) -> Value:
        """The function as an operand of type ptr."""
        return f"@{self.name}"

    def text(self) -> str:
        """Give the function's text."""
        return "\n".join([self._open, "entry:", *self._allocas, *self._lines, "}"])

    # lines

    def fresh(self, hint: str = "t") -> str:
        """Give a name that nothing in the function has, without its sigil."""
        self._count += 1
        return f"{hint}{self._count}"

    def op(self, text: str) -> Value:
        """Write an instruction that has a value and give the value."""
        self._count += 1
        value = f"%t{self._count}"
        self._lines.append(f"  {value} = {text}")
        return value

    def do(self, text: str) -> None:
        """Write an instruction that has none."""
        self._lines.append("  " + text)

    def ret(self, type: str = "void", value: Value = "") -> None:
        """Return."""
        self.do(f"ret {type} {value}".rstrip())

    def call(self, callee: Value, returns: str = "void", arguments: Sequence[tuple[str, Count]] = ()) -> Value:
        """Call a function (declared, our own, or a pointer); gives its value, or "" when it returns none."""
        text = f"call {returns} {callee}({', '.join(f'{t} {v}' for t, v in arguments)})"
        if returns != "void":
            return self.op(text)
        self.do(text)
        return ""

    def intrinsic(self, name: str, type: str, *operands: Value, suffix: str = "") -> Value:
        """Call llvm.``name`` whose operands and value all have one type."""
        full = f"llvm.{name}.{suffix or mangled(type)}"
        callee = self.module.declare(full, type, [type] * len(operands))
        return self.op(f"call {type} {callee}({', '.join(f'{type} {o}' for o in operands)})")

    # addresses

    def alloca(self, type: str, count: int = 1, align: int = 64) -> Value:
        """Reserve memory on the stack, in the entry block."""
        value = f"%{self.fresh('a')}"
        self._allocas.append(f"  {value} = alloca {type}, i64 {count}, align {align}")
        return value

    def element(self, type: str, base: Value, index: Count) -> Value:
        """Give the address of base[index], in elements of that type."""
        if index in (0, "0"):
            return base
        return self.op(f"getelementptr inbounds {type}, ptr {base}, i64 {index}")

    def byte(self, base: Value, offset: Count) -> Value:
        """Give the address that many bytes behind base."""
        return self.element("i8", base, offset)

    def load(self, type: str, address: Value, align: int = 0) -> Value:
        """Load one value."""
        return self.op(f"load {type}, ptr {address}" + (f", align {align}" if align else ""))

    def store(self, type: str, value: Value, address: Value, align: int = 0) -> None:
        """Store one value."""
        self.do(f"store {type} {value}, ptr {address}" + (f", align {align}" if align else ""))

    # arithmetic on i64 counts, done now where both sides are known

    def add(self, a: Count, b: Count) -> Count:
        """a + b on counts that do not overflow."""
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        if a in (0, "0") or b in (0, "0"):
            return b if a in (0, "0") else a
        return self.op(f"add nsw i64 {a}, {b}")

    def sub(self, a: Count, b: Count) -> Count:
        """a - b on counts."""
        if isinstance(a, int) and isinstance(b, int):
            return a - b
        return a if b in (0, "0") else self.op(f"sub nsw i64 {a}, {b}")

    def mul(self, a: Count, b: Count) -> Count:
        """a * b on counts."""
        if isinstance(a, int) and isinstance(b, int):
            return a * b
        for one, other in ((a, b), (b, a)):
            if one in (0, "0", 1, "1"):
                return 0 if one in (0, "0") else other
        return self.op(f"mul nsw i64 {a}, {b}")

    def min(self, a: Count, b: Count) -> Count:
        """The smaller of two counts."""
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        return self.intrinsic("smin", "i64", str(a), str(b))

    def max(self, a: Count, b: Count) -> Count:
        """The larger of two counts."""
        if isinstance(a, int) and isinstance(b, int):
            return max(a, b)
        return self.intrinsic("smax", "i64", str(a), str(b))

    def round_down(self, n: Count, multiple: int) -> Count:
        """The largest multiple of a power of two that is not above n."""
        return n & -multiple if isinstance(n, int) else self.op(f"and i64 {n}, {-multiple}")

    # blocks

    def label(self, hint: str = "b") -> str:
        """Give the name of a block that will be opened by ``block``."""
        return self.fresh(hint)

    def block(self, label: str) -> None:
        """Open a block; the one before must have ended."""
        self._lines.append(f"{label}:")
        self.here = label

    def jump(self, label: str) -> None:
        """End the block by going to another."""
        self.do(f"br label %{label}")

    def branch(self, condition: Value, yes: str, no: str, unlikely: bool = False) -> None:
        """End the block by going to one of two; ``unlikely``: hardly ever to the first."""
        self.do(f"br i1 {condition}, label %{yes}, label %{no}" + (", !prof !0" if unlikely else ""))

    def phi(self, type: str, *pairs: tuple[Value, str]) -> Value:
        """Give the value that belongs to the block control came from; first in its block."""
        return self.op(f"phi {type} " + ", ".join(f"[ {value}, %{label} ]" for value, label in pairs))

    def _reserve(self) -> int:
        self._lines.append("")
        return len(self._lines) - 1

    @contextlib.contextmanager
    def loop_carry(
        self, start: Count, stop: Count, step: Count = 1, carry: Sequence[tuple[str, Value]] = ()
    ) -> Iterator[Carried]:
        """Loop while start < stop, carrying values; ``carry`` are pairs (type, value before the first turn).

        The body reads ``.i`` and ``.values`` and ends with ``.set(...)``; behind the loop ``.results`` are the last values,
        the first ones when there was no turn. Nested loops and branches may stand in the body. step > 0.
        """
        known = isinstance(start, int) and isinstance(stop, int)
        if known and int(start) >= int(stop):
            raise ValueError(f"a loop from {start} to {stop} has no turn; leave it out")
        head, done, before = self.label("loop"), self.label("done"), self.here
        if known:
            self.jump(head)
        else:
            self.branch(self.op(f"icmp slt i64 {start}, {stop}"), head, done)
        self.block(head)
        counter, slot = f"%{self.fresh('i')}", self._reserve()
        phis = [(f"%{self.fresh('v')}", self._reserve()) for _ in carry]
        loop = Carried(counter, [value for value, _ in phis])
        yield loop
        if carry and loop._next is None:
            raise ValueError("a loop that carries values must end its body with set(...)")
        latest = loop._next or []
        following = self.op(f"add nsw i64 {counter}, {step}")
        last = self.here
        self.branch(self.op(f"icmp slt i64 {following}, {stop}"), head, done)
        self._lines[slot] = f"  {counter} = phi i64 [ {start}, %{before} ], [ {following}, %{last} ]"
        for (type, initial), (value, place), new in zip(carry, phis, latest):
            self._lines[place] = f"  {value} = phi {type} [ {initial}, %{before} ], [ {new}, %{last} ]"
        self.block(done)
        if known:
            loop.results = latest
        else:
            pairs = zip(carry, latest)
            loop.results = [self.phi(type, (initial, before), (new, last)) for (type, initial), new in pairs]

    @contextlib.contextmanager
    def loop(self, start: Count, stop: Count, step: Count = 1) -> Iterator[Value]:
        """Loop while start < stop; the counter is an i64."""
        with self.loop_carry(start, stop, step) as carried:
            yield carried.i

    @contextlib.contextmanager
    def if_(self, condition: Value, unlikely: bool = False) -> Iterator[None]:
        """Do the body where the condition holds."""
        yes, after = self.label("if"), self.label("after")
        self.branch(condition, yes, after, unlikely)
        self.block(yes)
        yield
        self.jump(after)
        self.block(after)

    def choose(
        self,
        condition: Value,
        types: Sequence[str],
        yes: Callable[[], Sequence[Value]],
        no: Callable[[], Sequence[Value]] = lambda: (),
        unlikely: bool = False,
    ) -> list[Value]:
        """Run one of two branches and give its values, which have the given types."""
        labels = self.label("if"), self.label("else"), self.label("after")
        self.branch(condition, labels[0], labels[1], unlikely)
        ends = []
        for label, branch in zip(labels, (yes, no)):
            self.block(label)
            values = list(branch())
            if len(values) != len(types):
                raise ValueError(f"a branch that gives {len(types)} values gave {len(values)}")
            ends.append((values, self.here))
            self.jump(labels[2])
        self.block(labels[2])
        (first, first_end), (second, second_end) = ends
        return [self.phi(t, (a, first_end), (b, second_end)) for t, a, b in zip(types, first, second)]


def mangled(type: str) -> str:
    """Give a type's name inside an intrinsic's: "<16 x float>" is v16f32.

    Examples
    --------
    >>> from retrograd.compiler.codegen.emit import mangled
    >>> mangled("<8 x double>"), mangled("i32")
    ('v8f64', 'i32')
    """
    if type.startswith("<"):
        width, _, item = type[1:-1].split()
        return f"v{width}{mangled(item)}"
    return {"float": "f32", "double": "f64", "half": "f16", "ptr": "p0"}.get(type, type)
