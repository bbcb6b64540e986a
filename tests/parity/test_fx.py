"""Traced programs are PyTorch's: the same Nodes, the same text, the same results; each is one function of the namespace."""

import copy
import math
import operator
import pickle
from typing import Optional

import pytest

import retrograd

torch = pytest.importorskip("torch")

PROGRAMS = []


def program(fn):
    PROGRAMS.append(fn)
    return fn


def raised(fn, *args):
    with pytest.raises(Exception) as error:
        fn(*args)
    return f"{type(error.value).__name__}: {str(error.value).splitlines()[0][:60]}"


def network(T):
    F = T.nn.functional

    class Block(T.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = T.nn.Parameter(T.full((4,), 0.5))
            self.register_buffer("shift", T.ones(1))
            self.conv = T.nn.Conv2d(3, 4, 3)
            self.parts = T.nn.Sequential(T.nn.Linear(4, 4), T.nn.ReLU())
            self.drop = T.nn.Dropout(0.5)
            self.more = T.nn.ModuleList([T.nn.Linear(4, 4) for _ in range(2)])

        def forward(self, x, power=2, *, offset: int = 3):
            x = F.max_pool2d(F.relu(self.conv(x)), 2)
            x = F.adaptive_avg_pool2d(x, 1).flatten(1) * self.scale + self.shift
            for layer in self.more:
                x = x + T.tanh(layer(x)).clamp(min=0.0, max=1.0)
            x = self.drop(self.parts(x)) ** power - offset
            a, b = T.split(x, 2, dim=-1)
            both = T.cat([a, b], dim=1)[:, None, ..., ::2]
            flags = ~(both > 0) | (both == 1)
            return {
                "numbers": (x.size(0), x.shape[1], x.T, -both, 1 - both / 2, 2**x, x @ x.T, x // 2, abs(x)),
                "calls": [F.dropout(x, 0.1, self.training), F.linear(x, self.scale), F.gelu(x), F.softmax(x, dim=1)],
                "more": (T.max(x, 1), T.where(flags, both, T.zeros_like(both)), x[x > 0], F.log_softmax(x, -1)),
                "constant": T.ones(2, dtype=T.float64) + x.to(T.float64).sum(dim=(0, 1), keepdim=True),
                "slice": slice(1, x.size(0)),
            }

    return Block()


@program
def a_network(T):
    traced = T.fx.symbolic_trace(network(T))
    yield traced.code
    yield str(traced.graph)
    yield str(traced).splitlines()[:14]
    yield [(n.op, n.name, str(n.args), list(n.kwargs), len(n.users)) for n in traced.graph.nodes]
    yield list(traced.state_dict()), type(traced).__name__, isinstance(traced, T.fx.GraphModule)


@program
def results_and_gradients(T):
    T.manual_seed(0)
    model = network(T)
    traced = T.fx.symbolic_trace(model)
    x = T.randn(2, 3, 8, 8)
    model.eval(), traced.eval()
    for one, other in zip(model(x)["numbers"], traced(x)["numbers"]):
        yield T.allclose(one, other) if isinstance(one, T.Tensor) else one == other
    traced.train()
    T.manual_seed(1)
    traced(x)["constant"].sum().backward()
    yield [round(p.grad.sum().item(), 3) for p in (traced.scale, traced.conv.bias)]


@program
def questions_about_values(T):
    def branch(x):
        return x if x.sum() > 0 else -x

    def loop(x):
        return [v for v in x]  # noqa: C416  a loop over the Proxy itself

    def pair(x):
        a, b = x
        return a + b

    def flagged(x, flag):
        return x + 1 if flag else x - 1

    yield from (raised(T.fx.symbolic_trace, f) for f in (branch, loop, lambda x: range(len(x)), flagged))
    yield T.fx.symbolic_trace(pair).code
    special = T.fx.symbolic_trace(flagged, concrete_args={"flag": True})
    yield special.code, special(T.ones(2), True).tolist(), raised(special, T.ones(2), False)


def marked(x, factor):
    return x * factor if factor > 1 else x


retrograd.fx.wrap("marked")
torch.fx.wrap("marked")
torch.fx.wrap("len")
retrograd.fx.wrap("len")


@program
def functions_taken_whole(T):
    yield T.fx.symbolic_trace(lambda x: marked(x, 3) + len(x) + math.sqrt(x.shape[0])).code


@program
def signatures(T):
    def annotated(x: T.Tensor, y: Optional[int] = None, z: dict[str, int] = {}) -> T.Tensor:  # noqa: B006, UP045
        return x.view(y, -1).float()

    def loose(first, *args, scale=2.0, **options):
        return first * scale + args[0] + options["a"]

    yield T.fx.symbolic_trace(loose).code
    traced = T.fx.symbolic_trace(annotated)
    # the annotation of a tensor reads the same; nested ones are compared where both write them
    yield traced.code.partition("y :")[2], str(traced.graph).partition("%y")[0]


@program
def an_operation_for_another(T):
    class M(T.nn.Module):
        def forward(self, x, y):
            return x + y, T.add(x, y), x.add(y)

    traced = T.fx.symbolic_trace(M())
    for node in traced.graph.nodes:
        if any(node.target == wanted for wanted in (operator.add, T.add, "add")):
            with traced.graph.inserting_after(node):
                node.replace_all_uses_with(traced.graph.call_function(T.bitwise_and, node.args, node.kwargs))
            traced.graph.erase_node(node)
    traced.recompile()
    yield traced.code, [int(v) for v in traced(T.tensor(6), T.tensor(3))]


@program
def a_program_backwards(T):
    inverse = {T.exp: T.log, T.tan: T.arctan}
    traced, graph, env = T.fx.symbolic_trace(lambda x: T.exp(T.tan(x))), T.fx.Graph(), {}
    for node in reversed(traced.graph.nodes):
        if node.op == "call_function":
            env[node.args[0].name] = graph.call_function(inverse[node.target], (env[node.name],))
        elif node.op == "output":
            env[node.args[0].name] = graph.placeholder(node.name)
        else:
            graph.output(env[node.name])
    graph.lint()
    made = T.fx.GraphModule(traced, graph)
    yield made.code, str(graph), [round(v, 4) for v in made(T.ones(2)).tolist()]


def by_hand(T):
    class Holder(T.nn.Module):
        def __init__(self):
            super().__init__()
            self.w, self.linear, self.unused = T.nn.Parameter(T.ones(2)), T.nn.Linear(2, 2), T.nn.Linear(1, 1)

    graph = T.fx.Graph()
    x = graph.placeholder("x")
    relu = graph.call_function(T.relu, (x,))
    product = graph.call_method("mul", (relu, graph.get_attr("w")))
    graph.output((graph.call_module("linear", (product,)), {"relu": relu}))
    return T.fx.GraphModule(Holder(), graph)


@program
def a_graph_by_hand(T):
    made = by_hand(T)
    yield made.code, str(made), str(made.graph), [n for n, _ in made.named_parameters()]
    copied = T.fx.Graph()
    yield str(copied.graph_copy(made.graph, {})), str(copied)
    relu = made.graph.find_nodes(op="call_function", target=T.relu)[0]
    yield raised(made.graph.erase_node, relu), str(relu.users), relu.format_node(), str(relu.next), str(relu.prev)
    yield copy.deepcopy(made).code, pickle.loads(pickle.dumps(made)).code, copy.deepcopy(made).w is made.w
    made.graph.find_nodes(op="placeholder")[0].args = (relu,)
    yield raised(made.graph.lint)


@program
def interpreters(T):
    made = by_hand(T)

    class Counted(T.fx.Interpreter):
        def run_node(self, n):
            seen.append(n.name)
            return super().run_node(n)

    seen = []
    with T.no_grad():
        made.linear.weight.fill_(0.5), made.linear.bias.fill_(0.25)
    yield Counted(made).run(T.ones(2))[0].tolist(), seen

    class Smooth(T.fx.Transformer):
        def call_function(self, target, args, kwargs):
            return super().call_function(T.sigmoid if target is T.relu else target, args, kwargs)

        def call_method(self, target, args, kwargs):
            return args[0] / args[1] if target == "mul" else super().call_method(target, args, kwargs)

    yield Smooth(made).transform().code


@program
def tracers_of_ones_own(T):
    class Through(T.fx.Tracer):
        def is_leaf_module(self, m, qualname):
            return not isinstance(m, T.nn.ReLU) and super().is_leaf_module(m, qualname)

        def create_node(self, kind, target, args, kwargs, name=None, type_expr=None):
            node = super().create_node(kind, target, args, kwargs, name)
            node.tag = kind
            return node

    graph = Through().trace(T.nn.Sequential(T.nn.Linear(2, 2), T.nn.ReLU()))
    yield str(graph), [node.tag for node in graph.nodes]


@program
def unused_values_and_shapes(T):
    import importlib

    def unused(x):
        x + 1
        x.add_(2)
        return x * 2

    traced = T.fx.symbolic_trace(unused)
    yield traced.graph.eliminate_dead_code(), str(traced.graph)
    layers = T.fx.symbolic_trace(T.nn.Sequential(T.nn.Linear(4, 3), T.nn.ReLU()))
    importlib.import_module(f"{T.__name__}.fx.passes.shape_prop").ShapeProp(layers).propagate(T.ones(2, 4))
    yield [(n.name, tuple(n.meta["tensor_meta"].shape), str(n.meta["tensor_meta"].dtype)) for n in layers.graph.nodes]


@program
def patterns(T):
    class M(T.nn.Module):
        def forward(self, x, w1, w2):
            return x + T.max(T.cat([w1, w2]).sum()) + T.max(T.cat([w1, w2]).sum())

    def pattern(w1, w2):
        return T.cat([w1, w2]).sum()

    def replacement(w1, w2):
        return T.stack([w1, w2])

    traced = T.fx.symbolic_trace(M())
    yield len(T.fx.replace_pattern(traced, pattern, replacement)), traced.code
    shared = T.fx.symbolic_trace(lambda x: T.relu(x + 1) + (x + 1).sum())
    yield len(T.fx.replace_pattern(shared, lambda x: T.relu(x + 1), lambda x: T.tanh(x))), shared.code


@pytest.mark.parametrize("run", PROGRAMS, ids=lambda run: run.__name__)
def test_the_same_programs(run):
    ours, theirs = list(run(retrograd)), list(run(torch))
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs):
        assert one == other


def test_a_graph_as_a_table(capsys):
    retrograd.fx.symbolic_trace(lambda x: retrograd.relu(x)).graph.print_tabular()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["opcode", "name", "target", "args", "kwargs"]
    assert lines[2].split() == ["placeholder", "x", "x", "()", "{}"]
    assert lines[4].split() == ["output", "output", "output", "(relu,)", "{}"] and lines[4].index("(") == lines[
        0
    ].index("args")


def test_a_traced_module_compiles_and_maps():
    traced = retrograd.fx.symbolic_trace(lambda x: retrograd.sin(x).sum())
    x = retrograd.tensor([[0.5, 1.0], [0.25, 0.0]])
    step = retrograd.compile(traced)
    for _ in range(3):
        assert step(x).item() == pytest.approx(traced(x).item())
    assert retrograd.vmap(traced)(x).shape == (2,)
    retrograd.testing.assert_close(retrograd.func.grad(traced)(x), x.cos())
