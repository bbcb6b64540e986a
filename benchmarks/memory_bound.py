"""Layers that wait for memory: pooling, batch norm, cross entropy of many classes and large sums, forward and backward.

usage: python benchmarks/memory_bound.py [--only SUBSTRING] [--seconds 0.15] [--rounds 3] [--no-jax] [--smoke]

Each implementation runs for a while by itself, in turns, and the median of its calls is printed in milliseconds: PyTorch, JAX's jit, this
library eager and compiled. GB/s are of the compiled form, for the bytes that must move at least once (what is given, and what is
asked for), beside the machine's copy on two threads. The last two columns are PyTorch's time over ours.
"""

import argparse
import statistics
import time

import numpy as np

import retrograd

try:
    import torch
except ImportError:
    torch = None
try:
    import jax
except ImportError:
    jax = None

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--only", default="")
parser.add_argument("--seconds", type=float, default=0.15, help="of timing for each implementation and round")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--no-jax", action="store_true")
parser.add_argument("--smoke", action="store_true", help="small sizes and a few calls, no figures worth quoting")
arguments = parser.parse_args()
if arguments.smoke:
    arguments.seconds, arguments.rounds = 0.001, 1
if arguments.no_jax:
    jax = None


def small(shape):
    """Give a shape, or one of the same rank for a smoke test."""
    return tuple(min(n, 12) for n in shape) if arguments.smoke else shape


def floats(*shape):
    return np.random.default_rng(0).standard_normal(small(shape), dtype=np.float32)


def gradient(fn):
    """Give the step: a function's result, and its gradients in all floating inputs for a gradient of the result."""

    def of_torch(T):
        def step(g, *xs):
            leaves = [x for x in xs if x.is_floating_point()]
            out = fn(T, *xs)
            return T.autograd.grad(out, leaves, g)

        return step

    return of_torch


def jax_pool(x, kernel, stride, padding, kind):
    pads = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    window, steps = (1, 1, kernel, kernel), (1, 1, stride, stride)
    if kind == "max":
        return jax.lax.reduce_window(x, -np.inf, jax.lax.max, window, steps, pads)
    return jax.lax.reduce_window(x, 0.0, jax.lax.add, window, steps, pads) / kernel**2


def jax_norm(x, w, b):
    mean, var = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    return (x - mean) / np.sqrt(1) / jax.numpy.sqrt(var + 1e-5) * w[:, None, None] + b[:, None, None]


def jax_entropy(x, y):
    return jax.nn.logsumexp(x, 1).mean() - x[np.arange(x.shape[0]), y].mean()


FORWARD = (
    "mean square 4096x4096",
    "column sums 4096x4096",
    "channel sums (32, 64, 56, 56)",
)  # their gradients are views
works = []  # (name, function of a namespace and tensors, function of JAX's arrays, arrays)
POOLS = {
    "lenet 1": ((64, 16, 28, 28), 2, 2, 0),
    "lenet 2": ((64, 32, 14, 14), 2, 2, 0),
    "alexnet 1": ((32, 64, 55, 55), 3, 2, 0),
    "alexnet 2": ((32, 192, 27, 27), 3, 2, 0),
    "alexnet 3": ((32, 256, 13, 13), 3, 2, 0),
    "resnet18": ((32, 64, 112, 112), 3, 2, 1),
}
for name, (shape, k, s, p) in POOLS.items():
    works.append(
        (
            f"max_pool {name}",
            lambda T, x, k=k, s=s, p=p: T.nn.functional.max_pool2d(x, k, s, p),
            lambda x, k=k, s=s, p=p: jax_pool(x, k, s, p, "max"),
            [floats(*shape)],
        )
    )
for name in ("alexnet 2", "resnet18"):
    shape, k, s, p = POOLS[name]
    works.append(
        (
            f"avg_pool {name}",
            lambda T, x, k=k, s=s, p=p: T.nn.functional.avg_pool2d(x, k, s, p),
            lambda x, k=k, s=s, p=p: jax_pool(x, k, s, p, "average"),
            [floats(*shape)],
        )
    )
works.append(
    (
        "global average resnet18",
        lambda T, x: T.nn.functional.adaptive_avg_pool2d(x, 1),
        lambda x: x.mean((2, 3), keepdims=True),
        [floats(32, 512, 7, 7)],
    )
)
for shape in ((32, 64, 112, 112), (32, 64, 56, 56), (32, 256, 14, 14), (32, 512, 7, 7)):
    works.append(
        (
            f"batch_norm {shape}",
            lambda T, x, w, b: T.nn.functional.batch_norm(x, None, None, w, b, True),
            jax_norm,
            [floats(*shape), floats(shape[1]), floats(shape[1])],
        )
    )
works.append(
    (
        "group_norm (32, 64, 56, 56)",
        lambda T, x, w, b: T.nn.functional.group_norm(x, 8, w, b) if not arguments.smoke else x * w.sum() * b.sum(),
        None,
        [floats(32, 64, 56, 56), floats(64), floats(64)],
    )
)
for classes in (1000, 50257):
    rows = 512 if classes > 1000 else 4096
    x = floats(rows, classes)
    works.append(
        (
            f"cross_entropy ({rows}, {classes})",
            lambda T, x, y: T.nn.functional.cross_entropy(x, y),
            jax_entropy,
            [x, np.random.default_rng(0).integers(0, x.shape[1], x.shape[0])],
        )
    )
works += [
    ("mean square 4096x4096", lambda T, x: (x * x).mean(), lambda x: (x * x).mean(), [floats(4096, 4096)]),
    ("column sums 4096x4096", lambda T, x: x.sum(0), lambda x: x.sum(0), [floats(4096, 4096)]),
    (
        "channel sums (32, 64, 56, 56)",
        lambda T, x: x.sum((0, 2, 3)),
        lambda x: x.sum((0, 2, 3)),
        [floats(32, 64, 56, 56)],
    ),
    (
        "embedding (32768, 512) of 4096",
        lambda T, w, i: T.nn.functional.embedding(i, w),
        lambda w, i: w[i],
        [floats(32768, 512), np.random.default_rng(0).integers(0, small((32768,))[0], small((4096,)))],
    ),
]


def timed(calls):
    """Give the median seconds of each call, which take turns."""
    found = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(5):
            call()
    for _ in range(arguments.rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            while not found[name] or time.perf_counter() - start < arguments.seconds:
                begin = time.perf_counter()
                call()
                found[name].append(time.perf_counter() - begin)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def ours(array):
    x = retrograd.tensor(array)
    return x.requires_grad_() if x.is_floating_point() else x


def theirs(array):
    x = torch.tensor(array)
    return x.requires_grad_() if x.is_floating_point() else x


def measure(name, fn, other, arrays):
    """Print one work's line."""
    alone = name in FORWARD
    xs = [ours(a) for a in arrays]
    if alone:
        xs = [x.detach() for x in xs]
    out = fn(retrograd, *xs)
    g = np.random.default_rng(1).standard_normal(tuple(out.shape)).astype(np.float32)
    step = (lambda g, *xs: (fn(retrograd, *xs),)) if alone else gradient(fn)(retrograd)
    compiled = retrograd.compile(step)
    mine = retrograd.tensor(g)
    calls = {"eager": lambda: step(mine, *xs), "compiled": lambda: compiled(mine, *xs)}
    if torch is not None:
        peer = (lambda g, *xs: (fn(torch, *xs),)) if alone else gradient(fn)(torch)
        ys, given = [theirs(a) for a in arrays], torch.tensor(g)
        if alone:
            ys = [y.detach() for y in ys]
        calls["torch"] = lambda: peer(given, *ys)
        for a, b in zip(calls["torch"](), calls["eager"](), strict=True):
            scale = float(a.abs().max()) + 1e-6
            assert np.abs(a.numpy() - b.numpy()).max() < 1e-3 * scale, name
    if jax is not None and other is not None:
        whole = [a for a in arrays if a.dtype.kind == "f"]
        rest = [a for a in arrays if a.dtype.kind != "f"]

        def vjp(g, *xs):
            return other(*xs, *rest) if alone else jax.vjp(lambda *ws: other(*ws, *rest), *xs)[1](g)

        jitted, held = jax.jit(vjp), [jax.numpy.asarray(a) for a in whole]
        cotangent = jax.numpy.asarray(g)
        calls["jax"] = lambda: jax.block_until_ready(jitted(cotangent, *held))
    took = timed(calls)
    floating = sum(a.nbytes for a in arrays if a.dtype.kind == "f")
    least = floating + g.nbytes if alone else 2 * floating + g.nbytes
    line = [f"{took[k] * 1e3:9.3f}" if k in took else f"{'-':>9s}" for k in ("torch", "jax", "eager", "compiled")]
    ratios = [f"{took['torch'] / took[k]:7.2f}x" if "torch" in took else "" for k in ("eager", "compiled")]
    print(f"{name:32s} {' '.join(line)} {least / took['compiled'] / 1e9:7.1f} {' '.join(ratios)}", flush=True)


source = floats(64 << 18)
target, calls = np.empty_like(source), {}
copying = retrograd.compile(lambda x, y: y.copy_(x))
x, y = retrograd.tensor(source), retrograd.tensor(target)
seconds = timed({"copy": lambda: copying(x, y)})["copy"]
print(f"copy: {2 * source.nbytes / seconds / 1e9:.1f} GB/s on {retrograd.get_num_threads()} threads")
print(f"{'':32s} {'torch':>9s} {'jax':>9s} {'eager':>9s} {'compiled':>9s} {'GB/s':>7s} {'eager':>7s} {'compiled':>9s}")
for work in works:
    if arguments.only in work[0]:
        measure(*work)
