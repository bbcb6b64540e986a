"""Smooth activation functions, and relu: each is a line or two of Tensor operations."""

from __future__ import annotations

import math
from typing import Any

from ...core import apply, dtypes
from ...ops.elementwise import relu as relu_op
from ...ops.elementwise import softplus as _softplus
from ...tensor.composed import composed
from ...tensor.dispatch import labelled, shown_as, type_name
from ...tensor.functions.reductions import narrowed, widened
from .. import _functions as T
from ._common import in_place, require_floats

_SELU_ALPHA = 1.6732632423543772848170429916717  # Klambauer et al. 2017, for zero mean and unit variance
_SELU_SCALE = 1.0507009873554804934193349852946
_SINGLE = (dtypes.float32, dtypes.float16, dtypes.bfloat16)


def relu(input: Any, inplace: bool = False) -> Any:
    """Keep what is positive: y = max(x, 0).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.relu(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    if inplace:
        return T.relu_(input)
    if input._a.dtype.kind == "f":
        return apply(relu_op, input)
    return T.relu(input)


def relu_(input: Any) -> Any:
    """Keep what is positive, in place."""
    return T.relu_(input)


def sigmoid(input: Any) -> Any:
    """Squash to (0, 1): y = 1 / (1 + exp(-x)).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.sigmoid(torch.tensor(0.0))
    tensor(0.5000)
    """
    return T.sigmoid(input)


def tanh(input: Any) -> Any:
    """Squash to (-1, 1): y = tanh(x).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.tanh(torch.tensor(0.0))
    tensor(0.)
    """
    return T.tanh(input)


def _require_real(name: str, input: Any) -> None:
    if input.is_complex():
        raise NotImplementedError(f"\"{name}\" not implemented for '{type_name(input._a.dtype)}'")


@composed("EluBackward0")
def _elu(x: Any, alpha: float, scale: float, rate: float) -> Any:
    given, x = x, widened(x)
    # the exponential sees no positive number, so it cannot overflow where it is not chosen
    low = T.where(x > 0, 0.0, x)
    below = T.expm1(low * rate if rate != 1 else low)
    if alpha * scale != 1:
        below = below * (alpha * scale)
    return narrowed(T.where(x > 0, x * scale if scale != 1 else x, below), given)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """Approach -alpha below: y = x where x > 0, else alpha * (exp(x) - 1).

    Source: Clevert et al. 2015, https://arxiv.org/abs/1511.07289.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.elu(torch.tensor([-100.0, 2.0]))
    tensor([-1.,  2.])
    """
    require_floats("elu", input)
    return in_place(lambda x: _elu(x, alpha, 1, 1), input) if inplace else _elu(input, alpha, 1, 1)


def elu_(input: Any, alpha: float = 1.0) -> Any:
    """Approach -alpha below, in place."""
    return elu(input, alpha, inplace=True)


def selu(input: Any, inplace: bool = False) -> Any:
    """Scaled elu, which keeps mean 0 and variance 1: y = 1.0507 * (x where x > 0, else 1.6733 * (exp(x) - 1)).

    Source: Klambauer et al. 2017, https://arxiv.org/abs/1706.02515.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.selu(torch.tensor([-100.0, 1.0]))
    tensor([-1.7581,  1.0507])
    """
    require_floats("selu", input)
    return in_place(selu, input) if inplace else _elu(input, _SELU_ALPHA, _SELU_SCALE, 1)


def selu_(input: Any) -> Any:
    """Scaled elu, in place."""
    return selu(input, inplace=True)


@shown_as("CeluBackward0")
def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """Elu with a continuous slope: y = x where x > 0, else alpha * (exp(x / alpha) - 1).

    Raises RuntimeError for ``alpha`` = 0. Source: Barron 2017, https://arxiv.org/abs/1704.07483.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.celu(torch.tensor([-100.0, 1.0]), 2.0)
    tensor([-2.,  1.])
    """
    require_floats("celu", input)
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return in_place(lambda x: celu(x, alpha), input) if inplace else _elu(input, alpha, 1, 1 / alpha)


def celu_(input: Any, alpha: float = 1.0) -> Any:
    """Elu with a continuous slope, in place."""
    return celu(input, alpha, inplace=True)


def gelu(input: Any, *, approximate: str = "none") -> Any:
    """Weigh by the normal distribution: y = x * Phi(x) = x * (1 + erf(x / sqrt(2))) / 2.

    ``approximate="tanh"``: y = x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))). RuntimeError for another word.

    Source: Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.gelu(torch.tensor([-1.0, 1.0]))
    tensor([-0.1587,  0.8413])
    """
    require_floats("gelu", input)
    if approximate == "none":
        return _gelu(input)
    if approximate == "tanh":
        return _gelu_by_tanh(input)
    raise RuntimeError("approximate argument must be either none or tanh.")


@composed("GeluBackward0")
def _gelu(x: Any) -> Any:
    return x * 0.5 * (T.erf(x * math.sqrt(0.5)) + 1)


@composed("GeluBackward0")
def _gelu_by_tanh(x: Any) -> Any:
    # (1 + tanh(u)) / 2 = sigmoid(2u)
    twice = 2 * math.sqrt(2 / math.pi)
    return x * T.sigmoid(x * (x * x * (twice * 0.044715) + twice))


@composed("SiluBackward0")
def _silu(x: Any) -> Any:
    return x * T.sigmoid(x)


def silu(input: Any, inplace: bool = False) -> Any:
    """Weigh by the sigmoid: y = x * sigmoid(x).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.silu(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7311])
    """
    require_floats("silu", input)
    return in_place(silu, input) if inplace else _silu(input)


@composed("MishBackward0")
def _mish(x: Any) -> Any:
    return x * T.tanh(_softplus(x))


def mish(input: Any, inplace: bool = False) -> Any:
    """Smooth and self-gated: y = x * tanh(softplus(x)).

    Source: Misra 2019, https://arxiv.org/abs/1908.08681.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.mish(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8651])
    """
    require_floats("mish", input)
    _require_real("mish_cpu", input)
    return in_place(mish, input) if inplace else _mish(input)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """Smooth relu: y = log(1 + exp(beta * x)) / beta, and x itself where beta * x > threshold.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.softplus(torch.tensor([0.0, 100.0]))
    tensor([  0.6931, 100.0000])
    """
    require_floats("softplus", input)
    _require_real("softplus_cpu", input)
    if beta != 1 and widened(input) is not input:
        return narrowed(softplus(widened(input), beta, threshold), input)
    smooth = _softplus(input) if beta == 1 else _softplus(input * beta) * (1 / beta)
    if threshold >= 20 and input.dtype in _SINGLE:
        return smooth  # beyond 20 the two are the same number in these dtypes
    return T.where(input * beta > threshold, input, smooth)


@shown_as("LogSigmoidBackward0")
def logsigmoid(input: Any) -> Any:
    """Logarithm of the sigmoid: y = -log(1 + exp(-x)), without overflow.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.logsigmoid(torch.tensor([-100.0, 0.0]))
    tensor([-100.0000,   -0.6931])
    """
    require_floats("logsigmoid", input)
    _require_real("log_sigmoid_cpu", input)
    return -_softplus(-input)


def tanhshrink(input: Any) -> Any:
    """What tanh takes away: y = x - tanh(x).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.tanhshrink(torch.tensor(1.0))
    tensor(0.2384)
    """
    return input - T.tanh(input)


def softsign(input: Any) -> Any:
    """Squash to (-1, 1) slowly: y = x / (1 + abs(x)).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.softsign(torch.tensor([-1.0, 3.0]))
    tensor([-0.5000,  0.7500])
    """
    return input / (T.abs(input) + 1)


def glu(input: Any, dim: int = -1) -> Any:
    """Gate one half by the other: y = a * sigmoid(b), where a and b are the halves of x along ``dim``.

    Raises RuntimeError for an odd size or a 0-d input.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.glu(torch.tensor([2.0, 0.0]))
    tensor([1.])
    """
    if input.dim() == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    if input.size(dim) % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim} is size {input.size(dim)}")
    require_floats("glu", input)
    kept, gate = input.chunk(2, dim)
    return labelled(kept * T.sigmoid(gate), "GluBackward0")
