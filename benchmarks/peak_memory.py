"""Peak memory of a training step: what the plan says before the first run, what is measured, and what eager mode takes.

usage: python benchmarks/peak_memory.py [--only NAME ...] [--steps FILE] [--smoke]

Each row is two fresh processes, one compiled and one eager. `state` is what the compiled one keeps when gradients and the program are let
go: parameters, buffers, the optimizer's state, the batch, and what kernels of the first calls, which were eager, keep to work in. `plan` is
what a compiled step needs besides: the arena, the new gradients, the results, and the table of addresses. `compiled` and `eager` are the most bytes of arrays that there were at a time in a warm step (tracemalloc), less that
state, so that gradients and the arena, which stay, are counted. In MiB; the last columns are compiled over plan and over eager.
"""

import argparse
import gc
import json
import subprocess
import sys
import tracemalloc

import numpy as np

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--only", nargs="+", default=None, metavar="NAME")
parser.add_argument("--steps", metavar="FILE", help="other steps than those of training_steps.py, which tells how")
parser.add_argument("--smoke", action="store_true", help="small sizes")
parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
arguments = parser.parse_args()
WARM = 4


def arrays():
    """Bytes of NumPy's arrays alive."""
    domain = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([domain]).traces)


def measure(name, way):
    """Trace the memory of a step in this process."""
    import training_steps

    torch = training_steps.torch
    torch.manual_seed(0)
    gc.disable()
    tracemalloc.start()
    step, batch = training_steps.steps(arguments.smoke, arguments.steps)[name]()
    run = torch.compile(step, fullgraph=True) if way == "compiled" else step
    for _ in range(WARM):
        run(*batch)
    gc.collect()
    held, before = arrays(), tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    run(*batch)
    found = {"peak": held + tracemalloc.get_traced_memory()[1] - before}
    if way == "compiled":
        memory = run.explain(rounds=0).data["programs"][0]["parts"][0]["memory"]
        found["plan"] = memory["arena_bytes"] + memory["output_bytes"] + memory["table_bytes"]
    del run
    for t in gc.get_objects():
        if type(t) is torch.nn.Parameter:
            t.grad = None
    gc.collect()
    found["state"] = arrays()
    return found


def one(name, way):
    command = [sys.executable, __file__, "--one", name, way, *(["--smoke"] if arguments.smoke else [])]
    command += ["--steps", arguments.steps] if arguments.steps else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def names():
    import training_steps

    return training_steps.steps(arguments.smoke, arguments.steps)


if arguments.one:
    print(json.dumps(measure(*arguments.one)))
    sys.exit()
print("step           state      plan  compiled     eager   over plan  over eager")
for name in arguments.only or names():
    compiled, eager = one(name, "compiled"), one(name, "eager")
    state, plan = compiled["state"], compiled["plan"]
    peak, other = compiled["peak"] - state, eager["peak"] - state
    mib = [x / 2**20 for x in (state, plan, peak, other)]
    ratios = peak / plan, peak / other
    print(f"{name:10s} " + " ".join(f"{x:9.3f}" for x in mib) + f" {ratios[0]:11.3f} {ratios[1]:11.3f}", flush=True)
