"""Numbers as mantissa and exponent, and norms under torch's older names."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ops.computed import computed
from .. import return_types
from ..dispatch import FUNCTIONS, METHODS, function, tensor_operand, type_name, write_out
from .matrix_norms import matrix_norm, vector_norm
from .reductions import constant


def frexp(input: Any, *, out: Any = None) -> Any:
    """Give (mantissa, exponent) with input = mantissa 2^exponent and 1/2 <= abs(mantissa) < 1; the exponent is int32.

    The mantissa's gradient is 2^-exponent. NotImplementedError for integers.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.frexp(torch.tensor([4.0, 0.75])).mantissa
    tensor([0.5000, 0.7500])
    """
    tensor_operand(input, "frexp")
    a = input._a
    if a.dtype.kind not in "fV":
        raise RuntimeError(
            f"torch.frexp() only supports floating-point dtypes, but got {type_name(a.dtype)}: use .float()"
        )
    exponent = constant(computed, input, fn=_exponent)
    first, second = (constant(computed, input, fn=scale) for scale in (_first_scale, _second_scale))
    found = return_types.frexp(input * first * second, exponent)
    return found if out is None else write_out(out, found, "frexp")


FUNCTIONS["frexp"] = METHODS["frexp"] = frexp


def _exponent(a: Any) -> Any:
    return np.frexp(a.astype(np.float32) if a.dtype.kind == "V" else a)[1].astype(np.int32)


def _first_scale(a: Any) -> Any:
    """Give the first of two powers of 2 that take the exponent away, neither of which overflows."""
    return np.ldexp(np.float64(1), -(_exponent(a) // 2)).astype(a.dtype)


def _second_scale(a: Any) -> Any:
    exponent = _exponent(a)
    return np.ldexp(np.float64(1), -(exponent - exponent // 2)).astype(a.dtype)


@function("frobenius_norm", method=False)
def frobenius_norm(input: Any, dim: Any, keepdim: bool = False) -> Any:
    """Give the root of the sum of squares over one or two dimensions.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.frobenius_norm(torch.tensor([[3.0, 4.0]]), [0, 1])
    tensor(5.)
    """
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    if len(dims) > 2:
        raise RuntimeError(f"Expected at most 2 dimensions, but got {len(dims)} dimensions instead. (frobenius_norm)")
    return vector_norm(input, 2, dims or None, keepdim)


@function("nuclear_norm", method=False)
def nuclear_norm(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Give the sum of a matrix's singular values.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nuclear_norm(torch.diag(torch.tensor([3.0, 4.0])))
    tensor(7.)
    """
    if isinstance(dim, bool):
        dim, keepdim = None, dim
    return matrix_norm(input, "nuc", (-2, -1) if dim is None else tuple(dim), keepdim)
