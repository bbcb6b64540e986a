"""Whole training steps, eager and compiled: forward, backward and update.

usage: python benchmarks/compiled.py [--only NAME ...] [--seconds 2] [--smoke]

Prints milliseconds a step (the median; eager and compiled take turns), how many times faster, the time of the first two calls of the
compiled step, in which it is captured and made, what of that was Python's and what machine code's (the second is short where the disk
cache answers: RETROGRAD_CACHE=off shows it whole), and the distinct kernels and NumPy calls. The losses of both are compared.
"""

import argparse
import statistics
import time
import warnings

import training_steps

import retrograd as torch

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--only", nargs="+", default=None, metavar="NAME")
parser.add_argument("--seconds", type=float, default=2.0, help="of timing for each line")
parser.add_argument("--smoke", action="store_true", help="small sizes and a few steps, no figures worth quoting")
arguments = parser.parse_args()
smoke = arguments.smoke
TURNS, WARM = 4, 3
CASES = training_steps.steps(smoke)
warnings.simplefilter("error")  # a step that runs eagerly would not be a compiled one


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
