"""One case, run by torch and by this library: values, shapes, dtypes, gradients, warnings and kinds of exceptions."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd  # noqa: E402  (below the check for torch)

TOLERANCE = {"float64": 1e-10, "float32": 2e-5, "float16": 2e-2, "bfloat16": 8e-2}
INTEGERS = "iub"


def drawn(shape, seed=0, low=None, high=None):
    """A float64 array: normal, or uniform between two bounds."""
    rng = np.random.default_rng((seed, *shape))
    return rng.standard_normal(shape) if low is None else rng.uniform(low, high, shape)


def as_numpy(t):
    """The values of either library's tensor, in float64 where they are floating-point."""
    t = t.detach()
    return (t.double() if t.is_floating_point() else t).numpy()


def given(library, array, dtype, requires_grad):
    """A library's own tensor of an array: floats in the dtype asked for, integers as they are."""
    if array is None or not isinstance(array, np.ndarray):
        return array
    if array.dtype.kind != "f":
        return library.tensor(array)
    made = library.tensor(array).to(getattr(library, dtype))
    return made.requires_grad_(requires_grad)


def backward(library, outputs):
    """Walk back from all outputs at once, with fixed gradients upstream."""
    total = None
    for i, output in enumerate(outputs):
        if isinstance(output, library.Tensor) and output.requires_grad:
            upstream = library.tensor(drawn(tuple(output.shape), 100 + i)).to(output.dtype)
            part = (output * upstream).sum()
            total = part if total is None else total + part
    if total is not None:
        total.backward()


def outcome(library, call, arrays, dtype, grads=True, seed=0):
    """What a call gives: ("value", outputs, gradients, warnings) or ("error", exception's type, message)."""
    inputs = [given(library, a, dtype, grads) for a in arrays]
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            library.manual_seed(seed)
            result = call(library, *inputs)
            outputs = list(result) if isinstance(result, (tuple, list)) else [result]
            backward(library, outputs)
        except Exception as error:
            return "error", type(error), str(error)
    gradients = [x.grad if isinstance(x, library.Tensor) else None for x in inputs]
    # torch says once in a process that padding="same" may cost it a copy; it costs this library none
    told = sorted(w.category.__name__ for w in seen if "zero-padded copy" not in str(w.message))
    return "value", outputs, gradients, told


def assert_like(mine, theirs, tolerance, what):
    """Equal in kind, shape, dtype and, nearly, in value."""
    if not isinstance(theirs, torch.Tensor):
        assert mine == theirs, what
        return
    assert isinstance(mine, retrograd.Tensor), what
    assert tuple(mine.shape) == tuple(theirs.shape), what
    assert str(mine.dtype) == str(theirs.dtype), f"{what}: {mine.dtype} for {theirs.dtype}"
    tolerance = max(tolerance, TOLERANCE.get(str(theirs.dtype).removeprefix("torch."), 0))
    np.testing.assert_allclose(as_numpy(mine), as_numpy(theirs), rtol=tolerance, atol=tolerance, err_msg=what)


def same(call, *arrays, dtype="float64", grads=True, tolerance=None, seed=0):
    """Run a call by both libraries and compare everything that comes out.

    It is run four times here: the third call with the same types is recorded as one composed node, where there is one.
    """
    theirs = outcome(torch, call, arrays, dtype, grads, seed)
    for _ in range(4):
        compare(outcome(retrograd, call, arrays, dtype, grads, seed), theirs, tolerance or TOLERANCE[dtype])


def compare(mine, theirs, tolerance):
    """Compare two outcomes."""
    if theirs[0] == "error":
        assert mine[0] == "error", f"torch raises {theirs[1].__name__}: {theirs[2]}"
        assert mine[1] is theirs[1], f"torch: {theirs[1].__name__}: {theirs[2]}; here: {mine[1].__name__}: {mine[2]}"
        return
    assert mine[0] == "value", f"{mine[1].__name__}: {mine[2]}"
    assert len(mine[1]) == len(theirs[1])
    for i, (a, b) in enumerate(zip(mine[1], theirs[1], strict=True)):
        assert_like(a, b, tolerance, f"output {i}")
    for i, (a, b) in enumerate(zip(mine[2], theirs[2], strict=True)):
        if b is None:
            assert a is None, f"input {i} has a gradient here, none in torch"
        else:
            assert a is not None, f"input {i} has no gradient here"
            assert_like(a, b, tolerance, f"gradient of input {i}")
    assert mine[3] == theirs[3], "warnings"
