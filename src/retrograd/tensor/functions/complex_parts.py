"""Complex numbers: their parts, their views as pairs of numbers, and making them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core import apply, at, here, show_type, wrap
from ...ops import elementwise as e
from ...ops import shape as s
from ..dispatch import function, tensor_operand, to_default_float
from .comparing import isnan, where
from .conversion import copy_
from .joining import stack
from .pointwise import atan2, cos, mul, sin
from .shaping import transpose
from .strides import copied


@function("conj", out=False)
def conj(input: Any) -> Any:
    """Give the complex conjugate; real tensors themselves."""
    return apply(e.conj, input) if tensor_operand(input, "conj")._a.dtype.kind == "c" else input


@function("conj_physical", inplace=True, exact=True)
def conj_physical(input: Any) -> Any:
    """Give the complex conjugate; real tensors themselves."""
    return conj(input)


@function("resolve_conj", "resolve_neg", out=False)
def resolve_conj(input: Any) -> Any:
    """Give the tensor itself: no conjugation or negation is left pending."""
    return input


@function("is_conj", "is_neg", out=False)
def is_conj(input: Any) -> bool:
    """Tell whether a conjugation (a negation) is pending: never, they are computed at once."""
    return False


@function("real", method=False, out=False)
def real(input: Any) -> Any:
    """Give the real part: a view."""
    return apply(e.real_part, input) if tensor_operand(input, "real")._a.dtype.kind == "c" else input


@function("imag", method=False, out=False)
def imag(input: Any) -> Any:
    """Give the imaginary part: a view; RuntimeError for real tensors."""
    if tensor_operand(input, "imag")._a.dtype.kind != "c":
        raise RuntimeError(
            f"imag is not implemented for tensors with non-complex dtypes, such as {show_type(input)}{at(here())}"
        )
    return apply(e.imag_part, input)


def set_real(self: Any, value: Any) -> None:
    """Write the real part."""
    copy_(real(self), value)


def set_imag(self: Any, value: Any) -> None:
    """Write the imaginary part."""
    copy_(imag(self), value)


@function("angle")
def angle(input: Any) -> Any:
    """Give the angle of a complex number; 0 or pi for real ones."""
    if tensor_operand(input, "angle")._a.dtype.kind == "c":
        return atan2(imag(input), real(input))
    x = to_default_float(input)
    return where(isnan(x), x.detach(), where(x < 0, math.pi, 0.0 * abs(where(isnan(x) | ~(x - x == 0), 0.0, x))))


@function("isreal", out=False)
def isreal(input: Any) -> Any:
    """Tell where the imaginary part is zero."""
    if tensor_operand(input, "isreal")._a.dtype.kind == "c":
        return imag(input) == 0
    return wrap(np.ones(input._a.shape, np.bool_))


@function("view_as_real", method=False, out=False)
def view_as_real(input: Any) -> Any:
    """View complex numbers as pairs (real, imaginary) along a new last dimension."""
    if tensor_operand(input, "view_as_real")._a.dtype.kind != "c":
        raise RuntimeError(f"view_as_real is only supported for complex tensors, not {show_type(input)}{at(here())}")
    return apply(s.view_as_real, input)


@function("view_as_complex", method=False, out=False)
def view_as_complex(input: Any) -> Any:
    """View pairs along the last dimension, of length 2, as complex numbers."""
    a = tensor_operand(input, "view_as_complex")._a
    if a.dtype.kind != "f" or a.itemsize == 2:
        raise RuntimeError(
            f"view_as_complex is only supported for float and double tensors, but got {show_type(input)}{at(here())}"
        )
    if not a.ndim:
        raise RuntimeError(
            f"Input tensor must have one or more dimensions: view_as_complex of {show_type(input)}{at(here())}"
        )
    if a.shape[-1] != 2:
        raise RuntimeError(f"Tensor must have a last dimension of size 2, got {show_type(input)}{at(here())}")
    if a.strides[-1] != a.itemsize:
        raise RuntimeError(
            f"Tensor must have a last dimension with stride 1: contiguous() of {show_type(input)} has one{at(here())}"
        )
    if any(step % (2 * a.itemsize) for step in a.strides[:-1]):
        raise RuntimeError(
            f"Tensor must have a stride divisible by 2 for all but last dimension: {input.stride()}{at(here())}"
        )
    return apply(s.view_as_complex, input)


def complex_of(first: Any, second: Any) -> Any:
    """Give numbers of these real and imaginary parts (library use)."""
    parts = [x.expand(np.broadcast_shapes(first._a.shape, second._a.shape)) for x in (first, second)]
    return apply(s.view_as_complex, stack(parts, -1))


def _checked(name: str, x: Any, y: Any) -> None:
    for t in (tensor_operand(x, name), tensor_operand(y, name)):
        if t._a.dtype.kind != "f" or t._a.itemsize == 2:
            raise RuntimeError(
                f"Expected both inputs to be Half, Float or Double tensors but got {show_type(x)} and "
                f"{show_type(y)}: {name}"
            )
    if x._a.dtype != y._a.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {x.dtype} but got scalar type {y.dtype} for second argument: {name}"
        )


@function("complex", method=False, shown="ComplexBackward0")
def complex(real: Any, imag: Any) -> Any:
    """Make complex numbers of real and imaginary parts.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.complex(torch.tensor([1.0]), torch.tensor([2.0]))
    tensor([1.+2.j])
    """
    _checked("complex", real, imag)
    return complex_of(real, imag)


@function("polar", method=False)
def polar(abs: Any, angle: Any) -> Any:
    """Make complex numbers of magnitudes and angles: r cos(phi) + i r sin(phi)."""
    _checked("polar", abs, angle)
    return complex_of(mul(abs, cos(angle)), mul(abs, sin(angle)))


@function("adjoint", out=False)
def adjoint(input: Any) -> Any:
    """Give the conjugate transpose of the last two dimensions."""
    if not input._a.ndim:
        return conj(input)
    if input._a.ndim == 1:
        raise RuntimeError("tensor.adjoint() is only supported on matrices or batches of matrices. Got 1-D tensor.")
    return conj(transpose(input, -2, -1))


def batch_adjoint(x: Any) -> Any:
    """Give the conjugate transpose of matrices."""
    return adjoint(x)


def matrix_adjoint(x: Any) -> Any:
    """Give the conjugate transpose of one matrix."""
    if x._a.ndim not in (0, 2):
        raise RuntimeError(f"tensor.H is only supported on matrices (2-D tensors). Got {x._a.ndim}-D tensor: use mH")
    return adjoint(x)


view_as_real_copy = copied(view_as_real, "view_as_real_copy")
view_as_complex_copy = copied(view_as_complex, "view_as_complex_copy")
