"""The text of tensors against real torch: every dtype, shape, range of values, option and suffix."""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from retrograd.tensor.printing import get_printoptions, printoptions, tensor_format, tensor_repr

torch = pytest.importorskip("torch")

REALS = ["float32", "float64", "float16", "bfloat16"]
COMPLEX = ["complex64", "complex128"]
INTEGERS = ["uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64"]
DTYPES = [*REALS, *COMPLEX, *INTEGERS, "bool"]
SHAPES = [
    (),
    (1,),
    (7,),
    (40,),
    (1001,),
    (3, 4),
    (2, 30),
    (40, 50),
    (2, 3, 4),
    (11, 12, 13),
    (1, 1, 1, 1),
    (2, 2, 2, 2),
]
INF, NAN = float("inf"), float("nan")

VALUES: dict[str, list[float]] = {
    "zero": [0.0],
    "minus zero": [-0.0, 0.0],
    "whole": [1.0, 2.0, -3.0],
    "whole and nan": [1.0, NAN, 10.0],
    "only nan": [NAN, NAN],
    "only inf": [INF, -INF],
    "zero and inf": [0.0, -INF],
    "fraction": [0.5, 0.25],
    "rounding up": [0.99995, 9.99995, 0.00015],
    "negative fraction": [-0.5, 1.25, 100.125],
    "ratio 1000": [0.5, 500.0],
    "ratio above 1000": [0.5, 500.5],
    "small": [0.0001, 0.0002],
    "smaller": [0.00009, 0.0001],
    "tiny": [1e-20, 3e-20],
    "large whole": [1e8, 2e8],
    "larger whole": [1.1e8, 2e8],
    "huge": [1e30, -2e30],
    "smallest": [5e-324, 1.0],
    "widest": [1.7e308, 5e-324],
    "mixed": [0.1, NAN, INF, -2.5, 0.0],
    "mixed scientific": [1e-5, NAN, INF, -2.5, 0.0],
    "whole scientific": [1.0, 5000.0, 0.0, -INF],
    "half limit": [65504.0, 6e-8],
    "nine": [9999.5, 10.25],
}


def torch_tensor(array: np.ndarray[Any, Any]) -> Any:
    """A torch tensor with the same bytes."""
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(np.ascontiguousarray(array).view(np.int16)).view(torch.bfloat16).reshape(array.shape)
    return torch.from_numpy(np.ascontiguousarray(array)).reshape(array.shape)


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The NumPy dtype of that name, bfloat16 included."""
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)


def draw(rng: np.random.Generator, dtype: str, shape: tuple[int, ...], kind: str) -> np.ndarray[Any, Any]:
    """Random values of a dtype: ordinary, spread over magnitudes, whole, or with special values among them."""
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype in INTEGERS:
        info = np.iinfo(dtype)
        low, high = (info.min, info.max) if kind == "spread" else (max(info.min, -9), 100)
        return rng.integers(low, high, shape, dtype=dtype, endpoint=True)

    def part() -> np.ndarray[Any, Any]:
        x = np.asarray(rng.standard_normal(shape))
        if kind == "spread":
            return x * 10.0 ** rng.integers(-6, 6, shape)
        if kind == "whole":
            return np.round(x * 50)
        if kind == "special":
            return np.where(rng.random(shape) < 0.2, rng.choice([INF, -INF, NAN, 0.0, -0.0], shape), x)
        return x

    # float16 overflows to infinity and complex parts are set apart so that infinities do not meet NaN
    with np.errstate(over="ignore"):
        if dtype in COMPLEX:
            out = np.empty(shape, dtype)
            out.real, out.imag = part(), part()
            return out
        return part().astype(numpy_dtype(dtype))


def check(array: np.ndarray[Any, Any]) -> None:
    assert tensor_repr(array) == repr(torch_tensor(array))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_random_values(dtype: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng([len(dtype), *shape])
    for kind in ("ordinary", "spread", "whole", "special"):
        check(draw(rng, dtype, shape, kind))


@pytest.mark.parametrize("dtype", [*REALS, *COMPLEX])
@pytest.mark.parametrize("name", VALUES)
def test_chosen_values(dtype: str, name: str) -> None:
    with np.errstate(over="ignore"):
        values = np.asarray(VALUES[name]).astype(numpy_dtype(dtype))
        check(values)
        check(values.reshape(-1, 1))
        check(values[0].reshape(()))
        if dtype in COMPLEX:
            values.imag = np.asarray(VALUES[name][::-1])
            check(values)
            values.real = 0
            check(values)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0), (1, 0, 2)], ids=str)
def test_empty(dtype: str, shape: tuple[int, ...]) -> None:
    check(np.empty(shape, numpy_dtype(dtype)))


@pytest.mark.parametrize(
    "shape", [(1001,), (7, 200), (6, 200), (200, 6), (200, 7), (9, 9, 9, 9), (1000,), (2, 2, 400)], ids=str
)
@pytest.mark.parametrize("dtype", ["float32", "int64", "complex64", "bool"])
def test_summaries(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    check(array)
    check(array.T)
    if dtype == "float32":
        check(array / 7)
        check(array[..., ::-1] * 1e-3)


OPTIONS: list[dict[str, Any]] = [
    {"precision": 0},
    {"precision": 1},
    {"precision": 10},
    {"threshold": 5},
    {"threshold": 0},
    {"threshold": 5, "edgeitems": 1},
    {"threshold": 5, "edgeitems": 0},
    {"edgeitems": 0},
    {"edgeitems": 10, "threshold": 20},
    {"linewidth": 20},
    {"linewidth": 1},
    {"linewidth": 200},
    {"linewidth": 200, "threshold": float("inf")},
    {"profile": "short"},
    {"profile": "full"},
    {"profile": "default"},
    {"profile": "short", "precision": 3},
    {"profile": "unknown"},
    {"sci_mode": True},
    {"sci_mode": False},
    {"sci_mode": True, "precision": 2, "linewidth": 60},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options(options: dict[str, Any]) -> None:
    rng = np.random.default_rng(3)
    before = torch._tensor_str.get_printoptions()
    try:
        torch.set_printoptions(**options)
        with printoptions(**options):
            assert get_printoptions() == torch._tensor_str.get_printoptions()
            for dtype, shape in itertools.product(["float32", "complex128", "int32", "bool", "bfloat16"], SHAPES):
                for kind in ("ordinary", "spread", "whole"):
                    check(draw(rng, dtype, shape, kind))
    finally:
        torch.set_printoptions(**before)
    assert get_printoptions() == before


@pytest.mark.parametrize("length", range(1, 30))
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_suffixes_wrap_where_torch_wraps(length: int, dtype: str) -> None:
    array = (np.arange(length) * 1.5).astype(dtype)
    leaf = torch_tensor(array.copy())
    if dtype == "int32":
        check(array)
        return
    assert tensor_repr(array, requires_grad=True) == repr(leaf.requires_grad_())
    for made, name in ((leaf + 0, "AddBackward0"), (leaf.view(1, -1).unsqueeze(0), "UnsqueezeBackward0")):
        assert type(made.grad_fn).__name__ == name
        assert tensor_repr(made.detach().numpy(), requires_grad=True, grad_fn=name) == repr(made)


@pytest.mark.parametrize("shape", [(), (3,), (40, 50), (0, 2)], ids=str)
@pytest.mark.parametrize("requires_grad", [True, False])
def test_parameters(shape: tuple[int, ...], requires_grad: bool) -> None:
    array = np.random.default_rng(0).standard_normal(shape).astype("float32")
    expected = repr(torch.nn.Parameter(torch_tensor(array), requires_grad=requires_grad))
    assert tensor_repr(array, requires_grad=requires_grad, is_parameter=True) == expected


def test_subclasses_show_their_name() -> None:
    class Picture(torch.Tensor):  # type: ignore[misc, name-defined]
        """A subclass whose name moves the indentation."""

    array = np.random.default_rng(0).standard_normal((3, 20)).astype("float32")
    assert tensor_repr(array, name="Picture") == repr(torch_tensor(array).as_subclass(Picture))


@pytest.mark.parametrize("default", ["float64", "float16", "bfloat16"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_default_dtype(default: str, dtype: str) -> None:
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(getattr(torch, default))
        for shape in ((2,), (0,)):
            array = np.ones(shape, numpy_dtype(dtype))
            assert tensor_repr(array, default_dtype=torch.get_default_dtype()) == repr(torch_tensor(array))
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("spec", ["", ".4f", "8.2e", "g", ">10", "+.3g", "d", ",", "x"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_format_of_one_number(spec: str, dtype: str) -> None:
    array = np.asarray(3.25).astype(numpy_dtype(dtype))
    try:
        expected = format(torch_tensor(array), spec)
    except (ValueError, TypeError) as error:
        with pytest.raises(type(error)):
            tensor_format(array, spec)
    else:
        assert tensor_format(array, spec) == expected


def test_format_of_many_numbers_is_an_error() -> None:
    array = np.ones(2, "float32")
    with pytest.raises(TypeError, match="unsupported format string passed to Tensor.__format__"):
        format(torch_tensor(array), ".2f")
    with pytest.raises(TypeError, match="unsupported format string passed to Tensor.__format__"):
        tensor_format(array, ".2f")
