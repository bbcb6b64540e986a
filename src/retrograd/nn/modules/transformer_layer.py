"""The layers of a Transformer's encoder and decoder: attention, then a network at each position."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import functional as F
from ..functional.attention import canonical_mask
from .activation import GELU, ReLU
from .attention import MultiheadAttention
from .dropout import Dropout
from .linear import Linear
from .module import Module
from .normalization import LayerNorm

__all__ = ["TransformerDecoderLayer", "TransformerEncoderLayer"]

Activation = str | Callable[[Any], Any]


def _get_activation_fn(given: Activation) -> Callable[[Any], Any]:
    if not isinstance(given, str):
        return given
    if given not in ("relu", "gelu"):
        raise RuntimeError(f"activation should be relu/gelu, not {given}")
    return F.relu if given == "relu" else F.gelu


def dtype_of(mask: Any) -> Any:
    return None if mask is None else mask.dtype


class _Layer(Module):
    """What both kinds of layer share: attention to itself, the position-wise network, and where they normalise."""

    _attentions: tuple[str, ...]

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        super().__init__()
        for name in self._attentions:
            attention = MultiheadAttention(d_model, nhead, dropout=dropout, bias=bias, batch_first=batch_first, **place)
            setattr(self, name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, **place)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, **place)
        self.norm_first = norm_first
        parts = range(1, len(self._attentions) + 2)
        for i in parts:
            setattr(self, f"norm{i}", LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **place))
        for i in parts:
            setattr(self, f"dropout{i}", Dropout(dropout))
        self.activation = _get_activation_fn(activation)

    def _block(self, x: Any, i: int, part: Callable[[Any], Any]) -> Any:
        """Add what a part makes of x to x, normalising before it or after the sum."""
        norm, dropout = getattr(self, f"norm{i}"), getattr(self, f"dropout{i}")
        if self.norm_first:
            return x + dropout(part(norm(x)))
        return norm(x + dropout(part(x)))

    def _feed_forward(self, x: Any) -> Any:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Layer):
    """One layer of the encoder: x <- norm(x + attention(x)), x <- norm(x + W_2 f(W_1 x)).

    Shapes: (L, N, d_model), (N, L, d_model) with ``batch_first``, or without N; the result has the input's. With
    ``norm_first`` the parts are normalised before instead: x <- x + part(norm(x)). ``activation`` is "relu", "gelu" or
    a function.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; norm_first: https://arxiv.org/abs/2002.04745.

    Examples
    --------
    >>> import retrograd as torch
    >>> torch.nn.TransformerEncoderLayer(4, 2, dim_feedforward=8)(torch.zeros(5, 3, 4)).shape
    torch.Size([5, 3, 4])
    """

    _attentions = ("self_attn",)

    @property
    def activation_relu_or_gelu(self) -> int:
        """1 where the activation is relu, 2 where it is gelu, else 0."""
        relu = self.activation is F.relu or isinstance(self.activation, ReLU)
        gelu = self.activation is F.gelu or isinstance(self.activation, GELU)
        return 1 if relu else 2 if gelu else 0

    def forward(self, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False) -> Any:
        """Encode; the masks are those of `MultiheadAttention`."""
        padding = canonical_mask(
            src_key_padding_mask, "src_key_padding_mask", src.dtype, dtype_of(src_mask), "src_mask"
        )
        mask = canonical_mask(src_mask, "src_mask", src.dtype)

        def attend(x: Any) -> Any:
            return self.self_attn(
                x, x, x, attn_mask=mask, key_padding_mask=padding, need_weights=False, is_causal=is_causal
            )[0]

        return self._block(self._block(src, 1, attend), 2, self._feed_forward)


class TransformerDecoderLayer(_Layer):
    """One layer of the decoder: attention to itself, attention to the encoder's memory, and W_2 f(W_1 x).

    Shapes: target (T, N, d_model) and memory (S, N, d_model), N first with ``batch_first``, or without N; the result
    has the target's. The settings are those of `TransformerEncoderLayer`.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762.

    Examples
    --------
    >>> import retrograd as torch
    >>> layer = torch.nn.TransformerDecoderLayer(4, 2, dim_feedforward=8)
    >>> layer(torch.zeros(5, 3, 4), torch.zeros(6, 3, 4)).shape
    torch.Size([5, 3, 4])
    """

    _attentions = ("self_attn", "multihead_attn")

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        """Decode; the masks are those of `MultiheadAttention`, for the target and for the memory."""

        def attend(x: Any) -> Any:
            return self.self_attn(
                x,
                x,
                x,
                attn_mask=tgt_mask,
                key_padding_mask=tgt_key_padding_mask,
                is_causal=tgt_is_causal,
                need_weights=False,
            )[0]

        def look_up(x: Any) -> Any:
            return self.multihead_attn(
                x,
                memory,
                memory,
                attn_mask=memory_mask,
                key_padding_mask=memory_key_padding_mask,
                is_causal=memory_is_causal,
                need_weights=False,
            )[0]

        x = self._block(self._block(tgt, 1, attend), 2, look_up)
        return self._block(x, 3, self._feed_forward)
