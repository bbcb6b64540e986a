"""The element types, their NumPy counterparts, and how two of them meet (torch's promotion lattice)."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

FLOATING, COMPLEX, INTEGRAL, BOOLEAN = 2, 3, 1, 0


class dtype:
    """The type of a tensor's elements.

    Instances are singletons: compare them with ``is`` or ``==``.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.float32.is_floating_point, torch.float32.itemsize
    (True, 4)
    """

    __slots__ = ("category", "is_complex", "is_floating_point", "is_signed", "itemsize", "name", "numpy")

    def __init__(self, name: str, array_type: Any, category: int) -> None:
        self.name = name
        self.numpy: np.dtype[Any] = np.dtype(array_type)
        self.category = category
        self.is_floating_point = category == FLOATING
        self.is_complex = category == COMPLEX
        self.is_signed = category >= FLOATING or (category == INTEGRAL and self.numpy.kind == "i")
        self.itemsize = self.numpy.itemsize

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> Any:
        return by_name, (self.name,)

    def __copy__(self) -> dtype:
        return self

    def __deepcopy__(self, memo: Any) -> dtype:
        return self

    def to_complex(self) -> dtype:
        """Give the complex type whose parts have this precision."""
        return {float16: complex32, float64: complex128}.get(self, complex64) if not self.is_complex else self

    def to_real(self) -> dtype:
        """Give the real type of this complex type's parts."""
        return {complex32: float16, complex64: float32, complex128: float64}.get(self, self)


float32 = dtype("float32", np.float32, FLOATING)
float64 = dtype("float64", np.float64, FLOATING)
float16 = dtype("float16", np.float16, FLOATING)
bfloat16 = dtype("bfloat16", ml_dtypes.bfloat16, FLOATING)
complex64 = dtype("complex64", np.complex64, COMPLEX)
complex128 = dtype("complex128", np.complex128, COMPLEX)
complex32 = dtype("complex32", np.complex64, COMPLEX)  # a name only: NumPy has no half-precision complex numbers
uint8 = dtype("uint8", np.uint8, INTEGRAL)
int8 = dtype("int8", np.int8, INTEGRAL)
int16 = dtype("int16", np.int16, INTEGRAL)
int32 = dtype("int32", np.int32, INTEGRAL)
int64 = dtype("int64", np.int64, INTEGRAL)
uint16 = dtype("uint16", np.uint16, INTEGRAL)
uint32 = dtype("uint32", np.uint32, INTEGRAL)
uint64 = dtype("uint64", np.uint64, INTEGRAL)
bool_ = dtype("bool", np.bool_, BOOLEAN)
# one byte each: to store and to cast; torch computes with none of them on the CPU
float8_e4m3fn = dtype("float8_e4m3fn", ml_dtypes.float8_e4m3fn, FLOATING)
float8_e4m3fnuz = dtype("float8_e4m3fnuz", ml_dtypes.float8_e4m3fnuz, FLOATING)
float8_e5m2 = dtype("float8_e5m2", ml_dtypes.float8_e5m2, FLOATING)
float8_e5m2fnuz = dtype("float8_e5m2fnuz", ml_dtypes.float8_e5m2fnuz, FLOATING)
float8_e8m0fnu = dtype("float8_e8m0fnu", ml_dtypes.float8_e8m0fnu, FLOATING)
FLOAT8 = (float8_e4m3fn, float8_e4m3fnuz, float8_e5m2, float8_e5m2fnuz, float8_e8m0fnu)

ALL = (
    float32,
    float64,
    float16,
    bfloat16,
    complex64,
    complex128,
    uint8,
    int8,
    int16,
    int32,
    int64,
    uint16,
    uint32,
    uint64,
    bool_,
)
ALIASES = {
    "float": float32,
    "double": float64,
    "half": float16,
    "cfloat": complex64,
    "cdouble": complex128,
    "chalf": complex32,
    "short": int16,
    "int": int32,
    "long": int64,
}
PYTHON_TYPES: dict[type, dtype] = {float: float64, int: int64, bool: bool_, complex: complex128}
_BY_NAME = {d.name: d for d in (*ALL, *FLOAT8, complex32)}
_BY_NUMPY: dict[np.dtype[Any], dtype] = {d.numpy: d for d in (*ALL, *FLOAT8)}
_NAMES_NUMPY: dict[Any, dtype] = {}

_default = float32


def by_name(name: str) -> dtype:
    """Find a dtype by its name (used when unpickling)."""
    return _BY_NAME[name]


def from_numpy(array_dtype: Any) -> dtype:
    """Give the dtype of arrays of this NumPy dtype; TypeError if there is none."""
    found = _BY_NUMPY.get(array_dtype)
    if found is None:
        found = _BY_NUMPY.get(np.dtype(array_dtype).newbyteorder("="))
        if found is None:
            raise TypeError(
                f"can't convert np.ndarray of type numpy.{np.dtype(array_dtype).type.__name__}. The only supported types are: "
                "float64, float32, float16, complex64, complex128, int64, int32, int16, int8, "
                "uint64, uint32, uint16, uint8, and bool."
            )
    return found


def to_numpy(wanted: Any) -> np.dtype[Any]:
    """Give the NumPy dtype for a dtype, or for Python's float, int, bool and complex; TypeError otherwise."""
    if isinstance(wanted, dtype):
        return wanted.numpy
    if wanted.__class__ is type and wanted in PYTHON_TYPES:
        return PYTHON_TYPES[wanted].numpy
    raise TypeError(f"dtype must be a torch.dtype (such as torch.float32), not {type(wanted).__name__}: {wanted!r}")


def get_default_dtype() -> dtype:
    """Give the floating-point type that creation functions use when none is asked for."""
    return _default


def set_default_dtype(d: dtype) -> None:
    """Set the floating-point type that creation functions use when none is asked for.

    Raises TypeError unless ``d`` is a floating-point dtype.
    """
    global _default
    if not isinstance(d, dtype) or not d.is_floating_point:
        raise TypeError(f"only floating-point types are supported as the default type, got {d!r}")
    _default = d


# torch's lattice: within a category the wider wins, bfloat16 with float16 gives float32,
# an unsigned byte with a signed type of its size gives the next wider signed type.
_BARE = (uint16, uint32, uint64)  # these meet floating-point numbers only


def promote_types(a: dtype, b: dtype) -> dtype:
    """Give the smallest dtype that both can be turned into without loss of kind or range.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.promote_types(torch.int32, torch.float16)
    torch.float16
    """
    if a is b:
        return a
    if a in FLOAT8 or b in FLOAT8:
        raise RuntimeError(f"Promotion for Float8 Types is not supported, attempted to promote {a} and {b}")
    if a.category < b.category:
        a, b = b, a
    if a.category != FLOATING and (a in _BARE or b in _BARE):
        raise RuntimeError(
            f"Promotion for uint16, uint32, uint64 types is not supported, attempted to promote {a} and {b}"
        )
    if a.category != b.category:
        if a.category == COMPLEX and b.category == FLOATING:
            return promote_types(a, b.to_complex())
        return a
    if a.category == FLOATING:
        if {a, b} == {float16, bfloat16}:
            return float32
        return a if a.itemsize > b.itemsize else b
    if a.category == COMPLEX:
        return b if a is complex32 or b.itemsize > a.itemsize else a
    if a.is_signed == b.is_signed:
        return a if a.itemsize > b.itemsize else b
    signed, unsigned = (a, b) if a.is_signed else (b, a)
    return int16 if signed is int8 else signed


class finfo:
    """Numerical limits of a floating-point dtype: ``eps``, ``max``, ``min``, ``tiny``, ``bits``, ``resolution``."""

    def __init__(self, type: dtype | None = None) -> None:
        d = _default if type is None else PYTHON_TYPES.get(type, type)  # type: ignore[call-overload]
        if not isinstance(d, dtype) or d.category < FLOATING:
            raise TypeError(
                f"torch.finfo() requires a floating point input type, got {d!r}. Use torch.iinfo to handle {d!r}."
            )
        info = ml_dtypes.finfo(d.to_real().numpy)  # type: ignore[no-untyped-call]
        self.dtype = d.to_real().name
        self.bits = int(info.bits)
        self.eps = float(info.eps)
        self.max = float(info.max)
        self.min = float(info.min)
        self.tiny = self.smallest_normal = float(info.tiny)
        self.resolution = 1.0 if d in FLOAT8 else float(info.resolution)  # no decimal digit is sure

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
            f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )


class iinfo:
    """Limits of an integer dtype: ``min``, ``max``, ``bits``."""

    def __init__(self, type: dtype) -> None:
        if not isinstance(type, dtype) or type.category != INTEGRAL:
            raise TypeError(
                f"torch.iinfo() requires an integer input type, got {type!r}. Use torch.finfo to handle {type!r}."
            )
        info = np.iinfo(type.numpy)
        self.dtype, self.bits, self.min, self.max = type.name, int(info.bits), int(info.min), int(info.max)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
