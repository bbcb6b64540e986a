"""A chain of additions, walked backward and freed in a bounded stack.

usage: python benchmarks/chain.py [--length 1000000] [--smoke]

The bar: a million additions in under 8 s and 800 MiB, in a thread with a stack of 256 KiB.
"""

import argparse
import resource
import threading
import time

import retrograd as torch

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--length", type=int, default=1_000_000)
parser.add_argument("--smoke", action="store_true", help="10,000 additions")
arguments = parser.parse_args()
length = 10_000 if arguments.smoke else arguments.length


def run() -> None:
    x = torch.tensor(1.0, requires_grad=True)
    start = time.perf_counter()
    y = x
    for _ in range(length):
        y = y + 1.0
    forward = time.perf_counter()
    y.backward()
    backward = time.perf_counter()
    del y
    end = time.perf_counter()
    assert x.grad.item() == 1.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{length} additions: forward {forward - start:.2f} s, backward {backward - forward:.2f} s, freed {end - backward:.2f} s, "
        f"together {end - start:.2f} s, peak resident {peak:.0f} MiB"
    )


threading.stack_size(256 * 1024)
thread = threading.Thread(target=run)
thread.start()
thread.join()
