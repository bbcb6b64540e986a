"""Momentum residual nets (Sander et al. 2021): a residual net becomes invertible with one more state, and keeps one activation in all.

v <- g v + (1 - g) f(x);  x <- x + v. Backwards: x <- x - v;  v <- (v - (1 - g) f(x)) / g. Dividing by g loses digits, a little with every block:
the checker tells how many are left.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import numpy as np

import retrograd as torch
from retrograd import nn
from retrograd.memory import Counter
from retrograd.nn import functional as F


class Momentum(nn.InvertibleModule):
    """One step of the second-order system that a residual net is the first-order one of."""

    def __init__(self, width: int, g: float) -> None:
        super().__init__()
        self.f, self.g = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width)), g

    def forward(self, x: Any, v: Any) -> Any:
        """Go one step on."""
        v = self.g * v + (1 - self.g) * self.f(x)
        return x + v, v

    def inverse(self, x: Any, v: Any) -> Any:
        """Go one step back."""
        x = x - v
        return x, (v - (1 - self.g) * self.f(x)) / self.g


class Net(nn.Module):
    """Pixels, momentum residual blocks, scores."""

    def __init__(self, blocks: int, width: int, g: float) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(64, width), nn.Linear(width, 10)
        self.blocks = nn.ReversibleSequence(*[Momentum(width, g) for _ in range(blocks)])

    def forward(self, x: Any) -> Any:
        """Start at rest, and move."""
        x = torch.tanh(self.first(x))
        return self.last(self.blocks(x, torch.zeros_like(x))[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=40)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--smoke", action="store_true", help="a few blocks and steps")
    args = parser.parse_args()
    if args.smoke or os.environ.get("RETROGRAD_SMOKE"):
        args.blocks, args.steps = 6, 30
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor((x / 16).astype(np.float32)), torch.tensor(y.astype(np.int64))
    net = Net(args.blocks, 32, 0.9)
    start = torch.randn(100, 32)
    lost = net.blocks[0].check_inverse(start, torch.zeros_like(start))
    print(f"largest error of one block's inverse: {lost:.1e}")
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for step in range(args.steps):
        chosen = torch.randint(0, 1437, (128,))
        optimizer.zero_grad()
        with Counter() as counter:
            loss = F.cross_entropy(net(x[chosen]), y[chosen])
            loss.backward()
        optimizer.step()
        if step % max(args.steps // 5, 1) == 0:
            print(f"step {step:>3}: loss {loss.item():.3f}, peak {counter.peak / 1e6:.2f} MB")
    with torch.no_grad():
        right = float((net(x[1437:]).argmax(1) == y[1437:]).float().mean())
    print(f"accuracy on 360 digits that it has not seen: {right:.3f}")


if __name__ == "__main__":
    main()
