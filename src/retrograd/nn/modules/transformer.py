"""The Transformer: stacks of layers, and encoder and decoder together."""

from __future__ import annotations

import copy
import math
import warnings
from typing import Any

from ...core.mode import mode
from .. import _functions as T
from .. import functional as F
from .. import init
from ..functional.attention import canonical_mask
from .container import ModuleList
from .module import Module
from .normalization import LayerNorm
from .transformer_layer import Activation, TransformerDecoderLayer, TransformerEncoderLayer, dtype_of
from .transformer_layer import _get_activation_fn as _get_activation_fn

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]


def _generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Any:
    return T.full((sz, sz), -math.inf, device=device, dtype=dtype).triu(1)


def _hides_later(mask: Any, told: bool | None, length: int) -> bool:
    """Tell whether a mask is the one that hides what comes later: as was told, or by a look at it."""
    if told is not None or mask is None:
        return told is True
    return tuple(mask.shape) == (length, length) and bool(
        (mask == _generate_square_subsequent_mask(length, dtype=mask.dtype)).all()
    )


def _length(x: Any, batch_first: bool) -> int:
    return int(x.shape[1 if batch_first and x.dim() == 3 else 0])


def _get_clones(module: Any, N: int) -> ModuleList:
    return ModuleList([copy.deepcopy(module) for _ in range(N)])


class TransformerEncoder(Module):
    """A stack of copies of one encoder layer, all starting with the same weights, and perhaps a norm at the end.

    In evaluation without gradients, padding at the ends of the sequences comes out as zeros (before the norm) where
    ``enable_nested_tensor`` is on and the layers permit it, as in torch, which leaves the padding out.

    Examples
    --------
    >>> import retrograd as torch
    >>> layer = torch.nn.TransformerEncoderLayer(4, 2, dim_feedforward=8, batch_first=True)
    >>> torch.nn.TransformerEncoder(layer, 2)(torch.zeros(3, 5, 4)).shape
    torch.Size([3, 5, 4])
    """

    def __init__(
        self,
        encoder_layer: Any,
        num_layers: int,
        norm: Any = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _get_clones(encoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm
        self.enable_nested_tensor, self.mask_check = enable_nested_tensor, mask_check
        obstacle = _obstacle(encoder_layer)
        self.use_nested_tensor = enable_nested_tensor and not obstacle
        if enable_nested_tensor and obstacle:
            warnings.warn(
                f"enable_nested_tensor is True, but self.use_nested_tensor is False because {obstacle}", stacklevel=2
            )

    def forward(
        self, src: Any, mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool | None = None
    ) -> Any:
        """Encode; the masks are those of `MultiheadAttention`. Without ``is_causal`` the mask is looked at."""
        padding = canonical_mask(src_key_padding_mask, "src_key_padding_mask", src.dtype, dtype_of(mask), "mask")
        mask = canonical_mask(mask, "mask", src.dtype)
        causal = _hides_later(mask, is_causal, _length(src, self.layers[0].self_attn.batch_first))
        output = src
        for layer in self.layers:
            output = layer(output, src_mask=mask, is_causal=causal, src_key_padding_mask=padding)
        if padding is not None and mask is None and self._leaves_padding_out(src, padding):
            output = output.masked_fill((padding != 0).unsqueeze(-1), 0.0)
        return output if self.norm is None else self.norm(output)

    def _leaves_padding_out(self, src: Any, padding: Any) -> bool:
        """Tell whether torch would run without the padding, and so give zeros in its place."""
        first = self.layers[0]
        if not self.use_nested_tensor or first.training or src.dim() != 3:
            return False
        if mode().grad and (src.requires_grad or any(p.requires_grad for p in first.parameters())):
            return False
        there = padding._a == 0
        return not self.mask_check or not (there[:, 1:] > there[:, :-1]).any()


def _obstacle(layer: Any) -> str:
    """Say why a layer's padding cannot be left out; an empty string if it can."""
    if not isinstance(layer, TransformerEncoderLayer):
        return "encoder_layer was not TransformerEncoderLayer"
    attention = layer.self_attn
    facts = {
        "norm_first was True": layer.norm_first,
        "self_attn.batch_first was not True": not attention.batch_first,
        "self_attn._qkv_same_embed_dim was not True": not attention._qkv_same_embed_dim,
        "self_attn was passed bias=False": attention.in_proj_bias is None,
        "activation_relu_or_gelu was not True": not layer.activation_relu_or_gelu,
        "norm1.eps was not equal to norm2.eps": layer.norm1.eps != layer.norm2.eps,
        "self_attn.num_heads is odd": attention.num_heads % 2 == 1,
    }
    return next((f"encoder_layer.{what}" for what, holds in facts.items() if holds), "")


class TransformerDecoder(Module):
    """A stack of copies of one decoder layer, all starting with the same weights, and perhaps a norm at the end.

    Examples
    --------
    >>> import retrograd as torch
    >>> layer = torch.nn.TransformerDecoderLayer(4, 2, dim_feedforward=8)
    >>> torch.nn.TransformerDecoder(layer, 2)(torch.zeros(5, 3, 4), torch.zeros(6, 3, 4)).shape
    torch.Size([5, 3, 4])
    """

    def __init__(self, decoder_layer: Any, num_layers: int, norm: Any = None) -> None:
        super().__init__()
        self.layers = _get_clones(decoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        """Decode; the masks are those of `MultiheadAttention`. Without ``tgt_is_causal`` the mask is looked at."""
        causal = _hides_later(tgt_mask, tgt_is_causal, _length(tgt, self.layers[0].self_attn.batch_first))
        output = tgt
        for layer in self.layers:
            output = layer(
                output,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=causal,
                memory_is_causal=memory_is_causal,
            )
        return output if self.norm is None else self.norm(output)


class Transformer(Module):
    """Encoder and decoder: the decoder attends to itself and to what the encoder made of the source.

    Shapes: source (S, N, d_model), target (T, N, d_model), N first with ``batch_first``, or without N; the result has
    the target's. Embeddings and the map to words are the user's. All matrices start by Glorot's rule. RuntimeError for
    another d_model or two sizes of the batch.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762.

    Examples
    --------
    >>> import retrograd as torch
    >>> model = torch.nn.Transformer(4, 2, 1, 1, dim_feedforward=8, batch_first=True)
    >>> model(torch.zeros(3, 6, 4), torch.zeros(3, 5, 4)).shape
    torch.Size([3, 5, 4])
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        settings = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **place)

        if custom_encoder is None:
            layer: Any = TransformerEncoderLayer(*settings, **place)
            custom_encoder = TransformerEncoder(layer, num_encoder_layers, norm())
        self.encoder = custom_encoder
        if custom_decoder is None:
            layer = TransformerDecoderLayer(*settings, **place)
            custom_decoder = TransformerDecoder(layer, num_decoder_layers, norm())
        self.decoder = custom_decoder
        self._reset_parameters()
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def _reset_parameters(self) -> None:
        for parameter in self.parameters():
            if parameter.dim() > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: Any,
        tgt: Any,
        src_mask: Any = None,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        src_key_padding_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        """Encode the source and decode the target; the masks are those of `MultiheadAttention`."""
        across = 0 if self.batch_first else 1
        if src.dim() == 3 and src.shape[across] != tgt.shape[across]:
            raise RuntimeError(
                f"Transformer: the batch number of src and tgt must be equal, got {src.shape[across]} and "
                f"{tgt.shape[across]}"
            )
        if not src.shape[-1] == tgt.shape[-1] == self.d_model:
            raise RuntimeError(
                f"Transformer: the feature number of src and tgt must be equal to d_model {self.d_model}, got "
                f"{src.shape[-1]} and {tgt.shape[-1]}"
            )
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Any:
        """Give the mask (sz, sz) that hides what comes later: -inf above the diagonal, 0 elsewhere.

        Examples
        --------
        >>> import retrograd as torch
        >>> torch.nn.Transformer.generate_square_subsequent_mask(2)
        tensor([[0., -inf],
                [0., 0.]])
        """
        return _generate_square_subsequent_mask(sz, device, dtype)
