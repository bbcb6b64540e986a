"""AlexNet: the network's definition, the count of its weights layer by layer, and one step of training.

Five convolutions and three linear layers, as in Krizhevsky's "One weird trick" (2014, arXiv:1404.5997), the version
that is usually meant by the name: 61,100,840 weights for a thousand classes. The images are noise of the right shape.
Source: Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional Neural Networks, 2012.

Written against the torch API and nothing else, so that it runs under PyTorch and, unmodified, under this project.
"""

import os

import torch
import torch.nn.functional as F
from torch import nn

SMOKE = bool(os.environ.get("RETROGRAD_SMOKE"))
BATCH = 1 if SMOKE else 8


class AlexNet(nn.Module):
    """Five convolutions, each image down to 256 maps of 6 x 6, and three linear layers."""

    def __init__(self, classes=1000):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, kernel_size=3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 256, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(3, stride=2),
        )  # fmt: skip
        self.pool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(),
            nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(),
            nn.Linear(4096, classes),
        )  # fmt: skip

    def forward(self, images):
        return self.classifier(self.pool(self.features(images)).flatten(1))


def main():
    torch.manual_seed(0)
    model = AlexNet()
    for name, layer in [*model.features.named_children(), *model.classifier.named_children()]:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            print(f"{name:>3} {layer.__class__.__name__:7} {sum(p.numel() for p in layer.parameters()):>12,}")
    print(f"weights     {sum(p.numel() for p in model.parameters()):>12,}")
    sgd = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    images, labels = torch.randn(BATCH, 3, 224, 224), torch.randint(1000, (BATCH,))
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    size = sum(p.grad.double().square().sum() for p in model.parameters()).sqrt()
    sgd.step()
    with torch.no_grad():
        model.eval()
        after = F.cross_entropy(model(images), labels)
    print(f"loss {loss.item():.4f}, size of the gradient {size.item():.4f}, loss after the step {after.item():.4f}")


if __name__ == "__main__":
    main()
