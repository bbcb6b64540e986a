"""Activations, as functions and as layers, against torch."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from parity.nn_helpers import drawn, same

SHAPES = ((3, 4), (2, 4, 3), (4,))
ROUNDED = {"hardsigmoid": 1e-7, "Hardsigmoid": 1e-7}  # torch's 1/6 is a float32 whatever the dtype
# Where the pieces meet, and far out, where exponentials overflow.
EDGES = np.array([-200.0, -21.0, -6.0, -3.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 3.0, 6.0, 20.0, 21.0, 200.0])

FUNCTIONS = {
    "relu": lambda T, x: T.nn.functional.relu(x),
    "relu6": lambda T, x: T.nn.functional.relu6(x),
    "leaky_relu": lambda T, x: T.nn.functional.leaky_relu(x),
    "leaky_relu(0.3)": lambda T, x: T.nn.functional.leaky_relu(x, 0.3),
    "rrelu": lambda T, x: T.nn.functional.rrelu(x),
    "rrelu training": lambda T, x: T.nn.functional.rrelu(x, 0.1, 0.4, training=True),
    "elu": lambda T, x: T.nn.functional.elu(x),
    "elu(2.5)": lambda T, x: T.nn.functional.elu(x, 2.5),
    "celu": lambda T, x: T.nn.functional.celu(x),
    "celu(0.5)": lambda T, x: T.nn.functional.celu(x, 0.5),
    "selu": lambda T, x: T.nn.functional.selu(x),
    "gelu": lambda T, x: T.nn.functional.gelu(x),
    "gelu tanh": lambda T, x: T.nn.functional.gelu(x, approximate="tanh"),
    "sigmoid": lambda T, x: T.nn.functional.sigmoid(x),
    "hardsigmoid": lambda T, x: T.nn.functional.hardsigmoid(x),
    "tanh": lambda T, x: T.nn.functional.tanh(x),
    "hardtanh": lambda T, x: T.nn.functional.hardtanh(x),
    "hardtanh(-0.5, 2)": lambda T, x: T.nn.functional.hardtanh(x, -0.5, 2.0),
    "hardswish": lambda T, x: T.nn.functional.hardswish(x),
    "silu": lambda T, x: T.nn.functional.silu(x),
    "mish": lambda T, x: T.nn.functional.mish(x),
    "softplus": lambda T, x: T.nn.functional.softplus(x),
    "softplus(2, 3)": lambda T, x: T.nn.functional.softplus(x, 2.0, 3.0),
    "softsign": lambda T, x: T.nn.functional.softsign(x),
    "tanhshrink": lambda T, x: T.nn.functional.tanhshrink(x),
    "softshrink": lambda T, x: T.nn.functional.softshrink(x),
    "softshrink(0.2)": lambda T, x: T.nn.functional.softshrink(x, 0.2),
    "hardshrink": lambda T, x: T.nn.functional.hardshrink(x),
    "threshold": lambda T, x: T.nn.functional.threshold(x, 0.1, -3.0),
    "logsigmoid": lambda T, x: T.nn.functional.logsigmoid(x),
}
IN_PLACE = {
    name: lambda T, x, name=name: getattr(T.nn.functional, name)(x * 1, inplace=True)
    for name in (
        "relu",
        "relu6",
        "leaky_relu",
        "elu",
        "celu",
        "selu",
        "hardtanh",
        "hardsigmoid",
        "hardswish",
        "silu",
        "mish",
    )
} | {
    f"{name}_": lambda T, x, name=name: getattr(T.nn.functional, f"{name}_")(x * 1)
    for name in ("relu", "leaky_relu", "elu", "celu", "selu", "hardtanh")
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name, shape):
    same(FUNCTIONS[name], drawn(shape) * 2, tolerance=ROUNDED.get(name))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_edges(name, dtype):
    # softplus(200) and its like differ in the last place only
    same(FUNCTIONS[name], EDGES, dtype=dtype, tolerance=1e-8 if dtype == "float64" else 1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_narrow_dtypes(name, dtype):
    if name == "rrelu training":
        pytest.skip("torch has no kernel for float16")
    same(FUNCTIONS[name], drawn((3, 4)), dtype=dtype)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_integers(name):
    """Where torch refuses integers, so do we, and with the same exception."""
    if name in ("rrelu training",):
        pytest.skip("torch has a kernel for integers that rounds the slopes")
    same(FUNCTIONS[name], np.array([-7, -1, 0, 1, 7]))


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(name):
    same(IN_PLACE[name], drawn((3, 4)), tolerance=ROUNDED.get(name))


SHAPED = {
    "prelu one": (lambda T, x, w: T.nn.functional.prelu(x, w), (3, 4), (1,)),
    "prelu channels": (lambda T, x, w: T.nn.functional.prelu(x, w), (3, 4, 5), (4,)),
    "prelu wrong": (lambda T, x, w: T.nn.functional.prelu(x, w), (3, 4), (3,)),
    "prelu 2-d": (lambda T, x, w: T.nn.functional.prelu(x, w), (3, 4), (2, 2)),
    "prelu 0-d": (lambda T, x, w: T.nn.functional.prelu(x, w), (), (1,)),
}


@pytest.mark.parametrize("name", SHAPED)
def test_prelu(name):
    call, *shapes = SHAPED[name]
    same(call, *[drawn(shape) for shape in shapes])


ALONG = {
    "glu": lambda T, x: T.nn.functional.glu(x),
    "glu(0)": lambda T, x: T.nn.functional.glu(x, 0),
    "softmax(1)": lambda T, x: T.nn.functional.softmax(x, 1),
    "softmax implicit": lambda T, x: T.nn.functional.softmax(x),
    "softmax dtype": lambda T, x: T.nn.functional.softmax(x, 0, dtype=T.float32),
    "softmax far": lambda T, x: T.nn.functional.softmax(x * 1000, 1),
    "softmin": lambda T, x: T.nn.functional.softmin(x, 0),
    "softmin implicit": lambda T, x: T.nn.functional.softmin(x),
    "log_softmax": lambda T, x: T.nn.functional.log_softmax(x, -1),
    "log_softmax far": lambda T, x: T.nn.functional.log_softmax(x * 1000, 1),
    "log_softmax implicit": lambda T, x: T.nn.functional.log_softmax(x),
    "softmax wrong": lambda T, x: T.nn.functional.softmax(x, 5),
    "glu wrong": lambda T, x: T.nn.functional.glu(x[:, :3]),
    "gumbel": lambda T, x: T.nn.functional.gumbel_softmax(x, tau=0.5),
    "gumbel hard": lambda T, x: T.nn.functional.gumbel_softmax(x, hard=True, dim=0),
    "Softmax2d": lambda T, x: T.nn.Softmax2d()(x.reshape(2, 2, 2, 2)),
    "Softmax2d wrong": lambda T, x: T.nn.Softmax2d()(x),
}


@pytest.mark.parametrize("name", ALONG)
def test_along_a_dimension(name):
    same(ALONG[name], drawn((4, 4)), tolerance=1e-6)


WRONG = {
    "hardtanh": lambda T, x: T.nn.functional.hardtanh(x, 2.0, 1.0),
    "Hardtanh": lambda T, x: T.nn.Hardtanh(1.0, 1.0)(x),
    "celu": lambda T, x: T.nn.functional.celu(x, 0.0),
    "softshrink": lambda T, x: T.nn.functional.softshrink(x, -1.0),
    "gelu": lambda T, x: T.nn.functional.gelu(x, approximate="cosh"),
    "rrelu": lambda T, x: T.nn.functional.rrelu(x, 0.5, 0.2, training=True),
    "glu": lambda T, x: T.nn.functional.glu(x.sum()),
    "integer softmax": lambda T, x: T.nn.functional.softmax(x.long(), 0),
    "in-place on a leaf": lambda T, x: T.nn.functional.elu(x, inplace=True),
}


@pytest.mark.parametrize("name", WRONG)
def test_exceptions(name):
    same(WRONG[name], drawn((3, 4)))


LAYERS = {
    "ReLU()": lambda nn: nn.ReLU(),
    "ReLU(inplace)": lambda nn: nn.ReLU(inplace=True),
    "ReLU6": lambda nn: nn.ReLU6(),
    "LeakyReLU": lambda nn: nn.LeakyReLU(0.2),
    "LeakyReLU inplace": lambda nn: nn.LeakyReLU(0.2, inplace=True),
    "PReLU": lambda nn: nn.PReLU(),
    "PReLU(4)": lambda nn: nn.PReLU(4, init=0.1),
    "RReLU": lambda nn: nn.RReLU(),
    "ELU": lambda nn: nn.ELU(),
    "CELU": lambda nn: nn.CELU(0.5),
    "SELU": lambda nn: nn.SELU(),
    "GELU": lambda nn: nn.GELU(),
    "GELU tanh": lambda nn: nn.GELU(approximate="tanh"),
    "Sigmoid": lambda nn: nn.Sigmoid(),
    "Hardsigmoid": lambda nn: nn.Hardsigmoid(),
    "Tanh": lambda nn: nn.Tanh(),
    "Hardtanh": lambda nn: nn.Hardtanh(-2.0, 0.5),
    "Hardswish": lambda nn: nn.Hardswish(),
    "SiLU": lambda nn: nn.SiLU(),
    "Mish": lambda nn: nn.Mish(),
    "Softplus": lambda nn: nn.Softplus(2.0),
    "Softsign": lambda nn: nn.Softsign(),
    "Softmax": lambda nn: nn.Softmax(1),
    "Softmax()": lambda nn: nn.Softmax(),
    "LogSoftmax": lambda nn: nn.LogSoftmax(0),
    "Softmin": lambda nn: nn.Softmin(1),
    "Threshold": lambda nn: nn.Threshold(0.1, 20.0),
    "Tanhshrink": lambda nn: nn.Tanhshrink(),
    "Softshrink": lambda nn: nn.Softshrink(),
    "Hardshrink": lambda nn: nn.Hardshrink(0.3),
    "LogSigmoid": lambda nn: nn.LogSigmoid(),
    "GLU": lambda nn: nn.GLU(1),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    def call(T, x):
        layer = LAYERS[name](T.nn).double()
        return layer(x * 1), repr(layer), list(layer.state_dict())

    same(call, drawn((3, 4)), tolerance=ROUNDED.get(name))
