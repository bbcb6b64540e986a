"""How variances change from layer to layer, forward and backward: figure 7.7 of Understanding Deep Learning.

A network of 50 hidden layers of 100 ReLU units, biases zero, weights drawn from N(0, sigma^2), a standard normal input,
a target of zero and least squares. From one layer to the next the variance is multiplied by 100 * sigma^2 / 2, forward
towards the output and backward towards the input alike, so log10 of the variance is a line whose slope is known.
The variances reach 1e+169 and 1e-136: float64 holds them, float32 does not.

Written against the torch API and nothing else, so that it runs under PyTorch and, unmodified, under this project.
Usage: udl_figure_7_7.py [PNG], where PNG is the picture's name (it is drawn if matplotlib is installed).
"""

import math
import os
import sys

import torch
from torch import nn

LAYERS, UNITS, BATCH = 50, 100, 100
SIGMA2 = [0.001, 0.01, 0.02, 0.1, 1.0]
NETWORKS = 2 if os.environ.get("RETROGRAD_SMOKE") else 20


def network(sigma2):
    hidden = [nn.Linear(UNITS, UNITS, dtype=torch.float64) for _ in range(LAYERS)]
    output = nn.Linear(UNITS, 1, dtype=torch.float64)
    for layer in [*hidden, output]:
        nn.init.normal_(layer.weight, std=math.sqrt(sigma2))
        nn.init.zeros_(layer.bias)
    return hidden, output


def log_variances(sigma2):
    """log10 of the variance of each hidden layer's pre-activations, and of the loss's gradient with respect to them."""
    hidden, output = network(sigma2)
    h = torch.randn(BATCH, UNITS, dtype=torch.float64)
    pre_activations = []
    for layer in hidden:
        f = layer(h)
        pre_activations.append(f)
        h = torch.relu(f)
    loss = nn.functional.mse_loss(output(h), torch.zeros(BATCH, 1, dtype=torch.float64))
    gradients = torch.autograd.grad(loss, pre_activations)
    forward = torch.stack([f.detach().var() for f in pre_activations]).log10()
    backward = torch.stack([g.var() for g in gradients]).log10()
    return forward, backward


def slope(y):
    """The slope of the least-squares line through y at 0, 1, 2, ..."""
    x = torch.arange(len(y), dtype=y.dtype)
    x = x - x.mean()
    return ((x * y).sum() / (x * x).sum()).item()


def draw(results, name):
    try:
        import matplotlib
    except ImportError:
        print("(matplotlib is not installed, so there is no picture)")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for sigma2, forward, backward in results:
        left.semilogy(range(1, LAYERS + 1), 10 ** forward.numpy(), label=f"$\\sigma^2$ = {sigma2}")
        right.semilogy(range(1, LAYERS + 1), 10 ** backward.numpy())
    left.set(xlabel="layer", ylabel="variance of pre-activations", title="forward pass")
    right.set(xlabel="layer", ylabel="variance of gradients", title="backward pass")
    left.legend()
    figure.savefig(name, dpi=120)
    print(f"drawn in {name}")


def main():
    torch.manual_seed(0)
    print(f"change of log10(variance) per layer: {LAYERS} layers of {UNITS} units, mean of {NETWORKS} networks")
    print("sigma^2   theory   forward  backward (towards the input)")
    results, worst = [], 0.0
    for sigma2 in SIGMA2:
        draws = [log_variances(sigma2) for _ in range(NETWORKS)]
        forward = torch.stack([f for f, _ in draws]).mean(0)
        backward = torch.stack([b for _, b in draws]).mean(0)
        theory = math.log10(UNITS * sigma2 / 2)
        measured = [slope(forward), slope(backward.flip(0))]
        worst = max(worst, *(abs(s - theory) for s in measured))
        print(f"{sigma2:<7g} {theory:+8.3f}  {measured[0]:+8.3f}  {measured[1]:+8.3f}")
        results.append((sigma2, forward, backward))
    print(f"largest distance from theory: {worst:.3f}")
    draw(results, sys.argv[1] if len(sys.argv) > 1 else "udl_figure_7_7.png")
    return worst


if __name__ == "__main__":
    sys.exit(f"a slope is {worst:.3f} from theory" if (worst := main()) > 0.1 else 0)
