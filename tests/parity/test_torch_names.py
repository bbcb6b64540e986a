"""Every name of torch_names.txt has a case, and gives what PyTorch gives: values, dtype, shape, gradient, tangent."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrograd

torch = pytest.importorskip("torch")

from parity import tables  # noqa: E402  (below the check for torch)
from parity.behaviours import assert_same, facts  # noqa: E402
from parity.named import functions, layers, others  # noqa: E402
from parity.named.cases import Args, Case  # noqa: E402

LIST = Path(__file__).parent / "torch_names.txt"
CASES = {
    "torch": functions.TORCH | {name: layers.F[name] for name in layers.SHARED},
    "torch.Tensor": functions.TORCH | others.METHODS,
    "torch.autograd": others.AUTOGRAD,
    "torch.distributions": others.DISTRIBUTIONS,
    "torch.nn": layers.NN,
    "torch.nn.functional": layers.F,
    "torch.nn.init": layers.INIT,
    "torch.nn.utils": layers.UTILS,
    "torch.optim": others.OPTIM,
    "torch.optim.lr_scheduler": others.LR,
    "torch.utils.data": others.DATA,
    "torch.linalg": others.LINALG,
    "torch.fft": others.FFT,
    "torch.special": others.SPECIAL,
    "torch.func": others.FUNC,
}
TOLERANCE = 1e-8
# PyTorch's forward rules of these are far from central differences (2.13), so the differences decide.
WRONG_TANGENTS = ("cholesky_inverse", "scatter_reduce")


def listed() -> list[tuple[str, str]]:
    """(section, name) of every name of the list."""
    found, section = [], ""
    for line in LIST.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            found += [(section, name) for name in line.split()]
    return found


NAMES = listed()


def case_of(section: str, name: str) -> Case:
    """The case of a name, as a function of its section or as a method of tensors."""
    found = CASES[section].get(name)
    if found is None and name.endswith("_") and isinstance(CASES[section].get(name[:-1]), Args):
        return CASES[section][name[:-1]].in_place(f"{section}.{name}")
    assert found is not None, f"{section}.{name} has no case: write one in tests/parity/named/"
    if isinstance(found, Case):
        return found
    assert isinstance(found, Args)
    return (
        found.method(name) if section == "torch.Tensor" else found.function(f"{section}.{name}".removeprefix("torch."))
    )


def made(t: Any, case: Case, leaves: bool) -> list[Any]:
    xs = [t.tensor(np.array(a)) for a in case.arrays]
    return [x.requires_grad_() if leaves and (x.is_floating_point() or x.is_complex()) else x for x in xs]


def ran(t: Any, case: Case, leaves: bool = False) -> Any:
    with np.errstate(all="ignore"):
        t.manual_seed(0)
        return case.call(t, *made(t, case, leaves))


def quietly(call: Any, *given: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(*given)


def slopes(t: Any, out: Any) -> list[Any]:
    """The tensors of a result, however nested, that have a derivative."""
    if isinstance(out, t.Tensor):
        return [out] if out.requires_grad and out.grad_fn is not None else []
    if isinstance(out, (tuple, list)):
        return [x for part in out for x in slopes(t, part)]
    return []


def gradients(t: Any, case: Case) -> list[Any]:
    """Of a fixed weighting of all that comes out, by everything that goes in."""
    t.manual_seed(0)
    xs = made(t, case, True)
    outs = slopes(t, case.call(t, *xs))
    rng, total = np.random.default_rng(3), 0
    for out in outs:
        weights = rng.normal(size=tuple(out.shape)) + (
            1j * rng.normal(size=tuple(out.shape)) if out.is_complex() else 0
        )
        product = out * t.tensor(weights).to(out.dtype)
        total = total + (product.real if product.is_complex() else product).sum()
    total.backward()
    return [x.grad for x in xs]


def tangents(t: Any, case: Case, kept: list[int]) -> list[Any]:
    """Of all that comes out, for a fixed direction of what goes in."""
    directions = drawn_directions(case)
    moving = [i for i, d in enumerate(directions) if d is not None]

    def call(*xs: Any) -> Any:
        given = made(t, case, False)
        for i, x in zip(moving, xs):
            given[i] = x
        t.manual_seed(0)
        out = flat(t, case.call(t, *given))
        return tuple(out[k] for k in kept)

    primals = tuple(t.tensor(np.array(case.arrays[i])) for i in moving)
    return list(t.func.jvp(call, primals, tuple(t.tensor(np.array(directions[i])) for i in moving))[1])


def near_differences(case: Case, kept: list[int], found: list[Any]) -> None:
    """Assert that tangents are the central differences of the results."""
    directions, h = drawn_directions(case), 1e-6

    def moved(by: float) -> list[Any]:
        arrays = [np.asarray(a + by * d) if d is not None else a for a, d in zip(case.arrays, directions)]
        out = flat(retrograd, quietly(ran, retrograd, Case(case.call, *arrays)))
        return [tables.raw(out[k]) for k in kept]

    for a, up, down in zip(found, moved(h), moved(-h)):
        if up.dtype.itemsize < 8:  # too coarse to take a difference of
            continue
        np.testing.assert_allclose(tables.raw(a), (up - down) / (2 * h), rtol=1e-5, atol=1e-5)


def drawn_directions(case: Case) -> list[Any]:
    """A direction for each array of numbers with a slope, None for the others."""
    rng, found = np.random.default_rng(5), []
    for a in case.arrays:
        d = rng.normal(size=a.shape) if a.dtype.kind in "fc" else None
        found.append(d + 1j * rng.normal(size=a.shape) if a.dtype.kind == "c" else d)
    return found


def flat(t: Any, out: Any) -> list[Any]:
    """The tensors of a result, however nested."""
    if isinstance(out, t.Tensor):
        return [out]
    return [x for part in out for x in flat(t, part)] if isinstance(out, (tuple, list)) else []


def test_the_list_is_long_and_has_no_name_twice():
    assert len(NAMES) == len(set(NAMES))
    assert len(NAMES) >= 1700


def test_a_name_without_a_case_fails():
    with pytest.raises(AssertionError, match="has no case"):
        case_of("torch", "no_such_name")


@pytest.mark.parametrize(("section", "name"), NAMES, ids=[f"{section}.{name}" for section, name in NAMES])
def test_a_name(section, name):
    case = case_of(section, name)
    tolerance = case.tolerance or TOLERANCE
    theirs = quietly(ran, torch, case, True)
    ours = quietly(ran, retrograd, case, True)
    loose(facts(retrograd, ours), facts(torch, theirs), tolerance)
    sloped = slopes(torch, theirs)
    if not sloped:
        return
    try:
        expected = quietly(gradients, torch, case)
    except RuntimeError as error:
        if "not implemented" in str(error):  # PyTorch has no derivative there, which is no reason to have none here
            return
        raise
    for i, (a, b) in enumerate(zip(quietly(gradients, retrograd, case), expected)):
        assert (a is None) == (b is None), f"gradient {i}"
        if b is not None:
            tables.same_value(a, b, tolerance, what=f"gradient {i}")
    kept = [i for i, x in enumerate(flat(torch, theirs)) if any(x is s for s in sloped)]
    found = quietly(tangents, retrograd, case, kept)
    try:
        expected = quietly(tangents, torch, case, kept)
    except (RuntimeError, NotImplementedError):  # PyTorch has no forward rule there
        expected = None
    if expected is None or name in WRONG_TANGENTS:
        near_differences(case, kept, found)
    if expected is not None and name not in WRONG_TANGENTS:
        tables.same_value(found, expected, tolerance, what="tangent")


def loose(ours: Any, theirs: Any, tolerance: float) -> None:
    if tolerance > TOLERANCE and isinstance(theirs, dict) and "values" in theirs:
        np.testing.assert_allclose(ours.pop("values"), theirs.pop("values"), rtol=tolerance, atol=tolerance)
    if isinstance(theirs, list):
        assert isinstance(ours, list) and len(ours) == len(theirs)
        for a, b in zip(ours, theirs):
            loose(a, b, tolerance)
    else:
        assert_same(ours, theirs)
