"""The nets of the memory benchmark: each is a step, with its parameters, that may be run again with the same result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import retrograd as torch
from retrograd import nn
from retrograd.nn import functional as F


class Residual(nn.Module):
    """x + B relu(A x)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Any) -> Any:
        """Add the branch."""
        return x + self.b(torch.relu(self.a(x)))


def residual(blocks: int, width: int) -> Any:
    """Give a residual net whose branches are small enough for any depth."""
    net = nn.Sequential(*[Residual(width) for _ in range(blocks)])
    with torch.no_grad():
        for block in net:
            block.b.weight.mul_(blocks**-0.5)
    return net


def reversible(blocks: int, width: int) -> Any:
    """Give a reversible net: halves of the width, each changed by relu branches of the other."""
    half = width // 2
    made = []
    for _ in range(blocks):
        made.append(
            nn.Reversible(*[nn.Sequential(nn.Linear(half, half), nn.ReLU(), nn.Linear(half, half)) for _ in range(2)])
        )
        with torch.no_grad():
            for branch in (made[-1].f, made[-1].g):
                branch[2].weight.mul_(blocks**-0.5)
    return nn.ReversibleSequence(*made, check=False)


class RevNet(nn.Module):
    """Gomez et al. 2017: three stages of reversible units, with ordinary layers before, between and after them."""

    def __init__(self, units: int, channels: tuple[int, ...] = (32, 64, 112)) -> None:
        super().__init__()
        self.keep = False  # whether units run as ordinary modules
        self.first = nn.Conv2d(3, channels[0], 3, padding=1)
        self.stages = nn.ModuleList()
        self.between = nn.ModuleList()
        for i, c in enumerate(channels):
            half = c // 2
            units_here = [nn.Reversible(self.branch(half), self.branch(half)) for _ in range(units)]
            self.stages.append(nn.ReversibleSequence(*units_here, check=False))
            after = channels[min(i + 1, len(channels) - 1)]
            self.between.append(nn.Conv2d(c, after, 3, stride=2, padding=1) if i + 1 < len(channels) else nn.Identity())
        self.last = nn.Linear(channels[-1], 10)

    @staticmethod
    def branch(channels: int) -> Any:
        """Give a residual function of two convolutions."""
        return nn.Sequential(
            nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1),
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        """Go through the stages, and score."""
        x = self.first(x)
        for stage, between in zip(self.stages, self.between, strict=True):
            x = between(nn.Sequential(*stage)(x) if self.keep else stage(x))
        return self.last(x.mean((2, 3)))


def revnet(units: int) -> Any:
    """Give a RevNet of 12 units + 2 layers."""
    return RevNet(units)


class Attention(nn.Module):
    """A transformer's block: causal attention and a perceptron, each normalised and added."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Any) -> Any:
        """Attend to what came before, then think about it."""
        batch, length, width = x.shape
        parts = (
            self.qkv(self.norms[0](x)).reshape(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        )
        mixed = F.scaled_dot_product_attention(parts[0], parts[1], parts[2], is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.norms[1](x))))


class GPT(nn.Module):
    """Characters in, the next character's logits out."""

    def __init__(self, symbols: int = 64, width: int = 64, heads: int = 4, blocks: int = 4, length: int = 64) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(symbols, width), nn.Embedding(length, width)
        self.blocks = nn.Sequential(*[Attention(width, heads) for _ in range(blocks)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, symbols)

    def forward(self, x: Any) -> Any:
        """Embed, go through the blocks, and score."""
        h = self.token(x) + self.place(torch.arange(x.shape[1]))
        return self.head(self.norm(self.blocks(h)))


class UNet(nn.Module):
    """Down and up again, with a way across at each size."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        c = channels
        self.down = nn.ModuleList([nn.Conv2d(3, c, 3, padding=1), nn.Conv2d(c, 2 * c, 3, padding=1)])
        self.middle = nn.Conv2d(2 * c, 2 * c, 3, padding=1)
        self.up = nn.ModuleList([nn.Conv2d(4 * c, c, 3, padding=1), nn.Conv2d(2 * c, c, 3, padding=1)])
        self.last = nn.Conv2d(c, 3, 1)

    def forward(self, x: Any) -> Any:
        """Go down, keep what is to cross, and come up."""
        first = F.relu(self.down[0](x))
        second = F.relu(self.down[1](F.max_pool2d(first, 2)))
        h = F.relu(self.middle(F.max_pool2d(second, 2)))
        h = F.relu(self.up[0](torch.cat([F.interpolate(h, scale_factor=2), second], 1)))
        h = F.relu(self.up[1](torch.cat([F.interpolate(h, scale_factor=2), first], 1)))
        return self.last(h)


def lenet() -> Any:
    """Give LeNet-5's shape."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip


def nets(scale: int = 1) -> dict[str, tuple[Any, Callable[[], Any]]]:
    """Give the four nets by name, each with the loss of one batch."""
    torch.manual_seed(0)
    found: dict[str, tuple[Any, Callable[[], Any]]] = {}
    mlp = nn.Sequential(*[m for _ in range(8) for m in (nn.Linear(128, 128), nn.Tanh())], nn.Linear(128, 10))
    x, y = torch.randn(512 * scale, 128), torch.randint(0, 10, (512 * scale,))
    found["MLP"] = mlp, lambda: F.cross_entropy(mlp(x), y)
    net = lenet()
    image, label = torch.randn(32 * scale, 1, 28, 28), torch.randint(0, 10, (32 * scale,))
    found["LeNet"] = net, lambda: F.cross_entropy(net(image), label)
    gpt = GPT()
    text = torch.randint(0, 64, (8 * scale, 65))
    found["GPT"] = gpt, lambda: F.cross_entropy(gpt(text[:, :-1]).flatten(0, 1), text[:, 1:].flatten())
    unet = UNet()
    picture = torch.randn(4 * scale, 3, 32, 32)
    found["U-Net"] = unet, lambda: F.mse_loss(unet(picture), picture)
    return found


__all__ = ["GPT", "RevNet", "UNet", "lenet", "nets", "residual", "reversible", "revnet"]
