"""A residual network classifies scikit-learn's digits: convolutions whose blocks add to what they were given.

Three stages of blocks at 8 x 8, 4 x 4 and 2 x 2 pixels with 16, 32 and 64 channels; a block that changes the size takes
its input along through a 1 x 1 convolution. One cycle of the learning rate, with momentum and weight decay.
Sources: He and others, 2015 (arXiv:1512.03385); Smith and Topin, 2017 (arXiv:1708.07120).

Written against the torch API and nothing else, so that it runs under PyTorch and, unmodified, under this project.
It needs scikit-learn for the data.
"""

import os

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, TensorDataset, random_split

SMOKE = bool(os.environ.get("RETROGRAD_SMOKE"))
EPOCHS, TRAIN = (2, 256) if SMOKE else (8, 1500)


class Block(nn.Module):
    """relu(x + conv(relu(conv(x)))), each convolution with its batch norm."""

    def __init__(self, inward, outward, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inward, outward, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outward, outward, 3, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(outward), nn.BatchNorm2d(outward)
        self.along = nn.Identity()
        if stride != 1 or inward != outward:
            self.along = nn.Sequential(nn.Conv2d(inward, outward, 1, stride, bias=False), nn.BatchNorm2d(outward))

    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.along(x) + self.norm2(self.conv2(y)))


def network():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


@torch.no_grad()
def judge(model, batches):
    """Mean loss, and the share of images that are classified rightly."""
    model.eval()
    loss = right = count = 0
    for x, y in batches:
        scores = model(x)
        loss += F.cross_entropy(scores, y, reduction="sum").item()
        right += (scores.argmax(1) == y).sum().item()
        count += len(y)
    return loss / count, right / count


def main():
    torch.manual_seed(0)
    digits = load_digits()
    x = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1)
    data = TensorDataset((x - x.mean()) / x.std(), torch.tensor(digits.target))
    train, valid, _ = random_split(data, [TRAIN, 297, len(data) - TRAIN - 297])
    batches, judged = DataLoader(train, batch_size=64, shuffle=True), DataLoader(valid, batch_size=128)
    model = network()
    print(f"{sum(p.numel() for p in model.parameters())} weights")
    sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    cycle = OneCycleLR(sgd, max_lr=0.1, epochs=EPOCHS, steps_per_epoch=len(batches))
    for epoch in range(1, EPOCHS + 1):
        model.train()
        total = 0.0
        for images, labels in batches:
            loss = F.cross_entropy(model(images), labels)
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            cycle.step()
            total += loss.item()
        missed, right = judge(model, judged)
        print(
            f"epoch {epoch}  training loss {total / len(batches):.4f}  validation loss {missed:.4f}  right {right:.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
