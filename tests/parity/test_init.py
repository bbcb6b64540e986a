"""nn.init against torch: values bit for bit where only draws and scaling decide them, gains, warnings, exceptions."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd  # noqa: E402  (below the check for torch)

SHAPES = ((5, 3), (3, 5), (7, 40), (4, 3, 5), (6, 2, 3, 3), (2, 4, 2, 1, 3))
EXACT = {
    "uniform_": lambda init, t: init.uniform_(t),
    "uniform_(-2, 3)": lambda init, t: init.uniform_(t, -2.0, 3.0),
    "normal_": lambda init, t: init.normal_(t),
    "normal_(1, 0.3)": lambda init, t: init.normal_(t, 1.0, 0.3),
    "constant_": lambda init, t: init.constant_(t, 0.3),
    "ones_": lambda init, t: init.ones_(t),
    "zeros_": lambda init, t: init.zeros_(t),
    "eye_": lambda init, t: init.eye_(t),
    "dirac_": lambda init, t: init.dirac_(t),
    "dirac_(2)": lambda init, t: init.dirac_(t, 2),
    "xavier_uniform_": lambda init, t: init.xavier_uniform_(t),
    "xavier_uniform_(2)": lambda init, t: init.xavier_uniform_(t, 2.0),
    "xavier_normal_": lambda init, t: init.xavier_normal_(t, 0.7),
    "kaiming_uniform_": lambda init, t: init.kaiming_uniform_(t),
    "kaiming_uniform_ relu": lambda init, t: init.kaiming_uniform_(t, nonlinearity="relu"),
    "kaiming_uniform_ fan_out": lambda init, t: init.kaiming_uniform_(t, 0.3, "fan_out"),
    "kaiming_uniform_ sqrt(5)": lambda init, t: init.kaiming_uniform_(t, 5**0.5),
    "kaiming_uniform_ tanh": lambda init, t: init.kaiming_uniform_(t, mode="fan_in", nonlinearity="tanh"),
    "kaiming_uniform_ mode": lambda init, t: init.kaiming_uniform_(t, mode="fan"),
    "kaiming_uniform_ nonlinearity": lambda init, t: init.kaiming_uniform_(t, nonlinearity="gelu"),
    "kaiming_normal_": lambda init, t: init.kaiming_normal_(t),
    "kaiming_normal_ fan_out": lambda init, t: init.kaiming_normal_(t, 0.1, "FAN_OUT", "relu"),
    "sparse_": lambda init, t: init.sparse_(t, 0.4),
    "sparse_(0.9)": lambda init, t: init.sparse_(t, 0.9, std=2.0),
    "trunc_normal_": lambda init, t: init.trunc_normal_(t),
    "trunc_normal_(1, 2, -1, 4)": lambda init, t: init.trunc_normal_(t, 1.0, 2.0, -1.0, 4.0),
    "trunc_normal_ narrow": lambda init, t: init.trunc_normal_(t, std=0.02),
    "trunc_normal_ far": lambda init, t: init.trunc_normal_(t, 5.0, 1.0, -2.0, 2.0),
    "old uniform": lambda init, t: init.uniform(t),
    "old normal": lambda init, t: init.normal(t, 1.0, 2.0),
    "old constant": lambda init, t: init.constant(t, 2.0),
    "old eye": lambda init, t: init.eye(t),
    "old dirac": lambda init, t: init.dirac(t),
    "old xavier_uniform": lambda init, t: init.xavier_uniform(t),
    "old xavier_normal": lambda init, t: init.xavier_normal(t),
    "old kaiming_uniform": lambda init, t: init.kaiming_uniform(t),
    "old kaiming_normal": lambda init, t: init.kaiming_normal(t),
    "old sparse": lambda init, t: init.sparse(t, 0.5),
}
NEAR = {
    "orthogonal_": lambda init, t: init.orthogonal_(t),
    "orthogonal_(3)": lambda init, t: init.orthogonal_(t, 3.0),
    "old orthogonal": lambda init, t: init.orthogonal(t),
}


def outcome(library, call, shape, dtype, generator=False):
    library.manual_seed(7)
    tensor = library.empty(shape, dtype=getattr(library, dtype))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            result = call(library.nn.init, tensor)
        except Exception as error:
            return type(error), str(error), None
    assert result is tensor
    return result.numpy(), [(w.category, str(w.message)) for w in seen], library.rand(2).numpy()


@pytest.mark.parametrize("shape", [*SHAPES, (3,), (0, 3)], ids=str)
@pytest.mark.parametrize("name", EXACT)
def test_bit_for_bit(name, shape):
    for dtype in ("float32", "float64"):
        mine, theirs = (outcome(library, EXACT[name], shape, dtype) for library in (retrograd, torch))
        if isinstance(theirs[0], type):
            assert mine[:2] == theirs[:2]
            continue
        assert np.array_equal(mine[0], theirs[0])
        assert mine[0].dtype == theirs[0].dtype
        assert mine[1] == theirs[1]
        assert np.array_equal(mine[2], theirs[2]), "the random stream stands elsewhere afterwards"


@pytest.mark.parametrize("shape", [*SHAPES, (3,), (0, 3)], ids=str)
@pytest.mark.parametrize("name", NEAR)
def test_to_rounding(name, shape):
    """The QR factors come from another library than torch's."""
    for dtype, tolerance in (("float32", 1e-5), ("float64", 1e-12)):
        mine, theirs = (outcome(library, NEAR[name], shape, dtype) for library in (retrograd, torch))
        if isinstance(theirs[0], type):
            assert mine[:2] == theirs[:2]
            continue
        np.testing.assert_allclose(mine[0], theirs[0], rtol=tolerance, atol=tolerance)
        assert mine[1] == theirs[1]
        assert np.array_equal(mine[2], theirs[2])


@pytest.mark.parametrize("name", [n for n in (EXACT | NEAR) if not n.startswith("old") and "_" in n])
def test_generators(name):
    """With a generator of its own an initialiser leaves the default stream alone (but for sparse_, as in torch)."""
    import inspect

    function = name.partition("(")[0].split()[0]
    if "generator" not in inspect.signature(getattr(torch.nn.init, function)).parameters:
        pytest.skip("draws nothing")
    extra = {"sparsity": 0.4} if function == "sparse_" else {}
    found = []
    for library in (retrograd, torch):
        library.manual_seed(1)
        generator = library.Generator().manual_seed(9)
        t = getattr(library.nn.init, function)(library.empty(4, 3), generator=generator, **extra)
        found.append((t.numpy(), library.rand(2).numpy()))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5, atol=1e-6)
    assert np.array_equal(found[0][1], found[1][1])


@pytest.mark.parametrize("param", [None, 0.2, 3, True, "a"], ids=str)
@pytest.mark.parametrize(
    "name", ["linear", "conv1d", "conv_transpose3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu", "gelu", ""]
)
def test_gains(name, param):
    def gain(library):
        try:
            return library.nn.init.calculate_gain(name, param)
        except Exception as error:
            return type(error), str(error)

    assert gain(retrograd) == gain(torch)


@pytest.mark.parametrize("shape", [*SHAPES, (3,), ()], ids=str)
def test_fans(shape):
    def fans(library):
        try:
            return tuple(library.nn.init._calculate_fan_in_and_fan_out(library.empty(shape)))
        except Exception as error:
            return type(error), str(error)

    assert fans(retrograd) == fans(torch)


def test_every_name_of_torch_is_there():
    public = {n for n in dir(torch.nn.init) if not n.startswith("_") and callable(getattr(torch.nn.init, n))}
    public -= {"Callable", "Literal", "ParamSpec", "Tensor", "TypeVar"}
    assert public <= set(retrograd.nn.init.__all__)


def test_a_parameter_keeps_its_place_and_takes_no_history():
    p = retrograd.nn.Parameter(retrograd.empty(3, 3))
    assert retrograd.nn.init.kaiming_normal_(p) is p
    assert p.is_leaf
    assert p.requires_grad
