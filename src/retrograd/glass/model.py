"""The explained graph as plain data: nodes, edges, numbers and text, which every face (terminal, page, picture) reads.

Nothing here holds a Tensor or a Node: an explained graph outlives the graph that it explains, and ``to_dict`` gives it as JSON.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from .plain import from_plain, plain

FORMAT = 1  # of the dictionary; a reader refuses what is newer
CONVENTION = (
    "Jacobians are in numerator layout: row i, column j holds d out_i / d in_j, for tensors flattened in row-major order. "
    "A gradient has the shape of its variable: it is the row vector dL/dx, folded back."
)


@dataclass
class Numbers:
    """What is shown of an array: all of it if it is small, otherwise what sums it up and a coarse picture.

    Attributes
    ----------
    shape, dtype
        Of the array.
    full
        The numbers as nested lists (a number for a 0-d array); None if there are too many.
    mean, std, min, max, norm
        Over the finite elements (``norm`` is the Euclidean one); None for an empty array and for dtypes without an order, and but
        for ``norm`` for a single number, which is in ``full``.
    zeros, nan, inf
        How many elements are exactly zero, are NaN, are infinite.
    heat
        A grid of at most ``HEAT`` x ``HEAT`` means over blocks of the array seen as a matrix (leading dimensions folded into
        rows); None for small arrays.
    """

    shape: tuple[int, ...]
    dtype: str
    full: Any = None
    mean: float | None = None
    std: float | None = None
    min: float | None = None
    max: float | None = None
    norm: float | None = None
    zeros: int = 0
    nan: int = 0
    inf: int = 0
    heat: list[list[float]] | None = None

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def number(self) -> Any:
        """The number, if there is one only."""
        found = self.full
        while isinstance(found, list) and len(found) == 1:
            found = found[0]
        return None if isinstance(found, list) else found


@dataclass
class Jacobian:
    """The matrix of local derivatives of one result by one input: seldom formed, always implied.

    Attributes
    ----------
    structure
        Its name: identity, scaled identity, diagonal, permutation, selection, summation, broadcast, block diagonal, triangular,
        sparse, dense or zero.
    rows, columns
        Elements of the result, elements of the input.
    nonzeros
        How many entries may differ from zero.
    formed_bytes
        What the matrix would take if it were formed.
    formed_flops
        Multiplications and additions of upstream times the formed matrix.
    implicit_flops
        The same for the product as it is done; 0 where numbers are only moved.
    matrix
        The matrix as lists of rows where it is small; None otherwise.
    note
        What the structure comes from, in words.
    """

    structure: str
    rows: int
    columns: int
    nonzeros: int
    formed_bytes: int
    formed_flops: int
    implicit_flops: int
    matrix: list[list[float]] | None = None
    note: str = ""


@dataclass
class Edge:
    """One use of a value: forward it carries the value, backward upstream x local = downstream.

    Attributes
    ----------
    id
        Its number in ``ExplainedGraph.edges``.
    source, target
        Ids of the node whose value is used, and of the node that uses it.
    slot, role
        The number of the target's input that this is, and the input's name in the rule (x, y, ...).
    upstream
        The gradient at the target; None where no gradient passes.
    local
        The local derivative where it is a number or an array of the elements' own slopes; None for other Jacobians.
    downstream
        What the edge hands to its source: upstream x local.
    share
        The part of the source's gradient that comes over this edge: <downstream, gradient> / <gradient, gradient>. The shares
        of a node's uses add up to 1. None where the gradient is zero or unknown.
    jacobian
        The structure of the local derivative as a matrix.
    derivative, derivative_latex
        The local derivative of an elementwise operation in symbols; empty for others.
    rule, rule_latex
        The downstream gradient in symbols.
    filled, filled_latex
        The same with the numbers put in; empty for large arrays.
    tangent
        In a forward-mode view, what the edge adds to the target's tangent.
    """

    id: int
    source: int
    target: int
    slot: int
    role: str
    upstream: Numbers | None = None
    local: Numbers | None = None
    downstream: Numbers | None = None
    share: float | None = None
    jacobian: Jacobian | None = None
    derivative: str = ""
    derivative_latex: str = ""
    rule: str = ""
    rule_latex: str = ""
    filled: str = ""
    filled_latex: str = ""
    tangent: Numbers | None = None


@dataclass
class ExplainedNode:
    """One value of the graph: what made it, what it is, and what the backward pass made of it.

    Attributes
    ----------
    id
        Its number: inputs have lower ones than what is made of them.
    kind
        "input" (a leaf that wants a gradient), "parameter", "constant", "operation", or "fold" (several in one).
    op
        The operation's name; empty for leaves.
    label, expression
        A short form for a picture, and the whole expression.
    symbol, symbol_latex
        What rules call it: a leaf's name, or ``v5``.
    latex
        The expression in LaTeX.
    module, place
        The path of the module it was made in, and ``file:line, in function: source`` in the user's code; empty if not known.
    shape, dtype
        Of the value.
    value
        None where the forward pass kept nothing that says it.
    gradient
        dL/d(this value), all paths summed; None where none passes.
    tangent
        In a forward-mode view, the directional derivative; None otherwise.
    inputs
        Ids, in the order of the operation's inputs.
    edges, uses
        Ids of the edges from its inputs, and to the nodes that use it.
    pattern
        What its backward does, by name: "mul: swap multiplier".
    advice
        The pattern in a sentence.
    rule, rule_latex
        What it computes, in symbols.
    attributes
        The operation's attributes as text.
    forward, backward
        Its place in the order of the forward pass and in that of the backward pass, from 0; None if it is not visited.
    kept, kept_bytes
        Names of the values that the forward pass keeps here for the backward pass, and their bytes.
    new_bytes
        The bytes of those that nothing else holds: neither a leaf nor a node before it in the order of the graph.
    members
        For a fold, ids in the graph that was folded.
    name
        The operation's name as torch prints it.
    """

    id: int
    kind: str
    op: str
    label: str
    expression: str = ""
    symbol: str = ""
    symbol_latex: str = ""
    latex: str = ""
    module: str = ""
    place: str = ""
    shape: tuple[int, ...] = ()
    dtype: str = ""
    value: Numbers | None = None
    gradient: Numbers | None = None
    tangent: Numbers | None = None
    inputs: list[int] = field(default_factory=list)
    edges: list[int] = field(default_factory=list)
    uses: list[int] = field(default_factory=list)
    pattern: str = ""
    advice: str = ""
    rule: str = ""
    rule_latex: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    forward: int | None = None
    backward: int | None = None
    kept: list[str] = field(default_factory=list)
    kept_bytes: int = 0
    new_bytes: int = 0
    members: list[int] = field(default_factory=list)
    name: str = ""


@dataclass
class Step:
    """One step of the walk over a graph: forward a value is computed, backward a gradient is passed on.

    Attributes
    ----------
    number
        From 0.
    phase
        "forward" or "backward".
    node
        The id of the node that the step is at.
    edges
        Ids of the edges that the step uses.
    text
        What happens, in words and numbers.
    """

    number: int
    phase: str
    node: int
    edges: list[int]
    text: str


@dataclass
class Graph:
    """An explained graph as data.

    Attributes
    ----------
    title
        What is explained.
    nodes, edges
        ``nodes[i].id == i`` and ``edges[i].id == i``; nodes stand in forward order.
    output
        The id of the explained value.
    seed
        The gradient that the backward pass starts with: dL/d output.
    backward
        Ids in the order the backward pass visits them.
    kept_bytes
        What the forward pass keeps for the backward pass altogether, each piece of memory counted once, leaves left out.
    mode
        "reverse", or "forward" for the view with tangents.
    direction
        In a forward-mode view, the names of the inputs and the tangents they were given.
    convention
        The layout of Jacobians and gradients, in words.
    notes
        What a reader has to know of this graph, such as values that were not kept.
    """

    title: str
    nodes: list[ExplainedNode]
    edges: list[Edge]
    output: int
    seed: Numbers | None = None
    backward: list[int] = field(default_factory=list)
    kept_bytes: int = 0
    mode: str = "reverse"
    direction: dict[str, Any] = field(default_factory=dict)
    convention: str = CONVENTION
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Give everything as dictionaries, lists, strings and finite numbers; NaN and infinities are strings."""
        found: dict[str, Any] = {"format": FORMAT, **plain(self)}
        found["steps"] = [plain(step) for step in self.steps()]
        return found

    def steps(self) -> Iterator[Step]:
        """Give the forward pass and then the backward pass, one node at a time."""
        from .stepper import steps

        return steps(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Graph:
        """Make a graph of what ``to_dict`` gave.

        Parameters
        ----------
        data : dict

        Returns
        -------
        Graph

        Raises
        ------
        ValueError
            If it is something else, or was written by a newer version.
        """
        try:
            if data.get("format", FORMAT) > FORMAT:
                raise ValueError(f"this graph is written in format {data['format']}; this version reads up to {FORMAT}")
            made = cls._from(data)
            made._check()
        except (TypeError, KeyError, AttributeError, IndexError) as error:
            raise ValueError(f"this is not an explained graph: {type(error).__name__} {error}") from error
        return made

    def _check(self) -> None:
        """Raise ValueError unless nodes and edges are numbered by their places and name each other."""
        nodes, edges = range(len(self.nodes)), range(len(self.edges))
        for i, node in enumerate(self.nodes):
            if node.id != i or any(k not in nodes for k in node.inputs):
                raise ValueError(
                    f"this is not an explained graph: node {i} is numbered {node.id} or reads what is not there"
                )
            if any(e not in edges for e in (*node.edges, *node.uses)):
                raise ValueError(f"this is not an explained graph: node {i} has edges that are not there")
        for i, edge in enumerate(self.edges):
            if edge.id != i or edge.source not in nodes or edge.target not in nodes or edge.source >= edge.target:
                raise ValueError(f"this is not an explained graph: edge {i} does not go from one node to a later one")
        if self.output not in nodes or any(k not in nodes for k in self.backward):
            raise ValueError("this is not an explained graph: its result or its order names nodes that are not there")

    @classmethod
    def _from(cls, data: dict[str, Any]) -> Graph:
        known = {f.name: data[f.name] for f in fields(Graph) if f.name in data}
        known["nodes"] = [_node(n) for n in data["nodes"]]
        known["edges"] = [_edge(e) for e in data["edges"]]
        known["seed"] = _numbers(data.get("seed"))
        known["direction"] = {k: from_plain(v) for k, v in data.get("direction", {}).items()}
        return cls(**known)


def _numbers(data: Any) -> Numbers | None:
    if data is None:
        return None
    found = Numbers(**{k: from_plain(v) for k, v in data.items()})
    found.shape = tuple(found.shape)
    return found


def _edge(data: dict[str, Any]) -> Edge:
    made = Edge(**data)
    made.upstream, made.local, made.downstream, made.tangent = (
        _numbers(data.get(k)) for k in ("upstream", "local", "downstream", "tangent")
    )
    made.share = from_plain(data.get("share"))
    if data.get("jacobian") is not None:
        matrix = {"matrix": from_plain(data["jacobian"].get("matrix"))}
        made.jacobian = Jacobian(**{**data["jacobian"], **matrix})
    return made


def _node(data: dict[str, Any]) -> ExplainedNode:
    made = ExplainedNode(**data)
    made.shape = tuple(made.shape)
    made.value, made.gradient, made.tangent = (_numbers(data.get(k)) for k in ("value", "gradient", "tangent"))
    return made


__all__ = [
    "CONVENTION",
    "FORMAT",
    "Edge",
    "ExplainedNode",
    "Graph",
    "Jacobian",
    "Numbers",
    "Step",
    "from_plain",
    "plain",
]
