"""torch.autograd.graph as a whole: edges, nodes, what they save and under which names, and hooks of all kinds: outcomes as under PyTorch."""

from __future__ import annotations

import pytest

from parity.behaviours import Table, compare

torch = pytest.importorskip("torch")


def leaf(T, *values):
    return T.tensor(values or [1.0, 2.0, 3.0], dtype=T.float64, requires_grad=True)


edges = Table()


@edges
def of_a_leaf(T):
    x = leaf(T)
    edge = T.autograd.graph.get_gradient_edge(x)
    return type(edge).__name__, edge.node.name(), edge.output_nr, edge.ownership_token is None, edge.node.variable is x


@edges
def of_a_result(T):
    y = leaf(T).exp()
    edge = T.autograd.graph.get_gradient_edge(y)
    return edge.node is y.grad_fn, edge[1], edge._fields


@edges
def of_no_gradient(T):
    return T.autograd.graph.get_gradient_edge(T.ones(2))


@edges
def gradient_at_an_edge(T):
    x = leaf(T)
    y = x.exp()
    edge = T.autograd.graph.get_gradient_edge(y)
    z = (y * y).sum()
    del y
    return T.autograd.grad(z, [edge, x])


@edges
def gradient_at_an_edge_alone(T):
    x = leaf(T)
    y = x * 2
    z = (y * y).sum()
    return T.autograd.grad(z, T.autograd.graph.get_gradient_edge(y), retain_graph=True), T.autograd.grad(z, x)


@edges
def gradient_from_an_edge(T):
    x = leaf(T)
    y = (x * x).sum()
    return T.autograd.grad(T.autograd.graph.get_gradient_edge(y), x)


@edges
def gradient_from_an_edge_of_many(T):
    x = leaf(T)
    edge = T.autograd.graph.get_gradient_edge(x * x)
    return T.autograd.grad([edge], [x], [T.tensor([1.0, 0.0, 2.0], dtype=T.float64)])


@edges
def from_an_edge_without_a_gradient(T):
    x = leaf(T)
    return T.autograd.grad(T.autograd.graph.get_gradient_edge(x * x), x)


@edges
def backward_from_an_edge(T):
    x = leaf(T)
    T.autograd.backward(T.autograd.graph.get_gradient_edge((x * x).sum()))
    return x.grad


@edges
def backward_into_an_edge(T):
    x = leaf(T)
    y = x * x
    T.autograd.backward(y.sum(), inputs=[T.autograd.graph.get_gradient_edge(x)])
    return x.grad


@edges
def edge_of_next_functions(T):
    x = leaf(T)
    y = x.exp()
    z = (y * 3).sum()
    node, number = z.grad_fn.next_functions[0][0].next_functions[0]
    return T.autograd.grad(z, T.autograd.graph.GradientEdge(node, number))


class Two:
    def __init__(self, T):
        class Pair(T.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x * 2, x * x

            @staticmethod
            def backward(ctx, a, b):
                (x,) = ctx.saved_tensors
                return 2 * a + 2 * x * b

        self.apply = Pair.apply


@edges
def of_one_of_two_results(T):
    x = leaf(T)
    a, b = Two(T).apply(x)
    edge = T.autograd.graph.get_gradient_edge(b)
    z = (a * 3).sum() + (b * b).sum()
    return edge.output_nr, T.autograd.grad(z, edge, retain_graph=True), T.autograd.grad(z, x)


@edges
def from_one_of_two_results(T):
    x = leaf(T)
    _, b = Two(T).apply(x)
    edge = T.autograd.graph.get_gradient_edge(b)
    return T.autograd.grad(edge, x, T.ones(3, dtype=T.float64))


@edges
def unused_edge(T):
    x, w = leaf(T), leaf(T)
    return T.autograd.grad((x * 2).sum(), T.autograd.graph.get_gradient_edge(w * 2), allow_unused=True)


@edges
def unused_edge_refused(T):
    x, w = leaf(T), leaf(T)
    return T.autograd.grad((x * 2).sum(), T.autograd.graph.get_gradient_edge(w * 2))


@edges
def second_derivative_at_an_edge(T):
    x = leaf(T)
    y = x * x
    edge = T.autograd.graph.get_gradient_edge(y)
    (g,) = T.autograd.grad((y**3).sum(), edge, create_graph=True)
    return g, T.autograd.grad(g.sum(), x)


@edges
def what_is_below_a_wanted_node_is_not_run(T):
    x, ran = leaf(T), []

    class Noted(T.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            ran.append(1)
            return g

    y = Noted.apply(x)
    z = (y * y).sum()
    first = T.autograd.grad(z, y, retain_graph=True)
    return first, len(ran), T.autograd.grad(z, [x, y]), len(ran)


@pytest.mark.parametrize("behaviour", edges)
def test_edges(behaviour):
    compare(torch, behaviour)


saved = Table()


def _names(node):
    return sorted(n for n in dir(node) if n.startswith("_saved_"))


FUNCTIONS = {
    "mul": lambda T, x, y: x * y,
    "div": lambda T, x, y: x / y,
    "exp": lambda T, x, y: x.exp(),
    "log": lambda T, x, y: x.log(),
    "sqrt": lambda T, x, y: x.sqrt(),
    "sin": lambda T, x, y: x.sin(),
    "tanh": lambda T, x, y: x.tanh(),
    "sigmoid": lambda T, x, y: x.sigmoid(),
    "relu": lambda T, x, y: x.relu(),
    "abs": lambda T, x, y: x.abs(),
    "reciprocal": lambda T, x, y: x.reciprocal(),
    "erf": lambda T, x, y: x.erf(),
    "square": lambda T, x, y: x**2,
    "maximum": lambda T, x, y: T.maximum(x, y),
    "bmm": lambda T, x, y: T.bmm(x[None], y[None].transpose(1, 2)),
    "where": lambda T, x, y: T.where(x > 1, x, y),
    "flip": lambda T, x, y: x.flip(0),
    "cumsum": lambda T, x, y: x.cumsum(1),
    "transpose": lambda T, x, y: x.transpose(0, 1),
    "permute": lambda T, x, y: x.permute(1, 0),
    "expand": lambda T, x, y: x[None].expand(2, 3, 4),
    "view": lambda T, x, y: x.view(4, 3),
    "tril": lambda T, x, y: x.tril(),
    "cat": lambda T, x, y: T.cat([x, y]),
    "neg": lambda T, x, y: -x,
    "gather": lambda T, x, y: x.gather(1, T.tensor([[0], [1], [2]])),
    "inverse": lambda T, x, y: T.linalg.inv(x[:, :3] + 3 * T.eye(3)),
}
PRIVATE = {"bmm": {"_saved_self", "_saved_mat2"}, "gather": {"_saved_dim", "_saved_index"}}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_that_functions_save(name):
    import retrograd

    found = []
    for T in (torch, retrograd):
        T.manual_seed(0)
        x, y = ((T.rand(3, 4) + 0.5).requires_grad_() for _ in range(2))
        node = FUNCTIONS[name](T, x, y).grad_fn
        kept = PRIVATE.get(name) or set(_names(node))
        found.append({k: getattr(node, k) for k in kept})
    theirs, mine = found
    assert set(mine) == set(theirs)
    for k, v in theirs.items():
        if isinstance(v, torch.Tensor):
            assert mine[k].shape == v.shape
            assert torch.allclose(torch.tensor(mine[k].tolist()), v.detach(), atol=1e-5), k
        else:
            assert mine[k] == v, k


@saved
def a_leaf_is_itself(T):
    x = leaf(T)
    return x.pow(2).grad_fn._saved_self is x, (x * x).grad_fn._saved_other is x


@saved
def a_result_has_its_node(T):
    y = leaf(T).exp()
    kept = y.grad_fn._saved_result
    return kept is y, kept.equal(y), kept.grad_fn is y.grad_fn, kept.requires_grad


@saved
def a_number(T):
    node = (leaf(T) * 2).grad_fn
    return node._saved_self, node._saved_other


@saved
def nothing_of_that_name(T):
    return (leaf(T) + 1).grad_fn._saved_self


@saved
def after_the_walk(T):
    y = leaf(T).exp()
    node = y.grad_fn
    y.sum().backward()
    return node._saved_result


@saved
def retained_after_the_walk(T):
    y = leaf(T).exp()
    y.sum().backward(retain_graph=True)
    return y.grad_fn._saved_result


@saved
def written_since(T):
    x = leaf(T) * 1
    y = x * x
    x.add_(1)
    return y.grad_fn._saved_self


@saved
def linear_layer(T):
    T.manual_seed(0)
    layer = T.nn.Linear(3, 2)
    node = layer(T.ones(4, 3, requires_grad=True)).grad_fn
    return node.name(), node._saved_mat1, node._saved_mat2.shape


@saved
def hooks_of_a_saved_value(T):
    x = leaf(T)
    y = x.exp()
    log = []
    y.grad_fn._raw_saved_result.register_hooks(
        lambda t: log.append("pack") or t.tolist(),
        lambda v: log.append("unpack") or T.tensor(v, dtype=T.float64) * 2,
    )
    y.sum().backward()
    return log, x.grad


@saved
def hooks_of_a_saved_input(T):
    x = leaf(T)
    y = x * x
    y.grad_fn._raw_saved_self.register_hooks(lambda t: t.detach() * 10, lambda t: t)
    y.sum().backward()
    return x.grad


@saved
def hooks_twice(T):
    y = leaf(T).exp()
    raw = y.grad_fn._raw_saved_result
    raw.register_hooks(lambda t: t, lambda t: t)
    raw.register_hooks(lambda t: t, lambda t: t)


@saved
def hooks_of_none(T):
    (leaf(T) * 2).grad_fn._raw_saved_self.register_hooks(lambda t: t, lambda t: t)


@saved
def hooks_after_the_walk(T):
    y = leaf(T).exp()
    raw = y.grad_fn._raw_saved_result
    y.sum().backward()
    raw.register_hooks(lambda t: t, lambda t: t)


@saved
def a_hook_that_writes(T):
    y = leaf(T).exp()
    y.grad_fn._raw_saved_result.register_hooks(lambda t: t.mul_(2), lambda t: t)


@saved
def a_hook_that_gives_no_tensor(T):
    y = leaf(T).exp()
    y.grad_fn._raw_saved_result.register_hooks(lambda t: 1, lambda v: v)
    y.sum().backward()


@saved
def hooks_of_what_a_function_saves(T):
    class Cube(T.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x**3
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return g * 3 * y / x

    x = leaf(T)
    y = Cube.apply(x)
    raw = y.grad_fn._raw_saved_tensors
    raw[0].register_hooks(lambda t: t.detach() * 2, lambda t: t / 4)
    y.sum().backward()
    return len(raw), x.grad


@pytest.mark.parametrize("behaviour", saved)
def test_saved(behaviour):
    compare(torch, behaviour)


nodes = Table()


@nodes
def are_nodes(T):
    x = leaf(T)
    y = x * 2
    return (
        isinstance(y.grad_fn, T.autograd.graph.Node),
        y.grad_fn.requires_grad,
        x.view_as(x).grad_fn.next_functions[0][0].name(),
    )


@nodes
def count_on(T):
    x = leaf(T)
    y = x * 2
    z = y * 3
    return z.grad_fn._sequence_nr() > y.grad_fn._sequence_nr()


@nodes
def notes(T):
    y = leaf(T) * 2
    y.grad_fn.metadata["who"] = "me"
    return y.grad_fn.metadata


@nodes
def hook_of_a_leaf_node(T):
    x, seen = leaf(T), []
    node = x.view_as(x).grad_fn.next_functions[0][0]
    handle = node.register_hook(lambda gi, go: seen.append((gi, go[0].clone(), x.grad is not None)))
    (x * x).sum().backward()
    handle.remove()
    (x * x).sum().backward()
    return len(seen), seen[0][1], seen[0][2]


@nodes
def prehook_of_a_leaf_node(T):
    x = leaf(T)
    y = x.view_as(x)  # torch keeps the node for as long as somebody uses it
    y.grad_fn.next_functions[0][0].register_prehook(lambda g: (g[0] * 10,))
    (x * x).sum().backward()
    return x.grad


@nodes
def prehook_changes_what_arrives(T):
    x = leaf(T)
    y = x * x
    y.grad_fn.register_prehook(lambda g: (g[0] * 2,))
    y.sum().backward()
    return x.grad


@nodes
def hook_changes_what_leaves(T):
    x = leaf(T)
    y = x.exp()
    with y.grad_fn.register_hook(lambda gi, go: (go[0] * 0 + 7,)):
        y.sum().backward()
    return x.grad


@nodes
def hooks_when_captured(T):
    x, seen = leaf(T), []
    y = x * 2
    y.grad_fn.register_prehook(lambda g: seen.append("pre"))
    y.grad_fn.register_hook(lambda gi, go: seen.append("post"))
    y.register_hook(lambda g: seen.append("tensor"))
    z = (y * y).sum()
    T.autograd.grad(z, y, retain_graph=True)
    alone = list(seen)
    T.autograd.grad(z, [x, y])
    return alone, seen


@pytest.mark.parametrize("behaviour", nodes)
def test_nodes(behaviour):
    compare(torch, behaviour)


several = Table()


def _watched(T, mode="all"):
    a, b = leaf(T), leaf(T, 2.0, 3.0, 4.0)
    c, d = a * b, a + b
    seen = []
    told = lambda g: seen.append([x is not None for x in g] if isinstance(g, (list, tuple)) else g.clone())
    handle = T.autograd.graph.register_multi_grad_hook((a, b, c, d), told, mode=mode)
    return a, b, c, d, seen, handle


@several
def all_that_are_reached(T):
    a, b, c, d, seen, handle = _watched(T)
    c.sum().backward(retain_graph=True)
    c.sum().backward(inputs=(a,), retain_graph=True)
    (c + d).sum().backward(retain_graph=True)
    handle.remove()
    d.sum().backward()
    return seen


@several
def values_of_all(T):
    a, b = leaf(T), leaf(T)
    seen = []
    T.autograd.graph.register_multi_grad_hook((a, b), lambda g: seen.append([x.clone() for x in g]))
    (a * b).sum().backward()
    return seen


@several
def is_told_as_soon_as_all_are_there(T):
    x, log = leaf(T), []
    y = x.exp()
    z = y * 2
    T.autograd.graph.register_multi_grad_hook((y, z), lambda g: log.append("both"))
    x.register_hook(lambda g: log.append("x"))
    z.sum().backward()
    return log


@several
def the_first_of_any(T):
    a, b, c, d, seen, _ = _watched(T, "any")
    c.sum().backward(retain_graph=True)
    d.sum().backward()
    return len(seen), seen[0]


@several
def any_of_no_gradient(T):
    a, seen = leaf(T), []
    T.autograd.graph.register_multi_grad_hook((a, T.ones(1)), lambda g: seen.append(1), mode="any")
    a.sum().backward()
    return seen


@several
def all_of_no_gradient(T):
    T.autograd.graph.register_multi_grad_hook((leaf(T), T.ones(1)), print)


@several
def unknown_mode(T):
    T.autograd.graph.register_multi_grad_hook((leaf(T),), print, mode="some")


@several
def in_a_second_walk(T):
    a, seen = leaf(T), []
    c = a * a
    d = c.exp()
    T.autograd.graph.register_multi_grad_hook((c, d), lambda g: seen.append([x is not None for x in g]))
    (g,) = T.autograd.grad((c * d).sum(), a, create_graph=True)
    g.sum().backward()
    return seen


@pytest.mark.parametrize("behaviour", several)
def test_several(behaviour):
    compare(torch, behaviour)


rest = Table()


@rest
def fraction_of_a_region(T):
    return T.autograd.graph.region_activation_memory_budget(1.5)


@rest
def fraction_in_eager_mode(T):
    return T.autograd.graph.region_activation_memory_budget(0.5)


@rest
def streams(T):
    T.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
    T.autograd.graph.set_override_stale_capture_stream(False)
    return sorted(T.autograd.graph.__all__)


@rest
def versions(T):
    a, b = T.ones(2), T.ones(2)
    T.autograd.graph.increment_version(a)
    T.autograd.graph.increment_version([a, b])
    return a._version, b._version


@rest
def a_raised_version_is_noticed(T):
    x = leaf(T) * 1
    y = (x * x).sum()
    T.autograd.graph.increment_version(x)
    y.backward()


@rest
def decorator_that_disables(T):
    @T.autograd.graph.disable_saved_tensors_hooks("never")
    def run():
        with T.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            return 1

    return run()


@rest
def hooks_within_hooks(T):
    x, log = leaf(T), []
    with T.autograd.graph.saved_tensors_hooks(lambda t: log.append("a") or t, lambda t: t):
        with T.autograd.graph.save_on_cpu():
            y = x.exp()
        z = y.exp()
    z.sum().backward()
    return log, x.grad


@rest
def second_derivatives_through_hooks(T):
    x = leaf(T)
    with T.autograd.graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t):
        y = (x**3).sum()
        (g,) = T.autograd.grad(y, x, create_graph=True)
    return T.autograd.grad(g.sum(), x)


@rest
def spared_writes(T):
    x = leaf(T)
    with T.autograd.graph.allow_mutation_on_saved_tensors() as state:
        y = x.clone()
        z = (y**2).sum() + y[1:].exp().sum()
        y.sin_()
        y[0] = 5.0
        z.backward()
        state.clear()
    return x.grad, y


@pytest.mark.parametrize("behaviour", rest)
def test_rest(behaviour):
    compare(torch, behaviour)
