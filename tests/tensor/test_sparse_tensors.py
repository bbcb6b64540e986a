"""Sparse tensors without another library: derivatives to second order, and layouts that agree with each other."""

from __future__ import annotations

from typing import Any

import pytest

import retrograd as torch

PLACES = [[0, 1, 1, 0, 1], [2, 0, 2, 2, 1]]
FORMS: dict[str, Any] = {
    "dense": lambda s, d: s.to_dense(),
    "product": lambda s, d: torch.sparse.mm(s, d),
    "sparse product": lambda s, d: (s @ s.t()).to_dense(),
    "transpose": lambda s, d: s.t().to_dense(),
    "elementwise": lambda s, d: (s * s + 2 * s).to_dense(),
    "with dense": lambda s, d: (s * d.t()).to_dense(),
    "tanh": lambda s, d: s.tanh().to_dense(),
    "rows": lambda s, d: s.index_select(0, torch.tensor([1, 1, 0])).to_dense(),
    "a row": lambda s, d: s[1].to_dense(),
    "joined": lambda s, d: torch.cat([s, s], 1).to_dense(),
    "sum": lambda s, d: s.sum(1).to_dense(),
    "softmax": lambda s, d: torch.sparse.softmax(s, 1).to_dense(),
    "log softmax": lambda s, d: torch.sparse.log_softmax(s, 0).to_dense(),
    "by rows": lambda s, d: s.to_sparse_csr() @ d,
    "by columns": lambda s, d: s.to_sparse_csc() @ d,
    "batch": lambda s, d: torch.bmm(torch.stack([s, s]), torch.stack([d, d])),
    "vector": lambda s, d: s @ d[:, 0],
}


@pytest.mark.parametrize("name", FORMS)
def test_derivatives_to_second_order(name: str) -> None:
    v = torch.tensor([0.5, -1.0, 2.0, 1.5, 0.7], dtype=torch.float64, requires_grad=True)
    d = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(3, 2).requires_grad_()

    def fn(v: Any, d: Any) -> Any:
        return FORMS[name](torch.sparse_coo_tensor(PLACES, v, (2, 3)), d)

    assert torch.autograd.gradcheck(fn, (v, d))
    assert torch.autograd.gradgradcheck(fn, (v, d))


def test_layouts_hold_the_same_elements() -> None:
    dense = torch.tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0], [0.0, 0.0, 0.0]])
    for layout in (torch.sparse_coo, torch.sparse_csr, torch.sparse_csc):
        s = dense.to_sparse(layout=layout)
        assert s.layout is layout and torch.equal(s.to_dense(), dense) and torch.equal(s.t().to_dense(), dense.t())
        for other in (torch.sparse_coo, torch.sparse_csr, torch.sparse_csc):
            assert torch.equal(s.to_sparse(layout=other).to_dense(), dense)
        assert torch.equal(s @ dense, dense @ dense)


def test_a_parameter_times_a_sparse_tensor() -> None:
    w = torch.nn.Parameter(torch.ones(2, 2))
    s = torch.eye(2).to_sparse()
    (w @ s + (w * s).to_dense()).sum().backward()
    assert w.grad.tolist() == [[2.0, 1.0], [1.0, 2.0]]


def test_a_module_keeps_a_sparse_buffer() -> None:
    module = torch.nn.Linear(2, 2)
    module.register_buffer("adjacency", torch.eye(3).to_sparse())
    assert module.double().adjacency.dtype is torch.float64
    other = torch.nn.Linear(2, 2)
    other.register_buffer("adjacency", torch.zeros(3, 3).to_sparse())
    other.load_state_dict(module.state_dict())
    assert torch.equal(other.adjacency.to_dense(), torch.eye(3))
