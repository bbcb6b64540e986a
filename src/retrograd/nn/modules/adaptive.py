"""Adaptive softmax: few frequent classes in a head, the rest in clusters of ever smaller projections."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ...core import wrap
from .. import _functions as T
from .. import functional as F
from .container import ModuleList, Sequential
from .linear import Linear
from .module import Module


class _ASMoutput(NamedTuple):
    """The log probabilities of the targets, and the loss."""

    output: Any
    loss: Any


class AdaptiveLogSoftmaxWithLoss(Module):
    """Softmax over many classes, sorted from frequent to rare, that computes a cluster only where a target is in it.

    The head scores the first ``cutoffs[0]`` classes and one number for each cluster; cluster i projects to
    in_features / div_value^(i + 1) features first. Shapes: input (N, in_features), target (N), or both without N; gives
    the pair (output, loss): the targets' log probabilities (N), and their mean's negative. RuntimeError for targets
    outside of the classes, ValueError for cutoffs that do not increase.

    Source: Grave et al. 2017, https://arxiv.org/abs/1609.04309.

    Examples
    --------
    >>> import retrograd as torch
    >>> layer = torch.nn.AdaptiveLogSoftmaxWithLoss(16, 10, cutoffs=[2, 6])
    >>> layer(torch.ones(3, 16), torch.tensor([0, 5, 9])).output.shape
    torch.Size([3])
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        bounds = list(cutoffs)
        if not bounds:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        if (
            any(int(c) != c for c in bounds)
            or any(b <= a for a, b in pairwise(bounds))
            or bounds[0] <= 0
            or bounds[-1] > n_classes - 1
        ):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where each "
                f"value is between 1 and n_classes-1, but got {bounds} for {n_classes} classes"
            )
        self.in_features, self.n_classes = in_features, n_classes
        self.cutoffs = [*bounds, n_classes]
        self.div_value, self.head_bias = div_value, head_bias
        self.shortlist_size, self.n_clusters = bounds[0], len(bounds)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=head_bias, device=device, dtype=dtype)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            width = int(in_features // div_value ** (i + 1))
            classes = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, width, bias=False, device=device, dtype=dtype),
                    Linear(width, classes, bias=False, device=device, dtype=dtype),
                )
            )

    def reset_parameters(self) -> None:
        """Draw every layer anew."""
        self.head.reset_parameters()
        for projection in self.tail:
            for layer in projection:
                layer.reset_parameters()

    def forward(self, input_: Any, target_: Any) -> _ASMoutput:
        """Give the targets' log probabilities and the loss."""
        batched = target_.dim() > 0
        if target_.dim() > 1:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        if batched and input_.shape[0] != target_.shape[0]:
            raise RuntimeError("Input and target should have the same size in the batch dimension.")
        if input_.dim() != target_.dim() + 1:
            raise RuntimeError(
                f"{target_.dim()}D target tensor expects {target_.dim() + 1}D input tensors, but found inputs with size "
                f"{input_.shape}"
            )
        input, target = (input_, target_) if batched else (input_.unsqueeze(0), target_.unsqueeze(0))
        classes = target._a
        if classes.size and not 0 <= classes.min() <= classes.max() < self.n_classes:
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{classes.min()}, {classes.max()}] were found. "
            )
        cluster = np.searchsorted(self.cutoffs, classes, side="right")  # 0: in the head's list
        places = np.where(cluster == 0, classes, self.shortlist_size + cluster - 1)
        head = F.log_softmax(self.head(input), dim=1)
        output = T.gather(head, 1, wrap(places[:, None].astype(np.int64))).squeeze(1)
        for i in range(1, self.n_clusters + 1):
            rows = np.flatnonzero(cluster == i)
            if rows.size:
                scores = F.log_softmax(self.tail[i - 1](input[wrap(rows)]), dim=1)
                inside = wrap((classes[rows] - self.cutoffs[i - 1])[:, None].astype(np.int64))
                output = T.index_add(output, 0, wrap(rows), T.gather(scores, 1, inside).squeeze(1))
        loss = (-output).mean()
        return _ASMoutput(output if batched else output.squeeze(0), loss)

    def log_prob(self, input: Any) -> Any:
        """Give the log probabilities of all classes: (N, in_features) -> (N, n_classes)."""
        head = F.log_softmax(self.head(input), dim=1)
        parts = [head[:, : self.shortlist_size]]
        for i, projection in enumerate(self.tail):
            place = self.shortlist_size + i
            parts.append(F.log_softmax(projection(input), dim=1) + head[:, place : place + 1])
        return T.cat(parts, 1)

    def predict(self, input: Any) -> Any:
        """Give the likeliest class of each row; clusters are computed only for rows whose head asks for one."""
        output = self.head(input).argmax(1)
        beyond = output >= self.shortlist_size
        if beyond.any():
            output[beyond] = self.log_prob(input[beyond]).argmax(1)
        return output
