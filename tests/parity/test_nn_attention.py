"""torch.nn.attention: permitted backends, causal masks, flexible attention; and torch.nn.grad, against torch."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd  # noqa: E402  (below the check for torch)
from parity.nn_helpers import drawn  # noqa: E402
from parity.outcomes import outcome, same  # noqa: E402


def part(T, name):
    return importlib.import_module(f"{T.__name__}.nn.{name}")


def qkv(T, *shape):
    return [T.tensor(drawn(shape, i)).float() for i in range(3)]


def permitted(T, *names):
    A = part(T, "attention")
    with A.sdpa_kernel([getattr(A.SDPBackend, name) for name in names]):
        return T.nn.functional.scaled_dot_product_attention(*qkv(T, 1, 2, 4, 8))


def nested(T):
    A = part(T, "attention")
    q, k, v = qkv(T, 1, 2, 4, 8)
    with A.sdpa_kernel(A.SDPBackend.EFFICIENT_ATTENTION):
        with A.sdpa_kernel(A.SDPBackend.MATH, set_priority=True):
            inside = T.nn.functional.scaled_dot_product_attention(q, k, v)
        try:
            T.nn.functional.scaled_dot_product_attention(q, k, v)
        except RuntimeError:
            return inside, T.nn.functional.softmax(q, -1)


def biased(T, which, length, keys):
    q, k, v = (T.tensor(drawn((1, 2, n, 8), i)).float() for i, n in enumerate((length, keys, keys)))
    bias = getattr(part(T, "attention.bias"), which)(length, keys)
    return T.nn.functional.scaled_dot_product_attention(q, k, v, bias), repr(bias), bias.seq_len_q, int(bias.variant)


def flags(T):
    cuda, before = T.backends.cuda, T.backends.cuda.math_sdp_enabled()
    cuda.enable_math_sdp(False)
    try:
        with part(T, "attention").sdpa_kernel(part(T, "attention").SDPBackend.FLASH_ATTENTION):
            inside = cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.cudnn_sdp_enabled()
        return before, cuda.math_sdp_enabled(), inside
    finally:
        cuda.enable_math_sdp(True)


CASES = {
    "math": lambda T: permitted(T, "MATH"),
    "flash": lambda T: permitted(T, "FLASH_ATTENTION", "EFFICIENT_ATTENTION"),
    "efficient": lambda T: permitted(T, "EFFICIENT_ATTENTION"),
    "none": lambda T: permitted(T),
    "nested": nested,
    "wrong": lambda T: part(T, "attention").sdpa_kernel("math").__enter__(),
    "flags": flags,
    "members": lambda T: [(m.name, int(m)) for m in part(T, "attention").SDPBackend.__members__.values()],
    "upper left": lambda T: biased(T, "causal_upper_left", 4, 4),
    "upper left, more keys": lambda T: biased(T, "causal_upper_left", 3, 5),
    "lower right": lambda T: biased(T, "causal_lower_right", 4, 4),
    "three sizes": lambda T: part(T, "attention.bias").causal_upper_left(1, 2, 3),
    "a wrong variant": lambda T: part(T, "attention.bias").CausalBias(1, 2, 3),
    "more queries": lambda T: part(T, "attention.bias").causal_lower_right(3, 2).seq_len_kv,
}


@pytest.mark.parametrize("name", CASES)
def test_backends_and_causal_masks(name):
    same(CASES[name])


def causal(b, h, q, k):
    return q >= k


def flex(T, score_mod=None, mask=None, shape=(2, 4, 6, 8), kv=None, block=2, **kwargs):
    X = part(T, "attention.flex_attention")
    q, k, v = qkv(T, *shape)
    if kv:
        k, v = k[:, :kv], v[:, :kv]
    if mask is not None:
        mask = X.create_block_mask(mask, *shape[:2], shape[2], shape[2], device="cpu", BLOCK_SIZE=block)
    return X.flex_attention(q, k, v, score_mod and score_mod(T), mask, **kwargs)


def documents(T):
    X = part(T, "attention.flex_attention")
    numbers = T.tensor([0, 0, 1, 1, 1, 2])
    mask = X.and_masks(causal, lambda b, h, q, k: numbers[q] == numbers[k])
    made = X.create_block_mask(mask, None, None, 6, 6, device="cpu", BLOCK_SIZE=2)
    either = X.or_masks(causal, lambda b, h, q, k: k == 5)
    facts = made.shape, made.sparsity(), made.numel(), str(made), repr(made), made.to_string(2), made.to_dense()
    tensors = list(made.as_tuple()[2:10])
    moved = made.to("cpu").to_dense(), made._adjust(4, 3).to_dense(), made[0].to_dense(), made[:, :, 1:2].kv_indices
    result = X.flex_attention(*qkv(T, 2, 4, 6, 8), block_mask=made)
    return facts, tensors, moved, result, X.create_mask(either, None, None, 6, 6, "cpu")


def sliding(T):
    """Many blocks, drawn small."""
    X = part(T, "attention.flex_attention")
    made = X.create_block_mask(lambda b, h, q, k: (q - k).abs() <= 5, 2, 3, 70, 50, device="cpu", BLOCK_SIZE=(2, 3))
    whole = X.create_block_mask(causal, None, None, 8, 8, device="cpu", BLOCK_SIZE=4, separate_full_blocks=False)
    return made.to_string(), made.to_string(5, limit=1), made.q_indices, made.full_q_num_blocks, repr(whole)


def relative(T):
    bias = T.tensor(drawn((4, 11))).float()
    return flex(T, lambda T: lambda s, b, h, q, k: s + bias[h, q - k + 5])


FLEX = {
    "plain": flex,
    "bias": relative,
    "hidden": lambda T: flex(T, lambda T: lambda s, b, h, q, k: T.where(q >= k, s, -float("inf")), scale=0.3),
    "soft cap": lambda T: flex(T, lambda T: lambda s, b, h, q, k: 2 * T.tanh(s / 2)),
    "causal": lambda T: flex(T, None, causal),
    "empty rows": lambda T: flex(T, None, lambda b, h, q, k: (q > k) & (b == h), block=(2, 3)),
    "both": lambda T: flex(T, lambda T: lambda s, b, h, q, k: s * (h + 1), causal),
    "grouped": lambda T: flex(T, kv=2, enable_gqa=True),
    "documents": documents,
    "sliding": sliding,
    "score mask": lambda T: part(T, "attention.flex_attention").create_mask(
        lambda s, b, h, q, k: T.where(q >= k, s, -float("inf")), None, 2, 2, 3, "cpu"
    ),
    "three dimensions": lambda T: part(T, "attention.flex_attention").flex_attention(*qkv(T, 4, 6, 8)),
    "other heads": lambda T: flex(T, kv=2),
    "no multiple": lambda T: flex(T, kv=3, enable_gqa=True),
    "another batch": lambda T: part(T, "attention.flex_attention").flex_attention(
        qkv(T, 1, 4, 6, 8)[0], *qkv(T, 2, 4, 6, 8)[1:]
    ),
    "other features": lambda T: part(T, "attention.flex_attention").flex_attention(
        qkv(T, 2, 4, 6, 7)[0], *qkv(T, 2, 4, 6, 8)[1:]
    ),
    "no mask": lambda T: flex(T, None, lambda s, b, h, q, k: s),
    "too few arguments": lambda T: flex(T, None, lambda b, h, q: q),
    "two ways of asking": lambda T: flex(
        T, return_lse=True, return_aux=part(T, "attention.flex_attention").AuxRequest()
    ),
    "no callables": lambda T: part(T, "attention.flex_attention").and_masks(1),
}


@pytest.mark.parametrize("name", FLEX)
def test_flexible_attention(name):
    mine, theirs = outcome(retrograd, FLEX[name])[0], outcome(torch, FLEX[name])[0]
    if isinstance(theirs, type):
        assert mine is theirs
    else:
        from parity.outcomes import assert_same

        assert_same(mine, theirs, 1e-5)


def test_flexible_attention_gives_the_log_sum_and_goes_backward():
    X = part(retrograd, "attention.flex_attention")
    mask = X.create_block_mask(causal, None, None, 6, 6, BLOCK_SIZE=2)
    q, k, v = (t.requires_grad_() for t in qkv(retrograd, 2, 4, 6, 8))
    output, aux = X.flex_attention(q, k, v, block_mask=mask, return_aux=X.AuxRequest(lse=True, max_scores=True))
    output.square().sum().backward()
    p, r, w = (t.requires_grad_() for t in qkv(torch, 2, 4, 6, 8))
    torch.nn.functional.scaled_dot_product_attention(p, r, w, is_causal=True).square().sum().backward()
    for mine, theirs in ((q, p), (k, r), (v, w)):
        np.testing.assert_allclose(mine.grad.numpy(), theirs.grad.numpy(), rtol=1e-4, atol=1e-5)
    scores = (p @ r.mT / 8**0.5).masked_fill(torch.ones(6, 6, dtype=torch.bool).triu(1), -float("inf"))
    np.testing.assert_allclose(aux.lse.detach().numpy(), scores.logsumexp(-1).detach().numpy(), rtol=1e-5)
    np.testing.assert_allclose(aux.max_scores.detach().numpy(), scores.amax(-1).detach().numpy(), rtol=1e-5)


def sizes(dims, groups=1, stride=1, padding=0, dilation=1):
    n = (7, 6, 5)[:dims]
    out = tuple((m + 2 * padding - dilation - 1) // stride + 1 for m in n)
    return (2, 2 * groups, *n), (4, 2, *(2,) * dims), (2, 4, *out)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("geometry", [{}, {"stride": 2, "padding": 1}, {"dilation": 2, "groups": 2}], ids=str)
def test_gradients_of_convolutions(dims, geometry):
    x, w, g = sizes(dims, **geometry)

    def case(T):
        given = {name: T.tensor(drawn(shape)) for name, shape in (("x", x), ("w", w), ("g", g))}
        G = part(T, "grad")
        to_input = getattr(G, f"conv{dims}d_input")(x, given["w"], given["g"], **geometry)
        return to_input, getattr(G, f"conv{dims}d_weight")(given["x"], w, given["g"], **geometry)

    same(case)


def holder(T):
    net = T.nn.DataParallel(T.nn.Linear(2, 3), device_ids=[0, 1])
    return net, list(net.state_dict()), net.device_ids, net(T.ones(1, 2)), isinstance(net, T.nn.parallel.DataParallel)


def synchronised(T):
    net = T.nn.Sequential(T.nn.BatchNorm2d(3), T.nn.Sequential(T.nn.BatchNorm1d(2, affine=False), T.nn.ReLU()))
    net[0](T.ones(2, 3, 1, 1))
    made = T.nn.SyncBatchNorm.convert_sync_batchnorm(net.eval())
    return made, made.state_dict(), made[0].training, T.nn.SyncBatchNorm.convert_sync_batchnorm(T.nn.ReLU())


PARALLEL = {
    "DataParallel": holder,
    "DistributedDataParallel": lambda T: T.nn.parallel.DistributedDataParallel(T.nn.Linear(2, 2)),
    "data_parallel": lambda T: T.nn.parallel.data_parallel(T.nn.Linear(2, 2), T.ones(1, 2)),
    "gather": lambda T: T.nn.parallel.gather([T.ones(2)], "cpu"),
    "replicate": lambda T: T.nn.parallel.replicate(T.nn.Linear(2, 2), [0]),
    "replicate to none": lambda T: T.nn.parallel.replicate(T.nn.Linear(2, 2), []),
    "scatter": lambda T: T.nn.parallel.scatter(T.ones(2), ["cpu"]) if T is retrograd else _scattered(T),
    "parallel_apply": lambda T: T.nn.parallel.parallel_apply([T.nn.ReLU()], [T.ones(1)]),
    "parallel_apply there": lambda T: T.nn.parallel.parallel_apply([T.nn.ReLU()], [T.ones(1)], devices=["cpu"]),
    "parallel_apply of too few": lambda T: T.nn.parallel.parallel_apply([T.nn.ReLU()], []),
    "SyncBatchNorm": lambda T: T.nn.SyncBatchNorm(3)(T.tensor(drawn((4, 3))).float()),
    "SyncBatchNorm of a vector": lambda T: T.nn.SyncBatchNorm(3)(T.ones(3)),
    "SyncBatchNorm of nothing": lambda T: T.nn.SyncBatchNorm(0)(T.ones(2, 0)),
    "convert_sync_batchnorm": synchronised,
}


def _scattered(T):
    return T.nn.parallel.scatter(T.ones(2), [T.device("cpu")])


@pytest.mark.parametrize("name", PARALLEL)
def test_modules_on_several_devices_where_there_is_one(name):
    same(PARALLEL[name], seed=1)
