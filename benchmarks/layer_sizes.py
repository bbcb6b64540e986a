"""Norms, pools, losses and sums in eager mode, from sizes that lie in the nearest cache to ones far beyond all, beside PyTorch.

usage: python benchmarks/layer_sizes.py [--only SUBSTRING ...] [--kib 16 256 4096 32768 102400] [--seconds 0.06] [--rounds 3] [--smoke]

Rows are layers, columns sizes of the input. Each cell is PyTorch's time over ours, forward and then forward with backward, medians of calls
that take turns. The first column is the microseconds that a call of ours takes on 2 KiB: Python's share, beside PyTorch's. Without PyTorch
all figures are microseconds.
"""

import argparse
import math
import statistics
import time

import numpy as np

import retrograd

try:
    import torch
except ImportError:
    torch = None

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--only", nargs="+", default=[""])
parser.add_argument("--kib", nargs="+", type=int, default=[16, 256, 4096, 32768, 102400])
parser.add_argument("--seconds", type=float, default=0.06)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--times", action="store_true", help="microseconds, theirs/ours, instead of ratios")
parser.add_argument("--smoke", action="store_true", help="small sizes and a few calls, no figures worth quoting")
arguments = parser.parse_args()
if arguments.smoke:
    arguments.kib, arguments.seconds, arguments.rounds = [16], 0.001, 1

DRAW = np.random.default_rng(0)


def floats(*shape):
    return DRAW.standard_normal(shape, dtype=np.float32)


def images(side, elements):
    """Give a shape of images with that many elements: 64 channels where that makes no less than one image."""
    channels = max(1, min(64, elements // side**2))
    return max(1, elements // (channels * side**2)), channels, side, side


def norm(side):
    def make(elements):
        n, c, *rest = images(side, elements)
        return [floats(n, c, *rest), floats(c), floats(c)]

    return make


def batch_norm(T, x, w, b):
    return T.nn.functional.batch_norm(x, None, None, w, b, True)


def running_norm(T, x, w, b):
    buffers = [T.zeros(x.shape[1]), T.ones(x.shape[1])]
    return T.nn.functional.batch_norm(x, *buffers, w, b, True)


def frozen_norm(T, x, w, b):
    return T.nn.functional.batch_norm(x, T.zeros(x.shape[1]), T.ones(x.shape[1]), w, b, False)


def group_norm(T, x, w, b):
    return T.nn.functional.group_norm(x, math.gcd(8, x.shape[1]), w, b)


def layer_norm(T, x, w, b):
    return T.nn.functional.layer_norm(x, x.shape[-1:], w, b)


def rows(width):
    def make(elements):
        return [floats(max(1, elements // width), width), floats(width), floats(width)]

    return make


def labelled(classes):
    def make(elements):
        n = max(1, elements // classes)
        return [floats(n, classes), DRAW.integers(0, classes, n)]

    return make


def entropy(T, x, y):
    return T.nn.functional.cross_entropy(x, y)


def matrix(width):
    return lambda elements: [floats(max(1, elements // width), width)]


def pool(T, x):
    return T.nn.functional.max_pool2d(x, 2)


def pool_overlapping(T, x):
    return T.nn.functional.max_pool2d(x, 3, 2, 1)


def pool_with_indices(T, x):
    return T.nn.functional.max_pool2d(x, 2, return_indices=True)[0]


def just_images(side):
    return lambda elements: [floats(*images(side, elements))]


WORKS = {
    "batch_norm 28": (batch_norm, norm(28)),
    "batch_norm 7": (batch_norm, norm(7)),
    "batch_norm running 14": (running_norm, norm(14)),
    "batch_norm eval 14": (frozen_norm, norm(14)),
    "group_norm 14": (group_norm, norm(14)),
    "layer_norm 512": (layer_norm, rows(512)),
    "layer_norm 4096": (layer_norm, rows(4096)),
    "softmax 1000": (lambda T, x: T.softmax(x, -1), matrix(1000)),
    "global average 7": (lambda T, x: T.nn.functional.adaptive_avg_pool2d(x, 1), just_images(7)),
    "average pool 28": (lambda T, x: T.nn.functional.avg_pool2d(x, 2), just_images(28)),
    "max_pool 2 28": (pool, just_images(28)),
    "max_pool 3/2 56": (pool_overlapping, just_images(56)),
    "max_pool indices 28": (pool_with_indices, just_images(28)),
    "cross_entropy 10": (entropy, labelled(10)),
    "cross_entropy 1000": (entropy, labelled(1000)),
    "cross_entropy 50257": (entropy, labelled(50257)),
    "channel sums 28": (lambda T, x: x.sum((0, 2, 3)), just_images(28)),
    "row sums 512": (lambda T, x: x.sum(1), matrix(512)),
    "column sums 512": (lambda T, x: x.sum(0), matrix(512)),
    "mean": (lambda T, x: x.mean(), matrix(512)),
    "gelu": (lambda T, x: T.nn.functional.gelu(x), matrix(512)),
    "dropout": (lambda T, x: T.nn.functional.dropout(x, 0.5), matrix(512)),
}


NAMESPACES = {"torch": torch, "ours": retrograd} if torch is not None else {"ours": retrograd}


def timed(calls, warm):
    found = {name: [] for name in calls}
    for name, call in calls.items():
        start, count = time.perf_counter(), 0
        while count < warm[name] and (count < 6 or time.perf_counter() - start < 2):
            call()
            count += 1
    for _ in range(arguments.rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            while not found[name] or time.perf_counter() - start < arguments.seconds:
                begin = time.perf_counter()
                call()
                found[name].append(time.perf_counter() - begin)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def measure(fn, arrays):
    """Give the seconds of (PyTorch, ours) forward, and of both forward with backward."""
    calls = {}
    values = {}
    for key, T in NAMESPACES.items():
        xs = [T.tensor(a) for a in arrays]
        leaves = [x for x in xs if x.is_floating_point()]

        def forward(T=T, xs=xs):
            with T.no_grad():
                return fn(T, *xs)

        out = forward()
        g = T.tensor(np.random.default_rng(1).standard_normal(tuple(out.shape)).astype(np.float32))
        held = [x.detach().requires_grad_() if x.is_floating_point() else x for x in xs]
        leaves = [x for x in held if x.is_floating_point()]

        def both(T=T, held=held, leaves=leaves, g=g):
            return T.autograd.grad(fn(T, *held), leaves, g)

        calls[key], calls[key + " both"] = forward, both
        values[key] = [out, *both()]
    if torch is not None and fn is not WORKS["dropout"][0]:
        for a, b in zip(values["torch"], values["ours"], strict=True):
            scale = float(a.abs().max()) + 1e-6
            assert np.abs(a.numpy() - b.numpy()).max() < 1e-3 * scale
    small = arrays[0].nbytes < 1 << 20
    took = timed(calls, {name: 5000 if "ours" in name and small else 80 if "ours" in name else 5 for name in calls})
    return [(took.get("torch" + k, math.nan), took["ours" + k]) for k in ("", " both")]


def shown(pair):
    theirs, mine = pair
    if torch is None:
        return f"{mine * 1e6:8.1f}"
    if arguments.times:
        return f"{theirs * 1e6:8.1f}/{mine * 1e6:<8.1f}"
    return f"{theirs / mine:6.2f}"


if torch is not None:
    torch.set_num_threads(retrograd.get_num_threads())
print(f"{'':24s} {'us: ours/torch':>22s}  " + "  ".join(f"{f'{k} KiB':>14s}" for k in arguments.kib))
for name, (fn, make) in WORKS.items():
    if not any(part in name for part in arguments.only):
        continue
    tiny = measure(fn, make(512))
    line = " ".join(f"{mine * 1e6:5.1f}/{theirs * 1e6:<5.1f}" for theirs, mine in tiny)
    cells = []
    for kib in arguments.kib:
        cells.append(" ".join(shown(pair) for pair in measure(fn, make(kib << 8))))
    print(f"{name:24s} {line}  " + "  ".join(cells), flush=True)
