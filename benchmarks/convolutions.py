"""Convolutions of well-known networks, forward and both gradients, beside PyTorch where it is installed.

usage: python benchmarks/convolutions.py [CASE ...] [--more] [--seconds 0.4] [--parts fwd,dx,dw] [--float64] [--check N] [--smoke]

Each figure is the median time of the op alone, in milliseconds, with its GFLOP/s; the last columns are PyTorch's time over
ours for forward, and for all three together. Run it with nothing else running. --check compares N convolutions of random
geometry, and their gradients, with float64 instead, and their bits on one thread and on two.
"""

import argparse
import collections
import statistics
import time

import numpy as np

import retrograd
from retrograd.compiler.contractions import conv as kernels
from retrograd.ops import conv as rows
from retrograd.ops import conv_kernels
from retrograd.ops.columns import output_size

# images, channels in, channels out, kernel, stride, padding, groups, lengths, and a dilation; a transposed convolution is another's dx
CASES = {
    "alexnet1": (32, 3, 64, (11, 11), 4, 2, 1, (224, 224)),
    "alexnet1-96": (32, 3, 96, (11, 11), 4, 0, 1, (227, 227)),
    "alexnet2": (32, 64, 192, (5, 5), 1, 2, 1, (27, 27)),
    "alexnet2-96": (32, 96, 256, (5, 5), 1, 2, 1, (27, 27)),
    "alexnet3": (32, 192, 384, (3, 3), 1, 1, 1, (13, 13)),
    "alexnet4": (32, 384, 256, (3, 3), 1, 1, 1, (13, 13)),
    "alexnet5": (32, 256, 256, (3, 3), 1, 1, 1, (13, 13)),
    "lenet1": (64, 1, 16, (5, 5), 1, 2, 1, (28, 28)),
    "lenet2": (64, 16, 32, (5, 5), 1, 2, 1, (14, 14)),
    "resnet-stem": (8, 3, 64, (7, 7), 2, 3, 1, (224, 224)),
    "resnet-64": (8, 64, 64, (3, 3), 1, 1, 1, (56, 56)),
    "resnet-64-128": (8, 64, 128, (3, 3), 2, 1, 1, (56, 56)),
    "resnet-128": (8, 128, 128, (3, 3), 1, 1, 1, (28, 28)),
    "resnet-256": (8, 256, 256, (3, 3), 1, 1, 1, (14, 14)),
    "resnet-512": (8, 512, 512, (3, 3), 1, 1, 1, (7, 7)),
    "resnet-1x1s2": (8, 64, 128, (1, 1), 2, 0, 1, (56, 56)),
    "pointwise": (8, 256, 64, (1, 1), 1, 0, 1, (56, 56)),
    "depthwise": (8, 128, 128, (3, 3), 1, 1, 128, (56, 56)),
    "depthwise-s2": (8, 128, 128, (3, 3), 2, 1, 128, (56, 56)),
    "grouped": (8, 128, 128, (3, 3), 1, 1, 4, (28, 28)),
    "conv1d": (100, 15, 20, (3,), 1, 1, 1, (20,)),
    "conv3d": (2, 16, 32, (3, 3, 3), 1, 1, 1, (16, 28, 28)),
}
MORE = {
    "resnet50-1x1": (1, 512, 2048, (1, 1), 1, 0, 1, (7, 7)),
    "resnet50-1x1-64": (64, 1024, 256, (1, 1), 1, 0, 1, (14, 14)),
    "resnet18-1x1s2": (8, 256, 512, (1, 1), 2, 0, 1, (14, 14)),
    "mobilenet-5x5s2": (8, 96, 96, (5, 5), 2, 2, 96, (28, 28)),
    "mobilenet-7": (8, 960, 960, (3, 3), 1, 1, 960, (7, 7)),
    "resnext": (8, 256, 256, (3, 3), 1, 1, 32, (28, 28)),
    "dilated-2": (8, 128, 128, (3, 3), 1, 2, 1, (28, 28), 2),
    "dilated-4": (4, 256, 256, (3, 3), 1, 4, 1, (28, 28), 4),
    "dilated-12": (2, 256, 256, (3, 3), 1, 12, 1, (33, 33), 12),
    "dilated-18": (1, 512, 128, (3, 3), 1, 18, 1, (65, 65), 18),
    "depthwise-7x7": (8, 96, 96, (7, 7), 1, 3, 96, (56, 56)),
    "depthwise-7x7-7": (8, 768, 768, (7, 7), 1, 3, 768, (7, 7)),
    "patches-4": (8, 3, 96, (4, 4), 4, 0, 1, (224, 224)),
    "dcgan-first": (32, 1024, 100, (4, 4), 1, 0, 1, (4, 4)),
    "dcgan": (32, 256, 512, (4, 4), 2, 1, 1, (16, 16)),
    "audio": (8, 8, 16, (7,), 1, 3, 1, (16000,)),
    "wavenet": (4, 32, 64, (2,), 1, 0, 1, (8064,), 64),
    "conv3d-64": (1, 64, 128, (3, 3, 3), 1, 1, 1, (8, 28, 28)),
    "odd": (16, 7, 17, (3, 3), 1, 1, 1, (40, 40)),
    "patches": (8, 3, 384, (16, 16), 16, 0, 1, (224, 224)),
}  # asked for by name, or by --more

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("cases", nargs="*", default=[])
parser.add_argument("--seconds", type=float, default=0.4, help="for each figure")
parser.add_argument("--parts", default="fwd,dx,dw")
parser.add_argument("--more", action="store_true", help="other sizes and kinds than those of every day")
parser.add_argument("--float64", action="store_true")
parser.add_argument("--check", type=int, default=0, metavar="N", help="compare N random geometries with float64")
parser.add_argument("--seed", type=int, default=1, help="of the random geometries")
parser.add_argument("--smoke", action="store_true", help="two small cases, a few calls each")
parser.add_argument("--no-torch", action="store_true")
arguments = parser.parse_args()
names = ["conv1d", "lenet2"] if arguments.smoke else arguments.cases or list(MORE if arguments.more else CASES)
seconds = 0.01 if arguments.smoke else arguments.seconds
torch = None
if not arguments.no_torch:
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed: our own times only")


def measure(*calls):
    """The median time of each call, in seconds; they take turns, long enough for one's threads to fall asleep before the other's."""
    times = [[] for _ in calls]
    for _ in range(4):
        for call, found in zip(calls, times, strict=True):
            time.sleep(0.01)
            call()
            end = time.perf_counter() + seconds / 4
            while not found or time.perf_counter() < end:
                start = time.perf_counter()
                call()
                found.append(time.perf_counter() - start)
    return [statistics.median(found) for found in times]


def ours(x, w, g, geometry):
    """Our three products, as calls."""
    return {
        "fwd": lambda: rows.conv.numpy(x, w, **geometry),
        "dx": lambda: rows.conv_input_grad.numpy(g, w, x_shape=x.shape, **geometry),
        "dw": lambda: rows.conv_weight_grad.numpy(g, x, w_shape=w.shape, **geometry),
    }


def theirs(x, w, g, stride, padding, groups, dilation):
    """PyTorch's."""
    x, w, g = (torch.from_numpy(a) for a in (x, w, g))
    n = w.ndim - 2
    forward = (None, [stride] * n, [padding] * n, [dilation] * n, False, [0] * n, groups)

    def back(which):
        mask = [which == "dx", which == "dw", False]
        return torch.ops.aten.convolution_backward(
            g, x, w, None, [stride] * n, [padding] * n, [dilation] * n, False, [0] * n, groups, mask
        )

    return {
        "fwd": lambda: torch.ops.aten.convolution(x, w, *forward),
        "dx": lambda: back("dx"),
        "dw": lambda: back("dw"),
    }


def check(count, seed=1):
    """Compare convolutions of random geometry and their gradients with float64; errors are scaled by the length of the sums, and by its root."""
    draw, worst, done = np.random.default_rng(seed), {"float32": 0.0, "float64": 0.0}, 0
    rooted = dict(worst)
    before, products, ways = retrograd.get_num_threads(), 0, collections.Counter()
    while done < count:
        n = int(draw.integers(1, 4))
        length = tuple(map(int, draw.integers(1, {1: 60, 2: 24, 3: 10}[n], n)))
        kernel = tuple(map(int, draw.integers(1, 6, n)))
        plain = bool(draw.random() < 0.3)
        geometry = {
            "stride": (1,) * n if plain else tuple(map(int, draw.integers(1, 4, n))),
            "padding": tuple((int(a), int(b)) for a, b in draw.integers(-1, 3, (n, 2))),
            "dilation": (1,) * n if plain else tuple(map(int, draw.integers(1, 3, n))),
            "groups": 1 if plain else int(draw.choice([1, 1, 2, 3, 20])),
        }
        pixels = output_size(length, kernel, geometry["stride"], geometry["padding"], geometry["dilation"])
        if min(pixels) < 1:
            continue
        into, out = int(draw.integers(1, draw.choice([24, 24, 150]))), int(draw.integers(1, draw.choice([5, 48, 130])))
        groups = geometry["groups"]
        if groups > 3:
            into, out = 1 + into % 2, 1 + out % 2
        dtype = str(draw.choice(list(worst)))
        shapes = ((int(draw.integers(1, 4)), groups * into, *length), (groups * out, into, *kernel))
        x, w = (draw.standard_normal(shape).astype(dtype) for shape in shapes)
        g = draw.standard_normal((x.shape[0], w.shape[0], *pixels)).astype(dtype)
        for name, a, b, extra, terms in (
            ("conv", x, w, {}, into * np.prod(kernel)),
            ("conv_input_grad", g, w, {"x_shape": x.shape}, out * np.prod(kernel)),
            ("conv_weight_grad", g, x, {"w_shape": w.shape}, x.shape[0] * np.prod(pixels)),
        ):
            retrograd.set_num_threads(1)
            made = getattr(kernels, name)(a, b, **geometry, **extra)
            if made is not None:
                retrograd.set_num_threads(2)
                again = getattr(kernels, name)(a, b, **geometry, **extra)
                assert np.array_equal(made, again), (
                    f"{name} of {x.shape} and {w.shape}, {geometry}: other bits on two threads"
                )
                job = kernels.describe(name, a.shape, b.shape, kernels.KINDS[dtype], {**geometry, **extra})
                ways[type(job.plan).__module__.rpartition(".")[2]] += 1
                products += 1
                exact = getattr(conv_kernels, name)(a.astype(float), b.astype(float), **geometry, **extra)
                error = float(np.abs(made - exact).max())
                worst[dtype] = max(worst[dtype], error / terms)
                rooted[dtype] = max(rooted[dtype], error / terms**0.5)
        done += 1
    retrograd.set_num_threads(before)
    print(
        f"{count} geometries, {products} products of equal bits on one thread and two; largest error over the number of terms:",
        worst,
        "and over its root:",
        rooted,
    )
    print("by", ", ".join(f"{way}: {n}" for way, n in sorted(ways.items())))
    assert worst["float32"] <= 2e-6 and worst["float64"] <= 1e-14
    assert rooted["float32"] <= 1e-5 and rooted["float64"] <= 1e-13


if arguments.check or arguments.smoke:
    check(arguments.check or 3, arguments.seed)
if arguments.check:
    raise SystemExit
generator = np.random.default_rng(0)
parts = arguments.parts.split(",")
dtype = np.float64 if arguments.float64 else np.float32
columns = [f"{p + ' ' + who:>16s}" for p in parts for who in (["ours", "torch"] if torch else ["ours"])]
print(f"{'ms (GFLOP/s)':16s}" + "".join(columns) + ("  fwd  all" if torch else ""))
for name in names:
    images, into, out, kernel, stride, padding, groups, length, *rest = {**CASES, **MORE}[name]
    dilation = rest[0] if rest else 1
    x = generator.standard_normal((images, into, *length)).astype(dtype)
    w = generator.standard_normal((out, into // groups, *kernel)).astype(dtype)
    n = len(kernel)
    geometry = {
        "stride": (stride,) * n,
        "padding": ((padding, padding),) * n,
        "dilation": (dilation,) * n,
        "groups": groups,
    }
    y = rows.conv.numpy(x, w, **geometry)
    g = generator.standard_normal(y.shape).astype(dtype)
    work = 2 * y.size * w[0].size
    mine = ours(x, w, g, geometry)
    other = theirs(x, w, g, stride, padding, groups, dilation) if torch else {}
    line, totals, first = f"{name:16s}", [0.0, 0.0], 0.0
    for part in parts:
        if torch and part == "fwd":
            np.testing.assert_allclose(mine[part](), other[part]().numpy(), rtol=1e-3, atol=1e-4 * w[0].size ** 0.5)
        pair = measure(*[calls[part] for calls in (mine, other) if calls])
        for k, t in enumerate(pair):
            totals[k] += t
            line += f"{t * 1e3:9.3f} ({work / t / 1e9:4.0f})"
        first = first or pair[-1] / pair[0]
    print(line + (f" {first:4.2f} {totals[1] / totals[0]:4.2f}" if torch else ""), flush=True)
