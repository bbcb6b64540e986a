"""Products of matrices as steps of compiled programs: the driver's address, a template and working memory among the arguments."""

from __future__ import annotations

from dataclasses import replace

from ..codegen.emit import Module
from ..codegen.products import Product
from . import driver
from .description import Contraction
from .prepared import Prepared, prepare
from .products import by_library, contraction_of


def plain(p: Product) -> Contraction | None:
    """Describe a product as a contraction, or give None where that cannot be."""
    if p.c != _contiguous(p) or p.beta not in (0.0, 1.0):
        return None
    what = contraction_of(p.kind, p.batch, (p.m, p.k, p.n), p.a, p.b)
    return replace(what, accumulate=p.beta == 1.0)


def of_product(p: Product) -> Prepared | None:
    """Make a product ready, or give None where a library's is to be taken."""
    what = plain(p)
    return None if what is None or by_library(what) else prepare(what)


def _contiguous(p: Product) -> tuple[int, ...]:
    shape, strides, step = (*p.batch, p.m, p.n), [], 1
    for length in reversed(shape):
        strides.append(step)
        step *= length
    return tuple(reversed(strides))


def address() -> int:
    """Give the driver's address."""
    return driver.code().address("contract")


def write_step(module: Module, name: str) -> None:
    """Write ``void(ptr arguments, i64 chunk)``: the addresses of A, B, C, of the driver, of the template and of working memory."""
    f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
    a, b, c, run, template, work = (f.load("ptr", f.element("ptr", f.arguments, i), 8) for i in range(6))
    f.call(run, arguments=[("ptr", value) for value in (template, a, b, c, work, "null")])
    f.ret()
