"""Sparse tensors against PyTorch's: what is printed, computed and refused, gradients, optimizers, files."""

from __future__ import annotations

import io
import re
import warnings
from typing import Any

import pytest

import retrograd

torch = pytest.importorskip("torch")

LIBRARIES = (retrograd, torch)


def _given(lib: Any) -> dict[str, Any]:
    i = lib.tensor([[0, 1, 1], [2, 0, 2]])
    v = lib.tensor([3.0, 4.0, 5.0])
    s = lib.sparse_coo_tensor(i, v, (2, 3))
    twice = lib.sparse_coo_tensor(lib.tensor([[1, 0, 1], [2, 1, 2]]), lib.tensor([1.0, 2.0, 4.0]), (2, 3))
    hybrid = lib.sparse_coo_tensor(lib.tensor([[3, 0, 3]]), lib.arange(6.0).reshape(3, 2), (4, 2))
    c = lib.sparse_csr_tensor(lib.tensor([0, 1, 3]), lib.tensor([2, 0, 1]), lib.tensor([1.0, 2.0, 3.0]), (2, 3))
    dense = lib.arange(6.0).reshape(2, 3)
    return {"torch": lib, "F": lib.nn.functional, "i": i, "v": v, "s": s, "u": twice, "h": hybrid, "c": c, "d": dense}


EXPRESSIONS = """
s; u; h; c; s.coalesce(); u.coalesce(); h.coalesce(); s.t(); s.T; s.mT; s.transpose(0, 1); s.permute(1, 0); s._values(); s._indices()
s * 2; 2 * s; s / 2; -s; s + s; s - s; u + u; s.coalesce() + u.coalesce(); s.coalesce() - u.coalesce(); s * s; s.coalesce() * u.coalesce(); s ** 2; s.pow(3)
d + s; d - s; d * s; s * d; s + d; s - d; s * d[:1]; d + s[0]; s / d; s // 2; d.add(s, alpha=2); torch.add(d, s); torch.mul(d, s); torch.sub(d, s)
s.sqrt(); s.abs(); s.relu(); s.tanh(); s.sin(); s.asinh(); s.erf(); s.expm1(); s.log1p(); s.floor(); s.round(); s.neg(); torch.square(s); s.isnan()
s.exp(); s.log(); s.cos(); s > 0; s == s; s.max(); s.mean(); s.nonzero(); s.view(-1); s.reshape(6); s.flatten(); s.squeeze(); s.narrow(0, 0, 1)
s.sum(); s.sum(0); s.sum(1); s.sum((0, 1)); h.sum(1); h.sum(0); torch.sparse.sum(s); torch.sparse.sum(s, 0); torch.sparse.sum(u, [1]); torch.sparse.sum(s, dtype=torch.float64)
torch.sparse.softmax(s, 1); torch.sparse.softmax(s, 0); torch.sparse.log_softmax(s, 1); torch.sparse.softmax(h, 1); torch.sparse.softmax(u, 1, dtype=torch.float64)
s[0]; s[0, 2]; s[-1]; s[5]; s[:, 1:]; s[i]; s.select(1, 2); list(s); s.unbind(); s.index_select(0, torch.tensor([1])); s.index_select(1, torch.tensor([2, 0, 2]))
s.unsqueeze(0); s.unsqueeze(2); torch.cat([s, u]); torch.cat([s, u], 1); torch.stack([s, u]); torch.cat([h, h], 1)
s.to_dense(); u.to_dense(); h.to_dense(); c.to_dense(); s.to_dense(torch.float64); d.to_sparse(); d.to_sparse(1); d.to_sparse(3); d.to_dense()
d.sparse_mask(s.coalesce()); d.sparse_mask(s); d.sparse_mask(d); s.to_sparse(); s.to_sparse_csr(); s.to_sparse_csc(); s.to_sparse(layout=torch.sparse_csr)
s.float(); s.double(); s.long(); s.half(); s.bool(); s.to(torch.float64); s.to("cpu"); s.type(); s.type(torch.float64); s.clone(); s.detach(); s.data; s.cpu()
s @ torch.ones(3, 2); torch.mm(s, torch.ones(3, 2)); torch.spmm(s, torch.ones(3, 2)); torch.sparse.mm(u, torch.ones(3, 2)); torch.dsmm(s, torch.ones(3, 2))
s @ torch.ones(3); torch.mv(s, torch.ones(3)); s.matmul(torch.ones(3, 1)); torch.ones(2, 2) @ s; torch.ones(4, 2).mm(s); s.mm(torch.ones(2, 2)); s @ torch.ones(4)
s @ s.t(); torch.sparse.mm(u, s.t()); torch.mm(s, torch.ones(3, 2, dtype=torch.float64)); torch.bmm(torch.stack([s, u]), torch.ones(2, 3, 2)); torch.smm(s, torch.ones(3, 2))
torch.sparse.addmm(torch.ones(2, 2), s, torch.ones(3, 2), beta=2, alpha=0.5); torch.addmm(torch.ones(2, 2), s, torch.ones(3, 2)); F.linear(s, torch.ones(4, 3))
s.is_sparse; s.layout; s.shape; s.size(0); s.dim(); s.ndim; s.numel(); s.nelement(); s._nnz(); s.sparse_dim(); h.dense_dim(); s.is_coalesced(); s.dtype; s.device; len(s); s.is_contiguous()
s.values(); s.indices(); s.coalesce().values(); s.coalesce().indices(); s.numpy(); s.tolist(); s.item(); bool(s); float(s); s.data_ptr(); s.stride(); s.crow_indices()
d.coalesce(); d.values(); d.indices(); d.is_coalesced(); d._nnz(); d.sparse_dim(); d.dense_dim(); d.crow_indices(); d.is_sparse; d.is_sparse_csr
c.crow_indices(); c.col_indices(); c.values(); c.is_sparse; c.is_sparse_csr; c.layout; c._nnz(); c @ torch.ones(3, 2); c @ torch.ones(3); c.t(); c * 2; c.abs(); c.sin(); c.clone(); c.double(); c.indices(); c.is_coalesced(); c.coalesce()
torch.ones(4, 2) @ c.to_sparse(); c.to_sparse(); c.to_sparse_coo(); c.to_sparse_csc(); torch.addmm(torch.ones(2, 2), c, torch.ones(3, 2)); c + c; d + c; c.transpose(0, 1); torch.sparse.mm(c, torch.ones(3, 2))
torch.sparse.mm(c, d.t(), "mean"); torch.sparse.mm(c, d.t(), "amax"); torch.sparse.mm(c, d.t(), "min"); torch.sparse.mm(c, d.t(), "prod"); torch.sparse.mm(c.to_sparse_csc(), d.t(), "mean")
torch.sparse.mm(torch.sparse_csr_tensor([0, 0, 2], [0, 1], [1.0, 2.0], (2, 3)), d.t(), "max"); torch.sparse.mm(torch.zeros(2, 3).to_sparse_csr(), d.t(), "amin"); torch.sparse.mm(s, d.t(), "mean")
torch.sparse_coo_tensor(i, v); torch.sparse_coo_tensor(i, v, dtype=torch.float64); torch.sparse_coo_tensor((2, 3)); torch.sparse_coo_tensor(size=(2, 3)); torch.sparse_coo_tensor([[0, 1]], [True, False])
torch.sparse_coo_tensor([0, 1], v); torch.sparse_coo_tensor(i, [1.0]); torch.sparse_coo_tensor(i, v, (2, 3, 4)); torch.sparse_coo_tensor(i, [1, 2, 3], (2, 3)); torch.sparse_coo_tensor(i, v, (2, 3), requires_grad=True)
torch.sparse_csr_tensor([0, 1, 3], [1, 0, 1], [1.0, 2, 3]); torch.sparse_csc_tensor([0, 1, 3], [1, 0, 1], [1.0, 2, 3]); torch.sparse_csr_tensor([0, 1], [0], [1.0], requires_grad=True); torch.eye(3).to_sparse_csr(); torch.eye(3).to_sparse_csc()
torch.zeros_like(s); torch.empty_like(s); s.new_zeros(2); s.new(i, v, (2, 3)); s.add_(u.coalesce()); s.mul_(3); s.copy_(u); s.neg_(); s.zero_(); d.add_(s); torch.ones(2, 2).addmm_(s, torch.ones(3, 2)); s.div_(2)
torch.is_tensor(s); isinstance(s, torch.Tensor); torch.sparse.FloatTensor; isinstance(s, torch.sparse.FloatTensor); isinstance(s, torch.sparse.DoubleTensor); s.any(); torch.hspmm(s, torch.ones(3, 2)); s.is_floating_point()
torch.sparse.spdiags(torch.arange(9.0).reshape(3, 3), torch.tensor([0, -1, 2]), (3, 4)).to_dense(); torch.sparse.spdiags(v, torch.tensor([1]), (3, 3), layout=torch.sparse_csr).to_dense()
torch.sparse.sampled_addmm(s, d, d.t()); torch.sparse.spdiags(v, torch.tensor([1, 2]), (3, 3)); torch.sparse.spdiags(v, torch.tensor([1]), (3,))
torch.sparse_coo_tensor(torch.zeros(2, 0, dtype=torch.int64), torch.zeros(0), (2, 3)) @ torch.ones(3, 2); torch.sparse_coo_tensor(i * 40, torch.arange(3000.0)[::1000], (41, 90)); torch.eye(40).to_sparse()
"""
CASES = [e.strip() for line in EXPRESSIONS.strip().splitlines() for e in line.split(";")]


def _answer(lib: Any, text: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = eval(text, _given(lib))
        except Exception as error:
            kind = next(k for k in type(error).__mro__ if k.__module__ == "builtins")
            return f"raises {kind.__name__}"
    return re.sub(r"<(built-in|bound) method.*", "<method>", str(found))


@pytest.mark.parametrize("text", CASES)
def test_the_answer_is_torchs(text: str) -> None:
    assert _answer(retrograd, text) == _answer(torch, text)


GRADIENTS = [
    "torch.sparse.mm(s, d)",
    "s.coalesce() @ d",
    "s.to_dense() * 2",
    "torch.sparse.sum(s, 0).to_dense()",
    "torch.sparse.softmax(s, 1).to_dense() ** 2",
    "torch.sparse.log_softmax(s, 0).to_dense()",
    "(s * s).to_dense()",
    "e + s",
    "(s.coalesce() + (2 * s).coalesce()).to_dense()",
    "s.coalesce().values() ** 2",
    "torch.sparse.mm(s, s.t()).to_dense()",
    "torch.sparse.addmm(torch.ones(2, 2), s, d)",
    "s.to_sparse_csr() @ d",
    *(f"torch.sparse.mm(s.to_sparse_csr(), d.relu(), {how!r})" for how in ("sum", "mean", "amax", "amin")),
    "s.double().to_dense()",
]


@pytest.mark.parametrize("text", GRADIENTS)
def test_gradients_of_values_and_dense_operands(text: str) -> None:
    found = []
    for lib in LIBRARIES:
        v = lib.tensor([0.5, -1.0, 2.0, 1.5], requires_grad=True)
        s = lib.sparse_coo_tensor(lib.tensor([[0, 1, 1, 0], [2, 0, 2, 2]]), v, (2, 3))
        d = lib.linspace(-1, 1, 6).reshape(3, 2).requires_grad_()
        e = lib.linspace(0, 1, 6).reshape(2, 3).requires_grad_()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            y = eval(text, {"torch": lib, "s": s, "d": d, "e": e})
            (y.double() * lib.arange(1.0, y.numel() + 1).reshape(y.shape)).sum().backward()
        found.append([None if t.grad is None else t.grad.tolist() for t in (v, d, e)])
    for mine, theirs in zip(*found, strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            torch.testing.assert_close(torch.tensor(mine), torch.tensor(theirs))


@pytest.mark.parametrize("make", ["to_sparse", "to_sparse_csr"])
def test_a_sparse_leaf_gets_a_gradient_at_its_places(make: str) -> None:
    found = []
    for lib in LIBRARIES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            s = getattr(lib.eye(3) + lib.ones(3, 3).triu(), make)().requires_grad_()
            (lib.sparse.mm(s, lib.arange(6.0).reshape(3, 2)) ** 2).sum().backward()
            found.append((str(s.grad), s.is_leaf, s.requires_grad))
    assert found[0] == found[1]


def test_second_derivatives_pass_through_products() -> None:
    v = retrograd.tensor([1.0, 2.0], dtype=retrograd.float64, requires_grad=True)
    x = retrograd.tensor([[1.0], [3.0]], dtype=retrograd.float64, requires_grad=True)

    def fn(v: Any, x: Any) -> Any:
        return retrograd.sparse.mm(retrograd.sparse_coo_tensor([[0, 1], [1, 0]], v, (2, 2)), x * x)

    assert retrograd.autograd.gradcheck(fn, (v, x))
    assert retrograd.autograd.gradgradcheck(fn, (v, x))


def _special(lib: Any) -> Any:
    class SpecialSpmm(lib.autograd.Function):  # type: ignore[name-defined,misc]
        @staticmethod
        def forward(ctx: Any, indices: Any, values: Any, shape: Any, b: Any) -> Any:
            a = lib.sparse_coo_tensor(indices, values, shape)
            ctx.save_for_backward(a, b)
            ctx.n = shape[0]
            return lib.matmul(a, b)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            a, b = ctx.saved_tensors
            places = a._indices()[0, :] * ctx.n + a._indices()[1, :]
            return None, g.matmul(b.t()).view(-1)[places], None, a.t().matmul(g)

    return SpecialSpmm


def test_a_custom_function_on_sparse_tensors() -> None:
    found = []
    for lib in LIBRARIES:
        i = lib.tensor([[0, 1, 1, 2], [2, 0, 2, 1]])
        v, b = lib.tensor([1.0, 2, 3, 4]).requires_grad_(), lib.arange(6.0).reshape(3, 2).requires_grad_()
        (_special(lib).apply(i, v, lib.Size([3, 3]), b) ** 2).sum().backward()
        found.append((v.grad.tolist(), b.grad.tolist()))
    assert found[0] == found[1]


OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "maximize": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.2}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    ("SparseAdam", {"lr": 0.1}),
    ("SparseAdam", {"lr": 0.1, "maximize": True, "betas": (0.8, 0.9), "eps": 1e-3}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.01, "initial_accumulator_value": 0.2}),
    ("Adagrad", {"lr": 0.1, "weight_decay": 0.1}),
    ("Adam", {}),
    ("AdamW", {}),
    ("RMSprop", {}),
    ("Adamax", {}),
]


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_steps_on_sparse_gradients(name: str, options: dict[str, Any]) -> None:
    found = []
    for lib in LIBRARIES:
        table = lib.nn.Embedding(6, 2, padding_idx=0, sparse=True, _weight=lib.arange(12.0).reshape(6, 2) / 10)
        other = lib.nn.Parameter(lib.ones(2))
        optimizer = getattr(lib.optim, name)(
            [table.weight] if name == "SparseAdam" else [table.weight, other], **options
        )
        try:
            for batch in ([[1, 2], [0, 2]], [[3, 2], [1, 1]], [[5, 0], [0, 0]]):
                optimizer.zero_grad()
                ((table(lib.tensor(batch)) * other) ** 2).sum().backward()
                assert table.weight.grad.is_sparse
                optimizer.step()
            found.append((table.weight.tolist(), other.tolist(), str(table.weight.grad)))
        except RuntimeError as error:
            found.append(str(error))  # type: ignore[arg-type]
    if isinstance(found[0], str):
        assert found[0] == found[1]
    else:
        for mine, theirs in zip(found[0][:2], found[1][:2], strict=True):
            torch.testing.assert_close(torch.tensor(mine), torch.tensor(theirs))
        assert found[0][2].split("values")[0] == found[1][2].split("values")[0]


def test_sparse_gradients_add_up() -> None:
    found = []
    for lib in LIBRARIES:
        table = lib.nn.Embedding(5, 2, sparse=True, _weight=lib.ones(5, 2))
        shown = []
        table(lib.tensor([1])).sum().backward()
        table(lib.tensor([3, 1])).sum().backward()
        shown.append(str(table.weight.grad.coalesce()))
        (table(lib.tensor([1])).sum() + table(lib.tensor([2])).sum()).backward()
        shown.append(str(table.weight.grad.coalesce()))
        shown.append(str(lib.autograd.grad(table(lib.tensor([1])).sum(), table.weight)[0]))
        (table(lib.tensor([1])).sum() + table.weight.sum()).backward()
        shown.append(str(table.weight.grad))
        bag = lib.nn.EmbeddingBag(5, 2, mode="sum", sparse=True, _weight=lib.ones(5, 2))
        bag(lib.tensor([1, 2, 2]), lib.tensor([0, 2])).sum().backward()
        shown.append(str(bag.weight.grad.coalesce()))
        found.append(shown)
    assert found[0] == found[1]


def test_files_go_both_ways() -> None:
    for writer, reader in (LIBRARIES, LIBRARIES[::-1]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            given = _given(writer)
            file = io.BytesIO()
            writer.save({name: given[name] for name in "suhc"}, file)
            read = [reader.load(io.BytesIO(file.getvalue()), weights_only=flag) for flag in (True, False)]
            for name in "suhc":
                assert str(read[0][name]) == str(read[1][name]) == str(given[name])
