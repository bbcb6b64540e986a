"""Random draws: each kind beside PyTorch's, whose numbers they are bit for bit, and a compiled training step with dropout.

usage: python benchmarks/draws.py [--sizes 1000 100000 10000000] [--only NAME ...] [--rounds 5] [--smoke]

Prints microseconds a call, the least of the rounds, and how many times faster than PyTorch it is, which is left out where it is not
installed. Code for a kind is made before it is timed, as it is in a program that draws a million numbers. Then: the same step, 784-512-512-10
on 64 rows, eager, compiled, and compiled without its dropouts; how many calls of NumPy the program has, and what its draws take of it.
"""

import argparse
import importlib
import importlib.util
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--sizes", nargs="+", type=int, default=[16, 1000, 100_000, 10_000_000])
parser.add_argument("--only", nargs="+", default=None, metavar="NAME")
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--smoke", action="store_true", help="a few calls, no figures worth quoting")
arguments = parser.parse_args()


def cases(torch, n):
    """Calls by name; what they draw into is there before."""
    x, half = torch.empty(n), torch.empty(n, dtype=torch.bfloat16)
    double, whole = torch.empty(n, dtype=torch.float64), torch.empty(n, dtype=torch.int64)
    chances, weights = torch.full((n,), 0.5), torch.ones(min(n, 100_000))
    return {
        "uniform_": lambda: x.uniform_(),
        "uniform_ float64": lambda: double.uniform_(-1, 1),
        "normal_": lambda: x.normal_(),
        "normal_ bfloat16": lambda: half.normal_(),
        "normal_ float64": lambda: double.normal_(),
        "rand": lambda: torch.rand(n),
        "randn": lambda: torch.randn(n),
        "bernoulli_": lambda: x.bernoulli_(0.5),
        "bernoulli": lambda: torch.bernoulli(chances),
        "dropout": lambda: torch.nn.functional.dropout(chances, 0.5, True),
        "randint": lambda: torch.randint(0, 10, (n,)),
        "random_": lambda: whole.random_(),
        "randperm": lambda: torch.randperm(n),
        "exponential_": lambda: x.exponential_(),
        "geometric_": lambda: x.geometric_(0.1),
        "multinomial": lambda: torch.multinomial(weights, 10),
        "multinomial again": lambda: torch.multinomial(weights, min(n, 10_000), True),
    }


def least(call, n):
    """Seconds of a call."""
    repeats = 1 if arguments.smoke else max(1, int(2e5 / (8 * n + 2000)))
    call()
    took = []
    for _ in range(1 if arguments.smoke else arguments.rounds):
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        took.append((time.perf_counter() - start) / repeats)
    return min(took)


def step_of(torch, dropout, compiled):
    """A training step of a perceptron on one batch."""
    nn, F = torch.nn, torch.nn.functional
    torch.manual_seed(0)
    wide = 16 if arguments.smoke else 512
    layers = []
    for a in (784, wide):
        layers += [nn.Linear(a, wide), nn.ReLU(), *([nn.Dropout(0.5)] if dropout else [])]
    network = nn.Sequential(*layers, nn.Linear(wide, 10))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    x, y = torch.randn(64, 784), torch.randint(0, 10, (64,))

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
        return loss

    step = torch.compile(step, fullgraph=True) if compiled else step
    for _ in range(4):
        step(x, y)
    return step, lambda: step(x, y)


def main():
    """Print both tables."""
    ours = importlib.import_module("retrograd")
    importlib.import_module("retrograd.random.native").WORTH = 0
    peer = importlib.import_module("torch") if importlib.util.find_spec("torch") else None
    for n in (16, 1000) if arguments.smoke else arguments.sizes:
        theirs = cases(peer, n) if peer else {}
        for name, call in cases(ours, n).items():
            if arguments.only and name not in arguments.only:
                continue
            mine = least(call, n)
            against = f"  torch {(t := least(theirs[name], n)) * 1e6:11.1f}  {t / mine:6.2f} times" if peer else ""
            print(f"{n:9d} {name:18s} {mine * 1e6:11.1f} us{against}", flush=True)
    print("\na step of 784-512-512-10 on 64 rows, us")
    for name, torch, dropout, compiled in (
        ("torch, eager", peer, True, False),
        ("eager", ours, True, False),
        ("compiled", ours, True, True),
        ("compiled, no dropout", ours, False, True),
    ):
        if torch is None:
            continue
        step, call = step_of(torch, dropout, compiled)
        took = min(least(call, 100_000) for _ in range(1 if arguments.smoke else 300))
        print(f"{name:22s} {took * 1e6:9.1f}", flush=True)
        if compiled and dropout:
            (part,) = step.explain(rounds=1 if arguments.smoke else 20).data["programs"][0]["parts"]
            drawn = sum(k["seconds_all"] for k in part["kernels"] if k["kind"] == "draw")
            print(f"{'':22s} {part['numpy_calls']} calls of NumPy; its draws take {drawn * 1e6:.1f} us", flush=True)


main()
