"""A composed function's two kernels: its result with what the backward pass needs, and its gradients."""

from __future__ import annotations

from typing import Any

from ..core import REGISTRY, Graph, Node, reachable
from .eager import Layouts, compiling
from .passes import optimise
from .split import Halves


class Pair:
    """The forward and the backward kernel of a composed function for one set of types.

    Parameters
    ----------
    given : sequence of Node
        Its tensors.
    outs : sequence of Node
        Its result, and what it gives besides.
    upstream : Node or None
        The gradient of the result; None where no gradient is wanted.
    grads : sequence of Node or None
        The gradients of the tensors that want one.
    constants : dict
    keeps : bool
        Whether the backward kernel may read any argument again; otherwise only those that NumPy's would.

    Attributes
    ----------
    reads : list of int
        Arguments that the backward kernel reads again.
    reads_out : bool
        Whether it reads the result.
    fresh : tuple of bool
        For each gradient, whether it is an array of its own.
    """

    def __init__(
        self, given: Any, outs: Any, upstream: Node | None, grads: Any, constants: dict[Node, Any], keeps: bool
    ) -> None:
        self.reads: list[int] = []
        self.reads_out = False
        self.fresh: tuple[bool, ...] = ()
        if upstream is None:
            self.forward = Layouts(optimise(Graph(tuple(given), tuple(outs), constants)))
            return
        wanted = list(dict.fromkeys(g for g in grads if g is not None))
        joint = optimise(Graph((*given, upstream), (*outs, *wanted), constants))
        made, count = list(joint.outputs[: len(outs)]), len(outs)
        joint = exponentials_from_results(joint, upstream)
        halves = Halves(joint, count, [upstream], set(), [*(given if keeps else ()), *made])
        numbers = {n: k for k, n in enumerate(given)}
        # an argument is read again where it lies, and a write to it meanwhile is found by its version
        made += [n for n in halves.saved if n not in made and n not in numbers]
        self.forward = Layouts(_graph(tuple(given), tuple(made), joint.constants))
        read = [*halves.saved, *halves.kept]
        self.reads = [numbers[n] for n in read if n in numbers]
        self.reads_out = made[0] in read
        found = dict(zip(wanted, joint.outputs[count:], strict=True))
        self.plan: list[
            int
        ] = []  # for each gradient, its place among the kernel's results; -1 none, -2 the upstream gradient itself
        results: list[Node] = []
        for g in grads:
            if g is None or found[g] is upstream:
                self.plan.append(-1 if g is None else -2)
                continue
            if found[g] not in results:
                results.append(found[g])
            self.plan.append(results.index(found[g]))
        self.fresh = tuple([k >= 0 and self.plan.count(k) == 1 for k in self.plan])
        # the cut's own inputs, in its order: upstream, what was saved, the arguments
        order = dict(zip(joint.outputs[count:], halves.backward.outputs, strict=True))
        back = halves.backward
        # of each input: a place among what the forward kernel gives, or an argument's number counted from -1 down
        self.places = [-1 - numbers[n] if n in numbers else made.index(n) for n in read]
        self.backward = None
        if results:
            ordered = _large_first(back.inputs, [order[n] for n in results])
            self.backward = Layouts(_graph(back.inputs, tuple(ordered), back.constants))

    def gradients(self, g: Any, made: Any, arrays: Any) -> list[Any]:
        """Give the gradients; ``made`` is what the forward kernel gave, ``arrays`` the arguments."""
        found = []
        if self.backward is not None:
            found = self.backward(g, *[made[k] if k >= 0 else arrays[-1 - k] for k in self.places])
        return [None if k == -1 else g if k == -2 else found[k] for k in self.plan]


def _graph(inputs: tuple[Node, ...], outputs: tuple[Node, ...], constants: dict[Node, Any]) -> Graph:
    graph = Graph(inputs, outputs, {})
    graph.constants = {n: constants[n] for n in graph.nodes if n in constants}
    return graph


def exponentials_from_results(joint: Graph, upstream: Node) -> Graph:
    """Let the gradients of a softmax, or of its logarithm, read the result instead of the exponentials it was made of.

    With e = exp(z) and s the sum of e along some dimensions, e is s times e / s, and s times exp(z - log s). Where the largest z is 0, s is
    at least 1, so that nothing is lost by it. The result is kept in any case.
    """
    out = joint.outputs[0]
    name = None if out.op is None else out.op.name
    if name == "div":
        exponential, total = out.inputs[0], out.inputs[1]
        again: list[Any] = [("mul", out, total)]
    elif name == "sub" and (log := _behind_views(out.inputs[1])).op is not None and log.op.name == "log":
        found = _behind_views(log.inputs[0])
        exponential = found.inputs[0] if found.inputs else found
        total = _like(log.inputs[0], out.inputs[1])
        again = [("exp", out), ("mul", None, total)]
    else:
        return joint
    if not _is_shifted_exponential(exponential, out) or _behind_views(total).op is None:
        return joint
    if _behind_views(total).op.name != "sum" or _behind_views(total).inputs[0] is not exponential:  # type: ignore[union-attr]
        return joint
    made: Any = None
    for op, *inputs in again:
        given = tuple([made if i is None else i for i in inputs])
        made = Node(REGISTRY[op], given, {}, out.shape, out.dtype, False, None, (), None, None)
    late = {upstream}
    new: dict[Node, Node] = {}
    for n in joint.nodes:
        if n.op is None or not any(i in late for i in n.inputs):
            continue
        late.add(n)
        read = tuple([made if i is exponential else new.get(i, i) for i in n.inputs])
        new[n] = Node(n.op, read, n.attrs, n.shape, n.dtype, False, n.place, (), None, None)
    return Graph(joint.inputs, tuple([new.get(o, o) for o in joint.outputs]), joint.constants)


def _behind_views(node: Node) -> Node:
    while node.op is not None and node.op.name in ("expand", "view"):
        node = node.inputs[0]
    return node


def _like(node: Node, view: Node) -> Node:
    """Give a node the views that another has on top of the operation it came from."""
    if view.op is None or view.op.name not in ("expand", "view"):
        return node
    inner = _like(node, view.inputs[0])
    return Node(view.op, (inner,), view.attrs, view.shape, view.dtype, False, None, (), None, None)


def _is_shifted_exponential(node: Node, out: Node) -> bool:
    """Tell whether a node is exp(x - the largest x along some dimensions)."""
    if node.op is None or node.op.name != "exp" or node.shape != out.shape:
        return False
    shift = node.inputs[0]
    if shift.op is None or shift.op.name != "sub":
        return False
    top = _behind_views(shift.inputs[1])
    return top.op is not None and top.op.name == "amax" and top.inputs[0] is shift.inputs[0]


def _large_first(inputs: Any, outputs: list[Node]) -> list[Node]:
    """Give the outputs' nodes numbered anew: those that the largest outputs need come first.

    Nests are made in that order, and sums of columns go along with a nest of rows where rows do not with one of columns.
    """
    new: dict[Node, Node] = {n: n for n in inputs}
    for root in sorted(outputs, key=lambda n: -n.type.nbytes):
        for n in reachable([root]):
            if n not in new:
                made = tuple([new[i] for i in n.inputs])
                new[n] = (
                    n if n.op is None else Node(n.op, made, n.attrs, n.shape, n.dtype, False, n.place, (), None, None)
                )
    return [new[o] for o in outputs]


def pair(
    given: Any, outs: Any, upstream: Node | None, grads: Any, constants: dict[Node, Any], keeps: bool, name: str
) -> Pair | None:
    """Compile a composed function, or give None where that cannot be."""
    made: Pair | None = compiling(name, lambda: Pair(given, outs, upstream, grads, constants, keeps))
    return made


__all__ = ["Pair", "exponentials_from_results", "pair"]
