"""Every class, function and method of torch.nn and torch.optim: it is there, with torch's parameters and defaults."""

from __future__ import annotations

import importlib
import inspect
import warnings

import pytest

torch = pytest.importorskip("torch")

NAMESPACES = (
    "nn",
    "nn.attention.flex_attention",
    "nn.functional",
    "nn.grad",
    "nn.init",
    "nn.modules.lazy",
    "nn.modules.utils",
    "nn.parallel",
    "nn.parameter",
    "nn.utils",
    "nn.utils.parametrizations",
    "nn.utils.parametrize",
    "nn.utils.prune",
    "nn.utils.rnn",
    "nn.utils.stateless",
    "optim",
    "optim.lr_scheduler",
    "optim.swa_utils",
)
# A name that torch does not document for its users, or that this library has otherwise; each with its reason.
ABSENT = {
    "nn.attention.flex_attention.FlexKernelOptions": "settings of GPU kernels",
    "nn.functional.ScalingType": "8-bit matrix products on GPUs",
    "nn.functional.SwizzleType": "8-bit matrix products on GPUs",
    "nn.functional.assert_int_or_pair": "a helper for scripting",
    "nn.functional.boolean_dispatch": "a helper for scripting",
    "nn.functional.scaled_grouped_mm": "8-bit matrix products on GPUs",
    "nn.functional.scaled_mm": "8-bit matrix products on GPUs",
    "nn.parallel.DistributedDataParallelCPU": "removed in torch too: the same class under an old name",
    "nn.utils.rnn.bind": "a helper for scripting",
    "nn.utils.parametrize.Module": "imported there, not defined",
    "nn.utils.stateless.NamedMemberAccessor": "imported there, not defined",
    "optim.lr_scheduler.Optimizer": "imported there, not defined",
}
DIFFERENT = {
    "nn.Container.__init__": "torch's decorator hides the parameters",
    "nn.NLLLoss2d.__init__": "torch's decorator hides the parameters",
    "nn.functional.max_pool1d_with_indices": "passes its arguments on",
    "nn.functional.max_pool2d_with_indices": "passes its arguments on",
    "nn.functional.max_pool3d_with_indices": "passes its arguments on",
    "nn.parallel.DistributedDataParallel.gather": "moves between devices",
    "nn.parallel.DistributedDataParallel.join_hook": "talks to other processes",
    "nn.parallel.DistributedDataParallel.scatter": "moves between devices",
    "nn.parallel.DistributedDataParallel.to_kwargs": "moves between devices",
    "optim.LBFGS.step": "without a closure the error says what one is",
    "nn.attention.flex_attention.create_block_mask": "orders in which GPU kernels write are left out",
    "nn.attention.flex_attention.BlockMask.__init__": "orders in which GPU kernels write are left out",
    "nn.attention.flex_attention.BlockMask.from_kv_blocks": "orders in which GPU kernels write are left out",
}
PLAIN = (int, float, str, bool, type(None), tuple)


def parameters(function):
    """Names, kinds and plain defaults; None where the signature says nothing."""
    found = [
        (p.name, p.kind.name, p.default if isinstance(p.default, PLAIN) else p.default is not p.empty)
        for p in inspect.signature(function).parameters.values()
    ]
    return None if [kind for _, kind, _ in found] == ["VAR_POSITIONAL", "VAR_KEYWORD"] else found


def public(namespace):
    """The classes and functions of one of torch's modules that are its own."""
    module = importlib.import_module(f"torch.{namespace}")
    for name, thing in sorted(vars(module).items()):
        home = getattr(thing, "__module__", None) or ""
        if (
            name.startswith("_")
            or inspect.ismodule(thing)
            or not callable(thing)
            or not home.startswith("torch.nn" if namespace.startswith("nn") else "torch.optim")
        ):
            continue
        yield name, thing


def methods(cls):
    """The public methods of a class, static and class methods without their wrapping."""
    for name in dir(cls):
        method = inspect.getattr_static(cls, name)
        method = method.__func__ if isinstance(method, (staticmethod, classmethod)) else method
        if not name.startswith("_") and inspect.isfunction(method):
            yield name, method


def rows():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for namespace in NAMESPACES:
            for name, thing in public(namespace):
                if f"{namespace}.{name}" not in ABSENT:
                    yield pytest.param(namespace, name, thing, id=f"{namespace}.{name}")


@pytest.mark.parametrize(("namespace", "name", "theirs"), list(rows()))
def test_the_name_is_there_with_torchs_parameters(namespace, name, theirs):
    full = f"{namespace}.{name}"
    mine = getattr(importlib.import_module(f"retrograd.{namespace}"), name)
    if not inspect.isclass(theirs):
        compare(full, mine, theirs)
        return
    if not issubclass(theirs, torch.Tensor):
        compare(f"{full}.__init__", mine, theirs)
        for method, function in methods(theirs):
            if f"{full}.{method}" in DIFFERENT:
                continue
            assert hasattr(mine, method), f"{full}.{method}"
            compare(f"{full}.{method}", getattr(mine, method), function)


def compare(full, mine, theirs):
    if full in DIFFERENT:
        return
    try:
        wanted = parameters(theirs)
    except ValueError:  # a builtin says nothing about its parameters
        return
    if wanted is None:
        return
    found = parameters(mine)
    if [name for name, *_ in wanted][:1] in (["self"], ["cls"]):
        wanted = wanted[1:]
        found = found[1:] if found and found[0][0] == "self" else found
    assert found == wanted, full


def test_the_exclusions_are_still_needed():
    for name in ABSENT:
        namespace, _, last = name.rpartition(".")
        assert hasattr(importlib.import_module(f"torch.{namespace}"), last), name
    for name in DIFFERENT:
        place = name.removesuffix(".__init__").split(".")
        found = importlib.import_module("torch")
        for part in place:
            found = getattr(found, part)
