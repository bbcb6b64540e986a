"""Hooks of nodes see sparse gradients as sparse tensors, and pass them on."""

from __future__ import annotations

import retrograd as torch


def test_hooks_around_a_lookup_with_a_sparse_gradient():
    table = torch.ones(4, 2, requires_grad=True)
    looked = torch.nn.functional.embedding(torch.tensor([1, 1, 3]), table, sparse=True)
    seen = []
    looked.grad_fn.register_hook(lambda results, upstream: seen.append(results[0]))
    looked.sum().backward()
    assert seen[0].is_sparse
    assert table.grad.is_sparse
    assert table.grad.to_dense().tolist() == [[0, 0], [2, 2], [0, 0], [1, 1]]
