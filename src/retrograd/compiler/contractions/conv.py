"""Convolutions and their Jacobian products: which kernel makes which, compiled once for a geometry, run on arrays of any batch.

``conv``, ``conv_input_grad`` and ``conv_weight_grad`` are what eager mode calls (see ``core.executors``); :func:`describe` and
:func:`write` serve the compiler's programs. A kernel's function is ``void(ptr arguments, i64 chunk)``; it shares its work out
itself. Its arguments are the addresses of both operands, in the op's order, of the result and of scratch memory, the number of
images, the number of chunks, and the address of what follows, which is given the result block by block (``conv_blocks.go_on``).
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.threads import threads
from ...ops.columns import output_size, scratch
from ..codegen.emit import Module
from ..lowering.maps import strides_of
from ..runtime import cache, entry, jit, pool
from . import conv_channels, conv_groups, conv_inner, conv_pixels, conv_products, conv_taps, conv_weights, conv_winograd
from .conv_blocks import CHUNKS, LINE, WORDS, at_once
from .conv_geometry import Correlation, forward, transposed
from .prepared import Prepared, prepare

Array = np.ndarray[Any, Any]
KINDS = {"float32": "f32", "float64": "f64"}
BATCHES = (32, 8, 4, 2, 1)  # a kernel is planned for the largest of these that the batch has, and takes any
Own = (
    conv_channels.Plan | conv_groups.Plan | conv_pixels.Plan | conv_winograd.Plan | conv_weights.Plan | conv_inner.Plan
)
Plan = Own | conv_products.Plan
NAMES = ("conv", "conv_input_grad", "conv_weight_grad")
LONG = 1 << 19  # multiplications for which a sleeping thread is woken
SHARE = 1 << 17  # multiplications that are worth a chunk
MOST_CHUNKS = 16
FEW = 16  # pixels of an image, below which nothing follows products block by block


def registers() -> int:
    """Give how many vectors sums may use, of those the machine has."""
    here = jit.host()
    if "avx512f" in here.enabled:
        return 28
    return 12 if here.triple.startswith(("x86_64", "i686")) else 24


@dataclass(frozen=True)
class Job:
    """A convolution of one geometry and batch.

    Attributes
    ----------
    plan : object
        How it is cut up; of one of the modules that write kernels.
    images : int
        The batch.
    chunks : int
        Pieces that the main part of the work is shared out in.
    """

    plan: Plan
    images: int
    chunks: int

    @property
    def work(self) -> int:
        """Multiplications."""
        return self.images * self.plan.correlation.work

    @property
    def label(self) -> str:
        """What is convolved, in a line."""
        c = self.plan.correlation
        sizes = ["x".join(map(str, each)) for each in (c.length, c.kernel, c.result)]
        groups = f" in {c.groups} groups" if c.groups > 1 else ""
        return f"{self.images} x {c.into} to {c.out} channels{groups}, {sizes[0]} by {sizes[1]} to {sizes[2]}"

    @property
    def scratch(self) -> int:
        """Bytes of scratch memory, from the start of a cache line."""
        if isinstance(self.plan, conv_products.Plan):
            return 0
        return self.plan.scratch(min(self.chunks, at_once()))


def describe(
    name: str, first: tuple[int, ...], second: tuple[int, ...], kind: str, attrs: dict[str, Any], behind: bool = False
) -> Job | None:
    """Plan an op on operands of these shapes; None where there is nothing to multiply.

    Parameters
    ----------
    name : str
        conv, conv_input_grad or conv_weight_grad.
    first, second : tuple of int
        The operands' shapes.
    kind : str
        f32 or f64.
    attrs : dict
        The op's attributes.
    behind : bool, optional
        Whether something follows, which is given results block by block (see :mod:`.behind`); None for weight gradients then.
    """
    geometry = (tuple(attrs["stride"]), tuple(attrs["padding"]), tuple(attrs["dilation"]), attrs["groups"])
    others = tuple(attrs.get("x_shape") or attrs.get("w_shape") or ())
    return _described(name, tuple(first), tuple(second), others, kind, *geometry, behind)


@functools.lru_cache(maxsize=4096)
def _described(
    name: str,
    first: tuple[int, ...],
    second: tuple[int, ...],
    other: tuple[int, ...],
    kind: str,
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    groups: int,
    behind: bool,
) -> Job | None:
    if name == "conv":
        x, w = first, second
        pixels = output_size(x[2:], w[2:], stride, padding, dilation)
    else:
        x, w = (other, second) if name == "conv_input_grad" else (second, other)
        pixels = first[2:]
    if not all(x) or not all(w) or not all(pixels):
        return None
    sizes = (w[1], w[0] // groups, x[2:], w[2:], pixels, stride, padding, dilation, groups)
    plain = forward(*sizes)
    correlation = transposed(*sizes) if name == "conv_input_grad" else plain
    if not correlation.live:  # no tap meets anything
        return None
    images = x[0]
    product = conv_products.make_plan(name, plain, correlation, kind, images)
    if product is not None and behind:
        if correlation.pixels < FEW:
            return None
        product = conv_products.followed(product)
    if product is not None:
        return Job(product, images, 1)
    plan = planned(name, correlation, kind, next(n for n in BATCHES if n <= images), behind)
    if isinstance(plan, conv_weights.Plan | conv_inner.Plan):
        return None if behind else Job(plan, images, plan.chunks)
    most = max(1, images * correlation.work // SHARE)
    return Job(plan, images, max(1, min(MOST_CHUNKS, plan.units(images), most)))


@functools.lru_cache(maxsize=4096)
def planned(name: str, correlation: Correlation, kind: str, images: int, behind: bool = False) -> Own:
    """Choose the kernel of an op, and how it cuts its work up, from sizes and the machine's vectors alone."""
    width = jit.host().lanes(4 if kind == "f32" else 8)
    sizes = (correlation, kind, width, registers())
    if name == "conv_weight_grad":
        way = min((conv_weights, conv_inner, conv_taps), key=lambda way: way.cost(*sizes))
        made: Own = way.make_plan(*sizes, images)
        return made
    costs = conv_channels.cost(*sizes), conv_pixels.cost(*sizes), conv_winograd.cost(*sizes, images)
    if costs[2] <= min(costs):
        return conv_winograd.make_plan(*sizes, images, behind)
    if conv_groups.cost(*sizes) < min(costs):
        return conv_groups.make_plan(*sizes, behind)
    if costs[1] <= min(costs):
        return conv_pixels.make_plan(*sizes, behind)
    return conv_channels.make_plan(*sizes, images, behind)


def write(job: Job, module: Module, name: str) -> None:
    """Write a job's kernel into a module, as a function of that name."""
    plan, wake = job.plan, job.work > LONG
    assert not isinstance(plan, conv_products.Plan), "a contraction is called by its own driver"
    if isinstance(plan, conv_taps.Plan):
        phases = conv_taps.write(plan, module, f"{name}_t")
    elif isinstance(plan, conv_weights.Plan):
        phases = conv_weights.write(plan, module, f"{name}_w")
    elif isinstance(plan, conv_inner.Plan):
        phases = conv_inner.write(plan, module, f"{name}_i")
    elif isinstance(plan, conv_winograd.Plan):
        phases = conv_winograd.write(plan, module, f"{name}_f")
    elif isinstance(plan, conv_groups.Plan):
        phases = conv_groups.write(plan, module, f"{name}_g")
    elif isinstance(plan, conv_pixels.Plan):
        phases = conv_pixels.write(plan, module, f"{name}_p")
    else:
        phases = conv_channels.write(plan, module, f"{name}_c")
    f = module.function(name, [("ptr noalias", "arguments"), ("i64", "chunk")])
    for function, chunks in phases:
        count = f.load("i64", f.element("i64", f.arguments, CHUNKS), 8) if chunks is None else str(chunks)
        if chunks == 1:
            f.call(f"@rg_{function}", arguments=[("ptr", f.arguments), ("i64", 0)])
        else:
            pool.emit_parallel(f, f"@rg_{function}", f.arguments, count, wake)
    f.ret()


def of_product(job: Job) -> tuple[Prepared, conv_products.Plan] | None:
    """Make a job ready that is a contraction, and give its plan; None for one with a kernel of its own."""
    return (prepare(job.plan.contraction), job.plan) if isinstance(job.plan, conv_products.Plan) else None


def of_call(call: Any, behind: bool = False) -> Job | None:
    """Plan the work of a call in a program; None where it is no convolution of contiguous operands that have a kernel.

    With ``behind`` for one that something follows; None where nothing can.
    """
    node = call.node
    kind = KINDS.get(node.dtype.name)
    if node.op.name not in NAMES or kind is None or any(o is None for o in call.operands):
        return None
    first, second = (i.shape for i in node.inputs)
    for (_, _, strides), shape in zip(call.operands, (first, second), strict=True):
        if any(n > 1 and a != b for n, a, b in zip(shape, strides, strides_of(shape), strict=True)):
            return None
    return describe(node.op.name, first, second, kind, node.attrs, behind)


@functools.lru_cache(maxsize=1024)
def _compiled(plan: Plan, wake: bool) -> Callable[[int, int], None]:
    module = Module(jit.host().enabled)
    write(Job(plan, (LONG + 1) * wake, 1), module, "convolution")
    loaded = cache.native(module.text(), "convolution")
    function: Callable[[int, int], None] = loaded.function("convolution", None, ctypes.c_void_p, ctypes.c_int64)
    return function


@functools.lru_cache(maxsize=4096)
def _runner(job: Job) -> tuple[Callable[[int, int], None], int]:
    return _compiled(job.plan, job.work > LONG), job.scratch


def run(job: Job, first: Array, second: Array, result: Array) -> None:
    """Run a job on contiguous arrays."""
    if isinstance(job.plan, conv_products.Plan):
        a, b = (second, first) if job.plan.exchanged else (first, second)
        prepare(job.plan.contraction)(entry.pointer(a), entry.pointer(b), entry.pointer(result))
        return
    function, bytes = _runner(job)
    pool.ensure(threads())
    with scratch.borrow("convolution", bytes + LINE) as memory:
        at = entry.pointer(memory)
        addresses = (entry.pointer(first), entry.pointer(second), entry.pointer(result), at + -at % LINE)
        table = (ctypes.c_int64 * WORDS)(*addresses, job.images, job.chunks)
        function(ctypes.addressof(table), 0)


def _computed(name: str, first: Array, second: Array, shape: tuple[int, ...], attrs: dict[str, Any]) -> Array | None:
    kind = KINDS.get(first.dtype.name)
    if kind is None or first.dtype != second.dtype:
        return None
    job = describe(name, first.shape, second.shape, kind, attrs)
    if job is None:
        return None
    out = np.empty(shape, first.dtype)
    run(job, np.ascontiguousarray(first), np.ascontiguousarray(second), out)
    return out


def conv(x: Array, w: Array, **attrs: Any) -> Array | None:
    """Compute a convolution as ``ops.conv_kernels.conv`` does; None where these are no arrays for it.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.compiler.contractions.conv import conv
    >>> conv(
    ...     np.ones((1, 1, 4)), np.ones((1, 1, 2)), stride=(2,), padding=((1, 1),), dilation=(1,), groups=1
    ... )
    array([[[1., 2., 1.]]])
    """
    pixels = output_size(x.shape[2:], w.shape[2:], attrs["stride"], attrs["padding"], attrs["dilation"])
    return _computed("conv", x, w, (x.shape[0], w.shape[0], *pixels), attrs)


def conv_input_grad(g: Array, w: Array, **attrs: Any) -> Array | None:
    """Compute the cotangent of a convolution's input as ``ops.conv_kernels.conv_input_grad`` does, or None."""
    return _computed("conv_input_grad", g, w, attrs["x_shape"], attrs)


def conv_weight_grad(g: Array, x: Array, **attrs: Any) -> Array | None:
    """Compute the cotangent of a convolution's kernel as ``ops.conv_kernels.conv_weight_grad`` does, or None."""
    return _computed("conv_weight_grad", g, x, attrs["w_shape"], attrs)
