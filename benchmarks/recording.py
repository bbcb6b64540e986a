"""What recording costs: training steps with and without a recorder, eager and compiled, and whether a number changed.

"ratio" is of medians over rounds, "whole" of all the time from the first step on. "every 1" looks at each step and keeps every array.

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


def measured(make, compiled, level, every, rounds, seconds):
    """Give the times of a plain and of a recorded step, how many were looked at, and whether the numbers are the same."""
    options = {"level": level} if every is None else {"level": level, "every": every}
    made = []
    for _ in range(3):  # one after the other: a compiled function minds the variables of others that have its code
        made.append(Training(make, compiled))
        made[-1].run(8)
    plain, recorded = made[1:]
    steps = max(3, int(seconds / plain.run(3)))
    recorded.run(3)
    times = []
    recorder = glass.record(recorded.net, **options)
    for _ in range(rounds):  # in turns, so that a slow moment hits both
        a = plain.run(steps)
        with recorder:
            times.append((a, recorded.run(steps)))
    a, b = (statistics.median(t[i] for t in times) for i in (0, 1))
    whole = sum(t[1] for t in times) / sum(t[0] for t in times)
    return a, b, whole, f"{len(recorder.steps)} of {rounds * steps}", plain.losses == recorded.losses


def main():
    smoke = "--smoke" in sys.argv
    rounds, seconds = (2, 0.05) if smoke else (5, 0.5)
    print(
        f"{'model':7}{'step':10}{'level':9}{'every':6}{'plain':>11}{'recorded':>11}{'ratio':>7}{'whole':>7}  looked at  numbers"
    )
    for name, make in (("mlp", mlp), ("lenet", lenet)):
        for compiled in (False, True):  # kernels are the process's, and made once they are warm
            Training(make, compiled).run(4 if smoke else 300)
        for compiled in (False, True):
            for level, every in (("summary", None), ("all", None), ("all", 1)):
                a, b, whole, looked, same = measured(make, compiled, level, every, rounds, seconds)
                kind, often = ("compiled" if compiled else "eager"), ("" if every is None else str(every))
                print(
                    f"{name:7}{kind:10}{level:9}{often:6}{1e6 * a:8.0f} us{1e6 * b:8.0f} us{b / a:7.2f}{whole:7.2f}  {looked:9}  "
                    f"{'the same' if same else 'CHANGED'}"
                )


if __name__ == "__main__":
    main()
