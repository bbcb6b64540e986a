"""Large eager operations, functions with their gradients, and optimizer steps: NumPy's way, the kernels, and PyTorch where it is installed.

usage: python benchmarks/eager_fused.py [CASE ...] [--sizes 1,4,16] [--seconds 0.2] [--smoke] [--no-torch]

Sizes are millions of elements (float32). Prints microseconds of a call (the median), taking turns; the last columns are how many times
faster the kernels are than NumPy's way and than PyTorch. Run it with nothing else running.
"""

import argparse
import os
import statistics
import time

import numpy as np

import retrograd

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("cases", nargs="*", default=[])
parser.add_argument("--sizes", default="1,4,16")
parser.add_argument("--seconds", type=float, default=0.2, help="for each figure")
parser.add_argument("--smoke", action="store_true", help="a small size, a few calls each, no figures worth quoting")
parser.add_argument("--no-torch", action="store_true")
arguments = parser.parse_args()
seconds = 0.001 if arguments.smoke else arguments.seconds
sizes = [0.1] if arguments.smoke else [float(s) for s in arguments.sizes.split(",")]
torch = None
if not arguments.no_torch:
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed: our own times only")

WIDTH = 1024
WARM = 4 if arguments.smoke else 60  # calls after which what can be compiled is


def plainly(fn):
    def case(t, n):
        x, y = (
            t.tensor(np.random.default_rng(k).standard_normal((n // WIDTH, WIDTH)).astype(np.float32)) for k in range(2)
        )
        return lambda: fn(t, x, y)

    return case


def with_gradients(fn, parameters=0):
    def case(t, n):
        rng = np.random.default_rng(0)
        x = t.tensor(rng.standard_normal((n // WIDTH, WIDTH)).astype(np.float32)).requires_grad_()
        rest = [t.ones(WIDTH).requires_grad_() for _ in range(parameters)]
        y = t.tensor(rng.integers(0, WIDTH, n // WIDTH))
        g = t.tensor(rng.standard_normal((n // WIDTH, WIDTH)).astype(np.float32))

        def run():
            out = fn(t, x, y, *rest)
            return t.autograd.grad(out, [x, *rest], g if out.ndim else None)

        return run

    return case


def updated(name, **settings):
    def case(t, n):
        p = t.nn.Parameter(t.zeros(n // WIDTH, WIDTH))
        p.grad = t.ones(n // WIDTH, WIDTH)
        optimizer = getattr(t.optim, name)([p], **settings)
        return optimizer.step

    return case


CASES = {
    "exp": plainly(lambda t, x, y: t.exp(x)),
    "tanh": plainly(lambda t, x, y: t.tanh(x)),
    "sigmoid": plainly(lambda t, x, y: t.sigmoid(x)),
    "erf": plainly(lambda t, x, y: t.erf(x)),
    "log1p": plainly(lambda t, x, y: t.log1p(x * x)),
    "add": plainly(lambda t, x, y: x + y),
    "times a number": plainly(lambda t, x, y: x * 2.5),
    "add a row": plainly(lambda t, x, y: x + y[0]),
    "relu": plainly(lambda t, x, y: t.relu(x)),
    "where": plainly(lambda t, x, y: t.where(x > 0, x, y)),
    "cube": plainly(lambda t, x, y: x**3),
    "sum": plainly(lambda t, x, y: x.sum()),
    "sum of columns": plainly(lambda t, x, y: x.sum(0)),
    "mean of rows": plainly(lambda t, x, y: x.mean(1)),
    "variance of rows": plainly(lambda t, x, y: x.var(1)),
    "largest of rows": plainly(lambda t, x, y: t.amax(x, 1)),
    "gelu, both ways": with_gradients(lambda t, x, y: t.nn.functional.gelu(x)),
    "silu, both ways": with_gradients(lambda t, x, y: t.nn.functional.silu(x)),
    "softmax, both ways": with_gradients(lambda t, x, y: t.softmax(x, 1)),
    "log_softmax, both ways": with_gradients(lambda t, x, y: t.log_softmax(x, 1)),
    "layer_norm, both ways": with_gradients(lambda t, x, y, w, b: t.nn.functional.layer_norm(x, (WIDTH,), w, b), 2),
    "cross_entropy, both ways": with_gradients(lambda t, x, y: t.nn.functional.cross_entropy(x, y)),
    "mse_loss, both ways": with_gradients(lambda t, x, y: t.nn.functional.mse_loss(x, x.detach() * 0.5)),
    "SGD with momentum": updated("SGD", lr=0.1, momentum=0.9),
    "Adam": updated("Adam", lr=1e-3),
    "AdamW": updated("AdamW", lr=1e-3),
}


def timed(run):
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def measure(name, n):
    """Give the times of NumPy's way, of the kernels, and of PyTorch."""
    run = CASES[name](retrograd, n)
    cold = NUMPY.get((name, n))
    for _ in range(WARM if n < 8e6 else 20):
        run()
    warm = timed(run)
    if torch is None:
        return cold, warm, None
    run = CASES[name](torch, n)
    for _ in range(3):
        run()
    return cold, warm, timed(run)


def measure_numpy():
    """Measure NumPy's way in a process of its own, where kernels are switched off."""
    import json
    import subprocess
    import sys

    if "--numpy" in os.environ.get("RETROGRAD_FUSED", ""):
        return {}
    environment = {**os.environ, "RETROGRAD_NATIVE": "off", "RETROGRAD_FUSED": "--numpy"}
    given = [*arguments.cases, "--sizes", ",".join(map(str, sizes)), "--seconds", str(seconds / 4), "--no-torch"]
    found = subprocess.run(
        [sys.executable, __file__, *given], env=environment, capture_output=True, text=True, check=True
    )
    rows = json.loads(found.stdout.strip().splitlines()[-1])
    return {(name, n): value for name, n, value in rows}


names = [n for n in CASES if not arguments.cases or any(n.startswith(c) for c in arguments.cases)]
counts = [int(s * 2**20) // WIDTH * WIDTH for s in sizes]
if os.environ.get("RETROGRAD_FUSED"):
    import json

    WARM = 3
    print(json.dumps([(name, n, timed(CASES[name](retrograd, n))) for name in names for n in counts]))
else:
    NUMPY = measure_numpy()
    print(
        f"{'':26s} {'elements':>10s} {'NumPy us':>10s} {'kernel us':>10s} {'PyTorch us':>10s}   than NumPy  than PyTorch"
    )
    for name in names:
        for n in counts:
            cold, warm, peer = measure(name, n)
            tail = (
                f"{peer:10.1f}   {cold / warm:8.2f}x   {peer / warm:8.2f}x"
                if peer
                else f"{'':10s}   {cold / warm:8.2f}x"
            )
            print(f"{name:26s} {n:10d} {cold:10.1f} {warm:10.1f} {tail}", flush=True)
