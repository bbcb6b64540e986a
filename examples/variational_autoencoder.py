"""A variational autoencoder of scikit-learn's digits: two numbers for an image, and an image for any two numbers.

The encoder gives a normal distribution over codes z for each image x, the decoder a Bernoulli distribution over pixels
for each z. Trained is the evidence lower bound: log p(x | z) of a drawn z, less the divergence KL(q(z | x) || N(0, 1)),
both in nats per image. The draw is z = mean + deviation * noise, so that a gradient passes through it.
Source: Kingma and Welling, Auto-Encoding Variational Bayes, 2013 (arXiv:1312.6114).

Written against the torch API and nothing else, so that it runs under PyTorch and, unmodified, under this project.
It needs scikit-learn for the data.
"""

import os

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.utils.data import DataLoader, TensorDataset

SMOKE = bool(os.environ.get("RETROGRAD_SMOKE"))
PIXELS, HIDDEN, CODE = 64, 128, 2
EPOCHS, REPORT = (3, 1) if SMOKE else (60, 6)
SHADES = " .:-=+*#%@"


class Autoencoder(nn.Module):
    """Both networks; its value is the two parts of the loss, in nats per image."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * CODE))
        self.decoder = nn.Sequential(nn.Linear(CODE, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, PIXELS))

    def forward(self, x):
        mean, spread = self.encoder(x).chunk(2, dim=1)
        code = Normal(mean, F.softplus(spread) + 1e-4)
        divergence = kl_divergence(code, Normal(torch.zeros(()), torch.ones(()))).sum(1)
        missed = F.binary_cross_entropy_with_logits(self.decoder(code.rsample()), x, reduction="none").sum(1)
        return missed.mean(), divergence.mean()


@torch.no_grad()
def show(model, side=5):
    """Draw the images of a grid of codes, each from its two numbers."""
    along = torch.linspace(-1.6, 1.6, side)
    codes = torch.stack(torch.meshgrid(along, along, indexing="ij"), -1).reshape(-1, CODE)
    pictures = model.decoder(codes).sigmoid().view(side, side, 8, 8).permute(0, 2, 1, 3).reshape(8 * side, 8 * side)
    for line in (pictures * (len(SHADES) - 1)).round().long().tolist():
        print("".join(SHADES[shade] * 2 for shade in line))


def main():
    torch.manual_seed(0)
    images = torch.tensor(load_digits().data / 16, dtype=torch.float32)
    model = Autoencoder()
    adam = torch.optim.Adam(model.parameters(), lr=2e-3)
    batches = DataLoader(TensorDataset(images), batch_size=64, shuffle=True)
    for epoch in range(1, EPOCHS + 1):
        sums = torch.zeros(2)
        for (x,) in batches:
            missed, divergence = model(x)
            adam.zero_grad()
            (missed + divergence).backward()
            adam.step()
            sums += torch.stack([missed, divergence]).detach() * len(x)
        if epoch % REPORT == 0:
            missed, divergence = (sums / len(images)).tolist()
            print(
                f"epoch {epoch:3d}  loss {missed + divergence:.4f}  reconstruction {missed:.4f}  divergence {divergence:.4f}"
            )
    if not SMOKE:
        show(model)


if __name__ == "__main__":
    main()
