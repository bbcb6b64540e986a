"""Masks of attention given by functions of places, and which blocks of the score matrix they leave something in."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable
from typing import Any

from ...core import dtypes
from ...core.device import check_device
from .. import _functions as T
from .. import functional as F

__all__ = ["BlockMask", "and_masks", "create_block_mask", "create_mask", "noop_mask", "or_masks"]

BLOCK = 128
_TENSORS = (
    "kv_num_blocks",
    "kv_indices",
    "full_kv_num_blocks",
    "full_kv_indices",
    "q_num_blocks",
    "q_indices",
    "full_q_num_blocks",
    "full_q_indices",
)
Mod = Callable[..., Any]


def noop_mask(batch: Any, head: Any, token_q: Any, token_kv: Any) -> Any:
    """Let every query see every key."""
    return batch.new_ones((), dtype=dtypes.bool_)


def sliced(batch: Any, head: Any, token_q: Any, token_kv: Any) -> Any:
    """Stand for the function of a mask that was taken apart by indexing, whose places have moved: RuntimeError."""
    raise RuntimeError(
        "Cannot use mask_mod from a sliced BlockMask: its places are no longer those the function was written for. Set "
        "it anew, from the mask_mod of the BlockMask that was sliced."
    )


def _joined(name: str, mods: tuple[Mod, ...], start: bool, join: Callable[[Any, Any], Any]) -> Mod:
    if not all(callable(mod) for mod in mods):
        raise RuntimeError(f"All inputs should be callable mask_mods: {mods}")

    def mask(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        result = b.new_full((), start, dtype=dtypes.bool_)
        for mod in mods:
            result = join(result, mod(b, h, q_idx, kv_idx))
        return result

    mask.__name__ = name
    return mask


def or_masks(*mask_mods: Mod) -> Mod:
    """Give the mask that permits what one of several permits.

    Parameters
    ----------
    *mask_mods : callable
        Functions of (batch, head, query, key).

    Examples
    --------
    >>> from retrograd.nn.attention.flex_attention import create_mask, or_masks
    >>> near = or_masks(lambda b, h, q, k: q == k, lambda b, h, q, k: q == k + 1)
    >>> create_mask(near, None, None, 2, 2)
    tensor([[[[ True, False],
              [ True,  True]]]])
    """
    return _joined("or_mask", mask_mods, False, lambda x, y: x | y)


def and_masks(*mask_mods: Mod) -> Mod:
    """Give the mask that permits what all of several permit.

    Parameters
    ----------
    *mask_mods : callable
        Functions of (batch, head, query, key).

    Examples
    --------
    >>> from retrograd.nn.attention.flex_attention import and_masks, create_mask
    >>> near = and_masks(lambda b, h, q, k: q >= k, lambda b, h, q, k: q - k < 2)
    >>> create_mask(near, None, None, 3, 3).long()
    tensor([[[[1, 0, 0],
              [1, 1, 0],
              [0, 1, 1]]]])
    """
    return _joined("and_mask", mask_mods, True, lambda x, y: x & y)


def places(batch: int, heads: int, queries: int, keys: int) -> tuple[Any, Any, Any, Any]:
    """Give the numbers of batch item, head, query and key, each along its own dimension of four."""
    return (
        T.arange(batch).view(-1, 1, 1, 1),
        T.arange(heads).view(-1, 1, 1),
        T.arange(queries).view(-1, 1),
        T.arange(keys),
    )


def _arguments(mod: Mod) -> int:
    """Count the arguments a function must be given: 5 for one of scores, 4 for a mask; AssertionError for others."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    wanted = [p for p in inspect.signature(mod).parameters.values() if p.default is p.empty and p.kind in kinds]
    if len(wanted) not in (4, 5):
        raise AssertionError(f"Expected 4 or 5 positional args, got {len(wanted)}")
    return len(wanted)


def create_mask(mod_fn: Mod, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = None) -> Any:
    """Give the mask (B, H, Q_LEN, KV_LEN) that a function describes: True where a query sees a key.

    Parameters
    ----------
    mod_fn : callable
        A mask, of (batch, head, query, key), or a function of (score, batch, head, query, key), which hides where it
        gives -inf.
    B, H : int, optional
        Numbers of batch items and heads; None for 1.
    Q_LEN, KV_LEN : int
        Numbers of queries and keys.
    device : optional
        The CPU.

    Examples
    --------
    >>> from retrograd.nn.attention.flex_attention import create_mask
    >>> create_mask(lambda b, h, q, k: q >= k, None, None, 2, 2)
    tensor([[[[ True, False],
              [ True,  True]]]])
    """
    check_device(device)
    shape = (B or 1, H or 1, Q_LEN, KV_LEN)
    where = places(*shape)
    if _arguments(mod_fn) == 4:
        return mod_fn(*where).expand(shape).contiguous()
    return T.isneginf(mod_fn(T.zeros(shape), *where).expand(shape)).logical_not()


def _ordered(dense: Any) -> tuple[Any, Any]:
    """Give, for each row of blocks, how many are set, and all columns with those that are set first."""
    dense = dense.to(dtypes.int32)
    columns = T.argsort(dense, dim=-1, descending=True, stable=True)
    return dense.sum(-1).to(dtypes.int32), columns.to(dtypes.int32)


def _dense(counts: Any, columns: Any, width: int) -> Any:
    """Undo `_ordered`: 1 where a block is set."""
    set_ = T.arange(columns.shape[-1]) < counts.unsqueeze(-1)
    wide = counts.new_zeros((*columns.shape[:-1], width + 1))
    return wide.scatter(-1, T.where(set_, columns, width).long(), 1)[..., :width].contiguous()


def _transposed(counts: Any, columns: Any) -> tuple[Any, Any]:
    return _ordered(_dense(counts, columns, columns.shape[-1]).transpose(-2, -1))


class BlockMask:
    """Which blocks of the score matrix a mask leaves something in, and the function that is the mask.

    Parameters
    ----------
    seq_lengths : (int, int)
        Numbers of queries and keys.
    kv_num_blocks, kv_indices : Tensor
        For each row of blocks, how many are seen in part, and which.
    full_kv_num_blocks, full_kv_indices : Tensor, optional
        The same of blocks that are seen whole.
    q_num_blocks, q_indices, full_q_num_blocks, full_q_indices : Tensor, optional
        The same for each column of blocks.
    BLOCK_SIZE : (int, int)
        Queries and keys in a block.
    mask_mod : callable
        The mask, of (batch, head, query, key).

    Examples
    --------
    >>> from retrograd.nn.attention.flex_attention import create_block_mask
    >>> mask = create_block_mask(lambda b, h, q, k: q >= k, None, None, 256, 256)
    >>> mask.shape, mask.sparsity()
    ((1, 1, 256, 256), 25.0)
    """

    def __init__(
        self,
        seq_lengths: tuple[int, int],
        kv_num_blocks: Any,
        kv_indices: Any,
        full_kv_num_blocks: Any,
        full_kv_indices: Any,
        q_num_blocks: Any,
        q_indices: Any,
        full_q_num_blocks: Any,
        full_q_indices: Any,
        BLOCK_SIZE: tuple[int, int] = (BLOCK, BLOCK),
        mask_mod: Mod = noop_mask,
    ) -> None:
        if kv_indices.dim() < 2:
            raise RuntimeError("BlockMask must have at least 2 dimensions")
        for name, counts, columns in (
            ("kv", full_kv_num_blocks, full_kv_indices),
            ("q", full_q_num_blocks, full_q_indices),
        ):
            if (counts is None) != (columns is None):
                raise AssertionError(f"full_{name}_num_blocks and full_{name}_indices must be both provided or omitted")
        self.seq_lengths, self.BLOCK_SIZE, self.mask_mod = seq_lengths, BLOCK_SIZE, mask_mod
        self.kv_num_blocks, self.kv_indices = kv_num_blocks, kv_indices
        self.full_kv_num_blocks, self.full_kv_indices = full_kv_num_blocks, full_kv_indices
        self.q_num_blocks, self.q_indices = q_num_blocks, q_indices
        self.full_q_num_blocks, self.full_q_indices = full_q_num_blocks, full_q_indices

    @classmethod
    def from_kv_blocks(
        cls,
        kv_num_blocks: Any,
        kv_indices: Any,
        full_kv_num_blocks: Any = None,
        full_kv_indices: Any = None,
        BLOCK_SIZE: int | tuple[int, int] = BLOCK,
        mask_mod: Mod | None = None,
        seq_lengths: tuple[int, int] | None = None,
        compute_q_blocks: bool = True,
    ) -> BlockMask:
        """Make one of the blocks of each row; the columns' are found from them."""
        if kv_indices.dim() < 2:
            raise RuntimeError("BlockMask must have at least 2 dimensions")
        if (full_kv_num_blocks is None) != (full_kv_indices is None):
            raise AssertionError("full_kv_num_blocks and full_kv_indices must be both provided or omitted")
        size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
        nothing = (None, None)
        columns: tuple[Any, ...] = _transposed(kv_num_blocks, kv_indices) if compute_q_blocks else nothing
        whole = compute_q_blocks and full_kv_num_blocks is not None
        full_columns: tuple[Any, ...] = _transposed(full_kv_num_blocks, full_kv_indices) if whole else nothing
        if seq_lengths is None:
            seq_lengths = (kv_indices.shape[-2] * size[0], kv_indices.shape[-1] * size[1])
        return cls(
            seq_lengths,
            kv_num_blocks,
            kv_indices,
            full_kv_num_blocks,
            full_kv_indices,
            columns[0],
            columns[1],
            full_columns[0],
            full_columns[1],
            size,
            mask_mod or noop_mask,
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Batch items, heads, queries and keys."""
        return (*self.kv_indices.shape[:-2], *self.seq_lengths)

    def as_tuple(self, flatten: bool = True) -> tuple[Any, ...]:
        """Give lengths, tensors, block sizes and function; lengths and sizes as pairs unless ``flatten``."""
        lengths = self.seq_lengths if flatten else (self.seq_lengths,)
        sizes = self.BLOCK_SIZE if flatten else (self.BLOCK_SIZE,)
        return (*lengths, *(getattr(self, name) for name in _TENSORS), *sizes, self.mask_mod)

    def numel(self) -> int:
        """Give the number of scores."""
        return math.prod(self.shape)

    def sparsity(self) -> float:
        """Give the share of scores, in percent, that lie in blocks nobody sees."""
        seen = int(self.kv_num_blocks.sum())
        if self.full_kv_num_blocks is not None:
            seen += int(self.full_kv_num_blocks.sum())
        return 100 * (1 - seen * self.BLOCK_SIZE[0] * self.BLOCK_SIZE[1] / self.numel())

    def to_dense(self) -> Any:
        """Give a matrix of blocks, 1 where something is seen."""
        width = self.kv_indices.shape[-1]
        dense = _dense(self.kv_num_blocks, self.kv_indices, width)
        if self.full_kv_num_blocks is not None:
            dense = dense | _dense(self.full_kv_num_blocks, self.full_kv_indices, self.full_kv_indices.shape[-1])
        return dense

    def to_string(self, grid_size: int | tuple[int, int] = (20, 20), limit: int = 4) -> str:
        """Draw the blocks of up to ``limit`` heads, each in at most ``grid_size`` characters (-1 for all)."""
        dense = self.to_dense().float()
        *lead, rows, columns = dense.shape
        height, width = (grid_size, grid_size) if isinstance(grid_size, int) else grid_size
        down, across = (max(1, -(-n // most)) if most > 0 else 1 for n, most in ((rows, height), (columns, width)))
        drawn = []
        for count, place in enumerate(itertools.product(*map(range, lead))):
            if count == limit:
                drawn += ["...", "To print out more, set BlockMask.to_string(limit=N)"]
                drawn.append("You can also index (BlockMask[batch, head]) to choose a specific batch or head")
                break
            lines = [f"{place}"]
            for r in range(0, rows, down):
                shares = [float(dense[place][r : r + down, c : c + across].mean()) for c in range(0, columns, across)]
                lines.append("".join("██" if s == 1 else "  " if s == 0 else "░░" for s in shares))
            drawn.append("\n".join(lines) + "\n")
        return "\n".join(drawn)

    def to(self, device: Any) -> BlockMask:
        """Move to a device, which can only be the CPU."""
        moved: dict[str, Any] = {name: getattr(self, name) for name in _TENSORS}
        moved = {name: None if held is None else held.to(device) for name, held in moved.items()}
        return BlockMask(self.seq_lengths, **moved, BLOCK_SIZE=self.BLOCK_SIZE, mask_mod=self.mask_mod)

    def _adjust(self, new_q_len: int, new_kv_len: int) -> BlockMask:
        """Give the mask of the upper left part, for fewer queries and keys."""
        rows, columns = -(-new_q_len // self.BLOCK_SIZE[0]), -(-new_kv_len // self.BLOCK_SIZE[1])
        kept: dict[str, Any] = {}
        for kind in ("kv", "full_kv"):
            counts, indices = getattr(self, f"{kind}_num_blocks"), getattr(self, f"{kind}_indices")
            if counts is not None:
                dense = _dense(counts, indices, indices.shape[-1])[:, :, :rows, :columns]
                kept[f"{kind}_num_blocks"], kept[f"{kind}_indices"] = _ordered(dense)
        return self._remade(kept, self.mask_mod, (new_q_len, new_kv_len))

    def __getitem__(self, index: Any) -> BlockMask:
        chosen = (*(index if isinstance(index, tuple) else (index,)), *([slice(None)] * 3))[:3]
        sizes = self.kv_num_blocks.shape
        places_ = tuple(
            slice(range(n)[i], range(n)[i] + 1) if isinstance(i, int) else i
            for i, n in zip(chosen, sizes, strict=False)
        )
        rows: dict[str, Any] = {name: getattr(self, name) for name in _TENSORS[:4]}
        rows = {name: None if held is None else held[places_] for name, held in rows.items()}
        return self._remade(rows, sliced, self.seq_lengths)

    def _remade(self, rows: dict[str, Any], mask_mod: Mod, seq_lengths: tuple[int, int]) -> BlockMask:
        return BlockMask.from_kv_blocks(
            **rows,
            BLOCK_SIZE=self.BLOCK_SIZE,
            mask_mod=mask_mod,
            seq_lengths=seq_lengths,
            compute_q_blocks=self.q_indices is not None,
        )

    def __str__(self) -> str:
        return f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%, \n{self.to_string().strip()}\n)"

    def __repr__(self) -> str:
        shapes = {name: getattr(getattr(self, name), "shape", None) for name in _TENSORS}
        lines = [f"{name}={shape}" for name, shape in shapes.items()]
        lines += [f"BLOCK_SIZE={self.BLOCK_SIZE}", f"shape={self.shape}", f"sparsity={self.sparsity():.2f}%"]
        lines.append(f"mask_mod={getattr(self.mask_mod, '__name__', self.mask_mod)}")
        return "BlockMask(\n    " + ",\n    ".join(lines) + "\n)"


def create_block_mask(
    mask_mod: Mod,
    B: int | None,
    H: int | None,
    Q_LEN: int,
    KV_LEN: int,
    device: Any = None,
    BLOCK_SIZE: int | tuple[int, int] = BLOCK,
    _compile: bool = False,
    separate_full_blocks: bool = True,
) -> BlockMask:
    """Find the blocks of the score matrix that a mask leaves something in.

    Parameters
    ----------
    mask_mod : callable
        The mask, of (batch, head, query, key), written for tensors of any shape: True where the query sees the key.
    B, H : int, optional
        Numbers of batch items and heads that differ; None where all are alike.
    Q_LEN, KV_LEN : int
        Numbers of queries and keys.
    device : optional
        The CPU.
    BLOCK_SIZE : int or (int, int)
        Queries and keys in a block.
    _compile : bool
        Changes nothing.
    separate_full_blocks : bool
        Tell blocks that are seen whole from those seen in part.

    Examples
    --------
    >>> from retrograd.nn.attention.flex_attention import create_block_mask
    >>> print(create_block_mask(lambda b, h, q, k: q >= k, None, None, 384, 384).to_dense())
    tensor([[[[1, 0, 0],
              [1, 1, 0],
              [1, 1, 1]]]], dtype=torch.int32)
    """
    if _arguments(mask_mod) != 4:
        raise AssertionError(f"create-block_mask requires a mask_mod function! Got {mask_mod}")
    size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
    mask = create_mask(mask_mod, B, H, Q_LEN, KV_LEN, device)
    mask = F.pad(mask, (0, -KV_LEN % size[1], 0, -Q_LEN % size[0]))
    rows, columns = mask.shape[2] // size[0], mask.shape[3] // size[1]
    counts = mask.view(*mask.shape[:2], rows, size[0], columns, size[1]).sum((3, 5))
    some, whole = counts > 0, counts == size[0] * size[1]
    part, whole_ = (
        (_ordered(some & whole.logical_not()), _ordered(whole)) if separate_full_blocks else (_ordered(some), None)
    )
    full = (None, None) if whole_ is None else whole_
    return BlockMask.from_kv_blocks(*part, full[0], full[1], size, mask_mod, (Q_LEN, KV_LEN))
