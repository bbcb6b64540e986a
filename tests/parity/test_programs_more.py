"""What public programs rely on without saying so: layouts of results, writes after reads, odd but common calls."""

import importlib

import numpy as np
import pytest

import retrograd

torch = pytest.importorskip("torch")
BOTH = (torch, retrograd)

LAYOUTS = {
    "softmax": lambda T, x: x.softmax(-1),
    "log_softmax": lambda T, x: x.log_softmax(1),
    "masked_fill": lambda T, x: x.masked_fill(x > 2, 0.0),
    "layer_norm": lambda T, x: T.nn.functional.layer_norm(x, (5,)),
    "rms_norm": lambda T, x: T.nn.functional.rms_norm(x, (5,)),
    "instance_norm": lambda T, x: T.nn.functional.instance_norm(x),
    "batch_norm": lambda T, x: T.nn.functional.batch_norm(x, T.zeros(4), T.ones(4)),
    "cumsum": lambda T, x: x.cumsum(-1),
    "sum": lambda T, x: x.sum(1),
    "sum, keepdim": lambda T, x: x.sum(1, keepdim=True),
    "mean": lambda T, x: x.mean(-1),
    "amax": lambda T, x: x.amax(1),
    "max": lambda T, x: x.max(-1)[0],
    "tril": lambda T, x: x.tril(),
    "roll": lambda T, x: x.roll(1, 1),
    "two chosen": lambda T, x: x[:, T.tensor([0, 1])],
    "two chosen, last": lambda T, x: x[..., T.tensor([0, 1])],
    "times two": lambda T, x: x * 2,
    "relu": lambda T, x: x.relu(),
}
ORDERS = {
    "transposed": lambda T: T.arange(120.0).reshape(2, 3, 4, 5).transpose(1, 2),
    "last two": lambda T: T.arange(120.0).reshape(2, 4, 5, 3).transpose(2, 3),
    "plain": lambda T: T.arange(120.0).reshape(2, 4, 3, 5),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", LAYOUTS)
def test_where_torch_lays_a_result_out_row_by_row_view_works(name, order):
    a, b = (LAYOUTS[name](T, ORDERS[order](T)) for T in BOTH)
    np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=1e-4, atol=1e-5)
    if a.is_contiguous():
        assert tuple(b.view(-1).shape) == tuple(a.view(-1).shape)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_an_activation_in_place_after_a_pool(dims):
    slopes = []
    for T in BOTH:
        x = T.arange(float(4**dims)).sub(5).cos().reshape(1, 1, *[4] * dims).requires_grad_()
        y = getattr(T.nn, f"MaxPool{dims}d")(2)(x)
        T.nn.ReLU(inplace=True)(y).pow(2).sum().backward()
        slopes.append(x.grad.numpy())
    np.testing.assert_allclose(slopes[1], slopes[0], rtol=1e-6)


def test_a_mask_chosen_from_complex_numbers():
    slopes = []
    for T in BOTH:
        x = T.complex(T.arange(6.0), T.ones(6)).reshape(2, 3).requires_grad_()
        mask = T.tensor([[True, False, True], [False, True, True]])
        (x[mask] * T.arange(4.0)).abs().sum().backward()
        slopes.append(x.grad.numpy())
    np.testing.assert_allclose(slopes[1], slopes[0], rtol=1e-5)


def test_results_written_into_a_table_row_by_row():
    slopes = []
    for T in BOTH:
        x = T.arange(6.0).reshape(2, 3).requires_grad_()
        table = T.zeros(4, 2, 3)
        for i in range(3):
            row = T.sigmoid(x * i)
            table[i] = row
        table[3], kept = row.exp(), row
        (table.pow(2).sum() + kept.sum()).backward()
        slopes.append(x.grad.numpy())
    np.testing.assert_allclose(slopes[1], slopes[0], rtol=1e-5)


def test_a_quotient_changed_in_place_before_its_gradient_is_asked_for():
    slopes = []
    for T in BOTH:
        x = T.arange(1.0, 7.0).reshape(2, 3).requires_grad_()
        share = x / x.sum(1, keepdim=True)
        share[share < 0.3] = 0.0
        share *= 2
        share.pow(2).sum().backward()
        slopes.append(x.grad.numpy())
    np.testing.assert_allclose(slopes[1], slopes[0], rtol=1e-5, atol=1e-7)


FOREACH = sorted(name for name in dir(torch) if name.startswith("_foreach_"))
FORMS = {
    "alone": lambda f, a, b, c: f(a),
    "number": lambda f, a, b, c: f(a, 2.0),
    "list": lambda f, a, b, c: f(a, b),
    "lists": lambda f, a, b, c: f(a, b, c),
    "numbers": lambda f, a, b, c: f(a, [1.0, 2.0]),
}


@pytest.mark.parametrize("name", FOREACH)
def test_a_function_for_each_tensor_of_a_list(name):
    for form in FORMS.values():
        found = []
        for T in BOTH:
            draw = np.random.default_rng(0)
            lists = [[T.from_numpy(draw.random((2, 2), np.float32) * 0.8 + 0.1) for _ in range(2)] for _ in range(3)]
            try:
                result = form(getattr(T, name), *lists)
            except Exception:
                found.append(None)
                continue
            found.append([x.numpy() for x in (lists[0] if result is None else result)])
        if found[0] is not None:
            for ours, theirs in zip(found[1], found[0], strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_trees_of_tensors():
    import torch.utils._pytree as theirs

    import retrograd.utils._pytree as ours

    tree = {"a": [1, (2, 3)], "b": {"c": 4}, "d": (), "e": None}
    for one, other in ((theirs, ours), (ours, ours)):
        leaves, spec = one.tree_flatten(tree)
        assert leaves == other.tree_leaves(tree)
        assert one.tree_unflatten([x and 2 * x for x in leaves], spec) == other.tree_map(lambda x: x and 2 * x, tree)
    assert ours.tree_map(lambda x, y: (x, y), [1, [2]], [3, [4]]) == theirs.tree_map(
        lambda x, y: (x, y), [1, [2]], [3, [4]]
    )
    for wrong in (theirs, ours):
        with pytest.raises(ValueError):
            wrong.tree_unflatten([1], wrong.tree_structure([1, 2]))
        with pytest.raises(ValueError):
            wrong.tree_map(max, [1, 2], [1])


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_checkpoint_gives_the_same_gradients_and_the_same_random_numbers(reentrant):
    found = []
    for T in BOTH:
        T.manual_seed(0)
        layer = T.nn.Sequential(T.nn.Linear(3, 4), T.nn.Dropout(0.5), T.nn.Tanh(), T.nn.Linear(4, 2))
        x = T.ones(5, 3, requires_grad=True)
        from importlib import import_module

        tool = import_module(f"{T.__name__}.utils.checkpoint")
        y = tool.checkpoint(layer, x, use_reentrant=reentrant)
        z = tool.checkpoint_sequential(layer, 2, x, use_reentrant=reentrant)
        (y.sum() + z.pow(2).sum() + T.rand(1)).sum().backward()
        found.append([x.grad.numpy(), *(p.grad.numpy() for p in layer.parameters())])
    for ours, theirs in zip(found[1], found[0], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_as_strided_within_a_part_of_the_memory():
    slopes = []
    for T in BOTH:
        y = T.arange(10.0)[4:8].detach().requires_grad_()
        (T.as_strided(y, (2, 2), (2, 1)) * T.tensor([[1.0, 2.0], [3.0, 4.0]])).sum().backward()
        slopes.append(y.grad.numpy())
    np.testing.assert_allclose(slopes[1], slopes[0])


def test_odd_calls_that_libraries_make():
    for T in BOTH:
        assert T.flip(T.tensor([1, 2]), dims=[0]).tolist() == [2, 1]
        with pytest.raises(RuntimeError, match="__contains__ only supports"):
            "a" in T.ones(2)
        with pytest.raises(AssertionError, match="no"):
            T._assert(False, "no")
        with pytest.raises(ValueError, match="has not been initialized"):
            T.distributed.get_rank()


def patched_settings(T):
    config = T._inductor.config
    before = config.triton.cudagraphs
    with config.patch({"triton.cudagraphs": not before, "max_autotune": True}):
        inside = config.triton.cudagraphs, config.max_autotune
    return before, inside, config.triton.cudagraphs, config.max_autotune, hasattr(config, "no_such_setting")


def decorated_settings(T):
    config = T._dynamo.config
    read = config.patch(suppress_errors=True)(lambda: config.suppress_errors)
    return read(), config.suppress_errors, hasattr(config, "no_such_setting")


def chosen_by_an_argument(T):
    pick = T._jit_internal.boolean_dispatch(
        "both",
        1,
        False,
        if_true=lambda x, both=False: (x, x),
        if_false=lambda x, both=False: x,
        module_name="m",
        func_name="f",
    )
    return pick(1), pick(1, True), pick(1, both=True), T._jit_internal.BroadcastingList2[int]


def numbers_of_reductions(T):
    R = importlib.import_module(f"{T.__name__}.nn._reduction")
    flags = [(a, b) for a in (None, False, True) for b in (None, False, True)]
    old = [R.legacy_get_string(a, b, emit_warning=False) for a, b in flags]
    return [R.get_enum(name) for name in ("none", "mean", "sum")], old, R.legacy_get_enum(None, False, False)


def gradients_of_a_convolution(T, transposed, stride, padding, groups, mask):
    r = np.random.RandomState(0)
    x, w = (T.tensor(r.randn(*shape)) for shape in ((2, 4, 7, 6), (4, 4 // groups, 3, 2)))
    f = T.nn.functional.conv_transpose2d if transposed else T.nn.functional.conv2d
    g = T.tensor(r.randn(*f(x, w, None, stride=stride, padding=padding, groups=groups).shape))
    sizes = [4] if mask[2] else None
    out = T.ops.aten.convolution_backward(g, x, w, sizes, stride, padding, (1, 1), transposed, (0, 0), groups, mask)
    return [None if one is None else one.numpy().round(9).tolist() for one in out]


INTERNALS = {
    "settings of a group": patched_settings,
    "a decorator that sets": decorated_settings,
    "a copy of the settings": lambda T: T._functorch.config.get_config_copy()["activation_memory_budget"],
    "what a mode stands for": lambda T: T._inductor.list_mode_options("reduce-overhead"),
    "a form chosen by an argument": chosen_by_an_argument,
    "numbers of reductions": numbers_of_reductions,
    "log names": lambda T: T._logging.getArtifactLogger("mine", "graph").name,
    "gradients of a convolution": lambda T: gradients_of_a_convolution(T, False, (2, 1), (1, 0), 2, [True] * 3),
    "its weight's alone": lambda T: gradients_of_a_convolution(T, False, (1, 2), (0, 1), 1, [False, True, False]),
    "a transposed one's": lambda T: gradients_of_a_convolution(T, True, (2, 2), (1, 1), 2, [True, True, False]),
}


@pytest.mark.parametrize("name", INTERNALS)
def test_names_below_the_public_ones(name):
    for T in BOTH:
        for module in ("_inductor", "_dynamo", "_functorch.config", "_logging", "_jit_internal"):
            if T is torch or "." not in module:
                importlib.import_module(f"{T.__name__}.{module}")
    assert INTERNALS[name](retrograd) == INTERNALS[name](torch)


def test_extensions_in_other_languages_are_refused_when_they_are_built():
    from retrograd.utils import cpp_extension

    for build in (cpp_extension.load, cpp_extension.CppExtension, cpp_extension.CUDAExtension):
        with pytest.raises(RuntimeError, match="form in Python"):
            build("fused", ["fused.cpp"])
    assert cpp_extension.CUDA_HOME is None and not retrograd.torchvision._is_tracing()


def test_a_module_written_as_torchscript():
    class Gate(retrograd.jit.ScriptModule):
        def __init__(self):
            super().__init__()
            self.p = retrograd.tensor(0.5)

        @retrograd.jit.script_method
        def forward(self, x):
            return x * self.p

    assert Gate()(retrograd.ones(2)).tolist() == [0.5, 0.5] and not list(Gate().state_dict())
    with retrograd.jit.optimized_execution(False):
        assert retrograd.jit._unwrap_optional(3) == 3
