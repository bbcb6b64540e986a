"""The vision transformer: a picture as a sequence of patches."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import retrograd as torch

from ..ops.misc import MLP
from ._api import register_model

nn = torch.nn
_norm = partial(nn.LayerNorm, eps=1e-6)


class MLPBlock(MLP):
    """Two linear layers with a GELU between them.

    Parameters
    ----------
    in_dim : int
        Features in and out.
    mlp_dim : int
        Features between.
    dropout : float
        Its probability after each.
    """

    _version = 2

    def __init__(self, in_dim: int, mlp_dim: int, dropout: float) -> None:
        super().__init__(in_dim, [mlp_dim, in_dim], activation_layer=nn.GELU, inplace=None, dropout=dropout)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.normal_(module.bias, std=1e-6)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, metadata: Any, *rest: Any) -> None:
        # The published files have the layers by their older names.
        for old, new in (("linear_1", "0"), ("linear_2", "3")):
            for kind in ("weight", "bias"):
                if f"{prefix}{old}.{kind}" in state_dict:
                    state_dict[f"{prefix}{new}.{kind}"] = state_dict.pop(f"{prefix}{old}.{kind}")
        super()._load_from_state_dict(state_dict, prefix, metadata, *rest)


class EncoderBlock(nn.Module):
    """Attention and two linear layers, each behind a norm and added to what came in.

    Parameters
    ----------
    num_heads : int
        The attention's heads.
    hidden_dim : int
        The features.
    mlp_dim : int
        Features between the linear layers.
    dropout : float
        Its probability after each part.
    attention_dropout : float
        Its probability in the attention's weights.
    norm_layer : callable
        Makes the norms.
    """

    def __init__(
        self,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: Callable[..., Any] = _norm,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.ln_1 = norm_layer(hidden_dim)
        self.self_attention = nn.MultiheadAttention(hidden_dim, num_heads, dropout=attention_dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = norm_layer(hidden_dim)
        self.mlp = MLPBlock(hidden_dim, mlp_dim, dropout)

    def forward(self, input: Any) -> Any:
        """Encode (N, S, E)."""
        if input.dim() != 3:
            raise AssertionError(f"Expected (batch_size, seq_length, hidden_dim) got {input.shape}")
        x = self.ln_1(input)
        x, _ = self.self_attention(x, x, x, need_weights=False)
        x = self.dropout(x) + input
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """Blocks over a sequence that knows its positions.

    Parameters
    ----------
    seq_length : int
        How long the sequence is.
    num_layers : int
        How many blocks.
    num_heads : int
        The attention's heads.
    hidden_dim : int
        The features.
    mlp_dim : int
        Features between the linear layers.
    dropout : float
        Its probability.
    attention_dropout : float
        Its probability in the attention's weights.
    norm_layer : callable
        Makes the norms.
    """

    def __init__(
        self,
        seq_length: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: Callable[..., Any] = _norm,
    ) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.empty(1, seq_length, hidden_dim).normal_(std=0.02))
        self.dropout = nn.Dropout(dropout)
        sizes = (num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, norm_layer)
        self.layers = nn.Sequential(
            OrderedDict((f"encoder_layer_{i}", EncoderBlock(*sizes)) for i in range(num_layers))
        )
        self.ln = norm_layer(hidden_dim)

    def forward(self, input: Any) -> Any:
        """Encode (N, S, E)."""
        if input.dim() != 3:
            raise AssertionError(f"Expected (batch_size, seq_length, hidden_dim) got {input.shape}")
        return self.ln(self.layers(self.dropout(input + self.pos_embedding)))


class VisionTransformer(nn.Module):
    """Patches of a picture, and a class token that sees them all: (N, 3, S, S) -> (N, num_classes).

    Source: Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929.

    Parameters
    ----------
    image_size : int
        The picture's side.
    patch_size : int
        A patch's side, which divides it; AssertionError otherwise.
    num_layers : int
        How many blocks.
    num_heads : int
        The attention's heads.
    hidden_dim : int
        The features.
    mlp_dim : int
        Features between the linear layers.
    dropout : float
        Its probability.
    attention_dropout : float
        Its probability in the attention's weights.
    num_classes : int
        The results.
    representation_size : int, optional
        Features of a further linear layer before the last.
    norm_layer : callable
        Makes the norms.
    conv_stem_configs : list, optional
        Convolutions before the patches: out_channels, kernel_size, stride, norm_layer and activation_layer of each.
    """

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        num_classes: int = 1000,
        representation_size: int | None = None,
        norm_layer: Callable[..., Any] = _norm,
        conv_stem_configs: Any = None,
    ) -> None:
        super().__init__()
        if image_size % patch_size:
            raise AssertionError("Input shape indivisible by patch size!")
        self.image_size, self.patch_size, self.hidden_dim, self.mlp_dim = image_size, patch_size, hidden_dim, mlp_dim
        self.attention_dropout, self.dropout, self.num_classes = attention_dropout, dropout, num_classes
        self.representation_size, self.norm_layer = representation_size, norm_layer
        self.conv_proj = self._projection(conv_stem_configs)
        self.class_token = nn.Parameter(torch.zeros(1, 1, hidden_dim))
        self.seq_length = (image_size // patch_size) ** 2 + 1
        self.encoder = Encoder(
            self.seq_length, num_layers, num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, norm_layer
        )
        heads: Any = OrderedDict()
        if representation_size is None:
            heads["head"] = nn.Linear(hidden_dim, num_classes)
        else:
            heads["pre_logits"] = nn.Linear(hidden_dim, representation_size)
            heads["act"] = nn.Tanh()
            heads["head"] = nn.Linear(representation_size, num_classes)
        self.heads = nn.Sequential(heads)
        self._initialise()

    def _projection(self, stem: Any) -> Any:
        if stem is None:
            return nn.Conv2d(3, self.hidden_dim, kernel_size=self.patch_size, stride=self.patch_size)
        from ..ops.misc import Conv2dNormActivation

        layers, channels = nn.Sequential(), 3
        for i, one in enumerate(stem):
            layers.add_module(
                f"conv_bn_relu_{i}",
                Conv2dNormActivation(
                    channels,
                    one.out_channels,
                    kernel_size=one.kernel_size,
                    stride=one.stride,
                    norm_layer=one.norm_layer,
                    activation_layer=one.activation_layer,
                ),
            )
            channels = one.out_channels
        layers.add_module("conv_last", nn.Conv2d(channels, self.hidden_dim, kernel_size=1))
        return layers

    def _initialise(self) -> None:
        projection = self.conv_proj
        if isinstance(projection, nn.Conv2d):
            fan_in = projection.in_channels * projection.kernel_size[0] * projection.kernel_size[1]
            nn.init.trunc_normal_(projection.weight, std=math.sqrt(1 / fan_in))
            nn.init.zeros_(projection.bias)
        else:
            last = projection.conv_last
            nn.init.normal_(last.weight, mean=0.0, std=math.sqrt(2.0 / last.out_channels))
            nn.init.zeros_(last.bias)
        if self.representation_size is not None:
            nn.init.trunc_normal_(self.heads.pre_logits.weight, std=math.sqrt(1 / self.hidden_dim))
            nn.init.zeros_(self.heads.pre_logits.bias)
        nn.init.zeros_(self.heads.head.weight)
        nn.init.zeros_(self.heads.head.bias)

    def _process_input(self, x: Any) -> Any:
        """Give the patches, (N, S, E)."""
        n, _, height, width = x.shape
        for name, size in (("height", height), ("width", width)):
            if size != self.image_size:
                raise AssertionError(f"Wrong image {name}! Expected {self.image_size} but got {size}!")
        count = (height // self.patch_size) * (width // self.patch_size)
        return self.conv_proj(x).reshape(n, self.hidden_dim, count).permute(0, 2, 1)

    def forward(self, x: Any) -> Any:
        """Classify."""
        x = self._process_input(x)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], dim=1)
        return self.heads(self.encoder(x)[:, 0])


def _for_weights(weights: Any, kwargs: dict[str, Any]) -> None:
    side = weights.meta["min_size"][0]
    if kwargs.setdefault("image_size", side) != side:
        raise ValueError(f"The parameter 'image_size' expected value {side} but got {kwargs['image_size']} instead.")


def _family(name: str, patch: int, layers: int, heads: int, hidden: int, between: int) -> Any:
    def make(**kwargs: Any) -> VisionTransformer:
        return VisionTransformer(kwargs.pop("image_size", 224), patch, layers, heads, hidden, between, **kwargs)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"Build `VisionTransformer` with {layers} layers and patches of {patch} x {patch}."
    return register_model(prepare=_for_weights)(make)


vit_b_16 = _family("vit_b_16", 16, 12, 12, 768, 3072)
vit_b_32 = _family("vit_b_32", 32, 12, 12, 768, 3072)
vit_l_16 = _family("vit_l_16", 16, 24, 16, 1024, 4096)
vit_l_32 = _family("vit_l_32", 32, 24, 16, 1024, 4096)
vit_h_14 = _family("vit_h_14", 14, 32, 16, 1280, 5120)

__all__ = ["VisionTransformer", "vit_b_16", "vit_b_32", "vit_h_14", "vit_l_16", "vit_l_32"]
