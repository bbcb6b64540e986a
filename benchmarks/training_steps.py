"""The training steps that several benchmarks measure; run by itself, it lists them.

Each entry of ``steps(torch, smoke, file)`` is a function that gives a step and its batch. Without a file they are those below; a file is
one of Python whose ``ALL`` maps names to functions of the library, as ``ALL["mlp"](torch)``.
"""

import runpy
import sys
from pathlib import Path

import retrograd.as_torch  # noqa: F401  # isort: skip  # the models of two examples are used
import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
smoke = False


def step_of(network, optimizer, loss_of):
    """The plainest training step."""

    def step(*batch):
        optimizer.zero_grad()
        loss = loss_of(network, *batch)
        loss.backward()
        optimizer.step()
        return loss

    return step


def mlp():
    """Figure 7.8's network: 40-100-100-10, SGD with momentum, batches of 100."""
    network = nn.Sequential(nn.Linear(40, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 10))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    batch = torch.randn(100, 40), torch.randint(0, 10, (100,))
    return step_of(network, optimizer, lambda net, x, y: F.cross_entropy(net(x), y)), batch


def gelu():
    """A GELU network with Adam, batches of 256."""
    width = 64 if smoke else 256
    network = nn.Sequential(nn.Linear(64, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    batch = torch.randn(256, 64), torch.randn(256, 1)
    return step_of(network, optimizer, lambda net, x, y: F.mse_loss(net(x), y)), batch


def gpt():
    """The GPT of examples/character_gpt.py with AdamW."""
    import character_gpt

    network = character_gpt.GPT(40)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    size = (2, 8) if smoke else (character_gpt.BATCH, character_gpt.CONTEXT)
    batch = torch.randint(0, 40, size), torch.randint(0, 40, size)
    return step_of(network, optimizer, lambda net, x, y: F.cross_entropy(net(x).flatten(0, 1), y.flatten())), batch


def lstm():
    """Two layers of LSTM, unrolled over the sequence."""
    length, size = (4, 8) if smoke else (20, 32)
    network = nn.ModuleDict({"lstm": nn.LSTM(8, size, num_layers=2), "out": nn.Linear(size, 1)})
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    batch = torch.randn(length, 32, 8), torch.randn(length, 32, 1)
    return step_of(network, optimizer, lambda net, x, y: F.mse_loss(net["out"](net["lstm"](x)[0]), y)), batch


def memory():
    """The memory machine of examples/neural_turing_machine.py, which copies sequences."""
    import neural_turing_machine as ntm

    machine = ntm.Machine()
    optimizer = torch.optim.Adam(machine.parameters(), lr=3e-3)
    length = 1 if smoke else 4

    def loss_of(net, inputs, bits):
        return F.binary_cross_entropy_with_logits(net(inputs)[length + 1 :], bits)

    return step_of(machine, optimizer, loss_of), ntm.copies(length)


def figure_7_8():
    """Figure 7.8's network and its own sizes: 10-40-40-5, batches of 10."""
    network = nn.Sequential(nn.Linear(10, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 5))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    batch = torch.randn(10, 10), torch.randn(10, 5)
    return step_of(network, optimizer, lambda net, x, y: F.mse_loss(net(x), y)), batch


def pictures():
    """Two convolutions with pools on 28 x 28 pictures."""
    network = nn.Sequential(
        *(nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(32 * 49, 10)),
    )
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    size = 2 if smoke else 64
    batch = torch.randn(size, 1, 28, 28), torch.randint(0, 10, (size,))
    return step_of(network, optimizer, lambda net, x, y: F.cross_entropy(net(x), y)), batch


CASES = {
    "figure 7.8": figure_7_8,
    "mlp": mlp,
    "gelu": gelu,
    "gpt": gpt,
    "lstm": lstm,
    "memory": memory,
    "pictures": pictures,
}


def steps(small=False, file=None):
    """Give the functions by name."""
    global smoke
    smoke = small
    if file is None:
        return CASES
    sys.path.insert(0, str(Path(file).parent))
    return {name: lambda make=make: make(torch) for name, make in runpy.run_path(file)["ALL"].items()}


if __name__ == "__main__":
    for name, make in CASES.items():
        print(f"{name:12s} {make.__doc__}")
