"""Networks of 10,000 layers, without normalisation, on scikit-learn's digits: tanh at criticality, and ReLU residual branches with Fixup.

A plain tanh net with orthogonal weights of scale 1 and no biases neither kills a signal nor blows it up: its variance follows
q -> E[tanh(sqrt(q) z)^2], and gradients keep their size (Xiao et al. 2018; Saxe et al. 2014). A residual net with Fixup (Zhang et al. 2019) starts as the
identity: each branch's last weights are 0, its others are scaled by L^(-1/2). Both are trained within a memory budget.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import numpy as np

import retrograd as torch
from retrograd import nn
from retrograd.memory import memory_budget
from retrograd.nn import functional as F


def digits() -> tuple[Any, Any, Any, Any]:
    """Give 1,437 digits to train on and 360 to test."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x = torch.tensor(((x[order] - x.mean()) / x.std()).astype(np.float32))
    y = torch.tensor(y[order].astype(np.int64))
    return x[:1437], y[:1437], x[1437:], y[1437:]


def tanh_net(layers: int, width: int = 64) -> Any:
    """Give linear layers and tanh in turn, orthogonal and critical."""
    made: list[Any] = []
    for _ in range(layers):
        made += [nn.Linear(width, width, bias=False), nn.Tanh()]
        nn.init.orthogonal_(made[-2].weight)
    return nn.Sequential(*made)


class Branch(nn.Module):
    """x + s B relu(A x + a) + b, which is x at first."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(width, width), nn.Linear(width, width)
        self.s = nn.Parameter(torch.ones(1))
        with torch.no_grad():
            nn.init.kaiming_normal_(self.a.weight).mul_(layers**-0.5)
            for p in (self.a.bias, self.b.weight, self.b.bias):
                p.zero_()

    def forward(self, x: Any) -> Any:
        """Add the branch."""
        return x + self.s * self.b(torch.relu(self.a(x)))


def fixup_net(layers: int, width: int = 64) -> Any:
    """Give residual branches of two layers each, as Fixup starts them."""
    return nn.Sequential(*[Branch(width, layers // 2) for _ in range(layers // 2)])


class Classifier(nn.Module):
    """A deep body between the pixels and ten scores."""

    def __init__(self, body: Any, scale: float, width: int = 64) -> None:
        super().__init__()
        self.scale, self.body, self.head = scale, body, nn.Linear(width, 10)
        with torch.no_grad():
            self.head.weight.zero_()
            self.head.bias.zero_()

    def forward(self, x: Any) -> Any:
        """Score."""
        h = self.body(x * self.scale)
        return self.head(h / h.detach().std())


def predicted(kind: str, q: float, layers: int) -> list[float]:
    """Give the variance that theory has for each layer at the start."""
    if kind == "fixup":
        return [q] * layers
    z, w = np.polynomial.hermite_e.hermegauss(64)
    found = []
    for _ in range(layers):
        q = float((w * np.tanh(np.sqrt(q) * z) ** 2).sum() / w.sum())
        found.append(q)
    return found


def measured(body: Any, x: Any) -> list[float]:
    """Give the variance after each layer, on real data."""
    found = []
    with torch.no_grad():
        for m in body:
            x = m(x)
            if not isinstance(m, nn.Linear):
                found.append(float((x**2).mean()))
    return found


def train(kind: str, layers: int, steps: int, budget: str, batch: int) -> tuple[list[float], float]:
    torch.manual_seed(0)
    x, y, test_x, test_y = digits()
    body = tanh_net(layers) if kind == "tanh" else fixup_net(layers)
    net = Classifier(body, 0.1 if kind == "tanh" else 1.0)
    theory = predicted(kind, float(((x * net.scale) ** 2).mean()), len(list(body)) // (2 if kind == "tanh" else 1))
    real = measured(body, x[:256] * net.scale)
    print(f"{kind}: {layers} layers, {sum(p.numel() for p in net.parameters()):,} parameters")
    print("  layer      " + "".join(f"{i:>12,}" for i in marks(len(theory))))
    for name, values in (("predicted", theory), ("measured", real)):
        print(f"  {name:<11}" + "".join(f"{values[i - 1]:12.3e}" for i in marks(len(theory))))
    rate = (0.05 if kind == "tanh" else 0.5) / layers
    optimizer = torch.optim.SGD(
        [{"params": body.parameters(), "lr": rate}, {"params": net.head.parameters(), "lr": 0.1}], momentum=0.9
    )
    losses: list[float] = []
    within = memory_budget(budget)
    began = time.perf_counter()
    for step in range(steps):
        chosen = torch.randint(0, len(x), (batch,))
        optimizer.zero_grad()
        with within:
            loss = F.cross_entropy(net(x[chosen]), y[chosen])
            loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if step % max(steps // 8, 1) == 0 or step == steps - 1:
            print(f"  step {step:>3}: loss {loss.item():.3f}, {time.perf_counter() - began:.0f} s")
    with torch.no_grad():
        right = float((net(test_x).argmax(1) == test_y).float().mean())
    print(f"  accuracy on {len(test_x)} digits that it has not seen: {right:.3f}")
    return losses, right


def marks(layers: int) -> list[int]:
    """Give the layers to print."""
    return sorted({1, *[max(round(layers * f), 1) for f in (0.01, 0.1, 0.5, 1.0)]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument(
        "--budget", default="900MB", help="for everything: parameters, gradients, momentum, activations"
    )
    parser.add_argument("--kind", choices=["tanh", "fixup"], nargs="*", default=["tanh", "fixup"])
    parser.add_argument("--smoke", action="store_true", help="60 layers")
    parser.add_argument("--figure", help="write the loss curves to this file (needs matplotlib)")
    args = parser.parse_args()
    if args.smoke or os.environ.get("RETROGRAD_SMOKE"):
        args.layers, args.steps, args.budget = 60, 20, "20MB"
    curves = {kind: train(kind, args.layers, args.steps, args.budget, args.batch)[0] for kind in args.kind}
    if args.figure:
        import matplotlib.pyplot as plt

        for kind, losses in curves.items():
            plt.plot(losses, label=f"{kind}, {args.layers:,} layers")
        plt.xlabel("step")
        plt.ylabel("loss")
        plt.legend()
        plt.savefig(args.figure, dpi=120)


if __name__ == "__main__":
    main()
