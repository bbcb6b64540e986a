"""How a tensor is written: the text of its repr, the options that govern it, and f-strings of 0-d tensors.

The layout is torch's, to the character: one pair of decisions (integer-looking or not, scientific or not) and one
column width for the whole tensor, taken from its finite non-zero elements; lines filled up to `linewidth`; tensors
above `threshold` elements cut to their `edgeitems` before anything is formatted, so printing costs the same however
large the tensor is. Complex tensors make the two decisions separately for the real and the imaginary parts.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from retrograd.core import MetaArray
from retrograd.core.dtypes import get_default_dtype

__all__ = [
    "PRINT_OPTIONS",
    "PrintOptions",
    "get_printoptions",
    "printoptions",
    "set_printoptions",
    "tensor_format",
    "tensor_repr",
]

Array = np.ndarray[Any, Any]


@dataclasses.dataclass
class PrintOptions:
    """The settings every repr reads.

    Attributes
    ----------
    precision : int
        Digits after the decimal point.
    threshold : float
        Number of elements above which a tensor is summarised.
    edgeitems : int
        Elements shown at each end of a summarised dimension.
    linewidth : int
        Columns before a line is broken.
    sci_mode : bool or None
        Scientific notation: always, never, or (None) chosen from the values.
    """

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


PRINT_OPTIONS = PrintOptions()

PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Change how tensors are printed from now on.

    A profile is applied first, the single options over it; options left at None keep their value, except `sci_mode`,
    which None gives back to the values (as in torch). An unknown profile changes nothing.

    Parameters
    ----------
    precision : int, optional
        Digits after the decimal point (4).
    threshold : float, optional
        Number of elements above which a tensor is summarised (1000).
    edgeitems : int, optional
        Elements shown at each end of a summarised dimension (3).
    linewidth : int, optional
        Columns before a line is broken (80).
    profile : {"default", "short", "full"}, optional
        A named set of the four options above.
    sci_mode : bool, optional
        Scientific notation always (True), never (False), or chosen from the values (None).

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.tensor.printing import set_printoptions, tensor_repr
    >>> set_printoptions(precision=2)
    >>> tensor_repr(np.float32([1.12345]))
    'tensor([1.12])'
    >>> set_printoptions(profile="default")
    >>> tensor_repr(np.float32([1.12345]))
    'tensor([1.1235])'
    """
    chosen = dict(PROFILES.get(profile, {})) if profile is not None else {}
    single = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    chosen.update({name: value for name, value in single.items() if value is not None})
    for name, value in chosen.items():
        setattr(PRINT_OPTIONS, name, value)
    PRINT_OPTIONS.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The present options, as keyword arguments that `set_printoptions` takes.

    Returns
    -------
    dict
        The five options by name.

    Examples
    --------
    >>> from retrograd.tensor.printing import get_printoptions
    >>> get_printoptions()["edgeitems"]
    3
    """
    return dataclasses.asdict(PRINT_OPTIONS)


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Options that hold within a `with` block.

    Parameters
    ----------
    **options
        What `set_printoptions` takes.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.tensor.printing import printoptions, tensor_repr
    >>> with printoptions(threshold=4, edgeitems=1):
    ...     tensor_repr(np.arange(5))
    'tensor([0,  ..., 4])'
    """
    before = get_printoptions()
    try:
        set_printoptions(**options)
        yield
    finally:
        set_printoptions(**before)


def tensor_repr(
    array: Array,
    *,
    requires_grad: bool = False,
    grad_fn: str | None = None,
    is_parameter: bool = False,
    device: object = "cpu",
    dtype: object = None,
    default_dtype: object = None,
    name: str = "tensor",
    tangent: str | None = None,
) -> str:
    """The text of a tensor with the given values, as `repr` shows it.

    Parameters
    ----------
    array : ndarray
        The values, of any shape and of any dtype a tensor may have.
    requires_grad : bool
        Whether the tensor is a leaf that wants a gradient.
    grad_fn : str, optional
        Name of the operation that made the tensor (`"AddBackward0"`); it takes the place of `requires_grad=True`.
    is_parameter : bool
        Whether the line `Parameter containing:` goes before.
    device : object
        Where the tensor lives; shown unless its text is `"cpu"`.
    dtype : object, optional
        The tensor's dtype, shown through `str`; None names the array's own.
    default_dtype : object, optional
        The dtype that goes without saying (with int64, bool and the complex dtype of the same precision); None takes
        `get_default_dtype()`.
    name : str
        The word before the parenthesis: the class's name for subclasses.
    tangent : str, optional
        The text of the tangent that the tensor carries.

    Returns
    -------
    str
        One or more lines, without a newline at the end.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.tensor.printing import tensor_repr
    >>> print(tensor_repr(np.array([[1, 2.5], [-3, 1e4]]), requires_grad=True))
    tensor([[ 1.0000e+00,  2.5000e+00],
            [-3.0000e+00,  1.0000e+04]], dtype=torch.float64, requires_grad=True)
    """
    prefix = f"{name}("
    dtype_text = f"torch.{array.dtype.name}" if dtype is None else str(dtype)
    default = str(get_default_dtype() if default_dtype is None else default_dtype)
    suffixes = [] if str(device) == "cpu" else [f"device='{device}'"]
    if array.__class__ is MetaArray:
        body, shown_shape, shown_dtype = "...", True, dtype_text != default
    elif array.size == 0:
        body = "[]"
        shown_shape = array.ndim != 1
        shown_dtype = dtype_text != default
    else:
        body = array_text(array, len(prefix))
        shown_shape = PRINT_OPTIONS.edgeitems == 0
        shown_dtype = dtype_text not in _silent_dtypes(default)
    if shown_shape:
        suffixes.append(f"size={array.shape}")
    if shown_dtype:
        suffixes.append(f"dtype={dtype_text}")
    if grad_fn is not None:
        suffixes.append(f"grad_fn=<{grad_fn.rpartition('::')[2]}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    if tangent is not None:
        suffixes.append(f"tangent={tangent}")
    text = with_suffixes(prefix + body, suffixes, len(prefix))
    return f"Parameter containing:\n{text}" if is_parameter else text


def tensor_format(array: Array, spec: str) -> str:
    """The value of a 0-d tensor under a format specification, for f-strings.

    Parameters
    ----------
    array : ndarray
        The tensor's value, of shape ().
    spec : str
        A specification for Python's `float`, `int`, `bool` or `complex`.

    Returns
    -------
    str
        The formatted number.

    Raises
    ------
    TypeError
        When the tensor has dimensions: only a single number can be formatted.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.tensor.printing import tensor_format
    >>> tensor_format(np.asarray(np.float32(0.123456)), ".4f")
    '0.1235'
    """
    if array.ndim:
        raise TypeError(
            f"unsupported format string passed to Tensor.__format__: {spec!r} formats one number, and this tensor has "
            f"shape {array.shape}; index it, or call .item() on one element"
        )
    return format(_python_values(array), spec)


def array_text(array: Array, indent: int) -> str:
    """The bracketed elements of a non-empty array whose first line starts at column `indent`."""
    summarise = array.size > PRINT_OPTIONS.threshold
    shown = _edges(array) if summarise else array
    if np.issubdtype(shown.dtype, np.complexfloating):
        element, width = _complex_style(shown)
    else:
        element, width = _style(shown)
    return _nested(array, indent, summarise, element, width + 2)


def _silent_dtypes(default: str) -> tuple[str, ...]:
    """The dtypes a repr leaves out, because the text of the elements implies them."""
    complex_default = "torch.complex128" if default == "torch.float64" else "torch.complex64"
    return (default, complex_default, "torch.int64", "torch.bool")


def _python_values(array: Array) -> Any:
    """The array as nested lists of Python numbers; bfloat16 and other added dtypes become floats."""
    return (array if array.dtype.kind in "biufc" else array.astype(np.float64)).tolist()


def _edges(array: Array) -> Array:
    """The elements that a summary shows, as one smaller array."""
    count = PRINT_OPTIONS.edgeitems
    for axis, size in enumerate(array.shape):
        if size > 2 * count:
            index = (slice(None),) * axis
            array = np.concatenate([array[*index, :count], array[*index, size - count :]], axis)
    return array


def _complex_style(values: Array) -> tuple[Callable[[Any], str], int]:
    """The text of one complex element and the width of its column: two real styles joined by a sign."""
    real, real_width = _style(values.real)
    imaginary, imaginary_width = _style(values.imag)

    def element(value: complex) -> str:
        second = f"{imaginary(value.imag)}j".lstrip()
        return real(value.real) + (second if second.startswith(("-", "+")) else f"+{second}")

    return element, real_width + imaginary_width + 1


def _style(values: Array) -> tuple[Callable[[Any], str], int]:
    """The text of one element and the width of its column, chosen from all the elements that will be shown."""
    if values.dtype.kind in "biu":
        texts = [str(value) for value in values.reshape(-1).tolist()]
        width = max(map(len, texts), default=1)
        return (lambda value: str(value).rjust(width)), width

    numbers = values.reshape(-1).astype(np.float64)
    numbers = numbers[np.isfinite(numbers) & (numbers != 0)]
    if not numbers.size:
        return _whole, 1
    precision = PRINT_OPTIONS.precision
    text: Callable[[float], str]
    if _is_scientific(np.abs(numbers)):
        text = f"{{:.{precision}e}}".format
    elif np.all(numbers == np.ceil(numbers)):
        text = _whole
    else:
        text = f"{{:.{precision}f}}".format
    width = max(len(text(number)) for number in numbers.tolist())
    return (lambda value: text(value).rjust(width)), width


def _is_scientific(magnitudes: Array) -> bool:
    """Whether the values span too much, or are too large or too small, for plain decimals."""
    if PRINT_OPTIONS.sci_mode is not None:
        return PRINT_OPTIONS.sci_mode
    low, high = float(magnitudes.min()), float(magnitudes.max())
    return high / low > 1000.0 or high > 1.0e8 or low < 1.0e-4


def _whole(value: float) -> str:
    """A whole number with the point that marks it as floating; infinities and NaN have none."""
    return f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}"


def _nested(array: Array, indent: int, summarise: bool, element: Callable[[Any], str], column: int) -> str:
    """The elements in brackets, a bracket for each dimension, summarised dimensions with dots in the middle."""
    if array.ndim == 0:
        return element(_python_values(array))
    count = PRINT_OPTIONS.edgeitems
    cut = summarise and (array.shape[0] > 2 * count)
    first, last = (array[:count], array[array.shape[0] - count :]) if cut else (array, array[:0])
    if array.ndim == 1:
        dots = [" ..." if count else "..."] if cut else []
        texts = [*map(element, _python_values(first)), *dots, *map(element, _python_values(last))]
        per_line = max(1, (PRINT_OPTIONS.linewidth - indent) // column)
        rows = [", ".join(texts[start : start + per_line]) for start in range(0, len(texts), per_line)]
    else:
        rows = [_nested(part, indent + 1, summarise, element, column) for part in first]
        rows += ["..."] if cut else []
        rows += [_nested(part, indent + 1, summarise, element, column) for part in last]
    newlines = "\n" * max(1, array.ndim - 1)
    return "[" + f",{newlines}{' ' * (indent + 1)}".join(rows) + "]"


def with_suffixes(text: str, suffixes: list[str], indent: int, own_line: bool = False) -> str:
    """The text closed by its suffixes, each on the line before it where it fits; with `own_line`, not the first."""
    parts = [text]
    column = len(text) - text.rfind("\n") + 1
    for i, suffix in enumerate(suffixes):
        if (own_line and not i) or column + len(suffix) + 2 > PRINT_OPTIONS.linewidth:
            parts.append(f",\n{' ' * indent}{suffix}")
            column = indent + len(suffix)
        else:
            parts.append(f", {suffix}")
            column += len(suffix) + 2
    return "".join([*parts, ")"])
