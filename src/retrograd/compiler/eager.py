"""Kernels for eager mode: one op, or one composed function, on raw arrays, as a cached program that is called with arrays.

``native(fn, *given, **attrs)`` compiles now, ``Native(fn, plain)`` when a kind of call has come often enough::

    from retrograd.compiler import eager

    kernel = eager.native(REGISTRY["max_pool"], x, size=(2, 2), ...)   # a Kernel, or None where the compiler has no loops for it
    if kernel is not None:
        (y,) = kernel(x)                     # list of results, each in new memory; x: an ndarray of that type and layout

    max_pool = eager.Native(REGISTRY["max_pool"], plain)   # plain(*arrays, **attrs): what NumPy does
    y = max_pool(x, size=(2, 2))             # plain at first, the kernel from the third call of a kind (types, layout, attributes) on

``fn`` is an op, or a function of Tensors that gives a Tensor or a tuple of them (a composition of ops, as ``composed`` wants
them; it is traced once, on copies). ``given`` are arrays, or Python numbers, which become part of the code. Only a graph that is
generated code from end to end becomes a kernel: a step that NumPy would compute makes it None. A view that is an affine walk over memory
(transposed, sliced, expanded) is read where it lies; anything else is copied first. A call costs about a microsecond above the kernel's own time;
kernels use the library's threads, give the same bits for any number of them, release Python's lock while they run long, wait for each other
where two threads call the same one, and work in a forked child. ``RETROGRAD_NATIVE=off`` switches all of it off.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autodiff.trace import Trace
from ..core import MODE, REGISTRY, Graph, Node, Op, wrap
from ..core.mode import heard_by
from .eager_gate import RAN, Kernel, Unsuitable
from .program import Program

WARM = 3  # the call of a kind that is compiled
FEW = 1 << 14  # elements below which it may be another
MOST_LAYOUTS = 8  # ways of lying in memory that one graph is compiled for
MOST = 256  # kinds of calls that one function is compiled for; more are NumPy's
LARGEST_ARENA = 64 << 20  # bytes that a kernel may keep for values between its steps
LENGTH = 1 << 20  # elements that a kernel for every length is written for: enough for its loop to be cut into chunks
_empty = np.empty
log = logging.getLogger("retrograd.eager")
_lock = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_lock._at_fork_reinit)  # type: ignore[attr-defined]


def enabled() -> bool:
    """Tell whether generated code may run in eager mode: not with RETROGRAD_NATIVE=off."""
    return os.environ.get("RETROGRAD_NATIVE", "").lower() not in ("off", "0", "false", "no")


def leaf(shape: tuple[int, ...], dtype: Any) -> Node:
    """Make a graph's input."""
    return Node(None, (), {}, tuple(shape), np.dtype(dtype), False, None, (), None, None)


def native(fn: Any, *given: Any, **attrs: Any) -> Kernel | None:
    """Compile an op or a function of Tensors for these arrays, or give None where that cannot be.

    Examples
    --------
    >>> import numpy as np
    >>> from retrograd.compiler import eager
    >>> from retrograd.core import REGISTRY
    >>> x = np.ones((2, 3), np.float32)
    >>> kernel = eager.native(REGISTRY["exp"], x)
    >>> kernel(x)[0].shape
    (2, 3)
    """
    name = getattr(fn, "name", getattr(fn, "__name__", "a function"))

    def make() -> Kernel:
        graph = graph_of_op(fn, given, attrs) if isinstance(fn, Op) else graph_of_function(fn, given, attrs)
        return compiled(graph, [x for x in given if isinstance(x, np.ndarray)])

    made: Kernel | None = compiling(name, make)
    return made


def compiling(name: str, make: Callable[[], Any]) -> Any:
    """Give what ``make`` compiles; None where eager mode may not compile, or this cannot be compiled: NumPy goes on with it."""
    if not enabled():
        return None
    before, watcher = MODE.grad, sys.getprofile()
    with _lock:
        try:
            if callable(watcher):  # what is done here is no part of what it watches
                sys.setprofile(None)
            with heard_by():
                return make()
        except Unsuitable as reason:
            log.debug("%s runs by NumPy: %s", name, reason)
        except Exception:
            log.debug("%s runs by NumPy: the compiler failed", name, exc_info=True)
        finally:
            MODE.grad = before
            if callable(watcher):
                sys.setprofile(watcher)
    return None


def graph_of_op(op: Op, given: Any, attrs: dict[str, Any]) -> Graph:
    """Give the graph of one operation."""
    if op.outputs != 1:
        raise Unsuitable("it has several results")
    nodes: list[Node] = []
    inputs: list[Node] = []
    constants: dict[Node, Any] = {}
    types: list[Any] = []
    for x in given:
        if isinstance(x, np.ndarray):
            node = leaf(x.shape, x.dtype)
            inputs.append(node)
            types.append(node.type)
        else:
            node = leaf((), np.asarray(x).dtype)
            constants[node] = x
            types.append(None)
        nodes.append(node)
    found = op.type(*types, **attrs)
    out = Node(op, tuple(nodes), attrs, tuple(found.shape), np.dtype(found.dtype), False, None, (), None, None)
    return Graph(tuple(inputs), (out,), constants)


def graph_of_function(fn: Callable[..., Any], given: Any, attrs: dict[str, Any]) -> Graph:
    """Trace a function of Tensors on copies of the arrays, without gradients."""
    held = [wrap(x.copy()) if isinstance(x, np.ndarray) else x for x in given]
    tensors = [t for t, x in zip(held, given, strict=True) if isinstance(x, np.ndarray)]
    before = MODE.grad
    MODE.grad = False
    try:
        with Trace(tensors) as trace:
            out = fn(*held, **attrs)
            results = list(out) if isinstance(out, (tuple, list)) else [out]
            graph, inputs, _ = trace.finish(results)
    finally:
        MODE.grad = before
    constants = dict(graph.constants)
    place = {id(t): n for n, t in zip(graph.inputs, inputs, strict=True)}
    for n, t in zip(graph.inputs, inputs, strict=True):
        if not any(t is own for own in tensors):
            constants[n] = t._a  # made inside the function, so the same at every call
    given_nodes = tuple([place[id(t)] if id(t) in place else leaf(t._a.shape, t._a.dtype) for t in tensors])
    return Graph(given_nodes, graph.outputs[: len(results)], constants)


def compiled(graph: Graph, arrays: Any, optimised: bool = False) -> Kernel:
    """Make a kernel of a graph for arrays that lie in memory as these do; raises Unsuitable where there can be none."""
    views = [layout(a) for a in arrays]
    if any(v is not None for v in views):
        graph = _with_layouts(graph, views)
    return Kernel(_checked(Program(graph, optimised=optimised)), [None if v is None else v[0] for v in views])


def _checked(program: Program) -> Program:
    if program.arena_bytes > LARGEST_ARENA:
        raise Unsuitable(f"it needs {program.arena_bytes >> 20} MiB between its steps")
    return program


# -- arrays that are not contiguous ---------------------------------------------------------------------------------------
View = tuple[tuple[tuple[int, ...], tuple[int, ...]], tuple[int, ...], tuple[int, ...]]


def layout(a: Any) -> View | None:
    """Say how an array that is not contiguous lies in a padded one that is.

    Only arrays whose last dimension is the one that runs along memory are read where they lie: vectors are loaded from it.
    Gives ((shape, strides), the padded array's shape, for each dimension of the array which of the padded one's it walks or -1 for
    one that stands still); None for arrays that are contiguous, or that have to be copied.
    """
    size = a.dtype.itemsize
    if a.flags.c_contiguous or not a.size or not a.flags.aligned:
        return None
    steps = [s // size if n > 1 else 0 for s, n in zip(a.strides, a.shape, strict=True)]
    if any(s < 0 for s in a.strides) or any(s % size for s in a.strides):
        return None
    live = sorted((d for d, s in enumerate(steps) if s), key=lambda d: (-steps[d], -a.shape[d]))
    if not live or live[-1] != max(live) or steps[live[-1]] != 1:
        return None
    padded: list[int] = []
    for k, d in enumerate(live):
        if k == 0:
            padded.append(a.shape[d])
            continue
        above = steps[live[k - 1]]
        if above % steps[d] or above // steps[d] < a.shape[d]:
            return None  # dimensions that overlap
        padded.append(above // steps[d])
    return (a.shape, a.strides), tuple(padded), tuple([live.index(d) if steps[d] else -1 for d in range(a.ndim)])


def _with_layouts(graph: Graph, views: list[View | None]) -> Graph:
    """Let inputs be padded contiguous arrays of which the graph sees a view."""
    new: dict[Node, Node] = {}
    inputs = []
    for node, view in zip(graph.inputs, views, strict=True):
        if view is None:
            new[node] = node
            inputs.append(node)
            continue
        (shape, _), padded, walks = view
        whole = leaf(padded, node.dtype)
        inputs.append(whole)
        order = [w for w in walks if w >= 0]
        lengths = {w: n for n, w in zip(shape, walks, strict=True) if w >= 0}
        index = tuple([slice(0, lengths[k], 1) if k in lengths else 0 for k in range(len(padded))])
        found = _step("slice", whole, index=index)
        found = _step("permute", found, axes=tuple([sorted(order).index(w) for w in order]))
        found = _step("view", found, shape=tuple([n if w >= 0 else 1 for n, w in zip(shape, walks, strict=True)]))
        new[node] = _step("expand", found, shape=shape)
    for n in graph.nodes:
        if n.op is not None:
            made = tuple([new.get(i, i) for i in n.inputs])
            new[n] = Node(n.op, made, n.attrs, n.shape, n.dtype, False, n.place, (), None, None)
    return Graph(tuple(inputs), tuple([new.get(o, o) for o in graph.outputs]), graph.constants)


def _step(name: str, node: Node, **attrs: Any) -> Node:
    op = REGISTRY[name]
    found = op.type(node.type, **attrs)
    return Node(op, (node,), attrs, tuple(found.shape), node.dtype, False, None, (), None, None)


def flat(graph: Graph, targets: Any = None, optimised: bool = False) -> Kernel:
    """Make a kernel that serves every length of a graph of elementwise operations on arrays of one shape, or of none.

    The graph is written for ``LENGTH`` elements. Results are not made: they are handed over with ``into``, or written in place.
    """
    program = Program(graph, targets, optimised)
    inputs = program.graph.inputs
    return Kernel(program, None, next(k for k, n in enumerate(inputs) if n.shape == (LENGTH,)))


class Layouts:
    """Kernels of one optimised graph: one for contiguous arrays, and others for arrays that lie otherwise and come often.

    Parameters
    ----------
    graph : Graph
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.plain = Kernel(_checked(Program(graph, optimised=True)))
        self.others: dict[Any, Any] = {}

    def __call__(self, *arrays: Any) -> list[Any]:
        """Run on arrays of the graph's types."""
        kernel = self.plain
        outs = [_empty(shape, dtype) for shape, dtype in kernel.makes]
        if kernel.gate(kernel.words, *arrays, *outs) != RAN:
            (self._other(arrays) or kernel).into(arrays, outs)
        error = kernel.error
        if error is not None and error.value:
            kernel.program.complain()
        return outs

    def _other(self, arrays: Any) -> Any:
        """Give the kernel for arrays that lie like these, if there is one; they are copied otherwise."""
        if all(a.flags.c_contiguous for a in arrays):
            return None
        key = tuple([a.strides for a in arrays])
        found = self.others.get(key, 0)
        if found.__class__ is int:
            if len(self.others) >= MOST_LAYOUTS:
                return None
            if found + 1 < WARM:
                self.others[key] = found + 1
                return None
            found = self.others[key] = compiling("a layout", lambda: compiled(self.graph, arrays, True))
        return found


# -- kinds of calls -------------------------------------------------------------------------------------------------------
class Beside:
    """Kernels for what runs beside a program (see ``MODE.aside``): made for kinds of calls that come often there, and used there alone."""

    def __init__(self) -> None:
        self.kinds: dict[Any, Any] = {}

    def find(self, kind: Any, make: Callable[[], Any]) -> Any:
        """Give the kernel of a kind of calls, which is made when it is worth it, or None."""
        if not MODE.beside:
            return None
        found = self.kinds.get(kind, 0)
        if found.__class__ is not int:
            return found
        if found == 0 and len(self.kinds) >= MOST:
            return None
        self.kinds[kind] = found + 1
        if found + 1 < MODE.beside:
            return None
        made = self.kinds[kind] = make()
        return made


class Native:
    """An op or a function of Tensors on arrays: NumPy's at first, a kernel for kinds of calls that come again.

    Parameters
    ----------
    fn : Op or callable
        As in :func:`native`.
    plain : callable
        What computes the same by NumPy, on the same arguments; it also raises the errors.
    warm, few : int
        The call of a kind that is compiled, and the one for arrays of few elements; as ``warm`` if 0.
    """

    def __init__(self, fn: Any, plain: Callable[..., Any], warm: int = WARM, few: int = 0) -> None:
        self.fn, self.plain, self.warm, self.few = fn, plain, warm, few or warm
        self.kinds: dict[Any, Any] = {}
        self.beside = Beside()
        self.many = False  # results are a tuple

    def __call__(self, *xs: Any, **attrs: Any) -> Any:
        """Give what ``plain`` gives."""
        key: list[Any] = []
        arrays = []
        for x in xs:
            if x.__class__ is np.ndarray:
                arrays.append(x)
                key += (x.shape, x.strides, x.dtype)
            else:
                key += (x.__class__, x)
        for name, value in attrs.items():
            key += (name, value)
        kind = tuple(key)
        try:
            kernel = self.kinds.get(kind, 0)
        except TypeError:  # an attribute that cannot be compared
            return self.plain(*xs, **attrs)
        if kernel.__class__ is int:
            kernel = self._seen(kind, kernel, xs, attrs)
        if kernel is None:
            return self.plain(*xs, **attrs)
        try:
            found = kernel(*arrays)
        except IndexError:  # NumPy's words for it
            return self.plain(*xs, **attrs)
        return found[0] if len(found) == 1 else tuple(found)

    def _seen(self, kind: Any, count: int, xs: Any, attrs: dict[str, Any]) -> Any:
        if len(self.kinds) >= MOST:
            return None
        if any(x.__class__ is np.ndarray and not x.flags.c_contiguous and layout(x) is None for x in xs):
            self.kinds[kind] = None  # copying it costs more than is gained
            return None
        if MODE.aside:
            return self.beside.find(kind, functools.partial(native, self.fn, *xs, **attrs))
        few = all(x.size < FEW for x in xs if x.__class__ is np.ndarray)
        if count + 1 < (self.few if few else self.warm):
            self.kinds[kind] = count + 1
            return None
        made = self.kinds[kind] = native(self.fn, *xs, **attrs)
        return made


__all__ = ["Kernel", "Native", "Unsuitable", "compiled", "enabled", "native"]
