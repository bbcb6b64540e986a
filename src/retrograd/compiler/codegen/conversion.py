"""Numbers of one kind as numbers of another, and lanes as they are kept in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .emit import Value
from .kinds import KINDS

if TYPE_CHECKING:
    from .lanes import Lanes


def convert(l: Lanes, value: Value, source: str, target: str) -> Value:
    """Convert lanes of one kind to another; see :meth:`Lanes.convert`."""
    a, b = KINDS[source], KINDS[target]
    old, new = l.of(source).exact, l.of(target).exact
    if a == b:
        return value
    if b.sort == "b":
        return old.compare("ne", value, old.const(0))
    if a.sort == "b":
        return new.select(value, new.const(1), new.const(0))
    if a.sort == "f":
        return _between_floats(value, old, new) if b.sort == "f" else _to_integer(value, old, new)
    if b.sort == "f":
        return _from_integer(value, old, new)
    if a.size == b.size:
        return value
    return _cast("trunc" if a.size > b.size else ("sext" if a.sort == "s" else "zext"), value, old, new)


def _cast(op: str, value: Value, old: Lanes, new: Lanes) -> Value:
    return old.f.op(f"{op} {old.type} {value} to {new.type}")


def _to_integer(value: Value, old: Lanes, new: Lanes) -> Value:
    """Truncate; what is out of range becomes the low bits of a wider integer, as C's casts give on most machines."""
    if new.kind == "u64":
        return _cast("fptoui", value, old, new)
    middle = new.of("i64" if new.kind in ("u32", "i64") else "i32")
    number = _cast("fptosi", value, old, middle)
    return number if middle.item == new.item else _cast("trunc", number, middle, new)


def _from_integer(value: Value, old: Lanes, new: Lanes) -> Value:
    op = "sitofp" if old.sort == "s" else "uitofp"
    if new.kind == "f16" and old.row.size >= 4:  # float32 would round first, and then again
        wide = new.of("f64")
        return _between_floats(_cast(op, value, old, wide), wide, new)
    number = _cast(op, value, old, new)
    return settle(new, number) if new.row.size == 2 else number


def _between_floats(value: Value, old: Lanes, new: Lanes) -> Value:
    if new.kind == "f64":
        return _cast("fpext", value, old, new)
    if old.kind == "f64":
        value = _to_odd(value, old, new) if new.kind == "f16" else _cast("fptrunc", value, old, new)
    return settle(new, value) if new.row.size == 2 else value


def _to_odd(value: Value, wide: Lanes, single: Lanes) -> Value:
    """Narrow f64 to f32, inexact results to the neighbour with an odd last bit: a further rounding is then right."""
    near = _cast("fptrunc", value, wide, single)
    back = _cast("fpext", near, single, wide)
    ints, bits = single.ints, single.bits(near)
    beyond = wide.compare("gt", wide.abs(back), wide.abs(value))
    toward_zero = ints.select(beyond, ints.sub(bits, ints.const(1)), bits)
    odd = ints.or_(toward_zero, ints.const(1))
    return single.from_bits(ints.select(wide.compare("une", back, value), odd, bits))


def settle(l: Lanes, value: Value) -> Value:
    """Round float32 lanes to what a kind of two bytes can hold."""
    return widen(l, narrow(l, value))


def narrow(l: Lanes, value: Value) -> Value:
    """Give lanes as they are kept in memory."""
    if l.sort == "b":
        return l.f.op(f"zext {l.type} {value} to {l.memory}")
    if l.kind == "f16":
        return l.f.op(f"fptrunc {l.type} {value} to {l.memory}") if _converts_halves(l) else _to_half(l, value)
    if l.kind != "bf16":
        return value
    # In integers, because machines with an instruction for it flush subnormal numbers.
    ints, bits = l.ints, l.bits(value)
    last = ints.and_(ints.shift("lshr", bits, 16), ints.const(1))
    rounded = ints.add(ints.add(bits, last), ints.const(0x7FFF))
    quiet = ints.or_(ints.and_(bits, ints.const(-1 << 31)), ints.const(0x7FC00000))
    kept = ints.shift("lshr", ints.select(l.isnan(value), quiet, rounded), 16)
    return l.f.op(f"trunc {ints.type} {kept} to {l.memory}")


def widen(l: Lanes, value: Value) -> Value:
    """Give lanes of memory as they are computed with."""
    if l.sort == "b":
        return l.f.op(f"icmp ne {l.memory} {value}, {'0' if l.width == 1 else 'zeroinitializer'}")
    if l.kind == "f16":
        return l.f.op(f"fpext {l.memory} {value} to {l.type}") if _converts_halves(l) else _from_half(l, value)
    if l.kind == "bf16":
        ints = l.ints
        bits = l.f.op(f"zext {l.memory} {value} to {ints.type}")
        return l.from_bits(ints.shift("shl", bits, 16))
    return value


def _converts_halves(l: Lanes) -> bool:
    """Tell whether the machine has instructions for float16; where it has none, LLVM would call a library that is not there."""
    return not l.f.module.features.isdisjoint({"f16c", "neon", "avx512f"})


def _to_half(l: Lanes, value: Value) -> Value:
    """Round float32 to float16 in integers: normal, subnormal (by adding 1/2, whose last bit is the smallest half), beyond."""
    ints, bits = l.ints, l.bits(value)
    sign = ints.and_(bits, ints.const(-1 << 31))
    a = ints.xor(bits, sign)
    last = ints.and_(ints.shift("lshr", a, 13), ints.const(1))
    rebased = ints.add(ints.add(a, last), ints.const(((15 - 127) << 23) + 0xFFF))
    normal = ints.minimum(ints.shift("lshr", rebased, 13), ints.const(0x7C00))
    small = ints.sub(l.bits(l.exact.add(l.from_bits(a), l.const(0.5))), ints.const(0x3F000000))
    half = ints.select(ints.compare("lt", a, ints.const(0x38800000)), small, normal)
    payload = ints.or_(ints.and_(ints.shift("lshr", a, 13), ints.const(0x3FF)), ints.const(0x7E00))
    half = ints.select(ints.compare("gt", a, ints.const(0x7F800000)), payload, half)
    half = ints.or_(half, ints.shift("lshr", sign, 16))
    words = l.of("i16")
    return l.f.op(f"bitcast {words.type} {_cast('trunc', half, ints, words)} to {l.memory}")


def _from_half(l: Lanes, value: Value) -> Value:
    """Widen float16 in integers; subnormal halves become normal by one subtraction."""
    ints, words = l.ints, l.of("i16")
    half = _cast("zext", l.f.op(f"bitcast {l.memory} {value} to {words.type}"), words, ints)
    sign = ints.shift("shl", ints.and_(half, ints.const(0x8000)), 16)
    a = ints.shift("shl", ints.and_(half, ints.const(0x7FFF)), 13)
    normal = ints.add(a, ints.const((127 - 15) << 23))
    large = ints.compare("ge", a, ints.const(0x7C00 << 13))
    normal = ints.select(large, ints.add(normal, ints.const((127 - 15) << 23)), normal)
    small = l.bits(l.exact.sub(l.from_bits(ints.add(a, ints.const(113 << 23))), l.const(2.0**-14)))
    small = ints.select(ints.compare("lt", a, ints.const(0x400 << 13)), small, normal)
    return l.from_bits(ints.or_(small, sign))
