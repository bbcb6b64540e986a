"""Small autograd.Functions that the tables of custom functions share; T is the library under test."""

from __future__ import annotations


def leaf(T, *values):
    return T.tensor(values or [1.0, 2.0, 3.0], dtype=T.float64, requires_grad=True)


def make(T, forward, backward, name="Made", **others):
    """A Function of a forward and a backward."""
    body = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    body |= {k: staticmethod(v) for k, v in others.items()}
    return type(name, (T.autograd.Function,), body)


def square(T, **others):
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x * g

    return make(T, forward, backward, "Square", **others)


def exponential(T):
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y

    return make(T, forward, backward, "Exponential")
