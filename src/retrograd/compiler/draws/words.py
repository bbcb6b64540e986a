"""The words of MT19937 in vectors: 624 made at a time in the generator's own state, tempered as they are handed out."""

from __future__ import annotations

from ..codegen.emit import Count, Module, Value
from ..codegen.lanes import Lanes

WORDS = 624
MIDDLE = 397  # a word is made of itself, the next, and the one this far on
POSITION = 4 * WORDS  # where a state keeps how many of its words were handed out, in bytes
MATRIX = 0x9908B0DF
ALIGN = 4


def write_words(module: Module, width: int) -> None:
    """Write ``void words(ptr state, ptr out, i64 n)``: the next n words of a state, which moves on.

    Parameters
    ----------
    module : Module
    width : int
        Words in a vector.

    Notes
    -----
    Matsumoto and Nishimura, "Mersenne twister", ACM Trans. Model. Comput. Simul. 8, 1998. A state is 624 words and a
    position; all words of a block are made when the first of them is asked for.
    """
    _write_block(module, width)
    f = module.function("words", [("ptr", "state"), ("ptr", "out"), ("i64", "n")])
    position = f.byte(f.state, POSITION)
    done = f.alloca("i64")
    f.store("i64", "0", done)
    head, body, end = f.label("head"), f.label("body"), f.label("end")
    f.jump(head)
    f.block(head)
    so_far = f.load("i64", done)
    f.branch(f.op(f"icmp slt i64 {so_far}, {f.n}"), body, end)
    f.block(body)
    with f.if_(f.op(f"icmp eq i32 {f.load('i32', position)}, {WORDS}"), unlikely=True):
        f.call("@rg_block", arguments=[("ptr", f.state)])
    first = f.op(f"sext i32 {f.load('i32', position)} to i64")
    count = f.min(f.sub(WORDS, first), f.sub(f.n, so_far))
    source, goal = f.element("i32", f.state, first), f.element("i32", f.out, so_far)
    whole = f.round_down(count, width)
    for lanes, start, stop in ((Lanes(f, "u32", width), 0, whole), (Lanes(f, "u32", 1), whole, count)):
        with f.loop(start, stop, lanes.width) as i:
            word = _load(lanes, source, i)
            _store(lanes, tempered(lanes, word), goal, i)
    f.store("i32", f.op(f"trunc i64 {f.add(first, count)} to i32"), position)
    f.store("i64", str(f.add(so_far, count)), done)
    f.jump(head)
    f.block(end)
    f.ret()


def _load(lanes: Lanes, base: Value, index: Count) -> Value:
    return lanes.f.load(lanes.type, lanes.f.element("i32", base, index), ALIGN)


def _store(lanes: Lanes, value: Value, base: Value, index: Count) -> None:
    lanes.f.store(lanes.type, value, lanes.f.element("i32", base, index), ALIGN)


def tempered(l: Lanes, y: Value) -> Value:
    """Mix a word's bits."""
    y = l.xor(y, l.shift("lshr", y, 11))
    y = l.xor(y, l.and_(l.shift("shl", y, 7), l.const(0x9D2C5680)))
    y = l.xor(y, l.and_(l.shift("shl", y, 15), l.const(0xEFC60000)))
    return l.xor(y, l.shift("lshr", y, 18))


def _write_block(module: Module, width: int) -> None:
    """Write ``void block(ptr state)``: the next 624 words in the place of the last ones."""
    f = module.function("block", [("ptr", "state")])

    def made(lanes: Lanes, at: Count, following: Count, other: Count) -> None:
        one, two, far = (_load(lanes, f.state, k) for k in (at, following, other))
        both = lanes.or_(lanes.and_(one, lanes.const(1 << 31)), lanes.and_(two, lanes.const((1 << 31) - 1)))
        odd = lanes.sub(lanes.const(0), lanes.and_(two, lanes.const(1)))
        mixed = lanes.xor(lanes.shift("lshr", both, 1), lanes.and_(odd, lanes.const(MATRIX)))
        _store(lanes, lanes.xor(far, mixed), f.state, at)

    # a vector reads words that are not written before it: the next one of each is old, the far one 397 on, or 227 back and new
    for start, stop, shift in ((0, WORDS - MIDDLE, MIDDLE), (WORDS - MIDDLE, WORDS - 1, MIDDLE - WORDS)):
        size = width
        while start < stop:
            end = start + (stop - start) // size * size
            if end > start:
                lanes = Lanes(f, "u32", size)
                with f.loop(start, end, size) as i:
                    made(lanes, i, f.add(i, 1), f.add(i, shift))
            start, size = end, size // 2
    made(Lanes(f, "u32", 1), WORDS - 1, 0, MIDDLE - 1)
    f.store("i32", "0", f.byte(f.state, POSITION))
    f.ret()


def write_seek(module: Module, width: int) -> None:
    """Write ``void seek(ptr state, i64 words)``: a state goes on by so many words, or back.

    Notes
    -----
    Each word of a block is made of three of the block before, by steps that can be undone. All of the first block's words come
    back but the low bits of the very first, which no word that follows depends on: NumPy hands out words of a seed's second block on.
    """
    _write_back(module, width)
    f = module.function("seek", [("ptr", "state"), ("i64", "words")])
    position, at = f.byte(f.state, POSITION), f.alloca("i64")
    first = f.op(f"sext i32 {f.load('i32', position)} to i64")
    f.store("i64", str(f.add(first, f.words)), at)
    for name, condition, step in (("back", "slt i64 {}, 0", WORDS), ("block", f"sgt i64 {{}}, {WORDS}", -WORDS)):
        head, body, end = f.label("head"), f.label("body"), f.label("end")
        f.jump(head)
        f.block(head)
        now = f.load("i64", at)
        f.branch(f.op("icmp " + condition.format(now)), body, end)
        f.block(body)
        f.call(f"@rg_{name}", arguments=[("ptr", f.state)])
        f.store("i64", str(f.add(now, step)), at)
        f.jump(head)
        f.block(end)
    f.store("i32", f.op(f"trunc i64 {f.load('i64', at)} to i32"), position)
    f.ret()


def _write_back(module: Module, width: int) -> None:
    """Write ``void back(ptr state)``: the 624 words before, in the place of those that were made of them."""
    f = module.function("back", [("ptr", "state")])

    def pair(lanes: Lanes, one: Count, far: Count) -> Value:
        """Give a word's highest bit and the next one's others, of which a word was made with another one."""
        mixed = lanes.xor(_load(lanes, f.state, one), _load(lanes, f.state, far))
        odd = lanes.shift("lshr", mixed, 31)
        plain = lanes.xor(mixed, lanes.and_(lanes.sub(lanes.const(0), odd), lanes.const(MATRIX)))
        return lanes.or_(lanes.shift("shl", plain, 1), odd)

    def restored(lanes: Lanes, at: Count, far: Count, before: Count, far_before: Count) -> None:
        high = lanes.and_(pair(lanes, at, far), lanes.const(1 << 31))
        low = lanes.and_(pair(lanes, before, far_before), lanes.const((1 << 31) - 1))
        _store(lanes, lanes.or_(high, low), f.state, at)

    def all_from(stop: int, start: int, shift: int) -> None:
        """Go down over words that lie as far from the others as their neighbours do."""
        size = width
        while stop > start:
            count = (stop - start) // size
            if count:
                lanes = Lanes(f, "u32", size)
                with f.loop(0, count) as i:
                    at = f.sub(stop - size, f.mul(i, size))
                    before = f.sub(at, 1)
                    restored(lanes, at, f.add(at, shift), before, f.add(before, shift))
            stop, size = stop - count * size, size // 2

    one, turn = Lanes(f, "u32", 1), WORDS - MIDDLE
    restored(one, WORDS - 1, MIDDLE - 1, WORDS - 2, WORDS - 2 - turn)
    all_from(WORDS - 1, turn + 1, -turn)
    restored(one, turn, 0, turn - 1, WORDS - 1)
    all_from(turn, 1, MIDDLE)
    # the word before the first is the last of a block further back, which was made of the one in the middle
    high = one.and_(pair(one, 0, MIDDLE), one.const(1 << 31))
    low = one.and_(pair(one, WORDS - 1, MIDDLE - 1), one.const((1 << 31) - 1))
    _store(one, one.or_(high, low), f.state, 0)
    f.ret()
