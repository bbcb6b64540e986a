"""Custom autograd.Function: saving, several results, marks, errors, both forms, both modes: outcomes as under PyTorch."""

from __future__ import annotations

import pytest

from parity.behaviours import Table, compare
from parity.functions import exponential, leaf, make, square

torch = pytest.importorskip("torch")


table = Table()


@table
def saves_an_input(T):
    x = leaf(T)
    y = square(T).apply(x)
    y.sum().backward()
    return y, x.grad, y.grad_fn.name()


@table
def saves_its_output(T):
    x = leaf(T)
    y = exponential(T).apply(x)
    y.sum().backward()
    return y, x.grad


@table
def double_backward_through_input(T):
    x = leaf(T)
    y = square(T).apply(square(T).apply(x)).sum()
    (g,) = T.autograd.grad(y, x, create_graph=True)
    (h,) = T.autograd.grad(g.sum(), x, create_graph=True)
    return g, h, T.autograd.grad(h.sum(), x)


@table
def double_backward_through_output(T):
    x = leaf(T)
    y = exponential(T).apply(x * 2).sum()
    (g,) = T.autograd.grad(y, x, create_graph=True)
    (h,) = T.autograd.grad(g.sum(), x, create_graph=True)
    return g, h, T.autograd.grad(h.sum(), x)


@table
def double_backward_through_an_intermediate_misses_it(T):
    def forward(ctx, x):
        s = x.sin()
        ctx.save_for_backward(x, s)
        return s * s

    def backward(ctx, g):
        x, s = ctx.saved_tensors
        return 2 * s * x.cos() * g

    x = leaf(T)
    (g,) = T.autograd.grad(make(T, forward, backward).apply(x).sum(), x, create_graph=True)
    return g, T.autograd.grad(g.sum(), x)


@table
def saves_none(T):
    def forward(ctx, x, bias):
        ctx.save_for_backward(x, None, bias)
        return x * 2

    def backward(ctx, g):
        x, nothing, bias = ctx.saved_tensors
        assert nothing is None and bias is None
        return g * 2, None

    x = leaf(T)
    make(T, forward, backward).apply(x, None).sum().backward()
    return x.grad


@table
def saves_a_number(T):
    def forward(ctx, x):
        ctx.save_for_backward(x, 3)
        return x * 2

    make(T, forward, lambda ctx, g: g).apply(leaf(T)).sum().backward()


@table
def saved_input_is_the_same_variable(T):
    seen = []

    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x * w

    def backward(ctx, g):
        x, w = ctx.saved_tensors
        seen.extend([x.requires_grad, w.requires_grad, x.is_leaf, w.grad_fn is None])
        return g * w, g * x

    x, w = leaf(T), leaf(T)
    make(T, forward, backward).apply(x * 1, w).sum().backward()
    return seen, x.grad, w.grad


@table
def needs_input_grad(T):
    seen = []

    def forward(ctx, x, w, k):
        seen.append(ctx.needs_input_grad)
        return x * w * k

    def backward(ctx, g):
        seen.append(ctx.needs_input_grad)
        return g, None, None

    make(T, forward, backward).apply(leaf(T), T.ones(3, dtype=T.float64), 2.0).sum().backward()
    return seen


@table
def needs_input_grad_under_no_grad(T):
    seen = []

    def forward(ctx, x):
        seen.append(ctx.needs_input_grad)
        return x * 2

    with T.no_grad():
        y = make(T, forward, lambda ctx, g: g).apply(leaf(T))
    return seen, y


@table
def forward_runs_without_grad(T):
    seen = []

    def forward(ctx, x):
        y = x * 2
        seen.append((T.is_grad_enabled(), y.requires_grad, x.requires_grad))
        return y

    def backward(ctx, g):
        seen.append((T.is_grad_enabled(), g.requires_grad))
        return g

    x = leaf(T)
    y = make(T, forward, backward).apply(x)
    y.sum().backward(retain_graph=True)
    T.autograd.grad(y.sum(), x, create_graph=True)
    return seen


@table
def several_results(T):
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 2, x * x

    def backward(ctx, g, h):
        (x,) = ctx.saved_tensors
        return 2 * g + 2 * x * h

    x = leaf(T)
    a, b = make(T, forward, backward).apply(x)
    same = a.grad_fn is b.grad_fn
    (a.sum() + (b * b).sum()).backward()
    return a, b, x.grad, same, a.output_nr, b.output_nr


@table
def one_of_several_used(T):
    seen = []

    def forward(ctx, x):
        return x * 2, x * 3

    def backward(ctx, g, h):
        seen.append((g, h))
        return 2 * g + 3 * h

    x = leaf(T)
    a, b = make(T, forward, backward).apply(x)
    b.sum().backward()
    return seen, x.grad


@table
def one_of_several_used_not_materialized(T):
    seen = []

    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 2, x * 3

    def backward(ctx, g, h):
        seen.append(g is None)
        return 3 * h

    x = leaf(T)
    a, b = make(T, forward, backward).apply(x)
    b.sum().backward()
    return seen, x.grad


@table
def result_is_a_list(T):
    def forward(ctx, x):
        return [x * 2, x * 3]

    found = make(T, forward, lambda ctx, *g: g[0]).apply(leaf(T))
    return type(found).__name__


@table
def result_is_a_tuple_of_one(T):
    x = leaf(T)
    found = make(T, lambda ctx, x: (x * 2,), lambda ctx, g: g * 2).apply(x)
    found[0].sum().backward()
    return found, x.grad


@table
def results_that_are_no_tensors(T):
    x = leaf(T)
    y, n, s = make(T, lambda ctx, x: (x * 2, 7, "text"), lambda ctx, g, n, s: g * 2).apply(x)
    y.sum().backward()
    return y, n, s, x.grad


@table
def result_is_none(T):
    return make(T, lambda ctx, x: None, lambda ctx, g: g).apply(leaf(T))


@table
def result_of_integers(T):
    x = leaf(T)
    y, i = make(T, lambda ctx, x: (x * 2, x.argmax()), lambda ctx, g, h: g * 2).apply(x)
    y.sum().backward()
    return y, i, x.grad


@table
def gradient_none(T):
    x, w = leaf(T), leaf(T)
    y = make(T, lambda ctx, x, w: x * w, lambda ctx, g: (g, None)).apply(x, w)
    y.sum().backward()
    return x.grad, w.grad


@table
def gradient_none_then_grad(T):
    x, w = leaf(T), leaf(T)
    y = make(T, lambda ctx, x, w: x * w, lambda ctx, g: (g, None)).apply(x, w)
    return T.autograd.grad(y.sum(), [x, w], allow_unused=True)


@table
def too_few_gradients(T):
    make(T, lambda ctx, x, w: x * w, lambda ctx, g: g).apply(leaf(T), leaf(T)).sum().backward()


@table
def too_many_gradients(T):
    make(T, lambda ctx, x: x * 2, lambda ctx, g: (g, g)).apply(leaf(T)).sum().backward()


@table
def too_many_gradients_that_are_none(T):
    x = leaf(T)
    make(T, lambda ctx, x: x * 2, lambda ctx, g: (g, None, None)).apply(x).sum().backward()
    return x.grad


@table
def gradient_for_a_number(T):
    make(T, lambda ctx, x, k: x * k, lambda ctx, g: (g, g)).apply(leaf(T), 3.0).sum().backward()


@table
def gradient_for_data(T):
    x = leaf(T)
    make(T, lambda ctx, x, k: x * k, lambda ctx, g: (g, g)).apply(x, T.ones(3, dtype=T.float64)).sum().backward()
    return x.grad


@table
def gradient_of_wrong_shape(T):
    make(T, lambda ctx, x: x * 2, lambda ctx, g: g[:2]).apply(leaf(T)).sum().backward()


@table
def gradient_that_expands(T):
    x = T.ones(1, dtype=T.float64, requires_grad=True)
    make(T, lambda ctx, x: x.expand(3) * 2, lambda ctx, g: g * 2).apply(x).sum().backward()
    return x.grad


@table
def gradient_of_other_dtype(T):
    x = leaf(T)
    make(T, lambda ctx, x: x * 2, lambda ctx, g: (g * 2).float()).apply(x).sum().backward()
    return x.grad


@table
def gradient_is_no_tensor(T):
    make(T, lambda ctx, x: x * 2, lambda ctx, g: 2.0).apply(leaf(T)).sum().backward()


@table
def gradients_as_a_list(T):
    x, w = leaf(T), leaf(T)
    make(T, lambda ctx, x, w: x * w, lambda ctx, g: [g, g * 2]).apply(x, w).sum().backward()
    return x.grad, w.grad


@table
def backward_raises(T):
    def backward(ctx, g):
        raise KeyError("mine")

    make(T, lambda ctx, x: x * 2, backward).apply(leaf(T)).sum().backward()


@table
def backward_missing(T):
    class Half(T.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    Half.apply(leaf(T)).sum().backward()


@table
def forward_missing(T):
    class Nothing(T.autograd.Function):
        pass

    Nothing.apply(leaf(T))


@table
def called_not_applied(T):
    square(T)()(leaf(T))


@table
def returns_its_input(T):
    x = leaf(T)
    y = make(T, lambda ctx, x: x, lambda ctx, g: g * 5).apply(x)
    y.sum().backward()
    return y is x, y, x.grad


@table
def returns_a_view_of_its_input(T):
    x = leaf(T)
    y = make(T, lambda ctx, x: x.view(3, 1), lambda ctx, g: g.view(3) * 5).apply(x)
    y.sum().backward()
    return y, x.grad


@table
def view_as_for_identity(T):
    x = leaf(T)
    y = make(T, lambda ctx, x: x.view_as(x), lambda ctx, g: g.neg()).apply(x * 2)
    (y * y).sum().backward()
    return x.grad


@table
def gradient_reversal_in_a_chain(T):
    x = leaf(T)
    reverse = make(T, lambda ctx, x: x.clone(), lambda ctx, g: -g)
    (x * 2 + reverse.apply(x * 3)).sum().backward()
    return x.grad


@table
def mark_dirty(T):
    def forward(ctx, x):
        x.mul_(2)
        ctx.mark_dirty(x)
        return x

    x = leaf(T)
    z = x * 1
    y = make(T, forward, lambda ctx, g: g * 2).apply(z)
    same = y is z
    (y * y).sum().backward()
    return same, z, x.grad, z.grad_fn is y.grad_fn


@table
def mark_dirty_of_a_leaf(T):
    def forward(ctx, x):
        x.mul_(2)
        ctx.mark_dirty(x)
        return x

    make(T, forward, lambda ctx, g: g * 2).apply(leaf(T))


@table
def mark_dirty_not_returned(T):
    def forward(ctx, x):
        x.mul_(2)
        ctx.mark_dirty(x)
        return x * 1

    x = leaf(T)
    make(T, forward, lambda ctx, g: g * 2).apply(x * 1)


@table
def mark_dirty_then_old_value_needed(T):
    def forward(ctx, x):
        x.mul_(2)
        ctx.mark_dirty(x)
        return x

    x = leaf(T)
    z = x * 1
    w = z.exp()
    u = z * z
    y = make(T, forward, lambda ctx, g: g * 2).apply(z)
    (y.sum() + w.sum() + u.sum()).backward()


@table
def mark_dirty_of_plain_data(T):
    def forward(ctx, x, w):
        x.mul_(w)
        ctx.mark_dirty(x)
        return x

    w = leaf(T)
    data = T.ones(3, dtype=T.float64)
    y = make(T, forward, lambda ctx, g: (None, g)).apply(data, w)
    y.sum().backward()
    return data, y is data, w.grad


@table
def mark_non_differentiable(T):
    def forward(ctx, x):
        values, order = x.sort()
        extra = x * 0
        ctx.mark_non_differentiable(order, extra)
        return values, order, extra

    seen = []

    def backward(ctx, g, o, e):
        seen.append((o, e))
        return g * 2

    x = leaf(T)
    values, order, extra = make(T, forward, backward).apply(x)
    values.sum().backward()
    return values, order, extra, x.grad, seen


@table
def all_marked(T):
    def forward(ctx, x):
        y = x > 1
        ctx.mark_non_differentiable(y)
        return y

    return make(T, forward, lambda ctx, g: None).apply(leaf(T))


@pytest.mark.parametrize("behaviour", table)
def test_function(behaviour):
    compare(torch, behaviour)
