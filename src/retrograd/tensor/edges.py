"""Edges that gradients travel: a node, and which of its results the gradient is of."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..core import PICK, Node, at, here, wrap


class GradientEdge(NamedTuple):
    """Where a gradient goes: a node, and which of its results the gradient is of.

    ``autograd.grad`` and ``autograd.backward`` take edges wherever they take tensors, so that a graph can be walked from, or to, values
    that nobody holds any more.
    """

    node: Any
    output_nr: int
    ownership_token: Any = None

    def root(self) -> Node:
        """Give the node that a walk starts at."""
        count = _results(self.node)
        if count == 1:
            return self.node  # type: ignore[no-any-return]
        shape, dtype = self._type()
        attrs = {"index": self.output_nr, "count": count}
        return Node(PICK, (self.node,), attrs, shape, dtype, True, self.node.place, (), None, None)

    def _type(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        node = self.node
        token = self.ownership_token
        if token is not None and token.op is PICK:
            return token.shape, token.dtype
        if _results(node) == 1:
            return node.shape, node.dtype
        if "cls" in node.attrs:
            kind = node.types[self.output_nr]
            return kind.shape, kind.dtype
        kept = node.out[self.output_nr][0] if isinstance(node.out, tuple) else np.empty(node.shape, node.dtype)
        return kept.shape, kept.dtype

    def stand_in(self) -> Any:
        """Give a tensor of the value's type."""
        shape, dtype = self._type()
        return wrap(np.broadcast_to(np.zeros((), dtype), shape))


def _results(node: Node) -> int:
    if node.op is None or node.op.reverse is None:
        return 1
    if "cls" in node.attrs:
        return int(node.attrs["ctx"]._count)
    return int(node.attrs["count"]) if "count" in node.attrs else max(node.op.outputs, 1)


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """Give the edge that a tensor's gradient travels.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> y = (x * 2).exp()
    >>> edge = torch.autograd.graph.get_gradient_edge(y)
    >>> edge.node.name()
    'ExpBackward0'
    >>> torch.autograd.grad(y.sum(), edge)
    (tensor([1., 1.]),)
    """
    if not tensor.requires_grad:
        raise RuntimeError(
            f"It is not possible to get the gradient edge for a Tensor that does not require gradients{at(here())}"
        )
    node = tensor._node
    if node.op is PICK:
        return GradientEdge(node.inputs[0], node.attrs["index"], node)
    return GradientEdge(node, 0)


__all__ = ["GradientEdge", "get_gradient_edge"]
