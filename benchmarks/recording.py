"""What recording costs: training steps with and without a recorder, eager and compiled, and whether a number changed.

Usage: recording.py [--smoke]
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np

import retrograd as torch
from retrograd import glass

nn = torch.nn
F = nn.functional


def mlp():
    net = nn.Sequential(nn.Linear(784, 1024), nn.GELU(), nn.Linear(1024, 1024), nn.GELU(), nn.Linear(1024, 10))
    return net, torch.optim.Adam(net.parameters(), lr=1e-3), (128, 784)


def lenet():
    first = [nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
    net = nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(32 * 49, 10))
    return net, torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9), (64, 1, 28, 28)


class Training:
    """One model in training, recorded or not."""

    def __init__(self, make, compiled):
        torch.manual_seed(0)
        self.net, optimizer, shape = make()
        rng = np.random.default_rng(0)
        self.x = torch.tensor(rng.standard_normal(shape, dtype=np.float32))
        self.y = torch.tensor(rng.integers(0, 10, shape[0]))

        def step(x, y):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            return loss

        net = self.net
        self.step = torch.compile(step) if compiled else step
        self.losses = []

    def run(self, steps):
        start = time.perf_counter()
        for _ in range(steps):
            self.losses.append(self.step(self.x, self.y).item())
        return (time.perf_counter() - start) / steps


def main():
    smoke = "--smoke" in sys.argv
    rounds, seconds = (2, 0.05) if smoke else (7, 1.0)
    print(f"{'model':8}{'step':10}{'level':10}{'plain':>11}{'recorded':>11}{'ratio':>7}  looked at  numbers")
    for name, make in (("mlp", mlp), ("lenet", lenet)):
        for compiled in (False, True):
            for level in ("summary", "all"):
                Training(make, compiled).run(30 if not smoke else 4)  # eager mode's kernels are the process's
                plain, recorded = Training(make, compiled), Training(make, compiled)
                plain.run(4)
                recorded.run(4)
                steps = max(3, int(seconds / max(plain.run(2), 1e-4)))
                recorded.run(2)
                times = []
                with glass.record(recorded.net, level=level) as recorder:
                    for _ in range(rounds):  # in turns, so that a slow moment hits both
                        recorder.__exit__()
                        a = plain.run(steps)
                        recorder.__enter__()
                        times.append((a, recorded.run(steps)))
                a, b = (statistics.median(t[i] for t in times) for i in (0, 1))
                looked = f"{len(recorder.steps)} of {rounds * steps}"
                same = "the same" if plain.losses == recorded.losses else "CHANGED"
                kind = "compiled" if compiled else "eager"
                print(f"{name:8}{kind:10}{level:10}{1e6 * a:9.0f} us{1e6 * b:9.0f} us{b / a:7.2f}  {looked:9}  {same}")


if __name__ == "__main__":
    main()
