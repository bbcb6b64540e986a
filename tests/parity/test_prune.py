"""Pruning, fusion of layers for evaluation, and modules made without drawing, against torch."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")

from parity.nn_helpers import drawn  # noqa: E402  (below the check for torch)
from parity.outcomes import same  # noqa: E402


def prune(T):
    import importlib

    return importlib.import_module(f"{T.__name__}.nn.utils.prune")


def conv(T):
    layer = T.nn.Conv2d(3, 4, 3)
    layer.weight.data = T.tensor(drawn((4, 3, 3, 3))).float()
    return layer


def pruned(name, *args, twice=None, **kwargs):
    def case(T):
        P, layer = prune(T), conv(T)
        getattr(P, name)(layer, "weight", *args, **kwargs)
        if twice is not None:
            getattr(P, twice[0])(layer, "weight", *twice[1:])
        told = P.is_pruned(layer), [n for n, _ in layer.named_parameters()], [n for n, _ in layer.named_buffers()]
        result = layer(T.ones(1, 3, 4, 4))
        result.sum().backward()
        told += (layer.weight, layer.weight_mask, layer.weight_orig.grad, layer.state_dict())
        hooks = [type(h).__name__ for h in layer._forward_pre_hooks.values()]
        P.remove(layer, "weight")
        return *told, hooks, layer.state_dict(), isinstance(layer.weight, T.nn.Parameter), P.is_pruned(layer)

    return case


def trained(T):
    P = prune(T)
    net = T.nn.Sequential(T.nn.Linear(3, 4), T.nn.ReLU(), T.nn.Linear(4, 2))
    for layer in (net[0], net[2]):
        P.random_unstructured(layer, "weight", amount=0.3)
    optimizer = T.optim.Adam(net.parameters(), lr=0.1)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        losses.append(net(T.ones(2, 3)).square().sum())
        losses[-1].backward()
        optimizer.step()
    return losses, net.state_dict(), net.load_state_dict(copy.deepcopy(net.state_dict())) is not None


def everywhere(T, method, scores=False, before=False, **kwargs):
    P = prune(T)
    net = T.nn.Sequential(T.nn.Linear(3, 4), T.nn.Linear(4, 2))
    places = [(net[0], "weight"), (net[1], "bias"), (net[1], "weight")]
    if before:
        P.random_unstructured(net[0], "weight", amount=2)
    given = {(net[0], "weight"): T.tensor(drawn((4, 3))).float() * 10} if scores else None
    P.global_unstructured(places, pruning_method=getattr(P, method), importance_scores=given, **kwargs)
    return net.state_dict(), net[0].weight


def with_scores(T):
    P, layer = prune(T), conv(T)
    P.l1_unstructured(layer, "weight", 0.5, importance_scores=T.tensor(drawn((4, 3, 3, 3), 9)).float())
    P.ln_structured(layer, "weight", 1, 2, 0, importance_scores=T.tensor(drawn((4, 3, 3, 3), 8)).float())
    return layer.weight_mask


def without_a_module(T):
    P = prune(T)
    t = T.tensor(drawn((3, 4))).float()
    mask = T.ones(3, 4)
    mask[0] = 0
    L1 = P.L1Unstructured(amount=0.5)
    return L1.prune(t), L1.prune(t, default_mask=mask), P.LnStructured(1, 1, 0).prune(t, importance_scores=-t * t)


def of_ones_own(T):
    P = prune(T)

    class EveryOther(P.BasePruningMethod):
        PRUNING_TYPE = "unstructured"

        def compute_mask(self, t, default_mask):
            mask = default_mask.clone()
            mask.view(-1)[::2] = 0
            return mask

    layer = T.nn.Linear(3, 2)
    EveryOther.apply(layer, "weight")
    EveryOther.apply(layer, "weight")
    hook = next(iter(layer._forward_pre_hooks.values()))
    return layer.weight_mask, type(hook).__name__, len(hook), [type(h).__name__ for h in hook], hook[0].PRUNING_TYPE


def of_a_wrong_kind(T, kind):
    P = prune(T)

    class Odd(P.BasePruningMethod):
        PRUNING_TYPE = kind

        def compute_mask(self, t, default_mask):
            return default_mask

    layer = P.identity(T.nn.Linear(3, 2), "weight")
    return Odd.apply(layer, "weight")


def failing(T):
    P, layer = prune(T), T.nn.Linear(3, 2)
    try:
        P.l1_unstructured(layer, "weight", 100)
    except ValueError:
        return list(layer.state_dict()), P.is_pruned(layer)


CASES = {
    "identity": pruned("identity"),
    "random": pruned("random_unstructured", 0.4),
    "random, a number": pruned("random_unstructured", 7),
    "random, none": pruned("random_unstructured", 0),
    "l1": pruned("l1_unstructured", 0.4),
    "l1, all": pruned("l1_unstructured", 1.0),
    "random structured": pruned("random_structured", 0.5, 0),
    "random structured, last": pruned("random_structured", 1, -1),
    "random structured, none": pruned("random_structured", 0.0, 1),
    "ln": pruned("ln_structured", 0.5, 2, 0),
    "ln, infinite": pruned("ln_structured", 1, float("inf"), 1),
    "ln, -1": pruned("ln_structured", 1, n=1, dim=-1),
    "custom": lambda T: pruned("custom_from_mask", T.arange(108).reshape(4, 3, 3, 3) % 3)(T),
    "l1 twice": pruned("l1_unstructured", 0.4, twice=("l1_unstructured", 0.5)),
    "structured, then elements": pruned("ln_structured", 0.5, 2, 0, twice=("l1_unstructured", 0.5)),
    "elements, then structured": pruned("random_unstructured", 0.5, twice=("ln_structured", 0.3, 2, 0)),
    "structured twice": pruned("ln_structured", 1, 2, 0, twice=("ln_structured", 1, 2, 0)),
    "random twice": pruned("random_structured", 1, 1, twice=("random_unstructured", 0.5)),
    "trained": trained,
    "global l1": lambda T: everywhere(T, "L1Unstructured", amount=0.4),
    "global random": lambda T: everywhere(T, "RandomUnstructured", amount=5),
    "global by scores": lambda T: everywhere(T, "L1Unstructured", scores=True, amount=9),
    "global after local": lambda T: everywhere(T, "L1Unstructured", before=True, amount=9),
    "global structured": lambda T: everywhere(T, "LnStructured", amount=1, n=2),
    "by scores": with_scores,
    "without a module": without_a_module,
    "of one's own": of_ones_own,
    "of a wrong kind": lambda T: of_a_wrong_kind(T, "other"),
    "structured without dim": lambda T: of_a_wrong_kind(T, "structured"),
    "copied": lambda T: copy.deepcopy(trained)(T),
    "failing": failing,
    "amount of a string": lambda T: prune(T).RandomUnstructured("1"),
    "amount below": lambda T: prune(T).L1Unstructured(-0.1),
    "amount above": lambda T: prune(T).L1Unstructured(1.1),
    "a negative number": lambda T: prune(T).RandomStructured(-1),
    "too many": lambda T: prune(T).random_unstructured(T.nn.Linear(2, 2), "weight", 5),
    "too many slices": lambda T: prune(T).random_structured(T.nn.Linear(2, 2), "weight", 3, 0),
    "slices of a vector": lambda T: prune(T).ln_structured(T.nn.Linear(2, 2), "bias", 1, 2, 0),
    "no such dimension": lambda T: prune(T).ln_structured(T.nn.Linear(2, 2), "weight", 1, 2, 2),
    "no such parameter": lambda T: prune(T).identity(T.nn.Linear(2, 2), "weights"),
    "a mask of another shape": lambda T: prune(T).custom_from_mask(T.nn.Linear(2, 2), "weight", T.ones(3)),
    "scores of another shape": lambda T: prune(T).l1_unstructured(T.nn.Linear(2, 2), "weight", 1, T.ones(3)),
    "remove what is not pruned": lambda T: prune(T).remove(T.nn.Linear(2, 2), "weight"),
    "a container of nothing": lambda T: prune(T).PruningContainer(3),
    "global of no iterable": lambda T: prune(T).global_unstructured(3, prune(T).L1Unstructured, amount=1),
    "abstract": lambda T: prune(T).BasePruningMethod(),
}


@pytest.mark.parametrize("name", CASES)
def test_prune(name):
    same(CASES[name], seed=6)


def normalised(T, layer, bn):
    for i, held in enumerate((bn.running_mean, bn.running_var, *bn.parameters())):
        held.data = T.tensor(drawn(tuple(held.shape), i, 0.5, 2.0)).to(held.dtype)
    return layer.eval(), bn.eval()


def fused(make, norm, shape, *args):
    def case(T):
        U = T.nn.utils
        layer, bn = normalised(T, make(T.nn), norm(T.nn))
        one = (U.fuse_linear_bn_eval if isinstance(layer, T.nn.Linear) else U.fuse_conv_bn_eval)(layer, bn, *args)
        x = T.tensor(drawn(shape)).float()
        assert bool(T.allclose(one(x), bn(layer(x)), atol=1e-4))
        return one, one.state_dict(), [p.requires_grad for p in one.parameters()], layer

    return case


FUSED = {
    "conv": fused(lambda nn: nn.Conv2d(2, 3, 2), lambda nn: nn.BatchNorm2d(3), (2, 2, 4, 4)),
    "conv without bias": fused(lambda nn: nn.Conv1d(2, 3, 2, bias=False), lambda nn: nn.BatchNorm1d(3), (2, 2, 4)),
    "plain norm": fused(lambda nn: nn.Conv1d(2, 3, 2), lambda nn: nn.BatchNorm1d(3, affine=False), (2, 2, 4)),
    "transposed": fused(lambda nn: nn.ConvTranspose1d(2, 3, 2), lambda nn: nn.BatchNorm1d(3), (2, 2, 4), True),
    "linear": fused(lambda nn: nn.Linear(2, 3), lambda nn: nn.BatchNorm1d(3), (2, 2)),
    "linear without bias": fused(lambda nn: nn.Linear(2, 3, bias=False), lambda nn: nn.BatchNorm1d(3), (2, 2)),
    "training": lambda T: T.nn.utils.fuse_conv_bn_eval(T.nn.Conv1d(1, 1, 1), T.nn.BatchNorm1d(1)),
    "no statistics": lambda T: T.nn.utils.fuse_conv_bn_eval(
        T.nn.Conv1d(1, 1, 1).eval(), T.nn.BatchNorm1d(1, track_running_stats=False).eval()
    ),
    "other sizes": lambda T: T.nn.utils.fuse_linear_bn_eval(T.nn.Linear(1, 4).eval(), T.nn.BatchNorm1d(2).eval()),
    "skip_init": lambda T: (
        T.nn.utils.skip_init(T.nn.Linear, 3, 4, dtype=T.float64),
        T.nn.utils.skip_init(T.nn.Conv2d, 3, 4, kernel_size=2, device="cpu").weight.dtype,
        T.rand(2),
    ),
    "skip_init of no module": lambda T: T.nn.utils.skip_init(dict),
    "skip_init without device": lambda T: T.nn.utils.skip_init(T.nn.ReLU),
    "memory format": lambda T: (
        T.nn.utils.convert_conv2d_weight_memory_format(T.nn.Sequential(T.nn.Conv2d(2, 3, 2)), T.channels_last),
        T.nn.utils.convert_conv3d_weight_memory_format(T.nn.Conv3d(2, 3, 2), T.channels_last_3d).weight,
    ),
}


@pytest.mark.parametrize("name", FUSED)
def test_fusion_and_modules_that_are_not_drawn(name):
    same(FUSED[name], seed=7, tolerance=2e-5)
