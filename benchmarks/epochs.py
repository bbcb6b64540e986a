"""Whole epochs: a training step over every batch of a shuffled dataset, against the same loop in PyTorch and a scan in JAX.

usage: python benchmarks/epochs.py [--only NAME ...] [--impl ours,loop,torch,jax,jax-rows] [--seconds 2] [--rounds 3] [--smoke]

Prints microseconds a step: the least of the rounds' medians over epochs. `ours` is `step.epoch(loader)`, `loop` the same compiled step
called for each batch of the same loader, `torch` PyTorch's eager step over its own DataLoader, `jax` one jitted `lax.scan` over the
shuffled batches' numbers with donated state, which gathers each batch as ours does, `jax-rows` a scan over all rows gathered before it,
which takes the dataset's memory twice. Each runs in a process of its own, in turn; PyTorch and JAX are left out where they are not installed.
Then: how many times faster than each the first is, and the mean losses of the last epoch, which have to agree roughly.
"""

import argparse
import importlib.util
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import time

import numpy as np

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--only", nargs="+", default=None, metavar="NAME")
parser.add_argument("--impl", default="ours,loop,torch,jax,jax-rows")
parser.add_argument("--seconds", type=float, default=2.0, help="of timing for each process")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--smoke", action="store_true", help="a few steps of one program, no figures worth quoting")
parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
arguments = parser.parse_args()

# layers, rows, batch, learning rate, momentum, classes (or a regression's outputs), dropout
CASES = {
    "figure 7.8": ((10, 40, 40, 5), 100_000, 10, 0.01, 0.9, False, 0.0),
    "digits": ((784, 50, 10), 12_800, 64, 0.05, 0.0, True, 0.0),
    "dropout": ((20, 64, 64, 2), 20_000, 20, 0.01, 0.9, False, 0.2),
}


def rows_of(name):
    """The dataset, the same for all."""
    sizes, rows, batch, _, _, classes, _ = CASES[name]
    rows = 20 * batch if arguments.smoke else rows
    random = np.random.default_rng(0)
    x = random.standard_normal((rows, sizes[0]), dtype=np.float32)
    if classes:
        return x, random.integers(0, sizes[-1], rows), batch
    return x, random.standard_normal((rows, sizes[-1]), dtype=np.float32), batch


def in_torch(name, torch, whole, compiled):
    """The program as it is written for PyTorch."""
    sizes, _, _, rate, momentum, classes, dropout = CASES[name]
    nn, data = torch.nn, __import__(f"{torch.__name__}.utils.data", fromlist=["DataLoader"])
    x, y, batch = rows_of(name)
    torch.manual_seed(0)
    layers = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])]
    network = nn.Sequential(*layers[: -2 if dropout else -1])
    optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=momentum)
    criterion = nn.CrossEntropyLoss() if classes else nn.MSELoss()

    def step(x, y):
        optimizer.zero_grad()
        loss = criterion(network(x), y)
        loss.backward()
        optimizer.step()
        return loss

    loader = data.DataLoader(data.TensorDataset(torch.tensor(x), torch.tensor(y)), batch, shuffle=True)
    if compiled:
        step = torch.compile(step, fullgraph=True)
    if whole:
        return lambda: float(step.epoch(loader).mean()), len(loader)
    return lambda: sum([step(*rows).item() for rows in loader]) / len(loader), len(loader)


def in_jax(name, gathered):
    """The same with JAX: one compiled scan over the shuffled batches, or over rows that were gathered before."""
    import jax
    import jax.numpy as jnp

    sizes, _, _, rate, momentum, classes, dropout = CASES[name]
    x, y, batch = rows_of(name)
    random = np.random.default_rng(1)
    p = [
        {
            "w": jnp.asarray(random.uniform(-1, 1, (a, b)).astype("f") / math.sqrt(a)),
            "b": jnp.asarray(random.uniform(-1, 1, b).astype("f") / math.sqrt(a)),
        }
        for a, b in itertools.pairwise(sizes)
    ]

    def loss_of(p, x, y, key):
        for layer in p[:-1]:
            x = jax.nn.relu(x @ layer["w"] + layer["b"])
            if dropout:
                key, now = jax.random.split(key)
                x = jnp.where(jax.random.bernoulli(now, 1 - dropout, x.shape), x / (1 - dropout), 0)
        out = x @ p[-1]["w"] + p[-1]["b"]
        if classes:
            return -jnp.take_along_axis(jax.nn.log_softmax(out), y[:, None], 1).mean()
        return ((out - y) ** 2).mean()

    def step(state, rows):
        p, v, key = state
        key, now = jax.random.split(key) if dropout else (key, key)
        loss, g = jax.value_and_grad(loss_of)(p, rows[0], rows[1], now)
        v = jax.tree.map(lambda v, g: momentum * v + g, v, g) if momentum else g
        return (jax.tree.map(lambda p, v: p - rate * v, p, v), v, key), loss

    def epoch(state, x, y, order):
        order = order.reshape(-1, batch)
        if gathered:
            state, losses = jax.lax.scan(step, state, (x[order], y[order]))
        else:
            state, losses = jax.lax.scan(lambda state, i: step(state, (x[i], y[i])), state, order)
        return state, losses.mean()

    run = jax.jit(epoch, donate_argnums=0)
    held = {"state": (p, jax.tree.map(jnp.zeros_like, p), jax.random.key(0))}
    data = jnp.asarray(x), jnp.asarray(y)

    def one():
        held["state"], loss = run(held["state"], *data, jnp.asarray(random.permutation(len(x))))
        return float(loss)

    return one, len(x) // batch


def measure(name, impl):
    """Time epochs in this process."""
    if impl.startswith("jax"):
        run, steps = in_jax(name, impl == "jax-rows")
    elif impl == "torch":
        import torch

        run, steps = in_torch(name, torch, False, False)
    else:
        import retrograd

        run, steps = in_torch(name, retrograd, impl == "ours", True)
    took, means = [], []
    began = time.perf_counter()
    while len(took) < 3 or (time.perf_counter() - began < arguments.seconds and not arguments.smoke):
        start = time.perf_counter()
        means.append(run())
        took.append((time.perf_counter() - start) / steps)
    return {"us": statistics.median(took[1:]) * 1e6, "first": took[0] * steps, "loss": means[2]}


def one(name, impl):
    command = [sys.executable, __file__, "--one", name, impl, "--seconds", str(arguments.seconds)]
    done = subprocess.run(
        [*command, *(["--smoke"] if arguments.smoke else [])],
        capture_output=True,
        text=True,
        env=os.environ,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{name} with {impl} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


if arguments.one:
    print(json.dumps(measure(*arguments.one)))
    sys.exit()
peers = {"torch": "torch", "jax": "jax", "jax-rows": "jax"}
impls = [i for i in arguments.impl.split(",") if i not in peers or importlib.util.find_spec(peers[i])]
print(
    f"{'program':12s} "
    + " ".join(f"{i + ' us':>9s}" for i in impls)
    + "   times faster than; mean loss of the third epoch"
)
for name in arguments.only or (["dropout"] if arguments.smoke else CASES):
    best = {}
    for _ in range(1 if arguments.smoke else arguments.rounds):
        for impl in impls:
            found = one(name, impl)
            if impl not in best or found["us"] < best[impl]["us"]:
                best[impl] = found
    ratios = [f"{i} {best[i]['us'] / best[impls[0]]['us']:.1f}" for i in impls[1:]]
    losses = [f"{best[i]['loss']:.4f}" for i in impls]
    figures = " ".join(f"{best[i]['us']:9.2f}" for i in impls)
    print(f"{name:12s} {figures}   {', '.join(ratios)}; {' '.join(losses)}", flush=True)
