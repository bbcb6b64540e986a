"""What Module offers beside the common: devices, conversions in place, old names; and the layers' places, against torch."""

from __future__ import annotations

import copy
import importlib
import pickle

import pytest

torch = pytest.importorskip("torch")

import retrograd  # noqa: E402  (below the check for torch)
from parity.nn_helpers import drawn  # noqa: E402
from parity.outcomes import same  # noqa: E402


def net(T):
    made = T.nn.Sequential(T.nn.Linear(2, 3), T.nn.BatchNorm1d(3), T.nn.ReLU())
    made.again = made[0]
    return made


def applied(T):
    """_apply keeps the Parameters themselves, and their gradients, and changes buffers."""
    made = net(T)
    made(T.ones(4, 2)).sum().backward()
    before = list(made.parameters())
    made._apply(lambda t: t * 2 if t.is_floating_point() else t)
    kept = all(a is b for a, b in zip(before, made.parameters(), strict=True))
    return kept, [p.grad for p in made.parameters()], made.state_dict()


def not_recursive(T):
    made = net(T)
    made.register_buffer("own", T.ones(2))
    made._apply(lambda t: t + 1, recurse=False)
    return made.state_dict()


def converted(T, name):
    made = getattr(net(T), name)()
    return {key: value.dtype for key, value in made.state_dict().items()}, made[1].num_batches_tracked.dtype


def emptied(T):
    made = net(T)
    held = made[0].weight
    made.to_empty(device="cpu")
    return [(n, p.shape, p.dtype) for n, p in made.named_parameters()], held is made[0].weight


def walked(T):
    made = net(T)
    return (
        [name for name, _ in made.named_modules(prefix="net", remove_duplicate=False)],
        [type(m).__name__ for m in made.modules(remove_duplicate=False)],
        [type(m).__name__ for m in made.modules()],
        [n for n, _ in made.named_parameters(prefix="p", remove_duplicate=False)],
        [n for n, _ in made.named_parameters(prefix="p", recurse=False)],
        [n for n, _ in made.named_buffers(prefix="b", remove_duplicate=False)],
        [n for n, _ in made.named_children()],
        [n for n, _ in made._named_members(lambda m: m._parameters.items(), prefix="q", recurse=True)],
    )


def constructed(T):
    class Base:
        def __init__(self, number):
            self.number = number

    class Both(T.nn.Module, Base):
        call_super_init = True

        def __init__(self, number):
            super().__init__(number)

    return Both(3).number, T.nn.Module._version, T.nn.BatchNorm1d._version, T.nn.Module.dump_patches


def extra(T):
    class Counted(T.nn.Module):
        def __init__(self):
            super().__init__()
            self.count = 3

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"] + 1

    one, other = Counted(), Counted()
    one.count = 7
    told = repr(other.load_state_dict(one.state_dict()))
    return (
        told,
        other.count,
        one.state_dict(),
        repr(T.nn.Sequential(other).load_state_dict({"0._extra_state": {"count": 1}})),
    )


def hooked(T):
    told, made = [], T.nn.Sequential(T.nn.Linear(2, 2))
    made.register_state_dict_pre_hook(lambda module, prefix, keep: told.append(("before", prefix, keep)))
    made.register_state_dict_post_hook(lambda module, state, prefix, meta: told.append(("after", list(state), meta)))
    made[0].register_load_state_dict_pre_hook(
        lambda module, state, prefix, *rest: told.append(("load", prefix, list(state)))
    )
    made.register_load_state_dict_post_hook(lambda module, keys: keys.missing_keys.clear())
    state = made.state_dict(prefix="x.")
    told.append(made.load_state_dict({"0.weight": T.ones(2, 2)}).missing_keys)
    return told, list(state)


def subclassed(T):
    """A module with a property, a cached child, and its own dir."""

    class Odd(T.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = T.nn.Linear(1, 1)

        @property
        def weight(self):
            return self.inner.weight * 2

        def forward(self, x, *, by=1):
            return x * self.weight * by

    odd = Odd()
    names = dir(odd)
    return (
        odd(T.ones(1), by=3),
        [n in names for n in ("inner", "weight", "forward", "training")],
        copy.deepcopy(odd),
        odd._get_name(),
    )


def placed(T, method, *args):
    return getattr(T.nn.Linear(2, 2), method)(*args)


CASES = {
    "_apply": applied,
    "_apply, not recursive": not_recursive,
    **{name: lambda T, name=name: converted(T, name) for name in ("half", "bfloat16", "double", "float", "cpu")},
    "type": lambda T: T.nn.Linear(2, 2).type(T.float64).weight.dtype,
    "to another dtype": lambda T: T.nn.Linear(2, 2).to(T.int64),
    "to a tensor": lambda T: T.nn.Linear(2, 2).to(T.ones(1, dtype=T.float64)).bias.dtype,
    "to nothing": lambda T: T.nn.Linear(2, 2).to("cpu", T.float16, True).weight.dtype,
    "to_empty": emptied,
    "to_empty without a device": lambda T: net(T).to_empty(),
    "share_memory": lambda T: net(T).share_memory()[0].weight.shape,
    "walks": walked,
    "call_super_init": constructed,
    "arguments": lambda T: T.nn.Module(3),
    "named arguments": lambda T: T.nn.Module(a=3),
    "no forward": lambda T: T.nn.Module()(3),
    "extra state": extra,
    "no extra state": lambda T: T.nn.Linear(1, 1).get_extra_state(),
    "hooks of state": hooked,
    "subclass": subclassed,
    "train": lambda T: net(T).train("yes"),
    "requires_grad_": lambda T: [p.requires_grad for p in net(T).requires_grad_(False).parameters()],
    "zero_grad": lambda T: net(T).zero_grad(set_to_none=False),
    "get_submodule": lambda T: net(T).get_submodule("1.weight"),
    "set_submodule": lambda T: (lambda m: (m.set_submodule("1", T.nn.Identity()), m))(net(T)),
    "set_submodule, strict": lambda T: net(T).set_submodule("7", T.nn.Identity(), strict=True),
    "set_submodule to no module": lambda T: net(T).set_submodule("1", 3),
    "get_parameter of a buffer": lambda T: net(T).get_parameter("1.running_mean"),
    "get_buffer": lambda T: net(T).get_buffer("1.running_mean"),
    "positional state_dict": lambda T: list(T.nn.Linear(1, 1).state_dict({}, "p.", True)),
    "pickled": lambda T: pickle.loads(pickle.dumps(net(T))).state_dict(),
    "a missing attribute": lambda T: net(T).missing,
    "factory_kwargs": lambda T: [
        T.nn.factory_kwargs(None),
        T.nn.factory_kwargs({"device": "cpu", "factory_kwargs": {"dtype": 3}}),
    ],
    "factory_kwargs twice": lambda T: T.nn.factory_kwargs({"device": 1, "factory_kwargs": {"device": 1}}),
    "factory_kwargs of another name": lambda T: T.nn.factory_kwargs({"size": 1}),
    "Container": lambda T: T.nn.Container(a=T.nn.ReLU(), b=T.nn.Linear(1, 2)),
    "NLLLoss2d": lambda T: T.nn.NLLLoss2d()(T.tensor(drawn((1, 2, 3, 3))), T.zeros(1, 3, 3, dtype=T.int64)),
    "CrossMapLRN2d": lambda T: [
        T.nn.CrossMapLRN2d(size, 0.5, 0.75, 2)(T.tensor(drawn((2, channels, 3, 4))))
        for size in (1, 2, 3, 4, 5)
        for channels in (1, 3, 8)
    ],
    "CrossMapLRN2d printed": lambda T: T.nn.CrossMapLRN2d(3),
    "CrossMapLRN2d of three dimensions": lambda T: T.nn.CrossMapLRN2d(3)(T.ones(2, 3, 4)),
    "prefix": lambda T: _stripped(T),
    "samples for more images": lambda T: T.nn.FractionalMaxPool3d(
        2, output_ratio=0.5, _random_samples=T.tensor(drawn((2, 4, 3), 0, 0.0, 1.0))
    )(T.tensor(drawn((4, 5, 5, 5)))),
    "samples for other images": lambda T: T.nn.FractionalMaxPool2d(
        2, output_ratio=0.5, _random_samples=T.tensor(drawn((2, 4, 2), 0, 0.0, 1.0))
    )(T.tensor(drawn((1, 4, 5, 5)))),
    "sizes": lambda T: (
        T.nn.modules.utils._list_with_default([None, 3], [1, 2, 5]),
        T.nn.modules.utils._pair(3),
        T.nn.modules.utils._ntuple(4)([1, 2]),
        T.nn.modules.utils._reverse_repeat_tuple((1, 2), 2),
    ),
    "too few sizes": lambda T: T.nn.modules.utils._list_with_default([None, 3], [1]),
    "merge_masks": lambda T: T.nn.MultiheadAttention(4, 2).merge_masks(T.zeros(3, 3), T.ones(2, 3), T.ones(2, 3, 4)),
    "padding mask alone": lambda T: T.nn.MultiheadAttention(4, 2).merge_masks(None, T.ones(2, 3), T.ones(2, 3, 4)),
    "encoder's activation": lambda T: [
        T.nn.TransformerEncoderLayer(4, 2, activation=a).activation_relu_or_gelu for a in ("relu", "gelu", T.tanh)
    ],
    "RNN's checks": lambda T: (
        T.nn.LSTM(3, 4, proj_size=2, bidirectional=True).get_expected_hidden_size(T.ones(5, 2, 3), None),
        T.nn.LSTM(3, 4, proj_size=2).get_expected_cell_size(T.ones(5, 2, 3), None),
        T.nn.GRU(3, 4, batch_first=True).get_expected_hidden_size(T.ones(5, 2, 3), None),
        T.nn.GRU(3, 4).get_expected_hidden_size(T.ones(5, 3), T.tensor([2, 2, 1])),
        T.nn.GRU(3, 4).check_forward_args(T.ones(5, 2, 3), T.ones(1, 2, 4), None),
        T.nn.LSTM(3, 4).check_forward_args(T.ones(5, 2, 3), (T.ones(1, 2, 4), T.ones(1, 2, 4)), None),
        T.nn.LSTM(3, 4).permute_hidden((T.arange(2.0).view(1, 2, 1),) * 2, T.tensor([1, 0])),
        T.nn.RNN(3, 4).permute_hidden(T.arange(2.0).view(1, 2, 1), None),
    ),
    "RNN's state of another size": lambda T: T.nn.GRU(3, 4).check_forward_args(T.ones(5, 2, 3), T.ones(2, 2, 4), None),
    "LSTM's cell of another size": lambda T: T.nn.LSTM(3, 4).check_forward_args(
        T.ones(5, 2, 3), (T.ones(1, 2, 4), T.ones(1, 2, 3)), None
    ),
    "RNN's input of another dtype": lambda T: T.nn.GRU(3, 4).check_input(T.ones(5, 2, 3).double(), None),
    "RNN's input of two dimensions": lambda T: T.nn.GRU(3, 4).check_input(T.ones(5, 3), None),
    "apply_permutation": lambda T: T.nn.modules.rnn.apply_permutation(T.arange(3.0).view(1, 3), T.tensor([2, 0, 1])),
    "older functional_call": lambda T: importlib.import_module(f"{T.__name__}.nn.utils.stateless").functional_call(
        T.nn.Linear(2, 1), {"weight": T.ones(1, 2), "bias": T.zeros(1)}, T.ones(2)
    ),
    "older functional_call of DataParallel": lambda T: importlib.import_module(
        f"{T.__name__}.nn.utils.stateless"
    ).functional_call(T.nn.DataParallel(T.nn.Linear(2, 1)), {}, T.ones(2)),
}


def _stripped(T):
    state = T.nn.DataParallel(T.nn.Sequential(T.nn.Linear(1, 1))).state_dict()
    T.nn.modules.utils.consume_prefix_in_state_dict_if_present(state, "module.")
    return list(state), list(state._metadata)


@pytest.mark.parametrize("name", CASES)
def test_module(name):
    same(CASES[name], seed=2)


@pytest.mark.parametrize("method", ["cuda", "xpu", "mtia", "ipu"])
def test_there_is_no_other_device(method):
    with pytest.raises((AssertionError, RuntimeError)):
        placed(torch, method)
    with pytest.raises(RuntimeError, match=method):
        placed(retrograd, method)


# What programs import from below torch.nn and torch.optim: places and names.
IMPORTED = {
    "nn.common_types": "_size_1_t _size_2_t _size_2_opt_t _size_3_t _size_any_t _ratio_2_t",
    "nn.grad": "conv1d_input conv2d_input conv2d_weight conv3d_weight",
    "nn.modules": "Module Linear Conv2d BatchNorm2d Sequential ModuleList",
    "nn.modules.activation": "ReLU GELU SiLU PReLU MultiheadAttention Softmax LeakyReLU Hardswish Sigmoid",
    "nn.modules.batchnorm": "_BatchNorm _NormBase BatchNorm1d BatchNorm2d SyncBatchNorm LazyBatchNorm2d",
    "nn.modules.channelshuffle": "ChannelShuffle",
    "nn.modules.container": "Sequential ModuleList ModuleDict ParameterList ParameterDict Container",
    "nn.modules.conv": "_ConvNd _ConvTransposeNd Conv1d Conv2d Conv3d ConvTranspose2d LazyConv2d",
    "nn.modules.distance": "CosineSimilarity PairwiseDistance",
    "nn.modules.dropout": "_DropoutNd Dropout Dropout2d AlphaDropout",
    "nn.modules.flatten": "Flatten Unflatten",
    "nn.modules.fold": "Fold Unfold",
    "nn.modules.instancenorm": "_InstanceNorm InstanceNorm1d InstanceNorm2d LazyInstanceNorm2d",
    "nn.modules.lazy": "LazyModuleMixin",
    "nn.modules.linear": "Linear Identity Bilinear LazyLinear NonDynamicallyQuantizableLinear",
    "nn.modules.loss": "_Loss _WeightedLoss MSELoss CrossEntropyLoss NLLLoss BCEWithLogitsLoss TripletMarginLoss CTCLoss",
    "nn.modules.module": (
        "Module _addindent _IncompatibleKeys register_module_forward_hook register_module_forward_pre_hook "
        "register_module_full_backward_hook register_module_module_registration_hook"
    ),
    "nn.modules.normalization": "LayerNorm GroupNorm RMSNorm LocalResponseNorm CrossMapLRN2d",
    "nn.modules.padding": "_ConstantPadNd _ReflectionPadNd _ReplicationPadNd ConstantPad2d ReflectionPad2d ZeroPad2d",
    "nn.modules.pixelshuffle": "PixelShuffle PixelUnshuffle",
    "nn.modules.pooling": (
        "_MaxPoolNd _AvgPoolNd _AdaptiveAvgPoolNd _AdaptiveMaxPoolNd _LPPoolNd MaxPool2d AvgPool2d AdaptiveAvgPool2d "
        "MaxUnpool2d FractionalMaxPool2d"
    ),
    "nn.modules.rnn": "RNNBase RNNCellBase RNN LSTM GRU LSTMCell apply_permutation",
    "nn.modules.sparse": "Embedding EmbeddingBag",
    "nn.modules.transformer": (
        "Transformer TransformerEncoder TransformerEncoderLayer TransformerDecoder TransformerDecoderLayer "
        "_get_clones _get_activation_fn _generate_square_subsequent_mask"
    ),
    "nn.modules.upsampling": "Upsample UpsamplingNearest2d UpsamplingBilinear2d",
    "nn.modules.utils": "_single _pair _triple _quadruple _ntuple consume_prefix_in_state_dict_if_present",
    "nn.parallel": "DataParallel DistributedDataParallel data_parallel replicate scatter parallel_apply gather",
    "nn.parallel.data_parallel": "DataParallel data_parallel",
    "nn.parallel.distributed": "DistributedDataParallel",
    "nn.parallel.parallel_apply": "parallel_apply",
    "nn.parallel.replicate": "replicate",
    "nn.parallel.scatter_gather": "scatter gather scatter_kwargs",
    "nn.parameter": "Parameter Buffer UninitializedParameter UninitializedBuffer UninitializedTensorMixin is_lazy",
    "nn.utils": "clip_grad_norm_ clip_grad_value_ parameters_to_vector weight_norm spectral_norm skip_init rnn stateless",
    "nn.utils.clip_grad": "clip_grad_norm_ clip_grad_value_",
    "nn.utils.convert_parameters": "parameters_to_vector vector_to_parameters",
    "nn.utils.fusion": "fuse_conv_bn_eval fuse_conv_bn_weights fuse_linear_bn_eval",
    "nn.utils.init": "skip_init",
    "nn.utils.memory_format": "convert_conv2d_weight_memory_format",
    "nn.utils.parametrizations": "weight_norm spectral_norm orthogonal",
    "nn.utils.parametrize": "register_parametrization remove_parametrizations is_parametrized cached ParametrizationList",
    "nn.utils.prune": "l1_unstructured global_unstructured remove BasePruningMethod L1Unstructured PruningContainer",
    "nn.utils.rnn": "pad_sequence pack_padded_sequence pad_packed_sequence pack_sequence PackedSequence unpad_sequence",
    "optim.adam": "Adam",
    "optim.adamw": "AdamW",
    "optim.lr_scheduler": "_LRScheduler LRScheduler LambdaLR CosineAnnealingLR OneCycleLR ReduceLROnPlateau SequentialLR",
    "optim.optimizer": "Optimizer required register_optimizer_step_pre_hook",
    "optim.sgd": "SGD",
    "optim.sparse_adam": "SparseAdam",
    "optim.swa_utils": "AveragedModel SWALR update_bn get_ema_multi_avg_fn",
}


@pytest.mark.parametrize("place", IMPORTED)
def test_names_are_where_programs_import_them_from(place):
    theirs, mine = (importlib.import_module(f"{library}.{place}") for library in ("torch", "retrograd"))
    for name in IMPORTED[place].split():
        assert hasattr(theirs, name), f"torch has no {name}"
        assert hasattr(mine, name), name
        kind = getattr(theirs, name)
        if isinstance(kind, type) and issubclass(kind, torch.nn.Module):
            above = {c.__name__ for c in kind.__mro__} & {n for row in IMPORTED.values() for n in row.split()}
            missing = above - {c.__name__ for c in getattr(mine, name).__mro__}
            assert not missing, f"{name} is no {missing}"
