"""Memory of training: what budgets, reversible layers and depth cost, counted in bytes of arrays and in resident memory.

Usage: python benchmarks/memory.py [--smoke] [--only NAME ...] [--peer] [--json FILE]

Gradients are there before each measured step (``zero_grad(set_to_none=False)``), so that the peak of what a step adds is the memory of its
activations and of the walk over them.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from memory_nets import nets, residual, reversible, revnet
from memory_peer import beside_peer

import retrograd as torch
from retrograd.memory import BudgetError, Counter, Resident, memory_budget
from retrograd.memory.budget import Library, bytes_there

MB = 1e6


def cleared(net: Any) -> None:
    net.zero_grad(set_to_none=False)


def peak_of(net: Any, step: Callable[[], Any]) -> tuple[int, int | None]:
    """Give the peak of what a step adds: in bytes of arrays, and of resident memory where that passes 256 MiB."""
    cleared(net)
    with Resident() as resident, Counter() as counter:
        step()
    shown = resident.added if counter.peak > 256 << 20 else None
    return counter.peak, shown


def times_of(net: Any, steps: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Time steps side by side, one round after another."""
    found: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            cleared(net)
            began = time.perf_counter()
            step()
            found[name].append(time.perf_counter() - began)
    return found


def ratio(times: dict[str, list[float]], name: str, to: str) -> float:
    """Give the ratio of the least times: what else runs on a machine only ever adds to them."""
    return min(times[name]) / min(times[to])


def own_library(budget: Any, base: int | None = None) -> Any:
    """Give a budget plans of its own."""
    budget.library = Library(budget.bytes)
    budget.library.base = base
    return budget


def under(budget: Any, loss: Callable[[], Any]) -> Callable[[], None]:
    def step() -> None:
        with budget:
            loss().backward()

    return step


def measured(net: Any, loss: Callable[[], Any]) -> Any:
    """Measure a step, and plan for budgets of all sizes."""
    budget = own_library(memory_budget("1000TB"))
    while not budget.library.found:
        cleared(net)
        with budget:
            loss().backward()
    return budget


def smaller(whole: Any, size: int) -> Any:
    """Give a budget of another size for a step that was measured."""
    budget = own_library(memory_budget(int(size)), whole.library.base)
    budget.library.found = [(p, choices, budget.library.choose(choices)) for p, choices, _ in whole.library.found]
    return budget


def text(peak: int, resident: int | None) -> str:
    return f"{peak / MB:9.1f} MB" + (f" (resident {resident / MB:.1f})" if resident is not None else "")


# -- the rows -------------------------------------------------------------------------------------------------------------------------
def by_budget(smoke: bool, found: dict[str, Any]) -> None:
    """Residual net of 1,000 blocks, width 256, batch 256, checkpointed by budget."""
    blocks, width, rounds = (60, 64, 2) if smoke else (1000, 256, 5)
    torch.manual_seed(0)
    net, x = residual(blocks, width), torch.randn(width, width)
    loss = lambda: (net(x) ** 2).mean()
    plain = lambda: loss().backward()
    plain()
    began = time.perf_counter()
    whole = measured(net, loss)
    planned = time.perf_counter() - began
    reference, _ = peak_of(net, plain)
    steps: dict[str, Callable[[], Any]] = {"plain": plain}
    for part in (2, 4, 7, 15, 30, 60):
        try:
            steps[f"1/{part}"] = under(smaller(whole, whole.library.base + reference // part), loss)
        except RuntimeError as error:
            print(f"  1/{part}: {str(error).split(':')[1]}")
    peaks = {name: peak_of(net, step) for name, step in steps.items()}
    times = times_of(net, steps, rounds)
    print(f"residual net, {blocks} blocks, width {width}, batch {width}: measured and planned in {planned:.1f} s")
    rows = []
    for name in steps:
        part = peaks[name][0] / reference
        print(
            f"  {name:>6} {text(*peaks[name])}  1/{1 / part:5.1f} of plain, {ratio(times, name, 'plain'):.2f}x the time ({min(times[name]):.2f} s)"
        )
        rows.append((name, peaks[name][0], ratio(times, name, "plain")))
    found["budget"] = rows


def walked(net: Any, x: Any) -> None:
    (net(x) ** 2).mean().backward()


def walked_plainly(net: Any, x: Any) -> None:
    """Run a sequence's blocks as ordinary modules."""
    for block in net:
        x = block(x)
    (x**2).mean().backward()


def classified(net: Any, x: Any, y: Any) -> None:
    torch.nn.functional.cross_entropy(net(x), y).backward()


def by_reversal(smoke: bool, found: dict[str, Any]) -> None:
    """Reversible net of 100 to 4,000 blocks, beside the same blocks run plainly."""
    depths, width, rounds = ((10, 40), 32, 2) if smoke else ((100, 400, 1000, 4000), 256, 3)
    rows = []
    print(f"reversible net, width {width}, batch {width}")
    for depth in depths:
        torch.manual_seed(0)
        net = reversible(depth, width)
        x = torch.randn(width, width)
        step = functools.partial(walked, net, x)
        plain = functools.partial(walked_plainly, net, x)
        step()
        peak = peak_of(net, step)
        if depth <= 1000:
            plain()
            kept = peak_of(net, plain)
            times = times_of(net, {"plain": plain, "reversible": step}, rounds)
            cost = ratio(times, "reversible", "plain")
            took = " and ".join(f"{min(some):.2f} s" for some in times.values())
            print(f"  {depth:>5} blocks {text(*peak)}, plain {text(*kept)}, {cost:.2f}x the time ({took})")
            rows.append((depth, peak[0], kept[0], cost))
        else:
            print(f"  {depth:>5} blocks {text(*peak)}")
            rows.append((depth, peak[0], None, None))
    peaks = [row[1] for row in rows]
    print(f"  largest over smallest: {max(peaks) / min(peaks):.3f}")
    found["reversible"] = rows


def revnets(smoke: bool, found: dict[str, Any]) -> None:
    """RevNet-38 and RevNet-110 on pictures of CIFAR's shape, batch 100."""
    batch, units = (4, {"RevNet-14": 1, "RevNet-26": 2}) if smoke else (100, {"RevNet-38": 3, "RevNet-110": 9})
    rows = []
    print(f"RevNets, pictures of 3x32x32, batch {batch}")
    for name, count in units.items():
        torch.manual_seed(0)
        net = revnet(count)
        x, y = torch.randn(batch, 3, 32, 32), torch.randint(0, 10, (batch,))
        step = functools.partial(classified, net, x, y)
        step()
        peak = peak_of(net, step)
        net.keep = True
        kept = peak_of(net, step)
        print(f"  {name:>10} {text(*peak)}, keeping everything {text(*kept)}")
        rows.append((name, peak[0], kept[0]))
    print(f"  largest over smallest: {max(r[1] for r in rows) / min(r[1] for r in rows):.3f}")
    found["revnet"] = rows


def all_budgets(smoke: bool, found: dict[str, Any]) -> None:
    """Twelve budgets from all to the smallest possible, on nets of four shapes."""
    steps, scale = (3, 1) if smoke else (12, 4)
    print(f"{steps} budgets from 100 % to the smallest possible")
    for name, (net, loss) in nets(scale).items():
        for _ in range(8):  # until eager has compiled the kernels that it is going to
            loss().backward()
        plain = [p.grad.clone() for p in net.parameters()]
        whole = measured(net, loss)
        base = whole.library.base
        for _ in range(4):
            peak_of(net, under(whole, loss))
        every = [p.grad.clone() for p in net.parameters()]
        largest, least = whole.choices()[0][0], whole.smallest
        worst, last, monotonic, bits, error = 0.0, float("inf"), True, True, 0.0
        peaks = []
        for size in np.linspace(largest, least, steps).astype(int):
            budget = smaller(whole, int(size))
            peak_of(net, under(budget, loss))  # what is computed again may be compiled now
            peak, _ = peak_of(net, under(budget, loss))
            grads = [p.grad for p in net.parameters()]
            bits &= all(torch.equal(a, b) for a, b in zip(grads, every, strict=True))
            worst = max(worst, peak / max(int(size) - base, 1))
            monotonic &= peak <= last
            last = peak
            peaks.append(peak)
        for a in plain:
            error = max(error, float(a.abs().max()))
        print(
            f"  {name:>6}: {peaks[0] / MB:.2f} to {peaks[-1] / MB:.2f} MB, at most {worst:.3f} of the budget, "
            f"{'monotonic' if monotonic else 'NOT monotonic'}, gradients {'equal to the last bit' if bits else 'NOT equal'}"
        )
        found.setdefault("budgets", []).append((name, peaks, worst, monotonic, bits))


def compiled_budgets(smoke: bool, found: dict[str, Any]) -> None:
    """The same in compiled steps, whose bytes are those of all Tensors, of the program's arena, and of what a run makes besides."""
    steps, scale = (3, 1) if smoke else (12, 1)
    print(f"{steps} budgets from 100 % to the smallest possible, compiled")
    for name, (net, loss) in nets(scale).items():
        step = functools.partial(stepped, net, loss)
        for _ in range(8):  # until eager has compiled the kernels that it is going to
            step()
        plain = [p.grad.clone() for p in net.parameters()]
        compiled_within(step, 10**15)
        unbounded, apart = [p.grad.clone() for p in net.parameters()], 0.0
        whole = compiled_within(step, 10**15)[0]  # once more: what is in memory besides has grown by those
        largest, least = whole.choices()[0][0], whole.smallest + 4096  # a page for what may have come since
        worst, last, monotonic, error = 0.0, float("inf"), True, 0.0
        peaks, times = [], []
        for size in np.linspace(largest, least, steps).astype(int):
            try:
                budget, function = compiled_within(step, int(size))
            except BudgetError as refusal:  # what is in memory besides has grown since the smallest was found
                print(
                    f"  {name:>6}: {size / MB:.2f} MB is refused by now: {refusal.smallest / MB:.2f} MB is the smallest"
                )
                size = refusal.smallest
                del refusal
                budget, function = compiled_within(step, int(size))
            programs = [e.program for f in function.bounds.values() for some in f.entries.values() for e in some]
            before = bytes_there()
            with Counter() as counter, budget:
                function()
            peak = before + counter.peak + sum(p.arena.nbytes for p in programs)
            worst = max(worst, peak / int(size))
            monotonic &= peak <= last
            last = peak
            for p, g in zip(net.parameters(), plain, strict=True):
                error = max(error, differing(p.grad, g))
            apart = max([apart, *[differing(p.grad, g) for p, g in zip(net.parameters(), unbounded, strict=True)]])
            peaks.append(peak)
            times.append(min(timed(function, budget) for _ in range(5)))
            del function, programs  # another function's program counts as what was there before
        print(
            f"  {name:>6}: {peaks[0] / MB:.2f} to {peaks[-1] / MB:.2f} MB, at most {worst:.3f} of the budget, "
            f"{'monotonic' if monotonic else 'NOT monotonic'}, gradients differ by {apart:.1e} from the compiled step's without a budget, by {error:.1e} from eager mode's, "
            f"{times[-1] / times[0]:.2f}x the time at the smallest"
        )
        found.setdefault("compiled budgets", []).append((name, peaks, worst, monotonic, error))


def differing(a: Any, b: Any) -> float:
    """How far two gradients are apart, beside the largest number of one."""
    return float((a - b).abs().max() / b.abs().max().clamp(min=1e-12))


def stepped(net: Any, loss: Callable[[], Any]) -> Any:
    """A step without an optimizer."""
    net.zero_grad()
    value = loss()
    value.backward()
    return value


def compiled_within(step: Callable[[], Any], size: int) -> tuple[Any, Any]:
    """Compile a step within a budget."""
    function, budget = torch.compile(lambda: step()), own_library(memory_budget(size))
    for _ in range(3):
        with budget:
            function()
    return budget, function


def timed(function: Callable[[], Any], budget: Any) -> float:
    began = time.perf_counter()
    with budget:
        function()
    return time.perf_counter() - began


def compiled_deep(smoke: bool, found: dict[str, Any]) -> None:
    """The residual net of 1,000 blocks as one compiled step: what its program holds, without a budget and within some."""
    blocks, width, rounds = (30, 64, 2) if smoke else (1000, 256, 3)
    torch.manual_seed(0)
    net, x = residual(blocks, width), torch.randn(width, width)
    step = functools.partial(stepped, net, lambda: (net(x) ** 2).mean())
    step()
    plain = [p.grad.clone() for p in net.parameters()]
    eager = min(timed(step, contextlib.nullcontext()) for _ in range(rounds))
    print(
        f"residual net, {blocks} blocks, width {width}, batch {width}, compiled; a step of eager mode takes {eager:.2f} s"
    )
    rows, whole = [], 0
    for part in (1, 7, 30):
        gc.collect()
        began = time.perf_counter()
        try:
            budget, function = compiled_within(step, 10**15 if part == 1 else bytes_there() + whole // part + 4096)
        except BudgetError as refusal:  # of a net this small
            print(f"    1/{part}: {str(refusal).split(':')[1]}")
            continue
        took = time.perf_counter() - began
        program = next(e.program for f in function.bounds.values() for some in f.entries.values() for e in some)
        with Counter() as counter, budget:
            function()
        held = program.arena.nbytes + counter.peak
        whole = whole or held
        error = max(
            float((p.grad - g).abs().max() / g.abs().max().clamp(min=1e-12))
            for p, g in zip(net.parameters(), plain, strict=True)
        )
        seconds = min(timed(function, budget) for _ in range(rounds))
        rows.append((part, held, seconds, took))
        print(
            f"  {'plain' if part == 1 else f'1/{part}':>6} {text(held, None)}  1/{whole / held:5.1f} of plain, {seconds:.2f} s a step, "
            f"{seconds / rows[0][2]:.2f}x the time ({1 + budget.library.programs[-1].chosen.seconds / forward_and_back(budget):.2f}x by the plan), "
            f"compiled in {took:.0f} s, gradients differ by {error:.0e}"
        )
        del function, program, budget
    found["compiled deep"] = rows


def forward_and_back(budget: Any) -> float:
    """Give the time of a step without computing again, as its plan estimates it."""
    p = budget.library.programs[-1].forms[0].plan.profile
    return sum(r.seconds for r in p.rows) + sum(s.seconds for s in p.steps)


def depth(smoke: bool, found: dict[str, Any]) -> None:
    """10,000 layers, width 64, batch 64."""
    layers, rounds = (300, 1) if smoke else (10_000, 3)
    torch.manual_seed(0)
    net = torch.nn.Sequential(*[m for _ in range(layers) for m in (torch.nn.Linear(64, 64), torch.nn.Tanh())])
    with torch.no_grad():
        for m in net:
            if isinstance(m, torch.nn.Linear):
                torch.nn.init.orthogonal_(m.weight)
                m.bias.zero_()
    x = torch.randn(64, 64) * 0.1
    loss = lambda: (net(x) ** 2).mean()
    plain = lambda: loss().backward()
    plain()
    whole = measured(net, loss)
    tight = under(smaller(whole, min(whole.library.base + (15 << 20), whole.choices()[0][0])), loss)
    peaks = {"plain": peak_of(net, plain), "16 MiB": peak_of(net, tight)}
    times = times_of(net, {"plain": plain, "16 MiB": tight}, rounds)
    print(f"{layers} layers, width 64, batch 64")
    for name, peak in peaks.items():
        print(f"  {name:>7} {text(*peak)} ({peak[0] / 2**20:.1f} MiB), {min(times[name]):.2f} s a step")
    found["depth"] = [(name, p[0], min(times[name])) for name, p in peaks.items()]


def draw(found: dict[str, Any], path: str) -> None:
    """Draw time against memory, each beside the same net run plainly."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(figsize=(7, 4.5))
    if "budget" in found:
        whole = found["budget"][0][1]
        axes.plot(
            [r[1] / whole for r in found["budget"]],
            [r[2] for r in found["budget"]],
            "o-",
            label="budget, 1,000 residual blocks",
        )
    if "compiled deep" in found:
        (_, whole, once, _), *_ = found["compiled deep"]
        axes.plot(
            [r[1] / whole for r in found["compiled deep"]],
            [r[2] / once for r in found["compiled deep"]],
            "v-",
            label="the same, compiled, beside compiled",
        )
    if "reversible" in found:
        rows = [r for r in found["reversible"] if r[2]]
        axes.plot([r[1] / r[2] for r in rows], [r[3] for r in rows], "s", label="reversible, 100 to 1,000 blocks")
    if "depth" in found:
        (_, plain, t), (_, tight, u) = found["depth"]
        axes.plot([tight / plain], [u / t], "^", label="budget of 16 MiB, 10,000 tanh layers")
    if "peer" in found:
        peer_peak, peer_ratio, _, _ = found["peer"]
        axes.plot([peer_peak / found["budget"][0][1]], [peer_ratio], "x", label="PyTorch's checkpoint_sequential")
    axes.set_xscale("log")
    axes.set_xlabel("memory of activations, beside keeping everything")
    axes.set_ylabel("time of a step, beside keeping everything")
    axes.grid(alpha=0.3)
    axes.legend()
    plt.savefig(path, dpi=110, bbox_inches="tight")


ROWS = {
    "budget": by_budget,
    "reversible": by_reversal,
    "revnet": revnets,
    "budgets": all_budgets,
    "compiled": compiled_budgets,
    "compiled deep": compiled_deep,
    "depth": depth,
    "peer": beside_peer,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="small sizes")
    parser.add_argument("--only", nargs="*", choices=list(ROWS), help="these rows alone")
    parser.add_argument("--peer", action="store_true", help="PyTorch's checkpoint_sequential too")
    parser.add_argument("--json", help="write the figures here")
    parser.add_argument("--figure", help="draw the figures here; those of --json files named with --from too")
    parser.add_argument("--from", dest="sources", nargs="*", default=[], help="files of --json to draw as well")
    args = parser.parse_args()
    found: dict[str, Any] = {}
    for source in args.sources:
        found |= json.loads(Path(source).read_text())
    for name, row in ROWS.items():
        if (args.only and name in args.only) or (not args.only and (name != "peer" or args.peer)):
            row(args.smoke, found)
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=1))
    if args.figure:
        draw(found, args.figure)


if __name__ == "__main__":
    main()
