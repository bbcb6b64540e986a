"""Weights that are functions of other parameters: parametrize, parametrizations, and the older hooks, against torch."""

from __future__ import annotations

import copy
import pickle

import pytest

torch = pytest.importorskip("torch")

from parity.nn_helpers import drawn  # noqa: E402  (below the check for torch)
from parity.outcomes import same  # noqa: E402


def symmetric(T, inverse=True):
    class Symmetric(T.nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).mT

        if inverse:

            def right_inverse(self, x):
                return x.triu()

    return Symmetric()


def split(T):
    class Split(T.nn.Module):
        def forward(self, a, b):
            return a + b

        def right_inverse(self, x):
            return x * 0.25, x * 0.75

    return Split()


def scaled(T, by=2.0):
    class Scaled(T.nn.Module):
        def forward(self, x):
            return x * by

        def right_inverse(self, x):
            return x / by

    return Scaled()


def changed(T, change, back=None):
    class Changed(T.nn.Module):
        def forward(self, x):
            return change(x)

    if back is not None:
        Changed.right_inverse = lambda self, x: back(x)
    return Changed()


def register(T, module, name, parametrization, **kwargs):
    return T.nn.utils.parametrize.register_parametrization(module, name, parametrization, **kwargs)


def trained(T, module, x, steps=3):
    """Some steps of SGD: losses, gradients' norms and the state at the end."""
    optimizer = T.optim.SGD(module.parameters(), lr=0.05)
    told = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = module(x).square().sum()
        loss.backward()
        told.append((loss, [p.grad for p in module.parameters()]))
        optimizer.step()
    return told, module.state_dict(), module


def once(T):
    module = register(T, T.nn.Linear(4, 4), "weight", symmetric(T))
    names = [name for name, _ in module.named_parameters()]
    return names, type(module).__name__, trained(T, module, T.ones(2, 4))


def twice(T):
    module = register(T, T.nn.Linear(3, 3), "weight", symmetric(T))
    register(T, module, "weight", scaled(T))
    return trained(T, module, T.ones(2, 3))


def assigned(T):
    module = register(T, T.nn.Linear(3, 3), "weight", scaled(T))
    held = module.parametrizations.weight.original
    module.weight = T.arange(9.0).reshape(3, 3)
    return module.weight, held is module.parametrizations.weight.original, held


def a_buffer(T):
    module = register(T, T.nn.BatchNorm1d(3), "running_mean", scaled(T))
    return module(T.tensor(drawn((4, 3))).float()), module.state_dict(), [n for n, _ in module.named_buffers()]


def several(T):
    module = register(T, T.nn.Linear(2, 3), "weight", split(T))
    result = trained(T, module, T.ones(2, 2)), module.parametrizations.weight.ntensors
    T.nn.utils.parametrize.remove_parametrizations(module, "weight")
    return result, module, module.state_dict(), module.weight.requires_grad


def both(T):
    module = T.nn.Linear(3, 3)
    register(T, module, "weight", scaled(T))
    register(T, module, "bias", scaled(T, 3.0))
    P = T.nn.utils.parametrize
    told = [P.is_parametrized(module), P.is_parametrized(module, "bias"), P.is_parametrized(T.nn.ReLU())]
    P.remove_parametrizations(module, "weight")
    told += [P.is_parametrized(module), P.is_parametrized(module, "weight"), type(module).__name__]
    P.remove_parametrizations(module, "bias", leave_parametrized=False)
    return told, type(module).__name__, module.state_dict()


def removed(T, leave):
    module = register(T, T.nn.Linear(3, 3), "weight", symmetric(T, inverse=False))
    held = module.parametrizations.weight.original
    T.nn.utils.parametrize.remove_parametrizations(module, "weight", leave_parametrized=leave)
    return held is module.weight, module, module.state_dict(), module(T.ones(1, 3))


def remembered(T):
    P = T.nn.utils.parametrize
    module = register(T, T.nn.Linear(3, 3), "weight", symmetric(T))
    with P.cached():
        first = module.weight is module.weight
        with P.cached():
            second = module.weight is module.weight
    return first, second, module.weight is module.weight


def moved(T, name=None):
    P = T.nn.utils.parametrize
    one = register(T, T.nn.Linear(3, 3), "weight", scaled(T))
    register(T, one, "bias", scaled(T, 4.0))
    other = P.transfer_parametrizations_and_params(one, T.nn.Linear(3, 3), name)
    return other, other.weight - one.weight, P.type_before_parametrizations(other).__name__


def copied(T):
    module = register(T, T.nn.Linear(3, 3), "weight", symmetric(T))
    twin = copy.deepcopy(module)
    twin.weight = T.eye(3)
    return type(twin) is type(module), module.weight, twin.weight, twin(T.ones(1, 3))


def state(T):
    one, other = (register(T, T.nn.Linear(3, 3), "weight", symmetric(T)) for _ in range(2))
    told = repr(other.load_state_dict(one.state_dict()))
    return told, list(one.state_dict()), one.weight - other.weight


CASES = {
    "once": once,
    "twice": twice,
    "assigned": assigned,
    "a buffer": a_buffer,
    "several originals": several,
    "weight and bias": both,
    "removed, value kept": lambda T: removed(T, True),
    "removed, original kept": lambda T: removed(T, False),
    "cached": remembered,
    "moved": moved,
    "moved one": lambda T: moved(T, "bias"),
    "nothing to move": lambda T: T.nn.utils.parametrize.transfer_parametrizations_and_params(
        T.nn.Linear(2, 2), T.nn.Linear(2, 2)
    ),
    "copied": copied,
    "state": state,
    "in evaluation": lambda T: register(T, T.nn.Linear(2, 2).eval(), "weight", scaled(T)).parametrizations.training,
    "no such tensor": lambda T: register(T, T.nn.Linear(2, 2), "weights", scaled(T)),
    "no tensor": lambda T: register(T, T.nn.Linear(2, 2), "weight", changed(T, lambda x: 1)),
    "another shape": lambda T: register(T, T.nn.Linear(2, 3), "weight", changed(T, lambda x: x.T)),
    "another shape, unsafe": lambda T: (
        register(T, T.nn.Linear(2, 3), "weight", changed(T, lambda x: x.T), unsafe=True).weight
    ),
    "another dtype": lambda T: register(T, T.nn.Linear(2, 2), "weight", changed(T, lambda x: x.double())),
    "inverse of another dtype": lambda T: register(
        T, T.nn.Linear(2, 2), "weight", changed(T, lambda x: x, lambda x: x.double())
    ),
    "inverse no tensor": lambda T: register(T, T.nn.Linear(2, 2), "weight", changed(T, lambda x: x, lambda x: 3)),
    "inverse no tensors": lambda T: register(T, T.nn.Linear(2, 2), "weight", changed(T, lambda x: x, lambda x: [3])),
    "second no tensor": lambda T: register(
        T, register(T, T.nn.Linear(2, 2), "weight", scaled(T)), "weight", changed(T, lambda x: 1)
    ),
    "second of another shape": lambda T: register(
        T, register(T, T.nn.Linear(2, 3), "weight", scaled(T)), "weight", changed(T, lambda x: x.T)
    ),
    "second inverse of another shape": lambda T: register(
        T, register(T, T.nn.Linear(2, 3), "weight", scaled(T)), "weight", changed(T, lambda x: x, lambda x: x.T)
    ),
    "assigned without inverse": lambda T: setattr(
        register(T, T.nn.Linear(2, 2), "weight", symmetric(T, False)), "weight", T.eye(2)
    ),
    "a Parameter assigned": lambda T: setattr(
        register(T, T.nn.Linear(2, 2), "weight", symmetric(T)), "weight", T.nn.Parameter(T.eye(2))
    ),
    "pickled": lambda T: pickle.dumps(register(T, T.nn.Linear(2, 2), "weight", symmetric(T))),
    "remove what is not": lambda T: T.nn.utils.parametrize.remove_parametrizations(T.nn.Linear(2, 2), "weight"),
    "remove several originals": lambda T: T.nn.utils.parametrize.remove_parametrizations(
        register(T, T.nn.Linear(2, 2), "weight", split(T)), "weight", leave_parametrized=False
    ),
    "an empty list": lambda T: T.nn.utils.parametrize.ParametrizationList([], T.ones(2)),
}


@pytest.mark.parametrize("name", CASES)
def test_parametrize(name):
    same(CASES[name])


def image(T, *shape):
    return T.tensor(drawn(shape)).float()


def parametrized(which, make, shape, *args, **kwargs):
    def case(T):
        module = getattr(T.nn.utils.parametrizations, which)(make(T.nn), *args, **kwargs)
        x = image(T, *shape)
        result = trained(T, module, x, 2), module.eval()(x)
        T.nn.utils.parametrize.remove_parametrizations(module, "weight")
        return result, module.state_dict(), module

    return case


def orthogonal_assigned(T, shape, which, trivial):
    layer = T.nn.Linear(shape[1], shape[0])
    module = T.nn.utils.parametrizations.orthogonal(layer, "weight", which, use_trivialization=trivial)
    q = T.linalg.qr(image(T, max(shape), max(shape)))[0][: shape[0], : shape[1]]
    module.weight = q
    return module.weight - q


def orthogonal_state(T):
    module = T.nn.utils.parametrizations.orthogonal(T.nn.Linear(3, 3))
    return list(module.state_dict()), module.state_dict()["parametrizations.weight.0.base"].shape


def of_old_keys(T):
    module = T.nn.utils.parametrizations.weight_norm(T.nn.Linear(3, 2))
    old = {"bias": T.zeros(2), "weight_g": T.ones(2, 1), "weight_v": T.ones(2, 3)}
    return repr(module.load_state_dict(old)), module.weight


def attention(T):
    layer = T.nn.MultiheadAttention(4, 2)
    T.nn.utils.parametrizations.weight_norm(layer, "in_proj_weight")
    x = image(T, 3, 1, 4)
    return layer(x, x, x)[0], list(layer.state_dict())


def recurrent(T):
    layer = T.nn.utils.parametrizations.weight_norm(T.nn.RNNCell(3, 4), "weight_hh")
    with T.nn.utils.parametrize.cached():
        h = T.zeros(2, 4)
        for t in range(3):
            h = layer(image(T, 3, 2, 3)[t], h)
    h.sum().backward()
    return h, [p.grad for p in layer.parameters()]


MATRICES = {
    "linear": (lambda nn: nn.Linear(3, 4), (2, 3)),
    "conv1d": (lambda nn: nn.Conv1d(2, 3, 2), (2, 2, 5)),
    "conv transpose": (lambda nn: nn.ConvTranspose2d(2, 3, 2), (2, 2, 4, 4)),
}
MADE = {
    **{
        f"{which} of {name}": parametrized(which, *row)
        for which in ("weight_norm", "spectral_norm")
        for name, row in MATRICES.items()
    },
    "weight norm, one length": parametrized("weight_norm", *MATRICES["linear"], dim=None),
    "weight norm, dim 1": parametrized("weight_norm", *MATRICES["conv1d"], dim=1),
    "weight norm, dim -1": parametrized("weight_norm", *MATRICES["conv1d"], dim=-1),
    "spectral norm, dim 1": parametrized("spectral_norm", *MATRICES["conv1d"], dim=1, n_power_iterations=3),
    "spectral norm, dim -1": parametrized("spectral_norm", *MATRICES["conv1d"], dim=-1, eps=1e-3),
    "spectral norm of a vector": parametrized("spectral_norm", lambda nn: nn.BatchNorm1d(3), (2, 3)),
    **{
        f"orthogonal {which} {rows} {columns} {trivial}": parametrized(
            "orthogonal",
            lambda nn, r=rows, c=columns: nn.Linear(c, r),
            (2, columns),
            orthogonal_map=which,
            use_trivialization=trivial,
        )
        for which in (None, "matrix_exp", "cayley", "householder")
        for rows, columns in ((4, 4), (5, 3), (3, 5))
        for trivial in (True, False)
    },
    "orthogonal keys": orthogonal_state,
    **{
        f"orthogonal assigned {which} {shape} {trivial}": lambda T, s=shape, w=which, t=trivial: orthogonal_assigned(
            T, s, w, t
        )
        for which in ("matrix_exp", "cayley", "householder")
        for shape in ((4, 4), (5, 3), (3, 5))
        for trivial in (True, False)
    },
    "older keys": of_old_keys,
    "attention": attention,
    "a recurrence": recurrent,
    "orthogonal vector": lambda T: T.nn.utils.parametrizations.orthogonal(T.nn.Linear(2, 2), "bias"),
    "orthogonal map": lambda T: T.nn.utils.parametrizations.orthogonal(T.nn.Linear(2, 2), "weight", "qr"),
    "orthogonal nothing": lambda T: T.nn.utils.parametrizations.orthogonal(T.nn.ReLU()),
    "orthogonal shape": lambda T: setattr(
        T.nn.utils.parametrizations.orthogonal(T.nn.Linear(2, 3)), "weight", T.eye(2)
    ),
    "spectral norm nothing": lambda T: T.nn.utils.parametrizations.spectral_norm(T.nn.ReLU()),
    "spectral norm dim": lambda T: T.nn.utils.parametrizations.spectral_norm(T.nn.Linear(2, 2), dim=2),
    "spectral norm steps": lambda T: T.nn.utils.parametrizations.spectral_norm(T.nn.Linear(2, 2), n_power_iterations=0),
    "weight norm nothing": lambda T: T.nn.utils.parametrizations.weight_norm(T.nn.ReLU()),
}


@pytest.mark.parametrize("name", MADE)
def test_parametrizations_have_the_same_numbers_from_the_same_seed(name):
    same(MADE[name], seed=4, tolerance=2e-5)


def hooked(which, make, shape, *args, **kwargs):
    def case(T):
        module = getattr(T.nn.utils, which)(make(T.nn), *args, **kwargs)
        x = image(T, *shape)
        before = module, list(module.state_dict()), module.state_dict()
        result = trained(T, module, x, 2), module.eval()(x)
        getattr(T.nn.utils, f"remove_{which}")(module)
        return before, result, module.state_dict(), module(x), len(module._forward_pre_hooks)

    return case


def spectral_state(T):
    one, other = (T.nn.utils.spectral_norm(T.nn.Linear(3, 3)) for _ in range(2))
    saved = one.state_dict()
    told = repr(other.load_state_dict(saved)), dict(saved._metadata[""])
    return told, one.eval()(T.ones(1, 3)) - other.eval()(T.ones(1, 3))


def spectral_old_state(T):
    module = T.nn.utils.spectral_norm(T.nn.Linear(3, 3).eval())
    module(T.ones(1, 3))
    saved = module.state_dict()
    saved["weight"] = module.weight.detach().clone()
    del saved["weight_v"]
    saved._metadata = {"": {"version": 1}}
    other = T.nn.utils.spectral_norm(T.nn.Linear(3, 3).eval())
    return repr(other.load_state_dict(saved)), other(T.ones(1, 3))


def two_forwards(T):
    module = T.nn.utils.spectral_norm(T.nn.Linear(3, 3))
    (module(T.ones(1, 3)) - module(T.zeros(1, 3))).sum().backward()
    return module.weight_orig.grad


HOOKS = {
    **{
        f"{which} of {name}": hooked(which, *row)
        for which in ("weight_norm", "spectral_norm")
        for name, row in MATRICES.items()
    },
    "weight norm, one length": hooked("weight_norm", *MATRICES["linear"], dim=None),
    "weight norm, dim 1": hooked("weight_norm", *MATRICES["conv1d"], dim=1),
    "spectral norm, dim 1": hooked("spectral_norm", *MATRICES["conv1d"], dim=1, n_power_iterations=3),
    "spectral state": spectral_state,
    "spectral state before version 1": spectral_old_state,
    "two forwards, one backward": two_forwards,
    "copied": lambda T: copy.deepcopy(T.nn.utils.spectral_norm(T.nn.Linear(3, 3)))(T.ones(1, 3)),
    "spectral norm twice": lambda T: T.nn.utils.spectral_norm(T.nn.utils.spectral_norm(T.nn.Linear(2, 2))),
    "weight norm twice": lambda T: T.nn.utils.weight_norm(T.nn.utils.weight_norm(T.nn.Linear(2, 2))),
    "spectral norm of nothing": lambda T: T.nn.utils.spectral_norm(T.nn.Linear(2, 2, bias=False), "bias"),
    "spectral norm steps": lambda T: T.nn.utils.spectral_norm(T.nn.Linear(2, 2), n_power_iterations=0),
    "spectral norm of a lazy weight": lambda T: T.nn.utils.spectral_norm(T.nn.LazyLinear(2)),
    "weight norm of a lazy weight": lambda T: T.nn.utils.weight_norm(T.nn.LazyLinear(2)),
    "remove spectral norm": lambda T: T.nn.utils.remove_spectral_norm(T.nn.Linear(2, 2)),
    "remove weight norm": lambda T: T.nn.utils.remove_weight_norm(T.nn.Linear(2, 2)),
    "norm_except_dim": lambda T: [T.norm_except_dim(image(T, 2, 3, 4), p, d) for p in (1, 2) for d in (0, 1, 2, -1)],
}


@pytest.mark.parametrize("name", HOOKS)
def test_weight_and_spectral_norm_by_hooks(name):
    same(HOOKS[name], seed=5, tolerance=2e-5)
