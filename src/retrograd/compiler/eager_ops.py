"""Single operations on large arrays as kernels: elementwise ones by kernels that serve every length, the rest by kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import MODE, REGISTRY, Graph, Node, Op
from .codegen.rows import HEAVY, computes
from .eager import LENGTH, Beside, Native, Unsuitable, compiling, flat, leaf

WARM = 3  # the large call of a kind that is compiled, where NumPy gives the same bits; elsewhere the first, so that equal calls give equal bits
MOST = 64  # kinds that one operation is compiled for; more are NumPy's
LIGHT = 1 << 16  # elements from which two threads gain something where NumPy is as quick as memory
NUMBERS = {"b": (bool,), "i": (bool, int), "u": (bool, int), "f": (bool, int, float), "V": (bool, int, float)}
BAKED = {"pow": (-2, -1, -0.5, 0.5, 1, 2, 3)}  # numbers among the operands that decide how it is computed
_empty = np.empty
_ndarray = np.ndarray


class Pointwise:
    """Something that is computed element by element, of arrays of one shape, arrays of no dimensions, and numbers.

    Parameters
    ----------
    name : str
    make : callable
        Gives the graph, for ``LENGTH`` elements, of operands like those it is given, with the dtype of each that is an input (None for a number
        that is part of the code); raises Unsuitable.
    baked : tuple of numbers
        These are part of the code, and not inputs.
    warm : int
        The call of a kind that is compiled.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[Any, Any], tuple[Graph, list[Any]]],
        baked: tuple[float, ...] = (),
        warm: int = WARM,
    ) -> None:
        self.name, self.make, self.baked, self.warm = name, make, baked, warm
        self.kinds: dict[Any, Any] = {}
        self.beside = Beside()

    def run(self, shape: tuple[int, ...], xs: Any, attrs: dict[str, Any]) -> Any:
        """Compute the result, or give None where there is no kernel for it, or none yet."""
        key: list[Any] = []
        axes = None
        for x in xs:
            if x.__class__ is _ndarray:
                key.append(x.dtype)
                if not x.ndim:
                    key.append(0)
                elif axes is None and x.ndim > 1 and not x.flags.c_contiguous:
                    if attrs.get("order", "K") != "K":  # a copy that is to lie otherwise
                        return None
                    axes = _order(x)
            else:
                key.append((x.__class__, x) if x in self.baked else x.__class__)
        if axes is not None:  # arrays that lie in memory in the same other order
            xs = [x.transpose(axes) if x.__class__ is _ndarray and x.ndim else x for x in xs]
            if not all(x.flags.c_contiguous for x in xs if x.__class__ is _ndarray):
                return None
            shape = tuple([shape[a] for a in axes])
        for item in attrs.items():
            key.append(item)
        kind = tuple(key)
        try:
            found = self.kinds.get(kind, 0)
        except TypeError:
            return None
        if found.__class__ is int:
            found = self._seen(kind, found, xs, attrs)
        if found is None:
            return None
        kernel, dtype, numbers = found
        if numbers is not None:
            try:
                xs = [
                    x if x.__class__ is _ndarray else np.array(x, d)
                    for x, d in zip(xs, numbers, strict=True)
                    if d is not None
                ]
            except OverflowError:
                return None
        target = MODE.target
        if (
            target is not None
            and axes is None
            and (target.dtype, target.shape) == (dtype, shape)
            and target.flags.writeable
            and any(x is target for x in xs)
        ):
            kernel.into(xs, (target,))
            return target
        out = _empty(shape, dtype)
        kernel.into(xs, (out,))
        return out if axes is None else out.transpose([axes.index(d) for d in range(len(axes))])

    def _seen(self, kind: Any, count: int, xs: Any, attrs: dict[str, Any]) -> Any:
        def make() -> Any:
            return compiling(self.name, lambda: self._compiled(xs, attrs))

        if MODE.aside:
            return self.beside.find(kind, make)
        if len(self.kinds) >= MOST:
            return None
        if count + 1 < self.warm:
            self.kinds[kind] = count + 1
            return None
        made = self.kinds[kind] = make()
        return made

    def _compiled(self, xs: Any, attrs: dict[str, Any]) -> Any:
        """Give (kernel, dtype of the result, dtypes of operands where some are numbers)."""
        graph, dtypes = self.make(xs, attrs)
        dtype = graph.outputs[0].dtype
        return flat(graph), dtype, None if all(x.__class__ is _ndarray for x in xs) else dtypes


def _order(x: Any) -> tuple[int, ...]:
    """Give the order of an array's dimensions in memory, the longest steps first."""
    return tuple(sorted(range(x.ndim), key=lambda d: -x.strides[d]))


class Elementwise(Pointwise):
    """An elementwise op on large arrays; operands that broadcast go to a kernel of their shapes' own."""

    def __init__(self, op: Op) -> None:
        heavy = op.name in HEAVY
        super().__init__(op.name, self._graph, BAKED.get(op.name, ()), 1 if heavy else WARM)
        self.op, self.plain = op, op.numpy
        self.spread = Native(op, op.numpy, self.warm)
        self.least = 0 if heavy else LIGHT

    def __call__(self, *xs: Any, **attrs: Any) -> Any:
        """Compute what the op's NumPy function does."""
        shape, size, same = None, 0, True
        for x in xs:
            if x.__class__ is _ndarray and x.ndim:
                if shape is None:
                    shape, size = x.shape, x.size
                elif x.shape != shape:
                    same = False
                    size = max(size, x.size)
        if shape is None or size < self.least:
            return self.plain(*xs, **attrs)
        if same:
            found = self.run(shape, xs, attrs)
            return self.plain(*xs, **attrs) if found is None else found
        return self.spread(*self._as_arrays(xs), **attrs)

    def _as_arrays(self, xs: Any) -> Any:
        """Give numbers among operands as arrays, so that they are not part of the code."""
        if all(x.__class__ is _ndarray for x in xs):
            return xs
        dtype = _main(xs)
        if not all(x.__class__ is _ndarray or isinstance(x, NUMBERS.get(dtype.kind, ())) for x in xs):
            return xs
        return [x if x.__class__ is _ndarray else np.array(x, dtype) for x in xs]

    def _graph(self, xs: Any, attrs: dict[str, Any]) -> tuple[Graph, list[Any]]:
        op: Any = self.op
        main = _main(xs)
        nodes: list[Node] = []
        constants: dict[Node, Any] = {}
        dtypes: list[Any] = []
        types: list[Any] = []
        for x in xs:
            if x.__class__ is _ndarray:
                node = leaf((LENGTH,) if x.ndim else (), x.dtype)
            elif x in self.baked:
                node = leaf((), np.asarray(x).dtype)
                constants[node] = x
            elif isinstance(x, NUMBERS.get(main.kind, ())):
                node = leaf((), main)
            else:
                raise Unsuitable(f"a {type(x).__name__} beside {main}")
            nodes.append(node)
            dtypes.append(None if node in constants else node.dtype)
            types.append(None if node in constants else node.type)
        found = op.type(*types, **attrs)
        out = Node(op, tuple(nodes), attrs, tuple(found.shape), np.dtype(found.dtype), False, None, (), None, None)
        if not computes(out, constants) or (op.name == "cast" and out.dtype.kind not in "fV"):
            raise Unsuitable(f"loops have no {op.name} for {main}")
        return Graph(tuple([n for n in nodes if n not in constants]), (out,), constants), dtypes


def _main(xs: Any) -> Any:
    """Give the dtype that numbers among operands take."""
    return next(x.dtype for x in reversed(xs) if x.__class__ is _ndarray)


def elementwise(op: Op) -> Callable[..., Any]:
    """Give the executor of an elementwise op."""
    return Elementwise(op)


class Reduction:
    """A sum or an extreme of a large array over some of its dimensions."""

    def __init__(self, op: Op) -> None:
        self.op, self.plain = op, op.numpy
        self.native = Native(op, op.numpy)

    def __call__(self, x: Any, *, axis: Any, keepdims: bool = False) -> Any:
        """Compute what the op's NumPy function does."""
        if x.dtype.kind != "f" or not axis or x.dtype.itemsize < 4:
            return self.plain(x, axis=axis, keepdims=keepdims)
        if len(axis) == x.ndim:
            if not x.flags.c_contiguous:
                return self.plain(x, axis=axis, keepdims=keepdims)
            found = self._whole(x)
            return found.reshape((1,) * x.ndim) if keepdims else found
        found = self.native(x, axis=tuple(sorted(axis)), keepdims=False)
        return found.reshape([1 if d in axis else n for d, n in enumerate(x.shape)]) if keepdims else found

    def _whole(self, x: Any) -> Any:
        """Reduce everything: rows of ``ROW`` elements first, which threads share, then what they gave."""
        if self.op.name == "mean":
            total = REGISTRY["sum"]
            return np.asarray(
                (total.large or total)(x, axis=tuple(range(x.ndim)), keepdims=False) / x.dtype.type(x.size)
            )
        flat_, rest = x.reshape(-1), x.size % ROW
        parts = self.native(flat_[: x.size - rest].reshape(-1, ROW), axis=(1,), keepdims=False)
        if rest:
            parts = np.append(parts, self.plain(flat_[x.size - rest :], axis=(0,), keepdims=False))
        return self.plain(parts, axis=(0,), keepdims=False)


ROW = 4096  # elements that are added up one after the other, in lanes


def reduction(op: Op) -> Callable[..., Any]:
    """Give the executor of a reduction."""
    return Reduction(op)


class Summed:
    """A large array summed to a smaller shape that broadcasts to its own."""

    def __init__(self, op: Op) -> None:
        self.op, self.plain = op, op.numpy

    def __call__(self, x: Any, *, shape: Any) -> Any:
        """Compute what the op's NumPy function does."""
        if x.size < LIGHT or len(shape) > x.ndim:
            return self.plain(x, shape=shape)
        lead = x.ndim - len(shape)
        axes = (*range(lead), *[lead + d for d, n in enumerate(shape) if n == 1 and x.shape[lead + d] != 1])
        if not axes:
            return self.plain(x, shape=shape)
        total = REGISTRY["sum"]
        return np.asarray((total.large or total)(x, axis=axes, keepdims=False)).reshape(shape)


_sums: dict[Any, Any] = {}  # by dtype: the kernel that adds into an array, None, or how often it was asked for


def add_into(a: Any, b: Any) -> bool:
    """Add ``b`` into ``a`` and tell that it was done; False leaves it to NumPy."""
    dtype = a.dtype
    if a.size < LIGHT or dtype.kind != "f" or b.dtype is not dtype or a.shape != b.shape:
        return False
    if not (a.flags.c_contiguous and b.flags.c_contiguous and a.flags.writeable):
        return False
    found = _sums.get(dtype, 0)
    if found.__class__ is int:
        if found + 1 < WARM:
            _sums[dtype] = found + 1
            return False
        x, y = leaf((LENGTH,), dtype), leaf((LENGTH,), dtype)
        out = Node(REGISTRY["add"], (x, y), {}, (LENGTH,), dtype, False, None, (), None, None)
        found = _sums[dtype] = compiling("add_into", lambda: flat(Graph((x, y), (out,), {}), [0]))
    if found is None:
        return False
    found.into((a, b), ())
    return True


def summed(op: Op) -> Callable[..., Any]:
    """Give the executor of a sum to a shape."""
    return Summed(op)


__all__ = ["Elementwise", "Pointwise", "Reduction", "Summed", "add_into", "elementwise", "reduction", "summed"]
