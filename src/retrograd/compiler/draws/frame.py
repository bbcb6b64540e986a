"""What kernels of draws share: their arguments, words a piece at a time, and numbers in [0, 1) made of them.

A kernel is ``void(ptr arguments, i64 chunk)`` like every step of a program. Its arguments are eight bytes each: the address of the state
(NumPy's MT19937: 624 words and a position), the address of what is drawn, the number of elements, and the draw's own numbers, floats
by their bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..codegen.emit import Count, Function, Module, Value
from ..codegen.lanes import Lanes

PIECE = 2048  # words that are made before they are used: they stay in the nearest cache
STATE, OUT, COUNT, OWN = range(4)

Body = Callable[
    [int, Value, Value, Count], None
]  # width, address of its words, number of the element, first word's number


class Frame:
    """A kernel being written.

    Parameters
    ----------
    module : Module
        Has ``words`` already.
    name : str
    lanes : int
        32-bit numbers in a vector.
    numbers : sequence of str
        The types of the draw's own numbers: double, i64 or ptr.

    Attributes
    ----------
    f : Function
    numbers : list of str
        The numbers, read.
    """

    def __init__(self, module: Module, name: str, lanes: int, numbers: Sequence[str]) -> None:
        self.width = lanes
        self.f: Function = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
        self.state, self.out = (self._argument("ptr", k) for k in (STATE, OUT))
        self.count = self._argument("i64", COUNT)
        self.numbers = [self._argument(type, OWN + k) for k, type in enumerate(numbers)]
        self.buffer = self.f.alloca("i32", PIECE)

    def _argument(self, type: str, k: int) -> Value:
        return self.f.load(type, self.f.element("i64", self.f.arguments, k), 8)

    def words(self, goal: Value, count: Count) -> None:
        """Write: the next words."""
        self.f.call("@rg_words", arguments=[("ptr", self.state), ("ptr", goal), ("i64", count)])

    def each(self, words: int, width: int, body: Callable[[int, Value, Value], None]) -> None:
        """Write: for every element, in order, its words are drawn and ``body`` is run, on vectors and on what is left.

        Parameters
        ----------
        words : int
            Of an element.
        width : int
            Elements of a vector.
        body : callable
            Is given how many elements it is for, where their words begin, and the first one's number.
        """
        f = self.f
        per = PIECE // words
        with f.loop(0, self.count, per) as start:
            count = f.min(per, f.sub(self.count, start))
            self.words(self.buffer, f.mul(count, words))
            whole = f.round_down(count, width)
            for size, first, stop in ((width, 0, whole), (1, whole, count))[: min(width, 2)]:
                with f.loop(first, stop, size) as i:
                    body(size, f.element("i32", self.buffer, f.mul(i, words)), str(f.add(start, i)))
        f.ret()

    # -- numbers in [0, 1) -------------------------------------------------------------------------------------------------
    def single(self, width: int, at: Value) -> Value:
        """Write: the low 24 bits of each word over 2**24, as float32 lanes."""
        f, words, floats = self.f, Lanes(self.f, "i32", width), Lanes(self.f, "f32", width)
        bits = words.and_(f.load(words.type, at, 4), words.const((1 << 24) - 1))
        return floats.mul(floats.convert(bits, "i32", "f32"), floats.const(2.0**-24))

    def long(self, width: int, at: Value) -> Value:
        """Write: two words each as 64-bit lanes, the first word the higher."""
        l = Lanes(self.f, "i64", width)
        pair = self.f.load(l.type, at, 4)
        return l.or_(l.shift("shl", pair, 32), l.shift("lshr", pair, 32))

    def fraction(self, width: int, at: Value) -> Value:
        """Write: the low 53 bits of two words each, as 64-bit lanes."""
        l = Lanes(self.f, "i64", width)
        return l.and_(self.long(width, at), l.const((1 << 53) - 1))

    def double(self, width: int, at: Value) -> Value:
        """Write: the low 53 bits of two words over 2**53, as float64 lanes."""
        floats = Lanes(self.f, "f64", width)
        return floats.mul(floats.convert(self.fraction(width, at), "i64", "f64"), floats.const(2.0**-53))

    def store_double(self, kind: str, width: int, value: Value, index: Count) -> None:
        """Write: float64 lanes rounded to a floating kind as C++ does, to 16 bits by way of float32."""
        goal = Lanes(self.f, kind, width)
        if kind != "f64":
            value = goal.of("f32").convert(value, "f64", "f32")
        goal.store(value, self.out, index)
