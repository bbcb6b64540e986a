"""A generative adversarial network draws digits: one network makes images, another tells them from scikit-learn's.

The discriminator's loss is the cross entropy of "real" and "made"; the generator's is that of "real" on what it made,
the form that does not saturate. The networks are those of DCGAN, scaled down to 8 x 8.
Sources: Goodfellow and others, 2014 (arXiv:1406.2661); Radford, Metz and Chintala, 2015 (arXiv:1511.06434).

Written against the torch API and nothing else, so that it runs under PyTorch and, unmodified, under this project.
It needs scikit-learn for the data.
"""

import os

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader

SMOKE = bool(os.environ.get("RETROGRAD_SMOKE"))
NOISE, CHANNELS, BATCH = 16, 32, 64
EPOCHS, BATCHES = (2, 6) if SMOKE else (30, None)
SHADES = " .:-=+*#%@"

torch.manual_seed(0)
generator = nn.Sequential(
    nn.ConvTranspose2d(NOISE, 2 * CHANNELS, kernel_size=2), nn.BatchNorm2d(2 * CHANNELS), nn.ReLU(),
    nn.ConvTranspose2d(2 * CHANNELS, CHANNELS, kernel_size=4, stride=2, padding=1), nn.BatchNorm2d(CHANNELS), nn.ReLU(),
    nn.ConvTranspose2d(CHANNELS, 1, kernel_size=4, stride=2, padding=1), nn.Tanh(),
)  # fmt: skip
discriminator = nn.Sequential(
    nn.Conv2d(1, CHANNELS, kernel_size=4, stride=2, padding=1), nn.LeakyReLU(0.2),
    nn.Conv2d(CHANNELS, 2 * CHANNELS, kernel_size=4, stride=2, padding=1), nn.BatchNorm2d(2 * CHANNELS), nn.LeakyReLU(0.2),
    nn.Conv2d(2 * CHANNELS, 1, kernel_size=2), nn.Flatten(0),
)  # fmt: skip


def starting_weights(module):
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.05)
    if isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


def verdict(images, real):
    scores = discriminator(images)
    return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, float(real)))


def improve(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def show(images):
    """Draw images side by side."""
    shades = ((images + 1) / 2 * (len(SHADES) - 1)).round().long()
    for line in shades.squeeze(1).permute(1, 0, 2).flatten(1).tolist():
        print("".join(SHADES[shade] * 2 for shade in line))


def main():
    generator.apply(starting_weights)
    discriminator.apply(starting_weights)
    images = torch.tensor(load_digits().images / 8 - 1, dtype=torch.float32).unsqueeze(1)
    made_better = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.999))
    told_better = torch.optim.Adam(discriminator.parameters(), lr=4e-4, betas=(0.5, 0.999))
    for epoch in range(1, EPOCHS + 1):
        sums, count = torch.zeros(2), 0
        for real in DataLoader(images, BATCH, shuffle=True, drop_last=True):
            made = generator(torch.randn(BATCH, NOISE, 1, 1))
            telling = verdict(real, True) + verdict(made.detach(), False)
            improve(told_better, telling)
            making = verdict(made, True)
            improve(made_better, making)
            sums, count = sums + torch.stack([telling, making]).detach(), count + 1
            if count == BATCHES:
                break
        telling, making = (sums / count).tolist()
        if SMOKE or epoch % 3 == 0:
            print(f"epoch {epoch:3d}  discriminator's loss {telling:.4f}  generator's loss {making:.4f}", flush=True)
    if not SMOKE:
        with torch.no_grad():
            show(generator(torch.randn(BATCH, NOISE, 1, 1))[:8])


if __name__ == "__main__":
    main()
