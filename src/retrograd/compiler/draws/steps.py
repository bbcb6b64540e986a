"""Draws in programs: one as a step of generated code, and the locks of the generators that a program draws from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from ...core import Graph, Node
from ...random import Generator, default_generator
from ...random.plans import plan
from ...random.snapshot import BYTES
from ..codegen.emit import Module
from ..runtime.jit import CompileError
from .native import code, words_of


def arguments(node: Node) -> tuple[list[int], list[int]] | None:
    """Give what a draw's step takes before and behind the address of what is drawn, or None where NumPy has to draw."""
    if node.op is None or node.op.name != "draw" or os.environ.get("RETROGRAD_NATIVE", "").lower() in _OFF:
        return None
    attrs = node.attrs
    asked = plan(attrs["kind"], tuple(attrs["shape"]), attrs["dtype"], attrs["parameters"], generator_of(node))
    if asked is None:
        return None
    try:
        made = code(asked.draw, asked.dtype.name)
    except CompileError:  # NumPy's way is always there
        return None
    if made is None:
        return None
    return [made.address, generator_of(node).address], words_of(*asked.numbers)


_OFF = ("off", "0", "false", "no")


def label(node: Node) -> str:
    """Name a draw's step."""
    return f"draw {node.attrs['kind']} {list(node.shape)}"


def generator_of(node: Node) -> Generator:
    """Give the generator that a node draws from."""
    found: Generator = node.attrs.get("generator") or default_generator
    return found


def generators(graph: Graph) -> list[Generator]:
    """Give the generators that a graph's draws are made from."""
    drawn = [generator_of(n) for n in graph.nodes if n.op is not None and n.op.impure]
    return list({id(g): g for g in drawn}.values())


def write_step(module: Module, name: str) -> None:
    """Write ``void(ptr arguments, i64 chunk)``: the kernel's address, then its arguments."""
    f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
    run = f.load("ptr", f.arguments, 8)
    f.call(run, arguments=[("ptr", f.element("i64", f.arguments, 1)), ("i64", 0)])
    f.ret()


def write_step_again(module: Module, name: str) -> None:
    """Write ``void(ptr arguments, i64 chunk)``: a copy of a state goes back to where a draw was made, and makes it again.

    The arguments are the state to copy first, if it is not 0, how many words to go on, what does that, and those of a draw's step.
    """
    f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
    source, words, seek, run = (
        f.load(t, f.element("i64", f.arguments, k), 8) for k, t in enumerate(("ptr", "i64", "ptr", "ptr"))
    )
    behind = f.element("i64", f.arguments, 4)
    state = f.load("ptr", behind, 8)
    with f.if_(f.op(f"icmp ne ptr {source}, null")):
        copy = module.declare("llvm.memcpy.p0.p0.i64", "void", ["ptr", "ptr", "i64", "i1"])
        f.call(copy, "void", [("ptr", state), ("ptr", source), ("i64", BYTES), ("i1", "false")])
    f.call(seek, arguments=[("ptr", state), ("i64", words)])
    f.call(run, arguments=[("ptr", behind), ("i64", 0)])
    f.ret()


class Held:
    """Generators that nobody else draws from meanwhile: a program writes their states without asking.

    Parameters
    ----------
    generators : iterable of Generator
    """

    def __init__(self, generators: Iterable[Generator]) -> None:
        self.locks = [
            g.lock for g in sorted(generators, key=id)
        ]  # always in one order, so that two threads do not wait for each other

    def __enter__(self) -> None:
        for lock in self.locks:
            lock.acquire()

    def __exit__(self, *exc: Any) -> None:
        for lock in reversed(self.locks):
            lock.release()

    def guarding(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Give a function that holds them while it runs: itself, where there are none."""
        if not self.locks:
            return function

        def run(*args: Any) -> Any:
            with self:
                return function(*args)

        return run


__all__ = ["Held", "arguments", "generator_of", "generators", "label", "write_step", "write_step_again"]
