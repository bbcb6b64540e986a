"""torch.functional: the functions that torch writes in Python, which are torch's own."""

from __future__ import annotations

from typing import Any

NAMES = (
    *(
        "atleast_1d",
        "atleast_2d",
        "atleast_3d",
        "block_diag",
        "broadcast_shapes",
        "broadcast_tensors",
        "cartesian_prod",
    ),
    *("cdist", "chain_matmul", "einsum", "istft", "lu", "meshgrid", "norm", "pca_lowrank", "split", "stft"),
    *("svd_lowrank", "tensordot", "unique", "unique_consecutive", "unravel_index", "Tensor"),
)


def __getattr__(name: str) -> Any:
    import retrograd as torch

    if name in NAMES:
        return getattr(torch, name)
    if name == "F":
        return torch.nn.functional
    from .utils._names import missing

    raise missing(__name__, name, NAMES)


def __dir__() -> list[str]:
    return [*NAMES, "F"]
