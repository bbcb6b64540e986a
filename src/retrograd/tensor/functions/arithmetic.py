"""Sums, products, quotients, remainders and powers, elementwise with promotion."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from ...core import MODE, BaseTensor, apply, at, here, show_type, wrap
from ...core import dtypes as _d
from ...core.rows import SparseOperand
from ...ops import elementwise as e
from ..composed import composed
from ..dispatch import (
    BESIDE_NUMBERS,
    METHODS,
    as_dtype,
    binary,
    function,
    in_place,
    labelled,
    one_tensor,
    operand,
    refused,
    result_type,
    scalar,
    tensor_operand,
    unary,
    with_sparse,
)
from ..early import numbers_last


def _wide(x: Any) -> Any:
    """Give an operand in float32, or a number."""
    return as_dtype(x, _d.float32) if isinstance(x, BaseTensor) else x


def _beside(op: Any) -> Any:
    """Give how an op of a half precision and a number is computed: in float32, and rounded once."""

    def wide(x: Any, y: Any) -> Any:
        return e.cast(apply(op, _wide(x), _wide(y)), dtype=result_type(x, y).numpy)

    return wide


BESIDE_NUMBERS[e.mul] = composed("MulBackward0")(_beside(e.mul))
BESIDE_NUMBERS[e.div] = composed("DivBackward0")(_beside(e.div))
BESIDE_NUMBERS[e.floor_divide], BESIDE_NUMBERS[e.trunc_divide] = _beside(e.floor_divide), _beside(e.trunc_divide)


@composed("AddBackward0")
def _sum_scaled(x: Any, y: Any, alpha: Any) -> Any:
    # both summands and alpha are rounded before, as in torch, and the sum once
    d = result_type(x, y).numpy
    x, y, alpha = [
        e.cast(t, dtype=d) if isinstance(t, BaseTensor) else float(np.asarray(t).astype(d)) for t in (x, y, alpha)
    ]
    return e.cast(
        apply(e.add, _wide(x), apply(e.mul, _wide(y), alpha) if isinstance(y, BaseTensor) else y * alpha), dtype=d
    )


def _is_narrow(*xs: Any) -> bool:
    """Tell whether operands meet in a half precision, and one of them at least is a tensor of it."""
    d = result_type(*xs)
    return d.numpy.itemsize == 2 and d.category == _d.FLOATING


def is_bool(x: Any) -> bool:
    """Tell whether an operand is a tensor of bools, or True or False (library use)."""
    return bool(x._a.dtype.kind == "b") if isinstance(x, BaseTensor) else isinstance(x, (bool, np.bool_))


def _scaled(x: Any, other: Any, alpha: Any, name: str) -> Any:
    """Give alpha * other; RuntimeError where alpha is of a higher kind of number than the result."""
    d = result_type(operand(x, name, "input"), operand(other, name))
    if isinstance(alpha, float) and d.category < _d.FLOATING:
        raise RuntimeError(f"For integral input tensors, argument alpha must not be a floating point number ({name}).")
    if isinstance(alpha, complex) and d.category < _d.COMPLEX:
        raise RuntimeError(f"For non-complex input tensors, argument alpha must not be a complex number ({name}).")
    if isinstance(alpha, bool) and d.category:
        raise RuntimeError(f"Boolean alpha only supported for Boolean results ({name}).")
    if not d.category:
        return other if alpha else _nothing(other)
    return mul(as_dtype(other, d), alpha) if isinstance(other, BaseTensor) else other * alpha


def _nothing(x: Any) -> Any:
    return wrap(np.zeros_like(x._a)) if isinstance(x, BaseTensor) else False


@function("add", inplace=True)
@numbers_last
def add(input: Any, other: Any, *early: Any, alpha: Any = 1) -> Any:
    """Add, elementwise with broadcasting: ``input + alpha * other``."""
    if early:
        return add.reordered(input, other, *early)  # type: ignore[attr-defined]
    if alpha != 1 or alpha is True:
        try:
            if isinstance(alpha, (int, float)) and _is_narrow(operand(input, "add", "input"), operand(other, "add")):
                return _sum_scaled(input, other, alpha)
            other = _scaled(input, other, alpha, "add")
        except SparseOperand:
            return with_sparse("add", (input, other), {"alpha": alpha})
    if is_bool(input) and is_bool(other):
        return binary(e.logical_or, input, other, "add")
    return binary(e.add, input, other, "add")


def _no_bools(x: Any, y: Any) -> None:
    """Raise RuntimeError where bools would be subtracted."""
    a, b = is_bool(x), is_bool(y)
    if a and b:
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported, "
            "use the `^` or `logical_xor()` operator instead."
        )
    if a or b:
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. "
            "If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
        )


@function("sub", "subtract", inplace=True)
@numbers_last
def sub(input: Any, other: Any, *early: Any, alpha: Any = 1) -> Any:
    """Subtract, elementwise with broadcasting: ``input - alpha * other``."""
    if early:
        return sub.reordered(input, other, *early)  # type: ignore[attr-defined]
    try:
        _no_bools(input, other)
    except SparseOperand:
        return with_sparse("sub", (input, other), {"alpha": alpha})
    if alpha != 1:
        if isinstance(alpha, (int, float)) and _is_narrow(operand(input, "sub", "input"), operand(other, "sub")):
            return _sum_scaled(input, other, -alpha)
        other = _scaled(input, other, alpha, "sub")
    return binary(e.sub, input, other, "sub")


@function("rsub", out=False)
def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """Subtract the other way round: ``other - alpha * input``."""
    _no_bools(tensor_operand(input, "rsub"), other)
    if alpha != 1:
        input = _scaled(other, input, alpha, "rsub")
    return labelled(binary(e.sub, other, input, "rsub"), f"RsubBackward{int(not isinstance(other, BaseTensor))}")


@function("mul", "multiply", inplace=True)
def mul(input: Any, other: Any) -> Any:
    """Multiply, elementwise with broadcasting."""
    return binary(e.mul, input, other, "mul")


@function("div", "divide", inplace=True)
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """Divide, elementwise with broadcasting; integers give floats unless ``rounding_mode`` is "floor" or "trunc"."""
    if rounding_mode is None:
        return binary(e.div, input, other, "div", floating=True)
    if rounding_mode == "floor":
        return _quotient(e.floor_divide, input, other, "div_floor")
    if rounding_mode == "trunc":
        return _quotient(e.trunc_divide, input, other, "div_trunc")
    raise RuntimeError(f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'")


@function("true_divide", inplace=True)
def true_divide(input: Any, other: Any) -> Any:
    """Divide, giving floats."""
    return binary(e.div, input, other, "true_divide", floating=True)


def _quotient(op: Any, x: Any, y: Any, name: str) -> Any:
    """Divide real numbers; RuntimeError where integers are divided by zero."""
    if isinstance(y, BaseTensor):
        zero = y._a.dtype.kind in "iu" and not y._a.all()
    else:
        zero = not y
    if zero and result_type(operand(x, name), operand(y, name)).category == _d.INTEGRAL:
        raise RuntimeError(f"ZeroDivisionError: {name} of integers by zero{at(here())}")
    return binary(op, x, y, name, kinds="fViu")


@function("floor_divide", inplace=True)
def floor_divide(input: Any, other: Any) -> Any:
    """Divide and round towards minus infinity; RuntimeError for integers divided by zero."""
    return _quotient(e.floor_divide, input, other, "floor_divide")


@function("remainder", inplace=True)
def remainder(input: Any, other: Any) -> Any:
    """Give the remainder with the divisor's sign; RuntimeError for integers divided by zero."""
    one_tensor(input, other, "remainder")
    return _quotient(e.remainder, input, other, "remainder")


@function("fmod", inplace=True)
def fmod(input: Any, other: Any) -> Any:
    """Give the remainder with the dividend's sign; RuntimeError for integers divided by zero."""
    return _quotient(e.float_mod, tensor_operand(input, "fmod"), other, "fmod")


@function("pow", inplace=True)
def pow(input: Any, exponent: Any) -> Any:
    """Raise to a power, elementwise with broadcasting."""
    if isinstance(input, BaseTensor):
        if exponent.__class__ is int and exponent == 2 and input._a.dtype.kind in "fcV":
            return apply(e.square, input)
        if isinstance(exponent, BaseTensor):
            if not exponent._a.ndim and not exponent.requires_grad and MODE.trace is None:
                d = result_type(input, exponent)
                if d.numpy == input._a.dtype and d.category and not (d.numpy.kind == "i" and exponent._a < 0):
                    exponent = exponent.item()
        elif isinstance(exponent, int) and exponent < 0 and input._a.dtype.kind in "iu":
            raise RuntimeError(
                f"Integers to negative integer powers are not allowed: {show_type(input)} to the power {exponent}; "
                f"convert the base to a floating dtype first{at(here())}"
            )
        elif isinstance(exponent, bool) and is_bool(input):
            return input.clone() if exponent else wrap(np.ones_like(input._a))
        if scalar(exponent) == 2 and input._a.dtype.kind in "fcV" and not isinstance(exponent, complex):
            return apply(e.square, input)
    one_tensor(input, exponent, "pow")
    return binary(e.power, input, exponent, "pow", kinds="fcViu")


@function("float_power", exact=True)
def float_power(input: Any, exponent: Any) -> Any:
    """Raise to a power in double precision."""
    one_tensor(input, exponent, "float_power")
    pair = (operand(input, "float_power", "input"), operand(exponent, "float_power", "exponent"))
    d = _d.complex128 if result_type(*pair).is_complex else _d.float64
    xs = [as_dtype(x, d) if isinstance(x, BaseTensor) else wrap(np.asarray(x, d.numpy)) for x in pair]
    return binary(e.power, xs[0], xs[1], "float_power")


def _float_power_(self: Any, exponent: Any) -> Any:
    """Write the power into this tensor, which must be of double precision."""
    d = float_power(self.detach(), exponent.detach() if isinstance(exponent, BaseTensor) else exponent).dtype
    if self._a.dtype != d.numpy:
        raise RuntimeError(
            f"the base given to float_power_ has dtype {self.dtype} but the operation's result requires dtype "
            f"{d}{at(here())}"
        )
    return in_place(float_power, "float_power")(self, exponent)


METHODS["float_power_"] = _float_power_


@function("square", inplace=True)
def square(input: Any) -> Any:
    """Multiply by itself."""
    return pow(tensor_operand(input, "square"), 2)


@function("neg", "negative", inplace=True, exact=True)
def neg(input: Any) -> Any:
    """Change the sign."""
    if is_bool(input):
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. "
            "If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
        )
    return unary(e.neg, input, "neg", floating=False)


@function("positive", out=False)
def positive(input: Any) -> Any:
    """Give the tensor itself; RuntimeError for bools."""
    if is_bool(tensor_operand(input, "positive")):
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


@function("abs", "absolute", inplace=True, exact=True)
def abs(input: Any) -> Any:
    """Give the magnitude."""
    return unary(e.absolute, input, "abs", floating=False, kinds="fcViu")


@function("sign", inplace=True, exact=True, shown="SignBackward0")
def sign(input: Any) -> Any:
    """Give -1, 0 or 1."""
    if tensor_operand(input, "sign")._a.dtype.kind == "c":
        raise NotImplementedError("torch.sign does not take complex numbers: use torch.sgn")
    return sgn(input)


@function("sgn", inplace=True, exact=True)
def sgn(input: Any) -> Any:
    """Give x / |x|, 0 at 0: the sign of complex numbers too."""
    kind = tensor_operand(input, "sgn")._a.dtype.kind
    if kind == "c":
        size = apply(e.absolute, input)
        return div(input, apply(e.where, size == 0, math.inf, size))  # at 0 its slope is taken as 0
    return input.clone() if kind == "b" else apply(e.sign, input)


@function("ldexp", inplace=True)
def ldexp(input: Any, other: Any) -> Any:
    """Give input * 2^other."""
    tensor_operand(other, "ldexp", "other", 2)
    if tensor_operand(input, "ldexp")._a.dtype.kind in "fV" and other._a.dtype.kind in "iub":
        if other._a.dtype.kind == "b":
            raise refused("ldexp", other.dtype)
        return as_dtype(mul(input, pow(2.0, as_dtype(other, _d.float64))), input.dtype)
    base = 2.0 if input._a.dtype.kind != "c" else wrap(np.asarray(2, input._a.dtype))
    return mul(input, pow(base, other))


def _tensors(name: str, *xs: Any) -> None:
    for i, x in enumerate(xs):
        tensor_operand(x, name, f"tensor{i}" if i else "input", i + 1)


@function("lerp", inplace=True)
def lerp(input: Any, end: Any, weight: Any) -> Any:
    """Give input + weight * (end - input), exact at the weights 0 and 1."""
    _tensors("lerp", input, end)
    for x, which in ((end, "end"), (weight, "weight")):
        if isinstance(x, BaseTensor) and x._a.dtype != input._a.dtype:
            raise RuntimeError(
                f"expected dtype {input.dtype} for `{which}` but got dtype {x.dtype}: lerp needs one dtype{at(here())}"
            )
    if input._a.dtype.kind not in "fcV":
        raise refused("lerp", input.dtype)
    if _is_narrow(input):
        return as_dtype(lerp(_wide(input), _wide(end), _wide(weight)), input.dtype)
    return labelled(
        _between(input, end, weight), f"LerpBackward{int(isinstance(weight, BaseTensor))}", (input, end, weight)
    )


def _between(input: Any, end: Any, weight: Any) -> Any:
    step = sub(end, input)
    if isinstance(weight, BaseTensor):
        near = add(input, mul(weight, step))
        return apply(e.where, apply(e.lt, apply(e.absolute, weight), 0.5), near, sub(end, mul(step, sub(1.0, weight))))
    if builtins.abs(weight) < 0.5:
        return add(input, mul(step, weight))
    return sub(end, mul(step, 1.0 - weight))


@function("addcmul", inplace=True, shown="AddcmulBackward0")
@numbers_last
def addcmul(input: Any, tensor1: Any, tensor2: Any, *early: Any, value: Any = 1) -> Any:
    """Give input + value * tensor1 * tensor2."""
    if early:
        return addcmul.reordered(input, tensor1, tensor2, *early)  # type: ignore[attr-defined]
    _tensors("addcmul", input, tensor1, tensor2)
    d = result_type(input, tensor1, tensor2)
    if not d.category:
        raise refused("addcmul", d)
    if d.category < _d.FLOATING:
        value = int(value)
    xs = [as_dtype(x, d) for x in (input, tensor1, tensor2)]
    if _is_narrow(*xs):
        return as_dtype(addcmul(*map(_wide, xs), value=value), d)
    product = mul(xs[1], xs[2])
    return add(xs[0], product if value == 1 else mul(product, value))


@function("addcdiv", inplace=True, shown="AddcdivBackward0")
@numbers_last
def addcdiv(input: Any, tensor1: Any, tensor2: Any, *early: Any, value: Any = 1) -> Any:
    """Give input + value * tensor1 / tensor2."""
    if early:
        return addcdiv.reordered(input, tensor1, tensor2, *early)  # type: ignore[attr-defined]
    _tensors("addcdiv", input, tensor1, tensor2)
    if tensor1._a.dtype.kind in "iub" and tensor2._a.dtype.kind in "iub":
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported: convert tensor1 or tensor2 to a floating "
            "dtype first, "
            "or write input + value * torch.div(tensor1, tensor2, rounding_mode='trunc')"
        )
    d = result_type(input, tensor1, tensor2)
    xs = [as_dtype(x, d) for x in (input, tensor1, tensor2)]
    if _is_narrow(*xs):
        return as_dtype(addcdiv(*map(_wide, xs), value=value), d)
    quotient = div(xs[1], xs[2])
    return add(xs[0], quotient if value == 1 else mul(quotient, value))
