"""Casts and copies beside torch: `to` in all its forms, named casts, copy_, filling, sizes, questions about values."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest

import retrograd
from retrograd.tensor.dispatch import FUNCTIONS, METHODS

torch = pytest.importorskip("torch")

from parity.tables import compare  # noqa: E402  (below the check for torch)

DTYPES = (
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
)
NAMED = ("float", "double", "half", "bfloat16", "int", "long", "short", "char", "byte", "bool", "cfloat", "cdouble")
CALLS: dict[str, Any] = {
    **{name: (lambda t, x, name=name: getattr(x, name)()) for name in NAMED},
    **{f"to({d})": (lambda t, x, d=d: x.to(getattr(t, d))) for d in DTYPES},
    **{f"type({d})": (lambda t, x, d=d: x.type(getattr(t, d))) for d in DTYPES},
    "to('cpu')": lambda t, x: x.to("cpu") is x,
    "to(device)": lambda t, x: x.to(t.device("cpu")) is x,
    "to(device, dtype)": lambda t, x: x.to("cpu", t.float64),
    "to(device=, dtype=)": lambda t, x: x.to(device="cpu", dtype=t.float16),
    "to(other)": lambda t, x: x.to(t.zeros(1, dtype=t.int32)),
    "to(dtype, copy)": lambda t, x: x.to(x.dtype, copy=True) is x,
    "to(dtype, False, True)": lambda t, x: x.to(x.dtype, False, True) is x,
    "to(non_blocking)": lambda t, x: x.to("cpu", non_blocking=True) is x,
    "to()": lambda t, x: x.to(),
    "to(dtype=float)": lambda t, x: x.to(dtype=float),
    "to(None)": lambda t, x: x.to(None),
    "to('float')": lambda t, x: x.to("float"),
    "to(3)": lambda t, x: x.to([3]),
    "type_as": lambda t, x: x.type_as(t.zeros(1, dtype=t.float64)),
    "type()": lambda t, x: x.type(),
    "type(str)": lambda t, x: x.type("torch.DoubleTensor"),
    "type(LongTensor)": lambda t, x: x.type(t.LongTensor),
    "type(bad)": lambda t, x: x.type("torch.FoolTensor"),
    "cpu": lambda t, x: x.cpu() is x,
    "item": lambda t, x: x[0].item(),
    "items": lambda t, x: x.item(),
    "tolist": lambda t, x: x.tolist(),
    "int, float, bool, complex": lambda t, x: (int(x[0].real), float(x[0].real), bool(x[0]), complex(x[0])),
    "index": lambda t, x: [10, 20, 30][x[0]],
    "range": lambda t, x: list(range(x[1])),
    "len": lambda t, x: len(x),
    "numpy": lambda t, x: t.tensor(x.numpy()) if x.dtype != t.bfloat16 else x.float(),
    "bfloat16 numpy": lambda t, x: x.bfloat16().numpy(),
    "apply_": lambda t, x: x.clone().apply_(lambda number: number),
    "map_": lambda t, x: x.clone().map_(x, lambda one, other: one),
    "fill_": lambda t, x: x.clone().fill_(3),
    "fill_(float)": lambda t, x: x.clone().fill_(2.7),
    "fill_(tensor)": lambda t, x: x.clone().fill_(t.tensor(2)),
    "fill_(vector)": lambda t, x: x.clone().fill_(t.tensor([2])),
    "fill_(complex)": lambda t, x: x.clone().fill_(1j),
    "fill": lambda t, x: t.fill(x, 2),
    "zero_": lambda t, x: x.clone().zero_(),
    "copy_": lambda t, x: x.clone().copy_(t.tensor([2.7, -1.2, 0.0, 5.5])),
    "copy_(broadcast)": lambda t, x: t.zeros(3, 4, dtype=x.dtype).copy_(x),
    "copy_(misfit)": lambda t, x: t.zeros(3).copy_(x),
    "copy_(number)": lambda t, x: x.clone().copy_(3),
    "copy_(list)": lambda t, x: x.clone().copy_([1, 2, 3, 4]),
    "equal": lambda t, x: (t.equal(x, x.clone()), t.equal(x, x[:2]), x.equal(x + 1)),
    "equal(other dtype)": lambda t, x: t.equal(x, x.double()),
    "isclose": lambda t, x: t.isclose(x, x + 1, rtol=0.5),
    "isclose(atol)": lambda t, x: x.isclose(x, atol=1e-3),
    "isclose(negative)": lambda t, x: x.isclose(x, atol=-1e-3),
    "isclose(other dtype)": lambda t, x: t.isclose(x, t.zeros(4, dtype=t.float64)),
    "allclose": lambda t, x: (t.allclose(x, x), x.allclose(x + 1)),
    "is_nonzero": lambda t, x: (t.is_nonzero(x[0]), x[2].is_nonzero()),
    "is_nonzero(many)": lambda t, x: t.is_nonzero(x),
    "is_floating_point": lambda t, x: (
        t.is_floating_point(x),
        x.is_floating_point(),
        t.is_complex(x),
        x.is_complex(),
        x.is_signed(),
        t.is_signed(x),
    ),
    "numel": lambda t, x: (
        t.numel(x),
        x.numel(),
        x.nelement(),
        x.element_size(),
        x.itemsize,
        x.nbytes,
        x.dim(),
        x.ndim,
    ),
    "is_same_size": lambda t, x: (t.is_same_size(x, x), x.is_same_size(x[:1])),
    "typename": lambda t, x: (t.typename(x), t.typename(1)),
    "resize_": lambda t, x: x.clone().resize_(2, 2),
    "resize_(smaller)": lambda t, x: x.clone().resize_((3,)),
    "resize_(larger)": lambda t, x: x.clone().resize_(6)[:4],
    "resize_as_": lambda t, x: x.clone().resize_as_(t.zeros(2, 2)),
    "set_": lambda t, x: t.zeros(1, dtype=x.dtype).set_(x),
    "new": lambda t, x: x.new([1, 0]),
    "new_zeros": lambda t, x: x.new_zeros(2),
    "new_full": lambda t, x: x.new_full((2,), 1),
    "new_ones": lambda t, x: x.new_ones((2, 2)),
    "new_empty": lambda t, x: x.new_empty(2).dtype,
    "new_tensor": lambda t, x: x.new_tensor([1, 0]),
    "new_empty_strided": lambda t, x: x.new_empty_strided((2,), (1,)).dtype,
    "can_cast": lambda t, x: t.can_cast(x.dtype, t.int32),
    "promote_types": lambda t, x: t.promote_types(x.dtype, t.float32),
    "result_type": lambda t, x: t.result_type(x, 1.0),
    "is_tensor": lambda t, x: t.is_tensor(x),
    "chalf": lambda t, x: x.dtype,
    "contains": lambda t, x: (1 in x, 17 in x),
    "get_device": lambda t, x: (x.get_device(), t.get_device(x), str(x.device), x.is_cuda, x.is_sparse, str(x.layout)),
    "reversed": lambda t, x: list(reversed(x)),
    "is_inference": lambda t, x: (t.is_inference(x), x.is_inference(), t.is_distributed(x)),
    "detach": lambda t, x: (t.detach(x), t.detach_(x.clone())),
    "dim_order": lambda t, x: x.reshape(2, 2).t().dim_order(),
    "is_set_to": lambda t, x: (x.is_set_to(x), x.is_set_to(x.clone())),
}
UNCOUNTED = {"chalf"}  # PyTorch's half-precision complex numbers


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CALLS)
def test_calls(name: str, dtype: str) -> None:
    values = [1, 3, 0, 2] if dtype == "uint8" else [1, 3, 0, -2]
    if dtype in ("float16", "bfloat16", "float32", "float64"):
        values = [1.0, 3.75, 0.0, 2.5]  # casting negative numbers to unsigned integers depends on the machine
    if name in ("to(uint8)", "type(uint8)", "byte") and dtype in ("complex64", "complex128"):
        values = [1, 3, 0, 2]
    compare(CALLS[name], (values, dtype))


def test_every_name_has_a_case() -> None:
    source = inspect.getsource(inspect.getmodule(test_every_name_has_a_case))  # type: ignore[arg-type]
    for name, fn in {**FUNCTIONS, **METHODS}.items():
        if name[:1] != "_" and inspect.unwrap(fn).__module__.rpartition(".")[2] in ("conversion", "questions"):
            assert name in CALLS or f".{name}(" in source, name


def test_gradients_pass_through_casts_and_copies() -> None:
    for fn in (
        lambda t, x: x.float(),
        lambda t, x: x.half(),
        lambda t, x: x.to(t.complex128),
        lambda t, x: x.to(t.float32) * 2,
        lambda t, x: x.long(),
        lambda t, x: t.zeros(4, dtype=t.float64).copy_(x),
        lambda t, x: (x * 1).copy_(x.detach()),
        lambda t, x: t.zeros(2, 4).copy_(x),
        lambda t, x: (x * 2).fill_(3.0),
        lambda t, x: (x * 2).fill_(x[1]),
        lambda t, x: (x * 2).zero_(),
        lambda t, x: x.to("cpu"),
        lambda t, x: t.fill(x, 3.0) + x,
    ):
        compare(fn, [1.0, 2.0, 3.0, -4.0], grad=True, tolerance=1e-3)


def test_special_values_between_floats() -> None:
    for a in ("float16", "bfloat16", "float32", "float64"):
        for b in ("float16", "bfloat16", "float32", "float64", "bool", "complex64"):
            compare(
                lambda t, x, b=b: x.to(getattr(t, b)),
                ([0.0, -0.0, math.inf, -math.inf, math.nan, 1e30 if "64" in a else 1.0, 65504.0], a),
            )


def test_where_the_data_lives() -> None:
    for fn in (
        lambda t: t.device("nowhere"),
        lambda t: (t.device("cpu") == t.device("cpu"), t.device("cpu") == t.device("cpu", 0), str(t.device("cuda:1"))),
        lambda t: str(t.device(type="cuda", index=0)),
        lambda t: t.cuda.is_available() if t is retrograd else False,
    ):
        compare(fn)


@pytest.mark.parametrize(
    "fn", [lambda t: t.ones(2).to("cuda"), lambda t: t.ones(2).cuda(), lambda t: t.zeros(2, device="cuda")]
)
def test_a_device_that_is_not_there(fn: Any) -> None:
    with pytest.raises((AssertionError, RuntimeError)) as theirs:
        fn(torch)
    for kind in (theirs.type, RuntimeError):  # programs catch either
        with pytest.raises(kind, match="is_available"):
            fn(retrograd)
