"""What recipes and tutorials use around a model: exchanged tensors, timers and their tables; the same texts and numbers."""

from __future__ import annotations

import itertools
import re

import pytest

import retrograd
from parity.behaviours import Table, compare
from retrograd.utils import benchmark

torch = pytest.importorskip("torch")
peer = pytest.importorskip("torch.utils.benchmark")

exchanges = Table()


@exchanges
def of_a_tensor_and_a_parameter(T):
    a, b = T.arange(3.0), T.nn.Parameter(T.ones(2))
    a.note = "kept"
    T.utils.swap_tensors(a, b)
    (a * 3).sum().backward()
    return type(a).__name__, type(b).__name__, a, b, hasattr(a, "note"), b.note, a.grad, b.grad


@exchanges
def of_a_result_and_a_leaf(T):
    x = T.ones(2, requires_grad=True)
    y, z = x * 2, T.zeros(3)
    T.utils.swap_tensors(y, z)
    z.sum().backward()
    return y, z, x.grad


@exchanges
def of_a_number(T):
    return T.utils.swap_tensors(T.ones(2), 3)


def converted_and_loaded(T, setting):
    """Give what a conversion and two ways of loading do to a layer and to who holds its weight."""
    choose = getattr(T.__future__, f"set_{setting}_module_params_on_conversion")
    choose(True)
    try:
        layer = T.nn.Linear(2, 2)
        layer(T.ones(1, 2)).sum().backward()
        weight = layer.weight
        optimizer = T.optim.SGD(layer.parameters(), 0.1)
        found = [layer.double().weight is weight, weight.dtype, layer.weight.grad]
        layer(T.ones(1, 2).double()).sum().backward()
        optimizer.step()
        state = T.nn.Linear(2, 2).double().state_dict()
        for assign in (False, True):
            weight = layer.weight
            layer.load_state_dict(state, assign=assign)
            same = layer.weight.data_ptr() == state["weight"].data_ptr()
            found += [layer.weight is weight, layer.weight.requires_grad, same, T.equal(layer.weight, state["weight"])]
        return [*found, layer.to_empty(device="meta").weight.device.type]
    finally:
        choose(False)


exchanges.add(
    conversion_by_exchange=lambda T: converted_and_loaded(T, "swap"),
    conversion_by_new_parameters=lambda T: converted_and_loaded(T, "overwrite"),
)


@pytest.mark.parametrize("behaviour", exchanges)
def test_exchanged_tensors(behaviour):
    compare(torch, behaviour)


# -- torch.utils.benchmark ------------------------------------------------------------------------------------------------
TIMES = (1.1e-5, 3e-5, 4.44e-4, 2e-4, 1e-6, 2.2e-6, 9.99e-3, 1.2e-5)
SPREAD = (1.0, 1.05, 1.1, 1.4, 1.01)


def taken(B, times, number=10, stmt="f(x)", setup="pass", **words):
    return B.Measurement(number, list(times), B.TaskSpec(stmt, setup, **words))


def products(B, env=None):
    cells = itertools.product(["[1, 1]", "[64, 64]"], ["mul/sum", "bmm"], [1, 4])
    return [
        taken(
            B,
            [10 * t * s for s in SPREAD],
            label="Batched dot",
            sub_label=rows,
            description=column,
            num_threads=n,
            env=env,
        )
        for (rows, column, n), t in zip(cells, TIMES, strict=True)
    ]


def others(B):
    return [
        taken(B, [2e-4], label="Other", env="main", description="y"),
        taken(B, [3e-4], label="Other", stmt="g(x)", env="fork", description="y"),
        taken(B, [3e-4], label="Other", stmt="g(x)", env="main", description="z"),
    ]


def shown(measurement):
    return re.sub(r"^<.*>", "", repr(measurement))


def table(B, results, *settings):
    made = B.Compare(results(B))
    for setting in settings:
        setting(made)
    return str(made)


TEXTS = {
    "measurements": lambda B: [shown(m) for m in products(B)],
    "one run": lambda B: shown(taken(B, [1e-3])),
    "lines": lambda B: shown(taken(B, [1e-3], stmt="y = f(x)\ng(y)", sub_label="a")),
    "two runs and a preparation": lambda B: shown(taken(B, [1e-3, 2e-3], setup="x = 1\ny = 2", sub_label="a")),
    "all words": lambda B: shown(
        taken(B, [1e-3] * 5, setup="x = 1", label="L", sub_label="a", description="D", num_threads=3)
    ),
    "facts": lambda B: [
        (m.median, m.iqr, m.significant_figures, m.has_warnings, m.title, m.as_row_name, m.description)
        for m in products(B) + others(B)
    ],
    "merged": lambda B: [m.times for m in B.Measurement.merge(products(B) + products(B))],
    "table": lambda B: table(B, products),
    "trimmed": lambda B: table(B, products, lambda c: c.trim_significant_figures()),
    "coloured": lambda B: table(B, products, lambda c: c.colorize()),
    "coloured by row, with spread": lambda B: table(
        B, products, lambda c: c.colorize(rowwise=True), lambda c: c.highlight_warnings()
    ),
    "two tables": lambda B: table(B, lambda B: products(B, env="main")[:3] + others(B)),
    "units": lambda B: [B.select_unit(t) for t in (1e-3, 9e-10, 2.0, 999e-6, 5e-7)],
    "figures": lambda B: [round(B.trim_sigfig(x, n), 5) for x, n in ((3.14159, 2), (31415.9, 3), (0.0123, 1))],
}


@pytest.mark.parametrize("case", TEXTS)
def test_measurements_and_tables(case):
    ours, theirs = TEXTS[case](benchmark), TEXTS[case](peer)
    if case in ("facts", "merged"):
        assert [list(map(pytest.approx, a)) if isinstance(a, list) else a[2:] for a in theirs] == [
            a if isinstance(a, list) else a[2:] for a in ours
        ]
        return
    assert ours == theirs


@pytest.mark.parametrize("B", [peer, benchmark], ids=["torch", "retrograd"])
def test_a_timer(B):
    T = torch if B is peer else retrograd
    before = T.get_num_threads()
    seen = []
    timer = B.Timer("x + y", setup="\n    x = torch.ones(3)\n", globals={"y": 1}, num_threads=1, label="sum")
    once, blocks = timer.timeit(20), timer.blocked_autorange(lambda n, t: seen.append((n, t)), min_run_time=0.002)
    assert (once.number_per_run, len(once.raw_times), once.setup, once.label) == (20, 1, "x = torch.ones(3)", "sum")
    assert blocks.number_per_run == seen[0][0] and blocks.raw_times == [t for _, t in seen]
    assert timer.adaptive_autorange(threshold=10, max_run_time=0.01).median > 0
    assert T.get_num_threads() == before


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda B: B.Timer(max), ValueError),
        (lambda B: B.Timer(global_setup="x"), ValueError),
        (lambda B: B.Timer(language="ada"), ValueError),
        (lambda B: B.Timer().repeat(), NotImplementedError),
        (lambda B: B.Timer().autorange(), NotImplementedError),
        (lambda B: B.Compare([3]), ValueError),
    ],
)
def test_refusals(call, error):
    for B in (peer, benchmark):
        with pytest.raises(error):
            call(B)


# -- torch.profiler -------------------------------------------------------------------------------------------------------
def test_a_recording_tells_bytes_and_shapes():
    profiler = retrograd.profiler
    with (
        profiler.profile(activities=[profiler.ProfilerActivity.CPU], record_shapes=True, profile_memory=True) as found,
        profiler.record_function("block"),
    ):
        for size in (4, 4, 8):
            retrograd.ones(size, 2) @ retrograd.ones(2, size)
    products = [e for e in found.key_averages(group_by_input_shape=True) if e.key == "aten::matmul"]
    assert [(e.count, e.input_shapes, e.self_cpu_memory_usage) for e in products] == [
        (2, [[4, 2], [2, 4]], 128),
        (1, [[8, 2], [2, 8]], 256),
    ]
    events = {e.key: e for e in found.key_averages()}
    assert (events["aten::matmul"].count, events["aten::matmul"].cpu_memory_usage) == (3, 384)
    assert (events["block"].cpu_memory_usage, events["block"].self_cpu_memory_usage) == (384, 0)
    for field in ("cpu_time_total", "self_cuda_time_total", "self_cpu_memory_usage", "cuda_memory_usage", "count"):
        assert "Self CPU Mem" in found.key_averages().table(sort_by=field, row_limit=5)
    assert "[[8, 2], [2, 8]]" in found.key_averages(group_by_input_shape=True).table()
    with pytest.raises(AttributeError, match="size_of_nothing"):
        found.key_averages().table(sort_by="size_of_nothing")


@pytest.mark.parametrize("size", [3, 1 << 16])
def test_a_recording_sees_operations_that_kernels_compute(size):
    """Of small arrays, which come often, and of large ones."""
    x = retrograd.ones(size)
    for _ in range(9000 if size < 100 else 20):
        x + 1
    for _ in range(2):
        with retrograd.profiler.profile() as found:
            for _ in range(3):
                x + 1
        assert [(e.key, e.count) for e in found.key_averages()] == [("aten::add", 3)]
    assert (x + 1).sum().item() == 2 * size


@pytest.mark.parametrize("enabled", [True, False])
def test_the_old_profiler_is_switched_by_its_first_argument(enabled):
    for T in (torch, retrograd):
        with T.autograd.profiler.profile(enabled) as found:
            T.ones(2) + 1
        if enabled:
            assert "aten::add" in str(found) and found.self_cpu_time_total > 0
            assert found.total_average().count >= 1


# -- functorch, and small names --------------------------------------------------------------------------------------------
functorch_programs = Table()


def functorch_of(T):
    if T is retrograd:
        from retrograd import functorch
    else:
        import functorch
    return functorch


def two_models(T):
    """Make two modules with the same numbers under both libraries."""
    T.manual_seed(0)
    return [T.nn.Sequential(T.nn.Linear(3, 4), T.nn.Tanh(), T.nn.BatchNorm1d(4).eval()) for _ in range(2)]


@functorch_programs
def per_sample_gradients(T):
    f = functorch_of(T)
    fn, params = f.make_functional(two_models(T)[0][0])
    x = T.linspace(0, 1, 6).reshape(2, 3)
    return f.vmap(f.grad(lambda p, x: fn(p, x).pow(2).sum()), (None, 0))(params, x)


@functorch_programs
def buffers_beside_parameters(T):
    f = functorch_of(T)
    fn, params, buffers = f.make_functional_with_buffers(two_models(T)[0], disable_autograd_tracking=True)
    return len(params), len(buffers), params[0].requires_grad, fn(params, buffers, T.ones(2, 3))


@functorch_programs
def an_ensemble(T):
    f = functorch_of(T)
    fn, params, buffers = f.combine_state_for_ensemble(two_models(T))
    return [p.shape for p in params], f.vmap(fn, (0, 0, None))(params, buffers, T.ones(2, 3)), params[0].requires_grad


functorch_programs.add(
    buffers_are_refused=lambda T: functorch_of(T).make_functional(two_models(T)[0]),
    no_models=lambda T: functorch_of(T).combine_state_for_ensemble([]),
    of_two_classes=lambda T: functorch_of(T).combine_state_for_ensemble([T.nn.Linear(1, 1), T.nn.Tanh()]),
    transforms=lambda T: [functorch_of(T).jacrev(T.sin)(T.ones(2)), functorch_of(T).hessian(T.exp)(T.tensor(1.0))],
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("behaviour", functorch_programs)
def test_functorch(behaviour):
    compare(torch, behaviour)


def test_an_explanation_counts_graphs_and_breaks():
    def whole(x):
        return x.sin() + 1

    def broken(x):
        y = x.sin() * 2
        if y.sum() > 0:
            y = y + 1
        return y * 3

    x = retrograd.ones(3)
    found = retrograd._dynamo.explain(whole)(x)
    assert (found.graph_count, found.graph_break_count, found.break_reasons) == (1, 0, [])
    with pytest.warns(UserWarning, match="broken"):
        found = retrograd._dynamo.explain(broken)(x)
    assert found.graph_break_count == 1 and "asked for a value" in found.break_reasons[0]


def test_scripted_modules_save_themselves(tmp_path):
    for made in (retrograd.jit.script, lambda m: retrograd.jit.trace(m, retrograd.ones(1, 2))):
        module = made(retrograd.nn.Sequential(retrograd.nn.Linear(2, 2), retrograd.nn.ReLU()))
        with pytest.warns(UserWarning, match="the module itself is saved"):
            module.save(tmp_path / "module.pt")
        loaded = retrograd.jit.load(str(tmp_path / "module.pt"))
        assert retrograd.equal(loaded(retrograd.ones(1, 2)), module(retrograd.ones(1, 2)))


def test_dual_tensors_print_their_tangents():
    texts = []
    for T in (torch, retrograd):
        fw = T.autograd.forward_ad
        with fw.dual_level():
            x = fw.make_dual(T.tensor([1.0, 2.0]), T.tensor([3.0, 4.0]))
            y = fw.make_dual(T.tensor(1.0, requires_grad=True), T.tensor(3.0)) * 2
            texts.append([str(x), str(y), str(T.ones(1))])
    assert texts[1] == texts[0]
