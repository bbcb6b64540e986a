"""Whole training steps, eager and compiled: forward, backward and update.

usage: python benchmarks/compiled.py [--only NAME ...] [--seconds 2] [--smoke]

Prints milliseconds a step (the median; eager and compiled take turns), how many times faster, the time of the first two calls of the
compiled step, in which it is captured and made, what of that was Python's and what machine code's (the second is short where the disk
cache answers: RETROGRAD_CACHE=off shows it whole), and the distinct kernels and NumPy calls. The losses of both are compared.
"""

import argparse
import statistics
import sys
import time
import warnings
from pathlib import Path

import retrograd.as_torch  # noqa: F401  # isort: skip  # the models of two examples are used
import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--only", nargs="+", default=None, metavar="NAME")
parser.add_argument("--seconds", type=float, default=2.0, help="of timing for each line")
parser.add_argument("--smoke", action="store_true", help="small sizes and a few steps, no figures worth quoting")
arguments = parser.parse_args()
smoke = arguments.smoke
TURNS, WARM = 4, 3
warnings.simplefilter("error")  # a step that runs eagerly would not be a compiled one


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


CASES = {"mlp": mlp, "gelu": gelu, "gpt": gpt, "lstm": lstm, "memory": memory}


def timed(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(name):
    steps, batches = [], []
    for _ in range(2):  # the same network twice, one for each way
        torch.manual_seed(0)
        step, batch = CASES[name]()
        steps.append(step)
        batches.append(batch)
    eager, compiled = steps[0], torch.compile(steps[1], fullgraph=True)
    losses = []
    first = [timed(lambda: losses.append(compiled(*batches[1]).item())) for _ in range(2)]
    losses += [compiled(*batches[1]).item() for _ in range(2)]
    for loss in losses:
        found = eager(*batches[0]).item()
        assert abs(found - loss) <= 1e-3 * max(1.0, abs(found)), f"{name}: the losses differ, {found} and {loss}"
    part = compiled.explain(rounds=0).data["programs"][0]["parts"][0]
    took = {False: [], True: []}
    for _ in range(1 if smoke else TURNS):
        for way, run, batch in ((False, eager, batches[0]), (True, compiled, batches[1])):
            time.sleep(0.0 if smoke else 0.05)  # the threads of the other way go to sleep
            end = time.perf_counter() + (0 if smoke else arguments.seconds / TURNS / 2)
            for _ in range(WARM):  # caches hold the other way's numbers
                run(*batch)
            took[way].append(timed(lambda run=run, batch=batch: run(*batch)))
            while time.perf_counter() < end:
                took[way].append(timed(lambda run=run, batch=batch: run(*batch)))
    slow, quick = (statistics.median(took[way]) * 1e3 for way in (False, True))
    kernels = [k for k in part["kernels"] if k["kind"] != "numpy"]
    made = part["compile"]
    print(
        f"{name:8s} {slow:10.3f} {quick:10.3f} {slow / quick:7.1f}   {first[0]:6.2f} {first[1]:6.2f}  "
        f"{made['python_seconds']:6.2f} {made['llvm_seconds']:6.2f}  {len(kernels):5d} {part['numpy_calls']:5d}",
        flush=True,
    )


print("step       eager ms   compiled  faster    first second  Python   LLVM  kernels NumPy")
for name in arguments.only or CASES:
    measure(name)
