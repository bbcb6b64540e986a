"""torch.func and torch.autograd.functional: transforms, nesting, containers and errors have PyTorch's outcomes."""

from __future__ import annotations

import pytest

from parity.behaviours import Table, compare

torch = pytest.importorskip("torch")


def vector(T, *values):
    return T.tensor(values or [0.5, -1.0, 2.0], dtype=T.float64)


def number(T, value=2.0):
    return T.tensor(value, dtype=T.float64)


def matrix(T):
    return T.tensor([[1.0, 2.0, -1.0], [0.5, 0.0, 3.0]], dtype=T.float64)


def f(x):
    return (x.sin() * x**2).sum()


def g(x):
    return x.exp() * x.sum()


first = Table()
first.add(
    grad=lambda T: T.func.grad(f)(vector(T)),
    grad_of_number=lambda T: T.func.grad(T.sin)(number(T)),
    grad_second_argument=lambda T: T.func.grad(lambda a, b: (a * b * b).sum(), argnums=1)(
        vector(T), vector(T, 1, 2, 3)
    ),
    grad_last_argument=lambda T: T.func.grad(lambda a, b: (a * b * b).sum(), argnums=-1)(vector(T), vector(T, 1, 2, 3)),
    grad_tuple=lambda T: T.func.grad(lambda a, b: (a * b * b).sum(), argnums=(0, 1))(vector(T), vector(T, 1, 2, 3)),
    grad_tuple_of_one=lambda T: T.func.grad(lambda a, b: (a * b * b).sum(), argnums=(1,))(
        vector(T), vector(T, 1, 2, 3)
    ),
    grad_reversed=lambda T: T.func.grad(lambda a, b: (a * b * b).sum(), argnums=(1, 0))(vector(T), vector(T, 1, 2, 3)),
    grad_same_twice=lambda T: T.func.grad(lambda a, b: (a * b * b).sum(), argnums=(0, 0))(
        vector(T), vector(T, 1, 2, 3)
    ),
    grad_argnums_out=lambda T: T.func.grad(f, argnums=1)(vector(T)),
    grad_argnums_negative_out=lambda T: T.func.grad(f, argnums=-2)(vector(T)),
    grad_argnums_empty=lambda T: T.func.grad(f, argnums=())(vector(T)),
    grad_argnums_text=lambda T: T.func.grad(f, argnums="0")(vector(T)),
    grad_aux=lambda T: T.func.grad(lambda x: (f(x), x * 2), has_aux=True)(vector(T)),
    grad_aux_containers=lambda T: T.func.grad(lambda x: (f(x), {"a": x, "b": [x * 2]}), has_aux=True)(vector(T)),
    grad_aux_missing=lambda T: T.func.grad(f, has_aux=True)(vector(T)),
    grad_aux_number=lambda T: T.func.grad(lambda x: (f(x), 3), has_aux=True)(vector(T)),
    grad_and_value=lambda T: T.func.grad_and_value(f)(vector(T)),
    grad_and_value_aux=lambda T: T.func.grad_and_value(lambda x: (f(x), x.cos()), has_aux=True)(vector(T)),
    grad_non_scalar=lambda T: T.func.grad(g)(vector(T)),
    grad_one_element=lambda T: T.func.grad(lambda x: x * 2)(vector(T, 1.0)),
    grad_returns_number=lambda T: T.func.grad(lambda x: 3.0)(vector(T)),
    grad_returns_tuple=lambda T: T.func.grad(lambda x: (x.sum(), x.sum()))(vector(T)),
    grad_of_integers=lambda T: T.func.grad(lambda x: (x * 2).sum())(T.tensor([1, 2])),
    grad_of_integers_beside=lambda T: T.func.grad(lambda x, i: (x[i]).sum())(vector(T), T.tensor([0, 2])),
    grad_of_float_argument=lambda T: T.func.grad(lambda x: x * 2)(3.0),
    grad_returns_integers=lambda T: T.func.grad(lambda x: x.argmax())(vector(T)),
    grad_keyword=lambda T: T.func.grad(lambda x, scale=1.0: f(x) * scale)(vector(T), scale=3.0),
    grad_constant=lambda T: T.func.grad(lambda x: T.tensor(3.0))(vector(T)),
    grad_detached=lambda T: T.func.grad(lambda x: f(x.detach()) + x.sum())(vector(T)),
    grad_dict=lambda T: T.func.grad(lambda p: (p["w"] * p["b"]).sum())({"w": vector(T), "b": vector(T, 1, 2, 3)}),
    grad_list=lambda T: T.func.grad(lambda p: (p[0] * p[1][0]).sum())([vector(T), (vector(T, 1, 2, 3),)]),
    grad_unused=lambda T: T.func.grad(lambda a, b: a.sum(), argnums=(0, 1))(vector(T), vector(T)),
    grad_no_grad_inside=lambda T: T.func.grad(lambda x: _no_grad_part(T, x))(vector(T)),
    grad_under_no_grad=lambda T: _under_no_grad(T, lambda: T.func.grad(f)(vector(T))),
    grad_float32=lambda T: T.func.grad(f)(vector(T).float()),
    grad_of_requiring=lambda T: T.func.grad(f)(vector(T).requires_grad_()),
    vjp=lambda T: _vjp(T, g, vector(T)),
    vjp_two=lambda T: _vjp(T, lambda a, b: a * b, vector(T), vector(T, 1, 2, 3)),
    vjp_tuple_out=lambda T: T.func.vjp(lambda x: (x * 2, x.sum()), vector(T))[1](
        (T.ones(3, dtype=T.float64), number(T))
    ),
    vjp_dict_out=lambda T: T.func.vjp(lambda x: {"a": x * 2}, vector(T))[1]({"a": T.ones(3, dtype=T.float64)}),
    vjp_aux=lambda T: T.func.vjp(lambda x: (x * 2, x.cos()), vector(T), has_aux=True)[::2],
    vjp_wrong_structure=lambda T: T.func.vjp(lambda x: (x * 2, x.sum()), vector(T))[1](T.ones(3, dtype=T.float64)),
    vjp_wrong_shape=lambda T: T.func.vjp(g, vector(T))[1](T.ones(2, dtype=T.float64)),
    vjp_twice=lambda T: _vjp_twice(T),
    vjp_no_primals=lambda T: T.func.vjp(lambda: 1),
    vjp_returns_number=lambda T: T.func.vjp(lambda x: 3.0, vector(T)),
    jvp=lambda T: T.func.jvp(g, (vector(T),), (vector(T, 1, 2, 3),)),
    jvp_two=lambda T: T.func.jvp(lambda a, b: a * b, (vector(T), vector(T)), (vector(T, 1, 2, 3), vector(T, 0, 1, 0))),
    jvp_containers=lambda T: T.func.jvp(
        lambda d: {"s": d["a"] * d["b"]},
        ({"a": vector(T), "b": vector(T)},),
        ({"a": vector(T, 1, 0, 0), "b": vector(T, 0, 0, 1)},),
    ),
    jvp_tuple_out=lambda T: T.func.jvp(lambda x: (x * 2, x.sum()), (vector(T),), (vector(T, 1, 2, 3),)),
    jvp_aux=lambda T: T.func.jvp(lambda x: (x * 2, x.cos()), (vector(T),), (vector(T, 1, 2, 3),), has_aux=True),
    jvp_constant=lambda T: T.func.jvp(lambda x: T.ones(2), (vector(T),), (vector(T),)),
    jvp_partly_constant=lambda T: T.func.jvp(lambda x: (x * 2, T.ones(2)), (vector(T),), (vector(T),)),
    jvp_wrong_shape=lambda T: T.func.jvp(g, (vector(T),), (T.ones(2, dtype=T.float64),)),
    jvp_wrong_structure=lambda T: T.func.jvp(g, (vector(T),), (vector(T), vector(T))),
    jvp_no_tuple=lambda T: T.func.jvp(g, vector(T), vector(T)),
    jvp_no_tensors=lambda T: T.func.jvp(g, (3.0,), (1.0,)),
    jvp_empty=lambda T: T.func.jvp(lambda: 1, (), ()),
    jvp_through_indexing=lambda T: T.func.jvp(
        lambda x: x[1:] * x[T.tensor([0, 2])], (vector(T),), (vector(T, 1, 2, 3),)
    ),
    jvp_through_in_place=lambda T: T.func.jvp(lambda x: _in_place(x), (vector(T),), (vector(T, 1, 2, 3),)),
    jvp_through_reductions=lambda T: T.func.jvp(
        lambda x: (x.max(), x.prod(), x.norm(), x.logsumexp(0), x.cumsum(0)), (vector(T),), (vector(T, 1, 2, 3),)
    ),
    jvp_through_matmul=lambda T: T.func.jvp(lambda x: x @ x.t(), (matrix(T),), (matrix(T).cos(),)),
    linearize=lambda T: _linearize(T),
    jacrev=lambda T: T.func.jacrev(g)(vector(T)),
    jacrev_matrix=lambda T: T.func.jacrev(lambda x: x @ x.t())(matrix(T)),
    jacrev_tuple_in=lambda T: T.func.jacrev(lambda a, b: a * b, argnums=(0, 1))(vector(T), vector(T, 1, 2, 3)),
    jacrev_tuple_out=lambda T: T.func.jacrev(lambda x: (x * 2, x.sum()))(vector(T)),
    jacrev_dict_out=lambda T: T.func.jacrev(lambda x: {"a": x * 2, "b": x.sum()})(vector(T)),
    jacrev_dict_in=lambda T: T.func.jacrev(lambda d: d["a"] * d["b"])({"a": vector(T), "b": number(T)}),
    jacrev_aux=lambda T: T.func.jacrev(lambda x: (g(x), x.cos()), has_aux=True)(vector(T)),
    jacrev_of_number=lambda T: T.func.jacrev(lambda x: x**2)(number(T)),
    jacrev_constant=lambda T: T.func.jacrev(lambda x: T.ones(2, dtype=T.float64))(vector(T)),
    jacrev_chunk=lambda T: T.func.jacrev(g, chunk_size=2)(vector(T)),
    jacfwd=lambda T: T.func.jacfwd(g)(vector(T)),
    jacfwd_matrix=lambda T: T.func.jacfwd(lambda x: x @ x.t())(matrix(T)),
    jacfwd_tuple_in=lambda T: T.func.jacfwd(lambda a, b: a * b, argnums=(0, 1))(vector(T), vector(T, 1, 2, 3)),
    jacfwd_tuple_out=lambda T: T.func.jacfwd(lambda x: (x * 2, x.sum()))(vector(T)),
    jacfwd_aux=lambda T: T.func.jacfwd(lambda x: (g(x), x.cos()), has_aux=True)(vector(T)),
    jacfwd_of_number=lambda T: T.func.jacfwd(lambda x: x**2)(number(T)),
    hessian=lambda T: T.func.hessian(f)(vector(T)),
    hessian_two=lambda T: T.func.hessian(lambda a, b: (a * b**2).sum(), argnums=(0, 1))(vector(T), vector(T, 1, 2, 3)),
    hessian_of_number=lambda T: T.func.hessian(lambda x: x**3)(number(T)),
)


def _under_no_grad(T, run):
    with T.no_grad():
        return run()


def _no_grad_part(T, x):
    with T.no_grad():
        shift = x * x
    return (x * shift).sum()


def _vjp(T, fn, *primals):
    value, pull = T.func.vjp(fn, *primals)
    return value, pull(T.ones_like(value))


def _vjp_twice(T):
    value, pull = T.func.vjp(g, vector(T))
    return pull(T.ones_like(value)), pull(value)


def _in_place(x):
    y = x * 2
    y[0] = x[1]
    y.mul_(x)
    y[1:].add_(x[:2])
    return y


def _linearize(T):
    value, push = T.func.linearize(g, vector(T))
    return value, push(vector(T, 1, 2, 3)), push(vector(T, 0, 0, 1))


@pytest.mark.parametrize("behaviour", first)
def test_transforms(behaviour):
    compare(torch, behaviour)


nested = Table()


def _deriv(T, fn, depth):
    for _ in range(depth):
        fn = T.func.grad(fn)
    return fn


def _forward(T, fn, depth):
    for _ in range(depth):
        fn = (lambda h: lambda x: T.func.jvp(h, (x,), (T.ones_like(x),))[1])(fn)
    return fn


nested.add(
    grad_twice=lambda T: _deriv(T, lambda x: x.sin() * x**3, 2)(number(T)),
    grad_thrice=lambda T: _deriv(T, lambda x: x.sin() * x**3, 3)(number(T)),
    grad_four_times=lambda T: _deriv(T, lambda x: x.exp() * x**4, 4)(number(T)),
    jvp_twice=lambda T: _forward(T, lambda x: x.sin() * x**3, 2)(number(T)),
    jvp_thrice=lambda T: _forward(T, lambda x: x.sin() * x**3, 3)(number(T)),
    confusion=lambda T: T.func.grad(lambda x: x * T.func.grad(lambda y: x + y)(number(T, 1.0)))(number(T)),
    confusion_forward=lambda T: _forward(T, lambda x: x * _forward(T, lambda y: x + y, 1)(number(T, 1.0)), 1)(
        number(T)
    ),
    confusion_mixed=lambda T: T.func.grad(lambda x: x * _forward(T, lambda y: x * y, 1)(number(T, 1.0)))(number(T)),
    confusion_mixed_other=lambda T: _forward(T, lambda x: x * T.func.grad(lambda y: x * y)(number(T, 1.0)), 1)(
        number(T)
    ),
    confusion_same_value=lambda T: T.func.grad(lambda x: x * T.func.grad(lambda y: x * y)(x))(number(T)),
    confusion_depth_three=lambda T: T.func.grad(
        lambda x: x * T.func.grad(lambda y: y * T.func.grad(lambda z: x * y * z)(number(T, 3.0)))(number(T, 5.0))
    )(number(T)),
    confusion_same_tensor=lambda T: T.func.grad(
        lambda x: T.func.grad(lambda y: T.func.grad(lambda z: x * y * z * z)(x) * y)(x) * x
    )(number(T)),
    inner_sees_outer=lambda T: T.func.grad(lambda x: T.func.grad(lambda y: (x * y).sin() * y)(x))(number(T)),
    forward_over_reverse=lambda T: T.func.jacfwd(T.func.jacrev(f))(vector(T)),
    reverse_over_forward=lambda T: T.func.jacrev(T.func.jacfwd(f))(vector(T)),
    reverse_over_reverse=lambda T: T.func.jacrev(T.func.jacrev(f))(vector(T)),
    forward_over_forward=lambda T: T.func.jacfwd(T.func.jacfwd(f))(vector(T)),
    third_by_mixture=lambda T: T.func.jacfwd(T.func.jacrev(T.func.jacfwd(f)))(vector(T)),
    jvp_of_grad=lambda T: T.func.jvp(T.func.grad(f), (vector(T),), (vector(T, 1, 2, 3),)),
    grad_of_jvp=lambda T: T.func.grad(lambda x: T.func.jvp(f, (x,), (vector(T, 1, 2, 3),))[1])(vector(T)),
    grad_wrt_tangent=lambda T: T.func.grad(lambda v: T.func.jvp(f, (vector(T),), (v,))[1])(vector(T, 1, 2, 3)),
    jvp_wrt_tangent=lambda T: T.func.jvp(
        lambda v: T.func.jvp(f, (vector(T),), (v,))[1], (vector(T),), (vector(T, 1, 2, 3),)
    ),
    vjp_of_vjp=lambda T: _vjp(T, lambda x: _vjp(T, g, x)[1][0], vector(T)),
    grad_wrt_cotangent=lambda T: T.func.grad(lambda c: T.func.vjp(g, vector(T))[1](c)[0].sum())(vector(T, 1, 2, 3)),
    grad_of_value_in_vjp=lambda T: T.func.grad(lambda x: T.func.vjp(g, x)[0].sum())(vector(T)),
    aux_of_inner_has_history=lambda T: T.func.grad(
        lambda x: (lambda pair: pair[0] * pair[1].sum())(
            T.func.grad(lambda y: (y * x.sum(), x * y), has_aux=True)(number(T))
        )
    )(vector(T)),
    value_of_inner_has_history=lambda T: T.func.grad(
        lambda x: T.func.grad_and_value(lambda y: (y * x).sum())(number(T, 3.0))[1]
    )(vector(T)),
    gradient_descent_inside=lambda T: T.func.grad(lambda x: _descent(T, x))(number(T, 0.1)),
    hessian_vector_product=lambda T: T.func.grad(lambda x: (T.func.grad(f)(x) * vector(T, 1, 2, 3)).sum())(vector(T)),
    jacrev_of_jvp=lambda T: T.func.jacrev(lambda x: T.func.jvp(g, (x,), (x,))[1])(vector(T)),
)


def _descent(T, rate):
    w = number(T, 5.0)
    for _ in range(5):
        w = w - rate * T.func.grad(lambda v: (v - 1) ** 2)(w)
    return (w - 1) ** 2


@nested
def closure_over_a_leaf(T):
    w = vector(T, 1, 2, 3).requires_grad_()
    found = T.func.grad(lambda x: (x * x * w).sum())(vector(T))
    found.sum().backward()
    return found, w.grad


@nested
def closure_over_a_leaf_value(T):
    w = vector(T, 1, 2, 3).requires_grad_()
    found, value = T.func.grad_and_value(lambda x: (x * x * w).sum())(vector(T))
    value.backward()
    return found, value, w.grad


@nested
def argument_that_requires_grad(T):
    w = vector(T, 1, 2, 3).requires_grad_()
    found = T.func.grad(f)(w)
    found.sum().backward()
    return found, w.grad


@nested
def argument_with_history(T):
    w = vector(T, 1, 2, 3).requires_grad_()
    found = T.func.grad(f)(w * 2)
    found.sum().backward()
    return found, w.grad


@nested
def jvp_of_a_leaf(T):
    w = vector(T, 1, 2, 3).requires_grad_()
    value, pushed = T.func.jvp(f, (w,), (vector(T),))
    (value + pushed).backward()
    return value, pushed, w.grad


@nested
def jacobian_of_a_leaf(T):
    w = vector(T, 1, 2, 3).requires_grad_()
    found = T.func.jacrev(g)(w)
    found.sum().backward()
    return found, w.grad


@nested
def closure_under_no_grad(T):
    w = vector(T, 1, 2, 3).requires_grad_()
    with T.no_grad():
        return T.func.grad(lambda x: (x * x * w).sum())(vector(T))


@nested
def closure_over_data(T):
    c = vector(T, 1, 2, 3)
    return T.func.grad(lambda x: (x * x * c).sum())(vector(T)), c.grad


@nested
def no_grad_of_arguments_left(T):
    x = vector(T)
    T.func.grad(f)(x)
    return x, x.grad


@nested
def arguments_are_not_marked(T):
    seen = []
    x = vector(T)
    T.func.grad(lambda y: (seen.append(y is x), f(y))[1])(x)
    return seen, x


@nested
def in_place_inside(T):
    def h(x):
        y = x * 1
        y.mul_(x)
        y[0] = 3.0
        return y.sum()

    return T.func.grad(h)(vector(T)), T.func.jacfwd(h)(vector(T)), T.func.hessian(h)(vector(T))


@nested
def functional_call(T):
    T.manual_seed(0)
    layer = T.nn.Linear(3, 2).double()
    params = dict(layer.named_parameters())
    x = matrix(T)
    return T.func.grad(lambda p: T.func.functional_call(layer, p, (x,)).pow(2).sum())(
        {k: v.detach() for k, v in params.items()}
    )


@nested
def with_autograd_backward_outside(T):
    w = vector(T, 1, 2, 3).requires_grad_()
    loss = (w * 2).sum() + T.func.grad(lambda x: (x**2 * w).sum())(vector(T)).sum()
    loss.backward()
    return w.grad


@nested
def autograd_grad_inside(T):
    def h(x):
        (d,) = T.autograd.grad((x**3).sum(), x, create_graph=True)
        return d.sum()

    return T.func.grad(h)(vector(T))


@pytest.mark.parametrize("behaviour", nested)
def test_nesting(behaviour):
    compare(torch, behaviour)


older = Table()
older.add(
    jacobian=lambda T: T.autograd.functional.jacobian(g, vector(T)),
    jacobian_two=lambda T: T.autograd.functional.jacobian(lambda a, b: a * b, (vector(T), vector(T, 1, 2, 3))),
    jacobian_two_out=lambda T: T.autograd.functional.jacobian(
        lambda a, b: (a * b, a.sum()), (vector(T), vector(T, 1, 2, 3))
    ),
    jacobian_tuple_of_one=lambda T: T.autograd.functional.jacobian(g, (vector(T),)),
    jacobian_create_graph=lambda T: T.autograd.functional.jacobian(g, vector(T).requires_grad_(), create_graph=True),
    jacobian_without_graph=lambda T: T.autograd.functional.jacobian(g, vector(T).requires_grad_()),
    jacobian_forward=lambda T: T.autograd.functional.jacobian(g, vector(T), strategy="forward-mode", vectorize=True),
    jacobian_vectorized=lambda T: T.autograd.functional.jacobian(g, vector(T), vectorize=True),
    jacobian_strict=lambda T: T.autograd.functional.jacobian(lambda x: T.ones(2), vector(T), strict=True),
    jacobian_constant=lambda T: T.autograd.functional.jacobian(lambda x: T.ones(2), vector(T)),
    jacobian_of_a_number=lambda T: T.autograd.functional.jacobian(g, 3.0),
    jacobian_returns_a_number=lambda T: T.autograd.functional.jacobian(lambda x: 3.0, vector(T)),
    hessian=lambda T: T.autograd.functional.hessian(f, vector(T)),
    hessian_two=lambda T: T.autograd.functional.hessian(lambda a, b: (a * b**2).sum(), (vector(T), vector(T, 1, 2, 3))),
    hessian_non_scalar=lambda T: T.autograd.functional.hessian(g, vector(T)),
    vjp=lambda T: T.autograd.functional.vjp(g, vector(T), vector(T, 1, 2, 3)),
    vjp_scalar=lambda T: T.autograd.functional.vjp(f, vector(T)),
    vjp_missing_v=lambda T: T.autograd.functional.vjp(g, vector(T)),
    vjp_two=lambda T: T.autograd.functional.vjp(lambda a, b: a * b, (vector(T), vector(T)), vector(T, 1, 2, 3)),
    vjp_wrong_v=lambda T: T.autograd.functional.vjp(g, vector(T), T.ones(2, dtype=T.float64)),
    jvp=lambda T: T.autograd.functional.jvp(g, vector(T), vector(T, 1, 2, 3)),
    jvp_missing_v=lambda T: T.autograd.functional.jvp(g, vector(T)),
    jvp_of_number=lambda T: T.autograd.functional.jvp(lambda x: x**3, number(T)),
    jvp_two=lambda T: T.autograd.functional.jvp(
        lambda a, b: a * b, (vector(T), vector(T)), (vector(T, 1, 2, 3), vector(T))
    ),
    hvp=lambda T: T.autograd.functional.hvp(f, vector(T), vector(T, 1, 2, 3)),
    hvp_two=lambda T: T.autograd.functional.hvp(
        lambda a, b: (a * b**2).sum(), (vector(T), vector(T)), (vector(T, 1, 2, 3), vector(T))
    ),
    vhp=lambda T: T.autograd.functional.vhp(f, vector(T), vector(T, 1, 2, 3)),
    vhp_two=lambda T: T.autograd.functional.vhp(
        lambda a, b: (a * b**2).sum(), (vector(T), vector(T)), (vector(T, 1, 2, 3), vector(T))
    ),
    vhp_non_scalar=lambda T: T.autograd.functional.vhp(g, vector(T), vector(T)),
)


@pytest.mark.parametrize("behaviour", older)
def test_autograd_functional(behaviour):
    compare(torch, behaviour)


# -- gradcheck -----------------------------------------------------------------------------------------------------------
def _wrong(T):
    class Wrong(T.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, upstream):
            return upstream * 2.1

    return Wrong.apply


def _requiring(T, *shape):
    return T.tensor([0.1, 0.26, 0.42, 0.58, 0.74, 0.9], dtype=T.float64).reshape(shape or (2, 3)).requires_grad_()


checks = Table()
checks.add(
    right=lambda T: T.autograd.gradcheck(lambda x: x.sin() * x, _requiring(T)),
    right_tuple=lambda T: T.autograd.gradcheck(lambda x, w: (x @ w, x.sum()), (_requiring(T), _requiring(T, 3, 2))),
    right_beside_data=lambda T: T.autograd.gradcheck(
        lambda x, c: x * c, (_requiring(T), T.ones(2, 3, dtype=T.float64))
    ),
    right_beside_integers=lambda T: T.autograd.gradcheck(lambda x, i: x[i], (_requiring(T), T.tensor([0, 1, 0]))),
    right_forward=lambda T: T.autograd.gradcheck(lambda x: x.exp() * x.sum(), _requiring(T), check_forward_ad=True),
    right_complex=lambda T: T.autograd.gradcheck(
        lambda x: x * x, T.tensor([1 + 2j, 0.5j], dtype=T.complex128, requires_grad=True)
    ),
    right_complex_to_real=lambda T: T.autograd.gradcheck(
        T.abs, T.tensor([1 + 2j, 0.5j], dtype=T.complex128, requires_grad=True)
    ),
    right_second=lambda T: T.autograd.gradgradcheck(lambda x: x**3 * x.sum(), _requiring(T)),
    right_second_two=lambda T: T.autograd.gradgradcheck(
        lambda x, w: (x @ w).tanh(), (_requiring(T), _requiring(T, 3, 2))
    ),
    right_fast=lambda T: T.autograd.gradcheck(lambda x: x.sin() * x, _requiring(T), fast_mode=True),
    wrong=lambda T: T.autograd.gradcheck(_wrong(T), _requiring(T)),
    wrong_false=lambda T: T.autograd.gradcheck(_wrong(T), _requiring(T), raise_exception=False),
    wrong_fast=lambda T: T.autograd.gradcheck(_wrong(T), _requiring(T), fast_mode=True),
    wrong_second=lambda T: T.autograd.gradgradcheck(lambda x: x.detach() * x**2, _requiring(T)),
    detached=lambda T: T.autograd.gradcheck(lambda x: x.detach() * x, _requiring(T)),
    no_inputs=lambda T: T.autograd.gradcheck(lambda x: x * 2, T.ones(2, dtype=T.float64)),
    float32=lambda T: T.autograd.gradcheck(lambda x: x.exp(), T.tensor([0.1, 0.3, 0.5, 0.7, 0.9], requires_grad=True)),
    constant=lambda T: T.autograd.gradcheck(lambda x: T.ones(2, dtype=T.float64), _requiring(T)),
    random=lambda T: T.autograd.gradcheck(lambda x: x * T.rand(2, 3, dtype=T.float64), _requiring(T)),
    empty=lambda T: T.autograd.gradcheck(lambda x: x * 2, T.ones(0, 3, dtype=T.float64, requires_grad=True)),
    scalar=lambda T: T.autograd.gradcheck(lambda x: x**2, T.tensor(2.0, dtype=T.float64, requires_grad=True)),
    kink_with_tolerance=lambda T: T.autograd.gradcheck(
        T.relu, T.tensor([0.0, 1.0], dtype=T.float64, requires_grad=True)
    ),
    loose=lambda T: T.autograd.gradcheck(_wrong(T), _requiring(T), atol=1.0),
    stable_inputs=lambda T: (lambda x: (T.autograd.gradcheck(lambda v: v**2, x), x, x.grad))(_requiring(T)),
)


@pytest.mark.parametrize("behaviour", checks)
def test_gradcheck(behaviour):
    compare(torch, behaviour)
