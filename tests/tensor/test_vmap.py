"""vmap without the other library: batches, captured tensors, writes, randomness, questions, nesting with derivatives."""

from __future__ import annotations

import copy
import gc

import numpy as np
import pytest

import retrograd as torch
from retrograd import func
from retrograd.autodiff.trace import Trace, interpret, trace
from retrograd.core.mode import MODE

vmap = func.vmap


def same(a, b, **tolerance):
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), **{"rtol": 1e-5, "atol": 1e-6, **tolerance})


def test_the_function_runs_once_for_any_batch():
    calls = []

    def fn(x):
        calls.append(x.shape)
        return x * 2

    vmap(fn)(torch.ones(50, 3))
    assert calls == [(3,)]


def test_what_does_not_depend_on_the_batch_is_computed_once():
    seen = []

    def observer(op, xs, attrs, t):
        seen.append((op.name, t._a.shape))

    w = torch.ones(4, 4)
    MODE.observers = (observer,)
    MODE.settle()
    try:
        vmap(lambda x: x + (w @ w).sum())(torch.ones(7))
    finally:
        MODE.observers = ()
        MODE.settle()
    assert ("matmul", (7, 4, 4)) not in seen


def test_captured_tensors_get_gradients():
    w = torch.randn(3, requires_grad=True)
    x = torch.randn(5, 3, requires_grad=True)
    vmap(lambda v: (v * w).sum())(x).sum().backward()
    same(w.grad, x.sum(0))
    same(x.grad, w.expand(5, 3))


def test_a_captured_view_and_a_result_of_history_stay_connected():
    w = torch.randn(2, 3, requires_grad=True)
    turned, scaled = w.t(), w * 2
    x = torch.randn(4, 2)
    vmap(lambda v: (turned @ v).sum() + scaled.sum())(x).sum().backward()
    same(w.grad, x.sum(0)[:, None].expand(2, 3) + 8)
    assert turned.grad_fn is not None and scaled.grad_fn is not None


def test_no_grad_within_and_around():
    x = torch.randn(3, 2, requires_grad=True)

    def fn(v):
        with torch.no_grad():
            scale = v.exp()
        return (v * scale).sum()

    vmap(fn)(x).sum().backward()
    same(x.grad, x.exp())
    with torch.no_grad():
        assert not vmap(fn)(x).requires_grad
    assert not vmap(lambda v: v.detach() * 2)(x).requires_grad


def test_writes_to_an_input_reach_the_tensor():
    x = torch.arange(6.0).view(3, 2)
    vmap(lambda v: v.mul_(2))(x)
    same(x, torch.arange(6.0).view(3, 2) * 2)
    vmap(lambda v: v[0].zero_(), in_dims=1)(x)
    same(x[0], torch.zeros(2))


def test_writes_to_captured_tensors():
    count, x = torch.zeros(2), torch.randn(3, 2)
    with pytest.raises(RuntimeError, match="inplace arithmetic"):
        vmap(lambda v: count.add_(v))(x)
    assert count.tolist() == [0, 0]
    vmap(lambda v: (count.add_(1), v)[1])(x)
    assert count.tolist() == [1, 1]


def test_a_refused_run_leaves_everything_as_it_was():
    w = torch.randn(3, requires_grad=True)
    y = w * 2
    count, x = torch.zeros(()), torch.randn(4, 3)
    before = torch.get_rng_state()

    def fn(v):
        count.add_(1)
        torch.rand(2)
        return (y * v).sum().item()

    with pytest.raises(RuntimeError, match="item"):
        vmap(fn, randomness="different")(x)
    assert count.item() == 0
    assert torch.equal(torch.get_rng_state(), before)
    y.sum().backward()
    same(w.grad, torch.full((3,), 2.0))
    assert MODE.trace is None and not MODE.special


@pytest.mark.parametrize(
    "ask",
    [
        lambda v: v.sum().item(),
        lambda v: v if v.sum() > 0 else -v,
        lambda v: float(v.sum()),
        lambda v: int(v.sum()),
        lambda v: v.tolist(),
        lambda v: v.numpy(),
        lambda v: np.asarray(v),
        lambda v: v.nonzero(),
        lambda v: v[v > 0],
        lambda v: v.masked_select(v > 0),
        lambda v: v.unique(),
        lambda v: v.int().bincount(),
        lambda v: torch.equal(v, v),
        lambda v: torch.allclose(v, v),
        lambda v: [1, 2, 3][v.int().argmax()],
    ],
)
def test_questions_that_items_answer_differently(ask):
    with pytest.raises(RuntimeError, match="vmap"):
        vmap(ask)(torch.rand(3, 2))
    with pytest.raises(RuntimeError, match="vmap"):
        vmap(vmap(ask, in_dims=0), in_dims=1)(torch.rand(2, 3, 2))


@pytest.mark.parametrize(
    "again",
    [
        torch.as_tensor,
        torch.asarray,
        lambda v: v.data,
        lambda v: copy.copy(v),
        lambda v: copy.deepcopy(v),
        lambda v: torch.stack(list(v)),
        lambda v: torch.from_dlpack(v),
        lambda v: v.view(torch.int32).view(torch.float32),
        lambda v: torch.zeros(3).copy_(v),
        lambda v: torch.empty(0).resize_(3).copy_(v),
        lambda v: v.as_subclass(torch.Tensor),
        lambda v: torch.zeros(3).put_(torch.arange(3), v),
        lambda v: torch.tensor(v.detach()).clone(),
    ],
)
@pytest.mark.filterwarnings("ignore:To copy construct")
def test_a_tensor_of_a_tensor_stands_for_the_whole_batch(again):
    x = torch.randn(4, 3)
    same(vmap(again)(x), x)


@pytest.mark.parametrize(
    "hidden",
    [
        lambda v: v.new_tensor(v),
        lambda v: torch.nn.Parameter(v),
        lambda v: torch.zeros(3).set_(v),
        lambda v: v.untyped_storage(),
        lambda v: torch.zeros(3).repeat_interleave((v > 0).int()),
        lambda v: torch.nn.functional.embedding_bag((v > 0).long(), torch.ones(3, 2), torch.tensor([0])),
        lambda v: torch.linalg.ldl_factor(v.diag()),
        lambda v: torch.geqrf(v.diag()),
        lambda v: torch.histogram(v, 3),
    ],
)
def test_what_would_stand_for_the_first_item_alone_is_refused(hidden):
    with pytest.raises(RuntimeError, match="vmap"):
        vmap(hidden)(torch.randn(4, 3))


def test_questions_about_what_all_items_share():
    limit = torch.tensor(2.0)
    assert vmap(lambda v: v * limit.item() if limit > 1 else v)(torch.ones(2)).tolist() == [2, 2]
    shared = torch.tensor([True, False, True])
    assert vmap(lambda v: v[shared])(torch.arange(6.0).view(2, 3)).tolist() == [[0, 2], [3, 5]]
    with pytest.raises(RuntimeError, match="vmap"):  # the outer batch's items differ
        vmap(lambda a: vmap(lambda b: b * a.item())(torch.ones(2)))(torch.ones(3))


def test_randomness():
    x = torch.zeros(4, 3)
    with pytest.raises(RuntimeError, match="randomness error mode"):
        vmap(lambda v: v + torch.rand(3))(x)
    torch.manual_seed(0)
    want = torch.rand(4, 3)
    torch.manual_seed(0)
    same(vmap(lambda v: v + torch.rand(3), randomness="different")(x), want)
    torch.manual_seed(0)
    same(vmap(lambda v: v + torch.rand(3), randomness="same")(x), want[:1].expand(4, 3))
    torch.manual_seed(0)
    chunks = vmap(lambda v: v + torch.rand(3), randomness="same", chunk_size=2)(x)
    same(chunks, want[:1].expand(4, 3))
    own = torch.Generator().manual_seed(3)
    first = vmap(lambda v: v + torch.randn(3, generator=own), randomness="different")(x)
    same(first, torch.randn(4, 3, generator=torch.Generator().manual_seed(3)))
    with pytest.raises(RuntimeError, match="same randomness"):
        vmap(lambda v: torch.bernoulli(v), randomness="same")(x + 0.5)
    assert vmap(lambda v: torch.multinomial(v, 2), randomness="different")(x + 0.5).shape == (4, 2)
    assert sorted(vmap(lambda v: torch.randperm(3), randomness="different")(x)[2].tolist()) == [0, 1, 2]
    dropped = vmap(lambda v: torch.nn.functional.dropout(v, 0.5), randomness="different")(torch.ones(50, 40))
    assert 0.4 < (dropped == 0).float().mean().item() < 0.6


def test_chunks():
    x = torch.randn(7, 3)
    for chunk in (1, 2, 7, 9):
        got = vmap(lambda v: (v.sum(), v * 2), out_dims=(0, 1), chunk_size=chunk)(x)
        same(got[0], x.sum(1))
        same(got[1], (x * 2).t())


def test_containers():
    x = torch.randn(3, 2)
    got = vmap(lambda d, k: {"a": d["x"] * k, "b": [d["y"]]}, in_dims=({"x": 0, "y": None}, None))({"x": x, "y": x}, 2)
    same(got["a"], x * 2)
    same(got["b"][0], x.expand(3, 3, 2))


def test_derivatives_of_any_order_within_and_around():
    x = torch.randn(4, 3, dtype=torch.float64)
    same(vmap(func.grad(lambda v: (v**3).sum()))(x), 3 * x**2)
    same(vmap(func.grad(func.grad(lambda s: s**4)))(x[:, 0]), 12 * x[:, 0] ** 2)
    same(vmap(func.hessian(lambda v: (v**3).sum()))(x), torch.diag_embed(6 * x))
    same(vmap(func.jacrev(torch.sin))(x), torch.diag_embed(x.cos()))
    same(vmap(func.jacfwd(torch.sin))(x), torch.diag_embed(x.cos()))
    same(vmap(lambda v: func.vjp(torch.sin, v)[1](v)[0])(x), x.cos() * x)
    same(vmap(lambda v: func.linearize(torch.sin, v)[1](v))(x), x.cos() * x)
    outer = func.grad(lambda s: vmap(func.grad(lambda v: (v**3 * s).sum()))(x).sum())
    same(outer(torch.tensor(2.0, dtype=torch.float64)), (3 * x**2).sum())
    third = func.grad(lambda v: vmap(func.grad(func.grad(lambda s: s**4)))(v).sum())
    same(third(x[:, 0]), 24 * x[:, 0])
    by_hand = vmap(lambda v: torch.autograd.grad((v**3).sum(), v, create_graph=True)[0])(x.requires_grad_())
    same(torch.autograd.grad(by_hand.sum(), x)[0], 6 * x)


def test_per_sample_gradients_of_a_module():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    params = {k: v.detach() for k, v in net.named_parameters()}
    x, y = torch.randn(5, 3), torch.tensor([0, 1, 1, 0, 1])

    def loss(p, v, label):
        return torch.nn.functional.cross_entropy(func.functional_call(net, p, (v[None],)), label[None])

    found = vmap(func.grad(loss), in_dims=(None, 0, 0))(params, x, y)
    for i in range(5):
        net.zero_grad()
        torch.nn.functional.cross_entropy(net(x[i : i + 1]), y[i : i + 1]).backward()
        for name, p in net.named_parameters():
            same(found[name][i], p.grad)


def test_an_ensemble():
    models = [torch.nn.Linear(3, 2) for _ in range(4)]
    params, buffers = func.stack_module_state(models)
    x = torch.randn(5, 3)
    got = vmap(lambda p, b, v: func.functional_call(models[0], (p, b), (v,)), (0, 0, None))(params, buffers, x)
    same(got, torch.stack([m(x) for m in models]))
    assert params["weight"].is_leaf and params["weight"].requires_grad
    with pytest.raises(RuntimeError, match="at least one"):
        func.stack_module_state([])
    with pytest.raises(RuntimeError, match="same class"):
        func.stack_module_state([models[0], torch.nn.ReLU()])
    with pytest.raises(RuntimeError, match="training/eval"):
        func.stack_module_state([models[0], torch.nn.Linear(3, 2).eval()])


def test_batch_norm_of_its_own_for_each_model():
    models = [torch.nn.BatchNorm1d(3) for _ in range(2)]
    params, buffers = func.stack_module_state(models)
    x = torch.randn(2, 5, 3)
    vmap(lambda p, b, v: func.functional_call(models[0], (p, b), (v,)))(params, buffers, x)
    for k, m in enumerate(models):
        m(x[k])
        same(buffers["running_mean"][k], m.running_mean)
    assert buffers["num_batches_tracked"].tolist() == [1, 1]
    with pytest.raises(RuntimeError, match="inplace arithmetic"):
        vmap(models[0])(x)
    func.replace_all_batch_norm_modules_(models[0])
    assert vmap(models[0])(x).shape == (2, 5, 3)


class Cube(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x, k):
        return x**3 * k, x * 2

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, k = inputs
        ctx.save_for_backward(x)
        ctx.k = k

    @staticmethod
    def backward(ctx, g, h):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * g * ctx.k + 2 * h, None

    @staticmethod
    def jvp(ctx, t, _):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * t * ctx.k, 2 * t


class Sorted(torch.autograd.Function):
    @staticmethod
    def forward(x, dim):
        a = x.detach().numpy()
        return torch.tensor(np.sort(a, dim)), torch.tensor(np.argsort(a, dim))

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])
        ctx.dim = inputs[1]

    @staticmethod
    def backward(ctx, g, _):
        (order,) = ctx.saved_tensors
        return torch.zeros_like(g).scatter(ctx.dim, order, g), None

    @staticmethod
    def vmap(info, in_dims, x, dim):
        assert info.batch_size == x.shape[in_dims[0]]
        x = x.movedim(in_dims[0], 0)
        return Sorted.apply(x, dim + 1 if dim >= 0 else dim), (0, 0)


def test_functions_with_a_generated_rule():
    x = torch.randn(4, 3, dtype=torch.float64)
    same(vmap(lambda v: Cube.apply(v, 2)[0])(x), 2 * x**3)
    same(vmap(func.grad(lambda v: Cube.apply(v, 2)[0].sum()))(x), 6 * x**2)
    y = x.clone().requires_grad_()
    a, b = vmap(lambda v: Cube.apply(v, 2))(y)
    (a.sum() + b.sum()).backward()
    same(y.grad, 6 * x**2 + 2)
    w = x[0].clone().requires_grad_()
    vmap(lambda v: Cube.apply(w, 2)[0] * v)(x).sum().backward()
    same(w.grad, 6 * w**2 * x.sum(0))
    _, pushed = func.jvp(lambda v: vmap(lambda u: Cube.apply(u, 2)[0])(v), (x,), (x,))
    same(pushed, 6 * x**3)


def test_functions_nest():
    x = torch.randn(2, 4, 3, dtype=torch.float64)
    twice = lambda fn: vmap(vmap(fn))
    same(twice(lambda v: Cube.apply(v, 2)[0])(x), 2 * x**3)
    same(twice(func.grad(lambda v: Cube.apply(v, 2)[0].sum()))(x), 6 * x**2)
    same(func.grad(lambda z: twice(lambda v: Cube.apply(v, 2)[0].sum())(z).sum())(x), 6 * x**2)
    same(twice(lambda v: Sorted.apply(v, 0)[0])(x), x.sort(-1).values)


def test_results_written_into_a_given_tensor():
    x, out = torch.randn(3, 2), torch.empty(2)
    same(vmap(lambda v: torch.add(v, 1, out=torch.empty(2)))(x), x + 1)
    same(vmap(lambda v: torch.add(v, 1, out=torch.empty(0)))(x), x + 1)
    with pytest.raises(RuntimeError, match="inplace arithmetic"):
        vmap(lambda v: torch.add(v, 1, out=out))(x)


def test_a_leaf_made_within():
    x = torch.randn(3, 2, dtype=torch.float64)

    def slope(v):
        leaf = v.detach().requires_grad_()
        return torch.autograd.grad((leaf**3).sum(), leaf)[0]

    same(vmap(slope)(x), 3 * x**2)


def test_modes_of_randomness_nest():
    x = torch.zeros(3, 2)
    torch.manual_seed(0)
    want = torch.rand(3, 2, 4)
    torch.manual_seed(0)
    draw = lambda _: torch.rand(4)
    same(vmap(vmap(draw, randomness="different"), randomness="different")(x), want)
    torch.manual_seed(0)
    got = vmap(vmap(draw, randomness="same"), randomness="different")(x)
    assert torch.equal(got[:, 0], got[:, 1]) and not torch.equal(got[0], got[1])


def test_functions_with_a_rule_of_their_own():
    x = torch.randn(4, 3, dtype=torch.float64)
    same(vmap(lambda v: Sorted.apply(v, 0)[0])(x), x.sort(1).values)
    weights = torch.arange(3.0, dtype=torch.float64)
    got = vmap(func.grad(lambda v: (Sorted.apply(v, 0)[0] * weights).sum()))(x)
    same(got, x.argsort(1).argsort(1).double())
    y = x.clone().requires_grad_()
    (vmap(lambda v: Sorted.apply(v, 0)[0])(y) * weights).sum().backward()
    same(y.grad, got)


def test_functions_without_a_rule_are_refused():
    class Plain(torch.autograd.Function):
        @staticmethod
        def forward(x):
            return x * 2

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

    class Old(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    with pytest.raises(RuntimeError, match="does not have vmap support"):
        vmap(Plain.apply)(torch.ones(2))
    with pytest.raises(RuntimeError, match="setup_context"):
        vmap(Old.apply)(torch.ones(2))


def test_traces_nest_and_functions_are_traced():
    x = torch.randn(3, 2, dtype=torch.float64)
    _, graph, inputs, _ = trace(lambda v: vmap(lambda u: (u * 2).sum())(v), x)
    (got,) = interpret(graph, [x._a + 1 if t is x else t._a for t in inputs])
    np.testing.assert_allclose(got, ((x._a + 1) * 2).sum(1))
    y = x.clone().requires_grad_()
    _, graph, inputs, _ = trace(lambda v: Cube.apply(v, 2), y)
    got = interpret(graph, [y._a * 2 if t is y else t._a for t in inputs])
    np.testing.assert_allclose(got[0], 16 * x._a**3)
    np.testing.assert_allclose(got[1], 4 * x._a)


def test_a_trace_is_asked_before_a_value_leaves():
    class Listening(Trace):
        heard: list = []

        def asked(self, tensor, what):
            self.heard.append(what)

    x = torch.ones(2)
    with Listening([x]):
        bool(x.sum() > 0)
        x.sum().item()
        x.tolist()
    assert Listening.heard == ["bool", "item()", "tolist()"]


def test_jacobians_are_vectorised_and_batched_gradients_are_one_walk():
    a = torch.randn(3, 3, dtype=torch.float64)
    calls = []
    x = torch.randn(3, dtype=torch.float64, requires_grad=True)
    x.register_hook(lambda g: calls.append(g.shape))
    y = a @ x
    (found,) = torch.autograd.grad(y, x, torch.eye(3, dtype=torch.float64), is_grads_batched=True)
    same(found, a)
    assert calls == [(3,)]
    same(func.jacrev(lambda v: a @ v, chunk_size=2)(x.detach()), a)
    same(torch.autograd.functional.jacobian(lambda v: a @ v, x.detach(), vectorize=True), a)


def test_rearrange():
    x = torch.arange(24.0).view(2, 3, 4)
    same(func.rearrange(x, "a b c -> c (a b)"), x.permute(2, 0, 1).reshape(4, 6))
    same(func.rearrange(x, "... (c d) -> d ... c", d=2), x.view(2, 3, 2, 2).permute(3, 0, 1, 2))
    same(func.rearrange([x, x], "n a b c -> (n a) b c"), torch.cat([x, x]))
    for wrong in ("a b -> b a", "a b c -> a b", "a b (c -> a b c", "a a c -> a c", "a b c"):
        with pytest.raises(ValueError, match="rearrange"):
            func.rearrange(x, wrong)


def test_small_faces():
    assert func.functionalize(lambda x: x.clone().add_(1))(torch.zeros(2)).tolist() == [1, 1]
    with pytest.raises(RuntimeError, match="remove"):
        func.functionalize(lambda x: x, remove="views")
    x = torch.ones(2)
    assert func.debug_unwrap(x) is x


def test_graphs_of_vmap_die_by_reference_count():
    gc.collect()
    gc.disable()
    try:
        x = torch.randn(4, 3, requires_grad=True)
        before = len([o for o in gc.get_objects() if type(o).__name__ == "Node"])
        vmap(lambda v: (v.sin() * v).sum())(x).sum().backward()
        after = len([o for o in gc.get_objects() if type(o).__name__ == "Node"])
        assert after - before <= 2
    finally:
        gc.enable()
