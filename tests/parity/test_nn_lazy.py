"""Modules that learn their sizes from the first input, against torch."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd  # noqa: E402  (below the check for torch)
from parity.nn_helpers import assert_like, drawn  # noqa: E402

LAYERS = {
    "linear": (lambda nn: nn.LazyLinear(4), (2, 3)),
    "linear without bias": (lambda nn: nn.LazyLinear(4, bias=False), (2, 5, 3)),
    "linear in float64": (lambda nn: nn.LazyLinear(4).double(), (2, 3)),
    "conv1d": (lambda nn: nn.LazyConv1d(4, 3, padding=1), (2, 3, 8)),
    "conv1d single": (lambda nn: nn.LazyConv1d(4, 3, padding=1), (3, 8)),
    "conv2d": (lambda nn: nn.LazyConv2d(4, 3, 2, groups=2, bias=False), (2, 6, 8, 8)),
    "conv2d reflect": (lambda nn: nn.LazyConv2d(4, 3, padding=1, padding_mode="reflect"), (2, 3, 5, 5)),
    "conv3d": (lambda nn: nn.LazyConv3d(2, 2), (1, 3, 4, 4, 4)),
    "conv transpose 1d": (lambda nn: nn.LazyConvTranspose1d(4, 3, 2, 1, 1), (2, 3, 5)),
    "conv transpose 2d": (lambda nn: nn.LazyConvTranspose2d(4, 3, groups=2), (2, 6, 4, 4)),
    "conv transpose 3d": (lambda nn: nn.LazyConvTranspose3d(2, 2, bias=False), (1, 3, 3, 3, 3)),
    "batch norm 1d": (lambda nn: nn.LazyBatchNorm1d(), (4, 3)),
    "batch norm 2d": (lambda nn: nn.LazyBatchNorm2d(affine=False), (4, 3, 2, 2)),
    "batch norm 3d": (lambda nn: nn.LazyBatchNorm3d(track_running_stats=False), (4, 3, 2, 2, 2)),
    "batch norm without bias": (lambda nn: nn.LazyBatchNorm1d(bias=False), (4, 3, 2)),
    "instance norm 1d": (lambda nn: nn.LazyInstanceNorm1d(), (4, 3, 6)),
    "instance norm 2d": (lambda nn: nn.LazyInstanceNorm2d(affine=True), (4, 3, 4, 4)),
    "instance norm 3d": (lambda nn: nn.LazyInstanceNorm3d(affine=True, track_running_stats=True), (2, 3, 2, 2, 2)),
    "sequence": (lambda nn: nn.Sequential(nn.LazyLinear(5), nn.ReLU(), nn.LazyLinear(2)), (4, 3)),
}


def used(library, make, shape):
    library.manual_seed(3)
    module = make(library.nn)
    before = repr(module)
    dtype = next(iter(module.parameters()), library.zeros(1)).dtype
    result = module(library.tensor(drawn(shape)).to(dtype))
    return before, repr(module), result, module.state_dict()


@pytest.mark.parametrize("name", LAYERS)
def test_the_first_call_gives_sizes_values_and_the_class_to_become(name):
    mine, theirs = used(retrograd, *LAYERS[name]), used(torch, *LAYERS[name])
    assert mine[:2] == theirs[:2]
    assert_like(mine[2], theirs[2], 1e-5, name)
    assert list(mine[3]) == list(theirs[3])
    for key, value in theirs[3].items():
        assert_like(mine[3][key], value, 1e-6, key)


def load_and_call(library):
    layer = library.nn.LazyLinear(3)
    layer.load_state_dict({"weight": library.ones(3, 2), "bias": library.zeros(3)})
    return type(layer).__name__, layer.has_uninitialized_params(), layer(library.ones(1, 2)).tolist(), repr(layer)


def train(library):
    library.manual_seed(0)
    net = library.nn.Sequential(library.nn.LazyConv1d(2, 3), library.nn.LazyBatchNorm1d())
    optimizer = library.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        net(library.tensor(drawn((4, 3, 5))).float()).square().sum().backward()
        optimizer.step()
    return [round(v, 4) for v in net[0].bias.tolist() + net[1].weight.tolist()]


CASES = {
    "arithmetic": lambda T: T.nn.UninitializedParameter() + 1,
    "shape": lambda T: T.nn.UninitializedParameter().shape,
    "numel": lambda T: T.nn.UninitializedParameter().numel(),
    "size": lambda T: tuple(T.nn.UninitializedParameter().size()),
    "clone": lambda T: T.nn.UninitializedBuffer().clone(),
    "repr": lambda T: repr([T.nn.UninitializedParameter(), T.nn.UninitializedBuffer()]),
    "dtypes": lambda T: str(T.nn.UninitializedParameter(dtype=T.float64).dtype),
    "wants a gradient": lambda T: (
        T.nn.UninitializedParameter(requires_grad=False).requires_grad,
        T.nn.UninitializedParameter().requires_grad,
        T.nn.UninitializedBuffer().requires_grad,
    ),
    "is_lazy": lambda T: [
        T.nn.parameter.is_lazy(p) for p in (T.nn.UninitializedParameter(), T.nn.UninitializedBuffer(), T.zeros(2), 3)
    ],
    "is a parameter": lambda T: isinstance(T.nn.UninitializedParameter(), T.nn.Parameter),
    "is a buffer": lambda T: (
        isinstance(T.nn.UninitializedBuffer(), T.nn.Buffer),
        T.nn.UninitializedBuffer(persistent=False).persistent,
    ),
    "shared": lambda T: T.nn.LazyLinear(2).share_memory(),
    "initialised too early": lambda T: T.nn.LazyLinear(2).apply(lambda m: T.nn.init.ones_(m.weight)),
    "counted too early": lambda T: sum(p.numel() for p in T.nn.LazyLinear(2).parameters()),
    "emptied": lambda T: T.nn.LazyLinear(2).to_empty(device="cpu"),
    "dtype of a module": lambda T: str(T.nn.LazyLinear(2).half().weight.dtype),
    "loaded first": load_and_call,
    "loaded, then other sizes": lambda T: _loaded_wrong(T),
    "lazy state into an ordinary one": lambda T: T.nn.Linear(2, 3).load_state_dict(T.nn.LazyLinear(3).state_dict()),
    "lazy state into a lazy one": lambda T: repr(T.nn.LazyLinear(3).load_state_dict(T.nn.LazyLinear(3).state_dict())),
    "keys": lambda T: list(T.nn.LazyBatchNorm1d().state_dict()),
    "wrong dimensions": lambda T: T.nn.LazyConv2d(3, 3)(T.ones(2, 2)),
    "wrong groups": lambda T: T.nn.LazyConv2d(4, 3, groups=2)(T.ones(1, 3, 5, 5)),
    "wrong dimensions of a norm": lambda T: T.nn.LazyBatchNorm2d()(T.ones(1, 3, 5)),
    "no initialize_parameters": lambda T: type("Odd", (T.nn.modules.lazy.LazyModuleMixin, T.nn.Module), {})()(1),
    "trained": train,
    "pickled": lambda T: repr(pickle.loads(pickle.dumps(T.nn.LazyLinear(3)))(T.ones(2, 4)).shape),
    "deep copy": lambda T: repr(copy.deepcopy(T.nn.LazyConv1d(3, 2))(T.ones(2, 4, 5)).shape),
}


def _loaded_wrong(library):
    layer = library.nn.LazyLinear(3)
    layer.load_state_dict(library.nn.Linear(2, 3).state_dict())
    return layer(library.ones(1, 5))


def outcome(library, case):
    try:
        return case(library)
    except Exception as error:
        return type(error)


@pytest.mark.parametrize("name", CASES)
def test_what_has_no_shape_yet_behaves_as_in_torch(name):
    assert outcome(retrograd, CASES[name]) == outcome(torch, CASES[name])


def test_files_hold_what_has_no_shape_yet(tmp_path):
    """Torch reads this library's file and this library torch's, with ``weights_only=False`` as torch asks for."""
    for writer, reader in ((retrograd, torch), (torch, retrograd), (retrograd, retrograd)):
        writer.save(writer.nn.LazyBatchNorm1d().state_dict(), tmp_path / "state")
        found = reader.load(tmp_path / "state", weights_only=False)
        assert [type(value).__name__ for value in found.values()] == [
            *["UninitializedParameter"] * 2,
            *["UninitializedBuffer"] * 2,
            "Tensor",
        ]
        assert repr(reader.nn.LazyBatchNorm1d().load_state_dict(found)) == "<All keys matched successfully>"


def test_a_lazy_buffer_can_be_copied():
    """Where torch refuses; the copy learns its sizes by itself."""
    net = copy.deepcopy(retrograd.nn.LazyBatchNorm1d())
    net(retrograd.tensor(np.ones((2, 3), np.float32)))
    assert net.running_mean.shape == (3,)
