"""An explained graph with what one does to it: look a node up, step, fold, see it in forward mode, show and save it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from .model import Edge, ExplainedNode, Graph


class Explanation(Graph):
    """An explained graph: plain data, and methods to read it with.

    ``print(explanation)`` gives the table of nodes and edges; a notebook shows the same as HTML. Nodes are found by their label, by
    their expression or by their number.

    Examples
    --------
    >>> import retrograd as torch
    >>> from retrograd import glass
    >>> x = torch.tensor([1.0, -2.0, 3.0, -1.0], requires_grad=True)
    >>> seen = glass.explain(torch.relu(x))
    >>> seen.edge("x", "relu(x)").jacobian.matrix
    [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """

    live: Any = None  # the nodes behind the data, for forward mode
    ids: dict[Any, int]  # numbers of the live nodes here

    def node(self, key: int | str) -> ExplainedNode:
        """Find a node by number, label, expression or printed name.

        Parameters
        ----------
        key : int or str
            Spaces and redundant outer brackets do not count.

        Returns
        -------
        ExplainedNode

        Raises
        ------
        KeyError
            If there is none; the message lists the labels.
        """
        if isinstance(key, int):
            if not 0 <= key < len(self.nodes):
                raise KeyError(f"there is no node {key}: they are numbered 0 to {len(self.nodes) - 1}")
            return self.nodes[key]
        wanted = _squeezed(key)
        for read in ("label", "expression", "symbol", "name"):
            for node in self.nodes:
                if _squeezed(getattr(node, read)) == wanted:
                    return node
        raise KeyError(f"there is no node {key!r}; there are {', '.join(n.label for n in self.nodes[:40])}")

    def edge(self, source: int | str, target: int | str) -> Edge:
        """Find the edge from a node to one that uses it; the first, if it uses it twice."""
        a, b = self.node(source).id, self.node(target).id
        for e in self.nodes[b].edges:
            if self.edges[e].source == a:
                return self.edges[e]
        raise KeyError(f"{self.nodes[b].label!r} does not use {self.nodes[a].label!r}")

    def fold(self, name: str, what: str | Sequence[int | str]) -> Explanation:
        """Fold a part of the graph into one node, and see the same gradients come out.

        Parameters
        ----------
        name : str
            What the node is called. If an operation of that name computes the same values, its rule is shown.
        what : str or sequence of nodes
            An expression with free variables, such as ``"1 / (1 + exp(-z))"``: every part of the graph that has this form is
            folded. Or nodes (numbers or labels), of which one alone may be used outside.

        Returns
        -------
        Explanation
            A new one.

        Raises
        ------
        ValueError
            If no part has this form, or the nodes have several results.

        Examples
        --------
        >>> import retrograd as torch
        >>> from retrograd import glass
        >>> z = torch.tensor(1.0, requires_grad=True)
        >>> seen = glass.explain(1 / (1 + torch.exp(-z))).fold("sigmoid", "1 / (1 + exp(-a))")
        >>> round(seen.edge("z", "sigmoid(z)").local.number, 6)
        0.196612
        """
        from .folding import fold

        return fold(self, name, what)

    def fold_module(self, path: str) -> Explanation:
        """Fold all operations of a module, and of the modules in it, into one node.

        Parameters
        ----------
        path : str
            As in ``named_modules()``.

        Returns
        -------
        Explanation

        Raises
        ------
        ValueError
            If no operation was in it, or several of its values are used outside.

        Examples
        --------
        >>> import retrograd as torch
        >>> from retrograd import glass, nn
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
        >>> seen = glass.explain(net, torch.ones(4, 2)).fold_module("1")
        >>> [node.label for node in seen.nodes if node.kind == "fold"]
        ['1(1.weight, 1.bias, ...)']
        """
        members = [
            n.id
            for n in self.nodes
            if n.kind in ("operation", "fold") and (n.module == path or n.module.startswith(f"{path}."))
        ]
        if not members:
            known = dict.fromkeys(n.module for n in self.nodes if n.module)
            raise ValueError(f"fold_module: no operation is in {path!r}; there are {', '.join(known) or 'no modules'}")
        return self.fold(path, members)

    def forward(self, direction: dict[str, Any] | str | None = None) -> Explanation:
        """Give the forward-mode view: the directional derivative of every value, pushed from the inputs to the result.

        Parameters
        ----------
        direction : dict or str, optional
            Tangents of leaves by name, or one leaf's name, which gets ones. By default every leaf gets ones.

        Returns
        -------
        Explanation
            A new one; ``node.tangent`` and ``edge.tangent`` are set.

        Examples
        --------
        >>> import retrograd as torch
        >>> from retrograd import glass
        >>> x = torch.tensor(3.0, requires_grad=True)
        >>> glass.explain(x * x).forward("x").node("x*x").tangent.number
        6.0
        """
        from .pushed import push

        return push(self, direction)

    def copy(self) -> Explanation:
        """Give an explanation with data of its own."""
        made = copy.copy(self)
        made.nodes, made.edges = copy.deepcopy(self.nodes), copy.deepcopy(self.edges)
        made.backward, made.notes, made.direction = list(self.backward), list(self.notes), dict(self.direction)
        return made

    # -- faces ------------------------------------------------------------------------------------------------------------
    def __str__(self) -> str:
        from .render_text import text

        return text(self, most=200)

    __repr__ = __str__

    def show(self, detail: bool = False) -> None:
        """Print it: in colour by rich where that is installed and the output is a terminal, plain otherwise."""
        from .render_text import show

        show(self, detail=detail)

    def to_latex(self, document: bool = False) -> str:
        """Give the derivation, forward and backward, as LaTeX (packages amsmath and xcolor).

        Parameters
        ----------
        document : bool
            With a preamble, ready to be typeset.

        Returns
        -------
        str
        """
        from .render_latex import latex

        return latex(self, document=document)

    def save(self, path: Any, **options: Any) -> None:
        """Write a picture (``.svg``, ``.png``, ``.pdf``), the data (``.json``), LaTeX (``.tex``), HTML or text, by the path's suffix.

        Parameters
        ----------
        path : path
        **options
            For pictures: ``dpi``, ``heat`` (draw heat maps of tensors).
        """
        from .saving import save

        save(self, path, **options)

    def _repr_html_(self) -> str:
        from .render_html import html

        return html(self)


def _squeezed(text: str) -> str:
    return "".join(text.split())


__all__ = ["Explanation"]
