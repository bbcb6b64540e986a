"""Questions about tensors: their dtypes, sizes and storage, and whether their values are equal or close."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import BaseTensor, show_type
from ...core import dtypes as _d
from ...ops.computed import computed
from ..dispatch import function, tensor_operand
from ..interop import asked
from .reductions import constant


@function("is_tensor", method=False, out=False)
def is_tensor(obj: Any) -> bool:
    """Tell whether an object is a Tensor."""
    return isinstance(obj, BaseTensor)


@function("_assert", method=False, out=False)
def _assert(condition: Any, message: str) -> None:
    """Raise AssertionError with this message unless the condition holds."""
    if not condition:
        raise AssertionError(message)


@function("is_floating_point", method=False, out=False)
def is_floating_point(input: Any) -> bool:
    """Tell whether a tensor's elements are floating-point numbers."""
    return bool(input.is_floating_point())


@function("is_complex", method=False, out=False)
def is_complex(input: Any) -> bool:
    """Tell whether a tensor's elements are complex."""
    return bool(input.is_complex())


@function("is_nonzero", out=False)
def is_nonzero(input: Any) -> bool:
    """Tell whether a single-element tensor is not zero."""
    if input._a.size != 1:
        raise RuntimeError(
            f"Boolean value of Tensor with {'more than one value' if input._a.size else 'no values'} is ambiguous"
        )
    asked(input, "bool")
    return bool(input._a.item())


@function("numel", method=False, out=False)
def numel(input: Any) -> int:
    """Give the number of elements."""
    return int(input._a.size)


@function("is_same_size", out=False)
def is_same_size(input: Any, other: Any) -> bool:
    """Tell whether two tensors have one shape."""
    return bool(input._a.shape == other._a.shape)


@function("equal", out=False)
def equal(input: Any, other: Any) -> bool:
    """Tell whether two tensors have the same shape and values."""
    asked(input, "bool")
    asked(other, "bool")
    return bool(input._a.shape == other._a.shape and np.array_equal(input._a, other._a))


@function("isclose", out=False)
def isclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Tell where |input - other| <= atol + rtol |other|."""
    tensor_operand(input, "isclose")
    tensor_operand(other, "isclose", "other", 2)
    if input._a.dtype != other._a.dtype:
        raise RuntimeError(f"{input.dtype} did not match {other.dtype}: isclose compares tensors of one dtype")
    if rtol < 0 or atol < 0:
        raise RuntimeError(f"rtol and atol must be greater than or equal to zero, but got {rtol} and {atol}")
    try:
        np.broadcast_shapes(input._a.shape, other._a.shape)
    except ValueError:
        raise RuntimeError(
            f"isclose: {show_type(input)} and {show_type(other)} do not broadcast: sizes must be equal, or 1"
        ) from None
    x, y = (t if t._a.dtype.kind != "V" else t.float() for t in (input, other))

    def close(a: Any, b: Any) -> Any:
        return np.isclose(a, b, rtol, atol, equal_nan)

    return constant(computed, *_one_rank(x, y), fn=close)


def _one_rank(x: Any, y: Any) -> list[Any]:
    """Give two tensors as many dimensions as the larger has."""
    n = max(x._a.ndim, y._a.ndim)
    return [v if v._a.ndim == n else v.reshape((1,) * (n - v._a.ndim) + v._a.shape) for v in (x, y)]


@function("allclose", out=False)
def allclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Tell whether every pair is close."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


@function("can_cast", method=False, out=False)
def can_cast(from_: _d.dtype, to: _d.dtype) -> bool:
    """Tell whether a cast keeps the kind of number."""
    return not (from_.category > to.category)


@function("promote_types", method=False, out=False)
def promote_types(type1: _d.dtype, type2: _d.dtype) -> _d.dtype:
    """Give the dtype in which two are computed together."""
    for place, given in enumerate((type1, type2), 1):
        if not isinstance(given, _d.dtype):
            raise TypeError(
                f"promote_types(): argument 'type{place}' (position {place}) must be torch.dtype, not {type(given).__name__}"
            )
    return _d.promote_types(type1, type2)


@function("result_type", method=False, out=False)
def result_type(tensor1: Any, tensor2: Any) -> _d.dtype:
    """Give the dtype of an arithmetic result of two tensors or numbers."""
    from ..dispatch import result_type as rule

    return rule(tensor1, tensor2)


@function("typename", method=False, out=False)
def typename(obj: Any) -> str:
    """Give the name of an object's type; a tensor's as ``torch.FloatTensor``."""
    if isinstance(obj, BaseTensor):
        return str(obj.type())
    kind = type(obj)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


@function("is_signed", method=False, out=False)
def is_signed(input: Any) -> bool:
    """Tell whether a tensor's elements have a sign."""
    return bool(input.is_signed())


@function("is_inference", method=False, out=False)
def is_inference(input: Any) -> bool:
    """Tell whether a tensor was made in inference mode."""
    return bool(input.is_inference())


@function("is_distributed", out=False)
def is_distributed(input: Any) -> bool:
    """Tell whether a tensor is spread over machines: never."""
    return False


@function("get_device", method=False, out=False)
def get_device(input: Any) -> int:
    """Give the number of a tensor's device: -1 for the CPU."""
    return int(input.get_device())


@function("detach", method=False, out=False)
def detach(input: Any) -> Any:
    """Give the same values, sharing memory, without history."""
    return input.detach()


@function("detach_", method=False, out=False)
def detach_(input: Any) -> Any:
    """Cut a tensor from its history, in place."""
    return input.detach_()


@function("dim_order", torch=False)
def dim_order(input: Any, *, ambiguity_check: Any = False) -> tuple[int, ...]:
    """Give the dimensions in the order in which they lie in memory, outermost first."""
    steps = input.stride()
    return tuple(sorted(range(len(steps)), key=lambda d: -steps[d]))


@function("is_set_to", torch=False)
def is_set_to(input: Any, tensor: Any) -> bool:
    """Tell whether two tensors are the same view of the same storage."""
    a, b = input._a, tensor._a
    return bool(
        a.shape == b.shape and a.strides == b.strides and a.__array_interface__["data"] == b.__array_interface__["data"]
    )
