"""Distances and likenesses of vectors, and the losses made of them."""

from __future__ import annotations

from typing import Any

from .. import _functions as T
from ._common import reduced, reduction_of


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """Cosine of the angle between vectors: x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along ``dim``.

    Raises RuntimeError for integers.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.cosine_similarity(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0]), dim=0)
    tensor(0.7071)
    """
    common = T.result_type(x1, x2)
    if not common.is_floating_point:
        raise RuntimeError(f"expected common dtype to be floating point, yet common dtype is {common}")
    x1, x2 = T.broadcast_tensors(x1.to(common), x2.to(common))
    return (_unit(x1, dim, eps) * _unit(x2, dim, eps)).sum(dim)


def _unit(x: Any, dim: int, eps: float) -> Any:
    """Give vectors divided by their length; the length's floor moves the value and leaves the slope, as in torch."""
    length = T.norm(x, 2, dim, keepdim=True)
    plain = length.detach()
    return x / (length + (T.clamp(plain, min=eps) - plain))


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """Norm of the difference of vectors: |x1 - x2 + eps|_p along the last dimension.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.pairwise_distance(torch.tensor([3.0, 4.0]), torch.zeros(2))
    tensor(5.0000)
    """
    dim = max(x1.dim(), x2.dim()) - 1
    return T.norm(x1 - x2 + eps, p, dim, keepdim=keepdim)


def pdist(input: Any, p: float = 2.0) -> Any:
    """Norms of the differences of all pairs of rows, in order: (N, M) -> (N (N - 1) / 2).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.pdist(torch.tensor([[0.0], [1.0], [3.0]]))
    tensor([1., 3., 2.])
    """
    if input.dim() != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.dim()}D")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    rows = input.shape[0]
    first = [i for i in range(rows) for _ in range(i + 1, rows)]
    second = [j for i in range(rows) for j in range(i + 1, rows)]
    if not first:
        return input.new_zeros(0)
    return T.norm(input[first] - input[second], p, 1)


def cosine_embedding_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """Draw alike vectors together, push others apart: 1 - cos where y = 1, max(0, cos - margin) where y = -1.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.cosine_embedding_loss(torch.ones(2), -torch.ones(2), torch.tensor(1.0))
    tensor(2.)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    wanted = target.dim() + 1
    if target.dim() > 1 or input1.dim() != wanted or input2.dim() != wanted:
        raise RuntimeError(
            f"{target.dim()}D target tensor expects {wanted}D input tensors, but found inputs with sizes "
            f"{list(input1.shape)} and {list(input2.shape)}."
        )
    tiny = 1e-12
    dot = (input1 * input2).sum(-1)
    cosine = dot / T.sqrt((T.square(input1).sum(-1) + tiny) * (T.square(input2).sum(-1) + tiny))
    apart = T.clamp(cosine - margin, min=0)
    losses = T.where(target == 1, 1 - cosine, T.where(target == -1, apart, T.zeros_like(cosine)))
    return reduced(losses, reduction)


def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """Rank the first above the second where y = 1, below where y = -1: max(0, -y (x1 - x2) + margin).

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.margin_ranking_loss(torch.zeros(1), torch.ones(1), torch.ones(1))
    tensor(1.)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if not input1.dim() == input2.dim() == target.dim():
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.size()}, input2: {input2.size()}, target: {target.size()} "
        )
    return reduced(T.clamp(-target * (input1 - input2) + float(margin), min=0), reduction)


def hinge_embedding_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """Loss of distances: x where y = 1, max(0, margin - x) where y = -1.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.hinge_embedding_loss(torch.tensor([0.25, 0.25]), torch.tensor([1.0, -1.0]))
    tensor(0.5000)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    zero = T.zeros_like(input, requires_grad=False)
    apart = T.where(target == 1, zero, T.clamp(margin - input, min=0))
    alike = T.where(target == -1, zero, input)
    return reduced(apart + alike, reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """Keep the anchor nearer to the positive than to the negative: max(0, d(a, p) - d(a, n) + margin).

    ``swap`` takes d(p, n) for d(a, n) where it is smaller.

    Source: Balntas et al. 2016.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.functional.triplet_margin_loss(
    ...     torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1, 2)
    ... ).item()
    1.0
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.dim() == positive.dim() == negative.dim():
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {anchor.dim()}D, positive {positive.dim()}D, and negative {negative.dim()}D inputs"
        )
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = T.minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced(T.clamp(near - far + margin, min=0), reduction)


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Any = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """Triplet loss with a distance of one's own; `pairwise_distance` by default.

    Examples
    --------
    >>> import retrograd as torch
    >>> zero = torch.zeros(1, 2)
    >>> torch.nn.functional.triplet_margin_with_distance_loss(zero, zero, zero).item()
    1.0
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.dim() == positive.dim() == negative.dim():
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {anchor.dim()}D, positive {positive.dim()}D, and negative {negative.dim()}D inputs"
        )
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = T.minimum(far, distance(positive, negative))
    return reduced(T.clamp(near - far + margin, min=0), reduction)
