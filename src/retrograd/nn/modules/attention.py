"""Attention with several heads, each with its own projections of queries, keys and values."""

from __future__ import annotations

from typing import Any

from .. import _functions as T
from .. import functional as F
from .. import init
from ..functional.attention import canonical_mask
from ..parameter import Parameter
from .linear import NonDynamicallyQuantizableLinear
from .module import Module

__all__ = ["MultiheadAttention", "NonDynamicallyQuantizableLinear"]


class MultiheadAttention(Module):
    """Attention of several heads: concat(head_1, ..., head_h) W_O, head_i = attention(Q W_Qi, K W_Ki, V W_Vi).

    Shapes: query (L, N, embed_dim), key (S, N, kdim), value (S, N, vdim), N first with ``batch_first``, or without N;
    see `forward` for the masks. ``add_bias_kv`` adds a learned key and value, ``add_zero_attn`` one of zeros.

    Raises ValueError for sizes that are not positive, AssertionError unless ``embed_dim`` is divisible by
    ``num_heads``.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762.

    Examples
    --------
    >>> import retrograd as torch
    >>> x = torch.zeros(2, 5, 4)
    >>> output, weights = torch.nn.MultiheadAttention(4, 2, batch_first=True)(x, x, x)
    >>> output.shape, weights.shape
    (torch.Size([2, 5, 4]), torch.Size([2, 5, 5]))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                f"embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and num_heads={num_heads}"
            )
        super().__init__()
        self.embed_dim, self.num_heads, self.dropout, self.batch_first = embed_dim, num_heads, dropout, batch_first
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise AssertionError(f"embed_dim must be divisible by num_heads, got {embed_dim} and {num_heads}")

        def made(*shape: int) -> Parameter:
            return Parameter(T.empty(shape, device=device, dtype=dtype))

        apart = not self._qkv_same_embed_dim
        for name, columns in (("q", embed_dim), ("k", self.kdim), ("v", self.vdim)):
            self.register_parameter(f"{name}_proj_weight", made(embed_dim, columns) if apart else None)
        self.register_parameter("in_proj_weight", None if apart else made(3 * embed_dim, embed_dim))
        self.register_parameter("in_proj_bias", made(3 * embed_dim) if bias else None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias=bias, device=device, dtype=dtype)
        self.bias_k = made(1, 1, embed_dim) if add_bias_kv else None
        self.bias_v = made(1, 1, embed_dim) if add_bias_kv else None
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        """Draw the projections by Glorot's rule and set the biases to 0."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """Attend; give the output and the weights of attention.

        ``key_padding_mask`` (N, S) and ``attn_mask`` (L, S) or (N heads, L, S) hide where they are True, or are added
        where they are floats. Without ``need_weights`` (which is faster) the weights are None; without
        ``average_attn_weights`` they are each head's. ``is_causal`` says that ``attn_mask`` hides what comes later.
        """
        other = None if attn_mask is None else attn_mask.dtype
        padding = canonical_mask(key_padding_mask, "key_padding_mask", query.dtype, other, "attn_mask")
        mask = canonical_mask(attn_mask, "attn_mask", query.dtype)
        swap = self.batch_first and query.dim() == 3
        if swap:
            made = {id(x): x.transpose(0, 1) for x in (query, key, value)}
            query, key, value = made[id(query)], made[id(key)], made[id(value)]
        output, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=padding,
            need_weights=need_weights,
            attn_mask=mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return output.transpose(0, 1) if swap else output, weights

    def merge_masks(self, attn_mask: Any, key_padding_mask: Any, query: Any) -> tuple[Any, int | None]:
        """Give both masks as one, (N, heads, L, L), and torch's number for its kind: 1 padding alone, 2 otherwise."""
        if attn_mask is None:
            return key_padding_mask, None if key_padding_mask is None else 1
        batch, length, _ = query.shape
        if attn_mask.dim() == 3:
            merged = attn_mask.view(batch, -1, length, length)
        else:
            merged = attn_mask.view(1, 1, length, length).expand(batch, self.num_heads, -1, -1)
        if key_padding_mask is not None:
            merged = merged + key_padding_mask.view(batch, 1, 1, length).expand(-1, self.num_heads, -1, -1)
        return merged, 2
