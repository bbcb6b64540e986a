"""Custom Functions: graphs of them die by reference count, they know their lines, and both modes go through them."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import retrograd as torch


class SavesOutput(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y


class SavesAll(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        y = x * w
        s = y.sin()
        ctx.save_for_backward(x, w, y, s)
        return y, s

    @staticmethod
    def backward(ctx, g, h):
        x, w, y, s = ctx.saved_tensors
        g = g + h * y.cos()
        return g * w, g * x


class Dirty(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        x.mul_(2)
        ctx.mark_dirty(x)
        ctx.save_for_backward(x)
        return x

    @staticmethod
    def backward(ctx, g):
        return g * 2


def leaf():
    return torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: SavesOutput.apply(x),
        lambda x: SavesAll.apply(x, x)[0],
        lambda x: SavesAll.apply(x, x * 2)[1],
        lambda x: Dirty.apply(x * 1),
        lambda x: SavesOutput.apply(SavesOutput.apply(x * 0.1)),
    ],
)
@pytest.mark.parametrize("walk", ["none", "backward", "retained", "graph"])
def test_no_reference_cycles(make, walk):
    gc.collect()
    gc.disable()
    try:
        x = leaf()
        y = make(x)
        if walk == "graph":
            torch.autograd.grad(y.sum(), x, create_graph=True)
        elif walk != "none":
            y.sum().backward(retain_graph=walk == "retained")
        tensor, node, storage = weakref.ref(y), weakref.ref(y.grad_fn), weakref.ref(y._s)
        del y
        assert tensor() is None and node() is None and storage() is None
        before = len(gc.get_objects())
        for _ in range(100):
            make(x).sum().backward()
        assert len(gc.get_objects()) - before < 20
    finally:
        gc.enable()


def test_what_was_saved_goes_with_the_walk():
    x = leaf() * 1
    held = weakref.ref(x._s)

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return 2 * g * ctx.saved_tensors[0]

    y = Square.apply(x).sum()
    del x
    assert held() is not None
    y.backward()
    assert held() is None
    with pytest.raises(RuntimeError, match="SquareBackward"):
        y.backward()


def test_an_overwritten_saved_tensor_names_both_lines():
    x = leaf() * 1
    y = SavesAll.apply(x, x)[0]
    x.add_(1)
    with pytest.raises(RuntimeError) as caught:
        y.sum().backward()
    assert "x.add_(1)" in str(caught.value)
    assert "y = SavesAll.apply(x, x)[0]" in str(caught.value)


def test_gradients_of_gradients_against_differences():
    x = torch.tensor([0.1, -0.4], dtype=torch.float64, requires_grad=True)
    w = torch.tensor([0.7, 0.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(SavesAll.apply, (x, w))
    assert torch.autograd.gradgradcheck(SavesOutput.apply, x)


def test_a_dirty_view_tells_its_base():
    x = leaf()
    y = x * 1
    Dirty.apply(y[1:])
    (y * y).sum().backward()
    np.testing.assert_array_equal(y.detach().numpy(), [1, 4, 6])
    np.testing.assert_array_equal(x.grad.numpy(), [2, 16, 24])


def test_a_function_of_two_results_in_forward_mode():
    class Both(torch.autograd.Function):
        @staticmethod
        def forward(x, w):
            return x * w, x + w

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx, g, h):
            x, w = ctx.saved_tensors
            return g * w + h, g * x + h

        @staticmethod
        def jvp(ctx, tx, tw):
            x, w = ctx.saved_tensors
            return tx * w + tw * x, tx + tw

    x, w = torch.tensor(2.0), torch.tensor(5.0)
    values, tangents = torch.func.jvp(Both.apply, (x, w), (torch.tensor(1.0), torch.tensor(10.0)))
    assert [v.item() for v in values] == [10, 7]
    assert [t.item() for t in tangents] == [25, 11]
    _, (a, b) = torch.func.jvp(lambda v: Both.apply(v, w), (x,), (torch.tensor(1.0),))
    assert (a.item(), b.item()) == (5, 1)


def test_once_differentiable_refuses_by_name():
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, g):
            return g * 2

    x = leaf()
    up = torch.ones(3, dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(Once.apply(x), x, up, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.sum().backward()


def test_both_names_for_the_reverse_rule_are_refused():
    class Two(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g

        @staticmethod
        def vjp(ctx, g):
            return g

    with pytest.raises(RuntimeError, match="'backward' and 'vjp'"):
        Two.apply(leaf()).sum().backward()
