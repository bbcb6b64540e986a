"""Arithmetic on vectors of one kind of number, written as LLVM text: the same calls for one lane and for sixteen."""

from __future__ import annotations

from functools import reduce

from .conversion import convert, narrow, widen
from .emit import Count, Function, Value, mangled
from .kinds import KINDS, PREDICATES, literal


class Lanes:
    """Operations on ``width`` lanes of one kind; values are operands, strings, of type :attr:`type`.

    Masks (of ``compare``, ``tail``, ``isnan``) are lanes of kind bool. float16 and bfloat16 are storage: their lanes are
    float32's, converted on load and store; ``convert`` to them rounds.

    Parameters
    ----------
    f : Function
        Where the instructions go.
    kind : str
        f32 f64 f16 bf16 bool i8 i16 i32 i64 u8 u16 u32 u64.
    width : int
        How many lanes; 1 is a plain scalar.
    contract : bool
        Let a product and a sum be rounded once where the machine can.

    Examples
    --------
    >>> from retrograd.compiler.codegen.emit import Module
    >>> from retrograd.compiler.codegen.lanes import Lanes
    >>> f = Module().function("double", [("ptr", "x")])
    >>> l = Lanes(f, "f32", 8)
    >>> l.store(l.mul(l.load(f.x, 0), l.const(2)), f.x, 0)
    >>> "fmul <8 x float>" in f.text()
    True
    """

    def __init__(self, f: Function, kind: str, width: int, contract: bool = False) -> None:
        row = KINDS[kind]
        self.f, self.kind, self.width, self.row, self.contract = f, kind, width, row, contract
        self.sort = row.sort
        self.align = min(row.size, 8)  # a word suffices for what is longer
        self.floating = row.sort == "f"
        self.item = row.type
        self.type = row.type if width == 1 else f"<{width} x {row.type}>"
        self.mask = "i1" if width == 1 else f"<{width} x i1>"
        self.memory = row.memory if width == 1 else f"<{width} x {row.memory}>"
        self.suffix = mangled(self.type)
        self.goal = 53 if row.type == "double" else 24  # bits that functions of these lanes are to have
        self._flags = "contract " if contract else ""

    def of(self, kind: str, width: int | None = None) -> Lanes:
        """Give lanes of another kind or width in the same function."""
        return Lanes(self.f, kind, self.width if width is None else width, self.contract)

    @property
    def exact(self) -> Lanes:
        """The same lanes with every operation rounded by itself."""
        return Lanes(self.f, self.kind, self.width) if self.contract else self

    @property
    def ints(self) -> Lanes:
        """Signed integers of the same size as these floating lanes."""
        return Lanes(self.f, "i64" if self.item == "double" else "i32", self.width)

    # values

    def const(self, value: float | int | bool) -> Value:
        """Every lane that number."""
        text = literal(self.kind, value)
        return text if self.width == 1 else f"splat ({self.item} {text})"

    def splat(self, scalar: Value) -> Value:
        """Every lane that scalar, an operand of type :attr:`item`."""
        if self.width == 1:
            return scalar
        one = self.f.op(f"insertelement {self.type} poison, {self.item} {scalar}, i64 0")
        return self.f.op(f"shufflevector {self.type} {one}, {self.type} poison, <{self.width} x i32> zeroinitializer")

    def iota(self, start: Value | None = None) -> Value:
        """0, 1, 2, ... in the lanes, or start, start + 1, ... from a scalar."""
        numbers = [literal(self.kind, lane) for lane in range(self.width)]
        steps = numbers[0] if self.width == 1 else "<" + ", ".join(f"{self.item} {n}" for n in numbers) + ">"
        return steps if start is None else self.add(self.splat(start), steps)

    def lane(self, value: Value, index: int) -> Value:
        """One lane as a scalar."""
        return value if self.width == 1 else self.f.op(f"extractelement {self.type} {value}, i64 {index}")

    # arithmetic

    def _binary(self, op: str, a: Value, b: Value) -> Value:
        return self.f.op(f"{op} {self.type} {a}, {b}")

    def _arithmetic(self, op: str, a: Value, b: Value) -> Value:
        return self._binary(f"f{op} {self._flags}".rstrip() if self.floating else op, a, b)

    def _intrinsic(self, name: str, *operands: Value) -> Value:
        return self.f.intrinsic(name, self.type, *operands, suffix=self.suffix)

    def add(self, a: Value, b: Value) -> Value:
        """a + b; integers wrap around, for bool it is or."""
        return self.or_(a, b) if self.sort == "b" else self._arithmetic("add", a, b)

    def sub(self, a: Value, b: Value) -> Value:
        """a - b."""
        return self._arithmetic("sub", a, b)

    def mul(self, a: Value, b: Value) -> Value:
        """a * b; for bool it is and."""
        return self.and_(a, b) if self.sort == "b" else self._arithmetic("mul", a, b)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """a * b + c rounded once; of integers, the two operations."""
        return self._intrinsic("fma", a, b, c) if self.floating else self.add(self.mul(a, b), c)

    def neg(self, a: Value) -> Value:
        """-a."""
        return self.f.op(f"fneg {self.type} {a}") if self.floating else self.sub(self.const(0), a)

    def abs(self, a: Value) -> Value:
        """|a|; of the most negative integer, itself."""
        if self.floating:
            return self._intrinsic("fabs", a)
        if self.sort != "s":
            return a
        callee = self.f.module.declare(f"llvm.abs.{self.suffix}", self.type, [self.type, "i1"])
        return self.f.op(f"call {self.type} {callee}({self.type} {a}, i1 false)")

    def div(self, a: Value, b: Value) -> Value:
        """a / b of floating lanes; of integers the quotient rounded toward zero, as ``div_trunc``."""
        return self._arithmetic("div", a, b) if self.floating else self.div_trunc(a, b)

    def div_trunc(self, a: Value, b: Value) -> Value:
        """The integer quotient rounded toward zero; 0 where b is 0, and the most negative number over -1 is itself."""
        if self.floating:
            return self.trunc(self.div(a, b))
        zero = self.compare("eq", b, self.const(0))
        harmless = zero
        if self.sort == "s":
            lowest = self.compare("eq", a, self.const(-1 << (8 * self.row.size - 1)))
            overflow = self.of("bool").and_(lowest, self.compare("eq", b, self.const(-1)))
            harmless = self.of("bool").or_(zero, overflow)
        b = self.select(harmless, self.const(1), b)
        if self.row.size == 8:
            quotient = self._binary("sdiv" if self.sort == "s" else "udiv", a, b)
        else:  # no machine divides vectors of integers; a wider quotient of floats truncates to the same number
            wide = self.of("f32" if self.row.size < 4 else "f64")
            up, down = ("sitofp", "fptosi") if self.sort == "s" else ("uitofp", "fptoui")
            x, y = (self.f.op(f"{up} {self.type} {v} to {wide.type}") for v in (a, b))
            quotient = self.f.op(f"{down} {wide.type} {wide.exact.div(x, y)} to {self.type}")
        return self.select(zero, self.const(0), quotient)

    def rem_trunc(self, a: Value, b: Value) -> Value:
        """a - b * div_trunc(a, b), which has a's sign, as C's %; 0 where the integer b is 0."""
        if self.floating:
            return self._binary("frem", a, b)
        rest = self.sub(a, self.mul(b, self.div_trunc(a, b)))
        return self.select(self.compare("eq", b, self.const(0)), self.const(0), rest)

    def div_floor(self, a: Value, b: Value) -> Value:
        """The integer quotient rounded down, as NumPy's and Python's //; 0 where b is 0."""
        quotient = self.div_trunc(a, b)
        if self.sort != "s":
            return quotient
        rest = self.sub(a, self.mul(b, quotient))
        return self.select(self._crosses(rest, b), self.sub(quotient, self.const(1)), quotient)

    def rem(self, a: Value, b: Value) -> Value:
        """The rest of the division rounded down, which has b's sign, as Python's %; 0 where the integer b is 0."""
        rest = self.rem_trunc(a, b)
        if self.sort == "u":
            return rest
        return self.select(self._crosses(rest, b), self.add(rest, b), rest)

    def _crosses(self, rest: Value, b: Value) -> Value:
        """Tell where a rest is not zero and has not b's sign."""
        masks, zero = self.of("bool"), self.const(0)
        different = masks.xor(self.compare("lt", rest, zero), self.compare("lt", b, zero))
        some = masks.and_(self.compare("ne", rest, zero), self.compare("ne", b, zero))
        return masks.and_(different, some)

    # order

    def compare(self, predicate: str, a: Value, b: Value) -> Value:
        """Give a mask: lt le gt ge eq ne (with NaN only ne holds), or an LLVM predicate of floats (uno, ord, ugt, ...)."""
        name = PREDICATES[self.sort].get(predicate, predicate)
        return self.f.op(f"{'fcmp' if self.floating else 'icmp'} {name} {self.type} {a}, {b}")

    def isnan(self, a: Value) -> Value:
        """The mask of NaNs."""
        return self.compare("uno", a, a) if self.floating else self.of("bool").const(False)

    def select(self, mask: Value, a: Value, b: Value) -> Value:
        """a where the mask holds, else b."""
        return self.f.op(f"select {self.mask} {mask}, {self.type} {a}, {self.type} {b}")

    def any(self, mask: Value) -> Value:
        """Tell, as one i1, whether the mask holds in some lane."""
        if self.width == 1:
            return mask
        bits = self.f.op(f"bitcast {self.mask} {mask} to i{self.width}")
        return self.f.op(f"icmp ne i{self.width} {bits}, 0")

    def _extreme(self, predicate: str, a: Value, b: Value) -> Value:
        return self.select(self.compare(predicate, a, b), a, b)

    def maximum(self, a: Value, b: Value) -> Value:
        """The larger; NaN where either is NaN."""
        larger = self._extreme("gt", a, b)
        return self.select(self.isnan(a), a, larger) if self.floating else larger

    def minimum(self, a: Value, b: Value) -> Value:
        """The smaller; NaN where either is NaN."""
        smaller = self._extreme("lt", a, b)
        return self.select(self.isnan(a), a, smaller) if self.floating else smaller

    def fmax(self, a: Value, b: Value) -> Value:
        """The larger; the other where one is NaN."""
        larger = self._extreme("gt", a, b)
        return self.select(self.isnan(b), a, larger) if self.floating else larger

    def fmin(self, a: Value, b: Value) -> Value:
        """The smaller; the other where one is NaN."""
        smaller = self._extreme("lt", a, b)
        return self.select(self.isnan(b), a, smaller) if self.floating else smaller

    # bits, and truth

    def and_(self, a: Value, b: Value) -> Value:
        """Bitwise and; of bool, logical."""
        return self._binary("and", a, b)

    def or_(self, a: Value, b: Value) -> Value:
        """Bitwise or; of bool, logical."""
        return self._binary("or", a, b)

    def xor(self, a: Value, b: Value) -> Value:
        """Bitwise exclusive or; of bool, logical."""
        return self._binary("xor", a, b)

    def not_(self, a: Value) -> Value:
        """Every bit turned; of bool, logical not."""
        return self.xor(a, self.const(True if self.sort == "b" else -1))

    def shl(self, a: Value, b: Value) -> Value:
        """a << b; 0 where b is not in [0, bits), as NumPy's left_shift."""
        return self._shift("shl", a, b, self.const(0))

    def shr(self, a: Value, b: Value) -> Value:
        """a >> b, filled by the sign (by zeros when unsigned) where b is not in [0, bits)."""
        if self.sort == "u":
            return self._shift("lshr", a, b, self.const(0))
        return self._shift("ashr", a, b, self._binary("ashr", a, self.const(8 * self.row.size - 1)))

    def _shift(self, op: str, a: Value, b: Value, beyond: Value) -> Value:
        fits = self.f.op(f"icmp ult {self.type} {b}, {self.const(8 * self.row.size)}")
        return self.select(fits, self._binary(op, a, b), beyond)

    def shift(self, op: str, a: Value, count: int) -> Value:
        """shl, lshr or ashr by a number known now."""
        return self._binary(op, a, self.const(count))

    def bits(self, a: Value) -> Value:
        """The bits of floating lanes, as lanes of :attr:`ints`."""
        return self.f.op(f"bitcast {self.type} {a} to {self.ints.type}")

    def from_bits(self, a: Value) -> Value:
        """The floating lanes that have these bits."""
        return self.f.op(f"bitcast {self.ints.type} {a} to {self.type}")

    # rounding and roots

    def rint(self, a: Value) -> Value:
        """To the nearest integer, ties to even."""
        return self._intrinsic("rint", a) if self.floating else a

    def floor(self, a: Value) -> Value:
        """Down to an integer."""
        return self._intrinsic("floor", a) if self.floating else a

    def ceil(self, a: Value) -> Value:
        """Up to an integer."""
        return self._intrinsic("ceil", a) if self.floating else a

    def trunc(self, a: Value) -> Value:
        """Toward zero to an integer."""
        return self._intrinsic("trunc", a) if self.floating else a

    def sqrt(self, a: Value) -> Value:
        """The square root, correctly rounded."""
        return self._intrinsic("sqrt", a)

    def copysign(self, a: Value, b: Value) -> Value:
        """|a| with b's sign."""
        return self._intrinsic("copysign", a, b)

    def convert(self, value: Value, source: str, target: str) -> Value:
        """Convert as C does: floats round to nearest even and truncate to integers, integers wrap, not zero is true.

        Float64 becomes float16 in one rounding, as NumPy's, and bfloat16 by way of float32, as ml_dtypes' and PyTorch's.
        """
        return convert(self, value, source, target)

    # memory

    def tail(self, remaining: Value) -> Value:
        """The mask of the first ``remaining`` lanes, an i64 (all lanes when it is larger)."""
        if self.width == 1:
            return self.f.op(f"icmp sgt i64 {remaining}, 0")
        few = self.f.op(f"trunc i64 {self.f.min(remaining, self.width)} to i32")
        counts = self.of("i32")
        return counts.compare("lt", counts.iota(), counts.splat(few))

    def load(self, base: Value, index: Count = 0, stride: Count = 1, mask: Value | None = None) -> Value:
        """Load base[index * stride], base[(index + 1) * stride], ... in elements; stride 0 repeats one element.

        Lanes outside the mask are not read, and are 0.
        """
        if stride == 0:
            one = self.of(self.kind, 1)
            if mask is None:
                return self.splat(one.load(base))
            some = self.any(mask)
            address = self.f.op(f"select i1 {some}, ptr {base}, ptr {self.f.module.constant('i64', '0', 16)}")
            return self.select(mask, self.splat(one.load(address)), self.const(0))
        if stride != 1:
            return self.gather(base, self._strided(index, stride), mask)
        address = self.f.element(self.row.memory, base, index)
        if mask is None:
            return widen(self, self.f.load(self.memory, address, self.align))
        if self.width == 1:
            (value,) = self.f.choose(
                mask, [self.type], lambda: [widen(self, self.f.load(self.memory, address))], lambda: [self.const(0)]
            )
            return value
        zeros = f"{self.memory} zeroinitializer"
        name = f"llvm.masked.load.{mangled(self.memory)}.p0"
        callee = self.f.module.declare(name, self.memory, ["ptr", "i32", self.mask, self.memory])
        arguments = f"ptr {address}, i32 {self.align}, {self.mask} {mask}, {zeros}"
        return widen(self, self.f.op(f"call {self.memory} {callee}({arguments})"))

    def store(self, value: Value, base: Value, index: Count = 0, stride: Count = 1, mask: Value | None = None) -> None:
        """Store lanes to where ``load`` with the same arguments reads; lanes outside the mask are left alone."""
        if stride != 1:
            return self.scatter(value, base, self._strided(index, stride), mask)
        address, kept = self.f.element(self.row.memory, base, index), narrow(self, value)
        if mask is None:
            return self.f.store(self.memory, kept, address, self.align)
        if self.width == 1:
            with self.f.if_(mask):
                self.f.store(self.memory, kept, address, self.align)
            return None
        name = f"llvm.masked.store.{mangled(self.memory)}.p0"
        callee = self.f.module.declare(name, "void", [self.memory, "ptr", "i32", self.mask])
        self.f.do(f"call void {callee}({self.memory} {kept}, ptr {address}, i32 {self.align}, {self.mask} {mask})")
        return None

    def _strided(self, index: Count, stride: Count) -> Value:
        """(index + lane) * stride as i64 lanes."""
        places, first = self.of("i64"), self.f.mul(index, stride)
        if self.width == 1:
            return str(first)
        if isinstance(stride, int):
            steps = "<" + ", ".join(f"i64 {lane * stride}" for lane in range(self.width)) + ">"
        else:
            steps = places.mul(places.iota(), places.splat(stride))
        return steps if first == 0 else places.add(places.splat(str(first)), steps)

    def _addresses(self, base: Value, places: Value) -> tuple[str, Value]:
        type = f"<{self.width} x ptr>"
        return type, self.f.op(f"getelementptr inbounds {self.row.memory}, ptr {base}, <{self.width} x i64> {places}")

    def gather(self, base: Value, places: Value, mask: Value | None = None) -> Value:
        """Load base[places], in elements; ``places`` are i64 lanes. Lanes outside the mask are not read, and are 0."""
        if self.width == 1:
            return self.load(base, places, mask=mask)
        type, addresses = self._addresses(base, places)
        held = mask or f"splat (i1 {'true'})"
        name = f"llvm.masked.gather.{mangled(self.memory)}.v{self.width}p0"
        callee = self.f.module.declare(name, self.memory, [type, "i32", self.mask, self.memory])
        arguments = f"{type} {addresses}, i32 {self.align}, {self.mask} {held}, {self.memory} zeroinitializer"
        return widen(self, self.f.op(f"call {self.memory} {callee}({arguments})"))

    def scatter(self, value: Value, base: Value, places: Value, mask: Value | None = None) -> None:
        """Store lanes to base[places], in elements; where places meet, the later lane stays."""
        if self.width == 1:
            return self.store(value, base, places, mask=mask)
        type, addresses = self._addresses(base, places)
        held = mask or "splat (i1 true)"
        name = f"llvm.masked.scatter.{mangled(self.memory)}.v{self.width}p0"
        callee = self.f.module.declare(name, "void", [self.memory, type, "i32", self.mask])
        arguments = f"{self.memory} {narrow(self, value)}, {type} {addresses}, i32 {self.align}, {self.mask} {held}"
        self.f.do(f"call void {callee}({arguments})")
        return None

    # across the lanes, always by halves, so that the order is the same wherever a vector is folded

    def _fold(self, op: str, value: Value) -> Value:
        lanes = self
        while lanes.width > 1:
            half = lanes.of(lanes.kind, lanes.width // 2)
            low, high = (self._part(lanes, value, start, half.width) for start in (0, half.width))
            value = getattr(half, op)(low, high)
            lanes = half
        return value

    @staticmethod
    def _part(lanes: Lanes, value: Value, start: int, width: int) -> Value:
        if width == 1:
            return lanes.lane(value, start)
        places = ", ".join(f"i32 {start + lane}" for lane in range(width))
        return lanes.f.op(f"shufflevector {lanes.type} {value}, {lanes.type} poison, <{width} x i32> <{places}>")

    def sum(self, value: Value) -> Value:
        """The sum of the lanes, a scalar."""
        return self._fold("add", value)

    def prod(self, value: Value) -> Value:
        """The product of the lanes, a scalar."""
        return self._fold("mul", value)

    def max(self, value: Value) -> Value:
        """The largest lane, a scalar; NaN if one is NaN."""
        return self._fold("maximum", value)

    def min(self, value: Value) -> Value:
        """The smallest lane, a scalar; NaN if one is NaN."""
        return self._fold("minimum", value)

    def all(self, mask: Value) -> Value:
        """Tell, as one i1, whether the mask holds in every lane."""
        masks = self.of("bool")
        nowhere = self.any(masks.not_(mask))
        return self.f.op(f"xor i1 {nowhere}, true")


def total(lanes: Lanes, values: list[Value]) -> Value:
    """Add vectors pairwise, neighbours first: the order depends on their number alone."""
    while len(values) > 1:
        pairs = [values[i : i + 2] for i in range(0, len(values), 2)]
        values = [reduce(lanes.add, pair) for pair in pairs]
    return values[0]
