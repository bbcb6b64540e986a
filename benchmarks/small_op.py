"""What one small operation costs: recorded and not, forward and backward, beside the NumPy call inside it.

usage: python benchmarks/small_op.py [--smoke]

Prints nanoseconds, the least of many repeats. The bar: a recorded multiplication of two (10, 40) float32 tensors takes at most 2,500.
"""

import argparse
import timeit

import numpy as np

import retrograd as torch

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--smoke", action="store_true", help="one short repeat, no figures worth quoting")
smoke = parser.parse_args().smoke

x = torch.ones(10, 40, requires_grad=True)
y = torch.ones(10, 40, requires_grad=True)
plain, other = torch.ones(10, 40), torch.ones(10, 40)
a, b = np.ones((10, 40), np.float32), np.ones((10, 40), np.float32)
total = (x * y).sum()


def unrecorded() -> None:
    with torch.no_grad():
        x * y


CASES = {
    "numpy multiply": lambda: a * b,
    "multiply, no gradient wanted": lambda: plain * other,
    "multiply under no_grad": unrecorded,
    "multiply, recorded": lambda: x * y,
    "multiply by a number, recorded": lambda: x * 2.0,
    "exp, recorded": lambda: x.exp(),
    "a view, recorded": lambda: x.view(40, 10),
    "a slice, recorded": lambda: x[2:5],
    "backward through two nodes": lambda: total.backward(retain_graph=True),
}

for name, run in CASES.items():
    run()
    number, repeat = (20, 1) if smoke else (500, 60)
    least = min(timeit.repeat(run, number=number, repeat=repeat)) / number
    print(f"{name:32s} {least * 1e9:8.0f} ns")
