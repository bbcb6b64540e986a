"""Steps of products and convolutions that loops go on with: tile by tile or block by block, while results are near."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from ..core import Node
from .codegen.following import Behind
from .codegen.products import Product
from .codegen.small import write_tiles
from .contractions import behind
from .contractions import conv as convolutions
from .contractions import native as contractions
from .lowering.kernel import Call
from .runtime import jit
from .step import LONG, SHARED, Step, scratch
from .text import Text

if TYPE_CHECKING:
    from .steps import StepWriter


def step_behind(writer: StepWriter, call: Call, text: Text) -> Step:
    """Give the step of a product or convolution with the loops behind it."""
    product = writer.product_of(call)
    if product is None:
        return _convolution(writer, call, text)
    text.label = f"{text.label} {product.m}x{product.k}x{product.n}"
    if call.continues == 3:
        return _large(writer, call, product, text)
    return _small(writer, call, replace(product, chunks=call.parts), text)


def _small(writer: StepWriter, call: Call, product: Product, text: Text) -> Step:
    """A product written out in this program, each of whose tiles the loops begin with."""
    (x, y), size = cast(Any, call.operands), call.node.dtype.itemsize
    plan, lanes = text.plan, jit.host().lanes(size)
    plan.width = lanes

    def tiles(f: Any, a: Any, b: Any, put: Any, end: Any) -> None:
        write_tiles(f, product, a, b, lanes, put, end, plan.flat_streams)

    name = writer.function(
        ("behind", product, text.key), lambda name: Behind(plan, writer.module, name, text.buffers, tiles)
    )
    return Step(
        name,
        (*text.arguments, x[0], y[0]),
        (*text.offsets, x[1] * size, y[1] * size),
        product.chunks,
        None,
        text.read(x[0], y[0]),
        text.written(),
        text.label,
        product.work > LONG,
        alike=product.chunks == 1,
        worth=product.work / SHARED,
    )


def _large(writer: StepWriter, call: Call, product: Product, text: Text) -> Step:
    """A product of the contraction kernels, whose tiles are gone on with by a function of this program."""
    ready = behind.of_product(product)
    assert ready is not None
    writer.held.append(ready)
    plan, buffers, key = text.plan, text.buffers, (product, repr(text.lines[1:]))
    plan.width = jit.host().lanes(call.node.dtype.itemsize)
    tiles = writer.function(("tiles", key), lambda name: behind.Tiles(plan, writer.module, name, buffers, product))
    ahead = writer.function(
        ("ahead", key), lambda name: behind.write_ahead(writer.module, name, plan, buffers, product.kind)
    )
    name = writer.function(
        ("large", key), lambda name: behind.write_step(writer.module, name, f"@{tiles}", f"@{ahead}", len(buffers))
    )
    memory, sums = scratch(ready.bytes), scratch(behind.partial(ready))
    (x, y), size = cast(Any, call.operands), call.node.dtype.itemsize
    return Step(
        name,
        (*text.arguments, x[0], y[0], contractions.address(), ready.template.ctypes.data, memory, sums),
        (*text.offsets, x[1] * size, y[1] * size, 0, 0, 0, 0),
        1,
        None,
        text.read(x[0], y[0]),
        text.written(memory, sums),
        text.label,
    )


def _convolution(writer: StepWriter, call: Call, text: Text) -> Step:
    """A convolution whose blocks are gone on with by a function of this program."""
    job = convolutions.of_call(call, behind=True)
    assert job is not None
    planes = writer.function(
        ("planes", text.key), lambda name: behind.Planes(text.plan, writer.module, name, text.buffers)
    )
    (x, y), size = cast(Any, call.operands), call.node.dtype.itemsize
    product = convolutions.of_product(job)
    memory: tuple[Node, ...]
    given: tuple[Any, ...]
    if product is None:
        kernel = writer.convolved(job)
        name = writer.function(
            ("convolution behind", kernel, planes),
            lambda name: behind.write_convolution(writer.module, name, f"@{kernel}", f"@{planes}", len(text.buffers)),
        )
        memory = (scratch(job.scratch),)
        given = (x[0], y[0], 0, *memory, job.images, job.chunks, 0)
    else:
        ready, how = product
        writer.held.append(ready)
        if how.exchanged:
            x, y = y, x
        name = writer.function(
            ("contraction behind", planes, how),
            lambda name: behind.write_contraction(writer.module, name, f"@{planes}", how),
        )
        memory = scratch(ready.bytes), scratch(behind.partial(ready))
        given = (x[0], y[0], contractions.address(), ready.template.ctypes.data, *memory, 0)
    return Step(
        name,
        (*given, *text.arguments),
        (x[1] * size, y[1] * size, 0, 0, 0, 0, 0, *text.offsets),
        1,
        None,
        text.read(x[0], y[0]),
        text.written(*memory),
        f"{text.label} {call.node.op.name} {job.label}",  # type: ignore[union-attr]
    )
