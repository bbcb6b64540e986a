"""Every public function of one or two tensors that acts on elements, at special values in every dtype, beside torch.

The functions are found in torch itself. What is left out is named here, each with its reason.
"""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd  # noqa: E402  (below the check for torch)

MODULES = {
    "": (torch, retrograd),
    "special.": (torch.special, retrograd.special),
    "nn.functional.": (torch.nn.functional, retrograd.nn.functional),
}
RANDOM = {
    *("alpha_dropout", "bernoulli", "binomial", "dropout", "dropout1d", "dropout2d", "dropout3d", "empty_like"),
    *(
        "feature_alpha_dropout",
        "gumbel_softmax",
        "normal",
        "poisson",
        "rand_like",
        "randint_like",
        "randn_like",
        "rrelu",
    ),
}
NOT_BY_ELEMENT = {
    *(
        "argsort",
        "block_diag",
        "cdist",
        "chain_matmul",
        "cosine_similarity",
        "dist",
        "gradient",
        "inner",
        "isin",
        "kron",
    ),
    *(
        "linear",
        "log_softmax",
        "logcumsumexp",
        "matmul",
        "mm",
        "msort",
        "normalize",
        "pairwise_distance",
        "searchsorted",
    ),
    *(
        "softmax",
        "softmin",
        "sort",
        "complex",
        "polar",
        "cumsum",
        "cumprod",
        "cummax",
        "cummin",
        "sym_sum",
        "einsum",
        "bilinear",
    ),
}
NOT_HERE = {"dequantize", "slice_inverse"}  # quantized tensors, and a function of autograd's inside
# what changes the library rather than computes with tensors: it must not even be tried
SWITCHES = (
    "set_",
    "use_",
    "init_",
    "clear_",
    "autocast_",
    "manual_",
    "seed",
    "save",
    "load",
    "import_",
    "prepare_",
    "fork",
    "wait",
)
REASONS = {
    # the C library's or SLEEF's last digits, or what they do with infinities, are not a function's value
    "airy_ai": "torch's is off by 3e-6 between -2 and 2",
    "bessel_j0": "torch's has no exact phase for large arguments",
    "bessel_j1": "torch's has no exact phase for large arguments",
    "bessel_y0": "torch's has no exact phase for large arguments",
    "bessel_y1": "torch's has no exact phase for large arguments",
    "copysign": "the sign of NaN in bfloat16",
    "erf": "torch flushes half-precision denormals",
    "float_power": "0 to the power 0 of complex numbers is 1 here, NaN in torch",
    "fmax": "which of two zeros",
    "fmin": "which of two zeros",
    "fmod": "torch divides by denormals as by zero",
    "gammainc": "torch's 0 for a shape that is NaN",
    "gammaincc": "torch's 1 for a shape that is NaN",
    "gelu": "torch gives NaN for an infinity",
    "hardswish": "torch computes halves in float32",
    "i0": "torch gives NaN for an infinity",
    "i1": "torch gives NaN for an infinity",
    "i1e": "torch loses the sign of zero",
    "igamma": "torch's 0 for a shape that is NaN",
    "igammac": "torch's 1 for a shape that is NaN",
    "log1p": "infinities beside NaN in complex numbers",
    "logaddexp": "infinities beside NaN in complex numbers",
    "logaddexp2": "which of two zeros",
    "modified_bessel_i0": "torch gives NaN for an infinity",
    "modified_bessel_i1": "torch gives NaN for an infinity",
    "ndtr": "torch computes halves in halves",
    "nextafter": "which of two zeros",
    "pow": "0 to the power 0 of complex numbers is 1 here, NaN in torch",
    "remainder": "torch gives NaN where the quotient overflows",
    "round": "torch.special.round refuses integers, which torch.round takes",
    "sgn": "complex infinities",
    "signbit": "the sign of NaN in bfloat16",
    "sinc": "torch computes halves in float32 and rounds pi first",
    "tanhshrink": "complex infinities",
    "xlog1py": "torch computes halves in halves",
    "zeta": "torch gives NaN beyond an exponent of 1e15",
}
DTYPES = (
    *("bool", "uint8", "int8", "int16", "int32", "int64"),
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
)
TOLERANCE = {
    "float16": 2e-3,
    "bfloat16": 1.7e-2,
    "float32": 4e-6,
    "float64": 1e-9,
    "complex64": 2e-5,
    "complex128": 1e-9,
}
REAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 10.0, 88.0, -100.0, 1e3, 255.0, np.inf, -np.inf, np.nan]
TINY = {
    "float16": [6e-8, 6e-5, 65504.0],
    "bfloat16": [3e38, -3e38],
    "float32": [1e-40, 1e-38, 3e38, 1e20],
    "float64": [5e-324, -1e-310, 1.7e308],
}
PARTS = [0.0, 1.0, -0.5, 700.0, np.inf, np.nan]


def values(dtype, pairs=False):
    if dtype == "bool":
        return np.array([False, True])
    if dtype.startswith("complex"):
        parts = PARTS[:4] if pairs else PARTS
        return np.array([complex(a, b) for a in parts for b in parts], dtype)
    if dtype[0] in "iu":
        info = np.iinfo(dtype)
        return np.array(
            [1, 2, 3, 7, 100, info.max, info.max - 1, 0, info.min, info.min + 1][: 7 if pairs else None], dtype
        )
    return np.array(REAL + TINY[dtype])


def found():
    """The functions of one and of two tensors that give tensors of the same shape."""
    one, two = [], []
    x, y = torch.tensor([[0.3, 0.6], [0.7, 0.2]]), torch.tensor([[0.4, 0.5], [0.1, 0.9]])
    for home, (module, _) in MODULES.items():
        for name in sorted(dir(module)):
            fn = getattr(module, name)
            if (
                name[0] == "_"
                or name[-1] == "_"
                or isinstance(fn, type)
                or not callable(fn)
                or name.startswith(SWITCHES)
            ):
                continue
            left_out = (
                name in RANDOM | NOT_BY_ELEMENT | NOT_HERE | REASONS.keys() or "loss" in name or "entropy" in name
            )
            if left_out or "polynomial" in name or name == "kl_div" or inspect.isgeneratorfunction(fn):
                continue
            for table, arguments in ((one, (x,)), (two, (x, y))):
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        result = fn(*(a.clone() for a in arguments))
                except Exception:
                    continue
                results = result if isinstance(result, tuple) else (result,)
                if len(results) < 3 and all(isinstance(r, torch.Tensor) and r.shape == x.shape for r in results):
                    table.append(home + name)
    return one, two


ONE, TWO = found()


def function(library, name):
    home, _, last = name.rpartition(".")
    module = MODULES[f"{home}." if home else ""][library is retrograd]
    return getattr(module, last)


def tensor(library, array, dtype):
    a = array.astype(np.float32) if dtype in ("float16", "bfloat16") else array
    return library.tensor(a).to(getattr(library, dtype))


def outcome(library, name, arrays, dtype):
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            result = function(library, name)(*(tensor(library, a, dtype) for a in arrays))
    except Exception as error:
        return type(error)
    return result if isinstance(result, tuple) else (result,)


def plain(t):
    t = t.detach()
    return t.double().numpy() if t.is_floating_point() else t.resolve_conj().numpy()


def near(a, b, tolerance):
    """Equal, NaN and signs of zero too; the parts of complex numbers to the precision of the larger."""
    if b.dtype.kind == "c":
        size = np.where(np.isfinite(np.abs(b)), np.abs(b), 0) * tolerance + tolerance * 1e-6
        return near_parts(a.real, b.real, size, tolerance) & near_parts(a.imag, b.imag, size, tolerance)
    if b.dtype.kind != "f":
        return a == b
    zeros = (a == 0) & (b == 0)
    return near_parts(a, b, tolerance * 1e-6, tolerance) & ~(zeros & (np.signbit(a) != np.signbit(b)))


def near_parts(a, b, size, tolerance):
    return np.isclose(a, b, rtol=tolerance, atol=size, equal_nan=True)


def same(name, arrays, dtype):
    theirs, mine = outcome(torch, name, arrays, dtype), outcome(retrograd, name, arrays, dtype)
    if isinstance(theirs, type) or isinstance(mine, type):
        assert mine is theirs, f"{name} of {dtype}: torch {theirs}, here {mine}"
        return
    for a, b in zip(mine, theirs, strict=True):
        assert str(a.dtype) == str(b.dtype), f"{name} of {dtype}: torch {b.dtype}, here {a.dtype}"
        assert tuple(a.shape) == tuple(b.shape), f"{name} of {dtype}: torch {b.shape}, here {a.shape}"
        a, b = plain(a), plain(b)
        with np.errstate(all="ignore"):
            good = near(a, b, TOLERANCE.get(str(theirs[0].dtype).removeprefix("torch."), 0))
        bad = [(tuple(x.ravel()[i] for x in arrays), a.ravel()[i], b.ravel()[i]) for i in np.flatnonzero(~good)[:3]]
        assert not bad, f"{name} of {dtype}: (arguments), here, torch: {bad}"


SIGNS_OF_ZERO = {
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "max",
    "maximum",
    "min",
    "minimum",
    "relu",
    "relu6",
    "angle",
}
SIGNS_OF_ZERO |= {"logsigmoid", "softshrink", "xlogy"}  # which zero differs from kernel to kernel
COMPLEX_NANS = {"add", "sub", "subtract", "rsub"}  # torch multiplies by alpha = 1 first, which makes inf + NaN i of inf


@pytest.mark.parametrize("name", ONE)
def test_of_one_tensor(name):
    last = name.rpartition(".")[2]
    for dtype in DTYPES:
        array = values(dtype)
        if last in SIGNS_OF_ZERO and array.dtype.kind == "f":
            array = array[(array != 0) & (array < 87) & ((np.abs(array) > 0.5) | (last != "softshrink"))]
        same(name, [array], dtype)
    for shape in ((0,), (), (2, 0)):
        same(name, [np.full(shape, 0.5)], "float32")


@pytest.mark.parametrize("name", TWO)
def test_of_two_tensors(name):
    last = name.rpartition(".")[2]
    for dtype in DTYPES:
        if dtype.startswith("complex") and last in COMPLEX_NANS:
            continue
        array = values(dtype, pairs=True)
        if last in SIGNS_OF_ZERO and array.dtype.kind == "f":
            array = array[(array != 0) & np.isfinite(array)]
        x, y = (a.ravel() for a in np.meshgrid(array, array, indexing="ij"))
        same(name, [x, y], dtype)
    for a, b in (((0,), (1,)), ((), (3,)), ((2, 1), (3,)), ((2, 3), (2,)), ((0, 2), (2,))):
        same(name, [np.full(a, 0.5), np.full(b, 0.25)], "float32")
