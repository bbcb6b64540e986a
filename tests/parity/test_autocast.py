"""Autocast on the CPU against PyTorch's: which dtype each function computes in, nesting, caching, gradients."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import retrograd

torch = pytest.importorskip("torch")

LIBRARIES = (retrograd, torch)

CASES = """
torch.matmul(m, m); torch.mm(m, m); torch.mv(m, v); torch.bmm(b, b); torch.dot(v, v); torch.vdot(v, v); torch.addmm(m, m, m); torch.addmv(v, m, v)
torch.addbmm(m, b, b); torch.baddbmm(b, b, b); torch.addr(m, v, v); torch.outer(v, v); torch.einsum("ij,jk->ik", m, m); torch.tensordot(m, m, 1); m @ m; m.mm(m)
F.linear(m, m); F.linear(m, m, v); torch.kron(m, m); torch.inner(m, m); torch.chain_matmul(m, m); torch.linalg.multi_dot([m, m]); torch.linalg.matmul(m, m)
F.conv1d(c3, c3); F.conv2d(c4, c4); F.conv3d(c5, c5); F.conv_transpose1d(c3, c3); F.conv_transpose2d(c4, c4); F.conv_transpose3d(c5, c5); F.conv2d(c4, c4, v); torch.conv1d(c3, c3)
F.scaled_dot_product_attention(c4, c4, c4); F.prelu(m, v); F.bilinear(m, m, b); torch.linalg.matrix_power(m, 3); torch.linalg.vecdot(m, m)
m.softmax(1); m.log_softmax(1); F.layer_norm(m, (2,)); F.group_norm(c3, 1); F.batch_norm(c3, None, None, training=True); F.gelu(m); m.exp(); m.pow(2); m.sum(); m.mean(); m.cumsum(0)
m.prod(); torch.cdist(m, m); m.trace(); torch.quantile(v, 0.5); torch.nanquantile(v, 0.5); torch.norm(m); m.std(); m.logsumexp(0); torch.linalg.norm(m); F.cosine_similarity(m, m)
F.mse_loss(v, v); F.l1_loss(v, v); F.smooth_l1_loss(v, v); F.huber_loss(v, v); F.binary_cross_entropy(v, v); F.binary_cross_entropy_with_logits(v, v); F.nll_loss(m, n); F.cross_entropy(m, n)
F.kl_div(v, v); F.poisson_nll_loss(v, v); F.gaussian_nll_loss(v, v, v); F.hinge_embedding_loss(v, v); F.cosine_embedding_loss(m, m, v); F.margin_ranking_loss(v, v, v); F.soft_margin_loss(v, v)
F.triplet_margin_loss(m, m, m); F.multi_margin_loss(m, n); F.multilabel_margin_loss(m, n.reshape(1, 2).repeat(2, 1)); F.multilabel_soft_margin_loss(m, m)
F.avg_pool2d(c4, 2); F.max_pool2d(c4, 2); F.avg_pool3d(c5, 2); F.max_pool3d(c5, 2); F.adaptive_avg_pool2d(c4, 1); F.adaptive_avg_pool3d(c5, 1); F.grid_sample(c4, c4)
F.interpolate(c4, scale_factor=2, mode="bilinear"); F.pad(c3, (1, 1), mode="reflect"); F.pad(c3, (1, 1)); F.dropout(m); F.embedding(n, m); F.unfold(c4, 2)
torch.polar(v, v); torch.fft.fft(v); torch.fft.rfft(v); torch.linalg.inv(e); torch.linalg.cholesky(e); torch.linalg.solve(e, e); torch.linalg.svd(e)[1]; torch.linalg.qr(e)[0]
torch.cat([m, m]); torch.stack([m, m]); m + m; m * 2; m.double() @ m.double(); F.linear(m.double(), m.double()); n @ n; F.mse_loss(m.double(), m.double()); F.relu(m)
torch.mm(m, m, out=torch.empty(2, 2)).dtype is torch.float32; m.clone().float().addmm_(m.float(), m.float()); torch.cross(torch.ones(3), torch.ones(3))
m.to_sparse() @ m; torch.sparse.mm(m.to_sparse(), m); torch.addmm(m, m.to_sparse(), m)
nn.Linear(2, 2)(m); nn.Conv2d(2, 2, 1)(c4); nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.LayerNorm(2))(m.float()); nn.LSTM(2, 2)(c3)[0]; nn.GRU(2, 2)(c3.float())[0]; nn.RNN(2, 2)(c3)[0]
nn.LSTMCell(2, 2)(m.float())[0]; nn.GRUCell(2, 2)(m.float()); nn.RNNCell(2, 2)(m.float()); nn.MultiheadAttention(2, 1)(c3, c3, c3)[0]; nn.CrossEntropyLoss()(m, n); nn.MSELoss()(m, m)
"""
TEXTS = [text.strip() for line in CASES.strip().splitlines() for text in line.split(";")]


def _given(lib: Any, dtype: str) -> dict[str, Any]:
    def numbers(*shape: int) -> Any:
        count = 1
        for n in shape:
            count *= n
        return (lib.arange(count).reshape(shape).float() / count).to(getattr(lib, dtype))

    return {
        "torch": lib,
        "F": lib.nn.functional,
        "nn": lib.nn,
        "m": numbers(2, 2),
        "v": numbers(2),
        "b": numbers(2, 2, 2),
        "c3": numbers(2, 2, 2),
        "c4": numbers(2, 2, 2, 2),
        "c5": numbers(2, 2, 2, 2, 2),
        "e": lib.eye(2).to(getattr(lib, dtype)),
        "n": lib.tensor([0, 1]),
    }


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("text", TEXTS)
def test_the_dtype_of_a_result(text: str, dtype: str) -> None:
    found = []
    for lib in LIBRARIES:
        given = _given(lib, dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with lib.autocast("cpu"):
                    r = eval(text, given)
                found.append(r if isinstance(r, bool) else (str(r.dtype), list(r.shape)))
            except Exception as error:
                found.append(next(k.__name__ for k in type(error).__mro__ if k.__module__ == "builtins"))
    if found[0] != found[1] and isinstance(found[1], str):
        pytest.skip(f"torch refuses this: {found[1]}")
    assert found[0] == found[1]


def _state(lib: Any) -> list[Any]:
    x = lib.ones(2, 2)
    seen: list[Any] = []

    def note() -> None:
        seen.append(
            (
                lib.is_autocast_enabled("cpu"),
                str(lib.get_autocast_dtype("cpu")),
                str((x @ x).dtype),
                lib.is_autocast_cache_enabled(),
            )
        )

    note()
    with lib.autocast("cpu"):
        note()
        with lib.autocast("cpu", dtype=lib.float16, cache_enabled=False):
            note()
            with lib.autocast("cpu", enabled=False):
                note()
            with lib.autocast("cpu"):
                note()
        note()
        try:
            with lib.autocast("cpu", enabled=False):
                raise KeyError
        except KeyError:
            note()
    note()

    @lib.autocast("cpu")
    def decorated() -> None:
        note()

    decorated()
    note()
    lib.set_autocast_enabled("cpu", True)
    note()
    lib.set_autocast_dtype("cpu", lib.float16)
    note()
    lib.set_autocast_dtype("cpu", lib.bfloat16)
    lib.set_autocast_enabled("cpu", False)
    lib.set_autocast_cache_enabled(False)
    note()
    lib.set_autocast_cache_enabled(True)
    seen += [lib.autocast_increment_nesting(), lib.autocast_increment_nesting()]
    seen += [lib.autocast_decrement_nesting(), lib.autocast_decrement_nesting()]
    lib.clear_autocast_cache()
    return seen


def test_blocks_nest() -> None:
    assert _state(retrograd) == _state(torch)


def _train(lib: Any, dtype: str) -> list[Any]:
    model = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.ReLU(), lib.nn.LayerNorm(4), lib.nn.Linear(4, 2))
    with lib.no_grad():
        for k, p in enumerate(model.parameters()):
            p.copy_(lib.sin(lib.arange(1.0, p.numel() + 1) * 2.3 + k).reshape(p.shape) / 2)
    optimizer = lib.optim.SGD(model.parameters(), lr=0.1)
    scaler = lib.amp.GradScaler("cpu", init_scale=8.0)
    x, y = lib.linspace(-1, 1, 18).reshape(6, 3), lib.tensor([0, 1, 0, 1, 1, 0])
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        with lib.autocast("cpu", dtype=getattr(lib, dtype)):
            out = model(x)
            loss = lib.nn.functional.cross_entropy(out, y)
        assert out.dtype is getattr(lib, dtype) and loss.dtype is lib.float32
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        losses.append([loss.item(), *(p.grad.tolist() for p in model.parameters())])
        assert all(p.grad.dtype is lib.float32 for p in model.parameters())
        scaler.step(optimizer)
        scaler.update()
    return losses


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_training_loop(dtype: str) -> None:
    for mine, theirs in zip(_train(retrograd, dtype), _train(torch, dtype), strict=True):
        for a, b in zip(mine, theirs, strict=True):
            torch.testing.assert_close(torch.tensor(a), torch.tensor(b), rtol=0.05, atol=0.02)


def _cached(lib: Any) -> list[bool]:
    w = lib.ones(2, 2, requires_grad=True)
    x = lib.ones(2, 2)
    seen = []
    for flag in (True, False):
        with lib.autocast("cpu", cache_enabled=flag):
            first, second = [(w @ x).grad_fn.next_functions[0][0] for _ in range(2)]
            seen.append(first is second)
    with lib.autocast("cpu"):
        with lib.no_grad():
            w @ x
        seen.append((w @ x).requires_grad)
    return seen


def test_a_parameters_cast_is_kept_for_the_block() -> None:
    assert _cached(retrograd) == _cached(torch)


def _custom(lib: Any) -> list[Any]:
    seen: list[Any] = []

    class Plain(lib.autograd.Function):  # type: ignore[name-defined,misc]
        @staticmethod
        @lib.amp.custom_fwd(device_type="cpu")  # type: ignore[untyped-decorator]
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            seen.append(("forward", lib.is_autocast_enabled("cpu")))
            return x @ x

        @staticmethod
        @lib.amp.custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
        def backward(ctx: Any, g: Any) -> Any:
            seen.append(("backward", lib.is_autocast_enabled("cpu"), str(g.dtype)))
            return g @ ctx.saved_tensors[0]

    class Cast(lib.autograd.Function):  # type: ignore[name-defined,misc]
        @staticmethod
        @lib.amp.custom_fwd(device_type="cpu", cast_inputs=lib.float32)  # type: ignore[untyped-decorator]
        def forward(ctx: Any, x: Any, parts: Any) -> Any:
            seen.append(("cast", lib.is_autocast_enabled("cpu"), str(x.dtype), str(parts["a"][0].dtype)))
            return x * 1

        @staticmethod
        @lib.amp.custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
        def backward(ctx: Any, g: Any) -> Any:
            seen.append(("uncast", lib.is_autocast_enabled("cpu"), str(g.dtype)))
            return g * 1, None

    w = lib.ones(2, 2, requires_grad=True)
    with lib.autocast("cpu"):
        z = Cast.apply(Plain.apply(w), {"a": [w.detach().half()]})
    z.sum().backward()
    return [*seen, str(w.grad.dtype), w.grad.tolist()]


def test_custom_functions_know_their_state() -> None:
    assert _custom(retrograd) == _custom(torch)


WARNED = [
    "torch.autocast('cpu', dtype=torch.float32)._enabled",
    "torch.autocast('cpu', dtype=torch.float64)._enabled",
    "torch.autocast('cuda')._enabled",
    "torch.autocast('cuda', enabled=False)._enabled",
    "torch.autocast('nothing')",
    "torch.autocast(3)",
    "torch.cuda.amp.autocast()._enabled",
    "torch.cpu.amp.autocast()._enabled",
    "torch.cuda.amp.GradScaler().is_enabled()",
    "torch.cpu.amp.GradScaler().is_enabled()",
    "torch.cuda.amp.custom_fwd(lambda ctx: 1) is None",
    "torch.cuda.amp.custom_bwd(lambda ctx: 1) is None",
    "torch.is_autocast_enabled()",
    "torch.is_autocast_cpu_enabled()",
    "str(torch.get_autocast_cpu_dtype())",
    "str(torch.get_autocast_gpu_dtype())",
    "torch.set_autocast_cpu_enabled(False)",
    "torch.is_autocast_enabled('nothing')",
    "torch.amp.is_autocast_available('cpu')",
    "torch.amp.is_autocast_available('cuda')",
]


@pytest.mark.parametrize("text", WARNED)
def test_warnings_and_refusals(text: str) -> None:
    found = []
    for lib in LIBRARIES:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                answer: Any = eval(text, {"torch": lib})
            except Exception as error:
                answer = type(error).__name__
        found.append((answer, [w.category.__name__ for w in caught]))
    assert found[0] == found[1]


def test_autocast_off_leaves_no_trace() -> None:
    x = retrograd.ones(2, 2)
    with retrograd.autocast("cpu"):
        assert (x @ x).dtype is retrograd.bfloat16
    assert (x @ x).dtype is retrograd.float32
    assert not retrograd.core.MODE.special and retrograd.core.MODE.casts is None
