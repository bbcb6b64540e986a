"""A network from the foundations: forward and backward by hand, then by the library, on scikit-learn's digits.

1. Data: 1797 images of 8 x 8, split, and normalised with the training set's mean and standard deviation only.
2. One hidden layer of 50 with the mean squared error, its backward pass written out, and compared with autograd's.
3. The same with cross entropy.
4. Where to start: naive, Glorot, Kaiming and LSUV weights, compared by the mean and standard deviation of what the
   hidden layer hands on, over 100 draws of the weights.
5. What that start means for training: a few epochs from each.

Written against the torch API and nothing else, so that it runs under PyTorch and, unmodified, under this project.
It needs scikit-learn for the data.
"""

import math
import os

import torch
from sklearn.datasets import load_digits
from torch import nn

SMOKE = bool(os.environ.get("RETROGRAD_SMOKE"))
HIDDEN, CLASSES = 50, 10
DRAWS, EPOCHS = (10, 2) if SMOKE else (100, 10)


# 1. Data


def digits():
    pixels, labels = load_digits(return_X_y=True)
    x = torch.tensor(pixels, dtype=torch.float32)
    y = torch.tensor(labels, dtype=torch.int64)
    order = torch.randperm(len(x))
    train, valid = order[:1500], order[1500:]
    mean, std = x[train].mean(), x[train].std()  # nothing of the validation set may be known to the network
    x = (x - mean) / std
    return x[train], y[train], x[valid], y[valid]


# 2. Forward and backward by hand. Each function's gradient uses what its forward pass computed:
#    g_x is the gradient of the loss with respect to x.


def linear(x, w, b):
    return x @ w + b


def linear_backward(g_out, x, w):
    return g_out @ w.T, x.T @ g_out, g_out.sum(0)


def relu(x):
    return x.clamp(min=0.0)


def relu_backward(g_out, x):
    return g_out * (x > 0)


def mse(prediction, target):
    return (prediction.squeeze(-1) - target).pow(2).mean()


def mse_backward(prediction, target):
    return 2.0 * (prediction.squeeze(-1) - target).unsqueeze(-1) / len(target)


# 3. Cross entropy by hand: log(sum(exp(x))) is shifted by the largest x, so that no exp overflows.


def log_softmax(x):
    largest = x.max(-1, keepdim=True).values
    return x - (largest + (x - largest).exp().sum(-1, keepdim=True).log())


def cross_entropy(scores, labels):
    return -log_softmax(scores)[torch.arange(len(labels)), labels].mean()


def cross_entropy_backward(scores, labels):
    g = log_softmax(scores).exp()
    g[torch.arange(len(labels)), labels] -= 1.0
    return g / len(labels)


def by_hand(weights, x, y, loss, loss_backward):
    w1, b1, w2, b2 = weights
    f = linear(x, w1, b1)
    h = relu(f)
    scores = linear(h, w2, b2)
    g_scores = loss_backward(scores, y)
    g_h, g_w2, g_b2 = linear_backward(g_scores, h, w2)
    _, g_w1, g_b1 = linear_backward(relu_backward(g_h, f), x, w1)
    return loss(scores, y), [g_w1, g_b1, g_w2, g_b2]


def by_library(weights, x, y, loss):
    leaves = [w.clone().requires_grad_() for w in weights]
    w1, b1, w2, b2 = leaves
    value = loss(linear(relu(linear(x, w1, b1)), w2, b2), y)
    value.backward()
    return value.detach(), [leaf.grad for leaf in leaves]


def compare(name, weights, x, y, loss, loss_backward, library_loss):
    value, gradients = by_hand(weights, x, y, loss, loss_backward)
    for title, function in [("our loss", loss), ("library's loss", library_loss)]:
        other, others = by_library(weights, x, y, function)
        assert torch.allclose(value, other, rtol=1e-5), (name, value, other)
        for one, two in zip(gradients, others):
            assert torch.allclose(one, two, rtol=1e-3, atol=1e-5), name
        largest = max((one - two).abs().max().item() for one, two in zip(gradients, others))
        print(
            f"  {name:13s} {title:15s} loss {value.item():8.4f}   gradients differ from ours by {largest:.0e} at most"
        )


# 4. Where to start. Each draws the first layer's weights, of shape (inputs, HIDDEN).


def naive(x):
    return torch.randn(x.shape[1], HIDDEN), torch.zeros(HIDDEN)


def glorot(x):
    return torch.randn(x.shape[1], HIDDEN) * math.sqrt(2.0 / (x.shape[1] + HIDDEN)), torch.zeros(HIDDEN)


def kaiming(x):
    return torch.randn(x.shape[1], HIDDEN) * math.sqrt(2.0 / x.shape[1]), torch.zeros(HIDDEN)


def lsuv(x):
    """Layer-sequential unit variance: orthonormal weights, scaled until what the layer hands on has unit variance."""
    w, b = torch.empty(x.shape[1], HIDDEN), torch.zeros(HIDDEN)
    nn.init.orthogonal_(w)
    for _ in range(10):
        std = relu(linear(x, w, b)).std()
        if abs(std.item() - 1.0) < 1e-3:
            break
        w = w / std
    return w, b


def statistics(start, x):
    means, stds = [], []
    for _ in range(DRAWS):
        h = relu(linear(x, *start(x)))
        means.append(h.mean())
        stds.append(h.std())
    return torch.stack(means), torch.stack(stds)


# 5. Training, with the library's layers.


def train(start, x, y, x_valid, y_valid):
    first, second = nn.Linear(x.shape[1], HIDDEN), nn.Linear(HIDDEN, CLASSES)
    w, b = start(x)
    with torch.no_grad():
        first.weight.copy_(w.T)
        first.bias.copy_(b)
    network = nn.Sequential(first, nn.ReLU(), second)
    sgd = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(50):
            loss = nn.functional.cross_entropy(network(x[rows]), y[rows])
            loss.backward()
            sgd.step()
            sgd.zero_grad()
    with torch.no_grad():
        scores = network(x_valid)
        accuracy = (scores.argmax(1) == y_valid).float().mean().item()
        return nn.functional.cross_entropy(scores, y_valid).item(), accuracy


def main():
    torch.manual_seed(0)
    x, y, x_valid, y_valid = digits()
    print(f"training set    mean {x.mean().item():+.4f}  std {x.std().item():.4f}   {tuple(x.shape)}")
    print(f"validation set  mean {x_valid.mean().item():+.4f}  std {x_valid.std().item():.4f}   {tuple(x_valid.shape)}")

    print("\nforward and backward by hand, and by the library:")
    w1, b1 = kaiming(x)
    column = (w1, b1, torch.randn(HIDDEN, 1) / math.sqrt(HIDDEN), torch.zeros(1))
    matrix = (w1, b1, torch.randn(HIDDEN, CLASSES) / math.sqrt(HIDDEN), torch.zeros(CLASSES))
    squared = lambda out, target: nn.functional.mse_loss(out.squeeze(-1), target)
    compare("squared error", column, x, y.float(), mse, mse_backward, squared)
    compare("cross entropy", matrix, x, y, cross_entropy, cross_entropy_backward, nn.functional.cross_entropy)

    print(f"\nwhat the hidden layer hands on, over {DRAWS} draws, and cross entropy after {EPOCHS} epochs:")
    print("  weights    mean of means   std of means   mean of stds   std of stds   loss   accuracy")
    for start in [naive, glorot, kaiming, lsuv]:
        means, stds = statistics(start, x)
        loss, accuracy = train(start, x, y, x_valid, y_valid)
        print(
            f"  {start.__name__:8s} {means.mean().item():15.3f}{means.std().item():15.3f}"
            f"{stds.mean().item():15.3f}{stds.std().item():14.3f}{loss:9.3f}{accuracy:9.1%}"
        )


if __name__ == "__main__":
    main()
