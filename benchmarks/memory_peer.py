"""Computing again beside PyTorch's ``checkpoint_sequential``, at the peak that PyTorch is measured to have.

The peaks are resident memory, taken alike for both: the C library has to give back what it holds for reuse before the step, and, in
processes in which nothing is timed, every large array's memory at once (``MALLOC_MMAP_THRESHOLD_``), so that what a step adds is what
its arrays take. The times are of other processes, with the libraries' own settings; steps of the two take turns, one at a time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

MB = 1e6
EXACT = {"RETROGRAD_MALLOC": "system", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}

SERVER = """
import ctypes, gc, sys, time
def level(key):
    return [int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(key)][0]
def serve(net, steps):
    for line in sys.stdin:
        name, what = line.split()
        net.zero_grad(set_to_none=False)
        if what == "peak" and peak_of is not None:
            print(peak_of(name), flush=True)
        elif what == "peak":
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")
            before = level("VmRSS")
            steps[name]()
            print(level("VmHWM") - before, flush=True)
        else:
            began = time.perf_counter()
            steps[name]()
            print(time.perf_counter() - began, flush=True)
blocks, width, given = map(int, sys.argv[1:4])
peak_of = None
"""

TORCH = """
import torch
from torch.utils.checkpoint import checkpoint_sequential
class Residual(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.a, self.b = torch.nn.Linear(width, width), torch.nn.Linear(width, width)
    def forward(self, x):
        return x + self.b(torch.relu(self.a(x)))
net = torch.nn.Sequential(*[Residual(width) for _ in range(blocks)])
with torch.no_grad():
    for block in net:
        block.b.weight.mul_(blocks ** -0.5)
x = torch.randn(width, width)
steps = {"plain": lambda: (net(x) ** 2).mean().backward(),
         "again": lambda: (checkpoint_sequential(net, given, x, use_reentrant=False) ** 2).mean().backward()}
"""

OWN = """
from memory_nets import residual
import retrograd as torch
from memory import measured, smaller, under
torch.manual_seed(0)
net, x = residual(blocks, width), torch.randn(width, width)
loss = lambda: (net(x) ** 2).mean()
steps = {"plain": lambda: loss().backward()}
steps["plain"]()
whole = measured(net, loss)
steps["again"] = under(smaller(whole, whole.library.base + given), loss)
"""

COMPILED = """
from memory_nets import residual
import retrograd as torch
from memory import compiled_within, stepped
from retrograd.memory import Counter
from retrograd.memory.budget import bytes_there
torch.manual_seed(0)
net, x = residual(blocks, width), torch.randn(width, width)
step = lambda: stepped(net, lambda: (net(x) ** 2).mean())
plain = torch.compile(step)
for _ in range(3):
    plain()
held = sum(e.program.arena.nbytes for some in plain.entries.values() for e in some)
step()  # from now on the plain program's gradients, which it keeps to write them again, are bytes besides the net's own
budget, function = compiled_within(step, bytes_there() + held + given + 4096)
def again():
    with budget:
        return function()
steps = {"plain": plain, "again": again}
programs = {"plain": plain.entries, "again": next(iter(function.bounds.values())).entries}
def peak_of(name):
    steps[name]()  # the gradients are its own from now on, and are written again
    with Counter() as counter:
        steps[name]()
    return counter.peak + sum(e.program.arena.nbytes for some in programs[name].values() for e in some)
"""


class Child:
    """A process that runs steps when asked to."""

    def __init__(self, program: str, blocks: int, width: int, given: int, exact: bool) -> None:
        env = {**os.environ, **(EXACT if exact else {})}
        env["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), env.get("PYTHONPATH", "")])
        code = (
            SERVER + program + '\nfor name in steps:\n    steps[name]()\nprint("ready", flush=True)\nserve(net, steps)'
        )
        stderr = subprocess.DEVNULL if program is TORCH else None  # that it is not installed is no error
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, (blocks, width, given))],
            env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True,
        )  # fmt: skip
        self.there = self.answer() == "ready"

    def answer(self) -> str:
        """Give the next line that it writes."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, name: str, what: str) -> float:
        """Give the time, or the peak in bytes, of a step."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{name} {what}\n")
        self.process.stdin.flush()
        return float(self.answer())

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.process.stdin.close()  # type: ignore[union-attr]
        self.process.wait()


def peaks(program: str, blocks: int, width: int, given: int) -> tuple[float, float] | None:
    """Give the resident memory that a plain step adds, and one that computes again; None where the library is not installed."""
    with Child(program, blocks, width, given, True) as child:
        if not child.there:
            return None
        return child.ask("plain", "peak"), min(child.ask("again", "peak") for _ in range(2))


def beside_peer(smoke: bool, found: dict[str, Any]) -> None:
    """The cost of computing again beside PyTorch's checkpoint_sequential, at the peak that this is measured to have."""
    blocks, width, segments, rounds = (100, 128, 10, 2) if smoke else (1000, 256, 45, 6)
    theirs = peaks(TORCH, blocks, width, segments)
    if theirs is None:
        print("beside PyTorch: it is not installed")
        return
    room = int(theirs[1])
    ours = peaks(OWN, blocks, width, room)
    assert ours is not None
    with (
        Child(TORCH, blocks, width, segments, False) as a,
        Child(OWN, blocks, width, room, False) as b,
        Child(COMPILED, blocks, width, room, False) as c,
    ):
        compiled = c.ask("plain", "peak"), c.ask("again", "peak")
        times: dict[Any, list[float]] = {}
        for _ in range(rounds):
            for name, child in (("PyTorch", a), ("own", b), ("compiled", c)):
                for step in ("plain", "again"):
                    times.setdefault((name, step), []).append(child.ask(step, "time"))
    print(
        f"computing again, {blocks} blocks, width {width}: resident memory that a step adds (compiled: its program's), and its time"
    )
    rows = {}
    for name, shown, (plain, again) in (
        ("PyTorch", f"PyTorch, checkpoint_sequential in {segments} parts", theirs),
        ("own", f"a budget of {room / MB:.1f} MB", ours),
        ("compiled", "the same budget, compiled", compiled),
    ):
        seconds = [min(times[name, step]) for step in ("plain", "again")]  # what else runs only ever adds to them
        ratio = seconds[1] / seconds[0]
        print(
            f"  {shown}: {again / MB:.1f} MB instead of {plain / MB:.1f}, {seconds[1]:.2f} s instead of {seconds[0]:.2f}: "
            f"{seconds[1] - seconds[0]:.2f} s more, {ratio:.2f}x the time"
        )
        rows[name] = (again, ratio, plain, *seconds)
    found["peer"] = (rows["PyTorch"][0], rows["PyTorch"][1], rows["own"][0], rows["own"][1])
    found["peer times"] = {name: row[2:] for name, row in rows.items()}


__all__ = ["beside_peer"]
