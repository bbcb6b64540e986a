"""gradcheck and gradgradcheck find wrong derivatives, in both modes, and pass right ones; assert_close compares as it says."""

from __future__ import annotations

import numpy as np
import pytest

import retrograd as torch
from retrograd.testing import GradcheckError, assert_close, gradcheck, gradgradcheck, make_tensor


def given(*shape):
    rng = np.random.default_rng(0)
    return torch.tensor(rng.uniform(0.2, 0.9, shape or (2, 3))).requires_grad_()


class Wrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return 2.001 * g * ctx.saved_tensors[0]


class WrongSecond(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x.detach() ** 2 * g


class WrongForward(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return x * x

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0]

    @staticmethod
    def jvp(ctx, t):
        return 3 * t * ctx.saved_tensors[0]


def test_right_derivatives_pass():
    assert gradcheck(lambda x, w: (x @ w).tanh(), (given(2, 3), given(3, 2)))
    assert gradcheck(lambda x: (x.sin(), x.sum()), given(), check_forward_ad=True)
    assert gradcheck(lambda x: x[torch.tensor([0, 0, 1])], given())
    assert gradgradcheck(lambda x: x**3 * x.sum(), given(), check_fwd_over_rev=True)


def test_wrong_derivatives_are_found():
    with pytest.raises(GradcheckError, match="Jacobian mismatch"):
        gradcheck(Wrong.apply, given(), atol=1e-6, rtol=1e-6)
    assert not gradcheck(Wrong.apply, given(), atol=1e-6, rtol=1e-6, raise_exception=False)
    assert gradcheck(WrongSecond.apply, given())
    with pytest.raises(GradcheckError):
        gradgradcheck(WrongSecond.apply, given())
    assert gradcheck(WrongForward.apply, given())
    with pytest.raises(GradcheckError, match="forward"):
        gradcheck(WrongForward.apply, given(), check_forward_ad=True)


def test_a_missing_gradient_is_found():
    with pytest.raises(GradcheckError):
        gradcheck(lambda x: x.detach() * 2, given())


def test_inputs_are_left_as_they_were():
    x = given()
    before = x.detach().numpy().copy()
    gradcheck(torch.exp, x)
    np.testing.assert_array_equal(x.detach().numpy(), before)
    assert x.grad is None


def test_what_it_asks_of_inputs():
    with pytest.raises(ValueError, match="require gradient"):
        gradcheck(torch.exp, torch.ones(2))
    with pytest.warns(UserWarning, match="double precision"), pytest.raises(GradcheckError):
        gradcheck(torch.exp, torch.tensor([0.3, 0.7], requires_grad=True))


def test_assert_close():
    assert_close(torch.tensor(1.0), torch.tensor(1.0 + 1e-7))
    assert_close([torch.ones(2), {"a": torch.zeros(1)}], [torch.ones(2), {"a": torch.zeros(1)}])
    assert_close(torch.tensor(float("nan")), torch.tensor(float("nan")), equal_nan=True)
    for a, b, words in [
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.1]), "Mismatched elements: 1 / 2"),
        (torch.ones(2), torch.ones(3), "shape"),
        (torch.ones(2), torch.ones(2, dtype=torch.float64), "dtype"),
        (torch.tensor(float("nan")), torch.tensor(float("nan")), "close"),
        ([torch.ones(1)], [torch.ones(1), torch.ones(1)], "length"),
    ]:
        with pytest.raises(AssertionError, match=words):
            assert_close(a, b)
    with pytest.raises(AssertionError, match="mine"):
        assert_close(torch.ones(1), torch.zeros(1), msg="mine")
    with pytest.raises(ValueError, match="rtol"):
        assert_close(torch.ones(1), torch.ones(1), rtol=1.0)


def test_make_tensor():
    x = make_tensor(2, 3, dtype=torch.float64, low=0.5, high=0.6, requires_grad=True)
    assert x.shape == (2, 3) and x.requires_grad
    assert 0.5 <= x.min().item() <= x.max().item() < 0.6
    assert not make_tensor((3, 4), dtype=torch.float32, noncontiguous=True).is_contiguous()
    assert make_tensor((50,), dtype=torch.int64).dtype is torch.int64
