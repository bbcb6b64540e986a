"""Networks of 10,000 layers, without normalisation, on scikit-learn's digits: tanh at criticality, and ReLU residual branches with Fixup.

A plain tanh net with orthogonal weights of scale 1 and no biases neither kills a signal nor blows it up: its variance follows
q -> E[tanh(sqrt(q) z)^2], and gradients keep their size (Xiao et al. 2018; Saxe et al. 2014). A residual net with Fixup (Zhang et al. 2019) starts as the
identity: each branch's last weights are 0, its others are scaled by L^(-1/2). Both are trained within a memory budget, and the doctor's variances,
predicted from the weights and measured, are printed before.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import numpy as np

import retrograd as torch
from retrograd import nn
from retrograd.glass import doctor
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


def examined(net: Any, x: Any, y: Any) -> list[Any]:
    """Give the doctor's variances of the body's layers: what comes out, and its gradient; predicted from the weights, and measured."""
    with torch.no_grad():  # where the head's weights are 0, no gradient reaches the body yet
        head = net.head.weight.clone()
        nn.init.orthogonal_(net.head.weight)
    found = doctor(net, (x, y), F.cross_entropy)
    with torch.no_grad():
        net.head.weight.copy_(head)
    body = [p for p in found.profile if not p.layer.startswith("head")]
    layers = [p for p in body if np.isfinite(p.forward)]  # the last ones of Fixup's branches give 0 at first,
    behind = [p for p in body if np.isfinite(p.backward)]  # and let no gradient through
    print(f"  {'layer':<22}" + "".join(f"{i:>11,}" for i in marks(len(layers))))
    shown = (
        ("variance, predicted", layers, lambda p: p.predicted_forward),
        ("variance, measured", layers, lambda p: p.forward),
        ("gradient's, predicted", behind, lambda p: p.predicted_backward),
        ("gradient's, measured", behind, lambda p: p.backward),
    )
    for name, some, of in shown:
        print(f"  {name:<22}" + "".join(f"{10.0 ** of(some[i - 1]):11.2e}" for i in marks(len(some))))
    return layers


def train(kind: str, layers: int, steps: int, budget: str, batch: int) -> tuple[list[float], list[Any]]:
    """Train one net and give its losses and the variances before."""
    torch.manual_seed(0)
    x, y, test_x, test_y = digits()
    body = tanh_net(layers) if kind == "tanh" else fixup_net(layers)
    net = Classifier(body, 0.1 if kind == "tanh" else 1.0)
    print(f"{kind}: {layers} layers, {sum(p.numel() for p in net.parameters()):,} parameters")
    profile = examined(net, x[:batch], y[:batch])
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
            print(f"  step {step:>3}: loss {losses[-1]:.3f}, {time.perf_counter() - began:.0f} s")
    with torch.no_grad():
        right = float((net(test_x).argmax(1) == test_y).float().mean())
    print(f"  accuracy on {len(test_x)} digits that it has not seen: {right:.3f}")
    return losses, profile


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
    found = {kind: train(kind, args.layers, args.steps, args.budget, args.batch) for kind in args.kind}
    if args.figure:
        draw(found, args.layers, args.figure)


def draw(found: dict[str, tuple[list[float], list[Any]]], layers: int, path: str) -> None:
    """Draw losses, and variances over depth before training."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    _, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), constrained_layout=True)
    for (kind, (losses, profile)), color in zip(found.items(), ("tab:blue", "tab:orange"), strict=False):
        left.plot(losses, label=f"{kind}, {layers:,} layers", color=color)
        depth = np.linspace(1, layers, len(profile))
        right.plot(depth, [10.0**p.forward for p in profile], color=color, label=f"{kind}: measured")
        right.plot(depth, [10.0**p.predicted_forward for p in profile], color="black", lw=0.8, ls="--")
    left.set(xlabel="step", ylabel="loss", title="training on digits")
    right.set(xlabel="layer", title="variance before training; dashed: predicted", yscale="log")
    for axes in (left, right):
        axes.legend()
    plt.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
