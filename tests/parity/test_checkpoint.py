"""torch.utils.checkpoint and autograd.graph beside PyTorch's: the same programs, under both."""

from __future__ import annotations

import importlib
import warnings

import numpy as np
import pytest

import retrograd

torch = pytest.importorskip("torch")
BOTH = (retrograd, torch)


def made(T, seed=0):
    rng = np.random.default_rng(seed)
    net = T.nn.Sequential(*[T.nn.Sequential(T.nn.Linear(6, 6), T.nn.Tanh()) for _ in range(4)])
    with T.no_grad():
        for p in net.parameters():
            p.copy_(T.tensor(rng.standard_normal(tuple(p.shape)).astype(np.float32) * 0.4))
    x = T.tensor(rng.standard_normal((5, 6)).astype(np.float32), requires_grad=True)
    return net, x


def tool(T):
    return importlib.import_module(f"{T.__name__}.utils.checkpoint")


def plain(T, net, x):
    return net(x)


def reentrant(T, net, x):
    return tool(T).checkpoint(net, x, use_reentrant=True)


def not_reentrant(T, net, x):
    return tool(T).checkpoint(net, x, use_reentrant=False)


def sequential(T, net, x):
    return tool(T).checkpoint_sequential(net, 3, x, use_reentrant=False)


def sequential_reentrant(T, net, x):
    return tool(T).checkpoint_sequential(net, 2, x, use_reentrant=True)


def nested(T, net, x):
    c = tool(T).checkpoint
    return c(lambda x: c(net[2:], c(net[:2], x, use_reentrant=False), use_reentrant=False), x, use_reentrant=False)


def keywords(T, net, x):
    return tool(T).checkpoint(
        lambda x, *, scale, flip: net(x * scale) * flip, x, scale=T.tensor(1.0), flip=1, use_reentrant=False
    )


def written(T, net, x):
    def fn(h):
        return net[3](T.nn.functional.relu_(net[:3](h)) * 1.0)

    return tool(T).checkpoint(fn, x * 1.0, use_reentrant=False)


def no_early_stop(T, net, x):
    with tool(T).set_checkpoint_early_stop(False):
        return tool(T).checkpoint(net, x, use_reentrant=False)


def dropped(T, net, x):
    T.manual_seed(7)
    return tool(T).checkpoint(lambda x: T.nn.functional.dropout(net(x), 0.5), x, use_reentrant=False)


FORMS = [
    plain,
    reentrant,
    not_reentrant,
    sequential,
    sequential_reentrant,
    nested,
    keywords,
    written,
    no_early_stop,
    dropped,
]


@pytest.mark.parametrize("form", FORMS)
def test_gradients(form):
    found = []
    for T in BOTH:
        net, x = made(T)
        y = form(T, net, x)
        (y**2).sum().backward()
        found.append([y.detach().numpy(), x.grad.numpy(), *[p.grad.numpy() for p in net.parameters()]])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("form", [plain, not_reentrant, sequential, nested])
def test_second_derivatives_and_grad_of_chosen_inputs(form):
    found = []
    for T in BOTH:
        net, x = made(T)
        w = net[0][0].weight
        y = (form(T, net, x) ** 2).sum()
        gx, gw = T.autograd.grad(y, (x, w), create_graph=True)
        again = T.autograd.grad((gx**2).sum() + (gw**2).sum(), (x, net[3][0].weight))
        found.append([t.detach().numpy() for t in (gx, gw, *again)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=5e-5, atol=5e-6)


@pytest.mark.parametrize("form", [not_reentrant, sequential, nested])
def test_a_retained_graph_walks_twice(form):
    found = []
    for T in BOTH:
        net, x = made(T)
        y = form(T, net, x).sum()
        y.backward(retain_graph=True)
        y.backward()
        found.append(x.grad.numpy())
        with pytest.raises(RuntimeError, match="second time"):
            y.backward()
    np.testing.assert_allclose(*found, rtol=2e-5, atol=2e-6)


BAD = {
    "determinism": lambda T, c, x: c.checkpoint(T.tanh, x, use_reentrant=False, determinism_check="some"),
    "debug and contexts": lambda T, c, x: c.checkpoint(
        T.tanh, x, use_reentrant=False, debug=True, context_fn=lambda: c.noop_context_fn()
    ),
    "keywords": lambda T, c, x: c.checkpoint(T.tanh, x, use_reentrant=True, scale=1),
    "debug": lambda T, c, x: c.checkpoint(T.tanh, x, use_reentrant=True, debug=True),
    "sequential": lambda T, c, x: c.checkpoint_sequential([T.tanh], 1, x, use_reentrant=False, scale=1),
    "no list": lambda T, c, x: c.create_selective_checkpoint_contexts(3),
    "detach": lambda T, c, x: c.detach_variable(x),
}


@pytest.mark.parametrize("name", BAD)
def test_errors_are_of_one_type(name):
    kinds = []
    for T in BOTH:
        with pytest.raises(Exception) as caught:
            BAD[name](T, tool(T), T.ones(2, requires_grad=True))
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]


def test_warnings_are_the_same():
    for call in (
        lambda T, c, x: c.checkpoint(T.tanh, x),
        lambda T, c, x: c.checkpoint_sequential([T.tanh, T.tanh], 2, x),
        lambda T, c, x: c.checkpoint(T.tanh, T.ones(2), use_reentrant=True),
    ):
        seen = []
        for T in BOTH:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                call(T, tool(T), T.ones(2, requires_grad=True))
            seen.append([w.category for w in caught])
        assert seen[0] == seen[1]


def changed_metadata(T, c):
    sizes = iter([3, 4])
    x = T.ones(2, requires_grad=True)
    return c.checkpoint(lambda x: (x.sum() * T.ones(next(sizes))).sin().sum(), x, use_reentrant=False)


def fewer_saved(T, c):
    turns = iter([True, False])
    x = T.ones(2, requires_grad=True)
    return c.checkpoint(lambda x: x.sin().sin().sum() if next(turns) else x.sin().sum(), x, use_reentrant=False)


@pytest.mark.parametrize("program", [changed_metadata, fewer_saved])
def test_a_function_that_changed_is_an_error(program):
    texts = []
    for T in BOTH:
        c = tool(T)
        y = program(T, c)
        with pytest.raises(c.CheckpointError) as caught:
            y.backward()
        texts.append(str(caught.value).split("\n")[0].split(":")[1][:40])
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (
            "utils.checkpoint",
            "CheckpointError CheckpointFunction CheckpointPolicy SelectiveCheckpointContext checkpoint checkpoint_sequential",
        ),
        (
            "utils.checkpoint",
            "create_selective_checkpoint_contexts detach_variable noop_context_fn check_backward_validity",
        ),
        ("utils.checkpoint", "set_checkpoint_debug_enabled set_checkpoint_early_stop"),
        (
            "autograd.graph",
            "GradientEdge Node allow_mutation_on_saved_tensors disable_saved_tensors_hooks get_gradient_edge",
        ),
        ("autograd.graph", "increment_version register_multi_grad_hook save_on_cpu saved_tensors_hooks"),
    ],
)
def test_names(module, names):
    for T in BOTH:
        found = importlib.import_module(f"{T.__name__}.{module}")
        assert all(hasattr(found, name) for name in names.split())


def test_saved_tensor_hooks_count_alike():
    counts = []
    for T in BOTH:
        seen: list[int] = []
        x = T.ones(3, requires_grad=True)
        with T.autograd.graph.saved_tensors_hooks(lambda t, seen=seen: seen.append(1) or t, lambda t: t):
            y = ((x * x).exp() / 2).tanh().sum()
        y.backward()
        counts.append((len(seen), x.grad.tolist()))
    assert counts[0][0] == counts[1][0]
    np.testing.assert_allclose(counts[0][1], counts[1][1], rtol=1e-6)


def test_sparing_saved_values_from_writes():
    grads = []
    for T in BOTH:
        x = T.full((3,), 2.0, requires_grad=True)
        with T.autograd.graph.allow_mutation_on_saved_tensors():
            y = x * 1.0
            z = (y**3).sum()
            y.mul_(0)
            z.backward()
        grads.append(x.grad.tolist())
    assert grads[0] == grads[1]
