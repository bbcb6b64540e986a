"""Products of matrices: the library's kernels beside NumPy's, and PyTorch's and JAX's where they are installed.

usage: python benchmarks/contractions.py [--only SUBSTRING] [--kind f32|f64|bf16] [--turned] [--seconds 0.1] [--rounds 3] [--plan] [--smoke]

Each implementation runs for a while by itself, in turns, and the median of its calls is printed, in microseconds and 10^9 operations a
second; the last column is how much faster this library is than the fastest of the others. ``--turned`` has the second operand transposed,
as in a linear layer. NumPy's OpenBLAS takes its kernels by the processor's name: OPENBLAS_CORETYPE=SKYLAKEX in the environment gives
those with AVX-512. ``--plan`` prints what is done and why.
"""

import argparse
import statistics
import time

import ml_dtypes
import numpy as np

import retrograd
from retrograd.compiler import contractions

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
parser.add_argument("--kind", default="f32", choices=("f32", "f64", "bf16"))
parser.add_argument("--turned", action="store_true")
parser.add_argument("--seconds", type=float, default=0.1, help="of timing for each implementation and round")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--plan", action="store_true")
parser.add_argument("--smoke", action="store_true", help="small sizes and a few calls, no figures worth quoting")
arguments = parser.parse_args()

# (rows, sum, columns)
SQUARE = [(size, size, size) for size in (64, 128, 256, 512, 1024, 2048, 4096)]
ODD = [
    (64, 784, 50),
    (128, 9216, 4096),
    (64, 1600, 3025),
    (10, 40, 40),
    (1, 4096, 4096),
    (4096, 1, 4096),
    (32, 100_000, 32),
]
PRIME = [(127, 131, 137), (509, 521, 503), (1021, 1031, 1033)]
BATCHED = [(32, 128, 64, 128), (256, 32, 32, 32)]  # with a batch in front
shapes = [*SQUARE, *ODD, *PRIME, *BATCHED]
if arguments.smoke:
    shapes, arguments.seconds, arguments.rounds = [(32, 32, 32), (17, 40, 50), (2, 8, 8, 8)], 0.001, 1


def timed(calls):
    """Give the median seconds of each call, which take turns."""
    found = {name: [] for name in calls}
    for _ in range(arguments.rounds):
        for name, call in calls.items():
            time.sleep(0.05)  # other libraries' threads go to sleep
            start = time.perf_counter()
            call()
            count = max(1, int(0.002 / (time.perf_counter() - start)))
            while time.perf_counter() - start < arguments.seconds / 2:
                call()
            start = time.perf_counter()
            while not found[name] or time.perf_counter() - start < arguments.seconds:
                begin = time.perf_counter()
                for _ in range(count):
                    call()
                found[name].append((time.perf_counter() - begin) / count)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


rng = np.random.default_rng(0)
dtype = {"f32": np.float32, "f64": np.float64, "bf16": ml_dtypes.bfloat16}[arguments.kind]
if jax is not None and arguments.kind == "f64":
    jax.config.update("jax_enable_x64", True)
product = None if jax is None else jax.jit(lambda x, y: x @ y)
for shape in shapes:
    if arguments.only not in str(shape):
        continue
    *batch, m, k, n = shape
    x = rng.standard_normal((*batch, m, k)).astype(dtype)
    y = rng.standard_normal((*batch, n, k) if arguments.turned else (*batch, k, n)).astype(dtype)
    y = y.swapaxes(-1, -2) if arguments.turned else y
    own = [retrograd.Tensor._wrap(a) for a in (x, y)]
    calls = {"own": lambda own=own: retrograd.matmul(*own)}
    if arguments.kind != "bf16":  # which NumPy multiplies number by number
        calls["numpy"] = lambda x=x, y=y: np.matmul(x, y)
    if torch is not None:
        plain = [np.asarray(a, np.float32) if arguments.kind == "bf16" else a for a in (x, y)]  # the strides stay
        tensors = [torch.from_numpy(a) for a in plain]
        tensors = [t.bfloat16() for t in tensors] if arguments.kind == "bf16" else tensors
        calls["torch"] = lambda tensors=tensors: torch.matmul(*tensors)
    if jax is not None:
        arrays = jax.numpy.asarray(x), jax.numpy.asarray(y)
        calls["jax"] = lambda arrays=arrays: product(*arrays).block_until_ready()
    found = timed(calls)
    work = 2 * np.prod(shape)
    others = min(seconds for name, seconds in found.items() if name != "own")
    line = "  ".join(f"{name} {s * 1e6:9.1f} us {work / s / 1e9:5.0f}" for name, s in found.items())
    print(f"{shape!s:22} {line}  {others / found['own']:.2f}", flush=True)
    if arguments.plan:
        print("   ", contractions.plan(x.shape, y.shape, dtype, x.strides, y.strides))
