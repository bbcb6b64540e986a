"""First calls: what it takes until a training step runs as machine code, with nothing on disk and with the cache filled.

usage: python benchmarks/first_call.py [--only NAME ...] [--rounds 2] [--steps FILE] [--smoke]

Each row is a fresh process whose cache directory is empty (cold), then another one with what the first left there (warm). Prints seconds,
the least of the rounds: of the calls before the third, which is the first to run compiled, less what they take eagerly once all is imported;
what of that was Python's share of compiling and what LLVM's; and the steps and distinct kernels of the program.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--only", nargs="+", default=None, metavar="NAME")
parser.add_argument("--rounds", type=int, default=2)
parser.add_argument("--smoke", action="store_true", help="two small steps, no figures worth quoting")
parser.add_argument("--steps", metavar="FILE", help="other steps than those of training_steps.py, which tells how")
parser.add_argument("--one", help=argparse.SUPPRESS)
arguments = parser.parse_args()


def measure(name):
    """Time the first calls in this process."""
    import training_steps

    torch = training_steps.torch
    torch.manual_seed(0)
    step, batch = training_steps.steps(arguments.smoke, arguments.steps)[name]()
    eager, compiled = [], torch.compile(step, fullgraph=True)
    took = []
    for _ in range(3):
        start = time.perf_counter()
        compiled(*batch).item()
        took.append(time.perf_counter() - start)
    for _ in range(3):
        start = time.perf_counter()
        step(*batch).item()
        eager.append(time.perf_counter() - start)
    part = compiled.explain(rounds=0).data["programs"][0]["parts"][0]
    found = {"first": took[0] + took[1] - 2 * min(eager), "steps": part["steps"], "kernels": len(part["kernels"])}
    return found | {"python": part["compile"]["python_seconds"], "llvm": part["compile"]["llvm_seconds"]}


def one(name, cache):
    command = [sys.executable, __file__, "--one", name, *(["--smoke"] if arguments.smoke else [])]
    command += ["--steps", arguments.steps] if arguments.steps else []
    environment = os.environ | {"RETROGRAD_CACHE_DIR": cache}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def names():
    import training_steps

    return training_steps.steps(arguments.smoke, arguments.steps)


if arguments.one:
    print(json.dumps(measure(arguments.one)))
    sys.exit()
print("step         cold s  Python    LLVM   warm s  Python    LLVM  warm/cold   steps kernels")
for name in arguments.only or (["figure 7.8", "lstm"] if arguments.smoke else names()):
    best = [None, None]
    for _ in range(1 if arguments.smoke else arguments.rounds):
        with tempfile.TemporaryDirectory() as cache:
            for k in range(2):
                found = one(name, cache)
                if best[k] is None or found["first"] < best[k]["first"]:
                    best[k] = found
    cold, warm = best
    figures = "  ".join(f"{b['first']:7.3f} {b['python']:7.3f} {b['llvm']:7.3f}" for b in best)
    share = warm["first"] / cold["first"]
    print(f"{name:10s} {figures} {share:10.2f} {cold['steps']:7d} {cold['kernels']:7d}", flush=True)
