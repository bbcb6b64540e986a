"""Custom autograd.Function: its forms, what is saved and freed, and where it is used: outcomes as under PyTorch."""

from __future__ import annotations

import pytest

from parity.behaviours import Table, compare
from parity.functions import exponential, leaf, make, square

torch = pytest.importorskip("torch")


table = Table()


@table
def setup_context_form(T):
    class Scaled(T.autograd.Function):
        @staticmethod
        def forward(x, k):
            return x * x * k, x.sum()

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, k = inputs
            ctx.k = k
            ctx.save_for_backward(x, output[0])

        @staticmethod
        def backward(ctx, g, h):
            x, y = ctx.saved_tensors
            return 2 * x * ctx.k * g + h, None

    x = leaf(T)
    y, s = Scaled.apply(x, 3.0)
    (g,) = T.autograd.grad(y.sum() + s, x, create_graph=True)
    return y, s, g, T.autograd.grad(g.sum(), x)


@table
def vjp_instead_of_backward(T):
    class Twice(T.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def vjp(ctx, g):
            return g * 2

    x = leaf(T)
    Twice.apply(x).sum().backward()
    return x.grad


@table
def attributes_on_ctx(T):
    def forward(ctx, x, k):
        ctx.k = k
        ctx.shape = x.shape
        return x.sum() * k

    def backward(ctx, g):
        return g.expand(ctx.shape) * ctx.k, None

    x = leaf(T)
    y = make(T, forward, backward).apply(x, 4)
    y.backward()
    return x.grad, y.grad_fn.k


@table
def saved_tensors_of_grad_fn(T):
    x = leaf(T)
    y = exponential(T).apply(x)
    return y.grad_fn.saved_tensors[0]


@table
def saved_twice_keeps_the_last(T):
    def forward(ctx, x):
        ctx.save_for_backward(x)
        ctx.save_for_backward(x * 2, x * 3)
        return x * 2

    seen = []

    def backward(ctx, g):
        seen.append(len(ctx.saved_tensors))
        return g

    make(T, forward, backward).apply(leaf(T)).sum().backward()
    return seen


@table
def saved_input_overwritten(T):
    x = leaf(T)
    z = x * 1
    y = square(T).apply(z)
    z.add_(1)
    y.sum().backward()


@table
def saved_output_overwritten(T):
    x = leaf(T)
    y = exponential(T).apply(x)
    y.add_(1)
    y.sum().backward()


@table
def saved_intermediate_overwritten(T):
    held = []

    def forward(ctx, x):
        s = x.sin()
        held.append(s)
        ctx.save_for_backward(s)
        return s * 2

    def backward(ctx, g):
        (s,) = ctx.saved_tensors
        return g * s

    y = make(T, forward, backward).apply(leaf(T))
    held[0].add_(1)
    y.sum().backward()


@table
def freed_twice(T):
    x = leaf(T)
    y = square(T).apply(x).sum()
    y.backward()
    y.backward()


@table
def nothing_saved_twice(T):
    x = leaf(T)
    y = make(T, lambda ctx, x: x * 2, lambda ctx, g: g * 2).apply(x)
    g = T.ones(3, dtype=T.float64)
    y.backward(g)
    y.backward(g)
    return x.grad


@table
def retained(T):
    x = leaf(T)
    y = square(T).apply(x).sum()
    y.backward(retain_graph=True)
    y.backward()
    return x.grad


@table
def once_differentiable_first(T):
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x * g

    f = make(
        T,
        lambda ctx, x: (ctx.save_for_backward(x), x * x)[1],
        T.autograd.function.once_differentiable(backward),
    )
    x = leaf(T)
    f.apply(x).sum().backward()
    return x.grad


@table
def once_differentiable_second(T):
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x * g

    f = make(
        T,
        lambda ctx, x: (ctx.save_for_backward(x), x * x)[1],
        T.autograd.function.once_differentiable(backward),
    )
    x = leaf(T)
    upstream = T.ones(3, dtype=T.float64, requires_grad=True)
    (g,) = T.autograd.grad(f.apply(x), x, upstream, create_graph=True)
    g.sum().backward()


@table
def once_differentiable_second_of_a_constant(T):
    f = make(T, lambda ctx, x: x * 2, T.autograd.function.once_differentiable(lambda ctx, g: g * 2))
    x = leaf(T)
    return T.autograd.grad(f.apply(x).sum(), x, create_graph=True)


@table
def no_tensor_arguments(T):
    return make(T, lambda ctx, k: T.ones(2) * k, lambda ctx, g: None).apply(3.0)


@table
def tensors_inside_a_list_are_not_seen(T):
    x = leaf(T)
    return make(T, lambda ctx, xs: xs[0] * 2, lambda ctx, g: None).apply([x])


@table
def keyword_arguments(T):
    return make(T, lambda ctx, x, k=2: x * k, lambda ctx, g: g).apply(leaf(T), k=3)


@table
def integer_input(T):
    x = leaf(T)
    i = T.tensor([2, 0, 1])
    f = make(
        T,
        lambda ctx, x, i: (ctx.save_for_backward(i), x[i])[1],
        lambda ctx, g: (T.zeros(3, dtype=T.float64).index_add(0, ctx.saved_tensors[0], g), None),
    )
    f.apply(x, i).sum().backward()
    return x.grad, f.apply(x, i)


@table
def same_tensor_twice(T):
    x = leaf(T)
    make(T, lambda ctx, a, b: a * b, lambda ctx, g: (g, g * 2)).apply(x, x).sum().backward()
    return x.grad


@table
def inside_a_function(T):
    inner = square(T)

    def forward(ctx, x):
        ctx.save_for_backward(x)
        return inner.apply(x) + 1

    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        with T.enable_grad():
            z = x.detach().requires_grad_()
            y = inner.apply(z)
        return g * T.autograd.grad(y.sum(), z)[0]

    x = leaf(T)
    make(T, forward, backward).apply(x).sum().backward()
    return x.grad


@table
def checkpointing_by_hand(T):
    def run(v):
        return (v.sin() * v).exp()

    def forward(ctx, x):
        ctx.save_for_backward(x)
        with T.no_grad():
            return run(x)

    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        x = x.detach().requires_grad_()
        with T.enable_grad():
            y = run(x)
        T.autograd.backward(y, g)
        return x.grad

    x = leaf(T)
    make(T, forward, backward).apply(x * 0.1).sum().backward()
    return x.grad


@table
def straight_through(T):
    x = leaf(T, 0.2, 1.7, -0.6)
    make(T, lambda ctx, x: x.round(), lambda ctx, g: g).apply(x).sum().backward()
    return x.grad


@table
def gradcheck_of_a_function(T):
    return T.autograd.gradcheck(square(T).apply, leaf(T)), T.autograd.gradgradcheck(exponential(T).apply, leaf(T))


@table
def gradcheck_of_a_wrong_function(T):
    T.autograd.gradcheck(make(T, lambda ctx, x: x * 2, lambda ctx, g: g * 3).apply, leaf(T))


@table
def hooks_on_its_node(T):
    x, seen = leaf(T), []
    y = square(T).apply(x)
    y.grad_fn.register_hook(lambda down, up: seen.append((down[0].clone(), up[0].clone())))
    y.sum().backward()
    return seen


@table
def next_functions(T):
    x = leaf(T)
    y = make(T, lambda ctx, a, b, k: a * b, lambda ctx, g: (g, None, None)).apply(x * 1, T.ones(3), 2)
    return [f.name() if f else None for f, _ in y.grad_fn.next_functions]


@table
def broadcast_reduction_by_the_author(T):
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x @ w

    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return g @ w.t() if ctx.needs_input_grad[0] else None, x.t() @ g if ctx.needs_input_grad[1] else None

    w = T.arange(6, dtype=T.float64).reshape(2, 3).requires_grad_()
    x = T.ones(4, 2, dtype=T.float64)
    make(T, forward, backward).apply(x, w).sum().backward()
    return w.grad


@table
def in_a_module(T):
    f = square(T)

    class Layer(T.nn.Module):
        def __init__(self):
            super().__init__()
            self.w = T.nn.Parameter(T.ones(3, dtype=T.float64))

        def forward(self, x):
            return f.apply(x * self.w)

    layer = Layer()
    layer(leaf(T)).sum().backward()
    return layer.w.grad


# -- forward mode --------------------------------------------------------------------------------------------------------
@table
def jvp_through_func(T):
    class Cube(T.autograd.Function):
        @staticmethod
        def forward(x):
            return x**3

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(inputs[0])
            ctx.save_for_forward(inputs[0])

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * x**2 * g

        @staticmethod
        def jvp(ctx, t):
            (x,) = ctx.saved_tensors
            return 3 * x**2 * t

    x = T.tensor([1.0, 2.0], dtype=T.float64)
    return (
        T.func.jvp(Cube.apply, (x,), (T.ones(2, dtype=T.float64),)),
        T.func.jvp(lambda v: Cube.apply(v * 2).sum(), (x,), (T.ones(2, dtype=T.float64),)),
        T.func.grad(lambda v: Cube.apply(v).sum())(x),
        T.func.jacrev(T.func.grad(lambda v: Cube.apply(v).sum()))(x),
    )


@table
def jvp_missing(T):
    class Half(T.autograd.Function):
        @staticmethod
        def forward(x):
            return x * 2

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

        @staticmethod
        def backward(ctx, g):
            return g * 2

    T.func.jvp(Half.apply, (T.ones(2),), (T.ones(2),))


@pytest.mark.parametrize("behaviour", table)
def test_function(behaviour):
    compare(torch, behaviour)
