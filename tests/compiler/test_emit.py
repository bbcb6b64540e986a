"""Generated arithmetic against NumPy's, for every kind and width, and the functions' control flow."""

from __future__ import annotations

import ctypes

import ml_dtypes
import numpy as np
import pytest

from compiler.native import DTYPES, Row, compile_rows, widths
from retrograd.compiler.codegen.emit import Module, mangled
from retrograd.compiler.codegen.kinds import literal
from retrograd.compiler.codegen.lanes import Lanes, total
from retrograd.compiler.runtime import jit

FLOATS = ("f32", "f64")
SIGNED = ("i8", "i16", "i32", "i64")
UNSIGNED = ("u8", "u16", "u32", "u64")
INTS = (*SIGNED, *UNSIGNED)


def sample(kind: str, seed: int) -> np.ndarray:
    """Numbers of a kind, its edges among them, in an order of their own; 203 of them, which no vector divides."""
    rng, dtype = np.random.default_rng(seed), np.dtype(DTYPES[kind])
    if kind == "bool":
        return rng.integers(0, 2, 203).astype(bool)
    if dtype.kind == "f":
        edges = [0.0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, np.inf, -np.inf, np.nan, 1e-40, 3e9, -3e9, 255.7, -0.9]
        with np.errstate(over="ignore"):
            numbers = np.concatenate([edges, rng.normal(0, 100, 203 - len(edges))]).astype(dtype)
    else:
        info = np.iinfo(dtype)
        edges = [0, 1, 2, 3, info.min, info.max, info.max - 1]
        numbers = np.concatenate(
            [np.array(edges, dtype), rng.integers(info.min, info.max, 203 - len(edges), dtype, True)]
        )
        numbers[40:120] = rng.integers(max(info.min, -9), 9, 80)
    return rng.permutation(numbers)


UNARY = {
    "neg": (lambda l, x: l.neg(x), np.negative, (*FLOATS, *INTS)),
    "abs": (lambda l, x: l.abs(x), np.abs, (*FLOATS, *INTS)),
    "rint": (lambda l, x: l.rint(x), np.rint, FLOATS),
    "floor": (lambda l, x: l.floor(x), np.floor, FLOATS),
    "ceil": (lambda l, x: l.ceil(x), np.ceil, FLOATS),
    "trunc": (lambda l, x: l.trunc(x), np.trunc, FLOATS),
    "sqrt": (lambda l, x: l.sqrt(x), np.sqrt, FLOATS),
    "not": (lambda l, x: l.not_(x), np.invert, ("bool", *INTS)),
    "const": (lambda l, x: l.const(3), lambda x: np.full_like(x, 3), (*FLOATS, *INTS)),
    "shift": (lambda l, x: l.shift("shl", x, 3), lambda x: x << 3, INTS),
}
BINARY = {
    "add": (lambda l, x, y: l.add(x, y), np.add, (*FLOATS, *INTS, "bool")),
    "sub": (lambda l, x, y: l.sub(x, y), np.subtract, (*FLOATS, *INTS)),
    "mul": (lambda l, x, y: l.mul(x, y), np.multiply, (*FLOATS, *INTS, "bool")),
    "div": (lambda l, x, y: l.div(x, y), np.divide, FLOATS),
    "div_floor": (lambda l, x, y: l.div_floor(x, y), np.floor_divide, INTS),
    "rem": (lambda l, x, y: l.rem(x, y), np.remainder, INTS),
    "rem_trunc": (lambda l, x, y: l.rem_trunc(x, y), np.fmod, (*FLOATS, *INTS)),
    "div_trunc": (lambda l, x, y: l.div_trunc(x, y), lambda x, y: _divided(x, y), INTS),
    "maximum": (lambda l, x, y: l.maximum(x, y), np.maximum, (*FLOATS, *INTS)),
    "minimum": (lambda l, x, y: l.minimum(x, y), np.minimum, (*FLOATS, *INTS)),
    "fmax": (lambda l, x, y: l.fmax(x, y), np.fmax, FLOATS),
    "fmin": (lambda l, x, y: l.fmin(x, y), np.fmin, FLOATS),
    "copysign": (lambda l, x, y: l.copysign(x, y), np.copysign, FLOATS),
    "and": (lambda l, x, y: l.and_(x, y), np.bitwise_and, (*INTS, "bool")),
    "or": (lambda l, x, y: l.or_(x, y), np.bitwise_or, (*INTS, "bool")),
    "xor": (lambda l, x, y: l.xor(x, y), np.bitwise_xor, (*INTS, "bool")),
    "shl": (lambda l, x, y: l.shl(x, y), np.left_shift, INTS),
    "shr": (lambda l, x, y: l.shr(x, y), np.right_shift, INTS),
    "pick": (lambda l, x, y: l.select(l.compare("lt", x, y), x, l.const(1)), lambda x, y: np.where(x < y, x, x.dtype.type(1)), (*FLOATS, *INTS)),
}  # fmt: skip
COMPARISONS = {
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}


def _divided(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The quotient toward zero."""
    q = np.floor_divide(x, y)
    return np.where((np.remainder(x, y) != 0) & ((x < 0) != (y < 0)), q + x.dtype.type(1), q).astype(x.dtype)


def equal(got: np.ndarray, want: np.ndarray) -> None:
    """Same bits, NaNs apart."""
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)
    if got.dtype.kind == "f":
        real = ~np.isnan(want)
        np.testing.assert_array_equal(np.signbit(got[real]), np.signbit(want[real]))


@pytest.mark.parametrize("kind", [*FLOATS, *INTS, "bool"])
def test_operations_are_numpys(kind: str) -> None:
    rows = {}
    for width in widths(kind):
        for name, (expression, _, kinds) in UNARY.items():
            if kind in kinds:
                rows[f"{name}_{width}"] = Row(kind, width, expression)
        for name, (expression, _, kinds) in BINARY.items():
            if kind in kinds:
                rows[f"{name}_{width}"] = Row(kind, width, expression, 2)
        for name in COMPARISONS:
            rows[f"{name}_{width}"] = Row(kind, width, lambda l, x, y, name=name: l.compare(name, x, y), 2, "bool")
    functions = compile_rows(rows)
    x, y = sample(kind, 1), sample(kind, 2)
    with np.errstate(all="ignore"):
        for name, function in functions.items():
            op = name.rsplit("_", 1)[0]
            if op in UNARY:
                equal(function(x), UNARY[op][1](x))
            else:
                reference = COMPARISONS[op] if op in COMPARISONS else BINARY[op][1]
                got, want = function(x, y), reference(x, y)
                if op in ("maximum", "minimum", "fmax", "fmin"):
                    got, want = got + x.dtype.type(0), want + x.dtype.type(0)  # which zero of two is open
                equal(got, want)


def test_a_fused_product_is_rounded_once() -> None:
    x, y, z = (np.random.default_rng(k).normal(size=100).astype(np.float32) for k in range(3))
    got = compile_rows({"fma": Row("f32", 4, lambda l, x, y, z: l.fma(x, y, z), 3)})["fma"](x, y, z)
    np.testing.assert_array_equal(got, (x.astype(np.float64) * y + z).astype(np.float32))


@pytest.mark.parametrize("source", [*FLOATS, *INTS, "bool", "f16"])
def test_conversions_are_numpys(source: str) -> None:
    targets = [k for k in DTYPES if k != source]
    rows = {
        f"{k}_{w}": Row(source, w, lambda l, x, k=k: l.convert(x, source, k), 1, k) for k in targets for w in (1, 8)
    }
    x = sample(source, 3)
    if np.dtype(DTYPES[source]).kind == "f":
        plain = np.isfinite(x) & (np.abs(x) < 120)  # beyond its range, what an integer becomes is the machine's choice
    else:
        plain = np.ones(x.size, bool)
    with np.errstate(all="ignore"):
        for name, function in compile_rows(rows).items():
            target = np.dtype(DTYPES[name.split("_")[0]])
            some = x[plain] if target.kind in "iu" else x
            if target.kind == "u" and x.dtype.kind == "f":
                some = np.abs(some)
            equal(function(some), some.astype(target))


@pytest.mark.parametrize("instructions", [True, False])
def test_numbers_of_two_bytes_are_rounded_once(instructions: bool) -> None:
    bits = np.arange(0, 2**32, 4093, dtype=np.uint64).astype(np.uint32)  # subnormal halves, and half-way cases
    x = np.concatenate(
        [
            bits.view(np.float32),
            np.float32([1 + 2**-8, 1 + 2**-8 + 2**-20, 3.4e38, 65519, 65520, 2**-25, np.nan, -np.nan]),
        ]
    )
    module = Module(jit.host().enabled if instructions else ())
    for kind in ("f16", "bf16"):
        f = module.function(f"round_{kind}", [("ptr", "x"), ("ptr", "y"), ("i64", "n")])
        lanes = Lanes(f, kind, 4)
        with f.loop(0, f.n, 4) as i:
            lanes.store(lanes.of("f32").load(f.x, i), f.y, i)
        f.ret()
        f = module.function(f"widen_{kind}", [("ptr", "x"), ("ptr", "y"), ("i64", "n")])
        lanes = Lanes(f, kind, 4)
        with f.loop(0, f.n, 4) as i:
            lanes.of("f32").store(lanes.load(f.x, i), f.y, i)
        f.ret()
    loaded = jit.build(module.text())
    x = x[: x.size // 4 * 4]
    for kind, dtype in (("f16", np.dtype(np.float16)), ("bf16", np.dtype(ml_dtypes.bfloat16))):
        y, back = np.zeros(x.size, dtype), np.zeros_like(x)
        arguments = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
        loaded.function(f"round_{kind}", None, *arguments)(x.ctypes.data, y.ctypes.data, x.size)
        loaded.function(f"widen_{kind}", None, *arguments)(y.ctypes.data, back.ctypes.data, x.size)
        with np.errstate(all="ignore"):
            want = x.astype(dtype)
        if kind == "bf16":
            np.testing.assert_array_equal(y.view(np.uint16), want.view(np.uint16))
        else:
            np.testing.assert_array_equal(y.astype(np.float32), want.astype(np.float32))
        np.testing.assert_array_equal(back, y.astype(np.float32))
        np.testing.assert_array_equal(np.signbit(back), np.signbit(y.astype(np.float32)))


def memory_module() -> jit.Loaded:
    """Loads and stores of every stride, gathers, scatters, and folds."""
    module = Module()
    arguments = [("ptr", "x"), ("ptr", "y"), ("i64", "s")]
    for kind in ("f32", "i8", "bool"):
        for stride in (0, 1, 3, "%s"):
            f = module.function(f"load_{kind}_{str(stride).strip('%')}", arguments)
            lanes = Lanes(f, kind, 8)
            lanes.store(lanes.load(f.x, 2, stride), f.y)
            f.ret()
        f = module.function(f"store_{kind}", arguments)
        lanes = Lanes(f, kind, 8)
        lanes.store(lanes.load(f.x), f.y, 0, f.s, mask=lanes.tail("5"))
        f.ret()
        f = module.function(f"splat_{kind}", arguments)
        lanes = Lanes(f, kind, 8)
        lanes.store(lanes.load(f.x, 0, 0, mask=lanes.tail(f.s)), f.y)
        f.ret()
    for kind in ("f32", "i64"):
        for fold in ("sum", "prod", "max", "min"):
            f = module.function(f"{fold}_{kind}", arguments)
            lanes = Lanes(f, kind, 8)
            lanes.of(kind, 1).store(getattr(lanes, fold)(lanes.load(f.x)), f.y)
            f.ret()
    f = module.function("scatter", arguments)
    lanes, places = Lanes(f, "f32", 4), Lanes(f, "i64", 4)
    where = places.iota("7")
    lanes.scatter(lanes.gather(f.x, places.mul(where, places.const(2))), f.y, where)
    f.ret()
    f = module.function("total", arguments)
    lanes = Lanes(f, "f32", 8)
    lanes.store(total(lanes, [lanes.load(f.x, 8 * k) for k in range(5)]), f.y)
    f.ret()
    return jit.build(module.text())


def test_memory_is_read_and_written_by_strides_and_masks() -> None:
    loaded = memory_module()

    def call(name: str, x: np.ndarray, y: np.ndarray, s: int = 0) -> np.ndarray:
        loaded.function(name, None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(x.ctypes.data, y.ctypes.data, s)
        return y

    for kind in ("f32", "i8", "bool"):
        x = sample("i8", 5)[:100].astype(DTYPES[kind])
        for stride in (0, 1, 3):
            y = np.zeros(8, x.dtype)
            want = x[np.arange(2, 10) * stride]
            np.testing.assert_array_equal(call(f"load_{kind}_{stride}", x, y), want)
            np.testing.assert_array_equal(call(f"load_{kind}_s", x, np.zeros(8, x.dtype), stride), want)
        for stride in (1, 2):
            y = np.zeros(16, x.dtype)
            call(f"store_{kind}", x, y, stride)
            want = np.zeros(16, x.dtype)
            want[: 5 * stride : stride] = x[:5]
            np.testing.assert_array_equal(y, want)
        x[0] = 1
        y = call(f"splat_{kind}", x, np.ones(8, x.dtype), 3)
        np.testing.assert_array_equal(y, np.arange(8) < 3)
        nowhere = np.zeros(8, x.dtype)
        loaded.function(f"splat_{kind}", None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(None, y.ctypes.data, 0)
        np.testing.assert_array_equal(y, nowhere)
    for kind in ("f32", "i64"):
        x = np.arange(1, 9).astype(DTYPES[kind])
        for fold in ("sum", "prod", "max", "min"):
            assert call(f"{fold}_{kind}", x, np.zeros(1, x.dtype))[0] == getattr(np, fold)(x)
    x = np.arange(64, dtype=np.float32)
    np.testing.assert_array_equal(call("scatter", x, np.zeros(12, np.float32))[7:11], [14, 16, 18, 20])
    np.testing.assert_array_equal(call("total", x, np.zeros(8, np.float32)), x[:40].reshape(5, 8).sum(0))


def test_loops_and_branches() -> None:
    module = Module()
    f = module.function("triangle", [("i64", "n")], "i64")
    with f.loop_carry(0, f.n, 1, [("i64", "0")]) as rows:
        with f.loop_carry(0, rows.i, 1, [("i64", rows.values[0])]) as row:
            row.set(f.op(f"add i64 {row.values[0]}, {row.i}"))
        rows.set(row.results[0])
    f.ret("i64", rows.results[0])
    f = module.function("clip", [("i64", "n")], "i64")
    low = f.op(f"icmp slt i64 {f.n}, 10")
    (value,) = f.choose(low, ["i64"], lambda: [f.op(f"mul i64 {f.n}, 2")], lambda: ["10"], unlikely=True)
    f.ret("i64", value)
    f = module.function("known", [("i64", "n")], "i64")
    with f.loop_carry(0, 10, 3, [("i64", f.n)]) as loop:
        loop.set(f.op(f"add i64 {loop.values[0]}, {loop.i}"))
    f.ret("i64", loop.results[0])
    f = module.function("flag", [("i64", "n")], "i64")
    place = f.alloca("i64")
    f.store("i64", "0", place)
    with f.if_(f.op(f"icmp sgt i64 {f.n}, 3")):
        f.store("i64", str(f.max(f.min(f.n, 7), 5)), place)
    f.ret("i64", f.load("i64", place))
    loaded = jit.build(module.text())
    for n in (-1, 0, 1, 2, 5, 11):
        triangle = sum(j for i in range(n) for j in range(i))
        results = {"triangle": triangle, "clip": 2 * n if n < 10 else 10, "known": n + 18}
        results["flag"] = min(max(min(n, 7), 5), 7) if n > 3 else 0
        for name, want in results.items():
            assert loaded.function(name, ctypes.c_int64, ctypes.c_int64)(n) == want, (name, n)


def test_what_is_wrong_is_said_while_writing() -> None:
    module = Module()
    f = module.function("f", [("i64", "n")])
    with pytest.raises(ValueError, match="no turn"), f.loop(3, 3):
        pass
    with pytest.raises(ValueError, match="set"), f.loop_carry(0, f.n, 1, [("i64", "0")]):
        pass
    with pytest.raises(ValueError, match="already"):
        module.function("f")
    with pytest.raises(AttributeError, match="parameter"):
        f.missing
    module.declare("sin", "double", ["double"])
    with pytest.raises(ValueError, match="twice"):
        module.declare("sin", "float", ["float"])


def test_llvms_refusal_names_the_kernel_and_keeps_the_text() -> None:
    with pytest.raises(RuntimeError, match="my kernel: LLVM refused") as caught:
        jit.build("define void @rg_f() { ret i32 1 }", "my kernel")
    assert "ret i32 1" in caught.value.text
    with pytest.raises(RuntimeError, match="could not be linked"):
        jit.build("declare void @nowhere()\ndefine void @rg_f() {\n call void @nowhere()\n ret void\n}\n", "my kernel")


def test_the_optimizing_passes_may_be_asked_for() -> None:
    module = Module()
    f = module.function("f", [("i64", "n")], "i64")
    f.ret("i64", f.op(f"add i64 {f.n}, 1"))
    loaded = jit.load(jit.assemble(module.text(), passes=True), jit.defined(module.text()))
    assert loaded.function("f", ctypes.c_int64, ctypes.c_int64)(41) == 42
    with pytest.raises(KeyError, match="has no symbol g"):
        loaded.address("g")


def test_names_and_literals() -> None:
    assert mangled("<4 x ptr>") == "v4p0"
    assert literal("f32", 1e60) == literal("f32", float("inf"))
    assert literal("i8", 128) == "-128"
