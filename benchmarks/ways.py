"""One training step, compiled in the ways in which programs are written: as a whole, with a break in it, or its module alone.

usage: python benchmarks/ways.py [--only NAME ...] [--seconds 0.5] [--smoke]

Prints milliseconds a step (the median of turns) of eager mode and of the whole step compiled, and how much of the whole step's speed
the others have: with ``losses.append(loss.item())`` at its end, with ``if torch.isnan(loss): return`` before the backward pass, with the
gradients' norm asked for before the update, and the module alone compiled, where loss, ``backward()`` and ``optimizer.step()`` are the
program's own, without and with ``clip_grad_norm_`` between. The losses of all are compared.
"""

import argparse
import inspect
import statistics
import time
import warnings

import training_steps

import retrograd as torch

nn = torch.nn
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--only", nargs="+", default=None, metavar="NAME")
parser.add_argument("--seconds", type=float, default=0.5, help="of timing for each way")
parser.add_argument("--smoke", action="store_true", help="small sizes and a few steps, no figures worth quoting")
arguments = parser.parse_args()
TURNS, FIRST = 5, 8
CASES = training_steps.steps(arguments.smoke)
warnings.filterwarnings("ignore", message=".*compiled in pieces.*")
warnings.filterwarnings("error", message=".*runs eagerly.*")


class Loss(nn.Module):
    """A network whose parts are called one by one, with its loss."""

    def __init__(self, net, loss_of):
        super().__init__()
        self.net, self.loss_of = net, loss_of

    def forward(self, *batch):
        return self.loss_of(self.net, *batch)


def appended(net, optimizer, loss_of):
    losses = []

    def step(*batch):
        optimizer.zero_grad()
        loss = loss_of(net, *batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        return loss

    return torch.compile(step)


def stopped(net, optimizer, loss_of):
    def step(*batch):
        optimizer.zero_grad()
        loss = loss_of(net, *batch)
        if torch.isnan(loss):
            return None
        loss.backward()
        optimizer.step()
        return loss

    return torch.compile(step)


def normed(net, optimizer, loss_of):
    def step(*batch):
        optimizer.zero_grad()
        loss = loss_of(net, *batch)
        loss.backward()
        if nn.utils.get_total_norm([p.grad for p in net.parameters() if p.grad is not None]) > 1e9:
            optimizer.zero_grad()
        optimizer.step()
        return loss

    return torch.compile(step)


def module(net, optimizer, loss_of, clips=False):
    if isinstance(net, nn.ModuleDict):
        compiled = torch.compile(Loss(net, loss_of))
        loss_of = lambda net, *batch: compiled(*batch)
    else:
        compiled = torch.compile(net)

    def step(*batch):
        optimizer.zero_grad()
        loss = loss_of(compiled, *batch)
        loss.backward()
        if clips:
            nn.utils.clip_grad_norm_(net.parameters(), 1e9)
        optimizer.step()
        return loss

    return step


WAYS = {
    "whole": lambda *parts: torch.compile(training_steps.step_of(*parts)),
    "append": appended,
    "isnan": stopped,
    "norm": normed,
    "module": module,
    "clip": lambda *parts: module(*parts, clips=True),
}


def measure(name):
    steps = {}
    for way, make in {"eager": None, **WAYS}.items():  # the same network, once for each way
        torch.manual_seed(0)
        step, batch = CASES[name]()
        own = inspect.getclosurevars(step).nonlocals
        parts = own["network"], own["optimizer"], own["loss_of"]
        steps[way] = (step if make is None else make(*parts)), batch
    for _ in range(FIRST):
        losses = [step(*batch).item() for step, batch in steps.values()]
        assert max(losses) - min(losses) <= 1e-3 * max(1.0, abs(losses[0])), f"{name}: the losses differ, {losses}"
    took = {way: [] for way in steps}
    for _ in range(1 if arguments.smoke else TURNS):
        for way, (step, batch) in steps.items():
            end = time.perf_counter() + (0 if arguments.smoke else arguments.seconds / TURNS)
            for _ in range(3):  # caches hold the other way's numbers
                step(*batch)
            while True:
                begin = time.perf_counter()
                step(*batch)
                took[way].append(time.perf_counter() - begin)
                if time.perf_counter() > end:
                    break
    middle = {way: statistics.median(seconds) * 1e3 for way, seconds in took.items()}
    others = "".join(f"{middle['whole'] / middle[way]:9.2f}" for way in list(WAYS)[1:])
    print(f"{name:10s} {middle['eager']:9.3f} {middle['whole']:9.3f}{others}", flush=True)


print(f"step        eager ms  whole ms{''.join(f'{way:>9s}' for way in list(WAYS)[1:])}")
for name in arguments.only or CASES:
    measure(name)
