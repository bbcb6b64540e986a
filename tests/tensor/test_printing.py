"""The text of tensors, by examples that need no torch."""

from __future__ import annotations

import time
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from retrograd.tensor.printing import get_printoptions, printoptions, set_printoptions, tensor_format, tensor_repr

INF, NAN = float("inf"), float("nan")

TABLE: list[tuple[Any, dict[str, Any], str]] = [
    (np.float32(1.5), {}, "tensor(1.5000)"),
    (np.float32([1, 2]), {}, "tensor([1., 2.])"),
    (np.float32([0.0]), {}, "tensor([0.])"),
    (np.float32([NAN, 1, INF]), {}, "tensor([nan, 1., inf])"),
    (np.float32([1e-5, 1]), {}, "tensor([1.0000e-05, 1.0000e+00])"),
    (np.float64([1.5]), {}, "tensor([1.5000], dtype=torch.float64)"),
    (np.float16([1.5]), {}, "tensor([1.5000], dtype=torch.float16)"),
    (np.asarray([1.5], ml_dtypes.bfloat16), {}, "tensor([1.5000], dtype=torch.bfloat16)"),
    (np.int64([1, -10]), {}, "tensor([  1, -10])"),
    (np.int32([1]), {}, "tensor([1], dtype=torch.int32)"),
    (np.asarray([True, False]), {}, "tensor([ True, False])"),
    (np.complex64([1 + 2j, -0.5j]), {}, "tensor([1.+2.0000j, -0.-0.5000j])"),
    (np.empty((0,), "float32"), {}, "tensor([])"),
    (np.empty((2, 0), "int64"), {}, "tensor([], size=(2, 0), dtype=torch.int64)"),
    (np.float32([[1, 2], [3, 4]]), {}, "tensor([[1., 2.],\n        [3., 4.]])"),
    (np.zeros((1, 2, 1), "float32"), {}, "tensor([[[0.],\n         [0.]]])"),
    (np.zeros((2, 1, 1), "float32"), {}, "tensor([[[0.]],\n\n        [[0.]]])"),
    (np.arange(1001), {}, "tensor([   0,    1,    2,  ...,  998,  999, 1000])"),
    (np.float32(2), {"requires_grad": True}, "tensor(2., requires_grad=True)"),
    (np.float32(2), {"requires_grad": True, "grad_fn": "AddBackward0"}, "tensor(2., grad_fn=<AddBackward0>)"),
    (
        np.float32(2),
        {"requires_grad": True, "is_parameter": True},
        "Parameter containing:\ntensor(2., requires_grad=True)",
    ),
    (np.float32(2), {"device": "cuda:0"}, "tensor(2., device='cuda:0')"),
    (np.float64(2), {"default_dtype": "torch.float64"}, "tensor(2.)"),
    (np.float32(2), {"dtype": "torch.complex32"}, "tensor(2., dtype=torch.complex32)"),
    (np.float32(2), {"name": "Picture"}, "Picture(2.)"),
]


@pytest.mark.parametrize(("array", "options", "expected"), TABLE, ids=lambda case: None)
def test_text(array: Any, options: dict[str, Any], expected: str) -> None:
    assert tensor_repr(np.asarray(array), **options) == expected


def test_lines_are_broken_at_the_line_width() -> None:
    with printoptions(linewidth=24):
        assert tensor_repr(np.arange(10)) == "tensor([0, 1, 2, 3, 4,\n        5, 6, 7, 8, 9])"


def test_options_are_restored() -> None:
    before = get_printoptions()

    def fail() -> None:
        with printoptions(precision=1, sci_mode=True):
            assert tensor_repr(np.float32([0.25])) == "tensor([2.5e-01])"
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert get_printoptions() == before
    set_printoptions(profile="full", sci_mode=False)
    assert get_printoptions() == {"precision": 4, "threshold": INF, "edgeitems": 3, "linewidth": 80, "sci_mode": False}
    set_printoptions(**before)
    assert get_printoptions() == before


def test_a_large_tensor_is_summarised_before_it_is_formatted() -> None:
    array = np.broadcast_to(np.float32(0.5), (100_000, 100_000))  # 40 GB if anything touched every element
    start = time.perf_counter()
    text = tensor_repr(array)
    assert time.perf_counter() - start < 1.0
    assert text.count("\n") == 6
    assert text.startswith("tensor([[0.5000, 0.5000, 0.5000,  ..., 0.5000")


def test_format() -> None:
    assert f"{tensor_format(np.asarray(np.float32(0.5)), '.4f')}" == "0.5000"
    assert tensor_format(np.asarray(7), "03d") == "007"
    assert tensor_format(np.asarray(1.5, ml_dtypes.bfloat16), "") == "1.5"
    with pytest.raises(TypeError, match=r"shape \(2,\)"):
        tensor_format(np.ones(2), ".2f")
