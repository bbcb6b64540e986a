"""Small things that course notebooks do, one by one: outcomes as under PyTorch."""

from __future__ import annotations

import pytest

from parity.behaviours import Table, compare

torch = pytest.importorskip("torch")

forms = Table()


@forms
def randint_of_a_bound_and_a_named_size(T):
    T.manual_seed(0)
    return T.randint(10, size=(4,)), T.randint(high=5, size=(3,)), T.randint(10, (2,)), T.randint(2, 5, size=(2, 2))


@forms
def a_bound_below_nothing(T):
    return T.randint(0, size=(2,))


@forms
def no_size(T):
    return T.randint(10)


NAMED_BY_NUMPY = [
    *("sum", "mean", "std", "var", "prod", "amax", "argmax", "max", "any", "all", "cumsum", "cumprod", "cummax"),
    *("softmax", "log_softmax", "logsumexp", "logcumsumexp", "median", "mode", "sort", "argsort", "unbind", "squeeze"),
    *("unsqueeze", "flip", "diff", "aminmax", "std_mean", "nansum", "count_nonzero"),
]


@pytest.mark.parametrize("name", NAMED_BY_NUMPY)
def test_arguments_by_numpys_names(name):
    def as_function(T):
        return getattr(T, name)(T.arange(12.0).reshape(3, 4), axis=0)

    def as_function_of_x(T):
        return getattr(T, name)(x=T.arange(12.0).reshape(3, 4), axis=0)

    def as_method(T):
        return getattr(T.arange(12.0).reshape(3, 4), name)(axis=0)

    for behaviour in (as_function, as_function_of_x, as_method):
        compare(torch, behaviour)


numpys = Table()
numpys.add(
    stack=lambda T: T.stack([T.ones(2), T.zeros(2)], axis=1),
    unsqueeze_in_place=lambda T: T.ones(2).unsqueeze_(axis=0),
    kept=lambda T: T.logsumexp(T.ones(2, 3), axis=1, keepdims=True),
    kept_by_a_method=lambda T: T.arange(4.0).kthvalue(2, axis=0, keepdims=True),
    operands=lambda T: T.sub(x1=T.ones(2), x2=T.arange(2.0)),
    swapped=lambda T: T.ones(2, 3).swapaxes(axis0=0, axis1=1),
    pieces=lambda T: T.chunk(T.arange(6.0), 3, axis=0),
    repeated=lambda T: T.arange(3).repeat_interleave(2, axis=0),
    with_out=lambda T: T.cumsum(T.ones(2, 3), axis=1, out=T.empty(2, 3)),
    transformed=lambda T: T.fft.fft(T.arange(4.0), axis=0),
    gradient=lambda T: T.autograd.grad(T.softmax((x := T.arange(3.0, requires_grad=True)), axis=0)[0], x),
    twice=lambda T: T.unsqueeze(T.ones(2), dim=0, axis=0),
    unknown=lambda T: T.ones(2).cumsum(along=0),
)


@pytest.mark.parametrize("behaviour", numpys)
def test_numpys_names_in_other_forms(behaviour):
    compare(torch, behaviour)


CHOSEN = ["sort", "topk", "kthvalue", "median", "nanmedian", "mode", "cummax", "cummin", "max", "min"]


@pytest.mark.parametrize("name", CHOSEN)
def test_the_histories_of_chosen_values_have_torchs_names(name):
    def names(T):
        x = T.arange(6.0).reshape(2, 3).requires_grad_()
        found = getattr(T, name)(x, *((2,) if name in ("topk", "kthvalue") else ()), dim=1)[0]
        return found.grad_fn.name(), type(found.grad_fn).__name__

    compare(torch, names)


def test_the_classes_of_a_history():
    def classes(T):
        x = T.ones(3, requires_grad=True)
        y = (x * 2).sum()
        first = y.grad_fn.next_functions[0][0]
        leaf = first.next_functions[0][0]
        assert isinstance(leaf, T.autograd.graph.Node) and isinstance(y.grad_fn, T.autograd.graph.Node)
        y.backward(retain_graph=True)
        y.backward()
        return [type(node).__name__ for node in (y.grad_fn, first, leaf)], x.grad

    compare(torch, classes)


futures = Table()


@futures
def a_future_and_what_follows(T):
    later = T.futures.Future()
    said = []
    doubled, failed = later.then(lambda f: 2 * f.wait()), later.then(lambda f: 1 / 0)
    later.add_done_callback(lambda f: said.append(f.value()))
    before = later.done(), doubled.done()
    later.set_result(3)
    with pytest.raises(Exception, match="division"):
        failed.wait()
    return before, later.done(), doubled.wait(), said, T.futures.wait_all([later, doubled])


@futures
def set_twice(T):
    later = T.futures.Future()
    later.set_result(1)
    later.set_result(2)


@futures
def an_error_of_several(T):
    good, bad = T.futures.Future(), T.futures.Future()
    every = T.futures.collect_all([good, bad])
    good.set_result(1)
    bad.set_exception(ValueError("why"))
    return every.wait()


@futures
def none_of_them(T):
    return T.futures.wait_all([])


@futures
def not_there_yet(T):
    return T.futures.Future().value()


@pytest.mark.parametrize("behaviour", futures)
def test_futures(behaviour):
    compare(torch, behaviour)


COUNTED = {
    "linear": (lambda T: T.nn.Linear(8, 4), (3, 8)),
    "layers": (lambda T: T.nn.Sequential(T.nn.Linear(8, 4), T.nn.ReLU(), T.nn.Linear(4, 2, bias=False)), (3, 8)),
    "grouped convolution": (lambda T: T.nn.Conv2d(4, 6, 3, groups=2, stride=2), (2, 4, 9, 9)),
    "transposed convolution": (lambda T: T.nn.ConvTranspose2d(4, 3, 3, stride=2), (2, 4, 5, 5)),
}


@pytest.mark.parametrize("name", COUNTED)
def test_operations_are_counted_by_module(name):
    from torch.utils.flop_counter import FlopCounterMode as theirs

    import retrograd
    from retrograd.utils.flop_counter import FlopCounterMode as ours

    def counts(T, counter):
        make, shape = COUNTED[name]
        model = make(T)
        for _ in range(4):  # the later ones would run as one function
            with counter(display=False) as mode:
                model(T.ones(shape))
        by_module = {module: sum(found.values()) for module, found in mode.get_flop_counts().items()}
        return mode.get_total_flops(), by_module

    assert counts(retrograd, ours) == counts(torch, theirs)


def test_names_that_packages_around_torch_import(capsys):
    import retrograd as T
    from retrograd._C import _get_tracing_state, _log_api_usage_once, _nn, _TensorMeta
    from retrograd.distributed.constants import default_pg_timeout
    from retrograd.utils.flop_counter import FlopCounterMode

    assert default_pg_timeout == torch.distributed.constants.default_pg_timeout
    assert _get_tracing_state() is None and _log_api_usage_once("a program") is None
    assert _nn._parse_to("cpu", T.float16)[:3] == (T.device("cpu"), T.float16, False)
    assert isinstance(T.Tensor, _TensorMeta) and T.distributed.ReduceOp.RedOpType.SUM is T.distributed.ReduceOp.SUM
    plain, scripted = T.nn.Linear(2, 2), T.jit.script(T.nn.Linear(2, 2))
    assert not isinstance(plain, T.jit.ScriptModule) and isinstance(scripted, T.ScriptModule)
    assert scripted.original_name == "Linear" and T.utils.hooks.RemovableHandle
    x = T.ones(6)
    assert x[2:]._is_view() and not x._is_view() and x.untyped_storage().__sizeof__() >= 24
    T._dynamo.reset()
    assert isinstance(T.compile(plain), T._dynamo.OptimizedModule)
    assert "program" in str(T._dynamo.explain(lambda x: x + 1)(x))
    with FlopCounterMode():
        plain(T.ones(1, 2))
    assert "Linear" in capsys.readouterr().out
    with T.overrides.TorchFunctionMode():
        pass
    assert isinstance(T.fx.symbolic_trace(plain), T.fx.GraphModule)
    assert sum(T.hub.tqdm([1, 2, 3], disable=True)) == 6


def test_the_records_of_a_saved_file(tmp_path):
    import retrograd as T

    T.save({"w": T.ones(2)}, tmp_path / "w.pt")
    reader = T.PyTorchFileReader(str(tmp_path / "w.pt"))
    assert reader.has_record("data.pkl") and len(reader.get_record("data/0")) == 8


@pytest.mark.parametrize("behaviour", forms)
def test_forms(behaviour):
    compare(torch, behaviour)


@pytest.mark.parametrize("cell", ["LSTMCell", "GRUCell", "RNNCell"])
def test_cells_print_their_last_operation(cell):
    import retrograd

    def names(T):
        T.manual_seed(0)
        made, x = getattr(T.nn, cell)(4, 5), T.randn(2, 4)
        for _ in range(4):  # the later ones run as one function
            found = made(x)
        return [h.grad_fn.name() for h in (found if isinstance(found, tuple) else (found,))]

    assert names(retrograd) == names(torch)


def test_names_below_the_surface():
    import retrograd as T

    for t in (T, torch):
        utils = __import__(f"{t.__name__}._utils", fromlist=["x"])
        parts = [t.ones(2), t.zeros(1, 2)]
        flat = utils._flatten_dense_tensors(parts)
        again = utils._unflatten_dense_tensors(flat, parts)
        assert flat.tolist() == [1, 1, 0, 0] and [x.tolist() for x in again] == [[1, 1], [[0, 0]]]
        mixed = [t.ones(2), t.ones(1, dtype=t.int64), t.ones(3)]
        assert [len(group) for group in utils._take_tensors(mixed, 12)] == [1, 1, 1]
        assert [x.numel() for x in utils._reorder_tensors_as([mixed[1], mixed[0], mixed[2]], mixed)] == [2, 1, 3]
        scaler = t.amp.GradScaler("cpu", init_scale=4.0)
        state = __import__(f"{t.__name__}.amp.grad_scaler", fromlist=["x"]).OptState
        optimizer = t.optim.SGD([t.nn.Parameter(t.ones(1))], lr=1.0)
        stages = [scaler._per_optimizer_states[id(optimizer)]["stage"]]
        scaler.scale((optimizer.param_groups[0]["params"][0] ** 2).sum()).backward()
        scaler.unscale_(optimizer)
        stages.append(scaler._per_optimizer_states[id(optimizer)]["stage"])
        scaler.step(optimizer)
        stages.append(scaler._per_optimizer_states[id(optimizer)]["stage"])
        assert stages == [state.READY, state.UNSCALED, state.STEPPED]
    with pytest.raises(NotImplementedError, match="state_dict"):
        T.export.export(T.nn.Linear(1, 1), ())
    assert T.distributions.half_cauchy.HalfCauchy is T.distributions.HalfCauchy
